package reminder

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"masar/number"
	"masar/service"
)

// Rows says how the rows of a file are read.
type Rows struct {
	Account     string // whose they are
	Channel, By string // who brings them
	Catalogue   *service.Catalogue
	Services    func(code string) bool // which it may name; nil: any
	Service     string                 // of a file that has no column service; empty: it must have one
	Calendar    Calendar               // of rows that do not say
	Key         *service.Key           // hashes persons; nil: the file can name none
	Country     string                 // country code of numbers in national form
}

// The columns that are not parameters.
const (
	colKey = iota
	colPerson
	colNumber
	colService
	colExpires
	colCalendar
	colLead
	columns
)

// columnWords are what a header may call them, read without regard to case, hamza, blanks
// and underscores; the first is the one that JSON Lines have.
var columnWords = [columns][]string{
	colKey:      {"key", "reference", "document", "رقم الوثيقة", "المرجع"},
	colPerson:   {"person", "person_id", "national_id", "رقم الهوية", "الهوية", "السجل المدني"},
	colNumber:   {"number", "mobile", "msisdn", "phone", "رقم الجوال", "الجوال", "رقم الهاتف"},
	colService:  {"service", "الخدمة", "رمز الخدمة"},
	colExpires:  {"expires", "expiry", "expiry_date", "تاريخ الانتهاء"},
	colCalendar: {"calendar", "التقويم"},
	colLead:     {"lead_days", "أيام التذكير"},
}

const paramPrefix = "params."

// A RowReader makes Reminders of rows. It belongs to one goroutine.
type RowReader struct {
	o      Rows
	table  *service.Table
	at     []int // place of each column; -1
	others []int // places of parameters
	names  []string
}

// ReadRows reads the header of a CSV file, or begins with JSON Lines. Errors: *service.FileError.
func ReadRows(o Rows, t *service.Table) (*RowReader, error) {
	r := &RowReader{o: o, table: t}
	if t.Header() == nil {
		return r, nil
	}
	params := r.params()
	words := make([][]string, columns)
	for i, all := range columnWords {
		words[i] = append(words[i], all[0])
		for _, w := range all[1:] { // the parameter of a template goes before another word for a column
			if w == ParamExpiry || !params[w] {
				words[i] = append(words[i], w)
			}
		}
	}
	var err error
	r.at, r.others, err = t.Columns(words, func(name string) bool {
		name, prefixed := strings.CutPrefix(strings.TrimSpace(name), paramPrefix)
		return prefixed || params[name]
	})
	var wrong *service.FileError
	switch {
	case errors.As(err, &wrong) && wrong.Rule == "is not known":
		return nil, &service.FileError{Line: wrong.Line, Column: wrong.Column, Rule: "is not known: it is neither one of " + known() + " nor a parameter of a reminder's template"}
	case err != nil:
		return nil, err
	}
	line := t.Line()
	missing := func(column string) error {
		return &service.FileError{Line: line, Column: column, Rule: "is missing; the columns are " + known() + " and the template's parameters"}
	}
	switch {
	case r.at[colKey] < 0:
		return nil, missing("key")
	case r.at[colPerson] < 0 && r.at[colNumber] < 0:
		return nil, missing("person or number")
	case r.at[colExpires] < 0:
		return nil, missing("expires")
	case r.at[colService] < 0 && o.Service == "":
		return nil, missing("service")
	case r.at[colPerson] >= 0 && o.Key == nil:
		return nil, &service.FileError{Line: line, Column: "person", Rule: "cannot be read without the key that references are hashed with"}
	}
	for _, place := range r.others {
		name := strings.TrimPrefix(strings.TrimSpace(t.Header()[place]), paramPrefix)
		if slices.Contains(r.names, name) {
			return nil, &service.FileError{Line: line, Column: t.Header()[place], Rule: "is there twice"}
		}
		r.names = append(r.names, name)
	}
	return r, nil
}

func known() string {
	names := make([]string, columns)
	for i, w := range columnWords {
		names[i] = w[0]
	}
	return strings.Join(names, ", ")
}

// params are the parameters of all templates of reminders.
func (r *RowReader) params() map[string]bool {
	all := map[string]bool{}
	for _, s := range r.o.Catalogue.Services() {
		if s.Kind == service.ExpiryReminder {
			for i := range s.Params {
				all[s.Params[i].Name] = true
			}
		}
	}
	return all
}

// Next goes to the next row; false: there is none. The error is the file's.
func (r *RowReader) Next() (bool, error) { return r.table.Next() }

// Table is where the rows are read.
func (r *RowReader) Table() *service.Table { return r.table }

