package admin

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"masar/service"
)

// EnrolRequest enrols a person.
type EnrolRequest struct {
	Person   string     `json:"person,omitempty" maxLength:"64" doc:"the agency's reference (an identity or residence number), of which only a keyed hash is kept. Absent: whoever has the number"`
	Number   string     `json:"number,omitempty" maxLength:"64" doc:"needed for who is not known yet"`
	Services []string   `json:"services" minItems:"1" maxItems:"200" nullable:"false" doc:"codes of the catalogue"`
	Language string     `json:"language,omitempty" maxLength:"35" doc:"one of the catalogue's"`
	Verified bool       `json:"verified,omitempty" doc:"the channel has checked that the number is the person's"`
	ByPerson bool       `json:"by_person,omitempty" doc:"the person said so himself, now: overrules a withdrawal of his"`
	Channel  string     `json:"channel,omitempty" maxLength:"64" doc:"which channel made it, for who may speak for all of them (all-channels); absent: the key's"`
	By       string     `json:"by,omitempty" maxLength:"64" doc:"which clerk or user of the channel"`
	At       *time.Time `json:"at,omitempty" doc:"when consent was given; absent: undated, and then older than any withdrawal"`
}

// WithdrawRequest takes a person off services.
type WithdrawRequest struct {
	Person   string     `json:"person,omitempty" maxLength:"64" doc:"the agency's reference"`
	Number   string     `json:"number,omitempty" maxLength:"64" doc:"everybody who has it, where no person is named"`
	Services []string   `json:"services,omitempty" maxItems:"200" doc:"absent: all"`
	ByPerson bool       `json:"by_person,omitempty" doc:"the person said so himself: outlives older and undated consents"`
	Channel  string     `json:"channel,omitempty" maxLength:"64" doc:"which channel made it, for who may speak for all of them (all-channels); absent: the key's"`
	By       string     `json:"by,omitempty" maxLength:"64" doc:"which clerk or user of the channel"`
	At       *time.Time `json:"at,omitempty" doc:"when; absent: now"`
}

// Consent is what became of a change.
type Consent struct {
	Changed     bool     `json:"changed" doc:"false: it was so already"`
	Number      string   `json:"number,omitempty" doc:"the person's, afterwards"`
	People      int      `json:"people" doc:"how many persons it touched"`
	Moved       []string `json:"moved" doc:"services whose state changed"`
	Pending     []string `json:"pending,omitempty" doc:"services that wait for the code sent to the number"`
	Kept        []string `json:"kept_withdrawn,omitempty" doc:"services that a withdrawal of the person himself keeps withdrawn"`
	CodeNotSent string   `json:"code_not_sent,omitempty" doc:"why no code is on its way: POST /v1/codes sends one"`
}

func (f *face) enrol(ctx context.Context, in *struct {
	Idempotent
	Body EnrolRequest
}) (*answer[Consent], error) {
	r, err := f.registry()
	if err != nil {
		return nil, err
	}
	c, now, q := from(ctx), f.opt.Now(), &in.Body
	var m mistakes
	ch := service.Change{Kind: service.Enrol, Verified: q.Verified, ByPerson: q.ByPerson,
		Channel: c.speaksFor(&m, q.Channel), By: clerk(&m, q.By), At: said(&m, q.At, now), Now: now}
	f.subject(&m, &ch, q.Person, q.Number)
	if ch.Services, err = f.services(&m, c, q.Services); err != nil {
		return nil, err
	}
	if ch.Language, err = f.language(&m, "body.language", q.Language); err != nil {
		return nil, err
	}
	if err := m.err(); err != nil {
		return nil, err
	}
	if ch.Person == (service.Person{}) {
		// Somebody whom no agency has named, unless there is somebody at the number.
		st, err := r.Lookup(ctx, ch.Number)
		if err != nil {
			return nil, err
		}
		if st == nil || len(st.People) == 0 {
			ch.Person = f.opt.PersonKey.OfNumber(ch.Number)
		}
	}
	return f.consent(ctx, c, in.Key, "enrol", q, ch)
}

