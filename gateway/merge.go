package gateway

import (
	"hash/maphash"
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"masar/number"
	"masar/queue"
	"masar/service"
	"masar/smpp/pdu"
)

// Of identical notices that wait for one person, as a client makes them that submits again
// and again while a carrier is down, the first that leaves stands for all that were to
// leave before it did. Only for services that merge; never for what is urgent, for a
// one-time code, for a part that a client cut itself, or for a message of a job, whose end
// its job waits for.
//
// It is best effort, and nothing of it is on disk: after a restart, when two carriers take
// two of them at the same moment, and once 65,536 others have left since, a second one
// goes. One that fails stands for nothing that comes after that.

const mergesMost = 1 << 16

// mergedErr is the error of a message that ended because another one stands for it.
const mergedErr = "merged"

// merges are the notices that have left of late and stand for others.
type merges struct {
	seed maphash.Seed

	mu   sync.Mutex // short, never over I/O
	left *simplelru.LRU[mergeKey, stand]
}

// mergeKey is what identical notices have in common.
type mergeKey struct {
	account uint32
	service string // the catalogue's own string: a message's would keep its record in memory
	person  service.Person
	number  number.E164
	text    uint64 // hash of text, coding, sender and TLVs
}

// stand is a notice that left: those that could have left before that need not.
type stand struct {
	id queue.ID
	at queue.Time
}

func newMerges() *merges {
	left, err := simplelru.NewLRU[mergeKey, stand](mergesMost, nil)
	if err != nil {
		panic(err) // only for a size below one
	}
	return &merges{seed: maphash.MakeSeed(), left: left}
}

// key is what m merges by; nil: it does not.
func (s *merges) key(m *queue.Message, r *service.Service) *mergeKey {
	n, isNumber := number.Of(m.Dest.Addr)
	switch {
	case !r.Merge || r.Kind == service.OneTimeCode || m.Class == queue.Urgent:
	case m.System || m.Job != (queue.Job{}) || !isNumber || len(m.Answers) > 0 || concatenated(m.ESMClass, m.TLVs):
	default:
		var h maphash.Hash
		h.SetSeed(s.seed)
		h.WriteByte(m.DataCoding)
		h.WriteByte(m.ESMClass)
		h.WriteString(m.Source.Addr)
		h.WriteByte(0)
		h.Write(m.TLVs)
		h.WriteByte(0)
		h.Write(m.Body)
		return &mergeKey{m.Account, r.Code, m.Person, n, h.Sum64()}
	}
	return nil
}

// standsFor tells whether another notice has left since m might have.
func (s *merges) standsFor(k *mergeKey, m *queue.Message) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	first, ok := s.left.Get(*k)
	return ok && first.id != m.ID && max(m.Accepted, m.Due) <= first.at
}

// leaves notes that a notice goes on the wire.
func (s *merges) leaves(k *mergeKey, id queue.ID, at queue.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if first, ok := s.left.Get(*k); ok && first.id == id {
		return // a later part
	}
	s.left.Add(*k, stand{id, at})
}

// fails notes that a notice did not get to the carrier after all, or that nobody knows.
func (s *merges) fails(k *mergeKey, id queue.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if first, ok := s.left.Peek(*k); ok && first.id == id {
		s.left.Remove(*k)
	}
}

// merged ends a message that another one stands for; false: it goes on.
func (d *dispatcher) merged(f *flight, r *service.Service) bool {
	g := d.c.g
	k := g.merges.key(f.m, r)
	if k == nil {
		return false
	}
	if g.merges.standsFor(k, f.m) {
		g.met.merged.Inc()
		d.c.corr.end(f, ending{state: pdu.StateDeleted, err: mergedErr})
		return true
	}
	f.merge = k
	return false
}

// standsNot lets a flight stand for nothing any more. Any goroutine.
func (f *flight) standsNot() {
	if f.merge != nil {
		f.c.g.merges.fails(f.merge, f.m.ID)
	}
}
