package pebble

import (
	"slices"

	"masar/service"
)

// setNumber moves a person with all he has.
func (s *scene) setNumber() {
	p := s.person
	switch {
	case p == nil:
		s.refuse("person", "is needed")
		return
	case p.number == 0:
		s.refuse("person", "is not known")
		return
	case s.ch.Number == 0:
		s.refuse("number", "is needed")
		return
	case p.number == s.ch.Number:
		s.each(func(r *resident, p *personRow) {
			if s.ch.Verified && s.vouch(r) {
				s.row.dirty = true
				s.note(p, event{verified: true, services: s.touched})
			}
		})
		return
	case len(s.dest.people) >= s.limits.People:
		s.refuse("number", "has as many persons already as one number may have")
		return
	}
	i := s.row.index(p.person)
	if i < 0 {
		s.refuse("person", "is not known")
		return
	}
	r := s.dest.add()
	*r = s.row.remove(i)
	s.touched = s.touched[:0]
	if s.ch.Verified {
		s.vouch(r)
	} else {
		r.verified = false
		for i := range r.enrolments {
			e := &r.enrolments[i]
			if e.state == service.Enrolled {
				e.state = service.Pending
				s.moved(e.service)
			}
			if e.state == service.Pending {
				s.add(&s.out.Pending, e.service)
			}
		}
	}
	s.dest.dirty = true
	s.out.People = 1
	s.out.Number = s.dest.number
	p.number = s.dest.number
	s.note(p, event{number: s.dest.number, was: s.row.number, verified: s.ch.Verified, services: s.touched})
}

// vouch makes r's number known to be his: he is trusted again, and what waited for that
// waits no more.
func (s *scene) vouch(r *resident) (changed bool) {
	if !r.verified || r.state != service.Active {
		r.verified, r.state, changed = true, service.Active, true
	}
	for i := range r.enrolments {
		if e := &r.enrolments[i]; e.state == service.Pending {
			e.state = service.Enrolled
			s.moved(e.service)
			changed = true
		}
	}
	return changed
}

// markRecycled: the number is somebody else's now.
func (s *scene) markRecycled() {
	if !s.known() {
		return
	}
	if s.person != nil && s.ch.Number != 0 && s.ch.Number != s.person.number {
		s.refuse("number", "is not the person's current one")
		return
	}
	s.each(func(r *resident, p *personRow) {
		if r.state != service.Recycled {
			r.state, r.verified, s.row.dirty = service.Recycled, false, true
			s.note(p, event{})
		}
	})
}

// noteUnknown counts. Only what suspends somebody is a change; the count itself is kept
// all the same. Times are the caller's clock, which may step back: a failure that seems to
// lie ahead counts as well.
func (s *scene) noteUnknown() {
	row := s.row
	trusted := slices.ContainsFunc(row.people, func(r resident) bool { return r.state == service.Active })
	if !trusted {
		return
	}
	since := s.now - int64(s.limits.UnknownDays)*24*3600
	row.notes = slices.DeleteFunc(row.notes, func(at int64) bool { return at <= since })
	row.notes = append(row.notes, s.now)
	row.dirty = true
	if len(row.notes) < s.limits.UnknownTimes {
		return
	}
	row.notes = row.notes[:0]
	s.each(func(r *resident, p *personRow) {
		if r.state == service.Active {
			r.state, r.verified = service.Unreachable, false
			s.note(p, event{})
		}
	})
}

// erase forgets people, but for the bare mark of what they themselves withdrew: without
// it the next bulk file would bring that back.
func (s *scene) erase() {
	if s.person != nil && s.person.number == 0 {
		p := s.person
		if p.events == 0 && p.chunks == 0 { // nothing, or a bare mark already
			s.refuse("person", "is not known")
			return
		}
		s.forget(p, p.marks)
		s.out.People = 1
		return
	}
	if !s.known() {
		return
	}
	for _, p := range s.who {
		i := s.row.index(p.person)
		if i < 0 {
			continue
		}
		r := s.row.remove(i)
		s.forget(p, r.enrolments)
		s.out.People++
	}
}

func (s *scene) forget(p *personRow, list []enrolment) {
	var marks []enrolment
	for _, e := range list {
		if e.state == service.Withdrawn && e.byPerson {
			e.channel = 0
			marks = append(marks, e)
		}
	}
	p.erased = max(p.erased, p.chunks)
	p.marks, p.number, p.chunks, p.events, p.log, p.full = marks, 0, 0, 0, p.log[:0], nil
	if !p.stop.byPerson {
		p.stop = barrier{}
	}
	p.dirty = true
	s.changed()
}
