package pebble

import (
	"io"
	"log/slog"
	"math/rand/v2"
	"sync"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"masar/queue"
	"masar/queue/queuetest"
)

// A slowDisk holds every sync up while its gate is closed.
type slowDisk struct{ gate sync.RWMutex }

// MaybeError implements errorfs.Injector. It never injects an error, only time.
func (d *slowDisk) MaybeError(op errorfs.Op) error {
	switch op.Kind {
	case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
		d.gate.RLock()
		d.gate.RUnlock() //nolint:staticcheck // passing the gate is all
	}
	return nil
}

func (d *slowDisk) String() string { return "slow disk" }

// openConformance opens a store on a file system in memory that can show power cuts and
// be slow. Its memtable is small, so that rows meet their deletion in every state a flush
// can leave them in.
func openConformance(t *testing.T, e queuetest.Env) queue.Store {
	m := e.Media
	if m.State == nil {
		m.State = vfs.NewCrashableMem()
	}
	fs := m.State.(*vfs.MemFS)
	m.Cut = func(keep int) any {
		return fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: keep, RNG: rand.New(rand.NewPCG(uint64(keep), 1))})
	}
	disk := new(slowDisk)
	m.Hold = func() func() { disk.gate.Lock(); return disk.gate.Unlock }
	s, err := Open(t.Context(), Options{
		Dir: "store", FS: errorfs.Wrap(fs, disk), Node: 5, Now: e.Now, Log: slog.New(slog.NewTextHandler(io.Discard, nil)),
		MinFree: -1, Ballast: -1, CacheBytes: 1 << 20, memTable: 256 << 10,
		Room: e.Room, AccountRoom: e.AccountRoom, OutboxMax: e.OutboxMax, History: e.History,
		InboxSteps: e.InboxSteps, ReadAhead: e.ReadAhead,
		Fatal: func(err error) { panic(err) },
	})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return s
}

func TestStoreKeepsEveryPromiseOfTheInterface(t *testing.T) {
	queuetest.Run(t, openConformance)
}

// onDisk opens a store in a folder of its own, as it is by default.
func onDisk(b *testing.B) queue.Store {
	s, err := Open(b.Context(), Options{Dir: b.TempDir(), Log: slog.New(slog.NewTextHandler(io.Discard, nil)), MinFree: -1, Ballast: -1})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s
}

func BenchmarkConformanceStraight(b *testing.B)  { queuetest.BenchStraight(b, onDisk(b)) }
func BenchmarkConformanceWholeLife(b *testing.B) { queuetest.BenchWholeLife(b, onDisk(b), 2000) }
