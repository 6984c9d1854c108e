package gateway

import (
	"context"
	"math"
	"time"

	"masar/queue"
	"masar/ratelimit"
	"masar/smpp/pdu"
)

// dispatcher takes messages from the lanes its carrier may serve and puts them on the
// wire, when the pace has a token and a bind has a free slot. One goroutine a carrier; all
// its fields are that goroutine's own. flight.go begins and ends what it took.
type dispatcher struct {
	c         *carrier
	chooser   *chooser
	pace      *ratelimit.Pace
	refs8     references8
	world     *world    // whose weights and shares the chooser has
	open      []*flight // begun, with parts still to be sent; a few
	announced int       // flights whose Sending step is on its way to disk
	halted    bool      // nothing new is taken
	opens     time.Time // when the carrier's hours change next; zero: never
	again     time.Time // when there is a reason of its own to look again; zero: none
	now       time.Time
	claims    []queue.Claim
	binds     []*bind
	turnAt    int // where the search for a free bind begins
	sm        pdu.SubmitSM
	buf       writeBuffers
	split     split
	share     float64     // of its pace, as far as the climb after an outage has come; 1: there is none
	partsEach mean        // parts of a message
	published time.Time   // when those who watch were last told
	before    queue.Class // mayPull: only lanes of a class more urgent than this

	resting []queue.Lane // of which a batch is being set aside (haltside.go)
}

const (
	// mostOpen bounds the flights with parts to be sent on a bind that has room: messages
	// are finished before others begin, but for more urgent ones.
	mostOpen = 8
	// mostBegun bounds all of them, those included whose bind is full or whose Sending step
	// is being written: so that one full bind does not keep the others idle.
	mostBegun = 256
	// mostInVain is how many messages one choice may end or move on without sending any,
	// before the dispatcher looks at its answers again.
	mostInVain = 64
)

func (d *dispatcher) run(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if wait := d.turn(); wait > 0 {
			timer.Reset(wait)
		}
		select {
		case <-ctx.Done():
			return
		case <-d.c.over:
			d.end(ctx)
			return
		case <-d.c.wake:
		case <-timer.C:
		}
	}
}

// end gives back all that is not finished. The correlator has ended before.
func (d *dispatcher) end(ctx context.Context) {
	d.listen()
	for d.announced > 0 { // their claims come back with the store's word
		select {
		case <-ctx.Done():
			return
		case <-d.c.wake:
			d.listen()
		}
	}
	for _, f := range d.open {
		if !f.stopped.Load() {
			d.release(f)
		}
	}
	d.open = nil
	d.c.begun.Store(0)
}

// turn sends all that may be sent now. It returns how long until there is a reason of its
// own to look again; zero: only a wake brings one.
func (d *dispatcher) turn() time.Duration {
	d.now, d.again = time.Now(), time.Time{}
	d.listen()
	for n := 1; ; n++ {
		if n%64 == 0 { // a long turn still hears of answers, of urgent messages and of the time
			d.now = time.Now()
			d.listen()
		}
		b := d.freeBind()
		if b == nil || d.c.unrecorded.Load() >= d.c.mostUnrecorded() {
			break // an answer wakes us, or its record
		}
		if wait := d.pace.Take(d.now, 1); wait > 0 {
			d.c.nextToken.Store(d.now.Add(wait).UnixNano())
			d.lookAgain(d.now.Add(wait))
			break
		}
		if !d.sendNext(b) {
			d.pace.Give(1)
			break
		}
	}
	d.c.begun.Store(int64(len(d.open) + d.announced))
	if len(d.open) > 0 {
		d.lookAgain(d.now.Add(time.Second)) // an open flight whose carrier stays down moves on in time
	}
	if !d.opens.IsZero() {
		d.lookAgain(d.opens)
	}
	if d.again.IsZero() {
		return 0
	}
	return max(d.again.Sub(d.now), time.Millisecond)
}

func (d *dispatcher) lookAgain(at time.Time) {
	if d.again.IsZero() || at.Before(d.again) {
		d.again = at
	}
}

