package admin

import (
	"context"
	"encoding/hex"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"masar/number"
	"masar/service"
)

// Subscriber is a person as the API tells of him.
type Subscriber struct {
	ID         string      `json:"id" doc:"what is kept instead of the person's reference: 32 hex digits"`
	Number     string      `json:"number"`
	Language   string      `json:"language,omitempty"`
	State      string      `json:"state" enum:"active,recycled,unreachable"`
	Since      time.Time   `json:"since"`
	Enrolments []Enrolment `json:"enrolments"`
}

// Enrolment is how a Subscriber stands with one service.
type Enrolment struct {
	Service  string     `json:"service"`
	State    string     `json:"state" enum:"enrolled,pending,withdrawn"`
	Channel  string     `json:"channel" doc:"which made it"`
	At       *time.Time `json:"at,omitempty" doc:"when consent was given or taken back; absent: undated"`
	ByPerson bool       `json:"by_person,omitempty" doc:"he withdrew himself: an older or undated consent does not come back"`
}

// Subscribers is who has a number, or one person.
type Subscribers struct {
	Subscribers []Subscriber `json:"subscribers"`
	Block       *Block       `json:"block,omitempty" doc:"of the number, where it is blocked"`
}

// HistoryRow is one thing that happened to a person.
type HistoryRow struct {
	At       time.Time  `json:"at" doc:"when it reached the gateway"`
	Kind     string     `json:"kind" enum:"enrol,withdraw,number,language,recycled,code,verify,unknown,block,unblock,erase"`
	Services []string   `json:"services,omitempty"`
	Number   string     `json:"number,omitempty" doc:"the new one of a change"`
	Was      string     `json:"was,omitempty" doc:"the old one of a change"`
	Channel  string     `json:"channel"`
	By       string     `json:"by,omitempty"`
	Consent  *time.Time `json:"consent,omitempty"`
	Verified bool       `json:"verified,omitempty"`
	ByPerson bool       `json:"by_person,omitempty"`
}

const tagSubscribers = "subscribers"

func (f *face) subscriberOperations() {
	operation(f, ScopeEnrol, huma.Operation{OperationID: "enrol", Method: http.MethodPost, Path: "/v1/enrolments", Tags: []string{tagSubscribers},
		Summary:     "Enrol a person in services",
		Description: "Without verified the services wait (pending) for a code that is sent to the number. What the person withdrew himself stays withdrawn (kept_withdrawn) unless at is later or by_person is set.",
		Errors:      []int{http.StatusConflict, http.StatusNotImplemented}}, f.enrol)
	operation(f, ScopeWithdraw, huma.Operation{OperationID: "withdraw", Method: http.MethodPost, Path: "/v1/withdrawals", Tags: []string{tagSubscribers},
		Summary:     "Take a person off services",
		Description: "Without services: off all of them. Recorded also for who was never enrolled, so that a later file with an older consent changes nothing. Without all-channels only what the channel enrolled.",
		Errors:      []int{http.StatusConflict, http.StatusNotImplemented}}, f.withdraw)
	operation(f, ScopeRead, huma.Operation{OperationID: "subscribers", Method: http.MethodGet, Path: "/v1/subscribers", Tags: []string{tagSubscribers},
		Summary: "Look up a person, or who has a number", Errors: []int{http.StatusNotFound, http.StatusNotImplemented}}, f.lookUp)
	operation(f, ScopeRead, huma.Operation{OperationID: "history", Method: http.MethodGet, Path: "/v1/subscribers/history", Tags: []string{tagSubscribers},
		Summary: "What happened to a person, oldest first", Errors: []int{http.StatusNotFound, http.StatusNotImplemented}}, f.history)
	operation(f, ScopeNumber, huma.Operation{OperationID: "change-number", Method: http.MethodPost, Path: "/v1/subscribers/number", Tags: []string{tagSubscribers},
		Summary:     "Give a person a new number",
		Description: "His enrolments and what waits to be sent to him move with it. Without verified they wait for a code that is sent to the new number.",
		Errors:      []int{http.StatusNotFound, http.StatusConflict, http.StatusNotImplemented}}, f.changeNumber)
	operation(f, ScopeNumber, huma.Operation{OperationID: "recycled", Method: http.MethodPost, Path: "/v1/subscribers/recycled", Tags: []string{tagSubscribers},
		Summary: "Report that a number is somebody else's now", Description: "Who had it is suspended until verified again.",
		Errors: []int{http.StatusNotFound, http.StatusConflict, http.StatusNotImplemented}}, f.recycled)
	operation(f, ScopeWithdraw|ScopeAllChannels, huma.Operation{OperationID: "erase", Method: http.MethodDelete, Path: "/v1/subscribers", Tags: []string{tagSubscribers},
		Summary: "Remove a person with his history", Description: "His own withdrawals stay as a bare mark, so that a later file does not enrol him again.",
		DefaultStatus: http.StatusNoContent, Errors: []int{http.StatusNotFound, http.StatusNotImplemented}}, f.erase)
}

