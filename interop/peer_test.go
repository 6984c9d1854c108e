package interop

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"masar/smpp/pdu"
)

// patience is how long an event may take that is on its way.
const patience = 15 * time.Second

// missing says that a tool is not there: the test is skipped, or fails where MASAR_CI
// says that everything is installed.
func missing(t *testing.T, what, cure string) {
	t.Helper()
	if os.Getenv("MASAR_CI") != "" {
		t.Fatalf("MASAR_CI is set and %s is missing: %s", what, cure)
	}
	t.Skipf("%s is not installed, so nothing is compared with it: %s", what, cure)
}

// fields are a PDU's parameters by the names of the specification. Octets are
// hexField, a text that the peer's library encodes or has decoded a textField.
type fields map[string]any

func hexField(b []byte) map[string]any { return map[string]any{"hex": hex.EncodeToString(b)} }

// reading is a PDU as a peer's library has read it.
type reading struct {
	Command  string         `json:"command"`
	ID       uint32         `json:"id"`
	Length   uint32         `json:"length"`
	Code     uint32         `json:"status"`
	Sequence uint32         `json:"sequence"`
	Fields   map[string]any `json:"fields"`
	session  string
}

func (r *reading) status() pdu.Status { return pdu.Status(r.Code) }

func (r *reading) text(name string) string {
	switch v := r.Fields[name].(type) {
	case string:
		return v
	case float64: // Perl does not tell 1090 from "1090"
		return fmt.Sprint(v)
	}
	return ""
}

func (r *reading) number(name string) int {
	if f, ok := r.Fields[name].(float64); ok {
		return int(f)
	}
	return -1
}

// octets are what the library left as octets.
func (r *reading) octets(name string) []byte {
	m, _ := r.Fields[name].(map[string]any)
	s, _ := m["hex"].(string)
	b, _ := hex.DecodeString(s)
	return b
}

// event is one line of a peer.
type event struct {
	Event   string   `json:"event"`
	Session string   `json:"session"`
	Tag     string   `json:"tag"`
	Port    int      `json:"port"`
	Error   string   `json:"error"`
	PDU     *reading `json:"pdu"`
}

func (e *event) String() string {
	b, err := json.Marshal(e)
	if err != nil {
		return err.Error()
	}
	return string(b)
}

// peer is a process that speaks SMPP with somebody else's library.
type peer struct {
	name  string
	stdin io.WriteCloser
	tags  int

	mu     sync.Mutex
	events []*event
	ended  bool
	stderr strings.Builder
	news   chan struct{} // 1 deep: events or ended changed
}

// startPeer starts a peer, which ends with the test.
func startPeer(t *testing.T, name, dir, program string, args ...string) *peer {
	t.Helper()
	p := &peer{name: name, news: make(chan struct{}, 1)}
	cmd := exec.Command(program, args...)
	cmd.Dir = dir
	var err error
	if p.stdin, err = cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	var reading sync.WaitGroup
	reading.Go(func() { p.listen(stdout) })
	reading.Go(func() {
		lines := bufio.NewScanner(stderr)
		for lines.Scan() {
			p.mu.Lock()
			p.stderr.WriteString(lines.Text() + "\n")
			p.mu.Unlock()
		}
	})
	t.Cleanup(func() {
		p.stdin.Close() // the peer ends with its input
		kill := time.AfterFunc(patience, func() { cmd.Process.Kill() })
		reading.Wait()
		err := cmd.Wait()
		kill.Stop()
		if err != nil || t.Failed() {
			t.Logf("%s ended: %v\n%s", name, err, p.stderr.String())
		}
	})
	return p
}

func (p *peer) listen(stdout io.Reader) {
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		e := new(event)
		if err := json.Unmarshal(lines.Bytes(), e); err != nil {
			e = &event{Event: "error", Error: fmt.Sprintf("not an event: %q: %v", lines.Bytes(), err)}
		}
		if e.PDU != nil {
			e.PDU.session = e.Session
		}
		p.mu.Lock()
		p.events = append(p.events, e)
		p.mu.Unlock()
		p.tell()
	}
	p.mu.Lock()
	p.ended = true
	p.mu.Unlock()
	p.tell()
}

