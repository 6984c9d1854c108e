package smpp

import "time"

// Timers of a session (SMPP v3.4 section 7.2). Zero switches one off; they are kept to
// within a tick, which is a sixteenth of Response, at most a second.
type Timers struct {
	SessionInit time.Duration // from the connection to the bind request; for a client, to the bind's answer
	EnquireLink time.Duration // silence of the peer after which we send enquire_link
	Inactivity  time.Duration // the same, by its v3.4 name: silence is questioned before it ends a session
	Response    time.Duration // how long our own request may stay unanswered
}

// DefaultTimers are in use where nobody said otherwise.
var DefaultTimers = Timers{
	SessionInit: 10 * time.Second,
	EnquireLink: 30 * time.Second,
	Inactivity:  2 * time.Minute,
	Response:    10 * time.Second,
}

// Limits bound what one session may hold. A zero field takes its default.
type Limits struct {
	MaxPDU   int           // command_length accepted, octets; default 68 KiB: one full message_payload
	Window   int           // the peer's unanswered requests that are admitted; default 100
	Park     int           // further ones admitted; default Window, negative: none. Beyond: ESME_RTHROTTLED
	Send     int           // our own outstanding requests; default 10
	OutBytes int           // unwritten octets at which reading stops; default 256 KiB
	Unread   time.Duration // how long the peer may leave our octets unread before the session is closed; default 30 s
}

const (
	minInput     = 2 << 10  // an idle session's read buffer, octets
	busyInput    = 64 << 10 // a busy one's; it grows further only for a longer PDU
	restAfter    = time.Minute
	lingerFor    = time.Second // for the peer to read our last PDU before the socket goes
	lingerOctets = 1 << 20
)

func (l Limits) withDefaults() Limits {
	set := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	set(&l.MaxPDU, 68<<10)
	set(&l.Window, 100)
	set(&l.Park, l.Window)
	set(&l.Send, 10)
	set(&l.OutBytes, 256<<10)
	l.Park = max(l.Park, 0)
	l.MaxPDU = max(l.MaxPDU, 16)
	if l.Unread == 0 {
		l.Unread = 30 * time.Second
	}
	return l
}

// tick is how coarse the timers are.
func (t Timers) tick() time.Duration {
	tick := time.Second
	for _, d := range [...]time.Duration{t.SessionInit, t.EnquireLink, t.Inactivity, t.Response} {
		if d > 0 {
			tick = min(tick, d/16)
		}
	}
	return max(tick, time.Millisecond)
}
