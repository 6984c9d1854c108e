package jobs

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"masar/service/reminder"
)

// moveBatch is how many series are moved in one write.
const moveBatch = 2000

// MaxMove is the most days by which Move moves.
const MaxMove = 3650

// A moving is a Move under way.
type moving struct {
	m    reminder.Move // the mover's own until done
	err  error
	done chan struct{} // closed by the mover, when it is not in Reminders.moving any more
}

// Move shifts the dates of all an account's reminders of one service by days: an extension
// by decree. It returns when all are moved; when ctx ends before, or Close is called, it goes
// on, also after a restart. Reminders asked for since it began have their date already and
// are left alone. Those whose date has passed are moved as well. One whose new date would be
// past stays as it is, and is counted.
func (r *Reminders) Move(ctx context.Context, account, code string, days int, by string) (reminder.MoveResult, error) {
	m := reminder.Move{Account: account, Service: code, Days: days, By: by, Began: r.o.Now()}
	if err := r.checkMove(&m); err != nil {
		return reminder.MoveResult{}, err
	}
	if _, err := r.carrying(); err != nil {
		return reminder.MoveResult{}, err
	}
	w := &moving{m: m, done: make(chan struct{})}
	if err := r.store.Apply(ctx, &reminder.Batch{Move: &w.m}); err != nil {
		return reminder.MoveResult{}, err
	}
	r.mu.Lock()
	closed := r.closed // then nobody is there any more to do it, or to say that it is not done
	if !closed {
		r.moving[w.m.ID] = w
	}
	r.mu.Unlock()
	if closed {
		return reminder.MoveResult{}, errNotStarted
	}
	select {
	case r.moveNew <- struct{}{}:
	default:
	}
	select {
	case <-w.done:
		return w.m.MoveResult, w.err
	case <-ctx.Done():
		return reminder.MoveResult{}, ctx.Err()
	}
}

// MoveDry says what Move would do, and changes nothing.
func (r *Reminders) MoveDry(ctx context.Context, account, code string, days int) (reminder.MoveResult, error) {
	m := reminder.Move{Account: account, Service: code, Days: days, Began: r.o.Now()}
	if err := r.checkMove(&m); err != nil {
		return reminder.MoveResult{}, err
	}
	c := r.clock(r.o.Catalogue(), code)
	for !m.Over {
		if err := ctx.Err(); err != nil {
			return reminder.MoveResult{}, err
		}
		list, next, err := r.store.ToMove(&m, moveBatch)
		if err != nil {
			return reminder.MoveResult{}, err
		}
		for _, s := range list {
			if _, past := m.To(s, c, m.Began); past {
				m.Past++
			} else {
				m.Moved++
			}
		}
		m.Next, m.Over = next, next == 0
	}
	return m.MoveResult, nil
}

func (r *Reminders) checkMove(m *reminder.Move) error {
	switch {
	case r.o.Catalogue().Service(m.Service) == nil:
		return &reminder.FieldError{Field: "service", Rule: fmt.Sprintf("%q is not in the catalogue", m.Service)}
	case m.Days == 0 || m.Days > MaxMove || m.Days < -MaxMove:
		return &reminder.FieldError{Field: "days", Rule: fmt.Sprintf("%d is outside -%d to %d, or is nothing", m.Days, MaxMove, MaxMove)}
	}
	return nil
}

// underWay counts moves.
func (r *Reminders) underWay() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.moving)
}

