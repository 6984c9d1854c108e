package gateway

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/queue"
	"masar/queue/pebble"
	"masar/smpp/pdu"
	"masar/smpp/text"
)

func TestACarrierThatNeverAnswersIsAskedOnTheRetrySchedule(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFakeSMSC(t, func(_ int, s *fakeSubmit) { s.Status = noAnswer })
		r := fakeRig(t, f, func(s *Setup) {
			s.Carriers[0].Retry = RetrySchedule{Delays: []time.Duration{time.Minute}, Tries: 3}
		})
		p := r.transceiver()
		id := p.submit(wantReceipt)
		ended(t, p, id, "UNKNOWN")
		if n := len(f.submits()); n != 3 {
			t.Errorf("it was sent %d times in three tries", n)
		}
		if n := r.metric("masar_uncertain_total", "cause=timeout"); n != 3 {
			t.Errorf("%v counted", n)
		}
		settled(t, r)
	})
}

func TestAMessageThatEndsSessionAfterSessionWaitsForItsTry(t *testing.T) {
	for _, n := range []int{1, 2} {
		bubble(t, func(t *testing.T) {
			f := newFakeSMSC(t, func(_ int, s *fakeSubmit) {
				s.Status = noAnswer
				s.Session.conn.Close()
			})
			r := fakeRig(t, f, func(s *Setup) {
				s.Carriers[0].Retry = RetrySchedule{Delays: []time.Duration{10 * time.Minute}}
				s.Carriers[0].Window = 1
			})
			r.transceiver().submit(inParts(n))
			time.Sleep(5 * time.Minute)
			if got := len(f.submits()); got < lostMost || got > lostMost+2 {
				t.Errorf("%d parts: sent %d times in five minutes, at most %d go at once", n, got, lostMost+1)
			}
		})
	}
}

func TestAThrottledMessageIsNotInDoubtAfterACrash(t *testing.T) {
	for _, n := range []int{1, 3} {
		bubble(t, func(t *testing.T) {
			f := newFakeSMSC(t, func(_ int, s *fakeSubmit) { s.Status = pdu.ESME_RTHROTTLED })
			route := func(s *Setup) { s.Routes[0].Uncertain = FailUncertain; s.Carriers[0].Window = 1 }
			before := crashable()
			r := newRig(t, rigOptions{FS: before, Setup: route, Options: fakes(map[string]*fakeSMSC{"a:1": f}, nil)})
			r.carrierUp("a")
			p := r.transceiver()
			id := p.submit(inParts(n))
			f.await(1)
			time.Sleep(20 * time.Millisecond) // the carrier is paused, the message in its lane
			after := crash(before)

			g := newFakeSMSC(t, nil)
			r = newRig(t, rigOptions{FS: after, Setup: route, Options: fakes(map[string]*fakeSMSC{"a:1": g}, nil)})
			r.carrierUp("a")
			p = r.transceiver()
			subs := g.await(n)
			for i := range subs {
				g.acked(g.session().receipt(&subs[i], "DELIVRD"))
			}
			ended(t, p, id, "DELIVRD")
			if r.metric("masar_uncertain_total") != 0 {
				t.Error("counted as uncertain")
			}
		})
	}
}

func TestAnOperatorDecidesAboutAHeldMessage(t *testing.T) {
	for _, resend := range []bool{true, false} {
		bubble(t, func(t *testing.T) {
			f := newFakeSMSC(t, func(n int, s *fakeSubmit) {
				if n == 0 {
					s.Status = noAnswer
				}
			})
			r := fakeRig(t, f, func(s *Setup) { s.Routes[0].Uncertain = HoldUncertain })
			p := r.transceiver()
			id := p.submit(wantReceipt)
			f.await(1)
			held := r.gw.Uncertain
			r.wait("held", func() bool { return len(held()) == 1 })
			time.Sleep(time.Second)
			decide := r.gw.EndHeld
			if resend {
				decide = r.gw.ResendHeld
			}
			if err := decide(context.Background(), held()[0].Message); err != nil {
				t.Fatal(err)
			}
			if err := decide(context.Background(), held()[0].Message); !errors.Is(err, ErrNotHeld) {
				t.Errorf("a second time: %v", err)
			}
			if resend {
				sub := f.await(2)[1]
				f.acked(f.session().receipt(&sub, "DELIVRD"))
				ended(t, p, id, "DELIVRD")
			} else {
				ended(t, p, id, "UNKNOWN")
			}
			settled(t, r)
			if err := decide(context.Background(), queue.ID(12345)); !errors.Is(err, ErrNotHeld) {
				t.Errorf("of an unknown message: %v", err)
			}
		})
	}
}

