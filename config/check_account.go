package config

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"golang.org/x/crypto/bcrypt"
)

var classes = []string{"urgent", "normal", "bulk"} // highest first

func (d *decoder) checkAccount(at string, a *Account) {
	d.octetString(at+".system_id", a.SystemID, 15)
	if a.PasswordHash.IsZero() && len(a.PasswordHashes) == 0 && !d.failed[at+".password_hash"] && !d.failed[at+".password_hashes"] {
		d.bad(at+".password_hash", "", "is missing", "write the output of masar passwd")
	}
	d.hash(at+".password_hash", a.PasswordHash)
	for i, h := range a.PasswordHashes {
		d.hash(fmt.Sprintf("%s.password_hashes[%d]", at, i), h)
	}
	if len(a.BindTypes) == 0 {
		d.bad(at+".bind_types", "", "is empty", "write at least one of transmitter, receiver, transceiver, or remove the key")
	}
	d.distinct(at+".bind_types", a.BindTypes)
	if slices.Index(classes, a.Class) < slices.Index(classes, a.MaxClass) {
		path := at + ".class"
		if !d.given(path) {
			path = at + ".max_class"
		}
		d.bad(path, "", fmt.Sprintf("makes the class %s higher than the max_class %s", a.Class, a.MaxClass), "let max_class be at least class")
	}
	if a.Burst > 0 && a.Throughput == 0 && !d.failed[at+".throughput"] {
		d.bad(at+".burst", fmt.Sprint(a.Burst), "stands without a throughput", "write throughput: 500/s, or remove burst")
	}
	for i, s := range a.Senders {
		d.senderPattern(fmt.Sprintf("%s.senders[%d]", at, i), s, true)
	}
	d.distinct(at+".senders", a.Senders)
	if a.DefaultSender != "" {
		d.senderAddress(at+".default_sender", a.DefaultSender)
		if len(a.Senders) > 0 && !slices.ContainsFunc(a.Senders, func(p string) bool { return senderFits(p, a.DefaultSender) }) {
			d.bad(at+".default_sender", a.DefaultSender, "is not among senders", "add it to senders")
		}
	}
	for i, s := range a.Services {
		d.serviceType(fmt.Sprintf("%s.services[%d]", at, i), s)
	}
	d.distinct(at+".services", a.Services)
	if d.given(at + ".numbers.country") {
		d.countryCode(at+".numbers.country", a.Numbers.Country)
	}
	if n := a.Numbers; n.TONNPI != "override" && (d.given(at+".numbers.ton") || d.given(at+".numbers.npi")) {
		d.bad(at+".numbers.ton_npi", n.TONNPI, "leaves ton and npi without effect", "write ton_npi: override, or remove ton and npi")
	}
	if len(a.TrialNumbers) > 0 && !a.Trial && !d.failed[at+".trial"] {
		d.bad(at+".trial_numbers", "", "have no effect without trial", "write trial: true, or remove them")
	}
	for i, n := range a.TrialNumbers {
		d.number(fmt.Sprintf("%s.trial_numbers[%d]", at, i), n)
	}
	d.distinct(at+".trial_numbers", a.TrialNumbers)
	d.validity(at+".validity", a.Validity)
	d.timers(at+".timers", a.Timers)
}

// hash accepts a bcrypt hash. One that ends in dots is what documents print: it is told
// as a warning, so that an example loads as it stands, though nobody can bind with it.
func (d *decoder) hash(at string, s Secret) {
	if s.IsZero() {
		return
	}
	h := s.Reveal()
	cost, err := bcrypt.Cost([]byte(h))
	switch {
	case strings.HasPrefix(h, "$2") && strings.HasSuffix(h, "$..."):
		d.warn(at, "", "is a placeholder: no password fits it", "write the output of masar passwd")
	case err != nil || len(h) != 60:
		d.bad(at, "", "is not a bcrypt hash", "write the output of masar passwd, in quotes")
	case cost < 10:
		d.warn(at, "", fmt.Sprintf("has cost %d, quick to guess", cost), "write the output of masar passwd")
	case cost > 14: // a bind would cost seconds of a core, and a wrong one as many
		d.bad(at, "", fmt.Sprintf("has cost %d: each bind would cost seconds", cost), "write the output of masar passwd")
	}
}

