package queuetest

import (
	"context"
	"fmt"
	"reflect"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"masar/queue"
)

// patience is how long an awaited event may take before the store counts as stuck.
const patience = 30 * time.Second

// epoch is where every test's clock begins.
var epoch = time.Date(2026, 3, 9, 6, 30, 0, 0, time.UTC)

// A clock stands still until it is told to move, in either direction.
type clock struct{ micros atomic.Int64 }

func (c *clock) Now() time.Time                { return time.UnixMicro(c.micros.Load()).UTC() }
func (c *clock) add(d time.Duration)           { c.micros.Add(d.Microseconds()) }
func (c *clock) at() queue.Time                { return queue.At(c.Now()) }
func (c *clock) in(d time.Duration) queue.Time { return queue.At(c.Now().Add(d)) }

// A feed remembers what Watch was told and wakes whoever waits for it.
type feed struct {
	mu    sync.Mutex
	lanes map[queue.Lane]int
	outs  map[uint32]int
	wake  chan struct{} // closed at the next word, then replaced
}

func newFeed() *feed {
	return &feed{lanes: map[queue.Lane]int{}, outs: map[uint32]int{}, wake: make(chan struct{})}
}

func (f *feed) tell(note func()) {
	f.mu.Lock()
	defer f.mu.Unlock()
	note()
	close(f.wake)
	f.wake = make(chan struct{})
}

func (f *feed) lane(l queue.Lane)      { f.tell(func() { f.lanes[l]++ }) }
func (f *feed) outbox(account uint32)  { f.tell(func() { f.outs[account]++ }) }
func (f *feed) next() <-chan struct{}  { f.mu.Lock(); defer f.mu.Unlock(); return f.wake }
func (f *feed) told(l queue.Lane) int  { f.mu.Lock(); defer f.mu.Unlock(); return f.lanes[l] }
func (f *feed) toldOut(acc uint32) int { f.mu.Lock(); defer f.mu.Unlock(); return f.outs[acc] }

// A rig is one store under test. Its methods fail the test when the store breaks a
// promise that has nothing to do with what the test is about, and must run on the
// test's own goroutine unless they say otherwise.
type rig struct {
	*testing.T
	ctx   context.Context
	open  func(*testing.T, Env) queue.Store
	env   Env
	clock *clock

	s    queue.Store
	feed *feed
	made int // messages made so far, for distinct contents
}

