package queuetest

import (
	"slices"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
)

var haltedTests = []test{
	{name: "HaltedMessagesWaitOverARestart", run: haltedStays},
	{name: "HaltedGivesEachMessageOnceARound", run: haltedRound},
	{name: "HaltedGivesWhatCameDuringTheRoundAtMostOnce", run: haltedDuring},
	{name: "HaltedLeavesClaimedMessagesToTheirOwners", run: haltedClaimed},
	{name: "HaltedFindsAFewAmongManyAside", run: haltedFew},
	{name: "AHaltedMessageEndsWithItsValidity", run: haltedExpires},
	{name: "AHaltedMessageThatMovesIsHaltedNoMore", run: haltedMoves},
}

// halt sets claimed messages aside as an operator's halt does.
func (r *rig) halt(claims ...queue.Claim) {
	r.Helper()
	var steps []queue.Step
	for _, c := range claims {
		steps = append(steps, &queue.Wait{Claim: c, Until: c.M.Expires, Why: queue.WaitHalted, Lane: c.Lane})
	}
	r.twice(steps...)
}

// haltSome makes n messages and halts them.
func (r *rig) haltSome(l queue.Lane, n int) []queue.ID {
	r.Helper()
	ms := r.accept(l, n)
	r.halt(r.take(l, n)...)
	return idsOf(ms)
}

// haltedDepth is what Depths tells of halted messages, all accounts and classes.
func (r *rig) haltedDepth() int64 {
	n := int64(0)
	r.s.Depths(func(l queue.Lane, d queue.Depth) {
		if d.Halted > 0 && l.Target != 0 {
			r.Errorf("%d are halted in lane %v", d.Halted, l)
		}
		if d.Halted > d.Messages {
			r.Errorf("%d of %d are halted in %v", d.Halted, d.Messages, l)
		}
		n += d.Halted
	})
	return n
}

func (r *rig) wantHalted(when string, n int64) {
	r.Helper()
	r.settle()
	if got := r.haltedDepth(); got != n {
		r.Errorf("%s Depths tells of %d halted, want %d", when, got, n)
	}
}

// haltedAll is one round of Halted, at most limit a call: all but the last call give that many.
func (r *rig) haltedAll(limit int) []queue.Claim {
	r.Helper()
	var got []queue.Claim
	for {
		more := r.due(queue.Halted, r.clock.Now(), limit)
		got = append(got, more...)
		if len(more) < limit {
			return got
		}
	}
}

func haltedStays(r *rig) {
	l := lane(1, queue.Bulk)
	ms := r.accept(l, 3)
	c := r.take(l, 3)
	c[1].M.Tries = 2
	want := snapshot(c[1].M)
	r.halt(c[1])
	r.s.Release(c[0])
	r.s.Release(c[2])
	for _, again := range []func(){func() {}, r.restart, func() { r.crash(0) }} {
		again()
		r.wantDepths("while halted", map[any]int64{l: 2, aside(1, queue.Bulk): 1})
		r.wantHalted("while halted", 1)
		r.wantDue(queue.Scheduled, 10)
		v := r.wantStage(want.ID, queue.Aside, pdu.StateEnroute)
		if v.Why != queue.WaitHalted || v.Until != want.Expires || v.Lane != l {
			r.Errorf("Find says %v until %v for %v", v.Why, v.Until, v.Lane)
		}
		r.wantMatching("while halted", pattern(want), 10, want.ID)
		got := r.wantDue(queue.Halted, 10, want.ID)[0]
		if got.Why != queue.WaitHalted || !got.Side || got.Stamp != 0 || got.Lane != l {
			r.Errorf("the claim has Why %v, Side %v, Stamp %d, lane %v", got.Why, got.Side, got.Stamp, got.Lane)
		}
		if d := differences(got.M, want); d != "" {
			r.Errorf("the halted message differs: %s", d)
		}
		r.s.Release(got)
		r.s.Release(r.claimID(1, want.ID, nil))
	}
	r.twice(&queue.Enter{Claim: r.claimID(1, want.ID, nil), Lane: l})
	r.wantHalted("after it went on", 0)
	r.restart()
	r.wantIDs("in the end", r.take(l, 3), ms[0].ID, ms[2].ID, ms[1].ID)
	r.wantDue(queue.Halted, 10)
}

func haltedRound(r *rig) {
	want := r.haltSome(lane(2, queue.Normal), 7)
	want = append(want, r.haltSome(lane(1, queue.Urgent), 7)...)
	want = append(want, r.haltSome(lane(1, queue.Bulk), 6)...)
	for round := range 3 {
		for _, limit := range []int{1, 3, 10, 20, 50} { // 20: the round's end is told by an empty answer
			got := r.haltedAll(limit)
			r.wantIDs("one round", got, want...)
			for _, c := range got {
				r.s.Release(c)
			}
		}
		r.wantHalted("after a round", 20)
		if round == 1 {
			r.restart()
		}
	}
	// A round that a restart cuts short begins again.
	for _, c := range r.due(queue.Halted, r.clock.Now(), 8) {
		r.s.Release(c)
	}
	r.restart()
	r.wantIDs("after a restart", r.haltedAll(6), want...)
}

