package campaign

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"
)

// A Campaign is one text, or one template, to the recipients of one file.
type Campaign struct {
	ID      uint64 // from 1, never given twice
	Name    string // 1 to 100 characters; for people
	Account string // system_id it is sent under
	Service string // code of the catalogue; empty only for plain accounts
	Text    string // the same for all; empty: rows carry a text, or the template's parameters
	By      string // who made it

	Params bool // rows carry the template's parameters
	Texts  bool // rows carry their own text
	// Columns are the parameters that a row's Values are of, in their order; nil where rows
	// carry none, or a text.
	Columns []string
	Header  []string // of the file, as it names its columns; nil: JSON Lines

	State    State
	Why      string // what an operator should know of the state: why it was paused, or failed
	Uploaded string // who brought the file; empty: there is none
	Released string // the second person; empty: nobody
	Stopper  string // who stopped it
	Checker  string // who asked for the check that is under way

	Created time.Time
	Changed time.Time // the file
	Started time.Time
	Tested  time.Time
	Ended   time.Time // the last end of the last row is known

	Pace   float64 // messages a second that are handed to the queue; 0: as it takes them
	Halt   string  // of the gateway, while the campaign is held; empty: none
	Nonce  uint64  // with ID and row what makes a message known again
	Counts Counts
	Check  *Check // of the file as it is; nil: not checked

	gen uint32 // of the file's rows in the store; 0: there is no file
	fed uint64 // the last row that was handed over or passed by
}

// Counts says what became of the rows. It is exact at any moment, also after kill -9:
// Rows = Bad + Duplicate + Left + Refused + Accepted + Stopped, and
// Accepted = Waiting + the sum of Ended.
type Counts struct {
	Rows      int64
	Bad       int64            // could not be read; never sent
	Duplicate int64            // its recipient stands in the file before
	Left      int64            // not handed to the queue yet
	Refused   int64            // by the gateway, when they were handed over
	Accepted  int64            // on disk in the queue, or further
	Waiting   int64            // accepted and not ended: queued, held, on the wire, or the receipt is awaited
	Stopped   int64            // never handed over: the campaign was stopped
	Parts     int64            // of what was accepted
	Refusals  map[string]int64 // Refused, by reason
	Ended     map[string]int64 // by the state of a receipt: "DELIVRD"
}

// Recipients is how many rows may be sent.
func (c *Counts) Recipients() int64 { return c.Rows - c.Bad - c.Duplicate }

// Wrong says which sum does not hold; empty: they do.
func (c *Counts) Wrong() string {
	if sum := c.Bad + c.Duplicate + c.Left + c.Refused + c.Accepted + c.Stopped; sum != c.Rows {
		return fmt.Sprintf("%d rows, and %d in %+v", c.Rows, sum, *c)
	}
	ended, refused := int64(0), int64(0)
	for _, n := range c.Ended {
		ended += n
	}
	for _, n := range c.Refusals {
		refused += n
	}
	if c.Waiting+ended != c.Accepted {
		return fmt.Sprintf("%d accepted, and %d waiting + %d ended", c.Accepted, c.Waiting, ended)
	}
	if refused != c.Refused {
		return fmt.Sprintf("%d refused, and %d by reason", c.Refused, refused)
	}
	return ""
}

func (c Counts) clone() Counts {
	c.Refusals, c.Ended = maps.Clone(c.Refusals), maps.Clone(c.Ended)
	return c
}

// A Check is what a dry run found.
type Check struct {
	Rows, Good, Bad, Duplicate int64

	Refused  map[string]int64 // by the gateway's reason, or "bad_params", "unknown_person"
	Held     int64            // of Good: would wait for permitted hours, at this time of day
	Segments int64
	Parts    map[string]int64 // segments by route
	Takes    time.Duration    // at the carriers' pace, with what waits before them; below 0: a carrier is down
	Errors   []RowError       // the first 100, bad rows of the file included
	At       time.Time
	By       string
}

