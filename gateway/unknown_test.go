package gateway

import (
	"testing"
	"time"

	"masar/queue"
	"masar/service"
	"masar/smpp/pdu"
)

func TestUnknownSubscribersAreNotedOnceAMessage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		reg := newSubscribers()
		reg.enrol(ali, aliNo, "IDREN")
		fake := newFakeSMSC(t, func(_ int, s *fakeSubmit) {
			if string(s.ShortMessage) == "refused" {
				s.Status = pdu.ESME_RINVDSTADR
			}
		})
		r := governedRig(t, reg, catalogueOf(t, nil), rigOptions{
			Options: fakes(map[string]*fakeSMSC{"a:1": fake}, nil),
			Setup: func(s *Setup) {
				s.Carriers[0].Unknown = UnknownSubscriber{
					Errs: map[string]bool{"001": true}, Statuses: map[pdu.Status]bool{pdu.ESME_RINVDSTADR: true},
				}
			},
		})
		r.carrierUp("a")
		p := r.transceiver()
		p.submit(both(of("IDREN"), func(p *pdu.SubmitSM) { p.ShortMessage = []byte("refused") }))
		p.receipt()
		p.submit(both(of("IDREN"), inParts(3)))
		for _, s := range fake.await(4)[1:] {
			s.Session.receiptErr(&s, "UNDELIV", "001")
		}
		p.receipt()
		p.submit(of("IDREN"))
		s := fake.await(5)[4]
		s.Session.receiptErr(&s, "UNDELIV", "002")
		p.receipt()
		r.wait("two notes", func() bool { return len(reg.notes()) == 2 })
		time.Sleep(time.Minute)
		for _, c := range reg.notes() {
			if c.Kind != service.NoteUnknown || c.Number != aliNo || c.By != "a" || c.Now.IsZero() {
				t.Errorf("%+v", c)
			}
		}
		if n := r.metric("masar_unknown_subscribers_total", "carrier=a"); n != 2 || len(reg.notes()) != 2 {
			t.Errorf("%v counted, %d told", n, len(reg.notes()))
		}
	})
}

func TestUnknownSubscribersAreDroppedWhenTheRegistryIsTooSlow(t *testing.T) {
	bubble(t, func(t *testing.T) {
		reg := newSubscribers()
		slow := make(chan struct{})
		reg.slow = slow
		r := governedRig(t, reg, catalogueOf(t, nil), rigOptions{})
		c := r.gw.world.Load().carriers["a"]
		m := &queue.Message{Dest: queue.Address{Addr: aliNo.String()}}
		const all = unknownInbox + 2*unknownBatch
		for range all {
			c.unknownSubscriber(m, time.Now())
		}
		dropped := r.metric("masar_unknown_subscribers_dropped_total")
		if dropped < unknownBatch || dropped > 2*unknownBatch {
			t.Errorf("%v dropped", dropped)
		}
		reg.mu.Lock()
		reg.slow = nil
		reg.mu.Unlock()
		close(slow)
		r.wait("the rest", func() bool { return len(reg.notes()) == all-int(dropped) })
	})
}

// What carriers report suspends a number in the registry, and nothing more leaves for it
// until a code was entered there.
func TestANumberThatIsNobodysTooOftenIsSuspendedUntilItIsVerified(t *testing.T) {
	bubble(t, func(t *testing.T) {
		fake := newFakeSMSC(t, nil)
		r, reg := civilRig(t, rigOptions{Options: fakes(map[string]*fakeSMSC{"a:1": fake}, nil)}, func(s *Setup) {
			s.Accounts[0].Agency = "moi"
			s.Carriers[0].Unknown = UnknownSubscriber{Errs: map[string]bool{"001": true}}
		})
		apply(t, reg, service.Change{Kind: service.Enrol, Person: ali, Number: sara, Services: []string{"IDREN"}, Verified: true})
		p := r.transceiver()
		idren := both(of("IDREN"), func(p *pdu.SubmitSM) { p.Source = pdu.Address{} })
		fails := func(n int) {
			t.Helper()
			p.submit(idren)
			s := fake.await(n)[n-1]
			s.Session.receiptErr(&s, "UNDELIV", "001")
			p.receipt()
			r.wait("the note", func() bool { return r.metric("masar_unknown_subscribers_total", "carrier=a") == float64(n) })
			time.Sleep(time.Minute)
		}
		fails(1)
		fails(2)
		if st := p.submitted(both(idren, func(p *pdu.SubmitSM) { p.ScheduleDeliveryTime = []byte("000000010000000R") })); st != pdu.ESME_ROK {
			t.Fatalf("two failures: %v", st)
		}
		fails(3)
		if st := p.submitted(idren); st != StatusSuspended {
			t.Fatalf("three failures: %v, want %v", st, StatusSuspended)
		}
		time.Sleep(58*time.Minute + 30*time.Second) // almost: a receipt that nobody answers comes again
		r.wait("the end of the one that waited", func() bool { return r.metric("masar_stopped_total", "reason=suspended") == 1 })
		p.receipt()
		apply(t, reg, service.Change{Kind: service.IssueCode, Number: sara, Code: "123456", Until: time.Now().Add(time.Hour)},
			service.Change{Kind: service.Verify, Number: sara, Code: "123456"})
		if st := p.submitted(idren); st != pdu.ESME_ROK {
			t.Errorf("verified again: %v", st)
		}
		fake.await(4)
	})
}
