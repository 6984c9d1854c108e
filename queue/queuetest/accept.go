package queuetest

import (
	"fmt"
	"regexp"
	"runtime"
	"slices"
	"sync"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
)

var acceptTests = []test{
	{name: "NobodySeesAMessageBeforeItsDone", run: unseenBeforeDone},
	{name: "DoneIsCalledOnceAndInCommitOrder", run: doneInOrder},
	{name: "EveryFieldComesBack", run: everyField},
	{name: "LongBodiesComeBack", run: longBodies},
	{name: "IDsOfOneCommitAreConsecutive", run: consecutiveIDs},
	{name: "IDsRiseThoughTheClockStepsBackAndTheStoreRestarts", run: risingIDs},
	{name: "IDsDoNotRepeatWhenEveryMessageHasLeftBeforeARestart", run: idsAfterEmpty},
	{name: "IDsFollowTheClock", run: idsFollowClock},
	{name: "OnceStoresNothingTheSecondTime", run: onceTwice},
	{name: "OnceWithinOneCommitStoresOneMessage", run: onceWithinCommit},
	{name: "OnceIsKnownAfterARestartAndAfterTheEnd", run: onceLater},
	{name: "OnceRacedByManyStoresOneMessage", run: onceRace},
	{name: "ShortIDsCountPerAccountAndNeverRepeat", run: shortIDs},
	{name: "OnceWithAShortIDShowsTheSameIDAgain", run: onceShort},
	{name: "AShownIDThatIsSetIsKept", run: shownKept},
	{name: "AllMessagesOfASubmitMultiShowTheFirstID", run: shownFirst},
}

// unseenBeforeDone takes from the lane as fast as it can, without waiting for word, while
// messages come in: none may be there whose Done has not begun.
func unseenBeforeDone(r *rig) {
	const commits, each = 2000, 2
	l := lane(1, queue.Normal)
	var done sync.Map // queue.ID -> true, from Done on
	var made [commits][]*queue.Message
	var steps [commits][]queue.Step
	for i := range commits { // beforehand: many have to come at once for a batch to be large
		made[i], steps[i] = r.accepts(l, each)
	}
	go func() {
		for i, ms := range made {
			err := r.s.Commit(r.ctx, queue.DoneFunc(func(err error) {
				if err != nil {
					r.Errorf("Done: %v", err)
				}
				runtime.Gosched() // the taker's chance
				for _, m := range ms {
					done.Store(m.ID, true)
				}
			}), steps[i]...)
			if err != nil {
				r.Errorf("Commit: %v", err)
				return
			}
		}
	}()
	late := time.Now().Add(patience)
	for seen := 0; seen < commits*each; runtime.Gosched() {
		claims, _ := r.s.Take(l, commits*each, nil) // the last of a batch are Done last
		if len(claims) == 0 && time.Now().After(late) {
			r.Fatalf("%d of %d messages came", seen, commits*each)
		}
		for _, c := range slices.Backward(claims) {
			seen++
			if _, ok := done.Load(c.M.ID); !ok {
				r.Fatalf("message %v was taken before its Done", c.M.ID)
			}
		}
	}
}

func doneInOrder(r *rig) {
	const commits = 500
	var mu sync.Mutex
	var order []int
	all := make(chan struct{})
	for i := range commits {
		_, steps := r.accepts(lane(uint32(i%3+1), queue.Normal), i%3+1)
		err := r.s.Commit(r.ctx, queue.DoneFunc(func(err error) {
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				r.Errorf("Done: %v", err)
			}
			if order = append(order, i); len(order) == commits {
				close(all)
			}
		}), steps...)
		if err != nil {
			r.Fatalf("Commit: %v", err)
		}
	}
	<-all
	r.restart() // whoever calls Done a second time has done so by now
	for i, n := range order {
		if n != i {
			r.Fatalf("Done number %d was that of Commit %d", i, n)
		}
	}
	if len(order) != commits {
		r.Errorf("%d Dones for %d Commits", len(order), commits)
	}
}

