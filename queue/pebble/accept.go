package pebble

import (
	"fmt"

	"masar/queue"
)

// admit gives a new message its id; false when it is known already.
func (c *committer) admit(a *queue.Accept) bool {
	m := a.M
	if m.ID != 0 && uint64(m.ID) <= c.last {
		if uint64(m.ID) > c.first || c.s.exists(m.ID, m.Account) {
			return false // the same step again
		}
	}
	var mac uint64
	if len(a.Once) > 0 {
		mac = c.onceMAC(m.Account, a.Once)
		if c.known(a, mac) {
			a.Again = true
			return false
		}
	}
	old := m.ID
	m.ID = queue.ID(c.next())
	if m.Shown == "" || old != 0 && m.Shown == old.String() {
		m.Shown = c.shown(a)
	}
	if len(a.Once) > 0 {
		c.once[mac] = m
		c.v = be.AppendUint64(c.v[:0], uint64(m.ID))
		c.v = append(c.v, m.Shown...)
		c.set(onceKey(c.k, week(c.now), mac), c.v)
	}
	return true
}

// shown is the id that the client of a new message sees.
func (c *committer) shown(a *queue.Accept) string {
	id := a.M.ID
	if a.First != nil {
		id = a.First.ID
	}
	switch {
	case a.Short && (a.First == nil || a.First == a.M):
		return c.shortID(a.M)
	case a.Short:
		return a.First.Shown
	case a.Decimal:
		return id.Decimal()
	}
	return id.String()
}

func (c *committer) onceMAC(account uint32, once []byte) uint64 {
	c.v = append(be.AppendUint32(c.v[:0], account), once...)
	return c.mac.of(macOnce, c.v)
}

// week numbers the weeks since 1970. Once keys are written under the week of their Accept
// and looked for in this one and the one before: kept 7 days at least. The next one is
// looked at too, for a clock that stepped back.
func week(t queue.Time) uint16 { return uint16(t / weekMicros) }

const onceWeeks = 3

// known looks for an earlier Accept with the same Once key.
func (c *committer) known(a *queue.Accept, mac uint64) bool {
	if m := c.once[mac]; m != nil {
		a.M.ID, a.M.Shown = m.ID, m.Shown
		return true
	}
	for w := range uint16(onceWeeks) {
		if v, ok := c.get(onceKey(c.k, week(c.now)+1-w, mac)); ok && len(v) >= 8 {
			a.M.ID, a.M.Shown = queue.ID(be.Uint64(v)), string(v[8:])
			return true
		}
	}
	return false
}

// shortID gives out the account's next short id: 10 decimal digits.
func (c *committer) shortID(m *queue.Message) string {
	n, ok := c.short[m.Account]
	if !ok {
		if v, there := c.get(metaShortKey(c.k, m.Account)); there && len(v) == 8 {
			n = be.Uint64(v)
		}
	}
	n = n%9_999_999_999 + 1
	c.short[m.Account] = n
	c.v = be.AppendUint64(c.v[:0], n)
	c.set(metaShortKey(c.k, m.Account), c.v)
	c.v = be.AppendUint64(c.v[:0], uint64(m.ID))
	c.v = be.AppendUint64(c.v, uint64(c.now))
	c.set(shortKey(c.k, m.Account, n), c.v)
	return fmt.Sprintf("%010d", n)
}

func (c *committer) accept(a *queue.Accept) {
	m := a.M
	if a.Due != 0 {
		it := newItem(m)
		c.aside(it, sidePlace{why: queue.WaitSchedule, until: a.Due, lane: a.Lane})
		return
	}
	l := c.lane(a.Lane, uint64(m.ID))
	c.v = queue.AppendMessage(c.v[:0], m)
	c.set(laneKey(c.k, a.Lane, uint64(m.ID)), c.v)
	it := newItem(m)
	it.size = int64(len(c.v)) + itemOctets
	it.entered = m.Accepted
	c.effects = append(c.effects, effect{kind: effLane, it: it, lane: l, stamp: uint64(m.ID)})
}