// whoQuery names a person or a number, in exactly one way.
type whoQuery struct {
	Person string `query:"person" maxLength:"64" doc:"the agency's reference"`
	Number string `query:"number" maxLength:"64"`
	ID     string `query:"id" pattern:"^[0-9a-fA-F]{32}$" patternDescription:"32 hex digits" doc:"as an answer told it"`
}

// who is what a whoQuery means: a person, or a number.
func (a *api) who(q *whoQuery, numbers bool) (p service.Person, n number.E164, err error) {
	var m mistakes
	given := 0
	for _, s := range []string{q.Person, q.Number, q.ID} {
		if s != "" {
			given++
		}
	}
	switch {
	case given != 1 && numbers:
		return p, 0, problem(http.StatusUnprocessableEntity, "exactly one of person, number and id is needed")
	case given != 1 || q.Number != "" && !numbers:
		return p, 0, problem(http.StatusUnprocessableEntity, "exactly one of person and id is needed")
	case q.ID != "":
		hex.Decode(p[:], []byte(q.ID)) // its pattern was checked
	case q.Person != "":
		p = a.person(&m, "query.person", q.Person)
	default:
		n = a.number(&m, "query.number", q.Number)
	}
	return p, n, m.err()
}

// number reads a number as people write it.
func (a *api) number(m *mistakes, field, written string) number.E164 {
	n, err := number.Parse(written, a.opt.Country)
	if err != nil {
		m.add(field, written, a.numberRule(err))
	}
	return n
}

// person hashes a reference: from here on nobody knows it.
func (a *api) person(m *mistakes, field, reference string) service.Person {
	p := a.opt.PersonKey.Person(reference)
	if p == (service.Person{}) {
		m.add(field, reference, "is no reference: it has no letter and no digit")
	}
	return p
}

func (f *face) lookUp(ctx context.Context, q *whoQuery) (*struct{ Body Subscribers }, error) {
	r, err := f.registry()
	if err != nil {
		return nil, err
	}
	p, n, err := f.who(q, true)
	if err != nil {
		return nil, err
	}
	c := from(ctx)
	out := new(struct{ Body Subscribers })
	var people []service.Subscriber
	if n == 0 {
		sub, err := r.Find(ctx, p)
		if err != nil {
			return nil, err
		}
		people, n = []service.Subscriber{sub}, sub.Number
	}
	st, err := r.Lookup(ctx, n)
	if err != nil {
		return nil, err
	}
	if st != nil {
		if people == nil {
			people = st.People
		}
		if st.Block.In(f.opt.Now()) != service.BlockNone && c.sees(st.Block.Channel) {
			out.Body.Block = block(n, &st.Block)
		}
	}
	out.Body.Subscribers = []Subscriber{}
	for i := range people {
		if sub, ok := c.view(&people[i]); ok {
			out.Body.Subscribers = append(out.Body.Subscribers, sub)
		}
	}
	// Who asks for a person and may see nothing of him is answered as if he were nobody,
	// and learns of his number's block no more than that.
	if len(out.Body.Subscribers) == 0 && (q.Number == "" || out.Body.Block == nil) {
		return nil, service.ErrNobody
	}
	return out, nil
}

