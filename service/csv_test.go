package service

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"masar/number"
)

// fakeRegistry keeps what an import needs, in memory; the rules of consent are
// service/pebble's and are not here.
type fakeRegistry struct {
	Registry // what is not implemented panics

	mu       sync.Mutex
	people   map[Person]*Subscriber
	at       map[number.E164][]Person
	blocks   map[number.E164]Block
	marks    map[string]Bookmark
	applied  []Change
	batches  int
	failAt   int  // the batch that fails
	stored   bool // and whether it is stored all the same
	discards bool
}

func newFake() *fakeRegistry {
	return &fakeRegistry{people: map[Person]*Subscriber{}, at: map[number.E164][]Person{}, blocks: map[number.E164]Block{}, marks: map[string]Bookmark{}}
}

var errCrash = errors.New("crash")

func (r *fakeRegistry) Apply(ctx context.Context, b Batch) ([]Outcome, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.batches++
	crash := r.failAt > 0 && r.batches == r.failAt
	out := make([]Outcome, len(b.Changes))
	if r.discards {
		if b.Decided != nil {
			b.Decided(out)
		}
		return out, nil
	}
	for i := range b.Changes {
		out[i] = r.decide(&b.Changes[i], !crash || r.stored)
	}
	if b.Decided != nil {
		b.Decided(out)
	}
	if crash && !r.stored {
		return nil, errCrash
	}
	r.applied = append(r.applied, b.Changes...)
	if b.Bookmark != nil {
		r.marks[b.Bookmark.Job] = *b.Bookmark
	}
	if crash {
		return nil, errCrash
	}
	return out, nil
}

func (r *fakeRegistry) decide(c *Change, store bool) (o Outcome) {
	switch c.Kind {
	case BlockNumber:
		if store {
			r.blocks[c.Number] = Block{Scope: c.Block.Scope, Reason: c.Block.Reason, Expires: c.Block.Expires, Channel: c.Channel, At: c.Now}
		}
		return o
	case UnblockNumber:
		if store {
			delete(r.blocks, c.Number)
		}
		return o
	}
	s := r.people[c.Person]
	if s == nil && c.Person == (Person{}) && len(r.at[c.Number]) > 0 {
		s = r.people[r.at[c.Number][0]]
	}
	switch {
	case s != nil && c.Number != 0 && s.Number != c.Number:
		return Outcome{Effect: NotDone, Err: &Refused{"number", "is not the person's current one"}}
	case s == nil && c.Person == (Person{}):
		return Outcome{Effect: NotDone, Err: &Refused{"person", "is needed: nobody is known at this number"}}
	case s == nil && c.Number == 0:
		return Outcome{Effect: NotDone, Err: &Refused{"number", "is needed: the person is not known yet"}}
	}
	o.Effect = NothingNew
	if s == nil {
		s = &Subscriber{Person: c.Person, Number: c.Number, Language: c.Language}
		if store {
			r.people[c.Person] = s
			r.at[c.Number] = append(r.at[c.Number], c.Person)
		}
	}
	for _, code := range c.Services {
		i := slices.IndexFunc(s.Enrolments, func(e Enrolment) bool { return e.Service == code })
		state := Enrolled
		if c.Kind == Withdraw {
			state = Withdrawn
		} else if !c.Verified {
			state = Pending
		}
		if i >= 0 && s.Enrolments[i].State == state {
			continue
		}
		o.Effect = Changed
		if !store {
			continue
		}
		if i < 0 {
			s.Enrolments = append(s.Enrolments, Enrolment{Service: code})
			i = len(s.Enrolments) - 1
		}
		s.Enrolments[i].State, s.Enrolments[i].Channel, s.Enrolments[i].At = state, c.Channel, c.At
	}
	return o
}

func (r *fakeRegistry) Lookup(ctx context.Context, n number.E164) (*Standing, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	st := &Standing{Block: r.blocks[n]}
	for _, p := range r.at[n] {
		st.People = append(st.People, *r.people[p])
	}
	return st, nil
}

