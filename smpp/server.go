package smpp

import (
	"context"
	"crypto/tls"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"masar/smpp/pdu"
)

// Accept is the verdict on a bind.
type Accept struct {
	Status   pdu.Status // other than ESME_ROK: the session ends after its bind_resp
	SystemID string     // ours, in the bind_resp; "": ServerOptions.SystemID
	Handler  Handler    // hears the session from now on; its Ended is always called
	Limits   Limits     // zero fields take their defaults, MaxPDU the server's
	Timers   Timers     // all zero: the server's
	Value    any
	Bound    func(s *Session) // optional: the bind_resp is on its way and Send is allowed; on the reader goroutine
	Refused  func()           // optional: the refusal is written, or never will be, and the connection is gone

	version uint8
}

// ServerOptions configure a Server.
type ServerOptions struct {
	SystemID         string
	InterfaceVersion uint8 // sc_interface_version, the highest we speak; default 0x34
	Timers           Timers
	MaxPDU           int         // octets, default 68 KiB
	MaxSessions      int         // bound or not; 0: no limit
	TLS              *tls.Config // nil: plain
	Log              *slog.Logger
	Observe          Observer
	FirstSequence    uint32 // of the requests we send; default 1

	// Bind judges a bind. It runs on that session's reader goroutine and may take its time;
	// ctx ends when the server closes. b is valid only during the call.
	Bind func(ctx context.Context, s *Session, mode pdu.Command, b *pdu.Bind) Accept
	// Allow is asked before the first octet is read; nil allows every address.
	Allow func(netip.Addr) bool
}

// Server is an SMSC's side: it listens, on any number of listeners, and its sessions are
// bound to.
type Server struct {
	opt    ServerOptions
	ctx    context.Context // ends with Close: Bind's
	cancel context.CancelFunc

	mu        sync.Mutex
	listeners map[net.Listener]struct{}
	sessions  map[*Session]struct{}
	refusing  bool           // no new connections, no new binds
	wg        sync.WaitGroup // sessions
}

// ErrServerClosed is what Serve returns after CloseListeners, Unbind or Close.
var ErrServerClosed = errors.New("smpp: server closed")

// NewServer returns a server that Serve sets to work.
func NewServer(opt ServerOptions) *Server {
	if opt.InterfaceVersion == 0 {
		opt.InterfaceVersion = 0x34
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Bind == nil {
		opt.Bind = func(context.Context, *Session, pdu.Command, *pdu.Bind) Accept {
			return Accept{Status: pdu.ESME_RBINDFAIL}
		}
	}
	s := &Server{opt: opt, listeners: make(map[net.Listener]struct{}), sessions: make(map[*Session]struct{})}
	s.ctx, s.cancel = context.WithCancel(context.Background())
	return s
}

// Serve accepts connections until the listener fails for good or the server closes; it
// closes l. Errors that pass (too many open files) are waited out.
func (srv *Server) Serve(l net.Listener) error {
	srv.mu.Lock()
	if srv.refusing {
		srv.mu.Unlock()
		l.Close()
		return ErrServerClosed
	}
	srv.listeners[l] = struct{}{}
	srv.mu.Unlock()
	defer func() {
		srv.mu.Lock()
		delete(srv.listeners, l)
		srv.mu.Unlock()
		l.Close()
	}()

	const firstWait, longestWait = 5 * time.Millisecond, time.Second
	wait := firstWait
	for {
		conn, err := l.Accept()
		if err == nil {
			wait = firstWait
			srv.ServeConn(conn)
			continue
		}
		srv.mu.Lock()
		refusing := srv.refusing
		srv.mu.Unlock()
		if refusing {
			return ErrServerClosed
		}
		if errors.Is(err, net.ErrClosed) {
			return err
		}
		srv.opt.Log.Warn("accepting a connection", "listen", l.Addr().String(), "err", err, "retry_in", wait)
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-srv.ctx.Done():
			t.Stop()
			return ErrServerClosed
		}
		wait = min(2*wait, longestWait)
	}
}

