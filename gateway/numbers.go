package gateway

import (
	"errors"
	"unicode"
)

// What is wrong with a number that somebody wrote.
var (
	errNumberEmpty     = errors.New("empty")
	errNumberCharacter = errors.New("bad_character")
	errNumberCountry   = errors.New("bad_country")
	errNumberShort     = errors.New("too_short")
	errNumberLong      = errors.New("too_long")
	errNumberShortCode = errors.New("short_code")
	errNumberNotMobile = errors.New("not_mobile")
)

// maxAddress is the most octets of an address in submit_sm, NUL excluded (SMPP v3.4, 5.2.9).
const maxAddress = 20

// appendNumber appends a number as people write it in its E.164 form without plus:
// national forms of the country with and without trunk 0, +, 00, Arabic and full-width
// digits, separators and invisible marks. It is a Saudi-style plan: mobile numbers are
// nine digits from 5. On an error dst comes back with the cleaned digits appended where
// there are any, so that a lenient caller may go on with them.
func appendNumber(dst, written []byte, country string) ([]byte, error) {
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
				return dst, errNumberCharacter
			}
			plus = true
		case runeDigit:
			if n == len(digits) {
				return dst, errNumberLong
			}
			digits[n] = d
			n++
		default:
			return dst, errNumberCharacter
		}
	}
	d := digits[:n]
	international := plus
	if !plus && n >= 2 && d[0] == '0' && d[1] == '0' {
		international, d = true, d[2:]
	}
	if len(d) == 0 {
		return dst, errNumberEmpty
	}
	cc := []byte(country)
	if international {
		if d[0] == '0' {
			return append(dst, d...), errNumberCountry
		}
		if hasPrefix(d, cc) {
			return national(dst, d, d[len(cc):], country)
		}
		return foreign(dst, d)
	}
	switch {
	case d[0] == '0':
		if len(d) < 7 {
			return append(dst, d...), errNumberShort
		}
		return national(dst, d, d, country)
	case len(d) < 3:
		return append(dst, d...), errNumberShort
	case len(d) <= 6:
		return append(dst, d...), errNumberShortCode
	case d[0] == '5':
		return national(dst, d, d, country)
	case hasPrefix(d, cc) && len(d) >= 11:
		return national(dst, d, d[len(cc):], country)
	case len(d) <= 10:
		return append(dst, d...), errNumberNotMobile
	case len(d) <= 15:
		return append(dst, d...), nil
	}
	return append(dst, d...), errNumberLong
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
		return append(dst, d...), errNumberShort
	case len(d) > 15:
		return append(dst, d...), errNumberLong
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
		return append(dst, whole...), errNumberShort
	case d[0] != '5':
		return append(dst, whole...), errNumberNotMobile
	case len(d) < 9:
		return append(dst, whole...), errNumberShort
	case len(d) > 9:
		return append(dst, whole...), errNumberLong
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
