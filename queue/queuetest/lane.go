package queuetest

import (
	"fmt"
	"sync"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
)

var laneTests = []test{
	{name: "ALaneGivesItsMessagesInTheOrderTheyEntered", run: laneOrder},
	{name: "LanesDoNotMix", run: lanesApart},
	{name: "ReleasedMessagesComeBackAtTheHeadInOrder", run: releaseToHead},
	{name: "EnteredMessagesComeAtTheTail", run: enterAtTail},
	{name: "ALongBacklogIsGivenOnceAndInOrderWhileMoreComesIn", env: Env{ReadAhead: 64}, run: backlogWhileAccepting},
	{name: "ALongBacklogIsGivenInOrderByDefaultReadAhead", run: backlogDefault},
	{name: "ALongBacklogSurvivesRestartsHalfWay", env: Env{ReadAhead: 32}, run: backlogRestarts},
	{name: "ReleasesIntoALongBacklogKeepTheOrder", env: Env{ReadAhead: 16}, run: backlogReleases},
	{name: "ManyMessagesMayBeClaimedAtOnce", env: Env{ReadAhead: 16}, run: manyClaims},
	{name: "ManyShortLanesAreAllGiven", env: Env{ReadAhead: 8}, run: manyLanes},
	{name: "WatchTellsOfWhatIsThereAtTheStart", run: watchAtStart},
	{name: "WatchTellsOfWhatComesIn", run: watchLater},
	{name: "TakeAnswersWhileTheMediaIsSlow", run: takeWhileHeldUp},
}

func laneOrder(r *rig) {
	l := lane(1, queue.Normal)
	var want []queue.ID
	for i := range 40 {
		want = append(want, idsOf(r.accept(l, i%4+1))...)
		if i%10 == 9 {
			r.clock.add(time.Second)
		}
	}
	r.wantIDs("from memory", r.take(l, len(want)), want...)
	r.nothing(l)
	r.restart()
	r.wantIDs("after a restart", r.take(l, len(want)), want...)
	r.nothing(l)
}

func lanesApart(r *rig) {
	want := map[queue.Lane][]queue.ID{}
	var lanes []queue.Lane
	for _, target := range []uint32{queue.Target(1, 0), queue.Target(1, 1), queue.Target(2, 0), queue.Target(0x100, 0)} {
		for class := range queue.Class(queue.Classes) {
			for _, account := range []uint32{1, 2, 256} {
				lanes = append(lanes, queue.Lane{Target: target, Class: class, Account: account})
			}
		}
	}
	for round := range 3 {
		var steps []queue.Step
		for _, l := range lanes {
			_, s := r.accepts(l, round+1)
			steps = append(steps, s...)
		}
		r.commit(steps...)
		for _, s := range steps {
			a := s.(*queue.Accept)
			want[a.Lane] = append(want[a.Lane], a.M.ID)
		}
		if round == 1 {
			r.restart()
		}
	}
	depths := map[any]int64{}
	for _, l := range lanes {
		depths[l] = int64(len(want[l]))
	}
	r.wantDepths("of many lanes", depths)
	for _, l := range lanes {
		r.wantIDs(fmt.Sprint(l), r.take(l, len(want[l])), want[l]...)
		r.nothing(l)
	}
}

func releaseToHead(r *rig) {
	l := lane(1, queue.Normal)
	want := idsOf(r.accept(l, 4))
	for _, order := range [][]int{{0}, {1}, {2}, {0, 1, 2}, {2, 1, 0}, {1, 2, 0}, {2, 0, 1}} {
		got := r.take(l, 3)
		r.wantIDs("before", got, want[:3]...)
		kept := map[int]bool{0: true, 1: true, 2: true}
		for _, i := range order {
			r.s.Release(got[i])
			delete(kept, i)
		}
		var next []queue.ID
		for i, id := range want {
			if !kept[i] {
				next = append(next, id)
			}
		}
		again := r.take(l, len(next))
		r.wantIDs(fmt.Sprint("after releasing ", order), again, next...)
		for _, c := range again {
			r.s.Release(c)
		}
		for i := range kept {
			r.s.Release(got[i])
		}
	}
	r.wantDepths("after releases", map[any]int64{l: 4})
	r.restart()
	r.wantIDs("after a restart", r.take(l, 4), want...)
}

func enterAtTail(r *rig) {
	l, other := lane(1, queue.Normal), queue.Lane{Target: queue.Target(1, 2), Class: queue.Normal, Account: 1}
	want := idsOf(r.accept(l, 5))
	got := r.take(l, 2)
	r.twice(&queue.Enter{Claim: got[0], Lane: l}) // to the tail of its own lane
	r.twice(&queue.Enter{Claim: got[1], Lane: other})
	late := r.acceptOne(l)
	r.wantDepths("after Enter", map[any]int64{l: 5, other: 1})
	order := []queue.ID{want[2], want[3], want[4], want[0], late}
	for _, when := range []string{"now", "after a restart"} {
		r.wantIDs(when, r.take(l, 5), order...)
		r.wantIDs(when+" in the other lane", r.take(other, 1), want[1])
		r.nothing(l)
		r.nothing(other)
		r.restart()
	}
}

