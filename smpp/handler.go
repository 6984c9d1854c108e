package smpp

import (
	"errors"
	"fmt"
	"time"

	"masar/smpp/pdu"
)

// Handler hears what a bound session receives. Its methods run on that session's reader
// goroutine, one at a time, and must not block: nothing else of the session is read
// meanwhile. A body aliases the read buffer and is valid only until the method returns.
type Handler interface {
	// Request is a request of the peer that the state table allows and that decoded; never
	// bind, unbind, enquire_link, outbind or generic_nack. r answers it, now or later;
	// alert_notification has no answer and its r does nothing.
	Request(s *Session, h pdu.Header, body pdu.Body, r Reply)
	// Response is the answer to a Send, or word that none came in time.
	Response(s *Session, token any, a Answer)
	// Ended is called once, last: the tokens of requests without an answer, in order of
	// sending (without those whose ErrTimeout was told), and why the session ended.
	Ended(s *Session, unanswered []any, err error)
}

// Answer is what became of a request that was sent.
type Answer struct {
	Header pdu.Header // Command may be generic_nack; zero with Err
	Body   pdu.Body   // nil when missing; of a damaged one, the fields before the damage; valid only during Response
	Err    error      // ErrTimeout: nothing within Timers.Response; the slot is free again
	Late   bool       // it came after its ErrTimeout, within ten times Timers.Response
	Sent   time.Time  // when Send was called
	At     time.Time  // when the answer was read, or the timeout found
}

// Observer counts and traces. Its methods are called under the session's lock or on its
// reader, for every PDU: they must be quick and must not call the session back, except
// for ID, Role, RemoteAddr and SystemID.
type Observer interface {
	// PDU is one whole frame, in or out; octets are valid only during the call.
	PDU(s *Session, in bool, h pdu.Header, octets []byte)
	// Violation counts a breach of the protocol or of a limit by its kind, one of Violations.
	Violation(kind string)
}

// Kinds of Observer.Violation.
const (
	UnknownCommand     = "unknown_command"     // a command_id we do not know; generic_nack
	UnknownResponse    = "unknown_response"    // a response's command_id we do not know; ignored
	UnexpectedResponse = "unexpected_response" // no request of ours has that sequence_number; ignored
	WrongResponse      = "wrong_response"      // our request of that number was another one; ignored
	BadResponse        = "bad_response"        // its body is damaged; its status and what is readable count
	BadLength          = "bad_length"          // command_length; framing is lost, closed
	BadField           = "bad_field"           // a field the codec refused; answered with its status
	WrongState         = "wrong_state"         // not in this state; ESME_RINVBNDSTS or ESME_RALYBND
	OverWindow         = "over_window"         // more unanswered than Window + Park; ESME_RTHROTTLED
	LateBind           = "late_bind"           // no bind within Timers.SessionInit; closed
	Inactive           = "inactive"            // silent, enquire_link unanswered; closed
	Unread             = "unread"              // leaves our octets unread; closed
	Panicked           = "panic"               // a handler panicked; closed
	DoubleReply        = "double_reply"        // our own fault: a Reply completed twice; ignored
	Outbound           = "outbind"             // an SMSC asked to be bound to; ignored
	SessionsFull       = "sessions_full"       // over ServerOptions.MaxSessions; closed at once
	AddressRefused     = "address_refused"     // by ServerOptions.Allow; closed at once
	HandshakeFailed    = "handshake_failed"    // TLS
)

// Violations are all kinds, for whoever makes one counter of each beforehand.
var Violations = []string{UnknownCommand, UnknownResponse, UnexpectedResponse, WrongResponse,
	BadResponse, BadLength, BadField, WrongState, OverWindow, LateBind, Inactive, Unread, Panicked,
	DoubleReply, Outbound, SessionsFull, AddressRefused, HandshakeFailed}

// What Send and Answer.Err may say, and why a session ended.
var (
	ErrWindowFull = errors.New("smpp: window full")                               // as many requests unanswered as Limits.Send, or the peer does not read
	ErrState      = errors.New("smpp: command not allowed in this bind state")    // v3.4 table 2-1
	ErrTimeout    = errors.New("smpp: no answer within the response time")        //
	ErrClosed     = errors.New("smpp: session closed")                            // by us
	ErrPeerClosed = errors.New("smpp: connection closed by the peer")             // without unbind
	ErrUnbound    = errors.New("smpp: unbound by the peer")                       // orderly
	ErrUnbinding  = errors.New("smpp: unbound by us")                             // orderly
	ErrLateBind   = errors.New("smpp: no bind within the session_init time")      //
	ErrInactive   = errors.New("smpp: silent, and enquire_link was not answered") //
	ErrUnread     = errors.New("smpp: the peer does not read what it is sent")    //
	ErrLength     = errors.New("smpp: impossible command_length")                 // framing lost
	ErrPanic      = errors.New("smpp: a handler panicked")                        //
)

// BindError is a refused bind.
type BindError struct {
	Addr   string // whom we tried to bind to; "" for a server's session
	Status pdu.Status
}

func (e *BindError) Error() string {
	if e.Addr == "" {
		return fmt.Sprintf("smpp: bind refused: %v", e.Status)
	}
	return fmt.Sprintf("smpp: bind to %s refused: %v", e.Addr, e.Status)
}
