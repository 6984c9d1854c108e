package gateway

import (
	"github.com/prometheus/client_golang/prometheus"

	"masar/queue"
)

// haltMetrics are those of halts.
type haltMetrics struct {
	halts         prometheus.Gauge
	haltedNow     prometheus.Gauge
	halted        prometheus.Counter
	haltReturned  prometheus.Counter
	haltCancelled prometheus.Counter
}

func newHaltMetrics(b builder) haltMetrics {
	return haltMetrics{
		halts:         b.gauge("halts", "halts in force").WithLabelValues(),
		haltedNow:     b.gauge("halted_messages", "messages that a halt holds: set aside, or in lanes that no carrier pulls").WithLabelValues(),
		halted:        b.counter("halt_set_aside_total", "messages set aside because a halt holds them").WithLabelValues(),
		haltReturned:  b.counter("halt_returned_total", "messages that were set aside and go on after a halt").WithLabelValues(),
		haltCancelled: b.counter("halt_cancelled_total", "messages ended by the cancel of a halt").WithLabelValues(),
	}
}

func (g *Gateway) setHaltGauges(w *world) {
	set := g.halts.set.Load()
	g.met.halts.Set(float64(set.len()))
	held := int64(0)
	g.store.Depths(func(l queue.Lane, d queue.Depth) {
		held += d.Halted
		if l.Target != 0 && d.Messages > 0 && set.holdsLane(w, l) {
			held += d.Messages
		}
	})
	g.met.haltedNow.Set(float64(held))
}

// holdsLane tells whether no carrier may take from a lane.
func (s *haltSet) holdsLane(w *world, l queue.Lane) bool {
	if s == nil {
		return false
	}
	if s.stopsLane(l, 0) {
		return true
	}
	grp := w.groups[l.Group()]
	if grp == nil {
		return false
	}
	for i := range grp.members {
		if !s.stopsLane(l, grp.members[i].carrier.number) {
			return false
		}
	}
	return true
}
