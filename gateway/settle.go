package gateway

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
)

// fate is how a flight of several parts ends once nothing of it is on the wire any more.
type fate struct {
	class     AnswerClass
	status    pdu.Status
	uncertain bool
	expired   bool
	kept      bool // it may not leave: the flight's keeps
	set       bool
}

// answered goes on with one part's answer that was no throttle. The part counts as out
// until that is done, so that the flight is nobody else's meanwhile.
func (k *correlator) answered(e *event) {
	f := e.part.f
	if e.class == AnswerOK {
		k.record(e, f)
	} else {
		f.m.LastErr = e.status
		k.doom(f, fate{class: e.class, status: e.status, set: true})
	}
	k.home(f)
}

// home counts a part as no longer out, and ends its flight if that was the last of a
// stopped one.
func (k *correlator) home(f *flight) {
	if f.out.Add(-1) == 0 && f.stopped.Load() {
		k.concludeFlight(f)
	}
}

// returnedPart is a part that the dispatcher is to send again, and why.
type returnedPart struct {
	p   *flightPart
	why whyReturned
}

type whyReturned uint8

const (
	asThrottled whyReturned = iota // the carrier did not take it
	asLost                         // its session ended
)

// giveBack returns a part to the dispatcher, which sends it again. Any goroutine.
func (c *carrier) giveBack(p *flightPart, why whyReturned) {
	p.f.standsNot()
	c.mu.Lock()
	c.returned = append(c.returned, returnedPart{p, why})
	if why == asThrottled {
		c.throttle++
	}
	f := p.f
	last := f.out.Add(-1) == 0 // under the lock: the dispatcher that has p finds it no longer out
	c.mu.Unlock()
	if why == asThrottled {
		c.met.throttled.Inc()
	}
	if last && f.stopped.Load() {
		c.corr.put(event{kind: flightEmpty, part: p})
	}
	c.wakeUp()
}

// noAnswerFate is what becomes of a flight of which a part had no answer.
func noAnswerFate(f *flight) fate {
	if f.policy() == Resend {
		return fate{class: AnswerTemporary, set: true}
	}
	return fate{class: AnswerPermanent, uncertain: true, set: true}
}

// policy is what the route says of submits without an answer.
func (f *flight) policy() Uncertain {
	if f.grp == nil {
		return Resend
	}
	return f.grp.uncertain
}

// noteUncertain counts and lists a message of which nobody knows whether the carrier has it.
func (k *correlator) noteUncertain(f *flight, cause UncertainCause) {
	k.c.met.uncertain[cause].Inc()
	k.c.g.unsure.add(UncertainView{Message: f.m.ID, Carrier: k.c.name, Cause: cause, Policy: f.policy(), At: time.Now()})
}

// afterRestart applies the policy to a message that was on the wire when the process
// ended. false: it is sent again.
func (k *correlator) afterRestart(f *flight) bool {
	f.m.Uncertain = true
	k.noteUncertain(f, Restarted)
	if f.policy() == Resend {
		return false
	}
	k.endUncertain(f)
	return true
}

// expired ends a flight of which something is not sent yet when its validity is over.
func (k *correlator) expired(f *flight) {
	k.doom(f, fate{class: AnswerPermanent, expired: true, set: true})
	if f.out.Load() == 0 {
		k.concludeFlight(f)
	}
}

// keptBack ends a flight of which nothing more may be sent.
func (k *correlator) keptBack(f *flight) {
	k.doom(f, fate{class: AnswerPermanent, kept: true, set: true})
	if f.out.Load() == 0 {
		k.concludeFlight(f)
	}
}

// doom stops a flight; the first reason holds, but a permanent one outweighs a temporary.
func (k *correlator) doom(f *flight, why fate) {
	if !f.fate.set || why.class > f.fate.class {
		f.fate = why
	}
	f.stopped.Store(true)
	f.standsNot()
}

// record keeps an ESME_ROK: the part's correlation when a receipt is to come, and with
// the last part the message's way out of its lane.
func (k *correlator) record(e *event, f *flight) {
	p := e.part
	m := f.m
	of := uint8(len(f.parts))
	info := queue.PartInfo{
		Attempt: m.Attempt, Part: p.index + 1, Of: of, Carrier: k.c.number, CarrierID: e.id,
		Sent: queue.At(e.at), Reference: f.split.reference,
	}
	f.answered++
	if of > 1 {
		m.Answers = append(m.Answers, info)
	}
	// Where another part was refused concludeFlight ends the message, this one is only noted.
	last := f.answered == int(of) && !f.stopped.Load()
	p.part = queue.Part{Claim: f.claim, Info: info, Await: f.await, Last: last, State: pdu.StateAccepted}
	if f.await {
		k.c.met.asked.Inc()
		p.part.Ref = k.sent.add(m, info)
	} else if last {
		p.part.Deliver = k.c.g.clientReceipt(m, pdu.StateAccepted, "", e.at)
	}
	p.step[0] = &p.part
	steps := p.step[:]
	if f.await && last && of > 1 {
		// In one commit: a crash in between would leave it sent, with no receipt to come.
		if end := k.concludeParts(p.part.Ref); end != nil {
			steps = append(steps, end)
		}
	}
	if err := k.c.g.store.Commit(k.c.g.ctx, p, steps...); err != nil {
		p.Done(err)
		return
	}
	if f.await {
		k.recall(p.part.Ref)
	}
}

