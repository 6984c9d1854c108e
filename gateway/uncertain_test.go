package gateway

import (
	"fmt"
	"testing"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
)

// What becomes of a submit_sm without an answer, by policy and cause.
func TestASubmitWithoutAnswerGoesTheWayOfItsPolicy(t *testing.T) {
	for _, cause := range []UncertainCause{TimedOut, SessionEnded} {
		for _, policy := range []Uncertain{Resend, FailUncertain, HoldUncertain} {
			for _, n := range []int{1, 3} {
				t.Run(fmt.Sprintf("%v, %v, %d parts", cause, policy, n), func(t *testing.T) {
					bubble(t, func(t *testing.T) {
						f := newFakeSMSC(t, func(n int, s *fakeSubmit) {
							if n == 0 {
								s.Status = noAnswer
							}
						})
						r := fakeRig(t, f, func(s *Setup) {
							s.Carriers[0].Window = 1
							s.Routes[0].Uncertain = policy
						})
						p := r.transceiver()
						var id string
						if n == 1 {
							id = p.submit(wantReceipt)
						} else {
							id = p.submit(inParts(n))
						}
						f.await(1)
						if cause == SessionEnded {
							f.drop()
						}
						switch policy {
						case Resend:
							subs := f.await(n + 1)
							for i := range subs {
								if subs[i].Status == pdu.ESME_ROK {
									f.acked(f.session().receipt(&subs[i], "DELIVRD"))
								}
							}
							ended(t, p, id, "DELIVRD")
							settled(t, r)
						case FailUncertain:
							ended(t, p, id, "UNKNOWN")
							settled(t, r)
						case HoldUncertain:
							r.wait("held", func() bool {
								aside := false
								r.store.Depths(func(l queue.Lane, d queue.Depth) { aside = aside || l.Target == 0 && d.Messages == 1 })
								return aside
							})
						}
						p.quiet(5 * time.Minute)
						want := 1
						if policy == Resend {
							want = n + 1
						}
						if got := len(f.submits()); got != want {
							t.Errorf("%d submit_sm, want %d", got, want)
						}
						if r.metric("masar_uncertain_total", "cause="+cause.String(), "carrier=a") != 1 {
							t.Error("not counted")
						}
						list := r.gw.Uncertain()
						if len(list) != 1 || list[0].Message.String() != id || list[0].Cause != cause || list[0].Policy != policy || list[0].Carrier != "a" {
							t.Errorf("listed: %+v", list)
						}
					})
				})
			}
		}
	}
}

// A route with fail or hold has written down that it was about to send.
func TestASubmitFromBeforeTheCrashGoesTheWayOfItsPolicy(t *testing.T) {
	for _, policy := range []Uncertain{Resend, FailUncertain, HoldUncertain} {
		t.Run(policy.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				f := newFakeSMSC(t, func(_ int, s *fakeSubmit) { s.Status = noAnswer })
				route := func(s *Setup) { s.Routes[0].Uncertain = policy }
				before := crashable()
				r := newRig(t, rigOptions{FS: before, Setup: route, Options: fakes(map[string]*fakeSMSC{"a:1": f}, nil)})
				r.carrierUp("a")
				p := r.transceiver()
				id := p.submit(wantReceipt)
				f.await(1)
				after := crash(before)

				g := newFakeSMSC(t, nil)
				r = newRig(t, rigOptions{FS: after, Setup: route, Options: fakes(map[string]*fakeSMSC{"a:1": g}, nil)})
				r.carrierUp("a")
				p = r.transceiver()
				switch policy {
				case Resend:
					subs := g.await(1)
					g.acked(g.session().receipt(&subs[0], "DELIVRD"))
					ended(t, p, id, "DELIVRD")
				case FailUncertain:
					ended(t, p, id, "UNKNOWN")
					settled(t, r)
				case HoldUncertain:
					p.quiet(5 * time.Minute)
				}
				if n := len(g.submits()); policy != Resend && n != 0 {
					t.Errorf("it was sent %d times more", n)
				}
				want := 1.0
				if policy == Resend {
					want = 0 // nothing was written before sending: nobody knows
				}
				if got := r.metric("masar_uncertain_total", "cause=restart"); got != want {
					t.Errorf("%v counted", got)
				}
			})
		})
	}
}

