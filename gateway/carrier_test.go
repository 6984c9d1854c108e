package gateway

import (
	"fmt"
	"testing"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
	"masar/smpp/smpptest"
	"masar/smpp/text"
)

// partNumber is which part of how many a submit_sm is, and of which reference.
func partNumber(t *testing.T, s *fakeSubmit) text.Concat {
	t.Helper()
	_, c, has := partContent(t, &s.SubmitSM)
	if !has {
		t.Fatalf("not a part: %q", s.ShortMessage)
	}
	return c
}

// parts writes the part numbers of submits as text: "1 2 3".
func parts(t *testing.T, subs []fakeSubmit) string {
	t.Helper()
	s := ""
	for i := range subs {
		s += fmt.Sprint(partNumber(t, &subs[i]).Seq, " ")
	}
	return s
}

// ended awaits the client's receipt of a message and checks its state.
func ended(t *testing.T, p *peer, id, stat string) {
	t.Helper()
	h, body := p.expectWithin(pdu.CmdDeliverSM, 5*time.Minute)
	p.answer(h, pdu.ESME_ROK)
	if got := fields(body.(*pdu.DeliverSM)); got["id"] != id || got["stat"] != stat {
		t.Errorf("receipt %v, want %s of %s", got, stat, id)
	}
}

// settled checks that nothing waits any more, in lanes or aside.
func settled(t *testing.T, r *rig) {
	t.Helper()
	r.wait("nothing waits", func() bool {
		n := int64(0)
		r.store.Depths(func(_ queue.Lane, d queue.Depth) { n += d.Messages })
		return n == 0
	})
}

// early is the order of parts where the second's refusal was heard before the third was sent.
func early(order string) string {
	if order == "1 2 3 " {
		return "1 2 "
	}
	return "1 2 2 3 "
}

// What one part's answer means for the message while the others are answered ESME_ROK,
// unanswered, or still to be sent.
func TestTheAnswerOfOnePartDecidesForItsMessage(t *testing.T) {
	tests := map[string]struct {
		status pdu.Status // of the second part's first try
		window int
		order  string // of the parts at the carrier; another one where the answer came before the next was sent
		stat   string // of the client's receipt
	}{
		"throttled, all on the wire":      {pdu.ESME_RTHROTTLED, 10, "1 2 3 2 ", "DELIVRD"},
		"throttled, one at a time":        {pdu.ESME_RTHROTTLED, 1, "1 2 2 3 ", "DELIVRD"},
		"temporary, all on the wire":      {pdu.ESME_RSYSERR, 10, "1 2 3 2 ", "DELIVRD"},
		"temporary, one at a time":        {pdu.ESME_RSYSERR, 1, "1 2 2 3 ", "DELIVRD"},
		"permanent, all on the wire":      {pdu.ESME_RINVDSTADR, 10, "1 2 3 ", "REJECTD"},
		"permanent, one at a time":        {pdu.ESME_RINVDSTADR, 1, "1 2 ", "REJECTD"},
		"elsewhere and there is none":     {pdu.ESME_RINVSRCADR, 10, "1 2 3 ", "REJECTD"},
		"no answer, all on the wire":      {noAnswer, 10, "1 2 3 2 ", "DELIVRD"},
		"no answer, one at a time":        {noAnswer, 1, "1 2 2 3 ", "DELIVRD"},
		"generic_nack with ESME_RSYSERR?": {pdu.ESME_RUNKNOWNERR, 10, "1 2 3 2 ", "DELIVRD"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFakeSMSC(t, func(n int, s *fakeSubmit) {
					if n == 1 {
						s.Status = tt.status
					}
				})
				r := fakeRig(t, f, func(s *Setup) { s.Carriers[0].Window = tt.window })
				p := r.transceiver()
				id := p.submit(inParts(3))
				n := len(tt.order) / 2
				if tt.window > 1 && tt.stat == "REJECTD" {
					n = 2
				}
				subs := f.await(n)
				if tt.stat == "REJECTD" {
					ended(t, p, id, tt.stat)
				}
				time.Sleep(time.Minute)
				if got := parts(t, f.submits()); got != tt.order && (tt.window == 1 || got != early(tt.order)) {
					t.Errorf("the carrier saw %s, want %s", got, tt.order)
				}
				ref := partNumber(t, &subs[0]).Ref
				subs = f.submits()
				for i := range subs {
					if c := partNumber(t, &subs[i]); c.Ref != ref || c.Total != 3 {
						t.Errorf("submit %d: %+v, want reference %d", i, c, ref)
					}
					if subs[i].RegisteredDelivery != pdu.RegisteredFinal {
						t.Errorf("submit %d asks for no receipt", i)
					}
				}
				for i := range subs {
					if subs[i].Status == pdu.ESME_ROK {
						if st := f.acked(f.session().receipt(&subs[i], "DELIVRD")); st != pdu.ESME_ROK {
							t.Errorf("receipt of submit %d: %v", i, st)
						}
					}
				}
				if tt.stat != "REJECTD" {
					ended(t, p, id, tt.stat)
				}
				p.quiet(time.Minute)
				settled(t, r)
				if tt.status == pdu.ESME_RTHROTTLED && r.metric("masar_retries_total") != 0 {
					t.Error("a throttled part counted as a try")
				}
				if tt.status == noAnswer && r.metric("masar_uncertain_total", "cause=timeout") != 1 {
					t.Error("the submit without an answer is not counted")
				}
			})
		})
	}
}

