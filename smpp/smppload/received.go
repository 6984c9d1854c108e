package smppload

import (
	"bytes"
	"errors"
	"time"

	"masar/smpp/pdu"
)

// handle judges one PDU; an error ends the connection.
func (b *bind) handle(h pdu.Header, body []byte, now int64) error {
	switch h.Command {
	case pdu.CmdSubmitSMResp, pdu.CmdGenericNack:
		b.answered(h, body, now)
	case pdu.CmdDeliverSM:
		st := pdu.ESME_ROK
		if err := b.sm.Decode(body); err != nil {
			st = statusOf(err)
		} else {
			b.delivered(b.sm.ESMClass, &b.sm.Source, b.sm.Content(), b.sm.TLVs, now)
		}
		b.acknowledge(pdu.CmdDeliverSMResp, st, h.Sequence)
	case pdu.CmdDataSM:
		st := pdu.ESME_ROK
		if err := b.data.Decode(body); err != nil {
			st = statusOf(err)
		} else {
			b.delivered(b.data.ESMClass, &b.data.Source, b.data.Content(), b.data.TLVs, now)
		}
		b.acknowledge(pdu.CmdDataSMResp, st, h.Sequence)
	case pdu.CmdEnquireLink:
		b.out = pdu.Append(b.out, pdu.CmdEnquireLinkResp, pdu.ESME_ROK, h.Sequence, nil)
	case pdu.CmdUnbind:
		b.bye, b.byeUntil = h.Sequence, now+int64(byeWait)
	case pdu.CmdUnbindResp:
		return errUnbindAnswered
	case pdu.CmdEnquireLinkResp, pdu.CmdAlertNotification:
	default:
		if !h.Command.IsResponse() {
			b.out = pdu.Append(b.out, pdu.CmdGenericNack, pdu.ESME_RINVCMDID, h.Sequence, nil)
		}
	}
	return nil
}

func statusOf(err error) pdu.Status {
	var field *pdu.FieldError
	if errors.As(err, &field) {
		return field.Status
	}
	return pdu.ESME_RSYSERR
}

// acknowledge appends a response whose body is an empty message_id.
func (b *bind) acknowledge(cmd pdu.Command, st pdu.Status, seq uint32) {
	b.out = pdu.Header{Length: pdu.HeaderLen + 1, Command: cmd, Status: st, Sequence: seq}.Append(b.out)
	b.out = append(b.out, 0)
}

func (b *bind) answered(h pdu.Header, body []byte, now int64) {
	k := h.Sequence & 0xFFFF
	if int(k) >= len(b.slots) {
		return
	}
	s := &b.slots[k]
	if !s.busy || s.seq != h.Sequence {
		return // late: its message is uncertain since the response timer ended
	}
	s.busy = false
	b.free = append(b.free, uint16(k))
	b.resp.add(time.Duration(now - s.at))
	b.statuses[h.Status]++
	b.r.lastAnswer.Store(now)
	slower := h.Status == pdu.ESME_RTHROTTLED || h.Status == pdu.ESME_RMSGQFUL
	if slower {
		b.pausedUntil = now + int64(throttlePause)
		if b.r.opt.Again {
			b.again = append(b.again, s.number) // it stays open
			return
		}
	}
	b.open.Add(-1)
	if h.Status == pdu.ESME_ROK && h.Command == pdu.CmdSubmitSMResp {
		// An id is kept even when what follows it is broken.
		b.msg.MessageID = nil
		_ = b.msg.Decode(body)
		before, strange := b.r.ledger.accepted(s.number, b.msg.MessageID)
		b.turn.accepted++
		if strange { // the receipt that came before this answer was not its own after all
			b.turn.strange++
			b.r.receipts.Add(^uint64(0))
		}
		if !before.Has(Receipted) {
			b.turn.awaited++
		}
		return
	}
	b.turn.refused++
	b.r.ledger.mark(s.number, Refused)
}

// delivered takes what came by deliver_sm or data_sm.
func (b *bind) delivered(class uint8, source *pdu.Address, content []byte, tlvs pdu.TLVs, now int64) {
	switch class & pdu.ESMClassTypeMask {
	case pdu.ESMClassReceipt:
	case pdu.ESMClassIntermediate:
		b.turn.intermediate++
		return
	default:
		b.turn.mo++
		return
	}
	id := receiptWord(content, "id:")
	if v, ok := tlvs.Get(pdu.TagReceiptedMessageID); ok {
		id = bytes.TrimRight(v, "\x00")
	}
	number, ok := b.r.numbering.number(source.Addr)
	if !ok {
		b.turn.unsought++
		return
	}
	v, before, ms := b.r.ledger.receipt(number, id)
	b.r.lastReceipt.Store(now)
	switch v {
	case receiptAgain:
		b.turn.dup++
		return
	case receiptStrange:
		b.turn.strange++
		return
	case receiptUnsought:
		b.turn.unsought++
		return
	}
	b.turn.receipts++
	if before.Has(Accepted) {
		b.turn.awaited--
	} else if before.Has(Uncertain) {
		b.turn.ofUncertain++
	}
	b.receiptLag.add(time.Duration(now-b.r.start) - time.Duration(ms)*time.Millisecond)
	state := receiptWord(content, "stat:")
	if len(state) == 0 {
		if st, ok := tlvs.Get(pdu.TagMessageState); ok && len(st) == 1 {
			state = append(state, pdu.State(st[0]).Receipt()...)
		}
	}
	if n := b.states[string(state)]; n != nil {
		*n++
	} else if len(b.states) < 100 { // a server that makes up states must not fill memory
		one := uint64(1)
		b.states[string(state)] = &one
	}
}

// receiptWord is what follows key, up to a blank (SMPP v3.4 appendix B).
func receiptWord(text []byte, key string) []byte {
	i := bytes.Index(text, []byte(key))
	if i < 0 {
		return nil
	}
	rest := text[i+len(key):]
	if end := bytes.IndexByte(rest, ' '); end >= 0 {
		return rest[:end]
	}
	return rest
}
