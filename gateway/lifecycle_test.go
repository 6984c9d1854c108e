package gateway

import (
	"context"
	"fmt"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
	"masar/smpp/smpptest"
	"masar/smpp/text"
)

// goroutines counts what runs of the gateway's own.
func goroutines() (n int, stacks string) {
	buf := make([]byte, 1<<20)
	buf = buf[:runtime.Stack(buf, true)]
	for _, g := range strings.Split(string(buf), "\n\n") {
		for _, of := range []string{"masar/gateway.(*Gateway)", "masar/gateway.(*carrier)", "masar/gateway.(*dispatcher)", "masar/gateway.(*correlator)", "masar/gateway.(*pump)", "masar/smpp.(*Client)", "masar/smpp.(*Session)"} {
			if strings.Contains(g, of) {
				n++
				stacks += g + "\n\n"
				break
			}
		}
	}
	return n, stacks
}

func TestNothingRunsAfterClose(t *testing.T) {
	for name, hurry := range map[string]bool{"in order": false, "in a hurry": true} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFakeSMSC(t, func(n int, s *fakeSubmit) {
					if n%2 == 1 {
						s.Status = noAnswer
					}
				})
				r := fakeRig(t, f, func(s *Setup) {
					s.Carriers[0].Window, s.Carriers[0].Transceivers, s.Carriers[0].Style = 5, 2, text.UDH16
				})
				p := r.transceiver()
				for range 30 {
					p.submit(inParts(2))
				}
				ctx, cancel := context.WithCancel(context.Background())
				if hurry {
					cancel()
				}
				defer cancel()
				began := time.Now()
				go func() { // a client that answers unbind
					for {
						h, _, err := p.read(time.Minute)
						if err != nil {
							return
						}
						if h.Command == pdu.CmdUnbind {
							p.conn.Write(pdu.Append(nil, h.Command.Resp(), pdu.ESME_ROK, h.Sequence, nil))
						}
					}
				}()
				if err := r.gw.Close(ctx); err != nil {
					t.Errorf("Close: %v", err)
				}
				d := time.Since(began)
				if hurry && d > time.Second || d > 4*time.Second {
					t.Errorf("Close took %v", d)
				}
				synctest.Wait()
				if n, stacks := goroutines(); n != 0 {
					t.Errorf("%d goroutines still run:\n%s", n, stacks)
				}
				if c := r.gw.world.Load().carriers["a"]; c.outstanding.Load() != 0 || c.unrecorded.Load() != 0 || c.begun.Load() != 0 {
					t.Errorf("%d outstanding, %d unrecorded, %d begun", c.outstanding.Load(), c.unrecorded.Load(), c.begun.Load())
				}
				// Nothing is lost: all that was not recorded waits for the next start.
				f.setVerdict(func(int, *fakeSubmit) {})
				if err := r.store.Close(); err != nil {
					t.Fatal(err)
				}
				r.start()
				settled(t, r)
				got := map[uint16]map[uint8]bool{}
				for _, s := range f.submits() {
					if s.Status == pdu.ESME_ROK {
						c := partNumber(t, &s)
						if got[c.Ref] == nil {
							got[c.Ref] = map[uint8]bool{}
						}
						// In a hurry an answer may stay unread: that part is uncertain, and sent again.
						if got[c.Ref][c.Seq] && !hurry {
							t.Errorf("part %d of %d was taken twice", c.Seq, c.Ref)
						}
						got[c.Ref][c.Seq] = true
					}
				}
				for ref, parts := range got {
					if len(parts) != 2 {
						t.Errorf("reference %d: parts %v", ref, parts)
					}
				}
				if len(got) != 30 {
					t.Errorf("%d messages arrived", len(got))
				}
			})
		})
	}
}

func TestShutdownLetsTheWindowsFinishAndTakesNothingNew(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var answer []*fakeSubmit
		f := newFakeSMSC(t, func(_ int, s *fakeSubmit) {
			s.Status = noAnswer
			answer = append(answer, s)
		})
		r := newRig(t, rigOptions{
			Setup:   func(s *Setup) { s.Carriers[0].Window = 5 },
			Options: fakes(map[string]*fakeSMSC{"a:1": f}, func(o *Options) { o.Drain = 10 * time.Second }),
		})
		r.carrierUp("a")
		p := r.transceiver()
		for range 20 {
			p.submit(nil)
		}
		f.await(5)
		p.conn.Close()
		time.Sleep(time.Second)
		go func() {
			time.Sleep(5 * time.Second)
			for _, s := range answer[:5] {
				s.Session.answer(s, pdu.ESME_ROK)
			}
		}()
		began := time.Now()
		r.stop()
		if d := time.Since(began); d < 5*time.Second || d > 6*time.Second {
			t.Errorf("stopped after %v, the answers came after 5s", d)
		}
		if n := len(f.submits()); n != 5 {
			t.Errorf("%d were sent", n)
		}
		f.setVerdict(func(int, *fakeSubmit) {})
		r.start()
		f.await(20)
		settled(t, r)
		if n := len(f.submits()); n != 20 {
			t.Errorf("%d submit_sm for 20 messages", n)
		}
	})
}

