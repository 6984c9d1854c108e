package smpp

import "masar/smpp/pdu"

// Role is the side a session plays.
type Role uint8

const (
	SMSC Role = iota // the side that is bound to
	ESME             // the side that binds
)

func (r Role) String() string {
	if r == ESME {
		return "esme"
	}
	return "smsc"
}

func (r Role) peer() Role { return r ^ 1 }

// State is a session's state (SMPP v3.4 section 2.2). Unbinding and Closed are ours.
type State uint8

const (
	Open      State = iota // connected, not yet bound
	BoundTX                // the ESME sends messages
	BoundRX                // the ESME receives messages
	BoundTRX               // both
	Unbinding              // an unbind is on its way; only answers still pass
	Closed                 // over
)

var stateNames = [...]string{"open", "bound_tx", "bound_rx", "bound_trx", "unbinding", "closed"}

func (st State) String() string {
	if int(st) < len(stateNames) {
		return stateNames[st]
	}
	return "invalid"
}

// Bound reports whether messages may pass.
func (st State) Bound() bool { return st >= BoundTX && st <= BoundTRX }

// Transmits reports whether the ESME may send messages in st.
func (st State) Transmits() bool { return st == BoundTX || st == BoundTRX }

// Receives reports whether the ESME may be sent messages in st.
func (st State) Receives() bool { return st == BoundRX || st == BoundTRX }

// boundState is the state a bind command leads to.
func boundState(mode pdu.Command) State {
	switch mode {
	case pdu.CmdBindTransmitter:
		return BoundTX
	case pdu.CmdBindReceiver:
		return BoundRX
	default:
		return BoundTRX
	}
}

type states uint8 // bit set of State

const (
	never    states = 0
	inTX     states = 1 << BoundTX
	inRX     states = 1 << BoundRX
	inTRX    states = 1 << BoundTRX
	inOpen   states = 1 << Open
	sends           = inTX | inTRX
	receives        = inRX | inTRX
)

func (ss states) has(st State) bool { return ss>>st&1 != 0 }

// rules is v3.4 table 2-1 from the receiver's side: the states in which an SMSC, or an
// ESME, may be sent the command. The commands a session answers by itself (bind, unbind,
// enquire_link, generic_nack) are not here: dispatch.go knows them. broadcast_sm and its
// kin (v5.0) are missing on purpose: they are refused as unknown.
var rules = [...]rule{
	{pdu.CmdSubmitSM, sends, never, true},
	{pdu.CmdDeliverSM, never, receives, true},
	{pdu.CmdDataSM, sends, receives, true},
	{pdu.CmdQuerySM, sends, never, true},
	{pdu.CmdCancelSM, sends, never, true},
	{pdu.CmdReplaceSM, sends, never, true},
	{pdu.CmdSubmitMulti, sends, never, true},
	{pdu.CmdAlertNotification, never, receives, false},
	{pdu.CmdOutbind, never, inOpen, false},
}

type rule struct {
	cmd      pdu.Command
	smsc     states // in which an SMSC may receive it
	esme     states // in which an ESME may receive it
	answered bool   // it has a response
}

// allows reports whether a receiver of that role may be sent the command in st.
func (r *rule) allows(receiver Role, st State) bool {
	if receiver == SMSC {
		return r.smsc.has(st)
	}
	return r.esme.has(st)
}

// ruleAt is the row of rules for a command, -1 for one this table does not know.
func ruleAt(c pdu.Command) int {
	switch c {
	case pdu.CmdSubmitSM:
		return 0
	case pdu.CmdDeliverSM:
		return 1
	}
	for i := 2; i < len(rules); i++ {
		if rules[i].cmd == c {
			return i
		}
	}
	return -1
}

// mayReceive reports whether a peer of that role, in st, may be sent cmd.
func mayReceive(receiver Role, st State, cmd pdu.Command) bool {
	i := ruleAt(cmd)
	return i >= 0 && rules[i].allows(receiver, st)
}
