package text

import (
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/bidi"
)

func TestEachOptionDoesItsOwnWorkAlone(t *testing.T) {
	for _, x := range []struct {
		name     string
		o        Options
		in, want string
	}{
		{"nothing is on in the zero value", Options{}, "ﻻ سُجِّل عـــام ٣٠ “a” +9", "ﻻ سُجِّل عـــام ٣٠ “a” +9"},
		{"fold", Options{FoldPresentation: true}, "اﻹشعارات", "الإشعارات"},
		{"harakat", Options{StripHarakat: true}, "سُجِّل عـام", "سجل عـام"},
		{"tatweel", Options{StripTatweel: true}, "سُجِّل عـام", "سُجِّل عام"},
		{"what a fold brings is stripped too", Options{FoldPresentation: true, StripHarakat: true, StripTatweel: true}, "بﹷت", "بت"},
		{"digits before punctuation, and then it is GSM", Options{Digits: European, GSMPunctuation: true}, "“٣٠” days", `"30" days`},
		{"marks around the digits as they stand in the end", Options{Digits: European, Isolate: true}, "رقم ****٩٣٥٥.", "رقم \u200e****9355\u200e."},
		{"Arabic-Indic digits hold together without marks", Options{Digits: ArabicIndic, Isolate: true}, "قبل 30 يوما", "قبل ٣٠ يوما"},
	} {
		t.Run(x.name, func(t *testing.T) {
			if got := x.o.Apply(x.in); got != x.want {
				t.Errorf("%+q\nwant %+q", got, x.want)
			}
		})
	}
}

func TestDigits(t *testing.T) {
	for _, x := range []struct {
		name                 string
		in, european, indian string // "" stands for unchanged
	}{
		{"Arabic-Indic", "خلال ٣٠ يوما", "خلال 30 يوما", ""},
		{"Eastern", "خلال ۴۵۶ يوما", "خلال 456 يوما", "خلال ٤٥٦ يوما"},
		{"European", "خلال 30 يوما", "", "خلال ٣٠ يوما"},
		{"a text without Arabic letters", "in 30 days", "", ""},
		{"a date", "حتى 12/03/2025.", "", "حتى ١٢/٠٣/٢٠٢٥."},
		{"separators between digits follow", "المبلغ ١٬٢٣٤٫٥٠ ونسبة ٥٪", "المبلغ 1,234.50 ونسبة 5٪", ""},
		{"a separator without a digit behind it", "رقم ١٬ ثم ٫٥", "رقم 1٬ ثم ٫5", ""},
		{"a plate", "لوحة ABC123", "", ""},
		{"a plate with a space is a number", "لوحة ABJ 1234", "", "لوحة ABJ ١٢٣٤"},
		{"a document", "رقم AB-12345/X، شكرا", "", ""},
		{"a Latin word beside Arabic digits is read, so it may change", "رقم ABC١٢", "رقم ABC12", ""},
		{"a link", "رابط https://moi.gov.sa/٣/4 و٣ و4", "رابط https://moi.gov.sa/٣/4 و3 و4", "رابط https://moi.gov.sa/٣/4 و٣ و٤"},
		{"a link without scheme", "رابط WWW.أبشر.سا/٣/4", "", ""},
		{"a link in brackets", "رابط (http://1.2.3.4/5)", "", ""},
		{"a mail address", "بريد a1@b2.sa", "", ""},
		{"a telephone number", "اتصل +966500000000 خلال 30 يوما", "", "اتصل +966500000000 خلال ٣٠ يوما"},
		{"its groups", "اتصل (+966 50 000 0000). قبل 30", "", "اتصل (+966 50 000 0000). قبل ٣٠"},
		{"a service number", "اطلب *989# أو 989", "", "اطلب *989# أو ٩٨٩"},
		{"a masked document", "رقم ****9355", "", "رقم ****٩٣٥٥"},
		{"a new line ends the groups of a number", "+966 50\n30 ي", "", "+966 50\n٣٠ ي"},
	} {
		t.Run(x.name, func(t *testing.T) {
			if x.european == "" {
				x.european = x.in
			}
			if x.indian == "" {
				x.indian = x.in
			}
			if got := ConvertDigits(x.in, European); got != x.european {
				t.Errorf("european: %q\nwant %q", got, x.european)
			}
			if got := ConvertDigits(x.in, ArabicIndic); got != x.indian {
				t.Errorf("arabic-indic: %q\nwant %q", got, x.indian)
			}
			if got := ConvertDigits(x.in, AsWritten); got != x.in {
				t.Errorf("as written: %q", got)
			}
		})
	}
}

