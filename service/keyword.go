package service

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/unicode/norm"
)

// Words are what people may write to a short code, in any number of languages. How a word
// is spelled here and how people spell it need not agree: see Parse.
type Words struct {
	Enrol    []string
	Withdraw []string // alone, or before a word of All: everything
	All      []string
	Help     []string

	// Known says whether there is a service of that code. nil: not known, and then whatever
	// looks like a code is taken for one.
	Known func(code string) bool
}

// A Verb is what somebody asks for. The zero value: nothing that can be acted on.
type Verb uint8

// The verbs.
const (
	VerbUnclear Verb = iota
	VerbEnrol
	VerbWithdraw
	VerbWithdrawAll
	VerbHelp
)

var verbNames = [...]string{"unclear", "enrol", "withdraw", "withdraw_all", "help"}

func (v Verb) String() string { return verbNames[v] }

// A Command is what a person wrote.
type Command struct {
	Verb  Verb
	Codes []string // upper case, each once, in order; not all need exist. None with VerbWithdrawAll
	Word  string   // as Words spells it: its language is likely the writer's. Empty with VerbUnclear
}

// Keywords reads what people write to a short code. It never changes.
type Keywords struct {
	words map[string]keyword // by folded spelling
	long  int                // octets of the longest
	known func(string) bool
}

type keyword struct {
	verb Verb
	word string
}

// maxCommand bounds what is looked at, in octets: nobody writes a command of that length.
const maxCommand = 2000

