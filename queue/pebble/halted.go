package pebble

import (
	"context"

	pdb "github.com/cockroachdb/pebble/v2"

	"masar/queue"
)

// halted claims messages that a halt has set aside, in order of id. It goes on where the
// call before ended. They have an index of their own: the side way may hold millions of
// others, and whoever lifts a halt waits for these.
func (s *Store) halted(ctx context.Context, want int, into []queue.Claim) ([]queue.Claim, error) {
	from := s.sweep.halted
	s.sweep.halted = 0
	s.mu.Lock()
	none := len(s.halts) == 0
	s.mu.Unlock()
	if none {
		return into, nil
	}
	snap, err := s.durable(ctx)
	if err != nil {
		s.sweep.halted = from
		return into, err
	}
	defer snap.Close()
	i, err := snap.NewIter(&pdb.IterOptions{LowerBound: idKey(nil, kindHalted, from), UpperBound: []byte{kindHalted + 1}})
	if err != nil {
		s.sweep.halted = from
		return into, err
	}
	defer i.Close()
	rows := 0
	for ok := i.First(); ok; ok = i.Next() {
		id := queue.ID(be.Uint64(i.Key()[1:]))
		if len(into) >= want {
			s.sweep.halted = id
			return into, nil
		}
		if rows++; rows%4096 == 0 && ctx.Err() != nil {
			s.sweep.halted = id
			return into, ctx.Err()
		}
		from = id + 1
		it := s.grab(id)
		if it == nil {
			continue // claimed: whoever acts on it decides
		}
		p, err := s.aside(id)
		if err == nil && (p.stamp != 0 || p.side.why != queue.WaitHalted) {
			err = queue.ErrUnknown // it has moved on since the snapshot
		}
		if err == nil {
			err = s.fill(it, p)
		}
		if err != nil {
			s.ungrab(it)
			if err != queue.ErrUnknown {
				s.sweep.halted = id
				return into, err
			}
			continue
		}
		into = append(into, it.claim())
	}
	if len(into) >= want {
		s.sweep.halted = from // the round's end is told by the next, empty answer
	}
	return into, i.Error()
}
