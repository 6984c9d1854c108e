package pebble

import (
	"cmp"
	"slices"
	"time"

	pdb "github.com/cockroachdb/pebble/v2"

	"masar/queue"
)

// housekeeping is how often retention and the like run.
const housekeeping = time.Hour

// tick is the committer's work of each second: the state rows of lanes and outboxes that
// have changed, and what has grown old.
func (c *committer) tick() {
	c.begin()
	c.states()
	c.trimOutboxes()
	c.age()
	if now := c.s.o.Now(); !now.Before(c.nextDue) || c.nextDue.Sub(now) > housekeeping {
		c.nextDue = now.Add(housekeeping)
		c.retain()
	}
	c.finish(nil)
}

// states writes the state rows that are out of date.
func (c *committer) states() {
	s := c.s
	type row struct {
		lane   *lane
		out    *outbox
		st     state
		remove bool
	}
	var rows []row
	heads := make(map[*lane]uint64)
	var due [queue.Classes]queue.Time
	s.mu.Lock()
	due = s.dueFrom
	lowest := func(bound [queue.Classes]queue.Time) {
		for class, t := range bound {
			due[class] = min(due[class], t)
		}
	}
	if s.dueSeen != nil {
		lowest(*s.dueSeen)
	}
	for _, it := range s.items {
		switch {
		case it.m == nil:
			lowest(c.due) // its rows are being read: it may be aside, and due before the bound
		case it.state.Load() == ready:
		case it.stamp != 0:
			if h, ok := heads[it.lane]; !ok || it.stamp < h {
				heads[it.lane] = it.stamp
			}
		case it.dueAt != 0:
			due[it.m.Class] = min(due[it.m.Class], it.dueAt)
		}
	}
	for id, l := range s.lanes {
		if old := l.count <= 0 && !l.backlog && !l.filling && l.claimed == 0 && c.now-l.emptied > dayMicros && l.emptied != 0; old {
			rows = append(rows, row{lane: l, remove: true})
			delete(s.lanes, id)
			continue
		}
		if !l.dirty {
			continue
		}
		l.dirty = false
		st := state{head: l.tail + 1, tail: l.tail, count: l.count, oldest: l.head}
		if l.backlog {
			st.head = min(st.head, l.read+1)
		}
		if l.ready.n > 0 {
			st.head = min(st.head, (*l.ready.at(0)).stamp)
		}
		if h, ok := heads[l]; ok {
			st.head = min(st.head, h)
		}
		rows = append(rows, row{lane: l, st: st})
	}
	for account, o := range s.outboxes {
		if o.count <= 0 && !o.backlog && !o.filling && len(o.held) == 0 && c.now-o.emptied > dayMicros && o.emptied != 0 {
			rows = append(rows, row{out: o, remove: true})
			delete(s.outboxes, account)
			continue
		}
		if !o.dirty {
			continue
		}
		o.dirty = false
		st := state{head: o.tail + 1, tail: o.tail, count: o.count, oldest: o.head}
		if o.backlog {
			st.head = min(st.head, o.read+1)
		}
		if o.ready.n > 0 {
			st.head = min(st.head, (*o.ready.at(0)).d.Seq)
		}
		for seq := range o.held {
			st.head = min(st.head, seq)
		}
		rows = append(rows, row{out: o, st: st})
	}
	s.mu.Unlock()
	for _, r := range rows {
		switch {
		case r.lane != nil && r.remove:
			c.del(laneStateKey(c.k, r.lane.id))
		case r.lane != nil:
			c.v = appendState(c.v[:0], r.st)
			c.set(laneStateKey(c.k, r.lane.id), c.v)
		case r.remove:
			c.del(outStateKey(c.k, r.out.account))
		default:
			c.v = appendState(c.v[:0], r.st)
			c.set(outStateKey(c.k, r.out.account), c.v)
		}
	}
	for class, t := range due {
		if t != c.due[class] {
			c.due[class] = t
			c.v = be.AppendUint64(c.v[:0], uint64(t))
			c.set(metaDueKey(c.k, queue.Class(class)), c.v)
		}
	}
}

