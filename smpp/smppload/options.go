package smppload

import (
	"context"
	"fmt"
	"math"
	"net"
	"strings"
	"time"
)

// Options say what to send and how. Addr and one of Count, Duration and Enough must be given.
type Options struct {
	Addr               string
	SystemID, Password string
	SystemType         string
	Binds              int // connections that submit; 1 where 0
	Receivers          int // further connections, bind_receiver; the others are then transmitters
	Window             int // submits unanswered on each, 1..65535; 10 where 0

	Rate     float64         // submits per second of all binds; 0 is as fast as the windows allow
	Count    uint64          // submits in all; 0 is no limit
	Duration time.Duration   // of submitting; 0 is no limit
	Enough   <-chan struct{} // closed: nothing more is submitted, answers and receipts are waited for; may be nil

	Receipts    bool          // ask for them and wait for them
	Settle      time.Duration // give up on receipts when none has come for so long; 30 s where 0
	Linger      time.Duration // after the last one, for duplicates; 0 is not at all
	Again       bool          // what is answered ESME_RTHROTTLED or ESME_RMSGQFUL is submitted again, until it is taken or refused otherwise
	Reconnect   bool          // a lost connection is made again; what it had unanswered is uncertain
	EnquireLink time.Duration // 30 s where 0
	Response    time.Duration // unanswered for so long is uncertain; 60 s where 0

	From        string   // sender; alphanumeric or a number
	Prefix      string   // of the destinations; the message's number fills them up to 12 digits
	First       uint64   // the number of the first message
	Texts       []string // taken in turn; {n} is the number, put at the end where it is missing
	ServiceType string
	Priority    uint8 // priority_flag
	KeepIDs     bool  // keep each message_id, for Ledger.ID: some 40 octets a message

	Progress func(Progress) // called about each Every while it runs, on Run's goroutine
	Every    time.Duration  // 1 s where 0
	Dial     func(ctx context.Context, addr string) (net.Conn, error)
}

// DefaultTexts are notices of one part, in Arabic (54 units of UCS-2 with the number)
// and in English.
var DefaultTexts = []string{
	"تنتهي صلاحية هويتكم الوطنية خلال ٣٠ يوما رقم {n}",
	"سجلت مخالفة مرورية على مركبتكم رقم المرجع {n}",
	"Your national ID expires in 30 days. Reference {n}",
}

// destinationDigits is the length of a destination: that of a Saudi mobile number with
// its country code.
const destinationDigits = 12

func (o Options) withDefaults() (Options, error) {
	o.Binds = or(o.Binds, 1)
	o.Window = or(o.Window, 10)
	o.Settle = or(o.Settle, 30*time.Second)
	o.EnquireLink = or(o.EnquireLink, 30*time.Second)
	o.Response = or(o.Response, 60*time.Second)
	o.Every = or(o.Every, time.Second)
	o.Prefix = or(o.Prefix, "9665")
	o.From = or(o.From, "AHWAL")
	if len(o.Texts) == 0 {
		o.Texts = DefaultTexts
	}
	if o.Dial == nil {
		o.Dial = func(ctx context.Context, addr string) (net.Conn, error) {
			return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "tcp", addr)
		}
	}
	switch {
	case o.Addr == "":
		return o, fmt.Errorf("smppload: no address")
	case o.Count == 0 && o.Duration <= 0 && o.Enough == nil:
		return o, fmt.Errorf("smppload: neither a count nor a duration, and nobody to say enough: it would never end")
	case o.Binds < 1 || o.Receivers < 0:
		return o, fmt.Errorf("smppload: %d binds, %d receivers", o.Binds, o.Receivers)
	case o.Window < 1 || o.Window > math.MaxUint16:
		return o, fmt.Errorf("smppload: window %d: 1 to 65535", o.Window)
	case o.Rate < 0:
		return o, fmt.Errorf("smppload: rate %v is below 0", o.Rate)
	case strings.Trim(o.Prefix, "0123456789") != "" || len(o.Prefix) > destinationDigits-4:
		return o, fmt.Errorf("smppload: prefix %q: at most %d digits", o.Prefix, destinationDigits-4)
	}
	if space := newNumbering(o.Prefix).space; o.First >= space || o.Count > space-o.First {
		return o, fmt.Errorf("smppload: destinations %s... are only %d: a shorter prefix gives more", o.Prefix, space)
	}
	return o, nil
}

func or[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}
