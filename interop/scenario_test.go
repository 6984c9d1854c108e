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

// run goes through everything, step after step; the first that fails ends it.
func (st *stage) run(t *testing.T) {
	step := func(name string, f func(t *testing.T)) {
		t.Helper()
		if !t.Run(name, f) {
			t.FailNow()
		}
	}
	step("a wrong password is refused and the connection closed", st.wrongPassword)
	step("a receiver has the receipts of what a transmitter submits", st.twoBinds)
	st.binds(t, "trx", "bind_transceiver")
	for _, row := range []struct {
		name, text string
		encoding   text.Encoding
	}{
		{"gsm", gsmText, text.GSM7},
		{"latin-1", "Þórður, ×½", text.Latin1},
		{"arabic", arabic, text.UCS2},
		{"surrogate pairs", "تم 🎉👍🏽", text.UCS2},
	} {
		step("text in "+row.name, func(t *testing.T) { st.oneText(t, row.text, row.encoding) })
	}
	step("the client's own parts", st.ownParts)
	step("message_payload becomes parts and one receipt", st.payload)
	step("data_sm", st.dataSM)
	step("TLVs pass through", st.tlvs)
	if st.lib.multi {
		step("submit_multi", st.several)
	}
	step("query_sm, replace_sm and cancel_sm", st.desk)
	step("refusals have their status", st.refusals)
	step("a refusal of the carrier becomes a receipt", st.carrierRefuses)
	step("a throttled submit goes again", st.throttled)
	step("mobile-originated", st.mobile)
	step("alert_notification is taken", st.alert)
	step("enquire_link both ways", st.enquireLink)
	step("an unknown command is answered with generic_nack", st.unknownCommand)
	step("a carrier's unbind is answered and the bind made again", st.carrierUnbinds)
	step("the gateway's end", st.ends)
}

func (st *stage) wrongPassword(t *testing.T) {
	st.client.connects(t, "wrong", st.port)
	st.client.asks(t, "wrong", "bind_transceiver", st.bindFields("wrong"), pdu.ESME_RINVPASWD)
	st.client.closed(t, "wrong")
}

func (st *stage) twoBinds(t *testing.T) {
	resp := st.binds(t, "tx", "bind_transmitter")
	if resp.text("system_id") != "interop" {
		t.Errorf("system_id %q", resp.text("system_id"))
	}
	// What the gateway speaks, not what was asked for.
	if v := resp.octets("sc_interface_version"); string(v) != "\x50" {
		t.Errorf("sc_interface_version %x", v)
	}
	st.binds(t, "rx", "bind_receiver")
	// A receiver may not submit.
	st.client.asks(t, "rx", "submit_sm", st.submission(st.lib.message("no", text.GSM7)), pdu.ESME_RINVBNDSTS)
	id := st.submits(t, "tx", st.lib.message("hello", text.GSM7))
	_, n := st.arrives(t)
	st.reports(t, n, "DELIVRD")
	if r := st.hears(t, id, "DELIVRD", pdu.StateDelivered); r.session != "rx" {
		t.Errorf("the receipt came on %s", r.session)
	}
	st.unbinds(t, "tx")
	st.unbinds(t, "rx")
}

func (st *stage) oneText(t *testing.T, s string, e text.Encoding) {
	id := st.submits(t, "trx", st.lib.message(s, e))
	sm, n := st.arrives(t)
	if got := words(t, sm); got != s {
		t.Errorf("the carrier reads %q, want %q", got, s)
	}
	if sm.number("data_coding") != codingOf[e] || sm.number("registered_delivery") != 1 || sm.number("esm_class") != 0 {
		t.Errorf("data_coding %d, registered_delivery %d, esm_class %d", sm.number("data_coding"), sm.number("registered_delivery"), sm.number("esm_class"))
	}
	st.reports(t, n, "DELIVRD")
	st.hears(t, id, "DELIVRD", pdu.StateDelivered)
}

// ownParts: what a client has cut itself goes out as it came, octet for octet, in order,
// and each part has its receipt.
func (st *stage) ownParts(t *testing.T) {
	parts, err := text.Split(strings.Repeat(arabic+" ", 3), text.UCS2, text.UDH8)
	if err != nil || len(parts) != 2 {
		t.Fatal(parts, err)
	}
	var ids []string
	for i, part := range parts {
		octets, err := text.Encode(text.AppendConcatUDH(nil, text.UDH8, 0x5A, 2, uint8(i+1)), part, text.UCS2)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, st.submits(t, "trx", fields{"short_message": hexField(octets), "data_coding": 8, "esm_class": pdu.ESMClassUDHI}))
	}
	for i, part := range parts {
		sm, n := st.arrives(t)
		_, _, _, udh := body(sm)
		if got := words(t, sm); got != part || string(udh) != string([]byte{0, 3, 0x5A, 2, byte(i + 1)}) || sm.number("esm_class") != int(pdu.ESMClassUDHI) {
			t.Errorf("part %d: %q, header %x, esm_class %d; want %q", i+1, got, udh, sm.number("esm_class"), part)
		}
		st.reports(t, n, "DELIVRD")
		st.hears(t, ids[i], "DELIVRD", pdu.StateDelivered)
	}
}

