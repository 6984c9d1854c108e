package gateway

import (
	"context"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"masar/queue"
	"masar/ratelimit"
	"masar/smpp/pdu"
	"masar/smpp/text"
)

// dispatcher takes messages from the lanes its carrier may serve and puts them on the
// wire, when the pace has a token and a bind has a free slot. One goroutine a carrier; all
// its fields are that goroutine's own.
type dispatcher struct {
	c       *carrier
	chooser *chooser
	pace    *ratelimit.Pace
	refs8   references8
	open    []*flight // begun, with parts still to be sent; a few
	again   time.Time // when a lane that may not be pulled now is to be asked about
	now     time.Time
	claims  []queue.Claim
	binds   []*bind
	turnAt  int // where the search for a free bind begins
	sm      pdu.SubmitSM
	buf     writeBuffers
	split   split
	before  queue.Class // mayPull: only lanes of a class more urgent than this
}

// flight is one message on its way to one carrier: from its claim to the step that ends it.
type flight struct {
	c     *carrier
	m     *queue.Message
	claim queue.Claim
	grp   *group // nil: its group left the configuration
	place int    // the carrier's index in the group
	bind  *bind  // its parts go over one bind while that lives
	await bool   // a receipt is asked for
	split split
	todo  []uint8 // parts still to be sent, in order; the dispatcher's
	parts []flightPart

	one     [1]flightPart // the common case of one part needs no more allocations
	onePart [1][]byte
	oneTodo [1]uint8

	out     atomic.Int32 // parts on the wire
	stopped atomic.Bool  // nothing more of it may be sent

	// The correlator's.
	answered int
	fate     fate
	step     [1]queue.Step
	final    queue.Final
}

// flightPart is one part on the wire: the token of its submit_sm.
type flightPart struct {
	f     *flight
	index uint8
	part  queue.Part
	step  [1]queue.Step
}

// mostOpen bounds the flights with parts still to be sent: one of each class, and those
// whose bind is full.
const mostOpen = 8

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
		case <-d.c.wake:
		case <-timer.C:
		}
	}
}

// turn sends all that may be sent now. It returns how long until there is a reason of its
// own to look again; zero: only a wake brings one.
func (d *dispatcher) turn() time.Duration {
	d.now, d.again = time.Now(), time.Time{}
	if !d.listen() {
		return 0
	}
	for n := 1; ; n++ {
		if n%64 == 0 { // a long turn still hears of answers, of urgent messages and of the time
			d.now = time.Now()
			if !d.listen() {
				return 0
			}
		}
		b := d.freeBind()
		if b == nil {
			break
		}
		if wait := d.pace.Take(d.now, 1); wait > 0 {
			d.c.nextToken.Store(d.now.Add(wait).UnixNano())
			return wait
		}
		if !d.sendNext(b) {
			d.pace.Give(1)
			break
		}
	}
	return d.untilAgain()
}

func (d *dispatcher) untilAgain() time.Duration {
	wait := time.Duration(0)
	if !d.again.IsZero() {
		wait = max(d.again.Sub(d.now), time.Millisecond)
	}
	if len(d.open) > 0 && (wait == 0 || wait > time.Second) {
		wait = time.Second // an open flight whose carrier stays down moves on in time
	}
	return wait
}

// listen takes over what others left for the dispatcher; false: the carrier stops.
func (d *dispatcher) listen() bool {
	c := d.c
	c.mu.Lock()
	told, returned, cleared, throttle := c.told, c.returned, c.cleared, c.throttle
	c.told, c.returned, c.cleared, c.throttle = nil, nil, nil, 0
	clear(c.isTold)
	d.binds = c.binds
	stopping := c.stopping
	c.mu.Unlock()

	if throttle > 0 {
		d.pace.Throttled(d.now)
		c.met.pace.Set(d.pace.Rate())
	}
	for _, l := range told {
		d.chooser.ready(l, 0)
	}
	for _, p := range returned {
		d.takeBack(p)
	}
	d.open = append(d.open, cleared...)
	if stopping {
		for _, f := range d.open {
			d.giveUp(f)
		}
		d.open = d.open[:0]
		return false
	}
	if len(d.binds) == 0 && len(d.open) > 0 {
		d.moveOn()
	}
	return true
}

