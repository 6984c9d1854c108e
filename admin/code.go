package admin

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	lru "github.com/hashicorp/golang-lru/v2"

	"masar/gateway"
	"masar/number"
	"masar/ratelimit"
	"masar/service"
)

// codeLimit keeps a number from being sent code after code, whoever asks for them.
type codeLimit struct {
	mu   sync.Mutex
	sent *lru.Cache[number.E164, *ratelimit.Bucket]
}

const codeNumbers = 100_000 // remembered at a time: some 15 MiB

func newCodeLimit() *codeLimit {
	sent, err := lru.New[number.E164, *ratelimit.Bucket](codeNumbers)
	if err != nil {
		panic(err) // the size is a constant
	}
	return &codeLimit{sent: sent}
}

// take tells how long it is until n may be sent a code; 0: now.
func (l *codeLimit) take(n number.E164, perHour int, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	b, ok := l.sent.Get(n)
	if !ok {
		fresh := ratelimit.NewBucket(float64(perHour)/3600, float64(perHour))
		b = &fresh
		l.sent.Add(n, b)
	}
	return b.Take(now, 1)
}

func (o *Options) codes() Codes {
	var c Codes
	if o.Codes != nil {
		c = o.Codes()
	}
	if c.TTL <= 0 {
		c.TTL = 10 * time.Minute
	}
	if c.Digits < 4 || c.Digits > 10 {
		c.Digits = 6
	}
	if c.PerHour <= 0 {
		c.PerHour = 5
	}
	return c
}

// newCode is so many random digits.
func newCode(digits int) (string, error) {
	n, err := rand.Int(rand.Reader, new(big.Int).Exp(big.NewInt(10), big.NewInt(int64(digits)), nil))
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%0*d", digits, n), nil
}

// sendCode makes a code for a number, keeps its hash, and sends it.
func (a *api) sendCode(ctx context.Context, c *caller, n number.E164, language string) error {
	prepared, err := a.prepareCode(ctx, c, n, language)
	if err != nil {
		return err
	}
	all, err := a.opt.Registry.Apply(ctx, service.Batch{Changes: []service.Change{prepared.change}})
	if err == nil && all[0].Err != nil {
		err = all[0].Err
	}
	if err != nil {
		return err
	}
	return a.deliver(ctx, prepared)
}

// preparedCode is a code that is not on its way yet.
type preparedCode struct {
	change service.Change
	notice gateway.Notice
}

// prepareCode does all that can go wrong before anything is stored.
func (a *api) prepareCode(ctx context.Context, c *caller, n number.E164, language string) (*preparedCode, error) {
	o, now := a.opt.codes(), a.opt.Now()
	cat, err := a.catalogue()
	if err != nil {
		return nil, err
	}
	s := cat.Service(o.Service)
	if s == nil {
		return nil, problem(http.StatusNotImplemented, "this gateway sends no codes (subscribers.code.service)")
	}
	if language == "" {
		if language, err = a.languageOf(ctx, n); err != nil {
			return nil, err
		}
	}
	code, err := newCode(o.Digits)
	if err != nil {
		return nil, err
	}
	text, err := cat.Render(s, language, map[string]string{"code": code}, now)
	if err != nil {
		return nil, fmt.Errorf("the template of %s: %w", s.Code, err)
	}
	if wait := a.sent.take(n, o.PerHour, now); wait > 0 {
		return nil, retry(http.StatusTooManyRequests, fmt.Sprintf("the number has been sent %d codes: the next one in %s", o.PerHour, wait.Round(time.Second)), wait)
	}
	return &preparedCode{
		change: service.Change{Kind: service.IssueCode, Number: n, Code: code, Until: now.Add(o.TTL), Channel: c.channel, Now: now},
		notice: gateway.Notice{Account: o.Account, Service: s.Code, Number: n, Text: text.Text, Template: text.Template(s.Code), Validity: o.TTL, System: true},
	}, nil
}

