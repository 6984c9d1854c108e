package gateway

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"masar/number"
	"masar/queue"
	"masar/service"
)

// The model of interleave_test.go: what may reach whom and when, in as few lines as it can
// be said, and none of them the product's.

// The services of the interleavings.
const (
	svcOptIn  = iota // opt-in, at any hour
	svcHolds         // opt-in, waits out the quiet hours
	svcDrops         // opt-in, who is not enrolled is dropped
	svcMust          // mandatory, at any hour, with a sender of its own
	svcNight         // mandatory, waits out the quiet hours
	svcUrgent        // mandatory, urgent
	svcEnding        // opt-in, its sender's registration ends at carrier a
	svcShort         // opt-in, waits out the quiet hours, 20 minutes of validity
	svcOnlyA         // mandatory, its sender is known at carrier a alone
	svcCount
)

// A leaflet is one catalogue as the model reads it, and what the product's is made of.
type leaflet struct {
	quiet   [2]time.Duration // since midnight; never past it
	svc     [svcCount]leafletService
	senders map[string]map[string]leafletSender // by carrier; absent: it does not know it
	built   *service.Catalogue
}

type leafletService struct {
	code, sender       string
	optIn, holds, drop bool
	gone               bool
	class              queue.Class
	validity           time.Duration
}

type leafletSender struct {
	pending bool
	expires time.Time
}

func everywhere() map[string]leafletSender { return map[string]leafletSender{"a": {}, "b": {}} }

// leaflets are the catalogues that a rig reloads, the first of them at its beginning.
func leaflets(quiet [2]time.Duration, ends time.Time) []*leaflet {
	const h = time.Hour
	one := func(f func(l *leaflet)) *leaflet {
		l := &leaflet{
			quiet: quiet,
			svc: [svcCount]leafletService{
				svcOptIn:  {code: "OPTIN", sender: "MOI", optIn: true, class: queue.Normal, validity: 100 * h},
				svcHolds:  {code: "HOLDS", sender: "MOI", optIn: true, holds: true, class: queue.Normal, validity: 100 * h},
				svcDrops:  {code: "DROPS", sender: "MOI", optIn: true, drop: true, class: queue.Normal, validity: 100 * h},
				svcMust:   {code: "MUST", sender: "OWN", class: queue.Normal, validity: 100 * h},
				svcNight:  {code: "NIGHT", sender: "MOI", holds: true, class: queue.Bulk, validity: 100 * h},
				svcUrgent: {code: "URGNT", sender: "MOI", class: queue.Urgent, validity: 100 * h},
				svcEnding: {code: "ENDNG", sender: "ENDS", optIn: true, class: queue.Normal, validity: 100 * h},
				svcShort:  {code: "SHORT", sender: "MOI", optIn: true, holds: true, class: queue.Normal, validity: h / 3},
				svcOnlyA:  {code: "ONLYA", sender: "A", class: queue.Normal, validity: 100 * h},
			},
			senders: map[string]map[string]leafletSender{
				"MOI": everywhere(), "OWN": everywhere(), "ENDS": {"a": {expires: ends}, "b": {}}, "A": {"a": {}},
			},
		}
		if f != nil {
			f(l)
		}
		return l
	}
	return []*leaflet{
		one(nil),
		one(func(l *leaflet) { l.quiet = [2]time.Duration{quiet[0] / 2, quiet[1] - quiet[0]/2} }),
		one(func(l *leaflet) { l.senders["ENDS"]["b"] = leafletSender{pending: true} }),
		one(func(l *leaflet) { // a sender is replaced by another
			l.svc[svcMust].sender = "NEW"
			delete(l.senders, "OWN")
			l.senders["NEW"] = everywhere()
		}),
		one(func(l *leaflet) { // carrier a loses everybody's
			l.senders["MOI"]["a"] = leafletSender{pending: true}
			l.senders["A"] = map[string]leafletSender{"b": {}}
		}),
		one(func(l *leaflet) { l.svc[svcDrops].gone = true }),
		one(func(l *leaflet) { l.svc[svcMust].holds, l.svc[svcNight].holds = true, false }),
	}
}

