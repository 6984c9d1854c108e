package pebble

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	pdb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/engine"
	"masar/queue"
	"masar/smpp/pdu"
)

func wantOpenError(t *testing.T, o Options, words ...string) {
	t.Helper()
	s, err := Open(t.Context(), o)
	if err == nil {
		s.Close()
		t.Fatal("Open succeeded")
	}
	for _, w := range words {
		if !strings.Contains(err.Error(), w) {
			t.Errorf("the error does not say %q: %v", w, err)
		}
	}
}

func TestAFolderThatCannotBeUsedIsRefusedByName(t *testing.T) {
	t.Run("of a newer format", func(t *testing.T) {
		fs := vfs.NewMem()
		s := open(t, small(fs))
		if err := s.db.Set(metaKey(nil, metaFormat), []byte{0, FormatVersion + 1}, pdb.Sync); err != nil {
			t.Fatal(err)
		}
		s.Close()
		wantOpenError(t, small(fs), "store has format 2", "reads up to 1", "newer masar")
	})
	t.Run("without its key", func(t *testing.T) {
		fs := vfs.NewMem()
		open(t, small(fs)).Close()
		if err := fs.Remove("store/" + keyFile); err != nil {
			t.Fatal(err)
		}
		wantOpenError(t, small(fs), "hash.key", "backup")
	})
	t.Run("with a damaged key", func(t *testing.T) {
		fs := vfs.NewMem()
		open(t, small(fs)).Close()
		if err := writeFile(fs, "store", "store/"+keyFile, []byte("short")); err != nil {
			t.Fatal(err)
		}
		wantOpenError(t, small(fs), "hash.key", "5 octets")
	})
	t.Run("that is a file", func(t *testing.T) {
		name := filepath.Join(t.TempDir(), "data")
		if err := os.WriteFile(name, nil, 0o600); err != nil {
			t.Fatal(err)
		}
		o := small(nil)
		o.Dir = filepath.Join(name, "store")
		wantOpenError(t, o, "making folder", o.Dir)
	})
	t.Run("on a full disk", func(t *testing.T) {
		fs := vfs.NewMem()
		fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: 100 << 20, TotalBytes: 1 << 40})
		o := small(fs)
		o.MinFree = 1 << 30
		wantOpenError(t, o, "store has 100 MiB free", "256 MiB", "min_free")
	})
	t.Run("with a wrong node", func(t *testing.T) {
		o := small(vfs.NewMem())
		o.Node = 1024
		wantOpenError(t, o, "node 1024")
	})
}

// TestAFolderOfAnotherProcessIsRefusedWithItsName starts that process.
func TestAFolderOfAnotherProcessIsRefusedWithItsName(t *testing.T) {
	if dir := os.Getenv("MASAR_HOLD"); dir != "" {
		o := small(nil)
		o.Dir = dir
		s := open(t, o)
		os.Stdout.WriteString("held\n")
		os.Stdin.Read(make([]byte, 1))
		s.Close()
		return
	}
	dir := t.TempDir()
	child := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	child.Env = append(os.Environ(), "MASAR_HOLD="+dir)
	in, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer child.Wait()
	defer in.Close()
	if n, err := out.Read(make([]byte, 5)); err != nil {
		t.Fatalf("the other process said %d octets: %v", n, err)
	}
	o := small(nil)
	o.Dir = dir
	wantOpenError(t, o, "is held by process", dir)
	_, err = Open(t.Context(), o)
	if !errors.Is(err, engine.ErrHeld) {
		t.Errorf("the error is not ErrHeld: %v", err)
	}
}

func TestTheKeyFileIsForItsOwnerOnly(t *testing.T) {
	o := small(nil)
	o.Dir = t.TempDir()
	open(t, o).Close()
	fi, err := os.Stat(filepath.Join(o.Dir, keyFile))
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", fi.Mode(), err)
	}
}

