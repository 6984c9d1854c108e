package service

import (
	"context"
	"errors"
	"time"

	"masar/number"
)

// A Registry keeps subscribers, their consent and the blocklist durably. All methods may
// be called from any goroutine.
type Registry interface {
	// Lookup tells what is known of a number; nil: nothing. The Standing is shared: it must
	// not be changed. From memory where it was asked before, else one read of the disk.
	Lookup(ctx context.Context, n number.E164) (*Standing, error)

	// Version rises with every change that touches a number, before Apply returns. It may
	// rise without one. A Standing looked up after Version was read holds as long as
	// Version stays. It does not outlive the process. Lock-free.
	Version(n number.E164) uint64

	// Find tells of one person; ErrNobody.
	Find(ctx context.Context, p Person) (Subscriber, error)

	// Apply makes changes in order and returns when they are on disk, fsynced. Each change
	// stands alone: one that is refused (Outcome.Err) costs the others nothing. An error
	// means nothing of the batch happened. What the batch carries beside its changes is
	// stored in the same atomic write. Calls share their fsyncs.
	Apply(ctx context.Context, b Batch) ([]Outcome, error)

	// History tells what happened to a person, oldest first.
	History(ctx context.Context, p Person) ([]Event, error)

	// Each calls f with every subscriber, in no promised order, until f returns an error.
	// It sees each change wholly or not at all and holds no lock meanwhile.
	Each(ctx context.Context, f func(*Subscriber) error) error

	// EachBlocked calls f with every number that is blocked.
	EachBlocked(ctx context.Context, f func(number.E164, Block) error) error

	// Once tells what a batch with this key left; ErrNobody when none did.
	Once(ctx context.Context, key string) (Once, error)

	// Bookmark is how far a bulk job came; the zero Bookmark when it never began.
	Bookmark(ctx context.Context, job string) (Bookmark, error)

	// Stats counts, from running totals.
	Stats(ctx context.Context) (Stats, error)

	// Close commits what waits and closes the store. Idempotent.
	Close() error
}

// Errors of a Registry.
var (
	ErrNobody         = errors.New("no such subscriber")
	ErrKeyReused      = errors.New("idempotency key was used with another body")
	ErrRegistryClosed = errors.New("the registry is closed")
)

// A Standing is all that decides whether a number may be sent to.
type Standing struct {
	Block  Block
	People []Subscriber // whose current number it is; several where a family shares a phone
}

// A Subscriber is a person with one current number.
type Subscriber struct {
	Person     Person
	Number     number.E164
	Language   string // of an open list; empty: not said
	State      SubscriberState
	Since      time.Time // first seen
	Enrolments []Enrolment
}

// SubscriberState says whether a subscriber's number can be trusted to be his.
type SubscriberState uint8

// The states of a subscriber.
const (
	Active      SubscriberState = iota
	Recycled                    // the number was reported to be somebody else's now
	Unreachable                 // it failed as unknown too often: see Limits
)

var subscriberStates = [...]string{"active", "recycled", "unreachable"}

func (s SubscriberState) String() string { return subscriberStates[s] }

// An Enrolment is one person's standing with one service.
type Enrolment struct {
	Service  string // code
	State    EnrolmentState
	Channel  string    // name of the channel that made it
	At       time.Time // of the consent or withdrawal, to the second; zero: undated
	ByPerson bool      // a withdrawal by the person: outlives older and undated consents
}

// EnrolmentState is what an Enrolment says.
type EnrolmentState uint8

// The states of an enrolment.
const (
	Enrolled  EnrolmentState = iota
	Pending                  // waits for the code sent to the number
	Withdrawn                // kept, so that an older consent does not come back
)

var enrolmentStates = [...]string{"enrolled", "pending", "withdrawn"}

func (s EnrolmentState) String() string { return enrolmentStates[s] }

// Block keeps a number from being sent to. The zero value does not.
type Block struct {
	Scope   BlockScope
	Reason  string    // at most 100 octets
	Expires time.Time // zero: never
	Channel string    // who blocked it
	At      time.Time
}

// BlockScope says what a Block keeps away.
type BlockScope uint8

// The scopes.
const (
	BlockNone  BlockScope = iota
	BlockOptIn            // everything but mandatory services
	BlockAll
)

var blockScopes = [...]string{"none", "opt-in", "all"}

func (s BlockScope) String() string { return blockScopes[s] }

// In reports whether b keeps away at now.
func (b *Block) In(now time.Time) BlockScope {
	if b.Scope == BlockNone || !b.Expires.IsZero() && !now.Before(b.Expires) {
		return BlockNone
	}
	return b.Scope
}

// A Change is one thing that happens to a person or a number. Which fields count follows
// from its Kind.
type Change struct {
	Kind     ChangeKind
	Person   Person      // zero where only the number is known: then everybody who has it
	Number   number.E164 // zero where it does not change
	Services []string    // Enrol, Withdraw: codes; empty with Withdraw: all
	Language string      // Enrol, SetLanguage
	Verified bool        // Enrol: the channel has checked that the number is the person's
	ByPerson bool        // Enrol, Withdraw: the person said so himself
	Block    Block       // BlockNumber
	Code     string      // IssueCode, Verify: 4 to 10 digits
	Until    time.Time   // IssueCode: when the code ends
	Only     string      // Withdraw, Enrol: touch only what this channel made; empty: any

	Channel string    // who: the API key's channel, "sms", "cli", "carrier"
	By      string    // which clerk or user of the channel, as it says; at most 64 octets
	At      time.Time // when consent was given or taken back; zero: undated (a consent then counts as older than any withdrawal)
	Now     time.Time // when it reached us; the caller's clock, required
}

