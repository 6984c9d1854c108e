package config

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"
)

const reference = "../docs/config.md"

// row is one key of the reference.
type row struct{ key, typ, standard, meaning, example string }

func (r row) String() string {
	return "| " + strings.Join([]string{"`" + r.key + "`", r.typ, r.standard, r.meaning, r.example}, " | ") + " |"
}

// known is one key of the structs.
type known struct {
	row
	field field
	value reflect.Value // its default
}

// meanings reads the field comments: struct.Field -> text.
func meanings(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{}
	sources, err := filepath.Glob("*.go")
	if err != nil {
		t.Fatal(err)
	}
	for _, src := range sources {
		f, err := parser.ParseFile(token.NewFileSet(), src, nil, parser.ParseComments)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(f, func(n ast.Node) bool {
			ts, ok := n.(*ast.TypeSpec)
			if !ok {
				return true
			}
			if st, ok := ts.Type.(*ast.StructType); ok {
				for _, fl := range st.Fields.List {
					for _, name := range fl.Names {
						// What only Go callers see of a field is not the operator's.
						text, _, _ := strings.Cut(strings.Join(strings.Fields(fl.Doc.Text()), " "), " Once loaded it ")
						out[ts.Name.Name+"."+name.Name] = text
					}
				}
			}
			return true
		})
	}
	return out
}

// schema walks the structs and lists every key with its full path.
func schema(t *testing.T, root reflect.Value) []known {
	t.Helper()
	texts := meanings(t)
	var all []known
	var walk func(path string, std reflect.Value, from string)
	walk = func(path string, std reflect.Value, from string) {
		for _, f := range fieldsOf(std.Type()) {
			at, v := join(path, f.key), std.FieldByIndex(f.index)
			owner := std.Type()
			for _, i := range f.index[:len(f.index)-1] { // through inline structs
				owner = owner.Field(i).Type
			}
			meaning := texts[owner.Name()+"."+owner.Field(f.index[len(f.index)-1]).Name]
			if meaning == "" {
				t.Errorf("%s has no meaning: its field %s.%s has no comment", at, owner.Name(), f.key)
			}
			inherit := f.tag.Get("inherit")
			if from != "" {
				inherit = from + "." + f.key
			}
			block, of := blockType(f.typ)
			if block != nil {
				at += of
			}
			k := known{row{at, typeText(f), standardText(f, v, inherit), meaning, ""}, f, v}
			if eg := f.tag.Get("eg"); eg != "" {
				k.example = "`" + strings.ReplaceAll(eg, "|", `\|`) + "`"
			} else if block == nil {
				t.Errorf("%s has no example", at)
			}
			all = append(all, k)
			if block != nil {
				inner := v
				if of != "" || v.Kind() == reflect.Pointer {
					inner = newElement(block)
					inherit = ""
				}
				walk(at, inner, inherit)
			}
		}
	}
	walk("", root, "")
	return all
}

// parts are the two files: what their tables in the reference are marked with, and the keys.
func parts(t *testing.T) map[string][]known {
	t.Helper()
	std := standard()
	return map[string][]known{
		"keys":      schema(t, reflect.ValueOf(std.Config)),
		"catalogue": schema(t, reflect.ValueOf(std.Catalogue)),
	}
}

// everyKey is both files' keys.
func everyKey(t *testing.T) []known {
	t.Helper()
	p := parts(t)
	return append(p["keys"], p["catalogue"]...)
}

