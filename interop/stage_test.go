package interop

import (
	"encoding/hex"
	"fmt"
	"strings"
	"testing"
	"time"

	"masar/smpp/pdu"
	"masar/smpp/text"
)

// library is an implementation that can be both ends: the client of the gateway and the
// carrier it binds to.
type library struct {
	name    string
	version uint8 // interface_version of its binds
	start   func(t *testing.T, role string) *peer
	message func(s string, e text.Encoding) fields // short_message as its users give it
	multi   bool                                   // whether the scenario has submit_multi
	vendor  string                                 // a vendor's TLV that it can write
}

// stage is the gateway between two processes of one library, with a relay on either side.
type stage struct {
	lib     library
	wire    *capture
	gw      *gateway
	client  *peer
	smsc    *peer
	port    int    // where clients connect
	session string // the carrier's bind, by the smsc's name for it
	ids     uint64 // the last message_id of the carrier
}

const (
	sender   = "AHWAL"
	handset  = "966501234567"
	arabic   = "تنتهي صلاحية هويتكم الوطنية خلال ٣٠ يوما"
	gsmText  = "Renew {ID} [now] at 5 € ~ Ünal @ home_1"
	carrier  = "masar"
	carrierP = "secret"
)

// newStage starts everything; of s only what differs from the other tests is given.
func newStage(t *testing.T, lib library, s settings) *stage {
	t.Helper()
	st := &stage{lib: lib, wire: new(capture), ids: 0xDEADBEEF00}
	st.smsc = lib.start(t, "smsc")
	st.client = lib.start(t, "esme")
	smscPort := st.smsc.listens(t)
	toSMSC := st.wire.relay(t, func() string { return fmt.Sprintf("127.0.0.1:%d", smscPort) })
	s.Carrier, s.CarrierID, s.CarrierPassword = toSMSC, carrier, carrierP
	st.gw = startGateway(t, s)
	st.port = st.wire.relay(t, func() string { return fmt.Sprintf("127.0.0.1:%d", st.gw.port) })
	st.acceptBind(t)
	return st
}

// acceptBind is the carrier's part in one bind of the gateway.
func (st *stage) acceptBind(t *testing.T) {
	t.Helper()
	b := st.smsc.takes(t, "bind_transceiver")
	if b.text("system_id") != carrier || b.text("password") != carrierP || b.number("interface_version") != 0x34 {
		t.Fatalf("%s reads our bind as %+v", st.lib.name, b)
	}
	st.smsc.answers(t, b, pdu.ESME_ROK, fields{"system_id": "carrier"})
	st.session = b.session
}

// binds binds a session of the client.
func (st *stage) binds(t *testing.T, session, command string) *reading {
	t.Helper()
	st.client.connects(t, session, st.port)
	return st.client.asks(t, session, command, st.bindFields(password), pdu.ESME_ROK)
}

func (st *stage) bindFields(password string) fields {
	return fields{"system_id": accountID, "password": password, "interface_version": st.lib.version}
}

// unbinds ends a session of the client in order.
func (st *stage) unbinds(t *testing.T, session string) {
	t.Helper()
	st.client.asks(t, session, "unbind", fields{}, pdu.ESME_ROK)
	st.client.closed(t, session)
}

// submission is a submit_sm of the client to the handset.
func (st *stage) submission(body fields) fields {
	f := fields{
		"source_addr_ton": 5, "source_addr_npi": 0, "source_addr": sender,
		"dest_addr_ton": 1, "dest_addr_npi": 1, "destination_addr": handset,
		"registered_delivery": 1,
	}
	for k, v := range body {
		f[k] = v
	}
	return f
}

// submits submits, and returns the gateway's message_id.
func (st *stage) submits(t *testing.T, session string, body fields) (id string) {
	t.Helper()
	id = st.client.asks(t, session, "submit_sm", st.submission(body), pdu.ESME_ROK).text("message_id")
	if len(id) != 16 {
		t.Fatalf("message_id %q, want 16 hex digits", id)
	}
	return id
}

// arrives awaits the gateway's submit_sm at the carrier and answers it; id is the
// carrier's number for it.
func (st *stage) arrives(t *testing.T) (sm *reading, id uint64) {
	t.Helper()
	sm = st.smsc.takes(t, "submit_sm")
	st.ids++
	st.smsc.answers(t, sm, pdu.ESME_ROK, fields{"message_id": fmt.Sprintf("%X", st.ids)})
	if sm.text("source_addr") != sender || sm.number("source_addr_ton") != 5 || sm.number("source_addr_npi") != 0 ||
		sm.text("destination_addr") != handset || sm.number("dest_addr_ton") != 1 || sm.number("dest_addr_npi") != 1 {
		t.Errorf("%s reads the addresses of our submit_sm as %v", st.lib.name, sm.Fields)
	}
	return sm, st.ids
}

