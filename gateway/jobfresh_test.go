package gateway

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"masar/number"
	"masar/queue"
	"masar/service"
	registry "masar/service/pebble"
	"masar/smpp/pdu"
)

// daysLeft renders as a reminder does: the days that are left until the fifth of the month,
// in Arabic or, for those who chose so, in English.
func daysLeft(r *rig, person service.Person) func(m *queue.Message, now time.Time) (Fresh, error) {
	return func(m *queue.Message, now time.Time) (Fresh, error) {
		left := 5 - now.UTC().Day()
		if left <= 0 {
			return Fresh{Over: pdu.StateExpired, Why: "past"}, nil
		}
		sub, err := r.gw.opt.Registry.Find(r.t.Context(), person)
		if err != nil {
			return Fresh{}, err
		}
		if sub.Language == "en" {
			return Fresh{Text: fmt.Sprint(left, " days"), Template: "IDREN/1/en"}, nil
		}
		return Fresh{Text: fmt.Sprint(left, " أيام"), Template: "IDREN/1/ar"}, nil
	}
}

// person is enrolled under sara's number; reminder is what is due for him.
var person = testKey.Person("1012345678")

func reminder(r *rig, n uint64) Notice {
	f, err := daysLeft(r, person)(nil, time.Now())
	if err != nil {
		r.t.Fatal(err)
	}
	return Notice{Account: "civil", Service: "IDREN", Person: person, Text: f.Text, Template: f.Template, Validity: 60 * time.Hour, Job: step(n)}
}

// lateRig is a jobRig at ten to midnight.
func lateRig(t *testing.T, o rigOptions, more ...func(s *Setup)) (*rig, *registry.Registry, *listener) {
	t.Helper()
	time.Sleep(11*time.Hour + 50*time.Minute)
	return jobRig(t, o, more...)
}

func enrol(number number.E164) service.Change {
	return service.Change{Kind: service.Enrol, Person: person, Number: number, Services: []string{"IDREN"}, Verified: true}
}

func TestWhatAJobsMessageSaysIsThatOfTheMomentInWhichItLeaves(t *testing.T) {
	moved := service.Change{Kind: service.SetNumber, Person: person, Number: fahad, Verified: true}
	for _, row := range []struct {
		name     string
		then     func(t *testing.T, r *rig, apply func(...service.Change)) // while it waits
		text, to string
		asked    bool
		template string
	}{
		{"nothing has changed", func(*testing.T, *rig, func(...service.Change)) {}, "4 أيام", sara.String(), false, "IDREN/1/ar"},
		{"midnight", func(*testing.T, *rig, func(...service.Change)) { time.Sleep(20 * time.Minute) }, "3 أيام", sara.String(), true, "IDREN/1/ar"},
		{"the language", func(_ *testing.T, _ *rig, apply func(...service.Change)) {
			apply(service.Change{Kind: service.SetLanguage, Person: person, Language: "en"})
		}, "4 days", sara.String(), true, "IDREN/1/en"},
		{"the number", func(_ *testing.T, _ *rig, apply func(...service.Change)) { apply(moved) }, "4 أيام", fahad.String(), true, "IDREN/1/ar"},
		{"number, language and day", func(_ *testing.T, _ *rig, apply func(...service.Change)) {
			time.Sleep(20 * time.Minute)
			apply(moved, service.Change{Kind: service.SetLanguage, Person: person, Language: "en"})
		}, "3 days", fahad.String(), true, "IDREN/1/en"},
		{"the configuration", func(t *testing.T, r *rig, _ func(...service.Change)) {
			if err := r.gw.Reload(t.Context(), r.setup()); err != nil {
				t.Error(err)
			}
		}, "4 أيام", sara.String(), true, "IDREN/1/ar"},
		{"the process", func(_ *testing.T, r *rig, _ func(...service.Change)) { r.restart() }, "4 أيام", sara.String(), true, "IDREN/1/ar"},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFakeSMSC(t, func(_ int, s *fakeSubmit) { s.Receipt = "DELIVRD" })
				r, reg, l := lateRig(t, rigOptions{Options: fakes(map[string]*fakeSMSC{"a:1": f}, nil)})
				apply(t, reg, enrol(sara))
				l.says(daysLeft(r, person))
				f.refuse(true)
				f.drop()
				r.wait("the carrier is away", func() bool { return r.gw.world.Load().carriers["a"].downSince.Load() != 0 })
				id := r.notice(reminder(r, 1))
				row.then(t, r, func(c ...service.Change) { apply(t, reg, c...) })
				f.refuse(false)
				l.await(t, 1)
				subs := f.submits()
				if len(subs) != 1 || readable(storedCodings, &queue.Message{DataCoding: subs[0].DataCoding, Body: subs[0].ShortMessage}) != row.text || string(subs[0].Dest.Addr) != row.to {
					t.Fatalf("sent %d, %+v, want %q to %s", len(subs), subs, row.text, row.to)
				}
				if e := l.ends()[0]; e.State != pdu.StateDelivered || e.Message != id || e.Job != step(1) {
					t.Errorf("%+v", e)
				}
				if got := l.freshAsked() > 0; got != row.asked {
					t.Errorf("its job was asked %d times", l.freshAsked())
				}
				if v, err := r.gw.Message(t.Context(), "civil", id); err != nil || v.M.Template != row.template {
					t.Errorf("history has template %q, %v", v.M.Template, err)
				}
			})
		})
	}
}

