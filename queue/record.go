package queue

import (
	"encoding/binary"
	"errors"
	"fmt"

	"masar/smpp/pdu"
)

// Every record begins alike: version u8, key id u8 (which keyed-hash key its hashes
// were made with; records of today hold none but a history's), flags u16. What follows
// is the fields of that version in fixed order, an absent one named by its flag; what a
// newer program of the same version has appended stays in Extra and is written back.
//
// RecordVersion is the version this program writes and the newest it reads.
const RecordVersion = 1

// ErrRecord is wrapped by every error of a Decode in this file.
var ErrRecord = errors.New("stored record is damaged")

// recordExpiresAt is where a message's record holds Expires, so that an expiry sweep
// reads it without decoding the rest.
const recordExpiresAt = 12

// Flags of a message's record.
const (
	flagShown uint16 = 1 << iota // Shown is not the id's 16 digits
	flagDue
	flagWritten  // DestWritten is there
	flagService  // ServiceType is there
	flagBody     // Body
	flagTLVs     // TLVs
	flagText     // Text
	flagProgress // Tries, Attempt, Barred, LastErr
	flagAnswers  // Answers
	flagPerson   // Person
	flagTemplate
	flagMarker
	flagPersonal // these three are all there is of their fields
	flagSystem
	flagStretch
	flagMore // a number follows the marker: flags beyond these sixteen
)

const messageFlags = flagShown | flagDue | flagWritten | flagService | flagBody | flagTLVs | flagText | flagProgress |
	flagAnswers | flagPerson | flagTemplate | flagMarker | flagPersonal | flagSystem | flagStretch | flagMore

// Flags in the number that flagMore announces. Their fields follow it in this order.
const (
	moreJob       uint64 = 1 << iota // Job
	moreUncertain                    // all there is of it
	moreKept                         // Kept
	moreReroutes                     // Reroutes

	moreFlags = moreJob | moreUncertain | moreKept | moreReroutes
)

// Flags of a delivery's record.
const (
	flagDeliveryService uint16 = 1 << iota
	flagDeliveryTLVs
	flagDeliveryEnd // Job, State, Err
)

// Without names fields that a record may leave out.
type Without uint8

// What a record may be written without. A field left out is not read either: somebody
// else may be changing it.
const (
	WithoutBody Without = 1 << iota
	WithoutAnswers
	WithoutText
	WithoutTLVs
)

// AppendMessage appends m's record to dst. It allocates only when dst has no room.
//
//	version, key, flags u16 | id u64 | expires i64 | account, class, accepted, ...
func AppendMessage(dst []byte, m *Message) []byte { return AppendMessageWithout(dst, m, 0) }

