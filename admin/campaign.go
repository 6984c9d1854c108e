package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"masar/engine"
	"masar/number"
	"masar/queue"
	"masar/service"
	"masar/service/campaign"
)

// Campaigns is how the API runs campaigns; *jobs.Campaigns does it.
type Campaigns interface {
	Create(ctx context.Context, c campaign.Campaign) (campaign.View, error)
	Upload(ctx context.Context, id uint64, r io.Reader, f campaign.Format) (campaign.View, error)
	Check(ctx context.Context, id uint64, by string) (campaign.View, error)
	Test(ctx context.Context, id uint64, to []number.E164) ([]campaign.Tested, error)
	Release(ctx context.Context, id uint64, by string) (campaign.View, error)
	Start(ctx context.Context, id uint64, by string) (campaign.View, error)
	Pause(ctx context.Context, id uint64, by string) (campaign.View, error)
	Resume(ctx context.Context, id uint64, by string) (campaign.View, error)
	Stop(ctx context.Context, id uint64, by string) (campaign.View, error)
	Get(ctx context.Context, id uint64) (campaign.View, error)
	List(ctx context.Context) ([]campaign.View, error)
	Report(ctx context.Context, id uint64, w io.Writer) error
	Bad(ctx context.Context, id uint64, w io.Writer) error
	Delete(ctx context.Context, id uint64) error
}

// CampaignRequest makes a campaign.
type CampaignRequest struct {
	Name    string  `json:"name" minLength:"1" maxLength:"100" doc:"for people"`
	Service string  `json:"service,omitempty" maxLength:"5" doc:"code of the catalogue; absent: of an account that needs none"`
	Text    string  `json:"text,omitempty" maxLength:"20000" doc:"the same for all, for a service without template; absent: rows carry a text, or the template's parameters"`
	Pace    float64 `json:"pace,omitempty" minimum:"0" maximum:"1000000" doc:"messages a second that are handed to the queue; absent: as it takes them"`
	Account string  `json:"account,omitempty" maxLength:"15" doc:"system_id it is sent under; absent: the key's"`
}

// CampaignView is a campaign and how far it is.
type CampaignView struct {
	ID       uint64         `json:"id"`
	Name     string         `json:"name"`
	Account  string         `json:"account"`
	Service  string         `json:"service"`
	Text     string         `json:"text,omitempty"`
	Rows     string         `json:"rows" enum:"plain,params,texts" doc:"what a row of its file carries beside its recipient: nothing, the template's parameters, a text of its own"`
	Pace     float64        `json:"pace,omitempty"`
	State    string         `json:"state" enum:"draft,checking,checked,released,running,paused,done,stopped,failed"`
	Why      string         `json:"why,omitempty" doc:"what to know of the state"`
	By       string         `json:"by" doc:"who made it: name of a key, cli:NAME, admin"`
	Uploaded string         `json:"uploaded_by,omitempty" doc:"who brought its file; absent: there is none"`
	Released string         `json:"released_by,omitempty"`
	Stopper  string         `json:"stopped_by,omitempty"`
	Halt     string         `json:"halt,omitempty" doc:"its own, while it is paused, or stopped and not over: GET /v1/halts"`
	HeldBy   []CampaignHeld `json:"held_by,omitempty" doc:"every halt in force that holds its messages, or would; its own included, those of a carrier not"`
	Counts   CampaignCounts `json:"counts"`
	Needs    bool           `json:"needs_release,omitempty" doc:"a second person has to release it before it starts"`
	Checked  int64          `json:"rows_checked,omitempty" doc:"by the check that is under way"`
	Progress float64        `json:"progress" minimum:"0" maximum:"1" doc:"of the check while it is checked, else the share of rows that have their end"`
	Rate     float64        `json:"rows_per_s" doc:"that ended, in the last seconds"`
	Left     *float64       `json:"eta_s,omitempty" doc:"seconds until the last row has its end, while that can be told"`
	Check    *CampaignCheck `json:"check,omitempty" doc:"of the file as it is; absent: it was not checked"`
	Created  time.Time      `json:"created"`
	Changed  *time.Time     `json:"changed,omitempty" doc:"the file"`
	Tested   *time.Time     `json:"tested,omitempty"`
	Started  *time.Time     `json:"started,omitempty"`
	Ended    *time.Time     `json:"ended,omitempty" doc:"when the last end of the last row was known"`
}

