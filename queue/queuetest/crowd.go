package queuetest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
)

var crowdTests = []test{
	{name: "EveryAcceptedMessageEndsExactlyOnce", env: Env{ReadAhead: 32}, run: crowd},
	{name: "LanesThatHoverAtAShortReadAheadLoseNothing", env: Env{ReadAhead: 1}, run: func(r *rig) { hover(r, 60) }},
	{name: "LanesThatHoverAtALongReadAheadLoseNothing", env: Env{ReadAhead: 16}, run: func(r *rig) { hover(r, 300) }},
	{name: "DueMessagesAllComeOutOfTheLaneTheyEnter", env: Env{ReadAhead: 16}, run: promoted},
	{name: "ReadersDisturbNobody", env: Env{ReadAhead: 16}, run: readers},
}

// A throng is what the goroutines of crowd share.
type throng struct {
	*rig
	lanes  []queue.Lane
	total  int
	names  atomic.Int64
	ended  sync.Map // queue.ID -> queue.Kind: its receipt was acknowledged
	left   atomic.Int64
	over   chan struct{}
	finish func()        // closes over, once
	sent   chan string   // carrier ids that await a receipt
	aside  chan struct{} // something may be due
	failed atomic.Bool
}

// fail may be called from any goroutine; it ends the throng.
func (g *throng) fail(format string, args ...any) {
	g.Errorf(format, args...)
	g.failed.Store(true)
	g.finish()
}

// do makes steps durable, from any goroutine.
func (g *throng) do(steps ...queue.Step) {
	k := newTicket()
	if err := g.s.Commit(g.ctx, k, steps...); err != nil {
		g.fail("Commit of %s: %v", describe(steps), err)
	} else if err := k.wait(); err != nil {
		g.fail("Done of %s: %v", describe(steps), err)
	}
}

// pause waits for the next word of the store; false when all is over.
func (g *throng) pause(wake <-chan struct{}) bool {
	select {
	case <-g.over:
		return false
	case <-wake:
		return true
	}
}

func (g *throng) end(m *queue.Message) *queue.Delivery {
	return &queue.Delivery{Account: m.Account, Kind: queue.FinalReceipt, Message: m.ID, Created: g.clock.at(), Expires: g.clock.in(time.Hour)}
}

// crowd: producers, carriers, correlators, outbox pumps, a clockwork and a canceller work on
// one store at once, each through the interface alone. Law of conservation: every accepted
// message ends once, by one receipt in its account's outbox, and nothing else remains.
func crowd(r *rig) {
	g := &throng{rig: r, total: 3000, over: make(chan struct{}), sent: make(chan string, 4096), aside: make(chan struct{}, 1)}
	g.finish = sync.OnceFunc(func() { close(g.over) })
	for account := uint32(1); account <= 3; account++ {
		for class := range queue.Class(queue.Classes) {
			g.lanes = append(g.lanes, lane(account, class))
		}
	}
	g.left.Store(int64(g.total))
	const producers, carriers = 6, 4
	var wg sync.WaitGroup
	var accepted sync.Map
	for p := range producers {
		var own [][]queue.Step
		for n := 0; n < g.total/producers; {
			l := g.lanes[(p+n)%len(g.lanes)]
			_, steps := r.accepts(l, min(n%4+1, g.total/producers-n))
			if n%11 == 0 {
				steps[0].(*queue.Accept).Due = r.clock.at()
			}
			own, n = append(own, steps), n+len(steps)
		}
		wg.Go(func() {
			for _, steps := range own {
				g.do(steps...)
				for _, s := range steps {
					accepted.Store(s.(*queue.Accept).M.ID, true)
				}
				g.poke()
			}
		})
	}
	for c := range carriers {
		wg.Go(func() { g.carry(uint32(c%2+1), rand.New(rand.NewPCG(uint64(c), 9))) })
	}
	for carrier := uint32(1); carrier <= 2; carrier++ {
		wg.Go(func() { g.receive() })
	}
	for account := uint32(1); account <= 3; account++ {
		wg.Go(func() { g.pump(account) })
	}
	wg.Go(g.promote)
	wg.Go(func() { g.cancel(&accepted) })
	wg.Add(1)
	go func() { // a watchdog on the store's word: patience without an end is a failure
		defer wg.Done()
		late := time.NewTimer(4 * patience)
		defer late.Stop()
		select {
		case <-g.over:
		case <-late.C:
			g.fail("%d of %d messages have not ended after %v; depths %v", g.left.Load(), g.total, 4*patience, r.depths())
		}
	}()
	wg.Wait()
	if g.failed.Load() {
		return
	}
	r.settle()
	r.wantDepths("in the end", map[any]int64{})
	n := 0
	accepted.Range(func(id, _ any) bool {
		n++
		if _, ok := g.ended.Load(id); !ok {
			r.Errorf("message %v has no receipt", id)
		}
		r.wantStage(id.(queue.ID), queue.Ended, r.find(id.(queue.ID)).State)
		return true
	})
	if n != g.total {
		r.Errorf("%d different ids for %d messages", n, g.total)
	}
	r.restart()
	r.wantDepths("after a restart", map[any]int64{})
}

// poke tells the clockwork that something may be due.
func (g *throng) poke() {
	select {
	case g.aside <- struct{}{}:
	default:
	}
}