func (r *fakeRegistry) Bookmark(ctx context.Context, job string) (Bookmark, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.marks[job], nil
}

func (r *fakeRegistry) Each(ctx context.Context, f func(*Subscriber) error) error {
	people := make([]Person, 0, len(r.people))
	for p := range r.people {
		people = append(people, p)
	}
	slices.SortFunc(people, func(a, b Person) int { return bytes.Compare(a[:], b[:]) })
	for _, p := range people {
		if err := f(r.people[p]); err != nil {
			return err
		}
	}
	return nil
}

func (r *fakeRegistry) EachBlocked(ctx context.Context, f func(number.E164, Block) error) error {
	for n, b := range r.blocks {
		if err := f(n, b); err != nil {
			return err
		}
	}
	return nil
}

var (
	testKey = Key{1, 2, 3}
	testNow = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)
)

func testImport(r Registry) *Import {
	return &Import{
		Registry: r, Key: &testKey, Country: "966", Channel: "bank-a", By: "upload", Job: "job",
		Services:  func(code string) bool { return slices.Contains([]string{"IDREN", "PPEXP", "DLEXP"}, code) },
		Languages: func(tag string) bool { return tag == "ar" || tag == "en" },
		Now:       func() time.Time { return testNow },
	}
}

func badFile(t testing.TB) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "bad.csv"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func content(t testing.TB, f *os.File) string {
	t.Helper()
	b, err := os.ReadFile(f.Name())
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func day(y int, m time.Month, d int) time.Time { return time.Date(y, m, d, 0, 0, 0, 0, time.UTC) }

func TestRowsBecomeChanges(t *testing.T) {
	enrol := func(f func(*Change)) Change {
		c := Change{Person: testKey.Person("1012345678"), Number: 966501234567, Services: []string{"IDREN"}, Channel: "bank-a", By: "upload", Now: testNow}
		if f != nil {
			f(&c)
		}
		return c
	}
	const head = "person,number,services,language,consent_at,verified,by,action\n"
	for _, x := range []struct {
		name, file string
		im         func(*Import)
		want       Change
	}{
		{"all columns", head + "1012345678,0501234567,IDREN,ar,2026-11-23,true,ali,enrol\n", nil,
			enrol(func(c *Change) { c.Language, c.At, c.Verified, c.By = "ar", day(2026, 11, 23), true, "ali" })},
		{"columns in another order, other case", "SERVICES,Number,Person\nIDREN,0501234567,1012345678\n", nil, enrol(nil)},
		{"a file of bad rows, mended", "line,column,rule,person,number,services\n7,number,too_short,1012345678,0501234567,IDREN\n", nil, enrol(nil)},
		{"and mended again", "line,column,rule,line,column,rule,person,number,services\n2,services,unknown,7,number,too_short,1012345678,0501234567,IDREN\n", nil, enrol(nil)},
		{"Arabic header", "رقم الهوية,رقم الجوال,الخدمات,اللغه\n1012345678,٠٥٠١٢٣٤٥٦٧,IDREN,AR\n", nil, enrol(func(c *Change) { c.Language = "ar" })},
		{"semicolons", "person;number;services\n1012345678;0501234567;\"IDREN;PPEXP\"\n", nil, enrol(func(c *Change) { c.Services = []string{"IDREN", "PPEXP"} })},
		{"tabs, and an empty field", "person\tnumber\tlanguage\tservices\n1012345678\t0501234567\t\tIDREN\n", nil, enrol(nil)},
		{"a byte order mark and CR LF", "\ufeffperson,number,services\r\n1012345678,0501234567,IDREN\r\n", nil, enrol(nil)},
		{"no line end at the end", "person,number,services\n1012345678,0501234567,IDREN", nil, enrol(nil)},
		{"blank lines", "\n\nperson,number,services\n\n \n1012345678,0501234567,IDREN\n\n", nil, enrol(nil)},
		{"blanks around fields", "person, number ,services\n 1012345678 , 0501234567 , \"idren\" \n", nil, Change{}},
		{"services by blanks and bars, twice", "person,number,services\n1012345678,0501234567,idren PPEXP|IDREN\n", nil, enrol(func(c *Change) { c.Services = []string{"IDREN", "PPEXP"} })},
		{"services by quoted commas", "person,number,services\n1012345678,0501234567,\"IDREN,PPEXP\"\n", nil, enrol(func(c *Change) { c.Services = []string{"IDREN", "PPEXP"} })},
		{"a number without a person nobody has", "number,services\n0501234567,IDREN\n", nil, enrol(func(c *Change) { c.Person = testKey.OfNumber(966501234567) })},
		{"a moment", head + "1012345678,0501234567,IDREN,,2026-11-23T10:00:00+03:00,,,\n", nil, enrol(func(c *Change) { c.At = time.Date(2026, 11, 23, 7, 0, 0, 0, time.UTC) })},
		{"a day in its zone", head + "1012345678,0501234567,IDREN,,2026-11-23,,,\n", func(im *Import) { im.Zone = time.FixedZone("", 3*3600) },
			enrol(func(c *Change) { c.At = time.Date(2026, 11, 22, 21, 0, 0, 0, time.UTC) })},
		{"a day that began elsewhere is now", head + "1012345678,0501234567,IDREN,,2026-11-25,,,\n", nil, enrol(func(c *Change) { c.At = testNow })},
		{"day first", head + "1012345678,0501234567,IDREN,,3/11/2026,,,\n", func(im *Import) { im.DayFirst = true }, enrol(func(c *Change) { c.At = day(2026, 11, 3) })},
		{"verified by default", "person,number,services\n1012345678,0501234567,IDREN\n", func(im *Import) { im.Verified = true }, enrol(func(c *Change) { c.Verified = true })},
		{"and not where the row says so", head + "1012345678,0501234567,IDREN,,,no,,\n", func(im *Import) { im.Verified = true }, enrol(nil)},
		{"Windows-1256", "person,number,services,by\n1012345678,0501234567,IDREN,\xda\xe1\xed\n", func(im *Import) { im.Encoding = Windows1256 }, enrol(func(c *Change) { c.By = "علي" })},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := newFake()
			im := testImport(r)
			if x.im != nil {
				x.im(im)
			}
			f := badFile(t)
			bm, err := im.Run(t.Context(), strings.NewReader(x.file), f)
			if err != nil {
				t.Fatal(err)
			}
			if x.want.Now.IsZero() {
				if bm.Bad != 1 || len(r.applied) != 0 {
					t.Fatalf("%+v, %+v", bm, r.applied)
				}
				return
			}
			if len(r.applied) != 1 || !bm.Done || bm.Rows != 1 || bm.Good != 1 || bm.Changed != 1 {
				t.Fatalf("%+v, %+v\n%s", bm, r.applied, content(t, f))
			}
			if got := r.applied[0]; !got.At.Equal(x.want.At) {
				t.Errorf("consent at %v, want %v", got.At, x.want.At)
			} else {
				got.At, x.want.At = time.Time{}, time.Time{}
				if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", x.want) {
					t.Errorf("%+v\nwant %+v", got, x.want)
				}
			}
		})
	}
}

