package queuetest

import (
	"fmt"
	"slices"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
)

var partTests = []test{
	{name: "AnAnsweredMessageWithoutReceiptIsHistory", run: partNoAwait},
	{name: "AnAnsweredMessageAwaitsItsReceipt", run: partAwait},
	{name: "TheRefOfAPartServesItsReceipt", run: partRef},
	{name: "PartsAreCountedAndSurviveARestart", run: partsProgress},
	{name: "PartsWithoutReceiptsEndTheMessageWithTheLast", run: partsNoAwait},
	{name: "OutcomesGatherUntilTheLastDecides", run: outcomes},
	{name: "AReceiptMayComeBeforeTheLastPartIsSent", run: earlyOutcome},
	{name: "TheLastPartAndTheEndMayBeOneCommit", run: lastPartAndEnd},
	{name: "AReceiptOfAnOlderAttemptDecidesNothing", run: olderAttempt},
	{name: "SendingKeepsTheClaim", run: sending},
}

// answer is part, of a message whose owner keeps its progress: Answers belongs to the claim's
// owner, who appends before Commit and not after.
func (r *rig) answer(c queue.Claim, n, of uint8, carrier uint32, carrierID string) *queue.Part {
	p := r.part(c, n, of, carrier, carrierID)
	if of > 1 {
		c.M.Answers = append(slices.Clip(c.M.Answers), p.Info)
	}
	return p
}

func partNoAwait(r *rig) {
	l := lane(1, queue.Normal)
	id := r.acceptOne(l)
	c := r.takeOne(l)
	c.M.Attempt = 1
	p := r.part(c, 1, 1, 7, "n1")
	p.Await, p.State, p.Deliver = false, pdu.StateAccepted, r.receipt(c.M, queue.FinalReceipt)
	r.twice(p)
	for _, when := range []string{"now", "after a restart"} {
		v := r.wantStage(id, queue.Ended, pdu.StateAccepted)
		if len(v.Parts) > 0 && v.Parts[0].CarrierID != "n1" {
			r.Errorf("%s: parts %+v", when, v.Parts)
		}
		r.claimID(1, id, queue.ErrFinal)
		if ref := r.found(7, "n1"); ref != nil && !ref.Finalised {
			r.Errorf("%s: a part without a receipt is correlated: %+v", when, ref.Info)
		}
		r.wantDepths(when, map[any]int64{uint32(1): 1})
		r.restart()
	}
	if d := r.takeOutbox(1, 1)[0]; d.Message != id {
		r.Errorf("the receipt is about %v, want %v", d.Message, id)
	}
	r.nothing(l)
}

func partAwait(r *rig) {
	l := lane(1, queue.Normal)
	id := r.acceptOne(l)
	c := r.takeOne(l)
	c.M.Attempt, c.M.Tries = 1, 2
	want := snapshot(c.M)
	p := r.part(c, 1, 1, 7, "a1")
	r.twice(p)
	for _, again := range []func(){func() {}, r.restart, func() { r.crash(0) }} {
		again()
		r.wantDepths("when sent", map[any]int64{})
		r.nothing(l)
		v := r.wantStage(id, queue.Sent, pdu.StateEnroute)
		if len(v.Parts) != 1 || v.Parts[0] != p.Info {
			r.Errorf("Find's parts are %+v, want %+v", v.Parts, p.Info)
		}
		ref := r.correlate(7, "a1")
		if ref.Info != p.Info || ref.Finalised {
			r.Errorf("the ref is %+v finalised %v, want %+v", ref.Info, ref.Finalised, p.Info)
		}
		if d := differences(ref.M, want, "Body"); d != "" {
			r.Errorf("the ref's message differs: %s", d)
		}
	}
	ref := r.correlate(7, "a1")
	f := &queue.Final{Ref: ref, State: pdu.StateDelivered, Err: "000", Carrier: 7, At: r.clock.in(time.Second), Deliver: r.receipt(ref.M, queue.FinalReceipt)}
	r.twice(f)
	for range 2 {
		v := r.wantStage(id, queue.Ended, pdu.StateDelivered)
		if v.Ended != f.At || v.Err != "000" || len(v.Parts) != 1 || v.Parts[0].CarrierID != "a1" || v.Parts[0].Carrier != 7 {
			r.Errorf("history has: ended %v, err %q, parts %+v", v.Ended, v.Err, v.Parts)
		}
		r.wantDepths("in the end", map[any]int64{uint32(1): 1})
		if ref := r.found(7, "a1"); ref != nil && !ref.Finalised {
			r.Errorf("a final message is still correlated: %+v", ref.Info)
		}
		r.restart()
	}
}

