package reminder

import pdb "github.com/cockroachdb/pebble/v2"

// entry writes the rows of one batch.
type entry struct {
	st       *Store
	w        *pdb.Batch
	k, v     []byte
	err      error
	now      []stored
	pending  int64
	earliest place // of all rows D set
}

func (e *entry) set(k, v []byte) {
	if e.err == nil {
		e.err = e.w.Set(k, v, nil)
	}
}

func (e *entry) delete(k []byte) {
	if e.err == nil {
		e.err = e.w.Delete(k, nil)
	}
}

// fill writes all. REQUIRES: Store.writing.
func (e *entry) fill(b *Batch) error {
	e.now = make([]stored, len(b.Series))
	for i, s := range b.Series {
		e.now[i] = e.series(s)
	}
	for _, s := range b.Discard {
		e.discard(s)
	}
	for i := range b.Unreached {
		m := &b.Unreached[i]
		account := e.number(accountName, m.Series.Account)
		e.v = appendUnreached(e.v[:0], &m.Unreached, e.number(serviceName, m.Series.Service))
		e.k = unreachKey(e.k, account, m.Day, m.Series.ID, m.Series.Run, m.Step)
		e.set(e.k, e.v)
	}
	if b.Bookmark != nil {
		e.bookmark(b.Bookmark)
	}
	if m := b.Move; m != nil {
		if m.ID == 0 {
			e.st.moves++
			m.ID = e.st.moves
		}
		if e.k = moveKey(e.k, m.ID); m.Over {
			e.delete(e.k)
		} else {
			e.v = m.append(e.v[:0], e.number(accountName, m.Account), e.number(serviceName, m.Service))
			e.set(e.k, e.v)
		}
	}
	if e.st.last > e.st.upTo {
		e.st.upTo = e.st.last + idsAhead
		e.total(totalNumber, e.st.upTo)
	}
	if e.pending != 0 {
		e.total(totalPending, uint64(max(e.st.pending+e.pending, 0)))
	}
	return e.err
}

func (e *entry) total(name string, v uint64) {
	e.k = totalKey(e.k, name)
	e.v = be.AppendUint64(e.v[:0], v)
	e.set(e.k, e.v)
}

// number is a name's, given at first sight.
func (e *entry) number(kind byte, name string) uint32 {
	n, known := e.st.names.number(kind, name)
	if known {
		return n
	}
	n = e.st.names.add(kind, name)
	e.k = nameKey(e.k, kind, name)
	e.set(e.k, be.AppendUint32(nil, n))
	return n
}

func (e *entry) series(s *Series) stored {
	was := s.stored
	if s.ID == 0 {
		e.st.last++
		s.ID = e.st.last
	}
	now := stored{
		exists: true, account: e.number(accountName, s.Account), code: e.number(serviceName, s.Service),
		next: unix(s.Next), coming: s.comingAt(), pending: s.State == Pending,
	}
	if !was.exists {
		e.k = keyKey(e.k, now.account, s.Key)
		e.v = be.AppendUint64(e.v[:0], s.ID)
		e.set(e.k, e.v)
	}
	if was.exists && was.next != now.next {
		e.k = dueKey(e.k, was.next, s.ID)
		e.delete(e.k)
	}
	if !was.exists || was.next != now.next {
		e.k = dueKey(e.k, now.next, s.ID)
		e.v = be.AppendUint64(e.v[:0], Hash(s.Account, s.Key))
		e.set(e.k, e.v)
		if p := (place{now.next, s.ID}); p.before(e.earliest) {
			e.earliest = p
		}
	}
	moved := was.coming != now.coming
	if moved && was.coming != 0 {
		e.k = comingKey(e.k, was.account, was.coming, s.ID)
		e.delete(e.k)
	}
	if now.coming != 0 && (moved || was.code != now.code) {
		e.k = comingKey(e.k, now.account, now.coming, s.ID)
		e.v = be.AppendUint32(e.v[:0], now.code)
		e.set(e.k, e.v)
	}
	e.k = seriesKey(e.k, s.ID)
	e.v = appendSeries(e.v[:0], s, now.account, now.code)
	e.set(e.k, e.v)
	e.count(was.pending, now.pending)
	return now
}

func (e *entry) discard(s *Series) {
	was := &s.stored
	e.k = keyKey(e.k, was.account, s.Key)
	e.delete(e.k)
	e.k = dueKey(e.k, was.next, s.ID)
	e.delete(e.k)
	if was.coming != 0 {
		e.k = comingKey(e.k, was.account, was.coming, s.ID)
		e.delete(e.k)
	}
	e.k = seriesKey(e.k, s.ID)
	e.delete(e.k)
	e.count(was.pending, false)
}

func (e *entry) count(was, now bool) {
	switch {
	case was && !now:
		e.pending--
	case now && !was:
		e.pending++
	}
}
