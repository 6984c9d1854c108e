package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"masar/config"
	"masar/gateway"
	"masar/queue"
	"masar/smpp/pdu"
	"masar/smpp/receipt"
)

// running is a gateway of this process on a file of its own.
type running struct {
	*daemon
	t    *testing.T
	dir  string
	log  *syncBuffer
	stop func() error // returns when the gateway has ended
}

// startDaemon starts a gateway; %D in the text is its folder. started is called, where it
// is given, before the gateway waits for anything.
func startDaemon(t *testing.T, text string, started func(*running)) *running {
	t.Helper()
	return startDaemonIn(t, text, nil, started)
}

// startDaemonIn is startDaemon with files made in its folder before.
func startDaemonIn(t *testing.T, text string, files func(dir string), started func(*running)) *running {
	t.Helper()
	r := &running{t: t, dir: t.TempDir(), log: &syncBuffer{}}
	if files != nil {
		files(r.dir)
	}
	r.write("masar.yaml", text)
	d, _, err := newDaemon(r.path("masar.yaml"), r.log)
	if err != nil {
		t.Fatal(err)
	}
	r.daemon = d
	ready := make(chan struct{})
	d.started = func() {
		if started != nil {
			started(r)
		}
		close(ready)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- d.run(ctx) }()
	over := false
	r.stop = func() error {
		if over {
			return nil
		}
		over = true
		cancel()
		return <-ended
	}
	t.Cleanup(func() {
		if err := r.stop(); err != nil {
			t.Errorf("the gateway ended with %v\n%s", err, r.log.all())
		}
	})
	select {
	case <-ready:
	case err := <-ended:
		over = true
		t.Fatalf("it does not start: %v\n%s", err, r.log.all())
	}
	return r
}

func (r *running) path(name string) string { return filepath.Join(r.dir, name) }

func (r *running) write(name, text string) {
	r.t.Helper()
	if err := os.WriteFile(r.path(name), []byte(strings.ReplaceAll(text, "%D", r.dir)), 0o600); err != nil {
		r.t.Fatal(err)
	}
}

// says waits until the log says what re matches.
func (r *running) says(re string) {
	r.t.Helper()
	want := regexp.MustCompile(re)
	defer func() {
		if r.t.Failed() {
			r.t.Logf("the log:\n%s", r.log.all())
		}
	}()
	until(r.t, 30*time.Second, "the log says "+re, func() bool { return want.MatchString(r.log.all()) })
}

