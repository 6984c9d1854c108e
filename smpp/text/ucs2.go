package text

import (
	"encoding/binary"
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

func encodeUCS2(dst []byte, s string) ([]byte, error) {
	start := len(dst)
	// Two octets for each of UTF-8 is the most it can be. Where dst has less room the
	// exact size is counted first, so that a buffer just large enough is enough. Up to
	// the first broken octet Units counts right, and no further is written.
	if cap(dst)-start < 2*len(s) {
		dst = slices.Grow(dst, 2*Units(s, UCS2))
	}
	out, w := dst[:cap(dst)], start
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf && c != 0 {
			binary.BigEndian.PutUint16(out[w:], uint16(c))
			w += 2
			i++
			continue
		}
		// Arabic, Greek, Cyrillic, Hebrew: two octets, by far the most common here.
		if c >= 0xC2 && c < 0xE0 && i+1 < len(s) && s[i+1]&0xC0 == 0x80 {
			binary.BigEndian.PutUint16(out[w:], uint16(c&0x1F)<<6|uint16(s[i+1]&0x3F))
			w += 2
			i += 2
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if bad := badRune(r, n, i); bad != nil {
			return dst[:start], bad
		}
		if r >= 0x10000 {
			hi, lo := utf16.EncodeRune(r)
			binary.BigEndian.PutUint16(out[w:], uint16(hi))
			w += 2
			r = lo
		}
		binary.BigEndian.PutUint16(out[w:], uint16(r))
		w += 2
		i += n
	}
	return out[:w], nil
}

// countUCS2 is Units of UCS2 for a text that may be broken: ok says it is not.
func countUCS2(s string) (units int, ok bool) {
	for i := 0; i < len(s); units++ {
		c := s[i]
		if c < utf8.RuneSelf {
			i++
			continue
		}
		if c >= 0xC2 && c < 0xE0 && i+1 < len(s) && s[i+1]&0xC0 == 0x80 {
			i += 2
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && n <= 1 {
			return 0, false
		}
		if r >= 0x10000 {
			units++
		}
		i += n
	}
	return units, true
}

func decodeUCS2(dst, octets []byte) ([]byte, error) {
	if err := ValidUCS2(octets); err != nil {
		return dst, err
	}
	octets = TrimBOM(octets)
	// A unit is at most three octets of UTF-8, a pair four.
	dst = slices.Grow(dst, len(octets)/2*3)
	out, w := dst[:cap(dst)], len(dst)
	for ; len(octets) >= 2; octets = octets[2:] {
		u := rune(octets[0])<<8 | rune(octets[1])
		switch {
		case u >= 0x80 && u < 0x800:
			out[w+1] = 0x80 | byte(u)&0x3F
			out[w] = 0xC0 | byte(u>>6)
			w += 2
		case u < 0x80:
			out[w] = byte(u)
			w++
		case u&0xF800 == 0xD800:
			w += utf8.EncodeRune(out[w:], utf16.DecodeRune(u, rune(octets[2])<<8|rune(octets[3])))
			octets = octets[2:]
		default:
			out[w+2] = 0x80 | byte(u)&0x3F
			out[w+1] = 0x80 | byte(u>>6)&0x3F
			out[w] = 0xE0 | byte(u>>12)
			w += 3
		}
	}
	return out[:w], nil
}

// ValidUCS2 says whether octets are a text in UCS-2: an even number of them, every
// surrogate in a pair, no NUL. Error: *BadText. Such octets may go from a client to a
// carrier as they are, but for a leading byte order mark (TrimBOM).
func ValidUCS2(octets []byte) error {
	if len(octets)%2 != 0 {
		return &BadText{Offset: len(octets) - 1, Rule: "half a UCS-2 character"}
	}
	for i := 0; i+1 < len(octets); i += 2 {
		switch hi := octets[i]; {
		case hi == 0:
			if octets[i+1] == 0 {
				return &BadText{Offset: i, Rule: "NUL in a text"}
			}
		case hi&0xF8 == 0xD8:
			if hi >= 0xDC || i+3 >= len(octets) || octets[i+2]&0xFC != 0xDC {
				return &BadText{Offset: i, Rule: "unpaired surrogate"}
			}
			i += 2
		}
	}
	return nil
}

// TrimBOM is octets without a leading U+FEFF.
func TrimBOM(octets []byte) []byte {
	if len(octets) >= 2 && octets[0] == 0xFE && octets[1] == 0xFF {
		return octets[2:]
	}
	return octets
}

// SwapUCS2 appends octets with the two of each unit exchanged, for the account whose
// option says that it sends little-endian. A leading FFFE is not enough to do it
// unasked: U+FFFE may be a client's garbage. An odd last octet stays as it is.
func SwapUCS2(dst, octets []byte) []byte {
	for len(octets) >= 2 {
		dst = append(dst, octets[1], octets[0])
		octets = octets[2:]
	}
	return append(dst, octets...)
}