func TestWithdrawalsInAFile(t *testing.T) {
	for _, x := range []struct {
		name, row string
		im        func(*Import)
		want      Change
	}{
		{"of one service", "1012345678,IDREN,withdraw", nil, Change{Services: []string{"IDREN"}}},
		{"of everything", "1012345678,,Withdraw", nil, Change{}},
		{"of all that a key may name", "1012345678,,withdraw", func(im *Import) { im.All = []string{"IDREN"} }, Change{Services: []string{"IDREN"}}},
		{"of one's own", "1012345678,IDREN,withdraw", func(im *Import) { im.Own = true }, Change{Services: []string{"IDREN"}, Only: "bank-a"}},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := newFake()
			im := testImport(r)
			if x.im != nil {
				x.im(im)
			}
			r.people[im.Key.Person("1012345678")] = &Subscriber{Number: 966501234567}
			if _, err := im.Run(t.Context(), strings.NewReader("person,services,action\n"+x.row+"\n"), badFile(t)); err != nil || len(r.applied) != 1 {
				t.Fatalf("%+v, %v", r.applied, err)
			}
			got := r.applied[0]
			if got.Kind != Withdraw || !slices.Equal(got.Services, x.want.Services) || got.Only != x.want.Only || !got.At.Equal(testNow) {
				t.Errorf("%+v", got)
			}
		})
	}
}

