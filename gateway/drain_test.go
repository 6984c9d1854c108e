package gateway

import (
	"testing"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
)

// drainOf is a row of Drain.
func (r *rig) drainOf(carrier, class string) Drain {
	r.t.Helper()
	for _, d := range r.gw.Drain() {
		if d.Carrier == carrier && d.Class == class {
			return d
		}
	}
	r.t.Fatalf("no row for %s of %s: %+v", class, carrier, r.gw.Drain())
	return Drain{}
}

func nearly(d, want, off time.Duration) bool { return d >= want-off && d <= want+off }

// TestTheTimeToDrainCountsWhatGoesBefore has much of each class wait for a slow carrier.
func TestTheTimeToDrainCountsWhatGoesBefore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, _ := outageRig(t, func(s *Setup) {
			s.Carriers[0].Throughput = 10
			s.Routes[0].Name = "main"
		})
		r.refuse("a:1", true)
		r.floodAs("otp", 100, nil)
		r.floodAs("acme", 200, nil)
		r.floodAs("mass", 300, nil)
		for _, class := range []string{"urgent", "normal", "bulk"} {
			if d := r.drainOf("a", class); d.Takes >= 0 || d.Messages == 0 {
				t.Errorf("while the carrier is down: %+v", d)
			}
		}
		if d := r.gw.TimeFor(map[string]int64{"main": 1}, queue.Bulk); d >= 0 {
			t.Errorf("a campaign over a carrier that is down takes %v", d)
		}
		r.refuse("a:1", false)
		r.carrierUp("a")
		for class, want := range map[string]Drain{
			"urgent": {Messages: 100, Takes: 10 * time.Second},
			"normal": {Messages: 200, Takes: 30 * time.Second},
			"bulk":   {Messages: 300, Takes: 60 * time.Second},
		} {
			d := r.drainOf("a", class)
			if d.Messages != want.Messages && d.Messages != want.Messages-1 || d.PerSecond != 10 || !nearly(d.Takes, want.Takes, time.Second/2) || d.HeldBulk {
				t.Errorf("%s: %+v, want %d in %v", class, d, want.Messages, want.Takes)
			}
		}
		for _, row := range []struct {
			name  string
			parts map[string]int64
			class queue.Class
			want  time.Duration
		}{
			{"bulk, by the route's name", map[string]int64{"main": 600}, queue.Bulk, 120 * time.Second},
			{"by the name that a trial tells", map[string]int64{r.gw.world.Load().named["main"].name: 600}, queue.Bulk, 120 * time.Second},
			{"urgent goes before the others", map[string]int64{"main": 600}, queue.Urgent, 70 * time.Second},
			{"nothing", map[string]int64{"main": 0}, queue.Bulk, 0},
			{"no route", nil, queue.Bulk, 0},
			{"an unknown one", map[string]int64{"main": 1, "x": 1}, queue.Bulk, never},
		} {
			if got := r.gw.TimeFor(row.parts, row.class); !nearly(got, row.want, time.Second/2) {
				t.Errorf("%s: %v, want %v", row.name, got, row.want)
			}
		}
	})
}

// TestTheTimeToDrainIsWhatItTakes asks at a carrier's return and waits for the end: one
// that climbs, and messages of several parts.
func TestTheTimeToDrainIsWhatItTakes(t *testing.T) {
	for _, row := range []struct {
		name    string
		parts   int
		flood   int
		carrier func(c *Carrier)
	}{
		{"one part each", 1, 3000, nil},
		{"three parts each", 3, 1000, nil},
		{"within the climb", 1, 800, nil},
		{"no throughput, within the climb", 1, 1000, func(c *Carrier) { c.Throughput, c.Window = 0, 50 }},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r, got := outageRig(t, func(s *Setup) {
					if row.carrier != nil {
						row.carrier(&s.Carriers[0])
					}
				})
				var text func(p *pdu.SubmitSM)
				if row.parts > 1 {
					text = func(p *pdu.SubmitSM) {
						p.ShortMessage = nil
						p.TLVs = p.TLVs.Append(pdu.TagMessagePayload, make([]byte, 140*row.parts))
					}
				}
				r.floodAs("acme", 20, text) // what it knows of parts is from before
				r.wait("they went", func() bool { return len(got.list()) == 20*row.parts })
				time.Sleep(2 * time.Second)
				r.floodAs("acme", 1, text)
				back := r.falls(2*time.Minute, func() { r.floodAs("acme", row.flood, text) })
				time.Sleep(pollEvery)
				if n := len(r.log.find(saysBack)); n != 1 {
					t.Fatalf("%d returns", n)
				}
				told := r.drainOf("a", "normal")
				for time.Since(back) < 10*time.Minute && r.drainOf("a", "normal").Messages > 0 {
					time.Sleep(100 * time.Millisecond)
				}
				if took := time.Since(back); !nearly(told.Takes, took, took/10) {
					t.Errorf("it took %v, told was %v (%+v)", took, told.Takes, told)
				}
			})
		})
	}
}

