package smpp_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"time"

	fiorix "github.com/fiorix/go-smpp/smpp"
	fpdu "github.com/fiorix/go-smpp/smpp/pdu"
	"github.com/fiorix/go-smpp/smpp/pdu/pdufield"
	"github.com/fiorix/go-smpp/smpp/pdu/pdutext"
	ftest "github.com/fiorix/go-smpp/smpp/smpptest"

	"masar/smpp"
	"masar/smpp/pdu"
)

// The independent implementation in these tests is fiorix/go-smpp, as ESME and as SMSC,
// over loopback.

func listen(t *testing.T, o *owner) (*smpp.Server, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := smpp.NewServer(serverOptions(o, smpp.Limits{}))
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return srv, l.Addr().String()
}

func awaitStatus(t *testing.T, ch <-chan fiorix.ConnStatus, want fiorix.ConnStatusID) {
	t.Helper()
	for {
		select {
		case st := <-ch:
			if st.Status() == want {
				return
			}
			if st.Error() != nil {
				t.Fatalf("%v: %v", st.Status(), st.Error())
			}
		case <-time.After(5 * time.Second):
			t.Fatalf("fiorix does not become %v", want)
		}
	}
}

func TestFiorixTransmitterSubmitsToOurServer(t *testing.T) {
	o := newOwner()
	_, addr := listen(t, o)
	tx := &fiorix.Transmitter{Addr: addr, User: "civil", Passwd: "secret", EnquireLink: 10 * time.Second, RespTimeout: 5 * time.Second}
	awaitStatus(t, tx.Bind(), fiorix.Connected)
	for range 100 {
		sm, err := tx.Submit(&fiorix.ShortMessage{Src: "AHWAL", Dst: "966501234567", Text: pdutext.Raw("hello"), Register: pdufield.FinalDeliveryReceipt})
		if err != nil {
			t.Fatal(err)
		}
		if sm.RespID() != "1" {
			t.Fatalf("message_id %q", sm.RespID())
		}
	}
	if _, err := tx.SubmitLongMsg(&fiorix.ShortMessage{Src: "AHWAL", Dst: "966501234567", Text: pdutext.UCS2("رسالة طويلة جدا رسالة طويلة جدا رسالة طويلة جدا رسالة طويلة جدا رسالة طويلة جدا رسالة طويلة جدا رسالة")}); err != nil {
		t.Error(err)
	}
	if _, err := tx.Submit(&fiorix.ShortMessage{Src: "AHWAL", DstList: []string{"966501234567", "966507654321"}, Text: pdutext.Raw("hello")}); err != nil {
		t.Error(err)
	}
	if q, err := tx.QuerySM("AHWAL", "1", 5, 0); err != nil || q.MsgState != "ENROUTE" {
		t.Errorf("query_sm: %+v, %v", q, err)
	}
	if err := tx.Close(); err != nil {
		t.Error(err)
	}
}

func TestFiorixHearsOurRefusals(t *testing.T) {
	o := newOwner()
	o.check = true
	_, addr := listen(t, o)
	wrong := &fiorix.Transmitter{Addr: addr, User: "civil", Passwd: "wrong", RespTimeout: 5 * time.Second}
	st := <-wrong.Bind()
	var status fpdu.Status
	if !errors.As(st.Error(), &status) || uint32(status) != uint32(pdu.ESME_RINVPASWD) {
		t.Errorf("bind: %v %v", st.Status(), st.Error())
	}
	wrong.Close()

	tx := &fiorix.Transmitter{Addr: addr, User: "civil", Passwd: "secret", RespTimeout: 5 * time.Second}
	awaitStatus(t, tx.Bind(), fiorix.Connected)
	defer tx.Close()
	_, err := tx.Submit(&fiorix.ShortMessage{Src: "AHWAL", Dst: "letters", Text: pdutext.Raw("hello")})
	if !errors.As(err, &status) || uint32(status) != uint32(pdu.ESME_RINVDSTADR) {
		t.Errorf("submit: %v", err)
	}
}

func deliver(t *testing.T, o *owner, text string) {
	t.Helper()
	s := o.bound()
	if s == nil {
		t.Fatal("not bound")
	}
	if _, err := s.Send(pdu.CmdDeliverSM, &pdu.DeliverSM{
		Source: pdu.Address{TON: 1, NPI: 1, Addr: []byte("966501234567")}, Dest: pdu.Address{Addr: []byte("1111")}, ShortMessage: []byte(text),
	}, text); err != nil {
		t.Fatal(err)
	}
}