// Done is called on the committer when a part's answer is on disk.
func (p *flightPart) Done(err error) {
	p.f.c.recorded()
	if err != nil {
		// The answer is not recorded: after a restart the part goes again, as any that was
		// on the wire when the process ended.
		p.f.c.met.unrecorded.Inc()
	}
}

// concludeParts is the end of a message whose parts' receipts had decided it before its
// last answer came; nil: they have not.
func (k *correlator) concludeParts(ref *queue.Ref) queue.Step {
	several := k.sent.of(ref)
	if several == nil || several.ended {
		return nil
	}
	perPart := k.c.g.wantsEachPart(ref.M)
	o := combine(several.m.Answers, int(ref.Info.Of), partRules{lastPart: k.c.opt.Receipts.LastPart, all: perPart})
	if !o.decided {
		return nil
	}
	step := new(queue.Final)
	k.finalise(ref, several, step, o, time.Now())
	if perPart {
		step.Deliver = nil
	}
	return step
}

// quiet is a Done for steps that nobody waits for.
var quiet queue.Done = queue.DoneFunc(func(error) {})

// concludeFlight ends or defers a stopped flight, now that nothing of it is on the wire.
func (k *correlator) concludeFlight(f *flight) {
	if f.ended || !f.fate.set {
		return
	}
	f.ended = true
	f.noteUnheard()
	switch why := f.fate; {
	case why.expired:
		k.end(f, ending{state: pdu.StateExpired, err: "expired"})
	case why.kept && f.keeps.why == numberChanged && f.answered == 0 && f.policy() == Resend:
		// It is not half sent after all: begun anew it follows its person.
		k.c.g.store.Release(f.claim)
		k.c.g.laneHas(f.claim.Lane)
	case why.kept && f.keeps.here != Accepted:
		k.passOver(k.c.g.world.Load(), f, f.keeps.rules, f.keeps.here, time.Now())
	case why.kept:
		k.keep(k.c.g.world.Load(), f, &f.keeps, time.Now())
	case why.uncertain:
		k.endUncertain(f)
	case why.class == AnswerTemporary:
		k.retry(f, why.status)
	case why.class == AnswerElsewhere:
		k.elsewhere(f, why.status)
	default:
		k.end(f, ending{state: pdu.StateRejected, status: why.status, err: why.status.String()})
	}
}

func (k *correlator) endUncertain(f *flight) {
	if f.grp != nil && f.grp.uncertain == HoldUncertain {
		k.c.log.Warn("message held: its submit_sm had no answer", slog.String("message_id", f.m.ID.String()))
		k.commit(f, &queue.Wait{Claim: f.claim, Why: queue.WaitUnsure, Lane: f.claim.Lane})
		return
	}
	k.end(f, ending{state: pdu.StateUnknown, err: "no answer"})
}

// retry sets a message aside until its next try, which avoids this carrier where another
// one can take it. A message with answered parts stays with its carrier.
func (k *correlator) retry(f *flight, st pdu.Status) {
	m, o := f.m, k.c.opt
	wait, more := o.retryAfter(st, m.Tries, rand.Float64())
	if m.Tries < 255 {
		m.Tries++
	}
	if !more {
		if st == pdu.ESME_ROK { // it never said: it may have taken every one
			k.end(f, ending{state: pdu.StateUnknown, err: "no answer"})
			return
		}
		k.end(f, ending{state: pdu.StateUndeliverable, status: st, err: st.String()})
		return
	}
	lane := f.claim.Lane
	if f.grp != nil {
		if len(m.Answers) > 0 {
			lane = f.grp.only(lane, f.place)
		} else if other, left := f.grp.nextLane(lane, f.place, m.Barred); left {
			lane = other
		} else {
			lane, wait = other, wait*2
		}
	}
	until := min(queue.At(time.Now().Add(wait)), m.Expires)
	k.c.met.retries.Inc()
	k.commit(f, &queue.Wait{Claim: f.claim, Until: until, Why: queue.WaitRetry, Lane: lane})
}

