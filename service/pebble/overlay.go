package pebble

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"

	pdb "github.com/cockroachdb/pebble/v2"

	"masar/number"
	"masar/service"
)

// An overlay holds the rows that the changes of one group touch: read once, changed in
// memory so that each change sees what those before it left, written together.
type overlay struct {
	db      *pdb.DB
	numbers map[number.E164]*numberRow
	persons map[service.Person]*personRow
	codes   map[number.E164]*codeRow
	total   totals // what the group changes
	filter  filter // what is certainly not there
	failed  error  // a read went wrong: nothing of the group may be written

	order     []*numberRow // as they came
	people    []*personRow
	spareRows []*numberRow
	sparePers []*personRow
	key       []byte
	wantN     []number.E164 // scratch of prefetch
	wantP     []service.Person
}

type codeRow struct {
	code  *code
	dirty bool
}

func newOverlay(db *pdb.DB) *overlay {
	return &overlay{
		db:      db,
		numbers: make(map[number.E164]*numberRow),
		persons: make(map[service.Person]*personRow),
		codes:   make(map[number.E164]*codeRow),
	}
}

// maxSpare is how many rows are kept to be used again, of each kind.
const maxSpare = 8192

func (o *overlay) clear() {
	o.failed = nil
	clear(o.numbers)
	clear(o.persons)
	clear(o.codes)
	o.total.clear()
	if len(o.spareRows) < maxSpare {
		o.spareRows = append(o.spareRows, o.order...)
	}
	if len(o.sparePers) < maxSpare {
		o.sparePers = append(o.sparePers, o.people...)
	}
	clear(o.order)
	clear(o.people)
	o.order, o.people = o.order[:0], o.people[:0]
}

// get reads a row; f sees it before it goes. false: there is none, or it cannot be read.
func (o *overlay) get(k []byte, f func([]byte) error) bool {
	o.key = k
	v, closer, err := o.db.Get(k)
	if err == pdb.ErrNotFound {
		return false
	}
	if err == nil {
		err = f(v)
		closer.Close()
	}
	if err != nil && o.failed == nil {
		o.failed = fmt.Errorf("registry: reading a row of kind %c: %w", k[0], err)
	}
	return err == nil
}

func (o *overlay) number(n number.E164) *numberRow {
	if r := o.numbers[n]; r != nil {
		return r
	}
	var r *numberRow
	if last := len(o.spareRows) - 1; last >= 0 {
		r = o.spareRows[last]
		o.spareRows = o.spareRows[:last]
	} else {
		r = new(numberRow)
	}
	r.reset(n)
	if !o.filter.absent(numberHash(n)) {
		o.get(numberKey(o.key, kindNumber, n), func(b []byte) error { return decodeNumber(b, n, r) })
	}
	o.total.count(r, -1)
	o.numbers[n] = r
	o.order = append(o.order, r)
	return r
}

func (o *overlay) person(who service.Person) *personRow {
	if p := o.persons[who]; p != nil {
		return p
	}
	var p *personRow
	if last := len(o.sparePers) - 1; last >= 0 {
		p = o.sparePers[last]
		o.sparePers = o.sparePers[:last]
	} else {
		p = new(personRow)
	}
	p.reset(who)
	if !o.filter.absent(personHash(who)) {
		o.get(personKey(o.key, who), func(b []byte) error { return decodePerson(b, who, p) })
	}
	o.persons[who] = p
	o.people = append(o.people, p)
	return p
}

func (o *overlay) codeOf(n number.E164) *codeRow {
	if c := o.codes[n]; c != nil {
		return c
	}
	row := new(codeRow)
	o.get(numberKey(o.key, kindCode, n), func(b []byte) error {
		c, err := decodeCode(b)
		row.code = &c
		return err
	})
	o.codes[n] = row
	return row
}

// sortedFrom is from how many changes on reading in the order of keys is worth sorting.
const sortedFrom = 32

// prefetch reads what many changes are going to ask for, in the order it lies on disk.
func (o *overlay) prefetch(groups []*request) {
	o.wantN, o.wantP = o.wantN[:0], o.wantP[:0]
	for _, g := range groups {
		for i := range g.batch.Changes {
			ch := &g.batch.Changes[i]
			if ch.Person != (service.Person{}) {
				o.wantP = append(o.wantP, ch.Person)
			}
			if ch.Number != 0 {
				o.wantN = append(o.wantN, ch.Number)
			}
		}
	}
	slices.SortFunc(o.wantP, func(a, b service.Person) int { return bytes.Compare(a[:], b[:]) })
	for _, p := range o.wantP {
		if n := o.person(p).number; n != 0 {
			o.wantN = append(o.wantN, n)
		}
	}
	slices.Sort(o.wantN)
	for _, n := range o.wantN {
		o.number(n)
	}
}

// write puts what has changed into b, in the order of keys: the engine takes a run of
// rising keys for less.
func (o *overlay) write(b *pdb.Batch, v []byte) ([]byte, error) {
	slices.SortFunc(o.order, func(a, b *numberRow) int { return cmp.Compare(a.number, b.number) })
	slices.SortFunc(o.people, func(a, b *personRow) int { return bytes.Compare(a.person[:], b.person[:]) })
	var err error
	k := o.key
	set := func(key, value []byte) {
		if e := b.Set(key, value, nil); err == nil {
			err = e
		}
		k = key
	}
	del := func(key []byte) {
		if e := b.Delete(key, nil); err == nil {
			err = e
		}
		k = key
	}
	for _, r := range o.order {
		if !r.dirty {
			continue
		}
		switch {
		case !r.empty():
			if !r.stored {
				o.filter.add(numberHash(r.number))
			}
			v = appendNumber(v[:0], r)
			set(numberKey(k, kindNumber, r.number), v)
		case r.stored:
			del(numberKey(k, kindNumber, r.number))
		}
		switch {
		case r.block.scope != service.BlockNone:
			v = appendBlocked(v[:0], &r.block)
			set(numberKey(k, kindBlocked, r.number), v)
		case r.blocked:
			del(numberKey(k, kindBlocked, r.number))
		}
	}
	for _, p := range o.people {
		if !p.dirty {
			continue
		}
		for c := range p.erased {
			del(historyKey(k, p.person, c))
		}
		for _, full := range p.full {
			set(historyKey(k, p.person, p.chunks), full)
			p.chunks++
		}
		p.full = nil
		switch {
		case !p.empty():
			if !p.stored {
				o.filter.add(personHash(p.person))
			}
			v = appendPerson(v[:0], p)
			set(personKey(k, p.person), v)
		case p.stored:
			del(personKey(k, p.person))
		}
	}
	for n, c := range o.codes {
		switch {
		case !c.dirty:
		case c.code != nil:
			v = appendCode(v[:0], c.code)
			set(numberKey(k, kindCode, n), v)
		default:
			del(numberKey(k, kindCode, n))
		}
	}
	for _, r := range o.order {
		o.total.count(r, 1)
	}
	o.key = k
	return v, err
}
