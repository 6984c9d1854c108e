package pebble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	pdb "github.com/cockroachdb/pebble/v2"

	"masar/queue"
)

// sweep remembers how far the rounds over sent and waiting messages have come.
type sweep struct {
	mu      sync.Mutex // one Due at a time
	sent    queue.ID
	expired []byte // lane key
	side    queue.ID
	halted  queue.ID
}

// Rows that one call of Due reads at most, of each of the places it looks at: some 40 ms.
// A round over more takes several calls.
const sweepRows = 100_000

// Due is queue.Store's. Expired, Overdue and Halted go on where the call before ended when there
// is more than one call may read.
func (s *Store) Due(ctx context.Context, k queue.DueKind, now time.Time, max int, into []queue.Claim) ([]queue.Claim, error) {
	if err := s.begin(); err != nil {
		return into, err
	}
	defer s.end()
	s.sweep.mu.Lock()
	defer s.sweep.mu.Unlock()
	want := len(into) + max
	switch k {
	case queue.Scheduled:
		return s.scheduled(ctx, queue.At(now), want, into)
	case queue.Overdue:
		return s.overdue(ctx, queue.At(now), want, into)
	case queue.Expired:
		return s.expired(ctx, queue.At(now), want, into)
	case queue.Orphaned:
		return s.orphaned(ctx, want, into)
	case queue.Halted:
		return s.halted(ctx, want, into)
	}
	return into, fmt.Errorf("%w: due kind %d", errStep, k)
}

// overdue claims sent messages whose last part was answered before a moment.
func (s *Store) overdue(ctx context.Context, before queue.Time, want int, into []queue.Claim) ([]queue.Claim, error) {
	snap, err := s.durable(ctx)
	if err != nil {
		return into, err
	}
	defer snap.Close()
	start := s.sweep.sent
	rows := sweepRows
	into, done, err := s.overdueFrom(snap, start, ^queue.ID(0), before, want, into, &rows)
	if err != nil || !done {
		return into, err
	}
	s.sweep.sent = 0
	if start == 0 {
		return into, nil
	}
	into, done, err = s.overdueFrom(snap, 0, start, before, want, into, &rows)
	if done {
		s.sweep.sent = 0
	}
	return into, err
}

func (s *Store) overdueFrom(snap *pdb.Snapshot, from, to queue.ID, before queue.Time, want int, into []queue.Claim, rows *int) (_ []queue.Claim, done bool, err error) {
	i, err := snap.NewIter(&pdb.IterOptions{LowerBound: idKey(nil, kindSent, from), UpperBound: after(idKey(nil, kindSent, to))})
	if err != nil {
		return into, false, err
	}
	defer i.Close()
	for ok := i.First(); ok; ok = i.Next() {
		id := queue.ID(be.Uint64(i.Key()[1:]))
		if len(into) >= want || *rows <= 0 {
			s.sweep.sent = id
			return into, false, nil
		}
		*rows--
		v, err := i.ValueAndErr()
		if err != nil {
			return into, false, err
		}
		var info queue.PartInfo
		if len(v) < 8 {
			return into, false, errRow
		}
		if _, err := queue.DecodePart(v[8:], &info); err != nil {
			return into, false, err
		}
		if info.Sent >= before {
			continue
		}
		it := s.grab(id)
		if it == nil {
			continue
		}
		whole := item{id: id, m: new(queue.Message)}
		if whole.textMAC, err = parseSent(v, &info, whole.m); err == nil && info.Of > 1 {
			parts := partReader{s: s}
			err = parts.into(&whole)
			parts.close()
		}
		gone := false
		if err == nil && whole.m.Kept != 0 {
			// It may have gone out again since the snapshot; grabbed, it does not.
			v, err = get(s.db, idKey(nil, kindSent, id))
			gone = v == nil
		}
		if err != nil {
			s.ungrab(it)
			return into, false, err
		}
		if gone {
			s.ungrab(it)
			continue
		}
		s.mu.Lock()
		it.m, it.textMAC, it.sent = whole.m, whole.textMAC, &info
		s.mu.Unlock()
		into = append(into, it.claim())
	}
	return into, true, i.Error()
}

