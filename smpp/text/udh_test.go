package text

import (
	"encoding/hex"
	"errors"
	"testing"
)

func TestUserDataHeadersAreReadOrRefused(t *testing.T) {
	for _, x := range []struct {
		name, hex string
		want      Concat
		has       bool
		headerLen int
		broken    int // offset of the *UDHError, or -1
	}{
		{"8-bit reference", "050003ab0201" + "41", Concat{Ref: 0xAB, Total: 2, Seq: 1}, true, 6, -1},
		{"16-bit reference", "060804abcd0303" + "41", Concat{Ref: 0xABCD, Wide: true, Total: 3, Seq: 3}, true, 7, -1},
		{"header only", "050003000101", Concat{Total: 1, Seq: 1}, true, 6, -1},
		{"ports alone", "0605041582000041", Concat{}, false, 7, -1},
		{"ports before the concatenation", "0b0504158200000003110201", Concat{Ref: 0x11, Total: 2, Seq: 1}, true, 12, -1},
		{"unknown element before", "0870010000031102014142", Concat{Ref: 0x11, Total: 2, Seq: 1}, true, 9, -1},
		{"empty unknown element", "0770000003110201", Concat{Ref: 0x11, Total: 2, Seq: 1}, true, 8, -1},
		{"of two, the last", "0a00031102010003220302", Concat{Ref: 0x22, Total: 3, Seq: 2}, true, 11, -1},
		{"empty header", "0041", Concat{}, false, 1, -1},
		{"number 0", "050003ab0200", Concat{}, false, 6, -1},
		{"total 0", "050003ab0000", Concat{}, false, 6, -1},
		{"number above the total", "050003ab0203", Concat{}, false, 6, -1},
		{"nothing", "", Concat{}, false, 0, 0},
		{"longer than the octets", "050003ab02", Concat{}, false, 0, 0},
		{"FF and no more", "ff", Concat{}, false, 0, 0},
		{"element runs past the header", "050004ab020141", Concat{}, false, 0, 1},
		{"element without a length", "060003ab020100", Concat{}, false, 0, 6},
		{"8-bit reference of four octets", "060004ab020100", Concat{}, false, 0, 1},
		{"16-bit reference of three octets", "050803ab0201", Concat{}, false, 0, 1},
	} {
		t.Run(x.name, func(t *testing.T) {
			b, err := hex.DecodeString(x.hex)
			if err != nil {
				t.Fatal(err)
			}
			c, has, n, err := ParseUDH(b)
			var broken *UDHError
			if x.broken >= 0 {
				if !errors.As(err, &broken) || broken.Offset != x.broken {
					t.Fatalf("error %v, want *UDHError at %d", err, x.broken)
				}
			} else if err != nil {
				t.Fatal(err)
			}
			if c != x.want || has != x.has || n != x.headerLen {
				t.Errorf("%+v, %t, %d, want %+v, %t, %d", c, has, n, x.want, x.has, x.headerLen)
			}
		})
	}
}

func TestConcatenationHeadersAreReadBack(t *testing.T) {
	for _, st := range []Style{UDH8, UDH16} {
		b := AppendConcatUDH(nil, st, 0x1234, 7, 5)
		want := Concat{Ref: 0x1234, Wide: true, Total: 7, Seq: 5}
		if st == UDH8 {
			want = Concat{Ref: 0x34, Total: 7, Seq: 5}
		}
		if c, has, n, err := ParseUDH(b); c != want || !has || n != st.HeaderLen() || n != len(b) || err != nil {
			t.Errorf("%v: %x reads as %+v, %t, %d, %v", st, b, c, has, n, err)
		}
	}
	for _, st := range []Style{SAR, Payload} {
		if b := AppendConcatUDH(nil, st, 1, 2, 1); len(b) != 0 || st.HeaderLen() != 0 {
			t.Errorf("%v has no header, got %x", st, b)
		}
	}
}

func TestSARFieldsNameAPartOnlyInRange(t *testing.T) {
	if c, has := SARConcat(0x1234, 3, 2); !has || c != (Concat{Ref: 0x1234, Wide: true, Total: 3, Seq: 2, SAR: true}) {
		t.Errorf("%+v, %t", c, has)
	}
	for _, x := range [][2]uint8{{0, 0}, {3, 0}, {3, 4}, {0, 1}} {
		if _, has := SARConcat(1, x[0], x[1]); has {
			t.Errorf("part %d of %d", x[1], x[0])
		}
	}
}
