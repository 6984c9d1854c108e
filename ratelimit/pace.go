package ratelimit

import (
	"math"
	"time"
)

// PaceOptions are a carrier's pace. A zero field takes its default.
type PaceOptions struct {
	PerSecond float64 // submit_sm a second over all binds; 0: no limit until the carrier throttles
	Burst     float64 // parts at once after rest; default DefaultPaceBurst

	Floor float64       // never below this fraction of the full rate; default 0.05
	Cut   float64       // a throttle leaves this fraction of the current rate; default 0.7
	Hold  time.Duration // throttles within it count once, and nothing climbs for as long after one; default 1s
	Climb float64       // fraction of the full rate regained each second; default 0.05
	Pause time.Duration // nothing goes for this long after a throttle; default 100ms
}

// DefaultPaceBurst is one, and what is missed by a dispatcher that comes 20 ms late. A
// carrier counts what arrives: the burst that an account may have would be answered with
// throttles there, and exactly one at a low rate would lose the lateness of each wake.
func DefaultPaceBurst(perSecond float64) float64 { return 1 + perSecond/50 }

// LeastMeasured is where a pace without limit starts at the least, in parts a second.
const LeastMeasured = 10.0

const (
	liftedAt  = 10.0 // a measured rate is no limit any more at this multiple of it
	maxStreak = 6    // doublings of Pause
	quiet     = 3    // so many Holds without a throttle end a streak as an answer does
)

func (o PaceOptions) withDefaults() PaceOptions {
	if !(o.PerSecond > 0) || math.IsInf(o.PerSecond, 1) {
		o.PerSecond = 0
	}
	if !(o.Floor > 0 && o.Floor <= 1) {
		o.Floor = 0.05
	}
	if !(o.Cut > 0 && o.Cut < 1) {
		o.Cut = 0.7
	}
	if o.Hold <= 0 {
		o.Hold = time.Second
	}
	if !(o.Climb > 0) {
		o.Climb = 0.05
	}
	if o.Pause <= 0 {
		o.Pause = 100 * time.Millisecond
	}
	return o
}

// A Pace is a carrier's token bucket whose rate falls when the carrier throttles and
// climbs back by itself, never to zero. All binds of the carrier share it; tokens are
// parts. It is to be kept under its owner's lock.
//
// The rate is full x factor x share. With a configured limit, full is that limit and
// factor at most 1. share is below 1 only during a climb (ramp.go). Without one there is no rate (full 0) until the first throttle: then full is
// what went in the second before it, factor climbs past 1, ever faster, and at liftedAt
// the limit is gone again.
type Pace struct {
	o      PaceOptions
	b      Bucket // b.rate is unused: refills go by rate()
	full   float64
	factor float64

	cut       time.Time // the latest throttle that counted
	throttled time.Time // the latest throttle
	paused    time.Time // nothing goes before
	streak    int       // throttles that counted since the last answer that was none

	at   time.Time // factor is as of then
	sent meter
	ramp ramp
}

// NewPace starts at full rate with one token: a process that restarts often must not
// send a burst each time.
func NewPace(o PaceOptions) *Pace {
	p := &Pace{o: o.withDefaults(), factor: 1}
	p.limit(p.o.PerSecond)
	p.b.tokens = min(1, p.b.burst)
	return p
}

// limit sets the full rate and the burst that goes with it and with how far a climb has come.
func (p *Pace) limit(full float64) {
	p.full = full
	p.b.burst = p.o.Burst
	if !(p.b.burst > 0) {
		p.b.burst = DefaultPaceBurst(full)
	}
	p.b.burst = max(1, p.b.burst*p.share())
	p.b.tokens = min(p.b.tokens, p.b.burst)
}

func (p *Pace) rate() float64 {
	if p.ramp.on() {
		// Throttled at the foot of a climb it still keeps the floor of any other time.
		return p.full * max(p.factor*p.ramp.share, min(p.o.Floor, p.ramp.share))
	}
	return p.full * p.factor
}

// Rate is the current limit in parts a second, as of the last call that took a time; 0:
// there is none.
func (p *Pace) Rate() float64 { return p.rate() }

// Slowed is whether the rate is below what is configured because the carrier throttled, or
// because what was measured is the limit still.
func (p *Pace) Slowed() bool { return p.full > 0 && (p.o.PerSecond == 0 || p.factor < 1) }

// Take takes n tokens and returns 0 if there is at least one and the carrier is not
// paused; else it takes none and returns how long until there is. More parts than tokens
// leave a debt.
func (p *Pace) Take(now time.Time, n int) (wait time.Duration) {
	if n <= 0 {
		return 0
	}
	if wait := p.Wait(now); wait > 0 {
		return wait
	}
	if p.full > 0 {
		p.b.tokens -= float64(n)
	}
	p.sent.add(now, float64(n))
	return 0
}

// Wait says how long until Take would take, or until a climb's next step makes that
// sooner; it takes nothing.
func (p *Pace) Wait(now time.Time) time.Duration {
	p.advance(now)
	wait := max(0, p.paused.Sub(now))
	if p.full > 0 {
		token := p.b.until(p.rate())
		if p.ramp.on() {
			token = min(token, max(p.ramp.next.Sub(now), 1))
		}
		wait = max(wait, token)
	}
	return wait
}

