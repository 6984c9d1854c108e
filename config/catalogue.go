package config

import (
	"strconv"
	"time"
)

// Catalogue is the catalogue file: who sends what to whom, under which name and when. It
// is a file of its own, so that those who keep the services need not touch the gateway's.
type Catalogue struct {
	// Languages of names, templates and replies, in the order of fallback. The list is open.
	Languages []string `yaml:"languages" need:"yes" eg:"[ar, en]"`
	// Zone of the hours and dates below.
	TimeZone TimeZone `yaml:"time_zone" eg:"Asia/Riyadh"`
	// When people are not to be disturbed, by the clock of the zone. Services that hold wait for the end.
	QuietHours Windows `yaml:"quiet_hours"`
	// Days of the week that are weekend.
	Weekend []string `yaml:"weekend" one:"sun mon tue wed thu fri sat" eg:"[fri, sat]"`
	// Further days that count as weekend.
	Holidays []Holiday `yaml:"holidays"`
	// Hours that replace others between two dates, such as Ramadan's. The first that holds wins.
	Overrides []Override `yaml:"overrides"`
	// The regulator's categories, by name.
	Categories map[string]*Category `yaml:"categories"`
	// Who owns services and senders.
	Agencies []Agency `yaml:"agencies" need:"yes"`
	// Registered sender names.
	Senders []Sender `yaml:"senders"`
	// The notices that may be sent.
	Services []Service `yaml:"services" need:"yes"`
}

// Texts is one text in several languages, by language.
type Texts map[string]string

// Category is one of the regulator's categories.
type Category struct {
	// When such messages are permitted; outside it they wait, unless their class is urgent. Left out: at any time.
	Permitted *Windows `yaml:"permitted"`
	// End that all its senders have, and no others.
	SenderSuffix string `yaml:"sender_suffix" eg:"\"-AD\""`
}

// Agency owns services and senders.
type Agency struct {
	// Its code: lower-case letters, digits, hyphens.
	Code string `yaml:"code" need:"yes" eg:"civil-affairs"`
	// Its name in each language.
	Name Texts `yaml:"name" need:"yes" eg:"{en: Civil Affairs}"`
	// Sender of its services that name none.
	Sender string `yaml:"sender" eg:"AHWAL"`
	// Quiet hours of its services; left out: those of the file.
	QuietHours *Windows `yaml:"quiet_hours"`
	// Zone of its hours.
	TimeZone TimeZone `yaml:"time_zone" inherit:"time_zone" eg:"UTC"`
	// Calendar that dates in its notices are written in; hijri is Umm al-Qura. Its reminders may be given in either.
	Calendar string `yaml:"calendar" one:"gregorian hijri" eg:"hijri"`
	// Numbers of its own people, in E.164 without plus: test sends of its campaigns go to these alone.
	TestNumbers []string `yaml:"test_numbers" eg:"[966501234567]"`
}

func (a Agency) id() string { return a.Code }

// Sender is a registered sender name.
type Sender struct {
	// The name; case counts. At most 11 characters where it has a letter, else up to 20 digits.
	Name string `yaml:"name" need:"yes" eg:"AHWAL"`
	// Code of the agency that it belongs to.
	Agency string `yaml:"agency" need:"yes" eg:"civil-affairs"`
	// Categories that it may send. Empty: all but those with a sender_suffix.
	Categories []string `yaml:"categories" eg:"[service, warning]"`
	// How it stands with each carrier, by the carrier's name. A carrier that is left out does not know it.
	Carriers map[string]*SenderAt `yaml:"carriers"`
	// Registered with every carrier; carriers then holds the exceptions.
	AnyCarrier bool `yaml:"any_carrier" eg:"true"`
}

func (s Sender) id() string { return s.Name }

// SenderAt is how a sender stands with one carrier. It may be written as its state alone.
type SenderAt struct {
	// Routing passes over a carrier where it is not active.
	State string `yaml:"state" one:"pending active suspended" need:"yes" eg:"active"`
	// Last day of the registration. Left out: it does not end.
	Expires Day `yaml:"expires" eg:"2027-12-31"`
}