func TestBadRowsAreToldAndCostTheOthersNothing(t *testing.T) {
	const head = "person,number,services,language,consent_at,verified,by,action\n"
	const good = "1012345678,0501234567,IDREN,ar,2026-11-23,true,ali,enrol\n"
	for _, x := range []struct{ name, row, column, rule string }{
		{"a short number", "1,05012,IDREN,,,,,", "number", `too_short: "05012" is no number that a message can go to`},
		{"a landline", "1,0112345678,IDREN,,,,,", "number", "not_mobile: "},
		{"letters", "1,05x,IDREN,,,,,", "number", "bad_character: "},
		{"a short code", "1,1090,IDREN,,,,,", "number", "short_code: "},
		{"nobody", ",,IDREN,,,,,", "", "empty: neither person nor number"},
		{"a person of nothing", "-,0501234567,IDREN,,,,,", "person", `empty: "-" has`},
		{"no service", "1,0501234567,,,,,,", "services", "empty: names no service to enrol in"},
		{"a separator alone", "1,0501234567,;,,,,,withdraw", "services", `empty: ";" names no service`},
		{"an unknown service", "1,0501234567,IDREN XYZ,,,,,", "services", `unknown_service: "XYZ"`},
		{"an unknown language", "1,0501234567,IDREN,fr,,,,", "language", `unknown_language: "fr"`},
		{"a bad date", "1,0501234567,IDREN,,23/11/2026,,,", "consent_at", `bad_date: "23/11/2026"; write 2026-11-23`},
		{"no such day", "1,0501234567,IDREN,,2026-02-30,,,", "consent_at", "bad_date: "},
		{"a Hijri date", "1,0501234567,IDREN,,1448-06-04,,,", "consent_at", `bad_date: "1448-06-04" is before the year 2000; dates are Gregorian`},
		{"the future", "1,0501234567,IDREN,,2026-11-26,,,", "consent_at", "in_future: "},
		{"neither true nor false", "1,0501234567,IDREN,,,maybe,,", "verified", "bad_value: "},
		{"a long clerk", "1,0501234567,IDREN,,,," + strings.Repeat("x", 65) + ",", "by", "too_long: 65 octets, at most 64"},
		{"an unknown action", "1,0501234567,IDREN,,,,,delete", "action", `unknown_action: "delete"`},
		{"too few columns", "1,0501234567", "", "wrong_columns: has 2, the header 8"},
		{"too many columns", "1,0501234567,IDREN,,,,,,", "", "wrong_columns: has 9, the header 8"},
		{"a bare quote", `1,05"01,IDREN,,,,,`, "", "bad_quotes: "},
		{"a quote that is not closed", `"1,0501234567,IDREN,,,,,`, "", "bad_quotes: "},
		{"a NUL", "1,0501234567\x00,IDREN,,,,,", "", "bad_character: the line holds a NUL"},
		{"a long line", "1,0501234567," + strings.Repeat("م", maxLine), "", "too_long: the line has more than 65536 octets"},
		{"refused by the registry", "99,,IDREN,,,,,", "number", "refused: is needed: the person is not known yet"},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := newFake()
			bad := badFile(t)
			bm, err := testImport(r).Run(t.Context(), strings.NewReader(head+good+x.row+"\n"+strings.Replace(good, "1012345678,0501234567", "2,0501234568", 1)), bad)
			if err != nil || bm.Rows != 3 || bm.Good != 2 || bm.Bad != 1 || len(r.people) != 2 || !bm.Done || bm.Line != 4 {
				t.Fatalf("%+v, %v, %d people", bm, err, len(r.people))
			}
			told := content(t, bad)
			if int64(len(told)) != bm.BadOffset {
				t.Errorf("the file has %d octets, the bookmark says %d", len(told), bm.BadOffset)
			}
			c := csv.NewReader(strings.NewReader(told))
			c.FieldsPerRecord = -1
			rows, err := c.ReadAll()
			if err != nil || len(rows) != 2 {
				t.Fatalf("%q, %v", told, err)
			}
			got := rows[1]
			if got[0] != "3" || got[1] != x.column || !strings.HasPrefix(got[2], x.rule) {
				t.Errorf("%q, want column %q, rule %q", got[:3], x.column, x.rule)
			}
			if given := strings.Join(got[3:], ","); given != x.row && !strings.HasPrefix(x.row, given) {
				t.Errorf("the row is %q, was %q", given, x.row)
			}
		})
	}
}

