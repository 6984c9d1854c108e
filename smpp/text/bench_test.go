package text

import (
	"strings"
	"testing"
)

// 55 characters each, what one notice has.
var (
	arabic55 = strings.Repeat("تنتهي صلاحية هويتكم", 3)[:len("تنتهي صلاحية هويتكم")*2] + "الوطنية خلال ٣٠ي "
	latin55  = "Your national ID expires in 30 days. Renew it in Absher"
	long     = strings.Repeat("تنتهي صلاحية هويتكم الوطنية خلال ٣٠ يوما. ", 4) // 3 parts
	marked   = strings.Repeat("سُجِّلَتْ مُخَالَفَةٌ ", 10)                    // 4 parts, marks everywhere
)

func TestTheSamplesHave55Characters(t *testing.T) {
	if Units(arabic55, UCS2) != 55 || Units(latin55, GSM7) != 55 || Choose(arabic55) != UCS2 || Choose(latin55) != GSM7 {
		t.Fatalf("%d and %d", Units(arabic55, UCS2), Units(latin55, GSM7))
	}
}

func TestTheCommonCaseDoesNotAllocate(t *testing.T) {
	ucs2 := make([]byte, 0, 110) // just enough
	gsm := make([]byte, 0, 55)
	octets, _ := Encode(nil, arabic55, UCS2)
	parts := make([]string, 0, 8)
	slices := make([][]byte, 0, 8)
	for name, f := range map[string]func(){
		"Choose":              func() { Choose(arabic55); Choose(latin55) },
		"Units":               func() { Units(arabic55, UCS2); Units(latin55, GSM7) },
		"Encode UCS2":         func() { ucs2, _ = Encode(ucs2[:0], arabic55, UCS2) },
		"Encode GSM7":         func() { gsm, _ = Encode(gsm[:0], latin55, GSM7) },
		"FitsOne, ValidUCS2":  func() { FitsOne(octets, UCS2); _ = ValidUCS2(octets) },
		"Split of one":        func() { p, _ := Split(arabic55, UCS2, UDH8); parts = append(parts[:0], p...) },
		"SplitInto of three":  func() { parts, _ = SplitInto(parts[:0], long, UCS2, UDH8) },
		"SplitInto of marks":  func() { parts, _ = SplitInto(parts[:0], marked, UCS2, UDH8) },
		"Count":               func() { _, _ = Count(long, UCS2, UDH8) },
		"SplitOctets of one":  func() { slices, _ = SplitOctets(slices[:0], octets, UCS2, UDH8) },
		"FoldPresentation":    func() { FoldPresentation(arabic55) },
		"StripHarakat":        func() { StripHarakat(arabic55) },
		"AppendConcatUDH":     func() { ucs2 = AppendConcatUDH(ucs2[:0], UDH8, 1, 2, 1) },
		"ParseUDH":            func() { _, _, _, _ = ParseUDH([]byte{5, 0, 3, 1, 2, 1}) },
		"data_coding and all": func() { _, _ = Codings{}.Encoding(8); _, _ = Class(0x18) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	if n := testing.AllocsPerRun(100, func() { sink, _ = Decode(octets, UCS2) }); n > 1 {
		t.Errorf("Decode: %v allocations, want the string alone", n)
	}
}

var sink string

func BenchmarkChoose(b *testing.B) {
	for name, s := range map[string]string{"arabic": arabic55, "latin": latin55} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Choose(s)
			}
		})
	}
}

func BenchmarkUnits(b *testing.B) {
	b.Run("arabic", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Units(arabic55, UCS2)
		}
	})
	b.Run("latin", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Units(latin55, GSM7)
		}
	})
}

func BenchmarkEncode(b *testing.B) {
	dst := make([]byte, 0, 140)
	b.Run("arabic", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			dst, _ = Encode(dst[:0], arabic55, UCS2)
		}
	})
	b.Run("latin", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			dst, _ = Encode(dst[:0], latin55, GSM7)
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	octets, _ := Encode(nil, arabic55, UCS2)
	b.Run("arabic", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			sink, _ = Decode(octets, UCS2)
		}
	})
}

func BenchmarkValidUCS2(b *testing.B) {
	octets, _ := Encode(nil, arabic55, UCS2)
	b.ReportAllocs()
	for b.Loop() {
		_ = FitsOne(octets, UCS2) && ValidUCS2(octets) == nil
	}
}

func BenchmarkSplit(b *testing.B) {
	parts := make([]string, 0, 8)
	for _, x := range []struct {
		name, s string
		e       Encoding
	}{{"one part", arabic55, UCS2}, {"one part latin", latin55, GSM7}, {"three parts", long, UCS2}, {"marks", marked, UCS2}} {
		b.Run(x.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				parts, _ = SplitInto(parts[:0], x.s, x.e, UDH8)
			}
		})
	}
}
