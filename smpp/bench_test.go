package smpp_test

import (
	"context"
	"fmt"
	"net"
	"sync"
	"testing"

	"masar/smpp"
	"masar/smpp/pdu"
)

// echo answers every submit_sm at once, as the fastest gateway would.
type echo struct{}

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

// commit keeps the Replies and answers them from another goroutine, many at a time, as a
// store does after a group commit.
type commit struct {
	mu      sync.Mutex
	waiting []smpp.Reply
	wake    chan struct{}
}

func (c *commit) Request(_ *smpp.Session, _ pdu.Header, _ pdu.Body, r smpp.Reply) {
	c.mu.Lock()
	c.waiting = append(c.waiting, r)
	first := len(c.waiting) == 1
	c.mu.Unlock()
	if first {
		c.wake <- struct{}{}
	}
}
func (*commit) Response(*smpp.Session, any, smpp.Answer) {}
func (*commit) Ended(*smpp.Session, []any, error)        {}

func (c *commit) run() {
	var batch []smpp.Reply
	for range c.wake {
		c.mu.Lock()
		batch, c.waiting = c.waiting, batch[:0]
		c.mu.Unlock()
		for _, r := range batch {
			r.SendID(pdu.ESME_ROK, "0123456789abcdef")
		}
	}
}

// BenchmarkSessionSubmit is one submit_sm and its answer between two sessions over
// loopback: two PDUs, each encoded, written, read and decoded. The answer is given at
// once, or by another goroutine as after a group commit.
func BenchmarkSessionSubmit(b *testing.B) {
	for _, window := range []int{1, 10, 100} {
		b.Run(fmt.Sprintf("at-once/window=%d", window), func(b *testing.B) { benchmarkSubmit(b, window, echo{}) })
	}
	c := &commit{wake: make(chan struct{}, 1)}
	go c.run()
	defer close(c.wake)
	b.Run("committed/window=100", func(b *testing.B) { benchmarkSubmit(b, 100, c) })
}

func benchmarkSubmit(b *testing.B, window int, h smpp.Handler) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	srv := smpp.NewServer(smpp.ServerOptions{
		SystemID: "masar", Timers: smpp.DefaultTimers,
		Bind: func(context.Context, *smpp.Session, pdu.Command, *pdu.Bind) smpp.Accept {
			return smpp.Accept{Handler: h}
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
		Limits: smpp.Limits{Send: window}, Handler: p, Bound: func(s *smpp.Session) { start <- s },
	})
	go c.Run(context.Background())
	defer c.Close()
	s := <-start
	b.ReportAllocs()
	b.ResetTimer()
	// p belongs to the reader goroutine: the first answer makes it fill the window.
	p.left--
	p.open++
	if _, err := s.Send(pdu.CmdSubmitSM, p.body, p); err != nil {
		b.Fatal(err)
	}
	<-p.done
}
