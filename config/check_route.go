package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

// maxMembers is what fits the avoid bits of a lane.
const maxMembers = 16

func (d *decoder) checkRoutes(c *Config, accounts, carriers map[string]int) {
	names, conditions, used := map[string]int{}, map[string]int{}, map[string]bool{}
	groups := map[string]int{}
	for i := range c.Routes {
		r, at := &c.Routes[i], fmt.Sprintf("routes[%d]", i)
		d.name(at+".name", r.Name)
		d.double(names, r.Name, i, "routes", "name")
		for j, p := range r.Prefix {
			path := fmt.Sprintf("%s.prefix[%d]", at, j)
			switch bare := strings.TrimPrefix(p, "+"); {
			case digits.MatchString(p) && len(p) <= 15 && p[0] != '0':
			case bare != p && digits.MatchString(bare):
				d.bad(path, p, "begins with a plus", "write "+bare)
			case strings.HasPrefix(p, "0") && digits.MatchString(p):
				d.bad(path, p, "is not international", "write it with its country code, such as 96650")
			default:
				d.bad(path, p, "is not the beginning of a number", "write up to 15 digits with the country code, such as 96650")
			}
		}
		d.distinct(at+".prefix", r.Prefix)
		d.references(at+".accounts", r.Accounts, accounts, "account")
		d.distinct(at+".accounts", r.Accounts)
		for j, s := range r.Senders {
			d.senderPattern(fmt.Sprintf("%s.senders[%d]", at, j), s, false)
		}
		d.distinct(at+".senders", r.Senders)
		for j, s := range r.Services {
			d.serviceType(fmt.Sprintf("%s.services[%d]", at, j), s)
		}
		d.distinct(at+".services", r.Services)
		d.distinct(at+".classes", r.Classes)
		d.members(at, r, carriers, used)
		if !d.failedUnder(at) {
			d.shadowed(at, r, i, conditions)
			d.oneGroup(at, c.Routes, i, groups)
		}
	}
	for i := range c.Carriers {
		if n := c.Carriers[i].Name; n != "" && carriers[n] == i && !used[n] && len(c.Routes) > 0 {
			d.warn(fmt.Sprintf("carriers[%d].name", i), n, "is in no route: nothing will be sent over it", "name it in a route")
		}
	}
}

// failedUnder reports whether anything in the block at path is wrong.
func (d *decoder) failedUnder(path string) bool {
	for p := range d.failed {
		if rest, ok := strings.CutPrefix(p, path); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return true
		}
	}
	return false
}

// references records names that stand for nothing.
func (d *decoder) references(at string, names []string, known map[string]int, kind string) {
	for i, n := range names {
		d.reference(fmt.Sprintf("%s[%d]", at, i), n, known, kind)
	}
}

func (d *decoder) reference(at, name string, known map[string]int, kind string) {
	if _, ok := known[name]; ok || d.failed[at] {
		return
	}
	have := slices.Sorted(maps.Keys(known))
	cure := "there is none"
	if len(have) > 0 {
		if len(have) > 8 {
			have = append(have[:8:8], "...")
		}
		cure = "there are " + strings.Join(have, ", ")
		if len(have) == 1 {
			cure = "there is " + have[0]
		}
	}
	if near := nearest(name, slices.Collect(maps.Keys(known))); near != "" {
		cure = "did you mean " + near + "?"
	}
	d.bad(at, name, "is no "+kind, cure)
}

func (d *decoder) members(at string, r *Route, carriers map[string]int, used map[string]bool) {
	if len(r.Carriers) > maxMembers {
		d.bad(at+".carriers", "", fmt.Sprintf("are %d, at most %d fit one route", len(r.Carriers), maxMembers), "split the route by prefix or account")
	}
	seen := map[string]bool{}
	failovers := 0
	for j, m := range r.Carriers {
		path := fmt.Sprintf("%s.carriers[%d]", at, j)
		if d.failedUnder(path) {
			used[m.Name()] = true
			continue
		}
		key := path + ".carrier"
		if m.Failover != "" {
			key = path + ".failover"
			failovers++
		}
		switch {
		case m.Carrier != "" && m.Failover != "":
			d.bad(key, m.Failover, "stands beside carrier", "write two entries: "+m.Carrier+", {failover: "+m.Failover+"}")
			continue
		case m.Name() == "":
			d.bad(path, "", "names no carrier", "write its name, {carrier: NAME, weight: 2} or {failover: NAME}")
			continue
		}
		d.reference(key, m.Name(), carriers, "carrier")
		used[m.Name()] = true
		switch {
		case seen[m.Name()]:
			d.bad(key, m.Name(), "stands in the route twice", "remove one")
		case m.Failover != "" && j == 0:
			d.bad(key, m.Name(), "is the failover of nothing", "put a plain carrier before it")
		case m.Failover != "" && d.given(path+".weight"):
			d.bad(path+".weight", "", "has no effect on a failover", "remove it")
		case m.Failover == "" && failovers > 0:
			d.bad(key, m.Name(), "stands after a failover", "put plain carriers first, or write {failover: "+m.Name()+"}")
		}
		seen[m.Name()] = true
	}
}

