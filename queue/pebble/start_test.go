package pebble

import (
	"testing"
	"time"

	pdb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// The engine's Open waits for compactions that have begun, and where a crash has cut them
// off they begin with its first flush. A start has them wait instead, not for ever.
func TestCompactionsBeginOnlyOnceTheStoreIsOpen(t *testing.T) {
	fs := vfs.NewMem()
	o := small(fs)
	if err := o.fill(); err != nil {
		t.Fatal(err)
	}
	begun := make(chan struct{}, 100)
	options := func() *pdb.Options {
		opts := engineOptions(&o, nil, newLogger(quiet, o.Fatal), func() {})
		opts.FS = fs
		opts.EventListener.CompactionBegin = func(pdb.CompactionInfo) { begun <- struct{}{} }
		return opts
	}
	// Files that overlap, more than may lie in the first level, and rows only in the log.
	opts := options()
	opts.DisableAutomaticCompactions = true
	db, err := pdb.Open("store", opts)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 * opts.L0CompactionThreshold {
		for _, k := range []string{"a", "m", "z"} {
			if err := db.Set([]byte(k), []byte{byte(i)}, pdb.Sync); err != nil {
				t.Fatal(err)
			}
		}
		if err := db.Flush(); err != nil {
			t.Fatal(err)
		}
	}
	if err := db.Set([]byte("m"), []byte("last"), pdb.Sync); err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}

	opts = options()
	compactions := newScheduler()
	opts.Experimental.CompactionScheduler = compactions
	if db, err = pdb.Open("store", opts); err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if len(begun) > 0 {
		t.Errorf("%d compactions began before the store was open", len(begun))
	}
	compactions.begin()
	select {
	case <-begun:
	case <-time.After(10 * time.Second):
		t.Error("none began afterwards")
	}
}
