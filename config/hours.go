package config

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Hours is when a carrier may be sent to. Where to is before from, the hours run past
// midnight and belong to the day they begin on.
type Hours struct {
	// They begin, by the clock of the zone.
	From Clock `yaml:"from" need:"given" eg:"08:00"`
	// They end.
	To Clock `yaml:"to" need:"given" eg:"22:00"`
	// Days of the week.
	Days []string `yaml:"days" one:"sun mon tue wed thu fri sat" eg:"[sun, mon, tue, wed, thu]"`
	// Zone of the clock.
	Zone TimeZone `yaml:"zone" inherit:"time_zone" eg:"Asia/Riyadh"`
}

// Open reports whether now lies inside the hours, and when that changes next.
func (h *Hours) Open(now time.Time) (open bool, until time.Time) {
	local := now.In(h.Zone.Location())
	y, m, d := local.Date()
	// The hours that count began at most a day ago; the next ones begin within a week.
	for day := -1; day <= 7; day++ {
		midnight := time.Date(y, m, d+day, 0, 0, 0, 0, local.Location())
		if !slices.Contains(h.Days, strings.ToLower(midnight.Weekday().String()[:3])) {
			continue
		}
		from, to := h.From.on(midnight), h.To.on(midnight)
		if h.To <= h.From {
			to = h.To.on(midnight.AddDate(0, 0, 1))
		}
		if now.Before(from) {
			return false, from
		}
		if now.Before(to) {
			return true, to
		}
	}
	return false, now.Add(24 * time.Hour) // no day at all: refused by check
}

// Clock is a time of day in minutes after midnight: 0 to 1440.
type Clock int

// String writes 08:00.
func (c Clock) String() string { return fmt.Sprintf("%02d:%02d", c/60, c%60) }

func (c Clock) on(midnight time.Time) time.Time {
	y, m, d := midnight.Date() // by the calendar, so that a day with 23 hours opens on time
	return time.Date(y, m, d, int(c)/60, int(c)%60, 0, 0, midnight.Location())
}

var clockForm = regexp.MustCompile(`^([01]?[0-9]|2[0-4]):([0-5][0-9])$`)

func parseClock(s string) (Clock, *fault) {
	m := clockForm.FindStringSubmatch(s)
	if m == nil {
		return 0, &fault{"is not a time of day", "write it as 08:00"}
	}
	h, _ := strconv.Atoi(m[1])
	min, _ := strconv.Atoi(m[2])
	if h*60+min > 24*60 {
		return 0, &fault{"is later than 24:00", "write it as 08:00"}
	}
	return Clock(h*60 + min), nil
}
