package gateway

import (
	"context"
	"crypto/tls"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"regexp"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"masar/number"
	"masar/queue"
	"masar/service"
	"masar/smpp"
	"masar/smpp/pdu"
	"masar/smpp/receipt"
	"masar/smpp/text"
)

// Options is what a Gateway is made of. What Reload may change stands in Setup.
type Options struct {
	Store      queue.Store                     // required
	Registry   service.Registry                // subscribers and blocklist; nil: none. The caller closes it after Close
	Jobs       Jobs                            // hears the ends of messages with a Job; nil: such are not taken
	Full       func() (submits, receipts bool) // the disk's state: which of them must be refused; nil: never
	Log        *slog.Logger                    // nil: nowhere
	Registerer prometheus.Registerer           // nil: unregistered
	Listeners  []Listener
	OnListen   func(net.Addr)                                                    // told of each listener's address; may be nil
	Dial       func(ctx context.Context, network, addr string) (net.Conn, error) // to carriers; nil: the network

	SystemID    string // what bind_resp says; default "masar"
	Timers      smpp.Timers
	MaxPDU      int           // octets; default 68 KiB
	HaltFile    string        // where halts are kept over a restart; empty: nowhere
	Drain       time.Duration // longest wait for windows at shutdown; default 10s, negative: none
	OutboxTTL   time.Duration // default 72h
	ShowText    bool          // message text in the log, where each message is logged (debug)
	ShowNumbers bool          // whole numbers in logs

	Setup Setup

	sentMost int // tests: sent parts a carrier keeps in memory
}

// Setup is the part of the Options that Reload swaps.
type Setup struct {
	Accounts []Account
	Carriers []Carrier
	Routes   []Route
	Mobile   []MobileRule
	Keywords *Keywords                                   // nil: none
	Ported   func(number string) (route string, ok bool) // nil: no ported numbers

	// Catalogue makes accounts with an agency or services governed ones; nil: there are none.
	Catalogue *service.Catalogue
	// Test tells of a test number and the name of the route that plays it: asked before
	// Ported and Routes. Such a number is never blocked, enrolled in everything and within
	// every trial. nil: there are none.
	Test func(number string) (route string, is bool)

	Zone         *time.Location     // for SMPP times without an offset; default UTC
	MaxSchedule  time.Duration      // furthest schedule_delivery_time; default 180 days
	Shares       [queue.Classes]int // guaranteed parts of the last 100; default normal 10, bulk 5; negative: none
	MobileExpiry time.Duration      // an incomplete set is delivered as it is after this; default 5m
	MobileTTL    time.Duration      // how long a mobile-originated message waits; default: its account's OutboxTTL
	RefusalDelay time.Duration      // before a refused bind is answered; default 500ms
	AuthStatus   pdu.Status         // of unknown system_id and wrong password alike; default ESME_RINVPASWD
}

// Listener is one address clients bind to.
type Listener struct {
	Addr        string
	TLS         *tls.Config
	Allow       []netip.Prefix // empty: any
	MaxSessions int            // 0: no limit
}

// An Account submits messages.
type Account struct {
	SystemID      string
	PasswordHash  []string      // bcrypt; any of them opens
	BindTypes     []pdu.Command // allowed bind_* commands; empty: all
	MaxBinds      int           // 0: no limit
	Allow         []netip.Prefix
	Throughput    float64      // submit_sm per second over all binds; 0: no limit
	Burst         float64      // 0: a tenth of a second's rate, at least 10
	Window        int          // unanswered submits per bind; default 1,000
	Park          int          // further ones that wait in turn; default Window, negative: none
	DeliverWindow int          // deliver_sm we send unanswered, per bind; default 100
	Timers        *smpp.Timers // nil: the gateway's

	Class    queue.Class
	MaxClass queue.Class // the most urgent it may ask for
	Weight   int         // 1..100

	Senders       []Sender // empty: any
	DefaultSender string
	Services      []string // allowed service_type; empty: any, or with a Catalogue all of Agency's
	Agency        string   // code of its agency in the Catalogue; with it or Services the account is governed
	Numbers       NumberRule
	Trial         map[number.E164]struct{} // the numbers a trial account may reach; nil: no trial account

	Codings         text.Codings // meaning of data_coding 0 and 1
	MessageID       IDForm
	ValidityDefault time.Duration
	ValidityMax     time.Duration
	MaxParts        int
	Room            int64 // messages waiting per class; 0: the store's
	EmptyRefused    bool  // an empty message is refused with ESME_RINVMSGLEN
	OutboxTTL       time.Duration
	Zone            *time.Location
	Receipts        AccountReceipts
}

