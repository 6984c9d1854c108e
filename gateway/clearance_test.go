package gateway

import (
	"context"
	"fmt"
	"testing"
	"time"

	"masar/number"
	"masar/queue"
	"masar/service"
	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

// twoCarriers are a and b in one route.
func twoCarriers(s *Setup) {
	s.Carriers = append(s.Carriers, carrierAt("b", "b:1"))
	s.Routes[0].Carriers = append(s.Routes[0].Carriers, RouteCarrier{Name: "b"})
}

// waitingRig is a governed rig with one IDREN for ali that waits for its carriers.
func waitingRig(t *testing.T, reg *subscribers, cat *service.Catalogue, o rigOptions) (r *rig, p *peer, got *arrivals, id string) {
	t.Helper()
	got = new(arrivals)
	o.SMSC = map[string]smpptest.SMSCOptions{"a:1": got.at("a"), "b:1": got.at("b")}
	setup := o.Setup
	o.Setup = func(s *Setup) {
		twoCarriers(s)
		if setup != nil {
			setup(s)
		}
	}
	reg.enrol(ali, aliNo, "IDREN")
	r = governedRig(t, reg, cat, o)
	r.refuse("a:1", true)
	r.refuse("b:1", true)
	p = r.transceiver()
	id = p.submit(of("IDREN"))
	return r, p, got, id
}

func (r *rig) carriersBack() {
	r.refuse("a:1", false)
	r.refuse("b:1", false)
	r.carrierUp("a", "b")
}

func TestWhatEndedWhileAMessageWaitedKeepsIt(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(reg *subscribers)
		reason string // empty: it goes
	}{
		{"nothing", func(*subscribers) {}, ""},
		{"a change that means nothing", func(reg *subscribers) { reg.change(ali, func(s *service.Subscriber) { s.Language = "en" }) }, ""},
		{"withdrawn", func(reg *subscribers) { reg.withdraw(ali) }, "not_enrolled"},
		{"withdrawn and enrolled again", func(reg *subscribers) { reg.withdraw(ali); reg.set(ali, service.Enrolled) }, ""},
		{"waits for a code again", func(reg *subscribers) { reg.set(ali, service.Pending) }, "unverified"},
		{"blocked", func(reg *subscribers) { reg.block(aliNo, service.BlockAll) }, "blocked"},
		{"blocked for opt-in", func(reg *subscribers) { reg.block(aliNo, service.BlockOptIn) }, "blocked"},
		{"blocked and unblocked", func(reg *subscribers) { reg.block(aliNo, service.BlockAll); reg.block(aliNo, service.BlockNone) }, ""},
		{"the number is somebody else's", func(reg *subscribers) { reg.change(ali, func(s *service.Subscriber) { s.State = service.Recycled }) }, "suspended"},
		{"erased", func(reg *subscribers) { reg.erase(ali) }, "unknown_person"},
		{"erased, and somebody else has the number", func(reg *subscribers) { reg.erase(ali); reg.enrol(badr, aliNo, "IDREN") }, "unknown_person"},
		{"withdrawn, and another with the same phone is enrolled", func(reg *subscribers) { reg.enrol(badr, aliNo, "IDREN"); reg.withdraw(ali) }, ""},
	} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restart %v", row.name, restart), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					reg := newSubscribers()
					r, p, got, id := waitingRig(t, reg, catalogueOf(t, nil), rigOptions{})
					row.change(reg)
					if restart {
						r.restart()
						p = r.transceiver()
					}
					r.carriersBack()
					rec := p.receipt()
					if row.reason == "" {
						if rec["stat"] != "DELIVRD" || len(got.list()) != 1 {
							t.Fatalf("receipt %v, %d sent", rec, len(got.list()))
						}
						return
					}
					if rec["stat"] != "REJECTD" || len(got.list()) != 0 {
						t.Errorf("receipt %v, %d sent", rec, len(got.list()))
					}
					if v := r.find(id); v.Err != row.reason {
						t.Errorf("history: %q, want %q", v.Err, row.reason)
					}
					if n := r.metric("masar_stopped_total", "reason="+row.reason); n != 1 {
						t.Errorf("masar_stopped_total{reason=%q} is %v", row.reason, n)
					}
				})
			})
		}
	}
}

