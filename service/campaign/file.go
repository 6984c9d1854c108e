package campaign

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"

	"masar/number"
	"masar/service"
)

// Format says how a file is written.
type Format struct {
	JSONLines bool
	Encoding  string // service.UTF8 (or empty; a UTF-16 file with a byte order mark is read too), service.Windows1256
	By        string // who brings it
}

// Schema is what the rows of a file have to hold.
type Schema struct {
	Params    []string              // of the service's template: each is a column
	Texts     bool                  // each row has a text of its own
	Country   string                // country code for numbers in national form
	Key       *service.Key          // hashes persons; nil: the file can name none
	Languages func(tag string) bool // nil: any
	Refuses   func(*Row) *RowError  // what the template says of a row's values; nil: nothing
}

// The columns that are not parameters.
const (
	colNumber = iota
	colPerson
	colLanguage
	colText
	columns
)

// columnWords are the names that a header may have for them, read without regard to case,
// hamza, blanks and underscores; the first is the one that JSON Lines have. A word that is
// a parameter of the template too is the parameter's, but for the first: that parameter is
// written with paramPrefix.
var columnWords = [columns][]string{
	colNumber:   {"number", "mobile", "msisdn", "phone", "رقم الجوال", "الجوال", "رقم الهاتف"},
	colPerson:   {"person", "person_id", "national_id", "رقم الهوية", "الهوية", "السجل المدني"},
	colLanguage: {"language", "lang", "اللغة"},
	colText:     {"text", "message", "النص", "الرسالة"},
}

const (
	paramPrefix = "params."
	maxText     = 20000 // characters of a row's own text
)

// A Reader reads the rows of a file. What is wrong with one row makes it a Bad one and
// costs the others nothing; a file that cannot be what was meant is refused whole.
type Reader struct {
	table  *service.Table
	schema *Schema
	at     []int // place of each column; -1
	params []int // place of each parameter
}

// Read reads the header. src was made by Spool. Errors: *service.FileError; the context's.
func Read(ctx context.Context, src io.ReadSeeker, f Format, schema *Schema) (*Reader, error) {
	t, err := service.OpenTable(ctx, src, service.UTF8, f.JSONLines)
	if err != nil {
		return nil, err
	}
	r := &Reader{table: t, schema: schema}
	if !f.JSONLines {
		return r, r.header()
	}
	return r, nil
}

// words are the names of columns that no parameter has.
func (s *Schema) words() [][]string {
	words := make([][]string, columns)
	for i, all := range columnWords {
		words[i] = append(words[i], all[0])
		for _, w := range all[1:] {
			if !slices.Contains(s.Params, w) {
				words[i] = append(words[i], w)
			}
		}
	}
	return words
}

// param is the parameter that a column is of; "" none.
func (s *Schema) param(column string) string {
	name := strings.TrimPrefix(strings.TrimSpace(column), paramPrefix)
	if slices.Contains(s.Params, name) {
		return name
	}
	return ""
}

// needed tells the columns that a file has, for a message.
func (s *Schema) needed() string {
	list := "number or person"
	for _, p := range s.Params {
		if slices.ContainsFunc(columnWords[:], func(w []string) bool { return w[0] == p }) {
			p = paramPrefix + p
		}
		list += ", " + p
	}
	if s.Texts {
		list += ", text"
	}
	return list + "; language may be there"
}

func (r *Reader) header() error {
	s, names := r.schema, r.table.Header()
	at, others, err := r.table.Columns(s.words(), func(name string) bool { return s.param(name) != "" })
	var wrong *service.FileError
	if errors.As(err, &wrong) && wrong.Rule == "is not known" {
		return &service.FileError{Line: wrong.Line, Column: wrong.Column, Rule: "is not known; the columns are " + s.needed()}
	}
	if err != nil {
		return err
	}
	missing := func(column, rule string) error {
		return &service.FileError{Line: r.table.Line(), Column: column, Rule: rule + "; the columns are " + s.needed()}
	}
	r.at, r.params = at, make([]int, len(s.Params))
	for i, p := range s.Params {
		r.params[i] = -1
		for _, place := range others {
			if s.param(names[place]) == p {
				if r.params[i] >= 0 {
					return missing(names[place], "is there twice")
				}
				r.params[i] = place
			}
		}
		if r.params[i] < 0 {
			return missing(p, "is missing")
		}
	}
	switch {
	case at[colNumber] < 0 && at[colPerson] < 0:
		return missing("number", "is missing, and so is person")
	case at[colText] < 0 && s.Texts:
		return missing("text", "is missing")
	case at[colText] >= 0 && !s.Texts:
		return missing(names[at[colText]], "cannot be taken: the text is the template's, or the same for all")
	case at[colPerson] >= 0 && s.Key == nil:
		return missing(names[at[colPerson]], "cannot be read: this gateway keeps no persons")
	}
	return nil
}

// Header names the columns of the file; nil: JSON Lines.
func (r *Reader) Header() []string { return r.table.Header() }

