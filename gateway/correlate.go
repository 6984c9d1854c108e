package gateway

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"

	"masar/queue"
	"masar/smpp"
	"masar/smpp/pdu"
	"masar/smpp/receipt"
)

// correlator is the one owner of what a carrier has answered and reported: it alone holds
// the carrier's LRU of sent parts, so that "receipt before its response" needs no lock.
// Sessions hand it answers and receipts in batches; a session's reader never reads the store.
type correlator struct {
	c    *carrier
	wake chan struct{} // buffer 1

	mu     sync.Mutex // short
	events []event

	// The run goroutine's own.
	spare   []event
	sent    *simplelru.LRU[string, *queue.Ref]       // by normalised carrier id
	several *simplelru.LRU[queue.ID, *queue.Message] // of more than one part: the one true copy
	early   map[string][]*inbound                    // receipts whose response is not here yet, by each id it may have
	waiting []*inbound                               // the same in order of arrival
	misses  []*inbound                               // to be looked up
	forms   formTrials
	queries chan []*inbound
	lates   chan event // answers after their time, for the reader of the store
}

const (
	sentMost    = 1 << 16 // sent parts kept in memory, a carrier
	severalMost = 1 << 14
	earlyWait   = 2 * time.Second // how long a receipt waits for its response
	earlyMost   = receiptWindow
)

// event is one thing a session tells the correlator. Exactly one of part and rec is set.
type event struct {
	part   *flightPart
	status pdu.Status
	id     string
	err    error
	late   bool
	at     time.Time
	settle bool // part's flight has nothing on the wire any more

	rec      *inbound
	lookedUp bool
}

// inbound is a receipt on its way to the message it is about.
type inbound struct {
	info    queue.PartInfo      // state, error and time of it
	id      string              // as the carrier wrote it
	ids     []receipt.Candidate // the keys it may have; filled when the likeliest missed
	by      receipt.Candidate   // the one that matched
	from    string              // the recipient's number as the carrier wrote it
	raw     []byte              // the deliver_sm body
	reply   smpp.Reply
	came    time.Time
	found   *queue.Ref
	settled bool
	final   queue.Final
	outcome queue.Outcome
	deliver queue.Deliver
	steps   [2]queue.Step
	carrier *carrier
}

func newCorrelator(c *carrier) *correlator {
	sent, _ := simplelru.NewLRU[string, *queue.Ref](sentMost, nil) // fails for a size below 1 only
	several, _ := simplelru.NewLRU[queue.ID, *queue.Message](severalMost, nil)
	return &correlator{
		c: c, wake: make(chan struct{}, 1), sent: sent, several: several,
		early: map[string][]*inbound{}, queries: make(chan []*inbound, 1), lates: make(chan event, 64),
		forms: newFormTrials(&c.opt.Receipts),
	}
}

func (k *correlator) put(e ...event) {
	k.mu.Lock()
	k.events = append(k.events, e...)
	k.mu.Unlock()
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// answer takes a submit_sm_resp over from a session's reader.
func (k *correlator) answer(p *flightPart, a smpp.Answer) {
	e := event{part: p, status: a.Header.Status, err: a.Err, at: a.At}
	if a.Err == nil {
		k.c.met.latency.Observe(a.At.Sub(a.Sent).Seconds())
		if r, ok := a.Body.(*pdu.MessageResp); ok && a.Header.Status == pdu.ESME_ROK {
			e.id = receipt.Normalise(string(r.MessageID))
		}
		if a.Header.Command == pdu.CmdGenericNack && a.Header.Status == pdu.ESME_ROK {
			e.status = pdu.ESME_RUNKNOWNERR
		}
	}
	k.put(e)
}

// late takes an answer that came after its time.
func (k *correlator) late(p *flightPart, a smpp.Answer) {
	e := event{part: p, status: a.Header.Status, at: a.At, late: true}
	if r, ok := a.Body.(*pdu.MessageResp); ok {
		e.id = receipt.Normalise(string(r.MessageID))
	}
	k.put(e)
}

var errSessionEnded = errors.New("the session ended before the answer")

// lost takes the parts that were unanswered when their session ended.
func (k *correlator) lost(tokens []any) {
	now := time.Now()
	events := make([]event, 0, len(tokens))
	for _, t := range tokens {
		events = append(events, event{part: t.(*flightPart), err: errSessionEnded, at: now})
	}
	k.put(events...)
}

// settle says that a stopped flight has nothing on the wire any more.
func (k *correlator) settle(f *flight) { k.put(event{part: &f.parts[0], settle: true}) }

// run is the correlator's goroutine.
func (k *correlator) run(ctx context.Context) {
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-k.wake:
		case <-tick.C:
			k.expireEarly(time.Now())
		}
		k.mu.Lock()
		batch := k.events
		k.events = k.spare[:0]
		k.mu.Unlock()
		for i := range batch {
			k.take(&batch[i])
		}
		clear(batch)
		k.spare = batch
		k.lookUp()
	}
}

