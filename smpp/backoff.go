package smpp

import (
	"errors"
	"time"

	"masar/smpp/pdu"
)

// Backoff is how a client waits between attempts to bind. A zero field takes its default
// in DefaultBackoff.
type Backoff struct {
	Min, Max     time.Duration // the first wait, and the longest
	Factor       float64       // a wait's ratio to the one before
	Jitter       float64       // share of a wait that is random, 0..1: a wait of 10 s and 0.2 is 8 s to 12 s
	Refused      time.Duration // after ESME_RINVPASWD or ESME_RINVSYSID: only a person cures it, and carriers lock accounts
	AlreadyBound time.Duration // after ESME_RALYBND: the carrier still holds our last session
}

// DefaultBackoff is in use where nobody said otherwise.
var DefaultBackoff = Backoff{
	Min: time.Second, Max: time.Minute, Factor: 2, Jitter: 0.2,
	Refused: 5 * time.Minute, AlreadyBound: 20 * time.Second,
}

func (b Backoff) withDefaults() Backoff {
	d := DefaultBackoff
	if b.Min <= 0 {
		b.Min = d.Min
	}
	if b.Max <= 0 {
		b.Max = max(d.Max, b.Min)
	}
	if b.Factor < 1 {
		b.Factor = d.Factor
	}
	if b.Jitter <= 0 || b.Jitter > 1 {
		b.Jitter = d.Jitter
	}
	if b.Refused <= 0 {
		b.Refused = d.Refused
	}
	if b.AlreadyBound <= 0 {
		b.AlreadyBound = d.AlreadyBound
	}
	return b
}

// Wait is the time until the next attempt, after the given number of failures in a row
// (1 and up) the last of which was cause. random is in [0, 1).
func (b Backoff) Wait(failures int, cause error, random float64) time.Duration {
	wait := b.Min
	for range failures - 1 {
		if wait = time.Duration(float64(wait) * b.Factor); wait >= b.Max {
			break
		}
	}
	wait = min(wait, b.Max)
	var refused *BindError
	if errors.As(cause, &refused) {
		switch refused.Status {
		case pdu.ESME_RINVPASWD, pdu.ESME_RINVSYSID:
			wait = max(wait, b.Refused)
		case pdu.ESME_RALYBND:
			wait = max(wait, b.AlreadyBound)
		}
	}
	// The jitter is centred, so that many clients cut off at once spread to both sides.
	return max(wait+time.Duration(b.Jitter*(2*random-1)*float64(wait)), time.Millisecond)
}
