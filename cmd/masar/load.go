package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"masar/smpp/smppload"
)

func newLoad() *cobra.Command {
	var o smppload.Options
	var (
		passwordFile, textFile string
		asJSON, noWait         bool
		pids                   []string
	)
	cmd := &cobra.Command{
		Use:   "load",
		Short: "Load a gateway and count what comes back",
		Long: `Submits messages over several binds and measures: messages per second, the time to
submit_sm_resp, statuses; with --receipts also which receipts came, came twice, or never
came. Each message has a number, in its destination and its text, so nothing is mixed up.

It ends after --count messages or --duration, once all are answered and receipted. The
exit code is 1 when a receipt is missing, strange or unsought, or a message was refused
or left unanswered.`,
		Example: `  masar load --count 10000 --binds 4 --window 100 --receipts
  masar load --addr 127.0.0.1:2775 --system-id load --password secret \
    --rate 5000 --duration 60s --json`,
		GroupID: groupPeers,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			// What stands for "the default" in the room below was typed here.
			if o.Binds < 1 || o.Window < 1 || o.Receivers < 0 {
				return usagef("--binds %d --receivers %d --window %d: at least one bind, and a window from 1", o.Binds, o.Receivers, o.Window)
			}
			if err := hostPort("addr", o.Addr); err != nil {
				return err
			}
			if o.Password, err = clientPassword(o.Password, passwordFile, runPassword); err != nil {
				return err
			}
			if textFile != "" {
				b, err := os.ReadFile(textFile)
				if err != nil {
					return usagef("--text-file: %w", err)
				}
				for _, line := range strings.Split(string(b), "\n") {
					if line = strings.TrimSuffix(line, "\r"); line != "" {
						o.Texts = append(o.Texts, line)
					}
				}
			}
			if o.Count == 0 && o.Duration == 0 {
				o.Count = 1000
			}
			leaveCores()
			if noWait {
				o.Settle = time.Nanosecond
			}
			return load(cmd.Context(), o, asJSON, pids, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&o.Addr, "addr", runAddr, "the gateway's host:port")
	f.StringVar(&o.SystemID, "system-id", runLoadID, "account to bind as")
	f.StringVar(&o.Password, "password", "", "its password; better --password-file or MASAR_PASSWORD")
	f.StringVar(&passwordFile, "password-file", "", "file whose first line is the password")
	f.IntVar(&o.Binds, "binds", 1, "connections that submit")
	f.IntVar(&o.Receivers, "receivers", 0, "connections that only receive; the others are then transmitters")
	f.IntVar(&o.Window, "window", 10, "messages unanswered on each connection")
	f.Float64Var(&o.Rate, "rate", 0, "messages per second of all connections; 0 is as fast as the windows allow")
	f.Uint64Var(&o.Count, "count", 0, "messages in all (default 1000 without --duration)")
	f.DurationVar(&o.Duration, "duration", 0, "how long to submit")
	f.BoolVar(&o.Receipts, "receipts", false, "ask for receipts and wait for them")
	f.DurationVar(&o.Settle, "settle", 30*time.Second, "give up on receipts when none has come for so long")
	f.DurationVar(&o.Linger, "linger", 0, "after the last receipt, wait so long for duplicates")
	f.BoolVar(&noWait, "no-wait", false, "with --receipts: end without waiting for them")
	f.BoolVar(&o.Reconnect, "reconnect", false, "make a lost connection again and go on")
	f.StringVar(&o.From, "from", runSender, "sender")
	f.StringVar(&o.Prefix, "prefix", "9665", "how destinations begin; the message's number fills 12 digits")
	f.Uint64Var(&o.First, "first", 0, "the first message's number")
	f.StringArrayVar(&o.Texts, "text", nil, "text, {n} for the number; may be given again (default three notices, two of them Arabic)")
	f.StringVar(&textFile, "text-file", "", "file with one text a line")
	f.StringVar(&o.ServiceType, "service", "", "service_type")
	f.Uint8Var(&o.Priority, "priority", 0, "priority_flag, 0 to 3")
	f.BoolVar(&asJSON, "json", false, "print one JSON object")
	f.StringArrayVar(&pids, "cpu-of", nil, "NAME=PID of a process whose CPU is to be measured too; may be given again")
	return cmd
}

// loadReport is what --json prints.
type loadReport struct {
	*smppload.Result
	CPUOf map[string]smppload.CPU `json:"cpu_of,omitempty"`
}

func load(ctx context.Context, o smppload.Options, asJSON bool, pids []string, out, errs io.Writer) error {
	watched, err := watchCPU(pids)
	if err != nil {
		return err
	}
	tty := false
	if f, ok := errs.(*os.File); ok && term.IsTerminal(int(f.Fd())) {
		tty = true
		var last smppload.Progress
		o.Progress = func(p smppload.Progress) {
			fmt.Fprintf(errs, "\r\x1b[K%s", progressLine(p, last))
			last = p
		}
	}
	res, err := smppload.Run(ctx, o)
	if tty {
		fmt.Fprint(errs, "\r\x1b[K")
	}
	if res == nil {
		var refused *smppload.BindError
		if errors.As(err, &refused) {
			return fmt.Errorf("%s: %w", o.Addr, err)
		}
		if strings.HasPrefix(err.Error(), "smppload: ") {
			return usagef("%s", strings.TrimPrefix(err.Error(), "smppload: "))
		}
		return fmt.Errorf("%w; is the gateway running? make run starts one", err)
	}
	report := loadReport{Result: res, CPUOf: watched.since(res.Sent)}
	if asJSON {
		enc := json.NewEncoder(out)
		if e := enc.Encode(report); e != nil {
			return e
		}
	} else if e := printLoad(out, report, o); e != nil {
		return e
	}
	if err != nil {
		return err
	}
	return verdict(res)
}

// verdict says what is wrong with a run; nil when all that was sent is accounted for.
func verdict(r *smppload.Result) error {
	var wrong []string
	for _, w := range []struct {
		n    uint64
		what string
	}{
		{r.Refused, "refused"}, {r.Uncertain, "never answered"}, {r.Missing, "receipts missing"},
		{r.Strange, "receipts with another message_id"}, {r.Unsought, "receipts of messages not sent"},
		{r.Dup, "receipts twice"},
	} {
		if w.n > 0 {
			wrong = append(wrong, fmt.Sprintf("%d %s", w.n, w.what))
		}
	}
	if len(wrong) == 0 {
		return nil
	}
	return fmt.Errorf("of %d messages: %s", r.Sent, strings.Join(wrong, ", "))
}

func progressLine(p, last smppload.Progress) string {
	span := (p.Elapsed - last.Elapsed).Seconds()
	per := func(now, before uint64) string {
		if span <= 0 {
			return "-"
		}
		return fmt.Sprintf("%.0f/s", float64(now-before)/span)
	}
	s := fmt.Sprintf("%5.0fs  binds %d  sent %d  accepted %d (%s)", p.Elapsed.Seconds(), p.Bound, p.Sent, p.Accepted, per(p.Accepted, last.Accepted))
	if p.Refused > 0 {
		s += fmt.Sprintf("  refused %d", p.Refused)
	}
	if p.Uncertain > 0 {
		s += fmt.Sprintf("  unanswered %d", p.Uncertain)
	}
	if p.Receipts > 0 || p.Settling {
		s += fmt.Sprintf("  receipts %d (%s), %d to come", p.Receipts, per(p.Receipts, last.Receipts), p.Awaited)
	}
	return s
}

func printLoad(w io.Writer, r loadReport, o smppload.Options) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, format string, args ...any) {
		fmt.Fprintf(tw, "%s\t%s\n", name, fmt.Sprintf(format, args...))
	}
	row("sent", "%d in %.2f s, %.0f/s", r.Sent, r.Seconds, r.SentPerS)
	row("accepted", "%d, %.0f/s", r.Accepted, r.AcceptedPerS)
	if r.Refused > 0 {
		row("refused", "%d", r.Refused)
	}
	if r.Uncertain > 0 {
		row("never answered", "%d", r.Uncertain)
	}
	for _, st := range slices.Sorted(maps.Keys(r.Statuses)) {
		row("  "+st, "%d", r.Statuses[st])
	}
	row("submit_sm_resp", "%s", percentiles(r.RespMs))
	if o.Receipts {
		row("receipts", "%d, %.0f/s", r.Receipts, r.ReceiptsPerS)
		for _, st := range slices.Sorted(maps.Keys(r.ReceiptStates)) {
			row("  "+st, "%d", r.ReceiptStates[st])
		}
		row("receipt after", "%s", percentiles(r.ReceiptMs))
		row("missing", "%d", r.Missing)
		row("twice", "%d", r.Dup)
		for _, odd := range []struct {
			name string
			n    uint64
		}{
			{"other message_id", r.Strange}, {"not sent by us", r.Unsought},
			{"of unanswered", r.OfUncertain}, {"intermediate", r.Intermediate},
		} {
			if odd.n > 0 {
				row(odd.name, "%d", odd.n)
			}
		}
	}
	if r.Reconnects > 0 {
		row("reconnects", "%d", r.Reconnects)
	}
	for _, e := range r.Errors {
		row("connection ended", "%s", e)
	}
	row("cpu of load", "%.2f s, %.1f µs a message", r.CPU.Seconds, r.CPU.UsPerMessage)
	for _, name := range slices.Sorted(maps.Keys(r.CPUOf)) {
		row("cpu of "+name, "%.2f s, %.1f µs a message", r.CPUOf[name].Seconds, r.CPUOf[name].UsPerMessage)
	}
	return tw.Flush()
}

