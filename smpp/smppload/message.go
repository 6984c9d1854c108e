package smppload

import (
	"encoding/binary"
	"fmt"
	"math/big"
	"math/bits"
	"strings"

	"masar/smpp/pdu"
	"masar/smpp/text"
)

// textDigits is how many digits a message's number has in its text.
const textDigits = 8

// numbering turns a message's number into its destination and back. Neighbouring numbers
// go to destinations far apart, so that every prefix the server routes by gets its share
// from the first hundred messages on.
type numbering struct {
	prefix    string
	digits    int
	space     uint64 // how many destinations there are
	scatter   uint64 // n*scatter mod space is a bijection: neither 2 nor 5 divides it
	unscatter uint64
}

func newNumbering(prefix string) numbering {
	n := numbering{prefix: prefix, digits: destinationDigits - len(prefix), space: 1, scatter: 61803399}
	for range n.digits {
		n.space *= 10
	}
	space := new(big.Int).SetUint64(n.space)
	n.scatter %= n.space
	n.unscatter = new(big.Int).ModInverse(new(big.Int).SetUint64(n.scatter), space).Uint64()
	return n
}

// Destination is where a run with this prefix sends its message of a number.
//
// REQUIRES: the prefix leaves room for the number.
func Destination(prefix string, number uint64) string {
	n := newNumbering(prefix)
	dst := make([]byte, destinationDigits)
	n.put(dst[copy(dst, prefix):], number)
	return string(dst)
}

// put writes the digits of number's destination behind the prefix.
//
// REQUIRES: number < n.space; len(dst) == n.digits.
func (n *numbering) put(dst []byte, number uint64) {
	hi, lo := bits.Mul64(number, n.scatter)
	putDigits(dst, bits.Rem64(hi, lo, n.space), 1)
}

// number finds the message a destination belongs to.
func (n *numbering) number(addr []byte) (uint64, bool) {
	if len(addr) != destinationDigits || string(addr[:len(n.prefix)]) != n.prefix {
		return 0, false
	}
	v := uint64(0)
	for _, c := range addr[len(n.prefix):] {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + uint64(c-'0')
	}
	hi, lo := bits.Mul64(v, n.unscatter)
	return bits.Rem64(hi, lo, n.space), true
}

// putDigits writes v in decimal, right-aligned, one digit every step octets, filling dst.
func putDigits(dst []byte, v uint64, step int) {
	for i := len(dst) - 1; i >= 0; i -= step {
		dst[i] = byte('0' + v%10)
		v /= 10
	}
}

// template is a submit_sm encoded ahead: only its sequence_number, destination and the
// number in its text change.
type template struct {
	octets   []byte
	dest     int // where the destination's digits behind the prefix begin
	destLen  int
	number   int // where the number's first octet is
	numberLn int // octets it takes
	step     int // octets a digit: 2 in UCS-2
}

func newTemplate(o Options, s string) (template, error) {
	if !strings.Contains(s, "{n}") {
		s += " {n}"
	}
	before, after, _ := strings.Cut(s, "{n}")
	zeros := strings.Repeat("0", textDigits)
	whole := before + zeros + after
	e := text.Choose(whole)
	content, err := text.Encode(nil, whole, e)
	if err != nil {
		return template{}, fmt.Errorf("smppload: text %q: %w", s, err)
	}
	head, err := text.Encode(nil, before, e)
	if err != nil {
		return template{}, err
	}
	t := template{step: 1}
	if e == text.UCS2 {
		t.step = 2
	}

	sm := pdu.SubmitSM{
		ServiceType:  []byte(o.ServiceType),
		Source:       pdu.Address{Addr: []byte(o.From)},
		Dest:         pdu.Address{TON: pdu.TONInternational, NPI: pdu.NPIISDN, Addr: []byte(o.Prefix + strings.Repeat("0", destinationDigits-len(o.Prefix)))},
		PriorityFlag: o.Priority,
		DataCoding:   text.Codings{Default: text.GSM7, One: text.ASCII}.Coding(e),
	}
	if strings.Trim(o.From, "0123456789") == "" {
		sm.Source.TON, sm.Source.NPI = pdu.TONInternational, pdu.NPIISDN
	} else {
		sm.Source.TON = pdu.TONAlphanumeric
	}
	if o.Receipts {
		sm.RegisteredDelivery = pdu.RegisteredFinal
	}
	if text.FitsOne(content, e) {
		sm.ShortMessage = content
	} else {
		sm.TLVs = sm.TLVs.Append(pdu.TagMessagePayload, content)
	}
	t.octets = pdu.Append(nil, pdu.CmdSubmitSM, pdu.ESME_ROK, 0, &sm)
	// service_type NUL, ton, npi, source_addr NUL, ton, npi, destination_addr.
	t.dest = pdu.HeaderLen + len(sm.ServiceType) + 1 + 2 + len(sm.Source.Addr) + 1 + 2 + len(o.Prefix)
	t.destLen = destinationDigits - len(o.Prefix)
	// The content ends the PDU, as short_message and as the only TLV.
	t.number = len(t.octets) - len(content) + len(head)
	t.numberLn = textDigits * t.step
	return t, nil
}

// append writes message number's submit_sm.
func (t *template) append(dst []byte, n *numbering, number uint64, seq uint32) []byte {
	start := len(dst)
	dst = append(dst, t.octets...)
	p := dst[start:]
	binary.BigEndian.PutUint32(p[12:], seq)
	n.put(p[t.dest:t.dest+t.destLen], number)
	putDigits(p[t.number:t.number+t.numberLn], number, t.step)
	return dst
}
