package gateway

import (
	"context"
	"crypto/rand"
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
	w := g.world.Load()
	a := w.accounts[string(b.SystemID)]
	var o *Account
	if a != nil {
		o = a.opt.Load()
	}
	if !g.auth.check(ctx, w, o, b.Password, from) {
		st := w.setup.AuthStatus
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
// bcrypt. Two run at a time, so that a flood of binds cannot take all cores, and one for
// an address, so that a flood from one does not keep the others waiting.
type authenticator struct {
	slots chan struct{}

	mu      sync.Mutex
	known   map[string][sha256.Size]byte // bcrypt hash -> digest of the password that opened it
	waiting map[netip.Addr]*turnstile
	nobody  string // compared with when the system_id is unknown: of the dearest cost there is
	of      *world // the configuration nobody was made for
}

// turnstile lets the binds of one address through one by one.
type turnstile struct {
	turn chan struct{} // buffer 1
	used int           // binds at it
}

// nobodyElse is nobody at the cost that masar passwd uses.
const nobodyElse = "$2a$10$cXiYbN0ZOY0X7mIqg1dhkuTzTOZPtEcZbW8Xj4wDTr6aDLOTvDDdW"

func newAuthenticator() *authenticator {
	return &authenticator{
		slots: make(chan struct{}, 2), known: map[string][sha256.Size]byte{},
		waiting: map[netip.Addr]*turnstile{}, nobody: nobodyElse,
	}
}

// check tells whether a password opens the account; o is nil for an unknown system_id.
// false, too, when ctx ends first.
func (a *authenticator) check(ctx context.Context, w *world, o *Account, password []byte, from netip.Addr) bool {
	if o != nil && a.remembers(o.PasswordHash, password) {
		return true
	}
	entered := a.enter(ctx, from)
	defer func() { a.leave(from, entered) }()
	if !entered {
		return false
	}
	var hashes []string
	if o != nil {
		hashes = o.PasswordHash
	}
	if a.remembers(hashes, password) {
		return true // another bind of this client has just been checked
	}
	if len(hashes) == 0 {
		a.compare(a.decoy(w), password)
		return false
	}
	opened := false
	for _, h := range hashes {
		opened = a.compare(h, password) || opened
	}
	return opened
}

// enter waits for the address's turn and a slot; false: ctx ended.
func (a *authenticator) enter(ctx context.Context, from netip.Addr) bool {
	a.mu.Lock()
	t := a.waiting[from]
	if t == nil {
		t = &turnstile{turn: make(chan struct{}, 1)}
		a.waiting[from] = t
	}
	t.used++
	a.mu.Unlock()
	select {
	case t.turn <- struct{}{}:
	case <-ctx.Done():
		return false
	}
	select {
	case a.slots <- struct{}{}:
		return true
	case <-ctx.Done():
		<-t.turn
		return false
	}
}

// leave gives back what enter took.
func (a *authenticator) leave(from netip.Addr, entered bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	t := a.waiting[from]
	if entered {
		<-a.slots
		<-t.turn
	}
	if t.used--; t.used == 0 {
		delete(a.waiting, from)
	}
}

func (a *authenticator) remembers(hashes []string, password []byte) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, h := range hashes {
		if known, ok := a.known[h]; ok && known == sha256.Sum256(append([]byte(h), password...)) {
			return true
		}
	}
	return false
}

// compare runs one bcrypt. REQUIRES: a slot.
func (a *authenticator) compare(hash string, password []byte) bool {
	if bcrypt.CompareHashAndPassword([]byte(hash), password) != nil {
		return false
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	a.known[hash] = sha256.Sum256(append([]byte(hash), password...))
	return true
}

// decoy is the hash for unknown system_ids: at the cost of the dearest account, so that
// time does not tell them from a wrong password. REQUIRES: a slot.
func (a *authenticator) decoy(w *world) string {
	a.mu.Lock()
	nobody, of := a.nobody, a.of
	a.mu.Unlock()
	if of == w {
		return nobody
	}
	dearest := 0
	for i := range w.setup.Accounts {
		for _, h := range w.setup.Accounts[i].PasswordHash {
			if cost, err := bcrypt.Cost([]byte(h)); err == nil {
				dearest = max(dearest, cost)
			}
		}
	}
	if cost, err := bcrypt.Cost([]byte(nobody)); err != nil || cost != dearest && dearest > 0 {
		if h, err := bcrypt.GenerateFromPassword([]byte(rand.Text()), dearest); err == nil {
			nobody = string(h)
		}
	}
	a.mu.Lock()
	a.nobody, a.of = nobody, w
	a.mu.Unlock()
	return nobody
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
