package interop

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	fiorix "github.com/fiorix/go-smpp/smpp"
	fpdu "github.com/fiorix/go-smpp/smpp/pdu"
	"github.com/fiorix/go-smpp/smpp/pdu/pdufield"
	"github.com/fiorix/go-smpp/smpp/pdu/pdutext"
	ftest "github.com/fiorix/go-smpp/smpp/smpptest"

	"masar/smpp/pdu"
)

// fiorixSMSC is go-smpp's test server as the carrier. It knows a bind's password and
// nothing else of SMPP: its user answers. Its connections take one writer at a time, so
// all is written by the handler, which the gateway's enquire_link wakes.
type fiorixSMSC struct {
	*ftest.Server
	ids     uint64
	submits chan fpdu.Body
	sends   chan fpdu.Body // deliver_sm that go out at the next enquire_link
	answers chan *fpdu.Header
}

func startFiorixSMSC(t *testing.T) *fiorixSMSC {
	f := &fiorixSMSC{Server: ftest.NewUnstartedServer(), ids: 0xBEEF00, submits: make(chan fpdu.Body, 100), sends: make(chan fpdu.Body, 100), answers: make(chan *fpdu.Header, 100)}
	f.Handler = f.hears
	f.Start()
	t.Cleanup(f.Close)
	return f
}

func (f *fiorixSMSC) hears(c ftest.Conn, m fpdu.Body) {
	switch m.Header().ID {
	case fpdu.SubmitSMID:
		f.ids++
		r := fpdu.NewSubmitSMResp()
		r.Header().Seq = m.Header().Seq
		r.Fields().Set(pdufield.MessageID, fmt.Sprintf("%x", f.ids))
		c.Write(r)
		f.submits <- m
		if m.Fields()[pdufield.RegisteredDelivery].Bytes()[0]&1 != 0 {
			c.Write(f.receipt(m))
		}
	case fpdu.EnquireLinkID:
		c.Write(fpdu.NewEnquireLinkRespSeq(m.Header().Seq))
		for {
			select {
			case p := <-f.sends:
				c.Write(p)
				continue
			default:
			}
			return
		}
	case fpdu.UnbindID:
		r := fpdu.NewUnbindResp()
		r.Header().Seq = m.Header().Seq
		c.Write(r)
	case fpdu.DeliverSMRespID:
		f.answers <- m.Header()
	}
}

// answer awaits the gateway's answer to a deliver_sm.
func (f *fiorixSMSC) answer(t *testing.T, p fpdu.Body) pdu.Status {
	t.Helper()
	for {
		if h := next(t, "deliver_sm_resp", f.answers); h.Seq == p.Header().Seq {
			return pdu.Status(h.Status)
		}
	}
}

// receipt is the receipt of a submit_sm, its id in decimal.
func (f *fiorixSMSC) receipt(m fpdu.Body) fpdu.Body {
	now := time.Now().UTC().Format("0601021504")
	return deliverSM(m.Fields()[pdufield.DestinationAddr].String(), m.Fields()[pdufield.SourceAddr].String(), pdu.ESMClassReceipt,
		pdutext.Raw(fmt.Sprintf("id:%d sub:001 dlvrd:001 submit date:%s done date:%s stat:DELIVRD err:000 text:", f.ids, now, now)))
}

// deliverSM is go-smpp's deliver_sm, mended.
func deliverSM(from, to string, esmClass uint8, txt pdutext.Codec) fpdu.Body {
	p := fpdu.NewDeliverSM()
	p.Fields().Set(pdufield.SourceAddrTON, 1)
	p.Fields().Set(pdufield.SourceAddrNPI, 1)
	p.Fields().Set(pdufield.SourceAddr, from)
	p.Fields().Set(pdufield.DestinationAddr, to)
	p.Fields().Set(pdufield.ESMClass, esmClass)
	p.Fields().Set(pdufield.DataCoding, uint8(txt.Type()))
	p.Fields().Set(pdufield.ShortMessage, txt)
	return mended{p}
}

// mended takes out of go-smpp's deliver_sm the octet 0 that it puts, as the length of a
// user data header, between sm_length and short_message, and does not count.
type mended struct{ fpdu.Body }

func (p mended) SerializeTo(w io.Writer) error {
	var b bytes.Buffer
	if err := p.Body.SerializeTo(&b); err != nil {
		return err
	}
	octets := b.Bytes()
	at := len(octets) - len(p.Fields()[pdufield.ShortMessage].Bytes()) - 1
	octets = append(octets[:at], octets[at+1:]...)
	binary.BigEndian.PutUint32(octets, uint32(len(octets)))
	_, err := w.Write(octets)
	return err
}

