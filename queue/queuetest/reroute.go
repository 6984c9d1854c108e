package queuetest

import (
	"fmt"
	"math/rand/v2"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
)

var rerouteTests = []test{
	{name: "AReroutedMessageGoesOutAgainWhole", run: rerouteWhole},
	{name: "AReroutedMessageOfSeveralPartsBeginsAnew", run: rerouteParts},
	{name: "ARerouteMayFollowItsPartAtOnce", run: rerouteAtOnce},
	{name: "TheLastPartAndARerouteMayBeOneCommit", run: rerouteWithPart},
	{name: "ARerouteThatComesAgainChangesNothing", run: rerouteAgain},
	{name: "WhoFindsAnAttemptOverdueEndsNoOther", run: rerouteOverdue},
	{name: "AReroutedMessageWaitsLikeAnyOther", run: rerouteWaits},
	{name: "ARerouteTakesRoomAndIsNeverRefused", env: Env{AccountRoom: 3}, run: rerouteRoom},
	{name: "ReroutesBeyondTheReadAheadKeepTheirOrder", env: Env{ReadAhead: 8}, run: rerouteBacklog},
	{name: "WithoutItsBodyNothingIsRerouted", run: rerouteBare},
	{name: "APowerCutLeavesEveryReroutedMessageAtOneStage", run: rerouteCut},
}

// avoiding is the lane of those that may not go over the first carrier.
func avoiding(account uint32) queue.Lane {
	return queue.Lane{Target: queue.Target(1, 1), Class: queue.Normal, Account: account}
}

// keepOne sends a message of one part whose body is kept, and gives it as it was sent.
func (r *rig) keepOne(l queue.Lane, carrier uint32, carrierID string) *queue.Message {
	r.Helper()
	c := r.takeOne(l)
	c.M.Attempt, c.M.Kept = max(c.M.Attempt, 1), l.Group()
	was := snapshot(c.M)
	r.commit(r.part(c, 1, 1, carrier, carrierID))
	return was
}

// reroute is the step behind a receipt that says UNDELIV.
func (r *rig) reroute(ref *queue.Ref, l queue.Lane) *queue.Reroute {
	ref.Info.State, ref.Info.Err, ref.Info.Done = pdu.StateUndeliverable, "045", r.clock.at()
	return &queue.Reroute{Ref: ref, Lane: l, Barred: 1}
}

// rerouted is a message behind its Reroute.
func rerouted(was *queue.Message) *queue.Message {
	m := snapshot(was)
	m.Attempt, m.Reroutes, m.Barred = was.Attempt+1, was.Reroutes+1, 1
	m.Kept, m.Tries, m.LastErr, m.Marker, m.Answers = 0, 0, 0, "", nil
	return m
}

