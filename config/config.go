package config

import (
	"net/netip"
	"time"
)

// Config is one configuration file: decoded, defaulted, inherited and checked. What a
// field's comment says is what docs/config.md says.
//
// Tags: yaml is the key; eg an example; one the words allowed; min and max the bounds,
// written as the value itself would be; need marks what has no default; inherit names
// the key a missing value is taken from (a leading dot: in the same block); path marks
// a file name, relative to the configuration file; absent is what stands in for a
// block that is left out.
type Config struct {
	// Name of this gateway: in logs, and the system_id we answer a bind with (SMPP v3.4 section 4.1.2).
	Node string `yaml:"node" eg:"riyadh-1"`
	// Number of this gateway in its message ids; two gateways that share a database of ids need two numbers.
	NodeID int `yaml:"node_id" min:"0" max:"1023" eg:"1"`
	// Folder of the queue and of admin.sock. Relative to the working directory, unlike every other path.
	Data string `yaml:"data" eg:"/var/lib/masar"`
	// How long a stop or a removed carrier may wait for answers that are outstanding. 0: not at all.
	Drain time.Duration `yaml:"drain" max:"10m" eg:"30s"`
	// What is logged, and how.
	Log Log `yaml:"log"`
	// Where clients bind.
	Listen []Listen `yaml:"listen" need:"yes"`
	// HTTP: metrics, health, API, console.
	Admin Admin `yaml:"admin"`
	// Session timers; accounts and carriers may have their own.
	Timers Timers `yaml:"timers"`
	// Largest PDU that is read, header included; a longer command_length is refused before anything is allocated.
	MaxPDU Size `yaml:"max_pdu" min:"1KiB" max:"1MiB" eg:"68KiB"`
	// Zone of times that carry no offset of their own.
	TimeZone TimeZone `yaml:"time_zone" eg:"Asia/Riyadh"`
	// Country code that national numbers belong to, digits alone.
	Country string `yaml:"country" eg:"966"`
	// Status that an unknown system_id and a wrong password are both answered with: ESME_RINVPASWD, ESME_RINVSYSID or ESME_RBINDFAIL. One for all accounts, so that the two look alike from outside.
	AuthRefusal string `yaml:"auth_refusal" one:"invpaswd invsysid bindfail" eg:"bindfail"`
	// The queue on disk.
	Store Store `yaml:"store"`
	// How long a message may wait; accounts may have their own.
	Validity Validity `yaml:"validity"`
	// How far ahead schedule_delivery_time may lie.
	MaxSchedule time.Duration `yaml:"max_schedule" min:"1h" max:"400d" eg:"30d"`
	// When a temporarily refused message is tried again.
	Retry Retry `yaml:"retry"`
	// Of the last 100 parts a carrier sent, how many the lower classes get while they wait.
	Shares Shares `yaml:"shares"`
	// Clients.
	Accounts []Account `yaml:"accounts"`
	// SMSCs that we bind to.
	Carriers []Carrier `yaml:"carriers" need:"yes"`
	// Which destinations go over which carriers. The longest prefix wins; among equal ones the route with more conditions, then the earlier one.
	Routes []Route `yaml:"routes" need:"yes"`
	// Numbers that left the operator of their prefix.
	Ported Ported `yaml:"ported"`
	// Which account gets a message that a carrier delivers. The first that fits wins.
	MobileOriginated []MORoute `yaml:"mobile_originated"`
	// Limits of mobile-originated messages.
	MO MO `yaml:"mo"`
	// The catalogue file: agencies, services, senders, calendar. Empty: none, the plain gateway. It is read, checked and reloaded with this file.
	CatalogueFile string `yaml:"catalogue" path:"yes" eg:"catalogue.yaml"`
	// Catalogue is what CatalogueFile holds; nil: none.
	Catalogue *Catalogue `yaml:"-"`
	// The registry of people and what they enrolled in.
	Subscribers Subscribers `yaml:"subscribers"`
	// Numbers that must get nothing.
	Blocklist Blocklist `yaml:"blocklist"`
	// What people may write to short codes.
	Keywords []Keywords `yaml:"keywords"`
	// Notices that are due before a date, kept until then.
	Reminders Reminders `yaml:"reminders"`
	// Bulk jobs of the API and the command line.
	Campaigns Campaigns `yaml:"campaigns"`
	// Who may use the HTTP API.
	API API `yaml:"api"`
	// Numbers that never leave the gateway and end in known ways, for clients' developers.
	TestNumbers []TestRange `yaml:"test_numbers"`
}

// Log is what is logged, and how.
type Log struct {
	// Least level that is written.
	Level string `yaml:"level" one:"debug info warn error" eg:"debug"`
	// Form of a line.
	Format string `yaml:"format" one:"text json" eg:"json"`
	// Whether message texts may appear in logs.
	ShowText bool `yaml:"show_text" eg:"true"`
	// Whether telephone numbers appear whole in logs; otherwise all but the last digits are masked.
	ShowNumbers bool `yaml:"show_numbers" eg:"true"`
}

