package service

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"masar/number"
)

// A Mistake is one thing that Options have wrong. Path is where it stands, in the keys of
// the catalogue file: services[3].sender. Indices count from 0.
type Mistake struct {
	Path  string
	Value string // as written; empty where there is none
	Rule  string // "is no sender of traffic"
	Cure  string // may be empty
}

// Error is the mistake on one line: services[3].sender: "X" is no sender of traffic; ...
func (m *Mistake) Error() string {
	var b strings.Builder
	b.WriteString(m.Path + ": ")
	if m.Value != "" {
		b.WriteString(strconv.Quote(m.Value) + " ")
	}
	b.WriteString(m.Rule)
	if m.Cure != "" {
		b.WriteString("; " + m.Cure)
	}
	return b.String()
}

// New makes a Catalogue of Options. What they point at must not be changed afterwards. The
// error joins every *Mistake there is, in the order of the catalogue file.
func New(o Options) (*Catalogue, error) {
	b := &builder{o: o, shared: make(map[hoursOf]*hours), c: &Catalogue{
		languages:  slices.Clone(o.Languages),
		zone:       o.Zone,
		categories: make(map[string]*Category, len(o.Categories)),
		agencies:   make(map[string]*Agency, len(o.Agencies)),
		senders:    make(map[string]*Sender, len(o.Senders)),
		byCode:     make(map[string]*Service, len(o.Services)),
	}}
	if b.c.zone == nil {
		b.c.zone = riyadh()
	}
	b.languages()
	b.calendar()
	b.eachCategory()
	b.eachAgency()
	b.eachSender()
	b.defaultSenders()
	b.eachService()
	if err := errors.Join(b.mistakes...); err != nil {
		return nil, err
	}
	b.warn()
	return b.c, nil
}

// riyadh is the default zone, without daylight saving since ever it had a clock; so it can
// stand in for a machine's missing zone files.
func riyadh() *time.Location {
	if zone, err := time.LoadLocation("Asia/Riyadh"); err == nil {
		return zone
	}
	return time.FixedZone("Asia/Riyadh", 3*60*60)
}

// builder checks Options part by part. Each part looks only at those before it.
type builder struct {
	o        Options
	c        *Catalogue
	mistakes []error
	shared   map[hoursOf]*hours
	badHours bool // what New says about hours that do not hold water would mislead
}

func (b *builder) wrong(path, value, rule, cure string) {
	b.mistakes = append(b.mistakes, &Mistake{path, value, rule, cure})
}

func (b *builder) languages() {
	if len(b.o.Languages) == 0 {
		b.wrong("languages", "", "is empty", "name at least one: [ar, en]")
	}
	for i, l := range b.o.Languages {
		path := fmt.Sprintf("languages[%d]", i)
		switch {
		case !isLanguage(l):
			b.wrong(path, l, "is no language", "write its code, as ar, en or zh-hans")
		case slices.Contains(b.o.Languages[:i], l):
			b.wrong(path, l, "stands twice", "")
		}
	}
}

// isLanguage: a tag of letters, digits and hyphens as in BCP 47, at most 15. A slash would
// break Rendered.Template.
func isLanguage(s string) bool {
	for i := range len(s) {
		c := s[i] | 0x20
		letter := c >= 'a' && c <= 'z'
		if !letter && (i < 2 || s[i] != '-' && (s[i] < '0' || s[i] > '9')) {
			return false
		}
	}
	return len(s) >= 2 && len(s) <= 15
}

func (b *builder) calendar() {
	cal := &b.o.Calendar
	b.windows("quiet_hours", &cal.Quiet)
	for i, d := range cal.Weekend {
		if d < time.Sunday || d > time.Saturday {
			b.wrong(fmt.Sprintf("weekend[%d]", i), strconv.Itoa(int(d)), "is no day of the week", "")
		}
	}
	for i := range cal.Holidays {
		b.dates(fmt.Sprintf("holidays[%d]", i), &cal.Holidays[i])
	}
	for i := range cal.Overrides {
		o, path := &cal.Overrides[i], fmt.Sprintf("overrides[%d]", i)
		b.dates(path, &o.Dates)
		b.windows(path+".quiet_hours", o.Quiet)
		for _, name := range slices.Sorted(maps.Keys(o.Permitted)) {
			if !slices.ContainsFunc(b.o.Categories, func(c Category) bool { return c.Name == name }) {
				b.wrong(path+".permitted."+name, "", "is no category", "name one of categories")
			}
			b.windows(path+".permitted."+name, o.Permitted[name])
		}
	}
}

