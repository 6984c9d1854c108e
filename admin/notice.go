package admin

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"masar/gateway"
	"masar/queue"
	"masar/service"
	"masar/smpp/text"
)

// NoticeRequest sends a notice.
type NoticeRequest struct {
	Service  string            `json:"service" minLength:"1" maxLength:"5" doc:"code of the catalogue"`
	To       Addressee         `json:"to"`
	Params   map[string]string `json:"params,omitempty" doc:"what the service's template needs"`
	Text     string            `json:"text,omitempty" maxLength:"20000" doc:"for a service without template"`
	Language string            `json:"language,omitempty" maxLength:"35" doc:"absent: the subscriber's, else the catalogue's first"`
	Account  string            `json:"account,omitempty" maxLength:"15" doc:"system_id it is sent under; absent: the key's"`
	Source   string            `json:"source,omitempty" maxLength:"20" doc:"sender; absent: the service's"`
	Schedule *time.Time        `json:"schedule,omitempty" doc:"not before; absent: at once"`
	Validity int64             `json:"validity_s,omitempty" minimum:"1" maximum:"31536000" doc:"seconds that it is tried; absent: the service's"`
	Receipt  bool              `json:"receipt,omitempty" doc:"the account gets a receipt over SMPP"`
	DryRun   bool              `json:"dry_run,omitempty" doc:"tell what would be sent, and send nothing"`
}

// Addressee is a person or a number.
type Addressee struct {
	Person string `json:"person,omitempty" maxLength:"64" doc:"the agency's reference: it goes to his number of the moment it leaves"`
	Number string `json:"number,omitempty" maxLength:"64"`
}

// NoticeAnswer is what became of a notice, or with dry_run would.
type NoticeAnswer struct {
	MessageID string `json:"message_id,omitempty" doc:"16 hex digits; absent with dry_run"`
	Service   string `json:"service"`
	Language  string `json:"language,omitempty" doc:"of the template that was taken"`
	Template  string `json:"template,omitempty" doc:"service, version and language"`
	Trial     *Trial `json:"dry_run,omitempty"`
}

// Trial is what dry_run tells.
type Trial struct {
	Number    string        `json:"number" doc:"where it would go"`
	Text      string        `json:"text"`
	Encoding  string        `json:"encoding" enum:"gsm7,ucs2,latin1,ascii,binary"`
	Units     int           `json:"units" doc:"septets in gsm7, 16-bit units in ucs2"`
	Parts     []Part        `json:"parts"`
	Route     string        `json:"route"`
	HoldUntil *time.Time    `json:"hold_until,omitempty" doc:"when it would leave, where that is not at once"`
	Dropped   bool          `json:"dropped,omitempty" doc:"it would be taken and end REJECTD: nobody there is enrolled, and the service drops such"`
	Options   []text.Saving `json:"options" doc:"what it comes to with each text option"`
}

// Part is one part of a text.
type Part struct {
	Text  string `json:"text"`
	Units int    `json:"units"`
}

// NoticeState is where a notice is.
type NoticeState struct {
	MessageID string       `json:"message_id"`
	State     string       `json:"state" doc:"SMPP's message_state: SCHEDULED, ENROUTE, DELIVERED, EXPIRED, UNDELIVERABLE, REJECTED, UNKNOWN ..."`
	Stage     string       `json:"stage" enum:"waiting,aside,sent,ended"`
	Service   string       `json:"service,omitempty"`
	Number    string       `json:"number"`
	Source    string       `json:"source,omitempty"`
	Template  string       `json:"template,omitempty" doc:"service, version and language"`
	Marker    string       `json:"free_marker,omitempty" doc:"the marker that made it free to its receiver"`
	Error     string       `json:"error,omitempty" doc:"of the carrier or of the gateway, where it failed"`
	Accepted  time.Time    `json:"accepted"`
	Until     *time.Time   `json:"until,omitempty" doc:"aside: what it waits for"`
	Expires   time.Time    `json:"expires"`
	Ended     *time.Time   `json:"ended,omitempty"`
	Parts     []NoticePart `json:"parts"`
}

// NoticePart is a part that a carrier has taken.
type NoticePart struct {
	Part      int        `json:"part"`
	Of        int        `json:"of"`
	CarrierID string     `json:"carrier_id"`
	Sent      time.Time  `json:"sent"`
	State     string     `json:"state,omitempty" doc:"absent: no receipt yet"`
	Error     string     `json:"error,omitempty"`
	Done      *time.Time `json:"done,omitempty"`
}

// SegmentRequest asks how a text is cut.
type SegmentRequest struct {
	Text  string `json:"text" maxLength:"20000"`
	Style string `json:"style,omitempty" enum:"udh8,udh16,sar,payload" default:"udh8" doc:"how parts are marked"`
}

