package gateway

import (
	"fmt"
	"testing"
	"time"

	"masar/smpp/pdu"
)

// hours is a carrier's opening times as one stretch from an origin.
type hours struct{ opens, closes time.Time }

func (h hours) Open(now time.Time) (bool, time.Time) {
	switch {
	case now.Before(h.opens):
		return false, h.opens
	case now.Before(h.closes):
		return true, h.closes
	}
	return false, time.Time{}
}

func TestAFailoverCarrierTakesOverAfterFailoverAfterAndGivesBack(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := newFakeSMSC(t, nil), newFakeSMSC(t, nil)
		r := twoFakes(t, a, b, RouteCarrier{Failover: true}, func(s *Setup) { s.Routes[0].FailoverAfter = 20 * time.Second })
		p := r.transceiver()
		p.submit(nil)
		a.await(1)
		a.refuse(true)
		a.drop()
		down := time.Now()
		p.submit(nil)
		if d := b.await(1)[0].At.Sub(down); d < 19*time.Second || d > 22*time.Second {
			t.Errorf("b took over after %v", d)
		}
		p.submit(nil)
		if sub := b.await(2)[1]; time.Since(sub.At) > time.Second {
			t.Error("the second waited")
		}
		a.refuse(false)
		r.carrierUp("a")
		p.submit(nil)
		a.await(2)
		if n := len(b.submits()); n != 2 {
			t.Errorf("b was sent %d", n)
		}
	})
}

func TestALaneThatWaitsTooLongOpensTheNextCarrier(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := newFakeSMSC(t, nil), newFakeSMSC(t, nil)
		r := twoFakes(t, a, b, RouteCarrier{Failover: true}, func(s *Setup) {
			s.Carriers[0].Throughput, s.Carriers[0].Burst = 0.1, 1
			s.Routes[0].MaxWait = 15 * time.Second
		})
		p := r.transceiver()
		began := time.Now()
		for range 10 {
			p.submit(nil)
		}
		first := b.await(1)[0]
		if d := first.At.Sub(began); d < 15*time.Second || d > 17*time.Second {
			t.Errorf("b was opened after %v", d)
		}
		settled(t, r)
		if d := time.Since(began); d > 20*time.Second {
			t.Errorf("the rest took %v", d)
		}
	})
}

func TestCarriersShareByWeight(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := newFakeSMSC(t, nil), newFakeSMSC(t, nil)
		r := twoFakes(t, a, b, RouteCarrier{Weight: 1}, func(s *Setup) {
			s.Routes[0].Carriers[0].Weight = 3
		})
		p := r.transceiver()
		const n = 400
		for range n { // fewer than either could carry: beyond that nothing idles for a share
			p.submit(nil)
			time.Sleep(10 * time.Millisecond)
		}
		settled(t, r)
		na, nb := len(a.submits()), len(b.submits())
		if na+nb != n || na < n*3/4-30 || na > n*3/4+30 {
			t.Errorf("shares of 3:1 are %d:%d", na, nb)
		}
	})
}

func TestACarrierKeepsItsHours(t *testing.T) {
	for _, members := range []int{1, 2} {
		t.Run(fmt.Sprint(members), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				opens := time.Now().Add(10*time.Minute + 17*time.Millisecond)
				a, b := newFakeSMSC(t, nil), newFakeSMSC(t, nil)
				setup := func(s *Setup) { s.Carriers[0].Hours = hours{opens, opens.Add(5 * time.Minute)} }
				var r *rig
				if members == 1 {
					r = fakeRig(t, a, setup)
				} else {
					r = twoFakes(t, a, b, RouteCarrier{Failover: true}, setup)
				}
				p := r.transceiver()
				p.submit(nil)
				if members == 2 {
					if sub := b.await(1)[0]; time.Since(sub.At) > time.Second {
						t.Error("the other carrier did not take over at once")
					}
				} else {
					time.Sleep(time.Until(opens) - time.Second)
					if len(a.submits()) != 0 {
						t.Error("sent while closed")
					}
					if d := a.await(1)[0].At.Sub(opens); d < 0 || d > 100*time.Millisecond {
						t.Errorf("the first goes %v after the opening", d)
					}
				}
				time.Sleep(time.Until(opens.Add(time.Minute)))
				n := len(a.submits())
				p.submit(nil)
				a.await(n + 1)
				time.Sleep(time.Until(opens.Add(5*time.Minute + time.Second)))
				p.submit(nil)
				time.Sleep(3 * time.Minute)
				if len(a.submits()) != n+1 {
					t.Error("sent after closing time")
				}
			})
		})
	}
}

