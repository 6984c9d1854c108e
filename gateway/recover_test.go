package gateway

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

func TestHowLongAnOutageLasts(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(1_800_000_000+int64(s), 0) }
	const down, up, upClimbing = 0, 1, 2 // what happens; upClimbing: it is bound, and falls in the middle of its climb
	type at_ struct{ s, what int }
	for _, row := range []struct {
		name   string
		steady time.Duration
		story  []at_
		now    int
		oldest int // of what waits, before or after the start at 0; 0: nothing
		long   bool
	}{
		{"bound since the start", time.Minute, []at_{{1, up}}, 1, 0, false},
		{"a start with nothing old", time.Minute, []at_{{1, up}}, 1, -59, false},
		{"a start with something old", time.Minute, []at_{{1, up}}, 1, -61, true},
		{"down from the start, for long", time.Minute, []at_{{61, up}}, 61, 0, true},
		{"down for a moment", time.Minute, []at_{{1, up}, {600, down}, {601, up}}, 601, 0, false},
		{"and what is old says nothing any more", time.Minute, []at_{{1, up}, {600, down}, {601, up}}, 601, -3600, false},
		{"down for long", time.Minute, []at_{{1, up}, {600, down}, {661, up}}, 661, 0, true},
		{"not longer than it may", time.Minute, []at_{{1, up}, {600, down}, {660, up}}, 660, 0, false},
		{"up for a moment in between", time.Minute, []at_{{1, up}, {600, down}, {640, up}, {650, down}, {670, up}}, 670, 0, true},
		{"up for long in between", time.Minute, []at_{{1, up}, {600, down}, {640, up}, {700, down}, {730, up}}, 730, 0, false},
		{"falls in the middle of its climb", time.Minute, []at_{{1, up}, {600, down}, {700, up}, {2000, upClimbing}, {2001, up}}, 2001, 0, true},
		{"off", -1, []at_{{1, up}, {600, down}, {9999, up}}, 9999, 0, false},
	} {
		o := outage{began: at(0), first: true, steady: row.steady}
		for _, e := range row.story {
			switch e.what {
			case up:
				o.back(at(e.s))
			default:
				o.lost(at(e.s), e.what == upClimbing)
			}
		}
		var oldest time.Time
		if row.oldest != 0 {
			oldest = at(row.oldest)
		}
		if got := o.long(at(row.now), oldest); got != row.long {
			t.Errorf("%s: %v, want %v", row.name, got, row.long)
		}
	}
}

// outageRig is a rig with an account of each class ("otp", "acme" and "mass") and a carrier
// of 100 parts a second.
func outageRig(t *testing.T, f func(s *Setup)) (*rig, *arrivals) {
	t.Helper()
	got := new(arrivals)
	r := newRig(t, rigOptions{SMSC: map[string]smpptest.SMSCOptions{"a:1": got.at("a"), "b:1": got.at("b")}, Setup: func(s *Setup) {
		s.Carriers[0].Throughput, s.Carriers[0].Burst = 100, 1
		s.Accounts = append(s.Accounts,
			likeAcme("otp", func(a *Account) { a.Class = queue.Urgent }), likeAcme("mass", func(a *Account) { a.Class = queue.Bulk }))
		if f != nil {
			f(s)
		}
	}})
	r.carrierUp("a")
	return r, got
}

// falls makes carrier a be down for so long, beginning now; what is submitted meanwhile is
// backlog. It returns the moment it is bound again.
func (r *rig) falls(d time.Duration, meanwhile func()) time.Time {
	r.t.Helper()
	began := time.Now()
	r.refuse("a:1", true)
	if meanwhile != nil {
		meanwhile()
	}
	time.Sleep(d - time.Since(began))
	r.refuse("a:1", false)
	r.carrierUp("a")
	return time.Now().Add(-pollEvery)
}

// pollEvery is how late rig.wait may see what it waits for.
const pollEvery = 5 * time.Millisecond

