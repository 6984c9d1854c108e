package smpptest_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

// esme is a client of a few lines, for what a good client would not do.
type esme struct {
	t    *testing.T
	conn net.Conn
	seq  uint32
}

func startSMSC(t *testing.T, o smpptest.SMSCOptions) (*smpptest.SMSC, string) {
	t.Helper()
	c, err := smpptest.NewSMSC(o)
	if err != nil {
		t.Fatal(err)
	}
	addr, err := c.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c, addr
}

func dialSMSC(t *testing.T, addr string) *esme {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	conn.SetDeadline(time.Now().Add(20 * time.Second))
	return &esme{t: t, conn: conn}
}

func boundTo(t *testing.T, addr string, mode pdu.Command) *esme {
	t.Helper()
	e := dialSMSC(t, addr)
	if st := e.bind(mode, "masar", "secret"); st != pdu.ESME_ROK {
		t.Fatalf("%s: %s", mode, st)
	}
	return e
}

func (e *esme) send(cmd pdu.Command, st pdu.Status, seq uint32, body pdu.Body) {
	e.t.Helper()
	if _, err := e.conn.Write(pdu.Append(nil, cmd, st, seq, body)); err != nil {
		e.t.Fatal(err)
	}
}

func (e *esme) request(cmd pdu.Command, body pdu.Body) uint32 {
	e.t.Helper()
	e.seq++
	e.send(cmd, 0, e.seq, body)
	return e.seq
}

func (e *esme) read() (pdu.Header, []byte, error) {
	head := make([]byte, pdu.HeaderLen)
	if _, err := io.ReadFull(e.conn, head); err != nil {
		return pdu.Header{}, nil, err
	}
	h := pdu.ParseHeader(head)
	body := make([]byte, h.Length-pdu.HeaderLen)
	_, err := io.ReadFull(e.conn, body)
	return h, body, err
}

func (e *esme) next() (pdu.Header, []byte) {
	e.t.Helper()
	h, body, err := e.read()
	if err != nil {
		e.t.Fatal(err)
	}
	return h, body
}

// want reads the next PDU and insists on its command.
func (e *esme) want(cmd pdu.Command) (pdu.Header, []byte) {
	e.t.Helper()
	h, body := e.next()
	if h.Command != cmd {
		e.t.Fatalf("%s instead of %s", h.Command, cmd)
	}
	return h, body
}

// wantNothing insists that nothing comes while the simulator answers an enquire_link.
func (e *esme) wantNothing() {
	e.t.Helper()
	seq := e.request(pdu.CmdEnquireLink, nil)
	if h, _ := e.next(); h.Command != pdu.CmdEnquireLinkResp || h.Sequence != seq {
		e.t.Fatalf("%s where nothing was to come", h.Command)
	}
}

func (e *esme) wantClosed() {
	e.t.Helper()
	for {
		if _, _, err := e.read(); err != nil {
			var timeout net.Error
			if errors.As(err, &timeout) && timeout.Timeout() {
				e.t.Fatal("the connection is still open")
			}
			return
		}
	}
}

func (e *esme) bind(mode pdu.Command, systemID, password string) pdu.Status {
	e.t.Helper()
	seq := e.request(mode, &pdu.Bind{SystemID: []byte(systemID), Password: []byte(password), InterfaceVersion: 0x34})
	h, _ := e.want(mode.Resp())
	if h.Sequence != seq {
		e.t.Fatalf("bind %d was answered as %d", seq, h.Sequence)
	}
	return h.Status
}

func message(registered uint8) *pdu.SubmitSM {
	return &pdu.SubmitSM{
		Source: pdu.Address{TON: 5, Addr: []byte("AHWAL")}, Dest: pdu.Address{TON: 1, NPI: 1, Addr: []byte("966501234567")},
		RegisteredDelivery: registered, ShortMessage: []byte("hello"),
	}
}

func (e *esme) submit(sm pdu.Body) (pdu.Status, string) {
	e.t.Helper()
	seq := e.request(pdu.CmdSubmitSM, sm)
	h, body := e.want(pdu.CmdSubmitSMResp)
	if h.Sequence != seq {
		e.t.Fatalf("submit %d was answered as %d", seq, h.Sequence)
	}
	var resp pdu.MessageResp
	if err := resp.Decode(body); err != nil {
		e.t.Fatal(err)
	}
	return h.Status, string(resp.MessageID)
}

