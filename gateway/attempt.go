package gateway

import (
	"encoding/binary"
	"errors"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
	"masar/smpp/text"
)

// errNeedsTLVs: the message cannot be written without TLVs and the carrier has none.
var errNeedsTLVs = errors.New("the carrier takes no TLVs")

// errTooLong: the text needs more parts than the carrier takes.
var errTooLong = errors.New("too many parts for the carrier")

// A split is one attempt's way of writing a message for one carrier: what all its parts
// share, and the octets of each.
type split struct {
	esmClass   uint8
	dataCoding uint8
	style      text.Style
	payload    bool // the octets travel as message_payload
	reference  uint16
	parts      [][]byte // short_message of each part, user data header included
}

// plan writes m as this carrier wants it. One part is the common case and does not
// allocate: parts then aliases m.Body. s is reused between calls.
func (o *Carrier) plan(m *queue.Message, codings text.Codings, reference uint16, s *split) error {
	if err := o.lay(m, codings, reference, s); err != nil {
		return err
	}
	if o.NoTLVs && (s.payload || m.ESMClass&pdu.ESMClassUDHI == 0 && concatenated(m.ESMClass, m.TLVs)) {
		return errNeedsTLVs
	}
	return nil
}

// lay is plan, TLVs or not.
func (o *Carrier) lay(m *queue.Message, codings text.Codings, reference uint16, s *split) error {
	*s = split{esmClass: m.ESMClass &^ 0x03, dataCoding: m.DataCoding, style: o.Style, parts: s.parts[:0], reference: reference}
	body := m.Body
	if concatenated(m.ESMClass, m.TLVs) {
		// The client's own parts: as they are, octet for octet.
		s.payload = len(body) > o.MaxShortMessage
		s.parts = append(s.parts, body)
		return nil
	}
	e, known := codings.Encoding(m.DataCoding)
	if !known {
		e = text.Binary
	}
	if e != text.Binary {
		var err error
		if body, e, err = o.recode(s, body, e); err != nil {
			return err
		}
	}
	switch {
	case text.FitsOne(body, e):
		if o.Packed && e == text.GSM7 && s.dataCoding == 0 {
			body = text.PackGSM(nil, body, 0)
		}
		s.payload = len(body) > o.MaxShortMessage
		s.parts = append(s.parts, body)
		return nil
	case o.Style == text.Payload:
		// The SMSC splits it: it is asked only whether it may.
		if _, err := text.SplitOctets(nil, body, e, text.Payload); err != nil {
			return err
		}
		s.payload = true
		s.parts = append(s.parts, body)
		return nil
	}
	return o.cut(s, body, e)
}

// recode brings a text into an alphabet that the carrier has: as it is where it can be,
// else re-encoded where nothing is lost, else UCS-2.
func (o *Carrier) recode(s *split, body []byte, e text.Encoding) ([]byte, text.Encoding, error) {
	class, hasClass := text.Class(s.dataCoding)
	if e == text.UCS2 {
		body = text.TrimBOM(body)
	}
	if coding, ok := o.coding(e); ok {
		if !hasClass {
			s.dataCoding = coding
		}
		return body, e, nil
	}
	txt, err := text.Decode(body, e)
	if err != nil {
		return nil, e, err
	}
	to := text.UCS2
	if out, err := text.Encode(nil, txt, o.Codings.Default); err == nil {
		body, to = out, o.Codings.Default
	} else if body, err = text.Encode(nil, txt, text.UCS2); err != nil {
		return nil, e, err
	}
	s.dataCoding, _ = o.coding(to)
	if hasClass {
		if dc, ok := text.WithClass(to, class); ok {
			s.dataCoding = dc
		}
	}
	return body, to, nil
}

// coding is the carrier's data_coding for an encoding; false: it has none.
func (o *Carrier) coding(e text.Encoding) (uint8, bool) {
	if dc, ok := o.DataCoding[e]; ok {
		return dc, true
	}
	if e == o.Codings.Default {
		return text.CodingDefault, true
	}
	if e == text.GSM7 {
		return 0, false // only data_coding 0 could say it, and there it means something else
	}
	dc := o.Codings.Coding(e)
	back, known := o.Codings.Encoding(dc)
	return dc, known && back == e
}

// cut splits octets into parts with the style's headers, all in one allocation.
func (o *Carrier) cut(s *split, body []byte, e text.Encoding) error {
	var room [8][]byte
	pieces, err := text.SplitOctets(room[:0], body, e, o.Style)
	if err != nil {
		return err
	}
	if len(pieces) > o.MaxParts {
		return errTooLong
	}
	packed := o.Packed && e == text.GSM7 && s.dataCoding == 0
	if o.Style == text.SAR {
		for _, p := range pieces {
			if packed {
				p = text.PackGSM(nil, p, 0)
			}
			s.add(p, o.MaxShortMessage)
		}
		return nil
	}
	s.esmClass |= pdu.ESMClassUDHI
	buf := make([]byte, 0, len(body)+len(pieces)*8)
	for i, p := range pieces {
		from := len(buf)
		buf = text.AppendConcatUDH(buf, o.Style, s.reference, uint8(len(pieces)), uint8(i+1))
		if packed {
			buf = text.PackGSM(buf, p, text.FillBits(len(buf)-from))
		} else {
			buf = append(buf, p...)
		}
		s.add(buf[from:len(buf):len(buf)], o.MaxShortMessage)
	}
	return nil
}

