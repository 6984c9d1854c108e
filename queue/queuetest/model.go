package queuetest

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
)

var modelTests = []test{
	{name: "TheStoreAgreesWithAModelOverThousandsOfRandomMoves", env: Env{ReadAhead: 8, History: 30 * 24 * time.Hour}, run: randomMoves},
	{name: "TheStoreAgreesWithAModelByDefaultReadAhead", env: Env{History: 30 * 24 * time.Hour}, run: randomMoves},
}

// record is what the model knows of one message.
type record struct {
	m     *queue.Message // as the last durable step left it
	stage queue.Stage
	lane  queue.Lane // where it waits, or where it goes from aside
	why   queue.Why
	until queue.Time

	held  bool // claimed
	taken bool // by Take, in its place
	claim queue.Claim
	stray bool // given back by another than its lane's taker: may come at once, or in its place

	born, moved int // numbers of moves: of its Accept, of its latest Wait

	of    uint8            // parts of the attempt; zero before the first
	parts []queue.PartInfo // answered parts of the attempt
	older []queue.PartInfo // of earlier attempts
	sent  queue.Time       // when the last part was answered

	state pdu.State
	err   string
	ended queue.Time
}

// row is one delivery in the model's outbox.
type row struct {
	d    *queue.Delivery
	held bool
}

// A model is a plain Store in memory, driven beside the real one by one goroutine.
type model struct {
	*rig
	rng      *rand.Rand
	seed     uint64
	moves    int
	accounts []uint32
	targets  []uint32

	byID     map[queue.ID]*record
	all      []*record
	lanes    map[queue.Lane][]*record // in the order of their entry
	claims   []*record
	outbox   map[uint32][]*row
	out      []*row // held
	once     map[string]*queue.Message
	mobile   map[queue.MORef][]uint8
	names    map[string]uint32
	past     [][]queue.Step // durable steps that may be repeated at any time
	serial   int
	restarts []int    // numbers of moves
	trail    []string // names of the last moves
}

func newModel(r *rig, seed uint64) *model {
	return &model{
		rig: r, rng: rand.New(rand.NewPCG(seed, 77)), seed: seed,
		accounts: []uint32{1, 2}, targets: []uint32{queue.Target(1, 0), queue.Target(1, 1)},
		byID: map[queue.ID]*record{}, lanes: map[queue.Lane][]*record{}, outbox: map[uint32][]*row{},
		once: map[string]*queue.Message{}, mobile: map[queue.MORef][]uint8{}, names: map[string]uint32{},
	}
}

// randomMoves runs some seeds, each over an empty store of its own. QUEUETEST_SEED runs one
// seed again, QUEUETEST_MOVES says how many moves each has: one that failed, or a night's soak.
func randomMoves(r *rig) {
	seeds, moves := []uint64{1, 2, 3}, 1500
	if testing.Short() || underRace {
		seeds, moves = seeds[:1], 600
	}
	seeds = append(seeds, uint64(time.Now().UnixNano())) // one that nobody has run
	if seed, err := strconv.ParseUint(os.Getenv("QUEUETEST_SEED"), 10, 64); err == nil {
		seeds = []uint64{seed}
	}
	if n, err := strconv.Atoi(os.Getenv("QUEUETEST_MOVES")); err == nil {
		moves = n
	}
	for _, seed := range seeds {
		r.Logf("seed %d", seed)
		r.startFrom(nil) // an empty store
		g := newModel(r, seed)
		for g.moves = range moves {
			g.move()
			g.checkDepths()
			if g.moves%20 == 19 {
				g.checkSome()
			}
		}
		g.finish()
		if r.Failed() {
			r.Fatalf("QUEUETEST_SEED=%d runs it again", seed)
		}
	}
}

// bad ends the test with the seed and the number of the move that found it.
func (g *model) bad(format string, args ...any) {
	g.Helper()
	g.Fatalf("seed %d, move %d, behind %q: %s", g.seed, g.moves, g.trail, fmt.Sprintf(format, args...))
}

