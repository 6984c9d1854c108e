package pdu

import (
	"fmt"
	"log/slog"
	"strings"
	"testing"
)

func TestStatusTableIsInOrderAndReadBackByNameAndNumber(t *testing.T) {
	n, last := 0, Status(0)
	for st, text := range Statuses() {
		if n > 0 && st <= last {
			t.Errorf("%v stands behind %v", st, last)
		}
		n, last = n+1, st
		if text == "" || st.Text() != text || !strings.HasSuffix(text, ".") || !st.Known() || st.Vendor() {
			t.Errorf("%v: %q", st, text)
		}
		for _, s := range []string{st.String(), strings.TrimPrefix(st.String(), "ESME_"), fmt.Sprintf("0x%x", uint32(st)), fmt.Sprint(uint32(st))} {
			if got, err := ParseStatus(s); err != nil || got != st {
				t.Errorf("%s is read as %v, %v", s, got, err)
			}
		}
	}
	if n != 67 {
		t.Errorf("%d statuses, the specification has 67", n)
	}
	for name, st := range map[string]Status{"ESME_RINVOPTPARSTREAM": 0xC0, "ESME_ROPTPARNOTALLWD": 0xC1, "ESME_RINVPARLEN": 0xC2, "ESME_RMISSINGOPTPARAM": 0xC3, "RINVOPTPARAMVAL": 0xC4} {
		if got, err := ParseStatus(name); err != nil || got != st {
			t.Errorf("%s is read as %v, %v", name, got, err)
		}
	}
	for st, want := range map[Status]string{0x400: "0x00000400", 0x10: "0x00000010", 0xFFFFFFFF: "0xffffffff", 0x58: "ESME_RTHROTTLED"} {
		if st.String() != want || st.Text() == "" {
			t.Errorf("%q, want %q", st, want)
		}
	}
	if !Status(0x400).Vendor() || !Status(0x4FF).Vendor() || Status(0x500).Vendor() {
		t.Error("vendors have 0x400 to 0x4FF")
	}
	for _, s := range []string{"", "ESME_", "0x1ffffffff", "-1", "throttled please"} {
		if st, err := ParseStatus(s); err == nil {
			t.Errorf("%q is read as %v", s, st)
		}
	}
	var st Status
	if err := st.UnmarshalText([]byte("rmsgqful")); err != nil || st != ESME_RMSGQFUL {
		t.Errorf("%v, %v", st, err)
	}
}

func TestCommandsHaveNamesResponsesAndBodies(t *testing.T) {
	for _, c := range Commands() {
		name := c.String()
		if strings.HasPrefix(name, "0x") || !c.Known() {
			t.Errorf("%x has no name", uint32(c))
		}
		if c.Answered() && c.Resp().String() != name+"_resp" {
			t.Errorf("%v is answered by %v", c, c.Resp())
		}
		if c.IsResponse() != (strings.HasSuffix(name, "_resp") || c == CmdGenericNack) {
			t.Errorf("%v: response %v", c, c.IsResponse())
		}
		if c.IsResponse() && c.Request().Resp() != c {
			t.Errorf("%v answers %v", c, c.Request())
		}
		if c.IsBind() != (strings.HasPrefix(name, "bind") && !c.IsResponse()) {
			t.Errorf("%v: bind %v", c, c.IsBind())
		}
	}
	for _, c := range []Command{CmdOutbind, CmdAlertNotification, CmdGenericNack, CmdSubmitSMResp, 0xFE} {
		if c.Answered() {
			t.Errorf("%v is answered", c)
		}
	}
	if s := Command(0xFE).String(); s != "0x000000fe" || Command(0xFE).Known() || NewBody(0xFE) != nil {
		t.Errorf("0xFE is %s", s)
	}
	for _, c := range []Command{CmdUnbind, CmdEnquireLinkResp, CmdGenericNack, CmdCancelSMResp, CmdBroadcastSM} {
		if NewBody(c) != nil {
			t.Errorf("%v has a body", c)
		}
	}
}

