package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/spf13/cobra"

	"masar/admin"
	"masar/config"
	"masar/gateway"
	"masar/queue/pebble"
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
		Args:    cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if path == "" {
				return usagef("--config FILE is needed")
			}
			return serve(cmd.Context(), path, cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "", "the configuration file")
	return cmd
}

// daemon is one run of `masar serve`.
type daemon struct {
	path string
	log  *slog.Logger
	gw   *gateway.Gateway

	registry *prometheus.Registry
	started  func() // called once submits are taken; nil: nobody asks

	mu  sync.Mutex // one reload at a time
	cfg *config.Config
	por *ported
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
	log := newLogger(&cfg.Log, errs)
	// The live heap is small beside what a busy second allocates: left alone the collector
	// would run dozens of times a second. Beside the heap the queue's engine takes some
	// 150 MiB of its own, together at most 400 MiB. GOGC and GOMEMLIMIT still rule.
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(300)
	}
	if os.Getenv("GOMEMLIMIT") == "" {
		debug.SetMemoryLimit(224 << 20)
	}
	return &daemon{path: path, log: log, cfg: cfg, por: &ported{log: log}, registry: prometheus.NewRegistry()}, warnings, nil
}

func (d *daemon) run(ctx context.Context) error {
	cfg := d.cfg
	s, err := setup(cfg)
	if err != nil {
		return configError(err)
	}
	if err := d.por.load(&cfg.Ported); err != nil {
		return configError(err)
	}
	s.Ported = d.por.lookup(&cfg.Ported)
	ls, err := listeners(cfg)
	if err != nil {
		return configError(err)
	}
	registry := d.registry
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), d.por)

	began := time.Now()
	store, err := pebble.Open(ctx, pebble.Options{
		Dir: filepath.Join(cfg.Data, "queue"), Node: uint16(cfg.NodeID), Log: d.log, Registerer: registry,
		MinFree: offWhenZero(int64(cfg.Store.MinFree)), Ballast: offWhenZero(int64(cfg.Store.Ballast)),
		Room: cfg.Store.Room, OutboxMax: cfg.Store.OutboxMax, History: cfg.Store.History,
		InboxSteps: cfg.Store.Inbox, ReadAhead: cfg.Store.ReadAhead, ReadAheadBytes: int64(cfg.Store.ReadAheadBytes),
	})
	if err != nil {
		return fmt.Errorf("queue: %w", err)
	}
	gw, err := gateway.Start(ctx, gateway.Options{
		Store: store, Full: store.Full, Log: d.log, Registerer: registry, Listeners: ls,
		SystemID: cfg.Node, Timers: serverTimers(cfg), MaxPDU: int(cfg.MaxPDU), Drain: cfg.Drain, OutboxTTL: cfg.Store.OutboxTTL,
		ShowText: cfg.Log.ShowText, ShowNumbers: cfg.Log.ShowNumbers, Setup: s,
	})
	if err != nil {
		return errors.Join(err, store.Close())
	}
	d.gw = gw
	web, err := admin.Start(admin.Options{
		Listen: adminListen(&cfg.Admin), Socket: filepath.Join(cfg.Data, admin.SocketName), Token: cfg.Admin.Token.Reveal(),
		Gateway: gw, Gatherer: registry, Reload: d.reload, Log: d.log,
	})
	if err != nil {
		return errors.Join(err, gw.Close(ended()), store.Close())
	}
	d.log.Info("ready", slog.Duration("after", time.Since(began)), slog.Int("accounts", len(cfg.Accounts)),
		slog.Int("carriers", len(cfg.Carriers)), slog.Int("routes", len(cfg.Routes)), slog.String("data", cfg.Data))
	if d.started != nil {
		d.started()
	}
	d.wait(ctx)
	return d.stop(gw, web, store)
}

// wait returns when the process is asked to stop; until then SIGHUP reloads.
func (d *daemon) wait(ctx context.Context) {
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	var again <-chan time.Time
	if every := d.cfg.Ported.Reload; every > 0 && d.cfg.Ported.File != "" {
		tick := time.NewTicker(every)
		defer tick.Stop()
		again = tick.C
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-again:
			d.mu.Lock()
			if err := d.por.load(&d.cfg.Ported); err != nil {
				d.log.Error("ported numbers not reloaded, the old table stays", slog.Any("err", err))
			}
			d.mu.Unlock()
		case <-hup:
			changes, err := d.reload(ctx)
			if err != nil {
				d.log.Error("configuration not applied, the old one stays", slog.Any("err", err))
				continue
			}
			d.log.Info("configuration applied", slog.String("changes", strings.Join(changes, "; ")))
		}
	}
}

// stop runs the way down. A second signal skips the waiting, not the store.
func (d *daemon) stop(gw *gateway.Gateway, web *admin.Server, store *pebble.Store) error {
	d.log.Info("stopping")
	ctx, cancel := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer cancel()
	err := gw.Close(ctx)
	wctx, done := context.WithTimeout(ctx, 2*time.Second)
	defer done()
	err = errors.Join(err, web.Close(wctx))
	closed := make(chan error, 1)
	go func() { closed <- store.Close() }()
	select {
	case e := <-closed:
		err = errors.Join(err, e)
	case <-time.After(30 * time.Second):
		err = errors.Join(err, errors.New("the queue did not close within 30s"))
	}
	if err == nil {
		d.log.Info("stopped")
	}
	return err
}

// reload applies the file as it is now: all of it or nothing.
func (d *daemon) reload(ctx context.Context) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	cfg, warnings, err := loadConfig(d.path)
	if err != nil {
		return nil, err
	}
	s, err := setup(cfg)
	if err != nil {
		return nil, err
	}
	next, err := d.por.prepare(&cfg.Ported)
	if err != nil {
		return nil, err
	}
	s.Ported = d.por.lookup(&cfg.Ported)
	if err := d.gw.Reload(ctx, s); err != nil {
		return nil, err
	}
	d.por.swap(next)
	changes := []string{}
	for _, c := range config.Diff(d.cfg, cfg) {
		line := c.String()
		if needsRestart(line) {
			line += " (takes effect at the next start)"
		}
		changes = append(changes, line)
	}
	for _, w := range warnings {
		changes = append(changes, warningPrefix+w.String())
	}
	d.cfg = cfg
	return changes, nil
}

// warningPrefix marks, among the lines a reload prints, those that are no change.
const warningPrefix = "warning: "

// needsRestart: what is opened once at start.
func needsRestart(change string) bool {
	for _, key := range []string{"node", "data", "listen", "admin", "store", "log", "max_pdu", "drain", "timers"} {
		if rest, ok := strings.CutPrefix(strings.TrimLeft(change, "+-~ "), key); ok && (rest == "" || strings.ContainsAny(rest[:1], ".[: ")) {
			return true
		}
	}
	return false
}

func newLogger(l *config.Log, w io.Writer) *slog.Logger {
	var level slog.Level
	if err := level.UnmarshalText([]byte(l.Level)); err != nil {
		level = slog.LevelInfo
	}
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

// offWhenZero: 0 switches it off in the configuration, in the engine it asks for the default.
func offWhenZero(n int64) int64 {
	if n == 0 {
		return -1
	}
	return n
}

func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}
