package gateway

import (
	"context"
	"strings"
	"testing"

	"masar/queue"
	"masar/smpp/pdu"
	"masar/smpp/text"
)

func TestTextsThatAnAccountMaySend(t *testing.T) {
	gsm := text.Codings{One: text.ASCII}
	for _, row := range []struct {
		name    string
		codings text.Codings
		class   uint8
		coding  uint8
		body    string
		tlvs    pdu.TLVs
		want    Refusal
	}{
		{"GSM", gsm, 0, 0, "hello\x00", nil, Accepted},
		{"GSM with an eighth bit", gsm, 0, 0, "caf\xe9", nil, BadText},
		{"the same as Latin-1 by the account's option", text.Codings{Default: text.Latin1}, 0, 0, "caf\xe9", nil, Accepted},
		{"ASCII", gsm, 0, 1, "hello", nil, Accepted},
		{"NUL in ASCII", gsm, 0, 1, "a\x00", nil, BadText},
		{"data_coding 1 as GSM by option", text.Codings{One: text.GSM7}, 0, 1, "a\x00", nil, Accepted},
		{"Latin-1", gsm, 0, 3, "caf\xe9", nil, Accepted},
		{"UCS-2", gsm, 0, 8, "\x06\x45", nil, Accepted},
		{"an odd octet", gsm, 0, 8, "\x06\x45\x06", nil, BadText},
		{"half a pair", gsm, 0, 8, "\xd8\x3d", nil, BadText},
		{"half a pair in a client's own part", gsm, pdu.ESMClassUDHI, 8, "\x05\x00\x03\x01\x02\x01\xd8\x3d", nil, Accepted},
		{"half a pair in a SAR part", gsm, 0, 8, "\xd8\x3d", pdu.TLVs(nil).AppendUint8(pdu.TagSARTotalSegments, 2), Accepted},
		{"flash UCS-2", gsm, 0, 0x18, "\xd8\x3d", nil, BadText},
		{"binary", gsm, 0, 4, "\x00\xff", nil, Accepted},
		{"a coding nobody reads", gsm, 0, 0x0D, "\x00\xff", nil, Accepted},
		{"a header and nothing behind it", gsm, pdu.ESMClassUDHI, 0, "\x05\x00\x03\x01\x02\x01", nil, Accepted},
		{"a header that runs out", gsm, pdu.ESMClassUDHI, 0, "\x05\x00\x03", nil, BrokenUDH},
	} {
		o := Account{Codings: row.codings}
		if no := checkText(&o, row.class, canonical(row.codings, row.coding), []byte(row.body), row.tlvs); no.why != row.want {
			t.Errorf("%s: %v (%s), want %v", row.name, no.why, no.detail, row.want)
		}
	}
}

func TestLengthsAreCountedInParts(t *testing.T) {
	o := Account{Codings: text.Codings{One: text.ASCII}}
	sar := pdu.TLVs(nil).AppendUint8(pdu.TagSARTotalSegments, 3)
	for _, row := range []struct {
		name  string
		m     queue.Message
		body  string
		most  int
		style text.Style
		want  bool
	}{
		{"160 septets in one", queue.Message{}, strings.Repeat("x", 160), 1, text.UDH8, true},
		{"161 in one", queue.Message{}, strings.Repeat("x", 161), 1, text.UDH8, false},
		{"161 in two", queue.Message{}, strings.Repeat("x", 161), 2, text.UDH8, true},
		{"306 in two of UDH8", queue.Message{}, strings.Repeat("x", 306), 2, text.UDH8, true},
		{"306 in two of UDH16", queue.Message{}, strings.Repeat("x", 306), 2, text.UDH16, false},
		{"anything in one of payload", queue.Message{}, strings.Repeat("x", 5000), 1, text.Payload, true},
		{"more than 255 parts", queue.Message{}, strings.Repeat("x", 153*255+1), 255, text.UDH8, false},
		{"the client's own part", queue.Message{TLVs: sar}, strings.Repeat("x", 200), 1, text.UDH8, true},
	} {
		if got := shortEnough(&o, &row.m, []byte(row.body), row.most, row.style); got != row.want {
			t.Errorf("%s: %v", row.name, got)
		}
	}
}

