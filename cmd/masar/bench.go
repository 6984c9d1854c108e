package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/bcrypt"

	"masar/admin"
	"masar/smpp/smppload"
	"masar/smpp/smpptest"
)

type benchOptions struct {
	seconds int
	data    string
	cores   int
	asJSON  bool
}

func newBench() *cobra.Command {
	var o benchOptions
	cmd := &cobra.Command{
		Use:   "bench",
		Short: "Measure the gateway on this machine",
		Long: `Starts a simulated carrier, a gateway with an empty queue on a real disk, and a load
client as three processes on the same cores, and measures messages per second, CPU of the
gateway per message, and the time from submit_sm to submit_sm_resp, fsync included:
as fast as possible without and with receipts, at 5,000 messages per second, and what
it costs to ask of each message whether its service may go to its receiver now.

Beside each figure stands the bar it is meant to reach on two cores. A figure below its
bar is marked; the exit code is 1 only when a message or a receipt was lost.`,
		Example: `  masar bench
  masar bench --seconds 60 --data /srv/masar-bench --json`,
		GroupID: groupTools,
		Args:    noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if o.seconds < 1 {
				return usagef("--seconds %d: at least 1", o.seconds)
			}
			return bench(cmd.Context(), o, cmd.OutOrStdout(), cmd.ErrOrStderr())
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.IntVar(&o.seconds, "seconds", 10, "how long each case submits")
	f.StringVar(&o.data, "data", "./var/bench", "folder for the queues; on the disk that is to be measured")
	f.IntVar(&o.cores, "cores", 2, "with more cores than this, all three processes share this many (needs taskset); 0 uses all")
	f.BoolVar(&o.asJSON, "json", false, "print one JSON object for each case")
	return cmd
}

// benchCase is one measurement. A bar of 0 is none.
type benchCase struct {
	name     string
	receipts bool
	rate     float64 // 0: as fast as the windows allow
	people   int     // so many numbers, each sent to twice: the second time is measured; 0: ever new ones
	policy   bool    // they are enrolled, and each message is asked all that the catalogue asks

	perSecond float64 // bar: accepted messages per second, at least
	cpu       float64 // bar: µs of gateway CPU a message, at most
	p99       float64 // bar: ms, at most
}

var benchCases = []benchCase{
	{name: "without receipts", perSecond: 50000, cpu: 30},
	{name: "with receipts", receipts: true, perSecond: 25000, cpu: 55},
	{name: "5,000/s with receipts", receipts: true, rate: 5000, p99: 20},
	{name: plainCase, receipts: true, people: benchPeople},
	{name: policyCase, receipts: true, people: benchPeople, policy: true},
}

// benchResult is what --json prints for a case.
type benchResult struct {
	Case         string               `json:"case"`
	Accepted     uint64               `json:"accepted"`
	PerS         float64              `json:"per_s"`         // accepted; with receipts: receipts back at the client
	CarriedPerS  float64              `json:"carried_per_s"` // until the last one was at the carrier
	CPUUs        float64              `json:"gateway_cpu_us"`
	RespMs       smppload.Percentiles `json:"resp_ms"`
	RSSMiB       float64              `json:"gateway_rss_mib"`
	Lost         int64                `json:"lost"`
	LostReceipts uint64               `json:"lost_receipts"`
	Duplicates   int64                `json:"duplicates"`
}

func bench(ctx context.Context, o benchOptions, out, errs io.Writer) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	if err := os.MkdirAll(o.data, 0o755); err != nil {
		return err
	}
	fmt.Fprintf(errs, "masar bench: %d s a case, %d of %d cores, queue in %s\n", o.seconds, usedCores(o.cores), runtime.NumCPU(), o.data)
	if busy := loadAverage(); busy > float64(usedCores(o.cores))/2 {
		fmt.Fprintf(errs, "masar bench: other programs keep this machine busy (load average %.1f): the figures will be worse than they could be\n", busy)
	}
	var all []benchResult
	for _, c := range benchCases {
		fmt.Fprintf(errs, "masar bench: %s ...\n", c.name)
		r, err := runBench(ctx, self, o, c)
		if err != nil {
			return fmt.Errorf("%s: %w", c.name, err)
		}
		all = append(all, r)
		if o.asJSON {
			if err := json.NewEncoder(out).Encode(r); err != nil {
				return err
			}
		}
	}
	if !o.asJSON {
		if err := printBench(out, all); err != nil {
			return err
		}
	}
	var lost []string
	for _, r := range all {
		if r.Lost > 0 || r.LostReceipts > 0 {
			lost = append(lost, fmt.Sprintf("%s: %d messages and %d receipts", r.Case, r.Lost, r.LostReceipts))
		}
	}
	if len(lost) > 0 {
		return fmt.Errorf("lost %s", strings.Join(lost, "; "))
	}
	return nil
}

