package gateway

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"masar/queue"
	"masar/service"
	registry "masar/service/pebble"
	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

// listener is a Jobs that keeps what it hears.
type listener struct {
	mu    sync.Mutex
	heard []End
	times []time.Time // of each call
	fails int         // calls that are still to fail
	fresh func(m *queue.Message, now time.Time) (Fresh, error)
	asked int // how often Fresh was
}

func (l *listener) Ended(_ context.Context, ends []End) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.times = append(l.times, time.Now())
	if l.fails > 0 {
		l.fails--
		return errors.New("the store of the jobs is away")
	}
	l.heard = append(l.heard, ends...)
	return nil
}

func (l *listener) Fresh(m *queue.Message, now time.Time) (Fresh, error) {
	l.mu.Lock()
	l.asked++
	f := l.fresh
	l.mu.Unlock()
	if f == nil {
		return Fresh{Keep: true}, nil
	}
	return f(m, now)
}

func (l *listener) says(f func(m *queue.Message, now time.Time) (Fresh, error)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fresh = f
}

func (l *listener) failing(n int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.fails = n
}

func (l *listener) ends() []End {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.heard)
}

func (l *listener) calls() []time.Time {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.times)
}

func (l *listener) freshAsked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.asked
}

// await waits until n ends were told and returns all.
func (l *listener) await(t *testing.T, n int) []End {
	t.Helper()
	waitUntil(t, fmt.Sprintf("%d ends told", n), func() bool { return len(l.ends()) >= n })
	return l.ends()
}

// step is a reminder's job: series 7 and a step.
func step(n uint64) queue.Job { return queue.Job{Kind: queue.ReminderJob, Number: 7, Item: n} }

// jobRig is a civilRig at noon whose jobs are heard by the listener that it returns.
func jobRig(t *testing.T, o rigOptions, more ...func(s *Setup)) (*rig, *registry.Registry, *listener) {
	t.Helper()
	time.Sleep(12 * time.Hour) // bubbles begin at midnight
	l := new(listener)
	before := o.Options
	o.Options = func(opt *Options) {
		opt.Jobs = l
		if before != nil {
			before(opt)
		}
	}
	r, reg := civilRig(t, o, more...)
	return r, reg, l
}

// due is a Notice of a job that every rule allows: a code needs no enrolment.
func due(n uint64, f func(*Notice)) Notice {
	out := Notice{Account: "civil", Service: "OTPEN", Number: sara, Text: fmt.Sprint("step ", n), Job: step(n)}
	if f != nil {
		f(&out)
	}
	return out
}

func (r *rig) notice(n Notice) queue.ID {
	r.t.Helper()
	id, err := r.gw.Submit(r.t.Context(), n)
	if err != nil {
		r.t.Fatalf("%s: %v", n.Text, err)
	}
	return id
}

