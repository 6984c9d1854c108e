package gateway

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"masar/queue"
	"masar/smpp"
	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

// give puts deliveries into an account's outbox, as the correlators do.
func (r *rig) give(account string, ds ...*queue.Delivery) {
	r.t.Helper()
	done := make(chan error, 1)
	var steps []queue.Step
	for _, d := range ds {
		d.Account = r.gw.world.Load().accounts[account].number
		d.Created = queue.At(time.Now())
		if d.Expires == 0 {
			d.Expires = queue.At(time.Now().Add(72 * time.Hour))
		}
		steps = append(steps, &queue.Deliver{Delivery: d})
	}
	if err := r.store.Commit(context.Background(), queue.DoneFunc(func(err error) { done <- err }), steps...); err != nil {
		r.t.Fatal(err)
	}
	if err := <-done; err != nil {
		r.t.Fatal(err)
	}
}

func note1(id queue.ID, kind queue.Kind, text string) *queue.Delivery {
	return &queue.Delivery{Message: id, Kind: kind, ShortMessage: []byte(text), ESMClass: pdu.ESMClassReceipt, Source: queue.Address{Addr: "966501234567"}}
}

func (r *rig) outbox() (n int64) {
	r.store.OutboxDepths(func(_ uint32, d queue.Depth) { n += d.Messages })
	return n
}

// next awaits a deliver_sm and leaves it unanswered.
func (p *peer) next() (pdu.Header, string) {
	p.t.Helper()
	h, body := p.expect(pdu.CmdDeliverSM)
	return h, string(body.(*pdu.DeliverSM).ShortMessage)
}

func TestReceiptsWaitForAClientThatIsNotBound(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{})
		r.carrierUp("a")
		p := r.transmitter()
		var ids []string
		for range 5 {
			ids = append(ids, p.submit(asked))
		}
		r.wait("five receipts", func() bool { return r.outbox() == 5 })
		p.quiet(time.Minute) // a transmitter is sent none
		r.restart()
		rx := r.receiver()
		for _, id := range ids {
			if got := rx.receipt(); got["id"] != id {
				t.Errorf("receipt %v, want %s", got, id)
			}
		}
		r.wait("an empty outbox", func() bool { return r.outbox() == 0 })
		if n := r.metric("masar_deliveries_total", "verdict=acknowledged"); n != 5 {
			t.Errorf("%v acknowledged", n)
		}
	})
}

func TestWhatTheClientAnswersDecides(t *testing.T) { // row 47
	for _, row := range []struct {
		status  pdu.Status
		again   time.Duration // zero: never
		verdict string
	}{
		{pdu.ESME_RX_T_APPN, time.Second, "acknowledged"},
		{pdu.ESME_RMSGQFUL, time.Second, "acknowledged"},
		{pdu.ESME_RTHROTTLED, time.Second, "acknowledged"},
		{pdu.ESME_RX_P_APPN, 0, "refused"},
		{pdu.ESME_RX_R_APPN, 0, "refused"},
		{pdu.ESME_RINVDSTADR, 0, "refused"},
	} {
		t.Run(row.status.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, rigOptions{})
				p := r.receiver()
				r.give("acme", note1(1, queue.FinalReceipt, "one"))
				h, _ := p.next()
				p.answer(h, row.status)
				began := time.Now()
				if row.again == 0 {
					p.quiet(10 * time.Minute)
				} else {
					h, _ = p.next()
					if d := time.Since(began); d < row.again || d > row.again+100*time.Millisecond {
						t.Errorf("again after %v", d)
					}
					p.answer(h, pdu.ESME_ROK)
				}
				r.wait("an empty outbox", func() bool { return r.outbox() == 0 })
				if n := r.metric("masar_deliveries_total", "verdict="+row.verdict); n != 1 {
					t.Errorf("masar_deliveries_total{verdict=%q} is %v", row.verdict, n)
				}
			})
		})
	}
}

