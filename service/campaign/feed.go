package campaign

import (
	"errors"
	"slices"
	"time"

	pdb "github.com/cockroachdb/pebble/v2"

	"masar/smpp/pdu"
)

// Rows reads up to max good rows behind a row, in their order, into into's memory. gen
// keeps a reader from mixing two files: give what Generation said. ErrDamaged wraps what
// cannot be read.
func (s *Store) Rows(id uint64, gen uint32, after uint64, max int, into []Row) ([]Row, error) {
	if err := s.db.Begin(); err != nil {
		return nil, err
	}
	defer s.db.End()
	it, err := s.db.NewIter(&pdb.IterOptions{LowerBound: rowKey(nil, id, gen, after+1), UpperBound: rowKey(nil, id, gen+1, 0)})
	if err != nil {
		return nil, err
	}
	rows := into[:0]
	for has := it.First(); has && len(rows) < max; has = it.Next() {
		v := it.Value()
		if len(v) > 1 && RowKind(v[1]) != Good {
			continue
		}
		if len(rows) < cap(rows) {
			rows = rows[:len(rows)+1] // its Values are used again
		} else {
			rows = append(rows, Row{})
		}
		if err := decodeRow(v, tail(it.Key()), &rows[len(rows)-1]); err != nil {
			return nil, errors.Join(err, it.Close())
		}
	}
	return rows, errors.Join(it.Error(), it.Close())
}

// Known tells which rows of a span are recorded already.
func (s *Store) Known(id uint64, from, to uint64) (map[uint64]bool, error) {
	if err := s.db.Begin(); err != nil {
		return nil, err
	}
	defer s.db.End()
	all, err := s.statuses(id, from, to)
	if len(all) == 0 || err != nil {
		return nil, err
	}
	known := make(map[uint64]bool, len(all))
	for row := range all {
		known[row] = true
	}
	return known, nil
}

// Generation tells which file's rows a campaign has; 0: none.
func (c *Campaign) Generation() uint32 { return c.gen }

// Fed is the last row that was handed over; the next one is behind it.
func (c *Campaign) Fed() uint64 { return c.fed }

// Handed is what became of one row that was handed over.
type Handed struct {
	Row     uint64
	Message uint64 // 0: refused
	Parts   int
	Reason  string // refused: why
}

// Handed records what became of rows, in their order, and returns when that is on disk.
// upto is the row behind which the campaign goes on: every good row up to it is recorded
// now. Rows behind it may be recorded too, and are passed by later. What is recorded
// already stays as it is, but for an end that came first: it gets what it lacks.
func (s *Store) Handed(id uint64, rows []Handed, upto uint64, at time.Time) (Campaign, error) {
	if err := s.db.Begin(); err != nil {
		return Campaign{}, err
	}
	defer s.db.End()
	e, err := s.entry(id)
	if err != nil {
		return Campaign{}, err
	}
	e.turn.Lock()
	b := s.db.NewBatch()
	c, err := s.handed(e, b, rows, upto, at)
	e.turn.Unlock()
	return c, s.wait(b, err)
}

func (s *Store) handed(e *entry, b *pdb.Batch, rows []Handed, upto uint64, at time.Time) (Campaign, error) {
	c, err := s.at(e)
	if err != nil {
		return c, err
	}
	c.Counts = c.Counts.clone()
	var known map[uint64]status
	if len(rows) > 0 {
		if known, err = s.statuses(c.ID, rows[0].Row, rows[len(rows)-1].Row); err != nil {
			return c, err
		}
	}
	var k, v []byte
	for i := range rows {
		r := &rows[i]
		st, has := known[r.Row]
		switch {
		case has && st.kind == ended && st.at.IsZero():
			// Its end came before this; it counted as accepted then. That a second submit of it
			// was refused, after a crash, does not undo the first.
			st.at, st.parts = at, uint32(r.Parts)
			c.Counts.Parts += int64(r.Parts)
		case has:
			continue
		case r.Message == 0:
			st = status{kind: refused, at: at, reason: r.Reason}
			c.Counts.Refused++
			c.Counts.Refusals = add(c.Counts.Refusals, r.Reason)
			c.left()
		default:
			st = status{kind: accepted, message: r.Message, at: at, parts: uint32(r.Parts)}
			c.Counts.Accepted++
			c.Counts.Waiting++
			c.Counts.Parts += int64(r.Parts)
			c.left()
		}
		k, v = statusKey(k, c.ID, r.Row), appendStatus(v[:0], &st)
		if err := b.Set(k, v, nil); err != nil {
			return c, err
		}
	}
	c.fed = max(c.fed, upto)
	return c, s.counted(e, b, &c)
}

