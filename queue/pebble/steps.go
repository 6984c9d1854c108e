package pebble

import (
	"errors"
	"fmt"

	"masar/queue"
)

// effect is what a durable batch changes in memory.
type effect struct {
	kind    effectKind
	it      *item
	lane    *lane
	stamp   uint64
	due     queue.Time
	account uint32 // of an outbox
	parcel  *parcel
}

type effectKind uint8

const (
	effEnd     effectKind = iota // a claim's message left where it stood
	effLane                      // a row entered a lane
	effBack                      // a row of a message that was sent entered a lane
	effAside                     // a row entered the side way
	effOut                       // a delivery entered an outbox
	effOutGone                   // one left
)

var errStep = errors.New("store: bad step")

// maxOnce bounds Accept.Once, source and key together, in octets.
const maxOnce = 320

// valid refuses, before anything is taken in, what no committer could do.
func valid(steps []queue.Step) error {
	for _, st := range steps {
		var bad string
		switch t := st.(type) {
		case *queue.Accept:
			switch {
			case t.M == nil:
				bad = "Accept without a message"
			case t.M.Class >= queue.Classes:
				bad = "Accept with an unknown class"
			case t.M.Expires == 0:
				bad = "Accept of a message without Expires"
			case t.Due == 0 && t.Lane.Class >= queue.Classes:
				bad = "Accept into a lane of an unknown class"
			case len(t.Once) > maxOnce:
				bad = "Accept with a Once key that is too long"
			}
		case *queue.Enter:
			if t.Lane.Class >= queue.Classes {
				bad = "Enter into a lane of an unknown class"
			} else if t.Claim.M == nil {
				bad = "Enter without a claim"
			}
		case *queue.Wait:
			if t.Claim.M == nil {
				bad = "Wait without a claim"
			}
		case *queue.Final:
			if (t.Claim.M == nil) == (t.Ref == nil) {
				bad = "Final wants a claim or a ref"
			} else if t.Ref != nil && t.Ref.M == nil {
				bad = "Final with a ref that has no message"
			}
		case *queue.Part:
			if t.Claim.M == nil {
				bad = "Part without a claim"
			}
		case *queue.Sending:
			if t.Claim.M == nil {
				bad = "Sending without a claim"
			}
		case *queue.Outcome:
			if t.Ref == nil || t.Ref.M == nil {
				bad = "Outcome without a ref"
			}
		case *queue.Reroute:
			switch {
			case t.Ref == nil || t.Ref.M == nil:
				bad = "Reroute without a ref"
			case t.Ref.M.Kept == 0:
				bad = "Reroute of a message whose body was not kept"
			case t.Lane.Class >= queue.Classes:
				bad = "Reroute into a lane of an unknown class"
			}
		case *queue.Deliver:
			if t.Delivery == nil && t.MO == nil {
				bad = "Deliver of nothing"
			}
		case *queue.MOPart:
			if t.Set.Total == 0 || t.Part == 0 || t.Part > t.Set.Total {
				bad = "MOPart outside its set"
			}
		case nil:
			bad = "a nil step"
		}
		if bad != "" {
			return fmt.Errorf("%w: %s", errStep, bad)
		}
	}
	return nil
}

// apply writes the steps of one Commit into the batch. Ids are given out first, so that
// the messages of one Commit have consecutive ones.
func (c *committer) apply(steps []queue.Step) {
	c.fresh = c.fresh[:0]
	for _, st := range steps {
		a, ok := st.(*queue.Accept)
		c.fresh = append(c.fresh, ok && c.admit(a))
	}
	for i, st := range steps {
		switch t := st.(type) {
		case *queue.Accept:
			if c.fresh[i] {
				c.accept(t)
			} else {
				c.refund[roomOf(t.M)]++
			}
		case *queue.Part:
			c.part(t)
		case *queue.Final:
			c.final(t)
		case *queue.Delivered:
			c.delivered(t)
		case *queue.Deliver:
			c.deliver(t.Delivery)
			if t.MO != nil {
				c.dropMO(t.MO)
			}
		case *queue.Wait:
			c.wait(t)
		case *queue.Enter:
			c.enter(t)
		case *queue.Sending:
			c.sending(t)
		case *queue.Outcome:
			c.outcome(t)
		case *queue.Reroute:
			c.reroute(t)
		case *queue.Unmatched:
			c.unmatched(t)
		case *queue.MOPart:
			c.moPart(t)
		}
	}
}

