package servicetest

import (
	"context"
	"errors"
	"reflect"
	"time"

	"masar/service"
)

var batchTests = []test{
	{name: "ChangesOfOneBatchSeeEachOtherInOrder", run: batchOrder},
	{name: "ARefusedChangeCostsTheOthersNothing", run: batchRefused},
	{name: "ManyChangesAreOneBatch", run: batchLarge},
	{name: "ABatchWithAKnownKeyIsNotApplied", run: onceKnown},
	{name: "AKeyIsForgottenAfterItsKeeping", limits: service.Limits{Keep: time.Hour}, run: onceKept},
	{name: "ABookmarkIsStoredWithItsBatch", run: bookmark},
	{name: "WhatIsDecidedFinishesBookmarkAndAnswer", run: decided},
	{name: "ABatchOfACancelledContextIsNotApplied", run: cancelled},
	{name: "HistoryTellsEverythingOldestFirst", run: history},
	{name: "EachSeesEverySubscriber", run: each},
	{name: "EachEndsWithItsError", run: eachError},
	{name: "StatsCountWhatIsThere", run: stats},
	{name: "VersionRisesBeforeApplyReturns", run: versionRises},
	{name: "AClosedRegistrySaysSo", run: closed},
}

func batchOrder(r *rig) {
	out := r.apply(
		service.Change{Kind: service.Enrol, Person: person(1), Number: num(1), Services: codes("A")},
		service.Change{Kind: service.IssueCode, Number: num(1), Code: "1234", Until: r.in(1)},
		service.Change{Kind: service.Verify, Number: num(1), Code: "1234"},
		service.Change{Kind: service.SetNumber, Person: person(1), Number: num(2), Verified: true},
		service.Change{Kind: service.Withdraw, Number: num(2), Services: codes("A"), ByPerson: true},
		service.Change{Kind: service.Enrol, Person: person(1), Number: num(2), Services: codes("A", "B")},
		service.Change{Kind: service.Erase, Person: person(1)},
		service.Change{Kind: service.Enrol, Person: person(1), Number: num(3), Services: codes("A", "C"), Verified: true},
	)
	for i, o := range out {
		if o.Effect != service.Changed {
			r.Errorf("change %d: %+v %v", i, o, o.Err)
		}
	}
	r.equal("Kept", out[5].Kept, "A")
	r.equal("Kept", out[7].Kept, "A")
	r.both(func() {
		if p := r.find(person(1)); p.Number != num(3) {
			r.Errorf("%+v", p)
		}
		r.state(person(1), "A", service.Withdrawn)
		r.state(person(1), "C", service.Enrolled)
		if len(r.history(person(1))) != 1 {
			r.Errorf("%+v", r.history(person(1)))
		}
		if r.lookup(num(1)) != nil || r.lookup(num(2)) != nil {
			r.Error("somebody is left behind")
		}
	})
}

func batchRefused(r *rig) {
	out := r.apply(
		service.Change{Kind: service.Enrol, Person: person(1), Number: num(1), Services: codes("A")},
		service.Change{Kind: service.SetNumber, Person: person(9), Number: num(9)},
		service.Change{Kind: service.Enrol, Person: person(2), Number: num(2), Services: codes("A")},
	)
	if out[0].Err != nil || out[1].Effect != service.NotDone || out[2].Err != nil {
		r.Errorf("%+v", out)
	}
	r.find(person(1))
	r.find(person(2))
}

func batchLarge(r *rig) {
	const n = 4000
	var list []service.Change
	for i := range n {
		list = append(list, service.Change{Kind: service.Enrol, Person: person(i), Number: num(i / 2), Services: codes("A", "B"), Verified: i%2 == 0})
	}
	for i, o := range r.apply(list...) {
		if o.Effect != service.Changed {
			r.Fatalf("%d: %+v", i, o)
		}
	}
	r.both(func() {
		for i := range n {
			if p := r.find(person(i)); len(p.Enrolments) != 2 || p.Number != num(i/2) {
				r.Fatalf("%+v", p)
			}
		}
	})
	for i, o := range r.apply(list...) {
		if o.Effect != service.NothingNew {
			r.Fatalf("%d again: %+v", i, o)
		}
	}
}

