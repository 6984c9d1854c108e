package pebble

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	pdb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"masar/number"
	"masar/service"
)

var testEpoch = time.Date(2026, 3, 9, 6, 30, 0, 0, time.UTC)

func small(fs vfs.FS) Options {
	return Options{
		Dir: "registry", FS: fs, Log: discard, MinFree: -1, CacheBytes: 1 << 20, memTable: 256 << 10,
		Fatal: func(err error) { panic(err) },
	}
}

func start(t *testing.T, o Options) *Registry {
	t.Helper()
	r, err := Open(t.Context(), o)
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() { r.Close() })
	return r
}

func enrol(i int) service.Change {
	return service.Change{
		Kind: service.Enrol, Person: service.Person{1: byte(i >> 16), 2: byte(i >> 8), 3: byte(i), 4: 1}, Number: 966500000000 + number.E164(i),
		Services: []string{"A"}, Verified: true, Channel: "portal", Now: testEpoch,
	}
}

func apply(t *testing.T, r *Registry, list ...service.Change) []service.Outcome {
	t.Helper()
	out, err := r.Apply(t.Context(), service.Batch{Changes: list})
	if err != nil {
		t.Fatalf("Apply: %v", err)
	}
	return out
}

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

func TestAFailedSyncIsFatalAndNoApplyIsAnsweredWell(t *testing.T) {
	fail := new(failingSync)
	o := small(errorfs.Wrap(vfs.NewMem(), fail))
	died := make(chan error, 1)
	o.Fatal = func(err error) { died <- err }
	r, err := Open(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	apply(t, r, enrol(1))
	version := r.Version(enrol(2).Number)
	fail.on.Store(true)
	var wg sync.WaitGroup
	for range 3 {
		wg.Go(func() {
			if out, err := r.Apply(t.Context(), service.Batch{Changes: []service.Change{enrol(2)}}); !errors.Is(err, errFatal) {
				t.Errorf("%+v %v, want the failure", out, err)
			}
		})
	}
	if err := <-died; !strings.Contains(err.Error(), syscall.EIO.Error()) {
		t.Errorf("Fatal was told %v", err)
	}
	wg.Wait()
	if r.Version(enrol(2).Number) != version {
		t.Error("the version of what is not on disk rose")
	}
	if err := r.Close(); !errors.Is(err, errFatal) {
		t.Errorf("Close: %v, want the failure", err)
	}
	if _, err := r.Apply(t.Context(), service.Batch{Changes: []service.Change{enrol(3)}}); !errors.Is(err, errFatal) {
		t.Errorf("Apply after the failure: %v", err)
	}
	if r.Ready() {
		t.Error("the registry says it is ready")
	}
}

func TestFatalfDoesNotReturn(t *testing.T) {
	told := make(chan error, 2)
	l := newLogger(discard, func(err error) { told <- err })
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

func TestCloseWaitsForWhoReadsAndTheyEnd(t *testing.T) {
	r := start(t, small(vfs.NewMem()))
	apply(t, r, enrol(1), enrol(2))
	inside, closed := make(chan struct{}), make(chan error)
	calls := 0
	go func() {
		<-inside
		closed <- r.Close()
	}()
	err := r.Each(t.Context(), func(*service.Subscriber) error {
		if calls++; calls == 1 {
			close(inside)
			for { // until Close has begun: who reads within Each must not hang
				if _, err := r.Lookup(t.Context(), 5); err != nil {
					return nil
				}
			}
		}
		return nil
	})
	if !errors.Is(err, service.ErrRegistryClosed) || calls != 1 {
		t.Errorf("Each: %v after %d calls", err, calls)
	}
	if err := <-closed; err != nil {
		t.Errorf("Close: %v", err)
	}
}

func TestASecondRegistryInTheFolderIsRefusedByName(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "registry")
	start(t, Options{Dir: dir, Log: discard, MinFree: -1})
	_, err := Open(t.Context(), Options{Dir: dir, Log: discard, MinFree: -1})
	if !errors.Is(err, errHeld) || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("%v", err)
	}
	if st, err := os.Stat(dir); err != nil || st.Mode().Perm() != 0o700 {
		t.Errorf("the folder is %v: %v", st.Mode(), err)
	}
}