// Give puts back n tokens that were taken and not used.
func (p *Pace) Give(n int) {
	if n <= 0 {
		return
	}
	p.sent.take(float64(n))
	if p.full > 0 {
		p.b.tokens = min(p.b.burst, p.b.tokens+float64(n))
	}
}

// Throttled takes note of ESME_RTHROTTLED, ESME_RMSGQFUL or the carrier's own word for
// it, and returns for how long nothing goes: Pause, doubled for each throttle that
// counts while the carrier answers nothing else, at most Hold.
//
// A window of answers that were all on their way says one thing once: throttles within
// Hold of the one that counted do not count. They do keep the rate from climbing.
func (p *Pace) Throttled(now time.Time) (pause time.Duration) {
	p.advance(now)
	if now.Sub(p.throttled) > quiet*p.o.Hold {
		p.streak = 0
	}
	p.throttled = later(p.throttled, now)
	if p.ramp.on() {
		p.ramp.next = later(p.ramp.next, now.Add(p.ramp.o.Every))
	}
	if !p.cut.IsZero() && within(now.Sub(p.cut), p.o.Hold) {
		return max(0, p.paused.Sub(now))
	}
	p.cut = now
	if p.o.PerSecond == 0 && (p.full == 0 || p.factor > 1) {
		// Unlimited, or so far above what was measured that it is to be measured again.
		measured := p.sent.lastSecond(now)
		if p.full > 0 {
			measured = min(measured, p.rate())
		}
		p.limit(max(LeastMeasured, measured))
		p.factor = 1
	}
	p.factor = max(p.o.Floor, p.factor*p.o.Cut)
	p.b.tokens = min(0, p.b.tokens)

	pause = min(p.o.Pause<<min(p.streak, maxStreak), p.o.Hold)
	p.streak++
	p.paused = now.Add(pause)
	return pause
}

// Answered takes note of an answer that was no throttle.
func (p *Pace) Answered(_ time.Time) {
	p.streak = 0
}

// Set changes the options from now on. How far the carrier had slowed down stays, as a
// fraction; a debt stays.
func (p *Pace) Set(now time.Time, o PaceOptions) {
	p.advance(now)
	o = o.withDefaults()
	was := p.o.PerSecond
	p.o = o
	switch {
	case o.PerSecond > 0:
		p.factor = min(1, p.factor)
		p.limit(o.PerSecond)
	case was > 0 && p.factor == 1 && !p.ramp.on():
		p.limit(0)
	case was > 0:
		p.limit(was) // no limit from now on, once the throttle is climbed out of
	default:
		p.limit(p.full)
	}
	p.factor = max(p.o.Floor, p.factor)
}

// advance brings the factor and the tokens to now. The factor holds still until Hold
// after the latest throttle, then climbs: by Climb a second up to 1, and past 1 (only
// where the full rate was measured) by twice Climb of itself a second.
//
// A climb's steps on the way are taken each at its time.
func (p *Pace) advance(now time.Time) {
	for p.ramp.on() && !now.Before(p.ramp.next) {
		p.advanceTo(p.ramp.next)
		p.step()
	}
	p.advanceTo(now)
}

func (p *Pace) advanceTo(now time.Time) {
	from := p.at
	if step := now.Sub(from); from.IsZero() || step < -clockJitter {
		p.reset(now)
		return
	} else if step <= 0 {
		return
	}
	p.at = now
	if p.full == 0 {
		return
	}
	before := p.rate()
	if start := p.throttled.Add(p.o.Hold); p.Slowed() && now.After(start) {
		p.climb(now.Sub(later(from, start)).Seconds())
	}
	// The factor's mean over the step, but for its last bend: an error of a fraction of
	// Climb x step.
	p.b.refill(now, (before+p.rate())/2)
}

// reset takes now as it is after the clock was set back, which must not freeze the
// carrier until the old time is reached again.
func (p *Pace) reset(now time.Time) {
	if p.paused.After(now) {
		p.paused = now.Add(min(p.paused.Sub(now), p.o.Hold))
	}
	if p.throttled.After(now) {
		p.throttled = now
	}
	if p.cut.After(now) {
		p.cut = now
	}
	if p.ramp.on() && p.ramp.next.Sub(now) > p.ramp.o.Every {
		p.ramp.next = now.Add(p.ramp.o.Every)
	}
	p.at, p.b.last = now, now
}

func (p *Pace) climb(s float64) {
	if p.factor < 1 {
		need := (1 - p.factor) / p.o.Climb
		if s < need {
			p.factor += s * p.o.Climb
			return
		}
		p.factor = 1
		s -= need
	}
	if p.o.PerSecond > 0 || p.ramp.on() {
		return
	}
	if p.factor *= math.Exp(2 * p.o.Climb * s); p.factor >= liftedAt {
		p.limit(0)
		p.factor = 1
	}
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// within is whether a moment that long ago, or a little in the future, is inside d.
func within(ago, d time.Duration) bool { return ago < d && ago > -d }