func onceKnown(r *rig) {
	once := service.Once{Key: "bank-a/7", Body: [32]byte{1}, Answer: []byte(`{"moved":["A"]}`), At: r.clock.Now()}
	batch := func(o service.Once, i int) error {
		_, err := r.r.Apply(r.ctx, service.Batch{Once: &o, Changes: []service.Change{
			{Kind: service.Enrol, Person: person(i), Number: num(i), Services: codes("A"), Now: r.clock.Now()},
		}})
		return err
	}
	if _, err := r.r.Once(r.ctx, once.Key); !errors.Is(err, service.ErrNobody) {
		r.Errorf("before: %v", err)
	}
	if err := batch(once, 1); err != nil {
		r.Fatal(err)
	}
	r.both(func() {
		if err := batch(once, 2); !errors.Is(err, service.ErrOnceKnown) {
			r.Errorf("the same again: %v", err)
		}
		other := once
		other.Body[0] = 2
		if err := batch(other, 2); !errors.Is(err, service.ErrKeyReused) {
			r.Errorf("with another body: %v", err)
		}
		r.nobody(person(2))
		got, err := r.r.Once(r.ctx, once.Key)
		if err != nil || got.Key != once.Key || got.Body != once.Body || string(got.Answer) != string(once.Answer) || !got.At.Equal(once.At) {
			r.Errorf("%+v %v", got, err)
		}
	})
	third := once
	third.Key = "bank-a/8"
	if err := batch(third, 2); err != nil {
		r.Error(err)
	}
}

func onceKept(r *rig) {
	apply := func() error {
		_, err := r.r.Apply(r.ctx, service.Batch{Once: &service.Once{Key: "k", At: r.clock.Now()}})
		return err
	}
	if err := apply(); err != nil {
		r.Fatal(err)
	}
	r.clock.add(time.Hour)
	if err := apply(); !errors.Is(err, service.ErrOnceKnown) {
		r.Error(err)
	}
	r.clock.add(time.Second)
	if _, err := r.r.Once(r.ctx, "k"); !errors.Is(err, service.ErrNobody) {
		r.Error(err)
	}
	if err := apply(); err != nil {
		r.Error(err)
	}
}

func bookmark(r *rig) {
	if m, err := r.r.Bookmark(r.ctx, "job"); err != nil || m != (service.Bookmark{}) {
		r.Errorf("%+v %v", m, err)
	}
	want := service.Bookmark{Job: "job", At: r.clock.Now()}
	v := reflect.ValueOf(&want).Elem() // whatever fields it has
	for i := range v.NumField() {
		switch f := v.Field(i); f.Kind() {
		case reflect.Int64, reflect.Int:
			f.SetInt(int64(i + 1))
		case reflect.Bool:
			f.SetBool(true)
		}
	}
	if _, err := r.r.Apply(r.ctx, service.Batch{Bookmark: &want}); err != nil {
		r.Fatal(err)
	}
	r.both(func() {
		if m, err := r.r.Bookmark(r.ctx, "job"); err != nil || m != want {
			r.Errorf("%+v %v, want %+v", m, err, want)
		}
	})
	want.Line = 99
	if _, err := r.r.Apply(r.ctx, service.Batch{Bookmark: &want}); err != nil {
		r.Fatal(err)
	}
	r.both(func() {
		if m, err := r.r.Bookmark(r.ctx, "job"); err != nil || m != want {
			r.Errorf("%+v %v, want %+v", m, err, want)
		}
	})
}

