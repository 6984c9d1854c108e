package gateway

import (
	"context"
	"testing"
	"time"

	"masar/smpp"
	"masar/smpp/pdu"
)

// series counts the series of all metrics that have a label value.
func (r *rig) series(label, value string) int {
	r.t.Helper()
	families, err := r.reg.Gather()
	if err != nil {
		r.t.Fatal(err)
	}
	n := 0
	for _, f := range families {
		for _, m := range f.GetMetric() {
			for _, l := range m.GetLabel() {
				if l.GetName() == label && l.GetValue() == value {
					n++
				}
			}
		}
	}
	return n
}

func TestTheSeriesOfARemovedAccountAndCarrierGo(t *testing.T) {
	bubble(t, func(t *testing.T) {
		with := func(s *Setup) {
			withOther(s)
			s.Carriers = append(s.Carriers, carrierAt("spare", "b:1"))
			s.Routes = append(s.Routes, Route{Prefixes: []string{"9665"}, Carriers: []RouteCarrier{{Name: "spare"}}})
		}
		r := newRig(t, rigOptions{Setup: with})
		reload := func(change func(*Setup)) {
			t.Helper()
			s := rigSetup()
			change(&s)
			if err := r.gw.Reload(context.Background(), s); err != nil {
				t.Fatal(err)
			}
			time.Sleep(2 * time.Second) // the gauges' rhythm
		}
		time.Sleep(2 * time.Second)
		kept := r.series("account", "acme") + r.series("carrier", "a")
		if r.series("account", "other") == 0 || r.series("carrier", "spare") == 0 || kept == 0 {
			t.Fatal("there are none to begin with")
		}
		reload(func(*Setup) {})
		if n := r.series("account", "other"); n != 0 {
			t.Errorf("%d series of a removed account are left", n)
		}
		if n := r.series("carrier", "spare"); n != 0 {
			t.Errorf("%d series of a removed carrier are left", n)
		}
		if n := r.series("account", "acme") + r.series("carrier", "a"); n != kept {
			t.Errorf("%d series of those that stay, there were %d", n, kept)
		}
		reload(with)
		p := r.bind(pdu.CmdBindTransceiver, "other")
		defer p.conn.Close()
		if n := r.metric("masar_account_binds", "account=other"); n != 1 {
			t.Errorf("%v binds of the account that came back are counted", n)
		}
	})
}

func TestTheGaugesOfWhatWaitsAsideGoBackToZero(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{})
		r.carrierUp("a")
		p := r.transceiver()
		p.submit(func(q *pdu.SubmitSM) {
			q.RegisteredDelivery, q.ScheduleDeliveryTime = pdu.RegisteredFinal, []byte("000000001000000R")
		})
		time.Sleep(2 * time.Second) // the gauges' rhythm
		if n := r.metric("masar_queue_messages", "carrier="+Aside); n != 1 {
			t.Errorf("%v messages aside before its time, want 1", n)
		}
		h, _ := p.expectWithin(pdu.CmdDeliverSM, 11*time.Minute)
		p.answer(h, pdu.ESME_ROK)
		settled(t, r)
		time.Sleep(2 * time.Second)
		for _, name := range []string{"masar_queue_messages", "masar_queue_oldest_seconds"} {
			for _, carrier := range []string{Aside, noRoute, "a"} {
				if n := r.metric(name, "carrier="+carrier); n != 0 {
					t.Errorf("%s of %s is %v when nothing waits", name, carrier, n)
				}
			}
			if r.series("carrier", noRoute) == 0 {
				t.Error("an alert on what waits without a route has no series")
			}
		}
	})
}

func TestAStatusThatNoTableHasIsOneLabel(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r := newRig(t, rigOptions{})
		r.carrierUp("a")
		c := r.gw.world.Load().carriers["a"]
		for _, st := range []pdu.Status{pdu.ESME_RINVPASWD, 0x400, 0x401, 0xdeadbeef} {
			c.down(pdu.CmdBindTransceiver, &smpp.BindError{Status: st}, time.Second)
		}
		for label, want := range map[string]float64{"ESME_RINVPASWD": 1, "other": 3} {
			if n := r.metric("masar_carrier_binds_refused_total", "carrier=a", "status="+label); n != want {
				t.Errorf("%s: %v, want %v", label, n, want)
			}
		}
		if n := r.series("status", pdu.Status(0x400).String()); n != 0 {
			t.Error("a number of the peer's is a label")
		}
	})
}