func (k *correlator) take(e *event) {
	switch {
	case e.settle:
		k.concludeFlight(e.part.f)
	case e.late:
		k.lateAnswer(e)
	case e.part != nil:
		k.answered(e)
	case e.lookedUp:
		k.looked(e.rec)
	default:
		k.received(e.rec)
	}
}

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
	ref, ok := k.sent.Get(id.Key)
	if !ok || !sameNumber(r.from, ref.M.Dest.Addr) {
		return false
	}
	r.by = id
	k.matched(r, ref)
	return true
}

// lookUp hands what memory did not know to the reader of the store, in one batch.
func (k *correlator) lookUp() {
	if len(k.misses) == 0 {
		return
	}
	select {
	case k.queries <- k.misses:
		k.misses = nil
	default: // it is busy: they go with the next batch
	}
}

// read is the goroutine that asks the store.
func (k *correlator) read(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case batch := <-k.queries:
			k.put(k.query(ctx, batch)...)
		case e := <-k.lates:
			k.claimLate(ctx, e)
		}
	}
}

func (k *correlator) query(ctx context.Context, batch []*inbound) []event {
	q := make([]queue.Lookup, len(batch))
	for i, r := range batch {
		for _, id := range r.ids {
			q[i].IDs = append(q[i].IDs, id.Key)
		}
	}
	if err := k.c.g.store.Correlate(ctx, k.c.number, q); err != nil {
		k.c.log.Error("receipts could not be looked up", slog.Any("err", err))
	}
	events := make([]event, len(batch))
	for i, r := range batch {
		if r.found = q[i].Found; r.found != nil {
			r.by = r.ids[q[i].Form]
		}
		events[i] = event{rec: r, lookedUp: true}
	}
	return events
}

// looked goes on with a receipt that the store was asked about.
func (k *correlator) looked(r *inbound) {
	// Its response may have come while the store was read.
	for _, id := range r.ids {
		if k.inMemory(r, id) {
			return
		}
	}
	if r.found != nil && sameNumber(r.from, r.found.M.Dest.Addr) {
		k.remember(r.found)
		k.matched(r, r.found)
		return
	}
	if len(k.waiting) >= earlyMost {
		k.unmatched(r, "too many receipts without a response")
		return
	}
	k.waiting = append(k.waiting, r)
	for _, id := range r.ids {
		k.early[id.Key] = append(k.early[id.Key], r)
	}
}

// remember keeps a sent part in memory under its id; the parts of one message share it.
func (k *correlator) remember(ref *queue.Ref) {
	if ref.Info.Of > 1 {
		if m, ok := k.several.Get(ref.M.ID); ok {
			ref.M = m
		} else {
			if len(ref.Parts) > 0 {
				ref.M.Answers = ref.Parts
			}
			k.several.Add(ref.M.ID, ref.M)
		}
	}
	if ref.Info.CarrierID != "" {
		k.sent.Add(ref.Info.CarrierID, ref)
	}
}

