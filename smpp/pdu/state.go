package pdu

import (
	"strconv"
	"strings"
)

// State is a message_state (SMPP v3.4 section 5.2.28, v5.0 section 4.7.15).
type State uint8

// The states. StateScheduled and StateSkipped are v5.0's.
const (
	StateScheduled     State = 0
	StateEnroute       State = 1
	StateDelivered     State = 2
	StateExpired       State = 3
	StateDeleted       State = 4
	StateUndeliverable State = 5
	StateAccepted      State = 6
	StateUnknown       State = 7
	StateRejected      State = 8
	StateSkipped       State = 9
)

// states is indexed by State.
var states = [...]struct {
	name, receipt string
	final         bool
}{
	StateScheduled:     {"SCHEDULED", "SCHEDLD", false},
	StateEnroute:       {"ENROUTE", "ENROUTE", false},
	StateDelivered:     {"DELIVERED", "DELIVRD", true},
	StateExpired:       {"EXPIRED", "EXPIRED", true},
	StateDeleted:       {"DELETED", "DELETED", true},
	StateUndeliverable: {"UNDELIVERABLE", "UNDELIV", true},
	// ACCEPTED is among the final states of v3.4's table 5-6 (read by customer
	// service on the subscriber's behalf), yet carriers send it on the way to
	// DELIVERED: taken as final it would hide the outcome.
	StateAccepted: {"ACCEPTED", "ACCEPTD", false},
	StateUnknown:  {"UNKNOWN", "UNKNOWN", true},
	StateRejected: {"REJECTED", "REJECTD", true},
	StateSkipped:  {"SKIPPED", "SKIPPED", true},
}

// Known reports whether v3.4 or v5.0 has s.
func (s State) Known() bool { return int(s) < len(states) }

// String returns the name, "DELIVERED", or the number of an unknown state.
func (s State) String() string {
	if !s.Known() {
		return strconv.Itoa(int(s))
	}
	return states[s].name
}

// Receipt returns the seven letters of a receipt's stat field, "DELIVRD"
// (SMPP v3.4 appendix B). A state we do not know is "UNKNOWN".
func (s State) Receipt() string {
	if !s.Known() {
		s = StateUnknown
	}
	return states[s].receipt
}

// Final reports whether no other state follows. SCHEDULED, ENROUTE, ACCEPTED and
// states we do not know are not final.
func (s State) Final() bool { return s.Known() && states[s].final }

// ParseState reads a state's name or its form in a receipt's text, in any case:
// "DELIVRD", "delivered", "Undeliv".
func ParseState(s string) (State, bool) {
	for i := range states {
		if strings.EqualFold(s, states[i].receipt) || strings.EqualFold(s, states[i].name) {
			return State(i), true
		}
	}
	return 0, false
}
