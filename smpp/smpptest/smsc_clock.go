package smpptest

import (
	"container/heap"
	"sync"
	"time"

	"masar/smpp/pdu"
)

// smscTick is how coarse delays are: what falls due within it goes out together, with
// one write a session.
const smscTick = time.Millisecond

type smscEventKind uint8

const (
	answerEvent  smscEventKind = iota // a submit's response is due
	receiptEvent                      // a delivery is due
	enquireEvent                      // a session's turn to be asked whether it lives
	expiryEvent                       // unfinished messages of the text log
)

// smscEvent is something that happens later. One struct for all: a million of them wait
// at 50,000 messages a second and 20 s of delay.
type smscEvent struct {
	at       int64 // ns since 1970
	delivery *smscDelivery
	session  *smscSession
	id       uint64
	cmd      pdu.Command
	status   pdu.Status
	seq      uint32
	kind     smscEventKind
}

// smscClock keeps the events. Delays that do not vary come in order of time, so most
// events wait in a plain queue; only what comes out of order pays for the heap.
type smscClock struct {
	smsc *SMSC
	wake chan struct{} // holds one: something earlier than known came, or stop
	done bool

	mu      sync.Mutex
	ordered []smscEvent
	head    int
	rest    eventHeap
	next    int64 // what run sleeps until; 0 while it is not asleep
}

func newSMSCClock(c *SMSC) *smscClock {
	return &smscClock{smsc: c, wake: make(chan struct{}, 1)}
}

// add takes events; it keeps no reference to the slice.
func (k *smscClock) add(events []smscEvent) {
	k.mu.Lock()
	earliest := events[0].at
	for _, e := range events {
		earliest = min(earliest, e.at)
		if n := len(k.ordered); n == k.head || k.ordered[n-1].at <= e.at {
			k.ordered = append(k.ordered, e)
		} else {
			heap.Push(&k.rest, e)
		}
	}
	wake := k.next != 0 && earliest < k.next
	k.mu.Unlock()
	if wake {
		k.poke()
	}
}

func (k *smscClock) poke() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

func (k *smscClock) stop() {
	k.mu.Lock()
	k.done = true
	k.mu.Unlock()
	k.poke()
}

// never is later than any event.
const never = int64(1<<63 - 1)

func (k *smscClock) run() {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var due []smscEvent
	turn := smscTurn{accounts: make(map[*smscAccount][]*smscDelivery), flush: make(map[*smscSession]struct{})}
	for {
		now := time.Now().UnixNano()
		k.mu.Lock()
		if k.done {
			k.mu.Unlock()
			return
		}
		due = k.take(due[:0], now)
		sleep := time.Hour
		if len(due) == 0 {
			if k.next = k.earliest(); k.next != never {
				// Rounded up: at thousands of events a second one wake-up serves many.
				sleep = max(smscTick, time.Duration(k.next-now))
			}
		}
		k.mu.Unlock()
		if len(due) > 0 {
			turn.handle(k, due, now)
			clear(due)
			continue
		}
		timer.Reset(sleep)
		select {
		case <-timer.C:
		case <-k.wake:
		}
		k.mu.Lock()
		k.next = 0
		k.mu.Unlock()
	}
}

// take appends what is due, earliest first.
//
// REQUIRES: k.mu is held.
func (k *smscClock) take(due []smscEvent, now int64) []smscEvent {
	for {
		fromOrdered := k.head < len(k.ordered)
		if len(k.rest) > 0 && (!fromOrdered || k.rest[0].at < k.ordered[k.head].at) {
			if k.rest[0].at > now {
				return due
			}
			due = append(due, heap.Pop(&k.rest).(smscEvent))
			continue
		}
		if !fromOrdered || k.ordered[k.head].at > now {
			return due
		}
		due = append(due, k.ordered[k.head])
		k.ordered[k.head] = smscEvent{}
		k.head++
		if k.head == len(k.ordered) {
			k.ordered, k.head = k.ordered[:0], 0
		} else if k.head >= 65536 && k.head*2 >= len(k.ordered) {
			n := copy(k.ordered, k.ordered[k.head:])
			clear(k.ordered[n:])
			k.ordered, k.head = k.ordered[:n], 0
		}
	}
}

func (k *smscClock) earliest() int64 {
	at := never
	if k.head < len(k.ordered) {
		at = k.ordered[k.head].at
	}
	if len(k.rest) > 0 {
		at = min(at, k.rest[0].at)
	}
	return at
}

// smscTurn gathers what one wake-up does, so that each account is locked and each
// session written once.
type smscTurn struct {
	accounts map[*smscAccount][]*smscDelivery
	flush    map[*smscSession]struct{}
}

func (t *smscTurn) handle(k *smscClock, due []smscEvent, now int64) {
	for i := range due {
		e := &due[i]
		switch e.kind {
		case answerEvent:
			if k.smsc.opt.Outstanding > 0 {
				e.session.addWaiting(-1)
			}
			e.session.answerSubmit(e.cmd, e.status, e.seq, e.id)
			t.flush[e.session] = struct{}{}
		case receiptEvent:
			a := e.delivery.account
			t.accounts[a] = append(t.accounts[a], e.delivery)
		case enquireEvent:
			if e.session.askAlive() {
				k.add([]smscEvent{{at: now + int64(k.smsc.opt.EnquireLink), kind: enquireEvent, session: e.session}})
			}
		case expiryEvent:
			k.smsc.log.expire(time.Unix(0, now))
		}
	}
	for s := range t.flush {
		s.flush()
	}
	clear(t.flush)
	for a, ready := range t.accounts {
		if len(ready) == 0 {
			continue
		}
		a.deliver(nil, ready)
		clear(ready)
		t.accounts[a] = ready[:0]
	}
}

type eventHeap []smscEvent

func (h eventHeap) Len() int           { return len(h) }
func (h eventHeap) Less(i, j int) bool { return h[i].at < h[j].at }
func (h eventHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *eventHeap) Push(x any)        { *h = append(*h, x.(smscEvent)) }
func (h *eventHeap) Pop() any {
	old := *h
	n := len(old) - 1
	e := old[n]
	old[n] = smscEvent{}
	*h = old[:n]
	return e
}
