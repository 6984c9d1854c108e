package pebble

import (
	"math/rand/v2"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/service"
	"masar/service/servicetest"
)

// openConformance opens a registry on a file system in memory that can show power cuts.
// Its memtable is small, so that rows are flushed and compacted in between; its cache is
// smaller than what the tests ask for, so that rows are read again.
func openConformance(t *testing.T, e servicetest.Env) service.Registry {
	m := e.Media
	if m.State == nil {
		m.State = vfs.NewCrashableMem()
	}
	fs := m.State.(*vfs.MemFS)
	m.Cut = func(keep int) any {
		return fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: keep, RNG: rand.New(rand.NewPCG(uint64(keep), 1))})
	}
	r, err := Open(t.Context(), Options{
		Dir: "registry", FS: fs, Now: e.Now, Log: discard, Limits: e.Limits,
		MinFree: -1, CacheBytes: 1 << 20, Cache: 256, memTable: 256 << 10,
		Fatal: func(err error) { panic(err) },
	})
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	return r
}

func TestRegistryKeepsEveryPromiseOfTheInterface(t *testing.T) {
	servicetest.Run(t, openConformance)
}
