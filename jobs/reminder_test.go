package jobs

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/gateway"
	"masar/number"
	"masar/queue"
	"masar/service"
	"masar/service/reminder"
	"masar/smpp/pdu"
)

func TestAReminderLeavesWhenItIsDueAsItIsThen(t *testing.T) {
	inScene(t, nil, func(t *testing.T, s *scene) {
		s.put(of("A", "2000-05-20")) // due on 13 May, by the wording of that day
		s.put(of("B", "2000-06-10")) // due on 3 June, when the new one is in force
		s.put(of("C", "2000-01-08")) // due today at nine
		s.until("2000-01-01 08:59")
		s.wantTexts()
		s.until("2000-01-01 09:00")
		s.wantTexts("C expires 2000-01-08 (7)")
		q := s.g.all[0]
		if q.Account != "civil" || q.Service != "PLN" || q.Number != 966500000001 || q.Template != "PLN/1/en" || q.Validity != 72*time.Hour ||
			q.Job.Kind != queue.ReminderJob || q.Job.Number == 0 || len(q.Once) == 0 || q.Receipt {
			t.Errorf("%+v", q.Notice)
		}
		s.wantSteps("C", "pending 7:outx1")
		s.end(pdu.StateDelivered, "")
		s.wantSteps("C", "done 7:deliveredx1")
		s.until("2000-05-13 09:00")
		s.until("2000-06-03 09:00")
		s.wantTexts("C expires 2000-01-08 (7)", "A expires 2000-05-20 (7)", "new: B 2000-06-10 7")
		if late := s.metric("masar_reminder_late_seconds"); late != 3 {
			t.Errorf("%v measured", late)
		}
		if got := s.metric("masar_reminder_pending"); got != 1 { // A has ended with its date
			t.Errorf("%v pending", got)
		}
	})
}

func TestAPutSaysWhatItDid(t *testing.T) {
	inScene(t, nil, func(t *testing.T, s *scene) {
		other := of("A", "2000-05-20")
		other.Number = 966500000002
		moved := of("A", "2000-05-21")
		leads := of("A", "2000-05-21")
		leads.Lead = []int{10, 3}
		again := leads
		again.Lead, again.Channel, again.By = []int{10, 3}, "office", "clerk"
		for i, row := range []struct {
			put  reminder.Reminder
			want reminder.PutStatus
			next string
		}{
			{of("A", "2000-05-20"), reminder.PutCreated, "2000-05-13 09:00"},
			{of("A", "2000-05-20"), reminder.PutUnchanged, "2000-05-13 09:00"},
			{other, reminder.PutChanged, "2000-05-13 09:00"},
			{moved, reminder.PutMoved, "2000-05-14 09:00"},
			{leads, reminder.PutMoved, "2000-05-11 09:00"},
			{again, reminder.PutUnchanged, "2000-05-11 09:00"},
			{of("B", "2000-01-05"), reminder.PutCreated, ""},
		} {
			res := s.put(row.put)
			next := ""
			if !res.Next.IsZero() {
				next = res.Next.In(remindZone).Format("2006-01-02 15:04")
			}
			if res.Status != row.want || next != row.next || res.Withdrawn || res.Leaving {
				t.Errorf("put %d: %s, next %s; want %s %s", i, res.Status, next, row.want, row.next)
			}
		}
		v, err := s.r.Get(t.Context(), "civil", "A")
		if err != nil || v.Number != 966500000001 || !slices.Equal(v.Lead, []int{10, 3}) || v.Channel != "portal" || len(v.Steps) != 2 {
			t.Errorf("%+v %v", v, err)
		}
		if _, err := s.r.Get(t.Context(), "traffic", "A"); !errors.Is(err, reminder.ErrUnknown) {
			t.Error(err)
		}
		wrong := of("", "1999-12-31")
		_, err = s.r.Put(t.Context(), wrong)
		if err == nil || err.Error() != "key: is empty\nexpires: 1999-12-31 has passed" {
			t.Error(err)
		}
		// Each of many stands for itself; the same key twice is put twice.
		out, err := s.r.PutMany(t.Context(), []reminder.Reminder{of("C", "2000-05-20"), wrong, of("C", "2000-05-22"), of("D", "2000-05-20"), of("D", "2000-05-20")})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, o := range out {
			got = append(got, string(o.Status))
		}
		if want := []string{"created", "", "moved", "created", "unchanged"}; !slices.Equal(got, want) || out[1].Err == nil {
			t.Errorf("%q, want %q", got, want)
		}
		if v, err := s.r.Get(t.Context(), "civil", "C"); err != nil || v.Expires != civil("2000-05-22") {
			t.Errorf("%+v %v", v, err)
		}
		if got := s.store.Pending(); got != 3 {
			t.Errorf("%d pending", got)
		}
	})
}