// payload: a text in message_payload is cut for the carrier; its receipts are one.
func (st *stage) payload(t *testing.T) {
	whole := strings.TrimSpace(strings.Repeat(arabic+" ", 5))
	octets, err := text.Encode(nil, whole, text.UCS2)
	if err != nil {
		t.Fatal(err)
	}
	f := fields{"message_payload": hexField(octets), "data_coding": 8}
	id := st.submits(t, "trx", f)
	got, total := "", 1
	var numbers []uint64
	for i := 1; i <= total; i++ {
		sm, n := st.arrives(t)
		_, _, _, udh := body(sm)
		if len(udh) != 5 || udh[0] != 0 || udh[1] != 3 || int(udh[4]) != i {
			t.Fatalf("part %d has header %x", i, udh)
		}
		total = int(udh[3])
		got += words(t, sm)
		numbers = append(numbers, n)
	}
	if got != whole || total < 3 {
		t.Errorf("%d parts with %q, want %q", total, got, whole)
	}
	// The last part's receipt first.
	for i := len(numbers) - 1; i >= 0; i-- {
		st.client.none(t, "a receipt before every part had its own", func(e *event) bool { return e.Event == "pdu" && e.PDU.Command == "deliver_sm" })
		st.reports(t, numbers[i], "DELIVRD")
	}
	st.hears(t, id, "DELIVRD", pdu.StateDelivered)
}

func (st *stage) dataSM(t *testing.T) {
	octets, err := text.Encode(nil, arabic, text.UCS2)
	if err != nil {
		t.Fatal(err)
	}
	id := st.client.asks(t, "trx", "data_sm", st.submission(fields{"message_payload": hexField(octets), "data_coding": 8}), pdu.ESME_ROK).text("message_id")
	sm, n := st.arrives(t)
	if got := words(t, sm); got != arabic {
		t.Errorf("the carrier reads %q, want %q", got, arabic)
	}
	st.reports(t, n, "UNDELIV")
	st.hears(t, id, "UNDELIV", pdu.StateUndeliverable)
}

func (st *stage) tlvs(t *testing.T) {
	given := map[string][]byte{
		"user_message_reference": {0x12, 0x34},
		"source_port":            {0x15, 0xB3},
		"dest_port":              {0x23, 0xF0},
		"language_indicator":     {3},
		"source_subaddress":      {0xA0, 'a', 'b'},
	}
	f := st.lib.message("with TLVs", text.GSM7)
	for name, v := range given {
		f[name] = hexField(v)
	}
	id := st.submits(t, "trx", f)
	sm, n := st.arrives(t)
	for name, want := range given {
		if got := sm.octets(name); string(got) != string(want) {
			t.Errorf("%s arrives as %x, want %x", name, got, want)
		}
	}
	st.reports(t, n, "DELIVRD")
	r := st.hears(t, id, "DELIVRD", pdu.StateDelivered)
	if got := r.octets("user_message_reference"); string(got) != "\x12\x34" {
		t.Errorf("the receipt's user_message_reference is %x", got)
	}
}

// several: one submit_multi to a good number, a bad one and another good one.
func (st *stage) several(t *testing.T) {
	f := st.lib.message("to several", text.GSM7)
	f["source_addr_ton"], f["source_addr"] = 5, sender
	dests := []fields{}
	for _, to := range []string{handset, "nobody", "966507654321"} {
		dests = append(dests, fields{"dest_addr_ton": 1, "dest_addr_npi": 1, "destination_addr": to})
	}
	f["dest_address"] = dests
	r := st.client.asks(t, "trx", "submit_multi", f, pdu.ESME_ROK)
	bad, _ := r.Fields["unsuccess_sme"].([]any)
	if len(bad) != 1 || len(r.text("message_id")) != 16 {
		t.Fatalf("submit_multi_resp %v", r.Fields)
	}
	one, _ := bad[0].(map[string]any)
	if one["destination_addr"] != "nobody" || one["error_status_code"] != float64(pdu.ESME_RINVDSTADR) {
		t.Errorf("unsuccess_sme %v", one)
	}
	to := map[string]bool{}
	for range 2 {
		sm := st.smsc.takes(t, "submit_sm")
		st.ids++
		st.smsc.answers(t, sm, pdu.ESME_ROK, fields{"message_id": fmt.Sprintf("%X", st.ids)})
		to[sm.text("destination_addr")] = true
		if got := words(t, sm); got != "to several" {
			t.Errorf("the carrier reads %q", got)
		}
	}
	if !to[handset] || !to["966507654321"] {
		t.Errorf("submit_sm to %v", to)
	}
}