func TestEachOfManyNoticesIsAnsweredForItself(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := new(heard)
		r, reg, l := jobRig(t, rigOptions{SMSC: hearing(h)}, func(s *Setup) {
			s.Accounts[1].Throughput, s.Accounts[1].Burst = 1, 1 // jobs have a pace of their own
		})
		person := testKey.Person("1012345678")
		apply(t, reg, service.Change{Kind: service.Enrol, Person: person, Number: fahad, Services: []string{"IDREN"}, Verified: true})
		many := []Notice{
			due(0, func(n *Notice) { n.Once = []byte("zero") }),
			due(1, func(n *Notice) { n.Service = "IDREN" }), // sara is enrolled in nothing
			due(2, func(n *Notice) { n.Text = "" }),
			due(3, func(n *Notice) { n.Service, n.Number, n.Person = "IDREN", 0, person }),
			due(4, func(n *Notice) { n.Account = "nobody" }),
			due(5, func(n *Notice) { n.Once = []byte("zero") }), // the same again, in one call
			due(6, nil),
			due(7, func(n *Notice) { n.Person = testKey.Person("2") }),
		}
		for i := range 300 {
			many = append(many, due(uint64(8+i), nil))
		}
		out := make([]Submitted, len(many))
		if err := r.gw.SubmitMany(t.Context(), many, out); err != nil {
			t.Fatal(err)
		}
		for i, want := range map[int]Refusal{1: NotEnrolled, 2: EmptyMessage, 7: UnknownPerson} {
			var no *SubmitError
			if !errors.As(out[i].Err, &no) || no.Refusal != want || out[i].ID != 0 {
				t.Errorf("notice %d: %+v, want %v", i, out[i], want)
			}
		}
		if !errors.Is(out[4].Err, ErrNoAccount) {
			t.Errorf("an unknown account: %+v", out[4])
		}
		if out[5].ID != out[0].ID {
			t.Errorf("the same Once twice: %v and %v", out[0].ID, out[5].ID)
		}
		seen := map[queue.ID]bool{}
		for i, s := range out {
			switch i {
			case 1, 2, 4, 5, 7:
				continue
			}
			if s.Err != nil || s.ID == 0 || seen[s.ID] {
				t.Fatalf("notice %d: %+v", i, s)
			}
			seen[s.ID] = true
		}
		again := make([]Submitted, 1)
		if err := r.gw.SubmitMany(t.Context(), many[:1], again); err != nil || again[0].ID != out[0].ID || again[0].Err != nil {
			t.Errorf("the same Once later: %+v, %v; want %v", again, err, out[0].ID)
		}
		if id, known, err := r.gw.SubmittedAs(t.Context(), "civil", []byte("zero")); err != nil || !known || id != out[0].ID {
			t.Errorf("SubmittedAs: %v, %v, %v; want %v", id, known, err, out[0].ID)
		}
		if id, known, err := r.gw.SubmittedAs(t.Context(), "civil", []byte("one")); err != nil || known || id != 0 {
			t.Errorf("SubmittedAs of nothing: %v, %v, %v", id, known, err)
		}
		if _, _, err := r.gw.SubmittedAs(t.Context(), "nobody", []byte("zero")); !errors.Is(err, ErrNoAccount) {
			t.Errorf("SubmittedAs of an unknown account: %v", err)
		}
		l.await(t, len(seen))
		time.Sleep(time.Minute)
		if got := h.list(); len(got) != len(seen) || len(l.ends()) != len(seen) {
			t.Errorf("the carrier heard %d messages, %d ends were told, want %d", len(got), len(l.ends()), len(seen))
		}
	})
}

func TestManyNoticesBeyondTheRoomAreRefusedOneByOne(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, _, _ := jobRig(t, rigOptions{}, func(s *Setup) { s.Accounts[1].Room = 5 })
		r.refuse("a:1", true)
		many := make([]Notice, 8)
		for i := range many {
			many[i] = due(uint64(i), nil)
		}
		out := make([]Submitted, len(many))
		if err := r.gw.SubmitMany(t.Context(), many, out); err != nil {
			t.Fatal(err)
		}
		for i, s := range out {
			var no *SubmitError
			full := errors.As(s.Err, &no) && no.Refusal == QueueFull
			if full != (i >= 5) || !full && s.Err != nil {
				t.Errorf("notice %d: %+v", i, s)
			}
		}
	})
}

func TestManyNoticesEndWithTheirContext(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, _, _ := jobRig(t, rigOptions{})
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		out := make([]Submitted, 2)
		if err := r.gw.SubmitMany(ctx, []Notice{due(1, nil), due(2, nil)}, out); !errors.Is(err, context.Canceled) {
			t.Errorf("%v", err)
		}
		if err := r.gw.SubmitMany(t.Context(), nil, nil); err != nil {
			t.Errorf("none: %v", err)
		}
	})
}

func TestAJobThatNobodyHearsOfIsNotTaken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		time.Sleep(12 * time.Hour)
		r, _ := civilRig(t, rigOptions{})
		if _, err := r.gw.Submit(t.Context(), due(1, nil)); !errors.Is(err, ErrNoJobs) {
			t.Errorf("%v", err)
		}
	})
}

