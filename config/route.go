package config

import (
	"strings"
	"time"
)

// Route says which messages go over which carriers. All its conditions must hold; one
// that is left out always does.
type Route struct {
	// Name of its group of carriers: what waits in a named group follows a change of its carriers. Ported numbers name it.
	Name string `yaml:"name" eg:"stc-mobile"`
	// Beginnings of the destination in E.164 without plus. Empty: every destination.
	Prefix []string `yaml:"prefix" eg:"[96650, 96653, 96655]"`
	// system_id of the accounts it is for.
	Accounts []string `yaml:"accounts" eg:"[civil-affairs]"`
	// Source addresses: exact or PRE*.
	Senders []string `yaml:"senders" eg:"[\"MOI*\"]"`
	// service_type values.
	Services []string `yaml:"services" eg:"[IDNEW]"`
	// Classes of message.
	Classes []string `yaml:"classes" one:"urgent normal bulk" eg:"[urgent]"`
	// At most 16. Plain ones share by weight; each failover follows when the ones before it are unavailable.
	Carriers []Member `yaml:"carriers" need:"yes" eg:"[stc, {failover: zain}]"`
	// How long the carriers before a failover must be without a bind. 0: it takes over at once.
	FailoverAfter time.Duration `yaml:"failover_after" max:"24h" eg:"10s"`
	// Age of the oldest message from which the next carrier may help. 0: never, however old it is.
	MaxWait time.Duration `yaml:"max_wait" max:"7d" eg:"1m"`
	// What becomes of a message whose submit_sm had no answer: sent again, ended, or held for an operator.
	Uncertain string `yaml:"uncertain" one:"resend fail hold" eg:"hold"`
	// Whether carriers are asked for a receipt even when the client is not interested.
	Receipts string `yaml:"receipts" one:"as_asked always" eg:"always"`
	// How long after the end of its validity a message still awaits its receipt. 0: the carrier's receipts.wait.
	ReceiptWait time.Duration `yaml:"receipt_wait" max:"30d" eg:"24h"`
}

func (r Route) id() string {
	if r.Name != "" {
		return r.Name
	}
	names := make([]string, len(r.Carriers))
	for i, m := range r.Carriers {
		names[i] = m.Name()
	}
	to := strings.Join(r.Prefix, ",")
	if to == "" {
		to = "any"
	}
	return to + " to " + strings.Join(names, ",")
}

// Member is one carrier of a route. It may be written as the carrier's name alone.
type Member struct {
	// A carrier's name.
	Carrier string `yaml:"carrier" eg:"stc"`
	// A carrier's name; it follows when all before it are unavailable. Instead of carrier.
	Failover string `yaml:"failover" eg:"zain"`
	// Share against the other plain carriers of the route.
	Weight int `yaml:"weight" min:"1" max:"1000" eg:"3"`
	// Tier is 0 for plain carriers; the failovers count from 1 in their order.
	Tier int `yaml:"-"`
}

// Name is the carrier's name, whichever key it stands under.
func (m Member) Name() string {
	if m.Failover != "" {
		return m.Failover
	}
	return m.Carrier
}

// Ported is the table of numbers that left the operator of their prefix.
type Ported struct {
	// Rows of number,route name. Empty: no table.
	File string `yaml:"file" path:"yes" eg:"ported.csv"`
	// Files of +number,route and -number rows laid over it, in order.
	Deltas []string `yaml:"deltas" path:"yes" eg:"[ported-2026-01-02.csv]"`
	// How often the files are looked at for a change. 0: only on reload.
	Reload time.Duration `yaml:"reload" max:"30d" eg:"10m"`
	// A new table that is smaller by more than this is refused. 0%: any smaller one.
	MaxShrink Percent `yaml:"max_shrink" eg:"10%"`
}

// MORoute says which account gets a mobile-originated message.
type MORoute struct {
	// Destination address: exact or PRE*. Empty: any.
	To string `yaml:"to" eg:"1090"`
	// First word of the text, without regard to case. Empty: any.
	Keyword string `yaml:"keyword" eg:"STOP"`
	// Regular expression on the text (RE2); instead of keyword.
	Regex string `yaml:"regex" eg:"^(?i)id [0-9]+$"`
	// system_id of the account.
	Account string `yaml:"account" need:"yes" eg:"civil-affairs"`
	// Whether parts are put together before the message is delivered. A keyword or regex puts them together anyway.
	Whole bool `yaml:"whole" eg:"false"`
}

func (r MORoute) id() string { return r.To + " " + r.Keyword + r.Regex + " to " + r.Account }

// MO is the limits of mobile-originated messages.
type MO struct {
	// How long parts wait for the ones that are missing.
	Expiry time.Duration `yaml:"expiry" min:"1s" max:"24h" eg:"10m"`
	// How long a message waits for its account. 0: the account's outbox_ttl.
	TTL time.Duration `yaml:"ttl" max:"366d" eg:"24h"`
}
