package servicetest

import (
	"time"

	"masar/service"
)

var enrolTests = []test{
	{name: "ANumberThatNothingIsKnownOfHasNoStanding", run: unknownNumber},
	{name: "EveryFieldOfASubscriberComesBack", run: everyField},
	{name: "APersonNotKnownYetNeedsANumber", run: newcomerNeedsNumber},
	{name: "AnEnrolmentWithAnotherNumberIsRefused", run: otherNumber},
	{name: "AnEnrolmentWithoutVerifiedWaitsForACode", run: pendingWithout},
	{name: "AVerifiedNumberNeedsNoSecondCode", run: verifiedBefore},
	{name: "TheSameConsentAgainIsNothingNew", run: sameAgain},
	{name: "AnotherChannelsEnrolmentKeepsTheFirstChannel", run: firstChannel},
	{name: "ALaterConsentIsRemembered", run: laterConsent},
	{name: "AnEnrolmentByNumberTouchesEverybodyThere", run: enrolByNumber},
	{name: "AnEnrolmentOfNoServiceIsRefused", run: enrolNothing},
	{name: "ThePersonsWithdrawalOutlivesOlderAndUndatedConsents", run: outlives},
	{name: "AChannelsWithdrawalGivesWayToAnUndatedConsentAndNotToAnOlderOne", run: channelWithdrawal},
	{name: "ThePersonMayEnrolAgainHimself", run: againByPerson},
	{name: "AnUndatedWithdrawalCountsFromWhenItReachedUs", run: undatedWithdrawal},
	{name: "AWithdrawalTwiceIsNothingNew", run: withdrawTwice},
	{name: "AWithdrawalOfSomebodyNeverEnrolledIsKept", run: withdrawUnknownPerson},
	{name: "AWithdrawalByANumberNobodyHasIsKept", run: withdrawUnknownNumber},
	{name: "AWithdrawalOfEverythingMeetsServicesThatComeLater", run: withdrawAll},
	{name: "AWithdrawalByNumberTouchesEverybodyThere", run: withdrawByNumber},
	{name: "AChannelTouchesOnlyWhatItMade", run: onlyFilter},
	{name: "ALanguageIsChangedForWhomItNames", run: language},
	{name: "WhatNoRowMayHoldIsRefused", run: invalid},
}

func unknownNumber(r *rig) {
	if st := r.lookup(num(1)); st != nil {
		r.Errorf("%+v", st)
	}
	if st := r.lookup(num(1)); st != nil { // from memory
		r.Errorf("%+v", st)
	}
	r.nobody(person(1))
}

func everyField(r *rig) {
	now := r.clock.Now()
	r.apply(
		service.Change{Kind: service.Enrol, Person: person(1), Number: num(1), Services: codes("IDREN", "IDNEW"), Language: "ar", Verified: true, Channel: "bank-a", By: "clerk 7", At: at(-3)},
		service.Change{Kind: service.Withdraw, Person: person(1), Services: codes("IDNEW"), ByPerson: true, Channel: "sms", At: at(-1)},
		service.Change{Kind: service.BlockNumber, Number: num(1), Block: service.Block{Scope: service.BlockOptIn, Reason: "complaint", Expires: at(5)}, Channel: "cli"},
	)
	r.both(func() {
		st := r.lookup(num(1))
		if st == nil || len(st.People) != 1 {
			r.Fatalf("%+v", st)
		}
		if want := (service.Block{Scope: service.BlockOptIn, Reason: "complaint", Expires: at(5), Channel: "cli", At: now}); st.Block != want {
			r.Errorf("block %+v, want %+v", st.Block, want)
		}
		p := r.find(person(1))
		if p.Person != person(1) || p.Number != num(1) || p.Language != "ar" || p.State != service.Active || !p.Since.Equal(now) || len(p.Enrolments) != 2 {
			r.Errorf("%+v", p)
		}
		if e := r.enrolment(person(1), "IDREN"); *e != (service.Enrolment{Service: "IDREN", State: service.Enrolled, Channel: "bank-a", At: at(-3)}) {
			r.Errorf("%+v", e)
		}
		if e := r.enrolment(person(1), "IDNEW"); *e != (service.Enrolment{Service: "IDNEW", State: service.Withdrawn, Channel: "bank-a", At: at(-1), ByPerson: true}) {
			r.Errorf("%+v", e)
		}
	})
}

