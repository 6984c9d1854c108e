package smpptest_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	fiorix "github.com/fiorix/go-smpp/smpp"
	fiorixpdu "github.com/fiorix/go-smpp/smpp/pdu"
	"github.com/fiorix/go-smpp/smpp/pdu/pdufield"
	"github.com/fiorix/go-smpp/smpp/pdu/pdutext"

	"masar/smpp/pdu"
	"masar/smpp/smpptest"
	"masar/smpp/text"
)

// messages collects what OnMessage tells.
func messages() (chan smpptest.Message, func(*smpptest.Message)) {
	ch := make(chan smpptest.Message, 100)
	return ch, func(m *smpptest.Message) { ch <- *m }
}

func within[T any](t *testing.T, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(10 * time.Second):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

const arabic = "تنتهي صلاحية هويتكم الوطنية خلال ٣٠ يوما. "

// parts encodes s as a gateway would, in the given style.
func parts(t *testing.T, s string, st text.Style, ref uint16) []*pdu.SubmitSM {
	t.Helper()
	e := text.Choose(s)
	texts, err := text.Split(s, e, st)
	if err != nil {
		t.Fatal(err)
	}
	codings := text.Codings{Default: text.GSM7, One: text.ASCII}
	var all []*pdu.SubmitSM
	for i, p := range texts {
		sm := message(0)
		sm.DataCoding = codings.Coding(e)
		var content []byte
		if len(texts) > 1 {
			switch st {
			case text.UDH8, text.UDH16:
				sm.ESMClass |= pdu.ESMClassUDHI
				content = text.AppendConcatUDH(nil, st, ref, uint8(len(texts)), uint8(i+1))
			case text.SAR:
				sm.TLVs = sm.TLVs.AppendUint16(pdu.TagSARMsgRefNum, ref).AppendUint8(pdu.TagSARTotalSegments, uint8(len(texts))).AppendUint8(pdu.TagSARSegmentSeqnum, uint8(i+1))
			}
		}
		if content, err = text.Encode(content, p, e); err != nil {
			t.Fatal(err)
		}
		if sm.ShortMessage = content; st == text.Payload {
			sm.ShortMessage, sm.TLVs = nil, sm.TLVs.Append(pdu.TagMessagePayload, content)
		}
		all = append(all, sm)
	}
	return all
}

func TestTextsAreLoggedWhole(t *testing.T) {
	for _, row := range []struct {
		name, text string
		style      text.Style
		parts      int
	}{
		{"one part", arabic, text.UDH8, 1},
		{"gsm with the extension table", "[€] price", text.UDH8, 1},
		{"two parts", strings.Repeat(arabic, 3), text.UDH8, 2},
		{"five parts", strings.Repeat(arabic, 7), text.UDH16, 5},
		{"five parts by sar", strings.Repeat(arabic, 7), text.SAR, 5},
		{"message_payload", strings.Repeat(arabic, 7), text.Payload, 1},
		{"gsm, three parts", strings.Repeat("0123456789", 40), text.UDH8, 3},
		{"emoji", strings.Repeat("👨‍👩‍👧‍👦", 20), text.UDH8, 4},
	} {
		t.Run(row.name, func(t *testing.T) {
			heard, on := messages()
			_, addr := startSMSC(t, smpptest.SMSCOptions{OnMessage: on, FirstID: 100})
			// The parts come over two sessions, in reverse.
			a, b := boundTo(t, addr, pdu.CmdBindTransmitter), boundTo(t, addr, pdu.CmdBindTransmitter)
			all := parts(t, row.text, row.style, 300)
			for i := len(all) - 1; i >= 0; i-- {
				if st, _ := []*esme{a, b}[i%2].submit(all[i]); st != pdu.ESME_ROK {
					t.Fatal(st)
				}
			}
			m := within(t, heard)
			if m.Text != row.text || m.Parts != len(all) || m.Total != len(all) || len(m.IDs) != len(all) || m.Err != nil {
				t.Errorf("%+v\nwant %d parts of %q", m, len(all), row.text)
			}
			if row.parts != len(all) && row.name != "emoji" {
				t.Errorf("%d parts, the row says %d", len(all), row.parts)
			}
			if m.Source != "AHWAL" || m.Dest != "966501234567" || m.SystemID != "masar" {
				t.Errorf("%+v", m)
			}
			if len(heard) > 0 {
				t.Errorf("told again: %+v", <-heard)
			}
		})
	}
}

func TestAPartSentAgainIsToldOnce(t *testing.T) {
	heard, on := messages()
	_, addr := startSMSC(t, smpptest.SMSCOptions{OnMessage: on})
	e := boundTo(t, addr, pdu.CmdBindTransmitter)
	all := parts(t, strings.Repeat(arabic, 3), text.UDH8, 1)
	e.submit(all[0])
	e.submit(all[0])
	e.submit(all[1])
	e.submit(all[1])
	if m := within(t, heard); m.Text != strings.Repeat(arabic, 3) || m.Parts != 2 {
		t.Errorf("%+v", m)
	}
	if len(heard) > 0 {
		t.Errorf("told again: %+v", <-heard)
	}
}

func TestBrokenTextsAreToldAsTheyAre(t *testing.T) {
	for name, row := range map[string]struct {
		sm   pdu.SubmitSM
		want string
	}{
		"unpaired surrogate": {pdu.SubmitSM{DataCoding: pdu.CodingUCS2, ShortMessage: []byte{0xD8, 0x00}}, "d800"},
		"broken header":      {pdu.SubmitSM{ESMClass: pdu.ESMClassUDHI, ShortMessage: []byte{9, 0}}, "0900"},
	} {
		heard, on := messages()
		_, addr := startSMSC(t, smpptest.SMSCOptions{OnMessage: on})
		boundTo(t, addr, pdu.CmdBindTransmitter).submit(&row.sm)
		if m := within(t, heard); m.Err == nil || m.Text != row.want {
			t.Errorf("%s: %+v", name, m)
		}
	}
	heard, on := messages()
	_, addr := startSMSC(t, smpptest.SMSCOptions{OnMessage: on})
	boundTo(t, addr, pdu.CmdBindTransmitter).submit(&pdu.SubmitSM{DataCoding: pdu.CodingBinary, ShortMessage: []byte{1, 0xFE}})
	if m := within(t, heard); m.Err != nil || m.Text != "01fe" || m.Encoding != text.Binary {
		t.Errorf("binary: %+v", m)
	}
}

// TestFiorixClientAgrees submits with an SMPP client that shares no code with us.
func TestFiorixClientAgrees(t *testing.T) {
	heard, on := messages()
	sim, addr := startSMSC(t, smpptest.SMSCOptions{OnMessage: on, Credentials: map[string]string{"fiorix": "secret"}, FirstID: 1000})
	receipts := make(chan string, 10)
	client := &fiorix.Transceiver{Addr: addr, User: "fiorix", Passwd: "secret", RespTimeout: 5 * time.Second,
		Handler: func(p fiorixpdu.Body) {
			if f := p.Fields()[pdufield.ShortMessage]; f != nil {
				receipts <- f.String()
			}
		}}
	defer client.Close()
	if s := within(t, client.Bind()); s.Status() != fiorix.Connected {
		t.Fatalf("bind: %s %v", s.Status(), s.Error())
	}
	long := strings.Repeat(arabic, 7)
	one, err := client.Submit(&fiorix.ShortMessage{Src: "AHWAL", Dst: "966501234567", Text: pdutext.UCS2(arabic), Register: pdufield.FinalDeliveryReceipt})
	if err != nil || one.RespID() != "1000" {
		t.Fatalf("id %q, %v", one.RespID(), err)
	}
	if m := within(t, heard); m.Text != arabic || m.Parts != 1 {
		t.Errorf("%+v", m)
	}
	if r := within(t, receipts); !strings.HasPrefix(r, "id:1000 ") || !strings.Contains(r, " stat:DELIVRD ") {
		t.Errorf("receipt %q", r)
	}
	if _, err := client.SubmitLongMsg(&fiorix.ShortMessage{Src: "AHWAL", Dst: "966501234567", Text: pdutext.UCS2(long)}); err != nil {
		t.Fatal(err)
	}
	if m := within(t, heard); m.Text != long || m.Parts < 5 {
		t.Errorf("%d parts, %q", m.Parts, m.Text)
	}
	if st := sim.Stats(); st.Violations != 0 {
		t.Errorf("%+v", st)
	}
}

func TestAWrongPasswordReachesFiorix(t *testing.T) {
	_, addr := startSMSC(t, smpptest.SMSCOptions{Credentials: map[string]string{"fiorix": "secret"}})
	client := &fiorix.Transmitter{Addr: addr, User: "fiorix", Passwd: "wrong"}
	defer client.Close()
	s := within(t, client.Bind())
	var st fiorixpdu.Status
	if s.Status() != fiorix.BindFailed || !errors.As(s.Error(), &st) || st != fiorixpdu.Status(pdu.ESME_RINVPASWD) {
		t.Errorf("%s, %v", s.Status(), s.Error())
	}
}
