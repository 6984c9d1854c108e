package gateway

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"masar/queue"
	"masar/smpp"
	"masar/smpp/pdu"
	"masar/smpp/receipt"
)

// correlator is the one owner of what a carrier has answered and reported: it alone holds
// the carrier's memory of sent parts, so that "receipt before its response" needs no lock.
// Sessions hand it answers and receipts in batches; a session's reader never reads the
// store. match.go finds the message of a receipt, settle.go goes on with an answer.
type correlator struct {
	c    *carrier
	wake chan struct{} // buffer 1
	over chan struct{} // closed by run, when it ends

	mu        sync.Mutex // short
	events    []event
	finishing bool

	// The run goroutine's own.
	spare   []event
	sent    sentParts
	early   map[string][]*inbound // receipts whose response is not here yet, by each id it may have
	waiting []*inbound            // the same in order of arrival
	strays  strays                // receipts stored as unmatched a little ago
	misses  []*inbound            // to be looked up
	forms   formTrials
	asked   int             // jobs that the reader has and has not answered
	jobs    chan readersJob // closed by run, when it ends
}

const (
	earlyWait = 2 * time.Second // how long a receipt waits for its response
	earlyMost = receiptWindow
	earlyTick = 250 * time.Millisecond // how often those whose time is over are looked for
)

// event is one thing that the correlator is told.
type event struct {
	kind    eventKind
	class   AnswerClass
	status  pdu.Status
	part    *flightPart
	id      string // of the response, normalised
	at      time.Time
	rec     *inbound
	message queue.ID
}

type eventKind uint8

const (
	answerCame     eventKind = iota // part, class, status, id, at: no throttle
	answerLate                      // the same, after its ErrTimeout
	noAnswerCame                    // part: it is not to be sent again at once
	lostTooOften                    // part: every session it goes over ends
	flightEmpty                     // part: a stopped flight has nothing on the wire any more
	flightExpired                   // part: the validity of what is not sent yet has ended
	flightKept                      // part: its flight may not leave, keeps says why
	attemptEnded                    // message: it begins anew over another carrier
	receiptCame                     // rec
	receiptBroken                   // rec: no id or no state
	receiptLooked                   // rec: the store was asked
	readerAnswered                  // a job of the reader is done
)

// readersJob is what the reader of the store does: look receipts up, or claim the message
// of a late answer.
type readersJob struct {
	receipts []*inbound
	late     event
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
	silent  bool // it is answered already
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
	return &correlator{
		c: c, wake: make(chan struct{}, 1), over: make(chan struct{}), sent: newSentParts(c.g.opt.sentMost),
		early: map[string][]*inbound{}, jobs: make(chan readersJob, 64),
		forms: newFormTrials(&c.opt.Receipts),
	}
}

func (k *correlator) put(e ...event) {
	k.mu.Lock()
	k.events = append(k.events, e...)
	k.mu.Unlock()
	k.wakeUp()
}

func (k *correlator) wakeUp() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// finish lets run end once it has done all that it was told. Nothing may be told after it.
func (k *correlator) finish() {
	k.mu.Lock()
	k.finishing = true
	k.mu.Unlock()
	k.wakeUp()
}

// answer takes a submit_sm_resp over from a session's reader, or word that none came. What
// keeps the dispatcher from sending on is said here and now: once the correlator gets to
// it the next part, or the next message of the lane, would be on the wire already.
func (k *correlator) answer(p *flightPart, a smpp.Answer) {
	if a.Err != nil {
		k.unanswered(p, TimedOut)
		return
	}
	k.c.met.latency.Observe(a.At.Sub(a.Sent).Seconds())
	e := event{part: p, status: a.Header.Status, id: messageID(a), at: a.At}
	if a.Header.Command == pdu.CmdGenericNack && a.Header.Status == pdu.ESME_ROK {
		e.status = pdu.ESME_RUNKNOWNERR // a refusal that says nothing
	}
	e.class = k.c.opt.classify(e.status)
	k.c.met.answer(e.class)
	if e.class != AnswerThrottle && !k.c.heard.Load() {
		k.c.heard.Store(true)
	}
	switch e.class {
	case AnswerThrottle:
		k.c.giveBack(p, asThrottled)
		return
	case AnswerOK:
		k.c.unrecorded.Add(1)
	default:
		p.f.stopped.Store(true)
		p.f.standsNot()
	}
	k.put(e)
}

// unanswered follows the route's policy for a submit_sm that the carrier may have taken
// or not. Any goroutine.
func (k *correlator) unanswered(p *flightPart, cause UncertainCause) {
	p.f.unheard.Store(true)
	k.noteUncertain(p.f, cause)
	if p.f.policy() == Resend && cause == SessionEnded {
		k.c.giveBack(p, asLost)
		return
	}
	// A carrier that does not answer in time gets it again, but as a try of the schedule:
	// it may have taken every one before.
	p.f.stopped.Store(true)
	p.f.standsNot()
	k.put(event{kind: noAnswerCame, part: p})
}

