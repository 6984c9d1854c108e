package ratelimit

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// run drives a pace against a carrier that answers at once and throttles what exceeds
// its own bucket, and returns what it accepted and what it throttled in each second.
func run(p *Pace, carrier *Bucket, from time.Time, seconds int) (accepted, throttled []int) {
	accepted, throttled = make([]int, seconds), make([]int, seconds)
	end := from.Add(time.Duration(seconds) * time.Second)
	for now := from; now.Before(end); {
		if wait := p.Take(now, 1); wait > 0 {
			now = now.Add(wait)
			continue
		}
		s := int(now.Sub(from) / time.Second)
		if carrier.Take(now, 1) == 0 {
			accepted[s]++
			p.Answered(now)
		} else {
			throttled[s]++
			p.Throttled(now)
		}
		now = now.Add(50 * time.Microsecond) // what a carrier without limit takes to send
	}
	return accepted, throttled
}

func sum(v []int) (n int) {
	for _, x := range v {
		n += x
	}
	return n
}

func TestPaceFallsOnThrottleAndClimbsBackByItself(t *testing.T) {
	p := NewPace(PaceOptions{PerSecond: 400})
	p.Take(epoch, 1)
	at := func(d time.Duration) float64 { p.Wait(epoch.Add(d)); return p.Rate() }
	if got := at(time.Second); got != 400 {
		t.Fatalf("before: %g", got)
	}
	p.Throttled(epoch.Add(time.Second))
	for _, row := range []struct {
		at   time.Duration
		want float64
	}{
		{time.Second, 280}, {1900 * time.Millisecond, 280}, {2 * time.Second, 280}, // holds
		{3 * time.Second, 300}, {5 * time.Second, 340}, {8 * time.Second, 400}, {time.Hour, 400},
	} {
		if got := at(row.at); math.Abs(got-row.want) > 0.5 {
			t.Errorf("at %v the rate is %g, want %g", row.at, got, row.want)
		}
	}
	if p.Slowed() {
		t.Error("back at full rate, yet slowed")
	}
}

func TestAWindowOfThrottlesCountsOnce(t *testing.T) {
	p := NewPace(PaceOptions{PerSecond: 400})
	for i := range 200 {
		p.Throttled(epoch.Add(time.Duration(i) * 4 * time.Millisecond))
	}
	if got := p.Rate(); got != 280 {
		t.Errorf("200 throttles within 800ms leave %g, want one cut to 280", got)
	}
	p.Throttled(epoch.Add(1001 * time.Millisecond))
	if got := p.Rate(); math.Abs(got-196) > 1 {
		t.Errorf("a throttle after the hold leaves %g, want 196", got)
	}
	// It climbs a hold after the last one, also when that one did not count.
	p.Throttled(epoch.Add(1900 * time.Millisecond))
	p.Wait(epoch.Add(2800 * time.Millisecond))
	if got := p.Rate(); math.Abs(got-196) > 1 {
		t.Errorf("%g at 0.9s after the latest throttle, want it to hold still", got)
	}
}

func TestPaceNeverFallsToZero(t *testing.T) {
	for _, row := range []struct {
		name string
		o    PaceOptions
		min  float64
	}{
		{"limit", PaceOptions{PerSecond: 400}, 20},
		{"small limit", PaceOptions{PerSecond: 1}, 0.05},
		{"no limit", PaceOptions{}, 0.5},
		{"own floor", PaceOptions{PerSecond: 100, Floor: 0.5}, 50},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := NewPace(row.o)
			now, sent := epoch, 0
			for now.Before(epoch.Add(10 * time.Minute)) {
				wait := p.Take(now, 1)
				if wait > time.Minute {
					t.Fatalf("told to wait %v", wait)
				}
				if wait > 0 {
					now = now.Add(wait)
					continue
				}
				sent++
				if pause := p.Throttled(now); pause > time.Second {
					t.Fatalf("paused for %v", pause)
				}
				if p.Rate() < row.min*0.999 {
					t.Fatalf("the rate fell to %g, below its floor %g", p.Rate(), row.min)
				}
			}
			if least := int(min(row.min, 0.9) * 600 * 0.9); sent < least {
				t.Errorf("a carrier that throttles everything was asked %d times in 10 minutes, want at least %d", sent, least)
			}
		})
	}
}

