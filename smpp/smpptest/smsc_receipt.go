package smpptest

import (
	"encoding/binary"
	"maps"
	"slices"
	"strconv"
	"sync"
	"time"

	"masar/smpp/pdu"
)

// smscAccount is what the sessions of one system_id share: who may receive, and what
// waits to be received.
type smscAccount struct {
	smsc     *SMSC
	systemID string

	mu        sync.Mutex
	sessions  []*smscSession
	receivers []*smscSession
	turn      int // which receiver is next
	waiting   smscQueue
	touched   []*smscSession // to be flushed after mu is released
}

// smscDelivery is one deliver_sm or data_sm on its way: encoded once, when it is made,
// but for its sequence_number. It lives until acknowledged, over any number of sessions.
type smscDelivery struct {
	account *smscAccount
	origin  *smscSession // that of the submit; nil for a mobile-originated message
	pdu     []byte
	twice   bool // to be sent again once acknowledged
	receipt bool
	done    func(pdu.Status) // nil for a receipt
}

var smscDeliveries = sync.Pool{New: func() any { return new(smscDelivery) }}

func (d *smscDelivery) free() {
	*d = smscDelivery{pdu: d.pdu[:0]}
	smscDeliveries.Put(d)
}

// smscQueue is a first-in first-out queue that can also be given back to its front.
type smscQueue struct {
	items []*smscDelivery
	head  int
}

func (q *smscQueue) len() int                { return len(q.items) - q.head }
func (q *smscQueue) push(d ...*smscDelivery) { q.items = append(q.items, d...) }

func (q *smscQueue) pop() *smscDelivery {
	d := q.items[q.head]
	q.items[q.head] = nil
	q.head++
	if q.head == len(q.items) {
		q.items, q.head = q.items[:0], 0
	} else if q.head >= 4096 && q.head*2 >= len(q.items) {
		n := copy(q.items, q.items[q.head:])
		clear(q.items[n:])
		q.items, q.head = q.items[:n], 0
	}
	return d
}

// giveBack puts d in front, in its order.
func (q *smscQueue) giveBack(d []*smscDelivery) {
	q.items = append(append(make([]*smscDelivery, 0, len(d)+q.len()), d...), q.items[q.head:]...)
	q.head = 0
}

// join makes s a receiver, if it is one, and sends it what waited for it.
func (a *smscAccount) join(s *smscSession) {
	if !s.canReceive {
		return
	}
	a.mu.Lock()
	a.receivers = append(a.receivers, s)
	a.mu.Unlock()
	a.deliver(s, nil)
}

// leave takes s out; what it had unacknowledged goes to the front of the queue, in the
// order it was sent.
func (a *smscAccount) leave(s *smscSession) {
	a.mu.Lock()
	a.sessions = without(a.sessions, s)
	a.receivers = without(a.receivers, s)
	s.mu.Lock()
	back := make([]*smscDelivery, 0, len(s.unacked))
	for _, seq := range slices.Sorted(maps.Keys(s.unacked)) {
		back = append(back, s.unacked[seq])
	}
	clear(s.unacked)
	s.mu.Unlock()
	if len(back) > 0 {
		a.smsc.stats.resent.Add(uint64(len(back)))
		a.waiting.giveBack(back)
	}
	a.mu.Unlock()
	a.deliver(nil, nil)
}

func without(all []*smscSession, s *smscSession) []*smscSession {
	for i := range all {
		if all[i] == s {
			return append(all[:i:i], all[i+1:]...)
		}
	}
	return all
}

// deliver queues more and sends what the windows have room for. The caller flushes own;
// the other sessions that got something are flushed here.
func (a *smscAccount) deliver(own *smscSession, more []*smscDelivery) {
	a.mu.Lock()
	a.waiting.push(more...)
	sent := 0
	for a.waiting.len() > 0 {
		d := a.waiting.items[a.waiting.head]
		s := a.receiver(d)
		if s == nil {
			break
		}
		a.waiting.pop()
		s.send(d)
		sent++
		if s != own && (len(a.touched) == 0 || a.touched[len(a.touched)-1] != s) {
			a.touched = append(a.touched, s)
		}
	}
	var others [8]*smscSession
	flush := append(others[:0], a.touched...)
	clear(a.touched)
	a.touched = a.touched[:0]
	a.mu.Unlock()
	if sent > 0 {
		a.smsc.stats.sent.Add(uint64(sent))
	}
	for _, s := range flush {
		s.flush()
	}
}

