package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"masar/gateway"
	"masar/queue"
	"masar/service/campaign"
)

// Halts is how the API holds messages back; *gateway.Gateway does it.
type Halts interface {
	Halt(ctx context.Context, s gateway.Scope, by, reason string) (gateway.Halt, error)
	Halts() []gateway.Halt
	HaltsOver(account, service string, job queue.Job) []gateway.Halt
	Resume(ctx context.Context, id, by string) (gateway.Halt, error)
	CancelHalted(ctx context.Context, id, by string) (cancelled int64, err error)
	CountScope(ctx context.Context, s gateway.Scope, since time.Time) (gateway.HaltCount, error)
}

// HaltScope says which messages are held back: those that agree with all that is set.
type HaltScope struct {
	All      bool   `json:"all,omitempty" doc:"everything; alone"`
	Service  string `json:"service,omitempty" maxLength:"5" doc:"code of the catalogue"`
	Agency   string `json:"agency,omitempty" maxLength:"64" doc:"code of the catalogue"`
	Account  string `json:"account,omitempty" maxLength:"15" doc:"system_id; a key with an account halts its own alone, and need not name it"`
	Sender   string `json:"sender,omitempty" maxLength:"20"`
	Campaign uint64 `json:"campaign,omitempty" doc:"its id"`
	Class    string `json:"class,omitempty" enum:"urgent,normal,bulk"`
	Carrier  string `json:"carrier,omitempty" maxLength:"64" doc:"by which they would leave"`
}

// HaltRequest holds messages back.
type HaltRequest struct {
	HaltScope
	Reason string     `json:"reason,omitempty" maxLength:"200" doc:"for who finds it"`
	Since  *time.Time `json:"since,omitempty" doc:"from when the ended ones are counted; absent: the last 24 hours"`
	DryRun bool       `json:"dry_run,omitempty" doc:"count, and hold nothing back"`
}

// HaltRow is a halt in force.
type HaltRow struct {
	ID        string    `json:"id"`
	Scope     HaltScope `json:"scope"`
	By        string    `json:"by" doc:"who asked for it: name of a key, cli:NAME, admin"`
	Reason    string    `json:"reason,omitempty"`
	Since     time.Time `json:"since"`
	Cancelled int64     `json:"cancelled" doc:"messages that it has ended so far"`
}

// HaltCounts is what there is in a scope.
type HaltCounts struct {
	Waiting   int64     `json:"waiting" doc:"would leave next"`
	Aside     int64     `json:"aside" doc:"scheduled, held, or between two tries"`
	OnWire    int64     `json:"on_wire" doc:"at a carrier that has not answered yet: they cannot be called back"`
	Sent      int64     `json:"sent" doc:"taken by a carrier, without a receipt yet"`
	Ended     int64     `json:"ended" doc:"since ended_since"`
	Delivered int64     `json:"delivered" doc:"of these, the delivered ones"`
	Since     time.Time `json:"ended_since"`
}

// HaltAnswer is a halt, or with dry_run what it would hold, and what its scope holds.
type HaltAnswer struct {
	Halt      *HaltRow    `json:"halt,omitempty" doc:"absent where dry_run asked for a new one"`
	Cancelled *int64      `json:"cancelled,omitempty" doc:"cancel: messages that ended DELETED now"`
	Counts    *HaltCounts `json:"counts,omitempty" doc:"absent where counting took too long"`
	DryRun    bool        `json:"dry_run,omitempty" doc:"nothing was done"`
}

// HaltDo says how to end a halt, or what it holds.
type HaltDo struct {
	DryRun bool       `json:"dry_run,omitempty" doc:"count, and do nothing"`
	Since  *time.Time `json:"since,omitempty" doc:"from when the ended ones are counted; absent: since the halt"`
}

const (
	tagHalts = "halts"

	countWait    = 20 * time.Second // for a count beside something that was done
	countHistory = 24 * time.Hour   // of messages that have ended, where nothing else is said
	patience     = 10 * time.Minute // for what has to go through the whole queue
)

