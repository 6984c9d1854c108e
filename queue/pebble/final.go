package pebble

import (
	"slices"

	"masar/queue"
)

// final ends a message: out of wherever it waits, into history, its receipt into the
// outbox, all in one batch.
func (c *committer) final(f *queue.Final) {
	facts := queue.Facts{State: f.State, Err: f.Err, Status: f.Status, Carrier: f.Carrier, Ended: f.At}
	if facts.Ended == 0 {
		facts.Ended = c.now
	}
	if f.Ref != nil {
		if c.overtaken(f.Ref.M, &f.Ref.Info) {
			return
		}
		c.finalSent(f.Ref.M, &f.Ref.Info, f.Ref.TextMAC, &facts, true)
		if facts.KeyID != 0 {
			c.deliver(f.Deliver)
		}
		return
	}
	it := c.claimed(&f.Claim)
	if it == nil {
		return
	}
	m := f.Claim.M
	c.adopt(it, m)
	if it.sent != nil { // overdue
		it.state.Store(over)
		c.effects = append(c.effects, effect{kind: effEnd, it: it})
		if c.overtaken(m, it.sent) {
			return
		}
		c.finalSent(m, it.sent, it.textMAC, &facts, false)
		if facts.KeyID != 0 {
			c.deliver(f.Deliver)
		}
		return
	}
	c.leave(it)
	c.finals[it.id] = struct{}{}
	c.refund[roomOf(m)]++
	facts.TextMAC = c.mac.of(macText, m.Body)
	if len(it.parts) > 0 || len(c.pending[it.id]) > 0 {
		facts.Parts = c.dropParts(m, nil, false)
	}
	c.history(&facts, m)
	c.deliver(f.Deliver)
}

// finalSent ends a message that waited for its receipt; nothing when it has ended already,
// and then facts.KeyID stays zero. decides: info's own receipt is what ended it.
func (c *committer) finalSent(m *queue.Message, info *queue.PartInfo, mac uint64, facts *queue.Facts, decides bool) {
	if !c.isSent(m.ID) {
		return
	}
	c.finals[m.ID] = struct{}{}
	c.awaits.remove(m.ID)
	if m.Attempt > 1 {
		c.del(idKey(c.k, kindSent, m.ID))
	} else {
		c.single(idKey(c.k, kindSent, m.ID))
	}
	facts.TextMAC = mac
	facts.Parts = c.dropParts(m, info, true)
	if decides {
		for i := range facts.Parts {
			p := &facts.Parts[i]
			if p.Attempt == info.Attempt && p.Part == info.Part && p.State == 0 {
				p.State, p.Err, p.Done = facts.State, facts.Err, facts.Ended
			}
		}
	}
	c.history(facts, m)
}

// dropParts removes the part rows and the correlations of a message and gives what they
// told, in order. A message of one part has its only part in info; awaited says whether
// that one has a correlation. The slice is valid until the next call.
func (c *committer) dropParts(m *queue.Message, info *queue.PartInfo, awaited bool) []queue.PartInfo {
	infos := c.infos[:0]
	if info != nil && info.Of <= 1 {
		infos = append(infos, *info)
		if awaited {
			c.uncorrelate(m.ID, info)
		}
		if m.Attempt <= 1 || info.Attempt <= 1 {
			c.infos = infos
			return infos
		}
	}
	parts := c.partRows(m.ID, c.parts[:0])
	delete(c.pending, m.ID)
	for i := range parts {
		p := &parts[i]
		c.del(partKey(c.k, m.ID, p.Attempt, p.Part))
		if p.awaited {
			c.uncorrelate(m.ID, &p.PartInfo)
		}
		infos = append(infos, p.PartInfo)
	}
	if info != nil && info.Of <= 1 { // its own part came behind those of its earlier attempts
		copy(infos, infos[1:])
		infos[len(infos)-1] = *info
	}
	c.parts, c.infos = parts, infos
	return infos
}

// partRows appends the part rows of a message, those of this batch included, in order.
func (c *committer) partRows(id queue.ID, parts []answered) []answered {
	c.must(c.s.eachPart(c.s.db, id, func(p *answered) { parts = putPart(parts, p) }))
	for i := range c.pending[id] {
		parts = putPart(parts, &c.pending[id][i])
	}
	return parts
}

func (c *committer) uncorrelate(id queue.ID, p *queue.PartInfo) {
	if p.CarrierID != "" {
		c.single(correlateKey(c.k, p.Carrier, p.CarrierID, id, p.Attempt, p.Part))
	}
}

// putPart puts p where it belongs in a list ordered by attempt and part, over an older
// state of the same part.
func putPart(parts []answered, p *answered) []answered {
	at := len(parts)
	for at > 0 && (parts[at-1].Attempt > p.Attempt || parts[at-1].Attempt == p.Attempt && parts[at-1].Part >= p.Part) {
		at--
	}
	if at < len(parts) && parts[at].Attempt == p.Attempt && parts[at].Part == p.Part {
		parts[at] = *p
		return parts
	}
	return slices.Insert(parts, at, *p)
}

