package service_test

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"masar/service"
)

// calendarOf is small with hours to try: AAA (service) and BBB (awareness) hold, CCC
// (awareness) does not, DDD is urgent, EEE has quiet hours of its own.
func calendarOf(zone *time.Location, cal service.Calendar, agency *service.Windows) service.Options {
	o := small()
	o.Zone, o.Calendar = zone, cal
	o.Agencies[0].Quiet = agency
	base := o.Services[0]
	base.Params, base.Versions = nil, nil
	add := func(code, category string, change func(*service.Service)) {
		s := base
		s.Code, s.Category, s.Name = code, category, service.Texts{"en": code}
		change(&s)
		o.Services = append(o.Services, s)
	}
	o.Services = nil
	add("AAA", "service", func(*service.Service) {})
	add("BBB", "awareness", func(*service.Service) {})
	add("CCC", "awareness", func(s *service.Service) { s.Hold = false })
	add("DDD", "awareness", func(s *service.Service) { s.Hold, s.Class = false, 0 })
	add("EEE", "service", func(s *service.Service) {
		s.Quiet = &service.Windows{Days: []service.Span{{From: 12 * 60, To: 14 * 60}}}
	})
	return o
}

func saudi(t testing.TB) service.Calendar {
	return service.Calendar{
		Quiet:    service.Windows{Days: spans(t, "22:00-08:00"), Weekend: spans(t, "22:00-10:00")},
		Weekend:  []time.Weekday{time.Friday, time.Saturday},
		Holidays: []service.Dates{dates(t, "national day", "2027-09-23", "2027-09-23"), dates(t, "eid", "2027-03-09", "2027-03-13")},
		Overrides: []service.Override{{
			Dates:     dates(t, "ramadan", "2027-02-08", "2027-03-08"),
			Quiet:     &service.Windows{Days: spans(t, "03:00-11:00")},
			Permitted: map[string]*service.Windows{"awareness": {Days: spans(t, "11:00-02:00")}},
		}},
	}
}

func location(t testing.TB, name string) *time.Location {
	t.Helper()
	zone, err := time.LoadLocation(name)
	if err != nil {
		t.Fatal(err)
	}
	return zone
}

