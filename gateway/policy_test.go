package gateway

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"masar/number"
	"masar/queue"
	"masar/service"
	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

// subscribers is a Registry in memory, as much of one as the gateway asks.
type subscribers struct {
	service.Registry // what it does not have panics

	mu       sync.Mutex
	people   map[service.Person]service.Subscriber
	blocks   map[number.E164]service.Block
	versions map[number.E164]uint64
	broken   error
	lookups  int
	noted    []service.Change
	slow     chan struct{} // Apply waits for it; nil: it does not
}

func newSubscribers() *subscribers {
	return &subscribers{people: map[service.Person]service.Subscriber{}, blocks: map[number.E164]service.Block{}, versions: map[number.E164]uint64{}}
}

func (r *subscribers) Lookup(_ context.Context, n number.E164) (*service.Standing, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lookups++
	if r.broken != nil {
		return nil, r.broken
	}
	st := &service.Standing{Block: r.blocks[n]}
	for _, s := range r.people {
		if s.Number == n {
			st.People = append(st.People, s)
		}
	}
	if st.Block.Scope == service.BlockNone && st.People == nil {
		return nil, nil
	}
	return st, nil
}

func (r *subscribers) Version(n number.E164) uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.versions[n]
}

func (r *subscribers) Find(_ context.Context, p service.Person) (service.Subscriber, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s, ok := r.people[p]
	switch {
	case r.broken != nil:
		return service.Subscriber{}, r.broken
	case !ok:
		return service.Subscriber{}, service.ErrNobody
	}
	return s, nil
}

func (r *subscribers) Apply(_ context.Context, b service.Batch) ([]service.Outcome, error) {
	r.mu.Lock()
	slow := r.slow
	r.mu.Unlock()
	if slow != nil {
		<-slow
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.broken != nil {
		return nil, r.broken
	}
	r.noted = append(r.noted, b.Changes...)
	return make([]service.Outcome, len(b.Changes)), nil
}

// change makes one change to a person; the counters of his numbers move before it returns.
func (r *subscribers) change(p service.Person, f func(s *service.Subscriber)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	s := r.people[p]
	was := s.Number
	s.Enrolments = append([]service.Enrolment(nil), s.Enrolments...)
	f(&s)
	s.Person = p
	r.people[p] = s
	r.versions[was]++
	r.versions[s.Number]++
}

func (r *subscribers) enrol(p service.Person, n number.E164, codes ...string) {
	r.change(p, func(s *service.Subscriber) {
		s.Number, s.State = n, service.Active
		for _, code := range codes {
			s.Enrolments = append(s.Enrolments, service.Enrolment{Service: code})
		}
	})
}

func (r *subscribers) set(p service.Person, st service.EnrolmentState) {
	r.change(p, func(s *service.Subscriber) {
		for i := range s.Enrolments {
			s.Enrolments[i].State = st
		}
	})
}

func (r *subscribers) withdraw(p service.Person) { r.set(p, service.Withdrawn) }

func (r *subscribers) erase(p service.Person) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.versions[r.people[p].Number]++
	delete(r.people, p)
}

func (r *subscribers) block(n number.E164, scope service.BlockScope) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.blocks[n] = service.Block{Scope: scope}
	r.versions[n]++
}

func (r *subscribers) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.broken = err
}

func (r *subscribers) looked() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lookups
}

func (r *subscribers) notes() []service.Change {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]service.Change(nil), r.noted...)
}

var (
	ali   = service.Person{1}
	badr  = service.Person{2}
	aliNo = number.E164(966501234567) // what sms is sent to
	newNo = number.E164(966507654321)
)

// hour is the span between two hours of the day.
func hoursOf(from, to int) []service.Span { return []service.Span{{From: from * 60, To: to * 60}} }

