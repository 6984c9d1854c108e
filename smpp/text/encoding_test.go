package text

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"
	"unicode/utf8"
)

func TestEncodeRefusesWhatTheEncodingDoesNotHave(t *testing.T) {
	for _, x := range []struct {
		name   string
		s      string
		e      Encoding
		bad    bool // *BadText rather than *Unencodable
		offset int
	}{
		{"lower-case cedilla is not in GSM", "façade", GSM7, false, 2},
		{"Arabic is not in GSM", "ok ن", GSM7, false, 3},
		{"backtick is not in GSM", "`", GSM7, false, 0},
		{"ESC is no character", "\x1b", GSM7, false, 0},
		{"NUL in GSM", "a\x00", GSM7, true, 1},
		{"broken UTF-8 in GSM", "a\xff", GSM7, true, 1},
		{"NUL in UCS-2", "م\x00", UCS2, true, 2},
		{"broken UTF-8 in UCS-2", "م\xd9", UCS2, true, 2},
		{"a surrogate in UTF-8", "\xed\xa0\x80", UCS2, true, 0},
		{"overlong UTF-8", "\xc0\x80", UCS2, true, 0},
		{"euro is not in Latin-1", "5 €", Latin1, false, 2},
		{"NUL in Latin-1", "\x00", Latin1, true, 0},
		{"broken UTF-8 in Latin-1", "\xe9", Latin1, true, 0},
		{"é is not in ASCII", "é", ASCII, false, 0},
		{"NUL in ASCII", "\x00", ASCII, true, 0},
	} {
		t.Run(x.name, func(t *testing.T) {
			got, err := Encode([]byte("before"), x.s, x.e)
			if string(got) != "before" {
				t.Errorf("dst is %q after the error", got)
			}
			var bad *BadText
			var un *Unencodable
			switch {
			case x.bad && (!errors.As(err, &bad) || !errors.Is(err, ErrBadText) || bad.Offset != x.offset):
				t.Errorf("error %v, want *BadText at %d", err, x.offset)
			case !x.bad && (!errors.As(err, &un) || errors.Is(err, ErrBadText) || un.Offset != x.offset || un.Encoding != x.e):
				t.Errorf("error %v, want *Unencodable at %d", err, x.offset)
			}
		})
	}
}

func TestDecodeRefusesOctetsThatAreNoText(t *testing.T) {
	for _, x := range []struct {
		name, hex string
		e         Encoding
		offset    int
	}{
		{"half a UCS-2 character", "064506", UCS2, 2},
		{"one octet", "06", UCS2, 0},
		{"unpaired surrogate in the middle", "0645d83d0645", UCS2, 2},
		{"high octet in GSM", "4180", GSM7, 1},
		{"high octet after ESC", "1b80", GSM7, 1},
		{"high octet in ASCII", "41e9", ASCII, 1},
	} {
		t.Run(x.name, func(t *testing.T) {
			octets, _ := hex.DecodeString(x.hex)
			s, err := Decode(octets, x.e)
			var bad *BadText
			if !errors.As(err, &bad) || bad.Offset != x.offset || s != "" {
				t.Errorf("%q, %v, want *BadText at %d", s, err, x.offset)
			}
		})
	}
}

func TestDecodeOfEscapesFollowsTheStandard(t *testing.T) {
	for hexa, want := range map[string]string{
		"1b1b65": " €", // the first stands alone, the second escapes
		"1b1b1b": "   ",
		"1b65":   "€",
		"1b41":   "A",
		"1b":     " ",
	} {
		octets, _ := hex.DecodeString(hexa)
		if got, err := Decode(octets, GSM7); got != want || err != nil {
			t.Errorf("%s: %q, %v, want %q", hexa, got, err, want)
		}
	}
}

func TestEveryGSMCharacterGoesOutAndComesBack(t *testing.T) {
	n := 0
	for r := rune(1); r <= utf8.MaxRune; r++ {
		if r >= 0xD800 && r < 0xE000 || gsmOf(r) == noGSM {
			continue
		}
		n++
		octets, err := Encode(nil, string(r), GSM7)
		if err != nil || len(octets) != Units(string(r), GSM7) {
			t.Fatalf("%U: %x, %v, %d units", r, octets, err, Units(string(r), GSM7))
		}
		if back, err := Decode(octets, GSM7); back != string(r) || err != nil {
			t.Fatalf("%U: came back as %q, %v", r, back, err)
		}
	}
	if n != 127+10 {
		t.Errorf("%d characters in the alphabet, want 137", n)
	}
}