func usedCores(limit int) int {
	if limit <= 0 || limit > runtime.NumCPU() {
		return runtime.NumCPU()
	}
	return limit
}

// loadAverage is how many threads ran or wanted to, over the last minute; 0 where /proc does not tell.
func loadAverage() (v float64) {
	b, err := os.ReadFile("/proc/loadavg")
	if err == nil {
		fmt.Sscanf(string(b), "%f", &v)
	}
	return v
}

// runBench measures one case with processes and a queue of its own.
func runBench(ctx context.Context, self string, o benchOptions, c benchCase) (r benchResult, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // kills what is still running
	dir, err := os.MkdirTemp(o.data, "run-")
	if err != nil {
		return r, err
	}
	defer os.RemoveAll(dir)

	sim, err := startBench(ctx, self, o.cores, "sim", "--listen", "127.0.0.1:0", "--quiet", "--json", "--stats", "24h")
	if err != nil {
		return r, err
	}
	carrier, err := sim.await("listening on ", 10*time.Second)
	if err != nil {
		return r, err
	}
	config, clients, web, err := benchConfig(dir, carrier, c.policy)
	if err != nil {
		return r, err
	}
	if c.policy {
		if err := enrolBench(ctx, config, c.people); err != nil {
			return r, err
		}
	}
	gw, err := startBench(ctx, self, o.cores, "serve", "--config", config)
	if err != nil {
		return r, err
	}
	if err := waitUntil(ctx, 20*time.Second, func() bool {
		return httpOK("http://"+web+"/readyz") && benchBound(web)
	}); err != nil {
		return r, fmt.Errorf("the gateway did not get ready: %w\n%s", err, gw.said())
	}
	run := func() (res smppload.Result, err error) {
		load, err := startBench(ctx, self, o.cores, c.load(o, clients)...)
		if err != nil {
			return res, err
		}
		// An exit code of 1 stands for what the figures say too.
		load.wait()
		if err := json.Unmarshal(load.out.Bytes(), &res); err != nil {
			return res, fmt.Errorf("load: %w\n%s", err, load.said())
		}
		return res, nil
	}
	var first smppload.Result
	if c.people > 0 {
		if first, err = run(); err != nil {
			return r, err
		}
		if err := waitUntil(ctx, 10*time.Minute, func() bool { return benchDrained(web) }); err != nil {
			return r, fmt.Errorf("the queue did not drain: %w\n%s", err, gw.said())
		}
	}
	before, err := processCPU(gw.cmd.Process.Pid)
	if err != nil {
		return r, err
	}
	began := time.Now()
	res, err := run()
	if err != nil {
		return r, err
	}
	if err := waitUntil(ctx, 10*time.Minute, func() bool { return benchDrained(web) }); err != nil {
		return r, fmt.Errorf("the queue did not drain: %w\n%s", err, gw.said())
	}
	carried := time.Since(began).Seconds()
	after, err := processCPU(gw.cmd.Process.Pid)
	if err != nil {
		return r, err
	}
	r = benchResult{
		Case: c.name, Accepted: res.Accepted, PerS: res.AcceptedPerS, RespMs: res.RespMs,
		RSSMiB: peakMemory(gw.cmd.Process.Pid), LostReceipts: res.Missing + first.Missing,
	}
	if c.receipts {
		r.PerS = res.ReceiptsPerS
	}
	if res.Accepted > 0 {
		r.CarriedPerS = float64(res.Accepted) / carried
		r.CPUUs = float64((after - before).Microseconds()) / float64(res.Accepted)
	}
	if err := errors.Join(gw.stop(), sim.stop()); err != nil {
		return r, err
	}
	var stats smpptest.Stats
	if err := json.Unmarshal(sim.out.Bytes(), &stats); err != nil {
		return r, fmt.Errorf("sim: %w\n%s", err, sim.said())
	}
	// Every message is one part, so what the carrier took counts messages.
	if d := int64(first.Accepted+res.Accepted) - int64(stats.Accepted); d > 0 {
		r.Lost = d
	} else {
		r.Duplicates = -d
	}
	return r, nil
}

// load are the arguments of the load client.
func (c *benchCase) load(o benchOptions, clients string) []string {
	args := []string{"load", "--json", "--addr", clients, "--system-id", "load", "--password", runPassword,
		"--binds", "4", "--window", "100", "--text", "تنتهي صلاحية هويتكم الوطنية خلال ٣٠ يوما، رقم {n}"}
	if c.people > 0 {
		args = append(args, "--prefix", benchPrefix, "--count", fmt.Sprint(c.people))
	} else {
		args = append(args, "--duration", fmt.Sprintf("%ds", o.seconds))
	}
	if c.policy {
		args = append(args, "--service", benchService, "--from", benchSender)
	}
	if c.receipts {
		args = append(args, "--receipts")
	}
	if c.rate > 0 {
		args = append(args, "--rate", fmt.Sprint(c.rate))
	}
	return args
}

