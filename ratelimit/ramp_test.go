package ratelimit

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

func rateAt(p *Pace, at time.Duration) float64 {
	p.Wait(epoch.Add(at))
	return p.Rate()
}

func TestAPaceClimbsStepByStep(t *testing.T) {
	const s = time.Second
	for _, row := range []struct {
		name  string
		o     PaceOptions
		ramp  RampOptions
		least float64
		want  map[time.Duration]float64 // the rate at a time after Ramp; 0: no limit
	}{
		{"defaults", PaceOptions{PerSecond: 400}, RampOptions{}, 0,
			map[time.Duration]float64{0: 40, 5*s - 1: 40, 5 * s: 80, 9 * s: 80, 10 * s: 120, 44 * s: 360, 45 * s: 400, time.Hour: 400}},
		{"own steps", PaceOptions{PerSecond: 100}, RampOptions{From: 0.5, Step: 0.25, Every: 2 * s}, 0,
			map[time.Duration]float64{0: 50, 2 * s: 75, 4 * s: 100}},
		{"a last step that is not whole", PaceOptions{PerSecond: 100}, RampOptions{From: 0.7, Step: 0.2, Every: s}, 0,
			map[time.Duration]float64{0: 70, s: 90, 2 * s: 100}},
		{"from all of it", PaceOptions{PerSecond: 100}, RampOptions{From: 1}, 0, map[time.Duration]float64{0: 100, s: 100}},
		{"never below one a second", PaceOptions{PerSecond: 5}, RampOptions{From: 0.01, Step: 0.1}, 0,
			map[time.Duration]float64{0: 1, 5 * s: 1.5}},
		{"but for a slower carrier its all", PaceOptions{PerSecond: 0.5}, RampOptions{}, 0, map[time.Duration]float64{0: 0.5}},
		{"no limit and nothing seen", PaceOptions{}, RampOptions{}, 0, map[time.Duration]float64{0: 1, 5 * s: 2, 40 * s: 9}},
		{"no limit, at least so much", PaceOptions{}, RampOptions{}, 200,
			map[time.Duration]float64{0: 20, 40 * s: 180, 45 * s: 200, 3 * time.Minute: 0}},
		{"options that make no sense", PaceOptions{PerSecond: 400}, RampOptions{From: math.NaN(), Step: -1, Every: -s}, 0,
			map[time.Duration]float64{0: 40, 5 * s: 80}},
		{"a step too small to end", PaceOptions{PerSecond: 100}, RampOptions{From: 0.5, Step: 1e-12, Every: s}, 0,
			map[time.Duration]float64{s: 51, 49 * s: 99, 50 * s: 100}},
	} {
		t.Run(row.name, func(t *testing.T) {
			for at, want := range row.want {
				p := NewPace(row.o)
				p.Take(epoch.Add(-time.Hour), 1)
				p.Ramp(epoch, row.ramp, row.least)
				if got := rateAt(p, at); math.Abs(got-want) > 1e-6*max(1, want) {
					t.Errorf("at %v the rate is %g, want %g", at, got, want)
				}
			}
		})
	}
}

func TestWhatGoesDuringAClimbIsTheSumOfItsSteps(t *testing.T) {
	p := NewPace(PaceOptions{PerSecond: 400})
	p.Take(epoch.Add(-time.Hour), 1)
	p.Ramp(epoch, RampOptions{}, 0)
	from := epoch
	for i, want := range []int{200, 400, 600, 800, 1000, 1200, 1400, 1600, 1800, 2000} {
		got := passed(t, p, from, 5*time.Second, 1, 0)
		if math.Abs(float64(got-want)) > 0.02*float64(want)+2 {
			t.Errorf("%d in step %d, want %d", got, i, want)
		}
		from = from.Add(5 * time.Second)
	}
}

func TestTheClimbOfAPaceWithoutLimitGoesToWhatWasSeen(t *testing.T) {
	p := NewPace(PaceOptions{})
	now := epoch
	for range 1500 { // 500 a second for three seconds
		p.Take(now, 1)
		now = now.Add(2 * time.Millisecond)
	}
	p.Take(now.Add(time.Second), 1) // then less
	if got := p.Busiest(); got < 490 || got > 510 {
		t.Fatalf("busiest second %g, want 500", got)
	}
	back := now.Add(8 * time.Hour) // however long it was down
	p.Ramp(back, RampOptions{}, 10)
	if got := p.Rate(); got < 49 || got > 51 {
		t.Errorf("it begins at %g, want 50", got)
	}
	if share, next := p.Climb(); share != 0.1 || !next.Equal(back.Add(5*time.Second)) {
		t.Errorf("share %g, next %v", share, next)
	}
	if p.Wait(back.Add(45 * time.Second)); math.Abs(p.Rate()-500) > 10 {
		t.Errorf("at its end %g, want 500", p.Rate())
	}
	last := p.Rate()
	for s := 46; s < 120 && p.Rate() != 0; s++ {
		p.Wait(back.Add(time.Duration(s) * time.Second))
		if r := p.Rate(); r != 0 && r < last {
			t.Fatalf("it fell from %g to %g", last, r)
		}
		last = p.Rate()
	}
	if p.Rate() != 0 || p.Slowed() {
		t.Errorf("two minutes later the limit is still %g", p.Rate())
	}
}

