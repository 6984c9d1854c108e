package gateway

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"masar/service"
	"masar/smpp/pdu"
)

func newStory(c *chronicle, n int) *story {
	s := &story{n: n, towns: []version[town]{{since: c.began, from: c.began}}}
	for i := range few {
		s.people = append(s.people, testKey.Person(fmt.Sprintf("%d of %d", i, n)))
	}
	return s
}

// plan says what happens in the story and when. What it draws depends on nothing that happens.
func (s *story) plan(c *chronicle, rng *rand.Rand, span time.Duration) (all []deed) {
	at := time.Duration(rng.Int64N(int64(span * 3 / 4)))
	then := func(do func()) { all = append(all, deed{at, do}) }
	some := func() (svcs []int) {
		for i := range svcCount {
			if rng.IntN(3) == 0 {
				svcs = append(svcs, i)
			}
		}
		if len(svcs) == 0 {
			svcs = []int{rng.IntN(svcCount)}
		}
		return svcs
	}
	channel := func() string { return [...]string{"office", "bank"}[rng.IntN(2)] }
	coin := func(of int) bool { return rng.IntN(of) == 0 }

	var home [few]int
	for i := range 1 + rng.IntN(few) { // those known from the beginning, some at one number
		n := rng.IntN(few)
		home[i] = n
		then(func() { s.enrol(c, i, n, []int{0, 1, 2, 4, 6, 7}, "office", true, false, 0) })
	}
	var last *letter
	for range 6 + rng.IntN(14) {
		switch rng.IntN(10) {
		case 0, 1:
		case 2, 3:
			at += time.Duration(rng.IntN(1000)) * time.Millisecond
		case 4, 5, 6:
			at += time.Duration(rng.Int64N(int64(time.Minute)))
		case 7, 8:
			at += time.Duration(rng.Int64N(int64(15 * time.Minute)))
		case 9:
			at += time.Duration(rng.Int64N(int64(span / 4)))
		}
		at = min(at, span)
		who, n, svcs := rng.IntN(few), rng.IntN(few), some()
		if last != nil && !coin(3) { // it is about the latest message
			if svcs = append(svcs, last.svc); last.personal {
				who = last.who
			} else if i := slices.Index(home[:], last.to); i >= 0 {
				who = i
			}
			slices.Sort(svcs)
			svcs = slices.Compact(svcs)
		}
		switch dice := rng.IntN(100); {
		case dice < 42:
			l := s.letter(rng)
			last = l
			then(func() { s.submit(c, l) })
		case dice < 55:
			if coin(4) {
				svcs = nil
			}
			only, by := "", channel()
			if coin(4) {
				only = by
			}
			byPerson := coin(2) && only == ""
			then(func() { s.withdraw(c, who, svcs, only, by, byPerson) })
		case dice < 67:
			verified := !coin(3)
			home[who] = n
			then(func() { s.move(c, who, n, verified) })
		case dice < 77:
			if coin(2) {
				n = -1
			}
			by, verified, byPerson, age := channel(), !coin(3), coin(4), time.Duration(0)
			switch rng.IntN(8) {
			case 0:
				age = 20 * time.Minute
			case 1:
				age = -1
			}
			then(func() { s.enrol(c, who, n, svcs, by, verified, byPerson, age) })
		case dice < 85:
			scope, lasts := service.BlockOptIn, time.Duration(0)
			if coin(2) {
				scope = service.BlockAll
			}
			if !coin(3) {
				lasts = time.Duration(1+rng.IntN(1800)) * time.Second
			}
			then(func() { s.block(c, n, scope, lasts) })
		case dice < 91:
			then(func() { s.block(c, n, service.BlockNone, 0) })
		case dice < 95:
			then(func() { s.recycled(c, n) })
		default:
			then(func() { s.verify(c, n) })
		}
	}
	return all
}

