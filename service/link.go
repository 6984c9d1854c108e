package service

import (
	"net/netip"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/publicsuffix"
)

// Links looks for links in a text: what a telephone would make tappable. ok: every one
// leads to a domain of the service or to what lies below it; else foreign is the first that
// does not, as it is written.
//
// A link is anything with a scheme (https://), a name that begins with www., and a bare name
// whose last label is a top-level domain that exists: moi.gov.sa, example.com/x. The host is
// read as strictly as a browser reads it; where readers differ, in doubt it is foreign.
// Dates, amounts, times, plates and abbreviations are not links: what follows their dots is
// no top-level domain. See link_test.go for both sides of the line.
//
// A text without any link costs one look at its octets and no allocation.
func (c *Catalogue) Links(text string, s *Service) (foreign string, ok bool) {
	if s == nil {
		return "", true
	}
	return foreignIn(text, s.allowed)
}

func foreignIn(text string, allowed []string) (foreign string, ok bool) {
	for at := 0; ; {
		l, found := nextLink(text, at)
		if !found {
			return "", true
		}
		if !l.leadsTo(allowed) {
			return text[l.from:l.to], false
		}
		at = l.to
	}
}

// foreignLink is the rule that a foreign link breaks.
func foreignLink(link string, domains []string) string {
	if len(domains) == 0 {
		return "has the link " + link + ", and the service has no domains"
	}
	return "has the link " + link + ", which is not below " + strings.Join(domains, ", ")
}

// A link is a stretch of a text and the host that it leads to: "" where readers differ.
type link struct {
	from, to int
	host     string
}

func (l *link) leadsTo(allowed []string) bool {
	host, err := registered.ToASCII(l.host)
	if err != nil || host == "" {
		return false
	}
	for _, d := range allowed {
		if host == d || len(host) > len(d) && host[len(host)-len(d)-1] == '.' && strings.HasSuffix(host, d) {
			return true
		}
	}
	return false
}

// nextLink finds the first link that begins at or after an offset.
func nextLink(text string, at int) (link, bool) {
	for i := at; i < len(text); i++ {
		switch c := text[i]; {
		case c == ':' && strings.HasPrefix(text[i:], "://"):
			if l, ok := withScheme(text, at, i); ok {
				return l, true
			}
		case c == '.' || c == 0xE3 || c == 0xEF:
			n := dotAt(text, i)
			if n == 0 {
				continue
			}
			if r, _ := utf8.DecodeRuneInString(text[i+n:]); !inHost(r) {
				continue // the full stop of most sentences
			}
			from, to := hostAround(text, at, i)
			if mailbox(text, to) {
				at, i = to+1, to // the host behind the @ is looked at by itself
				continue
			}
			if l, ok := bare(text, from, to); ok {
				return l, true
			}
			i = max(i, to-1)
		}
	}
	return link{}, false
}

// withScheme reads a link around the :// at i. RFC 3986 section 3.2: the authority ends at
// the first / ? #, user information at its last @.
func withScheme(text string, at, i int) (link, bool) {
	from := i
	for from > at && isSchemeChar(text[from-1]) {
		from--
	}
	begin := i + len("://")
	end := begin
	for end < len(text) {
		r, n := utf8.DecodeRuneInString(text[end:])
		if !inAuthority(r) {
			break
		}
		end += n
	}
	authority := strings.TrimRightFunc(text[begin:end], func(r rune) bool { return hidden(r) || strings.ContainsRune(".,;:!')]*_~&$=+-", r) })
	if from == i || strings.Trim(authority, "./@:") == "" {
		return link{}, false
	}
	l := link{from: from, to: pathEnd(text, end)}
	if l.to == end {
		l.to = begin + len(authority)
	}
	host := authority[strings.IndexByte(authority, '@')+1:]
	if colon := strings.LastIndexByte(host, ':'); colon >= 0 && strings.Trim(host[colon+1:], "0123456789") == "" {
		host = host[:colon]
	}
	host = strings.TrimFunc(gluedBehind(plainDots(host)), isEdge)
	// A backslash is a slash to browsers and part of the name to others; a second @, a mark
	// that does not show, and what else is no letter, digit or hyphen is one thing here and
	// another there.
	if !strings.Contains(authority, `\`) && !strings.ContainsFunc(host, func(r rune) bool { return hidden(r) || !inHost(r) && r != '.' }) {
		l.host = host
	}
	return l, true
}

func isSchemeChar(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '+' || c == '-'
}

// inAuthority: everything up to a blank, a slash, a bracket or a quote, or a sign of
// punctuation of another script than Latin.
func inAuthority(r rune) bool {
	switch {
	case r == '/', r == '?', r == '#', r == '"', r == '<', r == '>', r == '(', r == '{', r == '}', r == '|', r == '^', r == '`', r == utf8.RuneError:
		return false
	case r < utf8.RuneSelf:
		return r > ' ' && r != 0x7F
	}
	return isDot(r) || !unicode.IsPunct(r) && !unicode.IsSymbol(r) && !unicode.IsSpace(r)
}

