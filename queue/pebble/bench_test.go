package pebble

import (
	"fmt"
	"io"
	"log/slog"
	"runtime"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/cockroachdb/pebble/v2/vfs/errorfs"

	"masar/queue"
	"masar/smpp/pdu"
)

// syncs counts fsyncs.
type syncs struct{ n atomic.Int64 }

func (c *syncs) MaybeError(op errorfs.Op) error {
	switch op.Kind {
	case errorfs.OpFileSync, errorfs.OpFileSyncData, errorfs.OpFileSyncTo:
		c.n.Add(1)
	}
	return nil
}

func (c *syncs) String() string { return "syncs" }

func benchStore(b *testing.B, fs vfs.FS) *Store {
	s, err := Open(b.Context(), Options{Dir: b.TempDir(), FS: fs, Ballast: -1, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s
}

var benchLane = queue.Lane{Target: queue.Target(1, 0), Class: queue.Normal, Account: 1}

const inFlight = 384

func cpu() time.Duration {
	var u syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// newMessage is a common message: 70 characters of Arabic.
func newMessage(i int) *queue.Message {
	now := queue.At(time.Now())
	return &queue.Message{
		Account: 1, Class: queue.Normal, Accepted: now, Expires: now + 48*3600*1e6,
		Source: queue.Address{TON: 5, Addr: "AHWAL"}, Dest: queue.Address{TON: 1, NPI: 1, Addr: fmt.Sprintf("9665%08d", i%100_000_000)},
		RegisteredDelivery: 1, DataCoding: 8, Body: make([]byte, 140), Text: make([]byte, 36),
	}
}

// life drives b.N messages, inFlight at a time, through steps given one after the other.
type life struct {
	b     *testing.B
	s     *Store
	slots chan struct{}
	lanes chan struct{}
	outs  chan struct{}
	refs  chan *queue.Ref // never full: inFlight at most
	await bool
	left  atomic.Int64
	done  chan struct{}
}

func (l *life) finish() {
	<-l.slots
	if l.left.Add(-1) == 0 {
		close(l.done)
	}
}

type acceptDone struct{}

func (acceptDone) Done(error) {}

// pull is the dispatcher: it answers each message at once.
func (l *life) pull(wg *sync.WaitGroup) {
	defer wg.Done()
	var claims []queue.Claim
	n := 0
	for {
		select {
		case <-l.lanes:
		case <-l.done:
			return
		}
		for {
			claims, _ = l.s.Take(benchLane, 128, claims[:0])
			if len(claims) == 0 {
				break
			}
			for i := range claims {
				n++
				p := &queue.Part{Claim: claims[i], Await: l.await, Last: true, State: pdu.StateAccepted,
					Info: queue.PartInfo{Attempt: 1, Part: 1, Of: 1, Carrier: 7, CarrierID: fmt.Sprintf("%08x", n), Sent: claims[i].M.Accepted}}
				d := queue.DoneFunc(func(error) { l.finish() })
				if l.await {
					d = func(error) { l.refs <- p.Ref }
				}
				if err := l.s.Commit(l.b.Context(), d, p); err != nil {
					l.b.Error(err)
				}
			}
		}
	}
}

// correlate is the correlator: it has every ref in its LRU.
func (l *life) correlate(wg *sync.WaitGroup) {
	defer wg.Done()
	for {
		var ref *queue.Ref
		select {
		case ref = <-l.refs:
		case <-l.done:
			return
		}
		m := ref.M
		f := &queue.Final{Ref: ref, State: pdu.StateDelivered, At: m.Accepted, Deliver: &queue.Delivery{
			Account: 1, Message: m.ID, Created: m.Accepted, Expires: m.Expires, Source: m.Dest, Dest: m.Source, ESMClass: 4,
			ShortMessage: make([]byte, 120),
		}}
		if err := l.s.Commit(l.b.Context(), acceptDone{}, f); err != nil {
			l.b.Error(err)
		}
	}
}

func (l *life) pump(wg *sync.WaitGroup) {
	defer wg.Done()
	var ds []*queue.Delivery
	for {
		select {
		case <-l.outs:
		case <-l.done:
			return
		}
		for {
			ds, _ = l.s.TakeOutbox(1, 128, ds[:0])
			if len(ds) == 0 {
				break
			}
			for _, d := range ds {
				if err := l.s.Commit(l.b.Context(), queue.DoneFunc(func(error) { l.finish() }), &queue.Delivered{Account: 1, Seq: d.Seq}); err != nil {
					l.b.Error(err)
				}
			}
		}
	}
}

func poke(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func runLife(b *testing.B, await bool) {
	count := new(syncs)
	s := benchStore(b, errorfs.Wrap(vfs.Default, count))
	l := &life{b: b, s: s, slots: make(chan struct{}, inFlight), lanes: make(chan struct{}, 1), outs: make(chan struct{}, 1), await: await, refs: make(chan *queue.Ref, inFlight), done: make(chan struct{})}
	l.left.Store(int64(b.N))
	s.Watch(func(queue.Lane) { poke(l.lanes) }, func(uint32) { poke(l.outs) })
	msgs := make([]*queue.Message, b.N)
	for i := range msgs {
		msgs[i] = newMessage(i)
	}
	runtime.GC()
	count.n.Store(0)
	b.ReportAllocs()
	b.ResetTimer()
	began, used := time.Now(), cpu()
	var wg sync.WaitGroup
	wg.Add(3)
	go l.correlate(&wg)
	go l.pull(&wg)
	go l.pump(&wg)
	for i := range b.N {
		l.slots <- struct{}{}
		if err := s.Commit(b.Context(), acceptDone{}, &queue.Accept{M: msgs[i], Lane: benchLane}); err != nil {
			b.Fatal(err)
		}
		msgs[i] = nil
	}
	<-l.done
	wg.Wait()
	used = cpu() - used
	b.StopTimer()
	b.ReportMetric(float64(used.Nanoseconds())/1e3/float64(b.N), "cpu-µs/msg")
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "msg/s")
	b.ReportMetric(float64(b.N)/float64(count.n.Load()), "msg/fsync")
}

// BenchmarkStraight is the short life: Accept, then the last Part, no receipt.
func BenchmarkStraight(b *testing.B) { runLife(b, false) }

// BenchmarkWholeLife is Accept, Part awaited, Final by Ref with its receipt, Delivered.
func BenchmarkWholeLife(b *testing.B) { runLife(b, true) }

// BenchmarkDrain takes a backlog from disk: the same as BenchmarkStraight but that every
// message was committed before the first is taken.
func BenchmarkDrain(b *testing.B) {
	s := benchStore(b, nil)
	var wg sync.WaitGroup
	for i := range b.N {
		wg.Add(1)
		if err := s.Commit(b.Context(), queue.DoneFunc(func(error) { wg.Done() }), &queue.Accept{M: newMessage(i), Lane: benchLane}); err != nil {
			b.Fatal(err)
		}
	}
	wg.Wait()
	l := &life{b: b, s: s, slots: make(chan struct{}, b.N+1), lanes: make(chan struct{}, 1), outs: make(chan struct{}, 1), done: make(chan struct{})}
	l.left.Store(int64(b.N))
	window := make(chan struct{}, inFlight)
	runtime.GC()
	b.ResetTimer()
	began, used := time.Now(), cpu()
	s.Watch(func(queue.Lane) { poke(l.lanes) }, func(uint32) {})
	var claims []queue.Claim
	for taken := 0; taken < b.N; {
		claims, _ = s.Take(benchLane, 128, claims[:0])
		if len(claims) == 0 {
			<-l.lanes
			continue
		}
		for i := range claims {
			window <- struct{}{}
			l.slots <- struct{}{}
			p := &queue.Part{Claim: claims[i], Last: true, State: pdu.StateAccepted,
				Info: queue.PartInfo{Attempt: 1, Part: 1, Of: 1, Carrier: 7, CarrierID: "00ab12cd", Sent: claims[i].M.Accepted}}
			if err := s.Commit(b.Context(), queue.DoneFunc(func(error) { <-window; l.finish() }), p); err != nil {
				b.Fatal(err)
			}
		}
		taken += len(claims)
	}
	<-l.done
	b.ReportMetric(float64((cpu()-used).Nanoseconds())/1e3/float64(b.N), "cpu-µs/msg")
	b.ReportMetric(float64(b.N)/time.Since(began).Seconds(), "msg/s")
}