func everyField(r *rig) {
	l := queue.Lane{Target: queue.Target(0xfffe, 0x8001), Class: queue.Bulk, Account: 0xfffffffe}
	full := r.message(l.Account, l.Class)
	full.Tries, full.Attempt, full.Barred, full.LastErr = 3, 2, 0x8001, pdu.ESME_RMSGQFUL
	full.Answers = []queue.PartInfo{{
		Attempt: 2, Part: 1, Of: 3, Carrier: 9, CarrierID: "a1", Sent: r.clock.at(), Reference: 0xbeef,
		State: pdu.StateDelivered, Err: "000", Done: r.clock.in(time.Second),
	}}
	bare := &queue.Message{Account: l.Account, Class: l.Class, Expires: r.clock.in(time.Hour)}
	r.commit(&queue.Accept{M: full, Lane: l}, &queue.Accept{M: bare, Lane: l})
	if shows(full) != full.ID.String() || shows(bare) != bare.ID.String() {
		r.Errorf("Shown is %q and %q, want %q and %q, or nothing", full.Shown, bare.Shown, full.ID, bare.ID)
	}
	want := []*queue.Message{snapshot(full), snapshot(bare)}
	for _, when := range []string{"from memory", "after a restart"} {
		got := r.take(l, 2)
		for i, c := range got {
			if d := differences(c.M, want[i]); d != "" {
				r.Errorf("%s message %d differs: %s", when, i, d)
			}
			if v := r.find(c.M.ID); v.M == nil {
				r.Errorf("%s Find has no M", when)
			} else if d := differences(v.M, want[i]); d != "" {
				r.Errorf("%s Find's message %d differs: %s", when, i, d)
			}
		}
		r.restart()
	}
}

func longBodies(r *rig) {
	l := lane(1, queue.Normal)
	var want []*queue.Message
	for _, n := range []int{0, 1, 254, 255, 4096, 65535} {
		m := r.message(1, queue.Normal)
		m.Body = make([]byte, n)
		for i := range m.Body {
			m.Body[i] = byte(i * 7)
		}
		r.commit(&queue.Accept{M: m, Lane: l})
		want = append(want, snapshot(m))
	}
	r.restart()
	for i, c := range r.take(l, len(want)) {
		if d := differences(c.M, want[i]); d != "" {
			r.Errorf("body of %d octets: %.200s", len(want[i].Body), d)
		}
	}
}

// consecutive ids are one microsecond apart: the node's bits stay.
const idStep = 1 << 10

func consecutiveIDs(r *rig) {
	ms, steps := r.accepts(lane(1, queue.Normal), 7)
	steps[2].(*queue.Accept).Due = r.clock.in(time.Hour) // scheduled ones count as well
	steps[4].(*queue.Accept).Lane = lane(2, queue.Urgent)
	ms[4].Account, ms[4].Class = 2, queue.Urgent
	r.commit(steps...)
	for i, m := range ms[1:] {
		if m.ID != ms[i].ID+idStep {
			r.Errorf("ids %d and %d of a Commit are %d apart, want %d", i, i+1, m.ID-ms[i].ID, idStep)
		}
	}
	r.twice(&queue.Accept{M: r.message(1, queue.Normal), Once: []byte("row 1"), Lane: lane(1, queue.Normal)})
	ms, steps = r.accepts(lane(1, queue.Normal), 3)
	steps[1].(*queue.Accept).Once = []byte("row 1") // known: takes no id
	r.commit(steps...)
	if ms[2].ID != ms[0].ID+idStep {
		r.Errorf("around a known Once the ids are %d apart, want %d", ms[2].ID-ms[0].ID, idStep)
	}
}

func risingIDs(r *rig) {
	l := lane(1, queue.Normal)
	var last queue.ID
	accept := func(when string) {
		for range 3 {
			for _, m := range r.accept(l, 4) {
				if m.ID <= last {
					r.Fatalf("%s: id %d after %d", when, m.ID, last)
				}
				last = m.ID
			}
		}
	}
	accept("at first")
	r.clock.add(-time.Hour)
	accept("after the clock stepped back")
	r.restart()
	accept("after a restart on an earlier clock")
	r.crash(0)
	accept("after a power cut on an earlier clock")
	r.clock.add(-24 * time.Hour)
	r.restart()
	accept("after a restart on a still earlier clock")
	r.clock.add(48 * time.Hour)
	accept("after the clock leapt ahead")
	r.clock.add(-48 * time.Hour)
	r.restart()
	accept("after it leapt back")
}

func idsAfterEmpty(r *rig) {
	l := lane(1, queue.Normal)
	first := r.acceptOne(l)
	r.commit(r.final(r.takeOne(l), pdu.StateRejected))
	r.clock.add(-time.Hour)
	r.restart()
	r.restart()
	if id := r.acceptOne(l); id <= first {
		r.Errorf("id %d after %d", id, first)
	}
}

// idsFollowClock: an id is the microsecond of its acceptance while the clock keeps up.
func idsFollowClock(r *rig) {
	l := lane(1, queue.Normal)
	r.acceptOne(l)
	r.clock.add(time.Minute)
	id := r.acceptOne(l)
	if got, want := int64(id>>10), r.clock.Now().UnixMicro(); got != want {
		r.Errorf("the id says %d µs, the clock %d", got, want)
	}
	if id > 9999999999999999999 || int64(id) < 0 {
		r.Errorf("id %d has more than 63 bits or 19 digits", id)
	}
}

