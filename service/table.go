package service

import (
	"context"
	"fmt"
	"io"
	"slices"
)

// A Table reads the rows of a file, CSV or JSON Lines, as Import does: one row a line, blank
// lines passed over, a file in another encoding refused before its first row. It is for
// what is kept elsewhere than in a Registry. It keeps one line in memory.
type Table struct {
	lines  *lines
	header []string // CSV's first row; nil: JSON Lines
	told   int      // columns in front that a file of bad rows has
	named  int64    // the header's line
}

// A BadRow is a row that was not taken, and why.
type BadRow struct {
	Line   int64
	Column string // as the header or the object names it; "" where it is no single one
	Rule   string
	Row    string // as given
}

// OpenTable checks the encoding of src, from its start to its end, and reads the header of
// a CSV file. Errors: *FileError; the context's; src's.
func OpenTable(ctx context.Context, src io.ReadSeeker, encoding string, jsonLines bool) (*Table, error) {
	if encoding == "" {
		encoding = UTF8
	}
	if jsonLines && encoding != UTF8 {
		return nil, &FileError{Rule: "JSON Lines are UTF-8: leave the encoding out"}
	}
	if _, err := src.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	if err := checkEncoding(ctxReader{ctx, src}, encoding); err != nil {
		return nil, err
	}
	if _, err := src.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	t := &Table{lines: newLines(ctxReader{ctx, src}, encoding)}
	if jsonLines {
		return t, nil
	}
	l := t.lines
	switch has, err := l.next(); {
	case err != nil:
		return nil, err
	case !has:
		return nil, &FileError{Rule: "the file is empty"}
	}
	l.delimit(delimiter(l.raw))
	f, wrong := l.fields()
	if wrong != nil {
		return nil, &FileError{Line: l.line, Rule: wrong.rule}
	}
	t.header, t.named = slices.Clone(f), l.line
	for len(f)-t.told >= len(badColumns) && slices.Equal(f[t.told:t.told+len(badColumns)], badColumns[:]) {
		t.told += len(badColumns)
	}
	return t, nil
}

// Header names the columns; nil: JSON Lines.
func (t *Table) Header() []string { return t.header }

// Columns finds columns in the header by the words for each, read without regard to case,
// hamza, blanks and underscores: the place of each, -1 where it is not there. What is none
// of them is asked of other; one that other does not know refuses the file. What a file of
// bad rows has in front does not count, so that it may be mended and sent again.
func (t *Table) Columns(words [][]string, other func(name string) bool) (at []int, others []int, err error) {
	at = make([]int, len(words))
	for i := range at {
		at[i] = -1
	}
	seen := map[string]bool{}
	for i := t.told; i < len(t.header); i++ {
		name := t.header[i]
		f := folded(name)
		col := slices.IndexFunc(words, func(w []string) bool {
			return slices.ContainsFunc(w, func(s string) bool { return folded(s) == f })
		})
		switch {
		case col >= 0 && at[col] >= 0:
			return nil, nil, &FileError{Line: t.named, Column: name, Rule: fmt.Sprintf("is there twice; the other is %q", t.header[at[col]])}
		case col >= 0:
			at[col] = i
		case seen[name]:
			return nil, nil, &FileError{Line: t.named, Column: name, Rule: "is there twice"}
		case other(name):
			seen[name] = true
			others = append(others, i)
		default:
			return nil, nil, &FileError{Line: t.named, Column: name, Rule: "is not known"}
		}
	}
	return at, others, nil
}

// Go goes on behind the line that ends at offset.
func (t *Table) Go(src io.ReadSeeker, line, offset int64) error {
	if offset <= t.lines.offset {
		return nil
	}
	size, err := src.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	if size < offset {
		return &FileError{Rule: fmt.Sprintf("the file has %d octets, and %d of it are done: it is not the same", size, offset)}
	}
	if _, err := src.Seek(offset, io.SeekStart); err != nil {
		return err
	}
	t.lines.br.Reset(src)
	t.lines.line, t.lines.offset = line, offset
	return nil
}

// Next goes to the next row; false: there is none. The error is src's.
func (t *Table) Next() (bool, error) { return t.lines.next() }

// Line is the row's line, from 1; Offset the octets of the file up to its end.
func (t *Table) Line() int64 { return t.lines.line }

// Offset is how many octets of the file end with the row.
func (t *Table) Offset() int64 { return t.lines.offset }

// Raw is the row as given, in UTF-8 without its line end; kept until Next. A row that is
// too long is only its start.
func (t *Table) Raw() []byte { return t.lines.raw }

// Fields splits a row of CSV, or tells why it cannot be: what stands in each column of the
// header. The slice is kept until Next, the strings for good.
func (t *Table) Fields() ([]string, *BadRow) {
	f, wrong := t.lines.fields()
	if wrong == nil && len(f) != len(t.header) {
		wrong = &badRow{"", fmt.Sprintf("wrong_columns: has %d, the header %d", len(f), len(t.header))}
	}
	if wrong != nil {
		return nil, t.Bad(wrong.column, wrong.rule)
	}
	return f, nil
}

// Object is a row of JSON Lines, or why it cannot be one; kept until Next.
func (t *Table) Object() ([]byte, *BadRow) {
	if t.lines.long {
		return nil, t.Bad("", fmt.Sprintf("too_long: the line has more than %d octets", maxLine))
	}
	return t.lines.raw, nil
}

// Bad is the row, and why it is not taken.
func (t *Table) Bad(column, rule string) *BadRow {
	return &BadRow{Line: t.lines.line, Column: column, Rule: rule, Row: string(t.lines.raw)}
}

// BadRowsOf writes the bad rows of t as CSV: line, column, rule, then the row's own fields
// (or the whole of it, of JSON Lines). It goes on behind offset and cuts off what lies
// there.
func BadRowsOf(t *Table, to BadRows, offset int64) (*BadRowWriter, error) {
	header, comma := t.header, ','
	if header == nil {
		header = []string{"row"}
	} else {
		comma = t.lines.csv.Comma
	}
	w, err := openBad(to, offset, header, comma)
	if err != nil {
		return nil, err
	}
	w.whole = t.header == nil
	return &BadRowWriter{w}, nil
}

// A BadRowWriter appends bad rows to a file.
type BadRowWriter struct{ w *badWriter }

// Write appends rows and returns the octets that the file has with them; they are in the
// page cache then.
func (b *BadRowWriter) Write(rows []BadRow) (int64, error) {
	all := make([]badAt, len(rows))
	for i, r := range rows {
		all[i] = badAt{r.Line, r.Column, r.Rule, r.Row}
	}
	return b.w.write(all)
}
