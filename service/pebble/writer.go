package pebble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
	"unicode/utf8"

	pdb "github.com/cockroachdb/pebble/v2"

	"masar/service"
)

// A request is one Apply that waits, or a func that runs on the writer between two groups.
type request struct {
	batch service.Batch
	run   func(*writer)
	out   []service.Outcome
	err   error
	done  chan struct{} // closed by the writer
	taken bool          // guarded by inbox.mu: the writer has it
}

// inbox is what the writer has not seen yet. Whoever put it there waits for it, so it
// holds no more than there are callers.
type inbox struct {
	mu      sync.Mutex
	waiting []*request
	closed  bool
	wake    chan struct{} // buffer 1
}

// Apply is service.Registry's.
func (r *Registry) Apply(ctx context.Context, b service.Batch) ([]service.Outcome, error) {
	if o := b.Once; o != nil {
		switch {
		case o.Key == "":
			return nil, errors.New("registry: an idempotency key is empty")
		case len(o.Answer) > maxAnswer:
			return nil, fmt.Errorf("registry: an answer of %d octets, at most %d are kept", len(o.Answer), maxAnswer)
		}
	}
	if m := b.Bookmark; m != nil && m.Job == "" {
		return nil, errors.New("registry: a bookmark without a job")
	}
	if err := r.disk.refuses(b.Changes); err != nil {
		return nil, err
	}
	began := time.Now()
	req := &request{batch: b, done: make(chan struct{})}
	if err := r.hand(ctx, req); err != nil {
		return nil, err
	}
	if req.err == nil {
		r.metrics.applied(b.Changes, req.out, time.Since(began))
	}
	return req.out, req.err
}

// hand gives q to the writer and waits until it is done. After an error of the context
// nothing of it happens.
func (r *Registry) hand(ctx context.Context, q *request) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	in := &r.inbox
	in.mu.Lock()
	if in.closed {
		in.mu.Unlock()
		return r.closedErr()
	}
	in.waiting = append(in.waiting, q)
	in.mu.Unlock()
	r.wake()
	select {
	case <-q.done:
		return nil
	case <-r.logger.dead:
		return r.logger.err
	case <-ctx.Done():
	}
	in.mu.Lock()
	taken := q.taken
	if !taken {
		for i, w := range in.waiting {
			if w == q {
				in.waiting = append(in.waiting[:i], in.waiting[i+1:]...)
				break
			}
		}
	}
	in.mu.Unlock()
	if !taken {
		return ctx.Err()
	}
	select { // too late to take it back
	case <-q.done:
		return nil
	case <-r.logger.dead:
		return r.logger.err
	}
}

func (r *Registry) wake() {
	select {
	case r.inbox.wake <- struct{}{}:
	default:
	}
}

// closedErr is ErrRegistryClosed, or why the registry failed.
func (r *Registry) closedErr() error {
	select {
	case <-r.logger.dead:
		return r.logger.err
	default:
		return service.ErrRegistryClosed
	}
}

// durable gives a snapshot that holds durable rows only: the writer takes it between two
// groups. The caller closes it.
func (r *Registry) durable(ctx context.Context) (*pdb.Snapshot, error) {
	var snap *pdb.Snapshot
	err := r.hand(ctx, &request{run: func(*writer) { snap = r.db.NewSnapshot() }, done: make(chan struct{})})
	return snap, err
}

// writer is the state of the one goroutine that changes anything.
//
// Invariant: one group is in flight at a time; nothing of it is told before its fsync.
type writer struct {
	r     *Registry
	rows  *overlay
	batch *pdb.Batch
	key   []byte // that codes are hashed with
	swept time.Time
	k, v  []byte
	scene scene
	once  map[string]*service.Once // of the group at hand
	jobs  []*service.Bookmark
}

// groupChanges is how many changes share one fsync, unless one batch alone has more.
const groupChanges = 16384

// run is the writer's goroutine. It ends when the inbox is closed and empty.
func (w *writer) run(tick <-chan time.Time) {
	in := &w.r.inbox
	var group []*request
	w.sweep()
	for {
		select {
		case <-in.wake:
		case now := <-tick:
			w.tick(now)
		}
		for {
			group = group[:0]
			in.mu.Lock()
			n, size := 0, 0
			for n < len(in.waiting) && (n == 0 || size+len(in.waiting[n].batch.Changes) <= groupChanges) {
				q := in.waiting[n]
				q.taken = true
				size += len(q.batch.Changes)
				group = append(group, q)
				n++
			}
			in.waiting = append(in.waiting[:0], in.waiting[n:]...)
			closed := in.closed
			in.mu.Unlock()
			if n == 0 {
				if closed {
					return
				}
				break
			}
			w.commit(group)
			for _, q := range group {
				if q.run != nil {
					q.run(w)
				}
				close(q.done)
			}
			clear(group)
		}
	}
}

