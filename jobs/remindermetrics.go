package jobs

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"masar/service/reminder"
)

// reminderMetrics are of reminders. A nil registerer leaves them uncollected.
type reminderMetrics struct {
	reg        prometheus.Registerer
	collectors []prometheus.Collector

	puts                 *prometheus.CounterVec
	deleted, withdrawn   prometheus.Counter
	sent, held, moved    prometheus.Counter
	refused              prometheus.Counter
	delivered, failed    prometheus.Counter
	unreached, postponed prometheus.Counter
	late                 prometheus.Histogram
}

// latenessBuckets reach from what nobody sees to what has missed its day.
var latenessBuckets = []float64{.1, .2, .5, 1, 2, 5, 10, 30, 60, 300, 900, 3600, 4 * 3600, 24 * 3600}

func newReminderMetrics(reg prometheus.Registerer, r *Reminders) *reminderMetrics {
	m := &reminderMetrics{reg: reg}
	counter := func(name, help string) prometheus.Counter {
		c := prometheus.NewCounter(prometheus.CounterOpts{Name: name, Help: help})
		m.collectors = append(m.collectors, c)
		return c
	}
	gauge := func(name, help string, f func() float64) {
		m.collectors = append(m.collectors, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f))
	}
	m.puts = prometheus.NewCounterVec(prometheus.CounterOpts{Name: "masar_reminder_puts_total", Help: "reminders asked for, by what that did"}, []string{"status"})
	m.collectors = append(m.collectors, m.puts)
	for _, s := range [...]reminder.PutStatus{reminder.PutCreated, reminder.PutMoved, reminder.PutChanged, reminder.PutUnchanged, putRefused} {
		m.puts.WithLabelValues(string(s))
	}
	m.deleted = counter("masar_reminder_deletes_total", "reminders ended by who asked for them")
	m.withdrawn = counter("masar_reminder_withdrawn_total", "messages of reminders that were taken back from the queue: deleted, another date, or the next one's day")
	m.sent = counter("masar_reminder_sent_total", "messages of reminders handed to the queue")
	m.refused = counter("masar_reminder_refused_total", "messages of reminders that the gateway refused: each counts as a try")
	m.postponed = counter("masar_reminder_postponed_total", "messages of reminders that found no room and wait a few seconds")
	m.held = counter("masar_reminder_held_total", "reminders whose hours had changed when they were due: they wait for the new ones")
	m.delivered = counter("masar_reminder_delivered_total", "messages of reminders that ended DELIVRD")
	m.failed = counter("masar_reminder_failed_total", "messages of reminders that ended otherwise: tried again while days are left")
	m.unreached = counter("masar_reminder_unreached_total", "steps of reminders whose tries were all in vain: rows of the daily lists")
	m.moved = counter("masar_reminder_moved_total", "reminders whose date was moved with that of their whole service")
	m.late = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "masar_reminder_late_seconds", Help: "time from when a reminder was due until it was in the queue on disk", Buckets: latenessBuckets,
	})
	m.collectors = append(m.collectors, m.late)
	gauge("masar_reminder_pending", "reminders that are not over", func() float64 { return float64(r.store.Pending()) })
	gauge("masar_reminder_store_bytes", "what reminders take on disk", func() float64 { return float64(r.store.DiskBytes()) })
	gauge("masar_reminder_moves", "moves of all dates of a service that are under way", func() float64 { return float64(r.underWay()) })
	if reg != nil {
		for _, c := range m.collectors {
			reg.MustRegister(c)
		}
	}
	return m
}

func (m *reminderMetrics) unregister() {
	if m.reg != nil {
		for _, c := range m.collectors {
			m.reg.Unregister(c)
		}
	}
}

// putRefused is counted beside the statuses.
const putRefused reminder.PutStatus = "refused"

func (m *reminderMetrics) put(o *reminder.PutOutcome) {
	status := o.Status
	if o.Err != nil {
		status = putRefused
	}
	m.puts.WithLabelValues(string(status)).Inc()
}

func (m *reminderMetrics) lateness(d time.Duration) { m.late.Observe(max(d, 0).Seconds()) }
