package pebble

import (
	"context"
	"sort"
	"strings"

	pdb "github.com/cockroachdb/pebble/v2"

	"masar/queue"
)

// question is one candidate id of one lookup.
type question struct {
	id   string
	q    *queue.Lookup
	form int
}

// Correlate is queue.Store's. It reads what was applied, durable or not: whatever comes
// of a match goes through the committer behind the row it was found by.
func (s *Store) Correlate(ctx context.Context, carrier uint32, q []queue.Lookup) error {
	if err := s.begin(); err != nil {
		return err
	}
	defer s.end()
	questions := make([]question, 0, 2*len(q))
	for i := range q {
		q[i].Found = nil
		for form, id := range q[i].IDs {
			questions = append(questions, question{strings.ToLower(id), &q[i], form})
		}
	}
	sort.Slice(questions, func(i, j int) bool { return questions[i].id < questions[j].id })
	lower := correlatePrefix(nil, carrier, "")[:5]
	i, err := s.db.NewIter(&pdb.IterOptions{LowerBound: lower, UpperBound: after(lower)})
	if err != nil {
		return err
	}
	defer i.Close()
	var k []byte
	for n := range questions {
		if n%256 == 0 && ctx.Err() != nil {
			return ctx.Err()
		}
		question := &questions[n]
		if q := question.q; q.Found != nil && q.Form <= question.form {
			continue
		}
		k = correlatePrefix(k, carrier, question.id)
		for ok := i.SeekGE(k); ok; ok = i.Next() {
			key := i.Key()
			if len(key) != len(k)+correlateTail || string(key[:len(k)]) != string(k) {
				break
			}
			ref, err := s.refOf(key[len(k):])
			if err != nil {
				return err
			}
			// Of several with one id (a carrier that uses its ids again) the newest is meant.
			if ref != nil && agrees(question.q.Dest, ref.M) {
				question.q.Found, question.q.Form = ref, question.form
			}
		}
		if err := i.Error(); err != nil {
			return err
		}
	}
	return nil
}

// refOf reads what a correlation row refers to by its tail: id, attempt, part. nil when
// the message is not waiting for receipts: it has ended, or its parts are not all sent.
func (s *Store) refOf(tail []byte) (*queue.Ref, error) {
	id, attempt, part := queue.ID(be.Uint64(tail)), tail[8], tail[9]
	ref := &queue.Ref{M: new(queue.Message), Stamp: uint64(id)}
	v, closer, err := s.db.Get(idKey(nil, kindSent, id))
	if err == pdb.ErrNotFound {
		return s.refOfWaiting(id, attempt, part)
	}
	if err != nil {
		return nil, err
	}
	ref.TextMAC, err = parseSent(v, &ref.Info, ref.M)
	closer.Close()
	if err != nil {
		return nil, err
	}
	if ref.Info.Of <= 1 && ref.Info.Attempt == attempt && ref.Info.Part == part {
		return ref, nil
	}
	return s.refParts(ref, attempt, part)
}

// refParts fills a ref of one part of several.
func (s *Store) refParts(ref *queue.Ref, attempt, part uint8) (*queue.Ref, error) {
	found := false
	err := s.eachPart(s.db, ref.M.ID, func(p *answered) {
		if p.Attempt == attempt {
			ref.Parts = append(ref.Parts, p.PartInfo)
			if p.Part == part {
				ref.Info, found = p.PartInfo, true
			}
		}
	})
	if err != nil || !found {
		return nil, err
	}
	return ref, nil
}

// refOfWaiting is refOf for a message that still waits to send its other parts: its
// record is in memory, claimed, and not ours to read; on disk it is as it was.
func (s *Store) refOfWaiting(id queue.ID, attempt, part uint8) (*queue.Ref, error) {
	p, err := s.locate(s.db, 0, id)
	if err == queue.ErrUnknown || err == nil && (p.stage == queue.Ended || p.stage == queue.Sent) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	ref := &queue.Ref{M: new(queue.Message), Stamp: uint64(id)}
	if err := queue.DecodeMessage(p.record, ref.M); err != nil {
		return nil, err
	}
	ref.M.Attempt = max(ref.M.Attempt, attempt)
	return s.refParts(ref, attempt, part)
}

// agreeDigits is how many last digits of two numbers must be the same: carriers write
// numbers with and without country code.
const agreeDigits = 8

// agrees says whether a receipt about dest can be about m.
func agrees(dest string, m *queue.Message) bool {
	if dest == "" {
		return true
	}
	return tailOf(dest) == tailOf(m.Dest.Addr) ||
		m.DestWritten.Addr != "" && tailOf(dest) == tailOf(m.DestWritten.Addr)
}

func tailOf(number string) string { return number[max(0, len(number)-agreeDigits):] }