// partRef: who sees the receipt come right behind its response needs no lookup. The store makes
// the Ref; one that the caller has made, of the same message and part, serves as well.
func partRef(r *rig) {
	for _, own := range []bool{false, true} {
		r.partRef(fmt.Sprint("ref of the caller's: ", own), own)
	}
}

func (r *rig) partRef(carrierID string, own bool) {
	r.Helper()
	l := lane(1, queue.Normal)
	id := r.acceptOne(l)
	c := r.takeOne(l)
	c.M.Attempt = 1
	p := r.part(c, 1, 1, 7, carrierID)
	if own {
		p.Ref = &queue.Ref{M: c.M, Info: p.Info}
	}
	r.commit(p)
	if p.Ref == nil || p.Ref.M == nil || p.Ref.M.ID != id || p.Ref.Info != p.Info || p.Ref.Finalised {
		r.Fatalf("Part.Ref is %+v", p.Ref)
	}
	r.twice(&queue.Final{Ref: p.Ref, State: pdu.StateDelivered, At: r.clock.at()})
	r.wantStage(id, queue.Ended, pdu.StateDelivered)
	if ref := r.found(7, carrierID); ref != nil && !ref.Finalised {
		r.Error("a message that ended by Part.Ref is still correlated")
	}
	r.restart()
	r.wantStage(id, queue.Ended, pdu.StateDelivered)
	if ref := r.found(7, carrierID); ref != nil && !ref.Finalised {
		r.Error("after a restart a message that ended by Part.Ref is correlated again")
	}
}

func partsProgress(r *rig) {
	l := lane(1, queue.Normal)
	id := r.acceptOne(l)
	r.acceptOne(l)
	c := r.takeOne(l)
	c.M.Attempt = 1
	var want []queue.PartInfo
	for n := uint8(1); n < 4; n++ {
		p := r.answer(c, n, 4, 7, fmt.Sprint("p", n))
		want = append(want, p.Info)
		r.twice(p)
		r.claimID(1, id, queue.ErrClaimed) // it goes on: the claim stays
		r.wantDepths(fmt.Sprint("after part ", n), map[any]int64{l: 2})
		again := []func(){func() { r.s.Release(c) }, r.restart, func() { r.crash(0) }}[n-1]
		again()
		c = r.takeOne(l)
		if c.M.ID != id {
			r.Fatalf("after part %d the lane's head is %v, want %v", n, c.M.ID, id)
		}
		if !slices.Equal(c.M.Answers, want) {
			r.Fatalf("after part %d Answers are %+v, want %+v", n, c.M.Answers, want)
		}
		if v := r.find(id); v.Stage != queue.Waiting || !slices.Equal(v.Parts, want) {
			r.Errorf("after part %d Find: stage %d, parts %+v", n, v.Stage, v.Parts)
		}
		if c.M.Attempt != 1 {
			r.Errorf("after part %d Attempt is %d, want 1", n, c.M.Attempt)
		}
	}
	p := r.answer(c, 4, 4, 7, "p4")
	want = append(want, p.Info)
	r.twice(p)
	r.wantDepths("when sent", map[any]int64{l: 1})
	for range 2 {
		v := r.wantStage(id, queue.Sent, pdu.StateEnroute)
		if !slices.Equal(v.Parts, want) {
			r.Errorf("Find's parts are %+v, want %+v", v.Parts, want)
		}
		for n := range want {
			ref := r.correlate(7, want[n].CarrierID)
			if ref.M.ID != id || ref.Info != want[n] || !slices.Equal(ref.Parts, want) {
				r.Errorf("the ref of part %d: %v, %+v, parts %+v", n+1, ref.M.ID, ref.Info, ref.Parts)
			}
		}
		r.restart()
	}
}

func partsNoAwait(r *rig) {
	l := lane(1, queue.Normal)
	id := r.acceptOne(l)
	c := r.takeOne(l)
	c.M.Attempt = 1
	for n := uint8(1); n <= 3; n++ {
		p := r.answer(c, n, 3, 7, fmt.Sprint("q", n))
		p.Await = false
		if p.Last {
			p.State = pdu.StateAccepted
		}
		r.twice(p)
		if n == 2 {
			r.crash(0)
			c = r.takeOne(l)
			if len(c.M.Answers) != 2 {
				r.Fatalf("%d Answers after two parts", len(c.M.Answers))
			}
		}
	}
	for range 2 {
		v := r.wantStage(id, queue.Ended, pdu.StateAccepted)
		if len(v.Parts) != 3 {
			r.Errorf("history has %d parts, want 3", len(v.Parts))
		}
		r.wantDepths("in the end", map[any]int64{})
		r.restart()
	}
	r.nothing(l)
}

