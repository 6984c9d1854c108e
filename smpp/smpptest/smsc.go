package smpptest

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"masar/smpp/pdu"
)

// SMSC is a simulated carrier: it takes binds and messages, answers them as its options
// say, and sends receipts and mobile-originated messages. It speaks the protocol with
// smpp/pdu and nothing else of ours, so that a mistake in the gateway's sessions is not
// made twice and cancels out.
//
// One goroutine a connection reads, answers and writes, many PDUs at a time; one more
// keeps the time of what is delayed, and runs only while something is. See the files
// smsc_*.go: session, submit, receipt, clock, text, mo.
type SMSC struct {
	opt   SMSCOptions
	clock *smscClock
	log   *smscTexts // nil: nobody wants whole messages
	stats smscCounters
	ids   atomic.Uint64
	pace  smscPace

	mu        sync.Mutex
	closed    bool
	listeners map[net.Listener]struct{}
	sessions  map[*smscSession]struct{}
	accounts  map[string]*smscAccount
	wg        sync.WaitGroup
}

// ErrSMSCClosed is what Serve returns after Close.
var ErrSMSCClosed = errors.New("smpptest: the SMSC is closed")

// NewSMSC makes a simulator. The error names the option that makes no sense.
func NewSMSC(o SMSCOptions) (*SMSC, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	c := &SMSC{
		opt:       o,
		listeners: make(map[net.Listener]struct{}),
		sessions:  make(map[*smscSession]struct{}),
		accounts:  make(map[string]*smscAccount),
	}
	c.ids.Store(o.FirstID - 1)
	c.pace = smscPace{rate: o.Pace, burst: float64(o.Burst), tokens: float64(o.Burst)}
	c.pace.limited.Store(o.Pace > 0)
	if o.OnMessage != nil {
		c.log = newSMSCTexts(o)
	}
	c.clock = newSMSCClock(c)
	c.wg.Go(c.clock.run)
	return c, nil
}

// Serve takes connections from l until l or the SMSC is closed; several listeners may be
// served at a time. It returns ErrSMSCClosed after Close, else why l ended.
func (c *SMSC) Serve(l net.Listener) error {
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		l.Close()
		return ErrSMSCClosed
	}
	c.listeners[l] = struct{}{}
	c.mu.Unlock()
	defer func() {
		l.Close()
		c.mu.Lock()
		delete(c.listeners, l)
		c.mu.Unlock()
	}()
	for {
		conn, err := l.Accept()
		if err != nil {
			c.mu.Lock()
			closed := c.closed
			c.mu.Unlock()
			if closed {
				return ErrSMSCClosed
			}
			return err
		}
		c.ServeConn(conn)
	}
}

// ServeConn serves one connection and returns at once.
func (c *SMSC) ServeConn(conn net.Conn) {
	s := newSMSCSession(c, conn)
	c.mu.Lock()
	if c.closed {
		c.mu.Unlock()
		conn.Close()
		return
	}
	c.sessions[s] = struct{}{}
	c.wg.Go(s.run)
	c.mu.Unlock()
	c.stats.connections.Add(1)
}

// Listen opens addr, serves it in the background until Close, and returns the address,
// with its port where addr had 0.
func (c *SMSC) Listen(addr string) (string, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return "", err
	}
	c.mu.Lock()
	c.wg.Go(func() { c.Serve(l) })
	c.mu.Unlock()
	return l.Addr().String(), nil
}

// Close ends every listener and connection and returns when nothing runs any more.
// Receipts not yet acknowledged are lost.
func (c *SMSC) Close() error {
	c.mu.Lock()
	c.closed = true
	for l := range c.listeners {
		l.Close()
	}
	for s := range c.sessions {
		s.conn.Close()
	}
	c.mu.Unlock()
	c.clock.stop()
	c.wg.Wait()
	return nil
}

// DropConnections closes every connection there is, as a carrier's restart would. What
// was not acknowledged is sent again on the next bind.
func (c *SMSC) DropConnections() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	for s := range c.sessions {
		s.conn.Close()
	}
	return len(c.sessions)
}

// Unbind sends unbind on every bound session and returns when all have ended, or ctx
// has. The connections that are left then stay open.
func (c *SMSC) Unbind(ctx context.Context) {
	c.mu.Lock()
	var all []*smscSession
	for _, a := range c.accounts {
		a.mu.Lock()
		all = append(all, a.sessions...)
		a.mu.Unlock()
	}
	c.mu.Unlock()
	for _, s := range all {
		s.request(pdu.CmdUnbind)
		s.flush()
	}
	for _, s := range all {
		select {
		case <-s.gone:
		case <-ctx.Done():
			return
		}
	}
}

// Binds returns how many sessions of systemID are bound; of all, where it is "".
func (c *SMSC) Binds(systemID string) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for id, a := range c.accounts {
		if systemID == "" || id == systemID {
			a.mu.Lock()
			n += len(a.sessions)
			a.mu.Unlock()
		}
	}
	return n
}

