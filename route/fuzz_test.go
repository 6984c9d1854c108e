package route

import (
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// FuzzOverrides holds the parser to this: it never panics; an error names file and line
// and shows no number; what it accepts is written out plainly, read again, and is the same.
func FuzzOverrides(f *testing.F) {
	f.Add([]byte("number,route\n966501234567,stc\n"), false)
	f.Add([]byte("+966501234567,stc\n-966501234568\n"), true)
	f.Fuzz(func(t *testing.T, text []byte, delta bool) {
		type row struct {
			op     operation
			number uint64
			route  string
		}
		var rows []row
		collect := func(e entry) error {
			rows = append(rows, row{e.op, e.number, string(e.route)})
			return nil
		}
		if err := scan(strings.NewReader(string(text)), "f", delta, collect); err != nil {
			var wrong *ParseError
			if !errors.As(err, &wrong) || wrong.File != "f" || wrong.Line < 1 || wrong.Line > 1+strings.Count(string(text), "\n") || wrong.What == "" {
				t.Fatalf("error %v", err)
			}
			return
		}
		var plain strings.Builder
		for _, r := range rows {
			if r.number == 0 || r.number > 999_999_999_999_999 || (r.op == give) == delta || r.op != remove && r.route == "" {
				t.Fatalf("accepted %+v", r)
			}
			plain.WriteString(map[operation]string{give: "", add: "+", remove: "-"}[r.op] + strconv.FormatUint(r.number, 10))
			if r.op != remove {
				plain.WriteString("," + r.route)
			}
			plain.WriteByte('\n')
		}
		first := rows
		rows = nil
		if err := scan(strings.NewReader(plain.String()), "f", delta, collect); err != nil || len(rows) != len(first) {
			t.Fatalf("written out and read again: %v, %d rows of %d\n%q", err, len(rows), len(first), plain.String())
		}
		for i := range rows {
			if rows[i] != first[i] {
				t.Fatalf("row %d was %+v and is %+v", i, first[i], rows[i])
			}
		}
		if delta || len(rows) > 1000 {
			return
		}
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
		o, err := LoadOverrides(path, nil, nil, OverrideOptions{Cache: -1})
		if err != nil {
			return // a number with two routes
		}
		for _, r := range rows {
			if got, ok := o.Lookup(strconv.FormatUint(r.number, 10)); !ok || got != r.route {
				t.Fatalf("%d goes to %q, %v; the file says %q", r.number, got, ok, r.route)
			}
		}
	})
}
