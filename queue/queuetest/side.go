package queuetest

import (
	"fmt"
	"slices"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
)

var sideTests = []test{
	{name: "AScheduledMessageWaitsForItsMoment", run: scheduled},
	{name: "WaitKeepsTheProgress", run: waitProgress},
	{name: "WaitAgainMovesTheMoment", run: waitAgain},
	{name: "DueGivesTheEarliestFirst", run: dueOrder},
	{name: "DueGivesNoMoreThanAsked", run: dueMax},
	{name: "UrgentIsDueThoughBulkHasABacklog", run: dueUrgentFirst},
	{name: "BulkIsDueThoughUrgentHasABacklog", run: dueBulkToo},
	{name: "HeldMessagesWaitForAnOperator", run: held},
	{name: "AReplacedMessageHasItsNewBody", run: replaced},
	{name: "AMessageMovedManyTimesStaysOne", run: movedOften},
	{name: "ALongSideWayIsGivenOnce", run: longSideWay},
}

// due claims what is due and gives it sorted as it came.
func (r *rig) due(k queue.DueKind, at time.Time, limit int) []queue.Claim {
	r.Helper()
	got, err := r.s.Due(r.ctx, k, at, limit, nil)
	if err != nil {
		r.Fatalf("Due(%d): %v", k, err)
	}
	if len(got) > limit {
		r.Fatalf("Due(%d) gave %d claims, at most %d asked", k, len(got), limit)
	}
	return got
}

// wantDue fails unless exactly these are due now, in this order.
func (r *rig) wantDue(k queue.DueKind, limit int, want ...queue.ID) []queue.Claim {
	r.Helper()
	got := r.due(k, r.clock.Now(), limit)
	if g := ids(got); !slices.Equal(g, want) {
		r.Fatalf("Due(%d) at %v: got %v, want %v", k, r.clock.Now(), g, want)
	}
	return got
}

func scheduled(r *rig) {
	l := lane(1, queue.Normal)
	m := r.message(1, queue.Normal)
	m.Due = r.clock.in(time.Hour)
	r.commit(&queue.Accept{M: m, Lane: l, Due: m.Due})
	want := snapshot(m)
	for _, when := range []string{"at first", "after a restart", "after a power cut"} {
		r.wantDepths(when, map[any]int64{aside(1, queue.Normal): 1})
		r.nothing(l)
		r.wantDue(queue.Scheduled, 10)
		v := r.wantStage(m.ID, queue.Aside, pdu.StateScheduled)
		if v.Why != queue.WaitSchedule || v.Until != m.Due {
			r.Errorf("%s Find says %v until %v, want %v until %v", when, v.Why, v.Until, queue.WaitSchedule, m.Due)
		}
		if d := differences(v.M, want); d != "" {
			r.Errorf("%s Find's message differs: %s", when, d)
		}
		if when == "at first" {
			r.restart()
		} else {
			r.crash(0)
		}
	}
	r.clock.add(time.Hour - time.Second)
	r.wantDue(queue.Scheduled, 10)
	r.clock.add(time.Second)
	c := r.wantDue(queue.Scheduled, 10, m.ID)[0]
	if !c.Side || c.Why != queue.WaitSchedule {
		r.Errorf("the claim has Side %v and Why %v", c.Side, c.Why)
	}
	if d := differences(c.M, want); d != "" {
		r.Errorf("the due message differs: %s", d)
	}
	r.twice(&queue.Enter{Claim: c, Lane: l})
	r.wantDepths("after its promotion", map[any]int64{l: 1})
	r.wantDue(queue.Scheduled, 10)
	r.wantStage(m.ID, queue.Waiting, pdu.StateEnroute)
	r.restart()
	r.wantDue(queue.Scheduled, 10)
	c = r.takeOne(l)
	if d := differences(c.M, want); d != "" {
		r.Errorf("the promoted message differs: %s", d)
	}
	r.twice(r.final(c, pdu.StateDelivered))
	r.restart()
	r.nothing(l)
	r.wantDepths("in the end", map[any]int64{})
	r.wantStage(m.ID, queue.Ended, pdu.StateDelivered)
}