func percentiles(p smppload.Percentiles) string {
	return fmt.Sprintf("p50 %.2f ms, p90 %.2f ms, p99 %.2f ms, max %.2f ms", p.P50, p.P90, p.P99, p.Max)
}

// leaveCores keeps a simulator or load client on one core, which is good for several
// hundred thousand messages a second: what it is there to measure mostly runs beside it,
// and the scheduler's search for work on further cores would cost that more than it gives.
// GOMAXPROCS in the environment wins.
func leaveCores() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(1)
	}
}

// watchedCPU is the CPU time of other processes at the start.
type watchedCPU []struct {
	name string
	pid  int
	from time.Duration
}

func watchCPU(pids []string) (watchedCPU, error) {
	w := make(watchedCPU, len(pids))
	for i, s := range pids {
		name, num, ok := strings.Cut(s, "=")
		pid, err := strconv.Atoi(num)
		if !ok || err != nil {
			return nil, usagef("--cpu-of %q: write NAME=PID", s)
		}
		w[i].name, w[i].pid = name, pid
		if w[i].from, err = processCPU(pid); err != nil {
			return nil, usagef("--cpu-of %q: %w", s, err)
		}
	}
	return w, nil
}

func (w watchedCPU) since(messages uint64) map[string]smppload.CPU {
	if len(w) == 0 {
		return nil
	}
	all := make(map[string]smppload.CPU)
	for _, p := range w {
		now, err := processCPU(p.pid)
		if err != nil {
			continue // it has ended; there is no figure
		}
		c := smppload.CPU{Seconds: (now - p.from).Seconds()}
		if messages > 0 {
			c.UsPerMessage = c.Seconds * 1e6 / float64(messages)
		}
		all[p.name] = c
	}
	return all
}

// processCPU reads user and system time from /proc/PID/stat, in ticks of 10 ms.
func processCPU(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, err
	}
	// The second field is the command in parentheses and may hold anything; utime and
	// stime are the 14th and 15th.
	s := string(b)
	fields := strings.Fields(s[strings.LastIndexByte(s, ')')+1:])
	if len(fields) < 13 {
		return 0, fmt.Errorf("/proc/%d/stat has %d fields", pid, len(fields))
	}
	user, err1 := strconv.ParseInt(fields[11], 10, 64)
	system, err2 := strconv.ParseInt(fields[12], 10, 64)
	if err := errors.Join(err1, err2); err != nil {
		return 0, err
	}
	return time.Duration(user+system) * 10 * time.Millisecond, nil
}
