package queuetest

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
)

var roomTests = []test{
	{name: "DepthsAreExactAfterEveryStep", run: depthsExact},
	{name: "DepthsKnowWhenTheHeadEntered", run: depthsOldest},
	{name: "OldestIsWhenTheHeadWasAccepted", run: oldestAccepted},
	{name: "RoomIsKeptForUrgent", env: Env{Room: 100}, run: roomByClass},
	{name: "ScheduledMessagesNeedRoomToo", env: Env{Room: 100}, run: roomAside},
	{name: "RoomIsBoundedPerAccountAndClass", env: Env{AccountRoom: 10}, run: roomPerAccount},
	{name: "AnAcceptMayBoundTheRoomOfItsAccount", run: roomOfAccept},
	{name: "ACommitWithoutRoomDoesNothingAtAll", env: Env{Room: 100}, run: roomAtomic},
	{name: "RoomHoldsAgainstMany", env: Env{Room: 100}, run: roomRace},
}

func depthsExact(r *rig) {
	l, next := lane(1, queue.Normal), queue.Lane{Target: queue.Target(1, 1), Class: queue.Normal, Account: 1}
	side := aside(1, queue.Normal)
	want := map[any]int64{}
	step := func(what string, move func(), change map[any]int64) {
		r.Helper()
		move()
		for k, n := range change {
			if want[k] += n; want[k] == 0 {
				delete(want, k)
			}
		}
		r.wantDepths("after "+what, want)
	}
	var c []queue.Claim
	step("Accept", func() { r.accept(l, 6) }, map[any]int64{l: 6})
	step("a restart", r.restart, nil)
	step("Take", func() { c = r.take(l, 6) }, nil)
	step("Release", func() { r.s.Release(c[5]) }, nil)
	step("Enter", func() { r.twice(&queue.Enter{Claim: c[0], Lane: next}) }, map[any]int64{l: -1, next: 1})
	step("Wait", func() { r.twice(&queue.Wait{Claim: c[1], Until: r.clock.at(), Why: queue.WaitRetry, Lane: l}) }, map[any]int64{l: -1, side: 1})
	step("a scheduled Accept", func() {
		r.commit(&queue.Accept{M: r.message(1, queue.Normal), Due: r.clock.in(time.Hour)})
	}, map[any]int64{side: 1})
	step("Due", func() { c[1] = r.due(queue.Scheduled, r.clock.Now(), 1)[0] }, nil)
	step("Enter from aside", func() { r.twice(&queue.Enter{Claim: c[1], Lane: l}) }, map[any]int64{l: 1, side: -1})
	step("a first part", func() { r.twice(r.answer(c[2], 1, 2, 7, "d1")) }, nil)
	step("a last part", func() { r.twice(r.answer(c[2], 2, 2, 7, "d2")) }, map[any]int64{l: -1})
	step("Outcome", func() { r.twice(r.outcome(r.correlate(7, "d1"), pdu.StateDelivered, "")) }, nil)
	step("Final by Ref", func() {
		ref := r.correlate(7, "d2")
		r.twice(&queue.Final{Ref: ref, State: pdu.StateDelivered, At: r.clock.at(), Deliver: r.receipt(ref.M, queue.FinalReceipt)})
	}, map[any]int64{uint32(1): 1})
	step("Final by Claim", func() { r.twice(r.final(c[3], pdu.StateRejected)) }, map[any]int64{l: -1})
	step("Deliver", func() { r.deliver(1, 2) }, map[any]int64{uint32(1): 2})
	step("TakeOutbox", func() { r.takeOutbox(1, 3) }, nil)
	step("a restart", r.restart, nil)
	step("Delivered", func() { r.twice(r.delivered(r.takeOutbox(1, 1)[0], queue.Acknowledged)) }, map[any]int64{uint32(1): -1})
	step("a power cut", func() { r.crash(0) }, nil)
	step("a second", func() { r.clock.add(time.Second); r.acceptOne(l) }, map[any]int64{l: 1})
	step("a restart", r.restart, nil)
	c = r.take(l, int(want[l]))
	for i, one := range c {
		step(fmt.Sprint("the end of number ", i), func() { r.commit(r.final(one, pdu.StateDelivered)) }, map[any]int64{l: -1})
	}
	step("a restart", r.restart, nil)
}

func (r *rig) oldest(l queue.Lane) queue.Time {
	var at queue.Time
	r.s.Depths(func(got queue.Lane, d queue.Depth) {
		if got == l {
			at = d.Oldest
		}
	})
	return at
}

// near: stamps may run ahead of a clock that stands still, a microsecond for each.
func near(got, want queue.Time) bool { return got >= want && got < want+1e6 }

