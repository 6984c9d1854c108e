package gateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/crypto/bcrypt"

	"masar/queue"
	"masar/queue/pebble"
	"masar/smpp"
	"masar/smpp/pdu"
	"masar/smpp/smpptest"
	"masar/smpp/text"
)

// bubble runs f on virtual time: hours pass when everything sleeps. Clients, carriers and
// the store of a rig all stay inside it.
func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

// rig is a whole gateway in one process: the real store in memory, real sessions on both
// sides, carriers by smpptest.SMSC, all over in-memory connections.
type rig struct {
	t     *testing.T
	opt   rigOptions
	fs    vfs.FS
	store *pebble.Store
	gw    *Gateway
	srv   *smpp.Server
	log   *logBook
	reg   *prometheus.Registry
	smscs map[string]*smpptest.SMSC // by address

	mu    sync.Mutex
	down  map[string]bool // addresses that refuse connections
	ports uint16
}

// rigOptions say what a rig differs in. The zero value is one account "acme" (password
// "secret"), one route to one carrier "a" of one bind.
type rigOptions struct {
	Setup   func(s *Setup)
	Options func(o *Options)
	Store   func(o *pebble.Options)
	SMSC    map[string]smpptest.SMSCOptions // by address; "a:1" is there anyway
	FS      vfs.FS                          // nil: a new one
}

// secretHash opens with "secret". Its cost is the least there is: tests bind often.
var secretHash = sync.OnceValue(func() string {
	h, err := bcrypt.GenerateFromPassword([]byte("secret"), bcrypt.MinCost)
	if err != nil {
		panic(err)
	}
	return string(h)
})

// rigTimers send no enquire_link, so that a scripted peer may sleep for days.
var rigTimers = smpp.Timers{SessionInit: 10 * time.Second, Response: 10 * time.Second}

func acme() Account {
	return Account{SystemID: "acme", PasswordHash: []string{secretHash()}, Class: queue.Normal, Codings: text.Codings{One: text.ASCII}}
}

func carrierAt(name, addr string) Carrier {
	return Carrier{
		Name: name, Addrs: []string{addr}, SystemID: "masar", Password: "secret", Transceivers: 1, Window: 100,
		Timers: rigTimers, Codings: text.Codings{One: text.ASCII}, Identity: name,
		Backoff: smpp.Backoff{Min: 100 * time.Millisecond, Max: time.Second, Factor: 2, Refused: time.Second, AlreadyBound: time.Second},
	}
}

func rigSetup() Setup {
	return Setup{
		Accounts:     []Account{acme()},
		Carriers:     []Carrier{carrierAt("a", "a:1")},
		Routes:       []Route{{Carriers: []RouteCarrier{{Name: "a"}}}},
		RefusalDelay: time.Millisecond,
	}
}

// newRig starts a rig and stops it when the test ends.
func newRig(t *testing.T, o rigOptions) *rig {
	t.Helper()
	r := &rig{t: t, opt: o, fs: o.FS, log: new(logBook), smscs: map[string]*smpptest.SMSC{}, down: map[string]bool{}}
	if r.fs == nil {
		r.fs = vfs.NewMem()
	}
	all := map[string]smpptest.SMSCOptions{"a:1": {}}
	for addr, so := range o.SMSC {
		all[addr] = so
	}
	for addr, so := range all {
		smsc, err := smpptest.NewSMSC(so)
		if err != nil {
			t.Fatal(err)
		}
		r.smscs[addr] = smsc
	}
	r.start()
	t.Cleanup(func() {
		r.stop()
		for _, s := range r.smscs {
			s.Close()
		}
	})
	return r
}

func (r *rig) start() {
	r.t.Helper()
	r.reg = prometheus.NewRegistry()
	so := pebble.Options{
		Dir: "data", FS: r.fs, Log: slog.New(slog.DiscardHandler), MinFree: -1, Ballast: -1, CacheBytes: 1 << 20,
		Fatal: func(err error) { panic(err) },
	}
	if r.opt.Store != nil {
		r.opt.Store(&so)
	}
	var err error
	if r.store, err = pebble.Open(context.Background(), so); err != nil {
		r.t.Fatal(err)
	}
	o := Options{
		Store: r.store, Full: r.store.Full, Log: slog.New(r.log), Registerer: r.reg, Timers: rigTimers, Dial: r.dial,
		Drain: time.Second, Setup: rigSetup(),
	}
	if r.opt.Setup != nil {
		r.opt.Setup(&o.Setup)
	}
	if r.opt.Options != nil {
		r.opt.Options(&o)
	}
	if r.gw, err = Start(context.Background(), o); err != nil {
		r.store.Close()
		r.t.Fatal(err)
	}
	r.srv = smpp.NewServer(r.gw.serverOptions(&Listener{}))
	r.gw.servers = append(r.gw.servers, r.srv)
}

