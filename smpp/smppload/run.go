package smppload

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// run is what the binds of one Run share.
type run struct {
	opt       Options
	numbering numbering
	templates []template
	ledger    *Ledger
	perBind   float64 // submits per second of one bind; 0 is no limit
	limit     uint64  // the first number not to be sent
	start     int64   // ns since 1970; set before begin is closed
	until     int64   // when submitting ends; 0 is never

	next                    atomic.Uint64
	stopSending, stopping   atomic.Bool
	lastAnswer, lastReceipt atomic.Int64
	reconnects              atomic.Uint64
	begin                   chan struct{} // closed once every bind is bound

	sent, accepted, refused, uncertain                              atomic.Uint64
	receipts, dup, strange, unsought, ofUncertain, intermediate, mo atomic.Uint64
	awaited                                                         atomic.Int64

	mu     sync.Mutex
	errors []string
	seen   map[string]bool
}

// Run binds, submits, waits for answers and receipts, unbinds, and says what it came to.
// It ends early when ctx does; the result is then of what was done.
//
// An error without a result: a bind failed (*BindError, or no connection), or the options
// make no sense. An error with one: every connection ended, and none was to come again.
func Run(ctx context.Context, o Options) (*Result, error) {
	o, err := o.withDefaults()
	if err != nil {
		return nil, err
	}
	r := &run{opt: o, numbering: newNumbering(o.Prefix), begin: make(chan struct{}), seen: make(map[string]bool)}
	for _, s := range o.Texts {
		t, err := newTemplate(o, s)
		if err != nil {
			return nil, err
		}
		r.templates = append(r.templates, t)
	}
	r.perBind = o.Rate / float64(o.Binds)
	r.next.Store(o.First)
	if r.limit = r.numbering.space; o.Count > 0 {
		r.limit = o.First + o.Count
	}
	r.ledger = newLedger(o.First, r.limit, o.KeepIDs)

	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	binds := make([]*bind, 0, o.Binds+o.Receivers)
	for i := range o.Receivers {
		binds = append(binds, newBind(r, i, false))
	}
	for i := range o.Binds {
		binds = append(binds, newBind(r, i, true))
	}
	// One after the other: a server that limits binds refuses the same one every time.
	for _, b := range binds {
		if err := r.firstBind(ctx, b); err != nil {
			for _, b := range binds {
				if b.conn != nil {
					b.conn.Close()
				}
			}
			return nil, err
		}
	}

	var wg sync.WaitGroup
	for _, b := range binds {
		wg.Go(func() { r.keep(ctx, b) })
	}
	used := cpuTime()
	begun := time.Now()
	r.start = begun.UnixNano()
	r.lastAnswer.Store(r.start)
	r.lastReceipt.Store(r.start)
	if o.Duration > 0 {
		r.until = r.start + int64(o.Duration)
	}
	close(r.begin)

	err = r.watch(ctx, binds, begun)
	r.stopping.Store(true)
	stopped := make(chan struct{})
	go func() {
		wg.Wait()
		close(stopped)
	}()
	r.poke(binds, stopped, cancel)
	return r.result(binds, cpuTime()-used), err
}

// firstBind binds once; with Reconnect it tries until ctx ends, unless it is refused.
func (r *run) firstBind(ctx context.Context, b *bind) error {
	for {
		err := b.connect(ctx)
		var refused *BindError
		if err == nil || !r.opt.Reconnect || errors.As(err, &refused) {
			return err
		}
		r.note(err)
		if !pause(ctx, reconnectPause) {
			return err
		}
	}
}

// reconnectPause is short: a test that kills the server wants to be back at once.
const reconnectPause = 50 * time.Millisecond

// keep runs one bind, and its successors.
func (r *run) keep(ctx context.Context, b *bind) {
	defer b.dead.Store(true)
	<-r.begin
	for {
		err := b.work()
		b.lost()
		if err != nil {
			r.note(err)
		}
		if r.stopping.Load() || !r.opt.Reconnect {
			return
		}
		for {
			if !pause(ctx, reconnectPause) || r.stopping.Load() {
				return
			}
			if err := b.connect(ctx); err == nil {
				break
			} else if ctx.Err() == nil {
				r.note(err)
			}
		}
		r.reconnects.Add(1)
	}
}

// pause waits d; false when ctx ended first.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}

// watch returns when all is sent, answered and, if so wanted, receipted.
func (r *run) watch(ctx context.Context, binds []*bind, begun time.Time) error {
	const look = 5 * time.Millisecond
	tick := time.NewTicker(look)
	defer tick.Stop()
	told, enough := begun, r.opt.Enough
	var cut, quiet, complete time.Time // when ctx ended; all was answered; all receipts were there
	for {
		now := time.Now()
		if r.opt.Progress != nil && now.Sub(told) >= r.opt.Every {
			told = now
			r.opt.Progress(r.progress(binds, now.Sub(begun), !quiet.IsZero()))
		}
		open, dead := int64(0), true
		over := r.over(now.UnixNano()) // before open is read, see fill
		for _, b := range binds {
			open += b.open.Load()
			dead = dead && b.dead.Load()
		}
		switch {
		case dead && ctx.Err() == nil && !(over && open == 0 && (!r.opt.Receipts || r.awaited.Load() <= 0)):
			return fmt.Errorf("smppload: every connection ended: %s", r.firstError())
		case ctx.Err() != nil:
			if cut.IsZero() {
				cut = now
				r.stopSending.Store(true)
			}
			if open == 0 || now.Sub(cut) > 2*time.Second {
				return nil
			}
		case over && open == 0:
			if quiet.IsZero() {
				quiet = now
			}
			if !r.opt.Receipts {
				return nil
			}
			if r.awaited.Load() > 0 {
				complete = time.Time{}
				last := time.Unix(0, r.lastReceipt.Load())
				if last.Before(quiet) {
					last = quiet
				}
				if now.Sub(last) > r.opt.Settle {
					return nil
				}
				break
			}
			if complete.IsZero() {
				complete = now
			}
			if now.Sub(complete) >= r.opt.Linger {
				return nil
			}
		}
		select {
		case <-tick.C:
		case <-enough:
			enough = nil
			r.stopSending.Store(true)
		case <-ctx.Done():
			<-tick.C
		}
	}
}

