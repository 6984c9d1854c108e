package queuetest

import (
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
)

var claimTests = []test{
	{name: "ClaimIDSaysWhyItCannot", run: claimErrors},
	{name: "ClaimIDTakesOneMessageOutOfItsLane", run: claimFromLane},
	{name: "ClaimIDReachesDeepIntoABacklog", env: Env{ReadAhead: 16}, run: claimDeep},
	{name: "ClaimIDReachesTheSideWay", run: claimAside},
	{name: "ACrashUnclaims", run: crashUnclaims},
	{name: "AStepOfAReleasedClaimChangesNothing", run: releasedClaim},
	{name: "AnEndedClaimChangesNothingInLaterHands", run: endedClaim},
	{name: "ReleaseOfAnEndedClaimChangesNothing", run: releaseEnded},
	{name: "OneOfManyClaimersWins", run: claimRace},
}

// claimID claims and fails unless the error is want.
func (r *rig) claimID(account uint32, id queue.ID, want error) queue.Claim {
	r.Helper()
	c, err := r.s.ClaimID(r.ctx, account, id)
	if !errors.Is(err, want) || want == nil && err != nil {
		r.Fatalf("ClaimID(%d, %v): %v, want %v", account, id, err, want)
	}
	if err == nil && (c.M == nil || c.M.ID != id) {
		r.Fatalf("ClaimID(%d, %v) gave %+v", account, id, c.M)
	}
	return c
}

func claimErrors(r *rig) {
	l := lane(1, queue.Normal)
	id := r.acceptOne(l)
	r.claimID(1, id+idStep, queue.ErrUnknown)
	r.claimID(1, 0, queue.ErrUnknown)
	r.claimID(2, id, queue.ErrUnknown) // another account's
	c := r.claimID(1, id, nil)
	r.claimID(1, id, queue.ErrClaimed)
	r.claimID(2, id, queue.ErrUnknown)
	r.s.Release(c)
	c = r.takeOne(l)
	r.claimID(1, id, queue.ErrClaimed)
	r.commit(r.part(c, 1, 1, 7, "c1"))
	for _, when := range []string{"sent", "sent and restarted"} {
		r.Log(when)
		r.claimID(1, id, queue.ErrSent)
		r.claimID(2, id, queue.ErrUnknown)
		r.restart()
	}
	ref := r.correlate(7, "c1")
	r.commit(&queue.Final{Ref: ref, State: pdu.StateDelivered, At: r.clock.at()})
	for _, when := range []string{"final", "final and restarted"} {
		r.Log(when)
		r.claimID(1, id, queue.ErrFinal)
		r.claimID(2, id, queue.ErrUnknown)
		r.restart()
	}
}

func claimFromLane(r *rig) {
	l := lane(1, queue.Normal)
	want := idsOf(r.accept(l, 4))
	c := r.claimID(1, want[1], nil)
	if c.Lane != l || c.Side {
		r.Errorf("the claim is in lane %v, side %v, want %v from the lane", c.Lane, c.Side, l)
	}
	r.wantIDs("the others", r.take(l, 3), want[0], want[2], want[3])
	r.nothing(l)
	r.s.Release(c)
	r.wantIDs("after its release", r.take(l, 1), want[1])
	r.restart()
	r.wantIDs("after a restart", r.take(l, 4), want...)
	r.restart()
	c = r.claimID(1, want[2], nil) // before anybody takes from the lane
	r.twice(r.final(c, pdu.StateDeleted))
	r.wantIDs("without the cancelled one", r.take(l, 3), want[0], want[1], want[3])
	r.nothing(l)
	r.wantStage(want[2], queue.Ended, pdu.StateDeleted)
}

func claimDeep(r *rig) {
	l := lane(1, queue.Normal)
	want := idsOf(r.accept(l, 500))
	cancelled, held := r.claimID(1, want[300], nil), r.claimID(1, want[400], nil)
	r.commit(r.final(cancelled, pdu.StateDeleted))
	if v := r.find(want[400]); v.Stage != queue.Waiting {
		r.Errorf("a claimed message is at stage %d, want Waiting", v.Stage)
	}
	left := append(append(append([]queue.ID{}, want[:300]...), want[301:400]...), want[401:]...)
	r.wantSame("without the claimed", r.drain(l, len(left), 30), left)
	r.nothing(l)
	r.wantDepths("with one claimed", map[any]int64{l: 1})
	r.s.Release(held)
	r.wantIDs("after its release", r.take(l, 1), want[400])
	r.nothing(l)

	r.restart()
	r.commit(r.final(r.takeOne(l), pdu.StateDelivered))
	want = idsOf(r.accept(l, 300))
	back := r.claimID(1, want[200], nil) // claimed and given back before the taker comes there
	r.wantSame("the first", r.drain(l, 100, 10), want[:100])
	r.s.Release(back)
	// It may come at once, as the head (Release), or in its place: it was never there.
	seen := map[queue.ID]bool{}
	for len(seen) < 200 {
		for _, c := range r.take(l, 1) {
			if seen[c.M.ID] {
				r.Fatalf("%v was given twice", c.M.ID)
			}
			seen[c.M.ID] = true
			r.commit(r.final(c, pdu.StateDelivered))
		}
	}
	r.nothing(l)
	r.wantDepths("in the end", map[any]int64{})
}

