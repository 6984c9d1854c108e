package reminder

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	pdb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/engine"
	"masar/service"
)

// Options says where the reminders are. Dir has no default.
type Options struct {
	Dir        string
	FS         vfs.FS       // nil: the disk
	Log        *slog.Logger // nil: slog.Default
	CacheBytes int64        // 0: 64MiB
	MemTable   uint64       // 0: 16MiB
	MinFree    int64        // as engine.Options
	Now        func() time.Time
	Fatal      func(error)
}

// Store keeps series on disk. Any goroutine may read it, and may write series that nobody
// else is changing: its user sees to that (see Hash).
type Store struct {
	db *engine.DB

	// writing is held while a batch enters the engine, not while it is synced.
	writing sync.Mutex
	pending int64
	last    uint64 // highest ID given
	upTo    uint64 // highest ID that the row on disk covers
	moves   uint64 // highest id of a move given

	names names
	front front
}

// Open opens the reminders in o.Dir, and makes them where there are none. It reads names
// and totals, no series.
func Open(o Options) (_ *Store, err error) {
	if o.CacheBytes == 0 {
		o.CacheBytes = 64 << 20
	}
	db, err := engine.Open(engine.Options{
		Dir: o.Dir, Name: "reminders", FS: o.FS, Log: o.Log, Format: Format, CacheBytes: o.CacheBytes, MemTable: o.MemTable,
		MinFree: o.MinFree, Now: o.Now, Fatal: o.Fatal,
	})
	if err != nil {
		return nil, err
	}
	st := &Store{db: db}
	st.front.wake = make(chan struct{}, 1)
	if err := st.restore(); err != nil {
		return nil, errors.Join(fmt.Errorf("reminders: %s: %w", o.Dir, err), db.Close())
	}
	return st, nil
}

func (st *Store) restore() error {
	if err := st.renew(); err != nil {
		return err
	}
	last, err := st.total(totalNumber)
	if err != nil {
		return err
	}
	pending, err := st.total(totalPending)
	if err != nil {
		return err
	}
	st.last, st.upTo, st.pending = last, last, int64(pending)
	if err := st.names.load(st.db); err != nil {
		return err
	}
	return st.eachMove(func(m *Move) { st.moves = max(st.moves, m.ID) })
}

// renew marks an older folder as of this format: the program before cannot read what is
// written from now on.
func (st *Store) renew() error {
	v, closer, err := st.db.Get(engine.FormatKey)
	if err != nil {
		return err
	}
	format := be.Uint32(v) // the engine has looked at it
	if err := closer.Close(); err != nil || format == Format {
		return err
	}
	return st.db.Set(engine.FormatKey, be.AppendUint32(nil, Format), pdb.Sync)
}