// options are the leaflet as the product takes it.
func (l *leaflet) options() service.Options {
	names := func(s string) service.Texts { return service.Texts{"en": s} }
	minutes := func(d time.Duration) int { return int(d / time.Minute) }
	o := service.Options{
		Languages: []string{"en"}, Zone: time.UTC,
		Calendar:   service.Calendar{Quiet: service.Windows{Days: []service.Span{{From: minutes(l.quiet[0]), To: minutes(l.quiet[1])}}}},
		Categories: []service.Category{{Name: "service"}},
		Agencies:   []service.Agency{{Code: "moi", Name: names("Interior"), Sender: "MOI"}},
	}
	for name, at := range l.senders {
		s := service.Sender{Name: name, Agency: "moi", Carriers: map[string]service.SenderAt{}}
		for carrier, how := range at {
			state := service.SenderActive
			if how.pending {
				state = service.SenderPending
			}
			s.Carriers[carrier] = service.SenderAt{State: state, Expires: how.expires}
		}
		o.Senders = append(o.Senders, s)
	}
	slices.SortFunc(o.Senders, func(a, b service.Sender) int { return cmp.Compare(a.Name, b.Name) })
	for i := range l.svc {
		s := &l.svc[i]
		if s.gone {
			continue
		}
		mode := service.Mandatory
		if s.optIn {
			mode = service.OptIn
		}
		o.Services = append(o.Services, service.Service{
			Code: s.code, Agency: "moi", Name: names(s.code), Kind: service.RecordChange, Class: uint8(s.class), Category: "service",
			Mode: mode, Validity: s.validity, Hold: s.holds, Drop: s.drop, Sender: s.sender,
		})
	}
	return o
}

// opens is when a service may leave, at or after t.
func (l *leaflet) opens(svc int, t time.Time) time.Time {
	midnight := t.Truncate(24 * time.Hour)
	if since := t.Sub(midnight); svc >= 0 && l.svc[svc].holds && since >= l.quiet[0] && since < l.quiet[1] {
		return midnight.Add(l.quiet[1])
	}
	return t
}

func (l *leaflet) knows(sender, carrier string, t time.Time) bool {
	how, known := l.senders[sender][carrier]
	return known && !how.pending && (how.expires.IsZero() || t.Before(how.expires))
}

// The people of one story: four persons and four numbers.
const few = 4

// routeOf are the carriers of each number, in order; see nextSetup.
var routeOf = [few][]string{{"a", "b"}, {"a", "b"}, {"b", "a"}, {"b"}}

// reaches tells whether a sender is active at some carrier of a number's route.
func (l *leaflet) reaches(sender string, n int, t time.Time) bool {
	return slices.ContainsFunc(routeOf[n], func(carrier string) bool { return l.knows(sender, carrier, t) })
}

type town struct {
	people [few]resident
	blocks [few]struct {
		scope   service.BlockScope
		expires time.Time
	}
}

type resident struct {
	known    bool
	at       int // index of his number
	state    service.SubscriberState
	verified bool
	consents [svcCount]consent // of one who is not known: what he withdrew
	stop     mark              // when he withdrew from everything
}

type consent struct {
	there   bool
	state   service.EnrolmentState
	channel string
	mark
}

// A mark is when a consent was given or taken back.
type mark struct {
	at       int64 // seconds; 0: never
	byPerson bool
}

// outlives tells whether a withdrawal stays, whatever consent comes.
func (w mark) outlives(c mark) bool {
	switch {
	case w.at == 0 || c.byPerson:
		return false
	case w.byPerson:
		return c.at <= w.at
	}
	return c.at != 0 && c.at <= w.at
}

func (w *mark) again(c mark) {
	switch {
	case w.at == 0:
		*w = c
	case c.byPerson && !w.byPerson:
		*w = mark{max(w.at, c.at), true}
	case c.byPerson == w.byPerson:
		w.at = max(w.at, c.at)
	}
}