func rerouteWhole(r *rig) {
	l, next := lane(1, queue.Normal), avoiding(1)
	r.acceptOne(l)
	was := r.keepOne(l, 7, "first")
	r.restart()
	r.twice(r.reroute(r.correlate(7, "first"), next))
	want := rerouted(was)
	for _, again := range []func(){func() {}, r.restart, func() { r.crash(0) }} {
		again()
		r.wantDepths("when it waits again", map[any]int64{next: 1})
		v := r.wantStage(was.ID, queue.Waiting, pdu.StateEnroute)
		if v.Lane != next || len(v.Parts) != 1 || v.Parts[0].Attempt != 1 || v.Parts[0].State != pdu.StateUndeliverable || v.Parts[0].Err != "045" {
			r.Errorf("it waits in %v with the parts %+v", v.Lane, v.Parts)
		}
		if d := differences(v.M, want); d != "" {
			r.Errorf("waiting again it differs: %s", d)
		}
		r.olderDecidesNothing(7, "first", was.ID, queue.Waiting)
	}
	c := r.takeOne(next)
	if d := differences(c.M, want); d != "" {
		r.Fatalf("the claim differs: %s", d)
	}
	r.twice(r.part(c, 1, 1, 8, "second"))
	for _, again := range []func(){func() {}, r.restart, func() { r.crash(0) }} {
		again()
		r.wantDepths("sent again", map[any]int64{})
		v := r.wantStage(was.ID, queue.Sent, pdu.StateEnroute)
		if len(v.Parts) != 2 || v.Parts[0].CarrierID != "first" || v.Parts[1].CarrierID != "second" {
			r.Errorf("sent again it has the parts %+v", v.Parts)
		}
		r.olderDecidesNothing(7, "first", was.ID, queue.Sent)
	}
	ref := r.correlate(8, "second")
	r.twice(&queue.Final{Ref: ref, State: pdu.StateDelivered, Carrier: 8, At: r.clock.at(), Deliver: r.receipt(ref.M, queue.FinalReceipt)})
	for range 2 {
		v := r.wantStage(was.ID, queue.Ended, pdu.StateDelivered)
		if len(v.Parts) != 2 || v.Parts[0].Attempt != 1 || v.Parts[0].State != pdu.StateUndeliverable ||
			v.Parts[1].Attempt != 2 || v.Parts[1].State != pdu.StateDelivered {
			r.Errorf("history has the parts %+v", v.Parts)
		}
		for carrier, name := range map[uint32]string{7: "first", 8: "second"} {
			if ref := r.found(carrier, name); ref != nil && !ref.Finalised {
				r.Errorf("%s is still correlated", name)
			}
		}
		r.wantDepths("in the end", map[any]int64{uint32(1): 1})
		r.restart()
	}
}

// olderDecidesNothing: the receipt of an attempt that is over finds it, and whoever takes it
// for the end of the message, or lets it go out again, changes nothing.
func (r *rig) olderDecidesNothing(carrier uint32, name string, id queue.ID, stage queue.Stage) {
	r.Helper()
	ref := r.correlate(carrier, name)
	if ref.M.ID != id || ref.Info.Attempt >= ref.M.Attempt || ref.Finalised {
		r.Errorf("%s refers to %v, attempt %d of a message at attempt %d", name, ref.M.ID, ref.Info.Attempt, ref.M.Attempt)
	}
	ref.M.Kept = 1 // as whoever has had it in memory since it was sent
	r.again(&queue.Final{Ref: ref, State: pdu.StateDelivered, At: r.clock.at(), Deliver: r.receipt(ref.M, queue.FinalReceipt)})
	r.again(r.reroute(ref, avoiding(1)))
	r.wantStage(id, stage, pdu.StateEnroute)
}

func rerouteParts(r *rig) {
	l, next := lane(1, queue.Normal), avoiding(1)
	r.acceptOne(l)
	c := r.takeOne(l)
	c.M.Attempt, c.M.Kept = 1, 1
	was := snapshot(c.M)
	for n := uint8(1); n <= 3; n++ {
		r.commit(r.answer(c, n, 3, 7, fmt.Sprint("p", n)))
	}
	r.commit(r.outcome(r.correlate(7, "p1"), pdu.StateEnroute, ""))
	r.restart()
	r.twice(r.reroute(r.correlate(7, "p2"), next))
	r.restart()
	c = r.takeOne(next)
	if d := differences(c.M, rerouted(was)); d != "" {
		r.Fatalf("the claim differs: %s", d)
	}
	r.twice(r.outcome(r.correlate(7, "p3"), pdu.StateDelivered, "000"))
	r.commit(r.answer(c, 1, 2, 8, "q1"))
	r.commit(r.answer(c, 2, 2, 8, "q2"))
	r.twice(r.outcome(r.correlate(8, "q1"), pdu.StateDelivered, ""))
	r.restart()
	for _, name := range []string{"p1", "p2", "p3"} {
		r.olderDecidesNothing(7, name, was.ID, queue.Sent)
	}
	ref := r.correlate(8, "q2")
	if len(ref.Parts) != 2 {
		r.Errorf("the new attempt has the parts %+v", ref.Parts)
	}
	r.twice(&queue.Final{Ref: ref, State: pdu.StateDelivered, At: r.clock.at()})
	v := r.wantStage(was.ID, queue.Ended, pdu.StateDelivered)
	states := ""
	for _, p := range v.Parts {
		states += fmt.Sprint(p.Attempt, p.Part, p.State.Receipt(), " ")
	}
	if want := "1 1ENROUTE 1 2UNDELIV 1 3DELIVRD 2 1DELIVRD 2 2DELIVRD "; states != want {
		r.Errorf("history has the parts %s, want %s", states, want)
	}
	for _, name := range []string{"p1", "p2", "p3", "q1", "q2"} {
		if ref := r.found(7+uint32(name[0]-'p'), name); ref != nil && !ref.Finalised {
			r.Errorf("%s is still correlated", name)
		}
	}
}

