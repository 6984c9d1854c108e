package reminder

import (
	"slices"
	"time"

	"masar/service"
)

// A Series is a Reminder as it is kept: with its steps, and how far they are. Its methods
// decide; they read no clock and write nothing.
type Series struct {
	Reminder
	ID    uint64 // given by the Store, never given again
	State State
	Run   uint32 // rises when steps are laid out anew, so that what earlier ones sent is told apart
	Steps []Step // one a lead, falling
	Step  int    // the one at hand; len(Steps): none is left
	// Next is when something is to be done with it: a step leaves, the next step's day comes
	// while one is out, the date comes, or, once it is over, its row goes.
	Next time.Time
	Told []Told // steps that were handed over and are not known to have failed

	stored stored
}

// A Step is the message Lead days before the date.
type Step struct {
	Lead    int
	State   StepState
	Try     uint8     // messages handed over, or refused, so far
	Due     time.Time // of the next try, or the last
	Message uint64    // the last one's queue.ID
	Err     string
	At      time.Time // of State
}

// Action is what is to be done with a Series.
type Action uint8

// The actions.
const (
	Rest    Action = iota // nothing before Next
	Send                  // hand the step at hand over, if Ready still says so
	Recall                // take back the step that is out: the next one's day has come
	Finish                // the date has come
	Discard               // it was over long enough
)

// Act says what is to be done at now.
func (s *Series) Act(c *Clock, now time.Time) Action {
	switch {
	case s.Next.IsZero() || now.Before(s.Next):
		return Rest
	case s.State != Pending:
		return Discard
	case !now.Before(s.comes(c)) || s.Step >= len(s.Steps):
		return Finish
	case s.Steps[s.Step].State == Coming:
		return Send
	case s.Step+1 < len(s.Steps) && !now.Before(c.On(s.day(s.Step+1))):
		return Recall
	}
	return Rest
}

// day is the day of a step.
func (s *Series) day(i int) service.Day { return AddDays(s.Expires, -s.Steps[i].Lead) }

// comes is when nothing of the series may leave any more.
func (s *Series) comes(c *Clock) time.Time {
	if n := len(s.Steps); n > 0 {
		return s.limit(c, n-1)
	}
	return c.begins(s.Expires)
}

// limit is when a step may not leave any more: when its date comes, but for a step of
// that very day.
func (s *Series) limit(c *Clock, i int) time.Time {
	if s.Steps[i].Lead == 0 {
		return c.begins(AddDays(s.Expires, 1))
	}
	return c.begins(s.Expires)
}

// Moves tells whether a Reminder with these leads is due on other days.
func (s *Series) Moves(r *Reminder, lead []int) bool {
	return s.Expires != r.Expires || s.Service != r.Service ||
		!slices.EqualFunc(s.Steps, lead, func(st Step, lead int) bool { return st.Lead == lead })
}

// Leads are the leads of its steps.
func (s *Series) Leads() []int {
	lead := make([]int, len(s.Steps))
	for i := range s.Steps {
		lead[i] = s.Steps[i].Lead
	}
	return lead
}

// Same tells whether r, with these leads, asks for what is kept.
func (s *Series) Same(r *Reminder, lead []int) bool { return s.same(r) && !s.Moves(r, lead) }

