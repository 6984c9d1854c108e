package queuetest

import (
	"fmt"
	"slices"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
)

// The moves of the model. Each does something to the store, holds the answer against the
// model, and moves the model.
func (g *model) accept() { g.acceptSome(g.rng.IntN(4) + 1) }

func (g *model) burst() { g.acceptSome(25) }

func (g *model) acceptSome(n int) {
	l := g.someLane()
	var steps []queue.Step
	for range n {
		if g.rng.IntN(3) == 0 {
			l = g.someLane()
		}
		a := &queue.Accept{M: g.message(l.Account, l.Class), Lane: l, Short: g.rng.IntN(6) == 0}
		if g.rng.IntN(6) == 0 {
			a.M.Expires = g.clock.in(time.Duration(g.rng.IntN(90)) * time.Second)
		}
		if g.rng.IntN(5) == 0 {
			a.Due = g.clock.in(time.Duration(g.rng.IntN(120)+1) * time.Second)
			a.M.Due = a.Due
		}
		if g.rng.IntN(5) == 0 {
			// Whether two accounts may use one key is left open: its source names the account.
			a.Once = fmt.Appendf(nil, "api %d\x00%d", l.Account, g.rng.IntN(30))
		}
		steps = append(steps, a)
	}
	g.commit(steps...)
	for _, s := range steps {
		a := s.(*queue.Accept)
		if old := g.once[string(a.Once)]; a.Once != nil && old != nil {
			if !a.Again || a.M.ID != old.ID {
				g.bad("a known key %q: Again %v, id %v, want %v", a.Once, a.Again, a.M.ID, old.ID)
			}
			continue
		}
		if a.Again || g.byID[a.M.ID] != nil || len(g.all) > 0 && a.M.ID <= g.all[len(g.all)-1].m.ID {
			g.bad("a new message: Again %v, id %v after %v", a.Again, a.M.ID, len(g.all))
		}
		f := &record{m: snapshot(a.M), born: g.moves, moved: g.moves, stage: queue.Aside, why: queue.WaitSchedule, until: a.Due, lane: a.Lane}
		if a.Once != nil {
			g.once[string(a.Once)] = f.m
		}
		g.byID[f.m.ID] = f
		g.all = append(g.all, f)
		if a.Due == 0 {
			g.enter(f, a.Lane)
		}
		if a.Short {
			if id, err := g.s.ByShown(g.ctx, f.m.Account, f.m.Shown); err != nil || id != f.m.ID {
				g.bad("ByShown(%d, %s) = %v, %v, want %v", f.m.Account, f.m.Shown, id, err, f.m.ID)
			}
		}
	}
}

// free are the unclaimed messages of a lane.
func (g *model) free(l queue.Lane) []*record {
	var out []*record
	for _, f := range g.lanes[l] {
		if !f.held {
			out = append(out, f)
		}
	}
	return out
}

func (g *model) takeSome() { g.takeFrom(g.someLane(), g.rng.IntN(6)+1) }

// takeFrom takes up to n messages: they must be the first unclaimed, in order.
func (g *model) takeFrom(l queue.Lane, n int) {
	g.Helper()
	n = min(n, len(g.free(l)))
	if n == 0 {
		if c, _ := g.s.Take(l, 5, nil); len(c) > 0 {
			g.bad("lane %v has %v, want nothing", l, ids(c))
		}
		return
	}
	for _, c := range g.take(l, n) {
		free := g.free(l)
		f := g.byID[c.M.ID]
		if f == nil || f.stage != queue.Waiting || f.lane != l || f.held {
			g.bad("lane %v gave %v: %+v", l, c.M.ID, f)
		}
		early := false // before one that has stood in its place all the time
		for _, other := range free[:slices.Index(free, f)] {
			if early = early || !other.stray; early && !f.stray {
				g.bad("lane %v gave %v before %v", l, f.m.ID, other.m.ID)
			}
		}
		f.stray = false
		g.checkClaim(f, c)
		g.hold(f, c)
		f.taken = !early
	}
}

// checkClaim holds a claim's message against the model.
func (g *model) checkClaim(f *record, c queue.Claim) {
	g.Helper()
	if c.Side != (f.stage == queue.Aside) && f.stage == queue.Aside {
		g.bad("the claim of %v aside has Side %v", f.m.ID, c.Side)
	}
	if f.stage == queue.Aside && c.Why != f.why {
		g.bad("the claim of %v has Why %v, want %v", f.m.ID, c.Why, f.why)
	}
	if d := differences(c.M, f.m, "Answers"); d != "" {
		g.bad("the claim's message %v differs: %s", f.m.ID, d)
	}
	if !sameParts(c.M.Answers, f.parts, true) {
		g.bad("the claim of %v has answers %+v, want %+v", f.m.ID, c.M.Answers, f.parts)
	}
}