func (a *api) deliver(ctx context.Context, p *preparedCode) error {
	if _, err := a.opt.Notices.Submit(ctx, p.notice); err != nil {
		a.met.codes.WithLabelValues("not_sent").Inc()
		return submitProblem(err)
	}
	a.met.codes.WithLabelValues("sent").Inc()
	return nil
}

// languageOf is the language of whoever has a number; empty: not said.
func (a *api) languageOf(ctx context.Context, n number.E164) (string, error) {
	st, err := a.opt.Registry.Lookup(ctx, n)
	if err != nil || st == nil {
		return "", err
	}
	for i := range st.People {
		if l := st.People[i].Language; l != "" {
			return l, nil
		}
	}
	return "", nil
}

// CodeRequest asks for a code.
type CodeRequest struct {
	Person   string `json:"person,omitempty" maxLength:"64" doc:"the agency's reference: it goes to his number"`
	Number   string `json:"number,omitempty" maxLength:"64"`
	Language string `json:"language,omitempty" maxLength:"35" doc:"absent: the person's"`
}

// CodeSent says where a code went.
type CodeSent struct {
	Number  string    `json:"number"`
	Expires time.Time `json:"expires" doc:"until when it can be entered"`
}

// VerifyRequest tells the code that was entered.
type VerifyRequest struct {
	Person string `json:"person,omitempty" maxLength:"64" doc:"the agency's reference: whose number got the code"`
	Number string `json:"number,omitempty" maxLength:"64" doc:"which got the code"`
	Code   string `json:"code" pattern:"^[0-9]{4,10}$" patternDescription:"4 to 10 digits"`
	By     string `json:"by,omitempty" maxLength:"64" doc:"which clerk or user of the channel"`
}

func (f *face) codeOperations() {
	operation(f, ScopeEnrol, huma.Operation{OperationID: "send-code", Method: http.MethodPost, Path: "/v1/codes", Tags: []string{"codes"},
		Summary: "Send a code to a number again", Description: "For a number at which something waits for one: pending services, or a suspended subscriber. Only so many an hour for one number.",
		DefaultStatus: http.StatusAccepted, Errors: []int{http.StatusNotFound, http.StatusConflict, http.StatusNotImplemented}}, f.postCode)
	operation(f, ScopeEnrol, huma.Operation{OperationID: "verify-code", Method: http.MethodPost, Path: "/v1/codes/verify", Tags: []string{"codes"},
		Summary: "Tell the code that a person entered", Description: "What is pending at the number becomes enrolled, who is suspended there becomes active. After a few wrong codes the right one does not count any more.",
		Errors: []int{http.StatusNotFound, http.StatusConflict, http.StatusNotImplemented}}, f.verify)
}

// at is the number that a person or a number means, where the caller may know it.
func (f *face) at(ctx context.Context, c *caller, person, written string) (number.E164, *service.Standing, error) {
	r, err := f.registry()
	if err != nil {
		return 0, nil, err
	}
	var m mistakes
	var ch service.Change
	f.subject(&m, &ch, person, written)
	if err := m.err(); err != nil {
		return 0, nil, err
	}
	if err := f.visible(ctx, r, c, ch.Person, ch.Number); err != nil {
		return 0, nil, err
	}
	if ch.Person != (service.Person{}) {
		sub, err := r.Find(ctx, ch.Person)
		if err != nil {
			return 0, nil, err
		}
		if ch.Number != 0 && ch.Number != sub.Number {
			return 0, nil, problem(http.StatusUnprocessableEntity, "validation failed", mistake("body.number", written, "is not the person's number"))
		}
		ch.Number = sub.Number
	}
	st, err := r.Lookup(ctx, ch.Number)
	if err == nil && st == nil {
		err = service.ErrNobody
	}
	return ch.Number, st, err
}

