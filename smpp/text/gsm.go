package text

import (
	"slices"
	"unicode/utf8"
)

const esc = 0x1B

// gsmTable is the GSM 03.38 default alphabet (3GPP TS 23.038, 6.2.1). ESC stands for
// itself here: it has no character of its own.
//
// 09 is upper-case Ç. Some tables show ç there; Release 99 and later do not.
const gsmTable = "@£$¥èéùìòÇ\nØø\rÅå" +
	"Δ_ΦΓΛΩΠΨΣΘΞ\x1bÆæßÉ" +
	" !\"#¤%&'()*+,-./0123456789:;<=>?" +
	"¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§" +
	"¿abcdefghijklmnopqrstuvwxyzäöñüà"

// gsmExtension is the extension table (6.2.1.1): ESC, then the septet.
var gsmExtension = [...]struct {
	septet byte
	char   rune
}{
	{0x0A, '\f'}, {0x14, '^'}, {0x28, '{'}, {0x29, '}'}, {0x2F, '\\'},
	{0x3C, '['}, {0x3D, '~'}, {0x3E, ']'}, {0x40, '|'}, {0x65, '€'},
}

const (
	escaped = esc << 8 // a code of two septets: ESC in the high octet
	noGSM   = 0xFFFF   // not in the alphabet
	// Every character of the default alphabet lies below this; the euro sign alone
	// lies above.
	gsmTop = 0x03AA
)

// The three tables below are the ones above, turned for the direction of use. They
// are built once at start, 2 KB, so that each fact stands in one place.
var (
	gsmCode = invertGSM()           // character -> code: a septet, or escaped | septet
	gsmChar = [128]rune(gsmRunes()) // septet -> character
	gsmExt  = gsmExtRunes()         // septet after ESC -> character, 0 for none
)

func gsmRunes() []rune { return []rune(gsmTable) }

func gsmExtRunes() (t [128]rune) {
	for _, x := range gsmExtension {
		t[x.septet] = x.char
	}
	return t
}

func invertGSM() (t [gsmTop]uint16) {
	for i := range t {
		t[i] = noGSM
	}
	for septet, r := range gsmRunes() {
		if septet != esc {
			t[r] = uint16(septet)
		}
	}
	for _, x := range gsmExtension {
		if x.char < gsmTop {
			t[x.char] = escaped | uint16(x.septet)
		}
	}
	return t
}

// gsmOf is the code of r, or noGSM.
func gsmOf(r rune) uint16 {
	if uint32(r) < gsmTop {
		return gsmCode[r]
	}
	if r == '€' {
		return escaped | 0x65
	}
	return noGSM
}

func encodeGSM(dst []byte, s string) ([]byte, error) {
	start := len(dst)
	// An ASCII character may be two septets, nothing is more than twice its UTF-8.
	if cap(dst)-start < 2*len(s) {
		dst = slices.Grow(dst, Units(s, GSM7))
	}
	out, w := dst[:cap(dst)], start
	for i := 0; i < len(s); {
		r, n := rune(s[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(s[i:])
		}
		code := gsmOf(r)
		switch {
		case code < escaped:
			out[w] = byte(code)
			w++
		case code != noGSM:
			out[w+1] = byte(code)
			out[w] = esc
			w += 2
		default:
			if bad := badRune(r, n, i); bad != nil {
				return dst[:start], bad
			}
			return dst[:start], &Unencodable{Rune: r, Offset: i, Encoding: GSM7}
		}
		i += n
	}
	return out[:w], nil
}

// decodeGSM reads unpacked septets. ESC and a septet outside the extension table
// shows the default-table character, ESC alone at the end or before another ESC a
// space (23.038, 6.2.1.1 notes).
func decodeGSM(dst, octets []byte) ([]byte, error) {
	start := len(dst)
	for i := 0; i < len(octets); i++ {
		c := octets[i]
		if c >= 0x80 {
			return dst[:start], &BadText{Offset: i, Rule: "above 7F in GSM 7-bit"}
		}
		r := gsmChar[c]
		if c == esc {
			r = ' '
			if i+1 < len(octets) && octets[i+1] < 0x80 && octets[i+1] != esc {
				i++
				if r = gsmExt[octets[i]]; r == 0 {
					r = gsmChar[octets[i]]
				}
			}
		}
		if r < utf8.RuneSelf {
			dst = append(dst, byte(r))
		} else {
			dst = utf8.AppendRune(dst, r)
		}
	}
	return dst, nil
}

// FillBits is how many zero bits stand between a user data header of headerLen octets
// (UDHL included) and the first packed septet, so that the text starts on a septet
// boundary (3GPP TS 23.040, 9.2.3.24). 0 to 6; none without a header.
func FillBits(headerLen int) int { return (7 - headerLen*8%7) % 7 }

// PackGSM appends septets (one an octet, bit 7 ignored) eight to seven octets, least
// significant bit first, after fill zero bits (FillBits). Where the last octet would
// have seven bits over they carry CR instead of zeros, which would read as one more @
// (23.038, 6.1.2.3.1).
//
// REQUIRES: 0 <= fill <= 6.
func PackGSM(dst, septets []byte, fill int) []byte {
	if len(septets) == 0 {
		return dst
	}
	acc, bits := uint32(0), uint(fill)
	for _, c := range septets {
		acc |= uint32(c&0x7F) << bits
		bits += 7
		for bits >= 8 {
			dst = append(dst, byte(acc))
			acc >>= 8
			bits -= 8
		}
	}
	switch {
	case bits == 0:
	case bits == 1:
		dst = append(dst, byte(acc)|'\r'<<1)
	default:
		dst = append(dst, byte(acc))
	}
	return dst
}

// UnpackGSM appends the septets of packed octets, one an octet. n is how many there
// are, or negative where only the octets are known, as in SMPP, whose sm_length counts
// octets: then all that fit are read, and a last one that fills an octet's seven spare
// bits and is CR or 00 is taken for padding. A text whose length is a multiple of
// eight and truly ends in @ or CR loses that character: the wire does not tell.
//
// REQUIRES: 0 <= fill <= 6.
func UnpackGSM(dst, packed []byte, fill, n int) []byte {
	fits := max(0, (len(packed)*8-fill)/7)
	guess := n < 0
	if guess || n > fits {
		n = fits
	}
	start := len(dst)
	acc, bits := uint32(0), 0
	for i, c := range packed {
		acc |= uint32(c) << bits
		bits += 8
		if i == 0 {
			acc >>= fill
			bits -= fill
		}
		for bits >= 7 && len(dst)-start < n {
			dst = append(dst, byte(acc&0x7F))
			acc >>= 7
			bits -= 7
		}
	}
	if guess && n > 0 && (len(packed)*8-fill)%7 == 0 {
		if last := dst[len(dst)-1]; last == '\r' || last == 0 {
			dst = dst[:len(dst)-1]
		}
	}
	return dst
}
