package jobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"masar/gateway"
	"masar/queue"
	"masar/ratelimit"
	"masar/service"
	"masar/service/reminder"
	"masar/smpp/pdu"
)

// queued is a message in a carrying.
type queued struct {
	gateway.Notice
	id    queue.ID
	state string // "waiting", "leaving", "sent", "ended"
	end   pdu.State
}

// carrying is a gateway that keeps its promises and sends only when a test says so. It
// outlives the Reminders that hand messages to it, as the queue does.
type carrying struct {
	mu      sync.Mutex
	all     []*queued
	once    map[string]*queued
	refuse  func(*gateway.Notice) error // nil: nothing
	crash   func()                      // called behind the next SubmitMany, once
	ended   func([]gateway.End)         // told of each end; nil: nobody
	batches int

	// What fails, once it is set; nil: nothing.
	submitting func() error
	taking     func(account string) error
	asking     func(once []byte) error
	taken      []int // messages of each WithdrawMany
}

func newCarrying() *carrying { return &carrying{once: map[string]*queued{}} }

func (g *carrying) SubmitMany(_ context.Context, n []gateway.Notice, out []gateway.Submitted) error {
	g.mu.Lock()
	g.batches++
	if g.submitting != nil {
		defer g.mu.Unlock()
		return g.submitting()
	}
	for i := range n {
		out[i] = g.submit(n[i])
	}
	crash := g.crash
	g.crash = nil
	g.mu.Unlock()
	if crash != nil {
		crash()
	}
	return nil
}

func (g *carrying) submit(n gateway.Notice) gateway.Submitted {
	if g.refuse != nil {
		if err := g.refuse(&n); err != nil {
			return gateway.Submitted{Err: err}
		}
	}
	if q := g.once[string(n.Once)]; q != nil {
		return gateway.Submitted{ID: q.id}
	}
	q := &queued{Notice: n, id: queue.ID(len(g.all) + 1), state: "waiting"}
	g.all = append(g.all, q)
	g.once[string(n.Once)] = q
	return gateway.Submitted{ID: q.id}
}

func (g *carrying) WithdrawMany(_ context.Context, account string, ids []queue.ID, out []withdrawal) error {
	g.mu.Lock()
	g.taken = append(g.taken, len(ids))
	if g.taking != nil {
		if err := g.taking(account); err != nil {
			g.mu.Unlock()
			return err
		}
	}
	var tell []func()
	for i, id := range ids {
		if id == 0 || int(id) > len(g.all) || g.all[id-1].Account != account {
			out[i].Err = queue.ErrUnknown
		} else if q := g.all[id-1]; q.state == "waiting" {
			tell = append(tell, g.over(q, pdu.StateDeleted, "withdrawn"))
			out[i].Withdrawn = true
		}
	}
	g.mu.Unlock()
	for _, f := range tell {
		f()
	}
	return nil
}

func (g *carrying) Withdraw(ctx context.Context, account string, id queue.ID) (bool, error) {
	out := make([]withdrawal, 1)
	err := g.WithdrawMany(ctx, account, []queue.ID{id}, out)
	return out[0].Withdrawn, errors.Join(err, out[0].Err)
}

func (g *carrying) SubmittedAs(_ context.Context, _ string, once []byte) (queue.ID, bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.asking != nil {
		if err := g.asking(once); err != nil {
			return 0, false, err
		}
	}
	if q := g.once[string(once)]; q != nil {
		return q.id, true, nil
	}
	return 0, false, nil
}

// fails sets what fails from now on.
func (g *carrying) fails(set func(g *carrying)) {
	g.mu.Lock()
	defer g.mu.Unlock()
	set(g)
}

// over ends a message; what it returns tells of that. REQUIRES: mu.
func (g *carrying) over(q *queued, st pdu.State, why string) (tell func()) {
	q.state, q.end = "ended", st
	end := gateway.End{Job: q.Job, Account: q.Account, Message: q.id, State: st, Err: why, At: time.Now()}
	if ended := g.ended; ended != nil {
		return func() { ended([]gateway.End{end}) }
	}
	return func() {}
}

// end ends the latest message and tells of it.
func (g *carrying) end(st pdu.State, why string) {
	g.mu.Lock()
	tell := g.over(g.all[len(g.all)-1], st, why)
	g.mu.Unlock()
	tell()
}

