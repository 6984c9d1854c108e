package servicetest

import (
	"slices"
	"time"

	"masar/number"
	"masar/service"
)

// A model is a registry as one would first write it: people and numbers in maps, no rows,
// no batches, no disk. It shares no code with any registry.
type model struct {
	limits  service.Limits
	people  map[service.Person]*modelPerson
	numbers map[number.E164]*modelNumber
}

type taken struct { // a withdrawal
	at       time.Time
	byPerson bool
}

type modelPerson struct {
	number   number.E164 // 0: no subscriber
	language string
	state    service.SubscriberState
	verified bool
	since    time.Time
	services map[string]*service.Enrolment // also of somebody without a number
	stop     *taken
	events   int
}

type modelNumber struct {
	block service.Block
	fails []time.Time
	stop  *taken
	off   map[string]*service.Enrolment
	code  string
	until time.Time
	tries int
}

func newModel(l service.Limits) *model {
	if l.People == 0 {
		l.People = 20
	}
	if l.UnknownTimes == 0 {
		l.UnknownTimes = 3
	}
	if l.UnknownDays == 0 {
		l.UnknownDays = 30
	}
	if l.CodeTries == 0 {
		l.CodeTries = 5
	}
	return &model{limits: l, people: map[service.Person]*modelPerson{}, numbers: map[number.E164]*modelNumber{}}
}

func (m *model) num(n number.E164) *modelNumber {
	if m.numbers[n] == nil {
		m.numbers[n] = &modelNumber{off: map[string]*service.Enrolment{}}
	}
	return m.numbers[n]
}

func (m *model) at(n number.E164) (list []service.Person) {
	for p, s := range m.people {
		if s.number == n && n != 0 {
			list = append(list, p)
		}
	}
	slices.SortFunc(list, func(a, b service.Person) int { return slices.Compare(a[:], b[:]) })
	return list
}

// stands says whether a withdrawal keeps a consent out.
func stands(w *taken, c *service.Change) bool {
	if w == nil || c.ByPerson {
		return false
	}
	if w.byPerson {
		return c.At.IsZero() || !c.At.After(w.at)
	}
	return !c.At.IsZero() && c.At.Before(w.at)
}

func off(e *service.Enrolment) *taken {
	if e == nil || e.State != service.Withdrawn {
		return nil
	}
	return &taken{e.At, e.ByPerson}
}