// haltedDuring: whoever lifts one of two halts sets the others aside again as it meets them.
func haltedDuring(r *rig) {
	l := lane(1, queue.Normal)
	want := r.haltSome(l, 10)
	var seen []queue.ID
	for n := 0; ; n++ {
		got := r.due(queue.Halted, r.clock.Now(), 4)
		seen = append(seen, ids(got)...)
		r.halt(got...) // as they were
		if n == 1 {
			want = append(want, r.haltSome(l, 3)...)
		}
		if len(got) < 4 {
			break
		}
	}
	if !slices.Equal(seen, want) {
		r.Errorf("one round gave %v, want %v", seen, want)
	}
	r.wantHalted("after the round", 13)
}

func haltedClaimed(r *rig) {
	l := lane(1, queue.Normal)
	want := r.haltSome(l, 5)
	mine := r.claimID(1, want[2], nil)
	got := r.haltedAll(10)
	r.wantIDs("but the claimed one", got, want[0], want[1], want[3], want[4])
	r.wantDue(queue.Halted, 10)
	r.s.Release(mine)
	r.wantIDs("the one let go", r.haltedAll(10), want[2])
	r.wantHalted("while all are claimed", 5)
}

func haltedFew(r *rig) {
	l := lane(1, queue.Normal)
	var want []queue.ID
	for range 20 {
		for range 2 {
			_, steps := r.accepts(l, 50)
			for _, s := range steps {
				s.(*queue.Accept).Due = r.clock.in(time.Hour)
			}
			r.commit(steps...)
		}
		want = append(want, r.haltSome(l, 1)...)
	}
	for range 2 {
		r.wantDepths("aside", map[any]int64{aside(1, queue.Normal): 2020})
		r.wantHalted("among many", 20)
		r.wantIDs("among many", r.haltedAll(9), want...)
		r.restart()
	}
}

func haltedExpires(r *rig) {
	l := lane(1, queue.Normal)
	ms, steps := r.accepts(l, 3)
	for i, m := range ms {
		m.Expires = r.clock.in(time.Duration(i+1) * time.Hour)
	}
	r.commit(steps...)
	r.halt(r.take(l, 3)...)
	r.clock.add(time.Hour)
	c := r.wantDue(queue.Scheduled, 10, ms[0].ID)[0]
	if c.Why != queue.WaitHalted || c.M.Expires > r.clock.at() {
		r.Errorf("due for %v, valid until %v", c.Why, c.M.Expires)
	}
	f := r.final(c, pdu.StateExpired)
	f.Deliver = r.receipt(c.M, queue.FinalReceipt)
	r.twice(f)
	r.restart()
	r.wantHalted("after one has ended", 2)
	r.wantStage(ms[0].ID, queue.Ended, pdu.StateExpired)
	r.clock.add(time.Hour + time.Minute)
	got := r.sweep(queue.Expired, r.clock.Now(), 10) // whichever sweep comes first
	r.wantSweep("past its validity", got, []queue.ID{ms[1].ID})
	r.wantDue(queue.Scheduled, 10)
	r.twice(r.final(got[0], pdu.StateExpired))
	r.wantDue(queue.Scheduled, 10)
	r.wantIDs("still valid", r.haltedAll(10), ms[2].ID)
	r.restart()
	r.wantDepths("in the end", map[any]int64{aside(1, queue.Normal): 1, uint32(1): 1})
	r.wantHalted("in the end", 1)
}

func haltedMoves(r *rig) {
	l, other := lane(1, queue.Normal), queue.Lane{Target: queue.Target(2, 0), Class: queue.Normal, Account: 1}
	id := r.haltSome(l, 1)[0]
	step := func(what string, halted int64, s queue.Step) {
		r.Helper()
		r.twice(s)
		for range 2 {
			r.wantHalted(what, halted)
			want := []queue.ID{}
			if halted > 0 {
				want = append(want, id)
			}
			got := r.haltedAll(5)
			r.wantIDs(what, got, want...)
			for _, c := range got {
				r.s.Release(c)
			}
			r.restart()
		}
	}
	mine := func() queue.Claim { return r.claimID(1, id, nil) }
	step("in a lane", 0, &queue.Enter{Claim: mine(), Lane: other})
	c := r.takeOne(other)
	step("halted again", 1, &queue.Wait{Claim: c, Until: c.M.Expires, Why: queue.WaitHalted, Lane: other})
	step("halted still", 1, &queue.Wait{Claim: mine(), Until: c.M.Expires, Why: queue.WaitHalted, Lane: l})
	step("held by an operator", 0, &queue.Wait{Claim: mine(), Why: queue.WaitHeld, Lane: l})
	step("halted from there", 1, &queue.Wait{Claim: mine(), Until: c.M.Expires, Why: queue.WaitHalted, Lane: l})
	step("waiting for its hours", 0, &queue.Wait{Claim: mine(), Until: r.clock.in(time.Hour), Why: queue.WaitHours, Lane: l})
	step("halted once more", 1, &queue.Wait{Claim: mine(), Until: c.M.Expires, Why: queue.WaitHalted, Lane: l})
	moved := mine()
	m := snapshot(moved.M)
	m.Dest.Addr += "7" // replaced while it is halted
	moved.M = m
	step("with another number", 1, &queue.Wait{Claim: moved, Until: m.Expires, Why: queue.WaitHalted, Lane: l})
	step("ended", 0, r.final(mine(), pdu.StateDeleted))
	r.wantDepths("in the end", map[any]int64{})
}