// ServeConn starts a session on a connection that is already there. It does not wait;
// nil when the connection was refused, and is closed.
func (srv *Server) ServeConn(conn net.Conn) *Session {
	if srv.opt.Allow != nil && !srv.opt.Allow(addrPort(conn.RemoteAddr()).Addr()) {
		srv.refuse(conn, AddressRefused)
		return nil
	}
	raw := conn
	if srv.opt.TLS != nil {
		conn = tls.Server(conn, srv.opt.TLS)
	}
	srv.mu.Lock()
	full := srv.opt.MaxSessions > 0 && len(srv.sessions) >= srv.opt.MaxSessions
	if srv.refusing || full {
		srv.mu.Unlock()
		if full {
			srv.refuse(raw, SessionsFull)
		} else {
			raw.Close()
		}
		return nil
	}
	s := newSession(conn, sessionConfig{
		role: SMSC, timers: srv.opt.Timers, limits: Limits{MaxPDU: srv.opt.MaxPDU},
		log: srv.opt.Log, observe: srv.opt.Observe, own: srv, first: srv.opt.FirstSequence,
	})
	// Registered before its first octet is read, so that Close finds it whatever it does.
	srv.sessions[s] = struct{}{}
	srv.wg.Go(func() {
		s.run()
		srv.mu.Lock()
		delete(srv.sessions, s)
		srv.mu.Unlock()
	})
	srv.mu.Unlock()
	return s
}

func (srv *Server) refuse(conn net.Conn, kind string) {
	if srv.opt.Observe != nil {
		srv.opt.Observe.Violation(kind)
	}
	conn.Close()
}

func (srv *Server) bind(s *Session, h pdu.Header, b *pdu.Bind) Accept {
	srv.mu.Lock()
	refusing := srv.refusing
	srv.mu.Unlock()
	if refusing {
		return Accept{Status: pdu.ESME_RBINDFAIL}
	}
	a := srv.opt.Bind(srv.ctx, s, h.Command, b)
	a.version = srv.opt.InterfaceVersion
	if a.SystemID == "" {
		a.SystemID = srv.opt.SystemID
	}
	if a.Timers == (Timers{}) {
		a.Timers = srv.opt.Timers
	}
	if a.Limits.MaxPDU == 0 {
		a.Limits.MaxPDU = srv.opt.MaxPDU
	}
	if a.Handler == nil {
		a.Handler = deaf{}
	}
	return a
}

func (srv *Server) bound(*Session)                 {}
func (srv *Server) outbind(*Session, *pdu.Outbind) {}

// deaf stands in where a bind was accepted without a Handler.
type deaf struct{}

func (deaf) Request(_ *Session, _ pdu.Header, _ pdu.Body, r Reply) { r.Send(pdu.ESME_RSYSERR, nil) }
func (deaf) Response(*Session, any, Answer)                        {}
func (deaf) Ended(*Session, []any, error)                          {}

// Sessions are the sessions there are, bound or not, in no order.
func (srv *Server) Sessions() []*Session {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	all := make([]*Session, 0, len(srv.sessions))
	for s := range srv.sessions {
		all = append(all, s)
	}
	return all
}

// CloseListeners ends every Serve; from now on binds are refused with ESME_RBINDFAIL, and
// the bound sessions go on.
func (srv *Server) CloseListeners() {
	srv.mu.Lock()
	defer srv.mu.Unlock()
	srv.refusing = true
	for l := range srv.listeners {
		l.Close()
	}
}

// Unbind unbinds every session in order, all at once, and returns when none is left or
// ctx ends; what is left then is closed, and ctx's error returned. It implies
// CloseListeners.
func (srv *Server) Unbind(ctx context.Context) error {
	srv.CloseListeners()
	var wg sync.WaitGroup
	var mu sync.Mutex
	var left error
	for _, s := range srv.Sessions() {
		wg.Go(func() {
			if err := s.Unbind(ctx); err != nil {
				mu.Lock()
				left = err
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return left
}

// Close closes the listeners and every session, whatever state it is in, and returns when
// nothing of them runs any more. A Handler must not call it.
func (srv *Server) Close() error {
	srv.CloseListeners()
	srv.cancel()
	for _, s := range srv.Sessions() {
		s.Close()
	}
	srv.wg.Wait()
	return nil
}
