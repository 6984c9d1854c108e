package pdu

import (
	"bytes"
	"strings"
	"testing"

	fpdu "github.com/fiorix/go-smpp/smpp/pdu"
	"github.com/fiorix/go-smpp/smpp/pdu/pdufield"
	"github.com/fiorix/go-smpp/smpp/pdu/pdutext"
)

// arabic55 is a text of 55 characters, 110 octets of UCS-2.
var arabic55 = string([]rune(strings.Repeat("تم تجديد رخصة السير للمركبة رقم ١٢٣٤ عبر أبشر. ", 2))[:55])

func ucs2Submit() *SubmitSM {
	return &SubmitSM{
		ServiceType:        []byte("VRREN"),
		Source:             Address{TON: TONAlphanumeric, Addr: []byte("MOI")},
		Dest:               Address{TON: TONInternational, NPI: NPIISDN, Addr: []byte("966500000001")},
		ValidityPeriod:     []byte("000000020000000R"),
		RegisteredDelivery: RegisteredFinal,
		DataCoding:         CodingUCS2,
		ShortMessage:       pdutext.UCS2(arabic55).Encode(),
	}
}

func BenchmarkDecodeSubmitSM(b *testing.B) {
	frame := Append(nil, CmdSubmitSM, ESME_ROK, 7, ucs2Submit())
	b.Run("masar", func(b *testing.B) {
		var p SubmitSM
		b.ReportAllocs()
		b.SetBytes(int64(len(frame)))
		for b.Loop() {
			if h := ParseHeader(frame); h.Command != CmdSubmitSM {
				b.Fatal(h)
			}
			if err := p.Decode(frame[HeaderLen:]); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("fiorix", func(b *testing.B) {
		var r bytes.Reader
		b.ReportAllocs()
		b.SetBytes(int64(len(frame)))
		for b.Loop() {
			r.Reset(frame)
			if _, err := fpdu.Decode(&r); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkAppendSubmitSM(b *testing.B) {
	p := ucs2Submit()
	b.Run("masar", func(b *testing.B) {
		frame := make([]byte, 0, 512)
		b.ReportAllocs()
		for b.Loop() {
			frame = Append(frame[:0], CmdSubmitSM, ESME_ROK, 7, p)
		}
		b.SetBytes(int64(len(frame)))
	})
	b.Run("fiorix", func(b *testing.B) {
		f := fpdu.NewSubmitSM(nil)
		fillFiorix(f.Fields(), p)
		var w bytes.Buffer
		b.ReportAllocs()
		for b.Loop() {
			w.Reset()
			if err := f.SerializeTo(&w); err != nil {
				b.Fatal(err)
			}
		}
		b.SetBytes(int64(w.Len()))
	})
}

func BenchmarkDecodeSubmitSMResp(b *testing.B) {
	body := (&MessageResp{MessageID: []byte("0194c1f2a3b4c5d6")}).Append(nil)
	var p MessageResp
	b.ReportAllocs()
	for b.Loop() {
		if err := p.Decode(body); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkDecodeDeliverSMWithReceiptTLVs(b *testing.B) {
	p := ucs2Submit()
	p.ESMClass = ESMClassReceipt
	p.TLVs = p.TLVs.AppendCString(TagReceiptedMessageID, []byte("0194c1f2a3b4c5d6")).
		AppendUint8(TagMessageState, uint8(StateDelivered)).
		Append(TagNetworkErrorCode, []byte{3, 0, 0})
	body := p.Append(nil)
	var q DeliverSM
	b.ReportAllocs()
	for b.Loop() {
		if err := q.Decode(body); err != nil {
			b.Fatal(err)
		}
		if _, ok := q.TLVs.CString(TagReceiptedMessageID); !ok {
			b.Fatal("no id")
		}
	}
}

// fillFiorix sets p's parameters in a fiorix submit_sm, deliver_sm or submit_multi.
func fillFiorix(m pdufield.Map, p *SubmitSM) {
	for name, v := range map[pdufield.Name]any{
		pdufield.ServiceType:          p.ServiceType,
		pdufield.SourceAddrTON:        p.Source.TON,
		pdufield.SourceAddrNPI:        p.Source.NPI,
		pdufield.SourceAddr:           p.Source.Addr,
		pdufield.DestAddrTON:          p.Dest.TON,
		pdufield.DestAddrNPI:          p.Dest.NPI,
		pdufield.DestinationAddr:      p.Dest.Addr,
		pdufield.ESMClass:             p.ESMClass,
		pdufield.ProtocolID:           p.ProtocolID,
		pdufield.PriorityFlag:         p.PriorityFlag,
		pdufield.ScheduleDeliveryTime: p.ScheduleDeliveryTime,
		pdufield.ValidityPeriod:       p.ValidityPeriod,
		pdufield.RegisteredDelivery:   p.RegisteredDelivery,
		pdufield.ReplaceIfPresentFlag: p.ReplaceIfPresent,
		pdufield.DataCoding:           p.DataCoding,
		pdufield.SMDefaultMsgID:       p.DefaultMsgID,
		pdufield.SMLength:             uint8(len(p.ShortMessage)),
		pdufield.ShortMessage:         p.ShortMessage,
	} {
		if err := m.Set(name, v); err != nil {
			panic(err)
		}
	}
}