// bind enters s among the sessions of systemID, or says why not.
func (c *SMSC) bind(s *smscSession, systemID, password string, cmd pdu.Command) pdu.Status {
	if c.opt.Credentials != nil {
		want, known := c.opt.Credentials[systemID]
		if !known {
			return pdu.ESME_RINVSYSID
		}
		if want != password {
			return pdu.ESME_RINVPASWD
		}
	}
	c.mu.Lock()
	a := c.accounts[systemID]
	if a == nil {
		a = &smscAccount{smsc: c, systemID: systemID}
		c.accounts[systemID] = a
	}
	c.mu.Unlock()

	a.mu.Lock()
	defer a.mu.Unlock()
	if c.opt.MaxBinds > 0 && len(a.sessions) >= c.opt.MaxBinds {
		return pdu.ESME_RALYBND
	}
	a.sessions = append(a.sessions, s)
	s.account = a
	s.canSubmit = cmd != pdu.CmdBindReceiver
	s.canReceive = cmd != pdu.CmdBindTransmitter
	return pdu.ESME_ROK
}

// ended takes s out, and what it had not got acknowledged back to its account.
func (c *SMSC) ended(s *smscSession) {
	c.mu.Lock()
	delete(c.sessions, s)
	c.mu.Unlock()
	if s.account != nil {
		s.account.leave(s)
	}
}

// Stats are the simulator's counts since it began.
type Stats struct {
	Connections uint64 `json:"connections"`
	Binds       uint64 `json:"binds"`
	BindsFailed uint64 `json:"binds_failed"`
	Submits     uint64 `json:"submits"`    // submit_sm, submit_multi and data_sm read
	Accepted    uint64 `json:"accepted"`   // answered ESME_ROK
	Throttled   uint64 `json:"throttled"`  // over the pace
	Refused     uint64 `json:"refused"`    // by ErrorRate, or wrong
	Silent      uint64 `json:"silent"`     // accepted but never answered
	Dropped     uint64 `json:"dropped"`    // connections closed by DropAfter and DropRate
	Receipts    uint64 `json:"receipts"`   // made, each once
	Sent        uint64 `json:"sent"`       // deliver_sm and data_sm written, repetitions included
	Acked       uint64 `json:"acked"`      // answered ESME_ROK
	Retried     uint64 `json:"retried"`    // answered "later" and sent again
	Resent      uint64 `json:"resent"`     // unanswered when their session ended
	Rejected    uint64 `json:"rejected"`   // answered with a permanent error, given up
	Unacked     uint64 `json:"unacked"`    // made and neither acknowledged nor given up
	Mobile      uint64 `json:"mobile"`     // mobile-originated deliver_sm made
	Violations  uint64 `json:"violations"` // PDUs that broke the protocol
}

type smscCounters struct {
	connections, binds, bindsFailed                                atomic.Uint64
	submits, accepted, throttled, refused, silent, dropped         atomic.Uint64
	receipts, sent, acked, retried, resent, rejected, mobile, viol atomic.Uint64
}

// Stats returns the counts of now.
func (c *SMSC) Stats() Stats {
	n := &c.stats
	s := Stats{
		Connections: n.connections.Load(), Binds: n.binds.Load(), BindsFailed: n.bindsFailed.Load(),
		Submits: n.submits.Load(), Accepted: n.accepted.Load(), Throttled: n.throttled.Load(),
		Refused: n.refused.Load(), Silent: n.silent.Load(), Dropped: n.dropped.Load(),
		Acked: n.acked.Load(), Rejected: n.rejected.Load(), Sent: n.sent.Load(),
		Retried: n.retried.Load(), Resent: n.resent.Load(),
		Receipts: n.receipts.Load(), Mobile: n.mobile.Load(), Violations: n.viol.Load(),
	}
	if made, gone := s.Receipts+s.Mobile, s.Acked+s.Rejected; made > gone {
		s.Unacked = made - gone
	}
	return s
}

// Idle reports whether every receipt made so far is acknowledged or given up.
func (c *SMSC) Idle() bool { return c.Stats().Unacked == 0 }

// smscPace is a token bucket, shared by all sessions of the simulator as a carrier's
// contract would have it.
type smscPace struct {
	limited     atomic.Bool // rate is above 0: the usual simulator needs no lock
	mu          sync.Mutex
	rate, burst float64
	tokens      float64
	last        int64 // ns
}

func (p *smscPace) take(now int64) bool {
	if !p.limited.Load() {
		return true
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last != 0 && now > p.last {
		p.tokens = min(p.burst, p.tokens+p.rate*float64(now-p.last)/1e9)
	}
	p.last = max(p.last, now)
	if p.tokens < 1 {
		return false
	}
	p.tokens--
	return true
}

// SetPace changes the pace, in submits per second; 0 is none.
func (c *SMSC) SetPace(perSecond float64) {
	p := &c.pace
	p.mu.Lock()
	p.rate = perSecond
	p.limited.Store(perSecond > 0)
	p.mu.Unlock()
}

// newRand is a session's own source, so that sessions do not share a lock. With a seed
// the n-th connection behaves the same in every run.
func (c *SMSC) newRand() *rand.Rand {
	if c.opt.Seed == 0 {
		return rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64()))
	}
	return rand.New(rand.NewPCG(c.opt.Seed, c.stats.connections.Load()))
}

// jittered is d give or take j, never below 0.
func jittered(r *rand.Rand, d, j time.Duration) time.Duration {
	if j <= 0 {
		return d
	}
	return max(0, d+time.Duration(r.Int64N(int64(2*j)+1))-j)
}

func (c *SMSC) String() string { return fmt.Sprintf("SMSC %s", c.opt.SystemID) }
