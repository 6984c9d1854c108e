package queue

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"reflect"
	"strings"
	"testing"

	"masar/smpp/pdu"
)

// sample is a message with every field set; n makes it another.
func sample(n uint64) *Message {
	r := rand.New(rand.NewPCG(n, 3))
	text := func(most int) string { return strings.Repeat("x", r.IntN(most)+1) }
	octets := func(most int) []byte { return bytes.Repeat([]byte{byte(n)}, r.IntN(most)+1) }
	m := &Message{
		ID: ID(r.Uint64() >> 1), Shown: text(65), Account: r.Uint32(), Class: Class(r.IntN(Classes)),
		Accepted: Time(r.Int64()), Expires: Time(r.Int64()), Due: Time(r.Int64()),
		Source: Address{5, 0, text(21)}, Dest: Address{1, 1, text(21)}, DestWritten: Address{2, 1, text(21)}, ServiceType: text(6),
		ESMClass: 0x40, ProtocolID: 1, Priority: 2, RegisteredDelivery: 3, DataCoding: 8,
		Template: text(16), Marker: text(20), Person: [16]byte{byte(n), 1, 15: 2},
		Personal: n%3 == 0, System: n%5 == 0, Stretch: n%7 == 0, Uncertain: n%4 == 0,
		Body: octets(65535), TLVs: octets(300), Text: octets(80),
		Kept: uint16(n), Reroutes: uint8(n % 3),
		Job:   Job{Kind: CampaignJob, Number: r.Uint64(), Item: uint64(r.Uint32())},
		Tries: 3, Attempt: 4, Barred: 5, LastErr: pdu.Status(r.Uint32()), Extra: octets(20),
	}
	for i := range r.IntN(4) + 1 {
		m.Answers = append(m.Answers, PartInfo{
			Attempt: 4, Part: uint8(i + 1), Of: 9, Carrier: r.Uint32(), CarrierID: text(65), Sent: Time(r.Int64()),
			Reference: uint16(r.Uint32()), State: pdu.StateDelivered, Err: text(4), Done: Time(r.Int64()),
		})
	}
	return m
}

