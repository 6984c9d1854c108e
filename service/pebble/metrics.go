package pebble

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"masar/service"
)

// metrics are the registry's. A nil registerer leaves them uncollected.
type metrics struct {
	reg        prometheus.Registerer
	collectors []prometheus.Collector

	memory, disk, none prometheus.Counter
	lookupTime         prometheus.Histogram
	applyTime          prometheus.Histogram
	changes            [service.Erase + 1][service.NotDone + 1]prometheus.Counter
}

var effectNames = [...]string{service.Changed: "changed", service.NothingNew: "nothing_new", service.NotDone: "refused"}

func newMetrics(reg prometheus.Registerer, r *Registry) *metrics {
	m := &metrics{reg: reg}
	lookups := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "masar_registry_lookups_total", Help: "Numbers asked for, by where the answer came from; none: not in memory, and nothing on disk.",
	}, []string{"result"})
	m.memory, m.disk, m.none = lookups.WithLabelValues("memory"), lookups.WithLabelValues("disk"), lookups.WithLabelValues("none")
	m.lookupTime = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "masar_registry_lookup_seconds", Help: "Time of a lookup that memory could not answer.",
		Buckets: []float64{.00001, .00002, .00005, .0001, .0002, .0005, .001, .002, .005, .01, .1},
	})
	m.applyTime = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "masar_registry_apply_seconds", Help: "Time of one batch of changes, waiting and fsync included.",
		Buckets: []float64{.0005, .001, .002, .005, .01, .02, .05, .1, .2, .5, 1, 5},
	})
	changes := prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "masar_registry_changes_total", Help: "Changes asked for, by kind and by what became of them.",
	}, []string{"kind", "effect"})
	for k := range m.changes {
		for e := range m.changes[k] {
			m.changes[k][e] = changes.WithLabelValues(service.ChangeKind(k).String(), effectNames[e])
		}
	}
	gauge := func(name, help string, f func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, f)
	}
	total := func(f func(*totals) int64) func() float64 {
		return func() float64 {
			r.statsMu.Lock()
			defer r.statsMu.Unlock()
			return float64(f(&r.total))
		}
	}
	m.collectors = []prometheus.Collector{lookups, m.lookupTime, m.applyTime, changes,
		gauge("masar_registry_subscribers", "Persons with a number.", total(func(t *totals) int64 { return t.subscribers })),
		gauge("masar_registry_suspended", "Of those, the ones whose number is not trusted.", total(func(t *totals) int64 { return t.suspended })),
		gauge("masar_registry_blocked", "Numbers on the blocklist.", total(func(t *totals) int64 { return t.blocked })),
		gauge("masar_registry_bytes", "What the registry takes on disk.", r.octets),
		gauge("masar_registry_free_bytes", "Free space on the registry's disk; -1: unknown.", func() float64 { return float64(r.disk.free.Load()) }),
		gauge("masar_registry_full", "1 while enrolments are refused for want of disk.", func() float64 {
			if r.disk.level.Load() > 0 {
				return 1
			}
			return 0
		}),
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

func (m *metrics) lookup(found bool, took time.Duration) {
	if found {
		m.disk.Inc()
	} else {
		m.none.Inc()
	}
	m.lookupTime.Observe(took.Seconds())
}

func (m *metrics) applied(list []service.Change, out []service.Outcome, took time.Duration) {
	m.applyTime.Observe(took.Seconds())
	for i := range list {
		if k := list[i].Kind; k <= service.Erase {
			m.changes[k][out[i].Effect].Inc()
		}
	}
}

// octets is what the folder takes; 0 once the registry is closed.
func (r *Registry) octets() float64 {
	if r.begin() != nil {
		return 0
	}
	defer r.end()
	return float64(r.db.Metrics().DiskSpaceUsage())
}
