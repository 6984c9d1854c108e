package gateway

import (
	"strings"
	"testing"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
	"masar/smpp/text"
)

func TestFinalStatesThatRegisteredDeliveryAsksFor(t *testing.T) {
	delivered := []pdu.State{pdu.StateDelivered, pdu.StateAccepted}
	failed := []pdu.State{pdu.StateExpired, pdu.StateDeleted, pdu.StateUndeliverable, pdu.StateUnknown, pdu.StateRejected}
	for _, row := range []struct {
		name             string
		registered       uint8
		success, failure bool
	}{
		{"none", 0, false, false},
		{"final", pdu.RegisteredFinal, true, true},
		{"failure", pdu.RegisteredFailure, false, true},
		{"success", pdu.RegisteredSuccess, true, false},
		{"intermediate alone", pdu.RegisteredIntermediate, false, false},
		{"final and intermediate", pdu.RegisteredFinal | pdu.RegisteredIntermediate, true, true},
		{"SME acknowledgements alone", 0x0C, false, false},
	} {
		for _, st := range delivered {
			if wantsFinal(row.registered, st) != row.success {
				t.Errorf("%s: %v: %v, want %v", row.name, st, !row.success, row.success)
			}
		}
		for _, st := range failed {
			if wantsFinal(row.registered, st) != row.failure {
				t.Errorf("%s: %v: %v, want %v", row.name, st, !row.failure, row.failure)
			}
		}
	}
}

// receiptGateway is as much of a gateway as writing a receipt needs.
func receiptGateway(o Account) *Gateway {
	s := Setup{Accounts: []Account{o}}
	s.setDefaults(72 * time.Hour)
	g := &Gateway{met: newMetrics(nil)}
	a := newAccount(g, &s.Accounts[0], 1)
	g.world.Store(&world{setup: s, byNumber: map[uint32]*account{1: a}})
	g.gone = newAccount(g, goneAccount(&Options{OutboxTTL: time.Hour, Setup: s}), 0)
	return g
}

func TestReceiptsAreWrittenAsTheAccountWants(t *testing.T) {
	riyadh := time.FixedZone("+03", 3*3600)
	accepted := time.Date(2026, 3, 1, 21, 30, 15, 0, time.UTC)
	ended := accepted.Add(90 * time.Second)
	message := func() *queue.Message {
		return &queue.Message{
			ID: 0x00abc, Account: 1, Accepted: queue.At(accepted), RegisteredDelivery: pdu.RegisteredFinal, ServiceType: "IDNEW",
			Source: queue.Address{TON: 5, Addr: "AHWAL"}, Dest: queue.Address{TON: 1, NPI: 1, Addr: "966501234567"},
			Text: []byte("hello"), TLVs: pdu.TLVs(nil).AppendUint16(pdu.TagUserMessageReference, 0x1234),
		}
	}
	for _, row := range []struct {
		name    string
		account Account
		change  func(m *queue.Message)
		state   pdu.State
		err     string
		want    string
	}{
		{"the usual", Account{}, nil, pdu.StateDelivered, "000",
			"id:0000000000000abc sub:001 dlvrd:001 submit date:2603012130 done date:2603012131 stat:DELIVRD err:000 text:hello"},
		{"not delivered", Account{}, nil, pdu.StateUndeliverable, "045",
			"id:0000000000000abc sub:001 dlvrd:000 submit date:2603012130 done date:2603012131 stat:UNDELIV err:045 text:hello"},
		{"our own reason is no error code", Account{}, nil, pdu.StateExpired, "expired",
			"id:0000000000000abc sub:001 dlvrd:000 submit date:2603012130 done date:2603012131 stat:EXPIRED err:000 text:hello"},
		{"seconds, and the account's zone", Account{Zone: riyadh, Receipts: AccountReceipts{DateDigits: 12}}, nil, pdu.StateDelivered, "",
			"id:0000000000000abc sub:001 dlvrd:001 submit date:260302003015 done date:260302003145 stat:DELIVRD err:000 text:hello"},
		{"decimal ids", Account{MessageID: DecimalID}, nil, pdu.StateDelivered, "",
			"id:2748 sub:001 dlvrd:001 submit date:2603012130 done date:2603012131 stat:DELIVRD err:000 text:hello"},
		{"hex in the response, decimal here", Account{Receipts: AccountReceipts{IDForm: ReceiptDecimal}}, nil, pdu.StateDelivered, "",
			"id:2748 sub:001 dlvrd:001 submit date:2603012130 done date:2603012131 stat:DELIVRD err:000 text:hello"},
		{"decimal in the response, hex here", Account{MessageID: DecimalID, Receipts: AccountReceipts{IDForm: ReceiptHex}}, nil, pdu.StateDelivered, "",
			"id:0000000000000abc sub:001 dlvrd:001 submit date:2603012130 done date:2603012131 stat:DELIVRD err:000 text:hello"},
		{"padded", Account{Receipts: AccountReceipts{IDForm: ReceiptPadded}}, nil, pdu.StateDelivered, "",
			"id:0000002748 sub:001 dlvrd:001 submit date:2603012130 done date:2603012131 stat:DELIVRD err:000 text:hello"},
		{"short ids stay what the client saw", Account{MessageID: ShortID, Receipts: AccountReceipts{IDForm: ReceiptPadded}},
			func(m *queue.Message) { m.Shown = "0000000007" }, pdu.StateDelivered, "",
			"id:0000000007 sub:001 dlvrd:001 submit date:2603012130 done date:2603012131 stat:DELIVRD err:000 text:hello"},
		{"no text", Account{}, func(m *queue.Message) { m.Text = nil }, pdu.StateDelivered, "",
			"id:0000000000000abc sub:001 dlvrd:001 submit date:2603012130 done date:2603012131 stat:DELIVRD err:000 text:"},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := receiptGateway(row.account)
			m := message()
			if row.change != nil {
				row.change(m)
			}
			d := g.clientReceipt(m, row.state, row.err, ended)
			if string(d.ShortMessage) != row.want {
				t.Errorf("text\n %q, want\n %q", d.ShortMessage, row.want)
			}
			if d.ESMClass != pdu.ESMClassReceipt || d.Message != m.ID || d.Account != 1 || d.ServiceType != "IDNEW" {
				t.Errorf("delivery %+v", d)
			}
			if d.Source != m.Dest || d.Dest != m.Source {
				t.Errorf("addresses are not swapped: %v to %v", d.Source, d.Dest)
			}
			id, _, _ := strings.Cut(strings.TrimPrefix(row.want, "id:"), " ")
			tlvs := pdu.TLVs(d.TLVs)
			if v, _ := tlvs.Get(pdu.TagReceiptedMessageID); string(v) != id+"\x00" {
				t.Errorf("receipted_message_id %q, want %q", v, id)
			}
			if v, _ := tlvs.Get(pdu.TagMessageState); len(v) != 1 || pdu.State(v[0]) != row.state {
				t.Errorf("message_state %x", v)
			}
			if v, _ := tlvs.Get(pdu.TagUserMessageReference); string(v) != "\x12\x34" {
				t.Errorf("user_message_reference %x: the client's own comes back", v)
			}
		})
	}
}