// receipt reads a deliver_sm and answers it with st.
func (e *esme) receipt(st pdu.Status) pdu.DeliverSM {
	e.t.Helper()
	h, body := e.want(pdu.CmdDeliverSM)
	var sm pdu.DeliverSM
	if err := sm.Decode(body); err != nil {
		e.t.Fatal(err)
	}
	e.send(pdu.CmdDeliverSMResp, st, h.Sequence, &pdu.MessageResp{})
	return sm
}

func awaitSMSC(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !ok(); {
		if time.Now().After(deadline) {
			t.Fatal("never: ", what)
		}
		time.Sleep(time.Millisecond)
	}
}

func TestBindsAreCheckedAgainstTheCredentials(t *testing.T) {
	known := map[string]string{"masar": "secret", "other": ""}
	for _, row := range []struct {
		name, id, password string
		credentials        map[string]string
		want               pdu.Status
	}{
		{"anybody", "whoever", "whatever", nil, pdu.ESME_ROK},
		{"right", "masar", "secret", known, pdu.ESME_ROK},
		{"wrong password", "masar", "Secret", known, pdu.ESME_RINVPASWD},
		{"unknown", "nobody", "secret", known, pdu.ESME_RINVSYSID},
		{"longer than the specification allows", "masar", "secret-of-30-octets-1234567890", map[string]string{"masar": "secret-of-30-octets-1234567890"}, pdu.ESME_ROK},
	} {
		for _, mode := range []pdu.Command{pdu.CmdBindTransmitter, pdu.CmdBindReceiver, pdu.CmdBindTransceiver} {
			t.Run(row.name+" "+mode.String(), func(t *testing.T) {
				_, addr := startSMSC(t, smpptest.SMSCOptions{Credentials: row.credentials})
				e := dialSMSC(t, addr)
				if st := e.bind(mode, row.id, row.password); st != row.want {
					t.Fatalf("%s, want %s", st, row.want)
				}
				if row.want != pdu.ESME_ROK {
					e.wantClosed()
				}
			})
		}
	}
}

func TestBindsBeyondTheLimitAreRefusedUntilOneEnds(t *testing.T) {
	sim, addr := startSMSC(t, smpptest.SMSCOptions{MaxBinds: 2})
	a := boundTo(t, addr, pdu.CmdBindTransceiver)
	boundTo(t, addr, pdu.CmdBindReceiver)
	if st := dialSMSC(t, addr).bind(pdu.CmdBindTransmitter, "masar", ""); st != pdu.ESME_RALYBND {
		t.Fatalf("the third bind: %s", st)
	}
	if st := dialSMSC(t, addr).bind(pdu.CmdBindTransmitter, "another", ""); st != pdu.ESME_ROK {
		t.Fatalf("another system_id: %s", st)
	}
	a.request(pdu.CmdUnbind, nil)
	a.want(pdu.CmdUnbindResp)
	a.wantClosed()
	awaitSMSC(t, "one bind less", func() bool { return sim.Binds("masar") == 1 })
	boundTo(t, addr, pdu.CmdBindTransmitter)
}

func TestRequestsInTheWrongStateAreRefused(t *testing.T) {
	_, addr := startSMSC(t, smpptest.SMSCOptions{})
	e := dialSMSC(t, addr)
	if st, _ := e.submit(message(0)); st != pdu.ESME_RINVBNDSTS {
		t.Errorf("submit before the bind: %s", st)
	}
	e.request(pdu.CmdQuerySM, &pdu.QuerySM{MessageID: []byte("1")})
	if h, _ := e.want(pdu.CmdQuerySMResp); h.Status != pdu.ESME_RINVBNDSTS {
		t.Errorf("query before the bind: %s", h.Status)
	}
	if st := e.bind(pdu.CmdBindReceiver, "masar", ""); st != pdu.ESME_ROK {
		t.Fatal(st)
	}
	if st, _ := e.submit(message(0)); st != pdu.ESME_RINVBNDSTS {
		t.Errorf("submit by a receiver: %s", st)
	}
	if st := e.bind(pdu.CmdBindReceiver, "masar", ""); st != pdu.ESME_RALYBND {
		t.Errorf("a second bind on one connection: %s", st)
	}
	e.request(0x0000_00FE, nil)
	if h, _ := e.want(pdu.CmdGenericNack); h.Status != pdu.ESME_RINVCMDID {
		t.Errorf("an unknown command: %s", h.Status)
	}
	e.request(pdu.CmdQuerySM, &pdu.QuerySM{MessageID: []byte("1")})
	if h, _ := e.want(pdu.CmdQuerySMResp); h.Status != pdu.ESME_RQUERYFAIL {
		t.Errorf("query: %s", h.Status)
	}
	e.wantNothing()
}

