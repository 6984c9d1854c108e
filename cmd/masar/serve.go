package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"masar/admin"
	"masar/config"
	"masar/gateway"
	"masar/queue/pebble"
	"masar/service"
)

func newServe() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:     "serve --config FILE",
		Short:   "Run the gateway",
		GroupID: groupGateway,
		Long: `Takes binds of clients and holds binds to carriers, until SIGTERM or SIGINT: then it
stops accepting, lets outstanding windows finish, unbinds, and closes the queue. A second
signal skips the waiting. SIGHUP applies the changed file, as masar reload does.`,
		Example: "  masar check masar.yaml && masar serve --config masar.yaml",
		RunE: func(cmd *cobra.Command, args []string) error {
			path, err := configFile(path, args)
			if err != nil {
				return err
			}
			return serve(cmd.Context(), path, cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "", "the configuration file")
	return cmd
}

// daemon is one run of `masar serve`.
type daemon struct {
	path  string
	log   *slog.Logger
	level *slog.LevelVar // of log; a reload may change it
	gw    *gateway.Gateway

	registry *prometheus.Registry
	started  func() // called once submits are taken; nil: nobody asks

	por       *ported
	certs     certificates
	people    service.Registry // nil: a plain gateway
	personKey *service.Key
	jobs      *ownJobs // nil: no reminders and no campaigns
	test      *testNumbers
	blocked   blocked
	inForce   atomic.Pointer[face]             // what HTTP asks for at each request
	outboxMax atomic.Pointer[map[string]int64] // an outbox's bound, by account; "": of accounts that are gone

	mu      sync.Mutex     // one reload at a time; guards what follows
	cfg     *config.Config // in force
	files   map[string]string
	rearmed chan struct{} // told of each reload; one waits
}

func serve(ctx context.Context, path string, errs io.Writer) error {
	d, warnings, err := newDaemon(path, errs)
	if err != nil {
		return err
	}
	for _, w := range warnings {
		d.log.Warn("configuration", slog.String("at", w.String()))
	}
	return d.run(ctx)
}

// newDaemon reads the configuration; nothing runs yet.
func newDaemon(path string, errs io.Writer) (*daemon, []config.Warning, error) {
	cfg, warnings, err := loadConfig(path)
	if err != nil {
		return nil, nil, configError(err)
	}
	level := new(slog.LevelVar)
	log := newLogger(&cfg.Log, level, errs)
	// The live heap is small beside what a busy second allocates: left alone the collector
	// would run dozens of times a second. Beside the heap the queue's engine takes some
	// 150 MiB of its own, together at most 400 MiB. GOGC and GOMEMLIMIT still rule.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(300)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		limit := int64(224 << 20)
		if wantsRegistry(cfg) {
			limit += standingOctets * int64(cfg.Subscribers.Cache)
		}
		if wantsJobs(cfg) {
			limit += jobsOctets
		}
		debug.SetMemoryLimit(limit)
	}
	return &daemon{
		path: path, log: log, level: level, cfg: cfg, por: &ported{log: log}, registry: prometheus.NewRegistry(),
		rearmed: make(chan struct{}, 1),
	}, warnings, nil
}

func (d *daemon) run(ctx context.Context) error {
	// From here to the process's end: one that comes while the gateway starts is obeyed
	// once it has, and one that comes while it drains must not kill it in mid-drain.
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	// Whoever reads the log may end first, as tee does at the same Ctrl-C: a line that
	// cannot be written must not kill what is about to stop in order.
	signal.Ignore(syscall.SIGPIPE)
	cfg := d.cfg
	var err error
	if d.test, err = newTestNumbers(); err != nil {
		return err
	}
	defer d.test.close()
	next, err := d.prepare(cfg)
	if err != nil {
		return configError(err)
	}
	if err := d.por.refresh(cfg); err != nil {
		return configError(err)
	}
	ls, certs, err := listeners(cfg)
	if err != nil {
		return configError(err)
	}
	d.certs, d.files = certs, next.files
	d.boundOutboxes(cfg)
	next.test()
	d.inForce.Store(next.face)
	registry := d.registry
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), d.por)

	began := time.Now()
	so := storeOptions(cfg)
	so.Log, so.Registerer = d.log, registry
	so.OutboxMaxOf = d.outboxMaxOf
	store, err := pebble.Open(ctx, so)
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	down := shutdown{{"the queue", store.Close}}
	if err := d.openPeople(ctx, cfg); err != nil {
		return errors.Join(err, down.all())
	}
	if d.people != nil {
		down = append(down, step{"the registry of subscribers", d.people.Close})
	}
	if err := d.openJobs(cfg, store); err != nil {
		return errors.Join(err, down.all())
	}
	down = append(down, d.jobs.steps()...)
	// Before a carrier is bound: where a port is taken nothing has been sent.
	ao := d.adminOptions(cfg)
	ao.Gatherer, ao.Registerer, ao.Reload, ao.Log = registry, registry, d.reload, d.log
	web, err := admin.Listen(ao)
	if err != nil {
		return errors.Join(err, down.all())
	}
	gateOptions := gatewayOptions(cfg, next.setup, ls)
	gateOptions.Store, gateOptions.Full, gateOptions.Log, gateOptions.Registerer = store, store.Full, d.log, registry
	gateOptions.Registry, gateOptions.Jobs = d.people, d.jobs.forGateway(d)
	gw, err := gateway.Start(ctx, gateOptions)
	if err != nil {
		return errors.Join(listenError(err, cfg), web.Close(ctx), down.all())
	}
	d.gw = gw
	if err := d.jobs.start(gw); err != nil {
		return errors.Join(err, d.stop(gw, web, down, hup))
	}
	web.Serve(gw)
	d.log.Info("ready", slog.Duration("after", time.Since(began)), slog.Int("accounts", len(cfg.Accounts)),
		slog.Int("carriers", len(cfg.Carriers)), slog.Int("routes", len(cfg.Routes)), slog.String("data", cfg.Data))
	if d.started != nil {
		d.started()
	}
	d.wait(ctx, hup)
	return d.stop(gw, web, down, hup)
}

