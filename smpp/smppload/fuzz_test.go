package smppload

import (
	"testing"

	"masar/smpp/pdu"
)

// FuzzBindReadsAnything gives a bind whatever octets a server may write: no panic, and
// books that still add up.
func FuzzBindReadsAnything(f *testing.F) {
	receipt := &pdu.DeliverSM{ESMClass: pdu.ESMClassReceipt, Source: pdu.Address{Addr: []byte("966500000000")}, ShortMessage: []byte("id:7 stat:DELIVRD err:000 text:")}
	f.Add(pdu.Append(nil, pdu.CmdSubmitSMResp, 0, 1<<16, &pdu.MessageResp{MessageID: []byte("7")}))
	f.Add(pdu.Append(pdu.Append(nil, pdu.CmdDeliverSM, 0, 1, receipt), pdu.CmdSubmitSMResp, 0, 1<<16, &pdu.MessageResp{MessageID: []byte("7")}))
	f.Add(pdu.Append(nil, pdu.CmdGenericNack, pdu.ESME_RINVCMDID, 1<<16, nil))
	f.Add(pdu.Append(nil, pdu.CmdUnbind, 0, 1, nil))
	f.Add([]byte{0, 0, 0, 15, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 1})
	o, err := Options{Addr: "x", Count: 100, Window: 4, Receipts: true}.withDefaults()
	if err != nil {
		f.Fatal(err)
	}
	f.Fuzz(func(t *testing.T, octets []byte) {
		if len(octets) > readBuffer {
			return
		}
		r := &run{opt: o, numbering: newNumbering(o.Prefix), ledger: newLedger(0, 100, false), limit: 100}
		tmpl, err := newTemplate(o, "x")
		if err != nil {
			t.Fatal(err)
		}
		r.templates = []template{tmpl}
		b := newBind(r, 0, true)
		b.fill(1)
		b.have = copy(b.buf, octets)
		_ = b.frames(2)
		b.publish()
		if open, free := b.open.Load(), len(b.free); int(open)+free != o.Window || r.sent.Load() != uint64(o.Window) ||
			r.accepted.Load()+r.refused.Load()+uint64(open) != r.sent.Load() {
			t.Errorf("open %d, free %d, sent %d, accepted %d, refused %d", open, free, r.sent.Load(), r.accepted.Load(), r.refused.Load())
		}
	})
}
