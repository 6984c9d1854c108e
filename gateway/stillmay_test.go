package gateway

import (
	"context"
	"testing"
	"time"

	"masar/service"
	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

// A message of several parts whose first part is throttled stays with its carrier, and is
// asked again before each try: also whether its sender is active there still.
func TestAThrottledMessageLeavesACarrierWhereItsSenderHasEnded(t *testing.T) {
	sender := func(at service.SenderAt) func(o *service.Options) {
		return func(o *service.Options) {
			o.Senders[0].AnyCarrier = false
			o.Senders[0].Carriers = map[string]service.SenderAt{"a": at, "b": {State: service.SenderActive}}
		}
	}
	bubbleBegins := time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC)
	for _, row := range []struct {
		name   string
		before service.SenderAt
		after  *service.SenderAt // by a reload
		b      bool              // carrier b is on the route
		stat   string
	}{
		{"its registration expires", service.SenderAt{State: service.SenderActive, Expires: bubbleBegins.Add(time.Minute)}, nil, true, "DELIVRD"},
		{"a reload suspends it", service.SenderAt{State: service.SenderActive}, &service.SenderAt{State: service.SenderSuspended}, true, "DELIVRD"},
		{"and no other carrier is there", service.SenderAt{State: service.SenderActive}, &service.SenderAt{State: service.SenderSuspended}, false, "REJECTD"},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				a := newFakeSMSC(t, func(_ int, s *fakeSubmit) { s.Status = pdu.ESME_RTHROTTLED })
				b := newFakeSMSC(t, nil)
				var now Setup
				r := governedRig(t, newSubscribers(), catalogueOf(t, sender(row.before)), rigOptions{
					Setup: func(s *Setup) {
						if row.b {
							twoCarriers(s)
							s.Routes[0].Carriers[1].Failover = true
						}
						now = *s
					},
					Options: fakes(map[string]*fakeSMSC{"a:1": a, "b:1": b}, nil),
				})
				r.carrierUp("a")
				p := r.transceiver()
				id := p.submit(both(of("IDNEW"), inParts(3)))
				a.await(3)
				if row.after != nil {
					now.Catalogue = catalogueOf(t, sender(*row.after))
					if err := r.gw.Reload(context.Background(), now); err != nil {
						t.Fatal(err)
					}
				} else {
					time.Sleep(time.Until(bubbleBegins.Add(time.Minute)))
				}
				ended := time.Now()
				if row.b {
					for _, s := range b.await(3) {
						b.receiptOf(s)
					}
				}
				if rec := p.receipt(); rec["stat"] != row.stat {
					t.Errorf("receipt %v", rec)
				}
				for _, s := range a.submits() {
					if s.At.After(ended) {
						t.Errorf("carrier a was sent a part at %v, the sender ended at %v", s.At, ended)
					}
				}
				if v := r.find(id); row.stat == "REJECTD" && v.Err != "sender_inactive" {
					t.Errorf("history: %q", v.Err)
				}
			})
		})
	}
}

// What receipts said of the first part is not asked for again when a reload replaces the
// carrier half way.
func TestReceiptsFromBeforeACarrierWasReplacedCount(t *testing.T) {
	bubble(t, func(t *testing.T) {
		throttles := true
		fake := newFakeSMSC(t, func(n int, s *fakeSubmit) {
			if throttles && n > 0 {
				s.Status = pdu.ESME_RTHROTTLED
			}
		})
		var now Setup
		r := fakeRig(t, fake, func(s *Setup) { s.Carriers[0].Window = 1; now = *s })
		p := r.transceiver()
		id := p.submit(inParts(3))
		first := fake.await(2)[0]
		if st := fake.acked(fake.session().receipt(&first, "DELIVRD")); st != pdu.ESME_ROK {
			t.Fatalf("the first part's receipt: %v", st)
		}
		now.Carriers = []Carrier{now.Carriers[0]}
		now.Carriers[0].Identity = "another"
		if err := r.gw.Reload(context.Background(), now); err != nil {
			t.Fatal(err)
		}
		r.wait("the carrier is bound anew", func() bool {
			fake.mu.Lock()
			defer fake.mu.Unlock()
			throttles = len(fake.sessions) == 1
			return !throttles
		})
		r.wait("the rest", func() bool { return len(fake.taken()) == 3 })
		for _, s := range fake.taken()[1:] {
			fake.receiptOf(s)
		}
		if rec := p.receipt(); rec["stat"] != "DELIVRD" || rec["id"] != id {
			t.Errorf("receipt %v", rec)
		}
	})
}

