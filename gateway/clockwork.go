package gateway

import (
	"context"
	"log/slog"
	"time"

	"masar/queue"
	"masar/route"
	"masar/smpp/pdu"
)

// The clockwork moves what time moves: scheduled and retried messages back into lanes,
// expired ones to their end, sent ones without a receipt to UNKNOWN, those of a route that
// is gone to another. One goroutine a job, each at a bounded rate.

const (
	promoteMost  = 512                    // messages of one promotion
	promoteEvery = 200 * time.Millisecond // how often due messages are looked for
	laneFull     = 10000                  // promotion stops while the lanes it feeds hold so many
	expireEvery  = 10 * time.Second
	overdueEvery = time.Minute
	overdueIdle  = 40 // batches without an overdue message after which the round goes on a minute later
	orphanEvery  = time.Second
	orphanMost   = 5000 // messages routed anew in a second
	orphanAlarm  = time.Minute
)

// A job handles claimed messages and tells how many of them it moved.
type job func(ctx context.Context, claims []queue.Claim, now time.Time) int

func (g *Gateway) startClockwork() {
	p := &promotion{g: g}
	g.wg.Go(func() { g.clock("due", promoteEvery, promoteMost, queue.Scheduled, p.promote, p.held) })
	g.wg.Go(func() { g.clock("expired", expireEvery, promoteMost, queue.Expired, g.expire, nil) })
	g.wg.Go(func() { g.clock("overdue", overdueEvery, promoteMost, queue.Overdue, g.overdue, nil) })
	a := &adoption{g: g}
	g.wg.Go(func() { g.clock("orphaned", orphanEvery, orphanMost, queue.Orphaned, a.adopt, nil) })
	g.wg.Go(g.returnHalted)
	g.wg.Go(g.gauges)
}

// clock runs one job: each period it takes what is due, batch after batch; held stops it
// until the next period.
func (g *Gateway) clock(name string, every time.Duration, most int, kind queue.DueKind, do job, held func() bool) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var claims []queue.Claim
	for {
		select {
		case <-g.ctx.Done():
			return
		case <-tick.C:
		}
		idle := 0
		for g.ctx.Err() == nil && (held == nil || !held()) {
			now := time.Now()
			at := now
			if kind == queue.Overdue {
				at = now.Add(-g.world.Load().leastReceiptWait())
			}
			var err error
			claims, err = g.store.Due(g.ctx, kind, at, most, claims[:0])
			if err != nil {
				if g.ctx.Err() == nil {
					g.log.Error("clockwork could not read the store", slog.String("job", name), slog.Any("err", err))
				}
				break
			}
			if len(claims) == 0 {
				break
			}
			moved := do(g.ctx, claims, now)
			if kind == queue.Orphaned || kind == queue.Overdue && len(claims) < most {
				break // a bounded rate; all of a round that is released comes again at once
			}
			if moved > 0 {
				idle = 0
			} else if idle++; kind != queue.Overdue || idle >= overdueIdle {
				break
			}
		}
	}
}

// promotion moves due messages into lanes.
type promotion struct {
	g   *Gateway
	fed map[queue.Lane]struct{} // by the last batch
}

// held tells whether promotion would only move messages from one wait to another: every
// lane that the last batch went to is full. One that is not full keeps it going: a carrier
// that is down must not hold up what is due for the others.
func (p *promotion) held() bool {
	if len(p.fed) == 0 {
		return false
	}
	full := 0
	p.g.store.Depths(func(l queue.Lane, d queue.Depth) {
		if _, ok := p.fed[l]; ok && d.Messages >= laneFull {
			full++
		}
	})
	return full == len(p.fed)
}

// promote puts due messages into lanes. A scheduled one, and one that waited for its
// hours, is asked again what admission asked and routed now: what leads where, and who may
// carry it, may have changed.
func (p *promotion) promote(ctx context.Context, claims []queue.Claim, now time.Time) int {
	g := p.g
	steps := make([]queue.Step, 0, len(claims))
	w := g.world.Load()
	p.fed = map[queue.Lane]struct{}{}
	claims, moved := g.setAsideDue(ctx, w, claims, now), len(claims)
	for _, c := range claims {
		steps = append(steps, p.step(ctx, w, c, now))
	}
	g.commitAll(ctx, steps)
	return moved
}

func (p *promotion) step(ctx context.Context, w *world, c queue.Claim, now time.Time) queue.Step {
	g, m := p.g, c.M
	fresh := c.Why == queue.WaitSchedule || c.Why == queue.WaitHours || c.Why == queue.WaitHalted && len(m.Answers) == 0
	switch {
	case m.Expires <= queue.At(now):
		return g.finalStep(c, pdu.StateExpired, "expired", now)
	case fresh:
		early := m.Due > queue.At(now)
		if keeps := g.clear(ctx, w, m, now); !keeps.free() && !(early && keeps.moved != 0) {
			return g.kept(w, c, &keeps, now)
		}
		if early {
			// Only asked before its time: who is not enrolled need not be waited for. Where
			// its person is then it is asked when it is due.
			return &queue.Wait{Claim: c, Until: m.Due, Why: queue.WaitSchedule, Lane: c.Lane}
		}
		if ofJob(m) {
			m.World = 0 // what it says is not asked before it leaves
		}
	}
	lane := c.Lane
	if fresh || w.groups[lane.Group()] == nil {
		refused := m.Barred
		l, why := w.laneFor(m, now)
		if why != Accepted {
			return g.stopStep(c, why, now)
		}
		if l.Group() == lane.Group() && m.Barred|refused != w.groups[l.Group()].all() {
			m.Barred |= refused // its bits mean the same carriers still
			l = w.groups[l.Group()].lane(m, m.Body)
		}
		lane = l
	}
	p.fed[lane] = struct{}{}
	return &queue.Enter{Claim: c, Lane: lane}
}