// drain takes n messages from a lane, finishing each chunk before the next, and fails
// unless their ids rise: every one entered once, by Accept. Returns the ids.
func (r *rig) drain(l queue.Lane, n, chunk int) []queue.ID {
	r.Helper()
	var got []queue.ID
	for len(got) < n {
		claims := r.take(l, min(chunk, n-len(got)))
		steps := make([]queue.Step, len(claims))
		for i, c := range claims {
			if len(got) > 0 && c.M.ID <= got[len(got)-1] {
				r.Fatalf("message %d of lane %v is %v, after %v", len(got), l, c.M.ID, got[len(got)-1])
			}
			got = append(got, c.M.ID)
			steps[i] = r.final(c, pdu.StateDelivered)
		}
		r.send(steps...)
	}
	return got
}

func (r *rig) wantSame(what string, got, want []queue.ID) {
	r.Helper()
	if len(got) != len(want) {
		r.Fatalf("%s: %d messages, want %d", what, len(got), len(want))
	}
	for i := range got {
		if got[i] != want[i] {
			r.Fatalf("%s: message %d is %v, want %v", what, i, got[i], want[i])
		}
	}
}

// backlogWhileAccepting starts with 3,000 in the lane and lets 3,000 more come in while it is
// drained: rows reach the taker from the disk, from the side list and from memory, and at
// each switch one could be lost or doubled.
func backlogWhileAccepting(r *rig) {
	l := lane(1, queue.Normal)
	var want []queue.ID
	for range 30 {
		want = append(want, idsOf(r.accept(l, 100))...)
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		for i := range 300 {
			_, steps := r.accepts(l, i%19+1)
			k := newTicket()
			if err := r.s.Commit(r.ctx, k, steps...); err != nil {
				r.Errorf("Commit: %v", err)
				return
			}
			if i%3 == 0 { // sometimes in step with the drain, sometimes ahead of it
				k.wait()
			}
		}
	})
	total := len(want)
	for i := range 300 {
		total += i%19 + 1
	}
	got := r.drain(l, total, 37)
	wg.Wait()
	r.wantSame("the backlog", got[:len(want)], want)
	r.nothing(l)
	r.wantDepths("in the end", map[any]int64{})
}

func backlogDefault(r *rig) {
	l := lane(1, queue.Bulk)
	var want []queue.ID
	for range 10 {
		want = append(want, idsOf(r.accept(l, 500))...)
	}
	r.wantSame("the backlog", r.drain(l, len(want), 100), want)
	r.nothing(l)
	want = want[:0]
	for range 10 {
		want = append(want, idsOf(r.accept(l, 300))...)
	}
	r.restart()
	r.wantSame("after a restart", r.drain(l, len(want), 250), want)
	r.nothing(l)
	r.wantDepths("in the end", map[any]int64{})
}

func backlogRestarts(r *rig) {
	l := lane(1, queue.Normal)
	want := idsOf(r.accept(l, 1000))
	for round := 0; len(want) > 0; round++ {
		n := min(len(want), 150+round)
		r.wantSame(fmt.Sprint("round ", round), r.drain(l, n, 20), want[:n])
		r.settle()
		want = want[n:]
		r.take(l, min(len(want), 70)) // claims that the restart forgets
		if round%2 == 0 {
			r.restart()
		} else {
			r.crash(0)
		}
		if round < 4 {
			want = append(want, idsOf(r.accept(l, 60))...)
		}
		depth := map[any]int64{l: int64(len(want))}
		if len(want) == 0 {
			clear(depth)
		}
		r.wantDepths(fmt.Sprint("in round ", round), depth)
	}
	r.nothing(l)
}

func backlogReleases(r *rig) {
	l := lane(1, queue.Normal)
	want := idsOf(r.accept(l, 400))
	for len(want) > 0 {
		n := min(len(want), 50)
		got := r.take(l, n)
		r.wantIDs("at the head", got, want[:n]...)
		var steps []queue.Step
		var left []queue.ID
		for i, c := range got { // every third is finished, the others go back from the far end first
			if i%3 == 0 {
				steps = append(steps, r.final(c, pdu.StateDelivered))
			}
		}
		for i := n - 1; i >= 0; i-- {
			if i%3 != 0 {
				r.s.Release(got[i])
				left = append([]queue.ID{want[i]}, left...)
			}
		}
		r.commit(steps...)
		want = append(left, want[n:]...)
		if len(want) > 200 {
			want = append(want, idsOf(r.accept(l, 3))...)
		}
		if len(want) < 20 {
			r.wantSame("the rest", r.drain(l, len(want), 5), want)
			want = nil
		}
	}
	r.nothing(l)
	r.wantDepths("in the end", map[any]int64{})
}

