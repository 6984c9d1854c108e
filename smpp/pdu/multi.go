package pdu

import (
	"encoding/binary"
	"fmt"
)

// MaxDestinations is the greatest number_of_dests (SMPP v3.4 section 5.2.24).
const MaxDestinations = 254

// dest_flag of a Destination (SMPP v3.4 section 5.2.25).
const (
	DestSME  uint8 = 1
	DestList uint8 = 2
)

// Destination is one of submit_multi: an address or a distribution list.
type Destination struct {
	Flag    uint8   // DestSME or DestList
	Address Address // with DestSME
	List    []byte  // dl_name, at most 20 octets, with DestList
}

// SubmitMulti is the body of submit_multi (SMPP v3.4 section 4.5.1).
type SubmitMulti struct {
	ServiceType          []byte
	Source               Address
	Dests                []Destination // 1..254
	ESMClass             uint8
	ProtocolID           uint8
	PriorityFlag         uint8
	ScheduleDeliveryTime []byte
	ValidityPeriod       []byte
	RegisteredDelivery   uint8
	ReplaceIfPresent     uint8
	DataCoding           uint8
	DefaultMsgID         uint8
	ShortMessage         []byte
	TLVs                 TLVs
}

// Append implements Body.
//
// REQUIRES: len(p.Dests) <= 255.
func (p *SubmitMulti) Append(dst []byte) []byte {
	dst = appendC(dst, p.ServiceType)
	dst = p.Source.append(dst)
	dst = append(dst, uint8(len(p.Dests)))
	for i := range p.Dests {
		d := &p.Dests[i]
		dst = append(dst, d.Flag)
		if d.Flag == DestList {
			dst = appendC(dst, d.List)
		} else {
			dst = d.Address.append(dst)
		}
	}
	dst = append(dst, p.ESMClass, p.ProtocolID, p.PriorityFlag)
	dst = appendC(dst, p.ScheduleDeliveryTime)
	dst = appendC(dst, p.ValidityPeriod)
	dst = append(dst, p.RegisteredDelivery, p.ReplaceIfPresent, p.DataCoding, p.DefaultMsgID)
	return appendMessage(dst, p.ShortMessage, p.TLVs)
}

// Decode implements Body. It uses the room p.Dests already has.
func (p *SubmitMulti) Decode(src []byte) error {
	c := cursor{rest: src}
	p.ServiceType = c.cstring(&fServiceType)
	p.Source = c.address(&fSource)
	p.Dests = c.destinations(p.Dests[:0])
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

// destinations reads number_of_dests and as many destinations.
func (c *cursor) destinations(dests []Destination) []Destination {
	n := int(c.octet("number_of_dests"))
	if c.err == nil && (n == 0 || n > MaxDestinations) {
		c.fail("number_of_dests", fmt.Sprintf("is %d, 1 to %d are allowed", n, MaxDestinations), ESME_RINVNUMDESTS)
	}
	for ; n > 0 && c.err == nil; n-- {
		d := Destination{Flag: c.octet("dest_flag")}
		switch {
		case c.err != nil:
		case d.Flag == DestSME:
			d.Address = c.address(&fDest)
		case d.Flag == DestList:
			d.List = c.cstring(&fListName)
		default:
			c.fail("dest_flag", fmt.Sprintf("is %d, 1 or 2 is allowed", d.Flag), ESME_RINVDESTFLAG)
		}
		if c.err == nil {
			dests = append(dests, d)
		}
	}
	return dests
}

// Content returns the message's octets: ShortMessage or, where that is empty,
// the TLV message_payload.
func (p *SubmitMulti) Content() []byte {
	if len(p.ShortMessage) > 0 {
		return p.ShortMessage
	}
	v, _ := p.TLVs.Get(TagMessagePayload)
	return v
}

// Unsuccess is a destination of submit_multi that was not taken, and why.
type Unsuccess struct {
	Address Address
	Status  Status
}

// SubmitMultiResp is the body of submit_multi_resp (SMPP v3.4 section 4.5.2).
type SubmitMultiResp struct {
	MessageID []byte // at most 64 octets
	Unsuccess []Unsuccess
	TLVs      TLVs
}

// Append implements Body.
//
// REQUIRES: len(p.Unsuccess) <= 255.
func (p *SubmitMultiResp) Append(dst []byte) []byte {
	dst = appendC(dst, p.MessageID)
	dst = append(dst, uint8(len(p.Unsuccess)))
	for i := range p.Unsuccess {
		dst = p.Unsuccess[i].Address.append(dst)
		dst = binary.BigEndian.AppendUint32(dst, uint32(p.Unsuccess[i].Status))
	}
	return append(dst, p.TLVs...)
}

// Decode implements Body. It uses the room p.Unsuccess already has, and takes a
// missing body, a message_id without NUL and a missing no_unsuccess.
func (p *SubmitMultiResp) Decode(src []byte) error {
	p.Unsuccess, p.TLVs = p.Unsuccess[:0], nil
	c := cursor{rest: src}
	if len(src) == 0 {
		p.MessageID = nil
		return nil
	}
	p.MessageID = c.unterminated(&fMessageID)
	if len(c.rest) == 0 {
		return c.done()
	}
	for n := int(c.octet("no_unsuccess")); n > 0 && c.err == nil; n-- {
		u := Unsuccess{Address: c.address(&fDest)}
		if c.err != nil {
			break
		}
		if st := c.octets("error_status_code", 4, ESME_RINVCMDLEN); st != nil {
			u.Status = Status(binary.BigEndian.Uint32(st))
			p.Unsuccess = append(p.Unsuccess, u)
		}
	}
	p.TLVs = c.tlvs()
	return c.done()
}
