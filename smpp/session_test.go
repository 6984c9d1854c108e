package smpp_test

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"masar/smpp"
	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

// serverOptions are a server's, with the owner behind it.
func serverOptions(o *owner, limits smpp.Limits) smpp.ServerOptions {
	return smpp.ServerOptions{SystemID: "masar", Timers: testTimers, Bind: o.bind(limits), Observe: o}
}

// bindTo binds a raw peer to srv and returns its end.
func bindTo(t *testing.T, srv *smpp.Server) net.Conn {
	t.Helper()
	client, server := smpptest.Pipe(64<<10, testAddr)
	srv.ServeConn(server)
	bindRaw(t, client)
	return client
}

func bindRaw(t *testing.T, client net.Conn) {
	t.Helper()
	d, err := smpptest.ParseDialogue("> bind_transceiver seq=1 system_id=civil password=secret interface_version=0x34\n< bind_transceiver_resp seq=1 status=ESME_ROK")
	if err != nil {
		t.Fatal(err)
	}
	d.Play(t, client, nil)
}

func script(t *testing.T, conn net.Conn, text string) {
	t.Helper()
	d, err := smpptest.ParseDialogue(text)
	if err != nil {
		t.Fatal(err)
	}
	d.Play(t, conn, func(smpptest.Line) error { return errors.New("nothing to do here") })
}

func TestAClientThatNeverReadsIsStoppedAndClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOwner()
		srv := smpp.NewServer(serverOptions(o, smpp.Limits{OutBytes: 16 << 10, Unread: 20 * time.Second}))
		defer srv.Close()
		client := bindTo(t, srv)
		defer client.Close()
		// 16-octet requests, 16-octet answers: the answers fill the pipe, then OutBytes.
		many := bytes.Repeat(pdu.Append(nil, pdu.CmdEnquireLink, 0, 9, nil), 4096)
		client.SetWriteDeadline(time.Now().Add(5 * time.Second))
		total := 0
		for {
			n, err := client.Write(many)
			total += n
			if err != nil {
				break
			}
			if total > 4<<20 {
				t.Fatal("the session reads on although nothing of it is read")
			}
		}
		st := o.bound().Stats()
		if st.Unwritten > 16<<10+128<<10 {
			t.Errorf("%d octets wait to be written", st.Unwritten)
		}
		time.Sleep(14 * time.Second)
		synctest.Wait()
		if o.bound().State() == smpp.Closed {
			t.Fatal("closed before Unread")
		}
		time.Sleep(30 * time.Second)
		synctest.Wait()
		if o.bound().State() != smpp.Closed || !errors.Is(o.bound().Err(), smpp.ErrUnread) || o.violations[smpp.Unread] == 0 {
			t.Fatalf("state %v, err %v, %v", o.bound().State(), o.bound().Err(), o.violations)
		}
	})
}

func TestAStoppedSessionGoesOnOnceItIsRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOwner()
		srv := smpp.NewServer(serverOptions(o, smpp.Limits{OutBytes: 4 << 10, Unread: 20 * time.Second}))
		defer srv.Close()
		client := bindTo(t, srv)
		defer client.Close()
		const n = 20000
		done := make(chan error)
		go func() {
			var many []byte
			for i := range n {
				many = pdu.Append(many, pdu.CmdEnquireLink, 0, uint32(i), nil)
			}
			_, err := client.Write(many)
			done <- err
		}()
		time.Sleep(10 * time.Second)
		buf := make([]byte, 16*n)
		client.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := io.ReadFull(client, buf); err != nil {
			t.Fatal(err)
		}
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		for i := range n {
			if h := pdu.ParseHeader(buf[16*i:]); h.Sequence != uint32(i) || h.Command != pdu.CmdEnquireLink.Resp() {
				t.Fatalf("answer %d is %v", i, h)
			}
		}
	})
}

func TestSendStopsWhileThePeerReadsNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOwner()
		opt := serverOptions(o, smpp.Limits{OutBytes: 8 << 10, Unread: time.Hour, Send: 1 << 16})
		opt.Timers = smpp.Timers{Response: time.Second}
		srv := smpp.NewServer(opt)
		defer srv.Close()
		client := bindTo(t, srv)
		defer client.Close()
		s := o.bound()
		body := &pdu.DeliverSM{ShortMessage: make([]byte, 140)}
		for range 1000 { // a thousand response times: slots come free, memory must not grow
			for {
				if _, err := s.Send(pdu.CmdDeliverSM, body, nil); err != nil {
					if !errors.Is(err, smpp.ErrWindowFull) {
						t.Fatal(err)
					}
					break
				}
			}
			time.Sleep(time.Second)
		}
		if st := s.Stats(); st.Unwritten > 80<<10 {
			t.Errorf("%d octets wait to be written", st.Unwritten)
		}
		if s.Free() != 0 {
			t.Errorf("Free = %d", s.Free())
		}
	})
}

func TestLongPDUsAreTakenBeforeAndAfterARest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOwner()
		opt := serverOptions(o, smpp.Limits{})
		opt.Timers.EnquireLink = 0
		srv := smpp.NewServer(opt)
		defer srv.Close()
		client := bindTo(t, srv)
		defer client.Close()
		payload := pdu.TLVs(nil).Append(pdu.TagMessagePayload, bytes.Repeat([]byte{'a'}, 65535))
		client.SetWriteDeadline(time.Time{})
		for seq := range uint32(3) {
			go client.Write(pdu.Append(nil, pdu.CmdSubmitSM, 0, seq, &pdu.SubmitSM{TLVs: payload}))
			script(t, client, "< submit_sm_resp status=ESME_ROK")
			time.Sleep(61 * time.Second)
		}
	})
}

func TestAReplyIsOnTheWireWhenItsMarkIsWritten(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOwner()
		o.hold = true
		srv := smpp.NewServer(serverOptions(o, smpp.Limits{}))
		defer srv.Close()
		client := bindTo(t, srv)
		script(t, client, "> submit_sm seq=2 times=2")
		synctest.Wait()
		s := o.bound()
		before := s.Written()
		mark := o.held[0].SendID(pdu.ESME_ROK, "17")
		if mark <= before {
			t.Fatalf("mark %d, written %d", mark, before)
		}
		synctest.Wait()
		if s.Written() != mark {
			t.Fatalf("written %d, mark %d", s.Written(), mark)
		}
		if again := o.held[0].Send(pdu.ESME_ROK, nil); again != smpp.NeverWritten {
			t.Fatalf("a second Send: %d", again)
		}
		script(t, client, "< submit_sm_resp seq=2 message_id=17\n~ 1s")
		if o.violations[smpp.DoubleReply] != 1 {
			t.Fatal(o.violations)
		}
		s.Close()
		<-s.Done()
		if mark := o.held[1].Send(pdu.ESME_ROK, nil); mark != smpp.NeverWritten {
			t.Fatalf("mark of a dead session: %d", mark)
		}
		if _, err := s.Send(pdu.CmdDeliverSM, &pdu.DeliverSM{}, nil); !errors.Is(err, smpp.ErrClosed) {
			t.Fatal(err)
		}
		if mark := (smpp.Reply{}).Send(pdu.ESME_ROK, nil); mark != 0 {
			t.Fatalf("the zero Reply: %d", mark)
		}
	})
}

func TestShutdownUnbindsEveryoneWithinItsDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOwner()
		srv := smpp.NewServer(serverOptions(o, smpp.Limits{}))
		good, deaf := bindTo(t, srv), bindTo(t, srv)
		early, server := smpptest.Pipe(64<<10, testAddr)
		srv.ServeConn(server)
		done := make(chan error)
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		go func() { done <- srv.Unbind(ctx) }()
		smpptest.WantClosed(t, early)
		script(t, good, "< unbind seq=1\n> unbind_resp seq=1\n< eof")
		good.Close()
		script(t, deaf, "< unbind seq=1\n~ 1900ms\n< eof")
		if err := <-done; !errors.Is(err, context.DeadlineExceeded) {
			t.Fatal(err)
		}
		late, server := smpptest.Pipe(64<<10, testAddr)
		if srv.ServeConn(server) != nil {
			t.Error("a connection after the end")
		}
		smpptest.WantClosed(t, late)
		srv.Close()
		if len(srv.Sessions()) != 0 || len(o.ended) != 2 {
			t.Errorf("%d sessions, %d ended", len(srv.Sessions()), len(o.ended))
		}
	})
}

