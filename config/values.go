package config

import (
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"time"

	_ "time/tzdata" // zones by name on machines that carry no zone files
)

// fault says which rule a written value breaks and how to mend it. nil: none.
type fault struct{ rule, cure string }

// Rate is an allowance in events per second. 0 means no limit.
type Rate float64

// PerSecond is the rate as a plain number.
func (r Rate) PerSecond() float64 { return float64(r) }

// String writes the rate with the unit that makes it a whole number: 400/s, 90/m, 1/h.
func (r Rate) String() string {
	for _, u := range rateUnits {
		if n := float64(r) * u.seconds; n == 0 || (n >= 1 && math.Abs(n-math.Round(n)) < 1e-6*n) {
			return strconv.FormatFloat(math.Round(n), 'f', -1, 64) + "/" + u.name
		}
	}
	return strconv.FormatFloat(float64(r), 'g', 6, 64) + "/s"
}

var rateUnits = [...]struct {
	name    string
	seconds float64
}{{"s", 1}, {"m", 60}, {"h", 3600}, {"d", 86400}}

var number = regexp.MustCompile(`^[0-9][0-9_]*(\.[0-9]+)?$`)

func parseNumber(s string) (float64, bool) {
	if !number.MatchString(s) {
		return 0, false
	}
	n, err := strconv.ParseFloat(strings.ReplaceAll(s, "_", ""), 64)
	return n, err == nil && n < 1e15
}

func parseRate(s string) (Rate, *fault) {
	num, unit, slash := strings.Cut(s, "/")
	n, ok := parseNumber(strings.TrimSpace(num))
	switch {
	case !ok:
		return 0, &fault{"is not a rate", "write it as 200/s, 600/m or 1000/h"}
	case !slash && n == 0:
		return 0, nil
	case !slash:
		return 0, &fault{"has no unit", "write " + s + "/s"}
	}
	for _, u := range rateUnits {
		if strings.TrimSpace(unit) == u.name {
			return Rate(n / u.seconds), nil
		}
	}
	return 0, &fault{"has a unit that is none of s, m, h, d", "write " + num + "/s"}
}

// Size is a number of octets.
type Size int64

