package gateway

import (
	"context"
	"crypto/sha256"
	"errors"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/bcrypt"

	"masar/smpp"
	"masar/smpp/pdu"
)

// client is one bound session of an account. It is the session's smpp.Handler; its
// methods run on the session's reader.
type client struct {
	g       *Gateway
	account *account
	session *smpp.Session
	intern  interner
	noTLVs  bool // the peer speaks v3.3, which has none

	most       int          // unanswered submits: window and park
	unanswered atomic.Int32 // now
}

func (g *Gateway) serverOptions(l *Listener) smpp.ServerOptions {
	allow := l.Allow
	return smpp.ServerOptions{
		SystemID:         g.opt.SystemID,
		InterfaceVersion: 0x50,
		Timers:           g.opt.Timers,
		MaxPDU:           g.opt.MaxPDU,
		MaxSessions:      l.MaxSessions,
		TLS:              l.TLS,
		Log:              g.log,
		Bind:             g.bind,
		Observe:          g.met.clients,
		Allow:            func(a netip.Addr) bool { return len(allow) == 0 || allowed(allow, a) },
	}
}

// bind judges a client's bind. Unknown system_id and wrong password take the same time
// and get the same answer.
func (g *Gateway) bind(ctx context.Context, s *smpp.Session, mode pdu.Command, b *pdu.Bind) smpp.Accept {
	began := time.Now()
	from := s.RemoteAddr().Addr()
	a := g.world.Load().accounts[string(b.SystemID)]
	var o *Account
	if a != nil {
		o = a.opt.Load()
	}
	if !g.auth.check(o, b.Password) {
		st := pdu.ESME_RINVPASWD
		if o != nil {
			st = o.AuthStatus
		}
		return g.refuseBind(ctx, began, b, from, mode, st, "unknown system_id or wrong password")
	}
	if !o.mayBind(from, mode) {
		return g.refuseBind(ctx, began, b, from, mode, pdu.ESME_RBINDFAIL, "address or bind type not allowed for the account")
	}
	if g.closing.Load() {
		return g.refuseBind(ctx, began, b, from, mode, pdu.ESME_RBINDFAIL, "shutting down")
	}
	c := &client{g: g, account: a, session: s, noTLVs: b.InterfaceVersion < 0x34, most: o.Window + max(o.Park, 0)}
	if !a.join(c, o.MaxBinds) {
		return g.refuseBind(ctx, began, b, from, mode, pdu.ESME_RALYBND, "the account's binds are used up")
	}
	if g.world.Load().accounts[a.name] != a {
		a.leave(c) // a reload removed the account after the look above, and did not see this session
		return g.refuseBind(ctx, began, b, from, mode, pdu.ESME_RBINDFAIL, "the account was removed")
	}
	a.met.binds.Inc()
	g.log.Info("client bound", slog.String("account", a.name), slog.String("bind", mode.String()), slog.String("from", s.RemoteAddr().String()), slog.Uint64("session", s.ID()))
	timers := g.opt.Timers
	if o.Timers != nil {
		timers = *o.Timers
	}
	return smpp.Accept{
		SystemID: g.opt.SystemID,
		Handler:  c,
		// The window is counted in admission, where its refusals have a label; the session's
		// own bound leaves room beside it for query_sm and the like.
		Limits: smpp.Limits{MaxPDU: g.opt.MaxPDU, Window: c.most, Park: deskPerBind, Send: o.DeliverWindow},
		Timers: timers,
		Bound:  func(*smpp.Session) { a.pump.wakeUp() },
	}
}

// deskPerBind is how many query_sm, cancel_sm and replace_sm of one bind may wait beside
// its submits.
const deskPerBind = 64

func (g *Gateway) refuseBind(ctx context.Context, began time.Time, b *pdu.Bind, from netip.Addr, mode pdu.Command, st pdu.Status, why string) smpp.Accept {
	g.met.bindsRefused.WithLabelValues(st.String()).Inc()
	g.log.Warn("bind refused", slog.String("system_id", printable(b.SystemID)), slog.String("bind", mode.String()),
		slog.String("from", from.String()), slog.String("status", st.String()), slog.String("reason", why))
	// Every refusal comes this long after its bind, however many hashes were compared: it
	// slows guessing and tells nothing apart.
	t := time.NewTimer(time.Until(began.Add(g.world.Load().setup.RefusalDelay)))
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
	return smpp.Accept{Status: st}
}