func (f *face) postCode(ctx context.Context, in *struct {
	Idempotent
	Body CodeRequest
}) (*answer[CodeSent], error) {
	c := from(ctx)
	var m mistakes
	language, err := f.language(&m, "body.language", in.Body.Language)
	if err == nil {
		err = m.err()
	}
	if err != nil {
		return nil, err
	}
	n, st, err := f.at(ctx, c, in.Body.Person, in.Body.Number)
	if err != nil {
		return nil, err
	}
	o, err := f.once(c, in.Key, "send-code", &in.Body)
	if err != nil {
		return nil, err
	}
	if o != nil {
		if k, err := replay(ctx, f.opt.Registry, o); err != nil {
			return nil, err
		} else if k != nil {
			return as[CodeSent](k)
		}
	}
	if !waits(st) {
		return nil, problem(http.StatusConflict, "nothing waits for a code at this number: no service is pending and nobody is suspended")
	}
	p, err := f.prepareCode(ctx, c, n, language)
	if err != nil {
		return nil, err
	}
	out, err := apply(ctx, f.api, c, o, []service.Change{p.change}, func(all []service.Outcome) (CodeSent, *huma.ErrorModel) {
		if all[0].Err != nil {
			return CodeSent{}, problem(http.StatusUnprocessableEntity, "refused", mistake("body."+all[0].Err.Field, nil, all[0].Err.Rule))
		}
		return CodeSent{Number: n.String(), Expires: p.change.Until.UTC()}, nil
	})
	if err != nil || out.Replayed != "" {
		return out, err
	}
	return out, f.deliver(ctx, p)
}

// waits tells whether a code would change anything for a number.
func waits(st *service.Standing) bool {
	for i := range st.People {
		if st.People[i].State != service.Active {
			return true
		}
		for k := range st.People[i].Enrolments {
			if st.People[i].Enrolments[k].State == service.Pending {
				return true
			}
		}
	}
	return false
}

func (f *face) verify(ctx context.Context, in *struct {
	Idempotent
	Body VerifyRequest
}) (*answer[Consent], error) {
	c, now := from(ctx), f.opt.Now()
	var m mistakes
	by := clerk(&m, in.Body.By)
	if err := m.err(); err != nil {
		return nil, err
	}
	n, st, err := f.at(ctx, c, in.Body.Person, in.Body.Number)
	if err != nil {
		return nil, err
	}
	o, err := f.once(c, in.Key, "verify-code", &in.Body)
	if err != nil {
		return nil, err
	}
	ch := service.Change{Kind: service.Verify, Number: n, Code: in.Body.Code, Channel: c.channel, By: by, Now: now}
	mine := c.pending(st)
	out, err := apply(ctx, f.api, c, o, []service.Change{ch}, func(all []service.Outcome) (Consent, *huma.ErrorModel) {
		body, refused := c.consent(&ch, &all[0])
		if refused == nil && c.scopes&ScopeAllChannels == 0 {
			// The code is the number's: it also frees what others enrolled, which is not c's to see.
			shown := []string{}
			for _, code := range body.Moved {
				if mine[code] {
					shown = append(shown, code)
				}
			}
			body.Moved = shown
		}
		return body, refused
	})
	switch {
	case err != nil && isRefusal(err):
		f.met.codes.WithLabelValues("wrong").Inc()
	case err == nil && out.Replayed == "":
		f.met.codes.WithLabelValues("verified").Inc()
	}
	return out, err
}

// pending are the services that wait for a code at a number and are c's to see.
func (c *caller) pending(st *service.Standing) map[string]bool {
	all := map[string]bool{}
	for i := range st.People {
		for k := range st.People[i].Enrolments {
			if e := &st.People[i].Enrolments[k]; e.State == service.Pending && c.seesEnrolment(e) {
				all[e.Service] = true
			}
		}
	}
	return all
}

func isRefusal(err error) bool {
	var e *huma.ErrorModel
	return errors.As(err, &e) && e.Status == http.StatusUnprocessableEntity
}

// oneLine is an error's words for a field of an answer.
func oneLine(err error) string {
	var e *huma.ErrorModel
	if !errors.As(err, &e) {
		return "the gateway could not do it"
	}
	p, _ := asProblem(nil, "", e)
	return strings.ReplaceAll(p.(*Problem).Error, "\n", " ")
}
