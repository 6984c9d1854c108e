package text

import (
	"strings"
	"unicode"
	"unicode/utf8"
)

const lrm = "\u200e"

// Isolate puts U+200E LEFT-TO-RIGHT MARK before and after each run of a right-to-left text
// that is read from the left, so that a handset shows +966500000000, ****9355, 2026-01-31
// and C++ in the order of their characters and not in pieces (UAX #9: a plus, asterisk or
// hyphen beside a number takes the direction of the Arabic around it). It returns s itself
// where there is nothing to do, and for a text without right-to-left letters.
//
// The mark is the oldest means there is and every handset that shows Arabic obeys it;
// isolates (U+2066-2069, of 2013) would part two neighbouring runs more cleanly, but older
// handsets show them as boxes. Each mark costs a unit.
//
// A run has Latin letters (or letters of another script that is written from the left) or
// is a number that would otherwise fall to pieces; 30, 12/03/2025, 14:05 and 1,250.00 do
// not and get no marks. It goes on over spaces and punctuation between Latin words and
// their numbers, ends at anything Arabic and at a line end, and holds what is attached to
// it, as in *989# or 50%. A mark that is there is not doubled, and what stands in an
// embedding or isolate already is left alone.
func Isolate(s string) string {
	if !hasRightToLeft(s) {
		return s
	}
	var b strings.Builder
	done := 0
	for sc := (runScanner{s: s}); sc.next(); {
		if !sc.apart {
			continue
		}
		before := strings.HasSuffix(s[:sc.start], lrm)
		after := strings.HasPrefix(s[sc.end:], lrm)
		if before && after {
			continue
		}
		b.WriteString(s[done:sc.start])
		if !before {
			b.WriteString(lrm)
		}
		b.WriteString(s[sc.start:sc.end])
		if !after {
			b.WriteString(lrm)
		}
		done = sc.end
	}
	if done == 0 {
		return s
	}
	b.WriteString(s[done:])
	return b.String()
}

// runScanner finds the runs that are read from the left: s[start:end] after next.
type runScanner struct {
	s          string
	start, end int
	apart      bool // needs marks
	at         int  // how far s was looked at
	depth      int  // embeddings and isolates that are open at at
}

type runeRole uint8

const (
	roleBreak  runeRole = iota // ends a run: Arabic, line ends, marks, and what is not known
	roleLetter                 // written from the left
	roleDigit                  // 0-9
	roleMark                   // combining, of what is before
	roleSpace
	roleBetween // punctuation and signs that may stand within a run
)

func roleOf(r rune) runeRole {
	switch {
	case r >= '0' && r <= '9':
		return roleDigit
	case r == ' ' || r == 0xA0 || r == '\t':
		return roleSpace
	case r < ' ' || r == 0x7F || r >= 0x80 && r <= 0x9F || r == 0xAD:
		return roleBreak
	case r < 0x80:
		if r|0x20 >= 'a' && r|0x20 <= 'z' {
			return roleLetter
		}
		return roleBetween
	case r == utf8.RuneError:
		return roleBreak
	case leftToRight(r):
		return roleLetter
	case unicode.Is(unicode.M, r), r == 0x200C, r == 0x200D:
		return roleMark // also of Arabic: it would come to stand on the direction mark
	case r < 0x0100, r >= 0x2010 && r <= 0x2027, r >= 0x2030 && r <= 0x205E, r >= 0x20A0 && r <= 0x20CF, r == 0x2122:
		return roleBetween
	}
	return roleBreak
}

// attached are the signs that belong to a run they stand directly before or behind.
func attachedBefore(r rune) bool { return strings.ContainsRune("+*#@$€£¥%~/_&=-−", r) }
func attachedAfter(r rune) bool  { return strings.ContainsRune("+*#$€£¥%°/_&=™®", r) }

// between numbers: a single one of these is of the number (UAX #9, class CS).
func separates(r rune) bool { return r == '.' || r == ',' || r == ':' || r == '/' || r == 0xA0 }

func (sc *runScanner) next() bool {
	s := sc.s
	prefix := -1 // where the attached signs before the next run begin
	for sc.at < len(s) {
		r, n := utf8.DecodeRuneInString(s[sc.at:])
		switch role := roleOf(r); {
		case r >= 0x202A && r <= 0x202E || r >= 0x2066 && r <= 0x2069:
			if r == 0x202C || r == 0x2069 {
				sc.depth = max(0, sc.depth-1)
			} else {
				sc.depth++
			}
			prefix = -1
		case sc.depth > 0:
		case role == roleLetter || role == roleDigit:
			if prefix < 0 {
				prefix = sc.at
			}
			sc.take(prefix)
			return true
		case !attachedBefore(r):
			prefix = -1
		case prefix < 0 && !strings.ContainsRune("-−/", r):
			prefix = sc.at
		case prefix < 0 && (sc.at == 0 || roleOf(runeBefore(s, sc.at)) == roleSpace || strings.HasSuffix(s[:sc.at], lrm)):
			// Behind anything else a hyphen or stroke is the sentence's, not the number's.
			prefix = sc.at
		}
		if r == '\n' || r == 0x2029 {
			sc.depth = 0 // UAX #9: a paragraph ends all embeddings
		}
		sc.at += n
	}
	return false
}

func runeBefore(s string, at int) rune {
	r, _ := utf8.DecodeLastRuneInString(s[:at])
	return r
}

// take reads the run whose attached signs begin at start and whose first letter or digit
// is at sc.at.
func (sc *runScanner) take(start int) {
	s := sc.s
	sc.start, sc.end = start, sc.at
	letters := false
	broken := start < sc.at // a number that would fall to pieces
	dialled := start < sc.at && s[start] == '+'
	gap, open := 0, 0 // characters since end; brackets opened and not closed up to end
	space, odd := false, false
	opened := 0
	for i := sc.at; i < len(s); {
		r, n := utf8.DecodeRuneInString(s[i:])
		switch roleOf(r) {
		case roleLetter, roleDigit:
			letter := roleOf(r) == roleLetter
			if space && !letters && !letter && !dialled {
				i = len(s) // two numbers with a space between are two
				continue
			}
			letters = letters || letter
			broken = broken || gap > 1 || odd
			sc.end, gap, space, odd = i+n, 0, false, false
			open += opened
			opened = 0
		case roleMark:
			if gap > 0 {
				i = len(s)
				continue
			}
			sc.end = i + n
		case roleSpace:
			space, odd = true, true
			gap++
		case roleBetween:
			odd = odd || !separates(r)
			gap++
			switch r {
			case '(', '[':
				opened++
			case ')', ']':
				opened--
			}
		default:
			i = len(s)
			continue
		}
		i += n
	}
	for sc.end < len(s) {
		r, n := utf8.DecodeRuneInString(s[sc.end:])
		switch {
		case attachedAfter(r):
		case open > 0 && (r == ')' || r == ']'):
			open--
		default:
			n = 0
		}
		if n == 0 {
			break
		}
		sc.end += n
		broken = true
	}
	sc.at = sc.end
	sc.apart = letters || broken
}
