package gateway

import (
	"context"
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"

	"masar/queue"
	"masar/smpp"
	"masar/smpp/pdu"
)

const bindTRX = "> bind_transceiver seq=1 system_id=acme password=secret interface_version=0x34\n< bind_transceiver_resp seq=1 status=ESME_ROK\n"

// to is a submit_sm line's addresses that every rule allows.
const to = " source_addr_ton=5 source_addr=AHWAL dest_addr_ton=1 dest_addr_npi=1 destination_addr=966501234567 "

// TestConformanceOfTheServer plays the rows of the conformance list that a script can
// tell against the whole gateway: exactly this is sent, exactly that comes back. Rows that
// need more than one connection, or time, are in the tests named in their place below.
func TestConformanceOfTheServer(t *testing.T) {
	long := strings.Repeat("x", 21)
	for _, row := range []struct {
		name   string
		setup  func(a *Account)
		script string
	}{
		{"01 bind_transmitter", nil, `
			> bind_transmitter seq=7 system_id=acme password=secret interface_version=0x34
			< bind_transmitter_resp seq=7 status=ESME_ROK system_id=masar tlv.0210=50`},
		{"01 bind_receiver, v5.0", nil, `
			> bind_receiver seq=7 system_id=acme password=secret interface_version=0x50
			< bind_receiver_resp seq=7 status=ESME_ROK system_id=masar tlv.0210=50`},
		{"01 bind_transceiver, v3.3 has no TLV", nil, `
			> bind_transceiver seq=7 system_id=acme password=secret interface_version=0x33
			< bind_transceiver_resp seq=7 status=ESME_ROK body=6d6173617200`},
		{"02 unknown system_id", nil, `
			> bind_transceiver seq=1 system_id=nobody password=secret
			< bind_transceiver_resp seq=1 status=ESME_RINVPASWD body= within=2s
			< eof`},
		{"02 wrong password", nil, `
			> bind_transceiver seq=1 system_id=acme password=wrong
			< bind_transceiver_resp seq=1 status=ESME_RINVPASWD body= within=2s
			< eof`},
		{"03 second bind", nil, bindTRX + `
			> bind_receiver seq=2 system_id=acme password=secret
			< bind_receiver_resp seq=2 status=ESME_RALYBND
			> enquire_link seq=3
			< enquire_link_resp seq=3`},
		{"05 an address that is not allowed", func(a *Account) { a.Allow = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} }, `
			> bind_transceiver seq=1 system_id=acme password=secret
			< bind_transceiver_resp seq=1 status=ESME_RBINDFAIL within=2s
			< eof`},
		{"06 a bind type that is not allowed", func(a *Account) { a.BindTypes = []pdu.Command{pdu.CmdBindReceiver} }, `
			> bind_transceiver seq=1 system_id=acme password=secret
			< bind_transceiver_resp seq=1 status=ESME_RBINDFAIL within=2s
			< eof`},
		{"07 nothing within session_init", nil, `
			~ 9s
			< eof within=2s`},
		{"08 submit_sm before bind", nil, `
			> submit_sm seq=1` + to + `
			< submit_sm_resp seq=1 status=ESME_RINVBNDSTS`},
		{"09 submit_sm of a receiver", nil, `
			> bind_receiver seq=1 system_id=acme password=secret
			< bind_receiver_resp seq=1 status=ESME_ROK
			> submit_sm seq=2` + to + `
			< submit_sm_resp seq=2 status=ESME_RINVBNDSTS`},
		{"10 deliver_sm of a client", nil, bindTRX + `
			> deliver_sm seq=2` + to + `
			< deliver_sm_resp seq=2 status=ESME_RINVBNDSTS
			> enquire_link seq=3
			< enquire_link_resp seq=3`},
		// 11 TestEnquireLinkIsAnsweredWhileTheStoreIsStuck
		{"12 unknown command_id", nil, bindTRX + `
			> 0x000000FE seq=9 body=0102
			< generic_nack seq=9 status=ESME_RINVCMDID
			> submit_sm seq=10` + to + `short_message=hello
			< submit_sm_resp seq=10 status=ESME_ROK`},
		{"12 broadcast_sm is not offered", nil, bindTRX + `
			> broadcast_sm seq=9
			< generic_nack seq=9 status=ESME_RINVCMDID`},
		{"13 unknown response", nil, bindTRX + `
			> 0x800000FE seq=9
			> deliver_sm_resp seq=77
			> enquire_link seq=3
			< enquire_link_resp seq=3`},
		{"14 command_length 15", nil, bindTRX + "> submit_sm seq=9 length=15\n< generic_nack status=ESME_RINVCMDLEN\n< eof"},
		{"14 command_length 0", nil, bindTRX + "> submit_sm seq=9 length=0\n< generic_nack status=ESME_RINVCMDLEN\n< eof"},
		{"14 command_length 0xFFFFFFFF", nil, bindTRX + "> submit_sm seq=9 length=0xFFFFFFFF\n< generic_nack status=ESME_RINVCMDLEN\n< eof"},
		{"14 command_length over the limit", nil, bindTRX + "> submit_sm seq=9 length=69633\n< generic_nack status=ESME_RINVCMDLEN\n< eof"},
		{"15 a body shorter than its fields", nil, bindTRX + `
			> submit_sm seq=2` + to + `cut=5
			< submit_sm_resp seq=2 status=ESME_RINVCMDLEN
			> submit_sm seq=3` + to + `short_message=hello cut=2
			< submit_sm_resp seq=3 status=ESME_RINVMSGLEN
			> enquire_link seq=4
			< enquire_link_resp seq=4`},
		{"16 strings without their NUL", nil, bindTRX + `
			> submit_sm seq=2 service_type=TOOLONG
			< submit_sm_resp seq=2 status=ESME_RINVSERTYP
			> submit_sm seq=3 source_addr=` + long + `
			< submit_sm_resp seq=3 status=ESME_RINVSRCADR
			> submit_sm seq=4 destination_addr=` + long + `
			< submit_sm_resp seq=4 status=ESME_RINVDSTADR`},
		{"17 one octet at a time", nil, bindTRX + `
			> submit_sm seq=2` + to + `short_message=hello octets=1
			< submit_sm_resp seq=2 status=ESME_ROK`},
		{"17 a hundred in one write", nil, bindTRX + `
			> submit_sm seq=2` + to + `short_message=hello times=100
			< submit_sm_resp seq=2 status=ESME_ROK times=100`},
		{"18 odd sequence_numbers", nil, bindTRX + `
			> submit_sm seq=0` + to + `
			< submit_sm_resp seq=0 status=ESME_ROK
			> submit_sm seq=0x7FFFFFFF` + to + `
			< submit_sm_resp seq=0x7FFFFFFF status=ESME_ROK
			> submit_sm seq=0xFFFFFFFF` + to + `
			< submit_sm_resp seq=0xFFFFFFFF status=ESME_ROK`},
		{"19 the same sequence_number twice", nil, bindTRX + `
			> submit_sm seq=5` + to + `
			> submit_sm seq=5` + to + `
			< submit_sm_resp seq=5 status=ESME_ROK
			< submit_sm_resp seq=5 status=ESME_ROK`},
		{"20 an empty message", nil, bindTRX + "> submit_sm seq=2" + to + "\n< submit_sm_resp seq=2 status=ESME_ROK"},
		{"20 an empty message, refused by option", func(a *Account) { a.EmptyRefused = true }, bindTRX +
			"> submit_sm seq=2" + to + "\n< submit_sm_resp seq=2 status=ESME_RINVMSGLEN"},
		{"21 sm_length 255", nil, bindTRX +
			"> submit_sm seq=2 body=00" + "0500414857414c00" + "00" + "0101" + fmt.Sprintf("%x", "966501234567") + "00" +
			"000000000000000000ff" + strings.Repeat("61", 255) + "\n< submit_sm_resp seq=2 status=ESME_RINVMSGLEN\n> enquire_link seq=3\n< enquire_link_resp seq=3"},
		{"22 short_message and message_payload", nil, bindTRX + `
			> submit_sm seq=2` + to + `short_message=a tlv.0424=62
			< submit_sm_resp seq=2 status=ESME_RINVMSGLEN
			> enquire_link seq=3
			< enquire_link_resp seq=3`},
		{"23 a TLV past the end; octets left over", nil, bindTRX + `
			> submit_sm seq=2` + to + `extra=0424000561
			< submit_sm_resp seq=2 status=ESME_RINVTLVSTREAM
			> submit_sm seq=3` + to + `extra=042400
			< submit_sm_resp seq=3 status=ESME_RINVTLVSTREAM`},
		{"24 a known TLV of a wrong length", nil, bindTRX + `
			> submit_sm seq=2` + to + `tlv.0204=01
			< submit_sm_resp seq=2 status=ESME_RINVTLVLEN`},
		{"25 unknown and vendor TLVs", nil, bindTRX + `
			> submit_sm seq=2` + to + `tlv.1401=00ff tlv.3FFF= tlv.0999=01
			< submit_sm_resp seq=2 status=ESME_ROK`},
		{"26 destinations", nil, bindTRX + `
			> submit_sm seq=2 destination_addr=
			< submit_sm_resp seq=2 status=ESME_RINVDSTADR
			> submit_sm seq=3 destination_addr=AHWAL
			< submit_sm_resp seq=3 status=ESME_RINVDSTADR
			> submit_sm seq=4 destination_addr=` + long + `
			< submit_sm_resp seq=4 status=ESME_RINVDSTADR
			> submit_sm seq=5 destination_addr="+966 50 123-4567"
			< submit_sm_resp seq=5 status=ESME_ROK
			> submit_sm seq=6 destination_addr=٠٥٠١٢٣٤٥٦٧
			< submit_sm_resp seq=6 status=ESME_ROK`},
		{"27 a source that is not allowed", func(a *Account) { a.Senders = []Sender{{Exact: "MOI"}} }, bindTRX + `
			> submit_sm seq=2` + to + `
			< submit_sm_resp seq=2 status=ESME_RINVSRCADR`},
		{"28 TON 7 and NPI 15", nil, bindTRX + `
			> submit_sm seq=2 source_addr_ton=7 destination_addr=966501234567
			< submit_sm_resp seq=2 status=ESME_RINVSRCTON
			> submit_sm seq=3 source_addr_npi=15 destination_addr=966501234567
			< submit_sm_resp seq=3 status=ESME_RINVSRCNPI
			> submit_sm seq=4 dest_addr_ton=7 destination_addr=966501234567
			< submit_sm_resp seq=4 status=ESME_RINVDSTTON
			> submit_sm seq=5 dest_addr_npi=15 destination_addr=966501234567
			< submit_sm_resp seq=5 status=ESME_RINVDSTNPI`},
		{"29 priority_flag 4", nil, bindTRX + "> submit_sm seq=2" + to + "priority_flag=4\n< submit_sm_resp seq=2 status=ESME_RINVPRTFLG"},
		{"30 registered_delivery with undefined bits", nil, bindTRX + `
			> submit_sm seq=2` + to + `registered_delivery=0x20
			< submit_sm_resp seq=2 status=ESME_RINVREGDLVFLG
			> submit_sm seq=3` + to + `registered_delivery=0x1F
			< submit_sm_resp seq=3 status=ESME_ROK`},
		{"31 datagram and transaction mode are store and forward", nil, bindTRX + `
			> submit_sm seq=2` + to + `esm_class=1
			< submit_sm_resp seq=2 status=ESME_ROK
			> submit_sm seq=3` + to + `esm_class=2
			< submit_sm_resp seq=3 status=ESME_ROK
			> submit_sm seq=4` + to + `esm_class=0x3c
			< submit_sm_resp seq=4 status=ESME_RINVESMCLASS`},
		// The bubble's clock begins on 2000-01-01 at 00:00 UTC.
		{"32 schedule_delivery_time", nil, bindTRX + `
			> submit_sm seq=2` + to + `schedule_delivery_time=tomorrow
			< submit_sm_resp seq=2 status=ESME_RINVSCHED
			> submit_sm seq=3` + to + `schedule_delivery_time=991231235900000+
			< submit_sm_resp seq=3 status=ESME_RINVSCHED
			> submit_sm seq=4` + to + `schedule_delivery_time=010101000000000+
			< submit_sm_resp seq=4 status=ESME_RINVSCHED
			> submit_sm seq=5` + to + `schedule_delivery_time=001301000000000+
			< submit_sm_resp seq=5 status=ESME_RINVSCHED
			> submit_sm seq=6` + to + `schedule_delivery_time=000102000000000+
			< submit_sm_resp seq=6 status=ESME_ROK
			> submit_sm seq=7` + to + `schedule_delivery_time=000000010000000R
			< submit_sm_resp seq=7 status=ESME_ROK`},
		{"33 validity_period", nil, bindTRX + `
			> submit_sm seq=2` + to + `validity_period=000000xx0000000R
			< submit_sm_resp seq=2 status=ESME_RINVEXPIRY
			> submit_sm seq=3` + to + `validity_period=000000000000000R
			< submit_sm_resp seq=3 status=ESME_RINVEXPIRY
			> submit_sm seq=4` + to + `schedule_delivery_time=000102000000000+ validity_period=000101230000000+
			< submit_sm_resp seq=4 status=ESME_RINVEXPIRY
			> submit_sm seq=5` + to + `schedule_delivery_time=000102000000000+ validity_period=000102010000000+
			< submit_sm_resp seq=5 status=ESME_ROK`},
		// 34 TestReplaceIfPresent...
		{"35 sm_default_msg_id that nobody configured", nil, bindTRX + "> submit_sm seq=2" + to + "sm_default_msg_id=3\n< submit_sm_resp seq=2 status=ESME_RINVDFTMSGID"},
		{"36 a reserved data_coding passes untouched", nil, bindTRX + "> submit_sm seq=2" + to + "data_coding=0x0f short_message=x\n< submit_sm_resp seq=2 status=ESME_ROK"},
		{"37 a broken user data header", nil, bindTRX + `
			> submit_sm seq=2` + to + `esm_class=0x40 short_message=~~
			< submit_sm_resp seq=2 status=ESME_RINVESMCLASS
			> submit_sm seq=3` + to + `esm_class=0x40
			< submit_sm_resp seq=3 status=ESME_RINVESMCLASS
			> submit_sm seq=4` + to + `esm_class=0x40 tlv.0424=0500
			< submit_sm_resp seq=4 status=ESME_RINVESMCLASS
			> submit_sm seq=5` + to + `esm_class=0x40 tlv.0424=05000307020168
			< submit_sm_resp seq=5 status=ESME_ROK`},
		{"38 submit_multi of none", nil, bindTRX + `
			> submit_multi seq=2 body=000500414857414c000000000000000000000000000000
			< submit_multi_resp seq=2 status=ESME_RINVNUMDESTS`},
		{"39 query_sm of nothing", nil, bindTRX + `
			> query_sm seq=2 message_id=0123456789abcdef
			< query_sm_resp seq=2 status=ESME_RQUERYFAIL
			> query_sm seq=3 message_id=nonsense
			< query_sm_resp seq=3 status=ESME_RQUERYFAIL
			> query_sm seq=4 message_id=
			< query_sm_resp seq=4 status=ESME_RINVMSGID`},
		{"40 cancel_sm of nothing", nil, bindTRX + `
			> cancel_sm seq=2 message_id=0123456789abcdef
			< cancel_sm_resp seq=2 status=ESME_RCANCELFAIL
			> cancel_sm seq=3 source_addr=AHWAL destination_addr=966501234567
			< cancel_sm_resp seq=3 status=ESME_RCANCELFAIL`},
		{"41 replace_sm of nothing", nil, bindTRX + `
			> replace_sm seq=2 message_id=0123456789abcdef source_addr=AHWAL short_message=new
			< replace_sm_resp seq=2 status=ESME_RREPLACEFAIL`},
		{"42 data_sm", nil, bindTRX + `
			> data_sm seq=2` + to + `tlv.0424=68656c6c6f
			< data_sm_resp seq=2 status=ESME_ROK
			> data_sm seq=3 destination_addr=AHWAL
			< data_sm_resp seq=3 status=ESME_RINVDSTADR`},
		{"43 unbind", nil, bindTRX + `
			> submit_sm seq=2` + to + `times=10
			> unbind seq=12
			< submit_sm_resp seq=2 status=ESME_ROK times=10
			< unbind_resp seq=12 status=ESME_ROK
			< eof`},
		{"a password longer than its field", nil, `
			> bind_transceiver seq=1 system_id=acme password=ninechars1
			< bind_transceiver_resp seq=1 status=ESME_RINVPASWD`},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, rigOptions{Setup: func(s *Setup) {
					if row.setup != nil {
						row.setup(&s.Accounts[0])
					}
				}})
				r.connect("").play(row.script)
			})
		})
	}
}

