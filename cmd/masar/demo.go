package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"masar/config"
	"masar/smpp/smpptest"
)

func newDemo() *cobra.Command {
	var path string
	cmd := &cobra.Command{
		Use:   "demo [--config FILE]",
		Short: "Run the gateway with all its carriers simulated",
		Long: `Runs the gateway as masar serve does and plays each carrier of the configuration: on
the carrier's own address, with its system_id, its password and its forms of message
ids. It is how make run works, and it tries your own configuration before a real carrier
sees it. Only carriers on loopback addresses and without TLS are played.

One line is printed for each message that reaches a carrier, its parts put together.
Ctrl-C stops everything.`,
		Example: `  masar demo --config examples/masar.yaml
  masar send --to 966501234567 --text "مرحبا"     # in a second terminal`,
		GroupID: groupPeers,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			ctx := cmd.Context()
			if os.Getenv("MAKELEVEL") != "" {
				// make may be killed without a word to us: nothing of it may stay behind.
				var cancel context.CancelFunc
				ctx, cancel = untilParentEnds(ctx)
				defer cancel()
			}
			return demo(ctx, path, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	cmd.Flags().StringVarP(&path, "config", "c", "examples/masar.yaml", "the configuration file")
	return cmd
}

// What a simulated carrier of the demonstration is like: near enough to a real one that
// latency and the way back can be seen, quick enough that nobody waits.
const (
	demoLatency       = 20 * time.Millisecond
	demoReceiptDelay  = 500 * time.Millisecond
	demoReceiptJitter = 200 * time.Millisecond
)

func demo(ctx context.Context, path string, out, errs io.Writer) error {
	// The warnings are left to masar check: passwords of simulated carriers are no secret.
	d, _, err := newDaemon(path, errs)
	if err != nil {
		return err
	}
	if err := playable(d.cfg); err != nil {
		return configError(fmt.Errorf("%s: %w", path, err))
	}
	if err := portsFree(d.cfg); err != nil {
		return err
	}
	lines := &lineWriter{w: out}
	carriers, stop, err := playCarriers(d.cfg, lines)
	if err != nil {
		return err
	}
	// The carriers go last: until then the gateway's windows can finish.
	defer stop()
	var deaf func()
	defer func() {
		if deaf != nil {
			deaf()
		}
	}()
	d.started = func() {
		deaf = handsets(d.cfg.Data, carriers, d.log)
		if d.allBound(ctx) {
			lines.say(demoBanner(d.cfg))
		}
	}
	return d.run(ctx)
}

// playable tells why a configuration's carriers cannot be played here.
func playable(c *config.Config) error {
	for _, k := range c.Carriers {
		if k.TLS != nil && k.TLS.Enabled {
			return fmt.Errorf("carrier %s speaks TLS: it cannot be simulated here; run masar serve", k.Name)
		}
		for _, addr := range carrierAddrs(&k) {
			host, _, err := net.SplitHostPort(addr)
			if err != nil {
				return fmt.Errorf("carrier %s: %w", k.Name, err)
			}
			if ip := net.ParseIP(host); host != "localhost" && (ip == nil || !ip.IsLoopback()) {
				return fmt.Errorf("carrier %s is at %s, not on this machine: it cannot be simulated here; run masar serve", k.Name, addr)
			}
		}
	}
	return nil
}

func carrierAddrs(k *config.Carrier) []string {
	var all []string
	seen := map[string]bool{}
	for _, a := range append(append([]string{}, k.Addrs...), k.ReceiverAddrs...) {
		if !seen[a] {
			seen[a] = true
			all = append(all, a)
		}
	}
	return all
}

// portsFree names every address that is taken, before anything is started.
func portsFree(c *config.Config) error {
	var taken []string
	try := func(what, addr string) {
		l, err := net.Listen("tcp", addr)
		if err == nil {
			l.Close()
			return
		}
		if errors.Is(err, syscall.EADDRINUSE) {
			taken = append(taken, fmt.Sprintf("%s (%s) is in use", addr, what))
		} else {
			taken = append(taken, fmt.Sprintf("%s (%s): %v", addr, what, err))
		}
	}
	for _, l := range c.Listen {
		try("clients", l.Addr)
	}
	if addr := adminListen(&c.Admin); addr != "" {
		try("admin", addr)
	}
	for _, k := range c.Carriers {
		for _, addr := range carrierAddrs(&k) {
			try("carrier "+k.Name, addr)
		}
	}
	if len(taken) == 0 {
		return nil
	}
	return fmt.Errorf("%s; is another make run going? ss -ltnp shows whose it is", strings.Join(taken, ", "))
}

// playCarriers starts a simulator for each carrier; stop ends them all.
func playCarriers(c *config.Config, lines *lineWriter) (all []playedCarrier, stop func(), err error) {
	stop = func() {
		var wg sync.WaitGroup
		for _, s := range all {
			wg.Go(func() {
				patience, cancel := context.WithTimeout(context.Background(), 2*time.Second)
				s.smsc.Unbind(patience)
				cancel()
				s.smsc.Close()
			})
		}
		wg.Wait()
	}
	for _, k := range c.Carriers {
		s, err := smpptest.NewSMSC(smpptest.SMSCOptions{
			SystemID:    "sim",
			Credentials: map[string]string{k.SystemID: k.Password.Reveal()},
			Latency:     demoLatency, Jitter: demoLatency / 2,
			ReceiptDelay: demoReceiptDelay, ReceiptJitter: demoReceiptJitter,
			IDResp: demoIDForm(k.Receipts.ID.Resp), IDReceipt: demoIDForm(k.Receipts.ID.Receipt),
			DefaultAlphabet: alphabet(k.DefaultAlphabet), Zone: k.Receipts.Zone.Location(),
			OnMessage: func(m *smpptest.Message) { lines.print(false, messageEvent(k.Name, m)) },
		})
		if err != nil {
			stop()
			return nil, nil, err
		}
		all = append(all, playedCarrier{k.Name, k.SystemID, s})
		for _, addr := range carrierAddrs(&k) {
			if _, err := s.Listen(addr); err != nil {
				stop()
				return nil, nil, err
			}
		}
	}
	return all, stop, nil
}

// demoIDForm is how the simulator writes ids where the gateway expects that form.
func demoIDForm(form string) smpptest.IDForm {
	if form == "hex" {
		return smpptest.IDForm{Base: smpptest.HexUpper}
	}
	return smpptest.IDForm{Base: smpptest.Decimal}
}

// allBound waits until every carrier has a bind; false when ctx ended first.
func (d *daemon) allBound(ctx context.Context) bool {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		unbound := 0
		for _, c := range d.gw.Carriers() {
			if c.Binds == 0 {
				unbound++
			}
		}
		if unbound == 0 {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-tick.C:
		}
	}
}

// demoBanner tells what runs and the next command.
func demoBanner(c *config.Config) string {
	var b strings.Builder
	fmt.Fprintf(&b, "\nThe gateway takes clients on %s", addrsOf(c.Listen))
	if addr := adminListen(&c.Admin); addr != "" {
		fmt.Fprintf(&b, "; metrics, health and API: http://%s", addr)
	}
	b.WriteString("\nSimulated carriers: ")
	for i, k := range c.Carriers {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%s %s", k.Name, strings.Join(carrierAddrs(&k), " "))
	}
	b.WriteString("\n\nIn a second terminal:\n\n  ")
	b.WriteString(sendCommand(c))
	b.WriteString("\n\nCtrl-C stops everything.\n\n")
	b.WriteString(noticeSteps(c))
	return b.String()
}

func addrsOf(ls []config.Listen) string {
	var all []string
	for _, l := range ls {
		all = append(all, l.Addr)
	}
	return strings.Join(all, ", ")
}

// sendCommand is the shortest masar send that works with this configuration.
func sendCommand(c *config.Config) string {
	cmd := os.Args[0] + " send"
	if len(c.Listen) > 0 && c.Listen[0].Addr != runAddr {
		cmd += " --addr " + c.Listen[0].Addr
	}
	known := false
	for _, a := range c.Accounts {
		known = known || a.SystemID == runSystemID
	}
	if !known && len(c.Accounts) > 0 {
		a := c.Accounts[0]
		cmd += " --system-id " + a.SystemID + " --password-file FILE"
		if a.DefaultSender != "" {
			cmd += " --from " + a.DefaultSender
		}
	}
	return cmd + ` --to 966501234567 --text "تنتهي صلاحية هويتكم الوطنية خلال ٣٠ يوما"`
}

// noticeSteps are the commands that enrol somebody and send him a notice, and those of
// reminders, campaigns and stops, where the configuration is the example's.
func noticeSteps(c *config.Config) string {
	granted := false
	for _, a := range c.Accounts {
		granted = granted || a.SystemID == runNoticesID && slices.Contains(a.Services, runService)
	}
	if c.Catalogue == nil || !granted {
		return ""
	}
	more := ""
	if slices.ContainsFunc(c.Accounts, func(a config.Account) bool { return a.SystemID == runAgency && a.Agency == runAgency }) {
		more = fmt.Sprintf(`A reminder before a date, a campaign to many, a stop of all of it:

  %[1]s reminders put ID-1 --to 966501234567 --service IDREN --expires 1449-10-22 --calendar hijri --param document=1234
  %[1]s campaign create --name storm --service WEATH --account %[2]s --pace 3
  %[1]s campaign upload 1 examples/people.csv && %[1]s campaign check 1
  %[1]s campaign start 1 && %[1]s campaign status 1 --follow
  %[1]s stop --agency %[2]s --dry-run

`, os.Args[0], runAgency)
	}
	return fmt.Sprintf(`A service's notices go only to who is enrolled in it. Refused, enrolled, delivered:

  %[1]s send --service %[2]s --to 966501234567 --text "دخول جديد إلى حسابكم"
  %[1]s subs add 966501234567 --service %[2]s --verified
  %[1]s send --service %[2]s --to 966501234567 --text "دخول جديد إلى حسابكم"

`, os.Args[0], runService) + more
}

// untilParentEnds ends with ctx, or when the process that started us has.
func untilParentEnds(ctx context.Context) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	parent := os.Getppid()
	go func() {
		tick := time.NewTicker(200 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case <-tick.C:
				if os.Getppid() != parent {
					cancel()
					return
				}
			}
		}
	}()
	return ctx, cancel
}

// say writes text between two lines of the log.
func (l *lineWriter) say(s string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	io.WriteString(l.w, s)
}