// rerouteAtOnce: a receipt may come before the answer's fsync.
func rerouteAtOnce(r *rig) {
	l, next := lane(1, queue.Normal), avoiding(1)
	r.acceptOne(l)
	c := r.takeOne(l)
	c.M.Attempt, c.M.Kept = 1, 1
	was := snapshot(c.M)
	p := r.part(c, 1, 1, 7, "soon")
	p.Ref = &queue.Ref{M: snapshot(c.M), Info: p.Info}
	p.Ref.M.Body = nil // as whoever keeps it in memory
	var tickets []*ticket
	release := func() {}
	if r.env.Media.Hold != nil {
		release = r.env.Media.Hold()
	}
	for _, s := range []queue.Step{p, r.reroute(p.Ref, next), r.reroute(p.Ref, next)} {
		tickets = append(tickets, r.send(s))
	}
	release()
	for _, k := range tickets {
		if err := k.wait(); err != nil {
			r.Fatalf("Done: %v", err)
		}
	}
	r.wantDepths("rerouted at once", map[any]int64{next: 1})
	for range 2 {
		c = r.takeOne(next)
		if d := differences(c.M, rerouted(was)); d != "" {
			r.Fatalf("the claim differs: %s", d)
		}
		r.restart()
	}
	r.nothing(l)
}

func rerouteWithPart(r *rig) {
	l, next := lane(1, queue.Normal), avoiding(1)
	r.acceptOne(l)
	c := r.takeOne(l)
	c.M.Attempt, c.M.Kept = 1, 1
	was := snapshot(c.M)
	r.commit(r.answer(c, 1, 2, 7, "w1"))
	p := r.answer(c, 2, 2, 7, "w2")
	p.Ref = &queue.Ref{M: snapshot(c.M), Info: p.Info}
	r.twice(p, r.reroute(p.Ref, next))
	for range 2 {
		r.wantDepths("rerouted with its part", map[any]int64{next: 1})
		r.wantStage(was.ID, queue.Waiting, pdu.StateEnroute)
		r.olderDecidesNothing(7, "w1", was.ID, queue.Waiting)
		r.restart()
	}
	if d := differences(r.takeOne(next).M, rerouted(was)); d != "" {
		r.Errorf("the claim differs: %s", d)
	}
}

func rerouteAgain(r *rig) {
	l, next := lane(1, queue.Normal), avoiding(1)
	r.acceptOne(l)
	was := r.keepOne(l, 7, "a1")
	first := r.reroute(r.correlate(7, "a1"), next)
	r.twice(first)
	c := r.takeOne(next)
	r.again(first)
	r.claimID(1, was.ID, queue.ErrClaimed)
	c.M.Kept = 1
	r.commit(r.part(c, 1, 1, 8, "a2"))
	r.again(first)
	r.wantStage(was.ID, queue.Sent, pdu.StateEnroute)
	second := r.reroute(r.correlate(8, "a2"), next)
	r.twice(second)
	r.again(first, second)
	r.restart()
	r.again(first, second)
	c = r.takeOne(next)
	if c.M.Attempt != 3 || c.M.Reroutes != 2 {
		r.Errorf("attempt %d behind %d reroutes, want 3 behind 2", c.M.Attempt, c.M.Reroutes)
	}
	r.twice(r.final(c, pdu.StateExpired))
	r.again(first, second)
	v := r.wantStage(was.ID, queue.Ended, pdu.StateExpired)
	if len(v.Parts) != 2 || v.M.Reroutes != 2 {
		r.Errorf("history has %d reroutes and the parts %+v", v.M.Reroutes, v.Parts)
	}
	for carrier, name := range map[uint32]string{7: "a1", 8: "a2"} {
		if ref := r.found(carrier, name); ref != nil && !ref.Finalised {
			r.Errorf("%s is still correlated", name)
		}
	}
	r.wantDepths("in the end", map[any]int64{})
}

