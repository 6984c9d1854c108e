package service

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// maxValidity is the longest default validity: what waits longer was not worth sending.
const maxValidity = 30 * 24 * time.Hour

const (
	urgent  = 0 // queue.Urgent, which a neighbour cannot import
	classes = 3
)

func (b *builder) eachService() {
	taken := names{}
	for i := range b.o.Services {
		s := b.o.Services[i] // a copy: Options stay as they are
		path := fmt.Sprintf("services[%d]", i)
		b.code(path+".code", s.Code)
		b.texts(path+".name", s.Name, taken)
		b.kind(path, &s)
		b.class(path, &s)
		b.hold(path, &s)
		b.lead(path+".lead_days", &s)
		b.domains(path+".domains", &s)
		b.textOptions(path+".text", &s)
		b.params(path+".params", &s)
		b.templates(path, &s)
		if s.agency = b.c.agencies[s.Agency]; s.agency == nil {
			b.wrong(path+".agency", s.Agency, "is no agency", "name one of agencies")
		}
		if b.c.categories[s.Category] == nil {
			b.wrong(path+".category", s.Category, "is no category", "name one of "+strings.Join(slices.Sorted(maps.Keys(b.c.categories)), ", "))
		}
		if s.agency != nil && b.c.categories[s.Category] != nil {
			b.sender(path+".sender", &s)
			b.hours(path, &s)
		}
		b.c.services = append(b.c.services, &s)
		b.c.byCode[s.Code] = &s
	}
}

func (b *builder) code(path, code string) {
	sound := len(code) >= 2 && len(code) <= 5
	for i := range len(code) {
		c := code[i]
		sound = sound && (c >= 'A' && c <= 'Z' || c >= '0' && c <= '9')
	}
	switch {
	case !sound:
		b.wrong(path, code, "is no service's code", "write 2 to 5 of A-Z and 0-9: it travels in service_type")
	case b.c.byCode[code] != nil:
		b.wrong(path, code, "stands twice", "")
	}
}

func (b *builder) kind(path string, s *Service) {
	if int(s.Kind) >= len(kindNames) {
		b.wrong(path+".kind", "", "is no kind", "write one of "+strings.Join(kindNames[:], ", "))
	}
	if int(s.Mode) >= len(modeNames) {
		b.wrong(path+".mode", "", "is no mode", "write opt-in or mandatory")
	}
	if s.Validity < time.Minute || s.Validity > maxValidity {
		b.wrong(path+".validity", shortDuration(s.Validity), "is outside 1m to 720h", "")
	}
}

func (b *builder) class(path string, s *Service) {
	if s.Class >= classes {
		b.wrong(path+".class", strconv.Itoa(int(s.Class)), "is no class", "write urgent, normal or bulk")
	}
	switch {
	case !s.Merge:
	case s.Kind == OneTimeCode:
		b.wrong(path+".merge", "true", "is not for one-time codes: each is awaited", "remove it")
	case s.Class == urgent:
		b.wrong(path+".merge", "true", "is not for urgent services: they never wait to be compared", "remove it, or give it another class")
	}
	if s.Kind == OneTimeCode && s.Class != urgent {
		b.wrong(path+".class", "", "is not urgent, as one-time codes are", "write urgent")
	}
}

func (b *builder) hold(path string, s *Service) {
	b.windows(path+".quiet_hours", s.Quiet)
	switch {
	case !s.Hold && s.Quiet != nil:
		b.wrong(path+".quiet_hours", "", "has hours and does not hold", "drop the hours, or hold")
	case !s.Hold:
	case s.Kind == OneTimeCode:
		b.wrong(path+".quiet_hours", "hold", "is not for one-time codes: somebody waits for them", "write allow")
	case s.Class == urgent:
		b.wrong(path+".quiet_hours", "hold", "is not for urgent services", "write allow, or class: normal")
	}
}

func (b *builder) lead(path string, s *Service) {
	if len(s.LeadDays) > 0 && s.Kind != ExpiryReminder {
		b.wrong(path, "", "is for kind expiry alone", "")
		return
	}
	for i, d := range s.LeadDays {
		at := fmt.Sprintf("%s[%d]", path, i)
		switch {
		case d < 0 || d > 3650:
			b.wrong(at, strconv.Itoa(d), "is outside 0 to 3650 days", "")
		case i > 0 && d >= s.LeadDays[i-1]:
			b.wrong(at, strconv.Itoa(d), "is not below the one before", "write them falling: [60, 30, 7]")
		}
	}
}