func (r *rig) stop() {
	if r.gw == nil {
		return
	}
	if err := r.gw.Close(context.Background()); err != nil {
		r.t.Errorf("gateway.Close: %v", err)
	}
	if err := r.store.Close(); err != nil {
		r.t.Errorf("store.Close: %v", err)
	}
	r.gw = nil
}

// restart stops the gateway and starts it on the same data.
func (r *rig) restart() {
	r.t.Helper()
	r.stop()
	r.start()
}

// dial connects a carrier's bind.
func (r *rig) dial(_ context.Context, _, addr string) (net.Conn, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	smsc := r.smscs[addr]
	if smsc == nil || r.down[addr] {
		return nil, fmt.Errorf("dial %s: connection refused", addr)
	}
	ours, theirs := smpptest.Pipe(256<<10, netip.MustParseAddrPort("10.9.0.1:40000"))
	smsc.ServeConn(theirs)
	return ours, nil
}

// refuse makes a carrier's address refuse connections, and drops those there are; or ends
// that. It returns when the gateway has noticed the drop.
func (r *rig) refuse(addr string, yes bool) {
	r.t.Helper()
	r.mu.Lock()
	r.down[addr] = yes
	if yes {
		r.smscs[addr].DropConnections()
	}
	r.mu.Unlock()
	if !yes {
		return
	}
	r.wait("the carrier is down", func() bool {
		for _, c := range r.gw.world.Load().carriers {
			if slices.Contains(c.opt.Addrs, addr) && c.downSince.Load() == 0 {
				return false
			}
		}
		return true
	})
}

// wait waits until ok, at most a minute of the test's clock.
func (r *rig) wait(what string, ok func() bool) {
	r.t.Helper()
	waitUntil(r.t, what, ok)
}

func waitUntil(t *testing.T, what string, ok func() bool) {
	t.Helper()
	deadline := time.Now().Add(time.Minute)
	for !ok() {
		if time.Now().After(deadline) {
			t.Fatalf("not within a minute: %s", what)
		}
		time.Sleep(5 * time.Millisecond) // virtual inside a bubble
	}
}

// carrierUp waits until a carrier's binds are there.
func (r *rig) carrierUp(names ...string) {
	r.t.Helper()
	r.wait("carriers bound", func() bool {
		for _, name := range names {
			c := r.gw.world.Load().carriers[name]
			if c == nil || c.downSince.Load() != 0 {
				return false
			}
		}
		return true
	})
}

// metric is the sum of all series of a metric whose labels hold the given key=value pairs.
func (r *rig) metric(name string, labels ...string) float64 {
	r.t.Helper()
	families, err := r.reg.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	sum, found := 0.0, false
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		found = true
	series:
		for _, m := range f.GetMetric() {
			have := map[string]string{}
			for _, l := range m.GetLabel() {
				have[l.GetName()] = l.GetValue()
			}
			for _, want := range labels {
				k, v, _ := strings.Cut(want, "=")
				if have[k] != v {
					continue series
				}
			}
			switch {
			case m.Counter != nil:
				sum += m.GetCounter().GetValue()
			case m.Gauge != nil:
				sum += m.GetGauge().GetValue()
			case m.Histogram != nil:
				sum += float64(m.GetHistogram().GetSampleCount())
			}
		}
	}
	if !found && !strings.HasPrefix(name, "masar_") {
		r.t.Fatalf("no metric is called %s", name)
	}
	return sum
}

// peer is a scripted client: it sends exactly what it is told and expects exactly what comes.
type peer struct {
	t    *testing.T
	conn net.Conn
	seq  uint32
}

// connect opens a connection to the gateway from an address ("10.1.2.3"; "": any).
func (r *rig) connect(from string) *peer {
	r.t.Helper()
	if from == "" {
		from = "10.0.0.7"
	}
	r.mu.Lock()
	r.ports++
	port := 40000 + r.ports
	r.mu.Unlock()
	client, server := smpptest.Pipe(256<<10, netip.AddrPortFrom(netip.MustParseAddr(from), port))
	r.srv.ServeConn(server)
	r.t.Cleanup(func() { client.Close() })
	return &peer{t: r.t, conn: client}
}

// bind connects and binds as an account whose password is "secret".
func (r *rig) bind(mode pdu.Command, systemID string) *peer {
	r.t.Helper()
	p := r.connect("")
	p.send(mode, &pdu.Bind{SystemID: []byte(systemID), Password: []byte("secret"), InterfaceVersion: 0x34})
	if h, _ := p.expect(mode.Resp()); h.Status != pdu.ESME_ROK {
		r.t.Fatalf("bind of %s: %v", systemID, h.Status)
	}
	return p
}