// CampaignHeld is a halt that a campaign's messages wait for.
type CampaignHeld struct {
	ID     string    `json:"id"`
	Scope  HaltScope `json:"scope"`
	Since  time.Time `json:"since"`
	By     string    `json:"by,omitempty" doc:"absent: the halt is none that the caller may see"`
	Reason string    `json:"reason,omitempty"`
}

// CampaignCounts says what became of the rows. rows is the sum of bad, duplicate, left,
// refused, accepted and stopped; accepted that of waiting and ended.
type CampaignCounts struct {
	Rows      int64            `json:"rows"`
	Bad       int64            `json:"bad" doc:"could not be read: GET /v1/campaigns/{id}/bad"`
	Duplicate int64            `json:"duplicate" doc:"the recipient stands in the file before"`
	Left      int64            `json:"left" doc:"not handed over yet"`
	Refused   int64            `json:"refused" doc:"by the gateway, when they were handed over"`
	Accepted  int64            `json:"accepted"`
	Waiting   int64            `json:"waiting" doc:"accepted and not ended: queued, held, on the wire, or the receipt is awaited"`
	Stopped   int64            `json:"stopped" doc:"never handed over: the campaign was stopped"`
	Parts     int64            `json:"parts" doc:"of what was accepted"`
	Refusals  map[string]int64 `json:"refusals,omitempty" doc:"refused, by reason"`
	Ended     map[string]int64 `json:"ended,omitempty" doc:"by the state of the receipt: DELIVRD, EXPIRED ..."`
}

// CampaignCheck is what a dry run found.
type CampaignCheck struct {
	Rows      int64            `json:"rows"`
	Good      int64            `json:"good" doc:"would be sent"`
	Bad       int64            `json:"bad"`
	Duplicate int64            `json:"duplicate"`
	Refused   map[string]int64 `json:"refused,omitempty" doc:"by reason: not_enrolled, blocked ..."`
	Held      int64            `json:"held" doc:"of good: would wait for permitted hours, at this time of day"`
	Segments  int64            `json:"segments"`
	Parts     map[string]int64 `json:"parts,omitempty" doc:"segments by route"`
	Takes     *float64         `json:"takes_s,omitempty" doc:"seconds at the carriers' pace, with what waits before them; absent: a carrier is down"`
	Errors    []CampaignError  `json:"errors" doc:"the first 100"`
	At        time.Time        `json:"at"`
	By        string           `json:"by,omitempty"`
}

// CampaignError is what is wrong with one row.
type CampaignError struct {
	Row   uint64 `json:"row" doc:"line of the file"`
	Field string `json:"field,omitempty"`
	Rule  string `json:"rule"`
}

const tagCampaigns = "campaigns"

func campaignView(c *campaign.View) CampaignView {
	n := &c.Counts
	v := CampaignView{ID: c.ID, Name: c.Name, Account: c.Account, Service: c.Service, Text: c.Text, Rows: "plain", Pace: c.Pace, State: c.State.String(), Why: c.Why,
		By: c.By, Uploaded: c.Uploaded, Released: c.Released, Stopper: c.Stopper, Halt: c.Halt,
		Needs: c.NeedsRelease, Checked: c.Checked, Progress: c.Progress, Rate: c.PerSecond,
		Created: c.Created.UTC(), Changed: dated(c.Changed), Tested: dated(c.Tested), Started: dated(c.Started), Ended: dated(c.Ended),
		Counts: CampaignCounts{n.Rows, n.Bad, n.Duplicate, n.Left, n.Refused, n.Accepted, n.Waiting, n.Stopped, n.Parts, maps.Clone(n.Refusals), maps.Clone(n.Ended)}}
	switch {
	case c.Texts:
		v.Rows = "texts"
	case c.Params:
		v.Rows = "params"
	}
	if c.Takes >= 0 {
		takes := c.Takes.Seconds()
		v.Left = &takes
	}
	if k := c.Check; k != nil {
		v.Check = &CampaignCheck{Rows: k.Rows, Good: k.Good, Bad: k.Bad, Duplicate: k.Duplicate, Refused: maps.Clone(k.Refused), Held: k.Held,
			Segments: k.Segments, Parts: maps.Clone(k.Parts), Errors: []CampaignError{}, At: k.At.UTC(), By: k.By}
		if k.Takes >= 0 {
			takes := k.Takes.Seconds()
			v.Check.Takes = &takes
		}
		for _, e := range k.Errors {
			v.Check.Errors = append(v.Check.Errors, CampaignError{e.Row, e.Field, e.Rule})
		}
	}
	return v
}