func decided(r *rig) {
	mark := &service.Bookmark{Job: "job", At: r.clock.Now()}
	once := &service.Once{Key: "k", At: r.clock.Now()}
	called := 0
	b := service.Batch{
		Changes: []service.Change{
			{Kind: service.Enrol, Person: person(1), Number: num(1), Services: codes("A"), Now: r.clock.Now()},
			{Kind: service.Enrol, Person: person(1), Number: num(1), Services: codes("A"), Now: r.clock.Now()},
			{Kind: service.Enrol, Person: person(2), Services: codes("A"), Now: r.clock.Now()},
		},
		Bookmark: mark, Once: once,
		Decided: func(out []service.Outcome) {
			called++
			for _, o := range out {
				switch o.Effect {
				case service.Changed:
					mark.Changed++
				case service.NothingNew:
					mark.Nothing++
				case service.NotDone:
					mark.Bad++
				}
			}
			once.Answer = []byte("answer")
		},
	}
	if _, err := r.r.Apply(r.ctx, b); err != nil {
		r.Fatal(err)
	}
	if _, err := r.r.Apply(r.ctx, b); !errors.Is(err, service.ErrOnceKnown) {
		r.Error(err)
	}
	if called != 1 {
		r.Errorf("Decided was called %d times", called)
	}
	r.both(func() {
		if m, err := r.r.Bookmark(r.ctx, "job"); err != nil || m.Changed != 1 || m.Nothing != 1 || m.Bad != 1 {
			r.Errorf("%+v %v", m, err)
		}
		if o, err := r.r.Once(r.ctx, "k"); err != nil || string(o.Answer) != "answer" {
			r.Errorf("%+v %v", o, err)
		}
	})
}

func cancelled(r *rig) {
	ctx, cancel := context.WithCancel(r.ctx)
	cancel()
	_, err := r.r.Apply(ctx, service.Batch{Changes: []service.Change{{Kind: service.Enrol, Person: person(1), Number: num(1), Services: codes("A"), Now: epoch}}})
	if !errors.Is(err, context.Canceled) {
		r.Errorf("%v", err)
	}
	r.nobody(person(1))
}

func history(r *rig) {
	r.noHistory(person(1))
	r.changed(service.Change{Kind: service.Enrol, Person: person(1), Number: num(1), Services: codes("A", "B"), Verified: true, Channel: "bank", By: "clerk", At: at(-3)})
	want := []service.Event{{At: r.clock.Now(), Kind: service.Enrol, Services: codes("A", "B"), Number: num(1), Channel: "bank", By: "clerk", Consent: at(-3), Verified: true}}
	for i := range 50 {
		r.clock.add(time.Hour)
		e := service.Event{At: r.clock.Now(), Number: num(i + 1), Channel: "portal"}
		c := service.Change{Person: person(1)}
		switch i % 3 {
		case 0:
			e.Kind, e.Number, e.Was, e.Verified = service.SetNumber, num(i+2), num(i+1), true
			c.Kind, c.Number, c.Verified = service.SetNumber, num(i+2), true
		case 1:
			e.Kind, e.Services, e.ByPerson, e.Consent = service.Withdraw, codes("A"), true, r.clock.Now()
			c.Kind, c.Services, c.ByPerson, c.At = service.Withdraw, codes("A"), true, r.clock.Now()
			e.Number = r.find(person(1)).Number
		case 2:
			e.Kind, e.Services, e.ByPerson = service.Enrol, codes("A"), true
			c.Kind, c.Services, c.ByPerson = service.Enrol, codes("A"), true
			e.Number = r.find(person(1)).Number
		}
		if i%3 == 0 {
			e.Was = r.find(person(1)).Number
		}
		r.changed(c)
		want = append(want, e)
	}
	r.both(func() {
		got := r.history(person(1))
		if len(got) != len(want) {
			r.Fatalf("%d events, want %d", len(got), len(want))
		}
		for i := range want {
			if !reflect.DeepEqual(got[i], want[i]) {
				r.Errorf("event %d\n got %+v\nwant %+v", i, got[i], want[i])
			}
		}
	})
}

func each(r *rig) {
	for i := range 100 {
		r.changed(service.Change{Kind: service.Enrol, Person: person(i), Number: num(i % 60), Services: codes("A")})
	}
	r.changed(service.Change{Kind: service.BlockNumber, Number: num(999), Block: service.Block{Scope: service.BlockAll}})
	r.changed(service.Change{Kind: service.Withdraw, Person: person(998), ByPerson: true})
	r.both(func() {
		seen := map[service.Person]bool{}
		err := r.r.Each(r.ctx, func(s *service.Subscriber) error {
			if seen[s.Person] {
				r.Errorf("%v twice", s.Person)
			}
			seen[s.Person] = true
			if !reflect.DeepEqual(*s, r.find(s.Person)) { // others may be asked meanwhile
				r.Errorf("%+v", s)
			}
			return nil
		})
		if err != nil || len(seen) != 100 {
			r.Errorf("%d seen: %v", len(seen), err)
		}
	})
}

