package gateway

import (
	"math"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"masar/queue"
	"masar/smpp"
	"masar/smpp/pdu"
)

// metrics are the gateway's own; the store registers its own beside them. Label values
// come from the configuration and from tables, never from traffic.
type metrics struct {
	named map[string][]namedSeries // the vectors that have a label account, and carrier

	openSubmits    atomic.Int64 // submits of clients not answered yet
	openDeliveries atomic.Int64 // deliver_sm to clients not answered yet

	submits          *prometheus.CounterVec
	submitSeconds    *prometheus.HistogramVec
	unheard          *prometheus.CounterVec
	accountBinds     *prometheus.GaugeVec
	bindsRefused     *prometheus.CounterVec
	deliveries       *prometheus.CounterVec
	redeliveries     *prometheus.CounterVec
	outboxDepth      *prometheus.GaugeVec
	outboxOldest     *prometheus.GaugeVec
	ends             [10]prometheus.Counter
	mobileUnrouted   prometheus.Counter
	mobileIncomplete prometheus.Counter
	inbox            inboxMetrics
	stops            [refusalCount + 1]prometheus.Counter // those of stopReasons
	holds            prometheus.Counter
	merged           prometheus.Counter
	unknownDropped   prometheus.Counter
	haltMetrics
	jobs jobMetrics

	carrierBinds    *prometheus.GaugeVec
	carrierRefused  *prometheus.CounterVec
	carrierWindow   *prometheus.GaugeVec
	carrierSlots    *prometheus.GaugeVec
	carrierPace     *prometheus.GaugeVec
	carrierRecovery *prometheus.GaugeVec
	carrierBulkHeld *prometheus.GaugeVec
	carrierSent     *prometheus.CounterVec
	carrierAnswers  *prometheus.CounterVec
	carrierLatency  *prometheus.HistogramVec
	throttled       *prometheus.CounterVec
	uncertain       *prometheus.CounterVec
	retries         *prometheus.CounterVec
	late            *prometheus.CounterVec
	receipts        *prometheus.CounterVec
	receiptLag      *prometheus.HistogramVec
	receiptsAsked   *prometheus.CounterVec
	receiptsFinal   *prometheus.CounterVec
	receiptRatio    *prometheus.GaugeVec
	unmatched       *prometheus.CounterVec
	duplicates      *prometheus.CounterVec
	receiptsRefused *prometheus.CounterVec
	mobile          *prometheus.CounterVec
	alerts          *prometheus.CounterVec
	unrecorded      *prometheus.CounterVec
	unknown         *prometheus.CounterVec

	queueDepth  *prometheus.GaugeVec
	queueOldest *prometheus.GaugeVec
	violations  *prometheus.CounterVec
	clients     *violationCounter
}

// latencyBuckets are seconds: from a loopback's microseconds to a carrier in trouble.
var latencyBuckets = []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 2, 5, 10, 30}

// lagBuckets are seconds from submit_sm_resp to receipt: handsets may be off for days.
var lagBuckets = []float64{.1, .5, 1, 2, 5, 10, 30, 60, 300, 1800, 7200, 43200, 172800}