func TestRetriesDoubleUpToFiveMinutes(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{})
		p := r.receiver()
		r.give("acme", note1(1, queue.FinalReceipt, "one"))
		h, _ := p.next()
		for i, want := range []time.Duration{1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300} {
			p.answer(h, pdu.ESME_RX_T_APPN)
			began := time.Now()
			h, _ = p.expectWithin(pdu.CmdDeliverSM, 10*time.Minute)
			if d := time.Since(began); d < want*time.Second || d > want*time.Second+time.Second {
				t.Errorf("try %d after %v, want %d s", i+2, d, want)
			}
		}
		p.answer(h, pdu.ESME_ROK)
		r.wait("an empty outbox", func() bool { return r.outbox() == 0 })
	})
}

func TestADeliveryWithoutAnAnswerGoesToAnotherBind(t *testing.T) { // row 46
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{})
		binds := []*peer{r.receiver(), r.receiver()}
		r.give("acme", note1(1, queue.FinalReceipt, "one"))
		first := 0
		if _, _, err := binds[0].read(time.Second); err != nil {
			first = 1
			binds[1].next()
		}
		began := time.Now()
		h, _ := binds[1-first].expectWithin(pdu.CmdDeliverSM, 12*time.Second)
		if d := time.Since(began); d < 8*time.Second {
			t.Errorf("after %v, the response time is 10 s", d)
		}
		binds[1-first].answer(h, pdu.ESME_ROK)
		r.wait("an empty outbox", func() bool { return r.outbox() == 0 })
		binds[first].quiet(time.Minute)
	})
}

func TestALateAcknowledgementCounts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{Setup: func(s *Setup) { s.Accounts[0].DeliverWindow = 1 }})
		p := r.receiver()
		r.give("acme", note1(1, queue.FinalReceipt, "one"))
		h, _ := p.next()
		h2, _ := p.expectWithin(pdu.CmdDeliverSM, 12*time.Second) // the timeout; again at once
		p.answer(h2, pdu.ESME_RX_T_APPN)                          // now it waits for a second
		p.answer(h, pdu.ESME_ROK)                                 // the first one's answer, late
		r.wait("an empty outbox", func() bool { return r.outbox() == 0 })
		p.quiet(time.Minute)
	})
}

func TestTheWindowOfAClientIsRespected(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{Setup: func(s *Setup) { s.Accounts[0].DeliverWindow = 3 }})
		p := r.receiver()
		for i := range 10 {
			r.give("acme", note1(queue.ID(i+1), queue.FinalReceipt, fmt.Sprint(i)))
		}
		var open []pdu.Header
		for range 3 {
			h, _ := p.next()
			open = append(open, h)
		}
		p.quiet(5 * time.Second)
		p.answer(open[1], pdu.ESME_ROK)
		if _, got := p.next(); got != "3" {
			t.Errorf("came %s", got)
		}
		p.quiet(time.Second)
	})
}

func TestDeliveriesOfOneMessageKeepTheirOrderAndHoldUpNobodyElse(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{})
		p := r.receiver()
		r.give("acme",
			note1(1, queue.IntermediateReceipt, "one, on its way"),
			note1(1, queue.FinalReceipt, "one, final"),
			note1(2, queue.FinalReceipt, "two, final"),
		)
		h1, first := p.next()
		h2, second := p.next()
		if first != "one, on its way" || second != "two, final" {
			t.Fatalf("came %q, %q", first, second)
		}
		p.answer(h2, pdu.ESME_ROK)
		p.quiet(2 * time.Second)
		p.answer(h1, pdu.ESME_RMSGQFUL)
		h1, first = p.next()
		if first != "one, on its way" {
			t.Fatalf("came %q", first)
		}
		p.answer(h1, pdu.ESME_ROK)
		h1, first = p.next()
		if first != "one, final" {
			t.Fatalf("came %q", first)
		}
		p.answer(h1, pdu.ESME_ROK)
		r.wait("an empty outbox", func() bool { return r.outbox() == 0 })
	})
}

func TestTheOutboxTTLEndsADelivery(t *testing.T) {
	for _, bound := range []bool{false, true} {
		t.Run(fmt.Sprintf("bound %v", bound), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, rigOptions{})
				d := note1(1, queue.FinalReceipt, "one")
				d.Expires = queue.At(time.Now().Add(time.Minute))
				if bound {
					p := r.receiver()
					r.give("acme", d)
					for h, _, err := p.read(2 * time.Minute); err == nil; h, _, err = p.read(2 * time.Minute) {
						p.answer(h, pdu.ESME_RX_T_APPN)
					}
				} else {
					r.give("acme", d)
					time.Sleep(2 * time.Minute)
				}
				r.wait("an empty outbox", func() bool { return r.outbox() == 0 })
				if !bound {
					r.receiver().quiet(time.Minute)
				} else if n := r.metric("masar_deliveries_total", "verdict=undelivered"); n != 1 {
					t.Errorf("%v undelivered", n)
				}
			})
		})
	}
}