// Next reads a row into row, whose Values it uses again; false: there is none. An error is
// the file's.
func (r *Reader) Next(row *Row) (bool, error) {
	has, err := r.table.Next()
	if !has || err != nil {
		return false, err
	}
	*row = Row{Row: uint64(r.table.Line()), Values: row.Values[:0]}
	var bad *RowError
	if r.table.Header() == nil {
		bad = r.object(row)
	} else {
		bad = r.fields(row)
	}
	if bad == nil && r.schema.Refuses != nil {
		bad = r.schema.Refuses(row)
	}
	if bad != nil {
		*row = Row{Row: row.Row, Kind: Bad, Column: bad.Field, Rule: bad.Rule, Raw: string(head(r.table.Raw())), Values: row.Values[:0]}
	}
	return true, nil
}

// maxRaw is how much of a bad row is kept, in octets.
const maxRaw = 2 << 10

func head(b []byte) []byte {
	if len(b) <= maxRaw {
		return b
	}
	b = b[:maxRaw]
	for len(b) > 0 && !utf8.Valid(b[max(0, len(b)-utf8.UTFMax):]) && !utf8.RuneStart(b[len(b)-1]) {
		b = b[:len(b)-1]
	}
	if n := len(b); n > 0 && b[n-1] >= utf8.RuneSelf { // the start of a character that was cut
		if c, size := utf8.DecodeLastRune(b); c == utf8.RuneError && size == 1 {
			b = b[:n-1]
		}
	}
	return b
}

func (r *Reader) fields(row *Row) *RowError {
	f, wrong := r.table.Fields()
	if wrong != nil {
		return &RowError{Field: wrong.Column, Rule: wrong.Rule}
	}
	field := func(col int) string {
		if r.at[col] < 0 {
			return ""
		}
		return strings.TrimSpace(f[r.at[col]])
	}
	if bad := r.recipient(row, field(colNumber), field(colPerson), field(colLanguage)); bad != nil {
		return bad
	}
	if r.schema.Texts {
		return r.text(row, field(colText))
	}
	for _, place := range r.params {
		row.Values = append(row.Values, strings.TrimSpace(f[place]))
	}
	return nil
}

// object reads {"number": "+966...", "params": {"name": "..."}, "language": "ar"}.
func (r *Reader) object(row *Row) *RowError {
	raw, wrong := r.table.Object()
	if wrong != nil {
		return &RowError{Field: wrong.Column, Rule: wrong.Rule}
	}
	var o struct {
		Number   string
		Person   string
		Language string
		Text     string
		Params   map[string]any
	}
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	dec.DisallowUnknownFields()
	if err := dec.Decode(&o); err != nil {
		return &RowError{Rule: "bad_json: " + strings.TrimPrefix(err.Error(), "json: ")}
	}
	if dec.More() {
		return &RowError{Rule: "bad_json: there is more than one object on the line"}
	}
	s := r.schema
	if o.Person != "" && s.Key == nil {
		return &RowError{Field: "person", Rule: "cannot be read: this gateway keeps no persons"}
	}
	if bad := r.recipient(row, strings.TrimSpace(o.Number), strings.TrimSpace(o.Person), strings.TrimSpace(o.Language)); bad != nil {
		return bad
	}
	if o.Text != "" && !s.Texts {
		return &RowError{Field: "text", Rule: "cannot be taken: the text is the template's, or the same for all"}
	}
	for name := range o.Params {
		if !slices.Contains(s.Params, name) {
			return &RowError{Field: paramPrefix + name, Rule: "is not known; the columns are " + s.needed()}
		}
	}
	if s.Texts {
		return r.text(row, strings.TrimSpace(o.Text))
	}
	for _, p := range s.Params {
		switch v := o.Params[p].(type) {
		case string:
			row.Values = append(row.Values, strings.TrimSpace(v))
		case json.Number:
			row.Values = append(row.Values, v.String())
		case nil:
			return &RowError{Field: paramPrefix + p, Rule: "is missing"}
		default:
			return &RowError{Field: paramPrefix + p, Rule: "is neither a text nor a number"}
		}
	}
	return nil
}

func (r *Reader) recipient(row *Row, num, person, language string) *RowError {
	switch {
	case num == "" && person == "":
		return &RowError{Rule: "empty: neither number nor person"}
	case num != "" && person != "":
		return &RowError{Rule: "both number and person: a row is for one of them"}
	case num != "":
		n, err := number.Parse(num, r.schema.Country)
		if err != nil {
			return &RowError{Field: "number", Rule: fmt.Sprintf("%v: %q is no number that a message can go to", err, num)}
		}
		row.Number = n
	default:
		if row.Person = r.schema.Key.Person(person); row.Person == (service.Person{}) {
			return &RowError{Field: "person", Rule: "empty: has no letter or digit"}
		}
	}
	if language == "" {
		return nil
	}
	l := strings.ToLower(language)
	if r.schema.Languages != nil && !r.schema.Languages(l) || len(l) > 35 {
		return &RowError{Field: "language", Rule: fmt.Sprintf("unknown_language: %q", language)}
	}
	row.Language = l
	return nil
}

func (r *Reader) text(row *Row, text string) *RowError {
	switch n := utf8.RuneCountInString(text); {
	case text == "":
		return &RowError{Field: "text", Rule: "is empty"}
	case n > maxText:
		return &RowError{Field: "text", Rule: fmt.Sprintf("has %d characters, at most %d are allowed", n, maxText)}
	}
	row.Values = append(row.Values, text)
	return nil
}