func (g *model) releaseOne() {
	if f := g.someClaim(); f != nil {
		g.s.Release(f.claim)
		f.stray = f.stage == queue.Waiting && !f.taken
		g.drop(f)
	}
}

// progress changes what the owner of a claim may change, sometimes to a new attempt.
func (g *model) progress(f *record) {
	m := f.claim.M
	if m.Tries < 200 {
		m.Tries++
	}
	m.LastErr, m.Barred = pdu.ESME_RTHROTTLED, uint16(g.rng.IntN(4))
	if len(f.parts) > 0 && g.rng.IntN(2) == 0 && m.Attempt < 200 {
		m.Attempt, m.Answers = m.Attempt+1, nil
		f.older, f.parts, f.of = append(f.older, f.parts...), nil, 0
	}
}

// keep notes the message as a durable step has stored it.
func (f *record) keep() { f.m = snapshot(f.claim.M) }

func (g *model) enterOne() {
	f := g.someClaim()
	if f == nil {
		return
	}
	l := g.laneOf(f)
	g.progress(f)
	f.keep()
	g.durable(&queue.Enter{Claim: f.claim, Lane: l})
	g.drop(f)
	g.enter(f, l)
}

func (g *model) waitOne() {
	f := g.someClaim()
	if f == nil {
		return
	}
	w := &queue.Wait{Claim: f.claim, Until: g.clock.in(time.Duration(g.rng.IntN(100)) * time.Second), Why: queue.Why(g.rng.IntN(3)), Lane: g.laneOf(f)}
	switch g.rng.IntN(6) {
	case 0:
		w.Until, w.Why = 0, queue.WaitHeld
	case 1, 2:
		w.Until, w.Why = f.m.Expires, queue.WaitHalted
	}
	g.progress(f)
	f.keep()
	g.durable(w)
	g.drop(f)
	g.leave(f)
	f.stage, f.until, f.why, f.lane, f.moved = queue.Aside, w.Until, w.Why, w.Lane, g.moves
}

func (g *model) name() string { g.serial++; return fmt.Sprintf("%x", g.serial*7919) }

// mayDeliver is a final receipt, or nil.
func (g *model) mayDeliver(m *queue.Message) *queue.Delivery {
	if g.rng.IntN(3) == 0 {
		return nil
	}
	return g.receipt(m, queue.FinalReceipt)
}

func (g *model) partOne() {
	f := g.someClaim()
	if f == nil || f.stage != queue.Waiting {
		return
	}
	if f.of == 0 {
		f.of = uint8(g.rng.IntN(3) + 1)
		f.claim.M.Attempt = max(f.claim.M.Attempt, 1)
	}
	p := g.answer(f.claim, uint8(len(f.parts)+1), f.of, uint32(g.rng.IntN(2)+7), g.name())
	if len(f.parts) > 0 {
		p.Await, p.Info.Carrier = true, f.parts[0].Carrier
		f.claim.M.Answers[len(f.claim.M.Answers)-1] = p.Info
	} else if f.of == 1 && g.rng.IntN(4) == 0 {
		p.Await, p.State, p.Deliver = false, pdu.StateAccepted, g.mayDeliver(f.m)
	}
	f.parts = append(f.parts, p.Info)
	if p.Last {
		f.claim.M.Kept = uint16(g.rng.IntN(2))
	}
	f.keep()
	g.durable(p)
	switch {
	case !p.Last:
	case !p.Await:
		g.drop(f)
		g.end(f, pdu.StateAccepted, "", g.find(f.m.ID).Ended, p.Deliver)
	default:
		g.drop(f)
		g.leave(f)
		f.stage, f.sent = queue.Sent, g.clock.at()
	}
}

func (g *model) finalOne() {
	f := g.someClaim()
	if f == nil {
		return
	}
	s := g.final(f.claim, pdu.StateRejected)
	s.Err, s.Deliver = fmt.Sprint("err ", g.moves), g.mayDeliver(f.m)
	f.keep()
	g.durable(s)
	g.drop(f)
	g.end(f, s.State, s.Err, s.At, s.Deliver)
}

