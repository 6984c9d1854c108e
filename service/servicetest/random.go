package servicetest

import (
	"errors"
	"math/rand/v2"
	"reflect"
	"slices"
	"time"

	"masar/number"
	"masar/service"
)

var modelTests = []test{
	{name: "RandomChangesLeaveWhatTheModelSays", limits: service.Limits{People: 3, UnknownTimes: 2, CodeTries: 2}, run: func(r *rig) { random(r, 1, 4000, 12, 5) }},
	{name: "RandomChangesOfManyLeaveWhatTheModelSays", limits: service.Limits{People: 3}, run: func(r *rig) { random(r, 2, 8000, 400, 200) }},
}

// random makes n changes to so many people and numbers, in batches, and compares all that
// is told now and then, after a restart as well.
func random(r *rig, seed uint64, n, people, numbers int) {
	rng := rand.New(rand.NewPCG(seed, 99))
	m := newModel(r.env.Limits)
	channels := codes("portal", "bank-a", "bank-b")
	draw := func() service.Change {
		c := service.Change{
			Kind: service.ChangeKind(rng.IntN(int(service.Erase) + 1)), Channel: channels[rng.IntN(3)], Now: r.clock.Now(),
			Verified: rng.IntN(2) == 0, ByPerson: rng.IntN(3) == 0,
		}
		if rng.IntN(2) == 0 { // what is most usual comes most often
			c.Kind = []service.ChangeKind{service.Enrol, service.Enrol, service.Withdraw, service.SetNumber}[rng.IntN(4)]
		}
		if c.Kind == service.Erase && rng.IntN(3) > 0 {
			c.Kind = service.Enrol
		}
		if rng.IntN(3) > 0 {
			c.At = r.clock.Now().Truncate(10*24*time.Hour).AddDate(0, 0, rng.IntN(7)-3) // often the same
		}
		if rng.IntN(3) > 0 {
			c.Person = person(rng.IntN(people))
		}
		if c.Person == (service.Person{}) || rng.IntN(3) > 0 {
			c.Number = num(rng.IntN(numbers))
		}
		if rng.IntN(4) == 0 {
			c.Only = c.Channel
		}
		switch c.Kind {
		case service.Enrol, service.Withdraw:
			for range rng.IntN(4) {
				c.Services = append(c.Services, codes("A", "B", "C", "D", "E", "F")[rng.IntN(6)])
			}
			if rng.IntN(3) == 0 {
				c.Language = codes("ar", "en")[rng.IntN(2)]
			}
		case service.SetLanguage:
			c.Language = codes("ar", "en", "ur")[rng.IntN(3)]
		case service.BlockNumber:
			c.Block = service.Block{Scope: service.BlockScope(1 + rng.IntN(2)), Reason: codes("", "x")[rng.IntN(2)]}
		case service.IssueCode, service.Verify:
			c.Code, c.Until = codes("1111", "2222")[rng.IntN(2)], c.Now.AddDate(0, 0, rng.IntN(3)+1)
		}
		switch c.Kind {
		case service.IssueCode, service.Verify, service.NoteUnknown, service.BlockNumber, service.UnblockNumber:
			c.Person, c.Number = service.Person{}, num(rng.IntN(numbers))
		}
		return c
	}
	effects := map[service.Effect]int{}
	for done := 0; done < n; {
		var list []service.Change
		for range 1 + rng.IntN(60) {
			list = append(list, draw())
			if rng.IntN(10) == 0 {
				r.clock.add(time.Duration(rng.IntN(50)) * time.Hour)
			}
		}
		for i, o := range r.apply(list...) {
			want := m.do(&list[i])
			effects[want]++
			if o.Effect != want {
				r.Fatalf("change %d of seed %d: %+v: %+v %v, the model says %d", done+i, seed, list[i], o, o.Err, want)
			}
		}
		done += len(list)
		if rng.IntN(10) == 0 {
			r.restart()
		}
		if rng.IntN(5) == 0 || done >= n {
			r.compare(m, numbers)
		}
	}
	for e, count := range effects {
		if count < n/20 {
			r.Errorf("only %d of %d changes had effect %d: the draw proves too little", count, n, e)
		}
	}
}

// compare compares all that a registry tells with the model.
func (r *rig) compare(m *model, numbers int) {
	r.Helper()
	want := service.Stats{Enrolled: map[string]int64{}, Pending: map[string]int64{}}
	subs := map[service.Person]service.Subscriber{}
	taken := map[number.E164]int{}
	for id, p := range m.people {
		if p.events > 0 {
			if h := r.history(id); len(h) != p.events {
				r.Fatalf("%v has %d events, the model %d", id, len(h), p.events)
			}
		} else {
			r.noHistory(id)
		}
		got, err := r.r.Find(r.ctx, id)
		if p.number == 0 {
			if !errors.Is(err, service.ErrNobody) {
				r.Fatalf("%v: %+v %v", id, got, err)
			}
			continue
		}
		s := service.Subscriber{Person: id, Number: p.number, Language: p.language, State: p.state, Since: p.since}
		for _, e := range p.services {
			s.Enrolments = append(s.Enrolments, *e)
			switch e.State {
			case service.Enrolled:
				want.Enrolled[e.Service]++
			case service.Pending:
				want.Pending[e.Service]++
			}
		}
		want.Subscribers++
		taken[p.number]++
		if p.state != service.Active {
			want.Suspended++
		}
		if !same(got, s) {
			r.Fatalf("%v\n got %+v %v\nwant %+v", id, got, err, s)
		}
		subs[id] = s
	}
	want.Numbers = int64(len(taken))
	blocked := r.blockedNumbers()
	for i := range numbers {
		n := num(i)
		st := r.lookup(n)
		var b service.Block
		if m.numbers[n] != nil {
			b = m.numbers[n].block
		}
		if b.Scope != service.BlockNone {
			want.Blocked++
		}
		switch {
		case st == nil:
			if b.Scope != service.BlockNone || taken[n] > 0 {
				r.Fatalf("nothing is known of %d, the model has %+v and %d persons", n, b, taken[n])
			}
		case st.Block != b || blocked[n] != b || len(st.People) != taken[n]:
			r.Fatalf("%d: %+v, the model has %+v and %d persons", n, st, b, taken[n])
		default:
			for _, s := range st.People {
				if !same(s, subs[s.Person]) {
					r.Fatalf("%+v, want %+v", s, subs[s.Person])
				}
			}
		}
	}
	seen := 0
	if err := r.r.Each(r.ctx, func(s *service.Subscriber) error {
		if seen++; !same(*s, subs[s.Person]) {
			r.Errorf("Each: %+v, want %+v", *s, subs[s.Person])
		}
		return nil
	}); err != nil || seen != len(subs) {
		r.Fatalf("Each told of %d, want %d: %v", seen, len(subs), err)
	}
	if st, err := r.r.Stats(r.ctx); err != nil || !reflect.DeepEqual(st, want) {
		r.Fatalf("Stats\n got %+v %v\nwant %+v", st, err, want)
	}
}

// same compares subscribers; the order of enrolments says nothing.
func same(a, b service.Subscriber) bool {
	order := func(list []service.Enrolment) []service.Enrolment {
		list = slices.Clone(list)
		slices.SortFunc(list, func(a, b service.Enrolment) int { return slices.Compare([]byte(a.Service), []byte(b.Service)) })
		return list
	}
	x, y := order(a.Enrolments), order(b.Enrolments)
	a.Enrolments, b.Enrolments = nil, nil
	return reflect.DeepEqual(a, b) && slices.Equal(x, y)
}