func TestPunctuationGoesToItsGSMFormOnlyWhereThatSavesUCS2(t *testing.T) {
	for _, x := range []struct{ name, in, want string }{
		{"quotes", "It’s “fine” «so» ‹a›", `It's "fine" "so" <a>`},
		{"dashes", "a–b—c‑d−e", "a-b-c-d-e"},
		{"ellipsis", "wait…", "wait..."},
		{"spaces", "a\u00a0b\u202fc", "a b c"},
		{"invisible", "a\u200bb\u00ad\u200ec\ufeff", "abc"},
		{"with extension characters", "[“€”]", `["€"]`},
		{"nothing to do", "it's fine", "it's fine"},
		{"Arabic stays", "خدمة “أ” – ب", "خدمة “أ” – ب"},
		{"one other character, and all stays", "It’s ç", "It’s ç"},
		{"an emoji, and all stays", "It’s 👍", "It’s 👍"},
		{"not where it would take more parts", strings.Repeat("…", 70), strings.Repeat("…", 70)},
		{"where it takes as many", strings.Repeat("…", 53), strings.Repeat("...", 53)},
	} {
		t.Run(x.name, func(t *testing.T) {
			if got := GSMPunctuation(x.in); got != x.want {
				t.Errorf("%q, want %q", got, x.want)
			}
		})
	}
}

func TestEveryGSMFormIsGSM(t *testing.T) {
	for r, form := range gsmForm {
		if gsmOf(r) != noGSM {
			t.Errorf("%U is in the alphabet itself", r)
		}
		if Choose(form) != GSM7 {
			t.Errorf("%U becomes %q", r, form)
		}
	}
}

// isolated are texts with | where a mark is expected.
var isolated = []struct{ name, want string }{
	{"no Arabic", "Mr. Smith +966"},
	{"a Latin word", "عزيزي |Smith| أهلا"},
	{"several are one run", "جهاز |iPhone 15 Pro Max| بنظام |iOS 18.1| ومتصفح |Safari|، شكرا"},
	{"a telephone number", "اتصل |+966500000000| الآن"},
	{"in groups", "اتصل |+966 50 000 0000| الآن"},
	{"a masked document", "رقم |****9355| بتاريخ"},
	{"a date that holds together", "بتاريخ 12/03/2025 14:05 هنا"},
	{"a date that does not", "بتاريخ |2026-01-31| هنا"},
	{"an amount", "المبلغ 1,250.00 ر.س (|SAR 1,250.00|) مدفوع"},
	{"a service number", "اطلب |*989#|."},
	{"a sign of percent", "نسبة |50%|."},
	{"a plain number", "خلال 30 يوما"},
	{"Arabic-Indic digits", "خلال ٣٠ يوما"},
	{"a language with signs at its end", "لغة |C++| هنا"},
	{"brackets within", "جهاز |Max (256GB)| هنا"},
	{"brackets around", "جهاز (|Max|) هنا"},
	{"brackets that close outside", "(جهاز |Max|) هنا"},
	{"a hyphen of the sentence", "غير-|iOS| هنا"},
	{"a negative number", "رصيد |-5| ريال"},
	{"a number before a Latin word", "باقة |30 GB| شهريا"},
	{"a line end parts runs", "أ |A|\n|B| ب"},
	{"a link", "التفاصيل: |https://absher.sa/a?b=1&c=2/|"},
	{"at both ends", "|OTP: 482913| رمز |X|"},
	{"a combining mark stays on its letter", "أ |cafe\u0301| ب"},
	{"an emoji is not in a run", "أ |A| 👍 ب"},
}

func TestLatinRunsOfAnArabicTextStandBetweenMarks(t *testing.T) {
	for _, x := range isolated {
		t.Run(x.name, func(t *testing.T) {
			in, want := strings.ReplaceAll(x.want, "|", ""), strings.ReplaceAll(x.want, "|", lrm)
			if got := Isolate(in); got != want {
				t.Fatalf("%s\nwant %s", strings.ReplaceAll(got, lrm, "|"), x.want)
			}
			if got := Isolate(want); got != want {
				t.Errorf("once more: %s", strings.ReplaceAll(got, lrm, "|"))
			}
			wantWhole(t, want)
		})
	}
	for _, x := range []struct{ name, in, want string }{
		{"a missing mark is added", "أ \u200eABC ب", "أ \u200eABC\u200e ب"},
		{"what is isolated already stays", "أ \u2066ABC +1\u2069 ب \u202aC++\u202c ج", "أ \u2066ABC +1\u2069 ب \u202aC++\u202c ج"},
		{"an isolate ends with its line", "أ \u2066ABC\nDEF ب", "أ \u2066ABC\n\u200eDEF\u200e ب"},
	} {
		t.Run(x.name, func(t *testing.T) {
			if got := Isolate(x.in); got != x.want {
				t.Errorf("%+q, want %+q", got, x.want)
			}
		})
	}
}