func (f *face) haltOperations() {
	patiently := huma.Middlewares{patient}
	operation(f, ScopeHalt, huma.Operation{OperationID: "halt", Method: http.MethodPost, Path: "/v1/halts", Tags: []string{tagHalts},
		Summary: "Hold messages back", Description: "All that waits or arrives in the scope, one-time codes too; submits are still taken. Once answered it is stored, and a second later nothing of the scope leaves any more. With dry_run: only counts.",
		Errors: []int{http.StatusConflict, http.StatusNotImplemented}, Middlewares: patiently}, f.postHalt)
	operation(f, ScopeHalt, huma.Operation{OperationID: "halts", Method: http.MethodGet, Path: "/v1/halts", Tags: []string{tagHalts},
		Summary: "The halts in force", Errors: []int{http.StatusNotImplemented}}, f.getHalts)
	ending := []int{http.StatusNotFound, http.StatusConflict, http.StatusNotImplemented}
	operation(f, ScopeHalt, huma.Operation{OperationID: "resume-halt", Method: http.MethodPost, Path: "/v1/halts/{id}/resume", Tags: []string{tagHalts},
		Summary: "Let what a halt holds leave", Description: "With dry_run: how much that is.", Errors: ending, Middlewares: patiently}, f.resumeHalt)
	operation(f, ScopeHalt, huma.Operation{OperationID: "cancel-halted", Method: http.MethodPost, Path: "/v1/halts/{id}/cancel", Tags: []string{tagHalts},
		Summary: "End what a halt holds", Description: "It ends DELETED, with receipts; the halt stays until it is resumed. With dry_run: how much that is.", Errors: ending, Middlewares: patiently}, f.cancelHalted)
}

// patient gives an operation more time than the server gives a request.
func patient(ctx huma.Context, next func(huma.Context)) {
	_, w := humago.Unwrap(ctx)
	rc := http.NewResponseController(w)
	until := time.Now().Add(patience)
	rc.SetReadDeadline(until) // net/http reads on to notice that the caller has gone
	rc.SetWriteDeadline(until)
	next(ctx)
}

func (a *api) halts() (Halts, error) {
	if a.opt.Halts == nil {
		return nil, problem(http.StatusNotImplemented, "this gateway does not hold messages back")
	}
	return a.opt.Halts, nil
}

// scope is what a caller may hold back of what he asked for. A key's account bounds what
// it reaches, and its services do.
func (f *face) scope(ctx context.Context, m *mistakes, c *caller, asked *HaltScope) (s gateway.Scope, err error) {
	named := asked.Service != "" || asked.Agency != "" || asked.Account != "" || asked.Sender != "" || asked.Campaign != 0 || asked.Class != "" || asked.Carrier != ""
	switch {
	case !named && !asked.All:
		m.add("body", nil, "says nothing of what to hold back: at least one of service, agency, account, sender, campaign, class, carrier, or all")
	case named && asked.All:
		m.add("body.all", true, "stands alone: it is everything already")
	}
	if asked.Campaign != 0 && f.opt.Campaigns != nil {
		if k, err := f.opt.Campaigns.Get(ctx, asked.Campaign); errors.Is(err, campaign.ErrUnknown) || err == nil && c.account != "" && !c.seesCampaign(&k) {
			m.add("body.campaign", asked.Campaign, "is the id of no campaign; see GET /v1/campaigns")
		}
	}
	s = gateway.Scope{All: asked.All, Service: asked.Service, Agency: asked.Agency, Account: asked.Account, Sender: asked.Sender,
		Campaign: asked.Campaign, Class: asked.Class, Carrier: asked.Carrier}
	if c.account != "" {
		if s.Account != "" && s.Account != c.account {
			return s, problem(http.StatusForbidden, fmt.Sprintf("key %s halts the account %s alone", c.name, c.account))
		}
		s.All, s.Account = false, c.account
	}
	if c.services != nil && !c.may(s.Service) {
		return s, problem(http.StatusForbidden, fmt.Sprintf("key %s halts these services alone, and has to name one: %s", c.name, strings.Join(c.services, ", ")))
	}
	return s, m.err()
}

// seesHalt tells whether a halt reaches no further than c does.
func (c *caller) seesHalt(h *gateway.Halt) bool {
	return (c.account == "" || h.Scope.Account == c.account) && (c.services == nil || c.may(h.Scope.Service))
}