func TestAJobMayEndItsMessageAsItLeaves(t *testing.T) {
	for _, row := range []struct {
		name  string
		said  Fresh
		state pdu.State
		err   string
	}{
		{"over", Fresh{Over: pdu.StateDeleted, Why: "renewed"}, pdu.StateDeleted, "renewed"},
		{"past its date", Fresh{Over: pdu.StateExpired, Why: "past"}, pdu.StateExpired, "past"},
		{"too long", Fresh{Text: strings.Repeat("0123456789", 4000)}, pdu.StateRejected, "too_long"},
		{"no text", Fresh{}, pdu.StateRejected, "empty_message"},
		{"broken text", Fresh{Text: "\xff"}, pdu.StateRejected, "bad_text"},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r, reg, l := lateRig(t, rigOptions{})
				apply(t, reg, enrol(sara))
				l.says(func(*queue.Message, time.Time) (Fresh, error) { return row.said, nil })
				r.refuse("a:1", true)
				id := r.notice(Notice{Account: "civil", Service: "IDREN", Person: person, Text: "x", Validity: 60 * time.Hour, Job: step(1)})
				time.Sleep(20 * time.Minute)
				r.refuse("a:1", false)
				if e := l.await(t, 1)[0]; e.Message != id || e.State != row.state || e.Err != row.err {
					t.Errorf("%+v, want %v %s", e, row.state, row.err)
				}
				if n := r.smscs["a:1"].Stats().Submits; n != 0 {
					t.Errorf("%d submit_sm", n)
				}
				if n := r.metric("masar_job_fresh_total", "answer=over"); n != 1 {
					t.Errorf("%v counted", n)
				}
			})
		})
	}
}

func TestAMessageWhoseJobCannotTellWaits(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := new(heard)
		r, reg, l := lateRig(t, rigOptions{SMSC: hearing(h)})
		apply(t, reg, enrol(sara))
		l.says(func(*queue.Message, time.Time) (Fresh, error) { return Fresh{}, errors.New("away") })
		r.refuse("a:1", true)
		r.notice(Notice{Account: "civil", Service: "IDREN", Person: person, Text: "old", Validity: 60 * time.Hour, Job: step(1)})
		time.Sleep(20 * time.Minute)
		r.refuse("a:1", false)
		r.carrierUp("a")
		time.Sleep(time.Minute)
		if n := l.freshAsked(); n < 5 || n > 7 {
			t.Errorf("asked %d times in a minute, want one in ten seconds", n)
		}
		if len(h.list()) != 0 {
			t.Errorf("sent %q", h.list())
		}
		l.says(func(*queue.Message, time.Time) (Fresh, error) { return Fresh{Text: "new"}, nil })
		l.await(t, 1)
		if got := h.list(); len(got) != 1 || got[0] != "new" {
			t.Errorf("sent %q", got)
		}
	})
}

