package queuetest

import (
	"fmt"
	"slices"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
)

var sweepTests = []test{
	{name: "OverdueFindsWhatWasSentLongAgo", run: overdue},
	{name: "OverdueAndAReceiptEndAMessageOnce", run: overdueRace},
	{name: "OverdueFindsAMessageOfSeveralParts", run: overdueParts},
	{name: "OverdueFindsWhatHasNoCarrierID", run: overdueNameless},
	{name: "ExpiredFindsWhatWaitsPastItsValidity", env: Env{ReadAhead: 16}, run: expired},
	{name: "ExpiredFindsWhatIsAside", run: expiredAside},
	{name: "ExpiredLeavesClaimedMessagesToTheirOwners", run: expiredClaimed},
	{name: "OrphanedFindsWhatWaitsForNoGroup", env: Env{ReadAhead: 16}, run: orphaned},
}

// sweep claims everything of a kind, in rounds of at most limit, and gives the ids sorted.
// A sweep may need several rounds, even empty ones, to come by.
func (r *rig) sweep(k queue.DueKind, at time.Time, limit int) []queue.Claim {
	r.Helper()
	var got []queue.Claim
	for empty := 0; empty < 3; {
		more := r.due(k, at, limit)
		if len(more) == 0 {
			empty++
			r.settle()
			continue
		}
		got = append(got, more...)
	}
	return got
}

// wantSweep fails unless exactly these are found, in any order.
func (r *rig) wantSweep(what string, got []queue.Claim, want []queue.ID) {
	r.Helper()
	g, w := ids(got), slices.Clone(want)
	slices.Sort(g)
	slices.Sort(w)
	if !slices.Equal(g, w) {
		in := func(list []queue.ID) func(queue.ID) bool {
			return func(id queue.ID) bool { return slices.Contains(list, id) }
		}
		missing, extra := slices.DeleteFunc(slices.Clone(w), in(g)), slices.DeleteFunc(slices.Clone(g), in(w))
		r.Fatalf("%s: %d messages, want %d: missing %v, not wanted %v", what, len(g), len(w), short(missing), short(extra))
	}
}

func short(ids []queue.ID) string {
	if len(ids) > 8 {
		return fmt.Sprint(ids[:8], " ...")
	}
	return fmt.Sprint(ids)
}

func overdue(r *rig) {
	early := r.sent(7, "v1", "v2", "v3")
	r.clock.add(time.Hour)
	late := r.sent(7, "w1")
	between := r.clock.Now().Add(-30 * time.Minute)
	var want []queue.ID
	for _, id := range early {
		want = append(want, id)
	}
	r.wantSweep("before anything was sent", r.sweep(queue.Overdue, epoch.Add(-time.Minute), 10), nil)
	got := r.sweep(queue.Overdue, between, 2)
	r.wantSweep("sent before", got, want)
	for _, c := range got {
		if c.Stamp != 0 || c.M.Dest.Addr == "" {
			r.Errorf("the claim is %+v", c)
		}
		r.s.Release(c)
	}
	r.wantSweep("released", r.sweep(queue.Overdue, between, 10), want)
	r.restart()
	got = r.sweep(queue.Overdue, between, 10)
	r.wantSweep("after a restart", got, want)
	var steps []queue.Step
	for _, c := range got {
		f := r.final(c, pdu.StateUnknown)
		f.Deliver = r.receipt(c.M, queue.FinalReceipt)
		steps = append(steps, f)
	}
	r.twice(steps...)
	for name, id := range early {
		r.wantStage(id, queue.Ended, pdu.StateUnknown)
		if ref := r.found(7, name); ref != nil && !ref.Finalised {
			r.Errorf("%s is still correlated", name)
		}
	}
	r.wantStage(late["w1"], queue.Sent, pdu.StateEnroute)
	r.wantSweep("after the end", r.sweep(queue.Overdue, between, 10), nil)
	r.restart()
	r.wantDepths("in the end", map[any]int64{uint32(1): 3})
	r.wantSweep("later", r.sweep(queue.Overdue, r.clock.Now().Add(time.Second), 10), []queue.ID{late["w1"]})
}

