package service

import (
	"cmp"
	"slices"
	"strconv"
	"time"

	"masar/number"
)

// Options is what a Catalogue is made of: the configuration's values, as written.
type Options struct {
	Languages  []string // open list, in the order of fallback: a text that lacks one takes the next
	Zone       *time.Location
	Calendar   Calendar
	Categories []Category
	Agencies   []Agency
	Senders    []Sender
	Services   []Service
}

// An Agency owns services and sender names.
type Agency struct {
	Code        string
	Name        Texts
	Sender      string         // of its services that name none
	Zone        *time.Location // nil: the Options'
	Quiet       *Windows       // quiet hours of its services; nil: the calendar's
	Calendar    DateStyle      // of the dates in its notices
	TestNumbers []number.E164  // its own people's, which test sends of campaigns go to; at most 100
}

// Texts is one text in several languages.
type Texts map[string]string

// In is the text in the first of these languages that it has, and which that was. Where it
// has none of them it is the one whose language comes first in the alphabet, so that a
// name is never empty while there is one.
func (t Texts) In(languages ...string) (text, language string) {
	for _, l := range languages {
		if text := t[l]; text != "" {
			return text, l
		}
	}
	for l, some := range t {
		if some != "" && (language == "" || l < language) {
			text, language = some, l
		}
	}
	return text, language
}

// A Category is the regulator's: when such messages are permitted, and how their senders
// are written. The five of Saudi practice are warning, service, awareness, personal and
// promotional; the list is the configuration's.
type Category struct {
	Name         string
	Permitted    *Windows // nil: at any time
	SenderSuffix string   // "-AD": every sender of this category ends so, and no other does
}

// Calendar is when people are not to be disturbed.
type Calendar struct {
	Quiet     Windows // default quiet hours, by day
	Weekend   []time.Weekday
	Holidays  []Dates    // days that count as weekend
	Overrides []Override // Ramadan and the like; the first that holds wins
}

// Dates are whole days in the zone that applies, both included.
type Dates struct {
	Name     string
	From, To Day
}

// Day is a civil date.
type Day struct {
	Year  int
	Month time.Month
	Day   int
}

// String writes 2027-03-09.
func (d Day) String() string { return d.at(time.UTC).Format(time.DateOnly) }

// Compare is negative when d is before e, 0 when they are one day.
func (d Day) Compare(e Day) int {
	return cmp.Or(cmp.Compare(d.Year, e.Year), cmp.Compare(d.Month, e.Month), cmp.Compare(d.Day, e.Day))
}

// at is the first moment of the day in a zone, or close to it where midnight was skipped.
func (d Day) at(zone *time.Location) time.Time {
	return time.Date(d.Year, d.Month, d.Day, 0, 0, 0, 0, zone)
}

// In reports whether a day is one of these.
func (d *Dates) In(day Day) bool { return day.Compare(d.From) >= 0 && day.Compare(d.To) <= 0 }

// Override replaces hours on its dates: those of the calendar, of agencies and of services
// alike, for who sleeps in the morning throughout Ramadan does so whoever writes to him. A
// service that does not hold does not begin to.
type Override struct {
	Dates
	Quiet     *Windows            // nil: unchanged
	Permitted map[string]*Windows // by category; absent: unchanged; nil: at any time
}

// Windows are spans of the day: on working days, and on weekends and holidays where those
// differ. A span that ends before it begins passes midnight and belongs to the day it
// begins on.
type Windows struct {
	Days    []Span
	Weekend []Span // nil: as Days; empty but not nil: none
}

// Span is [From, To) in minutes since midnight, 0..1440.
type Span struct{ From, To int }

// A Sender is a registered sender name.
type Sender struct {
	Name       string // case counts; at most 11 characters where it has a letter
	Agency     string
	Categories []string            // empty: any but those with a SenderSuffix
	Carriers   map[string]SenderAt // by carrier; a carrier that is absent does not know it
	AnyCarrier bool                // registered everywhere: Carriers holds the exceptions
}

// SenderAt is how a sender stands with one carrier.
type SenderAt struct {
	State   SenderState
	Expires time.Time // zero: never
}

// SenderState is a registration's state.
type SenderState uint8

// The states of a registration.
const (
	SenderPending SenderState = iota
	SenderActive
	SenderSuspended
)

var senderStates = [...]string{"pending", "active", "suspended"}

func (s SenderState) String() string { return nameOf(senderStates[:], uint8(s)) }

// SenderStateOf reads a state as the configuration writes it.
func SenderStateOf(name string) (SenderState, bool) {
	i := slices.Index(senderStates[:], name)
	return SenderState(max(i, 0)), i >= 0
}

// Kind is what a service tells.
type Kind uint8

// The kinds.
const (
	ExpiryReminder Kind = iota
	RecordChange
	Violation
	Appointment
	SecurityAlert
	OneTimeCode
)

var kindNames = [...]string{"expiry", "record", "violation", "appointment", "security", "otp"}

func (k Kind) String() string { return nameOf(kindNames[:], uint8(k)) }

// KindOf reads a kind as the configuration writes it.
func KindOf(name string) (Kind, bool) {
	i := slices.Index(kindNames[:], name)
	return Kind(max(i, 0)), i >= 0
}

// Mode says whom a service may be sent to.
type Mode uint8

// The modes.
const (
	OptIn Mode = iota
	Mandatory
)

