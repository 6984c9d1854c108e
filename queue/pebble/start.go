package pebble

import (
	"context"
	"errors"
	"fmt"

	pdb "github.com/cockroachdb/pebble/v2"

	"masar/queue"
)

// restore reads what a start needs: the meta rows, the names, the states of lanes and
// outboxes, one seek for each of them, and the sending rows. Nothing that grows with the
// backlog but where the last process was killed: see count.
func (s *Store) restore(ctx context.Context, c *committer) error {
	format, err := s.meta(metaFormat)
	switch {
	case err != nil:
		return err
	case len(format) == 2 && be.Uint16(format) > FormatVersion:
		return fmt.Errorf("store: %s has format %d, this masar reads up to %d: start the newer masar that wrote it, or restore a copy from before", s.o.Dir, be.Uint16(format), FormatVersion)
	case format != nil && len(format) != 2:
		return fmt.Errorf("store: %s: %w: format", s.o.Dir, errRow)
	}
	stamp, err := s.meta(metaStamp)
	if err != nil {
		return err
	}
	if len(stamp) == 8 {
		c.last = be.Uint64(stamp)
	}
	s.startStamp = c.last
	clean, err := s.meta(metaClean)
	if err != nil {
		return err
	}
	if err := s.loadNames(); err != nil {
		return err
	}
	budget := int64(countBudget)
	if clean != nil {
		budget = 0
	}
	if err := s.loadLanes(ctx, clean != nil, &budget); err != nil {
		return fmt.Errorf("store: reading the lanes of %s: %w", s.o.Dir, err)
	}
	if err := s.loadOutboxes(ctx, clean != nil, &budget); err != nil {
		return fmt.Errorf("store: reading the outboxes of %s: %w", s.o.Dir, err)
	}
	if err := s.loadSides(); err != nil {
		return err
	}
	c.due = s.dueFrom
	if err := s.loadSending(); err != nil {
		return err
	}
	// From here on the folder is in use: its next start is clean only if this one's end is.
	c.begin()
	if format == nil {
		c.v = be.AppendUint16(c.v[:0], FormatVersion)
		c.set(metaKey(c.k, metaFormat), c.v)
	}
	c.v = be.AppendUint16(c.v[:0], s.o.Node)
	c.set(metaKey(c.k, metaNode), c.v)
	c.del(metaKey(c.k, metaClean))
	if c.failed != nil {
		return c.failed
	}
	if err := s.db.Apply(c.batch, pdb.Sync); err != nil {
		return fmt.Errorf("store: writing to %s: %w", s.o.Dir, err)
	}
	return nil
}

// meta reads a meta row; nil when there is none.
func (s *Store) meta(name string) ([]byte, error) {
	v, closer, err := s.db.Get(metaKey(nil, name))
	if errors.Is(err, pdb.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("store: reading %s: %w", s.o.Dir, err)
	}
	defer closer.Close()
	return append([]byte{}, v...), nil
}

// scan tells each row of a kind.
func scan(r pdb.Reader, prefix []byte, each func(k, v []byte) error) error {
	i, err := r.NewIter(&pdb.IterOptions{LowerBound: prefix, UpperBound: after(prefix)})
	if err != nil {
		return err
	}
	defer i.Close()
	for ok := i.First(); ok; ok = i.Next() {
		v, err := i.ValueAndErr()
		if err != nil {
			return err
		}
		if err := each(i.Key(), v); err != nil {
			return err
		}
	}
	return i.Error()
}

// A start after a crash counts a lane's rows where they are few, so that depths are exact,
// as long as the budget lasts. In a long lane it counts what came after its state row, a
// second's worth; what left in that second is set right when the lane next runs empty.
const (
	countBudget = 500_000
	countLane   = 20_000
)

func (s *Store) loadLanes(ctx context.Context, clean bool, budget *int64) error {
	i, err := s.db.NewIter(&pdb.IterOptions{LowerBound: []byte{kindLane}, UpperBound: []byte{kindLane + 1}})
	if err != nil {
		return err
	}
	defer i.Close()
	return scan(s.db, []byte{kindLaneState}, func(k, v []byte) error {
		id, ok := parseLane(k)
		if !ok || len(k) != 10 {
			return fmt.Errorf("%w: lane state", errRow)
		}
		st, err := parseState(v)
		if err != nil {
			return err
		}
		l := &lane{id: id, want: s.o.ReadAhead, emptied: queue.At(s.o.Now())}
		s.lanes[id] = l
		limit := laneKey(nil, id, ^uint64(0))
		l.tail, l.dirty = st.tail, st.count != 0
		if !i.SeekGE(laneKey(nil, id, st.head)) || string(i.Key()[:10]) != string(limit[:10]) {
			return i.Error()
		}
		first := be.Uint64(i.Key()[10:])
		l.read, l.tail, l.backlog = first-1, s.startStamp, true
		l.count, l.head = st.count, st.oldest
		if first != st.head || l.head == 0 {
			l.head = queue.Time(first >> 10)
		}
		if !clean {
			if l.count, err = count(ctx, i, limit[:10], st, budget); err != nil {
				return err
			}
		}
		// A count that is not the row's must get there before the next start, which may be clean.
		l.count, l.dirty = max(l.count, 1), true
		s.inbox.room.fill(roomKey{id.Account, id.Class}, l.count)
		return nil
	})
}

