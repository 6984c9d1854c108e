package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"

	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

// The tests in process_*_test.go run the real binary as real processes on loopback
// sockets and real disks: what a signal, a full disk or a hostile peer does to a process
// cannot be seen from inside one. Everything else about the gateway is tested in its rooms.

// masarBinary builds masar once for all process tests; with -race, a binary that watches for
// races itself.
var masarBinary = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "masar-test-")
	if err != nil {
		return "", err
	}
	binaryDir = dir
	path := filepath.Join(dir, "masar")
	args := []string{"build", "-o", path}
	if raceEnabled {
		args = append(args, "-race")
	}
	out, err := exec.Command("go", append(args, ".")...).CombinedOutput()
	if err != nil {
		return "", fmt.Errorf("building masar: %w\n%s", err, out)
	}
	return path, nil
})

var binaryDir string

func TestMain(m *testing.M) {
	code := m.Run()
	if binaryDir != "" {
		os.RemoveAll(binaryDir)
	}
	os.Exit(code)
}

// process is one run of the binary.
type process struct {
	t    testing.TB
	name string
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended and its output is read

	mu   sync.Mutex
	text bytes.Buffer  // standard output and error, as they came
	more chan struct{} // closed and replaced at each line
}

// launch starts the binary. What still runs at the end of the test is killed then.
func launch(t testing.TB, name string, args ...string) *process {
	t.Helper()
	path, err := masarBinary()
	if err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, name: name, cmd: exec.Command(path, args...), done: make(chan struct{}), more: make(chan struct{})}
	p.cmd.Dir = t.TempDir()
	r, w := io.Pipe()
	p.cmd.Stdout, p.cmd.Stderr = w, w
	// The test's own death takes its processes along.
	p.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		lines := bufio.NewReader(r)
		for {
			line, err := lines.ReadBytes('\n')
			p.mu.Lock()
			p.text.Write(line)
			close(p.more)
			p.more = make(chan struct{})
			p.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	go func() {
		p.cmd.Wait()
		w.Close()
		<-read
		close(p.done)
	}()
	t.Cleanup(func() {
		p.cmd.Process.Kill()
		<-p.done
		if t.Failed() && p.name != "" {
			t.Logf("--- %s (%s) said:\n%s", p.name, p.cmd.ProcessState, tail(p.output(), 4000))
		}
	})
	return p
}

func tail(s string, n int) string {
	if len(s) > n {
		return "...\n" + s[len(s)-n:]
	}
	return s
}

func (p *process) output() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.text.String()
}

// see waits until the process has said what re matches, after the first from octets of
// its output, and returns the match and its submatches.
func (p *process) see(re string, limit time.Duration) []string {
	p.t.Helper()
	m, _ := p.seeFrom(0, re, limit)
	return m
}

func (p *process) seeFrom(from int, re string, limit time.Duration) (match []string, end int) {
	p.t.Helper()
	want := regexp.MustCompile(re)
	late := time.NewTimer(limit)
	defer late.Stop()
	for {
		p.mu.Lock()
		text, more := p.text.Bytes()[from:], p.more
		at := want.FindSubmatchIndex(text)
		if at != nil {
			for i := 0; i < len(at); i += 2 {
				if at[i] < 0 {
					match = append(match, "")
					continue
				}
				match = append(match, string(text[at[i]:at[i+1]]))
			}
			p.mu.Unlock()
			return match, from + at[1]
		}
		p.mu.Unlock()
		select {
		case <-more:
		case <-p.done:
			if want.MatchString(p.output()[from:]) {
				continue
			}
			p.t.Fatalf("%s ended (%s) and never said %q", p.name, p.cmd.ProcessState, re)
		case <-late.C:
			p.t.Fatalf("%s did not say %q within %s", p.name, re, limit)
		}
	}
}

// ends waits for the end and returns the exit code.
func (p *process) ends(limit time.Duration) int {
	p.t.Helper()
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	case <-time.After(limit):
		p.t.Fatalf("%s still runs after %s", p.name, limit)
		return -1
	}
}

