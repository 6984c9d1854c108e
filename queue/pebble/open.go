package pebble

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	pdb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/engine"
	"masar/queue"
)

// Store is a queue.Store in one folder. Open makes it.
type Store struct {
	o       Options
	fs      vfs.FS
	lock    *pdb.Lock
	db      *pdb.DB
	logger  *logger
	macs    *macs
	metrics *metrics
	disk    disk
	inbox   inbox
	names   names

	gate sync.Mutex // see committer.finish; taken before mu

	mu          sync.Mutex
	lanes       map[queue.Lane]*lane
	outboxes    map[uint32]*outbox
	sides       map[roomKey]int64          // how many are on the side way
	halts       map[roomKey]int64          // how many of them are halted; none is zero
	items       map[queue.ID]*item         // every waiting message in memory, claimed or ready
	unsure      map[queue.ID][]uint8       // sending rows from before this start
	memory      int64                      // octets ready for taking
	fillQueue   []refill                   // waiting for a refiller
	fillCond    *sync.Cond                 // of mu
	refilled    []*lane                    // to be told of by the committer
	refilledOut []*outbox                  // likewise
	watchLane   func(queue.Lane)           // nil before Watch
	watchOutbox func(uint32)               //
	live        func(group uint16) bool    // nil before Groups
	dueFrom     [queue.Classes]queue.Time  // no unclaimed due row is earlier
	dueSeen     *[queue.Classes]queue.Time // while Due looks for scheduled ones: dueFrom before that
	closing     bool                       // refillers end

	sweep sweep // due.go

	startStamp uint64 // the last stamp of the process before this one

	reads  sync.RWMutex // held for reading while the engine is read; Close takes it whole
	closed atomic.Bool
	once   sync.Once
	err    error // of Close
	wg     sync.WaitGroup
	quit   chan struct{} // closed by Close: the disk watcher and the surveys end

	surveys sync.WaitGroup // under way
}

var _ queue.Store = (*Store)(nil)

// storeName is what errors about the folder call the store.
const storeName = "store"

// Open opens the store in o.Dir, and makes it where there is none. It reads how much
// waits, not what waits: its time does not grow with the backlog.
func Open(ctx context.Context, o Options) (_ *Store, err error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	s := &Store{
		o:        o,
		logger:   newLogger(o.Log, o.Fatal),
		lanes:    make(map[queue.Lane]*lane),
		outboxes: make(map[uint32]*outbox),
		sides:    make(map[roomKey]int64),
		halts:    make(map[roomKey]int64),
		items:    make(map[queue.ID]*item),
		unsure:   make(map[queue.ID][]uint8),
		quit:     make(chan struct{}),
	}
	s.fillCond = sync.NewCond(&s.mu)
	s.inbox.wake = make(chan struct{}, 1)
	s.inbox.room = room{max: o.Room, maxAccount: o.AccountRoom, of: make(map[roomKey]int64)}
	s.fs = vfs.OnDiskFull(o.FS, s.giveUpBallast)

	var undo []func()
	defer func() {
		if err != nil {
			for i := len(undo) - 1; i >= 0; i-- {
				undo[i]()
			}
		}
	}()
	if err := engine.Prepare(o.FS, storeName, o.Dir); err != nil {
		return nil, err
	}
	if err := s.checkRoom(); err != nil {
		return nil, err
	}
	if s.lock, err = engine.Lock(o.FS, storeName, o.Dir, o.Now()); err != nil {
		return nil, err
	}
	undo = append(undo, func() { s.lock.Close() })
	desc, err := pdb.Peek(o.Dir, o.FS)
	if err != nil {
		return nil, fmt.Errorf("store: looking into %s: %w", o.Dir, err)
	}
	key, err := loadKey(o.FS, o.Dir, !desc.Exists)
	if err != nil {
		return nil, err
	}
	s.macs = newMACs(key)
	opts := engineOptions(&o, s.lock, s.logger, s.diskSoon)
	opts.FS = s.fs
	s.disk.soon = make(chan struct{}, 1)
	began := time.Now()
	compactions := newScheduler()
	opts.Experimental.CompactionScheduler = compactions
	if s.db, err = pdb.Open(o.Dir, opts); err != nil {
		return nil, fmt.Errorf("store: opening %s: %w", o.Dir, err)
	}
	replayed := time.Since(began)
	undo = append(undo, func() { s.db.Close() })
	c := &committer{
		s: s, batch: s.db.NewBatch(), mac: s.macs.get(),
		finals:  make(map[queue.ID]struct{}),
		once:    make(map[uint64]*queue.Message),
		short:   make(map[uint32]uint64),
		refund:  make(map[roomKey]int64),
		pending: make(map[queue.ID][]answered),
		kept:    make(map[queue.ID]keptSent),
		sides:   make(map[roomKey]int64),
		halts:   make(map[roomKey]int64),

		unmatchedN: make(map[uint32]int),
	}
	if err := s.restore(ctx, c); err != nil {
		return nil, err
	}
	o.Log.Info("store is open", slog.String("folder", o.Dir), slog.Int64("waiting", s.inbox.room.used),
		slog.Duration("engine", replayed), slog.Duration("took", time.Since(began)))
	compactions.begin()
	s.metrics = newMetrics(o.Registerer, s)
	s.makeBallast()

	ticker := time.NewTicker(time.Second)
	s.wg.Go(func() {
		defer ticker.Stop()
		c.run(ticker.C)
	})
	for range 2 {
		s.wg.Go(s.refiller)
	}
	s.wg.Go(s.watchDisk)
	return s, nil
}

