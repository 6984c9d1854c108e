package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// crossCheck finds what the two files say wrong of each other. k is the catalogue's decoder;
// nil: there is none.
func crossCheck(d, k *decoder, c *Config) {
	if c.CatalogueFile == "" {
		d.withoutCatalogue(c)
		return
	}
	if c.Catalogue == nil {
		return // what was to be compared could not be read, and that is told
	}
	k.checkCatalogue(c.Catalogue)
	x := &links{d: d, k: k, c: c, cat: c.Catalogue, services: map[string]int{}, agencies: map[string]int{}, accounts: map[string]int{}}
	for i := range x.cat.Services {
		x.services[x.cat.Services[i].Code] = i
	}
	for i := range x.cat.Agencies {
		x.agencies[x.cat.Agencies[i].Code] = i
	}
	delete(x.services, "") // told already
	delete(x.agencies, "")
	for i := range c.Accounts {
		x.accounts[c.Accounts[i].SystemID] = i
		x.account(fmt.Sprintf("accounts[%d]", i), &c.Accounts[i])
	}
	carriers := map[string]int{}
	for i := range c.Carriers {
		carriers[c.Carriers[i].Name] = i
		x.carrier(fmt.Sprintf("carriers[%d].free", i), &c.Carriers[i])
	}
	for i := range x.cat.Senders {
		at := fmt.Sprintf("senders[%d].carriers", i)
		for _, name := range slices.Sorted(maps.Keys(x.cat.Senders[i].Carriers)) {
			path := mapPath(at, name)
			k.places[path] = k.keys[path]
			k.reference(path, name, carriers, "carrier")
		}
	}
	x.routes()
	x.subscribers()
	for i := range c.Keywords {
		x.keywords(fmt.Sprintf("keywords[%d]", i), &c.Keywords[i])
	}
	x.answerableServices()
	for i := range c.API.Keys {
		x.apiKey(fmt.Sprintf("api.keys[%d]", i), &c.API.Keys[i])
	}
}

// withoutCatalogue records what only a catalogue gives a meaning.
func (d *decoder) withoutCatalogue(c *Config) {
	if d.failed["catalogue"] {
		return
	}
	const rule, cure = "needs a catalogue", "write catalogue: FILE at the top, or remove it"
	for _, block := range []string{"reminders", "campaigns"} {
		if d.given(block) {
			d.bad(block, "", "need a catalogue: they are of its services", "write catalogue: FILE at the top, or remove the block")
		}
	}
	for i, a := range c.Accounts {
		if a.Agency != "" {
			d.bad(fmt.Sprintf("accounts[%d].agency", i), a.Agency, rule, cure)
		}
	}
	if s := c.Subscribers.Code.Service; s != "" {
		d.bad("subscribers.code.service", s, rule, cure)
	}
	for i, k := range c.API.Keys {
		if len(k.Services) > 0 {
			d.bad(fmt.Sprintf("api.keys[%d].services", i), "", "need a catalogue", "write catalogue: FILE at the top, or remove them")
		}
	}
}

// links is both files, side by side.
type links struct {
	d, k                         *decoder
	c                            *Config
	cat                          *Catalogue
	services, agencies, accounts map[string]int
}

func (x *links) account(at string, a *Account) {
	if a.Agency == "" && len(a.Services) == 0 {
		if !x.d.failedUnder(at) && !x.d.given(at+".agency") {
			x.d.warn(at, a.SystemID, "has no agency and no services: a plain gateway, no consent is asked", "write agency: and its code, or agency: none if that is meant")
		}
		return
	}
	if a.Agency != "" {
		x.d.reference(at+".agency", a.Agency, x.agencies, "agency")
	}
	for j, s := range a.Services {
		path := fmt.Sprintf("%s.services[%d]", at, j)
		x.d.reference(path, s, x.services, "service")
		if i, ok := x.services[s]; ok && a.Agency != "" && x.cat.Services[i].Agency != a.Agency {
			x.d.bad(path, s, "belongs to "+x.cat.Services[i].Agency, "name a service of "+a.Agency+", or change agency")
		}
	}
}

// maySend reports whether an account is granted a service. A plain one may send anything.
func (x *links) maySend(a *Account, code string) bool {
	switch i, known := x.services[code]; {
	case a.Agency == "" && len(a.Services) == 0:
		return true
	case len(a.Services) > 0:
		return slices.Contains(a.Services, code)
	default:
		return known && x.cat.Services[i].Agency == a.Agency
	}
}

// grantsAreKnown is false where a mistake hides what account i may send.
func (x *links) grantsAreKnown(i int) bool {
	at := fmt.Sprintf("accounts[%d].", i)
	return !x.d.failedUnder(at+"agency") && !x.d.failedUnder(at+"services")
}

// carrier checks the services of its markers, and that none lacks one which could be
// routed here where one is required.
func (x *links) carrier(at string, k *Carrier) {
	marked := map[string]bool{}
	for i, m := range k.Free.Markers {
		path := fmt.Sprintf("%s.markers[%d].services", at, i)
		x.d.references(path, m.Services, x.services, "service")
		for _, s := range m.Services {
			marked[s] = true
		}
		if len(m.Services) == 0 {
			return // it takes the rest
		}
	}
	if !k.Free.Required || x.d.failedUnder(at) {
		return
	}
	var lacking []string
	for i := range x.cat.Services {
		if s := &x.cat.Services[i]; !marked[s.Code] && x.reaches(s, k.Name) {
			lacking = append(lacking, s.Code)
		}
	}
	if len(lacking) == 0 {
		return
	}
	names := strings.Join(lacking, ", ")
	if most := 8; len(lacking) > most {
		names = fmt.Sprintf("%s and %d more", strings.Join(lacking[:most], ", "), len(lacking)-most)
	}
	x.d.bad(at+".markers", "", "have none for "+names+", and required keeps them from this carrier",
		"name them in a marker, or end with a marker without services, which takes the rest")
}