// do makes a change and tells its effect.
func (m *model) do(c *service.Change) service.Effect {
	p := m.people[c.Person]
	here := p != nil && p.number != 0
	var who []service.Person
	switch {
	case here:
		who = []service.Person{c.Person}
	case c.Person == (service.Person{}):
		who = m.at(c.Number)
	}
	changed := false
	switch c.Kind {
	case service.Enrol:
		switch {
		case len(c.Services) == 0, c.Person == (service.Person{}) && len(who) == 0, here && c.Number != 0 && c.Number != p.number:
			return service.NotDone
		case len(who) > 0:
			for _, id := range who {
				changed = m.enrol(m.people[id], c) || changed
			}
		case c.Number == 0 || len(m.at(c.Number)) >= m.limits.People:
			return service.NotDone
		default:
			changed = m.newcomer(c)
		}
	case service.Withdraw:
		switch {
		case len(who) > 0:
			for _, id := range who {
				s := m.people[id]
				if withdraw(s.services, &s.stop, c) {
					s.events++
					changed = true
				}
			}
		case c.Person != (service.Person{}):
			if p == nil {
				p = &modelPerson{services: map[string]*service.Enrolment{}}
			}
			if changed = withdraw(p.services, &p.stop, c); changed {
				p.events++
				m.people[c.Person] = p
			}
		default:
			n := m.num(c.Number)
			changed = withdraw(n.off, &n.stop, c)
		}
	case service.SetNumber:
		switch {
		case !here || c.Number == 0:
			return service.NotDone
		case p.number == c.Number:
			if c.Verified && vouch(p) {
				p.events++
				changed = true
			}
		case len(m.at(c.Number)) >= m.limits.People:
			return service.NotDone
		default:
			was := p.number
			p.number = c.Number
			if len(m.at(was)) == 0 {
				m.num(was).fails = nil
			}
			if p.verified = false; c.Verified {
				vouch(p)
			} else {
				for _, e := range p.services {
					if e.State == service.Enrolled {
						e.State = service.Pending
					}
				}
			}
			p.events++
			changed = true
		}
	case service.SetLanguage:
		if len(who) == 0 {
			return service.NotDone
		}
		for _, id := range who {
			if s := m.people[id]; s.language != c.Language {
				s.language = c.Language
				s.events++
				changed = true
			}
		}
	case service.MarkRecycled:
		if len(who) == 0 || here && c.Number != 0 && c.Number != p.number {
			return service.NotDone
		}
		for _, id := range who {
			if s := m.people[id]; s.state != service.Recycled {
				s.state, s.verified = service.Recycled, false
				s.events++
				changed = true
			}
		}
	case service.NoteUnknown:
		who = m.at(c.Number)
		if !slices.ContainsFunc(who, func(p service.Person) bool { return m.people[p].state == service.Active }) {
			break
		}
		n := m.num(c.Number)
		n.fails = append(slices.DeleteFunc(n.fails, func(t time.Time) bool {
			return !t.After(c.Now.AddDate(0, 0, -m.limits.UnknownDays))
		}), c.Now)
		if len(n.fails) >= m.limits.UnknownTimes {
			n.fails = nil
			for _, id := range who {
				if s := m.people[id]; s.state == service.Active {
					s.state, s.verified = service.Unreachable, false
					s.events++
					changed = true
				}
			}
		}
	case service.IssueCode:
		n := m.num(c.Number)
		n.code, n.until, n.tries, changed = c.Code, c.Until, 0, true
	case service.Verify:
		n := m.num(c.Number)
		switch {
		case n.code == "":
			return service.NotDone
		case !c.Now.Before(n.until):
			n.code = ""
			return service.NotDone
		case n.tries >= m.limits.CodeTries:
			return service.NotDone
		case n.code != c.Code:
			n.tries++
			return service.NotDone
		}
		n.code, changed = "", true
		for _, id := range m.at(c.Number) {
			if s := m.people[id]; vouch(s) {
				s.events++
			}
		}
	case service.BlockNumber, service.UnblockNumber:
		n := m.num(c.Number)
		b := service.Block{}
		if c.Kind == service.BlockNumber {
			b = service.Block{Scope: c.Block.Scope, Reason: c.Block.Reason, Channel: c.Channel, At: n.block.At}
		}
		if b == n.block || b.Scope == service.BlockNone && n.block.Scope == service.BlockNone {
			break
		}
		if b.Scope != service.BlockNone {
			b.At = c.Now
		}
		n.block, changed = b, true
		for _, id := range m.at(c.Number) {
			m.people[id].events++
		}
	case service.Erase:
		if len(who) == 0 {
			if c.Person == (service.Person{}) || p == nil || p.events == 0 {
				return service.NotDone
			}
			who = []service.Person{c.Person}
		}
		for _, id := range who {
			m.erase(id)
		}
		changed = true
	}
	if changed {
		return service.Changed
	}
	return service.NothingNew
}

func vouch(p *modelPerson) (changed bool) {
	changed = !p.verified || p.state != service.Active
	p.verified, p.state = true, service.Active
	for _, e := range p.services {
		if e.State == service.Pending {
			e.State, changed = service.Enrolled, true
		}
	}
	return changed
}

func (m *model) enrol(p *modelPerson, c *service.Change) (changed bool) {
	if c.Verified && (!p.verified || p.state != service.Active) {
		p.verified, p.state, changed = true, service.Active, true
	}
	if c.Language != "" && c.Language != p.language && (c.Only == "" || p.language == "") {
		p.language, changed = c.Language, true
	}
	state := service.Pending
	if p.verified {
		state = service.Enrolled
	}
	for _, code := range c.Services {
		e := p.services[code]
		switch {
		case e == nil:
			if !stands(p.stop, c) {
				p.services[code] = &service.Enrolment{Service: code, State: state, Channel: c.Channel, At: c.At}
				changed = true
			}
		case e.State == service.Withdrawn:
			if !stands(off(e), c) {
				*e = service.Enrolment{Service: code, State: state, Channel: c.Channel, At: c.At}
				changed = true
			}
		case c.Only != "" && c.Only != e.Channel:
		default:
			if e.State != service.Enrolled && state == service.Enrolled {
				e.State, changed = state, true
			}
			if c.At.After(e.At) {
				e.At, changed = c.At, true
			}
		}
	}
	if changed {
		p.events++
	}
	return changed
}

