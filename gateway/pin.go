package gateway

import (
	"encoding/binary"
	"hash/fnv"
	"math"

	"masar/queue"
	"masar/smpp/pdu"
	"masar/smpp/text"
)

// conversation hashes what the parts of one client-made concatenated message share:
// account, source, destination and reference (flow.md 4).
func conversation(m *queue.Message, body []byte) uint64 {
	h := fnv.New64a()
	var b [8]byte
	binary.BigEndian.PutUint32(b[:], m.Account)
	h.Write(b[:4])
	h.Write([]byte(m.Source.Addr))
	h.Write(b[4:5])
	h.Write([]byte(m.Dest.Addr))
	h.Write(b[4:5])
	if m.ESMClass&pdu.ESMClassUDHI != 0 {
		if c, has, _, err := text.ParseUDH(body); err == nil && has {
			binary.BigEndian.PutUint16(b[:], c.Ref)
			h.Write(b[:2])
		}
	} else if ref, ok := pdu.TLVs(m.TLVs).Get(pdu.TagSARMsgRefNum); ok {
		h.Write(ref)
	}
	return h.Sum64()
}

// rendezvous is the weighted score of one candidate for a key: the highest wins, and when
// a candidate goes only its own keys move.
func rendezvous(key uint64, candidate string, weight int) float64 {
	h := fnv.New64a()
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], key)
	h.Write(b[:])
	h.Write([]byte(candidate))
	// FNV leaves the high bits of short inputs alike: mix them (the finisher of SplitMix64).
	x := h.Sum64()
	x ^= x >> 30
	x *= 0xbf58476d1ce4e5b9
	x ^= x >> 27
	x *= 0x94d049bb133111eb
	x ^= x >> 31
	u := (float64(x>>11) + 1) / (1 << 53)
	return float64(weight) / -math.Log(u)
}