func TestANewerFolderIsRefused(t *testing.T) {
	fs := vfs.NewMem()
	r := start(t, small(fs))
	if err := r.db.Set(metaKey(nil, metaFormat), be.AppendUint32(nil, FormatVersion+1), pdb.Sync); err != nil {
		t.Fatal(err)
	}
	r.Close()
	if _, err := Open(t.Context(), small(fs)); err == nil || !strings.Contains(err.Error(), "newer program") {
		t.Errorf("%v", err)
	}
	if lock, err := pdb.LockDirectory("registry", fs); err != nil {
		t.Errorf("the folder stayed locked: %v", err)
	} else {
		lock.Close()
	}
}

func TestOptionsThatCannotBe(t *testing.T) {
	for _, row := range []struct {
		name string
		o    Options
	}{
		{"no folder", Options{}},
		{"too many failures", Options{Dir: "d", Limits: service.Limits{UnknownTimes: 9}}},
		{"negative limit", Options{Dir: "d", Limits: service.Limits{People: -1}}},
		{"tries beyond an octet", Options{Dir: "d", Limits: service.Limits{CodeTries: 256}}},
		{"negative cache", Options{Dir: "d", Cache: -1}},
	} {
		row.o.FS = vfs.NewMem()
		if r, err := Open(t.Context(), row.o); err == nil {
			r.Close()
			t.Errorf("%s: opened", row.name)
		}
	}
}

// slowDisk holds every sync up while its gate is closed.
type slowDisk struct {
	gate  sync.RWMutex
	syncs atomic.Int64
}

func (d *slowDisk) MaybeError(op errorfs.Op) error {
	switch op.Kind {
	case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
		d.syncs.Add(1)
		d.gate.RLock()
		d.gate.RUnlock() //nolint:staticcheck // passing the gate is all
	}
	return nil
}

func (d *slowDisk) String() string { return "slow disk" }

// until polls: what a writer that hangs in a sync has done so far tells nobody.
func until(ok func() bool) {
	for !ok() {
		time.Sleep(time.Millisecond)
	}
}

// waiting waits until so many requests are in the inbox.
func waiting(r *Registry, n int) {
	until(func() bool {
		r.inbox.mu.Lock()
		defer r.inbox.mu.Unlock()
		return len(r.inbox.waiting) == n
	})
}

// hangs waits until the writer has written c and waits for its sync.
func hangs(t *testing.T, r *Registry, c service.Change) {
	until(func() bool {
		_, err := r.Find(t.Context(), c.Person)
		return err == nil
	})
}

func TestACancelledApplyThatHasNotBegunDoesNotHappen(t *testing.T) {
	disk := new(slowDisk)
	r := start(t, small(errorfs.Wrap(vfs.NewMem(), disk)))
	apply(t, r, enrol(0))
	disk.gate.Lock()
	ctx, cancel := context.WithCancel(t.Context())
	begun, waits := make(chan error), make(chan error)
	go func() {
		_, err := r.Apply(ctx, service.Batch{Changes: []service.Change{enrol(1)}})
		begun <- err
	}()
	hangs(t, r, enrol(1))
	go func() {
		_, err := r.Apply(ctx, service.Batch{Changes: []service.Change{enrol(2)}})
		waits <- err
	}()
	waiting(r, 1)
	cancel()
	if err := <-waits; !errors.Is(err, context.Canceled) {
		t.Errorf("the one that had not begun: %v", err)
	}
	disk.gate.Unlock()
	if err := <-begun; err != nil {
		t.Errorf("the one that was on its way: %v", err)
	}
	apply(t, r, enrol(3))
	if _, err := r.Find(t.Context(), enrol(2).Person); !errors.Is(err, service.ErrNobody) {
		t.Errorf("what was cancelled happened: %v", err)
	}
}