// AppendMessageWithout is AppendMessage but for some fields, which will be zero when the
// record is read.
func AppendMessageWithout(dst []byte, m *Message, w Without) []byte {
	var flags uint16
	if !isHexOf(m.Shown, m.ID) {
		flags |= flagShown
	}
	if m.Due != 0 {
		flags |= flagDue
	}
	if m.DestWritten.Addr != "" {
		flags |= flagWritten
	}
	if m.ServiceType != "" {
		flags |= flagService
	}
	if w&WithoutBody == 0 && len(m.Body) > 0 {
		flags |= flagBody
	}
	if w&WithoutTLVs == 0 && len(m.TLVs) > 0 {
		flags |= flagTLVs
	}
	if w&WithoutText == 0 && len(m.Text) > 0 {
		flags |= flagText
	}
	if m.Tries != 0 || m.Attempt != 0 || m.Barred != 0 || m.LastErr != 0 {
		flags |= flagProgress
	}
	if w&WithoutAnswers == 0 && len(m.Answers) > 0 {
		flags |= flagAnswers
	}
	if m.Person != [16]byte{} {
		flags |= flagPerson
	}
	if m.Template != "" {
		flags |= flagTemplate
	}
	if m.Marker != "" {
		flags |= flagMarker
	}
	if m.Personal {
		flags |= flagPersonal
	}
	if m.System {
		flags |= flagSystem
	}
	if m.Stretch {
		flags |= flagStretch
	}
	var more uint64
	if m.Job != (Job{}) {
		more |= moreJob
	}
	if m.Uncertain {
		more |= moreUncertain
	}
	if m.Kept != 0 && w&WithoutBody == 0 {
		more |= moreKept
	}
	if m.Reroutes != 0 {
		more |= moreReroutes
	}
	if more != 0 {
		flags |= flagMore
	}
	dst = append(dst, RecordVersion, 0)
	dst = binary.BigEndian.AppendUint16(dst, flags)
	dst = binary.BigEndian.AppendUint64(dst, uint64(m.ID))
	dst = binary.BigEndian.AppendUint64(dst, uint64(m.Expires))
	dst = append(dst, byte(m.Class), m.ESMClass, m.ProtocolID, m.Priority, m.RegisteredDelivery, m.DataCoding)
	dst = binary.AppendUvarint(dst, uint64(m.Account))
	dst = binary.AppendVarint(dst, int64(m.Expires-m.Accepted))
	dst = appendAddress(dst, m.Source)
	dst = appendAddress(dst, m.Dest)
	if flags&flagShown != 0 {
		dst = appendString(dst, m.Shown)
	}
	if flags&flagDue != 0 {
		dst = binary.AppendVarint(dst, int64(m.Due))
	}
	if flags&flagWritten != 0 {
		dst = appendAddress(dst, m.DestWritten)
	}
	if flags&flagService != 0 {
		dst = appendString(dst, m.ServiceType)
	}
	if flags&flagProgress != 0 {
		dst = append(dst, m.Tries, m.Attempt)
		dst = binary.BigEndian.AppendUint16(dst, m.Barred)
		dst = binary.AppendUvarint(dst, uint64(m.LastErr))
	}
	if flags&flagAnswers != 0 {
		dst = appendParts(dst, m.Answers)
	}
	if flags&flagPerson != 0 {
		dst = append(dst, m.Person[:]...)
	}
	if flags&flagTemplate != 0 {
		dst = appendString(dst, m.Template)
	}
	if flags&flagMarker != 0 {
		dst = appendString(dst, m.Marker)
	}
	if flags&flagMore != 0 {
		dst = binary.AppendUvarint(dst, more)
		if more&moreJob != 0 {
			dst = appendJob(dst, m.Job)
		}
		if more&moreKept != 0 {
			dst = binary.BigEndian.AppendUint16(dst, m.Kept)
		}
		if more&moreReroutes != 0 {
			dst = append(dst, m.Reroutes)
		}
	}
	if flags&flagBody != 0 {
		dst = appendBytes(dst, m.Body)
	}
	if flags&flagTLVs != 0 {
		dst = appendBytes(dst, m.TLVs)
	}
	if flags&flagText != 0 {
		dst = appendBytes(dst, m.Text)
	}
	return append(dst, m.Extra...)
}

// DecodeMessage reads a message's record into m, which it overwrites whole. Nothing of m
// aliases b afterwards.
func DecodeMessage(b []byte, m *Message) error { return decodeMessage(b, m, true) }

// DecodeMessageHead is DecodeMessage but for the Body, which stays nil and is not copied.
func DecodeMessageHead(b []byte, m *Message) error { return decodeMessage(b, m, false) }

func decodeMessage(b []byte, m *Message, body bool) error {
	r, flags := readRecord(b)
	r.known(flags, messageFlags)
	*m = Message{Personal: flags&flagPersonal != 0, System: flags&flagSystem != 0, Stretch: flags&flagStretch != 0}
	m.ID = ID(r.uint64())
	m.Expires = Time(r.uint64())
	if m.Class = Class(r.octet()); m.Class >= Classes {
		r.fail("has class %d", m.Class)
	}
	m.ESMClass, m.ProtocolID, m.Priority = r.octet(), r.octet(), r.octet()
	m.RegisteredDelivery, m.DataCoding = r.octet(), r.octet()
	m.Account = r.uint32()
	m.Accepted = m.Expires - Time(r.varint())
	m.Source, m.Dest = r.address(), r.address()
	if flags&flagShown != 0 {
		m.Shown = r.string()
	} else {
		m.Shown = m.ID.String()
	}
	if flags&flagDue != 0 {
		m.Due = Time(r.varint())
	}
	if flags&flagWritten != 0 {
		if m.DestWritten = r.address(); m.DestWritten.Addr == "" {
			m.DestWritten = Address{} // as Dest: what AppendMessage leaves out
		}
	}
	if flags&flagService != 0 {
		m.ServiceType = r.string()
	}
	if flags&flagProgress != 0 {
		m.Tries, m.Attempt = r.octet(), r.octet()
		m.Barred = r.uint16()
		m.LastErr = pdu.Status(r.uint32())
	}
	if flags&flagAnswers != 0 {
		m.Answers = r.parts()
	}
	if flags&flagPerson != 0 {
		copy(m.Person[:], r.take(len(m.Person)))
	}
	if flags&flagTemplate != 0 {
		m.Template = r.string()
	}
	if flags&flagMarker != 0 {
		m.Marker = r.string()
	}
	if flags&flagMore != 0 {
		r.more(m)
	}
	if flags&flagBody != 0 && !body {
		r.take(r.length())
		flags &^= flagBody
	}
	// One copy for all that is octets; the fields share it, each capped at its own end.
	if !r.bad && r.at < len(b) {
		r.own(b)
	}
	if flags&flagBody != 0 {
		m.Body = r.bytes()
	}
	if flags&flagTLVs != 0 {
		m.TLVs = r.bytes()
	}
	if flags&flagText != 0 {
		m.Text = r.bytes()
	}
	m.Extra = r.rest()
	return r.err("message")
}