func TestWhatWasSeenFadesWithUseOnly(t *testing.T) {
	p := NewPace(PaceOptions{})
	now := epoch
	for range 1000 {
		p.Take(now, 1)
		now = now.Add(time.Millisecond)
	}
	p.Take(now.Add(busiestHalf), 1)
	p.Take(now.Add(busiestHalf+time.Second), 1)
	if got := p.Busiest(); got < 480 || got > 520 {
		t.Errorf("after %v it counts %g, want about 500", busiestHalf, got)
	}
}

func TestAThrottleDuringAClimbCutsAndPutsTheNextStepOff(t *testing.T) {
	p := NewPace(PaceOptions{PerSecond: 400})
	p.Take(epoch.Add(-time.Hour), 1)
	p.Ramp(epoch, RampOptions{From: 0.5, Step: 0.1, Every: 5 * time.Second}, 0)
	at := epoch.Add(4 * time.Second)
	if pause := p.Throttled(at); pause != 100*time.Millisecond {
		t.Errorf("paused for %v", pause)
	}
	if got := p.Rate(); math.Abs(got-140) > 0.1 {
		t.Errorf("cut to %g, want 140: 0.7 of the 200 of now", got)
	}
	p.Wait(epoch.Add(8900 * time.Millisecond))
	if share, next := p.Climb(); share != 0.5 || !next.Equal(at.Add(5*time.Second)) {
		t.Errorf("share %g, next step after %v, want it 5s after the throttle", share, next.Sub(at))
	}
	p.Wait(at.Add(5 * time.Second))
	if share, _ := p.Climb(); math.Abs(share-0.6) > 1e-9 {
		t.Errorf("share %g 5s after the throttle, want 0.6", share)
	}
	// One that does not count for the rate counts for the step.
	p.Throttled(at.Add(6 * time.Second))
	p.Throttled(at.Add(6500 * time.Millisecond))
	if _, next := p.Climb(); !next.Equal(at.Add(11500 * time.Millisecond)) {
		t.Errorf("next step after %v, want 11.5s", next.Sub(at))
	}
}

func TestAThrottleNeverHelpsAClimb(t *testing.T) {
	calm, hit := NewPace(PaceOptions{PerSecond: 400}), NewPace(PaceOptions{PerSecond: 400})
	for _, p := range []*Pace{calm, hit} {
		p.Take(epoch.Add(-time.Hour), 1)
		p.Ramp(epoch, RampOptions{}, 0)
	}
	for ms := 0; ms < 90_000; ms += 50 {
		now := epoch.Add(time.Duration(ms) * time.Millisecond)
		if ms == 7000 || ms == 21000 {
			hit.Throttled(now)
		}
		calm.Wait(now)
		hit.Wait(now)
		if hit.Rate() > calm.Rate()+1e-9 {
			t.Fatalf("at %v the throttled one has %g, the other %g", now.Sub(epoch), hit.Rate(), calm.Rate())
		}
	}
	if hit.Rate() != 400 {
		t.Errorf("90s later it has %g", hit.Rate())
	}
}

func TestACarrierThatThrottlesAllDuringAClimbKeepsTheFloor(t *testing.T) {
	p := NewPace(PaceOptions{PerSecond: 400})
	p.Take(epoch.Add(-time.Hour), 1)
	p.Ramp(epoch, RampOptions{}, 0)
	for s := range 60 {
		p.Throttled(epoch.Add(time.Duration(s) * time.Second))
		if got := p.Rate(); got < 20-1e-9 {
			t.Fatalf("after %ds the rate is %g, its floor 20", s, got)
		}
	}
	if share, _ := p.Climb(); share != 0.1 {
		t.Errorf("it climbed to %g between throttles", share)
	}
}

