package servicetest

import (
	"errors"
	"time"

	"masar/number"
	"masar/service"
)

var guardTests = []test{
	{name: "ACodeMakesPendingEnrolled", run: codeWorks},
	{name: "AWrongCodeIsRefusedAndCostsATry", limits: service.Limits{CodeTries: 3}, run: wrongCode},
	{name: "ACodeEnds", run: codeEnds},
	{name: "ANewCodeReplacesTheOld", run: codeReplaced},
	{name: "ACodeWorksOnce", run: codeOnce},
	{name: "ACodeOfAPersonIsSentToHisNumber", run: codeOfPerson},
	{name: "ABlockedNumberIsTold", run: blocked},
	{name: "ABlockThatExpiredIsNotListed", run: blockExpires},
	{name: "ABlockOutlivesThePeopleOfItsNumber", run: blockStays},
	{name: "AnErasedPersonIsForgotten", run: erased},
	{name: "AnErasedPersonsOwnWithdrawalStaysAsABareMark", run: erasedMark},
	{name: "ErasingANumberErasesEverybodyThere", run: erasedNumber},
}

func codeWorks(r *rig) {
	r.changed(service.Change{Kind: service.Enrol, Person: person(1), Number: num(1), Services: codes("A")})
	r.changed(service.Change{Kind: service.Enrol, Person: person(2), Number: num(1), Services: codes("B")})
	r.refused("code", "none", service.Change{Kind: service.Verify, Number: num(1), Code: "123456"})
	r.changed(service.Change{Kind: service.IssueCode, Number: num(1), Code: "123456", Until: r.clock.Now().Add(time.Hour)})
	r.restart()
	o := r.changed(service.Change{Kind: service.Verify, Number: num(1), Code: "123456"})
	r.equal("Moved", o.Moved, "A", "B")
	r.both(func() {
		r.state(person(1), "A", service.Enrolled)
		r.state(person(2), "B", service.Enrolled)
		h := r.history(person(1))
		if last := h[len(h)-1]; last.Kind != service.Verify {
			r.Errorf("%+v", h)
		}
	})
	o = r.changed(service.Change{Kind: service.Enrol, Person: person(1), Services: codes("C")})
	r.equal("Pending", o.Pending)
}

func wrongCode(r *rig) {
	r.changed(service.Change{Kind: service.Enrol, Person: person(1), Number: num(1), Services: codes("A")})
	r.changed(service.Change{Kind: service.IssueCode, Number: num(1), Code: "123456", Until: r.in(1)})
	for range 2 {
		r.refused("code", "wrong", service.Change{Kind: service.Verify, Number: num(1), Code: "654321"})
	}
	r.restart() // tries are counted durably
	r.refused("code", "wrong", service.Change{Kind: service.Verify, Number: num(1), Code: "654321"})
	r.refused("code", "too often", service.Change{Kind: service.Verify, Number: num(1), Code: "123456"})
	r.state(person(1), "A", service.Pending)
	// One for another number is none for this.
	r.changed(service.Change{Kind: service.IssueCode, Number: num(2), Code: "777777", Until: r.in(1)})
	r.changed(service.Change{Kind: service.IssueCode, Number: num(1), Code: "888888", Until: r.in(1)})
	r.refused("code", "wrong", service.Change{Kind: service.Verify, Number: num(1), Code: "777777"})
	r.changed(service.Change{Kind: service.Verify, Number: num(1), Code: "888888"})
}

func codeEnds(r *rig) {
	r.refused("until", "", service.Change{Kind: service.IssueCode, Number: num(1), Code: "1234", Until: r.clock.Now()})
	r.changed(service.Change{Kind: service.Enrol, Person: person(1), Number: num(1), Services: codes("A")})
	r.changed(service.Change{Kind: service.IssueCode, Number: num(1), Code: "1234", Until: r.clock.Now().Add(time.Minute)})
	r.clock.add(time.Minute)
	r.refused("code", "expired", service.Change{Kind: service.Verify, Number: num(1), Code: "1234"})
	r.state(person(1), "A", service.Pending)
}

func codeReplaced(r *rig) {
	r.subscriber(1, "A")
	r.changed(service.Change{Kind: service.IssueCode, Number: num(1), Code: "1111", Until: r.in(1)})
	r.changed(service.Change{Kind: service.IssueCode, Number: num(1), Code: "2222", Until: r.in(1)})
	r.refused("code", "wrong", service.Change{Kind: service.Verify, Number: num(1), Code: "1111"})
	r.changed(service.Change{Kind: service.Verify, Number: num(1), Code: "2222"})
}

