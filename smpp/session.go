package smpp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"masar/smpp/pdu"
)

// Session is one SMPP connection, in either role. Its methods may be called from any
// goroutine, a Handler's included, and none of them blocks except Unbind.
type Session struct {
	id      uint64
	role    Role
	conn    net.Conn // what is read and written; TLS or not
	raw     net.Conn // the socket below conn: closing it never waits for a close_notify
	base    time.Time
	log     *slog.Logger
	observe Observer
	own     owner
	remote  netip.AddrPort
	local   netip.AddrPort

	// The reader's own.
	in         []byte // in[r:w] is read and not yet cut into frames
	r, w       int
	busyAt     time.Duration // the last read that an idle buffer would not have held
	handler    Handler       // nil until bound
	bodies     [len(rules)]pdu.Body
	answers    [len(rules)]pdu.Body
	expired    []slot
	farewell   farewell
	complained bool // a bad field was logged
	first      uint32
	offered    Handler     // of an ESME, in force once bound
	mode       pdu.Command // of an ESME's bind

	state    atomic.Uint32
	systemID atomic.Pointer[string]
	inBatch  atomic.Bool // the reader is busy with a batch and will wake the writer itself
	written  atomic.Uint64

	mu       sync.Mutex // never held over I/O
	out      []byte     // encoded, not yet taken by the writer
	spare    []byte     // the writer's other buffer; nil while it is being written
	writing  int        // octets the writer is at
	marked   uint64     // octets ever put into out
	msgResp  pdu.MessageResp
	pend     pending
	open     openRequests
	limits   Limits
	clock    clockwork
	tick     time.Duration
	wakeAt   time.Duration // the read deadline in force
	cause    error         // why the session ends; the first wins
	stopped  bool          // the socket is closed or about to be
	flushing bool          // the writer ends once out is empty
	idle     bool          // the writer sleeps
	stalled  bool          // the reader waits for the writer
	unbind   unbindStep
	peerBye  uint32 // sequence_number of the peer's unbind
	byeSeen  bool   // the peer sent unbind: unbind_resp follows the last open Reply
	version  uint8
	value    any
	since    time.Time
	stats    Stats

	wake    sync.Cond     // for the writer, on mu
	drained chan struct{} // for a stalled reader; 1 deep
	done    chan struct{} // closed when nothing of the session runs any more
	wg      sync.WaitGroup
}

// owner is the Server or Client a session belongs to.
type owner interface {
	bind(s *Session, h pdu.Header, b *pdu.Bind) Accept // role SMSC
	bound(s *Session)                                  // role ESME, on the accepting bind_resp
	outbind(s *Session, b *pdu.Outbind)                // role ESME
}

type unbindStep uint8

const (
	unbindNone   unbindStep = iota
	unbindWanted            // it goes out after the last open Reply
	unbindSent
)

// farewell is the last PDU of a session, put out after Handler.Ended, so that a peer who
// has read it finds its place free.
type farewell struct {
	cmd    pdu.Command
	status pdu.Status
	seq    uint32
	after  func() // called once it is written, or never will be
}

// Stats are a session's counts since its connection.
type Stats struct {
	BytesIn, BytesOut uint64
	PDUsIn, PDUsOut   uint64
	Outstanding       int // our requests without an answer
	Open              int // the peer's requests without our answer
	Unwritten         int // octets not yet handed to the socket
	Violations        uint64
}

var sessionIDs atomic.Uint64

type sessionConfig struct {
	role    Role
	timers  Timers
	limits  Limits
	log     *slog.Logger
	observe Observer
	own     owner
	handler Handler     // of an ESME; an SMSC's comes with the bind's Accept
	mode    pdu.Command // of an ESME's bind
	first   uint32      // first sequence_number of our own requests; 0: 1
}

