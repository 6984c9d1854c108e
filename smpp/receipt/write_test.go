package receipt

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"masar/smpp/pdu"
)

var (
	riyadh    = time.FixedZone("+03", 3*3600)
	submitted = time.Date(2025, 3, 12, 21, 15, 0, 0, time.UTC)
	delivered = time.Date(2025, 3, 12, 21, 15, 42, 0, time.UTC)
)

func TestReceiptsAreWrittenAsAppendixBSays(t *testing.T) {
	for _, x := range []struct {
		name string
		r    Out
		want string
	}{
		{"delivered", Out{ID: "4d2", State: pdu.StateDelivered, Sub: 1, Dlvrd: 1, Submit: submitted, Done: delivered, Text: "Dear customer"},
			"id:4d2 sub:001 dlvrd:001 submit date:2503122115 done date:2503122115 stat:DELIVRD err:000 text:Dear customer"},
		{"padded decimal id, local time, seconds", Out{ID: "4d2", State: pdu.StateUndeliverable, Err: "11", Sub: 5, Dlvrd: 4, Submit: submitted, Done: delivered,
			Style: Style{IDForm: Dec, IDDigits: 10, DateDigits: 12, Zone: riyadh}},
			"id:0000001234 sub:005 dlvrd:004 submit date:250313001500 done date:250313001542 stat:UNDELIV err:11 text:"},
		{"twenty characters of the text", Out{ID: "1", State: pdu.StateEnroute, Submit: submitted, Text: "Your passport 12345xyz is ready"},
			"id:1 sub:000 dlvrd:000 submit date:2503122115 done date:0000000000 stat:ENROUTE err:000 text:Your passport 12345x"},
		{"a pair is not halved", Out{ID: "1", State: pdu.StateExpired, Text: strings.Repeat("ا", 19) + "😀"},
			"id:1 sub:000 dlvrd:000 submit date:0000000000 done date:0000000000 stat:EXPIRED err:000 text:" + strings.Repeat("ا", 19)},
		{"counts beyond three digits", Out{ID: "1", State: pdu.StateUnknown, Sub: 1000, Dlvrd: -1},
			"id:1 sub:999 dlvrd:000 submit date:0000000000 done date:0000000000 stat:UNKNOWN err:000 text:"},
	} {
		t.Run(x.name, func(t *testing.T) {
			if got := string(Append([]byte("before "), &x.r)); got != "before "+x.want {
				t.Errorf("%s\nwant %s", got, x.want)
			}
		})
	}
}

func TestTheMessageIsPlainWhereEveryAlphabetAgrees(t *testing.T) {
	for _, x := range []struct {
		text   string
		coding uint8
	}{
		{"Dear customer 12:30", 0}, {"", 0}, {"line\r\nline", 0},
		{"5$ off", 8}, {"me@here", 8}, {"a_b", 8}, {"[x]", 8}, {"{x}", 8}, {"x~", 8}, {"`", 8}, {"\t", 8},
		{"Forêt", 8}, {"تنتهي صلاحية هويتكم", 8}, {"😀", 8},
	} {
		r := Out{ID: "4d2", State: pdu.StateDelivered, Sub: 1, Dlvrd: 1, Submit: submitted, Done: delivered, Text: x.text}
		message, coding := AppendMessage(nil, &r)
		if coding != x.coding || !bytes.Equal(message, wire(string(Append(nil, &r)), coding)) {
			t.Errorf("%q: data_coding %d, %x", x.text, coding, message)
		}
	}
	// A long text does not make UCS-2 of a receipt that does not repeat the Arabic in it.
	r := Out{ID: "1", Text: strings.Repeat("a", 20) + "ا"}
	if _, coding := AppendMessage(nil, &r); coding != 0 {
		t.Errorf("data_coding %d", coding)
	}
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	for state := pdu.StateScheduled; state <= pdu.StateSkipped; state++ {
		for _, text := range []string{"Dear customer", "تنتهي صلاحية هويتكم", "id:9 stat:EXPIRED"} {
			for _, style := range []Style{{}, {Zone: riyadh, DateDigits: 12}, {IDForm: Dec, IDDigits: 10}} {
				out := &Out{ID: "18f3a2b4", State: state, Err: "E01", Sub: 2, Dlvrd: 1, Submit: submitted, Done: delivered,
					Text: text, NetworkType: 3, NetworkCode: 0x0B0C, HasNetwork: true, Style: style}
				message, coding := AppendMessage(nil, out)
				p := &pdu.DeliverSM{ESMClass: pdu.ESMClassReceipt, DataCoding: coding, ShortMessage: message}
				for _, tlvs := range []pdu.TLVs{nil, AppendTLVs(nil, out)} {
					p.TLVs = tlvs
					id := "18f3a2b4"
					if style.IDForm == Dec {
						id = "0418620084"
					}
					done := delivered
					if style.DateDigits != 12 {
						done = submitted // no seconds
					}
					got, verdict := Parse(p, Options{Detect: DetectText, Zone: style.Zone})
					if verdict != IsReceipt || got.ID != id || got.State != state || got.Err != "E01" || got.Sub != "002" || got.Dlvrd != "001" ||
						got.Text != text || !got.Submit.Equal(submitted) || !got.Done.Equal(done) || got.HasNetwork != (tlvs != nil) ||
						tlvs != nil && (got.NetworkType != 3 || got.NetworkCode != 0x0B0C) {
						t.Errorf("%v %q %+v, %d octets of TLVs: %v %+v", state, text, style, len(tlvs), verdict, got)
					}
				}
				// The TLVs alone say who and what.
				p.ShortMessage, p.TLVs = nil, AppendTLVs(nil, out)
				if got, verdict := Parse(p, Options{Detect: DetectTLV}); verdict != IsReceipt || got.State != state || !got.HasNetwork {
					t.Errorf("%v by TLV: %v %+v", state, verdict, got)
				}
			}
		}
	}
}