func (r *rig) transceiver() *peer { r.t.Helper(); return r.bind(pdu.CmdBindTransceiver, "acme") }
func (r *rig) transmitter() *peer { r.t.Helper(); return r.bind(pdu.CmdBindTransmitter, "acme") }
func (r *rig) receiver() *peer    { r.t.Helper(); return r.bind(pdu.CmdBindReceiver, "acme") }

// play plays a smpptest.Dialogue on the connection.
func (p *peer) play(script string) {
	p.t.Helper()
	d, err := smpptest.ParseDialogue(script)
	if err != nil {
		p.t.Fatal(err)
	}
	d.Play(p.t, p.conn, func(l smpptest.Line) error { return fmt.Errorf("unknown order %s", l.Name) })
}

// send sends a request and returns its sequence_number.
func (p *peer) send(cmd pdu.Command, body pdu.Body) uint32 {
	p.t.Helper()
	p.seq++
	p.write(pdu.Append(nil, cmd, pdu.ESME_ROK, p.seq, body))
	return p.seq
}

// answer answers a request of the gateway's.
func (p *peer) answer(h pdu.Header, st pdu.Status) {
	p.t.Helper()
	var body pdu.Body
	if st == pdu.ESME_ROK && h.Command == pdu.CmdDeliverSM {
		body = &pdu.MessageResp{}
	}
	p.write(pdu.Append(nil, h.Command.Resp(), st, h.Sequence, body))
}

func (p *peer) write(octets []byte) {
	p.t.Helper()
	p.conn.SetWriteDeadline(time.Now().Add(time.Minute))
	if _, err := p.conn.Write(octets); err != nil {
		p.t.Fatal(err)
	}
}

var errNothing = errors.New("nothing came")

// read is the next PDU; errNothing when none comes in time, io.EOF at the end.
func (p *peer) read(within time.Duration) (pdu.Header, []byte, error) {
	p.conn.SetReadDeadline(time.Now().Add(within))
	head := make([]byte, pdu.HeaderLen)
	if _, err := io.ReadFull(p.conn, head); err != nil {
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = errNothing
		}
		return pdu.Header{}, nil, err
	}
	h := pdu.ParseHeader(head)
	body := make([]byte, h.Length-pdu.HeaderLen)
	_, err := io.ReadFull(p.conn, body)
	return h, body, err
}

// expect is the next PDU, which must be cmd and come within ten seconds.
func (p *peer) expect(cmd pdu.Command) (pdu.Header, pdu.Body) {
	p.t.Helper()
	return p.expectWithin(cmd, 10*time.Second)
}

func (p *peer) expectWithin(cmd pdu.Command, within time.Duration) (pdu.Header, pdu.Body) {
	p.t.Helper()
	h, octets, err := p.read(within)
	if err != nil {
		p.t.Fatalf("awaiting %v: %v", cmd, err)
	}
	if h.Command != cmd {
		p.t.Fatalf("awaiting %v: came %s", cmd, smpptest.Describe(h, octets))
	}
	body := pdu.NewBody(cmd)
	if body != nil {
		if err := body.Decode(octets); err != nil {
			p.t.Fatalf("%v: %v", cmd, err)
		}
	}
	return h, body
}

// quiet fails when anything comes within d.
func (p *peer) quiet(d time.Duration) {
	p.t.Helper()
	if h, octets, err := p.read(d); !errors.Is(err, errNothing) {
		p.t.Fatalf("awaited nothing for %s: came %s (%v)", d, smpptest.Describe(h, octets), err)
	}
}

// gone waits for the end of the connection.
func (p *peer) gone() {
	p.t.Helper()
	for {
		if _, _, err := p.read(10 * time.Second); err != nil {
			if !errors.Is(err, io.EOF) {
				p.t.Fatalf("the connection does not end: %v", err)
			}
			return
		}
	}
}

// sms is a submit_sm that every rule allows; f may change it.
func sms(f func(p *pdu.SubmitSM)) *pdu.SubmitSM {
	p := &pdu.SubmitSM{
		Source:       pdu.Address{TON: pdu.TONAlphanumeric, Addr: []byte("AHWAL")},
		Dest:         pdu.Address{TON: pdu.TONInternational, NPI: pdu.NPIISDN, Addr: []byte("966501234567")},
		ShortMessage: []byte("hello"),
	}
	if f != nil {
		f(p)
	}
	return p
}

