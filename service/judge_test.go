package service_test

import (
	"testing"
	"time"

	"masar/service"
)

var noon = time.Date(2027, 6, 2, 12, 0, 0, 0, time.UTC)

func person(b byte, state service.SubscriberState, language string, enrolments ...service.Enrolment) service.Subscriber {
	return service.Subscriber{Person: service.Person{b}, State: state, Language: language, Enrolments: enrolments}
}

func TestJudge(t *testing.T) {
	c, err := service.New(small())
	if err != nil {
		t.Fatal(err)
	}
	optIn, mandatory := c.Service("AAA"), c.Service("BBB")
	const active, recycled, unreachable = service.Active, service.Recycled, service.Unreachable
	enrolled := service.Enrolment{Service: "AAA", State: service.Enrolled}
	pending := service.Enrolment{Service: "AAA", State: service.Pending}
	withdrawn := service.Enrolment{Service: "AAA", State: service.Withdrawn}
	other := service.Enrolment{Service: "BBB", State: service.Enrolled}
	all := func(people ...service.Subscriber) *service.Standing { return &service.Standing{People: people} }
	blocked := func(b service.Block, people ...service.Subscriber) *service.Standing {
		return &service.Standing{Block: b, People: people}
	}
	for _, row := range []struct {
		name     string
		service  *service.Service
		standing *service.Standing
		meant    byte
		want     service.Reason
		who      byte // in the answer
		language string
	}{
		// Blocklist.
		{"blocked for everything, opt-in", optIn, blocked(service.Block{Scope: service.BlockAll}, person(1, active, "", enrolled)), 0, service.Blocked, 0, ""},
		{"blocked for everything, mandatory", mandatory, blocked(service.Block{Scope: service.BlockAll}), 0, service.Blocked, 0, ""},
		{"blocked for everything, no service", nil, blocked(service.Block{Scope: service.BlockAll}), 0, service.Blocked, 0, ""},
		{"blocked for opt-in, opt-in", optIn, blocked(service.Block{Scope: service.BlockOptIn}, person(1, active, "", enrolled)), 0, service.Blocked, 0, ""},
		{"blocked for opt-in, mandatory", mandatory, blocked(service.Block{Scope: service.BlockOptIn}), 0, service.Allowed, 0, ""},
		{"blocked for opt-in, no service", nil, blocked(service.Block{Scope: service.BlockOptIn}), 0, service.Allowed, 0, ""},
		{"a block that ends now", mandatory, blocked(service.Block{Scope: service.BlockAll, Expires: noon}), 0, service.Allowed, 0, ""},
		{"a block that ends in a moment", mandatory, blocked(service.Block{Scope: service.BlockAll, Expires: noon.Add(1)}), 0, service.Blocked, 0, ""},
		{"blocked comes before suspended", optIn, blocked(service.Block{Scope: service.BlockAll}, person(1, recycled, "")), 0, service.Blocked, 0, ""},

		// Suspension.
		{"the person meant is suspended", mandatory, all(person(1, recycled, "ar"), person(2, active, "en")), 1, service.Suspended, 0, ""},
		{"somebody else there is", mandatory, all(person(1, recycled, "ar"), person(2, active, "en")), 2, service.Allowed, 2, "en"},
		{"everybody is suspended, mandatory", mandatory, all(person(1, recycled, ""), person(2, unreachable, "")), 0, service.Suspended, 0, ""},
		{"everybody is suspended, opt-in", optIn, all(person(1, unreachable, "", enrolled)), 0, service.Suspended, 0, ""},
		{"suspended comes before not enrolled", optIn, all(person(1, recycled, "")), 1, service.Suspended, 0, ""},

		// Enrolment.
		{"nothing known, opt-in", optIn, nil, 0, service.NotEnrolled, 0, ""},
		{"nothing known, mandatory", mandatory, nil, 0, service.Allowed, 0, ""},
		{"nobody there, opt-in", optIn, all(), 0, service.NotEnrolled, 0, ""},
		{"enrolled", optIn, all(person(1, active, "ar", enrolled)), 0, service.Allowed, 1, "ar"},
		{"enrolled in something else", optIn, all(person(1, active, "", other)), 0, service.NotEnrolled, 0, ""},
		{"waiting for the code", optIn, all(person(1, active, "", pending)), 0, service.Unverified, 0, ""},
		{"withdrawn", optIn, all(person(1, active, "", withdrawn)), 0, service.NotEnrolled, 0, ""},
		{"withdrawn, mandatory", mandatory, all(person(1, active, "ar", service.Enrolment{Service: "BBB", State: service.Withdrawn})), 0, service.Allowed, 1, "ar"},
		{"one of a family is enrolled", optIn, all(person(1, active, "ar"), person(2, active, "en", enrolled), person(3, active, "ur", enrolled)), 0, service.Allowed, 2, "en"},
		{"enrolled before pending", optIn, all(person(1, active, "ar", pending), person(2, active, "en", enrolled)), 0, service.Allowed, 2, "en"},
		{"pending before nothing", optIn, all(person(1, active, "", pending), person(2, active, "")), 0, service.Unverified, 0, ""},
		{"enrolled and suspended, another not enrolled", optIn, all(person(1, recycled, "", enrolled), person(2, active, "")), 0, service.NotEnrolled, 0, ""},
		{"the person meant is not enrolled, another is", optIn, all(person(1, active, ""), person(2, active, "", enrolled)), 1, service.NotEnrolled, 0, ""},
		{"the person meant waits for the code", optIn, all(person(1, active, "", pending), person(2, active, "", enrolled)), 1, service.Unverified, 0, ""},
		{"the person meant is enrolled", optIn, all(person(1, active, "ar", enrolled), person(2, active, "en", enrolled)), 2, service.Allowed, 2, "en"},

		// Who gets it.
		{"mandatory to a family names nobody", mandatory, all(person(1, active, "ar"), person(2, active, "en")), 0, service.Allowed, 0, ""},
		{"mandatory to the only active one names him", mandatory, all(person(1, recycled, "ar"), person(2, active, "en")), 0, service.Allowed, 2, "en"},
		{"the person meant is not there any more", mandatory, all(person(1, active, "")), 9, service.UnknownPerson, 0, ""},
		{"the person meant, nothing known", optIn, nil, 9, service.UnknownPerson, 0, ""},
		{"no service keeps who is meant", nil, nil, 9, service.Allowed, 9, ""},
	} {
		q := service.Question{Service: row.service, Standing: row.standing, Now: noon}
		if row.meant != 0 {
			q.Person = service.Person{row.meant}
		}
		want := service.Answer{Reason: row.want, Language: row.language}
		if row.who != 0 {
			want.Person = service.Person{row.who}
		}
		if got := c.Judge(q); got != want {
			t.Errorf("%s: %+v, want %+v", row.name, got, want)
		}
	}
}

