package queue

import (
	"encoding/hex"
	"reflect"
	"testing"

	"masar/smpp/pdu"
)

// before is what a program that knew of no jobs was given, and what it wrote.
func before() (*Message, *Delivery, *Facts) {
	m := &Message{
		ID: 1815590707200004096, Shown: "0000000042", Account: 300, Class: Bulk,
		Accepted: 1773037800000000, Expires: 1773210600000000, Due: 1773041400000000,
		Source: Address{5, 0, "AHWAL"}, Dest: Address{1, 1, "966500000001"}, DestWritten: Address{2, 1, "0500000001"}, ServiceType: "IDREN",
		Person: [16]byte{1, 15: 2}, Template: "IDREN/2/ar", Personal: true, System: true, Stretch: true,
		ESMClass: 0x40, ProtocolID: 1, Priority: 2, RegisteredDelivery: 3, DataCoding: 8, Body: []byte("body"), TLVs: []byte{2, 4, 0, 1, 7},
		Tries: 3, Attempt: 4, Barred: 5, LastErr: pdu.ESME_RTHROTTLED, Text: []byte("text"), Marker: "free",
		Answers: []PartInfo{{Attempt: 4, Part: 1, Of: 2, Carrier: 3, CarrierID: "ab12", Sent: 1773037801000000, Reference: 9}},
	}
	d := &Delivery{
		Kind: IntermediateReceipt, Message: m.ID, Created: m.Accepted, Expires: m.Expires, ServiceType: "IDREN", Source: m.Dest, Dest: m.Source,
		ESMClass: 4, ProtocolID: 1, DataCoding: 8, ShortMessage: []byte("id:1"), TLVs: []byte{4, 0x27, 0, 1, 2},
	}
	f := &Facts{State: pdu.StateRejected, Err: "045", Status: pdu.ESME_RTHROTTLED, Carrier: 3, Ended: 1773037802000000, TextMAC: 1 << 60, KeyID: 1, Parts: m.Answers}
	return m, d, f
}

const (
	messageBefore = "01007fff19324620f828100000064cb9c3ecca00024001020308ac028080f6ba870a050005414857414c01010c393636353030303030303031" +
		"0a3030303030303030343280b88dedcba4a60602010a3035303030303030303105494452454e0304000558010401020003000980b1ea84b1a4a60600" +
		"046162313200010000000000000000000000000000020a494452454e2f322f6172046672656504626f64790502040001070474657874"
	deliveryBefore = "0100000319324620f828100000064cb9c3ecca00010401088080f6ba870a01010c393636353030303030303031050005414857414c05494452454e" +
		"0469643a31050427000102"
	factsBefore = "010100000803303435580380bae485b1a4a6061000000000000000010401020003000980b1ea84b1a4a6060004616231320001007e8f19324620f828" +
		"100000064cb9c3ecca00024001020308ac028080f6ba870a050005414857414c01010c3936363530303030303030310a3030303030303030343280b8" +
		"8dedcba4a60602010a3035303030303030303105494452454e0304000558010000000000000000000000000000020a494452454e2f322f6172046672" +
		"6565"
)

// Folders live longer than programs: a message without a job is written as it always was,
// so that a program of before reads it, and what that program wrote is read as it was meant.
func TestRecordsOfBeforeAreReadAndWrittenAsTheyWere(t *testing.T) {
	m, d, f := before()
	for _, row := range []struct {
		name string
		hex  string
		got  []byte
	}{
		{"message", messageBefore, AppendMessage(nil, m)},
		{"delivery", deliveryBefore, AppendDelivery(nil, d)},
		{"history", factsBefore, AppendFacts(nil, f, m)},
	} {
		if got := hex.EncodeToString(row.got); got != row.hex {
			t.Errorf("%s: written %s, want %s", row.name, got, row.hex)
		}
	}
	octets := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	var gotM, gotEnded Message
	var gotD Delivery
	var gotF Facts
	for _, err := range []error{
		DecodeMessage(octets(messageBefore), &gotM),
		DecodeDelivery(octets(deliveryBefore), &gotD),
		DecodeFacts(octets(factsBefore), &gotF, &gotEnded),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	if !reflect.DeepEqual(&gotM, m) {
		t.Errorf("message: got %+v, want %+v", gotM, m)
	}
	if !reflect.DeepEqual(&gotD, d) {
		t.Errorf("delivery: got %+v, want %+v", gotD, d)
	}
	m.Body, m.Text, m.TLVs, m.Answers = nil, nil, nil, nil
	if !reflect.DeepEqual(&gotF, f) || !reflect.DeepEqual(&gotEnded, m) {
		t.Errorf("history: got %+v of %+v, want %+v of %+v", gotF, gotEnded, f, m)
	}
}
