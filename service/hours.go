package service

import (
	"slices"
	"sync/atomic"
	"time"
)

// Never is when a service opens that no hour of the coming year lets out. New refuses such
// a service, so it takes a clock far from any date of the catalogue to see it.
var Never = time.Date(9999, time.December, 31, 0, 0, 0, 0, time.UTC)

// search is how far ahead an opening is looked for.
const search = 366 * 24 * time.Hour

// hours is when a service may leave: what service, agency, category and calendar say,
// brought together by New.
//
// What the clock on the wall shows in the zone decides, moment by moment. Where the clock
// is set forward over the end of a span, the span ends with the jump; where it is set back
// into a span, that hour is spent in it a second time. So no moment is open by one reading
// of the clock and closed by another, and an answer of OpensAt is always open itself.
type hours struct {
	zone      *time.Location
	category  string
	quiet     *Windows // nil: does not hold, whatever an override says
	permitted *Windows // nil: at any time
	weekend   [7]bool
	holidays  []Dates
	overrides []Override
	longest   time.Duration // set by New: longestWait

	// The answers of the last day and a half, each for as long as it holds. One slot would
	// do for messages that leave now; those that are scheduled ask about other hours, and
	// would push the answer for now out with each message.
	runs [16]atomic.Pointer[run]
}

// A run is a stretch of time with one answer: [from, until) in seconds since 1970.
type run struct {
	from, until int64
	opens       time.Time
}

// OpensAt says when a service may leave by its hours: zero when it may at now, else the
// first moment at which neither quiet hours nor its category's hours keep it. Urgent
// services, and no service at all, may at any time.
//
// Asked again within the same stretch of hours it costs a few nanoseconds.
func (c *Catalogue) OpensAt(s *Service, now time.Time) time.Time {
	if s == nil || s.hours == nil {
		return time.Time{}
	}
	return s.hours.opensAt(now)
}

func (h *hours) opensAt(now time.Time) time.Time {
	sec := now.Unix() // every edge lies on a whole second
	slot := &h.runs[uint64(sec)>>13%16]
	if r := slot.Load(); r != nil && r.from <= sec && sec < r.until {
		return r.opens
	}
	r := h.run(now)
	slot.Store(&r)
	return r.opens
}

// run finds the stretch that now lies in. It may begin later than it could.
func (h *hours) run(now time.Time) run {
	closed, from, until := h.at(now)
	r := run{from: from.Unix()}
	end := now.Add(search)
	for was := closed; until.Before(end); {
		is, _, next := h.at(until)
		if is != was {
			break
		}
		until = next
		if !was && until.Sub(now) > 48*time.Hour {
			break // open for long enough: how long does not matter to the answer
		}
	}
	r.until = until.Unix()
	switch {
	case closed && !until.Before(end):
		r.until, r.opens = now.Unix()+1, Never
	case closed:
		r.opens = until.In(h.zone)
	}
	return r
}

// at says how it stands at one moment, and a stretch [since, until) around it in which it
// stands the same. The stretch ends at the next edge of a span, at midnight, or where the
// zone's offset changes, whichever is first: within it, clock and time run alike.
func (h *hours) at(now time.Time) (closed bool, since, until time.Time) {
	local := now.In(h.zone)
	y, m, d := local.Date()
	hour, minute, second := local.Clock()
	today, before := h.on(y, m, d), h.on(y, m, d-1)

	clock := clock{sec: (hour*60+minute)*60 + second, until: 24 * 60 * 60}
	quiet := clock.within(today.quiet, before.quiet)
	permitted := clock.within(today.permitted, before.permitted) || today.anyTime
	closed = quiet || !permitted

	since = time.Unix(now.Unix()-int64(clock.sec-clock.since), 0)
	until = time.Unix(now.Unix()+int64(clock.until-clock.sec), 0)
	start, end := local.ZoneBounds()
	if start.After(since) {
		since = start
	}
	if !end.IsZero() && end.Before(until) {
		until = end
	}
	return closed, since, until
}

