package pebble

import (
	"masar/queue"
)

// keptSent is a sent row of this batch, for a Reroute in the same one.
type keptSent struct {
	m    *queue.Message
	info queue.PartInfo
	mac  uint64
}

// reroute moves a sent message back into a lane. Its record comes from its sent row: whoever
// has the receipt has it without the body.
//
// The failed attempt keeps its correlations, and what its receipts said stands in part rows,
// of a message of one part too: so a receipt that comes again, or late, finds its part and
// an attempt that is over, and the message's end takes all of it along.
func (c *committer) reroute(r *queue.Reroute) {
	id := r.Ref.M.ID
	m, last, ok := c.keptMessage(id)
	if !ok || last.Attempt != r.Ref.Info.Attempt {
		return // it has ended, or gone out again: the step was taken before
	}
	c.finals[id] = struct{}{} // no step of this batch finds it sent any more
	c.awaits.remove(id)
	// Not single: the key is written again when the message is sent again.
	c.del(idKey(c.k, kindSent, id))
	row := answered{r.Ref.Info, true} // its receipt came: it was awaited
	c.v = appendAnswered(c.v[:0], &row)
	c.set(partKey(c.k, id, row.Attempt, row.Part), c.v)
	c.pending[id] = append(c.pending[id], row)

	m.Attempt, m.Answers, m.Kept = last.Attempt+1, nil, 0
	m.Barred, m.Tries, m.LastErr, m.Marker = r.Barred, 0, 0, ""
	if m.Reroutes < 255 {
		m.Reroutes++
	}
	m.Origin, m.Checked, m.World = r.Ref.M.Origin, 0, 0 // whoever takes it asks again whether it may leave
	again := newItem(m)
	again.side, again.why = true, queue.WaitRetry
	c.parts = c.partRows(id, c.parts[:0])
	for i := range c.parts {
		again.parts = append(again.parts, c.parts[i].PartInfo)
	}
	stamp := c.next()
	l := c.lane(r.Lane, stamp)
	c.v = appendSide(c.v[:0], sidePlace{why: again.why, lane: r.Lane, stamp: stamp}, m)
	again.size = int64(len(c.v)) + itemOctets
	c.set(idKey(c.k, kindSide, id), c.v)
	c.v = appendPointer(c.v[:0], id)
	c.set(laneKey(c.k, r.Lane, stamp), c.v)
	c.set(waitingKey(c.k, m.Account, c.pairMAC(m), id), nil)
	c.refund[roomOf(m)]-- // it waits again: what a receipt brings back always fits
	c.s.reserve(again)
	c.effects = append(c.effects, effect{kind: effBack, it: again, lane: l, stamp: stamp})
}

// keptMessage is the message of a sent row with its body, and the row's part; false: there
// is no such row, or it has no body. The message is the caller's.
func (c *committer) keptMessage(id queue.ID) (m *queue.Message, last queue.PartInfo, ok bool) {
	if _, ended := c.finals[id]; ended {
		return nil, last, false
	}
	if k, now := c.kept[id]; now {
		m := *k.m
		return &m, k.info, true
	}
	v, there := c.get(idKey(c.k, kindSent, id))
	if !there {
		return nil, last, false
	}
	m = new(queue.Message)
	_, err := parseKept(v, &last, m)
	c.must(err)
	return m, last, err == nil && m.Kept != 0
}

// overtaken says that a part is of an attempt that was over before the message went out
// again: its receipt, or that none came, ends nothing.
func (c *committer) overtaken(m *queue.Message, info *queue.PartInfo) bool {
	if m.Kept == 0 {
		return false // it cannot have gone out again
	}
	if k, now := c.kept[m.ID]; now {
		return k.info.Attempt != info.Attempt
	}
	v, there := c.get(idKey(c.k, kindSent, m.ID))
	if !there {
		return false // finalSent finds that, too
	}
	var last queue.PartInfo
	_, err := sentRecord(v, &last)
	c.must(err)
	return last.Attempt != info.Attempt
}

// reserve claims a message for the committer, from the moment its rows may be read until
// they are durable and fed. Whoever has grabbed it as one that is sent has lost it.
func (s *Store) reserve(it *item) {
	it.state.Store(held)
	s.mu.Lock()
	s.items[it.id] = it
	s.mu.Unlock()
}

// unhold ends reserve. REQUIRES: s.mu.
func (s *Store) unhold(it *item) {
	it.state.Store(ready)
	if s.items[it.id] == it {
		delete(s.items, it.id)
	}
}
