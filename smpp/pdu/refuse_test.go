package pdu

import (
	"bytes"
	"errors"
	"strings"
	"testing"
)

// wellFormed is the body of a submit_sm, cut into its parameters.
func wellFormed() map[string]string {
	return map[string]string{
		"service_type": "CMT\x00",
		"source":       "\x05\x00MOI\x00",
		"dest":         "\x01\x01966500000001\x00",
		"flags":        "\x00\x00\x00",
		"schedule":     "\x00",
		"validity":     "\x00",
		"more":         "\x01\x00\x00\x00",
		"sm":           "\x02hi",
		"tlvs":         "",
	}
}

func submitOctets(change map[string]string) []byte {
	m := wellFormed()
	for k, v := range change {
		if _, ok := m[k]; !ok {
			panic(k)
		}
		m[k] = v
	}
	return []byte(m["service_type"] + m["source"] + m["dest"] + m["flags"] + m["schedule"] + m["validity"] + m["more"] + m["sm"] + m["tlvs"])
}

// wantStatus wants err to be nil with ESME_ROK, else a *FieldError of field and
// status whose text says both.
func wantStatus(t *testing.T, err error, st Status, field string) {
	t.Helper()
	if st == ESME_ROK {
		if err != nil {
			t.Fatalf("refused: %v", err)
		}
		return
	}
	var fe *FieldError
	if !errors.As(err, &fe) {
		t.Fatalf("%v, want %v", err, st)
	}
	if fe.Status != st || fe.Field != field {
		t.Fatalf("%v, want %v of %s", fe, st, field)
	}
	if fe.Rule == "" || !strings.Contains(fe.Error(), st.String()) || !strings.HasPrefix(fe.Error(), field) {
		t.Fatalf("the error says %q", fe.Error())
	}
}

func TestSubmitSMIsReadOrRefusedByItsSyntax(t *testing.T) {
	for _, row := range []struct {
		name   string
		change map[string]string
		status Status
		field  string
	}{
		{"well formed", nil, ESME_ROK, ""},
		{"service_type of 5", map[string]string{"service_type": "ABCDE\x00"}, ESME_ROK, ""},
		{"service_type of 6", map[string]string{"service_type": "ABCDEF\x00"}, ESME_RINVSERTYP, "service_type"},
		{"source_addr of 20", map[string]string{"source": "\x01\x01" + strings.Repeat("1", 20) + "\x00"}, ESME_ROK, ""},
		{"source_addr of 21", map[string]string{"source": "\x01\x01" + strings.Repeat("1", 21) + "\x00"}, ESME_RINVSRCADR, "source_addr"},
		{"destination_addr of 20", map[string]string{"dest": "\x01\x01" + strings.Repeat("1", 20) + "\x00"}, ESME_ROK, ""},
		{"destination_addr of 21", map[string]string{"dest": "\x01\x01" + strings.Repeat("1", 21) + "\x00"}, ESME_RINVDSTADR, "destination_addr"},
		{"schedule_delivery_time of 16", map[string]string{"schedule": "261124093015300+\x00"}, ESME_ROK, ""},
		{"schedule_delivery_time of 17", map[string]string{"schedule": "2611240930153000+\x00"}, ESME_RINVSCHED, "schedule_delivery_time"},
		{"validity_period of 17", map[string]string{"validity": "0000020000000000R\x00"}, ESME_RINVEXPIRY, "validity_period"},
		{"sm_length 0", map[string]string{"sm": "\x00"}, ESME_ROK, ""},
		{"sm_length 254", map[string]string{"sm": "\xfe" + strings.Repeat("x", 254)}, ESME_ROK, ""},
		{"sm_length 255, which Check refuses", map[string]string{"sm": "\xff" + strings.Repeat("x", 255)}, ESME_ROK, ""},
		{"sm_length beyond the end", map[string]string{"sm": "\x05hi"}, ESME_RINVMSGLEN, "short_message"},
		{"no sm_length", map[string]string{"sm": ""}, ESME_RINVCMDLEN, "sm_length"},
		{"one octet left over", map[string]string{"tlvs": "\x00"}, ESME_RINVTLVSTREAM, "TLV"},
		{"three octets left over", map[string]string{"tlvs": "\x02\x04\x00"}, ESME_RINVTLVSTREAM, "TLV"},
		{"TLV beyond the end", map[string]string{"tlvs": "\x04\x24\x00\x05abcd"}, ESME_RINVTLVSTREAM, "message_payload"},
		{"TLV too short", map[string]string{"tlvs": "\x02\x04\x00\x01a"}, ESME_RINVTLVLEN, "user_message_reference"},
		{"TLV too long", map[string]string{"tlvs": "\x02\x0e\x00\x02ab"}, ESME_RINVTLVLEN, "sar_total_segments"},
		{"a broken TLV behind a wrong one", map[string]string{"tlvs": "\x02\x0e\x00\x02ab\x00"}, ESME_RINVTLVSTREAM, "TLV"},
		{"unknown TLV", map[string]string{"tlvs": "\x00\x99\x00\x03abc"}, ESME_ROK, ""},
		{"vendor's TLV", map[string]string{"tlvs": "\x14\x01\x00\x00"}, ESME_ROK, ""},
		{"empty message_payload", map[string]string{"tlvs": "\x04\x24\x00\x00"}, ESME_ROK, ""},
		{"source_telematics_id of 2, as some write it", map[string]string{"tlvs": "\x00\x10\x00\x02ab"}, ESME_ROK, ""},
		{"C-octet TLV without NUL", map[string]string{"tlvs": "\x00\x1e\x00\x03abc"}, ESME_ROK, ""},
		{"C-octet TLV of 65", map[string]string{"tlvs": "\x00\x1e\x00\x41" + strings.Repeat("x", 64) + "\x00"}, ESME_ROK, ""},
		{"C-octet TLV of 66", map[string]string{"tlvs": "\x00\x1e\x00\x42" + strings.Repeat("x", 65) + "\x00"}, ESME_RINVTLVLEN, "receipted_message_id"},
		{"C-octet TLV of 0", map[string]string{"tlvs": "\x00\x1e\x00\x00"}, ESME_RINVTLVLEN, "receipted_message_id"},
	} {
		t.Run(row.name, func(t *testing.T) {
			var p SubmitSM
			wantStatus(t, p.Decode(submitOctets(row.change)), row.status, row.field)
		})
	}
}