func (p *peer) tell() {
	select {
	case p.news <- struct{}{}:
	default:
	}
}

// do sends one command.
func (p *peer) do(t *testing.T, command map[string]any) {
	t.Helper()
	b, err := json.Marshal(command)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.stdin.Write(append(b, '\n')); err != nil {
		t.Fatalf("%s: %v", p.name, err)
	}
}

// await takes the first event that fits out of those that came, or waits for it.
func (p *peer) await(t *testing.T, what string, fits func(*event) bool) *event {
	t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	for {
		p.mu.Lock()
		for i, e := range p.events {
			if e.Event == "error" && e.Session == "" {
				p.mu.Unlock()
				t.Fatalf("%s: %s", p.name, e.Error)
			}
			if fits(e) {
				p.events = append(p.events[:i:i], p.events[i+1:]...)
				p.mu.Unlock()
				return e
			}
		}
		ended := p.ended
		rest := fmt.Sprint(p.events)
		p.mu.Unlock()
		if ended {
			t.Fatalf("%s ended while %s was awaited; there was %s", p.name, what, rest)
		}
		select {
		case <-p.news:
		case <-late.C:
			t.Fatalf("%s: no %s within %v; there was %s", p.name, what, patience, rest)
		}
	}
}

// none fails if an event that fits has come.
func (p *peer) none(t *testing.T, what string, fits func(*event) bool) {
	t.Helper()
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, e := range p.events {
		if fits(e) {
			t.Errorf("%s has %s: %v", p.name, what, e)
		}
	}
}

// listens opens the peer's SMSC and returns its port.
func (p *peer) listens(t *testing.T) int {
	t.Helper()
	p.do(t, map[string]any{"do": "listen"})
	return p.await(t, "port", func(e *event) bool { return e.Event == "listening" }).Port
}

func (p *peer) connects(t *testing.T, session string, port int) {
	t.Helper()
	p.do(t, map[string]any{"do": "connect", "session": session, "port": port})
	p.await(t, "connection "+session, func(e *event) bool { return e.Event == "connected" && e.Session == session })
}

// sends sends a request and returns how its answer is found.
func (p *peer) sends(t *testing.T, session, command string, f fields) (tag string) {
	t.Helper()
	p.tags++
	tag = fmt.Sprintf("%s %d", command, p.tags)
	p.do(t, map[string]any{"do": "send", "session": session, "command": command, "fields": f, "tag": tag})
	return tag
}

func (p *peer) answered(t *testing.T, tag string) *reading {
	t.Helper()
	return p.await(t, "answer to "+tag, func(e *event) bool { return e.Event == "answer" && e.Tag == tag }).PDU
}

// asks sends a request and awaits its answer, which has this status.
func (p *peer) asks(t *testing.T, session, command string, f fields, want pdu.Status) *reading {
	t.Helper()
	r := p.answered(t, p.sends(t, session, command, f))
	if r.status() != want {
		t.Fatalf("%s: %s is answered with %v, want %v", p.name, command, r.status(), want)
	}
	if wantID := command + "_resp"; r.Command != wantID {
		t.Fatalf("%s: %s is answered with %s", p.name, command, r.Command)
	}
	return r
}

// takes awaits a request.
func (p *peer) takes(t *testing.T, command string) *reading {
	t.Helper()
	return p.await(t, command, func(e *event) bool { return e.Event == "pdu" && e.PDU.Command == command }).PDU
}

// answers answers a request that it took.
func (p *peer) answers(t *testing.T, r *reading, st pdu.Status, f fields) {
	t.Helper()
	if f == nil {
		f = fields{}
	}
	p.do(t, map[string]any{"do": "answer", "session": r.session, "command": r.Command, "sequence": r.Sequence, "status": uint32(st), "fields": f})
}

func (p *peer) closed(t *testing.T, session string) {
	t.Helper()
	p.await(t, "end of "+session, func(e *event) bool { return e.Event == "closed" && e.Session == session })
}