// benchConfig is the smallest configuration, with receipts as the client asks; with policy
// its account is one of an agency.
func benchConfig(dir, carrier string, policy bool) (path, clients, web string, err error) {
	hash, err := bcrypt.GenerateFromPassword([]byte(runPassword), bcrypt.DefaultCost)
	if err != nil {
		return "", "", "", err
	}
	var free [2]string
	for i := range free {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return "", "", "", err
		}
		defer l.Close()
		free[i] = l.Addr().String()
	}
	agency, catalogue := "", ""
	if policy {
		agency, catalogue = ", agency: "+benchAgency, "catalogue: catalogue.yaml\n"
		if err := os.WriteFile(filepath.Join(dir, "catalogue.yaml"), []byte(benchCatalogue), 0o600); err != nil {
			return "", "", "", err
		}
	}
	text := fmt.Sprintf(`data: %q
listen: [{addr: %q}]
admin: {listen: %q}
accounts: [{system_id: load, password_hash: %q%s}]
carriers: [{name: a, addr: %q, system_id: masar, password: secret, binds: {transceiver: 2}, window: 500}]
routes: [{carriers: [a]}]
%s`, filepath.Join(dir, "data"), free[0], free[1], hash, agency, carrier, catalogue)
	path = filepath.Join(dir, "masar.yaml")
	return path, free[0], free[1], os.WriteFile(path, []byte(text), 0o600)
}

func waitUntil(ctx context.Context, limit time.Duration, done func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !done() {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
	}
	return nil
}

var benchHTTP = &http.Client{Timeout: 5 * time.Second}

func httpOK(url string) bool {
	resp, err := benchHTTP.Get(url)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	io.Copy(io.Discard, resp.Body)
	return resp.StatusCode == http.StatusOK
}

func httpJSON(url string, into any) bool {
	resp, err := benchHTTP.Get(url)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	return resp.StatusCode == http.StatusOK && json.NewDecoder(resp.Body).Decode(into) == nil
}

func benchBound(web string) bool {
	var carriers []admin.CarrierRow
	return httpJSON("http://"+web+"/v1/carriers", &carriers) && len(carriers) == 1 && carriers[0].Binds == 2
}

// benchDrained tells whether nothing waits and nothing is on the wire.
func benchDrained(web string) bool {
	var rows []admin.QueueRow
	var carriers []admin.CarrierRow
	if !httpJSON("http://"+web+"/v1/queue", &rows) || !httpJSON("http://"+web+"/v1/carriers", &carriers) {
		return false
	}
	for _, r := range rows {
		if r.Messages > 0 {
			return false
		}
	}
	for _, c := range carriers {
		if c.Outstanding > 0 {
			return false
		}
	}
	return true
}

// peakMemory is the most memory a process had, MiB; 0 where /proc does not tell.
func peakMemory(pid int) float64 {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		var kib float64
		if n, _ := fmt.Sscanf(line, "VmHWM: %f kB", &kib); n == 1 {
			return kib / 1024
		}
	}
	return 0
}

func printBench(w io.Writer, all []benchResult) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "case\tmessages\tper s\tbar\tcarried per s\tgateway CPU\tbar\tp50\tp99\tbar\tmemory\tlost\ttwice")
	for i, r := range all {
		c := benchCases[i]
		fmt.Fprintf(tw, "%s\t%d\t%.0f\t%s\t%.0f\t%.1f µs\t%s\t%.2f ms\t%.2f ms\t%s\t%.0f MiB\t%d, %d receipts\t%d\n",
			r.Case, r.Accepted, r.PerS, bar(">= ", c.perSecond, "", r.PerS >= c.perSecond), r.CarriedPerS,
			r.CPUUs, bar("<= ", c.cpu, " µs", r.CPUUs <= c.cpu), r.RespMs.P50, r.RespMs.P99, bar("<= ", c.p99, " ms", r.RespMs.P99 <= c.p99),
			r.RSSMiB, r.Lost, r.LostReceipts, r.Duplicates)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	return printPolicy(w, all)
}

// bar is a bar as it is printed, with what stands beside it when the figure misses it.
func bar(sign string, v float64, unit string, reached bool) string {
	if v == 0 {
		return "-"
	}
	s := fmt.Sprintf("%s%.0f%s", sign, v, unit)
	if !reached {
		s += " MISSED"
	}
	return s
}