func onceTwice(r *rig) {
	l := lane(1, queue.Normal)
	step := func(key string) *queue.Accept {
		return &queue.Accept{M: r.message(1, queue.Normal), Once: []byte(key), Lane: l}
	}
	a, b := step("api\x00order 1"), step("api\x00order 2")
	r.commit(a)
	r.commit(b)
	if a.Again || b.Again {
		r.Errorf("Again is set at first sight: %v, %v", a.Again, b.Again)
	}
	if a.M.ID == b.M.ID {
		r.Errorf("two keys, one id %v", a.M.ID)
	}
	for range 3 {
		c := step("api\x00order 1")
		r.commit(c)
		if !c.Again || c.M.ID != a.M.ID || shows(c.M) != shows(a.M) {
			r.Errorf("the same key: Again %v, id %v shown %q, want true, %v, %q", c.Again, c.M.ID, c.M.Shown, a.M.ID, a.M.Shown)
		}
	}
	r.wantDepths("after repeats", map[any]int64{l: 2})
	r.wantIDs("lane", r.take(l, 2), a.M.ID, b.M.ID)
	r.nothing(l)
}

func onceWithinCommit(r *rig) {
	l := lane(1, queue.Normal)
	steps := make([]queue.Step, 5)
	for i := range steps {
		steps[i] = &queue.Accept{M: r.message(1, queue.Normal), Once: []byte("k"), Lane: l}
	}
	r.commit(steps...)
	first := steps[0].(*queue.Accept)
	for i, s := range steps[1:] {
		if a := s.(*queue.Accept); !a.Again || a.M.ID != first.M.ID {
			r.Errorf("step %d: Again %v, id %v, want true and %v", i+1, a.Again, a.M.ID, first.M.ID)
		}
	}
	r.wantDepths("after one Commit of five", map[any]int64{l: 1})
	r.wantIDs("lane", r.take(l, 1), first.M.ID)
	r.nothing(l)
}

func onceLater(r *rig) {
	l := lane(1, queue.Normal)
	step := func() *queue.Accept {
		return &queue.Accept{M: r.message(1, queue.Normal), Once: []byte("campaign 7\x00row 3"), Lane: l}
	}
	a := step()
	r.commit(a)
	want := func(when string) {
		r.Helper()
		b := step()
		r.commit(b)
		if !b.Again || b.M.ID != a.M.ID {
			r.Errorf("%s: Again %v, id %v, want true and %v", when, b.Again, b.M.ID, a.M.ID)
		}
	}
	r.restart()
	want("after a restart")
	r.crash(0)
	want("after a power cut")
	r.commit(r.final(r.takeOne(l), pdu.StateDelivered))
	want("after the end")
	r.restart()
	want("after the end and a restart")
	r.clock.add(6 * 24 * time.Hour)
	want("six days later")
	r.wantDepths("in the end", map[any]int64{})
	r.nothing(l)
}

func onceRace(r *rig) {
	l := lane(1, queue.Normal)
	const n = 32
	steps := make([]*queue.Accept, n)
	for i := range steps {
		steps[i] = &queue.Accept{M: r.message(1, queue.Normal), Once: []byte("race"), Lane: l}
	}
	var wg sync.WaitGroup
	for _, s := range steps {
		wg.Go(func() {
			k := newTicket()
			if err := r.s.Commit(r.ctx, k, s); err != nil {
				r.Errorf("Commit: %v", err)
			} else if err := k.wait(); err != nil {
				r.Errorf("Done: %v", err)
			}
		})
	}
	wg.Wait()
	fresh := 0
	for _, s := range steps {
		if !s.Again {
			fresh++
		}
		if s.M.ID != steps[0].M.ID {
			r.Errorf("ids %v and %v for one key", s.M.ID, steps[0].M.ID)
		}
	}
	if fresh != 1 {
		r.Errorf("%d of %d were new, want 1", fresh, n)
	}
	r.wantDepths("after the race", map[any]int64{l: 1})
}

var tenDigits = regexp.MustCompile(`^[0-9]{10}$`)

