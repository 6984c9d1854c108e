package pebble

import (
	"slices"

	"masar/service"
)

// A scene is one change and the rows it may touch, read beforehand. Deciding it reads no
// clock, disk or lock; it changes the rows in place, and only once nothing can be refused
// any more.
type scene struct {
	ch     *service.Change
	limits *service.Limits

	now   int64 // seconds
	nowMS int64
	at    int64 // of the consent or withdrawal, seconds; 0: undated

	services []uint32
	channel  uint32
	only     uint32 // 0: any
	language uint32 // 0: not said

	row    *numberRow   // person's current number's, or else the change's; nil: neither is known
	person *personRow   // nil: the change names only a number
	dest   *numberRow   // SetNumber: where he goes
	who    []*personRow // whom the change is about: person, or everybody at row in its order

	codeHash [16]byte // IssueCode, Verify: of the change's code
	code     *code    // the one on disk; nil: none
	newCode  *code    // to be written
	dropCode bool

	nameOf func(service uint32) string

	out     service.Outcome
	touched []uint32 // services of the event of the person at hand
}

// decide does what the change says, or refuses.
func (s *scene) decide() service.Outcome {
	s.out = service.Outcome{Effect: service.NothingNew}
	switch s.ch.Kind {
	case service.Enrol:
		s.enrol()
	case service.Withdraw:
		s.withdraw()
	case service.SetNumber:
		s.setNumber()
	case service.SetLanguage:
		s.setLanguage()
	case service.MarkRecycled:
		s.markRecycled()
	case service.IssueCode:
		s.issueCode()
	case service.Verify:
		s.verify()
	case service.NoteUnknown:
		s.noteUnknown()
	case service.BlockNumber, service.UnblockNumber:
		s.setBlock()
	case service.Erase:
		s.erase()
	}
	if s.out.Number == 0 && s.row != nil && s.out.Err == nil && s.ch.Kind != service.Erase {
		s.out.Number = s.row.number
	}
	return s.out
}

func (s *scene) refuse(field, rule string) {
	s.out = service.Outcome{Effect: service.NotDone, Err: &service.Refused{Field: field, Rule: rule}}
}

func (s *scene) changed() { s.out.Effect = service.Changed }

// add puts a code into one of the outcome's lists, once.
func (s *scene) add(list *[]string, id uint32) {
	name := s.nameOf(id)
	if slices.Contains(*list, name) {
		return
	}
	if *list == nil {
		*list = make([]string, 0, len(s.services))
	}
	*list = append(*list, name)
}

// moved notes that the state of a service changed.
func (s *scene) moved(id uint32) {
	s.add(&s.out.Moved, id)
	s.touch(id)
}

func (s *scene) touch(id uint32) {
	if !slices.Contains(s.touched, id) {
		s.touched = append(s.touched, id)
	}
}

// note writes what happened into the history of p.
func (s *scene) note(p *personRow, e event) {
	e.kind, e.at, e.channel, e.by = s.ch.Kind, s.nowMS, s.channel, s.ch.By
	if e.number == 0 && s.row != nil {
		e.number = s.row.number
	}
	p.note(&e)
	s.changed()
}

// each calls f with everybody the change is about.
func (s *scene) each(f func(*resident, *personRow)) {
	for _, p := range s.who {
		if i := s.row.index(p.person); i >= 0 {
			s.touched = s.touched[:0]
			f(&s.row.people[i], p)
			s.out.People++
		}
	}
}

func (s *scene) enrol() {
	switch {
	case len(s.services) == 0:
		s.refuse("services", "names no service")
	case s.person == nil && len(s.who) == 0:
		s.refuse("person", "is needed: nobody is known at this number")
	case s.person == nil:
		s.each(s.enrolOne)
	case s.person.number != 0 && s.ch.Number != 0 && s.ch.Number != s.person.number:
		s.refuse("number", "is not the person's current one: change the number first")
	case s.person.number != 0:
		s.each(s.enrolOne)
	case s.ch.Number == 0:
		s.refuse("number", "is needed: the person is not known yet")
	default:
		s.newcomer()
	}
}