// reaches reports whether a route leads a service to a carrier, as far as that can be told
// without knowing numbers and source addresses.
func (x *links) reaches(s *Service, carrier string) bool {
	for i := range x.c.Routes {
		r := &x.c.Routes[i]
		if !slices.ContainsFunc(r.Carriers, func(m Member) bool { return m.Name() == carrier }) ||
			len(r.Services) > 0 && !slices.Contains(r.Services, s.Code) ||
			len(r.Classes) > 0 && !slices.Contains(r.Classes, s.Class) {
			continue
		}
		for j := range x.c.Accounts {
			a := &x.c.Accounts[j]
			governed := a.Agency != "" || len(a.Services) > 0
			if (governed && x.maySend(a, s.Code) || x.ours(a, s.Code)) && (len(r.Accounts) == 0 || slices.Contains(r.Accounts, a.SystemID)) {
				return true
			}
		}
	}
	return false
}

// routes checks their services. Where a plain account may send any service_type, one that
// the catalogue does not know may be meant.
func (x *links) routes() {
	plain := slices.ContainsFunc(x.c.Accounts, func(a Account) bool { return a.Agency == "" && len(a.Services) == 0 })
	for i, r := range x.c.Routes {
		for j, s := range r.Services {
			path := fmt.Sprintf("routes[%d].services[%d]", i, j)
			if _, ok := x.services[s]; ok || x.d.failed[path] {
				continue
			}
			if plain {
				x.d.warn(path, s, "is no service of the catalogue: only plain accounts can send it", "check the code")
				continue
			}
			x.d.reference(path, s, x.services, "service")
		}
	}
}

func (x *links) subscribers() {
	s := &x.c.Subscribers
	if s.Code.Service != "" {
		x.sends("subscribers.code.service", s.Code.Service, []string{"code"}, "code")
		if s.Account == "" && !x.d.failedUnder("subscribers") {
			x.d.bad("subscribers.account", "", "is missing: codes have nobody to be sent under", "write account: and a system_id")
		}
	}
	optIn := 0
	for i := range x.cat.Services {
		if x.cat.Services[i].Mode == "opt-in" {
			optIn++
		}
	}
	if optIn > 0 && !x.d.given("subscribers") {
		x.d.warn("catalogue", "", fmt.Sprintf("has %d opt-in services, but subscribers is left out: no codes are sent and no keyword is answered", optIn),
			"write subscribers: with an account and a code service")
	}
}

// sends checks a service that the gateway itself sends under subscribers.account: that it
// exists, may be sent there, and asks for nothing that the gateway does not know. must is a
// placeholder that it cannot do without; empty: none.
func (x *links) sends(at, code string, may []string, must string) {
	x.d.reference(at, code, x.services, "service")
	i, ok := x.services[code]
	if !ok || x.d.failed[at] {
		return
	}
	s := &x.cat.Services[i]
	if a, ok := x.accounts[x.c.Subscribers.Account]; ok && x.grantsAreKnown(a) && !x.maySend(&x.c.Accounts[a], code) {
		x.d.bad(at, code, "is not granted to "+x.c.Subscribers.Account+", the account of subscribers", "add it to that account's services, or name another account")
		return
	}
	if len(s.Templates) == 0 {
		x.d.bad(at, code, "has no template", "write one in the catalogue, or name another service")
		return
	}
	var names []string
	for _, p := range s.Params {
		names = append(names, p.Name)
		if !slices.Contains(may, p.Name) {
			x.d.bad(at, code, "asks for {"+p.Name+"}, which is not known here", "name a service whose params are among "+strings.Join(may, ", "))
			return
		}
	}
	if must != "" && !slices.Contains(names, must) {
		x.d.bad(at, code, "has no {"+must+"} in its template", "name a service that has, such as the one of kind otp")
	}
}

func (x *links) keywords(at string, k *Keywords) {
	may := []string{"service", "date", "code", "number"}
	if k.Enrolled != "" {
		x.sends(at+".enrolled", k.Enrolled, may, "")
	}
	if k.Withdrawn != "" {
		x.sends(at+".withdrawn", k.Withdrawn, may, "")
	}
	k.Replies.each(func(key string, t Texts) {
		for l := range t {
			x.d.language(mapPath(at+".replies."+key, l), l, x.cat.Languages)
		}
	})
	x.freeAnswers(at, k)
	x.answerable(at, k)
}

func (x *links) apiKey(at string, k *APIKey) {
	x.d.references(at+".services", k.Services, x.services, "service")
	i, ok := x.accounts[k.Account]
	if !ok || !slices.ContainsFunc(k.Scopes, sendsUnderAccount) || !x.grantsAreKnown(i) {
		return
	}
	for j, s := range k.Services {
		if _, known := x.services[s]; known && !x.maySend(&x.c.Accounts[i], s) {
			x.d.bad(fmt.Sprintf("%s.services[%d]", at, j), s, "is not granted to "+k.Account+", its account", "add it to that account's services, or take it off")
		}
	}
}