// texts are those of all messages so far.
func (g *carrying) texts() (all []string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, q := range g.all {
		all = append(all, q.Text)
	}
	return all
}

func (g *carrying) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.all)
}

// scene is reminders over a store in memory and a gateway that outlives them.
type scene struct {
	t     *testing.T
	fs    *vfs.MemFS
	g     *carrying
	cat   atomic.Pointer[service.Catalogue]
	reg   service.Registry
	set   func(*RemindersOptions)
	store *reminder.Store
	r     *Reminders
	prom  *prometheus.Registry
	still bool         // the hands of the next start do nothing
	ahead atomic.Int64 // of the scene's clock before the bubble's: days do not have to be slept through
}

func (s *scene) now() time.Time { return time.Now().Add(time.Duration(s.ahead.Load())) }

var remindZone = time.FixedZone("+03", 3*60*60)

// remindCatalogue has IDR (30, 7 and 1 days before, not at weekends, until 20 o'clock) and
// PLN, which may leave at any time.
func remindCatalogue(t testing.TB) *service.Catalogue {
	t.Helper()
	params := []service.Param{{Name: "document", Max: 20}, {Name: "expiry_date", Max: 12}, {Name: "days", Max: 4}}
	text := service.Texts{"ar": "{document} تنتهي {expiry_date} ({days})", "en": "{document} expires {expiry_date} ({days})"}
	cat, err := service.New(service.Options{
		Languages: []string{"en", "ar"}, Zone: remindZone,
		Calendar:   service.Calendar{Weekend: []time.Weekday{time.Friday, time.Saturday}},
		Categories: []service.Category{{Name: "service"}, {Name: "awareness", Permitted: &service.Windows{Days: []service.Span{{From: 8 * 60, To: 20 * 60}}, Weekend: []service.Span{}}}},
		Agencies:   []service.Agency{{Code: "one", Name: service.Texts{"en": "One"}, Sender: "ONE"}},
		Senders:    []service.Sender{{Name: "ONE", Agency: "one", AnyCarrier: true}},
		Services: []service.Service{
			{Code: "IDR", Agency: "one", Name: service.Texts{"en": "R"}, Kind: service.ExpiryReminder, Class: 1, Category: "awareness", Mode: service.Mandatory, Validity: 72 * time.Hour, LeadDays: []int{30, 7, 1}, Params: params, Versions: []service.Version{{Number: 1, Text: text}}},
			{Code: "PLN", Agency: "one", Name: service.Texts{"en": "P"}, Kind: service.ExpiryReminder, Class: 1, Category: "service", Mode: service.Mandatory, Validity: 72 * time.Hour, LeadDays: []int{7}, Params: params, Versions: []service.Version{{Number: 1, Text: text}, {Number: 2, ValidFrom: time.Date(2000, 6, 1, 0, 0, 0, 0, remindZone), Text: service.Texts{"en": "new: {document} {expiry_date} {days}"}}}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return cat
}

var quietLog = slog.New(slog.NewTextHandler(io.Discard, nil))

// inScene runs f on virtual time, which begins on Saturday 2000-01-01 at 03:00 of Riyadh.
func inScene(t *testing.T, set func(*RemindersOptions), f func(t *testing.T, s *scene)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := &scene{t: t, fs: vfs.NewCrashableMem(), g: newCarrying(), set: set}
		s.cat.Store(remindCatalogue(t))
		s.start()
		t.Cleanup(s.stop)
		f(t, s)
	})
}

func (s *scene) start() {
	s.t.Helper()
	store, err := reminder.Open(reminder.Options{Dir: "reminders", FS: s.fs, Log: quietLog, MinFree: -1, Fatal: func(err error) { panic(err) }})
	if err != nil {
		s.t.Fatal(err)
	}
	s.prom = prometheus.NewRegistry()
	o := RemindersOptions{Store: store, Catalogue: s.cat.Load, Registry: s.reg, Log: quietLog, Registerer: s.prom, Now: s.now, At: 9 * time.Hour}
	if s.set != nil {
		s.set(&o)
	}
	s.store, s.r = store, NewReminders(o)
	s.g.mu.Lock()
	s.g.ended = func(ends []gateway.End) {
		r := s.r
		go func() { // the gateway tells on a goroutine of its own
			if err := r.Ended(context.Background(), ends); err != nil {
				s.t.Error(err)
			}
		}()
	}
	s.g.mu.Unlock()
	if s.still {
		s.r.pace = ratelimit.NewBucket(1e-6, 1)
		s.r.pace.Take(s.now(), 1)
	}
	if err := s.r.Start(s.g); err != nil {
		s.t.Fatal(err)
	}
}

func (s *scene) stop() {
	s.r.Close()
	synctest.Wait()
	if err := s.store.Close(); err != nil {
		s.t.Error(err)
	}
}

// crash loses power: what was not synced is gone, and a new process begins.
func (s *scene) crash(fs *vfs.MemFS) {
	s.t.Helper()
	s.stop()
	s.fs = fs
	s.start()
}

// powerCut is the disk as it is after the power is lost now.
func (s *scene) powerCut() *vfs.MemFS { return s.fs.CrashClone(vfs.CrashCloneCfg{}) }

// until lets the clock of Riyadh come to a moment. What is due before it is done, but late:
// the clock jumps to two minutes before, and only those pass.
func (s *scene) until(text string) {
	s.t.Helper()
	wait := moment(text).Sub(s.now())
	if wait < 0 {
		s.t.Fatalf("it is %s already", s.now().In(remindZone))
	}
	if wait > 2*time.Minute {
		s.ahead.Add(int64(wait - 2*time.Minute))
	}
	time.Sleep(min(wait, 2*time.Minute))
	synctest.Wait()
}

func moment(text string) time.Time {
	t, err := time.ParseInLocation("2006-01-02 15:04", text, remindZone)
	if err != nil {
		panic(err)
	}
	return t
}

func civil(text string) service.Day {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		panic(err)
	}
	return reminder.DayOf(t)
}

// of is a reminder of PLN to a number.
func of(key, expires string) reminder.Reminder {
	return reminder.Reminder{Account: "civil", Key: key, Number: 966500000001, Service: "PLN", Expires: civil(expires), Params: map[string]string{"document": key}, Channel: "portal"}
}

func (s *scene) put(m reminder.Reminder) reminder.PutResult {
	s.t.Helper()
	res, err := s.r.Put(s.t.Context(), m)
	if err != nil {
		s.t.Fatal(err)
	}
	return res
}

// steps says how a reminder stands: its state, then each step.
func (s *scene) steps(key string) string {
	s.t.Helper()
	v, err := s.r.Get(s.t.Context(), "civil", key)
	if err != nil {
		s.t.Fatal(err)
	}
	text := v.State.String()
	for _, st := range v.Steps {
		text += fmt.Sprintf(" %d:%s", st.Lead, st.State)
		if st.Try > 0 {
			text += fmt.Sprintf("x%d", st.Try)
		}
	}
	return text
}

func (s *scene) wantSteps(key, want string) {
	s.t.Helper()
	synctest.Wait()
	if got := s.steps(key); got != want {
		s.t.Errorf("%s, want %s", got, want)
	}
}

func (s *scene) wantTexts(want ...string) {
	s.t.Helper()
	synctest.Wait()
	if got := s.g.texts(); !slices.Equal(got, want) {
		s.t.Errorf("sent %q, want %q", got, want)
	}
}

// unreached are the keys on a day's list, with their reasons.
func (s *scene) unreached(day string) (all []string) {
	s.t.Helper()
	rows, next, err := s.r.Unreached(s.t.Context(), reminder.UnreachedQuery{Account: "civil", Day: civil(day)})
	if err != nil || next != "" {
		s.t.Fatal(next, err)
	}
	for _, u := range rows {
		all = append(all, fmt.Sprintf("%s %d x%d %s", u.Key, u.Lead, u.Tries, u.Reason))
	}
	return all
}

func (s *scene) metric(name string) float64 {
	s.t.Helper()
	families, err := s.prom.Gather()
	if err != nil {
		s.t.Fatal(err)
	}
	sum, found := 0.0, false
	for _, f := range families {
		if f.GetName() == name {
			found = true
			for _, m := range f.GetMetric() {
				sum += m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	if !found {
		s.t.Fatalf("no metric %s", name)
	}
	return sum
}

// end ends the latest message, and waits until that was told.
func (s *scene) end(st pdu.State, why string) {
	s.t.Helper()
	s.g.end(st, why)
	synctest.Wait()
}
