package smpptest

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"

	"masar/smpp/pdu"
	"masar/smpp/text"
)

// MO is a mobile-originated message.
type MO struct {
	SystemID    string // the account whose receivers get it
	From, To    string // a telephone number; a short code or number of the account's
	Text        string
	ServiceType string
	Style       text.Style // how a long one is cut; UDH8 is the zero value
	Order       []int      // in which order its parts are sent, from 0; nil is their own
}

// ErrNotAcknowledged is a mobile-originated message refused for good; it wraps nothing
// and names the status.
var ErrNotAcknowledged = errors.New("smpptest: mobile-originated message refused")

var moReference atomic.Uint32

// Deliver sends a mobile-originated message to any receiver of its account, now or at the
// next bind, and returns when every part is acknowledged. After an error some parts may
// have been; what waits when ctx ends is sent all the same.
func (c *SMSC) Deliver(ctx context.Context, mo MO) error {
	parts, err := mo.encode()
	if err != nil {
		return err
	}
	c.mu.Lock()
	a := c.accounts[mo.SystemID]
	if a == nil {
		a = &smscAccount{smsc: c, systemID: mo.SystemID}
		c.accounts[mo.SystemID] = a
	}
	c.mu.Unlock()

	answers := make(chan pdu.Status, len(parts))
	all := make([]*smscDelivery, len(parts))
	for i, octets := range parts {
		d := smscDeliveries.Get().(*smscDelivery)
		d.account, d.done = a, func(st pdu.Status) { answers <- st }
		d.pdu = append(d.pdu[:0], octets...)
		all[i] = d
	}
	c.stats.mobile.Add(uint64(len(parts)))
	a.deliver(nil, all)

	for range parts {
		select {
		case st := <-answers:
			if st != pdu.ESME_ROK {
				return fmt.Errorf("%w: %s", ErrNotAcknowledged, st)
			}
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

// encode makes the deliver_sm of each part.
func (mo MO) encode() ([][]byte, error) {
	e := text.Choose(mo.Text)
	texts, err := text.Split(mo.Text, e, mo.Style)
	if err != nil {
		return nil, err
	}
	ref := uint16(moReference.Add(1))
	coding := text.Codings{Default: text.GSM7, One: text.ASCII}.Coding(e)
	parts := make([][]byte, 0, len(texts))
	for i, t := range texts {
		p := pdu.DeliverSM{
			ServiceType: []byte(mo.ServiceType), DataCoding: coding,
			Source: pdu.Address{TON: 1, NPI: 1, Addr: []byte(mo.From)},
			Dest:   pdu.Address{TON: 3, Addr: []byte(mo.To)},
		}
		var content []byte
		if len(texts) > 1 {
			seq, total := uint8(i+1), uint8(len(texts))
			switch mo.Style {
			case text.UDH8, text.UDH16:
				p.ESMClass = pdu.ESMClassUDHI
				content = text.AppendConcatUDH(content, mo.Style, ref, total, seq)
			case text.SAR:
				p.TLVs = p.TLVs.AppendUint16(pdu.TagSARMsgRefNum, ref)
				p.TLVs = p.TLVs.AppendUint8(pdu.TagSARTotalSegments, total)
				p.TLVs = p.TLVs.AppendUint8(pdu.TagSARSegmentSeqnum, seq)
			}
		}
		if content, err = text.Encode(content, t, e); err != nil {
			return nil, err
		}
		if mo.Style == text.Payload {
			p.TLVs = p.TLVs.Append(pdu.TagMessagePayload, content)
		} else {
			p.ShortMessage = content
		}
		parts = append(parts, pdu.Append(nil, pdu.CmdDeliverSM, pdu.ESME_ROK, 0, &p))
	}
	if mo.Order == nil {
		return parts, nil
	}
	ordered := make([][]byte, 0, len(parts))
	for _, i := range mo.Order {
		if i < 0 || i >= len(parts) {
			return nil, fmt.Errorf("smpptest: part %d of %d does not exist", i, len(parts))
		}
		ordered = append(ordered, parts[i])
	}
	return ordered, nil
}