// pathEnd is where path, query and fragment that begin at end are over: what RFC 3986
// allows in them, but for punctuation that ends the sentence.
func pathEnd(text string, end int) int {
	if end >= len(text) || !strings.ContainsRune("/?#", rune(text[end])) {
		return end
	}
	to := end
	for to < len(text) && text[to] > ' ' && text[to] < 0x7F && !strings.ContainsRune("\"<>\\^`{|}", rune(text[to])) {
		to++
	}
	return end + len(strings.TrimRight(text[end:to], ".,;:!')]"))
}

// hostAround is the stretch around the dot at i, not before at, that could be a host: letters,
// digits, hyphens, dots, and marks that do not show.
func hostAround(text string, at, i int) (from, to int) {
	dot := true // two in a row part two names
	for from = i; from > at; {
		r, n := utf8.DecodeLastRuneInString(text[at:from])
		if !inHost(r) && (dot || !isDot(r)) {
			break
		}
		dot = isDot(r)
		from -= n
	}
	dot = false
	for to = i; to < len(text); {
		r, n := utf8.DecodeRuneInString(text[to:])
		if !inHost(r) && (dot || !isDot(r)) {
			break
		}
		dot = isDot(r)
		to += n
	}
	return from, to
}

// inHost: a letter, digit, mark, hyphen or underscore, or what does not show. The
// replacement character stands for octets that are no UTF-8.
func inHost(r rune) bool {
	if r < utf8.RuneSelf {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
	}
	return isArabic(r) || r != utf8.RuneError && (unicode.IsLetter(r) || unicode.IsDigit(r) || unicode.IsMark(r) || hidden(r))
}

// isDot: IDNA reads these as dots (RFC 3490 section 3.1).
func isDot(r rune) bool { return r == '.' || r == '\u3002' || r == '\uFF0E' || r == '\uFF61' }

// dotAt is the length of the dot at i; 0: there is none.
func dotAt(text string, i int) int {
	if text[i] == '.' {
		return 1
	}
	if r, n := utf8.DecodeRuneInString(text[i:]); isDot(r) {
		return n
	}
	return 0
}

// hidden: direction marks, joiners, soft hyphens. A reader does not see them, and some
// programs drop them before they look for links.
func hidden(r rune) bool { return r >= 0xAD && !isArabic(r) && unicode.Is(unicode.Cf, r) }

// isArabic: a letter or a mark on one, without a look at the tables.
func isArabic(r rune) bool { return r >= 0x620 && r <= 0x669 }

// plainDots writes every dot of a host as a full stop.
func plainDots(host string) string {
	return strings.Map(func(r rune) rune {
		if isDot(r) {
			return '.'
		}
		return r
	}, host)
}

// visible is a host without what does not show.
func visible(host string) string {
	return strings.Map(func(r rune) rune {
		if hidden(r) {
			return -1
		}
		return r
	}, host)
}

// isEdge: what stands around a host and is no part of it.
func isEdge(r rune) bool { return r == '.' || r == '-' || hidden(r) }

// mailbox reports whether a stretch that ends at to is the part of an e-mail address before
// its @. What looks like one and leads nowhere is not.
func mailbox(text string, to int) bool {
	if to+1 >= len(text) || text[to] != '@' {
		return false
	}
	from, end := hostAround(text, to+1, to+1)
	_, ok := bare(text, from, end)
	return ok
}

