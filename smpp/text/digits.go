package text

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

// ConvertDigits writes the digits of s as d wants them. It returns s itself where nothing
// changes.
//
// European: U+0660-0669 and U+06F0-06F9 become 0-9, and U+066B and U+066C between two
// digits . and , since they mean nothing among European ones.
//
// ArabicIndic: 0-9 and U+06F0-06F9 become U+0660-0669, in a text that has Arabic letters;
// an English text would only become UCS-2. What is typed, dialled or compared with a
// document stays as it is, because keyboards, telephones and readers of plates know it
// that way: a word with a Latin letter in it (ABC123, AB-12345/X, 4G, name@moi.gov.sa), a
// number behind a plus with its groups (+966 50 000 0000), a service number (*989#).
// One-time codes cannot be told from other numbers here: their services keep their digits.
//
// Links (from a scheme:// or www. to the next white space) keep theirs under both.
func ConvertDigits(s string, d Digits) string {
	switch d {
	case European:
		if !strings.ContainsFunc(s, func(r rune) bool { return arabicDigit(r) >= 0 }) {
			return s
		}
	case ArabicIndic:
		if !strings.ContainsFunc(s, func(r rune) bool { return r >= '0' && r <= '9' || r >= 0x06F0 && r <= 0x06F9 }) || !hasRightToLeft(s) {
			return s
		}
	default:
		return s
	}
	var b strings.Builder
	b.Grow(len(s) + 16)
	for i := 0; i < len(s); {
		// A word of anything but white space, with the white space behind it.
		end := i + wordLen(s[i:])
		word := s[i:end]
		link := linkAt(word)
		if d == European {
			european(&b, word[:link])
		} else {
			arabicIndic(&b, s[:i], word[:link])
		}
		b.WriteString(word[link:])
		space := spaceLen(s[end:])
		b.WriteString(s[end : end+space])
		i = end + space
	}
	if b.String() == s {
		return s
	}
	return b.String()
}

// arabicDigit is the value of U+0660-0669 and U+06F0-06F9, else -1.
func arabicDigit(r rune) int {
	switch {
	case r >= 0x0660 && r <= 0x0669:
		return int(r - 0x0660)
	case r >= 0x06F0 && r <= 0x06F9:
		return int(r - 0x06F0)
	}
	return -1
}

func anyDigit(r rune) bool { return r >= '0' && r <= '9' || arabicDigit(r) >= 0 }

func european(b *strings.Builder, word string) {
	before := rune(0)
	for i := 0; i < len(word); {
		r, n := utf8.DecodeRuneInString(word[i:])
		switch v := arabicDigit(r); {
		case v >= 0:
			b.WriteByte(byte('0' + v))
		case (r == 0x066B || r == 0x066C) && anyDigit(before) && i+n < len(word) && anyDigit(runeAt(word, i+n)):
			if r == 0x066B {
				b.WriteByte('.')
			} else {
				b.WriteByte(',')
			}
		default:
			b.WriteString(word[i : i+n])
		}
		before = r
		i += n
	}
}

func runeAt(s string, i int) rune {
	r, _ := utf8.DecodeRuneInString(s[i:])
	return r
}

// arabicIndic writes a word that stands behind before.
func arabicIndic(b *strings.Builder, before, word string) {
	for len(word) > 0 {
		n := tokenLen(word)
		if n == 0 {
			r, n := utf8.DecodeRuneInString(word)
			if r >= 0x06F0 && r <= 0x06F9 {
				b.WriteRune(0x0660 + r - 0x06F0)
			} else {
				b.WriteString(word[:n])
			}
			word, before = word[n:], ""
			continue
		}
		token := word[:n]
		if typed(token) || dialGroup(before, token) {
			b.WriteString(token)
		} else {
			for i := range len(token) {
				if c := token[i]; c >= '0' && c <= '9' {
					b.WriteRune(0x0660 + rune(c-'0'))
				} else {
					b.WriteByte(c)
				}
			}
		}
		word, before = word[n:], ""
	}
}

// tokenLen is the octets of Latin letters, European digits and what is printed between
// them, without white space, at the start of s.
func tokenLen(s string) int {
	for i, r := range s {
		if r <= ' ' || r >= 0x7F && !leftToRight(r) {
			return i
		}
	}
	return len(s)
}

// typed says that a token is copied character by character, not read.
func typed(token string) bool {
	if strings.ContainsFunc(token, leftToRight) {
		return true
	}
	token = bare(token)
	return strings.HasPrefix(token, "+") || strings.HasPrefix(token, "*") && strings.HasSuffix(token, "#")
}

// bare is a token without the sentence's punctuation around it.
func bare(token string) string {
	return strings.TrimRight(strings.TrimLeft(token, `([{<"'`), `)]}>"'.,:;!?`)
}

// dialGroup says that token is a group of digits of a number that began with a plus.
func dialGroup(before, token string) bool {
	for {
		if !digitsOnly(bare(token)) || !strings.HasSuffix(before, " ") {
			return false
		}
		before = before[:len(before)-1]
		at := len(before)
		for at > 0 && before[at-1] > ' ' && before[at-1] < 0x7F {
			at--
		}
		token = before[at:]
		if plus := bare(token); plus != "" && plus[0] == '+' && digitsOnly(plus[1:]) {
			return true
		}
		before = before[:at]
	}
}

func digitsOnly(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// linkAt is where a link begins in a word, len(word) where there is none.
func linkAt(word string) int {
	at := len(word)
	if i := strings.Index(word, "://"); i >= 0 {
		for at = i; at > 0 && (word[at-1]|0x20 >= 'a' && word[at-1]|0x20 <= 'z'); at-- {
		}
	}
	for i := 0; i+4 <= at; i++ {
		if word[i+3] == '.' && word[i]|0x20 == 'w' && strings.EqualFold(word[i:i+4], "www.") {
			return i
		}
	}
	return at
}

func wordLen(s string) int {
	if i := strings.IndexFunc(s, unicode.IsSpace); i >= 0 {
		return i
	}
	return len(s)
}

func spaceLen(s string) int {
	if i := strings.IndexFunc(s, func(r rune) bool { return !unicode.IsSpace(r) }); i >= 0 {
		return i
	}
	return len(s)
}

// hasRightToLeft says whether s has a letter that is written from the right.
func hasRightToLeft(s string) bool { return strings.ContainsFunc(s, rightToLeft) }

// rightToLeft: a letter of the right-to-left blocks of Unicode (Hebrew to Arabic
// Extended-A, the presentation forms, the ancient and African scripts of plane 1).
func rightToLeft(r rune) bool {
	switch {
	case r < 0x0590:
		return false
	case r <= 0x08FF, r >= 0xFB1D && r <= 0xFDFF, r >= 0xFE70 && r <= 0xFEFC, r >= 0x10800 && r <= 0x10FFF, r >= 0x1E800 && r <= 0x1EFFF:
		return unicode.IsLetter(r)
	}
	return false
}

// leftToRight: any other letter.
func leftToRight(r rune) bool {
	if r < 0x80 {
		return r|0x20 >= 'a' && r|0x20 <= 'z'
	}
	return unicode.IsLetter(r) && !rightToLeft(r)
}