// add appends a part. When one is longer than the carrier's short_message all of them
// travel as message_payload, so that a handset's parts come the same way.
func (s *split) add(part []byte, mostShort int) {
	s.parts = append(s.parts, part)
	s.payload = s.payload || len(part) > mostShort
}

// write fills p with one part of a split. free may be nil.
func (o *Carrier) write(p *pdu.SubmitSM, m *queue.Message, s *split, part int, receipt bool, free *Marker, buf *writeBuffers, now time.Time) {
	tlvs := buf.tlvs[:0]
	service, source := orElse(m.ServiceType, o.ServiceType), &m.Source
	if free != nil {
		service = orElse(free.ServiceType, service)
		if free.Source != "" {
			buf.marked = alphanumericOrE164(free.Source)
			source = &buf.marked
		}
	}
	*p = pdu.SubmitSM{
		ServiceType:        append(buf.service[:0], service...),
		ESMClass:           s.esmClass,
		ProtocolID:         m.ProtocolID,
		PriorityFlag:       m.Priority,
		DataCoding:         s.dataCoding,
		RegisteredDelivery: m.RegisteredDelivery,
	}
	if o.ProtocolID != nil {
		p.ProtocolID = *o.ProtocolID
	}
	if o.Priority != nil {
		p.PriorityFlag = *o.Priority
	}
	switch {
	case !receipt:
		p.RegisteredDelivery = 0
	case p.RegisteredDelivery&pdu.RegisteredReceiptMask != pdu.RegisteredFinal:
		// The client may want failures only: which outcomes it hears is decided here, and
		// the carrier is asked for every final one.
		p.RegisteredDelivery = p.RegisteredDelivery&^pdu.RegisteredReceiptMask | pdu.RegisteredFinal
	}
	if o.Alphanumeric == ReplaceSender && !isDigits(source.Addr) {
		buf.replaced = alphanumericOrE164(o.Replacement)
		source = &buf.replaced
	}
	p.Source = o.Source.rewrite(buf.source[:0], source)
	p.Dest = o.Dest.rewrite(buf.dest[:0], &m.Dest)
	p.ValidityPeriod = o.validity(buf.validity[:0], m, now)
	if !o.NoTLVs {
		tlvs = append(append(tlvs, m.TLVs...), o.TLVs...)
		if free != nil {
			tlvs = append(tlvs, free.TLVs...)
		}
	}
	if s.style == text.SAR && len(s.parts) > 1 {
		tlvs = tlvs.AppendUint16(pdu.TagSARMsgRefNum, s.reference)
		tlvs = tlvs.AppendUint8(pdu.TagSARTotalSegments, uint8(len(s.parts)))
		tlvs = tlvs.AppendUint8(pdu.TagSARSegmentSeqnum, uint8(part+1))
	}
	if s.payload {
		tlvs = tlvs.Append(pdu.TagMessagePayload, s.parts[part])
	} else {
		p.ShortMessage = s.parts[part]
	}
	p.TLVs, buf.tlvs = tlvs, tlvs
}

// writeBuffers are the dispatcher's own, reused for every submit_sm.
type writeBuffers struct {
	service  [8]byte
	source   [64]byte
	dest     [64]byte
	validity [32]byte
	tlvs     pdu.TLVs
	replaced queue.Address
	marked   queue.Address // a marker's source
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// rewrite is an address as the carrier wants it. Prefixes belong to numbers: an
// alphanumeric sender is left as it is.
func (a *Addressing) rewrite(dst []byte, from *queue.Address) pdu.Address {
	addr, numeric := from.Addr, isDigits(from.Addr)
	if numeric {
		if a.Strip != "" && len(addr) > len(a.Strip) && addr[:len(a.Strip)] == a.Strip {
			addr = addr[len(a.Strip):]
		}
		dst = append(dst, a.Prefix...)
	}
	out := pdu.Address{TON: from.TON, NPI: from.NPI, Addr: append(dst, addr...)}
	switch a.TONNPI.Mode {
	case TONNPIFixed:
		if numeric {
			out.TON, out.NPI = a.TONNPI.TON, a.TONNPI.NPI
			break
		}
		out.TON, out.NPI = pdu.TONAlphanumeric, pdu.NPIUnknown
	case TONNPIAuto:
		switch {
		case from.Addr == "":
		case !numeric:
			out.TON, out.NPI = pdu.TONAlphanumeric, pdu.NPIUnknown
		case len(from.Addr) <= 6:
			out.TON, out.NPI = pdu.TONNetworkSpecific, pdu.NPIUnknown
		default:
			out.TON, out.NPI = pdu.TONInternational, pdu.NPIISDN
		}
	}
	return out
}

func isDigits(s string) bool {
	for i := 0; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return true
}

// validity tells the carrier how long the message still counts.
func (o *Carrier) validity(dst []byte, m *queue.Message, now time.Time) []byte {
	switch o.Validity {
	case NoValidity:
		return nil
	case AbsoluteValidity:
		return pdu.AppendTime(dst, m.Expires.Time())
	}
	left := m.Expires.Time().Sub(now).Round(time.Second)
	return pdu.AppendRelative(dst, max(left, time.Second))
}

// reference is the concatenation reference of an attempt: all of the id's clock that
// changes from message to message, so that two texts to one handset differ.
func reference(id queue.ID, attempt uint8) uint16 {
	x := uint64(id)>>10 ^ uint64(id)<<7 ^ uint64(attempt)
	x *= 0x9e3779b97f4a7c15
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], x)
	return binary.BigEndian.Uint16(b[:])
}
