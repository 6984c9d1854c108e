package text

// SplitOctets is Split for octets already in the encoding e, as a client sent them: the
// parts alias octets and join to them. A text is cut exactly where Split would cut it,
// GSM octets never between ESC and what follows it, Binary anywhere. It appends to dst
// and allocates only there, but for UCS-2 beyond one part, which is read as text first.
//
// A leading byte order mark counts as a unit here: TrimBOM first.
//
// Errors: ErrTooManyParts; *BadText only for UCS-2 of more than one part.
func SplitOctets(dst [][]byte, octets []byte, e Encoding, st Style) ([][]byte, error) {
	if FitsOne(octets, e) {
		return append(dst, octets), nil
	}
	if e == UCS2 {
		if err := ValidUCS2(octets); err != nil {
			return dst, err
		}
	}
	_, room := Limits(e, st)
	if st == Payload {
		if len(octets) > room*unitOctets(e) {
			return dst, ErrTooManyParts
		}
		return append(dst, octets), nil
	}
	if e == UCS2 {
		return splitUCS2(dst, octets, st)
	}
	start := len(dst)
	for len(octets) > 0 {
		if len(dst)-start == MaxParts {
			return dst[:start], ErrTooManyParts
		}
		n := min(room, len(octets))
		if e != Binary {
			n = cutSeptets(octets, e, room)
		}
		dst = append(dst, octets[:n:n])
		octets = octets[n:]
	}
	return dst, nil
}

func unitOctets(e Encoding) int {
	if e == UCS2 {
		return 2
	}
	return 1
}

// splitUCS2 cuts the text that octets are and finds the cuts again in the octets.
//
// REQUIRES: ValidUCS2(octets) == nil.
func splitUCS2(dst [][]byte, octets []byte, st Style) ([][]byte, error) {
	var room [1024]byte
	// decodeUCS2 would take a byte order mark away and shift every cut.
	lead := len(octets) - len(TrimBOM(octets))
	utf8Text := room[:0]
	if lead > 0 {
		utf8Text = append(utf8Text, "\ufeff"...)
	}
	utf8Text, err := decodeUCS2(utf8Text, octets)
	if err != nil {
		return dst, err
	}
	start := len(dst)
	_, err = Splitter{Encoding: UCS2, Style: st}.walk(string(utf8Text), func(part string) {
		n := 2 * Units(part, UCS2)
		dst = append(dst, octets[:n:n])
		octets = octets[n:]
	})
	if err != nil {
		return dst[:start], err
	}
	return dst, nil
}

// cutSeptets is the length of the longest run of whole characters that fits room units:
// never between ESC and its septet, nor between CR and LF.
//
// REQUIRES: len(octets) > 0, room > 1.
func cutSeptets(octets []byte, e Encoding, room int) int {
	i := 0
	for i < len(octets) {
		width, cost := 1, 1
		switch {
		case e == GSM7 && octets[i] == esc && i+1 < len(octets) && octets[i+1] != esc:
			width, cost = 2, 2
		case e == ASCII && octets[i] < 0x80:
			cost = septets(gsmCode[octets[i]])
		}
		if room -= cost; room < 0 {
			break
		}
		i += width
	}
	if i < len(octets) && octets[i] == '\n' && octets[i-1] == '\r' {
		i--
	}
	return i
}