func newcomerNeedsNumber(r *rig) {
	r.refused("number", "needed", service.Change{Kind: service.Enrol, Person: person(1), Services: codes("A")})
	r.nobody(person(1))
	r.refused("person", "needed", service.Change{Kind: service.Enrol, Number: num(1), Services: codes("A")})
	if st := r.lookup(num(1)); st != nil {
		r.Errorf("%+v", st)
	}
}

func otherNumber(r *rig) {
	r.subscriber(1, "A")
	r.refused("number", "change the number first", service.Change{Kind: service.Enrol, Person: person(1), Number: num(2), Services: codes("B")})
	if r.enrolment(person(1), "B") != nil || r.lookup(num(2)) != nil {
		r.Error("something of it was done")
	}
	r.changed(service.Change{Kind: service.Enrol, Person: person(1), Services: codes("B")})
	r.changed(service.Change{Kind: service.Enrol, Person: person(1), Number: num(1), Services: codes("C")})
}

func pendingWithout(r *rig) {
	o := r.changed(service.Change{Kind: service.Enrol, Person: person(1), Number: num(1), Services: codes("A", "B")})
	r.equal("Pending", o.Pending, "A", "B")
	if o.Number != num(1) || o.People != 1 {
		r.Errorf("%+v", o)
	}
	r.both(func() { r.state(person(1), "A", service.Pending) })
	o = r.nothing(service.Change{Kind: service.Enrol, Person: person(1), Number: num(1), Services: codes("A")})
	r.equal("Pending", o.Pending, "A")
	o = r.changed(service.Change{Kind: service.Enrol, Person: person(1), Services: codes("A"), Verified: true})
	r.equal("Moved", o.Moved, "A")
	r.equal("Pending", o.Pending)
	r.state(person(1), "A", service.Enrolled)
	r.state(person(1), "B", service.Pending)
}

func verifiedBefore(r *rig) {
	r.subscriber(1, "A")
	o := r.changed(service.Change{Kind: service.Enrol, Person: person(1), Services: codes("B")})
	r.equal("Pending", o.Pending)
	r.both(func() { r.state(person(1), "B", service.Enrolled) })
}

func sameAgain(r *rig) {
	r.subscriber(1, "A", "B")
	events := len(r.history(person(1)))
	v := r.version(1)
	for _, when := range []time.Time{at(-100), at(-200), {}} {
		o := r.nothing(service.Change{Kind: service.Enrol, Person: person(1), Number: num(1), Services: codes("A", "B", "A"), Verified: true, At: when})
		r.equal("Moved", o.Moved)
	}
	if n := len(r.history(person(1))); n != events {
		r.Errorf("%d events, before there were %d", n, events)
	}
	if r.version(1) != v {
		r.Log("Version rose for nothing: allowed")
	}
}

func firstChannel(r *rig) {
	r.changed(service.Change{Kind: service.Enrol, Person: person(1), Number: num(1), Services: codes("A"), Channel: "office"})
	r.changed(service.Change{Kind: service.Enrol, Person: person(1), Services: codes("A"), Verified: true, Channel: "bank"})
	if e := r.enrolment(person(1), "A"); e.Channel != "office" || e.State != service.Enrolled {
		r.Errorf("%+v", e)
	}
	r.changed(service.Change{Kind: service.Withdraw, Person: person(1), Services: codes("A"), ByPerson: true, Channel: "sms"})
	if e := r.enrolment(person(1), "A"); e.Channel != "office" {
		r.Errorf("a withdrawal took the channel: %+v", e)
	}
	r.changed(service.Change{Kind: service.Enrol, Person: person(1), Services: codes("A"), At: at(1), Channel: "bank"})
	if e := r.enrolment(person(1), "A"); e.Channel != "bank" || e.State != service.Enrolled || e.ByPerson {
		r.Errorf("a new consent after the withdrawal: %+v", e)
	}
}

func laterConsent(r *rig) {
	r.subscriber(1, "A")
	o := r.changed(service.Change{Kind: service.Enrol, Person: person(1), Services: codes("A"), At: at(-5)})
	r.equal("Moved", o.Moved)
	r.both(func() {
		if e := r.enrolment(person(1), "A"); !e.At.Equal(at(-5)) {
			r.Errorf("%+v", e)
		}
	})
}

