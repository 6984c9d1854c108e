package reminder

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/hablullah/go-hijri"

	"masar/service"
)

// Calendar is the calendar that a date is written in.
type Calendar = service.DateStyle

// The calendars. UmmAlQura is the civil Hijri calendar of Saudi Arabia, known from 1356 to
// 1500 (1937-03-14 to 2077-11-16).
const (
	Gregorian = service.Gregorian
	UmmAlQura = service.Hijri
)

// CalendarOf reads a calendar as the API writes it; empty is Gregorian.
func CalendarOf(name string) (Calendar, bool) {
	if name == "" {
		return Gregorian, true
	}
	return service.DateStyleOf(strings.ToLower(name))
}

const (
	firstHijri, lastHijri         = 1356, 1500
	firstGregorian, lastGregorian = 1937, 2199
	// A year beneath is taken for a Hijri one, at and above it for a Gregorian.
	hijriBelow = 1700
)

var hijriMonths = [...]string{
	"Muharram", "Safar", "Rabi I", "Rabi II", "Jumada I", "Jumada II",
	"Rajab", "Shaban", "Ramadan", "Shawwal", "Dhu al-Qadah", "Dhu al-Hijjah",
}

// ParseDay reads a date: year, month and day with - or / between them, in European or
// Arabic digits. The error is the rule that it breaks, without the field's name.
func ParseDay(text string, c Calendar) (service.Day, error) {
	y, m, d, ok := readDate(text)
	if !ok {
		return service.Day{}, fmt.Errorf("%q is no date; write %s", short(text), example(c))
	}
	written := fmt.Sprintf("%04d-%02d-%02d", y, m, d)
	switch {
	case c == UmmAlQura && y >= hijriBelow:
		return service.Day{}, fmt.Errorf("%s: a year from %d on is Gregorian: say calendar gregorian", written, hijriBelow)
	case c == Gregorian && y < hijriBelow:
		return service.Day{}, fmt.Errorf("%s: a year below %d is Hijri: say calendar hijri", written, hijriBelow)
	case m < 1 || m > 12:
		return service.Day{}, fmt.Errorf("%s: there is no month %d", written, m)
	case d < 1:
		return service.Day{}, fmt.Errorf("%s: there is no day %d", written, d)
	}
	if c == UmmAlQura {
		if y < firstHijri || y > lastHijri {
			return service.Day{}, fmt.Errorf("%s: the Umm al-Qura calendar is known from %d to %d", written, firstHijri, lastHijri)
		}
		if n := hijriDays(y, m); d > n {
			return service.Day{}, fmt.Errorf("%s: %s %d has %d days", written, hijriMonths[m-1], y, n)
		}
		return dayOf(hijriStart(y, m).AddDate(0, 0, d-1)), nil
	}
	if y < firstGregorian || y > lastGregorian {
		return service.Day{}, fmt.Errorf("%s: the year is outside %d to %d", written, firstGregorian, lastGregorian)
	}
	if n := gregorianDays(y, m); d > n {
		return service.Day{}, fmt.Errorf("%s: %s %d has %d days", written, time.Month(m), y, n)
	}
	return service.Day{Year: y, Month: time.Month(m), Day: d}, nil
}

// FormatDay writes a date in a calendar, 2027-02-11 or 1448-09-04. A day that Umm al-Qura
// does not know is written as Gregorian.
func FormatDay(day service.Day, c Calendar) string {
	if c != UmmAlQura {
		return day.String()
	}
	h, err := hijri.CreateUmmAlQuraDate(midnight(day))
	if err != nil {
		return day.String()
	}
	return fmt.Sprintf("%04d-%02d-%02d", h.Year, h.Month, h.Day)
}

func example(c Calendar) string {
	if c == UmmAlQura {
		return "1448-09-04"
	}
	return "2027-02-11"
}

// hijriStart is the first day of a month. REQUIRES: firstHijri <= y <= lastHijri.
func hijriStart(y, m int) time.Time {
	return hijri.UmmAlQuraDate{Year: int64(y), Month: int64(m), Day: 1}.ToGregorian().UTC().Truncate(24 * time.Hour)
}

// hijriDays is 29 or 30, and 28 of Shaban 1364, as the calendar's table has it.
func hijriDays(y, m int) int {
	next := hijriEnd
	if y < lastHijri || m < 12 {
		next = hijriStart(y+m/12, m%12+1)
	}
	return int(next.Sub(hijriStart(y, m)) / (24 * time.Hour))
}

// hijriEnd is the day behind the calendar's last.
var hijriEnd = time.Date(2077, time.November, 17, 0, 0, 0, 0, time.UTC)

func gregorianDays(y, m int) int { return time.Date(y, time.Month(m)+1, 0, 0, 0, 0, 0, time.UTC).Day() }

// readDate reads three numbers, the first of four digits.
func readDate(text string) (y, m, d int, ok bool) {
	text = europeanDigits(strings.TrimSpace(text))
	sep := "-"
	if strings.Contains(text, "/") {
		sep = "/"
	}
	parts := strings.Split(text, sep)
	if len(parts) != 3 || len(parts[0]) != 4 {
		return 0, 0, 0, false
	}
	var n [3]int
	for i, p := range parts {
		if i > 0 && (len(p) < 1 || len(p) > 2) || strings.Trim(p, "0123456789") != "" {
			return 0, 0, 0, false
		}
		n[i], _ = strconv.Atoi(p) // at most four digits
	}
	return n[0], n[1], n[2], true
}

// europeanDigits reads Arabic-Indic and Persian digits, and drops the marks that keep a
// date the right way round in a line of Arabic.
func europeanDigits(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 0x0660 && r <= 0x0669:
			return '0' + r - 0x0660
		case r >= 0x06F0 && r <= 0x06F9:
			return '0' + r - 0x06F0
		case r >= 0x200E && r <= 0x200F, r >= 0x202A && r <= 0x202E, r >= 0x2066 && r <= 0x2069:
			return -1
		}
		return r
	}, s)
}

func short(s string) string {
	if r := []rune(s); len(r) > 20 {
		return string(r[:20])
	}
	return s
}

// Days and times.

const secondsOfDay = 24 * 60 * 60

func midnight(d service.Day) time.Time {
	return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, time.UTC)
}

// DayOf is the day that a clock shows.
func DayOf(t time.Time) service.Day { return dayOf(t) }

func dayOf(t time.Time) service.Day {
	y, m, d := t.Date()
	return service.Day{Year: y, Month: m, Day: d}
}

// AddDays is the day n days after d.
func AddDays(d service.Day, n int) service.Day { return dayOf(midnight(d).AddDate(0, 0, n)) }

// daysFrom is how many days b is after a.
func daysFrom(a, b service.Day) int { return dayNumber(b) - dayNumber(a) }

// dayNumber counts days from 1970-01-01.
func dayNumber(d service.Day) int { return int(midnight(d).Unix() / secondsOfDay) }

// dayNumbered is the reverse of dayNumber.
func dayNumbered(n int) service.Day { return dayOf(time.Unix(int64(n)*secondsOfDay, 0).UTC()) }
