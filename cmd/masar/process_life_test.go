package main

import (
	"bufio"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"masar/smpp/pdu"
	"masar/smpp/smppload"
	"masar/smpp/smpptest"
)

// SIGTERM under load: no new submits, windows finish, unbind to every peer, exit 0; the
// next start goes on where it stopped, and nothing went twice.
func TestSIGTERMUnderLoadDrainsAndLosesNothing(t *testing.T) {
	got := &received{count: map[string]int{}}
	carrier, addr := smsc(t, smpptest.SMSCOptions{
		Latency: 20 * time.Millisecond, Jitter: 10 * time.Millisecond, ReceiptDelay: 100 * time.Millisecond, ReceiptJitter: 100 * time.Millisecond,
		ReceiptRetry: 50 * time.Millisecond, OnSubmit: got.submitted, OnEnd: got.end,
	})
	s := newSite(t, addr)
	s.carrierMore = "    window: 20\n"
	s.account = "    window: 100\n"
	gateway := s.start()
	const stops = 4
	load := s.load(smppload.Options{Binds: 2, Window: 50, Rate: 1200, Receipts: true, Reconnect: true, Linger: 500 * time.Millisecond})
	for i := range stops {
		load.more(500, 30*time.Second)
		began := time.Now()
		gateway.signal(syscall.SIGTERM)
		if code := gateway.ends(30 * time.Second); code != exitDone {
			t.Errorf("stop %d: exit code %d", i, code)
		}
		if took := time.Since(began); took > 8*time.Second {
			t.Errorf("stop %d took %s with peers that answer", i, took)
		}
		if !strings.Contains(gateway.output(), "msg=stopped") || strings.Contains(gateway.output(), "level=ERROR") {
			t.Errorf("stop %d was not orderly", i)
		}
		gateway = s.start()
	}
	load.enough()
	res := load.result(90 * time.Second)
	t.Logf("%d accepted, %d uncertain, %v, %d receipts, %d twice; %v", res.Accepted, res.Uncertain, res.Statuses, res.Receipts, res.Dup, res.Errors)
	count, ended := got.books()
	twice := 0
	for _, n := range count {
		if n > 1 {
			twice++
		}
	}
	if res.Missing > 0 {
		_, metrics := s.get("/metrics")
		for line := range strings.Lines(metrics) {
			for _, name := range []string{"masar_outbox_", "masar_receipts_", "masar_deliver", "masar_queue_messages", "masar_redeliver", "masar_uncertain"} {
				if strings.HasPrefix(line, name) && !strings.HasSuffix(line, " 0\n") {
					t.Log(strings.TrimSpace(line))
				}
			}
		}
		t.Logf("%+v", carrier.Stats())
	}
	if uint64(len(count)) < res.Accepted || res.Missing > 0 {
		t.Errorf("%d accepted, the carrier has %d, %d receipts missing", res.Accepted, len(count), res.Missing)
	}
	// Everything was waited for: nobody has a reason to send again.
	if twice > 0 || res.Dup > 0 || res.Uncertain > 0 {
		t.Errorf("%d messages went twice, %d receipts came twice, %d submits were never answered", twice, res.Dup, res.Uncertain)
	}
	if n := len(ended); n != 2*stops {
		t.Errorf("%d carrier sessions ended, want %d", n, 2*stops)
	}
	for _, why := range ended {
		// A receipt that the simulator writes behind its unbind_resp finds the connection closed.
		if !strings.Contains(why, "unb") && !strings.Contains(why, "write failed") {
			t.Errorf("a carrier session ended without unbind: %s", why)
			break
		}
	}
}