// Set lays the steps out anew. One whose day is past is left out; one whose day is today
// leaves, at once where At has passed. A step of the same date that has failed and waits for
// its next try goes on waiting for that, unless the day of the one behind it comes first.
//
// REQUIRES: what was out is recalled, or known to be leaving.
func (s *Series) Set(r Reminder, lead []int, c *Clock, now time.Time) {
	if !s.Created.IsZero() {
		r.Created = s.Created
	}
	var tried Step
	if st := s.AtHand(); s.State == Pending && st != nil && st.State == Coming && st.Try > 0 && s.Expires == r.Expires && s.Service == r.Service {
		tried = Step{Lead: st.Lead, Try: st.Try, Due: st.Due, Err: st.Err, At: st.At}
	}
	s.Reminder = r
	s.State, s.Step = Pending, 0
	s.Run++
	s.Steps = make([]Step, len(lead))
	today := c.Today(now)
	for i, days := range lead {
		st := &s.Steps[i]
		st.Lead = days
		if tried.Try > 0 && tried.Lead == days && (i+1 == len(lead) || later(tried.Due, now).Before(c.On(AddDays(r.Expires, -lead[i+1])))) {
			*st = tried
			continue
		}
		if i == s.Step && s.day(i).Compare(today) < 0 {
			st.State = Past
			if s.told(days) { // it is on its way yet
				st.State, st.At = Already, now
			}
			s.Step++
		}
	}
	s.arm(c, now)
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// Change takes what r says beside the dates. withdrawn: the message of the step at hand was
// taken back for it, so that the step leaves again, as it is now.
func (s *Series) Change(r Reminder, withdrawn bool, c *Clock, now time.Time) {
	r.Created = s.Created
	s.Reminder = r
	if st := s.AtHand(); withdrawn && st != nil && st.State == Out {
		s.Withdrawn()
		s.Run++
		s.arm(c, now)
	}
}

// arm sets when the step at hand is due; without one the series is over.
func (s *Series) arm(c *Clock, now time.Time) {
	for ; s.Step < len(s.Steps); s.Step++ {
		st := &s.Steps[s.Step]
		due := c.On(s.day(s.Step))
		if st.Try > 0 {
			due = later(due, st.Due)
		}
		if due.Before(now) {
			due = c.open(now)
		}
		switch {
		case s.told(st.Lead):
			st.State, st.At = Already, now
		case !due.Before(s.limit(c, s.Step)):
			st.State, st.At = Missed, now
		default:
			st.State, st.Due = Coming, due.Truncate(time.Second)
			s.Next = st.Due
			return
		}
	}
	s.over(Done, c, now)
}

func (s *Series) over(state State, c *Clock, now time.Time) {
	s.State = state
	if comes := s.comes(c); state == Done && comes.After(now) {
		now = comes
	}
	s.Next = now.Add(c.Keep).Truncate(time.Second)
}

// AtHand is the step at hand; nil when none is.
func (s *Series) AtHand() *Step {
	if s.Step >= len(s.Steps) {
		return nil
	}
	return &s.Steps[s.Step]
}

// Ready says whether the step at hand leaves now. Where the gateway was down while days
// went by, the latest step whose day has come is the one at hand then. false: Next is set
// anew, and is to be written before anything leaves: what is handed over is always the
// step at hand of what is on disk.
//
// REQUIRES: Act has said Send.
func (s *Series) Ready(c *Clock, now time.Time) bool {
	late := s.Step
	for s.Step+1 < len(s.Steps) && !now.Before(c.On(s.day(s.Step+1))) {
		st := s.AtHand()
		st.State, st.At = Superseded, now
		s.Step++
	}
	if s.Step != late || c.open(now).After(now) || s.told(s.AtHand().Lead) {
		s.arm(c, now)
		return false
	}
	return true
}

// Begun tells whether the step at hand may have been handed over already, by a process that
// ended before it wrote that down: it is due, or was when the hours were others.
func (s *Series) Begun(c *Clock, now time.Time) bool {
	return !s.Next.After(now) || s.Step < len(s.Steps) && c.Today(now).Compare(s.day(s.Step)) >= 0
}

// Postpone leaves the step at hand, which is due, for a moment: the gateway has no room.
// No try is counted, and Due stays what it was.
func (s *Series) Postpone(until time.Time) { s.Next = until.Truncate(time.Second).Add(time.Second) }

// Left is how long the step at hand may be on its way at now: until its date comes.
func (s *Series) Left(c *Clock, now time.Time) time.Duration { return s.limit(c, s.Step).Sub(now) }

// Submitted records that the step at hand is in the gateway's queue.
func (s *Series) Submitted(message uint64, c *Clock, now time.Time) {
	st := s.AtHand()
	st.State, st.Message, st.Err, st.At = Out, message, "", now
	st.Try++
	s.tell(st.Lead, message)
	s.Rest(c)
}

// Rest sets when something is to be done with a series whose step at hand is out: when the
// next one's day or the date comes.
func (s *Series) Rest(c *Clock) {
	s.Next = s.comes(c)
	if s.Step+1 < len(s.Steps) {
		if next := c.On(s.day(s.Step + 1)); next.Before(s.Next) {
			s.Next = next
		}
	}
}

// Refused records that the gateway did not take the step at hand. unreached: that was the
// last try.
func (s *Series) Refused(reason string, c *Clock, now time.Time) (unreached bool) {
	s.AtHand().Try++
	return s.fail(reason, c, now)
}

// again is when step i, which has failed, is tried again: the next permitted day; zero: not
// any more. last: because its tries or its days are over, and not because the next step's
// day comes first.
func (s *Series) again(i int, c *Clock, now time.Time) (at time.Time, last bool) {
	at = c.On(AddDays(c.Today(now), 1))
	switch {
	case int(s.Steps[i].Try) >= c.Tries || !at.Before(s.limit(c, i)):
		return time.Time{}, true
	case i+1 < len(s.Steps) && !at.Before(c.On(s.day(i+1))):
		return time.Time{}, false
	}
	return at, false
}

// fail plans the next try of the step at hand.
func (s *Series) fail(reason string, c *Clock, now time.Time) (unreached bool) {
	st := s.AtHand()
	s.untell(st.Message)
	st.Err, st.At = bounded(reason), now
	again, last := s.again(s.Step, c, now)
	if !again.IsZero() {
		st.State, st.Due = Coming, again
		s.Next = again
		return false
	}
	st.State = Failed
	s.Step++
	s.arm(c, now)
	return last
}

// An End is what became of a message of a series.
type End struct {
	Item      uint64 // as Item was when it was handed over
	Message   uint64
	Delivered bool
	Reason    string // why it was not
}

// Ended takes what became of a message in; told twice it changes nothing. unreached is the
// step whose last try it was; -1: none.
func (s *Series) Ended(e End, c *Clock, now time.Time) (changed bool, unreached int) {
	run, i, try := uint32(e.Item>>32), int(e.Item>>8&0xFFFFFF), uint8(e.Item)
	if run != s.Run || i >= len(s.Steps) {
		return s.endedEarlier(e, c, now)
	}
	st := &s.Steps[i]
	if s.State == Pending && i == s.Step && st.State == Coming && try == st.Try+1 {
		s.Submitted(e.Message, c, now) // the process ended before it wrote that down
	}
	if try != st.Try {
		return s.endedEarlier(e, c, now)
	}
	switch st.State {
	case Out:
		if e.Message != st.Message {
			return false, -1 // of another series that had the ID, before the folder was restored
		}
	case Superseded, Recalled:
		if e.Delivered { // it was leaving
			st.State, st.At = Delivered, now
			return true, -1
		}
		return s.endedEarlier(e, c, now)
	default:
		return s.endedEarlier(e, c, now)
	}
	switch {
	case e.Delivered:
		st.State, st.Err, st.At = Delivered, bounded(e.Reason), now
		if s.State == Pending && i == s.Step {
			s.Step++
			s.arm(c, now)
		}
	case s.State == Pending && i == s.Step:
		if s.fail(e.Reason, c, now) {
			return true, i
		}
	case s.State == Withdrawn:
		s.untell(e.Message)
		st.State, st.Err, st.At = Recalled, bounded(e.Reason), now
	default: // the date has come meanwhile
		s.untell(e.Message)
		st.State, st.Err, st.At = Failed, bounded(e.Reason), now
		return true, i
	}
	return true, -1
}

// Recalled goes on to the next step, whose day has come while one was out. withdrawn: the
// message was taken back; else it is leaving, or has left.
//
// REQUIRES: Act has said Recall.
func (s *Series) Recalled(withdrawn bool, c *Clock, now time.Time) {
	st := s.AtHand()
	st.State, st.At = Superseded, now
	if withdrawn {
		s.untell(st.Message)
	}
	s.Step++
	s.arm(c, now)
}

// Finished ends a series whose date has come. unreached: its step at hand never left.
func (s *Series) Finished(c *Clock, now time.Time) (unreached bool) {
	if st := s.AtHand(); st != nil && st.State == Coming {
		if st.Err == "" {
			st.Err = "date_passed"
		}
		st.State, st.At = Missed, now
		unreached = true
	}
	s.over(Expired, c, now)
	return unreached
}

// Delete ends a series because the agency says so. withdrawn: what was out was taken back.
func (s *Series) Delete(withdrawn bool, c *Clock, now time.Time) {
	for i := s.Step; i < len(s.Steps); i++ {
		st := &s.Steps[i]
		if st.State == Coming || st.State == Out && withdrawn {
			if st.State == Out {
				s.untell(st.Message)
			}
			st.State, st.At = Recalled, now
		}
	}
	s.over(Withdrawn, c, now)
}

// Withdrawn forgets a message of the step at hand that was taken back: it leaves again, or
// Set lays it out anew. REQUIRES: Run rises before anything is handed over.
func (s *Series) Withdrawn() {
	if st := s.AtHand(); st != nil && st.State == Out {
		s.untell(st.Message)
		st.State, st.Message = Coming, 0
		st.Try--
	}
}

// Item names the message of the step at hand that is handed over next, within the series.
func (s *Series) Item() uint64 {
	return uint64(s.Run)<<32 | uint64(s.Step)<<8 | uint64(s.AtHand().Try+1)
}

// Once is the key under which it is handed over: the same message however often the
// process ends in between.
func (s *Series) Once() []byte {
	k := append(make([]byte, 0, 25), 'r')
	k = be.AppendUint64(be.AppendUint64(k, s.ID), s.Item())
	// An ID is given again where the folder was restored from a copy.
	return be.AppendUint64(k, Hash(s.Account, s.Key))
}

// Missing is the row of a step whose tries were all in vain.
func (s *Series) Missing(step int, c *Clock, now time.Time) Missing {
	st := &s.Steps[step]
	return Missing{Day: c.Today(now), Series: s, Step: step, Unreached: Unreached{
		Key: s.Key, Person: s.Person, Number: s.Reminder.Number, Service: s.Service, Expires: s.Expires,
		Lead: st.Lead, Reason: st.Err, Tries: int(st.Try), At: now,
	}}
}

// View is what is told of a series.
func (s *Series) View(c *Clock) View {
	v := View{Reminder: s.Reminder, State: s.State, Steps: make([]StepView, len(s.Steps))}
	for i := range s.Steps {
		st := &s.Steps[i]
		v.Steps[i] = StepView{Lead: st.Lead, Due: st.Due, Try: int(st.Try), State: st.State.String(), Message: st.Message, Err: st.Err, At: st.At}
		if st.Due.IsZero() {
			v.Steps[i].Due = c.On(s.day(i))
		}
		if s.State == Pending && st.State == Coming && v.Next.IsZero() {
			v.Next = v.Steps[i].Due
		}
	}
	return v
}

// Standing says whether a message that is about to leave still may.
type Standing uint8

// How a message stands.
const (
	Stands Standing = iota
	Gone            // deleted, another date, or the next step's day has come
	Late            // the date has come
)

// Stands tells how the message stands that was handed over as item.
func (s *Series) Stands(item uint64, c *Clock, now time.Time) Standing {
	run, i := uint32(item>>32), int(item>>8&0xFFFFFF)
	switch {
	case run != s.Run || s.State == Withdrawn || i != s.Step || i >= len(s.Steps):
		return Gone
	case s.State != Pending || !now.Before(s.limit(c, i)):
		return Late
	}
	return Stands
}