// letter draws one message.
func (s *story) letter(rng *rand.Rand) *letter {
	l := &letter{draft: draft{tag: fmt.Sprintf("#%d.%d;", s.n, len(s.letters)), who: rng.IntN(few), to: rng.IntN(few), svc: rng.IntN(svcCount)}}
	coin := func(of int) bool { return rng.IntN(of) == 0 }
	switch {
	case coin(12):
		l.plain = true
	case coin(2):
		l.notice = true
		l.personal = !coin(3)
	}
	l.long = coin(3)
	if coin(4) {
		l.delay = time.Duration(1+rng.IntN(3600)) * time.Second
	}
	if coin(6) {
		l.validity = time.Duration(60+rng.IntN(3*3600)) * time.Second
	}
	l.named = coin(8)
	s.letters = append(s.letters, l)
	return l
}

func (l *letter) text() string {
	if !l.long {
		return l.tag + " hello"
	}
	part := l.tag + " so many words " // each part holds the tag
	return strings.Repeat(part, 350/len(part)) + l.tag
}

// submit submits a letter and asks that it is answered as the model says.
func (s *story) submit(c *chronicle, l *letter) {
	lf, now := c.now(), time.Now()
	if l.source = lf.svc[l.svc].sender; l.plain {
		l.source = "PLAIN"
	} else if l.named {
		l.source = "MOI"
	}
	places, leaves, want := l.admit(&s.town, lf, now)
	code := lf.svc[l.svc].code
	got, shown, detail := Accepted.status(), "", ""
	if l.notice {
		n := Notice{Account: "civil", Service: code, Text: l.text(), Receipt: true, Validity: l.validity}
		if l.personal {
			n.Person = s.people[l.who]
		} else {
			n.Number = numberOf(s.n, l.to)
		}
		if l.named {
			n.Source = l.source
		}
		if l.delay > 0 {
			n.Schedule = now.Add(l.delay)
		}
		// A Notice's validity counts from when it may leave, as a default one does.
		if want == BadValidity {
			places, leaves, want = l.admitted(&s.town, lf, now)
		}
		id, err := c.rig.gw.Submit(context.Background(), n)
		var no *SubmitError
		switch {
		case errors.As(err, &no):
			got, detail = no.Status, no.Error()
		case err != nil:
			c.t.Fatal(err)
		default:
			shown = id.String()
		}
	} else {
		account := "civil"
		p := sms(func(p *pdu.SubmitSM) {
			p.Source, p.RegisteredDelivery = pdu.Address{}, pdu.RegisteredFinal
			p.Dest.Addr, p.ServiceType, p.ShortMessage = []byte(numberOf(s.n, l.to).String()), []byte(code), []byte(l.text())
			if l.plain {
				account, p.ServiceType = "plain", nil
			}
			if l.plain || l.named {
				p.Source = pdu.Address{TON: pdu.TONAlphanumeric, Addr: []byte(l.source)}
			}
			if l.delay > 0 {
				p.ScheduleDeliveryTime = pdu.AppendRelative(nil, l.delay)
			}
			if l.validity > 0 {
				p.ValidityPeriod = pdu.AppendRelative(nil, l.validity)
			}
			if l.long {
				p.TLVs, p.ShortMessage = p.TLVs.Append(pdu.TagMessagePayload, p.ShortMessage), nil
			}
		})
		a := c.bureaus[account].submit(p)
		got, shown = a.status, a.id
	}
	s.note(c, "submit %s %+v: %v %s", code, l.draft, got, detail)
	if got != want.status() {
		c.fail(s, "%s was answered %v %s, want %v (%v)", l.tag, got, detail, want.status(), want)
	}
	if got != pdu.ESME_ROK {
		return
	}
	id, ok := new(Account).readID([]byte(shown))
	if !ok {
		c.t.Fatalf("no id: %q", shown)
	}
	l.shown, l.id, l.accepted, l.leaves, l.places = shown, id, now, leaves, places
}

// admitted is admit for a letter whose validity counts from when it may leave.
func (l *letter) admitted(t *town, lf *leaflet, now time.Time) ([]place, time.Time, Refusal) {
	free := &letter{draft: l.draft}
	free.validity = 0
	return free.admit(t, lf, now)
}

