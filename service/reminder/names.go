package reminder

import (
	"fmt"
	"sync"

	"masar/engine"
	"masar/service"
)

// names are the numbers that stand for accounts and services in rows. There are few, and
// they are never taken back.
type names struct {
	mu     sync.RWMutex
	byName map[named]uint32
	byNo   map[numbered]string
	last   uint32
}

type named struct {
	kind byte
	name string
}

type numbered struct {
	kind   byte
	number uint32
}

func (n *names) load(db *engine.DB) error {
	n.byName, n.byNo = map[named]uint32{}, map[numbered]string{}
	return each(db, []byte{kindName}, nil, func(k, v []byte) (bool, error) {
		if len(k) < 3 || len(v) != 4 {
			return false, fmt.Errorf("%w: a name", errRow)
		}
		no := be.Uint32(v)
		n.byName[named{k[1], string(k[2:])}], n.byNo[numbered{k[1], no}] = no, string(k[2:])
		n.last = max(n.last, no)
		return true, nil
	})
}

func (n *names) number(kind byte, name string) (uint32, bool) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	no, known := n.byName[named{kind, name}]
	return no, known
}

func (n *names) name(kind byte, number uint32) string {
	n.mu.RLock()
	defer n.mu.RUnlock()
	return n.byNo[numbered{kind, number}]
}

// add gives a name its number. REQUIRES: Store.writing, and the name's row in the batch.
func (n *names) add(kind byte, name string) uint32 {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.last++
	n.byName[named{kind, name}], n.byNo[numbered{kind, n.last}] = n.last, name
	return n.last
}

// accounts are all that have, or had, a reminder.
func (n *names) accounts() (all []uint32) {
	n.mu.RLock()
	defer n.mu.RUnlock()
	for k := range n.byNo {
		if k.kind == accountName {
			all = append(all, k.number)
		}
	}
	return all
}

// Bookmarks of bulk files.

func (e *entry) bookmark(m *service.Bookmark) {
	v := e.v[:0]
	v = append(v, recordVersion)
	for _, n := range [...]int64{m.Line, m.Offset, m.Rows, m.Good, m.Bad, m.Changed, m.Nothing, m.BadOffset, m.At.UnixMilli()} {
		v = be.AppendUint64(v, uint64(n))
	}
	done := byte(0)
	if m.Done {
		done = 1
	}
	e.k, e.v = bookmarkKey(e.k, m.Job), append(v, done)
	e.set(e.k, e.v)
}

func readBookmark(job string, v []byte) (m service.Bookmark, err error) {
	if len(v) != 1+9*8+1 || v[0] != recordVersion {
		return m, fmt.Errorf("%w: bookmark of %s", errRow, job)
	}
	v = v[1:]
	next := func() int64 {
		n := int64(be.Uint64(v))
		v = v[8:]
		return n
	}
	m = service.Bookmark{Job: job, Line: next(), Offset: next(), Rows: next(), Good: next(), Bad: next(), Changed: next(), Nothing: next(), BadOffset: next()}
	m.At = milli(next())
	m.Done = v[0] == 1
	return m, nil
}
