package smpp

import (
	"runtime"
	"time"
)

// write is the writer goroutine: it takes the whole outgoing buffer and writes it at
// once. While it writes, the next answers gather in the other buffer, so that under load
// writes become few and long, and an idle session's answer leaves immediately.
func (s *Session) write() {
	var deadline time.Time // the write deadline in force
	s.mu.Lock()
	for {
		for len(s.out) == 0 && !s.stopped && !s.flushing {
			s.idle = true
			s.wake.Wait()
			s.idle = false
		}
		if s.stopped || len(s.out) == 0 {
			break
		}
		if s.open.count > 0 || s.pend.count > 0 {
			// Whoever is about to answer or to send gets to run first, if it is ready now.
			s.mu.Unlock()
			runtime.Gosched()
			s.mu.Lock()
			if s.stopped {
				break
			}
		}
		buf := s.out
		s.out = s.spare[:0]
		s.spare = nil
		s.writing = len(buf)
		unread, flushing := s.limits.Unread, s.flushing
		s.mu.Unlock()

		// The deadline is moved only when it comes near: between one and two times Unread.
		if now := time.Now(); !flushing && deadline.Sub(now) < unread {
			deadline = now.Add(2 * unread)
			s.conn.SetWriteDeadline(deadline)
		}
		n, err := s.conn.Write(buf)
		s.written.Add(uint64(n))

		s.mu.Lock()
		s.writing = 0
		if s.spare == nil {
			s.spare = buf[:0]
		}
		if s.stalled && len(s.out) <= s.limits.OutBytes/2 {
			s.stalled = false
			select {
			case s.drained <- struct{}{}:
			default:
			}
		}
		if err != nil {
			s.mu.Unlock()
			s.writeFailed(err)
			return
		}
	}
	flushed := s.flushing && !s.stopped
	s.mu.Unlock()
	if flushed {
		if c, ok := s.conn.(interface{ CloseWrite() error }); ok {
			c.CloseWrite() // the peer reads to the end and closes; linger waits for that
		}
	}
}

// wakeWriter signals once: idle stays set until the writer runs.
func (s *Session) wakeWriter() {
	s.idle = false
	s.wake.Signal()
}

func (s *Session) writeFailed(err error) {
	if isTimeout(err) {
		s.violation(Unread)
		s.stop(ErrUnread)
		return
	}
	s.stop(s.readError(err))
}
