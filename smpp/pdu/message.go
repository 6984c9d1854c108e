package pdu

import "bytes"

// MaxShortMessage is the greatest sm_length in octets (SMPP v3.4 section
// 5.2.21). Longer contents travel in the TLV message_payload.
const MaxShortMessage = 254

// SubmitSM is the body of submit_sm and of deliver_sm (SMPP v3.4 sections 4.4.1
// and 4.6.1), which have the same parameters.
type SubmitSM struct {
	ServiceType          []byte // at most 5 octets
	Source, Dest         Address
	ESMClass             uint8
	ProtocolID           uint8
	PriorityFlag         uint8
	ScheduleDeliveryTime []byte // empty or 16 octets, see ParseTime
	ValidityPeriod       []byte // empty or 16 octets
	RegisteredDelivery   uint8
	ReplaceIfPresent     uint8
	DataCoding           uint8
	DefaultMsgID         uint8  // sm_default_msg_id
	ShortMessage         []byte // at most 254 octets
	TLVs                 TLVs
}

// DeliverSM is the body of deliver_sm.
type DeliverSM = SubmitSM

// Append implements Body. A ShortMessage of more than 255 octets does not fit
// sm_length and is written as a message_payload behind the other TLVs.
func (p *SubmitSM) Append(dst []byte) []byte {
	dst = appendC(dst, p.ServiceType)
	dst = p.Source.append(dst)
	dst = p.Dest.append(dst)
	dst = append(dst, p.ESMClass, p.ProtocolID, p.PriorityFlag)
	dst = appendC(dst, p.ScheduleDeliveryTime)
	dst = appendC(dst, p.ValidityPeriod)
	dst = append(dst, p.RegisteredDelivery, p.ReplaceIfPresent, p.DataCoding, p.DefaultMsgID)
	return appendMessage(dst, p.ShortMessage, p.TLVs)
}

// Decode implements Body. sm_length 255 is read, because deliver_sm from some
// carriers has it; Check refuses it. All fields are filled beside an error of
// ESME_RINVTLVLEN, TLVs too: who must not lose a receipt may go on with them.
func (p *SubmitSM) Decode(src []byte) error {
	c := cursor{rest: src}
	p.ServiceType = c.cstring(&fServiceType)
	p.Source = c.address(&fSource)
	p.Dest = c.address(&fDest)
	p.ESMClass = c.octet("esm_class")
	p.ProtocolID = c.octet("protocol_id")
	p.PriorityFlag = c.octet("priority_flag")
	p.ScheduleDeliveryTime = c.cstring(&fSchedule)
	p.ValidityPeriod = c.cstring(&fValidity)
	p.RegisteredDelivery = c.octet("registered_delivery")
	p.ReplaceIfPresent = c.octet("replace_if_present_flag")
	p.DataCoding = c.octet("data_coding")
	p.DefaultMsgID = c.octet("sm_default_msg_id")
	p.ShortMessage = c.message()
	p.TLVs = c.tlvs()
	return c.done()
}

// Content returns the message's octets: ShortMessage or, where that is empty,
// the TLV message_payload.
func (p *SubmitSM) Content() []byte {
	if len(p.ShortMessage) > 0 {
		return p.ShortMessage
	}
	v, _ := p.TLVs.Get(TagMessagePayload)
	return v
}

// message reads sm_length and short_message.
func (c *cursor) message() []byte {
	n := int(c.octet("sm_length"))
	if c.err != nil {
		return nil
	}
	return c.octets("short_message", n, ESME_RINVMSGLEN)
}

// appendMessage writes sm_length, short_message and the TLVs.
func appendMessage(dst, message []byte, tlvs TLVs) []byte {
	if len(message) > 255 {
		dst = append(append(dst, 0), tlvs...)
		return TLVs(dst).Append(TagMessagePayload, message)
	}
	dst = append(dst, uint8(len(message)))
	dst = append(dst, message...)
	return append(dst, tlvs...)
}

// MessageResp is the body of submit_sm_resp, deliver_sm_resp and data_sm_resp.
// In deliver_sm_resp the message_id is empty.
type MessageResp struct {
	MessageID []byte // at most 64 octets
	TLVs      TLVs
}

// Append implements Body.
func (p *MessageResp) Append(dst []byte) []byte {
	return append(appendC(dst, p.MessageID), p.TLVs...)
}

// Decode implements Body. It takes what carriers send: no body, a message_id
// without NUL, and fewer octets behind it than a TLV has. MessageID is filled
// even if the TLVs are broken: the message has been accepted all the same.
func (p *MessageResp) Decode(src []byte) error {
	c := cursor{rest: src}
	p.MessageID = c.leniently(&fMessageID)
	p.TLVs = c.tlvs()
	return c.done()
}

// leniently reads the C-octet string a response begins with, and drops up to
// three octets behind it, too few for a TLV.
func (c *cursor) leniently(f *spec) []byte {
	s := c.unterminated(f)
	if len(c.rest) < tlvHeaderLen {
		c.rest = nil
	}
	return s
}

// unterminated reads a C-octet string that may be missing, or lack its NUL at
// the end of the body.
func (c *cursor) unterminated(f *spec) []byte {
	if len(c.rest) == 0 {
		return nil
	}
	if len(c.rest) < f.size && bytes.IndexByte(c.rest, 0) < 0 {
		s := c.rest
		c.rest = nil
		return s
	}
	return c.cstring(f)
}