func TestWhatMayLeaveWaitsForItsHours(t *testing.T) {
	c, err := service.New(small())
	if err != nil {
		t.Fatal(err)
	}
	night := time.Date(2027, 6, 2, 23, 0, 0, 0, time.UTC)
	family := &service.Standing{People: []service.Subscriber{person(1, service.Active, "ar", service.Enrolment{Service: "AAA"})}}
	got := c.Judge(service.Question{Service: c.Service("AAA"), Standing: family, Now: night})
	if want := night.Add(9 * time.Hour); got.Reason != service.Allowed || !got.Hold.Equal(want) || got.Person != (service.Person{1}) {
		t.Errorf("%+v, want a hold until %s", got, want)
	}
	if got := c.Judge(service.Question{Service: c.Service("BBB"), Now: night}); got != (service.Answer{}) {
		t.Errorf("a service that does not hold: %+v", got)
	}
	if got := c.Judge(service.Question{Service: c.Service("AAA"), Now: night}); got != (service.Answer{Reason: service.NotEnrolled}) {
		t.Errorf("what may not leave has no hold: %+v", got)
	}
	if got := c.OpensAt(nil, night); !got.IsZero() {
		t.Errorf("no service is held until %s", got)
	}
}

func TestSendersAreAnAgencysAndACategorys(t *testing.T) {
	o := small()
	o.Senders = append(o.Senders, service.Sender{Name: "CAMPAIGN", Agency: "one", Categories: []string{"awareness"}, AnyCarrier: true})
	promo := o.Services[0]
	promo.Code, promo.Category, promo.Sender, promo.Name = "PRO", "promotional", "ONE-AD", service.Texts{"en": "Promotion"}
	aware := o.Services[0]
	aware.Code, aware.Category, aware.Name = "AWA", "awareness", service.Texts{"en": "Awareness"}
	o.Services = append(o.Services, promo, aware)
	c, err := service.New(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		sender, code string
		want         service.Reason
	}{
		{"ONE", "AAA", service.Allowed},
		{"one", "AAA", service.SenderUnknown}, // case counts
		{"", "AAA", service.SenderUnknown},
		{"TWO", "AAA", service.SenderUnknown},
		{"TWO", "BBB", service.Allowed},
		{"ONE-AD", "AAA", service.SenderUnknown},
		{"ONE-AD", "PRO", service.Allowed},
		{"ONE", "PRO", service.SenderUnknown},
		{"CAMPAIGN", "AWA", service.Allowed},
		{"CAMPAIGN", "AAA", service.SenderUnknown},
		{"ONE", "AWA", service.Allowed},
	} {
		if got := c.MaySend(row.sender, c.Service(row.code)); got != row.want {
			t.Errorf("%q for %s: %s, want %s", row.sender, row.code, got, row.want)
		}
	}
	for code, want := range map[string]string{"AAA": "ONE", "BBB": "TWO", "PRO": "ONE-AD"} {
		if got := c.SenderOf(c.Service(code)); got != want {
			t.Errorf("%s is sent as %q, want %q", code, got, want)
		}
	}
	if c.SenderOf(nil) != "" || c.MaySend("ANY", nil) != service.Allowed {
		t.Error("no service has senders of its own")
	}

	o = small()
	o.Senders = nil
	if c, err = service.New(o); err != nil {
		t.Fatal(err)
	}
	if c.MaySend("ANY", c.Service("AAA")) != service.Allowed || !c.ActiveAt("ANY", "stc", noon) {
		t.Error("a catalogue that registers no sender refuses one")
	}
}