// A carrier that does not answer keeps a stop waiting for drain; a second signal does not
// wait, and closes the store all the same.
func TestASecondSIGTERMSkipsTheWaiting(t *testing.T) {
	carrier, addr := smsc(t, smpptest.SMSCOptions{Silent: 1})
	s := newSite(t, addr)
	s.top = "drain: 2m\n"
	gateway := s.start()
	c := bindClient(t, s.smpp)
	for range 5 {
		if h, _ := c.ask(pdu.CmdSubmitSM, submitTo("966501234567", "unanswered", false)); h.Status != pdu.ESME_ROK {
			t.Fatal(h.Status)
		}
	}
	until(t, 10*time.Second, "all five are on the wire", func() bool { return carrier.Stats().Silent == 5 })
	gateway.signal(syscall.SIGTERM)
	gateway.see(`msg=stopping`, 10*time.Second)
	// While it waits it still answers, and takes nothing new: from a moment after its word on.
	taken := 5
	until(t, 10*time.Second, "submits are refused", func() bool {
		h, _ := c.ask(pdu.CmdSubmitSM, submitTo("966501234567", "too late", false))
		if h.Status == pdu.ESME_ROK {
			taken++
		}
		return h.Status == pdu.ESME_RMSGQFUL
	})
	if h, _ := c.ask(pdu.CmdEnquireLink, nil); h.Status != pdu.ESME_ROK {
		t.Errorf("enquire_link while stopping: %s", h.Status)
	}
	select {
	case <-gateway.done:
		t.Fatal("it did not wait for its windows")
	default:
	}
	began := time.Now()
	gateway.signal(syscall.SIGTERM)
	code := gateway.ends(20 * time.Second)
	t.Logf("exit code %d after %s", code, time.Since(began).Round(time.Millisecond))
	if code != exitDone && code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	if strings.Contains(gateway.output(), "panic") {
		t.Error("a panic is in the log")
	}
	// The store was closed: what was uncertain goes again after the next start.
	carrier.Close()
	again := &received{count: map[string]int{}}
	_, s.carrier = smsc(t, smpptest.SMSCOptions{OnSubmit: again.submitted})
	s.start()
	until(t, 20*time.Second, "what was taken goes again", func() bool {
		again.mu.Lock()
		defer again.mu.Unlock()
		return again.count["966501234567"] == taken
	})
}

// sessions are the ids of the sessions in a gateway's log, by what was said of them.
func sessions(p *process, msg string) []string {
	var ids []string
	for _, m := range regexp.MustCompile(`msg="`+msg+`".* session=(\d+)`).FindAllStringSubmatch(p.output(), -1) {
		ids = append(ids, m[1])
	}
	return ids
}

