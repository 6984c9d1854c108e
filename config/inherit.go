package config

import (
	"reflect"
	"strings"
)

// inherit fills what the file leaves unsaid from the keys that the inherit tags name:
// an account's validity from validity, its park from its own window.
func (d *decoder) inherit(root reflect.Value) { d.inheritIn("", root, root) }

func (d *decoder) inheritIn(path string, block, root reflect.Value) {
	for _, f := range fieldsOf(block.Type()) {
		at, v := join(path, f.key), block.FieldByIndex(f.index)
		if from := f.tag.Get("inherit"); from != "" {
			source := root
			if key, here := strings.CutPrefix(from, "."); here {
				source, from = block, key
			}
			d.fill(at, v, lookup(source, from))
			continue
		}
		blocksIn(at, v, func(path string, block reflect.Value) { d.inheritIn(path, block, root) })
	}
}

// fill takes from for v where the file says nothing; of two blocks, key by key.
func (d *decoder) fill(path string, v, from reflect.Value) {
	if isBlock(v.Type()) {
		for _, f := range fieldsOf(v.Type()) {
			d.fill(join(path, f.key), v.FieldByIndex(f.index), lookup(from, f.key))
		}
		return
	}
	if !d.given(path) {
		v.Set(from)
	}
}

// lookup follows a key path of blocks. It panics on a path that is not there: paths come
// from tags of ours.
func lookup(v reflect.Value, path string) reflect.Value {
	for key := range strings.SplitSeq(path, ".") {
		found := false
		for _, f := range fieldsOf(v.Type()) {
			if f.key == key {
				v, found = v.FieldByIndex(f.index), true
				break
			}
		}
		if !found {
			panic("config: no key " + path)
		}
	}
	return v
}

func isBlock(t reflect.Type) bool {
	_, scalar := scalars[t]
	return !scalar && t.Kind() == reflect.Struct
}
