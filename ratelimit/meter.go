package ratelimit

import "time"

const (
	meterSlots = 10
	meterSlot  = time.Second / meterSlots
)

// A meter counts what went in the last second, in slots of a tenth.
type meter struct {
	slots [meterSlots]float64
	at    int64 // number of the current slot since 1970
}

// slot is right for years before 1970 too, where a remainder would be negative.
func (m *meter) slot(n int64) *float64 { return &m.slots[uint64(n)%meterSlots] }

func (m *meter) roll(now time.Time) {
	n := now.UnixNano() / int64(meterSlot)
	switch gone := n - m.at; {
	case gone < 0 && gone > -meterSlots:
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
	var sum float64
	for _, n := range m.slots {
		sum += n
	}
	return sum
}