func TestPauseDoublesWhileNothingElseIsAnswered(t *testing.T) {
	p := NewPace(PaceOptions{PerSecond: 100})
	const ms = time.Millisecond
	now := epoch
	for i, want := range []time.Duration{100 * ms, 200 * ms, 400 * ms, 800 * ms, 1000 * ms, 1000 * ms} {
		if got := p.Throttled(now); got != want {
			t.Errorf("pause %d is %v, want %v", i, got, want)
		}
		if wait := p.Take(now.Add(10*ms), 1); wait < want-10*ms {
			t.Errorf("pause %d: 10ms into it the wait is %v", i, wait)
		}
		now = now.Add(time.Second)
	}
	p.Answered(now)
	if got := p.Throttled(now); got != 100*ms {
		t.Errorf("after an answer the pause is %v, want 100ms", got)
	}
	p.Throttled(now.Add(time.Second))
	if got := p.Throttled(now.Add(4500 * ms)); got != 100*ms {
		t.Errorf("after three seconds without a throttle the pause is %v, want 100ms", got)
	}
}

func TestPaceFollowsACarrierSlowerThanConfigured(t *testing.T) {
	for _, row := range []struct {
		name             string
		configured, real float64
		least            float64 // of the carrier's real rate, from 10s on
	}{
		{"half", 400, 200, 0.75},
		{"a tenth", 1000, 100, 0.6},
		{"no limit configured", 0, 150, 0.75},
		{"no limit configured, fast carrier", 0, 3000, 0.75},
	} {
		t.Run(row.name, func(t *testing.T) {
			carrier := NewBucket(row.real, row.real/10)
			accepted, throttled := run(NewPace(PaceOptions{PerSecond: row.configured}), &carrier, epoch, 120)
			got := float64(sum(accepted[10:])) / 110
			if got < row.least*row.real {
				t.Errorf("%.1f accepted a second of %g it could take", got, row.real)
			}
			// One throttle and what it takes to notice: no storm.
			if refused := sum(throttled[10:]); float64(refused) > 0.05*float64(sum(accepted[10:])) {
				t.Errorf("%d throttled beside %d accepted", refused, sum(accepted[10:]))
			}
		})
	}
}

func TestPaceWithoutLimitStartsFromTheMeasuredRateAndIsFreeAgain(t *testing.T) {
	p := NewPace(PaceOptions{})
	now := epoch
	for range 1000 { // 500 a second for two seconds
		if wait := p.Take(now, 1); wait != 0 {
			t.Fatal("no limit, yet refused")
		}
		now = now.Add(2 * time.Millisecond)
	}
	if p.Rate() != 0 || p.Slowed() {
		t.Fatalf("rate %g before any throttle", p.Rate())
	}
	p.Throttled(now)
	if got := p.Rate(); got < 0.7*450 || got > 0.7*510 {
		t.Errorf("cut to %g, want 0.7 of the 500 a second measured", got)
	}
	sent := passed(t, p, now, time.Second, 1, 0)
	if sent < 280 || sent > 360 {
		t.Errorf("%d in the second after the throttle, want about 0.9 of 350", sent)
	}
	last := p.Rate()
	for s := 1; s <= 60 && p.Rate() != 0; s++ {
		p.Wait(now.Add(time.Duration(s) * time.Second))
		if r := p.Rate(); r != 0 && r < last {
			t.Fatalf("fell from %g to %g by itself", last, r)
		}
		last = p.Rate()
	}
	if p.Rate() != 0 || p.Slowed() {
		t.Errorf("a minute later the limit is still %g", p.Rate())
	}
}

func TestGivenTokensAreNotMeasured(t *testing.T) {
	p := NewPace(PaceOptions{})
	now := epoch
	for range 2000 {
		p.Take(now, 1)
		if now = now.Add(time.Millisecond); now.UnixMilli()%2 == 0 {
			p.Give(1)
		}
	}
	p.Throttled(now)
	if got := p.Rate() / 0.7; got < 440 || got > 520 {
		t.Errorf("measured %g, want about 500: half of 1000 a second was given back", got)
	}
}