func depthsOldest(r *rig) {
	l, next := lane(1, queue.Normal), queue.Lane{Target: queue.Target(1, 1), Class: queue.Normal, Account: 1}
	first := r.clock.at()
	r.acceptOne(l)
	r.clock.add(10 * time.Second)
	second := r.clock.at()
	r.acceptOne(l)
	for range 2 {
		if at := r.oldest(l); !near(at, first) {
			r.Errorf("the lane's oldest is of %v, want %v", at.Time(), first.Time())
		}
		r.restart()
	}
	r.clock.add(10 * time.Second)
	third := r.clock.at()
	r.commit(&queue.Enter{Claim: r.takeOne(l), Lane: next})
	if at := r.oldest(l); !near(at, second) {
		r.Errorf("behind the head the oldest is of %v, want %v", at.Time(), second.Time())
	}
	if at := r.oldest(next); !near(at, third) {
		r.Errorf("an old message entered a lane at %v, want %v", at.Time(), third.Time())
	}
	r.commit(r.final(r.takeOne(l), pdu.StateDelivered))
	if at := r.oldest(l); at != 0 {
		r.Errorf("an empty lane's oldest is of %v", at.Time())
	}
}

// oldestAccepted: of a message that moved Oldest may tell when it was accepted or when it
// entered this lane. It may be a little late, so it is awaited at each word of the store,
// not read once.
func oldestAccepted(r *rig) {
	l, next := lane(1, queue.Normal), queue.Lane{Target: queue.Target(1, 1), Class: queue.Normal, Account: 1}
	first := r.clock.at()
	r.acceptOne(l)
	r.clock.add(10 * time.Second)
	second := r.clock.at()
	r.acceptOne(l)
	want := func(what string, l queue.Lane, want ...queue.Time) {
		r.Helper()
		r.until(fmt.Sprintf("Oldest %s to be %v", what, want), func() bool {
			at := r.s.Oldest(l)
			return slices.ContainsFunc(want, func(w queue.Time) bool { return at == w || w != 0 && near(at, w) })
		})
	}
	want("of two", l, first)
	r.restart()
	want("after a restart", l, first)
	c := r.takeOne(l)
	r.clock.add(10 * time.Second)
	moved := r.clock.at()
	r.commit(&queue.Enter{Claim: c, Lane: next})
	want("behind the head", l, second)
	want("of a message that moved", next, first, moved)
	last := r.takeOne(l)
	want("of a lane whose one message is claimed", l, 0)
	r.s.Release(last)
	want("of one that was let go", l, second)
	r.commit(r.final(r.takeOne(l), pdu.StateDelivered))
	want("of an empty lane", l, 0)
	want("of a lane that never was", lane(9, queue.Bulk), 0)
}

// fill accepts one by one until the store is full and gives how many went in.
func (r *rig) fill(step func() *queue.Accept, limit int) int {
	r.Helper()
	for n := range limit {
		k := newTicket()
		err := r.s.Commit(r.ctx, k, step())
		if errors.Is(err, queue.ErrFull) {
			if k.calls.Load() > 0 {
				r.Error("Done was called for a Commit that returned ErrFull")
			}
			return n
		}
		if err != nil {
			r.Fatalf("Commit: %v", err)
		}
		if err := k.wait(); err != nil {
			r.Fatalf("Done: %v", err)
		}
	}
	return limit
}

func (r *rig) into(l queue.Lane) func() *queue.Accept {
	return func() *queue.Accept { return &queue.Accept{M: r.message(l.Account, l.Class), Lane: l} }
}

// wantFull fails unless n fit more and then no further.
func (r *rig) wantFull(what string, step func() *queue.Accept, n int) {
	r.Helper()
	if got := r.fill(step, n+50); got != n {
		r.Errorf("%s: %d fit, want %d", what, got, n)
	}
}

// roomByClass: bulk is refused at 80% of the room, normal at 90%, urgent at 95%.
func roomByClass(r *rig) {
	bulk, normal, urgent := lane(1, queue.Bulk), lane(2, queue.Normal), lane(3, queue.Urgent)
	r.wantFull("bulk into an empty store", r.into(bulk), 80)
	r.wantFull("normal above it", r.into(normal), 10)
	r.wantFull("urgent above it", r.into(urgent), 5)
	r.deliver(1, 30) // receipts fit always
	for range 2 {
		r.wantFull("bulk when full", r.into(bulk), 0)
		r.wantFull("normal when full", r.into(normal), 0)
		r.wantFull("urgent when full", r.into(urgent), 0)
		r.restart()
	}
	claims := r.take(bulk, 20)
	r.wantFull("while 20 are claimed", r.into(urgent), 0)
	for _, c := range claims[:3] {
		r.commit(r.final(c, pdu.StateDelivered))
	}
	r.wantFull("urgent after three ended", r.into(urgent), 3)
	var steps []queue.Step
	for i, c := range claims[3:] {
		c.M.Attempt = 1
		steps = append(steps, r.part(c, 1, 1, 7, fmt.Sprint("room", i)))
	}
	r.commit(steps...) // 17 leave for sent: 78 wait
	r.wantFull("bulk after 17 were sent", r.into(bulk), 2)
	r.wantFull("normal then", r.into(normal), 10)
	r.commit(&queue.Wait{Claim: r.takeOne(bulk), Until: r.clock.in(time.Hour), Why: queue.WaitRetry, Lane: bulk})
	r.wantFull("normal when one was set aside", r.into(normal), 0)
}

