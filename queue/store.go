package queue

import (
	"context"
	"errors"
	"time"

	"masar/smpp/pdu"
)

// A Claim is a waiting message in one owner's hands, in memory only: a crash un-claims
// it. It ends by one step or by Release.
type Claim struct {
	M     *Message
	Lane  Lane
	Why   Why    // from the side way: what it waited for
	Side  bool   // its record is on the side way (kind W)
	Stamp uint64 // the store's own: the lane row it stands in; zero when it stands in none
	DueAt Time   // the store's own: its due row; zero when it has none

	Unsure uint8 // attempt that was on the wire, unanswered, when the process last ended (Sending); 0: none
	Held   any   // the store's own
}

// A Ref is a sent part that waits for its receipt. M may lack its Body.
type Ref struct {
	M         *Message
	Info      PartInfo
	Stamp     uint64     // the store's own: its correlation row
	Parts     []PartInfo // all parts of the attempt, when Info.Of > 1
	Finalised bool       // the message is final already
	Told      uint16     // intermediate states passed on, a bit each; memory only

	TextMAC uint64 // the store's own: keyed hash of the body, for history
}

// Done is called once, in commit order, by the committer when the steps of one Commit
// are durable (nil) or refused. It must not block and must not call the Store but for Commit
// with an ended context.
type Done interface{ Done(err error) }

// DoneFunc is a func as a Done.
type DoneFunc func(err error)

// Done calls f.
func (f DoneFunc) Done(err error) { f(err) }

// DueKind chooses what Due looks for.
type DueKind uint8

// What Due finds.
const (
	Scheduled DueKind = iota // on the side way, their moment has come
	Overdue                  // sent, and no receipt by the time given (Claim.M of a sent message, Claim.Stamp zero)
	Expired                  // waiting, and past their validity
	Orphaned                 // in a lane whose group is none of those told with Groups
	Halted                   // on the side way with WaitHalted, in order of id
)

// Lookup is one receipt's question: which sent part has one of these ids?
type Lookup struct {
	IDs   []string // candidate forms, most likely first, normalised
	Dest  string   // the number the receipt is about; empty: not compared (the last 8 digits must agree)
	Found *Ref     // out: nil when none has
	Form  int      // out: index in IDs of the one that matched
}

// Stage is where a message is.
type Stage uint8

// The stages of a message's life.
const (
	Waiting Stage = iota // in a lane
	Aside                // on the side way
	Sent                 // awaiting its receipt
	Ended                // in history
)

// View is what Find tells of a message.
type View struct {
	M     *Message // Body absent once ended
	Stage Stage
	Why   Why
	Until Time
	Lane  Lane      // Waiting: where; Aside: where it goes then
	State pdu.State // ENROUTE, SCHEDULED or the final state
	Err   string
	Ended Time
	Parts []PartInfo
}

// Survey says which messages Store.Survey tells of, beside all that wait.
type Survey struct {
	Sent  bool      // those that await their receipts
	Since time.Time // those that ended at or after this moment; zero: none of these
}

// Pattern selects waiting messages of one account, for cancel_sm and replace_if_present.
type Pattern struct {
	Account      uint32
	ServiceType  string
	AnyService   bool // ServiceType is not compared
	Source, Dest string
}

// NameKind is a namespace of Number.
type NameKind uint8

// The namespaces.
const (
	AccountName NameKind = iota
	CarrierName
	GroupName
)

// Depth is what waits in one lane, or aside (Lane.Target zero).
type Depth struct {
	Messages int64
	Halted   int64 // of Messages, aside: those with WaitHalted
	Oldest   Time  // when the head entered; zero when empty
}

// Errors of a Store.
var (
	ErrFull     = errors.New("queue is full")
	ErrDiskFull = errors.New("the disk is nearly full")
	ErrBusy     = errors.New("the store's inbox is full")
	ErrClosed   = errors.New("the store is closed")
	ErrUnknown  = errors.New("no such message")
	ErrClaimed  = errors.New("the message is being sent")
	ErrSent     = errors.New("the message was sent")
	ErrFinal    = errors.New("the message is final")
)