// openPeople opens the registry of subscribers where the configuration wants one, and lays
// the blocklist file over it: before anything can be sent.
func (d *daemon) openPeople(ctx context.Context, cfg *config.Config) error {
	d.blocked.log = d.log
	if !wantsRegistry(cfg) {
		return nil
	}
	o := registryOptions(cfg)
	o.Log, o.Registerer = d.log, d.registry
	var err error
	if d.people, d.personKey, err = openRegistry(ctx, cfg, o); err != nil {
		return err
	}
	d.blocked.registry = d.people
	if err := d.blocked.refresh(ctx, cfg); err != nil {
		return errors.Join(configError(err), d.people.Close())
	}
	return nil
}

// shutdown is what is closed at the end, the last first. A step that does not end in time
// does not keep the next from running.
type shutdown []step

type step struct {
	name  string
	close func() error
}

const stepLimit = 30 * time.Second

func (s shutdown) all() (err error) {
	for _, one := range slices.Backward(s) {
		closed := make(chan error, 1)
		go func() { closed <- one.close() }()
		select {
		case e := <-closed:
			err = errors.Join(err, e)
		case <-time.After(stepLimit):
			err = errors.Join(err, fmt.Errorf("%s did not close within %s", one.name, stepLimit))
		}
	}
	return err
}

// listenError names the key whose address could not be listened on; another error stays
// as it is.
func listenError(err error, c *config.Config) error {
	var op *net.OpError
	if !errors.As(err, &op) || op.Op != "listen" || op.Addr == nil {
		return err
	}
	for i := range c.Listen {
		at, _ := net.ResolveTCPAddr("tcp", c.Listen[i].Addr)
		if at == nil || at.String() != op.Addr.String() {
			continue
		}
		said := fmt.Errorf("listen[%d].addr: %s: %w", i, c.Listen[i].Addr, errno(op.Err))
		if errors.Is(err, syscall.EADDRINUSE) {
			said = fmt.Errorf("%w; is another gateway running? ss -ltnp shows whose it is", said)
		}
		return said
	}
	return err
}

// errno is what the kernel said, without the name of the call.
func errno(err error) error {
	var no syscall.Errno
	if errors.As(err, &no) {
		return no
	}
	return err
}

// storeOptions are what a configuration says about the queue. The bounds of outboxes are
// boundOutboxes' to say.
func storeOptions(c *config.Config) pebble.Options {
	return pebble.Options{
		Dir: filepath.Join(c.Data, "queue"), Node: uint16(c.NodeID),
		MinFree: given(int64(c.Store.MinFree)), Ballast: given(int64(c.Store.Ballast)),
		Room: c.Store.Room, History: c.Store.History,
		InboxSteps: c.Store.Inbox, ReadAhead: c.Store.ReadAhead, ReadAheadBytes: int64(c.Store.ReadAheadBytes),
	}
}

// gatewayOptions are what a configuration says about the gateway.
func gatewayOptions(c *config.Config, s gateway.Setup, ls []gateway.Listener) gateway.Options {
	return gateway.Options{
		SystemID: c.Node, Listeners: ls, Timers: serverTimers(c), MaxPDU: int(c.MaxPDU), Drain: given(c.Drain),
		HaltFile:  filepath.Join(c.Data, "halts.json"),
		OutboxTTL: c.Store.OutboxTTL, ShowText: c.Log.ShowText, ShowNumbers: c.Log.ShowNumbers, Setup: s,
	}
}