// printable keeps what a stranger sent from breaking a log line.
func printable(b []byte) string {
	out := make([]byte, 0, len(b))
	for _, c := range b {
		if c < 0x20 || c > 0x7E {
			c = '?'
		}
		out = append(out, c)
	}
	return string(out)
}

// Ended is called once, when the session is over.
func (c *client) Ended(s *smpp.Session, unanswered []any, err error) {
	c.account.leave(c)
	c.account.met.binds.Dec()
	for _, t := range unanswered {
		c.account.pump.unanswered(t.(*outgoing))
	}
	attrs := []slog.Attr{slog.String("account", c.account.name), slog.Uint64("session", s.ID()), slog.Int("deliveries_unanswered", len(unanswered))}
	switch {
	case errors.Is(err, smpp.ErrUnbound):
		c.g.log.LogAttrs(context.Background(), slog.LevelInfo, "client unbound", attrs...)
	case err == nil || errors.Is(err, smpp.ErrUnbinding):
		c.g.log.LogAttrs(context.Background(), slog.LevelInfo, "client was unbound", attrs...)
	default:
		c.g.log.LogAttrs(context.Background(), slog.LevelWarn, "client session ended", append(attrs, slog.Any("err", err))...)
	}
	c.account.pump.wakeUp()
}

// Response is the client's answer to a deliver_sm.
func (c *client) Response(_ *smpp.Session, token any, a smpp.Answer) {
	c.account.pump.answered(token.(*outgoing), a)
}

// Request is a client's request that its bind allows.
func (c *client) Request(_ *smpp.Session, h pdu.Header, body pdu.Body, r smpp.Reply) {
	switch h.Command {
	case pdu.CmdSubmitSM:
		c.submit(body.(*pdu.SubmitSM), r)
	case pdu.CmdDataSM:
		c.dataSM(body.(*pdu.DataSM), r)
	case pdu.CmdSubmitMulti:
		c.submitMulti(body.(*pdu.SubmitMulti), r)
	case pdu.CmdQuerySM, pdu.CmdCancelSM, pdu.CmdReplaceSM:
		c.g.desk.ask(c, h.Command, body, r)
	default:
		r.SendNack(pdu.ESME_RINVCMDID)
	}
}

// authenticator checks passwords against bcrypt hashes. A password that was right once is
// remembered by a digest under its hash, so that a client that binds fifty times costs one
// bcrypt; two run at a time, so that a flood of binds cannot take all cores.
type authenticator struct {
	slots chan struct{}
	mu    sync.Mutex
	known map[string][sha256.Size]byte // bcrypt hash -> digest of the password that opened it
}

// nobody is compared with when the system_id is unknown, so that it takes as long.
const nobody = "$2a$10$cXiYbN0ZOY0X7mIqg1dhkuTzTOZPtEcZbW8Xj4wDTr6aDLOTvDDdW"

func newAuthenticator() *authenticator {
	return &authenticator{slots: make(chan struct{}, 2), known: map[string][sha256.Size]byte{}}
}

func (a *authenticator) check(o *Account, password []byte) bool {
	hashes := []string{nobody}
	if o != nil && len(o.PasswordHash) > 0 {
		hashes = o.PasswordHash
	}
	opened := false
	for _, h := range hashes {
		opened = a.compare(h, password) || opened
	}
	return opened && o != nil
}

func (a *authenticator) compare(hash string, password []byte) bool {
	digest := sha256.Sum256(append([]byte(hash), password...))
	a.mu.Lock()
	known, ok := a.known[hash]
	a.mu.Unlock()
	if ok && known == digest {
		return true
	}
	a.slots <- struct{}{}
	err := bcrypt.CompareHashAndPassword([]byte(hash), password)
	<-a.slots
	if err != nil {
		return false
	}
	a.mu.Lock()
	a.known[hash] = digest
	a.mu.Unlock()
	return true
}

// interner keeps one string of what a session sends again and again: senders, service
// types. It belongs to the session's reader.
type interner struct{ kept map[string]string }

const internMost = 256

func (in *interner) string(b []byte) string {
	if len(b) == 0 {
		return ""
	}
	if s, ok := in.kept[string(b)]; ok {
		return s
	}
	s := string(b)
	if in.kept == nil || len(in.kept) >= internMost {
		in.kept = map[string]string{}
	}
	in.kept[s] = s
	return s
}