func TestAServiceOpensWhenItsHoursDo(t *testing.T) {
	riyadh, newYork, cairo := location(t, "Asia/Riyadh"), location(t, "America/New_York"), location(t, "Africa/Cairo")
	holes := service.Calendar{
		Quiet: service.Windows{
			Days:    spans(t, "01:00-02:30", "12:00-13:00", "13:00-14:00", "23:30-00:00"),
			Weekend: []service.Span{},
		},
		Weekend: []time.Weekday{time.Sunday},
	}
	for _, row := range []struct {
		name, code string
		zone       *time.Location
		cal        service.Calendar
		agency     *service.Windows
		now, opens string // opens empty: open now
	}{
		// 2027-06-02 is a Wednesday, 2027-06-03 a Thursday.
		{"by day", "AAA", riyadh, saudi(t), nil, "2027-06-02 12:00", ""},
		{"the last moment of quiet hours", "AAA", riyadh, saudi(t), nil, "2027-06-02 07:59", "2027-06-02 08:00"},
		{"the first open moment", "AAA", riyadh, saudi(t), nil, "2027-06-02 08:00", ""},
		{"the last open moment", "AAA", riyadh, saudi(t), nil, "2027-06-02 21:59", ""},
		{"in the evening, over midnight", "AAA", riyadh, saudi(t), nil, "2027-06-02 22:00", "2027-06-03 08:00"},
		{"after midnight the day before counts", "AAA", riyadh, saudi(t), nil, "2027-06-02 00:30", "2027-06-02 08:00"},
		{"into the weekend: Thursday's hours end at 8", "AAA", riyadh, saudi(t), nil, "2027-06-04 07:00", "2027-06-04 08:00"},
		{"Friday's reach into Saturday, until 10", "AAA", riyadh, saudi(t), nil, "2027-06-04 23:00", "2027-06-05 10:00"},
		{"Saturday's reach into Sunday, until 10", "AAA", riyadh, saudi(t), nil, "2027-06-06 09:30", "2027-06-06 10:00"},
		{"a holiday on a Thursday counts as weekend", "AAA", riyadh, saudi(t), nil, "2027-09-23 22:30", "2027-09-24 10:00"},
		{"the day before a holiday does not", "AAA", riyadh, saudi(t), nil, "2027-09-22 22:30", "2027-09-23 08:00"},
		{"in the middle of a holiday's days", "AAA", riyadh, saudi(t), nil, "2027-03-11 23:00", "2027-03-12 10:00"},
		{"Ramadan: open late at night", "AAA", riyadh, saudi(t), nil, "2027-02-20 01:00", ""},
		{"Ramadan: quiet in the morning", "AAA", riyadh, saudi(t), nil, "2027-02-20 03:00", "2027-02-20 11:00"},
		{"Ramadan begins: the evening before still counts", "AAA", riyadh, saudi(t), nil, "2027-02-08 02:00", "2027-02-08 11:00"},
		{"Ramadan ends: the next night is ordinary, and a holiday's", "AAA", riyadh, saudi(t), nil, "2027-03-09 22:00", "2027-03-10 10:00"},
		{"Ramadan's last evening is open", "AAA", riyadh, saudi(t), nil, "2027-03-08 23:30", ""},

		{"a category's hours alone", "CCC", riyadh, saudi(t), nil, "2027-06-02 08:30", "2027-06-02 09:00"},
		{"at their end", "CCC", riyadh, saudi(t), nil, "2027-06-02 22:00", "2027-06-03 09:00"},
		{"both: the later opening counts", "BBB", riyadh, saudi(t), nil, "2027-06-02 07:00", "2027-06-02 09:00"},
		{"both at the weekend: quiet hours are the later", "BBB", riyadh, saudi(t), nil, "2027-06-05 09:30", "2027-06-05 10:00"},
		{"both in Ramadan: permitted until 2, quiet from 3 to 11", "BBB", riyadh, saudi(t), nil, "2027-02-20 02:30", "2027-02-20 11:00"},
		{"both in Ramadan: open at night", "BBB", riyadh, saudi(t), nil, "2027-02-20 01:59", ""},
		{"on Ramadan's last night permitted hours reach over", "CCC", riyadh, saudi(t), nil, "2027-03-09 01:30", ""},
		{"and end there", "CCC", riyadh, saudi(t), nil, "2027-03-09 02:00", "2027-03-09 09:00"},
		{"urgent: at any time", "DDD", riyadh, saudi(t), nil, "2027-06-02 03:00", ""},
		{"quiet hours of its own, at night open", "EEE", riyadh, saudi(t), nil, "2027-06-02 03:00", ""},
		{"quiet hours of its own, at noon closed", "EEE", riyadh, saudi(t), nil, "2027-06-02 12:30", "2027-06-02 14:00"},
		{"quiet hours of its own at the weekend too", "EEE", riyadh, saudi(t), nil, "2027-06-04 12:30", "2027-06-04 14:00"},
		{"an override is above its own", "EEE", riyadh, saudi(t), nil, "2027-02-20 12:30", ""},
		{"an agency's are above the calendar's", "AAA", riyadh, saudi(t), windows(t, "18:00-06:00"), "2027-06-02 07:00", ""},
		{"an agency's, closed", "AAA", riyadh, saudi(t), windows(t, "18:00-06:00"), "2027-06-02 18:00", "2027-06-03 06:00"},
		{"a service's are above its agency's", "EEE", riyadh, saudi(t), windows(t, "18:00-06:00"), "2027-06-02 18:00", ""},

		{"spans that touch are one", "AAA", time.UTC, holes, nil, "2027-06-02 12:10", "2027-06-02 14:00"},
		{"a span to midnight ends there", "AAA", time.UTC, holes, nil, "2027-06-02 23:45", "2027-06-03 00:00"},
		{"a weekend without any", "AAA", time.UTC, holes, nil, "2027-06-06 12:30", ""},

		// New York: 2027-03-14 02:00 -> 03:00, 2027-11-07 02:00 -> 01:00.
		{"the end lies in the skipped hour", "AAA", newYork, service.Calendar{Quiet: holes.Quiet}, nil, "2027-03-14 01:30", "2027-03-14 03:00"},
		{"the end lies behind the repeated hour", "AAA", newYork, service.Calendar{Quiet: holes.Quiet}, nil, "2027-11-07 00:59", ""},
		{"an hour longer where the clock is set back", "AAA", newYork, saudi(t), nil, "2027-11-06 23:00", "2027-11-07 10:00"},
		// Cairo sets its clock forward at midnight: 2027-04-30 begins at 01:00.
		{"midnight itself is skipped", "AAA", cairo, service.Calendar{Quiet: service.Windows{Days: spans(t, "23:30-00:30")}}, nil, "2027-04-29 23:45", "2027-04-30 01:00"},
	} {
		t.Run(row.name, func(t *testing.T) {
			c, err := service.New(calendarOf(row.zone, row.cal, row.agency))
			if err != nil {
				t.Fatal(err)
			}
			now, err := time.ParseInLocation("2006-01-02 15:04", row.now, row.zone)
			if err != nil {
				t.Fatal(err)
			}
			var got string
			opens := c.OpensAt(c.Service(row.code), now)
			if !opens.IsZero() {
				got = opens.In(row.zone).Format("2006-01-02 15:04")
				if again := c.OpensAt(c.Service(row.code), opens); !again.IsZero() {
					t.Errorf("opens at %s, and is closed then until %s", opens, again)
				}
				if before := c.OpensAt(c.Service(row.code), opens.Add(-time.Nanosecond)); !before.Equal(opens) {
					t.Errorf("opens at %s, and a moment before that answers %s", opens, before)
				}
			}
			if got != row.opens {
				t.Errorf("%s at %s opens %q, want %q", row.code, row.now, got, row.opens)
			}
		})
	}
}

