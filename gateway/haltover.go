package gateway

import (
	"masar/queue"
)

// HaltsOver lists the halts in force that hold what a job sends of a service (empty: of
// none) under an account, the oldest first. Those that name a carrier are not among them:
// whether anything waits for them depends on the way of each message.
func (g *Gateway) HaltsOver(account, service string, job queue.Job) []Halt {
	set := g.halts.set.Load()
	if set.len() == 0 {
		return nil
	}
	w := g.world.Load()
	m := queue.Message{ServiceType: service, Job: job}
	if a := w.account(account); a != nil {
		o := a.opt.Load()
		m.Account, m.Class = a.number, o.class(0)
		if o.DefaultSender != "" {
			m.Source = alphanumericOrE164(o.DefaultSender)
		}
	}
	if cat := w.catalogue(); cat != nil {
		if s := cat.Service(service); s != nil {
			m.Class = queue.Class(s.Class)
			if r := w.services[s]; r != nil && r.sender.Addr != "" {
				m.Source = r.sender
			}
		}
	}
	var over []Halt
	for _, h := range set.all() {
		r := h.scopeRule
		r.account = 0 // by name: it may not be configured any more
		if h.Scope.Carrier == "" && (h.Scope.Account == "" || h.Scope.Account == account) && r.covers(w, &m) {
			over = append(over, h.Halt)
		}
	}
	return over
}
