package queue

import (
	"encoding/binary"

	"masar/smpp/pdu"
)

// Facts is what history keeps of a message that has ended: when, how, over which
// carrier. The message's own record goes with it, without body and text.
type Facts struct {
	State   pdu.State
	Err     string     // the carrier's error code or our status name
	Status  pdu.Status // the refusal that ended it
	Carrier uint32     // who ended it; zero: we did
	Ended   Time
	TextMAC uint64 // keyed hash of the body: says whether a text was this one, tells no text
	KeyID   uint8  // the key TextMAC was made with
	Parts   []PartInfo
}

// AppendFacts appends the history record of m to dst: the facts, then m's record.
func AppendFacts(dst []byte, f *Facts, m *Message) []byte {
	dst = append(dst, RecordVersion, f.KeyID, 0, 0)
	dst = append(dst, byte(f.State))
	dst = appendString(dst, f.Err)
	dst = binary.AppendUvarint(dst, uint64(f.Status))
	dst = binary.AppendUvarint(dst, uint64(f.Carrier))
	dst = binary.AppendVarint(dst, int64(f.Ended))
	dst = binary.BigEndian.AppendUint64(dst, f.TextMAC)
	dst = appendParts(dst, f.Parts)
	return AppendMessageWithout(dst, m, WithoutBody|WithoutAnswers|WithoutText|WithoutTLVs)
}

// DecodeFacts reads a history record. m may be nil.
func DecodeFacts(b []byte, f *Facts, m *Message) error {
	r, flags := readRecord(b)
	r.known(flags, 0)
	*f = Facts{}
	f.State = pdu.State(r.octet())
	f.Err = r.string()
	f.Status = pdu.Status(r.uint32())
	f.Carrier = r.uint32()
	f.Ended = Time(r.varint())
	f.TextMAC = r.uint64()
	f.Parts = r.parts()
	if r.bad {
		return r.err("history")
	}
	f.KeyID = b[1]
	if m == nil {
		return nil
	}
	return DecodeMessage(b[r.at:], m)
}

// FactsEnded is the Ended of a history record, without decoding it.
func FactsEnded(b []byte) (Time, error) {
	r, flags := readRecord(b)
	r.known(flags, 0)
	r.octet()
	r.take(r.length()) // Err
	r.uvarint()
	r.uvarint()
	ended := Time(r.varint())
	return ended, r.err("history")
}

// AppendPart appends p's record to dst.
func AppendPart(dst []byte, p *PartInfo) []byte {
	return appendPart(append(dst, RecordVersion, 0, 0, 0), p)
}

// DecodePart reads a part's record into p and gives what follows it in b.
func DecodePart(b []byte, p *PartInfo) (rest []byte, err error) {
	r, flags := readRecord(b)
	r.known(flags, 0)
	r.part(p)
	if r.bad {
		return nil, r.err("part")
	}
	return b[r.at:], nil
}

func appendPart(dst []byte, p *PartInfo) []byte {
	dst = append(dst, p.Attempt, p.Part, p.Of, byte(p.State))
	dst = binary.AppendUvarint(dst, uint64(p.Carrier))
	dst = binary.BigEndian.AppendUint16(dst, p.Reference)
	dst = binary.AppendVarint(dst, int64(p.Sent))
	dst = binary.AppendVarint(dst, int64(p.Done))
	dst = appendString(dst, p.CarrierID)
	return appendString(dst, p.Err)
}

func (r *recordReader) part(p *PartInfo) {
	p.Attempt, p.Part, p.Of, p.State = r.octet(), r.octet(), r.octet(), pdu.State(r.octet())
	p.Carrier = r.uint32()
	p.Reference = r.uint16()
	p.Sent, p.Done = Time(r.varint()), Time(r.varint())
	p.CarrierID, p.Err = r.string(), r.string()
}

func appendParts(dst []byte, parts []PartInfo) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(parts)))
	for i := range parts {
		dst = appendPart(dst, &parts[i])
	}
	return dst
}

// leastPart is the fewest octets one part takes: it bounds a count before it is believed.
const leastPart = 11

func (r *recordReader) parts() []PartInfo {
	n := r.uvarint()
	if n == 0 || r.bad {
		return nil
	}
	if n > uint64(len(r.b)-r.at)/leastPart {
		r.fail("has %d parts in %d octets", n, len(r.b)-r.at)
		return nil
	}
	parts := make([]PartInfo, n)
	for i := range parts {
		r.part(&parts[i])
	}
	return parts
}