func TestAFileThatCannotBeMeantIsRefusedWhole(t *testing.T) {
	const row = "1,0501234567,IDREN\n"
	for _, x := range []struct {
		name, file string
		im         func(*Import)
		want       string
	}{
		{"empty", "", nil, "the file is empty"},
		{"blank", "\n \n", nil, "the file is empty"},
		{"no header", row, nil, "line 1: is no header: the first line names the columns, of person, number, services, language, consent_at, verified, by, action"},
		{"an unknown column", "person,number,services,colour\n", nil, "line 1, column colour: is not known; the columns are person, number, services, language, consent_at, verified, by, action"},
		{"a column twice", "person,number,services,Mobile\n", nil, `line 1, column Mobile: is there twice; the other is "number"`},
		{"neither person nor number", "services,by\n", nil, "line 1: the header has neither person nor number"},
		{"no services", "person,number\n", nil, "line 1: the header has no column services"},
		{"a person without a key", "person,number,services\n" + row, func(im *Import) { im.Key = nil }, "line 1, column person: cannot be read without the key that references are hashed with"},
		{"a broken header", "person,\"number,services\n" + row, nil, "line 1: bad_quotes: a quote stands within a field or is not closed; a quoted field has its own quotes doubled, and no line end"},
		{"not UTF-8", "person,number,services,by\n" + row + "1,0501234567,IDREN,\xda\xe1\xed\n", nil, "line 3: is not UTF-8 (octet DA); if Excel wrote the file in Arabic, set the encoding windows-1256"},
		{"UTF-8 read as Windows-1256", "person,number,services,by\n1,0501234567,IDREN,علي\n", func(im *Import) { im.Encoding = Windows1256 }, "line 1: the file is UTF-8, not windows-1256; leave the encoding out"},
		{"UTF-16", "\xff\xfep\x00", nil, "line 1: the file is UTF-16 (Excel: Unicode text); save it as CSV UTF-8"},
		{"an unknown encoding", row, func(im *Import) { im.Encoding = "latin-9" }, `encoding "latin-9" is not known; utf-8 or windows-1256`},
		{"a wrong octet far behind", "person,number,services\n" + strings.Repeat(row, 50000) + "1,0501234567,\xff\n", nil, "line 50002: is not UTF-8 (octet FF); if Excel wrote the file in Arabic, set the encoding windows-1256"},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := newFake()
			im := testImport(r)
			if x.im != nil {
				x.im(im)
			}
			_, err := im.Run(t.Context(), strings.NewReader(x.file), badFile(t))
			var fe *FileError
			if !errors.As(err, &fe) || err.Error() != x.want {
				t.Errorf("%v\nwant %s", err, x.want)
			}
			if r.batches != 0 {
				t.Errorf("%d batches were applied", r.batches)
			}
		})
	}
}