// trimOutboxes ends the oldest deliveries of an outbox that is over its bound, and those
// whose time is over, where nobody holds them. The ends of jobs are never given up.
func (c *committer) trimOutboxes() {
	s := c.s
	var ended []*parcel
	jobs, _ := s.names.find(queue.AccountName, queue.JobsAccount) // none: 0, which no account has
	s.mu.Lock()
	for _, o := range s.outboxes {
		if o.account == jobs {
			continue
		}
		over := o.count - int64(o.ending) - s.outboxMax(o.account)
		for o.ready.n > 0 {
			p := *o.ready.at(0)
			if over <= 0 && (p.d.Expires == 0 || p.d.Expires > c.now) {
				break
			}
			o.ready.popFront()
			s.memory -= p.size
			o.ending++
			over--
			ended = append(ended, p)
		}
		if o.backlog && o.ready.n == 0 && (over > 0 || len(ended) > 0 || o.head < c.now-dayMicros) {
			s.fillOutbox(o)
		}
	}
	s.mu.Unlock()
	for _, p := range ended {
		c.undeliver(p, queue.Undelivered)
	}
}

// outboxMax is the bound of an account's outbox.
func (s *Store) outboxMax(account uint32) int64 {
	if s.o.OutboxMaxOf != nil {
		if most := s.o.OutboxMaxOf(s.Name(queue.AccountName, account)); most > 0 {
			return most
		}
	}
	return s.o.OutboxMax
}

// retain drops whole days of history and whole weeks of Once keys, each with one range.
func (c *committer) retain() {
	s := c.s
	today := day(c.now)
	if keep := s.historyDays(); today > keep {
		c.must(c.batch.DeleteRange([]byte{kindHistory}, historyKey(nil, today-keep, 0)[:3], nil))
	}
	if w := week(c.now); w > 1 {
		c.must(c.batch.DeleteRange([]byte{kindOnce}, onceKey(nil, w-1, 0)[:3], nil))
	}
}

// Rows of a kind that one tick looks at for old ones: a round over ten million takes hours,
// and no commit waits for it.
const agingRows = 2000

// age removes old rows of the kinds that have no day in their key, a few at a tick.
func (c *committer) age() {
	shorts := c.now - queue.Time(c.s.o.History.Microseconds()) - shortKept
	c.agingShort = c.ageKind(kindShort, c.agingShort, func(_, v []byte) bool {
		return len(v) == 16 && queue.Time(be.Uint64(v[8:])) < shorts
	})
	receipts := c.now - queue.Time(c.s.o.UnmatchedTTL.Microseconds())
	c.agingUnmatched = c.ageKind(kindUnmatched, c.agingUnmatched, func(k, _ []byte) bool {
		old := queue.Time(be.Uint64(k[len(k)-8:])) < receipts
		if old {
			c.unmatchedN[be.Uint32(k[1:])]--
		}
		return old
	})
}

// shortKept is how long a short id can be asked for after its Accept, beyond history.
const shortKept = 14 * dayMicros

// ageKind deletes what is old among the next rows of a kind, and gives where to go on.
func (c *committer) ageKind(kind byte, from []byte, old func(k, v []byte) bool) []byte {
	if from == nil {
		from = []byte{kind}
	}
	i, err := c.s.db.NewIter(&pdb.IterOptions{LowerBound: from, UpperBound: []byte{kind + 1}})
	if err != nil {
		c.must(err)
		return nil
	}
	defer i.Close()
	n := 0
	for ok := i.First(); ok; ok = i.Next() {
		if n++; n > agingRows {
			return append([]byte(nil), i.Key()...)
		}
		v, err := i.ValueAndErr()
		c.must(err)
		if err == nil && old(i.Key(), v) {
			c.must(c.batch.Delete(i.Key(), nil))
		}
	}
	c.must(i.Error())
	return nil
}

// trimUnmatched keeps the newest receipts of a carrier when there are more than its bound.
func (c *committer) trimUnmatched(carrier uint32) {
	type row struct {
		at uint64
		k  []byte
	}
	var rows []row
	c.must(scan(c.s.db, unmatchedKey(nil, carrier, "", 0)[:5], func(k, _ []byte) error {
		rows = append(rows, row{be.Uint64(k[len(k)-8:]), append([]byte(nil), k...)})
		return nil
	}))
	slices.SortFunc(rows, func(a, b row) int { return cmp.Compare(a.at, b.at) })
	// A tenth more than needed goes, so that the next receipts do not each pay for this.
	keep := c.s.o.UnmatchedMax - c.s.o.UnmatchedMax/10
	for _, r := range rows[:max(0, len(rows)-keep)] {
		c.must(c.batch.Delete(r.k, nil))
	}
	c.unmatchedN[carrier] = min(len(rows), keep)
}

// end is the committer's last batch: states as they are, and the mark of an orderly end.
func (c *committer) end() {
	c.begin()
	c.states()
	c.set(metaKey(c.k, metaClean), []byte{1})
	c.finish(nil)
}
