package gateway

import (
	"fmt"
	"testing"
	"time"

	"masar/number"
	"masar/queue"
	"masar/service"
	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

// merging makes the services IDNEW (mandatory) and IDREN (opt-in) merge.
func merging(o *service.Options) {
	for i := range o.Services {
		switch o.Services[i].Code {
		case "IDNEW", "IDREN":
			o.Services[i].Merge = true
		}
	}
}

// TestIdenticalNoticesThatWaitAreMerged submits while the carrier is down, each row twice
// and something else between, and counts what goes when it is back.
func TestIdenticalNoticesThatWaitAreMerged(t *testing.T) {
	to := func(n number.E164) func(p *pdu.SubmitSM) {
		return func(p *pdu.SubmitSM) { p.Dest.Addr = []byte(n.String()) }
	}
	says := func(s string) func(p *pdu.SubmitSM) { return func(p *pdu.SubmitSM) { p.ShortMessage = []byte(s) } }
	for _, row := range []struct {
		name   string
		first  func(p *pdu.SubmitSM)
		second func(p *pdu.SubmitSM)
		sent   int
	}{
		{"the same", of("IDNEW"), of("IDNEW"), 1},
		{"the same to somebody enrolled", of("IDREN"), of("IDREN"), 1},
		{"the first without a receipt", both(of("IDNEW"), func(p *pdu.SubmitSM) { p.RegisteredDelivery = 0 }), of("IDNEW"), 1},
		{"long", both(of("IDNEW"), long), both(of("IDNEW"), long), 3},
		{"another text", both(of("IDNEW"), says("a")), both(of("IDNEW"), says("b")), 2},
		{"the same octets in another coding", both(of("IDNEW"), says("abcd")), both(of("IDNEW"), says("abcd"), func(p *pdu.SubmitSM) { p.DataCoding = 4 }), 2},
		{"another number", of("IDNEW"), both(of("IDNEW"), to(966509999999)), 2},
		{"another service", of("IDNEW"), of("IDREN"), 2},
		{"a service that does not merge", of("IDSEC"), of("IDSEC"), 2},
		{"parts a client made itself", both(of("IDNEW"), udh), both(of("IDNEW"), udh), 2},
		{"other TLVs", of("IDNEW"), both(of("IDNEW"), func(p *pdu.SubmitSM) { p.TLVs = p.TLVs.AppendUint16(pdu.TagUserMessageReference, 7) }), 2},
		{"scheduled for later", of("IDNEW"), both(of("IDNEW"), func(p *pdu.SubmitSM) { p.ScheduleDeliveryTime = []byte("000000001000000R") }), 2},
		{"scheduled for before the return", of("IDNEW"), both(of("IDNEW"), func(p *pdu.SubmitSM) { p.ScheduleDeliveryTime = []byte("000000000010000R") }), 1},
	} {
		t.Run(row.name, func(t *testing.T) {
			reg := newSubscribers()
			reg.enrol(ali, aliNo, "IDREN")
			cat := catalogueOf(t, func(o *service.Options) {
				merging(o)
				plain := o.Services[0]
				for i := range o.Services {
					if o.Services[i].Code == "IDNEW" {
						plain = o.Services[i]
					}
				}
				plain.Code, plain.Name, plain.Merge = "IDSEC", service.Texts{"ar": "IDSEC ar", "en": "IDSEC"}, false
				o.Services = append(o.Services, plain)
			})
			bubble(t, func(t *testing.T) {
				var got arrivals
				r := governedRig(t, reg, cat, rigOptions{SMSC: map[string]smpptest.SMSCOptions{"a:1": got.at("a")}})
				r.carrierUp("a")
				r.refuse("a:1", true)
				p := r.transceiver()
				p.submit(row.first)
				p.submit(both(of("IDNEW"), says("something else")))
				second := p.submit(row.second)
				time.Sleep(2 * time.Minute)
				r.refuse("a:1", false)
				merged := row.sent == 1 || row.name == "long"
				stats := map[string]int{}
				for range 3 {
					h, octets, err := p.read(15 * time.Minute)
					if err != nil {
						break
					}
					body := pdu.NewBody(h.Command)
					if h.Command != pdu.CmdDeliverSM || body.Decode(octets) != nil {
						t.Fatalf("came %v", h.Command)
					}
					p.answer(h, pdu.ESME_ROK)
					f := fields(body.(*pdu.DeliverSM))
					stats[f["stat"]]++
					if f["stat"] == "DELETED" && f["id"] != second {
						t.Errorf("the merged one is %s, want the second, %s", f["id"], second)
					}
				}
				if n := len(got.list()); n != row.sent+1 {
					t.Errorf("%d parts went, want %d", n, row.sent+1)
				}
				if want := map[bool]int{true: 1, false: 0}[merged]; stats["DELETED"] != want || int(r.metric("masar_merged_total")) != want {
					t.Errorf("receipts %v, %g merged; want %d", stats, r.metric("masar_merged_total"), want)
				}
				if v, err := r.gw.Message(t.Context(), "acme", idOf(t, second)); err != nil || merged != (v.State == pdu.StateDeleted && v.Err == "merged") {
					t.Errorf("the second is %v %q (%v)", v.State, v.Err, err)
				}
			})
		})
	}
}

func long(p *pdu.SubmitSM) {
	p.ShortMessage = nil
	p.TLVs = p.TLVs.Append(pdu.TagMessagePayload, fmt.Appendf(nil, "%400d", 1))
}

func udh(p *pdu.SubmitSM) {
	p.ESMClass, p.ShortMessage = pdu.ESMClassUDHI, []byte("\x05\x00\x03\x07\x02\x01part")
}

func idOf(t *testing.T, shown string) queue.ID {
	t.Helper()
	o := Account{}
	id, ok := o.readID([]byte(shown))
	if !ok {
		t.Fatalf("%q is no message_id", shown)
	}
	return id
}

// TestANoticeSubmittedAfterTheFirstHasLeftGoes: only what waited then is merged.
func TestANoticeSubmittedAfterTheFirstHasLeftGoes(t *testing.T) {
	cat := catalogueOf(t, merging)
	bubble(t, func(t *testing.T) {
		var got arrivals
		r := governedRig(t, newSubscribers(), cat, rigOptions{SMSC: map[string]smpptest.SMSCOptions{"a:1": got.at("a")}})
		r.carrierUp("a")
		p := r.transmitter()
		for range 3 {
			p.submit(of("IDNEW"))
			time.Sleep(time.Second)
		}
		r.wait("all of them went", func() bool { return len(got.list()) == 3 })
		if n := r.metric("masar_merged_total"); n != 0 {
			t.Errorf("%g merged", n)
		}
	})
}

// TestANoticeThatFailsStandsForNothing: what the carrier refused, or did not answer, was
// not told to anybody; the next one goes.
func TestANoticeThatFailsStandsForNothing(t *testing.T) {
	cat := catalogueOf(t, merging)
	for _, row := range []struct {
		name         string
		status       pdu.Status
		sent, merged int
	}{
		{"refused for good", pdu.ESME_RINVDSTADR, 2, 1},
		{"a temporary failure, whose next try is merged into the second", pdu.ESME_RSYSERR, 2, 2},
		{"throttled, and sent again", pdu.ESME_RTHROTTLED, 2, 2},
		{"no answer", noAnswer, 2, 2},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				smsc := newFakeSMSC(t, func(n int, s *fakeSubmit) {
					if n == 0 {
						s.Status = row.status
					}
				})
				smsc.refuse(true)
				r := governedRig(t, newSubscribers(), cat, rigOptions{
					Options: fakes(map[string]*fakeSMSC{"a:1": smsc}, nil),
					Setup:   func(s *Setup) { s.Carriers[0].Window = 1 }, // each is answered before the next
				})
				p := r.transmitter()
				for range 3 {
					p.submit(of("IDNEW"))
				}
				smsc.refuse(false)
				time.Sleep(2 * time.Minute)
				n := len(smsc.submits())
				if merged := int(r.metric("masar_merged_total")); n != row.sent || merged != row.merged {
					t.Errorf("%d went and %d were merged, want %d and %d", n, merged, row.sent, row.merged)
				}
			})
		})
	}
}

