package reminder

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"masar/service"
)

func day(text string) service.Day {
	t, err := time.Parse(time.DateOnly, text)
	if err != nil {
		panic(err)
	}
	return dayOf(t)
}

func TestDatesAreReadInBothCalendars(t *testing.T) {
	for _, row := range []struct {
		name     string
		text     string
		calendar Calendar
		want     string // Gregorian
		rule     string // else how the error begins
	}{
		{"Gregorian", "2027-02-11", Gregorian, "2027-02-11", ""},
		{"with slashes", "2027/2/11", Gregorian, "2027-02-11", ""},
		{"blanks around it", " 2027-02-11 ", Gregorian, "2027-02-11", ""},
		{"Arabic-Indic digits", "٢٠٢٧-٠٢-١١", Gregorian, "2027-02-11", ""},
		{"Persian digits", "۲۰۲۷/۰۲/۱۱", Gregorian, "2027-02-11", ""},
		{"marks of direction", "\u200f2027-02-11\u200e", Gregorian, "2027-02-11", ""},
		{"29 February of a leap year", "2028-02-29", Gregorian, "2028-02-29", ""},
		{"29 February of another", "2027-02-29", Gregorian, "", "2027-02-29: February 2027 has 28 days"},
		{"29 February of a century", "2100-02-29", Gregorian, "", "2100-02-29: February 2100 has 28 days"},
		{"31 April", "2027-04-31", Gregorian, "", "2027-04-31: April 2027 has 30 days"},
		{"month 13", "2027-13-01", Gregorian, "", "2027-13-01: there is no month 13"},
		{"month 0", "2027-00-01", Gregorian, "", "2027-00-01: there is no month 0"},
		{"day 0", "2027-01-00", Gregorian, "", "2027-01-00: there is no day 0"},
		{"a Hijri year as Gregorian", "1448-09-04", Gregorian, "", "1448-09-04: a year below 1700 is Hijri: say calendar hijri"},
		{"a Gregorian year as Hijri", "2027-02-11", UmmAlQura, "", "2027-02-11: a year from 1700 on is Gregorian: say calendar gregorian"},
		{"before the calendar", "1936-12-31", Gregorian, "", "1936-12-31: the year is outside 1937 to 2199"},
		{"its last year", "2199-12-31", Gregorian, "2199-12-31", ""},
		{"behind it", "2200-01-01", Gregorian, "", "2200-01-01: the year is outside 1937 to 2199"},
		{"two digits of a year", "27-02-11", Gregorian, "", `"27-02-11" is no date; write 2027-02-11`},
		{"day first", "11/02/2027", Gregorian, "", `"11/02/2027" is no date`},
		{"a name of a month", "2027-Feb-11", Gregorian, "", `"2027-Feb-11" is no date`},
		{"a moment", "2027-02-11T10:00:00Z", Gregorian, "", `"2027-02-11T10:00:00Z" is no date`},
		{"a sign", "2027--2-11", Gregorian, "", `"2027--2-11" is no date`},
		{"nothing", "", Gregorian, "", `"" is no date`},
		{"very long", strings.Repeat("2", 100), Gregorian, "", `"22222222222222222222" is no date`},

		{"Hijri", "1448-09-04", UmmAlQura, "2027-02-11", ""},
		{"Hijri with slashes and Arabic digits", "١٤٤٨/٩/٤", UmmAlQura, "2027-02-11", ""},
		{"the first of a year", "1448-01-01", UmmAlQura, "2026-06-16", ""},
		{"the 30th of a month that has it", "1448-02-30", UmmAlQura, "2026-08-13", ""},
		{"the 30th of a month of 29", "1448-01-30", UmmAlQura, "", "1448-01-30: Muharram 1448 has 29 days"},
		{"the 31st of Ramadan", "1448-09-31", UmmAlQura, "", "1448-09-31: Ramadan 1448 has 29 days"},
		{"Hijri month 13", "1448-13-01", UmmAlQura, "", "1448-13-01: there is no month 13"},
		{"Hijri day 0", "1448-01-00", UmmAlQura, "", "1448-01-00: there is no day 0"},
		{"the first day that is known", "1356-01-01", UmmAlQura, "1937-03-14", ""},
		{"the day before", "1355-12-29", UmmAlQura, "", "1355-12-29: the Umm al-Qura calendar is known from 1356 to 1500"},
		{"the last day that is known", "1500-12-30", UmmAlQura, "2077-11-16", ""},
		{"the year behind it", "1501-01-01", UmmAlQura, "", "1501-01-01: the Umm al-Qura calendar is known from 1356 to 1500"},
		{"an example of a Hijri date", "x", UmmAlQura, "", `"x" is no date; write 1448-09-04`},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, err := ParseDay(row.text, row.calendar)
			switch {
			case row.rule != "" && err == nil:
				t.Fatalf("was read as %s", got)
			case row.rule != "" && !strings.HasPrefix(err.Error(), row.rule):
				t.Fatalf("%v\nwant %s", err, row.rule)
			case row.rule == "" && err != nil:
				t.Fatal(err)
			case row.rule == "" && got != day(row.want):
				t.Fatalf("%s, want %s", got, row.want)
			}
		})
	}
}