// reports has the carrier send a receipt, its id in decimal, and awaits our answer.
func (st *stage) reports(t *testing.T, id uint64, stat string) {
	t.Helper()
	now := time.Now().UTC().Format("0601021504")
	f := st.lib.message(fmt.Sprintf("id:%d sub:001 dlvrd:001 submit date:%s done date:%s stat:%s err:000 text:", id, now, now, stat), text.GSM7)
	f["source_addr_ton"], f["source_addr_npi"], f["source_addr"] = 1, 1, handset
	f["dest_addr_ton"], f["dest_addr_npi"], f["destination_addr"] = 5, 0, sender
	f["esm_class"] = pdu.ESMClassReceipt
	st.smsc.asks(t, st.session, "deliver_sm", f, pdu.ESME_ROK)
}

// hears awaits the client's receipt for its message and acknowledges it.
func (st *stage) hears(t *testing.T, id, stat string, state pdu.State) *reading {
	t.Helper()
	r := st.client.takes(t, "deliver_sm")
	st.client.answers(t, r, pdu.ESME_ROK, fields{"message_id": ""})
	got := words(t, r)
	if !strings.HasPrefix(got, "id:"+id+" sub:001 dlvrd:") || !strings.Contains(got, " stat:"+stat+" ") || r.number("esm_class") != int(pdu.ESMClassReceipt) {
		t.Errorf("receipt %q, esm_class %d; want id:%s and stat:%s", got, r.number("esm_class"), id, stat)
	}
	if r.text("source_addr") != handset || r.number("source_addr_ton") != 1 || r.text("destination_addr") != sender || r.number("dest_addr_ton") != 5 {
		t.Errorf("the receipt's addresses: %v", r.Fields)
	}
	if got := tlvText(r, "receipted_message_id"); got != id {
		t.Errorf("receipted_message_id %q, want %q", got, id)
	}
	if got := r.octets("message_state"); len(got) != 1 || pdu.State(got[0]) != state {
		t.Errorf("message_state %x, want %v", got, state)
	}
	return r
}

// tlvText is a C-octet string TLV; node-smpp has taken its NUL off, Net::SMPP has not.
func tlvText(r *reading, name string) string {
	if s := r.text(name); s != "" {
		return s
	}
	return strings.TrimSuffix(string(r.octets(name)), "\x00")
}

// body is the message's octets or its text, from short_message or message_payload, and
// its user data header.
func body(r *reading) (octets []byte, txt string, decoded bool, udh []byte) {
	for _, name := range []string{"short_message", "message_payload"} {
		m, _ := r.Fields[name].(map[string]any)
		h, _ := m["hex"].(string)
		txt, decoded = m["text"].(string)
		octets, _ = hex.DecodeString(h)
		u, _ := m["udh"].(string)
		udh, _ = hex.DecodeString(u)
		if len(octets) > 0 || txt != "" {
			break
		}
	}
	if !decoded && r.number("esm_class")&int(pdu.ESMClassUDHI) != 0 && len(udh) == 0 && len(octets) > int(octets[0]) {
		udh, octets = octets[1:1+octets[0]], octets[1+octets[0]:]
	}
	return octets, txt, decoded, udh
}

// words is the text that a PDU carries: as the library decoded it, or, of one that does
// not, by the data_coding that it has read.
func words(t *testing.T, r *reading) string {
	t.Helper()
	octets, txt, decoded, _ := body(r)
	if decoded {
		return txt
	}
	e, known := text.Codings{Default: text.GSM7, One: text.GSM7}.Encoding(uint8(r.number("data_coding")))
	if !known {
		t.Fatalf("data_coding %d in %v", r.number("data_coding"), r.Fields)
	}
	s, err := text.Decode(octets, e)
	if err != nil {
		t.Fatalf("%x: %v", octets, err)
	}
	return s
}

// message is short_message for a library that leaves encoding to its user.
func octetMessage(s string, e text.Encoding) fields {
	octets, err := text.Encode(nil, s, e)
	if err != nil {
		panic(err) // the tests' own texts
	}
	return fields{"short_message": hexField(octets), "data_coding": codingOf[e]}
}

var codingOf = map[text.Encoding]int{text.GSM7: 0, text.Latin1: 3, text.UCS2: 8}
