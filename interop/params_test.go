package interop

import (
	"encoding/binary"
	"strings"

	"masar/smpp/pdu"
)

// bitFields are read by tshark in pieces: the first piece has the whole octet.
var bitFields = map[string]string{
	"smpp.esm.submit.msg_mode": "esm_class", "smpp.esm.submit.msg_type": "", "smpp.esm.submit.features": "",
	"smpp.regdel.receipt": "registered_delivery", "smpp.regdel.acks": "", "smpp.regdel.notif": "",
}

// wireParams are tshark's parameters of a PDU in the order of the wire.
func wireParams(smpp *node) (list []param) {
	add := func(name, octets string) {
		if octets != "\x00" || !cstrings[name] { // empty strings are shown or not, as it likes
			list = append(list, param{name, octets})
		}
	}
	var walk func(fields []node)
	walk = func(fields []node) {
		for i := range fields {
			n := &fields[i]
			name := strings.TrimPrefix(n.Name, "smpp.")
			switch whole, isBits := bitFields[n.Name]; {
			case isBits:
				if whole != "" {
					add(whole, n.octets())
				}
			case name == "opt_params", name == "dlist", name == "dlist_resp":
				walk(n.Fields)
			case name == "opt_param":
				list = append(list, tlvParams(n)...)
			case name == "message_text", strings.HasPrefix(name, "dcs."), strings.HasPrefix(name, "_ws."), n.Name == "":
			default:
				add(strings.TrimSuffix(name, "_r"), n.octets())
				if name == "data_coding" {
					continue // below it, what its bits may mean
				}
				walk(n.Fields)
			}
		}
	}
	walk(smpp.Fields)
	return list
}

// tlvParams are tag, length and value; the value may lie in pieces, and those in bits.
func tlvParams(n *node) (list []param) {
	value, end := "", -1
	for i := range n.Fields {
		f := &n.Fields[i]
		switch f.Name {
		case "smpp.opt_param_tag":
			list = append(list, param{"tag", f.octets()})
		case "smpp.opt_param_len":
			list = append(list, param{"length", f.octets()})
		default:
			if octets := f.octets(); f.Pos >= end {
				value += octets
				end = f.Pos + len(octets)
			}
		}
	}
	return append(list, param{"value", value})
}

// cstrings are the C-octet strings, times included.
var cstrings = map[string]bool{
	"system_id": true, "password": true, "system_type": true, "address_range": true, "service_type": true,
	"source_addr": true, "destination_addr": true, "schedule_delivery_time": true, "validity_period": true,
	"message_id": true, "final_date": true, "dl_name": true, "esme_addr": true,
}

// writer lists parameters in the order of the wire.
type writer struct{ list []param }

func (w *writer) text(name string, v []byte) {
	if len(v) > 0 {
		w.list = append(w.list, param{name, string(v) + "\x00"})
	}
}

func (w *writer) octet(name string, v uint8) {
	w.list = append(w.list, param{name, string([]byte{v})})
}

func (w *writer) word(name string, v uint32) {
	w.list = append(w.list, param{name, string(binary.BigEndian.AppendUint32(nil, v))})
}

func (w *writer) address(prefix, name string, a pdu.Address) {
	w.octet(prefix+"_addr_ton", a.TON)
	w.octet(prefix+"_addr_npi", a.NPI)
	w.text(name, a.Addr)
}

func (w *writer) message(b []byte) {
	w.octet("sm_length", uint8(len(b)))
	if len(b) > 0 {
		w.list = append(w.list, param{"message", string(b)})
	}
}

func (w *writer) tlvs(t pdu.TLVs) {
	for tag, v := range t.All() {
		w.list = append(w.list,
			param{"tag", string(binary.BigEndian.AppendUint16(nil, uint16(tag)))},
			param{"length", string(binary.BigEndian.AppendUint16(nil, uint16(len(v))))},
			param{"value", string(v)})
	}
}