func newSession(conn net.Conn, cfg sessionConfig) *Session {
	s := &Session{
		id: sessionIDs.Add(1), role: cfg.role, conn: conn, raw: conn, base: time.Now(),
		log: cfg.log, observe: cfg.observe, own: cfg.own, mode: cfg.mode, first: max(cfg.first, 1),
		remote: addrPort(conn.RemoteAddr()), local: addrPort(conn.LocalAddr()),
		in:      make([]byte, minInput),
		offered: cfg.handler,
		limits:  cfg.limits.withDefaults(), tick: cfg.timers.tick(),
		clock:   clockwork{Timers: cfg.timers},
		drained: make(chan struct{}, 1), done: make(chan struct{}),
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	if t, ok := conn.(*tls.Conn); ok {
		s.raw = t.NetConn()
	}
	s.wake.L = &s.mu
	s.since = s.base
	s.pend = newPending(s.limits.Send, s.first)
	s.msgResp.MessageID = make([]byte, 0, 65)
	return s
}

func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(interface{ AddrPort() netip.AddrPort }); ok {
		p := t.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	p, _ := netip.ParseAddrPort(a.String())
	return p
}

// run is the reader goroutine, from the first octet to the last.
func (s *Session) run() {
	defer close(s.done)
	s.wg.Go(s.write)
	err := s.guard("session", s.converse)
	s.conclude(err)
	s.stop(nil)
	s.wg.Wait()
	if f := s.farewell.after; f != nil {
		s.guard("refused", func() error { f(); return nil })
	}
}

// guard runs f, which calls a handler, and turns its panic into an error: a panic ends
// its own session only.
func (s *Session) guard(where string, f func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			s.violation(Panicked)
			s.log.Error("session handler panicked", "session", s.id, "remote", s.remote, "system_id", s.SystemID(),
				"in", where, "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = fmt.Errorf("%w: %v", ErrPanic, p)
		}
	}()
	return f()
}

// conclude tells the handler and lets an orderly end be written and read.
func (s *Session) conclude(err error) {
	s.mu.Lock()
	if s.cause == nil {
		s.cause = err
	}
	err = s.cause
	orderly := !s.stopped
	s.state.Store(uint32(Closed))
	unanswered := s.pend.drain()
	s.stats.Outstanding = 0
	s.mu.Unlock()
	s.inBatch.Store(false)

	if h := s.handler; h != nil {
		s.guard("ended", func() error { h.Ended(s, unanswered, err); return nil })
	}
	if !orderly {
		return
	}
	if f := s.farewell; f.cmd != 0 {
		s.put(f.cmd, f.status, f.seq, nil)
	}
	s.mu.Lock()
	s.flushing = true
	s.wake.Signal()
	s.mu.Unlock()
	s.linger()
}

// linger reads on for a moment and throws away what comes: closing a socket with unread
// octets resets the connection, and a reset can overtake our last PDU.
func (s *Session) linger() {
	defer time.AfterFunc(lingerFor, func() { s.stop(nil) }).Stop()
	s.conn.SetReadDeadline(time.Time{})
	for n := 0; n < lingerOctets; {
		k, err := s.conn.Read(s.in)
		if n += k; err != nil {
			break
		}
	}
	s.wg.Wait() // the writer ends once all is written, or when the time is over
}

// stop ends the session at once, from any goroutine; it does not wait.
func (s *Session) stop(err error) {
	s.mu.Lock()
	if s.stopped {
		s.mu.Unlock()
		return
	}
	if s.cause == nil {
		s.cause = err
	}
	s.stopped = true
	s.out = nil
	s.wake.Signal()
	s.mu.Unlock()
	select {
	case s.drained <- struct{}{}:
	default:
	}
	s.raw.Close()
}

// Close ends the session at once, without unbind. It does not wait, so that a Handler may
// call it; Done tells when nothing of the session runs any more.
func (s *Session) Close() error {
	s.stop(ErrClosed)
	return nil
}

// Done is closed after Handler.Ended has returned and both goroutines are gone.
func (s *Session) Done() <-chan struct{} { return s.done }