// distinct records the second of two equal entries.
func (d *decoder) distinct(at string, list []string) {
	seen := make(map[string]bool, len(list))
	for i, s := range list {
		if seen[s] && s != "" {
			d.bad(fmt.Sprintf("%s[%d]", at, i), s, "stands in the list twice", "remove one")
		}
		seen[s] = true
	}
}

var serviceForm = regexp.MustCompile(`^[A-Za-z0-9]{1,5}$`)

func (d *decoder) serviceType(at, s string) {
	if !serviceForm.MatchString(s) {
		d.bad(at, s, "is not a service_type", "write 1 to 5 letters and digits")
	}
}

// e164Form is a number in its international form, digits alone.
var e164Form = regexp.MustCompile(`^[1-9][0-9]{6,14}$`)

// number checks a whole number in E.164.
func (d *decoder) number(at, s string) {
	bare := strings.TrimPrefix(s, "+")
	switch {
	case e164Form.MatchString(s):
	case bare != s && e164Form.MatchString(bare):
		d.bad(at, s, "begins with a plus", "write "+bare)
	case strings.HasPrefix(s, "0") && digits.MatchString(s):
		d.bad(at, s, "is not international", "write it with its country code, such as 966501234567")
	default:
		d.bad(at, s, "is not a number", "write 7 to 15 digits with the country code, such as 966501234567")
	}
}

var numberRange = regexp.MustCompile(`^([0-9]{1,20})-([0-9]{1,20})$`)

// senderPattern accepts an exact address, PRE* and, where ranges may stand, 1000-1999.
func (d *decoder) senderPattern(at, s string, ranges bool) {
	if pre, ok := strings.CutSuffix(s, "*"); ok {
		if pre == "" {
			d.bad(at, s, "fits everything", "remove the key, which means any sender, or write letters before *")
			return
		}
		d.senderAddress(at, pre)
		return
	}
	if strings.Contains(s, "*") {
		d.bad(at, s, "has a * that is not at its end", "write PRE*")
		return
	}
	if m := numberRange.FindStringSubmatch(s); m != nil {
		switch {
		case !ranges:
			d.bad(at, s, "is a range, which only an account's senders may hold", "write PRE* or an exact sender")
		case len(m[1]) != len(m[2]):
			d.bad(at, s, "is a range between numbers of different length", "write both ends with the same digits, such as 1000-1999")
		case m[1] > m[2]:
			d.bad(at, s, "is a range that ends before it begins", "write "+m[2]+"-"+m[1])
		}
		return
	}
	d.senderAddress(at, s)
}

// senderAddress is a source address: a number of up to 20 digits, or up to 11 characters
// with letters (GSM 03.38 by TON 5).
func (d *decoder) senderAddress(at, s string) {
	switch n := strings.TrimPrefix(s, "+"); {
	case s == "":
		d.bad(at, s, "is empty", "write a number or up to 11 characters")
	case digits.MatchString(n):
		if len(n) > 20 {
			d.bad(at, s, fmt.Sprintf("has %d digits, at most 20 go into the PDU", len(n)), "shorten it")
		}
	case len([]rune(s)) > 11:
		d.bad(at, s, fmt.Sprintf("has %d characters, a sender with letters has at most 11", len([]rune(s))), "shorten it")
	default:
		d.octetString(at, s, 20)
	}
}

// senderFits reports whether address s fits pattern p.
func senderFits(p, s string) bool {
	if pre, ok := strings.CutSuffix(p, "*"); ok {
		return strings.HasPrefix(s, pre)
	}
	if m := numberRange.FindStringSubmatch(p); m != nil {
		return len(s) == len(m[1]) && digits.MatchString(s) && m[1] <= s && s <= m[2]
	}
	return p == s
}
