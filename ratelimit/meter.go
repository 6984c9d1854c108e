package ratelimit

import (
	"math"
	"time"
)

const (
	meterSlots = 10
	meterSlot  = time.Second / meterSlots

	// busiestHalf is how long ago the busiest second counts for half.
	busiestHalf = 10 * time.Minute
)

// A meter counts what went in the last second, in slots of a tenth, and remembers the
// busiest second.
type meter struct {
	slots   [meterSlots]float64
	at      int64   // number of the current slot since 1970
	busiest float64 // as of that slot
}

// slot is right for years before 1970 too, where a remainder would be negative.
func (m *meter) slot(n int64) *float64 { return &m.slots[uint64(n)%meterSlots] }

func (m *meter) roll(now time.Time) {
	n := now.UnixNano() / int64(meterSlot)
	gone := n - m.at
	if gone > 0 {
		m.busiest = m.usual() * math.Exp2(-float64(gone)*meterSlot.Seconds()/busiestHalf.Seconds())
	}
	switch {
	case gone == 0 || gone < 0 && gone > -meterSlots:
		return // clock jitter: count it where we are
	case gone < 0 || gone >= meterSlots:
		m.slots = [meterSlots]float64{}
	default:
		for i := m.at + 1; i <= n; i++ {
			*m.slot(i) = 0
		}
	}
	m.at = n
}

func (m *meter) add(now time.Time, n float64) {
	m.roll(now)
	*m.slot(m.at) += n
}

// take takes back what was counted and did not go.
func (m *meter) take(n float64) {
	s := m.slot(m.at)
	*s = max(0, *s-n)
}

// lastSecond is the sum of the current slot, which has only begun, and the nine before.
func (m *meter) lastSecond(now time.Time) float64 {
	m.roll(now)
	return m.sum()
}

func (m *meter) sum() (sum float64) {
	for _, n := range m.slots {
		sum += n
	}
	return sum
}

// usual is the busiest second of late, as of the last add: the time in which nothing goes,
// an outage, does not make it less.
func (m *meter) usual() float64 { return max(m.busiest, m.sum()) }
