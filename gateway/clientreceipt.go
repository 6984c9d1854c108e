package gateway

import (
	"fmt"
	"strconv"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
	"masar/smpp/receipt"
	"masar/smpp/text"
)

// shown is the message_id its client sees, in the form of the account.
func (o *Account) shown(m *queue.Message) string {
	switch {
	case m.Shown != "":
		return m.Shown
	case o.MessageID == DecimalID:
		return m.ID.Decimal()
	}
	return m.ID.String()
}

// readID is the reverse: the message a client means.
func (o *Account) readID(shown []byte) (queue.ID, bool) {
	base := 16
	if o.MessageID != HexID {
		base = 10
	}
	n, err := strconv.ParseUint(string(shown), base, 63)
	return queue.ID(n), err == nil && n != 0
}

// receiptID is the id in the client's receipts: the one of its submit_sm_resp, as the
// account wants it written here.
func (o *Account) receiptID(m *queue.Message) string {
	shown := o.shown(m)
	if o.Receipts.IDForm == SameID {
		return shown
	}
	id, ok := o.readID([]byte(shown))
	if !ok {
		return shown
	}
	switch o.Receipts.IDForm {
	case ReceiptHex:
		return id.String()
	case ReceiptPadded:
		return fmt.Sprintf("%010d", uint64(id))
	}
	return id.Decimal()
}

// clientReceipt is the receipt of a message's end; nil when its client did not ask for it.
// The end of a job's message goes to the jobs.
func (g *Gateway) clientReceipt(m *queue.Message, st pdu.State, err string, at time.Time) *queue.Delivery {
	if ofJob(m) {
		return g.jobEnd(m, st, err, at)
	}
	if !wantsFinal(m.RegisteredDelivery, st) {
		return nil
	}
	return g.writeReceipt(m, st, err, at, queue.FinalReceipt)
}

// intermediateReceipt is an intermediate notification.
func (g *Gateway) intermediateReceipt(m *queue.Message, st pdu.State, err string, at time.Time) *queue.Delivery {
	return g.writeReceipt(m, st, err, at, queue.IntermediateReceipt)
}

// writeReceipt writes the deliver_sm of a receipt: addresses swapped and as the client
// wrote them, its message counted as one however many parts it had.
func (g *Gateway) writeReceipt(m *queue.Message, st pdu.State, errCode string, at time.Time, kind queue.Kind) *queue.Delivery {
	a := g.world.Load().byNumber[m.Account]
	if a == nil {
		// The account left the configuration: its outbox keeps the receipt until its
		// time ends, should the system_id come back.
		a = g.gone
	}
	o := a.opt.Load()
	out := receipt.Out{
		ID: o.receiptID(m), State: st, Err: threeDigits(errCode), Sub: 1,
		Submit: m.Accepted.Time(), Done: at,
		Text:  string(m.Text),
		Style: receipt.Style{DateDigits: o.Receipts.DateDigits, Zone: o.Zone},
	}
	if st == pdu.StateDelivered {
		out.Dlvrd = 1
	}
	d := &queue.Delivery{
		Account: m.Account, Kind: kind, Message: m.ID, Created: queue.At(at), Expires: queue.At(at.Add(o.OutboxTTL)),
		ServiceType: m.ServiceType, Source: m.Dest, Dest: m.Source, ESMClass: pdu.ESMClassReceipt, Origin: m.Origin,
	}
	if m.DestWritten.Addr != "" {
		d.Source = m.DestWritten
	}
	if kind == queue.IntermediateReceipt {
		d.ESMClass = pdu.ESMClassIntermediate
	}
	buf := make([]byte, 0, 224)
	d.ShortMessage, d.DataCoding = receipt.AppendMessage(buf, &out)
	if !o.Receipts.NoTLVs {
		n := len(d.ShortMessage)
		tlvs := receipt.AppendTLVs(pdu.TLVs(d.ShortMessage[n:]), &out)
		if ref, ok := pdu.TLVs(m.TLVs).Get(pdu.TagUserMessageReference); ok {
			tlvs = tlvs.Append(pdu.TagUserMessageReference, ref)
		}
		d.TLVs = tlvs
		d.ShortMessage = d.ShortMessage[:n:n]
	}
	return d
}

// threeDigits is an error code as a receipt's err field has it: a carrier's own as it
// wrote it, anything longer than that not at all.
func threeDigits(code string) string {
	if len(code) > 3 {
		return ""
	}
	return code
}

// excerpt is what the client's receipt repeats of the text: up to 20 characters, where
// they are the same octets in every alphabet. Arabic is left out: a client that reads
// receipts by columns would not find its fields in UCS-2.
func excerpt(m *queue.Message, codings text.Codings) []byte {
	if concatenated(m.ESMClass, m.TLVs) {
		return nil
	}
	if e, known := codings.Encoding(m.DataCoding); !known || e == text.UCS2 || e == text.Binary {
		return nil
	}
	b := m.Body[:min(len(m.Body), 20)]
	for _, c := range b {
		if c < ' ' || c >= 0x7B || c == '$' || c == '@' || c == '`' || c >= '[' && c <= '_' {
			return nil
		}
	}
	return b
}

// wantsEachPart tells whether a message's account gets one receipt for each part of it
// instead of one for the whole.
func (g *Gateway) wantsEachPart(m *queue.Message) bool {
	a := g.world.Load().byNumber[m.Account]
	return !ofJob(m) && a != nil && a.opt.Load().Receipts.PerPart
}