func TestUnits(t *testing.T) {
	for _, x := range []struct {
		s    string
		e    Encoding
		want int
	}{
		{"a€", GSM7, 3}, {"[x]", ASCII, 5}, {"x`", ASCII, 2}, {"é", Latin1, 1},
		{"é", Binary, 2}, {"😀م", UCS2, 3}, {"", UCS2, 0}, {"", GSM7, 0},
	} {
		if got := Units(x.s, x.e); got != x.want {
			t.Errorf("Units(%q, %v) = %d, want %d", x.s, x.e, got, x.want)
		}
	}
}

// The 3GPP example everyone uses: "hellohello" packs to E8329BFD4697D9EC37.
func TestPackedGSM(t *testing.T) {
	for _, x := range []struct {
		name, septets string
		fill          int
		want          string
	}{
		{"ten characters", "hellohello", 0, "e8329bfd4697d9ec37"},
		{"eight characters take seven octets", "12345678", 0, "31d98c56b3dd70"},
		{"seven characters: seven bits left carry CR", "1234567", 0, "31d98c56b3dd1a"},
		{"one character", "A", 0, "41"},
		{"nothing", "", 0, ""},
		{"after a header of six octets", "A", 1, "82"},
	} {
		t.Run(x.name, func(t *testing.T) {
			got := PackGSM(nil, []byte(x.septets), x.fill)
			if hex.EncodeToString(got) != x.want {
				t.Errorf("packed %x, want %s", got, x.want)
			}
			for _, n := range []int{-1, len(x.septets)} {
				if back := UnpackGSM(nil, got, x.fill, n); string(back) != x.septets {
					t.Errorf("n=%d: unpacked %q", n, back)
				}
			}
		})
	}
}

func TestPackedGSMOfEveryLengthAndFillComesBack(t *testing.T) {
	all := make([]byte, 160)
	for i := range all {
		all[i] = byte(i*7+1) & 0x7F
	}
	for fill := range 7 {
		for n := range len(all) + 1 {
			packed := PackGSM(nil, all[:n], fill)
			if want := (n*7 + fill + 7) / 8; n > 0 && len(packed) != want {
				t.Fatalf("%d septets, fill %d: %d octets, want %d", n, fill, len(packed), want)
			}
			if back := UnpackGSM(nil, packed, fill, n); !bytes.Equal(back, all[:n]) {
				t.Fatalf("%d septets, fill %d: came back as %x", n, fill, back)
			}
		}
	}
	// Zeros as padding, as most senders write them, are no @ either.
	if got := UnpackGSM(nil, []byte{0x31, 0xd9, 0x8c, 0x56, 0xb3, 0xdd, 0x00}, 0, -1); string(got) != "1234567" {
		t.Errorf("zero padding read as %q", got)
	}
}

func TestFillBitsPutTheTextOnASeptetBoundary(t *testing.T) {
	for headerLen, want := range map[int]int{0: 0, 1: 6, 6: 1, 7: 0, 8: 6, 12: 2} {
		if got := FillBits(headerLen); got != want {
			t.Errorf("FillBits(%d) = %d, want %d", headerLen, got, want)
		}
	}
}

func TestDataCodingIsReadByThePeersOptions(t *testing.T) {
	usual := Codings{Default: GSM7, One: ASCII}
	for _, x := range []struct {
		coding uint8
		c      Codings
		want   Encoding
		known  bool
	}{
		{0, usual, GSM7, true}, {0, Codings{Default: Latin1}, Latin1, true}, {0, Codings{Default: ASCII}, ASCII, true},
		{1, usual, ASCII, true}, {1, Codings{One: GSM7}, GSM7, true},
		{2, usual, Binary, true}, {3, usual, Latin1, true}, {4, usual, Binary, true}, {8, usual, UCS2, true},
		{5, usual, Binary, false}, {6, usual, Binary, false}, {13, usual, Binary, false}, {0x40, usual, Binary, false},
		{0x10, usual, GSM7, true}, {0x14, usual, Binary, true}, {0x18, usual, UCS2, true}, {0x19, usual, UCS2, true},
		{0x1C, usual, Binary, false}, {0xC8, usual, GSM7, true}, {0xE0, usual, UCS2, true},
		{0xF0, Codings{Default: Latin1}, GSM7, true}, {0xF1, usual, GSM7, true}, {0xF4, usual, Binary, true}, {0xFF, usual, Binary, true},
	} {
		if e, known := x.c.Encoding(x.coding); e != x.want || known != x.known {
			t.Errorf("%#x with %v: %v, %t, want %v, %t", x.coding, x.c, e, known, x.want, x.known)
		}
	}
	for _, c := range []Codings{usual, {Default: Latin1, One: ASCII}, {Default: ASCII, One: GSM7}, {}} {
		for e := GSM7; e <= Binary; e++ {
			if e == ASCII && c == (Codings{}) {
				continue // such a peer has no number for ASCII, and ASCII goes out as 1 all the same
			}
			if back, known := c.Encoding(c.Coding(e)); back != e || !known {
				t.Errorf("%v: %v goes out as %#x, which reads as %v", c, e, c.Coding(e), back)
			}
		}
	}
}

