package config

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"reflect"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

func TestValuesReadAsTheyAreWritten(t *testing.T) {
	const day = 24 * time.Hour
	for _, tc := range []struct {
		text string
		want any // a value, or a fault
	}{
		{"30s", 30 * time.Second},
		{"1h30m", 90 * time.Minute},
		{"7d", 7 * day},
		{"1d12h", 36 * time.Hour},
		{"0.5h", 30 * time.Minute},
		{"500ms", 500 * time.Millisecond},
		{"250us", 250 * time.Microsecond},
		{"250µs", 250 * time.Microsecond},
		{"0", time.Duration(0)},
		{"0s", time.Duration(0)},
		{"-5s", fault{"is not a duration", "write it as 500ms, 30s, 10m, 48h or 7d"}},
		{"5", fault{"has no unit", "write 5s"}},
		{"36501d", fault{"is longer than a hundred years", "write it as 30s, 10m, 48h or 7d"}},
		{"99999999999999999999d", fault{"is longer than a hundred years", "write it as 30s, 10m, 48h or 7d"}},
		{"200/s", Rate(200)},
		{"600/m", Rate(10)},
		{"1_000/s", Rate(1000)},
		{"90 / m", Rate(1.5)},
		{"3600/h", Rate(1)},
		{"0", Rate(0)},
		{"/s", fault{"is not a rate", "write it as 200/s, 600/m or 1000/h"}},
		{"-1/s", fault{"is not a rate", "write it as 200/s, 600/m or 1000/h"}},
		{"NaN/s", fault{"is not a rate", "write it as 200/s, 600/m or 1000/h"}},
		{"64MiB", Size(64 << 20)},
		{"1.5GiB", Size(3 << 29)},
		{"512B", Size(512)},
		{"1 KiB", Size(1024)},
		{"0", Size(0)},
		{"64M", fault{"has a unit that is none of B, KiB, MiB, GiB, TiB", "write 64MiB"}},
		{"2GB", fault{"has a unit that is none of B, KiB, MiB, GiB, TiB", "write 2GiB"}},
		{"MiB", fault{"is not a size", "write it as 64MiB, 68KiB or 1GiB"}},
		{"9999999999TiB", fault{"is too large", "write at most 1048576TiB"}},
		{"5%", Percent(0.05)},
		{"0%", Percent(0)},
		{"101%", fault{"is more than 100%", "write 0% to 100%"}},
		{"3.4", InterfaceVersion(0x34)},
		{"0x33", InterfaceVersion(0x33)},
		{"5.0", InterfaceVersion(0x50)},
		{"08:05", Clock(485)},
		{"24:00", Clock(1440)},
		{"24:01", fault{"is later than 24:00", "write it as 08:00"}},
		{"0x58", Status(0x58)},
		{"88", Status(88)},
		{"ESME_RTHROTTLED", Status(0x58)},
		{"0", fault{"is ESME_ROK, which is no refusal", "remove it"}},
	} {
		typ := reflect.TypeOf(tc.want)
		wanted, isFault := tc.want.(fault)
		if isFault { // which type was meant is told by the cure
			for _, c := range []struct {
				part string
				typ  reflect.Type
			}{{"/s", reflect.TypeFor[Rate]()}, {"iB", reflect.TypeFor[Size]()}, {"%", reflect.TypeFor[Percent]()}, {"08:00", reflect.TypeFor[Clock]()}, {"remove", reflect.TypeFor[Status]()}, {"s", reflect.TypeFor[time.Duration]()}} {
				if strings.Contains(wanted.cure, c.part) {
					typ = c.typ
					break
				}
			}
		}
		t.Run(typ.Name()+" "+tc.text, func(t *testing.T) {
			v := reflect.New(typ).Elem()
			f := (&decoder{opts: ParseOptions{StatusName: statusNames}}).set(tc.text, v, "")
			switch {
			case isFault && (f == nil || *f != wanted):
				t.Errorf("got %v, want %v", f, wanted)
			case !isFault && f != nil:
				t.Errorf("refused: %v", *f)
			case !isFault && v.Interface() != tc.want:
				t.Errorf("got %v, want %v", v.Interface(), tc.want)
			}
		})
	}
}

// What Diff prints must be what the file may say.
func TestValuesPrintAsTheyAreRead(t *testing.T) {
	for _, text := range []string{"30s", "90s", "48h", "72h", "7d", "180d", "250us", "0"} {
		if d, f := parseDuration(text); f != nil || formatDuration(d) != text {
			t.Errorf("duration %s prints %s", text, formatDuration(d))
		}
	}
	for _, text := range []string{"200/s", "90/m", "1/m", "1/h", "7/d", "0/s"} {
		if r, f := parseRate(text); f != nil || r.String() != text {
			t.Errorf("rate %s prints %s", text, r)
		}
	}
	for _, text := range []string{"64MiB", "68KiB", "1GiB", "1025B", "3TiB", "0"} {
		if s, f := parseSize(text); f != nil || s.String() != text {
			t.Errorf("size %s prints %s", text, s)
		}
	}
	for _, text := range []string{"5%", "0%", "12.5%", "100%"} {
		if p, f := parsePercent(text); f != nil || p.String() != text {
			t.Errorf("percentage %s prints %s", text, p)
		}
	}
	for _, text := range []string{"Asia/Riyadh", "UTC", "+03:00", "-05:30"} {
		if z, f := parseTimeZone(text); f != nil || z.String() != text {
			t.Errorf("zone %s prints %s", text, z)
		}
	}
}