func TestWhatIsNeverMerged(t *testing.T) {
	s := newMerges()
	plain := func() *queue.Message {
		return &queue.Message{ID: 1, Account: 1, Class: queue.Normal, Dest: queue.Address{Addr: "966501234567"}, Body: []byte("x")}
	}
	yes := service.Service{Code: "IDNEW", Kind: service.RecordChange, Merge: true}
	if s.key(plain(), &yes) == nil {
		t.Fatal("a plain notice is not merged")
	}
	for name, f := range map[string]func(m *queue.Message, r *service.Service){
		"a service that does not merge": func(_ *queue.Message, r *service.Service) { r.Merge = false },
		"a one-time code":               func(_ *queue.Message, r *service.Service) { r.Kind = service.OneTimeCode },
		"an urgent message":             func(m *queue.Message, _ *service.Service) { m.Class = queue.Urgent },
		"the gateway's own":             func(m *queue.Message, _ *service.Service) { m.System = true },
		"a job's":                       func(m *queue.Message, _ *service.Service) { m.Job = queue.Job{Kind: queue.ReminderJob, Number: 1} },
		"one that is half sent":         func(m *queue.Message, _ *service.Service) { m.Answers = make([]queue.PartInfo, 1) },
		"a client's own part":           func(m *queue.Message, _ *service.Service) { m.ESMClass = pdu.ESMClassUDHI },
		"to what is no number":          func(m *queue.Message, _ *service.Service) { m.Dest.Addr = "AHWAL" },
	} {
		m, r := plain(), yes
		if f(m, &r); s.key(m, &r) != nil {
			t.Errorf("%s is merged", name)
		}
	}
}