func typeText(f field) string {
	t, lead := f.typ, ""
	switch block, of := blockType(t); {
	case block != nil && of == "[]":
		return "list of blocks"
	case block != nil && of != "":
		return "blocks by name"
	case block != nil && shorthand[block] != "":
		return "block, or its `" + shorthand[block] + "`"
	case block != nil:
		return "block"
	}
	if t.Kind() == reflect.Slice {
		t, lead = t.Elem(), "list of "
	} else if t.Kind() == reflect.Map && t.Elem().Kind() == reflect.String && f.tag.Get("one") != "" {
		t, lead = t.Elem(), "by name: "
	}
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	if words := strings.Fields(f.tag.Get("one")); len(words) > 0 {
		return lead + "`" + strings.Join(words, "` `") + "`"
	}
	limits := ""
	if lo, hi := f.tag.Get("min"), f.tag.Get("max"); lo != "" && hi != "" {
		limits = ", " + lo + " to " + hi
	} else if lo != "" || hi != "" {
		limits = strings.TrimSuffix(", "+lo+" or more", ",  or more")
		if hi != "" {
			limits = ", at most " + hi
		}
	}
	switch t {
	case reflect.TypeFor[time.Duration]():
		return lead + "duration" + limits
	case reflect.TypeFor[Rate]():
		return lead + "rate"
	case reflect.TypeFor[Size]():
		return lead + "size" + limits
	case reflect.TypeFor[Percent]():
		return lead + "percentage" + limits
	case reflect.TypeFor[TimeZone]():
		return "zone"
	case reflect.TypeFor[Clock]():
		return "time of day"
	case reflect.TypeFor[InterfaceVersion]():
		return "version"
	case reflect.TypeFor[Secret]():
		return lead + "secret"
	case reflect.TypeFor[netip.Prefix]():
		return lead + "network"
	case reflect.TypeFor[Status]():
		return lead + "status"
	case reflect.TypeFor[Span]():
		return lead + "span"
	case reflect.TypeFor[Day]():
		return "date"
	case reflect.TypeFor[NumberRange]():
		return "range of numbers"
	case reflect.TypeFor[Texts]():
		return "text by language"
	}
	if t.Kind() == reflect.Map {
		return "by name"
	}
	switch {
	case f.tag.Get("path") != "":
		return lead + "file"
	case t.Kind() == reflect.Bool:
		return "`true` `false`"
	case t.Kind() == reflect.String:
		return lead + "text"
	}
	return lead + "number" + limits
}

func standardText(f field, v reflect.Value, inherit string) string {
	switch block, of := blockType(f.typ); {
	case f.tag.Get("need") != "":
		return "required"
	case f.tag.Get("absent") != "":
		return "`" + f.tag.Get("absent") + "`"
	case inherit != "":
		return "as `" + strings.TrimPrefix(inherit, ".") + "`"
	case block != nil && of == "" && v.Kind() != reflect.Pointer:
		return ""
	case (v.Kind() == reflect.Slice || v.Kind() == reflect.Map) && v.Len() == 0, v.Type() == reflect.TypeFor[Day](), v.Kind() == reflect.Pointer, v.Kind() == reflect.String && v.Len() == 0, v.Type() == reflect.TypeFor[Secret]():
		return "none"
	case v.Type() == reflect.TypeFor[Size]() || v.Type() == reflect.TypeFor[Rate]():
		if v.IsZero() {
			return "`0`"
		}
	}
	return "`" + format(v) + "`"
}

// section is what a table between "<!-- keys: NAME -->" and "<!-- end -->" holds.
func section(all []known, name string) []row {
	var rows []row
	for _, k := range all {
		top, _, nested := strings.Cut(k.key, ".")
		block, _ := blockType(k.field.typ)
		if name == "top" && !nested && block == nil || name != "top" && nested && strings.TrimSuffix(top, "[]") == name {
			rows = append(rows, k.row)
		}
	}
	return rows
}

var (
	tableMark = regexp.MustCompile(`(?s)<!-- (keys|catalogue): (\w+) -->\n(.*?)<!-- end -->`)
	tableOpen = regexp.MustCompile(`^<!-- (keys|catalogue): `)
	tableLine = regexp.MustCompile("^\\| `([^`]+)` \\| (.*?) \\| (.*?) \\| (.*) \\| (.*) \\|$")
)

const tableHead = "| key | type | default | meaning | example |\n|---|---|---|---|---|\n"