// A body cut anywhere is refused with ESME_RINVCMDLEN, or ESME_RINVMSGLEN once
// sm_length has been read, and never read beyond its end.
func TestCutBodyIsRefused(t *testing.T) {
	for _, g := range golden {
		if g.body == nil || g.cmd.IsResponse() {
			continue
		}
		whole := g.body.Append(nil)
		tlvs := len(tlvsOf(g.body))
		for n := range len(whole) - tlvs {
			err := NewBody(g.cmd).Decode(whole[:n:n])
			var fe *FieldError
			if !errors.As(err, &fe) || fe.Status != ESME_RINVCMDLEN && fe.Status != ESME_RINVMSGLEN {
				t.Fatalf("%s cut at %d of %d: %v", g.name, n, len(whole), err)
			}
		}
		for n := len(whole) - tlvs + 1; n < len(whole); n++ {
			err := NewBody(g.cmd).Decode(whole[:n:n])
			var fe *FieldError
			if errors.As(err, &fe) && fe.Status != ESME_RINVTLVSTREAM {
				t.Fatalf("%s cut in its TLVs: %v", g.name, err)
			}
		}
	}
}

// tlvsOf returns the TLVs of a request's body.
func tlvsOf(b Body) TLVs {
	switch p := b.(type) {
	case *SubmitSM:
		return p.TLVs
	case *DataSM:
		return p.TLVs
	case *SubmitMulti:
		return p.TLVs
	case *ReplaceSM:
		return p.TLVs
	case *AlertNotification:
		return p.TLVs
	}
	return nil
}

