package config

import "time"

// Carrier is an SMSC that we bind to, and how it likes its PDUs.
type Carrier struct {
	// Name in routes, metrics and logs: letters, digits, dot, dash, underscore.
	Name string `yaml:"name" need:"yes" eg:"stc"`
	// Host and port; this or addrs is needed. The name is resolved again at every connect. Once loaded it stands in Addrs, and this field is empty.
	Addr string `yaml:"addr" eg:"smsc.example.com:2775"`
	// Several hosts, in order of preference; instead of addr.
	Addrs []string `yaml:"addrs" eg:"[smsc1.example.com:2775, smsc2.example.com:2775]"`
	// order: each bind goes to the first host that answers; all: the binds are spread over all hosts.
	Mode string `yaml:"mode" one:"order all" eg:"all"`
	// Host and port of receiver binds, where they have their own. Once loaded it stands in ReceiverAddrs, and this field is empty.
	ReceiverAddr string `yaml:"receiver_addr" eg:"smsc.example.com:2776"`
	// Several hosts of receiver binds, in order of preference; instead of receiver_addr.
	ReceiverAddrs []string `yaml:"receiver_addrs" eg:"[smsc1.example.com:2776, smsc2.example.com:2776]"`
	// Our own address for these connections: an IP address, with or without a port.
	LocalAddr string `yaml:"local_addr" eg:"192.0.2.10"`
	// TLS; without the block the connection is plain TCP.
	TLS *CarrierTLS `yaml:"tls"`
	// system_id of the bind, at most 15 characters.
	SystemID string `yaml:"system_id" need:"yes" eg:"masar"`
	// Password of the bind; this or password_file is needed. ${NAME} is taken from the environment; $${ stands for ${ itself.
	Password Secret `yaml:"password" eg:"${STC_PASSWORD}"`
	// File whose first line is the password; instead of password.
	PasswordFile string `yaml:"password_file" path:"yes" eg:"secrets/stc"`
	// system_type of the bind, at most 12 characters.
	SystemType string `yaml:"system_type" eg:"VMA"`
	// Version that the bind asks for: 3.3 (0x33), 3.4 (0x34) or 5.0 (0x50).
	InterfaceVersion InterfaceVersion `yaml:"interface_version" eg:"3.3"`
	// address_range of the bind, at most 40 characters.
	AddressRange string `yaml:"address_range" eg:"^966"`
	// addr_ton of the bind.
	AddrTON int `yaml:"addr_ton" min:"0" max:"6" eg:"1"`
	// addr_npi of the bind.
	AddrNPI int `yaml:"addr_npi" min:"0" max:"18" eg:"1"`
	// service_type of every submit_sm, at most 5 characters. Empty: none is sent.
	ServiceType string `yaml:"service_type" eg:"CMT"`
	// protocol_id of every submit_sm; left out: the client's.
	ProtocolID *int `yaml:"protocol_id" min:"0" max:"255" eg:"0"`
	// priority_flag of every submit_sm; left out: the client's.
	Priority *int `yaml:"priority" min:"0" max:"3" eg:"0"`
	// How many binds of each kind are held.
	Binds Binds `yaml:"binds" absent:"{transceiver: 1}"`
	// Unanswered submit_sm on one bind.
	Window int `yaml:"window" min:"1" max:"10000" eg:"50"`
	// Most submit_sm over all its binds; parts count. 0: no limit.
	Throughput Rate `yaml:"throughput" eg:"400/s"`
	// submit_sm that may go at once after a rest. 0: a tenth of a second's rate, at least 1.
	Burst int `yaml:"burst" min:"0" max:"1000000" eg:"10"`
	// Session timers.
	Timers BindTimers `yaml:"timers" inherit:"timers"`
	// How long a lost or refused bind waits, with jitter.
	Reconnect Reconnect `yaml:"reconnect"`
	// TON and NPI of numeric source addresses.
	Source SourceRule `yaml:"source"`
	// TON, NPI and form of destination addresses.
	Destination DestinationRule `yaml:"destination"`
	// What becomes of a sender with letters.
	Alphanumeric Alphanumeric `yaml:"alphanumeric"`
	// What its data_coding 0 means.
	DefaultAlphabet string `yaml:"default_alphabet" one:"gsm latin1 ascii" eg:"latin1"`
	// Whether GSM septets are packed, eight in seven octets.
	Packed bool `yaml:"packed" eg:"true"`
	// data_coding of each encoding.
	DataCoding DataCoding `yaml:"data_coding"`
	// How a long message goes: parts with an 8-bit or 16-bit reference in the UDH, parts with SAR TLVs, or whole in message_payload.
	Segmentation string `yaml:"segmentation" one:"udh8 udh16 sar payload" eg:"udh16"`
	// Octets that short_message may hold.
	MaxShortMessage int `yaml:"max_short_message" min:"1" max:"254" eg:"140"`
	// Parts a message may need here; the next carrier gets a longer one.
	MaxParts int `yaml:"max_parts" min:"1" max:"255" eg:"8"`
	// Its receipts.
	Receipts CarrierReceipts `yaml:"receipts"`
	// What its refusals mean, where that differs from the specification.
	Statuses Statuses `yaml:"statuses"`
	// Retry schedules for some of its refusals; others follow the schedule at the top.
	Retry []RetryRule `yaml:"retry"`
	// When it may be sent to; outside these hours messages wait, or go over the next carrier.
	Hours *Hours `yaml:"hours"`
	// TLVs added to every submit_sm.
	TLVs []TLV `yaml:"tlvs"`
	// How the validity that remains is told: not at all, as a point in time, or as a length of time.
	Validity string `yaml:"validity" one:"none absolute relative" eg:"absolute"`
	// What makes a message free of charge to the person who gets it.
	Free Free `yaml:"free"`
	// How it is used again after it was down, where messages wait for it.
	Recovery Recovery `yaml:"recovery"`
	// Ends that mean that the number is nobody's; the registry counts them.
	UnknownSubscriber UnknownSubscriber `yaml:"unknown_subscriber"`
}