func waitProgress(r *rig) {
	l, next := lane(1, queue.Urgent), queue.Lane{Target: queue.Target(1, 2), Class: queue.Urgent, Account: 1}
	id := r.acceptOne(l)
	r.acceptOne(l)
	c := r.takeOne(l)
	c.M.Tries, c.M.Attempt, c.M.Barred, c.M.LastErr, c.M.Uncertain = 4, 2, 0x0102, pdu.ESME_RSYSERR, true
	c.M.Answers = []queue.PartInfo{{Attempt: 2, Part: 1, Of: 2, Carrier: 3, CarrierID: "x", Sent: r.clock.at(), Reference: 9}}
	want := snapshot(c.M)
	r.twice(&queue.Wait{Claim: c, Until: r.clock.in(time.Minute), Why: queue.WaitRetry, Lane: next})
	for _, again := range []func(){func() {}, r.restart, func() { r.crash(0) }} {
		again()
		r.wantDepths("while it waits", map[any]int64{l: 1, aside(1, queue.Urgent): 1})
		v := r.find(id)
		if v.Stage != queue.Aside || v.Why != queue.WaitRetry || v.Until != want.Accepted+60e6 || v.State != pdu.StateEnroute {
			r.Errorf("Find: stage %d, %v until %v, state %v", v.Stage, v.Why, v.Until, v.State)
		}
		if d := differences(v.M, want); d != "" {
			r.Errorf("Find's message differs: %s", d)
		}
		r.wantDue(queue.Scheduled, 10)
	}
	r.clock.add(time.Minute)
	c = r.wantDue(queue.Scheduled, 10, id)[0]
	if c.Why != queue.WaitRetry || c.Lane != next {
		r.Errorf("due for %v to lane %v, want %v to %v", c.Why, c.Lane, queue.WaitRetry, next)
	}
	if d := differences(c.M, want); d != "" {
		r.Errorf("the due message differs: %s", d)
	}
	r.commit(&queue.Enter{Claim: c, Lane: c.Lane})
	r.restart()
	c = r.takeOne(next)
	if d := differences(c.M, want); d != "" {
		r.Errorf("the message in its next lane differs: %s", d)
	}
}

func waitAgain(r *rig) {
	l := lane(1, queue.Normal)
	id := r.acceptOne(l)
	c := r.takeOne(l)
	wait := func(c queue.Claim, d time.Duration, why queue.Why) {
		r.twice(&queue.Wait{Claim: c, Until: r.clock.in(d), Why: why, Lane: l})
	}
	wait(c, time.Minute, queue.WaitRetry)
	wait(r.claimID(1, id, nil), time.Hour, queue.WaitHours) // later
	r.clock.add(2 * time.Minute)
	r.wantDue(queue.Scheduled, 10)
	r.restart()
	r.wantDue(queue.Scheduled, 10)
	wait(r.claimID(1, id, nil), time.Second, queue.WaitSchedule) // sooner
	r.clock.add(time.Second)
	c = r.wantDue(queue.Scheduled, 10, id)[0]
	if c.Why != queue.WaitSchedule {
		r.Errorf("Why is %v, want %v", c.Why, queue.WaitSchedule)
	}
	wait(c, time.Minute, queue.WaitRetry) // due and set aside again
	r.wantDue(queue.Scheduled, 10)
	r.clock.add(2 * time.Hour)
	c = r.wantDue(queue.Scheduled, 10, id)[0] // once, not once for each Wait
	r.wantDue(queue.Scheduled, 10)
	r.commit(r.final(c, pdu.StateRejected))
	r.restart()
	r.wantDue(queue.Scheduled, 10)
	r.wantDepths("in the end", map[any]int64{})
}

func dueOrder(r *rig) {
	var steps []queue.Step
	for i := range 20 {
		steps = append(steps, &queue.Accept{M: r.message(uint32(i%3+1), queue.Normal), Due: r.clock.in(time.Duration((i*7)%20) * time.Second)})
	}
	r.commit(steps...)
	byTime := slices.Clone(steps)
	slices.SortFunc(byTime, func(a, b queue.Step) int { return int(a.(*queue.Accept).Due - b.(*queue.Accept).Due) })
	r.clock.add(9 * time.Second)
	var want []queue.ID
	for _, s := range byTime {
		want = append(want, s.(*queue.Accept).M.ID)
	}
	got := r.wantDue(queue.Scheduled, 100, want[:10]...)
	for _, c := range got {
		r.s.Release(c)
	}
	r.clock.add(time.Minute)
	r.wantDue(queue.Scheduled, 100, want...)
}

