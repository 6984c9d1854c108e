package gateway

import (
	"slices"

	"masar/queue"
)

// shareWindow is how many of the last parts a class's share is counted over.
const shareWindow = 100

// A chooser is the brain of one carrier's dispatcher: which lane next.
//
// Between classes: of the last 100 parts each class gets at least its share while it
// waits; beyond that the most urgent goes first. Inside a class: virtual time, an
// account's rises by parts/weight, the lowest goes next. Inside an account: the lane
// whose head is oldest, lanes of equal age in turn.
//
// A turn is next, then sent (or drained, when there was nothing after all), then ready
// with the lane's new head, or drained.
type chooser struct {
	shares  [queue.Classes]int
	classes [queue.Classes]classQueue
	weights map[uint32]int // those that are not 1

	// The classes of the last parts: recent[(at-1)%shareWindow] is the latest. at starts
	// at shareWindow, and what never was is of no class, so nothing needs to ask how
	// full the ring is.
	recent [shareWindow]uint8
	count  [queue.Classes + 1]int
	at     uint64

	// widest is the most parts that went between two choices among the last shareWindow:
	// what the next message may push out of the ring before next is asked again. run is
	// how many went since the latest choice; sent may be told of them one by one.
	widest      int
	widestUntil uint64
	run         int

	turn uint64 // grows with each sent
}

// noClass fills the ring at the start.
const noClass = queue.Classes

// classQueue is one class's accounts that have something, by virtual time.
//
// A sorted slice and no heap: when the first is refused the second comes at no cost, and
// with 1,000 accounts moving the first to the end copies 8 KB.
type classQueue struct {
	waiting  []*chooserAccount
	accounts map[uint32]*chooserAccount
	floor    float64 // the least virtual time when one was last sent

	// The class's time of waiting, on the clock of parts: since is when it began, idle
	// when it ended.
	since, idle uint64
}

type chooserAccount struct {
	id     uint32
	virt   float64
	weight float64
	lanes  []chooserLane // those that have something, in the order they are asked
}

type chooserLane struct {
	lane   queue.Lane
	oldest queue.Time
	served uint64 // the turn it was last sent
}

// newChooser takes each class's share of the last 100 parts; their sum is at most 100.
func newChooser(shares [queue.Classes]int) *chooser {
	c := &chooser{shares: shares, weights: map[uint32]int{}, at: shareWindow, widest: 1}
	for i := range c.recent {
		c.recent[i] = noClass
	}
	c.count[noClass] = shareWindow
	for i := range c.classes {
		c.classes[i].accounts = map[uint32]*chooserAccount{}
	}
	return c
}

// weight sets an account's weight, 1..100; others are brought into that range.
func (c *chooser) weight(account uint32, w int) {
	w = min(max(w, 1), 100)
	if w == 1 {
		delete(c.weights, account)
	} else {
		c.weights[account] = w
	}
	for i := range c.classes {
		if a := c.classes[i].accounts[account]; a != nil {
			a.weight = float64(w)
		}
	}
}

// ready says that the lane has something and when its head entered. It may be said
// again, and is to be said when the head has changed. A lane of no known class is ignored.
func (c *chooser) ready(l queue.Lane, oldest queue.Time) {
	if l.Class >= queue.Classes {
		return
	}
	q := &c.classes[l.Class]
	a := q.accounts[l.Account]
	if a == nil {
		a = &chooserAccount{id: l.Account, virt: q.floor, weight: float64(max(1, c.weights[l.Account]))}
		q.accounts[l.Account] = a
	}
	if i := a.find(l); i >= 0 {
		if a.lanes[i].oldest == oldest {
			return
		}
		lane := a.lanes[i]
		lane.oldest = oldest
		a.lanes = slices.Delete(a.lanes, i, i+1)
		a.insert(lane)
		return
	}
	a.insert(chooserLane{lane: l, oldest: oldest})
	if len(a.lanes) > 1 {
		return
	}
	if len(q.waiting) == 0 {
		q.resume(c.at)
	}
	// One who was idle starts at the minimum: it has saved up nothing. One who was sent
	// more than others a moment ago keeps that.
	least := q.floor
	if len(q.waiting) > 0 {
		least = q.waiting[0].virt
	}
	a.virt = max(a.virt, least)
	q.insert(a)
}

// oldest is when the lane's head entered, as ready was told; zero when it has nothing.
func (c *chooser) oldest(l queue.Lane) queue.Time {
	if l.Class < queue.Classes {
		if a := c.classes[l.Class].accounts[l.Account]; a != nil {
			if i := a.find(l); i >= 0 {
				return a.lanes[i].oldest
			}
		}
	}
	return 0
}

// alone tells whether no other lane of the account and class has something: then the age
// of its head decides nothing.
func (c *chooser) alone(l queue.Lane) bool {
	if l.Class >= queue.Classes {
		return true
	}
	a := c.classes[l.Class].accounts[l.Account]
	return a == nil || len(a.lanes) < 2
}

// next is the lane to take from among those for which may says yes; false: there is
// none. may must not call the chooser but for oldest.
func (c *chooser) next(may func(queue.Lane) bool) (queue.Lane, bool) {
	l, ok := c.choose(may)
	if ok {
		c.run = 0
	}
	return l, ok
}

func (c *chooser) choose(may func(queue.Lane) bool) (queue.Lane, bool) {
	tried := 0
	for {
		class := c.owed(tried)
		if class < 0 {
			break
		}
		tried |= 1 << class
		if l, ok := c.classes[class].pick(may); ok {
			return l, true
		}
	}
	for class := range c.classes {
		if tried>>class&1 == 0 {
			if l, ok := c.classes[class].pick(may); ok {
				return l, true
			}
		}
	}
	return queue.Lane{}, false
}

