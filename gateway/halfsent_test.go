package gateway

import (
	"fmt"
	"testing"
	"time"

	"masar/service"
	"masar/smpp/pdu"
)

func TestAHalfSentMessageGoesOnOnlyToWhoMayGetIt(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(reg *subscribers)
		parts  int
		stat   string
		reason string
	}{
		{"nothing", func(*subscribers) {}, 3, "DELIVRD", ""},
		{"withdrawn", func(reg *subscribers) { reg.withdraw(ali) }, 1, "REJECTD", "not_enrolled"},
		{"moved", func(reg *subscribers) { reg.change(ali, func(s *service.Subscriber) { s.Number = newNo }) }, 1, "REJECTD", "number_changed"},
		{"quiet hours", func(*subscribers) { time.Sleep(time.Minute) }, 3, "DELIVRD", ""},
	} {
		for _, restart := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restart %v", row.name, restart), func(t *testing.T) {
				bubble(t, func(t *testing.T) {
					time.Sleep(time.Hour - 30*time.Second) // quiet from 1 on
					reg := newSubscribers()
					reg.enrol(ali, aliNo, "IDREN")
					first := true
					fake := newFakeSMSC(t, func(n int, s *fakeSubmit) {
						// The first part is taken, the others are not, until the test has made its change.
						if first && n > 0 {
							s.Status = pdu.ESME_RTHROTTLED
						}
					})
					r := governedRig(t, reg, catalogueOf(t, quietFrom(1, 21)), rigOptions{
						Options: fakes(map[string]*fakeSMSC{"a:1": fake}, nil),
						Setup:   func(s *Setup) { s.Carriers[0].Window = 1 },
					})
					r.carrierUp("a")
					p := r.transceiver()
					id := p.submit(both(of("IDREN"), inParts(3)))
					fake.await(2)
					if restart {
						r.stop()
						row.change(reg)
						r.start()
						p = r.transceiver()
					} else {
						row.change(reg)
					}
					fake.mu.Lock()
					first = false
					from := len(fake.got)
					fake.mu.Unlock()
					if row.stat == "DELIVRD" {
						r.wait("the rest", func() bool { return len(fake.taken()) == row.parts })
						for _, s := range fake.taken() {
							s.Session.smsc.receiptOf(s)
						}
					}
					rec := p.receipt()
					if rec["stat"] != row.stat {
						t.Errorf("receipt %v", rec)
					}
					if n := len(fake.taken()); n != row.parts {
						t.Errorf("%d parts were taken, want %d (%d before)", n, row.parts, from)
					}
					if v := r.find(id); row.reason != "" && v.Err != row.reason {
						t.Errorf("history: %q", v.Err)
					}
					if row.reason != "" {
						if n := r.metric("masar_stopped_total", "reason="+row.reason); n != 1 {
							t.Errorf("stopped: %v", n)
						}
					}
				})
			})
		}
	}
}

// taken are the parts that were answered ESME_ROK.
func (f *fakeSMSC) taken() (all []fakeSubmit) {
	for _, s := range f.submits() {
		if s.Status == pdu.ESME_ROK {
			all = append(all, s)
		}
	}
	return all
}

// receiptErr is receipt with an error code.
func (s *fakeSession) receiptErr(sub *fakeSubmit, state, code string) {
	s.deliver(&pdu.DeliverSM{
		Source: pdu.Address{TON: 1, NPI: 1, Addr: sub.Dest.Addr}, Dest: sub.Source, ESMClass: pdu.ESMClassReceipt,
		ShortMessage: []byte("id:" + sub.ID + " sub:001 dlvrd:000 submit date:2611230000 done date:2611230001 stat:" + state + " err:" + code + " text:"),
	})
}

// receiptOf sends the receipt of a part over the newest session.
func (f *fakeSMSC) receiptOf(s fakeSubmit) {
	f.mu.Lock()
	last := f.sessions[len(f.sessions)-1]
	f.mu.Unlock()
	last.receipt(&s, "DELIVRD")
}
