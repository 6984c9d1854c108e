package gateway

import "time"

// references8 hands out 8-bit concatenation references: counted per destination, so that
// two messages to one handset never share one while the earlier may still be arriving. A
// hash of 256 values over all messages would collide within sixteen of them. The table is
// bounded: a destination that is forgotten starts from its hash again.
type references8 struct {
	next map[string]uint8
	old  map[string]uint8 // the half of before: a destination seen in neither half is new
	born time.Time
}

const references8Most = 1 << 16 // destinations a half

func (r *references8) take(dest string, first uint8, now time.Time) uint8 {
	if r.next == nil || len(r.next) >= references8Most || now.Sub(r.born) > time.Hour {
		r.old, r.next, r.born = r.next, map[string]uint8{}, now
	}
	n, ok := r.next[dest]
	if !ok {
		if n, ok = r.old[dest]; !ok {
			n = first
		}
	}
	r.next[dest] = n + 1
	return n
}
