package jobs

import (
	"context"
	"errors"
	"time"

	"masar/gateway"
	"masar/queue"
	"masar/service/reminder"
	"masar/smpp/pdu"
)

// errMerged is the Err of a message for which an identical one stands that has left.
const errMerged = "merged"

// Ended takes in how messages of reminders ended, and returns when that is on disk. Told
// twice an end changes nothing; one of a series that is gone, or was laid out anew since, is
// passed over.
func (r *Reminders) Ended(ctx context.Context, ends []gateway.End) error {
	hashes := make([]uint64, 0, len(ends))
	list := make(map[uint64]*reminder.Series, len(ends))
	for i := range ends {
		id := ends[i].Job.Number
		if _, has := list[id]; has {
			continue
		}
		s, err := r.store.Read(id)
		if err != nil && !errors.Is(err, reminder.ErrUnknown) {
			return err
		}
		if list[id] = s; s != nil {
			hashes = append(hashes, reminder.Hash(s.Account, s.Key))
		}
	}
	if err := r.holding.take(ctx, hashes); err != nil {
		return err
	}
	defer r.holding.give(hashes)
	b := reminder.Batch{}
	cat, now := r.o.Catalogue(), r.o.Now()
	changed := make(map[uint64]bool, len(list))
	for id, s := range list {
		if s == nil {
			continue
		}
		var err error // as it is, now that nobody else changes it
		if list[id], err = r.store.Read(id); err != nil && !errors.Is(err, reminder.ErrUnknown) {
			return err
		}
	}
	for i := range ends {
		e := &ends[i]
		s := list[e.Job.Number]
		if s == nil {
			continue
		}
		c := r.clock(cat, s.Service)
		end := reminder.End{Item: e.Job.Item, Message: uint64(e.Message), Delivered: e.State == pdu.StateDelivered || e.Err == errMerged, Reason: reasonOf(e)}
		was, missed := s.Ended(end, c, now)
		if missed >= 0 {
			b.Unreached = append(b.Unreached, s.Missing(missed, c, now))
		}
		if was && !changed[s.ID] {
			changed[s.ID] = true
			b.Series = append(b.Series, s)
		}
		if end.Delivered {
			r.met.delivered.Inc()
		} else {
			r.met.failed.Inc()
		}
	}
	if len(b.Series) == 0 {
		return nil
	}
	if err := r.store.Apply(ctx, &b); err != nil {
		return err
	}
	r.met.unreached.Add(float64(len(b.Unreached)))
	return nil
}

// reasonOf is why a message was not delivered: the carrier's error beside the state, where
// it gave one.
func reasonOf(e *gateway.End) string {
	switch {
	case e.State == pdu.StateDelivered:
		return ""
	case e.State == pdu.StateRejected && e.Err != "", e.Err == errMerged:
		return e.Err // a reason of ours, or a status's name
	case e.Err == "":
		return e.State.Receipt()
	}
	return e.State.Receipt() + " " + e.Err
}

// Fresh says a message of a reminder anew, as it is at now: language, wording and days left.
func (r *Reminders) Fresh(m *queue.Message, now time.Time) (gateway.Fresh, error) {
	over := func(st pdu.State, why string) (gateway.Fresh, error) { return gateway.Fresh{Over: st, Why: why}, nil }
	s, err := r.store.Read(m.Job.Number)
	if errors.Is(err, reminder.ErrUnknown) {
		return over(pdu.StateDeleted, "withdrawn")
	}
	if err != nil {
		return gateway.Fresh{}, err
	}
	cat := r.o.Catalogue()
	c := r.clock(cat, s.Service)
	switch s.Stands(m.Job.Item, c, now) {
	case reminder.Gone:
		return over(pdu.StateDeleted, "withdrawn")
	case reminder.Late:
		return over(pdu.StateExpired, "date_passed")
	}
	text, why, err := r.render(context.Background(), cat, c, s, now)
	if err != nil {
		return gateway.Fresh{}, err
	}
	if why != "" {
		return over(pdu.StateRejected, why)
	}
	return gateway.Fresh{Text: text.Text, Template: text.Template(s.Service)}, nil
}
