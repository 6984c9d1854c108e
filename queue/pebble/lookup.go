package pebble

import (
	"context"
	"errors"

	pdb "github.com/cockroachdb/pebble/v2"

	"masar/queue"
	"masar/smpp/pdu"
)

// place is where a message's rows stand.
type place struct {
	stage  queue.Stage
	lane   queue.Lane // Waiting
	stamp  uint64
	side   *sidePlace // its record is on the side way
	record []byte     // as stored, of the stage's own kind
}

// get copies a row's value; nil when there is none.
func get(r pdb.Reader, k []byte) ([]byte, error) {
	v, closer, err := r.Get(k)
	if errors.Is(err, pdb.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	return append([]byte{}, v...), nil
}

// locate finds a message's rows: side way, sent, the lanes that are not empty, history.
func (s *Store) locate(r pdb.Reader, account uint32, id queue.ID) (p place, err error) {
	return s.locateIn(r, func() []queue.Lane { return s.lanesOf(account, uint64(id)) }, id)
}

// locateIn is locate where the lanes of a reader's moment are known.
func (s *Store) locateIn(r pdb.Reader, lanes func() []queue.Lane, id queue.ID) (p place, err error) {
	if v, err := get(r, idKey(nil, kindSide, id)); v != nil || err != nil {
		if err != nil {
			return p, err
		}
		side, record, err := parseSide(v)
		p = place{stage: queue.Aside, side: &side, record: record}
		if side.stamp != 0 {
			p.stage, p.lane, p.stamp = queue.Waiting, side.lane, side.stamp
		}
		return p, err
	}
	if v, err := get(r, idKey(nil, kindSent, id)); v != nil || err != nil {
		return place{stage: queue.Sent, record: v}, err
	}
	for _, l := range lanes() {
		if v, err := get(r, laneKey(nil, l, uint64(id))); v != nil || err != nil {
			return place{stage: queue.Waiting, lane: l, stamp: uint64(id), record: v}, err
		}
	}
	v, err := s.ended(r, id)
	if v == nil && err == nil {
		err = queue.ErrUnknown
	}
	return place{stage: queue.Ended, record: v}, err
}

// ended finds a message's history row, day by day, newest first. It goes by the days that
// are there, not by the calendar: a clock that stepped back has left rows of later days.
func (s *Store) ended(r pdb.Reader, id queue.ID) ([]byte, error) {
	i, err := r.NewIter(&pdb.IterOptions{LowerBound: []byte{kindHistory}, UpperBound: []byte{kindHistory + 1}})
	if err != nil {
		return nil, err
	}
	defer i.Close()
	k := make([]byte, 0, 11)
	for ok := i.Last(); ok; ok = i.SeekLT(k[:3]) {
		k = historyKey(k, be.Uint16(i.Key()[1:]), id)
		if v, err := get(r, k); v != nil || err != nil {
			return v, err
		}
	}
	return nil, i.Error()
}

func (s *Store) historyDays() uint16 {
	return uint16(min(int64(s.o.History.Microseconds())/dayMicros+1, 20000))
}

// lanesOf lists the lanes that may hold a message; account zero: any.
func (s *Store) lanesOf(account uint32, stamp uint64) []queue.Lane {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []queue.Lane
	for id, l := range s.lanes {
		if (account == 0 || id.Account == account) && (l.count > 0 || l.backlog || l.tail < stamp) {
			out = append(out, id)
		}
	}
	return out
}

// exists says whether any row of a message is there. The committer asks it of an Accept
// that comes with an id of ours.
func (s *Store) exists(id queue.ID, account uint32) bool {
	p, err := s.locate(s.db, account, id)
	return err == nil && p.record != nil
}

// Find is queue.Store's.
func (s *Store) Find(ctx context.Context, account uint32, id queue.ID) (queue.View, error) {
	if err := s.begin(); err != nil {
		return queue.View{}, err
	}
	defer s.end()
	// The lanes are those of the snapshot: a message that leaves its lane after it, the
	// lane's last, would be looked for nowhere.
	var lanes []queue.Lane
	snap, err := s.durableAnd(ctx, func() { lanes = s.lanesOf(account, uint64(id)) })
	if err != nil {
		return queue.View{}, err
	}
	defer snap.Close()
	p, err := s.locateIn(snap, func() []queue.Lane { return lanes }, id)
	if err != nil {
		return queue.View{}, err
	}
	v, err := s.view(snap, p, id)
	if err == nil && account != 0 && v.M.Account != account {
		return queue.View{}, queue.ErrUnknown
	}
	return v, err
}

func (s *Store) view(r pdb.Reader, p place, id queue.ID) (v queue.View, err error) {
	v = queue.View{M: new(queue.Message), Stage: p.stage, State: pdu.StateEnroute}
	switch p.stage {
	case queue.Ended:
		var f queue.Facts
		if err := queue.DecodeFacts(p.record, &f, v.M); err != nil {
			return v, err
		}
		v.State, v.Err, v.Ended, v.Parts = f.State, f.Err, f.Ended, f.Parts
		return v, nil
	case queue.Sent:
		var info queue.PartInfo
		if _, err := parseSent(p.record, &info, v.M); err != nil {
			return v, err
		}
		if info.Of <= 1 {
			v.Parts, err = s.attempts(r, v.M, info)
			return v, err
		}
	default:
		if err := queue.DecodeMessage(p.record, v.M); err != nil {
			return v, err
		}
		v.Lane = p.lane
		if p.side != nil && p.stage == queue.Aside {
			v.Why, v.Until, v.Lane = p.side.why, p.side.until, p.side.lane
			if v.Why == queue.WaitSchedule {
				v.State = pdu.StateScheduled
			}
		}
	}
	err = s.eachPart(r, id, func(p *answered) { v.Parts = append(v.Parts, p.PartInfo) })
	return v, err
}

// attempts are the parts of a sent message of one part: those of its earlier attempts, and
// the one that it waits for.
func (s *Store) attempts(r pdb.Reader, m *queue.Message, info queue.PartInfo) (parts []queue.PartInfo, err error) {
	if m.Attempt > 1 {
		err = s.eachPart(r, m.ID, func(p *answered) { parts = append(parts, p.PartInfo) })
	}
	return append(parts, info), err
}

// ByShown is queue.Store's. Only short ids are looked up: every other id a client sees
// says which message it is.
func (s *Store) ByShown(ctx context.Context, account uint32, shown string) (queue.ID, error) {
	if err := s.begin(); err != nil {
		return 0, err
	}
	defer s.end()
	if len(shown) != 10 {
		return 0, queue.ErrUnknown
	}
	var n uint64
	for _, c := range []byte(shown) {
		if c < '0' || c > '9' {
			return 0, queue.ErrUnknown
		}
		n = n*10 + uint64(c-'0')
	}
	v, err := get(s.db, shortKey(nil, account, n))
	if err != nil {
		return 0, err
	}
	if len(v) < 8 {
		return 0, queue.ErrUnknown
	}
	return queue.ID(be.Uint64(v)), nil
}

// ByOnce is queue.Store's. It asks a snapshot: a key whose Accept is not durable yet may
// still be lost, and with it the id that this would have told.
func (s *Store) ByOnce(ctx context.Context, account uint32, key []byte) (queue.ID, error) {
	if err := s.begin(); err != nil {
		return 0, err
	}
	defer s.end()
	if len(key) == 0 {
		return 0, queue.ErrUnknown
	}
	snap, err := s.durable(ctx)
	if err != nil {
		return 0, err
	}
	defer snap.Close()
	x := s.macs.get()
	mac := x.of(macOnce, append(be.AppendUint32(nil, account), key...))
	s.macs.put(x)
	now := queue.At(s.o.Now())
	for w := range uint16(onceWeeks) {
		v, err := get(snap, onceKey(nil, week(now)+1-w, mac))
		if err != nil {
			return 0, err
		}
		if len(v) >= 8 {
			return queue.ID(be.Uint64(v)), nil
		}
	}
	return 0, queue.ErrUnknown
}

// grab puts a claim on an id before its rows are read, so that nobody moves them
// meanwhile; nil when somebody has the message in memory already.
func (s *Store) grab(id queue.ID) *item {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.items[id] != nil {
		return nil
	}
	it := &item{id: id}
	it.state.Store(held)
	s.items[id] = it
	return it
}

// ungrab gives up a claim of which no row was found, or none that could be read.
func (s *Store) ungrab(it *item) {
	s.mu.Lock()
	defer s.mu.Unlock()
	// Under the lock: a refill that found it over, but still there, would leave its row out.
	it.state.Store(over)
	if s.items[it.id] != it {
		return
	}
	delete(s.items, it.id)
	if b := it.behind; b != nil {
		s.items[b.id] = b
		s.ready(b.lane, b)
		s.refilled = append(s.refilled, b.lane)
		s.wake()
	}
}

// fill makes a grabbed item whole from the rows of a waiting message.
func (s *Store) fill(it *item, p place) error {
	parts := partReader{s: s}
	defer parts.close()
	return s.fillWith(&parts, it, p)
}

// fillWith is fill with a reader of parts that was opened after the item was grabbed.
func (s *Store) fillWith(parts *partReader, it *item, p place) error {
	whole := item{id: it.id, m: new(queue.Message)}
	if err := queue.DecodeMessage(p.record, whole.m); err != nil {
		return err
	}
	if err := parts.into(&whole); err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.items[it.id] != it {
		return queue.ErrClaimed // it was sent when it was grabbed, and is being rerouted
	}
	if p.stamp != 0 {
		l := s.lanes[p.lane]
		if l == nil {
			return errRow
		}
		it.lane = l
		l.claimed++
	}
	it.m, it.parts, it.behind = whole.m, whole.parts, nil
	it.stamp, it.size, it.entered = p.stamp, int64(len(p.record))+itemOctets, it.m.Accepted
	if p.side != nil {
		it.side, it.why = true, p.side.why
		if p.stamp == 0 {
			it.dueAt, it.to = p.side.until, p.side.lane
		} else {
			it.entered = queue.Time(p.stamp >> 10)
		}
	}
	if attempts := s.unsure[it.id]; attempts != nil {
		it.sending, it.unsure = attempts, attempts[len(attempts)-1]
		delete(s.unsure, it.id)
	}
	return nil
}

// ClaimID is queue.Store's.
func (s *Store) ClaimID(ctx context.Context, account uint32, id queue.ID) (queue.Claim, error) {
	if err := s.begin(); err != nil {
		return queue.Claim{}, err
	}
	defer s.end()
	if err := ctx.Err(); err != nil {
		return queue.Claim{}, err
	}
	s.pass()
	if c, err, known := s.claimInMemory(account, id); known {
		return c, err
	}
	it := s.grab(id)
	if it == nil {
		return queue.Claim{}, queue.ErrClaimed
	}
	p, err := s.locate(s.db, account, id)
	switch {
	case err != nil:
	case p.stage == queue.Ended:
		err = queue.ErrFinal
	case p.stage == queue.Sent:
		err = queue.ErrSent
	default:
		err = s.fill(it, p)
	}
	if err == nil && (account == 0 || it.m.Account == account) {
		s.mu.Lock()
		defer s.mu.Unlock()
		return it.claim(), nil
	}
	if err == nil {
		s.Release(it.claim())
		return queue.Claim{}, queue.ErrUnknown
	}
	s.ungrab(it)
	if account != 0 && (err == queue.ErrFinal || err == queue.ErrSent) {
		// Another account's message is unknown, not final.
		if v, verr := s.view(s.db, p, id); verr != nil || v.M.Account != account {
			err = queue.ErrUnknown
		}
	}
	return queue.Claim{}, err
}

// claimInMemory claims a message that is ready; known: the answer is final.
func (s *Store) claimInMemory(account uint32, id queue.ID) (c queue.Claim, err error, known bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	it := s.items[id]
	if it == nil {
		return c, nil, false
	}
	if it.m != nil && account != 0 && it.m.Account != account {
		return c, queue.ErrUnknown, true
	}
	if it.state.Load() != ready {
		if it.sent != nil {
			return c, queue.ErrSent, true
		}
		return c, queue.ErrClaimed, true
	}
	l := it.lane
	for i := range l.ready.n {
		if *l.ready.at(i) == it {
			l.ready.remove(i)
			s.hold(l, it)
			return it.claim(), nil, true
		}
	}
	return c, queue.ErrClaimed, true
}

// hold makes an item that was taken out of a lane's ready ones a claim. REQUIRES: s.mu.
func (s *Store) hold(l *lane, it *item) {
	it.state.Store(held)
	l.claimed++
	s.memory -= it.size
	if l.backlog && l.ready.n <= l.want/2 {
		s.fillLane(l)
	}
}

// remove takes out the i-th. REQUIRES: i < n.
func (d *deque[T]) remove(i int) {
	for ; i > 0; i-- {
		d.swap(i, i-1)
	}
	d.popFront()
}