// history writes the facts of an ended message under the day it ended.
func (c *committer) history(f *queue.Facts, m *queue.Message) {
	f.KeyID = keyID
	c.v = queue.AppendFacts(c.v[:0], f, m)
	c.set(historyKey(c.k, day(c.now), m.ID), c.v)
}

// deliver puts a delivery into its account's outbox; a second time nothing.
func (c *committer) deliver(d *queue.Delivery) {
	if d == nil || d.Seq != 0 {
		return
	}
	d.Seq = c.next()
	c.outboxOf(d.Account, d.Seq)
	c.v = queue.AppendDelivery(c.v[:0], d)
	c.set(outboxKey(c.k, d.Account, d.Seq), c.v)
	p := &parcel{d: d, size: int64(len(c.v)) + parcelOctets}
	c.effects = append(c.effects, effect{kind: effOut, parcel: p})
}

// outboxOf finds or makes an outbox; its state row comes with its first row.
func (c *committer) outboxOf(account uint32, seq uint64) {
	s := c.s
	s.mu.Lock()
	_, known := s.outboxes[account]
	if !known {
		s.outboxes[account] = &outbox{account: account, want: s.o.ReadAhead}
	}
	s.mu.Unlock()
	if !known {
		c.v = appendState(c.v[:0], state{head: seq, tail: seq - 1})
		c.set(outStateKey(c.k, account), c.v)
	}
}

// delivered takes a delivery out of the outbox: one that somebody holds, but also one
// that was released before its answer came.
func (c *committer) delivered(d *queue.Delivered) {
	s := c.s
	s.mu.Lock()
	o := s.outboxes[d.Account]
	if o == nil {
		s.mu.Unlock()
		return
	}
	p := o.held[d.Seq]
	delete(o.held, d.Seq)
	if p == nil {
		if i := o.find(d.Seq); i >= 0 {
			p = *o.ready.at(i)
			o.ready.remove(i)
			s.memory -= p.size
		}
	}
	_, gone := o.gone[d.Seq]
	unread := p == nil && !gone && o.backlog && d.Seq > o.read
	if p != nil {
		o.ending++
	}
	s.mu.Unlock()
	if unread {
		p = c.unreadDelivery(o, d.Seq)
	}
	if p != nil {
		c.undeliver(p, d.Verdict)
	}
}

// unreadDelivery finds a delivery that is on disk only, and keeps refills from loading it.
func (c *committer) unreadDelivery(o *outbox, seq uint64) *parcel {
	v, ok := c.get(outboxKey(c.k, o.account, seq))
	if !ok {
		return nil
	}
	p := &parcel{d: &queue.Delivery{Account: o.account, Seq: seq}}
	c.must(queue.DecodeDelivery(v, p.d))
	s := c.s
	s.mu.Lock()
	defer s.mu.Unlock()
	// A refill may have brought it in while the row was read.
	if i := o.find(seq); i >= 0 {
		o.ready.remove(i)
	}
	delete(o.held, seq)
	if o.gone == nil {
		o.gone = make(map[uint64]struct{})
	}
	o.gone[seq] = struct{}{}
	o.ending++
	return p
}

// undeliver removes the row of a delivery. How it ended is history only when it ended badly.
func (c *committer) undeliver(p *parcel, v queue.Verdict) {
	d := p.d
	c.single(outboxKey(c.k, d.Account, d.Seq))
	if v != queue.Acknowledged && d.Message != 0 {
		c.v = be.AppendUint64(append(c.v[:0], queue.RecordVersion, 0, 0, 0, byte(v)), uint64(c.now))
		c.set(deliveryEndKey(c.k, day(c.now), d.Message), c.v)
	}
	if v != queue.Acknowledged {
		c.s.metrics.undelivered(v)
	}
	c.effects = append(c.effects, effect{kind: effOutGone, account: d.Account})
}

// countSides writes how many wait on each side way that this batch has changed, and how
// many of them are halted.
func (c *committer) countSides() {
	c.count(kindSideCount, c.sides, c.s.sides)
	c.count(kindHaltCount, c.halts, c.s.halts)
}

// count adds what this batch has changed to totals, which s.mu guards, and writes them.
func (c *committer) count(kind byte, changed, totals map[roomKey]int64) {
	if len(changed) == 0 {
		return
	}
	s := c.s
	for k, n := range changed {
		s.mu.Lock()
		totals[k] += n
		total := totals[k]
		if total <= 0 {
			delete(totals, k)
		}
		s.mu.Unlock()
		if total <= 0 {
			c.del(roomCountKey(c.k, kind, k))
			continue
		}
		c.v = be.AppendUint64(c.v[:0], uint64(total))
		c.set(roomCountKey(c.k, kind, k), c.v)
	}
	clear(changed)
}