// change makes a change and what the model makes of it, and compares the two.
func (s *story) change(c *chronicle, refused bool, what string, changes ...service.Change) {
	began := time.Now()
	for i := range changes {
		changes[i].Now = began
		if changes[i].Channel == "" {
			changes[i].Channel = "office"
		}
	}
	out, err := c.reg.Apply(context.Background(), service.Batch{Changes: changes})
	if err != nil {
		c.t.Fatal(err)
	}
	last := out[len(out)-1]
	s.towns = append(s.towns, version[town]{since: began, from: time.Now(), is: s.town})
	s.note(c, "%s: %v %v", what, last.Effect, last.Err)
	if (last.Err != nil) != refused {
		c.fail(s, "%s: refused %v, want %v", what, last.Err, refused)
	}
	for n := range few {
		st, err := c.reg.Lookup(context.Background(), numberOf(s.n, n))
		if err != nil {
			c.t.Fatal(err)
		}
		if diff := s.town.differs(n, s.people, st, c.leaves[0], began); diff != "" {
			c.fail(s, "%s: %s", what, diff)
		}
	}
}

func codesOf(c *chronicle, svcs []int) (codes []string) {
	for _, i := range svcs {
		codes = append(codes, c.leaves[0].svc[i].code)
	}
	return codes
}

// enrol's age is how old the consent is; negative: it has no date.
func (s *story) enrol(c *chronicle, who, n int, svcs []int, by string, verified, byPerson bool, age time.Duration) {
	now := time.Now()
	ch := service.Change{
		Kind: service.Enrol, Person: s.people[who], Services: codesOf(c, svcs), Verified: verified, ByPerson: byPerson, Channel: by,
	}
	m := mark{byPerson: byPerson}
	if age >= 0 {
		ch.At = now.Add(-age).Truncate(2 * time.Second)
		m.at = ch.At.Unix()
	}
	if n >= 0 {
		ch.Number = numberOf(s.n, n)
	}
	refused := s.town.enrol(who, n, svcs, by, verified, m)
	s.change(c, refused, fmt.Sprintf("enrol %d at %d in %v by %s, verified %v, by person %v, %v old", who, n, ch.Services, by, verified, byPerson, age), ch)
}

func (s *story) withdraw(c *chronicle, who int, svcs []int, only, by string, byPerson bool) {
	// Never in one second with a consent: whose is the last word then is not asked here.
	at := time.Now().Truncate(2 * time.Second).Add(-time.Second)
	s.town.withdraw(who, svcs, only, by, mark{at.Unix(), byPerson})
	codes := codesOf(c, svcs)
	s.change(c, false, fmt.Sprintf("withdraw %d from %v, only %q, by person %v", who, codes, only, byPerson), service.Change{
		Kind: service.Withdraw, Person: s.people[who], Services: codes, Only: only, ByPerson: byPerson, Channel: by, At: at,
	})
}

func (s *story) move(c *chronicle, who, n int, verified bool) {
	refused := s.town.move(who, n, verified)
	s.change(c, refused, fmt.Sprintf("move %d to %d, verified %v", who, n, verified), service.Change{
		Kind: service.SetNumber, Person: s.people[who], Number: numberOf(s.n, n), Verified: verified,
	})
}

func (s *story) block(c *chronicle, n int, scope service.BlockScope, lasts time.Duration) {
	b := &s.town.blocks[n]
	b.scope, b.expires = scope, time.Time{}
	if lasts > 0 {
		b.expires = time.Now().Truncate(time.Second).Add(lasts)
	}
	ch := service.Change{Kind: service.BlockNumber, Number: numberOf(s.n, n), Block: service.Block{Scope: scope, Expires: b.expires}}
	if scope == service.BlockNone {
		ch.Kind = service.UnblockNumber
	}
	s.change(c, false, fmt.Sprintf("block number %d: %v for %v", n, scope, lasts), ch)
}

func (s *story) recycled(c *chronicle, n int) {
	any := s.town.at(n, func(p *resident) { p.state, p.verified = service.Recycled, false })
	s.change(c, !any, fmt.Sprintf("number %d is recycled", n), service.Change{Kind: service.MarkRecycled, Number: numberOf(s.n, n)})
}

func (s *story) verify(c *chronicle, n int) {
	s.town.at(n, (*resident).vouch)
	to := numberOf(s.n, n)
	s.change(c, false, fmt.Sprintf("number %d is verified", n),
		service.Change{Kind: service.IssueCode, Number: to, Code: "123456", Until: time.Now().Add(time.Minute)},
		service.Change{Kind: service.Verify, Number: to, Code: "123456"})
}