func TestAnotherDateTakesBackWhatWaits(t *testing.T) {
	inScene(t, nil, func(t *testing.T, s *scene) {
		s.put(of("A", "2000-01-08"))
		s.until("2000-01-01 09:00")
		s.wantSteps("A", "pending 7:outx1")
		if res := s.put(of("A", "2000-01-09")); res.Status != reminder.PutMoved || !res.Withdrawn || res.Leaving {
			t.Errorf("%+v", res)
		}
		s.wantSteps("A", "pending 7:coming")
		s.until("2000-01-02 09:00")
		s.wantTexts("A expires 2000-01-08 (7)", "A expires 2000-01-09 (7)")
		if s.g.all[0].end != pdu.StateDeleted {
			t.Error("the first one was not taken back")
		}
		// One that is on the wire cannot be.
		s.g.all[1].state = "leaving"
		if res := s.put(of("A", "2000-01-10")); res.Status != reminder.PutMoved || res.Withdrawn || !res.Leaving {
			t.Errorf("%+v", res)
		}
		s.g.mu.Lock()
		tell := s.g.over(s.g.all[1], pdu.StateDelivered, "")
		s.g.mu.Unlock()
		tell()
		s.wantSteps("A", "pending 7:coming")
		// What it says is changed while it waits: it leaves again as it is now.
		s.until("2000-01-03 09:00")
		to := of("A", "2000-01-10")
		to.Params = map[string]string{"document": "A2"}
		if res := s.put(to); res.Status != reminder.PutChanged || !res.Withdrawn {
			t.Errorf("%+v", res)
		}
		synctest.Wait()
		s.until("2000-01-03 09:01")
		s.wantTexts("A expires 2000-01-08 (7)", "A expires 2000-01-09 (7)", "A expires 2000-01-10 (7)", "A2 expires 2000-01-10 (7)")
		s.wantSteps("A", "pending 7:outx1")
		if got := s.metric("masar_reminder_withdrawn_total"); got != 2 {
			t.Errorf("%v withdrawn", got)
		}
	})
}

func TestADeleteEndsAReminderOnce(t *testing.T) {
	inScene(t, nil, func(t *testing.T, s *scene) {
		s.put(of("A", "2000-01-08"))
		s.put(of("B", "2000-01-08"))
		s.put(of("C", "2000-02-08"))
		s.until("2000-01-01 09:00")
		s.g.all[1].state = "sent"
		for i, row := range []struct {
			key  string
			want reminder.DeleteResult
			err  error
		}{
			{"A", reminder.DeleteResult{Withdrawn: true}, nil},
			{"A", reminder.DeleteResult{}, nil},
			{"B", reminder.DeleteResult{Leaving: true}, nil},
			{"C", reminder.DeleteResult{}, nil},
			{"D", reminder.DeleteResult{}, reminder.ErrUnknown},
		} {
			if got, err := s.r.Delete(t.Context(), "civil", row.key, "clerk"); got != row.want || !errors.Is(err, row.err) {
				t.Errorf("delete %d of %s: %+v %v", i, row.key, got, err)
			}
		}
		s.wantSteps("A", "withdrawn 7:recalledx1")
		s.wantSteps("B", "withdrawn 7:outx1")
		s.wantSteps("C", "withdrawn 7:recalled")
		s.g.mu.Lock()
		tell := s.g.over(s.g.all[1], pdu.StateDelivered, "")
		s.g.mu.Unlock()
		tell()
		s.wantSteps("B", "withdrawn 7:deliveredx1")
		if got := s.store.Pending(); got != 0 {
			t.Errorf("%d pending", got)
		}
		// The document is renewed after all: a reminder anew, and its days are sent.
		if res := s.put(of("A", "2000-01-10")); res.Status != reminder.PutCreated {
			t.Errorf("%+v", res)
		}
		s.until("2000-01-03 09:00")
		s.until("2000-02-20 09:00")
		s.wantTexts("A expires 2000-01-08 (7)", "B expires 2000-01-08 (7)", "A expires 2000-01-10 (7)")
		// Those that are over go in the end.
		s.until("2000-07-01 09:00")
		for _, key := range []string{"A", "B", "C"} {
			if _, err := s.r.Get(t.Context(), "civil", key); !errors.Is(err, reminder.ErrUnknown) {
				t.Errorf("%s is still there: %v", key, err)
			}
		}
	})
}