// Ready says that the store takes commits.
func (s *Store) Ready() bool {
	select {
	case <-s.logger.dead:
		return false
	default:
		return !s.closed.Load()
	}
}

// begin lets a reader in; end must be called. ErrClosed after Close.
func (s *Store) begin() error {
	s.reads.RLock()
	if s.closed.Load() {
		s.reads.RUnlock()
		return s.closedErr()
	}
	return nil
}

func (s *Store) end() { s.reads.RUnlock() }

// durable gives a snapshot that holds durable rows only: the committer takes it between
// two batches. The caller closes it.
func (s *Store) durable(ctx context.Context) (*pdb.Snapshot, error) {
	return s.durableAnd(ctx, func() {})
}

// durableAnd runs look at the snapshot's moment, when what is in memory fits its rows. After
// an error look does not run any more.
func (s *Store) durableAnd(ctx context.Context, look func()) (snap *pdb.Snapshot, err error) {
	var mu sync.Mutex
	gone := false // the asker: nobody would close the snapshot
	err = s.do(ctx, func(*committer) {
		mu.Lock()
		defer mu.Unlock()
		if !gone {
			look()
			snap = s.db.NewSnapshot()
		}
	})
	mu.Lock()
	defer mu.Unlock()
	if err != nil {
		gone = true
		if snap != nil {
			snap.Close()
		}
		return nil, err
	}
	return snap, nil
}

// Close is queue.Store's: what the inbox holds is committed first.
func (s *Store) Close() error {
	s.once.Do(func() {
		in := &s.inbox
		in.mu.Lock()
		in.closed = true
		if in.space != nil {
			close(in.space)
			in.space = nil
		}
		in.mu.Unlock()
		s.wake()
		s.mu.Lock()
		s.closing = true
		s.fillCond.Broadcast()
		s.mu.Unlock()
		close(s.quit)
		ended := make(chan struct{})
		go func() { s.wg.Wait(); close(ended) }()
		select {
		case <-ended:
		case <-s.logger.dead:
			// The committer hangs in Fatalf for ever, and the engine must not be touched again.
			s.closed.Store(true)
			s.err = s.logger.err
			return
		}
		s.reads.Lock()
		s.closed.Store(true)
		s.reads.Unlock()
		s.surveys.Wait()
		s.metrics.unregister()
		s.err = errors.Join(s.db.Close(), s.lock.Close())
	})
	return s.err
}