func TestOtherBodiesAreRefusedWithTheFieldsOwnStatus(t *testing.T) {
	long := strings.Repeat("x", 80) + "\x00"
	multi := func(dests string) string {
		return "\x00" + "\x05\x00MOI\x00" + dests + "\x00\x00\x00\x00\x00\x00\x00\x00\x00\x02hi"
	}
	for _, row := range []struct {
		name, body string
		cmd        Command
		status     Status
		field      string
	}{
		{"bind: system_id of 16", "0123456789abcdef\x00", CmdBindReceiver, ESME_RINVSYSID, "system_id"},
		{"bind: password of 9", "moi\x00123456789\x00", CmdBindTransmitter, ESME_RINVPASWD, "password"},
		{"bind: system_type of 13", "moi\x00pw\x001234567890123\x00", CmdBindTransceiver, ESME_RINVSYSTYP, "system_type"},
		{"bind: address_range of 41", "moi\x00pw\x00\x00\x34\x00\x00" + long, CmdBindTransceiver, ESME_RBINDFAIL, "address_range"},
		{"bind: no interface_version", "moi\x00pw\x00\x00", CmdBindTransceiver, ESME_RINVCMDLEN, "interface_version"},
		{"outbind: password of 9", "moi\x00123456789\x00", CmdOutbind, ESME_RINVPASWD, "password"},
		{"query_sm: message_id of 65", long, CmdQuerySM, ESME_RINVMSGID, "message_id"},
		{"query_sm: TLVs, which v5.0 allows", "7\x00\x00\x00\x00\x14\x00\x00\x01x", CmdQuerySM, ESME_ROK, ""},
		{"query_sm: octets that are no TLV", "7\x00\x00\x00\x00\x14", CmdQuerySM, ESME_RINVTLVSTREAM, "TLV"},
		{"cancel_sm: destination_addr of 21", "\x00\x00\x00\x00\x00\x01\x01" + long, CmdCancelSM, ESME_RINVDSTADR, "destination_addr"},
		{"replace_sm: validity_period of 17", "7\x00\x00\x00\x00\x00" + long, CmdReplaceSM, ESME_RINVEXPIRY, "validity_period"},
		{"data_sm: source_addr of 64", "\x00\x01\x01" + strings.Repeat("1", 64) + "\x00\x01\x011\x00\x00\x00\x00", CmdDataSM, ESME_ROK, ""},
		{"data_sm: source_addr of 65", "\x00\x01\x01" + strings.Repeat("1", 65) + "\x00\x01\x011\x00\x00\x00\x00", CmdDataSM, ESME_RINVSRCADR, "source_addr"},
		{"submit_multi: one", multi("\x01\x01\x01\x01966500000001\x00"), CmdSubmitMulti, ESME_ROK, ""},
		{"submit_multi: none", multi("\x00"), CmdSubmitMulti, ESME_RINVNUMDESTS, "number_of_dests"},
		{"submit_multi: 254", multi("\xfe" + strings.Repeat("\x01\x01\x019\x00", 254)), CmdSubmitMulti, ESME_ROK, ""},
		{"submit_multi: 255", multi("\xff" + strings.Repeat("\x01\x01\x019\x00", 255)), CmdSubmitMulti, ESME_RINVNUMDESTS, "number_of_dests"},
		{"submit_multi: dest_flag 3", multi("\x01\x03x\x00"), CmdSubmitMulti, ESME_RINVDESTFLAG, "dest_flag"},
		{"submit_multi: dl_name of 20", multi("\x01\x02" + strings.Repeat("x", 20) + "\x00"), CmdSubmitMulti, ESME_ROK, ""},
		{"submit_multi: dl_name of 21", multi("\x01\x02" + strings.Repeat("x", 21) + "\x00"), CmdSubmitMulti, ESME_RINVDLNAME, "dl_name"},
		{"submit_multi_resp: no body", "", CmdSubmitMultiResp, ESME_ROK, ""},
		{"submit_multi_resp: message_id alone", "7\x00", CmdSubmitMultiResp, ESME_ROK, ""},
		{"submit_multi_resp: unsuccess_sme cut", "7\x00\x01\x01\x019\x00\x00\x00", CmdSubmitMultiResp, ESME_RINVCMDLEN, "error_status_code"},
		{"query_sm_resp: no body", "", CmdQuerySMResp, ESME_ROK, ""},
		{"query_sm_resp: an octet too many", "7\x00\x00\x02\x00\x00", CmdQuerySMResp, ESME_ROK, ""},
		{"bind_resp: no NUL", "masar", CmdBindTransceiverResp, ESME_ROK, ""},
		{"bind_resp: an octet too many", "masar\x00\x00", CmdBindTransceiverResp, ESME_ROK, ""},
		{"bind_resp: system_id of 16", "0123456789abcdef\x00", CmdBindTransceiverResp, ESME_RINVSYSID, "system_id"},
		{"alert_notification: esme_addr of 65", "\x00\x00\x00\x00\x00" + long, CmdAlertNotification, ESME_RINVDSTADR, "esme_addr"},
	} {
		t.Run(row.name, func(t *testing.T) {
			wantStatus(t, NewBody(row.cmd).Decode([]byte(row.body)), row.status, row.field)
		})
	}
}