func TestWhoIsNotReachedIsTriedAgainAndListedInTheEnd(t *testing.T) {
	inScene(t, nil, func(t *testing.T, s *scene) {
		m := of("A", "2000-02-04")
		m.Service = "IDR" // 30 days before: Wednesday 5 January
		s.put(m)
		s.until("2000-01-05 09:00")
		s.end(pdu.StateUndeliverable, "001")
		s.wantSteps("A", "pending 30:comingx1 7:coming 1:coming")
		s.until("2000-01-06 09:00")
		s.end(pdu.StateExpired, "")
		s.until("2000-01-09 07:59") // Friday and Saturday are no days for it
		if s.g.count() != 2 {
			t.Error("it was sent at the weekend")
		}
		s.until("2000-01-09 09:00")
		s.end(pdu.StateRejected, "blocked")
		s.wantSteps("A", "pending 30:failedx3 7:coming 1:coming")
		if got, want := s.unreached("2000-01-09"), []string{"A 30 x3 blocked"}; !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
		s.until("2000-01-30 08:00") // 28 January is a Friday
		s.end(pdu.StateUndeliverable, "")
		s.until("2000-01-31 09:00")
		s.end(pdu.StateDelivered, "")
		s.until("2000-02-03 09:00")
		s.end(pdu.StateUnknown, "")
		s.wantSteps("A", "done 30:failedx3 7:deliveredx2 1:failedx1") // no day is left before the 4th
		if got, want := s.unreached("2000-02-03"), []string{"A 1 x1 UNKNOWN"}; !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
		if s.g.count() != 6 {
			t.Errorf("%d messages", s.g.count())
		}
		if got := s.metric("masar_reminder_unreached_total"); got != 2 {
			t.Errorf("%v unreached", got)
		}
		// The day's list goes with time.
		s.until("2000-06-01 09:00")
		if got := s.unreached("2000-02-03"); len(got) > 0 {
			t.Errorf("%q", got)
		}
	})
}

func TestWhatTheGatewayRefusesIsATryUnlessItHasNoRoom(t *testing.T) {
	inScene(t, nil, func(t *testing.T, s *scene) {
		full := true
		s.g.refuse = func(n *gateway.Notice) error {
			switch {
			case strings.HasPrefix(n.Text, "A"):
				return &gateway.SubmitError{Refusal: gateway.NotEnrolled, Status: gateway.StatusNotEnrolled}
			case strings.HasPrefix(n.Text, "G"):
				return gateway.ErrNoAccount
			case full:
				return &gateway.SubmitError{Refusal: gateway.QueueFull, Status: pdu.ESME_RMSGQFUL}
			}
			return nil
		}
		s.put(of("A", "2000-01-08"))
		s.put(of("F", "2000-01-08"))
		s.put(of("G", "2000-01-08"))
		s.until("2000-01-01 09:01")
		s.wantSteps("A", "pending 7:comingx1")
		s.wantSteps("F", "pending 7:coming")
		s.wantSteps("G", "pending 7:comingx1")
		if n := s.metric("masar_reminder_postponed_total"); n < 8 || n > 13 {
			t.Errorf("it was asked %v times in a minute", n)
		}
		s.g.mu.Lock()
		full = false
		s.g.mu.Unlock()
		s.until("2000-01-01 09:02")
		s.wantTexts("F expires 2000-01-08 (7)")
		s.until("2000-01-02 09:01")
		s.until("2000-01-03 09:01")
		if got, want := s.unreached("2000-01-03"), []string{"A 7 x3 not_enrolled", "G 7 x3 no_account"}; !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
	})
}