func (b *builder) dates(path string, d *Dates) {
	for _, end := range []struct {
		key string
		day Day
	}{{".from", d.From}, {".to", d.To}} {
		if y, m, n := end.day.at(time.UTC).Date(); (Day{y, m, n}) != end.day || y < 1970 || y > 9000 {
			b.wrong(path+end.key, "", "is no date", "write it as 2027-03-09")
			b.badHours = true
			return
		}
	}
	if d.To.Compare(d.From) < 0 {
		b.wrong(path+".to", d.To.String(), "is before from, "+d.From.String(), "")
	}
}

func (b *builder) windows(path string, w *Windows) {
	if w == nil {
		return
	}
	b.spans(path+".days", w.Days)
	b.spans(path+".weekend", w.Weekend)
}

func (b *builder) spans(path string, spans []Span) {
	const day = 24 * 60
	for i, s := range spans {
		if s.From < 0 || s.From >= day || s.To < 0 || s.To > day || s.From == s.To {
			b.badHours = true
		}
		path := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case s.From < 0 || s.From >= day || s.To < 0 || s.To > day:
			b.wrong(path, s.String(), "lies outside the day", "write hours from 00:00 to 24:00")
		case s.From == s.To:
			b.wrong(path, s.String(), "is empty", "the whole day is 00:00-24:00")
		}
	}
}

// String writes 22:00-08:00.
func (s Span) String() string {
	return fmt.Sprintf("%02d:%02d-%02d:%02d", s.From/60, s.From%60, s.To/60, s.To%60)
}

func (b *builder) eachCategory() {
	for i := range b.o.Categories {
		c := b.o.Categories[i]
		path := "categories." + c.Name
		switch {
		case c.Name == "":
			b.wrong("categories", "", "has one without a name", "")
		case b.c.categories[c.Name] != nil:
			b.wrong(path, "", "stands twice", "")
		}
		if n := len(c.SenderSuffix); n > 8 || !plain(c.SenderSuffix) {
			b.wrong(path+".sender_suffix", c.SenderSuffix, "is no end of a sender name", "write at most 8 of A-Z a-z 0-9 and -, as -AD")
		}
		b.windows(path+".permitted", c.Permitted)
		b.c.categories[c.Name] = &c
	}
}

func (b *builder) eachAgency() {
	names := names{}
	for i := range b.o.Agencies {
		a := b.o.Agencies[i]
		path := fmt.Sprintf("agencies[%d]", i)
		switch {
		case !isSlug(a.Code):
			b.wrong(path+".code", a.Code, "is no agency's code", "write 1 to 32 lower-case letters, digits and hyphens, as civil-affairs")
		case b.c.agencies[a.Code] != nil:
			b.wrong(path+".code", a.Code, "stands twice", "")
		}
		b.texts(path+".name", a.Name, names)
		b.windows(path+".quiet_hours", a.Quiet)
		if int(a.Calendar) >= len(dateStyles) {
			b.wrong(path+".calendar", "", "is no calendar", "write gregorian or hijri")
		}
		b.testNumbers(path+".test_numbers", a.TestNumbers)
		if a.Zone == nil {
			a.Zone = b.c.zone
		}
		b.c.agencies[a.Code] = &a
	}
}

// maxTestNumbers keeps a test a test: who needs more wants a campaign.
const maxTestNumbers = 100

func (b *builder) testNumbers(path string, list []number.E164) {
	if len(list) > maxTestNumbers {
		b.wrong(path, strconv.Itoa(len(list)), fmt.Sprintf("are more than the %d that a test may reach", maxTestNumbers), "keep the numbers of those who look at tests")
	}
	for i, n := range list {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case n == 0:
			b.wrong(at, "", "is no number", "write it with the country code and without plus, as 966501234567")
		case slices.Contains(list[:i], n):
			b.wrong(at, n.String(), "stands twice", "")
		}
	}
}

