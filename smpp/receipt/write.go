package receipt

import (
	"encoding/binary"
	"time"
	"unicode/utf16"

	"masar/smpp/pdu"
)

// Out is a receipt to write for a client. Source and destination, swapped, and esm_class
// 0x04 (0x20 for an intermediate notification) are the caller's.
type Out struct {
	ID           string // our id, hex digits
	State        pdu.State
	Err          string // "" is "000"
	Sub, Dlvrd   int    // parts submitted and delivered, written 000..999
	Submit, Done time.Time
	Text         string // the message; its start is written
	// NetworkType and NetworkCode go out as network_error_code when HasNetwork.
	NetworkType uint8
	NetworkCode uint16
	HasNetwork  bool

	Style
}

// Style is how an account wants its receipts. The zero value is appendix B in UTC.
type Style struct {
	IDForm     Form           // of ID: Raw and Hex as it is, or Dec
	IDDigits   int            // zeros in front of a decimal id up to so many; 10 in appendix B
	DateDigits int            // 12 writes seconds, anything else 10
	Zone       *time.Location // of the dates; nil is UTC
}

// maxText is how much of the message a receipt repeats, in characters (SMPP v3.4,
// appendix B), here UTF-16 units, so that a UCS-2 receipt has its bound too.
const maxText = 20

// Append appends the appendix B text of r in UTF-8: ASCII but for r.Text. It does not
// allocate where dst has room. See AppendMessage for the octets of a deliver_sm.
func Append(dst []byte, r *Out) []byte {
	dst = appendFields(dst, r)
	return append(dst, Lead(r.Text)...)
}

// AppendMessage appends short_message for r and returns its data_coding: 0 where the
// text is the same in every default alphabet, else 8, the whole in UCS-2. A client that
// reads plain receipts only wants r.Text empty.
func AppendMessage(dst []byte, r *Out) (message []byte, dataCoding uint8) {
	text := Lead(r.Text)
	if everywhere(text) && everywhere(r.ID) && everywhere(r.Err) {
		return append(appendFields(dst, r), text...), 0
	}
	var room [256]byte
	for _, c := range string(append(appendFields(room[:0], r), text...)) {
		if c >= 0x10000 {
			hi, lo := utf16.EncodeRune(c)
			dst = binary.BigEndian.AppendUint16(dst, uint16(hi))
			c = lo
		}
		dst = binary.BigEndian.AppendUint16(dst, uint16(c))
	}
	return dst, 8
}

// everywhere says that s is the same octets in ASCII, Latin-1 and GSM.
func everywhere(s string) bool {
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case c == '\n' || c == '\r':
		case c < ' ' || c >= 0x7B, c == '$', c == '@', c == '`', c >= '[' && c <= '_':
			return false
		}
	}
	return true
}

func appendFields(dst []byte, r *Out) []byte {
	dst = append(dst, "id:"...)
	dst = AppendID(dst, r.ID, r.IDForm, r.IDDigits)
	dst = append(dst, " sub:"...)
	dst = appendCount(dst, r.Sub)
	dst = append(dst, " dlvrd:"...)
	dst = appendCount(dst, r.Dlvrd)
	dst = append(dst, " submit date:"...)
	dst = appendDate(dst, r.Submit, r.DateDigits, r.Zone)
	dst = append(dst, " done date:"...)
	dst = appendDate(dst, r.Done, r.DateDigits, r.Zone)
	dst = append(dst, " stat:"...)
	dst = append(dst, r.State.Receipt()...)
	dst = append(dst, " err:"...)
	if r.Err == "" {
		dst = append(dst, "000"...)
	} else {
		dst = append(dst, r.Err...)
	}
	return append(dst, " text:"...)
}

// appendCount writes three digits; a message has at most 255 parts.
func appendCount(dst []byte, n int) []byte {
	n = min(max(n, 0), 999)
	return append(dst, byte('0'+n/100), byte('0'+n/10%10), byte('0'+n%10))
}

// appendDate writes YYMMDDhhmm, with 12 digits ss too; zeros for the zero time, so that a
// reader by columns finds the next field.
func appendDate(dst []byte, t time.Time, digits int, zone *time.Location) []byte {
	var year, month, day, hour, minute, second int
	if !t.IsZero() {
		t = t.In(orUTC(zone))
		y, m, d := t.Date()
		year, month, day = y%100, int(m), d
		hour, minute, second = t.Clock()
	}
	two := func(n int) { dst = append(dst, byte('0'+n/10), byte('0'+n%10)) }
	two(year)
	two(month)
	two(day)
	two(hour)
	two(minute)
	if digits == 12 {
		two(second)
	}
	return dst
}

// Lead is the start of a message that its receipt repeats: 20 UTF-16 units, one less
// where the last would be half a pair.
func Lead(text string) string {
	units := 0
	for i, c := range text {
		units++
		if c >= 0x10000 {
			units++
		}
		if units > maxText {
			return text[:i]
		}
	}
	return text
}

// AppendTLVs appends what the text says in TLVs (SMPP v3.4, 5.3.2.12 and 5.3.2.35), the
// id in the same form: receipted_message_id, message_state and, where there is one,
// network_error_code.
func AppendTLVs(t pdu.TLVs, r *Out) pdu.TLVs {
	var room [64]byte
	t = t.AppendCString(pdu.TagReceiptedMessageID, AppendID(room[:0], r.ID, r.IDForm, r.IDDigits))
	t = t.AppendUint8(pdu.TagMessageState, uint8(r.State))
	if r.HasNetwork {
		t = t.Append(pdu.TagNetworkErrorCode, []byte{r.NetworkType, byte(r.NetworkCode >> 8), byte(r.NetworkCode)})
	}
	return t
}
