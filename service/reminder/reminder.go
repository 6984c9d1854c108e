package reminder

import (
	"errors"
	"maps"
	"slices"
	"time"

	"masar/number"
	"masar/service"
)

// A Reminder is what an agency asks for: tell this person before this date.
type Reminder struct {
	Account string // system_id it is sent under; Key is unique within it
	Key     string // the agency's own: 1 to 64 printable characters
	// Exactly one of the two. A Person gets it at his number of the day.
	Person service.Person
	Number number.E164

	Service  string            // code
	Expires  service.Day       // the date that is reminded of
	Calendar Calendar          // as the agency wrote it
	Lead     []int             // days before Expires, falling; empty: the service's
	Params   map[string]string // all of the template's but expiry_date and days, which are filled in when it leaves

	Channel, By string // who asked last: the API key's channel, and the clerk it names
	Created     time.Time
	Changed     time.Time
}

// The parameters of a template that are filled in when a reminder leaves.
const (
	ParamExpiry = "expiry_date" // Expires in the agency's calendar
	ParamDays   = "days"        // from the day it leaves to Expires
)

// State is how a Reminder stands as a whole.
type State uint8

// The states of a Reminder.
const (
	Pending   State = iota // some step is still to come, or out
	Done                   // all steps are over
	Withdrawn              // deleted; kept for a while, so that the list of what was done is whole
	Expired                // the date has come before all steps were over
)

var stateNames = [...]string{"pending", "done", "withdrawn", "expired"}

func (s State) String() string { return nameOf(stateNames[:], uint8(s)) }

// StepState is how one step stands.
type StepState uint8

// The states of a step.
const (
	Coming     StepState = iota // it waits for its day, or for its next try
	Out                         // handed to the gateway, its end is not known yet
	Delivered                   // DELIVRD
	Failed                      // all tries are over, or no permitted day was left
	Past                        // its day was past when the date was set
	Superseded                  // the day of the next step came before it was over
	Recalled                    // taken back: another date, or deleted
	Missed                      // the date came before it could leave
	Already                     // the same step of the same date has left before the date was moved and moved back
)

var stepNames = [...]string{"coming", "out", "delivered", "failed", "past", "superseded", "recalled", "missed", "already"}

func (s StepState) String() string { return nameOf(stepNames[:], uint8(s)) }

// A View is a Reminder and how far it has come.
type View struct {
	Reminder
	State State
	Next  time.Time // when the next message of it is due; zero: none is to come
	Steps []StepView
}

// A StepView is one step: the message Lead days before the date.
type StepView struct {
	Lead    int
	Due     time.Time // of the try that is to come, or was the last
	Try     int       // messages handed over for it
	State   string    // a StepState
	Message uint64    // queue.ID of the last one; 0: none
	Err     string    // why the last try failed
	At      time.Time // when State came about; zero: it is still as it began
}

// A FieldError is why a Reminder is refused. Those of one Reminder are joined.
type FieldError struct {
	Field string // as the API spells it
	Rule  string // "1448-09-30: Ramadan 1448 has 29 days"
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Rule }

// Errors of a Store.
var (
	ErrUnknown = errors.New("no such reminder")
	ErrFull    = errors.New("the disk of the reminders is nearly full")
)

// Query selects reminders that are to come, by when they are due.
type Query struct {
	Account  string // required
	Service  string // empty: all of the account's
	From, To time.Time
	After    string // a page's Next; empty: from the start
	Max      int    // rows of a page; 0: 100, at most 10,000
}

// A DueRow is one message that is to come.
type DueRow struct {
	Key     string
	Person  service.Person
	Number  number.E164
	Service string
	Expires service.Day
	Lead    int
	Try     int // of those before it
	Due     time.Time
}

// UnreachedQuery selects who was not reached on a day.
type UnreachedQuery struct {
	Account string
	Service string      // empty: all of the account's
	Day     service.Day // by the clock of the service's agency
	After   string
	Max     int // rows of a page; 0: 100, at most 10,000
}

// Unreached is a step whose tries were all in vain.
type Unreached struct {
	Key     string
	Person  service.Person
	Number  number.E164
	Service string
	Expires service.Day
	Lead    int
	Reason  string // of the last try: the carrier's error, or why the gateway refused it
	Tries   int
	At      time.Time
}

// same tells whether two Reminders say the same but for their dates, whoever asks, and when.
func (r *Reminder) same(o *Reminder) bool {
	return r.Person == o.Person && r.Number == o.Number && r.Calendar == o.Calendar && slices.Equal(r.Lead, o.Lead) && maps.Equal(r.Params, o.Params)
}

func nameOf(names []string, i uint8) string {
	if int(i) < len(names) {
		return names[i]
	}
	return "unknown"
}
