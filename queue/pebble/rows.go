package pebble

import (
	"encoding/binary"
	"errors"
	"fmt"

	"masar/queue"
)

var errRow = errors.New("stored row is damaged")

// A pointer row is a lane row whose record stands on the side way: octet 0, which no
// record begins with, and the id.
func appendPointer(b []byte, id queue.ID) []byte {
	return be.AppendUint64(append(b, 0), uint64(id))
}

func isPointer(v []byte) (queue.ID, bool) {
	if len(v) == 9 && v[0] == 0 {
		return queue.ID(be.Uint64(v[1:])), true
	}
	return 0, false
}

// sidePlace begins the row of a message on the side way: where it stands and why.
type sidePlace struct {
	why   queue.Why
	until queue.Time // its due row's moment; zero when it has none
	lane  queue.Lane // where it waits, or where it goes then
	stamp uint64     // its pointer row in lane; zero while it is aside
}

// sidePlaceLen is fixed, so that an expiry sweep finds the record behind it.
const sidePlaceLen = 4 + 1 + 8 + 9 + 8

func appendSide(b []byte, p sidePlace, m *queue.Message) []byte {
	b = append(b, queue.RecordVersion, 0, 0, 0, byte(p.why))
	b = be.AppendUint64(b, uint64(p.until))
	b = appendLane(b, p.lane)
	b = be.AppendUint64(b, p.stamp)
	return queue.AppendMessage(b, m)
}

// parseSide gives the place and the octets of the record.
func parseSide(v []byte) (p sidePlace, record []byte, err error) {
	if len(v) < sidePlaceLen || v[0] != queue.RecordVersion {
		return p, nil, fmt.Errorf("%w: side way, %d octets", errRow, len(v))
	}
	lane, ok := parseLane(v[12:]) // the octet before the lane is not its kind, parseLane skips it
	if !ok {
		return p, nil, fmt.Errorf("%w: side way, class %d", errRow, v[17])
	}
	p.why, p.until, p.lane = queue.Why(v[4]), queue.Time(be.Uint64(v[5:])), lane
	p.stamp = be.Uint64(v[22:])
	return p, v[sidePlaceLen:], nil
}

// answered is a part's row: a part of several, and whether it has a correlation.
type answered struct {
	queue.PartInfo
	awaited bool
}

func appendAnswered(b []byte, p *answered) []byte {
	b = queue.AppendPart(b, &p.PartInfo)
	if p.awaited {
		return append(b, 1)
	}
	return append(b, 0)
}

func parsePart(v []byte, p *answered) error {
	rest, err := queue.DecodePart(v, &p.PartInfo)
	if err == nil && len(rest) == 0 {
		err = fmt.Errorf("%w: part", errRow)
	}
	if err != nil {
		return err
	}
	p.awaited = rest[0] != 0
	return nil
}

// A sent row is the keyed hash of the body, the one part (of several the one answered
// last) and the record without answers, and without body unless that is kept.
func appendSent(b []byte, textMAC uint64, p *queue.PartInfo, m *queue.Message) []byte {
	b = queue.AppendPart(be.AppendUint64(b, textMAC), p)
	without := queue.WithoutBody | queue.WithoutAnswers
	if m.Kept != 0 {
		without = queue.WithoutAnswers
	}
	return queue.AppendMessageWithout(b, m, without)
}

// parseSent reads a sent row; m stays without Body.
func parseSent(v []byte, p *queue.PartInfo, m *queue.Message) (textMAC uint64, err error) {
	record, err := sentRecord(v, p)
	if err != nil {
		return 0, err
	}
	return be.Uint64(v), queue.DecodeMessageHead(record, m)
}

// parseKept is parseSent with the Body, where it is kept.
func parseKept(v []byte, p *queue.PartInfo, m *queue.Message) (textMAC uint64, err error) {
	record, err := sentRecord(v, p)
	if err != nil {
		return 0, err
	}
	return be.Uint64(v), queue.DecodeMessage(record, m)
}

func sentRecord(v []byte, p *queue.PartInfo) ([]byte, error) {
	if len(v) < 8 {
		return nil, fmt.Errorf("%w: sent, %d octets", errRow, len(v))
	}
	return queue.DecodePart(v[8:], p)
}

