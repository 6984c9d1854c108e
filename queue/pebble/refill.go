package pebble

import (
	"log/slog"
	"time"

	pdb "github.com/cockroachdb/pebble/v2"

	"masar/queue"
)

// refill is one lane or one outbox that has room in memory and rows on disk.
type refill struct {
	lane   *lane
	outbox *outbox
}

// fillLane asks for a refill, unless one is under way. REQUIRES: s.mu, l.backlog.
func (s *Store) fillLane(l *lane) {
	if l.filling {
		return
	}
	l.filling, l.asideOK = true, true
	s.fillQueue = append(s.fillQueue, refill{lane: l})
	s.fillCond.Broadcast()
}

func (s *Store) fillOutbox(o *outbox) {
	if o.filling {
		return
	}
	o.filling, o.asideOK = true, true
	s.fillQueue = append(s.fillQueue, refill{outbox: o})
	s.fillCond.Broadcast()
}

// readAgain is how long after a failed read a lane or an outbox is read again.
const readAgain = time.Second

// fillLater asks for a refill after a failed read: whoever takes has been told that there
// is nothing, and would come back only when something new enters.
func (s *Store) fillLater(fill func()) {
	time.AfterFunc(readAgain, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if !s.closing {
			fill()
		}
	})
}

// refiller is one goroutine of those that read ahead.
func (s *Store) refiller() {
	var items []*item
	var parcels []*parcel
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		for len(s.fillQueue) == 0 && !s.closing {
			s.fillCond.Wait()
		}
		if s.closing {
			return
		}
		r := s.fillQueue[0]
		s.fillQueue[0] = refill{}
		if s.fillQueue = s.fillQueue[1:]; len(s.fillQueue) == 0 {
			s.fillQueue = nil
		}
		if r.lane != nil {
			items = s.refillLane(r.lane, items[:0])
			clear(items)
		} else {
			parcels = s.refillOutbox(r.outbox, parcels[:0])
			clear(parcels)
		}
	}
}

// refillLane reads the next rows of a lane into memory. It unlocks s.mu while it reads.
//
// What it reads is durable: tail was told after its fsync and stamps only rise. What has
// ended meanwhile is in l.gone, what somebody claimed by id is in s.items, what came
// meanwhile is in l.aside: so no row is given twice and none is left out.
func (s *Store) refillLane(l *lane, items []*item) []*item {
	from, to := l.read+1, l.tail
	n := l.want - l.ready.n
	if s.memory >= s.o.ReadAheadBytes {
		n = least
	}
	l.aside, l.asideOK, l.gone = l.aside[:0], true, nil
	s.mu.Unlock()
	items, last, exhausted, err := s.readLane(l, from, to, max(n, least), items)
	s.mu.Lock()

	l.filling = false
	s.fillCond.Broadcast()
	if err != nil {
		l.aside, l.asideOK, l.gone = nil, false, nil
		s.o.Log.Error("reading a lane", slog.Any("lane", l.id), slog.Any("err", err))
		s.fillLater(func() { s.fillLane(l) })
		return items
	}
	var grabbed int64
	for _, it := range items {
		if _, ended := l.gone[it.stamp]; !ended {
			grabbed += s.load(l, it)
		}
	}
	l.read = last
	if exhausted {
		l.read = to
		if l.asideOK {
			for _, it := range l.aside {
				if _, ended := l.gone[it.stamp]; !ended {
					grabbed += s.load(l, it)
				}
			}
			l.read, l.backlog = l.tail, false
			s.recount(l, grabbed)
		}
	}
	clear(l.aside)
	l.aside, l.asideOK, l.gone = l.aside[:0], false, nil
	if l.ready.n > 0 {
		s.refilled = append(s.refilled, l)
		s.wake()
	} else if l.backlog {
		s.fillLane(l)
	}
	return items
}

// load makes a row that was read ready, unless it is claimed. It gives 1 when somebody has
// put a claim on it and is still reading its rows: if nothing comes of that, ungrab makes
// the row ready.
func (s *Store) load(l *lane, it *item) int64 {
	if known := s.items[it.id]; known != nil {
		if known.m == nil && known.state.Load() == held {
			known.behind = it
			return 1
		}
		return 0
	}
	if attempts := s.unsure[it.id]; attempts != nil {
		it.sending, it.unsure = attempts, attempts[len(attempts)-1]
		delete(s.unsure, it.id)
	}
	s.items[it.id] = it
	l.ready.pushBack(it)
	s.memory += it.size
	return 0
}

