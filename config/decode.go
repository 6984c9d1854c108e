package config

import (
	"fmt"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"gopkg.in/yaml.v3"
)

// decoder walks the YAML nodes and the structs side by side. It keeps the node of every
// value under its key path, so that a rule that is checked later can still say where.
type decoder struct {
	file     string
	dir      string // of file: what path fields are relative to
	opts     ParseOptions
	mistakes Errors
	warnings []Warning
	places   map[string]*yaml.Node // key path -> the node of its value
	failed   map[string]bool       // key paths that have a mistake: one is enough
	visited  int
}

// maxNodes bounds what aliases can blow a small file up to.
const maxNodes = 1_000_000

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
func (d *decoder) pairs(path string, n *yaml.Node, depth int) []pair {
	var own, merged []pair
	seen := map[string]*yaml.Node{}
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if d.visited++; d.visited > maxNodes {
			return own
		}
		if k.Kind == yaml.AliasNode {
			k = k.Alias
		}
		if k.Kind != yaml.ScalarNode {
			d.add(k, path, "", fault{"has a key that is " + what(k), "write a key as one word"})
			continue
		}
		if k.Tag == "!!merge" {
			merged = append(merged, d.merged(path, v, depth)...)
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

func (d *decoder) merged(path string, n *yaml.Node, depth int) []pair {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	switch {
	case depth > 8:
		d.add(n, path, "", fault{"merges blocks more than 8 deep", "write the keys out"})
	case n.Kind == yaml.MappingNode:
		return d.pairs(path, n, depth+1)
	case n.Kind == yaml.SequenceNode:
		var all []pair
		for _, e := range n.Content {
			all = append(all, d.merged(path, e, depth+1)...)
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
		if key := shorthand[t]; key != "" && (n.Kind == yaml.ScalarNode || key == "default") { // stc stands for {carrier: stc}
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
	for _, p := range d.pairs(path, n, 0) {
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
	if path == "" {
		cure = "the keys here are " + strings.Join(keys, ", ")
	}
	if t == reflect.TypeFor[Account]() && nearest(k.Value, []string{"password", "password_file"}) != "" {
		cure = "a client's password stands as password_hash; masar passwd prints it"
	} else if near := nearest(k.Value, keys); near != "" {
		cure = "did you mean " + near + "?"
	} else if homes := keyHomes()[k.Value]; len(homes) > 0 {
		cure = "it belongs to " + strings.Join(homes, ", ")
	}
	d.add(k, join(path, shown), "", fault{"is not a key of Masar", cure})
}

// keyHomes tells in which blocks a key is known.
var keyHomes = sync.OnceValue(func() map[string][]string {
	homes := map[string][]string{}
	var walk func(t reflect.Type, path string)
	walk = func(t reflect.Type, path string) {
		for _, f := range fieldsOf(t) {
			home := path
			if home == "" {
				home = "the top"
			}
			homes[f.key] = append(homes[f.key], home)
			switch e, list := blockType(f.typ); {
			case e == nil:
			case list:
				walk(e, join(path, f.key)+"[]")
			default:
				walk(e, join(path, f.key))
			}
		}
	}
	walk(reflect.TypeFor[Config](), "")
	return homes
})

// blockType is the struct of a field that holds a block or a list of blocks; else nil.
func blockType(t reflect.Type) (block reflect.Type, list bool) {
	if _, scalar := scalars[t]; scalar {
		return nil, false
	}
	switch t.Kind() {
	case reflect.Struct:
		return t, false
	case reflect.Pointer:
		return blockType(t.Elem())
	case reflect.Slice:
		b, _ := blockType(t.Elem())
		return b, b != nil
	}
	return nil, false
}

// value decodes one node into one field.
func (d *decoder) value(path string, n *yaml.Node, v reflect.Value, tag reflect.StructTag) {
	if n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if d.visited++; d.visited > maxNodes {
		return
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
		case block != nil && (n.Kind != yaml.ScalarNode || shorthand[block] == ""):
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
		if d.visited > maxNodes {
			return
		}
		d.value(fmt.Sprintf("%s[%d]", path, i), e, at, tag)
	}
	if len(items) == 0 {
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

// shorthand names the key that one value stands for where a block is expected.
var shorthand = map[reflect.Type]string{
	reflect.TypeFor[Member]():          "carrier",
	reflect.TypeFor[SourceRule]():      "rule",
	reflect.TypeFor[DestinationRule](): "rule",
	reflect.TypeFor[Alphanumeric]():    "rule",
	reflect.TypeFor[CarrierReceipts](): "ask",
	reflect.TypeFor[Retry]():           "default",
}

// scalars reads the types of ours that are one word in the file.
var scalars = map[reflect.Type]func(*decoder, string) (any, *fault){
	reflect.TypeFor[time.Duration]():    plain(parseDuration),
	reflect.TypeFor[Rate]():             plain(parseRate),
	reflect.TypeFor[Size]():             plain(parseSize),
	reflect.TypeFor[Percent]():          plain(parsePercent),
	reflect.TypeFor[TimeZone]():         plain(parseTimeZone),
	reflect.TypeFor[InterfaceVersion](): plain(parseInterfaceVersion),
	reflect.TypeFor[Clock]():            plain(parseClock),
	reflect.TypeFor[Secret]():           (*decoder).secret,
	reflect.TypeFor[netip.Prefix]():     plain(parsePrefix),
	reflect.TypeFor[Status](): func(d *decoder, s string) (any, *fault) {
		return parseStatus(s, d.opts.StatusName)
	},
}

func plain[T any](parse func(string) (T, *fault)) func(*decoder, string) (any, *fault) {
	return func(_ *decoder, s string) (any, *fault) { return parse(s) }
}

func parsePrefix(s string) (netip.Prefix, *fault) {
	if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
		return netip.PrefixFrom(a, a.BitLen()), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil {
		return p, &fault{"is not a network", "write it as 10.0.0.0/8, 192.0.2.7 or 2001:db8::/32"}
	}
	if p != p.Masked() {
		return p, &fault{"has bits behind its mask", "write " + p.Masked().String() + ", or the address alone"}
	}
	return p, nil
}

// scalar decodes one word.
func (d *decoder) scalar(path string, n *yaml.Node, v reflect.Value, tag reflect.StructTag) {
	if n.Kind != yaml.ScalarNode {
		d.add(n, path, "", fault{"is " + what(n) + ", not one value", "write one value" + example(tag)})
		return
	}
	shown := n.Value
	if v.Type() == reflect.TypeFor[Secret]() {
		shown = ""
	}
	if isNull(n) {
		d.add(n, path, "", fault{"has no value", "write one" + example(tag) + ", or remove the key"})
		return
	}
	if f := d.set(n.Value, v, tag); f != nil {
		d.add(n, path, shown, *f)
	}
}

func example(tag reflect.StructTag) string {
	if eg := tag.Get("eg"); eg != "" && eg[0] != '[' && eg[0] != '{' {
		return ", such as " + eg
	}
	return ""
}

func (d *decoder) set(s string, v reflect.Value, tag reflect.StructTag) *fault {
	if parse, ok := scalars[v.Type()]; ok {
		x, f := parse(d, s)
		if f != nil {
			return f
		}
		v.Set(reflect.ValueOf(x))
		return bounds(v, tag)
	}
	switch v.Kind() {
	case reflect.String:
		if words := strings.Fields(tag.Get("one")); len(words) > 0 {
			w, f := oneOf(s, words)
			if f != nil {
				return f
			}
			s = w
		}
		if tag.Get("path") != "" && s != "" && !filepath.IsAbs(s) {
			s = filepath.Join(d.dir, s)
		}
		v.SetString(s)
	case reflect.Bool:
		if s != "true" && s != "false" {
			return &fault{"is neither true nor false", "write true or false"}
		}
		v.SetBool(s == "true")
	case reflect.Int, reflect.Int64:
		i, err := strconv.ParseInt(strings.ReplaceAll(s, "_", ""), 0, 64)
		if len(s) > 1 && s[0] == '0' && s[1] >= '0' && s[1] <= '9' { // 010 is eight to some and ten to others
			return &fault{"has a leading zero", "write " + strings.TrimLeft(s, "0")}
		}
		if err != nil {
			return &fault{"is not a whole number", "write digits" + example(tag)}
		}
		v.SetInt(i)
		if words := strings.Fields(tag.Get("one")); len(words) > 0 && !slices.Contains(words, s) {
			return &fault{"is none of " + strings.Join(words, ", "), "write one of them"}
		}
		return bounds(v, tag)
	default:
		panic("config: no way to decode " + v.Type().String())
	}
	return nil
}

// synonyms are second spellings that carriers' papers use.
var synonyms = map[string]string{"dec": "decimal", "latin-1": "latin1", "gsm7": "gsm"}

func oneOf(s string, words []string) (string, *fault) {
	if slices.Contains(words, s) {
		return s, nil
	}
	if w, ok := synonyms[s]; ok && slices.Contains(words, w) {
		return w, nil
	}
	cure := "write one of them"
	if near := nearest(s, words); near != "" {
		cure = "did you mean " + near + "?"
	}
	return "", &fault{"is none of " + strings.Join(words, ", "), cure}
}

// bounds checks min and max, which are written as values of the same type.
func bounds(v reflect.Value, tag reflect.StructTag) *fault {
	lo, hi := tag.Get("min"), tag.Get("max")
	less, more := lo != "" && number64(v) < bound(lo, v.Type()), hi != "" && number64(v) > bound(hi, v.Type())
	switch {
	case !less && !more:
		return nil
	case lo != "" && hi != "":
		return &fault{"is outside " + lo + " to " + hi, "write a value between the two"}
	case less:
		return &fault{"is less than " + lo, "write " + lo + " or more"}
	}
	return &fault{"is more than " + hi, "write " + hi + " or less"}
}

// number64 is exact: our values stay far below 2^53 of their unit, or are int64 anyway.
func number64(v reflect.Value) float64 {
	if v.CanFloat() {
		return v.Float()
	}
	if v.CanUint() {
		return float64(v.Uint())
	}
	return float64(v.Int())
}

func bound(s string, t reflect.Type) float64 {
	v := reflect.New(t).Elem()
	if f := (&decoder{}).set(s, v, ""); f != nil {
		panic("config: bound " + s + " " + f.rule) // a tag of ours; TestEveryTagIsReadable
	}
	return number64(v)
}
