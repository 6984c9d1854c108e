package pebble

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/number"
	"masar/service"
)

func TestADiskNearlyFullRefusesEnrolmentsAndTakesWithdrawals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		fs := vfs.NewMem()
		set := func(free uint64) {
			fs.TestingSetDiskUsage(vfs.DiskUsage{AvailBytes: free, TotalBytes: 4000, UsedBytes: 4000 - free})
		}
		set(2000)
		o := small(fs)
		o.MinFree = 1000
		r, err := Open(t.Context(), o)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Close()
		withdraw := enrol(1)
		withdraw.Kind = service.Withdraw
		try := func(c service.Change) error {
			_, err := r.Apply(t.Context(), service.Batch{Changes: []service.Change{c}})
			return err
		}
		for _, row := range []struct {
			free            uint64
			enrol, withdraw bool // refused
		}{{2000, false, false}, {999, true, false}, {249, true, true}, {1500, false, false}} {
			set(row.free)
			time.Sleep(1500 * time.Millisecond)
			synctest.Wait()
			if err := try(enrol(1)); errors.Is(err, ErrFull) != row.enrol {
				t.Errorf("%d free, enrol: %v", row.free, err)
			}
			if err := try(withdraw); errors.Is(err, ErrFull) != row.withdraw {
				t.Errorf("%d free, withdraw: %v", row.free, err)
			}
		}
		r.Close()
		set(200)
		if _, err := Open(t.Context(), o); err == nil || !strings.Contains(err.Error(), "min_free") {
			t.Errorf("a start on a full disk: %v", err)
		}
	})
}

func TestASweepRemovesWhatIsOld(t *testing.T) {
	fs := vfs.NewMem()
	now := testEpoch
	o := small(fs)
	o.Now = func() time.Time { return now }
	o.Limits.Keep = time.Hour
	r := start(t, o)
	blocked := func(n number.E164, expires time.Time) service.Change {
		return service.Change{Kind: service.BlockNumber, Number: n, Now: now, Block: service.Block{Scope: service.BlockAll, Expires: expires}}
	}
	_, err := r.Apply(t.Context(), service.Batch{
		Changes: []service.Change{
			enrol(1), blocked(enrol(1).Number, now.Add(time.Minute)), blocked(2, now.Add(2*time.Hour)), blocked(3, time.Time{}),
			{Kind: service.IssueCode, Number: 4, Code: "1234", Until: now.Add(time.Minute), Now: now},
			{Kind: service.IssueCode, Number: 5, Code: "1234", Until: now.Add(2 * time.Hour), Now: now},
		},
		Once: &service.Once{Key: "k"}, Bookmark: &service.Bookmark{Job: "j"}, // kept from when they came
	})
	if err != nil {
		t.Fatal(err)
	}
	r.Lookup(t.Context(), enrol(1).Number)
	version := r.Version(enrol(1).Number)
	count := func(kind byte) (n int) {
		if err := scan(r.db, []byte{kind}, func(_, _ []byte) error { n++; return nil }); err != nil {
			t.Fatal(err)
		}
		return n
	}
	sweep := func() {
		t.Helper()
		if err := r.hand(t.Context(), &request{done: make(chan struct{}), run: func(w *writer) { w.sweep() }}); err != nil {
			t.Fatal(err)
		}
	}
	sweep()
	if c, o, b, j := count(kindCode), count(kindOnce), count(kindBlocked), count(kindBookmark); c != 2 || o != 1 || b != 3 || j != 1 {
		t.Errorf("before their time: %d codes, %d keys, %d blocks, %d bookmarks", c, o, b, j)
	}
	now = now.Add(time.Hour + time.Second)
	sweep()
	if c, o, b, j := count(kindCode), count(kindOnce), count(kindBlocked), count(kindBookmark); c != 1 || o != 0 || b != 2 || j != 0 {
		t.Errorf("after it: %d codes, %d keys, %d blocks, %d bookmarks", c, o, b, j)
	}
	st, err := r.Stats(t.Context())
	if err != nil || st.Blocked != 2 || st.Subscribers != 1 {
		t.Errorf("%+v %v", st, err)
	}
	if s, err := r.Lookup(t.Context(), enrol(1).Number); err != nil || s.Block.Scope != service.BlockNone || r.Version(enrol(1).Number) <= version {
		t.Errorf("%+v %v, version %d after %d", s, err, r.Version(enrol(1).Number), version)
	}
	if h, err := r.History(t.Context(), enrol(1).Person); err != nil || h[len(h)-1].Kind != service.UnblockNumber || h[len(h)-1].Channel != expiry {
		t.Errorf("%+v %v", h, err)
	}
}
