package pebble

import (
	"context"
	"sync"
	"time"

	pdb "github.com/cockroachdb/pebble/v2"

	"masar/queue"
)

// commit is one Commit in the inbox: n steps that stand in the inbox's list, or a func
// that runs on the committer while a batch is open.
type commit struct {
	done queue.Done
	n    int
	run  func(*committer)
}

// inbox is what the committer has not seen yet.
type inbox struct {
	mu      sync.Mutex
	commits []commit
	steps   []queue.Step
	closed  bool
	room    room          // guarded by mu as well: taken here, given back once a batch
	space   chan struct{} // closed when there is room again; nil while nobody waits
	wake    chan struct{} // buffer 1
}

// Commit is queue.Store's.
func (s *Store) Commit(ctx context.Context, d queue.Done, steps ...queue.Step) error {
	if err := valid(steps); err != nil {
		return err
	}
	in := &s.inbox
	in.mu.Lock()
	for {
		if in.closed {
			in.mu.Unlock()
			return s.closedErr()
		}
		if len(in.steps)+len(steps) <= s.o.InboxSteps || len(in.commits) == 0 {
			break
		}
		if ctx.Err() != nil {
			in.mu.Unlock()
			return queue.ErrBusy
		}
		if in.space == nil {
			in.space = make(chan struct{})
		}
		space := in.space
		in.mu.Unlock()
		select {
		case <-space:
		case <-ctx.Done():
		case <-s.logger.dead:
			return s.logger.err
		}
		in.mu.Lock()
	}
	for i, st := range steps {
		a, ok := st.(*queue.Accept)
		if !ok {
			continue
		}
		if err := in.room.take(roomOf(a.M), a.Room, s.disk.level.Load()); err != nil {
			for _, earlier := range steps[:i] {
				if a, ok := earlier.(*queue.Accept); ok {
					in.room.give(roomOf(a.M), 1)
				}
			}
			in.mu.Unlock()
			return err
		}
	}
	in.commits = append(in.commits, commit{done: d, n: len(steps)})
	in.steps = append(in.steps, steps...)
	in.mu.Unlock()
	s.wake()
	return nil
}

func (s *Store) wake() {
	select {
	case s.inbox.wake <- struct{}{}:
	default:
	}
}

// do runs f on the committer with a batch open and waits until that batch is durable.
func (s *Store) do(ctx context.Context, f func(*committer)) error {
	done := make(chan error, 1)
	in := &s.inbox
	in.mu.Lock()
	if in.closed {
		in.mu.Unlock()
		return s.closedErr()
	}
	in.commits = append(in.commits, commit{run: f, done: queue.DoneFunc(func(err error) { done <- err })})
	in.mu.Unlock()
	s.wake()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-s.logger.dead:
		return s.logger.err
	}
}

// closedErr is ErrClosed, or why the store failed.
func (s *Store) closedErr() error {
	select {
	case <-s.logger.dead:
		return s.logger.err
	default:
		return queue.ErrClosed
	}
}

// committer is the state of the one goroutine that writes.
//
// Invariant: one batch is in flight at a time; nothing of it is told before its fsync.
type committer struct {
	s     *Store
	batch *pdb.Batch
	k, v  []byte // scratch for one key and one value
	mac   *mac

	now    queue.Time // read once a batch
	last   uint64     // the last stamp given out
	first  uint64     // last, when this batch began
	failed error      // a read the batch needed went wrong

	effects        []effect
	finals         map[queue.ID]struct{}     // ended by Ref in this batch
	once           map[uint64]*queue.Message // accepted with Once in this batch
	short          map[uint32]uint64         // last short id by account, as far as known
	awaits         recent                    // messages that certainly have a sent row
	refund         map[roomKey]int64         // room that this batch gives back
	fresh          []bool                    // which steps of the commit at hand are new Accepts
	pending        map[queue.ID][]answered   // part rows written in this batch
	kept           map[queue.ID]keptSent     // sent rows with a body written in this batch
	sides          map[roomKey]int64         // what this batch adds to the side way
	halts          map[roomKey]int64         // and how many of it are halted
	parts          []answered                // scratch
	infos          []queue.PartInfo          // scratch
	toldL          []*lane                   // lanes to be told after this batch
	toldO          []*outbox                 // outboxes, likewise
	spareC         []commit
	spareS         []queue.Step
	due            [queue.Classes]queue.Time // as last written
	unmatchedN     map[uint32]int            // unmatched receipts by carrier, where they have been counted
	agingShort     []byte                    // where age goes on
	agingUnmatched []byte
	nextDue        time.Time // of the tick: housekeeping
}

