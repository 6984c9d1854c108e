package pebble

import (
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	pdb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"masar/queue"
	"masar/queue/queuetest"
	"masar/smpp/pdu"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

func small(fs vfs.FS) Options {
	return Options{
		Dir: "store", FS: fs, Log: quiet, MinFree: -1, Ballast: -1, CacheBytes: 1 << 20, memTable: 256 << 10,
		Fatal: func(err error) { panic(err) },
	}
}

func open(t *testing.T, o Options) *Store {
	t.Helper()
	s, err := Open(t.Context(), o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return s
}

// must waits for its Done.
func must(t *testing.T, s *Store, steps ...queue.Step) {
	t.Helper()
	done := make(chan error, 1)
	if err := s.Commit(t.Context(), queue.DoneFunc(func(err error) { done <- err }), steps...); err != nil {
		t.Fatalf("Commit: %v", err)
	}
	if err := <-done; err != nil {
		t.Fatalf("Done: %v", err)
	}
}

func accept() *queue.Accept { return &queue.Accept{M: newMessage(1), Lane: benchLane} }

// failingSync fails every sync of a log once it is told to.
type failingSync struct{ on atomic.Bool }

func (f *failingSync) MaybeError(op errorfs.Op) error {
	if f.on.Load() && strings.HasSuffix(op.Path, ".log") {
		switch op.Kind {
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
			return syscall.EIO
		}
	}
	return nil
}

func (f *failingSync) String() string { return "failing sync" }

func TestAFailedSyncIsFatalAndNoReplyIsGiven(t *testing.T) {
	fail := new(failingSync)
	o := small(errorfs.Wrap(vfs.NewMem(), fail))
	died := make(chan error, 1)
	o.Fatal = func(err error) { died <- err }
	s := open(t, o)
	must(t, s, accept())
	fail.on.Store(true)
	var answered atomic.Int32
	for range 3 {
		err := s.Commit(t.Context(), queue.DoneFunc(func(error) { answered.Add(1) }), accept())
		if err != nil {
			t.Fatalf("Commit before anybody knows: %v", err)
		}
	}
	if err := <-died; !strings.Contains(err.Error(), syscall.EIO.Error()) {
		t.Errorf("Fatal was told %v", err)
	}
	// A process whose Fatal does not end it must not go on either.
	if err := s.Close(); !errors.Is(err, errFatal) {
		t.Errorf("Close: %v, want the failure", err)
	}
	if err := s.Commit(t.Context(), queue.DoneFunc(func(error) { answered.Add(1) }), accept()); !errors.Is(err, errFatal) {
		t.Errorf("Commit after the failure: %v, want the failure", err)
	}
	if s.Ready() {
		t.Error("the store says it is ready")
	}
	if n := answered.Load(); n != 0 {
		t.Errorf("%d commits were answered although no fsync succeeded", n)
	}
}

// saying hands on each line of a log.
type saying chan string

func (s saying) Write(p []byte) (int, error) {
	select {
	case s <- string(p):
	default:
	}
	return len(p), nil
}

// failingRead fails every read of a table once it is told to.
type failingRead struct{ on atomic.Bool }

func (f *failingRead) MaybeError(op errorfs.Op) error {
	if f.on.Load() && strings.HasSuffix(op.Path, ".sst") && (op.Kind == errorfs.OpFileReadAt || op.Kind == errorfs.OpOpen) {
		return syscall.EIO
	}
	return nil
}

func (f *failingRead) String() string { return "failing read" }

func TestALaneThatCouldNotBeReadIsReadAgain(t *testing.T) {
	fail := new(failingRead)
	o := small(errorfs.Wrap(vfs.NewMem(), fail))
	s := open(t, o)
	for range 10 {
		must(t, s, accept())
	}
	if err := s.db.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	o.CacheBytes = 1 // nothing of the tables is in memory
	said := make(saying, 64)
	o.Log = slog.New(slog.NewTextHandler(said, nil))
	s = open(t, o)
	defer s.Close()
	told := make(chan queue.Lane, 16)
	fail.on.Store(true)
	s.Watch(func(l queue.Lane) { told <- l }, func(uint32) {})
	<-told // what waited at the start
	claims, _ := s.Take(benchLane, 10, nil)
	for line := ""; !strings.Contains(line, "reading a lane"); {
		select {
		case line = <-said:
		case <-time.After(20 * time.Second):
			t.Fatal("the read did not fail: this test shows nothing")
		}
	}
	fail.on.Store(false)
	// Nothing new enters: the lane is told of because it was read again.
	for len(claims) < 10 {
		select {
		case <-told:
		case <-time.After(20 * time.Second):
			t.Fatalf("%d of 10 messages came back after the disk could be read again", len(claims))
		}
		claims, _ = s.Take(benchLane, 10, claims)
	}
}

func TestFatalfDoesNotReturn(t *testing.T) {
	told := make(chan error, 2)
	l := newLogger(quiet, func(err error) { told <- err })
	var returned atomic.Bool
	for range 2 {
		go func() {
			l.Fatalf("log %s", "lost")
			returned.Store(true)
		}()
	}
	if err := <-told; err.Error() != "log lost" {
		t.Errorf("Fatal was told %q", err)
	}
	<-l.dead
	if returned.Load() {
		t.Error("Fatalf returned")
	}
	if len(told) != 0 {
		t.Error("Fatal was told twice")
	}
}

func TestCloseTwiceAndCommitAfterClose(t *testing.T) {
	s := open(t, small(vfs.NewMem()))
	for range 2 {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	}
	if err := s.Commit(t.Context(), queue.DoneFunc(func(error) { t.Error("Done was called") }), accept()); err != queue.ErrClosed {
		t.Errorf("Commit: %v, want ErrClosed", err)
	}
	if _, err := s.Number(t.Context(), queue.AccountName, "a"); err != queue.ErrClosed {
		t.Errorf("Number: %v, want ErrClosed", err)
	}
}

// singleDeletes watches batches for the rule of SingleDelete: a key of its kinds is set
// only while it is not there, and Pebble itself has found no misuse.
type singleDeletes struct {
	t       *testing.T
	singles atomic.Int64
}

func (w *singleDeletes) watch(o *Options) {
	o.observe = func(db *pdb.DB, b *pdb.Batch) {
		set := map[string]bool{}
		r := b.Reader()
		for {
			kind, k, _, ok, err := r.Next()
			if !ok || err != nil {
				return
			}
			switch kind {
			case pdb.InternalKeyKindSet:
				switch k[0] {
				case kindLane, kindSent, kindCorrelate, kindOutbox:
					_, closer, err := db.Get(k)
					if err == nil {
						closer.Close()
					}
					if err == nil || set[string(k)] {
						w.t.Errorf("row %q is written while it is there, SingleDelete would bring it back", k)
					}
					set[string(k)] = true
				}
			case pdb.InternalKeyKindSingleDelete:
				w.singles.Add(1)
				if !set[string(k)] {
					if _, closer, err := db.Get(k); err == nil {
						closer.Close()
					} else {
						w.t.Errorf("row %q is removed though it is not there", k)
					}
				}
				delete(set, string(k))
				switch k[0] {
				case kindLane, kindSent, kindCorrelate, kindOutbox:
				default:
					w.t.Errorf("SingleDelete of a row of kind %c", k[0])
				}
			}
		}
	}
	o.misuse = func(i pdb.PossibleAPIMisuseInfo) {
		if i.Kind == pdb.NondeterministicSingleDelete {
			w.t.Errorf("Pebble: %v", i)
		}
	}
}

func TestSingleDeleteMeetsOnlyRowsWrittenOnce(t *testing.T) {
	if testing.Short() {
		t.Skip("runs the conformance suite again")
	}
	var singles atomic.Int64
	queuetest.Run(t, func(t *testing.T, e queuetest.Env) queue.Store {
		if e.Media.State == nil {
			e.Media.State = vfs.NewCrashableMem()
		}
		fs := e.Media.State.(*vfs.MemFS)
		e.Media.Cut = func(keep int) any {
			return fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: keep, RNG: rand.New(rand.NewPCG(uint64(keep), 2))})
		}
		w := &singleDeletes{t: t}
		o := small(fs)
		o.Now, o.Room, o.AccountRoom, o.OutboxMax, o.History = e.Now, e.Room, e.AccountRoom, e.OutboxMax, e.History
		o.InboxSteps, o.ReadAhead = e.InboxSteps, e.ReadAhead
		w.watch(&o)
		t.Cleanup(func() { singles.Add(w.singles.Load()) })
		return open(t, o)
	})
	if singles.Load() == 0 {
		t.Error("nothing was single-deleted")
	}
}

