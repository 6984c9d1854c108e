package smpp

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"time"

	"masar/smpp/pdu"
)

// flushEvery is how many frames of one read may be answered before the writer is woken.
const flushEvery = 64

// converse reads until the session is to end and says why.
func (s *Session) converse() error {
	if t, ok := s.conn.(*tls.Conn); ok {
		if err := s.handshake(t); err != nil {
			return err
		}
	}
	if err := s.turn(); err != nil {
		return err
	}
	for {
		n, err := s.conn.Read(s.in[s.w:])
		now := s.now()
		if n > 0 {
			s.w += n
			if n > minInput {
				s.busyAt = now
			}
			if err := s.batch(now, n); err != nil {
				return err
			}
		}
		switch {
		case err == nil:
		case isTimeout(err):
			if err := s.turn(); err != nil {
				return err
			}
		default:
			return s.readError(err)
		}
	}
}

// handshake is TLS's, within the session_init time: the deadline counts from the accept.
func (s *Session) handshake(t *tls.Conn) error {
	limit := s.clock.SessionInit
	if limit <= 0 {
		limit = DefaultTimers.SessionInit
	}
	ctx, cancel := context.WithDeadline(context.Background(), s.base.Add(limit))
	defer cancel()
	if err := t.HandshakeContext(ctx); err != nil {
		s.violation(HandshakeFailed)
		s.stop(fmt.Errorf("smpp: TLS handshake: %w", err))
		return err
	}
	return nil
}

// batch handles every whole frame in the buffer, then makes room for the next read.
func (s *Session) batch(now time.Duration, n int) error {
	s.inBatch.Store(true)
	frames := 0
	for s.w-s.r >= 4 {
		b := s.in[s.r:s.w]
		length := binary.BigEndian.Uint32(b)
		if length < pdu.HeaderLen || length > uint32(s.limits.MaxPDU) {
			return s.badLength(b, length)
		}
		if uint32(len(b)) < length {
			break
		}
		s.r += int(length)
		frames++
		if err := s.frame(b[:length:length], now); err != nil {
			return err
		}
		if frames%flushEvery == 0 {
			s.mu.Lock()
			if s.idle && len(s.out) > 0 {
				s.wakeWriter()
			}
			s.mu.Unlock()
		}
	}
	s.makeRoom()
	s.inBatch.Store(false)

	s.mu.Lock()
	s.stats.BytesIn += uint64(n)
	s.stats.PDUsIn += uint64(frames)
	if frames > 0 {
		asked := s.clock.probedAt > 0
		s.clock.heard(now)
		if asked {
			// The deadline in force is that of the answer: the next silence may end sooner.
			s.wakeBy(now + s.clock.quiet())
		}
	}
	if len(s.in) > minInput {
		s.wakeBy(s.busyAt + restAfter)
	}
	if s.idle && len(s.out) > 0 {
		s.wakeWriter()
	}
	over := s.unwritten() > s.limits.OutBytes
	s.mu.Unlock()
	if over {
		return s.stall()
	}
	return nil
}

// makeRoom moves the rest of an unfinished frame to the front and doubles a full buffer.
// It grows by what came, never by what a command_length announces.
func (s *Session) makeRoom() {
	rest := s.w - s.r
	full := s.w == len(s.in)
	if s.r > 0 {
		copy(s.in, s.in[s.r:s.w])
		s.r, s.w = 0, rest
	}
	if full && (len(s.in) < busyInput || rest == len(s.in)) {
		grown := make([]byte, 2*len(s.in))
		copy(grown, s.in[:rest])
		s.in = grown
	}
}

// badLength answers a command_length that cannot be; where the next frame begins is lost.
// The sequence_number is trusted only when a whole header of a too long frame is there.
func (s *Session) badLength(b []byte, length uint32) error {
	s.violation(BadLength)
	var seq uint32
	if length > pdu.HeaderLen && len(b) >= pdu.HeaderLen {
		seq = pdu.ParseHeader(b).Sequence
	}
	s.farewell = farewell{cmd: pdu.CmdGenericNack, status: pdu.ESME_RINVCMDLEN, seq: seq}
	return fmt.Errorf("%w: %d, allowed are %d to %d", ErrLength, length, pdu.HeaderLen, s.limits.MaxPDU)
}

// turn looks at the clock: once at the start, whenever the read deadline passes, and
// when another goroutine kicked the reader.
func (s *Session) turn() error {
	now := s.now()
	due, bye := s.consult(now)
	for i := range s.expired {
		sl := &s.expired[i]
		s.handler.Response(s, sl.token, Answer{Err: ErrTimeout, Sent: s.base.Add(sl.sent), At: s.base.Add(now)})
		*sl = slot{}
	}
	if bye {
		return s.goodbye()
	}
	switch due {
	case demandInit:
		return s.overdue(LateBind, ErrLateBind)
	case demandDead:
		return s.overdue(Inactive, ErrInactive)
	case demandUnbind:
		s.stop(ErrUnbinding)
		return ErrUnbinding
	}
	return nil
}

func (s *Session) overdue(kind string, err error) error {
	s.violation(kind)
	s.stop(err)
	return err
}

// consult asks the brains what is due at now, gathers the expired requests, and sets the
// next read deadline. bye: the peer's unbind can be answered.
func (s *Session) consult(now time.Duration) (due demand, bye bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.expired = s.pend.expire(s.expired[:0], now, s.clock.Response)
	due, next := s.clock.turn(now)
	if due == demandProbe {
		s.appendLocked(pdu.CmdEnquireLink, pdu.ESME_ROK, s.pend.next(), nil)
	}
	if s.clock.Response > 0 {
		if oldest := s.pend.oldest(); oldest != forever {
			next = min(next, max(oldest+s.clock.Response, now+s.tick))
		}
	}
	if len(s.in) > minInput || cap(s.out) > minInput || cap(s.spare) > minInput {
		if now < s.busyAt+restAfter || !s.rest(now) {
			next = min(next, s.busyAt+restAfter)
		}
	}
	s.wakeAt = next
	if next == forever {
		s.conn.SetReadDeadline(time.Time{})
	} else {
		s.conn.SetReadDeadline(s.base.Add(next))
	}
	return due, s.byeSeen && s.open.count == 0
}

// rest gives a busy time's buffers back; false when one is in use, and another minute is
// to be waited. The mutex is held.
func (s *Session) rest(now time.Duration) bool {
	if s.w > 0 || len(s.out) > 0 || s.writing > 0 {
		s.busyAt = now
		return false
	}
	s.in = make([]byte, minInput)
	s.out, s.spare = nil, nil
	return true
}

// stall waits, without reading, for the peer to take what we have written: only so is the
// memory of a session bounded whose peer asks and never listens.
func (s *Session) stall() error {
	s.mu.Lock()
	s.stalled = s.unwritten() > s.limits.OutBytes && !s.stopped
	waits := s.stalled
	unread := s.limits.Unread
	if waits {
		select { // a signal of an earlier stall
		case <-s.drained:
		default:
		}
	}
	s.mu.Unlock()
	if !waits {
		return nil
	}
	t := time.NewTimer(unread)
	defer t.Stop()
	select {
	case <-s.drained:
	case <-t.C:
		s.violation(Unread)
		s.stop(ErrUnread)
		return ErrUnread
	}
	// What the peer sent meanwhile lies in the socket: its silence was ours.
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.stopped {
		return ErrClosed
	}
	now := s.now()
	s.clock.heard(now)
	if s.wakeAt < now+s.tick {
		s.wakeAt = now + s.tick
		s.conn.SetReadDeadline(s.base.Add(s.wakeAt))
	}
	return nil
}
