package gateway

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"masar/number"
	"masar/queue"
	"masar/service"
	"masar/smpp/pdu"
)

// All that admission asks of a message and its number is asked again when it leaves: at
// promotion, when a dispatcher begins it, and before each of its parts. As long as neither
// the configuration nor the registry's counter for the number has moved since, that costs a
// comparison; then only the clock is asked, for hours and for what has expired.

// clearance is whether a message may leave now. The zero value: it may.
type clearance struct {
	why   Refusal     // it may not, any more
	until time.Time   // not before; zero: now
	moved number.E164 // its person has this number now
	err   error       // the registry could not be read
	here  Refusal     // it may, but not over the carrier that asks
	rules *rules      // what was asked; nil: of no service

	halted *haltSet // they have stopped it, and nothing else was asked; nil: none has
}

// free tells whether nothing keeps the message.
func (c *clearance) free() bool {
	return c.why == Accepted && c.until.IsZero() && c.moved == 0 && c.err == nil && c.here == Accepted
}

// stopReasons are the Refusals that can end a message that was accepted, those of
// masar_stopped_total.
var stopReasons = [...]Refusal{
	SenderNotAllowed, ServiceNotAllowed, UnknownService, ForeignService, SenderUnknown, TrialNumber, UnknownPerson, Blocked,
	Suspended, NotEnrolled, Unverified, NoRoute, SenderInactive, numberChanged,
}

// checked is when the rules for a number were last asked, and what they stood at.
type checked struct {
	number         number.E164 // 0: it is none
	world, version uint64      // queue.Message's World and Checked
	at             time.Time
}

func checkedOf(m *queue.Message, at time.Time) checked {
	n, _ := number.Of(m.Dest.Addr)
	return checked{n, m.World, m.Checked, at}
}

// unchanged tells whether what was asked still holds but for the clock. Lock-free.
func (g *Gateway) unchanged(w *world, c *checked) bool {
	return c.world == w.generation && (g.opt.Registry == nil || c.number == 0 || c.version == g.opt.Registry.Version(c.number))
}

// clear asks whether m may leave at now. What it learns of who gets it is kept in m, which
// must be the caller's claim.
func (g *Gateway) clear(ctx context.Context, w *world, m *queue.Message, now time.Time) (c clearance) {
	c.rules, c.why = w.rulesOf(m)
	if c.why != Accepted {
		return c
	}
	asked := checkedOf(m, now)
	if n := asked.number; !g.unchanged(w, &asked) {
		if c.why = w.standing(m, c.rules, n); c.why != Accepted {
			return c
		}
		if w.isTest(m.Dest.Addr) {
			m.World = w.generation
		} else if g.ask(ctx, w, m, n, now, &c); !c.free() {
			return c
		}
	}
	if c.rules != nil {
		if opens := w.catalogue().OpensAt(c.rules.service, now); opens.After(now) {
			c.until = opens
		}
	}
	return c
}

// ask asks the registry of a message's number and person.
func (g *Gateway) ask(ctx context.Context, w *world, m *queue.Message, n number.E164, now time.Time, c *clearance) {
	reg := g.opt.Registry
	var st *service.Standing
	if reg == nil || n == 0 {
		c.why, m.Person = w.judge(m, c.rules, nil, now)
		m.World = w.generation
		return
	}
	for range askAgain {
		version := reg.Version(n)
		var err error
		if st, err = reg.Lookup(ctx, n); err != nil {
			c.err = err
			return
		}
		person := service.Person(m.Person)
		if c.rules != nil && person != (service.Person{}) && !has(st, person) {
			sub, err := reg.Find(ctx, person)
			switch {
			case errors.Is(err, service.ErrNobody):
				if c.rules.service.Mode == service.Mandatory && !m.Personal {
					m.Person = service.Person{} // whoever has the number, as when it was accepted
				}
			case err != nil:
				c.err = err
				return
			case sub.Number == n:
				continue // it came to the number between the two looks
			case sub.Number != 0:
				c.moved = sub.Number
				return
			}
		}
		var who service.Person
		c.why, who = w.judge(m, c.rules, st, now)
		if c.why != Accepted && c.why != Blocked && !m.Personal && has(st, person) {
			// Addressed to the number: another one who shares it may still be enrolled.
			anybody := *m
			anybody.Person = service.Person{}
			c.why, who = w.judge(&anybody, c.rules, st, now)
		}
		if c.why == Accepted {
			m.Person, m.Checked, m.World = who, version, w.generation
		}
		return
	}
	c.err = errRestless
}

// askAgain bounds how often a number that changes between two looks is looked at.
const askAgain = 8

var errRestless = errors.New("the number changes faster than it can be looked at")

