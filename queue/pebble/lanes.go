package pebble

import (
	"sync/atomic"

	"masar/queue"
)

// States of an item.
const (
	ready int32 = iota // in its lane, for taking
	held               // claimed
	over               // a step has ended its claim
)

// item is a waiting message in memory: in its lane, or claimed. The store's lock guards
// it, but for what only the committer or the claim's owner touches.
type item struct {
	id      queue.ID
	m       *queue.Message
	lane    *lane
	to      queue.Lane // of an item aside: the lane it goes to
	stamp   uint64     // its lane row; zero: aside, or sent
	dueAt   queue.Time // its due row, while it is aside
	entered queue.Time
	size    int64
	state   atomic.Int32
	why     queue.Why
	side    bool // its record is on the side way
	unsure  uint8
	behind  *item // while only grabbed: the same row as a refill has read it

	// The committer's.
	sending []uint8          // attempts that have a sending row
	parts   []queue.PartInfo // answered parts on record, of several

	// Of an overdue message.
	sent    *queue.PartInfo
	textMAC uint64
}

// itemOctets is what an item and its message take beside the record, in octets.
const itemOctets = 600

func newItem(m *queue.Message) *item { return &item{id: m.ID, m: m} }

// recorded says that an answered part is on record already.
func (it *item) recorded(info *queue.PartInfo) bool {
	for i := range it.parts {
		if it.parts[i].Attempt == info.Attempt && it.parts[i].Part == info.Part {
			return true
		}
	}
	return false
}

func (it *item) claim() queue.Claim {
	c := queue.Claim{M: it.m, Lane: it.to, Why: it.why, Side: it.side, Stamp: it.stamp, DueAt: it.dueAt, Unsure: it.unsure, Held: it}
	if it.lane != nil {
		c.Lane = it.lane.id
	}
	return c
}

// lane is one lane in memory. The store's lock guards it.
//
// Invariant: the rows up to read are in memory (ready or claimed) or gone. While backlog
// is unset that is every row; while it is set, rows after read and up to tail are on disk
// only, unless claimed by id.
type lane struct {
	id      queue.Lane
	ready   deque[*item] // by stamp
	claimed int64
	count   int64 // rows
	read    uint64
	tail    uint64 // the last durable row
	backlog bool
	filling bool
	want    int                 // how many to hold ready
	aside   []*item             // rows that became durable during a refill
	asideOK bool                // and these are all of them
	gone    map[uint64]struct{} // rows that ended during a refill, unread
	head    queue.Time          // when the head entered, as far as known
	told    uint64              // batch that told of it last
	dirty   bool                // its state row is out of date
	emptied queue.Time          // when it became empty
}

// Take is queue.Store's.
func (s *Store) Take(id queue.Lane, max int, into []queue.Claim) (c []queue.Claim, more bool) {
	s.pass()
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lanes[id]
	if l == nil || s.closing {
		return into, false
	}
	n := 0
	for ; n < max && l.ready.n > 0; n++ {
		it := l.ready.popFront()
		it.state.Store(held)
		l.claimed++
		l.head = it.entered
		s.memory -= it.size
		into = append(into, it.claim())
	}
	if l.backlog {
		// Whoever comes back for more while a refill runs drains faster than one read fills.
		if n < max && l.filling {
			l.want = min(2*l.want, 16*s.o.ReadAhead)
		}
		if l.ready.n <= l.want/2 {
			s.fillLane(l)
		}
	}
	return into, l.filling
}

// Release is queue.Store's.
func (s *Store) Release(c queue.Claim) {
	it, ok := c.Held.(*item)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.items[it.id] != it || it.stamp != c.Stamp || !it.state.CompareAndSwap(held, ready) {
		return
	}
	l := it.lane
	if it.stamp == 0 || l == nil {
		// Aside, or sent: its rows are on disk, whoever asks for them next finds it there.
		delete(s.items, it.id)
		s.lowerDue(it.m.Class, it.dueAt)
		return
	}
	l.claimed--
	if l.backlog && it.stamp > l.read && len(it.parts) == 0 {
		delete(s.items, it.id)
		return
	}
	s.ready(l, it)
	if l.ready.n == 1 {
		// Who came while it was claimed found the lane empty, and waits to be told.
		s.refilled = append(s.refilled, l)
		s.wake()
	}
}

// ready puts an item where its stamp belongs, which is at the head but for late comers.
func (s *Store) ready(l *lane, it *item) {
	s.memory += it.size
	l.ready.pushFront(it)
	for i := 1; i < l.ready.n && (*l.ready.at(i)).stamp < it.stamp; i++ {
		l.ready.swap(i-1, i)
	}
	if (*l.ready.at(0)) == it {
		l.head = it.entered
	}
}