// lane finds or makes a lane. Its state row is written with its first row, so that start
// knows of every lane.
func (c *committer) lane(id queue.Lane, stamp uint64) *lane {
	s := c.s
	s.mu.Lock()
	l, known := s.lanes[id]
	if !known {
		l = &lane{id: id, want: s.o.ReadAhead}
		s.lanes[id] = l
	}
	s.mu.Unlock()
	if !known {
		c.v = appendState(c.v[:0], state{head: stamp, tail: stamp - 1})
		c.set(laneStateKey(c.k, id), c.v)
	}
	return l
}

// claimed gives the item that a step's claim holds; nil when the claim has ended: the
// step was taken before, it changes nothing now.
func (c *committer) claimed(cl *queue.Claim) *item {
	it, ok := cl.Held.(*item)
	if !ok {
		c.s.mu.Lock()
		it = c.s.items[cl.M.ID]
		c.s.mu.Unlock()
	}
	if it == nil || it.stamp != cl.Stamp || it.state.Load() != held {
		return nil
	}
	return it
}

// adopt makes m the item's message: a claim's owner may have made a changed copy. Where it
// goes to another number now its row in the index moves along.
func (c *committer) adopt(it *item, m *queue.Message) {
	if it.m == m {
		return
	}
	if it.side && (it.m.Dest.Addr != m.Dest.Addr || it.m.Source.Addr != m.Source.Addr) {
		c.del(waitingKey(c.k, m.Account, c.pairMAC(it.m), it.id))
		c.set(waitingKey(c.k, m.Account, c.pairMAC(m), it.id), nil)
	}
	c.s.mu.Lock()
	it.m = m
	c.s.mu.Unlock()
}

// leave removes the rows by which a message waits, and ends its claim.
func (c *committer) leave(it *item) {
	it.state.Store(over)
	if it.stamp != 0 {
		c.single(laneKey(c.k, it.lane.id, it.stamp))
	}
	if it.side {
		m := it.m
		c.del(idKey(c.k, kindSide, it.id))
		c.del(waitingKey(c.k, m.Account, c.pairMAC(m), it.id))
		c.undue(it)
	}
	c.unsend(it)
	c.effects = append(c.effects, effect{kind: effEnd, it: it})
}

// undue takes a message that is aside out of the due order, of the halted ones, and of its
// account's counts.
func (c *committer) undue(it *item) {
	if it.stamp != 0 {
		return
	}
	c.sides[roomOf(it.m)]--
	if it.why == queue.WaitHalted {
		c.halts[roomOf(it.m)]--
		c.del(idKey(c.k, kindHalted, it.id))
	}
	if it.dueAt != 0 {
		c.del(dueKey(c.k, it.m.Class, dueMillis(it.dueAt), it.id))
	}
}

func (c *committer) unsend(it *item) {
	for _, a := range it.sending {
		c.del(sendingKey(c.k, it.id, a))
	}
	it.sending = nil
}

func (c *committer) pairMAC(m *queue.Message) uint64 {
	return c.s.pairMAC(c.mac, m.Source.Addr, m.Dest.Addr)
}