// Each tag passes at its least and greatest length and not beyond, and its name
// is found.
func TestTLVLengthsAreEnforced(t *testing.T) {
	last := Tag(0)
	for _, r := range TLVRules() {
		if r.Tag <= last {
			t.Errorf("%v stands behind %v", r.Tag, last)
		}
		last = r.Tag
		if r.Tag.String() != r.Name || r.Tag.Vendor() {
			t.Errorf("%v is called %s", r.Tag, r.Name)
		}
		for n, allowed := range map[int]bool{r.Min: true, r.Max: true, r.Min - 1: false, r.Max + 1: false} {
			if n < 0 || n > 65535 {
				continue
			}
			_, err := ParseTLVs(TLVs(nil).Append(r.Tag, make([]byte, n)))
			if allowed {
				wantStatus(t, err, ESME_ROK, "")
			} else {
				wantStatus(t, err, ESME_RINVTLVLEN, r.Name)
			}
		}
	}
	for _, tag := range []Tag{0x0001, 0x0099, 0x1400, 0x1401, 0x3FFF, 0xFFFF} {
		if tag.Rule() != nil || tag.String() != fmt.Sprintf("0x%04x", uint16(tag)) {
			t.Errorf("%v has a rule", tag)
		}
	}
}

func TestTLVValuesAreReadAsWritten(t *testing.T) {
	tlvs := TLVs(nil).AppendUint8(TagMessageState, 2).AppendUint16(TagSARMsgRefNum, 0xABCD).AppendUint32(TagQoSTimeToLive, 0xDEADBEEF).
		AppendCString(TagReceiptedMessageID, []byte("a\x00b")).Append(TagMessageState, []byte{5})
	if v, ok := tlvs.Uint8(TagMessageState); !ok || v != 2 {
		t.Errorf("the first message_state is %d, %v", v, ok)
	}
	if v, ok := tlvs.Uint16(TagSARMsgRefNum); !ok || v != 0xABCD {
		t.Errorf("sar_msg_ref_num %x, %v", v, ok)
	}
	if v, ok := tlvs.Uint32(TagQoSTimeToLive); !ok || v != 0xDEADBEEF {
		t.Errorf("qos_time_to_live %x, %v", v, ok)
	}
	if v, ok := tlvs.CString(TagReceiptedMessageID); !ok || string(v) != "a" {
		t.Errorf("receipted_message_id %q, %v", v, ok)
	}
	if v, ok := tlvs.Get(TagReceiptedMessageID); !ok || string(v) != "a\x00" {
		t.Errorf("receipted_message_id %q, %v", v, ok)
	}
	if _, ok := tlvs.Uint16(TagMessageState); ok {
		t.Error("one octet is read as two")
	}
	if _, ok := tlvs.Get(TagMessagePayload); ok {
		t.Error("a message_payload is found")
	}
	defer func() {
		if recover() == nil {
			t.Error("a TLV of 65536 octets is written")
		}
	}()
	tlvs.Append(TagMessagePayload, make([]byte, 65536))
}

func TestStatesHaveTheirReceiptForm(t *testing.T) {
	want := []string{"SCHEDLD", "ENROUTE", "DELIVRD", "EXPIRED", "DELETED", "UNDELIV", "ACCEPTD", "UNKNOWN", "REJECTD", "SKIPPED"}
	for i, r := range want {
		s := State(i)
		if s.Receipt() != r {
			t.Errorf("%v is %s in a receipt, want %s", s, s.Receipt(), r)
		}
		for _, text := range []string{r, s.String(), strings.ToLower(r)} {
			if got, ok := ParseState(text); !ok || got != s {
				t.Errorf("%s is read as %v, %v", text, got, ok)
			}
		}
		if final := !strings.Contains("SCHEDLD ENROUTE ACCEPTD", r); s.Final() != final {
			t.Errorf("%v: final %v", s, s.Final())
		}
	}
	if s := State(10); s.String() != "10" || s.Receipt() != "UNKNOWN" || s.Final() || s.Known() {
		t.Errorf("state 10 is %v", s)
	}
	if s, ok := ParseState("DELIVERD"); ok {
		t.Errorf("a misspelt state is read as %v", s)
	}
}

