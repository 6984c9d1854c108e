package smpptest

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
	"time"

	"masar/smpp/pdu"
	"masar/smpp/text"
)

// SMSCOptions say how a simulated carrier behaves. The zero value takes every bind,
// accepts every message at once, and sends a DELIVRD receipt at once to who asked.
//
// Shares are from 0 (never) to 1 (always), drawn for each message on its own.
type SMSCOptions struct {
	SystemID    string            // in the bind responses; "smsc" where empty
	Credentials map[string]string // system_id -> password; nil takes any
	MaxBinds    int               // sessions of one system_id, beyond: ESME_RALYBND; 0 is no limit
	EnquireLink time.Duration     // how often we ask; 0 is never. Two unanswered close

	Latency, Jitter time.Duration // until a submit is answered: Latency give or take Jitter
	Outstanding     int           // submits of one session unanswered, beyond: PaceStatus; 0 is no limit
	Pace            float64       // submits per second of all sessions together; 0 is no limit
	Burst           int           // how far above the pace for a moment; a tenth of a second where 0
	PaceStatus      pdu.Status    // ESME_RTHROTTLED where 0
	ErrorRate       float64       // share answered with ErrorStatus
	ErrorStatus     pdu.Status    // ESME_RSYSERR where 0
	Silent          float64       // share accepted and never answered; its receipt comes all the same
	DropAfter       int           // a connection is closed instead of answering its n-th submit; 0 is never
	DropRate        float64       // share of submits at which the connection is closed instead

	ReceiptDelay, ReceiptJitter time.Duration
	ReceiptStates               StateMix      // DELIVRD where empty
	NoReceipt                   float64       // share of which none is sent
	ReceiptFirst                float64       // share whose receipt is sent before the response
	ReceiptTwice                float64       // share sent a second time, once acknowledged
	ReceiptByData               bool          // by data_sm, the text in message_payload
	ReceiptElsewhere            bool          // on another session than the submit's, where there is one
	ReceiptTLVs                 ReceiptParts  // what a receipt's body says
	ReceiptWindow               int           // unacknowledged on one session; 1000 where 0
	ReceiptRetry                time.Duration // after ESME_RMSGQFUL and the like; 1 s where 0
	IDResp, IDReceipt           IDForm        // how a message_id is written, in either place
	FirstID                     uint64        // the first message_id; from the clock where 0

	// Outcome says what becomes of a message by its destination_addr; false: the options
	// above decide. Sessions call it concurrently. dest is valid only during the call. A
	// submit_multi has many and is never asked about.
	Outcome func(dest []byte) (Outcome, bool)

	DefaultAlphabet text.Encoding // of data_coding 0, for the texts below
	Zone            *time.Location
	Seed            uint64 // makes chance repeatable; 0 does not
	MaxPDU          int    // 68 KiB where 0

	// OnSubmit hears every submit_sm, data_sm and submit_multi with the verdict on it;
	// OnMessage every accepted message, its parts put together. Both run on the
	// session's reading goroutine; sessions call them concurrently. A Submit's body is
	// valid only during the call.
	OnSubmit  func(*Submit)
	OnMessage func(*Message)
	// OnBind hears every bind and its verdict; OnEnd that a bound session ended.
	OnBind func(systemID, remote string, cmd pdu.Command, st pdu.Status)
	OnEnd  func(systemID, remote string, err error)
}

// Outcome is what becomes of one message.
type Outcome struct {
	Status    pdu.Status    // of the answer; other than ESME_ROK nothing else happens
	State     pdu.State     // the receipt's; StateDelivered where 0
	Err       string        // three digits, as of a StateWeight
	Delay     time.Duration // from the answer to the receipt, whatever ReceiptDelay and ReceiptJitter
	NoReceipt bool          // none comes
}

// ReceiptParts says where a receipt names its message and state.
type ReceiptParts uint8

const (
	TextAndTLVs ReceiptParts = iota // text, receipted_message_id and message_state
	TextOnly
	TLVsOnly // the text is empty
)

var receiptPartNames = [...]string{TextAndTLVs: "both", TextOnly: "text", TLVsOnly: "tlv"}

