package pebble

import (
	"context"
	"slices"
	"time"

	"masar/queue"
)

// MOSets is queue.Store's. It reads every part there is: they are few, and each waits
// minutes at most.
func (s *Store) MOSets(ctx context.Context, before time.Time, max int) ([]queue.MOSet, error) {
	if err := s.begin(); err != nil {
		return nil, err
	}
	defer s.end()
	snap, err := s.durable(ctx)
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	var sets []queue.MOSet
	var last string
	err = scan(snap, []byte{kindMOPart}, func(k, v []byte) error {
		var p queue.MOPart
		if err := parseMO(k, v, &p); err != nil {
			return err
		}
		if set := string(k[:16]); set != last || len(sets) == 0 {
			last = set
			sets = append(sets, queue.MOSet{Ref: p.Set, Begun: p.At})
		}
		set := &sets[len(sets)-1]
		set.Begun = min(set.Begun, p.At)
		set.Parts = append(set.Parts, p)
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	limit := queue.At(before)
	sets = slices.DeleteFunc(sets, func(m queue.MOSet) bool { return !before.IsZero() && m.Begun >= limit })
	slices.SortStableFunc(sets, func(a, b queue.MOSet) int { return int(a.Begun - b.Begun) })
	return sets[:min(len(sets), max)], nil
}

// UnmatchedReceipts lists receipts of a carrier that matched nothing, by the carrier's id
// from one on, at most max: for listing and replay.
func (s *Store) UnmatchedReceipts(ctx context.Context, carrier uint32, from string, max int) ([]queue.Unmatched, error) {
	if err := s.begin(); err != nil {
		return nil, err
	}
	defer s.end()
	snap, err := s.durable(ctx)
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	var out []queue.Unmatched
	err = scan(snap, unmatchedKey(nil, carrier, "", 0)[:5], func(k, v []byte) error {
		if len(out) >= max || string(k[5:len(k)-9]) < from {
			return ctx.Err()
		}
		var u queue.Unmatched
		if err := parseUnmatched(k, v, &u); err != nil {
			return err
		}
		out = append(out, u)
		return ctx.Err()
	})
	return out, err
}

// DropUnmatched forgets a receipt that was replayed or is of no use.
func (s *Store) DropUnmatched(ctx context.Context, u *queue.Unmatched) error {
	return s.do(ctx, func(c *committer) { c.del(unmatchedKey(c.k, u.Carrier, u.CarrierID, uint64(u.At))) })
}
