package pebble

import (
	"context"
	"log/slog"
	"slices"

	pdb "github.com/cockroachdb/pebble/v2"

	"masar/queue"
)

// matchingRows bounds how many rows on disk one Matching looks at.
const matchingRows = 10_000

// Matching is queue.Store's. Messages on the side way have an index; for those in lanes
// the account's own lanes are looked through, at most matchingRows rows of them on disk.
func (s *Store) Matching(ctx context.Context, p queue.Pattern, max int) ([]queue.ID, error) {
	if err := s.begin(); err != nil {
		return nil, err
	}
	defer s.end()
	fits := func(m *queue.Message) bool {
		return m.Account == p.Account && m.Source.Addr == p.Source && m.Dest.Addr == p.Dest &&
			(p.AnyService || m.ServiceType == p.ServiceType)
	}
	snap, err := s.durable(ctx)
	if err != nil {
		return nil, err
	}
	defer snap.Close()
	var found []queue.ID
	mac := s.macs.get()
	index := waitingKey(nil, p.Account, s.pairMAC(mac, p.Source, p.Dest), 0)
	s.macs.put(mac)
	index = index[:len(index)-8]
	err = scan(snap, index, func(k, _ []byte) error {
		id := queue.ID(be.Uint64(k[len(k)-8:]))
		v, err := get(snap, idKey(nil, kindSide, id))
		if v == nil || err != nil {
			return err
		}
		_, record, err := parseSide(v)
		if err != nil {
			return err
		}
		var m queue.Message
		if err := queue.DecodeMessage(record, &m); err != nil {
			return err
		}
		if fits(&m) && !s.isClaimed(id) {
			found = append(found, id)
		}
		return ctx.Err()
	})
	if err != nil {
		return nil, err
	}
	type unread struct {
		l        queue.Lane
		from, to uint64
	}
	var disk []unread
	s.mu.Lock()
	for id, l := range s.lanes {
		if id.Account != p.Account {
			continue
		}
		for i := range l.ready.n {
			if it := *l.ready.at(i); !it.side && fits(it.m) {
				found = append(found, it.id)
			}
		}
		if l.backlog {
			disk = append(disk, unread{id, l.read + 1, l.tail})
		}
	}
	s.mu.Unlock()
	budget := matchingRows
	for _, u := range disk {
		if err := s.matchRows(snap, laneKey(nil, u.l, u.from), laneKey(nil, u.l, u.to+1), &budget, func(m *queue.Message) {
			if fits(m) && !s.isClaimed(m.ID) {
				found = append(found, m.ID)
			}
		}); err != nil {
			return nil, err
		}
		if err := ctx.Err(); err != nil {
			return nil, err
		}
	}
	slices.Sort(found)
	found = slices.Compact(found)
	return found[:min(len(found), max)], nil
}

// isClaimed says that somebody acts on a message.
func (s *Store) isClaimed(id queue.ID) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.items[id]
	return it != nil && it.state.Load() != ready
}

func (s *Store) matchRows(r pdb.Reader, from, to []byte, budget *int, each func(*queue.Message)) error {
	i, err := r.NewIter(&pdb.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return err
	}
	defer i.Close()
	for ok := i.First(); ok && *budget > 0; ok = i.Next() {
		*budget--
		v, err := i.ValueAndErr()
		if err != nil {
			return err
		}
		if _, pointer := isPointer(v); pointer {
			continue // found by its index
		}
		var m queue.Message
		if err := queue.DecodeMessage(v, &m); err != nil {
			s.o.Log.Error("a waiting message cannot be read", slog.Any("err", err))
			continue
		}
		each(&m)
	}
	return i.Error()
}

// pairMAC is the keyed hash of a source and destination.
func (s *Store) pairMAC(x *mac, source, dest string) uint64 {
	x.pair = append(append(append(x.pair[:0], source...), 0), dest...)
	return x.of(macPair, x.pair)
}
