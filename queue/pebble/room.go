package pebble

import "masar/queue"

// room counts what waits, reservations of Accepts in the inbox included. It is a brain:
// its owner holds the inbox's lock.
type room struct {
	max, maxAccount int64
	used            int64
	of              map[roomKey]int64
	refused         [queue.Classes]uint64
}

type roomKey struct {
	account uint32
	class   queue.Class
}

func roomOf(m *queue.Message) roomKey { return roomKey{m.Account, m.Class} }

// reserve is the share of the room, in percent, from which a class is refused: what is
// left is for the classes above it.
var reserve = [queue.Classes]int64{queue.Urgent: 95, queue.Normal: 90, queue.Bulk: 80}

// take reserves room for one message; most is the bound of its account and class, 0: the
// store's. closed says for how many classes, from the lowest up, the disk has none.
// ErrFull, ErrDiskFull: nothing is reserved.
func (r *room) take(k roomKey, most int64, closed int32) error {
	if most <= 0 {
		most = r.maxAccount
	}
	var err error
	switch {
	case int32(k.class) >= queue.Classes-closed:
		err = queue.ErrDiskFull
	case r.used*100 >= r.max*reserve[k.class], r.of[k] >= most:
		err = queue.ErrFull
	default:
		r.used++
		r.of[k]++
		return nil
	}
	r.refused[k.class]++
	return err
}

func (r *room) give(k roomKey, n int64) {
	r.used -= n
	if r.of[k] -= n; r.of[k] <= 0 {
		delete(r.of, k)
	}
}

// fill counts messages found at start.
func (r *room) fill(k roomKey, n int64) {
	r.used += n
	r.of[k] += n
}
