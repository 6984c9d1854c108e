package pebble

import (
	"fmt"
	"io"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/queue"
)

// A client may ask for a message in the very moment in which it leaves its lane.
func TestAMessageIsFoundWhileItIsSent(t *testing.T) {
	s, err := Open(t.Context(), Options{
		Dir: "store", FS: vfs.NewMem(), Log: slog.New(slog.NewTextHandler(io.Discard, nil)), MinFree: -1, Ballast: -1,
		Fatal: func(err error) { panic(err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	commit := func(step queue.Step) {
		done := make(chan error, 1)
		if err := s.Commit(t.Context(), queue.DoneFunc(func(err error) { done <- err }), step); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
	}
	lane := queue.Lane{Target: queue.Target(1, 0), Class: queue.Normal, Account: 1}
	for i := range 300 {
		now := queue.At(time.Now())
		m := &queue.Message{Account: 1, Class: queue.Normal, Accepted: now, Expires: now + queue.Time(time.Hour/time.Microsecond), Dest: queue.Address{Addr: "966501234567"}}
		commit(&queue.Accept{M: m, Lane: lane})
		id := m.ID
		sent := make(chan struct{})
		var asking sync.WaitGroup
		for range 4 {
			asking.Go(func() {
				for {
					if _, err := s.Find(t.Context(), 1, id); err != nil {
						t.Errorf("message %d: %v", i, err)
						return
					}
					select {
					case <-sent:
						return
					default:
					}
				}
			})
		}
		var claims []queue.Claim
		for len(claims) == 0 {
			claims, _ = s.Take(lane, 1, nil)
		}
		claims[0].M.Attempt = 1
		commit(&queue.Part{Claim: claims[0], Await: true, Last: true, Info: queue.PartInfo{Attempt: 1, Part: 1, Of: 1, Carrier: 7, CarrierID: fmt.Sprint(i), Sent: now}})
		close(sent)
		asking.Wait()
		if t.Failed() {
			return
		}
	}
}