// Every day of the calendar, both ways: months have 29 or 30 days, one follows the other.
func TestEveryDayOfUmmAlQuraIsWrittenAsItIsRead(t *testing.T) {
	at := day("1937-03-14")
	for y := firstHijri; y <= lastHijri; y++ {
		for m := 1; m <= 12; m++ {
			n := hijriDays(y, m)
			if n != 29 && n != 30 && (y != 1364 || m != 8) {
				t.Fatalf("%d-%02d has %d days", y, m, n)
			}
			for d := 1; d <= n; d++ {
				text := fmt.Sprintf("%04d-%02d-%02d", y, m, d)
				got, err := ParseDay(text, UmmAlQura)
				if err != nil || got != at {
					t.Fatalf("%s is %s, want %s: %v", text, got, at, err)
				}
				if back := FormatDay(at, UmmAlQura); back != text {
					t.Fatalf("%s is written %s, want %s", at, back, text)
				}
				at = AddDays(at, 1)
			}
			if _, err := ParseDay(fmt.Sprintf("%04d-%02d-%02d", y, m, n+1), UmmAlQura); err == nil {
				t.Fatalf("%d-%02d has a day %d", y, m, n+1)
			}
		}
	}
	if got := FormatDay(at, UmmAlQura); got != at.String() {
		t.Errorf("%s, which the calendar does not know, is written %s", at, got)
	}
}

func TestDatesAreShownInTheCalendarAskedFor(t *testing.T) {
	if got := FormatDay(day("2027-02-11"), UmmAlQura); got != "1448-09-04" {
		t.Error(got)
	}
	if got := FormatDay(day("2027-02-11"), Gregorian); got != "2027-02-11" {
		t.Error(got)
	}
	if c, ok := CalendarOf(""); c != Gregorian || !ok {
		t.Error(c, ok)
	}
	if c, ok := CalendarOf("Hijri"); c != UmmAlQura || !ok {
		t.Error(c, ok)
	}
	if _, ok := CalendarOf("julian"); ok {
		t.Error("julian is known")
	}
}

func FuzzParseDay(f *testing.F) {
	for _, s := range []string{"2027-02-11", "١٤٤٨/٩/٤", "1448-09-31", "0000-00-00", "9999-99-99", "----"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, text string, inHijri bool) {
		c := Gregorian
		if inHijri {
			c = UmmAlQura
		}
		d, err := ParseDay(text, c)
		if err != nil {
			if len(err.Error()) > 300 {
				t.Fatalf("an error of %d octets", len(err.Error()))
			}
			return
		}
		if again, err := ParseDay(FormatDay(d, c), c); err != nil || again != d {
			t.Fatalf("%q is %s and is read again as %s: %v", text, d, again, err)
		}
	})
}