// floodAs submits n messages as an account of its own bind.
func (r *rig) floodAs(systemID string, n int, f func(p *pdu.SubmitSM)) {
	r.t.Helper()
	p := r.bind(pdu.CmdBindTransmitter, systemID)
	flood(p, n, both(func(p *pdu.SubmitSM) { p.Source.Addr = []byte(systemID) }, f))
	p.conn.Close()
}

// between counts what arrived at a carrier from a moment on, from one sender or from all.
func (a *arrivals) between(carrier, source string, from, to time.Time) (n int) {
	for _, m := range a.list() {
		if m.carrier == carrier && (source == "" || m.source == source) && !m.at.Before(from) && m.at.Before(to) {
			n++
		}
	}
	return n
}

func near(got, want, off int) bool { return got >= want-off && got <= want+off }

const (
	saysBack  = "carrier is back after an outage, its pace climbs"
	saysStep  = "carrier climbs"
	saysWhole = "carrier has its full pace again"
)

func TestACarrierThatIsBackAfterAnOutageClimbs(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, got := outageRig(t, nil)
		back := r.falls(2*time.Minute, func() { r.floodAs("acme", 1500, nil) })
		time.Sleep(12 * time.Second)
		if share := r.metric("masar_carrier_recovery", "carrier=a"); share < 0.29 || share > 0.31 {
			t.Errorf("the gauge says %g in the third step", share)
		}
		if v := r.gw.Carriers()[0]; v.Recovery < 0.29 || v.Recovery > 0.31 || v.Pace < 29 || v.Pace > 31 {
			t.Errorf("the third step is seen as %+v", v)
		}
		time.Sleep(38 * time.Second)
		for i, want := range []int{50, 100, 150, 200, 250, 300, 350, 100, 0} {
			from := back.Add(time.Duration(i) * 5 * time.Second)
			if n := got.between("a", "", from, from.Add(5*time.Second)); !near(n, want, 4) {
				t.Errorf("%d in step %d, want %d", n, i, want)
			}
		}
		if n := r.log.find(saysBack, "carrier=a", "waiting=1500", "share=0.1", "pace=10"); len(n) != 1 {
			t.Errorf("the return is logged so: %v", r.log.find(saysBack))
		}
		for share := 2; share <= 9; share++ {
			if n := r.log.find(saysStep, fmt.Sprintf("share=0.%d", share), fmt.Sprintf("pace=%d", share*10)); len(n) != 1 {
				t.Errorf("the step to 0.%d is logged %d times", share, len(n))
			}
		}
		if all := r.log.find(saysStep); len(all) != 8 {
			t.Errorf("%d steps are logged: %v", len(all), all)
		}
		if n := len(r.log.find(saysWhole)); n != 1 {
			t.Errorf("the end of the climb is logged %d times", n)
		}
		if share := r.metric("masar_carrier_recovery", "carrier=a"); share != 1 {
			t.Errorf("the gauge says %g after it", share)
		}
	})
}

func TestWhenACarrierClimbs(t *testing.T) {
	for _, row := range []struct {
		name     string
		down     time.Duration
		backlog  int
		recovery Recovery
		begins   int // messages in its first four seconds; 0: no climb
	}{
		{"after long, with much", 2 * time.Minute, 500, Recovery{}, 40},
		{"a short outage", 50 * time.Second, 500, Recovery{}, 0},
		{"little to send", 2 * time.Minute, 90, Recovery{}, 0},
		{"never", time.Hour, 500, Recovery{After: -1}, 0},
		{"its own figures", 20 * time.Second, 500, Recovery{After: 10 * time.Second, From: 0.5, Step: 0.25, Every: 2 * time.Second}, 250},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r, got := outageRig(t, func(s *Setup) { s.Carriers[0].Recovery = row.recovery })
				back := r.falls(row.down, func() { r.floodAs("acme", row.backlog, nil) })
				time.Sleep(10 * time.Second)
				want := row.begins
				if want == 0 {
					want = min(row.backlog, 400)
				}
				if n := got.between("a", "", back, back.Add(4*time.Second)); !near(n, want, 4) {
					t.Errorf("%d in the first four seconds, want %d", n, want)
				}
				if climbs := len(r.log.find(saysBack)) == 1; climbs != (row.begins > 0) {
					t.Errorf("logged: %v", r.log.find(saysBack))
				}
			})
		})
	}
}

