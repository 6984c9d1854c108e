package campaign

import (
	"cmp"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	pdb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/engine"
)

// Options says where the store is. Only Dir has no default.
type Options struct {
	Dir        string
	FS         vfs.FS       // nil: the disk
	Log        *slog.Logger // nil: slog.Default
	CacheBytes int64        // 0: 32MiB
	MemTable   uint64       // octets; 0: 16MiB
	MinFree    int64        // octets free below which a file is refused; 0: 1GiB, negative: not watched

	Now   func() time.Time // nil: time.Now
	Fatal func(error)      // called when a write may be lost; should end the process. nil: log and exit 1
}

// format is the version of the rows below.
const format = 1

// Store keeps campaigns durably: what a method has answered is on disk, fsynced. All
// methods may be called from any goroutine.
type Store struct {
	db  *engine.DB
	fs  vfs.FS
	dir string
	log *slog.Logger
	now func() time.Time

	mu      sync.Mutex
	entries map[uint64]*entry
	last    uint64 // campaign's number
}

// entry is one campaign. Whoever changes it, or its statuses, holds turn while he reads,
// decides and hands the batch to the engine; the fsync is awaited without it.
type entry struct {
	turn    sync.Mutex
	loading bool // a file is being read; guarded by Store.mu

	c    Campaign // as it is; guarded by Store.mu. Invariant: nobody changes what its maps and slices hold
	gone bool     // deleted; guarded by Store.mu
}

// Open opens the store, and makes it where there is none. What a file left behind that was
// never wholly read is removed.
func Open(o Options) (*Store, error) {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	db, err := engine.Open(engine.Options{
		Dir: o.Dir, Name: "campaigns", FS: o.FS, Log: o.Log, Format: format,
		CacheBytes: o.CacheBytes, MemTable: o.MemTable, MinFree: o.MinFree, Now: o.Now, Fatal: o.Fatal,
	})
	if err != nil {
		return nil, err
	}
	s := &Store{db: db, fs: o.FS, dir: o.Dir, log: o.Log, now: o.Now, entries: map[uint64]*entry{}}
	if err := s.restore(); err != nil {
		return nil, errors.Join(fmt.Errorf("campaigns: %s: %w", o.Dir, err), db.Close())
	}
	s.sweepFiles()
	return s, nil
}

// stored is what a campaign's row holds; its Counts have a row of their own, written with
// each batch of statuses.
type stored struct {
	Campaign
	Gen uint32
}

type storedCounts struct {
	Counts
	Fed uint64
}

func (s *Store) restore() error {
	if v, err := s.get([]byte{kindLast}); err != nil {
		return err
	} else if len(v) == 8 {
		s.last = be.Uint64(v)
	}
	it, err := s.db.NewIter(&pdb.IterOptions{LowerBound: []byte{kindCampaign}, UpperBound: []byte{kindCampaign + 1}})
	if err != nil {
		return err
	}
	for it.First(); it.Valid(); it.Next() {
		var c stored
		if err := json.Unmarshal(it.Value(), &c); err != nil {
			return errors.Join(fmt.Errorf("%w: a campaign: %w", errRow, err), it.Close())
		}
		n, err := s.get(campaignKey(kindCounts, c.ID))
		if err != nil {
			return errors.Join(err, it.Close())
		}
		counts := storedCounts{}
		if n != nil {
			if err := json.Unmarshal(n, &counts); err != nil {
				return errors.Join(fmt.Errorf("%w: the counts of campaign %d: %w", errRow, c.ID, err), it.Close())
			}
		}
		c.Campaign.Counts, c.Campaign.fed, c.Campaign.gen = counts.Counts, counts.Fed, c.Gen
		s.entries[c.ID] = &entry{c: c.Campaign}
		s.last = max(s.last, c.ID)
	}
	if err := it.Close(); err != nil {
		return err
	}
	return s.sweep()
}

// sweep removes the rows of files that were never wholly read.
func (s *Store) sweep() error {
	b := s.db.NewBatch()
	defer b.Close()
	if err := b.DeleteRange([]byte{kindSort}, []byte{kindSort + 1}, nil); err != nil {
		return err
	}
	for id, e := range s.entries {
		if err := errors.Join(
			b.DeleteRange(rowKey(nil, id, 0, 0), rowKey(nil, id, e.c.gen, 0), nil),
			b.DeleteRange(rowKey(nil, id, e.c.gen+1, 0), campaignKey(kindRow, id+1), nil),
		); err != nil {
			return err
		}
	}
	return s.db.Apply(b, pdb.NoSync)
}

func (s *Store) get(key []byte) ([]byte, error) {
	v, closer, err := s.db.Get(key)
	if errors.Is(err, pdb.ErrNotFound) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer closer.Close()
	return append([]byte{}, v...), nil
}

// Create makes a campaign of what c says: Name, Account, Service, Text, By, Pace. A
// *FieldError says what is missing.
func (s *Store) Create(c Campaign) (Campaign, error) {
	if err := s.db.Begin(); err != nil {
		return Campaign{}, err
	}
	defer s.db.End()
	c = Campaign{Name: c.Name, Account: c.Account, Service: c.Service, Text: c.Text, Params: c.Params, By: c.By, Pace: c.Pace, Created: s.now().UTC()}
	if err := c.check(); err != nil {
		return Campaign{}, err
	}
	if err := s.db.Room(); err != nil {
		return Campaign{}, err
	}
	var nonce [8]byte
	rand.Read(nonce[:])
	c.Nonce = be.Uint64(nonce[:])
	e := &entry{}
	e.turn.Lock()
	s.mu.Lock()
	s.last++
	c.ID = s.last
	s.mu.Unlock()
	b := s.db.NewBatch()
	err := errors.Join(s.put(b, &c), b.Set([]byte{kindLast}, be.AppendUint64(nil, c.ID), nil))
	if err == nil {
		err = s.write(b)
	}
	e.c = c
	e.turn.Unlock()
	if err = s.wait(b, err); err != nil {
		return Campaign{}, err
	}
	s.mu.Lock()
	s.entries[c.ID] = e // only now: before, nobody can have its number
	s.mu.Unlock()
	return c, nil
}