func claimAside(r *rig) {
	m := r.message(1, queue.Normal)
	r.commit(&queue.Accept{M: m, Due: r.clock.in(time.Hour)})
	c := r.claimID(1, m.ID, nil)
	if !c.Side || c.Why != queue.WaitSchedule {
		r.Errorf("the claim has Side %v and Why %v, want true and %v", c.Side, c.Why, queue.WaitSchedule)
	}
	r.clock.add(2 * time.Hour)
	r.wantDue(queue.Scheduled, 10) // claimed
	r.s.Release(c)
	c = r.wantDue(queue.Scheduled, 10, m.ID)[0]
	r.claimID(1, m.ID, queue.ErrClaimed)
	r.twice(r.final(c, pdu.StateDeleted))
	r.claimID(1, m.ID, queue.ErrFinal)
	r.wantDue(queue.Scheduled, 10)
	r.wantDepths("in the end", map[any]int64{})
}

func crashUnclaims(r *rig) {
	l := lane(1, queue.Normal)
	want := idsOf(r.accept(l, 3))
	m := r.message(1, queue.Normal)
	r.commit(&queue.Accept{M: m, Due: r.clock.at()})
	for i, again := range []func(){r.restart, func() { r.crash(0) }, func() { r.crash(100) }} {
		what := fmt.Sprint("round ", i)
		r.wantIDs(what, r.take(l, 2), want[:2]...)
		r.claimID(1, want[2], nil)
		r.wantDue(queue.Scheduled, 10, m.ID)
		for _, id := range append(want, m.ID) {
			r.claimID(1, id, queue.ErrClaimed)
		}
		again()
		r.wantDepths(what, map[any]int64{l: 3, aside(1, queue.Normal): 1})
	}
	r.wantIDs("in the end", r.take(l, 3), want...)
}

// releasedClaim: who has given a message back owns it no more; a late step of his must not
// end it.
func releasedClaim(r *rig) {
	l, other := lane(1, queue.Normal), lane(1, queue.Bulk)
	id := r.acceptOne(l)
	c := r.takeOne(l)
	r.s.Release(c)
	for _, late := range []queue.Step{
		r.final(c, pdu.StateDelivered),
		&queue.Enter{Claim: c, Lane: other},
		&queue.Wait{Claim: c, Until: r.clock.in(time.Hour), Why: queue.WaitRetry, Lane: l},
		r.part(c, 1, 1, 7, "late"),
	} {
		r.send(late).wait() // nil or an error: either way nothing of it
		r.wantDepths("after "+describe([]queue.Step{late}), map[any]int64{l: 1})
		r.wantStage(id, queue.Waiting, pdu.StateEnroute)
	}
	if r.found(7, "late") != nil {
		r.Error("a late Part left a correlation")
	}
	r.wantIDs("in the end", r.take(l, 1), id)
	r.restart()
	r.wantIDs("after a restart", r.take(l, 1), id)
}

// endedClaim repeats the step that ended a claim while the message is in later hands.
func endedClaim(r *rig) {
	l, other := lane(1, queue.Normal), queue.Lane{Target: queue.Target(1, 1), Class: queue.Normal, Account: 1}
	id := r.acceptOne(l)
	first := r.takeOne(l)
	enter := &queue.Enter{Claim: first, Lane: other}
	r.commit(enter)
	second := r.takeOne(other)
	r.again(enter)
	r.claimID(1, id, queue.ErrClaimed)
	r.nothing(other)
	wait := &queue.Wait{Claim: second, Until: r.clock.in(time.Minute), Why: queue.WaitRetry, Lane: other}
	r.commit(wait)
	r.again(wait)
	r.again(enter)
	r.clock.add(time.Minute)
	third := r.wantDue(queue.Scheduled, 10, id)[0]
	r.again(wait)
	r.again(enter)
	r.claimID(1, id, queue.ErrClaimed)
	r.wantDue(queue.Scheduled, 10)
	r.commit(&queue.Enter{Claim: third, Lane: l})
	r.again(wait)
	r.wantIDs("in the end", r.take(l, 1), id)
	r.nothing(l)
	r.nothing(other)
	r.restart()
	r.wantIDs("after a restart", r.take(l, 1), id)
	r.wantDue(queue.Scheduled, 10)
}

func releaseEnded(r *rig) {
	l := lane(1, queue.Normal)
	id := r.acceptOne(l)
	c := r.takeOne(l)
	r.commit(r.final(c, pdu.StateDelivered))
	r.s.Release(c)
	r.nothing(l)
	r.wantStage(id, queue.Ended, pdu.StateDelivered)
	r.wantDepths("after the end", map[any]int64{})
	id = r.acceptOne(l)
	c = r.takeOne(l)
	r.s.Release(c)
	r.s.Release(c)
	r.wantIDs("after two releases", r.take(l, 1), id)
	r.nothing(l)
}

func claimRace(r *rig) {
	l := lane(1, queue.Normal)
	for round := range 30 {
		id := r.acceptOne(l)
		r.until("word of the message", func() bool { return r.feed.told(l) > round })
		var won atomic.Int32
		var mine atomic.Pointer[queue.Claim]
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				var c queue.Claim
				if i%2 == 0 {
					got, _ := r.s.Take(l, 1, nil)
					if len(got) == 0 {
						return
					}
					c = got[0]
				} else {
					var err error
					if c, err = r.s.ClaimID(r.ctx, 1, id); err != nil {
						if err != queue.ErrClaimed {
							r.Errorf("ClaimID: %v", err)
						}
						return
					}
				}
				won.Add(1)
				mine.Store(&c)
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			r.Fatalf("%d of 8 claimed message %v, want 1", won.Load(), id)
		}
		r.commit(r.final(*mine.Load(), pdu.StateDelivered))
	}
}
