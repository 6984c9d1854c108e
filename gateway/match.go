package gateway

import (
	"slices"
	"strings"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
	"masar/smpp/receipt"
)

// received looks for the part a receipt is about: in memory, then in the store.
func (k *correlator) received(r *inbound) {
	likely := k.forms.likely(r.id)
	if k.inMemory(r, likely) {
		return
	}
	r.ids = k.forms.candidates(r.id)
	for _, id := range r.ids {
		if id != likely && k.inMemory(r, id) {
			return
		}
	}
	k.misses = append(k.misses, r)
}

// inMemory matches a receipt with a part still in memory under one of its keys.
func (k *correlator) inMemory(r *inbound, id receipt.Candidate) bool {
	ref, ok := k.sent.get(id.Key)
	if !ok || !about(r.from, ref.M) {
		return false
	}
	r.by = id
	k.matched(r, ref)
	return true
}

// looked goes on with a receipt that the store was asked about.
func (k *correlator) looked(r *inbound) {
	// Its response may have come while the store was read.
	for _, id := range r.ids {
		if k.inMemory(r, id) {
			return
		}
	}
	if r.found != nil && about(r.from, r.found.M) {
		k.matched(r, k.sent.found(r.found))
		return
	}
	if len(k.waiting) >= earlyMost {
		k.stray(r, "too many receipts without a response")
		return
	}
	k.waiting = append(k.waiting, r)
	for _, id := range r.ids {
		k.early[id.Key] = append(k.early[id.Key], r)
	}
}

// recall gives a part the receipts that were here before its response.
func (k *correlator) recall(ref *queue.Ref) {
	if len(k.waiting) > 0 {
		for _, r := range slices.Clone(k.early[ref.Info.CarrierID]) {
			if about(r.from, ref.M) {
				k.forget(r)
				r.by = k.forms.of(r.id, ref.Info.CarrierID)
				k.matched(r, ref)
			}
		}
	}
	if len(k.strays.byID) > 0 {
		for _, r := range k.strays.take(ref.Info.CarrierID, func(r *inbound) bool { return about(r.from, ref.M) }) {
			r.by = k.forms.of(r.id, ref.Info.CarrierID)
			k.matched(r, ref)
		}
	}
}

// forget takes a receipt from those that wait for their response.
func (k *correlator) forget(r *inbound) {
	r.settled = true
	for _, id := range r.ids {
		rest := slices.DeleteFunc(k.early[id.Key], func(other *inbound) bool { return other == r })
		if len(rest) == 0 {
			delete(k.early, id.Key)
			continue
		}
		k.early[id.Key] = rest
	}
}

// expireEarly stores receipts whose response did not come, and acknowledges them.
func (k *correlator) expireEarly(now time.Time, wait time.Duration) {
	n := 0
	for _, r := range k.waiting {
		switch {
		case r.settled:
		case now.Sub(r.came) < wait:
			k.waiting[n] = r
			n++
		default:
			k.forget(r)
			k.stray(r, "no part has this id")
		}
	}
	clear(k.waiting[n:])
	k.waiting = k.waiting[:n]
	k.lookUp()
}

// stray stores a receipt that matches nothing, and keeps it in memory for a while: the
// response may still come.
func (k *correlator) stray(r *inbound, why string) {
	k.strays.add(r)
	k.unmatched(r, why)
}

func (k *correlator) unmatched(r *inbound, why string) {
	k.c.met.unmatched.Inc()
	r.settled = true
	k.commitReceipt(r, &queue.Unmatched{Carrier: k.c.number, CarrierID: receipt.Normalise(r.id), Raw: r.raw, Why: why, At: queue.At(r.came)})
}

// matched decides what a receipt means for its message, and acknowledges it when that is
// on disk.
func (k *correlator) matched(r *inbound, ref *queue.Ref) {
	r.settled = true
	k.forms.matched(r.by)
	m, several := ref.M, k.sent.of(ref)
	k.c.met.receipt(r.info.State)
	if !ref.Info.Sent.Time().IsZero() {
		k.c.met.receiptLag.Observe(r.came.Sub(ref.Info.Sent.Time()).Seconds())
	}
	switch {
	case ref.Finalised, several != nil && several.ended, ref.Info.Attempt != m.Attempt:
		k.c.met.duplicates.Inc()
		k.done(r)
		return
	case !r.info.State.Final():
		k.intermediate(r, ref, several)
		return
	}
	perPart := ref.Info.Of > 1 && k.c.g.wantsEachPart(m)
	verdict := note(ref, r.info, partRules{lastPart: k.c.opt.Receipts.LastPart, all: perPart})
	if verdict.repeated {
		k.c.met.duplicates.Inc()
		k.done(r)
		return
	}
	k.c.met.finals.Inc()
	var step queue.Step
	if verdict.decided && (several == nil || len(m.Answers) == int(ref.Info.Of)) {
		k.finalise(ref, several, &r.final, verdict, r.came)
		step = &r.final
	} else {
		r.outcome = queue.Outcome{Ref: ref, Info: ref.Info}
		step = &r.outcome
	}
	if perPart {
		r.final.Deliver = nil // each part has had its own
		if d := k.c.g.clientReceipt(m, r.info.State, r.info.Err, r.came); d != nil {
			r.deliver = queue.Deliver{Delivery: d}
			k.commitReceipt(r, step, &r.deliver)
			return
		}
	}
	k.commitReceipt(r, step)
}

