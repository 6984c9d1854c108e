package campaign_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"
	"unicode/utf16"

	"github.com/cockroachdb/pebble/v2/vfs"
	"golang.org/x/text/encoding/charmap"

	"masar/service"
	"masar/service/campaign"
)

// wide is a text as UTF-16 with its mark.
func wide(s string, big bool) string {
	var b bytes.Buffer
	put := func(u uint16) {
		if big {
			b.Write([]byte{byte(u >> 8), byte(u)})
		} else {
			b.Write([]byte{byte(u), byte(u >> 8)})
		}
	}
	put(0xfeff)
	for _, u := range utf16.Encode([]rune(s)) {
		put(u)
	}
	return b.String()
}

func windows1256(t testing.TB, s string) string {
	t.Helper()
	out, err := charmap.Windows1256.NewEncoder().String(s)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// read reads a file as an upload does.
func read(file string, f campaign.Format, schema *campaign.Schema) ([]campaign.Row, error) {
	var spooled bytes.Buffer
	if _, err := campaign.Spool(context.Background(), &spooled, strings.NewReader(file), f, 0); err != nil {
		return nil, err
	}
	r, err := campaign.Read(context.Background(), bytes.NewReader(spooled.Bytes()), f, schema)
	if err != nil {
		return nil, err
	}
	var rows []campaign.Row
	for {
		var row campaign.Row
		has, err := r.Next(&row)
		if err != nil || !has {
			return rows, err
		}
		rows = append(rows, row)
	}
}

func schema(params ...string) *campaign.Schema {
	s, _ := schemaOf(params...)(nil)
	return s
}

// says is a row in one line.
func says(r *campaign.Row) string {
	if r.Kind == campaign.Bad {
		return fmt.Sprintf("%d bad %s: %s", r.Row, r.Column, r.Rule)
	}
	return fmt.Sprintf("%d %s %s %s", r.Row, r.Recipient(), r.Language, strings.Join(r.Values, "|"))
}

func TestFilesAreReadInEveryFormPeopleSendThem(t *testing.T) {
	person := testKey.Person("1012345678").String()
	const arabic = "number,name\n0501234567,هدى\n"
	texts := &campaign.Schema{Texts: true, Country: "966"}
	for _, c := range []struct {
		name, file string
		f          campaign.Format
		schema     *campaign.Schema
		want       []string
	}{
		{"plain", "number,name\n0501234567,Huda\n", campaign.Format{}, schema("name"), []string{"2 966501234567  Huda"}},
		{"byte order mark, semicolons, CRLF, blank lines", "\ufeff\r\nNumber; name ;lang\r\n\r\n0501234567;\"a;b\";AR\r\n", campaign.Format{}, schema("name"), []string{"4 966501234567 ar a;b"}},
		{"tabs", "name\tnumber\n\t0501234567\n", campaign.Format{}, schema("name"), []string{"2 966501234567  "}},
		{"UTF-16, little end first", wide(arabic, false), campaign.Format{}, schema("name"), []string{"2 966501234567  هدى"}},
		{"UTF-16, big end first", wide(arabic, true), campaign.Format{}, schema("name"), []string{"2 966501234567  هدى"}},
		{"windows-1256", windows1256(t, arabic), campaign.Format{Encoding: service.Windows1256}, schema("name"), []string{"2 966501234567  هدى"}},
		{"Arabic header and digits", "رقم الجوال,name\n٠٥٠١٢٣٤٥٦٧,x\n", campaign.Format{}, schema("name"), []string{"2 966501234567  x"}},
		{"persons", "person,name\n1012345678,x\n", campaign.Format{}, schema("name"), []string{"2 " + person + "  x"}},
		{"either", "person,number,name\n1012345678,,x\n,0501234567,y\n", campaign.Format{}, schema("name"), []string{"2 " + person + "  x", "3 966501234567  y"}},
		{"a parameter called as a column", "number,params.number,params.text\n0501234567,7,t\n", campaign.Format{}, schema("text", "number"), []string{"2 966501234567  t|7"}},
		{"a parameter called as a word for a column", "number,mobile\n0501234567,7\n", campaign.Format{}, schema("mobile"), []string{"2 966501234567  7"}},
		{"no parameters", "number\n0501234567\n", campaign.Format{}, schema(), []string{"2 966501234567  "}},
		{"texts", "number,text\n0501234567,\"hello, you\"\n", campaign.Format{}, texts, []string{"2 966501234567  hello, you"}},
		{"JSON Lines", "{\"number\":\"0501234567\",\"params\":{\"name\":\"هدى\"},\"language\":\"en\"}\n\n{\"person\":\"1012345678\",\"params\":{\"name\":12.50}}", campaign.Format{JSONLines: true}, schema("name"), []string{"1 966501234567 en هدى", "3 " + person + "  12.50"}},
		{"JSON Lines in UTF-16", wide("{\"number\":\"0501234567\",\"text\":\"نص\"}\n", false), campaign.Format{JSONLines: true}, texts, []string{"1 966501234567  نص"}},
		{"a mended file of bad rows", "line,column,rule,number,name\n7,number,too_short,0501234567,x\n", campaign.Format{}, schema("name"), []string{"2 966501234567  x"}},
		{"what is wrong with rows", "number,person,name,language\n,,x,\n0501234567,1012345678,x,\n05012,,x,\n0501234567,,x,fr\n0501234567,x\n,--,x,\n0501234567,,\"x\n0501234567,,ok,\n", campaign.Format{}, schema("name"), []string{
			"2 bad : empty: neither number nor person",
			"3 bad : both number and person: a row is for one of them",
			`4 bad number: too_short: "05012" is no number that a message can go to`,
			`5 bad language: unknown_language: "fr"`,
			"6 bad : wrong_columns: has 2, the header 4",
			"7 bad person: empty: has no letter or digit",
			"8 bad : bad_quotes: a quote stands within a field or is not closed; a quoted field has its own quotes doubled, and no line end",
			"9 966501234567  ok",
		}},
		{"what is wrong with objects", "nonsense\n{\"number\":\"0501234567\",\"parms\":{}}\n{\"number\":\"0501234567\"}\n{\"number\":\"0501234567\",\"params\":{\"name\":[]}}\n{\"number\":\"0501234567\",\"params\":{\"name\":\"x\",\"more\":1}}\n{\"number\":\"0501234567\",\"params\":{\"name\":\"x\"}} {}\n{\"number\":\"0501234567\",\"params\":{\"name\":\"x\"},\"text\":\"t\"}", campaign.Format{JSONLines: true}, schema("name"), []string{
			"1 bad : bad_json: invalid character 'o' in literal null (expecting 'u')",
			`2 bad : bad_json: unknown field "parms"`,
			"3 bad params.name: is missing",
			"4 bad params.name: is neither a text nor a number",
			"5 bad params.more: is not known; the columns are number or person, name; language may be there",
			"6 bad : bad_json: there is more than one object on the line",
			"7 bad text: cannot be taken: the text is the template's, or the same for all",
		}},
		{"an empty text", "number,text\n0501234567,\n", campaign.Format{}, texts, []string{"2 bad text: is empty"}},
		{"a text that is too long", "number,text\n0501234567," + strings.Repeat("س", 20001) + "\n", campaign.Format{}, texts, []string{"2 bad text: has 20001 characters, at most 20000 are allowed"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			rows, err := read(c.file, c.f, c.schema)
			if err != nil {
				t.Fatal(err)
			}
			for i := range rows {
				if i >= len(c.want) || says(&rows[i]) != c.want[i] {
					t.Errorf("got %s", says(&rows[i]))
				}
			}
			if len(rows) != len(c.want) {
				t.Errorf("%d rows, want %d", len(rows), len(c.want))
			}
		})
	}
}

func TestAFileThatCannotBeWhatWasMeantIsRefusedByLineAndColumn(t *testing.T) {
	arabic := windows1256(t, "هدى بنت سعد")
	long := strings.Repeat("x", 300<<10)
	for _, c := range []struct {
		name, file string
		f          campaign.Format
		want       string
	}{
		{"empty", "", campaign.Format{}, "the file is empty"},
		{"blank", "\n \n", campaign.Format{}, "the file is empty"},
		{"a parameter is missing", "number,name\n1,2\n", campaign.Format{}, "line 1, column date: is missing; the columns are number or person, name, date; language may be there"},
		{"nobody to send to", "\nname,date\n", campaign.Format{}, "line 2, column number: is missing, and so is person; the columns"},
		{"an unknown column", "number,name,date,colour\n", campaign.Format{}, "line 1, column colour: is not known; the columns are"},
		{"a column twice", "number,name,date,name\n", campaign.Format{}, "line 1, column name: is there twice"},
		{"a parameter twice, once with its prefix", "number,name,date,params.name\n", campaign.Format{}, "column params.name: is there twice"},
		{"a text beside the template", "number,name,date,text\n", campaign.Format{}, "line 1, column text: cannot be taken"},
		{"mixed encodings", "number,name,date\n0501234567,هدى,x\n0501234568," + arabic + ",x\n", campaign.Format{}, "line 3, column name: is not UTF-8 (octet E5): the file mixes encodings"},
		{"mixed encodings behind a long line", "number,name,date\n0501234567," + long + ",x\n0501234568,x," + arabic + "\n", campaign.Format{}, "line 3, column date: is not UTF-8"},
		{"all in another encoding", "number,name,date\n0501234568," + arabic + ",x\n", campaign.Format{}, "line 2, column name: is not UTF-8"},
		{"mixed, said to be windows-1256", "number,name,date\n0501234567," + arabic + ",x\n0501234568,هدى,x\n", campaign.Format{Encoding: service.Windows1256}, "line 3, column name: mixes encodings: line 2 is windows-1256, line 3 is UTF-8"},
		{"UTF-8, said to be windows-1256", "number,name,date\n0501234568,هدى,x\n", campaign.Format{Encoding: service.Windows1256}, "line 2: is UTF-8, not windows-1256"},
		{"UTF-16, said to be windows-1256", wide("number,name,date\n", false), campaign.Format{Encoding: service.Windows1256}, "the file is UTF-16, not windows-1256"},
		{"UTF-16 with half a character", wide("number,name,date\n1,x,y\n", false) + "\x00\xd8", campaign.Format{}, "line 3, column number: holds half a UTF-16 character"},
		{"an unknown encoding", "number\n", campaign.Format{Encoding: "latin-9"}, `encoding "latin-9" is not known`},
		{"JSON Lines in windows-1256", "{}\n", campaign.Format{JSONLines: true, Encoding: service.Windows1256}, "JSON Lines are UTF-8"},
		{"JSON Lines with mixed encodings", "{\"number\":\"1\"}\n{\"number\":\"" + arabic + "\"}\n", campaign.Format{JSONLines: true}, "line 2: is not UTF-8"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := read(c.file, c.f, schema("name", "date"))
			var wrong *service.FileError
			if !errors.As(err, &wrong) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got  %v\nwant %s", err, c.want)
			}
			// Nothing half applied: a campaign keeps the file it had.
			s := open(t, vfs.NewMem())
			k := load(t, s, made(t, s).ID, "number,name,date\n0501234567,x,y\n", "name", "date")
			after, err := s.Load(t.Context(), k.ID, strings.NewReader(c.file), c.f, 0, schemaOf("name", "date"))
			if !errors.As(err, &wrong) || after.Counts.Rows != 1 || after.Generation() != k.Generation() {
				t.Errorf("%v, %+v", err, after)
			}
			if got := report(t, s, k.ID); len(got) != 1 {
				t.Errorf("the campaign has the rows %v", got)
			}
		})
	}
	if _, err := campaign.Spool(t.Context(), new(bytes.Buffer), strings.NewReader(long), campaign.Format{}, 1000); !errors.Is(err, campaign.ErrTooLarge) {
		t.Errorf("a file that is too large: %v", err)
	}
}