// wantWhole asks the Unicode bidirectional algorithm whether each run of s is laid out in
// one piece, from the left, in a paragraph that runs from the right.
func wantWhole(t *testing.T, s string) {
	t.Helper()
	if !hasRightToLeft(s) {
		return
	}
	for _, line := range strings.Split(s, "\n") {
		var p bidi.Paragraph
		if _, err := p.SetString(line, bidi.DefaultDirection(bidi.RightToLeft)); err != nil {
			t.Fatal(err)
		}
		order, err := p.Order()
		if err != nil {
			t.Fatal(err)
		}
		for sc := (runScanner{s: line}); sc.next(); {
			run := line[sc.start:sc.end]
			whole := false
			for i := range order.NumRuns() {
				r := order.Run(i)
				whole = whole || r.Direction() == bidi.LeftToRight && strings.Contains(r.String(), run)
			}
			if !whole {
				t.Errorf("%+q: %+q is not laid out in one piece", line, run)
			}
		}
	}
}

func TestWithoutMarksTheyWouldFallToPieces(t *testing.T) {
	// The check above must be able to fail: the same texts without their marks.
	for _, in := range []string{"رقم ****9355 بتاريخ", "اتصل +966 50 000 هنا", "بتاريخ 2026-01-31 هنا", "لغة C++ هنا"} {
		var p bidi.Paragraph
		if _, err := p.SetString(in, bidi.DefaultDirection(bidi.RightToLeft)); err != nil {
			t.Fatal(err)
		}
		order, err := p.Order()
		if err != nil {
			t.Fatal(err)
		}
		sc := runScanner{s: in}
		sc.next()
		for i := range order.NumRuns() {
			if r := order.Run(i); r.Direction() == bidi.LeftToRight && strings.Contains(r.String(), in[sc.start:sc.end]) {
				t.Errorf("%q holds together without marks: Isolate costs units for nothing", in)
			}
		}
	}
}

func TestFoldingAloneIsWhatTheCorpusSays(t *testing.T) {
	fold := Options{FoldPresentation: true}
	for _, r := range corpus(t) {
		want := r.Text
		if r.Folded != nil {
			want = *r.Folded
		}
		if got := fold.Apply(r.Text); got != want {
			t.Errorf("%s: %q, want %q", r.ID, got, want)
		}
		if octets, err := Encode(nil, r.Text, UCS2); err == nil {
			if NeedsFold(octets) != fold.MayChange(octets, UCS2) || r.Folded != nil && !NeedsFold(octets) {
				t.Errorf("%s: NeedsFold = %t", r.ID, NeedsFold(octets))
			}
			if NeedsFold(octets) && r.Folded == nil && !strings.ContainsAny(r.Text, "﷽﴾﴿") {
				t.Errorf("%s: NeedsFold, and nothing is folded", r.ID)
			}
		}
	}
}

func TestTextsOfTheCorpusKeepWhatTheOptionsDoNotName(t *testing.T) {
	for _, r := range corpus(t) {
		if len(r.Text) > 1200 { // the same characters over and over, to fill parts
			continue
		}
		checkOptions(t, r.Text)
		if t.Failed() {
			t.Fatal(r.ID)
		}
		// The bidi package is of an older Unicode than some texts.
		if !strings.ContainsFunc(r.Text, embedding) {
			wantWhole(t, Isolate(r.Text))
		}
	}
}

func embedding(r rune) bool { return r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069 }

// checkOptions holds every combination of options to its promises.
func checkOptions(t *testing.T, s string) {
	t.Helper()
	letters := func(s string) string {
		return strings.Map(func(r rune) rune {
			if unicode.IsLetter(r) && r != tatweel && !presentation(r) {
				return r
			}
			return -1
		}, s)
	}
	for n := range 96 {
		o := Options{n&1 != 0, n&2 != 0, n&4 != 0, Digits(n / 32), n&8 != 0, n&16 != 0}
		got := o.Apply(s)
		if !utf8.ValidString(got) {
			t.Fatalf("%+v: %+q is not UTF-8", o, got)
		}
		if again := o.Apply(got); again != got {
			t.Fatalf("%+v: %+q becomes %+q,\nthen %+q", o, s, got, again)
		}
		if !o.FoldPresentation && letters(got) != letters(s) {
			t.Fatalf("%+v: %+q has not the letters of %+q", o, got, s)
		}
		if octets, err := Encode(nil, s, UCS2); err == nil && got != s && !o.MayChange(octets, UCS2) {
			t.Fatalf("%+v: MayChange denies that %+q becomes %+q", o, s, got)
		}
		if o.FoldPresentation || o.Isolate || o.Digits == ArabicIndic {
			continue
		}
		e, was := Choose(got), Choose(s)
		if was == GSM7 && e != GSM7 || was == e && Units(got, e) > Units(s, was) {
			t.Fatalf("%+v: %+q has %d units of %v, was %d of %v", o, got, Units(got, e), e, Units(s, was), was)
		}
	}
}

