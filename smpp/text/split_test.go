package text

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/rivo/uniseg"
)

// slowSplit cuts by the rules alone: the clusters of the whole text, one after another.
// It knows no plain characters and no safe places to start from, which are what Split
// could be wrong about.
func slowSplit(s string, e Encoding, st Style) []string {
	single, room := Limits(e, st)
	if Units(s, e) <= single {
		return []string{s}
	}
	var parts []string
	part, left := "", room
	flush := func() { parts, part, left = append(parts, part), "", room }
	g := uniseg.NewGraphemes(s)
	for g.Next() {
		cluster := g.Str()
		n := Units(cluster, e)
		if n > left && part != "" {
			flush()
		}
		if n <= room {
			part, left = part+cluster, left-n
			continue
		}
		for _, r := range cluster {
			if u := Units(string(r), e); u > left {
				flush()
			}
			part, left = part+string(r), left-Units(string(r), e)
		}
	}
	return append(parts, part)
}

func TestPlainCharactersHaveABoundaryBetweenThem(t *testing.T) {
	n := 0
	for r := rune(0); r <= unicode.MaxRune; r++ {
		if !plain(r) {
			continue
		}
		n++
		for _, other := range []string{"a", "ل", " "} {
			s := other + string(r) + other
			if uniseg.GraphemeClusterCount(s) != 3 {
				t.Errorf("%U is not plain: %q", r, s)
			}
		}
	}
	if n < 500 {
		t.Errorf("only %d plain characters", n)
	}
	for _, r := range "\r\n\x00ًٰ\u200d\u200c\u0600\u06dd\u061c👍🇸" {
		if plain(r) {
			t.Errorf("%U must be asked about", r)
		}
	}
}

func TestSplitSpecialCases(t *testing.T) {
	arabic := strings.Repeat("ا", 66)
	marks := strings.Repeat("\u064e", 190)
	for _, x := range []struct {
		name string
		s    string
		e    Encoding
		st   Style
		want []string
	}{
		{"the empty text is one empty part", "", UCS2, UDH8, []string{""}},
		{"a mark goes with its letter", arabic + "بَ" + "تثج", UCS2, UDH8, []string{arabic, "بَتثج"}},
		{"an oversize cluster starts its own part", "xx" + "ب" + marks + "yy", UCS2, UDH8,
			[]string{"xx", "ب" + marks[:132], marks[132:266], marks[266:] + "yy"}},
		{"an escape pair is not cut", strings.Repeat("a", 152) + "€" + strings.Repeat("b", 10), GSM7, UDH8,
			[]string{strings.Repeat("a", 152), "€" + strings.Repeat("b", 10)}},
		{"CR LF is not cut", strings.Repeat("a", 152) + "\r\n" + strings.Repeat("b", 10), GSM7, UDH8,
			[]string{strings.Repeat("a", 152), "\r\n" + strings.Repeat("b", 10)}},
		{"Latin-1", strings.Repeat("é", 141), Latin1, UDH8, []string{strings.Repeat("é", 134), strings.Repeat("é", 7)}},
		{"octets", strings.Repeat("\xff", 141), Binary, UDH16, []string{strings.Repeat("\xff", 133), strings.Repeat("\xff", 8)}},
		{"ASCII counts what the radio needs", strings.Repeat("[", 81), ASCII, UDH8, []string{strings.Repeat("[", 76), strings.Repeat("[", 5)}},
		{"payload stays whole", strings.Repeat("ا", 5000), UCS2, Payload, []string{strings.Repeat("ا", 5000)}},
	} {
		t.Run(x.name, func(t *testing.T) {
			got, err := Split(x.s, x.e, x.st)
			if err != nil || !slices.Equal(got, x.want) {
				t.Errorf("%q, %v\nwant %q", got, err, x.want)
			}
		})
	}
}

func TestSplitRefusals(t *testing.T) {
	for _, x := range []struct {
		name string
		s    string
		e    Encoding
		st   Style
		is   func(error) bool
	}{
		{"256 parts", strings.Repeat("ا", 255*67+1), UCS2, UDH8, func(e error) bool { return errors.Is(e, ErrTooManyParts) }},
		{"256 parts of GSM", strings.Repeat("a", 255*153+1), GSM7, SAR, func(e error) bool { return errors.Is(e, ErrTooManyParts) }},
		{"beyond any payload", strings.Repeat("ا", 255*67+1), UCS2, Payload, func(e error) bool { return errors.Is(e, ErrTooManyParts) }},
		{"broken UTF-8", "a\xffb", UCS2, UDH8, func(e error) bool { return errors.Is(e, ErrBadText) }},
		{"Arabic as GSM", strings.Repeat("ا", 200), GSM7, UDH8, func(e error) bool { u := new(Unencodable); return errors.As(e, &u) }},
		{"Arabic as ASCII", strings.Repeat("ا", 200), ASCII, UDH8, func(e error) bool { u := new(Unencodable); return errors.As(e, &u) }},
		{"Arabic as Latin-1", strings.Repeat("ا", 200), Latin1, UDH8, func(e error) bool { u := new(Unencodable); return errors.As(e, &u) }},
	} {
		t.Run(x.name, func(t *testing.T) {
			got, err := SplitInto([]string{"before"}, x.s, x.e, x.st)
			if !x.is(err) || len(got) != 1 {
				t.Errorf("%d parts, %v", len(got), err)
			}
		})
	}
	if parts, err := Split(strings.Repeat("ا", 255*67), UCS2, UDH8); len(parts) != 255 || err != nil {
		t.Errorf("255 full parts: %d, %v", len(parts), err)
	}
	if _, err := SplitOctets(nil, make([]byte, 255*134+1), Binary, UDH8); !errors.Is(err, ErrTooManyParts) {
		t.Errorf("256 parts of octets: %v", err)
	}
	if _, err := SplitOctets(nil, make([]byte, 142), UCS2, UDH8); !errors.Is(err, ErrBadText) {
		t.Errorf("NULs in UCS-2: %v", err)
	}
	if got, err := SplitOctets(nil, make([]byte, 5000), Binary, Payload); len(got) != 1 || err != nil {
		t.Errorf("binary payload: %d parts, %v", len(got), err)
	}
	if _, err := SplitOctets(nil, make([]byte, 40000), Binary, Payload); !errors.Is(err, ErrTooManyParts) {
		t.Errorf("binary beyond any payload: %v", err)
	}
}

