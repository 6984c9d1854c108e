package gateway

import (
	"cmp"
	"math"
	"slices"
	"time"

	"masar/queue"
	"masar/ratelimit"
)

// Drain is how long what waits in one class for one carrier takes to leave, if nothing new
// arrives. What several carriers of a route may take is split between them by their pace.
type Drain struct {
	Carrier   string
	Class     string
	Messages  int64
	PerSecond float64       // messages a second at its full pace
	Takes     time.Duration // until the last of them has left, those of the classes before counted in; below 0: never, the carrier is down
	HeldBulk  bool          // these are bulk and held back: Takes counts from their Release
}

// Drain tells how long the backlog takes, by carrier and class, from memory. What waits on
// the side way, and what waits for a route that is gone, is not counted.
func (g *Gateway) Drain() []Drain {
	f := g.forecast(time.Now())
	var out []Drain
	for _, c := range f.carriers {
		ahead := 0.0
		for class := range queue.Class(queue.Classes) {
			ahead += c.parts[class]
			d := Drain{
				Carrier: c.c.name, Class: class.String(), Messages: int64(math.Round(c.messages[class])),
				PerSecond: c.climb.Full / c.c.partsEach(), Takes: never, HeldBulk: class == queue.Bulk && c.held,
			}
			if c.up {
				d.Takes = c.climb.Time(ahead)
			}
			out = append(out, d)
		}
	}
	slices.SortStableFunc(out, func(a, b Drain) int { return cmp.Compare(a.Carrier, b.Carrier) })
	return out
}

// never is how long it takes while nobody takes it.
const never = time.Duration(-1)

// TimeFor tells how long so many parts of a class take to leave beside what waits now, if
// nothing else arrives: each route's share, by the route's name or as Trial.Route has it,
// goes over its carriers by their pace, behind their backlog of the same class and those
// before it. Below 0: never, a route is unknown or all its carriers are down.
func (g *Gateway) TimeFor(parts map[string]int64, class queue.Class) time.Duration {
	f := g.forecast(time.Now())
	mine := make([]float64, len(f.carriers))
	for name, n := range parts {
		if n <= 0 {
			continue
		}
		grp := f.w.groupNamed(name)
		if grp == nil {
			return never
		}
		up := f.takers(grp, 0, grp.policy.maxWait >= 0) // so much waits longer than that
		for _, i := range up {
			mine[i] += float64(n) * f.share(i, up)
		}
		if len(up) == 0 {
			return never
		}
	}
	longest := time.Duration(0)
	for i, n := range mine {
		if n == 0 {
			continue
		}
		for c := range min(class+1, queue.Classes) {
			n += f.carriers[i].parts[c]
		}
		longest = max(longest, f.carriers[i].climb.Time(n))
	}
	return longest
}

// groupNamed finds a group by its route's name, or by its own.
func (w *world) groupNamed(name string) *group {
	if grp := w.named[name]; grp != nil {
		return grp
	}
	for _, grp := range w.groups {
		if grp.name == name {
			return grp
		}
	}
	return nil
}

// A forecast is what waits for each carrier at one moment, and how fast it goes.
type forecast struct {
	w        *world
	carriers []carrierForecast
	place    map[*carrier]int
}

type carrierForecast struct {
	c        *carrier
	up, held bool
	climb    ratelimit.Climb
	messages [queue.Classes]float64
	parts    [queue.Classes]float64
}

func (g *Gateway) forecast(now time.Time) *forecast {
	f := &forecast{w: g.world.Load(), place: map[*carrier]int{}}
	for _, c := range f.w.carriers {
		f.place[c] = len(f.carriers)
		f.carriers = append(f.carriers, carrierForecast{
			c: c, up: c.downSince.Load() == 0 && !c.shut.Load(), held: c.bulkHeld.Load(), climb: c.climbNow(now),
		})
	}
	g.store.Depths(func(l queue.Lane, d queue.Depth) {
		grp := f.w.groups[l.Group()]
		if l.Target == 0 || grp == nil || d.Messages == 0 || l.Class >= queue.Classes {
			return
		}
		overdue := grp.policy.maxWait >= 0 && d.Oldest != 0 && now.Sub(d.Oldest.Time()) > grp.policy.maxWait
		takers := f.takers(grp, l.Avoid(), overdue)
		if l.Class == queue.Bulk {
			takers = f.unheld(takers)
		}
		if len(takers) == 0 {
			takers = []int{f.place[grp.first(l.Avoid())]}
		}
		for _, i := range takers {
			c := &f.carriers[i]
			n := float64(d.Messages) * f.share(i, takers)
			c.messages[l.Class] += n
			c.parts[l.Class] += n * c.c.partsEach()
		}
	})
	return f
}

// takers are the carriers of a group that take from a lane now: those of the first tier of
// which one is up, or of all tiers.
func (f *forecast) takers(grp *group, avoid uint16, allTiers bool) (up []int) {
	avoid &= grp.all()
	if avoid == grp.all() {
		avoid = 0
	}
	tier := math.MaxInt
	for i := range grp.members {
		m := &grp.members[i]
		at, known := f.place[m.carrier]
		if !known || avoid>>i&1 == 1 || !f.carriers[at].up {
			continue
		}
		switch {
		case !allTiers && m.tier > tier:
			continue
		case !allTiers && m.tier < tier:
			up, tier = up[:0], m.tier
		}
		up = append(up, at)
	}
	return up
}

// unheld leaves out those that hold bulk back, where others do not.
func (f *forecast) unheld(takers []int) []int {
	free := make([]int, 0, len(takers))
	for _, i := range takers {
		if !f.carriers[i].held {
			free = append(free, i)
		}
	}
	if len(free) == 0 {
		return takers
	}
	return free
}

// share is what falls to one of several carriers: as much as its pace is of theirs.
func (f *forecast) share(i int, of []int) float64 {
	all := 0.0
	for _, k := range of {
		all += f.carriers[k].climb.Full
	}
	if all == 0 {
		return 1 / float64(len(of))
	}
	return f.carriers[i].climb.Full / all
}

// climbNow is how fast a carrier goes from now on. One without a limit is taken to go as
// fast as in its busiest second of late, at least a window of each bind a second.
func (c *carrier) climbNow(now time.Time) ratelimit.Climb {
	r := &c.opt.Recovery
	k := ratelimit.Climb{Full: c.opt.Throughput, Share: 1, Step: r.Step, Every: r.Every}
	rate := c.paceNow()
	if next := c.climbing.next.Load(); next != 0 {
		k.Share, k.Next = math.Float64frombits(c.climbing.share.Load()), time.Unix(0, next).Sub(now)
		if k.Full <= 0 && k.Share > 0 {
			k.Full = rate / k.Share
		}
		return k
	}
	switch {
	case rate > 0:
		k.Full = rate
	case k.Full <= 0:
		slots := max(c.window.Load(), int64(c.opt.Window*max(1, c.opt.Transceivers+c.opt.Transmitters)))
		k.Full = max(ratelimit.LeastMeasured, float64(slots), math.Float64frombits(c.climbing.busiest.Load()))
	}
	return k
}

// partsEach is how many parts a message has had on the carrier of late, on average.
func (c *carrier) partsEach() float64 {
	return max(1, math.Float64frombits(c.climbing.partsEach.Load()))
}