func TestASilentClientIsAskedAndThenClosed(t *testing.T) { // row 45
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{Setup: func(s *Setup) {
			s.Accounts[0].Timers = &smpp.Timers{EnquireLink: 30 * time.Second, Response: 10 * time.Second}
		}})
		p := r.transceiver()
		p.play(`
			~ 29s
			< enquire_link seq=1 within=3s
			> enquire_link_resp seq=1
			~ 28s
			< enquire_link seq=2 within=4s
			~ 8s
			< eof within=4s`)
		r.wait("the bind is free", func() bool { return r.metric("masar_account_binds") == 0 })
		if got := r.log.find("client session ended", "account=acme"); len(got) != 1 || !strings.Contains(got[0].attrs["err"], "enquire_link") {
			t.Errorf("log %v", got)
		}
	})
}

func TestBindsOverTheAccountsLimitAreRefusedAndTheOthersStay(t *testing.T) { // row 4
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{Setup: func(s *Setup) { s.Accounts[0].MaxBinds = 2 }})
		one, two := r.transceiver(), r.receiver()
		three := r.connect("")
		three.play("> bind_transmitter seq=1 system_id=acme password=secret\n< bind_transmitter_resp seq=1 status=ESME_RALYBND\n< eof")
		for _, p := range []*peer{one, two} {
			p.play("> enquire_link seq=50\n< enquire_link_resp seq=50")
		}
		one.play("> unbind seq=51\n< unbind_resp seq=51\n< eof")
		r.transmitter().submit(nil)
		if n := r.metric("masar_binds_refused_total", "status=ESME_RALYBND"); n != 1 {
			t.Errorf("masar_binds_refused_total %v", n)
		}
		if n := r.metric("masar_account_binds", "account=acme"); n != 2 {
			t.Errorf("masar_account_binds %v", n)
		}
	})
}