// shadowed records a route whose conditions an earlier one has already, prefix by prefix:
// nothing would ever reach it.
func (d *decoder) shadowed(at string, r *Route, i int, conditions map[string]int) {
	list := func(s []string) string { return strings.Join(slices.Sorted(slices.Values(s)), " ") }
	rest := strings.Join([]string{list(r.Accounts), list(r.Senders), list(r.Services), list(r.Classes)}, "|")
	prefixes := r.Prefix
	if len(prefixes) == 0 {
		prefixes = []string{""}
	}
	for j, p := range prefixes {
		key := p + "|" + rest
		first, taken := conditions[key]
		switch {
		case !taken:
			conditions[key] = i
		case p == "":
			d.bad(at, "", fmt.Sprintf("has the conditions of routes[%d], which takes everything first", first), "remove one of the two, or give one a prefix")
		default:
			d.bad(fmt.Sprintf("%s.prefix[%d]", at, j), p, fmt.Sprintf("has the conditions of routes[%d], which takes everything first", first), "remove it from one of the two")
		}
	}
}

// oneGroup records a route without a name that differs from an earlier one in how its
// carriers are used, though not in which: what waits is known by the route's name, else by
// its carriers in their order, so the two would be one, and the earlier one's keys hold.
func (d *decoder) oneGroup(at string, routes []Route, i int, groups map[string]int) {
	r := &routes[i]
	if r.Name != "" {
		return
	}
	var key strings.Builder
	for _, m := range r.Carriers {
		fmt.Fprintf(&key, "%t %s,", m.Failover != "", m.Name())
	}
	first, shared := groups[key.String()]
	if !shared {
		groups[key.String()] = i
		return
	}
	other := &routes[first]
	var differ []string
	for _, k := range []struct {
		key  string
		same bool
	}{
		{"weight", slices.EqualFunc(r.Carriers, other.Carriers, func(a, b Member) bool { return a.Weight == b.Weight })},
		{"failover_after", r.FailoverAfter == other.FailoverAfter},
		{"max_wait", r.MaxWait == other.MaxWait},
		{"uncertain", r.Uncertain == other.Uncertain},
		{"receipts", r.Receipts == other.Receipts},
		{"receipt_wait", r.ReceiptWait == other.ReceiptWait},
	} {
		if !k.same {
			differ = append(differ, k.key)
		}
	}
	if len(differ) > 0 {
		d.bad(at, "", fmt.Sprintf("has the carriers of routes[%d], and like it no name, but another %s: they would share one queue and the first one's keys", first, strings.Join(differ, ", ")),
			"give them names")
	}
}

func (d *decoder) checkMO(c *Config, accounts map[string]int) {
	seen := map[string]int{}
	for i, r := range c.MobileOriginated {
		at := fmt.Sprintf("mobile_originated[%d]", i)
		if r.To != "" {
			d.senderPattern(at+".to", r.To, false)
		}
		if r.Account != "" {
			d.reference(at+".account", r.Account, accounts, "account")
			if j, ok := accounts[r.Account]; ok {
				if b := c.Accounts[j].BindTypes; len(b) > 0 && !slices.Contains(b, "receiver") && !slices.Contains(b, "transceiver") {
					d.bad(at+".account", r.Account, "may only bind as a transmitter and cannot receive", "add receiver or transceiver to its bind_types")
				}
			}
		}
		if strings.ContainsAny(r.Keyword, " \t\n") {
			d.bad(at+".keyword", r.Keyword, "is more than one word", "write one word, or a regex")
		}
		if r.Regex != "" {
			if r.Keyword != "" {
				d.bad(at+".regex", r.Regex, "stands beside keyword", "keep one of the two")
			}
			if _, err := regexp.Compile(r.Regex); err != nil {
				d.bad(at+".regex", r.Regex, "is not a regular expression: "+strings.TrimPrefix(err.Error(), "error parsing regexp: "), "mend it; the syntax is RE2's")
			}
		}
		key := r.To + "|" + strings.ToLower(r.Keyword) + "|" + r.Regex
		if first, ok := seen[key]; ok {
			d.bad(at, "", fmt.Sprintf("has the conditions of mobile_originated[%d], which takes everything first", first), "remove one of the two")
		} else {
			seen[key] = i
		}
	}
}