// manyRows is a file of n rows of which some are bad and some will be refused.
func manyRows(n int) (file string, good, bad int) {
	var b strings.Builder
	b.WriteString("person,number,services,verified\n")
	for i := range n {
		switch {
		case i%100 == 7:
			fmt.Fprintf(&b, "%d,05,IDREN,true\n", i)
			bad++
		case i%100 == 13:
			fmt.Fprintf(&b, "%d,,IDREN,true\n", i+1_000_000) // nobody knows him
			bad++
		default:
			fmt.Fprintf(&b, "%d,05%08d,IDREN PPEXP,true\n", i, i)
			good++
		}
	}
	return b.String(), good, bad
}

func TestAnImportThatIsKilledGoesOnExactly(t *testing.T) {
	file, good, bad := manyRows(5000)
	whole := badFile(t)
	if _, err := testImport(newFake()).Run(t.Context(), strings.NewReader(file), whole); err != nil {
		t.Fatal(err)
	}
	want := content(t, whole)
	for seed := range uint64(15) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			rnd := rand.New(rand.NewPCG(seed, 1))
			r, f := newFake(), badFile(t)
			runs := 0
			for {
				im := testImport(r)
				im.BatchRows = 1 + rnd.IntN(700)
				r.failAt, r.stored = r.batches+1+rnd.IntN(8), rnd.IntN(2) == 0
				bm, err := im.Run(t.Context(), strings.NewReader(file), f)
				runs++
				if err == nil {
					if bm.Rows != 5000 || bm.Good != int64(good) || bm.Bad != int64(bad) || bm.Changed != int64(good) || bm.Nothing != 0 || !bm.Done || bm.Line != 5001 || bm.Offset != int64(len(file)) {
						t.Errorf("after %d runs: %+v", runs, bm)
					}
					break
				}
				if !errors.Is(err, errCrash) {
					t.Fatal(err)
				}
				if r.marks["job"].Done {
					continue
				}
				// What a crash leaves in the file behind what was committed.
				if _, err := f.WriteAt([]byte("half a row"), int64(len(content(t, f)))); err != nil {
					t.Fatal(err)
				}
			}
			if got := content(t, f); got != want {
				t.Errorf("after %d runs the bad rows differ:\n%s", runs, got)
			}
			if len(r.people) != good || len(r.applied) != 5000-50 {
				t.Errorf("%d people, %d changes", len(r.people), len(r.applied))
			}
			if bm, err := testImport(r).Run(t.Context(), strings.NewReader(file), f); err != nil || bm.Rows != 5000 || content(t, f) != want {
				t.Errorf("a job that is done ran again: %+v, %v", bm, err)
			}
		})
	}
}

func TestBadRowsThatTheDiskLostAreOwnedUpTo(t *testing.T) {
	file, _, _ := manyRows(1000)
	r, f := newFake(), badFile(t)
	im := testImport(r)
	im.BatchRows, r.failAt, r.stored = 300, 3, true
	if _, err := im.Run(t.Context(), strings.NewReader(file), f); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	if err := f.Truncate(100); err != nil {
		t.Fatal(err)
	}
	bm, err := im.Run(t.Context(), strings.NewReader(file), f)
	if err != nil || bm.Bad != 20 || bm.BadOffset != int64(len(content(t, f))) || !strings.Contains(content(t, f), "lost: ") {
		t.Errorf("%+v, %v\n%s", bm, err, content(t, f))
	}
}

func TestAnImportEndsWithItsContext(t *testing.T) {
	file, _, _ := manyRows(5000)
	r, f := newFake(), badFile(t)
	ctx, cancel := context.WithCancel(t.Context())
	im := testImport(r)
	im.BatchRows = 100
	im.Progress = func(bm Bookmark) {
		if bm.Rows == 1000 {
			cancel()
		}
	}
	bm, err := im.Run(ctx, strings.NewReader(file), f)
	if !errors.Is(err, context.Canceled) || bm.Rows < 1000 || bm.Rows == 5000 {
		t.Fatalf("%+v, %v", bm, err)
	}
	if kept := r.marks["job"]; kept != bm {
		t.Errorf("told %+v, kept %+v", bm, kept)
	}
	if bm, err = im.Run(t.Context(), strings.NewReader(file), f); err != nil || bm.Rows != 5000 {
		t.Errorf("%+v, %v", bm, err)
	}
}