// NewKeywords makes Keywords. The errors, joined, name words that nobody can write and
// words that ask for two things.
func NewKeywords(w Words) (*Keywords, error) {
	k := &Keywords{words: map[string]keyword{}, known: w.Known}
	var errs []error
	add := func(spelled, word string, verb Verb) {
		folded := strings.Join(tokens(spelled), "")
		if folded == "" {
			errs = append(errs, fmt.Errorf("keyword %q has no letter or digit", spelled))
			return
		}
		if was, has := k.words[folded]; has && was.verb != verb {
			errs = append(errs, fmt.Errorf("keyword %q means %s and, as %q, %s", spelled, verb, was.word, was.verb))
			return
		} else if has {
			return // the same word with and without hamza
		}
		k.words[folded] = keyword{verb, word}
		k.long = max(k.long, len(folded))
	}
	for _, x := range []struct {
		verb  Verb
		words []string
	}{{VerbEnrol, w.Enrol}, {VerbWithdraw, w.Withdraw}, {VerbHelp, w.Help}} {
		for _, word := range x.words {
			add(word, word, x.verb)
		}
	}
	for _, all := range w.All {
		if len(tokens(all)) == 0 {
			errs = append(errs, fmt.Errorf("keyword %q has no letter or digit", all))
			continue
		}
		for _, word := range w.Withdraw {
			add(word+" "+all, word, VerbWithdrawAll)
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	return k, nil
}

// Parse reads a message. The rule is strict in its order and lenient in its spelling: the
// keyword is first, and nothing but codes, or one word of All, follows. So a sentence that
// merely has the word in it ("please don't stop", "stop sending me these") is VerbUnclear:
// what it wants, a person must be asked.
//
// A word of Withdraw with nothing behind it is VerbWithdrawAll: that is what STOP means to
// a regulator, and who writes it alone does not want to be asked which. VerbEnrol without
// codes stays so; there is nothing to enrol in, and the answer is help.
//
// Not counted: letter case, accents, harakat, tatweel, the hamza and its seat (إلغاء,
// الغاء, الغا), ى for ي, ة for ه, Persian ک and ی, presentation and full-width forms,
// spaces of any kind also within a word (S T O P, STOPALL), direction marks, quotes and
// punctuation, the keyword written twice. A code may follow its keyword without a space
// where the alphabet changes (اشتراكIDREN), or where Words.Known knows it.
func (k *Keywords) Parse(text string) Command {
	unclear := Command{}
	if len(text) > maxCommand {
		return unclear
	}
	toks := tokens(text)
	first, n := k.match(toks)
	switch {
	case n > 0:
		toks = toks[n:]
	case len(toks) > 0:
		var code string
		if first, code = k.glued(toks[0]); code == "" {
			return unclear
		}
		toks = slices.Concat([]string{code}, toks[1:])
	default:
		return unclear
	}
	c := Command{Verb: first.verb, Word: first.word}
	codes := toks[:0:0]
	for len(toks) > 0 {
		again, n := k.match(toks)
		if n == 0 {
			codes = append(codes, toks[0])
			toks = toks[1:]
			continue
		}
		if kind(again.verb) != kind(c.Verb) {
			return unclear
		}
		c.Verb = max(c.Verb, again.verb) // STOP, STOP ALL: all
		toks = toks[n:]
	}
	var clear bool
	if c.Codes, clear = k.codes(codes); !clear {
		return unclear
	}
	switch {
	case c.Verb == VerbWithdraw && len(c.Codes) == 0:
		c.Verb = VerbWithdrawAll
	case c.Verb == VerbWithdrawAll && len(c.Codes) > 0:
		return unclear // all, or these?
	}
	return c
}

func kind(v Verb) Verb {
	if v == VerbWithdrawAll {
		return VerbWithdraw
	}
	return v
}

// match finds the longest keyword that the first tokens make together.
func (k *Keywords) match(toks []string) (found keyword, n int) {
	var buf [64]byte
	joined := buf[:0]
	for i, t := range toks {
		if joined = append(joined, t...); len(joined) > k.long {
			break
		}
		if w, has := k.words[string(joined)]; has {
			found, n = w, i+1
		}
	}
	return found, n
}

// glued parts a token into a keyword and a code that is known. Two ways to do it are one
// too many.
func (k *Keywords) glued(token string) (found keyword, code string) {
	if k.known == nil {
		return keyword{}, ""
	}
	for n := 2; n <= 5 && n < len(token); n++ {
		at := len(token) - n
		if w, has := k.words[token[:at]]; has && w.verb != VerbWithdrawAll && k.known(token[at:]) {
			if code != "" {
				return keyword{}, ""
			}
			found, code = w, token[at:]
		}
	}
	return found, code
}

// codes reads tokens as codes, also such as are written with spaces. clear is false where
// they are not all codes, or none of several is known: then it is a sentence.
func (k *Keywords) codes(toks []string) (codes []string, clear bool) {
	some := k.known == nil
	add := func(code string) {
		if !slices.Contains(codes, code) {
			codes = append(codes, code)
		}
	}
	for len(toks) > 0 {
		if n := k.knownAt(toks); n > 0 {
			add(strings.Join(toks[:n], ""))
			some, toks = true, toks[n:]
			continue
		}
		// A code has two characters or more, so single ones belong together.
		n := 1
		for len(toks[0]) == 1 && n < len(toks) && len(toks[n]) == 1 {
			n++
		}
		code := strings.Join(toks[:n], "")
		if !codeForm(code) {
			return nil, false
		}
		add(code)
		toks = toks[n:]
	}
	return codes, some || len(codes) <= 1
}

// knownAt is how many of the first tokens make the longest known code.
func (k *Keywords) knownAt(toks []string) (n int) {
	if k.known == nil {
		return 0
	}
	code := ""
	for i, t := range toks {
		if code += t; len(code) > 5 {
			break
		}
		if codeForm(code) && k.known(code) {
			n = i + 1
		}
	}
	return n
}

// codeForm: 2 to 5 of A-Z 0-9.
func codeForm(s string) bool {
	if len(s) < 2 || len(s) > 5 {
		return false
	}
	for i := range len(s) {
		if c := s[i]; (c < 'A' || c > 'Z') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// tokens cuts a text into words of folded letters and digits, and where A-Z 0-9 meets
// another alphabet.
func tokens(text string) (toks []string) {
	var word []byte
	ascii := false
	end := func() {
		if len(word) > 0 {
			toks = append(toks, string(word))
			word = word[:0]
		}
	}
	// NFKD takes the hamza, the madda and the accent off their letter, full-width and
	// presentation forms to theirs.
	for _, r := range norm.NFKD.String(text) {
		r, role := foldRune(r)
		switch role {
		case foldDrop:
		case foldPart:
			end()
		case foldKeep:
			if len(word) > 0 && ascii != (r < utf8.RuneSelf) {
				end()
			}
			ascii = r < utf8.RuneSelf
			word = utf8.AppendRune(word, r)
		}
	}
	end()
	return toks
}

type foldRole uint8

const (
	foldKeep foldRole = iota
	foldDrop
	foldPart // between words
)

// foldRune is what a character of a keyword counts as.
func foldRune(r rune) (rune, foldRole) {
	switch {
	case r >= 'A' && r <= 'Z' || r >= '0' && r <= '9':
		return r, foldKeep
	case r >= 'a' && r <= 'z':
		return r - 'a' + 'A', foldKeep
	case r < utf8.RuneSelf:
		return 0, foldPart
	case r >= 0x0660 && r <= 0x0669:
		return '0' + r - 0x0660, foldKeep
	case r >= 0x06F0 && r <= 0x06F9:
		return '0' + r - 0x06F0, foldKeep
	}
	switch r {
	case 0x0621, 0x0640: // the hamza itself: many leave it out. Tatweel
		return 0, foldDrop
	case 0x0671: // alef wasla
		return 0x0627, foldKeep
	case 0x0649, 0x06CC: // ى, Persian ی
		return 0x064A, foldKeep
	case 0x0629, 0x06C1, 0x06D5: // ة and other forms of ه
		return 0x0647, foldKeep
	case 0x06A9: // Persian ک
		return 0x0643, foldKeep
	}
	switch {
	case unicode.Is(unicode.Mn, r), unicode.Is(unicode.Cf, r):
		return 0, foldDrop
	case unicode.IsLetter(r):
		return unicode.ToUpper(r), foldKeep
	}
	return 0, foldPart
}
