package smpp_test

import (
	"context"
	"net"
	"testing"

	"masar/smpp"
	"masar/smpp/pdu"
)

// echo answers every submit_sm at once, as the fastest gateway would.
type echo struct{ ended chan error }

func (echo) Request(_ *smpp.Session, _ pdu.Header, _ pdu.Body, r smpp.Reply) {
	r.SendID(pdu.ESME_ROK, "0123456789abcdef")
}
func (echo) Response(*smpp.Session, any, smpp.Answer) {}
func (echo) Ended(*smpp.Session, []any, error)        {}

// pump keeps a window of submits full and counts the answers.
type pump struct {
	body *pdu.SubmitSM
	left int
	open int
	done chan struct{}
}

func (p *pump) fill(s *smpp.Session) {
	for p.left > 0 {
		if _, err := s.Send(pdu.CmdSubmitSM, p.body, p); err != nil {
			return
		}
		p.left--
		p.open++
	}
}

func (p *pump) Request(*smpp.Session, pdu.Header, pdu.Body, smpp.Reply) {}
func (p *pump) Response(s *smpp.Session, _ any, a smpp.Answer) {
	p.open--
	if p.fill(s); p.open == 0 {
		close(p.done)
	}
}
func (p *pump) Ended(*smpp.Session, []any, error) {}

// BenchmarkSessionSubmit is one submit_sm and its answer between two sessions over
// loopback, window 100: two PDUs, each encoded, written, read and decoded.
func BenchmarkSessionSubmit(b *testing.B) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := smpp.NewServer(smpp.ServerOptions{
		SystemID: "masar", Timers: smpp.DefaultTimers,
		Bind: func(context.Context, *smpp.Session, pdu.Command, *pdu.Bind) smpp.Accept {
			return smpp.Accept{Handler: echo{}}
		},
	})
	go srv.Serve(l)
	defer srv.Close()
	p := &pump{left: b.N, done: make(chan struct{}), body: &pdu.SubmitSM{
		Source: pdu.Address{TON: 5, Addr: []byte("AHWAL")}, Dest: pdu.Address{TON: 1, NPI: 1, Addr: []byte("966501234567")},
		RegisteredDelivery: 1, ShortMessage: []byte("Your identity card is ready for collection at the office in Riyadh."),
	}}
	start := make(chan *smpp.Session, 1)
	c := smpp.NewClient(smpp.ClientOptions{
		Addrs: []string{l.Addr().String()}, SystemID: "load", Password: "secret", Timers: smpp.DefaultTimers,
		Limits: smpp.Limits{Send: 100}, Handler: p, Bound: func(s *smpp.Session) { start <- s },
	})
	go c.Run(context.Background())
	defer c.Close()
	s := <-start
	b.ReportAllocs()
	b.ResetTimer()
	fillFromOutside(s, p)
	<-p.done
}

// The first window must be sent by the reader goroutine too: p belongs to it. A first
// request opens the gate.
func fillFromOutside(s *smpp.Session, p *pump) {
	p.left--
	p.open++
	if _, err := s.Send(pdu.CmdSubmitSM, p.body, p); err != nil {
		panic(err)
	}
}