func TestATemplateThatChangedIsATry(t *testing.T) {
	inScene(t, nil, func(t *testing.T, s *scene) {
		s.put(of("A", "2000-01-08"))
		m := of("B", "2000-03-08")
		m.Service, m.Lead = "IDR", []int{65}
		s.put(m)
		o, err := service.New(service.Options{
			Languages: []string{"en"}, Zone: remindZone, Categories: []service.Category{{Name: "service"}},
			Agencies: []service.Agency{{Code: "one", Name: service.Texts{"en": "One"}, Sender: "ONE"}},
			Senders:  []service.Sender{{Name: "ONE", Agency: "one", AnyCarrier: true}},
			Services: []service.Service{{Code: "PLN", Agency: "one", Name: service.Texts{"en": "P"}, Kind: service.ExpiryReminder, Class: 1, Category: "service", Mode: service.Mandatory,
				Validity: time.Hour, Params: []service.Param{{Name: "place", Max: 9}}, Versions: []service.Version{{Number: 3, Text: service.Texts{"en": "{place}"}}}}},
		})
		if err != nil {
			t.Fatal(err)
		}
		s.cat.Store(o)
		for day := 1; day < 6; day++ {
			s.until(fmt.Sprintf("2000-01-0%d 09:00", day))
			s.until(fmt.Sprintf("2000-01-0%d 12:00", day))
		}
		s.until("2000-01-06 12:00") // the service of B has gone, its days go by UTC now
		if got, want := s.unreached("2000-01-03"), []string{"A 7 x3 bad_params"}; !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
		if got, want := s.unreached("2000-01-05"), []string{"B 65 x3 unknown_service"}; !slices.Equal(got, want) {
			t.Errorf("%q: %s", got, s.steps("B"))
		}
		s.wantTexts()
	})
}

// The power goes between the gateway's queue and what was to be written of it.
func TestACrashBetweenQueueAndRecordSendsNothingTwice(t *testing.T) {
	for _, row := range []struct {
		name  string
		then  func(t *testing.T, s *scene)
		sends int
		want  string
	}{
		{"nothing", func(*testing.T, *scene) {}, 1, "pending 7:outx1"},
		{"its end is told first", func(t *testing.T, s *scene) { s.end(pdu.StateDelivered, "") }, 1, "done 7:deliveredx1"},
		{"it failed", func(t *testing.T, s *scene) { s.end(pdu.StateUndeliverable, "1") }, 1, "pending 7:comingx1"},
		{"it is deleted", func(t *testing.T, s *scene) {
			if res, err := s.r.Delete(t.Context(), "civil", "A", ""); !res.Withdrawn && !res.Leaving || err != nil {
				t.Errorf("%+v %v", res, err)
			}
		}, 1, "withdrawn 7:recalledx1"},
		{"its date is moved", func(t *testing.T, s *scene) {
			if res := s.put(of("A", "2000-01-09")); !res.Withdrawn && !res.Leaving {
				t.Errorf("%+v", res)
			}
		}, 1, "pending 7:coming"},
	} {
		t.Run(row.name, func(t *testing.T) {
			inScene(t, nil, func(t *testing.T, s *scene) {
				var cut *vfs.MemFS
				s.put(of("A", "2000-01-08"))
				s.g.crash = func() { cut = s.powerCut() }
				s.until("2000-01-01 09:00")
				if cut == nil {
					t.Fatal("nothing was handed over")
				}
				s.stop()
				s.fs = cut
				s.still = true // until the test has done what it does
				s.start()
				row.then(t, s)
				s.still = false
				s.crash(s.powerCut())
				s.until("2000-01-01 12:00")
				s.wantSteps("A", row.want)
				if s.g.count() != row.sends {
					t.Errorf("%d messages: %q", s.g.count(), s.g.texts())
				}
			})
		})
	}
}

func TestAMessageThatHasWaitedSaysWhatIsTrueNow(t *testing.T) {
	inScene(t, nil, func(t *testing.T, s *scene) {
		s.put(of("A", "2000-01-08"))
		s.until("2000-01-01 09:00")
		m := &queue.Message{Job: s.g.all[0].Job}
		ask := func(want gateway.Fresh) {
			t.Helper()
			if got, err := s.r.Fresh(m, s.now()); err != nil || got != want {
				t.Errorf("%+v %v, want %+v", got, err, want)
			}
		}
		ask(gateway.Fresh{Text: "A expires 2000-01-08 (7)", Template: "PLN/1/en"})
		s.until("2000-01-03 09:00")
		ask(gateway.Fresh{Text: "A expires 2000-01-08 (5)", Template: "PLN/1/en"})
		s.until("2000-01-07 23:59")
		ask(gateway.Fresh{Text: "A expires 2000-01-08 (1)", Template: "PLN/1/en"})
		s.until("2000-01-08 00:00")
		ask(gateway.Fresh{Over: pdu.StateExpired, Why: "date_passed"})
		if _, err := s.r.Delete(t.Context(), "civil", "A", ""); err != nil {
			t.Fatal(err)
		}
		ask(gateway.Fresh{Over: pdu.StateDeleted, Why: "withdrawn"})
		m.Job.Number = 99
		ask(gateway.Fresh{Over: pdu.StateDeleted, Why: "withdrawn"})
	})
}

