package smpp_test

import (
	"context"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"masar/smpp"
	"masar/smpp/pdu"
)

// ledger counts what becomes of every token.
type ledger struct {
	sent, answered, unanswered, twice, foreign atomic.Int64
}

type token struct{ back atomic.Bool }

func (l *ledger) back(v any, n *atomic.Int64) {
	tok, ok := v.(*token)
	if !ok {
		l.foreign.Add(1)
		return
	}
	if tok.back.Swap(true) {
		l.twice.Add(1)
	}
	n.Add(1)
}

func (l *ledger) Request(_ *smpp.Session, h pdu.Header, _ pdu.Body, r smpp.Reply) {
	if h.Sequence%3 == 0 {
		go r.SendID(pdu.ESME_ROK, "later")
		return
	}
	r.SendID(pdu.ESME_ROK, "now")
}
func (l *ledger) Response(_ *smpp.Session, v any, a smpp.Answer) { l.back(v, &l.answered) }
func (l *ledger) Ended(_ *smpp.Session, unanswered []any, err error) {
	for _, v := range unanswered {
		l.back(v, &l.unanswered)
	}
}

// Whatever happens to the sessions, every token that Send took comes back exactly once.
func TestEveryTokenComesBackExactlyOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	esme, smsc := &ledger{}, &ledger{}
	srv := smpp.NewServer(smpp.ServerOptions{
		Timers: smpp.DefaultTimers,
		Bind: func(context.Context, *smpp.Session, pdu.Command, *pdu.Bind) smpp.Accept {
			return smpp.Accept{Handler: smsc, Limits: smpp.Limits{Send: 20, Window: 30}}
		},
	})
	go srv.Serve(l)

	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	var wg sync.WaitGroup
	sendAll := func(s *smpp.Session, cmd pdu.Command, of *ledger) {
		body := &pdu.SubmitSM{Dest: pdu.Address{Addr: []byte("966501234567")}, ShortMessage: []byte("hello")}
		for {
			_, err := s.Send(cmd, body, &token{})
			switch err {
			case nil:
				of.sent.Add(1)
			case smpp.ErrWindowFull:
				select {
				case <-s.Done():
					return
				case <-time.After(100 * time.Microsecond):
				}
			default:
				return
			}
		}
	}
	var clients []*smpp.Client
	for range 8 {
		c := smpp.NewClient(smpp.ClientOptions{
			Addrs: []string{l.Addr().String()}, SystemID: "civil", Timers: smpp.DefaultTimers, Handler: esme,
			Limits: smpp.Limits{Send: 20}, Backoff: smpp.Backoff{Min: time.Millisecond, Max: 2 * time.Millisecond},
			Down: func(error, time.Duration) {},
			Bound: func(s *smpp.Session) {
				wg.Go(func() { sendAll(s, pdu.CmdSubmitSM, esme) })
				wg.Go(func() { sendAll(s, pdu.CmdSubmitSM, esme) })
			},
		})
		clients = append(clients, c)
		wg.Go(func() { c.Run(ctx) })
	}
	for ctx.Err() == nil { // trouble, from both sides
		time.Sleep(time.Millisecond)
		all := srv.Sessions()
		if len(all) == 0 {
			continue
		}
		s := all[rand.IntN(len(all))]
		switch rand.IntN(8) {
		case 0:
			s.Close()
		case 1:
			wg.Go(func() {
				ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
				defer cancel()
				s.Unbind(ctx)
			})
		case 2, 3:
			s.Send(pdu.CmdDeliverSM, &pdu.DeliverSM{}, &token{}) // not counted as sent; see foreign and twice
		}
	}
	for _, c := range clients {
		c.Close()
	}
	srv.Close()
	wg.Wait()
	for name, of := range map[string]*ledger{"esme": esme, "smsc": smsc} {
		if of.twice.Load() != 0 || of.foreign.Load() != 0 {
			t.Errorf("%s: %d tokens twice, %d foreign", name, of.twice.Load(), of.foreign.Load())
		}
	}
	if sent, back := esme.sent.Load(), esme.answered.Load()+esme.unanswered.Load(); sent != back || sent < 1000 || esme.unanswered.Load() == 0 {
		t.Errorf("%d sent, %d answered, %d unanswered", sent, esme.answered.Load(), esme.unanswered.Load())
	}
}
