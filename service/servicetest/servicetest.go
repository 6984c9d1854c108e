package servicetest

import (
	"context"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"masar/number"
	"masar/service"
)

// Env is what one test asks of the registry it opens. A zero limit is the default; Media
// and Now are always set.
type Env struct {
	Media  *Media
	Limits service.Limits
	Now    func() time.Time // stands still, leaps
}

// Media is what a registry's data lies on. It outlives a registry: opening with the same
// Media again must find what the last one left. The suite opens one at a time on it.
type Media struct {
	// Dir is an empty folder of the test's own, for registries that keep files.
	Dir string
	// State is the opener's own, for registries that keep their data elsewhere (a file
	// system in memory, a server): nil at the first opening, then as the opener left it.
	State any
	// Cut is set by an opener that can show a power cut: it returns the State that would
	// be found if power failed now, with about keep percent (0 to 100) of what was written
	// but not yet synced. While it is nil the tests of power cuts are skipped.
	Cut func(keep int) any
}

// A test is one promise, named as a sentence.
type test struct {
	name   string
	limits service.Limits
	run    func(*rig)
}

// Run tests that registries opened by open keep every promise of service.Registry. open
// fails the test itself when it cannot open; the suite closes what it opened.
func Run(t *testing.T, open func(t *testing.T, e Env) service.Registry) {
	for _, group := range [][]test{enrolTests, numberTests, guardTests, batchTests, crowdTests, modelTests} {
		for _, c := range group {
			t.Run(c.name, func(t *testing.T) { c.run(newRig(t, open, c.limits)) })
		}
	}
}

// epoch is where every test's clock begins.
var epoch = time.Date(2026, 3, 9, 6, 30, 0, 0, time.UTC)

// A clock stands still until it is told to move.
type clock struct{ nano atomic.Int64 }

func (c *clock) Now() time.Time      { return time.Unix(0, c.nano.Load()).UTC() }
func (c *clock) add(d time.Duration) { c.nano.Add(int64(d)) }

// A rig is one registry under test.
type rig struct {
	*testing.T
	ctx   context.Context
	open  func(*testing.T, Env) service.Registry
	env   Env
	clock *clock
	r     service.Registry
}