// lost takes the parts that were unanswered when their session ended.
func (k *correlator) lost(tokens []any) {
	for _, t := range tokens {
		k.unanswered(t.(*flightPart), SessionEnded)
	}
}

// late takes an answer that came after its time.
func (k *correlator) late(p *flightPart, a smpp.Answer) {
	k.put(event{kind: answerLate, part: p, status: a.Header.Status, id: messageID(a), at: a.At})
}

func messageID(a smpp.Answer) string {
	r, ok := a.Body.(*pdu.MessageResp)
	if !ok || a.Header.Status != pdu.ESME_ROK || len(r.MessageID) == 0 {
		return ""
	}
	return receipt.Normalise(string(r.MessageID))
}

// inherit takes over what a correlator that has ended knows of sent parts: a message that
// was half sent goes on here, and the claim does not know what receipts have said of its
// first parts. REQUIRES: k does not run yet.
func (k *correlator) inherit(before *correlator) {
	select {
	case <-before.over:
		k.sent = before.sent
	default: // it never ran, or did not end in time
	}
}

var errSessionEnded = errors.New("the session ended before the answer")

// unreadable takes a receipt that names no message or no state.
func (k *correlator) unreadable(r *inbound) { k.put(event{kind: receiptBroken, rec: r}) }

// run is the correlator's goroutine.
func (k *correlator) run(ctx context.Context) {
	defer close(k.over)
	defer close(k.jobs)
	tick := time.NewTimer(time.Hour)
	defer tick.Stop()
	ticking := false
	for {
		if waits := len(k.waiting)+len(k.strays.order) > 0; waits && !ticking {
			tick.Reset(earlyTick)
			ticking = true
		}
		select {
		case <-ctx.Done():
			return
		case <-k.wake:
		case now := <-tick.C:
			ticking = false
			k.expireEarly(now, earlyWait)
			k.strays.expire(now)
		}
		k.mu.Lock()
		batch := k.events
		k.events = k.spare[:0]
		finishing := k.finishing
		k.mu.Unlock()
		for i := range batch {
			k.take(&batch[i])
		}
		done := finishing && len(batch) == 0
		clear(batch)
		k.spare = batch
		if cap(batch) > eventsKept {
			k.spare = nil // a burst's room is not kept for ever
		}
		k.lookUp()
		if done && k.asked == 0 && len(k.misses) == 0 {
			k.expireEarly(time.Now(), 0)
			return
		}
		if finishing {
			k.wakeUp()
		}
	}
}

const eventsKept = 1 << 14

func (k *correlator) take(e *event) {
	switch e.kind {
	case answerCame:
		k.answered(e)
	case answerLate:
		k.lateAnswer(e)
	case noAnswerCame:
		k.doom(e.part.f, noAnswerFate(e.part.f))
		k.home(e.part.f)
	case lostTooOften:
		e.part.f.countEnds()
		k.doom(e.part.f, noAnswerFate(e.part.f))
		if e.part.f.out.Load() == 0 {
			k.concludeFlight(e.part.f)
		}
	case flightEmpty:
		k.concludeFlight(e.part.f)
	case flightExpired:
		k.expired(e.part.f)
	case flightKept:
		k.keptBack(e.part.f)
	case attemptEnded:
		k.sent.endAttempt(e.message)
	case receiptCame:
		k.received(e.rec)
	case receiptBroken:
		k.unmatched(e.rec, "unreadable: no id or no state")
	case receiptLooked:
		k.looked(e.rec)
	case readerAnswered:
		k.asked--
	}
}

// lookUp hands what memory did not know to the reader of the store, in one batch.
func (k *correlator) lookUp() {
	if len(k.misses) == 0 {
		return
	}
	if k.give(readersJob{receipts: k.misses}) {
		k.misses = nil
	}
}

// give hands a job to the reader; false: it has too many.
func (k *correlator) give(j readersJob) bool {
	select {
	case k.jobs <- j:
		k.asked++
		return true
	default:
		return false
	}
}

// read is the goroutine that asks the store.
func (k *correlator) read(ctx context.Context) {
	for j := range k.jobs {
		var back []event
		if j.receipts != nil {
			back = k.query(ctx, j.receipts)
		} else {
			back = k.claimLate(ctx, j.late)
		}
		k.put(append(back, event{kind: readerAnswered})...)
	}
}

func (k *correlator) query(ctx context.Context, batch []*inbound) []event {
	q := make([]queue.Lookup, len(batch))
	for i, r := range batch {
		if isNumber(r.from) {
			q[i].Dest = r.from
		}
		for _, id := range r.ids {
			q[i].IDs = append(q[i].IDs, id.Key)
		}
	}
	if err := k.c.g.store.Correlate(ctx, k.c.number, q); err != nil && ctx.Err() == nil {
		k.c.log.Error("receipts could not be looked up", slog.Any("err", err))
	}
	events := make([]event, len(batch), len(batch)+1)
	for i, r := range batch {
		if r.found = q[i].Found; r.found != nil {
			r.by = r.ids[q[i].Form]
		}
		events[i] = event{kind: receiptLooked, rec: r}
	}
	return events
}
