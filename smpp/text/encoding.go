package text

import (
	"errors"
	"fmt"
	"slices"
	"unicode/utf8"
)

// Encoding is how a text stands in short_message or message_payload. It is not
// data_coding: two carriers may want the same Encoding under different numbers.
type Encoding uint8

const (
	GSM7   Encoding = iota // GSM 03.38 default alphabet and extension table, one septet an octet
	UCS2                   // UTF-16 big-endian, surrogate pairs allowed
	Latin1                 // ISO 8859-1
	ASCII                  // IA5, 7 bits
	Binary                 // octets that are no text; a string stands for its bytes
)

var encodingNames = [...]string{GSM7: "gsm7", UCS2: "ucs2", Latin1: "latin1", ASCII: "ascii", Binary: "binary"}

func (e Encoding) String() string {
	if int(e) < len(encodingNames) {
		return encodingNames[e]
	}
	return fmt.Sprintf("encoding(%d)", uint8(e))
}

// ParseEncoding reads what String writes; "gsm" is taken for gsm7, as the config's
// default_alphabet spells it.
func ParseEncoding(name string) (Encoding, error) {
	if name == "gsm" {
		return GSM7, nil
	}
	if i := slices.Index(encodingNames[:], name); i >= 0 {
		return Encoding(i), nil
	}
	return 0, fmt.Errorf("text: no encoding %q; one of gsm7, ucs2, latin1, ascii, binary", name)
}

// ErrBadText is what every *BadText is: a text that no encoding carries (broken
// UTF-8, NUL) or octets that are no text in their encoding (an unpaired surrogate,
// NUL, half a UCS-2 character, an octet above 7F in a 7-bit alphabet).
var ErrBadText = errors.New("text: bad text")

// BadText says where and why. errors.Is(err, ErrBadText) holds.
type BadText struct {
	Offset int    // octets from the start of what was given
	Rule   string // "unpaired surrogate"
}

func (b *BadText) Error() string        { return fmt.Sprintf("text: octet %d: %s", b.Offset, b.Rule) }
func (b *BadText) Is(target error) bool { return target == ErrBadText }

// Unencodable is a good text with a character the encoding does not have. It is not
// ErrBadText: the same text in UCS-2 is fine.
type Unencodable struct {
	Rune     rune
	Offset   int // octets of UTF-8 from the start
	Encoding Encoding
}

func (u *Unencodable) Error() string {
	return fmt.Sprintf("text: %U at octet %d is not in %s", u.Rune, u.Offset, u.Encoding)
}

// Choose returns GSM7 when every character of s is in the default alphabet or its
// extension table, else UCS2. That is the cheapest encoding every handset reads.
// Broken UTF-8 comes out as UCS2, and Encode refuses it.
func Choose(s string) Encoding {
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if gsmCode[c] == noGSM {
				return UCS2
			}
			i++
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		if gsmOf(r) == noGSM {
			return UCS2
		}
		i += n
	}
	return GSM7
}

// Units is the size of s against the encoding's budget: septets for GSM7 and ASCII
// (an extension character is two, since that is what the radio will need), UTF-16
// units for UCS2, octets for Latin1 and Binary. A character the encoding does not
// have counts one; Encode and Split refuse it.
//
// REQUIRES: s is valid UTF-8, unless e is Binary. Otherwise the number means nothing.
func Units(s string, e Encoding) int {
	switch e {
	case GSM7, ASCII:
		n := 0
		for i := 0; i < len(s); {
			c := s[i]
			if c < utf8.RuneSelf {
				n += septets(gsmCode[c])
				i++
				continue
			}
			r, w := utf8.DecodeRuneInString(s[i:])
			n += septets(gsmOf(r))
			i += w
		}
		return n
	case UCS2:
		// The lead octet tells the length; from F0 on it is a surrogate pair.
		n := 0
		for i := 0; i < len(s); n++ {
			switch c := s[i]; {
			case c < 0x80:
				i++
			case c < 0xE0:
				i += 2
			case c < 0xF0:
				i += 3
			default:
				i += 4
				n++
			}
		}
		return n
	case Latin1:
		return utf8.RuneCountInString(s)
	}
	return len(s)
}

// septets is what a code of the tables in gsm.go costs.
func septets(code uint16) int {
	if code >= escaped && code != noGSM {
		return 2
	}
	return 1
}

// Encode appends s in the encoding e. It allocates only where dst has no room.
// Errors: *BadText for broken UTF-8 or NUL, *Unencodable for a character e does not
// have; dst is then returned as it was given.
func Encode(dst []byte, s string, e Encoding) ([]byte, error) {
	switch e {
	case GSM7:
		return encodeGSM(dst, s)
	case UCS2:
		return encodeUCS2(dst, s)
	case Latin1:
		return encodeOctets(dst, s, Latin1, 0x100)
	case ASCII:
		return encodeOctets(dst, s, ASCII, 0x80)
	}
	return append(dst, s...), nil
}

// encodeOctets writes the characters below limit as one octet each.
func encodeOctets(dst []byte, s string, e Encoding, limit rune) ([]byte, error) {
	start := len(dst)
	for i := 0; i < len(s); {
		r, n := rune(s[i]), 1
		if r >= utf8.RuneSelf {
			r, n = utf8.DecodeRuneInString(s[i:])
		}
		if bad := badRune(r, n, i); bad != nil {
			return dst[:start], bad
		}
		if r >= limit {
			return dst[:start], &Unencodable{Rune: r, Offset: i, Encoding: e}
		}
		dst = append(dst, byte(r))
		i += n
	}
	return dst, nil
}

// badRune is the error of a rune that no text encoding carries, or nil.
func badRune(r rune, width, offset int) error {
	if r == 0 {
		return &BadText{Offset: offset, Rule: "NUL in a text"}
	}
	if r == utf8.RuneError && width <= 1 {
		return &BadText{Offset: offset, Rule: "broken UTF-8"}
	}
	return nil
}

// Decode reads octets of the encoding e. A leading U+FEFF of UCS-2 is removed, a
// later one kept. Error: *BadText.
func Decode(octets []byte, e Encoding) (string, error) {
	if e == Binary {
		return string(octets), nil
	}
	var room [512]byte
	b, err := AppendDecoded(room[:0], octets, e)
	return string(b), err
}

// AppendDecoded is Decode into a buffer: it appends the text as UTF-8. On an error
// dst is returned as it was given.
func AppendDecoded(dst, octets []byte, e Encoding) ([]byte, error) {
	switch e {
	case GSM7:
		return decodeGSM(dst, octets)
	case UCS2:
		return decodeUCS2(dst, octets)
	case Latin1, ASCII:
		start := len(dst)
		for i, c := range octets {
			if c == 0 {
				return dst[:start], &BadText{Offset: i, Rule: "NUL in a text"}
			}
			if c < utf8.RuneSelf {
				dst = append(dst, c)
				continue
			}
			if e == ASCII {
				return dst[:start], &BadText{Offset: i, Rule: "above 7F in ASCII"}
			}
			dst = utf8.AppendRune(dst, rune(c))
		}
		return dst, nil
	}
	return append(dst, octets...), nil
}
