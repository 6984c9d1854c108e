package queuetest

import (
	"context"
	"runtime"
	"sync"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
)

var jobTests = []test{
	{name: "AMessageKeepsItsJobToTheEnd", run: jobKept},
	{name: "TheEndOfAJobReachesTheOutboxOfJobs", run: jobEnd},
	{name: "TheEndsOfJobsAreNeverGivenUp", env: Env{OutboxMax: 50}, run: jobEndsStay},
	{name: "ByOnceFindsWhatWasAccepted", run: byOnce},
	{name: "ByOnceTellsNoIDThatMayStillBeLost", run: byOnceDurable},
}

func (r *rig) jobsAccount() uint32 {
	r.Helper()
	n, err := r.s.Number(r.ctx, queue.AccountName, queue.JobsAccount)
	if err != nil {
		r.Fatalf("Number of the account of jobs: %v", err)
	}
	return n
}

func jobKept(r *rig) {
	l := lane(1, queue.Normal)
	m := r.message(1, queue.Normal)
	m.Job = queue.Job{Kind: queue.ReminderJob, Number: 1<<63 + 5, Item: 3}
	job := m.Job
	r.commit(&queue.Accept{M: m, Lane: l})
	check := func(when string, m *queue.Message) {
		r.Helper()
		if m.Job != job {
			r.Errorf("%s the job is %+v, want %+v", when, m.Job, job)
		}
	}
	everywhere := func(when string) {
		r.Helper()
		for range 2 {
			check(when, r.find(m.ID).M)
			check(when+", in a survey", r.survey(queue.Survey{Sent: true, Since: epoch})[m.ID].M)
			r.restart()
		}
	}
	everywhere("in its lane")
	r.halt(r.takeOne(l))
	everywhere("aside")
	c := r.wantDue(queue.Halted, 1, m.ID)[0]
	check("claimed", c.M)
	r.commit(&queue.Enter{Claim: c, Lane: l})
	r.sendOne(l, 7, "job")
	everywhere("sent")
	ref := r.correlate(7, "job")
	check("correlated", ref.M)
	r.commit(&queue.Final{Ref: ref, State: pdu.StateDelivered, At: r.clock.at()})
	everywhere("ended")
}

// end is the delivery that tells of the end of a message with a job.
func (r *rig) end(account uint32, m *queue.Message, state pdu.State, err string) *queue.Delivery {
	return &queue.Delivery{
		Account: account, Kind: queue.JobEnd, Message: m.ID, Created: r.clock.at(), Expires: r.clock.in(time.Hour),
		Job: m.Job, State: state, Err: err,
	}
}

func jobEnd(r *rig) {
	jobs, l := r.jobsAccount(), lane(1, queue.Normal)
	ms, steps := r.accepts(l, 4)
	for i, m := range ms {
		m.Job = queue.Job{Kind: queue.CampaignJob, Number: 9, Item: uint64(i)}
	}
	r.commit(steps...)
	c := r.take(l, 4)
	var want []*queue.Delivery
	tell := func(m *queue.Message, state pdu.State, err string) *queue.Delivery {
		want = append(want, r.end(jobs, m, state, err))
		return want[len(want)-1]
	}
	// By claim, by receipt, by an answer that is all there will be, and a bare one.
	f := r.final(c[0], pdu.StateRejected)
	f.Deliver = tell(c[0].M, pdu.StateRejected, "not_enrolled")
	r.twice(f)
	r.commit(r.part(c[1], 1, 1, 7, "j"))
	ref := r.correlate(7, "j")
	r.twice(&queue.Final{Ref: ref, State: pdu.StateDelivered, At: r.clock.at(), Deliver: tell(ref.M, pdu.StateDelivered, "000")})
	p := r.part(c[2], 1, 1, 7, "")
	p.Await, p.State, p.Deliver = false, pdu.StateAccepted, tell(c[2].M, pdu.StateAccepted, "")
	r.twice(p)
	f = r.final(c[3], pdu.StateDeleted)
	f.Deliver = tell(&queue.Message{}, 0, "")
	r.twice(f)
	for _, again := range []func(){func() {}, r.restart, func() { r.crash(0) }} {
		again()
		for i, d := range r.takeOutbox(jobs, 4) {
			if diff := differences(d, want[i]); diff != "" {
				r.Errorf("end %d differs: %s", i, diff)
			}
		}
		r.noOutbox(1)
	}
	for _, d := range want {
		r.twice(r.delivered(d, queue.Acknowledged))
	}
	r.noOutbox(jobs)
	r.wantDepths("in the end", map[any]int64{})
}

