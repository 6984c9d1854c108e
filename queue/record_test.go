package queue

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"reflect"
	"testing"

	"masar/smpp/pdu"
)

// randomMessage fills every field of a message, or leaves it out, by chance.
func randomMessage(r *rand.Rand) *Message {
	maybe := func() bool { return r.IntN(2) == 0 }
	text := func(most int) string {
		b := make([]byte, r.IntN(most+1))
		for i := range b {
			b[i] = byte(r.Uint32())
		}
		return string(b)
	}
	octets := func(most int) []byte {
		if maybe() {
			return nil
		}
		return append([]byte{byte(r.Uint32())}, text(most)...)
	}
	address := func() Address { return Address{uint8(r.Uint32()), uint8(r.Uint32()), text(21)} }
	m := &Message{
		ID: ID(r.Uint64() >> 1), Account: r.Uint32(), Class: Class(r.IntN(Classes)),
		Accepted: Time(r.Int64()), Expires: Time(r.Int64()), Source: address(), Dest: address(),
		ESMClass: uint8(r.Uint32()), ProtocolID: uint8(r.Uint32()), Priority: uint8(r.Uint32()),
		RegisteredDelivery: uint8(r.Uint32()), DataCoding: uint8(r.Uint32()),
		Body: octets(400), TLVs: octets(60), Text: octets(40),
	}
	switch r.IntN(3) {
	case 0:
		m.Shown = m.ID.String()
	case 1:
		m.Shown = text(20)
	}
	if maybe() {
		m.Due = Time(r.Int64())
	}
	if maybe() {
		m.DestWritten = address()
		m.DestWritten.Addr += "+"
	}
	if maybe() {
		m.ServiceType = text(5)
	}
	if maybe() {
		m.Tries, m.Attempt, m.Barred, m.LastErr = uint8(r.Uint32()), uint8(r.Uint32()), uint16(r.Uint32()), pdu.Status(r.Uint32())
	}
	for range r.IntN(4) {
		m.Answers = append(m.Answers, PartInfo{
			Attempt: uint8(r.Uint32()), Part: uint8(r.Uint32()), Of: uint8(r.Uint32()), Carrier: r.Uint32(), CarrierID: text(64),
			Sent: Time(r.Int64()), Reference: uint16(r.Uint32()), State: pdu.State(r.IntN(10)), Err: text(3), Done: Time(r.Int64()),
		})
	}
	return m
}

func TestAMessageIsReadAsItWasWritten(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for range 5000 {
		want := randomMessage(r)
		rec := AppendMessage([]byte("before"), want)[6:]
		var got Message
		if err := DecodeMessage(rec, &got); err != nil {
			t.Fatalf("%+v: %v", want, err)
		}
		if !reflect.DeepEqual(&got, want) {
			t.Fatalf("wrote %+v\nread  %+v", want, &got)
		}
		clear(rec)
		if !bytes.Equal(got.Body, want.Body) || got.Dest != want.Dest {
			t.Fatal("the message aliases its record")
		}
	}
}

func TestEachCutOfARecordIsRefusedOrReadsAShorterOne(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 50 {
		m := randomMessage(r)
		rec := AppendMessage(nil, m)
		for n := range rec {
			var got Message
			if err := DecodeMessage(rec[:n], &got); err == nil {
				t.Fatalf("%d of %d octets of %+v read as %+v", n, len(rec), m, got)
			} else if !errors.Is(err, ErrRecord) {
				t.Fatalf("%d of %d octets: %v is no ErrRecord", n, len(rec), err)
			}
		}
	}
}

func TestFieldsOfANewerProgramAreKept(t *testing.T) {
	m := randomMessage(rand.New(rand.NewPCG(5, 6)))
	rec := append(AppendMessage(nil, m), "a field of tomorrow"...)
	var got Message
	if err := DecodeMessage(rec, &got); err != nil {
		t.Fatal(err)
	}
	if string(got.Extra) != "a field of tomorrow" {
		t.Fatalf("Extra is %q", got.Extra)
	}
	if again := AppendMessage(nil, &got); !bytes.Equal(again, rec) {
		t.Fatalf("written back as %x, was %x", again, rec)
	}
}

func TestARecordOfAnotherVersionIsRefusedByNumber(t *testing.T) {
	rec := AppendMessage(nil, randomMessage(rand.New(rand.NewPCG(7, 8))))
	rec[0] = RecordVersion + 1
	var m Message
	if err := DecodeMessage(rec, &m); !errors.Is(err, ErrRecord) {
		t.Fatalf("err = %v", err)
	}
	if _, err := MessageExpires(rec); !errors.Is(err, ErrRecord) {
		t.Fatalf("MessageExpires: err = %v", err)
	}
}