func roomAside(r *rig) {
	later := func() *queue.Accept {
		return &queue.Accept{M: r.message(1, queue.Bulk), Due: r.clock.in(time.Hour)}
	}
	r.wantFull("scheduled bulk", later, 80)
	r.wantFull("bulk", r.into(lane(1, queue.Bulk)), 0)
	r.restart()
	r.wantFull("scheduled bulk after a restart", later, 0)
	r.clock.add(time.Hour)
	for _, c := range r.due(queue.Scheduled, r.clock.Now(), 10) {
		r.commit(&queue.Enter{Claim: c, Lane: lane(1, queue.Bulk)}) // no room is asked for what is in
	}
	r.wantFull("after promotions", later, 0)
	r.wantDepths("in the end", map[any]int64{lane(1, queue.Bulk): 10, aside(1, queue.Bulk): 70})
}

// roomPerAccount: whether the classes' reserve cuts an account's room as well is left open.
func roomPerAccount(r *rig) {
	for _, class := range []queue.Class{queue.Urgent, queue.Normal, queue.Bulk} {
		for account := uint32(1); account <= 2; account++ {
			l := lane(account, class)
			n := r.fill(r.into(l), 30)
			if n < 8 || n > 10 {
				r.Errorf("%d messages of account %d and class %v fit, want at most 10 and at least 8", n, account, class)
			}
			other := queue.Lane{Target: queue.Target(9, 0), Class: class, Account: account}
			r.wantFull("another target of the same", r.into(other), 0)
			r.commit(r.final(r.takeOne(l), pdu.StateDelivered))
			r.restart()
			r.wantFull("after one has ended", r.into(l), 1)
		}
	}
}

// roomOfAccept: the bound is the one that the Accept at hand brings, as config has it now.
func roomOfAccept(r *rig) {
	l, other := lane(1, queue.Normal), lane(2, queue.Normal)
	bounded := func(l queue.Lane, room int64) func() *queue.Accept {
		return func() *queue.Accept {
			a := r.into(l)()
			a.Room = room
			return a
		}
	}
	n := r.fill(bounded(l, 10), 30)
	if n < 8 || n > 10 {
		r.Fatalf("%d messages fit, want at most 10 and at least 8", n)
	}
	r.wantFull("with the same bound", bounded(l, 10), 0)
	if more := r.fill(bounded(l, 20), 30); n+more < 16 || n+more > 20 {
		r.Errorf("with a wider bound %d fit, want at most 20 and at least 16", n+more)
	}
	r.wantFull("with the narrower bound again", bounded(l, 10), 0)
	r.restart()
	r.wantFull("after a restart", bounded(l, 10), 0)
	if n := r.fill(bounded(other, 10), 30); n < 8 || n > 10 {
		r.Errorf("%d messages of another account fit, want at most 10 and at least 8", n)
	}
	if n := r.fill(r.into(l), 5); n != 5 {
		r.Errorf("%d of 5 without a bound fit", n)
	}
}

func roomAtomic(r *rig) {
	l := lane(1, queue.Bulk)
	r.accept(l, 78)
	held := r.takeOne(l)
	_, steps := r.accepts(l, 5)
	steps = append([]queue.Step{&queue.Deliver{Delivery: r.receipt(held.M, queue.IntermediateReceipt)}}, steps...)
	k := newTicket()
	if err := r.s.Commit(r.ctx, k, steps...); !errors.Is(err, queue.ErrFull) {
		r.Fatalf("five into room for two: %v, want ErrFull", err)
	}
	r.settle()
	if k.calls.Load() > 0 {
		r.Error("Done was called")
	}
	r.wantDepths("after ErrFull", map[any]int64{l: 78})
	r.wantFull("the room that is left", r.into(l), 2)
	r.restart()
	r.wantDepths("after a restart", map[any]int64{l: 80})
}

func roomRace(r *rig) {
	l := lane(1, queue.Bulk)
	var in atomic.Int64
	var wg sync.WaitGroup
	for range 8 {
		_, steps := r.accepts(l, 30)
		wg.Go(func() {
			for _, s := range steps {
				k := newTicket()
				switch err := r.s.Commit(r.ctx, k, s); {
				case errors.Is(err, queue.ErrFull):
				case err != nil:
					r.Errorf("Commit: %v", err)
				default:
					if err := k.wait(); err != nil {
						r.Errorf("Done: %v", err)
					}
					in.Add(1)
				}
			}
		})
	}
	wg.Wait()
	if in.Load() != 80 {
		r.Errorf("%d of 240 fit, want 80", in.Load())
	}
	r.wantDepths("after the race", map[any]int64{l: in.Load()})
}
