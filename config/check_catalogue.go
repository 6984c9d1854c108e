package config

import (
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"time"
)

// checkCatalogue finds, inside the catalogue file, what needs its lines: missing keys,
// doubles, names that stand for nothing. What a sound catalogue is beyond that is the
// business of the room that keeps it, which is asked last.
func (d *decoder) checkCatalogue(c *Catalogue) {
	d.needed("", reflect.ValueOf(c).Elem())
	d.languages(c)
	categories := indices(slices.Sorted(maps.Keys(c.Categories)))
	agencies, senders, services, overrides := map[string]int{}, map[string]int{}, map[string]int{}, map[string]int{}
	for i := range c.Agencies {
		d.double(agencies, c.Agencies[i].Code, i, "agencies", "code")
		at := fmt.Sprintf("agencies[%d].test_numbers", i)
		for j, n := range c.Agencies[i].TestNumbers {
			d.number(fmt.Sprintf("%s[%d]", at, j), n)
		}
		d.distinct(at, c.Agencies[i].TestNumbers)
	}
	for i := range c.Senders {
		s, at := &c.Senders[i], fmt.Sprintf("senders[%d]", i)
		d.double(senders, s.Name, i, "senders", "name")
		if s.Agency != "" {
			d.reference(at+".agency", s.Agency, agencies, "agency")
		}
		d.references(at+".categories", s.Categories, categories, "category")
		d.distinct(at+".categories", s.Categories)
		d.registrations(at, s, c)
	}
	for i := range c.Agencies {
		if a := &c.Agencies[i]; a.Sender != "" && len(c.Senders) > 0 {
			d.reference(fmt.Sprintf("agencies[%d].sender", i), a.Sender, senders, "sender")
		}
	}
	for i := range c.Services {
		s, at := &c.Services[i], fmt.Sprintf("services[%d]", i)
		d.double(services, s.Code, i, "services", "code")
		d.checkService(at, s, c, agencies, senders, categories)
	}
	for i := range c.Holidays {
		h := &c.Holidays[i]
		d.dates(fmt.Sprintf("holidays[%d]", i), h.From, h.To)
	}
	for i := range c.Overrides {
		o, at := &c.Overrides[i], fmt.Sprintf("overrides[%d]", i)
		d.double(overrides, o.Name, i, "overrides", "name")
		d.dates(at, o.From, o.To)
		for _, name := range slices.Sorted(maps.Keys(o.Permitted)) {
			if c.Categories[name] == nil {
				path := mapPath(at+".permitted", name)
				d.places[path] = d.keys[path] // the name is wrong, not what stands behind it
				d.reference(path, name, categories, "category")
			}
		}
	}
	d.ask(c)
}

func indices(names []string) map[string]int {
	m := make(map[string]int, len(names))
	for i, n := range names {
		m[n] = i
	}
	return m
}

func (d *decoder) checkService(at string, s *Service, c *Catalogue, agencies, senders, categories map[string]int) {
	if s.Agency != "" {
		d.reference(at+".agency", s.Agency, agencies, "agency")
	}
	if s.Category != "" {
		d.reference(at+".category", s.Category, categories, "category")
	}
	if i, ok := senders[s.Sender]; s.Sender != "" && len(c.Senders) > 0 {
		d.reference(at+".sender", s.Sender, senders, "sender")
		if _, known := agencies[s.Agency]; ok && known && c.Senders[i].Agency != s.Agency {
			d.bad(at+".sender", s.Sender, "belongs to "+c.Senders[i].Agency, "name a sender of "+s.Agency)
		}
	}
	if d.given(at+".template") && d.given(at+".templates") {
		d.bad(at+".template", "", "stands beside templates", "make it one of the templates")
	}
	if d.given(at+".quiet_hours.rule") && !s.QuietHours.Hold() && s.QuietHours.Own != nil {
		d.bad(at+".quiet_hours.rule", s.QuietHours.Rule, "leaves the hours beside it without effect", "write hold, or remove the hours")
	}
}

func (d *decoder) dates(at string, from, to Day) {
	if !from.IsZero() && !to.IsZero() && to.Before(from) && !d.failedUnder(at) {
		d.bad(at+".to", to.String(), "is before from, "+from.String(), "let to be the last day")
	}
}

var languageForm = regexp.MustCompile(`^[a-zA-Z]{2,3}(-[a-zA-Z0-9]{1,8})*$`)

