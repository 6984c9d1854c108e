package gateway

import (
	"context"
	"slices"
	"sync"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
)

// HaltCount is what there is of a scope at one moment, in messages.
type HaltCount struct {
	Waiting   int64 // in lanes
	Aside     int64 // scheduled, for their hours, for another try, set aside by a halt, or for an operator
	Others    int64 // of Waiting and Aside: held by a halt of another scope, too
	OnWire    int64 // with a part at a carrier that has not answered it
	Sent      int64 // taken by a carrier, whose receipt is to come
	Ended     int64 // taken by a carrier, and ended
	Delivered int64 // of Ended: DELIVRD
}

// CountScope counts the messages of a scope; Sent, Ended and Delivered only those sent, and
// ended, since a moment, none where it is zero. It reads the whole queue: some seconds for
// each million of messages.
func (g *Gateway) CountScope(ctx context.Context, s Scope, since time.Time) (n HaltCount, err error) {
	w := g.world.Load()
	if err := g.checkScope(w, s); err != nil {
		return n, err
	}
	rule, err := g.compileScope(ctx, s)
	if err != nil {
		return n, err
	}
	wire := g.onWire()
	set := g.halts.set.Load()
	err = g.store.Survey(ctx, queue.Survey{Sent: !since.IsZero(), Since: since}, func(v *queue.View) bool {
		if !rule.covers(w, v.M) {
			return ctx.Err() == nil
		}
		switch carrier, flies := wire[v.M.ID]; {
		case flies:
			if rule.carrier == 0 || rule.carrier == carrier {
				n.OnWire++
			}
		case v.Stage == queue.Waiting || v.Stage == queue.Aside:
			if !rule.waits(w, v.M, v.Lane) {
				break
			}
			if v.Stage == queue.Waiting {
				n.Waiting++
			} else {
				n.Aside++
			}
			if set.others(w, v.M, &s) {
				n.Others++
			}
		case v.Stage == queue.Sent:
			if rule.went(v, since) {
				n.Sent++
			}
		case rule.went(v, time.Time{}):
			n.Ended++
			if v.State == pdu.StateDelivered {
				n.Delivered++
			}
		}
		return ctx.Err() == nil
	})
	if err == nil {
		err = ctx.Err()
	}
	return n, err
}

// waits tells whether a waiting message that is covered is the scope's: of a carrier are
// those that no other may carry.
func (r *scopeRule) waits(w *world, m *queue.Message, l queue.Lane) bool {
	switch {
	case r.carrier == 0:
		return true
	case len(m.Answers) > 0:
		return m.Answers[0].Carrier == r.carrier
	}
	return w.onlyCarriers(m, l, func(c *carrier) bool { return c.number == r.carrier })
}

// went tells whether a carrier, in scope, has taken something of a message since a moment.
func (r *scopeRule) went(v *queue.View, since time.Time) bool {
	for i := range v.Parts {
		p := &v.Parts[i]
		if (r.carrier == 0 || p.Carrier == r.carrier) && (since.IsZero() || p.Sent >= queue.At(since)) {
			return true
		}
	}
	return false
}

// others tells whether a halt of another scope stops a message, wherever it would go.
func (s *haltSet) others(w *world, m *queue.Message, but *Scope) bool {
	for _, h := range s.all() {
		if h.Scope != *but && h.carrier == 0 && h.covers(w, m) {
			return true
		}
	}
	return false
}

// aloft is what a carrier's dispatcher has put on the wire, for whoever counts it. What was
// answered leaves it when it has grown to twice the window.
type aloft struct {
	mu      sync.Mutex
	flights []*flight
}

// add notes a flight whose first part goes out now. The dispatcher's.
func (w *aloft) add(f *flight, window int64) {
	if f.wired {
		return
	}
	f.wired = true
	w.mu.Lock()
	defer w.mu.Unlock()
	if int64(len(w.flights)) >= 2*window+mostBegun {
		w.flights = slices.DeleteFunc(w.flights, func(f *flight) bool {
			f.wired = f.out.Load() > 0
			return !f.wired
		})
	}
	w.flights = append(w.flights, f)
}

// onWire lists the messages with an unanswered part, and at which carrier.
func (g *Gateway) onWire() map[queue.ID]uint32 {
	out := map[queue.ID]uint32{}
	look := func(c *carrier) {
		c.wire.mu.Lock()
		defer c.wire.mu.Unlock()
		for _, f := range c.wire.flights {
			if f.out.Load() > 0 {
				out[f.m.ID] = c.number
			}
		}
	}
	for _, c := range g.world.Load().carriers {
		look(c)
	}
	g.leaving.each(look)
	return out
}
