package pebble

import (
	"time"

	"masar/number"
	"masar/service"
)

// An enrolment is a service.Enrolment with names as numbers and seconds since 1970.
type enrolment struct {
	service  uint32
	channel  uint32
	at       int64 // 0: undated
	state    service.EnrolmentState
	byPerson bool
}

// A barrier is a withdrawal as a later consent meets it. at is never 0 in one that stands.
type barrier struct {
	at       int64
	byPerson bool
}

// keeps says whether a consent given at a moment (0: undated) stays without effect. What
// the person himself took back stays so unless the consent is later; what a channel took
// back gives way to an undated consent as well, only not to one that is known to be older.
func (b barrier) keeps(at int64, byPerson bool) bool {
	switch {
	case b.at == 0 || byPerson:
		return false
	case b.byPerson:
		return at <= b.at
	}
	return at != 0 && at < b.at
}

// merge lets a further withdrawal add to b, and says whether it did. One by a channel
// adds nothing to one by the person.
func (b *barrier) merge(w barrier) bool {
	switch {
	case b.at == 0:
		*b = w
	case w.byPerson && !b.byPerson:
		*b = barrier{at: max(b.at, w.at), byPerson: true}
	case w.byPerson == b.byPerson && w.at > b.at:
		b.at = w.at
	default:
		return false
	}
	return true
}

// A resident is a subscriber as the row of his number has him.
type resident struct {
	person     service.Person
	language   uint32 // 0: not said
	state      service.SubscriberState
	verified   bool // the number is known to be his
	since      int64
	enrolments []enrolment
}

func find(list []enrolment, code uint32) *enrolment {
	for i := range list {
		if list[i].service == code {
			return &list[i]
		}
	}
	return nil
}

type block struct {
	scope   service.BlockScope
	reason  string
	expires int64
	channel uint32
	at      int64
}

// A numberRow is all that decides whether a number may be sent to, and what that needs.
type numberRow struct {
	number number.E164
	block  block
	people []resident
	notes  []int64     // when it failed as unknown subscriber, oldest first
	stop   barrier     // everything was withdrawn by a number that nobody had
	marks  []enrolment // the same for single services

	stored  bool // there is a row on disk
	blocked bool // and a row of the index of blocked numbers
	dirty   bool
}

func (r *numberRow) empty() bool {
	return r.block.scope == service.BlockNone && len(r.people) == 0 && r.stop.at == 0 && len(r.marks) == 0
}

func (r *numberRow) index(p service.Person) int {
	for i := range r.people {
		if r.people[i].person == p {
			return i
		}
	}
	return -1
}

// add makes room for one more resident at the end. What he holds is left from before but
// empty, so that its memory serves again.
func (r *numberRow) add() *resident {
	if n := len(r.people); n < cap(r.people) {
		r.people = r.people[:n+1]
	} else {
		r.people = append(r.people, resident{})
	}
	p := &r.people[len(r.people)-1]
	*p = resident{enrolments: p.enrolments[:0]}
	return p
}

// remove takes resident i out; what he holds is the caller's alone from then on.
func (r *numberRow) remove(i int) resident {
	gone := r.people[i]
	last := len(r.people) - 1
	copy(r.people[i:], r.people[i+1:])
	r.people[last] = resident{}
	r.people = r.people[:last]
	if last == 0 {
		r.notes = r.notes[:0] // they were about whoever had the number
	}
	r.dirty = true
	return gone
}

func (r *numberRow) reset(n number.E164) {
	people, notes, marks := r.people[:0], r.notes[:0], r.marks[:0]
	*r = numberRow{number: n, people: people, notes: notes, marks: marks}
}

// A personRow leads from a person to his number, and holds what happened to him lately.
type personRow struct {
	person service.Person
	number number.E164 // 0: not a subscriber, but something of him must stay known
	stop   barrier     // he withdrew everything
	marks  []enrolment // withdrawals of somebody without a number
	chunks uint32      // full chunks of history in rows of their own
	events int         // in log
	log    []byte      // events one after the other, oldest first

	full   [][]byte // chunks to be written with this row
	stored bool
	dirty  bool
	erased uint32 // chunks 0..erased-1 are to be removed
}

// chunkEvents is how many events the row of a person holds before they move to a row of
// their own: most people never have as many.
const chunkEvents = 16

func (p *personRow) empty() bool {
	return p.number == 0 && p.stop.at == 0 && len(p.marks) == 0 && p.events == 0 && p.chunks == 0
}

func (p *personRow) reset(who service.Person) {
	marks, log := p.marks[:0], p.log[:0]
	*p = personRow{person: who, marks: marks, log: log}
}

// note adds an event to the history.
func (p *personRow) note(e *event) {
	if p.events == chunkEvents {
		p.full = append(p.full, append([]byte(nil), p.log...))
		p.log, p.events = p.log[:0], 0
	}
	p.log = appendEvent(p.log, e)
	p.events++
	p.dirty = true
}

// An event is a service.Event with names as numbers.
type event struct {
	kind     service.ChangeKind
	at       int64 // milliseconds
	number   number.E164
	was      number.E164
	channel  uint32
	by       string
	consent  int64 // seconds; 0: undated
	verified bool
	byPerson bool
	services []uint32
}

// A code is a verification code sent to a number.
type code struct {
	hash  [16]byte
	until int64 // milliseconds
	tries uint8
}

// seconds is a moment as rows have it: 0 is none.
func seconds(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	if s := t.Unix(); s != 0 {
		return s
	}
	return 1 // the first second of 1970 is a date as well
}

func moment(s int64) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return time.Unix(s, 0).UTC()
}

func millis(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

func momentMillis(ms int64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(ms).UTC()
}