// Every way in which a message can end, and what its job hears.
func TestTheEndOfAJobsMessageIsToldOnceHoweverItEnds(t *testing.T) {
	person := testKey.Person("1012345678")
	enrolled := func(t *testing.T, reg *registry.Registry) {
		apply(t, reg, service.Change{Kind: service.Enrol, Person: person, Number: sara, Services: []string{"IDREN"}, Verified: true})
	}
	consented := func(n *Notice) { n.Service = "IDREN" }
	fakeWith := func(verdict func(n int, s *fakeSubmit)) func(t *testing.T) func(o *Options) {
		return func(t *testing.T) func(o *Options) {
			return fakes(map[string]*fakeSMSC{"a:1": newFakeSMSC(t, verdict)}, nil)
		}
	}
	reported := func(state string) func(t *testing.T) func(o *Options) {
		return fakeWith(func(_ int, s *fakeSubmit) { s.Receipt = state })
	}
	rows := []struct {
		name   string
		fake   func(t *testing.T) func(o *Options) // nil: the simulator
		setup  func(s *Setup)
		notice func(n *Notice)
		down   bool // the carrier is away while it is submitted
		then   func(t *testing.T, r *rig, reg *registry.Registry, id queue.ID)
		state  pdu.State
		err    string
	}{
		{name: "delivered", fake: reported("DELIVRD"), state: pdu.StateDelivered, err: "000"},
		{name: "undeliverable", fake: reported("UNDELIV"), state: pdu.StateUndeliverable, err: "000"},
		{name: "expired at the carrier", fake: reported("EXPIRED"), state: pdu.StateExpired, err: "000"},
		{name: "three parts, the account wants one receipt a part", notice: func(n *Notice) { n.Text = strings.Repeat("three parts ", 35) },
			setup: func(s *Setup) { s.Accounts[1].Receipts.PerPart = true }, state: pdu.StateDelivered, err: "000"},
		{name: "refused by the carrier", fake: fakeWith(func(_ int, s *fakeSubmit) { s.Status = pdu.ESME_RINVDSTADR }), state: pdu.StateRejected, err: "ESME_RINVDSTADR"},
		{name: "refused until the tries are over", fake: fakeWith(func(_ int, s *fakeSubmit) { s.Status = pdu.ESME_RSYSERR }),
			setup: func(s *Setup) { s.Carriers[0].Retry = RetrySchedule{Delays: []time.Duration{time.Second}, Tries: 2} }, state: pdu.StateUndeliverable, err: "ESME_RSYSERR"},
		{name: "the carrier gives no receipts", setup: func(s *Setup) { s.Carriers[0].Receipts.Ask = NeverAsk }, state: pdu.StateAccepted},
		{name: "the route asks for none, but jobs do", setup: func(s *Setup) { s.Routes[0].Receipts = NeverAsk }, state: pdu.StateDelivered, err: "000"},
		{name: "no receipt comes", fake: fakeWith(nil), setup: func(s *Setup) { s.Routes[0].ReceiptWait = time.Minute },
			then: func(*testing.T, *rig, *registry.Registry, queue.ID) { time.Sleep(15 * time.Minute) }, state: pdu.StateUnknown, err: "no receipt"},
		{name: "no answer, and its route gives up", fake: fakeWith(func(_ int, s *fakeSubmit) { s.Status = noAnswer }),
			setup: func(s *Setup) { s.Routes[0].Uncertain = FailUncertain }, state: pdu.StateUnknown, err: "no answer"},
		{name: "expired while it waited", down: true, then: func(*testing.T, *rig, *registry.Registry, queue.ID) { time.Sleep(11 * time.Minute) },
			state: pdu.StateExpired, err: "expired"},
		{name: "no longer enrolled as it leaves", down: true, notice: consented, then: func(t *testing.T, r *rig, reg *registry.Registry, _ queue.ID) {
			apply(t, reg, service.Change{Kind: service.Withdraw, Person: person, ByPerson: true, Services: []string{"IDREN"}})
			r.refuse("a:1", false)
		}, state: pdu.StateRejected, err: "not_enrolled"},
		{name: "dropped by its service", notice: func(n *Notice) { n.Service, n.Number = "DROPS", fahad }, state: pdu.StateRejected, err: "not_enrolled"},
		{name: "withdrawn", down: true, then: func(t *testing.T, r *rig, _ *registry.Registry, id queue.ID) {
			if yes, err := r.gw.Withdraw(t.Context(), "civil", id); !yes || err != nil {
				t.Errorf("Withdraw: %v, %v", yes, err)
			}
		}, state: pdu.StateDeleted, err: "withdrawn"},
		{name: "withdrawn while it is scheduled", notice: func(n *Notice) { n.Schedule = time.Now().Add(100 * 24 * time.Hour) }, then: func(t *testing.T, r *rig, _ *registry.Registry, id queue.ID) {
			if yes, err := r.gw.Withdraw(t.Context(), "civil", id); !yes || err != nil {
				t.Errorf("Withdraw: %v, %v", yes, err)
			}
		}, state: pdu.StateDeleted, err: "withdrawn"},
		{name: "cancelled by its account", down: true, then: func(t *testing.T, r *rig, _ *registry.Registry, id queue.ID) {
			p := r.bind(pdu.CmdBindTransmitter, "civil")
			if st := p.cancel(func(q *pdu.CancelSM) { q.MessageID, q.Source.Addr = []byte(id.String()), []byte("MOI") }); st != pdu.ESME_ROK {
				t.Errorf("cancel_sm: %v", st)
			}
		}, state: pdu.StateDeleted, err: "cancelled"},
		{name: "ended by an operator", fake: fakeWith(func(_ int, s *fakeSubmit) { s.Status = noAnswer }),
			setup: func(s *Setup) { s.Routes[0].Uncertain = HoldUncertain }, then: func(t *testing.T, r *rig, _ *registry.Registry, id queue.ID) {
				r.wait("it is held", func() bool { return r.gw.EndHeld(t.Context(), id) == nil })
			}, state: pdu.StateUnknown, err: "no answer"},
		{name: "its route is gone", notice: func(n *Notice) { n.Schedule = time.Now().Add(time.Minute) }, then: func(t *testing.T, r *rig, _ *registry.Registry, _ queue.ID) {
			s := r.setup()
			s.Routes[0].Prefixes = []string{"999"}
			if err := r.gw.Reload(t.Context(), s); err != nil {
				t.Error(err)
			}
		}, state: pdu.StateRejected, err: "no_route"},
	}
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				o := rigOptions{}
				if row.fake != nil {
					o.Options = row.fake(t)
				}
				var more []func(s *Setup)
				if row.setup != nil {
					more = append(more, row.setup)
				}
				r, reg, l := jobRig(t, o, more...)
				enrolled(t, reg)
				client := r.bind(pdu.CmdBindReceiver, "civil")
				if row.down {
					r.refuse("a:1", true)
				}
				n := due(3, row.notice)
				n.Receipt = true // does not count for a job
				id := r.notice(n)
				if row.then != nil {
					row.then(t, r, reg, id)
				}
				waitUntilFor(t, 10*time.Minute, "the end is told", func() bool { return len(l.ends()) > 0 })
				time.Sleep(10 * time.Minute)
				got := l.ends()
				want := End{Job: step(3), Account: "civil", Message: id, State: row.state, Err: row.err}
				if len(got) == 1 {
					want.At = got[0].At
				}
				if len(got) != 1 || got[0] != want || want.At.IsZero() || time.Since(want.At) > 3*time.Hour {
					t.Errorf("told %+v, want %+v", got, want)
				}
				client.quiet(time.Second)
				if n := r.metric("masar_job_ends_total", "kind=reminder", "state="+row.state.Receipt()); n != 1 {
					t.Errorf("%v counted", n)
				}
				if n := r.metric("masar_job_ends_waiting"); n != 0 {
					t.Errorf("%v still wait", n)
				}
			})
		})
	}
}

