package reminder

import (
	"testing"
	"time"
)

// put lays a series out anew, as a PUT does whose message was leaving.
func put(s *Series, c *Clock, expires string, lead []int, now string) {
	to := s.Reminder
	to.Expires = day(expires)
	s.Set(to, lead, c, at(now))
}

// A step that counts as told, because its message was leaving when the series was changed,
// or was taken back without that being written down: what its end does, whichever way the
// series has gone meanwhile.
func TestAMessageThatReachesNobodyIsTriedAgainWhateverWasChangedMeanwhile(t *testing.T) {
	for _, row := range []struct {
		name      string
		lead      []int
		then      func(s *Series, c *Clock) // after the first step left on 2027-06-02 09:00
		now       string                    // when it ends
		before    string
		after     string
		unreached bool
	}{
		{"the leads are others", []int{18}, func(s *Series, c *Clock) {
			put(s, c, "2027-06-20", []int{18, 7}, "2027-06-02 09:05")
		}, "2027-06-02 09:10",
			"pending 2027-06-13 09:00 | 18 already | *7 coming",
			"pending 2027-06-03 09:00 | *18 coming x1 x | 7 coming", false},
		{"the leads are others, days later", []int{18}, func(s *Series, c *Clock) {
			put(s, c, "2027-06-20", []int{18, 7}, "2027-06-04 09:05")
		}, "2027-06-04 09:10",
			"pending 2027-06-13 09:00 | 18 already | *7 coming",
			"pending 2027-06-05 09:00 | *18 coming x1 x | 7 coming", false},
		{"moved and moved back", []int{18}, func(s *Series, c *Clock) {
			put(s, c, "2027-06-21", []int{18}, "2027-06-02 09:05")
			put(s, c, "2027-06-20", []int{18}, "2027-06-02 09:06")
		}, "2027-06-02 09:10",
			"done | 18 already",
			"pending 2027-06-03 09:00 | *18 coming x1 x", false},
		{"moved, and moved back only when it has ended", []int{18}, func(s *Series, c *Clock) {
			put(s, c, "2027-06-21", []int{18}, "2027-06-02 09:05")
		}, "2027-06-02 09:10",
			"pending 2027-06-03 09:00 | *18 coming",
			"pending 2027-06-03 09:00 | *18 coming", false},
		{"deleted and asked for again", []int{18}, func(s *Series, c *Clock) {
			s.Delete(false, c, at("2027-06-02 09:05"))
			put(s, c, "2027-06-20", []int{18}, "2027-06-02 09:06")
		}, "2027-06-02 09:10",
			"done | 18 already",
			"pending 2027-06-03 09:00 | *18 coming x1 x", false},
		{"deleted, asked for again and deleted", []int{18}, func(s *Series, c *Clock) {
			s.Delete(false, c, at("2027-06-02 09:05"))
			put(s, c, "2027-06-20", []int{18}, "2027-06-02 09:06")
			s.Delete(false, c, at("2027-06-02 09:07"))
		}, "2027-06-02 09:10",
			"withdrawn | 18 already",
			"withdrawn | 18 recalled x1 x", false},
		{"the next step comes before the next try", []int{18}, func(s *Series, c *Clock) {
			put(s, c, "2027-06-20", []int{18, 17}, "2027-06-02 09:05")
		}, "2027-06-02 09:10",
			"pending 2027-06-03 09:00 | 18 already | *17 coming",
			"pending 2027-06-03 09:00 | 18 failed x1 x | *17 coming", false},
		{"the next step is out", []int{18}, func(s *Series, c *Clock) {
			put(s, c, "2027-06-20", []int{18, 17}, "2027-06-02 09:05")
			s.Ready(c, at("2027-06-03 09:00"))
			s.Submitted(2, c, at("2027-06-03 09:00"))
		}, "2027-06-03 09:10",
			"pending 2027-06-20 00:00 | 18 already | *17 out x1",
			"pending 2027-06-20 00:00 | 18 failed x1 x | *17 out x1", false},
		{"no day is left", []int{18}, func(s *Series, c *Clock) {
			put(s, c, "2027-06-20", []int{60, 18}, "2027-06-02 09:05")
			put(s, c, "2027-06-20", []int{18}, "2027-06-02 09:06")
		}, "2027-06-19 09:10",
			"done | 18 already",
			"done | 18 failed x1 x", true},
		{"the date has come", []int{18}, func(s *Series, c *Clock) {
			put(s, c, "2027-06-20", []int{18, 7}, "2027-06-02 09:05")
			s.Finished(c, at("2027-06-20 00:00"))
		}, "2027-06-20 00:10",
			"expired | 18 already | *7 missed date_passed",
			"expired | 18 failed x1 x | *7 missed date_passed", true},
		{"the step is not among the leads any more", []int{18}, func(s *Series, c *Clock) {
			put(s, c, "2027-06-20", []int{7}, "2027-06-02 09:05")
		}, "2027-06-02 09:10",
			"pending 2027-06-13 09:00 | *7 coming",
			"pending 2027-06-13 09:00 | *7 coming", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			for _, delivered := range []bool{false, true} {
				c := clockOf(t, "PLN")
				s := laidOut(c, "PLN", "2027-06-20", row.lead, "2027-06-02 09:00")
				first := string(s.Once())
				item := send(t, s, c, "2027-06-02 09:00", 1)
				row.then(s, c)
				wantSays(t, s, row.before)
				if delivered {
					if changed, unreached := ended(s, c, item, 1, true, "", row.now); changed || unreached {
						t.Error("what came did something")
					}
					wantSays(t, s, row.before)
					continue
				}
				changed, unreached := ended(s, c, item, 1, false, "x", row.now)
				if !changed || unreached != row.unreached {
					t.Errorf("changed is %v, unreached %v", changed, unreached)
				}
				wantSays(t, s, row.after)
				if changed, unreached := ended(s, c, item, 1, false, "x", row.now); changed || unreached {
					t.Error("told twice it does something twice")
				}
				wantSays(t, s, row.after)
				if st := s.AtHand(); st != nil && string(s.Once()) == first {
					t.Error("the next try has the key of the first")
				}
			}
		})
	}
}

