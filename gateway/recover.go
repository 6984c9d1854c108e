package gateway

import (
	"errors"
	"log/slog"
	"math"
	"sync/atomic"
	"time"

	"masar/queue"
	"masar/ratelimit"
)

// Recovery is how a carrier is brought back after an outage: one that was down for longer
// than After, and for which more waits then than it sends in a second, begins at From of
// its throughput and climbs by Step of it each Every.
//
// Where it has no throughput the climb goes to the busiest second that was seen before the
// outage, to at least 10/s and at least one window of each bind a second; after that the
// limit grows by itself and is lifted.
type Recovery struct {
	After    time.Duration // default 1m; negative: there is no climb, and bulk is never held
	From     float64       // share of the throughput, above 0, at most 1; default 0.1
	Step     float64       // default 0.1
	Every    time.Duration // default 5s
	HoldBulk bool          // bulk messages do not go with the rest, but when Release says so
}

func (r *Recovery) setDefaults() {
	orDefault(&r.After, time.Minute)
	orDefault(&r.From, 0.1)
	orDefault(&r.Step, 0.1)
	orDefault(&r.Every, 5*time.Second)
}

// ErrNoBulkHeld is Release's answer where there is nothing to release.
var ErrNoBulkHeld = errors.New("the carrier holds no bulk back")

// Release lets a carrier take bulk messages again that it holds back since an outage
// (Recovery.HoldBulk). ErrNoCarrier or ErrNoBulkHeld.
func (g *Gateway) Release(carrier string) error {
	c := g.world.Load().carrier(carrier)
	switch {
	case c == nil:
		return ErrNoCarrier
	case !c.bulkHeld.CompareAndSwap(true, false):
		return ErrNoBulkHeld
	}
	c.log.Info("bulk is released")
	g.stirGroups(c)
	return nil
}

// An outage is since when a carrier is not itself. It is a brain, kept under the carrier's
// mu; times are those of its transmitting binds.
type outage struct {
	began  time.Time // zero: there was none
	up     time.Time // since when it is bound; zero: it is down
	first  bool      // nothing was bound since the process began
	fresh  bool      // it came back, and the dispatcher has not heard of it
	steady time.Duration
}

// lost notes that the last bind is gone. A carrier that was bound for less than steady, or
// that is in the middle of its climb, is in the same outage still.
func (o *outage) lost(now time.Time, climbing bool) {
	if o.began.IsZero() || !o.up.IsZero() && !climbing && now.Sub(o.up) >= o.steady {
		o.began = now
	}
	o.up, o.first = time.Time{}, false
}

// back notes the first bind.
func (o *outage) back(now time.Time) { o.up, o.fresh = now, true }

// long tells whether the outage that is over now was one. What waited before the process
// began tells of one that nobody here has seen.
func (o *outage) long(now, oldest time.Time) bool {
	switch {
	case o.steady < 0 || o.began.IsZero():
		return false
	case now.Sub(o.began) > o.steady:
		return true
	}
	return o.first && !oldest.IsZero() && o.began.Sub(oldest) > o.steady
}

// cameBack begins the climb of a carrier that is back from an outage, when much waits for it.
func (d *dispatcher) cameBack(o outage) {
	c, r := d.c, &d.c.opt.Recovery
	waits, oldest := c.backlog()
	full := c.opt.Throughput
	least := float64(c.window.Load())
	if full <= 0 {
		full = max(ratelimit.LeastMeasured, least, d.pace.Busiest())
	}
	if !o.long(d.now, oldest) || float64(waits) <= max(full, ratelimit.LeastMeasured) {
		return
	}
	d.pace.Ramp(d.now, ratelimit.RampOptions{From: r.From, Step: r.Step, Every: r.Every}, least)
	share, next := d.pace.Climb()
	if next.IsZero() {
		return // it begins with all of its pace
	}
	d.share = share
	c.climbing.share.Store(math.Float64bits(share))
	c.log.Info("carrier is back after an outage, its pace climbs", slog.Duration("down_for", d.now.Sub(o.began).Round(time.Second)),
		slog.Int64("waiting", waits), slog.Float64("share", round2(share)), slog.Float64("pace", round2(d.pace.Rate())))
	if r.HoldBulk && !c.bulkHeld.Swap(true) {
		c.log.Warn("bulk is held back until it is released", slog.Int64("waiting", waits))
	}
}