func TestAnAnswerThatComesLateSettlesWhatHasNotGoneAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFakeSMSC(t, func(_ int, s *fakeSubmit) { s.Status = noAnswer })
		r := fakeRig(t, f, func(s *Setup) { s.Routes[0].Uncertain = HoldUncertain })
		p := r.transceiver()
		id := p.submit(wantReceipt)
		sub := f.await(1)[0]
		time.Sleep(15 * time.Second) // response_timeout is 10
		f.session().answer(&sub, pdu.ESME_ROK)
		settled(t, r)
		if st := f.acked(f.session().receipt(&sub, "DELIVRD")); st != pdu.ESME_ROK {
			t.Errorf("its receipt: %v", st)
		}
		ended(t, p, id, "DELIVRD")
		if r.metric("masar_carrier_late_answers_total") != 1 {
			t.Error("not counted")
		}
	})
}

func TestAnAnswerThatComesLateChangesNothingOnceItWentAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFakeSMSC(t, func(n int, s *fakeSubmit) {
			if n == 0 {
				s.Status = noAnswer
			}
		})
		r := fakeRig(t, f, nil)
		p := r.transceiver()
		id := p.submit(wantReceipt)
		subs := f.await(2)
		f.session().answer(&subs[0], pdu.ESME_ROK)
		f.acked(f.session().receipt(&subs[1], "DELIVRD"))
		ended(t, p, id, "DELIVRD")
		// The first copy's receipt belongs to nothing that is known; it is kept and acknowledged.
		if st := f.acked(f.session().receipt(&subs[0], "DELIVRD")); st != pdu.ESME_ROK {
			t.Errorf("the first copy's receipt: %v", st)
		}
		p.quiet(time.Minute)
		settled(t, r)
	})
}

func TestALostSessionsMessagesGoOverTheNextBindOrTheOtherCarrier(t *testing.T) {
	for name, tt := range map[string]struct {
		parts int
		back  bool // the carrier comes back at once
	}{
		"one part, it comes back":    {1, true},
		"one part, it stays away":    {1, false},
		"three parts, it comes back": {3, true},
		"three parts, it stays away": {3, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				a := newFakeSMSC(t, func(_ int, s *fakeSubmit) {
					if _, c, has := partContent(t, &s.SubmitSM); !has || c.Seq > 1 {
						s.Status = noAnswer
					}
				})
				b := newFakeSMSC(t, nil)
				r := twoFakes(t, a, b, RouteCarrier{Failover: true}, nil)
				p := r.transceiver()
				var id string
				if tt.parts == 1 {
					id = p.submit(wantReceipt)
				} else {
					id = p.submit(inParts(tt.parts))
				}
				a.await(tt.parts)
				a.setVerdict(func(int, *fakeSubmit) {})
				lost := time.Now()
				if !tt.back {
					a.refuse(true)
				}
				a.drop()
				to, n := a, 2*tt.parts
				if tt.parts == 3 {
					n-- // the first was answered
				}
				if !tt.back {
					to, n = b, tt.parts
				}
				subs := to.await(n)
				if !tt.back {
					if d := subs[0].At.Sub(lost); d < 4900*time.Millisecond || d > 7*time.Second {
						t.Errorf("the other carrier took over after %v, failover_after is 5s", d)
					}
				}
				if tt.parts == 3 {
					old := a.submits()
					if same := partNumber(t, &subs[n-1]).Ref == partNumber(t, &old[0]).Ref; same != tt.back {
						t.Errorf("the same reference: %v", same)
					}
				}
				for i := range subs {
					if subs[i].Status == pdu.ESME_ROK {
						to.acked(to.session().receipt(&subs[i], "DELIVRD"))
					}
				}
				ended(t, p, id, "DELIVRD")
				p.quiet(time.Minute)
				settled(t, r)
			})
		})
	}
}
