package queuetest

import (
	"context"
	"errors"
	"slices"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
)

var surveyTests = []test{
	{name: "SurveyTellsOfEachMessageOnceAtEveryStage", env: Env{ReadAhead: 8}, run: surveyStages},
	{name: "SurveyTellsOfWhatEndedSinceAMoment", env: Env{History: 20 * 24 * time.Hour}, run: surveySince},
	{name: "SurveyIsOfOneMoment", env: Env{ReadAhead: 8}, run: surveyMoment},
	{name: "SurveyStopsWhenItIsTold", run: surveyStops},
}

// survey gives what Survey tells, by id; a message told of twice fails the test.
func (r *rig) survey(s queue.Survey) map[queue.ID]queue.View {
	r.Helper()
	got := map[queue.ID]queue.View{}
	err := r.s.Survey(r.ctx, s, func(v *queue.View) bool {
		if _, twice := got[v.M.ID]; twice {
			r.Errorf("Survey tells of %v twice", v.M.ID)
		}
		if v.M.Body != nil {
			r.Errorf("Survey gives the body of %v", v.M.ID)
		}
		own := *v
		own.M, own.Parts = snapshot(v.M), slices.Clone(v.Parts)
		got[v.M.ID] = own
		return true
	})
	if err != nil {
		r.Fatalf("Survey: %v", err)
	}
	return got
}

func surveyStages(r *rig) {
	l, next := lane(1, queue.Normal), queue.Lane{Target: queue.Target(2, 0), Class: queue.Normal, Account: 1}
	type row struct {
		m    *queue.Message
		view queue.View
	}
	want := map[queue.ID]row{}
	expect := func(m *queue.Message, v queue.View) { want[m.ID] = row{snapshot(m), v} }
	enroute := queue.View{Stage: queue.Waiting, State: pdu.StateEnroute, Lane: l}
	began := r.clock.Now()

	sent := r.accept(l, 1)[0]
	r.sendOne(l, 7, "whole")
	expect(sent, queue.View{Stage: queue.Sent, State: pdu.StateEnroute})
	several := r.accept(l, 1)[0]
	r.sendParts(l, 3, 7, "several")
	expect(several, queue.View{Stage: queue.Sent, State: pdu.StateEnroute})
	ended := r.accept(l, 1)[0]
	f := r.final(r.takeOne(l), pdu.StateRejected)
	f.Err = "045"
	r.commit(f)
	expect(ended, queue.View{Stage: queue.Ended, State: pdu.StateRejected, Err: "045", Ended: f.At})
	moved := r.accept(l, 1)[0]
	r.commit(&queue.Enter{Claim: r.takeOne(l), Lane: next})
	expect(moved, queue.View{Stage: queue.Waiting, State: pdu.StateEnroute, Lane: next})
	halted := r.accept(l, 1)[0]
	r.halt(r.takeOne(l))
	expect(halted, queue.View{Stage: queue.Aside, State: pdu.StateEnroute, Why: queue.WaitHalted, Until: halted.Expires, Lane: l})
	later := r.message(1, queue.Normal)
	later.Due = r.clock.in(time.Hour)
	r.commit(&queue.Accept{M: later, Lane: next, Due: later.Due})
	expect(later, queue.View{Stage: queue.Aside, State: pdu.StateScheduled, Why: queue.WaitSchedule, Until: later.Due, Lane: next})
	for _, m := range r.accept(l, 40) { // beyond the read-ahead
		expect(m, enroute)
	}
	other := lane(2, queue.Urgent)
	for _, m := range r.accept(other, 2) {
		expect(m, queue.View{Stage: queue.Waiting, State: pdu.StateEnroute, Lane: other})
	}

	for _, when := range []string{"at first", "after a restart", "after a power cut"} {
		mine := append(r.take(l, 3), r.claimID(1, halted.ID, nil)) // claimed messages wait still
		for _, s := range []queue.Survey{{}, {Sent: true}, {Since: began}, {Sent: true, Since: began}} {
			got := r.survey(s)
			for id, w := range want {
				v, told := got[id]
				delete(got, id)
				if asked := w.view.Stage < queue.Sent || w.view.Stage == queue.Sent && s.Sent || w.view.Stage == queue.Ended && !s.Since.IsZero(); told != asked {
					r.Errorf("%s, %+v: told of %v at stage %d: %v", when, s, id, w.view.Stage, told)
					continue
				} else if !told {
					continue
				}
				but := []string{"Body"}
				switch w.view.Stage {
				case queue.Sent:
					if len(v.Parts) != 1 || v.Parts[0].Carrier != 7 {
						r.Errorf("%s: %v was sent with parts %+v", when, id, v.Parts)
					}
					but = append(but, "Attempt", "Answers")
				case queue.Ended:
					but = append(but, "TLVs", "Text")
				}
				if d := differences(v.M, w.m, but...); d != "" {
					r.Errorf("%s: the message at stage %d differs: %s", when, w.view.Stage, d)
				}
				v.M, v.Parts = nil, nil
				if d := differences(&v, &w.view); d != "" {
					r.Errorf("%s: the view at stage %d differs: %s", when, w.view.Stage, d)
				}
			}
			for id, v := range got {
				r.Errorf("%s: told of %v at stage %d, which is not there", when, id, v.Stage)
			}
		}
		for _, c := range mine {
			r.s.Release(c)
		}
		switch when {
		case "at first":
			r.restart()
		case "after a restart":
			r.crash(0)
		}
	}
}