// AccountReceipts is how an account wants its receipts written.
type AccountReceipts struct {
	NoTLVs     bool
	IDForm     ReceiptID
	DateDigits int  // 10 or 12
	PerPart    bool // one receipt a part
}

// ReceiptID is the form of the id in an account's receipts, where that is not the one of
// its submit_sm_resp.
type ReceiptID uint8

// The forms.
const (
	SameID ReceiptID = iota
	ReceiptHex
	ReceiptDecimal
	ReceiptPadded // decimal, zeros in front up to 10 digits
)

// IDForm is how an account sees message_id.
type IDForm uint8

// The forms.
const (
	HexID     IDForm = iota // 16 hex digits
	DecimalID               // at most 19 digits
	ShortID                 // 10 digits, a counter of the account's own
)

// Sender is one allowed source address: exactly one of the forms is set.
type Sender struct {
	Exact    string
	Prefix   string
	From, To uint64 // numeric range, inclusive
}

// NumberRule says how an account's destinations become E.164.
type NumberRule struct {
	Mode    NumberMode
	Country string        // country code for national numbers; default "966"
	TONNPI  AddressTONNPI // of the normalised address
}

// NumberMode is how strict an account's NumberRule is.
type NumberMode uint8

// The modes.
const (
	NumbersKnown  NumberMode = iota // normalise what is recognised, keep other digits as written
	NumbersStrict                   // refuse what is no mobile number of the plan
	NumbersKeep                     // digits as written, a leading + taken off
)

// AddressTONNPI chooses type and plan of an address.
type AddressTONNPI struct {
	Mode     TONNPIMode
	TON, NPI uint8 // for TONNPIFixed
}

// TONNPIMode is auto (by the address itself), keep, or fixed.
type TONNPIMode uint8

// The modes.
const (
	TONNPIAuto TONNPIMode = iota
	TONNPIKeep
	TONNPIFixed
)

// A Carrier carries messages: one block of binds to one SMSC.
type Carrier struct {
	Name         string
	Addrs        []string // host:port in order of preference
	AllAddrs     bool     // bind to all of them at once instead
	ReceiveAddrs []string // for receiver binds; empty: Addrs
	LocalAddr    string
	Dial         func(ctx context.Context, network, addr string) (net.Conn, error) // instead of Options.Dial; nil: that
	TLS          *tls.Config
	SystemID     string
	Password     string
	SystemType   string
	Version      uint8 // interface_version; default 0x34
	AddressRange string
	RangeTON     uint8
	RangeNPI     uint8
	Transceivers int
	Transmitters int
	Receivers    int
	Window       int     // submit_sm unanswered per bind; default 10
	Throughput   float64 // submit_sm per second over all binds; 0: no limit
	Burst        float64
	Timers       smpp.Timers
	Backoff      smpp.Backoff
	Hours        Hours  // nil: always open
	Identity     string // changes whenever any of the options does: Reload keeps a carrier whose Identity holds

	ServiceType  string // when the message has none
	ProtocolID   *uint8
	Priority     *uint8
	Validity     ValidityForm
	Source       Addressing
	Dest         Addressing
	Alphanumeric SenderRule
	Replacement  string
	TLVs         []byte // added to every submit_sm, as wire octets

	Codings         text.Codings            // what the carrier's data_coding 0 and 1 mean
	Packed          bool                    // GSM septets packed on data_coding 0
	DataCoding      map[text.Encoding]uint8 // where it differs from Codings
	Style           text.Style
	MaxShortMessage int  // octets; default 254
	NoTLVs          bool // none is sent: SMPP v3.3 has none; set where Version is below 0x34
	MaxParts        int  // default 255

	Receipts    CarrierReceipts
	Statuses    map[pdu.Status]AnswerClass // beside the built-in classes
	Retry       RetrySchedule
	StatusRetry map[pdu.Status]RetrySchedule

	Free    FreeOfCharge
	Unknown UnknownSubscriber

	Recovery Recovery // after an outage
}