// expired claims waiting messages whose validity has ended: those in memory, then rows
// of lanes with a backlog, then the side way.
func (s *Store) expired(ctx context.Context, now queue.Time, want int, into []queue.Claim) ([]queue.Claim, error) {
	type unread struct {
		l        *lane
		from, to uint64
	}
	var disk []unread
	s.mu.Lock()
	for _, l := range s.lanes {
		for i := 0; i < l.ready.n && len(into) < want; {
			it := *l.ready.at(i)
			if it.m.Expires > now {
				i++
				continue
			}
			l.ready.remove(i)
			s.hold(l, it)
			into = append(into, it.claim())
		}
		if l.backlog {
			disk = append(disk, unread{l, l.read + 1, l.tail})
		}
	}
	s.mu.Unlock()
	slices.SortFunc(disk, func(a, b unread) int { return bytes.Compare(laneKey(nil, a.l.id, 0), laneKey(nil, b.l.id, 0)) })
	rows := sweepRows
	cursor := s.sweep.expired
	s.sweep.expired = nil
	for turn := range 2 {
		for _, u := range disk {
			lower, upper := laneKey(nil, u.l.id, u.from), laneKey(nil, u.l.id, u.to+1)
			if turn == 0 && cursor != nil {
				if string(upper) <= string(cursor) {
					continue
				}
				if string(lower) < string(cursor) {
					lower = cursor
				}
			}
			var stop []byte
			var err error
			if into, stop, err = s.expiredRows(ctx, lower, upper, u.l, now, want, into, &rows); err != nil {
				return into, err
			}
			if stop != nil {
				s.sweep.expired = stop
				return into, nil
			}
		}
		if cursor == nil {
			break
		}
	}
	return s.expiredAside(ctx, now, want, into, len(disk) > 0)
}

// expiredRows looks at lane rows in [lower, upper); stop is where it has to go on.
func (s *Store) expiredRows(ctx context.Context, lower, upper []byte, l *lane, now queue.Time, want int, into []queue.Claim, rows *int) (_ []queue.Claim, stop []byte, err error) {
	i, err := s.db.NewIter(&pdb.IterOptions{LowerBound: lower, UpperBound: upper})
	if err != nil {
		return into, nil, err
	}
	defer i.Close()
	for ok := i.First(); ok; ok = i.Next() {
		if len(into) >= want || *rows <= 0 {
			return into, append([]byte(nil), i.Key()...), nil
		}
		*rows--
		if *rows%4096 == 0 && ctx.Err() != nil {
			return into, nil, ctx.Err()
		}
		v, err := i.ValueAndErr()
		if err != nil {
			return into, nil, err
		}
		if _, pointer := isPointer(v); pointer {
			continue // seen on the side way
		}
		if at, err := queue.MessageExpires(v); err != nil || at > now {
			continue
		}
		stamp := be.Uint64(i.Key()[laneKeyLen-8:])
		it := s.grab(queue.ID(stamp))
		if it == nil {
			into = s.takeExpired(queue.ID(stamp), now, into)
			continue
		}
		// The row may have gone since the iterator was made; claimed, it stays.
		v, err = get(s.db, laneKey(nil, l.id, stamp))
		if v == nil || err != nil {
			s.ungrab(it)
			if err != nil {
				return into, nil, err
			}
			continue
		}
		if err := s.fill(it, place{lane: l.id, stamp: stamp, record: v}); err != nil {
			s.ungrab(it)
			return into, nil, err
		}
		into = append(into, it.claim())
	}
	return into, nil, i.Error()
}

// takeExpired claims a message that a refill brought into memory while its row was read.
func (s *Store) takeExpired(id queue.ID, now queue.Time, into []queue.Claim) []queue.Claim {
	c, err, known := s.claimInMemory(0, id)
	if !known || err != nil {
		return into
	}
	if c.M.Expires > now {
		s.Release(c)
		return into
	}
	return append(into, c)
}

