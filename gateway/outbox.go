package gateway

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"masar/queue"
	"masar/smpp"
	"masar/smpp/pdu"
)

// pump sends what waits in one account's outbox to its bound receivers: in sequence, at
// most a window per bind, again until it is acknowledged or its time ends. While nobody is
// bound it holds nothing: what it had taken is back in the store.
type pump struct {
	a    *account
	wake chan struct{} // buffer 1

	mu      sync.Mutex
	answers []pumpAnswer

	// The run goroutine's own.
	spare    []pumpAnswer
	has      bool                     // the outbox may have more than was taken
	taken    []*queue.Delivery        // taken, not looked at yet
	retries  []retrying               // to be sent later
	behind   map[queue.ID][]*outgoing // they wait for an earlier one about the same message
	waiting  int                      // how many that are
	busy     map[queue.ID]struct{}    // messages with a delivery on the wire or in retries
	sessions []*client
	turnAt   int
	sm       pdu.DeliverSM
	tlvs     pdu.TLVs
	refused  refusalLog
}

// outgoing is one deliver_sm on its way: the token of its Send.
type outgoing struct {
	d     *queue.Delivery
	to    *client
	tries int
	step  queue.Delivered
	steps [1]queue.Step
}

type pumpAnswer struct {
	o      *outgoing
	status pdu.Status
	err    error
	late   bool
}

type retrying struct {
	o  *outgoing
	at time.Time
}

const (
	retriesMost  = 1000 // deliveries that wait in memory to go again; at this bound the pump takes no more
	sendsPerTurn = 256  // then answers are taken in
	retryFirst   = time.Second
	retryLongest = 5 * time.Minute
	overtakeWait = 10 * time.Millisecond // how often to look whether a submit_sm_resp is written
)

func newPump(a *account) *pump {
	return &pump{
		a: a, wake: make(chan struct{}, 1), has: true,
		busy: map[queue.ID]struct{}{}, behind: map[queue.ID][]*outgoing{},
	}
}

func (p *pump) wakeUp() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *pump) answered(o *outgoing, a smpp.Answer) {
	st := a.Header.Status
	if a.Header.Command == pdu.CmdGenericNack && st == pdu.ESME_ROK {
		st = pdu.ESME_RUNKNOWNERR
	}
	if !a.Late {
		p.a.g.met.openDeliveries.Add(-1)
	}
	p.put(pumpAnswer{o, st, a.Err, a.Late})
}

// unanswered gives back a delivery whose session ended.
func (p *pump) unanswered(o *outgoing) {
	p.a.g.met.openDeliveries.Add(-1)
	p.put(pumpAnswer{o: o, err: errSessionEnded})
}

func (p *pump) put(a pumpAnswer) {
	p.mu.Lock()
	p.answers = append(p.answers, a)
	p.mu.Unlock()
	p.wakeUp()
}

func (p *pump) run() {
	ctx := p.a.g.ctx
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		if wait := p.turn(ctx, time.Now()); wait > 0 {
			timer.Reset(wait)
		}
		select {
		case <-ctx.Done():
			return
		case <-p.wake:
			p.has = true
		case <-timer.C:
		}
	}
}

// turn takes answers in and sends what can be sent; it returns when to look again, zero:
// only a wake brings a reason.
func (p *pump) turn(ctx context.Context, now time.Time) time.Duration {
	p.mu.Lock()
	batch := p.answers
	p.answers = p.spare[:0]
	p.mu.Unlock()
	for i := range batch {
		p.take(ctx, &batch[i], now)
	}
	clear(batch)
	p.spare = batch
	p.sessions = p.a.receivers(p.sessions[:0])
	switch {
	case len(p.sessions) == 0:
		p.giveBack()
		return 0
	case p.a.g.closing.Load():
		return 0 // answers only: what would go out now would go twice
	}
	next := p.again(ctx, now)
	n := len(p.retries)
	for sent := 0; len(p.taken) > 0 || p.refill(); sent++ {
		if sent == sendsPerTurn {
			p.wakeUp() // a client that answers at once must not keep its answers from being heard
			break
		}
		if !p.sendFirst(ctx, now) {
			break
		}
	}
	if len(p.retries) > n {
		next = sooner(next, overtakeWait)
	}
	return next
}

// giveBack returns everything to the store: nobody is bound. An account that has left the
// configuration leaves its outbox to the one that may come back under its name.
func (p *pump) giveBack() {
	store := p.a.g.store
	n := len(p.taken) + p.waiting
	for _, d := range p.taken {
		store.ReleaseOutbox(d)
	}
	for _, r := range p.retries {
		store.ReleaseOutbox(r.o.d)
		p.done(r.o.d.Message)
	}
	for id, list := range p.behind {
		for _, o := range list {
			store.ReleaseOutbox(o.d)
		}
		delete(p.behind, id)
	}
	p.taken, p.retries, p.waiting = nil, nil, 0
	if n > 0 && p.a.g.world.Load().byNumber[p.a.number] != p.a {
		p.a.g.outboxHas(p.a.number)
	}
}