func dueMax(r *rig) {
	var want []queue.ID
	for range 25 {
		m := r.message(1, queue.Normal)
		r.commit(&queue.Accept{M: m, Due: r.clock.in(time.Second)})
		r.clock.add(time.Millisecond)
		want = append(want, m.ID)
	}
	r.clock.add(time.Hour)
	got := append(r.wantDue(queue.Scheduled, 10, want[:10]...), r.wantDue(queue.Scheduled, 10, want[10:20]...)...)
	r.wantDue(queue.Scheduled, 10, want[20:]...)
	r.wantDue(queue.Scheduled, 10)
	for _, c := range got[5:10] {
		r.s.Release(c)
	}
	got = append(append(got[:5:5], r.wantDue(queue.Scheduled, 10, want[5:10]...)...), got[10:]...)
	var l = lane(1, queue.Normal)
	var steps []queue.Step
	for _, c := range got {
		steps = append(steps, &queue.Enter{Claim: c, Lane: l})
	}
	r.twice(steps...)
	r.wantIDs("promoted", r.take(l, 20), want[:20]...)
	r.wantDepths("after promotion", map[any]int64{l: 20, aside(1, queue.Normal): 5})
	r.restart()
	r.wantDue(queue.Scheduled, 10, want[20:]...)
}

// crowdedDue puts n messages of one class and one of another aside; the one is due later than all
// of them. A round of Due with room for 30 must bring it.
func crowdedDue(r *rig, crowd, one queue.Class) {
	var steps []queue.Step
	for i := range 600 {
		steps = append(steps, &queue.Accept{M: r.message(1, crowd), Due: r.clock.in(time.Duration(i) * time.Millisecond)})
	}
	m := r.message(1, one)
	steps = append(steps, &queue.Accept{M: m, Due: r.clock.in(time.Minute)})
	r.commit(steps...)
	r.clock.add(time.Hour)
	got := r.due(queue.Scheduled, r.clock.Now(), 30)
	if len(got) != 30 {
		r.Errorf("Due gave %d of 601, want 30", len(got))
	}
	if !slices.Contains(ids(got), m.ID) {
		r.Errorf("the %v message waits behind the backlog of %v", one, crowd)
	}
	for len(got) < 601 {
		more := r.due(queue.Scheduled, r.clock.Now(), 100)
		if len(more) == 0 {
			r.Fatalf("Due ended after %d of 601", len(got))
		}
		got = append(got, more...)
	}
	seen := map[queue.ID]bool{}
	for _, c := range got {
		seen[c.M.ID] = true
	}
	if len(seen) != 601 {
		r.Errorf("%d different messages in 601 claims", len(seen))
	}
	r.wantDue(queue.Scheduled, 10)
}

func dueUrgentFirst(r *rig) { crowdedDue(r, queue.Bulk, queue.Urgent) }
func dueBulkToo(r *rig)     { crowdedDue(r, queue.Urgent, queue.Bulk) }

func held(r *rig) {
	l := lane(1, queue.Normal)
	id := r.acceptOne(l)
	r.twice(&queue.Wait{Claim: r.takeOne(l), Why: queue.WaitUnsure, Lane: l})
	for _, again := range []func(){func() {}, r.restart, func() { r.crash(0) }} {
		again()
		r.clock.add(time.Hour)
		r.wantDue(queue.Scheduled, 10)
		r.nothing(l)
		r.wantDepths("while held", map[any]int64{aside(1, queue.Normal): 1})
		v := r.wantStage(id, queue.Aside, pdu.StateEnroute)
		if v.Why != queue.WaitUnsure || v.Until != 0 {
			r.Errorf("Find says %v until %v", v.Why, v.Until)
		}
	}
	c := r.claimID(1, id, nil)
	if c.Why != queue.WaitUnsure || !c.Side || c.Lane != l {
		r.Errorf("the claim has Why %v, Side %v, lane %v", c.Why, c.Side, c.Lane)
	}
	r.twice(&queue.Enter{Claim: c, Lane: l})
	r.restart()
	r.wantIDs("released by the operator", r.take(l, 1), id)
	r.wantDepths("in the end", map[any]int64{l: 1})
}