func codeOnce(r *rig) {
	r.subscriber(1, "A")
	r.changed(service.Change{Kind: service.IssueCode, Number: num(1), Code: "1111", Until: r.in(1)})
	r.changed(service.Change{Kind: service.Verify, Number: num(1), Code: "1111"})
	r.refused("code", "none", service.Change{Kind: service.Verify, Number: num(1), Code: "1111"})
	r.restart()
	r.refused("code", "none", service.Change{Kind: service.Verify, Number: num(1), Code: "1111"})
}

func codeOfPerson(r *rig) {
	r.changed(service.Change{Kind: service.Enrol, Person: person(1), Number: num(1), Services: codes("A")})
	r.changed(service.Change{Kind: service.Enrol, Person: person(2), Number: num(1), Services: codes("A")})
	if o := r.changed(service.Change{Kind: service.IssueCode, Person: person(1), Code: "1111", Until: r.in(1)}); o.Number != num(1) {
		r.Errorf("%+v", o)
	}
	if o := r.changed(service.Change{Kind: service.Verify, Person: person(1), Code: "1111"}); o.People != 1 {
		r.Errorf("%+v", o)
	}
	r.state(person(1), "A", service.Enrolled)
	r.state(person(2), "A", service.Pending)
	r.refused("number", "needed", service.Change{Kind: service.IssueCode, Person: person(3), Code: "1111", Until: r.in(1)})
}

func (r *rig) blockedNumbers() map[number.E164]service.Block {
	r.Helper()
	m := map[number.E164]service.Block{}
	if err := r.r.EachBlocked(r.ctx, func(n number.E164, b service.Block) error { m[n] = b; return nil }); err != nil {
		r.Fatalf("EachBlocked: %v", err)
	}
	return m
}

func blocked(r *rig) {
	l := service.Block{Scope: service.BlockAll, Reason: "court order"}
	r.lookup(num(1))
	v := r.version(1)
	r.changed(service.Change{Kind: service.BlockNumber, Number: num(1), Block: l, Channel: "cli"})
	if r.version(1) <= v {
		r.Error("Version stayed")
	}
	r.nothing(service.Change{Kind: service.BlockNumber, Number: num(1), Block: l, Channel: "cli"})
	r.both(func() {
		st := r.lookup(num(1))
		if st == nil || st.Block.Scope != service.BlockAll || st.Block.Reason != "court order" || st.Block.Channel != "cli" || len(st.People) != 0 {
			r.Fatalf("%+v", st)
		}
		if m := r.blockedNumbers(); len(m) != 1 || m[num(1)] != st.Block {
			r.Errorf("%+v", m)
		}
	})
	l.Scope = service.BlockOptIn
	r.changed(service.Change{Kind: service.BlockNumber, Number: num(1), Block: l, Channel: "cli"})
	r.subscriber(1, "A") // a block keeps messages away, not consent
	r.both(func() {
		if st := r.lookup(num(1)); st.Block.Scope != service.BlockOptIn || len(st.People) != 1 {
			r.Errorf("%+v", st)
		}
	})
	r.changed(service.Change{Kind: service.UnblockNumber, Number: num(1)})
	r.nothing(service.Change{Kind: service.UnblockNumber, Number: num(1)})
	r.nothing(service.Change{Kind: service.UnblockNumber, Number: num(2)})
	r.both(func() {
		if st := r.lookup(num(1)); st.Block != (service.Block{}) {
			r.Errorf("%+v", st)
		}
		if m := r.blockedNumbers(); len(m) != 0 {
			r.Errorf("%+v", m)
		}
	})
	h := r.history(person(1))
	if last := h[len(h)-1]; last.Kind != service.UnblockNumber {
		r.Errorf("%+v", h)
	}
}

func blockExpires(r *rig) {
	r.changed(service.Change{Kind: service.BlockNumber, Number: num(1), Block: service.Block{Scope: service.BlockAll, Expires: r.in(1)}})
	r.changed(service.Change{Kind: service.BlockNumber, Number: num(2), Block: service.Block{Scope: service.BlockAll}})
	if m := r.blockedNumbers(); len(m) != 2 {
		r.Errorf("%+v", m)
	}
	r.clock.add(24 * time.Hour)
	r.both(func() {
		if m := r.blockedNumbers(); len(m) != 1 || m[num(2)].Scope != service.BlockAll {
			r.Errorf("%+v", m)
		}
		if st := r.lookup(num(1)); st != nil && st.Block.In(r.clock.Now()) != service.BlockNone {
			r.Errorf("%+v", st)
		}
	})
}