// moveTable weighs the moves: new messages come and go at about one rate, in bursts that
// outgrow the read-ahead.
var moveTable = []struct {
	weight int
	name   string
	move   func(*model)
}{
	{16, "accept", (*model).accept},
	{2, "accept a burst", (*model).burst},
	{18, "take", (*model).takeSome},
	{5, "release", (*model).releaseOne},
	{7, "enter", (*model).enterOne},
	{6, "wait", (*model).waitOne},
	{18, "part", (*model).partOne},
	{6, "final", (*model).finalOne},
	{2, "sending", (*model).sendingOne},
	{6, "claim by id", (*model).claimByID},
	{7, "due", (*model).dueSome},
	{3, "halted", (*model).haltedRound},
	{2, "overdue", (*model).overdueAll},
	{2, "expired", (*model).expiredAll},
	{12, "receipt", (*model).receiptOne},
	{2, "receipt of none", (*model).receiptOfNone},
	{9, "outbox", (*model).outboxSome},
	{9, "delivered", (*model).deliveredOne},
	{3, "release a delivery", (*model).releaseDelivery},
	{3, "deliver", (*model).deliverOne},
	{2, "mobile", (*model).mobileOne},
	{1, "name", (*model).nameOne},
	{1, "by once", (*model).byOnceOne},
	{1, "survey", (*model).surveyAll},
	{4, "repeat", (*model).repeatOne},
	{6, "clock", (*model).moveClock},
	{1, "restart", (*model).restartStore},
	{1, "power cut", (*model).cutPower},
}

func (g *model) move() {
	total := 0
	for _, row := range moveTable {
		total += row.weight
	}
	n := g.rng.IntN(total)
	for _, row := range moveTable {
		if n -= row.weight; n < 0 {
			if g.trail = append(g.trail, row.name); len(g.trail) > 12 {
				g.trail = g.trail[1:]
			}
			row.move(g)
			return
		}
	}
}

// durable makes steps durable, every other time twice, and remembers them for later repeats.
func (g *model) durable(steps ...queue.Step) {
	g.Helper()
	g.commit(steps...)
	if g.rng.IntN(2) == 0 {
		g.again(steps...)
	}
	if _, ok := steps[0].(*queue.Outcome); ok {
		return // an older receipt of a part, taken again behind a newer one, rightly replaces it
	}
	g.past = append(g.past, steps)
	if len(g.past) > 60 {
		g.past = g.past[1:]
	}
}

// repeatOne takes some older steps again: between now and then their messages went on.
func (g *model) repeatOne() {
	if len(g.past) == 0 {
		return
	}
	steps := g.past[g.rng.IntN(len(g.past))]
	k := g.send(steps...)
	k.wait() // nil, or a refusal: checkDepths and checkSome see whether it changed anything
}

func (g *model) someLane() queue.Lane {
	return queue.Lane{
		Target:  g.targets[g.rng.IntN(len(g.targets))],
		Class:   queue.Class(g.rng.IntN(queue.Classes)),
		Account: g.accounts[g.rng.IntN(len(g.accounts))],
	}
}

// laneOf is some lane of the message's account and class.
func (g *model) laneOf(f *record) queue.Lane {
	l := g.someLane()
	l.Account, l.Class = f.m.Account, f.m.Class
	return l
}

func (g *model) someClaim() *record {
	if len(g.claims) == 0 {
		return nil
	}
	return g.claims[g.rng.IntN(len(g.claims))]
}

// hold notes that the test owns the message now.
func (g *model) hold(f *record, c queue.Claim) {
	f.held, f.taken, f.claim = true, false, c
	g.claims = append(g.claims, f)
}

// drop ends a claim.
func (g *model) drop(f *record) {
	f.held = false
	g.claims = slices.DeleteFunc(g.claims, func(o *record) bool { return o == f })
}

// leave takes a message out of where it waits; enter puts it to the tail of a lane.
func (g *model) leave(f *record) {
	if f.stage == queue.Waiting {
		g.lanes[f.lane] = slices.DeleteFunc(g.lanes[f.lane], func(o *record) bool { return o == f })
	}
}

func (g *model) enter(f *record, l queue.Lane) {
	g.leave(f)
	f.stage, f.lane, f.stray, f.moved = queue.Waiting, l, false, g.moves
	g.lanes[l] = append(g.lanes[l], f)
}

// end puts a message into history.
func (g *model) end(f *record, state pdu.State, err string, at queue.Time, d *queue.Delivery) {
	g.leave(f)
	f.stage, f.state, f.err, f.ended = queue.Ended, state, err, at
	g.put(d)
}

func (g *model) put(d *queue.Delivery) {
	if d != nil {
		g.outbox[d.Account] = append(g.outbox[d.Account], &row{d: d})
	}
}

// unclaim is what a restart does.
func (g *model) unclaim() {
	g.restarts = append(g.restarts, g.moves)
	for _, f := range g.claims {
		f.held = false
	}
	for _, f := range g.all {
		f.stray = false
	}
	for _, o := range g.out {
		o.held = false
	}
	g.claims, g.out = nil, nil
}

func (g *model) restartStore() { g.restart(); g.unclaim(); g.checkAll() }
func (g *model) cutPower()     { g.crash(g.rng.IntN(3) * 50); g.unclaim(); g.checkAll() }