// recount sets right a count that a crash has left a little off, now that every row of
// the lane is in memory; grabbed ones are about to be counted as claimed.
func (s *Store) recount(l *lane, grabbed int64) {
	n := int64(l.ready.n) + l.claimed + grabbed
	if n == l.count {
		return
	}
	in := &s.inbox
	in.mu.Lock()
	in.room.give(roomKey{l.id.Account, l.id.Class}, l.count-n)
	in.mu.Unlock()
	l.count, l.dirty = n, true
}

// readLane reads up to n rows in [from, to]. last is the stamp of the last row read;
// exhausted: there is none after it.
func (s *Store) readLane(l *lane, from, to uint64, n int, items []*item) (_ []*item, last uint64, exhausted bool, err error) {
	last = from - 1
	if to < from {
		return items, last, true, nil
	}
	it, err := s.db.NewIter(&pdb.IterOptions{
		LowerBound: laneKey(nil, l.id, from), UpperBound: laneKey(nil, l.id, to+1),
	})
	if err != nil {
		return items, last, false, err
	}
	defer it.Close()
	parts := partReader{s: s}
	defer parts.close()
	ok := it.First()
	for ; ok && n > 0; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return items, last, false, err
		}
		last = be.Uint64(it.Key()[laneKeyLen-8:])
		m, err := s.loadRow(last, v, &parts)
		if err != nil {
			s.o.Log.Error("a waiting message cannot be read and is left where it is",
				slog.Any("lane", l.id), slog.Uint64("stamp", last), slog.Any("err", err))
			continue
		}
		if m != nil {
			m.stamp, m.lane = last, l
			items = append(items, m)
		}
		n--
	}
	if err := it.Error(); err != nil {
		return items, last, false, err
	}
	return items, last, !ok, nil
}