// A good file is applied and its changes are printed, a bad one is refused whole; binds
// that a change does not concern stay, session by session.
func TestReloadAppliesAGoodFileAndRefusesABadOneWhole(t *testing.T) {
	_, addrA := smsc(t, smpptest.SMSCOptions{SystemID: "a"})
	b, addrB := smsc(t, smpptest.SMSCOptions{SystemID: "b"})
	s := newSite(t, addrA)
	s.account = "    throughput: 1000/s\n"
	gateway := s.start()
	gateway.see(`(?s)bound to the carrier.*bound to the carrier`, 10*time.Second)
	c := bindClient(t, s.smpp)
	submit := func(to string, want pdu.Status) {
		t.Helper()
		if h, _ := c.ask(pdu.CmdSubmitSM, submitTo(to, "hello", false)); h.Status != want {
			t.Errorf("submit to %s: %s, want %s", to, h.Status, want)
		}
	}
	submit("966501234567", pdu.ESME_ROK)
	before := sessions(gateway, "bound to the carrier")
	if len(before) != 2 {
		t.Fatalf("carrier sessions %v", before)
	}
	reload := func(code int, says ...string) {
		t.Helper()
		p := launch(t, "reload", "reload", "--data", s.data)
		if got := p.ends(20 * time.Second); got != code {
			t.Errorf("masar reload: exit code %d, want %d: %s", got, code, p.output())
		}
		for _, want := range says {
			if !strings.Contains(p.output(), want) {
				t.Errorf("masar reload does not say %q: %s", want, p.output())
			}
		}
	}
	reload(exitDone, "nothing changed")

	// A second carrier and a route to it; a lower rate.
	withB := `    reconnect: {min: 20ms, max: 200ms}
  - name: b
    addr: ` + addrB + `
    system_id: masar
    password: secret
    binds: {transceiver: 1}
`
	s.carrierMore += withB
	s.route = "  - prefix: [96654]\n    carriers: [b]\n"
	s.account = "    throughput: 900/s\n"
	s.carrierMore = strings.Replace(s.carrierMore, "    reconnect: {min: 20ms, max: 200ms}\n", "", 1)
	s.write()
	reload(exitDone, "carriers", "b", "throughput", "1000/s", "900/s", "routes")
	gateway.see(`msg="bound to the carrier" carrier=b`, 10*time.Second)
	submit("966541234567", pdu.ESME_ROK)
	until(t, 10*time.Second, "the new carrier carries", func() bool { return b.Stats().Accepted == 1 })

	// A bad file: nothing of it holds, its good parts included.
	s.account = "    throughput: 1/s\n    burst: 1\n"
	s.more = "shares: {normal: 200}\n"
	s.write()
	reload(exitFailed, s.path+":", "shares.normal")
	from := len(gateway.output())
	gateway.signal(syscall.SIGHUP)
	said, _ := gateway.seeFrom(from, `msg="configuration not applied, the old one stays".*`, 10*time.Second)
	if !strings.Contains(said[0], "shares.normal") {
		t.Errorf("the log does not say what is wrong: %s", said[0])
	}
	for range 10 {
		submit("966501234567", pdu.ESME_ROK)
	}

	// A file that is gone is a bad one too.
	if err := os.Remove(s.path); err != nil {
		t.Fatal(err)
	}
	from = len(gateway.output())
	gateway.signal(syscall.SIGHUP)
	gateway.seeFrom(from, `configuration not applied.*no such file`, 10*time.Second)
	submit("966501234567", pdu.ESME_ROK)

	// SIGHUP applies a good one: carrier b goes again.
	s.more, s.route, s.account = "", "", "    throughput: 900/s\n"
	s.carrierMore = "    window: 50\n"
	s.write()
	from = len(gateway.output())
	gateway.signal(syscall.SIGHUP)
	said, _ = gateway.seeFrom(from, `msg="configuration applied".*`, 10*time.Second)
	if !strings.Contains(said[0], "carriers") || !strings.Contains(said[0], "b") {
		t.Errorf("the log does not say what changed: %s", said[0])
	}
	until(t, 20*time.Second, "the carrier that went is unbound", func() bool { return b.Binds("") == 0 })
	submit("966541234567", pdu.ESME_ROK)

	after := sessions(gateway, "bound to the carrier")
	if len(after) != 3 || after[0] != before[0] || after[1] != before[1] {
		t.Errorf("carrier sessions %v, before %v: those of carrier a were to stay", after, before)
	}
	if ended := sessions(gateway, "client session ended"); len(ended) > 0 {
		t.Errorf("client sessions %v ended", ended)
	}
	if n := strings.Count(gateway.output(), `msg="client bound"`); n != 1 {
		t.Errorf("%d client binds", n)
	}
	if down := regexp.MustCompile(`(?i)msg="[^"]*carrier[^"]*(ended|down|lost)[^"]*" carrier=a`).FindString(gateway.output()); down != "" {
		t.Errorf("carrier a was touched: %s", down)
	}
}

// Without a gateway the command says so, and how to start one.
func TestReloadWithoutAGatewaySaysHowToStartOne(t *testing.T) {
	p := launch(t, "reload", "reload", "--data", t.TempDir())
	if code := p.ends(20 * time.Second); code != exitFailed || !strings.Contains(p.output(), "masar serve --config") {
		t.Errorf("exit code %d: %s", code, p.output())
	}
}

// Who reads the log may end first, as tee does at the same Ctrl-C.
func TestALogThatNobodyReadsDoesNotEndTheGatewayInDisorder(t *testing.T) {
	path, err := masarBinary()
	if err != nil {
		t.Fatal(err)
	}
	_, addr := smsc(t, smpptest.SMSCOptions{})
	s := newSite(t, addr)
	s.write()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(path, "serve", "--config", s.path)
	cmd.Stdout, cmd.Stderr = w, w
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.Close()
	lines := bufio.NewScanner(r)
	for lines.Scan() && !strings.Contains(lines.Text(), "msg=ready") {
	}
	r.Close()
	if err := cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatalf("it ended with %v", err)
	}
}