func newMetrics(r prometheus.Registerer) *metrics {
	b := builder{r, map[string][]namedSeries{}}
	m := &metrics{
		named: b.named,

		submits:       b.counter("submits_total", "submit_sm of clients by what was answered (docs/statuses.md)", "account", "result"),
		submitSeconds: b.histogram("submit_seconds", "from submit_sm to its submit_sm_resp, fsync included", latencyBuckets, "account"),
		unheard:       b.counter("submit_unheard_total", "accepted submits whose session had ended before the answer", "account"),
		accountBinds:  b.gauge("account_binds", "bound sessions of an account", "account"),
		bindsRefused:  b.counter("binds_refused_total", "binds of clients refused", "status"),
		deliveries:    b.counter("deliveries_total", "deliver_sm to clients by how they ended", "account", "verdict"),
		redeliveries:  b.counter("redeliveries_total", "deliver_sm to clients that went again", "account"),
		outboxDepth:   b.gauge("outbox_messages", "deliveries that wait for an account", "account"),
		outboxOldest:  b.gauge("outbox_oldest_seconds", "age of the oldest delivery that waits", "account"),

		carrierBinds:    b.gauge("carrier_binds_up", "bound sessions to a carrier", "carrier", "bind"),
		carrierRefused:  b.counter("carrier_binds_refused_total", "binds that a carrier refused", "carrier", "status"),
		carrierWindow:   b.gauge("carrier_window_used", "submit_sm without an answer", "carrier"),
		carrierSlots:    b.gauge("carrier_window", "submit_sm that may be without an answer, over all bound transmitters", "carrier"),
		carrierPace:     b.gauge("carrier_pace", "submit_sm per second the carrier is given now; 0: no limit", "carrier"),
		carrierRecovery: b.gauge("carrier_recovery", "share of its pace that a carrier is given, below 1 while it climbs after an outage", "carrier"),
		carrierBulkHeld: b.gauge("carrier_bulk_held", "1 while bulk waits for the carrier's release after an outage", "carrier"),
		carrierSent:     b.counter("carrier_submits_total", "submit_sm sent, parts counted", "carrier"),
		carrierAnswers:  b.counter("carrier_answers_total", "submit_sm_resp by what their status means", "carrier", "class"),
		carrierLatency:  b.histogram("carrier_submit_seconds", "from submit_sm to submit_sm_resp", latencyBuckets, "carrier"),
		throttled:       b.counter("carrier_throttled_total", "answers that slowed the carrier down", "carrier"),
		uncertain:       b.counter("uncertain_total", "submit_sm without an answer: the carrier may have taken them or not", "carrier", "cause"),
		retries:         b.counter("retries_total", "messages set aside for another try", "carrier"),
		late:            b.counter("carrier_late_answers_total", "submit_sm_resp after the response time", "carrier"),
		receipts:        b.counter("receipts_total", "receipts of carriers by state", "carrier", "state"),
		receiptLag:      b.histogram("receipt_lag_seconds", "from submit_sm_resp to receipt", lagBuckets, "carrier"),
		receiptsAsked:   b.counter("receipts_asked_total", "parts a carrier took and was asked to report on", "carrier"),
		receiptsFinal:   b.counter("receipts_final_total", "first final receipts of such parts", "carrier"),
		receiptRatio:    b.gauge("receipt_ratio", "final receipts to parts asked for, the last hour weighing most; 1 where none was asked for", "carrier"),
		unmatched:       b.counter("receipts_unmatched_total", "receipts that belong to no message; they are kept", "carrier"),
		duplicates:      b.counter("receipts_duplicate_total", "receipts of messages that were final already", "carrier"),
		receiptsRefused: b.counter("receipts_refused_total", "receipts the carrier has to send again", "carrier"),
		mobile:          b.counter("mobile_originated_total", "messages from handsets", "carrier"),
		alerts:          b.counter("alert_notifications_total", "alert_notification of carriers", "carrier"),
		unrecorded:      b.counter("carrier_answers_unrecorded_total", "answers that could not be stored; the part goes again", "carrier"),
		unknown:         b.counter("unknown_subscribers_total", "messages that ended as to an unknown subscriber, told to the registry", "carrier"),

		queueDepth:  b.gauge("queue_messages", "messages that wait, by carrier and class", "carrier", "class"),
		queueOldest: b.gauge("queue_oldest_seconds", "age of the oldest message that waits", "carrier", "class"),
		violations:  b.counter("protocol_violations_total", "breaches of the protocol or of a limit, by peers", "side", "kind"),

		mobileUnrouted:   b.counter("mobile_unrouted_total", "messages from handsets that no rule leads anywhere").WithLabelValues(),
		mobileIncomplete: b.counter("mobile_incomplete_total", "messages from handsets delivered without all their parts").WithLabelValues(),
	}
	m.holds = b.counter("held_total", "messages that were to leave and wait for permitted hours").WithLabelValues()
	m.merged = b.counter("merged_total", "notices that ended because an identical one that left stands for them").WithLabelValues()
	m.unknownDropped = b.counter("unknown_subscribers_dropped_total", "unknown subscribers that the registry was not told of: it was too slow").WithLabelValues()
	stops := b.counter("stopped_total", "messages that were accepted and no longer might leave, by reason", "reason")
	for _, why := range stopReasons {
		m.stops[why] = stops.WithLabelValues(why.String())
	}
	m.haltMetrics = newHaltMetrics(b)
	m.inbox = newInboxMetrics(b)
	m.jobs = newJobMetrics(b)
	ends := b.counter("messages_ended_total", "messages that the gateway itself ended, by state", "state")
	for st := range m.ends {
		m.ends[st] = ends.WithLabelValues(pdu.State(st).Receipt())
	}
	m.clients = newViolationCounter(m.violations, "client")
	return m
}