func TestBindsAreRefusedOnceTheListenersAreClosed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOwner()
		srv := smpp.NewServer(serverOptions(o, smpp.Limits{}))
		defer srv.Close()
		bound := bindTo(t, srv)
		client, server := smpptest.Pipe(64<<10, testAddr)
		srv.ServeConn(server)
		srv.CloseListeners()
		script(t, client, "> bind_transceiver seq=1 system_id=civil password=secret\n< bind_transceiver_resp seq=1 status=ESME_RBINDFAIL\n< eof")
		script(t, bound, "> submit_sm seq=2\n< submit_sm_resp seq=2 status=ESME_ROK")
	})
}

func TestSessionsOverTheBoundAreClosedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOwner()
		opt := serverOptions(o, smpp.Limits{})
		opt.MaxSessions = 2
		srv := smpp.NewServer(opt)
		defer srv.Close()
		first := bindTo(t, srv)
		bindTo(t, srv)
		third, server := smpptest.Pipe(64<<10, testAddr)
		srv.ServeConn(server)
		smpptest.WantClosed(t, third)
		if o.violations[smpp.SessionsFull] != 1 {
			t.Error(o.violations)
		}
		script(t, first, "> unbind seq=2\n< unbind_resp seq=2\n< eof\n> close")
		synctest.Wait()
		bindTo(t, srv)
	})
}

func TestAPlaceIsFreeBeforeTheUnbindAnswerCanBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOwner()
		srv := smpp.NewServer(serverOptions(o, smpp.Limits{}))
		defer srv.Close()
		client := bindTo(t, srv)
		script(t, client, "> unbind seq=2\n< unbind_resp seq=2")
		o.mu.Lock()
		defer o.mu.Unlock()
		if len(o.ended) != 1 {
			t.Fatal("unbind_resp was read before Ended")
		}
	})
}

func TestRefusedIsCalledOnceTheConnectionIsGone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOwner()
		srv := smpp.NewServer(serverOptions(o, smpp.Limits{}))
		defer srv.Close()
		client, server := smpptest.Pipe(64<<10, testAddr)
		srv.ServeConn(server)
		script(t, client, "> bind_transmitter seq=1 system_id=civil password=x\n< bind_transmitter_resp seq=1 status=ESME_RINVPASWD\n< eof\n> close")
		synctest.Wait()
		if o.refused != 1 || len(o.ended) != 0 {
			t.Fatalf("refused %d, ended %v", o.refused, o.ended)
		}
	})
}

func TestAPanicIsLoggedWithItsStackAndOthersLive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		o := newOwner()
		o.panicOn = "boom"
		opt := serverOptions(o, smpp.Limits{})
		opt.Log = slog.New(slog.NewTextHandler(&log, nil))
		srv := smpp.NewServer(opt)
		defer srv.Close()
		other, victim := bindTo(t, srv), bindTo(t, srv)
		script(t, victim, "> submit_sm seq=2 short_message=boom\n< eof\n> close")
		script(t, other, "> submit_sm seq=2\n< submit_sm_resp seq=2 status=ESME_ROK")
		synctest.Wait()
		if !strings.Contains(log.String(), "(*owner).Request") {
			t.Errorf("no stack in %q", log.String())
		}
	})
}

func TestOtherAddressesAreClosedBeforeTheirFirstOctet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOwner()
		opt := serverOptions(o, smpp.Limits{})
		opt.Allow = func(a netip.Addr) bool { return a == testAddr.Addr() }
		srv := smpp.NewServer(opt)
		defer srv.Close()
		bindTo(t, srv).Close()
		client, server := smpptest.Pipe(64<<10, netip.MustParseAddrPort("10.9.9.9:1"))
		if srv.ServeConn(server) != nil || o.violations[smpp.AddressRefused] != 1 {
			t.Error("another address was let in")
		}
		smpptest.WantClosed(t, client)
	})
}