func FuzzOptions(f *testing.F) {
	for _, x := range isolated {
		f.Add(strings.ReplaceAll(x.want, "|", ""))
	}
	f.Add("ﻻ سُجِّل عـــام ٣٠ “a” +9 ۴ https://a.sa/٣")
	f.Add("(+966 50 000 0000). 30 *989# ABC123 ١٬٢٣٤٫٥٠ ي")
	f.Add("\u200eA\u2066B\u2069 ي \u202eC+1\n-5 /a")
	f.Fuzz(func(t *testing.T, s string) {
		if !utf8.ValidString(s) {
			for n := range 96 { // no promise but not to panic
				Options{n&1 != 0, n&2 != 0, n&4 != 0, Digits(n / 32), n&8 != 0, n&16 != 0}.Apply(s)
			}
			if Savings(s, UDH8) != nil {
				t.Fatal("savings of broken UTF-8")
			}
			return
		}
		checkOptions(t, s)
	})
}

func TestSavingsNameEveryOption(t *testing.T) {
	s := strings.Repeat("تنتهي صلاحية هويتكم", 3) + " سُجِّلَتْ عـــام ٣٠"
	got := Savings(s, UDH8)
	want := []Saving{
		{"none", "ucs2", 77, 2}, {"fold", "ucs2", 77, 2}, {"harakat strip", "ucs2", 72, 2},
		{"tatweel strip", "ucs2", 74, 2}, {"digits european", "ucs2", 77, 2}, {"digits arabic-indic", "ucs2", 77, 2},
		{"punctuation gsm", "ucs2", 77, 2}, {"isolate", "ucs2", 77, 2}, {"all", "ucs2", 69, 1},
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v\nwant %v", got, want)
	}
	got = Savings(strings.Repeat("It’s due. ", 12), UDH8)
	if got[0] != (Saving{"none", "ucs2", 120, 2}) || got[6] != (Saving{"punctuation gsm", "gsm7", 120, 1}) {
		t.Errorf("%v", got)
	}
	if got = Savings(strings.Repeat("م", 256*67), UDH8); got[0].Parts != 0 {
		t.Errorf("%v: more than 255 parts", got[0])
	}
}

func TestDigitNamesAreReadBack(t *testing.T) {
	for _, d := range []Digits{AsWritten, European, ArabicIndic} {
		if got, err := ParseDigits(d.String()); got != d || err != nil {
			t.Errorf("%v: %v, %v", d, got, err)
		}
	}
	if d, err := ParseDigits("keep"); d != AsWritten || err != nil {
		t.Errorf("keep: %v, %v", d, err)
	}
	if _, err := ParseDigits("roman"); err == nil {
		t.Error("roman digits were taken")
	}
}

func TestOptionsThatDoNothingDoNotAllocate(t *testing.T) {
	plain := "تنتهي صلاحية هويتكم الوطنية قريبا. نأمل تجديدها."
	all := Options{true, true, true, European, true, true}
	octets, _ := Encode(nil, plain, UCS2)
	for name, f := range map[string]func(){
		"Apply":           func() { sink = all.Apply(plain) },
		"Apply, a BOM":    func() { sink = Options{FoldPresentation: true}.Apply("\ufeffمرحبا") },
		"Apply, Latin":    func() { sink = all.Apply("Your ID expires in 30 days") },
		"to Arabic-Indic": func() { sink = Options{Digits: ArabicIndic}.Apply("Your ID expires in 30 days") },
		"NeedsFold":       func() { NeedsFold(octets) },
		"MayChange":       func() { Options{true, true, true, 0, false, false}.MayChange(octets, UCS2) },
	} {
		if n := testing.AllocsPerRun(100, f); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
	if all.Apply(plain) != plain {
		t.Error("it was changed")
	}
}

func BenchmarkNeedsFold(b *testing.B) {
	octets, _ := Encode(nil, arabic55, UCS2)
	b.ReportAllocs()
	for b.Loop() {
		NeedsFold(octets)
	}
}

func BenchmarkOptions(b *testing.B) {
	for name, o := range map[string]Options{"fold": {FoldPresentation: true}, "all": {true, true, true, European, true, true}} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				sink = o.Apply(arabic55)
			}
		})
	}
}
