package gateway

import (
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"masar/queue"
	"masar/ratelimit"
	"masar/smpp"
	"masar/smpp/pdu"
)

// account is one client account as it runs. Its options are swapped by Reload; its
// sessions, its pump and its rate live on.
type account struct {
	g      *Gateway
	name   string
	number uint32
	opt    atomic.Pointer[Account]
	pump   *pump
	met    accountMetrics

	asking atomic.Int32 // questions at the desk

	mu       sync.Mutex
	bucket   ratelimit.Bucket
	sessions []*client // bound ones
	refusals [refusalCount]refusalLog
}

// refusalLog keeps a refusal's log lines to one in ten seconds, with the count of the rest.
type refusalLog struct {
	last   time.Time
	silent int
}

const refusalLogEvery = 10 * time.Second

func newAccount(g *Gateway, o *Account, number uint32) *account {
	a := &account{g: g, name: o.SystemID, number: number, met: g.met.account(o.SystemID)}
	a.bucket = ratelimit.NewBucket(o.Throughput, o.Burst)
	a.opt.Store(o)
	a.pump = newPump(a)
	return a
}

// configure gives a running account new options.
func (a *account) configure(o *Account) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.opt.Store(o)
	a.bucket.Set(time.Now(), o.Throughput, o.Burst)
}

func (a *account) start() { a.g.wg.Go(a.pump.run) }

// overRate takes n submits from the account's rate; true: refuse.
func (a *account) overRate(now time.Time, n int) bool {
	if a.opt.Load().Throughput == 0 {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.bucket.Take(now, n) > 0
}

// join adds a bound session unless the account's limit of binds is reached.
func (a *account) join(c *client, limit int) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	if limit > 0 && len(a.sessions) >= limit {
		return false
	}
	a.sessions = append(a.sessions, c)
	return true
}

func (a *account) leave(c *client) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i, s := range a.sessions {
		if s == c {
			a.sessions = append(a.sessions[:i:i], a.sessions[i+1:]...)
			return
		}
	}
}

// receivers appends the sessions that may be sent deliver_sm.
func (a *account) receivers(into []*client) []*client {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, c := range a.sessions {
		switch c.session.State() {
		case smpp.BoundRX, smpp.BoundTRX:
			into = append(into, c)
		}
	}
	return into
}

// mayBind tells whether an address and a kind of bind are allowed.
func (o *Account) mayBind(from netip.Addr, mode pdu.Command) bool {
	if len(o.Allow) > 0 && !allowed(o.Allow, from) {
		return false
	}
	if len(o.BindTypes) == 0 {
		return true
	}
	for _, m := range o.BindTypes {
		if m == mode {
			return true
		}
	}
	return false
}

func allowed(list []netip.Prefix, a netip.Addr) bool {
	a = a.Unmap()
	for _, p := range list {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// maySendAs tells whether the account may use a source address.
func (o *Account) maySendAs(source []byte) bool {
	if len(o.Senders) == 0 {
		return true
	}
	for i := range o.Senders {
		if o.Senders[i].matches(source) {
			return true
		}
	}
	return false
}

func (s *Sender) matches(source []byte) bool {
	switch {
	case s.Exact != "":
		return string(source) == s.Exact
	case s.Prefix != "":
		return strings.HasPrefix(string(source), s.Prefix)
	}
	n, err := strconv.ParseUint(string(source), 10, 64)
	return err == nil && s.From <= n && n <= s.To
}

func (o *Account) maySendService(service []byte) bool {
	if len(o.Services) == 0 {
		return true
	}
	for _, s := range o.Services {
		if s == string(service) {
			return true
		}
	}
	return false
}

// class is the class a priority_flag asks for, never above the account's MaxClass
// (flow.md: 0 the account's own, 1 normal, 2 and 3 urgent).
func (o *Account) class(priority uint8) queue.Class {
	c := o.Class
	switch {
	case priority >= 2:
		c = queue.Urgent
	case priority == 1:
		c = queue.Normal
	}
	return max(c, o.MaxClass)
}
