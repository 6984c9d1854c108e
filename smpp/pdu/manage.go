package pdu

// QuerySM is the body of query_sm (SMPP v3.4 section 4.8.1).
type QuerySM struct {
	MessageID []byte // at most 64 octets
	Source    Address
}

// Append implements Body.
func (p *QuerySM) Append(dst []byte) []byte {
	return p.Source.append(appendC(dst, p.MessageID))
}

// Decode implements Body.
func (p *QuerySM) Decode(src []byte) error {
	c := cursor{rest: src}
	p.MessageID = c.cstring(&fMessageID)
	p.Source = c.address(&fSource)
	c.end()
	return c.done()
}

// QuerySMResp is the body of query_sm_resp (SMPP v3.4 section 4.8.2).
type QuerySMResp struct {
	MessageID    []byte // at most 64 octets
	FinalDate    []byte // empty while the message is not final
	MessageState State
	ErrorCode    uint8 // the network's, 0 if there is none
}

// Append implements Body.
func (p *QuerySMResp) Append(dst []byte) []byte {
	dst = appendC(dst, p.MessageID)
	dst = appendC(dst, p.FinalDate)
	return append(dst, uint8(p.MessageState), p.ErrorCode)
}

// Decode implements Body. A missing body is taken as empty.
func (p *QuerySMResp) Decode(src []byte) error {
	if len(src) == 0 {
		*p = QuerySMResp{}
		return nil
	}
	c := cursor{rest: src}
	p.MessageID = c.cstring(&fMessageID)
	p.FinalDate = c.cstring(&fFinalDate)
	p.MessageState = State(c.octet("message_state"))
	p.ErrorCode = c.octet("error_code")
	c.drop()
	return c.done()
}

// drop passes over what is left of a response that has told all it had to.
func (c *cursor) drop() { c.rest = nil }

// CancelSM is the body of cancel_sm (SMPP v3.4 section 4.9.1). Without
// MessageID it cancels all of that service_type, source and destination.
type CancelSM struct {
	ServiceType  []byte // at most 5 octets
	MessageID    []byte // at most 64 octets
	Source, Dest Address
}

// Append implements Body.
func (p *CancelSM) Append(dst []byte) []byte {
	dst = appendC(dst, p.ServiceType)
	dst = appendC(dst, p.MessageID)
	dst = p.Source.append(dst)
	return p.Dest.append(dst)
}

// Decode implements Body.
func (p *CancelSM) Decode(src []byte) error {
	c := cursor{rest: src}
	p.ServiceType = c.cstring(&fServiceType)
	p.MessageID = c.cstring(&fMessageID)
	p.Source = c.address(&fSource)
	p.Dest = c.address(&fDest)
	c.end()
	return c.done()
}

// ReplaceSM is the body of replace_sm (SMPP v3.4 section 4.10.1). It has no
// data_coding: the new text is in the old one's.
type ReplaceSM struct {
	MessageID            []byte // at most 64 octets
	Source               Address
	ScheduleDeliveryTime []byte // empty: as it was
	ValidityPeriod       []byte // empty: as it was
	RegisteredDelivery   uint8
	DefaultMsgID         uint8
	ShortMessage         []byte // at most 254 octets
	TLVs                 TLVs   // v5.0: message_payload
}

// Append implements Body. A ShortMessage of more than 255 octets is written as
// message_payload.
func (p *ReplaceSM) Append(dst []byte) []byte {
	dst = appendC(dst, p.MessageID)
	dst = p.Source.append(dst)
	dst = appendC(dst, p.ScheduleDeliveryTime)
	dst = appendC(dst, p.ValidityPeriod)
	dst = append(dst, p.RegisteredDelivery, p.DefaultMsgID)
	return appendMessage(dst, p.ShortMessage, p.TLVs)
}

// Decode implements Body.
func (p *ReplaceSM) Decode(src []byte) error {
	c := cursor{rest: src}
	p.MessageID = c.cstring(&fMessageID)
	p.Source = c.address(&fSource)
	p.ScheduleDeliveryTime = c.cstring(&fSchedule)
	p.ValidityPeriod = c.cstring(&fValidity)
	p.RegisteredDelivery = c.octet("registered_delivery")
	p.DefaultMsgID = c.octet("sm_default_msg_id")
	p.ShortMessage = c.message()
	p.TLVs = c.tlvs()
	return c.done()
}

// Content returns the new octets: ShortMessage or, where that is empty, the
// TLV message_payload.
func (p *ReplaceSM) Content() []byte {
	if len(p.ShortMessage) > 0 {
		return p.ShortMessage
	}
	v, _ := p.TLVs.Get(TagMessagePayload)
	return v
}
