package queue

import (
	"strconv"

	"masar/smpp/pdu"
)

// A Step is one durable move of one message; taken a second time it changes nothing.
// Steps are handed over as pointers and belong to the store until Done is called.
type Step interface{ step() }

type (
	// Accept takes in a new message. It sets M.ID (consecutive within one Commit) and M.Shown.
	Accept struct {
		M       *Message
		Once    []byte   // optional key, at most 64 octets after the source's name: the same again stores nothing
		First   *Message // of a submit_multi: the first one's; its ID is this one's Shown too
		Decimal bool     // First's ID in decimal
		Short   bool     // Shown is a counter of the account's own, 10 decimal digits
		Lane    Lane     // where it waits when Due is zero
		Due     Time     // scheduled: it has no lane before
		Room    int64    // messages of M's account and class that may wait; 0: as the store has it
		Again   bool     // out: Once was known, M.ID is the earlier message's
	}

	// Enter puts a claimed message at the tail of a lane: promoted, moved, replaced.
	Enter struct {
		Claim Claim
		Lane  Lane
	}

	// Wait sets a claimed message aside until a moment; zero Until: until an operator acts.
	// M's progress is stored with it; Lane is where it goes then, unless it is routed anew.
	// Of WaitHalted Until is M.Expires: no moment lets it go, but its validity ends.
	Wait struct {
		Claim Claim
		Until Time
		Why   Why
		Lane  Lane
	}

	// Sending is written before the wire by routes with policy fail or hold. Carrier zero
	// takes it back: the carrier has said that it did not take the message.
	Sending struct {
		Claim   Claim
		Attempt uint8
		Carrier uint32
	}

	// Part records that a carrier answered one part with ESME_ROK. The last one takes the
	// message out of its lane: to sent when a receipt is awaited, else to history as
	// State (ACCEPTED), with Deliver to the outbox when it is set.
	Part struct {
		Claim   Claim
		Info    PartInfo
		Await   bool // a receipt is to come: keep a correlation
		Last    bool // all parts are answered now
		State   pdu.State
		Deliver *Delivery
		Ref     *Ref // out, when Await: what a receipt will refer to
	}

	// Outcome records the receipt of one part of several that does not decide yet.
	Outcome struct {
		Ref  *Ref
		Info PartInfo
	}

	// Reroute lets a sent message go out again, after the receipt of a part has said that it
	// failed: to the tail of a lane, as a new attempt, with Body and text as they were. Ref is
	// that part, its Info with what the receipt said. Receipts of the attempt that failed find
	// their parts still, and decide nothing. REQUIRES: Ref.M.Kept.
	Reroute struct {
		Ref    *Ref
		Lane   Lane
		Barred uint16 // M's from now on
	}

	// Final ends a message: to history, its receipt into the outbox. Exactly one of Claim.M
	// and Ref is set; with Ref the message was sent.
	Final struct {
		Claim   Claim
		Ref     *Ref
		State   pdu.State
		Err     string     // the carrier's error code or our status name
		Status  pdu.Status // the refusal that ended it, ESME_ROK when none did
		Carrier uint32     // who ended it; zero: we did
		At      Time
		Deliver *Delivery // nil: nobody asked
	}

	// Deliver puts an intermediate receipt, or a mobile-originated message, into an outbox.
	Deliver struct {
		Delivery *Delivery
		MO       *MORef // the reassembly set it empties, if any
	}

	// Delivered takes a delivery out of the outbox.
	Delivered struct {
		Account uint32
		Seq     uint64
		Verdict Verdict
	}

	// Unmatched keeps a receipt that matched nothing.
	Unmatched struct {
		Carrier   uint32
		CarrierID string
		Raw       []byte // the deliver_sm body
		Why       string
		At        Time
	}

	// MOPart keeps one part of a mobile-originated message before it is acknowledged.
	MOPart struct {
		Set  MORef
		Part uint8  // from 1
		Raw  []byte // the deliver_sm body
		At   Time
	}
)

// MORef names a reassembly set of a mobile-originated message.
type MORef struct {
	Carrier   uint32
	Addresses string // source NUL destination; the store keeps a keyed hash of it
	Ref       uint16
	Total     uint8
}

func (*Accept) step()    {}
func (*Enter) step()     {}
func (*Wait) step()      {}
func (*Sending) step()   {}
func (*Part) step()      {}
func (*Outcome) step()   {}
func (*Reroute) step()   {}
func (*Final) step()     {}
func (*Deliver) step()   {}
func (*Delivered) step() {}
func (*Unmatched) step() {}
func (*MOPart) step()    {}

// Why says for what a message waits on the side way.
type Why uint8

// What a message on the side way waits for.
const (
	WaitSchedule Why = iota // its schedule_delivery_time
	WaitRetry               // the next try
	WaitHours               // permitted hours
	WaitHeld                // an operator
	WaitUnsure              // an operator, because its last submit_sm had no answer
	WaitHalted              // the end of an operator's halt
)

var whyNames = [...]string{"schedule", "retry", "hours", "held", "uncertain", "halted"}

func (w Why) String() string {
	if int(w) < len(whyNames) {
		return whyNames[w]
	}
	return "why " + strconv.Itoa(int(w))
}

// Verdict says how a delivery ended.
type Verdict uint8

// How a delivery ends.
const (
	Acknowledged Verdict = iota // the client answered ESME_ROK
	Refused                     // the client answered with a permanent status
	Undelivered                 // its time or the outbox's room ended
)