func manyClaims(r *rig) {
	l := lane(1, queue.Normal)
	want := idsOf(r.accept(l, 1000))
	got := r.take(l, 1000)
	r.wantIDs("all at once", got, want...)
	r.nothing(l)
	r.wantDepths("while claimed", map[any]int64{l: 1000})
	for i := range got { // finish from the tail: the head stays claimed
		c := got[len(got)-1-i]
		if i%2 == 0 {
			r.send(r.final(c, pdu.StateDelivered))
		}
	}
	r.settle()
	r.wantDepths("after every second end", map[any]int64{l: 500})
	var left []queue.ID
	for i := range got {
		if (len(got)-1-i)%2 != 0 {
			r.s.Release(got[i])
			left = append(left, want[i])
		}
	}
	r.wantSame("the rest", r.drain(l, 500, 33), left)
	r.nothing(l)
}

func manyLanes(r *rig) {
	const lanes, each = 300, 12
	want := map[queue.Lane][]queue.ID{}
	for i := range lanes {
		l := queue.Lane{Target: queue.Target(uint16(i%7+1), 0), Class: queue.Class(i % queue.Classes), Account: uint32(i + 1)}
		want[l] = idsOf(r.accept(l, each))
	}
	r.restart()
	for l, w := range want {
		r.wantSame(fmt.Sprint(l), r.drain(l, each, 5), w)
	}
	r.settle()
	r.wantDepths("in the end", map[any]int64{})
}

func watchAtStart(r *rig) {
	full, emptied, claimed := lane(1, queue.Normal), lane(2, queue.Normal), lane(3, queue.Bulk)
	m := r.accept(full, 1)[0]
	r.accept(emptied, 1)
	r.accept(claimed, 1)
	r.take(claimed, 1)
	r.commit(r.final(r.takeOne(emptied), pdu.StateDelivered))
	r.commit(&queue.Deliver{Delivery: r.receipt(m, queue.IntermediateReceipt)})
	r.restart()
	r.until("word of what the store held at its start", func() bool {
		return r.feed.told(full) > 0 && r.feed.told(claimed) > 0 && r.feed.toldOut(1) > 0
	})
	r.settle()
	if n := r.feed.told(emptied) + r.feed.toldOut(2) + r.feed.toldOut(3); n > 0 {
		r.Errorf("told %d times of what is empty", n)
	}
}

func watchLater(r *rig) {
	l, other := lane(1, queue.Normal), queue.Lane{Target: queue.Target(1, 1), Class: queue.Normal, Account: 1}
	for round := range 3 {
		before := r.feed.told(l)
		r.accept(l, 1)
		r.until(fmt.Sprint("word of an Accept in round ", round), func() bool { return r.feed.told(l) > before })
		c := r.takeOne(l)
		before = r.feed.told(other)
		r.commit(&queue.Enter{Claim: c, Lane: other})
		r.until(fmt.Sprint("word of an Enter in round ", round), func() bool { return r.feed.told(other) > before })
		c = r.takeOne(other)
		before = r.feed.toldOut(1)
		f := r.final(c, pdu.StateDelivered)
		f.Deliver = r.receipt(c.M, queue.FinalReceipt)
		r.commit(f)
		r.until(fmt.Sprint("word of a receipt in round ", round), func() bool { return r.feed.toldOut(1) > before })
	}
	if n := r.feed.toldOut(2); n > 0 {
		r.Errorf("told %d times of an outbox that nothing entered", n)
	}
}

// takeWhileHeldUp: while the media is slow the committer waits, and nobody else does.
func takeWhileHeldUp(r *rig) {
	if r.env.Media.Hold == nil {
		r.Skip("this media cannot be held up")
	}
	l := lane(1, queue.Normal)
	want := idsOf(r.accept(l, 10))
	d := r.deliver(1, 3)
	r.settle()
	release := sync.OnceFunc(r.env.Media.Hold())
	defer release()
	k := r.send(r.into(l)())
	answered := make(chan []queue.Claim)
	go func() {
		c, _ := r.s.Take(l, 5, nil)
		for _, c := range c[3:] {
			r.s.Release(c)
		}
		c, _ = r.s.Take(l, 20, c[:3])
		r.s.Take(lane(99, queue.Bulk), 5, nil)
		if got, _ := r.s.TakeOutbox(1, 5, nil); len(got) != len(d) {
			r.Errorf("TakeOutbox gave %d of %d while the media is slow", len(got), len(d))
		}
		r.depths()
		r.s.Oldest(l)
		answered <- c
	}()
	select {
	case got := <-answered:
		r.wantIDs("while the media is slow", got, want...)
	case <-time.After(patience):
		release()
		r.Fatal("Take, Release, TakeOutbox, Depths or Oldest waits for the media")
	}
	select {
	case <-k.ended:
		r.Error("Done was called before the media had it")
	default:
	}
	release()
	if err := k.wait(); err != nil {
		r.Errorf("Done: %v", err)
	}
	r.take(l, 1)
}