// replaced: replace_sm changes what its claim's owner holds and puts it at the tail.
func replaced(r *rig) {
	l := lane(1, queue.Normal)
	ms := r.accept(l, 3)
	r.settle()
	c := r.claimID(1, ms[0].ID, nil)
	m := snapshot(c.M)
	m.Body, m.Text, m.RegisteredDelivery, m.Expires = []byte("the new body"), []byte("the new"), 0, r.clock.in(time.Hour)
	want := snapshot(m)
	c.M = m
	r.twice(&queue.Enter{Claim: c, Lane: l})
	for _, when := range []string{"now", "after a restart"} {
		got := r.take(l, 3)
		r.wantIDs(when, got, ms[1].ID, ms[2].ID, ms[0].ID)
		if d := differences(got[2].M, want); d != "" {
			r.Errorf("%s: the replaced message differs: %s", when, d)
		}
		if d := differences(r.find(ms[0].ID).M, want); d != "" {
			r.Errorf("%s: Find's message differs: %s", when, d)
		}
		r.restart()
	}
}

func movedOften(r *rig) {
	lanes := []queue.Lane{
		lane(1, queue.Normal),
		{Target: queue.Target(1, 1), Class: queue.Normal, Account: 1},
		{Target: queue.Target(2, 0), Class: queue.Normal, Account: 1},
	}
	id := r.acceptOne(lanes[0])
	at := lanes[0]
	for i := range 40 {
		c := r.takeOne(at)
		if c.M.Tries != uint8(i) {
			r.Fatalf("move %d: Tries is %d", i, c.M.Tries)
		}
		c.M.Tries++
		at = lanes[(i+i/3)%len(lanes)]
		if i%4 == 3 {
			r.twice(&queue.Wait{Claim: c, Until: r.clock.in(time.Second), Why: queue.WaitRetry, Lane: at})
			r.clock.add(time.Second)
			c = r.wantDue(queue.Scheduled, 10, id)[0]
		}
		r.twice(&queue.Enter{Claim: c, Lane: at})
		if i%5 == 4 {
			r.restart()
		}
		r.wantDepths(fmt.Sprint("after move ", i), map[any]int64{at: 1})
	}
	r.twice(r.part(r.takeOne(at), 1, 1, 5, "moved"))
	r.restart()
	ref := r.correlate(5, "moved")
	if ref.M.Tries != 40 {
		r.Errorf("Tries is %d after 40 moves", ref.M.Tries)
	}
	r.twice(&queue.Final{Ref: ref, State: pdu.StateDelivered, At: r.clock.at()})
	r.restart()
	r.wantStage(id, queue.Ended, pdu.StateDelivered)
	for _, l := range lanes {
		r.nothing(l)
	}
	r.wantDepths("in the end", map[any]int64{})
}

func longSideWay(r *rig) {
	const n = 2000
	l := lane(1, queue.Bulk)
	want := map[queue.ID]bool{}
	for range n / 100 {
		var steps []queue.Step
		for i := range 100 {
			steps = append(steps, &queue.Accept{M: r.message(1, queue.Bulk), Due: r.clock.in(time.Duration(i) * time.Minute)})
		}
		r.commit(steps...)
		for _, s := range steps {
			want[s.(*queue.Accept).M.ID] = true
		}
	}
	r.restart()
	r.wantDepths("aside", map[any]int64{aside(1, queue.Bulk): n})
	for promoted := 0; promoted < n; {
		r.clock.add(10 * time.Minute)
		for {
			got := r.due(queue.Scheduled, r.clock.Now(), 64)
			if len(got) == 0 {
				break
			}
			var steps []queue.Step
			for _, c := range got {
				if !want[c.M.ID] {
					r.Fatalf("%v was due twice", c.M.ID)
				}
				delete(want, c.M.ID)
				steps = append(steps, &queue.Enter{Claim: c, Lane: l})
			}
			promoted += len(got)
			r.commit(steps...)
		}
		if promoted == 0 || r.clock.Now().Sub(epoch) > 5*time.Hour {
			r.Fatalf("%d of %d promoted", promoted, n)
		}
	}
	r.wantDepths("promoted", map[any]int64{l: n})
	for range n / 100 {
		var steps []queue.Step
		for _, c := range r.take(l, 100) {
			steps = append(steps, r.final(c, pdu.StateDelivered))
		}
		r.commit(steps...)
	}
	r.nothing(l)
	r.wantDepths("in the end", map[any]int64{})
}
