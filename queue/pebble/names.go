package pebble

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"masar/queue"
)

// names are all names in memory: accounts, carriers and groups are few.
type names struct {
	mu     sync.RWMutex
	number map[nameOf]uint32
	name   map[numberOf]string
	last   map[queue.NameKind]uint32
}

type nameOf struct {
	kind queue.NameKind
	name string
}

type numberOf struct {
	kind   queue.NameKind
	number uint32
}

var errNames = errors.New("store: no number is left for another group")

func (s *Store) loadNames() error {
	n := &s.names
	n.number, n.name, n.last = make(map[nameOf]uint32), make(map[numberOf]string), make(map[queue.NameKind]uint32)
	return scan(s.db, []byte{kindName}, func(k, v []byte) error {
		if len(k) < 2 || len(v) != 4 {
			return fmt.Errorf("%w: name", errRow)
		}
		n.put(queue.NameKind(k[1]), string(k[2:]), be.Uint32(v))
		return nil
	})
}

func (n *names) put(kind queue.NameKind, name string, number uint32) {
	n.number[nameOf{kind, name}] = number
	n.name[numberOf{kind, number}] = name
	n.last[kind] = max(n.last[kind], number)
}

func (n *names) find(kind queue.NameKind, name string) (uint32, bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	number, ok := n.number[nameOf{kind, name}]
	return number, ok
}

// Number is queue.Store's.
func (s *Store) Number(ctx context.Context, kind queue.NameKind, name string) (uint32, error) {
	if number, ok := s.names.find(kind, name); ok {
		return number, nil
	}
	var number uint32
	var full error
	err := s.do(ctx, func(c *committer) {
		n := &s.names
		n.mu.Lock()
		defer n.mu.Unlock()
		var ok bool
		if number, ok = n.number[nameOf{kind, name}]; ok {
			return
		}
		if kind == queue.GroupName && n.last[kind] >= 1<<16-1 {
			full = errNames
			return
		}
		// Known at once, durable a moment later: whatever uses the number goes through the
		// committer behind it.
		number = n.last[kind] + 1
		n.put(kind, name, number)
		c.v = be.AppendUint32(c.v[:0], number)
		c.set(nameKey(c.k, kind, name), c.v)
	})
	if err != nil {
		return 0, err
	}
	return number, full
}

// Name is queue.Store's.
func (s *Store) Name(kind queue.NameKind, number uint32) string {
	s.names.mu.RLock()
	defer s.names.mu.RUnlock()
	return s.names.name[numberOf{kind, number}]
}
