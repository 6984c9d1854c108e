package pebble

import (
	"runtime"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/queue"
	"masar/smpp/pdu"
)

// A start looks for due messages from the bound on that was last written. It may never be
// later than a message that waits, whatever is under way when it is written: that message
// would be forgotten until its validity ends.
func TestTheBoundOnDiskIsNeverLaterThanWhatIsDue(t *testing.T) {
	now := time.Date(2026, 3, 9, 6, 30, 0, 0, time.UTC)
	aside := func(t *testing.T) (*Store, *queue.Accept) {
		o := small(vfs.NewMem())
		o.Now = func() time.Time { return now }
		s := open(t, o)
		t.Cleanup(func() { s.Close() })
		a := accept()
		a.M.Expires = queue.At(now.Add(48 * time.Hour))
		a.Due = queue.At(now.Add(-time.Minute))
		must(t, s, a)
		return s, a
	}
	check := func(t *testing.T, s *Store, a *queue.Accept) {
		t.Helper()
		v, err := s.meta(string(metaDueKey(nil, a.M.Class)[1:]))
		if err != nil {
			t.Fatal(err)
		}
		if v != nil && queue.Time(be.Uint64(v)) > a.Due {
			t.Errorf("the bound on disk is %v after what is due", time.Duration(queue.Time(be.Uint64(v))-a.Due)*time.Microsecond)
		}
	}
	await := func(ok func() bool) {
		for !ok() {
			runtime.Gosched()
		}
	}
	t.Run("while Due looks", func(t *testing.T) {
		s, a := aside(t)
		looking, written := make(chan struct{}), make(chan error, 1)
		go func() {
			written <- s.do(t.Context(), func(c *committer) {
				close(looking)
				await(func() bool { s.mu.Lock(); defer s.mu.Unlock(); return s.dueFrom[a.M.Class] > a.Due })
				c.states()
			})
		}()
		<-looking
		got, err := s.Due(t.Context(), queue.Scheduled, now, 10, nil)
		if err != nil || len(got) != 1 {
			t.Fatalf("%d due: %v", len(got), err)
		}
		if err := <-written; err != nil {
			t.Fatal(err)
		}
		check(t, s, a)
	})
	t.Run("while its rows are read for somebody", func(t *testing.T) {
		s, a := aside(t)
		if err := s.do(t.Context(), func(c *committer) { c.states() }); err != nil {
			t.Fatal(err)
		}
		it := s.grab(a.M.ID) // as ClaimID begins
		if got, err := s.Due(t.Context(), queue.Scheduled, now, 10, nil); err != nil || len(got) != 0 {
			t.Fatalf("%d due: %v", len(got), err)
		}
		if err := s.do(t.Context(), func(c *committer) { c.states() }); err != nil {
			t.Fatal(err)
		}
		check(t, s, a)
		s.ungrab(it)
		if got, err := s.Due(t.Context(), queue.Scheduled, now, 10, nil); err != nil || len(got) != 1 {
			t.Errorf("%d due once nobody reads it any more: %v", len(got), err)
		}
	})
	t.Run("while it is claimed", func(t *testing.T) {
		s, a := aside(t)
		got, err := s.Due(t.Context(), queue.Scheduled, now, 10, nil)
		if err != nil || len(got) != 1 {
			t.Fatalf("%d due: %v", len(got), err)
		}
		if err := s.do(t.Context(), func(c *committer) { c.states() }); err != nil {
			t.Fatal(err)
		}
		check(t, s, a)
	})
	t.Run("when it was due before it was put aside", func(t *testing.T) {
		s, a := aside(t)
		if got, err := s.Due(t.Context(), queue.Scheduled, now, 10, nil); err != nil || len(got) != 1 {
			t.Fatalf("%d due: %v", len(got), err)
		} else {
			must(t, s, &queue.Final{Claim: got[0], State: pdu.StateDeleted, At: queue.At(now)})
		}
		if err := s.do(t.Context(), func(c *committer) { c.states() }); err != nil {
			t.Fatal(err)
		}
		late := accept()
		late.M.Expires, late.Due = a.M.Expires, a.Due
		must(t, s, late)
		check(t, s, late) // and the power goes before the next tick
	})
}