func TestTheDisksRoomDecidesWhoIsRefused(t *testing.T) {
	for _, row := range []struct {
		name             string
		free             uint64
		refused          []queue.Class
		submits, receipt bool
	}{
		{"plenty", 2000, nil, false, false},
		{"min_free is 80% of it", 1249, []queue.Class{queue.Bulk}, false, false},
		{"min_free is 90% of it", 1110, []queue.Class{queue.Bulk, queue.Normal}, false, false},
		{"below min_free", 999, []queue.Class{queue.Bulk, queue.Normal, queue.Urgent}, true, false},
		{"below a quarter", 249, []queue.Class{queue.Bulk, queue.Normal, queue.Urgent}, true, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				fs := vfs.NewMem()
				fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 2000, TotalBytes: 4000, UsedBytes: 2000})
				o := small(fs)
				o.MinFree = 1000
				s := open(t, o)
				defer s.Close()
				fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: row.free, TotalBytes: 4000, UsedBytes: 4000 - row.free})
				time.Sleep(1500 * time.Millisecond)
				synctest.Wait()
				if submits, receipts := s.Full(); submits != row.submits || receipts != row.receipt {
					t.Errorf("Full says %v, %v", submits, receipts)
				}
				refused := map[queue.Class]bool{}
				for _, c := range row.refused {
					refused[c] = true
				}
				for c := range queue.Class(queue.Classes) {
					a := accept()
					a.M.Class = c
					err := s.Commit(t.Context(), queue.DoneFunc(func(error) {}), a)
					if refused[c] != (err == queue.ErrDiskFull) || !refused[c] && err != nil {
						t.Errorf("%v: %v", c, err)
					}
				}
				fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 3000, TotalBytes: 4000, UsedBytes: 1000})
				time.Sleep(1500 * time.Millisecond)
				synctest.Wait()
				if submits, receipts := s.Full(); submits || receipts {
					t.Error("with room again the store says it is full")
				}
			})
		})
	}
}