func TestBrokenFramesAreAnsweredAndCounted(t *testing.T) {
	sim, addr := startSMSC(t, smpptest.SMSCOptions{})
	e := boundTo(t, addr, pdu.CmdBindTransceiver)
	whole := pdu.Append(nil, pdu.CmdSubmitSM, 0, 9, message(0))
	cut := bytes.Clone(whole[:len(whole)-3])
	binary.BigEndian.PutUint32(cut, uint32(len(cut)))
	e.conn.Write(cut)
	if h, _ := e.want(pdu.CmdSubmitSMResp); h.Status == pdu.ESME_ROK || h.Sequence != 9 {
		t.Errorf("a truncated submit_sm: %s", h.Status)
	}
	// Octet by octet, a PDU is still a PDU.
	for i := range whole {
		e.conn.Write(whole[i : i+1])
	}
	if h, _ := e.want(pdu.CmdSubmitSMResp); h.Status != pdu.ESME_ROK {
		t.Errorf("a submit_sm in pieces: %s", h.Status)
	}
	e.conn.Write([]byte{0xFF, 0xFF, 0xFF, 0xFF, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0, 10})
	if h, _ := e.want(pdu.CmdGenericNack); h.Status != pdu.ESME_RINVCMDLEN || h.Sequence != 10 {
		t.Errorf("an impossible length: %s", h.Status)
	}
	e.wantClosed()
	if st := sim.Stats(); st.Violations != 2 || st.Accepted != 1 {
		t.Errorf("%+v", st)
	}
}

func TestSubmitsAreAnsweredAsTheOptionsSay(t *testing.T) {
	for _, row := range []struct {
		name string
		o    smpptest.SMSCOptions
		want string // of ten submits, by status
	}{
		{"nothing special", smpptest.SMSCOptions{}, "ESME_ROK 10"},
		{"pace", smpptest.SMSCOptions{Pace: 0.001, Burst: 3}, "ESME_ROK 3 ESME_RTHROTTLED 7"},
		{"pace with a status of its own", smpptest.SMSCOptions{Pace: 0.001, Burst: 4, PaceStatus: pdu.ESME_RMSGQFUL}, "ESME_ROK 4 ESME_RMSGQFUL 6"},
		{"always an error", smpptest.SMSCOptions{ErrorRate: 1}, "ESME_RSYSERR 10"},
		{"errors with a status of their own", smpptest.SMSCOptions{ErrorRate: 1, ErrorStatus: 0x0400}, "0x00000400 10"},
		{"one in two", smpptest.SMSCOptions{ErrorRate: 0.5, Seed: 5}, "ESME_ROK [1-9] ESME_RSYSERR [1-9]"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, addr := startSMSC(t, row.o)
			e := boundTo(t, addr, pdu.CmdBindTransmitter)
			count := make(map[string]int)
			var order []string
			for range 10 {
				st, id := e.submit(message(0))
				if (st == pdu.ESME_ROK) != (id != "") {
					t.Errorf("%s with message_id %q", st, id)
				}
				count[st.String()]++
			}
			for _, st := range []string{"ESME_ROK", "ESME_RSYSERR", "ESME_RTHROTTLED", "ESME_RMSGQFUL", "0x00000400"} {
				if count[st] > 0 {
					order = append(order, fmt.Sprintf("%s %d", st, count[st]))
				}
			}
			if got := strings.Join(order, " "); !regexp.MustCompile("^" + row.want + "$").MatchString(got) {
				t.Errorf("%s, want %s", got, row.want)
			}
		})
	}
}

func TestAnswersTakeTheirLatency(t *testing.T) {
	const latency = 30 * time.Millisecond
	_, addr := startSMSC(t, smpptest.SMSCOptions{Latency: latency, Outstanding: 2})
	e := boundTo(t, addr, pdu.CmdBindTransmitter)
	start := time.Now()
	for range 3 {
		e.request(pdu.CmdSubmitSM, message(0))
	}
	statuses := make(map[uint32]pdu.Status)
	for range 3 {
		h, _ := e.want(pdu.CmdSubmitSMResp)
		statuses[h.Sequence] = h.Status
	}
	if took := time.Since(start); took < latency {
		t.Errorf("answered after %s", took)
	}
	if statuses[2] != pdu.ESME_ROK || statuses[3] != pdu.ESME_ROK || statuses[4] != pdu.ESME_RTHROTTLED {
		t.Errorf("two may be unanswered: %v", statuses)
	}
	if st, _ := e.submit(message(0)); st != pdu.ESME_ROK {
		t.Errorf("after the answers: %s", st)
	}
}