// expiredAside looks at the side way, where the records of some rows of lanes stand too:
// lanes says that there may be such.
func (s *Store) expiredAside(ctx context.Context, now queue.Time, want int, into []queue.Claim, lanes bool) ([]queue.Claim, error) {
	s.mu.Lock()
	none := len(s.sides) == 0
	s.mu.Unlock()
	if none && s.sweep.side == 0 && !lanes {
		return into, nil
	}
	snap, err := s.durable(ctx)
	if err != nil {
		return into, err
	}
	defer snap.Close()
	from := s.sweep.side
	s.sweep.side = 0
	rows := sweepRows
	for {
		var stop queue.ID
		into, stop, err = s.expiredSide(ctx, snap, from, now, want, into, &rows)
		if err != nil || stop != 0 {
			s.sweep.side = stop
			return into, err
		}
		if from == 0 || len(into) >= want {
			return into, nil
		}
		from = 0
	}
}

func (s *Store) expiredSide(ctx context.Context, snap *pdb.Snapshot, from queue.ID, now queue.Time, want int, into []queue.Claim, rows *int) (_ []queue.Claim, stop queue.ID, err error) {
	i, err := snap.NewIter(&pdb.IterOptions{LowerBound: idKey(nil, kindSide, from), UpperBound: []byte{kindSide + 1}})
	if err != nil {
		return into, 0, err
	}
	defer i.Close()
	for ok := i.First(); ok; ok = i.Next() {
		id := queue.ID(be.Uint64(i.Key()[1:]))
		if len(into) >= want || *rows <= 0 {
			return into, id, nil
		}
		*rows--
		if *rows%4096 == 0 && ctx.Err() != nil {
			return into, 0, ctx.Err()
		}
		v, err := i.ValueAndErr()
		if err != nil {
			return into, 0, err
		}
		if len(v) < sidePlaceLen {
			return into, 0, errRow
		}
		if at, err := queue.MessageExpires(v[sidePlaceLen:]); err != nil || at > now {
			continue
		}
		it := s.grab(id)
		if it == nil {
			into = s.takeExpired(id, now, into)
			continue
		}
		p, err := s.aside(id)
		if err == nil {
			err = s.fill(it, p)
		}
		if err == nil && it.m.Expires > now { // replaced since the snapshot
			s.Release(it.claim())
			continue
		}
		if err != nil {
			s.ungrab(it)
			if errors.Is(err, queue.ErrUnknown) || errors.Is(err, queue.ErrClaimed) {
				continue
			}
			return into, 0, err
		}
		into = append(into, it.claim())
	}
	return into, 0, i.Error()
}

// Groups is queue.Store's.
func (s *Store) Groups(live func(group uint16) bool) {
	s.mu.Lock()
	s.live = live
	s.mu.Unlock()
}

// orphaned claims messages of lanes whose group is not told with Groups.
func (s *Store) orphaned(ctx context.Context, want int, into []queue.Claim) ([]queue.Claim, error) {
	s.mu.Lock()
	live := s.live
	var ids []queue.Lane
	for id, l := range s.lanes {
		if l.count > 0 {
			ids = append(ids, id)
		}
	}
	s.mu.Unlock()
	if live == nil {
		return into, nil
	}
	for _, id := range ids {
		for !live(id.Group()) && len(into) < want {
			n := len(into)
			var more bool
			into, more = s.Take(id, want-n, into)
			if !more && len(into) == n {
				break
			}
			if more && len(into) == n {
				s.awaitFill(id)
			}
			if err := ctx.Err(); err != nil {
				return into, err
			}
		}
	}
	return into, nil
}

// awaitFill waits for the end of a lane's refill.
func (s *Store) awaitFill(id queue.Lane) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lanes[id]
	for l != nil && l.filling && !s.closing {
		s.fillCond.Wait()
	}
}