func TestARecordGivesBackWhatWasWritten(t *testing.T) {
	for n := range uint64(200) {
		want := sample(n)
		if n%2 == 0 { // the usual: a plain message
			want = &Message{ID: want.ID, Shown: want.ID.String(), Account: 1, Expires: want.Expires, Accepted: want.Accepted,
				Source: want.Source, Dest: want.Dest, Body: want.Body}
		}
		b := AppendMessage([]byte("before"), want)[6:]
		var got Message
		if err := DecodeMessage(b, &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(&got, want) {
			t.Fatalf("message:\ngot  %+v\nwant %+v", got, want)
		}
		var head Message
		if err := DecodeMessageHead(b, &head); err != nil {
			t.Fatal(err)
		}
		if head.Body != nil {
			t.Error("a head has a body")
		}
		head.Body = got.Body
		if !reflect.DeepEqual(&head, want) {
			t.Fatalf("head:\ngot  %+v\nwant %+v", head, want)
		}
		if at, err := MessageExpires(b); err != nil || at != want.Expires {
			t.Errorf("MessageExpires: %v, %v", at, err)
		}
		for i := range b {
			b[i] = 0xee // nothing may alias the record
		}
		if !reflect.DeepEqual(&got, want) {
			t.Fatal("the message aliases its record")
		}
	}
}

func TestADeliveryGivesBackWhatWasWritten(t *testing.T) {
	for n := range uint64(50) {
		m := sample(n)
		want := &Delivery{Account: 7, Seq: 9, Kind: Mobile, Message: m.ID, Created: m.Accepted, Expires: m.Expires, ServiceType: m.ServiceType,
			Source: m.Source, Dest: m.Dest, ESMClass: 4, ProtocolID: 1, DataCoding: 8, ShortMessage: m.Body, TLVs: m.TLVs, Extra: m.Extra}
		if n%2 == 1 {
			want.Kind, want.Job, want.State, want.Err = JobEnd, m.Job, pdu.StateRejected, "not_enrolled"
		}
		got := Delivery{Account: 7, Seq: 9, Origin: "gone"}
		if err := DecodeDelivery(AppendDelivery(nil, want), &got); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(&got, want) {
			t.Fatalf("got %+v, want %+v", got, want)
		}
	}
}

func TestHistoryHasNoBodyAndNoText(t *testing.T) {
	m := sample(1)
	m.Body, m.Text = []byte("a secret body"), []byte("a secret text")
	want := Facts{State: pdu.StateRejected, Err: "045", Status: pdu.ESME_RTHROTTLED, Carrier: 3, Ended: 99, TextMAC: 1 << 60, KeyID: 1, Parts: m.Answers}
	b := AppendFacts(nil, &want, m)
	if bytes.Contains(b, []byte("secret")) {
		t.Error("the text stands in history")
	}
	var f Facts
	var got Message
	if err := DecodeFacts(b, &f, &got); err != nil {
		t.Fatal(err)
	}
	if at, err := FactsEnded(b); err != nil || at != want.Ended {
		t.Errorf("FactsEnded: %v, %v", at, err)
	}
	if !reflect.DeepEqual(f, want) {
		t.Errorf("facts %+v, want %+v", f, want)
	}
	m.Body, m.Kept, m.Text, m.TLVs, m.Answers = nil, 0, nil, nil, nil
	if !reflect.DeepEqual(&got, m) {
		t.Errorf("message %+v, want %+v", got, m)
	}
}

func TestARecordThatIsCutShortIsRefused(t *testing.T) {
	m := sample(5)
	m.Extra = nil
	whole := AppendMessage(nil, m)
	for n := range whole {
		var got Message
		if err := DecodeMessage(whole[:n], &got); !errors.Is(err, ErrRecord) {
			t.Fatalf("%d of %d octets: %v", n, len(whole), err)
		}
	}
	newer := bytes.Clone(whole)
	newer[0] = RecordVersion + 1
	if err := DecodeMessage(newer, new(Message)); err == nil || !strings.Contains(err.Error(), "version 2") {
		t.Errorf("a newer version: %v", err)
	}
}

func TestFieldsThisProgramDoesNotKnowAreRefused(t *testing.T) {
	plain := &Message{ID: 1, Expires: 1, Job: Job{Kind: ReminderJob, Number: 2, Item: 3}}
	plain.Shown = plain.ID.String()
	b := AppendMessage(nil, plain)
	tail := []byte{byte(moreJob), byte(ReminderJob), 2, 3} // nothing follows the job of such a message
	at := bytes.LastIndex(b, tail)
	if at != len(b)-len(tail) {
		t.Fatalf("the record ends in %x, want %x", b[len(b)-len(tail):], tail)
	}
	b[at] |= byte(moreFlags + 1)
	if err := DecodeMessage(b, new(Message)); !errors.Is(err, ErrRecord) || !strings.Contains(err.Error(), fmt.Sprintf("unknown flags %x", moreFlags+1)) {
		t.Errorf("a further field: %v", err)
	}
	b[at] = 0 // announced, and none there: what remains is somebody else's
	var got Message
	if err := DecodeMessage(b, &got); err != nil || got.Job != (Job{}) || !bytes.Equal(got.Extra, tail[1:]) {
		t.Errorf("no further field: %v, %+v", err, got)
	}
	d := AppendDelivery(nil, &Delivery{Kind: JobEnd, Job: plain.Job})
	d[3] |= 8
	if err := DecodeDelivery(d, new(Delivery)); !errors.Is(err, ErrRecord) {
		t.Errorf("a delivery's: %v", err)
	}
}

func TestEncodingAMessageDoesNotAllocate(t *testing.T) {
	m := sample(2)
	b := make([]byte, 0, 128<<10)
	if n := testing.AllocsPerRun(100, func() { b = AppendMessage(b[:0], m) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func FuzzDecodeMessage(f *testing.F) {
	for n := range uint64(4) {
		f.Add(AppendMessage(nil, sample(n)))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var m, again Message
		if DecodeMessage(b, &m) != nil {
			return
		}
		var head Message
		if err := DecodeMessageHead(b, &head); err != nil {
			t.Fatal(err)
		}
		if head.Body = m.Body; !reflect.DeepEqual(head, m) {
			t.Fatalf("read %+v\nhead %+v", m, head)
		}
		if err := DecodeMessage(AppendMessage(nil, &m), &again); err != nil || !reflect.DeepEqual(m, again) {
			t.Fatalf("%v\nread     %+v\nreread   %+v", err, m, again)
		}
	})
}

func FuzzDecodeDelivery(f *testing.F) {
	f.Add(AppendDelivery(nil, &Delivery{Kind: JobEnd, Message: 1, Job: Job{ReminderJob, 1 << 40, 2}, State: pdu.StateRejected, Err: "halted"}))
	f.Add(AppendDelivery(nil, &Delivery{Message: 1, Source: Address{1, 1, "966"}, ShortMessage: []byte("id:1"), TLVs: []byte{1, 2}}))
	f.Fuzz(func(t *testing.T, b []byte) {
		var d, again Delivery
		if DecodeDelivery(b, &d) != nil {
			return
		}
		if err := DecodeDelivery(AppendDelivery(nil, &d), &again); err != nil || !reflect.DeepEqual(d, again) {
			t.Fatalf("%v\nread     %+v\nreread   %+v", err, d, again)
		}
	})
}

func FuzzDecodeFacts(f *testing.F) {
	f.Add(AppendFacts(nil, &Facts{State: pdu.StateDelivered, Parts: sample(1).Answers}, sample(1)))
	f.Fuzz(func(t *testing.T, b []byte) {
		var facts, again Facts
		var m, m2 Message
		if DecodeFacts(b, &facts, &m) != nil {
			return
		}
		if at, err := FactsEnded(b); err != nil || at != facts.Ended {
			t.Fatalf("FactsEnded: %v, %v, want %v", at, err, facts.Ended)
		}
		m.Body, m.Kept, m.Text, m.TLVs, m.Answers = nil, 0, nil, nil, nil
		if err := DecodeFacts(AppendFacts(nil, &facts, &m), &again, &m2); err != nil || !reflect.DeepEqual(facts, again) || !reflect.DeepEqual(m, m2) {
			t.Fatalf("%v\nread     %+v %+v\nreread   %+v %+v", err, facts, m, again, m2)
		}
	})
}

func FuzzDecodePart(f *testing.F) {
	f.Add(AppendPart(nil, &sample(1).Answers[0]))
	f.Fuzz(func(t *testing.T, b []byte) {
		var p, again PartInfo
		if _, err := DecodePart(b, &p); err != nil {
			return
		}
		if _, err := DecodePart(AppendPart(nil, &p), &again); err != nil || p != again {
			t.Fatalf("%v: %+v, %+v", err, p, again)
		}
	})
}

func BenchmarkRecord(b *testing.B) {
	m := &Message{ID: 1815590707200004096, Shown: ID(1815590707200004096).String(), Account: 1, Class: Normal, Accepted: 1773037800000000, Expires: 1773210600000000,
		Source: Address{5, 0, "AHWAL"}, Dest: Address{1, 1, "966500000001"}, RegisteredDelivery: 1, DataCoding: 8, Body: make([]byte, 140), Text: make([]byte, 36)}
	rec := AppendMessage(nil, m)
	b.Run("encode", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			rec = AppendMessage(rec[:0], m)
		}
		b.ReportMetric(float64(len(rec)), "octets")
	})
	b.Run("decode", func(b *testing.B) {
		b.ReportAllocs()
		var got Message
		for b.Loop() {
			if err := DecodeMessage(rec, &got); err != nil {
				b.Fatal(err)
			}
		}
	})
}
