package main

import (
	"bytes"
	"encoding/binary"
	"io"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"masar/smpp/pdu"
	"masar/smpp/smppload"
	"masar/smpp/smpptest"
)

// beside runs an honest client while others misbehave: it must not notice.
func beside(t *testing.T, s *site, d time.Duration) (finish func()) {
	t.Helper()
	load := s.load(smppload.Options{Binds: 1, Window: 20, Rate: 200, Duration: d, Receipts: true})
	load.more(20, 20*time.Second)
	return func() {
		t.Helper()
		res := load.result(60 * time.Second)
		if load.err != nil || len(res.Errors) > 0 || res.Missing > 0 || res.Accepted != res.Sent {
			t.Errorf("the honest client noticed: %v %v, %d of %d accepted, %d receipts missing", load.err, res.Errors, res.Accepted, res.Sent, res.Missing)
		}
		// Two seconds is far above what anybody else's misbehaviour may cost.
		if res.RespMs.Max > 2000 {
			t.Errorf("the honest client waited %v ms for an answer", res.RespMs.Max)
		}
	}
}

func TestSlowConnectionsAreClosedAndHinderNobody(t *testing.T) {
	t.Parallel()
	_, addr := smsc(t, smpptest.SMSCOptions{})
	s := newSite(t, addr)
	s.top = "timers: {session_init: 2s}\n"
	gateway := s.start()
	finish := beside(t, s, 5*time.Second)

	bind := pdu.Append(nil, pdu.CmdBindTransceiver, pdu.ESME_ROK, 1, &pdu.Bind{SystemID: []byte("load"), Password: []byte("demo"), InterfaceVersion: 0x34})
	var wg sync.WaitGroup
	for _, row := range []struct {
		name string
		say  func(conn net.Conn)
	}{
		{"says nothing", func(net.Conn) {}},
		{"half a header, then silence", func(conn net.Conn) { conn.Write(bind[:8]) }},
		{"a header, then silence", func(conn net.Conn) { conn.Write(bind[:pdu.HeaderLen]) }},
		{"a bind octet by octet, slower than session_init allows", func(conn net.Conn) {
			tick := time.NewTicker(100 * time.Millisecond)
			defer tick.Stop()
			for i := range bind {
				if _, err := conn.Write(bind[i : i+1]); err != nil {
					return // closed: what is wanted
				}
				<-tick.C
			}
		}},
	} {
		// Many of each: one would also be served by a gateway that waits for it.
		for range 25 {
			wg.Go(func() {
				c := dialClient(t, s.smpp)
				go row.say(c.conn)
				took, err := c.closedWithin(10 * time.Second)
				if err != nil {
					t.Errorf("%s: %v", row.name, err)
				} else if took < 1500*time.Millisecond || took > 5*time.Second {
					t.Errorf("%s: closed after %s, session_init is 2s", row.name, took)
				}
			})
		}
	}
	wg.Wait()
	finish()
	if n := strings.Count(gateway.output(), "level=ERROR"); n > 0 {
		t.Errorf("%d errors logged: a stranger who is slow is no error", n)
	}
}

// A client that submits and never reads: its answers fill the sockets, then the gateway
// stops reading it, then closes it. What was accepted goes out all the same.
func TestAClientThatNeverReadsIsClosedAndItsMemoryBounded(t *testing.T) {
	t.Parallel()
	carrier, addr := smsc(t, smpptest.SMSCOptions{})
	s := newSite(t, addr)
	s.account = "    window: 1000\n"
	gateway := s.start()
	finish := beside(t, s, 4*time.Second)
	before := gateway.resident()

	c := bindClient(t, s.smpp)
	c.conn.(*net.TCPConn).SetReadBuffer(4096)
	var wrote atomic.Int64
	ended := make(chan error, 1)
	go func() {
		var batch []byte
		for i := range 64 {
			batch = pdu.Append(batch, pdu.CmdSubmitSM, pdu.ESME_ROK, uint32(i+2), submitTo("966501234567", strings.Repeat("x", 140), false))
		}
		for {
			n, err := c.conn.Write(batch)
			wrote.Add(int64(n))
			if err != nil {
				ended <- err
				return
			}
		}
	}()
	most := before
	limit := time.NewTimer(3 * time.Minute)
	defer limit.Stop()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	began := time.Now()
loop:
	for {
		select {
		case err := <-ended:
			t.Logf("closed after %s and %d octets: %v", time.Since(began).Round(time.Millisecond), wrote.Load(), err)
			break loop
		case <-tick.C:
			most = max(most, gateway.resident())
		case <-limit.C:
			t.Fatalf("not closed; it has written %d octets", wrote.Load())
		}
	}
	finish()
	t.Logf("resident memory: %d MiB before, %d MiB at most; the carrier has %d messages", before>>20, most>>20, carrier.Stats().Accepted)
	if most > before+128<<20 && !raceEnabled {
		t.Errorf("resident memory rose from %d to %d MiB", before>>20, most>>20)
	}
	gateway.see(`msg="client session ended" account=load`, 5*time.Second)
	// Accepted and never heard of: counted, and sent.
	accepted := s.metric("masar_submits_total", `result="ok"`)
	until(t, 30*time.Second, "everything accepted reaches the carrier", func() bool { return float64(carrier.Stats().Accepted) >= accepted })
}

