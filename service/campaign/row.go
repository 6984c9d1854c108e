package campaign

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"masar/number"
	"masar/service"
	"masar/smpp/pdu"
)

// The rows of the store. The first octet of a key is its kind; numbers in keys are 8
// octets, the highest first, so that the rows of a campaign lie in their order.
const (
	kindCampaign = 'c' // id -> JSON
	kindCounts   = 'n' // id -> JSON: counts, and the last row that was handed over
	kindLast     = 'q' // -> the last id given
	kindRow      = 'r' // id, generation u32, row -> Row
	kindSort     = 'd' // id, generation u32, recipient 17, row -> empty: only while a file is read
	kindStatus   = 's' // id, row -> status
)

var be = binary.BigEndian

func campaignKey(kind byte, id uint64) []byte { return be.AppendUint64([]byte{kind}, id) }

func rowKey(k []byte, id uint64, gen uint32, row uint64) []byte {
	k = be.AppendUint64(append(k[:0], kindRow), id)
	return be.AppendUint64(be.AppendUint32(k, gen), row)
}

func statusKey(k []byte, id, row uint64) []byte {
	return be.AppendUint64(be.AppendUint64(append(k[:0], kindStatus), id), row)
}

func sortKey(k []byte, id uint64, gen uint32, r *Row) []byte {
	k = be.AppendUint64(append(k[:0], kindSort), id)
	k = be.AppendUint32(k, gen)
	return be.AppendUint64(r.appendRecipient(k), r.Row)
}

// recipientOctets is the size of a recipient in a key: whether it is a person, then him or
// the number.
const recipientOctets = 17

func (r *Row) appendRecipient(k []byte) []byte {
	if r.Number != 0 {
		return be.AppendUint64(append(k, 0, 0, 0, 0, 0, 0, 0, 0, 0), uint64(r.Number))
	}
	return append(append(k, 1), r.Person[:]...)
}

func (r *Row) readRecipient(k []byte) {
	if k[0] == 0 {
		r.Number = number.E164(be.Uint64(k[recipientOctets-8:]))
		return
	}
	copy(r.Person[:], k[1:])
}

// tail is the last 8 octets of a key: a row's number.
func tail(k []byte) uint64 { return be.Uint64(k[len(k)-8:]) }

// RowKind says whether a row can be sent.
type RowKind uint8

// The kinds of rows.
const (
	Good RowKind = iota
	Bad
	Duplicate
)

// A Row is one line of a file. Exactly one of Number and Person is there but in bad ones.
type Row struct {
	Row      uint64 // the line of the file
	Kind     RowKind
	Number   number.E164
	Person   service.Person
	Language string   // empty: the recipient's own
	Values   []string // of Campaign.Columns, or the row's own text
	Of       uint64   // Duplicate: the row that has the recipient first

	Column, Rule string // Bad: what is wrong
	Raw          string // Bad: the line as given
}

// Recipient is how a report names who a row is for: the number, or the person's hash.
func (r *Row) Recipient() string {
	switch {
	case r.Number != 0:
		return r.Number.String()
	case r.Person != service.Person{}:
		return r.Person.String()
	}
	return ""
}

// errRow says that a stored row cannot be read.
var errRow = errors.New("stored row is damaged")

// ErrDamaged is errRow for who decides on it.
var ErrDamaged = errRow

const rowVersion = 1

// Flags of a row.
const (
	flagPerson = 1 << iota
	flagLanguage
)

func appendRow(b []byte, r *Row) []byte {
	var flags byte
	if r.Person != (service.Person{}) {
		flags |= flagPerson
	}
	if r.Language != "" {
		flags |= flagLanguage
	}
	b = append(b, rowVersion, byte(r.Kind), flags)
	if flags&flagPerson != 0 {
		b = append(b, r.Person[:]...)
	} else {
		b = binary.AppendUvarint(b, uint64(r.Number))
	}
	if flags&flagLanguage != 0 {
		b = appendString(b, r.Language)
	}
	switch r.Kind {
	case Bad:
		b = appendString(appendString(appendString(b, r.Column), r.Rule), r.Raw)
	case Duplicate:
		b = binary.AppendUvarint(b, r.Of)
	default:
		b = binary.AppendUvarint(b, uint64(len(r.Values)))
		for _, v := range r.Values {
			b = appendString(b, v)
		}
	}
	return b
}