// finalise fills the step that ends a sent message.
func (k *correlator) finalise(ref *queue.Ref, several *severalParts, f *queue.Final, o outcome, at time.Time) {
	ref.Finalised = true
	if several != nil {
		several.ended = true
	}
	if k.c.opt.Unknown.Errs[o.err] && wantsFinal(pdu.RegisteredFailure, o.state) {
		k.c.unknownSubscriber(ref.M, at)
	}
	*f = queue.Final{Ref: ref, State: o.state, Err: o.err, Carrier: k.c.number, At: queue.At(at)}
	f.Deliver = k.c.g.clientReceipt(ref.M, o.state, o.err, at)
}

// intermediate passes an intermediate notification on, once for each state.
func (k *correlator) intermediate(r *inbound, ref *queue.Ref, several *severalParts) {
	told := &ref.Told
	if several != nil {
		told = &several.told
	}
	bit := uint16(1) << (r.info.State & 15)
	again := *told&bit != 0
	*told |= bit
	m := ref.M
	if again || m.RegisteredDelivery&pdu.RegisteredIntermediate == 0 {
		k.done(r)
		return
	}
	r.deliver = queue.Deliver{Delivery: k.c.g.intermediateReceipt(m, r.info.State, r.info.Err, r.came)}
	if r.deliver.Delivery == nil {
		k.done(r)
		return
	}
	k.commitReceipt(r, &r.deliver)
}

// commitReceipt stores what a receipt changes; the carrier's answer waits for it.
func (k *correlator) commitReceipt(r *inbound, steps ...queue.Step) {
	n := copy(r.steps[:], steps)
	if err := k.c.g.store.Commit(k.c.g.ctx, r, r.steps[:n]...); err != nil {
		r.Done(err)
	}
}

// Done answers the carrier. It runs on the committer.
func (r *inbound) Done(err error) {
	switch {
	case r.silent:
	case err != nil:
		r.carrier.met.receiptsRefused.Inc()
		r.reply.Send(pdu.ESME_RMSGQFUL, nil)
	default:
		r.reply.Send(pdu.ESME_ROK, nil)
	}
}

// done acknowledges a receipt that changes nothing, once what it repeats is on disk.
func (k *correlator) done(r *inbound) { k.commitReceipt(r) }

// about tells whether a receipt's number may be the message's: carriers add and drop
// prefixes, so the last digits count. A receipt without a number agrees with any.
func about(from string, m *queue.Message) bool {
	return !isNumber(from) || sameTail(from, m.Dest.Addr) || m.DestWritten.Addr != "" && sameTail(from, m.DestWritten.Addr)
}

func isNumber(s string) bool { return s != "" && isDigits(strings.TrimPrefix(s, "+")) }

// sameTail compares as many last digits as the store does when it is asked.
func sameTail(a, b string) bool {
	const significant = 8
	return a[max(0, len(a)-significant):] == b[max(0, len(b)-significant):]
}

// strays are receipts that were stored as unmatched within the last minutes, by each id
// they may have: a late response still finds them.
type strays struct {
	byID  map[string][]*inbound
	order []*inbound // oldest first
}

const (
	strayFor   = 10 * time.Minute
	straysMost = 4096 // a carrier
)

// add keeps what a match needs of r: not its octets, and not the session it came on.
func (s *strays) add(r *inbound) {
	if s.byID == nil {
		s.byID = map[string][]*inbound{}
	}
	kept := &inbound{info: r.info, id: r.id, ids: r.ids, from: r.from, came: r.came, carrier: r.carrier, silent: true}
	if len(s.order) >= straysMost {
		s.remove(s.order[0])
		s.order = s.order[1:]
	}
	s.order = append(s.order, kept)
	for _, id := range kept.ids {
		s.byID[id.Key] = append(s.byID[id.Key], kept)
	}
}

// take gives the receipts that wait for a response with this id and that fit.
func (s *strays) take(id string, fits func(*inbound) bool) []*inbound {
	var out []*inbound
	for _, r := range s.byID[id] {
		if fits(r) {
			out = append(out, r)
		}
	}
	for _, r := range out {
		s.remove(r)
		if at := slices.Index(s.order, r); at >= 0 {
			s.order = slices.Delete(s.order, at, at+1)
		}
	}
	return out
}

func (s *strays) remove(r *inbound) {
	for _, id := range r.ids {
		rest := slices.DeleteFunc(s.byID[id.Key], func(other *inbound) bool { return other == r })
		if len(rest) == 0 {
			delete(s.byID, id.Key)
			continue
		}
		s.byID[id.Key] = rest
	}
}

func (s *strays) expire(now time.Time) {
	n := 0
	for n < len(s.order) && now.Sub(s.order[n].came) >= strayFor {
		s.remove(s.order[n])
		n++
	}
	s.order = s.order[n:]
	if len(s.order) == 0 {
		s.order = nil
	}
}