// ChangeKind is what a Change does.
type ChangeKind uint8

// The changes.
const (
	// Enrol adds services. A person not known yet needs Number; for one who is known a
	// Number other than the current one is refused (SetNumber first). Without Verified,
	// and unless the number was verified before, each service becomes Pending. A service that
	// the person withdrew himself stays withdrawn unless At is later or ByPerson is set.
	Enrol ChangeKind = iota
	// Withdraw takes services off, also for somebody who was never enrolled (so that a
	// later bulk file with an older consent changes nothing).
	Withdraw
	// SetNumber moves a person, his enrolments and his state to Number. Verified as for
	// Enrol: without it what he had is Pending at the new number.
	SetNumber
	SetLanguage
	// MarkRecycled suspends everybody at Number (or Person at his number) until verified again.
	MarkRecycled
	// IssueCode keeps the hash of a code for Number; a new one replaces the old.
	IssueCode
	// Verify: the code was entered. What is Pending at Number becomes Enrolled, suspended
	// subscribers become Active. Wrong, expired, or tried too often: refused.
	Verify
	// NoteUnknown counts one failure as unknown subscriber at Number; at Limits everybody
	// there becomes Unreachable.
	NoteUnknown
	BlockNumber
	UnblockNumber
	// Erase removes a person with history; withdrawals by himself are kept as a bare mark.
	Erase
)

var changeKinds = [...]string{"enrol", "withdraw", "number", "language", "recycled", "code", "verify", "unknown", "block", "unblock", "erase"}

func (k ChangeKind) String() string { return changeKinds[k] }

// Limits are the Registry's own rules.
type Limits struct {
	UnknownTimes int           // failures as unknown subscriber that suspend; default 3, at most 8
	UnknownDays  int           // within so many days; default 30
	CodeTries    int           // wrong codes before a code is void; default 5
	People       int           // persons at one number; default 20
	Keep         time.Duration // of Once and Bookmark rows; default 7 days
}

// An Outcome is what became of one Change.
type Outcome struct {
	Effect  Effect
	Err     *Refused    // why not; nil: done
	Moved   []string    // codes whose state changed
	Kept    []string    // Enrol: codes that a withdrawal of the person himself keeps withdrawn
	Pending []string    // Enrol, SetNumber: codes that wait for a code
	Number  number.E164 // the person's number afterwards
	People  int         // how many persons it touched
}

// Effect says how much a change did.
type Effect uint8

// The effects.
const (
	Changed Effect = iota
	NothingNew
	NotDone // Err says why
)

// Refused is a Change that could not be made. Field is the change's, as the API spells it.
type Refused struct {
	Field, Rule string
}

func (r *Refused) Error() string { return r.Field + ": " + r.Rule }

// A Batch is applied in one atomic write.
type Batch struct {
	Changes  []Change
	Once     *Once     // with a key known before nothing is applied: see Apply's errors
	Bookmark *Bookmark // how far a bulk job is with this batch

	// Decided, where it is set, is called inside Apply with what becomes of the changes,
	// once, just before the write that stores them: it may finish Bookmark and Once, so that
	// what a bulk job counts and what a repeated request is answered is exact whenever the
	// process is killed. It must not block, call the
	// Registry, or keep the slice.
	Decided func([]Outcome)
}

// Once makes a request repeatable: the key is its channel and the caller's idempotency
// key, Body a hash of what was asked, Answer what was answered. Apply with a key that is
// there: ErrKeyReused when Body differs, ErrOnceKnown when it is the same.
type Once struct {
	Key    string
	Body   [32]byte
	Answer []byte // at most 4 KiB
	At     time.Time
}

// ErrOnceKnown: the batch was applied before; Registry.Once has its answer.
var ErrOnceKnown = errors.New("the request was made before")

// A Bookmark is how far a bulk job came. What it counts was committed with it.
type Bookmark struct {
	Job              string // chosen by the job: what the file is, by its content
	Line             int64  // the last line of the file that is done
	Offset           int64  // octets of the file that are done
	BadOffset        int64  // octets of the bad-rows file that belong to them: what lies beyond is cut off on going on
	Rows, Good, Bad  int64
	Changed, Nothing int64
	Done             bool
	At               time.Time
}

// An Event is one row of a person's history.
type Event struct {
	At       time.Time // when it reached us
	Kind     ChangeKind
	Services []string
	Number   number.E164 // the number it was about; the new one of SetNumber
	Was      number.E164 // SetNumber: the old one
	Channel  string
	By       string
	Consent  time.Time // Change.At
	Verified bool
	ByPerson bool
}

// Stats is what a Registry holds.
type Stats struct {
	Subscribers int64
	Numbers     int64
	Suspended   int64
	Blocked     int64
	Enrolled    map[string]int64 // by service
	Pending     map[string]int64
}