func TestAMessageFollowsItsPersonToANewNumber(t *testing.T) {
	for _, restart := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			reg := newSubscribers()
			r, p, got, id := waitingRig(t, reg, catalogueOf(t, nil), rigOptions{Setup: func(s *Setup) {
				s.Routes = []Route{
					{Name: "old", Prefixes: []string{"966501"}, Carriers: []RouteCarrier{{Name: "a"}}},
					{Name: "new", Prefixes: []string{"966507"}, Carriers: []RouteCarrier{{Name: "b"}}},
				}
			}})
			reg.change(ali, func(s *service.Subscriber) { s.Number = newNo })
			reg.enrol(badr, aliNo, "IDREN") // who has the old number now gets nothing of it
			if restart {
				r.restart()
				p = r.transceiver()
			}
			r.carriersBack()
			if rec := p.deliver(); string(rec.Source.Addr) != aliNo.String() {
				t.Errorf("the receipt is from %s", rec.Source.Addr)
			}
			all := got.list()
			if len(all) != 1 || all[0].dest != newNo.String() || all[0].carrier != "b" {
				t.Fatalf("sent %+v", all)
			}
			if v := r.find(id); v.M.Dest.Addr != newNo.String() || v.M.DestWritten.Addr != aliNo.String() {
				t.Errorf("history: to %v, written %v", v.M.Dest, v.M.DestWritten)
			}
			ids, err := r.store.Matching(context.Background(), queue.Pattern{Account: r.gw.world.Load().accounts["acme"].number, AnyService: true, Source: "AHWAL", Dest: aliNo.String()}, 10)
			if err != nil || len(ids) > 0 {
				t.Errorf("still waiting for the old number: %v %v", ids, err)
			}
		})
	}
}

func TestAMandatoryMessageFollowsItsPersonToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		reg := newSubscribers()
		r, p, got, _ := waitingRig(t, reg, catalogueOf(t, nil), rigOptions{})
		p.submit(of("IDNEW"))
		reg.change(ali, func(s *service.Subscriber) { s.Number = newNo })
		r.carriersBack()
		r.wait("both", func() bool { return len(got.list()) == 2 })
		for _, a := range got.list() {
			if a.dest != newNo.String() {
				t.Errorf("%s to %s", a.service, a.dest)
			}
		}
	})
}

func TestAScheduledMessageIsAskedAgainWhenItIsDue(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(reg *subscribers)
		dest   string // empty: REJECTD
	}{
		{"nothing", func(*subscribers) {}, aliNo.String()},
		{"withdrawn", func(reg *subscribers) { reg.withdraw(ali) }, ""},
		{"moved", func(reg *subscribers) { reg.change(ali, func(s *service.Subscriber) { s.Number = newNo }) }, newNo.String()},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				var got arrivals
				reg := newSubscribers()
				reg.enrol(ali, aliNo, "IDREN")
				r := governedRig(t, reg, catalogueOf(t, nil), rigOptions{SMSC: map[string]smpptest.SMSCOptions{"a:1": got.at("a")}})
				r.carrierUp("a")
				p := r.transceiver()
				p.submit(both(of("IDREN"), func(p *pdu.SubmitSM) { p.ScheduleDeliveryTime = []byte("000000001000000R") }))
				time.Sleep(5 * time.Minute)
				row.change(reg)
				_, body := p.expectWithin(pdu.CmdDeliverSM, 10*time.Minute)
				rec := fields(body.(*pdu.DeliverSM))
				if row.dest == "" {
					if rec["stat"] != "REJECTD" || len(got.list()) != 0 {
						t.Errorf("receipt %v, sent %v", rec, got.list())
					}
					return
				}
				if rec["stat"] != "DELIVRD" || len(got.list()) != 1 || got.list()[0].dest != row.dest {
					t.Errorf("receipt %v, sent %v", rec, got.list())
				}
			})
		})
	}
}

// TestQuietHoursThatBeginWhileAMessageWaitsHoldIt: its default validity stands still
// meanwhile, one that the client chose does not.
func TestQuietHoursThatBeginWhileAMessageWaitsHoldIt(t *testing.T) {
	for _, restart := range []bool{false, true} {
		bubble(t, func(t *testing.T) {
			time.Sleep(14*time.Hour - 30*time.Minute)
			reg := newSubscribers()
			r, p, got, id := waitingRig(t, reg, catalogueOf(t, func(o *service.Options) {
				o.Calendar.Quiet.Days = []service.Span{{From: 13*60 + 40, To: 14 * 60}}
			}), rigOptions{})
			own := p.submit(both(of("IDREN"), func(p *pdu.SubmitSM) { p.ValidityPeriod = []byte("000000002000000R") }))
			expires, chosen := r.find(id).M.Expires, r.find(own).M.Expires
			time.Sleep(15 * time.Minute)
			r.carriersBack()
			r.wait("both are held", func() bool { return r.metric("masar_held_total") == 2 })
			if restart {
				r.restart()
				r.carrierUp("a", "b")
			}
			v := r.find(id)
			opens := time.Date(2000, 1, 1, 14, 0, 0, 0, time.UTC)
			if v.Stage != queue.Aside || v.Why != queue.WaitHours || !v.Until.Time().Equal(opens) {
				t.Errorf("%v %v until %v", v.Stage, v.Why, v.Until.Time())
			}
			if moved := v.M.Expires.Time().Sub(expires.Time()); moved < 14*time.Minute || moved > 15*time.Minute {
				t.Errorf("the default validity moved by %v", moved)
			}
			if e := r.find(own).M.Expires; e != chosen {
				t.Errorf("the client's validity moved by %v", e-chosen)
			}
			time.Sleep(time.Until(opens) - time.Second)
			if n := len(got.list()); n > 0 {
				t.Fatalf("%d left in quiet hours", n)
			}
			r.wait("one leaves", func() bool { return len(got.list()) == 1 })
			time.Sleep(time.Minute)
			if n := len(got.list()); n != 1 {
				t.Errorf("%d were sent", n) // the other's validity ended in the hold
			}
		})
	}
}