// overdueRace: while the sweep holds the message its receipt comes after all.
func overdueRace(r *rig) {
	sent := r.sent(7, "x1", "x2")
	at := r.clock.Now().Add(time.Second)
	for name, receiptFirst := range map[string]bool{"x1": true, "x2": false} {
		ref := r.correlate(7, name)
		byReceipt := &queue.Final{Ref: ref, State: pdu.StateDelivered, At: r.clock.at(), Deliver: r.receipt(ref.M, queue.FinalReceipt)}
		var bySweep *queue.Final
		for _, c := range r.sweep(queue.Overdue, at, 10) {
			if c.M.ID == sent[name] {
				bySweep = r.final(c, pdu.StateUnknown)
				bySweep.Deliver = r.receipt(c.M, queue.FinalReceipt)
			} else {
				r.s.Release(c)
			}
		}
		if bySweep == nil {
			r.Fatalf("%s is not overdue", name)
		}
		first, second, want := queue.Step(byReceipt), queue.Step(bySweep), pdu.StateDelivered
		if !receiptFirst {
			first, second, want = bySweep, byReceipt, pdu.StateUnknown
		}
		r.commit(first)
		r.send(second).wait()
		r.wantStage(sent[name], queue.Ended, want)
	}
	r.wantDepths("after both", map[any]int64{uint32(1): 2})
	r.restart()
	r.wantDepths("after a restart", map[any]int64{uint32(1): 2})
	r.wantSweep("in the end", r.sweep(queue.Overdue, at, 10), nil)
}

func overdueParts(r *rig) {
	r.acceptOne(lane(1, queue.Normal))
	id := r.sendParts(lane(1, queue.Normal), 3, 7, "y")
	r.commit(r.outcome(r.correlate(7, "y1"), pdu.StateDelivered, "000"))
	r.restart()
	r.clock.add(time.Hour)
	got := r.sweep(queue.Overdue, r.clock.Now(), 10)
	r.wantSweep("one message, not one for each part", got, []queue.ID{id})
	r.twice(r.final(got[0], pdu.StateUnknown))
	if v := r.wantStage(id, queue.Ended, pdu.StateUnknown); len(v.Parts) != 3 {
		r.Errorf("history has %d parts, want 3", len(v.Parts))
	}
	r.restart()
	for _, name := range []string{"y1", "y2", "y3"} {
		if ref := r.found(7, name); ref != nil && !ref.Finalised {
			r.Errorf("%s is still correlated", name)
		}
	}
	r.wantSweep("in the end", r.sweep(queue.Overdue, r.clock.Now(), 10), nil)
}

// overdueNameless: a carrier answered ESME_ROK without a message_id. No receipt can refer
// to it; it waits all the same.
func overdueNameless(r *rig) {
	l := lane(1, queue.Normal)
	id := r.acceptOne(l)
	r.twice(r.part(r.takeOne(l), 1, 1, 7, ""))
	for range 2 {
		r.wantStage(id, queue.Sent, pdu.StateEnroute)
		if ref := r.found(7, ""); ref != nil {
			r.Errorf("no id finds %v", ref.M.ID)
		}
		r.restart()
	}
	got := r.sweep(queue.Overdue, r.clock.Now().Add(time.Second), 10)
	r.wantSweep("without an id", got, []queue.ID{id})
	r.twice(r.final(got[0], pdu.StateUnknown))
	r.wantStage(id, queue.Ended, pdu.StateUnknown)
}

// expired puts short-lived messages between long-lived ones, in memory and behind it.
func expired(r *rig) {
	l, other := lane(1, queue.Normal), lane(2, queue.Bulk)
	var gone, kept []queue.ID
	for i := range 200 {
		at := l
		if i%50 == 49 {
			at = other
		}
		ms, steps := r.accepts(at, 1)
		if i%10 == 9 {
			ms[0].Expires = r.clock.in(time.Minute)
		}
		r.commit(steps...)
		if i%10 == 9 {
			gone = append(gone, ms[0].ID)
		} else {
			kept = append(kept, ms[0].ID)
		}
	}
	r.wantSweep("while all are valid", r.sweep(queue.Expired, r.clock.Now(), 10), nil)
	r.clock.add(time.Hour)
	got := r.sweep(queue.Expired, r.clock.Now(), 7)
	r.wantSweep("past their validity", got, gone)
	for _, c := range got {
		r.s.Release(c)
	}
	r.restart()
	got = r.sweep(queue.Expired, r.clock.Now(), 100)
	r.wantSweep("after a restart", got, gone)
	var steps []queue.Step
	for _, c := range got {
		f := r.final(c, pdu.StateExpired)
		f.Deliver = r.receipt(c.M, queue.FinalReceipt)
		steps = append(steps, f)
	}
	r.twice(steps...)
	r.wantSweep("when they have ended", r.sweep(queue.Expired, r.clock.Now(), 10), nil)
	r.wantSame("the others", r.drain(l, len(kept), 20), kept)
	r.settle()
	r.wantDepths("in the end", map[any]int64{uint32(1): 16, uint32(2): 4})
}