// view is what c may see of a subscriber; false: nothing.
func (c *caller) view(s *service.Subscriber) (Subscriber, bool) {
	out := Subscriber{ID: s.Person.String(), Number: s.Number.String(), Language: s.Language, State: s.State.String(), Since: s.Since.UTC(), Enrolments: []Enrolment{}}
	for i := range s.Enrolments {
		if e := &s.Enrolments[i]; c.seesEnrolment(e) {
			out.Enrolments = append(out.Enrolments, Enrolment{Service: e.Service, State: e.State.String(), Channel: e.Channel, At: dated(e.At), ByPerson: e.ByPerson})
		}
	}
	return out, len(out.Enrolments) > 0 || c.scopes&ScopeAllChannels != 0
}

func (c *caller) seesEnrolment(e *service.Enrolment) bool {
	return c.sees(e.Channel) && c.may(e.Service)
}

// may tells whether c's key lets it name a service.
func (c *caller) may(code string) bool { return c.services == nil || slices.Contains(c.services, code) }

// dated is a time for an answer; nil: it has none.
func dated(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	t = t.UTC()
	return &t
}

func (f *face) history(ctx context.Context, q *struct {
	Person string `query:"person" maxLength:"64" doc:"the agency's reference"`
	ID     string `query:"id" pattern:"^[0-9a-fA-F]{32}$" patternDescription:"32 hex digits" doc:"as an answer told it"`
}) (*struct {
	Body struct {
		History []HistoryRow `json:"history"`
	}
}, error) {
	r, err := f.registry()
	if err != nil {
		return nil, err
	}
	p, _, err := f.who(&whoQuery{Person: q.Person, ID: q.ID}, false)
	if err != nil {
		return nil, err
	}
	events, err := r.History(ctx, p)
	if err != nil {
		return nil, err
	}
	c := from(ctx)
	rows := []HistoryRow{}
	for i := range events {
		e := &events[i]
		if !c.sees(e.Channel) {
			continue
		}
		rows = append(rows, HistoryRow{At: e.At.UTC(), Kind: e.Kind.String(), Services: e.Services, Number: e.Number.String(), Was: e.Was.String(),
			Channel: e.Channel, By: e.By, Consent: dated(e.Consent), Verified: e.Verified, ByPerson: e.ByPerson})
	}
	if len(rows) == 0 {
		return nil, service.ErrNobody
	}
	out := new(struct {
		Body struct {
			History []HistoryRow `json:"history"`
		}
	})
	out.Body.History = rows
	return out, nil
}

// visible refuses what is about a person of whom the caller may see nothing, as if there
// were no such person.
func (f *face) visible(ctx context.Context, r service.Registry, c *caller, p service.Person, n number.E164) error {
	if c.scopes&ScopeAllChannels != 0 {
		return nil
	}
	var people []service.Subscriber
	if p != (service.Person{}) {
		sub, err := r.Find(ctx, p)
		if err != nil {
			return err
		}
		people = []service.Subscriber{sub}
	} else if st, err := r.Lookup(ctx, n); err != nil {
		return err
	} else if st != nil {
		people = st.People
	}
	for i := range people {
		if _, ok := c.view(&people[i]); ok {
			return nil
		}
	}
	return service.ErrNobody
}

// NumberRequest gives a person a new number.
type NumberRequest struct {
	Person   string     `json:"person" minLength:"1" maxLength:"64" doc:"the agency's reference"`
	Number   string     `json:"number" minLength:"1" maxLength:"64" doc:"the new one"`
	Verified bool       `json:"verified,omitempty" doc:"the channel has checked that the number is the person's"`
	Channel  string     `json:"channel,omitempty" maxLength:"64" doc:"which channel made it, for who may speak for all of them (all-channels); absent: the key's"`
	By       string     `json:"by,omitempty" maxLength:"64" doc:"which clerk or user of the channel"`
	At       *time.Time `json:"at,omitempty" doc:"when the person said so"`
}

func (f *face) changeNumber(ctx context.Context, in *struct {
	Idempotent
	Body NumberRequest
}) (*answer[Consent], error) {
	r, err := f.registry()
	if err != nil {
		return nil, err
	}
	c, now := from(ctx), f.opt.Now()
	var m mistakes
	ch := service.Change{Kind: service.SetNumber, Person: f.person(&m, "body.person", in.Body.Person), Number: f.number(&m, "body.number", in.Body.Number),
		Verified: in.Body.Verified, Channel: c.speaksFor(&m, in.Body.Channel), By: clerk(&m, in.Body.By), At: said(&m, in.Body.At, now), Now: now}
	if err := m.err(); err != nil {
		return nil, err
	}
	if err := f.visible(ctx, r, c, ch.Person, 0); err != nil {
		return nil, err
	}
	return f.consent(ctx, c, in.Key, "change-number", &in.Body, ch)
}