// left takes one from what was not handed over.
func (c *Campaign) left() {
	if c.State == Stopped { // it was handed over while the campaign was stopped
		c.Counts.Stopped--
	} else {
		c.Counts.Left--
	}
}

// counted writes a batch with the campaign's counts, and its state where that goes on with
// them.
func (s *Store) counted(e *entry, b *pdb.Batch, c *Campaign) error {
	was := c.Ended
	c.settle(s.now().UTC())
	err := s.putCounts(b, c)
	if c.Ended != was {
		err = errors.Join(err, s.put(b, c))
	}
	if err == nil {
		err = s.write(b)
	}
	if err == nil {
		s.set(e, *c)
	}
	return err
}

// statuses reads those of a span of rows: what ended before it was recorded as handed over.
func (s *Store) statuses(id, from, to uint64) (map[uint64]status, error) {
	it, err := s.db.NewIter(&pdb.IterOptions{LowerBound: statusKey(nil, id, from), UpperBound: statusKey(nil, id, to+1)})
	if err != nil {
		return nil, err
	}
	var all map[uint64]status
	for has := it.First(); has; has = it.Next() {
		st, err := decodeStatus(it.Value())
		if err != nil {
			return nil, errors.Join(err, it.Close())
		}
		if all == nil {
			all = map[uint64]status{}
		}
		all[tail(it.Key())] = st
	}
	return all, errors.Join(it.Error(), it.Close())
}

func add(m map[string]int64, name string) map[string]int64 {
	if m == nil {
		m = map[string]int64{}
	}
	m[name]++
	return m
}

// An End is how a row's message ended.
type End struct {
	Campaign uint64
	Row      uint64
	Message  uint64
	State    pdu.State
	Err      string // of the carrier or the gateway
	At       time.Time
}

// Ends records ends and returns when they are on disk. One that is known, or of a campaign
// or a message that is not, changes nothing: strange counts the latter.
func (s *Store) Ends(ends []End) (strange int, err error) {
	if err := s.db.Begin(); err != nil {
		return 0, err
	}
	defer s.db.End()
	type write struct {
		b   *pdb.Batch
		err error
	}
	var writes []write
	var told []uint64
	for i := range ends {
		id := ends[i].Campaign
		if slices.Contains(told, id) {
			continue
		}
		told = append(told, id)
		e, err := s.entry(id)
		if errors.Is(err, ErrUnknown) {
			strange += countOf(ends, id)
			continue
		}
		e.turn.Lock()
		b := s.db.NewBatch()
		n, err := s.ends(e, b, ends[i:], id)
		e.turn.Unlock()
		strange += n
		writes = append(writes, write{b, err})
	}
	for _, w := range writes {
		if werr := s.wait(w.b, w.err); werr != nil && !errors.Is(werr, errNothing) {
			err = errors.Join(err, werr)
		}
	}
	return strange, err
}

// errNothing says that a batch was not written, there being nothing to write.
var errNothing = errors.New("nothing to write")

func countOf(ends []End, id uint64) (n int) {
	for i := range ends {
		if ends[i].Campaign == id {
			n++
		}
	}
	return n
}

func (s *Store) ends(e *entry, b *pdb.Batch, ends []End, id uint64) (strange int, err error) {
	c, err := s.at(e)
	if err != nil {
		return countOf(ends, id), errNothing
	}
	c.Counts = c.Counts.clone()
	var k, v []byte
	now := map[uint64]bool{} // rows of this batch
	for i := range ends {
		end := &ends[i]
		if end.Campaign != id || now[end.Row] {
			continue
		}
		k = statusKey(k, id, end.Row)
		old, err := s.get(k)
		if err != nil {
			return strange, err
		}
		st := status{}
		if old != nil {
			if st, err = decodeStatus(old); err != nil {
				return strange, err
			}
		}
		switch {
		case old == nil && end.Row <= c.fed, st.kind == refused, st.kind == accepted && st.message != end.Message,
			st.kind == ended && st.message != end.Message:
			strange++
			continue
		case st.kind == ended:
			continue // told again after a crash
		case old == nil:
			// It ended before it was recorded as accepted.
			c.Counts.Accepted++
			c.left()
		default:
			c.Counts.Waiting--
		}
		st.kind, st.message, st.state, st.err, st.end = ended, end.Message, end.State, end.Err, end.At
		c.Counts.Ended = add(c.Counts.Ended, end.State.Receipt())
		now[end.Row] = true
		v = appendStatus(v[:0], &st)
		if err := b.Set(k, v, nil); err != nil {
			return strange, err
		}
	}
	if len(now) == 0 {
		return strange, errNothing
	}
	return strange, s.counted(e, b, &c)
}