// put writes a campaign and its counts into a batch.
func (s *Store) put(b *pdb.Batch, c *Campaign) error {
	row := stored{Campaign: *c, Gen: c.gen}
	row.Campaign.Counts = Counts{}
	v, err := json.Marshal(row)
	if err != nil {
		return err
	}
	if err := b.Set(campaignKey(kindCampaign, c.ID), v, nil); err != nil {
		return err
	}
	return s.putCounts(b, c)
}

func (s *Store) putCounts(b *pdb.Batch, c *Campaign) error {
	v, err := json.Marshal(storedCounts{c.Counts, c.fed})
	if err != nil {
		return err
	}
	return b.Set(campaignKey(kindCounts, c.ID), v, nil)
}

// write hands a batch to the engine's log; wait, called without any lock, returns when it
// is on disk. REQUIRES: the turn of every campaign that the batch is about.
func (s *Store) write(b *pdb.Batch) error { return s.db.ApplyNoSyncWait(b, pdb.Sync) }

func (s *Store) wait(b *pdb.Batch, err error) error {
	if err == nil {
		err = b.SyncWait()
	}
	return errors.Join(err, b.Close())
}

// entry finds a campaign.
func (s *Store) entry(id uint64) (*entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	e := s.entries[id]
	if e == nil {
		return nil, ErrUnknown
	}
	return e, nil
}

// at is the campaign as it is now. REQUIRES: the entry's turn, where what it says is built upon.
func (s *Store) at(e *entry) (Campaign, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if e.gone {
		return Campaign{}, ErrUnknown
	}
	return e.c, nil
}

func (s *Store) set(e *entry, c Campaign) {
	s.mu.Lock()
	e.c = c
	s.mu.Unlock()
}

// Campaign tells of one; ErrUnknown.
func (s *Store) Campaign(id uint64) (Campaign, error) {
	e, err := s.entry(id)
	if err != nil {
		return Campaign{}, err
	}
	return s.at(e)
}

// All tells of every campaign, the latest first.
func (s *Store) All() []Campaign {
	s.mu.Lock()
	defer s.mu.Unlock()
	all := make([]Campaign, 0, len(s.entries))
	for _, e := range s.entries {
		all = append(all, e.c)
	}
	slices.SortFunc(all, func(a, b Campaign) int { return cmp.Compare(b.ID, a.ID) })
	return all
}

// Change lets f change a campaign: all but its ID and Counts. An error of f changes nothing
// and is returned. A campaign that f stops ends with it: what was not handed over counts
// as Stopped. f may see the campaign before what it saw is on disk; its own change is when
// Change returns.
func (s *Store) Change(id uint64, f func(*Campaign) error) (Campaign, error) {
	if err := s.db.Begin(); err != nil {
		return Campaign{}, err
	}
	defer s.db.End()
	e, err := s.entry(id)
	if err != nil {
		return Campaign{}, err
	}
	e.turn.Lock()
	c, err := s.at(e)
	was := c
	if err == nil {
		err = f(&c)
	}
	if err != nil {
		e.turn.Unlock()
		return was, err
	}
	c.ID, c.Counts, c.gen, c.fed = was.ID, was.Counts.clone(), was.gen, was.fed
	if c.State == Stopped && was.State != Stopped {
		c.stop()
	}
	c.settle(s.now().UTC())
	b := s.db.NewBatch()
	if err = s.put(b, &c); err == nil {
		err = s.write(b)
	}
	if err == nil {
		s.set(e, c)
	}
	e.turn.Unlock()
	return c, s.wait(b, err)
}

// Delete removes a campaign with its rows. *StateError while messages of it may be under
// way.
func (s *Store) Delete(id uint64) error {
	if err := s.db.Begin(); err != nil {
		return err
	}
	defer s.db.End()
	e, err := s.entry(id)
	if err != nil {
		return err
	}
	e.turn.Lock()
	c, err := s.at(e)
	if err == nil {
		err = c.May(Deleting)
	}
	if err == nil && c.Counts.Waiting > 0 {
		err = &StateError{Deleting, Running}
	}
	s.mu.Lock()
	if err == nil && e.loading {
		err = ErrBusy
	}
	s.mu.Unlock()
	if err != nil {
		e.turn.Unlock()
		return err
	}
	b := s.db.NewBatch()
	err = b.Delete(campaignKey(kindCampaign, id), nil)
	for _, kind := range []byte{kindCounts, kindRow, kindStatus} {
		err = errors.Join(err, b.DeleteRange(campaignKey(kind, id), campaignKey(kind, id+1), nil))
	}
	if err == nil {
		err = s.write(b)
	}
	if err == nil {
		s.mu.Lock()
		e.gone = true
		delete(s.entries, id)
		s.mu.Unlock()
	}
	e.turn.Unlock()
	return s.wait(b, err)
}

// Ready says that the store takes writes.
func (s *Store) Ready() bool { return s.db.Ready() }

// Close closes the store once nobody is in it. Idempotent.
func (s *Store) Close() error { return s.db.Close() }