func blockStays(r *rig) {
	r.subscriber(1, "A")
	r.changed(service.Change{Kind: service.BlockNumber, Person: person(1), Block: service.Block{Scope: service.BlockAll}})
	r.changed(service.Change{Kind: service.SetNumber, Person: person(1), Number: num(2), Verified: true})
	r.both(func() {
		if st := r.lookup(num(1)); st == nil || st.Block.Scope != service.BlockAll {
			r.Errorf("%+v", st)
		}
		if st := r.lookup(num(2)); st.Block.Scope != service.BlockNone {
			r.Errorf("%+v", st)
		}
	})
}

func (r *rig) noHistory(p service.Person) {
	r.Helper()
	if h, err := r.r.History(r.ctx, p); !errors.Is(err, service.ErrNobody) {
		r.Fatalf("History: %+v %v", h, err)
	}
}

func erased(r *rig) {
	r.subscriber(1, "A")
	for i := range 40 { // more history than one row may hold
		r.changed(service.Change{Kind: service.SetLanguage, Person: person(1), Language: codes("ar", "en")[i%2]})
	}
	r.changed(service.Change{Kind: service.Enrol, Person: person(2), Number: num(1), Services: codes("A")})
	r.lookup(num(1))
	if o := r.changed(service.Change{Kind: service.Erase, Person: person(1)}); o.People != 1 {
		r.Errorf("%+v", o)
	}
	r.both(func() {
		r.nobody(person(1))
		r.noHistory(person(1))
		if st := r.lookup(num(1)); len(st.People) != 1 || st.People[0].Person != person(2) {
			r.Errorf("%+v", st)
		}
	})
	r.refused("person", "not known", service.Change{Kind: service.Erase, Person: person(1)})
	// Who comes back begins anew.
	r.subscriber(1, "B")
	r.both(func() {
		if h := r.history(person(1)); len(h) != 1 {
			r.Errorf("%d events", len(h))
		}
		if r.enrolment(person(1), "A") != nil {
			r.Error("what he had before came back")
		}
	})
}

func erasedMark(r *rig) {
	r.subscriber(1, "A", "B", "C")
	r.changed(service.Change{Kind: service.Withdraw, Person: person(1), Services: codes("A"), ByPerson: true, At: at(-1)})
	r.changed(service.Change{Kind: service.Withdraw, Person: person(1), Services: codes("B"), At: at(-1)})
	r.changed(service.Change{Kind: service.Erase, Person: person(1)})
	r.both(func() {
		r.nobody(person(1))
		r.noHistory(person(1))
	})
	r.refused("person", "not known", service.Change{Kind: service.Erase, Person: person(1)})
	o := r.changed(service.Change{Kind: service.Enrol, Person: person(1), Number: num(2), Services: codes("A", "B", "C"), At: at(-50), Verified: true})
	r.equal("Kept", o.Kept, "A")
	r.equal("Moved", o.Moved, "B", "C")
	// A withdrawal of somebody unknown is erased alike.
	r.changed(service.Change{Kind: service.Withdraw, Person: person(5), ByPerson: true, At: at(-1)})
	r.changed(service.Change{Kind: service.Erase, Person: person(5)})
	r.both(func() { r.noHistory(person(5)) })
	o = r.nothing(service.Change{Kind: service.Enrol, Person: person(5), Number: num(5), Services: codes("A")})
	r.equal("Kept", o.Kept, "A")
}

func erasedNumber(r *rig) {
	r.subscriber(1, "A")
	r.changed(service.Change{Kind: service.Enrol, Person: person(2), Number: num(1), Services: codes("A")})
	if o := r.changed(service.Change{Kind: service.Erase, Number: num(1)}); o.People != 2 {
		r.Errorf("%+v", o)
	}
	r.both(func() {
		r.nobody(person(1))
		r.nobody(person(2))
		if st := r.lookup(num(1)); st != nil {
			r.Errorf("%+v", st)
		}
	})
	r.refused("number", "nobody", service.Change{Kind: service.Erase, Number: num(1)})
}
