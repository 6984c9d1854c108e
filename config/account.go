package config

import (
	"net/netip"
	"time"
)

// Account is a client: who may bind, and what it may send and gets back.
type Account struct {
	// system_id of its binds, at most 15 characters.
	SystemID string `yaml:"system_id" need:"yes" eg:"civil-affairs"`
	// bcrypt hash of its password, printed by masar passwd; this or password_hashes is needed. Once loaded it stands first in PasswordHashes, and this field is empty.
	PasswordHash Secret `yaml:"password_hash" eg:"\"$2a$10$...\""`
	// Several hashes, any of which fits, while a password is being changed; together with password_hash all are in force.
	PasswordHashes []Secret `yaml:"password_hashes" eg:"[\"$2a$10$...\", \"$2a$10$...\"]"`
	// Kinds of bind it may make.
	BindTypes []string `yaml:"bind_types" one:"transmitter receiver transceiver" eg:"[transceiver]"`
	// Most binds at a time. 0: no limit.
	Binds int `yaml:"binds" min:"0" max:"10000" eg:"4"`
	// Networks it may come from; empty: any.
	Allow []netip.Prefix `yaml:"allow" eg:"[10.1.0.0/16]"`
	// Most submit_sm over all its binds; a submit_multi counts its destinations. 0: no limit.
	Throughput Rate `yaml:"throughput" eg:"500/s"`
	// Submits that may come at once after a rest. 0: a tenth of a second's rate, at least 10.
	Burst int `yaml:"burst" min:"0" max:"1000000" eg:"50"`
	// Unanswered submits admitted on one bind.
	Window int `yaml:"window" min:"1" max:"100000" eg:"100"`
	// Unanswered submits beyond the window that are still admitted before ESME_RTHROTTLED.
	Park int `yaml:"park" min:"0" max:"100000" inherit:".window" eg:"0"`
	// Class of a message with priority_flag 0 whose service says nothing.
	Class string `yaml:"class" one:"urgent normal bulk" eg:"bulk"`
	// Highest class it can reach by priority_flag.
	MaxClass string `yaml:"max_class" one:"urgent normal bulk" eg:"normal"`
	// Share against other accounts of the same class.
	Weight int `yaml:"weight" min:"1" max:"100" eg:"10"`
	// Source addresses it may use: exact, PRE* or a range of numbers 1000-1999. Empty: any.
	Senders []string `yaml:"senders" eg:"[AHWAL, \"MOI*\", 1000-1999]"`
	// Source address of a submit that names none.
	DefaultSender string `yaml:"default_sender" eg:"AHWAL"`
	// Code of its agency in the catalogue. With it, or with services where there is a catalogue, the account is governed: consent, hours and senders are asked. none: the plain gateway on purpose, which masar check then does not warn about.
	Agency string `yaml:"agency" eg:"civil-affairs"`
	// service_type values it may use, at most 5 characters each. Empty: with an agency all of the agency's, else the plain gateway, any.
	Services []string `yaml:"services" eg:"[IDNEW, IDREN]"`
	// Whether it reaches trial_numbers and test numbers alone.
	Trial bool `yaml:"trial" eg:"true"`
	// Numbers that a trial account reaches, in E.164 without plus.
	TrialNumbers []string `yaml:"trial_numbers" eg:"[966501234567]"`
	// How destinations are read.
	Numbers Numbers `yaml:"numbers"`
	// What data_coding 0 means in its submits.
	DefaultAlphabet string `yaml:"default_alphabet" one:"gsm latin1 ascii" eg:"latin1"`
	// What data_coding 1 means: ascii by the specification, gsm for clients that send GSM octets with it.
	DataCoding1 string `yaml:"data_coding_1" one:"ascii gsm" eg:"gsm"`
	// Form of the message_id it sees: 16 hex digits, decimal, or 10 decimal digits of a counter of its own.
	MessageID string `yaml:"message_id" one:"hex decimal short" eg:"decimal"`
	// How long its messages may wait.
	Validity Validity `yaml:"validity" inherit:"validity"`
	// Its messages that may wait, per class.
	Room int64 `yaml:"room" min:"1" max:"10000000000" inherit:"store.room" eg:"1000000"`
	// How long receipts and mobile-originated messages wait for it.
	OutboxTTL time.Duration `yaml:"outbox_ttl" min:"1m" max:"366d" inherit:"store.outbox_ttl" eg:"24h"`
	// Most receipts and mobile-originated messages that wait for it.
	OutboxMax int64 `yaml:"outbox_max" min:"1" max:"1000000000" inherit:"store.outbox_max" eg:"100000"`
	// Form of its receipts.
	Receipts AccountReceipts `yaml:"receipts"`
	// Zone of the times it writes without an offset and of dates in its receipts.
	TimeZone TimeZone `yaml:"time_zone" inherit:"time_zone" eg:"UTC"`
	// Parts a message may need; a longer one is refused, never cut.
	MaxParts int `yaml:"max_parts" min:"1" max:"255" eg:"6"`
	// Whether a message without text is taken.
	EmptyMessage string `yaml:"empty_message" one:"accept refuse" eg:"refuse"`
	// Unanswered deliver_sm that we may have on one of its binds.
	DeliverWindow int `yaml:"deliver_window" min:"1" max:"10000" eg:"10"`
	// Session timers.
	Timers BindTimers `yaml:"timers" inherit:"timers"`
}

func (a Account) id() string { return a.SystemID }

// Numbers is how an account's destinations are read.
type Numbers struct {
	// e164: a number that is recognised is brought to its international form, another is left as written; strict: what is no mobile number is refused; keep: every number is left as written.
	Rule string `yaml:"rule" one:"e164 strict keep" eg:"strict"`
	// Country code of its national numbers.
	Country string `yaml:"country" inherit:"country" eg:"971"`
	// auto: TON and NPI follow from the digits; keep: they are believed; override: ton and npi replace them.
	TONNPI string `yaml:"ton_npi" one:"auto keep override" eg:"keep"`
	// Type of number for override.
	TON int `yaml:"ton" min:"0" max:"6" eg:"1"`
	// Numbering plan for override.
	NPI int `yaml:"npi" min:"0" max:"18" eg:"1"`
}

// AccountReceipts is the form of an account's receipts.
type AccountReceipts struct {
	// Whether receipted_message_id, message_state and network_error_code go with the text.
	TLVs bool `yaml:"tlvs" eg:"false"`
	// Digits of submit date and done date: YYMMDDhhmm or YYMMDDhhmmss.
	DateDigits int `yaml:"date_digits" one:"10 12" eg:"12"`
	// One receipt for each part instead of one for the message.
	PerPart bool `yaml:"per_part" eg:"true"`
	// Form of the id in receipts: same as in the response, hex, decimal, or padded to 10 decimal digits.
	ID string `yaml:"id" one:"same hex decimal padded" eg:"decimal"`
}
