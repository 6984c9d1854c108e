package config

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"sort"
	"strings"
	"time"

	"gopkg.in/yaml.v3"
)

// ParseOptions is what reading a configuration needs of the world around it. The zero
// value reads this process's environment and the disk, and knows statuses by number only.
type ParseOptions struct {
	// Env looks up ${NAME}; nil: os.LookupEnv.
	Env func(name string) (string, bool)
	// StatusName knows statuses by name (ESME_RTHROTTLED, RTHROTTLED); nil: none, and a
	// name in the file is a mistake.
	StatusName func(name string) (uint32, bool)
	// ReadFile reads a file that the configuration names and tells its mode; nil: the disk.
	ReadFile func(path string) ([]byte, fs.FileMode, error)
	// Catalogue asks the room that knows what a catalogue must be; nil: nobody is asked, and
	// only names, references and what the two files say of each other are checked. It is
	// given catalogues with mistakes, too: what it finds where one was told is dropped.
	Catalogue func(*Catalogue) (mistakes, warnings []Finding)
	// Now is when registrations and keys are compared with their end; nil: time.Now.
	Now func() time.Time
}

// Finding is a mistake or a warning without its place: Path is the key path it stands under.
type Finding struct{ Path, Value, Rule, Cure string }

// Load reads the file at path. The error is an Errors with every mistake, or says why the
// file could not be read. Warnings come with a good configuration and with a bad one.
func Load(path string) (*Config, []Warning, error) { return ParseOptions{}.Load(path) }

// Parse is Load on octets already read; name stands in messages, and its folder is what
// file names in the configuration are relative to. A nil env is the process's own.
func Parse(name string, data []byte, env func(string) (string, bool)) (*Config, []Warning, error) {
	return ParseOptions{Env: env}.Parse(name, data)
}

// maxFile bounds what is read into memory, for the configuration and for what it names.
const maxFile = 64 << 20

// Load is the package's Load with options.
func (o ParseOptions) Load(path string) (*Config, []Warning, error) {
	o = o.filled()
	data, mode, err := o.ReadFile(path)
	if err != nil {
		return nil, nil, &unreadable{path, err}
	}
	return o.parse(path, data, mode)
}

// unreadable is a configuration file that is no file, or none of ours.
type unreadable struct {
	path string
	err  error
}

func (u *unreadable) Error() string { return u.path + ": cannot be read: " + reason(u.err) }
func (u *unreadable) Unwrap() error { return u.err }

// Parse is the package's Parse with options.
func (o ParseOptions) Parse(name string, data []byte) (*Config, []Warning, error) {
	return o.filled().parse(name, data, 0o600)
}

