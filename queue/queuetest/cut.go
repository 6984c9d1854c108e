package queuetest

import (
	"fmt"
	"math/rand/v2"
	"sync"

	"masar/queue"
	"masar/smpp/pdu"
)

var cutTests = []test{
	{name: "WhatWasDoneSurvivesAPowerCut", run: cutAccept},
	{name: "APowerCutLeavesEveryMessageAtOneStage", run: cutLife},
}

// needCut skips the test where the media cannot show a power cut.
func (r *rig) needCut() {
	r.Helper()
	if r.env.Media.Cut == nil {
		r.Skip("this media cannot show a power cut")
	}
}

// cutter takes the picture of a power cut at one Done of many.
type cutter struct {
	mu    sync.Mutex
	after int // Dones still to come
	keep  int
	media *Media
	state any
	taken bool
}

// done is called from Done; before is true when it came no later than the cut.
func (c *cutter) done() (before bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.taken {
		return false
	}
	if c.after--; c.after < 0 {
		c.state, c.taken = c.media.Cut(c.keep), true
	}
	return true
}

// at cuts the power at the end, when no Done has.
func (c *cutter) at() any {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.taken {
		c.state, c.taken = c.media.Cut(c.keep), true
	}
	return c.state
}

// cutAccept: a Commit that was Done before the cut is there, one that was not is there
// whole or not at all.
func cutAccept(r *rig) {
	r.needCut()
	rng := rand.New(rand.NewPCG(3, 4))
	l := lane(1, queue.Normal)
	var there []queue.ID // what must be in the lane, in order
	for round := range 12 {
		const commits = 60
		cut := &cutter{after: rng.IntN(commits), keep: []int{0, 50, 100}[round%3], media: r.env.Media}
		var made [commits][]*queue.Message
		var before [commits]bool
		var tickets []chan struct{}
		for i := range commits {
			var steps []queue.Step
			made[i], steps = r.accepts(l, rng.IntN(5)+1)
			ended := make(chan struct{})
			err := r.s.Commit(r.ctx, queue.DoneFunc(func(err error) {
				if err != nil {
					r.Errorf("Done: %v", err)
				}
				before[i] = cut.done()
				close(ended)
			}), steps...)
			if err != nil {
				r.Fatalf("Commit: %v", err)
			}
			tickets = append(tickets, ended)
		}
		for _, k := range tickets {
			<-k
		}
		r.startFrom(cut.at())
		for i, ms := range made {
			n := 0
			for _, m := range ms {
				if v, err := r.s.Find(r.ctx, 0, m.ID); err == nil && v.Stage == queue.Waiting {
					n++
					there = append(there, m.ID)
				}
			}
			switch {
			case before[i] && n < len(ms):
				r.Fatalf("round %d: %d of %d messages of Commit %d are left, though it was Done before the cut", round, n, len(ms), i)
			case n != 0 && n < len(ms):
				r.Fatalf("round %d: %d of %d messages of Commit %d are left, want all or none", round, n, len(ms), i)
			}
		}
		r.wantDepths(fmt.Sprint("after cut ", round), map[any]int64{l: int64(len(there))})
		r.wantSame(fmt.Sprint("after cut ", round), ids(r.take(l, len(there))), there)
		r.nothing(l)
		r.restart() // un-claims
		if fresh := r.acceptOne(l); fresh <= there[len(there)-1] {
			r.Fatalf("round %d: id %v after %v", round, fresh, there[len(there)-1])
		} else {
			there = append(there, fresh)
		}
	}
}

