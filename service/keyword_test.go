package service

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

var testWords = Words{
	Enrol:    []string{"اشتراك", "تسجيل", "START", "SUBSCRIBE", "s'abonner"},
	Withdraw: []string{"إلغاء", "الغاء", "ايقاف", "STOP", "UNSUBSCRIBE", "arrêt", "СТОП"},
	All:      []string{"الكل", "جميع الخدمات", "ALL"},
	Help:     []string{"مساعدة", "HELP", "?help", "मदद"},
}

func known(code string) bool {
	return slices.Contains([]string{"IDREN", "PPEXP", "DLEXP", "VREXP", "TV", "4G", "HELLO"}, code)
}

func TestKeywordsAreReadAsPeopleWriteThem(t *testing.T) {
	type command = Command
	for _, x := range []struct {
		name, text string
		want       command
	}{
		{"English", "STOP IDREN", command{VerbWithdraw, []string{"IDREN"}, "STOP"}},
		{"lower case", "stop idren", command{VerbWithdraw, []string{"IDREN"}, "STOP"}},
		{"mixed case", "Start IdRen", command{VerbEnrol, []string{"IDREN"}, "START"}},
		{"Arabic", "اشتراك IDREN", command{VerbEnrol, []string{"IDREN"}, "اشتراك"}},
		{"withdrawal in Arabic", "إلغاء IDREN", command{VerbWithdraw, []string{"IDREN"}, "إلغاء"}},
		{"without hamza", "الغاء IDREN", command{VerbWithdraw, []string{"IDREN"}, "إلغاء"}},
		{"hamza above", "ألغاء IDREN", command{VerbWithdraw, []string{"IDREN"}, "إلغاء"}},
		{"madda", "آلغاء IDREN", command{VerbWithdraw, []string{"IDREN"}, "إلغاء"}},
		{"alef wasla", "ٱلغاء IDREN", command{VerbWithdraw, []string{"IDREN"}, "إلغاء"}},
		{"without the last hamza", "الغا IDREN", command{VerbWithdraw, []string{"IDREN"}, "إلغاء"}},
		{"tatweel", "إلغـــاء IDREN", command{VerbWithdraw, []string{"IDREN"}, "إلغاء"}},
		{"harakat", "إِلْغَاءٌ IDREN", command{VerbWithdraw, []string{"IDREN"}, "إلغاء"}},
		{"presentation forms", "ﺇﻟﻐﺎﺀ IDREN", command{VerbWithdraw, []string{"IDREN"}, "إلغاء"}},
		{"heh for teh marbuta", "مساعده", command{VerbHelp, nil, "مساعدة"}},
		{"yeh without dots", "تسجىل IDREN", command{VerbEnrol, []string{"IDREN"}, "تسجيل"}},
		{"yeh with hamza", "تسجئل IDREN", command{VerbEnrol, []string{"IDREN"}, "تسجيل"}},
		{"Persian kaf and yeh", "تسجیل IDREN", command{VerbEnrol, []string{"IDREN"}, "تسجيل"}},
		{"Persian kaf", "اشتراک IDREN", command{VerbEnrol, []string{"IDREN"}, "اشتراك"}},
		{"full width", "ＳＴＯＰ　ＩＤＲＥＮ", command{VerbWithdraw, []string{"IDREN"}, "STOP"}},
		{"accent left out", "ARRET IDREN", command{VerbWithdraw, []string{"IDREN"}, "arrêt"}},
		{"accent decomposed", "arre\u0302t idren", command{VerbWithdraw, []string{"IDREN"}, "arrêt"}},
		{"an apostrophe in the keyword", "S’abonner IDREN", command{VerbEnrol, []string{"IDREN"}, "s'abonner"}},
		{"a third alphabet", "стоп IDREN", command{VerbWithdraw, []string{"IDREN"}, "СТОП"}},
		{"a fourth", "मदद", command{VerbHelp, nil, "मदद"}},

		{"spaces around", "  STOP \t IDREN \r\n", command{VerbWithdraw, []string{"IDREN"}, "STOP"}},
		{"no-break spaces", "\u00a0STOP\u00a0IDREN\u202f", command{VerbWithdraw, []string{"IDREN"}, "STOP"}},
		{"direction marks", "\u200fإلغاء \u200eIDREN\u200e", command{VerbWithdraw, []string{"IDREN"}, "إلغاء"}},
		{"isolates", "\u2067إلغاء\u2069 \u2066IDREN\u2069", command{VerbWithdraw, []string{"IDREN"}, "إلغاء"}},
		{"a byte order mark", "\ufeffSTOP IDREN", command{VerbWithdraw, []string{"IDREN"}, "STOP"}},
		{"quotes", `"STOP IDREN"`, command{VerbWithdraw, []string{"IDREN"}, "STOP"}},
		{"typographic quotes", "«إلغاء IDREN»", command{VerbWithdraw, []string{"IDREN"}, "إلغاء"}},
		{"a point", "Stop IDREN.", command{VerbWithdraw, []string{"IDREN"}, "STOP"}},
		{"Arabic punctuation", "إلغاء: IDREN، PPEXP؛", command{VerbWithdraw, []string{"IDREN", "PPEXP"}, "إلغاء"}},
		{"a hyphen", "stop-idren", command{VerbWithdraw, []string{"IDREN"}, "STOP"}},
		{"brackets", "STOP <IDREN>", command{VerbWithdraw, []string{"IDREN"}, "STOP"}},
		{"an emoji", "STOP IDREN 🙏", command{VerbWithdraw, []string{"IDREN"}, "STOP"}},
		{"the keyword spelled out", "S T O P IDREN", command{VerbWithdraw, []string{"IDREN"}, "STOP"}},
		{"the keyword torn", "الغ اء IDREN", command{VerbWithdraw, []string{"IDREN"}, "إلغاء"}},
		{"on two lines", "STOP\nIDREN", command{VerbWithdraw, []string{"IDREN"}, "STOP"}},
		{"the keyword twice", "STOP STOP IDREN", command{VerbWithdraw, []string{"IDREN"}, "STOP"}},
		{"in two languages", "إلغاء STOP IDREN", command{VerbWithdraw, []string{"IDREN"}, "إلغاء"}},

		{"several codes", "START IDREN PPEXP,DLEXP;VREXP", command{VerbEnrol, []string{"IDREN", "PPEXP", "DLEXP", "VREXP"}, "START"}},
		{"a code twice", "START IDREN idren", command{VerbEnrol, []string{"IDREN"}, "START"}},
		{"a code spelled out", "STOP I D R E N", command{VerbWithdraw, []string{"IDREN"}, "STOP"}},
		{"a code torn", "STOP ID REN", command{VerbWithdraw, []string{"IDREN"}, "STOP"}},
		{"a code torn by hyphens, and another", "STOP ID-REN TV", command{VerbWithdraw, []string{"IDREN", "TV"}, "STOP"}},
		{"Arabic digits in a code", "STOP ٤G", command{VerbWithdraw, []string{"4G"}, "STOP"}},
		{"Eastern digits in a code", "STOP ۴ g", command{VerbWithdraw, []string{"4G"}, "STOP"}},
		{"glued across alphabets", "اشتراكIDREN", command{VerbEnrol, []string{"IDREN"}, "اشتراك"}},
		{"glued to a known code", "STOPIDREN ppexp", command{VerbWithdraw, []string{"IDREN", "PPEXP"}, "STOP"}},
		{"glued to no known code", "STOPPING", command{}},
		{"a word that begins like a keyword", "STARTED", command{}},
		{"one unknown code: the answer can name it", "STOP XYZ", command{VerbWithdraw, []string{"XYZ"}, "STOP"}},
		{"an unknown code beside a known one", "STOP IDREN XYZ", command{VerbWithdraw, []string{"IDREN", "XYZ"}, "STOP"}},

		{"bare STOP", "STOP", command{VerbWithdrawAll, nil, "STOP"}},
		{"bare stop with a mark", "stop!!!", command{VerbWithdrawAll, nil, "STOP"}},
		{"bare in Arabic", "إلغاء", command{VerbWithdrawAll, nil, "إلغاء"}},
		{"STOP three times", "stop stop stop", command{VerbWithdrawAll, nil, "STOP"}},
		{"STOP ALL", "STOP ALL", command{VerbWithdrawAll, nil, "STOP"}},
		{"STOPALL", "StopAll", command{VerbWithdrawAll, nil, "STOP"}},
		{"all in Arabic", "الغاء الكل", command{VerbWithdrawAll, nil, "إلغاء"}},
		{"glued in Arabic", "إلغاءالكل", command{VerbWithdrawAll, nil, "إلغاء"}},
		{"two words for all", "إلغاء جميع الخدمات", command{VerbWithdrawAll, nil, "إلغاء"}},
		{"languages mixed", "STOP الكل", command{VerbWithdrawAll, nil, "STOP"}},
		{"STOP, STOP ALL", "STOP, STOP ALL", command{VerbWithdrawAll, nil, "STOP"}},
		{"all, or these?", "STOP ALL IDREN", command{}},

		{"help", "Help", command{VerbHelp, nil, "HELP"}},
		{"help in Arabic", "مساعدة؟", command{VerbHelp, nil, "مساعدة"}},
		{"help with a code", "help IDREN", command{VerbHelp, []string{"IDREN"}, "HELP"}},
		{"enrolment in nothing", "START", command{VerbEnrol, nil, "START"}},
		{"enrolment in all is not offered", "START ALL", command{VerbEnrol, []string{"ALL"}, "START"}},

		{"empty", "", command{}},
		{"blank", " \u200f\n", command{}},
		{"no keyword", "IDREN", command{}},
		{"the code first", "IDREN STOP", command{}},
		{"in a sentence", "please don't stop IDREN", command{}},
		{"a sentence behind it", "stop sending me these", command{}},
		{"a sentence of short words", "stop it now", command{}},
		{"a sentence in Arabic", "إلغاء الاشتراك في خدمة IDREN", command{}},
		{"negated in Arabic", "لا تلغوا IDREN", command{}},
		{"a code and a word", "STOP IDREN please", command{}},
		{"two verbs", "STOP IDREN START PPEXP", command{}},
		{"help or stop", "HELP STOP", command{}},
		{"an all of nothing", "ALL", command{}},
		{"a part of a keyword", "STO", command{}},
		{"far too long", "STOP " + strings.Repeat("IDREN ", 400), command{}},
		{"broken UTF-8", "STOP\xff", command{VerbWithdrawAll, nil, "STOP"}},
		{"NUL", "STOP\x00IDREN", command{VerbWithdraw, []string{"IDREN"}, "STOP"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			words := testWords
			words.Known = known
			k, err := NewKeywords(words)
			if err != nil {
				t.Fatal(err)
			}
			got := k.Parse(x.text)
			if got.Verb != x.want.Verb || !slices.Equal(got.Codes, x.want.Codes) || got.Word != x.want.Word {
				t.Errorf("%+q: %v %q %q, want %v %q %q", x.text, got.Verb, got.Codes, got.Word, x.want.Verb, x.want.Codes, x.want.Word)
			}
		})
	}
}