// A service that drops whom it may not reach takes a message to somebody not verified and
// asks about it at once, be it scheduled. He moves in that moment.
func TestADroppedMessageThatFollowsItsPersonKeepsItsSchedule(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var got arrivals
		reg := newSubscribers()
		reg.enrol(ali, aliNo, "IDDRP")
		reg.set(ali, service.Pending)
		r := governedRig(t, reg, catalogueOf(t, nil), rigOptions{SMSC: map[string]smpptest.SMSCOptions{"a:1": got.at("a")}})
		r.carrierUp("a")
		due := time.Now().Add(time.Hour)
		if _, err := r.gw.Submit(t.Context(), Notice{Account: "acme", Service: "IDDRP", Person: ali, Text: "hello", Schedule: due}); err != nil {
			t.Fatal(err)
		}
		reg.change(ali, func(s *service.Subscriber) { s.Number, s.Enrolments[0].State = newNo, service.Enrolled })
		time.Sleep(time.Until(due) - time.Second)
		if n := len(got.list()); n > 0 {
			t.Fatalf("sent at %v, due at %v", got.list()[0].at, due)
		}
		r.wait("it leaves", func() bool { return len(got.list()) == 1 })
		if a := got.list()[0]; a.dest != newNo.String() || a.at.Before(due) {
			t.Errorf("sent to %s at %v, due at %v", a.dest, a.at, due)
		}
	})
}

// Two of three parts are on the wire when the person's number changes, and the carrier takes
// neither: nothing of the message was sent to the old number.
func TestAMessageOfWhichNothingWasTakenFollowsItsPerson(t *testing.T) {
	for _, refusal := range []pdu.Status{pdu.ESME_RTHROTTLED, pdu.ESME_RSYSERR} {
		bubble(t, func(t *testing.T) {
			fake := newFakeSMSC(t, func(n int, s *fakeSubmit) {
				if n < 2 {
					s.Status = noAnswer
				}
			})
			reg := newSubscribers()
			reg.enrol(ali, aliNo, "IDREN")
			r := governedRig(t, reg, catalogueOf(t, nil), rigOptions{
				Options: fakes(map[string]*fakeSMSC{"a:1": fake}, nil),
				Setup:   func(s *Setup) { s.Carriers[0].Window = 2 },
			})
			r.carrierUp("a")
			p := r.transceiver()
			p.submit(both(of("IDREN"), inParts(3)))
			parts := fake.await(2)
			reg.change(ali, func(s *service.Subscriber) { s.Number = newNo })
			parts[0].Session.answer(&parts[0], pdu.ESME_RTHROTTLED) // its slot is free: the next part is asked about
			time.Sleep(time.Second)
			parts[1].Session.answer(&parts[1], refusal)
			r.wait("three parts are taken", func() bool { return len(fake.submits()) >= 5 })
			for _, s := range fake.submits()[2:] {
				if string(s.Dest.Addr) != newNo.String() {
					t.Errorf("%v: a part to %s", refusal, s.Dest.Addr)
				}
				fake.receiptOf(s)
			}
			if rec := p.receipt(); rec["stat"] != "DELIVRD" {
				t.Errorf("%v: receipt %v", refusal, rec)
			}
		})
	}
}