// registered brings host names into the form in which they are compared.
var registered = idna.New(idna.MapForLookup(), idna.BidiRule(), idna.Transitional(false), idna.StrictDomainName(true))

func (b *builder) domains(path string, s *Service) {
	s.allowed = nil
	for i, d := range s.Domains {
		at := fmt.Sprintf("%s[%d]", path, i)
		host, err := registered.ToASCII(strings.TrimSuffix(d, "."))
		switch {
		case err != nil || strings.ContainsAny(d, ":/@ "):
			b.wrong(at, d, "is no domain", "write the name alone, as moi.gov.sa")
		case !strings.Contains(host, ".") || strings.HasPrefix(host, ".") || strings.Contains(host, ".."):
			b.wrong(at, d, "is no domain that can be registered", "write it whole, as moi.gov.sa")
		case slices.Contains(s.allowed, host):
			b.wrong(at, d, "stands twice", "")
		}
		s.allowed = append(s.allowed, host)
	}
}

func (b *builder) textOptions(path string, s *Service) {
	switch s.Text.Digits {
	case "", "european", "arabic-indic":
	default:
		b.wrong(path+".digits", s.Text.Digits, "is no form of digits", "write keep, european or arabic-indic")
	}
}

func (b *builder) params(path string, s *Service) {
	for i, p := range s.Params {
		at := fmt.Sprintf("%s[%d]", path, i)
		if !isParamName(p.Name) {
			b.wrong(at+".name", p.Name, "is no parameter's name", "write lower-case letters, digits and _, a letter first")
		}
		if slices.ContainsFunc(s.Params[:i], func(q Param) bool { return q.Name == p.Name }) {
			b.wrong(at+".name", p.Name, "stands twice", "")
		}
		if p.Max < 1 || p.Max > 1000 {
			b.wrong(at+".max", strconv.Itoa(p.Max), "is outside 1 to 1000 characters", "")
		}
	}
}

// versionPath is where a version stands: template is the short form of one that says
// nothing but its texts.
func versionPath(path string, s *Service, i int) string {
	if short(s) {
		return path + ".template"
	}
	return fmt.Sprintf("%s.templates[%d]", path, i)
}

func textKey(s *Service) string {
	if short(s) {
		return ""
	}
	return ".text"
}

func short(s *Service) bool {
	if len(s.Versions) != 1 {
		return false
	}
	v := &s.Versions[0]
	return v.Number == 1 && v.Author == "" && v.Approver == "" && v.ValidFrom.IsZero()
}

func (b *builder) templates(path string, s *Service) {
	s.wording = nil
	for i := range s.Versions {
		v := s.Versions[i]
		at := versionPath(path, s, i)
		if v.Number < 1 {
			b.wrong(at+".version", strconv.Itoa(v.Number), "is no version", "count from 1")
		}
		for _, other := range s.Versions[:i] {
			if other.Number == v.Number {
				b.wrong(at+".version", strconv.Itoa(v.Number), "stands twice", "a message names its version: give each its own")
			}
			if other.ValidFrom.Equal(v.ValidFrom) {
				b.wrong(at+".valid_from", "", fmt.Sprintf("is that of version %d too", other.Number), "say from when this one holds")
			}
		}
		w := wording{Version: &v, texts: make(map[string][]segment, len(v.Text))}
		if len(v.Text) == 0 {
			b.wrong(at+textKey(s), "", "has no text", "write it in "+strings.Join(b.o.Languages, " or "))
		}
		for _, l := range slices.Sorted(maps.Keys(v.Text)) {
			at := at + textKey(s) + "." + l
			b.language(at, l)
			w.texts[l] = b.template(at, v.Text[l], s)
		}
		s.wording = append(s.wording, w)
	}
	slices.SortStableFunc(s.wording, byValidFrom)
}

