package text

import (
	"errors"
	"hash/maphash"
	"time"
)

// ErrReassemblyFull is a part that has no room. The sender is told to come again later
// (ESME_RMSGQFUL): dropping an older message's parts, already acknowledged, would lose
// them.
var ErrReassemblyFull = errors.New("text: no room to keep more parts")

// ErrBadConcat is a part whose number is 0 or above its total.
var ErrBadConcat = errors.New("text: part number out of range")

// ErrDuplicatePart is a part that is there already, octet for octet. It is to be
// acknowledged and forgotten.
var ErrDuplicatePart = errors.New("text: part received before")

// setOverhead is charged against the octets for each set beside its parts, and slotSize
// for each part it may have, so that many sets of nothing are bounded too.
const (
	setOverhead = 256
	slotSize    = 24
)

// Incomplete is a message of which parts are missing and which is not waited for any
// longer.
type Incomplete struct {
	Key    string
	Concat Concat   // of the part that came first
	Parts  [][]byte // Total of them, nil where missing
	Since  time.Time
}

// Reassembler puts parts together. It is pure: now is a parameter. It holds at most the
// sets and the octets it is made with, and a set no longer than its age. Not for
// concurrent use.
//
// What it holds is not durable: an owner who must not lose acknowledged parts in a crash
// acknowledges them only once the message is whole, or keeps them itself.
type Reassembler struct {
	maxSets, maxOctets int
	maxAge             time.Duration

	sets   map[setKey]*set
	octets int
	// Sets by the time of their first part. Expire takes from the front.
	first, last *set
	dropped     []*set // given up early, until Expire tells of them
	// Whole messages, for as long as a duplicate of their parts may come: by time, too.
	done     map[setKey]*doneSet
	doneFifo []*doneSet
	seed     maphash.Seed
}

// setKey is what parts of one message share. The total is part of it: another total is
// another message that happens to have the same reference.
type setKey struct {
	key   string
	ref   uint16
	total uint8
	wide  bool
	sar   bool
}

type set struct {
	key        setKey
	concat     Concat
	parts      [][]byte
	have       int
	octets     int // charged
	since      time.Time
	prev, next *set
}

// doneSet remembers a whole message by its parts' hashes.
type doneSet struct {
	key    setKey
	hashes []uint64
	at     time.Time
}

// NewReassembler makes one for at most maxSets messages at a time and maxOctets octets,
// some 256 a message and 24 a part of overhead counted in, each waited for until maxAge
// after its first part.
//
// REQUIRES: all greater than 0.
func NewReassembler(maxSets, maxOctets int, maxAge time.Duration) *Reassembler {
	return &Reassembler{
		maxSets: maxSets, maxOctets: maxOctets, maxAge: maxAge,
		sets: make(map[setKey]*set), done: make(map[setKey]*doneSet),
		seed: maphash.MakeSeed(),
	}
}

// Len is how many messages are waited for; Octets what they are charged.
func (r *Reassembler) Len() int    { return len(r.sets) }
func (r *Reassembler) Octets() int { return r.octets }

// Add takes one part, without its header. key says between whom: at least the source
// and destination address, and the carrier or account. When the message is whole, done
// is true and whole has its parts in order. A message that is not concatenated (Total 0
// or 1: a single one, or one in message_payload) is whole at once and aliases part; else
// the octets are copied.
//
// A part already there is ErrDuplicatePart when it has the same octets, also for maxAge
// after its message was whole. With other octets the reference has been used again for a
// new message: the old one is given up, Expire tells of it, and a new set begins with
// this part. Other errors: ErrReassemblyFull, ErrBadConcat.
func (r *Reassembler) Add(now time.Time, key string, c Concat, part []byte) (whole [][]byte, done bool, err error) {
	if c.Total <= 1 && c.Seq <= 1 {
		return [][]byte{part}, true, nil
	}
	if !c.valid() {
		return nil, false, ErrBadConcat
	}
	k := setKey{key: key, ref: c.Ref, total: c.Total, wide: c.Wide, sar: c.SAR}
	s := r.sets[k]
	if s == nil {
		if d := r.done[k]; d != nil && now.Sub(d.at) < r.maxAge && d.hashes[c.Seq-1] == maphash.Bytes(r.seed, part) {
			return nil, false, ErrDuplicatePart
		}
	} else if old := s.parts[c.Seq-1]; old != nil {
		if string(old) == string(part) {
			return nil, false, ErrDuplicatePart
		}
		// The given-up set stays charged until Expire has told of it, so the new one
		// needs its own room.
		if !r.room(int(c.Total), len(key), len(part)) {
			return nil, false, ErrReassemblyFull
		}
		r.unlink(s)
		r.dropped = append(r.dropped, s)
		s = nil
	}
	if s == nil {
		if !r.room(int(c.Total), len(key), len(part)) {
			return nil, false, ErrReassemblyFull
		}
		s = r.open(now, k, c)
	} else if r.octets+len(part) > r.maxOctets {
		return nil, false, ErrReassemblyFull
	}
	kept := make([]byte, len(part))
	copy(kept, part)
	s.parts[c.Seq-1] = kept
	s.have++
	s.octets += len(part)
	r.octets += len(part)
	if s.have < int(c.Total) {
		return nil, false, nil
	}
	r.unlink(s)
	r.octets -= s.octets
	r.remember(now, s)
	return s.parts, true, nil
}

