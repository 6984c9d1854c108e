package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"masar/gateway"
	"masar/queue"
	"masar/service/reminder"
)

// A recall is a series whose message is to be taken back from the gateway's queue, where it
// has one there, and what came of that.
type recall struct {
	s         *reminder.Series
	withdrawn bool
	leaving   bool  // it could not be: it is leaving, or has left
	err       error // nothing is known of it
	used      bool  // somebody has been told
}

// takeBack takes back what of some series is in the queue, all of one account together. It
// returns the first error. whole: one that comes up before anything was taken back ends it;
// else it stands with its series, and the others are gone on with. What was withdrawn has to
// be written down, whatever else fails.
//
// REQUIRES: the series are held, and ctx does not end in between.
func (r *Reminders) takeBack(ctx context.Context, list []*recall, whole bool, now time.Time) (first error) {
	out := map[string][]*recall{}
	for _, x := range list {
		var is bool
		if is, x.err = r.isOut(ctx, x.s, now); x.err != nil {
			if first == nil {
				first = x.err
			}
			if whole {
				return first
			}
		}
		if is {
			out[x.s.Account] = append(out[x.s.Account], x)
		}
	}
	for account, those := range out {
		if err := r.withdraw(ctx, account, those); err != nil && first == nil {
			first = err
		}
	}
	return first
}

// isOut tells whether the gateway has, or had, a message of the step at hand, and records
// one that a process before has handed over without writing that down.
func (r *Reminders) isOut(ctx context.Context, s *reminder.Series, now time.Time) (bool, error) {
	st := s.AtHand()
	if s.State != reminder.Pending || st == nil {
		return false, nil
	}
	if st.State == reminder.Out {
		return true, nil
	}
	c := r.clock(r.o.Catalogue(), s.Service)
	if !s.Begun(c, now) {
		return false, nil
	}
	g, err := r.carrying()
	if err != nil {
		return false, err
	}
	id, has, err := g.SubmittedAs(ctx, s.Account, s.Once())
	switch {
	case errors.Is(err, gateway.ErrNoAccount), err == nil && !has:
		return false, nil
	case err != nil:
		return false, fmt.Errorf("asking what was sent of it: %w", err)
	}
	s.Submitted(uint64(id), c, now)
	return true, nil
}

// withdraw takes back the messages that are out of an account's series, in one commit. After
// an error, which stands with each as well, nothing is known of any.
func (r *Reminders) withdraw(ctx context.Context, account string, those []*recall) error {
	g, err := r.carrying()
	var out []withdrawal
	if err == nil {
		ids := make([]queue.ID, len(those))
		for i, x := range those {
			ids[i] = queue.ID(x.s.AtHand().Message)
		}
		out = make([]withdrawal, len(ids))
		if err = withdrawMany(ctx, g, account, ids, out); err != nil {
			err = fmt.Errorf("taking back what waits: %w", err)
		}
	}
	if err != nil {
		for _, x := range those {
			x.err = err
		}
		return err
	}
	for i, x := range those {
		switch {
		case errors.Is(out[i].Err, queue.ErrUnknown): // so long ago that the queue does not know it
		case out[i].Err != nil:
			x.err = out[i].Err
			err = out[i].Err
		default:
			x.withdrawn, x.leaving = out[i].Withdrawn, !out[i].Withdrawn
		}
		if x.withdrawn {
			r.met.withdrawn.Inc()
		}
	}
	return err
}

type withdrawal struct {
	Withdrawn bool
	Err       error
}

func withdrawMany(ctx context.Context, g Carrying, account string, ids []queue.ID, out []withdrawal) error {
	if g, many := g.(interface {
		WithdrawMany(ctx context.Context, account string, ids []queue.ID, out []withdrawal) error
	}); many {
		return g.WithdrawMany(ctx, account, ids, out)
	}
	for i, id := range ids {
		out[i].Withdrawn, out[i].Err = g.Withdraw(ctx, account, id)
	}
	return nil
}
