package config

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"

	"gopkg.in/yaml.v3"
)

// blockType is the struct of a field that holds a block, or a list or map of blocks; else
// nil. of is what stands behind the field's key in the path of such a block: nothing, [],
// or .NAME.
func blockType(t reflect.Type) (block reflect.Type, of string) {
	if _, scalar := scalars[t]; scalar {
		return nil, ""
	}
	switch t.Kind() {
	case reflect.Struct:
		return t, ""
	case reflect.Pointer:
		return blockType(t.Elem())
	case reflect.Slice:
		b, _ := blockType(t.Elem())
		return b, "[]"
	case reflect.Map:
		b, _ := blockType(t.Elem())
		return b, ".NAME"
	}
	return nil, ""
}

// blocksIn calls f for the block that v is, or for each of a list or map of blocks. Maps of
// blocks hold pointers, so that what f is given can be set.
func blocksIn(path string, v reflect.Value, f func(path string, block reflect.Value)) {
	if block, _ := blockType(v.Type()); block == nil {
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		if !v.IsNil() {
			blocksIn(path, v.Elem(), f)
		}
	case reflect.Struct:
		f(path, v)
	case reflect.Slice:
		for i := range v.Len() {
			blocksIn(fmt.Sprintf("%s[%d]", path, i), v.Index(i), f)
		}
	case reflect.Map:
		for _, k := range sortedKeys(v) {
			blocksIn(mapPath(path, k), v.MapIndex(reflect.ValueOf(k)), f)
		}
	}
}

func sortedKeys(m reflect.Value) []string {
	keys := make([]string, 0, m.Len())
	for _, k := range m.MapKeys() {
		keys = append(keys, k.String())
	}
	slices.Sort(keys)
	return keys
}

var plainKey = regexp.MustCompile(`^[\pL\pN_-]{1,64}$`)

// mapPath is the path of an entry of a map. A key that would read as several steps, or as
// none, is quoted.
func mapPath(path, key string) string {
	if plainKey.MatchString(key) {
		return join(path, key)
	}
	return path + "[" + quote(key) + "]"
}

// entries decodes a mapping whose keys are the operator's. Blocks replace the default as a
// whole; of single values those that are not named keep theirs.
func (d *decoder) entries(path string, n *yaml.Node, v reflect.Value, tag reflect.StructTag) {
	t := v.Type()
	block, _ := blockType(t)
	if isNull(n) {
		return // a block whose keys are all commented out
	}
	if n.Kind != yaml.MappingNode {
		cure := "write its keys indented below it, or {key: value}"
		if t == reflect.TypeFor[Texts]() {
			cure = "write {LANGUAGE: TEXT}, one for each language"
		}
		d.add(n, path, "", fault{"is " + what(n) + ", not a block of keys", cure})
		return
	}
	m := reflect.MakeMap(t)
	if block == nil {
		for it := v.MapRange(); it.Next(); {
			m.SetMapIndex(it.Key(), it.Value())
		}
	}
	for _, p := range d.pairs(path, n) {
		e := reflect.New(t.Elem()).Elem()
		if block != nil {
			e.Set(newElement(block).Addr()) // also where its keys are all left out
		}
		d.keys[mapPath(path, p.key.Value)] = p.key
		d.value(mapPath(path, p.key.Value), p.value, e, tag)
		m.SetMapIndex(reflect.ValueOf(p.key.Value), e)
	}
	v.Set(m)
}