// count counts the rows of a lane or outbox after a crash. The iterator stands at its first
// row; prefix is the key without the stamp.
func count(ctx context.Context, i *pdb.Iterator, prefix []byte, st state, budget *int64) (int64, error) {
	var before int64
	if st.count > min(*budget, countLane) {
		before = st.count
		i.SeekGE(be.AppendUint64(append([]byte(nil), prefix...), st.tail+1))
	}
	n := int64(0)
	for ok := i.Valid(); ok && string(i.Key()[:len(prefix)]) == string(prefix); ok = i.Next() {
		if n++; n%65536 == 0 && ctx.Err() != nil {
			return 0, ctx.Err()
		}
	}
	*budget -= n
	return before + n, i.Error()
}

func (s *Store) loadOutboxes(ctx context.Context, clean bool, budget *int64) error {
	i, err := s.db.NewIter(&pdb.IterOptions{LowerBound: []byte{kindOutbox}, UpperBound: []byte{kindOutbox + 1}})
	if err != nil {
		return err
	}
	defer i.Close()
	return scan(s.db, []byte{kindOutState}, func(k, v []byte) error {
		if len(k) != 5 {
			return fmt.Errorf("%w: outbox state", errRow)
		}
		st, err := parseState(v)
		if err != nil {
			return err
		}
		account := be.Uint32(k[1:])
		o := &outbox{account: account, want: s.o.ReadAhead, emptied: queue.At(s.o.Now())}
		s.outboxes[account] = o
		prefix := outboxKey(nil, account, 0)[:5]
		o.tail, o.dirty = st.tail, st.count != 0
		if !i.SeekGE(outboxKey(nil, account, st.head)) || string(i.Key()[:5]) != string(prefix) {
			return i.Error()
		}
		first := be.Uint64(i.Key()[5:])
		o.read, o.tail, o.backlog = first-1, s.startStamp, true
		o.count, o.head = st.count, st.oldest
		if first != st.head || o.head == 0 {
			o.head = queue.Time(first >> 10)
		}
		if !clean {
			if o.count, err = count(ctx, i, prefix, st, budget); err != nil {
				return err
			}
		}
		o.count, o.dirty = max(o.count, 1), true
		return nil
	})
}

func (s *Store) loadSides() error {
	err := s.loadCounts(kindSideCount, s.sides)
	if err == nil {
		err = s.loadCounts(kindHaltCount, s.halts)
	}
	if err != nil {
		return err
	}
	for k, n := range s.sides {
		s.inbox.room.fill(k, n)
	}
	for c := range queue.Class(queue.Classes) {
		v, closer, err := s.db.Get(metaDueKey(nil, c))
		if err == nil {
			if len(v) == 8 {
				s.dueFrom[c] = queue.Time(be.Uint64(v))
			}
			closer.Close()
		} else if !errors.Is(err, pdb.ErrNotFound) {
			return err
		}
	}
	return nil
}

// loadCounts reads how many there are of each account and class.
func (s *Store) loadCounts(kind byte, into map[roomKey]int64) error {
	return scan(s.db, []byte{kind}, func(k, v []byte) error {
		if len(k) != 6 || len(v) != 8 || k[5] >= queue.Classes {
			return fmt.Errorf("%w: count of the side way", errRow)
		}
		into[roomKey{be.Uint32(k[1:]), queue.Class(k[5])}] = int64(be.Uint64(v))
		return nil
	})
}

func (s *Store) loadSending() error {
	return scan(s.db, []byte{kindSending}, func(k, _ []byte) error {
		if len(k) != 10 {
			return fmt.Errorf("%w: sending", errRow)
		}
		id := queue.ID(be.Uint64(k[1:]))
		s.unsure[id] = append(s.unsure[id], k[9])
		return nil
	})
}
