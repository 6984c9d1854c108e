package smpp

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net"
	"sync"
	"time"

	"masar/smpp/pdu"
)

// ClientOptions configure a Client.
type ClientOptions struct {
	Addrs     []string    // host:port, in order of preference; names are resolved at each connect
	LocalAddr string      // host or host:port to connect from; "": any
	TLS       *tls.Config // nil: plain. The server's certificate is verified, for Addrs' host unless ServerName says otherwise
	Mode      pdu.Command // CmdBindTransmitter, CmdBindReceiver or CmdBindTransceiver (default)

	SystemID, Password, SystemType string
	AddressRange                   string
	InterfaceVersion               uint8 // default 0x34
	AddrTON, AddrNPI               uint8

	Timers        Timers // SessionInit bounds the connect, then the bind's answer; zero: the default
	Limits        Limits
	Backoff       Backoff
	Handler       Handler // of every session that gets bound
	Log           *slog.Logger
	Observe       Observer
	FirstSequence uint32 // of the requests we send, the bind included; default 1

	// Bound, Down and Outbind are optional. Bound runs on the session's reader goroutine
	// before anything else of it is heard. Down tells of every end and every failed attempt:
	// a *BindError, a connect error, or why the session ended.
	Bound   func(s *Session)
	Down    func(err error, retryIn time.Duration)
	Outbind func(s *Session, b *pdu.Outbind) // the SMSC's outbind came; we bind anyway
	Dial    func(ctx context.Context, network, addr string) (net.Conn, error)
}

// Client binds to an SMSC and stays bound: it connects, binds, holds the session, and
// when that ends begins again, after a wait.
type Client struct {
	opt  ClientOptions
	quit chan struct{} // closed by Close and Unbind

	mu      sync.Mutex
	session *Session           // dialled, bound or not; nil between
	undial  context.CancelFunc // ends the connect that is under way
	closing bool
	running sync.WaitGroup
}

// NewClient returns a client that Run sets to work.
func NewClient(opt ClientOptions) *Client {
	if opt.Mode == 0 {
		opt.Mode = pdu.CmdBindTransceiver
	}
	if opt.InterfaceVersion == 0 {
		opt.InterfaceVersion = 0x34
	}
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Handler == nil {
		opt.Handler = deaf{}
	}
	if opt.Timers.SessionInit <= 0 {
		opt.Timers.SessionInit = DefaultTimers.SessionInit
	}
	opt.Backoff = opt.Backoff.withDefaults()
	return &Client{opt: opt, quit: make(chan struct{})}
}

// Session is the bound session, nil when there is none.
func (c *Client) Session() *Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.session == nil || !c.session.State().Bound() {
		return nil
	}
	return c.session
}

// Run holds the bind until ctx ends (the session is then closed without unbind) or Close
// or Unbind is called. It returns ctx's error, or nil.
func (c *Client) Run(ctx context.Context) error {
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return nil
	}
	c.running.Add(1)
	c.mu.Unlock()
	defer c.running.Done()
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	stop := context.AfterFunc(ctx, c.drop)
	defer stop()

	failures := 0
	for {
		held, err := c.attempt(ctx)
		if ctx.Err() != nil || c.isClosing() {
			break
		}
		// A session that lasted cures the past; one that ended at once is a failure like a
		// refused bind, or a server that accepts and drops would be hammered.
		if held >= c.opt.Backoff.Max {
			failures = 0
		}
		failures++
		wait := c.opt.Backoff.Wait(failures, err, rand.Float64())
		c.down(err, wait)
		t := time.NewTimer(wait)
		select {
		case <-t.C:
		case <-ctx.Done():
		case <-c.quit:
		}
		t.Stop()
		if ctx.Err() != nil || c.isClosing() {
			break
		}
	}
	if c.isClosing() {
		return nil
	}
	return context.Cause(ctx)
}

func (c *Client) down(err error, wait time.Duration) {
	if c.opt.Down != nil {
		c.opt.Down(err, wait)
		return
	}
	c.opt.Log.Warn("not bound", "system_id", c.opt.SystemID, "err", err, "retry_in", wait)
}

// attempt goes through the addresses once: an address that does not answer, or whose SMSC
// cannot take the bind now, leaves it to the next. held is how long a session was bound.
func (c *Client) attempt(ctx context.Context) (held time.Duration, err error) {
	err = errors.New("smpp: no address to connect to")
	for _, addr := range c.opt.Addrs {
		var s *Session
		if s, err = c.connect(ctx, addr); err == nil {
			<-s.Done()
			err = s.Err()
			if s.handler != nil { // Done orders this read after the reader's write
				return time.Since(s.Since()), err
			}
		}
		if ctx.Err() != nil || c.isClosing() {
			return 0, err
		}
		var refused *BindError
		if errors.As(err, &refused) {
			refused.Addr = addr
			if refused.Status == pdu.ESME_RINVPASWD || refused.Status == pdu.ESME_RINVSYSID {
				return 0, err // the next address would say the same, and count it
			}
		} else if errors.Is(err, ErrLateBind) {
			err = fmt.Errorf("smpp: %s did not answer the bind within %v: %w", addr, c.opt.Timers.SessionInit, ErrTimeout)
		}
	}
	return 0, err
}