func TestPartsAfterARestartGoOnWhereTheyStopped(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFakeSMSC(t, func(n int, s *fakeSubmit) {
			if n >= 2 {
				s.Status = pdu.ESME_RTHROTTLED
			}
		})
		r := fakeRig(t, f, func(s *Setup) { s.Carriers[0].Style = text.UDH8; s.Carriers[0].Window = 1 })
		p := r.transceiver()
		id := p.submit(inParts(4))
		f.await(3)
		p.conn.Close()
		r.restart()
		f.setVerdict(func(int, *fakeSubmit) {})
		before := len(f.submits())
		p = r.transceiver()
		subs := f.await(before + 2)
		if got := parts(t, subs[before:]); got != "3 4 " {
			t.Errorf("after the restart went %s", got)
		}
		if a, b := partNumber(t, &subs[0]).Ref, partNumber(t, &subs[before]).Ref; a != b {
			t.Errorf("reference %d before the restart, %d after", a, b)
		}
		for i := range subs {
			if subs[i].Status == pdu.ESME_ROK {
				f.acked(f.session().receipt(&subs[i], "DELIVRD"))
			}
		}
		ended(t, p, id, "DELIVRD")
		settled(t, r)
	})
}

func TestThrottledMessagesKeepTheirOrder(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFakeSMSC(t, func(n int, s *fakeSubmit) {
			if n < 30 && n%3 != 0 || n < 10 {
				s.Status = pdu.ESME_RTHROTTLED
			}
		})
		r := fakeRig(t, f, func(s *Setup) { s.Carriers[0].Window = 1 })
		p := r.transceiver()
		for i := range 20 {
			p.submit(func(p *pdu.SubmitSM) { p.ShortMessage = fmt.Appendf(nil, "message %02d", i) })
		}
		r.wait("all are taken", func() bool { return r.metric("masar_carrier_answers_total", "class=ok") == 20 })
		next := 0
		for _, s := range f.submits() {
			if s.Status != pdu.ESME_ROK {
				continue
			}
			if want := fmt.Sprintf("message %02d", next); string(s.ShortMessage) != want {
				t.Errorf("%q was taken in place of %q", s.ShortMessage, want)
			}
			next++
		}
		if r.metric("masar_carrier_throttled_total") == 0 || r.metric("masar_carrier_pace") == 0 {
			t.Error("the throttled carrier has no pace")
		}
		settled(t, r)
	})
}

// twoFakes is a rig of carriers a and b on one route.
func twoFakes(t *testing.T, a, b *fakeSMSC, second RouteCarrier, setup func(s *Setup)) *rig {
	t.Helper()
	second.Name = "b"
	r := newRig(t, rigOptions{
		Setup: func(s *Setup) {
			s.Carriers = append(s.Carriers, carrierAt("b", "b:1"))
			s.Routes[0].Name = "both"
			s.Routes[0].Carriers = append(s.Routes[0].Carriers, second)
			if setup != nil {
				setup(s)
			}
		},
		Options: fakes(map[string]*fakeSMSC{"a:1": a, "b:1": b}, nil),
	})
	r.carrierUp("a", "b")
	return r
}