// receiver picks the session that d goes to: the submit's own or, by option, another;
// else whichever has room. nil where none has.
//
// REQUIRES: a.mu is held.
func (a *smscAccount) receiver(d *smscDelivery) *smscSession {
	window := a.smsc.opt.ReceiptWindow
	elsewhere := a.smsc.opt.ReceiptElsewhere && len(a.receivers) > 1
	if o := d.origin; o != nil && o.canReceive && !elsewhere && o.account == a && o.room(window) && a.isReceiver(o) {
		return o
	}
	for range a.receivers {
		a.turn++
		s := a.receivers[a.turn%len(a.receivers)]
		if elsewhere && s == d.origin {
			continue
		}
		if s.room(window) {
			return s
		}
	}
	return nil
}

func (a *smscAccount) isReceiver(s *smscSession) bool {
	for _, r := range a.receivers {
		if r == s {
			return true
		}
	}
	return false
}

func (s *smscSession) room(window int) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.err == nil && len(s.unacked) < window
}

// send gives d a sequence_number and appends it to what the next flush writes.
func (s *smscSession) send(d *smscDelivery) {
	s.mu.Lock()
	seq := s.nextSequence()
	s.unacked[seq] = d
	start := len(s.out)
	s.out = append(s.out, d.pdu...)
	binary.BigEndian.PutUint32(s.out[start+12:], seq)
	s.mu.Unlock()
}

// acknowledged takes the answer to a deliver_sm or data_sm of ours.
func (s *smscSession) acknowledged(h pdu.Header) {
	s.mu.Lock()
	d := s.unacked[h.Sequence]
	delete(s.unacked, h.Sequence)
	s.mu.Unlock()
	if d == nil {
		s.smsc.stats.viol.Add(1)
		return
	}
	switch h.Status {
	case pdu.ESME_ROK:
		if d.twice {
			d.twice = false
			s.smsc.stats.receipts.Add(1)
			s.due = append(s.due, d)
			s.batch.acked++
			return
		}
		s.batch.acked++
	case pdu.ESME_RMSGQFUL, pdu.ESME_RX_T_APPN, pdu.ESME_RTHROTTLED, pdu.ESME_RSYSERR:
		s.smsc.stats.retried.Add(1)
		s.later = append(s.later, smscEvent{
			at: s.now + int64(s.smsc.opt.ReceiptRetry), kind: receiptEvent, delivery: d,
		})
		return
	default:
		s.smsc.stats.rejected.Add(1)
	}
	if d.done != nil {
		d.done(h.Status)
	}
	d.free()
}

