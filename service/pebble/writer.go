package pebble

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

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
