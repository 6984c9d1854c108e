package gateway

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"masar/queue"
	"masar/route"
	"masar/service"
	"masar/smpp/text"
)

// world is everything that a Reload swaps: who may submit, who carries, what leads where.
// It never changes once it is published; the accounts and carriers in it live on.
type world struct {
	setup    Setup
	accounts map[string]*account
	byNumber map[uint32]*account
	carriers map[string]*carrier
	table    *route.Table
	rules    []*group          // of each rule of table
	named    map[string]*group // by a route's name, for ported numbers
	groups   map[uint16]*group

	generation uint64 // rises with every Reload, from 1: see queue.Message.World
	services   map[*service.Service]*rules
	grants     map[uint32]map[*service.Service]*rules // of each governed account
}

// group is the set of carriers of a route. Its brain is shared by their dispatchers.
type group struct {
	name        string
	number      uint16
	policy      groupPolicy
	members     []member // by the carriers' numbers, whatever the configuration's order: see identity
	uncertain   Uncertain
	receipts    AskReceipts
	receiptWait time.Duration

	mu     sync.Mutex
	brain  *route.Group
	health []route.Health
}

type member struct {
	carrier *carrier
	weight  int
	place   int // in the configuration's order
	tier    int
}

// build makes the world of a Setup. Accounts, carriers and groups of before that stay are
// taken over; nothing of before is touched yet, so that a bad Setup costs nothing.
func (g *Gateway) build(ctx context.Context, s Setup, before *world) (*world, error) {
	w := &world{
		setup: s, accounts: map[string]*account{}, byNumber: map[uint32]*account{}, carriers: map[string]*carrier{},
		named: map[string]*group{}, groups: map[uint16]*group{}, generation: 1,
	}
	if before != nil {
		w.generation = before.generation + 1
	}
	for i := range s.Accounts {
		o := &s.Accounts[i]
		n, err := g.store.Number(ctx, queue.AccountName, o.SystemID)
		if err != nil {
			return nil, fmt.Errorf("number of account %s: %w", o.SystemID, err)
		}
		a := before.account(o.SystemID)
		if a == nil {
			a = newAccount(g, o, n)
		}
		w.accounts[o.SystemID], w.byNumber[n] = a, a
	}
	for i := range s.Carriers {
		o := &s.Carriers[i]
		n, err := g.store.Number(ctx, queue.CarrierName, o.Name)
		if err != nil {
			return nil, fmt.Errorf("number of carrier %s: %w", o.Name, err)
		}
		c := before.carrier(o.Name)
		if c == nil || !c.sameAs(o) {
			c = newCarrier(g, o, n)
		}
		w.carriers[o.Name] = c
	}
	rules := make([]route.Rule, 0, len(s.Routes))
	for i := range s.Routes {
		r := &s.Routes[i]
		grp, err := g.buildGroup(ctx, r, w, before)
		if err != nil {
			return nil, err
		}
		rule := route.Rule{Name: r.Name, Prefixes: r.Prefixes, Senders: r.Senders, ServiceTypes: r.Services, Group: grp.number}
		for _, name := range r.Accounts {
			if a := w.accounts[name]; a != nil {
				rule.Accounts = append(rule.Accounts, a.number)
			}
		}
		if r.Name != "" {
			w.named[r.Name] = grp
		}
		if len(r.Accounts) > 0 && len(rule.Accounts) == 0 {
			continue // none of its accounts exists: without the condition it would match all
		}
		for _, c := range r.Classes {
			rule.Classes = append(rule.Classes, uint8(c))
		}
		rules = append(rules, rule)
		w.rules = append(w.rules, grp)
	}
	w.buildRules()
	var err error
	w.table, err = route.NewTable(rules)
	return w, err
}

