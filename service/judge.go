package service

import "time"

// Judge says whether a notice may leave, and if it may, whether it has to wait for its
// hours. The order is the order of refusals: blocklist, suspension, enrolment. It does not
// allocate.
//
// Where nobody is meant, whoever has the number is: somebody enrolled for an opt-in
// service; for a mandatory one nobody in particular, unless only one person is there. A
// notice without service belongs to a plain account: only the blocklist's scope all keeps it.
func (c *Catalogue) Judge(q Question) Answer {
	s := q.Service
	optIn := s != nil && s.Mode == OptIn

	if q.Standing != nil {
		switch scope := q.Standing.Block.In(q.Now); {
		case scope == BlockAll, scope == BlockOptIn && optIn:
			return Answer{Reason: Blocked}
		}
	}
	if s == nil {
		return Answer{Person: q.Person}
	}

	var people []Subscriber
	if q.Standing != nil {
		people = q.Standing.People
	}
	var who *Subscriber
	var reason Reason
	if q.Person != (Person{}) {
		who, reason = meant(people, q.Person, s)
	} else {
		who, reason = anybody(people, s)
	}
	if reason != Allowed {
		return Answer{Reason: reason}
	}

	a := Answer{Hold: c.OpensAt(s, q.Now)}
	if who != nil {
		a.Person, a.Language = who.Person, who.Language
	}
	return a
}

// meant judges a notice to one person, who must be among those at the number: a number
// that is not his any more is somebody else's.
func meant(people []Subscriber, p Person, s *Service) (*Subscriber, Reason) {
	for i := range people {
		who := &people[i]
		if who.Person != p {
			continue
		}
		if who.State != Active {
			return nil, Suspended
		}
		if s.Mode == OptIn {
			return who, who.enrolment(s.Code)
		}
		return who, Allowed
	}
	return nil, UnknownPerson
}

// anybody judges a notice to a number: every active person there counts.
func anybody(people []Subscriber, s *Service) (who *Subscriber, reason Reason) {
	active, reason := 0, NotEnrolled
	for i := range people {
		p := &people[i]
		if p.State != Active {
			continue
		}
		active++
		who = p
		if s.Mode == Mandatory {
			continue
		}
		switch p.enrolment(s.Code) {
		case Allowed:
			return p, Allowed
		case Unverified:
			reason = Unverified
		}
	}
	switch {
	case active == 0 && len(people) > 0:
		return nil, Suspended
	case s.Mode == OptIn:
		return nil, reason
	case active > 1:
		return nil, Allowed
	}
	return who, Allowed
}

// enrolment is how a subscriber stands with a service.
func (s *Subscriber) enrolment(code string) Reason {
	for i := range s.Enrolments {
		e := &s.Enrolments[i]
		if e.Service != code {
			continue
		}
		switch e.State {
		case Enrolled:
			return Allowed
		case Pending:
			return Unverified
		}
	}
	return NotEnrolled
}

// MaySend says whether a sender name is one of the service's agency and category: Allowed
// or SenderUnknown. A catalogue that registers no sender at all allows every one.
func (c *Catalogue) MaySend(sender string, s *Service) Reason {
	if len(c.senders) == 0 || s == nil {
		return Allowed
	}
	r := c.senders[sender]
	if r == nil || r.Agency != s.Agency || !r.covers(s.Category, c.suffixed(s.Category)) {
		return SenderUnknown
	}
	return Allowed
}

// covers reports whether a sender is registered for a category.
func (r *Sender) covers(category string, suffixed bool) bool {
	for _, c := range r.Categories {
		if c == category {
			return true
		}
	}
	return len(r.Categories) == 0 && !suffixed
}

// suffixed reports whether a category has sender names of its own.
func (c *Catalogue) suffixed(category string) bool {
	known := c.categories[category]
	return known != nil && known.SenderSuffix != ""
}

// ActiveAt reports whether a carrier takes a sender at now. One that is not registered at
// all it takes: nothing is known against it.
func (c *Catalogue) ActiveAt(sender, carrier string, now time.Time) bool {
	r := c.senders[sender]
	if r == nil {
		return true
	}
	at, known := r.Carriers[carrier]
	if !known {
		return r.AnyCarrier
	}
	return at.State == SenderActive && (at.Expires.IsZero() || now.Before(at.Expires))
}

// SenderOf is the sender name of a service's notices: its own, else its agency's.
func (c *Catalogue) SenderOf(s *Service) string {
	switch {
	case s == nil:
		return ""
	case s.Sender != "":
		return s.Sender
	}
	return s.agency.Sender
}