// more reads the fields beyond those of the sixteen flags.
func (r *recordReader) more(m *Message) {
	flags := r.uvarint()
	if flags&^moreFlags != 0 {
		r.fail("has unknown flags %x beyond the sixteen", flags&^moreFlags)
	}
	m.Uncertain = flags&moreUncertain != 0
	if flags&moreJob != 0 {
		m.Job = r.job()
	}
	if flags&moreKept != 0 {
		m.Kept = r.uint16()
	}
	if flags&moreReroutes != 0 {
		m.Reroutes = r.octet()
	}
}

// MessageExpires is the Expires of a message's record, without decoding it.
func MessageExpires(b []byte) (Time, error) {
	if len(b) < recordExpiresAt+8 || b[0] != RecordVersion {
		return 0, fmt.Errorf("%w: message of %d octets", ErrRecord, len(b))
	}
	return Time(binary.BigEndian.Uint64(b[recordExpiresAt:])), nil
}

// AppendDelivery appends d's record to dst. Account and Seq are not in it: they are its key.
func AppendDelivery(dst []byte, d *Delivery) []byte {
	var flags uint16
	if d.ServiceType != "" {
		flags |= flagDeliveryService
	}
	if len(d.TLVs) > 0 {
		flags |= flagDeliveryTLVs
	}
	if d.Job != (Job{}) || d.State != 0 || d.Err != "" {
		flags |= flagDeliveryEnd
	}
	dst = append(dst, RecordVersion, 0)
	dst = binary.BigEndian.AppendUint16(dst, flags)
	dst = binary.BigEndian.AppendUint64(dst, uint64(d.Message))
	dst = binary.BigEndian.AppendUint64(dst, uint64(d.Expires))
	dst = append(dst, byte(d.Kind), d.ESMClass, d.ProtocolID, d.DataCoding)
	dst = binary.AppendVarint(dst, int64(d.Expires-d.Created))
	dst = appendAddress(dst, d.Source)
	dst = appendAddress(dst, d.Dest)
	if flags&flagDeliveryService != 0 {
		dst = appendString(dst, d.ServiceType)
	}
	if flags&flagDeliveryEnd != 0 {
		dst = appendJob(dst, d.Job)
		dst = append(dst, byte(d.State))
		dst = appendString(dst, d.Err)
	}
	dst = appendBytes(dst, d.ShortMessage)
	if flags&flagDeliveryTLVs != 0 {
		dst = appendBytes(dst, d.TLVs)
	}
	return append(dst, d.Extra...)
}

// DecodeDelivery reads a delivery's record into d, but for Account and Seq, which stay.
// Nothing of d aliases b afterwards.
func DecodeDelivery(b []byte, d *Delivery) error {
	r, flags := readRecord(b)
	r.known(flags, flagDeliveryService|flagDeliveryTLVs|flagDeliveryEnd)
	*d = Delivery{Account: d.Account, Seq: d.Seq}
	d.Message = ID(r.uint64())
	d.Expires = Time(r.uint64())
	if d.Kind = Kind(r.octet()); d.Kind > JobEnd {
		r.fail("has kind %d", d.Kind)
	}
	d.ESMClass, d.ProtocolID, d.DataCoding = r.octet(), r.octet(), r.octet()
	d.Created = d.Expires - Time(r.varint())
	d.Source, d.Dest = r.address(), r.address()
	if flags&flagDeliveryService != 0 {
		d.ServiceType = r.string()
	}
	if flags&flagDeliveryEnd != 0 {
		d.Job, d.State, d.Err = r.job(), pdu.State(r.octet()), r.string()
	}
	if !r.bad && r.at < len(b) {
		r.own(b)
	}
	d.ShortMessage = r.bytes()
	if flags&flagDeliveryTLVs != 0 {
		d.TLVs = r.bytes()
	}
	d.Extra = r.rest()
	return r.err("delivery")
}

// isHexOf says that shown is id.String(), without making that string.
func isHexOf(shown string, id ID) bool {
	if len(shown) != 16 {
		return false
	}
	for i := range 16 {
		if shown[i] != hexDigits[id>>(60-4*i)&15] {
			return false
		}
	}
	return true
}