func TestARampUnderWayBeginsAnew(t *testing.T) {
	p := NewPace(PaceOptions{PerSecond: 100})
	p.Take(epoch.Add(-time.Hour), 1)
	p.Ramp(epoch, RampOptions{}, 0)
	if got := rateAt(p, 20*time.Second); math.Abs(got-50) > 1e-9 {
		t.Fatalf("rate %g", got)
	}
	p.Ramp(epoch.Add(20*time.Second), RampOptions{}, 0)
	if got := rateAt(p, 24*time.Second); math.Abs(got-10) > 1e-9 {
		t.Errorf("rate %g, want 10 again", got)
	}
}

func TestAClimbGivesNoBurst(t *testing.T) {
	p := NewPace(PaceOptions{PerSecond: 100, Burst: 500})
	p.Wait(epoch.Add(-time.Minute))
	p.Wait(epoch) // 500 saved up
	p.Ramp(epoch, RampOptions{}, 0)
	if got := passed(t, p, epoch, 100*time.Millisecond, 1, 0); got > 2 {
		t.Errorf("%d at once", got)
	}
	p.Wait(epoch.Add(4900 * time.Millisecond)) // at rest
	if got := passed(t, p, epoch.Add(4900*time.Millisecond), 10*time.Millisecond, 1, 0); got > 51 {
		t.Errorf("%d at once after rest, a tenth of the burst is 50", got)
	}
}

func TestOptionsThatChangeDuringAClimbKeepItsShare(t *testing.T) {
	for _, row := range []struct {
		name    string
		was, is float64
		want    float64 // at 7s: two steps of a tenth
		end     float64
	}{
		{"faster", 100, 400, 80, 400}, {"slower", 100, 50, 10, 50}, {"no limit any more", 100, 0, 20, 0}, {"a limit now", 0, 400, 80, 400},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := NewPace(PaceOptions{PerSecond: row.was})
			p.Take(epoch.Add(-time.Hour), 1)
			p.Ramp(epoch, RampOptions{}, 0)
			p.Set(epoch.Add(2*time.Second), PaceOptions{PerSecond: row.is})
			if got := rateAt(p, 7*time.Second); math.Abs(got-row.want) > 1e-6 {
				t.Errorf("rate %g, want %g", got, row.want)
			}
			if got := rateAt(p, 10*time.Minute); got != row.end {
				t.Errorf("at the end %g, want %g", got, row.end)
			}
		})
	}
}

func TestAClockSetDuringAClimb(t *testing.T) {
	p := NewPace(PaceOptions{PerSecond: 100})
	p.Take(epoch.Add(-time.Hour), 1)
	p.Ramp(epoch, RampOptions{}, 0)
	back := epoch.Add(-2 * time.Hour)
	p.Wait(back)
	if _, next := p.Climb(); next.Sub(back) > 5*time.Second {
		t.Fatalf("next step in %v", next.Sub(back))
	}
	p.Wait(back.Add(46 * time.Second))
	if p.Rate() != 100 {
		t.Errorf("rate %g 46s after the clock was set back", p.Rate())
	}
}