func isSlug(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < 'a' || c > 'z') && (c < '0' || c > '9') && (c != '-' || i == 0) {
			return false
		}
	}
	return s != "" && len(s) <= 32
}

// names knows who has a name, by language.
type names map[[2]string]string

// texts checks a name: one at least, in known languages, and nobody else's.
func (b *builder) texts(path string, t Texts, taken names) {
	some := false
	for _, l := range slices.Sorted(maps.Keys(t)) {
		at, text := path+"."+l, t[l]
		b.language(at, l)
		if text == "" {
			continue
		}
		some = true
		key := [2]string{l, text}
		switch other, is := taken[key]; {
		case !utf8.ValidString(text) || strings.IndexFunc(text, breaksLine) >= 0:
			b.wrong(at, text, "is not one line of text", "")
		case is:
			b.wrong(at, text, "is the name of "+other+" too", "")
		}
		taken[key] = strings.TrimSuffix(path, ".name")
	}
	if !some {
		b.wrong(path, "", "is missing", "write it in "+strings.Join(b.o.Languages, " or "))
	}
}

func (b *builder) language(path, l string) {
	if !slices.Contains(b.o.Languages, l) {
		b.wrong(path, "", "is in a language that languages does not list", "add "+l+" there")
	}
}

func (b *builder) eachSender() {
	for i := range b.o.Senders {
		s := b.o.Senders[i]
		path := fmt.Sprintf("senders[%d]", i)
		b.senderName(path+".name", s.Name)
		if b.c.senders[s.Name] != nil {
			b.wrong(path+".name", s.Name, "stands twice", "a sender has one agency: give all its categories and carriers in one entry")
		}
		if b.c.agencies[s.Agency] == nil {
			b.wrong(path+".agency", s.Agency, "is no agency", "name one of agencies")
		}
		for j, name := range s.Categories {
			if b.c.categories[name] == nil {
				b.wrong(fmt.Sprintf("%s.categories[%d]", path, j), name, "is no category", "name one of categories")
			}
		}
		b.suffix(path, &s)
		for _, carrier := range slices.Sorted(maps.Keys(s.Carriers)) {
			if st := s.Carriers[carrier].State; int(st) >= len(senderStates) {
				b.wrong(path+".carriers."+carrier+".state", "", "is no state", "write pending, active or suspended")
			}
		}
		b.c.senders[s.Name] = &s
	}
}

// suffix: a name ends in a category's suffix exactly where it is registered for that
// category, and for no other.
func (b *builder) suffix(path string, s *Sender) {
	for _, name := range slices.Sorted(maps.Keys(b.c.categories)) {
		suffix := b.c.categories[name].SenderSuffix
		if suffix == "" {
			continue
		}
		ends, covers := strings.HasSuffix(s.Name, suffix), s.covers(name, true)
		switch {
		case covers && !ends:
			b.wrong(path+".name", s.Name, "does not end in "+suffix+", as senders of category "+name+" do", "")
		case ends && !covers:
			b.wrong(path+".name", s.Name, "ends in "+suffix+", which only senders of category "+name+" do", "add categories: ["+name+"]")
		case ends && len(s.Categories) > 1 && !b.sameSuffix(s.Categories, suffix):
			b.wrong(path+".categories", "", "mixes "+name+", whose senders end in "+suffix+", with others", "register a name of its own for it")
		}
	}
}

func (b *builder) sameSuffix(categories []string, suffix string) bool {
	return !slices.ContainsFunc(categories, func(name string) bool {
		c := b.c.categories[name]
		return c != nil && c.SenderSuffix != suffix
	})
}