func TestASenderIsActiveAtACarrierUntilItExpires(t *testing.T) {
	o := small()
	at := func(state service.SenderState, expires time.Time) service.SenderAt {
		return service.SenderAt{State: state, Expires: expires}
	}
	o.Senders[0].AnyCarrier = false
	o.Senders[0].Carriers = map[string]service.SenderAt{
		"active": at(service.SenderActive, time.Time{}), "pending": at(service.SenderPending, time.Time{}),
		"suspended": at(service.SenderSuspended, time.Time{}), "ending": at(service.SenderActive, noon.Add(1)), "ended": at(service.SenderActive, noon),
	}
	o.Senders[1].Carriers = map[string]service.SenderAt{"suspended": at(service.SenderSuspended, time.Time{})}
	c, err := service.New(o)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		sender, carrier string
		want            bool
	}{
		{"ONE", "active", true}, {"ONE", "pending", false}, {"ONE", "suspended", false},
		{"ONE", "ending", true}, {"ONE", "ended", false}, {"ONE", "elsewhere", false},
		{"TWO", "elsewhere", true}, {"TWO", "suspended", false},
		{"NOBODY", "active", true},
	} {
		if got := c.ActiveAt(row.sender, row.carrier, noon); got != row.want {
			t.Errorf("%s at %s: %v, want %v", row.sender, row.carrier, got, row.want)
		}
	}
}

func BenchmarkJudge(b *testing.B) {
	c := example(b)
	s := c.Service("IDREN")
	standing := &service.Standing{People: []service.Subscriber{person(1, service.Active, "ar",
		service.Enrolment{Service: "PPEXP"}, service.Enrolment{Service: "DLEXP"}, service.Enrolment{Service: "VREXP"},
		service.Enrolment{Service: "TVSET"}, service.Enrolment{Service: "IDREN"})}}
	b.ReportAllocs()
	for b.Loop() {
		if a := c.Judge(service.Question{Service: s, Standing: standing, Now: someday}); a.Reason != service.Allowed {
			b.Fatal(a)
		}
	}
}