// setup is the rig's Setup as it started with.
func (r *rig) setup() Setup {
	s := rigSetup()
	if r.opt.Setup != nil {
		r.opt.Setup(&s)
	}
	return s
}

// waitUntilFor is waitUntil with a longer patience.
func waitUntilFor(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(limit); !ok(); time.Sleep(100 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not within %s: %s", limit, what)
		}
	}
}

func TestEndsAreToldAgainUntilTheyAreTaken(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, _, l := jobRig(t, rigOptions{})
		l.failing(8)
		ids := []queue.ID{}
		for i := range 3 {
			ids = append(ids, r.notice(due(uint64(i), nil)))
			time.Sleep(time.Second) // each ends by itself, the first is what fails
		}
		waitUntilFor(t, time.Hour, "the ends are told", func() bool { return len(l.ends()) == 3 })
		for i, e := range l.ends() {
			if e.Message != ids[i] || e.Job != step(uint64(i)) || e.State != pdu.StateDelivered {
				t.Errorf("end %d: %+v", i, e)
			}
		}
		calls := l.calls()
		want := []time.Duration{1, 2, 4, 8, 16, 32, 60, 60}
		for i := range want {
			if got := calls[i+1].Sub(calls[i]); got != want[i]*time.Second {
				t.Errorf("call %d came after %s, want %d s", i+1, got, want[i])
			}
		}
		if n := len(r.log.find("the ends of jobs were not taken, they are told again")); n != 8 {
			t.Errorf("%d lines were logged", n)
		}
		time.Sleep(10 * time.Minute)
		if len(l.ends()) != 3 {
			t.Errorf("told again: %+v", l.ends())
		}
	})
}