func (g *Gateway) buildGroup(ctx context.Context, r *Route, w, before *world) (*group, error) {
	name := r.identity()
	n, err := g.store.Number(ctx, queue.GroupName, name)
	if err != nil {
		return nil, fmt.Errorf("number of route %s: %w", name, err)
	}
	policy := groupPolicy{r.Uncertain, r.Receipts, r.ReceiptWait, r.FailoverAfter, r.MaxWait}
	if grp := w.groups[uint16(n)]; grp != nil {
		if grp.policy != policy || !grp.sameMembers(r) {
			return nil, fmt.Errorf("two routes to the carriers %s differ in weights, waits, receipts or uncertain: give them names", name)
		}
		return grp, nil
	}
	grp := &group{
		name: name, number: uint16(n), policy: policy, uncertain: r.Uncertain, receipts: r.Receipts, receiptWait: r.ReceiptWait,
	}
	if len(r.Carriers) == 0 || len(r.Carriers) > route.MaxMembers {
		return nil, fmt.Errorf("route %s has %d carriers, 1 to %d may be", name, len(r.Carriers), route.MaxMembers)
	}
	tier := 0
	for i, rc := range r.Carriers {
		c := w.carriers[rc.Name]
		if c == nil {
			return nil, fmt.Errorf("route %s: no carrier %q", name, rc.Name)
		}
		if rc.Failover && i > 0 {
			tier++
		}
		grp.members = append(grp.members, member{c, rc.Weight, i, tier})
	}
	slices.SortFunc(grp.members, func(a, b member) int { return cmp.Compare(a.carrier.number, b.carrier.number) })
	members := make([]route.Member, 0, len(r.Carriers))
	for _, m := range grp.members {
		members = append(members, route.Member{Carrier: m.carrier.number, Tier: m.tier, Weight: m.weight})
	}
	grp.brain = route.NewGroup(members, route.GroupOptions{FailoverAfter: r.FailoverAfter, MaxWait: r.MaxWait})
	grp.health = make([]route.Health, len(members))
	w.groups[grp.number] = grp
	return grp, nil
}

// identity is what a group keeps its number by: the route's name and its carriers, else
// the carriers in order. A name begins with a letter or a digit and has no "=".
//
// Lanes and messages name carriers by their places in the group. Those follow the
// carriers' numbers, so order and weights may change under them; another set of carriers
// is another group, and what waits for the old one is routed anew (clockwork.go).
func (r *Route) identity() string {
	if r.Name != "" {
		names := make([]string, 0, len(r.Carriers))
		for _, c := range r.Carriers {
			names = append(names, c.Name)
		}
		slices.Sort(names)
		return r.Name + "=" + strings.Join(names, ",")
	}
	var b strings.Builder
	b.WriteByte('=')
	for i, c := range r.Carriers {
		if i > 0 {
			b.WriteByte(',')
		}
		if c.Failover {
			b.WriteByte('>')
		}
		b.WriteString(c.Name)
	}
	return b.String()
}

// groupPolicy is what routes that share a group must agree on, beside its members.
type groupPolicy struct {
	uncertain                           Uncertain
	receipts                            AskReceipts
	receiptWait, failoverAfter, maxWait time.Duration
}

// sameMembers tells whether a route has the group's carriers in the group's order, with
// the same weights.
func (grp *group) sameMembers(r *Route) bool {
	for _, m := range grp.members {
		if m.place >= len(r.Carriers) || r.Carriers[m.place].Name != m.carrier.name || r.Carriers[m.place].Weight != m.weight {
			return false
		}
	}
	return len(r.Carriers) == len(grp.members)
}

// takes tells whether some carrier of the group can write the message in as many parts as
// it, and the account, may have: each in its own alphabet and style. The one that cannot
// leaves it to the next. The barred ones do not count.
func (grp *group) takes(o *Account, m *queue.Message, body []byte, barred uint16) bool {
	e, known := storedCodings.Encoding(m.DataCoding)
	if !known {
		e = text.Binary
	}
	if concatenated(m.ESMClass, m.TLVs) || text.FitsOne(body, e) {
		return true
	}
	probe := *m
	probe.Body = body
	var s split
	for i := range grp.members {
		if barred>>i&1 == 1 {
			continue
		}
		if err := grp.members[i].carrier.opt.plan(&probe, storedCodings, 0, &s); err == nil && len(s.parts) <= o.MaxParts {
			return true
		}
	}
	return false
}

func (w *world) account(name string) *account {
	if w == nil {
		return nil
	}
	return w.accounts[name]
}

func (w *world) carrier(name string) *carrier {
	if w == nil {
		return nil
	}
	return w.carriers[name]
}