func awaitAnswer(t *testing.T, o *owner, want string) {
	t.Helper()
	for range 500 {
		o.mu.Lock()
		n := len(o.answers)
		var got string
		if n > 0 {
			got = o.answers[0]
			o.answers = o.answers[1:]
		}
		o.mu.Unlock()
		if n > 0 {
			if got != want {
				t.Fatalf("answer %q, want %q", got, want)
			}
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Fatal("no answer to our deliver_sm")
}

func TestFiorixReceiverAndTransceiverTakeOurDeliverSM(t *testing.T) {
	type binder interface {
		Bind() <-chan fiorix.ConnStatus
		Close() error
	}
	for _, name := range []string{"receiver", "transceiver"} {
		t.Run(name, func(t *testing.T) {
			o := newOwner()
			_, addr := listen(t, o)
			heard := make(chan string, 1)
			handler := func(p fpdu.Body) {
				if p.Header().ID == fpdu.DeliverSMID {
					heard <- p.Fields()[pdufield.ShortMessage].String()
				}
			}
			var b binder = &fiorix.Receiver{Addr: addr, User: "civil", Passwd: "secret", Handler: handler}
			if name == "transceiver" {
				b = &fiorix.Transceiver{Addr: addr, User: "civil", Passwd: "secret", Handler: handler, RespTimeout: 5 * time.Second}
			}
			awaitStatus(t, b.Bind(), fiorix.Connected)
			defer b.Close()
			deliver(t, o, "a reply")
			if got := <-heard; got != "a reply" {
				t.Errorf("heard %q", got)
			}
			awaitAnswer(t, o, "a reply ESME_ROK")
			if trx, ok := b.(*fiorix.Transceiver); ok {
				if _, err := trx.Submit(&fiorix.ShortMessage{Src: "AHWAL", Dst: "966501234567", Text: pdutext.Raw("hello")}); err != nil {
					t.Error(err)
				}
			}
		})
	}
}

// withoutUDHLength mends fiorix's deliver_sm, which has a UDH length octet between
// sm_length and short_message, beyond sm_length, even when there is no UDH.
type withoutUDHLength struct{ fpdu.Body }

func (p withoutUDHLength) SerializeTo(w io.Writer) error {
	p.Fields().Set(pdufield.ShortMessage, "a reply")
	var b bytes.Buffer
	if err := p.Body.SerializeTo(&b); err != nil {
		return err
	}
	octets := b.Bytes()
	message := bytes.LastIndex(octets, []byte("\x07\x00a reply"))
	octets = append(octets[:message+1], octets[message+2:]...)
	binary.BigEndian.PutUint32(octets, uint32(len(octets)))
	_, err := w.Write(octets)
	return err
}

func TestOurClientBindsToFiorixServer(t *testing.T) {
	for _, mode := range []pdu.Command{pdu.CmdBindTransmitter, pdu.CmdBindReceiver, pdu.CmdBindTransceiver} {
		t.Run(mode.String(), func(t *testing.T) {
			fs := ftest.NewUnstartedServer()
			delivered := false
			fs.Handler = func(c ftest.Conn, m fpdu.Body) {
				switch m.Header().ID {
				case fpdu.SubmitSMID:
					r := fpdu.NewSubmitSMResp()
					r.Header().Seq = m.Header().Seq
					r.Fields().Set(pdufield.MessageID, "f00d")
					c.Write(r)
				case fpdu.EnquireLinkID:
					c.Write(fpdu.NewEnquireLinkRespSeq(m.Header().Seq))
					// From here, because fiorix's connection takes one writer at a time.
					if mode != pdu.CmdBindTransmitter && !delivered {
						delivered = true
						c.Write(withoutUDHLength{fpdu.NewDeliverSM()})
					}
				case fpdu.UnbindID:
					r := fpdu.NewUnbindResp()
					r.Header().Seq = m.Header().Seq
					c.Write(r)
				}
			}
			fs.Start()
			defer fs.Close()
			o := newOwner()
			bound := make(chan *smpp.Session, 1)
			c := smpp.NewClient(smpp.ClientOptions{
				Addrs: []string{fs.Addr()}, LocalAddr: "127.0.0.1", Mode: mode, SystemID: ftest.DefaultUser, Password: ftest.DefaultPasswd,
				Timers: smpp.Timers{EnquireLink: 50 * time.Millisecond, Response: 5 * time.Second}, Handler: o, Observe: o,
				// Its bind_resp has a sequence_number of its own; start far away from that.
				FirstSequence: 5000,
				Bound:         func(s *smpp.Session) { bound <- s },
			})
			go c.Run(context.Background())
			defer c.Close()
			var s *smpp.Session
			select {
			case s = <-bound:
			case <-time.After(5 * time.Second):
				t.Fatal("not bound")
			}
			if s.SystemID() != ftest.DefaultSystemID {
				t.Errorf("system_id %q", s.SystemID())
			}
			if mode != pdu.CmdBindReceiver {
				if _, err := s.Send(pdu.CmdSubmitSM, &pdu.SubmitSM{Dest: pdu.Address{Addr: []byte("966501234567")}, ShortMessage: []byte("hello")}, "a"); err != nil {
					t.Fatal(err)
				}
				awaitAnswer(t, o, "a ESME_ROK f00d")
			}
			if mode != pdu.CmdBindTransmitter {
				for range 500 {
					o.mu.Lock()
					n := len(o.requests)
					o.mu.Unlock()
					if n > 0 {
						break
					}
					time.Sleep(10 * time.Millisecond)
				}
				o.mu.Lock()
				if len(o.requests) != 1 {
					t.Errorf("heard %v; %v, %+v", o.requests, o.violations, s.Stats())
				}
				o.mu.Unlock()
			}
			ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
			defer cancel()
			if err := c.Unbind(ctx); err != nil {
				t.Error(err)
			}
		})
	}
}
