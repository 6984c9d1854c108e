package pebble

import (
	"fmt"
	"unicode/utf8"

	"masar/service"
)

// change lays out what one change may touch, and decides it.
func (w *writer) change(ch *service.Change) service.Outcome {
	s := &w.scene
	services, who, touched := s.services[:0], s.who[:0], s.touched[:0]
	*s = scene{
		ch: ch, limits: &w.r.o.Limits, now: seconds(ch.Now), nowMS: millis(ch.Now), at: seconds(ch.At),
		services: services, who: who, touched: touched, nameOf: s.nameOf,
	}
	if why := valid(ch); why != nil {
		return service.Outcome{Effect: service.NotDone, Err: why}
	}
	if why := w.nameAll(s); why != nil {
		return service.Outcome{Effect: service.NotDone, Err: why}
	}
	rows := w.rows
	ofNumber := ch.Kind == service.IssueCode || ch.Kind == service.Verify || ch.Kind == service.NoteUnknown ||
		ch.Kind == service.BlockNumber || ch.Kind == service.UnblockNumber
	if ch.Person != (service.Person{}) {
		s.person = rows.person(ch.Person)
	}
	switch {
	case s.person != nil && s.person.number != 0 && !(ofNumber && ch.Number != 0):
		s.row = rows.number(s.person.number)
	case ch.Number != 0:
		s.row = rows.number(ch.Number)
	case ofNumber:
		return service.Outcome{Effect: service.NotDone, Err: &service.Refused{Field: "number", Rule: "is needed"}}
	}
	switch {
	case s.person == nil:
		for i := range s.row.people {
			s.who = append(s.who, rows.person(s.row.people[i].person))
		}
	case s.row != nil && s.row.index(ch.Person) >= 0:
		s.who = append(s.who, s.person)
	}
	var code *codeRow
	switch ch.Kind {
	case service.SetNumber:
		if ch.Number != 0 {
			s.dest = rows.number(ch.Number)
		}
	case service.IssueCode, service.Verify:
		code = rows.codeOf(s.row.number)
		s.code, s.codeHash = code.code, hashCode(w.key, s.row.number, ch.Code)
	}
	if rows.failed != nil {
		return service.Outcome{}
	}
	out := s.decide()
	switch {
	case s.newCode != nil:
		code.code, code.dirty = s.newCode, true
	case s.dropCode:
		code.code, code.dirty = nil, true
	}
	return out
}

// nameAll turns the change's names into numbers.
func (w *writer) nameAll(s *scene) *service.Refused {
	n, ch := &w.r.names, s.ch
	var ok bool
	if s.channel, ok = n.number(channelName, ch.Channel); !ok {
		return &service.Refused{Field: "channel", Rule: "is one too many: 65535 names are kept"}
	}
	if s.language, ok = n.number(languageName, ch.Language); !ok {
		return &service.Refused{Field: "language", Rule: "is one too many: 65535 names are kept"}
	}
	for _, code := range ch.Services {
		id, ok := n.number(serviceName, code)
		if !ok {
			return &service.Refused{Field: "services", Rule: "is one too many: 65535 names are kept"}
		}
		s.services = append(s.services, id)
	}
	if ch.Only != "" {
		// Who is nowhere has made nothing; but what it makes now is its own.
		if s.only = n.known(channelName, ch.Only); s.only == 0 {
			s.only = nobodysName
		}
	}
	return nil
}

// Bounds of what a change may say, in octets.
const (
	maxName   = 64
	maxBy     = 64
	maxReason = 100
	maxNumber = 999_999_999_999_999 // 15 digits
)

// valid refuses what no row may hold.
func valid(ch *service.Change) *service.Refused {
	no := func(field, format string, args ...any) *service.Refused {
		return &service.Refused{Field: field, Rule: fmt.Sprintf(format, args...)}
	}
	switch {
	case ch.Kind > service.Erase:
		return no("kind", "is none that is known")
	case ch.Person == (service.Person{}) && ch.Number == 0:
		return no("person", "or number is needed")
	case ch.Number > maxNumber:
		return no("number", "has more than 15 digits")
	case ch.Now.IsZero():
		return no("now", "is needed")
	case len(ch.Channel) > maxName:
		return no("channel", "has %d octets, at most %d", len(ch.Channel), maxName)
	case len(ch.Language) > maxName:
		return no("language", "has %d octets, at most %d", len(ch.Language), maxName)
	case len(ch.By) > maxBy:
		return no("by", "has %d octets, at most %d", len(ch.By), maxBy)
	case len(ch.Block.Reason) > maxReason:
		return no("reason", "has %d octets, at most %d", len(ch.Block.Reason), maxReason)
	case !utf8.ValidString(ch.By):
		return no("by", "is not UTF-8")
	}
	for _, code := range ch.Services {
		if code == "" || len(code) > maxName {
			return no("services", "has a code of %d octets, 1 to %d", len(code), maxName)
		}
	}
	if ch.Kind == service.IssueCode || ch.Kind == service.Verify {
		if len(ch.Code) < 4 || len(ch.Code) > 10 {
			return no("code", "has %d digits, 4 to 10", len(ch.Code))
		}
		for i := range len(ch.Code) {
			if c := ch.Code[i]; c < '0' || c > '9' {
				return no("code", "is not of digits alone")
			}
		}
	}
	return nil
}