// relative is a validity_period of so many minutes and seconds.
func relative(minutes, seconds int) func(p *pdu.SubmitSM) {
	return func(p *pdu.SubmitSM) {
		p.ValidityPeriod = fmt.Appendf(nil, "00000000%02d%02d000R", minutes, seconds)
		p.ShortMessage = []byte("short-lived")
	}
}

// TestAfterAnOutageUrgentGoesFirstAndWhatHasExpiredNever: a carrier comes back to bulk,
// normal and urgent messages, some of each expired meanwhile, some expiring as it climbs.
func TestAfterAnOutageUrgentGoesFirstAndWhatHasExpiredNever(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, got := outageRig(t, nil)
		var submitted time.Time
		back := r.falls(3*time.Minute, func() {
			submitted = time.Now()
			for _, who := range []string{"mass", "acme", "otp"} {
				r.floodAs(who, 50, relative(2, 0))
				r.floodAs(who, 100, relative(3, 10))
				r.floodAs(who, 200, nil)
			}
		})
		r.wait("the lanes are empty", func() bool {
			time.Sleep(time.Second)
			return r.metric("masar_queue_messages") == 0
		})
		count := map[string]int{}
		for i, a := range got.list() {
			count[a.source]++
			if age := a.at.Sub(submitted); a.text == "short-lived" && age > 190*time.Second+time.Second {
				t.Errorf("number %d, of %s, was sent %v after it was submitted", i, a.source, age)
			}
		}
		// 300 urgent ones wait: 100 of them for ten seconds more, in which 150 go at the most.
		first := got.list()[:100]
		urgent := 0
		for _, a := range first {
			if a.source == "otp" {
				urgent++
			}
		}
		if urgent < 85 {
			t.Errorf("%d of the first 100 are urgent; their share is 85", urgent)
		}
		lastUrgent := 0
		for i, a := range got.list() {
			if a.source == "otp" {
				lastUrgent = i
			}
		}
		if most := count["otp"]*100/85 + 5; lastUrgent > most {
			t.Errorf("the last urgent one went as number %d, want it within %d", lastUrgent, most)
		}
		if count["otp"] < 290 || count["acme"] < 200 || count["mass"] < 200 {
			t.Errorf("sent: %v", count)
		}
		ended := r.metric("masar_messages_ended_total", "state=EXPIRED")
		if sent := float64(len(got.list())); sent+ended != 3*350 {
			t.Errorf("%g sent and %g expired are not the 1050 that were submitted", sent, ended)
		}
		if ended < 150+150 {
			t.Errorf("%g expired: 150 before the return, and most of 200 during the climb", ended)
		}
		if n := got.between("a", "", back, back.Add(5*time.Second)); !near(n, 50, 3) {
			t.Errorf("%d in the first step", n)
		}
	})
}