// sendParts sends a message in parts with ids name1, name2, ...
func (r *rig) sendParts(l queue.Lane, parts uint8, carrier uint32, name string) queue.ID {
	r.Helper()
	c := r.takeOne(l)
	c.M.Attempt = 1
	for n := uint8(1); n <= parts; n++ {
		r.commit(r.answer(c, n, parts, carrier, fmt.Sprint(name, n)))
	}
	return c.M.ID
}

// outcome is a receipt of the part of ref.
func (r *rig) outcome(ref *queue.Ref, state pdu.State, err string) *queue.Outcome {
	info := ref.Info
	info.State, info.Err, info.Done = state, err, r.clock.at()
	return &queue.Outcome{Ref: ref, Info: info}
}

func outcomes(r *rig) {
	l := lane(1, queue.Normal)
	r.acceptOne(l)
	id := r.sendParts(l, 3, 7, "o")
	for n, name := range []string{"o2", "o3"} {
		o := r.outcome(r.correlate(7, name), pdu.StateDelivered, "000")
		r.twice(o)
		if n == 1 {
			r.restart()
		}
		ref := r.correlate(7, "o1")
		if len(ref.Parts) != 3 {
			r.Fatalf("the ref has %d parts, want 3", len(ref.Parts))
		}
		for i, p := range ref.Parts {
			wantState := pdu.State(0)
			if i == 1 || i == 2 && n == 1 {
				wantState = pdu.StateDelivered
			}
			if int(p.Part) != i+1 || p.State != wantState || (wantState != 0) != (p.Err == "000") {
				r.Errorf("after %d outcomes part %d is %+v, want state %v", n+1, i+1, p, wantState)
			}
		}
		r.wantStage(id, queue.Sent, pdu.StateEnroute)
	}
	ref := r.correlate(7, "o1")
	r.twice(&queue.Final{Ref: ref, State: pdu.StateDelivered, At: r.clock.at(), Deliver: r.receipt(ref.M, queue.FinalReceipt)})
	for range 2 {
		v := r.wantStage(id, queue.Ended, pdu.StateDelivered)
		if len(v.Parts) != 3 || v.Parts[1].State != pdu.StateDelivered || v.Parts[2].State != pdu.StateDelivered {
			r.Errorf("history's parts: %+v", v.Parts)
		}
		for _, name := range []string{"o1", "o2", "o3"} {
			if ref := r.found(7, name); ref != nil && !ref.Finalised {
				r.Errorf("%s is still correlated", name)
			}
		}
		r.wantDepths("in the end", map[any]int64{uint32(1): 1})
		r.restart()
	}
}

// earlyOutcome: the receipt of part 1 comes while part 2 waits for its turn.
func earlyOutcome(r *rig) {
	l := lane(1, queue.Normal)
	id := r.acceptOne(l)
	c := r.takeOne(l)
	c.M.Attempt = 1
	r.commit(r.answer(c, 1, 2, 7, "e1"))
	ref := r.correlate(7, "e1")
	if ref.M.ID != id || ref.Finalised {
		r.Fatalf("the ref of a message partly sent: %+v", ref)
	}
	r.twice(r.outcome(ref, pdu.StateDelivered, "000"))
	r.wantStage(id, queue.Waiting, pdu.StateEnroute)
	r.commit(r.answer(c, 2, 2, 7, "e2"))
	for range 2 {
		ref = r.correlate(7, "e2")
		if len(ref.Parts) != 2 || ref.Parts[0].State != pdu.StateDelivered || ref.Parts[1].State != 0 {
			r.Errorf("parts %+v, want the first delivered", ref.Parts)
		}
		r.restart()
	}
	ref = r.correlate(7, "e2")
	r.twice(&queue.Final{Ref: ref, State: pdu.StateDelivered, At: r.clock.at()})
	r.wantStage(id, queue.Ended, pdu.StateDelivered)
}

// lastPartAndEnd: the first part's receipt has decided the message when the second part is
// answered; both steps in one commit leave no moment in which it waits for a receipt.
func lastPartAndEnd(r *rig) {
	l := lane(1, queue.Normal)
	id := r.acceptOne(l)
	c := r.takeOne(l)
	c.M.Attempt = 1
	r.commit(r.answer(c, 1, 2, 7, "b1"))
	r.commit(r.outcome(r.correlate(7, "b1"), pdu.StateUndeliverable, "045"))
	last := r.answer(c, 2, 2, 7, "b2")
	last.Ref = &queue.Ref{M: c.M, Info: last.Info}
	r.commit(last, &queue.Final{Ref: last.Ref, State: pdu.StateUndeliverable, Err: "045", At: r.clock.at(), Deliver: r.receipt(c.M, queue.FinalReceipt)})
	for _, when := range []string{"now", "after a restart"} {
		r.wantStage(id, queue.Ended, pdu.StateUndeliverable)
		for _, carrierID := range []string{"b1", "b2"} {
			if ref := r.found(7, carrierID); ref != nil && !ref.Finalised {
				r.Errorf("%s: %s is still correlated: %+v", when, carrierID, ref.Info)
			}
		}
		r.wantDepths(when, map[any]int64{uint32(1): 1})
		r.restart()
	}
}

