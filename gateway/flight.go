package gateway

import (
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
	"masar/smpp/text"
)

// flight is one message on its way to one carrier: from its claim to the step that ends it.
//
// The dispatcher sends its parts, the correlator hears what becomes of them, and neither
// waits for the other. out counts the parts that are on the wire or with the correlator;
// while it is zero and the flight is not stopped, the flight is the dispatcher's alone.
// Once it is stopped nothing more is sent, and the correlator ends it when out is zero.
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
	gone  bool    // the dispatcher has given its claim away
	wired bool    // the carrier's wire has it; the dispatcher's
	lost  bool    // a session ended with something of it unanswered; the dispatcher's
	ends  uint8   // how many sessions did; the dispatcher's until the flight is gone
	parts []flightPart

	merge  *mergeKey // what identical notices merge by; nil: it stands for none
	marker *Marker   // what makes it free at this carrier; nil: nothing
	asked  checked   // when it was last asked whether it may leave; the dispatcher's
	keeps  clearance // why it stopped; set with flightKept

	one     [1]flightPart // the common case of one part needs no more allocations
	onePart [1][]byte
	oneTodo [1]uint8

	out     atomic.Int32
	unheard atomic.Bool // something of it had no answer
	stopped atomic.Bool // set with the answer that stops it, by a session's reader or the correlator

	// The correlator's, and the dispatcher's while out is zero.
	answered int
	fate     fate
	ended    bool // a step that ends the claim was handed to the store
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