func TestSilentSubmitsAreReceiptedAllTheSame(t *testing.T) {
	sim, addr := startSMSC(t, smpptest.SMSCOptions{Silent: 1})
	e := boundTo(t, addr, pdu.CmdBindTransceiver)
	e.request(pdu.CmdSubmitSM, message(1))
	e.receipt(pdu.ESME_ROK)
	e.wantNothing()
	if st := sim.Stats(); st.Silent != 1 || st.Accepted != 1 {
		t.Errorf("%+v", st)
	}
}

func TestConnectionsDrop(t *testing.T) {
	for name, row := range map[string]struct {
		o        smpptest.SMSCOptions
		answered int
	}{
		"at the third submit": {smpptest.SMSCOptions{DropAfter: 3}, 2},
		"always":              {smpptest.SMSCOptions{DropRate: 1}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			sim, addr := startSMSC(t, row.o)
			e := boundTo(t, addr, pdu.CmdBindTransceiver)
			for range row.answered {
				e.submit(message(0))
			}
			e.request(pdu.CmdSubmitSM, message(0))
			e.wantClosed()
			if st := sim.Stats(); st.Dropped != 1 || st.Accepted != uint64(row.answered) {
				t.Errorf("%+v", st)
			}
		})
	}
}

func TestDropConnectionsEndsThemAll(t *testing.T) {
	sim, addr := startSMSC(t, smpptest.SMSCOptions{})
	a, b := boundTo(t, addr, pdu.CmdBindTransceiver), boundTo(t, addr, pdu.CmdBindReceiver)
	if n := sim.DropConnections(); n != 2 {
		t.Errorf("%d dropped", n)
	}
	a.wantClosed()
	b.wantClosed()
}

func TestEnquireLinkIsAskedAndItsAbsenceEndsTheSession(t *testing.T) {
	_, addr := startSMSC(t, smpptest.SMSCOptions{EnquireLink: 20 * time.Millisecond})
	e := boundTo(t, addr, pdu.CmdBindTransceiver)
	for range 4 {
		h, _ := e.want(pdu.CmdEnquireLink)
		e.send(pdu.CmdEnquireLinkResp, 0, h.Sequence, nil)
	}
	e.want(pdu.CmdEnquireLink)
	e.want(pdu.CmdEnquireLink)
	e.wantClosed()
}

func TestOnSubmitHearsEveryVerdict(t *testing.T) {
	var mu sync.Mutex
	var heard []string
	_, addr := startSMSC(t, smpptest.SMSCOptions{Pace: 0.001, Burst: 1, FirstID: 700, OnSubmit: func(s *smpptest.Submit) {
		mu.Lock()
		defer mu.Unlock()
		heard = append(heard, fmt.Sprintf("%s %s %s %s", s.SystemID, s.Body.(*pdu.SubmitSM).Dest.Addr, s.Status, s.ID))
	}})
	e := boundTo(t, addr, pdu.CmdBindTransmitter)
	e.submit(message(0))
	e.submit(message(0))
	mu.Lock()
	defer mu.Unlock()
	if want := []string{"masar 966501234567 ESME_ROK 700", "masar 966501234567 ESME_RTHROTTLED "}; strings.Join(heard, "|") != strings.Join(want, "|") {
		t.Errorf("%q", heard)
	}
}

func TestUnbindIsSentAndWaitedFor(t *testing.T) {
	sim, addr := startSMSC(t, smpptest.SMSCOptions{})
	e := boundTo(t, addr, pdu.CmdBindTransceiver)
	unbound := make(chan struct{})
	go func() {
		sim.Unbind(t.Context())
		close(unbound)
	}()
	h, _ := e.want(pdu.CmdUnbind)
	select {
	case <-unbound:
		t.Error("it did not wait for the answer")
	default:
	}
	e.send(pdu.CmdUnbindResp, 0, h.Sequence, nil)
	within(t, unbound)
	e.wantClosed()
}
