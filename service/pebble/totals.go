package pebble

import (
	"encoding/binary"
	"fmt"

	pdb "github.com/cockroachdb/pebble/v2"

	"masar/service"
)

// totals are what a Registry holds, or by how much a group changes that.
type totals struct {
	subscribers, numbers, suspended, blocked int64
	enrolled, pending                        []int64 // by the number of the service
}

func (t *totals) clear() {
	clear(t.enrolled)
	clear(t.pending)
	*t = totals{enrolled: t.enrolled, pending: t.pending}
}

// count adds a row's contents sign times.
func (t *totals) count(r *numberRow, sign int64) {
	if r.block.scope != service.BlockNone {
		t.blocked += sign
	}
	if len(r.people) > 0 {
		t.numbers += sign
		t.subscribers += sign * int64(len(r.people))
	}
	for i := range r.people {
		p := &r.people[i]
		if p.state != service.Active {
			t.suspended += sign
		}
		for j := range p.enrolments {
			switch e := &p.enrolments[j]; e.state {
			case service.Enrolled:
				t.grow(e.service)
				t.enrolled[e.service] += sign
			case service.Pending:
				t.grow(e.service)
				t.pending[e.service] += sign
			}
		}
	}
}

func (t *totals) grow(id uint32) {
	for uint32(len(t.enrolled)) <= id {
		t.enrolled, t.pending = append(t.enrolled, 0), append(t.pending, 0)
	}
}

// add adds what a group changed, and tells which rows of totals have changed by it.
func (t *totals) add(d *totals, changed func(service uint32)) {
	if d.subscribers != 0 || d.numbers != 0 || d.suspended != 0 || d.blocked != 0 {
		t.subscribers += d.subscribers
		t.numbers += d.numbers
		t.suspended += d.suspended
		t.blocked += d.blocked
		changed(0)
	}
	for id := range d.enrolled {
		if d.enrolled[id] != 0 || d.pending[id] != 0 {
			t.grow(uint32(id))
			t.enrolled[id] += d.enrolled[id]
			t.pending[id] += d.pending[id]
			changed(uint32(id))
		}
	}
}

// row is one row of totals; that of service 0 counts what belongs to none.
func (t *totals) row(b []byte, id uint32) []byte {
	b = appendHeader(b, 0)
	list := []int64{t.subscribers, t.numbers, t.suspended, t.blocked}
	if id != 0 {
		list = []int64{t.enrolled[id], t.pending[id]}
	}
	for _, n := range list {
		b = binary.AppendVarint(b, n)
	}
	return b
}

func (t *totals) decode(id uint32, b []byte) error {
	d, _ := open(b, 0)
	if id == 0 {
		t.subscribers, t.numbers, t.suspended, t.blocked = d.varint(), d.varint(), d.varint(), d.varint()
		return d.end("totals")
	}
	t.grow(id)
	t.enrolled[id], t.pending[id] = d.varint(), d.varint()
	return d.end("totals")
}

func (t *totals) load(db *pdb.DB) error {
	return scan(db, []byte{kindTotal}, func(k, v []byte) error {
		if len(k) != 5 || be.Uint32(k[1:]) >= maxNames {
			return fmt.Errorf("%w: totals", errRow)
		}
		return t.decode(be.Uint32(k[1:]), v)
	})
}

// stats names what the totals count by number.
func (t *totals) stats(n *names) service.Stats {
	st := service.Stats{
		Subscribers: t.subscribers, Numbers: t.numbers, Suspended: t.suspended, Blocked: t.blocked,
		Enrolled: map[string]int64{}, Pending: map[string]int64{},
	}
	for id := range t.enrolled {
		name := n.name(serviceName, uint32(id))
		if t.enrolled[id] != 0 {
			st.Enrolled[name] = t.enrolled[id]
		}
		if t.pending[id] != 0 {
			st.Pending[name] = t.pending[id]
		}
	}
	return st
}