// RecycledRequest reports a number, or a person's number, to be somebody else's.
type RecycledRequest struct {
	Person  string `json:"person,omitempty" maxLength:"64" doc:"the agency's reference: only he is suspended"`
	Number  string `json:"number,omitempty" maxLength:"64" doc:"everybody who has it is suspended"`
	Channel string `json:"channel,omitempty" maxLength:"64" doc:"which channel made it, for who may speak for all of them (all-channels); absent: the key's"`
	By      string `json:"by,omitempty" maxLength:"64" doc:"which clerk or user of the channel"`
}

func (f *face) recycled(ctx context.Context, in *struct {
	Idempotent
	Body RecycledRequest
}) (*answer[Consent], error) {
	r, err := f.registry()
	if err != nil {
		return nil, err
	}
	c, now := from(ctx), f.opt.Now()
	var m mistakes
	ch := service.Change{Kind: service.MarkRecycled, Channel: c.speaksFor(&m, in.Body.Channel), By: clerk(&m, in.Body.By), Now: now}
	f.subject(&m, &ch, in.Body.Person, in.Body.Number)
	if err := m.err(); err != nil {
		return nil, err
	}
	if err := f.visible(ctx, r, c, ch.Person, ch.Number); err != nil {
		return nil, err
	}
	return f.consent(ctx, c, in.Key, "recycled", &in.Body, ch)
}

func (f *face) erase(ctx context.Context, in *struct {
	Person string `query:"person" maxLength:"64" doc:"the agency's reference"`
	ID     string `query:"id" pattern:"^[0-9a-fA-F]{32}$" patternDescription:"32 hex digits" doc:"as an answer told it"`
	By     string `query:"by" maxLength:"64" doc:"which clerk or user of the channel"`
}) (*none, error) {
	r, err := f.registry()
	if err != nil {
		return nil, err
	}
	c := from(ctx)
	p, _, err := f.who(&whoQuery{Person: in.Person, ID: in.ID}, false)
	if err != nil {
		return nil, err
	}
	if _, err := r.Find(ctx, p); err != nil {
		return nil, err
	}
	var m mistakes
	ch := service.Change{Kind: service.Erase, Person: p, Channel: c.channel, By: clerk(&m, in.By), Now: f.opt.Now()}
	if err := m.err(); err != nil {
		return nil, err
	}
	all, err := r.Apply(ctx, service.Batch{Changes: []service.Change{ch}})
	if err == nil && all[0].Err != nil {
		err = all[0].Err
	}
	return nil, err
}

// subject names the person or the number that a change is about, at least one of them.
func (a *api) subject(m *mistakes, ch *service.Change, person, number string) {
	if person == "" && number == "" {
		m.add("body", nil, "person or number is needed")
	}
	if person != "" {
		ch.Person = a.person(m, "body.person", person)
	}
	if number != "" {
		ch.Number = a.number(m, "body.number", number)
	}
}

// speaksFor is the channel of a change: c's own, or the one it names where it may.
func (c *caller) speaksFor(m *mistakes, channel string) string {
	if channel == "" || channel == c.channel {
		return c.channel
	}
	if c.scopes&ScopeAllChannels == 0 {
		m.add("body.channel", channel, "key "+c.name+" speaks for the channel "+c.channel+" alone: it lacks the scope all-channels")
	}
	return channel
}

const clerkMost = 64 // octets of Change.By

func clerk(m *mistakes, by string) string {
	if len(by) > clerkMost {
		m.add("body.by", by, fmt.Sprintf("has %d octets, at most %d are kept", len(by), clerkMost))
	}
	return by
}

// ahead is how much another clock may be ahead of ours.
const ahead = 5 * time.Minute

// said is when consent was given or taken back, as the caller tells it.
func said(m *mistakes, at *time.Time, now time.Time) time.Time {
	if at == nil {
		return time.Time{}
	}
	if at.After(now.Add(ahead)) {
		m.add("body.at", at, "is in the future")
	}
	if at.Year() < 2000 {
		m.add("body.at", at, "is before the year 2000")
	}
	return *at
}
