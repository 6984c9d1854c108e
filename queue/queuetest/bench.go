package queuetest

import (
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
)

// BenchStraight measures Commit of Accept alone, one message a Commit, with as many under way
// as the store's inbox and 256 callers allow: what a submit_sm costs until its response may
// go out. The store fills by b.N messages; s is closed by the caller.
func BenchStraight(b *testing.B, s queue.Store) {
	s.Watch(func(queue.Lane) {}, func(uint32) {})
	l := lane(1, queue.Normal)
	slots := make(chan struct{}, 256)
	var bad atomic.Pointer[error]
	done := queue.DoneFunc(func(err error) {
		if err != nil {
			bad.Store(&err)
		}
		<-slots
	})
	b.ReportAllocs()
	b.ResetTimer()
	for i := range b.N {
		slots <- struct{}{}
		if err := s.Commit(b.Context(), done, &queue.Accept{M: benchMessage(i), Lane: l}); err != nil {
			b.Fatal(err)
		}
	}
	for range cap(slots) {
		slots <- struct{}{}
	}
	b.StopTimer()
	if err := bad.Load(); err != nil {
		b.Fatal(*err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

func benchMessage(i int) *queue.Message {
	now := queue.At(time.Now())
	return &queue.Message{
		Account: 1, Class: queue.Normal, Accepted: now, Expires: now + queue.Time(48*time.Hour/time.Microsecond),
		Source: queue.Address{TON: 5, Addr: "AHWAL"}, Dest: queue.Address{TON: 1, NPI: 1, Addr: fmt.Sprintf("9665%08d", i%100_000_000)},
		RegisteredDelivery: 1, DataCoding: 8, Body: make([]byte, 110), Text: make([]byte, 20),
	}
}

// A lifeline carries b.N messages through their whole lives.
type lifeline struct {
	b      *testing.B
	s      queue.Store
	window chan struct{} // messages in flight
	lane   queue.Lane
	feed   *feed
	ended  atomic.Int64
	over   chan struct{}
	finish func() // closes over, once
}

// BenchWholeLife measures messages from Accept over an answered submit_sm and its receipt to the
// acknowledged deliver_sm, with at most inflight of them between the ends. Each of the four moves is a
// Commit of its own. s is closed by the caller.
func BenchWholeLife(b *testing.B, s queue.Store, inflight int) {
	g := &lifeline{
		b: b, s: s, window: make(chan struct{}, inflight), lane: lane(1, queue.Normal),
		feed: newFeed(), over: make(chan struct{}),
	}
	g.finish = sync.OnceFunc(func() { close(g.over) })
	s.Watch(g.feed.lane, g.feed.outbox)
	b.ReportAllocs()
	b.ResetTimer()
	var wg sync.WaitGroup
	wg.Go(g.carry)
	wg.Go(g.pump)
	for i := range b.N {
		select {
		case g.window <- struct{}{}:
		case <-g.over:
		}
		g.commit(func() {}, &queue.Accept{M: benchMessage(i), Lane: g.lane})
	}
	wg.Wait()
	b.StopTimer()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "messages/s")
}

func (g *lifeline) fail(err error) {
	g.b.Error(err)
	g.finish()
}

func (g *lifeline) commit(then func(), steps ...queue.Step) {
	err := g.s.Commit(g.b.Context(), queue.DoneFunc(func(err error) {
		if err != nil {
			g.fail(err)
		}
		then()
	}), steps...)
	if err != nil {
		g.fail(err)
	}
}

// carry answers each message and, when that is durable, hands its receipt to a correlator. A
// Done must not call the store, so receipts go through a channel that the window bounds.
func (g *lifeline) carry() {
	receipts := make(chan *queue.Part, cap(g.window))
	var wg sync.WaitGroup
	wg.Go(func() { g.receive(receipts) })
	defer wg.Wait()
	var claims []queue.Claim
	for n := 0; ; {
		wake := g.feed.next()
		claims, _ = g.s.Take(g.lane, 64, claims[:0])
		for _, c := range claims {
			n++
			c.M.Attempt = 1
			p := &queue.Part{Claim: c, Await: true, Last: true, Info: queue.PartInfo{
				Attempt: 1, Part: 1, Of: 1, Carrier: 7, CarrierID: fmt.Sprintf("%016x", n), Sent: c.M.Accepted,
			}}
			g.commit(func() { receipts <- p }, p)
		}
		if len(claims) > 0 {
			continue
		}
		select {
		case <-g.over:
			return
		case <-wake:
		}
	}
}

func (g *lifeline) receive(receipts <-chan *queue.Part) {
	for {
		select {
		case <-g.over:
			return
		case p := <-receipts:
			m := p.Ref.M
			g.commit(func() {}, &queue.Final{
				Ref: p.Ref, State: pdu.StateDelivered, Err: "000", Carrier: 7, At: m.Accepted,
				Deliver: &queue.Delivery{
					Account: 1, Message: m.ID, Created: m.Accepted, Expires: m.Expires, Source: m.Dest, Dest: m.Source,
					ESMClass: 4, ShortMessage: make([]byte, 120),
				},
			})
		}
	}
}

// pump acknowledges what reaches the client.
func (g *lifeline) pump() {
	var got []*queue.Delivery
	for {
		wake := g.feed.next()
		got, _ = g.s.TakeOutbox(1, 64, got[:0])
		for _, d := range got {
			g.commit(func() {
				<-g.window
				if g.ended.Add(1) == int64(g.b.N) {
					g.finish()
				}
			}, &queue.Delivered{Account: 1, Seq: d.Seq})
		}
		if len(got) > 0 {
			continue
		}
		select {
		case <-g.over:
			return
		case <-wake:
		}
	}
}
