package jobs

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"masar/service"
	"masar/service/reminder"
	"masar/smpp/pdu"
)

// out puts reminders whose only step leaves on 2000-01-01 at 09:00, and waits until they are
// in the queue.
func (s *scene) out(list ...reminder.Reminder) {
	s.t.Helper()
	if _, err := s.r.PutMany(s.t.Context(), list); err != nil {
		s.t.Fatal(err)
	}
	s.until("2000-01-01 09:00")
	time.Sleep(10 * time.Second)
	synctest.Wait()
	if got := s.g.count(); got != len(list) {
		s.t.Fatalf("%d of %d are in the queue", got, len(list))
	}
}

func later(list []reminder.Reminder) []reminder.Reminder {
	list = slices.Clone(list)
	for i := range list {
		list[i].Expires = reminder.AddDays(list[i].Expires, 30)
	}
	return list
}

func many(n int) (list []reminder.Reminder) {
	for i := range n {
		list = append(list, of(fmt.Sprint(i), "2000-01-08"))
	}
	return list
}

func TestWhatManyPutsTakeBackIsTakenBackTogether(t *testing.T) {
	inScene(t, nil, func(t *testing.T, s *scene) {
		list := many(1000)
		s.out(list...)
		res, err := s.r.PutMany(t.Context(), later(list))
		if err != nil {
			t.Fatal(err)
		}
		for i := range res {
			if res[i].Err != nil || !res[i].Withdrawn || res[i].Leaving || res[i].Status != reminder.PutMoved {
				t.Fatalf("%+v", res[i])
			}
		}
		if !slices.Equal(s.g.taken, []int{1000}) {
			t.Errorf("taken back in %v", s.g.taken)
		}
		s.wantSteps("7", "pending 7:coming")
	})
}

func TestAKeyThatStandsTwiceInOneBatchIsTakenBackOnce(t *testing.T) {
	inScene(t, nil, func(t *testing.T, s *scene) {
		s.out(of("a", "2000-01-08"), of("b", "2000-01-08"), of("c", "2000-01-08"))
		s.g.fails(func(g *carrying) { g.all[1].state = "leaving" })
		other := func(key, document string) reminder.Reminder {
			m := of(key, "2000-01-08")
			m.Params = map[string]string{"document": document}
			return m
		}
		res, err := s.r.PutMany(t.Context(), []reminder.Reminder{
			of("a", "2000-01-08"), of("a", "2000-02-08"), of("a", "2000-03-08"), // the same, moved, moved
			other("b", "b1"), other("b", "b2"), // changed while it leaves
			of("c", "1999-01-01"), other("c", "c1"), // wrong, changed
		})
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, r := range res {
			got += fmt.Sprintf("%s %v %v; ", r.Status, r.Withdrawn, r.Leaving)
		}
		if want := "unchanged false false; moved true false; moved false false; changed false true; changed false true;  false false; changed true false; "; got != want {
			t.Errorf("%s\nwant %s", got, want)
		}
		if !slices.Equal(s.g.taken, []int{3}) {
			t.Errorf("taken back in %v", s.g.taken)
		}
		s.wantSteps("a", "pending 7:coming")
		s.wantSteps("b", "pending 7:outx1")
	})
}

var errAway = errors.New("the queue is away")