func (p *process) signal(s syscall.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		p.t.Fatalf("%s: %v: %v", p.name, s, err)
	}
}

// kill is kill -9, and returns when the process is gone.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.done
}

// resident is the process's resident memory in octets.
func (p *process) resident() int64 {
	p.t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		p.t.Fatal(err)
	}
	m := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(b)
	if m == nil {
		p.t.Fatal("no VmRSS: is the process gone?")
	}
	kb, _ := strconv.ParseInt(string(m[1]), 10, 64)
	return kb << 10
}

// freePort is one that nobody listened on a moment ago.
func freePort(t testing.TB) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// demoHash is bcrypt of "demo" at its least cost: logins are not what is measured here.
var demoHash = sync.OnceValue(func() string {
	b, err := bcrypt.GenerateFromPassword([]byte("demo"), bcrypt.MinCost)
	if err != nil {
		panic(err)
	}
	return string(b)
})

// site is one gateway's place: its folder, its file, its addresses.
type site struct {
	t       testing.TB
	dir     string // of the file
	data    string
	path    string
	smpp    string
	admin   string
	carrier string

	top, account, route, store, more string // further YAML, indented as its block wants
	carrierMore                      string
}

// newSite makes a place for a gateway whose one carrier, a, is at carrierAddr.
func newSite(t testing.TB, carrierAddr string) *site {
	t.Helper()
	dir, err := os.MkdirTemp("", "masar-") // short: a socket's path has a limit
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return &site{
		t: t, dir: dir, data: filepath.Join(dir, "data"), path: filepath.Join(dir, "masar.yaml"),
		smpp: freePort(t), admin: freePort(t), carrier: carrierAddr,
		carrierMore: "    window: 50\n", store: "  min_free: 0\n  ballast: 0\n",
	}
}

