package gateway

import (
	"sync"
	"testing"

	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

func TestAMessageGoesOutAndItsReceiptComesBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{})
		r.carrierUp("a")
		p := r.transceiver()
		id := p.submit(func(p *pdu.SubmitSM) { p.RegisteredDelivery = pdu.RegisteredFinal })
		got := p.receipt()
		if got["id"] != id || got["stat"] != "DELIVRD" || got["dlvrd"] != "001" {
			t.Errorf("receipt %v of %s", got, id)
		}
		if n := r.metric("masar_submits_total", "account=acme", "result=ok"); n != 1 {
			t.Errorf("masar_submits_total is %v", n)
		}
	})
}

func TestModesOfEsmClassAreStoreAndForwardAtTheCarrier(t *testing.T) { // row 31
	bubble(t, func(t *testing.T) {
		var mu sync.Mutex
		var seen []uint8
		r := newRig(t, rigOptions{SMSC: map[string]smpptest.SMSCOptions{"a:1": {OnSubmit: func(s *smpptest.Submit) {
			mu.Lock()
			defer mu.Unlock()
			seen = append(seen, s.Body.(*pdu.SubmitSM).ESMClass)
		}}}})
		r.carrierUp("a")
		p := r.transceiver()
		for mode := range uint8(4) {
			p.submit(func(p *pdu.SubmitSM) { p.ESMClass, p.RegisteredDelivery = mode|0x80, 1 })
			p.receipt()
		}
		mu.Lock()
		defer mu.Unlock()
		for mode, class := range seen {
			if class != 0x80 {
				t.Errorf("mode %d: esm_class %#x at the carrier; the mode is ours, the reply path the client's", mode, class)
			}
		}
		if len(seen) != 4 {
			t.Errorf("%d submits", len(seen))
		}
	})
}

func TestUnknownTLVsArePassedOn(t *testing.T) { // row 25
	bubble(t, func(t *testing.T) {
		seen := make(chan []byte, 1)
		r := newRig(t, rigOptions{SMSC: map[string]smpptest.SMSCOptions{"a:1": {OnSubmit: func(s *smpptest.Submit) {
			v, _ := s.Body.(*pdu.SubmitSM).TLVs.Get(0x1401)
			seen <- append([]byte(nil), v...)
		}}}})
		r.carrierUp("a")
		r.transceiver().submit(func(p *pdu.SubmitSM) { p.TLVs = p.TLVs.Append(0x1401, []byte("vendor")) })
		if got := string(<-seen); got != "vendor" {
			t.Errorf("vendor TLV %q", got)
		}
	})
}
