// Package docs holds no code: its tests compare the documents with the program.
package docs

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
)

const module = "masar"

// house is what docs/architecture.md says: room -> level, higher is nearer to the user.
type house map[string]int

var (
	houseRow  = regexp.MustCompile(`^\| ([0-9]) \| ([^|]+) \|`)
	houseRoom = regexp.MustCompile("`([^`]+)`")
)

// readHouse reads the table of rooms: rows that begin with a level.
func readHouse(document string) (house, error) {
	h := house{}
	for line := range strings.Lines(document) {
		row := houseRow.FindStringSubmatch(line)
		if row == nil {
			continue
		}
		for _, room := range houseRoom.FindAllStringSubmatch(row[2], -1) {
			if _, twice := h[room[1]]; twice {
				return nil, fmt.Errorf("room %s stands in the table twice", room[1])
			}
			h[room[1]] = int(row[1][0] - '0')
		}
	}
	if len(h) == 0 {
		return nil, errors.New("no row of the table of rooms was found")
	}
	return h, nil
}

// imports is package -> the packages of ours that it imports, tests left out; both
// without the module's name in front.
type imports map[string][]string

// wrong tells everything in which the program is not built as the house says.
func (h house) wrong(program imports) []string {
	var all []string
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	for room := range h {
		if _, built := program[room]; !built {
			say("room %s stands in the table and there is no such package", room)
		}
	}
	for from, tos := range program {
		if _, listed := h[from]; !listed {
			say("package %s stands in no row of the table", from)
			continue
		}
		for _, to := range tos {
			switch {
			case h[to] == 0:
				// said where it is looked at itself
			case to == "config" && from != "cmd/masar":
				say("%s imports config: only cmd/masar may", from)
			case under(from, "smpp") && !under(to, "smpp"):
				say("%s imports %s: what is under smpp/ is a library of its own", from, to)
			case to == path.Dir(from):
				// a sub-package may import its parent
			case to == "smpp/pdu" && path.Dir(from) == "smpp":
				// its siblings speak in its types
			case h[to] == h[from]:
				say("%s imports its neighbour %s (both level %d)", from, to, h[to])
			case h[to] > h[from]:
				say("%s (level %d) imports upwards %s (level %d)", from, h[from], to, h[to])
			}
		}
	}
	slices.Sort(all)
	return all
}

func under(room, folder string) bool { return room == folder || strings.HasPrefix(room, folder+"/") }

// program lists the packages that are more than tests, and their imports.
func program(t *testing.T) imports {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,GoFiles,Imports", "./...")
	cmd.Dir = ".."
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.Bytes())
	}
	all := imports{}
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p struct {
			ImportPath       string
			GoFiles, Imports []string
		}
		if err := dec.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if len(p.GoFiles) == 0 {
			continue
		}
		ours := []string{}
		for _, i := range p.Imports {
			if name, ok := strings.CutPrefix(i, module+"/"); ok {
				ours = append(ours, name)
			}
		}
		all[strings.TrimPrefix(p.ImportPath, module+"/")] = ours
	}
	return all
}

func TestEveryImportPointsDown(t *testing.T) {
	document, err := os.ReadFile("architecture.md")
	if err != nil {
		t.Fatal(err)
	}
	h, err := readHouse(string(document))
	if err != nil {
		t.Fatal(err)
	}
	p := program(t)
	if len(p) < 10 || len(p["cmd/masar"]) < 5 {
		t.Fatalf("go list found too little to judge by: %v", p)
	}
	for _, w := range h.wrong(p) {
		t.Error(w)
	}
}

func TestEveryFileThatIsNamedExists(t *testing.T) {
	documents, err := filepath.Glob("*.md")
	if err != nil {
		t.Fatal(err)
	}
	named := 0
	for _, path := range append(documents, "../README.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range regexp.MustCompile("`([a-z0-9_/.]+/[a-z0-9_]+\\.(?:go|yaml|md|sh))`").FindAllStringSubmatch(string(text), -1) {
			named++
			if _, err := os.Stat(filepath.Join("..", m[1])); err != nil {
				t.Errorf("%s names %s: %v", path, m[1], err)
			}
		}
	}
	if named < 20 {
		t.Errorf("only %d files were found named", named)
	}
}

func TestAWrongHouseIsNoticed(t *testing.T) {
	const table = "| level | rooms | what |\n|---|---|---|\n" +
		"| 5 | `cmd/masar` | `not` a room |\n| 3 | `gateway` | |\n" +
		"| 2 | `queue`, `queue/pebble`, `route`, `smpp`, `smpp/smpptest` | |\n" +
		"| 1 | `smpp/pdu`, `smpp/text`, `config` | |\n"
	h, err := readHouse(table)
	if err != nil {
		t.Fatal(err)
	}
	right := func() imports {
		return imports{
			"cmd/masar":     {"config", "gateway", "queue/pebble", "smpp/smpptest"},
			"gateway":       {"queue", "route", "smpp", "smpp/pdu"},
			"queue":         {"smpp/pdu"},
			"queue/pebble":  {"queue"},
			"route":         {},
			"smpp":          {"smpp/pdu"},
			"smpp/smpptest": {"smpp", "smpp/text"},
			"smpp/pdu":      {},
			"smpp/text":     {"smpp/pdu"},
			"config":        {},
		}
	}
	if w := h.wrong(right()); len(w) > 0 {
		t.Fatalf("a house built as drawn: %q", w)
	}
	for _, row := range []struct {
		name  string
		build func(imports)
		says  string
	}{
		{"upwards", func(p imports) { p["queue"] = []string{"gateway"} }, "queue (level 2) imports upwards gateway (level 3)"},
		{"a neighbour", func(p imports) { p["route"] = []string{"queue"} }, "route imports its neighbour queue (both level 2)"},
		{"a parent imports its child", func(p imports) { p["queue"] = []string{"queue/pebble"} }, "queue imports its neighbour queue/pebble (both level 2)"},
		{"siblings other than pdu", func(p imports) { p["smpp/pdu"] = []string{"smpp/text"} }, "smpp/pdu imports its neighbour smpp/text (both level 1)"},
		{"a child of another parent", func(p imports) { p["queue/pebble"] = []string{"route"} }, "queue/pebble imports its neighbour route (both level 2)"},
		{"config from the gateway", func(p imports) { p["gateway"] = []string{"config"} }, "gateway imports config: only cmd/masar may"},
		{"config from smpp", func(p imports) { p["smpp"] = []string{"config"} }, "smpp imports config: only cmd/masar may"},
		{"smpp leaves its folder", func(p imports) { p["smpp/smpptest"] = []string{"route"} }, "smpp/smpptest imports route: what is under smpp/ is a library of its own"},
		{"a package without a row", func(p imports) { p["util"] = nil }, "package util stands in no row of the table"},
		{"a row without a package", func(p imports) { delete(p, "route") }, "room route stands in the table and there is no such package"},
	} {
		t.Run(row.name, func(t *testing.T) {
			p := right()
			row.build(p)
			if w := h.wrong(p); !slices.Equal(w, []string{row.says}) {
				t.Errorf("%q, want %q", w, row.says)
			}
		})
	}
	for name, table := range map[string]string{"no table": "# Architecture\n", "a room twice": table + "| 4 | `route` | |\n"} {
		if _, err := readHouse(table); err == nil {
			t.Errorf("%s was read without complaint", name)
		}
	}
}