func TestStandsAreBoundedAndTheirOwn(t *testing.T) {
	s := newMerges()
	r := service.Service{Code: "IDNEW", Kind: service.RecordChange, Merge: true}
	m := func(id int) *queue.Message {
		return &queue.Message{ID: queue.ID(id), Class: queue.Normal, Accepted: queue.Time(id), Dest: queue.Address{Addr: fmt.Sprint(966500000000 + id%1_000_000)}, Body: []byte("x")}
	}
	first := m(7)
	k := s.key(first, &r)
	s.leaves(k, 7, 100)
	copyOf := m(1_000_007)
	copyOf.Accepted = 100
	if s.standsFor(k, first) || !s.standsFor(k, copyOf) {
		t.Error("it stands for itself, or not for its copy")
	}
	if copyOf.Accepted = 101; s.standsFor(k, copyOf) {
		t.Error("it stands for one that was accepted later")
	}
	copyOf.Accepted = 99
	if copyOf.Due = 101; s.standsFor(k, copyOf) {
		t.Error("it stands for one that is due later")
	}
	copyOf.Due = 0
	s.leaves(k, 7, 500) // its second part
	if copyOf.Accepted = 200; s.standsFor(k, copyOf) {
		t.Error("it stands for one accepted after its first part")
	}
	s.fails(k, 8) // somebody else
	if copyOf.Accepted = 99; !s.standsFor(k, copyOf) {
		t.Error("another one's failure counted for it")
	}
	if s.fails(k, 7); s.standsFor(k, copyOf) {
		t.Error("it failed, and stands still")
	}
	s.leaves(k, 7, 100)
	for i := range mergesMost {
		o := m(1000 + i)
		s.leaves(s.key(o, &r), o.ID, 100)
	}
	if s.standsFor(k, copyOf) || s.left.Len() != mergesMost {
		t.Errorf("%d are kept", s.left.Len())
	}
}
