package receipt

import (
	"strings"
	"testing"
	"time"

	"masar/smpp/pdu"
)

const standard = "id:0123456789 sub:001 dlvrd:001 submit date:2503121015 done date:2503121015 stat:DELIVRD err:000 text:Dear customer"

func TestParseBeyondTheCorpus(t *testing.T) {
	any := Options{Detect: DetectAny}
	for _, x := range []struct {
		name    string
		p       pdu.DeliverSM
		o       Options
		verdict Verdict
		want    Receipt
	}{
		{"a header in front is skipped", pdu.DeliverSM{ESMClass: 0x44, ShortMessage: []byte("\x05\x00\x03\x01\x01\x01id:7 stat:EXPIRED")}, any,
			IsReceipt, Receipt{ID: "7", State: pdu.StateExpired}},
		{"the GSM alphabet's _ @ { }", pdu.DeliverSM{ESMClass: 4, ShortMessage: []byte("id:a\x11b\x00c\x1b\x28d\x1b\x29 submit\x11date:2503121015 stat:DELIVRD")}, any,
			IsReceipt, Receipt{ID: "a_b@c{d}", State: pdu.StateDelivered, Submit: time.Date(2025, 3, 12, 10, 15, 0, 0, time.UTC)}},
		{"Latin-1 in the text field", pdu.DeliverSM{ESMClass: 4, ShortMessage: []byte("id:7 stat:DELIVRD text:For\xeat")}, any,
			IsReceipt, Receipt{ID: "7", State: pdu.StateDelivered, Text: "Forêt"}},
		{"UTF-8 in the text field", pdu.DeliverSM{ESMClass: 4, ShortMessage: []byte("id:7 stat:DELIVRD text:مرحبا")}, any,
			IsReceipt, Receipt{ID: "7", State: pdu.StateDelivered, Text: "مرحبا"}},
		{"UCS-2 without saying so", pdu.DeliverSM{ESMClass: 4, ShortMessage: wire("id:7 stat:DELIVRD", 8)}, any,
			IsReceipt, Receipt{ID: "7", State: pdu.StateDelivered}},
		{"plain octets called UCS-2", pdu.DeliverSM{ESMClass: 4, DataCoding: 8, ShortMessage: []byte("id:7 stat:DELIVRD")}, any,
			IsReceipt, Receipt{ID: "7", State: pdu.StateDelivered}},
		{"UCS-2 cut in the middle of a pair", pdu.DeliverSM{ESMClass: 4, DataCoding: 8, ShortMessage: wire("id:7 stat:DELIVRD text:م😀", 8)[:2*len("id:7 stat:DELIVRD text:")+5]}, any,
			IsReceipt, Receipt{ID: "7", State: pdu.StateDelivered, Text: "م\ufffd"}},
		{"flash UCS-2", pdu.DeliverSM{ESMClass: 4, DataCoding: 0x18, ShortMessage: wire(" id:7 stat:DELIVRD\x00", 8)}, any,
			IsReceipt, Receipt{ID: "7", State: pdu.StateDelivered}},
		{"commas between", pdu.DeliverSM{ShortMessage: []byte("id:7, stat:DELIVRD; err:001|")}, any,
			IsReceipt, Receipt{ID: "7", State: pdu.StateDelivered, Err: "001"}},
		{"of two ids the first", pdu.DeliverSM{ESMClass: 4, ShortMessage: []byte("id:7 stat:DELIVRD id:8 stat:EXPIRED")}, any,
			IsReceipt, Receipt{ID: "7", State: pdu.StateDelivered}},
		{"dates with a T", pdu.DeliverSM{ESMClass: 4, ShortMessage: []byte("id:7 stat:DELIVRD done date:2025-03-12T10:15:42Z vendor:77")}, any,
			IsReceipt, Receipt{ID: "7", State: pdu.StateDelivered, Done: time.Date(2025, 3, 12, 10, 15, 42, 0, time.UTC)}},
		{"a vendor's field behind a date", pdu.DeliverSM{ESMClass: 4, ShortMessage: []byte("id:7 done date:2503121015 mcc:420 stat:DELIVRD")}, any,
			IsReceipt, Receipt{ID: "7", State: pdu.StateDelivered, Done: time.Date(2025, 3, 12, 10, 15, 0, 0, time.UTC)}},
		{"a user acknowledgement with a receipt's text", pdu.DeliverSM{ESMClass: 0x10, ShortMessage: []byte(standard)}, any, NotReceipt, Receipt{}},
		{"the TLV's state against the text's", pdu.DeliverSM{ESMClass: 4, ShortMessage: []byte("id:7 stat:DELIVRD"), TLVs: pdu.TLVs(nil).AppendUint8(pdu.TagMessageState, 5)}, any,
			IsReceipt, Receipt{ID: "7", State: pdu.StateUndeliverable}},
		{"the same where the text is preferred", pdu.DeliverSM{ESMClass: 4, ShortMessage: []byte("id:7 stat:DELIVRD"), TLVs: pdu.TLVs(nil).AppendUint8(pdu.TagMessageState, 5)}, Options{PreferText: true},
			IsReceipt, Receipt{ID: "7", State: pdu.StateDelivered}},
		{"a TLV state that is none", pdu.DeliverSM{ESMClass: 4, ShortMessage: []byte("id:7 stat:DELIVRD"), TLVs: pdu.TLVs(nil).AppendUint8(pdu.TagMessageState, 99)}, any,
			IsReceipt, Receipt{ID: "7", State: pdu.StateDelivered}},
		{"a TLV state that is none, alone", pdu.DeliverSM{ESMClass: 4, ShortMessage: []byte("id:7"), TLVs: pdu.TLVs(nil).AppendUint8(pdu.TagMessageState, 99)}, any,
			IsReceipt, Receipt{ID: "7", State: pdu.StateUnknown}},
		{"an empty TLV id", pdu.DeliverSM{ESMClass: 4, ShortMessage: []byte("id:7 stat:DELIVRD"), TLVs: pdu.TLVs(nil).AppendCString(pdu.TagReceiptedMessageID, nil)}, any,
			IsReceipt, Receipt{ID: "7", State: pdu.StateDelivered}},
		{"a TLV id without a state", pdu.DeliverSM{TLVs: pdu.TLVs(nil).AppendCString(pdu.TagReceiptedMessageID, []byte("9"))}, any,
			Unreadable, Receipt{ID: "9", State: pdu.StateUnknown}},
	} {
		t.Run(x.name, func(t *testing.T) {
			got, verdict := Parse(&x.p, x.o)
			if verdict != x.verdict || got != x.want {
				t.Errorf("%v %+v\nwant %v %+v", verdict, got, x.verdict, x.want)
			}
		})
	}
}

