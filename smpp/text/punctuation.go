package text

import (
	"strings"
)

// gsmForms are characters that a word processor puts in where people typed another, and
// what they typed. The last row are marks that nobody sees; in a text that is wholly
// GSM 03.38 without them there is nothing left that they could act on.
var gsmForms = [...]struct{ written, typed string }{
	{"‘’‚‛′ʼ`´‵", "'"},
	{"“”„‟″«»‶", `"`},
	{"‹", "<"},
	{"›", ">"},
	{"‐‑‒–—―−", "-"},
	{"…", "..."},
	{"⁄", "/"},
	{"\u00a0\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000", " "},
	{"\u2028\u2029", "\n"},
	{"\u00ad\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\u2066\u2067\u2068\u2069\ufeff", ""},
}

var gsmForm = func() map[rune]string {
	m := map[rune]string{}
	for _, row := range gsmForms {
		for _, r := range row.written {
			m[r] = row.typed
		}
	}
	return m
}()

// GSMPunctuation replaces typographic quotes, dashes, ellipses and spaces by what GSM
// 03.38 has for them, and drops invisible format characters, if with that alone the whole
// text is GSM 03.38 and takes no more parts than before. Otherwise s comes back as it is:
// a text that stays UCS-2 would lose its typography for nothing. So it does where there is
// nothing to replace.
func GSMPunctuation(s string) string {
	any := false
	for _, r := range s {
		if gsmOf(r) != noGSM {
			continue
		}
		if _, has := gsmForm[r]; !has {
			return s
		}
		any = true
	}
	if !any {
		return s
	}
	var b strings.Builder
	b.Grow(len(s))
	for _, r := range s {
		if gsmOf(r) != noGSM {
			b.WriteRune(r)
		} else {
			b.WriteString(gsmForm[r])
		}
	}
	plain := b.String()
	before, errBefore := Count(s, UCS2, UDH8)
	after, err := Count(plain, GSM7, UDH8)
	if err != nil || errBefore == nil && after > before { // an ellipsis becomes three septets
		return s
	}
	return plain
}
