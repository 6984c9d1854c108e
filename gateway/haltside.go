package gateway

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"masar/queue"
)

// Where a halt covers whole lanes they are not pulled, which costs nothing. Where it covers
// some of a lane's messages they are set aside as a dispatcher meets them, many in one
// commit, so that what lies behind them leaves. What was begun is asked again before each
// part. Whoever is set aside comes back by returnHalted, when no halt covers it any more.

// haltStep sets a message aside for as long as it is halted: to its validity at most.
func haltStep(c queue.Claim) queue.Wait {
	return queue.Wait{Claim: c, Until: c.M.Expires, Why: queue.WaitHalted, Lane: c.Lane}
}

// setAside sets claimed messages aside that a set of halts stops. told is called when they
// are on disk, by the committer; nil: nobody. Any goroutine.
func (g *Gateway) setAside(ctx context.Context, set *haltSet, claims []queue.Claim, told func()) {
	waits := make([]queue.Wait, len(claims))
	steps := make([]queue.Step, len(claims))
	for i, c := range claims {
		waits[i] = haltStep(c)
		steps[i] = &waits[i]
	}
	done := queue.DoneFunc(func(err error) {
		if err == nil {
			g.met.halted.Add(float64(len(steps)))
		}
		if g.halts.set.Load() != set {
			g.halts.stir() // lifted meanwhile, and they may have come too late to be found
		}
		if told != nil {
			told()
		}
	})
	if err := g.store.Commit(ctx, done, steps...); err != nil {
		g.releaseAll(steps)
		if told != nil {
			told()
		}
	}
}

// setAsideDue sets those aside that are due and halted, and returns the others.
func (g *Gateway) setAsideDue(ctx context.Context, w *world, claims []queue.Claim, now time.Time) []queue.Claim {
	set := g.halts.set.Load()
	if set == nil {
		return claims
	}
	var halted []queue.Claim
	rest := claims[:0]
	for _, c := range claims {
		if c.M.Expires > queue.At(now) && set.stops(w, c.M, 0) {
			halted = append(halted, c)
		} else {
			rest = append(rest, c)
		}
	}
	if len(halted) > 0 {
		g.setAside(ctx, set, halted, nil)
	}
	return rest
}

// stopsHere tells whether a halt keeps a claimed message from this carrier, and if so
// takes care of it, and of those behind it in its lane that are halted, too.
func (d *dispatcher) stopsHere(w *world, f *flight, lane queue.Lane) bool {
	c, m := d.c, f.m
	set := c.g.halts.set.Load()
	switch {
	case set == nil || !set.stops(w, m, c.number):
		return false
	case len(m.Answers) == 0 && set.stopsLane(lane, c.number):
		d.release(f) // it was pulled a moment before the halt
	case len(m.Answers) == 0 && !set.stops(w, m, 0) && f.grp != nil && lane.Avoid()>>f.place&1 == 1:
		c.corr.aside(f, barredWait) // it came here only because the others are unavailable
	case c.corr.overAnother(w, f, set):
	default:
		d.setLaneAside(w, set, f.claim, lane)
	}
	return true
}

// overAnother gives a message that only this carrier may not have, and of which it has
// nothing, to the others of its route. false: there are none.
func (k *correlator) overAnother(w *world, f *flight, set *haltSet) bool {
	m := f.m
	if f.grp == nil || len(m.Answers) > 0 || set.stops(w, m, 0) {
		return false
	}
	other, left := f.grp.nextLane(f.claim.Lane, f.place, m.Barred)
	if left {
		k.commit(f, &queue.Enter{Claim: f.claim, Lane: other})
	}
	return left
}

// halted takes a flight that a halt has stopped to where it waits.
func (k *correlator) halted(w *world, f *flight, set *haltSet) {
	if !k.overAnother(w, f, set) {
		k.c.g.setAside(k.c.g.ctx, set, []queue.Claim{f.claim}, nil)
	}
}

