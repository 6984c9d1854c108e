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

// readers look at everything while messages pass: under the race detector this finds what is shared.
func readers(r *rig) {
	l := lane(1, queue.Normal)
	over := make(chan struct{})
	var wg sync.WaitGroup
	var last atomic.Uint64
	for _, look := range []func(id queue.ID) error{
		func(queue.ID) error { r.depths(); return nil },
		func(id queue.ID) error { _, err := r.s.Find(r.ctx, 0, id); return err },
		func(id queue.ID) error { _, err := r.s.ClaimID(r.ctx, 2, id); return err },
		func(queue.ID) error {
			_, err := r.s.Matching(r.ctx, queue.Pattern{Account: 1, ServiceType: "IDNEW", Source: "AHWAL", Dest: "966500000001"}, 10)
			return err
		},
		func(queue.ID) error { return r.s.Correlate(r.ctx, 7, []queue.Lookup{{IDs: []string{"1", "2"}}}) },
		func(queue.ID) error { _, err := r.s.MOSets(r.ctx, r.clock.Now(), 10); return err },
		func(queue.ID) error { _, err := r.s.Number(r.ctx, queue.CarrierName, "a carrier"); return err },
		func(queue.ID) error {
			r.s.Groups(func(uint16) bool { return true })
			r.s.Name(queue.CarrierName, 1)
			return nil
		},
		func(queue.ID) error {
			c, err := r.s.Due(r.ctx, queue.Expired, r.clock.Now(), 10, nil)
			for _, c := range c {
				r.s.Release(c)
			}
			return err
		},
	} {
		wg.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				if err := look(queue.ID(last.Load())); err != nil && err != queue.ErrUnknown {
					r.Errorf("a reader: %v", err)
					return
				}
			}
		})
	}
	for i := range 100 {
		ms := r.accept(l, 5)
		last.Store(uint64(ms[0].ID))
		var steps []queue.Step
		for n, c := range r.take(l, 5) {
			if n%2 == 0 {
				c.M.Attempt = 1
				steps = append(steps, r.part(c, 1, 1, 7, fmt.Sprint(i, " ", n)))
			} else {
				steps = append(steps, r.final(c, pdu.StateDelivered))
			}
		}
		r.commit(steps...)
	}
	close(over)
	wg.Wait()
	r.wantDepths("in the end", map[any]int64{})
}

// hover keeps a lane at the edge of what is read ahead: bursts put a part of it on disk, the
// carrier takes it all back into memory, and four trickles see to it that at each such
// change a row comes that could be lost or given twice. A canceller ends messages wherever they stand.
func hover(r *rig, burst int) {
	const total = 12_000
	l := lane(1, queue.Normal)
	g := &throng{rig: r, over: make(chan struct{})}
	g.finish = sync.OnceFunc(func() { close(g.over) })
	var commits [2][][]queue.Step // bursts, trickle
	body := make([]byte, 2000)
	for n, made := 0, 0; made < total; n++ {
		size := 1
		if n%2 == 0 {
			size = min(burst, total-made)
		}
		for range n%2*burst + 1 - n%2 { // as many messages each
			if made == total {
				break
			}
			ms, steps := r.accepts(l, size)
			for _, m := range ms {
				m.Body = body // long, so that reading takes its time
			}
			commits[n%2], made = append(commits[n%2], steps), made+size
		}
	}
	depth := make(chan struct{}, 2*burst) // messages that wait
	known, strangers := make(chan queue.ID, total), make(chan queue.ID, total)
	var wg sync.WaitGroup
	queues := [2]chan []queue.Step{}
	for kind := range queues {
		queues[kind] = make(chan []queue.Step, len(commits[kind]))
		for _, steps := range commits[kind] {
			queues[kind] <- steps
		}
		close(queues[kind])
	}
	for i := range 5 {
		wg.Go(func() {
			for steps := range queues[min(i, 1)] {
				for range steps {
					select {
					case depth <- struct{}{}:
					case <-g.over:
						return
					}
				}
				g.do(steps...)
				for _, s := range steps {
					known <- s.(*queue.Accept).M.ID
					strangers <- s.(*queue.Accept).M.ID
				}
			}
		})
	}
	var mu sync.Mutex
	ended := map[queue.ID]bool{}
	end := func(claims ...queue.Claim) {
		var steps []queue.Step
		mu.Lock()
		for _, c := range claims {
			if ended[c.M.ID] {
				g.fail("message %v was given twice", c.M.ID)
			}
			ended[c.M.ID] = true
			steps = append(steps, r.final(c, pdu.StateDelivered))
		}
		all := len(ended) == total
		mu.Unlock()
		g.do(steps...)
		for range claims {
			select {
			case <-depth:
			case <-g.over:
			}
		}
		if all {
			g.finish()
		}
	}
	wg.Go(func() { // the canceller
		for {
			select {
			case <-g.over:
				return
			case id := <-known:
				if (uint64(id)>>10)%17 != 0 {
					continue
				}
				if c, err := r.s.ClaimID(r.ctx, 1, id); err == nil {
					end(c)
				}
			}
		}
	})
	wg.Go(func() { // another account asks for messages that are not its own
		for {
			select {
			case <-g.over:
				return
			case id := <-strangers:
				// ErrClaimed: somebody was asking for it at that moment.
				if c, err := r.s.ClaimID(r.ctx, 2, id); err != queue.ErrUnknown && err != queue.ErrClaimed {
					g.fail("ClaimID of another account's message: %v, %v", c.M, err)
				}
			}
		}
	})
	wg.Go(func() { // the carrier
		for {
			wake := r.feed.next()
			claims, _ := r.s.Take(l, burst, nil)
			if len(claims) > 0 {
				end(claims...)
				continue
			}
			late := time.NewTimer(patience)
			select {
			case <-g.over:
				late.Stop()
				return
			case <-wake:
				late.Stop()
			case <-late.C:
				g.fail("the lane stands still, depths %v", r.depths())
				return
			}
		}
	})
	wg.Wait()
	if !r.Failed() {
		r.nothing(l)
		r.wantDepths("in the end", map[any]int64{})
	}
}

