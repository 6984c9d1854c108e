package gateway

import (
	"cmp"
	"slices"
	"time"

	"masar/queue"
)

// Queued is what waits in one class for one carrier: the first of the route's carriers
// that the lane does not avoid.
type Queued struct {
	Carrier  string
	Class    queue.Class
	Messages int64
	Oldest   time.Time // when the oldest entered; zero when nothing waits
}

// Aside names what waits on the side way: scheduled, held, or for its next try.
const Aside = "(aside)"

// noRoute names what waits in lanes of a route that is gone, until it is routed anew.
const noRoute = "(no route)"

// Waiting tells what waits, by carrier and class, from memory. Carriers for which nothing
// waits have their rows too.
func (g *Gateway) Waiting() []Queued {
	w := g.world.Load()
	type key struct {
		carrier string
		class   queue.Class
	}
	rows := map[key]*Queued{}
	row := func(carrier string, c queue.Class) *Queued {
		k := key{carrier, c}
		if rows[k] == nil {
			rows[k] = &Queued{Carrier: carrier, Class: c}
		}
		return rows[k]
	}
	for name := range w.carriers {
		for c := range queue.Class(queue.Classes) {
			row(name, c)
		}
	}
	g.store.Depths(func(l queue.Lane, d queue.Depth) {
		q := row(w.waitsFor(l), l.Class)
		q.Messages += d.Messages
		if d.Messages > 0 && d.Oldest != 0 && (q.Oldest.IsZero() || d.Oldest.Time().Before(q.Oldest)) {
			q.Oldest = d.Oldest.Time()
		}
	})
	out := make([]Queued, 0, len(rows))
	for _, q := range rows {
		out = append(out, *q)
	}
	slices.SortFunc(out, func(a, b Queued) int {
		return cmp.Or(cmp.Compare(a.Carrier, b.Carrier), cmp.Compare(a.Class, b.Class))
	})
	return out
}

// waitsFor names the carrier a lane waits for first.
func (w *world) waitsFor(l queue.Lane) string {
	if l.Target == 0 {
		return Aside
	}
	grp := w.groups[l.Group()]
	if grp == nil {
		return noRoute
	}
	first := -1
	for i, m := range grp.members {
		if l.Avoid()&(1<<i) == 0 && (first < 0 || m.place < grp.members[first].place) {
			first = i
		}
	}
	return grp.members[max(first, 0)].carrier.name
}

// CarrierView is a carrier's state as an operator sees it.
type CarrierView struct {
	Name        string
	Binds       int       // that can transmit
	Outstanding int64     // submit_sm without an answer
	Window      int64     // the most there may be
	Pace        float64   // submit_sm a second now; 0: no limit
	Recovery    float64   // share of its pace, below 1 while it climbs after an outage
	BulkHeld    bool      // bulk waits for Release
	DownSince   time.Time // zero while bound
}

// Carriers tells each carrier's state, by name.
func (g *Gateway) Carriers() []CarrierView {
	var out []CarrierView
	for _, c := range g.world.Load().carriers {
		v := CarrierView{Name: c.name, Outstanding: c.outstanding.Load(), Window: c.window.Load(), Pace: c.paceNow(), Recovery: c.recovered(), BulkHeld: c.bulkHeld.Load()}
		c.mu.Lock()
		v.Binds = len(c.binds)
		c.mu.Unlock()
		if since := c.downSince.Load(); since != 0 {
			v.DownSince = time.Unix(0, since)
		}
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b CarrierView) int { return cmp.Compare(a.Name, b.Name) })
	return out
}