func (o ParseOptions) filled() ParseOptions {
	if o.Env == nil {
		o.Env = os.LookupEnv
	}
	if o.ReadFile == nil {
		o.ReadFile = readRegular
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	return o
}

// readRegular refuses what is not a plain file: a FIFO or a terminal would wait for ever.
func readRegular(path string) ([]byte, fs.FileMode, error) {
	st, err := os.Stat(path)
	if err != nil {
		return nil, 0, err
	}
	if !st.Mode().IsRegular() {
		return nil, 0, &fs.PathError{Op: "read", Path: path, Err: errors.New("is not a plain file")}
	}
	if st.Size() > maxFile {
		return nil, 0, &fs.PathError{Op: "read", Path: path, Err: errors.New("is larger than 64MiB")}
	}
	data, err := os.ReadFile(path)
	return data, st.Mode(), err
}

func newDecoder(file string, root reflect.Type, o ParseOptions) *decoder {
	return &decoder{
		file: file, dir: filepath.Dir(file), root: root, opts: o,
		places: map[string]*yaml.Node{}, keys: map[string]*yaml.Node{}, failed: map[string]bool{},
	}
}

func (o ParseOptions) parse(name string, data []byte, mode fs.FileMode) (*Config, []Warning, error) {
	d := newDecoder(name, reflect.TypeFor[Config](), o)
	c := standard().Config
	var k *decoder // of the catalogue; nil: there is none to check
	if d.decode(data, reflect.ValueOf(&c).Elem()) {
		d.derive(&c, mode)
		k = d.catalogue(&c)
		d.check(&c)
		crossCheck(d, k, &c)
	}
	// All of one file, then all of the other.
	mistakes, warnings := d.mistakes, d.warnings
	mistakes.sort()
	if k != nil {
		k.mistakes.sort()
		mistakes, warnings = append(mistakes, k.mistakes...), append(warnings, k.warnings...)
	}
	if len(mistakes) > 0 {
		return nil, warnings, mistakes
	}
	settle(&c)
	return &c, warnings, nil
}

// decode fills root from a file: what it says, what stands in for what it leaves out, and
// what is taken from other keys. false: it is no YAML.
func (d *decoder) decode(data []byte, root reflect.Value) bool {
	n := d.document(data)
	if n == nil {
		return false
	}
	d.places[""] = n
	d.block("", n, root)
	d.absent("", root)
	d.inherit(root)
	return true
}

// catalogue reads the file that c names, and returns its decoder. nil: none is named, it
// cannot be read, or nothing can be made of it.
func (d *decoder) catalogue(c *Config) *decoder {
	data, _ := d.read("catalogue", c.CatalogueFile)
	if data == nil {
		return nil
	}
	k := newDecoder(c.CatalogueFile, reflect.TypeFor[Catalogue](), d.opts)
	cat := standard().Catalogue
	if k.decode(data, reflect.ValueOf(&cat).Elem()) {
		k.deriveCatalogue(&cat)
		c.Catalogue = &cat
	}
	return k
}

var yamlLine = regexp.MustCompile(`^yaml: (?:line \d+: )?(.*)$`)

// document parses the YAML itself. nil: it does not parse, and the mistake is recorded.
func (d *decoder) document(data []byte) (root *yaml.Node) {
	broken := func(line, column int, f fault) {
		d.add(&yaml.Node{Line: line, Column: column}, "", "", f)
	}
	defer func() {
		if r := recover(); r != nil { // the library's own; a bad file must never take the daemon down on reload
			root = nil
			broken(1, 1, fault{"is not YAML that can be read", "look for unbalanced quotes or brackets"})
		}
	}()
	dec := yaml.NewDecoder(bytes.NewReader(data))
	var doc, second yaml.Node
	err := dec.Decode(&doc)
	if err == nil {
		if e := dec.Decode(&second); e == nil {
			broken(second.Line, second.Column, fault{"a second document begins here", "remove the line of three dashes"})
			return nil
		} else if !errors.Is(e, io.EOF) {
			err = e
		}
	}
	switch {
	case errors.Is(err, io.EOF) || err == nil && (len(doc.Content) == 0 || isNull(doc.Content[0])):
		broken(1, 1, fault{"the file is empty", "begin with " + d.begin()})
		return nil
	case err != nil:
		rule := err.Error()
		if m := yamlLine.FindStringSubmatch(rule); m != nil {
			rule = m[1]
		}
		line := brokenLine(data, err.Error())
		broken(line, firstColumn(data, line), yamlFault(rule))
		return nil
	case doc.Content[0].Kind != yaml.MappingNode:
		n := doc.Content[0]
		broken(n.Line, n.Column, fault{"the file is " + what(n) + ", not a block of keys", "begin with " + d.begin()})
		return nil
	}
	size, loop := expanded(doc.Content[0], map[*yaml.Node]int{})
	switch {
	case loop != nil:
		broken(loop.Line, loop.Column, fault{"an alias (*NAME) stands inside the block that it names", "write its keys out"})
		return nil
	case size > maxNodes:
		broken(1, 1, fault{fmt.Sprintf("the file holds more than %d values once its aliases are followed", maxNodes), "use fewer aliases (*NAME)"})
		return nil
	}
	return doc.Content[0]
}

// begin is what a file needs at least.
func (d *decoder) begin() string {
	if d.root == reflect.TypeFor[Catalogue]() {
		return "languages, agencies and services; examples/catalogue.yaml shows them"
	}
	return "listen, carriers and routes; examples/masar.yaml shows them"
}

// brokenLine is the first line with which the file breaks as it does as a whole. The
// library's own line is where the surrounding block begins, or one off, or left out.
func brokenLine(data []byte, whole string) int {
	breaks := func(part []byte) (err error) {
		defer func() {
			if r := recover(); r != nil {
				err = errors.New(whole)
			}
		}()
		dec, n := yaml.NewDecoder(bytes.NewReader(part)), yaml.Node{}
		for err == nil {
			err = dec.Decode(&n)
		}
		return err
	}
	same := func(err error) bool {
		if err.Error() == whole {
			return true
		}
		// An unclosed quote is told with the line of the end of the file.
		const open = "unexpected end of stream"
		return strings.Contains(whole, open) && strings.Contains(err.Error(), open)
	}
	lines := bytes.SplitAfter(data, []byte("\n"))
	ends, at := make([]int, len(lines)), 0
	for i, l := range lines {
		at += len(l)
		ends[i] = at
	}
	i := sort.Search(len(lines)-1, func(i int) bool { return same(breaks(data[:ends[i]])) })
	if len(lines[i]) == 0 && i > 0 { // the file ends with a line end: nothing stands after it
		i--
	}
	return i + 1
}

// yamlFault rewords what the library says. A name it repeats is left out where it could
// be a password that lacks its quotes.
func yamlFault(rule string) fault {
	cures := []struct{ part, rule, cure string }{
		{"found character that cannot start any token", "a tab or a reserved character stands where a value begins", "indent with spaces, and quote values that begin with @, ` or %"},
		{"mapping values are not allowed", "a colon stands where none is allowed", "check the indentation, and quote values that hold \": \""},
		{"did not find expected key", "a key was expected", "check the indentation of this line and the one above"},
		{"did not find expected '-' indicator", "a list entry was expected", "check the indentation of this line and the one above"},
		{"did not find expected ',' or", "a bracket or brace is not closed", "close it, or quote values that hold [, ], { or }"},
		{"unexpected end of stream", "a quote is not closed", "close it"},
		{"could not find expected ':'", "a key without a colon", "write key: value"},
		{"unknown anchor", "an alias (*NAME) names no anchor (&NAME)", "quote values that begin with *"},
		{"control characters are not allowed", "a control character stands here", "remove it"},
		{"UTF-8", "is not UTF-8 text", "save the file as UTF-8"},
		{"UTF-16", "is not UTF-8 text", "save the file as UTF-8"},
		{"unknown escape character", "an unknown escape in double quotes", "use single quotes, or write \\\\ for a backslash"},
	}
	for _, c := range cures {
		if strings.Contains(rule, c.part) {
			return fault{c.rule, c.cure}
		}
	}
	if i := strings.IndexAny(rule, "'\"`"); i > 0 {
		rule = strings.TrimSpace(rule[:i])
	}
	return fault{"is not YAML: " + rule, "check quotes, brackets and indentation"}
}

// firstColumn is where a line's text begins.
func firstColumn(data []byte, line int) int {
	lines := bytes.SplitN(data, []byte("\n"), line+1)
	if line > len(lines) {
		return 1
	}
	l := lines[line-1]
	return 1 + len(l) - len(bytes.TrimLeft(l, " \t"))
}

// absent decodes what stands in for blocks that the file leaves out.
func (d *decoder) absent(path string, v reflect.Value) {
	for _, f := range fieldsOf(v.Type()) {
		at, fv := join(path, f.key), v.FieldByIndex(f.index)
		if text := f.tag.Get("absent"); text != "" && !d.given(at) {
			var n yaml.Node
			if err := yaml.Unmarshal([]byte(text), &n); err != nil {
				panic("config: absent tag of " + at) // a tag of ours
			}
			quiet := newDecoder("", d.root, ParseOptions{})
			quiet.value(at, n.Content[0], fv, f.tag)
		}
		blocksIn(at, fv, d.absent)
	}
}

var variable = regexp.MustCompile(`\$?\$\{([^}]*)\}`)
var variableName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// secret hides s after its ${NAME}s are filled in; $${ stands for ${ itself.
func (d *decoder) secret(s string) (any, *fault) {
	var f *fault
	s = variable.ReplaceAllStringFunc(s, func(m string) string {
		if strings.HasPrefix(m, "$$") {
			return m[1:]
		}
		name := m[2 : len(m)-1]
		if !variableName.MatchString(name) {
			f = &fault{"holds ${ without the name of a variable", "write ${NAME}, or $${ for ${ itself"}
			return ""
		}
		v, ok := "", false
		if d.opts.Env != nil {
			v, ok = d.opts.Env(name)
		}
		if !ok {
			f = &fault{"takes ${" + name + "} from the environment, where it is not set", "set " + name + ", or use password_file"}
		}
		return v
	})
	if f != nil {
		return nil, f
	}
	if s == "" {
		return nil, &fault{"is empty", "write it, or remove the key"}
	}
	return NewSecret(s), nil
}