func TestOctetsWithAByteOrderMarkAreCutWhole(t *testing.T) {
	octets, _ := Encode(nil, "\ufeff"+strings.Repeat("ا", 100), UCS2)
	parts, err := SplitOctets(nil, octets, UCS2, UDH8)
	if err != nil || len(parts) != 2 || len(parts[0]) != 134 || len(parts[0])+len(parts[1]) != len(octets) {
		t.Errorf("%d parts, %v", len(parts), err)
	}
}

func TestCutAfterASpaceWhereAsked(t *testing.T) {
	words := strings.Repeat("كلمة ", 30) // 150 units, a space every fifth
	got, err := Splitter{Encoding: UCS2, Style: UDH8, PreferSpace: 10}.Append(nil, words)
	if err != nil || strings.Join(got, "") != words {
		t.Fatalf("%q, %v", got, err)
	}
	for i, p := range got[:len(got)-1] {
		if !strings.HasSuffix(p, " ") || Units(p, UCS2) != 65 {
			t.Errorf("part %d: %q, %d units", i, p, Units(p, UCS2))
		}
	}
	// No space near: as without the option.
	solid := strings.Repeat("ا", 100)
	got, _ = Splitter{Encoding: UCS2, Style: UDH8, PreferSpace: 10}.Append(nil, solid)
	if Units(got[0], UCS2) != 67 {
		t.Errorf("first part has %d units", Units(got[0], UCS2))
	}
	// A space that carries a mark is no place to cut.
	marked := strings.Repeat("ا", 64) + " \u064e" + strings.Repeat("ب", 20)
	got, _ = Splitter{Encoding: UCS2, Style: UDH8, PreferSpace: 10}.Append(nil, marked)
	if !strings.HasPrefix(got[1], "ب") {
		t.Errorf("second part is %q", got[1])
	}
}

// Texts of what Split must take care with, at random but always the same ones.
func TestSplitAgreesWithTheRulesOnTextsMadeOfHardCharacters(t *testing.T) {
	alphabet := []string{
		"ا", "ب", "لله", " ", "a", "١", "ة", "é", "ـ", // plain
		"\u064e", "\u0651", "\u0670", "\u06d6", "\u06e5", "\u06de", // marks and their neighbours
		"\u0600", "\u06dd", "\u200c", "\u200d", "\u200f", "\u061c", "\u2028", "\ufe0f", "\u00ad",
		"\r", "\n", "\r\n", "\t",
		"👍", "👍🏽", "👨\u200d👩\u200d👧", "🇸", "🇸🇦", "1\ufe0f\u20e3", "©", "☪\ufe0f", "🏴\U000E0067\U000E007F",
		"각", "\u1100", "\u1161", "\u11a8", "กำ", "क\u094dष", "𝐀", "é",
	}
	rnd := rand.New(rand.NewPCG(1, 2))
	several := 0
	for range 3000 {
		var b strings.Builder
		few := 1 + rnd.IntN(len(alphabet)) // texts of few kinds make long runs of each
		from := rnd.IntN(len(alphabet))
		for n := 20 + rnd.IntN(200); n > 0; n-- {
			piece := alphabet[(from+rnd.IntN(few))%len(alphabet)]
			for k := 1 + rnd.IntN(3)*rnd.IntN(60)/40; k > 0; k-- {
				b.WriteString(piece)
			}
		}
		s := b.String()
		for _, st := range []Style{UDH8, UDH16} {
			got, err := Split(s, UCS2, st)
			if want := slowSplit(s, UCS2, st); err != nil || !slices.Equal(got, want) {
				t.Fatalf("%v %q:\n%q, %v\nwant %q", st, s, got, err, want)
			}
			checkParts(t, s, UCS2, st, got)
			if len(got) > 2 {
				several++
			}
		}
	}
	if several < 1000 {
		t.Errorf("only %d texts of more than two parts", several)
	}
}