// enrolOne enrols somebody who has a number already.
func (s *scene) enrolOne(r *resident, p *personRow) {
	changed := false
	if s.ch.Verified && (!r.verified || r.state != service.Active) {
		r.verified, r.state, changed = true, service.Active, true
	}
	if s.language != 0 && s.language != r.language && (s.only == 0 || r.language == 0) {
		r.language, changed = s.language, true
	}
	for _, id := range s.services {
		e := find(r.enrolments, id)
		switch {
		case e != nil:
			s.again(r, e)
		case p.stop.keeps(s.at, s.ch.ByPerson):
			s.add(&s.out.Kept, id)
		default:
			s.join(r, id)
		}
	}
	s.waiting(r)
	if changed || len(s.touched) > 0 {
		s.row.dirty = true
		s.note(p, s.consent())
	}
}

func (s *scene) consent() event {
	return event{consent: s.at, verified: s.ch.Verified, byPerson: s.ch.ByPerson, services: s.touched}
}

// join makes an enrolment that was not there.
func (s *scene) join(r *resident, id uint32) {
	r.enrolments = append(r.enrolments, enrolment{service: id, channel: s.channel, at: s.at, state: s.joins(r)})
	s.moved(id)
}

// joins is the state of a new enrolment.
func (s *scene) joins(r *resident) service.EnrolmentState {
	if r.verified {
		return service.Enrolled
	}
	return service.Pending
}

// again is a consent to what stands in the row already.
func (s *scene) again(r *resident, e *enrolment) {
	if e.state == service.Withdrawn {
		if (barrier{at: e.at, byPerson: e.byPerson}).keeps(s.at, s.ch.ByPerson) {
			s.add(&s.out.Kept, e.service)
			return
		}
		*e = enrolment{service: e.service, channel: s.channel, at: s.at, state: s.joins(r)}
		s.moved(e.service)
		return
	}
	if s.only != 0 && e.channel != s.only {
		return
	}
	if e.state == service.Pending && r.verified {
		e.state = service.Enrolled
		s.moved(e.service)
	}
	if s.at > e.at { // a later consent is a fact of its own; who made the first stays
		e.at = s.at
		s.touch(e.service)
	}
}

// waiting lists what waits for a code, of what the change names.
func (s *scene) waiting(r *resident) {
	for _, id := range s.services {
		if e := find(r.enrolments, id); e != nil && e.state == service.Pending {
			s.add(&s.out.Pending, id)
		}
	}
}

// newcomer enrols somebody who has no number so far. What he withdrew before, and what
// was withdrawn from his number while nobody was known to have it, is asked. If all of it
// stays withdrawn he does not become known by this.
func (s *scene) newcomer() {
	if len(s.row.people) >= s.limits.People {
		s.refuse("number", "has as many persons already as one number may have")
		return
	}
	p := s.person
	s.touched = s.touched[:0]
	joins := 0
	for i, id := range s.services {
		if slices.Contains(s.services[:i], id) {
			continue
		}
		if _, kept := s.kept(id); kept {
			s.add(&s.out.Kept, id)
			continue
		}
		joins++
	}
	if joins == 0 {
		return
	}
	r := s.row.add()
	r.person, r.since, r.language, r.verified = p.person, s.now, s.language, s.ch.Verified
	r.enrolments = append(r.enrolments, p.marks...)
	for _, id := range s.services {
		w, kept := s.kept(id)
		e := find(r.enrolments, id)
		switch {
		case e != nil && e.state == service.Withdrawn && !kept:
			*e = enrolment{service: id, channel: s.channel, at: s.at, state: s.joins(r)}
			s.moved(id)
		case e == nil && !kept:
			s.join(r, id)
		case e == nil: // it moves with him from now on
			r.enrolments = append(r.enrolments, w)
		}
	}
	p.marks, p.number = p.marks[:0], s.row.number // his row has them now
	s.waiting(r)
	s.row.dirty = true
	s.out.People = 1
	s.note(p, s.consent())
}