func eachError(r *rig) {
	r.subscriber(1, "A")
	r.subscriber(2, "A")
	mine := errors.New("enough")
	calls := 0
	if err := r.r.Each(r.ctx, func(*service.Subscriber) error { calls++; return mine }); !errors.Is(err, mine) || calls != 1 {
		r.Errorf("%v after %d calls", err, calls)
	}
}

func stats(r *rig) {
	r.apply(
		service.Change{Kind: service.Enrol, Person: person(1), Number: num(1), Services: codes("A", "B"), Verified: true},
		service.Change{Kind: service.Enrol, Person: person(2), Number: num(1), Services: codes("A")},
		service.Change{Kind: service.Enrol, Person: person(3), Number: num(3), Services: codes("B"), Verified: true},
		service.Change{Kind: service.Withdraw, Person: person(1), Services: codes("B")},
		service.Change{Kind: service.MarkRecycled, Person: person(3)},
		service.Change{Kind: service.BlockNumber, Number: num(7), Block: service.Block{Scope: service.BlockAll}},
	)
	r.both(func() {
		st, err := r.r.Stats(r.ctx)
		if err != nil {
			r.Fatal(err)
		}
		want := service.Stats{Subscribers: 3, Numbers: 2, Suspended: 1, Blocked: 1,
			Enrolled: map[string]int64{"A": 1, "B": 1}, Pending: map[string]int64{"A": 1}}
		if !reflect.DeepEqual(st, want) {
			r.Errorf("%+v, want %+v", st, want)
		}
	})
}

func versionRises(r *rig) {
	for i, c := range []service.Change{
		{Kind: service.Enrol, Person: person(1), Number: num(1), Services: codes("A")},
		{Kind: service.Enrol, Person: person(1), Services: codes("B")},
		{Kind: service.SetLanguage, Person: person(1), Language: "ar"},
		{Kind: service.Enrol, Person: person(1), Services: codes("A"), Verified: true},
		{Kind: service.MarkRecycled, Person: person(1)},
		{Kind: service.Withdraw, Number: num(1)},
		{Kind: service.BlockNumber, Number: num(1), Block: service.Block{Scope: service.BlockAll}},
		{Kind: service.UnblockNumber, Number: num(1)},
		{Kind: service.Erase, Person: person(1)},
	} {
		r.lookup(num(1))
		v := r.version(1)
		r.changed(c)
		if got := r.version(1); got <= v {
			r.Errorf("change %d: Version %d after %d", i, got, v)
		}
	}
}

func closed(r *rig) {
	r.subscriber(1, "A")
	r.lookup(num(1))
	if err := r.r.Close(); err != nil {
		r.Fatal(err)
	}
	want := func(what string, err error) {
		if !errors.Is(err, service.ErrRegistryClosed) {
			r.Errorf("%s: %v", what, err)
		}
	}
	_, err := r.r.Apply(r.ctx, service.Batch{Changes: []service.Change{{Kind: service.Erase, Person: person(1), Now: epoch}}})
	want("Apply", err)
	_, err = r.r.Lookup(r.ctx, num(1))
	want("Lookup", err)
	_, err = r.r.Lookup(r.ctx, num(2))
	want("Lookup", err)
	_, err = r.r.Find(r.ctx, person(1))
	want("Find", err)
	_, err = r.r.History(r.ctx, person(1))
	want("History", err)
	want("Each", r.r.Each(r.ctx, nil))
	want("EachBlocked", r.r.EachBlocked(r.ctx, nil))
	_, err = r.r.Once(r.ctx, "k")
	want("Once", err)
	_, err = r.r.Bookmark(r.ctx, "j")
	want("Bookmark", err)
	_, err = r.r.Stats(r.ctx)
	want("Stats", err)
	if err := r.r.Close(); err != nil {
		r.Errorf("Close again: %v", err)
	}
	r.r = r.open(r.T, r.env)
	r.find(person(1))
}
