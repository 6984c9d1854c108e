package gateway

import (
	"slices"
	"sync"
	"time"

	"masar/queue"
)

// UncertainCause is why nobody knows whether a carrier has taken a submit_sm.
type UncertainCause uint8

// The causes.
const (
	TimedOut     UncertainCause = iota // no submit_sm_resp within the response time
	SessionEnded                       // the session ended before it
	Restarted                          // the process ended before it; routes with policy fail or hold only
	uncertainCauses
)

var uncertainNames = [uncertainCauses]string{"timeout", "session_ended", "restart"}

func (c UncertainCause) String() string { return uncertainNames[c] }

var policyNames = [...]string{"resend", "fail", "hold"}

func (u Uncertain) String() string { return policyNames[u] }

// mayBeSent tells whether a carrier has, or may have, something of a waiting message: then
// nobody can take it back.
func mayBeSent(c *queue.Claim) bool {
	return len(c.M.Answers) > 0 || c.M.Uncertain || c.Unsure != 0
}

// UncertainView is one submit_sm that had no answer, and what its route said to do.
type UncertainView struct {
	Message queue.ID
	Carrier string
	Cause   UncertainCause
	Policy  Uncertain
	At      time.Time
}

// uncertainMost is how many of the latest are listed; masar_uncertain_total counts all.
const uncertainMost = 1000

// uncertainList keeps the latest submits without an answer for an operator. Memory only.
type uncertainList struct {
	mu     sync.Mutex
	latest []UncertainView // a ring once it is full
	at     int
}

func (l *uncertainList) add(v UncertainView) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.latest) < uncertainMost {
		l.latest = append(l.latest, v)
		return
	}
	l.latest[l.at] = v
	l.at = (l.at + 1) % uncertainMost
}

// Uncertain lists the latest submits that had no answer, newest first.
func (g *Gateway) Uncertain() []UncertainView {
	l := &g.unsure
	l.mu.Lock()
	defer l.mu.Unlock()
	out := make([]UncertainView, 0, len(l.latest))
	out = append(append(out, l.latest[l.at:]...), l.latest[:l.at]...)
	slices.Reverse(out)
	return out
}