func (st *stage) queries(t *testing.T, id string, want pdu.State, ended bool) {
	t.Helper()
	r := st.client.asks(t, "trx", "query_sm", fields{"message_id": id, "source_addr_ton": 5, "source_addr": sender}, pdu.ESME_ROK)
	if r.text("message_id") != id || pdu.State(r.number("message_state")) != want || r.number("error_code") != 0 {
		t.Errorf("query_sm_resp %v, want %v", r.Fields, want)
	}
	if date := r.Fields["final_date"]; (date != nil && date != "") != ended {
		t.Errorf("final_date %v of a message in state %v", date, want)
	}
}

func (st *stage) desk(t *testing.T) {
	id := st.submits(t, "trx", st.lib.message("asked after", text.GSM7))
	_, n := st.arrives(t)
	st.queries(t, id, pdu.StateEnroute, false)
	own := fields{"message_id": id, "source_addr_ton": 5, "source_addr": sender, "dest_addr_ton": 1, "dest_addr_npi": 1, "destination_addr": handset}
	st.client.asks(t, "trx", "cancel_sm", own, pdu.ESME_RCANCELFAIL) // it is with the carrier
	st.reports(t, n, "DELIVRD")
	st.hears(t, id, "DELIVRD", pdu.StateDelivered)
	st.queries(t, id, pdu.StateDelivered, true)

	// In an hour.
	f := st.lib.message("later", text.GSM7)
	f["schedule_delivery_time"] = "000000010000000R"
	id = st.submits(t, "trx", f)
	waits := pdu.StateEnroute
	if st.lib.version >= 0x50 {
		waits = pdu.StateScheduled
	}
	st.queries(t, id, waits, false)
	// It goes at once, with another text.
	f = st.lib.message("sooner", text.GSM7)
	delete(f, "data_coding")
	f["message_id"], f["source_addr_ton"], f["source_addr"], f["registered_delivery"] = id, 5, sender, 1
	f["schedule_delivery_time"] = "000000000001000R"
	st.client.asks(t, "trx", "replace_sm", f, pdu.ESME_ROK)
	sm, n := st.arrives(t)
	if got := words(t, sm); got != "sooner" {
		t.Errorf("after replace_sm the carrier reads %q", got)
	}
	st.reports(t, n, "DELIVRD")
	st.hears(t, id, "DELIVRD", pdu.StateDelivered)

	f = st.lib.message("never", text.GSM7)
	f["schedule_delivery_time"] = "000000010000000R"
	id = st.submits(t, "trx", f)
	own["message_id"] = id
	st.client.asks(t, "trx", "cancel_sm", own, pdu.ESME_ROK)
	st.hears(t, id, "DELETED", pdu.StateDeleted)
	st.queries(t, id, pdu.StateDeleted, true)
	st.client.asks(t, "trx", "cancel_sm", own, pdu.ESME_RCANCELFAIL)
	st.client.asks(t, "trx", "query_sm", fields{"message_id": "00000000deadbeef", "source_addr": sender}, pdu.ESME_RQUERYFAIL)
}

func (st *stage) refusals(t *testing.T) {
	for _, row := range []struct {
		change fields
		want   pdu.Status
	}{
		{fields{"destination_addr": "nobody"}, pdu.ESME_RINVDSTADR},
		{fields{"destination_addr": ""}, pdu.ESME_RINVDSTADR},
		{fields{"dest_addr_ton": 7}, pdu.ESME_RINVDSTTON},
		{fields{"priority_flag": 9}, pdu.ESME_RINVPRTFLG},
		{fields{"validity_period": "nonsense"}, pdu.ESME_RINVEXPIRY},
	} {
		f := st.submission(st.lib.message("refused", text.GSM7))
		for k, v := range row.change {
			f[k] = v
		}
		st.client.asks(t, "trx", "submit_sm", f, row.want)
	}
}

func (st *stage) carrierRefuses(t *testing.T) {
	id := st.submits(t, "trx", st.lib.message("unwanted", text.GSM7))
	sm := st.smsc.takes(t, "submit_sm")
	st.smsc.answers(t, sm, pdu.ESME_RINVDSTADR, fields{"message_id": ""})
	st.hears(t, id, "REJECTD", pdu.StateRejected)
}

func (st *stage) throttled(t *testing.T) {
	id := st.submits(t, "trx", st.lib.message("again", text.GSM7))
	sm := st.smsc.takes(t, "submit_sm")
	st.smsc.answers(t, sm, pdu.ESME_RTHROTTLED, fields{"message_id": ""})
	again, n := st.arrives(t)
	if got := words(t, again); got != "again" || again.Sequence == sm.Sequence || again.number("registered_delivery") != 1 {
		t.Errorf("after ESME_RTHROTTLED the carrier reads %q: %v", got, again)
	}
	st.reports(t, n, "DELIVRD")
	st.hears(t, id, "DELIVRD", pdu.StateDelivered)
}