func TestAddressesAreTypedByTheAccountsRule(t *testing.T) {
	for _, row := range []struct {
		name    string
		o       Account
		written queue.Address
		want    queue.Address
		kept    queue.Address // DestWritten
	}{
		{"already right", Account{}, queue.Address{TON: 1, NPI: 1, Addr: "966501234567"}, queue.Address{TON: 1, NPI: 1, Addr: "966501234567"}, queue.Address{}},
		{"national", Account{}, queue.Address{TON: 2, NPI: 1, Addr: "0501234567"}, queue.Address{TON: 1, NPI: 1, Addr: "966501234567"}, queue.Address{TON: 2, NPI: 1, Addr: "0501234567"}},
		{"only the type differs", Account{}, queue.Address{Addr: "966501234567"}, queue.Address{TON: 1, NPI: 1, Addr: "966501234567"}, queue.Address{Addr: "966501234567"}},
		{"a short code keeps its type", Account{}, queue.Address{TON: 3, Addr: "9090"}, queue.Address{TON: 3, Addr: "9090"}, queue.Address{}},
		{"keep", Account{Numbers: NumberRule{TONNPI: AddressTONNPI{Mode: TONNPIKeep}}}, queue.Address{Addr: "0501234567"}, queue.Address{Addr: "966501234567"}, queue.Address{Addr: "0501234567"}},
		{"fixed", Account{Numbers: NumberRule{TONNPI: AddressTONNPI{Mode: TONNPIFixed, TON: 4, NPI: 9}}}, queue.Address{TON: 1, NPI: 1, Addr: "966501234567"}, queue.Address{TON: 4, NPI: 9, Addr: "966501234567"}, queue.Address{TON: 1, NPI: 1, Addr: "966501234567"}},
	} {
		row.o.Numbers.Country = "966"
		var m queue.Message
		q := candidate{account: &account{}, w: &world{}, o: &row.o, m: &m, dest: pdu.Address{TON: row.written.TON, NPI: row.written.NPI, Addr: []byte(row.written.Addr)}}
		if no := q.addresses(); no.why != Accepted {
			t.Fatalf("%s: %v", row.name, no.why)
		}
		if m.Dest != row.want || m.DestWritten != row.kept {
			t.Errorf("%s: %+v, written %+v; want %+v, %+v", row.name, m.Dest, m.DestWritten, row.want, row.kept)
		}
	}
}

func TestTheDefaultSenderStandsInForNone(t *testing.T) {
	for sender, want := range map[string]queue.Address{
		"AHWAL":        {TON: pdu.TONAlphanumeric, Addr: "AHWAL"},
		"9090":         {TON: pdu.TONNetworkSpecific, Addr: "9090"},
		"966501234567": {TON: pdu.TONInternational, NPI: pdu.NPIISDN, Addr: "966501234567"},
	} {
		o := Account{DefaultSender: sender, Senders: []Sender{{Exact: "MOI"}}, Numbers: NumberRule{Country: "966"}}
		var m queue.Message
		q := candidate{account: &account{}, w: &world{}, o: &o, m: &m, dest: pdu.Address{Addr: []byte("966501234567")}}
		if no := q.addresses(); no.why != Accepted || m.Source != want {
			t.Errorf("%s: %v, %+v", sender, no.why, m.Source)
		}
		q.source = pdu.Address{Addr: []byte("OTHER")}
		if no := q.addresses(); no.why != SenderNotAllowed {
			t.Errorf("%s: %v", sender, no.why)
		}
	}
}

// numbering is as much of a store as building a world needs.
type numbering struct{ queue.Store }

func (*numbering) Number(context.Context, queue.NameKind, string) (uint32, error) { return 1, nil }

func TestDataCodingsAreStoredSoThatTheyNeedNoAccount(t *testing.T) {
	for _, given := range []text.Codings{{One: text.ASCII}, {One: text.GSM7}, {Default: text.Latin1, One: text.ASCII}, {Default: text.ASCII, One: text.GSM7}, {Default: text.UCS2}} {
		for coding := range 256 {
			want, known := given.Encoding(uint8(coding))
			got, gotKnown := storedCodings.Encoding(canonical(given, uint8(coding)))
			if got != want || known != gotKnown {
				t.Errorf("%+v, data_coding %#x: stored as %v, meant %v", given, coding, got, want)
			}
		}
	}
}

func TestATextKeepsItsLettersWhenItsAccountIsRemoved(t *testing.T) {
	bubble(t, func(t *testing.T) {
		h := new(heard)
		o := hearing(h)
		r := newRig(t, rigOptions{SMSC: o, Setup: func(s *Setup) {
			withOther(s)
			s.Accounts[0].Codings.Default = text.Latin1
		}})
		r.refuse("a:1", true)
		r.transmitter().submit(func(p *pdu.SubmitSM) { p.ShortMessage = []byte("caf\xe9 {1}") })
		s := rigSetup()
		withOther(&s)
		s.Accounts = s.Accounts[1:]
		if err := r.gw.Reload(context.Background(), s); err != nil {
			t.Fatal(err)
		}
		r.refuse("a:1", false)
		r.wait("sent", func() bool { return len(h.list()) == 1 })
		if got := h.list()[0]; got != "café {1}" {
			t.Errorf("the carrier heard %q", got)
		}
	})
}
