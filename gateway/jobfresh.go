package gateway

import (
	"bytes"
	"log/slog"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
	"masar/smpp/text"

	"github.com/prometheus/client_golang/prometheus"
)

// stale tells whether what a job's message says may no longer be true: it was made on
// another day of its service, of another person's choice, under another configuration, or in
// another process. Asked before clear, which brings the message's marks up to date.
func (g *Gateway) stale(w *world, m *queue.Message, now time.Time) bool {
	if !ofJob(m) || len(m.Answers) > 0 {
		return false // half sent it ends as it began
	}
	made := checkedOf(m, m.Accepted.Time())
	return g.staleSince(w, m, &made, now)
}

// staleSince is stale for one whose text was asked about at another moment.
func (g *Gateway) staleSince(w *world, m *queue.Message, since *checked, now time.Time) bool {
	return ofJob(m) && (!g.unchanged(w, since) || !sameDay(w.zoneOf(m), since.at, now))
}

// beginAgain puts a flight back to the head of its lane, to be asked all that it was asked
// when it was taken. REQUIRES: nothing of f is out.
func (d *dispatcher) beginAgain(f *flight) {
	f.todo = nil
	if f.policy() != Resend {
		d.retract(f)
		return
	}
	d.forget(f)
	d.release(f)
}

// zoneOf is where a message's days begin: at its service, else at its account.
func (w *world) zoneOf(m *queue.Message) *time.Location {
	if r, _ := w.rulesOf(m); r != nil {
		return r.service.Zone()
	}
	if a := w.byNumber[m.Account]; a != nil {
		return a.opt.Load().Zone
	}
	return w.setup.Zone
}

func sameDay(zone *time.Location, a, b time.Time) bool {
	y, m, d := a.In(zone).Date()
	y2, m2, d2 := b.In(zone).Date()
	return y == y2 && m == m2 && d == d2
}

// freshStep asks a message's job what it says now. nil: it may leave as it is. A changed
// text is stored before any of it is sent, so that after a crash the rest of its parts are of
// the same text; it goes to the tail of its lane.
func (g *Gateway) freshStep(w *world, c queue.Claim, r *rules, now time.Time) queue.Step {
	if g.opt.Jobs == nil {
		return nil
	}
	met := &g.met.jobs
	said, err := g.opt.Jobs.Fresh(c.M, now)
	switch {
	case err != nil:
		met.failed.Inc()
		g.freshTrouble(err, now)
		return &queue.Wait{Claim: c, Until: min(queue.At(now.Add(freshWait)), c.M.Expires), Why: queue.WaitRetry, Lane: c.Lane}
	case said.Over.Final():
		met.over.Inc()
		return g.finalStep(c, said.Over, said.Why, now)
	case said.Keep:
		met.kept.Inc()
		return nil
	}
	m, no := g.rewritten(w, c.M, c.Lane, r, &said, now)
	if no.why != Accepted {
		met.over.Inc()
		step := g.finalStep(c, pdu.StateRejected, no.why.String(), now)
		step.Status = no.why.status()
		return step
	}
	if m.DataCoding == c.M.DataCoding && bytes.Equal(m.Body, c.M.Body) {
		met.kept.Inc()
		return nil
	}
	met.changed.Inc()
	c.M = m
	return &queue.Enter{Claim: c, Lane: c.Lane}
}

// freshWait is how long a message waits whose job could not say what it says.
const freshWait = 10 * time.Second

// rewritten is a message with another text, as if it came with that one.
func (g *Gateway) rewritten(w *world, old *queue.Message, l queue.Lane, r *rules, said *Fresh, now time.Time) (*queue.Message, refused) {
	m := *old
	a := w.byNumber[m.Account]
	if a == nil {
		a = g.gone
	}
	if said.Text == "" {
		return nil, refuse(EmptyMessage, "")
	}
	e := text.Choose(said.Text)
	body, err := text.Encode(nil, said.Text, e)
	if err != nil {
		return nil, refuse(BadText, err.Error())
	}
	m.DataCoding = storedCodings.Coding(e)
	q := candidate{account: a, o: a.opt.Load(), w: w, now: now, m: &m, rules: r, body: body}
	if no := q.text(); no.why != Accepted {
		return nil, no
	}
	if grp := w.groups[l.Group()]; grp != nil && !grp.takes(q.o, &m, q.body, m.Barred) {
		return nil, refuse(TooLong, "")
	}
	m.Body, m.Text, m.Template = q.body, nil, said.Template
	if m.Attempt > 0 {
		m.Attempt++ // parts of the text before had its number
	}
	return &m, refused{}
}

func (g *Gateway) freshTrouble(err error, now time.Time) {
	t := &g.unsaid
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.last) < refusalLogEvery {
		t.silent++
		return
	}
	g.log.Error("a job could not tell what its message says, messages wait", slog.Any("err", err), slog.Int("not_logged", t.silent))
	t.refusalLog = refusalLog{last: now}
}

// jobMetrics are of messages with a Job.
type jobMetrics struct {
	ends                        *prometheus.CounterVec
	waiting                     prometheus.Gauge
	kept, changed, over, failed prometheus.Counter // of what was asked when it left
}

func newJobMetrics(b builder) jobMetrics {
	fresh := b.counter("job_fresh_total", "messages of reminders and campaigns that were asked, as they left, what they say now, by the answer", "answer")
	return jobMetrics{
		ends:    b.counter("job_ends_total", "ends of messages of reminders and campaigns that were told, by state", "kind", "state"),
		waiting: b.gauge("job_ends_waiting", "ends of messages of reminders and campaigns that are not taken yet").WithLabelValues(),
		kept:    fresh.WithLabelValues("kept"), changed: fresh.WithLabelValues("changed"),
		over: fresh.WithLabelValues("over"), failed: fresh.WithLabelValues("failed"),
	}
}

func (m *metrics) told(k queue.JobKind, st pdu.State) {
	m.jobs.ends.WithLabelValues(k.String(), st.Receipt()).Inc()
}