// takeBack handles a part that has to be sent again: a message of one part goes back to
// the head of its lane, a longer one stays open.
func (d *dispatcher) takeBack(p *flightPart) {
	f := p.f
	if len(f.parts) == 1 {
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

func (d *dispatcher) release(f *flight) {
	d.c.g.store.Release(f.claim)
	d.c.g.laneHas(f.claim.Lane)
}

// giveUp lets go of a flight that will not be finished here: untouched it is released,
// else the parts that were answered stay recorded and the row in its lane says the rest.
func (d *dispatcher) giveUp(f *flight) {
	if f.out.Load() == 0 {
		d.release(f)
	}
}

// moveOn begins the flights of a carrier that has no bind anew elsewhere, once it has been
// away for failover_after: all parts, new reference (flow.md 4).
func (d *dispatcher) moveOn() {
	keep := d.open[:0]
	for _, f := range d.open {
		if f.grp == nil || len(f.grp.members) == 1 || f.out.Load() > 0 || !f.grp.elsewhere(f.place, d.now) {
			keep = append(keep, f)
			continue
		}
		lane, _ := f.grp.avoiding(f.claim.Lane, f.place)
		if f.answered == 0 {
			d.release(f)
			continue
		}
		f.m.Answers = nil
		f.m.Attempt++
		d.c.corr.commit(f, &queue.Enter{Claim: f.claim, Lane: lane})
	}
	d.open = keep
}

// elsewhere tells whether carrier i is unavailable and another is not.
func (grp *group) elsewhere(i int, now time.Time) bool {
	grp.mu.Lock()
	defer grp.mu.Unlock()
	grp.look(now)
	if grp.brain.Available(i, grp.health, now) {
		return false
	}
	for k := range grp.members {
		if k != i && grp.health[k].Bound {
			return true
		}
	}
	return false
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
	f := d.openFlight()
	if (f == nil || f.m.Class > queue.Urgent) && len(d.open) < mostOpen {
		if next := d.takeNext(f); next != nil {
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

// keepOpen keeps d.open true to its name: flights with parts still to be sent.
func (d *dispatcher) keepOpen(f *flight) {
	at := slices.Index(d.open, f)
	switch wants := len(f.todo) > 0 && !f.stopped.Load(); {
	case wants && at < 0:
		d.open = append(d.open, f)
	case !wants && at >= 0:
		d.open = slices.Delete(d.open, at, at+1)
	}
}

// openFlight is the most urgent open flight whose bind can take its next part.
func (d *dispatcher) openFlight() *flight {
	var best *flight
	for _, f := range d.open {
		if best != nil && f.m.Class >= best.m.Class {
			continue
		}
		if f.bind == nil || !f.bind.up() || f.bind.free() > 0 {
			best = f
		}
	}
	return best
}

// takeNext takes the next message whose class goes before that of the open flight, if
// there is one; nil: none.
func (d *dispatcher) takeNext(open *flight) *flight {
	d.before = queue.Classes
	if open != nil {
		d.before = open.m.Class
	}
	for len(d.open) < mostOpen {
		lane, ok := d.chooser.next(d.mayPull)
		if !ok {
			return nil
		}
		d.claims, _ = d.c.g.store.Take(lane, 1, d.claims[:0])
		if len(d.claims) == 0 {
			d.chooser.drained(lane) // the feed tells when there is something again
			continue
		}
		if f := d.begin(d.claims[0], lane); f != nil {
			return f
		}
	}
	return nil
}

func (d *dispatcher) mayPull(l queue.Lane) bool {
	if l.Class >= d.before {
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
	var oldest queue.Time
	if len(grp.members) > 1 {
		oldest = d.c.g.store.Oldest(l)
	}
	yes, again := grp.mayPull(i, l, oldest, d.now)
	if !yes && !again.IsZero() && (d.again.IsZero() || again.Before(d.again)) {
		d.again = again
	}
	return yes
}

// begin makes a flight of a claimed message; nil when the message ended, went elsewhere
// or has to wait for its bind.
func (d *dispatcher) begin(claim queue.Claim, lane queue.Lane) *flight {
	c, m := d.c, claim.M
	w := c.g.world.Load()
	f := &flight{c: c, m: m, claim: claim, place: -1}
	if f.grp = w.groups[lane.Group()]; f.grp != nil {
		f.place = f.grp.index(c)
	}
	if m.Expires <= queue.At(d.now) {
		c.corr.end(f, ending{state: pdu.StateExpired, err: "expired"})
		return nil
	}
	if d.begunElsewhere(f, lane) {
		return nil
	}
	if d.c.opt.Alphanumeric == RefuseSender && !isDigits(m.Source.Addr) {
		c.corr.elsewhere(f, pdu.ESME_RINVSRCADR)
		return nil
	}
	codings := w.codings(m.Account)
	m.Attempt = max(m.Attempt, 1)
	if err := d.plan(f, codings); err != nil {
		c.log.Warn("message cannot be written for this carrier", slog.String("message_id", m.ID.String()), slog.Any("err", err))
		c.corr.elsewhere(f, pdu.ESME_RINVMSGLEN)
		return nil
	}
	f.await = c.asksReceipt(m, f.grp)
	if f.await && m.Text == nil {
		m.Text = excerpt(m, codings)
	}
	if f.grp != nil {
		f.grp.pulled(f.place, len(f.todo))
	}
	if concatenated(m.ESMClass, m.TLVs) {
		f.bind = d.pinnedBind(m)
	}
	switch {
	case f.grp != nil && f.grp.uncertain != Resend:
		d.announce(f)
		return nil
	case f.bind != nil && f.bind.free() == 0:
		d.open = append(d.open, f)
		return nil
	}
	return f
}

// begunElsewhere sends a message that another carrier began before a restart back to that
// one; when it is gone the message begins anew here.
func (d *dispatcher) begunElsewhere(f *flight, lane queue.Lane) bool {
	m := f.m
	if len(m.Answers) == 0 || m.Answers[0].Carrier == d.c.number {
		return false
	}
	if f.grp != nil {
		if i := f.grp.indexOf(m.Answers[0].Carrier); i >= 0 && !f.grp.elsewhere(i, d.now) {
			d.c.corr.commit(f, &queue.Enter{Claim: f.claim, Lane: f.grp.only(lane, i)})
			return true
		}
	}
	m.Answers = nil
	m.Attempt++
	return false
}

// announce writes the sending row and waits for its fsync before the first submit_sm.
func (d *dispatcher) announce(f *flight) {
	c := d.c
	step := &queue.Sending{Claim: f.claim, Attempt: f.m.Attempt, Carrier: c.number}
	err := c.g.store.Commit(c.g.ctx, queue.DoneFunc(func(err error) {
		if err != nil {
			return // the store is closing: nothing more is sent
		}
		c.mu.Lock()
		c.cleared = append(c.cleared, f)
		c.mu.Unlock()
		c.wakeUp()
	}), step)
	if err != nil {
		d.release(f)
	}
}

// pinnedBind is the bind for parts that a client made itself: the same one for all.
func (d *dispatcher) pinnedBind(m *queue.Message) *bind {
	if len(d.binds) == 0 {
		return nil
	}
	return d.binds[conversation(m, m.Body)%uint64(len(d.binds))]
}

// plan splits the message, and leaves out the parts that were answered before a restart.
func (d *dispatcher) plan(f *flight, codings text.Codings) error {
	m, o := f.m, d.c.opt
	ref := reference(m.ID, m.Attempt)
	if len(m.Answers) > 0 {
		ref = m.Answers[0].Reference
	}
	if err := o.plan(m, codings, ref, &d.split); err != nil {
		return err
	}
	n := len(d.split.parts)
	if n == 1 {
		f.split = d.split
		f.split.parts = append(f.onePart[:0], d.split.parts[0])
		f.one[0].f = f
		f.parts = f.one[:]
		f.todo = append(f.oneTodo[:0], 0)
		return nil
	}
	if len(m.Answers) > 0 && int(m.Answers[0].Of) != n {
		// The profile has changed since: the rest would not fit what was sent.
		m.Answers = nil
		m.Attempt++
		ref = reference(m.ID, m.Attempt)
	}
	if o.Style == text.UDH8 && len(m.Answers) == 0 {
		ref = uint16(d.refs8.take(m.Dest.Addr, uint8(ref), d.now))
	}
	if ref != d.split.reference {
		if err := o.plan(m, codings, ref, &d.split); err != nil {
			return err
		}
	}
	f.split = d.split
	f.split.parts = slices.Clone(d.split.parts)
	f.parts = make([]flightPart, n)
	var done [256]bool
	for _, a := range m.Answers {
		done[a.Part] = true
		f.answered++
	}
	for i := range n {
		f.parts[i] = flightPart{f: f, index: uint8(i)}
		if !done[i+1] {
			f.todo = append(f.todo, uint8(i))
		}
	}
	return nil
}

// sendPart writes the next part of f. false: its bind did not take it, nothing was sent.
func (d *dispatcher) sendPart(f *flight) bool {
	i := f.todo[0]
	d.c.opt.write(&d.sm, f.m, &f.split, int(i), f.await, &d.buf, d.now)
	f.out.Add(1)
	d.c.outstanding.Add(1)
	p := &f.parts[i]
	if f.stopped.Load() {
		// Another part was refused meanwhile; the last to come home settles it.
		d.c.outstanding.Add(-1)
		if f.out.Add(-1) == 0 {
			d.c.corr.settle(f)
		}
		return false
	}
	if _, err := f.bind.current.Load().Send(pdu.CmdSubmitSM, &d.sm, p); err != nil {
		d.c.outstanding.Add(-1)
		if f.out.Add(-1) == 0 && f.stopped.Load() {
			d.c.corr.settle(f)
		}
		return false
	}
	f.todo = f.todo[1:]
	d.chooser.sent(f.claim.Lane, 1)
	d.c.met.sent.Inc()
	return true
}
