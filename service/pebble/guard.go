package pebble

import (
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"

	"masar/number"
	"masar/service"
)

// hashCode is what is kept of a code: with the folder's key, so that the few codes there
// are cannot be tried out on a copy of the row alone.
func hashCode(key []byte, n number.E164, digits string) (h [16]byte) {
	m := hmac.New(sha256.New, key)
	m.Write(be.AppendUint64(nil, uint64(n)))
	m.Write([]byte(digits))
	var sum [sha256.Size]byte
	copy(h[:], m.Sum(sum[:0]))
	return h
}

func (s *scene) issueCode() {
	until := millis(s.ch.Until)
	if until <= s.nowMS {
		s.refuse("until", "is not after now")
		return
	}
	s.newCode = &code{hash: s.codeHash, until: until}
	s.out.People = len(s.who)
	s.changed()
}

// verify asks whether the code is right. A wrong one costs a try, which is kept although
// the change is refused.
func (s *scene) verify() {
	c := s.code
	switch {
	case c == nil:
		s.refuse("code", "none was sent to this number")
		return
	case s.nowMS >= c.until:
		s.dropCode = true
		s.refuse("code", "has expired")
		return
	case int(c.tries) >= s.limits.CodeTries:
		s.refuse("code", "was tried too often")
		return
	case subtle.ConstantTimeCompare(c.hash[:], s.codeHash[:]) == 0:
		tried := *c
		tried.tries++
		s.newCode = &tried
		s.refuse("code", "is wrong")
		return
	}
	s.dropCode = true
	s.changed() // the code is used up
	s.each(func(r *resident, p *personRow) {
		if s.vouch(r) {
			s.row.dirty = true
			s.note(p, event{verified: true, services: s.touched})
		}
	})
}

func (s *scene) setBlock() {
	var l block
	if s.ch.Kind == service.BlockNumber {
		b := &s.ch.Block
		if b.Scope == service.BlockNone || b.Scope > service.BlockAll {
			s.refuse("scope", "is opt-in or all")
			return
		}
		l = block{scope: b.Scope, reason: b.Reason, expires: seconds(b.Expires), channel: s.channel, at: s.now}
	}
	was := s.row.block
	same := l
	same.at = was.at
	if same == was || l.scope == service.BlockNone && was.scope == service.BlockNone {
		return
	}
	s.row.block, s.row.dirty = l, true
	s.changed()
	s.each(func(_ *resident, p *personRow) { s.note(p, event{}) })
}