func TestAnotherFileUnderTheSameJobIsRefused(t *testing.T) {
	file, _, _ := manyRows(1000)
	r, f := newFake(), badFile(t)
	im := testImport(r)
	im.BatchRows, r.failAt = 300, 3
	_, _ = im.Run(t.Context(), strings.NewReader(file), f)
	_, err := im.Run(t.Context(), strings.NewReader(file[:2000]), f)
	if err == nil || !strings.Contains(err.Error(), "it is not the same") {
		t.Errorf("%v", err)
	}
}

type failingReader struct {
	io.ReadSeeker
	left int // reads until it fails
}

func (f *failingReader) Read(p []byte) (int, error) {
	if f.left--; f.left < 0 {
		return 0, errCrash
	}
	return f.ReadSeeker.Read(p)
}

func TestRowsBeforeAReadErrorAreKept(t *testing.T) {
	file, good, bad := manyRows(20000)
	r, f := newFake(), badFile(t)
	src := strings.NewReader(file)
	for reads := 0; ; reads++ {
		bm, err := testImport(r).Run(t.Context(), &failingReader{src, reads}, f)
		if err == nil {
			if bm.Good != int64(good) || bm.Bad != int64(bad) || reads < 3 {
				t.Errorf("after %d reads: %+v", reads, bm)
			}
			return
		}
		if !errors.Is(err, errCrash) {
			t.Fatal(err)
		}
	}
}

func TestNumbersAloneGoToWhomTheyBelong(t *testing.T) {
	r := newFake()
	bm, err := testImport(r).Run(t.Context(), strings.NewReader("person,number,services\n7,0501234567,IDREN\n,0501234567,PPEXP\n,0501234568,IDREN\n,0501234568,PPEXP\n"), badFile(t))
	if err != nil || bm.Good != 4 || len(r.people) != 2 {
		t.Fatalf("%+v, %v, %d people", bm, err, len(r.people))
	}
	for p, n := range map[Person]number.E164{testKey.Person("7"): 966501234567, testKey.OfNumber(966501234568): 966501234568} {
		if s := r.people[p]; s == nil || s.Number != n || len(s.Enrolments) != 2 {
			t.Errorf("%v: %+v", n, s)
		}
	}
}