// aside writes a message to the side way. REQUIRES: it is claimed by the step or new.
func (c *committer) aside(it *item, p sidePlace) {
	m := it.m
	c.v = appendSide(c.v[:0], p, m)
	c.set(idKey(c.k, kindSide, m.ID), c.v)
	if p.until != 0 {
		c.set(dueKey(c.k, m.Class, dueMillis(p.until), m.ID), nil)
		if p.until < c.due[m.Class] {
			// Due already, and behind the bound that a start looks from: it goes with the row.
			c.due[m.Class] = p.until
			c.v = be.AppendUint64(c.v[:0], uint64(p.until))
			c.set(metaDueKey(c.k, m.Class), c.v)
		}
	}
	c.set(waitingKey(c.k, m.Account, c.pairMAC(m), m.ID), nil)
	c.sides[roomOf(m)]++
	if p.why == queue.WaitHalted {
		c.halts[roomOf(m)]++
		c.set(idKey(c.k, kindHalted, m.ID), nil)
	}
	c.effects = append(c.effects, effect{kind: effAside, it: it, due: p.until})
}

func (c *committer) wait(w *queue.Wait) {
	it := c.claimed(&w.Claim)
	if it == nil {
		return
	}
	c.adopt(it, w.Claim.M)
	it.state.Store(over)
	if it.stamp != 0 {
		c.single(laneKey(c.k, it.lane.id, it.stamp))
	}
	if it.side {
		c.undue(it)
	}
	c.unsend(it)
	c.effects = append(c.effects, effect{kind: effEnd, it: it})
	c.aside(it, sidePlace{why: w.Why, until: w.Until, lane: w.Lane})
}

func (c *committer) enter(e *queue.Enter) {
	it := c.claimed(&e.Claim)
	if it == nil {
		return
	}
	c.adopt(it, e.Claim.M)
	it.state.Store(over)
	if it.stamp != 0 {
		c.single(laneKey(c.k, it.lane.id, it.stamp))
	}
	if it.side {
		c.undue(it)
	} else {
		c.set(waitingKey(c.k, it.m.Account, c.pairMAC(it.m), it.id), nil)
	}
	c.unsend(it)
	stamp := c.next()
	l := c.lane(e.Lane, stamp)
	c.v = appendSide(c.v[:0], sidePlace{why: it.why, lane: e.Lane, stamp: stamp}, it.m)
	size := int64(len(c.v)) + itemOctets
	c.set(idKey(c.k, kindSide, it.id), c.v)
	c.v = appendPointer(c.v[:0], it.id)
	c.set(laneKey(c.k, e.Lane, stamp), c.v)
	again := newItem(it.m)
	again.side, again.why, again.parts, again.size = true, it.why, it.parts, size
	c.effects = append(c.effects,
		effect{kind: effEnd, it: it},
		effect{kind: effLane, it: again, lane: l, stamp: stamp})
}

func (c *committer) sending(g *queue.Sending) {
	it := c.claimed(&g.Claim)
	if it == nil {
		return
	}
	if g.Carrier == 0 { // it did not go: nothing is in doubt
		c.unsend(it)
		it.unsure = 0
		return
	}
	c.v = be.AppendUint32(c.v[:0], g.Carrier)
	c.set(sendingKey(c.k, it.id, g.Attempt), c.v)
	for _, a := range it.sending {
		if a == g.Attempt {
			return
		}
	}
	it.sending = append(it.sending, g.Attempt)
}

// part records one answered part. Only a message of several has part rows.
func (c *committer) part(p *queue.Part) {
	it := c.claimed(&p.Claim)
	if it == nil {
		return
	}
	m := p.Claim.M
	c.adopt(it, m)
	info := &p.Info
	if !it.recorded(info) {
		if info.Of > 1 {
			row := answered{*info, p.Await}
			c.v = appendAnswered(c.v[:0], &row)
			c.set(partKey(c.k, it.id, info.Attempt, info.Part), c.v)
			it.parts = append(it.parts, *info)
			c.pending[it.id] = append(c.pending[it.id], row)
		}
		if p.Await && info.CarrierID != "" {
			c.v = append(c.v[:0], info.Of)
			c.set(correlateKey(c.k, info.Carrier, info.CarrierID, it.id, info.Attempt, info.Part), c.v)
		}
	}
	if p.Await {
		// Of a Ref that the caller made only the store's own fields are touched: it may be
		// in use already.
		if p.Ref == nil {
			p.Ref = &queue.Ref{M: m, Info: *info}
			if info.Of > 1 {
				p.Ref.Parts = append([]queue.PartInfo(nil), it.parts...)
			}
		}
		p.Ref.Stamp = uint64(it.id)
		p.Ref.TextMAC = c.mac.of(macText, m.Body)
	}
	if !p.Last {
		return
	}
	c.leave(it)
	c.refund[roomOf(m)]++
	if p.Await {
		c.sent(m, info, p.Ref.TextMAC)
		return
	}
	c.finals[it.id] = struct{}{}
	f := queue.Facts{State: p.State, Carrier: info.Carrier, Ended: info.Sent}
	f.TextMAC = c.mac.of(macText, m.Body)
	f.Parts = c.dropParts(m, info, p.Await)
	c.history(&f, m)
	c.deliver(p.Deliver)
}

