package receipt

import (
	"encoding/binary"
	"slices"
	"unicode/utf16"
	"unicode/utf8"

	"masar/smpp/pdu"
)

// isUCS2 says how a receipt's octets are to be read. Field names are ASCII, so UCS-2
// shows by the zeros between, whatever data_coding says; and plain octets under a UCS-2
// data_coding show by beginning with a field's name.
func isUCS2(b []byte, dataCoding uint8) bool {
	if len(b) >= 4 && b[0] == 0 && b[2] == 0 && b[1] >= ' ' && b[3] >= ' ' {
		return true
	}
	if dataCoding != 0x08 && dataCoding&0xFC != 0x18 {
		return false
	}
	return !leadsWithName(b)
}

// appendUCS2 appends UCS-2 octets as UTF-8. A receipt is read as far as it can be: an
// unpaired surrogate becomes U+FFFD, half a character at the end is dropped.
func appendUCS2(dst, b []byte) []byte {
	if len(b) >= 2 && b[0] == 0xFE && b[1] == 0xFF {
		b = b[2:]
	}
	dst = slices.Grow(dst, len(b)/2*3) // a unit is at most three octets of UTF-8, a pair four
	for ; len(b) >= 2; b = b[2:] {
		if b[0] == 0 && b[1] < utf8.RuneSelf {
			dst = append(dst, b[1])
			continue
		}
		r := rune(binary.BigEndian.Uint16(b))
		if utf16.IsSurrogate(r) {
			pair := rune(utf8.RuneError)
			if len(b) >= 4 {
				pair = utf16.DecodeRune(r, rune(binary.BigEndian.Uint16(b[2:])))
			}
			if r = pair; r != utf8.RuneError {
				b = b[2:]
			}
		}
		dst = utf8.AppendRune(dst, r)
	}
	return dst
}

// withoutUDH is the octets behind the user data header where esm_class says there is
// one. A header that does not add up is taken for text.
func withoutUDH(b []byte, esmClass uint8) []byte {
	if esmClass&pdu.ESMClassUDHI != 0 && len(b) > 0 && 1+int(b[0]) <= len(b) {
		return b[1+int(b[0]):]
	}
	return b
}

// gsmOnly are the characters that an id or an error may hold and that stand elsewhere in
// the GSM alphabet than in ASCII. A carrier that sends its receipts through its own
// encoder writes them so, while the id in submit_sm_resp is ASCII.
var gsmOnly = [0x20]byte{0x00: '@', 0x02: '$', 0x11: '_'}

// gsmEscaped are the extension characters, by the octet after ESC.
var gsmEscaped = [0x41]byte{
	0x14: '^', 0x28: '{', 0x29: '}', 0x2F: '\\', 0x3C: '[', 0x3D: '~', 0x3E: ']', 0x40: '|',
}

// isPlain says that b can be a string as it is: ASCII without the octets above.
func isPlain(b []byte) bool {
	// Eight at a time while none is above 7F or below space.
	const high, spaces = 0x8080808080808080, 0x2020202020202020
	for len(b) >= 8 {
		x := binary.LittleEndian.Uint64(b)
		if (x|(x-spaces)&^x)&high != 0 {
			break
		}
		b = b[8:]
	}
	for _, c := range b {
		if c >= utf8.RuneSelf || c == 0x1B || c < 0x20 && gsmOnly[c] != 0 {
			return false
		}
	}
	return true
}

// mend appends b with the octets of the GSM alphabet as ASCII and those above 7F, unless
// they are UTF-8, as Latin-1.
func mend(dst, b []byte) []byte {
	isUTF8 := utf8.Valid(b)
	for i := 0; i < len(b); i++ {
		c := b[i]
		switch {
		case c == 0x1B && i+1 < len(b) && int(b[i+1]) < len(gsmEscaped) && gsmEscaped[b[i+1]] != 0:
			i++
			dst = append(dst, gsmEscaped[b[i]])
		case c < 0x20 && gsmOnly[c] != 0:
			dst = append(dst, gsmOnly[c])
		case c >= utf8.RuneSelf && !isUTF8:
			dst = utf8.AppendRune(dst, rune(c))
		default:
			dst = append(dst, c)
		}
	}
	return dst
}
