package service

import (
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
	Code   string
	Name   Texts
	Sender string         // of its services that name none
	Zone   *time.Location // nil: the Options'
	Quiet  *Windows       // quiet hours of its services; nil: the calendar's
}

// Texts is one text in several languages.
type Texts map[string]string

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

// Override replaces hours within its dates.
type Override struct {
	Dates
	Quiet     *Windows            // nil: unchanged
	Permitted map[string]*Windows // by category; absent: unchanged
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

// Mode says whom a service may be sent to.
type Mode uint8

// The modes.
const (
	OptIn Mode = iota
	Mandatory
)

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
	Sender   string        // empty: the agency's
	Domains  []string      // links may lead to these and what is below them; empty: no links
	LeadDays []int         // ExpiryReminder: days before the date, falling
	Pilot    bool
	Text     TextOptions
	Params   []Param
	Versions []Version // templates, by ValidFrom; empty: it has none

	// Set by New.
	agency *Agency
	index  int
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

// Contracts of the functions of this package that the other rooms call:
//
//	func New(o Options) (*Catalogue, error)                       every *Mistake joined
//	func (c *Catalogue) Service(code string) *Service             nil: unknown
//	func (c *Catalogue) ServiceBytes(code []byte) *Service        without allocating
//	func (c *Catalogue) Agency(code string) *Agency
//	func (c *Catalogue) Services() []*Service                     in order of the file
//	func (c *Catalogue) Languages() []string
//	func (c *Catalogue) Judge(q Question) Answer                  enrolment, blocklist, suspension, then hours
//	func (c *Catalogue) OpensAt(s *Service, now time.Time) time.Time   hours alone; zero: open now. Cheap: the answer is cached till it changes
//	func (c *Catalogue) MaySend(sender string, s *Service) Reason      Allowed or SenderUnknown
//	func (c *Catalogue) ActiveAt(sender, carrier string, now time.Time) bool  true for a sender the registry does not know
//	func (c *Catalogue) SenderOf(s *Service) string
//	func (c *Catalogue) Render(s *Service, language string, params map[string]string, now time.Time) (Rendered, error)  error: *ParamError{Param, Rule}, all joined
//	func (c *Catalogue) Links(text string, s *Service) (foreign string, ok bool)   ok: every link leads to a registered domain
//	type Rendered struct { Text, Language string; Version int }; func (Rendered) Template(s) string "IDREN/2/ar"
//	func (t Texts) In(languages ...string) (text, language string)

var _ = number.E164(0)