// Segmentation is how a text is encoded and cut.
type Segmentation struct {
	Encoding string        `json:"encoding" enum:"gsm7,ucs2,latin1,ascii,binary"`
	Units    int           `json:"units"`
	Parts    []Part        `json:"parts"`
	Options  []text.Saving `json:"options" doc:"what it comes to with each text option"`
}

func (f *face) noticeOperations() {
	operation(f, ScopeNotices, huma.Operation{OperationID: "send-notice", Method: http.MethodPost, Path: "/v1/notices", Tags: []string{"notices"},
		Summary:       "Send a notice, or see what would be sent",
		Description:   "The service's template is filled in, in the subscriber's language. 202: it is on disk and will be sent. With dry_run 200: text, parts, route, hold, and what each text option would save.",
		DefaultStatus: http.StatusAccepted, Responses: map[string]*huma.Response{"200": {Description: "dry_run: what would be sent", Content: map[string]*huma.MediaType{
			"application/json": {Schema: f.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[NoticeAnswer](), true, "NoticeAnswer")},
		}}},
		Errors: []int{http.StatusNotFound, http.StatusConflict, http.StatusNotImplemented}}, f.postNotice)
	operation(f, ScopeNotices, huma.Operation{OperationID: "notice", Method: http.MethodGet, Path: "/v1/notices/{id}", Tags: []string{"notices"},
		Summary: "Where a notice is", Errors: []int{http.StatusBadRequest, http.StatusNotFound}}, f.getNotice)
	operation(f, 0, huma.Operation{OperationID: "segment", Method: http.MethodPost, Path: "/v1/segment", Tags: []string{"notices"},
		Summary: "How a text is encoded and cut into parts", Description: "With what each text option would save. Any key may ask."}, f.segment)
}

// account is the system_id that c sends under.
func (c *caller) system(asked string) (string, error) {
	switch {
	case c.account == "" && c.scopes&scopeOperator == 0:
		return "", problem(http.StatusForbidden, fmt.Sprintf("key %s has no account to send under (api.keys account)", c.name))
	case c.account == "" && asked == "":
		return "", problem(http.StatusUnprocessableEntity, "validation failed", mistake("body.account", nil, "is needed: the system_id to send under"))
	case c.account != "" && asked != "" && asked != c.account:
		return "", problem(http.StatusForbidden, fmt.Sprintf("key %s sends under account %s alone", c.name, c.account))
	case c.account != "":
		return c.account, nil
	}
	return asked, nil
}

type noticeOutput struct {
	Status   int
	Replayed string `header:"Idempotency-Replayed" doc:"true: this was answered before, nothing was sent now"`
	Body     NoticeAnswer
}

func (f *face) postNotice(ctx context.Context, in *struct {
	Idempotent
	Body NoticeRequest
}) (*noticeOutput, error) {
	c, q, now := from(ctx), &in.Body, f.opt.Now()
	var o *service.Once
	if in.Key != "" && !q.DryRun {
		if _, err := f.registry(); err != nil {
			return nil, err
		}
		var err error
		if o, err = f.once(c, in.Key, "send-notice", q); err != nil {
			return nil, err
		}
		k, err := replay(ctx, f.opt.Registry, o)
		if err != nil {
			return nil, err
		}
		if k != nil {
			was, err := as[NoticeAnswer](k)
			if err != nil {
				return nil, err
			}
			if was.Body.MessageID != "" {
				return &noticeOutput{http.StatusAccepted, was.Replayed, was.Body}, nil
			}
		}
	}
	n, out, err := f.notice(ctx, c, q, now)
	if err != nil {
		return nil, err
	}
	if q.DryRun {
		if out.Trial, err = f.try(ctx, n); err != nil {
			return nil, err
		}
		return &noticeOutput{Status: http.StatusOK, Body: *out}, nil
	}
	if o != nil {
		// The gateway knows a request by this, so that one that was cut off between its two
		// stores is finished by being sent again, and not sent twice.
		sum := sha256.Sum256([]byte(o.Key))
		n.Once = sum[:]
		claim := *o
		claim.Key, claim.Answer = o.Key+claimSuffix, keep(*out, nil)
		_, err := f.opt.Registry.Apply(ctx, service.Batch{Once: &claim})
		if err != nil && !errors.Is(err, service.ErrOnceKnown) {
			return nil, err
		}
	}
	id, err := f.opt.Notices.Submit(ctx, *n)
	if err != nil {
		return nil, submitProblem(err)
	}
	out.MessageID = id.String()
	if o != nil {
		o.Answer = keep(*out, nil)
		if _, err := f.opt.Registry.Apply(ctx, service.Batch{Once: o}); err != nil && !errors.Is(err, service.ErrOnceKnown) {
			return nil, err
		}
	}
	return &noticeOutput{Status: http.StatusAccepted, Body: *out}, nil
}