// bare reads the stretch [from, to) as a link without scheme.
func bare(text string, from, to int) (link, bool) {
	for from < to {
		r, n := utf8.DecodeRuneInString(text[from:to])
		if !isDot(r) && !isEdge(r) {
			break
		}
		from += n
	}
	path := port(text, to) > to || to < len(text) && text[to] == '/'
	l := link{from: from, to: pathEnd(text, port(text, to))}
	if !path {
		l.to = from + len(strings.TrimRightFunc(text[from:to], isEdge))
	}
	host := strings.TrimFunc(gluedBehind(gluedBefore(plainDots(text[from:to]))), isEdge)
	seen := visible(host)
	doubt := seen != host // a mark in the middle: to some readers the name begins behind it
	host = seen
	if !strings.Contains(host, ".") {
		return link{}, false
	}
	if len(host) > 4 && strings.EqualFold(host[:4], "www.") {
		if !doubt {
			l.host = host
		}
		return l, true
	}
	if isDigit(host[len(host)-1]) && strings.Count(host, ".") == 3 {
		if _, err := netip.ParseAddr(host); err == nil {
			return l, path // 1.100.200.250 alone is an amount as well as an address
		}
	}
	for whole := host; ; {
		dot := strings.LastIndexByte(host, '.')
		if dot <= 0 {
			return link{}, false
		}
		after := whole[len(host):]
		if after == "" {
			after = text[to:]
		}
		if topLevel(host[dot+1:]) && (path || !sentence(host[:dot], host[dot+1:], after)) {
			if !doubt {
				l.host = host
			}
			return l, true
		}
		// evil.com.Please and moi.gov.sa.للتفاصيل: the link is in front.
		host, path = host[:dot], false
	}
}

// port is where a port that begins at the colon at to ends; to itself when there is none.
func port(text string, to int) int {
	if to >= len(text) || text[to] != ':' {
		return to
	}
	end := to + 1
	for end < len(text) && isDigit(text[end]) {
		end++
	}
	if end == to+1 {
		return to
	}
	return end
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// topLevel reports whether a label is a top-level domain: one of those that exist
// (publicsuffix knows them all), or one that RFC 6761 and 2606 set aside.
func topLevel(label string) bool {
	if isDigit(label[0]) || utf8.RuneCountInString(label) < 2 {
		return false
	}
	switch strings.ToLower(label) {
	case "test", "example", "invalid", "localhost", "local", "internal", "onion":
		return true
	}
	ascii := label
	for i := range len(label) {
		if c := label[i]; c >= utf8.RuneSelf || c >= 'A' && c <= 'Z' {
			var err error
			if ascii, err = registered.ToASCII(label); err != nil {
				return false
			}
			break
		}
	}
	if suffix, icann := publicsuffix.PublicSuffix(ascii); icann && suffix == ascii {
		return true
	}
	_, icann := publicsuffix.PublicSuffix("x." + ascii) // *.ck and the like
	return icann
}

// sentence reports whether "issued.To collect" is two sentences without a blank in between,
// "Ref.No.123" or "tel.no 123" a number, "B.Sc" a degree, rather than hosts: a capital after
// the dot and small letters before it, and a top-level domain that few links end in.
func sentence(before, label, after string) bool {
	last := before[strings.LastIndexByte(before, '.')+1:]
	if strings.EqualFold(label, "no") {
		after = strings.TrimLeft(after, " .:#")
		if after != "" && isDigit(after[0]) {
			return true
		}
	}
	switch strings.ToLower(label) {
	case "com", "net", "org", "info", "biz", "gov", "edu", "sa":
		return false
	}
	if c := label[0]; c < 'A' || c > 'Z' || strings.ToLower(label[1:]) != label[1:] {
		return false
	}
	end := last[len(last)-1]
	return len(last) == 1 || end >= 'a' && end <= 'z' || isDigit(end)
}

// gluedBefore drops what stands before a name without a blank: زورواmoi.gov.sa.
func gluedBefore(host string) string {
	label, _, _ := strings.Cut(host, ".")
	cut := 0
	for i, r := range label {
		if isGlue(r) {
			cut = i + utf8.RuneLen(r)
		}
	}
	if cut == len(label) {
		return host // wholly of the other script
	}
	return host[cut:]
}

// gluedBehind drops what stands behind it: moi.gov.saللتفاصيل.
func gluedBehind(host string) string {
	label := strings.LastIndexByte(host, '.') + 1
	if i := strings.IndexFunc(host[label:], isGlue); i > 0 {
		return host[:label+i]
	}
	return host
}

// isGlue: a letter that no registry lets stand in one label with a-z, so that it cannot be
// part of the name. Scripts that look like Latin are not trusted that far.
func isGlue(r rune) bool {
	return isArabic(r) || r >= utf8.RuneSelf && (r < 0x300 || r > 0x36F) && !hidden(r) &&
		!unicode.In(r, unicode.Latin, unicode.Cyrillic, unicode.Greek, unicode.Armenian, unicode.Georgian, unicode.Cherokee)
}