func (p ReceiptParts) String() string { return receiptPartNames[p] }

// ParseReceiptParts reads "both", "text" or "tlv".
func ParseReceiptParts(s string) (ReceiptParts, error) {
	for i, n := range receiptPartNames {
		if n == s {
			return ReceiptParts(i), nil
		}
	}
	return 0, fmt.Errorf("%q: one of both, text, tlv", s)
}

// Check says which option makes no sense, as NewSMSC would; nil when none.
func (o SMSCOptions) Check() error {
	_, err := o.withDefaults()
	return err
}

func (o SMSCOptions) withDefaults() (SMSCOptions, error) {
	for _, share := range []struct {
		name string
		v    float64
	}{
		{"error rate", o.ErrorRate}, {"silent", o.Silent}, {"drop rate", o.DropRate},
		{"no receipt", o.NoReceipt}, {"receipt first", o.ReceiptFirst}, {"receipt twice", o.ReceiptTwice},
	} {
		if !(share.v >= 0 && share.v <= 1) {
			return o, fmt.Errorf("smpptest: %s %v: a share is from 0 to 1", share.name, share.v)
		}
	}
	for _, d := range []struct {
		name string
		v    time.Duration
	}{
		{"latency", o.Latency}, {"jitter", o.Jitter}, {"receipt delay", o.ReceiptDelay},
		{"receipt jitter", o.ReceiptJitter}, {"receipt retry", o.ReceiptRetry}, {"enquire_link", o.EnquireLink},
	} {
		if d.v < 0 {
			return o, fmt.Errorf("smpptest: %s %s is below 0", d.name, d.v)
		}
	}
	if o.Pace < 0 || o.Burst < 0 || o.DropAfter < 0 || o.MaxBinds < 0 || o.Outstanding < 0 || o.ReceiptWindow < 0 {
		return o, fmt.Errorf("smpptest: pace, burst, drop after, binds, outstanding and receipt window are not below 0")
	}
	if len(o.SystemID) > 15 {
		return o, fmt.Errorf("smpptest: system_id %q has more than 15 octets", o.SystemID)
	}
	o.SystemID = or(o.SystemID, "smsc")
	o.Burst = or(o.Burst, max(1, int(o.Pace/10)))
	o.PaceStatus = or(o.PaceStatus, pdu.ESME_RTHROTTLED)
	o.ErrorStatus = or(o.ErrorStatus, pdu.ESME_RSYSERR)
	o.ReceiptWindow = or(o.ReceiptWindow, 1000)
	o.ReceiptRetry = or(o.ReceiptRetry, time.Second)
	o.MaxPDU = or(o.MaxPDU, 68<<10)
	o.Zone = or(o.Zone, time.UTC)
	// A simulator that starts again must not hand out the ids of its last run: a
	// gateway still waits for receipts of those.
	o.FirstID = or(o.FirstID, uint64(time.Now().UnixMicro()))
	if len(o.ReceiptStates) == 0 {
		o.ReceiptStates = StateMix{{State: pdu.StateDelivered, Weight: 1}}
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

// StateMix is how often receipts name which state.
type StateMix []StateWeight

// StateWeight is one state's weight against the others'.
type StateWeight struct {
	State  pdu.State
	Err    string // three digits; "" is 000 for DELIVRD and ACCEPTD, else the state's number
	Weight float64
}

// ParseStateMix reads "DELIVRD=95,UNDELIV=4,EXPIRED=1"; a state's err may follow it, as
// in "UNDELIV/045=4". The weights need not add up to anything.
func ParseStateMix(s string) (StateMix, error) {
	var mix StateMix
	for _, item := range strings.Split(s, ",") {
		name, weight, has := strings.Cut(strings.TrimSpace(item), "=")
		w := 1.0
		if has {
			v, err := strconv.ParseFloat(weight, 64)
			if err != nil || !(v >= 0) {
				return nil, fmt.Errorf("%q: the weight of %s is a number, as in DELIVRD=95", item, name)
			}
			w = v
		}
		name, code, _ := strings.Cut(name, "/")
		state, ok := stateOfReceipt(name)
		if !ok {
			return nil, fmt.Errorf("%q: no such receipt state; one of %s", name, strings.Join(receiptStates(), ", "))
		}
		mix = append(mix, StateWeight{State: state, Err: code, Weight: w})
	}
	if mix.total() == 0 {
		return nil, fmt.Errorf("%q: all weights are 0", s)
	}
	return mix, nil
}

func stateOfReceipt(name string) (pdu.State, bool) {
	for st := pdu.StateEnroute; st <= pdu.StateRejected; st++ {
		if st.Receipt() == strings.ToUpper(name) {
			return st, true
		}
	}
	return 0, false
}

func receiptStates() (names []string) {
	for st := pdu.StateEnroute; st <= pdu.StateRejected; st++ {
		names = append(names, st.Receipt())
	}
	return names
}

func (m StateMix) total() (sum float64) {
	for _, w := range m {
		sum += w.Weight
	}
	return sum
}

func (m StateMix) pick(r *rand.Rand) StateWeight {
	if len(m) == 1 {
		return m[0]
	}
	at := r.Float64() * m.total()
	for _, w := range m {
		if at -= w.Weight; at < 0 {
			return w
		}
	}
	return m[len(m)-1]
}

// IDForm is how the simulator writes a message_id. The zero value is decimal.
type IDForm struct {
	Base  IDBase
	Width int // zeros in front up to so many digits; 0 is none
}

// IDBase is what a message_id is made of.
type IDBase uint8

const (
	Decimal IDBase = iota
	HexLower
	HexUpper
	UUID // 8-4-4-4-12 hexadecimal digits; no number can be read from it
)

var idBaseNames = [...]string{Decimal: "dec", HexLower: "hex", HexUpper: "HEX", UUID: "uuid"}

// ParseIDForm reads "dec", "hex", "HEX" or "uuid"; ":10" behind it pads with zeros to
// ten digits.
func ParseIDForm(s string) (IDForm, error) {
	name, width, padded := strings.Cut(s, ":")
	var f IDForm
	if padded {
		n, err := strconv.Atoi(width)
		if err != nil || n < 1 || n > 64 {
			return f, fmt.Errorf("%q: the width behind the colon is 1 to 64", s)
		}
		f.Width = n
	}
	for i, n := range idBaseNames {
		if n == name {
			f.Base = IDBase(i)
			return f, nil
		}
	}
	return f, fmt.Errorf("%q: one of dec, hex, HEX, uuid, with a width as in dec:10", s)
}

func (f IDForm) String() string {
	if f.Width > 0 {
		return idBaseNames[f.Base] + ":" + strconv.Itoa(f.Width)
	}
	return idBaseNames[f.Base]
}

// Append writes id in the form f.
func (f IDForm) Append(dst []byte, id uint64) []byte {
	if f.Base == UUID {
		return appendUUID(dst, id)
	}
	base := 16
	if f.Base == Decimal {
		base = 10
	}
	var room [64]byte
	digits := strconv.AppendUint(room[:0], id, base)
	for range f.Width - len(digits) {
		dst = append(dst, '0')
	}
	start := len(dst)
	dst = append(dst, digits...)
	if f.Base == HexUpper {
		for i := start; i < len(dst); i++ {
			if dst[i] >= 'a' {
				dst[i] -= 'a' - 'A'
			}
		}
	}
	return dst
}

// appendUUID mixes id into 128 bits that no two ids share: the low half is id itself,
// put through a bijection (splitmix64).
func appendUUID(dst []byte, id uint64) []byte {
	mix := func(x uint64) uint64 {
		x ^= x >> 30
		x *= 0xbf58476d1ce4e5b9
		x ^= x >> 27
		x *= 0x94d049bb133111eb
		return x ^ x>>31
	}
	halves := [2]uint64{mix(id + 0x9e3779b97f4a7c15), mix(id)}
	const digits = "0123456789abcdef"
	for i := range 32 {
		if i == 8 || i == 12 || i == 16 || i == 20 {
			dst = append(dst, '-')
		}
		dst = append(dst, digits[halves[i/16]>>(60-4*(i%16))&15])
	}
	return dst
}