// state is the row of a lane or an outbox that start reads instead of its rows. It may
// lag behind the truth by a second, never lead: head is never after the real head.
type state struct {
	head   uint64 // no row before it
	tail   uint64 // the last row when it was written; rows may have come since
	count  int64
	oldest queue.Time // when the head entered
}

func appendState(b []byte, s state) []byte {
	b = append(b, queue.RecordVersion, 0, 0, 0)
	b = be.AppendUint64(b, s.head)
	b = be.AppendUint64(b, s.tail)
	b = binary.AppendVarint(b, s.count)
	return binary.AppendVarint(b, int64(s.oldest))
}

func parseState(v []byte) (s state, err error) {
	if len(v) < 22 || v[0] != queue.RecordVersion {
		return s, fmt.Errorf("%w: lane state, %d octets", errRow, len(v))
	}
	s.head, s.tail = be.Uint64(v[4:]), be.Uint64(v[12:])
	n := 20
	count, k := binary.Varint(v[n:])
	if k <= 0 {
		return s, fmt.Errorf("%w: lane state, count", errRow)
	}
	oldest, k2 := binary.Varint(v[n+k:])
	if k2 <= 0 {
		return s, fmt.Errorf("%w: lane state, oldest", errRow)
	}
	s.count, s.oldest = count, queue.Time(oldest)
	return s, nil
}

// moRow is one part of a mobile-originated message. The addresses are in the value, the
// key has their keyed hash only.
func appendMO(b []byte, s *queue.MOPart) []byte {
	b = append(b, queue.RecordVersion, 0, 0, 0)
	b = binary.AppendVarint(b, int64(s.At))
	b = binary.AppendUvarint(b, uint64(len(s.Set.Addresses)))
	b = append(b, s.Set.Addresses...)
	return append(b, s.Raw...)
}

func parseMO(k, v []byte, p *queue.MOPart) error {
	if len(k) != 17 || len(v) < 4 || v[0] != queue.RecordVersion {
		return fmt.Errorf("%w: mobile-originated part", errRow)
	}
	p.Set.Carrier = be.Uint32(k[1:])
	p.Set.Ref, p.Set.Total, p.Part = be.Uint16(k[13:]), k[15], k[16]
	at, n := binary.Varint(v[4:])
	if n <= 0 {
		return fmt.Errorf("%w: mobile-originated part, time", errRow)
	}
	v = v[4+n:]
	size, n := binary.Uvarint(v)
	if n <= 0 || size > uint64(len(v)-n) {
		return fmt.Errorf("%w: mobile-originated part, addresses", errRow)
	}
	p.At = queue.Time(at)
	p.Set.Addresses = string(v[n : n+int(size)])
	p.Raw = append([]byte(nil), v[n+int(size):]...)
	return nil
}

// unmatchedRow is a receipt that matched nothing.
func appendUnmatched(b []byte, u *queue.Unmatched) []byte {
	b = append(b, queue.RecordVersion, 0, 0, 0)
	b = binary.AppendVarint(b, int64(u.At))
	b = binary.AppendUvarint(b, uint64(len(u.Why)))
	b = append(b, u.Why...)
	return append(b, u.Raw...)
}

func parseUnmatched(k, v []byte, u *queue.Unmatched) error {
	if len(k) < 14 || len(v) < 4 || v[0] != queue.RecordVersion {
		return fmt.Errorf("%w: unmatched receipt", errRow)
	}
	u.Carrier = be.Uint32(k[1:])
	u.CarrierID = string(k[5 : len(k)-9])
	at, n := binary.Varint(v[4:])
	if n <= 0 {
		return fmt.Errorf("%w: unmatched receipt, time", errRow)
	}
	v = v[4+n:]
	size, n := binary.Uvarint(v)
	if n <= 0 || size > uint64(len(v)-n) {
		return fmt.Errorf("%w: unmatched receipt, reason", errRow)
	}
	u.At = queue.Time(at)
	u.Why = string(v[n : n+int(size)])
	u.Raw = append([]byte(nil), v[n+int(size):]...)
	return nil
}