// rerouteOverdue: who has claimed a sent message as overdue and is told too late that it went
// out again has lost it.
func rerouteOverdue(r *rig) {
	l, next := lane(1, queue.Normal), avoiding(1)
	overdue := func() queue.Claim {
		r.clock.add(time.Hour)
		c := r.sweep(queue.Overdue, r.clock.Now(), 10)
		if len(c) != 1 {
			r.Fatalf("%d are overdue, want 1", len(c))
		}
		return c[0]
	}
	for round, sentAgain := range []bool{false, true, false, true} {
		r.acceptOne(l)
		first, second := fmt.Sprint("o", round), fmt.Sprint("again", round)
		was := r.keepOne(l, 7, first)
		late := overdue()
		r.twice(r.reroute(r.correlate(7, first), next))
		if sentAgain {
			c := r.takeOne(next)
			r.commit(r.part(c, 1, 1, 8, second))
		}
		if round < 2 {
			end := r.final(late, pdu.StateUnknown)
			end.Deliver = r.receipt(late.M, queue.FinalReceipt)
			r.again(end)
		} else {
			r.s.Release(late)
		}
		if !sentAgain {
			r.wantStage(was.ID, queue.Waiting, pdu.StateEnroute)
			r.twice(r.final(r.takeOne(next), pdu.StateExpired))
			continue
		}
		r.wantStage(was.ID, queue.Sent, pdu.StateEnroute)
		r.twice(r.final(overdue(), pdu.StateUnknown))
		r.wantStage(was.ID, queue.Ended, pdu.StateUnknown)
	}
	// And the other way round: what has ended does not go out again.
	r.acceptOne(l)
	was := r.keepOne(l, 7, "over")
	ref := r.correlate(7, "over")
	r.twice(r.final(overdue(), pdu.StateUnknown))
	r.again(r.reroute(ref, next))
	r.wantStage(was.ID, queue.Ended, pdu.StateUnknown)
	r.wantDepths("in the end", map[any]int64{})
}

func rerouteWaits(r *rig) {
	l, next := lane(1, queue.Normal), avoiding(1)
	var ids []queue.ID
	for i := range 4 {
		r.acceptOne(l)
		name := fmt.Sprint("w", i)
		ids = append(ids, r.keepOne(l, 7, name).ID)
		r.commit(r.reroute(r.correlate(7, name), next))
	}
	c := r.claimID(1, ids[2], nil)
	r.s.Release(c)
	c = r.claimID(1, ids[1], nil)
	r.twice(&queue.Wait{Claim: c, Until: r.clock.in(time.Minute), Why: queue.WaitHours, Lane: next})
	got, err := r.s.Matching(r.ctx, queue.Pattern{Account: 1, AnyService: true, Source: "AHWAL", Dest: r.find(ids[3]).M.Dest.Addr}, 10)
	if err != nil || len(got) != 1 || got[0] != ids[3] {
		r.Errorf("Matching gives %v, %v, want %v", got, err, ids[3])
	}
	r.wantDepths("waiting again", map[any]int64{next: 3, aside(1, queue.Normal): 1})
	r.wantIDs("the lane", r.take(next, 3), ids[0], ids[2], ids[3])
	r.restart()
	r.clock.add(time.Minute)
	due := r.sweep(queue.Scheduled, r.clock.Now(), 10)
	r.wantIDs("due", due, ids[1])
	r.clock.add(100 * time.Hour)
	for _, c := range append(due, r.sweep(queue.Expired, r.clock.Now(), 10)...) {
		r.twice(r.final(c, pdu.StateExpired))
	}
	for _, id := range ids {
		r.wantStage(id, queue.Ended, pdu.StateExpired)
	}
	r.wantDepths("in the end", map[any]int64{})
}

