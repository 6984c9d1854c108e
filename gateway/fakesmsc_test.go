package gateway

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

// fakeSMSC is a carrier that answers each submit_sm as its test says, and sends the
// receipts that it is told to, when it is told to.
type fakeSMSC struct {
	t *testing.T

	mu       sync.Mutex
	sessions []*fakeSession
	got      []fakeSubmit
	down     bool                       // connections are refused
	verdict  func(n int, s *fakeSubmit) // sets Status and ID before the answer; n counts from 0
}

// noAnswer as a fakeSubmit's Status: the carrier keeps silent.
const noAnswer pdu.Status = 0xFFFFFFFF

type fakeSession struct {
	smsc *fakeSMSC
	conn net.Conn
	mode pdu.Command

	mu   sync.Mutex // writing
	seq  uint32
	acks map[uint32]chan pdu.Status
}

type fakeSubmit struct {
	pdu.SubmitSM
	Session *fakeSession
	Seq     uint32
	At      time.Time
	Status  pdu.Status
	ID      string
	Receipt string // sent before the answer, on the same session: a state as in DELIVRD
}

func newFakeSMSC(t *testing.T, verdict func(n int, s *fakeSubmit)) *fakeSMSC {
	if verdict == nil {
		verdict = func(int, *fakeSubmit) {}
	}
	return &fakeSMSC{t: t, verdict: verdict}
}

// options makes a rig dial these addresses here.
func fakes(byAddr map[string]*fakeSMSC, more func(o *Options)) func(o *Options) {
	return func(o *Options) {
		others := o.Dial
		o.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
			f := byAddr[addr]
			if f == nil {
				return others(ctx, network, addr)
			}
			f.mu.Lock()
			down := f.down
			f.mu.Unlock()
			if down {
				return nil, fmt.Errorf("dial %s: connection refused", addr)
			}
			ours, theirs := smpptest.Pipe(256<<10, netip.MustParseAddrPort("10.9.0.1:40000"))
			go f.serve(theirs)
			return ours, nil
		}
		if more != nil {
			more(o)
		}
	}
}

func (f *fakeSMSC) serve(conn net.Conn) {
	defer conn.Close()
	s := &fakeSession{smsc: f, conn: conn, acks: map[uint32]chan pdu.Status{}}
	for {
		head := make([]byte, pdu.HeaderLen)
		if _, err := io.ReadFull(conn, head); err != nil {
			return
		}
		h := pdu.ParseHeader(head)
		body := make([]byte, h.Length-pdu.HeaderLen)
		if _, err := io.ReadFull(conn, body); err != nil {
			return
		}
		switch h.Command {
		case pdu.CmdBindTransceiver, pdu.CmdBindTransmitter, pdu.CmdBindReceiver:
			s.mode = h.Command
			s.write(h.Command.Resp(), pdu.ESME_ROK, h.Sequence, &pdu.BindResp{SystemID: []byte("fake")})
			f.mu.Lock()
			f.sessions = append(f.sessions, s)
			f.mu.Unlock()
		case pdu.CmdSubmitSM:
			f.submit(s, h, body)
		case pdu.CmdUnbind:
			s.write(h.Command.Resp(), pdu.ESME_ROK, h.Sequence, nil)
			return
		case pdu.CmdEnquireLink:
			s.write(h.Command.Resp(), pdu.ESME_ROK, h.Sequence, nil)
		case pdu.CmdDeliverSM.Resp():
			s.mu.Lock()
			ack := s.acks[h.Sequence]
			delete(s.acks, h.Sequence)
			s.mu.Unlock()
			if ack != nil {
				ack <- h.Status
			}
		}
	}
}

func (f *fakeSMSC) submit(s *fakeSession, h pdu.Header, body []byte) {
	f.mu.Lock()
	n := len(f.got)
	sub := fakeSubmit{Session: s, Seq: h.Sequence, At: time.Now(), ID: fmt.Sprintf("%x", 0xa000+n)}
	if err := sub.SubmitSM.Decode(body); err != nil {
		f.t.Errorf("submit_sm %d: %v", n, err)
	}
	f.verdict(n, &sub)
	f.got = append(f.got, sub)
	f.mu.Unlock()
	if sub.Receipt != "" {
		s.receipt(&sub, sub.Receipt)
	}
	if sub.Status != noAnswer {
		s.answer(&sub, sub.Status)
	}
}

func (s *fakeSession) write(cmd pdu.Command, st pdu.Status, seq uint32, body pdu.Body) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn.Write(pdu.Append(nil, cmd, st, seq, body))
}

