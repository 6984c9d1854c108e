package reminder

import (
	"slices"
	"time"

	"masar/service"
)

// Told is a step of a date, which may not be the present one, whose message was handed
// over and is not known to have failed.
type Told struct {
	Expires service.Day
	Lead    int
	Message uint64 // queue.ID; 0: not kept, in a record of the first version
}

// maxTold bounds Told. Only those whose message is still out, or whose day is today, can matter.
const maxTold = 8

// told tells whether the step of the present date was handed over, and may have come.
func (s *Series) told(lead int) bool {
	return slices.ContainsFunc(s.Told, func(t Told) bool { return t.Expires == s.Expires && t.Lead == lead })
}

func (s *Series) tell(lead int, message uint64) {
	if s.Told = append(s.Told, Told{s.Expires, lead, message}); len(s.Told) > maxTold {
		s.Told = slices.Delete(s.Told, 0, len(s.Told)-maxTold)
	}
}

// untell forgets a message that reaches nobody, and returns the step it was of.
func (s *Series) untell(message uint64) (was Told, told bool) {
	i := slices.IndexFunc(s.Told, func(t Told) bool { return t.Message == message && message != 0 })
	if i < 0 {
		return Told{}, false
	}
	was = s.Told[i]
	s.Told = slices.Delete(s.Told, i, i+1)
	return was, true
}

// endedEarlier takes in the end of a message that no step waits for: steps were laid out
// anew since it was handed over, or its series was deleted. Where it reached nobody, nobody
// was told; a step of the present date that was left out because of it is taken up again.
// What was taken back from the queue ends here too, where the process ended before that was
// written down. unreached is as Ended's.
func (s *Series) endedEarlier(e End, c *Clock, now time.Time) (changed bool, unreached int) {
	if e.Delivered {
		return false, -1
	}
	was, told := s.untell(e.Message)
	if !told {
		return false, -1
	}
	i := -1
	if was.Expires == s.Expires {
		i = slices.IndexFunc(s.Steps, func(st Step) bool { return st.Lead == was.Lead && st.State == Already })
	}
	if i < 0 {
		return true, -1
	}
	st := &s.Steps[i]
	// It counts as a try: the key of the next is another one than those of this Run before.
	st.Try, st.Message, st.Err, st.At = max(st.Try, 1), e.Message, bounded(e.Reason), now
	if s.State == Withdrawn {
		st.State = Recalled
		return true, -1
	}
	again, last := s.again(i, c, now)
	if again.IsZero() || s.State == Expired || s.begun(i+1) {
		st.State = Failed
		if last || s.State == Expired {
			return true, i
		}
		return true, -1
	}
	s.State, s.Step = Pending, i
	st.State, st.Due, s.Next = Coming, again, again
	return true, -1
}

// begun tells whether one of the steps from i to the one at hand was handed over, or came.
func (s *Series) begun(i int) bool {
	for ; i <= s.Step && i < len(s.Steps); i++ {
		if st := &s.Steps[i]; st.Try > 0 || st.State == Delivered {
			return true
		}
	}
	return false
}