// Listen is one SMPP listener.
type Listen struct {
	// Address and port.
	Addr string `yaml:"addr" need:"yes" eg:"0.0.0.0:2775"`
	// TLS; without the block the listener speaks plain TCP.
	TLS *ListenTLS `yaml:"tls"`
	// Most connections at a time, bound or not. 0: no limit.
	MaxSessions int `yaml:"max_sessions" min:"0" max:"1000000" eg:"200"`
	// Networks that may connect; empty: any.
	Allow []netip.Prefix `yaml:"allow" eg:"[10.0.0.0/8, 192.0.2.7]"`
}

func (l Listen) id() string { return l.Addr }

// ListenTLS is the server side of TLS.
type ListenTLS struct {
	// Certificate chain, PEM.
	Cert string `yaml:"cert" path:"yes" need:"yes" eg:"tls/server.pem"`
	// Private key, PEM.
	Key string `yaml:"key" path:"yes" need:"yes" eg:"tls/server.key"`
	// Authorities that clients' certificates must come from, PEM; without it no client certificate is asked for.
	ClientCA string `yaml:"client_ca" path:"yes" eg:"tls/clients.pem"`
}

// Admin is the HTTP side.
type Admin struct {
	// Address and port of HTTP, or off. Commands on this machine use admin.sock in the data folder either way.
	Listen string `yaml:"listen" eg:"127.0.0.1:8775"`
	// File whose first line is the token that the API asks for; needed where listen is not a loopback address.
	TokenFile string `yaml:"token_file" path:"yes" eg:"secrets/admin-token"`
	// Token is what TokenFile holds.
	Token Secret `yaml:"-"`
}

// Timers are a session's timers (SMPP v3.4 section 7.2).
type Timers struct {
	// Within how long after the connection a bind must come, TLS handshake included.
	SessionInit time.Duration `yaml:"session_init" min:"100ms" max:"10m" eg:"5s"`
	BindTimers  `yaml:",inline"`
}

// BindTimers are the timers of a bound session.
type BindTimers struct {
	// Silence after which we send enquire_link. 0: never.
	EnquireLink time.Duration `yaml:"enquire_link" max:"24h" eg:"30s"`
	// Silence after which the session is closed; longer than enquire_link. 0: never.
	Inactivity time.Duration `yaml:"inactivity" max:"24h" eg:"5m"`
	// How long the peer may take to answer a request of ours.
	Response time.Duration `yaml:"response" min:"100ms" max:"10m" eg:"10s"`
}

// Store is the queue on disk.
type Store struct {
	// Free space below which submits are refused. 0: not watched.
	MinFree Size `yaml:"min_free" eg:"5GiB"`
	// File kept in reserve, given up when the disk is full all the same. 0: none.
	Ballast Size `yaml:"ballast" max:"64GiB" eg:"64MiB"`
	// Messages that may wait in all: bulk is refused at 80% of it, normal at 90%, urgent at 95%.
	Room int64 `yaml:"room" min:"1000" max:"10000000000" eg:"20000000"`
	// How long the facts of a final message are kept.
	History time.Duration `yaml:"history" min:"1h" max:"3660d" eg:"30d"`
	// How long a receipt or mobile-originated message waits for its account.
	OutboxTTL time.Duration `yaml:"outbox_ttl" min:"1m" max:"366d" eg:"72h"`
	// Most receipts and mobile-originated messages that wait for one account; the oldest end as undelivered.
	OutboxMax int64 `yaml:"outbox_max" min:"1" max:"1000000000" eg:"1000000"`
	// Messages read ahead of each lane.
	ReadAhead int `yaml:"read_ahead" min:"16" max:"65536" eg:"256"`
	// Octets read ahead over all lanes.
	ReadAheadBytes Size `yaml:"read_ahead_bytes" min:"1MiB" max:"64GiB" eg:"32MiB"`
	// Steps that may wait for the next commit; admission waits when they are that many.
	Inbox int `yaml:"inbox" min:"64" max:"1048576" eg:"16384"`
}

// Validity is how long a message may wait for its carrier.
type Validity struct {
	// For messages without a validity_period.
	Default time.Duration `yaml:"default" min:"1m" max:"366d" eg:"24h"`
	// A longer validity_period is cut to this.
	Max time.Duration `yaml:"max" min:"1m" max:"366d" eg:"3d"`
}

// Retry is the schedule of temporary refusals.
type Retry struct {
	// Delay before each further try; the last one repeats until the validity ends.
	Default []time.Duration `yaml:"default" min:"1s" max:"7d" eg:"[10s, 30s, 2m]"`
	// Most tries. 0: until the validity ends.
	Tries int `yaml:"tries" min:"0" max:"1000" eg:"20"`
	// How far a delay is spread at random, each way.
	Jitter Percent `yaml:"jitter" eg:"20%"`
}

// Shares are guaranteed parts of the last 100; urgent gets the rest.
type Shares struct {
	// Parts of class normal.
	Normal int `yaml:"normal" min:"0" max:"90" eg:"20"`
	// Parts of class bulk.
	Bulk int `yaml:"bulk" min:"0" max:"90" eg:"5"`
}