var modeNames = [...]string{"opt-in", "mandatory"}

func (m Mode) String() string { return nameOf(modeNames[:], uint8(m)) }

// ModeOf reads a mode as the configuration writes it.
func ModeOf(name string) (Mode, bool) {
	i := slices.Index(modeNames[:], name)
	return Mode(max(i, 0)), i >= 0
}

// A Service is one kind of notice.
type Service struct {
	Code     string // 2 to 5 of A-Z 0-9: travels in service_type
	Agency   string
	Name     Texts
	Kind     Kind
	Class    uint8 // queue.Class: 0 urgent, 1 normal, 2 bulk
	Category string
	Mode     Mode
	Validity time.Duration // default validity
	Hold     bool          // waits for the end of quiet hours; urgent ones never do
	Quiet    *Windows      // nil: the agency's
	Drop     bool          // opt-in, not enrolled: accepted and ended REJECTD, instead of refused
	Merge    bool          // of identical notices that wait for one person the first that leaves stands for all; never with Class 0
	Sender   string        // empty: the agency's
	Domains  []string      // links may lead to these and what is below them; empty: no links
	LeadDays []int         // ExpiryReminder: days before the date, falling
	Pilot    bool
	Text     TextOptions
	Params   []Param
	Versions []Version // templates, by ValidFrom; empty: it has none

	// Set by New.
	agency  *Agency
	hours   *hours    // nil: never held
	wording []wording // as Versions, by ValidFrom
	allowed []string  // Domains as they are compared: lower case, IDNA
}

// TextOptions is what is done to a text before it is stored. The zero value keeps it.
// smpp/text does the work (text.Options); New leaves FoldPresentation as configured.
type TextOptions struct {
	FoldPresentation bool // U+FB50..U+FEFF to letters; the configuration's default is true
	StripHarakat     bool
	StripTatweel     bool
	Digits           string // "": as written; "european", "arabic-indic"
	Isolate          bool   // Latin runs between direction marks
	GSMPunctuation   bool   // typographic quotes, dashes, ellipsis, no-break spaces, where that alone saves UCS-2
}

// Param is one placeholder of a template.
type Param struct {
	Name string
	Max  int // code points
}

// Version is one wording of a template.
type Version struct {
	Number    int
	Author    string
	Approver  string
	ValidFrom time.Time // zero: always
	Text      Texts
}

// Reason is why a notice may not leave. The zero value: it may.
type Reason uint8

// The reasons.
const (
	Allowed        Reason = iota
	NotEnrolled           // opt-in, and nobody at the number has it
	Unverified            // enrolled, and the code sent to the number was not entered yet
	Suspended             // the number is recycled or unreachable
	Blocked               // on the blocklist
	SenderUnknown         // no such sender for this agency and category
	SenderInactive        // registered, active with no carrier that could take it
	UnknownPerson         // addressed to a person whom the registry does not know
)

var reasonNames = [...]string{"ok", "not_enrolled", "unverified", "suspended", "blocked", "sender_unknown", "sender_inactive", "unknown_person"}

func (r Reason) String() string { return reasonNames[r] }

// A Question is one notice that wants to leave.
type Question struct {
	Service  *Service
	Standing *Standing // of Number; nil: nothing is known of it
	Person   Person    // who is meant; zero: whoever has the number
	Now      time.Time
}

// An Answer is what becomes of it.
type Answer struct {
	Reason   Reason
	Person   Person    // who gets it, where one is known: kept with the message, so that it follows a change of number
	Language string    // his; empty: not said
	Hold     time.Time // zero: it may leave now; else when it may. Only with Allowed
}

// A Catalogue is Options that were found sound, made quick to ask. It never changes, and
// all methods may be called from any goroutine.
type Catalogue struct {
	languages  []string
	zone       *time.Location
	categories map[string]*Category
	agencies   map[string]*Agency
	senders    map[string]*Sender // empty: nothing is registered, every sender may be used
	services   []*Service
	byCode     map[string]*Service
	warnings   []Mistake
}

// Service is the one with a code; nil: unknown. What it points at must not be changed.
func (c *Catalogue) Service(code string) *Service { return c.byCode[code] }

// ServiceBytes is Service for octets off the wire. It does not allocate.
func (c *Catalogue) ServiceBytes(code []byte) *Service { return c.byCode[string(code)] }

// Agency is the one with a code; nil: unknown.
func (c *Catalogue) Agency(code string) *Agency { return c.agencies[code] }

// Services are all, in the order of the configuration. The slice is shared.
func (c *Catalogue) Services() []*Service { return c.services }

// Category is the one with a name; nil: unknown.
func (c *Catalogue) Category(name string) *Category { return c.categories[name] }

// Languages are in the order of fallback. The slice is shared.
func (c *Catalogue) Languages() []string { return c.languages }

// Warnings are what works and should not stay, in the order of the configuration.
func (c *Catalogue) Warnings() []Mistake { return c.warnings }

// Owner is the agency that a service of a Catalogue belongs to. What it points at must not
// be changed.
func (s *Service) Owner() *Agency { return s.agency }

// Zone is the time zone of a service's hours.
func (s *Service) Zone() *time.Location { return s.agency.Zone }

func nameOf(names []string, i uint8) string {
	if int(i) < len(names) {
		return names[i]
	}
	return strconv.Itoa(int(i))
}
