package route

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// ParseError is a line of an overrides file that cannot be read. It never shows the
// number: errors are logged, full numbers are not.
type ParseError struct {
	File string
	Line int    // from 1
	What string // "the number has 16 digits, at most 15 allowed"
}

func (e *ParseError) Error() string { return fmt.Sprintf("%s:%d: %s", e.File, e.Line, e.What) }

const (
	maxLine      = 4096     // octets
	maxE164      = 15       // digits of a number, ITU-T E.164 section 6
	routeBits    = 14       // of a row; 10^15 < 2^50 leaves so many
	maxRoutes    = 1 << 14  // names of routes in one set of files
	maxRouteName = 64       // octets
	utf8BOM      = "\ufeff" // what some spreadsheets begin a file with
)

// An operation is what a line says.
type operation uint8

const (
	give   operation = iota // number,route of a full file
	add                     // +number,route of a delta
	remove                  // -number of a delta
)

// entry is a line that says something. route is valid until the next line.
type entry struct {
	line   int
	op     operation
	number uint64
	route  []byte
}

// scan reads a full file, or a delta, line by line:
//
//	# a comment; empty lines, spaces around fields and quotes around them are nothing
//	number,route          a header may come first
//	966501234567,stc      of a full file
//	+966501234567,stc     of a delta: ported to, whatever was before
//	-966501234567         of a delta: not ported any more; a route after it is ignored
//
// Its own errors are *ParseError; each's are returned as they are.
func scan(r io.Reader, file string, delta bool, each func(entry) error) error {
	in := bufio.NewReaderSize(r, 64<<10)
	bad := func(line int, what string, v ...any) error {
		return &ParseError{File: file, Line: line, What: fmt.Sprintf(what, v...)}
	}
	first := true
	for line := 1; ; line++ {
		text, err := in.ReadSlice('\n')
		switch {
		case errors.Is(err, io.EOF) && len(text) == 0:
			return nil
		case err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, bufio.ErrBufferFull):
			return fmt.Errorf("%s: %w", file, err)
		case len(text) > maxLine:
			return bad(line, "the line has more than %d octets; is this a file of numbers?", maxLine)
		}
		if line == 1 {
			text = bytes.TrimPrefix(text, []byte(utf8BOM))
		}
		text = bytes.TrimSpace(text)
		if len(text) == 0 || text[0] == '#' {
			continue
		}
		if first {
			first = false
			if isHeader(text) {
				continue
			}
		}
		e, what := parseLine(text, delta)
		if what != "" {
			return bad(line, "%s", what)
		}
		e.line = line
		if err := each(e); err != nil {
			return err
		}
	}
}

// isHeader is whether a line names its first field instead of giving a number.
func isHeader(text []byte) bool {
	field, _, _ := bytes.Cut(text, []byte{','})
	field = unquote(field)
	return len(field) > 0 && field[0] != '+' && field[0] != '-' && !bytes.ContainsAny(field, "0123456789")
}

// parseLine returns what is wrong, or nothing.
func parseLine(text []byte, delta bool) (e entry, what string) {
	switch sign := text[0]; {
	case delta && sign == '+':
		e.op, text = add, text[1:]
	case delta && sign == '-':
		e.op, text = remove, text[1:]
	case delta:
		return e, "a delta's line begins with + or -; write +number,route or -number"
	case sign == '+' || sign == '-':
		return e, "a full file's line begins with the number; is this a delta?"
	}
	digits, route, comma := bytes.Cut(text, []byte{','})
	e.number, what = parseNumber(unquote(digits))
	if what != "" || e.op == remove {
		return e, what
	}
	e.route = unquote(route)
	switch {
	case !comma || len(e.route) == 0:
		return e, "no route; write number,route"
	case bytes.ContainsAny(e.route, ",\""):
		return e, "more than number,route"
	case len(e.route) > maxRouteName:
		return e, fmt.Sprintf("the route's name has %d octets, at most %d allowed", len(e.route), maxRouteName)
	}
	return e, ""
}

func parseNumber(digits []byte) (n uint64, what string) {
	switch {
	case len(digits) == 0:
		return 0, "no number; write number,route"
	case len(digits) > maxE164:
		return 0, fmt.Sprintf("the number has %d characters, at most %d digits allowed", len(digits), maxE164)
	case digits[0] == '0':
		return 0, "the number begins with 0; write country code and number, without 00"
	}
	for _, d := range digits {
		if d < '0' || d > '9' {
			return 0, fmt.Sprintf("the number has %q in it; only digits are allowed", d)
		}
		n = n*10 + uint64(d-'0')
	}
	return n, ""
}

// unquote takes off spaces, then one pair of double quotes.
func unquote(field []byte) []byte {
	field = bytes.TrimSpace(field)
	if n := len(field); n >= 2 && field[0] == '"' && field[n-1] == '"' {
		field = bytes.TrimSpace(field[1 : n-1])
	}
	return field
}

// countLines is how many lines a file has at most, to make room for its rows at once:
// what append would have spare is 10 MiB at five million.
func countLines(f *os.File) (n int, err error) {
	buf := make([]byte, 64<<10)
	for {
		k, err := f.Read(buf)
		n += bytes.Count(buf[:k], []byte{'\n'})
		switch {
		case errors.Is(err, io.EOF):
			_, err = f.Seek(0, io.SeekStart)
			return n + 1, err
		case err != nil:
			return 0, err
		}
	}
}