func TestWhatIsReadBeforeBrokenTLVsStays(t *testing.T) {
	var r MessageResp
	if err := r.Decode([]byte("abc\x00\x04\x25\x00\x09\x02")); err == nil || string(r.MessageID) != "abc" {
		t.Errorf("message_id %q, %v", r.MessageID, err)
	}
	var p DeliverSM
	wrong := "\x00\x1e\x00\x02x\x00\x04\x27\x00\x02\x02\x00"
	err := p.Decode(submitOctets(map[string]string{"tlvs": wrong}))
	wantStatus(t, err, ESME_RINVTLVLEN, "message_state")
	if id, ok := p.TLVs.CString(TagReceiptedMessageID); !ok || string(id) != "x" || string(p.TLVs) != wrong {
		t.Errorf("TLVs %x beside a wrong length", p.TLVs)
	}
	err = p.Decode(submitOctets(map[string]string{"tlvs": "\x00\x1e\x00\x02x\x00\x04\x27\x00"}))
	wantStatus(t, err, ESME_RINVTLVSTREAM, "TLV")
	if string(p.TLVs) != "\x00\x1e\x00\x02x\x00" {
		t.Errorf("TLVs %x in front of the damage", p.TLVs)
	}
}

func TestSubmitSMIsRefusedByItsValues(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(*SubmitSM)
		status Status
		field  string
	}{
		{"usual", func(*SubmitSM) {}, ESME_ROK, ""},
		{"TON 6", func(p *SubmitSM) { p.Source.TON = 6 }, ESME_ROK, ""},
		{"source TON 7", func(p *SubmitSM) { p.Source.TON = 7 }, ESME_RINVSRCTON, "source_addr_ton"},
		{"source NPI 15", func(p *SubmitSM) { p.Source.NPI = 15 }, ESME_RINVSRCNPI, "source_addr_npi"},
		{"source NPI 255", func(p *SubmitSM) { p.Source.NPI = 255 }, ESME_RINVSRCNPI, "source_addr_npi"},
		{"NPI 18", func(p *SubmitSM) { p.Source.NPI = 18 }, ESME_ROK, ""},
		{"no source", func(p *SubmitSM) { p.Source.Addr = nil }, ESME_ROK, ""},
		{"source of 21", func(p *SubmitSM) { p.Source.Addr = bytes.Repeat([]byte("1"), 21) }, ESME_RINVSRCADR, "source_addr"},
		{"NUL in the source", func(p *SubmitSM) { p.Source.Addr = []byte("MO\x00I") }, ESME_RINVSRCADR, "source_addr"},
		{"destination TON 7", func(p *SubmitSM) { p.Dest.TON = 7 }, ESME_RINVDSTTON, "dest_addr_ton"},
		{"destination NPI 15", func(p *SubmitSM) { p.Dest.NPI = 15 }, ESME_RINVDSTNPI, "dest_addr_npi"},
		{"no destination", func(p *SubmitSM) { p.Dest.Addr = nil }, ESME_RINVDSTADR, "destination_addr"},
		{"letters", func(p *SubmitSM) { p.Dest.Addr = []byte("MOI") }, ESME_RINVDSTADR, "destination_addr"},
		{"plus in front", func(p *SubmitSM) { p.Dest.Addr = []byte("+966500000001") }, ESME_ROK, ""},
		{"plus inside", func(p *SubmitSM) { p.Dest.Addr = []byte("966+500000001") }, ESME_RINVDSTADR, "destination_addr"},
		{"plus alone", func(p *SubmitSM) { p.Dest.Addr = []byte("+") }, ESME_RINVDSTADR, "destination_addr"},
		{"service code", func(p *SubmitSM) { p.Dest.Addr = []byte("*123#") }, ESME_ROK, ""},
		{"destination of 21 digits", func(p *SubmitSM) { p.Dest.Addr = bytes.Repeat([]byte("1"), 21) }, ESME_RINVDSTADR, "destination_addr"},
		{"service_type of 6", func(p *SubmitSM) { p.ServiceType = []byte("ABCDEF") }, ESME_RINVSERTYP, "service_type"},
		{"priority_flag 3", func(p *SubmitSM) { p.PriorityFlag = 3 }, ESME_ROK, ""},
		{"priority_flag 4", func(p *SubmitSM) { p.PriorityFlag = 4 }, ESME_RINVPRTFLG, "priority_flag"},
		{"registered_delivery 0x1F", func(p *SubmitSM) { p.RegisteredDelivery = 0x1F }, ESME_ROK, ""},
		{"registered_delivery 0x20", func(p *SubmitSM) { p.RegisteredDelivery = 0x20 }, ESME_RINVREGDLVFLG, "registered_delivery"},
		{"replace_if_present_flag 1", func(p *SubmitSM) { p.ReplaceIfPresent = 1 }, ESME_ROK, ""},
		{"replace_if_present_flag 2", func(p *SubmitSM) { p.ReplaceIfPresent = 2 }, ESME_RINVREPFLAG, "replace_if_present_flag"},
		{"schedule_delivery_time of 12", func(p *SubmitSM) { p.ScheduleDeliveryTime = []byte("261124093015") }, ESME_RINVSCHED, "schedule_delivery_time"},
		{"validity_period of 12", func(p *SubmitSM) { p.ValidityPeriod = []byte("261124093015") }, ESME_RINVEXPIRY, "validity_period"},
		{"no message at all", func(p *SubmitSM) { p.ShortMessage = nil }, ESME_ROK, ""},
		{"short_message of 254", func(p *SubmitSM) { p.ShortMessage = make([]byte, 254) }, ESME_ROK, ""},
		{"short_message of 255", func(p *SubmitSM) { p.ShortMessage = make([]byte, 255) }, ESME_RINVMSGLEN, "sm_length"},
		{"payload alone", func(p *SubmitSM) { p.ShortMessage = nil; p.TLVs = p.TLVs.Append(TagMessagePayload, []byte("x")) }, ESME_ROK, ""},
		{"payload beside short_message", func(p *SubmitSM) { p.TLVs = p.TLVs.Append(TagMessagePayload, []byte("x")) }, ESME_RINVMSGLEN, "message_payload"},
		{"store and forward", func(p *SubmitSM) { p.ESMClass = ESMClassStoreForward | ESMClassReplyPath }, ESME_ROK, ""},
		{"a receipt", func(p *SubmitSM) { p.ESMClass = ESMClassReceipt }, ESME_RINVESMCLASS, "esm_class"},
		{"UDH", func(p *SubmitSM) { p.ESMClass = ESMClassUDHI; p.ShortMessage = []byte("\x05\x00\x03\x07\x02\x01hi") }, ESME_ROK, ""},
		{"UDH and nothing behind", func(p *SubmitSM) { p.ESMClass = ESMClassUDHI; p.ShortMessage = []byte("\x05\x00\x03\x07\x02\x01") }, ESME_ROK, ""},
		{"UDH beyond the end", func(p *SubmitSM) { p.ESMClass = ESMClassUDHI; p.ShortMessage = []byte("\x06\x00\x03\x07\x02\x01") }, ESME_RINVESMCLASS, "esm_class"},
		{"UDH element beyond the header", func(p *SubmitSM) { p.ESMClass = ESMClassUDHI; p.ShortMessage = []byte("\x05\x00\x04\x07\x02\x01hi") }, ESME_RINVESMCLASS, "esm_class"},
		{"half a UDH element", func(p *SubmitSM) {
			p.ESMClass = ESMClassUDHI
			p.ShortMessage = []byte("\x06\x00\x03\x07\x02\x01\x09hi")
		}, ESME_RINVESMCLASS, "esm_class"},
		{"UDH of no message", func(p *SubmitSM) { p.ESMClass = ESMClassUDHI; p.ShortMessage = nil }, ESME_RINVESMCLASS, "esm_class"},
		{"broken UDH in message_payload", func(p *SubmitSM) {
			p.ESMClass, p.ShortMessage = ESMClassUDHI, nil
			p.TLVs = p.TLVs.Append(TagMessagePayload, []byte("\x7fhi"))
		}, ESME_RINVESMCLASS, "esm_class"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := &SubmitSM{ServiceType: []byte("CMT"), Source: moi, Dest: person, ShortMessage: []byte("hi")}
			row.change(p)
			wantStatus(t, orNil(p.Check()), row.status, row.field)
			// data_sm and submit_multi have the same rules for what they share.
			m := &SubmitMulti{ServiceType: p.ServiceType, Source: p.Source, Dests: []Destination{{Flag: DestSME, Address: p.Dest}},
				ESMClass: p.ESMClass, PriorityFlag: p.PriorityFlag, ScheduleDeliveryTime: p.ScheduleDeliveryTime, ValidityPeriod: p.ValidityPeriod,
				RegisteredDelivery: p.RegisteredDelivery, ReplaceIfPresent: p.ReplaceIfPresent, ShortMessage: p.ShortMessage, TLVs: p.TLVs}
			if strings.HasPrefix(row.field, "dest") {
				wantStatus(t, orNil(m.Check()), ESME_ROK, "")
				wantStatus(t, orNil(m.Dests[0].Check()), row.status, row.field)
			} else {
				wantStatus(t, orNil(m.Check()), row.status, row.field)
			}
		})
	}
}