func (m *model) newcomer(c *service.Change) bool {
	p, n := m.people[c.Person], m.num(c.Number)
	if p == nil {
		p = &modelPerson{services: map[string]*service.Enrolment{}}
	}
	state := service.Pending
	if c.Verified {
		state = service.Enrolled
	}
	fresh := map[string]*service.Enrolment{}
	joins := false
	for _, code := range c.Services {
		var keeps *service.Enrolment
		for _, w := range []*taken{p.stop, n.stop} {
			if keeps == nil && stands(w, c) {
				keeps = &service.Enrolment{Service: code, State: service.Withdrawn, Channel: c.Channel, At: w.at, ByPerson: w.byPerson}
			}
		}
		for _, e := range []*service.Enrolment{p.services[code], n.off[code]} {
			if keeps == nil && stands(off(e), c) {
				copied := *e
				keeps = &copied
			}
		}
		switch {
		case keeps == nil:
			fresh[code] = &service.Enrolment{Service: code, State: state, Channel: c.Channel, At: c.At}
			joins = true
		case p.services[code] == nil:
			fresh[code] = keeps
		}
	}
	if !joins {
		return false
	}
	for code, e := range fresh {
		p.services[code] = e
	}
	p.number, p.language, p.state, p.verified, p.since = c.Number, c.Language, service.Active, c.Verified, c.Now
	p.events++
	m.people[c.Person] = p
	return true
}

// add merges one more withdrawal into one that stands.
func (t *taken) add(w taken) bool {
	switch {
	case w.byPerson && !t.byPerson:
		if t.byPerson = true; w.at.After(t.at) {
			t.at = w.at
		}
	case w.byPerson == t.byPerson && w.at.After(t.at):
		t.at = w.at
	default:
		return false
	}
	return true
}

func withdraw(list map[string]*service.Enrolment, stop **taken, c *service.Change) (changed bool) {
	w := taken{c.At, c.ByPerson}
	repeats := c.At.IsZero() && !c.ByPerson
	if c.At.IsZero() {
		w.at = c.Now
	}
	names := c.Services
	if len(names) == 0 {
		for code := range list {
			names = append(names, code)
		}
	}
	for _, code := range names {
		e := list[code]
		switch {
		case e == nil:
			list[code] = &service.Enrolment{Service: code, State: service.Withdrawn, Channel: c.Channel, At: w.at, ByPerson: w.byPerson}
			changed = true
		case c.Only != "" && e.Channel != c.Only:
		case e.State != service.Withdrawn:
			e.State, e.At, e.ByPerson, changed = service.Withdrawn, w.at, w.byPerson, true
		case !repeats:
			t := taken{e.At, e.ByPerson}
			if t.add(w) {
				e.At, e.ByPerson, changed = t.at, t.byPerson, true
			}
		}
	}
	if len(c.Services) == 0 && c.Only == "" {
		switch {
		case *stop == nil:
			*stop, changed = &w, true
		case !repeats:
			changed = (*stop).add(w) || changed
		}
	}
	return changed
}

func (m *model) erase(id service.Person) {
	p := m.people[id]
	was := p.number
	kept := &modelPerson{services: map[string]*service.Enrolment{}}
	for code, e := range p.services {
		if e.State == service.Withdrawn && e.ByPerson {
			e.Channel = ""
			kept.services[code] = e
		}
	}
	if p.stop != nil && p.stop.byPerson {
		kept.stop = p.stop
	}
	m.people[id] = kept
	if was != 0 && len(m.at(was)) == 0 {
		m.num(was).fails = nil
	}
}