// expiredAside: whatever waits, in a lane or aside, ends with its validity. A message that
// is held has no other moment.
func expiredAside(r *rig) {
	l := lane(1, queue.Normal)
	ms, steps := r.accepts(l, 3)
	for _, m := range ms {
		m.Expires = r.clock.in(time.Minute)
	}
	steps[0].(*queue.Accept).Due = r.clock.in(time.Hour)
	r.commit(steps...)
	c := r.take(l, 2)
	r.commit(
		&queue.Wait{Claim: c[0], Until: r.clock.in(2 * time.Hour), Why: queue.WaitRetry, Lane: l},
		&queue.Wait{Claim: c[1], Why: queue.WaitHeld, Lane: l})
	r.clock.add(2 * time.Minute)
	got := r.sweep(queue.Expired, r.clock.Now(), 10)
	r.wantSweep("aside, past their validity", got, idsOf(ms))
	for _, c := range got {
		r.twice(r.final(c, pdu.StateExpired))
	}
	r.restart()
	r.wantDepths("in the end", map[any]int64{})
	r.clock.add(3 * time.Hour)
	r.wantDue(queue.Scheduled, 10)
}

func expiredClaimed(r *rig) {
	l := lane(1, queue.Normal)
	ms, steps := r.accepts(l, 2)
	for _, m := range ms {
		m.Expires = r.clock.in(time.Minute)
	}
	r.commit(steps...)
	mine := r.takeOne(l)
	r.clock.add(time.Hour)
	got := r.sweep(queue.Expired, r.clock.Now(), 10)
	r.wantSweep("but the claimed one", got, []queue.ID{ms[1].ID})
	r.nothing(l)
	r.s.Release(mine)
	r.wantSweep("after its release", r.sweep(queue.Expired, r.clock.Now(), 10), []queue.ID{ms[0].ID})
	r.nothing(l)
}

func orphaned(r *rig) {
	lanes := map[uint16]queue.Lane{}
	want := map[uint16][]queue.ID{}
	for group := uint16(1); group <= 4; group++ {
		lanes[group] = queue.Lane{Target: queue.Target(group, group%2), Class: queue.Normal, Account: 1}
		want[group] = idsOf(r.accept(lanes[group], 40))
	}
	live := func(groups ...uint16) { r.s.Groups(func(g uint16) bool { return slices.Contains(groups, g) }) }
	live(1, 2, 3, 4)
	r.wantSweep("while every group lives", r.sweep(queue.Orphaned, r.clock.Now(), 10), nil)
	live(1, 3)
	mine := r.takeOne(lanes[4])
	got := r.sweep(queue.Orphaned, r.clock.Now(), 7)
	r.wantSweep("of two groups", got, append(slices.Clone(want[2]), want[4][1:]...))
	var steps []queue.Step
	for _, c := range got {
		if g := c.Lane.Group(); g != 2 && g != 4 {
			r.Errorf("%v was in lane %v", c.M.ID, c.Lane)
		}
		steps = append(steps, &queue.Enter{Claim: c, Lane: lanes[3]})
	}
	r.twice(steps...)
	r.s.Release(mine)
	r.wantDepths("after moving them", map[any]int64{lanes[1]: 40, lanes[3]: 119, lanes[4]: 1})
	r.restart()
	live(1, 3)
	r.wantSweep("after a restart", r.sweep(queue.Orphaned, r.clock.Now(), 7), want[4][:1])
	var order []queue.ID
	for _, s := range steps {
		order = append(order, s.(*queue.Enter).Claim.M.ID)
	}
	r.wantIDs("where they were moved to", r.take(lanes[3], 119), append(want[3], order...)...)
}
