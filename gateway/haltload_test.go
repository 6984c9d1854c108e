package gateway

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/queue"
	"masar/queue/pebble"
	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

// loadRig is a gateway over real sockets: three accounts submit three services each at full
// speed, each message to a number of its own; two simulated carriers share them.
type loadRig struct {
	*rig
	addr string // of the gateway's listener

	next     atomic.Int64 // numbers of messages
	accepted sync.Map     // number -> loadKind
	over     chan struct{}
	clients  sync.WaitGroup

	mu   sync.Mutex
	seen map[string]*loadSeen
}

type loadKind struct{ account, service string }

type loadSeen struct {
	kind  loadKind
	times []time.Time
}

var (
	loadAccounts = []string{"load0", "load1", "load2"}
	loadServices = []string{"AAAAA", "BBBBB", "CCCCC"}
)

func newLoadRig(t *testing.T, fs vfs.FS, dir string) *loadRig {
	t.Helper()
	l := &loadRig{seen: map[string]*loadSeen{}, over: make(chan struct{})}
	var addrs []string
	for range 2 {
		smsc, err := smpptest.NewSMSC(smpptest.SMSCOptions{Latency: 5 * time.Millisecond, Jitter: 3 * time.Millisecond, OnSubmit: l.heard})
		if err != nil {
			t.Fatal(err)
		}
		addr, err := smsc.Listen("127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { smsc.Close() })
		addrs = append(addrs, addr)
	}
	file := filepath.Join(t.TempDir(), "halts.json")
	l.rig = newRig(t, rigOptions{
		FS:    fs,
		Store: func(o *pebble.Options) { o.Dir = dir; o.CacheBytes = 16 << 20 },
		Setup: func(s *Setup) {
			s.Accounts, s.Carriers = nil, nil
			for i, name := range loadAccounts {
				s.Accounts = append(s.Accounts, likeAcme(name, func(a *Account) { a.Class = queue.Class(i) }))
			}
			for i, addr := range addrs {
				c := carrierAt(string(rune('a'+i)), addr)
				c.Transceivers, c.Window = 2, 50
				s.Carriers = append(s.Carriers, c)
			}
			s.Routes = []Route{{Carriers: []RouteCarrier{{Name: "a"}, {Name: "b"}}}}
		},
		Options: func(o *Options) { o.Dial = nil; o.HaltFile = file },
	})
	l.listen()
	l.carrierUp("a", "b")
	t.Cleanup(l.stopLoad)
	return l
}

// listen opens the gateway's port.
func (l *loadRig) listen() {
	l.t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		l.t.Fatal(err)
	}
	l.addr = ln.Addr().String()
	go l.srv.Serve(ln)
}

// heard notes what arrives at a carrier, and when.
func (l *loadRig) heard(s *smpptest.Submit) {
	p, ok := s.Body.(*pdu.SubmitSM)
	if !ok {
		return
	}
	now := time.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	dest := string(p.Dest.Addr)
	x := l.seen[dest]
	if x == nil {
		x = &loadSeen{kind: loadKind{string(p.Source.Addr), string(p.ServiceType)}}
		l.seen[dest] = x
	}
	x.times = append(x.times, now)
}

// submitLoad has every account submit at full speed, window 200, until stopLoad.
func (l *loadRig) submitLoad() {
	for _, account := range loadAccounts {
		l.clients.Go(func() {
			if err := l.client(account); err != nil {
				l.t.Errorf("client %s: %v", account, err)
			}
		})
	}
}

func (l *loadRig) stopLoad() {
	select {
	case <-l.over:
	default:
		close(l.over)
	}
	l.clients.Wait()
	l.over = make(chan struct{})
}