// campaignHeld is campaignView with the halts that hold the campaign.
func (f *face) campaignHeld(ctx context.Context, k *campaign.View) CampaignView {
	v := campaignView(k)
	if f.opt.Halts == nil || k.Over() {
		return v
	}
	c := from(ctx)
	for _, h := range f.opt.Halts.HaltsOver(k.Account, k.Service, queue.Job{Kind: queue.CampaignJob, Number: k.ID}) {
		row := haltRow(&h)
		held := CampaignHeld{ID: row.ID, Scope: row.Scope, Since: row.Since}
		if f.seesHalt(ctx, c, &h) {
			held.By, held.Reason = row.By, row.Reason
		}
		v.HeldBy = append(v.HeldBy, held)
	}
	return v
}

func (f *face) campaignOperations() {
	found := []int{http.StatusNotFound, http.StatusNotImplemented}
	acting := []int{http.StatusNotFound, http.StatusConflict, http.StatusNotImplemented}
	storing := append(slices.Clone(acting), http.StatusInsufficientStorage)
	tags, patiently := []string{tagCampaigns}, huma.Middlewares{patient}
	operation(f, ScopeCampaigns, huma.Operation{OperationID: "new-campaign", Method: http.MethodPost, Path: "/v1/campaigns", Tags: tags,
		Summary: "Make a campaign", Description: "It has no recipients yet: PUT its file, check it, test it, have it released where it is large, start it.",
		DefaultStatus: http.StatusCreated, Errors: storing}, f.postCampaign)
	operation(f, ScopeCampaigns, huma.Operation{OperationID: "campaigns", Method: http.MethodGet, Path: "/v1/campaigns", Tags: tags,
		Summary: "The campaigns, the latest first", Errors: []int{http.StatusNotImplemented}}, f.listCampaigns)
	operation(f, ScopeCampaigns, huma.Operation{OperationID: "campaign", Method: http.MethodGet, Path: "/v1/campaigns/{id}", Tags: tags,
		Summary: "How far a campaign is", Errors: found}, f.getCampaign)
	operation(f, ScopeCampaigns, huma.Operation{OperationID: "delete-campaign", Method: http.MethodDelete, Path: "/v1/campaigns/{id}", Tags: tags,
		Summary: "Forget a campaign that is over, or has not begun", Description: "Its report goes with it.",
		DefaultStatus: http.StatusNoContent, Errors: acting}, f.deleteCampaign)
	operation(f, ScopeCampaigns, huma.Operation{OperationID: "upload-campaign", Method: http.MethodPut, Path: "/v1/campaigns/{id}/file", Tags: tags,
		Summary: "Give a campaign its recipients", Description: "Columns: number or person, then the template's parameters, or text; language may be there. JSON Lines: objects with number or person, language, and params (an object) or text. In place of the file before; its check, tests and release are void. A file that is refused changes nothing.",
		RequestBody: tableBody, Errors: append(slices.Clone(storing), http.StatusUnsupportedMediaType), Middlewares: huma.Middlewares{streamed}}, f.uploadCampaign)
	operation(f, ScopeCampaigns, huma.Operation{OperationID: "check-campaign", Method: http.MethodPost, Path: "/v1/campaigns/{id}/check", Tags: tags,
		Summary: "A dry run over all rows", Description: "How many would be sent, how many refused and why, segments, and the time needed. It goes on by itself: GET the campaign until its state is not checking.",
		Errors: acting, Middlewares: patiently}, act(f, "check-campaign", func(ctx context.Context, r Campaigns, id uint64, by string) error {
		_, err := r.Check(ctx, id, by)
		return err
	}))
	operation(f, ScopeCampaigns, huma.Operation{OperationID: "test-campaign", Method: http.MethodPost, Path: "/v1/campaigns/{id}/test", Tags: tags,
		Summary: "Send a campaign to the agency's own test numbers", Errors: acting, Middlewares: patiently}, f.testCampaign)
	operation(f, ScopeRelease, huma.Operation{OperationID: "release-campaign", Method: http.MethodPost, Path: "/v1/campaigns/{id}/release", Tags: tags,
		Summary: "Let a large campaign be started", Description: "By somebody else than who made it and who brought its file: another key, or over the socket another user. Neither may be the nameless operator: the token of admin.token_file, or the socket without Masar-User.",
		Errors: acting}, act(f, "release-campaign", func(ctx context.Context, r Campaigns, id uint64, by string) error {
		_, err := r.Release(ctx, id, by)
		return err
	}))
	operation(f, ScopeCampaigns, huma.Operation{OperationID: "start-campaign", Method: http.MethodPost, Path: "/v1/campaigns/{id}/start", Tags: tags,
		Summary: "Begin to send", Errors: acting}, act(f, "start-campaign", func(ctx context.Context, r Campaigns, id uint64, by string) error {
		_, err := r.Start(ctx, id, by)
		return err
	}))
	operation(f, ScopeCampaigns, huma.Operation{OperationID: "pause-campaign", Method: http.MethodPost, Path: "/v1/campaigns/{id}/pause", Tags: tags,
		Summary: "Hold a campaign back", Description: "A second after the answer nothing of it leaves.",
		Errors: acting}, act(f, "pause-campaign", func(ctx context.Context, r Campaigns, id uint64, by string) error {
		_, err := r.Pause(ctx, id, by)
		return err
	}))
	operation(f, ScopeCampaigns, huma.Operation{OperationID: "resume-campaign", Method: http.MethodPost, Path: "/v1/campaigns/{id}/resume", Tags: tags,
		Summary: "Let a paused campaign go on", Errors: acting}, act(f, "resume-campaign", func(ctx context.Context, r Campaigns, id uint64, by string) error {
		_, err := r.Resume(ctx, id, by)
		return err
	}))
	operation(f, ScopeCampaigns, huma.Operation{OperationID: "stop-campaign", Method: http.MethodPost, Path: "/v1/campaigns/{id}/stop", Tags: tags,
		Summary: "End a campaign", Description: "What waits ends DELETED, the rows that were not handed over never are. It cannot be started again.",
		Errors: acting, Middlewares: patiently}, act(f, "stop-campaign", func(ctx context.Context, r Campaigns, id uint64, by string) error {
		_, err := r.Stop(ctx, id, by)
		return err
	}))
	operation(f, ScopeCampaigns, huma.Operation{OperationID: "campaign-report", Method: http.MethodGet, Path: "/v1/campaigns/{id}/report", Tags: tags,
		Summary: "Each recipient's end, as CSV", Responses: plain("text/csv", "columns: row, recipient, message_id, state, err, reason, accepted, ended, parts"),
		Errors: found, Middlewares: huma.Middlewares{streamed}}, f.campaignReport)
	operation(f, ScopeCampaigns, huma.Operation{OperationID: "campaign-bad-rows", Method: http.MethodGet, Path: "/v1/campaigns/{id}/bad", Tags: tags,
		Summary: "The rows of its file that could not be read, as CSV", Responses: plain("text/csv", "columns: line, column, rule, then the file's own"),
		Errors: found, Middlewares: huma.Middlewares{streamed}}, f.campaignBad)
}

