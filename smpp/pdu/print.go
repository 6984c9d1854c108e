package pdu

import (
	"encoding/hex"
	"fmt"
	"strconv"
)

// printer writes the parameters of a body as name=value. Unless plain, numbers
// keep their ends alone and messages their length alone; a password is never
// written.
type printer struct {
	b     []byte
	sep   string
	plain bool
}

// printable is what every body of this package is.
type printable interface{ print(*printer) }

func line(v printable) string {
	p := printer{sep: " "}
	v.print(&p)
	return string(p.b)
}

// Dump writes a whole PDU for an operator's eyes, a parameter a line, with
// numbers and messages in full, so it is not for the log. A body that cannot be
// read is shown as far as it can be, then why not, then its octets.
func Dump(frame []byte) string {
	if len(frame) < HeaderLen {
		return fmt.Sprintf("%d octets, too few for a header: %x\n", len(frame), frame)
	}
	h := ParseHeader(frame)
	p := printer{sep: "\n  ", plain: true}
	p.b = fmt.Appendf(p.b, "%v\n  command_length=%d\n  command_status=%v\n  sequence_number=%d",
		h.Command, h.Length, h.Status, h.Sequence)
	if int(h.Length) != len(frame) {
		p.b = fmt.Appendf(p.b, "\n  (%d octets are there)", len(frame))
	}
	rest := frame[HeaderLen:]
	body := NewBody(h.Command)
	switch {
	case body != nil:
		err := body.Decode(rest)
		body.(printable).print(&p)
		if err != nil {
			p.b = fmt.Appendf(p.b, "\n  error: %v\n  octets=%x", err, rest)
		}
	case len(rest) > 0:
		p.b = fmt.Appendf(p.b, "\n  octets=%x", rest)
	}
	return string(append(p.b, '\n'))
}

func (p *printer) name(s string) {
	if len(p.b) > 0 {
		p.b = append(p.b, p.sep...)
	}
	p.b = append(append(p.b, s...), '=')
}

func (p *printer) text(name string, v []byte) {
	p.name(name)
	p.b = strconv.AppendQuote(p.b, string(v))
}

// optional writes v unless it is empty.
func (p *printer) optional(name string, v []byte) {
	if len(v) > 0 {
		p.text(name, v)
	}
}

func (p *printer) secret(name string) {
	p.name(name)
	p.b = append(p.b, "***"...)
}

func (p *printer) number(name string, v uint8) {
	p.name(name)
	p.b = strconv.AppendUint(p.b, uint64(v), 10)
}

func (p *printer) bits(name string, v uint8) {
	p.name(name)
	p.b = fmt.Appendf(p.b, "0x%02x", v)
}

func (p *printer) address(name string, a Address) {
	p.name(name)
	p.b = a.appendString(p.b, p.plain)
}

func (p *printer) octets(name string, v []byte) {
	p.name(name)
	if p.plain {
		p.b = hex.AppendEncode(p.b, v)
		return
	}
	p.b = strconv.AppendInt(p.b, int64(len(v)), 10)
	p.b = append(p.b, " octets"...)
}

// tlvs writes the TLVs. Masked, those that hold a message, a number or what we
// do not know show their length alone.
func (p *printer) tlvs(t TLVs) {
	for tag, v := range t.All() {
		r := tag.Rule()
		switch {
		case r == nil || r.Max > 6 && !r.CString:
			p.octets(tag.String(), v)
		case r.CString:
			if n := len(v); n > 0 && v[n-1] == 0 {
				v = v[:n-1]
			}
			p.text(r.Name, v)
		default:
			p.name(r.Name)
			p.b = append(p.b, "0x"...)
			p.b = hex.AppendEncode(p.b, v)
		}
	}
}

// String returns ton/npi/address, with the middle of a number masked:
// "1/1/96650*****01", "5/0/MOI".
func (a Address) String() string { return string(a.appendString(nil, false)) }

func (a Address) appendString(b []byte, plain bool) []byte {
	b = append(strconv.AppendUint(b, uint64(a.TON), 10), '/')
	b = append(strconv.AppendUint(b, uint64(a.NPI), 10), '/')
	for i, c := range a.Addr {
		switch {
		case !plain && c >= '0' && c <= '9' && a.TON != TONAlphanumeric && len(a.Addr) > 7 && i >= 5 && i < len(a.Addr)-2:
			b = append(b, '*')
		case c < ' ' || c > '~':
			b = fmt.Appendf(b, `\x%02x`, c)
		default:
			b = append(b, c)
		}
	}
	return b
}

