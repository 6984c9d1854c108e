package ratelimit

import (
	"math"
	"time"
)

// RampOptions are how a pace climbs after an outage. A zero field takes its default.
type RampOptions struct {
	From  float64       // the share of the full rate it begins at, above 0, at most 1; default 0.1
	Step  float64       // the share it gains with each step, at least 0.01; default 0.1
	Every time.Duration // from one step to the next, and from a throttle to the next; default 5s
}

func (o RampOptions) withDefaults() RampOptions {
	if !(o.From > 0 && o.From <= 1) {
		o.From = 0.1
	}
	if !(o.Step > 0) {
		o.Step = 0.1
	}
	o.Step = min(max(o.Step, 0.01), 1)
	if o.Every <= 0 {
		o.Every = 5 * time.Second
	}
	return o
}

// leastRamped is what a climb begins at the least, in parts a second, where the full rate
// is more: one urgent message must not wait ten seconds for a token.
const leastRamped = 1.0

// A ramp is how far a pace has climbed. The zero ramp climbs nothing.
type ramp struct {
	o     RampOptions
	share float64   // of the full rate
	next  time.Time // of the next step; zero: it does not climb
}

func (r *ramp) on() bool { return !r.next.IsZero() }

// Ramp begins a climb, anew where one is under way: the rate is From of the full rate and
// gains Step of it each Every, until it is whole. A throttle does all that it does without
// a climb, and puts the next step off until Every after it.
//
// Where no limit is configured the full rate of the climb is the busiest second that was
// seen of late, at least least and 10 a second; once that is reached the limit grows and
// is lifted as after a throttle.
func (p *Pace) Ramp(now time.Time, o RampOptions, least float64) {
	p.advance(now)
	if p.o.PerSecond == 0 {
		p.limit(max(LeastMeasured, least, p.sent.usual()))
		p.factor = min(1, p.factor)
	}
	o = o.withDefaults()
	p.ramp = ramp{o: o, share: max(o.From, min(1, leastRamped/p.full))}
	if p.ramp.share < 1 {
		p.ramp.next = now.Add(o.Every)
	}
	p.limit(p.full)
	p.b.tokens = min(1, p.b.tokens)
}

// Climb is how far a climb has come, as of the last call that took a time: the share of
// the full rate, and when the next step is due. 1 and the zero time: there is none.
func (p *Pace) Climb() (share float64, next time.Time) { return p.share(), p.ramp.next }

// Busiest is the most parts that went in one second of late; what was long ago counts
// less. It does not fade while nothing goes.
func (p *Pace) Busiest() float64 { return p.sent.usual() }

func (p *Pace) share() float64 {
	if p.ramp.on() {
		return p.ramp.share
	}
	return 1
}

// step takes the next step of the climb.
func (p *Pace) step() {
	r := &p.ramp
	if r.share += r.o.Step; r.share >= 1-almost {
		p.ramp = ramp{}
	} else {
		r.next = r.next.Add(r.o.Every)
	}
	p.limit(p.full)
}

// A Climb is a rate that grows by steps, seen from outside: what a Pace will let pass.
type Climb struct {
	Full  float64       // parts a second at its end; 0 or less: nothing ever passes
	Share float64       // of Full, now; 1: there is no climb
	Next  time.Duration // until the next step
	Step  float64
	Every time.Duration
}

// Time is how long so many parts take.
func (c Climb) Time(parts float64) time.Duration {
	switch {
	case parts <= 0:
		return 0
	case !(c.Full > 0):
		return math.MaxInt64
	}
	took := 0.0
	share, next := c.Share, max(c.Next, 0).Seconds()
	for share > 0 && share < 1 && c.Step > 0 {
		rate := c.Full * share
		if parts <= rate*next {
			return seconds(took + parts/rate)
		}
		parts -= rate * next
		took += next
		share, next = share+max(c.Step, 0.01), c.Every.Seconds()
	}
	return seconds(took + parts/c.Full)
}