// Bounds of one batch: what waits longer than this many commits waits for the next fsync.
const (
	batchCommits = 2048
	batchOctets  = 4 << 20
)

// run is the committer's goroutine. It ends when the inbox is closed and empty.
func (c *committer) run(tick <-chan time.Time) {
	in := &c.s.inbox
	for {
		select {
		case <-in.wake:
		case <-tick:
			c.tick()
		}
		for {
			in.mu.Lock()
			commits, steps := in.commits, in.steps
			in.commits, in.steps = c.spareC[:0], c.spareS[:0]
			if in.space != nil {
				close(in.space)
				in.space = nil
			}
			closed := in.closed
			in.mu.Unlock()
			c.notify()
			if len(commits) == 0 {
				c.spareC, c.spareS = commits, steps
				if closed {
					c.end()
					return
				}
				break
			}
			c.commitAll(commits, steps)
			select {
			case <-tick: // under load the inbox is never empty
				c.tick()
			default:
			}
			clear(commits)
			clear(steps)
			c.spareC, c.spareS = commits, steps
		}
	}
}

// commitAll writes what was in the inbox, in as few batches as the bounds allow.
func (c *committer) commitAll(commits []commit, steps []queue.Step) {
	for len(commits) > 0 {
		c.begin()
		n := 0
		at := 0
		for n < len(commits) && n < batchCommits && c.batch.Len() < batchOctets {
			m := &commits[n]
			if m.run != nil {
				m.run(c)
			} else {
				c.apply(steps[at : at+m.n])
			}
			at += m.n
			n++
		}
		c.finish(commits[:n])
		commits, steps = commits[n:], steps[at:]
	}
}

func (c *committer) begin() {
	c.batch.Reset()
	c.now = queue.At(c.s.o.Now())
	c.first = c.last
}

// finish makes the batch durable, then answers, then feeds.
func (c *committer) finish(commits []commit) {
	if !c.batch.Empty() {
		if c.last != c.first {
			c.v = be.AppendUint64(c.v[:0], c.last)
			c.set(metaKey(c.k, metaStamp), c.v)
		}
		c.countSides()
		if c.s.o.observe != nil {
			c.s.o.observe(c.s.db, c.batch)
		}
		began := time.Now()
		if err := c.s.db.Apply(c.batch, pdb.Sync); err != nil {
			c.s.logger.die(err)
		}
		c.s.metrics.batch(len(commits), c.batch.Len(), time.Since(began))
	}
	if c.failed != nil {
		c.s.logger.die(c.failed)
	}
	c.settle()
	// Whoever is told by a Done that its message is accepted may ask for it in the next
	// instant, and whoever pulls must not see a message before its Done: the gate keeps
	// Take, ClaimID, Depths and their like waiting from the first Done until the rows are fed.
	c.s.gate.Lock()
	for i := range commits {
		if commits[i].done != nil {
			commits[i].done.Done(nil)
		}
	}
	c.feed()
	c.s.gate.Unlock()
	c.notify()
}

// pass waits while the committer answers a batch and feeds it.
func (s *Store) pass() {
	s.gate.Lock()
	//lint:ignore SA2001 to have waited is all
	s.gate.Unlock()
}

// feed carries the batch into memory: ended claims go, new rows come.
func (c *committer) feed() {
	s := c.s
	s.mu.Lock()
	for i := range c.effects {
		e := &c.effects[i]
		switch e.kind {
		case effEnd:
			s.drop(e.it)
		case effLane, effBack:
			if e.kind == effBack {
				s.unhold(e.it)
			}
			if l := s.arrive(e.it, e.lane, e.stamp); l.told != c.last|1 {
				l.told = c.last | 1
				c.toldL = append(c.toldL, l)
			}
		case effAside:
			s.arriveAside(e.it.m, e.due)
		case effOut:
			if o := s.arriveOut(e.parcel); o.told != c.last|1 {
				o.told = c.last | 1
				c.toldO = append(c.toldO, o)
			}
		case effOutGone:
			s.goneOut(e.account)
		}
	}
	s.mu.Unlock()
	clear(c.effects)
	c.effects = c.effects[:0]
}

