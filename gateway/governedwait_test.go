package gateway

import (
	"testing"
	"time"

	"masar/number"
	"masar/queue"
	"masar/service"
	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

func TestADefaultValidityCountsFromTheEndOfTheHold(t *testing.T) {
	cat := catalogueOf(t, quietFrom(22, 8)) // the bubble begins at midnight
	midnight := func(h float64) time.Time {
		return time.Date(2000, 1, 1, 0, 0, 0, 0, time.UTC).Add(time.Duration(h * float64(time.Hour)))
	}
	for _, row := range []struct {
		name               string
		code               string
		schedule, validity string
		status             pdu.Status
		leaves, expires    time.Time
	}{
		{"held till 8", "IDNEW", "", "", 0, midnight(8), midnight(32)},
		{"with its own validity", "IDNEW", "", "000000003000000R", 0, midnight(8), midnight(8 + 1./3)},
		{"which ends before", "IDNEW", "", "000000000500000R", pdu.ESME_RINVEXPIRY, time.Time{}, time.Time{}},
		{"urgent ones pass", "OTPEN", "", "", 0, midnight(8 - 1./6), midnight(8)},
		{"scheduled for the day", "IDNEW", "000101083000000+", "", 0, midnight(8.5), midnight(32.5)},
		{"scheduled for the night", "IDNEW", "000101230000000+", "", 0, midnight(32), midnight(56)},
		{"a category's hours", "AWARE", "", "", 0, midnight(9), midnight(33)},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				time.Sleep(time.Until(midnight(8)) - 10*time.Minute)
				var got arrivals
				r := governedRig(t, newSubscribers(), cat, rigOptions{SMSC: map[string]smpptest.SMSCOptions{"a:1": got.at("a")}})
				r.carrierUp("a")
				p := r.transmitter()
				var id string
				if row.status != 0 {
					if st := p.submitted(both(of(row.code), func(p *pdu.SubmitSM) { p.ValidityPeriod = []byte(row.validity) })); st != row.status {
						t.Errorf("status %v", st)
					}
					return
				}
				id = p.submit(both(of(row.code), func(p *pdu.SubmitSM) {
					p.ScheduleDeliveryTime, p.ValidityPeriod = []byte(row.schedule), []byte(row.validity)
				}))
				if e := r.find(id).M.Expires.Time(); e.Sub(row.expires).Abs() > time.Second {
					t.Errorf("expires %v, want %v", e, row.expires)
				}
				if time.Until(row.leaves) > time.Hour { // each second of it costs the test something
					if v := r.find(id); !v.Until.Time().Equal(row.leaves) || v.State != pdu.StateScheduled {
						t.Errorf("%v until %v, want %v", v.State, v.Until.Time(), row.leaves)
					}
					return
				}
				time.Sleep(time.Until(row.leaves) - 2*time.Second)
				if n := len(got.list()); n > 0 && row.leaves.After(time.Now()) {
					t.Fatalf("%d left early, at %v", n, got.list()[0].at)
				}
				r.wait("it leaves", func() bool { return len(got.list()) == 1 })
				if late := got.list()[0].at.Sub(row.leaves); late > 2*time.Second {
					t.Errorf("left %v late", late)
				}
			})
		})
	}
}

func TestWhoIsNotEnrolledIsDroppedWhereTheServiceSaysSo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var got arrivals
		reg := newSubscribers()
		r := governedRig(t, reg, catalogueOf(t, nil), rigOptions{SMSC: map[string]smpptest.SMSCOptions{"a:1": got.at("a")}})
		r.carrierUp("a")
		p := r.transceiver()
		id := p.submit(of("IDDRP"))
		if rec := p.receipt(); rec["stat"] != "REJECTD" || rec["id"] != id {
			t.Errorf("receipt %v", rec)
		}
		if v := r.find(id); v.State != pdu.StateRejected || v.Err != "not_enrolled" {
			t.Errorf("history: %v %q", v.State, v.Err)
		}
		if n := r.metric("masar_stopped_total", "reason=not_enrolled"); n != 1 {
			t.Errorf("stopped %v", n)
		}
		if n := r.metric("masar_submits_total", "result=ok"); n != 1 {
			t.Errorf("accepted %v", n)
		}
		// It replaces a message that waits and must not go in its place.
		r.refuse("a:1", true)
		reg.enrol(ali, aliNo, "IDDRP")
		p.submit(of("IDDRP"))
		reg.withdraw(ali)
		p.submit(both(of("IDDRP"), func(p *pdu.SubmitSM) { p.ReplaceIfPresent = 1 }))
		r.refuse("a:1", false)
		if rec := p.receipt(); rec["stat"] != "REJECTD" {
			t.Errorf("receipt %v", rec)
		}
		reg.block(aliNo, service.BlockAll)
		if st := p.submitted(of("IDDRP")); st != StatusBlocked {
			t.Errorf("blocked: %v", st)
		}
		if n := len(got.list()); n != 0 {
			t.Errorf("the carrier was sent %d", n)
		}
	})
}

