package smpptest_test

import (
	"fmt"
	"regexp"
	"testing"
	"time"

	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

func mix(t *testing.T, s string) smpptest.StateMix {
	t.Helper()
	m, err := smpptest.ParseStateMix(s)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func TestAReceiptIsWrittenAsAppendixBHasIt(t *testing.T) {
	const date = `\d{10}`
	for _, row := range []struct {
		name string
		o    smpptest.SMSCOptions
		want string
	}{
		{"delivered", smpptest.SMSCOptions{FirstID: 41},
			`id:41 sub:001 dlvrd:001 submit date:` + date + ` done date:` + date + ` stat:DELIVRD err:000 text:hello`},
		{"failed", smpptest.SMSCOptions{FirstID: 41, ReceiptStates: mix(t, "UNDELIV")},
			`id:41 sub:001 dlvrd:000 submit date:` + date + ` done date:` + date + ` stat:UNDELIV err:005 text:hello`},
		{"failed with an err", smpptest.SMSCOptions{FirstID: 41, ReceiptStates: mix(t, "EXPIRED/0A7=1")},
			`id:41 sub:001 dlvrd:000 submit date:` + date + ` done date:` + date + ` stat:EXPIRED err:0A7 text:hello`},
		{"hexadecimal", smpptest.SMSCOptions{FirstID: 0xBEEF, IDReceipt: smpptest.IDForm{Base: smpptest.HexUpper, Width: 8}},
			`id:0000BEEF sub:.*`},
		{"TLVs alone", smpptest.SMSCOptions{ReceiptTLVs: smpptest.TLVsOnly}, ``},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, addr := startSMSC(t, row.o)
			e := boundTo(t, addr, pdu.CmdBindTransceiver)
			if st, _ := e.submit(message(1)); st != pdu.ESME_ROK {
				t.Fatal(st)
			}
			sm := e.receipt(pdu.ESME_ROK)
			if !regexp.MustCompile("^" + row.want + "$").Match(sm.ShortMessage) {
				t.Errorf("%q\nwant %s", sm.ShortMessage, row.want)
			}
			if sm.ESMClass != pdu.ESMClassReceipt || string(sm.Source.Addr) != "966501234567" || string(sm.Dest.Addr) != "AHWAL" || sm.Dest.TON != 5 {
				t.Errorf("%+v", sm)
			}
		})
	}
}

func TestReceiptsFollowRegisteredDelivery(t *testing.T) {
	for _, row := range []struct {
		registered uint8
		state      string
		comes      bool
	}{
		{0, "DELIVRD", false}, {1, "DELIVRD", true}, {1, "UNDELIV", true},
		{2, "DELIVRD", false}, {2, "UNDELIV", true}, {3, "DELIVRD", true}, {3, "UNDELIV", false},
		{0x10, "DELIVRD", false}, {0x11, "DELIVRD", true},
	} {
		t.Run(fmt.Sprintf("%#x %s", row.registered, row.state), func(t *testing.T) {
			sim, addr := startSMSC(t, smpptest.SMSCOptions{ReceiptStates: mix(t, row.state)})
			e := boundTo(t, addr, pdu.CmdBindTransceiver)
			e.submit(message(row.registered))
			if row.comes {
				e.receipt(pdu.ESME_ROK)
			}
			e.wantNothing()
			if made := sim.Stats().Receipts; (made == 1) != row.comes {
				t.Errorf("%d receipts were made", made)
			}
		})
	}
}

func TestTheStateMixIsKept(t *testing.T) {
	_, addr := startSMSC(t, smpptest.SMSCOptions{ReceiptStates: mix(t, "DELIVRD=80,UNDELIV=15,EXPIRED=5,REJECTD=0"), Seed: 11, ReceiptTLVs: smpptest.TLVsOnly})
	e := boundTo(t, addr, pdu.CmdBindTransceiver)
	count := make(map[pdu.State]int)
	for range 1000 {
		e.submit(message(1))
		sm := e.receipt(pdu.ESME_ROK)
		st, ok := sm.TLVs.Get(pdu.TagMessageState)
		if !ok {
			t.Fatal("no message_state")
		}
		count[pdu.State(st[0])]++
	}
	for st, share := range map[pdu.State]int{pdu.StateDelivered: 800, pdu.StateUndeliverable: 150, pdu.StateExpired: 50} {
		if n := count[st]; n < share*7/10 || n > share*13/10 {
			t.Errorf("%s: %d of 1000, want about %d", st, n, share)
		}
	}
	if count[pdu.StateRejected] > 0 {
		t.Error("a state of weight 0 came up")
	}
}

