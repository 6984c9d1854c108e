package gateway

import (
	"context"
	"hash/maphash"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

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
	b.c.corr.put(event{kind: receiptCame, rec: rec})
}

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
//
// It does not use text.Reassembler, which keeps the octets of texts: here each part stays
// the deliver_sm it was, because an incomplete set goes out part by part, the store holds
// the same parts under the same key, and a part that comes twice is answered only when it
// is on disk.
type mobile struct {
	g     *Gateway
	inbox chan moved
	back  chan *moSet // messages to short codes that could not be dealt with: their parts wait again

	// The run goroutine's own.
	sets     map[queue.MORef]*moSet
	octets   int  // of all parts in sets
	more     bool // the store has sets that had no room here at start
	seed     maphash.Seed
	finished *simplelru.LRU[queue.MORef, *moDone]
	unrouted refusalLog
	keptAt   queue.Time
	from     map[string]int // incomplete messages by carrier and source
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

// moDone is a message that went on: its parts may come once more.
type moDone struct {
	at    time.Time
	parts map[uint8]uint64 // hash of each part's body
}

// answer completes the deliver_sm that waits for a commit; nil: nobody does.
type answer func(pdu.Status, pdu.Body) uint64

const (
	mobileInbox     = 256
	mobileSets      = 10000    // incomplete messages in memory; the store has them too
	mobileSetsOfOne = 50       // of one source at one carrier
	mobileOctets    = 32 << 20 // of their parts
)

func newMobile(g *Gateway) *mobile {
	finished, _ := simplelru.NewLRU[queue.MORef, *moDone](mobileSets, nil) // fails for a size below 1 only
	return &mobile{
		g: g, inbox: make(chan moved, mobileInbox), back: make(chan *moSet, inboxMost), sets: map[queue.MORef]*moSet{},
		seed: maphash.MakeSeed(), finished: finished, from: map[string]int{},
	}
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
		case set := <-mo.back:
			mo.takeBack(set)
		case now := <-tick.C:
			mo.expire(now)
			if mo.more && len(mo.sets) < mobileSets/2 {
				mo.recover(ctx)
			}
		}
	}
}

// recover reads the incomplete sets that were there when the process ended.
func (mo *mobile) recover(ctx context.Context) {
	sets, err := mo.g.store.MOSets(ctx, time.Time{}, mobileSets)
	if err != nil {
		if ctx.Err() == nil {
			mo.g.log.Error("incomplete mobile-originated messages could not be read", slog.Any("err", err))
		}
		return
	}
	mo.more = len(sets) == mobileSets
	for _, s := range sets {
		if mo.sets[s.Ref] != nil {
			continue
		}
		set := &moSet{ref: s.Ref, begun: s.Begun.Time(), parts: map[uint8][]byte{}}
		for _, p := range s.Parts {
			set.parts[p.Part] = p.Raw
			mo.octets += len(p.Raw)
		}
		mo.add(set)
	}
}

// route leads one message, or one part of one, to its account.
func (mo *mobile) route(m *moved) {
	var p pdu.DeliverSM
	if err := p.Decode(m.body); err != nil {
		m.reply.Send(pdu.ESME_RSYSERR, nil)
		return
	}
	w := mo.g.world.Load()
	if concat, isPart := concatOf(&p); isPart && w.waitsForAll(&p) {
		mo.part(w, m, &p, concat)
		return
	}
	if mo.keyword(w, m.c.number, m.c.opt.Codings, &p, nil, m.reply.Send, m.came) {
		return
	}
	rule, a := w.mobileRule(&p, mobileText(m.c.opt.Codings, &p))
	if rule == nil {
		mo.noRule(m.c.name, &p)
		mo.commit(m.reply.Send, mo.kept(m.c.number, m.body, m.came))
		return
	}
	mo.store(a, []*pdu.DeliverSM{&p}, nil, m.reply.Send, m.came)
}

// kept is the step that keeps a message that no rule leads anywhere, beside the receipts
// that match nothing: the carrier hears ESME_ROK, since sent again it would lead nowhere
// again, and an operator may look at it when a rule was forgotten.
func (mo *mobile) kept(carrier uint32, body []byte, at time.Time) queue.Step {
	mo.keptAt = max(mo.keptAt+1, queue.At(at)) // the key of each: two in a microsecond are two
	return &queue.Unmatched{Carrier: carrier, CarrierID: "mobile", Raw: body, Why: "mobile-originated: no rule", At: mo.keptAt}
}

