package config

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Mistake is one thing wrong in a configuration: where it stands, what was written,
// which rule it breaks and how to mend it.
type Mistake struct {
	File         string
	Line, Column int    // from 1
	Path         string // key path: accounts[0].throughput; empty for the file as a whole
	Value        string // as written; empty where there is none or it is a secret
	Rule         string // "has no unit"
	Cure         string // "write 500/s"; may be empty
}

// String is the line an operator reads:
//
//	masar.yaml:14:17: accounts[0].throughput: "500" has no unit; write 500/s
func (m Mistake) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s:%d:%d: ", m.File, m.Line, m.Column)
	if m.Path != "" {
		b.WriteString(m.Path + ": ")
	}
	if m.Value != "" {
		b.WriteString(quote(m.Value) + " ")
	}
	b.WriteString(m.Rule)
	if m.Cure != "" {
		b.WriteString("; " + m.Cure)
	}
	return b.String()
}

// quote keeps a value on one line and short: a mistake is one line, whatever was pasted.
// A path keeps its end, which is what tells one file from another.
func quote(s string) string {
	most := 48
	if strings.ContainsRune(s, '/') && !strings.ContainsAny(s, " \n") {
		most = 256
	}
	if r := []rune(s); len(r) > most {
		s = string(r[:most-3]) + "..."
	}
	return strconv.Quote(s)
}

// Warning is something that works and should not stay: a secret that others can read,
// a carrier that no route names. It never keeps a configuration from being used.
type Warning Mistake

// String is the warning in the form of a Mistake.
func (w Warning) String() string { return Mistake(w).String() }

// Errors is every mistake of one configuration, in the order of the file.
type Errors []Mistake

// Error prints one mistake a line.
func (e Errors) Error() string {
	lines := make([]string, len(e))
	for i, m := range e {
		lines[i] = m.String()
	}
	return strings.Join(lines, "\n")
}

func inFileOrder(a, b Mistake) int {
	return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column), cmp.Compare(a.Path, b.Path))
}

func (e Errors) sort() { slices.SortStableFunc(e, inFileOrder) }

// nearest returns the candidate that s most likely meant, or "" when none is near:
// at most a third of its letters may differ, a swap of neighbours counting as one.
func nearest(s string, candidates []string) string {
	if len(s) > 64 { // nobody mistypes that much; keeps the table small
		return ""
	}
	best, at := "", 1+max(1, len(s)/3)
	for _, c := range candidates {
		if d := distance(strings.ToLower(s), strings.ToLower(c)); d < at {
			best, at = c, d
		}
	}
	return best
}

// distance is the optimal string alignment distance in octets.
func distance(a, b string) int {
	var before []int
	last, row := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, make([]int, len(b)+1)
	}
	return last[len(b)]
}
