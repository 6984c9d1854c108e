package queuetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
)

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
		func(queue.ID) error { _, err := r.s.ByOnce(r.ctx, 1, []byte("nobody's")); return err },
		func(queue.ID) error {
			return r.s.Survey(r.ctx, queue.Survey{Sent: true, Since: epoch}, func(v *queue.View) bool { return v.M.Account == 1 })
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
// and looks for more in the same instant, the carrier takes them out. Some of them a halt sets
// aside first, and lets go at once.
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
	for _, kind := range []queue.DueKind{queue.Scheduled, queue.Expired, queue.Halted} {
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
	ended, halted := map[queue.ID]bool{}, map[queue.ID]bool{}
	wg.Go(func() {
		for len(ended) < total {
			wake := r.feed.next()
			claims, _ := r.s.Take(l, 30, nil)
			var steps []queue.Step
			for _, c := range claims {
				if ended[c.M.ID] {
					g.fail("message %v was given twice", c.M.ID)
				}
				if !halted[c.M.ID] && (uint64(c.M.ID)>>10)%3 == 0 {
					halted[c.M.ID] = true
					steps = append(steps, &queue.Wait{Claim: c, Until: c.M.Expires, Why: queue.WaitHalted, Lane: l})
					continue
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
		r.wantHalted("in the end", 0)
	}
	if len(halted) < total/10 {
		r.Errorf("%d of %d were halted on their way", len(halted), total)
	}
}