// FreeOfCharge is how a carrier is told that a message costs its receiver nothing. It
// counts for messages of a catalogue's services.
type FreeOfCharge struct {
	Required bool     // a service for which there is no marker does not go over this carrier
	Markers  []Marker // the first one that fits a service is written
}

// A Marker is what makes a message free to its receiver at one carrier.
type Marker struct {
	Name        string   // into the message's history
	Services    []string // codes; empty: all
	ServiceType string   // instead of the service's code; empty: that
	Source      string   // instead of the sender; empty: that
	TLVs        []byte   // beside the message's own, as wire octets
}

// UnknownSubscriber is how a carrier says that nobody has a number (any more).
type UnknownSubscriber struct {
	Errs     map[string]bool     // err of a receipt with a failed state, as the carrier writes it
	Statuses map[pdu.Status]bool // final answers to submit_sm
}

// RetrySchedule is how often and when a temporary failure is tried again.
type RetrySchedule struct {
	Delays []time.Duration // the last one repeats
	Tries  int             // 0: until validity ends
	Jitter float64         // share of a delay that is random, each way, 0..1
}

// Hours tells when a carrier is open.
type Hours interface {
	Open(now time.Time) (open bool, until time.Time)
}

// SenderRule is what becomes of an alphanumeric sender at a carrier.
type SenderRule uint8

// The rules.
const (
	KeepSender    SenderRule = iota
	ReplaceSender            // by Carrier.Replacement
	RefuseSender             // the message goes elsewhere
)

// CarrierReceipts is how a carrier writes its receipts.
type CarrierReceipts struct {
	Ask       AskReceipts
	RespForm  receipt.Form
	TextForm  receipt.Form
	RespKnown bool // false: RespForm is found out by itself
	TextKnown bool // false: TextForm is found out by itself
	Options   receipt.Options
	LastPart  bool          // only the last part's receipt comes, and decides
	Wait      time.Duration // longest wait for a receipt after validity; default 24h
}

// AskReceipts says whether a carrier is asked for receipts.
type AskReceipts uint8

// Whether a carrier is asked.
const (
	AsAsked AskReceipts = iota
	AlwaysAsk
	NeverAsk
)

// ValidityForm is how a carrier is told the validity that remains.
type ValidityForm uint8

// The forms.
const (
	RelativeValidity ValidityForm = iota
	AbsoluteValidity
	NoValidity
)

// Addressing rewrites an address for a carrier.
type Addressing struct {
	TONNPI AddressTONNPI
	Strip  string // prefix taken off
	Prefix string // then put in front
}

// AnswerClass is what a carrier's status means for the message.
type AnswerClass uint8

// The classes of answers.
const (
	AnswerOK AnswerClass = iota
	AnswerThrottle
	AnswerTemporary
	AnswerElsewhere
	AnswerPermanent
)

var answerNames = [...]string{"ok", "throttle", "temporary", "elsewhere", "permanent"}

func (c AnswerClass) String() string { return answerNames[c] }

// A Route leads to carriers.
type Route struct {
	Name          string
	Prefixes      []string
	Accounts      []string // system_ids
	Senders       []string
	Services      []string
	Classes       []queue.Class
	Carriers      []RouteCarrier
	FailoverAfter time.Duration // default 5s, negative: at once
	MaxWait       time.Duration // default 30s, negative: never
	Uncertain     Uncertain
	Receipts      AskReceipts
	ReceiptWait   time.Duration // 0: the carrier's
}

