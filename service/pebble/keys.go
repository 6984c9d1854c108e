package pebble

import (
	"crypto/sha256"
	"encoding/binary"

	"masar/number"
	"masar/service"
)

// A key is one octet of kind and then fixed fields, big-endian, so that keys sort as
// their fields do.
const (
	kindName     = 'A' // kind u8, name -> number u32
	kindBlocked  = 'B' // number u64 -> block: the index of EachBlocked
	kindCode     = 'C' // number u64 -> code
	kindHistory  = 'H' // person, chunk u32 -> events, oldest first
	kindBookmark = 'J' // job -> bookmark
	kindMeta     = 'K' // name -> see meta names
	kindNumber   = 'N' // number u64 -> all that decides about a number
	kindOnce     = 'O' // hash of the key -> once
	kindPerson   = 'P' // person -> number, the latest events
	kindTotal    = 'T' // service u32 -> totals; service 0: those of no service
)

// Names of meta rows.
const (
	metaFormat = "format" // major version of the folder
	metaCodes  = "codes"  // that codes are hashed with
)

// FormatVersion is the major version of the folder: a newer one is refused by name.
const FormatVersion = 1

var be = binary.BigEndian

const numberKeyLen = 9

func numberKey(k []byte, kind byte, n number.E164) []byte {
	return be.AppendUint64(append(k[:0], kind), uint64(n))
}

func personKey(k []byte, p service.Person) []byte { return append(append(k[:0], kindPerson), p[:]...) }

func historyKey(k []byte, p service.Person, chunk uint32) []byte {
	return be.AppendUint32(append(append(k[:0], kindHistory), p[:]...), chunk)
}

func nameKey(k []byte, kind nameKind, name string) []byte {
	return append(append(k[:0], kindName, byte(kind)), name...)
}

func metaKey(k []byte, name string) []byte { return append(append(k[:0], kindMeta), name...) }

func totalKey(k []byte, service uint32) []byte {
	return be.AppendUint32(append(k[:0], kindTotal), service)
}

func bookmarkKey(k []byte, job string) []byte { return append(append(k[:0], kindBookmark), job...) }

// onceKey holds a hash: an idempotency key is its channel's own and may say anything.
func onceKey(k []byte, key string) []byte {
	sum := sha256.Sum256([]byte(key))
	return append(append(k[:0], kindOnce), sum[:16]...)
}
