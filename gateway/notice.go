package gateway

import (
	"context"
	"errors"
	"time"

	"masar/number"
	"masar/queue"
	"masar/service"
	"masar/smpp/pdu"
)

// A Notice is a message that the gateway makes itself: asked for over HTTP, a verification
// code, the answer to a keyword.
type Notice struct {
	Account  string         // system_id it is sent under: grants, room, weight, receipts are its
	Service  string         // code; empty only for plain accounts
	Number   number.E164    // or
	Person   service.Person // who then gets it at his number of now
	Source   string         // empty: the service's sender
	Text     string
	Template string        // service.Rendered.Template; kept with the message
	Once     []byte        // at most 64 octets: the same again from this account stores nothing; empty: each is new
	Receipt  bool          // the account's outbox gets a receipt
	Schedule time.Time     // zero: at once
	Validity time.Duration // 0: the service's, else the account's
	// System says that it is the gateway's own: consent, trial list and throughput are not
	// asked. A block of scope all still is.
	System bool
}

// A Trial is what would become of a Notice.
type Trial struct {
	Encoding  string      // "gsm7", "ucs2"
	Parts     []string    // the text of each, as the route's first carrier would be sent it
	Units     []int       // of each part: septets in gsm7, 16-bit units in ucs2
	Route     string      // name, else its carriers
	HoldUntil time.Time   // zero: it would leave at once
	Number    number.E164 // where it would go
}

// A SubmitError is a Notice that was not taken. Refusal tells why, as for a submit_sm;
// Status is what a client would have been answered; Detail names the value.
type SubmitError struct {
	Refusal Refusal
	Status  pdu.Status
	Detail  string
}

func (e *SubmitError) Error() string {
	if e.Detail == "" {
		return refusals[e.Refusal].rule
	}
	return refusals[e.Refusal].rule + ": " + e.Detail
}

// ErrNoAccount: a Notice names a system_id that the configuration does not have.
var ErrNoAccount = errors.New("no such account")

var errNotYet = errors.New("not yet")

// Submit takes a Notice as if the account had submitted it, bound or not, and returns when
// it is on disk. With a Once that is known it returns the earlier message's ID. What it
// refuses is a *SubmitError.
func (g *Gateway) Submit(ctx context.Context, n Notice) (queue.ID, error) { return 0, errNotYet }

// Try tells what Submit would do and stores nothing.
func (g *Gateway) Try(ctx context.Context, n Notice) (Trial, error) { return Trial{}, errNotYet }

// Message tells of a message of an account; queue.ErrUnknown when it has none such.
func (g *Gateway) Message(ctx context.Context, account string, id queue.ID) (queue.View, error) {
	a := g.world.Load().account(account)
	if a == nil {
		return queue.View{}, ErrNoAccount
	}
	return g.store.Find(ctx, a.number, id)
}