func TestReceiptsComeLaterTwiceFirstOrNever(t *testing.T) {
	t.Run("later", func(t *testing.T) {
		const delay = 40 * time.Millisecond
		_, addr := startSMSC(t, smpptest.SMSCOptions{ReceiptDelay: delay})
		e := boundTo(t, addr, pdu.CmdBindTransceiver)
		start := time.Now()
		e.submit(message(1))
		e.wantNothing()
		e.receipt(pdu.ESME_ROK)
		if took := time.Since(start); took < delay {
			t.Errorf("after %s", took)
		}
	})
	t.Run("twice", func(t *testing.T) {
		_, addr := startSMSC(t, smpptest.SMSCOptions{ReceiptTwice: 1})
		e := boundTo(t, addr, pdu.CmdBindTransceiver)
		e.submit(message(1))
		first, again := e.receipt(pdu.ESME_ROK), e.receipt(pdu.ESME_ROK)
		if string(first.ShortMessage) != string(again.ShortMessage) {
			t.Errorf("%q, then %q", first.ShortMessage, again.ShortMessage)
		}
		e.wantNothing()
	})
	t.Run("first", func(t *testing.T) {
		_, addr := startSMSC(t, smpptest.SMSCOptions{ReceiptFirst: 1, FirstID: 5})
		e := boundTo(t, addr, pdu.CmdBindTransceiver)
		e.request(pdu.CmdSubmitSM, message(1))
		e.receipt(pdu.ESME_ROK)
		if h, body := e.want(pdu.CmdSubmitSMResp); h.Status != 0 || string(body) != "5\x00" {
			t.Errorf("%s %q", h.Status, body)
		}
	})
	t.Run("never", func(t *testing.T) {
		sim, addr := startSMSC(t, smpptest.SMSCOptions{NoReceipt: 1})
		e := boundTo(t, addr, pdu.CmdBindTransceiver)
		e.submit(message(1))
		e.wantNothing()
		if n := sim.Stats().Receipts; n != 0 {
			t.Errorf("%d made", n)
		}
	})
}

func TestReceiptsGoToWhoMayReceive(t *testing.T) {
	t.Run("the transceiver's own", func(t *testing.T) {
		_, addr := startSMSC(t, smpptest.SMSCOptions{})
		a, b := boundTo(t, addr, pdu.CmdBindTransceiver), boundTo(t, addr, pdu.CmdBindTransceiver)
		a.submit(message(1))
		a.receipt(pdu.ESME_ROK)
		b.wantNothing()
	})
	t.Run("elsewhere by option", func(t *testing.T) {
		_, addr := startSMSC(t, smpptest.SMSCOptions{ReceiptElsewhere: true})
		a, b := boundTo(t, addr, pdu.CmdBindTransceiver), boundTo(t, addr, pdu.CmdBindTransceiver)
		a.submit(message(1))
		b.receipt(pdu.ESME_ROK)
		a.wantNothing()
	})
	t.Run("the receiver, where a transmitter submits", func(t *testing.T) {
		_, addr := startSMSC(t, smpptest.SMSCOptions{})
		a, b := boundTo(t, addr, pdu.CmdBindTransmitter), boundTo(t, addr, pdu.CmdBindReceiver)
		a.submit(message(1))
		b.receipt(pdu.ESME_ROK)
		a.wantNothing()
	})
	t.Run("not another account's", func(t *testing.T) {
		_, addr := startSMSC(t, smpptest.SMSCOptions{})
		a, b := boundTo(t, addr, pdu.CmdBindTransmitter), dialSMSC(t, addr)
		b.bind(pdu.CmdBindReceiver, "other", "")
		a.submit(message(1))
		b.wantNothing()
	})
	t.Run("by data_sm", func(t *testing.T) {
		_, addr := startSMSC(t, smpptest.SMSCOptions{ReceiptByData: true, FirstID: 8})
		e := boundTo(t, addr, pdu.CmdBindTransceiver)
		e.submit(message(1))
		h, body := e.want(pdu.CmdDataSM)
		var p pdu.DataSM
		if err := p.Decode(body); err != nil {
			t.Fatal(err)
		}
		if id, _ := p.TLVs.Get(pdu.TagReceiptedMessageID); string(id) != "8\x00" || p.ESMClass != pdu.ESMClassReceipt || len(p.Content()) == 0 {
			t.Errorf("%+v", p)
		}
		e.send(pdu.CmdDataSMResp, 0, h.Sequence, &pdu.MessageResp{})
		e.wantNothing()
	})
}

