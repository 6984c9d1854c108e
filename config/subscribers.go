package config

import (
	"cmp"
	"path/filepath"
	"strings"
	"time"
)

// Subscribers is the registry of people and what they enrolled in.
type Subscribers struct {
	// Folder of the registry. Empty: subscribers in the data folder.
	Dir string `yaml:"dir" path:"yes" eg:"/var/lib/masar/subscribers"`
	// File of the key that persons' references are hashed with: 64 hex digits. Empty: key in the registry's folder, made at the first start. Who loses it finds nobody again.
	KeyFile string `yaml:"key_file" path:"yes" eg:"secrets/subscribers"`
	// Key is what KeyFile holds.
	Key Secret `yaml:"-"`
	// Numbers kept in memory.
	Cache int `yaml:"cache" min:"0" max:"100000000" eg:"1000000"`
	// Failures as unknown subscriber that suspend a number.
	Unknown UnknownLimit `yaml:"unknown"`
	// Codes that prove that a number is the person's.
	Code Code `yaml:"code"`
	// system_id that codes and answers to keywords are sent under.
	Account string `yaml:"account" eg:"nic"`
	// Most persons at one number.
	People int `yaml:"people" min:"1" max:"1000" eg:"10"`
}

// UnknownLimit is how often a number may fail as unknown subscriber.
type UnknownLimit struct {
	// Failures.
	Times int `yaml:"times" min:"1" max:"8" eg:"5"`
	// Days within which they count.
	Days int `yaml:"days" min:"1" max:"366" eg:"14"`
}

// Code is how numbers are verified.
type Code struct {
	// Code of the service whose template carries it, as {code}. Empty: no codes are sent.
	Service string `yaml:"service" eg:"OTPEN"`
	// How long a code holds.
	TTL time.Duration `yaml:"ttl" min:"1m" max:"24h" eg:"5m"`
	// Wrong codes before it is void.
	Tries int `yaml:"tries" min:"1" max:"20" eg:"3"`
	// Its length.
	Digits int `yaml:"digits" min:"4" max:"10" eg:"4"`
}

// SubscribersDir is the folder of the registry.
func (c *Config) SubscribersDir() string {
	return cmp.Or(c.Subscribers.Dir, filepath.Join(c.Data, "subscribers"))
}

// SubscribersKeyFile is the file of the registry's key.
func (c *Config) SubscribersKeyFile() string {
	return cmp.Or(c.Subscribers.KeyFile, filepath.Join(c.SubscribersDir(), "key"))
}

// BulkDir is where bulk uploads are kept.
func (c *Config) BulkDir() string { return cmp.Or(c.API.Bulk.Dir, filepath.Join(c.Data, "bulk")) }

// Blocklist is the file of numbers that must get nothing.
type Blocklist struct {
	// Rows of number,scope,reason,expires, laid over what API and CLI keep. Empty: none.
	File string `yaml:"file" path:"yes" eg:"blocklist.csv"`
	// How often the file is looked at for a change. 0: only on reload.
	Reload time.Duration `yaml:"reload" max:"30d" eg:"1h"`
}

// Keywords is what people may write to a short code.
type Keywords struct {
	// Short codes that they write to. A text that asks for an answer names one, or {number}: the one that was written to.
	Numbers []string `yaml:"numbers" need:"yes" eg:"[\"1090\"]"`
	// Words that are understood, without regard to case, hamza forms, tatweel and harakat.
	Words Words `yaml:"words"`
	// Code of the service whose template confirms an enrolment; placeholders service, date, code and number, the short code.
	Enrolled string `yaml:"enrolled" eg:"SUBAD"`
	// Code of the service whose template confirms a withdrawal; placeholders service, date, code and number, the short code.
	Withdrawn string `yaml:"withdrawn" eg:"SUBRM"`
	// Answers that are no service's, with the placeholders service, code, date and number. One without a text is not sent.
	Replies Replies `yaml:"replies"`
}

func (k Keywords) id() string { return strings.Join(k.Numbers, ",") }

// Words is what is understood, in any language.
type Words struct {
	// Before a service's code: enrol.
	Enrol []string `yaml:"enrol" eg:"[اشتراك, START]"`
	// Before a service's code: withdraw; alone, from everything.
	Withdraw []string `yaml:"withdraw" need:"yes" eg:"[إلغاء, STOP]"`
	// Instead of a service's code: every service.
	All []string `yaml:"all" eg:"[الكل, ALL]"`
	// Asks for help.
	Help []string `yaml:"help" eg:"[مساعدة, HELP]"`
}