func TestDates(t *testing.T) {
	for in, want := range map[string]string{
		"2503121015":           "2025-03-12T10:15:00",
		"2902290800":           "", // 2029 is no leap year
		"2504310800":           "",
		"2500121015":           "",
		"2503122415":           "",
		"2503121060":           "",
		"250312101560":         "",
		"202503121015":         "2025-03-12T10:15:00",
		"20250312101542":       "2025-03-12T10:15:42",
		"202503121015421":      "", // 15 digits
		"20250312":             "",
		"0000000000":           "",
		"":                     "",
		"  ":                   "",
		"25/03/12 10:15":       "2025-03-12T10:15:00",
		"2025-03-12T10:15:42Z": "2025-03-12T10:15:42",
		"today":                "",
	} {
		if got := show(parseDate([]byte(in), time.UTC)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestAViewIsOverwrittenWhole(t *testing.T) {
	var v View
	full := &pdu.DeliverSM{ESMClass: 0x20, DataCoding: 8, ShortMessage: wire(standard, 8),
		TLVs: pdu.TLVs(nil).Append(pdu.TagNetworkErrorCode, []byte{3, 0, 1}).AppendCString(pdu.TagReceiptedMessageID, []byte("x"))}
	if v.Parse(full, Options{}) != IsReceipt || !v.HasNetwork || !v.Intermediate || string(v.Text) != "Dear customer" {
		t.Fatalf("%+v", v)
	}
	if v.Parse(&pdu.DeliverSM{ESMClass: 4, ShortMessage: []byte("id:7 stat:EXPIRED")}, Options{}) != IsReceipt ||
		string(v.ID) != "7" || v.State != pdu.StateExpired || len(v.Text)+len(v.Err)+len(v.Sub)+len(v.SubmitDate) != 0 || v.HasNetwork || v.Intermediate {
		t.Errorf("%+v", v)
	}
}

func TestNamesAreReadBack(t *testing.T) {
	for d := DetectESM; d <= DetectAny; d++ {
		if got, ok := ParseDetect(d.String()); got != d || !ok {
			t.Errorf("%v: %v, %t", d, got, ok)
		}
	}
	for f := Raw; f <= Dec; f++ {
		if got, ok := ParseForm(f.String()); got != f || !ok {
			t.Errorf("%v: %v, %t", f, got, ok)
		}
	}
	if f, ok := ParseForm("decimal"); f != Dec || !ok {
		t.Errorf("decimal: %v, %t", f, ok)
	}
	if _, ok := ParseDetect("esm_class"); ok {
		t.Error("esm_class is no way to detect")
	}
	if _, ok := ParseForm("octal"); ok {
		t.Error("octal is no form")
	}
}

func TestReceiptsCostLittle(t *testing.T) {
	p := &pdu.DeliverSM{ESMClass: 4, ShortMessage: []byte(standard),
		TLVs: pdu.TLVs(nil).AppendCString(pdu.TagReceiptedMessageID, []byte("0123456789")).AppendUint8(pdu.TagMessageState, 2)}
	ucs2 := &pdu.DeliverSM{ESMClass: 4, DataCoding: 8, ShortMessage: wire(standard, 8)}
	o := Options{Detect: DetectAny}
	if n := testing.AllocsPerRun(100, func() { sink, _ = Parse(p, o) }); n > 1 {
		t.Errorf("Parse: %v allocations", n)
	}
	var v View
	v.Parse(ucs2, o) // gets its buffer
	if n := testing.AllocsPerRun(100, func() { v.Parse(p, o); v.Parse(ucs2, o); v.Done(nil) }); n != 0 {
		t.Errorf("View.Parse: %v allocations", n)
	}
	ordinary := &pdu.DeliverSM{ShortMessage: []byte(strings.Repeat("an ordinary message ", 7))}
	if n := testing.AllocsPerRun(100, func() { Parse(ordinary, o) }); n != 0 {
		t.Errorf("Parse of an ordinary message: %v allocations", n)
	}
	dst := make([]byte, 0, 256)
	tlvs := make(pdu.TLVs, 0, 128)
	out := &Out{ID: "18f3a2b4c5d6e7f8", State: pdu.StateDelivered, Sub: 1, Dlvrd: 1, Text: "Dear customer", HasNetwork: true, Style: Style{IDForm: Dec, IDDigits: 20}}
	if n := testing.AllocsPerRun(100, func() {
		dst = Append(dst[:0], out)
		dst, _ = AppendMessage(dst[:0], out)
		tlvs = AppendTLVs(tlvs[:0], out)
	}); n != 0 {
		t.Errorf("writing: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() { dst, _ = AppendKey(dst[:0], "18446744073709551615", Dec); Convert("4d2", Hex) }); n != 0 {
		t.Errorf("keys: %v allocations", n)
	}
}

var sink Receipt

func BenchmarkParse(b *testing.B) {
	o := Options{Detect: DetectAny}
	withTLVs := pdu.TLVs(nil).AppendCString(pdu.TagReceiptedMessageID, []byte("0123456789")).AppendUint8(pdu.TagMessageState, 2)
	for _, x := range []struct {
		name string
		p    pdu.DeliverSM
	}{
		{"plain", pdu.DeliverSM{ESMClass: 4, ShortMessage: []byte(standard)}},
		{"with TLVs", pdu.DeliverSM{ESMClass: 4, ShortMessage: []byte(standard), TLVs: withTLVs}},
		{"ucs2", pdu.DeliverSM{ESMClass: 4, DataCoding: 8, ShortMessage: wire(standard, 8)}},
		{"ordinary", pdu.DeliverSM{ShortMessage: []byte(strings.Repeat("an ordinary message ", 7))}},
	} {
		b.Run(x.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sink, _ = Parse(&x.p, o)
			}
		})
		b.Run(x.name+", view", func(b *testing.B) {
			b.ReportAllocs()
			var v View
			for b.Loop() {
				v.Parse(&x.p, o)
			}
		})
	}
}

func BenchmarkAppend(b *testing.B) {
	out := &Out{ID: "18f3a2b4c5d6e7f8", State: pdu.StateDelivered, Sub: 1, Dlvrd: 1, Text: "Dear customer",
		Submit: time.Date(2025, 3, 12, 10, 15, 0, 0, time.UTC), Done: time.Date(2025, 3, 12, 10, 15, 0, 0, time.UTC)}
	dst := make([]byte, 0, 256)
	b.ReportAllocs()
	for b.Loop() {
		dst = Append(dst[:0], out)
	}
}