// adminOptions are what a configuration says about HTTP, and what the daemon has for it.
func (d *daemon) adminOptions(c *config.Config) admin.Options {
	o := admin.Options{
		Listen: adminListen(&c.Admin), Socket: filepath.Join(c.Data, admin.SocketName), Token: c.Admin.Token.Reveal(),
		Country:  c.Country,
		Bulk:     admin.Bulk{Dir: c.BulkDir(), Max: int64(c.API.Bulk.Max), Keep: c.API.Bulk.Keep, Zone: c.TimeZone.Location()},
		Files:    admin.CampaignFiles{Dir: c.CampaignsDir(), Max: int64(c.Campaigns.Max), MinFree: given(int64(c.Store.MinFree))},
		Registry: d.people, PersonKey: d.personKey,
		Keys:      func() *admin.Keys { return d.inForce.Load().keys },
		Catalogue: func() *service.Catalogue { return d.inForce.Load().catalogue },
		Codes:     func() admin.Codes { return d.inForce.Load().codes },
	}
	if d.jobs != nil {
		o.Reminders, o.Campaigns = d.jobs.reminders, d.jobs.campaigns
	}
	return o
}

// wait returns when the process is asked to stop; until then SIGHUP reloads, and the table
// of ported numbers is read again in its rhythm.
func (d *daemon) wait(ctx context.Context, hup <-chan os.Signal) {
	ported, blocked := newRhythm(), newRhythm()
	defer ported.tick.Stop()
	defer blocked.tick.Stop()
	arm := func() {
		a, b := d.rhythms()
		ported.set(a)
		blocked.set(b)
	}
	arm()
	for {
		select {
		case <-ctx.Done():
			return
		case <-d.rearmed:
			arm()
		case <-ported.tick.C:
			d.mu.Lock()
			if err := d.por.refresh(d.cfg); err != nil {
				d.log.Error("ported numbers not reloaded, the old table stays", slog.Any("err", err))
			}
			d.mu.Unlock()
		case <-blocked.tick.C:
			d.mu.Lock()
			if err := d.blocked.refresh(ctx, d.cfg); err != nil {
				d.log.Error("blocklist file not read, what it said before stays", slog.Any("err", err))
			}
			d.mu.Unlock()
		case <-hup:
			changes, err := d.reload(ctx)
			if err != nil {
				for line := range strings.Lines(err.Error()) { // a mistake each
					d.log.Error("configuration not applied, the old one stays", slog.String("err", strings.TrimSpace(line)))
				}
				continue
			}
			changed := changes[:0]
			for _, c := range changes {
				if w, is := strings.CutPrefix(c, warningPrefix); is {
					d.log.Warn("configuration", slog.String("at", w))
				} else {
					changed = append(changed, c)
				}
			}
			d.log.Info("configuration applied", slog.String("changes", strings.Join(changed, "; ")))
		}
	}
}

// rhythm is how often a file is looked at.
type rhythm struct {
	tick  *time.Ticker
	every time.Duration
}

func newRhythm() *rhythm {
	r := &rhythm{tick: time.NewTicker(time.Hour)}
	r.tick.Stop()
	return r
}

// set begins anew only where the rhythm has changed: a reload begins no new hour.
func (r *rhythm) set(every time.Duration) {
	switch {
	case every == r.every:
	case every == 0:
		r.tick.Stop()
	default:
		r.tick.Reset(every)
	}
	r.every = every
}

// rhythms are how often the table of ported numbers and the blocklist file are read
// again; 0: never.
func (d *daemon) rhythms() (ported, blocked time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.cfg.Ported.File != "" {
		ported = d.cfg.Ported.Reload
	}
	if d.cfg.Blocklist.File != "" {
		blocked = d.cfg.Blocklist.Reload
	}
	return ported, blocked
}

// stop runs the way down. A second signal skips the waiting, not the store.
func (d *daemon) stop(gw *gateway.Gateway, web *admin.Server, down shutdown, hup <-chan os.Signal) error {
	d.log.Info("stopping")
	stopped := make(chan struct{})
	defer close(stopped)
	go func() {
		for {
			select {
			case <-hup:
				d.log.Warn("SIGHUP ignored: the gateway is stopping")
			case <-stopped:
				return
			}
		}
	}()
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	err := errors.Join(d.jobs.stop(), gw.Close(ctx))
	wctx, done := context.WithTimeout(ctx, 2*time.Second)
	defer done()
	err = errors.Join(err, web.Close(wctx))
	err = errors.Join(err, down.all())
	if err == nil {
		d.log.Info("stopped")
	}
	return err
}

// newLogger makes the log; level is set to what l says, and may be set again.
func newLogger(l *config.Log, level *slog.LevelVar, w io.Writer) *slog.Logger {
	level.Set(logLevel(l))
	o := &slog.HandlerOptions{Level: level}
	if l.Format == "json" {
		return slog.New(slog.NewJSONHandler(w, o))
	}
	return slog.New(slog.NewTextHandler(w, o))
}

func adminListen(a *config.Admin) string {
	if a.Listen == "off" {
		return ""
	}
	return a.Listen
}

func logLevel(l *config.Log) slog.Level {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		return slog.LevelInfo
	}
	return level
}
