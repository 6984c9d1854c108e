package pebble

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"masar/queue"
)

// metrics are the store's. A nil registerer leaves them uncollected.
type metrics struct {
	reg        prometheus.Registerer
	collectors []prometheus.Collector
	batchTime  prometheus.Histogram
	batchSize  prometheus.Histogram
	octets     prometheus.Counter
	unmatchedN prometheus.Counter
	badEnds    [3]prometheus.Counter
}

func newMetrics(reg prometheus.Registerer, s *Store) *metrics {
	m := &metrics{reg: reg}
	m.batchTime = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "masar_store_commit_seconds", Help: "Time of one group commit: apply and fsync.",
		Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 5},
	})
	m.batchSize = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "masar_store_commit_size", Help: "Commits that shared one fsync.",
		Buckets: prometheus.ExponentialBuckets(1, 4, 7),
	})
	m.octets = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "masar_store_wal_bytes_total", Help: "Octets written to the log.",
	})
	m.unmatchedN = prometheus.NewCounter(prometheus.CounterOpts{
		Name: "masar_store_unmatched_total", Help: "Receipts kept that matched nothing.",
	})
	ended := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "masar_store_outbox_ended_total", Help: "Deliveries that left an outbox unacknowledged.",
	}, []string{"verdict"})
	m.badEnds[queue.Refused] = ended.WithLabelValues("refused")
	m.badEnds[queue.Undelivered] = ended.WithLabelValues("undelivered")
	m.badEnds[queue.Acknowledged] = ended.WithLabelValues("acknowledged")
	m.collectors = []prometheus.Collector{m.batchTime, m.batchSize, m.octets, m.unmatchedN, ended}
	gauge := func(name, help string, labels prometheus.Labels, f func() float64) {
		m.collectors = append(m.collectors, prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help, ConstLabels: labels}, f))
	}
	gauge("masar_store_full", "1 while the disk has no room for submits.", nil, func() float64 {
		if submits, _ := s.Full(); submits {
			return 1
		}
		return 0
	})
	gauge("masar_store_free_bytes", "Free space on the store's disk; -1: unknown.", nil, func() float64 { return float64(s.disk.free.Load()) })
	gauge("masar_store_waiting", "Messages waiting.", nil, func() float64 { return float64(s.waiting()) })
	gauge("masar_store_read_ahead_bytes", "Octets of waiting messages held in memory.", nil, func() float64 {
		s.mu.Lock()
		defer s.mu.Unlock()
		return float64(s.memory)
	})
	for c := range queue.Class(queue.Classes) {
		gauge("masar_store_room_threshold", "Share of the room from which a class is refused.",
			prometheus.Labels{"class": c.String()}, func() float64 { return float64(reserve[c]) / 100 })
		m.collectors = append(m.collectors, prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "masar_store_refused_total", Help: "Accepts refused for want of room.", ConstLabels: prometheus.Labels{"class": c.String()},
		}, func() float64 {
			s.inbox.mu.Lock()
			defer s.inbox.mu.Unlock()
			return float64(s.inbox.room.refused[c])
		}))
	}
	if reg != nil {
		for _, c := range m.collectors {
			reg.MustRegister(c)
		}
	}
	return m
}

func (m *metrics) unregister() {
	if m.reg != nil {
		for _, c := range m.collectors {
			m.reg.Unregister(c)
		}
	}
}

func (m *metrics) batch(commits, octets int, took time.Duration) {
	m.batchTime.Observe(took.Seconds())
	m.batchSize.Observe(float64(commits))
	m.octets.Add(float64(octets))
}

func (m *metrics) unmatched()                  { m.unmatchedN.Inc() }
func (m *metrics) undelivered(v queue.Verdict) { m.badEnds[v].Inc() }

// waiting is how many messages wait, reservations included.
func (s *Store) waiting() int64 {
	s.inbox.mu.Lock()
	defer s.inbox.mu.Unlock()
	return s.inbox.room.used
}
