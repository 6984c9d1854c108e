package gateway

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

// TestAMessageInPartsStopsBetweenThem and goes on with the others under the same reference,
// or ends UNDELIV when the halt is cancelled; over a restart, too.
func TestAMessageInPartsStopsBetweenThem(t *testing.T) {
	for _, s := range []Scope{{Service: "IDREN"}, {Account: "acme"}, {Carrier: "a"}, {All: true}} {
		for _, end := range []string{"resume", "restart", "cancel"} {
			t.Run(s.String()+" "+end, func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					// The answer to the second part comes when the halt is there.
					f := newFakeSMSC(t, func(n int, s *fakeSubmit) {
						if n == 1 {
							s.Status = noAnswer
						}
					})
					r, _ := haltRig(t, rigOptions{
						SMSC: map[string]smpptest.SMSCOptions{}, Options: fakes(map[string]*fakeSMSC{"a:1": f}, nil),
						Setup: func(s *Setup) { s.Carriers[0].Window = 1 },
					})
					p := r.transceiver()
					id := p.submit(both(of("IDREN"), inParts(4)))
					second := f.await(2)[1]
					h := r.halt(s)
					if n := r.countScope(s, h.Since); n.OnWire != 1 || n.Waiting+n.Aside != 0 {
						t.Errorf("counted %+v while a part is on the wire", n)
					}
					second.Session.answer(&second, pdu.ESME_ROK)
					r.wait("set aside", func() bool { return r.asideHalted() == 1 })
					time.Sleep(time.Minute)
					if n := len(f.submits()); n != 2 {
						t.Fatalf("%d parts have left", n)
					}
					switch end {
					case "cancel":
						if n := r.cancelHalted(h.ID); n != 1 {
							t.Errorf("%d cancelled", n)
						}
						if rec := p.receipt(); rec["id"] != id || rec["stat"] != "UNDELIV" {
							t.Errorf("receipt %v", rec)
						}
						if v := r.find(id); v.Err != "halted" {
							t.Errorf("history: %+v", v)
						}
						r.resume(h.ID)
						time.Sleep(time.Minute)
						if n := len(f.submits()); n != 2 {
							t.Errorf("%d parts have left in the end", n)
						}
						p.quiet(time.Minute)
						return
					case "restart":
						p.conn.Close()
						r.restart()
						time.Sleep(time.Minute)
						p = r.transceiver()
					}
					r.resume(h.ID)
					f.await(4)
					time.Sleep(time.Minute)
					parts := f.submits()
					if len(parts) != 4 {
						t.Fatalf("%d parts have left", len(parts))
					}
					for i, sub := range parts {
						n := int(sub.ShortMessage[0]) // the UDH: reference and total, then the part's number
						udh, first := sub.ShortMessage[:n+1], parts[0].ShortMessage[:n+1]
						if string(udh[:n]) != string(first[:n]) || int(udh[n]) != i+1 || udh[n-1] != 4 {
							t.Errorf("part %d is %x, the first was %x", i+1, udh, first)
						}
						f.receiptOf(sub)
					}
					if rec := p.receipt(); rec["id"] != id || rec["stat"] != "DELIVRD" {
						t.Errorf("receipt %v", rec)
					}
				})
			})
		}
	}
}

// TestWhatADispatcherHasInHandIsHaltedToo: on a route that announces each message
// before the wire, and for parts that a client made itself, which wait for their bind.
func TestWhatADispatcherHasInHandIsHaltedToo(t *testing.T) {
	for _, s := range []Scope{{Service: "IDREN"}, {Account: "acme"}} {
		for _, policy := range []Uncertain{Resend, FailUncertain, HoldUncertain} {
			t.Run(s.String(), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					f := newFakeSMSC(t, func(_ int, s *fakeSubmit) { s.Status = noAnswer })
					r, _ := haltRig(t, rigOptions{
						SMSC: map[string]smpptest.SMSCOptions{}, Options: fakes(map[string]*fakeSMSC{"a:1": f}, nil),
						Setup: func(s *Setup) { s.Carriers[0].Window = 1; s.Routes[0].Uncertain = policy },
					})
					p := r.transmitter()
					p.submit(of("IDREN"))
					first := f.await(1)[0]
					// A client's own part takes its bind's slot, or waits for it in the dispatcher's hand.
					for range 5 {
						p.submit(both(of("IDREN"), func(p *pdu.SubmitSM) {
							p.ESMClass, p.ShortMessage = pdu.ESMClassUDHI, []byte("\x05\x00\x03\x07\x02\x01part")
						}))
					}
					time.Sleep(100 * time.Millisecond)
					h := r.halt(s)
					f.setVerdict(func(int, *fakeSubmit) {})
					first.Session.answer(&first, pdu.ESME_ROK)
					time.Sleep(9 * time.Second)
					if n := len(f.submits()); n != 1 {
						t.Errorf("%d have left", n)
					}
					if n := r.countScope(s, h.Since); n.Waiting+n.Aside != 5 || n.OnWire != 0 || n.Sent+n.Ended != 1 {
						t.Errorf("counted %+v", n)
					}
					r.resume(h.ID)
					f.await(6)
					time.Sleep(time.Minute)
					if n := len(f.submits()); n != 6 {
						t.Errorf("%d have left in the end", n)
					}
				})
			})
		}
	}
}

