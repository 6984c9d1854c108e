package receipt

import (
	"math/big"
	"strconv"
)

// Form is how a carrier writes a message id, which may differ between its submit_sm_resp
// and its receipts: the option receipts.id.
type Form uint8

const (
	Raw Form = iota // as it is, whatever it means
	Hex
	Dec
)

var formNames = [...]string{Raw: "raw", Hex: "hex", Dec: "dec"}

func (f Form) String() string {
	if int(f) < len(formNames) {
		return formNames[f]
	}
	return "form?"
}

// ParseForm reads what String writes, and "decimal".
func ParseForm(name string) (Form, bool) {
	if name == "decimal" {
		return Dec, true
	}
	for i, n := range formNames {
		if n == name {
			return Form(i), true
		}
	}
	return 0, false
}

// Normalise is an id in lower case and without leading zeros: carriers are free with
// both on either side. "000" is "0". It returns id itself where nothing changes.
func Normalise(id string) string {
	id = id[leadingZeros(id):]
	for i := 0; i < len(id); i++ {
		if 'A' <= id[i] && id[i] <= 'Z' {
			return string(appendLower(nil, id))
		}
	}
	return id
}

// leadingZeros counts the zeros to drop; one digit always remains.
func leadingZeros(id string) int {
	n := 0
	for n+1 < len(id) && id[n] == '0' {
		n++
	}
	return n
}

func appendLower(dst []byte, id string) []byte {
	for i := 0; i < len(id); i++ {
		c := id[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		dst = append(dst, c)
	}
	return dst
}

// Convert is the key under which two writings of one id meet: for Hex and Dec the number
// in lower-case hex without leading zeros, however long; for Raw Normalise. ok is false
// for an id that is not of the form, which is then normalised as Raw: some carriers send
// a UUID where they usually send numbers.
//
// Raw on one side and a number's form on the other compare as hex: a carrier whose
// response and receipt have the same form wants that form, or Raw, on both sides.
func Convert(id string, f Form) (key string, ok bool) {
	switch f {
	case Raw:
		return Normalise(id), true
	case Hex:
		if isHex(id) { // an id in the form already, nearly always: no allocation
			return Normalise(id), true
		}
	}
	var room [64]byte
	b, ok := AppendKey(room[:0], id, f)
	return string(b), ok
}

// AppendKey is Convert appending to dst.
func AppendKey(dst []byte, id string, f Form) ([]byte, bool) {
	ok := true
	switch f {
	case Hex:
		digits := id
		if len(id) > 2 && id[0] == '0' && id[1]|0x20 == 'x' {
			digits = id[2:]
		}
		if ok = isHex(digits); ok {
			id = digits
		}
	case Dec:
		if ok = isDec(id); ok {
			if n, err := strconv.ParseUint(id, 10, 64); err == nil {
				return strconv.AppendUint(dst, n, 16), true
			}
			n, _ := new(big.Int).SetString(id, 10)
			return n.Append(dst, 16), true
		}
	}
	return appendLower(dst, id[leadingZeros(id):]), ok
}

// maxDigits bounds the numbers that are converted: a message_id has at most 64
// characters, and big numbers cost the square of their length.
const maxDigits = 128

func isHex(id string) bool {
	for i := 0; i < len(id); i++ {
		c := id[i]
		if (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'f') {
			return false
		}
	}
	return len(id) > 0 && len(id) <= maxDigits
}

func isDec(id string) bool {
	for i := 0; i < len(id); i++ {
		if id[i] < '0' || id[i] > '9' {
			return false
		}
	}
	return len(id) > 0 && len(id) <= maxDigits
}

// Candidate is a key that a receipt's id may have in a table of normalised response ids,
// and what the carrier's forms are if it is found there.
type Candidate struct {
	Key           string
	Resp, Receipt Form
}

// Candidates are the keys to try, most likely first, for a carrier whose forms are not
// known yet: the id as it is, the hex of a decimal, the decimal of a hex. One that is
// found again and again tells the forms.
//
// REQUIRES: the table's keys are Normalise of the response's id.
func Candidates(id string) []Candidate {
	c := append(make([]Candidate, 0, 3), Candidate{Normalise(id), Raw, Raw})
	if isDec(id) {
		if key, _ := Convert(id, Dec); key != c[0].Key {
			c = append(c, Candidate{key, Hex, Dec})
		}
	}
	if isHex(id) {
		if key := decimal(id); key != c[0].Key {
			c = append(c, Candidate{key, Dec, Hex})
		}
	}
	return c
}

// decimal is a hex id as a decimal number.
//
// REQUIRES: isHex(id).
func decimal(id string) string {
	if n, err := strconv.ParseUint(id, 16, 64); err == nil {
		return strconv.FormatUint(n, 10)
	}
	n, _ := new(big.Int).SetString(id, 16)
	return n.String()
}

// AppendID appends our own id, hex digits, in the form a client wants it: Raw and Hex as
// it is, Dec as a decimal number padded with zeros to digits (10 for clients that follow
// appendix B to the letter, 0 for none). The same form goes into submit_sm_resp and into
// receipts.
//
// An id that is no hex number is appended as it is.
func AppendID(dst []byte, id string, f Form, digits int) []byte {
	if f != Dec || !isHex(id) {
		return append(dst, id...)
	}
	start := len(dst)
	if n, err := strconv.ParseUint(id, 16, 64); err == nil {
		dst = strconv.AppendUint(dst, n, 10)
	} else {
		n, _ := new(big.Int).SetString(id, 16)
		dst = n.Append(dst, 10)
	}
	if missing := digits - (len(dst) - start); missing > 0 {
		end := len(dst)
		for range missing {
			dst = append(dst, '0')
		}
		copy(dst[start+missing:], dst[start:end])
		for i := range missing {
			dst[start+i] = '0'
		}
	}
	return dst
}