// senderName: 3GPP TS 23.040 section 9.1.2.5 leaves 11 characters to an alphanumeric
// address; digits alone are a short code or a number.
func (b *builder) senderName(path, name string) {
	digits := strings.Trim(name, "0123456789") == ""
	switch {
	case name == "":
		b.wrong(path, "", "is missing", "")
	case digits && len(name) > 15:
		b.wrong(path, name, "has more than 15 digits", "")
	case digits:
	case len(name) > 11:
		b.wrong(path, name, fmt.Sprintf("has %d characters, at most 11 fit an alphanumeric sender", utf8.RuneCountInString(name)), "")
	case !plain(name):
		b.wrong(path, name, "is no sender name", "write letters A-Z a-z, digits, and - . _ & or a blank inside")
	}
}

// plain is true of what every carrier takes in a sender name.
func plain(s string) bool {
	for i := range len(s) {
		switch c := s[i]; {
		case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', c >= '0' && c <= '9', c == '-', c == '.', c == '_', c == '&':
		case c == ' ' && i > 0 && i < len(s)-1:
		default:
			return false
		}
	}
	return true
}

// defaultSenders comes after the senders, which name their agencies.
func (b *builder) defaultSenders() {
	for i := range b.o.Agencies {
		a := &b.o.Agencies[i]
		path := fmt.Sprintf("agencies[%d].sender", i)
		if a.Sender == "" {
			continue // its services have to name theirs
		}
		b.senderName(path, a.Sender)
		if r := b.c.senders[a.Sender]; len(b.o.Senders) > 0 && (r == nil || r.Agency != a.Code) {
			b.wrong(path, a.Sender, "is no sender of "+a.Code, "add it to senders"+b.sendersOf(a.Code))
		}
	}
}

// sendersOf lists an agency's senders, for a cure.
func (b *builder) sendersOf(agency string) string {
	var names []string
	for i := range b.o.Senders {
		if b.o.Senders[i].Agency == agency {
			names = append(names, b.o.Senders[i].Name)
		}
	}
	if names == nil {
		return ""
	}
	return ", or take one that it has: " + strings.Join(names, ", ")
}

// warn tells what a sound catalogue would rather not have.
func (b *builder) warn() {
	add := func(path, value, rule, cure string) {
		b.c.warnings = append(b.c.warnings, Mistake{path, value, rule, cure})
	}
	for i := range b.o.Agencies {
		b.untranslated(fmt.Sprintf("agencies[%d].name", i), b.o.Agencies[i].Name, add)
	}
	for i := range b.o.Senders {
		if s := &b.o.Senders[i]; !s.AnyCarrier && len(s.Carriers) == 0 {
			add(fmt.Sprintf("senders[%d]", i), s.Name, "is registered with no carrier", "list carriers, or set any_carrier: true")
		}
	}
	for i, s := range b.c.services {
		path := fmt.Sprintf("services[%d]", i)
		b.untranslated(path+".name", s.Name, add)
		if s.hours != nil {
			if most := s.hours.longest; most > s.Validity {
				add(path+".validity", shortDuration(s.Validity), "is shorter than the longest wait for its hours, "+shortDuration(most),
					"a client that sets such a validity itself is refused there; raise it, or let the service pass quiet hours")
			}
		}
		if c := b.c.categories[s.Category]; s.Class == urgent && c != nil && c.Permitted != nil {
			add(path+".class", "urgent", "leaves at any hour, also outside those permitted to "+s.Category, "give it another class or category")
		}
		if len(s.Versions) == 0 {
			add(path, s.Code, "has no template", "POST /v1/notices cannot send it")
		}
		for j := range s.Versions {
			b.untranslated(versionPath(path, s, j)+textKey(s), s.Versions[j].Text, add)
		}
	}
}

func (b *builder) untranslated(path string, t Texts, add func(path, value, rule, cure string)) {
	for _, l := range b.o.Languages {
		if t[l] == "" {
			_, other := t.In(b.o.Languages...)
			add(path, "", "has no text in "+l, "people who read "+l+" get it in "+other)
		}
	}
}

// shortDuration writes 72h, 90m, 1h30m: without the zeros of Duration.String.
func shortDuration(d time.Duration) string {
	s := d.Round(time.Second).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

func byValidFrom(a, b wording) int {
	return cmp.Or(a.ValidFrom.Compare(b.ValidFrom), cmp.Compare(a.Number, b.Number))
}
