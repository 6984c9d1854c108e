package config

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"

	"gopkg.in/yaml.v3"
)

// decoder walks the YAML nodes and the structs side by side. It keeps the node of every
// value under its key path, so that a rule that is checked later can still say where.
type decoder struct {
	file     string
	dir      string // of file: what path fields are relative to
	root     reflect.Type
	opts     ParseOptions
	mistakes Errors
	warnings []Warning
	places   map[string]*yaml.Node // key path -> the node of its value
	keys     map[string]*yaml.Node // path of a map's entry -> the node of its key
	failed   map[string]bool       // key paths that have a mistake: one is enough
}

// maxNodes bounds what aliases can blow a small file up to: it is a file of some
// fifty thousand accounts.
const maxNodes = 1_000_000

// expanded counts the values of n with its aliases followed, each node once. loop is an
// alias to a block that it stands in itself; nothing below could walk that to an end.
func expanded(n *yaml.Node, sizes map[*yaml.Node]int) (size int, loop *yaml.Node) {
	if size, known := sizes[n]; known {
		return size, nil
	}
	const open = -1
	sizes[n] = open
	size = 1
	below := n.Content
	if n.Kind == yaml.AliasNode {
		below = []*yaml.Node{n.Alias}
	}
	for _, c := range below {
		if sizes[c] == open {
			return 0, n
		}
		s, loop := expanded(c, sizes)
		if loop != nil {
			return 0, loop
		}
		size = min(size+s, maxNodes+1)
	}
	sizes[n] = size
	return size, nil
}

// field is one key of a block.
type field struct {
	key   string
	index []int
	tag   reflect.StructTag
	typ   reflect.Type
}

var fieldCache sync.Map // reflect.Type -> []field; types are few and never change

// fieldsOf lists the keys of a block; an inline struct's keys are its own.
func fieldsOf(t reflect.Type) []field {
	if f, ok := fieldCache.Load(t); ok {
		return f.([]field)
	}
	var fs []field
	for sf := range t.Fields() {
		switch key := sf.Tag.Get("yaml"); key {
		case "-":
		case ",inline":
			for _, in := range fieldsOf(sf.Type) {
				in.index = append([]int{sf.Index[0]}, in.index...)
				fs = append(fs, in)
			}
		default:
			fs = append(fs, field{key, sf.Index, sf.Tag, sf.Type})
		}
	}
	fieldCache.Store(t, fs)
	return fs
}

func keysOf(t reflect.Type) []string {
	var ks []string
	for _, f := range fieldsOf(t) {
		ks = append(ks, f.key)
	}
	return ks
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

// add records a mistake at a node, once per key path.
func (d *decoder) add(n *yaml.Node, path, value string, f fault) {
	if d.failed[path] && path != "" {
		return
	}
	d.failed[path] = true
	m := Mistake{File: d.file, Line: 1, Column: 1, Path: path, Value: value, Rule: f.rule, Cure: f.cure}
	if n != nil {
		m.Line, m.Column = max(1, n.Line), max(1, n.Column)
	}
	d.mistakes = append(d.mistakes, m)
}

// place is the node of path, or of the nearest block around it.
func (d *decoder) place(path string) *yaml.Node {
	for {
		if n := d.places[path]; n != nil {
			return n
		}
		i := strings.LastIndexAny(path, ".[")
		if i < 0 {
			return d.places[""]
		}
		path = path[:i]
	}
}

// given reports whether the file says something under path.
func (d *decoder) given(path string) bool { return d.places[path] != nil }

// bad records a mistake found after decoding.
func (d *decoder) bad(path, value, rule, cure string) {
	d.add(d.place(path), path, value, fault{rule, cure})
}

func (d *decoder) warn(path, value, rule, cure string) {
	w := Warning{File: d.file, Line: 1, Column: 1, Path: path, Value: value, Rule: rule, Cure: cure}
	if n := d.place(path); n != nil {
		w.Line, w.Column = max(1, n.Line), max(1, n.Column)
	}
	d.warnings = append(d.warnings, w)
}

func what(n *yaml.Node) string {
	switch n.Kind {
	case yaml.MappingNode:
		return "a block of keys"
	case yaml.SequenceNode:
		return "a list"
	}
	return "one value"
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.Tag == "!!null" }

// pair is one key and value of a block.
type pair struct{ key, value *yaml.Node }

// pairs lists the keys of a mapping; those merged by << come last and give way to the
// mapping's own. Doubles are mistakes.
func (d *decoder) pairs(path string, n *yaml.Node) []pair {
	var own, merged []pair
	seen := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode {
			d.add(k, path, "", fault{"has a key that is " + what(k), "write a key as one word"})
			continue
		}
		if k.Tag == "!!merge" {
			merged = append(merged, d.merged(path, v)...)
			continue
		}
		if first := seen[k.Value]; first != nil {
			d.add(k, join(path, k.Value), "", fault{fmt.Sprintf("is given twice, first on line %d", first.Line), "keep one of them"})
			continue
		}
		seen[k.Value] = k
		own = append(own, pair{k, v})
	}
	for _, p := range merged {
		if seen[p.key.Value] == nil {
			seen[p.key.Value] = p.key
			own = append(own, p)
		}
	}
	return own
}