// recall gives a part's early receipts to it.
func (k *correlator) recall(ref *queue.Ref) {
	if len(k.waiting) == 0 {
		return
	}
	for _, r := range k.early[ref.Info.CarrierID] {
		if !r.settled && sameNumber(r.from, ref.M.Dest.Addr) {
			k.forget(r)
			r.by = k.forms.of(r.id, ref.Info.CarrierID)
			k.matched(r, ref)
		}
	}
}

func (k *correlator) forget(r *inbound) {
	r.settled = true
	for _, id := range r.ids {
		delete(k.early, id.Key)
	}
}

// expireEarly stores receipts whose response did not come, and acknowledges them.
func (k *correlator) expireEarly(now time.Time) {
	n := 0
	for _, r := range k.waiting {
		switch {
		case r.settled:
		case now.Sub(r.came) < earlyWait:
			k.waiting[n] = r
			n++
		default:
			k.forget(r)
			k.unmatched(r, "no part has this id")
		}
	}
	clear(k.waiting[n:])
	k.waiting = k.waiting[:n]
	k.lookUp()
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
	m := ref.M
	k.c.met.receipt(r.info.State)
	if !ref.Info.Sent.Time().IsZero() {
		k.c.met.receiptLag.Observe(r.came.Sub(ref.Info.Sent.Time()).Seconds())
	}
	if ref.Finalised || ref.Info.Attempt != m.Attempt {
		k.c.met.duplicates.Inc()
		k.done(r)
		return
	}
	if !r.info.State.Final() {
		k.intermediate(r, ref)
		return
	}
	verdict := note(ref, r.info, k.c.opt.Receipts.LastPart)
	switch {
	case verdict.repeated:
		k.c.met.duplicates.Inc()
		k.done(r)
	case verdict.decided && len(m.Answers) == int(ref.Info.Of) || verdict.decided && ref.Info.Of == 1:
		ref.Finalised = true
		r.final = queue.Final{Ref: ref, State: verdict.state, Err: verdict.err, Carrier: k.c.number, At: queue.At(r.came)}
		r.final.Deliver = k.c.g.clientReceipt(m, verdict.state, verdict.err, r.came)
		k.markFinal(ref)
		k.commitReceipt(r, &r.final)
	default:
		r.outcome = queue.Outcome{Ref: ref, Info: ref.Info}
		k.commitReceipt(r, &r.outcome)
	}
}

// markFinal lets the other parts' receipts know that the message has ended.
func (k *correlator) markFinal(ref *queue.Ref) {
	if ref.Info.Of == 1 {
		return
	}
	for _, a := range ref.M.Answers {
		if other, ok := k.sent.Peek(a.CarrierID); ok && other.M == ref.M {
			other.Finalised = true
		}
	}
}

// intermediate passes an intermediate notification on, once for each state.
func (k *correlator) intermediate(r *inbound, ref *queue.Ref) {
	bit := uint16(1) << (r.info.State & 15)
	told := ref.Told&bit != 0
	ref.Told |= bit
	m := ref.M
	if told || m.RegisteredDelivery&pdu.RegisteredIntermediate == 0 {
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
func (k *correlator) commitReceipt(r *inbound, step queue.Step) {
	r.steps[0] = step
	if err := k.c.g.store.Commit(k.c.g.ctx, r, r.steps[:1]...); err != nil {
		r.Done(err)
	}
}

// Done answers the carrier. It runs on the committer.
func (r *inbound) Done(err error) {
	if err != nil {
		r.carrier.met.receiptsRefused.Inc()
		r.reply.Send(pdu.ESME_RMSGQFUL, nil)
		return
	}
	r.reply.Send(pdu.ESME_ROK, nil)
}

// done acknowledges a receipt that changes nothing.
func (k *correlator) done(r *inbound) { r.reply.Send(pdu.ESME_ROK, nil) }

// sameNumber tells whether a receipt's number may be the message's: carriers add and drop
// prefixes, so the last nine digits count. A receipt without a number agrees with any.
func sameNumber(from, dest string) bool {
	const significant = 9
	if !isDigits(strings.TrimPrefix(from, "+")) || from == "" {
		return true
	}
	n := min(len(from), len(dest), significant)
	return from[len(from)-n:] == dest[len(dest)-n:]
}