func TestReceiptsAreRepeatedUntilAcknowledged(t *testing.T) {
	sim, addr := startSMSC(t, smpptest.SMSCOptions{ReceiptRetry: 5 * time.Millisecond})
	e := boundTo(t, addr, pdu.CmdBindTransceiver)
	for _, later := range []pdu.Status{pdu.ESME_RMSGQFUL, pdu.ESME_RX_T_APPN} {
		e.submit(message(1))
		e.receipt(later)
		e.receipt(later)
		e.receipt(pdu.ESME_ROK)
	}
	e.submit(message(1))
	e.receipt(pdu.ESME_RX_P_APPN)
	e.wantNothing()
	if st := sim.Stats(); st.Retried != 4 || st.Acked != 2 || st.Rejected != 1 || st.Unacked != 0 {
		t.Errorf("%+v", st)
	}
}

func TestUnacknowledgedReceiptsComeAgainOnTheNextBindInOrder(t *testing.T) {
	sim, addr := startSMSC(t, smpptest.SMSCOptions{FirstID: 1, ReceiptWindow: 3})
	e := boundTo(t, addr, pdu.CmdBindTransceiver)
	for range 5 {
		e.request(pdu.CmdSubmitSM, message(1))
	}
	answers, receipts := 0, 0
	for answers < 5 || receipts < 3 {
		if h, _ := e.next(); h.Command == pdu.CmdDeliverSM {
			receipts++
		} else {
			answers++
		}
	}
	e.wantNothing() // the window of 3 is full
	e.conn.Close()
	awaitSMSC(t, "the session's end", func() bool { return sim.Binds("") == 0 })
	again := boundTo(t, addr, pdu.CmdBindReceiver)
	for want := 1; want <= 5; want++ {
		sm := again.receipt(pdu.ESME_ROK)
		if id, _ := sm.TLVs.Get(pdu.TagReceiptedMessageID); string(id) != fmt.Sprintf("%d\x00", want) {
			t.Errorf("receipt of %q, want %d", id, want)
		}
	}
	again.wantNothing()
	if st := sim.Stats(); st.Resent != 3 || st.Acked != 5 || !sim.Idle() {
		t.Errorf("%+v", st)
	}
}

func TestIDsAreWrittenInEveryForm(t *testing.T) {
	for _, row := range []struct {
		form string
		id   uint64
		want string
	}{
		{"dec", 48879, "48879"}, {"hex", 48879, "beef"}, {"HEX", 48879, "BEEF"},
		{"dec:10", 48879, "0000048879"}, {"hex:16", 48879, "000000000000beef"}, {"HEX:2", 48879, "BEEF"},
		{"dec", 1<<64 - 1, "18446744073709551615"}, {"dec:64", 7, fmt.Sprintf("%064d", 7)},
	} {
		f, err := smpptest.ParseIDForm(row.form)
		if err != nil {
			t.Fatal(err)
		}
		if got := string(f.Append([]byte("x"), row.id)); got != "x"+row.want || f.String() != row.form {
			t.Errorf("%s of %d: %s, want %s", f, row.id, got, row.want)
		}
	}
	uuid, _ := smpptest.ParseIDForm("uuid")
	seen := make(map[string]bool)
	for id := range uint64(1000) {
		s := string(uuid.Append(nil, id))
		if seen[s] || !regexp.MustCompile(`^[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}$`).MatchString(s) {
			t.Fatalf("id %d: %s", id, s)
		}
		seen[s] = true
	}
	for _, bad := range []string{"", "octal", "dec:", "dec:0", "dec:65", "hex:x"} {
		if f, err := smpptest.ParseIDForm(bad); err == nil {
			t.Errorf("%q is %s", bad, f)
		}
	}
}

func TestWrongStateMixesAreRefused(t *testing.T) {
	for _, bad := range []string{"", "DELIVERED", "DELIVRD=x", "DELIVRD=-1", "DELIVRD=0", "DELIVRD=1,,", "DELIVRD=NaN"} {
		if m, err := smpptest.ParseStateMix(bad); err == nil {
			t.Errorf("%q is %v", bad, m)
		}
	}
	if m := mix(t, "delivrd=95, UNDELIV/045=4"); len(m) != 2 || m[1].Err != "045" || m[1].Weight != 4 || m[0].State != pdu.StateDelivered {
		t.Errorf("%+v", m)
	}
}

func TestWrongOptionsAreRefused(t *testing.T) {
	for name, o := range map[string]smpptest.SMSCOptions{
		"share above 1": {ErrorRate: 1.5}, "share below 0": {Silent: -0.1}, "latency below 0": {Latency: -1},
		"pace below 0": {Pace: -1}, "system_id too long": {SystemID: "sixteen-octets-x"}, "window below 0": {ReceiptWindow: -1},
	} {
		if c, err := smpptest.NewSMSC(o); err == nil {
			c.Close()
			t.Errorf("%s: taken", name)
		}
	}
}