// seesHalt tells whether a caller may know of a halt: it reaches no further than he does, or
// no further than a campaign of his.
func (f *face) seesHalt(ctx context.Context, c *caller, h *gateway.Halt) bool {
	if c.seesHalt(h) {
		return true
	}
	if h.Scope.Campaign == 0 || f.opt.Campaigns == nil {
		return false
	}
	k, err := f.opt.Campaigns.Get(ctx, h.Scope.Campaign)
	return err == nil && c.seesCampaign(&k)
}

// mayEnd refuses a key what the gateway's operator has halted.
func (c *caller) mayEnd(h *gateway.Halt) error {
	if c.scopes&scopeOperator == 0 && ofOperator(h.By) {
		return problem(http.StatusForbidden, "the gateway's operator has set this halt, and he alone may end it or what it holds")
	}
	return nil
}

func haltRow(h *gateway.Halt) *HaltRow {
	s := &h.Scope
	return &HaltRow{ID: h.ID, By: h.By, Reason: h.Reason, Since: h.Since.UTC(), Cancelled: h.Cancelled, Scope: HaltScope{All: s.All, Service: s.Service,
		Agency: s.Agency, Account: s.Account, Sender: s.Sender, Campaign: s.Campaign, Class: s.Class, Carrier: s.Carrier}}
}

// countsOf counts a scope.
func countsOf(ctx context.Context, h Halts, s gateway.Scope, since time.Time) (*HaltCounts, error) {
	n, err := h.CountScope(ctx, s, since)
	if err != nil {
		return nil, err
	}
	return &HaltCounts{Waiting: n.Waiting, Aside: n.Aside, OnWire: n.OnWire, Sent: n.Sent, Ended: n.Ended, Delivered: n.Delivered, Since: since.UTC()}, nil
}

// countsBeside counts for an answer about what is done already: it is told without them
// rather than late.
func (f *face) countsBeside(ctx context.Context, h Halts, s gateway.Scope, since time.Time) *HaltCounts {
	ctx, cancel := context.WithTimeout(ctx, countWait)
	defer cancel()
	n, _ := countsOf(ctx, h, s, since)
	return n
}

func (f *face) sinceOr(m *mistakes, asked *time.Time, otherwise time.Time) time.Time {
	if asked == nil {
		return otherwise
	}
	if asked.After(f.opt.Now()) {
		m.add("body.since", asked, "is in the future")
	}
	return *asked
}

func (f *face) postHalt(ctx context.Context, in *struct {
	Idempotent
	Body HaltRequest
}) (*answer[HaltAnswer], error) {
	h, err := f.halts()
	if err != nil {
		return nil, err
	}
	c, q := from(ctx), &in.Body
	var m mistakes
	since := f.sinceOr(&m, q.Since, f.opt.Now().Add(-countHistory))
	s, err := f.scope(ctx, &m, c, &q.HaltScope)
	if err != nil {
		return nil, err
	}
	if q.DryRun {
		n, err := countsOf(ctx, h, s, since)
		if err != nil {
			return nil, haltProblem(err)
		}
		return &answer[HaltAnswer]{Body: HaltAnswer{Counts: n, DryRun: true}}, nil
	}
	ask := repeatable{key: in.Key, operation: "halt", asked: q, look: "GET /v1/halts"}
	return repeat(ctx, f.api, c, ask, func(ctx context.Context) (*HaltRow, error) {
		done, err := h.Halt(ctx, s, c.user, q.Reason)
		if err != nil {
			return nil, haltProblem(err)
		}
		return haltRow(&done), nil
	}, func(ctx context.Context, row *HaltRow) (HaltAnswer, error) {
		return HaltAnswer{Halt: row, Counts: f.countsBeside(ctx, h, s, since)}, nil
	})
}

func (f *face) getHalts(ctx context.Context, _ *none) (*struct {
	Body struct {
		Halts []*HaltRow `json:"halts"`
	}
}, error) {
	h, err := f.halts()
	if err != nil {
		return nil, err
	}
	c := from(ctx)
	out := new(struct {
		Body struct {
			Halts []*HaltRow `json:"halts"`
		}
	})
	out.Body.Halts = []*HaltRow{}
	all := h.Halts()
	for i := range all {
		if f.seesHalt(ctx, c, &all[i]) {
			out.Body.Halts = append(out.Body.Halts, haltRow(&all[i]))
		}
	}
	return out, nil
}