// languages checks the list, and that no text is in a language outside it.
func (d *decoder) languages(c *Catalogue) {
	for i, l := range c.Languages {
		if !languageForm.MatchString(l) || len(l) > 15 {
			d.bad(fmt.Sprintf("languages[%d]", i), l, "is no language", "write its code, such as ar, en or zh-hans")
		}
	}
	d.distinct("languages", c.Languages)
	if len(c.Languages) > 0 && !d.failedUnder("languages") {
		d.textsIn("", reflect.ValueOf(c).Elem(), c.Languages)
	}
}

// textsIn looks at every text below a block.
func (d *decoder) textsIn(path string, block reflect.Value, languages []string) {
	for _, f := range fieldsOf(block.Type()) {
		at, v := join(path, f.key), block.FieldByIndex(f.index)
		if f.typ == reflect.TypeFor[Texts]() && d.given(at) {
			for _, l := range sortedKeys(v) {
				d.language(mapPath(at, l), l, languages)
			}
			continue
		}
		blocksIn(at, v, func(path string, block reflect.Value) { d.textsIn(path, block, languages) })
	}
}

// language records a text in a language that the catalogue does not list.
func (d *decoder) language(path, l string, languages []string) {
	if slices.Contains(languages, l) || len(languages) == 0 {
		return
	}
	cure := "write one of " + strings.Join(languages, ", ") + ", or add it to languages"
	// One letter of two is no likeness.
	if near := nearest(l, languages); near != "" && len(l) > 2 {
		cure = "did you mean " + near + "? If not, add it to languages"
	}
	d.badKey(path, l, "is none of the catalogue's languages", cure)
}

// badKey records a mistake at the key of a map's entry.
func (d *decoder) badKey(path, key, rule, cure string) {
	n := d.keys[path]
	if n == nil {
		n = d.place(path)
	}
	d.add(n, path, key, fault{rule, cure})
}

// soon is how long before its end a registration is warned about.
const soon = 30 * 24 * time.Hour

// registrations warns of those that end, and of a sender that no carrier takes.
func (d *decoder) registrations(at string, s *Sender, c *Catalogue) {
	active, now := s.AnyCarrier, d.opts.Now()
	for _, name := range slices.Sorted(maps.Keys(s.Carriers)) {
		r := s.Carriers[name]
		active = active || r.State == "active"
		if r.State != "active" || r.Expires.IsZero() {
			continue
		}
		path := mapPath(at+".carriers", name) + ".expires"
		switch end := r.Expires.End(c.TimeZone.Location()); {
		case !now.Before(end):
			d.warn(path, r.Expires.String(), "is past: "+name+" does not take "+s.Name+" any more", "renew the registration")
		case end.Sub(now) <= soon:
			d.warn(path, r.Expires.String(), fmt.Sprintf("is %d days off: %s will not take %s then", int(end.Sub(now)/(24*time.Hour)), name, s.Name), "renew the registration")
		}
	}
	if !active && len(s.Carriers) > 0 && !d.failedUnder(at) {
		d.warn(at+".carriers", "", s.Name+" is active with none of them: nothing can leave under it", "register it")
	}
}

// ask takes over what the room that keeps the catalogue finds.
func (d *decoder) ask(c *Catalogue) {
	if d.opts.Catalogue == nil {
		return
	}
	bad, warnings := d.opts.Catalogue(c)
	for _, f := range bad {
		if path := d.shortForm(f.Path); !d.failedAround(path) {
			d.bad(path, f.Value, f.Rule, f.Cure)
		}
	}
	for _, f := range warnings {
		d.warn(d.shortForm(f.Path), f.Value, f.Rule, f.Cure)
	}
}

// shortForm is a path as the file has it: of a single version either form may stand there.
func (d *decoder) shortForm(path string) string {
	if service, rest, ok := strings.Cut(path, ".template"); ok && !strings.HasPrefix(rest, "s") && !d.given(service+".template") {
		return service + ".templates[0].text" + rest
	}
	return path
}

// failedAround reports whether something was told of path, of what is in it, or of the
// value that it is a part of.
func (d *decoder) failedAround(path string) bool {
	if d.failedUnder(path) {
		return true
	}
	for i := len(path) - 1; i > 0; i-- {
		if (path[i] == '.' || path[i] == '[') && d.failed[path[:i]] {
			return true
		}
	}
	return false
}
