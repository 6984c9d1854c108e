package receipt

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"masar/smpp/pdu"
)

// FuzzReceipt: nothing panics; a View says what Parse says; a receipt has an id; what is
// seen by one way is seen by any; and a receipt written from what was read reads the same.
func FuzzReceipt(f *testing.F) {
	for _, r := range rows(f) {
		f.Add(wire(r.Text, r.DataCoding), []byte(r.tlvs(f)), r.ESMClass, r.DataCoding, false)
	}
	f.Add([]byte("\x05\x00\x03\x01\x01\x01id:7 stat:EXPIRED"), []byte(nil), uint8(0x44), uint8(0), true)
	f.Add([]byte("id:a\x11b\x00c\x1b\x28 stat:DELIVRD text:For\xeat"), []byte(nil), uint8(4), uint8(0), false)
	f.Fuzz(func(t *testing.T, content, rawTLVs []byte, esmClass, dataCoding uint8, preferText bool) {
		tlvs, err := pdu.ParseTLVs(rawTLVs)
		if err != nil {
			tlvs = nil
		}
		if len(content) > 1000 {
			content = content[:1000]
		}
		before := bytes.Clone(content)
		p := &pdu.DeliverSM{ESMClass: esmClass, DataCoding: dataCoding, ShortMessage: content, TLVs: tlvs}
		var any, one Verdict
		for _, d := range []Detect{DetectAny, DetectESM, DetectText, DetectTLV} {
			o := Options{Detect: d, PreferText: preferText}
			r, verdict := Parse(p, o)
			var v View
			if got := v.Parse(p, o); got != verdict || verdict != NotReceipt && (string(v.ID) != r.ID || v.State != r.State || string(v.Text) != r.Text || string(v.Err) != r.Err) {
				t.Fatalf("%v: View %v %+v\nParse %v %+v", d, got, v, verdict, r)
			}
			switch verdict {
			case NotReceipt:
				if r != (Receipt{}) {
					t.Fatalf("%+v", r)
				}
			case IsReceipt:
				if r.ID == "" || !r.State.Known() || !utf8.ValidString(r.Text) || strings.TrimRight(r.Text, white) != r.Text {
					t.Fatalf("%v: %+v", d, r)
				}
				rewrite(t, r)
			}
			if d == DetectAny {
				any = verdict
			} else if verdict != NotReceipt {
				one = verdict
			}
		}
		if (any == NotReceipt) != (one == NotReceipt) {
			t.Fatalf("by any %v, by one %v", any, one)
		}
		if !bytes.Equal(content, before) {
			t.Fatal("the octets were written to")
		}
		Candidates(string(content))
		for form := Raw; form <= Dec; form++ {
			key, ok := Convert(string(content), form)
			if appended, ok2 := AppendKey(nil, string(content), form); string(appended) != key || ok2 != ok {
				t.Fatalf("%v: Convert %q %t, AppendKey %q %t", form, key, ok, appended, ok2)
			}
		}
	})
}

// rewrite writes what was read, as far as plain values go, and reads it again.
func rewrite(t *testing.T, r Receipt) {
	t.Helper()
	// A TLV's id may hold what separates fields in a text, where it cannot be told from
	// the separator; our own ids are hex digits.
	if !everywhere(r.ID) || len(r.ID) > 64 || strings.ContainsAny(r.ID, ":,;|"+white) {
		return
	}
	out := &Out{ID: r.ID, State: r.State, Submit: r.Submit, Done: r.Done, Style: Style{DateDigits: 12}}
	message, coding := AppendMessage(nil, out)
	p := &pdu.DeliverSM{DataCoding: coding, ShortMessage: message, TLVs: AppendTLVs(nil, out)}
	again, verdict := Parse(p, Options{Detect: DetectText, PreferText: true})
	sameDates := again.Submit.Equal(r.Submit) && again.Done.Equal(r.Done)
	if r.Submit.Year() >= 2100 || r.Done.Year() >= 2100 || !r.Submit.IsZero() && r.Submit.Year() < 2000 || !r.Done.IsZero() && r.Done.Year() < 2000 {
		sameDates = true // two digits do not carry the century
	}
	if verdict != IsReceipt || again.ID != r.ID || again.State != r.State || !sameDates {
		t.Fatalf("%s\nreads as %v %+v\nwas %+v", message, verdict, again, r)
	}
}
