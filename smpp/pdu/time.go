package pdu

import (
	"strconv"
	"time"
)

// timeLen is the size of an SMPP time without its NUL: YYMMDDhhmmsstnnp.
const timeLen = 16

// maxRelative is the longest span AppendRelative writes: DD goes to 31.
const maxRelative = 31*24*time.Hour + 24*time.Hour - time.Second

// TimeError says why a time is refused. The time itself does not know which
// parameter it is: see Field.
type TimeError struct {
	Value string // "2602300000000004+"
	Rule  string // "has no day 30 in month 2"
}

// Error returns the value and the rule it breaks.
func (e *TimeError) Error() string { return strconv.Quote(e.Value) + " " + e.Rule }

// Field makes e the refusal of a parameter: Field("schedule_delivery_time",
// ESME_RINVSCHED), Field("validity_period", ESME_RINVEXPIRY).
func (e *TimeError) Field(name string, st Status) *FieldError {
	return &FieldError{name, e.Error(), st}
}

// ParseTime reads an SMPP time (v3.4 section 7.1.1): YYMMDDhhmmsstnnp with p
// '+' or '-' is absolute, with 'R' a span from now. ok is false if b is empty,
// which stands for the default. Errors are *TimeError.
//
// A span's years and months are calendar months in zone, at most to the last
// day of the month: one month from 31 January is 28 or 29 February. Years are
// 2000 to 2037; those after it v5.0 takes for 1938 to 1999, and they are
// refused. t is in zone; nil is UTC.
func ParseTime(b []byte, now time.Time, zone *time.Location) (t time.Time, ok bool, err error) {
	if len(b) == 0 {
		return time.Time{}, false, nil
	}
	if len(b) != timeLen {
		return refuseTime(b, "has "+strconv.Itoa(len(b))+" octets, 16 or none are allowed")
	}
	var n [7]int // YY MM DD hh mm ss, and nn
	for i := range n {
		at := 2 * i
		if i == 6 {
			at = 13
		}
		hi, lo := b[at]-'0', b[at+1]-'0'
		if hi > 9 || lo > 9 {
			return refuseTime(b, "has something other than digits in front of its sign")
		}
		n[i] = int(hi)*10 + int(lo)
	}
	tenth := b[12] - '0'
	if tenth > 9 {
		return refuseTime(b, "has something other than digits in front of its sign")
	}
	if zone == nil {
		zone = time.UTC
	}
	switch b[15] {
	case 'R':
		if tenth != 0 || n[6] != 0 {
			return refuseTime(b, "is relative and has tenths or quarter hours")
		}
		t = addMonths(now.In(zone), 12*n[0]+n[1]).AddDate(0, 0, n[2])
		return t.Add(time.Duration(n[3])*time.Hour + time.Duration(n[4])*time.Minute + time.Duration(n[5])*time.Second), true, nil
	case '+', '-':
	default:
		return refuseTime(b, "does not end in +, - or R")
	}
	switch {
	case n[0] >= 38:
		return refuseTime(b, "has a year from 38 to 99, which is in the past")
	case n[1] < 1 || n[1] > 12:
		return refuseTime(b, "has no month from 01 to 12")
	case n[2] < 1 || n[2] > daysIn(2000+n[0], n[1]):
		return refuseTime(b, "has a day its month does not have")
	case n[3] > 23 || n[4] > 59 || n[5] > 59:
		return refuseTime(b, "has a time of day above 23:59:59")
	case n[6] > 48:
		return refuseTime(b, "has more than 48 quarter hours from UTC")
	}
	t = time.Date(2000+n[0], time.Month(n[1]), n[2], n[3], n[4], n[5], int(tenth)*1e8, time.UTC)
	ahead := time.Duration(n[6]) * 15 * time.Minute
	if b[15] == '-' {
		ahead = -ahead
	}
	return t.Add(-ahead).In(zone), true, nil
}

func refuseTime(b []byte, rule string) (time.Time, bool, error) {
	return time.Time{}, false, &TimeError{string(b), rule}
}

// addMonths adds calendar months and stays in the month it reaches.
func addMonths(t time.Time, months int) time.Time {
	if months == 0 {
		return t
	}
	year, month, day := t.Date()
	first := time.Date(year, month+time.Month(months), 1, 0, 0, 0, 0, time.UTC)
	day = min(day, daysIn(first.Year(), int(first.Month())))
	return time.Date(first.Year(), first.Month(), day,
		t.Hour(), t.Minute(), t.Second(), t.Nanosecond(), t.Location())
}

// daysIn returns how many days the month has.
func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// AppendTime writes t as an absolute time of 16 octets, in t's own zone if its
// distance from UTC is whole quarter hours and at most twelve hours, else in
// UTC. What is below a tenth of a second is cut off. The zero time writes
// nothing.
//
// REQUIRES: t is in the years 2000 to 2037, or zero.
func AppendTime(dst []byte, t time.Time) []byte {
	if t.IsZero() {
		return dst
	}
	_, ahead := t.Zone()
	if ahead%900 != 0 || ahead < -48*900 || ahead > 48*900 {
		t, ahead = t.UTC(), 0
	}
	sign := byte('+')
	if ahead < 0 {
		sign, ahead = '-', -ahead
	}
	year, month, day := t.Date()
	hour, minute, second := t.Clock()
	dst = append2(append2(append2(dst, year), int(month)), day)
	dst = append2(append2(append2(dst, hour), minute), second)
	dst = append(dst, '0'+byte(t.Nanosecond()/1e8))
	return append(append2(dst, ahead/900), sign)
}

// AppendRelative writes d as a relative time of 16 octets, in days, hours,
// minutes and seconds, so that it means the same on every day of the year. Part
// of a second counts as one, at most 31 days and 23:59:59 are written (AppendTime
// has no such bound), and below nothing is nothing.
func AppendRelative(dst []byte, d time.Duration) []byte {
	d = min(max(d, 0), maxRelative)
	s := int((d + time.Second - 1) / time.Second)
	dst = append(dst, "0000"...)
	dst = append2(append2(dst, s/86400), s/3600%24)
	dst = append2(append2(dst, s/60%60), s%60)
	return append(dst, "000R"...)
}

// append2 writes the last two digits of n.
func append2(dst []byte, n int) []byte {
	return append(dst, '0'+byte(n/10%10), '0'+byte(n%10))
}
