package gateway

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"masar/queue"
	"masar/ratelimit"
	"masar/route"
	"masar/smpp"
	"masar/smpp/pdu"
	"masar/smpp/receipt"
)

// carrier is one carrier as it runs: its binds, its dispatcher and its correlator. Its
// options never change; a Reload that changes them makes a new carrier.
type carrier struct {
	g       *Gateway
	name    string
	number  uint32
	opt     *Carrier
	log     *slog.Logger
	met     carrierMetrics
	binders []*smpp.Client
	corr    *correlator

	ctx    context.Context // ends the binders
	cancel context.CancelFunc
	wg     sync.WaitGroup // binders
	wake   chan struct{}  // buffer 1: the dispatcher has a reason to look

	// Read by other carriers' dispatchers, hence atomic.
	outstanding atomic.Int64 // submit_sm without an answer
	window      atomic.Int64 // slots of all bound transmitters
	downSince   atomic.Int64 // unix nanoseconds; 0: bound
	nextToken   atomic.Int64 // unix nanoseconds when the pace has a token again
	paused      atomic.Bool

	mu       sync.Mutex // short, never over I/O
	binds    []*bind    // those that can transmit
	told     []queue.Lane
	isTold   map[queue.Lane]bool
	returned []*flightPart // to be sent again
	cleared  []*flight     // their Sending step is durable
	throttle int           // throttled answers since the dispatcher looked
	stopping bool          // nothing new is taken

	d dispatcher
}

// bind is one bind to a carrier, through all its sessions, of which it is the
// smpp.Handler.
type bind struct {
	c       *carrier
	mode    pdu.Command
	current atomic.Pointer[smpp.Session] // the latest; nil before the first
	view    receipt.View                 // the reader's: receipts are read without allocating
}

// free is how many more submit_sm the bind takes now.
func (b *bind) free() int {
	if s := b.current.Load(); s != nil {
		return s.Free()
	}
	return 0
}

// up tells whether the bind can transmit now.
func (b *bind) up() bool {
	s := b.current.Load()
	return s != nil && (s.State() == smpp.BoundTX || s.State() == smpp.BoundTRX)
}

func newCarrier(g *Gateway, o *Carrier, number uint32) *carrier {
	c := &carrier{
		g: g, name: o.Name, number: number, opt: o, log: g.log.With(slog.String("carrier", o.Name)),
		met: g.met.carrier(o.Name), wake: make(chan struct{}, 1), isTold: map[queue.Lane]bool{},
	}
	c.ctx, c.cancel = context.WithCancel(g.ctx)
	c.downSince.Store(time.Now().UnixNano())
	c.corr = newCorrelator(c)
	c.d = dispatcher{
		c: c, chooser: newChooser(g.opt.Setup.Shares),
		pace: ratelimit.NewPace(ratelimit.PaceOptions{PerSecond: o.Throughput, Burst: o.Burst}),
	}
	return c
}

// sameAs tells whether a Reload leaves this carrier as it is.
func (c *carrier) sameAs(o *Carrier) bool { return o.Identity != "" && o.Identity == c.opt.Identity }

func (c *carrier) start() {
	c.g.wg.Go(func() { c.d.run(c.g.ctx) })
	c.g.wg.Go(func() { c.corr.run(c.g.ctx) })
	c.g.wg.Go(func() { c.corr.read(c.g.ctx) })
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
		Handler: b, Bound: b.bound, Dial: c.g.opt.Dial,
		Down: func(err error, retryIn time.Duration) { c.down(mode, err, retryIn) },
	})
	c.binders = append(c.binders, client)
	c.wg.Go(func() { client.Run(c.ctx) })
}

// receiptWindow is how many receipts of one bind may wait for their commit; the next is
// answered ESME_RTHROTTLED and the carrier sends it again.
const receiptWindow = 1000

// bound is called on the new session's reader, before anything else arrives.
func (b *bind) bound(s *smpp.Session) {
	c := b.c
	b.current.Store(s)
	c.met.up(b.mode).Inc()
	c.log.Info("bound to the carrier", slog.String("bind", b.mode.String()), slog.String("addr", s.RemoteAddr().String()), slog.Uint64("session", s.ID()))
	if b.mode == pdu.CmdBindReceiver {
		return
	}
	c.mu.Lock()
	c.binds = append(slices.Clone(c.binds), b)
	c.window.Store(int64(len(c.binds) * c.opt.Window))
	c.downSince.Store(0)
	c.mu.Unlock()
	c.g.stirGroups(c)
}