func TestBadRowsMendedAreAFileAgain(t *testing.T) {
	s := open(t, vfs.NewMem())
	c := load(t, s, made(t, s).ID, "number;name\n05;\"Huda; B\"\n0501234567;x\n0501234567;twice\n0501234568\n", "name")
	var b bytes.Buffer
	if err := s.Bad(t.Context(), c.ID, &b); err != nil {
		t.Fatal(err)
	}
	const want = `line,column,rule,number,name
2,number,"too_short: ""05"" is no number that a message can go to",05,Huda; B
5,,"wrong_columns: has 1, the header 2",0501234568
`
	if b.String() != want {
		t.Fatalf("got\n%swant\n%s", &b, want)
	}
	mended := strings.Replace(b.String(), ",05,", ",0501234569,", 1)
	if c = load(t, s, c.ID, mended, "name"); c.Counts.Left != 1 || c.Counts.Bad != 1 {
		t.Errorf("%+v", c.Counts)
	}
	lines, err := s.Load(t.Context(), c.ID, strings.NewReader("{\"number\":\"05\"}\n"), campaign.Format{JSONLines: true}, 0, schemaOf("name"))
	if err != nil {
		t.Fatal(err)
	}
	b.Reset()
	if err := s.Bad(t.Context(), lines.ID, &b); err != nil || b.String() != "line,column,rule,row\n1,number,\"too_short: \"\"05\"\" is no number that a message can go to\",\"{\"\"number\"\":\"\"05\"\"}\"\n" {
		t.Errorf("%v %s", err, &b)
	}
}