// connect dials addr and starts a session whose first PDU is our bind.
func (c *Client) connect(ctx context.Context, addr string) (*Session, error) {
	dialCtx, cancel := context.WithTimeout(ctx, c.opt.Timers.SessionInit)
	defer cancel()
	c.mu.Lock()
	if c.closing {
		c.mu.Unlock()
		return nil, ErrClosed
	}
	c.undial = cancel // Close and Unbind end a connect, too
	c.mu.Unlock()
	conn, err := c.dial(dialCtx, addr)
	if err != nil {
		return nil, err
	}
	cfg := sessionConfig{
		role: ESME, timers: c.opt.Timers, limits: c.opt.Limits, log: c.opt.Log, observe: c.opt.Observe,
		own: c, handler: c.opt.Handler, mode: c.opt.Mode, first: c.opt.FirstSequence,
	}
	s := newSession(conn, cfg)
	s.version = c.opt.InterfaceVersion
	s.put(c.opt.Mode, pdu.ESME_ROK, s.pend.next(), &pdu.Bind{
		SystemID: []byte(c.opt.SystemID), Password: []byte(c.opt.Password), SystemType: []byte(c.opt.SystemType),
		InterfaceVersion: c.opt.InterfaceVersion, AddrTON: c.opt.AddrTON, AddrNPI: c.opt.AddrNPI,
		AddressRange: []byte(c.opt.AddressRange),
	})
	c.mu.Lock()
	if c.closing || ctx.Err() != nil {
		c.mu.Unlock()
		conn.Close()
		return nil, ErrClosed
	}
	c.session = s
	c.mu.Unlock()
	c.running.Go(s.run)
	return s, nil
}

func (c *Client) dial(ctx context.Context, addr string) (net.Conn, error) {
	dial := c.opt.Dial
	if dial == nil {
		d := net.Dialer{}
		if c.opt.LocalAddr != "" {
			local, err := localAddr(c.opt.LocalAddr)
			if err != nil {
				return nil, err
			}
			d.LocalAddr = local
		}
		dial = d.DialContext
	}
	conn, err := dial(ctx, "tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("smpp: connect to %s: %w", addr, err)
	}
	if c.opt.TLS == nil {
		return conn, nil
	}
	cfg := c.opt.TLS
	if cfg.ServerName == "" && !cfg.InsecureSkipVerify {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			host = addr
		}
		cfg = cfg.Clone()
		cfg.ServerName = host
	}
	t := tls.Client(conn, cfg)
	if err := t.HandshakeContext(ctx); err != nil {
		conn.Close()
		return nil, fmt.Errorf("smpp: TLS with %s: %w", addr, err)
	}
	return t, nil
}

func localAddr(a string) (*net.TCPAddr, error) {
	if _, _, err := net.SplitHostPort(a); err != nil {
		a = net.JoinHostPort(a, "0")
	}
	local, err := net.ResolveTCPAddr("tcp", a)
	if err != nil {
		return nil, fmt.Errorf("smpp: local address: %w", err)
	}
	return local, nil
}

func (c *Client) bind(*Session, pdu.Header, *pdu.Bind) Accept {
	return Accept{Status: pdu.ESME_RINVBNDSTS} // never asked: a session in role ESME refuses binds itself
}

func (c *Client) bound(s *Session) {
	if c.opt.Bound != nil {
		c.opt.Bound(s)
	}
}

func (c *Client) outbind(s *Session, b *pdu.Outbind) {
	if c.opt.Outbind != nil {
		c.opt.Outbind(s, b)
	}
}

func (c *Client) isClosing() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closing
}

// leave ends Run's loop and returns the session there is.
func (c *Client) leave() *Session {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closing {
		c.closing = true
		close(c.quit)
		if c.undial != nil {
			c.undial()
		}
	}
	return c.session
}

func (c *Client) drop() {
	c.mu.Lock()
	s := c.session
	c.mu.Unlock()
	if s != nil {
		s.Close()
	}
}

// Unbind ends the client in order: the session, if there is one, is unbound (see
// Session.Unbind), and Run returns.
func (c *Client) Unbind(ctx context.Context) error {
	var err error
	if s := c.leave(); s != nil {
		err = s.Unbind(ctx)
	}
	c.running.Wait()
	return err
}

// Close ends the client at once and returns when nothing of it runs any more. A Handler
// must not call it.
func (c *Client) Close() error {
	if s := c.leave(); s != nil {
		s.Close()
	}
	c.running.Wait()
	return nil
}
