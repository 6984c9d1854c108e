package smpp

import "time"

// clockwork decides what a session's timers ask for. It holds no clock: every time is the
// span since the session's connection was accepted.
type clockwork struct {
	Timers
	bound    bool
	heardAt  time.Duration // the last whole PDU came
	probedAt time.Duration // our enquire_link went out; 0: nothing is being asked
	unbindAt time.Duration // our unbind went out; 0: none did
}

type demand uint8

const (
	demandNothing demand = iota
	demandProbe          // send enquire_link
	demandInit           // end: no bind in time
	demandDead           // end: silent, and our enquire_link stays unanswered
	demandUnbind         // end: our unbind stays unanswered
)

// forever is the next turn of a clockwork with nothing to wait for.
const forever = time.Duration(1<<63 - 1)

// heard notes a whole PDU. Octets of an unfinished one do not count: a peer that sends
// one octet a second is silent.
func (c *clockwork) heard(now time.Duration) {
	c.heardAt = now
	c.probedAt = 0
}

// turn says what is due at now and when to ask again. A demandProbe is noted as done.
func (c *clockwork) turn(now time.Duration) (demand, time.Duration) {
	if !c.bound {
		if c.SessionInit <= 0 {
			return demandNothing, forever
		}
		if now >= c.SessionInit {
			return demandInit, now
		}
		return demandNothing, c.SessionInit
	}
	if c.unbindAt > 0 {
		if now >= c.unbindAt+c.grace() {
			return demandUnbind, now
		}
		return demandNothing, c.unbindAt + c.grace()
	}
	if c.probedAt > 0 {
		if now >= c.probedAt+c.grace() {
			return demandDead, now
		}
		return demandNothing, c.probedAt + c.grace()
	}
	quiet := c.quiet()
	if quiet == 0 {
		return demandNothing, forever
	}
	if now >= c.heardAt+quiet {
		c.probedAt = now
		return demandProbe, now + c.grace()
	}
	return demandNothing, c.heardAt + quiet
}

// quiet is the silence after which the peer is asked; 0: never.
func (c *clockwork) quiet() time.Duration {
	switch {
	case c.EnquireLink <= 0:
		return max(c.Inactivity, 0)
	case c.Inactivity <= 0:
		return c.EnquireLink
	default:
		return min(c.EnquireLink, c.Inactivity)
	}
}

// grace is how long enquire_link and unbind wait for their answer. Without a response
// timer they still need one: half-open connections are found by nothing else.
func (c *clockwork) grace() time.Duration {
	if c.Response > 0 {
		return c.Response
	}
	return DefaultTimers.Response
}