// TestTheTimeToDrainIsSplitBetweenTheCarriersOfARoute: by their pace, among those that
// take from it now.
func TestTheTimeToDrainIsSplitBetweenTheCarriersOfARoute(t *testing.T) {
	const normal, bulk = 3000, 600
	for _, row := range []struct {
		name    string
		route   []RouteCarrier
		down    []string
		held    string
		old     bool             // the lanes' heads have waited for longer than max_wait
		normals map[string]int64 // by carrier
		bulks   map[string]int64
		takes   map[string]time.Duration // bulk's
		time    time.Duration            // for 300 parts of normal more
	}{
		{"two of one tier", []RouteCarrier{{Name: "a"}, {Name: "b"}}, nil, "", false,
			map[string]int64{"a": 2000, "b": 1000}, map[string]int64{"a": 400, "b": 200},
			map[string]time.Duration{"a": 24 * time.Second, "b": 24 * time.Second}, 22 * time.Second},
		{"one of them down", []RouteCarrier{{Name: "a"}, {Name: "b"}}, []string{"a"}, "", false,
			map[string]int64{"a": 0, "b": 3000}, map[string]int64{"a": 0, "b": 600},
			map[string]time.Duration{"a": never, "b": 72 * time.Second}, 66 * time.Second},
		{"both down", []RouteCarrier{{Name: "a"}, {Name: "b"}}, []string{"a", "b"}, "", false,
			map[string]int64{"a": 3000, "b": 0}, map[string]int64{"a": 600, "b": 0},
			map[string]time.Duration{"a": never, "b": never}, never},
		{"a failover that is not needed", []RouteCarrier{{Name: "a"}, {Name: "b", Failover: true}}, nil, "", false,
			map[string]int64{"a": 3000, "b": 0}, map[string]int64{"a": 600, "b": 0},
			map[string]time.Duration{"a": 36 * time.Second, "b": 0}, 32 * time.Second},
		{"a failover that helps", []RouteCarrier{{Name: "a"}, {Name: "b", Failover: true}}, nil, "", true,
			map[string]int64{"a": 2000, "b": 1000}, map[string]int64{"a": 400, "b": 200},
			map[string]time.Duration{"a": 24 * time.Second, "b": 24 * time.Second}, 22 * time.Second},
		{"one holds bulk", []RouteCarrier{{Name: "a"}, {Name: "b"}}, nil, "a", false,
			map[string]int64{"a": 2000, "b": 1000}, map[string]int64{"a": 0, "b": 600},
			map[string]time.Duration{"a": 20 * time.Second, "b": 32 * time.Second}, 22 * time.Second},
		{"the only one holds bulk", []RouteCarrier{{Name: "a"}}, nil, "a", false,
			map[string]int64{"a": 3000, "b": 0}, map[string]int64{"a": 600, "b": 0},
			map[string]time.Duration{"a": 36 * time.Second, "b": 0}, 33 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r, _ := outageRig(t, func(s *Setup) {
					s.Carriers = append(s.Carriers, carrierAt("b", "b:1"))
					s.Carriers[1].Throughput = 50
					s.Routes = []Route{{Name: "main", Carriers: row.route}}
				})
				r.carrierUp("b")
				// The dispatchers take nothing, so that what waits stands still.
				w := r.gw.world.Load()
				for _, c := range w.carriers {
					c.halt()
				}
				r.floodAs("acme", normal, nil)
				r.floodAs("mass", bulk, nil)
				if row.old {
					time.Sleep(time.Minute)
				}
				for _, name := range row.down {
					r.mu.Lock()
					r.down[name+":1"] = true
					r.smscs[name+":1"].DropConnections()
					r.mu.Unlock()
					r.wait(name+" is down", func() bool { return w.carriers[name].downSince.Load() != 0 })
				}
				if row.held != "" {
					w.carriers[row.held].bulkHeld.Store(true)
				}
				for _, name := range []string{"a", "b"} {
					n, b := r.drainOf(name, "normal"), r.drainOf(name, "bulk")
					if n.Messages != row.normals[name] || b.Messages != row.bulks[name] {
						t.Errorf("%s: %d normal and %d bulk, want %d and %d", name, n.Messages, b.Messages, row.normals[name], row.bulks[name])
					}
					if !nearly(b.Takes, row.takes[name], time.Millisecond) {
						t.Errorf("%s: bulk takes %v, want %v", name, b.Takes, row.takes[name])
					}
					if b.HeldBulk != (row.held == name) || n.HeldBulk {
						t.Errorf("%s: held %v and %v", name, n.HeldBulk, b.HeldBulk)
					}
				}
				if got := r.gw.TimeFor(map[string]int64{"main": 300}, queue.Normal); !nearly(got, row.time, time.Millisecond) {
					t.Errorf("300 parts more take %v, want %v", got, row.time)
				}
			})
		})
	}
}