// builder makes collectors in the masar_ namespace and registers them.
type builder struct {
	r     prometheus.Registerer
	named map[string][]namedSeries
}

// namedSeries is a vector of which some series are one account's or one carrier's.
type namedSeries interface {
	prometheus.Collector
	DeletePartialMatch(prometheus.Labels) int
}

func (b builder) register(v namedSeries, labels []string) {
	if b.r != nil {
		b.r.MustRegister(v)
	}
	for _, l := range labels {
		b.named[l] = append(b.named[l], v)
	}
}

func (b builder) counter(name, help string, labels ...string) *prometheus.CounterVec {
	c := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "masar", Name: name, Help: help}, labels)
	b.register(c, labels)
	return c
}

func (b builder) gauge(name, help string, labels ...string) *prometheus.GaugeVec {
	g := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "masar", Name: name, Help: help}, labels)
	b.register(g, labels)
	return g
}

func (b builder) histogram(name, help string, buckets []float64, labels ...string) *prometheus.HistogramVec {
	h := prometheus.NewHistogramVec(prometheus.HistogramOpts{Namespace: "masar", Name: name, Help: help, Buckets: buckets}, labels)
	b.register(h, labels)
	return h
}

// accountMetrics are one account's, looked up once.
type accountMetrics struct {
	submits      [refusalCount]prometheus.Counter
	commit       prometheus.Observer
	unheard      prometheus.Counter
	binds        prometheus.Gauge
	deliveries   [3]prometheus.Counter
	redeliveries prometheus.Counter
}

func (m *metrics) account(name string) accountMetrics {
	a := accountMetrics{
		commit: m.submitSeconds.WithLabelValues(name), unheard: m.unheard.WithLabelValues(name),
		binds: m.accountBinds.WithLabelValues(name), redeliveries: m.redeliveries.WithLabelValues(name),
	}
	for i, r := range refusals {
		a.submits[i] = m.submits.WithLabelValues(name, r.label)
	}
	for v, label := range map[queue.Verdict]string{queue.Acknowledged: "acknowledged", queue.Refused: "refused", queue.Undelivered: "undelivered"} {
		a.deliveries[v] = m.deliveries.WithLabelValues(name, label)
	}
	return a
}

// carrierMetrics are one carrier's.
type carrierMetrics struct {
	binds           map[pdu.Command]prometheus.Gauge
	bindsRefused    *prometheus.CounterVec
	window          prometheus.Gauge
	pace            prometheus.Gauge
	recovery        prometheus.Gauge
	bulkHeld        prometheus.Gauge
	sent            prometheus.Counter
	answers         [len(answerNames)]prometheus.Counter
	latency         prometheus.Observer
	throttled       prometheus.Counter
	slots           prometheus.Gauge
	uncertain       [uncertainCauses]prometheus.Counter
	retries         prometheus.Counter
	late            prometheus.Counter
	states          [10]prometheus.Counter
	asked, finals   countedCounter
	ratio           prometheus.Gauge
	receiptLag      prometheus.Observer
	unmatched       prometheus.Counter
	duplicates      prometheus.Counter
	receiptsRefused prometheus.Counter
	mobile          prometheus.Counter
	alerts          prometheus.Counter
	unrecorded      prometheus.Counter
	unknown         prometheus.Counter
	observer        *violationCounter
}

