// Package gateway carries a message from a client's submit_sm to its receipt.
//
//	server.go     a client's bind -> its account                           on the session's reader
//	account.go    what an account may do, its rate and its sessions
//	admission.go  submit_sm -> a refusal (refusals.go), or store.Commit    on the session's reader
//	candidate.go  what a message is asked, however it came; rules.go: what its service asks
//	clearance.go  the same asked again when it leaves
//	world.go      number, account, sender -> the group of carriers; reload.go changes it all
//	carrier.go    one carrier's binds (bind.go), goroutines, start and stop
//	recover.go    a carrier's return after an outage
//	dispatch.go   store -> one carrier's windows, choose.go says which lane  one goroutine a carrier
//	flight.go     a claimed message -> parts on the wire, until a step ends it
//	merge.go      identical notices, of which the first stands for all
//	attempt.go    message -> the parts one carrier wants (a brain)
//	answers.go    submit_sm_resp -> what it means (a brain)
//	correlate.go  a carrier's answers and receipts, one after the other    one goroutine a carrier
//	settle.go     an answer -> the step it asks for
//	sent.go       the sent parts that are in memory
//	match.go      a receipt -> its part -> the message's end or its outcome
//	outcome.go    receipts of parts -> the message's state (a brain)
//	outbox.go     outbox -> deliver_sm to the account                      one goroutine an account
//	mobile.go     mobile-originated deliver_sm -> an account's outbox      one goroutine
//	inbox.go      messages to short codes -> the registry, and answers     one goroutine
//	notice.go     messages that the gateway makes itself, jobnotice.go those of jobs
//	job.go        ends of jobs' messages -> Jobs                           one goroutine
//	jobfresh.go   what such a message says when it leaves
//	desk.go       query_sm, cancel_sm, replace_sm                          one goroutine
//	clockwork.go  due, expired, overdue, orphaned                          one goroutine a job
//	halt.go       halts, haltfile.go where they are kept, haltset.go what they hold (a brain)
//	haltside.go   a halt -> messages set aside, and back                   one goroutine
//	haltcount.go  counts of a scope, haltcancel.go its end
//	unknown.go    unknown subscribers -> the registry                      one goroutine
//	uncertain.go  submits without an answer, for an operator
//	drain.go      how long a backlog takes, for an operator
//
// The stations never call each other: each reads from and writes to queue.Store and is
// woken by its feed. This file starts and stops them.
package gateway

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"masar/queue"
	"masar/smpp"
)

// A Gateway is one running message path. Start makes it, Close ends it.
type Gateway struct {
	opt   Options
	store queue.Store
	log   *slog.Logger
	met   *metrics

	world   atomic.Pointer[world] // accounts, carriers, routes: swapped whole by Reload
	servers []*smpp.Server        // one a listener
	auth    *authenticator
	merges  *merges // notices that stand for others
	desk    *desk
	mobile  *mobile
	inbox   *inbox
	teller  *teller

	readiness atomic.Int32 // see Ready
	closing   atomic.Bool  // no new submits

	unsure  uncertainList
	unasked trouble // the registry fails
	unsaid  trouble // a job fails to say what its message says
	unknown *unknownNotes

	halts halts

	gone *account // stands for accounts that left the configuration

	reloading sync.Mutex // one Reload at a time
	leaving   leaving    // carriers that a Reload took out
	ctx       context.Context
	cancel    context.CancelFunc
	wg        sync.WaitGroup
	stops     []stopStep
	closed    sync.Once
	closeErr  error
}

// stopStep is one named step of the way down; steps run backwards, each within its own deadline.
type stopStep struct {
	name  string
	limit time.Duration
	run   func(ctx context.Context) error
}

func (g *Gateway) onStop(name string, limit time.Duration, run func(ctx context.Context) error) {
	g.stops = append(g.stops, stopStep{name, limit, run})
}