func (a *api) campaigns() (Campaigns, error) {
	if a.opt.Campaigns == nil {
		return nil, problem(http.StatusNotImplemented, "this gateway runs no campaigns (catalogue: FILE)")
	}
	return a.opt.Campaigns, nil
}

var errNoCampaign = problem(http.StatusNotFound, "no such campaign; one that is over is kept for campaigns.keep")

// campaignProblem is the answer where package jobs did not do it.
func campaignProblem(err error) error {
	var wrong *campaign.FieldError
	var state *campaign.StateError
	var file *service.FileError
	var row *campaign.RowError
	switch {
	case errors.Is(err, campaign.ErrUnknown):
		return errNoCampaign
	case errors.Is(err, campaign.ErrSamePerson), errors.Is(err, campaign.ErrNameless), errors.Is(err, campaign.ErrMadeNameless):
		return problem(http.StatusForbidden, err.Error())
	case errors.Is(err, campaign.ErrNotYet):
		return retry(http.StatusServiceUnavailable, err.Error(), 5*time.Second)
	case errors.As(err, &state), errors.Is(err, campaign.ErrNotReleased), errors.Is(err, campaign.ErrNoFile), errors.Is(err, campaign.ErrNotChecked),
		errors.Is(err, campaign.ErrNobody), errors.Is(err, campaign.ErrBusy):
		return problem(http.StatusConflict, err.Error())
	case errors.As(err, &file):
		return problem(http.StatusUnprocessableEntity, "the file is refused, nothing of it was kept", mistake(place(file.Line, file.Column), nil, file.Rule))
	case errors.As(err, &row):
		return problem(http.StatusUnprocessableEntity, "a row of the file cannot be sent", mistake(place(int64(row.Row), row.Field), nil, row.Rule))
	case errors.Is(err, engine.ErrFull):
		return problem(http.StatusInsufficientStorage, "there is no room on the disk of the campaigns: nothing was changed")
	case !errors.As(err, &wrong):
		return err
	}
	var m mistakes
	for _, e := range unjoin(err) {
		if !errors.As(e, &wrong) {
			return err
		}
		m.add("body."+wrong.Field, nil, wrong.Rule)
	}
	return m.err()
}