func (st *Store) total(name string) (uint64, error) {
	v, closer, err := st.db.Get(totalKey(nil, name))
	if errors.Is(err, pdb.ErrNotFound) {
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	defer closer.Close()
	if len(v) != 8 {
		return 0, fmt.Errorf("%w: total %s", errRow, name)
	}
	return be.Uint64(v), nil
}

// Close closes the engine. Idempotent.
func (st *Store) Close() error { return st.db.Close() }

// Ready says that the store takes writes.
func (st *Store) Ready() bool { return st.db.Ready() }

// Pending is how many series are not over.
func (st *Store) Pending() int64 {
	st.writing.Lock()
	defer st.writing.Unlock()
	return st.pending
}

// DiskBytes is what the folder takes; 0 once the store is closed.
func (st *Store) DiskBytes() int64 {
	if st.db.Begin() != nil {
		return 0
	}
	defer st.db.End()
	return int64(st.db.Metrics().DiskSpaceUsage())
}

// stored is which rows a series has on disk.
type stored struct {
	exists        bool
	account, code uint32
	next          int64 // of its row D
	coming        int64 // of its row V; 0: none
	pending       bool
}

// Find reads the series of a key; ErrUnknown.
func (st *Store) Find(account, key string) (*Series, error) {
	if err := st.db.Begin(); err != nil {
		return nil, err
	}
	defer st.db.End()
	number, known := st.names.number(accountName, account)
	if !known {
		return nil, ErrUnknown
	}
	v, closer, err := st.db.Get(keyKey(make([]byte, 0, 80), number, key))
	if errors.Is(err, pdb.ErrNotFound) {
		return nil, ErrUnknown
	}
	if err != nil {
		return nil, err
	}
	if len(v) != 8 {
		closer.Close()
		return nil, fmt.Errorf("%w: key of a series", errRow)
	}
	id := be.Uint64(v)
	closer.Close()
	s, err := st.read(id)
	if errors.Is(err, ErrUnknown) {
		return nil, fmt.Errorf("%w: a key of series %d, which is not there", errRow, id)
	}
	return s, err
}

// Read reads a series; ErrUnknown.
func (st *Store) Read(id uint64) (*Series, error) {
	if err := st.db.Begin(); err != nil {
		return nil, err
	}
	defer st.db.End()
	return st.read(id)
}

func (st *Store) read(id uint64) (*Series, error) {
	v, closer, err := st.db.Get(seriesKey(make([]byte, 0, 16), id))
	if errors.Is(err, pdb.ErrNotFound) {
		return nil, ErrUnknown
	}
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	return st.decode(id, v)
}

func (st *Store) decode(id uint64, v []byte) (*Series, error) {
	s, account, code, err := readSeries(v)
	if err != nil {
		return nil, fmt.Errorf("series %d: %w", id, err)
	}
	s.ID = id
	s.Account, s.Service = st.names.name(accountName, account), st.names.name(serviceName, code)
	s.stored = stored{exists: true, account: account, code: code, next: unix(s.Next), coming: s.comingAt(), pending: s.State == Pending}
	return s, nil
}

// comingAt is when the next message of s is due, 0: none is to come.
func (s *Series) comingAt() int64 {
	if st := s.AtHand(); s.State == Pending && st != nil && st.State == Coming {
		return unix(st.Due)
	}
	return 0
}

// A Batch is what one Apply writes at once or not at all.
type Batch struct {
	Series    []*Series // new (ID 0, which is given) or read before and changed; each once
	Discard   []*Series // whose rows go
	Unreached []Missing
	Bookmark  *service.Bookmark
	Move      *Move // how far it is; one that is done goes
}

// Missing is one row of the list of who was not reached.
type Missing struct {
	Day    service.Day
	Series *Series
	Step   int
	Unreached
}

// idsAhead is how many IDs a row on disk covers, so that not every batch writes one.
const idsAhead = 1024

// Apply writes b and returns when it is on disk. Calls share their fsyncs. ErrFull: a new
// series, and the disk has no room.
func (st *Store) Apply(ctx context.Context, b *Batch) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := st.db.Begin(); err != nil {
		return err
	}
	defer st.db.End()
	if st.db.Full() {
		for _, s := range b.Series {
			if !s.stored.exists {
				return fmt.Errorf("%w: %w", ErrFull, st.db.Room())
			}
		}
	}
	w := st.db.NewBatch()
	defer w.Close()
	e := entry{st: st, w: w, earliest: place{at: math.MaxInt64}}
	st.writing.Lock()
	err := e.fill(b)
	if err == nil && !w.Empty() {
		err = st.db.ApplyNoSyncWait(w, pdb.Sync)
	}
	if err != nil {
		st.writing.Unlock()
		return err
	}
	st.pending += e.pending
	for i, s := range b.Series {
		s.stored = e.now[i]
	}
	st.writing.Unlock()
	if w.Empty() {
		return nil
	}
	if err := w.SyncWait(); err != nil {
		return err
	}
	if e.earliest.at != math.MaxInt64 {
		st.front.entered(e.earliest)
		st.front.wakeUp()
	}
	return nil
}
