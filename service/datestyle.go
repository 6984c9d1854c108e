package service

import "slices"

// DateStyle is the calendar that an agency writes its dates in.
type DateStyle uint8

// The calendars. Hijri is Umm al-Qura, the civil calendar of Saudi Arabia.
const (
	Gregorian DateStyle = iota
	Hijri
)

var dateStyles = [...]string{"gregorian", "hijri"}

func (s DateStyle) String() string { return nameOf(dateStyles[:], uint8(s)) }

// DateStyleOf reads a calendar as the configuration writes it.
func DateStyleOf(name string) (DateStyle, bool) {
	i := slices.Index(dateStyles[:], name)
	return DateStyle(max(i, 0)), i >= 0
}
