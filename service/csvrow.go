package service

import (
	"crypto/hmac"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"slices"
	"strings"
	"time"

	"masar/number"
)

// The columns of a file of enrolments.
const (
	colPerson = iota
	colNumber
	colServices
	colLanguage
	colConsent
	colVerified
	colBy
	colAction
	columns
)

var columnNames = [columns]string{"person", "number", "services", "language", "consent_at", "verified", "by", "action"}

// columnWords are other names that a header may have for them, read as keywords are:
// without regard to case, hamza, blanks and underscores.
var columnWords = [columns][]string{
	colPerson:   {"person", "person_id", "national_id", "id", "reference", "رقم الهوية", "الهوية", "السجل المدني"},
	colNumber:   {"number", "mobile", "msisdn", "phone", "رقم الجوال", "الجوال", "رقم الهاتف"},
	colServices: {"services", "service", "الخدمات", "الخدمة", "رمز الخدمة"},
	colLanguage: {"language", "lang", "اللغة"},
	colConsent:  {"consent_at", "consent", "consent_date", "تاريخ الموافقة"},
	colVerified: {"verified", "موثق", "تم التحقق"},
	colBy:       {"by", "clerk", "user", "الموظف", "المستخدم"},
	colAction:   {"action", "العملية", "الإجراء"},
}

func folded(s string) string { return strings.Join(tokens(s), "") }

// badColumns are what a file of bad rows tells of each before the row itself.
var badColumns = [...]string{"line", "column", "rule"}

// readHeader finds the columns of a header: place of each, -1 where it is not there.
func readHeader(names []string, words [][]string) (at []int, err error) {
	at = make([]int, len(words))
	for i := range at {
		at[i] = -1
	}
	some := false
	var unknown []string
	told := 0 // columns that a file of bad rows has in front
	for len(names)-told >= len(badColumns) && slices.Equal(names[told:told+len(badColumns)], badColumns[:]) {
		told += len(badColumns)
	}
	for i, name := range names {
		if i < told {
			continue // a file of bad rows, mended: what was told of them does not count
		}
		f := folded(name)
		col := slices.IndexFunc(words, func(w []string) bool {
			return slices.ContainsFunc(w, func(s string) bool { return folded(s) == f })
		})
		switch {
		case col < 0:
			unknown = append(unknown, name)
		case at[col] >= 0:
			return nil, &FileError{Line: 1, Column: name, Rule: fmt.Sprintf("is there twice; the other is %q", names[at[col]])}
		default:
			at[col], some = i, true
		}
	}
	var known []string
	for _, w := range words {
		known = append(known, w[0])
	}
	list := strings.Join(known, ", ")
	if !some {
		return nil, &FileError{Line: 1, Rule: "is no header: the first line names the columns, of " + list}
	}
	if len(unknown) > 0 {
		return nil, &FileError{Line: 1, Column: unknown[0], Rule: "is not known; the columns are " + list}
	}
	return at, nil
}

// onLine says where the header is, which blank lines and comments may precede.
func onLine(err error, line int64) error {
	var e *FileError
	if errors.As(err, &e) && e.Line > 0 {
		e.Line = line
	}
	return err
}

// rowReader makes a Change of a row. It belongs to one goroutine.
type rowReader struct {
	im       *Import
	at       []int
	width    int
	now      time.Time
	mac      hash.Hash // nil: no key
	buf      []byte
	services map[string][]string // as written -> codes; bounded
	language map[string]string
}

// maxInterned bounds what a rowReader remembers of each kind: a file has few different
// lists of services, and one that has many must not cost memory.
const maxInterned = 4096

