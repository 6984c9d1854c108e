package gateway

import (
	"encoding/binary"
	"strconv"
	"time"

	"masar/queue"
	"masar/smpp"
	"masar/smpp/pdu"
)

// dataSM takes a data_sm: a submit_sm whose text is in message_payload and whose validity
// is qos_time_to_live in seconds, a parameter that submit_sm does not have (SMPP v3.4,
// 4.7.1). Zero seconds are taken for none said.
func (c *client) dataSM(p *pdu.DataSM, r smpp.Reply) {
	sm := &pdu.SubmitSM{
		ServiceType: p.ServiceType, Source: p.Source, Dest: p.Dest, ESMClass: p.ESMClass,
		RegisteredDelivery: p.RegisteredDelivery, DataCoding: p.DataCoding, TLVs: p.TLVs,
	}
	if ttl, ok := p.TLVs.Get(pdu.TagQoSTimeToLive); ok {
		if seconds := binary.BigEndian.Uint32(ttl); seconds > 0 {
			valid := time.Duration(seconds) * time.Second
			sm.ValidityPeriod = pdu.AppendRelative(nil, min(valid, c.account.opt.Load().ValidityMax))
		}
		sm.TLVs = nil
		for tag, v := range p.TLVs.All() {
			if tag != pdu.TagQoSTimeToLive {
				sm.TLVs = sm.TLVs.Append(tag, v)
			}
		}
	}
	c.submit(sm, r)
}

// multi is one submit_multi on its way to disk: a message for each good destination, all
// in one commit, all shown under the first one's id.
type multi struct {
	c     *client
	reply smpp.Reply
	subs  []*submission
	bad   []pdu.Unsuccess
}

// submitMulti takes a submit_multi. Distribution lists are refused one by one, and
// replace_if_present_flag is not looked at: which of several messages it would replace
// the client could not tell.
func (c *client) submitMulti(p *pdu.SubmitMulti, r smpp.Reply) {
	t := time.Now()
	if no := c.mayAct(t, len(p.Dests)); no.why != Accepted {
		c.refused(no, p.Source.Addr, nil)
		r.Send(no.wire(), nil)
		return
	}
	if n := len(p.Dests); n == 0 || n > pdu.MaxDestinations {
		no := refused{InvalidField, pdu.ESME_RINVNUMDESTS, strconv.Itoa(n) + " destinations"}
		c.refused(no, p.Source.Addr, nil)
		r.Send(no.wire(), nil)
		return
	}
	mu := &multi{c: c, reply: r}
	var first refused
	for i := range p.Dests {
		d := &p.Dests[i]
		no := refused{InvalidField, pdu.ESME_RINVDLNAME, "distribution lists are not configured"}
		s := &submission{client: c, began: t}
		if d.Flag == pdu.DestSME {
			sm := pdu.SubmitSM{
				ServiceType: p.ServiceType, Source: p.Source, Dest: d.Address, ESMClass: p.ESMClass, ProtocolID: p.ProtocolID,
				PriorityFlag: p.PriorityFlag, ScheduleDeliveryTime: p.ScheduleDeliveryTime, ValidityPeriod: p.ValidityPeriod,
				RegisteredDelivery: p.RegisteredDelivery, DataCoding: p.DataCoding, DefaultMsgID: p.DefaultMsgID,
				ShortMessage: p.ShortMessage, TLVs: p.TLVs,
			}
			no = c.admit(s, &sm, t)
		}
		if no.why != Accepted {
			c.refused(no, p.Source.Addr, d.Address.Addr)
			if first.why == Accepted {
				first = no
			}
			addr := d.Address
			addr.Addr = append([]byte(nil), addr.Addr...)
			mu.bad = append(mu.bad, pdu.Unsuccess{Address: addr, Status: no.wire()})
			continue
		}
		if len(mu.subs) > 0 {
			s.accept.First = &mu.subs[0].m
		}
		mu.subs = append(mu.subs, s)
	}
	if len(mu.subs) == 0 {
		r.Send(first.wire(), nil)
		return
	}
	steps := make([]queue.Step, len(mu.subs))
	for i, s := range mu.subs {
		steps[i] = &s.accept
	}
	c.opened()
	if err := c.g.store.Commit(now, mu, steps...); err != nil {
		mu.Done(err)
	}
}

// Done answers the client. It runs on the committer.
func (mu *multi) Done(err error) {
	c := mu.c
	c.closed()
	if err != nil {
		no := refuse(whyNotStored(err), err.Error())
		c.refused(no, []byte(mu.subs[0].m.Source.Addr), nil)
		mu.reply.Send(no.wire(), nil)
		return
	}
	for _, s := range mu.subs {
		s.trace()
	}
	o := c.account.opt.Load()
	resp := pdu.SubmitMultiResp{MessageID: []byte(o.shown(&mu.subs[0].m)), Unsuccess: mu.bad}
	mark := mu.reply.Send(pdu.ESME_ROK, &resp)
	for _, s := range mu.subs {
		s.answer(mark)
		c.account.met.submits[Accepted].Inc()
	}
}
