package pebble

import (
	"encoding/binary"
	"errors"
	"fmt"

	"masar/number"
	"masar/service"
)

// Every row begins with version u8 and flags u16; then come the fields of that version in
// fixed order, an absent one named by its flag. recordVersion is the version this program
// writes and the newest it reads.
const recordVersion = 1

// errRow is wrapped by every error of a decoder in this file.
var errRow = errors.New("stored row is damaged")

// Flags of a number's row.
const (
	flagBlock uint16 = 1 << iota
	flagNotes
	flagNumberStop
	flagNumberMarks
)

// Flags of a person's row.
const (
	flagPersonStop uint16 = 1 << iota
	flagPersonMarks
	flagChunks
)

// Bits of the octet that goes before a resident, beside his state in the lowest two.
const (
	bitVerified = 1 << 2
	bitLanguage = 1 << 3
)

// Bits of the octet that goes before an enrolment, beside its state in the lowest two.
const (
	bitByPerson = 1 << 2
	bitDated    = 1 << 3
)

// Bits of the octet that goes before an event, after its kind.
const (
	bitEventVerified = 1 << iota
	bitEventByPerson
	bitEventWas
	bitEventBy
	bitEventDated
)

func appendHeader(b []byte, flags uint16) []byte {
	return be.AppendUint16(append(b, recordVersion), flags)
}

// Times of enrolments count from a base that stands before them: most are the same.
func appendEnrolments(b []byte, list []enrolment, base int64) []byte {
	b = binary.AppendUvarint(b, uint64(len(list)))
	for i := range list {
		e := &list[i]
		bits := byte(e.state)
		if e.byPerson {
			bits |= bitByPerson
		}
		if e.at != 0 {
			bits |= bitDated
		}
		b = append(b, bits)
		b = binary.AppendUvarint(b, uint64(e.service))
		b = binary.AppendUvarint(b, uint64(e.channel))
		if e.at != 0 {
			b = binary.AppendVarint(b, e.at-base)
			base = e.at
		}
	}
	return b
}

func appendBarrier(b []byte, w barrier) []byte {
	b = binary.AppendVarint(b, w.at)
	if w.byPerson {
		return append(b, 1)
	}
	return append(b, 0)
}