// A batch one of whose rows fails, each way in which it can: what was taken back of another
// is written down as that, and nothing was sent twice, or is lost, once all is put again.
func TestWhatIsTakenBackIsWrittenDownThoughAnotherRowFails(t *testing.T) {
	away := func() error { return errAway }
	for _, row := range []struct {
		name   string
		fails  func(g *carrying)
		whole  bool
		first  string // how the first row stands then
		errors bool   // of PutMany as a whole
	}{
		{"the queue of the other's account, in a bulk file", func(g *carrying) {
			g.taking = func(account string) error {
				if account == "traffic" {
					return errAway
				}
				return nil
			}
		}, true, "pending 7:coming", true},
		{"the queue of the other's account", func(g *carrying) {
			g.taking = func(account string) error {
				if account == "traffic" {
					return errAway
				}
				return nil
			}
		}, false, "pending 7:coming", false},
		{"what was sent of the other is not known, in a bulk file", func(g *carrying) {
			g.asking = func([]byte) error { return errAway }
		}, true, "pending 7:outx1", true}, // nothing was taken back
		{"what was sent of the other is not known", func(g *carrying) {
			g.asking = func([]byte) error { return errAway }
		}, false, "pending 7:coming", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			inScene(t, nil, func(t *testing.T, s *scene) {
				first, other := of("a", "2000-01-08"), of("b", "2000-01-08")
				other.Account = "traffic"
				s.out(first, other)
				due := of("due", "2000-01-08") // in the queue or not: nobody has written that down
				s.g.fails(func(g *carrying) { g.submitting = away })
				s.put(due)
				synctest.Wait()
				s.g.fails(func(g *carrying) { row.fails(g) })
				list := later([]reminder.Reminder{first, other, due})
				var decided func([]reminder.PutOutcome) *service.Bookmark
				if row.whole {
					decided = func([]reminder.PutOutcome) *service.Bookmark { return nil }
				}
				res, err := s.r.putMany(t.Context(), list, nil, decided)
				if (err != nil) != row.errors || err != nil && !errors.Is(err, errAway) {
					t.Fatal(err)
				}
				if err == nil && (res[0].Err != nil || !res[0].Withdrawn || !errors.Is(res[1].Err, errAway) && !errors.Is(res[2].Err, errAway)) {
					t.Errorf("%+v", res)
				}
				s.wantSteps("a", row.first)
				s.g.fails(func(g *carrying) { g.submitting, g.taking, g.asking = nil, nil, nil })
				if res, err = s.r.putMany(t.Context(), list, nil, decided); err != nil {
					t.Fatal(err)
				}
				for i := range res {
					if res[i].Err != nil || res[i].Leaving {
						t.Errorf("%+v", res[i])
					}
				}
				s.until("2000-01-31 08:00")
				for _, m := range list {
					v, err := s.r.Get(t.Context(), m.Account, m.Key)
					if err != nil || v.Steps[0].State != "coming" || v.Expires != civil("2000-02-07") {
						t.Errorf("%+v %v", v, err)
					}
				}
				for _, q := range s.g.all {
					if q.end != pdu.StateDeleted {
						t.Errorf("%q stands as %s %s", q.Text, q.state, q.end)
					}
				}
			})
		})
	}
}

func TestTheNextStepsDayTakesBackTogetherWhatIsOutOfMany(t *testing.T) {
	inScene(t, nil, func(t *testing.T, s *scene) {
		list := many(300)
		for i := range list {
			list[i].Lead = []int{7, 6}
		}
		s.out(list...)
		s.until("2000-01-02 09:00")
		time.Sleep(10 * time.Second)
		if len(s.g.taken) == 0 || len(s.g.taken) > 3 {
			t.Errorf("taken back in %v", s.g.taken)
		}
		for i := range list {
			s.wantSteps(list[i].Key, "pending 7:supersededx1 6:outx1")
		}
	})
}

// The queue fails behind the taking back, when other steps of the same turn are handed over.
func TestWhatWasTakenBackForTheNextStepIsWrittenDownThoughNothingCanBeHandedOver(t *testing.T) {
	inScene(t, nil, func(t *testing.T, s *scene) {
		m := of("a", "2000-01-08")
		m.Lead = []int{7, 6}
		s.put(m)
		s.put(of("b", "2000-01-09"))
		s.until("2000-01-01 09:00")
		s.wantSteps("a", "pending 7:outx1 6:coming")
		s.g.fails(func(g *carrying) { g.submitting = func() error { return errAway } })
		s.until("2000-01-02 09:00")
		s.wantSteps("a", "pending 7:supersededx1 6:coming")
		s.wantSteps("b", "pending 7:coming")
		s.g.fails(func(g *carrying) { g.submitting = nil })
		time.Sleep(time.Minute)
		s.wantSteps("a", "pending 7:supersededx1 6:outx1")
		s.wantSteps("b", "pending 7:outx1")
	})
}

func TestWhatCannotBeTakenBackForTheNextStepStaysAndComesAgain(t *testing.T) {
	inScene(t, nil, func(t *testing.T, s *scene) {
		m := of("a", "2000-01-08")
		m.Lead = []int{7, 6}
		s.put(m)
		s.put(of("b", "2000-01-09"))
		s.until("2000-01-01 09:00")
		s.g.fails(func(g *carrying) { g.taking = func(string) error { return errAway } })
		s.until("2000-01-02 09:00")
		s.wantSteps("a", "pending 7:outx1 6:coming")
		s.wantSteps("b", "pending 7:outx1") // it does not wait for that
		s.g.fails(func(g *carrying) { g.taking = nil })
		time.Sleep(time.Minute)
		s.wantSteps("a", "pending 7:supersededx1 6:outx1")
	})
}