func TestLogMasksNumbersMessagesAndPasswords(t *testing.T) {
	for _, g := range golden {
		if g.body == nil {
			continue
		}
		var w strings.Builder
		slog.New(slog.NewJSONHandler(&w, nil)).Info("pdu", "body", g.body)
		for _, s := range []string{w.String(), fmt.Sprint(g.body)} {
			for _, secret := range []string{"966500000001", "secret", "12345678", "first part", "062a062f", "0123456789"} {
				if strings.Contains(s, secret) {
					t.Errorf("%s: the log has %q: %s", g.name, secret, s)
				}
			}
		}
	}
	p := &SubmitSM{Source: moi, Dest: person, ShortMessage: []byte("hello"), DataCoding: CodingUCS2}
	want := `service_type="" source_addr=5/0/MOI destination_addr=1/1/96650*****01 esm_class=0x00 protocol_id=0x00 priority_flag=0 ` +
		`registered_delivery=0x00 replace_if_present_flag=0 data_coding=0x08 sm_default_msg_id=0 short_message=5 octets`
	if got := p.String(); got != want {
		t.Errorf("the log has\n%s, want\n%s", got, want)
	}
}

func TestDumpShowsEveryFieldButThePassword(t *testing.T) {
	for _, g := range golden {
		s := Dump(Append(nil, g.cmd, g.status, g.seq, g.body))
		if !strings.HasPrefix(s, g.cmd.String()+"\n") || !strings.Contains(s, "command_status="+g.status.String()+"\n") {
			t.Errorf("%s:\n%s", g.name, s)
		}
		if strings.Contains(s, "secret") || strings.Contains(s, "error:") {
			t.Errorf("%s:\n%s", g.name, s)
		}
	}
	s := Dump(Append(nil, CmdSubmitSM, 0, 7, &SubmitSM{Source: moi, Dest: person, ShortMessage: []byte("hi"), TLVs: TLVs(nil).AppendUint8(TagSARTotalSegments, 2)}))
	for _, want := range []string{"destination_addr=1/1/966500000001\n", "short_message=6869\n", "sar_total_segments=0x02\n", "sequence_number=7\n"} {
		if !strings.Contains(s, want) {
			t.Errorf("%q is not in\n%s", want, s)
		}
	}
	broken := Dump(Append(nil, CmdSubmitSM, 0, 7, raw("CMT\x00\x05")))
	if !strings.Contains(broken, "error: ") || !strings.Contains(broken, `service_type="CMT"`) || !strings.Contains(broken, "434d540005") {
		t.Errorf("a broken submit_sm:\n%s", broken)
	}
	for _, octets := range []string{"", "abc"} {
		if s := Dump([]byte(octets)); !strings.Contains(s, "too few") {
			t.Errorf("%q: %s", octets, s)
		}
	}
}

func TestNULInsideAFieldDoesNotShiftTheFieldsBehind(t *testing.T) {
	p := &SubmitSM{Source: Address{Addr: []byte("MO\x00I")}, Dest: person, ShortMessage: []byte("hi")}
	var q SubmitSM
	if err := q.Decode(p.Append(nil)); err != nil || string(q.Source.Addr) != "MO" || string(q.Dest.Addr) != "966500000001" || string(q.ShortMessage) != "hi" {
		t.Errorf("read %v, %v", &q, err)
	}
}

func TestLongShortMessageBecomesAPayload(t *testing.T) {
	long := strings.Repeat("x", 256)
	p := &SubmitSM{Dest: person, ShortMessage: []byte(long), TLVs: TLVs(nil).AppendUint16(TagUserMessageReference, 7)}
	var q SubmitSM
	if err := q.Decode(p.Append(nil)); err != nil || len(q.ShortMessage) != 0 || string(q.Content()) != long {
		t.Errorf("read %v, %v", &q, err)
	}
	if v, ok := q.TLVs.Uint16(TagUserMessageReference); !ok || v != 7 {
		t.Error("the TLV in front is lost")
	}
}