// route finds the group for a message; nil: no route. A test number never leads anywhere
// but to its own.
func (w *world) route(q route.Query) *group {
	if w.setup.Test != nil {
		if name, is := w.setup.Test(q.Dest); is {
			return w.named[name]
		}
	}
	if w.setup.Ported != nil {
		if name, ok := w.setup.Ported(q.Dest); ok {
			if grp := w.named[name]; grp != nil {
				return grp
			}
		}
	}
	i, ok := w.table.Find(q)
	if !ok {
		return nil
	}
	return w.rules[i]
}

// elsewhere tells whether carrier i is unavailable and another is not.
func (grp *group) elsewhere(i int, now time.Time) bool {
	grp.mu.Lock()
	defer grp.mu.Unlock()
	grp.look(now)
	if grp.brain.Available(i, grp.health, now) {
		return false
	}
	for k := range grp.members {
		if k != i && grp.health[k].Bound && !grp.health[k].Paused {
			return true
		}
	}
	return false
}

// codings is what the data_coding of a message in the store means, whichever account it
// is of: admission has written it so (canonical).
func (w *world) codings(uint32) text.Codings { return storedCodings }

// index is a carrier's place in the group, -1 when it has none.
func (grp *group) index(c *carrier) int {
	return slices.IndexFunc(grp.members, func(m member) bool { return m.carrier == c })
}

// indexOf is the place of a carrier by its number, -1 when it has none.
func (grp *group) indexOf(number uint32) int {
	return slices.IndexFunc(grp.members, func(m member) bool { return m.carrier.number == number })
}

// mayPull asks whether a carrier may take from a lane now, else when to ask again.
func (grp *group) mayPull(i int, l queue.Lane, oldest queue.Time, now time.Time) (bool, time.Time) {
	grp.mu.Lock()
	defer grp.mu.Unlock()
	grp.look(now)
	return grp.brain.MayPull(i, grp.health, oldest.Time(), l.Avoid(), now)
}

// pulled counts what a carrier took, for shares by weight.
func (grp *group) pulled(i, parts int) {
	if len(grp.members) == 1 {
		return
	}
	grp.mu.Lock()
	grp.brain.Pulled(i, parts, grp.health)
	grp.mu.Unlock()
}

// look reads every member's health. REQUIRES: grp.mu.
func (grp *group) look(now time.Time) {
	for i := range grp.members {
		grp.health[i] = grp.members[i].carrier.health(now)
	}
}

// all has the bit of every carrier of the group.
func (grp *group) all() uint16 { return uint16(1)<<len(grp.members) - 1 }

// lane is where a message waits that is new to the group.
func (grp *group) lane(m *queue.Message, body []byte) queue.Lane {
	return queue.Lane{Target: queue.Target(grp.number, grp.pin(m, body)|m.Barred), Class: m.Class, Account: m.Account}
}

// nextLane is the lane for a message that must not go back to carrier i for now, and
// whether that leaves another carrier. When none would be left only those are avoided
// that have refused it for good.
func (grp *group) nextLane(l queue.Lane, i int, barred uint16) (queue.Lane, bool) {
	all := grp.all()
	avoid := (l.Avoid() | barred | 1<<i) & all
	other := avoid != all
	if !other {
		avoid = barred & all
	}
	l.Target = queue.Target(grp.number, avoid)
	return l, other
}

// only is the lane that leaves one carrier of the group.
func (grp *group) only(l queue.Lane, i int) queue.Lane {
	all := grp.all()
	l.Target = queue.Target(grp.number, all&^(1<<i))
	return l
}

// pin chooses one carrier for the parts that a client made itself, so that they arrive
// together: rendezvous hashing over the weights. The answer is the lane's avoid bits; zero
// for any other message.
func (grp *group) pin(m *queue.Message, body []byte) uint16 {
	if len(grp.members) == 1 || !concatenated(m.ESMClass, m.TLVs) {
		return 0
	}
	h := conversation(m, body)
	best, at := 0.0, 0
	for i := range grp.members {
		if m.Barred>>i&1 == 1 {
			continue
		}
		if s := rendezvous(h, grp.members[i].carrier.name, grp.members[i].weight); s > best {
			best, at = s, i
		}
	}
	return uint16(grp.only(queue.Lane{}, at).Target)
}