// refill takes more from the outbox; false: there is nothing, or too much waits already.
func (p *pump) refill() bool {
	p.mu.Lock()
	unheard := len(p.answers)
	p.mu.Unlock()
	if !p.has || p.waiting+unheard >= retriesMost {
		return false // a turn follows: unheard answers have woken us
	}
	p.taken, _ = p.a.g.store.TakeOutbox(p.a.number, 64, p.taken[:0])
	if len(p.taken) == 0 {
		p.has = false // the feed tells when there is more
	}
	return len(p.taken) > 0
}

// sendFirst deals with the first delivery taken; false: all windows are full. One whose
// message has another on the wire waits behind that; one whose submit_sm_resp is not
// written yet waits a moment. Neither keeps those after it from going.
func (p *pump) sendFirst(ctx context.Context, now time.Time) bool {
	d := p.taken[0]
	o := &outgoing{d: d}
	if d.Expires <= queue.At(now) {
		p.taken = p.taken[1:]
		p.end(ctx, o, queue.Undelivered)
		return true
	}
	if _, busy := p.busy[d.Message]; busy && d.Message != 0 {
		p.taken = p.taken[1:]
		p.behind[d.Message] = append(p.behind[d.Message], o)
		p.waiting++
		return true
	}
	wait, sent := p.send(o, nil)
	if !sent && wait == 0 {
		return false // an answer wakes us
	}
	p.taken = p.taken[1:]
	if d.Message != 0 {
		p.busy[d.Message] = struct{}{}
	}
	if !sent {
		p.later(o, now.Add(wait))
	}
	return true
}

func (p *pump) later(o *outgoing, at time.Time) {
	p.retries = append(p.retries, retrying{o, at})
	p.waiting++
}

// send puts a delivery on one of the account's receivers, not on the one it failed on if
// there is another.
func (p *pump) send(o *outgoing, not *client) (wait time.Duration, sent bool) {
	s, _ := o.d.Origin.(*submission)
	if s != nil && s.client.session.State() != smpp.Closed && s.mark.Load() > s.client.session.Written() {
		if p.tryOn(o, s.client) {
			return 0, true // the same bind keeps the order by itself
		}
		return overtakeWait, false
	}
	for pass := range 2 {
		for i := range p.sessions {
			c := p.sessions[(p.turnAt+i)%len(p.sessions)]
			if (c == not) == (pass == 0) && not != nil {
				continue
			}
			if p.tryOn(o, c) {
				p.turnAt = (p.turnAt + i) % len(p.sessions)
				return 0, true
			}
		}
		if not == nil {
			break
		}
	}
	return 0, false
}

func (p *pump) tryOn(o *outgoing, c *client) bool {
	if st := c.session.State(); st != smpp.BoundRX && st != smpp.BoundTRX || c.session.Free() == 0 {
		return false
	}
	o.to = c
	p.write(o.d, c.noTLVs)
	p.a.g.met.openDeliveries.Add(1)
	if _, err := c.session.Send(pdu.CmdDeliverSM, &p.sm, o); err != nil {
		p.a.g.met.openDeliveries.Add(-1)
		return false
	}
	return true
}

func (p *pump) write(d *queue.Delivery, noTLVs bool) {
	p.sm = pdu.DeliverSM{
		ServiceType: append(p.sm.ServiceType[:0], d.ServiceType...),
		Source:      pdu.Address{TON: d.Source.TON, NPI: d.Source.NPI, Addr: append(p.sm.Source.Addr[:0], d.Source.Addr...)},
		Dest:        pdu.Address{TON: d.Dest.TON, NPI: d.Dest.NPI, Addr: append(p.sm.Dest.Addr[:0], d.Dest.Addr...)},
		ESMClass:    d.ESMClass, ProtocolID: d.ProtocolID, DataCoding: d.DataCoding,
		ShortMessage: d.ShortMessage, TLVs: pdu.TLVs(d.TLVs),
	}
	if noTLVs && d.Kind != queue.Mobile {
		p.sm.TLVs = nil // a receipt's text says it all; a long message has no other place
	}
	if len(d.ShortMessage) > pdu.MaxShortMessage {
		p.tlvs = append(p.tlvs[:0], p.sm.TLVs...).Append(pdu.TagMessagePayload, d.ShortMessage)
		p.sm.ShortMessage, p.sm.TLVs = nil, p.tlvs
	}
}