func (d *decoder) merged(path string, n *yaml.Node) []pair {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case n.Kind == yaml.MappingNode:
		return d.pairs(path, n)
	case n.Kind == yaml.SequenceNode:
		var all []pair
		for _, e := range n.Content {
			all = append(all, d.merged(path, e)...)
		}
		return all
	default:
		d.add(n, path, "", fault{"merges what is no block of keys", "write <<: *NAME with &NAME at a block"})
	}
	return nil
}

// block decodes a mapping into a struct.
func (d *decoder) block(path string, n *yaml.Node, v reflect.Value) {
	t := v.Type()
	if n.Kind != yaml.MappingNode && !isNull(n) {
		if key := shortKey(t, n); key != "" { // stc stands for {carrier: stc}
			n = &yaml.Node{Kind: yaml.MappingNode, Line: n.Line, Column: n.Column,
				Content: []*yaml.Node{{Kind: yaml.ScalarNode, Value: key, Line: n.Line, Column: n.Column}, n}}
		}
	}
	if isNull(n) {
		return // a block whose keys are all commented out
	}
	if n.Kind != yaml.MappingNode {
		d.add(n, path, "", fault{"is " + what(n) + ", not a block of keys", "write its keys indented below it, or {key: value}; its keys are " + strings.Join(keysOf(t), ", ")})
		return
	}
	fields := fieldsOf(t)
	for _, p := range d.pairs(path, n) {
		i := slices.IndexFunc(fields, func(f field) bool { return f.key == p.key.Value })
		if i < 0 {
			d.unknown(path, p.key, t)
			continue
		}
		f := fields[i]
		d.value(join(path, f.key), p.value, v.FieldByIndex(f.index), f.tag)
	}
}

// unknown says what an unknown key was meant to be, or where it belongs.
func (d *decoder) unknown(path string, k *yaml.Node, t reflect.Type) {
	keys := keysOf(t)
	shown := k.Value
	if r := []rune(shown); len(r) > 48 {
		shown = string(r[:45]) + "..."
	}
	shown = strings.Map(func(r rune) rune {
		if strconv.IsPrint(r) {
			return r
		}
		return '?'
	}, shown)
	cure := "its keys are " + strings.Join(keys, ", ")
	other, file := d.otherFile()
	if path == "" {
		cure = "the keys here are " + strings.Join(keys, ", ")
		if slices.Contains(keysOf(other), k.Value) {
			d.add(k, join(path, shown), "", fault{"is not a key of this file", "it belongs to the top of " + file})
			return
		}
	}
	if t == reflect.TypeFor[Account]() && nearest(k.Value, []string{"password", "password_file"}) != "" {
		cure = "a client's password stands as password_hash; masar passwd prints it"
	} else if near := nearest(k.Value, keys); near != "" {
		cure = "did you mean " + near + "?"
	} else if homes := keyHomes(d.root)[k.Value]; len(homes) > 0 {
		cure = "it belongs to " + strings.Join(homes, ", ")
	} else if homes := keyHomes(other)[k.Value]; len(homes) > 0 {
		cure = "it belongs to " + strings.Join(homes, ", ") + " of " + file
	}
	d.add(k, join(path, shown), "", fault{"is not a key of Masar", cure})
}

// otherFile is what is not being read of the two: the configuration, the catalogue.
func (d *decoder) otherFile() (root reflect.Type, name string) {
	if d.root == reflect.TypeFor[Catalogue]() {
		return reflect.TypeFor[Config](), "the configuration"
	}
	return reflect.TypeFor[Catalogue](), "the catalogue file"
}

// keyHomes tells in which blocks of a file a key is known.
func keyHomes(root reflect.Type) map[string][]string {
	if root == reflect.TypeFor[Catalogue]() {
		return catalogueHomes()
	}
	return configHomes()
}

