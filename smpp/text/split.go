package text

import (
	"errors"
	"unicode/utf8"

	"github.com/rivo/uniseg"
)

// ErrTooManyParts is a text of more than MaxParts parts, or one beyond what a
// message_payload may hold.
var ErrTooManyParts = errors.New("text: more than 255 parts")

// Split cuts s into the texts of its parts. One part when the whole fits the single
// budget, whatever it holds; the empty text is one empty part. Else greedy: each part
// is the longest prefix of what is left that fits and ends at an extended grapheme
// cluster boundary (UAX #29), so that harakat stay on their letter and an emoji stays
// whole. A cluster larger than a part starts a part of its own and is cut at code
// points; its end opens the next part and what follows fills that one.
//
// The parts are substrings of s and join to s.
//
// Errors: ErrTooManyParts; *BadText for broken UTF-8; *Unencodable. A text of one part
// is not looked at for characters e does not have: Encode says so.
func Split(s string, e Encoding, st Style) ([]string, error) {
	return SplitInto(make([]string, 0, 1), s, e, st)
}

// SplitInto is Split appending to dst: with dst[:0] of the last call it does not
// allocate. On an error it returns dst as it was given.
//
// It is not inlined so that Split is: then the slice Split makes for one part can stay
// on its caller's stack.
//
//go:noinline
func SplitInto(dst []string, s string, e Encoding, st Style) ([]string, error) {
	return Splitter{Encoding: e, Style: st}.Append(dst, s)
}

// Count is how many parts Split makes of s, without making them.
func Count(s string, e Encoding, st Style) (int, error) {
	return Splitter{Encoding: e, Style: st}.walk(s, func(string) {})
}

// Splitter is Split with its options.
type Splitter struct {
	Encoding Encoding
	Style    Style
	// PreferSpace is how many units before the cut a space is looked for, to cut after
	// it instead. 0 is off: it costs parts, and handsets join the text anyway.
	PreferSpace int
}

// Append appends the texts of the parts of s. See Split.
func (sp Splitter) Append(dst []string, s string) ([]string, error) {
	n := len(dst)
	if _, err := sp.walk(s, func(part string) { dst = append(dst, part) }); err != nil {
		return dst[:n], err
	}
	return dst, nil
}

func (sp Splitter) walk(s string, yield func(part string)) (int, error) {
	e := sp.Encoding
	units, err := size(s, e)
	if err != nil {
		return 0, err
	}
	single, room := Limits(e, sp.Style)
	if units <= single {
		yield(s)
		return 1, nil
	}
	if sp.Style == Payload {
		return 0, ErrTooManyParts
	}
	c := cutter{s: s, e: e, room: room, preferSpace: sp.PreferSpace}
	n := 0
	for c.pos < len(s) {
		if n == MaxParts {
			return 0, ErrTooManyParts
		}
		from := c.pos
		if err := c.next(); err != nil {
			return 0, err
		}
		yield(s[from:c.pos])
		n++
	}
	return n, nil
}

// size is Units of a text that may be broken.
func size(s string, e Encoding) (int, error) {
	if e == UCS2 {
		if units, ok := countUCS2(s); ok {
			return units, nil
		}
		return 0, brokenUTF8(s)
	}
	if e != Binary && !utf8.ValidString(s) {
		return 0, brokenUTF8(s)
	}
	return Units(s, e), nil
}

func brokenUTF8(s string) error {
	for i, r := range s {
		if r == utf8.RuneError {
			if _, n := utf8.DecodeRuneInString(s[i:]); n == 1 {
				return &BadText{Offset: i, Rule: "broken UTF-8"}
			}
		}
	}
	return ErrBadText
}

// cutter walks a text part by part.
type cutter struct {
	s           string
	e           Encoding
	room        int // units a part
	preferSpace int
	pos         int // where the next part starts
	// clusterEnd is where the cluster ends that pos is inside of, when a cluster larger
	// than a part is being cut; pos or less otherwise.
	clusterEnd int
}