func TestExpiryIsReadWithoutTheRest(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 10))
	for range 100 {
		m := randomMessage(r)
		if got, err := MessageExpires(AppendMessage(nil, m)); err != nil || got != m.Expires {
			t.Fatalf("%d, %v, want %d", got, err, m.Expires)
		}
	}
}

func TestHistoryKeepsTheFactsAndForgetsTheText(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for range 500 {
		m := randomMessage(r)
		want := Facts{State: pdu.StateDelivered, Err: "000", Status: pdu.Status(r.Uint32()), Carrier: r.Uint32(),
			Ended: Time(r.Int64()), TextMAC: r.Uint64(), KeyID: uint8(r.Uint32()), Parts: m.Answers}
		var got Facts
		var of Message
		if err := DecodeFacts(AppendFacts(nil, &want, m), &got, &of); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("wrote %+v\nread  %+v", want, got)
		}
		if of.ID != m.ID || of.Dest != m.Dest || of.Body != nil || of.Text != nil || of.TLVs != nil {
			t.Fatalf("of %+v it keeps %+v", m, of)
		}
	}
}

func TestADeliveryIsReadAsItWasWritten(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 14))
	for range 1000 {
		m := randomMessage(r)
		want := Delivery{Account: 7, Seq: 9, Kind: Kind(r.IntN(3)), Message: m.ID, Created: m.Accepted, Expires: m.Expires,
			ServiceType: m.ServiceType, Source: m.Source, Dest: m.Dest, ESMClass: 4, ProtocolID: 1, DataCoding: 8,
			ShortMessage: m.Body, TLVs: m.TLVs}
		got := Delivery{Account: 7, Seq: 9}
		if err := DecodeDelivery(AppendDelivery(nil, &want), &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("wrote %+v\nread  %+v", want, got)
		}
	}
}

func TestIDsAreShownInTheirTwoForms(t *testing.T) {
	for id, want := range map[ID][2]string{
		1:          {"0000000000000001", "1"},
		1<<63 - 1:  {"7fffffffffffffff", "9223372036854775807"},
		0xabcdef01: {"00000000abcdef01", "2882400001"},
	} {
		if id.String() != want[0] || id.Decimal() != want[1] {
			t.Errorf("%d: %s, %s", id, id.String(), id.Decimal())
		}
	}
}

// FuzzRecords: whatever stands on the disk is refused, or reads as something that is
// written back to the same octets' meaning. Nothing panics.
func FuzzRecords(f *testing.F) {
	r := rand.New(rand.NewPCG(15, 16))
	for range 10 {
		m := randomMessage(r)
		f.Add(AppendMessage(nil, m))
		f.Add(AppendDelivery(nil, &Delivery{Source: m.Source, Dest: m.Dest, ShortMessage: m.Body, TLVs: m.TLVs}))
		f.Add(AppendFacts(nil, &Facts{Parts: m.Answers}, m))
		for i := range m.Answers {
			f.Add(AppendPart(nil, &m.Answers[i]))
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m, m2 Message
		if DecodeMessage(b, &m) == nil {
			if err := DecodeMessage(AppendMessage(nil, &m), &m2); err != nil || !reflect.DeepEqual(m, m2) {
				t.Fatalf("message %+v\nagain   %+v, %v", m, m2, err)
			}
		}
		var d, d2 Delivery
		if DecodeDelivery(b, &d) == nil {
			if err := DecodeDelivery(AppendDelivery(nil, &d), &d2); err != nil || !reflect.DeepEqual(d, d2) {
				t.Fatalf("delivery %+v\nagain    %+v, %v", d, d2, err)
			}
		}
		var p, p2 PartInfo
		if _, err := DecodePart(b, &p); err == nil {
			if _, err := DecodePart(AppendPart(nil, &p), &p2); err != nil || p != p2 {
				t.Fatalf("part %+v\nagain %+v, %v", p, p2, err)
			}
		}
		var facts Facts
		if DecodeFacts(b, &facts, &m) == nil {
			var again Facts
			if err := DecodeFacts(AppendFacts(nil, &facts, &m), &again, nil); err != nil || !reflect.DeepEqual(facts, again) {
				t.Fatalf("facts %+v\nagain %+v, %v", facts, again, err)
			}
		}
		MessageExpires(b)
	})
}