func TestEachDestinationOfASubmitMultiIsAskedByItself(t *testing.T) {
	bubble(t, func(t *testing.T) {
		reg := newSubscribers()
		reg.enrol(ali, aliNo, "IDREN")
		r := governedRig(t, reg, catalogueOf(t, nil), rigOptions{})
		p := r.transmitter()
		m := multiOf(dest(aliNo.String()), dest("966509999999"))
		m.ServiceType, m.Source = []byte("IDREN"), pdu.Address{}
		p.send(pdu.CmdSubmitMulti, m)
		h, body := p.expect(pdu.CmdSubmitMulti.Resp())
		bad := body.(*pdu.SubmitMultiResp).Unsuccess
		if h.Status != 0 || len(bad) != 1 || bad[0].Status != StatusNotEnrolled || string(bad[0].Address.Addr) != "966509999999" {
			t.Errorf("%v %+v", h.Status, bad)
		}
	})
}

func TestAReplacedTextIsAskedAgain(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var got arrivals
		reg := newSubscribers()
		reg.enrol(ali, aliNo, "IDREN")
		r := governedRig(t, reg, catalogueOf(t, nil), rigOptions{SMSC: map[string]smpptest.SMSCOptions{"a:1": got.at("a")}})
		r.refuse("a:1", true)
		p := r.transmitter()
		id := p.submit(both(of("IDREN"), func(p *pdu.SubmitSM) { p.Source, p.DataCoding, p.ShortMessage = pdu.Address{}, 8, []byte("\x06\x45") }))
		replace := func(text string) pdu.Status {
			p.send(pdu.CmdReplaceSM, &pdu.ReplaceSM{MessageID: []byte(id), ShortMessage: []byte(text)})
			h, _ := p.expect(pdu.CmdReplaceSM.Resp())
			return h.Status
		}
		if st := replace("\x00e\x00v\x00i\x00l\x00.\x00c\x00o\x00m"); st != StatusForeignLink {
			t.Errorf("a foreign link: %v", st)
		}
		if st := replace("\xfe\xe3\x06\x45"); st != pdu.ESME_ROK {
			t.Errorf("another text: %v", st)
		}
		r.refuse("a:1", false)
		r.wait("sent", func() bool { return len(got.list()) == 1 })
		if a := got.list()[0]; a.text != "\x06\x45\x06\x45" {
			t.Errorf("sent %q", a.text)
		}
	})
}

func TestATrialReachesItsOwnNumbersAndTestNumbers(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var a, b arrivals
		reg := newSubscribers()
		reg.block(newNo, service.BlockAll)
		r := governedRig(t, reg, catalogueOf(t, nil), rigOptions{
			SMSC: map[string]smpptest.SMSCOptions{"a:1": a.at("a"), "b:1": b.at("b")},
			Setup: func(s *Setup) {
				s.Accounts[0].Trial = map[number.E164]struct{}{aliNo: {}}
				s.Carriers = append(s.Carriers, carrierAt("b", "b:1"))
				s.Routes = append(s.Routes, Route{Name: "test", Prefixes: []string{"999"}, Carriers: []RouteCarrier{{Name: "b"}}})
				s.Test = func(n string) (string, bool) { return "test", n == newNo.String() }
			},
		})
		r.carrierUp("a", "b")
		p := r.transmitter()
		p.submit(of("IDNEW"))
		if st := p.submitted(both(of("IDNEW"), func(p *pdu.SubmitSM) { p.Dest.Addr = []byte("966509999999") })); st != StatusTrialNumber {
			t.Errorf("another number: %v", st)
		}
		// A test number: opt-in, blocked, not listed, from a sender that its carrier does not know.
		p.submit(both(of("IDREN"), func(p *pdu.SubmitSM) { p.Source.Addr, p.Dest.Addr = []byte("AHWAL2"), []byte(newNo.String()) }))
		r.wait("both", func() bool { return len(a.list()) == 1 && len(b.list()) == 1 })
		if got := b.list()[0]; got.dest != newNo.String() {
			t.Errorf("%+v", got)
		}
	})
}

func TestABlockedNumberIsKeptFromPlainAccountsToo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		var got arrivals
		reg := newSubscribers()
		r := newRig(t, rigOptions{
			SMSC: map[string]smpptest.SMSCOptions{"a:1": got.at("a")}, Options: func(o *Options) { o.Registry = reg },
		})
		r.refuse("a:1", true)
		p := r.transceiver()
		p.submit(func(p *pdu.SubmitSM) { p.RegisteredDelivery = 1 })
		reg.block(aliNo, service.BlockOptIn)
		p.submit(nil)
		reg.block(aliNo, service.BlockAll)
		if st := p.submitted(nil); st != StatusBlocked {
			t.Errorf("blocked: %v", st)
		}
		r.refuse("a:1", false)
		if rec := p.receipt(); rec["stat"] != "REJECTD" {
			t.Errorf("receipt %v", rec)
		}
		r.wait("both stopped", func() bool { return r.metric("masar_stopped_total", "reason=blocked") == 2 })
		if n := len(got.list()); n > 0 {
			t.Errorf("%d were sent", n)
		}
	})
}

func TestAPersonWhomTheRegistryDoesNotKnowIsRefused(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := governedRig(t, newSubscribers(), catalogueOf(t, nil), rigOptions{})
		w := r.gw.world.Load()
		a := w.accounts["acme"]
		q := candidate{
			account: a, o: a.opt.Load(), w: w, now: time.Now(), m: &queue.Message{Person: ali, Personal: true},
			dest: pdu.Address{Addr: []byte(aliNo.String())}, service: []byte("IDNEW"), body: []byte("x"),
		}
		if no := r.gw.admitMessage(&q); no.why != UnknownPerson || no.wire() != StatusUnknownPerson {
			t.Errorf("%v %v", no.why, no.wire())
		}
	})
}
