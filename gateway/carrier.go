package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"masar/queue"
	"masar/ratelimit"
	"masar/route"
	"masar/smpp"
	"masar/smpp/pdu"
)

// carrier is one carrier as it runs: its binds, its dispatcher and its correlator. Its
// options never change; a Reload that changes them makes a new carrier, which begins when
// the old one has ended.
type carrier struct {
	g       *Gateway
	name    string
	number  uint32
	opt     *Carrier
	log     *slog.Logger
	met     carrierMetrics
	binders []*smpp.Client
	corr    *correlator

	ctx      context.Context // ends the binders
	cancel   context.CancelFunc
	wg       sync.WaitGroup // binders
	stations sync.WaitGroup // dispatcher, correlator and its reader
	over     chan struct{}  // closed by stop: the dispatcher is to end
	wake     chan struct{}  // buffer 1: the dispatcher has a reason to look

	// Read by other carriers' dispatchers and by those who watch, hence atomic.
	outstanding atomic.Int64  // submit_sm without an answer
	unrecorded  atomic.Int64  // parts answered ESME_ROK whose record is not on disk yet
	begun       atomic.Int64  // messages taken of which not all parts are sent
	window      atomic.Int64  // slots of all bound transmitters
	downSince   atomic.Int64  // unix nanoseconds; 0: bound
	nextToken   atomic.Int64  // unix nanoseconds when the pace has a token again
	shut        atomic.Bool   // closed by its hours; the dispatcher's
	rate        atomic.Uint64 // the pace's rate, as bits of a float64; the dispatcher's
	heard       atomic.Bool   // an answer that was no throttle came since the dispatcher looked
	climbing    climbView     // how the climb after an outage stands
	bulkHeld    atomic.Bool   // bulk waits for Release

	mu       sync.Mutex // short, never over I/O
	binds    []*bind    // those that can transmit
	told     []queue.Lane
	isTold   map[queue.Lane]bool
	returned []returnedPart // to be sent again
	cleared  []*flight      // their Sending step is durable
	taken    []*flight      // their Sending step is taken back, durably
	throttle int            // throttled answers since the dispatcher looked
	rested   []queue.Lane   // what was set aside of them is on disk
	outage   outage
	halted   bool // nothing new is taken
	started  bool // start has begun the goroutines
	stopped  bool // stop has been called: start does nothing

	d     dispatcher
	ratio receiptRatio // the gauges' own
	wire  aloft        // what is out, for whoever counts it
}

func newCarrier(g *Gateway, o *Carrier, number uint32) *carrier {
	c := &carrier{
		g: g, name: o.Name, number: number, opt: o, log: g.log.With(slog.String("carrier", o.Name)),
		met: g.met.carrier(o.Name), wake: make(chan struct{}, 1), over: make(chan struct{}), isTold: map[queue.Lane]bool{},
	}
	c.ctx, c.cancel = context.WithCancel(g.ctx)
	c.downSince.Store(time.Now().UnixNano())
	c.outage = outage{began: time.Now(), first: true, steady: o.Recovery.After}
	c.climbing.share.Store(math.Float64bits(1))
	c.corr = newCorrelator(c)
	c.d = dispatcher{
		c: c, chooser: newChooser(g.opt.Setup.Shares), share: 1,
		pace: ratelimit.NewPace(ratelimit.PaceOptions{PerSecond: o.Throughput, Burst: o.Burst}),
	}
	c.rate.Store(math.Float64bits(o.Throughput))
	if o.Hours != nil {
		open, _ := o.Hours.Open(time.Now())
		c.shut.Store(!open)
	}
	return c
}

// sameAs tells whether a Reload leaves this carrier as it is.
func (c *carrier) sameAs(o *Carrier) bool { return o.Identity != "" && o.Identity == c.opt.Identity }

// start begins the carrier's work, unless it was stopped before that.
func (c *carrier) start() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.stopped {
		return
	}
	c.started = true
	c.station(func() { c.d.run(c.g.ctx) })
	c.station(func() { c.corr.run(c.g.ctx) })
	c.station(func() { c.corr.read(c.g.ctx) })
	for _, b := range []struct {
		n    int
		mode pdu.Command
	}{
		{c.opt.Transceivers, pdu.CmdBindTransceiver},
		{c.opt.Transmitters, pdu.CmdBindTransmitter},
		{c.opt.Receivers, pdu.CmdBindReceiver},
	} {
		addrs := c.opt.Addrs
		if b.mode == pdu.CmdBindReceiver {
			addrs = c.opt.ReceiveAddrs
		}
		for i := range b.n {
			to := addrs
			if c.opt.AllAddrs {
				to = []string{addrs[i%len(addrs)]}
			}
			c.binder(b.mode, to)
		}
	}
}

// station runs one of the carrier's goroutines: the gateway waits for it, and so does stop.
func (c *carrier) station(run func()) {
	c.stations.Add(1)
	c.g.wg.Go(func() {
		defer c.stations.Done()
		run()
	})
}

// binder holds one bind, for as long as the carrier runs.
func (c *carrier) binder(mode pdu.Command, addrs []string) {
	o := c.opt
	b := &bind{c: c, mode: mode}
	client := smpp.NewClient(smpp.ClientOptions{
		Addrs: addrs, LocalAddr: o.LocalAddr, TLS: o.TLS, Mode: mode,
		SystemID: o.SystemID, Password: o.Password, SystemType: o.SystemType, AddressRange: o.AddressRange,
		InterfaceVersion: o.Version, AddrTON: o.RangeTON, AddrNPI: o.RangeNPI,
		Timers: o.Timers, Limits: smpp.Limits{MaxPDU: c.g.opt.MaxPDU, Window: receiptWindow, Send: o.Window},
		Backoff: o.Backoff, Log: c.log, Observe: c.met.observer,
		Handler: b, Bound: b.bound, Dial: o.dial(&c.g.opt),
		Down: func(err error, retryIn time.Duration) { c.down(mode, err, retryIn) },
	})
	c.binders = append(c.binders, client)
	c.wg.Go(func() { client.Run(c.ctx) })
}

