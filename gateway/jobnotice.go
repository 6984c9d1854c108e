package gateway

import (
	"context"
	"errors"
	"sync/atomic"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
)

// Submitted is what became of one Notice of SubmitMany.
type Submitted struct {
	ID  queue.ID
	Err error // as of Submit; nil: it is on disk
}

// SubmitMany is Submit for many notices: out[i] tells of n[i], each for itself. It returns
// when all that were taken are on disk; they share the store's writes, so a few hundred cost
// hardly more than one. REQUIRES: len(out) >= len(n).
//
// An error is ctx's: then out says nothing, and some may have been taken. Ask again with the
// same Once.
func (g *Gateway) SubmitMany(ctx context.Context, n []Notice, out []Submitted) error {
	c := &countdown{got: make([]Submitted, len(n)), over: make(chan struct{})}
	c.open.Store(1) // ours, until all are handed over
	for i := range n {
		if err := ctx.Err(); err != nil {
			return err
		}
		p, err := g.prepare(ctx, &n[i], false)
		if err != nil {
			c.got[i].Err = err
			continue
		}
		c.open.Add(1)
		err = p.commit(ctx, func(err error) {
			c.got[i] = Submitted{p.m.ID, err}
			c.down()
		})
		if err != nil {
			c.got[i].Err = err
			c.down()
		}
	}
	c.down()
	select {
	case <-c.over:
	case <-ctx.Done():
		return ctx.Err()
	}
	for i := range c.got {
		if c.got[i].Err != nil {
			c.got[i].ID = 0
		}
	}
	copy(out, c.got)
	return nil
}

// countdown waits for many commits at once.
type countdown struct {
	got  []Submitted
	open atomic.Int64
	over chan struct{} // closed by the last one down
}

func (c *countdown) down() {
	if c.open.Add(-1) == 0 {
		close(c.over)
	}
}

// SubmittedAs tells which message of an account was submitted with a Once; false: none,
// or one of more than 7 days ago.
func (g *Gateway) SubmittedAs(ctx context.Context, account string, once []byte) (queue.ID, bool, error) {
	a := g.world.Load().account(account)
	if a == nil {
		return 0, false, ErrNoAccount
	}
	id, err := g.store.ByOnce(ctx, a.number, once)
	if errors.Is(err, queue.ErrUnknown) {
		return 0, false, nil
	}
	return id, err == nil, err
}

// withdrawnErr is the Err of a message that its job took back.
const withdrawnErr = "withdrawn"

// Withdraw takes back a message of a job before it leaves: it ends DELETED, "withdrawn",
// and its end is told like any other. It returns when that is on disk. false: the message
// is leaving, has left or has ended; its own end tells which. One that waits for its next
// try because a carrier did not answer is not tried again, but may have left: it ends
// UNKNOWN. queue.ErrUnknown: the account has no such message of a job.
//
// When ctx ends while the disk is written nobody can tell; ask again.
func (g *Gateway) Withdraw(ctx context.Context, account string, id queue.ID) (withdrawn bool, err error) {
	number, err := g.numberOf(ctx, account, id)
	if err != nil {
		return false, err
	}
	c, err := g.claimWaiting(ctx, number, id)
	switch {
	case errors.Is(err, queue.ErrClaimed), errors.Is(err, queue.ErrSent), errors.Is(err, queue.ErrFinal):
		return false, nil
	case err != nil:
		return false, err
	case !ofJob(c.M):
		g.store.Release(c)
		return false, queue.ErrUnknown
	}
	state, reason := pdu.StateDeleted, withdrawnErr
	switch {
	case c.Unsure != 0, len(c.M.Answers) > 0:
		g.store.Release(c) // its route says what becomes of it; half of it is out
		return false, nil
	case mayBeSent(&c):
		state, reason = pdu.StateUnknown, "no answer"
	}
	done := make(chan error, 1)
	step := g.finalStep(c, state, reason, time.Now())
	if err := g.store.Commit(ctx, queue.DoneFunc(func(err error) { done <- err }), step); err != nil {
		g.store.Release(c)
		return false, err
	}
	select {
	case err := <-done:
		return err == nil && state == pdu.StateDeleted, err
	case <-ctx.Done():
		return false, ctx.Err()
	}
}

// numberOf is the number of an account that has, or had, a message.
func (g *Gateway) numberOf(ctx context.Context, account string, id queue.ID) (uint32, error) {
	if a := g.world.Load().account(account); a != nil {
		return a.number, nil
	}
	v, err := g.store.Find(ctx, 0, id) // the account left the configuration, its messages stay
	if err != nil {
		return 0, err
	}
	if g.store.Name(queue.AccountName, v.M.Account) != account {
		return 0, queue.ErrUnknown
	}
	return v.M.Account, nil
}

// claimTries bounds how often a message is asked for that somebody else has at the moment,
// each time twice as long after the time before: 5 ms to 80 ms. The clockwork moves a batch
// in less; what a carrier is being sent takes longer and is not waited for.
const claimTries = 5

func (g *Gateway) claimWaiting(ctx context.Context, account uint32, id queue.ID) (queue.Claim, error) {
	for try := range claimTries {
		c, err := g.store.ClaimID(ctx, account, id)
		if !errors.Is(err, queue.ErrClaimed) {
			return c, err
		}
		if !pause(ctx, 5*time.Millisecond<<try) {
			return c, ctx.Err()
		}
	}
	return g.store.ClaimID(ctx, account, id)
}