// reloads applies the file, and wants exactly these lines.
func (r *running) reloads(want ...string) {
	r.t.Helper()
	got, err := r.reload(r.t.Context())
	if err != nil {
		r.t.Fatal(err)
	}
	got = slices.DeleteFunc(got, func(l string) bool { return strings.HasPrefix(l, warningPrefix) })
	if !slices.Equal(got, want) {
		r.t.Errorf("the reload says\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

const oneCarrier = `
data: %D/data
store: {min_free: 0, ballast: 0}
admin: {listen: "off"}
accounts: [{system_id: load, password_hash: "$2a$10$..."}]
carriers: [{name: a, addr: 127.0.0.1:1, system_id: masar, password: x}]
routes:
  - {name: first, prefix: [96650], carriers: [a]}
  - {name: rest, carriers: [a]}
`

const plainListen = "listen: [{addr: 127.0.0.1:0}]\n"

// served is the serial number of the certificate that a listener shows.
func served(t *testing.T, addr string) string {
	t.Helper()
	c, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.ConnectionState().PeerCertificates[0].SerialNumber.String()
}

func TestARenewedCertificateIsShownAfterAReload(t *testing.T) {
	dir, addr := t.TempDir(), freePort(t)
	writeCertificate(t, dir, "server", 1)
	writeCertificate(t, dir, "other", 3)
	listen := func(cert string) string {
		return fmt.Sprintf("listen: [{addr: %q, tls: {cert: %[2]s/%[3]s.pem, key: %[2]s/%[3]s.key}}]\n", addr, dir, cert)
	}
	r := startDaemon(t, listen("server")+oneCarrier, nil)
	if got := served(t, addr); got != "1" {
		t.Fatalf("certificate %s", got)
	}
	open, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		t.Fatal(err)
	}
	defer open.Close()
	r.reloads()

	writeCertificate(t, dir, "server", 2)
	r.reloads("~ listen[" + addr + "].tls: its files, for the next connections")
	if got := served(t, addr); got != "2" {
		t.Errorf("certificate %s after the renewal", got)
	}

	r.write("masar.yaml", listen("other")+oneCarrier)
	r.reloads(
		fmt.Sprintf("~ listen[%s].tls.cert: %s/server.pem -> %s/other.pem", addr, dir, dir),
		fmt.Sprintf("~ listen[%s].tls.key: %s/server.key -> %s/other.key", addr, dir, dir),
		"~ listen["+addr+"].tls: its files, for the next connections")
	if got := served(t, addr); got != "3" {
		t.Errorf("certificate %s under another name", got)
	}

	// A file that is no certificate is refused, and the old one stays.
	if err := os.WriteFile(filepath.Join(dir, "other.pem"), []byte("none"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := r.reload(t.Context()); err == nil || !strings.Contains(err.Error(), "other.pem") {
		t.Errorf("a broken certificate: %v", err)
	}
	if got := served(t, addr); got != "3" {
		t.Errorf("certificate %s after a refused reload", got)
	}
	open.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
	if _, err := open.Read(make([]byte, 1)); !os.IsTimeout(err) {
		t.Errorf("the connection from before: %v", err)
	}

	r.write("masar.yaml", plainListen+oneCarrier)
	r.reloads("- listen["+addr+"] (takes effect at the next start)", "+ listen[127.0.0.1:0] (takes effect at the next start)")
}

func TestSIGHUPIsCaughtFromTheStartToTheEnd(t *testing.T) {
	hangUp := func() {
		if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
			t.Error(err)
		}
	}
	// At started nobody waits for signals yet: the file is applied a moment later.
	r := startDaemon(t, plainListen+oneCarrier, func(r *running) {
		r.write("masar.yaml", "log: {level: debug}\n"+plainListen+oneCarrier)
		hangUp()
	})
	r.says(`configuration applied.*log.level: info -> debug`)
	r.write("masar.yaml", plainListen+oneCarrier)
	hangUp()
	r.says(`configuration applied.*log.level: debug -> info`)
	if r.level.Level().String() != "INFO" {
		t.Errorf("level %s", r.level)
	}
	if err := r.stop(); err != nil {
		t.Fatal(err)
	}
	hangUp() // the process is not over yet
}

// The process itself, in mid-drain: its one message waits for a carrier that is silent.
func TestSIGHUPDoesNotEndAGatewayThatDrains(t *testing.T) {
	silent := freePort(t)
	sim := launch(t, "sim", "sim", "--listen", silent, "--silent", "1")
	sim.see(`listening on `+regexp.QuoteMeta(silent), startLimit)
	s := newSite(t, silent)
	s.top = "drain: 3s\n"
	gateway := s.start()
	gateway.see(`bound to the carrier`, startLimit)
	send := launch(t, "send", "send", "--addr", s.smpp, "--system-id", "load", "--password", "demo",
		"--from", "AHWAL", "--to", "966501234567", "--text", "x", "--no-receipt")
	if code := send.ends(startLimit); code != exitDone {
		t.Fatalf("send: exit code %d", code)
	}
	until(t, startLimit, "something is on the wire", func() bool { return s.metric("masar_carrier_window_used") >= 1 })
	gateway.signal(syscall.SIGTERM)
	gateway.see(`msg=stopping`, startLimit)
	gateway.signal(syscall.SIGHUP)
	gateway.see(`SIGHUP ignored: the gateway is stopping`, startLimit)
	if code := gateway.ends(20 * time.Second); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

func TestPortedNumbersFollowTheFileTheReloadAndTheRhythm(t *testing.T) {
	r := startDaemon(t, plainListen+oneCarrier, nil)
	if every, _ := r.rhythms(); every != 0 {
		t.Error("a rhythm without a table")
	}
	with := func(block string) string {
		return plainListen + oneCarrier + "ported: {file: ported.csv, " + block + "}\n"
	}
	r.write("ported.csv", "966501111111,first\n")
	r.write("masar.yaml", with("reload: 20ms, max_shrink: 0%"))
	r.reloads("~ ported.file: (none) -> "+r.path("ported.csv"), "~ ported.reload: 1h -> 20ms", "~ ported.max_shrink: 5% -> 0%")
	if name, ok := r.por.table.Load().Lookup("966501111111"); !ok || name != "first" {
		t.Errorf("%q, %t", name, ok)
	}
	r.says(`ported numbers loaded" numbers=1`) // by the rhythm that the reload has set

	r.write("ported.csv", "966501111111,first\n966502222222,rest\n")
	r.says(`ported numbers loaded" numbers=2`)

	r.write("ported.csv", "966501111111,first\n966502222222,nowhere\n")
	r.says(`not reloaded, the old table stays".*ported.csv:2: .*nowhere`)
	if name, _ := r.por.table.Load().Lookup("966502222222"); name != "rest" {
		t.Errorf("the number goes to %q after a table that was refused", name)
	}

	// A reload that takes a route away which the table names is refused whole.
	r.write("ported.csv", "966501111111,first\n966502222222,rest\n")
	r.write("masar.yaml", strings.Replace(with("reload: 1h"), "name: first", "name: second", 1))
	if _, err := r.reload(t.Context()); err == nil || !strings.Contains(err.Error(), "first") {
		t.Errorf("a route that the table names is gone: %v", err)
	}
	r.write("masar.yaml", plainListen+oneCarrier)
	r.reloads("~ ported.file: "+r.path("ported.csv")+" -> (none)", "~ ported.reload: 20ms -> 1h", "~ ported.max_shrink: 0% -> 5%")
	if every, _ := r.rhythms(); r.por.table.Load() != nil || every != 0 {
		t.Error("the table stays")
	}
}

func TestAPortedTableThatShrinksIsRefused(t *testing.T) {
	for _, row := range []struct {
		most string
		left int // of 100 rows
		ok   bool
	}{{"0%", 99, false}, {"0%", 100, true}, {"5%", 95, true}, {"5%", 94, false}, {"100%", 1, true}} {
		t.Run(fmt.Sprintf("%d at %s", row.left, row.most), func(t *testing.T) {
			r := &running{t: t, dir: t.TempDir()}
			r.write("masar.yaml", plainListen+oneCarrier+"ported: {file: ported.csv, max_shrink: "+row.most+"}\n")
			table := func(n int) {
				var b strings.Builder
				for i := range n {
					fmt.Fprintf(&b, "9665%08d,first\n", i)
				}
				r.write("ported.csv", b.String())
			}
			table(100)
			cfg, _, err := loadConfig(r.path("masar.yaml"))
			if err != nil {
				t.Fatal(err)
			}
			p := &ported{}
			first, err := p.prepare(cfg)
			if err != nil {
				t.Fatal(err)
			}
			p.swap(first)
			table(row.left)
			if _, err := p.prepare(cfg); (err == nil) != row.ok {
				t.Errorf("%v", err)
			}
		})
	}
}

// What a given 0 means where the rooms take 0 for "not said".
func TestAGivenZeroIsNotTheDefault(t *testing.T) {
	r := &running{t: t, dir: t.TempDir()}
	r.write("masar.yaml", strings.NewReplacer(
		`"$2a$10$..."`, `"$2a$10$...", window: 1, park: 0`, "[96650], carriers: [a]", "[96650], carriers: [a], failover_after: 0s, max_wait: 0s",
	).Replace(plainListen+oneCarrier)+"drain: 0s\nshares: {normal: 0, bulk: 0}\n")
	cfg, _, err := loadConfig(r.path("masar.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	s, err := setup(cfg)
	if err != nil {
		t.Fatal(err)
	}
	g, st := gatewayOptions(cfg, s, nil), storeOptions(cfg)
	for name, v := range map[string]int64{
		"park": int64(s.Accounts[0].Park), "failover_after": int64(s.Routes[0].FailoverAfter), "max_wait": int64(s.Routes[0].MaxWait),
		"drain": int64(g.Drain), "shares.normal": int64(s.Shares[queue.Normal]), "shares.bulk": int64(s.Shares[queue.Bulk]),
		"store.min_free": st.MinFree, "store.ballast": st.Ballast,
	} {
		if v >= 0 {
			t.Errorf("%s: 0 becomes %d, which the room takes for its default", name, v)
		}
	}
	if s.Routes[1].FailoverAfter != 5*time.Second || s.Routes[1].MaxWait != 30*time.Second {
		t.Errorf("not said: %+v", s.Routes[1])
	}
}

func TestHalfAScheduleAndHalfAPairOfFormsAreKept(t *testing.T) {
	var c config.Carrier
	all := &config.Config{Retry: config.Retry{Default: []time.Duration{time.Minute, time.Hour}, Tries: 9, Jitter: 0.5}}
	c.Retry = []config.RetryRule{
		{Statuses: []config.Status{config.Status(pdu.ESME_RSYSERR)}, Tries: 3},
		{Statuses: []config.Status{config.Status(pdu.ESME_RMSGQFUL)}, Delays: []time.Duration{time.Second}},
	}
	c.Receipts.ID = config.IDForms{Resp: "hex", Receipt: "auto"}
	k, err := carrier(&c, all)
	if err != nil {
		t.Fatal(err)
	}
	if s := k.StatusRetry[pdu.ESME_RSYSERR]; s.Tries != 3 || !slices.Equal(s.Delays, all.Retry.Default) || s.Jitter != 0.5 {
		t.Errorf("tries alone: %+v", s)
	}
	if s := k.StatusRetry[pdu.ESME_RMSGQFUL]; s.Tries != 0 || len(s.Delays) != 1 || s.Delays[0] != time.Second {
		t.Errorf("delays alone: %+v", s)
	}
	if k.Statuses[pdu.ESME_RSYSERR] != gateway.AnswerTemporary {
		t.Errorf("a schedule makes a status temporary: %v", k.Statuses)
	}
	if r := k.Receipts; !r.RespKnown || r.RespForm != receipt.Hex || r.TextKnown {
		t.Errorf("%+v", r)
	}
	c.Receipts.ID = config.IDForms{Resp: "auto", Receipt: "decimal"}
	if r := carrierReceipts(&c.Receipts); r.RespKnown || !r.TextKnown || r.TextForm != receipt.Dec {
		t.Errorf("%+v", r)
	}
}

func TestCheckReadsTheTableOfPortedNumbers(t *testing.T) {
	r := &running{t: t, dir: t.TempDir()}
	r.write("masar.yaml", plainListen+oneCarrier+"ported: {file: ported.csv}\n")
	r.write("ported.csv", "966501111111,first\n966502222222,secnod\n")
	got := masar(t, "", "check", r.path("masar.yaml"))
	if got.code != exitUsage || !strings.Contains(got.errs, "ported.csv:2: ") || !strings.Contains(got.errs, "secnod") {
		t.Errorf("%+v", got)
	}
	r.write("ported.csv", "966501111111,first\n")
	if got := masar(t, "", "check", r.path("masar.yaml")); got.code != exitDone {
		t.Errorf("%+v", got)
	}
}

func TestTheTokenIsNeverPrinted(t *testing.T) {
	t.Setenv("MASAR_TOKEN", "hunter2secret")
	for _, name := range []string{"queue", "reload"} {
		for _, args := range [][]string{{name, "--help"}, {name, "--no-such-flag"}, {name, "--api", "http://127.0.0.1:1"}, {name, "--api", "::"}} {
			if r := masar(t, "", args...); strings.Contains(r.out+r.errs, "hunter2") {
				t.Errorf("%v prints it:\n%s%s", args, r.out, r.errs)
			}
		}
	}
}

// What an operator gets who types it a little wrong.
func TestMistakesAtTheCommandLineNameTheCure(t *testing.T) {
	r := &running{t: t, dir: t.TempDir()}
	r.write("good.yaml", plainListen+oneCarrier)
	r.write("bad.yaml", plainListen+oneCarrier+"shares: {normal: 200}\ndrain: 5\n")
	r.write("empty.yaml", "")
	good, bad := r.path("good.yaml"), r.path("bad.yaml")
	for _, row := range []struct {
		name string
		args []string
		code int
		says []string // of standard error
	}{
		{"check without a file", []string{"check"}, exitUsage, []string{"masar: name the configuration file\nsee: masar check --help"}},
		{"check with two", []string{"check", good, bad}, exitUsage, []string{"masar: name one file"}},
		{"check with a flag", []string{"check", "--config", good}, exitDone, nil},
		{"check with a flag and a file", []string{"check", good, "--config", good}, exitUsage, []string{"masar: name one file"}},
		{"check of nothing", []string{"check", r.path("none.yaml")}, exitUsage, []string{"masar: " + r.path("none.yaml") + ": cannot be read: there is no such file"}},
		{"check of a folder", []string{"check", r.dir}, exitUsage, []string{"masar: " + r.dir + ": cannot be read"}},
		{"check of an empty file", []string{"check", r.path("empty.yaml")}, exitUsage, []string{r.path("empty.yaml") + ":1:1: the file is empty", "masar: 1 mistake\n"}},
		{"every mistake begins its line", []string{"check", bad}, exitUsage, []string{"\n" + bad + ":", "shares.normal", "drain", "\nmasar: 2 mistakes\n"}},
		{"serve without a file", []string{"serve"}, exitUsage, []string{"masar: name the configuration file\nsee: masar serve --help"}},
		{"serve with a bare file", []string{"serve", bad}, exitUsage, []string{"shares.normal", "masar: 2 mistakes"}},
		{"an argument too many", []string{"reload", "now"}, exitUsage, []string{`masar: masar reload takes no "now", only flags`}},
		{"an address without http", []string{"queue", "--api", "127.0.0.1:1"}, exitFailed, []string{"no gateway answers at 127.0.0.1:1"}},
		{"nothing runs", []string{"reload", "--data", r.dir}, exitFailed, []string{"no gateway runs on the data folder " + r.dir, "masar serve --config FILE"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := masar(t, "", row.args...)
			if got.code != row.code {
				t.Errorf("exit code %d, want %d", got.code, row.code)
			}
			for _, want := range row.says {
				if !strings.Contains("\n"+got.errs, want) {
					t.Errorf("it does not say %q:\n%s", want, got.errs)
				}
			}
		})
	}
}

// A refused reload tells every mistake, and that nothing of the file holds.
func TestARefusedReloadTellsEveryMistake(t *testing.T) {
	addr := freePort(t)
	token := "0123456789abcdef"
	r := startDaemon(t, plainListen+strings.Replace(oneCarrier, `admin: {listen: "off"}`, "admin: {listen: "+strconv.Quote(addr)+"}", 1), nil)
	r.write("masar.yaml", plainListen+oneCarrier+"shares: {normal: 200}\ndrain: 5\n")
	got := masar(t, "", "reload", "--data", r.path("data"))
	if got.code != exitFailed || strings.Count(got.errs, r.path("masar.yaml")+":") != 2 || !strings.HasSuffix(got.errs, "\nmasar: nothing was applied, the gateway runs on as it was\n") {
		t.Errorf("%+v", got)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	r.says(`(?s)not applied, the old one stays" err="[^\n]*drain.*not applied, the old one stays" err="[^\n]*shares|(?s)not applied, the old one stays" err="[^\n]*shares.*not applied, the old one stays" err="[^\n]*drain`)
	got = masar(t, "", "reload", "--api", addr, "--token", token)
	if got.code != exitFailed || !strings.Contains(got.errs, "token_file") || strings.Contains(got.errs, token) {
		t.Errorf("over TCP without a token_file: %+v", got)
	}
}
