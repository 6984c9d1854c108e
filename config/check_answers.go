package config

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// ours reports whether the gateway itself sends a service under an account: codes, and
// answers to keywords. It needs no grant.
func (x *links) ours(a *Account, code string) bool {
	s := &x.c.Subscribers
	if code == "" || s.Account != a.SystemID {
		return false
	}
	return code == s.Code.Service ||
		slices.ContainsFunc(x.c.Keywords, func(k Keywords) bool { return code == k.Enrolled || code == k.Withdrawn })
}

// freeAnswers refuses answers that are sent as of no service where a carrier requires a
// marker: markers belong to services, so people would be charged for these.
func (x *links) freeAnswers(at string, k *Keywords) {
	r := &k.Replies
	for _, of := range []struct {
		key, service string
		replies      []Texts
	}{
		{"enrolled", k.Enrolled, []Texts{r.Help, r.UnknownService, r.Enrolled, r.Already}},
		{"withdrawn", k.Withdrawn, []Texts{r.Help, r.UnknownService, r.NotEnrolled, r.Withdrawn, r.WithdrawnAll}},
	} {
		answers := slices.ContainsFunc(of.replies, func(t Texts) bool { return len(t) > 0 })
		if of.service != "" || !answers || x.d.failed[at+"."+of.key] {
			continue
		}
		if carrier := x.requiring(); carrier != "" {
			x.d.bad(at+"."+of.key, "", "is missing: these answers would be of no service, and "+carrier+" requires a marker, which only a service has",
				"name the service that confirms, such as SUBAD or SUBRM")
		}
	}
}

// requiring is a carrier that requires a marker and that a route leads answers of no
// service to; empty: none.
func (x *links) requiring() string {
	for i := range x.c.Carriers {
		k := &x.c.Carriers[i]
		if k.Free.Required && slices.ContainsFunc(x.c.Routes, func(r Route) bool {
			return len(r.Services) == 0 && (len(r.Accounts) == 0 || slices.Contains(r.Accounts, x.c.Subscribers.Account)) &&
				slices.ContainsFunc(r.Carriers, func(m Member) bool { return m.Name() == k.Name })
		}) {
			return k.Name
		}
	}
	return ""
}

// answerable warns of texts that ask for an answer and do not say where to: the sender of
// a notice is mostly a name, and a name cannot be answered.
func (x *links) answerable(at string, k *Keywords) {
	const cure = "write {number} into it"
	for _, own := range []struct{ key, code string }{{"enrolled", k.Enrolled}, {"withdrawn", k.Withdrawn}} {
		if i, ok := x.services[own.code]; ok {
			if l := x.silent(k, &x.cat.Services[i]); l != nil {
				x.d.warn(at+"."+own.key, own.code, "asks in "+strings.Join(l, ", ")+" for an answer and does not name the short code", cure)
			}
		}
	}
	k.Replies.each(func(key string, t Texts) {
		for _, l := range x.cat.Languages {
			if x.asks(k, t[l]) && !tells(k, t[l]) {
				x.d.warn(mapPath(at+".replies."+key, l), "", "asks for an answer and does not name the short code", cure)
			}
		}
	})
}

// answerableServices is answerable for what others than the gateway send.
func (x *links) answerableServices() {
	for i := range x.cat.Services {
		s := &x.cat.Services[i]
		if s.Code == "" || slices.ContainsFunc(x.c.Keywords, func(o Keywords) bool { return s.Code == o.Enrolled || s.Code == o.Withdrawn }) {
			continue
		}
		for j := range x.c.Keywords {
			if l := x.silent(&x.c.Keywords[j], s); l != nil {
				x.k.warn(fmt.Sprintf("services[%d]", i), s.Code,
					"asks in "+strings.Join(l, ", ")+" for an answer and does not name the short code: a sender's name cannot be answered", "write "+strings.Join(x.c.Keywords[j].Numbers, " or ")+" into it")
				break
			}
		}
	}
}

// silent are the languages in which a version of a service's text asks for an answer to no
// number.
func (x *links) silent(k *Keywords, s *Service) (languages []string) {
	for _, l := range x.cat.Languages {
		if slices.ContainsFunc(s.Templates, func(t Template) bool { return x.asks(k, t.Text[l]) && !x.toldAny(t.Text[l]) }) {
			languages = append(languages, l)
		}
	}
	return languages
}

// asks reports whether a text asks for a keyword: one of A-Z as it is spelled, in capitals,
// which no sentence has otherwise, or any with a code or a word for all behind it.
func (x *links) asks(k *Keywords, text string) bool {
	words := slices.Concat(k.Words.Enrol, k.Words.Withdraw, k.Words.Help)
	toks := strings.FieldsFunc(text, func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsMark(r) && !unicode.IsDigit(r) && !strings.ContainsRune("{}_", r)
	})
	for i, tok := range toks {
		if !slices.Contains(words, tok) {
			continue
		}
		if strings.Trim(tok, "ABCDEFGHIJKLMNOPQRSTUVWXYZ") == "" {
			return true
		}
		if i+1 < len(toks) {
			next := toks[i+1]
			if _, code := x.services[next]; code || next == "{code}" || slices.Contains(k.Words.All, next) {
				return true
			}
		}
	}
	return false
}

// tells reports whether a text names one of the block's short codes.
func tells(k *Keywords, text string) bool {
	return strings.Contains(text, "{number}") || slices.ContainsFunc(k.Numbers, func(n string) bool { return n != "" && strings.Contains(text, n) })
}

// toldAny is tells for any block's.
func (x *links) toldAny(text string) bool {
	return slices.ContainsFunc(x.c.Keywords, func(k Keywords) bool { return tells(&k, text) })
}
