package pebble

import (
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/queue"
)

// A bound of an account's own holds instead of the store's, be it smaller or larger, and a
// new one holds a second later.
func TestAnAccountsOwnBoundHoldsForItsOutbox(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var small4 atomic.Int64
		small4.Store(4)
		o := small(vfs.NewMem())
		o.OutboxMax = 10
		o.OutboxMaxOf = func(account string) int64 {
			switch account {
			case "small":
				return small4.Load()
			case "large":
				return 20
			}
			return 0
		}
		s := open(t, o)
		defer s.Close()
		s.Watch(func(queue.Lane) {}, func(uint32) {})
		numbers := map[string]uint32{}
		for _, name := range []string{"plain", "small", "large"} {
			n, err := s.Number(t.Context(), queue.AccountName, name)
			if err != nil {
				t.Fatal(err)
			}
			numbers[name] = n
			for i := range 30 {
				must(t, s, &queue.Deliver{Delivery: &queue.Delivery{Account: n, Message: queue.ID(i + 1), Expires: queue.At(time.Now().Add(time.Hour))}})
			}
		}
		want := func(bounds map[string]int64) {
			t.Helper()
			time.Sleep(3 * time.Second)
			synctest.Wait()
			got := map[uint32]int64{}
			s.OutboxDepths(func(account uint32, d queue.Depth) { got[account] = d.Messages })
			for name, n := range bounds {
				if got[numbers[name]] != n {
					t.Errorf("%s: %d deliveries wait, want %d", name, got[numbers[name]], n)
				}
			}
		}
		want(map[string]int64{"plain": 10, "small": 4, "large": 20})
		small4.Store(2)
		want(map[string]int64{"plain": 10, "small": 2, "large": 20})
	})
}
