package text

// Values of data_coding that stand for a text or for plain octets (SMPP v3.4, 5.2.19).
const (
	CodingDefault uint8 = 0x00 // the SMSC's default alphabet, whatever that is
	CodingASCII   uint8 = 0x01 // IA5
	CodingOctets  uint8 = 0x02
	CodingLatin1  uint8 = 0x03
	CodingBinary  uint8 = 0x04
	CodingUCS2    uint8 = 0x08
)

// Codings is what the numbers of data_coding mean to one peer, an account's or a
// carrier's option. The zero value is the common one but for One: GSM for both.
type Codings struct {
	Default Encoding // data_coding 0
	One     Encoding // data_coding 1: ASCII, or GSM7 as some client libraries send it
}

// Encoding says how octets under dataCoding are to be read. known is false for the
// codings that Masar does not read (JIS, Cyrillic, compressed, reserved): their octets
// are Binary, to be passed on untouched.
func (c Codings) Encoding(dataCoding uint8) (e Encoding, known bool) {
	switch dataCoding {
	case CodingDefault:
		return c.Default, true
	case CodingASCII:
		return c.One, true
	case CodingLatin1:
		return Latin1, true
	case CodingUCS2:
		return UCS2, true
	case CodingOctets, CodingBinary:
		return Binary, true
	}
	// The rest are groups of 3GPP TS 23.038, section 4: there the default alphabet is
	// GSM whatever the peer makes of 0.
	switch dataCoding >> 4 {
	case 0x1: // message class and alphabet, as in 23.038's general group: 0x18 is flash UCS-2
		switch dataCoding >> 2 & 3 {
		case 0:
			return GSM7, true
		case 1:
			return Binary, true
		case 2:
			return UCS2, true
		}
	case 0xC, 0xD: // message waiting, text in the default alphabet
		return GSM7, true
	case 0xE: // message waiting, text in UCS-2
		return UCS2, true
	case 0xF: // message class, bit 2: 8-bit data
		if dataCoding&4 != 0 {
			return Binary, true
		}
		return GSM7, true
	}
	return Binary, false
}

// Class is the message class that dataCoding carries: 0 flash (shown at once), 1 the
// handset, 2 the SIM, 3 the terminal equipment. ok is false where it carries none.
func Class(dataCoding uint8) (class uint8, ok bool) {
	return dataCoding & 3, dataCoding>>4 == 0x1 || dataCoding>>4 == 0xF
}

// Coding is the data_coding to send e under: 0, 1, 3, 8 or 4. Where a text's alphabet
// is the peer's default, that is c.Coding(c.Default) == 0.
func (c Codings) Coding(e Encoding) uint8 {
	switch {
	case e == c.Default:
		return CodingDefault
	case e == c.One:
		return CodingASCII
	case e == Latin1:
		return CodingLatin1
	case e == UCS2:
		return CodingUCS2
	case e == ASCII:
		return CodingASCII
	case e == GSM7:
		// The peer's default is another alphabet: only the message class group says
		// GSM in so many words. Class 1 is what a handset does with a text anyway.
		return 0xF1
	}
	return CodingBinary
}

// WithClass is the data_coding of a text or octets in e with a message class 0..3:
// 0xF0.. for GSM7, 0x18.. for UCS2, 0xF4.. for Binary. ok is false for the alphabets
// that have no such form.
func WithClass(e Encoding, class uint8) (dataCoding uint8, ok bool) {
	switch e {
	case GSM7:
		return 0xF0 | class&3, true
	case UCS2:
		return 0x18 | class&3, true
	case Binary:
		return 0xF4 | class&3, true
	}
	return 0, false
}