// The text of a message may not change between its parts, not even over a power cut.
func TestAHalfSentMessageOfAJobEndsAsItBegan(t *testing.T) {
	for _, cut := range []bool{false, true} {
		t.Run(fmt.Sprint("power cut: ", cut), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				long := func(word string) string { return strings.Repeat(word+" ", 300/(len(word)+1)) } // two parts
				disk := crashable()
				f := newFakeSMSC(t, func(n int, s *fakeSubmit) {
					if n > 0 {
						s.Status = pdu.ESME_RTHROTTLED
					}
				})
				r, reg, l := lateRig(t, rigOptions{FS: disk, Options: fakes(map[string]*fakeSMSC{"a:1": f}, nil)}, func(s *Setup) { s.Carriers[0].Window = 1 })
				apply(t, reg, enrol(sara))
				saying := func(s string) {
					l.says(func(*queue.Message, time.Time) (Fresh, error) { return Fresh{Text: s}, nil })
				}
				saying(long("second"))
				f.refuse(true)
				f.drop()
				r.wait("the carrier is away", func() bool { return r.gw.world.Load().carriers["a"].downSince.Load() != 0 })
				id := r.notice(Notice{Account: "civil", Service: "IDREN", Person: person, Text: long("first"), Validity: 60 * time.Hour, Job: step(1)})
				time.Sleep(20 * time.Minute)
				f.refuse(false)
				first := f.await(2)[0] // one part is taken, the other is throttled
				if !strings.Contains(string(first.ShortMessage), "second") {
					t.Fatalf("part 1 is %q", first.ShortMessage)
				}
				r.wait("part 1 is written down", func() bool {
					v, err := r.gw.Message(t.Context(), "civil", id)
					return err == nil && len(v.Parts) == 1
				})
				saying(long("third")) // what it would say now
				g := f
				if cut {
					after := crash(disk)
					f.refuse(true)
					f.drop()
					r.stop()
					g = newFakeSMSC(t, func(_ int, s *fakeSubmit) { s.Receipt = "DELIVRD" })
					o := r.opt
					o.FS = after
					o.Options = func(opt *Options) {
						opt.Jobs, opt.Registry = l, reg
						fakes(map[string]*fakeSMSC{"a:1": g}, nil)(opt)
					}
					r = newRig(t, o)
				} else {
					f.setVerdict(func(n int, s *fakeSubmit) { s.Receipt = "DELIVRD" })
				}
				waitUntilFor(t, time.Hour, "the second part", func() bool {
					subs := g.submits()
					return len(subs) > 0 && subs[len(subs)-1].Status == pdu.ESME_ROK && string(subs[len(subs)-1].ShortMessage) != string(first.ShortMessage)
				})
				subs := g.submits()
				last := subs[len(subs)-1]
				if string(last.ShortMessage[:4]) != string(first.ShortMessage[:4]) || last.ShortMessage[5] != 2 || !strings.Contains(string(last.ShortMessage), "second") {
					t.Errorf("the other part is %q, the first was %q", last.ShortMessage, first.ShortMessage)
				}
				if cut {
					if len(subs) != 1 {
						t.Errorf("%d submit_sm after the power cut", len(subs))
					}
					return
				}
				first.Session = g.session()
				g.acked(g.session().receipt(&first, "DELIVRD"))
				if e := l.await(t, 1)[0]; e.State != pdu.StateDelivered {
					t.Errorf("%+v", e)
				}
			})
		})
	}
}

// slowSending keeps the first Sending step back, as a slow disk does.
type slowSending struct {
	queue.Store
	wait time.Duration
}

func (s *slowSending) Commit(ctx context.Context, d queue.Done, steps ...queue.Step) error {
	if _, sending := steps[0].(*queue.Sending); sending {
		time.Sleep(s.wait)
		s.wait = 0 // one dispatcher
	}
	return s.Store.Commit(ctx, d, steps...)
}

// A message that waits between begin and the wire, for its Sending row, is asked again when
// what it says changes meanwhile.
func TestAMessageThatWaitsForItsSendingRowSaysWhatIsTrueThen(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := new(heard)
		r, reg, l := lateRig(t, rigOptions{SMSC: hearing(h), Options: func(o *Options) {
			o.Store = &slowSending{o.Store, time.Minute}
		}}, func(s *Setup) { s.Routes[0].Uncertain = FailUncertain })
		apply(t, reg, enrol(sara))
		l.says(daysLeft(r, person))
		time.Sleep(9*time.Minute + 30*time.Second) // 23:59:30
		r.notice(reminder(r, 1))
		l.await(t, 1)
		if got := h.list(); len(got) != 1 || got[0] != "3 أيام" {
			t.Errorf("sent %q", got)
		}
		time.Sleep(time.Minute)
		if e := l.ends(); len(e) != 1 || e[0].State != pdu.StateDelivered {
			t.Errorf("%+v", e)
		}
		if n := r.metric("masar_uncertain_total"); n != 0 {
			t.Errorf("%v are counted as uncertain", n)
		}
	})
}
