package smpptest

import (
	"time"

	"masar/smpp/pdu"
)

// Submit is one message as it came in, and what was answered.
type Submit struct {
	SystemID string
	Remote   string
	Header   pdu.Header
	Body     pdu.Body   // *pdu.SubmitSM, *pdu.DataSM or *pdu.SubmitMulti; aliases the read buffer
	Status   pdu.Status // of the answer
	ID       string     // message_id as the answer has it; "" unless Status is ESME_ROK
	Silent   bool       // no answer goes out, by option
}

// submit judges a message, answers it or leaves its answer to the clock, and makes its
// receipt.
func (s *smscSession) submit(h pdu.Header, body []byte) error {
	o := &s.smsc.opt
	s.batch.submits++
	s.submits++

	var p pdu.Body
	switch h.Command {
	case pdu.CmdSubmitSM:
		p = &s.sm
	case pdu.CmdDataSM:
		p = &s.data
	default:
		p = &s.multi
	}
	st := s.verdict(p, body)
	var told *Outcome
	if st == pdu.ESME_ROK {
		if told = s.told(p); told != nil && told.Status != pdu.ESME_ROK {
			s.smsc.stats.refused.Add(1)
			st = told.Status
		}
	}
	if st == pdu.ESME_ROK && s.dropNow() {
		// Before anything is remembered: to the client this submit is uncertain, and
		// here it never arrived.
		s.smsc.stats.dropped.Add(1)
		return errDropped
	}
	silent := st == pdu.ESME_ROK && o.Silent > 0 && s.rng.Float64() < o.Silent

	var id uint64
	if st == pdu.ESME_ROK {
		id = s.smsc.ids.Add(1)
		s.batch.accepted++
	}
	if o.OnSubmit != nil {
		sub := Submit{SystemID: s.systemID, Remote: s.remote, Header: h, Body: p, Status: st, Silent: silent}
		if st == pdu.ESME_ROK {
			s.idBuf = o.IDResp.Append(s.idBuf[:0], id)
			sub.ID = string(s.idBuf)
		}
		o.OnSubmit(&sub)
	}
	if st == pdu.ESME_ROK && s.smsc.log != nil {
		s.smsc.log.add(s, p, id)
	}

	latency := jittered(s.rng, o.Latency, o.Jitter)
	var receipt *smscDelivery
	early := false
	if st == pdu.ESME_ROK {
		if receipt = s.receiptOf(p, id, latency, told); receipt != nil {
			s.batch.receipts++
			early = o.ReceiptFirst > 0 && s.rng.Float64() < o.ReceiptFirst
		}
	}
	if early {
		s.account.deliver(s, []*smscDelivery{receipt})
		receipt = nil
		latency = max(latency, receiptLead)
	}
	switch {
	case silent:
		s.smsc.stats.silent.Add(1)
	case latency > 0:
		if o.Outstanding > 0 {
			s.addWaiting(1)
		}
		s.later = append(s.later, smscEvent{
			at: s.now + int64(latency), kind: answerEvent, session: s,
			cmd: h.Command.Resp(), status: st, seq: h.Sequence, id: id,
		})
	default:
		s.answerSubmit(h.Command.Resp(), st, h.Sequence, id)
	}
	if receipt == nil {
		return nil
	}
	wait := latency
	if told != nil {
		wait += told.Delay
	} else {
		wait += jittered(s.rng, o.ReceiptDelay, o.ReceiptJitter)
	}
	if wait > 0 {
		s.later = append(s.later, smscEvent{at: s.now + int64(wait), kind: receiptEvent, delivery: receipt})
	} else {
		s.due = append(s.due, receipt)
	}
	return nil
}

// receiptLead is how long after its receipt a response is sent, with ReceiptFirst: they
// may go over two connections, and the receipt is to be read first all the same.
const receiptLead = 20 * time.Millisecond

func (s *smscSession) answerSubmit(cmd pdu.Command, st pdu.Status, seq uint32, id uint64) {
	if st == pdu.ESME_ROK {
		s.answerID(cmd, seq, id)
		return
	}
	s.answer(cmd, st, seq, nil)
}

// verdict decodes body into p and says how the submit is to be answered.
func (s *smscSession) verdict(p pdu.Body, body []byte) pdu.Status {
	o := &s.smsc.opt
	if s.bound == 0 || !s.canSubmit {
		s.smsc.stats.viol.Add(1)
		return pdu.ESME_RINVBNDSTS
	}
	if err := p.Decode(body); err != nil {
		s.smsc.stats.viol.Add(1)
		s.smsc.stats.refused.Add(1)
		if field, ok := err.(*pdu.FieldError); ok {
			return field.Status
		}
		return pdu.ESME_RSYSERR
	}
	if o.Outstanding > 0 && s.addWaiting(0) >= o.Outstanding || !s.smsc.pace.take(s.now) {
		s.smsc.stats.throttled.Add(1)
		return o.PaceStatus
	}
	if o.ErrorRate > 0 && s.rng.Float64() < o.ErrorRate {
		s.smsc.stats.refused.Add(1)
		return o.ErrorStatus
	}
	return pdu.ESME_ROK
}

// told is what Outcome says of a message; nil: nothing.
func (s *smscSession) told(p pdu.Body) *Outcome {
	if s.smsc.opt.Outcome == nil {
		return nil
	}
	var dest []byte
	switch p := p.(type) {
	case *pdu.SubmitSM:
		dest = p.Dest.Addr
	case *pdu.DataSM:
		dest = p.Dest.Addr
	default:
		return nil
	}
	out, has := s.smsc.opt.Outcome(dest)
	if !has {
		return nil
	}
	return &out
}

func (s *smscSession) addWaiting(n int) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting += n
	return s.waiting
}

func (s *smscSession) dropNow() bool {
	o := &s.smsc.opt
	return o.DropAfter > 0 && s.submits >= o.DropAfter ||
		o.DropRate > 0 && s.rng.Float64() < o.DropRate
}