func TestWithoutACatalogueWhatLooksLikeACodeIsOne(t *testing.T) {
	k, err := NewKeywords(testWords)
	if err != nil {
		t.Fatal(err)
	}
	for text, want := range map[string][]string{
		"STOP IDREN":      {"IDREN"},
		"STOP ID REN":     {"ID", "REN"},
		"STOP I D R E N":  {"IDREN"},
		"STOP it now":     {"IT", "NOW"},
		"اشتراكIDREN":     {"IDREN"},
		"STOPIDREN":       nil,
		"STOP A":          nil,
		"STOP ABCDEF":     nil,
		"STOP A B C D EF": {"ABCD", "EF"},
	} {
		if got := k.Parse(text); !slices.Equal(got.Codes, want) || got.Verb == VerbUnclear != (want == nil) {
			t.Errorf("%q: %+v, want %q", text, got, want)
		}
	}
}

func TestKeywordsThatMeanTwoThingsAreRefused(t *testing.T) {
	for _, x := range []struct {
		name  string
		words Words
		want  string
	}{
		{"one word, two verbs", Words{Enrol: []string{"GO"}, Withdraw: []string{"go"}}, `keyword "go" means withdraw and, as "GO", enrol`},
		{"the same but for the hamza", Words{Enrol: []string{"إلغاء"}, Help: []string{"الغا"}}, `keyword "الغا" means help and, as "إلغاء", enrol`},
		{"a word and a word with all", Words{Help: []string{"STOPALL"}, Withdraw: []string{"STOP"}, All: []string{"ALL"}}, `keyword "STOP ALL" means withdraw_all and, as "STOPALL", help`},
		{"nothing to write", Words{Help: []string{"?"}}, `keyword "?" has no letter or digit`},
		{"nothing to write for all", Words{All: []string{""}}, `keyword "" has no letter or digit`},
	} {
		t.Run(x.name, func(t *testing.T) {
			if _, err := NewKeywords(x.words); err == nil || err.Error() != x.want {
				t.Errorf("%v, want %s", err, x.want)
			}
		})
	}
	if _, err := NewKeywords(Words{Withdraw: []string{"إلغاء", "الغاء", "STOP", "stop"}}); err != nil {
		t.Errorf("spellings of one word: %v", err)
	}
}

