package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// Options says where a store is. Dir and Name have no default.
type Options struct {
	Dir  string
	Name string // what errors and log lines call it: "reminders"
	FS   vfs.FS // nil: the disk

	Log *slog.Logger // nil: slog.Default

	// Format is the version of the rows that this program writes, from 1. A folder of a newer
	// one is refused. Its row is FormatKey, which no row of the caller may be.
	Format uint32

	CacheBytes int64  // Pebble's block cache, filters included; 0: 32MiB
	MemTable   uint64 // octets; 0: 16MiB
	MinFree    int64  // octets free on disk below which Full is true; 0: 1GiB, negative: not watched

	Now   func() time.Time      // nil: time.Now; for the owner file alone
	Fatal func(error)           // called when a write may be lost; should end the process. nil: log and exit 1
	Tune  func(*pebble.Options) // may change the engine's options; nil: not
}

// FormatKey is the row of the folder's format.
var FormatKey = []byte{0}

// ErrClosed is what Begin answers after Close.
var ErrClosed = errors.New("the store is closed")

// DB is an open store. Whoever uses the embedded engine does so between Begin and End: it
// panics once it is closed.
type DB struct {
	*pebble.DB
	o      Options
	lock   *pebble.Lock
	logger *logger
	disk   disk
	quit   chan struct{}

	mu     sync.Mutex
	users  int
	closed bool
	idle   *sync.Cond // users is 0
	once   sync.Once
	err    error // of Close
	wg     sync.WaitGroup
}

// Open opens the store in o.Dir, and makes it where there is none.
func Open(o Options) (_ *DB, err error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	d := &DB{o: o, logger: newLogger(&o), quit: make(chan struct{})}
	d.idle = sync.NewCond(&d.mu)
	if err := Prepare(o.FS, o.Name, o.Dir); err != nil {
		return nil, err
	}
	if err := d.checkRoom(); err != nil {
		return nil, err
	}
	if d.lock, err = Lock(o.FS, o.Name, o.Dir, o.Now()); err != nil {
		return nil, err
	}
	began := time.Now()
	if d.DB, err = pebble.Open(o.Dir, d.options()); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: opening %s: %w", o.Name, o.Dir, err), d.lock.Close())
	}
	if err := d.checkFormat(); err != nil {
		return nil, errors.Join(err, d.DB.Close(), d.lock.Close())
	}
	o.Log.Info("a store is open", slog.String("store", o.Name), slog.String("folder", o.Dir), slog.Duration("took", time.Since(began)))
	if o.MinFree >= 0 {
		d.wg.Go(d.watchDisk)
	}
	return d, nil
}

func (o *Options) fill() error {
	if o.Dir == "" || o.Name == "" || o.Format == 0 {
		return errors.New("engine: folder, name and format are needed")
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.CacheBytes == 0 {
		o.CacheBytes = 32 << 20
	}
	if o.MemTable == 0 {
		o.MemTable = 16 << 20
	}
	if o.MinFree == 0 {
		o.MinFree = 1 << 30
	}
	return nil
}

// options are Pebble's. The engine takes its memtables out of its cache: with too little
// for both, every read would read its filter from the file.
func (d *DB) options() *pebble.Options {
	opts := &pebble.Options{
		FS:                          d.o.FS,
		Lock:                        d.lock,
		Logger:                      d.logger,
		FormatMajorVersion:          pebble.FormatNewest,
		CacheSize:                   d.o.CacheBytes + 2*int64(d.o.MemTable),
		MemTableSize:                d.o.MemTable,
		MemTableStopWritesThreshold: 3,
		L0CompactionThreshold:       8,
		L0StopWritesThreshold:       24,
		MaxOpenFiles:                1000,
		CompactionConcurrencyRange:  func() (lower, upper int) { return 1, 2 },
		EventListener: &pebble.EventListener{
			BackgroundError: func(err error) {
				d.o.Log.Error("a store's background work", slog.String("store", d.o.Name), slog.Any("err", err))
			},
		},
	}
	for i := range opts.Levels {
		opts.Levels[i] = pebble.LevelOptions{
			BlockSize:    8 << 10,
			FilterPolicy: bloom.FilterPolicy(10),
			Compression:  func() *sstable.CompressionProfile { return sstable.FastestCompression },
		}
	}
	if d.o.Tune != nil {
		d.o.Tune(opts)
	}
	return opts
}

// checkFormat refuses the rows of a newer program, and marks a new folder.
func (d *DB) checkFormat() error {
	v, closer, err := d.DB.Get(FormatKey)
	if errors.Is(err, pebble.ErrNotFound) {
		return d.DB.Set(FormatKey, binary.BigEndian.AppendUint32(nil, d.o.Format), pebble.Sync)
	}
	if err != nil {
		return fmt.Errorf("%s: %s: %w", d.o.Name, d.o.Dir, err)
	}
	defer closer.Close()
	switch {
	case len(v) != 4:
		return fmt.Errorf("%s: %s: the row of its format is damaged", d.o.Name, d.o.Dir)
	case binary.BigEndian.Uint32(v) > d.o.Format:
		return fmt.Errorf("%s: %s has format %d, this program reads %d: use the newer program", d.o.Name, d.o.Dir, binary.BigEndian.Uint32(v), d.o.Format)
	}
	return nil
}

// Begin lets a user of the engine in; End must be called. ErrClosed after Close, what
// wraps ErrFailed after a lost write.
func (d *DB) Begin() error {
	select {
	case <-d.logger.dead:
		return d.logger.err
	default:
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.closed {
		return ErrClosed
	}
	d.users++
	return nil
}

// End ends what Begin began.
func (d *DB) End() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.users--; d.users == 0 {
		d.idle.Broadcast()
	}
}

// Ready says that the store takes writes.
func (d *DB) Ready() bool {
	select {
	case <-d.logger.dead:
		return false
	default:
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	return !d.closed
}

// Close waits for those between Begin and End and closes the engine. Idempotent.
func (d *DB) Close() error {
	d.once.Do(func() {
		close(d.quit)
		d.wg.Wait()
		gone := make(chan struct{})
		go func() {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.closed = true
			for d.users > 0 {
				d.idle.Wait()
			}
			close(gone)
		}()
		select {
		case <-gone:
			d.err = errors.Join(d.DB.Close(), d.lock.Close())
		case <-d.logger.dead:
			// A user hangs in Fatalf for ever, and the engine must not be touched again.
			d.err = d.logger.err
		}
	})
	return d.err
}