// TestWhatComesBackFromTheWireUnderAHaltWaits until it is lifted.
func TestWhatComesBackFromTheWireUnderAHaltWaits(t *testing.T) {
	for _, s := range []Scope{{Service: "IDREN"}, {Account: "acme"}} {
		for _, policy := range []Uncertain{Resend, HoldUncertain} {
			t.Run(s.String(), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					f := newFakeSMSC(t, func(_ int, s *fakeSubmit) { s.Status = noAnswer })
					r, _ := haltRig(t, rigOptions{
						SMSC: map[string]smpptest.SMSCOptions{}, Options: fakes(map[string]*fakeSMSC{"a:1": f}, nil),
						Setup: func(s *Setup) { s.Routes[0].Uncertain = policy },
					})
					p := r.transmitter()
					p.submit(of("IDREN"))
					p.submit(both(of("IDREN"), inParts(2)))
					wire := f.await(3)
					h := r.halt(s)
					if n := r.countScope(s, h.Since); n != (HaltCount{OnWire: 2}) {
						t.Errorf("counted %+v", n)
					}
					f.setVerdict(func(int, *fakeSubmit) {})
					for _, sub := range wire {
						sub.Session.answer(&sub, pdu.ESME_RTHROTTLED)
					}
					time.Sleep(time.Minute)
					if n := len(f.submits()); n != 3 {
						t.Errorf("%d have left", n)
					}
					if n := r.countScope(s, h.Since); n.Waiting+n.Aside != 2 || n.OnWire != 0 {
						t.Errorf("counted %+v", n)
					}
					r.resume(h.ID)
					f.await(6)
					time.Sleep(time.Minute)
					if n := len(f.submits()); n != 6 {
						t.Errorf("%d have left in the end", n)
					}
				})
			})
		}
	}
}

// TestAnotherCarrierOfTheRouteTakesOver what one is halted for; what only that one may carry
// waits.
func TestAnotherCarrierOfTheRouteTakesOver(t *testing.T) {
	for _, s := range []Scope{{Carrier: "a"}, {Carrier: "a", Class: "normal"}, {Carrier: "a", Account: "acme"}, {Carrier: "a", Service: "IDREN"}} {
		for _, failover := range []bool{false, true} {
			t.Run(s.String(), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					got := new(arrivals)
					r, _ := haltRig(t, rigOptions{
						SMSC: map[string]smpptest.SMSCOptions{"a:1": got.at("a"), "b:1": got.at("b")},
						Setup: func(s *Setup) {
							s.Carriers = append(s.Carriers, carrierAt("b", "b:1"))
							s.Routes = []Route{
								{Name: "alone", Prefixes: []string{"96655"}, Carriers: []RouteCarrier{{Name: "a"}}},
								{Name: "two", Carriers: []RouteCarrier{{Name: "a"}, {Name: "b", Failover: failover}}},
							}
						},
					})
					r.carrierUp("a", "b")
					r.gw.opt.Registry.(*subscribers).enrol(badr, 966551234567, "IDREN")
					p := r.transmitter()
					h := r.halt(s)
					for range 10 {
						p.submit(of("IDREN"))
					}
					p.submit(both(of("IDREN"), func(p *pdu.SubmitSM) { p.Dest.Addr = []byte("966551234567") }))
					r.wait("those that another may carry", func() bool { return len(got.list()) >= 10 })
					time.Sleep(5 * time.Minute)
					for _, x := range got.list() {
						if x.carrier != "b" {
							t.Errorf("one went over %s", x.carrier)
						}
					}
					if n := len(got.list()); n != 10 {
						t.Errorf("%d have left", n)
					}
					if n := r.countScope(s, h.Since); n.Waiting+n.Aside != 1 || n.Sent+n.Ended != 0 {
						t.Errorf("counted %+v", n)
					}
					r.resume(h.ID)
					r.wait("the last one", func() bool { return len(got.list()) == 11 })
					if last := got.list()[10]; last.carrier != "a" || last.dest != "966551234567" {
						t.Errorf("the last one: %+v", last)
					}
				})
			})
		}
	}
}