func (im *Import) newRowReader(header []string, now time.Time) (*rowReader, error) {
	at, err := readHeader(header, columnWords[:])
	if err != nil {
		return nil, err
	}
	missing := func(rule string) error { return &FileError{Line: 1, Rule: rule} }
	switch {
	case at[colPerson] < 0 && at[colNumber] < 0:
		return nil, missing("the header has neither person nor number")
	case at[colServices] < 0:
		return nil, missing("the header has no column services")
	case at[colPerson] >= 0 && im.Key == nil:
		return nil, &FileError{Line: 1, Column: header[at[colPerson]], Rule: "cannot be read without the key that references are hashed with"}
	}
	r := &rowReader{im: im, at: at, width: len(header), now: now, services: map[string][]string{}, language: map[string]string{}}
	if im.Key != nil {
		r.mac = hmac.New(sha256.New, im.Key[:])
	}
	return r, nil
}

func (r *rowReader) field(f []string, col int) string {
	if r.at[col] < 0 {
		return ""
	}
	return strings.TrimSpace(f[r.at[col]])
}

// change reads the fields of one row.
func (r *rowReader) change(f []string) (ch Change, bad *badRow) {
	no := func(col int, rule string, args ...any) (Change, *badRow) {
		return Change{}, &badRow{columnNames[col], fmt.Sprintf(rule, args...)}
	}
	if len(f) != r.width {
		return Change{}, &badRow{"", fmt.Sprintf("wrong_columns: has %d, the header %d", len(f), r.width)}
	}
	ch = Change{Verified: r.im.Verified, Channel: r.im.Channel, By: r.im.By, Now: r.now}
	switch s := r.field(f, colAction); {
	case s == "" || strings.EqualFold(s, "enrol") || strings.EqualFold(s, "enroll"):
	case strings.EqualFold(s, "withdraw"):
		ch.Kind = Withdraw
	default:
		return no(colAction, "unknown_action: %q is neither enrol nor withdraw", s)
	}
	if s := r.field(f, colPerson); s != "" {
		if ch.Person = r.person(s); ch.Person == (Person{}) {
			return no(colPerson, "empty: %q has no letter or digit", s)
		}
	}
	if s := r.field(f, colNumber); s != "" {
		n, err := number.Parse(s, r.im.Country)
		if err != nil {
			return no(colNumber, "%v: %q is no number that a message can go to", err, s)
		}
		ch.Number = n
	}
	if ch.Person == (Person{}) && ch.Number == 0 {
		return Change{}, &badRow{"", "empty: neither person nor number"}
	}
	if ch.Services, bad = r.codes(r.field(f, colServices)); bad != nil {
		return Change{}, bad
	}
	if len(ch.Services) == 0 && ch.Kind == Enrol {
		return no(colServices, "empty: names no service to enrol in")
	}
	if s := r.field(f, colLanguage); s != "" {
		if ch.Language, bad = r.languageOf(s); bad != nil {
			return Change{}, bad
		}
	}
	if s := r.field(f, colConsent); s != "" {
		if ch.At, bad = r.date(s); bad != nil {
			return Change{}, bad
		}
	}
	if s := r.field(f, colVerified); s != "" {
		switch yes, ok := readBool(s); {
		case !ok:
			return no(colVerified, "bad_value: %q is neither true nor false", s)
		default:
			ch.Verified = yes
		}
	}
	if s := r.field(f, colBy); s != "" {
		if len(s) > 64 {
			return no(colBy, "too_long: %d octets, at most 64", len(s))
		}
		ch.By = s
	}
	if ch.Kind == Withdraw {
		ch.Verified, ch.Language = false, ""
		if r.im.Own {
			ch.Only = r.im.Channel
		}
		if len(ch.Services) == 0 {
			ch.Services = r.im.All
		}
		if ch.At.IsZero() {
			ch.At = r.now
		}
	}
	return ch, nil
}

// person is Key.Person without a new HMAC each time.
func (r *rowReader) person(reference string) (p Person) {
	clean := cleanReference(reference)
	if clean == "" {
		return p
	}
	r.mac.Reset()
	r.buf = append(append(r.buf[:0], 'r'), clean...)
	r.mac.Write(r.buf)
	r.buf = r.mac.Sum(r.buf[:0])
	copy(p[:], r.buf)
	return p
}

