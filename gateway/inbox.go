package gateway

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"hash/maphash"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"github.com/prometheus/client_golang/prometheus"

	"masar/number"
	"masar/queue"
	"masar/service"
	"masar/smpp/pdu"
	"masar/smpp/text"
)

// inbox is the station of the short codes: what people write to them becomes changes of the
// registry, and each is answered. One goroutine; keyword.go decides.
//
// A carrier hears ESME_ROK when the change and its answer are on disk. Until then it sends
// the message again: the change then changes nothing, and the answer is known by its Once.
type inbox struct {
	g   *Gateway
	in  chan *keyword
	met inboxMetrics

	said refusalLog // of what fails; the run goroutine's

	mu       sync.Mutex
	answered *simplelru.LRU[number.E164, *correspondent]
	seed     maphash.Seed
}

// keyword is one message to a short code on its way through the inbox.
type keyword struct {
	wish
	carrier    uint32
	set        *moSet // the parts it came in; nil: it came whole
	reply      answer // nil: nobody waits for it any more
	standing   *service.Standing
	language   string
	first, end int // its changes' places in the batch
}

// correspondent is what a number was answered of late.
type correspondent struct {
	began   time.Time // of the hour that replies counts
	replies int
	last    uint64 // hash of its latest message that was dealt with
	lastAt  time.Time
	turn    uint32 // how many messages, repetitions not counted
}

const (
	inboxMost = 256 // messages that wait; then the carrier is told to send again
	inboxTurn = 64  // changed in one batch

	// Two machines that answer each other must not do so for ever.
	repliesAnHour  = 5
	correspondents = 100_000

	// repeatFor is how long the same message again from a number that wrote nothing else
	// since is the carrier's repetition, or a double tap, and has its answer already.
	repeatFor = 10 * time.Minute
)

func newInbox(g *Gateway) *inbox {
	lru, _ := simplelru.NewLRU[number.E164, *correspondent](correspondents, nil) // fails for a size below 1 only
	return &inbox{g: g, in: make(chan *keyword, inboxMost), met: g.met.inbox, answered: lru, seed: maphash.MakeSeed()}
}

// keyword hands a message to the inbox; false: it is to no short code, or has no keyword
// and a rule fits it, or nobody can be answered. It runs on mobile's goroutine.
func (mo *mobile) keyword(w *world, from uint32, codings text.Codings, p *pdu.DeliverSM, set *moSet, reply answer, came time.Time) bool {
	code := w.shortCode(p.Dest.Addr)
	if code == nil || mo.g.opt.Registry == nil {
		return false
	}
	said := mobileText(codings, p)
	cmd := code.Words.Parse(said)
	if cmd.Verb == service.VerbUnclear {
		if rule, _ := w.mobileRule(p, said); rule != nil {
			return false
		}
	}
	n, ok := w.writer(p)
	if !ok {
		return false
	}
	k := &keyword{carrier: from, set: set, reply: reply}
	k.wish = wish{code: code, from: n, to: string(p.Dest.Addr), text: said, cmd: cmd, came: came}
	select {
	case mo.g.inbox.in <- k:
	default:
		mo.g.inbox.again(k)
	}
	return true
}

// writer is the number that a message came from, by the numbers of the account that answers.
func (w *world) writer(p *pdu.DeliverSM) (number.E164, bool) {
	if p.Source.TON == pdu.TONInternational {
		if n, ok := number.Of(p.Source.Addr); ok {
			return n, true
		}
	}
	a := w.account(w.setup.Keywords.Account)
	if a == nil {
		return number.Of(p.Source.Addr)
	}
	n, err := number.Parse(string(p.Source.Addr), a.opt.Load().Numbers.Country)
	return n, err == nil
}

func (x *inbox) run() {
	ctx := x.g.ctx
	var batch []*keyword
	var next *keyword
	for {
		batch = batch[:0]
		if next != nil {
			batch, next = append(batch, next), nil
		} else {
			select {
			case <-ctx.Done():
				return
			case k := <-x.in:
				batch = append(batch, k)
			}
		}
	more:
		for len(batch) < inboxTurn {
			select {
			case k := <-x.in:
				if slices.ContainsFunc(batch, func(other *keyword) bool { return other.from == k.from }) {
					next = k // what is known of its number is to be asked after its change before
					break more
				}
				batch = append(batch, k)
			default:
				break more
			}
		}
		x.turn(ctx, batch)
	}
}