// dial is how the carrier is reached: its own way, the gateway's, or nil, the network.
func (o *Carrier) dial(g *Options) func(ctx context.Context, network, addr string) (net.Conn, error) {
	if o.Dial != nil {
		return o.Dial
	}
	return g.Dial
}

// laneHas is told by the feed. Runs on the committer.
func (c *carrier) laneHas(l queue.Lane) {
	c.mu.Lock()
	if c.isTold[l] {
		c.mu.Unlock()
		return
	}
	c.isTold[l] = true
	c.told = append(c.told, l)
	c.mu.Unlock()
	c.wakeUp()
}

// unrecordedWindows bounds how many answers may not be on disk yet, in windows: a crash
// sends that many again beside what was on the wire.
const unrecordedWindows = 4

func (c *carrier) mostUnrecorded() int64 { return unrecordedWindows * c.window.Load() }

// recorded is told of each answer that is on disk, or never will be.
func (c *carrier) recorded() {
	if c.unrecorded.Add(-1) == c.mostUnrecorded()-1 {
		c.wakeUp()
	}
}

// paceNow is the submit_sm a second that the carrier is given; 0: no limit.
func (c *carrier) paceNow() float64 { return math.Float64frombits(c.rate.Load()) }

func (c *carrier) wakeUp() {
	select {
	case c.wake <- struct{}{}:
	default:
	}
}

// stirGroups wakes every dispatcher that shares a group with c: its state has changed.
func (g *Gateway) stirGroups(c *carrier) {
	c.wakeUp()
	w := g.world.Load()
	if w == nil {
		return
	}
	for _, grp := range w.groups {
		if grp.index(c) < 0 {
			continue
		}
		for _, m := range grp.members {
			m.carrier.wakeUp()
		}
	}
}

// soon is within what a carrier counts as able: 50 ms (flow.md 2).
const soon = 50 * time.Millisecond

func (c *carrier) health(now time.Time) route.Health {
	h := route.Health{Paused: c.shut.Load() || c.g.halts.set.Load().stopsCarrier(c.number), PerSecond: c.opt.Throughput}
	if since := c.downSince.Load(); since != 0 {
		h.DownSince = time.Unix(0, since)
		return h
	}
	h.Bound = true
	h.Able = c.outstanding.Load() < c.window.Load() && c.nextToken.Load() <= now.Add(soon).UnixNano()
	return h
}

// halt lets the carrier take nothing new; messages of which some parts are sent go on.
func (c *carrier) halt() {
	c.mu.Lock()
	c.halted = true
	c.mu.Unlock()
	c.wakeUp()
}

// quiet tells whether nothing is on the wire and nothing half sent.
func (c *carrier) quiet() bool { return c.outstanding.Load() == 0 && c.begun.Load() == 0 }

// stop ends the carrier: it takes nothing new, lets the windows empty for at most drain,
// unbinds, and returns when its goroutines have ended. What is left unanswered then goes
// the way of its route's policy. ctx ended means: without waiting.
func (c *carrier) stop(ctx context.Context, drain time.Duration) error {
	c.halt()
	wctx, cancel := context.WithTimeout(ctx, drain)
	tick := time.NewTicker(5 * time.Millisecond)
	for !c.quiet() && wctx.Err() == nil {
		select {
		case <-tick.C:
		case <-wctx.Done():
		}
	}
	tick.Stop()
	cancel()

	c.mu.Lock()
	if c.stopped {
		c.mu.Unlock()
		c.stations.Wait()
		return nil
	}
	c.stopped = true
	binders, started := c.binders, c.started
	c.mu.Unlock()
	uctx, cancel := context.WithTimeout(ctx, unbindWait)
	defer cancel()
	var wg sync.WaitGroup
	for _, b := range binders {
		wg.Go(func() { b.Unbind(uctx) })
	}
	wg.Wait()
	c.cancel()
	err := waitFor(&c.wg, unbindWait)
	// No session is left to tell the correlator anything. It ends first: were a message let
	// go whose answer it has not recorded, the record would come too late.
	c.corr.finish()
	if started {
		late := time.NewTimer(correlatorWait)
		defer late.Stop()
		select {
		case <-c.corr.over:
		case <-late.C:
			err = errors.Join(err, errors.New("answers are still being recorded"))
		}
	}
	close(c.over)
	c.wakeUp()
	return errors.Join(err, waitFor(&c.stations, unbindWait))
}

// unbindWait is how long a peer has to answer unbind.
const unbindWait = 2 * time.Second

// correlatorWait is how long the store has to take the last answers.
const correlatorWait = 2 * time.Second

// closeCarriers stops all of them at once. The windows have had their time before.
func closeCarriers(ctx context.Context, all map[string]*carrier) error {
	var mu sync.Mutex
	var errs []error
	var wg sync.WaitGroup
	for _, c := range all {
		wg.Go(func() {
			if err := c.stop(ctx, 0); err != nil {
				mu.Lock()
				errs = append(errs, fmt.Errorf("%s: %w", c.name, err))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