// climbView is what others may know of a carrier's climb.
type climbView struct {
	share     atomic.Uint64 // of its pace, as bits of a float64
	next      atomic.Int64  // unix nanoseconds of the next step; 0: it does not climb
	busiest   atomic.Uint64 // most parts in a second of late, as bits of a float64
	partsEach atomic.Uint64 // of a message, as bits of a float64
}

// publishEvery is how often those who watch are told what changes with every message.
const publishEvery = time.Second

// mean is the mean of about the last 256 numbers.
type mean struct {
	value float64
	of    int
}

func (m *mean) add(n int) {
	m.of = min(m.of+1, 256)
	m.value += (float64(n) - m.value) / float64(m.of)
}

// climb tells of each step of a climb, once.
func (d *dispatcher) climb() {
	v := &d.c.climbing
	if d.now.Sub(d.published) >= publishEvery {
		d.published = d.now
		v.busiest.Store(math.Float64bits(d.pace.Busiest()))
		v.partsEach.Store(math.Float64bits(d.partsEach.value))
	}
	share, next := d.pace.Climb()
	if !next.IsZero() && !d.now.Before(next) {
		d.pace.Wait(d.now) // it is due also where nothing is sent
		share, next = d.pace.Climb()
	}
	if len(d.binds) == 0 || next.IsZero() && share == d.share {
		return // a carrier that is down climbs nowhere
	}
	if next.IsZero() {
		v.next.Store(0)
	} else {
		d.lookAgain(next)
		v.next.Store(next.UnixNano())
	}
	if share == d.share {
		return
	}
	d.share = share
	v.share.Store(math.Float64bits(share))
	if share < 1 {
		d.c.log.Info("carrier climbs", slog.Float64("share", round2(share)), slog.Float64("pace", round2(d.pace.Rate())))
	} else {
		d.c.log.Info("carrier has its full pace again")
	}
}

// recovered is the share of its pace that the carrier is given.
func (c *carrier) recovered() float64 { return math.Float64frombits(c.climbing.share.Load()) }

func (c *carrier) setRecoveryGauges() {
	held := 0.0
	if c.bulkHeld.Load() {
		held = 1
	}
	c.met.recovery.Set(c.recovered())
	c.met.bulkHeld.Set(held)
}

// recoverAs makes c, which takes old's place after a reload, be in old's outage: a climb
// begins again, and what was held stays held.
//
// REQUIRES: c has not started.
func (c *carrier) recoverAs(old *carrier) {
	old.mu.Lock()
	was := old.outage
	old.mu.Unlock()
	was.fresh, was.steady = false, c.opt.Recovery.After
	c.mu.Lock()
	c.outage = was
	c.mu.Unlock()
	c.bulkHeld.Store(old.bulkHeld.Load() && c.opt.Recovery.HoldBulk && c.opt.Recovery.After >= 0)
}

// backlog is how many messages wait in lanes that the carrier serves, and since when the
// oldest does; from memory.
func (c *carrier) backlog() (messages int64, oldest time.Time) {
	w := c.g.world.Load()
	c.g.store.Depths(func(l queue.Lane, d queue.Depth) {
		grp := w.groups[l.Group()]
		if l.Target == 0 || grp == nil || d.Messages == 0 {
			return
		}
		i := grp.index(c)
		if i < 0 || l.Avoid()>>i&1 == 1 && l.Avoid()&grp.all() != grp.all() {
			return
		}
		messages += d.Messages
		if at := d.Oldest.Time(); d.Oldest != 0 && (oldest.IsZero() || at.Before(oldest)) {
			oldest = at
		}
	})
	return messages, oldest
}

func round2(x float64) float64 { return math.Round(x*100) / 100 }
