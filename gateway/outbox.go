package gateway

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"masar/queue"
	"masar/smpp"
	"masar/smpp/pdu"
)

// pump sends what waits in one account's outbox to its bound receivers: in sequence, at
// most a window per bind, again until it is acknowledged or its time ends.
type pump struct {
	a    *account
	wake chan struct{} // buffer 1

	mu      sync.Mutex
	answers []pumpAnswer

	// The run goroutine's own.
	spare    []pumpAnswer
	has      bool              // the outbox may have more than was taken
	taken    []*queue.Delivery // taken, not sent
	retries  []retrying        // to be sent again later
	busy     map[queue.ID]int  // messages with a delivery on the wire or waiting to go again
	sessions []*client
	turnAt   int
	sm       pdu.DeliverSM
	tlvs     pdu.TLVs
}

// outgoing is one deliver_sm on the wire: the token of its Send.
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
}

type retrying struct {
	o  *outgoing
	at time.Time
}

const (
	retriesMost  = 1000 // deliveries that wait to go again; at this bound the pump takes no more
	retryFirst   = time.Second
	retryLongest = 5 * time.Minute
	overtakeWait = 10 * time.Millisecond // how often to look whether a submit_sm_resp is written
)

func newPump(a *account) *pump {
	return &pump{a: a, wake: make(chan struct{}, 1), busy: map[queue.ID]int{}, has: true}
}

func (p *pump) wakeUp() {
	select {
	case p.wake <- struct{}{}:
	default:
	}
}

func (p *pump) answered(o *outgoing, a smpp.Answer) {
	if a.Late {
		return // it is on its way again already, the client hears it twice
	}
	p.put(pumpAnswer{o, a.Header.Status, a.Err})
}

// unanswered gives back a delivery whose session ended.
func (p *pump) unanswered(o *outgoing) { p.put(pumpAnswer{o, 0, errSessionEnded}) }

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

// turn takes answers in and sends what can be sent; it returns when to look again.
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
	if len(p.sessions) == 0 {
		p.dropExpired(ctx, now)
		if len(p.retries)+len(p.taken) > 0 {
			return time.Minute
		}
		return 0
	}
	next := p.again(ctx, now)
	for {
		if len(p.taken) == 0 && !p.refill() {
			break
		}
		wait, sent := p.sendFirst(ctx, now)
		if !sent {
			if wait > 0 && (next == 0 || wait < next) {
				next = wait
			}
			break
		}
	}
	return next
}

// refill takes more from the outbox; false: there is nothing, or too much waits already.
func (p *pump) refill() bool {
	if !p.has || len(p.retries) >= retriesMost {
		return false
	}
	p.taken, _ = p.a.g.store.TakeOutbox(p.a.number, 64, p.taken[:0])
	if len(p.taken) == 0 {
		p.has = false // the feed tells when there is more
	}
	return len(p.taken) > 0
}

// sendFirst sends the first delivery taken. A delivery whose message has one on the wire
// waits for that; one whose submit_sm_resp is not on the wire yet waits a moment.
func (p *pump) sendFirst(ctx context.Context, now time.Time) (wait time.Duration, sent bool) {
	d := p.taken[0]
	if d.Expires <= queue.At(now) {
		p.taken = p.taken[1:]
		p.end(ctx, &outgoing{d: d}, queue.Undelivered)
		return 0, true
	}
	if d.Message != 0 && p.busy[d.Message] > 0 {
		return 0, false // its predecessor's answer wakes us
	}
	o := &outgoing{d: d}
	if wait, sent = p.send(o, nil); sent {
		p.taken = p.taken[1:]
		if d.Message != 0 {
			p.busy[d.Message]++
		}
	}
	return wait, sent
}

// send puts a delivery on one of the account's receivers, not on the one it failed on if
// there is another.
func (p *pump) send(o *outgoing, not *client) (wait time.Duration, sent bool) {
	d := o.d
	s, _ := d.Origin.(*submission)
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
	return 0, false // all windows are full: an answer wakes us
}

func (p *pump) tryOn(o *outgoing, c *client) bool {
	if st := c.session.State(); st != smpp.BoundRX && st != smpp.BoundTRX || c.session.Free() == 0 {
		return false
	}
	o.to = c
	p.write(o.d)
	_, err := c.session.Send(pdu.CmdDeliverSM, &p.sm, o)
	return err == nil
}

