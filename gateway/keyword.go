package gateway

import (
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"masar/number"
	"masar/service"
)

// Keywords is what becomes of mobile-originated messages to short codes: people enrol and
// withdraw by them. It needs a Registry and a Catalogue; without one of them nothing here
// is a short code. Such a message goes before the MobileRules, unless it holds no keyword
// and a rule fits it: one short code can serve both.
type Keywords struct {
	Account string                           // system_id that answers are sent under, as System notices
	Person  func(number.E164) service.Person // who enrols from a number and is not known: service.Key.OfNumber
	Codes   []ShortCode
}

// A ShortCode is one or more numbers that people write to. Answers come from the one that
// was written to.
type ShortCode struct {
	Numbers []string // as carriers write them in destination_addr
	Words   *service.Keywords
	// Enrolled and Withdrawn are codes of the services whose templates confirm; of their
	// parameters service, date, code and number are filled in. Answers that are no template's
	// are sent as of these services all the same, so that what makes them free to the person
	// holds for every answer. Empty: Replies, as of no service.
	Enrolled, Withdrawn string
	Replies             map[Reply]service.Texts // placeholders {service}, {code}, {date}, {number}
}

// Reply names an answer to a keyword, as the configuration spells it.
type Reply string

// The answers. One that has no text is not sent, but that ReplyWithdrawnAll then is what
// confirms the withdrawal of each, and ReplyHelp where there was none.
const (
	ReplyEnrolled       Reply = "enrolled"
	ReplyWithdrawn      Reply = "withdrawn"
	ReplyWithdrawnAll   Reply = "withdrawn_all"
	ReplyHelp           Reply = "help"
	ReplyUnknownService Reply = "unknown_service"
	ReplyNotEnrolled    Reply = "not_enrolled"
	ReplyAlready        Reply = "already"
)

// ChannelSMS is the channel of what people did by keywords.
const ChannelSMS = "sms"

// What a message to a short code asks for, what that changes and what is answered: brains
// of inbox.go.

// wish is one message to a short code, read.
type wish struct {
	code  *ShortCode
	from  number.E164
	to    string // the short code as it was written to
	text  string
	cmd   service.Command
	came  time.Time
	names []string // of cmd.Codes: opt-in services of the catalogue
	fixed []string // mandatory ones: nobody enrols in them or leaves them
}

// shortCode is the one with a number; nil: it is none.
func (w *world) shortCode(dest []byte) *ShortCode {
	if w.setup.Keywords == nil || w.setup.Catalogue == nil {
		return nil
	}
	for i := range w.setup.Keywords.Codes {
		c := &w.setup.Keywords.Codes[i]
		for _, n := range c.Numbers {
			if n == string(dest) {
				return c
			}
		}
	}
	return nil
}

// sort tells the codes that are services from those that are not.
func (a *wish) sort(cat *service.Catalogue) {
	for _, code := range a.cmd.Codes {
		switch s := cat.Service(code); {
		case s == nil:
		case s.Mode == service.Mandatory:
			a.fixed = append(a.fixed, code)
		default:
			a.names = append(a.names, code)
		}
	}
}

// changes are what the message asks of the registry, which knows st of its number.
//
// Who enrols is each active person at the number: a phone that a family shares speaks for
// all of it. Somebody who is suspended there is not taken for the writer: the number may
// be another's by now, who must not get what that one had. Then, and where nobody is known,
// the writer is the person of the number itself; and if that one is suspended he begins anew.
func (a *wish) changes(kw *Keywords, st *service.Standing, language string) []service.Change {
	base := service.Change{Number: a.from, Services: a.names, ByPerson: true, Verified: true, Channel: ChannelSMS, At: a.came, Now: a.came}
	switch a.cmd.Verb {
	case service.VerbWithdrawAll:
		base.Kind, base.Services = service.Withdraw, nil
		return []service.Change{base}
	case service.VerbWithdraw:
		if len(a.names) == 0 {
			return nil
		}
		base.Kind = service.Withdraw
		return []service.Change{base}
	case service.VerbEnrol:
		if len(a.names) == 0 {
			return nil
		}
	default:
		return nil
	}
	base.Kind = service.Enrol
	var all []service.Change
	own := kw.Person(a.from)
	suspended := false
	if st != nil {
		for i := range st.People {
			p := &st.People[i]
			if p.State == service.Active {
				one := base
				one.Person = p.Person
				all = append(all, one)
			} else if p.Person == own {
				suspended = true
			}
		}
	}
	if len(all) > 0 {
		return all
	}
	base.Person = own
	if suspended {
		anew := base
		anew.Kind, anew.Services = service.Withdraw, nil
		all = append(all, anew)
	}
	base.Language = language
	return append(all, base)
}

// verdict is what is answered, and about which services. st is of before, outcomes are those
// of changes. Empty: nothing, since the registry refused all of it.
func (a *wish) verdict(st *service.Standing, outcomes []service.Outcome) (Reply, []string) {
	switch a.cmd.Verb {
	case service.VerbEnrol:
		switch {
		case len(a.names) == 0 && len(a.fixed) > 0:
			return ReplyAlready, a.fixed
		case len(a.names) == 0 && len(a.cmd.Codes) > 0:
			return ReplyUnknownService, a.cmd.Codes
		case len(a.names) == 0:
			return ReplyHelp, nil
		}
		var moved []string
		refused := 0
		for _, o := range outcomes {
			if o.Err != nil {
				refused++
			}
			for _, code := range o.Moved {
				if slices.Contains(a.names, code) && !slices.Contains(moved, code) {
					moved = append(moved, code)
				}
			}
		}
		switch {
		case len(moved) > 0:
			return ReplyEnrolled, moved
		case refused > 0 && refused == len(outcomes):
			return "", nil
		}
		return ReplyAlready, a.names
	case service.VerbWithdraw:
		switch had := enrolledIn(st, func(code string) bool { return slices.Contains(a.names, code) }); {
		case len(had) > 0:
			return ReplyWithdrawn, had
		case len(a.names)+len(a.fixed) > 0:
			return ReplyNotEnrolled, slices.Concat(a.names, a.fixed)
		}
		return ReplyUnknownService, a.cmd.Codes
	case service.VerbWithdrawAll:
		return ReplyWithdrawnAll, enrolledIn(st, func(string) bool { return true })
	}
	return ReplyHelp, nil
}

