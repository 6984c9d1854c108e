package pebble

import (
	"bytes"
	"context"
	"fmt"
	"sync"
	"time"

	pdb "github.com/cockroachdb/pebble/v2"

	"masar/number"
	"masar/service"
)

// scratch are rows to decode into on the way to a Standing.
var scratch = sync.Pool{New: func() any { return new(numberRow) }}

// Lookup is service.Registry's.
func (r *Registry) Lookup(ctx context.Context, n number.E164) (*service.Standing, error) {
	if r.closed.Load() {
		return nil, r.closedErr()
	}
	sh := r.cache.shard(n)
	st, row, where, epoch := sh.get(n)
	switch where {
	case asStanding:
		r.metrics.memory.Inc()
		return st, nil
	case asRow:
		r.metrics.memory.Inc()
		st, err := r.decode(n, row)
		if err == nil {
			sh.put(n, st, nil, epoch)
		}
		return st, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if err := r.begin(); err != nil {
		return nil, err
	}
	defer r.end()
	began := time.Now()
	row, err := readRow(r.db, n)
	if err != nil {
		return nil, err
	}
	if st, err = r.decode(n, row); err != nil {
		return nil, err
	}
	sh.put(n, st, &row, epoch)
	r.metrics.lookup(st != nil, time.Since(began))
	return st, nil
}

// readRow gives a number's row as it is on disk; empty: there is none.
func readRow(from pdb.Reader, n number.E164) ([]byte, error) {
	var key [numberKeyLen]byte
	v, closer, err := from.Get(numberKey(key[:0], kindNumber, n))
	if err == pdb.ErrNotFound {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("registry: reading a number: %w", err)
	}
	row := bytes.Clone(v)
	return row, closer.Close()
}

// decode gives the standing of a row.
func (r *Registry) decode(n number.E164, row []byte) (*service.Standing, error) {
	if len(row) == 0 {
		return nil, nil
	}
	to := scratch.Get().(*numberRow)
	defer scratch.Put(to)
	if err := decodeNumber(row, n, to); err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	return r.standing(to), nil
}

// standing is what others see of a row; nil: nothing that decides anything. It is made in
// as few pieces as its types allow.
func (r *Registry) standing(row *numberRow) *service.Standing {
	if row.block.scope == service.BlockNone && len(row.people) == 0 {
		return nil
	}
	type single struct {
		service.Standing
		one [1]service.Subscriber
	}
	all := 0
	for i := range row.people {
		all += len(row.people[i].enrolments)
	}
	s := new(single)
	s.Block = r.block(&row.block)
	people := s.one[:0]
	if len(row.people) > 1 {
		people = make([]service.Subscriber, 0, len(row.people))
	}
	enrolments := make([]service.Enrolment, 0, all)
	for i := range row.people {
		p := &row.people[i]
		from := len(enrolments)
		for j := range p.enrolments {
			e := &p.enrolments[j]
			enrolments = append(enrolments, service.Enrolment{
				Service: r.names.name(serviceName, e.service), State: e.state,
				Channel: r.names.name(channelName, e.channel), At: moment(e.at), ByPerson: e.byPerson,
			})
		}
		people = append(people, service.Subscriber{
			Person: p.person, Number: row.number, Language: r.names.name(languageName, p.language),
			State: p.state, Since: moment(p.since), Enrolments: enrolments[from:len(enrolments):len(enrolments)],
		})
	}
	if len(people) > 0 {
		s.People = people
	}
	return &s.Standing
}

func (r *Registry) block(l *block) service.Block {
	if l.scope == service.BlockNone {
		return service.Block{}
	}
	return service.Block{
		Scope: l.scope, Reason: l.reason, Expires: moment(l.expires),
		Channel: r.names.name(channelName, l.channel), At: moment(l.at),
	}
}

// Version is service.Registry's.
func (r *Registry) Version(n number.E164) uint64 { return r.cache.version(n).Load() }

// Find is service.Registry's.
func (r *Registry) Find(ctx context.Context, p service.Person) (service.Subscriber, error) {
	if err := r.begin(); err != nil {
		return service.Subscriber{}, err
	}
	defer r.end()
	snap := r.db.NewSnapshot() // both rows of one moment
	defer snap.Close()
	row, err := r.readPerson(snap, p)
	if err != nil {
		return service.Subscriber{}, err
	}
	if row.number == 0 {
		return service.Subscriber{}, service.ErrNobody
	}
	v, err := readRow(snap, row.number)
	if err != nil {
		return service.Subscriber{}, err
	}
	st, err := r.decode(row.number, v)
	if err != nil {
		return service.Subscriber{}, err
	}
	if st != nil {
		for i := range st.People {
			if st.People[i].Person == p {
				return st.People[i], nil
			}
		}
	}
	return service.Subscriber{}, fmt.Errorf("registry: %w: a person's number does not know him", errRow)
}

func (r *Registry) readPerson(from pdb.Reader, p service.Person) (*personRow, error) {
	v, closer, err := from.Get(personKey(nil, p))
	if err == pdb.ErrNotFound {
		return nil, service.ErrNobody
	}
	if err != nil {
		return nil, fmt.Errorf("registry: reading a person: %w", err)
	}
	row := new(personRow)
	err = decodePerson(v, p, row)
	closer.Close()
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	return row, nil
}

// History is service.Registry's. ErrNobody for a person that nothing is known of.
func (r *Registry) History(ctx context.Context, p service.Person) ([]service.Event, error) {
	if err := r.begin(); err != nil {
		return nil, err
	}
	defer r.end()
	snap := r.db.NewSnapshot()
	defer snap.Close()
	row, err := r.readPerson(snap, p)
	if err != nil {
		return nil, err
	}
	if row.events == 0 && row.chunks == 0 {
		return nil, service.ErrNobody // the bare mark of somebody erased
	}
	list := make([]service.Event, 0, int(row.chunks)*chunkEvents+row.events)
	take := func(e *event) error {
		list = append(list, r.event(e))
		return nil
	}
	for c := range row.chunks {
		v, closer, err := snap.Get(historyKey(nil, p, c))
		if err != nil {
			return nil, fmt.Errorf("registry: reading a history: %w", err)
		}
		err = decodeEvents(v, take)
		closer.Close()
		if err != nil {
			return nil, fmt.Errorf("registry: %w", err)
		}
	}
	if err := decodeEvents(row.log, take); err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	return list, nil
}

func (r *Registry) event(e *event) service.Event {
	v := service.Event{
		At: momentMillis(e.at), Kind: e.kind, Number: e.number, Was: e.was,
		Channel: r.names.name(channelName, e.channel), By: e.by, Consent: moment(e.consent),
		Verified: e.verified, ByPerson: e.byPerson,
	}
	for _, id := range e.services {
		v.Services = append(v.Services, r.names.name(serviceName, id))
	}
	return v
}

// Each is service.Registry's. It reads a snapshot that is taken between two groups, so
// that it tells of nothing that a power cut could take back.
func (r *Registry) Each(ctx context.Context, f func(*service.Subscriber) error) error {
	return r.walk(ctx, kindNumber, func(n number.E164, v []byte) error {
		row := scratch.Get().(*numberRow)
		err := decodeNumber(v, n, row)
		var st *service.Standing
		if err == nil && len(row.people) > 0 {
			st = r.standing(row)
		}
		scratch.Put(row)
		if err != nil || st == nil {
			return err
		}
		for i := range st.People {
			if err := f(&st.People[i]); err != nil {
				return err
			}
		}
		return nil
	})
}

// EachBlocked is service.Registry's. A block that has expired is no block.
func (r *Registry) EachBlocked(ctx context.Context, f func(number.E164, service.Block) error) error {
	now := r.o.Now()
	return r.walk(ctx, kindBlocked, func(n number.E164, v []byte) error {
		l, err := decodeBlocked(v)
		if err != nil {
			return err
		}
		b := r.block(&l)
		if b.In(now) == service.BlockNone {
			return nil
		}
		return f(n, b)
	})
}

// walk goes over the rows of a kind that is keyed by number.
func (r *Registry) walk(ctx context.Context, kind byte, f func(number.E164, []byte) error) error {
	if err := r.begin(); err != nil {
		return err
	}
	defer r.end()
	snap, err := r.durable(ctx)
	if err != nil {
		return err
	}
	defer snap.Close()
	it, err := snap.NewIterWithContext(ctx, bounds([]byte{kind}))
	if err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	for ok := it.First(); ok; ok = it.Next() {
		if err = ctx.Err(); err != nil {
			break
		}
		if r.closed.Load() { // Close waits for us
			err = r.closedErr()
			break
		}
		if k := it.Key(); len(k) != numberKeyLen {
			err = fmt.Errorf("registry: %w: a key of %d octets", errRow, len(k))
			break
		}
		if err = f(number.E164(be.Uint64(it.Key()[1:])), it.Value()); err != nil {
			break
		}
	}
	if closed := it.Close(); err == nil {
		err = closed
	}
	return err
}

func bounds(prefix []byte) *pdb.IterOptions {
	return &pdb.IterOptions{LowerBound: prefix, UpperBound: after(prefix)}
}

// after is the smallest key greater than every key that begins with k; k must not be all 0xff.
func after(k []byte) []byte {
	end := append([]byte(nil), k...)
	for i := len(end) - 1; i >= 0; i-- {
		end[i]++
		if end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

// scan calls f with each row whose key begins with prefix. Neither is f's afterwards.
func scan(from pdb.Reader, prefix []byte, f func(k, v []byte) error) error {
	it, err := from.NewIter(bounds(prefix))
	if err != nil {
		return err
	}
	for ok := it.First(); ok && err == nil; ok = it.Next() {
		err = f(it.Key(), it.Value())
	}
	if closed := it.Close(); err == nil {
		err = closed
	}
	return err
}

// Stats is service.Registry's.
func (r *Registry) Stats(context.Context) (service.Stats, error) {
	if r.closed.Load() {
		return service.Stats{}, r.closedErr()
	}
	r.statsMu.Lock()
	defer r.statsMu.Unlock()
	return r.total.stats(&r.names), nil
}
