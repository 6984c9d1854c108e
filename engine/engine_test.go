package engine_test

import (
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"masar/engine"
)

func options(fs vfs.FS) engine.Options {
	return engine.Options{Dir: "things", Name: "things", FS: fs, Format: 2, MinFree: -1, Log: slog.New(slog.DiscardHandler)}
}

func open(t *testing.T, o engine.Options) *engine.DB {
	t.Helper()
	d, err := engine.Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func TestASyncedWriteOutlivesAPowerCut(t *testing.T) {
	fs := vfs.NewCrashableMem()
	d := open(t, options(fs))
	if err := d.Set([]byte("k"), []byte("v"), pebble.Sync); err != nil {
		t.Fatal(err)
	}
	again := open(t, options(fs.CrashClone(vfs.CrashCloneCfg{})))
	v, closer, err := again.Get([]byte("k"))
	if err != nil || string(v) != "v" {
		t.Fatalf("%q, %v", v, err)
	}
	closer.Close()
}

func TestASecondProcessIsToldWhoHasTheFolder(t *testing.T) {
	fs := vfs.NewMem()
	open(t, options(fs))
	_, err := engine.Open(options(fs))
	if !errors.Is(err, engine.ErrHeld) || !strings.Contains(err.Error(), "process ") {
		t.Fatal(err)
	}
}

func TestRowsOfANewerProgramAreRefusedByName(t *testing.T) {
	fs := vfs.NewMem()
	newer := options(fs)
	newer.Format = 3
	if err := open(t, newer).Close(); err != nil {
		t.Fatal(err)
	}
	_, err := engine.Open(options(fs))
	if err == nil || !strings.Contains(err.Error(), "has format 3, this program reads 2") {
		t.Fatal(err)
	}
	newer.Format = 4 // an older folder is read
	open(t, newer)
}

func TestCloseWaitsForItsUsersAndThenLetsNobodyIn(t *testing.T) {
	d := open(t, options(vfs.NewMem()))
	if err := d.Begin(); err != nil {
		t.Fatal(err)
	}
	closed := make(chan error, 1)
	go func() { closed <- d.Close() }()
	for d.Ready() { // until Close has begun
		runtime.Gosched()
	}
	if err := d.Set([]byte("k"), nil, pebble.Sync); err != nil {
		t.Fatal("closed under a user:", err)
	}
	if err := d.Begin(); !errors.Is(err, engine.ErrClosed) {
		t.Fatal("a late user was let in:", err)
	}
	d.End()
	if err := <-closed; err != nil {
		t.Fatal(err)
	}
	if err := d.Close(); err != nil {
		t.Fatal("a second Close:", err)
	}
}

// After a failed fsync of the log nobody may be told that his write is on disk.
func TestALostWriteIsNeverAnswered(t *testing.T) {
	var broken atomic.Bool
	o := options(errorfs.Wrap(vfs.NewMem(), errorfs.InjectorFunc(func(op errorfs.Op) error {
		switch op.Kind {
		case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
			if broken.Load() {
				return errorfs.ErrInjected
			}
		}
		return nil
	})))
	died := make(chan error, 1)
	o.Fatal = func(err error) { died <- err }
	d := open(t, o)
	broken.Store(true)
	answered := make(chan error, 1)
	go func() { answered <- d.Set([]byte("k"), nil, pebble.Sync) }()
	select {
	case err := <-died:
		if err == nil {
			t.Fatal("no reason")
		}
	case err := <-answered:
		t.Fatalf("answered %v", err)
	}
	if d.Ready() || !errors.Is(d.Begin(), engine.ErrFailed) {
		t.Fatal("the store goes on")
	}
	if err := d.Close(); !errors.Is(err, engine.ErrFailed) {
		t.Fatal(err)
	}
	select {
	case err := <-answered:
		t.Fatalf("answered %v", err)
	default:
	}
}

// smallDisk is a disk with so much room left.
type smallDisk struct {
	vfs.FS
	free uint64
}

func (s smallDisk) GetDiskUsage(string) (vfs.DiskUsage, error) {
	return vfs.DiskUsage{AvailBytes: s.free, TotalBytes: 1 << 40}, nil
}

func TestAFullDiskIsMetBeforePebbleMeetsIt(t *testing.T) {
	for _, c := range []struct {
		name        string
		free        uint64
		opens, full bool
	}{
		{"room", 2 << 20, true, false},
		{"below min_free", 1<<20 - 1, true, true},
		{"below a quarter of it", 1<<18 - 1, false, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			o := options(smallDisk{vfs.NewMem(), c.free})
			o.MinFree = 1 << 20
			d, err := engine.Open(o)
			if (err == nil) != c.opens {
				t.Fatal(err)
			}
			if err != nil {
				if !strings.Contains(err.Error(), "things") {
					t.Fatal("the error does not name the folder:", err)
				}
				return
			}
			defer d.Close()
			if d.Full() != c.full || (d.Room() == nil) == c.full || c.full && !errors.Is(d.Room(), engine.ErrFull) {
				t.Fatal(d.Full(), d.Room())
			}
		})
	}
}