func TestNothingIsLostWhileTheRegistryCannotBeRead(t *testing.T) {
	bubble(t, func(t *testing.T) {
		reg := newSubscribers()
		r, p, got, id := waitingRig(t, reg, catalogueOf(t, nil), rigOptions{})
		p.submit(of("IDREN"))
		reg.change(ali, func(*service.Subscriber) {}) // the counter moves, so that it is asked
		reg.fail(errBroken)
		r.carriersBack()
		time.Sleep(5 * time.Minute)
		if n := len(got.list()); n != 0 {
			t.Fatalf("%d were sent", n)
		}
		if v := r.find(id); v.Stage == queue.Ended {
			t.Fatalf("ended %v %q", v.State, v.Err)
		}
		lines := r.log.find("the registry could not be read, messages wait")
		if len(lines) < 5 || len(lines) > 31 {
			t.Errorf("%d lines in five minutes", len(lines))
		}
		reg.fail(nil)
		r.wait("both leave", func() bool { return len(got.list()) == 2 })
	})
}

func TestTheRegistryIsNotAskedAgainWhileItsCounterStands(t *testing.T) {
	bubble(t, func(t *testing.T) {
		reg := newSubscribers()
		r, p, got, _ := waitingRig(t, reg, catalogueOf(t, nil), rigOptions{})
		for range 99 {
			p.submit(of("IDREN"))
		}
		if n := reg.looked(); n != 100 {
			t.Errorf("%d lookups for 100 submits", n)
		}
		r.carriersBack()
		r.wait("all", func() bool { return len(got.list()) == 100 })
		if n := reg.looked(); n != 100 {
			t.Errorf("%d lookups when they had left", n)
		}
	})
}

func TestTheGatewaysOwnMessagesAskNobodysConsent(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var got arrivals
		reg := newSubscribers()
		r := governedRig(t, reg, catalogueOf(t, nil), rigOptions{
			SMSC: map[string]smpptest.SMSCOptions{"a:1": got.at("a")},
			Setup: func(s *Setup) {
				s.Accounts[0].Trial = map[number.E164]struct{}{}
				s.Accounts[0].Senders = []Sender{{Exact: "AHWAL"}}
			},
		})
		r.refuse("a:1", true)
		submit := func(code, source string) refused {
			w := r.gw.world.Load()
			a := w.accounts["acme"]
			q := candidate{
				account: a, o: a.opt.Load(), w: w, now: time.Now(), m: &queue.Message{System: true}, source: pdu.Address{Addr: []byte(source)},
				dest: pdu.Address{Addr: []byte(aliNo.String())}, service: []byte(code), body: []byte("withdrawn"),
			}
			if no := r.gw.admitMessage(&q); no.why != Accepted {
				return no
			}
			var step queue.Accept
			q.accept(&step)
			if err := r.store.Commit(context.Background(), quiet, &step); err != nil {
				t.Fatal(err)
			}
			return refused{}
		}
		for _, code := range []string{"IDREN", "TRAFF", ""} {
			if no := submit(code, "1090"); no.why != Accepted {
				t.Errorf("%q: %v %s", code, no.why, no.detail)
			}
		}
		reg.enrol(badr, aliNo, "TRAFF") // the counter moves
		r.restart()
		r.refuse("a:1", false)
		r.wait("all", func() bool { return len(got.list()) == 3 })
		reg.block(aliNo, service.BlockAll)
		if no := submit("IDREN", "1090"); no.why != Blocked {
			t.Errorf("blocked: %v", no.why)
		}
	})
}
