package jobs

import (
	"context"
	"errors"
	"time"

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
// is put twice, in order. After an error only those reminders may be changed whose waiting
// message was taken back for it: put all again.
func (r *Reminders) PutMany(ctx context.Context, list []reminder.Reminder) ([]reminder.PutOutcome, error) {
	return r.putMany(ctx, list, nil, nil)
}

// puts is one PutMany.
type puts struct {
	r       *Reminders
	may     func(code string) bool // which services whoever puts may name; nil: any
	cat     *service.Catalogue
	now     time.Time
	rows    []putRow
	seen    map[string]*reminder.Series // of this batch; the key begins with the account
	recalls map[*reminder.Series]*recall
	all     []*reminder.Series        // to be written
	in      map[*reminder.Series]bool // those in all
}

// putRow is one Reminder of a PutMany.
type putRow struct {
	m    reminder.Reminder
	lead []int
	c    *reminder.Clock
	s    *reminder.Series
	err  error
}

// putMany puts, and writes with it the bookmark that decided makes of what became of them:
// where that is asked for, only what is wrong with a reminder itself is an outcome, and what
// may be well in a moment fails all of them.
//
// First all is looked at, then what has to be is taken back from the queue, in one commit,
// and then all is written: nothing that was taken back is ever left out.
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
	// queue has to be written down as that.
	ctx = context.WithoutCancel(ctx)
	p := puts{
		r: r, may: may, cat: r.o.Catalogue(), now: r.o.Now(), rows: make([]putRow, len(list)),
		seen: make(map[string]*reminder.Series, len(list)), recalls: map[*reminder.Series]*recall{}, in: make(map[*reminder.Series]bool, len(list)),
	}
	whole := decided != nil
	var recalls []*recall
	for i := range list {
		row := &p.rows[i]
		row.m = list[i]
		if row.err = p.look(row); whole && transient(row.err) {
			return nil, row.err // no fault of the row's: it is put again
		}
		if row.err == nil && p.changes(row) && p.recalls[row.s] == nil {
			x := &recall{s: row.s}
			p.recalls[row.s] = x
			recalls = append(recalls, x)
		}
	}
	failed := r.takeBack(ctx, recalls, whole, p.now)
	if !whole {
		failed = nil // it stands with its row
	}
	out := make([]reminder.PutOutcome, len(list))
	for i := range p.rows {
		out[i].PutResult, out[i].Err = p.put(&p.rows[i])
	}
	if failed == nil {
		b := reminder.Batch{Series: p.all}
		if whole {
			b.Bookmark = decided(out)
		}
		if failed = r.store.Apply(ctx, &b); failed == nil {
			for i := range out {
				r.met.put(&out[i])
			}
			return out, nil
		}
		if !errors.Is(failed, reminder.ErrFull) {
			return nil, failed
		}
	}
	if b := (reminder.Batch{Series: p.withdrawn()}); len(b.Series) > 0 {
		return nil, errors.Join(failed, r.store.Apply(ctx, &b))
	}
	return nil, failed
}

// transient tells whether an error is no fault of a reminder's own.
func transient(err error) bool {
	var wrong *reminder.FieldError
	return err != nil && !errors.As(err, &wrong)
}

// look checks a row, and finds what is kept under its key.
func (p *puts) look(row *putRow) (err error) {
	if row.lead, err = reminder.Check(&row.m, p.cat, p.now); err != nil {
		return err
	}
	row.c = p.r.clock(p.cat, row.m.Service)
	row.m.Created, row.m.Changed = p.now, p.now
	id := row.m.Account + "\x00" + row.m.Key
	if row.s = p.seen[id]; row.s != nil {
		return nil
	}
	row.s, err = p.r.store.Find(row.m.Account, row.m.Key)
	if errors.Is(err, reminder.ErrUnknown) {
		row.s, err = new(reminder.Series), nil
	}
	if err == nil {
		p.seen[id] = row.s
	}
	return err
}

// kept tells whether there is a reminder that the row is another say of.
func (row *putRow) kept() bool { return !row.s.Created.IsZero() && row.s.State != reminder.Withdrawn }

// foreign tells whether the reminder is of a service that whoever puts may not name.
func (p *puts) foreign(row *putRow) bool { return row.kept() && p.may != nil && !p.may(row.s.Service) }

// changes tells whether what is out of the reminder has to be taken back for the row.
func (p *puts) changes(row *putRow) bool {
	return row.kept() && !p.foreign(row) && !row.s.Same(&row.m, row.lead)
}

// put does what a row asks for, when what was out is taken back.
func (p *puts) put(row *putRow) (res reminder.PutResult, err error) {
	if row.err != nil {
		return res, row.err
	}
	s, c := row.s, row.c
	switch {
	case p.foreign(row):
		return res, &reminder.FieldError{Field: "key", Rule: "is that of a reminder of another service, which may not be named here"}
	case !row.kept():
		s.Created = time.Time{}
		s.Set(row.m, row.lead, c, p.now)
		res.Status = reminder.PutCreated
	case s.Same(&row.m, row.lead):
		res.Status = reminder.PutUnchanged
		res.View = s.View(c)
		return res, nil
	default:
		if x := p.recalls[s]; x != nil && !x.used {
			if x.err != nil {
				return res, x.err
			}
			res.Withdrawn, res.Leaving, x.used = x.withdrawn, x.leaving, true
		} else if st := s.AtHand(); st != nil && st.State == reminder.Out {
			res.Leaving = true // as the row before it in this batch was told
		}
		if s.Moves(&row.m, row.lead) {
			if res.Withdrawn {
				s.Withdrawn()
			}
			s.Set(row.m, row.lead, c, p.now)
			res.Status = reminder.PutMoved
		} else {
			s.Change(row.m, res.Withdrawn, c, p.now)
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

// withdrawn are those to be written whose message was taken back.
func (p *puts) withdrawn() (list []*reminder.Series) {
	for _, s := range p.all {
		if x := p.recalls[s]; x != nil && x.withdrawn {
			list = append(list, s)
		}
	}
	return list
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
	x := &recall{s: s}
	if err := r.takeBack(ctx, []*recall{x}, true, now); err != nil {
		return res, err
	}
	res.Withdrawn, res.Leaving = x.withdrawn, x.leaving
	s.Delete(res.Withdrawn, r.clock(r.o.Catalogue(), s.Service), now)
	s.By, s.Changed = by, now
	if err := r.store.Apply(ctx, &reminder.Batch{Series: []*reminder.Series{s}}); err != nil {
		return reminder.DeleteResult{}, err
	}
	r.met.deleted.Inc()
	return res, nil
}
