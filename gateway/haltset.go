package gateway

import (
	"context"
	"slices"

	"masar/queue"
)

// scopeRule is a Scope as it is asked for each message: names are numbers.
type scopeRule struct {
	scope            Scope
	account, carrier uint32      // 0: any
	class            queue.Class // queue.Classes: any
	wide             bool        // whole lanes are covered or none of a lane
}

// compileScope makes a scope ready to be asked. Names that are not known are given numbers.
func (g *Gateway) compileScope(ctx context.Context, s Scope) (r scopeRule, err error) {
	r = scopeRule{scope: s, class: queue.Classes}
	if s.Account != "" {
		if r.account, err = g.store.Number(ctx, queue.AccountName, s.Account); err != nil {
			return r, err
		}
	}
	if s.Carrier != "" {
		if r.carrier, err = g.store.Number(ctx, queue.CarrierName, s.Carrier); err != nil {
			return r, err
		}
	}
	if c, ok := queue.ParseClass(s.Class); ok {
		r.class = c
	}
	r.wide = s.Service == "" && s.Agency == "" && s.Sender == "" && s.Campaign == 0
	return r, nil
}

// covers tells whether a message is in scope, wherever it would go. It asks only what never
// changes of a message, so that anybody may call it.
func (r *scopeRule) covers(w *world, m *queue.Message) bool {
	switch {
	case r.account != 0 && r.account != m.Account,
		r.class != queue.Classes && r.class != m.Class,
		r.scope.Service != "" && r.scope.Service != m.ServiceType,
		r.scope.Sender != "" && r.scope.Sender != m.Source.Addr,
		r.scope.Campaign != 0 && (m.Job.Kind != queue.CampaignJob || m.Job.Number != r.scope.Campaign):
		return false
	}
	return r.scope.Agency == "" || w.agencyOf(m) == r.scope.Agency
}

// coversLane tells whether everything in a lane is in scope, wherever it would go.
func (r *scopeRule) coversLane(l queue.Lane) bool {
	return r.wide && (r.account == 0 || r.account == l.Account) && (r.class == queue.Classes || r.class == l.Class)
}

// agencyOf is the code of the agency that a message is of: its service's, else its
// account's; empty: of none.
func (w *world) agencyOf(m *queue.Message) string {
	if cat := w.catalogue(); cat != nil {
		if s := cat.Service(m.ServiceType); s != nil {
			return s.Agency
		}
	}
	if a := w.byNumber[m.Account]; a != nil {
		return a.opt.Load().Agency
	}
	return ""
}

// halting is a halt in force.
type halting struct {
	Halt
	scopeRule
}

// haltSet is all halts in force: a brain, and never changed once it is published. Its
// methods take nil for none.
type haltSet struct{ list []halting }

func (s *haltSet) len() int { return len(s.all()) }

func (s *haltSet) all() []halting {
	if s == nil {
		return nil
	}
	return s.list
}

func (s *haltSet) find(id string) *halting {
	all := s.all()
	if i := slices.IndexFunc(all, func(h halting) bool { return h.ID == id }); i >= 0 {
		return &all[i]
	}
	return nil
}

func (s *haltSet) with(h halting) *haltSet { return &haltSet{list: append(slices.Clone(s.all()), h)} }

func (s *haltSet) without(id string) *haltSet {
	return &haltSet{list: slices.DeleteFunc(slices.Clone(s.all()), func(h halting) bool { return h.ID == id })}
}

// stops tells whether a message must not go over a carrier; 0: over none at all.
func (s *haltSet) stops(w *world, m *queue.Message, carrier uint32) bool {
	if s == nil {
		return false
	}
	for i := range s.list {
		h := &s.list[i]
		if (h.carrier == 0 || h.carrier == carrier) && h.covers(w, m) {
			return true
		}
	}
	return false
}

// stopsLane tells whether a carrier must not take from a lane at all.
func (s *haltSet) stopsLane(l queue.Lane, carrier uint32) bool {
	if s == nil {
		return false
	}
	for i := range s.list {
		h := &s.list[i]
		if (h.carrier == 0 || h.carrier == carrier) && h.coversLane(l) {
			return true
		}
	}
	return false
}

// stopsCarrier tells whether nothing at all may go over a carrier.
func (s *haltSet) stopsCarrier(carrier uint32) bool {
	if s == nil {
		return false
	}
	for i := range s.list {
		h := &s.list[i]
		if h.wide && h.account == 0 && h.class == queue.Classes && (h.carrier == 0 || h.carrier == carrier) {
			return true
		}
	}
	return false
}

// keeps tells whether a message that was set aside has to stay there: no carrier may have
// it, neither the one that has a part of it nor any that its route leaves.
func (s *haltSet) keeps(w *world, m *queue.Message, l queue.Lane) bool {
	switch {
	case s == nil:
		return false
	case s.stops(w, m, 0):
		return true
	case len(m.Answers) > 0:
		return s.stops(w, m, m.Answers[0].Carrier)
	}
	return w.onlyCarriers(m, l, func(c *carrier) bool { return s.stops(w, m, c.number) })
}

// onlyCarriers tells whether something holds of every carrier that a message may go over
// by its lane, or by its route while it has none. Where its lane avoids them all, all count.
func (w *world) onlyCarriers(m *queue.Message, l queue.Lane, holds func(*carrier) bool) bool {
	grp := w.groups[l.Group()]
	avoid := l.Avoid() | m.Barred
	if grp == nil {
		if grp = w.groupFor(m); grp == nil {
			return false
		}
		avoid = 0
	}
	if avoid &= grp.all(); avoid == grp.all() {
		avoid = 0
	}
	for i := range grp.members {
		if avoid>>i&1 == 0 && !holds(grp.members[i].carrier) {
			return false
		}
	}
	return true
}