// TestWhatBecomesDueUnderAHaltWaits: scheduled messages, and those between two tries.
func TestWhatBecomesDueUnderAHaltWaits(t *testing.T) {
	for _, s := range []Scope{{Service: "IDREN"}, {Account: "acme"}} {
		t.Run(s.String(), func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				fail := true
				f := newFakeSMSC(t, func(_ int, s *fakeSubmit) {
					if fail {
						s.Status = pdu.ESME_RSYSERR
					}
				})
				r, _ := haltRig(t, rigOptions{SMSC: map[string]smpptest.SMSCOptions{}, Options: fakes(map[string]*fakeSMSC{"a:1": f}, nil)})
				p := r.transmitter()
				p.submit(of("IDREN"))
				f.await(1)
				p.submit(both(of("IDREN"), func(p *pdu.SubmitSM) { p.ScheduleDeliveryTime = []byte("000000010000000R") }))
				p.submit(both(of("IDREN"), func(p *pdu.SubmitSM) { p.ScheduleDeliveryTime = []byte("000000050000000R") }))
				r.wait("both tried and scheduled", func() bool { return r.countScope(s, time.Time{}) == HaltCount{Aside: 3} })
				h := r.halt(s)
				f.mu.Lock()
				fail = false
				before := len(f.got)
				f.mu.Unlock()
				time.Sleep(3 * time.Hour)
				if n := len(f.submits()); n != before {
					t.Errorf("%d have left under the halt", n-before)
				}
				r.resume(h.ID)
				time.Sleep(time.Minute)
				if n := len(f.taken()); n != 2 {
					t.Errorf("%d were taken, two are due", n)
				}
				time.Sleep(3 * time.Hour)
				if n := len(f.taken()); n != 3 {
					t.Errorf("%d were taken in the end", n)
				}
			})
		})
	}
}

// haltJobs notes the ends it is told.
type haltJobs struct {
	mu   sync.Mutex
	told []End
}

func (j *haltJobs) Ended(_ context.Context, ends []End) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.told = append(j.told, ends...)
	return nil
}

func (j *haltJobs) Fresh(*queue.Message, time.Time) (Fresh, error) { return Fresh{Keep: true}, nil }

func (j *haltJobs) ends() []End {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.told)
}

// TestAHaltOfACampaignHoldsItsMessages and not those of another.
func TestAHaltOfACampaignHoldsItsMessages(t *testing.T) {
	bubble(t, func(t *testing.T) {
		jobs := new(haltJobs)
		r, got := haltRig(t, rigOptions{Options: func(o *Options) { o.Jobs = jobs }})
		h := r.halt(Scope{Campaign: 7})
		var notices []Notice
		for _, j := range []queue.Job{{Kind: queue.CampaignJob, Number: 7, Item: 1}, {Kind: queue.CampaignJob, Number: 8, Item: 1}, {Kind: queue.ReminderJob, Number: 7, Item: 1}} {
			notices = append(notices, Notice{Account: "acme", Service: "IDREN", Number: aliNo, Text: "job " + string(rune('0'+j.Number)), Job: j})
		}
		out := make([]Submitted, len(notices))
		if err := r.gw.SubmitMany(context.Background(), notices, out); err != nil {
			t.Fatal(err)
		}
		for _, o := range out {
			if o.Err != nil {
				t.Fatal(o.Err)
			}
		}
		r.wait("the others", func() bool { return len(got.list()) == 2 && r.asideHalted() == 1 })
		if n := r.cancelHalted(h.ID); n != 1 {
			t.Errorf("%d cancelled", n)
		}
		r.wait("the ends", func() bool { return len(jobs.ends()) == 3 })
		if i := slices.IndexFunc(jobs.ends(), func(e End) bool { return e.Job.Kind == queue.CampaignJob && e.Job.Number == 7 }); i < 0 ||
			jobs.ends()[i].State != pdu.StateDeleted || jobs.ends()[i].Err != "halted" {
			t.Errorf("ends %+v", jobs.ends())
		}
	})
}
