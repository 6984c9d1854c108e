package pebble

import (
	"sort"

	"masar/queue"
)

// parcel is a delivery in memory.
type parcel struct {
	d    *queue.Delivery
	size int64
}

// parcelOctets is what a parcel and its delivery take beside the record, in octets.
const parcelOctets = 350

// outbox is one account's outbox in memory, in the same way as a lane.
type outbox struct {
	account uint32
	ready   deque[*parcel] // by Seq
	held    map[uint64]*parcel
	ending  int // delivered in the batch under way
	count   int64
	read    uint64
	tail    uint64
	backlog bool
	filling bool
	want    int
	gone    map[uint64]struct{} // rows that ended unread, after read
	aside   []*parcel
	asideOK bool
	head    queue.Time
	told    uint64
	dirty   bool
	emptied queue.Time
}

// find gives the place of a ready delivery; -1 when it is not there.
func (o *outbox) find(seq uint64) int {
	i := sort.Search(o.ready.n, func(i int) bool { return (*o.ready.at(i)).d.Seq >= seq })
	if i < o.ready.n && (*o.ready.at(i)).d.Seq == seq {
		return i
	}
	return -1
}

// goneOut counts a row that left.
func (s *Store) goneOut(account uint32) {
	o := s.outboxes[account]
	o.count--
	o.ending--
	o.dirty = true
	if o.count <= 0 && !o.backlog {
		o.count, o.head = 0, 0
		o.emptied = queue.At(s.o.Now())
	}
}

// TakeOutbox is queue.Store's.
func (s *Store) TakeOutbox(account uint32, max int, into []*queue.Delivery) (d []*queue.Delivery, more bool) {
	s.pass()
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.outboxes[account]
	if o == nil || s.closing {
		return into, false
	}
	n := 0
	for ; n < max && o.ready.n > 0; n++ {
		p := o.ready.popFront()
		s.memory -= p.size
		o.head = p.d.Created
		if o.held == nil {
			o.held = make(map[uint64]*parcel)
		}
		o.held[p.d.Seq] = p
		into = append(into, p.d)
	}
	if o.backlog {
		if n < max && o.filling {
			o.want = min(2*o.want, 16*s.o.ReadAhead)
		}
		if o.ready.n <= o.want/2 {
			s.fillOutbox(o)
		}
	}
	return into, o.filling
}

// ReleaseOutbox is queue.Store's.
func (s *Store) ReleaseOutbox(d *queue.Delivery) {
	s.mu.Lock()
	defer s.mu.Unlock()
	o := s.outboxes[d.Account]
	if o == nil || o.held[d.Seq] == nil {
		return
	}
	p := o.held[d.Seq]
	delete(o.held, d.Seq)
	s.memory += p.size
	o.ready.pushFront(p)
	for i := 1; i < o.ready.n && (*o.ready.at(i)).d.Seq < d.Seq; i++ {
		o.ready.swap(i-1, i)
	}
}

// arriveOut puts a durable new row into its outbox.
func (s *Store) arriveOut(p *parcel) *outbox {
	o := s.outboxes[p.d.Account]
	if o.count == 0 {
		o.head = p.d.Created
	}
	o.count++
	o.tail = p.d.Seq
	o.dirty = true
	switch {
	case !o.backlog && o.ready.n < o.want && (s.memory < s.o.ReadAheadBytes || o.ready.n < least):
		o.read = p.d.Seq
		o.ready.pushBack(p)
		s.memory += p.size
	case !o.backlog:
		o.backlog = true
	case o.filling && o.asideOK:
		if len(o.aside) < o.want {
			o.aside = append(o.aside, p)
		} else {
			o.aside, o.asideOK = nil, false
		}
	}
	return o
}

// OutboxDepths is queue.Store's.
func (s *Store) OutboxDepths(each func(account uint32, d queue.Depth)) {
	type row struct {
		account uint32
		d       queue.Depth
	}
	var rows []row
	s.pass()
	s.mu.Lock()
	for account, o := range s.outboxes {
		if o.count > 0 {
			head := o.head
			if o.ready.n > 0 && len(o.held) == 0 {
				head = (*o.ready.at(0)).d.Created
			}
			rows = append(rows, row{account, queue.Depth{Messages: o.count, Oldest: head}})
		}
	}
	s.mu.Unlock()
	for _, r := range rows {
		each(r.account, r.d)
	}
}
