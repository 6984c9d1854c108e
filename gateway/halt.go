package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"masar/queue"
)

// A Scope says what a halt holds: what all its fields that are set have in common.
//
// All stands alone. A Carrier alone is one that nothing goes over: what another carrier of
// its route may carry goes there, the rest waits; with other fields it means what of them
// would go over that carrier.
type Scope struct {
	All      bool   `json:"all,omitempty"`
	Service  string `json:"service,omitempty"` // service_type
	Agency   string `json:"agency,omitempty"`  // whose services they are; messages of no service by their account's
	Account  string `json:"account,omitempty"` // system_id
	Sender   string `json:"sender,omitempty"`  // source_addr as the message has it
	Campaign uint64 `json:"campaign,omitempty"`
	Class    string `json:"class,omitempty"` // urgent, normal or bulk
	Carrier  string `json:"carrier,omitempty"`
}

// String is the scope as an operator writes it: "service=IDREN class=bulk".
func (s Scope) String() string {
	var fields []string
	if s.All {
		fields = append(fields, "all")
	}
	campaign := ""
	if s.Campaign != 0 {
		campaign = strconv.FormatUint(s.Campaign, 10)
	}
	for _, f := range [...]struct{ name, value string }{
		{"service", s.Service}, {"agency", s.Agency}, {"account", s.Account}, {"sender", s.Sender},
		{"campaign", campaign}, {"class", s.Class}, {"carrier", s.Carrier},
	} {
		if f.value != "" {
			fields = append(fields, f.name+"="+f.value)
		}
	}
	return strings.Join(fields, " ")
}

// A Halt is an operator's order that nothing of a scope leaves. It holds until Resume,
// over restarts too.
type Halt struct {
	ID        string    `json:"id"` // "h1", never given twice
	Scope     Scope     `json:"scope"`
	By        string    `json:"by,omitempty"`
	Reason    string    `json:"reason,omitempty"`
	Since     time.Time `json:"since"`
	Cancelled int64     `json:"cancelled,omitempty"` // messages that CancelHalted has ended so far
}

// What an operator may hear of a halt.
var (
	ErrNoHalt       = errors.New("no such halt")
	ErrTooManyHalts = fmt.Errorf("%d halts are in force, more cannot be", mostHalts)
	errNotStored    = errors.New("halts could not be stored, nothing has changed")
)

// A ScopeError says which field of a Scope names nothing that is known, or breaks a rule.
type ScopeError struct{ Field, Rule string }

func (e *ScopeError) Error() string { return e.Field + ": " + e.Rule }

// mostHalts bounds the halts in force: every message that leaves is asked about each.
const mostHalts = 1000

// halts keeps the halts in force: set is what dispatchers ask, the rest changes it.
type halts struct {
	set  atomic.Pointer[haltSet] // nil: none is in force
	kick chan struct{}           // buffer 1: something that was set aside may be free

	mu    sync.Mutex // one change at a time; held while the file is written
	file  string     // empty: they end with the process
	given uint64     // the number of the latest halt
}

// Halt holds everything of a scope: it is stored and in force when it returns, and a
// second later nothing of the scope is put on the wire any more. What comes is accepted
// still, and waits. An error of type *ScopeError says which field names nothing known.
func (g *Gateway) Halt(ctx context.Context, s Scope, by, reason string) (Halt, error) {
	w := g.world.Load()
	if err := g.checkScope(w, s); err != nil {
		return Halt{}, err
	}
	rule, err := g.compileScope(ctx, s)
	if err != nil {
		return Halt{}, err
	}
	k := &g.halts
	k.mu.Lock()
	defer k.mu.Unlock()
	before := k.set.Load()
	if before.len() >= mostHalts {
		return Halt{}, ErrTooManyHalts
	}
	h := Halt{ID: "h" + strconv.FormatUint(k.given+1, 10), Scope: s, By: by, Reason: reason, Since: time.Now().Round(0)}
	after := before.with(halting{Halt: h, scopeRule: rule})
	if err := k.store(after, k.given+1); err != nil {
		return Halt{}, err
	}
	k.given++
	g.enforce(after)
	g.log.Warn("halted", slog.String("halt", h.ID), slog.String("scope", s.String()), slog.String("by", by), slog.String("reason", reason))
	return h, nil
}

// Halts lists the halts in force, the oldest first.
func (g *Gateway) Halts() []Halt {
	all := g.halts.set.Load().all()
	out := make([]Halt, len(all))
	for i := range all {
		out[i] = all[i].Halt
	}
	return out
}

// Resume lifts a halt. What it held leaves again, routed and asked anew, unless another
// halt holds it, too. ErrNoHalt: there is none of that id.
func (g *Gateway) Resume(ctx context.Context, id, by string) (Halt, error) {
	k := &g.halts
	k.mu.Lock()
	defer k.mu.Unlock()
	before := k.set.Load()
	h := before.find(id)
	if h == nil {
		return Halt{}, ErrNoHalt
	}
	after := before.without(id)
	if err := k.store(after, k.given); err != nil {
		return Halt{}, err
	}
	g.enforce(after)
	k.stir()
	g.tellLanes()
	g.log.Warn("halt lifted", slog.String("halt", id), slog.String("scope", h.Scope.String()), slog.String("by", by),
		slog.Duration("after", time.Since(h.Since).Round(time.Millisecond)))
	return h.Halt, nil
}

