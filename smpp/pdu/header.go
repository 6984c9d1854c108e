package pdu

import "encoding/binary"

// HeaderLen is the size of a PDU's header in octets, and so the least
// command_length there can be.
const HeaderLen = 16

// MaxSequence is the highest sequence_number a request may have
// (SMPP v3.4 section 5.1.4). Peers send others; answers repeat what they sent.
const MaxSequence = 0x7FFFFFFF

// Header is what every PDU begins with (SMPP v3.4 section 5.1).
type Header struct {
	Length   uint32  // octets of the whole PDU, these 16 included
	Command  Command // command_id
	Status   Status  // command_status; ESME_ROK in requests
	Sequence uint32  // sequence_number
}

// ParseHeader reads the header at the start of b. It judges nothing: whether
// Length is possible is for the reader, who knows the largest PDU it takes.
//
// REQUIRES: len(b) >= HeaderLen.
func ParseHeader(b []byte) Header {
	_ = b[HeaderLen-1]
	return Header{
		Length:   binary.BigEndian.Uint32(b),
		Command:  Command(binary.BigEndian.Uint32(b[4:])),
		Status:   Status(binary.BigEndian.Uint32(b[8:])),
		Sequence: binary.BigEndian.Uint32(b[12:]),
	}
}

// Append writes the header as it stands, Length included.
func (h Header) Append(dst []byte) []byte {
	dst = binary.BigEndian.AppendUint32(dst, h.Length)
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.Command))
	dst = binary.BigEndian.AppendUint32(dst, uint32(h.Status))
	return binary.BigEndian.AppendUint32(dst, h.Sequence)
}

// Body is what follows the header.
type Body interface {
	// Append writes the body behind dst. It writes what it is given: lengths
	// above the specification's stay (some carriers want a longer password),
	// but a C-octet string ends at its first NUL, since one inside would shift
	// every field behind it.
	Append(dst []byte) []byte

	// Decode reads the body from src, all of it, and lets its []byte fields
	// alias src. The error is a *FieldError. The fields in front of the one
	// complained of are filled; the others are zero or from before.
	Decode(src []byte) error
}

// Append writes a whole PDU behind dst: the header, with the right
// command_length, and body, which may be nil. It does not allocate if dst has
// room.
func Append(dst []byte, cmd Command, st Status, seq uint32, body Body) []byte {
	start := len(dst)
	dst = Header{HeaderLen, cmd, st, seq}.Append(dst)
	if body != nil {
		dst = body.Append(dst)
		binary.BigEndian.PutUint32(dst[start:], uint32(len(dst)-start))
	}
	return dst
}

// NewBody returns an empty body for c: nil for commands without one and for
// commands we do not know.
func NewBody(c Command) Body {
	switch c {
	case CmdBindReceiver, CmdBindTransmitter, CmdBindTransceiver:
		return new(Bind)
	case CmdBindReceiverResp, CmdBindTransmitterResp, CmdBindTransceiverResp:
		return new(BindResp)
	case CmdOutbind:
		return new(Outbind)
	case CmdSubmitSM, CmdDeliverSM:
		return new(SubmitSM)
	case CmdSubmitSMResp, CmdDeliverSMResp, CmdDataSMResp:
		return new(MessageResp)
	case CmdDataSM:
		return new(DataSM)
	case CmdSubmitMulti:
		return new(SubmitMulti)
	case CmdSubmitMultiResp:
		return new(SubmitMultiResp)
	case CmdQuerySM:
		return new(QuerySM)
	case CmdQuerySMResp:
		return new(QuerySMResp)
	case CmdCancelSM:
		return new(CancelSM)
	case CmdReplaceSM:
		return new(ReplaceSM)
	case CmdAlertNotification:
		return new(AlertNotification)
	}
	return nil
}