var sizeUnits = [...]struct {
	name   string
	octets int64
}{{"TiB", 1 << 40}, {"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"B", 1}}

// String writes the size with the largest unit that keeps it whole: 64MiB, 68KiB, 100B.
func (s Size) String() string {
	if s == 0 {
		return "0"
	}
	for _, u := range sizeUnits {
		if int64(s)%u.octets == 0 {
			return strconv.FormatInt(int64(s)/u.octets, 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10) + "B"
}

func parseSize(s string) (Size, *fault) {
	i := strings.IndexFunc(s, func(r rune) bool { return (r < '0' || r > '9') && r != '.' && r != '_' })
	num, unit := s, ""
	if i >= 0 {
		num, unit = s[:i], strings.TrimSpace(s[i:])
	}
	n, ok := parseNumber(strings.TrimSpace(num))
	switch {
	case !ok:
		return 0, &fault{"is not a size", "write it as 64MiB, 68KiB or 1GiB"}
	case unit == "" && n == 0:
		return 0, nil
	case unit == "":
		return 0, &fault{"has no unit", "write " + s + "MiB, or " + s + "B for octets"}
	}
	for _, u := range sizeUnits {
		if unit == u.name {
			if n *= float64(u.octets); n > 1<<60 {
				return 0, &fault{"is too large", "write at most 1048576TiB"}
			}
			return Size(n), nil
		}
	}
	for _, u := range sizeUnits { // MB, mb, M: one is meant, and only one way of writing it is ours
		if strings.EqualFold(unit[:1], u.name[:1]) && len(unit) <= 3 {
			return 0, &fault{"has a unit that is none of B, KiB, MiB, GiB, TiB", "write " + num + u.name}
		}
	}
	return 0, &fault{"has a unit that is none of B, KiB, MiB, GiB, TiB", "write " + num + "MiB"}
}

// Percent is a fraction, written 5%.
type Percent float64

// String writes the fraction as a percentage.
func (p Percent) String() string {
	return strconv.FormatFloat(math.Round(float64(p)*1e6)/1e4, 'f', -1, 64) + "%"
}

func parsePercent(s string) (Percent, *fault) {
	num, sign := strings.CutSuffix(s, "%")
	n, ok := parseNumber(strings.TrimSpace(num))
	switch {
	case !ok:
		return 0, &fault{"is not a percentage", "write it as 5%"}
	case !sign:
		return 0, &fault{"has no unit", "write " + s + "%"}
	case n > 100:
		return 0, &fault{"is more than 100%", "write 0% to 100%"}
	}
	return Percent(n / 100), nil
}

var durationUnits = [...]struct {
	name string
	d    time.Duration
}{{"d", 24 * time.Hour}, {"h", time.Hour}, {"m", time.Minute}, {"s", time.Second}, {"ms", time.Millisecond}, {"us", time.Microsecond}}

var durationForm = regexp.MustCompile(`^(?:[0-9]+(?:\.[0-9]+)?(?:d|h|ms|m|us|µs|s))+$`)
var durationPiece = regexp.MustCompile(`([0-9]+(?:\.[0-9]+)?)(d|h|ms|m|us|µs|s)`)

// longest keeps sums of durations and times of day far from overflow.
const longest = 100 * 365 * 24 * time.Hour

func parseDuration(s string) (time.Duration, *fault) {
	if s == "0" {
		return 0, nil
	}
	if n, ok := parseNumber(s); ok && n > 0 {
		return 0, &fault{"has no unit", "write " + s + "s"}
	}
	if !durationForm.MatchString(s) {
		return 0, &fault{"is not a duration", "write it as 500ms, 30s, 10m, 48h or 7d"}
	}
	var sum float64
	for _, p := range durationPiece.FindAllStringSubmatch(s, -1) {
		n, err := strconv.ParseFloat(p[1], 64)
		if err != nil {
			return 0, &fault{"is not a duration", "write it as 500ms, 30s, 10m, 48h or 7d"}
		}
		for _, u := range durationUnits {
			if p[2] == u.name || (p[2] == "µs" && u.name == "us") {
				sum += n * float64(u.d)
			}
		}
	}
	if sum > float64(longest) {
		return 0, &fault{"is longer than a hundred years", "write it as 30s, 10m, 48h or 7d"}
	}
	return time.Duration(sum), nil
}

// formatDuration writes d as the file would: 90s stays 90s, 48h stays 48h, 604800s is 7d.
func formatDuration(d time.Duration) string {
	if d == 0 {
		return "0"
	}
	for _, u := range durationUnits {
		// From two days on an operator thinks in days only where the file says so: 48h, 72h, 7d.
		if d%u.d == 0 && (u.name != "d" || d > 4*u.d) {
			return strconv.FormatInt(int64(d/u.d), 10) + u.name
		}
	}
	return d.String()
}

// TimeZone is where wall-clock times are read and written. The zero TimeZone is UTC.
type TimeZone struct{ loc *time.Location }

// Location is never nil.
func (z TimeZone) Location() *time.Location {
	if z.loc == nil {
		return time.UTC
	}
	return z.loc
}

// String is the zone's name: Asia/Riyadh, UTC, +03:00.
func (z TimeZone) String() string { return z.Location().String() }

var offset = regexp.MustCompile(`^([+-])([01][0-9]):([0-5][0-9])$`)

func parseTimeZone(s string) (TimeZone, *fault) {
	if m := offset.FindStringSubmatch(s); m != nil {
		h, _ := strconv.Atoi(m[2])
		min, _ := strconv.Atoi(m[3])
		sec := h*3600 + min*60
		if m[1] == "-" {
			sec = -sec
		}
		return TimeZone{time.FixedZone(s, sec)}, nil
	}
	cure := "write a name like Asia/Riyadh, UTC, or an offset like +03:00"
	if s == "" || strings.EqualFold(s, "local") { // a gateway's answers must not depend on the machine it moved to
		return TimeZone{}, &fault{"names no zone", cure}
	}
	loc, err := time.LoadLocation(s)
	if err != nil {
		return TimeZone{}, &fault{"is not a zone of the IANA database", cure}
	}
	return TimeZone{loc}, nil
}

// InterfaceVersion is the octet of a bind: 0x33, 0x34 or 0x50.
type InterfaceVersion uint8

// String writes 3.3, 3.4 or 5.0.
func (v InterfaceVersion) String() string { return fmt.Sprintf("%d.%d", v>>4, v&0xF) }

func parseInterfaceVersion(s string) (InterfaceVersion, *fault) {
	for _, v := range []InterfaceVersion{0x33, 0x34, 0x50} {
		if s == v.String() || strings.EqualFold(s, fmt.Sprintf("%#x", uint8(v))) || (v == 0x50 && s == "5") {
			return v, nil
		}
	}
	return 0, &fault{"is no version of SMPP that we speak", "write 3.3, 3.4 or 5.0"}
}

// Status is a command_status, written by its name (ESME_RTHROTTLED, RTHROTTLED) or as a
// number (0x58, 88). ESME_ROK is no answer to sort, so it is refused.
type Status uint32

// String writes the number as the specification does.
func (s Status) String() string { return fmt.Sprintf("0x%04X", uint32(s)) }

func parseStatus(s string, byName func(string) (uint32, bool)) (Status, *fault) {
	if s == "" {
		return 0, &fault{"is empty", "write a name like ESME_RTHROTTLED or a number like 0x58"}
	}
	var code uint64
	if s[0] >= '0' && s[0] <= '9' {
		n, err := strconv.ParseUint(strings.ReplaceAll(s, "_", ""), 0, 32)
		if err != nil {
			return 0, &fault{"is not a status", "write a number from 0x1 to 0xFFFFFFFF or a name like ESME_RTHROTTLED"}
		}
		code = n
	} else {
		n, ok := uint32(0), false
		if byName != nil {
			n, ok = byName(s)
		}
		if !ok {
			return 0, &fault{"is no status of SMPP v3.4 or v5.0", "write a name like ESME_RTHROTTLED or a number like 0x58"}
		}
		code = uint64(n)
	}
	if code == 0 {
		return 0, &fault{"is ESME_ROK, which is no refusal", "remove it"}
	}
	return Status(code), nil
}