// rows counts the rows of a kind.
func rows(t *testing.T, s *Store, kind byte) int {
	t.Helper()
	n := 0
	if err := scan(s.db, []byte{kind}, func(_, _ []byte) error { n++; return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

func TestWhatIsOldGoes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := small(vfs.NewMem())
		o.History = 48 * time.Hour
		var leap atomic.Int64 // the clock leaps: a bubble would run every tick of twenty days
		o.Now = func() time.Time { return time.Now().Add(time.Duration(leap.Load())) }
		pass := func(d time.Duration) {
			leap.Add(int64(d))
			time.Sleep(2 * time.Second)
			synctest.Wait()
		}
		s := open(t, o)
		defer s.Close()
		s.Watch(func(queue.Lane) {}, func(uint32) {})
		a := accept()
		a.Once, a.Short = []byte("key"), true
		must(t, s, a)
		c, _ := s.Take(benchLane, 1, nil)
		must(t, s, &queue.Final{Claim: c[0], State: pdu.StateDelivered})
		must(t, s, &queue.Unmatched{Carrier: 1, CarrierID: "x", Why: "unknown", At: queue.At(time.Now())})
		pass(23 * time.Hour)
		for kind, n := range map[byte]int{kindHistory: 1, kindOnce: 1, kindShort: 1, kindUnmatched: 1, kindLaneState: 1} {
			if got := rows(t, s, kind); got != n {
				t.Errorf("after a day: %d rows of kind %c, want %d", got, kind, n)
			}
		}
		pass(4 * 24 * time.Hour)
		for kind, n := range map[byte]int{kindHistory: 0, kindOnce: 1, kindShort: 1, kindUnmatched: 0, kindLaneState: 0} {
			if got := rows(t, s, kind); got != n {
				t.Errorf("after five days: %d rows of kind %c, want %d", got, kind, n)
			}
		}
		pass(15 * 24 * time.Hour)
		for kind, n := range map[byte]int{kindOnce: 0, kindShort: 0} {
			if got := rows(t, s, kind); got != n {
				t.Errorf("after twenty days: %d rows of kind %c, want %d", got, kind, n)
			}
		}
		// A lane that was forgotten comes back with its next message.
		must(t, s, accept())
		if c, _ := s.Take(benchLane, 1, nil); len(c) != 1 {
			t.Error("the lane does not give its message")
		}
	})
}

func TestAnOutboxEndsItsOldest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := small(vfs.NewMem())
		o.OutboxMax, o.ReadAhead = 10, 4
		s := open(t, o)
		defer s.Close()
		s.Watch(func(queue.Lane) {}, func(uint32) {})
		expires := queue.At(time.Now().Add(time.Hour))
		for i := range 30 {
			must(t, s, &queue.Deliver{Delivery: &queue.Delivery{Account: 1, Message: queue.ID(i + 1), Expires: expires}})
		}
		held, _ := s.TakeOutbox(1, 1, nil)
		depth := func() (n int64) {
			s.OutboxDepths(func(_ uint32, d queue.Depth) { n = d.Messages })
			return n
		}
		for range 20 { // the rows are read from disk a few at a time
			time.Sleep(time.Second)
			synctest.Wait()
		}
		if n := depth(); n != 10 {
			t.Errorf("%d deliveries wait, want 10", n)
		}
		if n := rows(t, s, kindHistory); n != 20 {
			t.Errorf("%d ends are in history, want 20", n)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := depth(); n != 1 {
			t.Errorf("%d deliveries wait after their time, want the one that is held", n)
		}
		must(t, s, &queue.Delivered{Account: 1, Seq: held[0].Seq})
		if n := rows(t, s, kindOutbox); n != 0 {
			t.Errorf("%d rows are left", n)
		}
	})
}

func TestUnmatchedReceiptsAreBounded(t *testing.T) {
	o := small(vfs.NewMem())
	o.UnmatchedMax = 50
	for range 2 { // the count is taken again after a start
		s := open(t, o)
		at := queue.At(time.Now())
		for i := range 200 {
			must(t, s, &queue.Unmatched{Carrier: uint32(i%2 + 1), CarrierID: "x", Raw: []byte{byte(i)}, At: at + queue.Time(i)})
		}
		for carrier := range uint32(2) {
			got, err := s.UnmatchedReceipts(t.Context(), carrier+1, "", 1000)
			if err != nil || len(got) > 51 || len(got) < 40 {
				t.Errorf("%d receipts of a carrier are kept, %v", len(got), err)
			}
			if last := got[len(got)-1]; last.Raw[0] != byte(198+carrier) {
				t.Errorf("the newest is not kept: %v", last.Raw)
			}
		}
		s.Close()
	}
}

func TestIDsRiseWhenTheClockStepsBackAcrossARestart(t *testing.T) {
	fs := vfs.NewMem()
	now := time.Now()
	o := small(fs)
	o.Now = func() time.Time { return now }
	var last queue.ID
	for range 3 {
		s := open(t, o)
		a := accept()
		must(t, s, a)
		if a.M.ID <= last {
			t.Errorf("id %v after %v", a.M.ID, last)
		}
		last = a.M.ID
		s.Close()
		now = now.Add(-time.Hour)
	}
}