func TestMessageClassesGoOutAndComeBack(t *testing.T) {
	for _, e := range []Encoding{GSM7, UCS2, Binary} {
		for class := range uint8(4) {
			dc, ok := WithClass(e, class)
			got, has := Class(dc)
			if back, _ := (Codings{}).Encoding(dc); !ok || !has || got != class || back != e {
				t.Errorf("%v class %d: %#x reads as %v class %d", e, class, dc, back, got)
			}
		}
	}
	if _, ok := WithClass(Latin1, 0); ok {
		t.Error("Latin-1 has no message class")
	}
	for _, dc := range []uint8{0, 1, 8, 0xC0, 0xE3} {
		if _, ok := Class(dc); ok {
			t.Errorf("%#x has no message class", dc)
		}
	}
}

func TestNamesAreReadBack(t *testing.T) {
	for e := GSM7; e <= Binary; e++ {
		if got, err := ParseEncoding(e.String()); got != e || err != nil {
			t.Errorf("%v: %v, %v", e, got, err)
		}
	}
	for st := UDH8; st <= Payload; st++ {
		if got, err := ParseStyle(st.String()); got != st || err != nil {
			t.Errorf("%v: %v, %v", st, got, err)
		}
	}
	if e, err := ParseEncoding("gsm"); e != GSM7 || err != nil {
		t.Errorf("gsm: %v, %v", e, err)
	}
	for _, name := range []string{"", "utf8", "UCS2"} {
		if _, err := ParseEncoding(name); err == nil || !strings.Contains(err.Error(), "gsm7, ucs2") {
			t.Errorf("ParseEncoding(%q): %v", name, err)
		}
		if _, err := ParseStyle(name); err == nil || !strings.Contains(err.Error(), "udh8, udh16") {
			t.Errorf("ParseStyle(%q): %v", name, err)
		}
	}
}

func TestLittleEndianOctetsAreSwappedOnRequest(t *testing.T) {
	swapped := SwapUCS2(nil, []byte{0x45, 0x06, 0x31, 0x06})
	if s, err := Decode(swapped, UCS2); s != "مر" || err != nil {
		t.Errorf("%q, %v", s, err)
	}
	if got := SwapUCS2(nil, []byte{1, 2, 3}); !bytes.Equal(got, []byte{2, 1, 3}) {
		t.Errorf("odd octets: %x", got)
	}
	if got := TrimBOM([]byte{0xFE, 0xFF, 0x06, 0x45}); !bytes.Equal(got, []byte{0x06, 0x45}) {
		t.Errorf("TrimBOM: %x", got)
	}
}

func TestMarksAreStrippedOnlyWhereAsked(t *testing.T) {
	for _, x := range []struct{ name, in, harakat, tatweel string }{
		{"passive verb", "سُجِّلت", "سجلت", "سُجِّلت"},
		{"dagger alif", "هٰذا", "هذا", "هٰذا"},
		{"tatweel", "مـــرحبا", "مـــرحبا", "مرحبا"},
		{"Quranic marks stay", "قۖ", "قۖ", "قۖ"},
		{"Latin", "plain é", "plain é", "plain é"},
		{"broken UTF-8 is not repaired", "ُ\xff", "\xff", "ُ\xff"},
	} {
		if got := StripHarakat(x.in); got != x.harakat {
			t.Errorf("%s: StripHarakat = %q, want %q", x.name, got, x.harakat)
		}
		if got := StripTatweel(x.in); got != x.tatweel {
			t.Errorf("%s: StripTatweel = %q, want %q", x.name, got, x.tatweel)
		}
	}
}