func TestTheReferenceHoldsTheTablesOfTheStructs(t *testing.T) {
	all := parts(t)
	doc, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	fresh := tableMark.ReplaceAllStringFunc(string(doc), func(m string) string {
		of := tableMark.FindStringSubmatch(m)
		part, name := of[1], of[2]
		rows := section(all[part], name)
		if len(rows) == 0 {
			t.Errorf("a table %q, but there is no such section", name)
		}
		var b strings.Builder
		fmt.Fprintf(&b, "<!-- %s: %s -->\n%s", part, name, tableHead)
		for _, r := range rows {
			fmt.Fprintln(&b, r)
		}
		return b.String() + "<!-- end -->"
	})
	if fresh == string(doc) {
		return
	}
	if *update {
		if err := os.WriteFile(reference, []byte(fresh), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	a, b := strings.Split(string(doc), "\n"), strings.Split(fresh, "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			t.Fatalf("docs/config.md:%d is\n%s\nand by the structs\n%s\n(go test ./config -update writes it)", i+1, a[i], b[i])
		}
	}
	t.Fatal("docs/config.md has too few or too many lines")
}

// This reads the document as an operator does, and knows nothing of how it was written.
func TestEveryKeyIsDocumentedOnceWithItsDefault(t *testing.T) {
	doc, err := os.ReadFile(reference)
	if err != nil {
		t.Fatal(err)
	}
	documented := map[string]string{} // by part and key: both files have a time_zone
	part := ""
	for i, line := range strings.Split(string(doc), "\n") {
		if m := tableOpen.FindStringSubmatch(line); m != nil {
			part = m[1] + " "
		}
		m := tableLine.FindStringSubmatch(line)
		if m == nil {
			continue
		}
		if _, twice := documented[part+m[1]]; twice {
			t.Errorf("docs/config.md:%d: %s a second time", i+1, m[1])
		}
		documented[part+m[1]] = m[3]
	}
	roots := map[string]reflect.Value{"keys": reflect.ValueOf(Default()).Elem(), "catalogue": reflect.ValueOf(standard().Catalogue)}
	for part, keys := range parts(t) {
		for _, k := range keys {
			checkDocumented(t, part, k, roots[part], documented)
		}
	}
	for path := range documented {
		t.Errorf("%s is documented and is no key", path)
	}
}

// checkDocumented compares what the reference says of one key's default with the literal.
func checkDocumented(t *testing.T, part string, k known, root reflect.Value, documented map[string]string) {
	t.Helper()
	path := k.key
	if block, _ := blockType(k.field.typ); block != nil && !strings.Contains(path, ".") {
		return // a section of its own
	}
	said, ok := documented[part+" "+path]
	delete(documented, part+" "+path)
	if !ok {
		t.Errorf("%s is not documented", path)
		return
	}
	bare := strings.Trim(said, "`")
	switch {
	case said == "required":
		if k.field.tag.Get("need") == "" {
			t.Errorf("%s is said to be required", path)
		}
	case strings.HasPrefix(said, "as `"):
		from := strings.Trim(strings.TrimPrefix(said, "as "), "`")
		if from != strings.TrimPrefix(k.field.tag.Get("inherit"), ".") && !strings.HasSuffix(from, "."+k.field.key) {
			t.Errorf("%s is said to be as %s", path, from)
		}
		if strings.HasPrefix(k.field.tag.Get("inherit"), ".") {
			return // of the same block
		}
		lookup(root, from) // panics where there is no such key
	case said == "none" || said == "":
		if !k.value.IsZero() && k.value.Kind() != reflect.Struct {
			t.Errorf("%s is said to have no default, it is %s", path, format(k.value))
		}
	case k.field.tag.Get("absent") != "":
		if bare != k.field.tag.Get("absent") {
			t.Errorf("%s is said to be %s", path, bare)
		}
	default:
		if v := decoded(t, path, bare, k.field); !same(v, k.value) {
			t.Errorf("%s is said to be %s, it is %s", path, bare, format(k.value))
		}
	}
}

// decoded reads a text of the documentation as the file would.
func decoded(t *testing.T, path, text string, f field) reflect.Value {
	t.Helper()
	var n yaml.Node
	if err := yaml.Unmarshal([]byte(text), &n); err != nil {
		t.Fatalf("%s: %q: %v", path, text, err)
	}
	d := newDecoder("docs", reflect.TypeFor[Config](), ParseOptions{StatusName: statusNames, Env: func(string) (string, bool) { return "x", true }})
	tag := f.tag
	if f.tag.Get("path") != "" {
		tag = "" // as written, not where it would lie
	}
	v := reflect.New(f.typ).Elem()
	d.value(path, n.Content[0], v, tag)
	if len(d.mistakes) > 0 {
		t.Errorf("%s: %v", path, d.mistakes)
	}
	return v
}

func TestEveryExampleIsReadable(t *testing.T) {
	for _, k := range everyKey(t) {
		if eg := k.field.tag.Get("eg"); eg != "" {
			decoded(t, k.key, eg, k.field)
		}
	}
}

// A default that its own rule refuses would only be found by an operator who writes it out.
func TestEveryDefaultKeepsItsRule(t *testing.T) {
	for _, k := range everyKey(t) {
		if block, _ := blockType(k.field.typ); block != nil || k.field.tag.Get("need")+k.field.tag.Get("inherit")+k.field.tag.Get("absent") != "" {
			continue
		}
		if strings.HasPrefix(k.standard, "as `") || k.value.IsZero() && k.standard != "`0`" {
			continue // another key's, or none
		}
		decoded(t, k.key, format(k.value), k.field)
	}
}
