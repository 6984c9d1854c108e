package campaign

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"masar/service"
	"masar/smpp/pdu"
)

func TestRowsAreReadAsTheyWereWritten(t *testing.T) {
	for _, r := range []Row{
		{Number: 966501234567, Values: []string{"هدى", "", "x"}},
		{Person: service.Person{1, 2, 255}, Language: "ar"},
		{Kind: Bad, Column: "number", Rule: "too_short", Raw: "1,2,\"3\""},
		{Kind: Duplicate, Number: 9665, Of: 1 << 40},
	} {
		r.Row = 77
		var got Row
		if err := decodeRow(appendRow(nil, &r), 77, &got); err != nil {
			t.Fatal(err)
		}
		if len(got.Values) == 0 {
			got.Values = nil
		}
		if !reflect.DeepEqual(r, got) {
			t.Errorf("%+v became %+v", r, got)
		}
		k := r.appendRecipient(nil)
		var back Row
		if back.readRecipient(k); len(k) != recipientOctets || back.Number != r.Number || back.Person != r.Person {
			t.Errorf("%+v has the key %x, which is %+v", r, k, back)
		}
	}
	at := time.UnixMilli(1_800_000_000_123).UTC()
	for _, s := range []status{
		{kind: accepted, message: 1<<64 - 1, at: at, parts: 255},
		{kind: refused, at: at, reason: "not_enrolled"},
		{kind: ended, message: 7, state: pdu.StateUndeliverable, err: "027", end: at},
	} {
		got, err := decodeStatus(appendStatus(nil, &s))
		if err != nil || got != s {
			t.Errorf("%+v became %+v, %v", s, got, err)
		}
	}
}

// Whatever lies on the disk is read or refused, and what is read is written the same again.
func FuzzAStoredRowIsReadOrRefused(f *testing.F) {
	f.Add(appendRow(nil, &Row{Number: 966501234567, Language: "ar", Values: []string{"a", "b"}}))
	f.Add(appendRow(nil, &Row{Person: service.Person{1}, Kind: Duplicate, Of: 3}))
	f.Add(appendRow(nil, &Row{Kind: Bad, Column: "c", Rule: "r", Raw: "x"}))
	f.Add(appendStatus(nil, &status{kind: ended, message: 7, state: 2, err: "x", at: time.Unix(5, 0), end: time.Unix(6, 0), parts: 3}))
	f.Add(appendStatus(nil, &status{kind: refused, reason: "x"}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var r, again Row
		if decodeRow(b, 1, &r) == nil {
			if err := decodeRow(appendRow(nil, &r), 1, &again); err != nil || !bytes.Equal(appendRow(nil, &r), appendRow(nil, &again)) {
				t.Fatalf("%+v became %+v, %v", r, again, err)
			}
		}
		if s, err := decodeStatus(b); err == nil {
			got, err := decodeStatus(appendStatus(nil, &s))
			if err != nil || !got.at.Equal(s.at) || !got.end.Equal(s.end) || got.message != s.message || got.reason != s.reason || got.err != s.err || got.state != s.state || got.kind != s.kind || got.parts != s.parts {
				t.Fatalf("%+v became %+v, %v", s, got, err)
			}
		}
	})
}