// decodeRow reads a row into r, whose Values it uses again. Nothing of r aliases b.
func decodeRow(b []byte, row uint64, r *Row) error {
	values := r.Values[:0]
	*r = Row{Row: row}
	d := decoder{b: b}
	if v := d.octet(); v != rowVersion {
		d.fail("has version %d, this program reads %d", v, rowVersion)
	}
	r.Kind = RowKind(d.octet())
	flags := d.octet()
	switch {
	case r.Kind > Duplicate:
		d.fail("is of kind %d", r.Kind)
	case flags&^(flagPerson|flagLanguage) != 0:
		d.fail("has unknown flags %02x", flags)
	}
	if flags&flagPerson != 0 {
		copy(r.Person[:], d.take(len(r.Person)))
	} else {
		r.Number = number.E164(d.uvarint())
	}
	if flags&flagLanguage != 0 {
		r.Language = d.string()
	}
	switch r.Kind {
	case Bad:
		r.Column, r.Rule, r.Raw = d.string(), d.string(), d.string()
	case Duplicate:
		r.Of = d.uvarint()
	default:
		for range d.count() {
			values = append(values, d.string())
		}
		r.Values = values
	}
	return d.end("row")
}

// statusKind says how far a row is.
type statusKind uint8

const (
	accepted statusKind = iota + 1
	refused
	ended
)

// status is what became of a row that was handed over.
type status struct {
	kind    statusKind
	message uint64    // not refused
	at      time.Time // accepted or refused; zero: ended before that was written
	parts   uint32
	reason  string // refused
	state   pdu.State
	err     string
	end     time.Time
}

const statusVersion = 1

func appendStatus(b []byte, s *status) []byte {
	b = append(b, statusVersion, byte(s.kind))
	b = appendMoment(b, s.at)
	if s.kind == refused {
		return appendString(b, s.reason)
	}
	b = be.AppendUint64(b, s.message)
	b = binary.AppendUvarint(b, uint64(s.parts))
	if s.kind == ended {
		b = append(b, byte(s.state))
		b = appendString(b, s.err)
		b = appendMoment(b, s.end)
	}
	return b
}

func decodeStatus(b []byte) (s status, err error) {
	d := decoder{b: b}
	if v := d.octet(); v != statusVersion {
		d.fail("has version %d, this program reads %d", v, statusVersion)
	}
	s.kind = statusKind(d.octet())
	if s.kind < accepted || s.kind > ended {
		d.fail("is of kind %d", s.kind)
	}
	s.at = d.moment()
	if s.kind == refused {
		s.reason = d.string()
		return s, d.end("status")
	}
	if m := d.take(8); m != nil {
		s.message = be.Uint64(m)
	}
	parts := d.uvarint()
	if parts > 255 {
		d.fail("has %d parts", parts)
	}
	s.parts = uint32(parts)
	if s.kind == ended {
		s.state = pdu.State(d.octet())
		s.err = d.string()
		s.end = d.moment()
	}
	return s, d.end("status")
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// appendMoment keeps milliseconds; zero is no moment.
func appendMoment(b []byte, t time.Time) []byte {
	if t.IsZero() {
		return append(b, 0)
	}
	return binary.AppendVarint(b, t.UnixMilli())
}

// A decoder walks over a row. After its first mistake every read gives zero, so that
// whoever decodes asks once, at the end.
type decoder struct {
	b    []byte
	at   int
	what string // the first mistake
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
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
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

// count reads how many things of at least an octet follow, and refuses what the row cannot
// hold before anything is allocated for it.
func (d *decoder) count() int {
	n := d.uvarint()
	if d.what == "" && n > uint64(len(d.b)-d.at) {
		d.fail("has %d entries with %d octets left", n, len(d.b)-d.at)
	}
	if d.what != "" {
		return 0
	}
	return int(n)
}

func (d *decoder) string() string { return string(d.take(d.count())) }

func (d *decoder) moment() time.Time {
	u := d.uvarint()
	v := int64(u>>1) ^ -int64(u&1)
	if v == 0 {
		return time.Time{}
	}
	return time.UnixMilli(v).UTC()
}