// noRule counts what no rule leads anywhere, with a log line in ten seconds at most.
func (mo *mobile) noRule(carrier string, p *pdu.DeliverSM) {
	mo.g.met.mobileUnrouted.Inc()
	now := time.Now()
	if now.Sub(mo.unrouted.last) < refusalLogEvery {
		mo.unrouted.silent++
		return
	}
	mo.g.log.Warn("mobile-originated message has no account", slog.String("carrier", carrier),
		slog.Any("to", mo.g.number(printable(p.Dest.Addr))), slog.Int("not_logged", mo.unrouted.silent))
	mo.unrouted = refusalLog{last: now}
}

// part keeps one part durably, then acknowledges it; with the last one the message goes on.
func (mo *mobile) part(w *world, m *moved, p *pdu.DeliverSM, c text.Concat) {
	ref := queue.MORef{Carrier: m.c.number, Addresses: string(p.Source.Addr) + "\x00" + string(p.Dest.Addr), Ref: c.Ref, Total: c.Total}
	if c.Wide {
		ref.Addresses += "\x00w" // 5 of one width is not 5 of the other
	}
	set := mo.sets[ref]
	if set == nil {
		if mo.repeated(ref, c.Seq, m) {
			m.reply.Send(pdu.ESME_ROK, nil)
			return
		}
		mo.makeRoom(w, ref, len(m.body))
		set = &moSet{ref: ref, begun: m.came, parts: map[uint8][]byte{}}
		mo.add(set)
	}
	if old, again := set.parts[c.Seq]; again {
		// Stored once more: the first one's commit may be under way still, or have failed.
		mo.octets -= len(old)
	}
	set.parts[c.Seq] = m.body
	mo.octets += len(m.body)
	if len(set.parts) < int(c.Total) {
		mo.commit(m.reply.Send, &queue.MOPart{Set: ref, Part: c.Seq, Raw: m.body, At: queue.At(m.came)})
		return
	}
	mo.finish(w, set, m.reply.Send)
}

// repeated tells whether a part belongs to a message that went on already.
func (mo *mobile) repeated(ref queue.MORef, seq uint8, m *moved) bool {
	d, ok := mo.finished.Get(ref)
	if !ok || m.came.Sub(d.at) > mo.g.world.Load().setup.MobileExpiry {
		return false
	}
	h, ok := d.parts[seq]
	return ok && h == maphash.Bytes(mo.seed, m.body)
}

// makeRoom sends the oldest incomplete message on as it is: of the same source where that
// has many, so that no handset crowds out the others, else of all when memory is full.
func (mo *mobile) makeRoom(w *world, ref queue.MORef, octets int) {
	if mo.from[sourceOf(ref)] >= mobileSetsOfOne {
		mo.giveUp(w, func(s *moSet) bool { return sourceOf(s.ref) == sourceOf(ref) })
	}
	for len(mo.sets) > 0 && (len(mo.sets) >= mobileSets || mo.octets+octets > mobileOctets) {
		mo.giveUp(w, func(*moSet) bool { return true })
	}
}

// giveUp sends the oldest of some sets on as it is.
func (mo *mobile) giveUp(w *world, of func(*moSet) bool) {
	var oldest *moSet
	for _, s := range mo.sets {
		if of(s) && (oldest == nil || s.begun.Before(oldest.begun)) {
			oldest = s
		}
	}
	if oldest != nil {
		mo.incomplete(w, oldest)
	}
}

func (mo *mobile) add(set *moSet) {
	mo.sets[set.ref] = set
	mo.from[sourceOf(set.ref)]++
}

// sourceOf names a set's carrier and sender.
func sourceOf(ref queue.MORef) string {
	from, _, _ := strings.Cut(ref.Addresses, "\x00")
	return strconv.FormatUint(uint64(ref.Carrier), 10) + " " + from
}

// incomplete sends a set on of which parts are missing: each part says which of how many
// it is.
func (mo *mobile) incomplete(w *world, set *moSet) {
	mo.g.met.mobileIncomplete.Inc()
	mo.g.log.Warn("mobile-originated message is incomplete", slog.Int("parts", len(set.parts)), slog.Int("of", int(set.ref.Total)))
	mo.finish(w, set, nil)
}