// commit decides and writes a group. A row that cannot be read fails whoever asked for it,
// not those who happened to share the group.
func (w *writer) commit(group []*request) {
	w.rows.clear()
	w.batch.Reset()
	clear(w.once)
	w.jobs = w.jobs[:0]
	changes := 0
	for _, q := range group {
		changes += len(q.batch.Changes)
	}
	w.look(changes)
	if changes >= sortedFrom {
		w.rows.prefetch(group)
	}
	for _, q := range group {
		if q.run == nil {
			q.out, q.err = w.apply(&q.batch)
		}
	}
	if err := w.rows.failed; err != nil {
		if len(group) == 1 {
			group[0].out, group[0].err = nil, err
			return
		}
		for i := range group {
			w.commit(group[i : i+1])
		}
		return
	}
	for _, q := range group {
		if q.batch.Decided != nil && q.err == nil {
			q.batch.Decided(q.out)
		}
	}
	w.write()
}

// apply decides a batch over the rows of the group.
func (w *writer) apply(b *service.Batch) ([]service.Outcome, error) {
	if b.Once != nil {
		if err := w.begun(b.Once); err != nil {
			return nil, err
		}
		w.once[b.Once.Key] = b.Once
	}
	if b.Bookmark != nil {
		w.jobs = append(w.jobs, b.Bookmark)
	}
	out := make([]service.Outcome, len(b.Changes))
	for i := range b.Changes {
		out[i] = w.change(&b.Changes[i])
	}
	return out, nil
}

// change lays out what one change may touch, and decides it.
func (w *writer) change(ch *service.Change) service.Outcome {
	s := &w.scene
	services, who, touched := s.services[:0], s.who[:0], s.touched[:0]
	*s = scene{
		ch: ch, limits: &w.r.o.Limits, now: seconds(ch.Now), nowMS: millis(ch.Now), at: seconds(ch.At),
		services: services, who: who, touched: touched, nameOf: s.nameOf,
	}
	if why := valid(ch); why != nil {
		return service.Outcome{Effect: service.NotDone, Err: why}
	}
	if why := w.nameAll(s); why != nil {
		return service.Outcome{Effect: service.NotDone, Err: why}
	}
	rows := w.rows
	ofNumber := ch.Kind == service.IssueCode || ch.Kind == service.Verify || ch.Kind == service.NoteUnknown ||
		ch.Kind == service.BlockNumber || ch.Kind == service.UnblockNumber
	if ch.Person != (service.Person{}) {
		s.person = rows.person(ch.Person)
	}
	switch {
	case s.person != nil && s.person.number != 0 && !(ofNumber && ch.Number != 0):
		s.row = rows.number(s.person.number)
	case ch.Number != 0:
		s.row = rows.number(ch.Number)
	case ofNumber:
		return service.Outcome{Effect: service.NotDone, Err: &service.Refused{Field: "number", Rule: "is needed"}}
	}
	switch {
	case s.person == nil:
		for i := range s.row.people {
			s.who = append(s.who, rows.person(s.row.people[i].person))
		}
	case s.row != nil && s.row.index(ch.Person) >= 0:
		s.who = append(s.who, s.person)
	}
	var code *codeRow
	switch ch.Kind {
	case service.SetNumber:
		if ch.Number != 0 {
			s.dest = rows.number(ch.Number)
		}
	case service.IssueCode, service.Verify:
		code = rows.codeOf(s.row.number)
		s.code, s.codeHash = code.code, hashCode(w.key, s.row.number, ch.Code)
	}
	if rows.failed != nil {
		return service.Outcome{}
	}
	out := s.decide()
	switch {
	case s.newCode != nil:
		code.code, code.dirty = s.newCode, true
	case s.dropCode:
		code.code, code.dirty = nil, true
	}
	return out
}