// kept gives what keeps a newcomer's consent from having effect, as a withdrawn enrolment.
func (s *scene) kept(id uint32) (w enrolment, kept bool) {
	p, row := s.person, s.row
	for _, stop := range [...]barrier{p.stop, row.stop} {
		if stop.keeps(s.at, s.ch.ByPerson) {
			return enrolment{service: id, channel: s.channel, at: stop.at, byPerson: stop.byPerson, state: service.Withdrawn}, true
		}
	}
	for _, list := range [...][]enrolment{p.marks, row.marks} {
		if e := find(list, id); e != nil && (barrier{at: e.at, byPerson: e.byPerson}).keeps(s.at, s.ch.ByPerson) {
			return *e, true
		}
	}
	return enrolment{}, false
}

func (s *scene) withdraw() {
	switch {
	case s.person == nil && len(s.who) == 0:
		// Nobody is known to have the number: it keeps the withdrawal for whoever comes.
		if s.withdrawFrom(&s.row.marks, &s.row.stop) {
			s.row.dirty = true
			s.changed()
		}
	case s.person == nil, s.person.number != 0:
		s.each(func(r *resident, p *personRow) {
			if s.withdrawFrom(&r.enrolments, &p.stop) {
				s.row.dirty = true
				s.note(p, s.consent())
			}
		})
	default: // never enrolled, by nobody's number
		p := s.person
		s.touched = s.touched[:0]
		s.row = nil
		if s.withdrawFrom(&p.marks, &p.stop) {
			s.out.People = 1
			e := s.consent()
			e.number = s.ch.Number
			s.note(p, e)
		}
	}
}

// withdrawFrom takes the change's services, or all, off a list. stop is where the
// withdrawal of everything is kept, so that it also meets services that come later.
func (s *scene) withdrawFrom(list *[]enrolment, stop *barrier) (changed bool) {
	w := barrier{at: s.at, byPerson: s.ch.ByPerson}
	if w.at == 0 {
		w.at = s.now // it was taken back by now at the latest
	}
	// A channel that repeats itself without a date says nothing new.
	repeats := s.at == 0 && !s.ch.ByPerson
	off := func(e *enrolment) {
		if s.only != 0 && e.channel != s.only {
			return
		}
		if e.state != service.Withdrawn {
			e.state, e.at, e.byPerson = service.Withdrawn, w.at, w.byPerson
			s.moved(e.service)
			changed = true
			return
		}
		was := barrier{at: e.at, byPerson: e.byPerson}
		if !repeats && was.merge(w) {
			e.at, e.byPerson = was.at, was.byPerson
			s.touch(e.service)
			changed = true
		}
	}
	if len(s.services) > 0 {
		for _, id := range s.services {
			if e := find(*list, id); e != nil {
				off(e)
				continue
			}
			*list = append(*list, enrolment{service: id, channel: s.channel, at: w.at, state: service.Withdrawn, byPerson: w.byPerson})
			s.moved(id)
			changed = true
		}
		return changed
	}
	for i := range *list {
		off(&(*list)[i])
	}
	if s.only == 0 && (stop.at == 0 || !repeats) && stop.merge(w) {
		changed = true
	}
	return changed
}

func (s *scene) setLanguage() {
	if s.language == 0 {
		s.refuse("language", "is needed")
		return
	}
	if !s.known() {
		return
	}
	s.each(func(r *resident, p *personRow) {
		if r.language != s.language {
			r.language, s.row.dirty = s.language, true
			s.note(p, event{})
		}
	})
}

// known refuses where the change is about nobody.
func (s *scene) known() bool {
	switch {
	case s.person != nil && s.person.number == 0:
		s.refuse("person", "is not known")
	case len(s.who) == 0:
		s.refuse("number", "is nobody's")
	default:
		return true
	}
	return false
}
