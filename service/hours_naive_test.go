package service_test

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"masar/service"
)

// naive answers by the words of the rules: minute by minute, what the clock on the wall
// shows against every span.
type naive struct {
	o service.Options
	s service.Service
}

func (n naive) closed(now time.Time) bool {
	if n.s.Class == 0 {
		return false
	}
	local := now.In(n.o.Zone)
	minute := local.Hour()*60 + local.Minute()
	today := local.Format(time.DateOnly)
	noon := time.Date(local.Year(), local.Month(), local.Day(), 12, 0, 0, 0, time.UTC)
	before := noon.AddDate(0, 0, -1).Format(time.DateOnly)

	in := func(of func(day string) []service.Span) bool {
		for _, s := range of(today) {
			if s.From < s.To && minute >= s.From && minute < s.To || s.From > s.To && minute >= s.From {
				return true
			}
		}
		for _, s := range of(before) {
			if s.From > s.To && minute < s.To {
				return true
			}
		}
		return false
	}
	if n.s.Hold && in(func(day string) []service.Span { return n.spans(day, n.quiet(day)) }) {
		return true
	}
	return n.permitted(today) != nil && !in(func(day string) []service.Span {
		if n.permitted(day) == nil {
			return nil
		}
		return n.spans(day, n.permitted(day))
	})
}

func (n naive) during(day string, d service.Dates) bool {
	return day >= d.From.String() && day <= d.To.String() // both are written so that they sort
}

func (n naive) spans(day string, w *service.Windows) []service.Span {
	d, _ := time.Parse(time.DateOnly, day)
	free := slices.Contains(n.o.Calendar.Weekend, d.Weekday())
	for _, h := range n.o.Calendar.Holidays {
		free = free || n.during(day, h)
	}
	if free && w.Weekend != nil {
		return w.Weekend
	}
	return w.Days
}

func (n naive) quiet(day string) *service.Windows {
	for _, v := range n.o.Calendar.Overrides {
		if n.during(day, v.Dates) {
			if v.Quiet != nil {
				return v.Quiet
			}
			break
		}
	}
	switch {
	case n.s.Quiet != nil:
		return n.s.Quiet
	case n.o.Agencies[0].Quiet != nil:
		return n.o.Agencies[0].Quiet
	}
	return &n.o.Calendar.Quiet
}

func (n naive) permitted(day string) *service.Windows {
	for _, v := range n.o.Calendar.Overrides {
		if n.during(day, v.Dates) {
			if w, ok := v.Permitted[n.s.Category]; ok {
				return w
			}
			break
		}
	}
	for _, c := range n.o.Categories {
		if c.Name == n.s.Category {
			return c.Permitted
		}
	}
	return nil
}

var zones = []string{"Asia/Riyadh", "UTC", "America/New_York", "Africa/Cairo", "Australia/Lord_Howe", "America/Santiago", "Asia/Kathmandu", "Pacific/Apia", "Africa/Casablanca"}

// randomHours makes a calendar of short and long, touching and overlapping spans.
func randomHours(r *rand.Rand, zone *time.Location, around time.Time) service.Options {
	windows := func(most int) service.Windows {
		some := func() []service.Span {
			out := []service.Span{}
			for range r.IntN(most + 1) {
				s := service.Span{From: r.IntN(96) * 15, To: r.IntN(97) * 15}
				if r.IntN(4) == 0 {
					s.From = r.IntN(1440)
				}
				if s.From != s.To {
					out = append(out, s)
				}
			}
			return out
		}
		w := service.Windows{Days: some()}
		if r.IntN(2) == 0 {
			w.Weekend = some()
		}
		return w
	}
	maybe := func(most int) *service.Windows {
		if r.IntN(2) == 0 {
			return nil
		}
		w := windows(most)
		return &w
	}
	dates := func() service.Dates {
		from := around.AddDate(0, 0, r.IntN(9)-4)
		to := from.AddDate(0, 0, r.IntN(4))
		day := func(t time.Time) service.Day { return service.Day{Year: t.Year(), Month: t.Month(), Day: t.Day()} }
		return service.Dates{From: day(from), To: day(to)}
	}
	cal := service.Calendar{Quiet: windows(3)}
	for d := range 7 {
		if r.IntN(4) == 0 {
			cal.Weekend = append(cal.Weekend, time.Weekday(d))
		}
	}
	for range r.IntN(3) {
		cal.Holidays = append(cal.Holidays, dates())
	}
	for range r.IntN(3) {
		v := service.Override{Dates: dates(), Quiet: maybe(3)}
		if r.IntN(2) == 0 {
			v.Permitted = map[string]*service.Windows{"awareness": maybe(3)}
		}
		cal.Overrides = append(cal.Overrides, v)
	}
	o := calendarOf(zone, cal, maybe(2))
	o.Categories[1].Permitted = maybe(3)
	o.Services[4].Quiet = maybe(3)
	return o
}

