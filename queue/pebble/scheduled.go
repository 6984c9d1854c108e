package pebble

import (
	"context"

	pdb "github.com/cockroachdb/pebble/v2"

	"masar/queue"
)

// lowerDue says that a due row at t may be unclaimed. REQUIRES: s.mu.
func (s *Store) lowerDue(c queue.Class, t queue.Time) {
	if t != 0 && t < s.dueFrom[c] {
		s.dueFrom[c] = t
	}
}

// scheduled claims due messages. Each class gets a third of the room first, so that a
// flood of one never keeps the others waiting; what is left goes by class.
func (s *Store) scheduled(ctx context.Context, now queue.Time, want int, into []queue.Claim) ([]queue.Claim, error) {
	s.pass() // what was answered has lowered them
	// The bounds are lifted before the snapshot is taken: what enters the side way later
	// lowers them again, what entered before is in the snapshot. Until they are put where
	// the look has ended, dueSeen keeps them as they were for whoever writes them down.
	s.mu.Lock()
	from := s.dueFrom
	s.dueSeen = &from
	for c := range from {
		s.dueFrom[c] = max(from[c], now+1000)
	}
	s.mu.Unlock()
	next := from
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		for c, t := range next {
			s.dueFrom[c] = min(s.dueFrom[c], t)
		}
		s.dueSeen = nil
	}()
	snap, err := s.durable(ctx)
	if err != nil {
		return into, err
	}
	defer snap.Close()
	share := max(1, (want-len(into))/queue.Classes)
	for round := range 2 {
		for c := range next {
			upTo := want
			if round == 0 {
				upTo = min(want, len(into)+share)
			}
			next[c], into, err = s.scheduledClass(snap, queue.Class(c), next[c], now, upTo, into)
			if err != nil {
				return into, err
			}
		}
	}
	return into, nil
}

// scheduledClass claims due messages of one class until there are upTo claims, and gives
// the moment from which on rows are left.
func (s *Store) scheduledClass(snap *pdb.Snapshot, c queue.Class, from, now queue.Time, upTo int, into []queue.Claim) (queue.Time, []queue.Claim, error) {
	if from > now || len(into) >= upTo {
		return from, into, nil
	}
	i, err := snap.NewIter(&pdb.IterOptions{
		LowerBound: dueKey(nil, c, uint64(max(from, 0))/1000, 0),
		UpperBound: dueKey(nil, c, uint64(now)/1000+1, 0),
	})
	if err != nil {
		return from, into, err
	}
	defer i.Close()
	var grabbed []*item
	var due []uint64
	asAsked := func(n int, p *sidePlace) bool { return dueMillis(p.until) == due[n] }
	left := now + 1
	for ok := i.First(); ok; {
		began := queue.Time(be.Uint64(i.Key()[2:])) * 1000
		if len(into) >= upTo {
			return min(began, left), into, nil
		}
		grabbed, due = grabbed[:0], due[:0]
		for ; ok && len(grabbed) < min(upTo-len(into), asideBatch); ok = i.Next() {
			k := i.Key()
			switch it, back := s.grabDue(queue.ID(be.Uint64(k[10:])), be.Uint64(k[2:])); {
			case it != nil:
				grabbed, due = append(grabbed, it), append(due, be.Uint64(k[2:]))
			case !back:
				left = min(left, queue.Time(be.Uint64(k[2:]))*1000)
			}
		}
		if into, err = s.fillAside(grabbed, asAsked, into); err != nil {
			return min(began, left), into, err
		}
	}
	return left, into, i.Error()
}

// grabDue is grab for a message with a due row at so many milliseconds. back tells of one that
// is somebody's already that its release lowers the bound to that row; who only reads it, or
// has found it elsewhere, may let go of it without a word.
func (s *Store) grabDue(id queue.ID, at uint64) (it *item, back bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if has := s.items[id]; has != nil {
		return nil, has.m != nil && has.stamp == 0 && has.dueAt != 0 && dueMillis(has.dueAt) == at
	}
	it = &item{id: id}
	it.state.Store(held)
	s.items[id] = it
	return it, false
}

// aside locates a message on the side way only.
func (s *Store) aside(id queue.ID) (p place, err error) {
	v, err := get(s.db, idKey(nil, kindSide, id))
	if err != nil {
		return p, err
	}
	if v == nil {
		return p, queue.ErrUnknown
	}
	side, record, err := parseSide(v)
	p = place{stage: queue.Aside, side: &side, record: record}
	if side.stamp != 0 {
		p.stage, p.lane, p.stamp = queue.Waiting, side.lane, side.stamp
	}
	return p, err
}