func enrolByNumber(r *rig) {
	r.apply(
		service.Change{Kind: service.Enrol, Person: person(1), Number: num(1), Services: codes("A"), Verified: true},
		service.Change{Kind: service.Enrol, Person: person(2), Number: num(1), Services: codes("A")},
	)
	o := r.changed(service.Change{Kind: service.Enrol, Number: num(1), Services: codes("B"), ByPerson: true})
	if o.People != 2 {
		r.Errorf("%+v", o)
	}
	r.equal("Pending", o.Pending, "B") // of the one whose number nobody has verified
	r.state(person(1), "B", service.Enrolled)
	r.state(person(2), "B", service.Pending)
}

func enrolNothing(r *rig) {
	r.refused("services", "", service.Change{Kind: service.Enrol, Person: person(1), Number: num(1)})
	r.nobody(person(1))
}

func outlives(r *rig) {
	r.subscriber(1, "A")
	r.changed(service.Change{Kind: service.Withdraw, Person: person(1), Services: codes("A"), ByPerson: true, At: at(-10)})
	r.both(func() {
		for _, when := range []time.Time{at(-100), at(-11), at(-10), {}} {
			o := r.nothing(service.Change{Kind: service.Enrol, Person: person(1), Number: num(1), Services: codes("A"), Verified: true, At: when, Channel: "bulk"})
			r.equal("Kept", o.Kept, "A")
			r.state(person(1), "A", service.Withdrawn)
		}
	})
	o := r.changed(service.Change{Kind: service.Enrol, Person: person(1), Services: codes("A", "B"), At: at(-10).Add(time.Second)})
	r.equal("Kept", o.Kept)
	r.equal("Moved", o.Moved, "A", "B")
	r.both(func() { r.state(person(1), "A", service.Enrolled) })
}

func channelWithdrawal(r *rig) {
	r.subscriber(1, "A")
	r.changed(service.Change{Kind: service.Withdraw, Person: person(1), Services: codes("A"), At: at(-10)})
	o := r.nothing(service.Change{Kind: service.Enrol, Person: person(1), Services: codes("A"), At: at(-11)})
	r.equal("Kept", o.Kept, "A")
	r.changed(service.Change{Kind: service.Enrol, Person: person(1), Services: codes("A")})
	r.state(person(1), "A", service.Enrolled)
}

func againByPerson(r *rig) {
	r.subscriber(1, "A")
	r.changed(service.Change{Kind: service.Withdraw, Person: person(1), ByPerson: true, At: at(0)})
	o := r.changed(service.Change{Kind: service.Enrol, Person: person(1), Services: codes("A"), ByPerson: true})
	r.equal("Moved", o.Moved, "A")
	r.state(person(1), "A", service.Enrolled)
	o = r.nothing(service.Change{Kind: service.Enrol, Person: person(1), Services: codes("B")})
	r.equal("Kept", o.Kept, "B") // everything was withdrawn, B has not been asked for since
}

func undatedWithdrawal(r *rig) {
	r.subscriber(1, "A")
	r.changed(service.Change{Kind: service.Withdraw, Person: person(1), Services: codes("A"), ByPerson: true})
	o := r.nothing(service.Change{Kind: service.Enrol, Person: person(1), Services: codes("A"), At: r.clock.Now()})
	r.equal("Kept", o.Kept, "A")
	r.changed(service.Change{Kind: service.Enrol, Person: person(1), Services: codes("A"), At: r.clock.Now().Add(time.Second)})
}

func withdrawTwice(r *rig) {
	r.subscriber(1, "A", "B")
	for _, c := range []service.Change{
		{Kind: service.Withdraw, Person: person(1), Services: codes("A")},
		{Kind: service.Withdraw, Person: person(1), ByPerson: true, At: at(-1)},
	} {
		r.changed(c)
		o := r.nothing(c)
		r.equal("Moved", o.Moved)
	}
	// What the person says again later outlives the consents in between.
	r.changed(service.Change{Kind: service.Withdraw, Person: person(1), ByPerson: true, At: at(1)})
	o := r.nothing(service.Change{Kind: service.Enrol, Person: person(1), Services: codes("A"), At: at(0)})
	r.equal("Kept", o.Kept, "A")
}