// place is where in a file something is wrong.
func place(line int64, column string) string {
	switch {
	case line == 0:
		return "body"
	case column == "":
		return fmt.Sprintf("row %d", line)
	}
	return fmt.Sprintf("row %d, field %s", line, column)
}

// CampaignPath names a campaign.
type CampaignPath struct {
	ID uint64 `path:"id" minimum:"1" doc:"as POST /v1/campaigns answered it"`
}

// sees tells whether a campaign is the caller's account's, of a service it may name.
func (c *caller) seesCampaign(k *campaign.View) bool {
	return (c.account == k.Account || c.scopes&scopeOperator != 0) && c.may(k.Service)
}

// campaign is one that the caller may see.
func (f *face) campaign(ctx context.Context, id uint64) (Campaigns, *campaign.View, error) {
	r, err := f.campaigns()
	if err != nil {
		return nil, nil, err
	}
	c := from(ctx)
	if c.account == "" && c.scopes&scopeOperator == 0 {
		_, err := c.system("")
		return nil, nil, err
	}
	k, err := r.Get(ctx, id)
	switch {
	case err != nil:
		return nil, nil, campaignProblem(err)
	case !c.seesCampaign(&k):
		return nil, nil, errNoCampaign
	}
	return r, &k, nil
}

// viewed tells of a campaign as it is now.
func (f *face) viewed(ctx context.Context, r Campaigns, id uint64) (CampaignView, error) {
	k, err := r.Get(ctx, id)
	if err != nil {
		return CampaignView{}, campaignProblem(err)
	}
	return f.campaignHeld(ctx, &k), nil
}

type campaignOutput struct {
	Location string `header:"Location"`
	Replayed string `header:"Idempotency-Replayed" doc:"true: it was made before with this key"`
	Body     CampaignView
}