// take goes on with a client's answer, or with word that none came.
func (p *pump) take(ctx context.Context, a *pumpAnswer, now time.Time) {
	o := a.o
	switch {
	case a.late:
		p.heardLate(ctx, a, now)
	case a.err == nil && a.status == pdu.ESME_ROK:
		p.settled(o, now)
		p.end(ctx, o, queue.Acknowledged)
	case a.err == nil && permanentForClient(a.status):
		p.settled(o, now)
		p.logRefused(a.status, now)
		p.end(ctx, o, queue.Refused)
	default:
		p.a.met.redeliveries.Inc()
		wait := min(retryFirst<<min(o.tries, 9), retryLongest)
		if a.err != nil && o.tries == 0 {
			wait = 0 // nobody refused it: another bind may take it at once
		}
		o.tries++
		p.later(o, now.Add(wait))
	}
}

// heardLate takes an acknowledgement that came after response_timeout, when its delivery
// has not gone out again yet; else the client hears it twice.
func (p *pump) heardLate(ctx context.Context, a *pumpAnswer, now time.Time) {
	at := slices.IndexFunc(p.retries, func(r retrying) bool { return r.o == a.o })
	if at < 0 || a.err != nil || a.status != pdu.ESME_ROK {
		return
	}
	p.retries = slices.Delete(p.retries, at, at+1)
	p.waiting--
	p.settled(a.o, now)
	p.end(ctx, a.o, queue.Acknowledged)
}

// logRefused writes the first refusal at once, then one line in ten seconds.
func (p *pump) logRefused(st pdu.Status, now time.Time) {
	if now.Sub(p.refused.last) < refusalLogEvery {
		p.refused.silent++
		return
	}
	p.a.g.log.Warn("client refused a delivery for good", slog.String("account", p.a.name),
		slog.String("status", st.String()), slog.Int("not_logged", p.refused.silent))
	p.refused = refusalLog{last: now}
}

// permanentForClient: what a client will answer again however often it is asked.
func permanentForClient(st pdu.Status) bool {
	switch st {
	case pdu.ESME_RX_P_APPN, pdu.ESME_RX_R_APPN:
		return true
	case pdu.ESME_RX_T_APPN, pdu.ESME_RMSGQFUL, pdu.ESME_RTHROTTLED, pdu.ESME_RSYSERR, pdu.ESME_RINVBNDSTS, pdu.ESME_RUNKNOWNERR:
		return false
	}
	return true
}

// again sends what is due to go again and says when the next is; zero: none is.
func (p *pump) again(ctx context.Context, now time.Time) time.Duration {
	next := time.Duration(0)
	due := p.retries
	p.retries, p.waiting = p.retries[:0], p.waiting-len(due)
	for i := 0; i < len(due); i++ {
		r := due[i]
		if r.o.d.Expires <= queue.At(now) {
			p.end(ctx, r.o, queue.Undelivered)
			if o := p.next(r.o.d.Message); o != nil {
				due[i] = retrying{o, now}
				i--
			}
			continue
		}
		if r.at.Sub(now) <= 0 {
			wait, sent := p.send(r.o, r.o.to)
			if sent {
				continue
			}
			if wait > 0 {
				r.at = now.Add(wait)
			} else {
				wait = retryFirst // all windows are full: an answer wakes us sooner
			}
			next = sooner(next, wait)
		} else {
			next = sooner(next, r.at.Sub(now))
		}
		p.later(r.o, r.at)
	}
	clear(due[len(p.retries):])
	return next
}

// sooner is the shorter of two waits, of which zero is none.
func sooner(a, b time.Duration) time.Duration {
	if a == 0 || b < a {
		return b
	}
	return a
}

// settled says that a delivery is over: the next one about the same message may go.
func (p *pump) settled(o *outgoing, now time.Time) {
	if o := p.next(o.d.Message); o != nil {
		p.later(o, now)
	}
}

// next takes the delivery that waits behind a message's settled one; nil: none does.
func (p *pump) next(id queue.ID) *outgoing {
	list := p.behind[id]
	if len(list) == 0 {
		p.done(id)
		return nil
	}
	p.waiting--
	if len(list) == 1 {
		delete(p.behind, id)
	} else {
		p.behind[id] = list[1:]
	}
	return list[0]
}

func (p *pump) done(id queue.ID) { delete(p.busy, id) }

// end takes a delivery out of the outbox.
func (p *pump) end(ctx context.Context, o *outgoing, v queue.Verdict) {
	p.a.met.deliveries[v].Inc()
	o.step = queue.Delivered{Account: o.d.Account, Seq: o.d.Seq, Verdict: v}
	o.steps[0] = &o.step
	if err := p.a.g.store.Commit(ctx, quiet, o.steps[:]...); err != nil {
		p.a.g.log.Warn("delivery stays in the outbox", slog.String("account", p.a.name), slog.Any("err", err))
	}
}