func (c Carrier) id() string { return c.Name }

// CarrierTLS is the client side of TLS.
type CarrierTLS struct {
	// false: as if the block were not there.
	Enabled bool `yaml:"enabled" eg:"false"`
	// Name in the server's certificate; empty: the host of the address.
	ServerName string `yaml:"server_name" eg:"smsc.example.com"`
	// Authorities that the certificate must come from, PEM; empty: the system's.
	CA string `yaml:"ca" path:"yes" eg:"tls/stc-ca.pem"`
	// Our certificate, PEM; needs key.
	Cert string `yaml:"cert" path:"yes" eg:"tls/masar.pem"`
	// Our private key, PEM; needs cert.
	Key string `yaml:"key" path:"yes" eg:"tls/masar.key"`
	// Believe any certificate. Whoever is on the way can then read and change everything.
	InsecureSkipVerify bool `yaml:"insecure_skip_verify" eg:"true"`
}

// Binds is how many binds of each kind are held. At least one must be able to send.
type Binds struct {
	// bind_transceiver.
	Transceiver int `yaml:"transceiver" min:"0" max:"256" eg:"2"`
	// bind_transmitter.
	Transmitter int `yaml:"transmitter" min:"0" max:"256" eg:"1"`
	// bind_receiver.
	Receiver int `yaml:"receiver" min:"0" max:"256" eg:"1"`
}

// Reconnect is how long we wait before the next bind.
type Reconnect struct {
	// After the first failure; doubled after each further one.
	Min time.Duration `yaml:"min" min:"10ms" max:"1h" eg:"500ms"`
	// At most.
	Max time.Duration `yaml:"max" min:"10ms" max:"24h" eg:"30s"`
	// After the password or system_id was refused.
	Refused time.Duration `yaml:"refused" min:"100ms" max:"24h" eg:"10m"`
	// After ESME_RALYBND.
	AlreadyBound time.Duration `yaml:"already_bound" min:"100ms" max:"24h" eg:"1m"`
}

// SourceRule is the TON and NPI of numeric source addresses. It may be written as its
// rule alone.
type SourceRule struct {
	// auto: they follow from the digits; keep: the client's; fixed: ton and npi, and meant when one of them is given.
	Rule string `yaml:"rule" one:"auto keep fixed" eg:"keep"`
	// Type of number for fixed.
	TON int `yaml:"ton" min:"0" max:"6" eg:"3"`
	// Numbering plan for fixed.
	NPI int `yaml:"npi" min:"0" max:"18" eg:"0"`
}

// DestinationRule is the TON, NPI and form of destination addresses. It may be written
// as its rule alone.
type DestinationRule struct {
	// auto: they follow from the digits; keep: the client's; fixed: ton and npi, and meant when one of them is given.
	Rule string `yaml:"rule" one:"auto keep fixed" eg:"keep"`
	// Type of number for fixed.
	TON int `yaml:"ton" min:"0" max:"6" eg:"1"`
	// Numbering plan for fixed.
	NPI int `yaml:"npi" min:"0" max:"18" eg:"1"`
	// Taken off the front of a number that begins with it.
	Strip string `yaml:"strip" eg:"966"`
	// Put in front, after strip.
	Prefix string `yaml:"prefix" eg:"0"`
}

// Alphanumeric is what becomes of a sender with letters. It may be written as its rule alone.
type Alphanumeric struct {
	// keep: it goes out with TON 5; replace: sender goes instead; refuse: the next carrier gets the message.
	Rule string `yaml:"rule" one:"keep replace refuse" eg:"replace"`
	// Source address for replace.
	Sender string `yaml:"sender" eg:"1090"`
}

// DataCoding is the data_coding that a carrier expects of each encoding.
type DataCoding struct {
	// GSM 03.38 default alphabet.
	GSM7 int `yaml:"gsm7" min:"0" max:"255" eg:"0"`
	// ASCII.
	ASCII int `yaml:"ascii" min:"0" max:"255" eg:"1"`
	// Latin-1.
	Latin1 int `yaml:"latin1" min:"0" max:"255" eg:"3"`
	// Octets.
	Binary int `yaml:"binary" min:"0" max:"255" eg:"2"`
	// UCS-2.
	UCS2 int `yaml:"ucs2" min:"0" max:"255" eg:"0x18"`
}

