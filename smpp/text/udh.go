package text

import "fmt"

// Information element identifiers of 3GPP TS 23.040, 9.2.3.24, that Masar reads.
const (
	elementConcat8  = 0x00 // reference, total, number
	elementConcat16 = 0x08 // reference high, low, total, number
)

// Concat says which part of which message some octets are. The zero value is a message
// of one part.
type Concat struct {
	Ref   uint16 // 0..255 unless Wide
	Wide  bool   // a 16-bit reference: 5 of one width is not 5 of the other
	Total uint8  // 1..255; 0 for a message that is not concatenated
	Seq   uint8  // 1..Total
	SAR   bool   // from the sar_* TLVs, whose references count apart from the headers'
}

// UDHError is a broken user data header. The octets behind it cannot be found.
type UDHError struct {
	Offset int    // octets from the start of the header
	Rule   string // "element runs past the header"
}

func (u *UDHError) Error() string {
	return fmt.Sprintf("text: user data header, octet %d: %s", u.Offset, u.Rule)
}

// AppendConcatUDH appends the user data header of one part: 05 00 03 ref total seq for
// UDH8, of whose ref only the low octet goes out, 06 08 04 ref ref total seq for UDH16.
// The other styles have none and dst is returned as it is.
//
// REQUIRES: 1 <= seq <= total.
func AppendConcatUDH(dst []byte, st Style, ref uint16, total, seq uint8) []byte {
	switch st {
	case UDH8:
		return append(dst, 5, elementConcat8, 3, byte(ref), total, seq)
	case UDH16:
		return append(dst, 6, elementConcat16, 4, byte(ref>>8), byte(ref), total, seq)
	}
	return dst
}

// ParseUDH reads the user data header that short_message or message_payload begins with
// when esm_class has UDHI. headerLen counts the length octet: the text is b[headerLen:].
// has says that it is a part of a concatenated message.
//
// Elements that are not about concatenation (ports, national language tables, vendor's)
// are skipped. A concatenation whose total or number is 0, or whose number is above its
// total, is as good as absent, and of several the last counts (23.040, 9.2.3.24.1 and
// 9.2.3.24). Error: *UDHError, and headerLen 0, where the header does not add up.
func ParseUDH(b []byte) (c Concat, has bool, headerLen int, err error) {
	if len(b) == 0 {
		return Concat{}, false, 0, &UDHError{Rule: "no header"}
	}
	headerLen = 1 + int(b[0])
	if headerLen > len(b) {
		return Concat{}, false, 0, &UDHError{Rule: fmt.Sprintf("says %d octets, %d are there", b[0], len(b)-1)}
	}
	for i := 1; i < headerLen; {
		if i+2 > headerLen {
			return Concat{}, false, 0, &UDHError{Offset: i, Rule: "element without a length"}
		}
		id, n := b[i], int(b[i+1])
		v := i + 2
		if v+n > headerLen {
			return Concat{}, false, 0, &UDHError{Offset: i, Rule: "element runs past the header"}
		}
		var found Concat
		switch {
		case id == elementConcat8 && n == 3:
			found = Concat{Ref: uint16(b[v]), Total: b[v+1], Seq: b[v+2]}
		case id == elementConcat16 && n == 4:
			found = Concat{Ref: uint16(b[v])<<8 | uint16(b[v+1]), Wide: true, Total: b[v+2], Seq: b[v+3]}
		case id == elementConcat8 || id == elementConcat16:
			return Concat{}, false, 0, &UDHError{Offset: i, Rule: fmt.Sprintf("concatenation of %d octets", n)}
		}
		if found.valid() {
			c, has = found, true
		}
		i = v + n
	}
	return c, has, headerLen, nil
}

// SARConcat is the Concat of sar_msg_ref_num, sar_total_segments and
// sar_segment_seqnum. has is false where they name no part: then, as with a header, the
// message stands for itself.
func SARConcat(ref uint16, total, seq uint8) (c Concat, has bool) {
	c = Concat{Ref: ref, Wide: true, Total: total, Seq: seq, SAR: true}
	return c, c.valid()
}

func (c Concat) valid() bool { return c.Seq >= 1 && c.Seq <= c.Total }
