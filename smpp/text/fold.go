package text

import (
	"strings"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// FoldPresentation replaces each character of the Arabic presentation forms
// (U+FB50-FDFF, U+FE70-FEFF) by its NFKC form and touches no other, so that what an old
// system wrote as drawn glyphs becomes letters again. It returns s itself where there
// is none. A ligature may become several characters, hence units.
func FoldPresentation(s string) string {
	at := indexPresentation(s)
	if at < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for at >= 0 {
		b.WriteString(s[:at])
		_, n := utf8.DecodeRuneInString(s[at:])
		b.WriteString(norm.NFKC.String(s[at : at+n]))
		s = s[at+n:]
		at = indexPresentation(s)
	}
	b.WriteString(s)
	return b.String()
}

// indexPresentation is the offset of the first presentation form, or -1. All of them
// begin with EF AD..B7 or EF B9..BB in UTF-8.
func indexPresentation(s string) int {
	for from := 0; ; {
		i := strings.IndexByte(s[from:], 0xEF)
		if i < 0 {
			return -1
		}
		from += i
		if r, _ := utf8.DecodeRuneInString(s[from:]); presentation(r) {
			return from
		}
		from++
	}
}

// presentation says whether r is of the Arabic presentation forms. Their second block ends
// with U+FEFF, which is no form and folds to itself: left out, so that a text with a byte
// order mark is not copied.
func presentation(r rune) bool { return r >= 0xFB50 && r <= 0xFDFF || r >= 0xFE70 && r <= 0xFEFC }

// isHaraka: the vowel signs and their kin, U+064B-U+065F and U+0670. The Quranic marks
// are no part of it: where they stand, a text is quoted and must stay as it is.
func isHaraka(r rune) bool { return r >= 0x064B && r <= 0x065F || r == 0x0670 }

const tatweel = 0x0640

// StripHarakat removes the vowel signs U+064B-U+065F and U+0670. They cost a unit each
// and most notices read the same without them; a passive verb may not, so it is an
// option. It returns s itself where there is none.
func StripHarakat(s string) string { return strip(s, isHaraka) }

// StripTatweel removes U+0640, which stretches a word and means nothing. It returns s
// itself where there is none.
func StripTatweel(s string) string {
	return strip(s, func(r rune) bool { return r == tatweel })
}

func strip(s string, unwanted func(rune) bool) string {
	if strings.IndexFunc(s, unwanted) < 0 {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for i := 0; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		if !unwanted(r) {
			b.WriteString(s[i : i+n]) // as it was: a broken octet is not repaired here
		}
		i += n
	}
	return b.String()
}