func TestOtherRequestsAreRefusedByTheirValues(t *testing.T) {
	ton7 := Address{TON: 7}
	for _, row := range []struct {
		name   string
		err    *FieldError
		status Status
		field  string
	}{
		{"data_sm", (&DataSM{Source: moi, Dest: person}).Check(), ESME_ROK, ""},
		{"data_sm to nobody", (&DataSM{Source: moi}).Check(), ESME_RINVDSTADR, "destination_addr"},
		{"data_sm from 64 octets", (&DataSM{Source: Address{Addr: make64()}, Dest: person}).Check(), ESME_ROK, ""},
		{"data_sm asks for bit 7", (&DataSM{Source: moi, Dest: person, RegisteredDelivery: 0x80}).Check(), ESME_RINVREGDLVFLG, "registered_delivery"},
		{"data_sm with broken UDH", (&DataSM{Source: moi, Dest: person, ESMClass: ESMClassUDHI, TLVs: TLVs(nil).Append(TagMessagePayload, []byte{9})}).Check(), ESME_RINVESMCLASS, "esm_class"},
		{"query_sm", (&QuerySM{MessageID: []byte("7")}).Check(), ESME_ROK, ""},
		{"query_sm of nothing", (&QuerySM{}).Check(), ESME_RINVMSGID, "message_id"},
		{"query_sm TON 7", (&QuerySM{MessageID: []byte("7"), Source: ton7}).Check(), ESME_RINVSRCTON, "source_addr_ton"},
		{"cancel_sm by id", (&CancelSM{MessageID: []byte("7")}).Check(), ESME_ROK, ""},
		{"cancel_sm by addresses", (&CancelSM{Source: moi, Dest: person}).Check(), ESME_ROK, ""},
		{"cancel_sm of everything", (&CancelSM{Source: moi}).Check(), ESME_RINVDSTADR, "destination_addr"},
		{"replace_sm", (&ReplaceSM{MessageID: []byte("7")}).Check(), ESME_ROK, ""},
		{"replace_sm of nothing", (&ReplaceSM{}).Check(), ESME_RINVMSGID, "message_id"},
		{"replace_sm of 255", (&ReplaceSM{MessageID: []byte("7"), ShortMessage: make([]byte, 255)}).Check(), ESME_RINVMSGLEN, "sm_length"},
		{"replace_sm validity", (&ReplaceSM{MessageID: []byte("7"), ValidityPeriod: []byte("1")}).Check(), ESME_RINVEXPIRY, "validity_period"},
		{"submit_multi to nobody", (&SubmitMulti{Source: moi}).Check(), ESME_RINVNUMDESTS, "number_of_dests"},
		{"list without name", (&Destination{Flag: DestList}).Check(), ESME_RINVDLNAME, "dl_name"},
		{"dest_flag 0", (&Destination{}).Check(), ESME_RINVDESTFLAG, "dest_flag"},
	} {
		t.Run(row.name, func(t *testing.T) { wantStatus(t, orNil(row.err), row.status, row.field) })
	}
}

func make64() []byte { return bytes.Repeat([]byte("1"), 64) }

func orNil(e *FieldError) error {
	if e == nil {
		return nil
	}
	return e
}