// carry is a carrier's dispatcher that answers in every way there is.
func (g *throng) carry(carrier uint32, rng *rand.Rand) {
	for {
		wake := g.feed.next()
		any := false
		for _, i := range rng.Perm(len(g.lanes)) {
			claims, _ := g.s.Take(g.lanes[i], rng.IntN(6)+1, nil)
			for _, c := range claims {
				any = true
				g.serve(carrier, c, rng)
			}
		}
		if !any && !g.pause(wake) {
			return
		}
		select {
		case <-g.over:
			return
		default:
		}
	}
}

func (g *throng) serve(carrier uint32, c queue.Claim, rng *rand.Rand) {
	switch n := rng.IntN(20); {
	case n < 3 && c.M.Tries < 6: // temporary
		c.M.Tries++
		c.M.Attempt, c.M.Answers = c.M.Attempt+1, nil
		g.do(&queue.Wait{Claim: c, Until: g.clock.at(), Why: queue.WaitRetry, Lane: c.Lane})
		g.poke()
	case n < 5 && c.M.Tries < 6: // moved
		c.M.Tries++
		c.M.Attempt, c.M.Answers = c.M.Attempt+1, nil
		g.do(&queue.Enter{Claim: c, Lane: c.Lane})
	case n < 8: // throttled
		g.s.Release(c)
	case n < 10: // permanent
		g.do(&queue.Final{Claim: c, State: pdu.StateRejected, At: g.clock.at(), Deliver: g.end(c.M)})
	case n < 12: // nobody asked the carrier for a receipt
		g.do(&queue.Part{
			Claim: c, Last: true, State: pdu.StateAccepted, Deliver: g.end(c.M),
			Info: queue.PartInfo{Attempt: 1, Part: 1, Of: 1, Carrier: 1, CarrierID: "none", Sent: g.clock.at()},
		})
	default:
		c.M.Attempt++
		c.M.Answers = nil
		of := uint8(rng.IntN(3) + 1)
		for part := uint8(1); part <= of; part++ {
			name := fmt.Sprintf("%x", g.names.Add(1))
			p := &queue.Part{Claim: c, Await: true, Last: part == of, Info: queue.PartInfo{
				Attempt: c.M.Attempt, Part: part, Of: of, Carrier: 1, CarrierID: name, Sent: g.clock.at(),
			}}
			if of > 1 {
				c.M.Answers = append(c.M.Answers, p.Info)
			}
			g.do(p)
			if p.Last {
				g.sent <- name
			}
		}
	}
}

// receive is a correlator: the receipt of the last part decides.
func (g *throng) receive() {
	for {
		select {
		case <-g.over:
			return
		case name := <-g.sent:
			q := []queue.Lookup{{IDs: []string{"x" + name, name}}}
			if err := g.s.Correlate(g.ctx, 1, q); err != nil {
				g.fail("Correlate: %v", err)
				return
			}
			ref := q[0].Found
			if ref == nil || ref.Finalised {
				g.fail("carrier id %s finds %+v", name, ref)
				return
			}
			step := &queue.Final{Ref: ref, State: pdu.StateDelivered, At: g.clock.at(), Deliver: g.end(ref.M)}
			g.do(step)
			if len(g.sent)%5 == 0 {
				g.do(step) // again
			}
		}
	}
}

// pump is an account's client.
func (g *throng) pump(account uint32) {
	rng := rand.New(rand.NewPCG(uint64(account), 11))
	for {
		wake := g.feed.next()
		got, _ := g.s.TakeOutbox(account, 8, nil)
		for _, d := range got {
			if rng.IntN(5) == 0 {
				g.s.ReleaseOutbox(d)
				continue
			}
			if _, again := g.ended.LoadOrStore(d.Message, true); again {
				g.fail("message %v of account %d ended twice", d.Message, account)
				return
			}
			g.do(&queue.Delivered{Account: account, Seq: d.Seq})
			if g.left.Add(-1) == 0 {
				g.finish()
			}
		}
		if len(got) == 0 && !g.pause(wake) {
			return
		}
		select {
		case <-g.over:
			return
		default:
		}
	}
}

// promote is the clockwork.
func (g *throng) promote() {
	for {
		select {
		case <-g.over:
			return
		case <-g.aside:
		}
		for {
			due, err := g.s.Due(g.ctx, queue.Scheduled, g.clock.Now(), 20, nil)
			if err != nil {
				g.fail("Due: %v", err)
				return
			}
			if len(due) == 0 {
				break
			}
			var steps []queue.Step
			for _, c := range due {
				steps = append(steps, &queue.Enter{Claim: c, Lane: lane(c.M.Account, c.M.Class)})
			}
			g.do(steps...)
		}
	}
}

// cancel cancels whatever it meets that is not in other hands.
func (g *throng) cancel(accepted *sync.Map) {
	seen := map[queue.ID]bool{}
	for {
		wake := g.feed.next()
		accepted.Range(func(k, _ any) bool {
			id := k.(queue.ID)
			if seen[id] || (uint64(id)>>10)%7 != 0 {
				return true
			}
			seen[id] = true
			for account := uint32(1); account <= 3; account++ {
				c, err := g.s.ClaimID(g.ctx, account, id)
				switch {
				case err == nil:
					g.do(&queue.Final{Claim: c, State: pdu.StateDeleted, At: g.clock.at(), Deliver: g.end(c.M)})
				case errors.Is(err, queue.ErrClaimed), errors.Is(err, queue.ErrSent), errors.Is(err, queue.ErrFinal), errors.Is(err, queue.ErrUnknown):
				default:
					g.fail("ClaimID: %v", err)
				}
			}
			return true
		})
		if !g.pause(wake) {
			return
		}
	}
}