func TestTheAccountsOwnOutboxTTL(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{Setup: func(s *Setup) { s.Accounts[0].OutboxTTL = 5 * time.Minute }})
		r.carrierUp("a")
		p := r.transmitter()
		p.submit(asked)
		r.wait("a receipt", func() bool { return r.outbox() == 1 })
		time.Sleep(4 * time.Minute)
		if r.outbox() != 1 {
			t.Error("gone before its time")
		}
		time.Sleep(2 * time.Minute)
		if r.outbox() != 0 {
			t.Error("it stays beyond its time")
		}
	})
}

func TestAClientThatRefusesForeverIsBounded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{})
		p := r.receiver()
		const n = retriesMost + 500
		for i := range n / 100 {
			var ds []*queue.Delivery
			for k := range 100 {
				ds = append(ds, note1(queue.ID(i*100+k+1), queue.FinalReceipt, fmt.Sprint(i*100+k)))
			}
			r.give("acme", ds...)
		}
		first := map[string]bool{}
		began := time.Now()
		for time.Since(began) < 2*time.Minute {
			h, octets, err := p.read(time.Minute)
			if err != nil {
				break
			}
			var sm pdu.DeliverSM
			if err := sm.Decode(octets); err != nil {
				t.Fatal(err)
			}
			first[string(sm.ShortMessage)] = true
			p.answer(h, pdu.ESME_RMSGQFUL)
		}
		// Beside those that wait: one batch taken, a window on the wire, a window of answers.
		if most := retriesMost + 64 + 2*100; len(first) < retriesMost || len(first) > most {
			t.Errorf("%d different were tried, the bound is %d", len(first), retriesMost)
		}
		if r.outbox() != n {
			t.Errorf("%d of %d left", r.outbox(), n)
		}
		// When the client takes them again everything comes, each once.
		second := map[string]int{}
		for len(second) < n {
			h, octets, err := p.read(10 * time.Minute)
			if err != nil {
				t.Fatalf("%d of %d came: %v", len(second), n, err)
			}
			var sm pdu.DeliverSM
			if err := sm.Decode(octets); err != nil {
				t.Fatal(err)
			}
			second[string(sm.ShortMessage)]++
			p.answer(h, pdu.ESME_ROK)
		}
		r.wait("an empty outbox", func() bool { return r.outbox() == 0 })
	})
}

func TestTheResponseGoesBeforeTheReceipt(t *testing.T) {
	// Receipts leave the carrier before its responses; the client has a bind each for
	// submits and receipts and reads from the first one only after a while.
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{SMSC: map[string]smpptest.SMSCOptions{"a:1": {ReceiptFirst: 1}}})
		r.carrierUp("a")
		tx, rx := r.transmitter(), r.receiver()
		for range 50 {
			tx.send(pdu.CmdSubmitSM, sms(asked))
		}
		seen := map[string]bool{}
		for range 50 {
			_, body := tx.expect(pdu.CmdSubmitSM.Resp())
			seen[string(body.(*pdu.MessageResp).MessageID)] = true
		}
		for range 50 {
			if got := rx.receipt(); !seen[got["id"]] {
				t.Errorf("receipt %v before its response", got)
			}
		}
	})
}

func TestAReceiptWaitsForAResponseThatIsNotWritten(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{})
		tx, rx := r.transmitter(), r.receiver()
		id := tx.submit(nil)
		a := r.gw.world.Load().accounts["acme"]
		var from *client
		for _, c := range a.sessions {
			if c.session.State() == smpp.BoundTX {
				from = c
			}
		}
		s := &submission{client: from}
		s.mark.Store(from.session.Written() + 1) // one octet of its answer is still to be written
		d := note1(1, queue.FinalReceipt, "one")
		d.Origin = s
		r.give("acme", d, note1(2, queue.FinalReceipt, "two"))
		h, got := rx.next()
		if got != "two" {
			t.Fatalf("came %s", got)
		}
		rx.answer(h, pdu.ESME_ROK)
		rx.quiet(time.Second)
		tx.submit(nil) // now it is
		if h, got = rx.next(); got != "one" {
			t.Fatalf("came %s", got)
		}
		rx.answer(h, pdu.ESME_ROK)
		_ = id
	})
}