// setLaneAside sets aside what is halted among the first of a lane, beginning with a
// claimed message. While a whole batch is on its way to disk the lane rests, so that
// others have their turn.
func (d *dispatcher) setLaneAside(w *world, set *haltSet, first queue.Claim, lane queue.Lane) {
	c := d.c
	var more []queue.Claim
	if first.Unsure == 0 && len(first.M.Answers) == 0 {
		more, _ = c.g.store.Take(lane, haltBatch-1, nil)
	}
	onlyHere := !set.stops(w, first.M, 0) // no other carrier is left to those that are like it
	batch := append(make([]queue.Claim, 0, 1+len(more)), first)
	others := more[:0]
	for _, claim := range more {
		m := claim.M
		like := onlyHere && m.Barred == first.M.Barred && len(m.Answers) == 0
		// One that may be at a carrier is asked about that first, when its turn comes.
		if claim.Unsure == 0 && (set.stops(w, m, 0) || like && set.stops(w, m, c.number)) {
			batch = append(batch, claim)
		} else {
			others = append(others, claim)
		}
	}
	for _, claim := range slices.Backward(others) {
		c.g.store.Release(claim)
	}
	if len(others) > 0 {
		c.g.laneHas(lane) // another carrier may have found it empty
	}
	if len(batch) < haltBatch {
		c.g.setAside(c.g.ctx, set, batch, nil)
		return
	}
	d.resting = append(d.resting, lane)
	c.g.setAside(c.g.ctx, set, batch, func() {
		c.mu.Lock()
		c.rested = append(c.rested, lane)
		c.mu.Unlock()
		c.wakeUp()
	})
}

// rests tells whether a lane waits for the store's word on what was set aside of it.
func (d *dispatcher) rests(l queue.Lane) bool { return slices.Contains(d.resting, l) }

// obey takes note of the halts as they are now: lanes that have rested may be pulled again,
// and of the flights that are open those are stopped that must not go on.
func (d *dispatcher) obey(rested []queue.Lane) {
	for _, l := range rested {
		if i := slices.Index(d.resting, l); i >= 0 {
			d.resting = slices.Delete(d.resting, i, i+1)
		}
	}
	set := d.c.g.halts.set.Load()
	if set == nil || len(d.open) == 0 {
		return
	}
	w := d.c.g.world.Load()
	d.open = slices.DeleteFunc(d.open, func(f *flight) bool {
		if f.stopped.Load() || len(f.todo) == 0 || !set.stops(w, f.m, d.c.number) {
			return false
		}
		d.stopFlight(f, set)
		return true
	})
}

// stopFlight lets nothing more of a flight go. The correlator sets it aside when what is
// out of it has come home.
func (d *dispatcher) stopFlight(f *flight, set *haltSet) {
	f.keeps, f.todo = clearance{halted: set}, nil
	f.stopped.Store(true) // before what is out can come back to be sent again
	d.c.corr.put(event{kind: flightKept, part: &f.parts[0]})
}

// haltSafety is how long after a round another one looks for what was in other hands.
const haltSafety = 10 * time.Second

// returnHalted puts back what no halt covers any more, whenever something may have become
// free of them: each time a round through all that is set aside.
func (g *Gateway) returnHalted() {
	safety := time.NewTimer(haltSafety)
	defer safety.Stop()
	for {
		select {
		case <-g.ctx.Done():
			return
		case <-g.halts.kick:
			safety.Reset(haltSafety)
		case <-safety.C:
		}
		if err := g.haltRound(g.ctx); err != nil && g.ctx.Err() == nil {
			g.log.Error("halted messages could not be put back", slog.Any("err", err))
			safety.Reset(haltSafety)
		}
	}
}

// haltRound looks at every message that is set aside, once. While one batch is on its way
// to disk the next is read.
func (g *Gateway) haltRound(ctx context.Context) error {
	p := &promotion{g: g}
	back := 0
	var writing <-chan error
	var failed error
	for over := false; !over && failed == nil; {
		now := time.Now()
		claims, err := g.store.Due(ctx, queue.Halted, now, haltBatch, make([]queue.Claim, 0, haltBatch))
		if over = len(claims) < haltBatch; err != nil {
			for _, c := range claims {
				g.store.Release(c)
			}
			failed = err
			break
		}
		set, w := g.halts.set.Load(), g.world.Load()
		p.fed = map[queue.Lane]struct{}{}
		steps := make([]queue.Step, 0, len(claims))
		for _, c := range claims {
			if set.keeps(w, c.M, c.Lane) {
				g.store.Release(c)
				continue
			}
			steps = append(steps, p.step(ctx, w, c, now))
		}
		if writing != nil {
			failed = <-writing
		}
		writing = g.commitSoon(ctx, steps)
		back += len(steps)
		g.met.haltReturned.Add(float64(len(steps)))
	}
	if writing != nil {
		failed = errors.Join(failed, <-writing)
	}
	if back > 0 {
		g.log.Info("halted messages were put back", slog.Int("messages", back))
	}
	return failed
}