func (p *Bind) print(w *printer) {
	w.text("system_id", p.SystemID)
	w.secret("password")
	w.text("system_type", p.SystemType)
	w.bits("interface_version", p.InterfaceVersion)
	w.number("addr_ton", p.AddrTON)
	w.number("addr_npi", p.AddrNPI)
	w.text("address_range", p.AddressRange)
}

func (p *BindResp) print(w *printer) {
	w.text("system_id", p.SystemID)
	w.tlvs(p.TLVs)
}

func (p *Outbind) print(w *printer) {
	w.text("system_id", p.SystemID)
	w.secret("password")
}

func (p *SubmitSM) print(w *printer) {
	w.text("service_type", p.ServiceType)
	w.address("source_addr", p.Source)
	w.address("destination_addr", p.Dest)
	w.bits("esm_class", p.ESMClass)
	w.bits("protocol_id", p.ProtocolID)
	w.number("priority_flag", p.PriorityFlag)
	w.optional("schedule_delivery_time", p.ScheduleDeliveryTime)
	w.optional("validity_period", p.ValidityPeriod)
	w.bits("registered_delivery", p.RegisteredDelivery)
	w.number("replace_if_present_flag", p.ReplaceIfPresent)
	w.bits("data_coding", p.DataCoding)
	w.number("sm_default_msg_id", p.DefaultMsgID)
	w.octets("short_message", p.ShortMessage)
	w.tlvs(p.TLVs)
}

func (p *MessageResp) print(w *printer) {
	w.text("message_id", p.MessageID)
	w.tlvs(p.TLVs)
}

func (p *DataSM) print(w *printer) {
	w.text("service_type", p.ServiceType)
	w.address("source_addr", p.Source)
	w.address("destination_addr", p.Dest)
	w.bits("esm_class", p.ESMClass)
	w.bits("registered_delivery", p.RegisteredDelivery)
	w.bits("data_coding", p.DataCoding)
	w.tlvs(p.TLVs)
}

func (p *SubmitMulti) print(w *printer) {
	w.text("service_type", p.ServiceType)
	w.address("source_addr", p.Source)
	for i := range p.Dests {
		if d := &p.Dests[i]; d.Flag == DestList {
			w.text("dl_name", d.List)
		} else {
			w.address("destination_addr", d.Address)
		}
	}
	w.bits("esm_class", p.ESMClass)
	w.bits("protocol_id", p.ProtocolID)
	w.number("priority_flag", p.PriorityFlag)
	w.optional("schedule_delivery_time", p.ScheduleDeliveryTime)
	w.optional("validity_period", p.ValidityPeriod)
	w.bits("registered_delivery", p.RegisteredDelivery)
	w.number("replace_if_present_flag", p.ReplaceIfPresent)
	w.bits("data_coding", p.DataCoding)
	w.number("sm_default_msg_id", p.DefaultMsgID)
	w.octets("short_message", p.ShortMessage)
	w.tlvs(p.TLVs)
}

func (p *SubmitMultiResp) print(w *printer) {
	w.text("message_id", p.MessageID)
	for i := range p.Unsuccess {
		w.address("unsuccess_sme", p.Unsuccess[i].Address)
		w.b = append(append(w.b, ':'), p.Unsuccess[i].Status.String()...)
	}
	w.tlvs(p.TLVs)
}

func (p *QuerySM) print(w *printer) {
	w.text("message_id", p.MessageID)
	w.address("source_addr", p.Source)
}

func (p *QuerySMResp) print(w *printer) {
	w.text("message_id", p.MessageID)
	w.optional("final_date", p.FinalDate)
	w.name("message_state")
	w.b = append(w.b, p.MessageState.String()...)
	w.number("error_code", p.ErrorCode)
}

func (p *CancelSM) print(w *printer) {
	w.text("service_type", p.ServiceType)
	w.text("message_id", p.MessageID)
	w.address("source_addr", p.Source)
	w.address("destination_addr", p.Dest)
}

func (p *ReplaceSM) print(w *printer) {
	w.text("message_id", p.MessageID)
	w.address("source_addr", p.Source)
	w.optional("schedule_delivery_time", p.ScheduleDeliveryTime)
	w.optional("validity_period", p.ValidityPeriod)
	w.bits("registered_delivery", p.RegisteredDelivery)
	w.number("sm_default_msg_id", p.DefaultMsgID)
	w.octets("short_message", p.ShortMessage)
	w.tlvs(p.TLVs)
}

func (p *AlertNotification) print(w *printer) {
	w.address("source_addr", p.Source)
	w.address("esme_addr", p.ESME)
	w.tlvs(p.TLVs)
}