// In the repeated hour of New York, quiet from 01:00 to 01:30: closed, open, closed, open.
func TestARepeatedHourIsQuietTwice(t *testing.T) {
	newYork := location(t, "America/New_York")
	o := calendarOf(newYork, service.Calendar{Quiet: service.Windows{Days: spans(t, "01:00-01:30")}}, nil)
	c, err := service.New(o)
	if err != nil {
		t.Fatal(err)
	}
	first := time.Date(2027, 11, 7, 5, 0, 0, 0, time.UTC) // 01:00 EDT; 01:00 EST is an hour later
	for minute, opens := range map[int]int{0: 30, 29: 30, 30: -1, 59: -1, 60: 90, 89: 90, 90: -1} {
		got := c.OpensAt(c.Service("AAA"), first.Add(time.Duration(minute)*time.Minute))
		want := time.Time{}
		if opens >= 0 {
			want = first.Add(time.Duration(opens) * time.Minute)
		}
		if !got.Equal(want) {
			t.Errorf("minute %d: opens at %v, want %v", minute, got, want)
		}
	}
}

func TestOneThatNeverOpensIsRefused(t *testing.T) {
	always := &service.Windows{Days: spans(t, "00:00-24:00")}
	for _, row := range []struct {
		name   string
		change func(*service.Options)
		ok     bool
	}{
		{"quiet all day", func(o *service.Options) { o.Services[0].Quiet = always }, false},
		{"quiet all day but at weekends", func(o *service.Options) {
			o.Services[0].Quiet = &service.Windows{Days: always.Days, Weekend: []service.Span{}}
			o.Calendar.Weekend = []time.Weekday{time.Friday}
		}, true},
		{"the same without a weekend", func(o *service.Options) {
			o.Services[0].Quiet = &service.Windows{Days: always.Days, Weekend: []service.Span{}}
		}, false},
		{"permitted only while quiet", func(o *service.Options) {
			o.Services[0].Category = "awareness"
			o.Services[0].Quiet = windows(t, "09:00-22:00")
		}, false},
		{"permitted at no time", func(o *service.Options) { o.Categories[0].Permitted = &service.Windows{} }, false},
		{"quiet for a month", func(o *service.Options) {
			o.Calendar.Overrides = []service.Override{{Dates: dates(t, "month", "2027-01-01", "2027-01-31"), Quiet: always}}
		}, true},
		{"quiet for years", func(o *service.Options) {
			o.Calendar.Overrides = []service.Override{{Dates: dates(t, "years", "2027-01-01", "2029-01-31"), Quiet: always}}
		}, false},
		{"urgent", func(o *service.Options) {
			o.Calendar.Quiet, o.Services[0].Class, o.Services[0].Hold = *always, 0, false
		}, true},
	} {
		o := small()
		row.change(&o)
		all := mistakes(t, o)
		never := len(all) > 0 && strings.Contains(all[0].Rule, "never opens") && all[0].Path == "services[0]"
		if never == row.ok || row.ok && len(all) > 0 {
			t.Errorf("%s: mistakes %v", row.name, all)
		}
	}
}