func rerouteRoom(r *rig) {
	l, next := lane(1, queue.Normal), avoiding(1)
	r.acceptOne(l)
	r.keepOne(l, 7, "room")
	r.accept(l, 3)
	r.commit(r.reroute(r.correlate(7, "room"), next))
	full := func(when string) {
		r.Helper()
		if err := r.s.Commit(r.ctx, queue.DoneFunc(func(error) {}), &queue.Accept{M: r.message(1, queue.Normal), Lane: l}); err != queue.ErrFull {
			r.Errorf("%s: a message beyond the room: %v, want ErrFull", when, err)
		}
	}
	full("4 wait where 3 may")
	r.commit(r.final(r.takeOne(l), pdu.StateRejected))
	full("3 wait")
	r.restart()
	full("3 wait, after a restart")
	r.commit(r.final(r.takeOne(next), pdu.StateRejected))
	r.acceptOne(l)
}

func rerouteBacklog(r *rig) {
	l, next := lane(1, queue.Normal), avoiding(1)
	const n = 60
	want := idsOf(r.accept(l, n))
	for i := range n {
		r.keepOne(l, 7, fmt.Sprint("b", i))
	}
	var steps []queue.Step
	for i := range n {
		steps = append(steps, r.reroute(r.correlate(7, fmt.Sprint("b", i)), next))
		if len(steps) == 7 {
			r.twice(steps...)
			steps = nil
		}
	}
	r.twice(steps...)
	r.wantDepths("all wait again", map[any]int64{next: n})
	r.wantIDs("half", r.take(next, n/2), want[:n/2]...)
	r.restart()
	got := r.take(next, n)
	r.wantIDs("all", got, want...)
	for _, c := range got {
		if c.M.Attempt != 2 || len(c.M.Body) == 0 {
			r.Fatalf("attempt %d of a message of %d octets", c.M.Attempt, len(c.M.Body))
		}
		r.send(r.final(c, pdu.StateExpired))
	}
	r.wantDepths("in the end", map[any]int64{})
}

func rerouteBare(r *rig) {
	l := lane(1, queue.Normal)
	id := r.acceptOne(l)
	r.sendOne(l, 7, "bare")
	ref := r.correlate(7, "bare")
	if err := r.s.Commit(r.ctx, queue.DoneFunc(func(error) {}), r.reroute(ref, avoiding(1))); err == nil {
		r.Error("a Reroute of a message whose body was not kept is taken")
	}
	ref.M.Kept = 1 // somebody is mistaken
	r.again(r.reroute(ref, avoiding(1)))
	r.wantStage(id, queue.Sent, pdu.StateEnroute)
	r.twice(&queue.Final{Ref: r.correlate(7, "bare"), State: pdu.StateUndeliverable, At: r.clock.at()})
	r.wantStage(id, queue.Ended, pdu.StateUndeliverable)
}