// loadRow makes an item of a lane row; nil when its record has just left the side way.
func (s *Store) loadRow(stamp uint64, v []byte, parts *partReader) (*item, error) {
	m := new(queue.Message)
	it := &item{m: m}
	if id, ok := isPointer(v); ok {
		w, closer, err := s.db.Get(idKey(nil, kindSide, id))
		if err == pdb.ErrNotFound {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		defer closer.Close()
		place, record, err := parseSide(w)
		if err != nil {
			return nil, err
		}
		if err := queue.DecodeMessage(record, m); err != nil {
			return nil, err
		}
		it.side, it.why, it.entered = true, place.why, queue.Time(stamp>>10)
		it.size = int64(len(w)) + itemOctets
	} else {
		if err := queue.DecodeMessage(v, m); err != nil {
			return nil, err
		}
		it.entered = m.Accepted
		it.size = int64(len(v)) + itemOctets
	}
	it.id = m.ID
	// Only what was taken before can have answered parts: rows from before this start, and
	// what has been on the side way.
	if it.side || stamp <= s.startStamp {
		if err := parts.into(it); err != nil {
			return nil, err
		}
	}
	return it, nil
}

// partReader finds the part rows of messages whose ids mostly rise.
type partReader struct {
	s *Store
	i *pdb.Iterator
	k []byte
}

func (r *partReader) close() {
	if r.i != nil {
		r.i.Close()
	}
}

// into gives an item its answered parts, and its message those of the latest attempt.
func (r *partReader) into(it *item) error {
	if r.i == nil {
		i, err := r.s.db.NewIter(&pdb.IterOptions{LowerBound: []byte{kindPart}, UpperBound: []byte{kindPart + 1}})
		if err != nil {
			return err
		}
		r.i = i
	}
	if err := scanParts(r.i, it.id, &r.k, func(p *answered) { it.parts = append(it.parts, p.PartInfo) }); err != nil {
		return err
	}
	if len(it.parts) == 0 {
		return nil
	}
	m := it.m
	m.Attempt = max(m.Attempt, it.parts[len(it.parts)-1].Attempt)
	m.Answers = nil
	for _, p := range it.parts {
		if p.Attempt == m.Attempt {
			m.Answers = append(m.Answers, p)
		}
	}
	return nil
}

// scanParts tells each part row of a message, in order.
func scanParts(i *pdb.Iterator, id queue.ID, k *[]byte, each func(*answered)) error {
	*k = idKey(*k, kindPart, id)
	for ok := i.SeekGE(*k); ok; ok = i.Next() {
		if key := i.Key(); len(key) != 11 || string(key[:9]) != string(*k) {
			break
		}
		v, err := i.ValueAndErr()
		if err != nil {
			return err
		}
		var p answered
		if err := parsePart(v, &p); err != nil {
			return err
		}
		each(&p)
	}
	return i.Error()
}

// eachPart is scanParts over a reader.
func (s *Store) eachPart(r pdb.Reader, id queue.ID, each func(*answered)) error {
	i, err := r.NewIter(&pdb.IterOptions{LowerBound: idKey(nil, kindPart, id), UpperBound: idKey(nil, kindPart, id+1)})
	if err != nil {
		return err
	}
	defer i.Close()
	var k []byte
	return scanParts(i, id, &k, each)
}

// refillOutbox is refillLane for an outbox.
func (s *Store) refillOutbox(o *outbox, parcels []*parcel) []*parcel {
	from, to := o.read+1, o.tail
	n := o.want - o.ready.n
	if s.memory >= s.o.ReadAheadBytes {
		n = least
	}
	o.aside, o.asideOK = o.aside[:0], true
	s.mu.Unlock()
	parcels, last, exhausted, err := s.readOutbox(o.account, from, to, max(n, least), parcels)
	s.mu.Lock()

	o.filling = false
	if err != nil {
		o.aside, o.asideOK = nil, false
		s.o.Log.Error("reading an outbox", slog.Uint64("account", uint64(o.account)), slog.Any("err", err))
		s.fillLater(func() { s.fillOutbox(o) })
		return parcels
	}
	load := func(p *parcel) {
		if _, ended := o.gone[p.d.Seq]; ended {
			return
		}
		o.ready.pushBack(p)
		s.memory += p.size
	}
	for _, p := range parcels {
		load(p)
	}
	o.read = last
	if exhausted {
		o.read = to
		if o.asideOK {
			for _, p := range o.aside {
				load(p)
			}
			o.read, o.backlog = o.tail, false
			if n := int64(o.ready.n + len(o.held) + o.ending); n != o.count {
				o.count, o.dirty = n, true
			}
		}
	}
	for seq := range o.gone {
		if seq <= o.read {
			delete(o.gone, seq)
		}
	}
	clear(o.aside)
	o.aside, o.asideOK = o.aside[:0], false
	if o.ready.n > 0 {
		s.refilledOut = append(s.refilledOut, o)
		s.wake()
	} else if o.backlog {
		s.fillOutbox(o)
	}
	return parcels
}

func (s *Store) readOutbox(account uint32, from, to uint64, n int, parcels []*parcel) (_ []*parcel, last uint64, exhausted bool, err error) {
	last = from - 1
	if to < from {
		return parcels, last, true, nil
	}
	it, err := s.db.NewIter(&pdb.IterOptions{
		LowerBound: outboxKey(nil, account, from), UpperBound: outboxKey(nil, account, to+1),
	})
	if err != nil {
		return parcels, last, false, err
	}
	defer it.Close()
	ok := it.First()
	for ; ok && n > 0; ok = it.Next() {
		v, err := it.ValueAndErr()
		if err != nil {
			return parcels, last, false, err
		}
		last = be.Uint64(it.Key()[outboxKeyLen-8:])
		d := &queue.Delivery{Account: account, Seq: last}
		if err := queue.DecodeDelivery(v, d); err != nil {
			s.o.Log.Error("a delivery cannot be read and is left where it is",
				slog.Uint64("account", uint64(account)), slog.Uint64("seq", last), slog.Any("err", err))
			continue
		}
		parcels = append(parcels, &parcel{d: d, size: int64(len(v)) + parcelOctets})
		n--
	}
	if err := it.Error(); err != nil {
		return parcels, last, false, err
	}
	return parcels, last, !ok, nil
}
