package pebble

import (
	"context"
	"log/slog"

	pdb "github.com/cockroachdb/pebble/v2"

	"masar/queue"
	"masar/smpp/pdu"
)

// survey is one Survey under way: one View and one Message for all its rows.
type survey struct {
	s    *Store
	ctx  context.Context
	snap *pdb.Snapshot
	each func(*queue.View) bool
	view queue.View
	m    queue.Message
	part [1]queue.PartInfo
	rows int
	over bool // each has had enough
}

// Survey is queue.Store's.
func (s *Store) Survey(ctx context.Context, what queue.Survey, each func(*queue.View) bool) error {
	// Not a reader like the others, whom Close keeps out while it waits for those who are in:
	// a survey lasts, and each may wait for somebody who asks the store for something.
	if err := s.begin(); err != nil {
		return err
	}
	s.surveys.Add(1)
	s.end()
	defer s.surveys.Done()
	snap, err := s.durable(ctx)
	if err != nil {
		return err
	}
	defer snap.Close()
	v := &survey{s: s, ctx: ctx, snap: snap, each: each}
	if err := v.walk([]byte{kindLane}, kindLane, v.inLane); err != nil || v.over {
		return err
	}
	if err := v.walk([]byte{kindSide}, kindSide, v.onSideWay); err != nil || v.over {
		return err
	}
	if what.Sent {
		if err := v.walk([]byte{kindSent}, kindSent, v.sent); err != nil || v.over {
			return err
		}
	}
	if what.Since.IsZero() {
		return nil
	}
	since := max(queue.At(what.Since), 0)
	return v.walk(historyKey(nil, day(since), 0)[:3], kindHistory, func(k, value []byte) (bool, error) {
		return v.ended(k, value, since)
	})
}

// walk tells each row of a kind from a key on, until each has had enough. read fills the view
// from a row, and says whether the row is one to tell of.
func (v *survey) walk(from []byte, kind byte, read func(k, value []byte) (bool, error)) error {
	i, err := v.snap.NewIter(&pdb.IterOptions{LowerBound: from, UpperBound: []byte{kind + 1}})
	if err != nil {
		return err
	}
	defer i.Close()
	for ok := i.First(); ok; ok = i.Next() {
		if v.rows++; v.rows%1024 == 1 {
			if err := v.stopped(); err != nil {
				return err
			}
		}
		value, err := i.ValueAndErr()
		if err != nil {
			return err
		}
		v.view = queue.View{M: &v.m, State: pdu.StateEnroute}
		tell, err := read(i.Key(), value)
		if err != nil {
			v.s.o.Log.Error("a message cannot be read and is left out of a survey",
				slog.String("kind", string(kind)), slog.Any("err", err))
			continue
		}
		if tell && !v.each(&v.view) {
			v.over = true
			return nil
		}
	}
	return i.Error()
}

// stopped is why a survey may not go on: Close waits for it.
func (v *survey) stopped() error {
	select {
	case <-v.s.quit:
		return queue.ErrClosed
	default:
		return v.ctx.Err()
	}
}

func (v *survey) inLane(k, value []byte) (bool, error) {
	if _, pointer := isPointer(value); pointer {
		return false, nil // told of with the side way
	}
	lane, ok := parseLane(k)
	if !ok {
		return false, errRow
	}
	v.view.Stage, v.view.Lane = queue.Waiting, lane
	return true, queue.DecodeMessageHead(value, &v.m)
}

func (v *survey) onSideWay(_, value []byte) (bool, error) {
	side, record, err := parseSide(value)
	if err != nil {
		return false, err
	}
	v.view.Stage, v.view.Lane = queue.Waiting, side.lane
	if side.stamp == 0 {
		v.view.Stage, v.view.Why, v.view.Until = queue.Aside, side.why, side.until
		if side.why == queue.WaitSchedule {
			v.view.State = pdu.StateScheduled
		}
	}
	return true, queue.DecodeMessageHead(record, &v.m)
}

func (v *survey) sent(_, value []byte) (bool, error) {
	v.view.Stage, v.view.Parts = queue.Sent, v.part[:]
	_, err := parseSent(value, &v.part[0], &v.m)
	return true, err
}

func (v *survey) ended(k, value []byte, since queue.Time) (bool, error) {
	if len(k) != historyKeyLen {
		return false, nil // how its delivery ended
	}
	at, err := queue.FactsEnded(value)
	if err != nil || at < since {
		return false, err
	}
	var f queue.Facts
	if err := queue.DecodeFacts(value, &f, &v.m); err != nil {
		return false, err
	}
	v.view.Stage, v.view.State, v.view.Err, v.view.Ended, v.view.Parts = queue.Ended, f.State, f.Err, f.Ended, f.Parts
	return true, nil
}
