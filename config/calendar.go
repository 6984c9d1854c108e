package config

import (
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// Windows are spans of the day. They may be written as their days alone.
type Windows struct {
	// Spans on working days.
	Days []Span `yaml:"days" eg:"[\"22:00-08:00\"]"`
	// Spans on weekends and holidays; []: none.
	Weekend []Span `yaml:"weekend" inherit:".days" eg:"[\"22:00-10:00\"]"`
}

// QuietRule is how a service keeps quiet hours. It may be written as its rule or its days
// alone.
type QuietRule struct {
	// hold or allow; days and weekend hold.
	Rule    string `yaml:"rule" one:"hold allow" eg:"allow"`
	Windows `yaml:",inline"`
	// Own is nil where the agency's hours, or the file's, are the service's.
	Own *Windows `yaml:"-"`
}

// Hold reports whether the service waits for the end of quiet hours.
func (q QuietRule) Hold() bool { return q.Rule == "hold" }

// shortQuiet is which key of a QuietRule one value stands for.
func shortQuiet(n *yaml.Node) string {
	if n.Kind == yaml.SequenceNode || n.Value != "" && n.Value[0] >= '0' && n.Value[0] <= '9' {
		return "days"
	}
	return "rule"
}

// Holiday is days that count as weekend.
type Holiday struct {
	// Its name.
	Name string `yaml:"name" need:"yes" eg:"eid-al-fitr"`
	// First day.
	From Day `yaml:"from" need:"yes" eg:"2027-03-09"`
	// Last day.
	To Day `yaml:"to" inherit:".from" eg:"2027-03-13"`
}

func (h Holiday) id() string { return h.Name }

// Override is hours that replace others between two dates.
type Override struct {
	// Its name.
	Name string `yaml:"name" need:"yes" eg:"ramadan"`
	// First day.
	From Day `yaml:"from" need:"yes" eg:"2027-02-08"`
	// Last day.
	To Day `yaml:"to" inherit:".from" eg:"2027-03-08"`
	// Quiet hours instead of the file's and the agencies'. Left out: unchanged.
	QuietHours *Windows `yaml:"quiet_hours"`
	// Permitted hours of categories, by name. A category that is left out is unchanged.
	Permitted map[string]*Windows `yaml:"permitted"`
}

func (o Override) id() string { return o.Name }

// Span is a part of the day, its end not included. One that ends before it begins passes
// midnight and belongs to the day it begins on.
type Span struct{ From, To Clock }

// String writes 22:00-08:00.
func (s Span) String() string { return s.From.String() + "-" + s.To.String() }

func parseSpan(s string) (Span, *fault) {
	from, to, ok := strings.Cut(s, "-")
	if !ok {
		return Span{}, &fault{"is not a span of the day", "write it as 22:00-08:00"}
	}
	a, f := parseClock(strings.TrimSpace(from))
	if f != nil {
		return Span{}, &fault{"begins with what is no time of day", "write it as 22:00-08:00"}
	}
	b, f := parseClock(strings.TrimSpace(to))
	switch {
	case f != nil:
		return Span{}, &fault{"ends with what is no time of day", "write it as 22:00-08:00"}
	case a == b:
		return Span{}, &fault{"ends when it begins", "write 00:00-24:00 for the whole day"}
	case a == 24*60:
		return Span{}, &fault{"begins at 24:00", "write 00:00-" + b.String()}
	}
	return Span{a, b}, nil
}

// Day is a civil date. The zero Day is none.
type Day struct {
	Year  int
	Month time.Month
	Day   int
}

// String writes 2027-03-09; the zero Day is empty.
func (d Day) String() string {
	if d == (Day{}) {
		return ""
	}
	return fmt.Sprintf("%04d-%02d-%02d", d.Year, d.Month, d.Day)
}

// IsZero reports whether no day is meant.
func (d Day) IsZero() bool { return d == Day{} }

// Start is the first moment of the day in loc.
//
// REQUIRES: d is not zero.
func (d Day) Start(loc *time.Location) time.Time {
	return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, loc)
}

// End is the first moment of the day after.
//
// REQUIRES: d is not zero.
func (d Day) End(loc *time.Location) time.Time {
	return time.Date(d.Year, d.Month, d.Day+1, 0, 0, 0, 0, loc)
}

// Before compares two days.
func (d Day) Before(o Day) bool { return d.Start(time.UTC).Before(o.Start(time.UTC)) }

var dayForm = regexp.MustCompile(`^([0-9]{4})-([0-9]{2})-([0-9]{2})$`)

func parseDay(s string) (Day, *fault) {
	m := dayForm.FindStringSubmatch(s)
	if m == nil {
		return Day{}, &fault{"is not a date", "write it as 2027-03-09"}
	}
	y, _ := strconv.Atoi(m[1])
	month, _ := strconv.Atoi(m[2])
	day, _ := strconv.Atoi(m[3])
	d := Day{y, time.Month(month), day}
	// The Gregorian calendar: a Hijri year would be long past, and silently without effect.
	if got := d.Start(time.UTC); y < 1900 || got.Month() != d.Month || got.Day() != day {
		return Day{}, &fault{"is no date of the Gregorian calendar", "write it as 2027-03-09"}
	}
	return d, nil
}
