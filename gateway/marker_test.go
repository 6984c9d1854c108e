package gateway

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"masar/queue"
	"masar/service"
	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

func TestASenderThatIsNotActiveIsPassedOver(t *testing.T) {
	at := func(name string, carriers map[string]service.SenderAt) func(o *service.Options) {
		return func(o *service.Options) { o.Senders[1].Carriers = carriers }
	}
	active := service.SenderAt{State: service.SenderActive}
	from2 := func(p *pdu.SubmitSM) { p.Source.Addr = []byte("AHWAL2") }
	t.Run("at admission", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			var got arrivals
			r := governedRig(t, newSubscribers(), catalogueOf(t, at("", map[string]service.SenderAt{"b": active})), rigOptions{
				Setup: twoCarriers, SMSC: map[string]smpptest.SMSCOptions{"a:1": got.at("a"), "b:1": got.at("b")},
			})
			r.carrierUp("a", "b")
			p := r.transmitter()
			for range 20 {
				p.submit(both(of("IDNEW"), from2))
			}
			r.wait("all", func() bool { return len(got.list()) == 20 })
			// b goes: a must not have them, not even while it alone is there.
			r.refuse("b:1", true)
			p.submit(both(of("IDNEW"), from2))
			p.submit(of("IDNEW"))
			time.Sleep(5 * time.Minute)
			r.refuse("b:1", false)
			r.wait("the rest", func() bool { return len(got.list()) == 22 })
			for i, a := range got.list() {
				if a.source == "AHWAL2" && a.carrier != "b" || i == 20 && a.carrier != "a" {
					t.Errorf("%d: %s over %s", i, a.source, a.carrier)
				}
			}
		})
	})
	for _, row := range []struct {
		name     string
		carriers map[string]service.SenderAt
		want     string // the carrier; empty: REJECTD
	}{
		{"ends at one while it waits", map[string]service.SenderAt{"a": active, "b": {State: service.SenderActive, Expires: time.Date(2000, 1, 1, 0, 1, 0, 0, time.UTC)}}, "a"},
		{"ends at both", map[string]service.SenderAt{
			"a": {State: service.SenderActive, Expires: time.Date(2000, 1, 1, 0, 1, 0, 0, time.UTC)},
			"b": {State: service.SenderActive, Expires: time.Date(2000, 1, 1, 0, 0, 30, 0, time.UTC)}}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				reg := newSubscribers()
				r, p, got, _ := waitingRig(t, reg, catalogueOf(t, at("", row.carriers)), rigOptions{})
				ids := []string{p.submit(both(of("IDNEW"), from2)), p.submit(both(of("IDNEW"), from2)), p.submit(both(of("IDNEW"), from2))}
				time.Sleep(2 * time.Minute)
				r.carriersBack()
				r.wait("all ended", func() bool {
					for _, id := range ids {
						if r.find(id).Stage != queue.Ended {
							return false
						}
					}
					return true
				})
				if row.want == "" {
					if n := r.metric("masar_stopped_total", "reason=sender_inactive"); n != 3 {
						t.Errorf("%v stopped", n)
					}
				}
				for _, a := range got.list() {
					if a.source == "AHWAL2" && a.carrier != row.want {
						t.Errorf("over %s", a.carrier)
					}
				}
			})
		})
	}
	t.Run("begins elsewhere while it waits", func(t *testing.T) {
		bubble(t, func(t *testing.T) {
			reg := newSubscribers()
			r, p, got, _ := waitingRig(t, reg, catalogueOf(t, at("", map[string]service.SenderAt{"a": active})), rigOptions{})
			p.submit(both(of("IDNEW"), from2))
			s := r.gw.world.Load().setup
			s.Catalogue = catalogueOf(t, at("", map[string]service.SenderAt{"b": active}))
			if err := r.gw.Reload(context.Background(), s); err != nil {
				t.Fatal(err)
			}
			r.carriersBack()
			r.wait("sent", func() bool { return len(got.list()) == 2 })
			for _, a := range got.list() {
				if a.source == "AHWAL2" && a.carrier != "b" {
					t.Errorf("over %s", a.carrier)
				}
			}
		})
	})
}

func TestTheMarkerIsOnTheWireAndInHistory(t *testing.T) {
	bubble(t, func(t *testing.T) {
		time.Sleep(10*time.Hour - 10*time.Minute)
		var got arrivals
		reg := newSubscribers()
		r := governedRig(t, reg, catalogueOf(t, nil), rigOptions{
			SMSC: map[string]smpptest.SMSCOptions{"a:1": got.at("a"), "b:1": got.at("b")},
			Setup: func(s *Setup) {
				twoCarriers(s)
				s.Carriers[0].Free = FreeOfCharge{Required: true, Markers: []Marker{
					{Name: "moi-new", Services: []string{"IDNEW"}, ServiceType: "FREE", Source: "9090", TLVs: pdu.TLVs(nil).Append(0x1401, []byte("x"))},
					{Name: "moi-otp", Services: []string{"OTPEN"}, TLVs: pdu.TLVs(nil).Append(pdu.TagBillingIdentification, []byte{7, 8})},
				}}
				s.Carriers[1].Free = FreeOfCharge{Markers: []Marker{{Name: "all"}}}
			},
		})
		r.carrierUp("a", "b")
		r.refuse("b:1", true)
		p := r.transmitter()
		now, otp := p.submit(of("IDNEW")), p.submit(of("OTPEN"))
		aware := p.submit(both(of("AWARE"), func(p *pdu.SubmitSM) { p.ScheduleDeliveryTime = []byte("000101100000000+") }))
		r.wait("two", func() bool { return len(got.list()) == 2 })
		long := p.submit(both(of("IDNEW"), func(p *pdu.SubmitSM) { p.ShortMessage = []byte(strings.Repeat("long ", 40)) }))
		r.wait("four", func() bool { return len(got.list()) == 4 })
		all := got.list()
		slices.SortFunc(all[:2], func(x, y arrival) int { return strings.Compare(x.service, y.service) })
		first, second := all[0], all[1]
		if v, _ := first.tlvs.Get(0x1401); first.service != "FREE" || first.source != "9090" || string(v) != "x" {
			t.Errorf("%+v", first)
		}
		if v, _ := second.tlvs.Get(pdu.TagBillingIdentification); second.service != "OTPEN" || second.source != "AHWAL" || string(v) != "\x07\x08" {
			t.Errorf("%+v", second)
		}
		r.refuse("b:1", false)
		r.carrierUp("b")
		time.Sleep(time.Until(time.Date(2000, 1, 1, 10, 0, 0, 0, time.UTC)))
		r.wait("AWARE leaves over b, which needs none", func() bool { return len(got.list()) == 5 })
		if a := got.list()[4]; a.carrier != "b" || a.service != "AWARE" {
			t.Errorf("%+v", a)
		}
		for id, want := range map[string]string{now: "moi-new", otp: "moi-otp", aware: "all", long: "moi-new"} {
			r.wait("ended", func() bool { return r.find(id).Stage == queue.Ended })
			if v := r.find(id); v.M.Marker != want || v.State != pdu.StateDelivered {
				t.Errorf("history: marker %q, want %q; %v", v.M.Marker, want, v.State)
			}
		}
	})
}
