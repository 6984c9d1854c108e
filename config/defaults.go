package config

import (
	"reflect"
	"sync"
	"time"
)

// standard is every default, in one literal: what a file does not say is as here, but
// for what is taken from another key (the inherit tags of the structs). Each call
// returns fresh values, so that nobody's slice is another's.
func standard() standards {
	const day = 24 * time.Hour
	return standards{
		Config: Config{
			Node:        "masar",
			Data:        "./var/masar",
			Drain:       10 * time.Second,
			Log:         Log{Level: "info", Format: "text"},
			Admin:       Admin{Listen: "127.0.0.1:8775"},
			MaxPDU:      68 << 10,
			TimeZone:    riyadh(),
			Country:     "966",
			AuthRefusal: "invpaswd",
			Timers: Timers{
				SessionInit: 5 * time.Second,
				BindTimers: BindTimers{
					EnquireLink: 30 * time.Second,
					Inactivity:  5 * time.Minute,
					Response:    10 * time.Second,
				},
			},
			Store: Store{
				MinFree:        1 << 30,
				Ballast:        64 << 20,
				Room:           20_000_000,
				History:        7 * day,
				OutboxTTL:      72 * time.Hour,
				OutboxMax:      1_000_000,
				ReadAhead:      256,
				ReadAheadBytes: 32 << 20,
				Inbox:          16384,
			},
			Validity:    Validity{Default: 48 * time.Hour, Max: 7 * day},
			MaxSchedule: 180 * day,
			Retry: Retry{
				Default: []time.Duration{10 * time.Second, 30 * time.Second, 2 * time.Minute, 10 * time.Minute, 30 * time.Minute},
				Jitter:  0.1,
			},
			Shares: Shares{Normal: 10, Bulk: 5},
			Ported: Ported{Reload: time.Hour, MaxShrink: 0.05},
			MO:     MO{Expiry: 5 * time.Minute},
			Subscribers: Subscribers{
				Cache:   250_000,
				Unknown: UnknownLimit{Times: 3, Days: 30},
				Code:    Code{TTL: 10 * time.Minute, Tries: 5, Digits: 6},
				People:  20,
			},
			Blocklist: Blocklist{Reload: 10 * time.Minute},
			Reminders: Reminders{At: 9 * 60, Pace: 500, Tries: 3},
			Campaigns: Campaigns{ReleaseAbove: 10_000, Ahead: 20_000, Keep: 90 * day, Max: 4 << 30},
			API:       API{Bulk: Bulk{Max: 4 << 30, Keep: 7 * day}},
		},
		Listen: Listen{MaxSessions: 1000},
		Account: Account{
			BindTypes:       []string{"transmitter", "receiver", "transceiver"},
			Window:          1000,
			Class:           "normal",
			MaxClass:        "urgent",
			Weight:          1,
			Numbers:         Numbers{Rule: "e164", TONNPI: "auto"},
			DefaultAlphabet: "gsm",
			DataCoding1:     "ascii",
			MessageID:       "hex",
			Receipts:        AccountReceipts{TLVs: true, DateDigits: 10, ID: "same"},
			MaxParts:        10,
			EmptyMessage:    "accept",
			DeliverWindow:   100,
		},
		Carrier: Carrier{
			Mode:             "order",
			InterfaceVersion: 0x34,
			Window:           10,
			Reconnect: Reconnect{
				Min:          time.Second,
				Max:          time.Minute,
				Refused:      5 * time.Minute,
				AlreadyBound: 20 * time.Second,
			},
			Source:          SourceRule{Rule: "auto"},
			Destination:     DestinationRule{Rule: "auto"},
			Alphanumeric:    Alphanumeric{Rule: "keep"},
			DefaultAlphabet: "gsm",
			DataCoding:      DataCoding{GSM7: 0, ASCII: 1, Latin1: 3, Binary: 4, UCS2: 8},
			Segmentation:    "udh8",
			MaxShortMessage: 254,
			MaxParts:        255,
			Receipts: CarrierReceipts{
				Ask:    "as_asked",
				ID:     IDForms{Resp: "auto", Receipt: "auto"},
				Detect: "any",
				Prefer: "tlv",
				Parts:  "each",
				Wait:   24 * time.Hour,
			},
			Recovery: Recovery{After: time.Minute, From: 0.1, Step: 0.1, Every: 5 * time.Second},
			Validity: "relative",
		},
		CarrierTLS: CarrierTLS{Enabled: true},
		Hours:      Hours{Days: []string{"sun", "mon", "tue", "wed", "thu", "fri", "sat"}},
		Route: Route{
			FailoverAfter: 5 * time.Second,
			MaxWait:       30 * time.Second,
			Uncertain:     "resend",
			Receipts:      "as_asked",
		},
		Member: Member{Weight: 1},
		TestRange: TestRange{
			Delay: 2 * time.Second,
			Outcomes: map[string]string{
				"0": "DELIVRD", "1": "DELIVRD", "2": "DELIVRD", "3": "DELIVRD", "4": "DELIVRD",
				"5": "UNDELIV", "6": "EXPIRED", "7": "REJECTD", "8": "unknown-subscriber", "9": "never",
			},
		},
		Catalogue: Catalogue{
			TimeZone: riyadh(),
			Weekend:  []string{"fri", "sat"},
			Categories: map[string]*Category{ // Saudi practice
				"warning": {}, "service": {}, "personal": {},
				"awareness":   {Permitted: daytime()},
				"promotional": {Permitted: daytime(), SenderSuffix: "-AD"},
			},
		},
		Agency: Agency{Calendar: "gregorian"},
		Service: Service{
			Class:      "normal",
			Mode:       "opt-in",
			Unenrolled: "refuse",
			Text:       TextOptions{Fold: true, Harakat: "keep", Tatweel: "keep", Digits: "keep", Punctuation: "keep"},
		},
	}
}

// standards is a Config and one of each block that a file may hold any number of times.
type standards struct {
	Config     Config
	Listen     Listen
	Account    Account
	Carrier    Carrier
	CarrierTLS CarrierTLS
	Hours      Hours
	Route      Route
	Member     Member
	TestRange  TestRange
	Catalogue  Catalogue
	Agency     Agency
	Service    Service
}

// daytime is when promotional and awareness messages are permitted.
func daytime() *Windows {
	const nine, ten = 9 * 60, 22 * 60
	return &Windows{Days: []Span{{nine, ten}}, Weekend: []Span{{nine, ten}}}
}

// Default is the configuration that an empty file would mean, were it allowed: no
// listener, account, carrier or route, and every other key at its default.
func Default() *Config {
	c := standard().Config
	(&decoder{}).inherit(reflect.ValueOf(&c).Elem())
	return &c
}

// riyadh is read once: standard is called for every block of a file.
var riyadh = sync.OnceValue(func() TimeZone {
	z, f := parseTimeZone("Asia/Riyadh")
	if f != nil {
		panic("config: Asia/Riyadh " + f.rule) // the zones are embedded
	}
	return z
})