// fullDisk says ENOSPC to writes of logs while the ballast file is there.
type fullDisk struct {
	fs *vfs.MemFS
	on atomic.Bool
	at atomic.Int64
}

func (f *fullDisk) MaybeError(op errorfs.Op) error {
	if f.on.Load() && op.Kind == errorfs.OpFileWrite && strings.HasSuffix(op.Path, ".log") {
		f.at.Add(1)
		if _, err := f.fs.Stat("store/" + ballastFile); err == nil {
			return syscall.ENOSPC
		}
	}
	return nil
}

func (f *fullDisk) String() string { return "full disk" }

func TestAFullDiskTakesTheBallastAndTheCommitSucceeds(t *testing.T) {
	mem := vfs.NewMem()
	disk := &fullDisk{fs: mem}
	o := small(errorfs.Wrap(mem, disk))
	o.Ballast = 4096
	s := open(t, o)
	defer s.Close()
	if _, err := mem.Stat("store/" + ballastFile); err != nil {
		t.Fatalf("no ballast: %v", err)
	}
	disk.on.Store(true)
	must(t, s, accept())
	if disk.at.Load() == 0 {
		t.Fatal("the disk was not written to")
	}
	if _, err := mem.Stat("store/" + ballastFile); err == nil {
		t.Error("the ballast is still there")
	}
	if submits, receipts := s.Full(); !submits || !receipts {
		t.Error("the store does not say that it is full")
	}
	if err := s.Commit(t.Context(), queue.DoneFunc(func(error) {}), accept()); err != queue.ErrDiskFull {
		t.Errorf("the next Accept: %v, want ErrDiskFull", err)
	}
}

func TestAStoreRunsInABubbleAndTicks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		s := open(t, small(fs))
		var told []queue.Lane
		var mu sync.Mutex
		s.Watch(func(l queue.Lane) { mu.Lock(); told = append(told, l); mu.Unlock() }, func(uint32) {})
		a := accept()
		must(t, s, a)
		synctest.Wait()
		mu.Lock()
		if len(told) != 1 || told[0] != benchLane {
			t.Errorf("told of %v", told)
		}
		mu.Unlock()
		time.Sleep(2 * time.Second) // the state row is written by a tick
		synctest.Wait()
		v, closer, err := s.db.Get(laneStateKey(nil, benchLane))
		if err != nil {
			t.Fatal(err)
		}
		st, err := parseState(v)
		closer.Close()
		if err != nil || st.count != 1 || st.head != uint64(a.M.ID) || st.tail != uint64(a.M.ID) {
			t.Errorf("state %+v, %v", st, err)
		}
		c, _ := s.Take(benchLane, 1, nil)
		must(t, s, &queue.Final{Claim: c[0], State: pdu.StateDelivered})
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}