func TestTheOffsetOfAZoneIsMeantAsWritten(t *testing.T) {
	for text, want := range map[string]int{"+03:00": 3 * 3600, "-05:30": -(5*3600 + 1800), "Asia/Riyadh": 3 * 3600} {
		z, f := parseTimeZone(text)
		if f != nil {
			t.Fatal(f)
		}
		if _, got := time.Unix(0, 0).In(z.Location()).Zone(); text[0] != 'A' && got != want {
			t.Errorf("%s: %d s east of UTC, want %d", text, got, want)
		}
		if _, got := time.Date(2026, 7, 1, 0, 0, 0, 0, z.Location()).Zone(); got != want {
			t.Errorf("%s in 2026: %d s east of UTC, want %d", text, got, want)
		}
	}
}

func TestASecretIsNeverPrinted(t *testing.T) {
	s := NewSecret("hunter2")
	type exported struct{ S Secret }
	type hidden struct{ s Secret }
	js, err := json.Marshal(exported{s})
	if err != nil {
		t.Fatal(err)
	}
	ym, err := yaml.Marshal(exported{s})
	if err != nil {
		t.Fatal(err)
	}
	var logged strings.Builder
	log := slog.New(slog.NewTextHandler(&logged, nil))
	log.Info("m", "secret", s, "in", exported{s}, "list", []Secret{s})
	outs := []string{string(js), string(ym), logged.String(), s.String()}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%10v"} {
		outs = append(outs, fmt.Sprintf(verb, s), fmt.Sprintf(verb, &s), fmt.Sprintf(verb, exported{s}), fmt.Sprintf(verb, []Secret{s}), fmt.Sprintf(verb, hidden{s}))
	}
	for _, out := range outs {
		if strings.Contains(out, "hunter2") || strings.Contains(out, "68756e74657232") || strings.Contains(strings.ToLower(out), "68 75 6e") {
			t.Errorf("printed: %s", out)
		}
	}
	if s.Reveal() != "hunter2" || !s.Equal(NewSecret("hunter2")) || s.Equal(NewSecret("other")) {
		t.Error("Reveal or Equal is wrong")
	}
	if NewSecret("").String() != "" || !NewSecret("").IsZero() || !(Secret{}).Equal(NewSecret("")) {
		t.Error("an empty secret is not empty")
	}
}

func TestHoursOpenAndClose(t *testing.T) {
	all := []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}
	at := func(s string) time.Time { // 2026-01-04 is a Sunday
		v, err := time.ParseInLocation("2006-01-02 15:04", "2026-01-"+s, time.UTC)
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
	for _, tc := range []struct {
		name, from, to string
		days           []string
		now            string
		open           bool
		until          string
	}{
		{"before the day's hours", "08:00", "22:00", all, "04 07:59", false, "04 08:00"},
		{"at the opening", "08:00", "22:00", all, "04 08:00", true, "04 22:00"},
		{"at the close", "08:00", "22:00", all, "04 22:00", false, "05 08:00"},
		{"past midnight, before", "22:00", "06:00", all, "04 21:00", false, "04 22:00"},
		{"past midnight, evening", "22:00", "06:00", all, "04 23:00", true, "05 06:00"},
		{"past midnight, morning", "22:00", "06:00", all, "04 05:59", true, "04 06:00"},
		{"past midnight belongs to the day it began on", "22:00", "06:00", []string{"sun"}, "05 05:00", true, "05 06:00"},
		{"a day that is not meant", "08:00", "22:00", []string{"sun"}, "05 12:00", false, "11 08:00"},
		{"the whole day", "00:00", "24:00", []string{"sun"}, "04 23:59", true, "05 00:00"},
		{"the evening of the only day", "08:00", "22:00", []string{"sun"}, "04 23:00", false, "11 08:00"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			from, _ := parseClock(tc.from)
			to, _ := parseClock(tc.to)
			h := &Hours{From: from, To: to, Days: tc.days}
			open, until := h.Open(at(tc.now))
			if open != tc.open || !until.Equal(at(tc.until)) {
				t.Errorf("open %v until %v, want %v until %v", open, until, tc.open, at(tc.until))
			}
		})
	}
}

func TestTheNearestKeyIsTheOneMeant(t *testing.T) {
	keys := keysOf(reflect.TypeFor[Account]())
	for typed, want := range map[string]string{
		"throughtput": "throughput", "widnow": "window", "bind": "binds", "Window": "window", "system-id": "system_id",
		"sender": "senders", "xyzzy": "", "": "", strings.Repeat("window", 100): "",
	} {
		if got := nearest(typed, keys); got != want {
			t.Errorf("%q: %q, want %q", typed, got, want)
		}
	}
}

func TestALongValueIsCutAndAPathKeepsItsEnd(t *testing.T) {
	path := "/" + strings.Repeat("long/", 30) + "server.pem"
	if got := quote(path); got != `"`+path+`"` {
		t.Errorf("a path: %s", got)
	}
	for _, pasted := range []string{strings.Repeat("x", 60), strings.Repeat("a / b ", 60), "-----BEGIN/x\n" + strings.Repeat("y", 300), strings.Repeat("/", 1000)} {
		if got := quote(pasted); !strings.HasSuffix(got, `..."`) || len(got) > 300 {
			t.Errorf("%d octets become %s", len(pasted), got)
		}
	}
}