// Strangers and clients who send nonsense for some seconds: the gateway serves the others
// meanwhile, stays small, and is whole afterwards.
func TestAFloodOfMalformedPDUsLeavesTheGatewayServing(t *testing.T) {
	_, addr := smsc(t, smpptest.SMSCOptions{})
	s := newSite(t, addr)
	gateway := s.start()
	const flood = 4 * time.Second
	finish := beside(t, s, flood+time.Second)
	before := gateway.resident()
	seed := uint64(envInt(t, "SEED", int(time.Now().UnixNano()%1e9)))
	t.Logf("SEED=%d", seed)

	end := time.Now().Add(flood)
	var wg sync.WaitGroup
	var pdus, connections atomic.Int64
	for i := range 4 {
		wg.Go(func() {
			chance := rand.New(rand.NewPCG(seed, uint64(i)))
			for time.Now().Before(end) {
				conn, err := net.Dial("tcp", s.smpp)
				if err != nil {
					continue
				}
				connections.Add(1)
				go io.Copy(io.Discard, conn) // ends with conn
				conn.SetWriteDeadline(end.Add(5 * time.Second))
				if i%2 == 0 { // half of them get past the bind
					conn.Write(pdu.Append(nil, pdu.CmdBindTransceiver, pdu.ESME_ROK, 1, &pdu.Bind{SystemID: []byte("load"), Password: []byte("demo"), InterfaceVersion: 0x34}))
				}
				for range 200 {
					if _, err := conn.Write(nonsense(chance)); err != nil {
						break // closed on us, as it should be
					}
					pdus.Add(1)
				}
				conn.Close()
			}
		})
	}
	most := before
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for time.Now().Before(end) {
		<-tick.C
		most = max(most, gateway.resident())
	}
	wg.Wait()
	finish()
	t.Logf("%d connections, %d PDUs of nonsense; resident memory %d MiB before, %d MiB at most", connections.Load(), pdus.Load(), before>>20, most>>20)
	if pdus.Load() < 200 {
		t.Errorf("%d PDUs were no flood", pdus.Load())
	}
	if most > before+128<<20 && !raceEnabled {
		t.Errorf("resident memory rose from %d to %d MiB", before>>20, most>>20)
	}
	if strings.Contains(gateway.output(), "panic") {
		t.Error("a panic is in the log")
	}
	c := bindClient(t, s.smpp)
	if h, _ := c.ask(pdu.CmdSubmitSM, submitTo("966501234567", "still here", false)); h.Status != pdu.ESME_ROK {
		t.Errorf("submit afterwards: %s", h.Status)
	}
}

// nonsense is a PDU that has something wrong with it: octets changed, cut, lengthened, of
// an unknown command, or no PDU at all.
func nonsense(chance *rand.Rand) []byte {
	bodies := []struct {
		cmd  pdu.Command
		body pdu.Body
	}{
		{pdu.CmdSubmitSM, submitTo("966501234567", strings.Repeat("x", chance.IntN(140)), true)},
		{pdu.CmdBindTransceiver, &pdu.Bind{SystemID: []byte("load"), Password: []byte("demo")}},
		{pdu.CmdDataSM, &pdu.DataSM{Dest: pdu.Address{Addr: []byte("966501234567")}}},
		{pdu.CmdQuerySM, &pdu.QuerySM{MessageID: []byte("0123456789abcdef")}},
		{pdu.CmdCancelSM, &pdu.CancelSM{MessageID: []byte("x")}},
		{pdu.CmdEnquireLink, nil},
		{pdu.CmdDeliverSM.Resp(), &pdu.MessageResp{}},
		{pdu.CmdGenericNack, nil},
	}
	pick := bodies[chance.IntN(len(bodies))]
	b := pdu.Append(nil, pick.cmd, pdu.Status(chance.IntN(2)*chance.IntN(300)), chance.Uint32(), pick.body)
	switch chance.IntN(6) {
	case 0: // some octets of the body are others
		for range 1 + chance.IntN(4) {
			if len(b) > pdu.HeaderLen {
				b[pdu.HeaderLen+chance.IntN(len(b)-pdu.HeaderLen)] = byte(chance.IntN(256))
			}
		}
	case 1: // cut, with a command_length that agrees
		b = b[:pdu.HeaderLen+chance.IntN(len(b)-pdu.HeaderLen+1)]
		binary.BigEndian.PutUint32(b, uint32(len(b)))
	case 2: // longer than it says inside
		b = append(b, bytes.Repeat([]byte{byte(chance.IntN(256))}, 1+chance.IntN(2000))...)
		binary.BigEndian.PutUint32(b, uint32(len(b)))
	case 3: // an unknown command
		binary.BigEndian.PutUint32(b[4:], chance.Uint32())
	case 4: // whatever command_length
		binary.BigEndian.PutUint32(b, chance.Uint32()>>chance.IntN(32))
	default: // no PDU at all
		for i := range b {
			b[i] = byte(chance.IntN(256))
		}
	}
	return b
}