// turn deals with messages of different numbers: one batch of changes, then the answers.
func (x *inbox) turn(ctx context.Context, batch []*keyword) {
	w := x.g.world.Load()
	kw, cat := w.setup.Keywords, w.setup.Catalogue
	if kw == nil || cat == nil { // a reload took them meanwhile
		for _, k := range batch {
			x.again(k)
		}
		return
	}
	var changes []service.Change
	ready := batch[:0]
	for _, k := range batch {
		st, err := x.g.opt.Registry.Lookup(ctx, k.from)
		if err != nil {
			x.trouble(ctx, "lookup", err)
			x.again(k)
			continue
		}
		k.sort(cat)
		k.standing, k.language = st, k.tongue(cat, st)
		k.first = len(changes)
		changes = append(changes, k.changes(kw, st, k.language)...)
		k.end = len(changes)
		ready = append(ready, k)
	}
	var outcomes []service.Outcome
	if len(changes) > 0 {
		var err error
		if outcomes, err = x.g.opt.Registry.Apply(ctx, service.Batch{Changes: changes}); err != nil {
			x.trouble(ctx, "change", err)
			for _, k := range ready {
				x.again(k)
			}
			return
		}
	}
	for _, k := range ready {
		x.met.verbs[k.cmd.Verb].Inc()
		x.answer(ctx, w, k, outcomes[k.first:k.end])
	}
}

// answer words the answer, stores it and then acknowledges the message.
func (x *inbox) answer(ctx context.Context, w *world, k *keyword, outcomes []service.Outcome) {
	now := time.Now()
	for _, o := range outcomes {
		if o.Err != nil {
			x.trouble(ctx, "change", o.Err)
		}
	}
	reply, codes := k.verdict(k.standing, outcomes)
	var say written
	if reply != "" {
		say = k.write(w.setup.Catalogue, reply, codes, k.language, now)
	}
	if say.text == "" {
		x.done(k, unanswered)
		return
	}
	turn, verdict := x.mayAnswer(k, now)
	if verdict != answeredNow {
		x.done(k, verdict)
		return
	}
	p, err := x.g.prepare(ctx, &Notice{
		Account: w.setup.Keywords.Account, Service: say.service, Number: k.from, Source: k.to,
		Text: say.text, Template: say.template, Once: k.once(turn, now), System: true,
	}, false)
	var beside []queue.Step
	if k.set != nil {
		beside = append(beside, &queue.Deliver{MO: &k.set.ref})
	}
	if err == nil {
		err = p.commit(ctx, func(err error) {
			if err != nil {
				x.again(k)
				return
			}
			x.note(k, now)
			x.met.replies[answeredNow].Inc()
			k.acknowledge(pdu.ESME_ROK)
		}, beside...)
	}
	switch {
	case err == nil:
	case passing(err):
		x.again(k)
	default:
		// The number is blocked, there is no route: sent again it would end the same way.
		x.trouble(ctx, "answer", err)
		x.done(k, refusedAnswer)
	}
}

// passing tells whether an answer that was refused may be taken a moment later.
func passing(err error) bool {
	var no *SubmitError
	if !errors.As(err, &no) {
		return !errors.Is(err, ErrNoAccount)
	}
	switch no.Refusal {
	case ShuttingDown, RegistryFailed, QueueFull, DiskFull, StoreBusy, StoreFailed:
		return true
	}
	return false
}

// again lets the carrier send a message once more. One that came in parts it has only the
// last of: the others go back to where they waited.
func (x *inbox) again(k *keyword) {
	x.met.replies[toBeSentAgain].Inc()
	if k.set != nil {
		select {
		case x.g.mobile.back <- k.set:
		default: // they are in the store: found again at the next start
		}
	}
	k.acknowledge(pdu.ESME_RMSGQFUL)
}

// done acknowledges a message that gets no answer.
func (x *inbox) done(k *keyword, verdict replyVerdict) {
	x.met.replies[verdict].Inc()
	if k.set != nil {
		x.g.mobile.commit(k.reply, &queue.Deliver{MO: &k.set.ref})
		return
	}
	k.acknowledge(pdu.ESME_ROK)
}