// submit submits and returns the message_id; the answer must be ESME_ROK.
func (p *peer) submit(f func(p *pdu.SubmitSM)) string {
	p.t.Helper()
	seq := p.send(pdu.CmdSubmitSM, sms(f))
	h, body := p.expect(pdu.CmdSubmitSM.Resp())
	if h.Status != pdu.ESME_ROK || h.Sequence != seq {
		p.t.Fatalf("submit_sm %d: answer %d %v", seq, h.Sequence, h.Status)
	}
	return string(body.(*pdu.MessageResp).MessageID)
}

// submitted submits and returns the status of the answer.
func (p *peer) submitted(f func(p *pdu.SubmitSM)) pdu.Status {
	p.t.Helper()
	p.send(pdu.CmdSubmitSM, sms(f))
	h, _ := p.expect(pdu.CmdSubmitSM.Resp())
	return h.Status
}

// deliver awaits a deliver_sm and acknowledges it.
func (p *peer) deliver() *pdu.DeliverSM {
	p.t.Helper()
	h, body := p.expect(pdu.CmdDeliverSM)
	p.answer(h, pdu.ESME_ROK)
	return body.(*pdu.DeliverSM)
}

// fields are the fields of a receipt's text by name, "text" being the rest.
func fields(p *pdu.DeliverSM) map[string]string {
	out := map[string]string{}
	s := string(p.ShortMessage)
	names := []string{"id:", "sub:", "dlvrd:", "submit date:", "done date:", "stat:", "err:", "text:"}
	for i, name := range names {
		at := strings.Index(strings.ToLower(s), name)
		if at < 0 {
			continue
		}
		end := len(s)
		if i+1 < len(names) {
			if next := strings.Index(strings.ToLower(s), " "+names[i+1]); next > at {
				end = next
			}
		}
		out[strings.TrimSuffix(name, ":")] = s[at+len(name) : end]
	}
	return out
}

// receipt awaits a receipt, acknowledges it and returns its fields.
func (p *peer) receipt() map[string]string {
	p.t.Helper()
	d := p.deliver()
	if d.ESMClass&pdu.ESMClassReceipt == 0 {
		p.t.Fatalf("esm_class 0x%02x is no receipt's: %q", d.ESMClass, d.ShortMessage)
	}
	return fields(d)
}

// logBook keeps what was logged.
type logBook struct {
	mu    sync.Mutex
	lines []logLine
}

type logLine struct {
	level slog.Level
	msg   string
	attrs map[string]string
}

func (l logLine) String() string { return fmt.Sprint(l.level, " ", l.msg, " ", l.attrs) }

type logHandler struct {
	book  *logBook
	attrs []slog.Attr
}

func (b *logBook) Enabled(context.Context, slog.Level) bool { return true }
func (b *logBook) WithAttrs(a []slog.Attr) slog.Handler     { return &logHandler{b, a} }
func (b *logBook) WithGroup(string) slog.Handler            { return b }
func (b *logBook) Handle(ctx context.Context, r slog.Record) error {
	return (&logHandler{book: b}).Handle(ctx, r)
}

func (h *logHandler) Enabled(context.Context, slog.Level) bool { return true }
func (h *logHandler) WithGroup(string) slog.Handler            { return h }
func (h *logHandler) WithAttrs(a []slog.Attr) slog.Handler {
	return &logHandler{h.book, append(slices.Clone(h.attrs), a...)}
}

func (h *logHandler) Handle(_ context.Context, r slog.Record) error {
	line := logLine{r.Level, r.Message, map[string]string{}}
	for _, a := range h.attrs {
		line.attrs[a.Key] = a.Value.Resolve().String()
	}
	r.Attrs(func(a slog.Attr) bool {
		line.attrs[a.Key] = a.Value.Resolve().String()
		return true
	})
	h.book.mu.Lock()
	defer h.book.mu.Unlock()
	h.book.lines = append(h.book.lines, line)
	return nil
}

// find lists the lines with a message and key=value attributes.
func (b *logBook) find(msg string, attrs ...string) []logLine {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []logLine
lines:
	for _, l := range b.lines {
		if l.msg != msg {
			continue
		}
		for _, a := range attrs {
			k, v, _ := strings.Cut(a, "=")
			if l.attrs[k] != v {
				continue lines
			}
		}
		out = append(out, l)
	}
	return out
}

func (b *logBook) all() []logLine {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.lines)
}

func discard() *slog.Logger { return slog.New(slog.DiscardHandler) }

// scriptDial gives the test the other end of each connection a carrier's bind makes.
func scriptDial(t *testing.T, conns chan<- *peer) func(context.Context, string, string) (net.Conn, error) {
	return func(context.Context, string, string) (net.Conn, error) {
		ours, theirs := smpptest.Pipe(256<<10, netip.MustParseAddrPort("10.9.0.1:40000"))
		conns <- &peer{t: t, conn: theirs}
		return ours, nil
	}
}