// rerouteCut lets messages fail, go out again and end while the power is cut. Behind the cut
// each is somewhere, not before its last Done, with its body while it waits, and has a receipt
// if and only if it has ended.
func rerouteCut(r *rig) {
	r.needCut()
	rng := rand.New(rand.NewPCG(11, 12))
	l, next := lane(1, queue.Normal), avoiding(1)
	names := 0
	for round := range 9 {
		cut := &cutter{after: rng.IntN(60), keep: []int{0, 30, 100}[round%3], media: r.env.Media}
		type life struct {
			was   *queue.Message
			proof int // 1 sent, 2 rerouted, 3 sent again, 4 ended: proven by a Done before the cut
		}
		var lives []*life
		step := func(f *life, proof int, steps ...queue.Step) {
			k := newTicket()
			err := r.s.Commit(r.ctx, queue.DoneFunc(func(err error) {
				if cut.done() {
					f.proof = proof
				}
				k.Done(err)
			}), steps...)
			if err != nil || k.wait() != nil {
				r.Fatalf("Commit: %v, Done: %v", err, k.err)
			}
		}
		r.accept(l, 20)
		for _, c := range r.take(l, 20) {
			names++
			c.M.Attempt, c.M.Kept = 1, 1
			f := &life{was: snapshot(c.M)}
			lives = append(lives, f)
			p := r.part(c, 1, 1, 7, fmt.Sprint("first", names))
			step(f, 1, p)
			if rng.IntN(4) == 0 {
				continue
			}
			step(f, 2, r.reroute(p.Ref, next))
			if rng.IntN(3) == 0 {
				r.again(r.reroute(p.Ref, next))
			}
			if rng.IntN(4) == 0 {
				r.s.Release(r.takeOne(next))
				f := *f
				for _, c := range r.take(next, 1) { // out of the way of the next one
					r.commit(&queue.Wait{Claim: c, Until: r.clock.in(time.Hour), Why: queue.WaitRetry, Lane: next})
				}
				lives[len(lives)-1] = &f
				continue
			}
			c = r.takeOne(next)
			p = r.part(c, 1, 1, 8, fmt.Sprint("second", names))
			step(f, 3, p)
			if rng.IntN(3) > 0 {
				step(f, 4, &queue.Final{Ref: p.Ref, State: pdu.StateDelivered, At: r.clock.at(), Deliver: r.receipt(c.M, queue.FinalReceipt)})
			}
		}
		r.startFrom(cut.at())
		receipts := map[queue.ID]int{}
		for _, d := range r.takeOutbox(1, int(r.waiting()[uint32(1)])) {
			receipts[d.Message]++
		}
		for _, f := range lives {
			id := f.was.ID
			v, err := r.s.Find(r.ctx, 0, id)
			if err != nil {
				r.Fatalf("round %d: message %v, proven at %d: %v", round, id, f.proof, err)
			}
			at := map[queue.Stage]int{queue.Waiting: 2, queue.Aside: 2, queue.Ended: 4}[v.Stage]
			switch {
			case v.Stage == queue.Sent:
				at = 2*int(v.M.Attempt) - 1
			case v.Stage != queue.Ended && v.M.Attempt <= 1:
				at = 0
			}
			if at < f.proof {
				r.Fatalf("round %d: message %v is at stage %d, attempt %d, was proven at %d", round, id, v.Stage, v.M.Attempt, f.proof)
			}
			if v.Stage < queue.Sent && string(v.M.Body) != string(f.was.Body) {
				r.Fatalf("round %d: message %v waits with the body %q, want %q", round, id, v.M.Body, f.was.Body)
			}
			if want := v.Stage == queue.Ended; receipts[id] > 1 || (receipts[id] == 1) != want {
				r.Fatalf("round %d: message %v at stage %d has %d receipts", round, id, v.Stage, receipts[id])
			}
		}
		// An end for all of it.
		r.clock.add(100 * time.Hour)
		for _, k := range []queue.DueKind{queue.Expired, queue.Scheduled, queue.Overdue} {
			for _, c := range r.sweep(k, r.clock.Now(), 50) {
				r.send(r.final(c, pdu.StateUnknown))
			}
		}
		got := r.waiting()
		delete(got, uint32(1))
		if len(got) > 0 {
			r.Fatalf("round %d: in the end %v still wait", round, got)
		}
		for _, f := range lives {
			if v := r.find(f.was.ID); v.Stage != queue.Ended {
				r.Fatalf("round %d: message %v is at stage %d in the end", round, f.was.ID, v.Stage)
			}
		}
	}
}
