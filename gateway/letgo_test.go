package gateway

import (
	"context"
	"testing"
	"time"

	"masar/queue"
)

// A cancel_sm of the wrong sender claims a message for a moment. The carrier that looks
// in that moment finds the lane empty: it has to be told once the claim is let go.
func TestAMessageThatIsLetGoIsToldOf(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFakeSMSC(t, nil)
		f.down = true
		r := newRig(t, rigOptions{Options: fakes(map[string]*fakeSMSC{"a:1": f}, nil)})
		r.transceiver().submit(nil)
		var lane queue.Lane
		r.store.Depths(func(l queue.Lane, _ queue.Depth) { lane = l })
		taken, _ := r.store.Take(lane, 1, nil)
		id := taken[0].M.ID
		r.store.Release(taken[0])
		claim, err := r.store.ClaimID(context.Background(), lane.Account, id)
		if err != nil {
			t.Fatal(err)
		}
		f.refuse(false)
		r.carrierUp("a")
		time.Sleep(time.Second)
		if n := len(f.submits()); n != 0 {
			t.Fatalf("sent %d times while it was claimed", n)
		}
		r.store.Release(claim)
		time.Sleep(time.Second)
		if n := len(f.submits()); n != 1 {
			t.Fatalf("sent %d times after it was let go", n)
		}
	})
}