func (f *face) postCampaign(ctx context.Context, in *struct {
	Idempotent
	Body CampaignRequest
}) (*campaignOutput, error) {
	r, err := f.campaigns()
	if err != nil {
		return nil, err
	}
	c, q := from(ctx), &in.Body
	account, err := c.system(q.Account)
	if err != nil {
		return nil, err
	}
	if q.Service != "" {
		var m mistakes
		if _, err = f.code(&m, c, "body.service", q.Service); err == nil {
			err = m.err()
		}
	} else if c.services != nil {
		err = problem(http.StatusForbidden, fmt.Sprintf("key %s has to name one of its services: %s", c.name, strings.Join(c.services, ", ")))
	}
	if err == nil {
		err = f.grants(ctx, account, q.Service)
	}
	if err != nil {
		return nil, err
	}
	ask := repeatable{key: in.Key, operation: "new-campaign", asked: q, look: "GET /v1/campaigns"}
	out, err := repeat(ctx, f.api, c, ask, func(ctx context.Context) (uint64, error) {
		k, err := r.Create(ctx, campaign.Campaign{Name: q.Name, Account: account, Service: q.Service, Text: q.Text, Pace: q.Pace, By: c.user})
		return k.ID, campaignProblem(err)
	}, func(ctx context.Context, id uint64) (CampaignView, error) { return f.viewed(ctx, r, id) })
	if err != nil {
		return nil, err
	}
	return &campaignOutput{"/v1/campaigns/" + strconv.FormatUint(out.Body.ID, 10), out.Replayed, out.Body}, nil
}

func (f *face) listCampaigns(ctx context.Context, in *struct {
	Account string `query:"account" maxLength:"15" doc:"only this one's"`
	Service string `query:"service" maxLength:"5" doc:"only of this one"`
	State   string `query:"state" enum:"draft,checking,checked,released,running,paused,done,stopped,failed" doc:"only in this one"`
}) (*struct {
	Body struct {
		Campaigns []CampaignView `json:"campaigns"`
	}
}, error) {
	r, err := f.campaigns()
	if err != nil {
		return nil, err
	}
	c := from(ctx)
	if c.scopes&scopeOperator == 0 || in.Account != "" {
		if in.Account, err = c.queried(in.Account); err != nil {
			return nil, err
		}
	}
	all, err := r.List(ctx)
	if err != nil {
		return nil, err
	}
	out := new(struct {
		Body struct {
			Campaigns []CampaignView `json:"campaigns"`
		}
	})
	out.Body.Campaigns = []CampaignView{}
	for i := range all {
		k := &all[i]
		if c.seesCampaign(k) && (in.Account == "" || k.Account == in.Account) && (in.Service == "" || k.Service == in.Service) && (in.State == "" || k.State.String() == in.State) {
			out.Body.Campaigns = append(out.Body.Campaigns, f.campaignHeld(ctx, k))
		}
	}
	return out, nil
}