// claimSuffix marks the row that says which body a key was first used with, before
// anything was sent.
const claimSuffix = "\x00claim"

// notice checks a request and renders it.
func (f *face) notice(ctx context.Context, c *caller, q *NoticeRequest, now time.Time) (*gateway.Notice, *NoticeAnswer, error) {
	account, err := c.system(q.Account)
	if err != nil {
		return nil, nil, err
	}
	cat, err := f.catalogue()
	if err != nil {
		return nil, nil, err
	}
	var m mistakes
	n := &gateway.Notice{Account: account, Service: q.Service, Source: q.Source, Receipt: q.Receipt, Validity: time.Duration(q.Validity) * time.Second}
	s := cat.Service(q.Service)
	if s == nil {
		m.add("body.service", q.Service, "is no service of the catalogue")
	} else if !c.may(q.Service) {
		return nil, nil, problem(http.StatusForbidden, fmt.Sprintf("key %s may not name the service %s", c.name, q.Service))
	}
	f.addressee(&m, n, &q.To)
	if q.Schedule != nil {
		n.Schedule = *q.Schedule
	}
	language, err := f.language(&m, "body.language", q.Language)
	if err != nil {
		return nil, nil, err
	}
	if err := m.err(); err != nil {
		return nil, nil, err
	}
	out := &NoticeAnswer{Service: s.Code}
	if len(s.Versions) == 0 || q.Text != "" {
		return n, out, f.freeText(cat, s, q, n)
	}
	if language == "" {
		if language, err = f.languageTo(ctx, n); err != nil {
			return nil, nil, err
		}
	}
	done, err := cat.Render(s, language, q.Params, now)
	if err != nil {
		return nil, nil, renderProblem(s, err)
	}
	n.Text, n.Template = done.Text, done.Template(s.Code)
	out.Language, out.Template = done.Language, n.Template
	return n, out, nil
}

// freeText takes a text that is no template's.
func (f *face) freeText(cat *service.Catalogue, s *service.Service, q *NoticeRequest, n *gateway.Notice) error {
	var m mistakes
	if len(s.Versions) > 0 {
		m.add("body.text", nil, "service "+s.Code+" has a template: give params instead")
	} else if q.Text == "" {
		m.add("body.text", nil, "service "+s.Code+" has no template: a text is needed")
	}
	for name, value := range q.Params {
		if len(s.Versions) == 0 {
			m.add("body.params."+name, value, "service "+s.Code+" has no template")
		}
	}
	if link, ok := cat.Links(q.Text, s); !ok {
		m.add("body.text", link, "leads to a domain that the service has not registered")
	}
	n.Text = q.Text
	return m.err()
}

func (f *face) addressee(m *mistakes, n *gateway.Notice, to *Addressee) {
	switch {
	case (to.Person == "") == (to.Number == ""):
		m.add("body.to", nil, "exactly one of person and number is needed")
	case to.Person == "":
		n.Number = f.number(m, "body.to.number", to.Number)
	case f.opt.Registry == nil:
		m.add("body.to.person", nil, "this gateway keeps no subscribers: give a number")
	default:
		n.Person = f.person(m, "body.to.person", to.Person)
	}
}

// languageTo is the language of who a notice is for; empty: not said.
func (f *face) languageTo(ctx context.Context, n *gateway.Notice) (string, error) {
	if f.opt.Registry == nil {
		return "", nil
	}
	if n.Person == (service.Person{}) {
		return f.languageOf(ctx, n.Number)
	}
	sub, err := f.opt.Registry.Find(ctx, n.Person)
	if errors.Is(err, service.ErrNobody) {
		return "", problem(http.StatusUnprocessableEntity, "nobody is known by this reference", mistake("body.to.person", nil, "unknown_person"))
	}
	return sub.Language, err
}

// renderProblem tells each parameter that a template cannot take.
func renderProblem(s *service.Service, err error) error {
	if errors.Is(err, service.ErrNoTemplate) {
		return problem(http.StatusUnprocessableEntity, "service "+s.Code+" has no template in force", mistake("body.service", s.Code, err.Error()))
	}
	var m mistakes
	for _, e := range unjoin(err) {
		var p *service.ParamError
		if !errors.As(e, &p) {
			return err
		}
		m.add("body.params."+p.Param, nil, p.Rule)
	}
	return m.err()
}

func unjoin(err error) []error {
	if all, ok := err.(interface{ Unwrap() []error }); ok {
		return all.Unwrap()
	}
	return []error{err}
}