// cutLife lets messages run through lanes, sent and history while the power is cut. Behind
// the cut each is at exactly one stage, no earlier than its last Done, and has a receipt
// in the outbox if and only if it has ended.
func cutLife(r *rig) {
	r.needCut()
	rng := rand.New(rand.NewPCG(5, 6))
	l := lane(1, queue.Normal)
	names := 0
	for round := range 12 {
		cut := &cutter{after: rng.IntN(150), keep: []int{0, 30, 100}[round%3], media: r.env.Media}
		type life struct {
			id    queue.ID
			stage queue.Stage // proven by a Done before the cut
		}
		var lives []*life
		var pending []chan struct{}
		move := func(of []*life, stage queue.Stage, steps ...queue.Step) {
			ended := make(chan struct{})
			err := r.s.Commit(r.ctx, queue.DoneFunc(func(err error) {
				if err != nil {
					r.Errorf("Done: %v", err)
				}
				if cut.done() {
					for _, f := range of {
						f.stage = stage
					}
				}
				close(ended)
			}), steps...)
			if err != nil {
				r.Fatalf("Commit: %v", err)
			}
			pending = append(pending, ended)
		}
		quiet := func() {
			for _, k := range pending {
				<-k
			}
			pending = nil
		}
		byID := map[queue.ID]*life{}
		for range 30 { // accepted, all proven before the cut or not at all
			ms, steps := r.accepts(l, 4)
			r.commit(steps...)
			for _, m := range ms {
				f := &life{id: m.ID, stage: queue.Waiting}
				lives, byID[m.ID] = append(lives, f), f
			}
		}
		var refs []*queue.Ref
		for range 40 {
			for _, c := range r.take(l, rng.IntN(3)+1) {
				f := byID[c.M.ID]
				if f == nil { // left from an earlier round
					f = &life{id: c.M.ID, stage: queue.Waiting}
					lives, byID[c.M.ID] = append(lives, f), f
				}
				switch rng.IntN(4) {
				case 0:
					end := r.final(c, pdu.StateRejected)
					end.Deliver = r.receipt(c.M, queue.FinalReceipt)
					move([]*life{f}, queue.Ended, end)
				case 1:
					move([]*life{f}, queue.Aside, &queue.Wait{Claim: c, Until: r.clock.in(1e9), Why: queue.WaitRetry, Lane: l})
				default:
					names++
					c.M.Attempt = 1
					p := r.part(c, 1, 1, 7, fmt.Sprint("cut", names))
					move([]*life{f}, queue.Sent, p)
					quiet()
					refs = append(refs, p.Ref)
				}
			}
			if len(refs) > 3 {
				ref := refs[0]
				refs = refs[1:]
				move([]*life{byID[ref.M.ID]}, queue.Ended, &queue.Final{Ref: ref, State: pdu.StateDelivered, At: r.clock.at(), Deliver: r.receipt(ref.M, queue.FinalReceipt)})
			}
		}
		quiet()
		r.startFrom(cut.at())
		receipts := map[queue.ID]int{}
		outbox := int(r.waiting()[uint32(1)])
		for _, d := range r.takeOutbox(1, outbox) {
			receipts[d.Message]++
		}
		count := map[queue.Stage]int64{}
		for _, f := range lives {
			v, err := r.s.Find(r.ctx, 0, f.id)
			if err != nil {
				r.Fatalf("round %d: message %v, proven at stage %d: %v", round, f.id, f.stage, err)
			}
			count[v.Stage]++
			if v.Stage < f.stage {
				r.Fatalf("round %d: message %v is at stage %d, was proven at %d", round, f.id, v.Stage, f.stage)
			}
			if want := v.Stage == queue.Ended; (receipts[f.id] == 1) != want || receipts[f.id] > 1 {
				r.Fatalf("round %d: message %v at stage %d has %d receipts", round, f.id, v.Stage, receipts[f.id])
			}
		}
		d := r.waiting()
		if d[l] < count[queue.Waiting] || d[aside(1, queue.Normal)] < count[queue.Aside] {
			r.Fatalf("round %d: %d in the lane and %d aside, of this round alone %d and %d", round, d[l], d[aside(1, queue.Normal)], count[queue.Waiting], count[queue.Aside])
		}
		if round%4 == 3 { // an end for all of it, so that none is forgotten
			r.clock.add(1e10)
			for _, c := range append(r.take(l, int(d[l])), r.sweep(queue.Scheduled, r.clock.Now(), 50)...) {
				end := r.final(c, pdu.StateExpired)
				end.Deliver = r.receipt(c.M, queue.FinalReceipt)
				r.send(end)
			}
			for _, c := range r.sweep(queue.Overdue, r.clock.Now(), 50) {
				r.send(r.final(c, pdu.StateUnknown))
			}
			got := r.waiting()
			delete(got, uint32(1))
			if len(got) > 0 {
				r.Fatalf("round %d: in the end %v still wait", round, got)
			}
		}
	}
}