// receiptOf makes the receipt a message asks for, or nil. It says what was decided now,
// with the time at which it will be. told is what Outcome says of it, or nil.
func (s *smscSession) receiptOf(p pdu.Body, id uint64, latency time.Duration, told *Outcome) *smscDelivery {
	o := &s.smsc.opt
	var source, dest pdu.Address
	var service []byte
	var wants, coding uint8
	var content []byte
	switch p := p.(type) {
	case *pdu.SubmitSM:
		source, dest, service, wants, coding, content = p.Source, p.Dest, p.ServiceType, p.RegisteredDelivery, p.DataCoding, p.ShortMessage
	case *pdu.DataSM:
		source, dest, service, wants = p.Source, p.Dest, p.ServiceType, p.RegisteredDelivery
	default:
		return nil // submit_multi: one id for many, and no rule for how receipts name it
	}
	// Bits 1 and 0 of registered_delivery: 1 both outcomes, 2 failure, 3 success
	// (SMPP v3.4 5.2.17 and v5.0 4.7.21).
	if wants&3 == 0 {
		return nil
	}
	if told != nil && told.NoReceipt || told == nil && o.NoReceipt > 0 && s.rng.Float64() < o.NoReceipt {
		return nil
	}
	w, delay := StateWeight{}, o.ReceiptDelay
	if told != nil {
		w, delay = StateWeight{State: or(told.State, pdu.StateDelivered), Err: told.Err}, told.Delay
	} else {
		w = o.ReceiptStates.pick(s.rng)
	}
	if delivered := w.State == pdu.StateDelivered; wants&3 == 2 && delivered || wants&3 == 3 && !delivered {
		return nil
	}

	done := s.now + int64(latency+delay)
	s.idBuf = o.IDReceipt.Append(s.idBuf[:0], id)
	s.textBuf = s.textBuf[:0]
	if o.ReceiptTLVs != TLVsOnly {
		if coding != 0 && coding != 1 {
			content = nil // appendix B has room for characters, not for UCS-2
		}
		s.textBuf = s.appendReceiptText(s.textBuf, w, done, content)
	}
	s.tlvBuf = s.tlvBuf[:0]
	if o.ReceiptTLVs != TextOnly {
		s.tlvBuf = s.tlvBuf.AppendCString(pdu.TagReceiptedMessageID, s.idBuf)
		s.tlvBuf = s.tlvBuf.AppendUint8(pdu.TagMessageState, uint8(w.State))
	}

	d := smscDeliveries.Get().(*smscDelivery)
	d.account, d.origin, d.receipt = s.account, s, true
	d.twice = o.ReceiptTwice > 0 && s.rng.Float64() < o.ReceiptTwice
	if o.ReceiptByData {
		s.tlvBuf = s.tlvBuf.Append(pdu.TagMessagePayload, s.textBuf)
		s.outData = pdu.DataSM{
			ServiceType: service, Source: dest, Dest: source, ESMClass: pdu.ESMClassReceipt, TLVs: s.tlvBuf,
		}
		d.pdu = pdu.Append(d.pdu[:0], pdu.CmdDataSM, pdu.ESME_ROK, 0, &s.outData)
		return d
	}
	s.outSM = pdu.SubmitSM{
		ServiceType: service, Source: dest, Dest: source, ESMClass: pdu.ESMClassReceipt,
		ShortMessage: s.textBuf, TLVs: s.tlvBuf,
	}
	d.pdu = pdu.Append(d.pdu[:0], pdu.CmdDeliverSM, pdu.ESME_ROK, 0, &s.outSM)
	return d
}

// appendReceiptText writes the text of SMPP v3.4 appendix B. Not by smpp/receipt: what
// reads receipts must not be tested by its own writer alone.
func (s *smscSession) appendReceiptText(dst []byte, w StateWeight, done int64, content []byte) []byte {
	dst = append(dst, "id:"...)
	dst = append(dst, s.idBuf...)
	if w.State == pdu.StateDelivered {
		dst = append(dst, " sub:001 dlvrd:001 submit date:"...)
	} else {
		dst = append(dst, " sub:001 dlvrd:000 submit date:"...)
	}
	dst = s.dates[0].append(dst, s.now, s.smsc.opt.Zone)
	dst = append(dst, " done date:"...)
	dst = s.dates[1].append(dst, done, s.smsc.opt.Zone)
	dst = append(dst, " stat:"...)
	dst = append(dst, w.State.Receipt()...)
	dst = append(dst, " err:"...)
	switch {
	case w.Err != "":
		dst = append(dst, w.Err...)
	case w.State == pdu.StateDelivered || w.State == pdu.StateAccepted || w.State == pdu.StateEnroute:
		dst = append(dst, "000"...)
	default:
		dst = append(dst, "00"...)
		dst = strconv.AppendUint(dst, uint64(w.State), 10)
	}
	dst = append(dst, " text:"...)
	for _, c := range content[:min(len(content), 20)] {
		if c < ' ' || c > '~' {
			c = '?'
		}
		dst = append(dst, c)
	}
	return dst
}

// minuteText is a date as receipts have it, YYMMDDhhmm, kept for as long as it is right.
type minuteText struct {
	minute int64
	text   []byte
}

func (m *minuteText) append(dst []byte, ns int64, zone *time.Location) []byte {
	const minute = int64(time.Minute)
	if m.text == nil || m.minute != ns/minute {
		m.minute = ns / minute
		m.text = time.Unix(0, ns).In(zone).AppendFormat(m.text[:0], "0601021504")
	}
	return append(dst, m.text...)
}
