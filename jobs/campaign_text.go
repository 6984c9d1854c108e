package jobs

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"masar/gateway"
	"masar/number"
	"masar/queue"
	"masar/service"
	"masar/service/campaign"
	"masar/smpp/text"
)

// A wording makes notices of a campaign's rows, under the catalogue in force when it was
// made. It belongs to one goroutine.
type wording struct {
	k      *campaign.Campaign
	cat    *service.Catalogue
	s      *service.Service // nil: a plain account's
	reg    service.Registry
	now    func() time.Time
	params map[string]string
}

// unworded is why a row has no text.
type unworded struct {
	reason string // as a refusal: "unknown_person", "bad_params", "no_template"
	field  string
	rule   string
}

// The reasons of ours beside the gateway's refusals.
const (
	badParams     = "bad_params"
	noTemplate    = "no_template"
	unknownPerson = "unknown_person"
)

// wording is of the catalogue in force.
func (c *Campaigns) wording(k *campaign.Campaign) (*wording, error) {
	cat, s, err := c.serviceOf(k)
	if err != nil {
		return nil, err
	}
	w := &wording{k: k, cat: cat, s: s, reg: c.o.Registry, now: c.o.Now, params: map[string]string{}}
	if s == nil || len(s.Versions) == 0 {
		if k.Text == "" && !k.Texts && k.HasFile() {
			return nil, &campaign.FieldError{Field: "service", Rule: "service " + k.Service + " has no template any more: upload the file again"}
		}
		return w, nil
	}
	if k.Text != "" || k.Texts {
		return nil, &campaign.FieldError{Field: "service", Rule: "service " + s.Code + " has a template now: make the campaign anew"}
	}
	return w, nil
}

// schema is what the rows of a campaign's file have to hold.
func (c *Campaigns) schema(k *campaign.Campaign) (*campaign.Schema, error) {
	cat, s, err := c.serviceOf(k)
	if err != nil {
		return nil, err
	}
	sc := &campaign.Schema{Country: c.o.Country}
	if c.o.Registry != nil {
		sc.Key = c.o.Key
	}
	if cat != nil {
		known := map[string]bool{}
		for _, l := range cat.Languages() {
			known[l] = true
		}
		sc.Languages = func(tag string) bool { return known[tag] }
	}
	switch {
	case s != nil && len(s.Versions) > 0 && k.Text != "":
		return nil, &campaign.FieldError{Field: "service", Rule: "service " + s.Code + " has a template now: make the campaign anew"}
	case s != nil && len(s.Versions) > 0:
		for i := range s.Params {
			sc.Params = append(sc.Params, s.Params[i].Name)
		}
		params, now := map[string]string{}, c.o.Now()
		sc.Refuses = func(r *campaign.Row) *campaign.RowError {
			fill(params, sc.Params, r.Values)
			_, err := cat.Render(s, r.Language, params, now)
			if why := paramsWrong(err); why != nil {
				return &campaign.RowError{Field: why.field, Rule: why.rule}
			}
			return nil
		}
	case k.Text == "":
		sc.Texts = true
		if s != nil {
			sc.Refuses = func(r *campaign.Row) *campaign.RowError {
				if link, ok := cat.Links(r.Values[0], s); !ok {
					return &campaign.RowError{Field: "text", Rule: fmt.Sprintf("%q leads to a domain that the service has not registered", link)}
				}
				return nil
			}
		}
	}
	return sc, nil
}

// fill makes params of values. Names that are there of a row before are overwritten: every
// row has them all.
func fill(params map[string]string, names, values []string) {
	for i, name := range names {
		params[name] = ""
		if i < len(values) {
			params[name] = values[i]
		}
	}
}

// paramsWrong tells the first mistake that a template finds; nil: none, or none of a row's.
func paramsWrong(err error) *unworded {
	var p *service.ParamError
	if !errors.As(err, &p) {
		return nil
	}
	return &unworded{badParams, p.Param, p.Rule}
}

// notice makes a row's notice, in his language whom it is for.
func (w *wording) notice(ctx context.Context, r *campaign.Row) (n gateway.Notice, no *unworded, err error) {
	n = gateway.Notice{Account: w.k.Account, Service: w.k.Service, Number: r.Number, Person: r.Person, Text: w.k.Text}
	switch {
	case w.k.Texts:
		n.Text = r.Values[0]
		return n, nil, nil
	case w.s == nil || len(w.s.Versions) == 0:
		return n, nil, nil
	}
	language := r.Language
	if language == "" {
		if language, no, err = w.language(ctx, r); no != nil || err != nil {
			return n, no, err
		}
	}
	no, err = w.render(&n, r, language)
	return n, no, err
}