// Whatever happens in whatever order during climbs: the rate never exceeds what the climb
// allows by then, nor falls below the floor; what passes is bounded by the steps' sum; no
// wait has no end; and after peace there is no climb and full rate.
func TestAClimbHoldsItsBoundsUnderAnySequence(t *testing.T) {
	for seed := range uint64(400) {
		r := rand.New(rand.NewPCG(seed, 11))
		o := PaceOptions{PerSecond: []float64{0, 2, 10, 400, 5000}[r.IntN(5)]}
		ro := RampOptions{From: 0.05 + 0.5*r.Float64(), Step: 0.05 + 0.3*r.Float64(), Every: time.Duration(1+r.IntN(8)) * time.Second}
		p := NewPace(o)
		now := epoch
		var full, allowed, went float64 // allowed: the integral of the ceiling since Ramp
		var began time.Time
		last, steps := 0.0, 0
		ceiling := func() float64 { return min(1, max(ro.From, min(1, 1/full))+ro.Step*float64(steps)) }
		for range 800 {
			dt := time.Duration(r.Int64N(int64(300 * time.Millisecond)))
			before := now
			now = now.Add(dt)
			if full > 0 {
				for at := before; at.Before(now); {
					next := began.Add(time.Duration(steps+1) * ro.Every)
					end := now
					if !next.After(now) {
						end = next
					}
					allowed += ceiling() * full * end.Sub(at).Seconds()
					if at = end; end.Equal(next) {
						steps++
					}
				}
			}
			switch r.IntN(8) {
			case 0:
				p.Throttled(now)
			case 1:
				p.Answered(now)
			case 2:
				if full == 0 || r.IntN(20) == 0 {
					least := 10 + 300*r.Float64()
					p.Ramp(now, ro, least)
					if full = o.PerSecond; full == 0 {
						full = p.Rate() / max(p.share()*p.factor, min(p.o.Floor, p.share()))
					}
					began, steps, allowed, went, last = now, 0, 0, 0, 0
				}
			default:
				n := 1 + r.IntN(4)
				wait := p.Take(now, n)
				if _, next := p.Climb(); !next.IsZero() && wait > max(ro.Every, time.Second) {
					t.Fatalf("seed %d: wait %v, the next step is due before", seed, wait)
				}
				if wait == 0 {
					went += float64(n)
				}
			}
			if full == 0 {
				continue
			}
			p.Wait(now) // Answered takes no notice of the time
			share, next := p.Climb()
			if share < last && share != 1 {
				t.Fatalf("seed %d: the share fell from %g to %g", seed, last, share)
			}
			last = share
			if share > ceiling()+1e-9 {
				t.Fatalf("seed %d: share %g after %v, the steps allow %g", seed, share, now.Sub(began), ceiling())
			}
			if share == 1 {
				full = 0 // it is over: what follows TestPaceHoldsItsBounds asks
				continue
			}
			if rate := p.Rate(); rate > share*full*(1+1e-9) || rate < min(0.05, share)*full*(1-1e-9) {
				t.Fatalf("seed %d: rate %g at share %g of %g", seed, rate, share, full)
			}
			if !next.After(now) || next.Sub(now) > ro.Every {
				t.Fatalf("seed %d: next step in %v", seed, next.Sub(now))
			}
			burst := max(1, DefaultPaceBurst(full)*share)
			if most := allowed + burst + 5; went > most {
				t.Fatalf("seed %d: %g went, %g were allowed", seed, went, most)
			}
		}
		p.Wait(now.Add(30 * time.Minute))
		if share, next := p.Climb(); share != 1 || !next.IsZero() || p.Rate() != o.PerSecond {
			t.Fatalf("seed %d: after peace share %g, rate %g of %g", seed, share, p.Rate(), o.PerSecond)
		}
	}
}

func TestTheTimeOfAClimb(t *testing.T) {
	const s = time.Second
	climb := Climb{Full: 100, Share: 0.1, Next: 5 * s, Step: 0.1, Every: 5 * s} // 50, 100, ... 450 in its steps: 2,250
	for _, row := range []struct {
		name  string
		c     Climb
		parts float64
		want  time.Duration
	}{
		{"nothing", climb, 0, 0},
		{"within the first step", climb, 20, 2 * s},
		{"within the second", climb, 60, 5*s + s/2},
		{"just the climb", climb, 2250, 45 * s},
		{"beyond it", climb, 3250, 55 * s},
		{"a step that is half over", Climb{Full: 100, Share: 0.9, Next: 2 * s, Step: 0.1, Every: 5 * s}, 280, 3 * s},
		{"no climb", Climb{Full: 100, Share: 1}, 250, 2500 * time.Millisecond},
		{"no rate", Climb{Share: 1}, 1, math.MaxInt64},
		{"a step overdue", Climb{Full: 100, Share: 0.9, Next: -s, Step: 0.1, Every: s}, 100, s},
		{"more than there is time", Climb{Full: 1e-9, Share: 1}, 1e18, math.MaxInt64},
	} {
		if got := row.c.Time(row.parts); got != row.want && math.Abs(float64(got-row.want)) > 1e3 {
			t.Errorf("%s: %v, want %v", row.name, got, row.want)
		}
	}
}

// What a Climb says must be what a Pace does.
func TestAClimbAndItsPaceAgree(t *testing.T) {
	p := NewPace(PaceOptions{PerSecond: 400})
	p.Take(epoch.Add(-time.Hour), 1)
	o := RampOptions{From: 0.15, Step: 0.2, Every: 3 * time.Second}
	p.Ramp(epoch, o, 0)
	share, next := p.Climb()
	for _, d := range []time.Duration{time.Second, 4 * time.Second, 11 * time.Second, 20 * time.Second} {
		q := *p
		n := passed(t, &q, epoch, d, 1, 0)
		c := Climb{Full: 400, Share: share, Next: next.Sub(epoch), Step: o.Step, Every: o.Every}
		if got := c.Time(float64(n)); math.Abs(float64(got-d)) > 0.03*float64(d) {
			t.Errorf("%d parts pass in %v, Climb says %v", n, d, got)
		}
	}
}