// enforce puts a set of halts in force. Dispatchers ask it before every part; they are
// woken so that what they have begun, and wait with for a free bind, is set aside now.
func (g *Gateway) enforce(s *haltSet) {
	if s.len() == 0 {
		s = nil
	}
	g.halts.set.Store(s)
	for _, c := range g.world.Load().carriers {
		c.wakeUp()
	}
	g.leaving.each((*carrier).wakeUp)
}

// stir has the messages that were set aside looked at.
func (k *halts) stir() {
	select {
	case k.kick <- struct{}{}:
	default:
	}
}

// startHalts takes up the halts of before the restart. Before any carrier is bound.
func (g *Gateway) startHalts(ctx context.Context, w *world) error {
	k := &g.halts
	k.kick, k.file = make(chan struct{}, 1), g.opt.HaltFile
	stored, given, err := k.load()
	if err != nil {
		return err
	}
	var set *haltSet
	for _, h := range stored {
		if err := g.checkScope(w, h.Scope); err != nil {
			// The configuration has changed. What is left of it may still wait.
			g.log.Warn("a halt names what is not configured any more", slog.String("halt", h.ID), slog.Any("err", err))
		}
		rule, err := g.compileScope(ctx, h.Scope)
		if err != nil {
			return fmt.Errorf("halt %s: %w", h.ID, err)
		}
		set = set.with(halting{Halt: h, scopeRule: rule})
		g.log.Warn("still halted", slog.String("halt", h.ID), slog.String("scope", h.Scope.String()), slog.String("by", h.By),
			slog.String("reason", h.Reason), slog.Time("since", h.Since))
	}
	k.given = given
	k.set.Store(set)
	k.stir() // a resume may have been under way
	return nil
}

// checkScope tells whether a scope names what is known.
func (g *Gateway) checkScope(w *world, s Scope) error {
	named := s
	named.All = false
	switch {
	case s == Scope{}:
		return &ScopeError{"scope", "one of all, service, agency, account, sender, campaign, class and carrier has to be set"}
	case s.All && named != Scope{}:
		return &ScopeError{"all", "stands alone"}
	case s.Service != "" && !w.knowsService(s.Service):
		return &ScopeError{"service", "no service has the code " + strconv.Quote(s.Service)}
	case s.Agency != "" && (w.catalogue() == nil || w.catalogue().Agency(s.Agency) == nil):
		return &ScopeError{"agency", "no agency has the code " + strconv.Quote(s.Agency)}
	case s.Account != "" && !g.knowsAccount(w, s.Account):
		return &ScopeError{"account", "no account has the system_id " + strconv.Quote(s.Account)}
	case s.Sender != "" && !w.knowsSender(s.Sender):
		return &ScopeError{"sender", "nobody may send as " + strconv.Quote(s.Sender)}
	case s.Carrier != "" && w.carriers[s.Carrier] == nil:
		return &ScopeError{"carrier", "no carrier is called " + strconv.Quote(s.Carrier)}
	}
	if _, ok := queue.ParseClass(s.Class); s.Class != "" && !ok {
		return &ScopeError{"class", strconv.Quote(s.Class) + " is none of urgent, normal and bulk"}
	}
	return nil
}

// knowsService tells whether messages may have a service_type: it is in the catalogue, or
// an account or a route names it. Without a catalogue an account that may send any makes
// every one known.
func (w *world) knowsService(code string) bool {
	cat := w.catalogue()
	if cat != nil && cat.Service(code) != nil {
		return true
	}
	for i := range w.setup.Accounts {
		o := &w.setup.Accounts[i]
		if (cat == nil || len(o.Services) > 0) && o.maySendService([]byte(code)) {
			return true
		}
	}
	for i := range w.setup.Routes {
		for _, s := range w.setup.Routes[i].Services {
			if s == code {
				return true
			}
		}
	}
	return false
}

// knowsSender tells whether some account, or some service, may have a source_addr.
func (w *world) knowsSender(sender string) bool {
	for i := range w.setup.Accounts {
		o := &w.setup.Accounts[i]
		if o.DefaultSender == sender || o.maySendAs([]byte(sender)) {
			return true
		}
	}
	for s, r := range w.services {
		if r.sender.Addr == sender || w.catalogue().MaySend(sender, s) == 0 {
			return true
		}
	}
	return false
}

// knowsAccount tells whether an account is configured, or has left something that waits.
func (g *Gateway) knowsAccount(w *world, name string) bool {
	if w.accounts[name] != nil {
		return true
	}
	left := false
	g.store.Depths(func(l queue.Lane, d queue.Depth) {
		left = left || d.Messages > 0 && g.store.Name(queue.AccountName, l.Account) == name
	})
	return left
}