// enrol, withdraw, move and so on do what the registry's changes say. They tell whether
// the registry is to refuse.
func (t *town) enrol(who, at int, svcs []int, channel string, verified bool, m mark) (refused bool) {
	p := &t.people[who]
	fresh := !p.known
	switch {
	case fresh && at < 0, !fresh && at >= 0 && at != p.at:
		return true
	case fresh && !slices.ContainsFunc(svcs, func(s int) bool { return p.joins(s, m) }):
		return false // all of it stays withdrawn: he does not become known
	case fresh:
		p.known, p.at, p.state, p.verified = true, at, service.Active, verified
	case verified:
		p.verified, p.state = true, service.Active
	}
	state := service.Pending
	if p.verified {
		state = service.Enrolled
	}
	stopped := p.stop.outlives(m)
	for _, s := range svcs {
		c := &p.consents[s]
		switch {
		case c.there && c.state != service.Withdrawn:
			if c.state == service.Pending {
				c.state = state
			}
		case c.there && (c.outlives(m) || fresh && stopped):
		case !c.there && stopped:
			if fresh {
				*c = consent{true, service.Withdrawn, channel, p.stop}
			}
		default:
			*c = consent{true, state, channel, mark{at: m.at}}
		}
	}
	return false
}

// joins tells whether a consent of somebody not known yet has effect.
func (p *resident) joins(s int, m mark) bool {
	return !p.stop.outlives(m) && !(p.consents[s].there && p.consents[s].outlives(m))
}

func (t *town) withdraw(who int, svcs []int, only, channel string, m mark) {
	p := &t.people[who]
	all := len(svcs) == 0
	if all {
		for s := range p.consents {
			if p.consents[s].there {
				svcs = append(svcs, s)
			}
		}
	}
	for _, s := range svcs {
		c := &p.consents[s]
		switch {
		case !c.there:
			*c = consent{true, service.Withdrawn, channel, m}
		case only != "" && c.channel != only:
		case c.state != service.Withdrawn:
			c.state, c.mark = service.Withdrawn, m
		default:
			c.again(m)
		}
	}
	if all && only == "" {
		p.stop.again(m)
	}
}

func (p *resident) vouch() {
	p.verified, p.state = true, service.Active
	for s := range p.consents {
		if c := &p.consents[s]; c.there && c.state == service.Pending {
			c.state = service.Enrolled
		}
	}
}

func (t *town) move(who, to int, verified bool) (refused bool) {
	p := &t.people[who]
	switch {
	case !p.known:
		return true
	case verified:
		p.vouch()
	case p.at != to:
		p.verified = false
		for s := range p.consents {
			if c := &p.consents[s]; c.there && c.state == service.Enrolled {
				c.state = service.Pending
			}
		}
	}
	p.at = to
	return false
}

// at calls f with everybody at a number and tells whether there was anybody.
func (t *town) at(n int, f func(p *resident)) (any bool) {
	for i := range t.people {
		if p := &t.people[i]; p.known && p.at == n {
			f(p)
			any = true
		}
	}
	return any
}

func (t *town) blocked(n int, optIn bool, now time.Time) bool {
	b := &t.blocks[n]
	if b.scope == service.BlockNone || !b.expires.IsZero() && !now.Before(b.expires) {
		return false
	}
	return b.scope == service.BlockAll || optIn
}

// differs compares what the registry says of a number with the model.
func (t *town) differs(n int, people []service.Person, st *service.Standing, l *leaflet, now time.Time) string {
	if st == nil {
		st = &service.Standing{}
	}
	b := t.blocks[n]
	over := !b.expires.IsZero() && !now.Before(b.expires) // it may be kept or not
	if !over && (b.scope != st.Block.Scope || !b.expires.Equal(st.Block.Expires)) {
		return fmt.Sprintf("number %d: block %v, want %v", n, st.Block, b)
	}
	count := 0
	for i := range t.people {
		p := &t.people[i]
		if !p.known || p.at != n {
			continue
		}
		count++
		at := slices.IndexFunc(st.People, func(s service.Subscriber) bool { return s.Person == people[i] })
		if at < 0 {
			return fmt.Sprintf("person %d is not at number %d", i, n)
		}
		s := &st.People[at]
		if s.State != p.state {
			return fmt.Sprintf("person %d is %v, want %v", i, s.State, p.state)
		}
		for svc := range p.consents {
			c := &p.consents[svc]
			k := slices.IndexFunc(s.Enrolments, func(e service.Enrolment) bool { return e.Service == l.svc[svc].code })
			if (k >= 0) != c.there || k >= 0 && s.Enrolments[k].State != c.state {
				return fmt.Sprintf("person %d in %s: there %v, want %+v", i, l.svc[svc].code, s.Enrolments, *c)
			}
		}
	}
	if count != len(st.People) {
		return fmt.Sprintf("number %d has %d persons, want %d", n, len(st.People), count)
	}
	return ""
}