func (f *face) getCampaign(ctx context.Context, in *CampaignPath) (*struct{ Body CampaignView }, error) {
	_, k, err := f.campaign(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return &struct{ Body CampaignView }{f.campaignHeld(ctx, k)}, nil
}

func (f *face) deleteCampaign(ctx context.Context, in *CampaignPath) (*none, error) {
	r, k, err := f.campaign(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return nil, campaignProblem(r.Delete(ctx, k.ID))
}

type actInput struct {
	Idempotent
	CampaignPath
}

// act is an operation that asks something of a campaign and answers with what it is then.
// To ask twice is as good as once: the state says what may be done.
func act(f *face, operation string, do func(ctx context.Context, r Campaigns, id uint64, by string) error) func(context.Context, *actInput) (*answer[CampaignView], error) {
	return func(ctx context.Context, in *actInput) (*answer[CampaignView], error) {
		r, _, err := f.campaign(ctx, in.ID)
		if err != nil {
			return nil, err
		}
		c := from(ctx)
		ask := repeatable{key: in.Key, operation: operation, asked: in.ID, harmless: true}
		return repeat(ctx, f.api, c, ask, func(ctx context.Context) (uint64, error) {
			return in.ID, campaignProblem(do(ctx, r, in.ID, c.user))
		}, func(ctx context.Context, id uint64) (CampaignView, error) { return f.viewed(ctx, r, id) })
	}
}

// TestRequest says where a test send goes.
type TestRequest struct {
	Numbers []string `json:"numbers,omitempty" maxItems:"20" doc:"of the agency's test numbers; absent: all of them, at most 20"`
}

// TestSent is what became of a test send to one number.
type TestSent struct {
	Number    string `json:"number"`
	MessageID string `json:"message_id,omitempty"`
	Error     string `json:"error,omitempty" doc:"why it was not sent"`
}

// Tests is what became of a test send.
type Tests struct {
	Text  string     `json:"text,omitempty" doc:"what was sent: of the first row that can be sent; absent where the answer comes again"`
	Parts int        `json:"parts,omitempty"`
	Sent  []TestSent `json:"sent"`
}

// A test send's answer is kept with its Idempotency-Key, in at most 4 KiB.
const (
	testsMost     = 20
	testErrorMost = 100 // characters
)

func (f *face) testCampaign(ctx context.Context, in *struct {
	Idempotent
	CampaignPath
	Body *TestRequest // nil: as an empty one
}) (*answer[Tests], error) {
	r, k, err := f.campaign(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	var q TestRequest
	if in.Body != nil {
		q = *in.Body
	}
	to, err := f.testNumbers(k, q.Numbers)
	if err != nil {
		return nil, err
	}
	var sent campaign.Tested
	ask := repeatable{key: in.Key, operation: "test-campaign", asked: []any{in.ID, q}, look: "tested of GET /v1/campaigns/{id}"}
	return repeat(ctx, f.api, from(ctx), ask, func(ctx context.Context) (Tests, error) {
		done, err := r.Test(ctx, in.ID, to)
		if err != nil {
			return Tests{}, campaignProblem(err)
		}
		out := Tests{Sent: []TestSent{}}
		for _, t := range done {
			row := TestSent{Number: t.Number.String()}
			if t.Err != nil {
				rule := []rune(t.Err.Error())
				row.Error = string(rule[:min(len(rule), testErrorMost)])
			} else {
				row.MessageID = queue.ID(t.Message).String()
			}
			sent, out.Sent = t, append(out.Sent, row)
		}
		return out, nil
	}, func(_ context.Context, t Tests) (Tests, error) {
		t.Text, t.Parts = sent.Text, sent.Parts
		return t, nil
	})
}

// testNumbers reads numbers; whether they are the agency's own is asked where they are
// sent to.
func (f *face) testNumbers(k *campaign.View, asked []string) ([]number.E164, error) {
	var m mistakes
	var to []number.E164
	for i, written := range asked {
		to = append(to, f.number(&m, fmt.Sprintf("body.numbers[%d]", i), written))
	}
	if len(asked) == 0 && k.Service != "" {
		cat, err := f.catalogue()
		if err != nil {
			return nil, err
		}
		if s := cat.Service(k.Service); s != nil && cat.Agency(s.Agency) != nil {
			if n := len(cat.Agency(s.Agency).TestNumbers); n > testsMost {
				m.add("body.numbers", nil, fmt.Sprintf("the agency %s has %d test numbers: name at most %d of them", s.Agency, n, testsMost))
			}
		}
	}
	return to, m.err()
}

func (f *face) campaignReport(ctx context.Context, in *CampaignPath) (*textOutput, error) {
	r, k, err := f.campaign(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return f.stream(ctx, func(w io.Writer) error { return r.Report(ctx, k.ID, w) }), nil
}

func (f *face) campaignBad(ctx context.Context, in *CampaignPath) (*textOutput, error) {
	r, k, err := f.campaign(ctx, in.ID)
	if err != nil {
		return nil, err
	}
	return f.stream(ctx, func(w io.Writer) error { return r.Bad(ctx, k.ID, w) }), nil
}