func TestExportWritesWhatAChannelMade(t *testing.T) {
	r := newFake()
	a := testImport(r)
	if _, err := a.Run(t.Context(), strings.NewReader("person,number,services,language,consent_at,verified\n1,0501234567,IDREN PPEXP,ar,2026-11-01,yes\n"), badFile(t)); err != nil {
		t.Fatal(err)
	}
	b := testImport(r)
	b.Job, b.Channel = "other", "office"
	if _, err := b.Run(t.Context(), strings.NewReader("person,services\n1,DLEXP\n"), badFile(t)); err != nil {
		t.Fatal(err)
	}
	hash := testKey.Person("1").String()
	const head = "person_hash,number,language,state,service,enrolment,channel,consent_at,by_person,since\n"
	idren := hash + ",966501234567,ar,active,IDREN,enrolled,bank-a,2026-11-01T00:00:00Z,false,\n"
	ppexp := strings.Replace(idren, "IDREN", "PPEXP", 1)
	dlexp := hash + ",966501234567,ar,active,DLEXP,pending,office,,false,\n"
	for _, x := range []struct {
		name   string
		filter Filter
		want   string
		rows   int64
	}{
		{"everything", Filter{}, idren + ppexp + dlexp, 3},
		{"a channel", Filter{Channel: "office"}, dlexp, 1},
		{"a service", Filter{Services: []string{"PPEXP", "DLEXP"}}, ppexp + dlexp, 2},
		{"a state", Filter{State: "enrolled"}, idren + ppexp, 2},
		{"nothing", Filter{Channel: "office", State: "enrolled"}, "", 0},
	} {
		t.Run(x.name, func(t *testing.T) {
			var w bytes.Buffer
			rows, err := Export(t.Context(), r, &w, x.filter)
			if err != nil || rows != x.rows || w.String() != head+x.want {
				t.Errorf("%d rows, %v\n%s\nwant\n%s", rows, err, &w, head+x.want)
			}
		})
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Export(ctx, r, io.Discard, Filter{}); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
	if _, err := Export(t.Context(), r, failingWriter{}, Filter{}); !errors.Is(err, errCrash) {
		t.Errorf("%v", err)
	}
}

type failingWriter struct{}

func (failingWriter) Write([]byte) (int, error) { return 0, errCrash }

// FuzzImport: no file panics, hangs or loses a row: each is good or bad, and told when bad.
func FuzzImport(f *testing.F) {
	f.Add([]byte("person,number,services\n1,0501234567,IDREN\n"), uint8(1), false)
	f.Add([]byte("\xef\xbb\xbfnumber;services\r\n\"05\n01\x00\";;\r\n\n5,\"x\"\"\n"), uint8(2), false)
	f.Add([]byte("number,services,by\n0501234567,IDREN,\xda\xe1\xed\n"), uint8(3), true)
	f.Add([]byte("person\tnumber\tservices\taction\n1\t\tIDREN\twithdraw\n\t\t\t\n"), uint8(1), false)
	f.Fuzz(func(t *testing.T, file []byte, rows uint8, latin bool) {
		r := newFake()
		im := testImport(r)
		im.BatchRows = 1 + int(rows)
		if latin {
			im.Encoding = Windows1256
		}
		var bad memoryFile
		bm, err := im.Run(t.Context(), bytes.NewReader(file), &bad)
		var fe *FileError
		if errors.As(err, &fe) {
			if r.batches != 0 {
				t.Fatal("refused, and applied")
			}
			return
		}
		if err != nil || !bm.Done || bm.Rows != bm.Good+bm.Bad || bm.Good != bm.Changed+bm.Nothing || bm.Offset != int64(len(file)) {
			t.Fatalf("%+v, %v", bm, err)
		}
		c := csv.NewReader(bytes.NewReader(bad.b))
		c.FieldsPerRecord = -1
		told, err := c.ReadAll()
		if err != nil || int64(len(told)) != bm.Bad+1 || bm.BadOffset != int64(len(bad.b)) {
			t.Fatalf("%d bad rows told: %q, %v\n%+v", len(told)-1, bad.b, err, bm)
		}
	})
}

// memoryFile is a file that is only written at its end.
type memoryFile struct{ b []byte }

func (m *memoryFile) Write(p []byte) (int, error) { m.b = append(m.b, p...); return len(p), nil }
func (m *memoryFile) Truncate(n int64) error      { m.b = m.b[:n]; return nil }
func (m *memoryFile) Seek(n int64, whence int) (int64, error) {
	if whence == io.SeekEnd {
		n += int64(len(m.b))
	}
	return n, nil
}

// BenchmarkImport is a row's cost without the store.
func BenchmarkImport(b *testing.B) {
	var file bytes.Buffer
	file.WriteString("person,number,services,language,consent_at,verified,by\n")
	const rows = 200_000
	for i := range rows {
		fmt.Fprintf(&file, "1%09d,05%08d,IDREN|PPEXP|DLEXP,ar,2026-11-01,true,branch-%d\n", i, i, i%100)
	}
	r := newFake()
	r.discards = true
	b.ReportAllocs()
	n := 0
	for b.Loop() {
		im := testImport(r)
		var bad memoryFile
		if bm, err := im.Run(b.Context(), bytes.NewReader(file.Bytes()), &bad); err != nil || bm.Rows != rows {
			b.Fatalf("%+v, %v", bm, err)
		}
		n += rows
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/row")
}