// dayHours are the spans that begin on one day.
type dayHours struct {
	quiet, permitted []Span
	anyTime          bool // permitted is not restricted
}

func (h *hours) on(y int, m time.Month, d int) dayHours {
	noon := time.Date(y, m, d, 12, 0, 0, 0, time.UTC) // brings day 0 and 32 in order
	y, m, d = noon.Date()
	day := Day{y, m, d}

	quiet, permitted := h.quiet, h.permitted
	for i := range h.overrides {
		o := &h.overrides[i]
		if !o.In(day) {
			continue
		}
		if o.Quiet != nil {
			quiet = o.Quiet
		}
		if p, ok := o.Permitted[h.category]; ok {
			permitted = p
		}
		break // the first that holds wins
	}

	free := h.weekend[noon.Weekday()] || slices.ContainsFunc(h.holidays, func(d Dates) bool { return d.In(day) })
	var of dayHours
	if h.quiet != nil {
		of.quiet = quiet.of(free)
	}
	if permitted == nil {
		of.anyTime = true
	} else {
		of.permitted = permitted.of(free)
	}
	return of
}

func (w *Windows) of(free bool) []Span {
	if free && w.Weekend != nil {
		return w.Weekend
	}
	return w.Days
}

// clock is a time of day, and the edges nearest to it. In seconds since midnight.
type clock struct{ since, sec, until int }

// within reports whether the clock shows a time inside one of the day's spans, or of what
// those of the day before left for this one.
func (c *clock) within(today, before []Span) (in bool) {
	for _, s := range today {
		end := s.To
		if s.To <= s.From {
			end = 24 * 60
		}
		in = c.inside(s.From, end) || in
	}
	for _, s := range before {
		if s.To <= s.From {
			in = c.inside(0, s.To) || in
		}
	}
	return in
}

func (c *clock) inside(from, to int) bool {
	for _, edge := range [...]int{from * 60, to * 60} {
		if edge <= c.sec {
			c.since = max(c.since, edge)
		} else {
			c.until = min(c.until, edge)
		}
	}
	return from*60 <= c.sec && c.sec < to*60
}

// longestWait is the longest time that a message may wait for its hours: on ordinary days, and
// around every holiday and override. Never's distance when it does not open at all.
func (h *hours) longestWait() (most time.Duration) {
	const around = 3
	stretch := func(from Day, days int) {
		now := from.at(h.zone).AddDate(0, 0, -around)
		for end := now.AddDate(0, 0, days+2*around); now.Before(end); {
			r := h.run(now)
			if r.opens.Equal(Never) {
				most = Never.Sub(now) // saturates at 292 years
				return
			}
			if !r.opens.IsZero() {
				most = max(most, r.opens.Sub(now))
			}
			now = time.Unix(max(r.until, now.Unix()+1), 0)
		}
	}
	stretch(h.ordinary(), 14)
	for _, d := range h.holidays {
		stretch(d.From, d.days())
	}
	for _, o := range h.overrides {
		stretch(o.From, o.days())
	}
	return most
}

// days is how many they are, at most a year's.
func (d *Dates) days() int {
	return min(int(d.To.at(time.UTC).Sub(d.From.at(time.UTC))/(24*time.Hour))+1, 366)
}

// ordinary is the first day of three weeks that no holiday and no override touches.
func (h *hours) ordinary() Day {
	day := Day{2001, time.January, 7}
	touched := func(d *Dates) bool {
		y, m, n := day.at(time.UTC).AddDate(0, 0, 21).Date()
		return d.From.Compare(Day{y, m, n}) <= 0 && d.To.Compare(day) >= 0
	}
	for range 400 { // ever later: a list of dates ends somewhere
		y, m, n := day.at(time.UTC).AddDate(0, 0, 21).Date()
		if !slices.ContainsFunc(h.holidays, func(d Dates) bool { return touched(&d) }) &&
			!slices.ContainsFunc(h.overrides, func(o Override) bool { return touched(&o.Dates) }) {
			break
		}
		day = Day{y, m, n}
	}
	return day
}