// againstNaive compares a random calendar with the naive search at several moments; several,
// so that answers come from the cache too. false: the calendar never opens.
func againstNaive(t *testing.T, r *rand.Rand, zone *time.Location, now time.Time) bool {
	o := randomHours(r, zone, now.In(zone))
	c, err := service.New(o)
	if err != nil {
		if !strings.Contains(err.Error(), "never opens") {
			t.Fatal(err)
		}
		return false
	}
	for i := range o.Services {
		n := naive{o, o.Services[i]}
		for range 4 {
			at := now.Add(time.Duration(r.Int64N(int64(6 * time.Hour))))
			got := c.OpensAt(c.Service(n.s.Code), at)
			want := time.Time{}
			if n.closed(at) {
				m := at.Truncate(time.Minute)
				for m = m.Add(time.Minute); n.closed(m); m = m.Add(time.Minute) {
					if m.Sub(at) > 20*24*time.Hour {
						t.Fatalf("%s is closed for 20 days from %s", n.s.Code, at)
					}
				}
				want = m
			}
			if !got.Equal(want) {
				t.Fatalf("%s in %s at %s opens at %s, by the naive search %s\n%+v", n.s.Code, zone, at.In(zone), got, want.In(zone), o)
			}
		}
	}
	return true
}

// The moments are drawn around those where clocks change, and at random.
func TestHoursAgreeWithANaiveSearch(t *testing.T) {
	changes := []time.Time{
		time.Date(2027, 3, 14, 7, 0, 0, 0, time.UTC), time.Date(2027, 11, 7, 6, 0, 0, 0, time.UTC), // New York
		time.Date(2027, 4, 29, 22, 0, 0, 0, time.UTC), time.Date(2027, 10, 28, 21, 0, 0, 0, time.UTC), // Cairo
		time.Date(2027, 4, 3, 15, 0, 0, 0, time.UTC), time.Date(2027, 10, 2, 15, 30, 0, 0, time.UTC), // Lord Howe: half an hour
		time.Date(2027, 4, 4, 3, 0, 0, 0, time.UTC), time.Date(2027, 9, 5, 4, 0, 0, 0, time.UTC), // Santiago
		time.Date(2011, 12, 30, 10, 0, 0, 0, time.UTC), // Apia left out a day
	}
	r := rand.New(rand.NewPCG(3, 2027))
	rounds, sound := 250, 0
	if testing.Short() {
		rounds = 60
	}
	for range rounds {
		zone := location(t, zones[r.IntN(len(zones))])
		now := changes[r.IntN(len(changes))]
		if r.IntN(4) == 0 {
			now = time.Date(2027, 1, 1, 0, 0, r.IntN(365*24*60*60), 0, time.UTC)
		}
		now = now.Add(-12*time.Hour + time.Duration(r.Int64N(int64(14*time.Hour))))
		if againstNaive(t, r, zone, now) {
			sound++
		}
	}
	if sound < rounds/2 {
		t.Errorf("only %d of %d calendars ever open", sound, rounds)
	}
}

func FuzzHours(f *testing.F) {
	f.Add(uint64(1), uint8(2), int64(1826089200))
	f.Fuzz(func(t *testing.T, seed uint64, zone uint8, now int64) {
		r := rand.New(rand.NewPCG(seed, 1))
		name := zones[int(zone)%len(zones)]
		againstNaive(t, r, location(t, name), time.Unix(now&0xFFFFFFFF, 0))
	})
}
