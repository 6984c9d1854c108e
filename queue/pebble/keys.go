package pebble

import (
	"encoding/binary"

	"masar/queue"
)

// A key is one octet of kind and then fixed fields, big-endian, so that keys sort as
// their fields do. No number and no text stands in a key, but a carrier's message id.
const (
	kindName      = 'A' // kind u8, name -> number u32
	kindCorrelate = 'C' // carrier u32, carrier's id, 00, id, attempt u8, part u8 -> of u8
	kindDue       = 'D' // class u8, ms u64, id
	kindSending   = 'G' // id, attempt u8 -> carrier u32
	kindHistory   = 'H' // day u16, id -> facts; day u16, id, 01 -> how its delivery ended
	kindHalted    = 'J' // id: on the side way with WaitHalted
	kindMeta      = 'K' // name -> see meta names
	kindLane      = 'L' // target u32, class u8, account u32, stamp u64 -> record, or id alone
	kindMOPart    = 'M' // carrier u32, mac u64, ref u16, total u8, part u8 -> at, addresses, octets
	kindHaltCount = 'N' // account u32, class u8 -> how many of those on the side way are halted
	kindOutbox    = 'O' // account u32, stamp u64 -> delivery
	kindPart      = 'P' // id, attempt u8, part u8 -> part
	kindOutState  = 'Q' // account u32 -> state of its outbox
	kindWaiting   = 'R' // account u32, mac u64, id
	kindLaneState = 'S' // lane -> state
	kindSent      = 'T' // id -> part, record
	kindUnmatched = 'U' // carrier u32, carrier's id, 00, stamp u64 -> raw receipt
	kindSideCount = 'V' // account u32, class u8 -> how many are on the side way
	kindSide      = 'W' // id -> place, record
	kindOnce      = 'X' // week u16, mac u64 -> id, shown
	kindShort     = 'Y' // account u32, short u64 -> id, accepted
)

// Names of meta rows.
const (
	metaStamp  = "stamp"  // the last stamp given out, written in every batch
	metaNode   = "node"   // the node whose number stands in the ids
	metaFormat = "format" // major version of the folder
	metaClean  = "clean"  // there after an orderly Close only
	metaDue    = "due"    // + class: no due row is earlier
	metaShort  = "short"  // + account: the last short id given out
)

// FormatVersion is the major version of the folder: a newer one is refused by name.
const FormatVersion = 1

var be = binary.BigEndian

const laneKeyLen = 18

func appendLane(k []byte, l queue.Lane) []byte {
	k = be.AppendUint32(k, l.Target)
	k = append(k, byte(l.Class))
	return be.AppendUint32(k, l.Account)
}

func laneKey(k []byte, l queue.Lane, stamp uint64) []byte {
	return be.AppendUint64(appendLane(append(k[:0], kindLane), l), stamp)
}

func laneStateKey(k []byte, l queue.Lane) []byte { return appendLane(append(k[:0], kindLaneState), l) }

// parseLane reads the lane at b[1:10].
func parseLane(b []byte) (l queue.Lane, ok bool) {
	if len(b) < 10 || b[5] >= queue.Classes {
		return l, false
	}
	return queue.Lane{Target: be.Uint32(b[1:]), Class: queue.Class(b[5]), Account: be.Uint32(b[6:])}, true
}

func idKey(k []byte, kind byte, id queue.ID) []byte {
	return be.AppendUint64(append(k[:0], kind), uint64(id))
}

func sendingKey(k []byte, id queue.ID, attempt uint8) []byte {
	return append(idKey(k, kindSending, id), attempt)
}

func partKey(k []byte, id queue.ID, attempt, part uint8) []byte {
	return append(idKey(k, kindPart, id), attempt, part)
}

// dueMillis is a moment as a due key has it: never earlier than the moment itself.
func dueMillis(t queue.Time) uint64 { return uint64(max(t, 0)+999) / 1000 }