// arrive puts a durable new row into its lane.
func (s *Store) arrive(it *item, l *lane, stamp uint64) *lane {
	it.lane, it.stamp = l, stamp
	it.dueAt = 0
	if it.entered == 0 {
		it.entered = queue.Time(stamp >> 10)
	}
	if l.count == 0 {
		l.head = it.entered
	}
	l.count++
	l.tail = stamp
	l.dirty = true
	switch {
	case !l.backlog && s.fits(l):
		l.read = stamp
		s.items[it.id] = it
		l.ready.pushBack(it)
		s.memory += it.size
	case !l.backlog:
		l.backlog = true
	case l.filling && l.asideOK:
		if len(l.aside) < l.want {
			l.aside = append(l.aside, it)
		} else {
			l.aside, l.asideOK = nil, false
		}
	}
	return l
}

// least is how many messages every lane may have ready, however full memory is: without
// them it would stand still.
const least = 16

func (s *Store) fits(l *lane) bool {
	return l.ready.n < l.want && (s.memory < s.o.ReadAheadBytes || l.ready.n < least)
}

// drop forgets a claimed item whose message has left where it stood.
func (s *Store) drop(it *item) {
	if s.items[it.id] == it {
		delete(s.items, it.id)
	}
	if it.stamp == 0 {
		return
	}
	l := it.lane
	l.claimed--
	l.count--
	l.dirty = true
	if l.backlog && l.filling && it.stamp > l.read {
		if l.gone == nil {
			l.gone = make(map[uint64]struct{})
		}
		l.gone[it.stamp] = struct{}{}
	}
	if l.count <= 0 && !l.backlog {
		l.count, l.head = 0, 0
		l.emptied = queue.At(s.o.Now())
	}
}

// arriveAside notes a durable row on the side way.
func (s *Store) arriveAside(m *queue.Message, due queue.Time) {
	if due != 0 {
		s.lowerDue(m.Class, due)
	}
}

// Depths is queue.Store's.
func (s *Store) Depths(each func(queue.Lane, queue.Depth)) {
	type row struct {
		l queue.Lane
		d queue.Depth
	}
	var rows []row
	s.pass()
	s.mu.Lock()
	for id, l := range s.lanes {
		if l.count > 0 {
			rows = append(rows, row{id, queue.Depth{Messages: l.count, Oldest: l.oldest()}})
		}
	}
	for k, n := range s.sides {
		rows = append(rows, row{queue.Lane{Class: k.class, Account: k.account}, queue.Depth{Messages: n, Halted: s.halts[k]}})
	}
	s.mu.Unlock()
	for _, r := range rows {
		each(r.l, r.d)
	}
}

// deque is a ring that grows by doubling.
type deque[T any] struct {
	buf  []T
	head int
	n    int
}

// at gives a pointer to the i-th. REQUIRES: i < n.
func (d *deque[T]) at(i int) *T { return &d.buf[(d.head+i)&(len(d.buf)-1)] }

func (d *deque[T]) swap(i, j int) { *d.at(i), *d.at(j) = *d.at(j), *d.at(i) }

func (d *deque[T]) room() {
	if d.n < len(d.buf) {
		return
	}
	bigger := make([]T, max(8, 2*len(d.buf)))
	for i := range d.n {
		bigger[i] = *d.at(i)
	}
	d.buf, d.head = bigger, 0
}

func (d *deque[T]) pushBack(v T) {
	d.room()
	d.n++
	*d.at(d.n - 1) = v
}

func (d *deque[T]) pushFront(v T) {
	d.room()
	d.head = (d.head - 1) & (len(d.buf) - 1)
	d.n++
	*d.at(0) = v
}

// popFront takes the first. REQUIRES: n > 0.
func (d *deque[T]) popFront() T {
	var none T
	p := d.at(0)
	v := *p
	*p = none
	d.head = (d.head + 1) & (len(d.buf) - 1)
	if d.n--; d.n == 0 && len(d.buf) > 1024 {
		d.buf, d.head = nil, 0
	}
	return v
}

// Oldest is queue.Store's.
func (s *Store) Oldest(id queue.Lane) queue.Time {
	s.pass()
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lanes[id]
	switch {
	case l == nil || l.count == 0:
		return 0
	case l.ready.n > 0:
		return (*l.ready.at(0)).entered
	case !l.backlog:
		return 0 // every message of it is in somebody's hands: there is nothing to take
	}
	return l.head
}

// oldest is when the head entered. While the head is claimed it is the one taken last.
func (l *lane) oldest() queue.Time {
	if l.ready.n > 0 && l.claimed == 0 {
		return (*l.ready.at(0)).entered
	}
	return l.head
}