// render fills the template with a row's values.
func (w *wording) render(n *gateway.Notice, r *campaign.Row, language string) (*unworded, error) {
	clear(w.params)
	fill(w.params, w.k.Columns, r.Values)
	done, err := w.cat.Render(w.s, language, w.params, w.now())
	if errors.Is(err, service.ErrNoTemplate) {
		return &unworded{noTemplate, "", err.Error()}, nil
	}
	if no := paramsWrong(err); no != nil {
		return no, nil
	}
	if err != nil {
		return nil, err
	}
	n.Text, n.Template = done.Text, done.Template(w.s.Code)
	return nil, nil
}

// language is his whom a row is for; empty: not said.
func (w *wording) language(ctx context.Context, r *campaign.Row) (string, *unworded, error) {
	if w.reg == nil {
		return "", nil, nil
	}
	if r.Number == 0 {
		sub, err := w.reg.Find(ctx, r.Person)
		if errors.Is(err, service.ErrNobody) {
			return "", &unworded{unknownPerson, "person", "nobody is known by this reference"}, nil
		}
		return sub.Language, nil, err
	}
	st, err := w.reg.Lookup(ctx, r.Number)
	if err != nil || st == nil {
		return "", nil, err
	}
	for i := range st.People {
		if l := st.People[i].Language; l != "" {
			return l, nil, nil
		}
	}
	return "", nil, nil
}

// class is what its messages wait in; those of no service as a plain account's without
// priority do.
func (w *wording) class() queue.Class {
	if w.s == nil {
		return queue.Normal
	}
	return queue.Class(w.s.Class)
}

// once is what a row's message is known again by.
func once(k *campaign.Campaign, row uint64) []byte {
	b := append(make([]byte, 0, 25), 'c')
	b = binary.BigEndian.AppendUint64(b, k.ID)
	b = binary.BigEndian.AppendUint64(b, k.Nonce)
	return binary.BigEndian.AppendUint64(b, row)
}

// partsOf is how many parts a text is, as handsets get it: with an 8-bit reference.
func partsOf(s string) int {
	n, err := text.Count(s, text.Choose(s), text.UDH8)
	if err != nil || n < 1 {
		return 1
	}
	return n
}

// test is Test.
func (c *Campaigns) test(ctx context.Context, id uint64, numbers []number.E164) ([]campaign.Tested, error) {
	g, err := c.gateway()
	if err != nil {
		return nil, err
	}
	k, err := c.store.Campaign(id)
	if err == nil {
		err = k.May(campaign.Testing)
	}
	if err == nil && !k.HasFile() {
		err = campaign.ErrNoFile
	}
	if err != nil {
		return nil, err
	}
	w, err := c.wording(&k)
	if err != nil {
		return nil, err
	}
	if numbers, err = w.testNumbers(numbers); err != nil {
		return nil, err
	}
	rows, err := c.store.Rows(id, k.Generation(), 0, 1, nil)
	if err != nil {
		return nil, err
	}
	if len(rows) == 0 {
		return nil, campaign.ErrNobody
	}
	n, no, err := w.notice(ctx, &rows[0])
	if no != nil && no.reason == unknownPerson { // what it says counts here, not whom it is for
		n = gateway.Notice{Account: k.Account, Service: k.Service}
		no, err = w.render(&n, &rows[0], rows[0].Language)
	}
	if err != nil {
		return nil, err
	}
	if no != nil {
		return nil, &campaign.RowError{Row: rows[0].Row, Field: no.field, Rule: no.rule}
	}
	// The agency's own people need not be enrolled.
	n.System, n.Person = true, service.Person{}
	out := make([]campaign.Tested, len(numbers))
	for i, to := range numbers {
		n.Number = to
		out[i] = campaign.Tested{Number: to, Text: n.Text, Parts: partsOf(n.Text)}
		var message queue.ID
		message, out[i].Err = g.Submit(ctx, n)
		out[i].Message = uint64(message)
	}
	_, err = c.store.Change(id, func(k *campaign.Campaign) error {
		k.Tested = c.o.Now().UTC()
		return nil
	})
	return out, err
}

// testNumbers are those asked for, each of which has to be on the agency's list, or the
// whole list.
func (w *wording) testNumbers(asked []number.E164) ([]number.E164, error) {
	no := func(rule string) ([]number.E164, error) {
		return nil, &campaign.FieldError{Field: "numbers", Rule: rule}
	}
	var list []number.E164
	if w.s != nil {
		if a := w.cat.Agency(w.s.Agency); a != nil {
			list = a.TestNumbers
		}
	}
	if len(list) == 0 {
		return no("the service's agency has no test_numbers in the catalogue")
	}
	if len(asked) == 0 {
		return list, nil
	}
	for _, n := range asked {
		on := false
		for _, t := range list {
			on = on || t == n
		}
		if !on {
			return no(fmt.Sprintf("%s is not among the agency's test_numbers", n))
		}
	}
	return asked, nil
}