func (b *builder) template(path, text string, s *Service) []segment {
	if strings.TrimSpace(text) == "" {
		b.wrong(path, "", "is empty", "")
		return nil
	}
	if !utf8.ValidString(text) || strings.IndexFunc(text, func(r rune) bool { return r != '\n' && breaksLine(r) }) >= 0 {
		b.wrong(path, "", "holds control characters, or is not UTF-8", "")
		return nil
	}
	segments, rule := parseTemplate(text)
	if rule != "" {
		b.wrong(path, "", rule, "write placeholders as {name}; a brace stands for nothing else")
		return nil
	}
	used := make(map[string]bool, len(s.Params))
	var sample strings.Builder
	for _, seg := range segments {
		if !seg.param {
			sample.WriteString(seg.text)
			continue
		}
		sample.WriteByte('x')
		if !used[seg.text] && s.param(seg.text) == nil {
			b.wrong(path, "{"+seg.text+"}", "is no parameter of the service", "add it to params, or write one of "+s.paramNames())
		}
		used[seg.text] = true
	}
	for i := range s.Params {
		if name := s.Params[i].Name; !used[name] {
			b.wrong(path, "", "lacks {"+name+"}", "every text uses every parameter: add it, or drop it from params")
		}
	}
	switch foreign, ok := foreignIn(sample.String(), s.allowed); {
	case !ok:
		b.wrong(path, foreign, "is a link to a domain that is not the service's", "add it to domains")
	case used["link"] && len(s.Domains) == 0:
		b.wrong(path, "{link}", "can lead nowhere: the service has no domains", "list domains")
	}
	return segments
}

// sender checks the name that the service's notices bear.
func (b *builder) sender(path string, s *Service) {
	name := b.c.SenderOf(s)
	if s.Sender != "" {
		b.senderName(path, s.Sender)
	} else if name == "" {
		b.wrong(path, "", "is missing, and agency "+s.Agency+" has none", "set sender here or there")
		return
	}
	suffix := b.c.categories[s.Category].SenderSuffix
	switch {
	case suffix != "" && !strings.HasSuffix(name, suffix):
		b.wrong(path, name, "does not end in "+suffix+", as senders of category "+s.Category+" do", "register one that does"+b.sendersOf(s.Agency))
	case b.c.MaySend(name, s) == Allowed:
	case b.c.senders[name] != nil && b.c.senders[name].Agency == s.Agency:
		b.wrong(path, name, "is not registered for category "+s.Category, "add it to the sender's categories"+b.sendersOf(s.Agency))
	default:
		b.wrong(path, name, "is no sender of "+s.Agency, "add it to senders"+b.sendersOf(s.Agency))
	}
}

// hours brings together what has a say in when a service may leave. Services of which all
// that is the same share one value, and with it the answers that it keeps.
func (b *builder) hours(path string, s *Service) {
	s.hours = nil
	if s.Class == urgent {
		return
	}
	key := hoursOf{zone: s.agency.Zone, category: s.Category, permitted: b.c.categories[s.Category].Permitted}
	switch {
	case !s.Hold:
	case s.Quiet != nil:
		key.quiet = s.Quiet
	case s.agency.Quiet != nil:
		key.quiet = s.agency.Quiet
	default:
		key.quiet = &b.o.Calendar.Quiet
	}
	h, made := b.shared[key]
	if !made {
		h = b.makeHours(key)
		b.shared[key] = h
	}
	if h != nil && h.longest > search {
		b.wrong(path, s.Code, "never opens: its quiet hours and the hours of category "+s.Category+" leave no time", "shorten quiet_hours, or widen permitted")
	}
	s.hours = h
}

// hoursOf is what the hours of one service differ in from another's.
type hoursOf struct {
	zone             *time.Location
	category         string
	quiet, permitted *Windows // quiet nil: does not hold
}

// makeHours is nil where nothing ever keeps a message.
func (b *builder) makeHours(of hoursOf) *hours {
	h := &hours{
		zone:      of.zone,
		category:  of.category,
		quiet:     of.quiet,
		permitted: of.permitted,
		holidays:  b.o.Calendar.Holidays,
		overrides: b.o.Calendar.Overrides, // also those without a say: they hide what stands behind them
	}
	limited := h.quiet != nil || h.permitted != nil
	for _, o := range h.overrides {
		p, says := o.Permitted[of.category]
		limited = limited || says && p != nil
	}
	if !limited {
		return nil
	}
	for _, d := range b.o.Calendar.Weekend {
		if d >= time.Sunday && d <= time.Saturday {
			h.weekend[d] = true
		}
	}
	if !b.badHours {
		h.longest = h.longestWait()
	}
	return h
}