func surveySince(r *rig) {
	l := lane(1, queue.Normal)
	var order []queue.ID
	var at []time.Time
	for range 12 {
		order = append(order, r.acceptOne(l))
		f := r.final(r.takeOne(l), pdu.StateDelivered)
		f.Deliver = r.receipt(f.Claim.M, queue.FinalReceipt)
		r.commit(f)
		at = append(at, r.clock.Now())
		r.commit(r.delivered(r.takeOutbox(1, 1)[0], queue.Undelivered)) // how that ended stands in history, too
		r.clock.add(7 * time.Hour)
	}
	for range 2 {
		for i, since := range at {
			got := r.survey(queue.Survey{Since: since})
			for j, id := range order {
				if _, told := got[id]; told != (j >= i) {
					r.Errorf("since the end of number %d it tells of number %d: %v", i, j, told)
				}
			}
			if len(got) != len(order)-i {
				r.Errorf("since the end of number %d it tells of %d", i, len(got))
			}
		}
		if got := r.survey(queue.Survey{Since: time.Unix(0, 0)}); len(got) != len(order) {
			r.Errorf("since 1970 it tells of %d, want %d", len(got), len(order))
		}
		if got := r.survey(queue.Survey{Since: r.clock.Now()}); len(got) != 0 {
			r.Errorf("since now it tells of %d", len(got))
		}
		r.restart()
	}
}

// surveyMoment: while a survey goes on every message moves, and each is told of as it was.
func surveyMoment(r *rig) {
	l, next := lane(1, queue.Normal), lane(1, queue.Bulk)
	const n = 60
	var want []queue.ID
	for range n / 20 {
		want = append(want, idsOf(r.accept(l, 20))...)
	}
	claims := r.take(l, n)
	r.halt(claims[:10]...)
	var got []queue.ID
	err := r.s.Survey(r.ctx, queue.Survey{Sent: true, Since: epoch}, func(v *queue.View) bool {
		if len(got) == 0 {
			for i, c := range claims[10:] {
				switch i % 3 {
				case 0:
					r.halt(c)
				case 1:
					r.commit(r.final(c, pdu.StateDeleted))
				default:
					r.commit(&queue.Enter{Claim: c, Lane: next})
				}
			}
		}
		if v.Stage > queue.Aside {
			r.Errorf("%v was waiting and is told of at stage %d", v.M.ID, v.Stage)
		}
		if now := r.find(v.M.ID); v.Why == queue.WaitHalted && now.Why != v.Why {
			r.Errorf("%v was halted, and by now waits for %v", v.M.ID, now.Why)
		}
		got = append(got, v.M.ID)
		return true
	})
	if err != nil {
		r.Fatalf("Survey: %v", err)
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		r.Errorf("Survey told of %d, want each of %d once", len(got), len(want))
	}
	stages := map[queue.Stage]int{}
	for _, v := range r.survey(queue.Survey{Sent: true, Since: epoch}) {
		stages[v.Stage]++
	}
	if stages[queue.Waiting] != 16 || stages[queue.Aside] != 27 || stages[queue.Ended] != 17 {
		r.Errorf("afterwards: %v by stage", stages)
	}
}

func surveyStops(r *rig) {
	l := lane(1, queue.Normal)
	r.accept(l, 5)
	r.haltSome(lane(2, queue.Bulk), 5)
	r.sent(7, "a", "b")
	for limit := 1; limit <= 12; limit++ {
		n := 0
		err := r.s.Survey(r.ctx, queue.Survey{Sent: true}, func(*queue.View) bool { n++; return n < limit })
		if err != nil || n != limit {
			r.Errorf("told to stop at %d: %d, %v", limit, n, err)
		}
	}
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	if err := r.s.Survey(ctx, queue.Survey{}, func(*queue.View) bool { return true }); !errors.Is(err, context.Canceled) {
		r.Errorf("with an ended context: %v", err)
	}
	if err := r.s.Close(); err != nil {
		r.Fatal(err)
	}
	if err := r.s.Survey(r.ctx, queue.Survey{}, func(*queue.View) bool { return true }); !errors.Is(err, queue.ErrClosed) {
		r.Errorf("after Close: %v", err)
	}
	r.start()
}