// sent moves a message to where it waits for its receipt.
func (c *committer) sent(m *queue.Message, info *queue.PartInfo, mac uint64) {
	c.v = appendSent(c.v[:0], mac, info, m)
	c.set(idKey(c.k, kindSent, m.ID), c.v)
	c.awaits.add(m.ID)
	if m.Kept != 0 {
		c.kept[m.ID] = keptSent{m, *info, mac}
	}
}

func (c *committer) outcome(o *queue.Outcome) {
	m, info := o.Ref.M, o.Info
	if !c.hasPart(m.ID, &info) {
		return
	}
	row := answered{info, true} // its receipt came: it was awaited
	c.v = appendAnswered(c.v[:0], &row)
	c.set(partKey(c.k, m.ID, info.Attempt, info.Part), c.v)
	c.pending[m.ID] = append(c.pending[m.ID], row)
}

// hasPart says that a part's row is there: the message has not ended.
func (c *committer) hasPart(id queue.ID, info *queue.PartInfo) bool {
	if _, ended := c.finals[id]; ended {
		return false
	}
	for _, p := range c.pending[id] {
		if p.Attempt == info.Attempt && p.Part == info.Part {
			return true
		}
	}
	_, ok := c.get(partKey(c.k, id, info.Attempt, info.Part))
	return ok
}

// isSent says that a message waits for its receipt: what decides whether a second Final
// or Outcome finds anything to do.
func (c *committer) isSent(id queue.ID) bool {
	if _, ended := c.finals[id]; ended {
		return false
	}
	if c.awaits.has(id) {
		return true
	}
	_, ok := c.get(idKey(c.k, kindSent, id))
	return ok
}

// unmatched keeps a receipt under the time it came, so that a repeated step is one row.
func (c *committer) unmatched(u *queue.Unmatched) {
	at := u.At
	if at == 0 {
		at = c.now
	}
	n, counted := c.unmatchedN[u.Carrier]
	if !counted {
		c.must(scan(c.s.db, unmatchedKey(nil, u.Carrier, "", 0)[:5], func(_, _ []byte) error { n++; return nil }))
	}
	c.unmatchedN[u.Carrier] = n + 1
	if n >= c.s.o.UnmatchedMax {
		c.trimUnmatched(u.Carrier)
	}
	c.v = appendUnmatched(c.v[:0], u)
	c.set(unmatchedKey(c.k, u.Carrier, u.CarrierID, uint64(at)), c.v)
	c.s.metrics.unmatched()
}

func (c *committer) moPart(p *queue.MOPart) {
	mac := c.mac.of(macMOSet, append(c.v[:0], p.Set.Addresses...))
	c.v = appendMO(c.v[:0], p)
	c.set(moKey(c.k, p.Set.Carrier, mac, p.Set.Ref, p.Set.Total, p.Part), c.v)
}

func (c *committer) dropMO(set *queue.MORef) {
	mac := c.mac.of(macMOSet, append(c.v[:0], set.Addresses...))
	for part := range set.Total {
		c.del(moKey(c.k, set.Carrier, mac, set.Ref, set.Total, part+1))
	}
}