func next[T any](t *testing.T, what string, from <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-from:
	case <-time.After(patience):
		t.Fatalf("no %s within %v", what, patience)
	}
	return v
}

// connected awaits a bind that is accepted.
func connected(t *testing.T, from <-chan fiorix.ConnStatus) {
	t.Helper()
	if st := next(t, "bind", from); st.Status() != fiorix.Connected {
		t.Fatalf("%v: %v", st.Status(), st.Error())
	}
}

// refused is the status that go-smpp makes an error of.
func refusedWith(t *testing.T, err error, want pdu.Status) {
	t.Helper()
	var st fpdu.Status
	if !errors.As(err, &st) || pdu.Status(st) != want {
		t.Errorf("%v, want %v", err, want)
	}
}

// receiptOf awaits the receipt of a message among what a receiver heard.
func receiptOf(t *testing.T, from <-chan fpdu.Body, id string) {
	t.Helper()
	p := next(t, "receipt", from)
	got := p.Fields()[pdufield.ShortMessage].String()
	if !strings.HasPrefix(got, "id:"+id+" sub:001 dlvrd:001 ") || !strings.Contains(got, " stat:DELIVRD ") {
		t.Errorf("receipt %q, want id:%s and stat:DELIVRD", got, id)
	}
	if class := p.Fields()[pdufield.ESMClass].Bytes()[0]; class != pdu.ESMClassReceipt {
		t.Errorf("the receipt's esm_class is %#x", class)
	}
	if got := string(bytes.TrimSuffix(p.TLVFields()[0x001E].Bytes(), []byte{0})); got != id {
		t.Errorf("receipted_message_id %q, want %q", got, id)
	}
}