func (f *face) withdraw(ctx context.Context, in *struct {
	Idempotent
	Body WithdrawRequest
}) (*answer[Consent], error) {
	if _, err := f.registry(); err != nil {
		return nil, err
	}
	c, now, q := from(ctx), f.opt.Now(), &in.Body
	var m mistakes
	ch := service.Change{Kind: service.Withdraw, ByPerson: q.ByPerson, Only: c.only(),
		Channel: c.speaksFor(&m, q.Channel), By: clerk(&m, q.By), At: said(&m, q.At, now), Now: now}
	if ch.At.IsZero() {
		ch.At = now
	}
	f.subject(&m, &ch, q.Person, q.Number)
	var err error
	if ch.Services, err = f.services(&m, c, q.Services); err != nil {
		return nil, err
	}
	if len(ch.Services) == 0 {
		ch.Services = c.services // all that the key may name
	}
	if err := m.err(); err != nil {
		return nil, err
	}
	return f.consent(ctx, c, in.Key, "withdraw", q, ch)
}

// consent makes one change and, where it left services waiting for a code, sends it.
func (f *face) consent(ctx context.Context, c *caller, key, operation string, asked any, ch service.Change) (*answer[Consent], error) {
	o, err := f.once(c, key, operation, asked)
	if err != nil {
		return nil, err
	}
	out, err := apply(ctx, f.api, c, o, []service.Change{ch}, func(all []service.Outcome) (Consent, *huma.ErrorModel) {
		return c.consent(&ch, &all[0])
	})
	if err != nil || out.Replayed != "" || len(out.Body.Pending) == 0 {
		return out, err
	}
	n := ch.Number
	if n == 0 {
		n = f.number(new(mistakes), "", out.Body.Number)
	}
	if err := f.sendCode(ctx, c, n, ch.Language); err != nil {
		out.Body.CodeNotSent = oneLine(err)
	}
	return out, nil
}

// consent is the answer about one change.
func (c *caller) consent(ch *service.Change, o *service.Outcome) (Consent, *huma.ErrorModel) {
	if o.Err != nil {
		return Consent{}, problem(http.StatusUnprocessableEntity, "refused", mistake("body."+o.Err.Field, nil, o.Err.Rule))
	}
	out := Consent{Changed: o.Effect == service.Changed, People: o.People, Moved: o.Moved, Pending: o.Pending, Kept: o.Kept}
	if out.Moved == nil {
		out.Moved = []string{}
	}
	// A withdrawal of what is not there tells nothing of the person.
	if ch.Kind != service.Withdraw || len(o.Moved) > 0 || c.scopes&ScopeAllChannels != 0 {
		out.Number = o.Number.String()
	}
	if ch.Kind == service.Withdraw && out.Number == "" {
		out.People = 0
	}
	return out, nil
}

// services checks codes against the catalogue and the caller's key.
func (a *api) services(m *mistakes, c *caller, codes []string) ([]string, error) {
	if len(codes) == 0 {
		return nil, nil
	}
	cat, err := a.catalogue()
	if err != nil {
		return nil, err
	}
	var foreign, all []string
	for i, code := range codes {
		switch {
		case cat.Service(code) == nil:
			m.add(fmt.Sprintf("body.services[%d]", i), code, "is no service of the catalogue")
		case !c.may(code):
			foreign = append(foreign, code)
		case !slices.Contains(all, code):
			all = append(all, code)
		}
	}
	if len(foreign) > 0 {
		return nil, problem(http.StatusForbidden, fmt.Sprintf("key %s may not name the service %s", c.name, strings.Join(foreign, ", ")))
	}
	return all, nil
}

// language checks one against the catalogue; empty is none.
func (a *api) language(m *mistakes, field, language string) (string, error) {
	if language == "" {
		return "", nil
	}
	cat, err := a.catalogue()
	if err != nil {
		return "", err
	}
	if !slices.Contains(cat.Languages(), language) {
		m.add(field, language, "is no language of the catalogue: "+strings.Join(cat.Languages(), ", "))
	}
	return language, nil
}
