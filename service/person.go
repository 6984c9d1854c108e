package service

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"strings"

	"masar/number"
)

// A Person is the keyed hash of an agency's reference (an identity or residence number):
// the reference itself is stored nowhere. The zero value is nobody.
type Person [16]byte

// String is 32 hex digits.
func (p Person) String() string { return hex.EncodeToString(p[:]) }

// A Key makes Persons. Who loses it cannot find anybody again.
type Key [32]byte

var errKey = errors.New("a key is 64 hex digits")

// ParseKey reads the 64 hex digits of a key.
func ParseKey(s string) (k Key, err error) {
	b, err := hex.DecodeString(strings.TrimSpace(s))
	if err != nil || len(b) != len(k) {
		return Key{}, errKey
	}
	copy(k[:], b)
	return k, nil
}

// Person is who an agency means by a reference. Blanks and hyphens do not count, Arabic
// and full-width digits are read as 0-9, letters without regard to case. An empty
// reference is nobody.
func (k *Key) Person(reference string) Person {
	clean := cleanReference(reference)
	if clean == "" {
		return Person{}
	}
	return k.sum('r', clean)
}

// cleanReference is what of a reference counts: itself, without allocating, where that is
// all of it.
func cleanReference(reference string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 0x0660 && r <= 0x0669:
			return '0' + r - 0x0660
		case r >= 0x06F0 && r <= 0x06F9:
			return '0' + r - 0x06F0
		case r >= 0xFF10 && r <= 0xFF19:
			return '0' + r - 0xFF10
		case r == ' ', r == '-', r == '\t', r == 0xA0, r >= 0x200B && r <= 0x200F, r == 0xFEFF:
			return -1
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		}
		return r
	}, reference)
}

// OfNumber is the person who enrolled from a number by SMS and whom no agency has named.
func (k *Key) OfNumber(n number.E164) Person { return k.sum('n', n.String()) }

func (k *Key) sum(kind byte, s string) (p Person) {
	h := hmac.New(sha256.New, k[:])
	h.Write([]byte{kind})
	h.Write([]byte(s))
	var sum [sha256.Size]byte
	copy(p[:], h.Sum(sum[:0]))
	return p
}
