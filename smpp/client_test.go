package smpp_test

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"masar/smpp"
	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

// downs records what a client tells of its failures.
type downs struct {
	mu    sync.Mutex
	errs  []error
	waits []time.Duration
}

func (d *downs) down(err error, wait time.Duration) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.errs = append(d.errs, err)
	d.waits = append(d.waits, wait)
}

func (d *downs) last() (wait time.Duration, err error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.errs) == 0 {
		return 0, nil
	}
	return d.waits[len(d.waits)-1], d.errs[len(d.errs)-1]
}

func startClient(t *testing.T, o *owner, edit func(*smpp.ClientOptions)) (*smpp.Client, *pipes, *downs) {
	p, d := newPipes(), &downs{}
	opt := smpp.ClientOptions{
		Addrs: []string{"smsc:2775"}, SystemID: "masar", Password: "secret", Timers: testTimers, Handler: o, Observe: o,
		Dial: p.dial, Down: d.down,
		Bound: func(s *smpp.Session) {
			o.mu.Lock()
			defer o.mu.Unlock()
			o.session = s
		},
	}
	if edit != nil {
		edit(&opt)
	}
	c := smpp.NewClient(opt)
	go c.Run(context.Background())
	t.Cleanup(func() { c.Close() })
	return c, p, d
}

// answerBinds answers every bind with st and returns at the end of the test.
func answerBinds(p *pipes, st string) {
	go func() {
		for conn := range p.server {
			d, _ := smpptest.ParseDialogue("< bind_transceiver\n> bind_transceiver_resp status=" + st)
			d.Play(quiet{}, conn, nil)
		}
	}()
}

type quiet struct{}

func (quiet) Helper()               {}
func (quiet) Fatalf(string, ...any) {}

func TestARefusedBindIsRetriedEverMoreSlowly(t *testing.T) {
	for _, row := range []struct {
		status   string
		in, most int // attempts at most, in so many minutes
		least    int
	}{
		{"ESME_RBINDFAIL", 10, 18, 10}, // 1 2 4 8 16 32 60 60 60 ... seconds
		{"ESME_RALYBND", 10, 20, 8},
		{"ESME_RINVPASWD", 60, 16, 9},
		{"ESME_RINVSYSID", 60, 16, 9},
	} {
		t.Run(row.status, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				c, p, d := startClient(t, newOwner(), nil)
				answerBinds(p, row.status)
				time.Sleep(time.Duration(row.in) * time.Minute)
				c.Close()
				close(p.server)
				if n := p.count(); n < row.least || n > row.most {
					t.Errorf("%d attempts in %d minutes", n, row.in)
				}
				var refused *smpp.BindError
				_, err := d.last()
				if !errors.As(err, &refused) || refused.Status.String() != row.status || refused.Addr != "smsc:2775" {
					t.Errorf("down with %v", err)
				}
			})
		})
	}
}

func TestAServerThatAcceptsAndDropsIsNotHammered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p, _ := startClient(t, newOwner(), nil)
		go func() {
			for conn := range p.server {
				d, _ := smpptest.ParseDialogue("< bind_transceiver\n> bind_transceiver_resp\n> close")
				d.Play(quiet{}, conn, nil)
			}
		}()
		time.Sleep(10 * time.Minute)
		c.Close()
		close(p.server)
		if n := p.count(); n < 10 || n > 18 {
			t.Errorf("%d attempts in 10 minutes", n)
		}
	})
}

func TestALateAnswerToABindIsIgnored(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOwner()
		c, p, d := startClient(t, o, nil)
		conn := <-p.server
		script(t, conn, "< bind_transceiver seq=1\n~ 4900ms\n< eof")
		conn.Write(pdu.Append(nil, pdu.CmdBindTransceiverResp, 0, 1, &pdu.BindResp{}))
		synctest.Wait()
		if wait, err := d.last(); !errors.Is(err, smpp.ErrTimeout) || wait < 500*time.Millisecond {
			t.Errorf("down with %v, retry in %v", err, wait)
		}
		if c.Session() != nil || len(o.ended) != 0 {
			t.Error("a late answer made a session")
		}
		conn = <-p.server
		script(t, conn, "< bind_transceiver seq=1\n> bind_transceiver_resp seq=1")
		synctest.Wait()
		if c.Session() == nil {
			t.Error("not bound at the second attempt")
		}
	})
}

func TestTheClientBindsAgainAfterTheSMSCUnbinds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOwner()
		c, p, d := startClient(t, o, nil)
		conn := <-p.server
		script(t, conn, "< bind_transceiver seq=1\n> bind_transceiver_resp seq=1")
		time.Sleep(time.Second)
		script(t, conn, "> unbind seq=5\n< unbind_resp seq=5\n< eof\n> close")
		conn = <-p.server
		if _, err := d.last(); !errors.Is(err, smpp.ErrUnbound) {
			t.Error(err)
		}
		script(t, conn, "< bind_transceiver seq=1\n> bind_transceiver_resp seq=1")
		synctest.Wait()
		done := make(chan error)
		go func() { done <- c.Unbind(context.Background()) }()
		script(t, conn, "< unbind\n> unbind_resp seq=2\n< eof\n> close")
		if err := <-done; err != nil {
			t.Error(err)
		}
		time.Sleep(time.Hour)
		if p.count() != 2 {
			t.Errorf("%d connections", p.count())
		}
	})
}