func (r *Reassembler) room(total, key, part int) bool {
	return len(r.sets)+len(r.dropped) < r.maxSets &&
		r.octets+setOverhead+total*slotSize+key+part <= r.maxOctets
}

func (r *Reassembler) open(now time.Time, k setKey, c Concat) *set {
	s := &set{key: k, concat: c, parts: make([][]byte, c.Total), since: now, prev: r.last}
	s.octets = setOverhead + int(c.Total)*slotSize + len(k.key)
	r.octets += s.octets
	if r.last != nil {
		r.last.next = s
	} else {
		r.first = s
	}
	r.last = s
	r.sets[k] = s
	return s
}

// unlink takes s out of the map and the list; its octets stay charged.
func (r *Reassembler) unlink(s *set) {
	delete(r.sets, s.key)
	if s.prev != nil {
		s.prev.next = s.next
	} else {
		r.first = s.next
	}
	if s.next != nil {
		s.next.prev = s.prev
	} else {
		r.last = s.prev
	}
	s.prev, s.next = nil, nil
}

// remember keeps the hashes of a whole message, of the newest maxSets of them.
func (r *Reassembler) remember(now time.Time, s *set) {
	if len(r.doneFifo) >= r.maxSets {
		r.forget()
	}
	d := &doneSet{key: s.key, hashes: make([]uint64, len(s.parts)), at: now}
	for i, p := range s.parts {
		d.hashes[i] = maphash.Bytes(r.seed, p)
	}
	r.done[s.key] = d
	r.doneFifo = append(r.doneFifo, d)
}

func (r *Reassembler) forget() {
	d := r.doneFifo[0]
	r.doneFifo[0] = nil
	r.doneFifo = r.doneFifo[1:]
	if r.done[d.key] == d { // a later message may have taken the key
		delete(r.done, d.key)
	}
}

// Next is when Expire has something to do; ok is false while nothing is held.
func (r *Reassembler) Next() (at time.Time, ok bool) {
	if len(r.dropped) > 0 {
		return r.dropped[0].since, true
	}
	if r.first != nil {
		return r.first.since.Add(r.maxAge), true
	}
	if len(r.doneFifo) > 0 {
		return r.doneFifo[0].at.Add(r.maxAge), true
	}
	return time.Time{}, false
}

// Expire gives up what is older than maxAge and returns it, with what was given up
// because its reference was used again, oldest first. The owner decides: deliver what
// came, or count it.
func (r *Reassembler) Expire(now time.Time) []Incomplete {
	for len(r.doneFifo) > 0 && now.Sub(r.doneFifo[0].at) >= r.maxAge {
		r.forget()
	}
	gone := r.dropped
	r.dropped = nil
	for r.first != nil && now.Sub(r.first.since) >= r.maxAge {
		s := r.first
		r.unlink(s)
		gone = append(gone, s)
	}
	if len(gone) == 0 {
		return nil
	}
	out := make([]Incomplete, len(gone))
	for i, s := range gone {
		r.octets -= s.octets
		out[i] = Incomplete{Key: s.key.key, Concat: s.concat, Parts: s.parts, Since: s.since}
	}
	return out
}