// RouteCarrier is a carrier's place in a route.
type RouteCarrier struct {
	Name     string
	Weight   int  // default 1
	Failover bool // only when those before it are unavailable
}

// Uncertain is a route's policy for a submit_sm without an answer.
type Uncertain uint8

// The policies.
const (
	Resend Uncertain = iota
	FailUncertain
	HoldUncertain
)

// A MobileRule leads mobile-originated messages to an account.
type MobileRule struct {
	To      string         // destination address; empty: any
	Keyword string         // first word, without regard to case; empty: any
	Regexp  *regexp.Regexp // on the text; nil: any
	Account string
	Whole   bool // the account wants whole messages, not parts
}

const (
	defaultValidity    = 48 * time.Hour
	defaultMaxValidity = 7 * 24 * time.Hour
	defaultReceiptWait = 24 * time.Hour // after validity
)

func (o *Options) setDefaults() {
	if o.Log == nil {
		o.Log = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	if o.Full == nil {
		o.Full = func() (bool, bool) { return false, false }
	}
	orDefault(&o.SystemID, "masar")
	orDefault(&o.Drain, 10*time.Second)
	orDefault(&o.OutboxTTL, 72*time.Hour)
	orDefault(&o.MaxPDU, 68<<10)
	orDefault(&o.Timers, smpp.DefaultTimers)
	o.Setup.setDefaults(o.OutboxTTL)
}

func (s *Setup) setDefaults(outboxTTL time.Duration) {
	orDefault(&s.Zone, time.UTC)
	orDefault(&s.MaxSchedule, 180*24*time.Hour)
	orDefault(&s.MobileExpiry, 5*time.Minute)
	orDefault(&s.RefusalDelay, 500*time.Millisecond)
	orDefault(&s.AuthStatus, pdu.ESME_RINVPASWD)
	orDefault(&s.Shares, [queue.Classes]int{queue.Normal: 10, queue.Bulk: 5})
	for i := range s.Accounts {
		a := &s.Accounts[i]
		orDefault(&a.Window, 1000)
		orDefault(&a.Park, a.Window)
		orDefault(&a.DeliverWindow, 100)
		orDefault(&a.Weight, 1)
		orDefault(&a.Burst, max(10, a.Throughput/10))
		orDefault(&a.ValidityDefault, defaultValidity)
		orDefault(&a.ValidityMax, defaultMaxValidity)
		orDefault(&a.MaxParts, 255)
		orDefault(&a.OutboxTTL, outboxTTL)
		orDefault(&a.Zone, s.Zone)
		orDefault(&a.Numbers.Country, "966")
		orDefault(&a.Receipts.DateDigits, 10)
	}
	for i := range s.Carriers {
		c := &s.Carriers[i]
		orDefault(&c.Version, 0x34)
		orDefault(&c.Window, 10)
		orDefault(&c.MaxShortMessage, 254)
		orDefault(&c.MaxParts, 255)
		orDefault(&c.Timers, smpp.DefaultTimers)
		orDefault(&c.Receipts.Wait, defaultReceiptWait)
		c.Recovery.setDefaults()
		if c.Transceivers+c.Transmitters+c.Receivers == 0 {
			c.Transceivers = 1
		}
		if c.Receipts.Options.Zone == nil {
			c.Receipts.Options.Zone = s.Zone
		}
		c.NoTLVs = c.NoTLVs || c.Version < 0x34
		if c.NoTLVs && (c.Style == text.SAR || c.Style == text.Payload) {
			c.Style = text.UDH8
		}
		if len(c.ReceiveAddrs) == 0 {
			c.ReceiveAddrs = c.Addrs
		}
	}
	for i := range s.Routes {
		r := &s.Routes[i]
		orDefault(&r.FailoverAfter, 5*time.Second)
		orDefault(&r.MaxWait, 30*time.Second)
		for k := range r.Carriers {
			orDefault(&r.Carriers[k].Weight, 1)
		}
	}
}

func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

func (o *Options) listening(a net.Addr) {
	if o.OnListen != nil {
		o.OnListen(a)
	}
}