// jobEndsStay: other accounts' outboxes show when the store has given up what is too much
// and what is too old.
func jobEndsStay(r *rig) {
	jobs := r.jobsAccount()
	var want []*queue.Delivery
	for i := range 90 {
		d := r.end(jobs, &queue.Message{ID: queue.ID(i + 1), Job: queue.Job{Kind: queue.ReminderJob, Number: 1, Item: uint64(i)}}, pdu.StateDelivered, "")
		r.commit(&queue.Deliver{Delivery: d})
		want = append(want, d)
	}
	trimmed := func(to int64) {
		r.Helper()
		for late := time.Now().Add(patience); r.depths()[uint32(9)] > to; r.settle() {
			if time.Now().After(late) {
				r.Fatalf("%d deliveries of a client wait, want %d", r.depths()[uint32(9)], to)
			}
		}
		if n := r.waiting()[jobs]; n != 90 {
			r.Fatalf("%d of 90 ends are left", n)
		}
	}
	r.deliver(9, 60)
	trimmed(50)
	r.clock.add(1000 * time.Hour)
	trimmed(0)
	r.restart()
	if r.jobsAccount() != jobs {
		r.Fatal("the account of jobs has another number now")
	}
	r.deliver(9, 60)
	trimmed(50)
	r.wantOutbox("all of them", jobs, want)
}

func byOnce(r *rig) {
	l := lane(1, queue.Normal)
	want := map[string]queue.ID{}
	check := func(when string) {
		r.Helper()
		for key, id := range want {
			if got, err := r.s.ByOnce(r.ctx, 1, []byte(key)); err != nil || got != id {
				r.Errorf("%s: ByOnce(%q) = %v, %v, want %v", when, key, got, err, id)
			}
		}
		for _, key := range []string{"", "r", "row 9", "row 10 "} {
			if got, err := r.s.ByOnce(r.ctx, 1, []byte(key)); err != queue.ErrUnknown {
				r.Errorf("%s: ByOnce(%q) = %v, %v, want ErrUnknown", when, key, got, err)
			}
		}
		if got, err := r.s.ByOnce(r.ctx, 2, []byte("nobody's")); err != queue.ErrUnknown {
			r.Errorf("%s: of an account without any: %v, %v", when, got, err)
		}
	}
	check("at first")
	for _, key := range []string{"row 1", "row 10", "r\x00\x01"} {
		a := &queue.Accept{M: r.message(1, queue.Normal), Once: []byte(key), Lane: l}
		r.commit(a)
		want[key] = a.M.ID
		r.commit(&queue.Accept{M: r.message(1, queue.Normal), Once: []byte(key), Lane: l}) // stores nothing
	}
	check("accepted")
	r.restart()
	check("after a restart")
	r.crash(0)
	check("after a power cut")
	for _, c := range r.take(l, 3) {
		r.commit(r.final(c, pdu.StateDelivered))
	}
	check("after their ends")
	r.restart()
	r.clock.add(6*24*time.Hour + 23*time.Hour)
	check("almost seven days later")
}

// byOnceDurable asks without patience: whoever waits for the media may be told the id, but
// only once the media has it.
func byOnceDurable(r *rig) {
	if r.env.Media.Hold == nil {
		r.Skip("this media cannot be held up")
	}
	release := sync.OnceFunc(r.env.Media.Hold())
	defer release()
	a := &queue.Accept{M: r.message(1, queue.Normal), Once: []byte("k"), Lane: lane(1, queue.Normal)}
	k := r.send(a)
	ended, cancel := context.WithCancel(r.ctx)
	cancel()
	for range 500 {
		if id, err := r.s.ByOnce(ended, 1, []byte("k")); err == nil {
			r.Fatalf("before it was durable ByOnce tells of %v", id)
		}
		runtime.Gosched()
	}
	release()
	if err := k.wait(); err != nil {
		r.Fatal(err)
	}
	if id, err := r.s.ByOnce(r.ctx, 1, []byte("k")); err != nil || id != a.M.ID {
		r.Errorf("behind Done: %v, %v, want %v", id, err, a.M.ID)
	}
}
