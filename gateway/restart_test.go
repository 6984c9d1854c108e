package gateway

import (
	"strings"
	"testing"
	"time"

	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

// Two of three parts are answered before a restart; their receipts come after it, while
// the third is on the wire. The message ends once, when all three have said so.
func TestReceiptsOfPartsFromBeforeARestartCountWithThoseFromAfter(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{SMSC: map[string]smpptest.SMSCOptions{"a:1": {
			Latency: 5 * time.Second, ReceiptDelay: 3 * time.Second,
			Pace: 0.001, Burst: 2, // the third part is throttled until the pace is lifted
		}}})
		r.carrierUp("a")
		p := r.transceiver()
		id := p.submit(func(p *pdu.SubmitSM) {
			p.RegisteredDelivery = pdu.RegisteredFinal
			p.ShortMessage = nil
			p.TLVs = p.TLVs.Append(pdu.TagMessagePayload, []byte(strings.Repeat("three parts ", 35)))
		})
		r.wait("two answers", func() bool {
			return r.metric("masar_carrier_answers_total", "class=ok") == 2
		})
		p.conn.Close() // or the stop would wait for its unbind_resp, and the receipts would come before
		r.restart()
		r.smscs["a:1"].SetPace(0)
		p = r.transceiver()
		r.wait("two receipts, one part on the wire", func() bool {
			return r.metric("masar_receipts_total", "state=DELIVRD") == 2 && r.metric("masar_carrier_submits_total") == 1
		})
		h, body := p.expectWithin(pdu.CmdDeliverSM, time.Minute)
		p.answer(h, pdu.ESME_ROK)
		if got := fields(body.(*pdu.DeliverSM)); got["id"] != id || got["stat"] != "DELIVRD" {
			t.Errorf("receipt %v of %s", got, id)
		}
		p.quiet(time.Minute)
		if s := r.smscs["a:1"].Stats(); s.Accepted != 3 || s.Unacked != 0 {
			t.Errorf("the carrier took %d parts and has %d receipts unacknowledged", s.Accepted, s.Unacked)
		}
	})
}