var (
	configHomes    = sync.OnceValue(func() map[string][]string { return homesIn(reflect.TypeFor[Config]()) })
	catalogueHomes = sync.OnceValue(func() map[string][]string { return homesIn(reflect.TypeFor[Catalogue]()) })
)

func homesIn(root reflect.Type) map[string][]string {
	homes := map[string][]string{}
	var walk func(t reflect.Type, path string)
	walk = func(t reflect.Type, path string) {
		for _, f := range fieldsOf(t) {
			home := path
			if home == "" {
				home = "the top"
			}
			homes[f.key] = append(homes[f.key], home)
			if e, of := blockType(f.typ); e != nil {
				walk(e, join(path, f.key)+of)
			}
		}
	}
	walk(root, "")
	return homes
}

// value decodes one node into one field.
func (d *decoder) value(path string, n *yaml.Node, v reflect.Value, tag reflect.StructTag) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	d.places[path] = n
	t := v.Type()
	if _, ok := scalars[t]; ok {
		d.scalar(path, n, v, tag)
		return
	}
	switch t.Kind() {
	case reflect.Struct:
		d.block(path, n, v)
	case reflect.Pointer:
		if isNull(n) {
			return
		}
		e := newElement(t.Elem())
		if t.Elem().Kind() == reflect.Struct {
			d.block(path, n, e)
		} else {
			d.scalar(path, n, e, tag)
		}
		v.Set(e.Addr())
	case reflect.Slice:
		d.list(path, n, v, tag)
	case reflect.Map:
		d.entries(path, n, v, tag)
	default:
		d.scalar(path, n, v, tag)
	}
}

func (d *decoder) list(path string, n *yaml.Node, v reflect.Value, tag reflect.StructTag) {
	items := n.Content
	if n.Kind != yaml.SequenceNode {
		block, _ := blockType(v.Type())
		switch {
		case isNull(n):
			items = nil // a list whose entries are all commented out
		case block != nil && (n.Kind != yaml.ScalarNode || shortKey(block, n) == ""):
			d.add(n, path, "", fault{"is " + what(n) + ", not a list", "begin each entry with a dash"})
			return
		case n.Kind == yaml.MappingNode:
			d.add(n, path, "", fault{"is " + what(n) + ", not a list", "write [a, b], or one value a line, each with a dash"})
			return
		default:
			items = []*yaml.Node{n} // one value needs no brackets
		}
	}
	list := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, e := range items {
		at := list.Index(i)
		at.Set(newElement(at.Type()))
		d.value(fmt.Sprintf("%s[%d]", path, i), e, at, tag)
	}
	// No hours and hours that are left out are two things.
	if len(items) == 0 && (v.Type() != reflect.TypeFor[[]Span]() || isNull(n)) {
		list = reflect.Zero(v.Type())
	}
	v.Set(list)
}

// newElement is one block or value, at its defaults.
func newElement(t reflect.Type) reflect.Value {
	e := reflect.New(t).Elem()
	if !isBlock(t) {
		return e
	}
	std := reflect.ValueOf(standard())
	for i := range std.NumField() {
		if std.Field(i).Type() == t {
			e.Set(std.Field(i))
		}
	}
	return e
}

// shorthand names the key that one value, or a list where the key holds one, stands for
// where a block is expected.
var shorthand = map[reflect.Type]string{
	reflect.TypeFor[Member]():          "carrier",
	reflect.TypeFor[SourceRule]():      "rule",
	reflect.TypeFor[DestinationRule](): "rule",
	reflect.TypeFor[Alphanumeric]():    "rule",
	reflect.TypeFor[CarrierReceipts](): "ask",
	reflect.TypeFor[Retry]():           "default",
	reflect.TypeFor[Windows]():         "days",
	reflect.TypeFor[QuietRule]():       "rule` or `days",
	reflect.TypeFor[SenderAt]():        "state",
	reflect.TypeFor[TestRange]():       "range",
}

// shortKey is the key of a block that n stands for; empty: none.
func shortKey(t reflect.Type, n *yaml.Node) string {
	key := shorthand[t]
	if t == reflect.TypeFor[QuietRule]() {
		key = shortQuiet(n)
	}
	if n.Kind == yaml.ScalarNode {
		return key
	}
	for _, f := range fieldsOf(t) {
		if f.key == key && f.typ.Kind() == reflect.Slice && n.Kind == yaml.SequenceNode {
			return key
		}
	}
	return ""
}
