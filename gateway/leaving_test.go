package gateway

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
)

// stallingStore keeps Part steps back while it is stalled, as a slow disk does.
type stallingStore struct {
	queue.Store
	mu    sync.Mutex
	stall chan struct{}
}

func (s *stallingStore) Commit(ctx context.Context, d queue.Done, steps ...queue.Step) error {
	s.mu.Lock()
	stall := s.stall
	s.mu.Unlock()
	if _, part := steps[0].(*queue.Part); part && stall != nil {
		<-stall
	}
	return s.Store.Commit(ctx, d, steps...)
}

func TestAReplacedCarrierLetsGoOfAMessageOnceItsAnswersAreRecorded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var free atomic.Bool
		f := newFakeSMSC(t, func(n int, s *fakeSubmit) {
			if n > 0 && !free.Load() {
				s.Status = pdu.ESME_RTHROTTLED
			}
		})
		st := &stallingStore{stall: make(chan struct{})}
		r := newRig(t, rigOptions{
			Setup:   func(s *Setup) { s.Carriers[0].Window = 1; s.Carriers[0].Throughput = 1 },
			Options: fakes(map[string]*fakeSMSC{"a:1": f}, func(o *Options) { st.Store = o.Store; o.Store = st }),
		})
		r.carrierUp("a")
		p := r.transceiver()
		id := p.submit(inParts(2))
		f.await(2)
		s := rigSetup()
		s.Carriers[0].Identity = "changed"
		if err := r.gw.Reload(context.Background(), s); err != nil {
			t.Fatal(err)
		}
		time.Sleep(1500 * time.Millisecond)
		free.Store(true)
		close(st.stall)
		time.Sleep(time.Minute)
		for i, sub := range f.submits() {
			if i == 0 || sub.Status == pdu.ESME_ROK {
				f.acked(f.session().receipt(&sub, "DELIVRD"))
			}
		}
		ended(t, p, id, "DELIVRD")
	})
}

func TestShutdownWaitsForTheWindowOfACarrierThatIsBeingReplaced(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFakeSMSC(t, func(_ int, s *fakeSubmit) { s.Status = noAnswer })
		r := fakeRig(t, f, nil)
		p := r.transceiver()
		p.submit(nil)
		sub := f.await(1)[0]
		p.conn.Close()
		s := rigSetup()
		s.Carriers[0].Identity = "changed"
		if err := r.gw.Reload(context.Background(), s); err != nil {
			t.Fatal(err)
		}
		go func() {
			time.Sleep(300 * time.Millisecond)
			sub.ID = "one"
			sub.Session.answer(&sub, pdu.ESME_ROK)
		}()
		r.restart()
		r.carrierUp("a")
		time.Sleep(time.Second)
		if n := len(f.submits()); n != 1 {
			t.Fatalf("sent %d times", n)
		}
	})
}
