package servicetest

import (
	"time"

	"masar/service"
)

var numberTests = []test{
	{name: "ANumberChangeMovesEverything", run: moveVerified},
	{name: "AnUnverifiedNumberChangeMakesWhatHeHadPending", run: moveUnverified},
	{name: "ANumberChangeRaisesTheVersionOfBothNumbers", run: moveVersions},
	{name: "AFamilySharesANumber", run: family},
	{name: "ANumberHoldsNoMorePersonsThanTheLimit", limits: service.Limits{People: 2}, run: fullNumber},
	{name: "ANumberChangeOfNobodyIsRefused", run: moveNobody},
	{name: "ARecycledNumberSuspendsEverybodyUntilVerified", run: recycled},
	{name: "ARecycledNumberOfOnePersonSuspendsHimAlone", run: recycledPerson},
	{name: "UnknownSubscriberSuspendsAfterSoManyFailuresInSoManyDays", limits: service.Limits{UnknownTimes: 3, UnknownDays: 30}, run: unknown},
	{name: "UnknownSubscriberOfANumberNobodyHasIsNothing", run: unknownNobody},
	{name: "AVerifiedEnrolmentOrNumberTrustsASuspendedPersonAgain", run: trustedAgain},
}

func moveVerified(r *rig) {
	r.subscriber(1, "A")
	r.changed(service.Change{Kind: service.Withdraw, Person: person(1), Services: codes("B"), ByPerson: true, At: at(-1)})
	r.lookup(num(1))
	r.lookup(num(2))
	o := r.changed(service.Change{Kind: service.SetNumber, Person: person(1), Number: num(2), Verified: true})
	if o.Number != num(2) || o.People != 1 {
		r.Errorf("%+v", o)
	}
	r.equal("Pending", o.Pending)
	r.both(func() {
		if st := r.lookup(num(1)); st != nil {
			r.Errorf("%+v", st)
		}
		if p := r.find(person(1)); p.Number != num(2) {
			r.Errorf("%+v", p)
		}
		r.state(person(1), "A", service.Enrolled)
		r.state(person(1), "B", service.Withdrawn)
		h := r.history(person(1))
		if last := h[len(h)-1]; last.Kind != service.SetNumber || last.Number != num(2) || last.Was != num(1) || !last.Verified {
			r.Errorf("%+v", last)
		}
	})
	r.nothing(service.Change{Kind: service.SetNumber, Person: person(1), Number: num(2)})
	r.refused("number", "change the number first", service.Change{Kind: service.Enrol, Person: person(1), Number: num(1), Services: codes("C")})
}

func moveUnverified(r *rig) {
	r.subscriber(1, "A", "B")
	r.changed(service.Change{Kind: service.Withdraw, Person: person(1), Services: codes("B")})
	o := r.changed(service.Change{Kind: service.SetNumber, Person: person(1), Number: num(2)})
	r.equal("Pending", o.Pending, "A")
	r.equal("Moved", o.Moved, "A")
	r.both(func() {
		r.state(person(1), "A", service.Pending)
		r.state(person(1), "B", service.Withdrawn)
	})
	o = r.changed(service.Change{Kind: service.Enrol, Person: person(1), Services: codes("C")})
	r.equal("Pending", o.Pending, "C") // the new number is not verified
	o = r.changed(service.Change{Kind: service.SetNumber, Person: person(1), Number: num(2), Verified: true})
	r.equal("Moved", o.Moved, "A", "C")
	r.state(person(1), "A", service.Enrolled)
}

func moveVersions(r *rig) {
	r.subscriber(1, "A")
	one, two := r.version(1), r.version(2)
	r.changed(service.Change{Kind: service.SetNumber, Person: person(1), Number: num(2)})
	if r.version(1) <= one || r.version(2) <= two {
		r.Errorf("%d -> %d, %d -> %d", one, r.version(1), two, r.version(2))
	}
}

func family(r *rig) {
	r.subscriber(1, "A")
	r.subscriber(2, "B")
	r.changed(service.Change{Kind: service.Enrol, Person: person(3), Number: num(1), Services: codes("C"), Verified: true})
	r.changed(service.Change{Kind: service.SetNumber, Person: person(2), Number: num(1), Verified: true})
	r.both(func() {
		if st := r.lookup(num(1)); st == nil || len(st.People) != 3 {
			r.Fatalf("%+v", st)
		}
		for i := 1; i <= 3; i++ {
			if p := r.find(person(i)); p.Number != num(1) || len(p.Enrolments) != 1 {
				r.Errorf("%+v", p)
			}
		}
	})
	r.changed(service.Change{Kind: service.SetNumber, Person: person(1), Number: num(4), Verified: true})
	r.both(func() {
		r.state(person(1), "A", service.Enrolled)
		r.state(person(2), "B", service.Enrolled)
		r.state(person(3), "C", service.Enrolled)
		if st := r.lookup(num(1)); len(st.People) != 2 {
			r.Errorf("%+v", st)
		}
	})
}