// Service is one kind of notice.
type Service struct {
	// 2 to 5 of A-Z and 0-9; it travels in service_type.
	Code string `yaml:"code" need:"yes" eg:"IDNEW"`
	// Code of the agency that it belongs to.
	Agency string `yaml:"agency" need:"yes" eg:"civil-affairs"`
	// Its name in each language.
	Name Texts `yaml:"name" need:"yes" eg:"{en: National ID card issued}"`
	// expiry: reminder before a date; record: something was done on the person's record; security: alert; otp: one-time code.
	Kind string `yaml:"kind" one:"expiry record violation appointment security otp" need:"yes" eg:"record"`
	// Its class; priority_flag has no say.
	Class string `yaml:"class" one:"urgent normal bulk" eg:"urgent"`
	// The regulator's category, one of categories.
	Category string `yaml:"category" need:"yes" eg:"service"`
	// opt-in: only to the enrolled; mandatory: to everybody.
	Mode string `yaml:"mode" one:"opt-in mandatory" eg:"mandatory"`
	// How long a message without a validity_period may wait, from the end of its hold.
	Validity time.Duration `yaml:"validity" need:"yes" min:"1m" max:"30d" eg:"72h"`
	// hold: it waits for the end of quiet hours; allow: it does not. Hours of its own hold, too. Left out: allow for class urgent and kind otp, else hold.
	QuietHours QuietRule `yaml:"quiet_hours"`
	// What becomes of a message to a number that is not enrolled: refused at once, or accepted and ended REJECTD with a receipt.
	Unenrolled string `yaml:"unenrolled" one:"refuse drop" eg:"drop"`
	// Whether, of identical notices that wait for one person, the first that leaves stands for all: the others end DELETED with err merged. Not for class urgent; messages of reminders and campaigns are never merged.
	Merge bool `yaml:"merge" eg:"true"`
	// Its sender. Empty: the agency's.
	Sender string `yaml:"sender" eg:"AHWAL"`
	// Domains that links in its texts may lead to, with all below them. Empty: no links.
	Domains []string `yaml:"domains" eg:"[moi.gov.sa]"`
	// Days before the date at which a reminder is due, falling. Kind expiry only.
	LeadDays []int `yaml:"lead_days" min:"0" max:"3650" eg:"[60, 30, 7]"`
	// Whether it belongs to the pilot.
	Pilot bool `yaml:"pilot" eg:"true"`
	// What is done to its texts before they are stored.
	Text TextOptions `yaml:"text"`
	// Placeholders of its templates.
	Params []Param `yaml:"params"`
	// Text in each language, with {placeholders}; the short form of templates with one version. Once loaded it stands in Templates, and this field is empty.
	Template Texts `yaml:"template" eg:"{en: \"Your ID card {document} is ready.\"}"`
	// Versions of its text; a message keeps the one that it was made from.
	Templates []Template `yaml:"templates"`
}

func (s Service) id() string { return s.Code }

// TextOptions is what is done to a service's texts.
type TextOptions struct {
	// Presentation forms (U+FB50 to U+FEFF) become letters.
	Fold bool `yaml:"fold" eg:"false"`
	// Harakat.
	Harakat string `yaml:"harakat" one:"keep strip" eg:"strip"`
	// Tatweel.
	Tatweel string `yaml:"tatweel" one:"keep strip" eg:"strip"`
	// Digits: as written, 0-9, or Arabic-Indic.
	Digits string `yaml:"digits" one:"keep european arabic-indic" eg:"european"`
	// Latin runs are wrapped in direction marks.
	Isolate bool `yaml:"isolate" eg:"true"`
	// gsm: typographic quotes, dashes, ellipsis and no-break spaces take their GSM forms where that alone saves UCS-2.
	Punctuation string `yaml:"punctuation" one:"keep gsm" eg:"gsm"`
}

// Param is one placeholder.
type Param struct {
	// Its name as between the braces: a-z, 0-9, underscore.
	Name string `yaml:"name" need:"yes" eg:"document"`
	// Most characters (code points) of its value.
	Max int `yaml:"max" need:"yes" min:"1" max:"1000" eg:"20"`
}

func (p Param) id() string { return p.Name }

// Template is one version of a service's text.
type Template struct {
	// Its number; later versions have higher ones.
	Version int `yaml:"version" need:"yes" min:"1" max:"65535" eg:"2"`
	// Who wrote it.
	Author string `yaml:"author" eg:"\"n.alharbi\""`
	// Who approved it.
	Approver string `yaml:"approver" eg:"\"s.alqahtani\""`
	// Day from which it is used. Left out: always, until a later version is valid.
	ValidFrom Day `yaml:"valid_from" eg:"2027-01-01"`
	// Text in each language, with {placeholders}.
	Text Texts `yaml:"text" need:"yes" eg:"{en: \"Your ID card {document} is ready.\"}"`
}

func (t Template) id() string { return strconv.Itoa(t.Version) }