func TestEndsThatWereNotTakenAreToldAfterARestartInOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, _, l := jobRig(t, rigOptions{Options: func(o *Options) { o.OutboxTTL = time.Minute }})
		const all = 1500 // more than one batch, more than one read-ahead
		many := make([]Notice, all)
		for i := range many {
			many[i] = due(uint64(i), nil)
		}
		l.failing(1 << 30)
		out := make([]Submitted, all)
		if err := r.gw.SubmitMany(t.Context(), many, out); err != nil {
			t.Fatal(err)
		}
		r.wait("each is delivered", func() bool { return r.smscs["a:1"].Stats().Accepted == all })
		r.wait("the ends wait", func() bool { return r.metric("masar_job_ends_waiting") == all })
		time.Sleep(10 * time.Minute) // no end is given up for its age
		r.restart()
		if n := len(l.ends()); n != 0 {
			t.Fatalf("%d were taken", n)
		}
		l.failing(1)
		ends := l.await(t, all)
		at := map[queue.ID]int{}
		for i, e := range ends {
			if _, twice := at[e.Message]; twice {
				t.Fatalf("end %d is told twice: %+v", i, e)
			}
			at[e.Message] = i
		}
		for i := range ends[1:] {
			if ends[i+1].At.Before(ends[i].At) {
				t.Fatalf("end %d of %v is told before that of %v", i, ends[i].At, ends[i+1].At)
			}
		}
		if len(at) != all {
			t.Errorf("%d messages were told of", len(at))
		}
		r.restart()
		time.Sleep(time.Minute)
		if n := len(l.ends()); n != all {
			t.Errorf("%d were told in all", n)
		}
	})
}

func TestEndsThatWereNotTakenBeforeAPowerCutAreToldAfterIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		disk := crashable()
		r, _, l := jobRig(t, rigOptions{FS: disk})
		first := r.notice(due(1, nil))
		l.await(t, 1)
		r.wait("that is written down", func() bool { return r.metric("masar_job_ends_waiting") == 0 })
		time.Sleep(2 * time.Second)
		l.failing(1 << 30)
		second := r.notice(due(2, nil))
		r.wait("the second's end waits", func() bool { return r.metric("masar_job_ends_waiting") == 1 })
		after := crash(disk)
		r.stop()

		l2 := new(listener)
		r = newRig(t, rigOptions{FS: after, Options: func(o *Options) { o.Jobs = l2 }, Setup: func(s *Setup) {
			s.Accounts = append(s.Accounts, likeAcme("civil", func(*Account) {}))
		}})
		l2.await(t, 1)
		time.Sleep(time.Minute)
		if ends := l2.ends(); len(ends) != 1 || ends[0].Message != second || ends[0].Job != step(2) {
			t.Errorf("told %+v, want the end of %v and not of %v", ends, second, first)
		}
	})
}

func TestTheEndsOfAnAccountThatWasRemovedAreToldUnderItsName(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, _, l := jobRig(t, rigOptions{SMSC: map[string]smpptest.SMSCOptions{"a:1": {ReceiptDelay: time.Minute}}})
		id := r.notice(due(1, nil))
		held := r.notice(due(2, func(n *Notice) { n.Schedule = time.Now().Add(time.Hour) }))
		r.wait("it is sent", func() bool { return r.smscs["a:1"].Stats().Accepted == 1 })
		s := r.setup()
		s.Accounts = s.Accounts[:1]
		if err := r.gw.Reload(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if yes, err := r.gw.Withdraw(t.Context(), "civil", held); !yes || err != nil {
			t.Errorf("Withdraw under the removed account: %v, %v", yes, err)
		}
		if yes, err := r.gw.Withdraw(t.Context(), "nobody", id); yes || !errors.Is(err, queue.ErrUnknown) {
			t.Errorf("Withdraw under another: %v, %v", yes, err)
		}
		waitUntilFor(t, time.Hour, "both ends", func() bool { return len(l.ends()) == 2 })
		for _, e := range l.ends() {
			if e.Account != "civil" {
				t.Errorf("%+v", e)
			}
		}
	})
}