// elsewhere gives a message that this carrier will never take to the next one of its
// route, once to each; when none is left it ends.
func (k *correlator) elsewhere(f *flight, st pdu.Status) {
	m := f.m
	if f.grp != nil && f.place >= 0 {
		m.Barred |= 1 << f.place
		all := uint16(1)<<len(f.grp.members) - 1
		if m.Barred&all != all {
			m.Answers = nil
			if f.answered > 0 {
				k.sent.endAttempt(m.ID)
				anew(m)
			}
			lane := f.claim.Lane
			lane.Target = queue.Target(f.grp.number, m.Barred&all)
			k.commit(f, &queue.Enter{Claim: f.claim, Lane: lane})
			return
		}
	}
	k.end(f, ending{state: pdu.StateRejected, status: st, err: st.String()})
}

// keep takes a message that may not leave now to where it waits or ends. Any goroutine.
func (k *correlator) keep(w *world, f *flight, c *clearance, now time.Time) {
	if c.halted != nil {
		k.halted(w, f, c.halted)
		return
	}
	k.commit(f, k.c.g.kept(w, f.claim, c, now))
}

// passOver gives a message that may not go over this carrier to the others of its route;
// when none of them may carry it either it ends.
func (k *correlator) passOver(w *world, f *flight, r *rules, why Refusal, now time.Time) {
	m := f.m
	if f.grp == nil {
		k.aside(f, barredWait)
		return
	}
	if m.Barred>>f.place&1 == 1 {
		// It came here only because the others are unavailable.
		wait := notHereWait
		if m.Class == queue.Urgent {
			wait = barredWait
		}
		k.aside(f, wait)
		return
	}
	if m.Barred |= 1 << f.place; m.Barred == f.grp.all() {
		// Those barred before may not be any more: registrations begin, too.
		barred, none := w.bars(f.grp, r, m, now)
		if none != Accepted {
			k.keep(w, f, &clearance{why: why}, now)
			return
		}
		m.Barred = barred
	}
	lane := f.claim.Lane
	lane.Target = queue.Target(f.grp.number, m.Barred)
	k.commit(f, &queue.Enter{Claim: f.claim, Lane: lane})
}

// aside sets a message aside that only carriers would take now which may not have it.
func (k *correlator) aside(f *flight, wait time.Duration) {
	until := min(queue.At(time.Now().Add(wait)), f.m.Expires)
	k.commit(f, &queue.Wait{Claim: f.claim, Until: until, Why: queue.WaitRetry, Lane: f.claim.Lane})
}

const (
	// barredWait is how long a message waits for a carrier that has not refused it yet.
	barredWait = 10 * time.Second
	// notHereWait is the same where it is known beforehand that this one may not carry it:
	// all of a backlog may be such, and each look costs a write.
	notHereWait = time.Minute
)

// ending is how a message ends without a carrier's receipt.
type ending struct {
	state  pdu.State
	status pdu.Status
	err    string
}

// end makes a message final, with its receipt where one was asked for. Any goroutine.
func (k *correlator) end(f *flight, e ending) {
	now := time.Now()
	f.final = queue.Final{
		Claim: f.claim, State: e.state, Err: e.err, Status: e.status, At: queue.At(now), Carrier: k.c.number,
		Deliver: k.c.g.clientReceipt(f.m, e.state, e.err, now),
	}
	k.c.g.met.ended(e.state)
	if e.status != pdu.ESME_ROK && k.c.opt.Unknown.Statuses[e.status] {
		k.c.unknownSubscriber(f.m, now)
	}
	k.commit(f, &f.final)
}

// commit stores a step that ends a flight's claim. Any goroutine.
func (k *correlator) commit(f *flight, step queue.Step) {
	f.step[0] = step
	if err := k.c.g.store.Commit(k.c.g.ctx, quiet, f.step[:]...); err != nil {
		k.c.g.store.Release(f.claim)
	}
}

// lateAnswer settles a message of one part whose answer came after response_timeout, when
// it has not gone out again; else it only counts. Parts of a longer one have gone back to
// their flight and go again with it.
func (k *correlator) lateAnswer(e *event) {
	f := e.part.f
	if k.c.opt.classify(e.status) != AnswerOK || len(f.parts) > 1 {
		return
	}
	k.give(readersJob{late: *e}) // too many at once: they count as any unanswered one
}

// claimLate claims a message whose late answer came, if it still waits, and lets the
// answer count. On the reader of the store.
func (k *correlator) claimLate(ctx context.Context, e event) []event {
	old := e.part.f
	claim, err := k.c.g.store.ClaimID(ctx, old.m.Account, old.m.ID)
	if err != nil {
		return nil // it has gone out again, or ended
	}
	f := &flight{c: k.c, m: claim.M, claim: claim, grp: old.grp, place: old.place, await: old.await, split: old.split}
	f.m.Attempt = max(f.m.Attempt, 1)
	if f.await && f.m.Text == nil {
		f.m.Text = excerpt(f.m, k.c.g.world.Load().codings(f.m.Account))
	}
	f.one[0].f = f
	f.parts = f.one[:]
	f.out.Store(1)
	k.c.unrecorded.Add(1)
	return []event{{part: &f.one[0], class: AnswerOK, status: e.status, id: e.id, at: e.at}}
}