// Start opens the listeners, binds to the carriers and carries messages until Close. The
// store stays the caller's: he closes it after Close. An error leaves nothing running.
func Start(ctx context.Context, o Options) (*Gateway, error) {
	o.setDefaults()
	g := &Gateway{opt: o, store: o.Store, log: o.Log, met: newMetrics(o.Registerer)}
	g.ctx, g.cancel = context.WithCancel(context.WithoutCancel(ctx))
	if err := g.start(ctx); err != nil {
		return nil, errors.Join(err, g.Close(ctx))
	}
	return g, nil
}

func (g *Gateway) start(ctx context.Context) error {
	// The stations stop last of all: until then answers and receipts are still recorded.
	g.onStop("stations", 5*time.Second, func(context.Context) error {
		g.cancel()
		return waitFor(&g.wg, 5*time.Second)
	})
	// Before a carrier is bound: where a port is taken nothing has been sent.
	listeners, err := g.listen()
	if err != nil {
		return err
	}
	g.auth = newAuthenticator()
	g.merges = newMerges()
	g.desk = newDesk(g)
	g.mobile = newMobile(g)
	g.inbox = newInbox(g)
	g.unknown = newUnknownNotes(g)
	if g.teller, err = newTeller(ctx, g); err != nil {
		return fmt.Errorf("number of the jobs' outbox: %w", err)
	}
	g.gone = newAccount(g, goneAccount(&g.opt), 0)
	w, err := g.build(ctx, g.opt.Setup, nil)
	if err != nil {
		return err
	}
	g.world.Store(w)
	if err := g.startHalts(ctx, w); err != nil {
		return err
	}
	g.store.Groups(func(group uint16) bool { return g.world.Load().groups[group] != nil })
	g.onStop("carriers", 3*unbindWait, func(ctx context.Context) error {
		return errors.Join(closeCarriers(ctx, g.world.Load().carriers), waitFor(&g.leaving.wg, 3*unbindWait))
	})
	for _, a := range w.accounts {
		a.start()
	}
	for _, c := range w.carriers {
		c.start()
	}
	g.wg.Go(g.desk.run)
	g.wg.Go(g.mobile.run)
	g.wg.Go(g.inbox.run)
	g.wg.Go(g.unknown.run)
	g.wg.Go(g.teller.run)
	g.startClockwork()
	g.store.Watch(g.laneHas, g.outboxHas)

	g.onStop("client sessions", 2*time.Second, g.unbindClients)
	for i, ln := range listeners {
		l := &g.opt.Listeners[i]
		g.log.Info("listening for clients", slog.String("addr", ln.Addr().String()), slog.Bool("tls", l.TLS != nil))
		g.opt.listening(ln.Addr())
		srv := smpp.NewServer(g.serverOptions(l))
		g.servers = append(g.servers, srv)
		g.wg.Go(func() {
			if err := srv.Serve(ln); err != nil && !errors.Is(err, smpp.ErrServerClosed) {
				g.log.Error("listener ended", slog.String("addr", l.Addr), slog.Any("err", err))
			}
		})
	}
	g.onStop("windows", g.opt.Drain, g.drained)
	g.onStop("no new submits", time.Second, func(context.Context) error {
		g.closing.Store(true)
		g.reloading.Lock() // a Reload that began before has ended, another will not begin
		defer g.reloading.Unlock()
		for _, c := range g.world.Load().carriers {
			c.halt() // or a long queue would keep the windows full
		}
		return nil
	})
	g.onStop("stop listening", time.Second, func(context.Context) error {
		for _, s := range g.servers {
			s.CloseListeners()
		}
		return nil
	})
	g.onStop("readiness off", time.Second, func(context.Context) error {
		g.readiness.Store(notReady)
		return nil
	})
	g.readiness.Store(ready)
	return nil
}

// listen opens every listener; the next step up the way down closes them.
func (g *Gateway) listen() ([]net.Listener, error) {
	var open []net.Listener
	g.onStop("listeners", time.Second, func(context.Context) error {
		for _, ln := range open {
			ln.Close() // again, where a server has closed it
		}
		return nil
	})
	for i := range g.opt.Listeners {
		ln, err := net.Listen("tcp", g.opt.Listeners[i].Addr)
		if err != nil {
			return nil, fmt.Errorf("listen on %s: %w", g.opt.Listeners[i].Addr, err)
		}
		open = append(open, ln)
	}
	return open, nil
}