// promoted: many messages are due at once. While the clockwork hands them to a lane in batches
// and looks for more in the same instant, the carrier takes them out.
func promoted(r *rig) {
	const total = 3000
	l := lane(1, queue.Normal)
	for range total / 100 {
		var steps []queue.Step
		for range 100 {
			steps = append(steps, &queue.Accept{M: r.message(1, queue.Normal), Due: r.clock.in(time.Second)})
		}
		r.commit(steps...)
	}
	r.clock.add(time.Minute)
	g := &throng{rig: r, over: make(chan struct{})}
	g.finish = sync.OnceFunc(func() { close(g.over) })
	var wg sync.WaitGroup
	for _, kind := range []queue.DueKind{queue.Scheduled, queue.Expired} {
		wg.Go(func() {
			for {
				select {
				case <-g.over:
					return
				default:
				}
				due, err := g.s.Due(g.ctx, kind, g.clock.Now(), 200, nil)
				if err != nil {
					g.fail("Due: %v", err)
					return
				}
				var steps []queue.Step
				for _, c := range due {
					steps = append(steps, &queue.Enter{Claim: c, Lane: l})
				}
				if len(steps) > 0 {
					// Not awaited: the next look meets these on their way.
					if err := g.s.Commit(g.ctx, newTicket(), steps...); err != nil {
						g.fail("Commit: %v", err)
						return
					}
				}
			}
		})
	}
	ended := map[queue.ID]bool{}
	wg.Go(func() {
		for len(ended) < total {
			wake := r.feed.next()
			claims, _ := r.s.Take(l, 30, nil)
			var steps []queue.Step
			for _, c := range claims {
				if ended[c.M.ID] {
					g.fail("message %v was given twice", c.M.ID)
				}
				ended[c.M.ID] = true
				steps = append(steps, r.final(c, pdu.StateDelivered))
			}
			if len(steps) > 0 {
				g.do(steps...)
				continue
			}
			late := time.NewTimer(patience)
			select {
			case <-g.over:
			case <-wake:
			case <-late.C:
				g.fail("the lane stands still: %d of %d have ended, depths %v", len(ended), total, r.depths())
			}
			late.Stop()
			if g.failed.Load() {
				return
			}
		}
		g.finish()
	})
	wg.Wait()
	if !r.Failed() {
		r.wantDepths("in the end", map[any]int64{})
	}
}