func TestAConnectionThatClosesFreesItsBindAndItsDeliveries(t *testing.T) { // row 44
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{Setup: func(s *Setup) { s.Accounts[0].MaxBinds = 1 }})
		r.carrierUp("a")
		p := r.transceiver()
		id := p.submit(func(p *pdu.SubmitSM) { p.RegisteredDelivery = pdu.RegisteredFinal })
		p.expect(pdu.CmdDeliverSM) // and never answers it
		p.conn.Close()
		r.wait("the bind is free", func() bool { return r.metric("masar_account_binds") == 0 })
		again := r.transceiver()
		if got := again.receipt(); got["id"] != id {
			t.Errorf("receipt %v of %s", got, id)
		}
		again.quiet(time.Minute)
	})
}

func TestShutdownAnswersWhatIsOpenAndUnbindsEveryClient(t *testing.T) { // row 51
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{})
		r.carrierUp("a")
		p := r.transceiver()
		id := p.submit(func(p *pdu.SubmitSM) { p.RegisteredDelivery = pdu.RegisteredFinal })
		h, _ := p.expect(pdu.CmdDeliverSM)
		closed := make(chan error, 1)
		go func() { closed <- r.gw.Close(context.Background()) }()
		r.wait("no new submits", r.gw.closing.Load)
		if st := p.submitted(nil); st != pdu.ESME_RMSGQFUL {
			t.Errorf("submit_sm while closing: %v", st)
		}
		late := r.connect("")
		late.conn.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := late.conn.Read(make([]byte, 1)); err == nil {
			t.Error("a new connection was served")
		}
		p.answer(h, pdu.ESME_ROK)
		h, _ = p.expect(pdu.CmdUnbind)
		p.answer(h, pdu.ESME_ROK)
		p.gone()
		if err := <-closed; err != nil {
			t.Error(err)
		}
		var left int64
		r.store.OutboxDepths(func(_ uint32, d queue.Depth) { left += d.Messages })
		if left != 0 {
			t.Errorf("%d deliveries left of %s, which was acknowledged while closing", left, id)
		}
		if got := r.log.find("client was unbound"); len(got) != 1 || got[0].level != 0 {
			t.Errorf("log %v", got)
		}
	})
}

