package pebble

import (
	"fmt"
	"sync/atomic"

	pdb "github.com/cockroachdb/pebble/v2"
)

type nameKind uint8

const (
	serviceName nameKind = iota
	channelName
	languageName
	nameKinds
)

// maxNames of one kind: they come from configuration, and all of them are in memory.
const maxNames = 1 << 16

// nobodysName is the number of a name that nothing has.
const nobodysName = 1<<32 - 1

// names turns the few names that stand in millions of rows into numbers, which are never
// reused. Number 0 is the empty name.
//
// The numbers of names are the writer's; anybody may ask for the names of numbers.
type names struct {
	byName   [nameKinds]map[string]uint32
	byNumber [nameKinds]atomic.Pointer[[]string]
	unsaved  []unsavedName // given out, but in no batch yet
}

type unsavedName struct {
	kind   nameKind
	number uint32
	name   string
}

func (n *names) load(db *pdb.DB) error {
	var tables [nameKinds][]string
	for k := range tables {
		n.byName[k] = map[string]uint32{"": 0}
		tables[k] = []string{""}
	}
	err := scan(db, []byte{kindName}, func(k, v []byte) error {
		if len(k) < 3 || nameKind(k[1]) >= nameKinds || len(v) != 4 || be.Uint32(v) >= maxNames {
			return fmt.Errorf("%w: name", errRow)
		}
		kind, number := k[1], be.Uint32(v)
		n.byName[kind][string(k[2:])] = number
		for uint32(len(tables[kind])) <= number {
			tables[kind] = append(tables[kind], "")
		}
		tables[kind][number] = string(k[2:])
		return nil
	})
	for k := range tables {
		n.byNumber[k].Store(&tables[k])
	}
	return err
}

// number gives the number of a name, a new one where it has none. false: there is no more.
func (n *names) number(kind nameKind, name string) (uint32, bool) {
	if id, ok := n.byName[kind][name]; ok {
		return id, true
	}
	old := *n.byNumber[kind].Load()
	if len(old) >= maxNames {
		return 0, false
	}
	id := uint32(len(old))
	grown := append(old, name) // readers of old never look behind its length
	n.byNumber[kind].Store(&grown)
	n.byName[kind][name] = id
	n.unsaved = append(n.unsaved, unsavedName{kind, id, name})
	return id, true
}

// known gives the number of a name, nobodysName where it has none.
func (n *names) known(kind nameKind, name string) uint32 {
	if id, ok := n.byName[kind][name]; ok {
		return id
	}
	return nobodysName
}

// name gives the name of a number; empty where nothing has it.
func (n *names) name(kind nameKind, number uint32) string {
	t := *n.byNumber[kind].Load()
	if number >= uint32(len(t)) {
		return ""
	}
	return t[number]
}

// save writes what is new into the batch at hand.
func (n *names) save(b *pdb.Batch, k []byte) error {
	for _, u := range n.unsaved {
		if err := b.Set(nameKey(k, u.kind, u.name), be.AppendUint32(nil, u.number), nil); err != nil {
			return err
		}
	}
	n.unsaved = n.unsaved[:0]
	return nil
}
