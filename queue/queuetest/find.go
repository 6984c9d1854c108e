package queuetest

import (
	"slices"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
)

var findTests = []test{
	{name: "FindTellsOfAMessageAtEveryStage", run: findStages},
	{name: "FindKeepsToTheAccount", run: findAccount},
	{name: "FindReachesIntoABacklogAndDaysBack", env: Env{ReadAhead: 8, History: 20 * 24 * time.Hour}, run: findFar},
	{name: "MatchingListsWaitingMessagesOldestFirst", run: matching},
	{name: "MatchingFollowsAMessageThroughItsMoves", run: matchingMoves},
	{name: "MatchingKnowsWhatDoneHasTold", run: matchingAtOnce},
}

func findStages(r *rig) {
	l := lane(1, queue.Normal)
	m := r.accept(l, 1)[0]
	want := snapshot(m)
	check := func(when string, stage queue.Stage, state pdu.State, but ...string) {
		r.Helper()
		for range 2 {
			v := r.wantStage(m.ID, stage, state)
			if d := differences(v.M, want, but...); d != "" {
				r.Errorf("%s: Find's message differs: %s", when, d)
			}
			if (v.Ended != 0) != (stage == queue.Ended) {
				r.Errorf("%s: Ended is %v", when, v.Ended)
			}
			r.restart()
		}
	}
	check("in its lane", queue.Waiting, pdu.StateEnroute)
	r.commit(&queue.Wait{Claim: r.takeOne(l), Until: r.clock.in(time.Minute), Why: queue.WaitRetry, Lane: l})
	check("aside", queue.Aside, pdu.StateEnroute)
	r.clock.add(time.Minute)
	r.commit(&queue.Enter{Claim: r.wantDue(queue.Scheduled, 1, m.ID)[0], Lane: l})
	check("in its lane again", queue.Waiting, pdu.StateEnroute)
	c := r.takeOne(l)
	r.wantStage(m.ID, queue.Waiting, pdu.StateEnroute) // claimed
	c.M.Attempt, want.Attempt = 1, 1
	r.commit(r.part(c, 1, 1, 7, "f"))
	check("sent", queue.Sent, pdu.StateEnroute, "Body")
	r.commit(&queue.Final{Ref: r.correlate(7, "f"), State: pdu.StateDelivered, At: r.clock.at()})
	check("ended", queue.Ended, pdu.StateDelivered, "Body", "TLVs", "Text")
}

func findAccount(r *rig) {
	waiting, aside := r.acceptOne(lane(1, queue.Normal)), r.message(1, queue.Normal)
	r.commit(&queue.Accept{M: aside, Due: r.clock.in(time.Hour)})
	other := lane(1, queue.Bulk)
	ended := r.acceptOne(other)
	r.commit(r.final(r.takeOne(other), pdu.StateDelivered))
	r.acceptOne(other)
	sent := r.sendOne(other, 7, "a").M.ID
	for range 2 {
		for name, id := range map[string]queue.ID{"waiting": waiting, "aside": aside.ID, "ended": ended, "sent": sent} {
			for account, want := range map[uint32]error{0: nil, 1: nil, 2: queue.ErrUnknown} {
				if v, err := r.s.Find(r.ctx, account, id); err != want {
					r.Errorf("Find(%d) of what is %s with account 1: %+v, %v, want error %v", account, name, v.M, err, want)
				}
			}
		}
		for _, id := range []queue.ID{0, 1, waiting - idStep, sent + 1000*idStep, waiting + 1} {
			if v, err := r.s.Find(r.ctx, 0, id); err != queue.ErrUnknown {
				r.Errorf("Find of an unknown id: %+v, %v", v, err)
			}
		}
		r.restart()
	}
}

func findFar(r *rig) {
	l := lane(1, queue.Normal)
	backlog := idsOf(r.accept(l, 200))
	other := lane(1, queue.Bulk)
	var old []queue.ID
	for range 10 { // one a day
		id := r.acceptOne(other)
		f := r.final(r.takeOne(other), pdu.StateDelivered)
		r.commit(f)
		old = append(old, id)
		r.clock.add(24 * time.Hour)
	}
	for range 2 {
		for i := 0; i < len(backlog); i += 33 {
			r.wantStage(backlog[i], queue.Waiting, pdu.StateEnroute)
		}
		for _, id := range old {
			r.wantStage(id, queue.Ended, pdu.StateDelivered)
		}
		r.restart()
	}
}

