package gateway

import (
	"context"
	"log/slog"
	"strings"
	"time"

	"masar/queue"
	"masar/smpp"
	"masar/smpp/pdu"
	"masar/smpp/receipt"
	"masar/smpp/text"
)

// deliver takes a deliver_sm of a carrier: a receipt or a mobile-originated message.
func (b *bind) deliver(p *pdu.DeliverSM, r smpp.Reply) {
	if _, receipts := b.c.g.opt.Full(); receipts {
		b.c.met.receiptsRefused.Inc()
		r.Send(pdu.ESME_RMSGQFUL, nil)
		return
	}
	switch v := b.view.Parse(p, b.c.opt.Receipts.Options); v {
	case receipt.NotReceipt:
		b.c.g.mobile.take(b.c, p, r)
	default:
		b.receipt(v, p.Source.Addr, p.Append(nil), r)
	}
}

// deliverData takes a data_sm of a carrier.
func (b *bind) deliverData(p *pdu.DataSM, r smpp.Reply) {
	if _, receipts := b.c.g.opt.Full(); receipts {
		b.c.met.receiptsRefused.Inc()
		r.Send(pdu.ESME_RMSGQFUL, nil)
		return
	}
	switch v := b.view.ParseData(p, b.c.opt.Receipts.Options); v {
	case receipt.NotReceipt:
		sm := pdu.DeliverSM{ServiceType: p.ServiceType, Source: p.Source, Dest: p.Dest, ESMClass: p.ESMClass, DataCoding: p.DataCoding, TLVs: p.TLVs}
		b.c.g.mobile.take(b.c, &sm, r)
	default:
		b.receipt(v, p.Source.Addr, p.Append(nil), r)
	}
}

// receipt hands a receipt to the correlator.
func (b *bind) receipt(v receipt.Verdict, from, raw []byte, r smpp.Reply) {
	view := &b.view
	now := time.Now()
	rec := &inbound{
		carrier: b.c, reply: r, came: now, raw: raw, from: string(from), id: string(view.ID),
		info: queue.PartInfo{State: view.State, Err: errCode(view.Err), Done: queue.At(now)},
	}
	if v == receipt.Unreadable || rec.id == "" {
		b.c.corr.unreadable(rec)
		return
	}
	b.c.corr.put(event{rec: rec})
}

// unreadable keeps a receipt that names no message.
func (k *correlator) unreadable(r *inbound) { k.unmatched(r, "unreadable: no id or no state") }

// errCode keeps the one that nearly all receipts have from being allocated again.
func errCode(b []byte) string {
	if string(b) == "000" {
		return "000"
	}
	return string(b)
}

// mobile takes messages from handsets to accounts, by destination, first keyword or
// pattern. Parts are stored before they are acknowledged; an account that wants whole
// messages, and a rule that looks at the text, wait for all of them.
type mobile struct {
	g     *Gateway
	inbox chan moved
	sets  map[queue.MORef]*moSet // the run goroutine's own
}

// moved is one mobile-originated deliver_sm that has its own octets.
type moved struct {
	c     *carrier
	body  []byte
	reply smpp.Reply
	came  time.Time
}

// moSet is a message of which parts are still missing.
type moSet struct {
	ref   queue.MORef
	begun time.Time
	parts map[uint8][]byte
}

const (
	mobileInbox = 256
	mobileSets  = 10000 // incomplete messages in memory; the store has them too
)

func newMobile(g *Gateway) *mobile {
	return &mobile{g: g, inbox: make(chan moved, mobileInbox), sets: map[queue.MORef]*moSet{}}
}

// take accepts one message from a session's reader.
func (mo *mobile) take(c *carrier, p *pdu.DeliverSM, r smpp.Reply) {
	c.met.mobile.Inc()
	select {
	case mo.inbox <- moved{c, p.Append(nil), r, time.Now()}:
	default:
		r.Send(pdu.ESME_RMSGQFUL, nil) // the carrier sends it again
	}
}

func (mo *mobile) run() {
	ctx := mo.g.ctx
	mo.recover(ctx)
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case m := <-mo.inbox:
			mo.route(&m)
		case now := <-tick.C:
			mo.expire(now)
		}
	}
}

// recover reads the incomplete sets that were there when the process ended.
func (mo *mobile) recover(ctx context.Context) {
	sets, err := mo.g.store.MOSets(ctx, time.Time{}, mobileSets)
	if err != nil {
		mo.g.log.Error("incomplete mobile-originated messages could not be read", slog.Any("err", err))
		return
	}
	for _, s := range sets {
		set := &moSet{ref: s.Ref, begun: s.Begun.Time(), parts: map[uint8][]byte{}}
		for _, p := range s.Parts {
			set.parts[p.Part] = p.Raw
		}
		mo.sets[s.Ref] = set
	}
}