func (p *pump) write(d *queue.Delivery) {
	p.sm = pdu.DeliverSM{
		ServiceType: append(p.sm.ServiceType[:0], d.ServiceType...),
		Source:      pdu.Address{TON: d.Source.TON, NPI: d.Source.NPI, Addr: append(p.sm.Source.Addr[:0], d.Source.Addr...)},
		Dest:        pdu.Address{TON: d.Dest.TON, NPI: d.Dest.NPI, Addr: append(p.sm.Dest.Addr[:0], d.Dest.Addr...)},
		ESMClass:    d.ESMClass, ProtocolID: d.ProtocolID, DataCoding: d.DataCoding,
		ShortMessage: d.ShortMessage, TLVs: pdu.TLVs(d.TLVs),
	}
	if len(d.ShortMessage) > 254 {
		p.tlvs = append(p.tlvs[:0], d.TLVs...).Append(pdu.TagMessagePayload, d.ShortMessage)
		p.sm.ShortMessage, p.sm.TLVs = nil, p.tlvs
	}
}

// take goes on with a client's answer, or with word that none came.
func (p *pump) take(ctx context.Context, a *pumpAnswer, now time.Time) {
	o := a.o
	switch {
	case a.err == nil && a.status == pdu.ESME_ROK:
		p.settled(o)
		p.end(ctx, o, queue.Acknowledged)
	case a.err == nil && permanentForClient(a.status):
		p.settled(o)
		p.a.g.log.Warn("client refused a delivery for good", slog.String("account", p.a.name), slog.String("status", a.status.String()), slog.String("message_id", o.d.Message.String()))
		p.end(ctx, o, queue.Refused)
	default:
		p.a.met.redeliveries.Inc()
		wait := min(retryFirst<<min(o.tries, 9), retryLongest)
		if a.err != nil && o.tries == 0 {
			wait = 0 // nobody refused it: another bind may take it at once
		}
		o.tries++
		p.retries = append(p.retries, retrying{o, now.Add(wait)})
	}
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

// again sends what is due to go again and says when the next is.
func (p *pump) again(ctx context.Context, now time.Time) time.Duration {
	next := time.Duration(0)
	n := 0
	for _, r := range p.retries {
		if r.o.d.Expires <= queue.At(now) {
			p.settled(r.o)
			p.end(ctx, r.o, queue.Undelivered)
			continue
		}
		wait := r.at.Sub(now)
		if wait <= 0 {
			if _, sent := p.send(r.o, r.o.to); sent {
				continue
			}
			wait = retryFirst
		}
		if next == 0 || wait < next {
			next = wait
		}
		p.retries[n] = r
		n++
	}
	clear(p.retries[n:])
	p.retries = p.retries[:n]
	return next
}

// dropExpired ends what nobody came for in time.
func (p *pump) dropExpired(ctx context.Context, now time.Time) {
	n := 0
	for _, r := range p.retries {
		if r.o.d.Expires <= queue.At(now) {
			p.settled(r.o)
			p.end(ctx, r.o, queue.Undelivered)
			continue
		}
		p.retries[n] = r
		n++
	}
	clear(p.retries[n:])
	p.retries = p.retries[:n]
	for len(p.taken) > 0 && p.taken[0].Expires <= queue.At(now) {
		p.end(ctx, &outgoing{d: p.taken[0]}, queue.Undelivered)
		p.taken = p.taken[1:]
	}
}

func (p *pump) settled(o *outgoing) {
	id := o.d.Message
	if id == 0 {
		return
	}
	if p.busy[id]--; p.busy[id] <= 0 {
		delete(p.busy, id)
	}
}

// end takes a delivery out of the outbox.
func (p *pump) end(ctx context.Context, o *outgoing, v queue.Verdict) {
	p.a.met.deliveries[v].Inc()
	o.step = queue.Delivered{Account: o.d.Account, Seq: o.d.Seq, Verdict: v}
	o.steps[0] = &o.step
	if err := p.a.g.store.Commit(ctx, quiet, o.steps[:]...); err != nil {
		p.a.g.log.Warn("delivery stays in the outbox", slog.String("account", p.a.name), slog.Any("err", err))
	}
}
