package gateway

import (
	"context"
	"errors"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
)

// What an operator may hear of an order.
var (
	ErrNotHeld   = errors.New("the message is not held")
	ErrNoCarrier = errors.New("no such carrier")
)

// ResendHeld sends a message again that its route's policy holds: it goes to the tail of
// its lane. The answer comes when that is on disk.
func (g *Gateway) ResendHeld(ctx context.Context, id queue.ID) error {
	return g.decide(ctx, id, func(c queue.Claim) (queue.Step, error) {
		w := g.world.Load()
		lane := c.Lane
		if w.groups[lane.Group()] == nil {
			l, why := w.laneFor(c.M, time.Now())
			if why != Accepted {
				return nil, errors.New("no route fits the message any more")
			}
			lane = l
		}
		return &queue.Enter{Claim: c, Lane: lane}, nil
	})
}

// EndHeld ends a held message as UNKNOWN, with its receipt.
func (g *Gateway) EndHeld(ctx context.Context, id queue.ID) error {
	return g.decide(ctx, id, func(c queue.Claim) (queue.Step, error) {
		return g.finalStep(c, pdu.StateUnknown, "no answer", time.Now()), nil
	})
}

func (g *Gateway) decide(ctx context.Context, id queue.ID, step func(queue.Claim) (queue.Step, error)) error {
	v, err := g.store.Find(ctx, 0, id)
	switch {
	case errors.Is(err, queue.ErrUnknown):
		return ErrNotHeld
	case err != nil:
		return err
	}
	c, err := g.store.ClaimID(ctx, v.M.Account, id)
	switch {
	case errors.Is(err, queue.ErrUnknown), errors.Is(err, queue.ErrClaimed), errors.Is(err, queue.ErrSent), errors.Is(err, queue.ErrFinal):
		return ErrNotHeld
	case err != nil:
		return err
	case c.Why != queue.WaitUnsure && c.Why != queue.WaitHeld || c.Stamp != 0:
		g.store.Release(c)
		return ErrNotHeld
	}
	s, err := step(c)
	if err != nil {
		g.store.Release(c)
		return err
	}
	done := make(chan error, 1)
	if err := g.store.Commit(ctx, queue.DoneFunc(func(err error) { done <- err }), s); err != nil {
		g.store.Release(c)
		return err
	}
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// unmatchedLister is an add-on of a Store: it lists the receipts that matched nothing.
type unmatchedLister interface {
	UnmatchedReceipts(ctx context.Context, carrier uint32, from string, max int) ([]queue.Unmatched, error)
}

// Unmatched lists a carrier's receipts that belong to no message, by the carrier's id from
// one on, at most max.
func (g *Gateway) Unmatched(ctx context.Context, carrier, from string, max int) ([]queue.Unmatched, error) {
	c := g.world.Load().carriers[carrier]
	l, ok := g.store.(unmatchedLister)
	if c == nil || !ok {
		return nil, ErrNoCarrier
	}
	return l.UnmatchedReceipts(ctx, c.number, from, max)
}