const (
	notReady int32 = iota
	ready
)

// Ready tells whether submits are taken: nil, or why not.
func (g *Gateway) Ready() error {
	if g.readiness.Load() != ready {
		return errors.New("starting or shutting down")
	}
	if submits, _ := g.opt.Full(); submits {
		return errors.New("the disk is full: submits are refused")
	}
	return nil
}

// Close stops everything in order and returns when nothing of it runs any more. The first
// call counts; ctx ended means: skip the waiting, not the steps.
func (g *Gateway) Close(ctx context.Context) error {
	g.closed.Do(func() {
		var errs []error
		for i := len(g.stops) - 1; i >= 0; i-- {
			step := g.stops[i]
			sctx, cancel := context.WithTimeout(ctx, step.limit)
			began := time.Now()
			err := runStep(sctx, step)
			cancel()
			if err != nil {
				g.log.Warn("stop step failed", slog.String("step", step.name), slog.Duration("after", time.Since(began)), slog.Any("err", err))
				errs = append(errs, fmt.Errorf("%s: %w", step.name, err))
			}
		}
		g.cancel()
		g.closeErr = errors.Join(errs...)
	})
	return g.closeErr
}

// runStep runs a step; one that ignores its deadline is left behind a second later.
func runStep(ctx context.Context, s stopStep) error {
	done := make(chan error, 1)
	go func() { done <- s.run(ctx) }()
	grace := time.NewTimer(s.limit + time.Second)
	defer grace.Stop()
	select {
	case err := <-done:
		return err
	case <-grace.C:
		return fmt.Errorf("still running after %s", s.limit)
	}
}

func waitFor(wg *sync.WaitGroup, limit time.Duration) error {
	done := make(chan struct{})
	go func() { wg.Wait(); close(done) }()
	t := time.NewTimer(limit)
	defer t.Stop()
	select {
	case <-done:
		return nil
	case <-t.C:
		return errors.New("goroutines still running")
	}
}

// unbindClients says unbind to every client and closes what is left at the deadline.
func (g *Gateway) unbindClients(ctx context.Context) error {
	var all sync.WaitGroup
	for _, s := range g.servers {
		all.Go(func() {
			s.Unbind(ctx)
			s.Close()
		})
	}
	all.Wait()
	return nil
}

// drained waits until no submit and no deliver_sm is unanswered and no carrier's window has
// anything outstanding, or ctx ends.
func (g *Gateway) drained(ctx context.Context) error {
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		open := g.met.openSubmits.Load() + g.met.openDeliveries.Load()
		for _, c := range g.world.Load().carriers {
			open += c.outstanding.Load() + c.begun.Load()
		}
		open += g.leaving.open()
		if open == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			// What is still open is resolved by the sessions' end: uncertain, or never accepted.
			g.log.Warn("shutdown did not wait for all windows", slog.Int64("outstanding", open))
			return nil
		case <-tick.C:
		}
	}
}

// laneHas is the store's feed: a lane has something. Runs on the committer.
func (g *Gateway) laneHas(l queue.Lane) {
	if grp := g.world.Load().groups[l.Group()]; grp != nil {
		for i := range grp.members {
			grp.members[i].carrier.laneHas(l)
		}
	}
}

// supersede lets receipts of what a carrier has taken of a message decide nothing any
// more: the message begins anew elsewhere.
func (g *Gateway) supersede(carrier uint32, id queue.ID) {
	for _, c := range g.world.Load().carriers {
		if c.number == carrier {
			c.corr.put(event{kind: attemptEnded, message: id})
		}
	}
}

// outboxHas is the store's feed: an account's outbox has something. Runs on the committer.
func (g *Gateway) outboxHas(account uint32) {
	if account == g.teller.number {
		g.teller.wakeUp()
		return
	}
	if a := g.world.Load().byNumber[account]; a != nil {
		a.pump.wakeUp()
	}
}