// listen takes over what others left for the dispatcher.
func (d *dispatcher) listen() {
	c := d.c
	c.mu.Lock()
	told, returned, cleared, taken, throttle, rested := c.told, c.returned, c.cleared, c.taken, c.throttle, c.rested
	c.told, c.returned, c.cleared, c.taken, c.throttle, c.rested = nil, nil, nil, nil, 0, nil
	clear(c.isTold)
	d.binds, d.halted = c.binds, c.halted
	var back outage
	fresh := c.outage.fresh
	if fresh {
		c.outage.fresh = false
		back = c.outage
	}
	c.mu.Unlock()

	d.learn()
	if fresh && len(d.binds) > 0 {
		d.cameBack(back)
	}
	if throttle > 0 {
		d.pace.Throttled(d.now)
	}
	if c.heard.Load() {
		c.heard.Store(false)
		d.pace.Answered(d.now)
	}
	if d.share < 1 || d.now.Sub(d.published) >= publishEvery {
		d.climb()
	}
	if rate := math.Float64bits(d.pace.Rate()); rate != c.rate.Load() {
		c.rate.Store(rate)
	}
	d.keepHours()
	for _, l := range told {
		d.chooser.ready(l, c.g.store.Oldest(l))
	}
	for _, r := range returned {
		d.takeBack(r.p, r.why)
	}
	for _, f := range taken {
		d.release(f)
	}
	d.announced -= len(cleared) + len(taken)
	d.open = append(d.open, cleared...)
	d.obey(rested)
	if len(d.open) > 0 && (len(d.binds) == 0 || d.halted) {
		d.moveOn()
	}
}

// learn gives the chooser the accounts' weights and the classes' shares, when they are new.
func (d *dispatcher) learn() {
	w := d.c.g.world.Load()
	if w == d.world || w == nil {
		return
	}
	d.world = w
	d.chooser.shares = w.setup.Shares
	for n, a := range w.byNumber {
		d.chooser.weight(n, a.opt.Load().Weight)
	}
}

// keepHours closes and opens the carrier by its hours, and tells those who share its groups.
func (d *dispatcher) keepHours() {
	if d.c.opt.Hours == nil || d.now.Before(d.opens) {
		return
	}
	open, until := d.c.opt.Hours.Open(d.now)
	// Hours may be looked at again early, never late: clocks are set, zones change.
	d.opens = d.now.Add(time.Minute)
	if until.After(d.now) && until.Before(d.opens) {
		d.opens = until
	}
	if d.c.shut.Swap(!open) == open {
		d.c.g.stirGroups(d.c)
	}
}

// takeBack handles a part that has to be sent again: a message of one part goes back to
// the head of its lane, a longer one stays open. Of a stopped flight there is nothing to do.
func (d *dispatcher) takeBack(p *flightPart, why whyReturned) {
	f := p.f
	if f.gone || f.stopped.Load() {
		return
	}
	if f.out.Load() == 0 {
		f.noteUnheard()
	}
	switch {
	case why == asLost && !d.halted && d.lostAgain(f):
		// From here on it is the correlator's, which ends it when the last part is home.
		d.forget(f)
		f.gone = true
		d.c.corr.put(event{kind: lostTooOften, part: p})
		return
	case why == asThrottled && f.policy() != Resend && f.out.Load() == 0:
		d.retract(f)
		return
	case len(f.parts) == 1:
		d.release(f)
		return
	}
	at := 0
	for at < len(f.todo) && f.todo[at] < p.index {
		at++
	}
	f.todo = append(f.todo, 0)
	copy(f.todo[at+1:], f.todo[at:])
	f.todo[at] = p.index
	for _, o := range d.open {
		if o == f {
			return
		}
	}
	d.open = append(d.open, f)
}

// lostAgain counts a session that ended with something of the flight unanswered; true:
// the message is suspected of it, and waits for its next try.
func (d *dispatcher) lostAgain(f *flight) bool {
	if f.lost {
		return false // counted for another part
	}
	f.lost = true
	f.ends++
	return int(f.m.Tries)+int(f.ends) > lostMost
}

// countEnds makes tries of the sessions that ended on a flight. Only whoever has the
// flight alone may: while parts are out the correlator reads the message.
func (f *flight) countEnds() {
	f.m.Tries = uint8(min(int(f.m.Tries)+int(f.ends), 255))
	f.ends = 0
}

