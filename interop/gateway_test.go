package interop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"text/template"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// built is bin of `masar`, made once for all tests of a run.
var built struct {
	once sync.Once
	dir  string
	path string
	err  error
}

// buildFlags: a tree whose owner git distrusts builds all the same.
var buildFlags = []string{"-buildvcs=false"}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

func gatewayBinary(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if built.dir, built.err = os.MkdirTemp("", "masar"); built.err != nil {
			return
		}
		built.path = filepath.Join(built.dir, "masar")
		out, err := exec.Command("go", slices.Concat([]string{"build", "-o", built.path}, buildFlags, []string{"masar/cmd/masar"})...).CombinedOutput()
		if err != nil {
			built.err = fmt.Errorf("go build: %w\n%s", err, out)
		}
	})
	if built.err != nil {
		t.Fatal(built.err)
	}
	return built.path
}

const (
	accountID = "interop"
	password  = "pass1234" // eight octets, the longest there is
	shortCode = "1090"
)

// One account, one carrier with one bind. The carrier's ids are hex in its responses and
// decimal in its receipts; the account's data_coding 1 is GSM, because that is what
// node-smpp sends under that number.
var config = template.Must(template.New("masar.yaml").Parse(`
node: interop
data: {{.Data}}
listen: [{addr: "127.0.0.1:{{.Port}}"}]
admin: {listen: "off"}
log: {format: json, level: debug}
store: {min_free: 0, ballast: 0}
retry: {default: [1s]}
accounts:
  - system_id: {{.Account}}
    password_hash: "{{.Hash}}"
    data_coding_1: gsm
    max_parts: 20
carriers:
  - name: peer
    addr: "127.0.0.1:{{.Carrier}}"
    system_id: {{.CarrierID}}
    password: {{.CarrierPassword}}
    binds: {transceiver: 1}
    window: 20
    segmentation: {{.Segmentation}}
    timers: {enquire_link: {{.EnquireLink}}}
    reconnect: {min: 50ms, max: 200ms}
    receipts: {id: {resp: hex, receipt: decimal}}
routes: [{carriers: [peer]}]
mobile_originated: [{to: "{{.ShortCode}}", account: {{.Account}}}]
`))

// settings are what differs between the tests.
type settings struct {
	Carrier                    int // port of the carrier
	CarrierID, CarrierPassword string
	Segmentation               string        // udh8 where empty
	EnquireLink                time.Duration // towards the carrier; 500ms where 0

	Data, Account, Hash, ShortCode string // filled in
	Port                           int
}

// gateway is a running masar serve.
type gateway struct {
	port  int
	cmd   *exec.Cmd
	ended chan struct{}

	mu   sync.Mutex
	log  bytes.Buffer
	seen map[string]int // log messages
	news chan struct{}
}

// startGateway runs the daemon and returns once it listens. It is killed at the end of
// the test if it has not stopped by then.
func startGateway(t *testing.T, s settings) *gateway {
	t.Helper()
	path := gatewayBinary(t)
	// Not t.TempDir: the name of its admin.sock would be too long for a socket.
	dir, err := os.MkdirTemp("", "masar")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	hash, err := bcrypt.GenerateFromPassword([]byte(password), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	if s.Segmentation == "" {
		s.Segmentation = "udh8"
	}
	if s.EnquireLink == 0 {
		s.EnquireLink = 500 * time.Millisecond
	}
	s.Data, s.Account, s.Hash, s.ShortCode, s.Port = filepath.Join(dir, "data"), accountID, string(hash), shortCode, freePort(t)
	var text bytes.Buffer
	if err := config.Execute(&text, s); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "masar.yaml")
	if err := os.WriteFile(file, text.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	g := &gateway{port: s.Port, cmd: exec.Command(path, "serve", "--config", file), ended: make(chan struct{}), seen: map[string]int{}, news: make(chan struct{}, 1)}
	stderr, err := g.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := g.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(g.ended)
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			g.heard(lines.Bytes())
		}
		g.cmd.Wait()
	}()
	t.Cleanup(func() {
		g.cmd.Process.Kill()
		<-g.ended
		if t.Failed() {
			t.Logf("the gateway's log:\n%s", g.log.Bytes())
		}
	})
	g.said(t, "ready")
	return g
}

func (g *gateway) heard(line []byte) {
	var entry struct {
		Message string `json:"msg"`
	}
	json.Unmarshal(line, &entry) // what is no JSON has no message, and is in the log
	g.mu.Lock()
	g.log.Write(append(line, '\n'))
	g.seen[entry.Message]++
	g.mu.Unlock()
	select {
	case g.news <- struct{}{}:
	default:
	}
}

// said waits until the gateway has logged this message.
func (g *gateway) said(t *testing.T, message string) {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		g.mu.Lock()
		n := g.seen[message]
		g.mu.Unlock()
		if n > 0 {
			return
		}
		select {
		case <-g.news:
		case <-g.ended:
			t.Fatalf("the gateway ended before %q", message)
		case <-late.C:
			t.Fatalf("the gateway does not log %q", message)
		}
	}
}

// terminate sends SIGTERM; stopped awaits the orderly end.
func (g *gateway) terminate(t *testing.T) {
	t.Helper()
	if err := g.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
}

func (g *gateway) stopped(t *testing.T) {
	t.Helper()
	select {
	case <-g.ended:
	case <-time.After(patience):
		t.Fatal("the gateway does not end")
	}
	if code := g.cmd.ProcessState.ExitCode(); code != 0 {
		t.Errorf("the gateway ends with exit code %d", code)
	}
}
