package config

import (
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
)

func (d *decoder) checkTestNumbers(c *Config) {
	for i, r := range c.TestNumbers {
		at := fmt.Sprintf("test_numbers[%d]", i)
		for _, digit := range slices.Sorted(maps.Keys(r.Outcomes)) {
			if len(digit) != 1 || digit[0] < '0' || digit[0] > '9' {
				d.badKey(mapPath(at+".outcomes", digit), digit, "is no last digit", "write 0 to 9")
			}
		}
		if r.Range == (NumberRange{}) {
			continue // told already
		}
		for j, o := range c.TestNumbers[:i] {
			if o.Range.Contains(r.Range.From) || r.Range.Contains(o.Range.From) {
				d.bad(at+".range", r.Range.String(), fmt.Sprintf("shares numbers with test_numbers[%d], %s", j, o.Range), "let each number stand in one range")
				break
			}
		}
	}
	if len(c.TestNumbers) > 0 {
		return
	}
	for i, a := range c.Accounts {
		if at := fmt.Sprintf("accounts[%d]", i); a.Trial && len(a.TrialNumbers) == 0 && !d.failedUnder(at) {
			d.warn(at+".trial", "", "is set, but there are no trial_numbers and no test_numbers: it reaches nobody", "write trial_numbers")
		}
	}
}

var shortCodeForm = regexp.MustCompile(`^[0-9]{3,15}$`)

func (d *decoder) checkKeywords(c *Config) {
	if len(c.Keywords) == 0 {
		return
	}
	if c.CatalogueFile == "" && !d.failed["catalogue"] {
		d.bad("keywords", "", "need a catalogue: they enrol in its services", "write catalogue: FILE")
	}
	if c.Subscribers.Account == "" && !d.failed["subscribers.account"] && !d.failed["subscribers"] {
		d.bad("subscribers.account", "", "is missing: answers to keywords have nobody to be sent under", "write account: and a system_id")
	}
	numbers := map[string]int{}
	for i := range c.Keywords {
		k, at := &c.Keywords[i], fmt.Sprintf("keywords[%d]", i)
		for j, n := range k.Numbers {
			path := fmt.Sprintf("%s.numbers[%d]", at, j)
			if !shortCodeForm.MatchString(n) {
				d.bad(path, n, "is no short code", "write 3 to 15 digits")
			} else if first, ok := numbers[n]; ok {
				d.bad(path, n, fmt.Sprintf("stands in keywords[%d] already", first), "keep it in one block")
			}
			numbers[n] = i
		}
		d.words(at+".words", &k.Words)
		d.replies(at+".replies", &k.Replies)
	}
}

// words finds one word with two meanings.
func (d *decoder) words(at string, w *Words) {
	means := map[string]string{}
	for _, l := range []struct {
		key  string
		list []string
	}{{"enrol", w.Enrol}, {"withdraw", w.Withdraw}, {"all", w.All}, {"help", w.Help}} {
		for i, s := range l.list {
			path, word := fmt.Sprintf("%s.%s[%d]", at, l.key, i), strings.ToLower(s)
			switch {
			case strings.TrimSpace(s) == "":
				d.bad(path, "", "is empty", "write one word")
			case strings.ContainsAny(s, " \t\n"):
				d.bad(path, s, "is more than one word", "write one word")
			case means[word] != "":
				d.bad(path, s, "stands in "+means[word]+" already", "let each word mean one thing")
			default:
				means[word] = l.key
			}
		}
	}
}

// replyPlaceholders are what the gateway fills in.
var replyPlaceholders = []string{"service", "code", "date", "number"}

var placeholder = regexp.MustCompile(`\{([^{}]*)\}`)

func (d *decoder) replies(at string, r *Replies) {
	r.each(func(key string, t Texts) {
		for language, text := range t {
			path := mapPath(at+"."+key, language)
			if strings.TrimSpace(text) == "" {
				d.bad(path, "", "is empty", "write the text, or remove the language")
			}
			for _, m := range placeholder.FindAllStringSubmatch(text, -1) {
				if !slices.Contains(replyPlaceholders, m[1]) {
					d.bad(path, m[0], "is no placeholder of replies", "write {service}, {code}, {date} or {number}")
				}
			}
		}
	})
}

// ownChannels are the names that the gateway itself signs changes with.
var ownChannels = []string{"sms", "cli", "carrier"}

var keyHashForm = regexp.MustCompile(`^sha256:[0-9a-f]{64}$`)

func (d *decoder) checkAPI(c *Config, accounts map[string]int) {
	names, hashes := map[string]int{}, map[string]int{}
	for i := range c.API.Keys {
		k, at := &c.API.Keys[i], fmt.Sprintf("api.keys[%d]", i)
		d.name(at+".name", k.Name)
		d.double(names, k.Name, i, "api.keys", "name")
		d.keyHash(at+".key_hash", k.KeyHash, i, hashes)
		if d.given(at + ".channel") {
			d.name(at+".channel", k.Channel)
		}
		if slices.Contains(ownChannels, k.Channel) {
			d.bad(at+".channel", k.Channel, "is how the gateway signs its own changes", "choose another name")
		}
		d.distinct(at+".scopes", k.Scopes)
		for j, s := range k.Services {
			d.serviceType(fmt.Sprintf("%s.services[%d]", at, j), s)
		}
		d.distinct(at+".services", k.Services)
		if k.Account != "" {
			d.reference(at+".account", k.Account, accounts, "account")
		} else if i := slices.IndexFunc(k.Scopes, sendsUnderAccount); i >= 0 && !d.failed[at+".account"] {
			d.bad(at+".account", "", "is missing: the scope "+k.Scopes[i]+" sends under an account", "write account: and a system_id, or take the scope away")
		}
		if !k.Expires.IsZero() && !d.opts.Now().Before(k.Expires.End(c.TimeZone.Location())) {
			d.warn(at+".expires", k.Expires.String(), "is past: the key is refused", "remove it, or make a new one with masar key "+k.Name)
		}
	}
}

// sendsUnderAccount reports whether a scope makes messages, which are an account's.
func sendsUnderAccount(scope string) bool {
	return scope == "notices" || scope == "reminders" || scope == "campaigns"
}

func (d *decoder) keyHash(at string, s Secret, i int, seen map[string]int) {
	if s.IsZero() {
		return // told already
	}
	h := s.Reveal()
	first, twice := seen[h]
	switch {
	case h == "sha256:...":
		d.warn(at, "", "is a placeholder: no key fits it", "write the output of masar key")
	case !keyHashForm.MatchString(h):
		d.bad(at, "", "is not the hash of a key", "write the output of masar key, sha256: and 64 hex digits in lower case")
	case twice:
		d.bad(at, "", fmt.Sprintf("is that of api.keys[%d] too", first), "give each partner a key of its own")
	default:
		seen[h] = i
	}
}
