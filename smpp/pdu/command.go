package pdu

import "strconv"

// Command is a command_id (SMPP v3.4 section 5.1.2.1). A response has the
// request's number with the highest bit set.
type Command uint32

// The commands of v3.4, and the three broadcast operations of v5.0.
const (
	CmdBindReceiver      Command = 0x00000001
	CmdBindTransmitter   Command = 0x00000002
	CmdQuerySM           Command = 0x00000003
	CmdSubmitSM          Command = 0x00000004
	CmdDeliverSM         Command = 0x00000005
	CmdUnbind            Command = 0x00000006
	CmdReplaceSM         Command = 0x00000007
	CmdCancelSM          Command = 0x00000008
	CmdBindTransceiver   Command = 0x00000009
	CmdOutbind           Command = 0x0000000B
	CmdEnquireLink       Command = 0x00000015
	CmdSubmitMulti       Command = 0x00000021
	CmdAlertNotification Command = 0x00000102
	CmdDataSM            Command = 0x00000103

	CmdBroadcastSM       Command = 0x00000111
	CmdQueryBroadcastSM  Command = 0x00000112
	CmdCancelBroadcastSM Command = 0x00000113

	CmdGenericNack Command = 0x80000000

	CmdBindReceiverResp    = CmdBindReceiver | respBit
	CmdBindTransmitterResp = CmdBindTransmitter | respBit
	CmdQuerySMResp         = CmdQuerySM | respBit
	CmdSubmitSMResp        = CmdSubmitSM | respBit
	CmdDeliverSMResp       = CmdDeliverSM | respBit
	CmdUnbindResp          = CmdUnbind | respBit
	CmdReplaceSMResp       = CmdReplaceSM | respBit
	CmdCancelSMResp        = CmdCancelSM | respBit
	CmdBindTransceiverResp = CmdBindTransceiver | respBit
	CmdEnquireLinkResp     = CmdEnquireLink | respBit
	CmdSubmitMultiResp     = CmdSubmitMulti | respBit
	CmdDataSMResp          = CmdDataSM | respBit

	CmdBroadcastSMResp       = CmdBroadcastSM | respBit
	CmdQueryBroadcastSMResp  = CmdQueryBroadcastSM | respBit
	CmdCancelBroadcastSMResp = CmdCancelBroadcastSM | respBit

	respBit Command = 0x80000000
)

// commands names every command_id we know; requests in rising order.
var commands = [...]struct {
	cmd      Command
	name     string
	answered bool // has a response of its own
}{
	{CmdBindReceiver, "bind_receiver", true},
	{CmdBindTransmitter, "bind_transmitter", true},
	{CmdQuerySM, "query_sm", true},
	{CmdSubmitSM, "submit_sm", true},
	{CmdDeliverSM, "deliver_sm", true},
	{CmdUnbind, "unbind", true},
	{CmdReplaceSM, "replace_sm", true},
	{CmdCancelSM, "cancel_sm", true},
	{CmdBindTransceiver, "bind_transceiver", true},
	{CmdOutbind, "outbind", false},
	{CmdEnquireLink, "enquire_link", true},
	{CmdSubmitMulti, "submit_multi", true},
	{CmdAlertNotification, "alert_notification", false},
	{CmdDataSM, "data_sm", true},
	{CmdBroadcastSM, "broadcast_sm", true},
	{CmdQueryBroadcastSM, "query_broadcast_sm", true},
	{CmdCancelBroadcastSM, "cancel_broadcast_sm", true},
	{CmdGenericNack, "generic_nack", false},
	{CmdBindReceiverResp, "bind_receiver_resp", false},
	{CmdBindTransmitterResp, "bind_transmitter_resp", false},
	{CmdQuerySMResp, "query_sm_resp", false},
	{CmdSubmitSMResp, "submit_sm_resp", false},
	{CmdDeliverSMResp, "deliver_sm_resp", false},
	{CmdUnbindResp, "unbind_resp", false},
	{CmdReplaceSMResp, "replace_sm_resp", false},
	{CmdCancelSMResp, "cancel_sm_resp", false},
	{CmdBindTransceiverResp, "bind_transceiver_resp", false},
	{CmdEnquireLinkResp, "enquire_link_resp", false},
	{CmdSubmitMultiResp, "submit_multi_resp", false},
	{CmdDataSMResp, "data_sm_resp", false},
	{CmdBroadcastSMResp, "broadcast_sm_resp", false},
	{CmdQueryBroadcastSMResp, "query_broadcast_sm_resp", false},
	{CmdCancelBroadcastSMResp, "cancel_broadcast_sm_resp", false},
}

// Commands returns every command_id we have a name for.
func Commands() []Command {
	all := make([]Command, len(commands))
	for i := range commands {
		all[i] = commands[i].cmd
	}
	return all
}

// String returns the command's name as the specification spells it,
// "submit_sm", or "0x000000fe" for one we do not know.
func (c Command) String() string {
	for i := range commands {
		if commands[i].cmd == c {
			return commands[i].name
		}
	}
	return hex32(uint32(c))
}

// Known reports whether c is a command of v3.4 or v5.0.
func (c Command) Known() bool {
	for i := range commands {
		if commands[i].cmd == c {
			return true
		}
	}
	return false
}

// Resp returns the command_id of the response to c. Only where Answered.
func (c Command) Resp() Command { return c | respBit }

// Request returns the command_id of the request that c answers.
func (c Command) Request() Command { return c &^ respBit }

// IsResponse reports whether c answers a request; generic_nack does.
func (c Command) IsResponse() bool { return c&respBit != 0 }

// Answered reports whether c is a request with a response of its own. outbind
// and alert_notification have none: a refusal of them is a generic_nack.
func (c Command) Answered() bool {
	for i := range commands {
		if commands[i].cmd == c {
			return commands[i].answered
		}
	}
	return false
}

// IsBind reports whether c is one of the three bind requests.
func (c Command) IsBind() bool {
	return c == CmdBindTransceiver || c == CmdBindTransmitter || c == CmdBindReceiver
}

// hex32 writes v as 0x and eight digits, the form of the specification's tables.
func hex32(v uint32) string {
	b := make([]byte, 0, 10)
	b = append(b, "0x"...)
	for shift := 28; shift > 0 && v>>shift == 0; shift -= 4 {
		b = append(b, '0')
	}
	return string(strconv.AppendUint(b, uint64(v), 16))
}
