package queue

import (
	"strconv"
	"time"

	"masar/smpp/pdu"
)

// ID names a message: µs since 1970 << 10 | node. It rises on each node, never repeats
// and is at most 19 decimal digits. Zero is no message.
type ID uint64

const hexDigits = "0123456789abcdef"

// String is the id as clients see it by default: 16 hex digits.
func (id ID) String() string {
	var b [16]byte
	for i := range b {
		b[i] = hexDigits[id>>(60-4*i)&15]
	}
	return string(b[:])
}

// Decimal is the id in decimal, at most 19 digits.
func (id ID) Decimal() string { return strconv.FormatUint(uint64(id), 10) }

// Class is a message's urgency. The zero value is the most urgent.
type Class uint8

// The classes, most urgent first.
const (
	Urgent Class = iota
	Normal
	Bulk

	Classes = 3
)

var classNames = [Classes]string{"urgent", "normal", "bulk"}

func (c Class) String() string {
	if c < Classes {
		return classNames[c]
	}
	return "class " + strconv.Itoa(int(c))
}

// ParseClass reads "urgent", "normal" or "bulk".
func ParseClass(s string) (Class, bool) {
	for i, name := range classNames {
		if s == name {
			return Class(i), true
		}
	}
	return 0, false
}

// A Lane holds the messages of one account and class that wait for one target.
type Lane struct {
	Target  uint32 // group<<16 | a bit for each carrier of the group to be avoided
	Class   Class
	Account uint32
}

// Target joins a group's number and its avoid bits.
func Target(group, avoid uint16) uint32 { return uint32(group)<<16 | uint32(avoid) }

// Group is the number of the lane's carrier group.
func (l Lane) Group() uint16 { return uint16(l.Target >> 16) }

// Avoid has bit i set when carrier i of the group is to be avoided.
func (l Lane) Avoid() uint16 { return uint16(l.Target) }

// Time is a moment in microseconds since 1970 UTC; zero is no moment.
type Time int64

// At is t as a Time.
func At(t time.Time) Time {
	if t.IsZero() {
		return 0
	}
	return Time(t.UnixMicro())
}

// Time is t as a time.Time in UTC; the zero Time gives the zero time.Time.
func (t Time) Time() time.Time {
	if t == 0 {
		return time.Time{}
	}
	return time.UnixMicro(int64(t)).UTC()
}

// An Address is an SMPP address that owns its text.
type Address struct {
	TON, NPI uint8
	Addr     string
}

// A Message is one client message, whole: it is split only when it is sent.
//
// Invariant: once Commit has it, nobody but the owner of its claim changes it, and
// then only the fields under "progress".
type Message struct {
	ID    ID     // set by Accept
	Shown string // the message_id the client sees; set by Accept when empty: ID.String()

	Account   uint32
	Class     Class
	Uncertain bool // progress, too: a carrier has, or may have, something of an earlier try
	Accepted  Time
	Expires   Time // end of validity; never zero
	Due       Time // asked-for schedule_delivery_time; zero: at once

	Source      Address
	Dest        Address // normalised: what routing and the carrier go by
	DestWritten Address // what the client wrote; Addr empty: the same as Dest
	ServiceType string
	Person      [16]byte // service.Person who is meant; zero: whoever has the number
	Template    string   // the template and version its text was made from: "IDREN/2/ar"
	Job         Job      // on whose behalf the gateway made it; zero: a client submitted it
	Personal    bool     // addressed to Person, not to whoever has the number
	System      bool     // the gateway's own: consent is not asked
	Stretch     bool     // Expires is a default: hours in which it may not leave do not count

	ESMClass           uint8
	ProtocolID         uint8
	Priority           uint8 // priority_flag as written
	RegisteredDelivery uint8
	DataCoding         uint8
	Body               []byte // short_message or message_payload as submitted, UDH included; empty once sent, but for Kept
	TLVs               []byte // the client's TLVs but for message_payload, as wire octets

	Origin Origin // who hears of it: session for receipts in order, memory only

	// Progress, changed by the claim's owner and kept by the next step.
	Tries   uint8      // temporary failures so far
	Attempt uint8      // number of the latest attempt; 0: never split
	Barred  uint16     // bits of carriers in the group that gave a final refusal ("elsewhere"), or failed it (Reroute)
	LastErr pdu.Status // the latest refusal
	Answers []PartInfo // answered parts of the latest attempt of several parts
	Text    []byte     // up to 20 characters of the text, UTF-8, for the client's receipt
	Marker  string     // name of the marker that made it free to its receiver

	// Kept is the number of the group whose carriers Barred names, of a message that may go
	// out again when its receipt says that it failed: its Body stays with it once it is sent.
	// Zero: it may not.
	Kept     uint16
	Reroutes uint8 // how often it has gone out again for that (Reroute)

	// Memory only: when the rules for its number were last asked. Zero: not in this process.
	Checked uint64 // service.Registry.Version of Dest before that
	World   uint64 // the gateway's configuration by then

	Extra []byte // fields of a newer version of the record, kept as they were
}

// Origin ties a message to the session that submitted it, as long as the process lives.
type Origin any

// PartInfo is what is known of one part of the current attempt.
type PartInfo struct {
	Attempt, Part, Of uint8
	Carrier           uint32
	CarrierID         string
	Sent              Time      // when its submit_sm was answered
	Reference         uint16    // concatenation reference of the attempt
	State             pdu.State // zero until its receipt came
	Err               string    // the receipt's error, as the carrier wrote it
	Done              Time      // the receipt's time
}

// Kind says what a Delivery is.
type Kind uint8

// The kinds of a Delivery.
const (
	FinalReceipt Kind = iota
	IntermediateReceipt
	Mobile // mobile-originated
	JobEnd // the end of a message with a Job: for JobsAccount, never a deliver_sm
)

// A Delivery is one deliver_sm that waits in an account's outbox, or the end of a job.
type Delivery struct {
	Account uint32
	Kind    Kind
	Seq     uint64 // set by the store; rises within an account
	Message ID     // the message it is about; zero for mobile-originated
	Created Time
	Expires Time // when it is given up

	ServiceType  string
	Source, Dest Address
	ESMClass     uint8
	ProtocolID   uint8
	DataCoding   uint8
	State        pdu.State // how a job's message ended
	ShortMessage []byte    // more than 254 octets travel as message_payload
	TLVs         []byte
	Job          Job    // whose message ended; zero but in a JobEnd
	Err          string // of a JobEnd, the carrier's error code or our status name

	Origin Origin // memory only

	Extra []byte
}