// enrolledIn are the services, of those asked about, that somebody at the number has.
func enrolledIn(st *service.Standing, about func(code string) bool) (had []string) {
	if st == nil {
		return nil
	}
	for i := range st.People {
		for _, e := range st.People[i].Enrolments {
			if e.State != service.Withdrawn && about(e.Service) && !slices.Contains(had, e.Service) {
				had = append(had, e.Service)
			}
		}
	}
	return had
}

// tongue is the language to answer in: the person's, else that of the word that was written,
// else the catalogue's first.
func (a *wish) tongue(cat *service.Catalogue, st *service.Standing) string {
	if st != nil {
		for i := range st.People {
			if p := &st.People[i]; p.State == service.Active && p.Language != "" {
				return p.Language
			}
		}
	}
	wrote := a.cmd.Word
	if wrote == "" {
		wrote = a.text
	}
	if l := a.code.languageOf(wrote, cat); l != "" {
		return l
	}
	return cat.Languages()[0]
}

// languageOf guesses a language from the script of a text: the first of the catalogue's
// whose own answers are written in it. Empty: none is.
func (c *ShortCode) languageOf(text string, cat *service.Catalogue) string {
	script := scriptOf(text)
	if script == nil {
		return ""
	}
	for _, l := range cat.Languages() {
		if r := firstLetter(c.sample(l, cat)); r != 0 && unicode.Is(script, r) {
			return l
		}
	}
	return ""
}

// sample is some text of the short code's answers in a language.
func (c *ShortCode) sample(language string, cat *service.Catalogue) string {
	for _, reply := range [...]Reply{ReplyHelp, ReplyUnknownService, ReplyNotEnrolled, ReplyAlready, ReplyEnrolled, ReplyWithdrawn, ReplyWithdrawnAll} {
		if s := c.Replies[reply][language]; s != "" {
			return s
		}
	}
	for _, code := range [...]string{c.Enrolled, c.Withdrawn} {
		if s := cat.Service(code); s != nil {
			return s.Name[language]
		}
	}
	return ""
}

func firstLetter(s string) rune {
	for _, r := range s {
		if unicode.IsLetter(r) {
			return r
		}
	}
	return 0
}

// scriptOf is the script of a text's first letter; nil: it has none.
func scriptOf(s string) *unicode.RangeTable {
	r := firstLetter(s)
	if r == 0 {
		return nil
	}
	for name, table := range unicode.Scripts {
		if name != "Common" && name != "Inherited" && unicode.Is(table, r) {
			return table
		}
	}
	return nil
}

// written is an answer as it is sent.
type written struct {
	text, service, template string
}

// write words an answer. An empty text: there is none.
func (a *wish) write(cat *service.Catalogue, reply Reply, codes []string, language string, now time.Time) written {
	of := a.code.Enrolled
	if a.cmd.Verb == service.VerbWithdraw || a.cmd.Verb == service.VerbWithdrawAll {
		of = a.code.Withdrawn
	}
	if cat.Service(of) == nil {
		of = "" // as of no service
	}
	if reply == ReplyWithdrawnAll && len(a.code.Replies[reply]) == 0 {
		if reply = ReplyWithdrawn; len(codes) == 0 {
			reply = ReplyHelp
		}
	}
	values := a.values(cat, of, codes, language, now)
	if s := cat.Service(of); s != nil && (reply == ReplyEnrolled || reply == ReplyWithdrawn) {
		params := map[string]string{}
		for _, p := range s.Params {
			if v, ours := values[p.Name]; ours {
				params[p.Name] = shorten(v, p.Max)
			}
		}
		if r, err := cat.Render(s, language, params, now); err == nil {
			return written{r.Text, of, r.Template(of)}
		}
	}
	text, _ := a.code.Replies[reply].In(append([]string{language}, cat.Languages()...)...)
	pairs := make([]string, 0, 2*len(values))
	for name, v := range values {
		pairs = append(pairs, "{"+name+"}", v)
	}
	return written{strings.NewReplacer(pairs...).Replace(text), of, ""}
}

// values are what the placeholders stand for.
func (a *wish) values(cat *service.Catalogue, of string, codes []string, language string, now time.Time) map[string]string {
	zone := time.UTC
	if s := cat.Service(of); s != nil {
		zone = s.Zone()
	}
	name := strings.Join(codes, ", ")
	if len(codes) == 1 {
		if s := cat.Service(codes[0]); s != nil {
			name, _ = s.Name.In(append([]string{language}, cat.Languages()...)...)
		}
	}
	return map[string]string{
		"service": name,
		"code":    strings.Join(codes, " "), // as people may write several
		"date":    now.In(zone).Format(time.DateOnly),
		"number":  a.to,
	}
}

// shorten cuts s to at most most characters, between words where it has several.
func shorten(s string, most int) string {
	if utf8.RuneCountInString(s) <= most {
		return s
	}
	cut := string([]rune(s)[:most])
	if i := strings.LastIndexAny(cut, " "); i > 0 && !strings.HasPrefix(s[len(cut):], " ") {
		cut = cut[:i]
	}
	return strings.TrimRight(cut, ", ")
}