// answer answers a submit_sm that the verdict left without an answer.
func (s *fakeSession) answer(sub *fakeSubmit, st pdu.Status) {
	var body pdu.Body
	if st == pdu.ESME_ROK {
		body = &pdu.MessageResp{MessageID: []byte(sub.ID)}
	}
	s.write(pdu.CmdSubmitSM.Resp(), st, sub.Seq, body)
}

// receipt sends a receipt of a part; what the gateway answers comes on the channel.
func (s *fakeSession) receipt(sub *fakeSubmit, state string) chan pdu.Status {
	esm := pdu.ESMClassReceipt
	if state == "ENROUTE" {
		esm = pdu.ESMClassIntermediate
	}
	return s.deliver(&pdu.DeliverSM{
		Source: pdu.Address{TON: 1, NPI: 1, Addr: sub.Dest.Addr}, Dest: sub.Source, ESMClass: uint8(esm),
		ShortMessage: []byte("id:" + sub.ID + " sub:001 dlvrd:001 submit date:2611230000 done date:2611230001 stat:" + state + " err:000 text:"),
	})
}

func (s *fakeSession) deliver(p *pdu.DeliverSM) chan pdu.Status {
	s.mu.Lock()
	s.seq++
	ack := make(chan pdu.Status, 1)
	s.acks[s.seq] = ack
	frame := pdu.Append(nil, pdu.CmdDeliverSM, pdu.ESME_ROK, s.seq, p)
	s.mu.Unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conn.Write(frame)
	return ack
}

// acked awaits the gateway's answer to a receipt.
func (f *fakeSMSC) acked(ack chan pdu.Status) pdu.Status {
	f.t.Helper()
	select {
	case st := <-ack:
		return st
	case <-time.After(time.Minute):
		f.t.Fatal("a deliver_sm was not answered within a minute")
		return 0
	}
}

// submits is what came so far.
func (f *fakeSMSC) submits() []fakeSubmit {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]fakeSubmit(nil), f.got...)
}

// await waits until n submit_sm have come and returns all.
func (f *fakeSMSC) await(n int) []fakeSubmit {
	f.t.Helper()
	waitUntil(f.t, fmt.Sprintf("%d submit_sm at the carrier", n), func() bool { return len(f.submits()) >= n })
	return f.submits()
}

// setVerdict changes how the carrier answers from now on.
func (f *fakeSMSC) setVerdict(v func(n int, s *fakeSubmit)) {
	f.mu.Lock()
	f.verdict = v
	f.mu.Unlock()
}

// refuse makes the carrier refuse connections, or ends that.
func (f *fakeSMSC) refuse(yes bool) {
	f.mu.Lock()
	f.down = yes
	f.mu.Unlock()
}

// drop closes every connection there is.
func (f *fakeSMSC) drop() {
	f.mu.Lock()
	sessions := f.sessions
	f.sessions = nil
	f.mu.Unlock()
	for _, s := range sessions {
		s.conn.Close()
	}
}

// session is the latest session of a mode.
func (f *fakeSMSC) session() *fakeSession {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sessions[len(f.sessions)-1]
}

// fakeRig is a rig whose carrier a is a fake.
func fakeRig(t *testing.T, f *fakeSMSC, setup func(s *Setup)) *rig {
	t.Helper()
	r := newRig(t, rigOptions{Setup: setup, Options: fakes(map[string]*fakeSMSC{"a:1": f}, nil)})
	r.carrierUp("a")
	return r
}

// crashable is a disk of which crash gives what a power cut leaves.
func crashable() *vfs.MemFS { return vfs.NewCrashableMem() }

func crash(fs *vfs.MemFS) vfs.FS { return fs.CrashClone(vfs.CrashCloneCfg{}) }

// wantReceipt asks for a receipt of the message's end.
func wantReceipt(p *pdu.SubmitSM) { p.RegisteredDelivery = pdu.RegisteredFinal }

// inParts makes a message of parts parts under the 16-bit UDH.
func inParts(parts int) func(p *pdu.SubmitSM) {
	return func(p *pdu.SubmitSM) {
		wantReceipt(p)
		p.ShortMessage = nil
		text := make([]byte, 0, 152*parts)
		for i := range 152*parts - 10 {
			text = append(text, "abcdefghijklmnopqrstuvwxy "[i%26])
		}
		p.TLVs = p.TLVs.Append(pdu.TagMessagePayload, text)
	}
}