func (f *face) try(ctx context.Context, n *gateway.Notice) (*Trial, error) {
	t, err := f.opt.Notices.Try(ctx, *n)
	if err != nil {
		return nil, submitProblem(err)
	}
	out := &Trial{Number: t.Number.String(), Text: strings.Join(t.Parts, ""), Encoding: t.Encoding, Route: t.Route,
		HoldUntil: dated(t.HoldUntil), Dropped: t.Dropped, Parts: []Part{}, Options: text.Savings(n.Text, text.UDH8)}
	for i, part := range t.Parts {
		out.Parts = append(out.Parts, Part{part, t.Units[i]})
		out.Units += t.Units[i]
	}
	return out, nil
}

// busy are the refusals that go away by themselves.
var busy = []gateway.Refusal{gateway.OverWindow, gateway.OverRate, gateway.QueueFull, gateway.StoreBusy}

// down are the refusals that are not the request's fault.
var down = []gateway.Refusal{gateway.ShuttingDown, gateway.DiskFull, gateway.StoreFailed, gateway.RegistryFailed}

// submitProblem is the answer to a notice that the gateway did not take.
func submitProblem(err error) error {
	var e *gateway.SubmitError
	switch {
	case errors.Is(err, gateway.ErrNoAccount):
		return problem(http.StatusUnprocessableEntity, "no such account", mistake("body.account", nil, "is no system_id of the configuration"))
	case !errors.As(err, &e):
		return err
	}
	field := &huma.ErrorDetail{Location: "body", Message: e.Refusal.String() + " " + e.Status.String(), Value: nil}
	switch {
	case slices.Contains(busy, e.Refusal):
		return retry(http.StatusTooManyRequests, e.Error(), time.Second, field)
	case slices.Contains(down, e.Refusal):
		return retry(http.StatusServiceUnavailable, e.Error(), 10*time.Second, field)
	}
	if e.Refusal == gateway.ForeignService {
		return problem(http.StatusForbidden, e.Error(), field)
	}
	return problem(http.StatusUnprocessableEntity, e.Error(), field)
}

var stageNames = [...]string{queue.Waiting: "waiting", queue.Aside: "aside", queue.Sent: "sent", queue.Ended: "ended"}

func (f *face) getNotice(ctx context.Context, in *struct {
	ID      string `path:"id" doc:"message_id, 16 hex digits"`
	Account string `query:"account" maxLength:"15" doc:"system_id it was sent under; absent: the key's"`
}) (*struct{ Body NoticeState }, error) {
	account, err := from(ctx).system(in.Account)
	if err != nil {
		return nil, err
	}
	id, err := messageID(in.ID)
	if err != nil {
		return nil, err
	}
	v, err := f.opt.Notices.Message(ctx, account, id)
	switch {
	case errors.Is(err, queue.ErrUnknown), errors.Is(err, gateway.ErrNoAccount):
		return nil, problem(http.StatusNotFound, "the account has no such message; one that has ended is kept for store.history")
	case err != nil:
		return nil, err
	}
	return &struct{ Body NoticeState }{noticeState(id, &v)}, nil
}

func noticeState(id queue.ID, v *queue.View) NoticeState {
	m := v.M
	out := NoticeState{MessageID: id.String(), State: v.State.String(), Stage: stageNames[v.Stage], Service: m.ServiceType, Number: m.Dest.Addr,
		Source: m.Source.Addr, Template: m.Template, Marker: m.Marker, Error: v.Err, Accepted: m.Accepted.Time().UTC(), Expires: m.Expires.Time().UTC(), Parts: []NoticePart{}}
	if v.Stage == queue.Aside {
		out.Until = moment(v.Until)
	}
	out.Ended = moment(v.Ended)
	for _, p := range v.Parts {
		part := NoticePart{Part: int(p.Part), Of: int(p.Of), CarrierID: p.CarrierID, Sent: p.Sent.Time().UTC(), Error: p.Err, Done: moment(p.Done)}
		if p.State != 0 {
			part.State = p.State.String()
		}
		out.Parts = append(out.Parts, part)
	}
	return out
}

func moment(t queue.Time) *time.Time {
	if t == 0 {
		return nil
	}
	return dated(t.Time())
}

func (f *face) segment(_ context.Context, in *struct{ Body SegmentRequest }) (*struct{ Body Segmentation }, error) {
	style, err := text.ParseStyle(in.Body.Style)
	if err != nil {
		return nil, problem(http.StatusUnprocessableEntity, "validation failed", mistake("body.style", in.Body.Style, err.Error()))
	}
	e := text.Choose(in.Body.Text)
	parts, err := text.Split(in.Body.Text, e, style)
	if err != nil {
		return nil, problem(http.StatusUnprocessableEntity, "validation failed", mistake("body.text", nil, err.Error()))
	}
	out := &struct{ Body Segmentation }{Segmentation{Encoding: e.String(), Units: text.Units(in.Body.Text, e), Parts: []Part{}, Options: text.Savings(in.Body.Text, style)}}
	for _, p := range parts {
		out.Body.Parts = append(out.Body.Parts, Part{p, text.Units(p, e)})
	}
	return out, nil
}