// CarrierReceipts is what a carrier's receipts are like. It may be written as ask alone.
type CarrierReceipts struct {
	// as_asked: a receipt is asked for when the client or the route wants one; always; never, where the carrier has none: a message is then final at its response.
	Ask string `yaml:"ask" one:"as_asked always never" eg:"always"`
	// Forms of its message ids.
	ID IDForms `yaml:"id"`
	// What makes a deliver_sm a receipt: the bits of esm_class, the text, the TLV receipted_message_id, or any of them.
	Detect string `yaml:"detect" one:"any esm text tlv" eg:"esm"`
	// Whose id wins where text and TLV differ.
	Prefer string `yaml:"prefer" one:"tlv text" eg:"text"`
	// each: one receipt for each part; last_part: only for the last one, which then decides.
	Parts string `yaml:"parts" one:"each last_part" eg:"last_part"`
	// Zone of the dates in its receipts.
	Zone TimeZone `yaml:"zone" inherit:"time_zone" eg:"UTC"`
	// How long after the end of its validity a message still awaits its receipt before it ends UNKNOWN.
	Wait time.Duration `yaml:"wait" min:"1m" max:"30d" eg:"6h"`
}

// IDForms is how a carrier writes one and the same message id.
type IDForms struct {
	// In submit_sm_resp. auto: found out from what arrives.
	Resp string `yaml:"resp" one:"auto raw hex decimal" eg:"hex"`
	// In receipts. auto: found out from what arrives.
	Receipt string `yaml:"receipt" one:"auto raw hex decimal" eg:"decimal"`
}

// Statuses sorts refusals, by name or number; what is not listed follows the specification.
type Statuses struct {
	// The whole carrier slows down; the message keeps its place and no try is counted.
	Throttle []Status `yaml:"throttle" eg:"[ESME_RMSGQFUL, 0x0400]"`
	// Tried again later.
	Temporary []Status `yaml:"temporary" eg:"[ESME_RSYSERR]"`
	// Final here; the next carrier of the route gets it.
	Elsewhere []Status `yaml:"elsewhere" eg:"[ESME_RINVSRCADR]"`
	// Final everywhere.
	Permanent []Status `yaml:"permanent" eg:"[ESME_RINVDSTADR]"`
}

// RetryRule is the schedule of some refusals of one carrier.
type RetryRule struct {
	// Which refusals, by name or number.
	Statuses []Status `yaml:"statuses" need:"yes" eg:"[ESME_RSYSERR]"`
	// Delay before each further try; the last one repeats. Empty: the schedule at the top.
	Delays []time.Duration `yaml:"delays" min:"1s" max:"7d" eg:"[1m, 10m]"`
	// Most tries. 0: until the validity ends.
	Tries int `yaml:"tries" min:"0" max:"1000" eg:"3"`
}

// TLV is one optional parameter that a carrier wants on every submit_sm.
type TLV struct {
	// Its tag, 0x0001 to 0xFFFF.
	Tag int `yaml:"tag" need:"yes" min:"1" max:"0xFFFF" eg:"0x1400"`
	// Its octets as text, without a NUL at the end.
	Value string `yaml:"value" eg:"1101234567890"`
	// Its octets in hex; instead of value.
	Hex string `yaml:"hex" eg:"31313000"`
	// Octets is what Value or Hex stands for.
	Octets []byte `yaml:"-"`
}

// Free is how a carrier is told that a message is free of charge to the person.
type Free struct {
	// Whether a service without a marker may not go over this carrier.
	Required bool `yaml:"required" eg:"true"`
	// What zero-rates a message. One without services stands last and takes what the others leave.
	Markers []Marker `yaml:"markers"`
}

// Marker is what zero-rates the messages of some services.
type Marker struct {
	// Its name in the history.
	Name string `yaml:"name" need:"yes" eg:"moi-free"`
	// Codes of the services that it marks. Empty: all.
	Services []string `yaml:"services" eg:"[IDNEW]"`
	// service_type of the submit_sm, at most 5 characters.
	ServiceType string `yaml:"service_type" eg:"FREE"`
	// Source address of the submit_sm.
	Source string `yaml:"source" eg:"1090"`
	// Octets of the TLV billing_identification in hex (SMPP v5.0 section 4.8.4.3).
	BillingIdentification string `yaml:"billing_identification" eg:"\"0030\""`
	// A TLV of the carrier's own.
	TLV *TLV `yaml:"tlv"`
	// TLVs is what BillingIdentification and TLV stand for, in this order.
	TLVs []TLV `yaml:"-"`
}

func (m Marker) id() string { return m.Name }

// UnknownSubscriber is how a carrier says that there is nobody at a number.
type UnknownSubscriber struct {
	// err: of its receipts.
	Errors []string `yaml:"errors" eg:"[\"001\"]"`
	// Statuses of its refusals, by name or number.
	Statuses []Status `yaml:"statuses" eg:"[ESME_RINVDSTADR]"`
}