// poke wakes the binds from their reads until all are gone; after a while it does not
// ask any more.
func (r *run) poke(binds []*bind, stopped chan struct{}, cancel func()) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	patience := time.Now().Add(5 * time.Second)
	// Once: a bind that has seen it is waiting for its unbind_resp.
	for _, b := range binds {
		if c := b.live.Load(); c != nil {
			(*c).SetReadDeadline(time.Unix(1, 0))
		}
	}
	for {
		select {
		case <-stopped:
			return
		case <-tick.C:
			if time.Now().After(patience) {
				cancel()
				for _, b := range binds {
					if c := b.live.Load(); c != nil {
						(*c).Close()
					}
				}
			}
		}
	}
}

// over reports whether nothing more is to be submitted.
func (r *run) over(now int64) bool {
	return r.stopSending.Load() || r.stopping.Load() || r.until != 0 && now >= r.until || r.next.Load() >= r.limit
}

// claim takes up to n numbers for the caller to send.
func (r *run) claim(n int) (first uint64, got int) {
	for {
		first = r.next.Load()
		if first >= r.limit {
			return first, 0
		}
		got = int(min(uint64(n), r.limit-first))
		if r.next.CompareAndSwap(first, first+uint64(got)) {
			return first, got
		}
	}
}

func (r *run) add(c *counters) {
	for _, p := range [...]struct {
		to *atomic.Uint64
		n  uint64
	}{
		{&r.sent, c.sent}, {&r.accepted, c.accepted}, {&r.refused, c.refused}, {&r.uncertain, c.uncertain},
		{&r.receipts, c.receipts}, {&r.dup, c.dup}, {&r.strange, c.strange}, {&r.unsought, c.unsought},
		{&r.ofUncertain, c.ofUncertain}, {&r.intermediate, c.intermediate}, {&r.mo, c.mo},
	} {
		if p.n != 0 {
			p.to.Add(p.n)
		}
	}
	if c.awaited != 0 {
		r.awaited.Add(c.awaited)
	}
}

// note keeps the reasons for which connections ended, each once, the first twenty.
func (r *run) note(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := err.Error(); !r.seen[s] && len(r.errors) < 20 {
		r.seen[s] = true
		r.errors = append(r.errors, s)
	}
}

func (r *run) firstError() string {
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.errors) == 0 {
		return "no reason given"
	}
	return r.errors[0]
}

func (r *run) progress(binds []*bind, elapsed time.Duration, settling bool) Progress {
	p := Progress{
		Elapsed: elapsed, Settling: settling,
		Sent: r.sent.Load(), Accepted: r.accepted.Load(), Refused: r.refused.Load(), Uncertain: r.uncertain.Load(),
		Receipts: r.receipts.Load(), Dup: r.dup.Load(), Awaited: uint64(max(0, r.awaited.Load())),
	}
	for _, b := range binds {
		if b.bound.Load() {
			p.Bound++
		}
	}
	return p
}

// result sums up. No bind's goroutine runs any more.
func (r *run) result(binds []*bind, used time.Duration) *Result {
	res := &Result{
		Sent: r.sent.Load(), Accepted: r.accepted.Load(), Refused: r.refused.Load(), Uncertain: r.uncertain.Load(),
		Statuses: make(map[string]uint64), ReceiptStates: make(map[string]uint64),
		Receipts: r.receipts.Load(), Intermediate: r.intermediate.Load(), Dup: r.dup.Load(),
		Strange: r.strange.Load(), Unsought: r.unsought.Load(), OfUncertain: r.ofUncertain.Load(),
		MobileOriginate: r.mo.Load(),
		Binds:           r.opt.Binds, Window: r.opt.Window, Reconnects: r.reconnects.Load(),
		Errors: r.errors, Ledger: r.ledger,
	}
	var resp, lag histogram
	for _, b := range binds {
		resp.merge(&b.resp)
		lag.merge(&b.receiptLag)
		for st, n := range b.statuses {
			res.Statuses[st.String()] += n
		}
		for st, n := range b.states {
			res.ReceiptStates[st] += *n
		}
	}
	res.RespMs, res.ReceiptMs = resp.percentiles(), lag.percentiles()
	if r.opt.Receipts {
		// Counted from the books, not from the running totals: what is reported missing
		// is what the ledger can name.
		for _, o := range r.ledger.All {
			if o.Has(Accepted) && !o.Has(Receipted) {
				res.Missing++
			}
		}
	}
	res.Seconds = time.Duration(r.lastAnswer.Load() - r.start).Seconds()
	if res.Seconds > 0 {
		res.SentPerS = float64(res.Sent) / res.Seconds
		res.AcceptedPerS = float64(res.Accepted) / res.Seconds
	}
	if s := time.Duration(r.lastReceipt.Load() - r.start).Seconds(); s > 0 {
		res.ReceiptsPerS = float64(res.Receipts) / s
	}
	res.CPU.Seconds = used.Seconds()
	if res.Sent > 0 {
		res.CPU.UsPerMessage = float64(used.Microseconds()) / float64(res.Sent)
	}
	return res
}

// cpuTime is what this process has used, in user and system mode.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
