package smpptest

import (
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"
)

// ServerAddr is the address of the server's end of every Pipe.
var ServerAddr = netip.MustParseAddrPort("10.0.0.1:2775")

// Pipe returns the two ends of a connection in memory: each way holds at most buffer
// octets, then writes block, as on a socket whose peer does not read. Both ends have
// deadlines and CloseWrite, and the client's end has the address addr. Nothing of it
// leaves a synctest bubble, so that timers run on the bubble's clock.
//
// Close drops what the closed end has not read, and lets the peer read what was written
// to it, then io.EOF; the peer's writes fail with EPIPE.
func Pipe(buffer int, addr netip.AddrPort) (client, server net.Conn) {
	up, down := newStream(buffer), newStream(buffer)
	c := &end{in: down, out: up, local: addr, remote: ServerAddr}
	s := &end{in: up, out: down, local: ServerAddr, remote: addr}
	return c, s
}

type end struct {
	in, out       *stream
	local, remote netip.AddrPort
}

func (e *end) Read(p []byte) (int, error)  { return e.in.read(p) }
func (e *end) Write(p []byte) (int, error) { return e.out.write(p) }

// CloseWrite lets the peer read to the end; reading goes on.
func (e *end) CloseWrite() error {
	e.out.finish()
	return nil
}

func (e *end) Close() error {
	e.out.finish()
	e.in.abandon()
	return nil
}

func (e *end) LocalAddr() net.Addr  { return net.TCPAddrFromAddrPort(e.local) }
func (e *end) RemoteAddr() net.Addr { return net.TCPAddrFromAddrPort(e.remote) }

func (e *end) SetDeadline(t time.Time) error {
	e.in.readBy.set(e.in, t)
	e.out.writeBy.set(e.out, t)
	return nil
}

func (e *end) SetReadDeadline(t time.Time) error {
	e.in.readBy.set(e.in, t)
	return nil
}

func (e *end) SetWriteDeadline(t time.Time) error {
	e.out.writeBy.set(e.out, t)
	return nil
}

// stream is one direction. The octets wait in buf[r:w].
type stream struct {
	mu        sync.Mutex
	moved     sync.Cond // something changed
	buf       []byte
	r, w      int
	finished  bool // the writer is done
	abandoned bool // the reader is gone
	readBy    deadline
	writeBy   deadline
}

func newStream(buffer int) *stream {
	s := &stream{buf: make([]byte, max(buffer, 1))}
	s.moved.L = &s.mu
	return s
}

func (s *stream) read(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.abandoned:
			return 0, net.ErrClosed
		case s.readBy.passed:
			return 0, os.ErrDeadlineExceeded
		case s.r < s.w:
			n := copy(p, s.buf[s.r:s.w])
			if s.r += n; s.r == s.w {
				s.r, s.w = 0, 0
			}
			s.moved.Broadcast()
			return n, nil
		case s.finished:
			return 0, io.EOF
		case len(p) == 0:
			return 0, nil
		}
		s.moved.Wait()
	}
}

func (s *stream) write(p []byte) (n int, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		switch {
		case s.finished:
			return n, net.ErrClosed
		case s.abandoned:
			return n, syscall.EPIPE
		case s.writeBy.passed:
			return n, os.ErrDeadlineExceeded
		case len(p) == 0:
			return n, nil
		}
		if s.w == len(s.buf) && s.r > 0 {
			s.w = copy(s.buf, s.buf[s.r:s.w])
			s.r = 0
		}
		if k := copy(s.buf[s.w:], p); k > 0 {
			s.w, n, p = s.w+k, n+k, p[k:]
			s.moved.Broadcast()
			continue
		}
		s.moved.Wait()
	}
}

func (s *stream) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.finished = true
	s.moved.Broadcast()
}

func (s *stream) abandon() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.abandoned = true
	s.readBy.stop()
	s.writeBy.stop()
	s.moved.Broadcast()
}

// deadline is guarded by its stream's mutex.
type deadline struct {
	timer  *time.Timer
	turn   uint64 // which set a timer belongs to: an old one that fires late changes nothing
	passed bool
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.turn++
}

func (d *deadline) set(s *stream, t time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	d.stop()
	d.passed = false
	if t.IsZero() || s.abandoned {
		return
	}
	wait := time.Until(t)
	if wait <= 0 {
		d.passed = true
		s.moved.Broadcast()
		return
	}
	turn := d.turn
	d.timer = time.AfterFunc(wait, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if d.turn == turn {
			d.passed = true
			s.moved.Broadcast()
		}
	})
}
