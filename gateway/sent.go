package gateway

import (
	"slices"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"masar/queue"
	"masar/smpp"
	"masar/smpp/pdu"
)

// sentParts is a correlator's memory of what its carrier has answered: the latest parts by
// their carrier ids. What it has forgotten the store knows. It is bounded by count and by
// octets, and keeps of each message only what a receipt needs.
type sentParts struct {
	parts   *simplelru.LRU[string, *queue.Ref]
	most    int
	octets  int
	several map[queue.ID]*severalParts // while one of its parts is in parts
}

// severalParts is the one copy of a message of more than one part.
type severalParts struct {
	m     queue.Message // Answers with what is known of each
	told  uint16        // intermediate states passed on, a bit each
	kept  int           // how many of its parts are in memory
	ended bool          // the message is final: further receipts only count
}

const (
	sentMost   = 1 << 16 // parts, a carrier
	sentOctets = 40 << 20
)

// keptPart is a part of one with its message, in one allocation.
type keptPart struct {
	ref  queue.Ref
	m    queue.Message
	text [20]byte
}

// partOctets is what a part takes in memory beside its strings: keptPart, its entry in the
// LRU and the id's place in its map (measured by TestSentPartsStayWithinTheirOctets).
const partOctets = 664

func newSentParts(most int) sentParts {
	if most == 0 {
		most = sentMost
	}
	parts, _ := simplelru.NewLRU[string, *queue.Ref](most, nil) // fails for a size below 1 only
	return sentParts{parts: parts, most: most, several: map[queue.ID]*severalParts{}}
}

// slim copies what a receipt needs of a message: not its body, and not the submission it
// came with once nobody has to wait for that one's answer.
func slim(m *queue.Message, room []byte) queue.Message {
	s := *m
	s.Body, s.Answers = nil, nil
	if len(m.Text) > 0 {
		s.Text = append(room[:0], m.Text...)
	}
	if len(m.TLVs) > 0 {
		s.TLVs = nil
		if ref, ok := pdu.TLVs(m.TLVs).Get(pdu.TagUserMessageReference); ok {
			s.TLVs = pdu.TLVs(nil).Append(pdu.TagUserMessageReference, ref)
		}
	}
	if sub, ok := m.Origin.(*submission); ok && sub.heard() {
		s.Origin = nil
	}
	return s
}

// heard tells whether the submission's answer is on the wire, or never will be: then its
// receipt need not wait for it.
func (s *submission) heard() bool {
	session := s.client.session
	return session.State() == smpp.Closed || s.mark.Load() <= session.Written()
}

// add keeps an answered part. The parts of one message share one copy of it.
func (s *sentParts) add(m *queue.Message, info queue.PartInfo) *queue.Ref {
	if info.Of == 1 {
		k := &keptPart{}
		k.m = slim(m, k.text[:])
		k.ref = queue.Ref{M: &k.m, Info: info}
		s.keep(&k.ref)
		return &k.ref
	}
	e := s.several[m.ID]
	switch {
	case e == nil || e.m.Attempt != m.Attempt:
		if e == nil {
			e = &severalParts{}
			s.several[m.ID] = e
		}
		e.m = slim(m, nil) // in place: refs of an older attempt see that theirs is over
		e.m.Answers = slices.Clone(m.Answers)
	default:
		e.m.Answers = append(e.m.Answers, info)
	}
	ref := &queue.Ref{M: &e.m, Info: info}
	s.keep(ref)
	return ref
}

// found keeps a part that the store has told of. What memory knows of its message is newer.
func (s *sentParts) found(ref *queue.Ref) *queue.Ref {
	if ref.Info.Of > 1 {
		e := s.several[ref.M.ID]
		if e == nil {
			e = &severalParts{m: slim(ref.M, nil)}
			e.m.Answers = ref.Parts
			s.several[ref.M.ID] = e
		}
		ref.M = &e.m
		for _, a := range e.m.Answers {
			if a.Attempt == ref.Info.Attempt && a.Part == ref.Info.Part {
				ref.Info = a
			}
		}
	}
	s.keep(ref)
	return ref
}

func (s *sentParts) keep(ref *queue.Ref) {
	if e := s.several[ref.M.ID]; e != nil {
		e.kept++
	}
	if ref.Info.CarrierID == "" {
		s.drop(ref) // no receipt can name it
		return
	}
	if old, ok := s.parts.Peek(ref.Info.CarrierID); ok { // the carrier uses its ids again
		s.parts.Remove(ref.Info.CarrierID)
		s.forget(old)
	}
	for s.parts.Len() > 0 && (s.octets > sentOctets || s.parts.Len() >= s.most) {
		_, old, _ := s.parts.RemoveOldest()
		s.forget(old)
	}
	s.octets += partSize(ref)
	s.parts.Add(ref.Info.CarrierID, ref)
}

func (s *sentParts) forget(ref *queue.Ref) {
	s.octets -= partSize(ref)
	s.drop(ref)
}

// drop lets go of a message with its last part in memory.
func (s *sentParts) drop(ref *queue.Ref) {
	if ref.Info.Of == 1 {
		return
	}
	if e := s.several[ref.M.ID]; e != nil && &e.m == ref.M {
		if e.kept--; e.kept <= 0 {
			delete(s.several, ref.M.ID)
		}
	}
}

// partSize is what a part takes in memory, by what does not change while it is kept.
func partSize(ref *queue.Ref) int {
	m := ref.M
	return partOctets + len(ref.Info.CarrierID) + len(m.Shown) + len(m.Dest.Addr) + len(m.DestWritten.Addr) + len(m.Source.Addr) + len(m.TLVs)
}

func (s *sentParts) get(id string) (*queue.Ref, bool) { return s.parts.Get(id) }

// of is the shared copy of a message of several parts; nil for a message of one.
func (s *sentParts) of(ref *queue.Ref) *severalParts {
	if ref.Info.Of == 1 {
		return nil
	}
	return s.several[ref.M.ID]
}

// endAttempt lets receipts of the parts sent so far decide nothing any more: the message
// begins anew, all parts, elsewhere.
func (s *sentParts) endAttempt(id queue.ID) {
	if e := s.several[id]; e != nil && !e.ended {
		e.m.Attempt++
		e.m.Answers = nil
	}
}