func has(st *service.Standing, p service.Person) bool {
	if st == nil || p == (service.Person{}) {
		return false
	}
	for i := range st.People {
		if st.People[i].Person == p {
			return true
		}
	}
	return false
}

// standing asks those rules of the configuration that hold as long as a message waits:
// neither window nor rate nor room. What an account that was removed has left still goes out.
func (w *world) standing(m *queue.Message, r *rules, n number.E164) Refusal {
	if m.System {
		return Accepted
	}
	a := w.byNumber[m.Account]
	if a == nil {
		return Accepted
	}
	o := a.opt.Load()
	switch {
	case m.Source.Addr != o.DefaultSender && (r == nil || m.Source.Addr != r.sender.Addr) && !o.maySendAs([]byte(m.Source.Addr)):
		return SenderNotAllowed
	case r == nil && !o.maySendService([]byte(m.ServiceType)):
		return ServiceNotAllowed
	case !o.mayTry(n) && !w.isTest(m.Dest.Addr):
		return TrialNumber
	case r == nil:
		return Accepted
	}
	if m.Source.Addr == r.sender.Addr {
		return Accepted
	}
	return refusalOf(w.setup.Catalogue.MaySend(m.Source.Addr, r.service))
}

// stopped counts a message that is ended because it may not leave any more.
func (g *Gateway) stopped(why Refusal) {
	if c := g.met.stops[why]; c != nil {
		c.Inc()
	}
}

// stopStep ends a waiting message that may not leave any more.
func (g *Gateway) stopStep(c queue.Claim, why Refusal, now time.Time) *queue.Final {
	g.stopped(why)
	step := g.finalStep(c, pdu.StateRejected, why.String(), now)
	step.Status = why.status()
	return step
}

// holdStep sets a message aside until its hours open. A default validity does not run
// meanwhile; one that the sender chose may end before.
func (g *Gateway) holdStep(c queue.Claim, until, now time.Time) *queue.Wait {
	g.met.holds.Inc()
	opens := queue.At(until)
	if c.M.Stretch {
		m := *c.M // the claim's own stays as it is on disk
		m.Expires += opens - queue.At(now)
		c.M = &m
	}
	return &queue.Wait{Claim: c, Until: min(opens, c.M.Expires), Why: queue.WaitHours, Lane: c.Lane}
}

// registryWait is how long a message waits that nobody can be asked about. No try is counted.
const registryWait = 10 * time.Second

// laterStep sets a message aside because the registry could not be read.
func (g *Gateway) laterStep(c queue.Claim, err error, now time.Time) *queue.Wait {
	g.registryTrouble(err, now)
	return &queue.Wait{Claim: c, Until: min(queue.At(now.Add(registryWait)), c.M.Expires), Why: queue.WaitRetry, Lane: c.Lane}
}

// trouble keeps the log of what fails for every message to one line in ten seconds.
type trouble struct {
	mu sync.Mutex
	refusalLog
}

func (g *Gateway) registryTrouble(err error, now time.Time) {
	if g.ctx.Err() != nil {
		return // shutting down
	}
	t := &g.unasked
	t.mu.Lock()
	defer t.mu.Unlock()
	if now.Sub(t.last) < refusalLogEvery {
		t.silent++
		return
	}
	g.log.Error("the registry could not be read, messages wait", slog.Any("err", err), slog.Int("not_logged", t.silent))
	t.refusalLog = refusalLog{last: now}
}

// movedTo is a message as it goes to its person's new number: nothing of it has been sent
// there. Receipts still name the number that the client wrote.
func movedTo(m *queue.Message, n number.E164) *queue.Message {
	moved := *m
	if moved.DestWritten.Addr == "" {
		moved.DestWritten = m.Dest
	}
	moved.Dest.Addr = n.String()
	moved.Checked, moved.World, moved.Barred, moved.Answers = 0, 0, 0, nil
	if moved.Attempt > 0 {
		moved.Attempt++
	}
	return &moved
}

// moveStep sends a message after its person, by the routes of the new number.
func (g *Gateway) moveStep(w *world, c queue.Claim, n number.E164, now time.Time) queue.Step {
	c.M = movedTo(c.M, n)
	lane, why := w.laneFor(c.M, now)
	if why != Accepted {
		return g.stopStep(c, why, now)
	}
	return &queue.Enter{Claim: c, Lane: lane}
}

// kept is the step for a message that may not leave now. REQUIRES: something keeps it.
func (g *Gateway) kept(w *world, claim queue.Claim, c *clearance, now time.Time) queue.Step {
	switch {
	case c.err != nil:
		return g.laterStep(claim, c.err, now)
	case c.why != Accepted:
		return g.stopStep(claim, c.why, now)
	case c.moved != 0:
		return g.moveStep(w, claim, c.moved, now)
	}
	return g.holdStep(claim, c.until, now)
}