func (g *model) checkDepths() {
	g.Helper()
	want, halted := map[any]int64{}, int64(0)
	for _, f := range g.all {
		switch f.stage {
		case queue.Waiting:
			want[f.lane]++
		case queue.Aside:
			want[aside(f.m.Account, f.m.Class)]++
			if f.why == queue.WaitHalted {
				halted++
			}
		}
	}
	for account, rows := range g.outbox {
		if len(rows) > 0 {
			want[account] = int64(len(rows))
		}
	}
	for k, n := range g.waiting() {
		if want[k] != n {
			g.bad("depth of %v is %d, want %d", k, n, want[k])
		}
		delete(want, k)
	}
	for k, n := range want {
		g.bad("depth of %v is 0, want %d", k, n)
	}
	if n := g.haltedDepth(); n != halted {
		g.bad("%d are halted, want %d", n, halted)
	}
}

// checkSome finds a few messages; checkAll finds every one.
func (g *model) checkSome() {
	g.Helper()
	for range min(8, len(g.all)) {
		g.checkFind(g.all[g.rng.IntN(len(g.all))])
	}
}

func (g *model) checkAll() {
	g.Helper()
	for _, f := range g.all {
		g.checkFind(f)
	}
	g.surveyAll()
}

func (g *model) checkFind(f *record) {
	g.Helper()
	v, err := g.s.Find(g.ctx, f.m.Account, f.m.ID)
	if err != nil {
		g.bad("Find(%v) at stage %d: %v", f.m.ID, f.stage, err)
	}
	state := f.state
	if f.stage != queue.Ended {
		state = pdu.StateEnroute
		if f.stage == queue.Aside && f.why == queue.WaitSchedule {
			state = pdu.StateScheduled
		}
	}
	if v.Stage != f.stage || v.State != state {
		g.bad("Find(%v): stage %d, state %v, want %d, %v", f.m.ID, v.Stage, v.State, f.stage, state)
	}
	if (f.stage == queue.Waiting || f.stage == queue.Aside && f.why != queue.WaitSchedule) && v.Lane != f.lane {
		g.bad("Find(%v) at stage %d: lane %v, want %v", f.m.ID, f.stage, v.Lane, f.lane)
	}
	if f.stage == queue.Aside && (v.Why != f.why || v.Until != f.until) {
		g.bad("Find(%v): waits for %v until %v, want %v until %v", f.m.ID, v.Why, v.Until, f.why, f.until)
	}
	if f.stage == queue.Ended && (v.Err != f.err || v.Ended != f.ended) {
		g.bad("Find(%v): err %q, ended %v, want %q, %v", f.m.ID, v.Err, v.Ended, f.err, f.ended)
	}
	but := []string{"Answers"}
	switch f.stage {
	case queue.Waiting, queue.Aside: // a first part's attempt may stand with the part alone
		if len(f.parts) > 0 {
			but = append(but, "Attempt")
		}
	case queue.Sent:
		but = append(but, "Body")
	case queue.Ended:
		but = append(but, "Body", "TLVs", "Text", "Kept")
	}
	if d := differences(v.M, f.m, but...); d != "" {
		g.bad("Find(%v) at stage %d: message differs: %s", f.m.ID, f.stage, d)
	}
	if len(f.older) > 0 { // it may tell of earlier attempts, too
		v.Parts = slices.DeleteFunc(v.Parts, func(p queue.PartInfo) bool { return p.Attempt != f.m.Attempt })
	}
	if f.of > 1 && !sameParts(v.Parts, f.parts, f.stage != queue.Sent) {
		g.bad("Find(%v) at stage %d: parts %+v, want %+v", f.m.ID, f.stage, v.Parts, f.parts)
	}
}

// sameParts compares parts; loosely: without what their receipts said.
func sameParts(got, want []queue.PartInfo, loosely bool) bool {
	return slices.EqualFunc(got, want, func(a, b queue.PartInfo) bool {
		if loosely {
			a.State, a.Err, a.Done, b.State, b.Err, b.Done = 0, "", 0, 0, "", 0
		}
		return a == b
	})
}

// finish lets go of every claim and takes everything out: each lane in order, each outbox
// in order, nothing beyond.
func (g *model) finish() {
	g.Helper()
	g.restartStore()
	for l, want := range g.lanes {
		g.takeFrom(l, len(want))
		g.nothing(l)
	}
	for account, rows := range g.outbox {
		g.takeRows(account, len(rows))
		g.noOutbox(account)
	}
	g.clock.add(240 * time.Hour)
	for n := -1; n != len(g.claims); {
		n = len(g.claims)
		g.dueSome()
	}
	for _, f := range g.all {
		if f.stage == queue.Aside && f.until != 0 && !f.held {
			g.bad("message %v was due at %v and never came", f.m.ID, f.until)
		}
	}
	g.checkAll()
}
