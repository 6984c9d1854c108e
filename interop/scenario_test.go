package interop

import (
	"fmt"
	"strings"
	"testing"

	"masar/smpp/pdu"
	"masar/smpp/text"
)

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
		st.lib.vendor:            {0, 1, 0xFF},
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
