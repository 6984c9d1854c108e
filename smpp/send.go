package smpp

import (
	"time"

	"masar/smpp/pdu"
)

// Send puts a request of ours on its way and returns its sequence_number. The body is
// encoded at once and may be reused; token comes back with the answer and should hold a
// pointer (anything else is allocated). It never blocks: ErrWindowFull when Limits.Send
// requests are unanswered or the peer reads nothing, ErrState when the state table does
// not allow the command, ErrClosed. alert_notification has no answer and takes no slot.
func (s *Session) Send(cmd pdu.Command, body pdu.Body, token any) (seq uint32, err error) {
	now := s.now()
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.State()
	if s.stopped || st == Closed {
		return 0, ErrClosed
	}
	i := ruleAt(cmd)
	if i < 0 || !rules[i].allows(s.role.peer(), st) {
		return 0, ErrState
	}
	answered := rules[i].answered
	if answered && s.pend.free() == 0 || s.unwritten() > s.limits.OutBytes {
		return 0, ErrWindowFull
	}
	seq = s.pend.next()
	s.appendLocked(cmd, pdu.ESME_ROK, seq, body)
	if answered {
		s.pend.add(seq, cmd, token, now)
		if s.clock.Response > 0 {
			s.wakeBy(now + s.clock.Response)
		}
	}
	return seq, nil
}

// appendLocked encodes one PDU into the outgoing buffer and wakes the writer, unless the
// reader is at a batch and will do so at its end: one write for many answers.
func (s *Session) appendLocked(cmd pdu.Command, st pdu.Status, seq uint32, body pdu.Body) {
	start := len(s.out)
	s.out = pdu.Append(s.out, cmd, st, seq, body)
	n := len(s.out) - start
	s.marked += uint64(n)
	s.stats.PDUsOut++
	if s.observe != nil {
		s.observe.PDU(s, false, pdu.Header{Length: uint32(n), Command: cmd, Status: st, Sequence: seq}, s.out[start:])
	}
	if s.idle && !s.inBatch.Load() {
		s.wakeWriter()
	}
}

// put is appendLocked for the reader's own answers.
func (s *Session) put(cmd pdu.Command, st pdu.Status, seq uint32, body pdu.Body) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.appendLocked(cmd, st, seq, body)
}

// wakeBy sees to it that the reader looks at the clock by then.
func (s *Session) wakeBy(at time.Duration) {
	if at < s.wakeAt {
		s.wakeAt = at
		s.conn.SetReadDeadline(s.base.Add(at))
	}
}

// kick makes the reader look at the session's state now.
func (s *Session) kick() {
	s.wakeAt = 0
	s.conn.SetReadDeadline(s.base)
}

// unbindIfAnswered sends the unbind that waits for the last open Reply.
func (s *Session) unbindIfAnswered() {
	if s.unbind != unbindWanted || s.open.count > 0 {
		return
	}
	s.unbind = unbindSent
	s.appendLocked(pdu.CmdUnbind, pdu.ESME_ROK, s.pend.next(), nil)
	now := s.now()
	s.clock.unbindAt = max(now, 1)
	s.wakeBy(now + s.clock.grace())
}