// Replies are answers in each language. Their placeholders are {service}, its name, {code},
// {date} and {number}, the short code.
type Replies struct {
	// To the word for help, and to what is not understood.
	Help Texts `yaml:"help" eg:"{en: \"Write START or STOP and the service's code to 1090.\"}"`
	// To a code that is no service.
	UnknownService Texts `yaml:"unknown_service" eg:"{en: \"There is no service {code}.\"}"`
	// To a withdrawal from what the person is not enrolled in.
	NotEnrolled Texts `yaml:"not_enrolled" eg:"{en: \"You are not enrolled in {code}.\"}"`
	// To an enrolment, where no service's template confirms it.
	Enrolled Texts `yaml:"enrolled" eg:"{en: \"You are enrolled in {service}.\"}"`
	// To a withdrawal, where no service's template confirms it.
	Withdrawn Texts `yaml:"withdrawn" eg:"{en: \"You left {service}.\"}"`
	// To a withdrawal from everything.
	WithdrawnAll Texts `yaml:"withdrawn_all" eg:"{en: \"You left all services.\"}"`
	// To an enrolment that is there already.
	Already Texts `yaml:"already" eg:"{en: \"You are enrolled in {code} already.\"}"`
}

// API is who may use the HTTP API, and its limits.
type API struct {
	// Keys, one for each channel partner.
	Keys []APIKey `yaml:"keys"`
	// Bulk uploads.
	Bulk Bulk `yaml:"bulk"`
}

// APIKey is one channel partner.
type APIKey struct {
	// Its name in logs and history.
	Name string `yaml:"name" need:"yes" eg:"bank-a"`
	// SHA-256 of the key in hex, as masar key prints it.
	KeyHash Secret `yaml:"key_hash" need:"yes" eg:"\"sha256:...\""`
	// Channel that its enrolments carry; it sees only what this channel enrolled.
	Channel string `yaml:"channel" inherit:".name" eg:"bank-a"`
	// What it may do.
	Scopes []string `yaml:"scopes" one:"enrol withdraw read number bulk export blocklist notices catalogue all-channels reminders campaigns release halt" need:"yes" eg:"[enrol, withdraw, read]"`
	// system_id that its notices, reminders and campaigns are sent under; needed for the scopes notices, reminders and campaigns.
	Account string `yaml:"account" eg:"civil-affairs"`
	// Codes of the services it may enrol in and send. Empty: all, and of its account those granted.
	Services []string `yaml:"services" eg:"[IDREN]"`
	// Last day on which it is taken, by time_zone at the top. Left out: it does not end.
	Expires Day `yaml:"expires" eg:"2027-12-31"`
}

func (k APIKey) id() string { return k.Name }

// Bulk is the limits of bulk uploads.
type Bulk struct {
	// Folder of uploads and of the files of bad rows. Empty: bulk in the data folder.
	Dir string `yaml:"dir" path:"yes" eg:"/var/lib/masar/bulk"`
	// Largest upload.
	Max Size `yaml:"max" min:"1KiB" max:"1TiB" eg:"1GiB"`
	// How long an upload's result is kept.
	Keep time.Duration `yaml:"keep" min:"1h" max:"366d" eg:"3d"`
}

// TestRange is numbers that never leave the gateway.
type TestRange struct {
	// The numbers, both ends included, in E.164 without plus.
	Range NumberRange `yaml:"range" need:"yes" eg:"966500000000-966500000099"`
	// From the accepted message to its receipt.
	Delay time.Duration `yaml:"delay" max:"24h" eg:"5s"`
	// How messages end, by the last digit of the number: DELIVRD, UNDELIV, EXPIRED, REJECTD, unknown-subscriber (UNDELIV with err:001) or never. A digit that is left out keeps its default.
	Outcomes map[string]string `yaml:"outcomes" one:"DELIVRD UNDELIV EXPIRED REJECTD unknown-subscriber never" eg:"{0: EXPIRED, 1: never}"`
}

func (r TestRange) id() string { return r.Range.String() }

// NumberRange is numbers of one length, both ends included: digits alone.
type NumberRange struct{ From, To string }

// String writes 966500000000-966500000099, or one number alone.
func (r NumberRange) String() string {
	if r.From == r.To {
		return r.From
	}
	return r.From + "-" + r.To
}

// Contains reports whether number, digits alone, lies in the range.
func (r NumberRange) Contains(number string) bool {
	return len(number) == len(r.From) && r.From <= number && number <= r.To
}

func parseNumberRange(s string) (NumberRange, *fault) {
	from, to, two := strings.Cut(s, "-")
	if !two {
		to = from
	}
	r := NumberRange{strings.TrimSpace(from), strings.TrimSpace(to)}
	switch {
	case !e164Form.MatchString(r.From) || !e164Form.MatchString(r.To):
		return NumberRange{}, &fault{"is not a range of numbers", "write it as 966500000000-966500000099, with the country code and without plus"}
	case len(r.From) != len(r.To):
		return NumberRange{}, &fault{"is a range between numbers of different length", "write both ends with the same digits, such as 966500000000-966500000099"}
	case r.From > r.To:
		return NumberRange{}, &fault{"is a range that ends before it begins", "write " + r.To + "-" + r.From}
	}
	return r, nil
}

// each calls f with every reply and its key.
func (r *Replies) each(f func(key string, t Texts)) {
	for _, x := range []struct {
		key string
		t   Texts
	}{
		{"help", r.Help}, {"unknown_service", r.UnknownService}, {"not_enrolled", r.NotEnrolled},
		{"enrolled", r.Enrolled}, {"withdrawn", r.Withdrawn}, {"withdrawn_all", r.WithdrawnAll}, {"already", r.Already},
	} {
		f(x.key, x.t)
	}
}