func TestDuplicatesAreFoundByNumberAndByPersonAndTheFirstStays(t *testing.T) {
	s := open(t, vfs.NewMem())
	c := load(t, s, made(t, s).ID, strings.Join([]string{"number,person",
		"0501234567,", ",1012345678", "+966 50 123 4567,", "٠٥٠١٢٣٤٥٦٧,", ",10-1234 5678", "0501234568,", ",1012345679", "0501234567,"}, "\n"))
	if n := c.Counts; n.Rows != 8 || n.Duplicate != 4 || n.Left != 4 {
		t.Fatalf("%+v", n)
	}
	got := report(t, s, c.ID)
	for row, want := range map[string]string{"2": "left ", "3": "left ", "4": "duplicate of row 2", "5": "duplicate of row 2", "6": "duplicate of row 3", "7": "left ", "8": "left ", "9": "duplicate of row 2"} {
		if r := got[row]; r[3]+" "+r[5] != want {
			t.Errorf("row %s is %s %s, want %s", row, r[3], r[5], want)
		}
	}
	if got["6"][1] != testKey.Person("1012345678").String() || got["9"][1] != "966501234567" {
		t.Errorf("duplicates are for %v and %v", got["6"], got["9"])
	}
}

func FuzzAFileNeverHalts(f *testing.F) {
	f.Add("number,name\n0501234567,Huda\n", false, false)
	f.Add("\ufeffperson;name\r\n1012345678;\"x\"\r\n", false, false)
	f.Add(wide("number,name\n1,هدى\n", true), false, false)
	f.Add("{\"number\":\"0501234567\",\"params\":{\"name\":1}}\n{", true, false)
	f.Add("number,name\n05,\xe5\xcf\xec\n", false, true)
	f.Fuzz(func(t *testing.T, file string, lines, latin bool) {
		format := campaign.Format{JSONLines: lines}
		if latin {
			format.Encoding = service.Windows1256
		}
		rows, err := read(file, format, schema("name"))
		var wrong *service.FileError
		if err != nil && !errors.As(err, &wrong) {
			t.Fatal(err)
		}
		last := uint64(0)
		for i := range rows {
			r := &rows[i]
			if r.Row <= last {
				t.Fatalf("row %d comes after %d", r.Row, last)
			}
			last = r.Row
			if (r.Recipient() == "") != (r.Kind == campaign.Bad) || r.Kind == campaign.Bad && r.Rule == "" || r.Kind == campaign.Good && len(r.Values) != 1 {
				t.Fatalf("%+v", r)
			}
		}
	})
}