// route leads one message, or one part of one, to its account.
func (mo *mobile) route(m *moved) {
	var p pdu.DeliverSM
	if err := p.Decode(m.body); err != nil {
		m.reply.Send(pdu.ESME_RSYSERR, nil)
		return
	}
	concat, isPart := concatOf(&p)
	if isPart && mo.waitsForAll(&p) {
		mo.part(m, &p, concat)
		return
	}
	rule := mo.rule(&p, mo.text(m.c, &p))
	if rule == nil {
		mo.g.met.mobileUnrouted.Inc()
		mo.g.log.Warn("mobile-originated message has no account", slog.String("carrier", m.c.name), slog.String("to", printable(p.Dest.Addr)))
		m.reply.Send(pdu.ESME_ROK, nil)
		return
	}
	mo.store(rule, []*pdu.DeliverSM{&p}, nil, m.reply.Send, m.came)
}

// waitsForAll tells whether a part can only be routed with the others: some rule for its
// destination looks at the text, or its account wants whole messages.
func (mo *mobile) waitsForAll(p *pdu.DeliverSM) bool {
	for i := range mo.g.world.Load().setup.Mobile {
		r := &mo.g.world.Load().setup.Mobile[i]
		if r.To == "" || r.To == string(p.Dest.Addr) {
			if r.Whole || r.Keyword != "" || r.Regexp != nil {
				return true
			}
		}
	}
	return false
}

// part keeps one part durably, then acknowledges it; with the last one the message goes on.
func (mo *mobile) part(m *moved, p *pdu.DeliverSM, c text.Concat) {
	ref := queue.MORef{Carrier: m.c.number, Addresses: string(p.Source.Addr) + "\x00" + string(p.Dest.Addr), Ref: c.Ref, Total: c.Total}
	set := mo.sets[ref]
	if set == nil {
		if len(mo.sets) >= mobileSets {
			m.reply.Send(pdu.ESME_RMSGQFUL, nil)
			return
		}
		set = &moSet{ref: ref, begun: m.came, parts: map[uint8][]byte{}}
		mo.sets[ref] = set
	}
	if _, again := set.parts[c.Seq]; again {
		m.reply.Send(pdu.ESME_ROK, nil)
		return
	}
	set.parts[c.Seq] = m.body
	if len(set.parts) < int(c.Total) {
		step := &queue.MOPart{Set: ref, Part: c.Seq, Raw: m.body, At: queue.At(m.came)}
		reply := m.reply
		mo.commit(func(err error) { answerMobile(reply.Send, err) }, step)
		return
	}
	mo.finish(set, m.reply.Send)
}

func answerMobile(reply func(pdu.Status, pdu.Body) uint64, err error) {
	if reply == nil {
		return
	}
	if err != nil {
		reply(pdu.ESME_RMSGQFUL, nil)
		return
	}
	reply(pdu.ESME_ROK, nil)
}

// finish sends a set on, whole or as it is.
func (mo *mobile) finish(set *moSet, reply func(pdu.Status, pdu.Body) uint64) {
	delete(mo.sets, set.ref)
	var parts []*pdu.DeliverSM
	for seq := uint8(1); seq != 0 && seq <= set.ref.Total; seq++ {
		if raw := set.parts[seq]; raw != nil {
			p := new(pdu.DeliverSM)
			if err := p.Decode(raw); err == nil {
				parts = append(parts, p)
			}
		}
	}
	if len(parts) == 0 {
		answerMobile(reply, nil)
		return
	}
	c := mo.g.world.Load().carrierNumbered(set.ref.Carrier)
	var whole strings.Builder
	for _, p := range parts {
		whole.WriteString(mo.text(c, p))
	}
	rule := mo.rule(parts[0], whole.String())
	if rule == nil {
		mo.g.met.mobileUnrouted.Inc()
		answerMobile(reply, nil)
		return
	}
	if len(parts) == int(set.ref.Total) && rule.Whole {
		parts = []*pdu.DeliverSM{join(parts)}
	}
	mo.store(rule, parts, &set.ref, reply, time.Now())
}

// expire sends incomplete sets on as they are, marked by their missing part numbers.
func (mo *mobile) expire(now time.Time) {
	limit := mo.g.world.Load().setup.MobileExpiry
	for _, set := range mo.sets {
		if now.Sub(set.begun) >= limit {
			mo.g.met.mobileIncomplete.Inc()
			mo.g.log.Warn("mobile-originated message is incomplete", slog.Int("parts", len(set.parts)), slog.Int("of", int(set.ref.Total)))
			mo.finish(set, nil)
		}
	}
}