func withdrawUnknownPerson(r *rig) {
	o := r.changed(service.Change{Kind: service.Withdraw, Person: person(1), Services: codes("A"), ByPerson: true, At: at(-5)})
	r.equal("Moved", o.Moved, "A")
	r.nobody(person(1))
	r.both(func() {
		o := r.nothing(service.Change{Kind: service.Enrol, Person: person(1), Number: num(1), Services: codes("A"), At: at(-6), Channel: "bulk"})
		r.equal("Kept", o.Kept, "A")
		r.nobody(person(1)) // the older consent changed nothing
	})
	o = r.changed(service.Change{Kind: service.Enrol, Person: person(1), Number: num(1), Services: codes("A", "B"), Verified: true, At: at(-6)})
	r.equal("Kept", o.Kept, "A")
	r.equal("Moved", o.Moved, "B")
	r.both(func() {
		r.state(person(1), "A", service.Withdrawn)
		r.state(person(1), "B", service.Enrolled)
		if h := r.history(person(1)); len(h) != 2 || h[0].Kind != service.Withdraw || h[1].Kind != service.Enrol {
			r.Errorf("%+v", h)
		}
	})
	r.changed(service.Change{Kind: service.Enrol, Person: person(1), Services: codes("A"), At: at(-4)})
	r.state(person(1), "A", service.Enrolled)
}

func withdrawUnknownNumber(r *rig) {
	r.changed(service.Change{Kind: service.Withdraw, Number: num(1), Services: codes("A"), ByPerson: true, At: at(-5), Channel: "sms"})
	r.changed(service.Change{Kind: service.Withdraw, Number: num(2), ByPerson: true, At: at(-5), Channel: "sms"})
	r.both(func() {
		if st := r.lookup(num(1)); st != nil {
			r.Errorf("%+v", st)
		}
		for i := 1; i <= 2; i++ {
			o := r.nothing(service.Change{Kind: service.Enrol, Person: person(i), Number: num(i), Services: codes("A"), At: at(-6)})
			r.equal("Kept", o.Kept, "A")
			r.nobody(person(i))
		}
	})
	o := r.changed(service.Change{Kind: service.Enrol, Person: person(1), Number: num(1), Services: codes("A", "B"), At: at(-6), Verified: true})
	r.equal("Kept", o.Kept, "A")
	o = r.changed(service.Change{Kind: service.Enrol, Person: person(2), Number: num(2), Services: codes("A"), At: at(-4), Verified: true})
	r.equal("Moved", o.Moved, "A")
	// It moves with whom it met.
	r.changed(service.Change{Kind: service.SetNumber, Person: person(1), Number: num(3), Verified: true})
	r.both(func() {
		o := r.nothing(service.Change{Kind: service.Enrol, Person: person(1), Services: codes("A")})
		r.equal("Kept", o.Kept, "A")
	})
}

func withdrawAll(r *rig) {
	r.subscriber(1, "A", "B")
	o := r.changed(service.Change{Kind: service.Withdraw, Number: num(1), ByPerson: true, At: at(-1), Channel: "sms"})
	r.equal("Moved", o.Moved, "A", "B")
	r.both(func() {
		o := r.nothing(service.Change{Kind: service.Enrol, Person: person(1), Services: codes("A", "C"), At: at(-2)})
		r.equal("Kept", o.Kept, "A", "C")
	})
	r.changed(service.Change{Kind: service.Enrol, Person: person(1), Services: codes("C"), At: at(0)})
	r.state(person(1), "C", service.Enrolled)
}

func withdrawByNumber(r *rig) {
	r.apply(
		service.Change{Kind: service.Enrol, Person: person(1), Number: num(1), Services: codes("A")},
		service.Change{Kind: service.Enrol, Person: person(2), Number: num(1), Services: codes("A", "B"), Verified: true},
	)
	o := r.changed(service.Change{Kind: service.Withdraw, Number: num(1), Services: codes("A"), ByPerson: true})
	if o.People != 2 || o.Number != num(1) {
		r.Errorf("%+v", o)
	}
	r.equal("Moved", o.Moved, "A")
	r.both(func() {
		r.state(person(1), "A", service.Withdrawn)
		r.state(person(2), "A", service.Withdrawn)
		r.state(person(2), "B", service.Enrolled)
	})
}