// write writes the configuration file.
func (s *site) write() {
	s.t.Helper()
	text := fmt.Sprintf(`node: test
data: %s
%slisten:
  - addr: %s
admin: {listen: %q}
store:
%saccounts:
  - system_id: load
    password_hash: %q
%scarriers:
  - name: a
    addr: %s
    system_id: masar
    password: secret
    binds: {transceiver: 2}
    reconnect: {min: 20ms, max: 200ms}
%sroutes:
  - carriers: [a]
%s%s`, s.data, s.top, s.smpp, s.admin, s.store, demoHash(), s.account, s.carrier, s.carrierMore, s.route, s.more)
	if err := os.WriteFile(s.path, []byte(text), 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// start writes the file, starts the gateway and returns when it is ready.
func (s *site) start() *process {
	s.t.Helper()
	p := s.launch()
	p.see(`msg=ready`, startLimit)
	return p
}

// launch starts the gateway and does not wait.
func (s *site) launch() *process {
	s.t.Helper()
	s.write()
	return launch(s.t, "gateway", "serve", "--config", s.path)
}

// startLimit is generous: the machine may be busy with other packages' tests.
const startLimit = 60 * time.Second

// get fetches an admin page.
func (s *site) get(path string) (int, string) {
	s.t.Helper()
	resp, err := http.Get("http://" + s.admin + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

// metric is the sum of a metric's series, those whose labels contain each of with.
func (s *site) metric(name string, with ...string) float64 {
	s.t.Helper()
	_, text := s.get("/metrics")
	sum := 0.0
	for line := range strings.Lines(text) {
		at := strings.LastIndexByte(line, ' ')
		base, labels, _ := strings.Cut(line[:max(at, 0)], "{")
		if base != name {
			continue
		}
		matches := true
		for _, w := range with {
			matches = matches && strings.Contains(labels, w)
		}
		v, err := strconv.ParseFloat(strings.TrimSpace(line[at+1:]), 64)
		if err != nil {
			s.t.Fatal(err)
		}
		if matches {
			sum += v
		}
	}
	return sum
}

// until asks again and again; for what no process tells of by itself.
func until(t testing.TB, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	end := time.Now().Add(limit)
	for !ok() {
		if time.Now().After(end) {
			t.Fatalf("not within %s: %s", limit, what)
		}
		<-tick.C
	}
}

// smsc starts a simulated carrier inside the test and returns its address.
func smsc(t testing.TB, o smpptest.SMSCOptions) (*smpptest.SMSC, string) {
	t.Helper()
	c, err := smpptest.NewSMSC(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	addr, err := c.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	return c, addr
}

// plainClient is a client made of nothing but the codec: it does what it is told and no
// more, so that a test can misbehave octet by octet.
type plainClient struct {
	t    testing.TB
	conn net.Conn
	in   *bufio.Reader
	seq  uint32

	delivered int // deliver_sm answered
}

func dialClient(t testing.TB, addr string) *plainClient {
	t.Helper()
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &plainClient{t: t, conn: conn, in: bufio.NewReaderSize(conn, 64<<10)}
}

// bindClient dials and binds as the account.
func bindClient(t testing.TB, addr string) *plainClient {
	t.Helper()
	c := dialClient(t, addr)
	h, _ := c.ask(pdu.CmdBindTransceiver, &pdu.Bind{SystemID: []byte("load"), Password: []byte("demo"), InterfaceVersion: 0x34})
	if h.Status != pdu.ESME_ROK {
		t.Fatalf("bind: %s", h.Status)
	}
	return c
}

// ask sends one request and returns its answer; receipts that come before it are answered.
func (c *plainClient) ask(cmd pdu.Command, body pdu.Body) (pdu.Header, []byte) {
	c.t.Helper()
	c.seq++
	seq := c.seq
	if _, err := c.conn.Write(pdu.Append(nil, cmd, pdu.ESME_ROK, seq, body)); err != nil {
		c.t.Fatal(err)
	}
	for {
		h, b := c.read(20 * time.Second)
		if h.Command.IsResponse() && h.Sequence == seq {
			return h, b
		}
		c.answer(h)
	}
}

func (c *plainClient) answer(h pdu.Header) {
	c.t.Helper()
	if h.Command.IsResponse() {
		return
	}
	var body pdu.Body
	if h.Command == pdu.CmdDeliverSM {
		c.delivered++
		body = &pdu.MessageResp{}
	}
	if _, err := c.conn.Write(pdu.Append(nil, h.Command.Resp(), pdu.ESME_ROK, h.Sequence, body)); err != nil {
		c.t.Fatal(err)
	}
}

// read returns the next PDU.
func (c *plainClient) read(limit time.Duration) (pdu.Header, []byte) {
	c.t.Helper()
	h, b, err := c.tryRead(limit)
	if err != nil {
		c.t.Fatal(err)
	}
	return h, b
}

func (c *plainClient) tryRead(limit time.Duration) (h pdu.Header, body []byte, err error) {
	c.conn.SetReadDeadline(time.Now().Add(limit))
	var head [pdu.HeaderLen]byte
	if _, err := io.ReadFull(c.in, head[:]); err != nil {
		return h, nil, err
	}
	h = pdu.ParseHeader(head[:])
	body = make([]byte, h.Length-pdu.HeaderLen)
	_, err = io.ReadFull(c.in, body)
	return h, body, err
}

// submit is a submit_sm of one part.
func submitTo(to, text string, receipt bool) *pdu.SubmitSM {
	sm := &pdu.SubmitSM{
		Source:       pdu.Address{TON: pdu.TONAlphanumeric, Addr: []byte("AHWAL")},
		Dest:         pdu.Address{TON: pdu.TONInternational, NPI: pdu.NPIISDN, Addr: []byte(to)},
		ShortMessage: []byte(text),
	}
	if receipt {
		sm.RegisteredDelivery = pdu.RegisteredFinal
	}
	return sm
}

// closedWithin waits for the peer to close the connection and says how long it took.
func (c *plainClient) closedWithin(limit time.Duration) (time.Duration, error) {
	began := time.Now()
	c.conn.SetReadDeadline(began.Add(limit))
	n, err := io.Copy(io.Discard, c.in)
	if err != nil && !strings.Contains(err.Error(), "reset") {
		return time.Since(began), fmt.Errorf("still open after %s (%d octets came): %w", time.Since(began), n, err)
	}
	return time.Since(began), nil
}