// store puts a message into the account's outbox, all parts in one commit, and then
// acknowledges it.
func (mo *mobile) store(rule *MobileRule, parts []*pdu.DeliverSM, set *queue.MORef, reply func(pdu.Status, pdu.Body) uint64, came time.Time) {
	a := mo.g.world.Load().accounts[rule.Account]
	steps := make([]queue.Step, 0, len(parts))
	for i, p := range parts {
		d := &queue.Delivery{
			Account: a.number, Kind: queue.Mobile, Created: queue.At(came), Expires: queue.At(came.Add(a.opt.Load().OutboxTTL)),
			ServiceType: string(p.ServiceType), ESMClass: p.ESMClass, ProtocolID: p.ProtocolID, DataCoding: p.DataCoding,
			Source:       queue.Address{TON: p.Source.TON, NPI: p.Source.NPI, Addr: string(p.Source.Addr)},
			Dest:         queue.Address{TON: p.Dest.TON, NPI: p.Dest.NPI, Addr: string(p.Dest.Addr)},
			ShortMessage: append([]byte(nil), p.ShortMessage...), TLVs: append([]byte(nil), p.TLVs...),
		}
		step := &queue.Deliver{Delivery: d}
		if i == len(parts)-1 {
			step.MO = set
		}
		steps = append(steps, step)
	}
	mo.commit(func(err error) { answerMobile(reply, err) }, steps...)
}

func (mo *mobile) commit(done queue.DoneFunc, steps ...queue.Step) {
	if err := mo.g.store.Commit(mo.g.ctx, done, steps...); err != nil {
		done(err)
	}
}

// rule is the first rule that fits; nil: none.
func (mo *mobile) rule(p *pdu.DeliverSM, txt string) *MobileRule {
	w := mo.g.world.Load()
	for i := range w.setup.Mobile {
		r := &w.setup.Mobile[i]
		if r.To != "" && r.To != string(p.Dest.Addr) {
			continue
		}
		if r.Keyword != "" && !strings.EqualFold(firstWord(txt), r.Keyword) {
			continue
		}
		if r.Regexp != nil && !r.Regexp.MatchString(txt) {
			continue
		}
		if w.accounts[r.Account] != nil {
			return r
		}
	}
	return nil
}

func firstWord(s string) string {
	words := strings.Fields(s)
	if len(words) == 0 {
		return ""
	}
	return words[0]
}

// text is what a message says, as far as it can be read.
func (mo *mobile) text(c *carrier, p *pdu.DeliverSM) string {
	body := p.ShortMessage
	if long, ok := p.TLVs.Get(pdu.TagMessagePayload); ok && len(body) == 0 {
		body = long
	}
	if p.ESMClass&pdu.ESMClassUDHI != 0 {
		if _, _, n, err := text.ParseUDH(body); err == nil {
			body = body[n:]
		}
	}
	codings := text.Codings{One: text.ASCII}
	if c != nil {
		codings = c.opt.Codings
	}
	e, known := codings.Encoding(p.DataCoding)
	if !known {
		return ""
	}
	s, err := text.Decode(body, e)
	if err != nil {
		return ""
	}
	return s
}

// concatOf reads which part of what a message is, from its UDH or its SAR TLVs.
func concatOf(p *pdu.DeliverSM) (text.Concat, bool) {
	if p.ESMClass&pdu.ESMClassUDHI != 0 {
		c, has, _, err := text.ParseUDH(p.ShortMessage)
		return c, err == nil && has && validConcat(c)
	}
	ref, ok1 := p.TLVs.Get(pdu.TagSARMsgRefNum)
	total, ok2 := p.TLVs.Get(pdu.TagSARTotalSegments)
	seq, ok3 := p.TLVs.Get(pdu.TagSARSegmentSeqnum)
	if !ok1 || !ok2 || !ok3 {
		return text.Concat{}, false
	}
	c := text.Concat{Ref: uint16(ref[0])<<8 | uint16(ref[1]), Wide: true, Total: total[0], Seq: seq[0]}
	return c, validConcat(c)
}

func validConcat(c text.Concat) bool { return c.Total > 1 && c.Seq >= 1 && c.Seq <= c.Total }

// join makes one message of all parts: the headers off, the octets in order, in
// short_message where they fit, else in message_payload.
func join(parts []*pdu.DeliverSM) *pdu.DeliverSM {
	out := *parts[0]
	var body []byte
	for _, p := range parts {
		b := p.ShortMessage
		if p.ESMClass&pdu.ESMClassUDHI != 0 {
			if _, _, n, err := text.ParseUDH(b); err == nil {
				b = b[n:]
			}
		}
		body = append(body, b...)
	}
	out.ESMClass &^= pdu.ESMClassUDHI
	var tlvs pdu.TLVs
	for tag, v := range parts[0].TLVs.All() {
		switch tag {
		case pdu.TagSARMsgRefNum, pdu.TagSARTotalSegments, pdu.TagSARSegmentSeqnum:
		default:
			tlvs = tlvs.Append(tag, v)
		}
	}
	out.ShortMessage = body
	if len(body) > 254 {
		out.ShortMessage = nil
		tlvs = tlvs.Append(pdu.TagMessagePayload, body)
	}
	out.TLVs = tlvs
	return &out
}

func (w *world) carrierNumbered(n uint32) *carrier {
	for _, c := range w.carriers {
		if c.number == n {
			return c
		}
	}
	return nil
}