// A place is where a message may be on its way: to whom and to which number. who is -1
// while it is meant for whoever has the number.
type place struct{ who, at int }

// ask says what a message at p is told at now: it may go, to one of these; or it goes on to
// another number; or why not.
func (l *letter) ask(p place, t *town, lf *leaflet, now time.Time) (may []place, moved *place, why Refusal) {
	if l.plain {
		if t.blocked(p.at, false, now) {
			return nil, nil, Blocked
		}
		return []place{p}, nil, Accepted
	}
	s := &lf.svc[l.svc]
	switch {
	case s.gone:
		return nil, nil, UnknownService
	case lf.senders[l.source] == nil:
		return nil, nil, SenderUnknown
	}
	if p.who >= 0 && t.people[p.who].at != p.at {
		return nil, &place{p.who, t.people[p.who].at}, Accepted
	}
	if t.blocked(p.at, s.optIn, now) {
		return nil, nil, Blocked
	}
	if p.who >= 0 {
		if why = t.people[p.who].may(l.svc, s.optIn); why == Accepted {
			return []place{p}, nil, Accepted
		}
		if l.personal {
			return nil, nil, why
		}
	}
	active, pending, anybody := 0, false, false
	for i := range t.people {
		one := &t.people[i]
		if !one.known || one.at != p.at {
			continue
		}
		anybody = true
		if one.state != service.Active {
			continue
		}
		active++
		switch one.may(l.svc, s.optIn) {
		case Accepted:
			may = append(may, place{i, p.at})
		case Unverified:
			pending = true
		}
	}
	switch {
	case anybody && active == 0:
		return nil, nil, Suspended
	case !s.optIn && active != 1:
		return []place{{-1, p.at}}, nil, Accepted // nobody in particular
	case len(may) > 0:
		return may, nil, Accepted
	case pending:
		return nil, nil, Unverified
	}
	return nil, nil, NotEnrolled
}

func (p *resident) may(svc int, optIn bool) Refusal {
	c := &p.consents[svc]
	switch {
	case p.state != service.Active:
		return Suspended
	case !optIn, c.there && c.state == service.Enrolled:
		return Accepted
	case c.there && c.state == service.Pending:
		return Unverified
	}
	return NotEnrolled
}

// admit is what a submit is to be answered at now, and where the message then is. leaves is
// when it may leave at the earliest.
func (l *letter) admit(t *town, lf *leaflet, now time.Time) (at []place, leaves time.Time, why Refusal) {
	from := place{-1, l.to}
	if l.personal {
		if !t.people[l.who].known {
			return nil, now, UnknownPerson
		}
		from = place{l.who, t.people[l.who].at}
	}
	may, _, why := l.ask(from, t, lf, now)
	switch {
	case why == Accepted:
		at = may
	case !l.plain && !lf.svc[l.svc].gone && lf.svc[l.svc].drop && (why == NotEnrolled || why == Unverified):
		at = []place{from}
	default:
		return nil, now, why
	}
	leaves = now
	if !l.plain {
		leaves = lf.opens(l.svc, now.Add(l.delay))
	} else {
		leaves = now.Add(l.delay)
	}
	switch {
	case l.validity > 0 && !now.Add(l.validity).After(leaves):
		return nil, now, BadValidity
	case !l.plain && !lf.reaches(l.source, at[0].at, now):
		return nil, now, SenderInactive
	}
	return at, leaves, Accepted
}

// numberOf is a story's number.
func numberOf(story, n int) number.E164 {
	return [few]number.E164{966500000000, 966500000001, 966550000000, 966560000000}[n] + number.E164(10*story)
}