func (l *loadRig) client(account string) error {
	conn, err := net.Dial("tcp", l.addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	out := bufio.NewWriterSize(conn, 32<<10)
	out.Write(pdu.Append(nil, pdu.CmdBindTransmitter, pdu.ESME_ROK, 1, &pdu.Bind{SystemID: []byte(account), Password: []byte("secret"), InterfaceVersion: 0x34}))
	if err := out.Flush(); err != nil {
		return err
	}
	const window = 200
	slots := make(chan struct{}, window)
	var sent sync.Map // sequence_number -> number
	ended := make(chan error, 1)
	go func() {
		in := bufio.NewReaderSize(conn, 32<<10)
		head := make([]byte, pdu.HeaderLen)
		for {
			if _, err := io.ReadFull(in, head); err != nil {
				ended <- err
				return
			}
			h := pdu.ParseHeader(head)
			in.Discard(int(h.Length) - pdu.HeaderLen)
			if h.Command != pdu.CmdSubmitSM.Resp() {
				continue
			}
			n, _ := sent.LoadAndDelete(h.Sequence)
			if m := n.(loadMessage); h.Status == pdu.ESME_ROK {
				l.accepted.Store(m.dest, m.loadKind)
			}
			<-slots
		}
	}()
	for seq := uint32(2); ; seq++ {
		select {
		case <-l.over:
			if err := out.Flush(); err != nil {
				return err
			}
			for range window { // every answer has come
				select {
				case slots <- struct{}{}:
				case err := <-ended:
					return err
				case <-time.After(20 * time.Second):
					return fmt.Errorf("submits without an answer")
				}
			}
			return nil
		case err := <-ended:
			return err
		case slots <- struct{}{}:
		default: // the window is full: let go what is written
			if err := out.Flush(); err != nil {
				return err
			}
			select {
			case slots <- struct{}{}:
			case err := <-ended:
				return err
			}
		}
		n := l.next.Add(1)
		m := loadMessage{fmt.Sprintf("96650%08d", n), loadKind{account, loadServices[n%3]}}
		sent.Store(seq, m)
		out.Write(pdu.Append(nil, pdu.CmdSubmitSM, pdu.ESME_ROK, seq, sms(func(p *pdu.SubmitSM) {
			p.Source.Addr, p.Dest.Addr, p.ServiceType = []byte(account), []byte(m.dest), []byte(m.service)
		})))
	}
}

type loadMessage struct {
	dest string
	loadKind
}

// between counts what arrived at the carriers in a span of time, of those in scope and of
// the others, and the latest of those in scope.
func (l *loadRig) between(from, to time.Time, in func(loadKind) bool) (scoped, others int, last time.Time) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range l.seen {
		for _, at := range x.times {
			switch {
			case at.Before(from) || at.After(to):
			case in(x.kind):
				scoped++
				if at.After(last) {
					last = at
				}
			default:
				others++
			}
		}
	}
	return scoped, others, last
}