// MaxErrors is how many Errors a Check keeps.
const MaxErrors = 100

// A RowError is what is wrong with one row of a file.
type RowError struct {
	Row   uint64 // the line of the file
	Field string // column; empty: the row as such
	Rule  string
}

func (e *RowError) Error() string {
	if e.Field == "" {
		return fmt.Sprintf("row %d: %s", e.Row, e.Rule)
	}
	return fmt.Sprintf("row %d, field %s: %s", e.Row, e.Field, e.Rule)
}

// A FieldError is what a request got wrong.
type FieldError struct {
	Field string
	Rule  string
}

func (e *FieldError) Error() string { return e.Field + ": " + e.Rule }

// State says how far a campaign is.
type State uint8

// The states.
const (
	Draft    State = iota // made; the file may be there
	Checking              // the dry run is under way
	Checked               // may start, or be released where that needs a second person
	Released              // may start
	Running               // rows go to the queue, or the last ends are awaited
	Paused                // nothing leaves
	Done                  // every row has its end
	Stopped               // nothing leaves any more; ends of what had left may still come
	Failed                // its rows cannot be read
)

var stateNames = [...]string{"draft", "checking", "checked", "released", "running", "paused", "done", "stopped", "failed"}

func (s State) String() string {
	if int(s) < len(stateNames) {
		return stateNames[s]
	}
	return fmt.Sprintf("state %d", uint8(s))
}

// States are all, by name.
func States() []string { return slices.Clone(stateNames[:]) }

// StateOf reads a state's name.
func StateOf(name string) (State, bool) {
	i := slices.Index(stateNames[:], name)
	return State(max(i, 0)), i >= 0
}

// MarshalText writes the state's name.
func (s State) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// UnmarshalText reads the state's name.
func (s *State) UnmarshalText(b []byte) error {
	got, ok := StateOf(string(b))
	if !ok {
		return fmt.Errorf("%q is no state of a campaign", b)
	}
	*s = got
	return nil
}

// Errors that a caller decides on.
var (
	ErrUnknown    = errors.New("no such campaign")
	ErrSamePerson = errors.New("who made a campaign, or brought its file, cannot release it: a second person has to")
	// ErrNameless and ErrMadeNameless: who cannot be told from another is no second person.
	ErrNameless     = errors.New("say who releases: --as NAME, or use a key of your own")
	ErrMadeNameless = errors.New("nobody can release it: who made it, or brought its file, has not said who he is: do that again with --as NAME, or with a key of your own")

	ErrNotReleased = errors.New("so many recipients need a second person's release first")
	ErrNoFile      = errors.New("the campaign has no file yet")
	ErrNotChecked  = errors.New("the file has not been checked since it changed: check it first")
	ErrNobody      = errors.New("no row of the file can be sent")
	ErrNotYet      = errors.New("the gateway is starting or stopping: try again in a moment")
	ErrBusy        = errors.New("a file of this campaign is being read just now")
)

// A StateError is an action that the state does not allow.
type StateError struct {
	Action Action
	State  State
}

func (e *StateError) Error() string {
	return fmt.Sprintf("a campaign that is %s cannot be %s", e.State, actions[e.Action].done)
}

// Action is what somebody asks of a campaign.
type Action uint8

// The actions.
const (
	Uploading Action = iota
	CheckingIt
	Testing
	Releasing
	Starting
	Pausing
	Resuming
	Stopping
	Deleting
)

// actions is the one table of what may be done when.
var actions = [...]struct {
	done string
	in   []State
}{
	Uploading:  {"given a file", []State{Draft, Checked, Released}},
	CheckingIt: {"checked", []State{Draft, Checked, Released}},
	Testing:    {"tested", []State{Draft, Checked, Released, Paused}},
	Releasing:  {"released", []State{Checked, Released}},
	Starting:   {"started", []State{Checked, Released}},
	Pausing:    {"paused", []State{Running, Paused}},
	Resuming:   {"resumed", []State{Paused, Running}},
	Stopping:   {"stopped", []State{Checking, Checked, Released, Running, Paused, Stopped, Failed}},
	Deleting:   {"deleted", []State{Draft, Checked, Released, Done, Stopped, Failed}},
}