// A group's fsync is shared: callers that wait while one is under way come together.
func TestConcurrentAppliesShareAnFsync(t *testing.T) {
	disk := new(slowDisk)
	r := start(t, small(errorfs.Wrap(vfs.NewMem(), disk)))
	apply(t, r, enrol(0))
	disk.gate.Lock()
	var wg sync.WaitGroup
	wg.Go(func() { r.Apply(t.Context(), service.Batch{Changes: []service.Change{enrol(1)}}) })
	hangs(t, r, enrol(1))
	for i := range 50 {
		wg.Go(func() {
			if _, err := r.Apply(t.Context(), service.Batch{Changes: []service.Change{enrol(2 + i)}}); err != nil {
				t.Errorf("Apply: %v", err)
			}
		})
	}
	waiting(r, 50)
	syncs := disk.syncs.Load()
	disk.gate.Unlock()
	wg.Wait()
	if n := disk.syncs.Load() - syncs; n > 5 {
		t.Errorf("%d syncs for 50 batches that waited together", n)
	}
}

func TestADamagedRowFailsOnlyWhoAskedForIt(t *testing.T) {
	disk := new(slowDisk)
	r := start(t, small(errorfs.Wrap(vfs.NewMem(), disk)))
	bad := enrol(7)
	if err := r.db.Set(numberKey(nil, kindNumber, bad.Number), []byte{recordVersion, 0xFF, 0xFF}, pdb.Sync); err != nil {
		t.Fatal(err)
	}
	disk.gate.Lock()
	var wg sync.WaitGroup
	wg.Go(func() { r.Apply(t.Context(), service.Batch{Changes: []service.Change{enrol(1)}}) })
	hangs(t, r, enrol(1))
	var decided [10]atomic.Int32
	for i := range 10 { // all of them become one group
		wg.Go(func() {
			_, err := r.Apply(t.Context(), service.Batch{
				Changes: []service.Change{enrol(100 + i), enrol(5 + i)},
				Decided: func([]service.Outcome) { decided[i].Add(1) },
			})
			if wants := 5+i == 7; errors.Is(err, errRow) != wants || (err != nil) != wants {
				t.Errorf("batch %d: %v", i, err)
			}
		})
	}
	waiting(r, 10)
	disk.gate.Unlock()
	wg.Wait()
	for i := range 10 {
		want := int32(1)
		_, err := r.Find(t.Context(), enrol(100+i).Person)
		if 5+i == 7 {
			if want = 0; !errors.Is(err, service.ErrNobody) {
				t.Errorf("half of the refused batch is there: %v", err)
			}
		} else if err != nil {
			t.Errorf("batch %d: %v", i, err)
		}
		if got := decided[i].Load(); got != want {
			t.Errorf("batch %d: Decided was called %d times", i, got)
		}
	}
	if _, err := r.Lookup(t.Context(), bad.Number); !errors.Is(err, errRow) {
		t.Errorf("Lookup of the damaged row: %v", err)
	}
	if st, err := r.Stats(t.Context()); err != nil || st.Subscribers != 1+10+9-1 {
		t.Errorf("%+v %v", st, err)
	}
}

func TestNamesHaveAnEnd(t *testing.T) {
	r := start(t, small(vfs.NewMem()))
	// Of nobody: only the names are wanted, no row of 65,535 services.
	for from := 1; from < maxNames; from += 8192 {
		var list []service.Change
		for i := from; i < min(from+8192, maxNames); i++ {
			list = append(list, service.Change{Kind: service.SetLanguage, Person: service.Person{9}, Services: []string{fmt.Sprint(i)}, Now: testEpoch})
		}
		apply(t, r, list...)
	}
	c := enrol(1)
	c.Services = []string{"more"}
	if out := apply(t, r, c); out[0].Err == nil || out[0].Err.Field != "services" {
		t.Errorf("%+v", out)
	}
	c.Services = []string{"77"}
	if out := apply(t, r, c); out[0].Err != nil {
		t.Errorf("a name that is known: %v", out[0].Err)
	}
}