func appendBlock(b []byte, l *block) []byte {
	b = append(b, byte(l.scope))
	b = appendString(b, l.reason)
	b = binary.AppendVarint(b, l.expires)
	b = binary.AppendUvarint(b, uint64(l.channel))
	return binary.AppendVarint(b, l.at)
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendNumber appends r's row; its number is its key.
func appendNumber(b []byte, r *numberRow) []byte {
	var flags uint16
	if r.block.scope != service.BlockNone {
		flags |= flagBlock
	}
	if len(r.notes) > 0 {
		flags |= flagNotes
	}
	if r.stop.at != 0 {
		flags |= flagNumberStop
	}
	if len(r.marks) > 0 {
		flags |= flagNumberMarks
	}
	b = appendHeader(b, flags)
	b = binary.AppendUvarint(b, uint64(len(r.people)))
	for i := range r.people {
		p := &r.people[i]
		bits := byte(p.state)
		if p.verified {
			bits |= bitVerified
		}
		if p.language != 0 {
			bits |= bitLanguage
		}
		b = append(b, bits)
		b = append(b, p.person[:]...)
		b = binary.AppendVarint(b, p.since)
		if p.language != 0 {
			b = binary.AppendUvarint(b, uint64(p.language))
		}
		b = appendEnrolments(b, p.enrolments, p.since)
	}
	if flags&flagBlock != 0 {
		b = appendBlock(b, &r.block)
	}
	if flags&flagNotes != 0 {
		b = binary.AppendUvarint(b, uint64(len(r.notes)))
		for _, at := range r.notes {
			b = binary.AppendVarint(b, at)
		}
	}
	if flags&flagNumberStop != 0 {
		b = appendBarrier(b, r.stop)
	}
	if flags&flagNumberMarks != 0 {
		b = appendEnrolments(b, r.marks, 0)
	}
	return b
}

// decodeNumber reads a row into r, whose memory it uses again. Nothing of r aliases b.
func decodeNumber(b []byte, n number.E164, r *numberRow) error {
	r.reset(n)
	d, flags := open(b, flagBlock|flagNotes|flagNumberStop|flagNumberMarks)
	for range d.count(16 + 3) {
		p := r.add()
		bits := d.octet()
		p.state, p.verified = service.SubscriberState(bits&3), bits&bitVerified != 0
		if p.state > service.Unreachable {
			d.fail("has a subscriber in state %d", p.state)
		}
		copy(p.person[:], d.take(len(p.person)))
		p.since = d.varint()
		if bits&bitLanguage != 0 {
			p.language = d.uint32()
		}
		p.enrolments = d.enrolments(p.enrolments, p.since)
	}
	if flags&flagBlock != 0 {
		r.block, r.blocked = d.block(), true
	}
	if flags&flagNotes != 0 {
		for range d.count(1) {
			r.notes = append(r.notes, d.varint())
		}
	}
	if flags&flagNumberStop != 0 {
		r.stop = d.barrier()
	}
	if flags&flagNumberMarks != 0 {
		r.marks = d.enrolments(r.marks, 0)
	}
	r.stored = true
	return d.end("number")
}

// appendPerson appends p's row; the person is its key.
func appendPerson(b []byte, p *personRow) []byte {
	var flags uint16
	if p.stop.at != 0 {
		flags |= flagPersonStop
	}
	if len(p.marks) > 0 {
		flags |= flagPersonMarks
	}
	if p.chunks > 0 {
		flags |= flagChunks
	}
	b = appendHeader(b, flags)
	b = binary.AppendUvarint(b, uint64(p.number))
	if flags&flagPersonStop != 0 {
		b = appendBarrier(b, p.stop)
	}
	if flags&flagPersonMarks != 0 {
		b = appendEnrolments(b, p.marks, 0)
	}
	if flags&flagChunks != 0 {
		b = binary.AppendUvarint(b, uint64(p.chunks))
	}
	b = binary.AppendUvarint(b, uint64(p.events))
	return append(b, p.log...)
}

// decodePerson reads a row into p, whose memory it uses again. Nothing of p aliases b.
func decodePerson(b []byte, who service.Person, p *personRow) error {
	p.reset(who)
	d, flags := open(b, flagPersonStop|flagPersonMarks|flagChunks)
	p.number = number.E164(d.uvarint())
	if flags&flagPersonStop != 0 {
		p.stop = d.barrier()
	}
	if flags&flagPersonMarks != 0 {
		p.marks = d.enrolments(p.marks, 0)
	}
	if flags&flagChunks != 0 {
		p.chunks = d.uint32()
	}
	if p.events = d.count(1); p.events > chunkEvents {
		d.fail("has %d events", p.events)
	}
	p.log = append(p.log, d.take(len(d.b)-d.at)...) // read when History asks
	p.stored = true
	return d.end("person")
}

func appendEvent(b []byte, e *event) []byte {
	var bits byte
	if e.verified {
		bits |= bitEventVerified
	}
	if e.byPerson {
		bits |= bitEventByPerson
	}
	if e.was != 0 {
		bits |= bitEventWas
	}
	if e.by != "" {
		bits |= bitEventBy
	}
	if e.consent != 0 {
		bits |= bitEventDated
	}
	b = append(b, byte(e.kind), bits)
	b = binary.AppendVarint(b, e.at)
	b = binary.AppendUvarint(b, uint64(e.number))
	b = binary.AppendUvarint(b, uint64(e.channel))
	if e.was != 0 {
		b = binary.AppendUvarint(b, uint64(e.was))
	}
	if e.by != "" {
		b = appendString(b, e.by)
	}
	if e.consent != 0 {
		b = binary.AppendVarint(b, e.consent-e.at/1000)
	}
	b = binary.AppendUvarint(b, uint64(len(e.services)))
	for _, id := range e.services {
		b = binary.AppendUvarint(b, uint64(id))
	}
	return b
}

// decodeEvents calls f with each event of a log. The event is f's only until it returns.
func decodeEvents(b []byte, f func(*event) error) error {
	d := decoder{b: b}
	var e event
	for d.at < len(b) {
		list := e.services[:0]
		e = event{kind: service.ChangeKind(d.octet())}
		if e.kind > service.Erase {
			d.fail("has an event of kind %d", e.kind)
		}
		bits := d.octet()
		e.verified, e.byPerson = bits&bitEventVerified != 0, bits&bitEventByPerson != 0
		e.at = d.varint()
		e.number = number.E164(d.uvarint())
		e.channel = d.uint32()
		if bits&bitEventWas != 0 {
			e.was = number.E164(d.uvarint())
		}
		if bits&bitEventBy != 0 {
			e.by = d.string()
		}
		if bits&bitEventDated != 0 {
			e.consent = d.varint() + e.at/1000
		}
		for range d.count(1) {
			list = append(list, d.uint32())
		}
		e.services = list
		if d.what != "" {
			break
		}
		if err := f(&e); err != nil {
			return err
		}
	}
	return d.end("history")
}

func appendCode(b []byte, c *code) []byte {
	b = append(appendHeader(b, 0), c.hash[:]...)
	return append(be.AppendUint64(b, uint64(c.until)), c.tries)
}

func decodeCode(b []byte) (c code, err error) {
	d, _ := open(b, 0)
	copy(c.hash[:], d.take(len(c.hash)))
	if u := d.take(8); u != nil {
		c.until = int64(be.Uint64(u))
	}
	c.tries = d.octet()
	return c, d.end("code")
}

func appendBlocked(b []byte, l *block) []byte { return appendBlock(appendHeader(b, 0), l) }

func decodeBlocked(b []byte) (block, error) {
	d, _ := open(b, 0)
	l := d.block()
	return l, d.end("block")
}

// A decoder walks over a row. After its first mistake every read gives zero, so that
// whoever decodes asks once, at the end.
type decoder struct {
	b    []byte
	at   int
	what string // the first mistake
}

func open(b []byte, known uint16) (d decoder, flags uint16) {
	d = decoder{b: b, at: 3}
	switch {
	case len(b) < 3:
		d.fail("is %d octets long", len(b))
		return d, 0
	case b[0] != recordVersion:
		d.fail("has version %d, this program reads %d", b[0], recordVersion)
		return d, 0
	}
	flags = be.Uint16(b[1:])
	if flags&^known != 0 {
		d.fail("has unknown flags %04x", flags&^known)
		return d, 0
	}
	return d, flags
}

func (d *decoder) fail(format string, args ...any) {
	if d.what == "" {
		d.what = fmt.Sprintf(format, args...)
	}
}

// end says what was wrong, octets that nothing has read included.
func (d *decoder) end(kind string) error {
	if d.what == "" && d.at != len(d.b) {
		d.fail("has %d octets too many", len(d.b)-d.at)
	}
	if d.what == "" {
		return nil
	}
	return fmt.Errorf("%w: %s %s", errRow, kind, d.what)
}

func (d *decoder) take(n int) []byte {
	if d.what != "" || n < 0 || n > len(d.b)-d.at {
		d.fail("ends early, at octet %d of %d", d.at, len(d.b))
		return nil
	}
	d.at += n
	return d.b[d.at-n : d.at]
}

func (d *decoder) octet() byte {
	if d.what != "" || d.at >= len(d.b) {
		d.fail("ends early, at octet %d", d.at)
		return 0
	}
	d.at++
	return d.b[d.at-1]
}

func (d *decoder) uvarint() uint64 {
	if d.what != "" {
		return 0
	}
	v, n := binary.Uvarint(d.b[d.at:])
	if n <= 0 {
		d.fail("has a bad number at octet %d", d.at)
		return 0
	}
	d.at += n
	return v
}

func (d *decoder) varint() int64 {
	v := d.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

func (d *decoder) uint32() uint32 {
	v := d.uvarint()
	if v > 1<<32-1 {
		d.fail("has a number over 32 bits before octet %d", d.at)
		return 0
	}
	return uint32(v)
}

// count reads how many things of at least so many octets follow, and refuses what the
// row cannot hold before anything is allocated for it.
func (d *decoder) count(least int) int {
	n := d.uvarint()
	if d.what == "" && n > uint64((len(d.b)-d.at)/least) {
		d.fail("has %d entries with %d octets left", n, len(d.b)-d.at)
	}
	if d.what != "" {
		return 0
	}
	return int(n)
}

func (d *decoder) string() string { return string(d.take(d.count(1))) }

func (d *decoder) enrolments(into []enrolment, base int64) []enrolment {
	for range d.count(3) {
		bits := d.octet()
		e := enrolment{state: service.EnrolmentState(bits & 3), byPerson: bits&bitByPerson != 0}
		if e.state > service.Withdrawn {
			d.fail("has an enrolment in state %d", e.state)
		}
		e.service, e.channel = d.uint32(), d.uint32()
		if bits&bitDated != 0 {
			base += d.varint()
			e.at = base
		}
		into = append(into, e)
	}
	return into
}

func (d *decoder) barrier() barrier {
	at := d.varint()
	return barrier{at: at, byPerson: d.octet() != 0}
}

func (d *decoder) block() block {
	l := block{scope: service.BlockScope(d.octet())}
	if l.scope == service.BlockNone || l.scope > service.BlockAll {
		d.fail("has a block of scope %d", l.scope)
	}
	l.reason = d.string()
	l.expires = d.varint()
	l.channel = d.uint32()
	l.at = d.varint()
	return l
}