func TestAStepThatIsTakenUpAgainGoesOnToTheNext(t *testing.T) {
	c := clockOf(t, "PLN")
	s := laidOut(c, "PLN", "2027-06-20", []int{18}, "2027-06-02 09:00")
	item := send(t, s, c, "2027-06-02 09:00", 1)
	put(s, c, "2027-06-20", []int{18, 7}, "2027-06-02 09:05")
	ended(s, c, item, 1, false, "x", "2027-06-02 09:10")
	item = send(t, s, c, "2027-06-03 09:00", 2)
	ended(s, c, item, 2, false, "x", "2027-06-03 09:10")
	wantSays(t, s, "pending 2027-06-04 09:00 | *18 coming x2 x | 7 coming")
	ended(s, c, send(t, s, c, "2027-06-04 09:00", 3), 3, true, "", "2027-06-04 09:01")
	wantSays(t, s, "pending 2027-06-13 09:00 | 18 delivered x3 | *7 coming")
	// Deleted and asked for again on that day: it has come.
	s.Delete(false, c, at("2027-06-04 10:00"))
	put(s, c, "2027-06-20", []int{18, 16, 7}, "2027-06-04 10:01")
	wantSays(t, s, "pending 2027-06-04 10:01 | 18 already | *16 coming | 7 coming")
}

// A deleted series' message that comes to nothing, and only then is the series asked for again.
func TestWhatWasDeletedAsItLeftAndReachedNobodyIsToldWhenItIsAskedForAgain(t *testing.T) {
	c := clockOf(t, "PLN")
	s := laidOut(c, "PLN", "2027-06-20", []int{18, 7}, "2027-06-02 09:00")
	item := send(t, s, c, "2027-06-02 09:00", 1)
	s.Delete(false, c, at("2027-06-02 09:05"))
	if changed, unreached := ended(s, c, item, 1, false, "UNDELIV 001", "2027-06-02 09:10"); !changed || unreached {
		t.Errorf("%v %v", changed, unreached)
	}
	wantSays(t, s, "withdrawn | *18 recalled x1 UNDELIV 001 | 7 recalled")
	put(s, c, "2027-06-20", []int{18, 7}, "2027-06-02 09:15")
	wantSays(t, s, "pending 2027-06-02 09:15 | *18 coming | 7 coming")
}

// Leads are changed while a step that has failed waits for its next try.
func TestAStepThatHasFailedKeepsItsNextTryWhenLeadsAreChanged(t *testing.T) {
	for _, row := range []struct {
		name      string
		out       bool // the second try is out, and is taken back
		lead      []int
		now, want string
	}{
		{"on its day", false, []int{18, 7}, "2027-06-02 10:00", "pending 2027-06-03 09:00 | *18 coming x1 x | 7 coming"},
		{"on another day", false, []int{18, 7}, "2027-06-03 08:00", "pending 2027-06-03 09:00 | *18 coming x1 x | 7 coming"},
		{"the second try was taken back", true, []int{18, 7}, "2027-06-03 10:00", "pending 2027-06-03 10:00 | *18 coming x1 | 7 coming"},
		{"the next step's day comes first", false, []int{18, 17}, "2027-06-02 10:00", "pending 2027-06-02 10:00 | *18 coming | 17 coming"},
		{"the next step's day is past", true, []int{18, 17}, "2027-06-04 10:00", "done | 18 past | 17 past"},
		{"it is not among them any more", false, []int{20, 7}, "2027-06-02 10:00", "pending 2027-06-13 09:00 | 20 past | *7 coming"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := clockOf(t, "PLN")
			s := laidOut(c, "PLN", "2027-06-20", []int{18}, "2027-06-02 09:00")
			keys := map[string]bool{string(s.Once()): true}
			ended(s, c, send(t, s, c, "2027-06-02 09:00", 1), 1, false, "x", "2027-06-02 09:10")
			keys[string(s.Once())] = true
			if row.out {
				send(t, s, c, "2027-06-03 09:00", 2)
				s.Withdrawn()
			}
			put(s, c, "2027-06-20", row.lead, row.now)
			wantSays(t, s, row.want)
			if s.AtHand() != nil && keys[string(s.Once())] {
				t.Error("its next try has the key of one before")
			}
		})
	}
}

func TestOnlyTheLastOfThoseToldAreKept(t *testing.T) {
	c := clockOf(t, "PLN")
	s := laidOut(c, "PLN", "2027-06-20", []int{18}, "2027-06-02 09:00")
	for i := range 2 * maxTold {
		now := at("2027-06-02 09:00").Add(time.Duration(i) * time.Minute)
		s.Submitted(uint64(i+1), c, now)
		s.Set(s.Reminder, []int{18 - i%2}, c, now)
		s.Step, s.State = 0, Pending
	}
	if len(s.Told) != maxTold || s.Told[maxTold-1].Message != 2*maxTold {
		t.Errorf("%+v", s.Told)
	}
}
