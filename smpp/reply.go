package smpp

import (
	"math"

	"masar/smpp/pdu"
)

// Reply answers exactly one request of the peer, once, from any goroutine, at any time;
// it never blocks. The zero Reply answers nothing.
type Reply struct {
	s    *Session
	slot uint32
	turn uint32 // which use of the slot this is: a second Send finds another one
	cmd  pdu.Command
	seq  uint32
}

// NeverWritten is the mark of a Reply whose session had ended: no Written reaches it.
const NeverWritten = math.MaxUint64

// Send answers with the request's own response. The body is encoded at once, so it may
// be reused; it may be nil, as it should with a status other than ESME_ROK (v3.4 leaves
// it away then). mark is the position in the outgoing stream after the answer.
func (r Reply) Send(st pdu.Status, body pdu.Body) (mark uint64) {
	if r.s == nil {
		return 0
	}
	return r.s.answer(r, r.cmd.Resp(), st, body, "", false)
}

// SendID answers a submit_sm, deliver_sm or data_sm with a message_id, and allocates
// nothing.
func (r Reply) SendID(st pdu.Status, messageID string) (mark uint64) {
	if r.s == nil {
		return 0
	}
	return r.s.answer(r, r.cmd.Resp(), st, nil, messageID, true)
}

// SendNack answers with generic_nack.
func (r Reply) SendNack(st pdu.Status) (mark uint64) {
	if r.s == nil {
		return 0
	}
	return r.s.answer(r, pdu.CmdGenericNack, st, nil, "", false)
}

// Session is the session the request came on; nil for the zero Reply.
func (r Reply) Session() *Session { return r.s }

// Command is the request's command_id, Sequence its sequence_number.
func (r Reply) Command() pdu.Command { return r.cmd }
func (r Reply) Sequence() uint32     { return r.seq }

func (s *Session) answer(r Reply, cmd pdu.Command, st pdu.Status, body pdu.Body, id string, hasID bool) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped || s.State() == Closed {
		return NeverWritten
	}
	if !s.open.close(r.slot, r.turn) {
		s.stats.Violations++
		if s.observe != nil {
			s.observe.Violation(DoubleReply)
		}
		return NeverWritten
	}
	if hasID {
		s.msgResp.MessageID = append(s.msgResp.MessageID[:0], id...)
		body = &s.msgResp
	} else if body == nil && st == pdu.ESME_ROK && carriesID(r.cmd) && cmd != pdu.CmdGenericNack {
		s.msgResp.MessageID = s.msgResp.MessageID[:0]
		body = &s.msgResp // deliver_sm_resp's is one NUL (v3.4 section 4.6.2)
	}
	s.appendLocked(cmd, st, r.seq, body)
	mark := s.marked
	if s.open.count == 0 {
		if s.byeSeen {
			s.kick()
		} else {
			s.unbindIfAnswered()
		}
	}
	return mark
}

func carriesID(c pdu.Command) bool {
	return c == pdu.CmdSubmitSM || c == pdu.CmdDeliverSM || c == pdu.CmdDataSM
}

// openRequests are the peer's requests that wait for our answer: a free list of numbered
// slots that grows to the bound of Window + Park and never shrinks.
type openRequests struct {
	slots []openSlot
	free  uint32 // index+1 of the first free slot; 0: none
	count int
}

type openSlot struct {
	turn uint32 // odd while open
	next uint32
}

// take opens a slot; false when limit are open.
func (o *openRequests) take(limit int) (slot, turn uint32, ok bool) {
	if o.count >= limit {
		return 0, 0, false
	}
	o.count++
	if o.free == 0 {
		o.slots = append(o.slots, openSlot{turn: 1})
		return uint32(len(o.slots) - 1), 1, true
	}
	slot = o.free - 1
	sl := &o.slots[slot]
	o.free = sl.next
	sl.turn++
	return slot, sl.turn, true
}

// close frees a slot; false when that turn of it is over already.
func (o *openRequests) close(slot, turn uint32) bool {
	sl := &o.slots[slot]
	if sl.turn != turn {
		return false
	}
	sl.turn++
	sl.next = o.free
	o.free = slot + 1
	o.count--
	return true
}