func (m *metrics) carrier(name string) carrierMetrics {
	own := prometheus.Labels{"carrier": name}
	c := carrierMetrics{
		binds:        map[pdu.Command]prometheus.Gauge{},
		bindsRefused: m.carrierRefused.MustCurryWith(own),
		window:       m.carrierWindow.With(own), pace: m.carrierPace.With(own), sent: m.carrierSent.With(own),
		latency: m.carrierLatency.With(own), throttled: m.throttled.With(own), slots: m.carrierSlots.With(own),
		retries: m.retries.With(own), late: m.late.With(own), receiptLag: m.receiptLag.With(own),
		unmatched: m.unmatched.With(own), duplicates: m.duplicates.With(own), receiptsRefused: m.receiptsRefused.With(own),
		mobile: m.mobile.With(own), alerts: m.alerts.With(own), unrecorded: m.unrecorded.With(own), unknown: m.unknown.With(own),
		asked: counted(m.receiptsAsked.With(own)), finals: counted(m.receiptsFinal.With(own)),
		ratio: m.receiptRatio.With(own), recovery: m.carrierRecovery.With(own), bulkHeld: m.carrierBulkHeld.With(own),
	}
	c.observer = newViolationCounter(m.violations, "carrier")
	c.observer.overWindow = c.receiptsRefused
	for cause, label := range uncertainNames {
		c.uncertain[cause] = m.uncertain.WithLabelValues(name, label)
	}
	for _, mode := range []pdu.Command{pdu.CmdBindTransceiver, pdu.CmdBindTransmitter, pdu.CmdBindReceiver} {
		c.binds[mode] = m.carrierBinds.WithLabelValues(name, mode.String())
	}
	for i, label := range answerNames {
		c.answers[i] = m.carrierAnswers.WithLabelValues(name, label)
	}
	for st := range c.states {
		c.states[st] = m.receipts.WithLabelValues(name, pdu.State(st).Receipt())
	}
	return c
}

// countedCounter is a counter whose count the gateway itself reads.
type countedCounter struct {
	prometheus.Counter
	n *atomic.Uint64
}

func counted(c prometheus.Counter) countedCounter { return countedCounter{c, new(atomic.Uint64)} }

// Inc counts one.
func (c countedCounter) Inc() { c.Counter.Inc(); c.n.Add(1) }

// receiptRatio is how many of the parts that a carrier was asked to report on it has
// reported on. What is an hour old counts for a third: a carrier that stops sending
// receipts shows within minutes, a night with the handsets off does not.
type receiptRatio struct {
	asked, finals         float64
	askedSeen, finalsSeen uint64
}

// next takes the counts of now, step after those of before.
func (r *receiptRatio) next(asked, finals uint64, step time.Duration) float64 {
	fade := math.Exp(-step.Hours())
	r.asked = r.asked*fade + float64(asked-r.askedSeen)
	r.finals = r.finals*fade + float64(finals-r.finalsSeen)
	r.askedSeen, r.finalsSeen = asked, finals
	if r.asked < 0.5 {
		return 1
	}
	return min(1, r.finals/r.asked)
}

func (c *carrierMetrics) up(mode pdu.Command) prometheus.Gauge { return c.binds[mode] }

func (c *carrierMetrics) answer(class AnswerClass) { c.answers[class].Inc() }

func (c *carrierMetrics) receipt(st pdu.State) {
	if int(st) < len(c.states) {
		c.states[st].Inc()
	}
}

func (m *metrics) ended(st pdu.State) { m.ends[st].Inc() }

// violationCounter counts what sessions complain of. It is their smpp.Observer.
type violationCounter struct {
	kinds      map[string]prometheus.Counter
	overWindow prometheus.Counter // receipts that the session itself refused; nil: not counted
}

func newViolationCounter(v *prometheus.CounterVec, side string) *violationCounter {
	c := &violationCounter{kinds: map[string]prometheus.Counter{}}
	for _, k := range smpp.Violations {
		c.kinds[k] = v.WithLabelValues(side, k)
	}
	return c
}

