package gateway

import (
	"strings"

	"masar/smpp/pdu"
	"masar/smpp/text"
)

// What a mobile-originated message says, which part of what it is, and which rule it fits:
// brains of mobile.go.

// waitsForAll tells whether a part can only be routed with the others: some rule for its
// destination looks at the text, or its account wants whole messages, or it is a short code.
func (w *world) waitsForAll(p *pdu.DeliverSM) bool {
	if w.shortCode(p.Dest.Addr) != nil {
		return true
	}
	for i := range w.setup.Mobile {
		r := &w.setup.Mobile[i]
		if r.To == "" || r.To == string(p.Dest.Addr) {
			if r.Whole || r.Keyword != "" || r.Regexp != nil {
				return true
			}
		}
	}
	return false
}

// mobileRule is the first rule that fits, and its account; nil: none.
func (w *world) mobileRule(p *pdu.DeliverSM, txt string) (*MobileRule, *account) {
	for i := range w.setup.Mobile {
		r := &w.setup.Mobile[i]
		if r.To != "" && r.To != string(p.Dest.Addr) {
			continue
		}
		if r.Keyword != "" && !strings.EqualFold(firstWord(txt), r.Keyword) {
			continue
		}
		if r.Regexp != nil && !r.Regexp.MatchString(txt) {
			continue
		}
		if a := w.accounts[r.Account]; a != nil {
			return r, a
		}
	}
	return nil, nil
}

func firstWord(s string) string {
	words := strings.Fields(s)
	if len(words) == 0 {
		return ""
	}
	return words[0]
}

// spokenOctets is a message's octets behind their user data header, wherever they stand.
func spokenOctets(p *pdu.DeliverSM) []byte {
	body := octetsOf(p)
	if p.ESMClass&pdu.ESMClassUDHI != 0 {
		if _, _, n, err := text.ParseUDH(body); err == nil {
			body = body[n:]
		}
	}
	return body
}

// octetsOf is short_message, or message_payload where that is empty.
func octetsOf(p *pdu.DeliverSM) []byte {
	if len(p.ShortMessage) == 0 {
		if long, ok := p.TLVs.Get(pdu.TagMessagePayload); ok {
			return long
		}
	}
	return p.ShortMessage
}

// mobileText is what a message says, as far as it can be read.
func mobileText(codings text.Codings, p *pdu.DeliverSM) string {
	e, known := codings.Encoding(p.DataCoding)
	if !known {
		return ""
	}
	s, err := text.Decode(spokenOctets(p), e)
	if err != nil {
		return ""
	}
	return s
}

// concatOf reads which part of what a message is, from its UDH or its SAR TLVs.
func concatOf(p *pdu.DeliverSM) (text.Concat, bool) {
	if p.ESMClass&pdu.ESMClassUDHI != 0 {
		c, has, _, err := text.ParseUDH(octetsOf(p))
		return c, err == nil && has && validConcat(c)
	}
	ref, ok1 := p.TLVs.Get(pdu.TagSARMsgRefNum)
	total, ok2 := p.TLVs.Get(pdu.TagSARTotalSegments)
	seq, ok3 := p.TLVs.Get(pdu.TagSARSegmentSeqnum)
	if !ok1 || !ok2 || !ok3 || len(ref) != 2 || len(total) != 1 || len(seq) != 1 {
		return text.Concat{}, false
	}
	c := text.Concat{Ref: uint16(ref[0])<<8 | uint16(ref[1]), Wide: true, Total: total[0], Seq: seq[0]}
	return c, validConcat(c)
}

func validConcat(c text.Concat) bool { return c.Total > 1 && c.Seq >= 1 && c.Seq <= c.Total }

// join makes one message of all parts: the headers off, the octets in order, in
// short_message where they fit, else in message_payload.
func join(parts []*pdu.DeliverSM) *pdu.DeliverSM {
	out := *parts[0]
	var body []byte
	for _, p := range parts {
		body = append(body, spokenOctets(p)...)
	}
	out.ESMClass &^= pdu.ESMClassUDHI
	var tlvs pdu.TLVs
	for tag, v := range parts[0].TLVs.All() {
		switch tag {
		case pdu.TagSARMsgRefNum, pdu.TagSARTotalSegments, pdu.TagSARSegmentSeqnum, pdu.TagMessagePayload:
		default:
			tlvs = tlvs.Append(tag, v)
		}
	}
	out.ShortMessage = body
	if len(body) > pdu.MaxShortMessage {
		out.ShortMessage = nil
		tlvs = tlvs.Append(pdu.TagMessagePayload, body)
	}
	out.TLVs = tlvs
	return &out
}