type haltInput struct {
	Idempotent
	ID   string  `path:"id" minLength:"1" maxLength:"64" doc:"as POST /v1/halts answered it"`
	Body *HaltDo // nil: as an empty one
}

var errNoHalt = problem(http.StatusNotFound, "no such halt is in force: GET /v1/halts")

// haltOf is the halt that a request names, where the caller may see it.
func (f *face) haltOf(ctx context.Context, h Halts, c *caller, id string) (*gateway.Halt, error) {
	all := h.Halts()
	for i := range all {
		if all[i].ID == id && f.seesHalt(ctx, c, &all[i]) {
			return &all[i], nil
		}
	}
	return nil, errNoHalt
}

func (f *face) resumeHalt(ctx context.Context, in *haltInput) (*answer[HaltAnswer], error) {
	return f.endHalt(ctx, in, "resume-halt", func(ctx context.Context, h Halts, by string) (HaltAnswer, error) {
		done, err := h.Resume(ctx, in.ID, by)
		return HaltAnswer{Halt: haltRow(&done)}, err
	})
}

func (f *face) cancelHalted(ctx context.Context, in *haltInput) (*answer[HaltAnswer], error) {
	return f.endHalt(ctx, in, "cancel-halted", func(ctx context.Context, h Halts, by string) (HaltAnswer, error) {
		n, err := h.CancelHalted(ctx, in.ID, by)
		if err != nil {
			return HaltAnswer{}, err
		}
		out := HaltAnswer{Cancelled: &n}
		if now, err := f.haltOf(ctx, h, from(ctx), in.ID); err == nil { // resumed meanwhile otherwise
			out.Halt = haltRow(now)
		}
		return out, nil
	})
}

// endHalt resumes a halt or ends what it holds.
func (f *face) endHalt(ctx context.Context, in *haltInput, operation string, do func(context.Context, Halts, string) (HaltAnswer, error)) (*answer[HaltAnswer], error) {
	h, err := f.halts()
	if err != nil {
		return nil, err
	}
	c, q := from(ctx), HaltDo{}
	if in.Body != nil {
		q = *in.Body
	}
	if q.DryRun {
		was, err := f.haltOf(ctx, h, c, in.ID)
		if err != nil {
			return nil, err
		}
		var m mistakes
		since := f.sinceOr(&m, q.Since, was.Since)
		if err := m.err(); err != nil {
			return nil, err
		}
		n, err := countsOf(ctx, h, was.Scope, since)
		if err != nil {
			return nil, haltProblem(err)
		}
		return &answer[HaltAnswer]{Body: HaltAnswer{Halt: haltRow(was), Counts: n, DryRun: true}}, nil
	}
	ask := repeatable{key: in.Key, operation: operation, asked: []any{in.ID, q}, harmless: true}
	return repeat(ctx, f.api, c, ask, func(ctx context.Context) (HaltAnswer, error) {
		was, err := f.haltOf(ctx, h, c, in.ID)
		if err == nil {
			err = c.mayEnd(was)
		}
		if err != nil {
			return HaltAnswer{}, err
		}
		out, err := do(ctx, h, c.user)
		return out, haltProblem(err)
	}, func(_ context.Context, out HaltAnswer) (HaltAnswer, error) { return out, nil })
}

// haltProblem is the answer to a halt that the gateway did not take.
func haltProblem(err error) error {
	var wrong *gateway.ScopeError
	switch {
	case errors.As(err, &wrong):
		field := "body." + wrong.Field
		if wrong.Field == "scope" {
			field = "body"
		}
		return problem(http.StatusUnprocessableEntity, "validation failed", mistake(field, nil, wrong.Rule))
	case errors.Is(err, gateway.ErrNoHalt):
		return errNoHalt
	case errors.Is(err, gateway.ErrTooManyHalts):
		return problem(http.StatusConflict, err.Error()+": resume some of them first (GET /v1/halts)")
	}
	return err
}
