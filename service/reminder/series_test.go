package reminder

import (
	"fmt"
	"testing"
	"time"

	"masar/service"
)

var riyadh = time.FixedZone("+03", 3*60*60)

// at reads a moment by Riyadh's clock.
func at(text string) time.Time {
	t, err := time.ParseInLocation("2006-01-02 15:04", text, riyadh)
	if err != nil {
		panic(err)
	}
	return t
}

// catalogue has IDR, an expiry reminder without hours of its own but for the weekend
// (Friday and Saturday), holidays and Ramadan, when it may not leave before 10; and PLN,
// which may leave at any time.
func catalogue(t testing.TB) *service.Catalogue {
	t.Helper()
	params := []service.Param{{Name: "document", Max: 20}, {Name: ParamExpiry, Max: 12}, {Name: ParamDays, Max: 4}}
	text := service.Texts{"ar": "{document}: {expiry_date} ({days})", "en": "{document} expires {expiry_date}, {days} left"}
	c, err := service.New(service.Options{
		Languages: []string{"ar", "en"}, Zone: riyadh,
		Calendar: service.Calendar{
			Weekend:  []time.Weekday{time.Friday, time.Saturday},
			Holidays: []service.Dates{{Name: "national day", From: day("2027-09-23"), To: day("2027-09-23")}},
			Overrides: []service.Override{{Dates: service.Dates{Name: "ramadan", From: day("2027-02-08"), To: day("2027-03-08")}, Permitted: map[string]*service.Windows{
				"awareness": {Days: []service.Span{{From: 10 * 60, To: 23 * 60}}, Weekend: []service.Span{}},
			}}},
		},
		Categories: []service.Category{{Name: "service"}, {Name: "awareness", Permitted: &service.Windows{Days: []service.Span{{From: 8 * 60, To: 20 * 60}}, Weekend: []service.Span{}}}},
		Agencies:   []service.Agency{{Code: "one", Name: service.Texts{"en": "One"}, Sender: "ONE", Calendar: UmmAlQura}},
		Senders:    []service.Sender{{Name: "ONE", Agency: "one", AnyCarrier: true}},
		Services: []service.Service{
			{Code: "IDR", Agency: "one", Name: service.Texts{"en": "R"}, Kind: service.ExpiryReminder, Class: 1, Category: "awareness", Mode: service.OptIn, Validity: 72 * time.Hour, LeadDays: []int{30, 7, 1}, Params: params, Versions: []service.Version{{Number: 1, Text: text}}},
			{Code: "PLN", Agency: "one", Name: service.Texts{"en": "P"}, Kind: service.ExpiryReminder, Class: 1, Category: "service", Mode: service.Mandatory, Validity: 72 * time.Hour, Params: params, Versions: []service.Version{{Number: 1, Text: text}}},
			{Code: "REC", Agency: "one", Name: service.Texts{"en": "C"}, Kind: service.RecordChange, Class: 1, Category: "service", Mode: service.Mandatory, Validity: 72 * time.Hour},
			{Code: "LTR", Agency: "one", Name: service.Texts{"en": "L"}, Kind: service.ExpiryReminder, Class: 1, Category: "service", Mode: service.Mandatory, Validity: 72 * time.Hour, LeadDays: []int{5}, Params: params, Versions: []service.Version{{Number: 1, ValidFrom: at("2030-01-01 00:00"), Text: text}}},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func clockOf(t testing.TB, code string) *Clock {
	cat := catalogue(t)
	s := cat.Service(code)
	return &Clock{Zone: s.Zone(), At: 9 * time.Hour, Opens: func(t time.Time) time.Time { return cat.OpensAt(s, t) }, Tries: 3, Keep: 24 * time.Hour}
}

func laidOut(c *Clock, code, expires string, lead []int, now string) *Series {
	s := &Series{ID: 1}
	s.Set(Reminder{Account: "civil", Key: "A-1", Number: 966500000001, Service: code, Expires: day(expires)}, lead, c, at(now))
	return s
}

// says writes a series in a line: its state, Next, and each step.
func says(s *Series) string {
	line := s.State.String()
	if s.State == Pending {
		line += " " + s.Next.In(riyadh).Format("2006-01-02 15:04")
	}
	for i, st := range s.Steps {
		mark := ""
		if i == s.Step {
			mark = "*"
		}
		line += fmt.Sprintf(" | %s%d %s", mark, st.Lead, st.State)
		if st.Try > 0 {
			line += fmt.Sprintf(" x%d", st.Try)
		}
		if st.Err != "" {
			line += " " + st.Err
		}
	}
	return line
}

func wantSays(t *testing.T, s *Series, want string) {
	t.Helper()
	if got := says(s); got != want {
		t.Errorf("%s\nwant %s", got, want)
	}
}

func TestStepsAreLaidOut(t *testing.T) {
	for _, row := range []struct {
		name, code, expires string
		lead                []int
		now, want           string
	}{
		{"all to come", "PLN", "2027-06-20", []int{30, 7, 1}, "2027-05-01 12:00", "pending 2027-05-21 09:00 | *30 coming | 7 coming | 1 coming"},
		{"one past", "PLN", "2027-06-20", []int{30, 7, 1}, "2027-05-22 12:00", "pending 2027-06-13 09:00 | 30 past | *7 coming | 1 coming"},
		{"one today, before its hour", "PLN", "2027-06-20", []int{30, 7}, "2027-05-21 08:00", "pending 2027-05-21 09:00 | *30 coming | 7 coming"},
		{"one today, after its hour: at once", "PLN", "2027-06-20", []int{30, 7}, "2027-05-21 22:15", "pending 2027-05-21 22:15 | *30 coming | 7 coming"},
		{"the last moment of a day", "PLN", "2027-06-20", []int{30, 7}, "2027-05-21 23:59", "pending 2027-05-21 23:59 | *30 coming | 7 coming"},
		{"all past: nothing is to come", "PLN", "2027-06-20", []int{30, 7}, "2027-06-19 12:00", "done | 30 past | 7 past"},
		{"on the date itself", "PLN", "2027-06-20", []int{1}, "2027-06-20 00:00", "done | 1 past"},
		{"a step of the date itself", "PLN", "2027-06-20", []int{1, 0}, "2027-06-20 10:00", "pending 2027-06-20 10:00 | 1 past | *0 coming"},
		{"one lead", "PLN", "2027-06-20", []int{3650}, "2027-06-19 10:00", "done | 3650 past"},
		{"a leap day", "PLN", "2028-03-01", []int{1}, "2027-06-19 10:00", "pending 2028-02-29 09:00 | *1 coming"},
		// 2027-06-04 is a Friday.
		{"a weekend: Sunday, when hours open", "IDR", "2027-06-11", []int{7, 1}, "2027-05-01 12:00", "pending 2027-06-06 08:00 | *7 coming | 1 coming"},
		{"a holiday", "IDR", "2027-09-30", []int{7, 1}, "2027-05-01 12:00", "pending 2027-09-26 08:00 | *7 coming | 1 coming"},
		{"Ramadan: not before ten", "IDR", "2027-02-24", []int{7}, "2027-01-01 12:00", "pending 2027-02-17 10:00 | *7 coming"},
		{"hours that open on the date itself: it cannot leave in time", "IDR", "2027-06-06", []int{2, 1}, "2027-05-01 12:00", "done | 2 missed | 1 missed"},
		{"today, after hours have closed: tomorrow", "IDR", "2027-06-16", []int{7, 1}, "2027-06-09 21:00", "pending 2027-06-10 08:00 | *7 coming | 1 coming"},
	} {
		t.Run(row.name, func(t *testing.T) {
			wantSays(t, laidOut(clockOf(t, row.code), row.code, row.expires, row.lead, row.now), row.want)
		})
	}
}

// The days of a step go by the clock on the wall, in zones that set it as well.
func TestAStepLeavesAtTheSameTimeOfDayInEveryZone(t *testing.T) {
	for _, name := range []string{"Asia/Riyadh", "America/New_York", "Africa/Cairo", "Pacific/Apia", "UTC"} {
		zone, err := time.LoadLocation(name)
		if err != nil {
			t.Skip(err)
		}
		c := &Clock{Zone: zone, At: 9*time.Hour + 30*time.Minute, Tries: 3}
		for d := day("2027-01-01"); d.Year == 2027; d = AddDays(d, 1) {
			on := c.On(d).In(zone)
			if dayOf(on) != d || on.Hour() != 9 || on.Minute() != 30 {
				t.Fatalf("%s: %s is %s", name, d, on)
			}
		}
	}
}

// send does what Act says to send.
func send(t *testing.T, s *Series, c *Clock, now string, message uint64) uint64 {
	t.Helper()
	if got := s.Act(c, at(now)); got != Send {
		t.Fatalf("%s: %d is to be done: %s", now, got, says(s))
	}
	if !s.Ready(c, at(now)) {
		t.Fatalf("%s: not ready: %s", now, says(s))
	}
	item := s.Item()
	s.Submitted(message, c, at(now))
	return item
}

func ended(s *Series, c *Clock, item, message uint64, delivered bool, reason, now string) (changed, unreached bool) {
	was, missed := s.Ended(End{Item: item, Message: message, Delivered: delivered, Reason: reason}, c, at(now))
	return was, missed >= 0
}

func TestASeriesThatIsDeliveredGoesThroughItsSteps(t *testing.T) {
	c := clockOf(t, "PLN")
	s := laidOut(c, "PLN", "2027-06-20", []int{30, 7, 0}, "2027-05-01 12:00")
	if s.Act(c, at("2027-05-21 08:59")) != Rest {
		t.Error("it is due early")
	}
	item := send(t, s, c, "2027-05-21 09:00", 71)
	wantSays(t, s, "pending 2027-06-13 09:00 | *30 out x1 | 7 coming | 0 coming")
	for i, want := range []bool{true, false} { // told twice
		if changed, unreached := ended(s, c, item, 71, true, "", "2027-05-21 09:01"); changed != want || unreached {
			t.Errorf("told %d times: %v %v", i+1, changed, unreached)
		}
	}
	wantSays(t, s, "pending 2027-06-13 09:00 | 30 delivered x1 | *7 coming | 0 coming")
	ended(s, c, send(t, s, c, "2027-06-13 09:00", 72), 72, true, "", "2027-06-13 09:01")
	item = send(t, s, c, "2027-06-20 09:00", 73)
	wantSays(t, s, "pending 2027-06-21 00:00 | 30 delivered x1 | 7 delivered x1 | *0 out x1")
	ended(s, c, item, 73, true, "", "2027-06-20 09:01")
	wantSays(t, s, "done | 30 delivered x1 | 7 delivered x1 | 0 delivered x1")
	if s.Act(c, s.Next) != Discard || s.Next.Before(at("2027-06-21 09:01")) {
		t.Errorf("it goes on %s", s.Next)
	}
}

func TestAFailedStepIsTriedOnTheNextPermittedDay(t *testing.T) {
	for _, row := range []struct {
		name, code, expires string
		lead                []int
		first               string // when it is put and leaves
		days                []string
		want                string
		unreached           bool
	}{
		{"day after day, then over", "PLN", "2027-06-20", []int{18}, "2027-06-02 09:00",
			[]string{"2027-06-03 09:00", "2027-06-04 09:00"}, "done | 18 failed x3 UNDELIV 001", true},
		// 2027-06-03 is a Thursday.
		{"over the weekend", "IDR", "2027-06-20", []int{17}, "2027-06-03 09:00",
			[]string{"2027-06-06 08:00", "2027-06-07 09:00"}, "done | 17 failed x3 UNDELIV 001", true},
		{"over a holiday and the weekend behind it", "IDR", "2027-10-20", []int{28}, "2027-09-22 09:00",
			[]string{"2027-09-26 08:00", "2027-09-27 09:00"}, "done | 28 failed x3 UNDELIV 001", true},
		{"in Ramadan", "IDR", "2027-03-20", []int{31}, "2027-02-17 10:00",
			[]string{"2027-02-18 10:00", "2027-02-21 10:00"}, "done | 31 failed x3 UNDELIV 001", true},
		{"never on the date", "PLN", "2027-06-20", []int{2}, "2027-06-18 09:00",
			[]string{"2027-06-19 09:00"}, "done | 2 failed x2 UNDELIV 001", true},
		{"nor when hours open only then", "IDR", "2027-06-06", []int{3}, "2027-06-03 09:00",
			nil, "done | 3 failed x1 UNDELIV 001", true},
		{"a step of the date itself is not tried again", "PLN", "2027-06-20", []int{0}, "2027-06-20 09:00",
			nil, "done | 0 failed x1 UNDELIV 001", true},
		{"the next step comes before the next try", "PLN", "2027-06-20", []int{18, 17}, "2027-06-02 09:00",
			nil, "pending 2027-06-03 09:00 | 18 failed x1 UNDELIV 001 | *17 coming", false},
		{"the next step comes before the third try", "PLN", "2027-06-20", []int{18, 16}, "2027-06-02 09:00",
			[]string{"2027-06-03 09:00"}, "pending 2027-06-04 09:00 | 18 failed x2 UNDELIV 001 | *16 coming", false},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := clockOf(t, row.code)
			s := laidOut(c, row.code, row.expires, row.lead, row.first)
			message, unreached := uint64(1), false
			for _, now := range append([]string{row.first}, row.days...) {
				if unreached {
					t.Fatal("unreached before its last try")
				}
				item := send(t, s, c, now, message)
				_, unreached = ended(s, c, item, message, false, "UNDELIV 001", now)
				message++
			}
			wantSays(t, s, row.want)
			if unreached != row.unreached {
				t.Errorf("unreached is %v", unreached)
			}
		})
	}
}

func TestARefusalCountsAsATry(t *testing.T) {
	c := clockOf(t, "PLN")
	s := laidOut(c, "PLN", "2027-06-20", []int{18}, "2027-06-02 09:00")
	for i, now := range []string{"2027-06-02 09:00", "2027-06-03 09:00", "2027-06-04 09:00"} {
		if s.Act(c, at(now)) != Send || !s.Ready(c, at(now)) {
			t.Fatal(says(s))
		}
		if got := s.Refused("not_enrolled", c, at(now)); got != (i == 2) {
			t.Errorf("%s: unreached is %v", now, got)
		}
	}
	wantSays(t, s, "done | 18 failed x3 not_enrolled")
	row := s.Missing(0, c, at("2027-06-04 09:00"))
	if row.Day != day("2027-06-04") || row.Reason != "not_enrolled" || row.Tries != 3 || row.Lead != 18 || row.Key != "A-1" {
		t.Errorf("%+v", row)
	}
}

func TestEveryTryHasAKeyOfItsOwnAndTheSameOneUntilItIsWrittenDown(t *testing.T) {
	c := clockOf(t, "PLN")
	s := laidOut(c, "PLN", "2027-06-20", []int{18, 10}, "2027-06-02 09:00")
	seen := map[string]string{}
	key := func(what string) {
		t.Helper()
		k := string(s.Once())
		if k != string(s.Once()) || len(k) > 64 {
			t.Fatalf("%s: %x", what, k)
		}
		if other, has := seen[k]; has {
			t.Errorf("%s has the key of %s", what, other)
		}
		seen[k] = what
	}
	key("the first try")
	ended(s, c, send(t, s, c, "2027-06-02 09:00", 1), 1, false, "x", "2027-06-02 10:00")
	key("the second try")
	s.Set(Reminder{Account: "civil", Key: "A-1", Number: 966500000001, Service: "PLN", Expires: day("2027-06-20")}, []int{18, 10}, c, at("2027-06-02 11:00"))
	key("laid out anew")
	s.Step = 1
	key("the next step")
	other := laidOut(c, "PLN", "2027-06-20", []int{18, 10}, "2027-06-02 09:00")
	other.ID = 2
	s = other
	key("another series")
}

func TestTheNextStepsDayRecallsAnOlderStepThatWaits(t *testing.T) {
	for _, withdrawn := range []bool{true, false} {
		c := clockOf(t, "PLN")
		s := laidOut(c, "PLN", "2027-06-20", []int{30, 7, 1}, "2027-05-01 12:00")
		item := send(t, s, c, "2027-05-21 09:00", 1)
		if s.Act(c, at("2027-06-13 08:59")) != Rest || s.Act(c, at("2027-06-13 09:00")) != Recall {
			t.Fatal(says(s))
		}
		s.Recalled(withdrawn, c, at("2027-06-13 09:00"))
		wantSays(t, s, "pending 2027-06-13 09:00 | 30 superseded x1 | *7 coming | 1 coming")
		send(t, s, c, "2027-06-13 09:00", 2)
		before := says(s)
		if _, unreached := ended(s, c, item, 1, false, "EXPIRED", "2027-06-13 09:05"); unreached || says(s) != before {
			t.Errorf("the end of the older one did something: %s", says(s))
		}
		ended(s, c, item, 1, true, "", "2027-06-13 09:05")
		wantSays(t, s, "pending 2027-06-19 09:00 | 30 delivered x1 | *7 out x1 | 1 coming")
	}
}

func TestAfterDaysWithoutAProcessTheLatestStepLeavesAndNoOtherDoes(t *testing.T) {
	c := clockOf(t, "PLN")
	s := laidOut(c, "PLN", "2027-06-20", []int{30, 7, 1}, "2027-05-01 12:00")
	now := "2027-06-15 16:00"
	if s.Act(c, at(now)) != Send || s.Ready(c, at(now)) {
		t.Fatal("it leaves before it is written that another step is at hand")
	}
	wantSays(t, s, "pending 2027-06-15 16:00 | 30 superseded | *7 coming | 1 coming")
	send(t, s, c, now, 1)
	wantSays(t, s, "pending 2027-06-19 09:00 | 30 superseded | *7 out x1 | 1 coming")
}

func TestHoursThatHaveChangedAreAskedAgainWhenItLeaves(t *testing.T) {
	c := clockOf(t, "PLN")
	s := laidOut(c, "PLN", "2027-06-11", []int{7}, "2027-05-01 12:00")
	closed := clockOf(t, "IDR")
	if s.Act(closed, at("2027-06-04 09:00")) != Send || s.Ready(closed, at("2027-06-04 09:00")) {
		t.Fatal("it leaves on a Friday")
	}
	wantSays(t, s, "pending 2027-06-06 08:00 | *7 coming")
}

func TestNothingLeavesWhenTheDateHasCome(t *testing.T) {
	c := clockOf(t, "PLN")
	s := laidOut(c, "PLN", "2027-06-20", []int{1}, "2027-05-01 12:00")
	now := at("2027-06-20 00:00")
	if s.Left(c, at("2027-06-19 23:00")) != time.Hour {
		t.Error(s.Left(c, at("2027-06-19 23:00")))
	}
	if s.Act(c, now) != Finish || !s.Finished(c, now) {
		t.Fatal("it is not over, or counts as reached")
	}
	wantSays(t, s, "expired | *1 missed date_passed")

	s = laidOut(c, "PLN", "2027-06-20", []int{1}, "2027-05-01 12:00")
	item := send(t, s, c, "2027-06-19 09:00", 1)
	if s.Stands(item, c, at("2027-06-19 23:59")) != Stands || s.Stands(item, c, now) != Late {
		t.Error("it may leave on the date")
	}
	if s.Act(c, now) != Finish || s.Finished(c, now) {
		t.Fatal("what is out decides itself")
	}
	if _, unreached := ended(s, c, item, 1, false, "EXPIRED", "2027-06-20 00:01"); !unreached {
		t.Error("nobody hears that it was not reached")
	}
	wantSays(t, s, "expired | *1 failed x1 EXPIRED")
	if changed, unreached := ended(s, c, item, 1, false, "EXPIRED", "2027-06-20 00:02"); changed || unreached {
		t.Error("told twice it is listed twice")
	}
}

func TestADateThatIsMovedAndMovedBackSendsNoStepTwice(t *testing.T) {
	c := clockOf(t, "PLN")
	lead := []int{18}
	s := laidOut(c, "PLN", "2027-06-20", lead, "2027-06-02 09:00")
	item := send(t, s, c, "2027-06-02 09:00", 1)
	to := s.Reminder
	to.Expires = day("2027-06-21")
	s.Set(to, lead, c, at("2027-06-02 09:10"))
	wantSays(t, s, "pending 2027-06-03 09:00 | *18 coming")
	if s.Stands(item, c, at("2027-06-02 09:11")) != Gone {
		t.Error("the message of the date before still stands")
	}
	if changed, _ := ended(s, c, item, 1, true, "", "2027-06-02 09:11"); changed {
		t.Error("the end of a message of the date before did something")
	}
	to.Expires = day("2027-06-20")
	s.Set(to, lead, c, at("2027-06-02 09:12"))
	wantSays(t, s, "done | 18 already")
	if s.Created != s.Reminder.Created {
		t.Error("created anew")
	}
	// What was taken back has not left.
	s = laidOut(c, "PLN", "2027-06-20", lead, "2027-06-02 09:00")
	send(t, s, c, "2027-06-02 09:00", 1)
	s.Withdrawn()
	to.Expires = day("2027-06-21")
	s.Set(to, lead, c, at("2027-06-02 09:10"))
	to.Expires = day("2027-06-20")
	s.Set(to, lead, c, at("2027-06-02 09:12"))
	wantSays(t, s, "pending 2027-06-02 09:12 | *18 coming")
}

func TestWhatIsChangedBesideTheDateLeavesAgainOnlyWhenItWasTakenBack(t *testing.T) {
	c := clockOf(t, "PLN")
	to := Reminder{Account: "civil", Key: "A-1", Number: 966500000002, Service: "PLN", Expires: day("2027-06-20")}
	s := laidOut(c, "PLN", "2027-06-20", []int{18}, "2027-06-02 09:00")
	once := string(s.Once())
	send(t, s, c, "2027-06-02 09:00", 1)
	s.Change(to, true, c, at("2027-06-02 09:10"))
	wantSays(t, s, "pending 2027-06-02 09:10 | *18 coming")
	if string(s.Once()) == once {
		t.Error("it has the key of what was taken back")
	}
	s = laidOut(c, "PLN", "2027-06-20", []int{18}, "2027-06-02 09:00")
	send(t, s, c, "2027-06-02 09:00", 1)
	s.Change(to, false, c, at("2027-06-02 09:10"))
	wantSays(t, s, "pending 2027-06-20 00:00 | *18 out x1")
}

func TestADeletedSeriesSendsNothing(t *testing.T) {
	for _, row := range []struct {
		name      string
		out       bool
		withdrawn bool
		want      string
	}{
		{"nothing was out", false, false, "withdrawn | *18 recalled | 7 recalled"},
		{"what was out was taken back", true, true, "withdrawn | *18 recalled x1 | 7 recalled"},
		{"what was out is leaving", true, false, "withdrawn | *18 out x1 | 7 recalled"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c := clockOf(t, "PLN")
			s := laidOut(c, "PLN", "2027-06-20", []int{18, 7}, "2027-06-02 09:00")
			item := s.Item()
			if row.out {
				send(t, s, c, "2027-06-02 09:00", 1)
			}
			s.Delete(row.withdrawn, c, at("2027-06-02 09:01"))
			wantSays(t, s, row.want)
			if s.Stands(item, c, at("2027-06-02 09:01")) != Gone {
				t.Error("its message still stands")
			}
			if got := s.Act(c, at("2027-06-02 09:02")); got != Rest {
				t.Errorf("%d is to be done", got)
			}
			if _, unreached := ended(s, c, item, 1, false, "x", "2027-06-02 09:02"); unreached {
				t.Error("nobody was to be reached any more")
			}
		})
	}
}

// The process ended between the queue and the record: the end comes of a message that the
// series does not know.
func TestAnEndOfWhatWasNotWrittenDownCounts(t *testing.T) {
	c := clockOf(t, "PLN")
	s := laidOut(c, "PLN", "2027-06-20", []int{18, 7}, "2027-06-02 09:00")
	item := s.Item()
	if changed, _ := ended(s, c, item, 9, true, "", "2027-06-02 09:01"); !changed {
		t.Fatal("it does not")
	}
	wantSays(t, s, "pending 2027-06-13 09:00 | 18 delivered x1 | *7 coming")
	if s.Steps[0].Message != 9 {
		t.Errorf("message %d", s.Steps[0].Message)
	}
}

func TestRoomlessSeriesComeAgainBehindOthers(t *testing.T) {
	c := clockOf(t, "PLN")
	s := laidOut(c, "PLN", "2027-06-20", []int{18}, "2027-06-02 09:00")
	due := s.Steps[0].Due
	s.Postpone(at("2027-06-02 09:00").Add(5500 * time.Millisecond))
	if !s.Next.Equal(at("2027-06-02 09:00").Add(6*time.Second)) || s.Steps[0].Due != due || s.Steps[0].Try != 0 {
		t.Error(says(s), s.Next)
	}
	send(t, s, c, "2027-06-02 09:01", 1)
}

// The folder was restored from a copy, and an ID given again: the end of a message that
// another series had sent.
func TestAnEndOfAnotherSeriesMessageIsPassedOver(t *testing.T) {
	c := clockOf(t, "PLN")
	s := laidOut(c, "PLN", "2027-06-20", []int{18, 7}, "2027-06-02 09:00")
	item := send(t, s, c, "2027-06-02 09:00", 1)
	if changed, unreached := ended(s, c, item, 2, false, "x", "2027-06-02 09:01"); changed || unreached {
		t.Error(says(s))
	}
	other := laidOut(c, "PLN", "2027-06-20", []int{18, 7}, "2027-06-02 09:00")
	s = laidOut(c, "PLN", "2027-06-20", []int{18, 7}, "2027-06-02 09:00")
	if other.Key = "A-2"; string(other.Once()) == string(s.Once()) {
		t.Error("two keys under one ID are one message to the queue")
	}
}