// settle waits until all that was accepted has arrived, and tells of what arrived twice.
func (l *loadRig) settle() (accepted int, twice []*loadSeen) {
	l.t.Helper()
	var missing string
	deadline := time.Now().Add(2 * time.Minute)
	for {
		accepted, missing = 0, ""
		l.mu.Lock()
		l.accepted.Range(func(dest, kind any) bool {
			accepted++
			if l.seen[dest.(string)] == nil {
				missing = fmt.Sprint(dest, " of ", kind)
				return false
			}
			return true
		})
		l.mu.Unlock()
		if missing == "" {
			break
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("%s was accepted and did not arrive within two minutes", missing)
		}
		time.Sleep(50 * time.Millisecond)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, x := range l.seen {
		if len(x.times) > 1 {
			twice = append(twice, x)
		}
	}
	return accepted, twice
}

// TestNothingOfAHaltLeavesASecondLaterUnderFullLoad halts one scope after the other while
// all submit at full speed over real sockets: a second after the answer nothing of the scope
// arrives at a carrier, the others go on, and after it everything has arrived exactly once.
func TestNothingOfAHaltLeavesASecondLaterUnderFullLoad(t *testing.T) {
	l := newLoadRig(t, vfs.Default, t.TempDir())
	l.submitLoad()
	time.Sleep(500 * time.Millisecond)
	for _, s := range []Scope{{Service: "AAAAA"}, {Account: "load1"}, {Carrier: "a", Service: "CCCCC"}, {All: true}} {
		in := func(k loadKind) bool {
			return s.All || (s.Service == "" || s.Service == k.service) && (s.Account == "" || s.Account == k.account)
		}
		if s.Carrier != "" { // what another carrier takes over goes on
			in = func(loadKind) bool { return false }
		}
		h := l.halt(s)
		answered := time.Now()
		time.Sleep(1800 * time.Millisecond)
		until := time.Now()
		scoped, others, _ := l.between(answered.Add(time.Second), until, in)
		if scoped != 0 {
			t.Errorf("%v: %d messages arrived later than a second after the answer", s, scoped)
		}
		if !s.All && others < 200 {
			t.Errorf("%v: only %d others arrived in eight tenths of a second", s, others)
		}
		early, _, last := l.between(answered, until, in)
		t.Logf("%v: %d arrived after the answer, the last %s after it; %d others went on", s, early, max(0, last.Sub(answered)).Round(time.Millisecond), others)
		l.resume(h.ID)
		resumed := time.Now()
		if !s.All && s.Carrier == "" {
			l.wait("something of the scope after the resume", func() bool {
				n, _, _ := l.between(resumed, time.Now(), in)
				return n > 0
			})
		}
	}
	l.stopLoad()
	accepted, twice := l.settle()
	if len(twice) != 0 {
		t.Errorf("%d arrived twice: %v", len(twice), *twice[0])
	}
	t.Logf("%d messages, each once", accepted)
}

// TestAPowerCutInAHaltUnderLoadLosesNothing: what is halted stays so over it, and arrives
// exactly once in the end.
func TestAPowerCutInAHaltUnderLoadLosesNothing(t *testing.T) {
	fs := crashable()
	l := newLoadRig(t, fs, "data")
	in := func(k loadKind) bool { return k.service == "AAAAA" || k.account == "load2" }
	l.submitLoad()
	time.Sleep(500 * time.Millisecond)
	h1 := l.halt(Scope{Service: "AAAAA"})
	h2 := l.halt(Scope{Account: "load2"})
	answered := time.Now()
	time.Sleep(1200 * time.Millisecond)
	l.stopLoad() // what is accepted between the cut and the end of this process would be lost to it alone
	left := crash(fs)
	cut := time.Now()
	l.stop()
	l.fs = left
	l.rig.start()
	l.listen()
	l.carrierUp("a", "b")
	l.submitLoad()
	time.Sleep(1500 * time.Millisecond)
	until := time.Now()
	scoped, _, _ := l.between(answered.Add(time.Second), until, in)
	_, others, _ := l.between(cut, until, in)
	if scoped != 0 || others < 200 {
		t.Errorf("%d messages of the halts arrived in spite of them, %d others since the cut", scoped, others)
	}
	for _, id := range []string{h1.ID, h2.ID} {
		if _, err := l.gw.Resume(context.Background(), id, "sara"); err != nil {
			t.Fatal(err)
		}
	}
	l.stopLoad()
	accepted, twice := l.settle()
	for _, x := range twice {
		// What was on the wire, or whose answer was not on disk, goes again. Nothing of the halts was.
		if in(x.kind) {
			t.Errorf("halted, and arrived twice: %v", *x)
		}
	}
	t.Logf("%d messages, %d of them twice around the cut", accepted, len(twice))
}

// TestHaltsThatComeAndGoUnderLoadLoseNothing: halts of overlapping scopes are set and lifted
// every few milliseconds while all submit; in the end each message has arrived once.
func TestHaltsThatComeAndGoUnderLoadLoseNothing(t *testing.T) {
	l := newLoadRig(t, vfs.Default, t.TempDir())
	scopes := []Scope{
		{Service: "AAAAA"}, {Service: "BBBBB", Account: "load1"}, {Account: "load2"}, {All: true}, {Class: "bulk"},
		{Sender: "load0"}, {Carrier: "a"}, {Carrier: "b", Service: "CCCCC"}, {Sender: "load1", Carrier: "a"},
	}
	l.submitLoad()
	rnd := rand.New(rand.NewPCG(4, 4))
	var held []string
	for range 200 {
		if n := len(held); n > 0 && (n > 3 || rnd.IntN(2) == 0) {
			i := rnd.IntN(n)
			l.resume(held[i])
			held = slices.Delete(held, i, i+1)
		} else {
			held = append(held, l.halt(scopes[rnd.IntN(len(scopes))]).ID)
		}
		time.Sleep(time.Duration(rnd.IntN(20)) * time.Millisecond)
	}
	for _, id := range held {
		l.resume(id)
	}
	l.stopLoad()
	accepted, twice := l.settle()
	if len(twice) != 0 {
		t.Errorf("%d arrived twice: %v", len(twice), *twice[0])
	}
	if n := l.asideHalted(); n != 0 {
		t.Errorf("%d are set aside in the end", n)
	}
	t.Logf("%d messages, each once, %v of them were set aside on their way", accepted, l.metric("masar_halt_set_aside_total"))
}