func TestBulkWaitsForItsReleaseAfterAnOutage(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, got := outageRig(t, func(s *Setup) { s.Carriers[0].Recovery.HoldBulk = true })
		if err := r.gw.Release("a"); !errors.Is(err, ErrNoBulkHeld) {
			t.Errorf("release of a carrier that holds nothing: %v", err)
		}
		if err := r.gw.Release("x"); !errors.Is(err, ErrNoCarrier) {
			t.Errorf("release of a carrier that does not exist: %v", err)
		}
		back := r.falls(2*time.Minute, func() {
			r.floodAs("mass", 300, nil)
			r.floodAs("acme", 100, nil)
			r.floodAs("otp", 50, nil)
		})
		time.Sleep(time.Minute)
		r.floodAs("acme", 10, nil) // what comes later goes, too
		r.floodAs("mass", 10, nil)
		time.Sleep(time.Minute)
		now := time.Now()
		if n := got.between("a", "mass", back, now); n != 0 {
			t.Errorf("%d bulk messages went", n)
		}
		if n := got.between("a", "", back, now); n != 160 {
			t.Errorf("%d others went, want 160", n)
		}
		if held := r.metric("masar_carrier_bulk_held", "carrier=a"); held != 1 || !r.gw.Carriers()[0].BulkHeld {
			t.Errorf("the gauge says %g, the view %v", held, r.gw.Carriers()[0].BulkHeld)
		}
		for _, d := range r.gw.Drain() {
			if d.Carrier != "a" {
				continue
			}
			bulk := d.Class == "bulk"
			if d.HeldBulk != bulk || bulk && (d.Messages != 310 || d.Takes != 3100*time.Millisecond) || !bulk && d.Messages != 0 {
				t.Errorf("what the operator sees before: %+v", d)
			}
		}
		if n := len(r.log.find("bulk is held back until it is released", "carrier=a")); n != 1 {
			t.Errorf("the hold is logged %d times", n)
		}
		if err := r.gw.Release("a"); err != nil {
			t.Fatal(err)
		}
		released := time.Now()
		time.Sleep(4 * time.Second)
		if n := got.between("a", "mass", released, time.Now()); n != 310 {
			t.Errorf("%d went within four seconds of the release, want 310", n)
		}
		if err := r.gw.Release("a"); !errors.Is(err, ErrNoBulkHeld) {
			t.Errorf("a second release: %v", err)
		}
		if held := r.metric("masar_carrier_bulk_held", "carrier=a"); held != 0 {
			t.Errorf("the gauge says %g", held)
		}
	})
}

func TestThrottlesDuringAClimbAreHeeded(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, got := outageRig(t, nil)
		back := r.falls(2*time.Minute, func() {
			r.smscs["a:1"].SetPace(40) // it is not whole yet
			r.floodAs("acme", 4000, nil)
			r.floodAs("otp", 100, nil)
		})
		time.Sleep(50 * time.Second)
		throttled := r.metric("masar_carrier_throttled_total", "carrier=a")
		all := got.between("a", "", back, time.Now())
		if throttled < 1 || throttled > 0.08*float64(all) {
			t.Errorf("%g throttles of %d submits", throttled, all)
		}
		if share := r.gw.Carriers()[0].Recovery; share > 0.95 {
			t.Errorf("it climbed to %g against throttles", share)
		}
		if n := all - int(throttled) - 100; n < 35*50*6/10 {
			t.Errorf("%d went in 50 s over a carrier of 40/s", n)
		}
		r.smscs["a:1"].SetPace(0)
		r.wait("its full pace", func() bool { return len(r.log.find(saysWhole)) == 1 })
		if n := got.between("a", "otp", back, back.Add(15*time.Second)); n < 100 {
			t.Errorf("%d of 100 urgent messages went in 15 s", n)
		}
	})
}

func TestACarrierWithoutThroughputClimbsToWhatItDidBefore(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, got := outageRig(t, func(s *Setup) { s.Carriers[0].Throughput, s.Carriers[0].Window = 0, 20 })
		r.floodAs("acme", 400, nil)
		r.wait("they went", func() bool { return len(got.list()) == 400 })
		back := r.falls(10*time.Minute, func() { r.floodAs("acme", 1200, nil) })
		time.Sleep(25 * time.Second)
		// 40 a second, then 80, as 400 went in its busiest second.
		for i, want := range []int{200, 400} {
			from := back.Add(time.Duration(i) * 5 * time.Second)
			if n := got.between("a", "", from, from.Add(5*time.Second)); !near(n, want, 15) {
				t.Errorf("%d in step %d, want %d", n, i, want)
			}
		}
		time.Sleep(time.Minute)
		r.floodAs("acme", 2, nil)
		r.wait("no limit again", func() bool { return r.gw.Carriers()[0].Pace == 0 })
	})
}