func shortIDs(r *rig) {
	seen := map[string]queue.ID{}
	for round := range 4 {
		for i := range 10 {
			account := uint32(i%2 + 1)
			m := r.message(account, queue.Normal)
			r.commit(&queue.Accept{M: m, Short: true, Lane: lane(account, queue.Normal)})
			if !tenDigits.MatchString(m.Shown) {
				r.Fatalf("Shown is %q, want 10 decimal digits", m.Shown)
			}
			key := fmt.Sprint(account, " ", m.Shown)
			if seen[key] != 0 {
				r.Fatalf("round %d: account %d was shown %s twice", round, account, m.Shown)
			}
			seen[key] = m.ID
		}
		for key, id := range seen {
			var account uint32
			var shown string
			fmt.Sscan(key, &account, &shown)
			if got, err := r.s.ByShown(r.ctx, account, shown); err != nil || got != id {
				r.Errorf("round %d: ByShown(%d, %s) = %v, %v, want %v", round, account, shown, got, err, id)
			}
			if v := r.find(id); v.M.Shown != shown {
				r.Errorf("round %d: Find(%v).M.Shown = %q, want %q", round, id, v.M.Shown, shown)
			}
		}
		if round%2 == 0 {
			r.restart()
		} else {
			r.crash(0)
		}
	}
	for account := range uint32(3) { // unknown: no such number, or of another account
		if got, err := r.s.ByShown(r.ctx, account+1, "9999999999"); err != queue.ErrUnknown {
			r.Errorf("ByShown(%d) of an unknown number: %v, %v, want ErrUnknown", account+1, got, err)
		}
	}
	for key := range seen {
		var account uint32
		var shown string
		fmt.Sscan(key, &account, &shown)
		if got, err := r.s.ByShown(r.ctx, 3, shown); err != queue.ErrUnknown {
			r.Errorf("ByShown(3, %s), a number of account %d: %v, %v, want ErrUnknown", shown, account, got, err)
		}
	}
}

func onceShort(r *rig) {
	step := func() *queue.Accept {
		return &queue.Accept{M: r.message(1, queue.Normal), Once: []byte("o"), Short: true, Lane: lane(1, queue.Normal)}
	}
	a, b := step(), step()
	r.commit(a)
	r.commit(b)
	if b.M.ID != a.M.ID || b.M.Shown != a.M.Shown {
		r.Errorf("the same key shows %q of %v, want %q of %v", b.M.Shown, b.M.ID, a.M.Shown, a.M.ID)
	}
	c := &queue.Accept{M: r.message(1, queue.Normal), Short: true, Lane: lane(1, queue.Normal)}
	r.commit(c)
	if c.M.Shown == a.M.Shown {
		r.Errorf("the next message shows %q again", c.M.Shown)
	}
}

func shownKept(r *rig) {
	l := lane(1, queue.Normal)
	first := r.accept(l, 1)[0]
	m := r.message(1, queue.Normal)
	m.Shown = first.ID.String()
	r.commit(&queue.Accept{M: m, Lane: l})
	if m.Shown != first.ID.String() || m.ID == first.ID {
		r.Errorf("Shown %q of id %v, want %q of another id", m.Shown, m.ID, first.ID)
	}
	r.restart()
	if c := r.take(l, 2)[1]; c.M.ID != m.ID || c.M.Shown != first.ID.String() {
		r.Errorf("after a restart %v shows %q, want %v showing %q", c.M.ID, c.M.Shown, m.ID, first.ID)
	}
}

// shownFirst: the client of a submit_multi hears one id, that of the first destination.
func shownFirst(r *rig) {
	for _, decimal := range []bool{false, true} {
		l := lane(1, queue.Normal)
		ms, steps := r.accepts(l, 4)
		for _, s := range steps {
			a := s.(*queue.Accept)
			a.First, a.Decimal = ms[0], decimal
		}
		r.commit(steps...)
		want := ms[0].ID.String()
		if decimal {
			want = ms[0].ID.Decimal()
		}
		got := r.take(l, 4)
		r.wantIDs("in the order of the destinations", got, idsOf(ms)...)
		r.restart()
		for i, c := range r.take(l, 4) {
			for _, m := range []*queue.Message{ms[i], got[i].M, c.M} {
				if i == 0 && m.Shown == "" { // its id says it
					m.Shown = want
				}
			}
			if ms[i].Shown != want || got[i].M.Shown != want || c.M.Shown != want {
				r.Errorf("destination %d shows %q, %q when taken, %q after a restart, want %q", i, ms[i].Shown, got[i].M.Shown, c.M.Shown, want)
			}
			r.commit(r.final(c, pdu.StateDelivered))
		}
		if id, err := r.s.ByShown(r.ctx, 1, want); err == nil && id != ms[0].ID {
			r.Errorf("ByShown(%q) = %v, want %v or an error", want, id, ms[0].ID)
		}
	}
}