func TestThePaceCountsPartsOverAllBinds(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFakeSMSC(t, nil)
		r := fakeRig(t, f, func(s *Setup) { s.Carriers[0].Transceivers, s.Carriers[0].Throughput = 3, 50 })
		p := r.transceiver()
		for range 100 {
			p.submit(inParts(5))
		}
		subs := f.await(500)
		d := subs[499].At.Sub(subs[0].At).Seconds()
		if rate := 499 / d; rate < 48 || rate > 51 {
			t.Errorf("500 parts went at %.1f/s, the pace is 50", rate)
		}
		sessions := map[*fakeSession]int{}
		for i := range subs {
			sessions[subs[i].Session]++
		}
		settled(t, r)
	})
}

func TestPartsKeepToOneBind(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFakeSMSC(t, nil)
		r := fakeRig(t, f, func(s *Setup) { s.Carriers[0].Transceivers, s.Carriers[0].Window = 4, 2 })
		p := r.transceiver()
		for range 30 {
			p.submit(inParts(4))
		}
		type conv struct {
			s   *fakeSession
			seq uint8
		}
		seen := map[uint16]conv{}
		for _, s := range f.await(120) {
			c := partNumber(t, &s)
			last, known := seen[c.Ref]
			if known && last.s != s.Session {
				t.Errorf("reference %d is on two binds", c.Ref)
			}
			if c.Seq != last.seq+1 {
				t.Errorf("reference %d: part %d after %d", c.Ref, c.Seq, last.seq)
			}
			seen[c.Ref] = conv{s.Session, c.Seq}
		}
	})
}

// The client's own parts go over one carrier and one bind although nothing but their
// reference says that they belong together; and a full bind does not keep the others idle.
func TestAClientsOwnPartsStayTogether(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := newFakeSMSC(t, nil), newFakeSMSC(t, nil)
		r := twoFakes(t, a, b, RouteCarrier{Weight: 1}, func(s *Setup) {
			for i := range s.Carriers {
				s.Carriers[i].Transceivers, s.Carriers[i].Window = 3, 1
			}
		})
		p := r.transceiver()
		for seq := range byte(3) {
			for ref := range byte(60) {
				p.submit(func(p *pdu.SubmitSM) {
					p.ESMClass = pdu.ESMClassUDHI
					p.ShortMessage = []byte{5, 0, 3, ref, 3, seq + 1, 'x'}
				})
			}
		}
		settled(t, r)
		where := map[byte]*fakeSession{}
		for _, f := range []*fakeSMSC{a, b} {
			for _, s := range f.submits() {
				ref := s.ShortMessage[3]
				if at := where[ref]; at != nil && at != s.Session {
					t.Errorf("reference %d is on two binds", ref)
				}
				where[ref] = s.Session
			}
		}
		if len(where) != 60 || len(a.submits()) < 40 || len(b.submits()) < 40 {
			t.Errorf("%d references, %d submits at a, %d at b", len(where), len(a.submits()), len(b.submits()))
		}
	})
}

func TestAWholeBindDoesNotKeepTheOthersIdle(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var stuck *fakeSession
		f := newFakeSMSC(t, func(_ int, s *fakeSubmit) {
			if stuck == nil {
				stuck = s.Session
			}
			if s.Session == stuck {
				s.Status = noAnswer
			}
		})
		r := fakeRig(t, f, func(s *Setup) { s.Carriers[0].Transceivers, s.Carriers[0].Window = 2, 5 })
		r.wait("both binds", func() bool { f.mu.Lock(); defer f.mu.Unlock(); return len(f.sessions) == 2 })
		p := r.transceiver()
		// Pinned parts for both binds: those of the stuck one are held, the others go.
		for ref := range 100 {
			p.submit(func(p *pdu.SubmitSM) {
				p.ESMClass = pdu.ESMClassUDHI
				p.ShortMessage = []byte{5, 0, 3, byte(ref), 2, 1, 'x'}
			})
		}
		time.Sleep(time.Second)
		n := 0
		for _, s := range f.submits() {
			if s.Status == pdu.ESME_ROK {
				n++
			}
		}
		if n < 30 {
			t.Errorf("%d of a hundred went over the bind that answers", n)
		}
	})
}