func fullNumber(r *rig) {
	r.subscriber(1, "A")
	r.subscriber(3, "A")
	r.changed(service.Change{Kind: service.Enrol, Person: person(2), Number: num(1), Services: codes("A")})
	r.refused("number", "as many persons", service.Change{Kind: service.Enrol, Person: person(4), Number: num(1), Services: codes("A")})
	r.nobody(person(4))
	r.refused("number", "as many persons", service.Change{Kind: service.SetNumber, Person: person(3), Number: num(1)})
	if p := r.find(person(3)); p.Number != num(3) {
		r.Errorf("%+v", p)
	}
	r.changed(service.Change{Kind: service.Enrol, Person: person(2), Number: num(1), Services: codes("B")}) // who is there may stay
}

func moveNobody(r *rig) {
	r.refused("person", "not known", service.Change{Kind: service.SetNumber, Person: person(1), Number: num(1)})
	r.refused("person", "needed", service.Change{Kind: service.SetNumber, Number: num(1)})
	r.subscriber(1, "A")
	r.refused("number", "needed", service.Change{Kind: service.SetNumber, Person: person(1)})
}

func (r *rig) suspended(i int, want service.SubscriberState) {
	r.Helper()
	if p := r.find(person(i)); p.State != want {
		r.Fatalf("%v, want %v", p.State, want)
	}
}

func recycled(r *rig) {
	r.subscriber(1, "A")
	r.changed(service.Change{Kind: service.Enrol, Person: person(2), Number: num(1), Services: codes("A"), Verified: true})
	if o := r.changed(service.Change{Kind: service.MarkRecycled, Number: num(1), Channel: "carrier"}); o.People != 2 {
		r.Errorf("%+v", o)
	}
	r.nothing(service.Change{Kind: service.MarkRecycled, Number: num(1)})
	r.both(func() {
		r.suspended(1, service.Recycled)
		r.suspended(2, service.Recycled)
		r.state(person(1), "A", service.Enrolled) // what he has stays, until he is found again
	})
	o := r.changed(service.Change{Kind: service.Enrol, Person: person(1), Services: codes("B")})
	r.equal("Pending", o.Pending, "B") // the number is not verified any more
	r.apply(service.Change{Kind: service.IssueCode, Number: num(1), Code: "123456", Until: r.in(1)})
	r.changed(service.Change{Kind: service.Verify, Number: num(1), Code: "123456"})
	r.both(func() {
		r.suspended(1, service.Active)
		r.suspended(2, service.Active)
		r.state(person(1), "B", service.Enrolled)
	})
	r.refused("number", "nobody", service.Change{Kind: service.MarkRecycled, Number: num(9)})
}

func recycledPerson(r *rig) {
	r.subscriber(1, "A")
	r.changed(service.Change{Kind: service.Enrol, Person: person(2), Number: num(1), Services: codes("A"), Verified: true})
	r.changed(service.Change{Kind: service.MarkRecycled, Person: person(2)})
	r.suspended(1, service.Active)
	r.suspended(2, service.Recycled)
	r.refused("number", "current", service.Change{Kind: service.MarkRecycled, Person: person(1), Number: num(5)})
	// Moved without proof he stays suspended.
	r.changed(service.Change{Kind: service.SetNumber, Person: person(2), Number: num(2)})
	r.suspended(2, service.Recycled)
}

func unknown(r *rig) {
	r.subscriber(1, "A")
	fail := service.Change{Kind: service.NoteUnknown, Number: num(1), Channel: "carrier"}
	r.nothing(fail)
	r.clock.add(31 * 24 * time.Hour)
	r.nothing(fail) // the first is too old
	r.restart()
	r.clock.add(24 * time.Hour)
	r.nothing(fail)
	r.suspended(1, service.Active)
	r.clock.add(24 * time.Hour)
	v := r.version(1)
	if o := r.changed(fail); o.People != 1 {
		r.Errorf("%+v", o)
	}
	if r.version(1) <= v {
		r.Error("Version stayed")
	}
	r.both(func() { r.suspended(1, service.Unreachable) })
	r.nothing(fail)
	r.changed(service.Change{Kind: service.MarkRecycled, Number: num(1)})
	r.suspended(1, service.Recycled)
	r.changed(service.Change{Kind: service.Enrol, Person: person(1), Services: codes("A"), Verified: true})
	r.nothing(fail) // it counts from nought again
	r.suspended(1, service.Active)
}

func unknownNobody(r *rig) {
	for range 5 {
		r.nothing(service.Change{Kind: service.NoteUnknown, Number: num(1)})
	}
	r.subscriber(1, "A")
	r.nothing(service.Change{Kind: service.NoteUnknown, Number: num(1)})
	r.suspended(1, service.Active)
}

func trustedAgain(r *rig) {
	r.subscriber(1, "A")
	r.changed(service.Change{Kind: service.MarkRecycled, Person: person(1)})
	r.changed(service.Change{Kind: service.Enrol, Person: person(1), Services: codes("A"), Verified: true})
	r.suspended(1, service.Active)
	r.changed(service.Change{Kind: service.MarkRecycled, Person: person(1)})
	r.changed(service.Change{Kind: service.SetNumber, Person: person(1), Number: num(2), Verified: true})
	r.suspended(1, service.Active)
	r.state(person(1), "A", service.Enrolled)
}
