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
	set       bool
}

// answered goes on with one part's answer, or with word that none came.
func (k *correlator) answered(e *event) {
	f := e.part.f
	left := f.out.Add(-1)
	if e.err != nil {
		k.uncertain(e, f, left)
		return
	}
	class := k.c.opt.classify(e.status)
	k.c.met.answer(class)
	switch class {
	case AnswerOK:
		k.record(e, f)
	case AnswerThrottle:
		k.c.giveBack(e.part, true)
		return // the part is to be sent again: nothing is settled
	default:
		f.m.LastErr = e.status
		k.doom(f, fate{class: class, status: e.status, set: true})
	}
	if left == 0 && f.stopped.Load() {
		k.concludeFlight(f)
	}
}

// giveBack returns a part to the dispatcher, which sends it again.
func (c *carrier) giveBack(p *flightPart, throttled bool) {
	c.mu.Lock()
	c.returned = append(c.returned, p)
	if throttled {
		c.throttle++
	}
	c.mu.Unlock()
	if throttled {
		c.met.throttled.Inc()
	}
	c.wakeUp()
}

// uncertain follows the route's policy: the carrier may have taken the part or not.
func (k *correlator) uncertain(e *event, f *flight, left int32) {
	cause := "timeout"
	if e.err == errSessionEnded {
		cause = "session_ended"
	}
	k.c.met.uncertain.WithLabelValues(cause).Inc()
	policy := Resend
	if f.grp != nil {
		policy = f.grp.uncertain
	}
	if policy == Resend {
		if !f.stopped.Load() {
			k.c.giveBack(e.part, false)
			return
		}
	} else {
		k.doom(f, fate{class: AnswerPermanent, uncertain: true, set: true})
	}
	if left == 0 {
		k.concludeFlight(f)
	}
}

// doom stops a flight; the first reason holds, but a permanent one outweighs a temporary.
func (k *correlator) doom(f *flight, why fate) {
	if !f.fate.set || why.class > f.fate.class {
		f.fate = why
	}
	f.stopped.Store(true)
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
		k.own(m)
	}
	p.part = queue.Part{Claim: f.claim, Info: info, Await: f.await, Last: f.answered == int(of), State: pdu.StateAccepted}
	if f.await {
		p.part.Ref = &queue.Ref{M: m, Info: info}
		k.remember(p.part.Ref)
	} else if p.part.Last {
		p.part.Deliver = k.c.g.clientReceipt(m, pdu.StateAccepted, "", e.at)
	}
	if f.stopped.Load() {
		p.part.Last = false // another part was refused: concludeFlight ends the message
	}
	p.step[0] = &p.part
	if err := k.c.g.store.Commit(k.c.g.ctx, p, p.step[:]...); err != nil {
		p.Done(err)
		return
	}
	if !f.await {
		return
	}
	if p.part.Last && of > 1 {
		k.concludeParts(p.part.Ref)
	}
	k.recall(p.part.Ref)
}

// own makes a flight's message the one true copy of it. Where parts were sent before a
// restart, a receipt of one of them may have brought another copy in from the store while
// the rest was on the wire: with two, neither would ever hear of all parts.
func (k *correlator) own(m *queue.Message) {
	other, ok := k.several.Get(m.ID)
	if ok && other == m {
		return
	}
	k.several.Add(m.ID, m)
	if !ok {
		return
	}
	for _, told := range other.Answers {
		for i := range m.Answers {
			if a := &m.Answers[i]; a.Attempt == told.Attempt && a.Part == told.Part {
				*a = told
			}
		}
		// A ref is never changed once a step has it: the committer may be reading it.
		if ref, ok := k.sent.Peek(told.CarrierID); ok && ref.M == other {
			moved := *ref
			moved.M = m
			k.sent.Add(told.CarrierID, &moved)
		}
	}
}

// Done is called on the committer when a part's answer is on disk.
func (p *flightPart) Done(err error) {
	if err != nil {
		// The answer is not recorded: after a restart the part goes again, as any that was
		// on the wire when the process ended.
		p.f.c.met.unrecorded.Inc()
	}
}

// concludeParts ends a message whose parts' receipts all came before its last answer.
func (k *correlator) concludeParts(ref *queue.Ref) {
	o := combine(ref.M.Answers, int(ref.Info.Of), k.c.opt.Receipts.LastPart)
	if !o.decided {
		return
	}
	ref.Finalised = true
	k.markFinal(ref)
	now := time.Now()
	step := &queue.Final{Ref: ref, State: o.state, Err: o.err, Carrier: k.c.number, At: queue.At(now),
		Deliver: k.c.g.clientReceipt(ref.M, o.state, o.err, now)}
	if err := k.c.g.store.Commit(k.c.g.ctx, quiet, step); err != nil {
		k.c.met.unrecorded.Inc()
	}
}

// quiet is a Done for steps that nobody waits for.
var quiet queue.Done = queue.DoneFunc(func(error) {})

// concludeFlight ends or defers a stopped flight, now that nothing of it is on the wire.
func (k *correlator) concludeFlight(f *flight) {
	why := f.fate
	if !why.set {
		return
	}
	f.fate.set = false // once
	switch {
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
		k.end(f, ending{state: pdu.StateUndeliverable, status: st, err: st.String()})
		return
	}
	lane := f.claim.Lane
	if f.grp != nil {
		if len(m.Answers) > 0 {
			lane = f.grp.only(lane, f.place)
		} else if other, left := f.grp.avoiding(lane, f.place); left {
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
				m.Attempt++
			}
			lane := f.claim.Lane
			lane.Target = queue.Target(f.grp.number, m.Barred&all)
			k.commit(f, &queue.Enter{Claim: f.claim, Lane: lane})
			return
		}
	}
	k.end(f, ending{state: pdu.StateRejected, status: st, err: st.String()})
}

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
	k.commit(f, &f.final)
}

// commit stores a step that ends a flight's claim. Any goroutine.
func (k *correlator) commit(f *flight, step queue.Step) {
	f.step[0] = step
	if err := k.c.g.store.Commit(k.c.g.ctx, quiet, f.step[:]...); err != nil {
		k.c.g.store.Release(f.claim)
	}
}

// lateAnswer settles a message whose answer came after response_timeout, when it has not
// gone out again; else it only counts.
func (k *correlator) lateAnswer(e *event) {
	f := e.part.f
	if e.status != pdu.ESME_ROK || len(f.parts) > 1 {
		return
	}
	select {
	case k.lates <- *e:
	default: // too many at once: they count as any unanswered one
	}
}

// claimLate claims a message whose late answer came, if it still waits, and lets the
// answer count. On the reader of the store.
func (k *correlator) claimLate(ctx context.Context, e event) {
	old := e.part.f
	claim, err := k.c.g.store.ClaimID(ctx, old.m.Account, old.m.ID)
	if err != nil {
		return // it has gone out again, or ended
	}
	f := &flight{c: k.c, m: claim.M, claim: claim, grp: old.grp, place: old.place, await: old.await}
	f.m.Attempt, f.m.Text = old.m.Attempt, old.m.Text
	f.one[0].f = f
	f.parts = f.one[:]
	f.out.Store(1)
	k.put(event{part: &f.one[0], status: e.status, id: e.id, at: e.at})
}