func newRig(t *testing.T, open func(*testing.T, Env) service.Registry, l service.Limits) *rig {
	r := &rig{T: t, ctx: t.Context(), open: open, clock: new(clock)}
	r.clock.nano.Store(epoch.UnixNano())
	r.env = Env{Media: &Media{Dir: t.TempDir()}, Limits: l, Now: r.clock.Now}
	r.r = open(t, r.env)
	t.Cleanup(func() {
		if err := r.r.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return r
}

// restart closes the registry and opens what it left.
func (r *rig) restart() {
	r.Helper()
	if err := r.r.Close(); err != nil {
		r.Fatalf("Close: %v", err)
	}
	r.r = r.open(r.T, r.env)
}

// apply makes changes that must not fail as a batch.
func (r *rig) apply(list ...service.Change) []service.Outcome {
	r.Helper()
	for i := range list {
		if list[i].Now.IsZero() {
			list[i].Now = r.clock.Now()
		}
		if list[i].Channel == "" {
			list[i].Channel = "portal"
		}
	}
	out, err := r.r.Apply(r.ctx, service.Batch{Changes: list})
	if err != nil || len(out) != len(list) {
		r.Fatalf("Apply: %d outcomes of %d, %v", len(out), len(list), err)
	}
	return out
}

// one makes one change that must be done.
func (r *rig) one(c service.Change) service.Outcome {
	r.Helper()
	o := r.apply(c)[0]
	if o.Err != nil {
		r.Fatalf("%v refused: %v", c.Kind, o.Err)
	}
	return o
}

// changed makes one change that must change something.
func (r *rig) changed(c service.Change) service.Outcome {
	r.Helper()
	o := r.one(c)
	if o.Effect != service.Changed {
		r.Fatalf("%v changed nothing: %+v", c.Kind, o)
	}
	return o
}

// nothing makes one change that must change nothing.
func (r *rig) nothing(c service.Change) service.Outcome {
	r.Helper()
	o := r.one(c)
	if o.Effect != service.NothingNew {
		r.Fatalf("%v changed something: %+v", c.Kind, o)
	}
	return o
}

// refused makes one change that must be refused over a field, with a rule that says rule.
func (r *rig) refused(field, rule string, c service.Change) {
	r.Helper()
	o := r.apply(c)[0]
	if o.Effect != service.NotDone || o.Err == nil || o.Err.Field != field || !strings.Contains(o.Err.Rule, rule) {
		r.Fatalf("%v: %+v %v, want a refusal over %s that says %q", c.Kind, o, o.Err, field, rule)
	}
}

func (r *rig) lookup(n number.E164) *service.Standing {
	r.Helper()
	st, err := r.r.Lookup(r.ctx, n)
	if err != nil {
		r.Fatalf("Lookup: %v", err)
	}
	return st
}

// find gives a person, who must be there, and proves that his number tells the same.
func (r *rig) find(p service.Person) service.Subscriber {
	r.Helper()
	sub, err := r.r.Find(r.ctx, p)
	if err != nil {
		r.Fatalf("Find: %v", err)
	}
	st := r.lookup(sub.Number)
	if st == nil || !slices.ContainsFunc(st.People, func(s service.Subscriber) bool { return reflect.DeepEqual(s, sub) }) {
		r.Fatalf("Find says %+v, Lookup of his number %+v", sub, st)
	}
	return sub
}

// nobody says that p must not be known.
func (r *rig) nobody(p service.Person) {
	r.Helper()
	if sub, err := r.r.Find(r.ctx, p); !errors.Is(err, service.ErrNobody) {
		r.Fatalf("Find: %+v %v, want ErrNobody", sub, err)
	}
}

// enrolment gives p's standing with a service; nil: none.
func (r *rig) enrolment(p service.Person, code string) *service.Enrolment {
	r.Helper()
	sub := r.find(p)
	for i := range sub.Enrolments {
		if sub.Enrolments[i].Service == code {
			return &sub.Enrolments[i]
		}
	}
	return nil
}

// state says what state p's enrolment must be in.
func (r *rig) state(p service.Person, code string, want service.EnrolmentState) {
	r.Helper()
	if e := r.enrolment(p, code); e == nil || e.State != want {
		r.Fatalf("%s is %+v, want %v", code, e, want)
	}
}

func (r *rig) history(p service.Person) []service.Event {
	r.Helper()
	h, err := r.r.History(r.ctx, p)
	if err != nil {
		r.Fatalf("History: %v", err)
	}
	return h
}

// equal compares lists, nil and empty alike.
func (r *rig) equal(what string, got []string, want ...string) {
	r.Helper()
	if !slices.Equal(got, want) {
		r.Fatalf("%s is %q, want %q", what, got, want)
	}
}

// both runs check, restarts, and runs it again: what is in memory and what is on disk.
func (r *rig) both(check func()) {
	r.Helper()
	check()
	r.restart()
	check()
}

func person(i int) service.Person   { return service.Person{0xAA, byte(i >> 8), byte(i)} }
func num(i int) number.E164         { return 966500000000 + number.E164(i) }
func at(days int) time.Time         { return epoch.AddDate(0, 0, days) }
func (r *rig) in(d int) time.Time   { return r.clock.Now().AddDate(0, 0, d) }
func codes(list ...string) []string { return list }
func (r *rig) version(i int) uint64 { return r.r.Version(num(i)) }
func (r *rig) subscriber(i int, list ...string) service.Outcome {
	r.Helper()
	return r.changed(service.Change{Kind: service.Enrol, Person: person(i), Number: num(i), Services: list, Verified: true, At: at(-100)})
}
