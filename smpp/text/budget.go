package text

import "fmt"

// Style is how the parts of a message say that they belong together.
type Style uint8

const (
	UDH8    Style = iota // user data header, element 00: 8-bit reference, 6 octets
	UDH16                // user data header, element 08: 16-bit reference, 7 octets
	SAR                  // sar_* TLVs; the SMSC writes the header, with an 8-bit reference
	Payload              // message_payload: one PDU whatever the size, the SMSC cuts
)

var styleNames = [...]string{UDH8: "udh8", UDH16: "udh16", SAR: "sar", Payload: "payload"}

func (st Style) String() string {
	if int(st) < len(styleNames) {
		return styleNames[st]
	}
	return fmt.Sprintf("style(%d)", uint8(st))
}

// ParseStyle reads what String writes.
func ParseStyle(name string) (Style, error) {
	for i, n := range styleNames {
		if n == name {
			return Style(i), nil
		}
	}
	return 0, fmt.Errorf("text: no segmentation style %q; one of udh8, udh16, sar, payload", name)
}

// HeaderLen is how many octets of user data header AppendConcatUDH writes: 6, 7 or 0.
func (st Style) HeaderLen() int {
	switch st {
	case UDH8:
		return 6
	case UDH16:
		return 7
	}
	return 0
}

// MaxParts is the most parts a message can have: the total is one octet.
const MaxParts = 255

// Limits is the room, in Units of e, of a message of one part and of each part of a
// longer one (3GPP TS 23.040, 9.2.3.24.1). A user data is 140 octets or 160 septets.
//
// Payload: single is what the SMSC can make 255 parts of with an 8-bit reference, and
// there are no parts here, so part is the same.
func Limits(e Encoding, st Style) (single, part int) {
	single = 140
	switch e {
	case GSM7, ASCII:
		single, part = 160, 153
		if st == UDH16 {
			part = 152
		}
	case UCS2:
		single, part = 70, 67
		if st == UDH16 {
			part = 66
		}
	default:
		part = 134
		if st == UDH16 {
			part = 133
		}
	}
	if st == Payload {
		return part * MaxParts, part * MaxParts
	}
	return single, part
}

// FitsOne says whether octets, already in the encoding e, are a message of one part
// under every style. It does not ask whether they are a good text (ValidUCS2).
func FitsOne(octets []byte, e Encoding) bool {
	switch e {
	case GSM7:
		return len(octets) <= 160 // an escape and what follows are two octets, two septets
	case ASCII:
		if len(octets) > 160 {
			return false
		}
		n := len(octets)
		if n > 80 { // at most twice as many septets, so no need to look
			for _, c := range octets {
				if c < 0x80 && septets(gsmCode[c]) == 2 {
					n++
				}
			}
		}
		return n <= 160
	}
	return len(octets) <= 140
}