func TestAnUrgentMessageGoesBetweenTheParts(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFakeSMSC(t, nil)
		r := fakeRig(t, f, func(s *Setup) { s.Carriers[0].Throughput, s.Carriers[0].Burst = 1, 1 })
		p := r.transceiver()
		p.submit(inParts(10))
		f.await(3)
		p.submit(func(p *pdu.SubmitSM) { p.PriorityFlag = 3; p.ShortMessage = []byte("code 1234") })
		subs := f.await(6)
		at := -1
		for i, s := range subs {
			if string(s.ShortMessage) == "code 1234" {
				at = i
			}
		}
		if at < 3 || at > 4 {
			t.Errorf("the urgent message went at place %d", at)
		}
		f.await(11)
	})
}

func TestAccountsShareACarrierByTheirWeights(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFakeSMSC(t, func(_ int, s *fakeSubmit) {})
		setup := func(weight int) func(s *Setup) {
			return func(s *Setup) {
				s.Carriers[0].Throughput = 20
				heavy := acme()
				heavy.SystemID, heavy.Weight = "heavy", weight
				s.Accounts = append(s.Accounts, heavy)
			}
		}
		r := fakeRig(t, f, setup(3))
		one, two := r.transceiver(), r.bind(pdu.CmdBindTransceiver, "heavy")
		for range 300 {
			one.submit(func(p *pdu.SubmitSM) { p.ShortMessage = []byte("light") })
			two.submit(func(p *pdu.SubmitSM) { p.ShortMessage = []byte("heavy") })
		}
		share := func(from, to int) float64 {
			subs := f.await(to)
			n := 0
			for _, s := range subs[from:to] {
				if string(s.ShortMessage) == "heavy" {
					n++
				}
			}
			return float64(n) / float64(to-from)
		}
		from := len(f.submits()) + 10
		if got := share(from, from+100); got < 0.70 || got > 0.80 {
			t.Errorf("a weight of 3 beside 1 gets %.2f", got)
		}
		s := rigSetup()
		setup(1)(&s)
		if err := r.gw.Reload(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		from = len(f.submits()) + 10
		if got := share(from, from+100); got < 0.45 || got > 0.55 {
			t.Errorf("after a reload to equal weights it gets %.2f", got)
		}
	})
}

func TestARuleForUnknownAccountsMatchesNobody(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{Setup: func(s *Setup) {
			s.Routes = []Route{{Name: "theirs", Accounts: []string{"nobody"}, Carriers: []RouteCarrier{{Name: "a"}}}}
		}})
		r.carrierUp("a")
		p := r.transceiver()
		if st := p.submitted(nil); st == pdu.ESME_ROK {
			t.Error("a rule for an account that does not exist took another's message")
		}
	})
}

func TestReceiptsAreAskedForAsTheRouteSays(t *testing.T) {
	tests := map[string]struct {
		route, carrier AskReceipts
		client         uint8
		want           uint8
		stat           string
	}{
		"as asked, not asked":     {AsAsked, AsAsked, 0, 0, ""},
		"as asked":                {AsAsked, AsAsked, 1, 1, "DELIVRD"},
		"failures only":           {AsAsked, AsAsked, 2, 1, ""},
		"the route always does":   {AlwaysAsk, AsAsked, 0, 1, ""},
		"the route never does":    {NeverAsk, AsAsked, 1, 0, "ACCEPTD"},
		"the carrier always does": {AsAsked, AlwaysAsk, 0, 1, ""},
		"the carrier never may":   {AlwaysAsk, NeverAsk, 1, 0, "ACCEPTD"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFakeSMSC(t, nil)
				r := fakeRig(t, f, func(s *Setup) { s.Routes[0].Receipts, s.Carriers[0].Receipts.Ask = tt.route, tt.carrier })
				p := r.transceiver()
				id := p.submit(func(p *pdu.SubmitSM) { p.RegisteredDelivery = tt.client })
				sub := f.await(1)[0]
				if sub.RegisteredDelivery != tt.want {
					t.Errorf("registered_delivery %d", sub.RegisteredDelivery)
				}
				if tt.want == 1 {
					f.acked(sub.Session.receipt(&sub, "DELIVRD"))
				}
				if tt.stat != "" {
					ended(t, p, id, tt.stat)
				}
				p.quiet(time.Minute)
			})
		})
	}
}
