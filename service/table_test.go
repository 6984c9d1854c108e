package service

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var tableWords = [][]string{{"key"}, {"number", "الجوال"}}

func openTable(t *testing.T, file string, jsonLines bool) *Table {
	t.Helper()
	table, err := OpenTable(t.Context(), strings.NewReader(file), "", jsonLines)
	if err != nil {
		t.Fatal(err)
	}
	return table
}

func TestATableReadsRowsAndGoesOnBehindOne(t *testing.T) {
	const file = "\ufeff\r\nKEY;الجوال;days;note\r\na;1;30;\"x;y\"\r\n\r\nb;2;3;\"open\nc;3\nd;4;5;z"
	table := openTable(t, file, false)
	at, others, err := table.Columns(tableWords, func(name string) bool { return name == "days" || name == "note" })
	if err != nil || at[0] != 0 || at[1] != 1 || len(others) != 2 || others[0] != 2 || others[1] != 3 {
		t.Fatal(at, others, err)
	}
	type row struct {
		line int64
		says string
	}
	var got []row
	var behind, line int64
	for {
		has, err := table.Next()
		if err != nil {
			t.Fatal(err)
		}
		if !has {
			break
		}
		f, bad := table.Fields()
		switch {
		case bad != nil:
			got = append(got, row{bad.Line, bad.Rule[:4] + " " + bad.Row})
		default:
			got = append(got, row{table.Line(), strings.Join(f, "|")})
		}
		if table.Line() == 3 {
			line, behind = table.Line(), table.Offset()
		}
	}
	want := []row{{3, "a|1|30|x;y"}, {5, `bad_ b;2;3;"open`}, {6, "wron c;3"}, {7, "d|4|5|z"}}
	if len(got) != len(want) {
		t.Fatalf("%+v", got)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("row %d is %+v, want %+v", i, got[i], want[i])
		}
	}
	if table.Offset() != int64(len(file)) {
		t.Errorf("%d octets of %d", table.Offset(), len(file))
	}
	again := openTable(t, file, false)
	if err := again.Go(strings.NewReader(file), line, behind); err != nil {
		t.Fatal(err)
	}
	if has, err := again.Next(); !has || err != nil || again.Line() != 5 {
		t.Errorf("went on at line %d, %v %v", again.Line(), has, err)
	}
	if err := openTable(t, file, false).Go(strings.NewReader("KEY\n"), 9, 1000); !isFileError(err) {
		t.Errorf("a shorter file was gone on with: %v", err)
	}
}

func isFileError(err error) bool {
	var wrong *FileError
	return errors.As(err, &wrong)
}

func TestATableRefusesWhatItCannotBe(t *testing.T) {
	for _, row := range []struct {
		name, file, encoding string
		jsonLines            bool
		says                 string
	}{
		{"empty", "\n\n", "", false, "empty"},
		{"UTF-16", "\xff\xfek\x00", "", false, "UTF-16"},
		{"mixed encodings", "key,number\na,1\n\xc7,2\n", "", false, "line 3: is not UTF-8"},
		{"mixed encodings in JSON", "{\"key\":\"a\"}\n{\"key\":\"\xc7\"}\n", "", true, "line 2: is not UTF-8"},
		{"JSON in another encoding", "{}", Windows1256, true, "UTF-8"},
		{"a column twice", "\nkey,number,key\n", "", false, "line 2, column key: is there twice"},
		{"another twice", "key,days,days\n", "", false, "line 1, column days: is there twice"},
		{"an unknown column", "key,colour\n", "", false, "line 1, column colour: is not known"},
		{"a broken header", "key,\"number\n", "", false, "bad_quotes"},
	} {
		t.Run(row.name, func(t *testing.T) {
			table, err := OpenTable(t.Context(), strings.NewReader(row.file), row.encoding, row.jsonLines)
			if err == nil {
				_, _, err = table.Columns(tableWords, func(name string) bool { return name == "days" })
			}
			if !isFileError(err) || !strings.Contains(err.Error(), row.says) {
				t.Errorf("%v does not say %q", err, row.says)
			}
		})
	}
}

func TestBadRowsOfATableCanBeMendedAndSentAgain(t *testing.T) {
	for _, row := range []struct {
		name, file, want string
		jsonLines        bool
	}{
		{"CSV", "key,number\na,1\n", "line,column,rule,key,number\n2,number,\"wrong, here\",a,1\n", false},
		{"JSON Lines", `{"key":"a","number":"1"}` + "\n", "line,column,rule,row\n1,number,\"wrong, here\",\"{\"\"key\"\":\"\"a\"\",\"\"number\"\":\"\"1\"\"}\"\n", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			table := openTable(t, row.file, row.jsonLines)
			if has, err := table.Next(); !has || err != nil {
				t.Fatal(err)
			}
			out, err := os.Create(filepath.Join(t.TempDir(), "bad"))
			if err != nil {
				t.Fatal(err)
			}
			defer out.Close()
			w, err := BadRowsOf(table, out, 0)
			if err != nil {
				t.Fatal(err)
			}
			n, err := w.Write([]BadRow{*table.Bad("number", "wrong, here")})
			if err != nil || n != int64(len(row.want)) {
				t.Errorf("%d octets, %v", n, err)
			}
			if _, err := w.Write([]BadRow{*table.Bad("", "not committed")}); err != nil {
				t.Fatal(err)
			}
			if _, err := BadRowsOf(table, out, n); err != nil { // goes on: what lies behind is cut off
				t.Fatal(err)
			}
			got, err := os.ReadFile(out.Name())
			if err != nil || string(got) != row.want {
				t.Errorf("%q, %v", got, err)
			}
			if row.jsonLines {
				return
			}
			again := openTable(t, string(got), false)
			at, _, err := again.Columns(tableWords, func(string) bool { return false })
			if err != nil || at[0] != 3 || at[1] != 4 {
				t.Errorf("%v %v", at, err)
			}
		})
	}
}