func dueKey(k []byte, c queue.Class, ms uint64, id queue.ID) []byte {
	k = be.AppendUint64(append(k[:0], kindDue, byte(c)), ms)
	return be.AppendUint64(k, uint64(id))
}

// correlateKey ends in the message and its part, not in a stamp: whoever ends a message
// knows them and finds its rows without a search, and a repeated step names the same row.
func correlateKey(k []byte, carrier uint32, carrierID string, id queue.ID, attempt, part uint8) []byte {
	k = correlatePrefix(k, carrier, carrierID)
	return append(be.AppendUint64(k, uint64(id)), attempt, part)
}

const correlateTail = 10

func correlatePrefix(k []byte, carrier uint32, carrierID string) []byte {
	k = be.AppendUint32(append(k[:0], kindCorrelate), carrier)
	for i := range len(carrierID) { // responses and receipts differ in their letters' case
		b := carrierID[i]
		if 'A' <= b && b <= 'Z' {
			b += 'a' - 'A'
		}
		k = append(k, b)
	}
	return append(k, 0)
}

func unmatchedKey(k []byte, carrier uint32, carrierID string, stamp uint64) []byte {
	k = be.AppendUint32(append(k[:0], kindUnmatched), carrier)
	return be.AppendUint64(append(append(k, carrierID...), 0), stamp)
}

const outboxKeyLen = 13

func outboxKey(k []byte, account uint32, seq uint64) []byte {
	return be.AppendUint64(be.AppendUint32(append(k[:0], kindOutbox), account), seq)
}

func outStateKey(k []byte, account uint32) []byte {
	return be.AppendUint32(append(k[:0], kindOutState), account)
}

// day numbers the days since 1970 in UTC; 16 bits last until 2149.
func day(t queue.Time) uint16 { return uint16(t / dayMicros) }

const (
	dayMicros  = 24 * 3600 * 1e6
	weekMicros = 7 * dayMicros
)

func historyKey(k []byte, day uint16, id queue.ID) []byte {
	return be.AppendUint64(be.AppendUint16(append(k[:0], kindHistory), day), uint64(id))
}

const historyKeyLen = 11

func deliveryEndKey(k []byte, day uint16, id queue.ID) []byte {
	return append(historyKey(k, day, id), 1)
}

func waitingKey(k []byte, account uint32, mac uint64, id queue.ID) []byte {
	k = be.AppendUint64(be.AppendUint32(append(k[:0], kindWaiting), account), mac)
	return be.AppendUint64(k, uint64(id))
}

func onceKey(k []byte, week uint16, mac uint64) []byte {
	return be.AppendUint64(be.AppendUint16(append(k[:0], kindOnce), week), mac)
}

func shortKey(k []byte, account uint32, short uint64) []byte {
	return be.AppendUint64(be.AppendUint32(append(k[:0], kindShort), account), short)
}

func moKey(k []byte, carrier uint32, mac uint64, ref uint16, total, part uint8) []byte {
	k = be.AppendUint64(be.AppendUint32(append(k[:0], kindMOPart), carrier), mac)
	return append(be.AppendUint16(k, ref), total, part)
}

func nameKey(k []byte, kind queue.NameKind, name string) []byte {
	return append(append(k[:0], kindName, byte(kind)), name...)
}

func metaKey(k []byte, name string) []byte { return append(append(k[:0], kindMeta), name...) }

func metaShortKey(k []byte, account uint32) []byte {
	return be.AppendUint32(metaKey(k, metaShort), account)
}

func metaDueKey(k []byte, c queue.Class) []byte { return append(metaKey(k, metaDue), byte(c)) }

// after is the smallest key greater than every key that begins with k; k must not be all 0xff.
func after(k []byte) []byte {
	end := append([]byte(nil), k...)
	for i := len(end) - 1; i >= 0; i-- {
		end[i]++
		if end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

func roomCountKey(k []byte, kind byte, r roomKey) []byte {
	return append(be.AppendUint32(append(k[:0], kind), r.account), byte(r.class))
}
