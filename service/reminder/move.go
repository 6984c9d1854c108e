package reminder

import (
	"encoding/binary"
	"fmt"
	"time"

	"masar/service"
)

// A Move shifts all dates of one service: an extension by decree. It goes through the
// series in the order of their IDs, and how far it is is written with what it did.
type Move struct {
	ID               uint64 // given by the Store
	Account, Service string
	Days             int
	By               string
	Began            time.Time // series that were asked for, or changed, since are left alone
	Next             uint64    // ID from which on series are still to be moved
	MoveResult                 // so far
	Over             bool      // it goes from the disk
}

// moveVersion is that of a Move: the first did not count those that would be past.
const moveVersion = 2

func (m *Move) append(b []byte, account, code uint32) []byte {
	b = append(b, moveVersion)
	b = binary.AppendUvarint(b, uint64(account))
	b = binary.AppendUvarint(b, uint64(code))
	b = binary.AppendVarint(b, int64(m.Days))
	b = appendString(b, m.By)
	b = binary.AppendVarint(b, m.Began.UnixMilli())
	b = binary.AppendUvarint(b, m.Next)
	return binary.AppendVarint(binary.AppendVarint(b, m.Moved), m.Past)
}

func readMove(b []byte) (m Move, account, code uint32, err error) {
	r := reader{b: b}
	version := r.octet()
	if (version < 1 || version > moveVersion) && r.err == nil {
		return m, 0, 0, fmt.Errorf("%w: a move of version %d", errRow, version)
	}
	account, code = r.u32(), r.u32()
	m.Days = int(r.varint())
	m.By = r.str()
	m.Began = milli(r.varint())
	m.Next, m.Moved = r.uvarint(), r.varint()
	if version > 1 {
		m.Past = r.varint()
	}
	return m, account, code, r.err
}

// Moves lists the moves that are not over.
func (st *Store) Moves() (all []Move, err error) {
	if err := st.db.Begin(); err != nil {
		return nil, err
	}
	defer st.db.End()
	err = st.eachMove(func(m *Move) { all = append(all, *m) })
	return all, err
}

func (st *Store) eachMove(f func(*Move)) error {
	return each(st.db, []byte{kindMove}, nil, func(k, v []byte) (bool, error) {
		m, account, code, err := readMove(v)
		if err != nil || len(k) != 9 {
			return false, fmt.Errorf("a move: %w", errRow)
		}
		m.ID = be.Uint64(k[1:])
		m.Account, m.Service = st.names.name(accountName, account), st.names.name(serviceName, code)
		f(&m)
		return true, nil
	})
}

// ToMove reads up to max series of a move, from m.Next on, and where to go on then; 0: that
// was all. It looks at no more than a hundred times as many.
func (st *Store) ToMove(m *Move, max int) (list []*Series, next uint64, err error) {
	if err := st.db.Begin(); err != nil {
		return nil, 0, err
	}
	defer st.db.End()
	account, known := st.names.number(accountName, m.Account)
	code, known2 := st.names.number(serviceName, m.Service)
	if !known || !known2 {
		return nil, 0, nil
	}
	looks := 100 * max
	err = each(st.db, []byte{kindSeries}, seriesKey(nil, m.Next), func(k, v []byte) (bool, error) {
		if len(k) != 9 {
			return false, errRow
		}
		id := be.Uint64(k[1:])
		if looks--; looks < 0 || len(list) == max {
			next = id
			return false, nil
		}
		// Most are of others: their rows are not read whole.
		r := reader{b: v}
		r.octet()
		if r.u32() != account || r.u32() != code {
			return true, r.err
		}
		s, err := st.decode(id, v)
		if err != nil {
			return false, err
		}
		if m.Moves(s) {
			list = append(list, s)
		}
		return true, nil
	})
	return list, next, err
}

// Moves tells whether a series of its account and service is one of the move's.
func (m *Move) Moves(s *Series) bool {
	return s.Service == m.Service && s.State != Withdrawn && !s.Changed.After(m.Began)
}

// To is the date of a series when it is moved. past: it would be past, so it stays.
func (m *Move) To(s *Series, c *Clock, now time.Time) (to service.Day, past bool) {
	to = AddDays(s.Expires, m.Days)
	return to, to.Compare(c.Today(now)) < 0
}
