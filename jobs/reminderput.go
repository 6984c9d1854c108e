package jobs

import (
	"context"
	"errors"
	"fmt"
	"time"

	"masar/gateway"
	"masar/queue"
	"masar/service"
	"masar/service/reminder"
)

// Put keeps a reminder, or changes the one of its account and key, and returns when that
// is on disk. The same again changes nothing. Errors: *reminder.FieldError, several joined;
// reminder.ErrFull; ctx's.
func (r *Reminders) Put(ctx context.Context, m reminder.Reminder) (reminder.PutResult, error) {
	out, err := r.PutMany(ctx, []reminder.Reminder{m})
	if err != nil {
		return reminder.PutResult{}, err
	}
	return out[0].PutResult, out[0].Err
}

// PutMany is Put for many, each for itself, in one write. A key that stands there twice
// is put twice, in order. After an error nothing is kept, but what waited of a reminder that
// would have changed may be taken back: put them again.
func (r *Reminders) PutMany(ctx context.Context, list []reminder.Reminder) ([]reminder.PutOutcome, error) {
	return r.putMany(ctx, list, nil, nil)
}

// puts is one PutMany.
type puts struct {
	r    *Reminders
	may  func(code string) bool // which services whoever puts may name; nil: any
	cat  *service.Catalogue
	now  time.Time
	seen map[string]*reminder.Series // of this batch; the key begins with the account
	all  []*reminder.Series          // to be written
	in   map[*reminder.Series]bool   // those in all
}

// putMany puts, and writes with it the bookmark that decided makes of what became of them:
// where that is asked for, only what is wrong with a reminder itself is an outcome, and what
// may be well in a moment fails all of them.
func (r *Reminders) putMany(ctx context.Context, list []reminder.Reminder, may func(code string) bool, decided func([]reminder.PutOutcome) *service.Bookmark) ([]reminder.PutOutcome, error) {
	hashes := make([]uint64, len(list))
	for i := range list {
		hashes[i] = reminder.Hash(list[i].Account, list[i].Key)
	}
	if err := r.holding.take(ctx, hashes); err != nil {
		return nil, err
	}
	defer r.holding.give(hashes)
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	// From here on it is done to its end, whoever stops waiting: what is taken back from the
	// queue has to be written down as that, or a later PUT takes it for sent.
	ctx = context.WithoutCancel(ctx)
	p := puts{
		r: r, may: may, cat: r.o.Catalogue(), now: r.o.Now(),
		seen: make(map[string]*reminder.Series, len(list)), in: make(map[*reminder.Series]bool, len(list)),
	}
	out := make([]reminder.PutOutcome, len(list))
	for i := range list {
		out[i].PutResult, out[i].Err = p.put(ctx, list[i])
		var wrong *reminder.FieldError
		if err := out[i].Err; err != nil && decided != nil && !errors.As(err, &wrong) {
			return nil, err // no fault of the row's: it is put again
		}
	}
	b := reminder.Batch{Series: p.all}
	if decided != nil {
		b.Bookmark = decided(out)
	}
	if err := r.store.Apply(ctx, &b); err != nil {
		return nil, err
	}
	for i := range out {
		r.met.put(&out[i])
	}
	return out, nil
}

func (p *puts) put(ctx context.Context, m reminder.Reminder) (res reminder.PutResult, err error) {
	lead, err := reminder.Check(&m, p.cat, p.now)
	if err != nil {
		return res, err
	}
	c := p.r.clock(p.cat, m.Service)
	m.Created, m.Changed = p.now, p.now
	id := m.Account + "\x00" + m.Key
	s := p.seen[id]
	if s == nil {
		s, err = p.r.store.Find(m.Account, m.Key)
		switch {
		case errors.Is(err, reminder.ErrUnknown):
			s = new(reminder.Series)
		case err != nil:
			return res, err
		}
		p.seen[id] = s
	}
	switch {
	case !s.Created.IsZero() && s.State != reminder.Withdrawn && p.may != nil && !p.may(s.Service):
		return res, &reminder.FieldError{Field: "key", Rule: "is that of a reminder of another service, which may not be named here"}
	case s.Created.IsZero(), s.State == reminder.Withdrawn:
		s.Created = time.Time{}
		s.Set(m, lead, c, p.now)
		res.Status = reminder.PutCreated
	case s.Same(&m, lead):
		res.Status = reminder.PutUnchanged
		res.View = s.View(c)
		return res, nil
	default:
		if res.Withdrawn, res.Leaving, err = p.r.recall(ctx, s, p.now); err != nil {
			return reminder.PutResult{}, err
		}
		if s.Moves(&m, lead) {
			if res.Withdrawn {
				s.Withdrawn()
			}
			s.Set(m, lead, c, p.now)
			res.Status = reminder.PutMoved
		} else {
			s.Change(m, res.Withdrawn, c, p.now)
			res.Status = reminder.PutChanged
		}
	}
	if !p.in[s] {
		p.in[s] = true
		p.all = append(p.all, s)
	}
	res.View = s.View(c)
	return res, nil
}

// recall takes back what of a series is in the gateway's queue. leaving: it could not.
//
// REQUIRES: the series is held.
func (r *Reminders) recall(ctx context.Context, s *reminder.Series, now time.Time) (withdrawn, leaving bool, err error) {
	st := s.AtHand()
	if s.State != reminder.Pending || st == nil {
		return false, false, nil
	}
	due := !s.Next.After(now)
	if st.State == reminder.Coming && !due {
		return false, false, nil
	}
	g, err := r.carrying()
	if err != nil {
		return false, false, err
	}
	if st.State == reminder.Coming {
		// It may have been handed over by a process that ended before it wrote that down.
		id, has, err := g.SubmittedAs(ctx, s.Account, s.Once())
		switch {
		case errors.Is(err, gateway.ErrNoAccount), err == nil && !has:
			return false, false, nil
		case err != nil:
			return false, false, fmt.Errorf("asking what was sent of it: %w", err)
		}
		s.Submitted(uint64(id), r.clock(r.o.Catalogue(), s.Service), now)
	}
	withdrawn, err = g.Withdraw(ctx, s.Account, queue.ID(st.Message))
	switch {
	case errors.Is(err, queue.ErrUnknown):
		return false, false, nil // so long ago that the queue does not know it
	case err != nil:
		return false, false, fmt.Errorf("taking back what waits of it: %w", err)
	}
	if withdrawn {
		r.met.withdrawn.Inc()
	}
	return withdrawn, !withdrawn, nil
}

// Delete ends a reminder and returns when that is on disk. One that is over already stays
// so: reminder.ErrUnknown only where there is none, or is none any more.
func (r *Reminders) Delete(ctx context.Context, account, key, by string) (res reminder.DeleteResult, err error) {
	hashes := []uint64{reminder.Hash(account, key)}
	if err := r.holding.take(ctx, hashes); err != nil {
		return res, err
	}
	defer r.holding.give(hashes)
	ctx = context.WithoutCancel(ctx) // as in putMany
	s, err := r.store.Find(account, key)
	if err != nil || s.State == reminder.Withdrawn {
		return res, err
	}
	now := r.o.Now()
	if res.Withdrawn, res.Leaving, err = r.recall(ctx, s, now); err != nil {
		return reminder.DeleteResult{}, err
	}
	s.Delete(res.Withdrawn, r.clock(r.o.Catalogue(), s.Service), now)
	s.By, s.Changed = by, now
	if err := r.store.Apply(ctx, &reminder.Batch{Series: []*reminder.Series{s}}); err != nil {
		return reminder.DeleteResult{}, err
	}
	r.met.deleted.Inc()
	return res, nil
}
