package text

import "fmt"

// Options is what may be done to a text before it is stored. The zero value keeps it.
// Each is a choice of who owns the text: it changes what people read, or costs units.
type Options struct {
	FoldPresentation bool   // U+FB50-FDFF, U+FE70-FEFC to letters
	StripHarakat     bool   // U+064B-065F, U+0670
	StripTatweel     bool   // U+0640
	Digits           Digits // European or Arabic-Indic
	Isolate          bool   // Latin runs of an Arabic text between direction marks; costs two units a run
	GSMPunctuation   bool   // typographic quotes, dashes, ellipsis, spaces, where that alone saves UCS-2
}

// Digits is a choice of digits.
type Digits uint8

// The choices.
const (
	AsWritten   Digits = iota
	European           // 0-9
	ArabicIndic        // U+0660-0669
)

var digitNames = [...]string{AsWritten: "", European: "european", ArabicIndic: "arabic-indic"}

func (d Digits) String() string {
	if int(d) < len(digitNames) {
		return digitNames[d]
	}
	return fmt.Sprintf("digits(%d)", uint8(d))
}

// ParseDigits reads what String writes; "keep" is the empty name, as the configuration
// spells it.
func ParseDigits(name string) (Digits, error) {
	if name == "keep" {
		return AsWritten, nil
	}
	for i, n := range digitNames {
		if n == name {
			return Digits(i), nil
		}
	}
	return 0, fmt.Errorf("text: no digits %q; one of keep, european, arabic-indic", name)
}

// Apply does to s what o asks for, in this order, each step on what the one before left:
//
//  1. fold presentation forms: a folded form may bring harakat and a tatweel to strip;
//  2. strip harakat, 3. strip tatweel;
//  4. digits: European ones may be what lets the text into GSM 03.38;
//  5. punctuation: only where the whole text then is GSM 03.38;
//  6. direction marks: last, around the digits as they will stand.
//
// What is returned for s is returned for the result too. Where nothing applies s itself
// comes back and nothing is allocated.
//
// REQUIRES: s is valid UTF-8. A broken octet is kept, but marks may be set beside it.
func (o Options) Apply(s string) string {
	if o.FoldPresentation {
		s = FoldPresentation(s)
	}
	if o.StripHarakat {
		s = StripHarakat(s)
	}
	if o.StripTatweel {
		s = StripTatweel(s)
	}
	if o.Digits != AsWritten {
		s = ConvertDigits(s, o.Digits)
	}
	if o.GSMPunctuation {
		s = GSMPunctuation(s)
	}
	if o.Isolate {
		s = Isolate(s)
	}
	return s
}

// NeedsFold says whether octets of UCS-2 hold a presentation form, so that who has octets
// need not make a string of every text to find out that there is none. A byte order mark
// is none.
func NeedsFold(octets []byte) bool {
	// 0xFB is above both halves of a surrogate pair, so pairs need no look.
	for i := 0; i+1 < len(octets); i += 2 {
		if octets[i] >= 0xFB && presentation(rune(octets[i])<<8|rune(octets[i+1])) {
			return true
		}
	}
	return false
}

// MayChange says whether Apply might change a text that stands in octets of e. False is
// certain, true is not: only then is it worth decoding. Broken octets may say either.
func (o Options) MayChange(octets []byte, e Encoding) bool {
	if o == (Options{}) || e == Binary {
		return false
	}
	if e != UCS2 {
		// These alphabets hold no Arabic, and what of GSMPunctuation's characters they
		// hold need not be in GSM 03.38: Latin-1's guillemets and ASCII's backtick are not.
		return o.GSMPunctuation && e != GSM7
	}
	if o.Digits != AsWritten || o.Isolate || o.GSMPunctuation {
		return true
	}
	for i := 0; i+1 < len(octets); i += 2 {
		switch hi := octets[i]; {
		case hi == 0x06:
			r := 0x0600 | rune(octets[i+1])
			if o.StripTatweel && r == tatweel || o.StripHarakat && isHaraka(r) {
				return true
			}
		case hi >= 0xFB:
			if o.FoldPresentation && presentation(rune(hi)<<8|rune(octets[i+1])) {
				return true
			}
		}
	}
	return false
}

// A Saving is what a text comes to with an option.
type Saving struct {
	Option   string `json:"option"`   // "none", "fold", ... as the command's flags spell it, or "all"
	Encoding string `json:"encoding"` // as Encoding.String
	Units    int    `json:"units"`
	Parts    int    `json:"parts"` // 0: more than 255
}

// savings are the rows of Savings. Isolate and Arabic-Indic digits save nothing: they
// stand here to show what they cost, and are no part of "all".
var savings = [...]struct {
	name string
	Options
}{
	{"none", Options{}},
	{"fold", Options{FoldPresentation: true}},
	{"harakat strip", Options{StripHarakat: true}},
	{"tatweel strip", Options{StripTatweel: true}},
	{"digits european", Options{Digits: European}},
	{"digits arabic-indic", Options{Digits: ArabicIndic}},
	{"punctuation gsm", Options{GSMPunctuation: true}},
	{"isolate", Options{Isolate: true}},
	{"all", Options{FoldPresentation: true, StripHarakat: true, StripTatweel: true, Digits: European, GSMPunctuation: true}},
}

// Savings says what each option alone, and all that can save together, make of s: the
// first row is s as it is. nil for broken UTF-8.
func Savings(s string, st Style) []Saving {
	if _, ok := countUCS2(s); !ok {
		return nil
	}
	rows := make([]Saving, 0, len(savings))
	for _, o := range savings {
		changed := o.Apply(s)
		e := Choose(changed)
		parts, err := Count(changed, e, st)
		if err != nil {
			parts = 0
		}
		rows = append(rows, Saving{Option: o.name, Encoding: e.String(), Units: Units(changed, e), Parts: parts})
	}
	return rows
}