func TestReloadReplacesAChangedCarrierAndLeavesTheOthersAlone(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := newFakeSMSC(t, nil), newFakeSMSC(t, nil)
		r := twoFakes(t, a, b, RouteCarrier{Failover: true}, nil)
		p := r.transceiver()
		id := p.submit(wantReceipt)
		old := a.await(1)[0]
		sessionB := b.session()
		before := r.gw.world.Load()

		a.setVerdict(func(_ int, s *fakeSubmit) { s.Status = noAnswer })
		p.submit(nil)
		held := a.await(2)[1]
		s := rigSetup()
		s.Carriers = append(s.Carriers, carrierAt("b", "b:1"))
		s.Carriers[0].Identity, s.Carriers[0].ServiceType = "a, changed", "CMT"
		s.Routes[0].Name = "both"
		s.Routes[0].Carriers = append(s.Routes[0].Carriers, RouteCarrier{Name: "b", Failover: true})
		if err := r.gw.Reload(context.Background(), s); err != nil {
			t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond)
		a.mu.Lock()
		sessions := len(a.sessions)
		a.mu.Unlock()
		if sessions != 1 {
			t.Errorf("%d binds while the old one's window is open", sessions)
		}
		a.setVerdict(func(int, *fakeSubmit) {})
		held.Session.answer(&held, pdu.ESME_ROK)
		r.wait("the new bind", func() bool { a.mu.Lock(); defer a.mu.Unlock(); return len(a.sessions) == 2 })
		after := r.gw.world.Load()
		if after.carriers["b"] != before.carriers["b"] || b.session() != sessionB {
			t.Error("the other carrier was touched")
		}
		if after.carriers["a"] == before.carriers["a"] {
			t.Error("the changed carrier was not replaced")
		}
		p.submit(nil)
		if sub := a.await(3)[2]; string(sub.ServiceType) != "CMT" {
			t.Errorf("service_type %q", sub.ServiceType)
		}
		// A receipt of what the old one sent comes on the new bind.
		if st := a.acked(a.session().receipt(&old, "DELIVRD")); st != pdu.ESME_ROK {
			t.Errorf("receipt: %v", st)
		}
		ended(t, p, id, "DELIVRD")
		synctest.Wait()
		if old := before.carriers["a"]; stillRuns(old) {
			t.Error("goroutines of the old carrier still run")
		}
		settled(t, r)
	})
}

// stillRuns tells whether a stopped carrier's goroutines have not ended.
func stillRuns(c *carrier) bool {
	done := make(chan struct{})
	go func() { c.stations.Wait(); c.wg.Wait(); close(done) }()
	synctest.Wait()
	select {
	case <-done:
		return false
	default:
		return true
	}
}

func TestReloadThatFailsLeavesEverythingAsItWas(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{})
		r.carrierUp("a")
		before := r.gw.world.Load()
		s := rigSetup()
		s.Routes[0].Carriers[0].Name = "nowhere"
		if err := r.gw.Reload(context.Background(), s); err == nil || !strings.Contains(err.Error(), `"nowhere"`) {
			t.Errorf("error %v", err)
		}
		if r.gw.world.Load() != before {
			t.Error("the world changed")
		}
		r.transceiver().submit(nil)
	})
}

func TestReloadLeadsWhatWaitsForARemovedRouteElsewhere(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{
			Setup: func(s *Setup) { s.Carriers[0].Addrs = []string{"nowhere:1"} },
			SMSC:  map[string]smpptest.SMSCOptions{"b:1": {}},
		})
		p := r.transceiver()
		for range 10 {
			p.submit(nil)
		}
		s := rigSetup()
		s.Carriers = []Carrier{carrierAt("b", "b:1")}
		s.Routes = []Route{{Name: "new", Carriers: []RouteCarrier{{Name: "b"}}}}
		old := r.gw.world.Load().carriers["a"]
		if err := r.gw.Reload(context.Background(), s); err != nil {
			t.Fatal(err)
		}
		r.wait("b has them", func() bool { return r.smscs["b:1"].Stats().Accepted == 10 })
		settled(t, r)
		if stillRuns(old) {
			t.Error("goroutines of the removed carrier still run")
		}
	})
}

// A hundred reloads, each of which changes the carrier, leave nothing behind.
func TestReloadsLeaveNothingBehind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFakeSMSC(t, nil)
		r := fakeRig(t, f, nil)
		p := r.transceiver()
		synctest.Wait()
		before, _ := goroutines()
		for i := range 100 {
			s := rigSetup()
			s.Carriers[0].Identity = fmt.Sprint("a", i)
			if err := r.gw.Reload(context.Background(), s); err != nil {
				t.Fatal(err)
			}
			p.submit(nil)
			if i%3 == 0 {
				time.Sleep(20 * time.Millisecond) // others find the one before not begun
			}
		}
		settled(t, r)
		time.Sleep(time.Minute)
		if n, stacks := goroutines(); n > before {
			t.Errorf("%d goroutines, %d before:\n%s", n, before, stacks)
		}
		if n := len(f.submits()); n != 100 {
			t.Errorf("%d submit_sm for 100 messages", n)
		}
		var waiting int64
		r.store.Depths(func(_ queue.Lane, d queue.Depth) { waiting += d.Messages })
		if waiting != 0 {
			t.Errorf("%d wait", waiting)
		}
	})
}