// FuzzKeywords: nothing panics; codes look like codes and are told once; what was
// understood is understood again when it is written plainly.
func FuzzKeywords(f *testing.F) {
	for _, s := range []string{"STOP IDREN", "إِلْغَاءٌ\u200f IDREN، ppexp", "S T O P A L L", "اشتراكIDREN", "ＨＥＬＰ", "STOP ٤G", "arre\u0302t I D", "\xff\u0301"} {
		f.Add(s, true)
		f.Add(s, false)
	}
	f.Fuzz(func(t *testing.T, s string, catalogue bool) {
		words := testWords
		if catalogue {
			words.Known = known
		}
		k, err := NewKeywords(words)
		if err != nil {
			t.Fatal(err)
		}
		c := k.Parse(s)
		if c.Verb == VerbUnclear {
			if c.Word != "" || c.Codes != nil {
				t.Fatalf("%+v", c)
			}
			return
		}
		if !utf8.ValidString(c.Word) || c.Word == "" || c.Verb == VerbWithdraw && len(c.Codes) == 0 {
			t.Fatalf("%+v", c)
		}
		for i, code := range c.Codes {
			if !codeForm(code) || slices.Contains(c.Codes[:i], code) || c.Verb == VerbWithdrawAll {
				t.Fatalf("%+v", c)
			}
		}
		plain := c.Word + " " + strings.Join(c.Codes, " ")
		if again := k.Parse(plain); again.Verb != c.Verb || again.Word != c.Word {
			t.Fatalf("%+q is %+v, but %+q is %+v", s, c, plain, again)
		}
	})
}

func BenchmarkKeywords(b *testing.B) {
	words := testWords
	words.Known = known
	k, err := NewKeywords(words)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		k.Parse("إلغاء IDREN")
	}
}
