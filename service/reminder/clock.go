package reminder

import (
	"time"

	"masar/service"
)

// A Clock says when the steps of one service may leave. Steps go by days of its Zone.
type Clock struct {
	Zone  *time.Location
	At    time.Duration             // time of day from which a day's steps leave
	Opens func(time.Time) time.Time // service.Catalogue.OpensAt: when it may leave; zero: it may
	Tries int                       // most messages of one step
	Keep  time.Duration             // how long a Series stays that is over
}

// On is when a step leaves whose day it is: at At, or when hours open after that. It may
// be another day then.
func (c *Clock) On(day service.Day) time.Time {
	// Seconds past midnight by the clock on the wall: where that was set, it still shows At.
	return c.open(time.Date(day.Year, day.Month, day.Day, 0, 0, int(c.At/time.Second), 0, c.Zone))
}

// open is the first moment from t on at which the service may leave.
func (c *Clock) open(t time.Time) time.Time {
	if c.Opens == nil {
		return t
	}
	if opens := c.Opens(t); opens.After(t) {
		return opens
	}
	return t
}

// Today is the day that the service's clock shows.
func (c *Clock) Today(now time.Time) service.Day { return dayOf(now.In(c.Zone)) }

// begins is the first moment of a day.
func (c *Clock) begins(day service.Day) time.Time {
	return time.Date(day.Year, day.Month, day.Day, 0, 0, 0, 0, c.Zone)
}
