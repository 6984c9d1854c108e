package gateway

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
)

const (
	// haltBatch is how many messages one commit sets aside, brings back or ends.
	haltBatch = 512
	// cancelHands is how many claim and end at a time: each waits for the disk.
	cancelHands = 4
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
	says := []any{slog.String("halt", id), slog.String("scope", h.Scope.String()), slog.String("by", by), slog.Int64("messages", x.ended)}
	if err != nil {
		g.log.Warn("halted messages were not all cancelled", append(says, slog.Any("err", err))...)
	} else {
		g.log.Info("halted messages cancelled", says...)
	}
	return x.ended, err
}

// noteCancelled adds to what a halt has ended, if it is still in force.
func (g *Gateway) noteCancelled(id string, n int64) error {
	k := &g.halts
	k.mu.Lock()
	defer k.mu.Unlock()
	if n == 0 || k.set.Load().find(id) == nil {
		return nil
	}
	after := &haltSet{list: slices.Clone(k.set.Load().all())} // in its place: the oldest stays the first
	after.find(id).Cancelled += n
	if err := k.store(after, k.given); err != nil {
		return err
	}
	k.set.Store(after)
	return nil
}

// cancellation ends the messages of one halt's scope.
type cancellation struct {
	g  *Gateway
	id string

	mu    sync.Mutex
	ended int64
	busy  []found // in somebody's hand when they were met
	err   error   // the first
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
	var hands sync.WaitGroup
	for range cancelHands {
		hands.Go(func() {
			for batch := range batches {
				if ctx.Err() == nil && x.end(ctx, r, batch) != nil {
					cancel()
				}
			}
		})
	}
	hands.Wait()
	if err := <-surveyed; x.err == nil {
		x.err = err
	}
	if x.err == nil {
		x.err = ctx.Err()
	}
	if x.err == nil {
		x.endBusy(ctx, r)
	}
	return x.err
}

// endBusy goes on with those that were in somebody's hand.
func (x *cancellation) endBusy(ctx context.Context, r *scopeRule) {
	until := time.Now().Add(cancelPatience)
	for len(x.busy) > 0 && time.Now().Before(until) {
		select {
		case <-ctx.Done():
			x.err = ctx.Err()
			return
		case <-time.After(cancelPatience / 40):
		}
		again := x.busy
		x.busy = nil
		for len(again) > 0 {
			n := min(len(again), haltBatch)
			if x.end(ctx, r, again[:n]) != nil {
				return
			}
			again = again[n:]
		}
	}
}

// end ends those of a batch that still wait, and notes how many. Its error is the first.
func (x *cancellation) end(ctx context.Context, r *scopeRule, batch []found) error {
	steps, busy, err := x.steps(ctx, r, batch)
	if err == nil {
		err = x.g.commitWait(ctx, steps)
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if err != nil {
		if x.err == nil {
			x.err = err
		}
		return err
	}
	x.ended += int64(len(steps))
	x.busy = append(x.busy, busy...)
	x.g.met.haltCancelled.Add(float64(len(steps)))
	return nil
}

// steps are the ends of those of a batch that still wait; busy are in other hands.
// ErrNoHalt: the halt was lifted meanwhile.
func (x *cancellation) steps(ctx context.Context, r *scopeRule, batch []found) (steps []queue.Step, busy []found, err error) {
	g := x.g
	if g.halts.set.Load().find(x.id) == nil {
		return nil, nil, ErrNoHalt
	}
	w, now := g.world.Load(), time.Now()
	steps = make([]queue.Step, 0, len(batch))
	for _, f := range batch {
		c, err := g.store.ClaimID(ctx, f.account, f.id)
		switch {
		case errors.Is(err, queue.ErrClaimed):
			busy = append(busy, f)
			continue
		case errors.Is(err, queue.ErrUnknown), errors.Is(err, queue.ErrSent), errors.Is(err, queue.ErrFinal):
			continue
		case err != nil:
			g.releaseAll(steps)
			return nil, nil, err
		case c.Stamp == 0 && c.Why == queue.WaitUnsure, !r.waits(w, c.M, c.Lane):
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
	return steps, busy, nil
}

// commitWait stores steps in one commit and returns when they are on disk. With an error
// their claims are given back, or the store is closing.
func (g *Gateway) commitWait(ctx context.Context, steps []queue.Step) error {
	return <-g.commitSoon(ctx, steps)
}

// commitSoon is commitWait that does not wait: the answer comes on the channel.
func (g *Gateway) commitSoon(ctx context.Context, steps []queue.Step) <-chan error {
	done := make(chan error, 1)
	if len(steps) == 0 {
		done <- nil
	} else if err := g.store.Commit(ctx, queue.DoneFunc(func(err error) { done <- err }), steps...); err != nil {
		g.releaseAll(steps)
		done <- err
	}
	return done
}

func (g *Gateway) releaseAll(steps []queue.Step) {
	for i := len(steps) - 1; i >= 0; i-- { // the head of a lane last
		g.store.Release(claimOf(steps[i]))
	}
}
