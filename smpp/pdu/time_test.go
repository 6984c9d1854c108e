package pdu

import (
	"errors"
	"strings"
	"testing"
	"time"
)

func TestTimeIsReadOrRefused(t *testing.T) {
	riyadh := time.FixedZone("AST", 3*3600)
	now := time.Date(2026, 1, 31, 22, 30, 0, 0, time.UTC)
	for _, row := range []struct {
		name, octets string
		zone         *time.Location
		now          time.Time
		want         string // RFC 3339 with the offset; "" absent; else "error: " and the rule
	}{
		{"none", "", nil, now, ""},
		{"UTC", "261124093015300+", nil, now, "2026-11-24T09:30:15.3Z"},
		{"three hours ahead", "261124093015012+", nil, now, "2026-11-24T06:30:15Z"},
		{"in its zone", "261124093015012+", riyadh, now, "2026-11-24T09:30:15+03:00"},
		{"five hours behind", "261124203015020-", nil, now, "2026-11-25T01:30:15Z"},
		{"farthest from UTC", "261124203015048+", nil, now, "2026-11-24T08:30:15Z"},
		{"leap day", "280229000000000+", nil, now, "2028-02-29T00:00:00Z"},
		{"last year", "371231235959900+", nil, now, "2037-12-31T23:59:59.9Z"},
		{"two days", "000002000000000R", nil, now, "2026-02-02T22:30:00Z"},
		{"two hours over midnight", "000000020000000R", riyadh, now, "2026-02-01T03:30:00+03:00"},
		{"a month from the 31st", "000100000000000R", nil, now, "2026-02-28T22:30:00Z"},
		{"a month, where it is the 1st already", "000100000000000R", riyadh, now, "2026-03-01T01:30:00+03:00"},
		{"a month before a leap day", "000100000000000R", nil, now.AddDate(2, 0, 0), "2028-02-29T22:30:00Z"},
		{"a year from the leap day", "010000000000000R", nil, time.Date(2028, 2, 29, 0, 0, 0, 0, time.UTC), "2029-02-28T00:00:00Z"},
		{"thirteen months", "001300000000000R", nil, now, "2027-02-28T22:30:00Z"},
		{"a month and a day", "000101000000000R", nil, now, "2026-03-01T22:30:00Z"},
		{"72 hours", "000000720000000R", nil, now, "2026-02-03T22:30:00Z"},
		{"nothing", "000000000000000R", nil, now, "2026-01-31T22:30:00Z"},
		{"15 octets", "261124093015300", nil, now, "error: octets"},
		{"17 octets", "2611240930153000+", nil, now, "error: octets"},
		{"letter", "26112409301530x+", nil, now, "error: digits"},
		{"letter for tenths", "261124093015x00+", nil, now, "error: digits"},
		{"blank", "26 124093015300+", nil, now, "error: digits"},
		{"no sign", "2611240930153000", nil, now, "error: does not end"},
		{"small r", "000002000000000r", nil, now, "error: does not end"},
		{"month 0", "260024093015300+", nil, now, "error: month"},
		{"month 13", "261324093015300+", nil, now, "error: month"},
		{"day 0", "261100093015300+", nil, now, "error: day"},
		{"30 February", "260230093015300+", nil, now, "error: day"},
		{"29 February of 2026", "260229093015300+", nil, now, "error: day"},
		{"hour 24", "261124240000000+", nil, now, "error: time of day"},
		{"minute 60", "261124236000000+", nil, now, "error: time of day"},
		{"second 60", "261124235960000+", nil, now, "error: time of day"},
		{"49 quarter hours", "261124093015049+", nil, now, "error: quarter hours"},
		{"year 38", "380101000000000+", nil, now, "error: past"},
		{"year 99", "991231235959900+", nil, now, "error: past"},
		{"tenths in a span", "000002000000100R", nil, now, "error: tenths"},
		{"quarter hours in a span", "000002000000004R", nil, now, "error: quarter"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got, ok, err := ParseTime([]byte(row.octets), row.now, row.zone)
			if rule, refused := strings.CutPrefix(row.want, "error: "); refused {
				var te *TimeError
				if !errors.As(err, &te) || ok || !strings.Contains(te.Rule, rule) || te.Value != row.octets {
					t.Fatalf("%v, %v, %v; want an error of %q", got, ok, err, rule)
				}
				fe := te.Field("validity_period", ESME_RINVEXPIRY)
				if fe.Status != ESME_RINVEXPIRY || fe.Field != "validity_period" || !strings.Contains(fe.Error(), te.Rule) {
					t.Fatalf("field error %v", fe)
				}
				return
			}
			if err != nil || ok != (row.want != "") {
				t.Fatalf("%v, %v, %v; want %q", got, ok, err, row.want)
			}
			if ok && got.Format("2006-01-02T15:04:05.999Z07:00") != row.want {
				t.Fatalf("%v, want %s", got, row.want)
			}
		})
	}
}

func TestTimeIsWritten(t *testing.T) {
	at := time.Date(2026, 11, 24, 9, 30, 15, 399e6, time.UTC)
	for _, row := range []struct {
		name string
		at   time.Time
		want string
	}{
		{"none", time.Time{}, ""},
		{"UTC", at, "261124093015300+"},
		{"ahead", at.In(time.FixedZone("", 3*3600)), "261124123015312+"},
		{"half an hour", at.In(time.FixedZone("", 5*3600+1800)), "261124150015322+"},
		{"behind", at.In(time.FixedZone("", -8*3600)), "261124013015332-"},
		{"13 hours ahead has no form", at.In(time.FixedZone("", 13*3600)), "261124093015300+"},
		{"seconds from UTC have none", at.In(time.FixedZone("", 3*3600+7)), "261124093015300+"},
	} {
		if got := AppendTime(nil, row.at); string(got) != row.want {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
	}
	now := time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC)
	for d, want := range map[time.Duration]string{
		0:                          "000000000000000R",
		-time.Hour:                 "000000000000000R",
		time.Millisecond:           "000000000001000R",
		90 * time.Minute:           "000000013000000R",
		72*time.Hour + time.Second: "000003000001000R",
		31 * 24 * time.Hour:        "000031000000000R",
		90 * 24 * time.Hour:        "000031235959000R",
		time.Duration(1<<63 - 1):   "000031235959000R",
	} {
		got := AppendRelative([]byte("x"), d)
		if string(got) != "x"+want {
			t.Errorf("%v: %q, want %q", d, got, want)
		}
		if at, ok, err := ParseTime(got[1:], now, nil); !ok || err != nil || at.Sub(now)-time.Second > max(d, 0) {
			t.Errorf("%v is read as %v, %v", d, at.Sub(now), err)
		}
	}
}

func TestTimesAreReadAndWrittenWithoutAllocation(t *testing.T) {
	now, b, dst := time.Date(2026, 1, 31, 0, 0, 0, 0, time.UTC), []byte("261124093015312+"), make([]byte, 0, 32)
	if n := testing.AllocsPerRun(20, func() {
		at, _, _ := ParseTime(b, now, time.UTC)
		AppendTime(dst, at)
		AppendRelative(dst, time.Hour)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
