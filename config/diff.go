package config

import (
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
	"unicode"
)

// ChangeKind is what happened to a key.
type ChangeKind uint8

// The three kinds of change.
const (
	Changed ChangeKind = iota
	Added
	Removed
)

// Change is one difference between two configurations. Blocks of a list are told by
// their name (accounts[civil-affairs]), not by their place: moving one changes nothing,
// but where the order among equals decides: routes, mobile-originated routes, overrides.
type Change struct {
	Kind     ChangeKind
	Path     string // accounts[civil-affairs].throughput
	Old, New string // as the file would write them; secrets are ***; empty for whole blocks
}

// String is the line that a reload prints:
//
//	~ accounts[civil-affairs].throughput: 500/s -> 600/s
//	+ carriers[zain]
//	- routes[default]
func (c Change) String() string {
	switch c.Kind {
	case Added:
		return "+ " + c.Path
	case Removed:
		return "- " + c.Path
	}
	return "~ " + c.Path + ": " + orNone(c.Old) + " -> " + orNone(c.New)
}

func orNone(s string) string {
	if s == "" {
		return "(none)"
	}
	return s
}

// Diff lists what is different in new, in the order of the structs. What a block takes
// from another key is told there alone.
func Diff(old, new *Config) []Change {
	var d differ
	d.old, d.new = reflect.ValueOf(old).Elem(), reflect.ValueOf(new).Elem()
	d.block("", d.old, d.new)
	return d.changes
}

// catalogue tells what is different in the services, where there are some before and after:
// that they come or go as a whole is told by the file's name.
func (d *differ) catalogue(a, b *Catalogue) {
	if a == nil || b == nil {
		return
	}
	k := differ{old: reflect.ValueOf(a).Elem(), new: reflect.ValueOf(b).Elem()}
	k.block("catalogue", k.old, k.new)
	d.changes = append(d.changes, k.changes...)
}

type differ struct {
	old, new reflect.Value // the roots, where inherited values come from
	changes  []Change
}

func (d *differ) block(path string, a, b reflect.Value) {
	for _, f := range fieldsOf(a.Type()) {
		at, x, y := join(path, f.key), a.FieldByIndex(f.index), b.FieldByIndex(f.index)
		if from := f.tag.Get("inherit"); from != "" {
			ra, rb := d.old, d.new
			if key, here := strings.CutPrefix(from, "."); here {
				ra, rb, from = a, b, key
			}
			d.inherited(at, x, y, lookup(ra, from), lookup(rb, from))
			continue
		}
		d.value(at, x, y)
		if c, ok := a.Interface().(Config); ok && f.key == "catalogue" {
			d.catalogue(c.Catalogue, b.Interface().(Config).Catalogue)
		}
	}
	if t, ok := a.Interface().(Subscribers); ok {
		u := b.Interface().(Subscribers)
		d.behind(join(path, "key_file"), t.Key, u.Key, t.KeyFile == u.KeyFile)
	}
	if t, ok := a.Interface().(Admin); ok { // the token is behind its file's name
		u := b.Interface().(Admin)
		d.behind(join(path, "token_file"), t.Token, u.Token, t.TokenFile == u.TokenFile)
	}
}

// behind tells that a file of the same name holds another secret.
func (d *differ) behind(path string, a, b Secret, sameFile bool) {
	if sameFile && !a.Equal(b) {
		d.changes = append(d.changes, Change{Changed, path, a.String(), b.String()})
	}
}

// inherited tells a value only where it differs and is not what its source says, before
// and after.
func (d *differ) inherited(path string, a, b, fromA, fromB reflect.Value) {
	if isBlock(a.Type()) {
		for _, f := range fieldsOf(a.Type()) {
			d.inherited(join(path, f.key), a.FieldByIndex(f.index), b.FieldByIndex(f.index), lookup(fromA, f.key), lookup(fromB, f.key))
		}
		return
	}
	if !(same(a, fromA) && same(b, fromB)) {
		d.value(path, a, b)
	}
}

func (d *differ) value(path string, a, b reflect.Value) {
	if same(a, b) {
		return
	}
	t := a.Type()
	switch {
	case isBlock(t):
		d.block(path, a, b)
		return
	case t.Kind() == reflect.Pointer && isBlock(t.Elem()) && !a.IsNil() && !b.IsNil():
		d.block(path, a.Elem(), b.Elem())
		return
	case t.Kind() == reflect.Pointer && isBlock(t.Elem()):
		kind := Added
		if b.IsNil() {
			kind = Removed
		}
		d.changes = append(d.changes, Change{Kind: kind, Path: path})
		return
	case t.Kind() == reflect.Slice && isBlock(t.Elem()):
		if _, named := reflect.Zero(t.Elem()).Interface().(identified); named {
			d.named(path, a, b)
			return
		}
	case t.Kind() == reflect.Map:
		d.entries(path, a, b)
		return
	}
	d.changes = append(d.changes, Change{Changed, path, format(a), format(b)})
}