func TestACarrierThatFallsInItsClimbBeginsAnew(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, got := outageRig(t, nil)
		r.falls(2*time.Minute, func() { r.floodAs("acme", 3000, nil) })
		time.Sleep(22 * time.Second) // half way up
		back := r.falls(3*time.Second, nil)
		time.Sleep(10 * time.Second)
		for i, want := range []int{50, 100} {
			from := back.Add(time.Duration(i) * 5 * time.Second)
			if n := got.between("a", "", from, from.Add(5*time.Second)); !near(n, want, 4) {
				t.Errorf("%d in step %d after the fall, want %d", n, i, want)
			}
		}
		if n := len(r.log.find(saysBack)); n != 2 {
			t.Errorf("%d returns are logged", n)
		}
		// While it is down it does not climb.
		r.refuse("a:1", true)
		steps := len(r.log.find(saysStep))
		time.Sleep(5 * time.Minute)
		if n := len(r.log.find(saysStep)); n != steps || len(r.log.find(saysWhole)) != 0 {
			t.Errorf("%d steps are logged while it is down", n-steps)
		}
	})
}

// TestOneCarrierOfARouteClimbsWhileTheOtherGoesOn: the one that stayed keeps its pace, the
// one that returned adds to it.
func TestOneCarrierOfARouteClimbsWhileTheOtherGoesOn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, got := outageRig(t, func(s *Setup) {
			s.Carriers = append(s.Carriers, carrierAt("b", "b:1"))
			s.Carriers[1].Throughput, s.Carriers[1].Burst = 50, 1
			s.Carriers[0].Recovery.HoldBulk = true
			s.Routes = []Route{{Name: "both", Carriers: []RouteCarrier{{Name: "a"}, {Name: "b"}}}}
		})
		r.carrierUp("b")
		r.mu.Lock()
		r.down["a:1"] = true
		r.smscs["a:1"].DropConnections()
		r.mu.Unlock()
		r.wait("a is down", func() bool { return r.gw.world.Load().carriers["a"].downSince.Load() != 0 })
		r.floodAs("acme", 11000, nil)
		r.floodAs("mass", 500, nil)
		time.Sleep(2 * time.Minute)
		r.refuse("a:1", false)
		r.carrierUp("a")
		back := time.Now()
		time.Sleep(15 * time.Second)
		for i, want := range []int{50, 100, 150} {
			from := back.Add(time.Duration(i) * 5 * time.Second)
			if n := got.between("a", "", from, from.Add(5*time.Second)); !near(n, want, want/10+4) {
				t.Errorf("%d in step %d, want %d", n, i, want)
			}
			if n := got.between("b", "", from, from.Add(5*time.Second)); n < 240 {
				t.Errorf("the other one sent %d in step %d, want the 250 of its pace", n, i)
			}
		}
		if n := got.between("a", "mass", back, time.Now()); n != 0 {
			t.Errorf("%d bulk messages went over the one that holds them", n)
		}
		if n := got.between("b", "mass", back, time.Now()); n == 0 {
			t.Error("no bulk message went over the one that does not")
		}
	})
}

// BenchmarkTurn is what a dispatcher's turn costs that finds nothing to do but to listen.
func BenchmarkTurn(b *testing.B) {
	g, _ := desked(b, false)
	d := &g.world.Load().carriers["a"].d
	b.ReportAllocs()
	for b.Loop() {
		d.now = d.now.Add(time.Microsecond)
		d.listen()
	}
}