func (r *rowReader) codes(s string) ([]string, *badRow) {
	if s == "" {
		return nil, nil
	}
	if codes, has := r.services[s]; has {
		return codes, nil
	}
	var codes []string
	for _, w := range strings.FieldsFunc(s, func(c rune) bool { return strings.ContainsRune(" ;|,،\t\u00a0", c) }) {
		code := strings.ToUpper(w)
		if !r.im.Services(code) {
			return nil, &badRow{columnNames[colServices], fmt.Sprintf("unknown_service: %q", w)}
		}
		if !slices.Contains(codes, code) {
			codes = append(codes, code)
		}
	}
	if len(codes) == 0 { // not as good as empty: a withdrawal would take off everything
		return nil, &badRow{columnNames[colServices], fmt.Sprintf("empty: %q names no service", s)}
	}
	if len(r.services) < maxInterned {
		r.services[strings.Clone(s)] = codes
	}
	return codes, nil
}

func (r *rowReader) languageOf(s string) (string, *badRow) {
	if l, has := r.language[s]; has {
		return l, nil
	}
	l := strings.ToLower(s)
	if r.im.Languages != nil && !r.im.Languages(l) {
		return "", &badRow{columnNames[colLanguage], fmt.Sprintf("unknown_language: %q", s)}
	}
	if len(l) > 35 { // the longest tag that RFC 5646 asks everybody to take
		return "", &badRow{columnNames[colLanguage], fmt.Sprintf("too_long: %d octets, at most 35", len(l))}
	}
	if len(r.language) < maxInterned {
		r.language[strings.Clone(s)] = strings.Clone(l)
	}
	return l, nil
}

// date reads when consent was given: a day counts from its first moment, so that a
// withdrawal on the same day is the later one.
func (r *rowReader) date(s string) (time.Time, *badRow) {
	at, day, ok := readDate(s, r.im.DayFirst, r.im.zone())
	switch {
	case !ok && r.im.DayFirst:
		return at, &badRow{columnNames[colConsent], fmt.Sprintf("bad_date: %q; write 2026-11-23, 2026-11-23T10:00:00+03:00 or 23/11/2026", s)}
	case !ok:
		return at, &badRow{columnNames[colConsent], fmt.Sprintf("bad_date: %q; write 2026-11-23 or 2026-11-23T10:00:00+03:00", s)}
	case at.Year() < 2000:
		return at, &badRow{columnNames[colConsent], fmt.Sprintf("bad_date: %q is before the year 2000; dates are Gregorian", s)}
	case day && at.After(r.now) && at.Before(r.now.Add(24*time.Hour)):
		return r.now, nil // today, east of the zone
	case at.After(r.now.Add(5 * time.Minute)):
		return at, &badRow{columnNames[colConsent], fmt.Sprintf("in_future: %q", s)}
	}
	return at, nil
}

// readDate reads a day or a moment; day says which.
func readDate(s string, dayFirst bool, zone *time.Location) (at time.Time, day, ok bool) {
	if len(s) == 10 {
		layout := time.DateOnly
		if dayFirst && s[2] == '/' {
			layout = "02/01/2006"
		}
		at, err := time.ParseInLocation(layout, s, zone)
		return at, true, err == nil
	}
	if dayFirst && strings.Count(s, "/") == 2 {
		at, err := time.ParseInLocation("2/1/2006", s, zone)
		return at, true, err == nil
	}
	at, err := time.Parse(time.RFC3339, s)
	return at, false, err == nil
}

func readBool(s string) (yes, ok bool) {
	switch strings.ToLower(s) {
	case "true", "yes", "y", "1", "نعم":
		return true, true
	case "false", "no", "n", "0", "لا":
		return false, true
	}
	return false, false
}
