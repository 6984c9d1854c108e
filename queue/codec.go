package queue

import (
	"encoding/binary"
	"fmt"
)

func appendString(dst []byte, s string) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(s)))
	return append(dst, s...)
}

func appendBytes(dst, b []byte) []byte {
	dst = binary.AppendUvarint(dst, uint64(len(b)))
	return append(dst, b...)
}

func appendAddress(dst []byte, a Address) []byte {
	dst = append(dst, a.TON, a.NPI)
	return appendString(dst, a.Addr)
}

func appendJob(dst []byte, j Job) []byte {
	dst = append(dst, byte(j.Kind))
	dst = binary.AppendUvarint(dst, j.Number)
	return binary.AppendUvarint(dst, j.Item)
}

// A recordReader walks over a record. After its first mistake every read gives zero, so
// that a decoder asks once, at its end.
//
// Invariant: text holds the octets [0, len(text)) of the record as one string that the
// decoded strings are cut from: one allocation for all of them.
type recordReader struct {
	b    []byte
	text string
	at   int
	bad  bool
	what string
}

// readRecord reads the four octets every record begins with.
func readRecord(b []byte) (recordReader, uint16) {
	r := recordReader{b: b}
	switch {
	case len(b) < 4:
		r.fail("is %d octets long", len(b))
		return r, 0
	case b[0] != RecordVersion:
		r.fail("has version %d, this program reads %d", b[0], RecordVersion)
		return r, 0
	}
	r.at = 4
	return r, binary.BigEndian.Uint16(b[2:])
}

// known refuses flags of which this program does not know the fields: they stand before
// fields that it does know.
func (r *recordReader) known(flags, known uint16) {
	if flags&^known != 0 {
		r.fail("has unknown flags %04x", flags&^known)
	}
}

func (r *recordReader) fail(format string, args ...any) {
	if !r.bad {
		r.bad, r.what = true, fmt.Sprintf(format, args...)
	}
}

func (r *recordReader) err(kind string) error {
	if !r.bad {
		return nil
	}
	return fmt.Errorf("%w: %s %s", ErrRecord, kind, r.what)
}

// take gives the next n octets, nil when there are fewer.
func (r *recordReader) take(n int) []byte {
	if r.bad || n < 0 || n > len(r.b)-r.at {
		r.fail("ends early, at octet %d of %d", r.at, len(r.b))
		return nil
	}
	b := r.b[r.at : r.at+n : r.at+n]
	r.at += n
	return b
}

func (r *recordReader) octet() uint8 {
	if r.bad || r.at >= len(r.b) {
		r.fail("ends early, at octet %d", r.at)
		return 0
	}
	r.at++
	return r.b[r.at-1]
}

func (r *recordReader) uint16() uint16 {
	if b := r.take(2); b != nil {
		return binary.BigEndian.Uint16(b)
	}
	return 0
}

func (r *recordReader) uint64() uint64 {
	if b := r.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

func (r *recordReader) uvarint() uint64 {
	if r.bad {
		return 0
	}
	v, n := binary.Uvarint(r.b[r.at:])
	if n <= 0 {
		r.fail("has a bad number at octet %d", r.at)
		return 0
	}
	r.at += n
	return v
}

func (r *recordReader) uint32() uint32 {
	v := r.uvarint()
	if v > 1<<32-1 {
		r.fail("has a number over 32 bits before octet %d", r.at)
		return 0
	}
	return uint32(v)
}

func (r *recordReader) varint() int64 {
	v := r.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

// length reads a length and refuses one that the record cannot hold, before anything
// is allocated for it.
func (r *recordReader) length() int {
	n := r.uvarint()
	if n > uint64(len(r.b)-r.at) {
		r.fail("has a field of %d octets with %d left", n, len(r.b)-r.at)
		return 0
	}
	return int(n)
}

func (r *recordReader) string() string {
	n := r.length()
	if n == 0 || r.bad {
		return ""
	}
	end := r.at + n
	if end > len(r.text) {
		// The first string takes in as much as the strings of one record usually need; a body
		// that follows is mostly left out of the copy.
		r.text = string(r.b[:min(len(r.b), max(end, recordTextGuess))])
	}
	s := r.text[r.at:end]
	r.at = end
	return s
}

// recordTextGuess is where the strings of an ordinary record end, in octets.
const recordTextGuess = 80

func (r *recordReader) address() Address {
	ton, npi := r.octet(), r.octet()
	return Address{TON: ton, NPI: npi, Addr: r.string()}
}

func (r *recordReader) job() Job {
	return Job{Kind: JobKind(r.octet()), Number: r.uvarint(), Item: r.uvarint()}
}

// own makes what is left of the record the reader's own copy, so that bytes and rest
// may be handed out.
func (r *recordReader) own(b []byte) {
	r.b = append(make([]byte, 0, len(b)-r.at), b[r.at:]...)
	r.at = 0
}

// bytes gives a field of octets; nil when it is empty. REQUIRES: own was called.
func (r *recordReader) bytes() []byte {
	n := r.length()
	if n == 0 {
		return nil
	}
	return r.take(n)
}

// rest gives what no field of this version has read; nil when nothing is left.
func (r *recordReader) rest() []byte {
	if r.bad || r.at >= len(r.b) {
		return nil
	}
	return r.take(len(r.b) - r.at)
}
