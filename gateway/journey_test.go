package gateway

import (
	"testing"

	"masar/smpp/pdu"
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