func TestAnOrderlyUnbindIsNoError(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{})
		p := r.transceiver()
		p.play("> unbind seq=9\n< unbind_resp seq=9\n< eof")
		r.wait("the log", func() bool { return len(r.log.find("client unbound", "account=acme")) == 1 })
		for _, l := range r.log.all() {
			if l.level > 0 && l.attrs["account"] == "acme" || l.attrs["err"] == smpp.ErrUnbound.Error() {
				t.Errorf("log %v", l)
			}
		}
	})
}

// multiOf is a submit_multi to the given destinations.
func multiOf(dests ...pdu.Destination) *pdu.SubmitMulti {
	return &pdu.SubmitMulti{Source: pdu.Address{TON: 5, Addr: []byte("AHWAL")}, Dests: dests, ShortMessage: []byte("hello"), RegisteredDelivery: 1}
}

func dest(addr string) pdu.Destination {
	return pdu.Destination{Flag: pdu.DestSME, Address: pdu.Address{TON: 1, NPI: 1, Addr: []byte(addr)}}
}

func TestSubmitMultiListsTheBadAmongTheGood(t *testing.T) { // row 38
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{})
		r.carrierUp("a")
		p := r.transceiver()
		p.send(pdu.CmdSubmitMulti, multiOf(dest("966501234567"), dest("letters"), dest("0501234568"),
			pdu.Destination{Flag: pdu.DestList, List: []byte("everyone")}, dest("966501234569")))
		h, body := p.expect(pdu.CmdSubmitMulti.Resp())
		resp := body.(*pdu.SubmitMultiResp)
		if h.Status != pdu.ESME_ROK || len(resp.Unsuccess) != 2 {
			t.Fatalf("%v, %+v", h.Status, resp)
		}
		if u := resp.Unsuccess[0]; string(u.Address.Addr) != "letters" || u.Status != pdu.ESME_RINVDSTADR {
			t.Errorf("unsuccess_sme %+v", u)
		}
		if u := resp.Unsuccess[1]; u.Status != pdu.ESME_RINVDLNAME {
			t.Errorf("unsuccess_sme %+v", u)
		}
		from := map[string]bool{}
		for range 3 {
			d := p.deliver()
			from[string(d.Source.Addr)] = true
			if got := fields(d); got["id"] != string(resp.MessageID) || got["stat"] != "DELIVRD" {
				t.Errorf("receipt %v of %s", got, resp.MessageID)
			}
		}
		if !from["966501234567"] || !from["0501234568"] || !from["966501234569"] {
			t.Errorf("receipts from %v", from)
		}
		p.quiet(time.Second)
		if ok, bad := r.metric("masar_submits_total", "result=ok"), r.metric("masar_submits_total", "result=bad_destination"); ok != 3 || bad != 1 {
			t.Errorf("%v accepted, %v bad", ok, bad)
		}
	})
}