func (g *model) sendingOne() {
	if f := g.someClaim(); f != nil && f.stage == queue.Waiting {
		g.durable(&queue.Sending{Claim: f.claim, Attempt: f.claim.M.Attempt + 1, Carrier: 7})
	}
}

func (g *model) claimByID() {
	if len(g.all) == 0 {
		return
	}
	f := g.all[g.rng.IntN(len(g.all))]
	account, want := f.m.Account, error(nil)
	switch {
	case g.rng.IntN(10) == 0:
		account, want = account+1, queue.ErrUnknown
	case f.stage == queue.Sent:
		want = queue.ErrSent
	case f.stage == queue.Ended:
		want = queue.ErrFinal
	case f.held:
		want = queue.ErrClaimed
	}
	c, err := g.s.ClaimID(g.ctx, account, f.m.ID)
	if err != want {
		g.bad("ClaimID(%d, %v) of a message at stage %d: %v, want %v", account, f.m.ID, f.stage, err, want)
	}
	if want == queue.ErrUnknown && !f.held {
		f.stray = true // the store may have claimed it to learn whose it is, and given it back
	}
	if err == nil {
		g.checkClaim(f, c)
		f.stray = false
		g.hold(f, c)
	}
}

func (g *model) dueSome() {
	g.Helper()
	open := map[*record]bool{}
	for _, f := range g.all {
		if f.stage == queue.Aside && !f.held && f.until != 0 && f.until <= g.clock.at() {
			open[f] = true
		}
	}
	limit := g.rng.IntN(12) + 1
	got := g.due(queue.Scheduled, g.clock.Now(), limit)
	if len(got) != min(limit, len(open)) {
		for _, c := range got {
			delete(open, g.byID[c.M.ID])
		}
		for f := range open {
			g.Logf("due at %v and not given: %v, class %v, accepted at move %d, put aside at %d", f.until, f.m.ID, f.m.Class, f.born, f.moved)
		}
		g.bad("Due at %v gave %d of %d, restarts at moves %d", g.clock.at(), len(got), len(open)+len(got), g.restarts)
	}
	for _, c := range got {
		f := g.byID[c.M.ID]
		if !open[f] {
			g.bad("Due gave %v: %+v", c.M.ID, f)
		}
		delete(open, f)
		g.checkClaim(f, c)
		if c.Lane != f.lane && f.why != queue.WaitSchedule {
			g.bad("Due gave %v for lane %v, want %v", c.M.ID, c.Lane, f.lane)
		}
		g.hold(f, c)
	}
}

func (g *model) overdueAll() {
	before := g.clock.in(-20 * time.Second)
	var want []queue.ID
	for _, f := range g.all {
		if f.stage == queue.Sent && f.sent < before {
			want = append(want, f.m.ID)
		}
	}
	got := g.sweep(queue.Overdue, before.Time(), 7)
	g.wantSweep(fmt.Sprintf("seed %d, move %d: overdue", g.seed, g.moves), got, want)
	for _, c := range got {
		if g.rng.IntN(2) == 0 {
			g.s.Release(c)
			continue
		}
		f := g.byID[c.M.ID]
		s := g.final(c, pdu.StateUnknown)
		s.Deliver = g.mayDeliver(f.m)
		g.durable(s)
		g.end(f, s.State, s.Err, s.At, s.Deliver)
	}
}

// expiredAll: whether Expired finds what is aside is another test's question.
func (g *model) expiredAll() {
	now := g.clock.at()
	var want []queue.ID
	for _, f := range g.all {
		if f.stage == queue.Waiting && !f.held && f.m.Expires < now {
			want = append(want, f.m.ID)
		}
	}
	got := g.sweep(queue.Expired, g.clock.Now(), 9)
	var fromLanes []queue.Claim
	for _, c := range got {
		f := g.byID[c.M.ID]
		if f.held || f.m.Expires > now || f.stage > queue.Aside {
			g.bad("Expired gave %v: %+v", c.M.ID, f)
		}
		g.checkClaim(f, c)
		g.hold(f, c)
		if f.stage == queue.Waiting && f.m.Expires < now {
			fromLanes = append(fromLanes, c)
		}
	}
	have := idsOfClaims(fromLanes)
	for _, id := range want {
		if f := g.byID[id]; !have[id] {
			g.Logf("expired at %v and not given: %v in lane %v of %d, accepted at move %d, entered at %d, stray %v", f.m.Expires, id, f.lane, len(g.lanes[f.lane]), f.born, f.moved, f.stray)
		}
	}
	g.wantSweep(fmt.Sprintf("seed %d, move %d, restarts %d: expired", g.seed, g.moves, g.restarts), fromLanes, want)
}