func TestUnmatchedReceiptsAreListed(t *testing.T) {
	bubble(t, func(t *testing.T) {
		f := newFakeSMSC(t, nil)
		r := fakeRig(t, f, nil)
		f.acked(f.session().receipt(&fakeSubmit{ID: "BEEF", SubmitSM: *sms(nil)}, "DELIVRD"))
		list, err := r.gw.Unmatched(context.Background(), "a", "", 10)
		if err != nil || len(list) != 1 || list[0].CarrierID != "beef" || list[0].Why != "no part has this id" {
			t.Errorf("%+v, %v", list, err)
		}
		if _, err := r.gw.Unmatched(context.Background(), "x", "", 10); !errors.Is(err, ErrNoCarrier) {
			t.Errorf("of an unknown carrier: %v", err)
		}
	})
}

func TestWhatRefusedAMessageStaysRefusedOverAReload(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := newFakeSMSC(t, func(_ int, s *fakeSubmit) { s.Status = pdu.ESME_RINVSRCADR })
		b := newFakeSMSC(t, nil)
		r := twoFakes(t, a, b, RouteCarrier{Failover: true}, nil)
		b.refuse(true)
		b.drop()
		p := r.transceiver()
		id := p.submit(wantReceipt)
		a.await(1)
		time.Sleep(time.Minute)
		// The order changes: a's bit must not become b's.
		s := rigSetup()
		s.Carriers = append(s.Carriers, carrierAt("b", "b:1"))
		s.Routes[0].Name = "both"
		s.Routes[0].Carriers = []RouteCarrier{{Name: "b"}, {Name: "a", Failover: true}}
		if err := r.gw.Reload(context.Background(), s); err != nil {
			t.Fatal(err)
		}
		b.refuse(false)
		sub := b.await(1)[0]
		b.acked(b.session().receipt(&sub, "DELIVRD"))
		ended(t, p, id, "DELIVRD")
		if n := len(a.submits()); n != 1 {
			t.Errorf("a was asked %d times", n)
		}
	})
}

func TestARouteThatLosesACarrierLeadsWhatWaitsToTheRest(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a := newFakeSMSC(t, func(_ int, s *fakeSubmit) { s.Status = pdu.ESME_RINVSRCADR })
		b := newFakeSMSC(t, nil)
		r := twoFakes(t, a, b, RouteCarrier{Failover: true}, nil)
		b.refuse(true)
		b.drop()
		p := r.transceiver()
		p.submit(nil)
		a.await(1)
		time.Sleep(time.Minute)
		s := rigSetup()
		s.Carriers = []Carrier{carrierAt("b", "b:1")}
		s.Routes[0] = Route{Name: "both", Carriers: []RouteCarrier{{Name: "b"}}}
		if err := r.gw.Reload(context.Background(), s); err != nil {
			t.Fatal(err)
		}
		b.refuse(false)
		b.await(1)
		settled(t, r)
	})
}

func TestRoutesOfTheSameCarriersMustAgree(t *testing.T) {
	base := func() Setup {
		s := rigSetup()
		s.Carriers = append(s.Carriers, carrierAt("b", "b:1"))
		both := []RouteCarrier{{Name: "a", Weight: 1}, {Name: "b", Weight: 1}}
		s.Routes = []Route{{Prefixes: []string{"966"}, Carriers: both}, {Carriers: []RouteCarrier{{Name: "a", Weight: 1}, {Name: "b", Weight: 1}}}}
		return s
	}
	tests := map[string]struct {
		change func(s *Setup)
		ok     bool
	}{
		"equal":          {func(*Setup) {}, true},
		"another policy": {func(s *Setup) { s.Routes[1].Uncertain = FailUncertain }, false},
		"another weight": {func(s *Setup) { s.Routes[1].Carriers[0].Weight = 5 }, false},
		"with a name":    {func(s *Setup) { s.Routes[1].Uncertain = FailUncertain; s.Routes[1].Name = "second" }, true},
		"named like a carrier": {func(s *Setup) {
			s.Routes[0] = Route{Name: "a", Carriers: []RouteCarrier{{Name: "a"}, {Name: "b", Failover: true}}}
			s.Routes[1] = Route{Carriers: []RouteCarrier{{Name: "a"}}}
		}, true},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, rigOptions{})
				s := base()
				tt.change(&s)
				err := r.gw.Reload(context.Background(), s)
				if (err == nil) != tt.ok {
					t.Fatalf("error %v", err)
				}
				if err != nil && !strings.Contains(err.Error(), "give them names") {
					t.Errorf("error %v", err)
				}
				if w := r.gw.world.Load(); name == "named like a carrier" && w.rules[0] == w.rules[1] {
					t.Error("a route named like a carrier shares the group of a route to that carrier")
				}
			})
		})
	}
}