func (st *stage) mobile(t *testing.T) {
	whole := strings.Repeat(arabic+" ", 3)
	parts, err := text.Split(whole, text.UCS2, text.UDH8)
	if err != nil {
		t.Fatal(err)
	}
	long := make([]fields, len(parts))
	for i, part := range parts {
		octets, err := text.Encode(text.AppendConcatUDH(nil, text.UDH8, 7, uint8(len(parts)), uint8(i+1)), part, text.UCS2)
		if err != nil {
			t.Fatal(err)
		}
		long[i] = fields{"short_message": hexField(octets), "data_coding": 8, "esm_class": pdu.ESMClassUDHI}
	}
	for _, row := range []struct {
		name  string
		parts []fields
		want  []string
	}{
		{"gsm", []fields{st.lib.message("STOP [it]", text.GSM7)}, []string{"STOP [it]"}},
		{"arabic", []fields{st.lib.message(arabic, text.UCS2)}, []string{arabic}},
		{"parts", long, parts},
	} {
		for i, f := range row.parts {
			f["source_addr_ton"], f["source_addr_npi"], f["source_addr"] = 1, 1, handset
			f["dest_addr_ton"], f["dest_addr_npi"], f["destination_addr"] = 3, 0, shortCode
			st.smsc.asks(t, st.session, "deliver_sm", f, pdu.ESME_ROK)
			r := st.client.takes(t, "deliver_sm")
			st.client.answers(t, r, pdu.ESME_ROK, fields{"message_id": ""})
			udhi, _ := f["esm_class"].(uint8)
			if got := words(t, r); got != row.want[i] || r.text("destination_addr") != shortCode || r.text("source_addr") != handset || r.number("esm_class") != int(udhi) {
				t.Errorf("%s: the client reads %q of %v, want %q", row.name, got, r.Fields, row.want[i])
			}
		}
	}
}

// alert: it has no answer, and the bind lives.
func (st *stage) alert(t *testing.T) {
	st.smsc.sends(t, st.session, "alert_notification", fields{
		"source_addr_ton": 1, "source_addr_npi": 1, "source_addr": handset, "esme_addr_ton": 3, "esme_addr_npi": 0, "esme_addr": shortCode,
	})
	st.smsc.asks(t, st.session, "enquire_link", fields{}, pdu.ESME_ROK)
}

func (st *stage) enquireLink(t *testing.T) {
	st.client.asks(t, "trx", "enquire_link", fields{}, pdu.ESME_ROK)
	st.smsc.asks(t, st.session, "enquire_link", fields{}, pdu.ESME_ROK)
	st.smsc.takes(t, "enquire_link") // the gateway's own, after a silence; the peer has answered it
}

func (st *stage) unknownCommand(t *testing.T) {
	for _, side := range []struct {
		p       *peer
		session string
	}{{st.client, "trx"}, {st.smsc, st.session}} {
		side.p.do(t, map[string]any{"do": "raw", "session": side.session, "hex": "00000010000000fe000000000000abcd"})
		nack := side.p.takes(t, "generic_nack")
		if nack.status() != pdu.ESME_RINVCMDID || nack.Sequence != 0xABCD || nack.Length != 16 {
			t.Errorf("generic_nack %+v", nack)
		}
		side.p.asks(t, side.session, "enquire_link", fields{}, pdu.ESME_ROK)
	}
}

func (st *stage) carrierUnbinds(t *testing.T) {
	old := st.session
	st.smsc.asks(t, old, "unbind", fields{}, pdu.ESME_ROK)
	st.smsc.closed(t, old)
	// What comes meanwhile waits for the next bind.
	id := st.submits(t, "trx", st.lib.message("after the unbind", text.GSM7))
	st.acceptBind(t)
	sm, n := st.arrives(t)
	if sm.session == old {
		t.Errorf("submit_sm on %s, which has ended", old)
	}
	st.reports(t, n, "DELIVRD")
	st.hears(t, id, "DELIVRD", pdu.StateDelivered)
}

// ends: SIGTERM unbinds clients and carriers, and the process ends well. An unbind of the
// client's own comes before, on a second session.
func (st *stage) ends(t *testing.T) {
	st.binds(t, "second", "bind_transceiver")
	st.unbinds(t, "second")
	st.gw.terminate(t)
	for _, p := range []*peer{st.client, st.smsc} {
		r := p.takes(t, "unbind")
		p.answers(t, r, pdu.ESME_ROK, nil)
		p.closed(t, r.session)
	}
	st.gw.stopped(t)
}
