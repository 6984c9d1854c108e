package gateway

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
)

const (
	// haltBatch is how many messages one commit sets aside, brings back or ends.
	haltBatch = 512
	// cancelPatience is how long a cancel waits for messages in other hands: most are on
	// their way to being set aside, the rest is on the wire and not to be ended.
	cancelPatience = 2 * time.Second
)

// found is a message of a scope as a survey has met it.
type found struct {
	id      queue.ID
	account uint32
}

// CancelHalted ends what waits in the scope of a halt, DELETED with err "halted" and with
// its receipt, and tells how many; all of it is on disk when it returns. The halt stays, so
// that what comes still waits. Of a message in several parts some of which a carrier has
// taken the end is UNDELIV; of one that may have been taken when the process ended last, it
// is UNKNOWN. What is held for an operator because nobody knows (queue.WaitUnsure) stays.
//
// With an error some may have been ended, which cancelled tells; asked again it goes on.
func (g *Gateway) CancelHalted(ctx context.Context, id, by string) (cancelled int64, err error) {
	set := g.halts.set.Load()
	h := set.find(id)
	if h == nil {
		return 0, ErrNoHalt
	}
	x := &cancellation{g: g, id: id}
	err = x.run(ctx, &h.scopeRule)
	if err := g.noteCancelled(id, x.ended); err != nil {
		g.log.Error("how many messages a halt has ended could not be stored", slog.String("halt", id), slog.Any("err", err))
	}
	g.log.Warn("halted messages cancelled", slog.String("halt", id), slog.String("scope", h.Scope.String()), slog.String("by", by),
		slog.Int64("messages", x.ended), slog.Any("err", err))
	return x.ended, err
}

// noteCancelled adds to what a halt has ended, if it is still in force.
func (g *Gateway) noteCancelled(id string, n int64) error {
	k := &g.halts
	k.mu.Lock()
	defer k.mu.Unlock()
	h := k.set.Load().find(id)
	if h == nil || n == 0 {
		return nil
	}
	after := k.set.Load().without(id)
	more := *h
	more.Cancelled += n
	after = after.with(more)
	if err := k.store(after, k.given); err != nil {
		return err
	}
	k.set.Store(after)
	return nil
}

// cancellation ends the messages of one halt's scope.
type cancellation struct {
	g     *Gateway
	id    string
	ended int64
	busy  []found // in somebody's hand when they were met
}

// run surveys the queue and ends what it finds. Who surveys may not claim: the two run
// beside each other.
func (x *cancellation) run(ctx context.Context, r *scopeRule) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(x.g.ctx, cancel)()
	w := x.g.world.Load()
	batches := make(chan []found, 4)
	surveyed := make(chan error, 1)
	go func() {
		defer close(batches)
		batch := make([]found, 0, haltBatch)
		flush := func() bool {
			if len(batch) == 0 {
				return true
			}
			select {
			case batches <- batch:
				batch = make([]found, 0, haltBatch)
				return true
			case <-ctx.Done():
				return false
			}
		}
		err := x.g.store.Survey(ctx, queue.Survey{}, func(v *queue.View) bool {
			if r.covers(w, v.M) && r.waits(w, v.M, v.Lane) && !(v.Stage == queue.Aside && v.Why == queue.WaitUnsure) {
				batch = append(batch, found{v.M.ID, v.M.Account})
			}
			return len(batch) < haltBatch || flush()
		})
		flush()
		surveyed <- err
	}()
	var err error
	for batch := range batches {
		if err == nil {
			if err = x.end(ctx, r, batch); err != nil {
				cancel()
			}
		}
	}
	if serr := <-surveyed; err == nil {
		err = serr
	}
	if err == nil {
		err = x.endBusy(ctx, r)
	}
	if err == nil {
		err = ctx.Err()
	}
	return err
}

// endBusy goes on with those that were in somebody's hand.
func (x *cancellation) endBusy(ctx context.Context, r *scopeRule) error {
	until := time.Now().Add(cancelPatience)
	for len(x.busy) > 0 && time.Now().Before(until) {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(cancelPatience / 40):
		}
		again := x.busy
		x.busy = nil
		for len(again) > 0 {
			n := min(len(again), haltBatch)
			if err := x.end(ctx, r, again[:n]); err != nil {
				return err
			}
			again = again[n:]
		}
	}
	return nil
}

// end ends those of a batch that still wait. ErrNoHalt: the halt was lifted meanwhile.
func (x *cancellation) end(ctx context.Context, r *scopeRule, batch []found) error {
	g := x.g
	if g.halts.set.Load().find(x.id) == nil {
		return ErrNoHalt
	}
	now := time.Now()
	steps := make([]queue.Step, 0, len(batch))
	for _, f := range batch {
		c, err := g.store.ClaimID(ctx, f.account, f.id)
		switch {
		case errors.Is(err, queue.ErrClaimed):
			x.busy = append(x.busy, f)
			continue
		case errors.Is(err, queue.ErrUnknown), errors.Is(err, queue.ErrSent), errors.Is(err, queue.ErrFinal):
			continue
		case err != nil:
			g.releaseAll(steps)
			return err
		case c.Stamp == 0 && c.Why == queue.WaitUnsure:
			g.store.Release(c)
			continue
		}
		state := pdu.StateDeleted
		switch {
		case c.Unsure != 0 || c.M.Uncertain:
			state = pdu.StateUnknown
		case len(c.M.Answers) > 0:
			state = pdu.StateUndeliverable
		}
		steps = append(steps, g.finalStep(c, state, "halted", now))
	}
	if err := g.commitWait(ctx, steps); err != nil {
		return err
	}
	x.ended += int64(len(steps))
	g.met.haltCancelled.Add(float64(len(steps)))
	return nil
}

// commitWait stores steps in one commit and returns when they are on disk. With an error
// their claims are given back, or the store is closing.
func (g *Gateway) commitWait(ctx context.Context, steps []queue.Step) error {
	if len(steps) == 0 {
		return nil
	}
	done := make(chan error, 1)
	if err := g.store.Commit(ctx, queue.DoneFunc(func(err error) { done <- err }), steps...); err != nil {
		g.releaseAll(steps)
		return err
	}
	return <-done
}

func (g *Gateway) releaseAll(steps []queue.Step) {
	for i := len(steps) - 1; i >= 0; i-- { // the head of a lane last
		g.store.Release(claimOf(steps[i]))
	}
}