// groupFor is the group a message's route leads to now; nil: none.
func (w *world) groupFor(m *queue.Message) *group {
	return w.route(route.Query{Dest: m.Dest.Addr, Source: m.Source.Addr, ServiceType: m.ServiceType, Account: m.Account, Class: uint8(m.Class)})
}

// laneFor routes a message as if it came now, and sets its Barred to the carriers that may
// not carry it.
func (w *world) laneFor(m *queue.Message, now time.Time) (queue.Lane, Refusal) {
	grp := w.groupFor(m)
	if grp == nil {
		return queue.Lane{}, NoRoute
	}
	r, why := w.rulesOf(m)
	if why != Accepted {
		r = nil // it ends where it is asked whether it may leave
	}
	barred, why := w.bars(grp, r, m, now)
	if why != Accepted {
		return queue.Lane{}, why
	}
	m.Barred = barred
	return grp.lane(m, m.Body), Accepted
}

func (g *Gateway) expire(ctx context.Context, claims []queue.Claim, now time.Time) int {
	steps := make([]queue.Step, 0, len(claims))
	for _, c := range claims {
		steps = append(steps, g.finalStep(c, pdu.StateExpired, "expired", now))
	}
	g.commitAll(ctx, steps)
	return len(steps)
}

// overdue ends sent messages whose receipt did not come in time.
func (g *Gateway) overdue(ctx context.Context, claims []queue.Claim, now time.Time) int {
	steps := make([]queue.Step, 0, len(claims))
	w := g.world.Load()
	for _, c := range claims {
		if c.M.Expires.Time().Add(w.receiptWait(c.M)).After(now) {
			g.store.Release(c)
			continue
		}
		steps = append(steps, g.finalStep(c, pdu.StateUnknown, "no receipt", now))
	}
	g.commitAll(ctx, steps)
	return len(steps)
}

// receiptWait is how long after a message's validity its receipt may still come: as its
// route says, else the most patient of its carriers.
func (w *world) receiptWait(m *queue.Message) time.Duration {
	grp := w.groupFor(m)
	if grp == nil {
		return defaultReceiptWait
	}
	return grp.patience()
}

func (grp *group) patience() time.Duration {
	if grp.receiptWait > 0 {
		return grp.receiptWait
	}
	wait := time.Duration(0)
	for _, m := range grp.members {
		wait = max(wait, m.carrier.opt.Receipts.Wait)
	}
	return wait
}

// leastReceiptWait is the shortest of all routes: nothing sent later than so long ago can
// be overdue.
func (w *world) leastReceiptWait() time.Duration {
	least := defaultReceiptWait
	for _, grp := range w.groups {
		least = min(least, grp.patience())
	}
	return least
}

// adoption routes the messages of a route that left the configuration; those that no
// route fits stay, with an alarm once a minute.
type adoption struct {
	g     *Gateway
	alarm time.Time // of the last one
}

func (a *adoption) adopt(ctx context.Context, claims []queue.Claim, now time.Time) int {
	g := a.g
	steps := make([]queue.Step, 0, len(claims))
	w := g.world.Load()
	stay := 0
	for _, c := range claims {
		lane, why := w.laneFor(c.M, now) // Barred anew: its bits meant another group's carriers
		if why != Accepted {
			stay++
			g.store.Release(c)
			continue
		}
		steps = append(steps, &queue.Enter{Claim: c, Lane: lane})
	}
	if stay > 0 && now.Sub(a.alarm) >= orphanAlarm {
		a.alarm = now
		g.log.Error("messages wait for a route that is gone and no other fits", slog.Int("messages", stay))
	}
	g.commitAll(ctx, steps)
	return len(steps)
}

func (g *Gateway) finalStep(c queue.Claim, st pdu.State, err string, now time.Time) *queue.Final {
	g.met.ended(st)
	return &queue.Final{Claim: c, State: st, Err: err, At: queue.At(now), Deliver: g.clientReceipt(c.M, st, err, now)}
}

// commitAll stores each step on its own: one that cannot be taken costs the others nothing.
func (g *Gateway) commitAll(ctx context.Context, steps []queue.Step) {
	for _, s := range steps {
		if err := g.store.Commit(ctx, quiet, s); err != nil {
			g.store.Release(claimOf(s))
		}
	}
}

func claimOf(s queue.Step) queue.Claim {
	switch s := s.(type) {
	case *queue.Enter:
		return s.Claim
	case *queue.Wait:
		return s.Claim
	case *queue.Final:
		return s.Claim
	}
	return queue.Claim{}
}
