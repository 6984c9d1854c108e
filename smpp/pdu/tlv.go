package pdu

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"iter"
)

// tlvHeaderLen is the size of a TLV's tag and length in octets.
const tlvHeaderLen = 4

// TLVs are a PDU's TLVs as they are on the wire: tag, length, value, and so on
// (SMPP v3.4 section 3.2.4). Those of a decoded PDU are whole; on others, an
// incomplete end is passed over.
type TLVs []byte

// validTLVs checks the stream b and the lengths of the TLVs we know. What it
// returns are the whole TLVs at the start of b, even beside an error: with
// ESME_RINVTLVLEN all of b, with ESME_RINVTLVSTREAM what is in front of the
// damage.
func validTLVs(b []byte) (TLVs, *FieldError) {
	var wrong *FieldError
	for at := 0; at < len(b); {
		if len(b)-at < tlvHeaderLen {
			return TLVs(b[:at:at]), &FieldError{"TLV",
				fmt.Sprintf("has %d octets, too few for a tag and a length", len(b)-at), ESME_RINVTLVSTREAM}
		}
		tag := Tag(binary.BigEndian.Uint16(b[at:]))
		n := int(binary.BigEndian.Uint16(b[at+2:]))
		if n > len(b)-at-tlvHeaderLen {
			return TLVs(b[:at:at]), &FieldError{tag.String(),
				fmt.Sprintf("has length %d, %d octets are left", n, len(b)-at-tlvHeaderLen), ESME_RINVTLVSTREAM}
		}
		if r := tag.Rule(); r != nil && (n < r.Min || n > r.Max) && wrong == nil {
			rule, _ := r.wrongLength(n)
			wrong = &FieldError{r.Name, rule, ESME_RINVTLVLEN}
		}
		at += tlvHeaderLen + n
	}
	return TLVs(b[:len(b):len(b)]), wrong
}

// ParseTLVs takes b as TLVs. The error is a *FieldError with
// ESME_RINVTLVSTREAM, and the TLVs are those in front of the damage, or with
// ESME_RINVTLVLEN, and the TLVs are all there are.
func ParseTLVs(b []byte) (TLVs, error) {
	c := cursor{rest: b}
	t := c.tlvs()
	return t, c.done()
}

// All yields the TLVs in the order they are in.
func (t TLVs) All() iter.Seq2[Tag, []byte] {
	return func(yield func(Tag, []byte) bool) {
		for rest := []byte(t); ; {
			tag, v, more, ok := nextTLV(rest)
			if !ok || !yield(tag, v) {
				return
			}
			rest = more
		}
	}
}

// nextTLV cuts the first TLV off b; ok is false if there is no whole one.
func nextTLV(b []byte) (tag Tag, v, rest []byte, ok bool) {
	if len(b) < tlvHeaderLen {
		return 0, nil, nil, false
	}
	end := tlvHeaderLen + int(binary.BigEndian.Uint16(b[2:]))
	if end > len(b) {
		return 0, nil, nil, false
	}
	return Tag(binary.BigEndian.Uint16(b)), b[tlvHeaderLen:end:end], b[end:], true
}

// Get returns the value of the first TLV with tag.
func (t TLVs) Get(tag Tag) ([]byte, bool) {
	for rest := []byte(t); len(rest) > 0; {
		have, v, more, ok := nextTLV(rest)
		if !ok {
			break
		}
		if have == tag {
			return v, true
		}
		rest = more
	}
	return nil, false
}

// Uint8 returns the value of the first TLV with tag, if it has one octet.
func (t TLVs) Uint8(tag Tag) (uint8, bool) {
	v, ok := t.Get(tag)
	if !ok || len(v) != 1 {
		return 0, false
	}
	return v[0], true
}

// Uint16 returns the value of the first TLV with tag, if it has two octets.
func (t TLVs) Uint16(tag Tag) (uint16, bool) {
	v, ok := t.Get(tag)
	if !ok || len(v) != 2 {
		return 0, false
	}
	return binary.BigEndian.Uint16(v), true
}

// Uint32 returns the value of the first TLV with tag, if it has four octets.
func (t TLVs) Uint32(tag Tag) (uint32, bool) {
	v, ok := t.Get(tag)
	if !ok || len(v) != 4 {
		return 0, false
	}
	return binary.BigEndian.Uint32(v), true
}

// CString returns the value of the first TLV with tag up to its NUL, or whole
// if it has none, as many peers send it.
func (t TLVs) CString(tag Tag) ([]byte, bool) {
	v, ok := t.Get(tag)
	if n := bytes.IndexByte(v, 0); n >= 0 {
		v = v[:n:n]
	}
	return v, ok
}

// Append returns t with a TLV more, as append does: write t = t.Append(...).
//
// REQUIRES: len(v) <= 65535.
func (t TLVs) Append(tag Tag, v []byte) TLVs {
	t = appendTLVHeader(t, tag, len(v))
	return append(t, v...)
}

// AppendUint8 returns t with a TLV of one octet more.
func (t TLVs) AppendUint8(tag Tag, v uint8) TLVs {
	return append(appendTLVHeader(t, tag, 1), v)
}

// AppendUint16 returns t with a TLV of two octets more.
func (t TLVs) AppendUint16(tag Tag, v uint16) TLVs {
	return binary.BigEndian.AppendUint16(appendTLVHeader(t, tag, 2), v)
}

// AppendUint32 returns t with a TLV of four octets more.
func (t TLVs) AppendUint32(tag Tag, v uint32) TLVs {
	return binary.BigEndian.AppendUint32(appendTLVHeader(t, tag, 4), v)
}

// AppendCString returns t with a C-octet string more: v, up to a NUL in it, and
// a NUL.
//
// REQUIRES: len(v) < 65535.
func (t TLVs) AppendCString(tag Tag, v []byte) TLVs {
	if n := bytes.IndexByte(v, 0); n >= 0 {
		v = v[:n]
	}
	t = appendTLVHeader(t, tag, len(v)+1)
	return append(append(t, v...), 0)
}

func appendTLVHeader(t TLVs, tag Tag, n int) TLVs {
	if n > 0xFFFF {
		// A length that wraps would turn the value's octets into TLVs.
		panic(fmt.Sprintf("pdu: TLV %v of %d octets", tag, n))
	}
	t = binary.BigEndian.AppendUint16(t, uint16(tag))
	return binary.BigEndian.AppendUint16(t, uint16(n))
}