func TestAMessageThatIsRefusedHereGoesToTheNextCarrierOnce(t *testing.T) {
	for name, tt := range map[string]struct {
		b    pdu.Status
		stat string
	}{
		"the next takes it":     {pdu.ESME_ROK, "DELIVRD"},
		"the next refuses, too": {pdu.ESME_RINVSRCADR, "REJECTD"},
	} {
		for _, n := range []int{1, 3} {
			t.Run(fmt.Sprintf("%s, %d parts", name, n), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					a := newFakeSMSC(t, func(n int, s *fakeSubmit) {
						if _, c, has := partContent(t, &s.SubmitSM); !has || c.Seq == 2 {
							s.Status = pdu.ESME_RINVSRCADR
						}
					})
					b := newFakeSMSC(t, func(n int, s *fakeSubmit) { s.Status = tt.b })
					r := twoFakes(t, a, b, RouteCarrier{Failover: true}, nil)
					p := r.transceiver()
					var id string
					if n == 1 {
						id = p.submit(wantReceipt)
					} else {
						id = p.submit(inParts(n))
					}
					atB := b.await(n)
					if tt.stat == "REJECTD" {
						ended(t, p, id, tt.stat)
					}
					time.Sleep(time.Minute)
					if len(a.submits()) != n || len(b.submits()) != n {
						t.Errorf("a was asked %d times, b %d times", len(a.submits()), len(b.submits()))
					}
					atA := a.submits()
					if n > 1 {
						if partNumber(t, &atA[0]).Ref == partNumber(t, &atB[0]).Ref {
							t.Error("another attempt has the same reference")
						}
						// A receipt of the older attempt decides nothing.
						if st := a.acked(a.session().receipt(&atA[0], "UNDELIV")); st != pdu.ESME_ROK {
							t.Errorf("a receipt of the older attempt: %v", st)
						}
					}
					if tt.b == pdu.ESME_ROK {
						for i := range atB {
							b.acked(b.session().receipt(&atB[i], "DELIVRD"))
						}
					}
					if tt.stat != "REJECTD" {
						ended(t, p, id, tt.stat)
					}
					p.quiet(time.Minute)
					settled(t, r)
				})
			})
		}
	}
}

// A carrier that has refused a message for good is not asked again while the other is away.
func TestABarredCarrierIsNotAskedAgainWhenTheOtherIsDown(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := newFakeSMSC(t, func(_ int, s *fakeSubmit) { s.Status = pdu.ESME_RINVSRCADR })
		r := newRig(t, rigOptions{
			Setup: func(s *Setup) {
				s.Carriers = append(s.Carriers, carrierAt("b", "b:1"))
				s.Routes[0].Carriers = append(s.Routes[0].Carriers, RouteCarrier{Name: "b", Failover: true})
			},
			SMSC:    map[string]smpptest.SMSCOptions{"b:1": {}},
			Options: fakes(map[string]*fakeSMSC{"a:1": a}, nil),
		})
		r.refuse("b:1", true)
		r.carrierUp("a")
		p := r.transceiver()
		id := p.submit(wantReceipt)
		a.await(1)
		time.Sleep(2 * time.Minute)
		if n := len(a.submits()); n != 1 {
			t.Errorf("a was asked %d times", n)
		}
		r.refuse("b:1", false)
		ended(t, p, id, "DELIVRD")
	})
}

func TestATemporaryFailureGoesToTheOtherCarrierAfterItsDelay(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := newFakeSMSC(t, func(_ int, s *fakeSubmit) { s.Status = pdu.ESME_RSYSERR })
		b := newFakeSMSC(t, nil)
		r := twoFakes(t, a, b, RouteCarrier{Failover: true}, nil)
		p := r.transceiver()
		p.submit(nil)
		first := a.await(1)[0].At
		if d := b.await(1)[0].At.Sub(first); d < 9*time.Second || d > 12*time.Second {
			t.Errorf("the second try came after %v", d)
		}
		if n := len(a.submits()); n != 1 {
			t.Errorf("a was asked %d times", n)
		}
		settled(t, r)
	})
}

func TestTriesEndWhenTheScheduleOrTheValidityDoes(t *testing.T) {
	for name, tt := range map[string]struct {
		tries    int
		validity string
		want     int
		stat     string
	}{
		"three tries":      {3, "", 3, "UNDELIV"},
		"until it expires": {0, "000000000020000R", 2, "EXPIRED"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFakeSMSC(t, func(_ int, s *fakeSubmit) { s.Status = pdu.ESME_RSYSERR })
				r := fakeRig(t, f, func(s *Setup) {
					s.Carriers[0].Retry = RetrySchedule{Delays: []time.Duration{5 * time.Second}, Tries: tt.tries}
				})
				p := r.transceiver()
				id := p.submit(func(p *pdu.SubmitSM) {
					wantReceipt(p)
					p.ValidityPeriod = []byte(tt.validity)
				})
				ended(t, p, id, tt.stat)
				if n := len(f.submits()); n != tt.want {
					t.Errorf("%d tries, want %d", n, tt.want)
				}
				settled(t, r)
			})
		})
	}
}

func TestTheRestOfAMessageThatExpiresIsNotSent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFakeSMSC(t, nil)
		r := fakeRig(t, f, func(s *Setup) { s.Carriers[0].Throughput, s.Carriers[0].Burst = 0.1, 1 })
		p := r.transceiver()
		id := p.submit(func(p *pdu.SubmitSM) {
			inParts(4)(p)
			p.ValidityPeriod = []byte("000000000015000R")
		})
		ended(t, p, id, "EXPIRED")
		time.Sleep(time.Minute)
		if got := parts(t, f.submits()); got != "1 2 " {
			t.Errorf("the carrier saw parts %s in 15 s at one in ten", got)
		}
		settled(t, r)
	})
}
