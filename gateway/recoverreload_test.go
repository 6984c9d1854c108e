package gateway

import (
	"context"
	"testing"
	"time"
)

func TestAReloadDuringAClimb(t *testing.T) {
	for _, row := range []struct {
		name   string
		change func(c *Carrier)
		first  int // in the first four seconds after it
		back   int // returns that are logged in all
		held   bool
	}{
		{"that leaves the carrier as it is", func(*Carrier) {}, 120, 1, true},
		{"that changes the carrier", func(c *Carrier) { c.Identity = "a2" }, 40, 2, true},
		{"that takes its hold away", func(c *Carrier) { c.Identity, c.Recovery.HoldBulk = "a2", false }, 40, 2, false},
		{"that takes its recovery away", func(c *Carrier) { c.Identity, c.Recovery.After = "a2", -1 }, 400, 1, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r, got := outageRig(t, func(s *Setup) { s.Carriers[0].Recovery.HoldBulk = true })
				back := r.falls(2*time.Minute, func() {
					r.floodAs("acme", 2000, nil)
					r.floodAs("mass", 100, nil)
				})
				time.Sleep(time.Until(back.Add(10*time.Second + 200*time.Millisecond))) // at 30%
				s := r.gw.world.Load().setup
				s.Carriers = append([]Carrier(nil), s.Carriers...)
				row.change(&s.Carriers[0])
				if err := r.gw.Reload(context.Background(), s); err != nil {
					t.Fatal(err)
				}
				r.carrierUp("a")
				from := time.Now()
				time.Sleep(4 * time.Second)
				if n := got.between("a", "", from, time.Now()); !near(n, row.first, row.first/10+4) {
					t.Errorf("%d went in four seconds, want %d", n, row.first)
				}
				if n := len(r.log.find(saysBack)); n != row.back {
					t.Errorf("%d returns are logged, want %d", n, row.back)
				}
				time.Sleep(time.Minute)
				if n := got.between("a", "mass", back, time.Now()); (n == 0) != row.held {
					t.Errorf("%d bulk messages went", n)
				}
			})
		})
	}
}

func TestAReloadOfACarrierThatIsWellIsNoOutage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, _ := outageRig(t, func(s *Setup) { s.Carriers[0].Throughput, s.Carriers[0].Recovery.HoldBulk = 10, true })
		r.floodAs("mass", 3000, nil)
		time.Sleep(2 * time.Minute) // what waits is old, because there is much of it
		s := r.gw.world.Load().setup
		s.Carriers = append([]Carrier(nil), s.Carriers...)
		s.Carriers[0].Identity = "a2"
		if err := r.gw.Reload(context.Background(), s); err != nil {
			t.Fatal(err)
		}
		r.wait("the new one is bound", func() bool {
			c := r.gw.world.Load().carriers["a"]
			return c.opt.Identity == "a2" && c.downSince.Load() == 0
		})
		time.Sleep(5 * time.Second)
		if n := len(r.log.find(saysBack)); n != 0 || r.gw.Carriers()[0].BulkHeld {
			t.Errorf("%d returns are logged, bulk held: %v", n, r.gw.Carriers()[0].BulkHeld)
		}
	})
}

func TestAStartWithAnOldBacklogIsAReturn(t *testing.T) {
	for _, row := range []struct {
		name   string
		down   time.Duration
		climbs bool
	}{{"old", 90 * time.Second, true}, {"young", 10 * time.Second, false}} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r, got := outageRig(t, func(s *Setup) { s.Carriers[0].Recovery.HoldBulk = true })
				r.refuse("a:1", true)
				r.floodAs("acme", 500, nil)
				r.floodAs("mass", 100, nil)
				r.stop()
				time.Sleep(row.down)
				r.mu.Lock()
				r.down["a:1"] = false
				r.mu.Unlock()
				r.start()
				r.carrierUp("a")
				back := time.Now()
				time.Sleep(10 * time.Second)
				want := 400
				if row.climbs {
					want = 40
				}
				if n := got.between("a", "", back, back.Add(4*time.Second)); !near(n, want, want/10+4) {
					t.Errorf("%d in four seconds, want %d", n, want)
				}
				if held := r.gw.Carriers()[0].BulkHeld; held != row.climbs {
					t.Errorf("bulk held: %v", held)
				}
			})
		})
	}
}
