package smpp

import (
	"slices"
	"time"

	"masar/smpp/pdu"
)

const maxSequence = 0x7FFFFFFF

// pending is our own unanswered requests: a table of a power of two of slots, a request's
// slot being its sequence_number's low bits. It starts small and doubles up to twice the
// window, so that a few old requests do not keep new ones from their numbers.
//
// Requests whose time ran out leave the table (their slot is free again) and are
// remembered in late, bounded, so that a late answer still finds its token.
type pending struct {
	slots []slot
	count int    // busy slots
	limit int    // the window
	last  uint32 // the sequence_number given last
	order uint64 // requests sent so far

	late      map[uint32]slot
	lateOrder []uint32 // oldest first; may name numbers already answered
}

type slot struct {
	token any
	order uint64
	sent  time.Duration
	seq   uint32 // 0: free
	cmd   pdu.Command
}

const (
	firstSlots = 16
	maxLate    = 4096
	lateSpan   = 10 // a late answer is known for this many response times
)

// newPending returns a table for limit requests whose first number is first.
func newPending(limit int, first uint32) pending {
	limit = max(limit, 1)
	return pending{
		slots: make([]slot, min(firstSlots, ceilPow2(2*limit))),
		limit: limit,
		last:  (first + maxSequence - 1) % maxSequence,
	}
}

func ceilPow2(n int) int {
	p := 1
	for p < n {
		p <<= 1
	}
	return p
}

func (p *pending) slot(seq uint32) *slot { return &p.slots[int(seq)&(len(p.slots)-1)] }

func (p *pending) free() int { return max(p.limit-p.count, 0) }

// next returns the sequence_number of a new request: 1..0x7FFFFFFF, then 1 again
// (SMPP v3.4 section 5.1.4). A number still unanswered from the last lap is skipped: its
// late answer would complete the wrong request.
//
// Invariant: the table has twice as many slots as the window, so a free one is found.
func (p *pending) next() uint32 {
	for {
		p.last = p.last%maxSequence + 1
		for p.slot(p.last).seq != 0 && p.grow() {
		}
		if p.slot(p.last).seq != 0 {
			continue
		}
		if _, known := p.late[p.last]; !known {
			return p.last
		}
	}
}

// grow doubles the table; false at its bound.
func (p *pending) grow() bool {
	if len(p.slots) >= ceilPow2(2*p.limit) {
		return false
	}
	old := p.slots
	p.slots = make([]slot, 2*len(old))
	for i := range old {
		if old[i].seq != 0 {
			*p.slot(old[i].seq) = old[i]
		}
	}
	return true
}

// add keeps a request sent at now. REQUIRES: seq came from next just now.
func (p *pending) add(seq uint32, cmd pdu.Command, token any, now time.Duration) {
	p.order++
	*p.slot(seq) = slot{token, p.order, now, seq, cmd}
	p.count++
}

// take removes and returns the request that an answer read at now belongs to.
func (p *pending) take(seq uint32, answer pdu.Command, now, response time.Duration) (r slot, late bool, verdict match) {
	if seq == 0 {
		return slot{}, false, noMatch
	}
	if sl := p.slot(seq); sl.seq == seq {
		if answer != pdu.CmdGenericNack && answer != sl.cmd.Resp() {
			return slot{}, false, wrongCommand
		}
		r = *sl
		*sl = slot{}
		p.count--
		return r, false, matched
	}
	p.forget(now, response)
	if r, late = p.late[seq]; late {
		if answer != pdu.CmdGenericNack && answer != r.cmd.Resp() {
			return slot{}, false, wrongCommand
		}
		delete(p.late, seq)
		return r, true, matched
	}
	return slot{}, false, noMatch
}

type match uint8

const (
	noMatch match = iota
	matched
	wrongCommand // the sequence_number is known, but of another request
)

// expire moves the requests that are older than response at now to the late ones and
// appends them to dst, in order of sending.
func (p *pending) expire(dst []slot, now, response time.Duration) []slot {
	if response <= 0 {
		return dst
	}
	p.forget(now, response)
	if p.count == 0 {
		return dst
	}
	first := len(dst)
	for i := range p.slots {
		sl := &p.slots[i]
		if sl.seq != 0 && now-sl.sent >= response {
			dst = append(dst, *sl)
			*sl = slot{}
			p.count--
		}
	}
	slices.SortFunc(dst[first:], byOrder)
	for _, sl := range dst[first:] {
		p.remember(sl)
	}
	return dst
}

func byOrder(a, b slot) int {
	if a.order < b.order {
		return -1
	}
	return 1
}

func (p *pending) remember(sl slot) {
	if p.late == nil {
		p.late = make(map[uint32]slot)
	}
	if len(p.lateOrder) >= maxLate {
		delete(p.late, p.lateOrder[0])
		p.lateOrder = p.lateOrder[1:]
	}
	p.late[sl.seq] = sl
	p.lateOrder = append(p.lateOrder, sl.seq)
}

// forget drops the late ones whose answer is no longer waited for.
func (p *pending) forget(now, response time.Duration) {
	for len(p.lateOrder) > 0 {
		seq := p.lateOrder[0]
		if sl, ok := p.late[seq]; ok {
			if now-sl.sent < (lateSpan+1)*response {
				return
			}
			delete(p.late, seq)
		}
		p.lateOrder = p.lateOrder[1:]
	}
	p.late, p.lateOrder = nil, nil
}

// oldest is when the oldest unanswered request was sent; forever when there is none.
func (p *pending) oldest() time.Duration {
	oldest := forever
	if p.count > 0 {
		for i := range p.slots {
			if p.slots[i].seq != 0 {
				oldest = min(oldest, p.slots[i].sent)
			}
		}
	}
	return oldest
}

// drain empties the table and returns the tokens of what was unanswered, in order of
// sending. Those whose time had run out are not among them: their owner knows.
func (p *pending) drain() []any {
	if p.count == 0 {
		return nil
	}
	left := make([]slot, 0, p.count)
	for _, sl := range p.slots {
		if sl.seq != 0 {
			left = append(left, sl)
		}
	}
	slices.SortFunc(left, byOrder)
	tokens := make([]any, len(left))
	for i := range left {
		tokens[i] = left[i].token
	}
	*p = pending{slots: make([]slot, 1), limit: 1, last: p.last}
	return tokens
}
