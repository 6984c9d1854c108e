package pebble

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	pdb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/service"
)

// Registry is a service.Registry in one folder. Open makes it.
type Registry struct {
	o       Options
	lock    *pdb.Lock
	db      *pdb.DB
	logger  *logger
	metrics *metrics
	disk    disk
	inbox   inbox
	names   names
	cache   *cache

	statsMu sync.Mutex
	total   totals

	reads  readers
	closed atomic.Bool
	once   sync.Once
	err    error // of Close
	wg     sync.WaitGroup
	quit   chan struct{} // closed by Close: the disk watcher ends
}

var _ service.Registry = (*Registry)(nil)

// errHeld says that another process has the folder open.
var errHeld = errors.New("the folder is in use")

// Open opens the registry in o.Dir, and makes it where there is none. It reads names and
// totals, no subscribers.
func Open(ctx context.Context, o Options) (_ *Registry, err error) {
	if err := o.fill(); err != nil {
		return nil, err
	}
	r := &Registry{o: o, logger: newLogger(o.Log, o.Fatal), quit: make(chan struct{})}
	r.inbox.wake = make(chan struct{}, 1)
	r.reads.gone = sync.NewCond(&r.reads.mu)
	if r.cache, err = newCache(o.Cache); err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	var undo []func()
	defer func() {
		if err != nil {
			for i := len(undo) - 1; i >= 0; i-- {
				undo[i]()
			}
		}
	}()
	if err := r.prepareFolder(); err != nil {
		return nil, err
	}
	if r.lock, err = r.lockFolder(); err != nil {
		return nil, err
	}
	undo = append(undo, func() { r.lock.Close() })
	began := time.Now()
	if r.db, err = pdb.Open(o.Dir, engineOptions(&o, r.lock, r.logger)); err != nil {
		return nil, fmt.Errorf("registry: opening %s: %w", o.Dir, err)
	}
	undo = append(undo, func() { r.db.Close() })
	w := &writer{r: r, rows: newOverlay(r.db), batch: r.db.NewBatch(), once: make(map[string]*service.Once)}
	w.scene.nameOf = func(id uint32) string { return r.names.name(serviceName, id) }
	if err := w.restore(); err != nil {
		return nil, fmt.Errorf("registry: %s: %w", o.Dir, err)
	}
	o.Log.Info("registry is open", slog.String("folder", o.Dir), slog.Int64("subscribers", r.total.subscribers),
		slog.Int64("blocked", r.total.blocked), slog.Duration("took", time.Since(began)))
	r.metrics = newMetrics(o.Registerer, r)
	ticker := time.NewTicker(tickEvery)
	r.wg.Go(func() {
		defer ticker.Stop()
		w.run(ticker.C)
	})
	r.wg.Go(r.watchDisk)
	return r, nil
}

// restore reads what is in memory always, and makes it in a new folder.
func (w *writer) restore() error {
	r := w.r
	meta := func(name string) ([]byte, error) {
		v, closer, err := r.db.Get(metaKey(nil, name))
		if err == pdb.ErrNotFound {
			return nil, nil
		}
		if err != nil {
			return nil, err
		}
		defer closer.Close()
		return append([]byte(nil), v...), nil
	}
	format, err := meta(metaFormat)
	if err != nil {
		return err
	}
	switch {
	case format == nil:
		w.key = make([]byte, 32)
		rand.Read(w.key)
		b := r.db.NewBatch()
		if err := errors.Join(
			b.Set(metaKey(nil, metaFormat), be.AppendUint32(nil, FormatVersion), nil),
			b.Set(metaKey(nil, metaCodes), w.key, nil),
			r.db.Apply(b, pdb.Sync),
		); err != nil {
			return err
		}
	case len(format) != 4:
		return fmt.Errorf("%w: format", errRow)
	case be.Uint32(format) > FormatVersion:
		return fmt.Errorf("the folder has format %d, this program reads %d: use the newer program", be.Uint32(format), FormatVersion)
	default:
		if w.key, err = meta(metaCodes); err != nil {
			return err
		}
		if len(w.key) == 0 {
			return fmt.Errorf("%w: there is no key", errRow)
		}
	}
	if err := r.names.load(r.db); err != nil {
		return err
	}
	return r.total.load(r.db)
}

// prepareFolder makes the folder and proves that files can be made in it.
func (r *Registry) prepareFolder() error {
	fs, dir := r.o.FS, r.o.Dir
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("registry: making folder %s: %w", dir, err)
	}
	probe := fs.PathJoin(dir, "probe")
	f, err := fs.Create(probe, vfs.WriteCategoryUnspecified)
	if err == nil {
		err = errors.Join(f.Close(), fs.Remove(probe))
	}
	if err != nil {
		return fmt.Errorf("registry: cannot write in folder %s (is it this user's?): %w", dir, err)
	}
	return r.checkRoom()
}

// ownerFile names the process that has the folder open, for the error of the next one.
const ownerFile = "owner"

func (r *Registry) lockFolder() (*pdb.Lock, error) {
	fs, dir := r.o.FS, r.o.Dir
	name := fs.PathJoin(dir, ownerFile)
	lock, err := pdb.LockDirectory(dir, fs)
	if err != nil {
		holder := "another process"
		if f, err := fs.Open(name); err == nil {
			if b, err := io.ReadAll(io.LimitReader(f, 200)); err == nil && len(b) > 0 {
				holder = strings.TrimSpace(string(b))
			}
			f.Close()
		}
		return nil, fmt.Errorf("registry: %w: %s is held by %s: %w", errHeld, dir, holder, err)
	}
	host, _ := os.Hostname()
	owner := fmt.Sprintf("process %d on %s, since %s\n", os.Getpid(), host, r.o.Now().UTC().Format(time.RFC3339))
	if f, err := fs.Create(name, vfs.WriteCategoryUnspecified); err == nil {
		io.WriteString(f, owner) // only for a message: its loss costs nothing
		f.Close()
	}
	return lock, nil
}

// Ready says that the registry takes changes.
func (r *Registry) Ready() bool {
	select {
	case <-r.logger.dead:
		return false
	default:
		return !r.closed.Load()
	}
}

// readers counts who reads the engine. Not a lock: what Each calls may read as well, also
// while Close waits.
type readers struct {
	mu     sync.Mutex
	n      int
	closed bool
	gone   *sync.Cond // n is 0
}

// begin lets a reader in; end must be called. ErrRegistryClosed after Close.
func (r *Registry) begin() error {
	in := &r.reads
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.closed {
		return r.closedErr()
	}
	in.n++
	return nil
}

func (r *Registry) end() {
	in := &r.reads
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.n--; in.n == 0 {
		in.gone.Broadcast()
	}
}

// Close is service.Registry's: what the inbox holds is committed first.
func (r *Registry) Close() error {
	r.once.Do(func() {
		in := &r.inbox
		in.mu.Lock()
		in.closed = true
		in.mu.Unlock()
		r.wake()
		close(r.quit)
		ended := make(chan struct{})
		go func() { r.wg.Wait(); close(ended) }()
		select {
		case <-ended:
		case <-r.logger.dead:
			// The writer hangs in Fatalf for ever, and the engine must not be touched again.
			r.closed.Store(true)
			r.err = r.logger.err
			return
		}
		r.closed.Store(true)
		r.reads.mu.Lock()
		r.reads.closed = true
		for r.reads.n > 0 {
			r.reads.gone.Wait()
		}
		r.reads.mu.Unlock()
		r.metrics.unregister()
		r.err = errors.Join(r.db.Close(), r.lock.Close())
	})
	return r.err
}