func TestGoSMPPAsClientAndAsCarrier(t *testing.T) {
	wire := new(capture)
	smsc := startFiorixSMSC(t)
	toSMSC := wire.relay(t, smsc.Addr)
	gw := startGateway(t, settings{Carrier: toSMSC, CarrierID: ftest.DefaultUser, CarrierPassword: ftest.DefaultPasswd, EnquireLink: 200 * time.Millisecond})
	addr := fmt.Sprintf("127.0.0.1:%d", wire.relay(t, func() string { return fmt.Sprintf("127.0.0.1:%d", gw.port) }))

	wrong := &fiorix.Transmitter{Addr: addr, User: accountID, Passwd: "wrong", RespTimeout: patience}
	st := next(t, "bind", wrong.Bind())
	refusedWith(t, st.Error(), pdu.ESME_RINVPASWD)
	wrong.Close()

	heard := make(chan fpdu.Body, 100)
	rx := &fiorix.Receiver{Addr: addr, User: accountID, Passwd: password, EnquireLink: time.Hour, Handler: func(p fpdu.Body) {
		if p.Header().ID == fpdu.DeliverSMID {
			heard <- p
		}
	}}
	connected(t, rx.Bind())
	tx := &fiorix.Transmitter{Addr: addr, User: accountID, Passwd: password, EnquireLink: time.Hour, RespTimeout: patience}
	connected(t, tx.Bind())

	for _, row := range []struct {
		name, text string
		send       pdutext.Codec
		read       func([]byte) pdutext.Codec
		coding     pdutext.DataCoding
	}{
		{"gsm", gsmText, pdutext.GSM7(gsmText), func(b []byte) pdutext.Codec { return pdutext.GSM7(b) }, 0},
		{"latin-1", "×½ þ", pdutext.Latin1("×½ þ"), func(b []byte) pdutext.Codec { return pdutext.Latin1(b) }, 3},
		{"arabic", arabic, pdutext.UCS2(arabic), func(b []byte) pdutext.Codec { return pdutext.UCS2(b) }, 8},
		{"surrogate pairs", "تم 🎉👍🏽", pdutext.UCS2("تم 🎉👍🏽"), func(b []byte) pdutext.Codec { return pdutext.UCS2(b) }, 8},
	} {
		t.Run("text in "+row.name, func(t *testing.T) {
			sm, err := tx.Submit(message(row.send))
			if err != nil {
				t.Fatal(err)
			}
			got := next(t, "submit_sm", smsc.submits).Fields()
			if text := string(row.read(got[pdufield.ShortMessage].Bytes()).Decode()); text != row.text || got[pdufield.DataCoding].Bytes()[0] != byte(row.coding) {
				t.Errorf("the carrier reads %q in data_coding %v, want %q", text, got[pdufield.DataCoding], row.text)
			}
			if got[pdufield.SourceAddr].String() != sender || got[pdufield.DestinationAddr].String() != handset {
				t.Errorf("the carrier reads the addresses %v and %v", got[pdufield.SourceAddr], got[pdufield.DestinationAddr])
			}
			receiptOf(t, heard, sm.RespID())
			if q, err := tx.QuerySM(sender, sm.RespID(), 5, 0); err != nil || q.MsgState != "DELIVERED" || len(q.FinalDate) != 16 {
				t.Errorf("query_sm: %+v, %v", q, err)
			}
		})
	}

	t.Run("a long message in parts of its own", func(t *testing.T) {
		whole := strings.Repeat(arabic+" ", 4)
		parts, err := tx.SubmitLongMsg(message(pdutext.UCS2(whole)))
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for range parts {
			p := next(t, "submit_sm", smsc.submits)
			if p.Fields()[pdufield.ESMClass].Bytes()[0] != pdu.ESMClassUDHI {
				t.Errorf("esm_class %v", p.Fields()[pdufield.ESMClass])
			}
			got += string(pdutext.UCS2(p.Fields()[pdufield.ShortMessage].Bytes()[7:]).Decode()) // behind the header
			next(t, "receipt", heard)
		}
		if got != whole || len(parts) < 3 {
			t.Errorf("%d parts: %q, want %q", len(parts), got, whole)
		}
	})

	t.Run("submit_multi", func(t *testing.T) {
		sm := message(pdutext.Raw("to several"))
		sm.Dst, sm.DstList, sm.Register = "", []string{handset, "nobody", "966507654321"}, pdufield.NoDeliveryReceipt
		if _, err := tx.Submit(sm); err != nil {
			t.Fatal(err)
		}
		bad, err := sm.UnsuccessSmes()
		if err != nil || len(bad) != 1 || strings.TrimSuffix(bad[0].Address, "\x00") != "nobody" || pdu.Status(bad[0].Error) != pdu.ESME_RINVDSTADR {
			t.Errorf("unsuccessful: %+v, %v", bad, err)
		}
		for range 2 {
			next(t, "submit_sm", smsc.submits)
		}
	})

	t.Run("refusals have their status", func(t *testing.T) {
		sm := message(pdutext.Raw("refused"))
		sm.Dst = "nobody"
		_, err := tx.Submit(sm)
		refusedWith(t, err, pdu.ESME_RINVDSTADR)
		_, err = tx.QuerySM(sender, "00000000deadbeef", 5, 0)
		refusedWith(t, err, pdu.ESME_RQUERYFAIL)
	})

	t.Run("mobile-originated", func(t *testing.T) {
		p := deliverSM(handset, shortCode, 0, pdutext.UCS2(arabic))
		smsc.sends <- p
		f := next(t, "deliver_sm", heard).Fields()
		if got := string(pdutext.UCS2(f[pdufield.ShortMessage].Bytes()).Decode()); got != arabic || f[pdufield.DestinationAddr].String() != shortCode {
			t.Errorf("the client reads %q to %v", got, f[pdufield.DestinationAddr])
		}
		if got := smsc.answer(t, p); got != pdu.ESME_ROK {
			t.Errorf("answered with %v", got)
		}
	})

	t.Run("its deliver_sm as it writes it is refused, and the bind lives", func(t *testing.T) {
		p := deliverSM(handset, shortCode, 0, pdutext.Raw("one octet too many")).(mended).Body
		smsc.sends <- p
		if got := smsc.answer(t, p); got != pdu.ESME_RINVTLVSTREAM {
			t.Errorf("answered with %v", got)
		}
	})

	t.Run("a transceiver does both", func(t *testing.T) {
		if err := rx.Close(); err != nil {
			t.Error(err)
		}
		if err := tx.Close(); err != nil {
			t.Error(err)
		}
		trx := &fiorix.Transceiver{Addr: addr, User: accountID, Passwd: password, EnquireLink: time.Hour, RespTimeout: patience, Handler: func(p fpdu.Body) {
			if p.Header().ID == fpdu.DeliverSMID {
				heard <- p
			}
		}}
		connected(t, trx.Bind())
		sm, err := trx.Submit(message(pdutext.UCS2(arabic)))
		if err != nil {
			t.Fatal(err)
		}
		next(t, "submit_sm", smsc.submits)
		receiptOf(t, heard, sm.RespID())
		if err := trx.Close(); err != nil {
			t.Error(err)
		}
	})
	gw.terminate(t)
	gw.stopped(t)
	wire.agrees(t, 1)
}

func message(txt pdutext.Codec) *fiorix.ShortMessage {
	return &fiorix.ShortMessage{Src: sender, Dst: handset, SourceAddrTON: 5, DestAddrTON: 1, DestAddrNPI: 1, Text: txt, Register: pdufield.FinalDeliveryReceipt}
}