// May says whether the state allows an action: nil or a *StateError. What else an action
// asks for is its own.
func (c *Campaign) May(a Action) error {
	if slices.Contains(actions[a].in, c.State) {
		return nil
	}
	return &StateError{a, c.State}
}

// MayStart says whether a campaign may begin now, where more than above recipients need a
// release.
func (c *Campaign) MayStart(above int64) error {
	switch err := c.May(Starting); {
	case c.State == Draft && c.gen == 0:
		return ErrNoFile
	case c.State == Draft:
		return ErrNotChecked
	case err != nil:
		return err
	case c.Check == nil:
		return ErrNotChecked
	case c.Counts.Left == 0 || c.Check.Good == 0:
		return ErrNobody
	case c.NeedsRelease(above):
		return ErrNotReleased
	}
	return nil
}

// NeedsRelease says that a second person has to release it before it may start.
func (c *Campaign) NeedsRelease(above int64) bool {
	return (c.State == Draft || c.State == Checking || c.State == Checked) && c.Counts.Recipients() > above && c.Released == ""
}

// Release is a second person's word: both have to have a name. Errors: ErrSamePerson,
// ErrNameless, ErrMadeNameless, ErrNoFile, ErrNotChecked, *StateError, *FieldError.
func (c *Campaign) Release(by string) error {
	switch err := c.May(Releasing); {
	case c.State == Draft && c.gen == 0:
		return ErrNoFile
	case c.State == Draft:
		return ErrNotChecked
	case err != nil:
		return err
	case by == "":
		return &FieldError{"by", "is needed: who releases it"}
	case by == c.By, by == c.Uploaded:
		return ErrSamePerson
	case nameless(by):
		return ErrNameless
	case nameless(c.By), nameless(c.Uploaded):
		return ErrMadeNameless
	}
	c.State, c.Released = Released, by
	return nil
}

// nameless says that a user is whoever holds the operator's token, or asks over the socket
// without a name. It may be the one who asks under a name, too.
func nameless(user string) bool { return user == "admin" || user == "cli" }

// HasFile says that there are rows.
func (c *Campaign) HasFile() bool { return c.gen != 0 }

// Over says that no end can come any more.
func (c *Campaign) Over() bool {
	return c.State == Done || (c.State == Stopped || c.State == Failed) && c.Counts.Waiting == 0
}

// settle takes the state on when the last row has its end.
func (c *Campaign) settle(now time.Time) {
	if c.Counts.Waiting > 0 || !c.Ended.IsZero() {
		return
	}
	switch {
	case c.State == Running && c.Counts.Left == 0:
		c.State, c.Why, c.Ended = Done, "", now
	case c.State == Stopped, c.State == Failed:
		c.Ended = now
	}
}

// stop ends what was not handed over.
func (c *Campaign) stop() {
	c.State = Stopped
	c.Counts.Stopped += c.Counts.Left
	c.Counts.Left = 0
}

// check says what of a new campaign is missing.
func (c *Campaign) check() error {
	switch {
	case c.Name == "":
		return &FieldError{"name", "is needed"}
	case len([]rune(c.Name)) > 100:
		return &FieldError{"name", "has more than 100 characters"}
	case c.Account == "":
		return &FieldError{"account", "is needed: the system_id to send under"}
	case c.By == "":
		return &FieldError{"by", "is needed: who makes it"}
	case !(c.Pace >= 0 && c.Pace <= 1e6):
		return &FieldError{"pace", "is messages a second: 0 (as the queue takes them) to 1000000"}
	}
	return nil
}