// catalogueOptions are an agency with an opt-in service IDREN, a mandatory IDNEW, an urgent
// OTPEN, a bulk AWARE permitted from 9 to 22, IDDRP that drops whom it may not reach, and
// another agency's TRAFF. Nothing is quiet. A bubble begins at midnight.
func catalogueOptions() service.Options {
	names := func(s string) service.Texts { return service.Texts{"ar": s + " ar", "en": s} }
	svc := func(code string, f func(s *service.Service)) service.Service {
		s := service.Service{
			Code: code, Agency: "civil-affairs", Name: names(code), Kind: service.RecordChange, Class: uint8(queue.Normal),
			Category: "service", Validity: 24 * time.Hour, Hold: true, Domains: []string{"moi.gov.sa"},
			Text: service.TextOptions{FoldPresentation: true},
		}
		if f != nil {
			f(&s)
		}
		return s
	}
	return service.Options{
		Languages: []string{"ar", "en"}, Zone: time.UTC,
		Categories: []service.Category{{Name: "service"}, {Name: "awareness", Permitted: &service.Windows{Days: hoursOf(9, 22)}}},
		Agencies:   []service.Agency{{Code: "civil-affairs", Name: names("Civil Affairs"), Sender: "AHWAL"}, {Code: "traffic", Name: names("Traffic"), Sender: "MUROOR"}},
		Senders: []service.Sender{
			{Name: "AHWAL", Agency: "civil-affairs", AnyCarrier: true},
			{Name: "AHWAL2", Agency: "civil-affairs", Carriers: map[string]service.SenderAt{"b": {State: service.SenderActive}}},
			{Name: "MUROOR", Agency: "traffic", AnyCarrier: true},
		},
		Services: []service.Service{
			svc("IDREN", nil),
			svc("IDNEW", func(s *service.Service) { s.Mode = service.Mandatory }),
			svc("OTPEN", func(s *service.Service) {
				s.Mode, s.Kind, s.Class, s.Hold, s.Validity = service.Mandatory, service.OneTimeCode, uint8(queue.Urgent), false, 10*time.Minute
			}),
			svc("AWARE", func(s *service.Service) {
				s.Mode, s.Category, s.Class = service.Mandatory, "awareness", uint8(queue.Bulk)
			}),
			svc("IDDRP", func(s *service.Service) { s.Drop = true }),
			svc("TRAFF", func(s *service.Service) { s.Agency, s.Mode = "traffic", service.Mandatory }),
		},
	}
}

func catalogueOf(t testing.TB, f func(o *service.Options)) *service.Catalogue {
	t.Helper()
	o := catalogueOptions()
	if f != nil {
		f(&o)
	}
	c, err := service.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// quietFrom makes the calendar quiet between two hours.
func quietFrom(from, to int) func(o *service.Options) {
	return func(o *service.Options) { o.Calendar.Quiet.Days = hoursOf(from, to) }
}

// governedRig is a rig whose account acme is civil-affairs'. Its subscribers are reg's.
func governedRig(t *testing.T, reg *subscribers, cat *service.Catalogue, o rigOptions) *rig {
	t.Helper()
	setup, options := o.Setup, o.Options
	o.Setup = func(s *Setup) {
		s.Catalogue = cat
		s.Accounts[0].Agency = "civil-affairs"
		if setup != nil {
			setup(s)
		}
	}
	o.Options = func(g *Options) {
		g.Registry = reg
		if options != nil {
			options(g)
		}
	}
	return newRig(t, o)
}

// of is a submit_sm of a service that asks for a receipt.
func of(code string) func(p *pdu.SubmitSM) {
	return func(p *pdu.SubmitSM) { p.ServiceType, p.RegisteredDelivery = []byte(code), 1 }
}

// both does one after the other.
func both(all ...func(p *pdu.SubmitSM)) func(p *pdu.SubmitSM) {
	return func(p *pdu.SubmitSM) {
		for _, f := range all {
			if f != nil {
				f(p)
			}
		}
	}
}

// arrivals keeps what a simulated carrier was sent.
type arrivals struct {
	mu  sync.Mutex
	all []arrival
}

type arrival struct {
	at                    time.Time
	dest, source, service string
	text                  string
	tlvs                  pdu.TLVs
	coding                uint8
	carrier               string
}

func (a *arrivals) at(carrier string) smpptest.SMSCOptions {
	return smpptest.SMSCOptions{OnSubmit: func(s *smpptest.Submit) {
		p, ok := s.Body.(*pdu.SubmitSM)
		if !ok {
			return
		}
		a.mu.Lock()
		defer a.mu.Unlock()
		a.all = append(a.all, arrival{
			time.Now(), string(p.Dest.Addr), string(p.Source.Addr), string(p.ServiceType), string(p.ShortMessage),
			append(pdu.TLVs(nil), p.TLVs...), p.DataCoding, carrier,
		})
	}}
}

func (a *arrivals) list() []arrival {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]arrival(nil), a.all...)
}