// A Store keeps messages and their states durably. All methods may be called from any
// goroutine.
type Store interface {
	// Commit hands steps to the committer, which applies them at once or not at all, waits
	// for its fsync and calls d. It blocks only while the inbox is full, until ctx ends; a
	// ctx that has ended already makes it a try (ErrBusy). ErrFull (an Accept without
	// room), ErrBusy and ErrClosed: nothing of it happens and d is not called.
	Commit(ctx context.Context, d Done, steps ...Step) error

	// Watch names who is told that a lane, or an account's outbox, has something to take:
	// after each batch that added to it, after each refill, and at once for each that has.
	// Called on the committer: it must not block. Called once, before the first Take.
	Watch(lane func(Lane), outbox func(account uint32))

	// Take appends up to max messages from the head of a lane. It never blocks and never
	// reads the disk; more: a refill is under way and Watch will tell.
	Take(l Lane, max int, into []Claim) (c []Claim, more bool)

	// Oldest is when the oldest message of a lane that nobody has claimed entered it; zero:
	// there is nothing to take. From memory, and possibly a little late.
	Oldest(l Lane) Time

	// Release puts a claim back to the head of its lane; it writes nothing.
	Release(c Claim)

	// ClaimID claims one waiting message of an account: ErrClaimed, ErrSent, ErrFinal, ErrUnknown.
	ClaimID(ctx context.Context, account uint32, id ID) (Claim, error)

	// Due claims up to max messages of a kind at now. For Overdue, now is the moment before
	// which they must have been sent; for Halted it says nothing. Halted goes round: a call
	// goes on behind the last message that the call before looked at, gives each message at
	// most once a round, and gives fewer than max at the round's end. The call after that begins
	// the next. Where nothing is halted it costs nothing.
	Due(ctx context.Context, k DueKind, now time.Time, max int, into []Claim) ([]Claim, error)

	// Groups tells which groups exist, for Orphaned.
	Groups(live func(group uint16) bool)

	// Find tells of one message, wherever it is. account zero: any.
	Find(ctx context.Context, account uint32, id ID) (View, error)

	// ByShown finds a message by the id its client saw, where that is not the ID itself.
	ByShown(ctx context.Context, account uint32, shown string) (ID, error)

	// ByOnce finds a message by the Once key of its Accept, for as long as that key is known:
	// 7 days at least. ErrUnknown: no durable Accept had it.
	ByOnce(ctx context.Context, account uint32, key []byte) (ID, error)

	// Survey tells of many messages, each of them once, as they were at one moment: first
	// all that wait, in lanes and aside, then what s asks for. It reads them one after the
	// other, in bounded memory: about a second for each million. The View is each's until it
	// returns; its M is without Body, its Parts are what one row tells (of a message sent in
	// several parts the one answered last). each says whether to go on; it may take its time
	// and call the Store.
	Survey(ctx context.Context, s Survey, each func(*View) bool) error

	// Matching lists waiting messages, oldest first.
	Matching(ctx context.Context, p Pattern, max int) ([]ID, error)

	// Correlate answers receipts of one carrier, in one sorted pass.
	Correlate(ctx context.Context, carrier uint32, q []Lookup) error

	// TakeOutbox appends up to max deliveries of an account that nobody holds, in sequence.
	TakeOutbox(account uint32, max int, into []*Delivery) (d []*Delivery, more bool)

	// ReleaseOutbox gives back a delivery that was not acknowledged.
	ReleaseOutbox(d *Delivery)

	// MOSets lists reassembly sets with all their parts, begun before the given moment (at start: all).
	MOSets(ctx context.Context, before time.Time, max int) ([]MOSet, error)

	// Number is the persistent number of a name, given at first sight, never reused, from 1.
	// Groups' numbers fit 16 bits.
	Number(ctx context.Context, kind NameKind, name string) (uint32, error)

	// Name is the reverse of Number; empty when unknown.
	Name(kind NameKind, number uint32) string

	// Depths tells what waits, from memory.
	Depths(each func(Lane, Depth))

	// OutboxDepths tells what waits in the outboxes, from memory.
	OutboxDepths(each func(account uint32, d Depth))

	// Close commits what the inbox holds and closes the engine. Idempotent.
	Close() error
}

// MOSet is an incomplete mobile-originated message as the store has it.
type MOSet struct {
	Ref   MORef
	Begun Time
	Parts []MOPart // in order of part
}