func newRig(t *testing.T, open func(*testing.T, Env) queue.Store, e Env) *rig {
	r := &rig{T: t, ctx: t.Context(), open: open, env: e, clock: new(clock)}
	r.clock.micros.Store(epoch.UnixMicro())
	r.env.Now = r.clock.Now
	r.env.Media = &Media{Dir: t.TempDir()}
	r.start()
	t.Cleanup(func() {
		if err := r.s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return r
}

// start opens the store and watches it.
func (r *rig) start() {
	r.Helper()
	r.s = r.open(r.T, r.env)
	r.feed = newFeed()
	r.s.Watch(r.feed.lane, r.feed.outbox)
}

// restart closes the store in order and opens it again.
func (r *rig) restart() {
	r.Helper()
	if err := r.s.Close(); err != nil {
		r.Fatalf("Close: %v", err)
	}
	r.start()
}

// crash cuts the power where the media can, else it restarts.
func (r *rig) crash(keep int) {
	r.Helper()
	if r.env.Media.Cut == nil {
		r.restart()
		return
	}
	r.startFrom(r.env.Media.Cut(keep))
}

// startFrom drops the store and opens the one that a power cut left as state.
func (r *rig) startFrom(state any) {
	r.Helper()
	if err := r.s.Close(); err != nil {
		r.Fatalf("Close: %v", err)
	}
	r.env.Media = &Media{Dir: r.TempDir(), State: state}
	r.start()
}

// A ticket is one Commit under way.
type ticket struct {
	ended chan struct{}
	calls atomic.Int32
	err   error
}

// Done implements queue.Done.
func (k *ticket) Done(err error) {
	if k.calls.Add(1) > 1 {
		panic(fmt.Sprintf("Done was called again, with %v", err))
	}
	k.err = err
	close(k.ended)
}

func newTicket() *ticket { return &ticket{ended: make(chan struct{})} }

// wait returns what Done said. From any goroutine; a store that never calls Done panics
// the test with its goroutines printed.
func (k *ticket) wait() error {
	select {
	case <-k.ended:
		return k.err
	default:
	}
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case <-k.ended:
		return k.err
	case <-late.C:
		panic("Done was never called for a Commit that returned nil")
	}
}

// send hands steps over without waiting for them.
func (r *rig) send(steps ...queue.Step) *ticket {
	r.Helper()
	k := newTicket()
	if err := r.s.Commit(r.ctx, k, steps...); err != nil {
		r.Fatalf("Commit of %s: %v", describe(steps), err)
	}
	return k
}

// commit makes steps durable.
func (r *rig) commit(steps ...queue.Step) {
	r.Helper()
	if err := r.send(steps...).wait(); err != nil {
		r.Fatalf("Done of %s: %v", describe(steps), err)
	}
}

// again takes steps that were durable a second time and fails when that changes what
// waits anywhere. The second time Done must say nil: a repeat after a crash has succeeded.
func (r *rig) again(steps ...queue.Step) {
	r.Helper()
	before := r.waiting()
	r.commit(steps...)
	if after := r.waiting(); !reflect.DeepEqual(before, after) {
		r.Errorf("%s taken twice changed what waits:\nbefore %v\nafter  %v", describe(steps), before, after)
	}
}

// twice makes steps durable and repeats them.
func (r *rig) twice(steps ...queue.Step) {
	r.Helper()
	r.commit(steps...)
	r.again(steps...)
}

func describe(steps []queue.Step) string {
	names := make([]string, len(steps))
	for i, s := range steps {
		names[i] = reflect.TypeOf(s).Elem().Name()
	}
	if len(names) > 6 {
		return fmt.Sprint(names[:6], " and ", len(names)-6, " more")
	}
	return fmt.Sprint(names)
}

// until waits until ok is true; ok is asked again at each word from the store.
func (r *rig) until(what string, ok func() bool) {
	r.Helper()
	var late *time.Timer
	for {
		wake := r.feed.next()
		if ok() {
			return
		}
		if late == nil {
			late = time.NewTimer(patience)
			defer late.Stop()
		}
		select {
		case <-wake:
		case <-late.C:
			r.Fatalf("waited %v in vain: %s", patience, what)
		}
	}
}

// settle returns when what was durable at the call has been handed to the feed: steps
// that change nothing go through the committer behind it.
func (r *rig) settle() {
	r.Helper()
	for range 2 {
		r.commit(&queue.Delivered{Account: 1 << 30, Seq: 1 << 60})
	}
}

// take claims exactly n messages from a lane, waiting for them.
func (r *rig) take(l queue.Lane, n int) []queue.Claim {
	r.Helper()
	var got []queue.Claim
	r.until(fmt.Sprintf("%d messages in lane %v", n, l), func() bool {
		for len(got) < n {
			had := len(got)
			got, _ = r.s.Take(l, n-had, got)
			if len(got) > n {
				r.Fatalf("Take(%v, %d) gave %d messages", l, n-had, len(got)-had)
			}
			if len(got) == had {
				return false
			}
		}
		return true
	})
	for _, c := range got {
		if c.M == nil || c.Lane != l {
			r.Fatalf("Take(%v) gave a claim in lane %v with M %v", l, c.Lane, c.M)
		}
	}
	return got
}

// takeOne claims one message.
func (r *rig) takeOne(l queue.Lane) queue.Claim {
	r.Helper()
	return r.take(l, 1)[0]
}

// nothing fails when a lane has a message for taking.
func (r *rig) nothing(l queue.Lane) {
	r.Helper()
	r.settle()
	r.until("an end of the refill", func() bool {
		c, more := r.s.Take(l, 10, nil)
		if len(c) > 0 {
			r.Fatalf("lane %v still gives %v, want nothing", l, ids(c))
		}
		return !more
	})
}

// takeOutbox takes exactly n deliveries, waiting for them.
func (r *rig) takeOutbox(account uint32, n int) []*queue.Delivery {
	r.Helper()
	var got []*queue.Delivery
	r.until(fmt.Sprintf("%d deliveries in the outbox of account %d", n, account), func() bool {
		for len(got) < n {
			had := len(got)
			got, _ = r.s.TakeOutbox(account, n-had, got)
			if len(got) > n {
				r.Fatalf("TakeOutbox(%d, %d) gave %d", account, n-had, len(got)-had)
			}
			if len(got) == had {
				return false
			}
		}
		return true
	})
	return got
}

// noOutbox fails when an outbox has a delivery for taking.
func (r *rig) noOutbox(account uint32) {
	r.Helper()
	r.settle()
	r.until("an end of the refill", func() bool {
		d, more := r.s.TakeOutbox(account, 10, nil)
		if len(d) > 0 {
			r.Fatalf("the outbox of account %d still gives %d deliveries, first seq %d of %v", account, len(d), d[0].Seq, d[0].Message)
		}
		return !more
	})
}

func ids(c []queue.Claim) []queue.ID {
	out := make([]queue.ID, len(c))
	for i := range c {
		out[i] = c[i].M.ID
	}
	return out
}

// wantIDs fails unless the claims are of these messages in this order.
func (r *rig) wantIDs(what string, got []queue.Claim, want ...queue.ID) {
	r.Helper()
	if g := ids(got); !reflect.DeepEqual(g, want) {
		r.Fatalf("%s: got %v, want %v", what, g, want)
	}
}