func (k *keyword) acknowledge(st pdu.Status) {
	if k.reply != nil {
		k.reply(st, nil)
	}
}

// mayAnswer tells whether a message is to be answered, and which of its number's it is.
func (x *inbox) mayAnswer(k *keyword, now time.Time) (turn uint32, v replyVerdict) {
	x.mu.Lock()
	defer x.mu.Unlock()
	c, ok := x.answered.Get(k.from)
	if !ok {
		return 0, answeredNow
	}
	switch {
	case c.last == x.hash(k) && now.Sub(c.lastAt) < repeatFor:
		return 0, repeatedMessage
	case now.Sub(c.began) < time.Hour && c.replies >= repliesAnHour:
		return 0, overLimit
	}
	return c.turn, answeredNow
}

// note remembers that a message was answered. Runs on the committer.
func (x *inbox) note(k *keyword, now time.Time) {
	x.mu.Lock()
	defer x.mu.Unlock()
	c, ok := x.answered.Get(k.from)
	if !ok || now.Sub(c.began) >= time.Hour {
		turn := uint32(0)
		if ok {
			turn = c.turn
		}
		c = &correspondent{began: now, turn: turn}
		x.answered.Add(k.from, c)
	}
	c.replies++
	c.turn++
	c.last, c.lastAt = x.hash(k), now
}

// hash is of what a message says, to whom.
func (x *inbox) hash(k *keyword) uint64 {
	var h maphash.Hash
	h.SetSeed(x.seed)
	h.WriteString(k.to)
	h.WriteByte(0)
	h.WriteString(k.text)
	return h.Sum64()
}

// once names the answer to a message: the same for the carrier's repetition, also after a
// crash between the answer and its acknowledgement, unless that crosses ten minutes.
func (k *keyword) once(turn uint32, now time.Time) []byte {
	b := binary.BigEndian.AppendUint64(nil, uint64(k.from))
	b = binary.BigEndian.AppendUint64(b, uint64(now.Unix()/int64(repeatFor/time.Second)))
	b = binary.BigEndian.AppendUint32(b, turn)
	b = append(b, k.to...)
	b = append(b, 0)
	b = append(b, k.text...)
	sum := sha256.Sum256(b)
	return append([]byte("keyword "), sum[:16]...)
}

// trouble logs what fails: one line in ten seconds. step is lookup, change or answer.
func (x *inbox) trouble(ctx context.Context, step string, err error) {
	if ctx.Err() != nil {
		return
	}
	now := time.Now()
	if now.Sub(x.said.last) < refusalLogEvery {
		x.said.silent++
		return
	}
	x.g.log.Warn("message to a short code was not carried out", slog.String("step", step), slog.Any("err", err), slog.Int("not_logged", x.said.silent))
	x.said = refusalLog{last: now}
}

// replyVerdict is what became of a message to a short code.
type replyVerdict uint8

const (
	answeredNow     replyVerdict = iota
	unanswered                   // its answer has no text, or the registry refused the change
	overLimit                    // the number had its answers of this hour
	repeatedMessage              // it was answered a moment ago
	refusedAnswer                // the answer may not be sent
	toBeSentAgain                // the carrier was told to send it again
	replyVerdicts
)

var replyVerdictNames = [replyVerdicts]string{"sent", "none", "over_limit", "repeated", "refused", "again"}

// inboxMetrics are what the inbox counts.
type inboxMetrics struct {
	verbs   [service.VerbHelp + 1]prometheus.Counter
	replies [replyVerdicts]prometheus.Counter
}

func newInboxMetrics(b builder) (m inboxMetrics) {
	verbs := b.counter("keywords_total", "messages to short codes by what they ask for", "verb")
	for v := range m.verbs {
		m.verbs[v] = verbs.WithLabelValues(service.Verb(v).String())
	}
	replies := b.counter("keyword_replies_total", "answers to messages to short codes by what became of them", "result")
	for v, name := range replyVerdictNames {
		m.replies[v] = replies.WithLabelValues(name)
	}
	return m
}