func idsOfClaims(c []queue.Claim) map[queue.ID]bool {
	out := map[queue.ID]bool{}
	for i := range c {
		out[c[i].M.ID] = true
	}
	return out
}

// receiptOne looks up a part that was sent and lets its receipt decide, or not.
func (g *model) receiptOne() {
	var open []*record
	for _, f := range g.all {
		if len(f.parts)+len(f.older) > 0 {
			open = append(open, f)
		}
	}
	if len(open) == 0 {
		return
	}
	f := open[g.rng.IntN(len(open))]
	from, older := f.parts, false
	if len(from) == 0 || len(f.older) > 0 && g.rng.IntN(3) == 0 {
		from, older = f.older, true
	}
	i := g.rng.IntN(len(from))
	p := from[i]
	ref := g.found(p.Carrier, "beef"+p.CarrierID, p.CarrierID)
	if f.stage == queue.Ended {
		if ref != nil && !ref.Finalised {
			g.bad("the id %s of %v, which has ended, finds %+v", p.CarrierID, f.m.ID, ref.Info)
		}
		if ref != nil {
			g.send(&queue.Final{Ref: ref, State: pdu.StateDelivered, At: g.clock.at(), Deliver: g.receipt(f.m, queue.FinalReceipt)}).wait()
		}
		return
	}
	if ref == nil || ref.Finalised || ref.M.ID != f.m.ID {
		g.bad("the id %s of %v at stage %d finds %+v", p.CarrierID, f.m.ID, f.stage, ref)
	}
	if got := ref.Info; got.Part != p.Part || got.Of != p.Of || got.Attempt != p.Attempt || got.CarrierID != p.CarrierID {
		g.bad("the id %s of %v finds part %+v, want %+v", p.CarrierID, f.m.ID, got, p)
	}
	if d := differences(ref.M, f.m, "Body", "Answers"); d != "" {
		g.bad("the ref of %v differs: %s", f.m.ID, d)
	}
	if !older && p.Of > 1 && !sameParts(ref.Parts, f.parts, false) {
		g.bad("the ref of %v has parts %+v, want %+v", f.m.ID, ref.Parts, f.parts)
	}
	if older || f.stage != queue.Sent || p.Of > 1 && g.rng.IntN(2) == 0 {
		if p.Of == 1 { // nothing to record: the receipt of a whole message is its end
			return
		}
		o := g.outcome(ref, pdu.StateDelivered, fmt.Sprint(g.moves))
		o.Info.Sent = p.Sent
		g.durable(o)
		from[i] = o.Info
		return
	}
	if f.m.Kept != 0 && g.rng.IntN(2) == 0 && f.m.Attempt < 200 {
		g.rerouteOne(f, ref)
		return
	}
	s := &queue.Final{Ref: ref, State: pdu.StateUndeliverable, Err: fmt.Sprint(g.moves), Carrier: p.Carrier, At: g.clock.at(), Deliver: g.mayDeliver(f.m)}
	g.durable(s)
	g.end(f, s.State, s.Err, s.At, s.Deliver)
}

// rerouteOne lets a sent message go out again behind its receipt.
func (g *model) rerouteOne(f *record, ref *queue.Ref) {
	s := g.reroute(ref, g.laneOf(f))
	for i := range f.parts {
		if f.parts[i].Part == ref.Info.Part {
			f.parts[i] = ref.Info
		}
	}
	g.durable(s)
	f.m = rerouted(f.m)
	f.older, f.parts, f.of = append(f.older, f.parts...), nil, 0
	g.enter(f, s.Lane)
}

func (g *model) receiptOfNone() {
	if ref := g.found(uint32(g.rng.IntN(4)+6), "dead"+g.name(), fmt.Sprint("none ", g.moves)); ref != nil {
		g.bad("an id that was never given finds %+v", ref.Info)
	}
	g.commit(&queue.Unmatched{Carrier: 7, CarrierID: "dead", Raw: []byte("raw"), Why: "unknown id", At: g.clock.at()})
}

func (g *model) moveClock() {
	if g.rng.IntN(8) == 0 {
		g.clock.add(-time.Duration(g.rng.IntN(5000)) * time.Millisecond)
		return
	}
	g.clock.add(time.Duration(g.rng.IntN(15000)) * time.Millisecond)
}
