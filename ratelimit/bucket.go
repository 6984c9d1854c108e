package ratelimit

import (
	"math"
	"time"
)

// A Bucket lets perSecond tokens a second pass, and after rest up to burst at once. It
// starts full. The zero Bucket has no limit.
//
// It is a value to be kept under its owner's lock.
type Bucket struct {
	rate   float64 // tokens a second; 0: no limit
	burst  float64
	tokens float64 // below zero: debt of a take larger than what there was
	last   time.Time
}

// A caller that read the clock and then waited for the owner's lock comes with a time a
// little before the latest one. It gets no refill, and the bucket keeps its time: going
// back would refill the same moment twice. A clock that steps back further was set.
const clockJitter = time.Second

// A token that is short by a rounding error is a token.
const almost = 1e-6

// DefaultBurst is what an account may send at once when its burst is not configured: a
// tenth of a second's rate, at least 10.
func DefaultBurst(perSecond float64) float64 { return max(10, perSecond/10) }

// NewBucket has no limit when perSecond is 0 or less. burst 0 or less is DefaultBurst;
// below 1 it is 1, for nothing could pass otherwise.
func NewBucket(perSecond, burst float64) Bucket {
	b := Bucket{}
	b.configure(perSecond, burst)
	b.tokens = b.burst
	return b
}

func (b *Bucket) configure(perSecond, burst float64) {
	if !(perSecond > 0) || math.IsInf(perSecond, 1) {
		*b = Bucket{last: b.last}
		return
	}
	if !(burst > 0) {
		burst = DefaultBurst(perSecond)
	}
	b.rate, b.burst = perSecond, max(1, burst)
}

// Take takes n tokens and returns 0 if there is at least one; a take of more than there
// are leaves a debt that later takes wait for, so that the rate holds whatever n is.
// Else it takes none and returns how long until there is one. n of 0 or less takes none
// and is never refused.
func (b *Bucket) Take(now time.Time, n int) (wait time.Duration) {
	if b.rate == 0 || n <= 0 {
		return 0
	}
	b.refill(now, b.rate)
	if wait := b.until(b.rate); wait > 0 {
		return wait
	}
	b.tokens -= float64(n)
	return 0
}

// Wait says how long until Take would take; it takes nothing.
func (b *Bucket) Wait(now time.Time) time.Duration {
	if b.rate == 0 {
		return 0
	}
	b.refill(now, b.rate)
	return b.until(b.rate)
}

// Give puts back n tokens that were taken and not used.
func (b *Bucket) Give(n int) {
	if b.rate != 0 && n > 0 {
		b.tokens = min(b.burst, b.tokens+float64(n))
	}
}

// Set changes the limit from now on. A debt stays; what was saved up stays as far as
// the new burst has room. A bucket that had no limit starts full.
func (b *Bucket) Set(now time.Time, perSecond, burst float64) {
	if b.rate == 0 {
		*b = NewBucket(perSecond, burst)
		b.last = now
		return
	}
	b.refill(now, b.rate)
	b.configure(perSecond, burst)
	b.tokens = min(b.tokens, b.burst)
}

// refill adds what rate brought since the last call.
func (b *Bucket) refill(now time.Time, rate float64) {
	since := now.Sub(b.last)
	switch {
	case b.last.IsZero() || since < -clockJitter:
		b.last = now
	case since > 0:
		b.tokens = min(b.burst, b.tokens+since.Seconds()*rate)
		b.last = now
	}
}

// until is the time until there is one token at rate, rounded up so that whoever sleeps
// that long finds it.
func (b *Bucket) until(rate float64) time.Duration {
	if b.tokens >= 1-almost {
		return 0
	}
	return seconds((1 - b.tokens) / rate)
}

// seconds is s as a Duration, rounded up, within a Duration's range.
func seconds(s float64) time.Duration {
	if s >= math.MaxInt64/float64(time.Second) {
		return math.MaxInt64
	}
	return time.Duration(math.Ceil(s * float64(time.Second)))
}
