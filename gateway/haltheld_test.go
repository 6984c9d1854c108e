package gateway

import (
	"testing"
	"time"

	"masar/smpp/pdu"
)

// TestAHaltedMessageExpiresAsAnyOther: its validity does not stand still.
func TestAHaltedMessageExpiresAsAnyOther(t *testing.T) {
	for _, s := range []Scope{{Service: "OTPEN"}, {Account: "acme"}} {
		t.Run(s.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r, got := haltRig(t, rigOptions{})
				p := r.transceiver()
				h := r.halt(s)
				id := p.submit(both(of("OTPEN"), saying("4711")))
				h2, body := p.expectWithin(pdu.CmdDeliverSM, 11*time.Minute)
				p.answer(h2, pdu.ESME_ROK)
				if f := fields(body.(*pdu.DeliverSM)); f["id"] != id || f["stat"] != "EXPIRED" {
					t.Errorf("receipt %v", f)
				}
				r.resume(h.ID)
				time.Sleep(time.Minute)
				if n := len(got.list()); n != 0 {
					t.Errorf("%d have left", n)
				}
			})
		})
	}
}

// TestWhatIsHeldIsAskedAgainWhenItLeaves: consent that ended under the halt ends the message.
func TestWhatIsHeldIsAskedAgainWhenItLeaves(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, got := haltRig(t, rigOptions{})
		reg := r.gw.opt.Registry.(*subscribers)
		p := r.transceiver()
		h := r.halt(Scope{Service: "IDREN"})
		id := p.submit(of("IDREN"))
		r.wait("set aside", func() bool { return r.asideHalted() == 1 })
		reg.withdraw(ali)
		r.resume(h.ID)
		if f := p.receipt(); f["id"] != id || f["stat"] != "REJECTD" {
			t.Errorf("receipt %v", f)
		}
		if n := len(got.list()); n != 0 {
			t.Errorf("%d have left", n)
		}
	})
}

// TestAClientMayCancelAndReplaceWhatIsHalted: cancel_sm ends it, replace_sm changes it, and
// neither lets it go.
func TestAClientMayCancelAndReplaceWhatIsHalted(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, got := haltRig(t, rigOptions{})
		p := r.transceiver()
		h := r.halt(Scope{Service: "IDREN"})
		gone, changed := p.submit(of("IDREN")), p.submit(of("IDREN"))
		r.wait("set aside", func() bool { return r.asideHalted() == 2 })
		p.send(pdu.CmdCancelSM, &pdu.CancelSM{MessageID: []byte(gone), Source: pdu.Address{Addr: []byte("AHWAL")}, Dest: pdu.Address{Addr: []byte("966501234567")}})
		for range 2 { // the answer and the receipt, in either order
			hd, _, err := p.read(10 * time.Second)
			if err != nil || hd.Status != pdu.ESME_ROK {
				t.Fatalf("cancel_sm: %v %v", hd, err)
			}
			if hd.Command == pdu.CmdDeliverSM {
				p.answer(hd, pdu.ESME_ROK)
			}
		}
		p.send(pdu.CmdReplaceSM, &pdu.ReplaceSM{MessageID: []byte(changed), Source: pdu.Address{Addr: []byte("AHWAL")}, ShortMessage: []byte("better")})
		if hd, _ := p.expect(pdu.CmdReplaceSM.Resp()); hd.Status != pdu.ESME_ROK {
			t.Fatalf("replace_sm: %v", hd.Status)
		}
		time.Sleep(time.Minute)
		if n := len(got.list()); n != 0 {
			t.Errorf("%d have left", n)
		}
		r.resume(h.ID)
		r.wait("the changed one", func() bool { return len(got.list()) == 1 })
		if texts := got.texts(); texts[0] != "better" {
			t.Errorf("%v left", texts)
		}
	})
}