// PDU is told of each frame; nothing is traced here.
func (*violationCounter) PDU(*smpp.Session, bool, pdu.Header, []byte) {}

// Violation counts one breach.
func (c *violationCounter) Violation(kind string) {
	if n := c.kinds[kind]; n != nil {
		n.Inc()
	}
	if kind == smpp.OverWindow && c.overWindow != nil {
		c.overWindow.Inc()
	}
}

// gauges keeps what is read from the store or from many places up to date, once a second.
func (g *Gateway) gauges() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	before := g.world.Load()
	for {
		select {
		case <-g.ctx.Done():
			return
		case now := <-tick.C:
			before = g.forget(before)
			g.setGauges(now)
		}
	}
}

// forget drops the series of accounts and carriers that a reload has taken away since
// before, and returns the world of now: a name that comes and goes would stay for ever.
func (g *Gateway) forget(before *world) *world {
	// A reload that builds at this moment may have found the series that would be dropped.
	if !g.reloading.TryLock() {
		return before
	}
	defer g.reloading.Unlock()
	w := g.world.Load()
	if w == before {
		return w
	}
	for name := range before.accounts {
		if w.accounts[name] == nil {
			g.met.drop("account", name)
		}
	}
	for name := range before.carriers {
		if w.carriers[name] == nil {
			g.met.drop("carrier", name)
		}
	}
	return w
}

func (m *metrics) drop(label, name string) {
	for _, v := range m.named[label] {
		v.DeletePartialMatch(prometheus.Labels{label: name})
	}
}

// statusLabel is a status that a peer has sent, as a label: its name, or other. A peer may
// send any of four billion.
func statusLabel(st pdu.Status) string {
	if statusNames()[st] {
		return st.String()
	}
	return "other"
}

var statusNames = sync.OnceValue(func() map[pdu.Status]bool {
	known := map[pdu.Status]bool{}
	for st := range pdu.Statuses() {
		known[st] = true
	}
	return known
})

func (g *Gateway) setGauges(now time.Time) {
	w := g.world.Load()
	rows := g.Waiting()
	// What waits for no carrier has a row only while something does: without one its gauges
	// would keep the last value for ever.
	for _, name := range [...]string{Aside, noRoute} {
		for c := range queue.Class(queue.Classes) {
			if !slices.ContainsFunc(rows, func(q Queued) bool { return q.Carrier == name && q.Class == c }) {
				rows = append(rows, Queued{Carrier: name, Class: c})
			}
		}
	}
	for _, q := range rows {
		labels := []string{q.Carrier, q.Class.String()}
		g.met.queueDepth.WithLabelValues(labels...).Set(float64(q.Messages))
		age := 0.0
		if !q.Oldest.IsZero() {
			age = now.Sub(q.Oldest).Seconds()
		}
		g.met.queueOldest.WithLabelValues(labels...).Set(age)
	}
	g.setHaltGauges(w)
	for _, c := range w.carriers {
		c.met.window.Set(float64(c.outstanding.Load()))
		c.met.slots.Set(float64(c.window.Load()))
		c.met.pace.Set(c.paceNow())
		c.setRecoveryGauges()
		c.met.ratio.Set(c.ratio.next(c.met.asked.n.Load(), c.met.finals.n.Load(), time.Second))
	}
	for _, a := range w.accounts {
		g.met.outboxDepth.WithLabelValues(a.name).Set(0)
		g.met.outboxOldest.WithLabelValues(a.name).Set(0)
	}
	g.met.jobs.waiting.Set(0)
	g.store.OutboxDepths(func(account uint32, d queue.Depth) {
		if account == g.teller.number {
			g.met.jobs.waiting.Set(float64(d.Messages))
		}
		if a := w.byNumber[account]; a != nil {
			g.met.outboxDepth.WithLabelValues(a.name).Set(float64(d.Messages))
			if d.Oldest != 0 {
				g.met.outboxOldest.WithLabelValues(a.name).Set(now.Sub(d.Oldest.Time()).Seconds())
			}
		}
	})
}