// entries compares two maps key by key.
func (d *differ) entries(path string, a, b reflect.Value) {
	all := reflect.MakeMap(a.Type())
	for _, m := range []reflect.Value{a, b} {
		for it := m.MapRange(); it.Next(); {
			all.SetMapIndex(it.Key(), it.Value())
		}
	}
	for _, k := range sortedKeys(all) {
		at, key := path+"."+k, reflect.ValueOf(k)
		switch x, y := a.MapIndex(key), b.MapIndex(key); {
		case !x.IsValid():
			d.changes = append(d.changes, Change{Kind: Added, Path: at})
		case !y.IsValid():
			d.changes = append(d.changes, Change{Kind: Removed, Path: at})
		default:
			d.value(at, x, y)
		}
	}
}

// identified is a block of a list that is told by name.
type identified interface{ id() string }

func (d *differ) named(path string, a, b reflect.Value) {
	before, after := byName(a), byName(b)
	var kept []string
	for _, n := range before.order {
		if y, ok := after.at[n]; ok {
			kept = append(kept, n)
			d.block(path+"["+n+"]", before.at[n], y)
		} else {
			d.changes = append(d.changes, Change{Kind: Removed, Path: path + "[" + n + "]"})
		}
	}
	var keptNow []string
	for _, n := range after.order {
		if _, ok := before.at[n]; ok {
			keptNow = append(keptNow, n)
		} else {
			d.changes = append(d.changes, Change{Kind: Added, Path: path + "[" + n + "]"})
		}
	}
	if ordered[a.Type().Elem()] && !reflect.DeepEqual(kept, keptNow) {
		d.changes = append(d.changes, Change{Changed, path, strings.Join(kept, "; "), strings.Join(keptNow, "; ")})
	}
}

// ordered are the lists in which the order decides among equals.
var ordered = map[reflect.Type]bool{
	reflect.TypeFor[Route](): true, reflect.TypeFor[MORoute](): true, reflect.TypeFor[Override](): true,
}

type names struct {
	order []string
	at    map[string]reflect.Value
}

// byName lists blocks by name; equal names (routes without one) get their number.
func byName(list reflect.Value) names {
	n := names{at: map[string]reflect.Value{}}
	for i := range list.Len() {
		id := list.Index(i).Interface().(identified).id()
		name := id
		for k := 2; n.at[name].IsValid(); k++ {
			name = fmt.Sprintf("%s #%d", id, k)
		}
		n.order = append(n.order, name)
		n.at[name] = list.Index(i)
	}
	return n
}

func same(a, b reflect.Value) bool {
	if s, ok := a.Interface().(Secret); ok {
		return s.Equal(b.Interface().(Secret))
	}
	if z, ok := a.Interface().(TimeZone); ok { // two loads of one zone are two pointers
		return z.String() == b.Interface().(TimeZone).String()
	}
	switch a.Kind() {
	case reflect.Pointer:
		if a.IsNil() || b.IsNil() {
			return a.IsNil() == b.IsNil()
		}
		return same(a.Elem(), b.Elem())
	case reflect.Slice:
		if a.Len() != b.Len() {
			return false
		}
		for i := range a.Len() {
			if !same(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	case reflect.Map:
		if a.Len() != b.Len() {
			return false
		}
		for it := a.MapRange(); it.Next(); {
			if y := b.MapIndex(it.Key()); !y.IsValid() || !same(it.Value(), y) {
				return false
			}
		}
		return true
	case reflect.Struct:
		if _, scalar := scalars[a.Type()]; scalar {
			break
		}
		for i := range a.NumField() {
			if !same(a.Field(i), b.Field(i)) {
				return false
			}
		}
		return true
	}
	return reflect.DeepEqual(a.Interface(), b.Interface())
}

// oneLine keeps a text that has line ends on the line of its change, and a book off it.
func oneLine(s string) string {
	const most = 400
	if r := []rune(s); len(r) > most {
		s = string(r[:most-3]) + "..."
	}
	if strings.ContainsFunc(s, unicode.IsControl) {
		return strconv.Quote(s)
	}
	return s
}

// format writes a value as the file would.
func format(v reflect.Value) string {
	switch x := v.Interface().(type) {
	case time.Duration:
		return formatDuration(x)
	case fmt.Stringer:
		return x.String()
	}
	switch v.Kind() {
	case reflect.Pointer:
		if v.IsNil() {
			return ""
		}
		return format(v.Elem())
	case reflect.Slice:
		if v.Len() == 0 {
			return ""
		}
		parts := make([]string, v.Len())
		for i := range parts {
			parts[i] = format(v.Index(i))
		}
		return "[" + strings.Join(parts, ", ") + "]"
	case reflect.Map:
		if v.Len() == 0 {
			return ""
		}
		var parts []string
		for _, k := range sortedKeys(v) {
			parts = append(parts, k+": "+format(v.MapIndex(reflect.ValueOf(k))))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	case reflect.String:
		return oneLine(v.String())
	case reflect.Struct:
		var parts []string
		std := newElement(v.Type())
		for _, f := range fieldsOf(v.Type()) {
			if x := v.FieldByIndex(f.index); !same(x, std.FieldByIndex(f.index)) {
				parts = append(parts, f.key+": "+format(x))
			}
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return fmt.Sprint(v.Interface())
}