func onlyFilter(r *rig) {
	r.changed(service.Change{Kind: service.Enrol, Person: person(1), Number: num(1), Services: codes("A"), Verified: true, Channel: "bank-a", Language: "ar"})
	r.changed(service.Change{Kind: service.Enrol, Person: person(1), Services: codes("B"), Channel: "bank-b"})
	r.nothing(service.Change{Kind: service.Withdraw, Person: person(1), Services: codes("A"), Channel: "bank-b", Only: "bank-b"})
	r.state(person(1), "A", service.Enrolled)
	o := r.changed(service.Change{Kind: service.Withdraw, Person: person(1), Channel: "bank-b", Only: "bank-b"})
	r.equal("Moved", o.Moved, "B")
	r.state(person(1), "A", service.Enrolled)
	o = r.nothing(service.Change{Kind: service.Withdraw, Person: person(1), Channel: "bank-c", Only: "bank-c"})
	r.equal("Moved", o.Moved)
	// Its withdrawal of everything does not meet what others add.
	r.changed(service.Change{Kind: service.Enrol, Person: person(1), Services: codes("C"), Channel: "bank-a", At: at(-50)})
	r.state(person(1), "C", service.Enrolled)

	r.nothing(service.Change{Kind: service.Enrol, Person: person(1), Services: codes("A"), At: at(2), Language: "en", Channel: "bank-b", Only: "bank-b"})
	if e := r.enrolment(person(1), "A"); e.Channel != "bank-a" || !e.At.IsZero() {
		r.Errorf("%+v", e)
	}
	if p := r.find(person(1)); p.Language != "ar" {
		r.Errorf("%+v", p)
	}
	r.changed(service.Change{Kind: service.Enrol, Person: person(1), Services: codes("D"), Channel: "bank-b", Only: "bank-b"})
}

func language(r *rig) {
	r.apply(
		service.Change{Kind: service.Enrol, Person: person(1), Number: num(1), Services: codes("A"), Language: "ar"},
		service.Change{Kind: service.Enrol, Person: person(2), Number: num(1), Services: codes("A")},
	)
	r.changed(service.Change{Kind: service.SetLanguage, Person: person(2), Language: "ur"})
	r.nothing(service.Change{Kind: service.SetLanguage, Person: person(2), Language: "ur"})
	r.both(func() {
		if a, b := r.find(person(1)).Language, r.find(person(2)).Language; a != "ar" || b != "ur" {
			r.Errorf("%q, %q", a, b)
		}
	})
	if o := r.changed(service.Change{Kind: service.SetLanguage, Number: num(1), Language: "en"}); o.People != 2 {
		r.Errorf("%+v", o)
	}
	r.changed(service.Change{Kind: service.Enrol, Person: person(1), Services: codes("A"), Language: "bn"})
	r.both(func() {
		if a, b := r.find(person(1)).Language, r.find(person(2)).Language; a != "bn" || b != "en" {
			r.Errorf("%q, %q", a, b)
		}
	})
	r.refused("person", "not known", service.Change{Kind: service.SetLanguage, Person: person(3), Language: "en"})
	r.refused("language", "needed", service.Change{Kind: service.SetLanguage, Person: person(1)})
}

func invalid(r *rig) {
	long := string(make([]byte, 101))
	for _, row := range []struct {
		field string
		c     service.Change
	}{
		{"person", service.Change{Kind: service.Enrol, Services: codes("A")}},
		{"number", service.Change{Kind: service.Enrol, Person: person(1), Number: 1_000_000_000_000_000, Services: codes("A")}},
		{"by", service.Change{Kind: service.Enrol, Person: person(1), Number: num(1), Services: codes("A"), By: long}},
		{"services", service.Change{Kind: service.Enrol, Person: person(1), Number: num(1), Services: codes("A", "")}},
		{"reason", service.Change{Kind: service.BlockNumber, Number: num(1), Block: service.Block{Scope: service.BlockAll, Reason: long}}},
		{"scope", service.Change{Kind: service.BlockNumber, Number: num(1)}},
		{"code", service.Change{Kind: service.IssueCode, Number: num(1), Code: "123", Until: r.in(1)}},
		{"code", service.Change{Kind: service.IssueCode, Number: num(1), Code: "12345678901", Until: r.in(1)}},
		{"code", service.Change{Kind: service.Verify, Number: num(1), Code: "12a4"}},
		{"kind", service.Change{Kind: service.Erase + 1, Number: num(1)}},
	} {
		r.refused(row.field, "", row.c)
	}
	out, err := r.r.Apply(r.ctx, service.Batch{Changes: []service.Change{{Kind: service.Enrol, Person: person(1), Number: num(1), Services: codes("A")}}})
	if err != nil || out[0].Err == nil || out[0].Err.Field != "now" {
		r.Errorf("a change without Now: %+v %v", out, err)
	}
	r.nobody(person(1))
	if st := r.lookup(num(1)); st != nil {
		r.Errorf("%+v", st)
	}
}