var errBroken = errors.New("the disk is on fire")

// governedRefusals are the rows of TestEveryRefusal that need a catalogue.
func governedRefusals(t *testing.T) []refusalRow {
	cat := catalogueOf(t, func(o *service.Options) {
		o.Senders[1].Carriers = map[string]service.SenderAt{"a": {State: service.SenderPending}}
	})
	var rows []refusalRow
	add := func(why Refusal, name string, submit func(p *pdu.SubmitSM), prepare func(reg *subscribers), setup func(s *Setup)) {
		rows = append(rows, refusalRow{why: why, name: name, status: why.status(), submit: submit, rig: func(o *rigOptions) {
			account, reg := o.Setup, newSubscribers()
			if prepare != nil {
				prepare(reg)
			}
			o.Setup = func(s *Setup) {
				account(s)
				s.Catalogue, s.Accounts[0].Agency = cat, "civil-affairs"
				if setup != nil {
					setup(s)
				}
			}
			o.Options = func(g *Options) { g.Registry = reg }
		}})
	}
	state := func(st service.SubscriberState) func(reg *subscribers) {
		return func(reg *subscribers) {
			reg.enrol(ali, aliNo, "IDREN")
			reg.change(ali, func(s *service.Subscriber) { s.State = st })
		}
	}
	add(UnknownService, "", of("NONE"), nil, nil)
	add(UnknownService, "none", nil, nil, nil)
	add(ForeignService, "", of("TRAFF"), nil, nil)
	add(SenderUnknown, "", both(of("IDNEW"), func(p *pdu.SubmitSM) { p.Source.Addr = []byte("WHO") }), nil, nil)
	add(SenderUnknown, "another agency's", both(of("IDNEW"), func(p *pdu.SubmitSM) { p.Source.Addr = []byte("MUROOR") }), nil, nil)
	add(SenderInactive, "", both(of("IDNEW"), func(p *pdu.SubmitSM) { p.Source.Addr = []byte("AHWAL2") }), nil, nil)
	add(NoRoute, "without a marker", of("IDNEW"), nil, func(s *Setup) { s.Carriers[0].Free.Required = true })
	add(TrialNumber, "", of("IDNEW"), nil, func(s *Setup) { s.Accounts[0].Trial = map[number.E164]struct{}{} })
	add(RegistryFailed, "", of("IDNEW"), func(reg *subscribers) { reg.fail(errBroken) }, nil)
	add(Blocked, "", of("IDNEW"), func(reg *subscribers) { reg.block(aliNo, service.BlockAll) }, nil)
	add(Blocked, "opt-in", of("IDREN"), func(reg *subscribers) { reg.enrol(ali, aliNo, "IDREN"); reg.block(aliNo, service.BlockOptIn) }, nil)
	add(Suspended, "recycled", of("IDREN"), state(service.Recycled), nil)
	add(Suspended, "mandatory", of("IDNEW"), state(service.Unreachable), nil)
	add(NotEnrolled, "", of("IDREN"), nil, nil)
	add(NotEnrolled, "withdrawn", of("IDREN"), func(reg *subscribers) { reg.enrol(ali, aliNo, "IDREN"); reg.withdraw(ali) }, nil)
	add(Unverified, "", of("IDREN"), func(reg *subscribers) { reg.enrol(ali, aliNo, "IDREN"); reg.set(ali, service.Pending) }, nil)
	add(ForeignLink, "", both(of("IDNEW"), func(p *pdu.SubmitSM) { p.ShortMessage = []byte("hello evil.com") }), nil, nil)
	return rows
}