// people is a registry of one person who has chosen Arabic.
type people struct {
	service.Registry
	person service.Person
	number number.E164
	away   atomic.Bool // its disk
}

func (p *people) err() error {
	if p.away.Load() {
		return errors.New("the disk is away")
	}
	return nil
}

func (p *people) Find(_ context.Context, who service.Person) (service.Subscriber, error) {
	if who != p.person {
		return service.Subscriber{}, service.ErrNobody
	}
	return service.Subscriber{Person: who, Number: p.number, Language: "ar"}, p.err()
}

func (p *people) Lookup(_ context.Context, n number.E164) (*service.Standing, error) {
	if n != p.number {
		return nil, p.err()
	}
	return &service.Standing{People: []service.Subscriber{{Person: p.person, Number: n, Language: "ar"}}}, p.err()
}

func TestALanguageIsThePersonsOfThatDay(t *testing.T) {
	reg := &people{person: service.Person{7}, number: 966500000001}
	inScene(t, func(o *RemindersOptions) { o.Registry = reg }, func(t *testing.T, s *scene) {
		a := of("A", "2000-01-08")
		a.Number, a.Person = 0, reg.person
		stranger := of("B", "2000-01-08")
		stranger.Number, stranger.Person = 0, service.Person{8}
		s.put(a)
		s.put(stranger)
		s.put(of("C", "2000-01-08"))
		elsewhere := of("D", "2000-01-08")
		elsewhere.Number = 966500000009
		s.put(elsewhere)
		reg.away.Store(true)
		s.until("2000-01-01 09:00")
		s.until("2000-01-01 09:01")
		if s.g.count() > 1 { // B is nobody's: nothing is asked of the disk
			t.Errorf("%q", s.g.texts())
		}
		s.wantSteps("A", "pending 7:coming")
		reg.away.Store(false)
		s.until("2000-01-01 09:02")
		got := s.g.texts()
		slices.Sort(got)
		if want := []string{"A تنتهي 2000-01-08 (7)", "B expires 2000-01-08 (7)", "C تنتهي 2000-01-08 (7)", "D expires 2000-01-08 (7)"}; !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
	})
}

func TestTheHourIsNoWall(t *testing.T) {
	inScene(t, func(o *RemindersOptions) { o.Pace = 100 }, func(t *testing.T, s *scene) {
		var list []reminder.Reminder
		for i := range 1000 {
			list = append(list, of(fmt.Sprint(i), "2000-01-08"))
		}
		if _, err := s.r.PutMany(t.Context(), list); err != nil {
			t.Fatal(err)
		}
		s.until("2000-01-01 09:00")
		for second := 1; second <= 11; second++ {
			time.Sleep(time.Second)
			synctest.Wait()
			if got, most := s.g.count(), 10+100*second; got > most+5 || got < min(1000, most-15) {
				t.Errorf("%d after %d s", got, second)
			}
		}
		if s.g.count() != 1000 {
			t.Errorf("%d in all", s.g.count())
		}
	})
}

func TestWithoutAGatewayNothingThatMayBeOutIsTouched(t *testing.T) {
	inScene(t, nil, func(t *testing.T, s *scene) {
		s.put(of("A", "2000-01-08"))
		s.until("2000-01-01 09:00")
		s.r.Close()
		r := NewReminders(RemindersOptions{Store: s.store, Catalogue: s.cat.Load, Log: quietLog, At: 9 * time.Hour})
		if _, err := r.Delete(t.Context(), "civil", "A", ""); !errors.Is(err, errNotStarted) {
			t.Error(err)
		}
		if _, err := r.Put(t.Context(), of("A", "2000-02-08")); !errors.Is(err, errNotStarted) {
			t.Error(err)
		}
		if res, err := r.Put(t.Context(), of("B", "2000-02-08")); err != nil || res.Status != reminder.PutCreated {
			t.Errorf("%+v %v", res, err)
		}
		if err := r.Close(); err != nil {
			t.Error(err)
		}
		if err := r.Start(s.g); !errors.Is(err, errNotStarted) {
			t.Error(err)
		}
	})
}