// Err is why the session ends; nil while it lives.
func (s *Session) Err() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cause
}

// Unbind ends the session in order: the peer's further requests are refused, the open
// ones answered, then unbind goes out and its answer is waited for. When ctx ends first
// the session is closed and ctx's error returned.
//
// A Handler must not call it: its own session would wait for itself.
func (s *Session) Unbind(ctx context.Context) error {
	if !s.beginUnbind() {
		s.stop(ErrUnbinding) // nobody is bound yet
	}
	select {
	case <-s.done:
		return nil
	case <-ctx.Done():
		s.stop(ErrUnbinding)
		return context.Cause(ctx)
	}
}

// beginUnbind is false when there is nothing to unbind.
func (s *Session) beginUnbind() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.State()
	if st.Bound() {
		s.state.Store(uint32(Unbinding))
		s.unbind = unbindWanted
		s.unbindIfAnswered()
	}
	return st != Open
}

// readError names why reading ended.
func (s *Session) readError(err error) error {
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return ErrPeerClosed
	case errors.Is(err, net.ErrClosed), errors.Is(err, io.ErrClosedPipe):
		return ErrClosed
	default:
		return fmt.Errorf("smpp: read: %w", err)
	}
}

func isTimeout(err error) bool { return errors.Is(err, os.ErrDeadlineExceeded) }

func (s *Session) violation(kind string) {
	s.mu.Lock()
	s.stats.Violations++
	s.mu.Unlock()
	if s.observe != nil {
		s.observe.Violation(kind)
	}
}

// ID is unique in the process.
func (s *Session) ID() uint64 { return s.id }

// Role is our side.
func (s *Session) Role() Role { return s.role }

// State is the session's state now.
func (s *Session) State() State { return State(s.state.Load()) }

// RemoteAddr is the peer's address; invalid when the connection has none.
func (s *Session) RemoteAddr() netip.AddrPort { return s.remote }

// LocalAddr is our end's address.
func (s *Session) LocalAddr() netip.AddrPort { return s.local }

// TLS is the state of the TLS connection; false without TLS.
func (s *Session) TLS() (tls.ConnectionState, bool) {
	if t, ok := s.conn.(*tls.Conn); ok {
		return t.ConnectionState(), true
	}
	return tls.ConnectionState{}, false
}

// Version is the interface_version both sides speak: 0x33, 0x34 or 0x50. A peer of ours
// that is an SMSC and names none is taken for 0x33 (v3.4 section 5.3.2.25); many that do
// not name it take TLVs all the same, so whether to send them is the owner's choice.
func (s *Session) Version() uint8 {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.version
}

// SystemID is the peer's name: the account's for a server, from the bind request on; the
// SMSC's for a client. "" until then.
func (s *Session) SystemID() string {
	if id := s.systemID.Load(); id != nil {
		return *id
	}
	return ""
}

// Since is when the session was bound; until then, when its connection came.
func (s *Session) Since() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.since
}

// Value is the owner's own.
func (s *Session) Value() any {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.value
}

// SetValue replaces Value.
func (s *Session) SetValue(v any) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.value = v
}

// Written is how many octets the socket has taken: a Reply whose mark is at most Written
// is on the wire.
func (s *Session) Written() uint64 { return s.written.Load() }

// Free is how many more requests Send would take now.
func (s *Session) Free() int {
	if !s.State().Bound() {
		return 0
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.unwritten() > s.limits.OutBytes {
		return 0
	}
	return s.pend.free()
}

// Stats are the session's counts.
func (s *Session) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats
	st.BytesOut = s.written.Load()
	st.Outstanding = s.pend.count
	st.Open = s.open.count
	st.Unwritten = s.unwritten()
	return st
}

func (s *Session) unwritten() int { return len(s.out) + s.writing }

func (s *Session) now() time.Duration { return time.Since(s.base) }