// nameAll turns the change's names into numbers.
func (w *writer) nameAll(s *scene) *service.Refused {
	n, ch := &w.r.names, s.ch
	var ok bool
	if s.channel, ok = n.number(channelName, ch.Channel); !ok {
		return &service.Refused{Field: "channel", Rule: "is one too many: 65535 names are kept"}
	}
	if s.language, ok = n.number(languageName, ch.Language); !ok {
		return &service.Refused{Field: "language", Rule: "is one too many: 65535 names are kept"}
	}
	for _, code := range ch.Services {
		id, ok := n.number(serviceName, code)
		if !ok {
			return &service.Refused{Field: "services", Rule: "is one too many: 65535 names are kept"}
		}
		s.services = append(s.services, id)
	}
	if ch.Only != "" {
		// Who is nowhere has made nothing; but what it makes now is its own.
		if s.only = n.known(channelName, ch.Only); s.only == 0 {
			s.only = nobodysName
		}
	}
	return nil
}

// Bounds of what a change may say, in octets.
const (
	maxName   = 64
	maxBy     = 64
	maxReason = 100
	maxNumber = 999_999_999_999_999 // 15 digits
)

// valid refuses what no row may hold.
func valid(ch *service.Change) *service.Refused {
	no := func(field, format string, args ...any) *service.Refused {
		return &service.Refused{Field: field, Rule: fmt.Sprintf(format, args...)}
	}
	switch {
	case ch.Kind > service.Erase:
		return no("kind", "is none that is known")
	case ch.Person == (service.Person{}) && ch.Number == 0:
		return no("person", "or number is needed")
	case ch.Number > maxNumber:
		return no("number", "has more than 15 digits")
	case ch.Now.IsZero():
		return no("now", "is needed")
	case len(ch.Channel) > maxName:
		return no("channel", "has %d octets, at most %d", len(ch.Channel), maxName)
	case len(ch.Language) > maxName:
		return no("language", "has %d octets, at most %d", len(ch.Language), maxName)
	case len(ch.By) > maxBy:
		return no("by", "has %d octets, at most %d", len(ch.By), maxBy)
	case len(ch.Block.Reason) > maxReason:
		return no("reason", "has %d octets, at most %d", len(ch.Block.Reason), maxReason)
	case !utf8.ValidString(ch.By):
		return no("by", "is not UTF-8")
	}
	for _, code := range ch.Services {
		if code == "" || len(code) > maxName {
			return no("services", "has a code of %d octets, 1 to %d", len(code), maxName)
		}
	}
	if ch.Kind == service.IssueCode || ch.Kind == service.Verify {
		if len(ch.Code) < 4 || len(ch.Code) > 10 {
			return no("code", "has %d digits, 4 to 10", len(ch.Code))
		}
		for i := range len(ch.Code) {
			if c := ch.Code[i]; c < '0' || c > '9' {
				return no("code", "is not of digits alone")
			}
		}
	}
	return nil
}

// write makes the group durable, then brings memory up to date, then raises the versions.
func (w *writer) write() {
	r, o := w.r, w.rows
	var err error
	must := func(e error) {
		if err == nil {
			err = e
		}
	}
	w.v, err = o.write(w.batch, w.v)
	for _, once := range w.once {
		w.v = appendOnce(w.v[:0], once, r.since(once.At))
		must(w.batch.Set(onceKey(w.k, once.Key), w.v, nil))
	}
	for _, mark := range w.jobs {
		must(w.putBookmark(mark))
	}
	r.statsMu.Lock()
	r.total.add(&o.total, func(id uint32) {
		w.v = r.total.row(w.v[:0], id)
		must(w.batch.Set(totalKey(w.k, id), w.v, nil))
	})
	r.statsMu.Unlock()
	if !w.batch.Empty() {
		must(r.names.save(w.batch, w.k))
	}
	if err != nil {
		r.logger.die(err) // the batch is in memory: this is a mistake of ours
	}
	if w.batch.Empty() {
		return
	}
	if err := r.db.Apply(w.batch, pdb.Sync); err != nil {
		r.logger.die(err)
	}
	for _, row := range o.order {
		if row.dirty {
			r.cache.shard(row.number).replace(row.number, func() []byte {
				if row.empty() {
					return nil
				}
				w.v = appendNumber(w.v[:0], row)
				return bytes.Clone(w.v)
			})
		}
	}
	for _, row := range o.order {
		if row.dirty {
			r.cache.version(row.number).Add(1)
		}
	}
}