func TestSubmitMultiAtItsBounds(t *testing.T) { // row 38
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{Setup: func(s *Setup) { s.Accounts[0].MessageID = DecimalID }})
		p := r.transceiver()
		var most []pdu.Destination
		for i := range 254 {
			most = append(most, dest(fmt.Sprintf("9665012%05d", i)))
		}
		p.send(pdu.CmdSubmitMulti, multiOf(most...))
		h, body := p.expect(pdu.CmdSubmitMulti.Resp())
		if h.Status != pdu.ESME_ROK || len(body.(*pdu.SubmitMultiResp).Unsuccess) != 0 {
			t.Errorf("254: %v, %+v", h.Status, body)
		}
		if id := string(body.(*pdu.SubmitMultiResp).MessageID); !isDigits(id) || id == "" {
			t.Errorf("message_id %q", id)
		}
		p.send(pdu.CmdSubmitMulti, multiOf(append(most, dest("966501299999"))...))
		if h, _ = p.expect(pdu.CmdSubmitMulti.Resp()); h.Status != pdu.ESME_RINVNUMDESTS {
			t.Errorf("255: %v", h.Status)
		}
		p.send(pdu.CmdSubmitMulti, multiOf(dest("x"), dest("y")))
		if h, _ = p.expect(pdu.CmdSubmitMulti.Resp()); h.Status != pdu.ESME_RINVDSTADR {
			t.Errorf("none is good: %v", h.Status)
		}
	})
}

func TestSequenceNumbersOfTheGatewayRise(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{})
		r.carrierUp("a")
		p := r.transceiver()
		for i := range uint32(3) {
			p.submit(func(p *pdu.SubmitSM) { p.RegisteredDelivery = 1 })
			h, _ := p.expect(pdu.CmdDeliverSM)
			if h.Sequence != i+1 {
				t.Errorf("sequence_number %d, want %d", h.Sequence, i+1)
			}
			p.answer(h, pdu.ESME_ROK)
		}
	})
}