// params are a PDU's parameters as smpp/pdu reads them.
func params(frame []byte) ([]param, error) {
	h := pdu.ParseHeader(frame)
	w := new(writer)
	w.word("command_length", h.Length)
	w.word("command_id", uint32(h.Command))
	if h.Command.IsResponse() {
		w.word("command_status", uint32(h.Status)) // tshark leaves it out of requests
	}
	w.word("sequence_number", h.Sequence)
	b := pdu.NewBody(h.Command)
	if b == nil || len(frame) == pdu.HeaderLen && h.Command.IsResponse() {
		return w.list, nil
	}
	if err := b.Decode(frame[pdu.HeaderLen:]); err != nil {
		return nil, err
	}
	switch p := b.(type) {
	case *pdu.Bind:
		w.text("system_id", p.SystemID)
		w.text("password", p.Password)
		w.text("system_type", p.SystemType)
		w.octet("interface_version", p.InterfaceVersion)
		w.octet("addr_ton", p.AddrTON)
		w.octet("addr_npi", p.AddrNPI)
		w.text("address_range", p.AddressRange)
	case *pdu.BindResp:
		w.text("system_id", p.SystemID)
		w.tlvs(p.TLVs)
	case *pdu.SubmitSM:
		w.text("service_type", p.ServiceType)
		w.address("source", "source_addr", p.Source)
		w.address("dest", "destination_addr", p.Dest)
		w.submission(p.ESMClass, p.ProtocolID, p.PriorityFlag, p.ScheduleDeliveryTime, p.ValidityPeriod, p.RegisteredDelivery,
			p.ReplaceIfPresent, p.DataCoding, p.DefaultMsgID, p.ShortMessage, p.TLVs)
	case *pdu.SubmitMulti:
		w.text("service_type", p.ServiceType)
		w.address("source", "source_addr", p.Source)
		for i := range p.Dests {
			if d := &p.Dests[i]; d.Flag == pdu.DestList {
				w.text("dl_name", d.List)
			} else {
				w.address("dest", "destination_addr", d.Address)
			}
		}
		w.submission(p.ESMClass, p.ProtocolID, p.PriorityFlag, p.ScheduleDeliveryTime, p.ValidityPeriod, p.RegisteredDelivery,
			p.ReplaceIfPresent, p.DataCoding, p.DefaultMsgID, p.ShortMessage, p.TLVs)
	case *pdu.SubmitMultiResp:
		w.text("message_id", p.MessageID)
		for i := range p.Unsuccess {
			w.address("dest", "destination_addr", p.Unsuccess[i].Address)
			w.word("error_status_code", uint32(p.Unsuccess[i].Status))
		}
		w.tlvs(p.TLVs)
	case *pdu.DataSM:
		w.text("service_type", p.ServiceType)
		w.address("source", "source_addr", p.Source)
		w.address("dest", "destination_addr", p.Dest)
		w.octet("esm_class", p.ESMClass)
		w.octet("registered_delivery", p.RegisteredDelivery)
		w.octet("data_coding", p.DataCoding)
		w.tlvs(p.TLVs)
	case *pdu.MessageResp:
		w.text("message_id", p.MessageID)
		w.tlvs(p.TLVs)
	case *pdu.QuerySM:
		w.text("message_id", p.MessageID)
		w.address("source", "source_addr", p.Source)
	case *pdu.QuerySMResp:
		w.text("message_id", p.MessageID)
		w.text("final_date", p.FinalDate)
		w.octet("message_state", uint8(p.MessageState))
		w.octet("error_code", p.ErrorCode)
	case *pdu.CancelSM:
		w.text("service_type", p.ServiceType)
		w.text("message_id", p.MessageID)
		w.address("source", "source_addr", p.Source)
		w.address("dest", "destination_addr", p.Dest)
	case *pdu.ReplaceSM:
		w.text("message_id", p.MessageID)
		w.address("source", "source_addr", p.Source)
		w.text("schedule_delivery_time", p.ScheduleDeliveryTime)
		w.text("validity_period", p.ValidityPeriod)
		w.octet("registered_delivery", p.RegisteredDelivery)
		w.octet("sm_default_msg_id", p.DefaultMsgID)
		w.message(p.ShortMessage)
		w.tlvs(p.TLVs)
	case *pdu.AlertNotification:
		w.address("source", "source_addr", p.Source)
		w.address("esme", "esme_addr", p.ESME)
		w.tlvs(p.TLVs)
	default:
		panic("no parameters written down for " + h.Command.String())
	}
	return w.list, nil
}

// submission is what follows the addresses in submit_sm, deliver_sm and submit_multi.
func (w *writer) submission(esmClass, protocolID, priority uint8, schedule, validity []byte, registered, replace, dataCoding, defaultID uint8,
	message []byte, tlvs pdu.TLVs) {
	w.octet("esm_class", esmClass)
	w.octet("protocol_id", protocolID)
	w.octet("priority_flag", priority)
	w.text("schedule_delivery_time", schedule)
	w.text("validity_period", validity)
	w.octet("registered_delivery", registered)
	w.octet("replace_if_present_flag", replace)
	w.octet("data_coding", dataCoding)
	w.octet("sm_default_msg_id", defaultID)
	w.message(message)
	w.tlvs(tlvs)
}