func TestReceiptsWithoutTLVsAndToWhatTheClientWrote(t *testing.T) {
	g := receiptGateway(Account{Receipts: AccountReceipts{NoTLVs: true}})
	m := &queue.Message{ID: 7, Account: 1, RegisteredDelivery: pdu.RegisteredFinal,
		Dest: queue.Address{TON: 1, NPI: 1, Addr: "966501234567"}, DestWritten: queue.Address{Addr: "0501234567"}}
	d := g.clientReceipt(m, pdu.StateDelivered, "", time.Unix(0, 0))
	if len(d.TLVs) != 0 || d.Source != m.DestWritten {
		t.Errorf("TLVs %x, source %v", d.TLVs, d.Source)
	}
	if d := g.intermediateReceipt(m, pdu.StateEnroute, "", time.Unix(0, 0)); d.ESMClass != pdu.ESMClassIntermediate || d.Kind != queue.IntermediateReceipt {
		t.Errorf("intermediate: %+v", d)
	}
	m.Account = 99 // left the configuration
	if d := g.clientReceipt(m, pdu.StateDelivered, "", time.Unix(0, 0)); d == nil || d.Account != 99 {
		t.Errorf("of a removed account: %+v", d)
	}
	m.RegisteredDelivery = 0
	if g.clientReceipt(m, pdu.StateDelivered, "", time.Unix(0, 0)) != nil {
		t.Error("nobody asked for a receipt")
	}
}

func TestExcerptIsPlainOrNothing(t *testing.T) {
	codings := text.Codings{One: text.ASCII}
	for _, row := range []struct {
		name   string
		coding uint8
		class  uint8
		body   string
		want   string
	}{
		{"short", 0, 0, "hello", "hello"},
		{"at most 20", 0, 0, "0123456789012345678901234", "01234567890123456789"},
		{"Arabic is left out", 8, 0, "\x06\x45", ""},
		{"binary", 4, 0, "hello", ""},
		{"a character that is not the same everywhere", 0, 0, "a@b", ""},
		{"an extension", 0, 0, "a\x1bb", ""},
		{"a client's own part", 0, pdu.ESMClassUDHI, "\x05\x00\x03\x01\x02\x01abc", ""},
	} {
		m := &queue.Message{DataCoding: row.coding, ESMClass: row.class, Body: []byte(row.body)}
		if got := string(excerpt(m, codings)); got != row.want {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
		}
	}
}

func TestIDsReadBackAsTheyWereShown(t *testing.T) {
	for _, form := range []IDForm{HexID, DecimalID} {
		o := Account{MessageID: form}
		m := &queue.Message{ID: 0x0006123456789abc}
		if id, ok := o.readID([]byte(o.shown(m))); !ok || id != m.ID {
			t.Errorf("form %d: %s reads as %v, %v", form, o.shown(m), id, ok)
		}
		for _, bad := range []string{"", "0", "zz", "-1", "ffffffffffffffff", "99999999999999999999"} {
			if id, ok := o.readID([]byte(bad)); ok {
				t.Errorf("form %d: %q reads as %v", form, bad, id)
			}
		}
	}
}