// olderAttempt begins with two parts over one carrier, of which one is answered, and goes
// out again, whole, over another.
func olderAttempt(r *rig) {
	l, next := lane(1, queue.Normal), queue.Lane{Target: queue.Target(1, 1), Class: queue.Normal, Account: 1}
	id := r.acceptOne(l)
	c := r.takeOne(l)
	c.M.Attempt = 1
	r.commit(r.answer(c, 1, 2, 7, "old1"))
	c.M.Attempt, c.M.Answers = 2, nil
	r.twice(&queue.Enter{Claim: c, Lane: next})
	r.restart()
	c = r.takeOne(next)
	if c.M.Attempt != 2 || len(c.M.Answers) != 0 {
		r.Fatalf("the new attempt is number %d with %d answers, want 2 with none", c.M.Attempt, len(c.M.Answers))
	}
	r.commit(r.answer(c, 1, 2, 8, "new1"))
	r.commit(r.answer(c, 2, 2, 8, "new2"))
	for _, when := range []string{"now", "after a restart"} {
		ref := r.correlate(7, "old1")
		if ref.M.ID != id || ref.Info.Attempt != 1 || ref.M.Attempt != 2 || ref.Finalised {
			r.Errorf("%s the older part refers to %v, attempt %d of a message at attempt %d, finalised %v, want %v, 1 of 2",
				when, ref.M.ID, ref.Info.Attempt, ref.M.Attempt, ref.Finalised, id)
		}
		r.twice(r.outcome(ref, pdu.StateUndeliverable, "123"))
		r.wantStage(id, queue.Sent, pdu.StateEnroute)
		ref = r.correlate(8, "new1")
		if ref.Info.Attempt != 2 || len(ref.Parts) != 2 {
			r.Errorf("%s the newer part is of attempt %d with parts %+v", when, ref.Info.Attempt, ref.Parts)
		}
		for _, p := range ref.Parts {
			if p.Attempt != 2 || p.State != 0 {
				r.Errorf("%s the older attempt's receipt shows in the newer: %+v", when, p)
			}
		}
		r.restart()
	}
	ref := r.correlate(8, "new2")
	r.twice(&queue.Final{Ref: ref, State: pdu.StateDelivered, At: r.clock.at()})
	r.restart()
	r.wantStage(id, queue.Ended, pdu.StateDelivered)
	for carrier, name := range map[uint32]string{7: "old1", 8: "new1"} {
		if ref := r.found(carrier, name); ref != nil && !ref.Finalised {
			r.Errorf("%s is still correlated", name)
		}
	}
}

func sending(r *rig) {
	l := lane(1, queue.Normal)
	id := r.acceptOne(l)
	c := r.takeOne(l)
	c.M.Attempt = 1
	r.twice(&queue.Sending{Claim: c, Attempt: 1, Carrier: 7})
	if c.Unsure != 0 {
		r.Errorf("a new message is unsure about attempt %d", c.Unsure)
	}
	r.claimID(1, id, queue.ErrClaimed)
	r.nothing(l)
	r.wantDepths("while sending", map[any]int64{l: 1})
	r.twice(r.part(c, 1, 1, 7, "s1"))
	r.wantStage(id, queue.Sent, pdu.StateEnroute)
	r.twice(&queue.Final{Ref: r.correlate(7, "s1"), State: pdu.StateDelivered, At: r.clock.at()})
	id = r.acceptOne(l)
	r.commit(&queue.Sending{Claim: r.takeOne(l), Attempt: 1, Carrier: 7})
	r.crash(0)
	c = r.takeOne(l) // nothing is lost: the message is where it was, the policy is the gateway's
	if c.M.ID != id || c.Unsure != 1 {
		r.Fatalf("the lane has %v with attempt %d unsure, want %v with 1", c.M.ID, c.Unsure, id)
	}
	r.s.Release(c)
	r.restart() // nobody has decided: it stays unsure
	if c = r.takeOne(l); c.Unsure != 1 {
		r.Errorf("after another restart attempt %d is unsure, want 1", c.Unsure)
	}
	r.twice(&queue.Enter{Claim: c, Lane: l}) // decided: sent again
	r.restart()
	if c = r.takeOne(l); c.Unsure != 0 {
		r.Errorf("after a decision attempt %d is still unsure", c.Unsure)
	}
	r.twice(r.final(c, pdu.StateUnknown))
	r.wantStage(id, queue.Ended, pdu.StateUnknown)
	r.wantDepths("in the end", map[any]int64{})
}