// pattern is of one message.
func pattern(m *queue.Message) queue.Pattern {
	return queue.Pattern{Account: m.Account, ServiceType: m.ServiceType, Source: m.Source.Addr, Dest: m.Dest.Addr}
}

func (r *rig) wantMatching(what string, p queue.Pattern, limit int, want ...queue.ID) {
	r.Helper()
	got, err := r.s.Matching(r.ctx, p, limit)
	if err != nil || !slices.Equal(got, want) {
		r.Errorf("%s: Matching(%+v, %d) = %v, %v, want %v", what, p, limit, got, err, want)
	}
}

func matching(r *rig) {
	first := r.message(1, queue.Normal)
	like := func(change func(*queue.Message)) *queue.Message {
		m := r.message(1, queue.Normal)
		m.Dest, m.DestWritten = first.Dest, first.DestWritten
		change(m)
		return m
	}
	same := like(func(m *queue.Message) { m.Class = queue.Bulk }) // in another lane of the account
	third := like(func(*queue.Message) {})
	otherService := like(func(m *queue.Message) { m.ServiceType = "IDREN" })
	for _, m := range []*queue.Message{
		first, same, third,
		like(func(m *queue.Message) { m.Account = 2 }),
		otherService,
		like(func(m *queue.Message) { m.Source.Addr = "AHWAL2" }),
		like(func(m *queue.Message) { m.Dest.Addr += "0" }),
	} {
		r.commit(&queue.Accept{M: m, Lane: lane(m.Account, m.Class)})
	}
	scheduled := like(func(*queue.Message) {})
	r.commit(&queue.Accept{M: scheduled, Due: r.clock.in(time.Hour)})
	p := pattern(first)
	for _, when := range []string{"at first", "after a restart"} {
		r.wantMatching(when, p, 10, first.ID, same.ID, third.ID, scheduled.ID)
		r.wantMatching(when, p, 2, first.ID, same.ID)
		any := p
		any.AnyService, any.ServiceType = true, "whatever"
		r.wantMatching(when+", any service", any, 10, first.ID, same.ID, third.ID, otherService.ID, scheduled.ID)
		r.wantMatching(when, queue.Pattern{Account: 3, ServiceType: p.ServiceType, Source: p.Source, Dest: p.Dest}, 10)
		r.restart()
	}
}

func matchingMoves(r *rig) {
	l := lane(1, queue.Normal)
	m := r.accept(l, 1)[0]
	p := pattern(m)
	step := func(what string, s queue.Step, want ...queue.ID) {
		r.Helper()
		r.commit(s)
		r.wantMatching(what, p, 10, want...)
		r.restart()
		r.wantMatching(what+", after a restart", p, 10, want...)
	}
	step("aside", &queue.Wait{Claim: r.takeOne(l), Until: r.clock.in(time.Minute), Why: queue.WaitRetry, Lane: l}, m.ID)
	step("aside again", &queue.Wait{Claim: r.claimID(1, m.ID, nil), Why: queue.WaitHeld, Lane: l}, m.ID)
	step("in a lane", &queue.Enter{Claim: r.claimID(1, m.ID, nil), Lane: lane(1, queue.Bulk)}, m.ID)
	step("in another", &queue.Enter{Claim: r.takeOne(lane(1, queue.Bulk)), Lane: l}, m.ID)
	step("sent", r.part(r.takeOne(l), 1, 1, 7, "mm"))
	step("ended", &queue.Final{Ref: r.correlate(7, "mm"), State: pdu.StateDelivered, At: r.clock.at()})
}

// matchingAtOnce: a client that has its submit_sm_resp may cancel by addresses in the next instant.
func matchingAtOnce(r *rig) {
	l := lane(1, queue.Normal)
	for range 300 {
		ms, steps := r.accepts(l, 1)
		told := make(chan struct{})
		err := r.s.Commit(r.ctx, queue.DoneFunc(func(error) { close(told) }), steps...)
		if err != nil {
			r.Fatal(err)
		}
		<-told
		if r.wantMatching("behind Done", pattern(ms[0]), 10, ms[0].ID); r.Failed() {
			return
		}
		c := r.claimID(1, ms[0].ID, nil)
		r.commit(r.final(c, pdu.StateDeleted))
		if r.wantMatching("behind its end", pattern(ms[0]), 10); r.Failed() {
			return
		}
	}
}