// finish sends a set on, whole or as it is.
func (mo *mobile) finish(w *world, set *moSet, reply answer) {
	delete(mo.sets, set.ref)
	if from := sourceOf(set.ref); mo.from[from] > 1 {
		mo.from[from]--
	} else {
		delete(mo.from, from)
	}
	done := &moDone{at: time.Now(), parts: make(map[uint8]uint64, len(set.parts))}
	var parts []*pdu.DeliverSM
	for seq := 1; seq <= int(set.ref.Total); seq++ {
		raw, ok := set.parts[uint8(seq)]
		if !ok {
			continue
		}
		mo.octets -= len(raw)
		done.parts[uint8(seq)] = maphash.Bytes(mo.seed, raw)
		p := new(pdu.DeliverSM)
		if err := p.Decode(raw); err == nil {
			parts = append(parts, p)
		}
	}
	mo.finished.Add(set.ref, done)
	var rule *MobileRule
	var a *account
	if len(parts) > 0 {
		var codings text.Codings
		carrier := ""
		if c := w.carrierNumbered(set.ref.Carrier); c != nil {
			codings, carrier = c.opt.Codings, c.name
		}
		whole := join(parts)
		if len(parts) == int(set.ref.Total) && mo.keyword(w, set.ref.Carrier, codings, whole, set, reply, done.at) {
			return
		}
		if rule, a = w.mobileRule(parts[0], mobileText(codings, whole)); rule == nil {
			mo.noRule(carrier, parts[0])
		} else if rule.Whole && len(parts) == int(set.ref.Total) {
			parts = []*pdu.DeliverSM{whole}
		}
	}
	if rule == nil {
		// Its parts must not come back at the next start.
		steps := []queue.Step{&queue.Deliver{MO: &set.ref}}
		for seq := 1; seq <= int(set.ref.Total); seq++ {
			if raw, ok := set.parts[uint8(seq)]; ok {
				steps = append(steps, mo.kept(set.ref.Carrier, raw, time.Now()))
			}
		}
		mo.commit(reply, steps...)
		return
	}
	mo.store(a, parts, &set.ref, reply, time.Now())
}

// takeBack lets a whole message wait once more, for the carrier to send one of its parts
// again or for expire.
func (mo *mobile) takeBack(set *moSet) {
	mo.finished.Remove(set.ref)
	if mo.sets[set.ref] != nil {
		return // a part of it came again before
	}
	for _, raw := range set.parts {
		mo.octets += len(raw)
	}
	set.begun = time.Now()
	mo.add(set)
}

// expire sends on what has waited long enough for its missing parts.
func (mo *mobile) expire(now time.Time) {
	w := mo.g.world.Load()
	for _, set := range mo.sets {
		switch {
		case now.Sub(set.begun) < w.setup.MobileExpiry:
		case len(set.parts) == int(set.ref.Total): // takeBack
			mo.finish(w, set, nil)
		default:
			mo.incomplete(w, set)
		}
	}
}

// store puts a message into the account's outbox, all parts in one commit, and then
// acknowledges it.
func (mo *mobile) store(a *account, parts []*pdu.DeliverSM, set *queue.MORef, reply answer, came time.Time) {
	ttl := mo.g.world.Load().setup.MobileTTL
	if ttl == 0 {
		ttl = a.opt.Load().OutboxTTL
	}
	steps := make([]queue.Step, 0, len(parts))
	for i, p := range parts {
		d := &queue.Delivery{
			Account: a.number, Kind: queue.Mobile, Created: queue.At(came), Expires: queue.At(came.Add(ttl)),
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
	mo.commit(reply, steps...)
}

// commit stores steps and answers the carrier when they are on disk. When they cannot be
// the carrier sends it again; a set's parts of before are in the store all the same.
func (mo *mobile) commit(reply answer, steps ...queue.Step) {
	done := queue.DoneFunc(func(err error) {
		switch {
		case reply == nil:
		case err != nil:
			reply(pdu.ESME_RMSGQFUL, nil)
		default:
			reply(pdu.ESME_ROK, nil)
		}
	})
	if err := mo.g.store.Commit(mo.g.ctx, done, steps...); err != nil {
		done(err)
	}
}

func (w *world) carrierNumbered(n uint32) *carrier {
	for _, c := range w.carriers {
		if c.number == n {
			return c
		}
	}
	return nil
}