// begin makes a claimed message a flight. nil: it was ended, moved on, or waits for its
// Sending step or its bind.
func (d *dispatcher) begin(claim queue.Claim, lane queue.Lane) *flight {
	c, m := d.c, claim.M
	w := c.g.world.Load()
	f := &flight{c: c, m: m, claim: claim, place: -1}
	if grp := w.groups[lane.Group()]; grp != nil && grp.index(c) >= 0 {
		f.grp, f.place = grp, grp.index(c)
	}
	switch {
	case m.Expires <= queue.At(d.now):
		c.corr.end(f, ending{state: pdu.StateExpired, err: "expired"})
		return nil
	case claim.Unsure != 0 && c.corr.afterRestart(f):
		return nil
	case d.stopsHere(w, f, lane):
		return nil
	case d.begunElsewhere(f, lane):
		return nil
	case !d.mayLeave(w, f):
		return nil
	case f.grp != nil && m.Barred>>f.place&1 == 1:
		// This carrier has refused it for good and only it is there: wait for another one.
		c.corr.aside(f, barredWait)
		return nil
	case c.opt.Alphanumeric == RefuseSender && !isDigits(f.source()):
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
	d.partsEach.add(len(f.parts))
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

// mayLeave asks again what admission asked, and whether this carrier may carry it. false:
// the message was ended, moved on, or waits. One that is half sent goes on in quiet hours
// and over a sender's end, but not to somebody who may not get it, nor to another number.
func (d *dispatcher) mayLeave(w *world, f *flight) bool {
	c, m := d.c, f.m
	stale := c.g.stale(w, m, d.now)
	keeps := c.g.clear(c.g.ctx, w, m, d.now)
	begun := len(m.Answers) > 0
	if begun {
		keeps = keeps.halfSent()
	}
	if !keeps.free() {
		c.corr.keep(w, f, &keeps, d.now)
		return false
	}
	if stale {
		if step := c.g.freshStep(w, f.claim, keeps.rules, d.now); step != nil {
			c.corr.commit(f, step)
			return false
		}
	}
	f.asked = checkedOf(m, d.now)
	if keeps.rules == nil || w.isTest(m.Dest.Addr) {
		return true
	}
	if !begun {
		if why := w.barredAt(c.opt, keeps.rules, m, d.now); why != Accepted {
			c.corr.passOver(w, f, keeps.rules, why, d.now)
			return false
		}
		if keeps.rules.service.Merge && d.merged(f, keeps.rules.service) {
			return false
		}
	}
	m.Marker = ""
	if f.marker = c.opt.marker(keeps.rules.service.Code); f.marker != nil {
		m.Marker = f.marker.Name
	}
	return true
}

// halfSent is what keeps a message of which some parts are out: its hours do not, and it
// does not follow a number.
func (c clearance) halfSent() clearance {
	c.until = time.Time{}
	if c.moved != 0 {
		c.moved, c.why = 0, numberChanged
	}
	return c
}

// source is the sender that the carrier is given.
func (f *flight) source() string {
	if f.marker != nil && f.marker.Source != "" {
		return f.marker.Source
	}
	return f.m.Source.Addr
}

// stillMay asks once more right before a part: what waited for a slot, for its bind or for
// its Sending step may have waited for long, and what is withdrawn now must not go. false:
// the flight was stopped.
func (d *dispatcher) stillMay(f *flight) bool {
	g := d.c.g
	w := g.world.Load()
	if set := g.halts.set.Load(); set.stops(w, f.m, d.c.number) {
		d.stopFlight(f, set)
		return false
	}
	first := len(f.todo) == len(f.parts) // then nothing is out, and the message the dispatcher's
	if g.unchanged(w, &f.asked) && (!first || f.asked.at.Equal(d.now)) {
		return true
	}
	if first && g.staleSince(w, f.m, &f.asked, d.now) {
		d.beginAgain(f)
		return false
	}
	m := f.asks()
	keeps := g.clear(g.ctx, w, &m, d.now)
	switch {
	case !first:
		keeps = keeps.halfSent()
	case keeps.free() && keeps.rules != nil && !w.isTest(m.Dest.Addr):
		keeps.here = w.barredAt(d.c.opt, keeps.rules, &m, d.now)
	}
	if !keeps.free() {
		f.keeps, f.todo = keeps, nil
		d.c.corr.put(event{kind: flightKept, part: &f.parts[0]})
		return false
	}
	f.asked = checkedOf(&m, d.now)
	if first {
		f.m.Checked, f.m.World, f.m.Person = m.Checked, m.World, m.Person
	}
	return true
}

// asks is as much of the message as clear asks about: the rest may be the correlator's.
func (f *flight) asks() queue.Message {
	m := f.m
	return queue.Message{
		Account: m.Account, Source: m.Source, Dest: m.Dest, ServiceType: m.ServiceType,
		Person: m.Person, Personal: m.Personal, System: m.System, Checked: f.asked.version, World: f.asked.world,
	}
}

// begunElsewhere sends a message that another carrier has begun back to that one; when
// that is gone the message begins anew here, all parts, and receipts of what went over the
// other decide nothing any more.
func (d *dispatcher) begunElsewhere(f *flight, lane queue.Lane) bool {
	m := f.m
	if len(m.Answers) == 0 || m.Answers[0].Carrier == d.c.number {
		return false
	}
	other := m.Answers[0].Carrier
	if f.grp != nil {
		if i := f.grp.indexOf(other); i >= 0 && !f.grp.elsewhere(i, d.now) {
			d.c.corr.commit(f, &queue.Enter{Claim: f.claim, Lane: f.grp.only(lane, i)})
			return true
		}
	}
	d.c.g.supersede(other, m.ID)
	anew(m)
	return false
}

// anew lets a message of which parts are out begin again, all parts.
func anew(m *queue.Message) {
	m.Answers, m.Uncertain = nil, true
	m.Attempt++
}

// noteUnheard keeps with the message that a carrier may have it.
//
// REQUIRES: nothing of f is out, so that nobody else reads the message.
func (f *flight) noteUnheard() {
	if f.unheard.Load() {
		f.m.Uncertain = true
	}
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
		return
	}
	d.announced++
}

// retract takes the sending row of a throttled message away before it goes back to its
// lane: after a crash nobody could know else that the carrier did not take it.
func (d *dispatcher) retract(f *flight) {
	c := d.c
	d.forget(f)
	f.gone = true
	step := &queue.Sending{Claim: f.claim, Attempt: f.m.Attempt}
	err := c.g.store.Commit(c.g.ctx, queue.DoneFunc(func(error) {
		c.mu.Lock()
		c.taken = append(c.taken, f)
		c.mu.Unlock()
		c.wakeUp()
	}), step)
	if err != nil {
		d.release(f)
		return
	}
	d.announced++ // it counts as begun until then
}

// pinnedBind is the bind for parts that a client made itself: the same one for all.
func (d *dispatcher) pinnedBind(m *queue.Message) *bind {
	if len(d.binds) == 0 {
		return nil
	}
	return d.binds[conversation(m, m.Body)%uint64(len(d.binds))]
}

// plan splits the message, and leaves out the parts that were answered before.
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
	if len(m.Answers) > 0 && int(m.Answers[0].Of) != n {
		// The profile has changed since: the rest would not fit what was sent.
		d.c.g.supersede(d.c.number, m.ID)
		anew(m)
		ref = reference(m.ID, m.Attempt)
	}
	if n == 1 {
		f.split = d.split
		f.split.parts = append(f.onePart[:0], d.split.parts[0])
		f.one[0].f = f
		f.parts = f.one[:]
		f.todo = append(f.oneTodo[:0], 0)
		return nil
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

// sendPart writes the next part of f. false: nothing was sent.
func (d *dispatcher) sendPart(f *flight) bool {
	if len(f.todo) == 0 {
		return false
	}
	if f.m.Expires <= queue.At(d.now) {
		// What has expired is never sent, be it the rest of a message.
		f.todo = nil
		d.c.corr.put(event{kind: flightExpired, part: &f.parts[0]})
		return true
	}
	if !d.stillMay(f) {
		return true
	}
	i := f.todo[0]
	p := &f.parts[i]
	d.c.opt.write(&d.sm, f.m, &f.split, int(i), f.await, f.marker, &d.buf, d.now)
	if f.merge != nil {
		d.c.g.merges.leaves(f.merge, f.m.ID, queue.At(d.now))
	}
	f.out.Add(1)
	if f.stopped.Load() {
		d.takenBack(f)
		return true
	}
	d.c.outstanding.Add(1)
	d.c.wire.add(f, d.c.window.Load())
	if _, err := f.bind.current.Load().Send(pdu.CmdSubmitSM, &d.sm, p); err != nil {
		d.c.outstanding.Add(-1)
		d.takenBack(f)
		return false
	}
	f.todo, f.lost = f.todo[1:], false
	d.chooser.sent(f.claim.Lane, 1)
	d.c.met.sent.Inc()
	return true
}

// takenBack undoes the count of a part that was not sent after all. If the flight was
// stopped meanwhile and nothing else of it is out, the correlator did not see the last one
// come home: it is told.
func (d *dispatcher) takenBack(f *flight) {
	f.standsNot()
	if f.out.Add(-1) == 0 && f.stopped.Load() {
		d.c.corr.put(event{kind: flightEmpty, part: &f.parts[0]})
	}
}

// keepOpen keeps d.open true to its name: flights with parts still to be sent.
func (d *dispatcher) keepOpen(f *flight) {
	switch wants := len(f.todo) > 0 && !f.stopped.Load(); {
	case !wants:
		d.forget(f)
	case slices.Index(d.open, f) < 0:
		d.open = append(d.open, f)
	}
}

func (d *dispatcher) forget(f *flight) {
	if len(d.open) == 0 {
		return
	}
	if at := slices.Index(d.open, f); at >= 0 {
		d.open = slices.Delete(d.open, at, at+1)
	}
}

// moveOn lets go of open flights while the carrier has no bind or is to stop. One of which
// nothing is sent goes back to its lane, where any carrier of its route may take it. One
// with answered parts stays with its carrier for failover_after and then begins anew
// elsewhere: all parts, new reference (flow.md 4).
func (d *dispatcher) moveOn() {
	keep := d.open[:0]
	for _, f := range d.open {
		switch {
		case f.stopped.Load():
		case f.out.Load() > 0:
			keep = append(keep, f)
		case f.answered == 0 || d.halted && len(d.binds) == 0:
			d.release(f)
		case len(d.binds) > 0 || f.grp == nil || !f.grp.elsewhere(f.place, d.now):
			keep = append(keep, f)
		default:
			lane, _ := f.grp.nextLane(f.claim.Lane, f.place, f.m.Barred)
			d.c.g.supersede(d.c.number, f.m.ID)
			f.gone = true
			anew(f.m)
			d.c.corr.commit(f, &queue.Enter{Claim: f.claim, Lane: lane})
		}
	}
	clear(d.open[len(keep):])
	d.open = keep
}