// settle gives back room and forgets what belonged to the batch.
func (c *committer) settle() {
	clear(c.finals)
	clear(c.once)
	clear(c.pending)
	clear(c.kept)
	if len(c.refund) > 0 {
		in := &c.s.inbox
		in.mu.Lock()
		for k, n := range c.refund {
			in.room.give(k, n)
		}
		in.mu.Unlock()
		clear(c.refund)
	}
}

// notify tells the watchers of lanes and outboxes that have something now.
func (c *committer) notify() {
	s := c.s
	s.mu.Lock()
	c.toldL = append(c.toldL, s.refilled...)
	c.toldO = append(c.toldO, s.refilledOut...)
	s.refilled, s.refilledOut = s.refilled[:0], s.refilledOut[:0]
	lane, outbox := s.watchLane, s.watchOutbox
	s.mu.Unlock()
	if lane != nil {
		for _, l := range c.toldL {
			lane(l.id)
		}
	}
	if outbox != nil {
		for _, o := range c.toldO {
			outbox(o.account)
		}
	}
	clear(c.toldL)
	clear(c.toldO)
	c.toldL, c.toldO = c.toldL[:0], c.toldO[:0]
}

// Watch is queue.Store's.
func (s *Store) Watch(lane func(queue.Lane), outbox func(account uint32)) {
	s.do(context.Background(), func(c *committer) {
		s.mu.Lock()
		s.watchLane, s.watchOutbox = lane, outbox
		for _, l := range s.lanes {
			if l.ready.n > 0 || l.backlog {
				s.refilled = append(s.refilled, l)
			}
		}
		for _, o := range s.outboxes {
			if o.ready.n > 0 || o.backlog {
				s.refilledOut = append(s.refilledOut, o)
			}
		}
		s.mu.Unlock()
		c.notify()
	})
}

// next gives out a stamp: max(last + 1 µs, now). A clock that steps back makes stamps run
// ahead of it; it never makes one twice.
func (c *committer) next() uint64 {
	n := c.last>>10 + 1
	if now := uint64(max(c.now, 0)); now > n {
		n = now
	}
	c.last = n<<10 | uint64(c.s.o.Node)
	return c.last
}

func (c *committer) set(k, v []byte) {
	c.k = k
	c.must(c.batch.Set(k, v, nil))
}

// single removes a row whose key was written once and never again. For any other row it
// would bring the older value back after a flush: those take del.
func (c *committer) single(k []byte) {
	c.k = k
	c.must(c.batch.SingleDelete(k, nil))
}

func (c *committer) del(k []byte) {
	c.k = k
	c.must(c.batch.Delete(k, nil))
}

func (c *committer) must(err error) {
	if err != nil && c.failed == nil {
		c.failed = err
	}
}

// get reads a row that no step of this batch has written. The value is valid until the
// next get. ok: there is one.
func (c *committer) get(k []byte) (v []byte, ok bool) {
	c.k = k
	v, closer, err := c.s.db.Get(k)
	switch {
	case err == pdb.ErrNotFound:
		return nil, false
	case err != nil:
		c.must(err)
		return nil, false
	}
	c.v = append(c.v[:0], v...)
	c.must(closer.Close())
	return c.v, true
}

// recent is a bounded set of ids, the oldest forgotten first.
type recent struct {
	set  map[queue.ID]struct{}
	ring []queue.ID
	at   int
}

// recentIDs bounds the set: 131,072 ids are 1 MiB of ring and some 3 MiB of map.
const recentIDs = 1 << 17

func (r *recent) add(id queue.ID) {
	if r.set == nil {
		r.set = make(map[queue.ID]struct{})
	}
	if len(r.ring) < recentIDs {
		r.ring = append(r.ring, id)
	} else {
		delete(r.set, r.ring[r.at])
		r.ring[r.at] = id
		r.at = (r.at + 1) % recentIDs
	}
	r.set[id] = struct{}{}
}

func (r *recent) has(id queue.ID) bool { _, ok := r.set[id]; return ok }
func (r *recent) remove(id queue.ID)   { delete(r.set, id) }