func TestALongHoldIsWarnedOf(t *testing.T) {
	o := small()
	o.Calendar = saudi(t)
	o.Services[0].Validity = 13 * time.Hour // from 22:00 before Ramadan to 11:00 in it
	c, err := service.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if got := warning(c, "services[0].validity"); got != "" {
		t.Errorf("a validity as long as the hold is warned of: %s", got)
	}
	o.Services[0].Validity = 12 * time.Hour
	if c, err = service.New(o); err != nil {
		t.Fatal(err)
	}
	if got := warning(c, "services[0].validity"); !strings.Contains(got, `"12h" is shorter than the longest wait for its hours, 13h;`) {
		t.Errorf("the warning says %q", got)
	}
	// A rare long hold counts too: one holiday on which nothing leaves.
	o.Services[0].Validity = 20 * time.Hour
	o.Calendar.Quiet.Weekend = spans(t, "00:00-24:00")
	o.Calendar.Weekend = nil
	if c, err = service.New(o); err != nil {
		t.Fatal(err)
	}
	// Eid: from the 8th 24:00 (Ramadan's night is open) to the 14th 00:00.
	if got := warning(c, "services[0].validity"); !strings.Contains(got, "120h") {
		t.Errorf("the warning says %q", got)
	}
	// Without Ramadan before it, from the 8th 22:00.
	o.Calendar.Overrides = nil
	if c, err = service.New(o); err != nil {
		t.Fatal(err)
	}
	if got := warning(c, "services[0].validity"); !strings.Contains(got, "122h") {
		t.Errorf("the warning says %q", got)
	}
}

func warning(c *service.Catalogue, path string) string {
	for _, w := range c.Warnings() {
		if w.Path == path {
			return w.Error()
		}
	}
	return ""
}

func TestHoursMayBeAskedFromManyGoroutines(t *testing.T) {
	c, err := service.New(calendarOf(location(t, "Asia/Riyadh"), saudi(t), nil))
	if err != nil {
		t.Fatal(err)
	}
	fresh, err := service.New(calendarOf(location(t, "Asia/Riyadh"), saudi(t), nil))
	if err != nil {
		t.Fatal(err)
	}
	start := time.Date(2027, 6, 2, 0, 0, 0, 0, time.UTC)
	want := make([]time.Time, 48*60)
	for i := range want {
		want[i] = fresh.OpensAt(fresh.Service("BBB"), start.Add(time.Duration(i)*time.Minute))
	}
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range want {
				i = (i*7 + g*311) % len(want)
				if got := c.OpensAt(c.Service("BBB"), start.Add(time.Duration(i)*time.Minute)); !got.Equal(want[i]) {
					t.Errorf("minute %d: %s, want %s", i, got, want[i])
					return
				}
			}
		})
	}
	wg.Wait()
}

func BenchmarkOpensAt(b *testing.B) {
	c, err := service.New(calendarOf(location(b, "Asia/Riyadh"), saudi(b), nil))
	if err != nil {
		b.Fatal(err)
	}
	s := c.Service("BBB")
	for _, hour := range []int{9, 20} { // open, closed
		now := time.Date(2027, 6, 2, hour, 0, 0, 0, time.UTC)
		b.Run(fmt.Sprintf("open=%v", c.OpensAt(s, now).IsZero()), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.OpensAt(s, now)
			}
		})
	}
	b.Run("anew", func(b *testing.B) { // the first question in a stretch
		b.ReportAllocs()
		now := time.Date(2027, 6, 2, 9, 0, 0, 0, time.UTC)
		for i := 0; b.Loop(); i++ {
			c.OpensAt(s, now.AddDate(0, 0, i%300))
		}
	})
}
