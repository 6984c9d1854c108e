// Package number reads telephone numbers as people write them.
package number

import (
	"errors"
	"strconv"
	"unicode"
)

// E164 is a number in its international form, country code first, without plus: 7 to 15
// digits (ITU-T E.164). No country code begins with 0, so no digit is lost. Zero is none.
type E164 uint64

// String is the digits; empty for none.
func (n E164) String() string {
	if n == 0 {
		return ""
	}
	return strconv.FormatUint(uint64(n), 10)
}

// Of reads what is a number already: 1 to 15 digits and no 0 in front. false: it is none.
func Of[T string | []byte](digits T) (E164, bool) {
	if len(digits) == 0 || len(digits) > 15 || digits[0] == '0' {
		return 0, false
	}
	n := E164(0)
	for i := range len(digits) {
		c := digits[i]
		if c < '0' || c > '9' {
			return 0, false
		}
		n = n*10 + E164(c-'0')
	}
	return n, true
}

// Parse reads a number as people write it: Append, as an E164. The errors are Append's.
func Parse(written, country string) (E164, error) {
	var buf [64]byte
	d, err := Append(buf[:0], []byte(written), country)
	if err != nil {
		return 0, err
	}
	n, ok := Of(d)
	if !ok {
		return 0, ErrLong
	}
	return n, nil
}

// What is wrong with a number that somebody wrote.
var (
	ErrEmpty     = errors.New("empty")
	ErrCharacter = errors.New("bad_character")
	ErrCountry   = errors.New("bad_country")
	ErrShort     = errors.New("too_short")
	ErrLong      = errors.New("too_long")
	ErrShortCode = errors.New("short_code")
	ErrNotMobile = errors.New("not_mobile")
)

// Append appends a number as people write it in its E.164 form without plus:
// national forms of the country with and without trunk 0, +, 00, Arabic and full-width
// digits, separators and invisible marks. It is a Saudi-style plan: mobile numbers are
// nine digits from 5. On an error dst comes back with the cleaned digits appended where
// there are any, so that a lenient caller may go on with them.
func Append(dst, written []byte, country string) ([]byte, error) {
	if plainE164(written, country) {
		return append(dst, written...), nil
	}
	var digits [64]byte
	n, plus := 0, false
	for _, r := range string(written) {
		switch d, kind := numberRune(r); kind {
		case runeSkip:
		case runePlus:
			if n > 0 || plus {
				return dst, ErrCharacter
			}
			plus = true
		case runeDigit:
			if n == len(digits) {
				return dst, ErrLong
			}
			digits[n] = d
			n++
		default:
			return dst, ErrCharacter
		}
	}
	d := digits[:n]
	international := plus
	if !plus && n >= 2 && d[0] == '0' && d[1] == '0' {
		international, d = true, d[2:]
	}
	if len(d) == 0 {
		return dst, ErrEmpty
	}
	cc := []byte(country)
	if international {
		if d[0] == '0' {
			return append(dst, d...), ErrCountry
		}
		if hasPrefix(d, cc) {
			return national(dst, d, d[len(cc):], country)
		}
		return foreign(dst, d)
	}
	switch {
	case d[0] == '0':
		if len(d) < 7 {
			return append(dst, d...), ErrShort
		}
		return national(dst, d, d, country)
	case len(d) < 3:
		return append(dst, d...), ErrShort
	case len(d) <= 6:
		return append(dst, d...), ErrShortCode
	case d[0] == '5':
		return national(dst, d, d, country)
	case hasPrefix(d, cc) && len(d) >= 11:
		return national(dst, d, d[len(cc):], country)
	case len(d) <= 10:
		return append(dst, d...), ErrNotMobile
	case len(d) <= 15:
		return append(dst, d...), nil
	}
	return append(dst, d...), ErrLong
}

// plainE164 is the common case: a mobile number of the country, already whole.
func plainE164(b []byte, country string) bool {
	if len(b) != len(country)+9 || string(b[:len(country)]) != country || b[len(country)] != '5' {
		return false
	}
	for _, c := range b[len(country):] {
		if c < '0' || c > '9' {
			return false
		}
	}
	return true
}

func foreign(dst, d []byte) ([]byte, error) {
	switch {
	case len(d) < 7:
		return append(dst, d...), ErrShort
	case len(d) > 15:
		return append(dst, d...), ErrLong
	}
	return append(dst, d...), nil
}

// national reads the part of a number after its country code; whole is what a lenient
// caller keeps when it is none.
func national(dst, whole, d []byte, country string) ([]byte, error) {
	if len(d) > 0 && d[0] == '0' {
		d = d[1:]
	}
	switch {
	case len(d) == 0:
		return append(dst, whole...), ErrShort
	case d[0] != '5':
		return append(dst, whole...), ErrNotMobile
	case len(d) < 9:
		return append(dst, whole...), ErrShort
	case len(d) > 9:
		return append(dst, whole...), ErrLong
	}
	return append(append(dst, country...), d...), nil
}

func hasPrefix(d, p []byte) bool { return len(d) >= len(p) && string(d[:len(p)]) == string(p) }

type runeKind uint8

const (
	runeOther runeKind = iota
	runeSkip
	runePlus
	runeDigit
)

func numberRune(r rune) (byte, runeKind) {
	switch {
	case r >= '0' && r <= '9':
		return byte(r), runeDigit
	case r >= 0x0660 && r <= 0x0669:
		return byte('0' + r - 0x0660), runeDigit
	case r >= 0x06F0 && r <= 0x06F9:
		return byte('0' + r - 0x06F0), runeDigit
	case r >= 0xFF10 && r <= 0xFF19:
		return byte('0' + r - 0xFF10), runeDigit
	case r == '+' || r == 0xFF0B:
		return 0, runePlus
	case separator(r):
		return 0, runeSkip
	}
	return 0, runeOther
}

// separator reports what people put between the digits of a number and what copying
// from a web page leaves there: white space, dashes of every kind, brackets, points, and
// invisible format characters.
func separator(r rune) bool {
	switch r {
	case '(', ')', '[', ']', '.', '/', 0x2212, 0x061C, 0x2060, 0xFEFF:
		return true
	}
	return unicode.IsSpace(r) || unicode.Is(unicode.Pd, r) ||
		r >= 0x200B && r <= 0x200F || r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069
}