// Row is the row at hand, or what is wrong with it. What only a catalogue and the day know
// is asked by Check, when it is put.
func (r *RowReader) Row() (Reminder, *service.BadRow) {
	var w written
	var bad *service.BadRow
	if r.table.Header() == nil {
		bad = r.object(&w)
	} else {
		bad = r.fields(&w)
	}
	if bad != nil {
		return Reminder{}, bad
	}
	return r.reminder(&w)
}

// written is a row as it stands in the file.
type written struct {
	Key      string            `json:"key"`
	Person   string            `json:"person"`
	Number   string            `json:"number"`
	Service  string            `json:"service"`
	Expires  string            `json:"expires"`
	Calendar string            `json:"calendar"`
	Lead     []int             `json:"lead_days"`
	Params   map[string]string `json:"params"`
}

func (r *RowReader) fields(w *written) *service.BadRow {
	f, bad := r.table.Fields()
	if bad != nil {
		return bad
	}
	cell := func(col int) string {
		if r.at[col] < 0 {
			return ""
		}
		return strings.TrimSpace(f[r.at[col]])
	}
	w.Key, w.Person, w.Number, w.Service = cell(colKey), cell(colPerson), cell(colNumber), cell(colService)
	w.Expires, w.Calendar = cell(colExpires), cell(colCalendar)
	if lead := cell(colLead); lead != "" {
		for _, word := range strings.FieldsFunc(lead, func(c rune) bool { return strings.ContainsRune(" ,;|/،", c) }) {
			days, err := strconv.Atoi(europeanDigits(word))
			if err != nil {
				return r.bad(colLead, "bad_value: %q is no number of days; write 60 30 7", short(word))
			}
			w.Lead = append(w.Lead, days)
		}
	}
	for i, place := range r.others {
		if value := strings.TrimSpace(f[place]); value != "" {
			if w.Params == nil {
				w.Params = make(map[string]string, len(r.others))
			}
			w.Params[r.names[i]] = value
		}
	}
	return nil
}

func (r *RowReader) object(w *written) *service.BadRow {
	b, bad := r.table.Object()
	if bad != nil {
		return bad
	}
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields()
	if err := d.Decode(w); err != nil {
		var kind *json.UnmarshalTypeError
		if errors.As(err, &kind) {
			return r.table.Bad(kind.Field, fmt.Sprintf("bad_value: a %s stands there", kind.Value))
		}
		return r.table.Bad("", "bad_json: "+strings.TrimPrefix(err.Error(), "json: "))
	}
	if _, err := d.Token(); err != io.EOF {
		return r.table.Bad("", "bad_json: something stands behind the object")
	}
	return nil
}

func (r *RowReader) bad(col int, rule string, args ...any) *service.BadRow {
	return r.table.Bad(columnWords[col][0], fmt.Sprintf(rule, args...))
}

func (r *RowReader) reminder(w *written) (Reminder, *service.BadRow) {
	m := Reminder{Account: r.o.Account, Key: w.Key, Service: strings.ToUpper(w.Service), Lead: w.Lead, Params: w.Params, Channel: r.o.Channel, By: r.o.By, Calendar: r.o.Calendar}
	if m.Service == "" {
		m.Service = r.o.Service
	}
	if r.o.Services != nil && m.Service != "" && !r.o.Services(m.Service) {
		return m, r.bad(colService, "unknown_service: %q", short(m.Service))
	}
	if w.Calendar != "" {
		c, ok := CalendarOf(w.Calendar)
		if !ok {
			return m, r.bad(colCalendar, "bad_value: %q is neither gregorian nor hijri", short(w.Calendar))
		}
		m.Calendar = c
	}
	day, err := ParseDay(w.Expires, m.Calendar)
	if err != nil {
		return m, r.bad(colExpires, "bad_date: %v", err)
	}
	m.Expires = day
	if w.Person != "" {
		if r.o.Key == nil {
			return m, r.bad(colPerson, "cannot be read without the key that references are hashed with")
		}
		if m.Person = r.o.Key.Person(w.Person); m.Person == (service.Person{}) {
			return m, r.bad(colPerson, "empty: %q has no letter or digit", short(w.Person))
		}
	}
	if w.Number != "" {
		n, err := number.Parse(w.Number, r.o.Country)
		if err != nil {
			return m, r.bad(colNumber, "%v: %q is no number that a message can go to", err, short(w.Number))
		}
		m.Number = n
	}
	return m, nil
}

// An Import is a file of reminders that is put.
type Import struct {
	Rows
	JSONLines bool                   // else CSV
	Encoding  string                 // service.UTF8 (or empty), service.Windows1256; CSV's
	Job       string                 // names the file: what is known of it is gone on with
	Progress  func(service.Bookmark) // nil, or called after each batch
	BatchRows int                    // put together; 0: 2000
}