func TestTheNextAddressIsTriedWhenOneDoesNotAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var asked []string
		p := newPipes()
		_, _, d := startClient(t, newOwner(), func(opt *smpp.ClientOptions) {
			opt.Addrs = []string{"a:1", "b:1", "c:1"}
			opt.Dial = func(ctx context.Context, network, addr string) (net.Conn, error) {
				mu.Lock()
				asked = append(asked, addr)
				mu.Unlock()
				if addr == "a:1" {
					return nil, errors.New("connection refused")
				}
				return p.dial(ctx, network, addr)
			}
		})
		script(t, <-p.server, "< bind_transceiver\n> bind_transceiver_resp status=ESME_RSYSERR\n< eof")
		script(t, <-p.server, "< bind_transceiver\n> bind_transceiver_resp")
		synctest.Wait()
		if got := strings.Join(asked, " "); got != "a:1 b:1 c:1" {
			t.Errorf("asked %s", got)
		}
		if _, err := d.last(); err != nil {
			t.Errorf("down with %v", err)
		}
	})
}

func TestAWrongPasswordIsNotTriedAtEveryAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, p, _ := startClient(t, newOwner(), func(opt *smpp.ClientOptions) { opt.Addrs = []string{"a:1", "b:1", "c:1"} })
		script(t, <-p.server, "< bind_transceiver\n> bind_transceiver_resp status=ESME_RINVPASWD\n< eof")
		time.Sleep(time.Minute)
		c.Close()
		if p.count() != 1 {
			t.Errorf("%d attempts", p.count())
		}
	})
}

func TestCloseEndsAConnectThatHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, _, _ := startClient(t, newOwner(), func(opt *smpp.ClientOptions) {
			opt.Dial = func(ctx context.Context, _, _ string) (net.Conn, error) {
				<-ctx.Done()
				return nil, ctx.Err()
			}
		})
		synctest.Wait()
		began := time.Now()
		c.Close()
		if d := time.Since(began); d != 0 {
			t.Errorf("Close took %v", d)
		}
	})
}

func TestRunEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPipes()
		o := newOwner()
		c := smpp.NewClient(smpp.ClientOptions{Addrs: []string{"a:1"}, Dial: p.dial, Timers: testTimers, Handler: o})
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- c.Run(ctx) }()
		conn := <-p.server
		script(t, conn, "< bind_transceiver\n> bind_transceiver_resp")
		synctest.Wait()
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		smpptest.WantClosed(t, conn)
		if len(o.ended) != 1 || !errors.Is(o.ended[0], smpp.ErrClosed) {
			t.Error(o.ended)
		}
	})
}

func TestAHalfOpenConnectionIsFoundAndReplaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := newOwner()
		_, p, _ := startClient(t, o, nil)
		conn := <-p.server
		script(t, conn, "< bind_transceiver\n> bind_transceiver_resp")
		synctest.Wait()
		if _, err := o.bound().Send(pdu.CmdSubmitSM, &pdu.SubmitSM{}, "a"); err != nil {
			t.Fatal(err)
		}
		began := time.Now()
		<-p.server // the next connection
		if d := time.Since(began); d > 43*time.Second {
			t.Errorf("found after %v", d)
		}
		if len(o.ended) != 1 || !errors.Is(o.ended[0], smpp.ErrInactive) || len(o.answers) != 1 || o.answers[0] != "a timeout" {
			t.Errorf("ended %v, answers %v", o.ended, o.answers)
		}
	})
}

func TestTheServersCertificateIsVerified(t *testing.T) {
	cert, pool := certificate(t)
	for _, row := range []struct {
		name, addr string
		cfg        *tls.Config
		bound      bool
	}{
		{"known, right name", "smsc.test:2775", &tls.Config{RootCAs: pool}, true},
		{"known, another name", "other.test:2775", &tls.Config{RootCAs: pool}, false},
		{"another name, said so", "other.test:2775", &tls.Config{RootCAs: pool, ServerName: "smsc.test"}, true},
		{"unknown authority", "smsc.test:2775", &tls.Config{}, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				opt := serverOptions(newOwner(), smpp.Limits{})
				opt.TLS = &tls.Config{Certificates: []tls.Certificate{cert}}
				srv := smpp.NewServer(opt)
				c, p, d := startClient(t, newOwner(), func(opt *smpp.ClientOptions) {
					opt.Addrs = []string{row.addr}
					opt.TLS = row.cfg
				})
				srv.ServeConn(<-p.server)
				synctest.Wait()
				if bound := c.Session() != nil; bound != row.bound {
					_, err := d.last()
					t.Errorf("bound: %v, down with %v", bound, err)
				}
				c.Close()
				srv.Close()
			})
		})
	}
}

func TestOutbindIsHeardAndTheBindGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		heard := make(chan string, 1)
		c, p, _ := startClient(t, newOwner(), func(opt *smpp.ClientOptions) {
			opt.Mode = pdu.CmdBindReceiver
			opt.Outbind = func(_ *smpp.Session, b *pdu.Outbind) { heard <- string(b.SystemID) }
		})
		script(t, <-p.server, "> outbind seq=9 system_id=carrier password=x\n< bind_receiver\n> bind_receiver_resp")
		synctest.Wait()
		if got := <-heard; got != "carrier" || c.Session() == nil {
			t.Errorf("outbind of %q, bound %v", got, c.Session() != nil)
		}
	})
}