// down is told each time a bind is lost or refused.
func (c *carrier) down(mode pdu.Command, err error, retryIn time.Duration) {
	var refusedBind *smpp.BindError
	attrs := []slog.Attr{slog.String("bind", mode.String()), slog.Any("err", err), slog.Duration("retry_in", retryIn)}
	if errors.As(err, &refusedBind) {
		c.met.bindsRefused.WithLabelValues(refusedBind.Status.String()).Inc()
		level := slog.LevelWarn
		if refusedBind.Status == pdu.ESME_RINVPASWD || refusedBind.Status == pdu.ESME_RINVSYSID {
			level = slog.LevelError // waiting cannot cure it: somebody must look
		}
		c.log.LogAttrs(context.Background(), level, "carrier refused the bind", attrs...)
		return
	}
	c.log.LogAttrs(context.Background(), slog.LevelWarn, "carrier bind is down", attrs...)
}

// Ended is called once, when the session is over.
func (b *bind) Ended(s *smpp.Session, unanswered []any, err error) {
	c := b.c
	c.mu.Lock()
	if i := slices.Index(c.binds, b); i >= 0 {
		c.binds = slices.Delete(slices.Clone(c.binds), i, i+1)
		c.window.Store(int64(len(c.binds) * c.opt.Window))
		if len(c.binds) == 0 {
			c.downSince.Store(time.Now().UnixNano())
		}
	}
	c.mu.Unlock()
	c.met.up(b.mode).Dec()
	c.outstanding.Add(-int64(len(unanswered)))
	c.corr.lost(unanswered)
	if len(unanswered) > 0 {
		c.log.Warn("carrier session ended with submits unanswered", slog.Uint64("session", s.ID()), slog.Int("unanswered", len(unanswered)), slog.Any("err", err))
	}
	c.g.stirGroups(c)
}

// Response is the carrier's answer to a submit_sm.
func (b *bind) Response(_ *smpp.Session, token any, a smpp.Answer) {
	p := token.(*flightPart)
	if a.Late {
		b.c.met.late.Inc()
		b.c.corr.late(p, a)
		return
	}
	b.c.outstanding.Add(-1)
	b.c.corr.answer(p, a)
	b.c.wakeUp()
}

// Request is the carrier's request: a receipt, a mobile-originated message, an alert.
func (b *bind) Request(_ *smpp.Session, h pdu.Header, body pdu.Body, r smpp.Reply) {
	switch h.Command {
	case pdu.CmdDeliverSM:
		b.deliver(body.(*pdu.DeliverSM), r)
	case pdu.CmdDataSM:
		b.deliverData(body.(*pdu.DataSM), r)
	case pdu.CmdAlertNotification:
		b.c.met.alerts.Inc()
	default:
		r.SendNack(pdu.ESME_RINVCMDID)
	}
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
	h := route.Health{Paused: c.paused.Load(), PerSecond: c.opt.Throughput}
	if since := c.downSince.Load(); since != 0 {
		h.DownSince = time.Unix(0, since)
		return h
	}
	h.Bound = true
	if c.opt.Hours != nil {
		if open, _ := c.opt.Hours.Open(now); !open {
			h.Paused = true
		}
	}
	h.Able = c.outstanding.Load() < c.window.Load() && c.nextToken.Load() <= now.Add(soon).UnixNano()
	return h
}

// stop takes nothing new, lets the windows empty until ctx ends and unbinds.
func (c *carrier) stop(ctx context.Context) error {
	c.mu.Lock()
	c.stopping = true
	c.mu.Unlock()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for c.outstanding.Load() > 0 && ctx.Err() == nil {
		select {
		case <-tick.C:
		case <-ctx.Done():
		}
	}
	uctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 2*time.Second)
	defer cancel()
	var wg sync.WaitGroup
	for _, b := range c.binders {
		wg.Go(func() { b.Unbind(uctx) })
	}
	wg.Wait()
	c.cancel()
	return waitFor(&c.wg, 2*time.Second)
}

func closeCarriers(ctx context.Context, all map[string]*carrier) error {
	var mu sync.Mutex
	var errs []error
	var wg sync.WaitGroup
	for _, c := range all {
		wg.Go(func() {
			if err := c.stop(ctx); err != nil {
				mu.Lock()
				errs = append(errs, errors.New(c.name+": "+err.Error()))
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return errors.Join(errs...)
}
