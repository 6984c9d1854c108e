package queuetest

import (
	"time"

	"masar/queue"
	"masar/smpp/pdu"
)

var finalTests = []test{
	{name: "ARefusedPartEndsAMessagePartlySent", run: refusedPart},
	{name: "TwoReceiptsThatBothDecideEndItOnce", run: twoDecide},
	{name: "FinalKeepsItsFactsAndItsReceipt", run: finalFacts},
	{name: "FinalOfAMessageOnTheSideWay", run: finalAside},
	{name: "StepsOfOneCommitHappenTogether", run: oneCommit},
}

func refusedPart(r *rig) {
	l := lane(1, queue.Normal)
	id := r.acceptOne(l)
	c := r.takeOne(l)
	c.M.Attempt = 1
	r.commit(r.answer(c, 1, 3, 7, "f1"))
	r.commit(r.answer(c, 2, 3, 7, "f2"))
	r.crash(0)
	c = r.takeOne(l)
	f := r.final(c, pdu.StateRejected)
	f.Status, f.Err, f.Carrier, f.Deliver = pdu.ESME_RINVDSTADR, "ESME_RINVDSTADR", 7, r.receipt(c.M, queue.FinalReceipt)
	r.twice(f)
	for range 2 {
		v := r.wantStage(id, queue.Ended, pdu.StateRejected)
		if len(v.Parts) != 2 || v.Err != "ESME_RINVDSTADR" {
			r.Errorf("history: err %q, parts %+v", v.Err, v.Parts)
		}
		for _, name := range []string{"f1", "f2"} { // its late receipts decide nothing
			if ref := r.found(7, name); ref != nil && !ref.Finalised {
				r.Errorf("%s is still correlated", name)
			}
		}
		r.wantDepths("in the end", map[any]int64{uint32(1): 1})
		r.restart()
	}
	r.nothing(l)
}

// twoDecide: two receipts of one message, read together, each found it undecided.
func twoDecide(r *rig) {
	l := lane(1, queue.Normal)
	r.acceptOne(l)
	id := r.sendParts(l, 2, 7, "t")
	final := func(name string, state pdu.State) *queue.Final {
		ref := r.correlate(7, name)
		return &queue.Final{Ref: ref, State: state, At: r.clock.at(), Deliver: r.receipt(ref.M, queue.FinalReceipt)}
	}
	a, b, c := final("t1", pdu.StateUndeliverable), final("t2", pdu.StateExpired), final("t2", pdu.StateDeleted)
	r.commit(a, b) // in one Commit
	r.send(c).wait()
	r.wantStage(id, queue.Ended, pdu.StateUndeliverable)
	r.wantDepths("after three Finals", map[any]int64{uint32(1): 1})
	r.restart()
	r.send(c).wait() // Finals of before the restart
	r.send(b).wait()
	r.wantStage(id, queue.Ended, pdu.StateUndeliverable)
	r.wantDepths("after a restart", map[any]int64{uint32(1): 1})
}

func finalFacts(r *rig) {
	l := lane(1, queue.Normal)
	m := r.accept(l, 1)[0]
	c := r.takeOne(l)
	c.M.Tries, c.M.LastErr = 3, pdu.ESME_RMSGQFUL
	want := snapshot(c.M)
	d := r.receipt(c.M, queue.FinalReceipt)
	f := &queue.Final{Claim: c, State: pdu.StateUndeliverable, Err: "0x0045", Status: pdu.ESME_RSUBMITFAIL, Carrier: 7, At: r.clock.in(time.Minute), Deliver: d}
	r.twice(f)
	for _, when := range []string{"now", "after a restart"} {
		v := r.wantStage(m.ID, queue.Ended, pdu.StateUndeliverable)
		if v.Err != "0x0045" || v.Ended != f.At {
			r.Errorf("%s: err %q, ended %v", when, v.Err, v.Ended)
		}
		if diff := differences(v.M, want, "Body", "Text", "TLVs", "Answers"); diff != "" {
			r.Errorf("%s history's message differs: %s", when, diff)
		}
		if len(v.M.Body) > 0 {
			r.Errorf("%s history keeps the body", when)
		}
		got := r.takeOutbox(1, 1)[0]
		if diff := differences(got, d); diff != "" {
			r.Errorf("%s the receipt differs: %s", when, diff)
		}
		r.restart()
	}
	if _, err := r.s.Find(r.ctx, 2, m.ID); err != queue.ErrUnknown {
		r.Errorf("another account finds it: %v", err)
	}
}

func finalAside(r *rig) {
	l := lane(1, queue.Bulk)
	m := r.message(1, queue.Bulk)
	r.commit(&queue.Accept{M: m, Due: r.clock.in(time.Minute)})
	id := r.acceptOne(l)
	r.commit(&queue.Wait{Claim: r.takeOne(l), Why: queue.WaitHeld, Lane: l})
	for _, one := range []queue.ID{m.ID, id} {
		c := r.claimID(1, one, nil)
		f := r.final(c, pdu.StateDeleted)
		f.Deliver = r.receipt(c.M, queue.FinalReceipt)
		r.twice(f)
		r.wantStage(one, queue.Ended, pdu.StateDeleted)
	}
	r.wantDepths("in the end", map[any]int64{uint32(1): 2})
	r.restart()
	r.clock.add(time.Hour)
	r.wantDue(queue.Scheduled, 10)
	r.nothing(l)
	r.wantDepths("after a restart", map[any]int64{uint32(1): 2})
}

// oneCommit joins steps of different kinds.
func oneCommit(r *rig) {
	l, side := lane(1, queue.Normal), lane(1, queue.Bulk)
	old := r.accept(l, 4)
	c := r.take(l, 4)
	for i := range c {
		c[i].M.Attempt = 1
	}
	f := r.final(c[0], pdu.StateRejected)
	f.Deliver = r.receipt(c[0].M, queue.FinalReceipt)
	fresh := r.message(2, queue.Urgent)
	steps := []queue.Step{
		f,
		&queue.Accept{M: fresh, Lane: lane(2, queue.Urgent), Once: []byte("one commit")},
		&queue.Wait{Claim: c[1], Until: r.clock.in(time.Minute), Why: queue.WaitRetry, Lane: l},
		r.part(c[2], 1, 1, 7, "m1"),
		&queue.Enter{Claim: c[3], Lane: side},
		&queue.Deliver{Delivery: r.receipt(old[2], queue.IntermediateReceipt)},
	}
	r.commit(steps...)
	want := map[any]int64{lane(2, queue.Urgent): 1, aside(1, queue.Normal): 1, side: 1, uint32(1): 2}
	for range 2 {
		r.wantDepths("after one Commit of many", want)
		r.wantStage(old[0].ID, queue.Ended, pdu.StateRejected)
		r.wantStage(fresh.ID, queue.Waiting, pdu.StateEnroute)
		r.wantStage(old[1].ID, queue.Aside, pdu.StateEnroute)
		r.wantStage(old[2].ID, queue.Sent, pdu.StateEnroute)
		r.wantStage(old[3].ID, queue.Waiting, pdu.StateEnroute)
		if d := r.takeOutbox(1, 2); d[0].Kind != queue.FinalReceipt || d[1].Kind != queue.IntermediateReceipt {
			r.Errorf("the outbox has kinds %d, %d: not in the order of the steps", d[0].Kind, d[1].Kind)
		}
		r.restart()
	}
}