func TestSetKeepsHowFarTheCarrierHadSlowedDown(t *testing.T) {
	for _, row := range []struct {
		name      string
		was, is   float64
		throttled bool
		want      float64
	}{
		{"faster", 400, 800, true, 560},
		{"slower", 400, 100, true, 70},
		{"limit lifted while slowed", 400, 0, true, 280},
		{"limit lifted", 400, 0, false, 0},
		{"limit set while measured", 0, 100, true, 70},
		{"limit set", 0, 100, false, 100},
		{"still none", 0, 0, true, 7},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := NewPace(PaceOptions{PerSecond: row.was})
			p.Take(epoch, 1)
			if row.throttled {
				p.Throttled(epoch)
			}
			p.Set(epoch, PaceOptions{PerSecond: row.is})
			if got := p.Rate(); math.Abs(got-row.want) > 1e-6 {
				t.Errorf("rate %g, want %g", got, row.want)
			}
			p.Wait(epoch.Add(5 * time.Minute))
			if got := p.Rate(); got != row.is {
				t.Errorf("rate %g five minutes later, want %g", got, row.is)
			}
		})
	}
}

func TestAClockSetBackDoesNotStopTheCarrier(t *testing.T) {
	p := NewPace(PaceOptions{PerSecond: 100})
	p.Take(epoch, 1)
	p.Throttled(epoch)
	back := epoch.Add(-2 * time.Hour)
	if wait := p.Take(back, 1); wait > time.Second {
		t.Errorf("told to wait %v", wait)
	}
	if got := passed(t, p, back, 20*time.Second, 1, 0); got < 1500 {
		t.Errorf("%d in the 20s after, want about 1,900", got)
	}
	if p.Rate() != 100 {
		t.Errorf("rate %g, want 100 again", p.Rate())
	}
}

// Whatever happens in whatever order: no wait without end, no rate above the limit or
// below the floor, and after a minute of peace full rate.
func TestPaceHoldsItsBoundsUnderAnySequence(t *testing.T) {
	for seed := range uint64(300) {
		r := rand.New(rand.NewPCG(seed, 7))
		o := PaceOptions{PerSecond: []float64{0, 1, 10, 400, 5000}[r.IntN(5)]}
		p := NewPace(o)
		now := epoch
		for range 500 {
			now = now.Add(time.Duration(r.Int64N(int64(300*time.Millisecond))) - 2*time.Millisecond)
			switch r.IntN(6) {
			case 0:
				if pause := p.Throttled(now); pause < 0 || pause > time.Second {
					t.Fatalf("seed %d: pause %v", seed, pause)
				}
			case 1:
				p.Answered(now)
			case 2:
				p.Give(r.IntN(3))
			default:
				if wait := p.Take(now, 1+r.IntN(10)); wait > 10*time.Minute {
					t.Fatalf("seed %d: wait %v", seed, wait)
				}
			}
			if rate := p.Rate(); o.PerSecond > 0 && (rate > o.PerSecond || rate < 0.049*o.PerSecond) {
				t.Fatalf("seed %d: rate %g of %g", seed, rate, o.PerSecond)
			}
		}
		p.Wait(now.Add(time.Minute))
		if p.Rate() != o.PerSecond {
			t.Fatalf("seed %d: rate %g of %g after a minute of peace", seed, p.Rate(), o.PerSecond)
		}
	}
}

func BenchmarkPaceTake(b *testing.B) {
	for _, row := range []struct {
		name string
		o    PaceOptions
		hit  bool
	}{{"limit", PaceOptions{PerSecond: 1e6}, false}, {"slowed", PaceOptions{PerSecond: 1e6, Hold: 1, Climb: 1e-9}, true}, {"no limit", PaceOptions{}, false}} {
		b.Run(row.name, func(b *testing.B) {
			p := NewPace(row.o)
			now := epoch
			p.Take(now, 1)
			if row.hit {
				p.Throttled(now)
			}
			b.ReportAllocs()
			for b.Loop() {
				now = now.Add(time.Microsecond)
				p.Take(now, 1)
			}
		})
	}
}
