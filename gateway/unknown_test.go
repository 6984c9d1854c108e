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