// next moves pos behind the next part.
//
// REQUIRES: pos < len(s).
func (c *cutter) next() error {
	from := c.pos
	end, err := c.prefix(from)
	if err != nil || end == len(c.s) {
		c.pos = end
		return err
	}
	if end < c.clusterEnd {
		c.pos = end // the middle of an oversize cluster: another piece of it
		return nil
	}
	floor := max(from, c.clusterEnd)
	cut := c.boundary(floor, end)
	if cut == from {
		// The first cluster is larger than the part.
		c.clusterEnd = from + c.clusterLen(from)
		cut = end
	} else if c.preferSpace > 0 {
		cut = c.afterSpace(floor, cut)
	}
	c.pos = cut
	return nil
}

// prefix is the end of the longest run of whole code points from there that fits.
func (c *cutter) prefix(from int) (int, error) {
	left := c.room
	i := from
	for i < len(c.s) {
		r, n := rune(c.s[i]), 1
		if r >= utf8.RuneSelf && c.e != Binary {
			r, n = utf8.DecodeRuneInString(c.s[i:])
		}
		cost := 1
		switch c.e {
		case GSM7:
			code := gsmOf(r)
			if code == noGSM {
				return from, &Unencodable{Rune: r, Offset: i, Encoding: c.e}
			}
			cost = septets(code)
		case UCS2:
			if r >= 0x10000 {
				cost = 2
			}
		case ASCII:
			if r >= 0x80 {
				return from, &Unencodable{Rune: r, Offset: i, Encoding: c.e}
			}
			cost = septets(gsmOf(r))
		case Latin1:
			if r >= 0x100 {
				return from, &Unencodable{Rune: r, Offset: i, Encoding: c.e}
			}
		}
		if left -= cost; left < 0 {
			break
		}
		i += n
	}
	return i, nil
}

// boundary is the last grapheme cluster boundary in floor..end; floor is one.
//
// Nearly every cut falls between two plain characters, where no table is needed. Else
// the clusters are counted from the last such place, which is a few characters back:
// the library's walk over the whole text would cost more than all else here.
func (c *cutter) boundary(floor, end int) int {
	if c.e == Binary || c.plainAt(end) {
		return end
	}
	safe := end
	for {
		_, n := utf8.DecodeLastRuneInString(c.s[:safe])
		safe -= n
		if safe <= floor {
			safe = floor
			break
		}
		if c.plainAt(safe) {
			break
		}
	}
	for safe < end {
		n := c.clusterLen(safe)
		if safe+n > end {
			break
		}
		safe += n
	}
	return safe
}

func (c *cutter) clusterLen(at int) int {
	cluster, _, _, _ := uniseg.FirstGraphemeClusterInString(c.s[at:], -1)
	return len(cluster)
}

// plainAt says that the characters on both sides of at are plain, hence at is a
// boundary. False means only that the rules must be asked.
func (c *cutter) plainAt(at int) bool {
	r, _ := utf8.DecodeRuneInString(c.s[at:])
	if !plain(r) {
		return false
	}
	r, _ = utf8.DecodeLastRuneInString(c.s[:at])
	return plain(r)
}

// plain are characters whose Grapheme_Cluster_Break is Other and which are not
// pictographs: between two of them there is a boundary whatever stands around (rule
// GB999). Not all of them: those that notices are made of.
func plain(r rune) bool {
	switch {
	case r < 0x7F:
		return r >= ' '
	case r < 0x600:
		return r >= 0xC0 && r <= 0x24F || r >= 0x391 && r <= 0x3A9 && r != 0x3A2
	case r <= 0x6FF:
		return r >= 0x620 && r <= 0x64A || r >= 0x660 && r <= 0x66F ||
			r >= 0x671 && r <= 0x6D3 || r >= 0x6EE || r == 0x60C || r == 0x61B || r == 0x61F
	}
	return false
}

// afterSpace is the place behind the last space within preferSpace units before cut,
// or cut. A space that carries a mark is a cluster with it and is left alone.
func (c *cutter) afterSpace(floor, cut int) int {
	units := 0
	for i := cut; i > floor && units <= c.preferSpace; {
		r, n := utf8.DecodeLastRuneInString(c.s[:i])
		if r == ' ' && (i == cut || c.plainAt(i)) {
			return i
		}
		i -= n
		units += Units(c.s[i:i+n], c.e)
	}
	return cut
}