// lostMost is how many sessions in succession may end on a message before it keeps to the
// retry schedule. One that makes a carrier drop the link would else end bind after bind.
const lostMost = 3

// release puts a message back to the head of its lane; what is recorded of it stays.
func (d *dispatcher) release(f *flight) {
	f.gone = true
	f.countEnds()
	d.c.g.store.Release(f.claim)
	d.c.g.laneHas(f.claim.Lane)
}

// freeBind is a bind with a free slot, each in turn; nil when all are full.
func (d *dispatcher) freeBind() *bind {
	n := len(d.binds)
	for i := range n {
		b := d.binds[(d.turnAt+i)%n]
		if b.free() > 0 {
			// Stay with it: parts that follow each other fill one write.
			d.turnAt = (d.turnAt + i) % n
			return b
		}
	}
	return nil
}

// sendNext puts one part on the wire: of an open flight, or of the next message, the more
// urgent first. false: there is nothing that may be sent.
func (d *dispatcher) sendNext(free *bind) bool {
	f, ready := d.openFlight()
	if (f == nil || f.m.Class > queue.Urgent) && d.mayBegin(ready) {
		if next := d.takeNext(f, ready); next != nil {
			f = next
		}
	}
	if f == nil {
		return false
	}
	if f.bind == nil || !f.bind.up() {
		f.bind = free
	}
	sent := d.sendPart(f)
	d.keepOpen(f)
	return sent
}

// mayBegin tells whether another message may be taken, when that many open flights could
// send at once.
func (d *dispatcher) mayBegin(ready int) bool {
	return ready < mostOpen && len(d.open)+d.announced < mostBegun && !d.halted && !d.c.shut.Load()
}

// openFlight is the most urgent open flight whose bind can take its next part, of several
// the one that began first, and how many there are.
func (d *dispatcher) openFlight() (best *flight, ready int) {
	if len(d.open) == 0 {
		return nil, 0
	}
	n := 0
	for _, f := range d.open {
		if f.stopped.Load() {
			continue // the correlator ends it
		}
		d.open[n] = f
		n++
		if f.bind == nil || !f.bind.up() || f.bind.free() > 0 {
			ready++
			if best == nil || f.m.Class < best.m.Class {
				best = f
			}
		}
	}
	clear(d.open[n:])
	d.open = d.open[:n]
	return best, ready
}

// takeNext takes the next message whose class goes before that of the open flight, if
// there is one; nil: none.
func (d *dispatcher) takeNext(open *flight, ready int) *flight {
	d.before = queue.Classes
	if open != nil {
		d.before = open.m.Class
	}
	if d.c.bulkHeld.Load() {
		d.before = min(d.before, queue.Bulk)
	}
	for n := 0; d.mayBegin(ready); n++ {
		if n == mostInVain {
			d.c.wakeUp()
			return nil
		}
		lane, ok := d.chooser.next(d.mayPull)
		if !ok {
			return nil
		}
		d.claims, _ = d.c.g.store.Take(lane, 1, d.claims[:0])
		if len(d.claims) == 0 {
			d.chooser.drained(lane) // the feed tells when there is something again
			continue
		}
		if !d.chooser.alone(lane) {
			d.chooser.ready(lane, d.c.g.store.Oldest(lane))
		}
		if f := d.begin(d.claims[0], lane); f != nil {
			return f
		}
	}
	return nil
}

// mayPull asks the lane's group whether this carrier may take from it now.
func (d *dispatcher) mayPull(l queue.Lane) bool {
	if l.Class >= d.before || d.rests(l) || d.c.g.halts.set.Load().stopsLane(l, d.c.number) {
		return false
	}
	grp := d.c.g.world.Load().groups[l.Group()]
	if grp == nil {
		return false // orphaned: the clockwork routes it anew
	}
	i := grp.index(d.c)
	if i < 0 {
		return false
	}
	if len(grp.members) == 1 {
		return true
	}
	yes, again := grp.mayPull(i, l, d.c.g.store.Oldest(l), d.now)
	if !again.IsZero() {
		d.lookAgain(again)
	}
	return yes
}