// moveAll is a goroutine: it does one move after the other until ctx ends.
func (r *Reminders) moveAll(ctx context.Context) {
	defer r.leaveMoves()
	for {
		w := r.nextMove()
		if w == nil {
			select {
			case <-ctx.Done():
				return
			case <-r.moveNew:
			}
			continue
		}
		began := time.Now()
		err := r.moveOne(ctx, w)
		if err != nil && ctx.Err() != nil {
			return // it stands on disk
		}
		if err != nil {
			r.log.Error("a move of dates is interrupted and goes on", slog.String("account", w.m.Account), slog.String("service", w.m.Service),
				slog.Int64("moved", w.m.Moved), slog.Duration("in", troubled), slog.Any("err", err))
			select {
			case <-ctx.Done():
				return
			case <-time.After(troubled):
			}
			continue
		}
		r.mu.Lock()
		delete(r.moving, w.m.ID)
		r.mu.Unlock()
		r.log.Info("dates were moved", slog.String("account", w.m.Account), slog.String("service", w.m.Service), slog.Int("days", w.m.Days),
			slog.String("by", w.m.By), slog.Int64("moved", w.m.Moved), slog.Int64("past", w.m.Past), slog.Duration("took", time.Since(began)))
		close(w.done)
	}
}

// leaveMoves tells all who wait for a move that it is not done. None comes in any more: Close
// was called.
func (r *Reminders) leaveMoves() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, w := range r.moving {
		delete(r.moving, id)
		w.err = errNotStarted
		close(w.done)
	}
}

// nextMove is the one that began first; nil: none is under way.
func (r *Reminders) nextMove() (first *moving) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, w := range r.moving {
		if first == nil || w.m.ID < first.m.ID {
			first = w
		}
	}
	return first
}

// moveOne goes on with a move to its end.
func (r *Reminders) moveOne(ctx context.Context, w *moving) error {
	for !w.m.Over {
		list, next, err := r.store.ToMove(&w.m, moveBatch)
		if err != nil {
			return err
		}
		m := w.m
		m.Next, m.Over = next, next == 0
		if err := r.moveThese(ctx, &m, list); err != nil {
			return err
		}
		w.m = m
	}
	return nil
}

// moveThese moves some series and writes with them how far the move is.
func (r *Reminders) moveThese(ctx context.Context, m *reminder.Move, list []*reminder.Series) error {
	hashes := make([]uint64, len(list))
	for i, s := range list {
		hashes[i] = reminder.Hash(s.Account, s.Key)
	}
	if err := r.holding.take(ctx, hashes); err != nil {
		return err
	}
	defer r.holding.give(hashes)
	cat, now := r.o.Catalogue(), r.o.Now()
	c := r.clock(cat, m.Service)
	var moves []*recall
	for _, was := range list {
		s, err := r.store.Read(was.ID) // as it is, now that nobody else changes it
		switch {
		case errors.Is(err, reminder.ErrUnknown):
			continue
		case err != nil:
			return err
		case !m.Moves(s):
			continue
		}
		if _, past := m.To(s, c, now); past {
			m.Past++
			continue
		}
		moves = append(moves, &recall{s: s})
	}
	ctx = context.WithoutCancel(ctx) // what is taken back is written down
	if err := r.takeBack(ctx, moves, true, now); err != nil {
		return errors.Join(err, r.sendAgain(ctx, moves, c, now))
	}
	b := reminder.Batch{Move: m}
	for _, x := range moves {
		if x.withdrawn {
			x.s.Withdrawn()
		}
		to := x.s.Reminder
		to.Expires, _ = m.To(x.s, c, now)
		x.s.Set(to, x.s.Leads(), c, now)
		b.Series = append(b.Series, x.s)
	}
	m.Moved += int64(len(b.Series))
	if err := r.store.Apply(ctx, &b); err != nil {
		return err
	}
	r.met.moved.Add(float64(len(b.Series)))
	return nil
}

// sendAgain writes down what was taken back for a move that is not made now: it leaves again.
func (r *Reminders) sendAgain(ctx context.Context, list []*recall, c *reminder.Clock, now time.Time) error {
	var b reminder.Batch
	for _, x := range list {
		if x.withdrawn {
			x.s.Change(x.s.Reminder, true, c, now)
			b.Series = append(b.Series, x.s)
		}
	}
	return r.store.Apply(ctx, &b)
}
