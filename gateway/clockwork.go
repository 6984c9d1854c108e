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
	laneFull     = 10000                  // promotion stops while a lane it feeds holds so many
	expireEvery  = 10 * time.Second
	overdueEvery = time.Minute
	orphanEvery  = time.Second
	orphanMost   = 5000 // messages routed anew in a second
)

func (g *Gateway) startClockwork() {
	g.wg.Go(func() { g.clock("due", promoteEvery, promoteMost, queue.Scheduled, g.promote) })
	g.wg.Go(func() { g.clock("expired", expireEvery, promoteMost, queue.Expired, g.expire) })
	g.wg.Go(func() { g.clock("overdue", overdueEvery, promoteMost, queue.Overdue, g.overdue) })
	g.wg.Go(func() { g.clock("orphaned", orphanEvery, orphanMost, queue.Orphaned, g.adopt) })
	g.wg.Go(g.gauges)
}

// clock runs one job: each period it takes what is due, batch after batch.
func (g *Gateway) clock(name string, every time.Duration, most int, kind queue.DueKind, job func(ctx context.Context, claims []queue.Claim, now time.Time)) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	var claims []queue.Claim
	for {
		select {
		case <-g.ctx.Done():
			return
		case <-tick.C:
		}
		for g.ctx.Err() == nil && (kind != queue.Scheduled || !g.lanesFull()) {
			now := time.Now()
			var err error
			claims, err = g.store.Due(g.ctx, kind, now, most, claims[:0])
			if err != nil {
				if g.ctx.Err() == nil {
					g.log.Error("clockwork could not read the store", slog.String("job", name), slog.Any("err", err))
				}
				break
			}
			if len(claims) == 0 {
				break
			}
			job(g.ctx, claims, now)
			if kind == queue.Orphaned {
				break // its rate is bounded
			}
		}
	}
}

// lanesFull tells whether promotion would only move messages from one wait to another.
func (g *Gateway) lanesFull() bool {
	full := false
	g.store.Depths(func(l queue.Lane, d queue.Depth) {
		full = full || l.Target != 0 && d.Messages >= laneFull && g.wasPromoted(l)
	})
	return full
}

// wasPromoted: a lane's avoid bits are set for what comes back; new messages have none.
func (g *Gateway) wasPromoted(l queue.Lane) bool { return l.Avoid() != 0 }

// promote puts due messages into lanes. A scheduled one is judged again by the standing
// rules and routed now: it had no lane before.
func (g *Gateway) promote(ctx context.Context, claims []queue.Claim, now time.Time) {
	steps := make([]queue.Step, 0, len(claims))
	w := g.world.Load()
	for _, c := range claims {
		if c.M.Expires <= queue.At(now) {
			steps = append(steps, g.finalStep(c, pdu.StateExpired, "expired", now))
			continue
		}
		lane := c.Lane
		if c.Why == queue.WaitSchedule || w.groups[lane.Group()] == nil {
			l, ok := w.laneFor(c.M)
			if !ok {
				steps = append(steps, g.finalStep(c, pdu.StateRejected, "no route", now))
				continue
			}
			lane = l
		}
		steps = append(steps, &queue.Enter{Claim: c, Lane: lane})
	}
	g.commitAll(ctx, steps)
}

// laneFor routes a message as if it came now.
func (w *world) laneFor(m *queue.Message) (queue.Lane, bool) {
	grp := w.route(route.Query{Dest: m.Dest.Addr, Source: m.Source.Addr, ServiceType: m.ServiceType, Account: m.Account, Class: uint8(m.Class)})
	if grp == nil {
		return queue.Lane{}, false
	}
	return queue.Lane{Target: queue.Target(grp.number, grp.pin(m, m.Body)), Class: m.Class, Account: m.Account}, true
}

func (g *Gateway) expire(ctx context.Context, claims []queue.Claim, now time.Time) {
	steps := make([]queue.Step, 0, len(claims))
	for _, c := range claims {
		steps = append(steps, g.finalStep(c, pdu.StateExpired, "expired", now))
	}
	g.commitAll(ctx, steps)
}

// overdue ends sent messages whose receipt did not come in time.
func (g *Gateway) overdue(ctx context.Context, claims []queue.Claim, now time.Time) {
	steps := make([]queue.Step, 0, len(claims))
	for _, c := range claims {
		steps = append(steps, g.finalStep(c, pdu.StateUnknown, "no receipt", now))
	}
	g.commitAll(ctx, steps)
}

// adopt routes the messages of a route that left the configuration; those that no route
// fits stay, with an alarm.
func (g *Gateway) adopt(ctx context.Context, claims []queue.Claim, now time.Time) {
	steps := make([]queue.Step, 0, len(claims))
	w := g.world.Load()
	stay := 0
	for _, c := range claims {
		lane, ok := w.laneFor(c.M)
		if !ok {
			stay++
			g.store.Release(c)
			continue
		}
		c.M.Barred = 0 // its bits meant another group's carriers
		steps = append(steps, &queue.Enter{Claim: c, Lane: lane})
	}
	if stay > 0 {
		g.log.Error("messages wait for a route that is gone and no other fits", slog.Int("messages", stay))
	}
	g.commitAll(ctx, steps)
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
	case *queue.Final:
		return s.Claim
	}
	return queue.Claim{}
}
