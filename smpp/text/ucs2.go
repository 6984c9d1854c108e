package text

import (
	"slices"
	"unicode/utf16"
	"unicode/utf8"
)

func encodeUCS2(dst []byte, s string) ([]byte, error) {
	start := len(dst)
	// Two octets for each of UTF-8 is the most it can be. Where dst has less room the
	// exact size is counted first, so that a buffer just large enough is enough.
	if cap(dst)-start < 2*len(s) {
		dst = slices.Grow(dst, 2*Units(s, UCS2))
	}
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c == 0 {
				return dst[:start], badRune(0, 1, i)
			}
			dst = append(dst, 0, c)
			i++
			continue
		}
		// Arabic, Greek, Cyrillic, Hebrew: two octets, by far the most common here.
		if c >= 0xC2 && c < 0xE0 && i+1 < len(s) && s[i+1]&0xC0 == 0x80 {
			dst = append(dst, c>>2&0x07, c<<6|s[i+1]&0x3F)
			i += 2
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if bad := badRune(r, n, i); bad != nil {
			return dst[:start], bad
		}
		if r >= 0x10000 {
			hi, lo := utf16.EncodeRune(r)
			dst = append(dst, byte(hi>>8), byte(hi), byte(lo>>8), byte(lo))
		} else {
			dst = append(dst, byte(r>>8), byte(r))
		}
		i += n
	}
	return dst, nil
}

func decodeUCS2(dst, octets []byte) ([]byte, error) {
	if err := ValidUCS2(octets); err != nil {
		return dst, err
	}
	octets = TrimBOM(octets)
	for i := 0; i < len(octets); i += 2 {
		hi, lo := octets[i], octets[i+1]
		switch u := rune(hi)<<8 | rune(lo); {
		case u < utf8.RuneSelf:
			dst = append(dst, lo)
		case u < 0x800:
			dst = append(dst, 0xC0|byte(u>>6), 0x80|lo&0x3F)
		case u&0xF800 == 0xD800:
			dst = utf8.AppendRune(dst, utf16.DecodeRune(u, rune(octets[i+2])<<8|rune(octets[i+3])))
			i += 2
		default:
			dst = append(dst, 0xE0|byte(u>>12), 0x80|byte(u>>6)&0x3F, 0x80|lo&0x3F)
		}
	}
	return dst, nil
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