// sent counts parts that went out of a lane that next named, all at once or one by one.
func (c *chooser) sent(l queue.Lane, parts int) {
	if l.Class >= queue.Classes || parts <= 0 {
		return
	}
	for range min(parts, shareWindow) {
		slot := &c.recent[c.at%shareWindow]
		c.count[*slot]--
		*slot = uint8(l.Class)
		c.count[l.Class]++
		c.at++
	}
	c.run = min(c.run+parts, shareWindow)
	if c.run >= c.widest || c.at > c.widestUntil {
		c.widest, c.widestUntil = c.run, c.at+shareWindow
	}
	c.turn++

	q := &c.classes[l.Class]
	a := q.accounts[l.Account]
	if a == nil {
		return
	}
	step := float64(parts) / a.weight
	if len(a.lanes) == 0 { // drained meanwhile
		a.virt += step
		return
	}
	q.floor = max(q.floor, q.waiting[0].virt)
	q.remove(a)
	a.virt += step
	q.insert(a)
	i := a.find(l)
	if i < 0 {
		return
	}
	if a.lanes[i].served = c.turn; i+1 < len(a.lanes) && a.lanes[i+1].oldest == a.lanes[i].oldest {
		lane := a.lanes[i]
		a.lanes = slices.Delete(a.lanes, i, i+1)
		a.insert(lane)
	}
}

// drained says that the lane has nothing any more.
func (c *chooser) drained(l queue.Lane) {
	if l.Class >= queue.Classes {
		return
	}
	q := &c.classes[l.Class]
	a := q.accounts[l.Account]
	if a == nil {
		return
	}
	i := a.find(l)
	if i < 0 {
		return
	}
	if len(a.lanes) > 1 {
		a.lanes = slices.Delete(a.lanes, i, i+1)
		return
	}
	q.floor = max(q.floor, q.waiting[0].virt)
	q.remove(a)
	a.lanes = a.lanes[:0]
	if len(q.waiting) == 0 {
		q.idle = c.at
	}
}

// owed is the class, of those not tried, that the next few messages would bring below
// its share; -1 when there is none. Of several it is the one that would be there soonest.
//
// A class that began to wait k parts ago is owed k hundredths of its share, so a class
// that comes back does not take the carrier for as many parts as its share is.
func (c *chooser) owed(tried int) int {
	found := -1
	// One message may leave the ring for the one that goes now, another for a class that
	// is owed as well and goes first, and that one's last may be long.
	look := min(3*c.widest, shareWindow)
	for class := range c.classes {
		q := &c.classes[class]
		if c.shares[class] <= 0 || len(q.waiting) == 0 || tried>>class&1 == 1 {
			continue
		}
		waited := min(c.at-q.since+uint64(look), shareWindow)
		spare := c.count[class] - c.shares[class]*int(waited)/shareWindow
		if spare >= look {
			continue
		}
		// How many parts may go until what they push out of the ring takes the class
		// below its share.
		parts := 0
		for ; parts < look && spare >= 0; parts++ {
			if int(c.recent[(c.at+uint64(parts))%shareWindow]) == class {
				spare--
			}
		}
		if spare < 0 && (found < 0 || parts < look) {
			found, look = class, parts
		}
	}
	return found
}

// resume begins the class's wait. A short gap, as when a lane is being refilled, does
// not start it anew: parts sent in the gap are taken off what it had waited.
func (q *classQueue) resume(at uint64) {
	waited := min(q.idle-q.since, shareWindow)
	gap := at - q.idle
	if q.idle == 0 {
		waited = 0
	}
	q.since = at - (waited - min(waited, gap))
}

func (q *classQueue) pick(may func(queue.Lane) bool) (queue.Lane, bool) {
	for _, a := range q.waiting {
		for i := range a.lanes {
			if may(a.lanes[i].lane) {
				return a.lanes[i].lane, true
			}
		}
	}
	return queue.Lane{}, false
}

// before orders accounts; the id makes it total, so that remove finds the one it means.
func (a *chooserAccount) before(b *chooserAccount) bool {
	return a.virt < b.virt || a.virt == b.virt && a.id < b.id
}

// place is the index of the first account that is not before a.
func (q *classQueue) place(a *chooserAccount) int {
	if len(q.waiting) == 0 || !q.waiting[0].before(a) {
		return 0
	}
	low, high := 0, len(q.waiting)
	for low < high {
		if mid := int(uint(low+high) >> 1); q.waiting[mid].before(a) {
			low = mid + 1
		} else {
			high = mid
		}
	}
	return low
}

func (q *classQueue) insert(a *chooserAccount) { q.waiting = slices.Insert(q.waiting, q.place(a), a) }

// REQUIRES: a waits, and its virtual time is what it was inserted with.
func (q *classQueue) remove(a *chooserAccount) {
	i := q.place(a)
	q.waiting = slices.Delete(q.waiting, i, i+1)
}

func (a *chooserAccount) find(l queue.Lane) int {
	for i := range a.lanes {
		if a.lanes[i].lane.Target == l.Target { // class and account are a's
			return i
		}
	}
	return -1
}

// insert keeps the lanes by the age of their heads, then by who was sent longest ago.
func (a *chooserAccount) insert(l chooserLane) {
	i := len(a.lanes)
	for i > 0 && (l.oldest < a.lanes[i-1].oldest || l.oldest == a.lanes[i-1].oldest && l.served < a.lanes[i-1].served) {
		i--
	}
	a.lanes = slices.Insert(a.lanes, i, l)
}