func TestAPortInUseIsFoundBeforeAnythingIsSent(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	store, err := pebble.Open(context.Background(), pebble.Options{Dir: "data", FS: vfs.NewMem(), Log: slog.New(slog.DiscardHandler), MinFree: -1, Ballast: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	dialled := false
	var first net.Addr
	_, err = Start(context.Background(), Options{
		Store: store, Setup: rigSetup(), Listeners: []Listener{{Addr: "127.0.0.1:0"}, {Addr: taken.Addr().String()}},
		OnListen: func(a net.Addr) { first = a },
		Dial: func(context.Context, string, string) (net.Conn, error) {
			dialled = true
			return nil, errors.New("no")
		},
	})
	if first != nil {
		t.Error("clients were told of a listener")
	}
	if err == nil || !strings.Contains(err.Error(), "listen on "+taken.Addr().String()) {
		t.Errorf("error %v", err)
	}
	if dialled {
		t.Error("a carrier was dialled")
	}
}

func TestATextIsTakenWhenAnyCarrierOfItsRouteCanWriteIt(t *testing.T) {
	bubble(t, func(t *testing.T) {
		a, b := newFakeSMSC(t, nil), newFakeSMSC(t, nil)
		r := twoFakes(t, a, b, RouteCarrier{Failover: true}, func(s *Setup) {
			s.Carriers[0].MaxParts, s.Carriers[0].Style = 1, text.UDH16
			s.Carriers[1].MaxParts, s.Carriers[1].Style = 3, text.UDH16
		})
		p := r.transceiver()
		if st := p.submitted(inParts(4)); st != pdu.ESME_RINVMSGLEN {
			t.Errorf("four parts: %v", st)
		}
		p.submit(inParts(3))
		b.await(3)
		if n := len(a.submits()); n != 0 {
			t.Errorf("the carrier of one part was sent %d", n)
		}
		settled(t, r)
	})
}

func TestACarrierOfVersion33GetsNoTLVs(t *testing.T) {
	v33 := func(style text.Style) *Carrier {
		return profile(func(o *Carrier) {
			o.Version, o.Style = 0x33, style
			o.TLVs = pdu.TLVs(nil).AppendUint8(0x1400, 1)
		})
	}
	m := &queue.Message{Attempt: 1, Body: []byte(strings.Repeat("x", 400)), TLVs: pdu.TLVs(nil).AppendUint16(pdu.TagUserMessageReference, 1), Dest: queue.Address{Addr: "966501234567"}}
	for _, style := range []text.Style{text.UDH8, text.UDH16, text.SAR, text.Payload} {
		parts := wire(t, v33(style), m, gsmCodings, false)
		for i := range parts {
			if len(parts[i].TLVs) != 0 || len(parts) != 3 {
				t.Errorf("%v: %d parts, TLVs %x", style, len(parts), []byte(parts[i].TLVs))
			}
		}
	}
	own := *m
	own.Body, own.TLVs = []byte("x"), pdu.TLVs(nil).AppendUint16(pdu.TagSARMsgRefNum, 1).AppendUint8(pdu.TagSARTotalSegments, 2).AppendUint8(pdu.TagSARSegmentSeqnum, 1)
	var s split
	if err := v33(text.UDH8).plan(&own, gsmCodings, 1, &s); !errors.Is(err, errNeedsTLVs) {
		t.Errorf("a client's own SAR: %v", err)
	}
}