func certificate(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	tmpl := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"smsc.test"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Date(1999, 1, 1, 0, 0, 0, 0, time.UTC), NotAfter: time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC),
		KeyUsage: x509.KeyUsageDigitalSignature | x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, tmpl, tmpl, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(leaf)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key, Leaf: leaf}, pool
}

func TestTLSSessionsKeepTheirTimers(t *testing.T) {
	cert, pool := certificate(t)
	synctest.Test(t, func(t *testing.T) {
		o := newOwner()
		opt := serverOptions(o, smpp.Limits{})
		opt.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
		srv := smpp.NewServer(opt)
		defer srv.Close()

		silent, server := smpptest.Pipe(64<<10, testAddr) // never says hello
		srv.ServeConn(server)
		time.Sleep(5 * time.Second)
		synctest.Wait()
		silent.SetReadDeadline(time.Now().Add(time.Second))
		if _, err := io.Copy(io.Discard, silent); err != nil {
			t.Fatalf("a connection without a handshake is still open: %v", err)
		}
		if o.violations[smpp.HandshakeFailed] != 1 {
			t.Error(o.violations)
		}

		raw, server := smpptest.Pipe(64<<10, testAddr)
		srv.ServeConn(server)
		client := tls.Client(raw, &tls.Config{RootCAs: pool, ServerName: "smsc.test"})
		bindRaw(t, client)
		// The server's reads time out and go on; the client must answer in one go.
		time.Sleep(30 * time.Second)
		script(t, client, "< enquire_link seq=1\n> enquire_link_resp seq=1\n> submit_sm seq=2\n< submit_sm_resp seq=2\n> unbind seq=3\n< unbind_resp seq=3\n< eof")
		if _, ok := o.bound().TLS(); !ok {
			t.Error("no TLS state")
		}
	})
}

// failing is a listener whose Accept fails a few times.
type failing struct {
	net.Listener
	left  int
	calls []time.Time
	end   chan struct{}
}

func (f *failing) Accept() (net.Conn, error) {
	f.calls = append(f.calls, time.Now())
	if f.left--; f.left >= 0 {
		return nil, errors.New("accept: too many open files")
	}
	<-f.end
	return nil, net.ErrClosed
}
func (f *failing) Close() error   { return nil }
func (f *failing) Addr() net.Addr { return net.TCPAddrFromAddrPort(testAddr) }

func TestAcceptErrorsAreBackedOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		srv := smpp.NewServer(smpp.ServerOptions{})
		f := &failing{left: 12, end: make(chan struct{})}
		done := make(chan error)
		go func() { done <- srv.Serve(f) }()
		time.Sleep(time.Minute)
		srv.CloseListeners()
		close(f.end)
		if err := <-done; !errors.Is(err, smpp.ErrServerClosed) {
			t.Fatal(err)
		}
		if n := len(f.calls); n != 13 {
			t.Fatalf("%d calls", n)
		}
		if gap := f.calls[12].Sub(f.calls[11]); gap != time.Second {
			t.Errorf("the last wait was %v", gap)
		}
		srv.Close()
	})
}

func TestFramesOfAnyLengthAreCutRight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOwner()
		srv := smpp.NewServer(serverOptions(o, smpp.Limits{}))
		defer srv.Close()
		client := bindTo(t, srv)
		// Unknown commands of growing length: each is answered, whatever the read cuts.
		go func() {
			var all []byte
			for n := range 3000 {
				start := len(all)
				all = pdu.Append(all, 0xFE, 0, uint32(n), nil)
				all = append(all, make([]byte, n*7%5000)...)
				binary.BigEndian.PutUint32(all[start:], uint32(len(all)-start))
			}
			client.Write(all)
		}()
		buf := make([]byte, 16)
		for n := range 3000 {
			if _, err := io.ReadFull(client, buf); err != nil {
				t.Fatal(err)
			}
			if h := pdu.ParseHeader(buf); h.Command != pdu.CmdGenericNack || h.Sequence != uint32(n) {
				t.Fatalf("frame %d: %v", n, h)
			}
		}
	})
}
