package pebble

import (
	"context"

	pdb "github.com/cockroachdb/pebble/v2"

	"masar/queue"
)

// halted claims messages that a halt has set aside, in order of id. It goes on where the
// call before ended. They have an index of their own: the side way may hold millions of
// others, and whoever lifts a halt waits for these. After an error nothing of the call is
// claimed.
func (s *Store) halted(ctx context.Context, want int, into []queue.Claim) ([]queue.Claim, error) {
	from := s.sweep.halted
	s.sweep.halted = 0
	s.mu.Lock()
	none := len(s.halts) == 0
	s.mu.Unlock()
	if none {
		return into, nil
	}
	before := len(into)
	got, next, err := s.haltedFrom(ctx, from, want, into)
	if err != nil {
		for _, c := range got[before:] {
			s.Release(c)
		}
		s.sweep.halted = from
		return into[:before], err
	}
	if len(got) >= want {
		s.sweep.halted = next // a round that ends here is told by the next, empty answer
	}
	return got, nil
}

// haltedFrom claims from an id on, and gives the id to go on with.
func (s *Store) haltedFrom(ctx context.Context, from queue.ID, want int, into []queue.Claim) (_ []queue.Claim, next queue.ID, err error) {
	snap, err := s.durable(ctx)
	if err != nil {
		return into, from, err
	}
	defer snap.Close()
	i, err := snap.NewIter(&pdb.IterOptions{LowerBound: idKey(nil, kindHalted, from), UpperBound: []byte{kindHalted + 1}})
	if err != nil {
		return into, from, err
	}
	defer i.Close()
	grabbed := make([]*item, 0, min(max(want-len(into), 0), asideBatch))
	for ok := i.First(); ok && len(into) < want; {
		grabbed = grabbed[:0]
		for ; ok && len(grabbed) < min(want-len(into), asideBatch); ok = i.Next() {
			id := queue.ID(be.Uint64(i.Key()[1:]))
			next = id + 1
			if it := s.grab(id); it != nil { // else claimed: whoever acts on it decides
				grabbed = append(grabbed, it)
			}
		}
		if into, err = s.fillAside(grabbed, isHalted, into); err != nil {
			return into, from, err
		}
		if err := ctx.Err(); err != nil {
			return into, from, err
		}
	}
	return into, next, i.Error()
}

func isHalted(_ int, p *sidePlace) bool { return p.why == queue.WaitHalted }