func TestAClientOfVersion33GetsReceiptsWithoutTLVs(t *testing.T) {
	for version, want := range map[uint8]bool{0x33: false, 0: false, 0x34: true, 0x50: true} {
		bubble(t, func(t *testing.T) {
			r := newRig(t, rigOptions{})
			r.carrierUp("a")
			p := r.connect("")
			p.send(pdu.CmdBindTransceiver, &pdu.Bind{SystemID: []byte("acme"), Password: []byte("secret"), InterfaceVersion: version})
			p.expect(pdu.CmdBindTransceiver.Resp())
			p.submit(asked)
			if d := p.deliver(); len(d.TLVs) > 0 != want || !strings.HasPrefix(string(d.ShortMessage), "id:") {
				t.Errorf("interface_version %#x: TLVs %x", version, d.TLVs)
			}
		})
	}
}

func TestAnAccountThatComesBackFindsItsOutbox(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{Setup: withOther})
		p := r.receiver()
		r.give("acme", note1(1, queue.FinalReceipt, "one"), note1(2, queue.FinalReceipt, "two"))
		h, _ := p.next()
		p.next()
		p.answer(h, pdu.ESME_RMSGQFUL)
		without := rigSetup()
		withOther(&without)
		without.Accounts = without.Accounts[1:]
		if err := r.gw.Reload(context.Background(), without); err != nil {
			t.Fatal(err)
		}
		for {
			h, _, err := p.read(5 * time.Second)
			if err != nil {
				break
			}
			if h.Command == pdu.CmdUnbind {
				p.answer(h, pdu.ESME_ROK)
			}
		}
		if st := r.connect(""); st != nil {
			st.play("> bind_receiver seq=1 system_id=acme password=secret\n< bind_receiver_resp seq=1 status=ESME_RINVPASWD within=2s")
		}
		time.Sleep(time.Minute)
		with := rigSetup()
		withOther(&with)
		if err := r.gw.Reload(context.Background(), with); err != nil {
			t.Fatal(err)
		}
		p = r.receiver()
		got := map[string]bool{}
		for range 2 {
			h, text := p.next()
			got[text] = true
			p.answer(h, pdu.ESME_ROK)
		}
		if !got["one"] || !got["two"] {
			t.Errorf("came %v", got)
		}
		p.quiet(time.Minute)
	})
}

func TestRegisteredDeliveryDecidesWhichReceiptsCome(t *testing.T) {
	for _, row := range []struct {
		registered uint8
		state      pdu.State
		want       string
	}{
		{pdu.RegisteredFinal, pdu.StateDelivered, "DELIVRD"},
		{pdu.RegisteredFinal, pdu.StateUndeliverable, "UNDELIV"},
		{pdu.RegisteredFailure, pdu.StateDelivered, ""},
		{pdu.RegisteredFailure, pdu.StateUndeliverable, "UNDELIV"},
		{pdu.RegisteredSuccess, pdu.StateDelivered, "DELIVRD"},
		{pdu.RegisteredSuccess, pdu.StateUndeliverable, ""},
		{0, pdu.StateDelivered, ""},
	} {
		t.Run(fmt.Sprintf("%d %v", row.registered, row.state), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, rigOptions{SMSC: map[string]smpptest.SMSCOptions{"a:1": {ReceiptStates: smpptest.StateMix{{State: row.state, Weight: 1}}}}})
				r.carrierUp("a")
				p := r.transceiver()
				id := p.submit(func(p *pdu.SubmitSM) { p.RegisteredDelivery = row.registered })
				if row.want == "" {
					p.quiet(time.Minute)
				} else if got := p.receipt(); got["stat"] != row.want || got["id"] != id {
					t.Errorf("receipt %v", got)
				}
				if row.registered != 0 {
					if _, resp := p.query(id); resp.MessageState != row.state {
						t.Errorf("state %v", resp.MessageState)
					}
				}
			})
		})
	}
}
