package gateway

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing/synctest"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
)

// judge judges all letters once everything is over.
func (c *chronicle) judge() {
	synctest.Wait()
	c.countStops()
	states, reasons := map[pdu.State]int{}, map[string]float64{}
	letters, calls := 0, 0
	for _, s := range c.stories {
		for _, l := range s.letters {
			calls += len(l.calls)
			if l.id == 0 {
				if len(l.calls) > 0 {
					c.fail(s, "%s was refused and sent", l.tag)
				}
				continue
			}
			letters++
			v, err := c.rig.store.Find(context.Background(), 0, l.id)
			if err != nil {
				c.fail(s, "%s: %v", l.tag, err)
				continue
			}
			s.note(c, "%s: %v %v %q at %s; receipts %v", l.tag, v.Stage, v.State, v.Err, c.since(v.Ended.Time()), c.told[l.shown])
			states[v.State]++
			if v.State == pdu.StateRejected {
				reasons[v.Err]++
			}
			(&trial{c: c, s: s, l: l}).judge(&v)
		}
		if s.n == *interleaveTell {
			c.fail(s, "as asked for")
		}
	}
	for reason, n := range c.stops {
		if reasons[reason] != n {
			c.t.Errorf("masar_stopped_total{reason=%q} is %v, %v messages ended so", reason, n, reasons[reason])
		}
	}
	c.t.Logf("%d stories, %d messages, %d submit_sm, %d starts: %v; stopped %v", len(c.stories), letters, calls, len(c.starts)+1, states, reasons)
	if c.failed > 0 {
		c.t.Errorf("%d failures", c.failed)
	}
}

// A trial judges one letter.
type trial struct {
	c      *chronicle
	s      *story
	l      *letter
	places []place // where it may have been on its way to
	edges  []time.Time
}

// grow adds the places to which asking about the letter at a moment may bring it.
func (j *trial) grow(now time.Time) {
	j.each(now, now, func(t *town, lf *leaflet) {
		for i := 0; i < len(j.places); i++ {
			may, moved, _ := j.l.ask(j.places[i], t, lf, now)
			if moved != nil {
				may = append(may, *moved)
			}
			for _, p := range may {
				if !slices.Contains(j.places, p) {
					j.places = append(j.places, p)
				}
			}
		}
	})
}

// each calls f with what may be seen between two moments.
func (j *trial) each(from, to time.Time, f func(t *town, lf *leaflet)) {
	towns, leaves := within(j.s.towns, from, to), within(j.c.leaf, from, to)
	for i := range towns {
		for k := range leaves {
			f(&towns[i].is, j.c.leaves[leaves[k].is])
		}
	}
}

// until grows over all that changed up to a moment.
func (j *trial) until(now time.Time) {
	for len(j.edges) > 0 && !j.edges[0].After(now) {
		j.grow(j.edges[0])
		j.edges = j.edges[1:]
	}
	j.grow(now)
}

func (j *trial) judge(v *queue.View) {
	c, s, l := j.c, j.s, j.l
	fail := func(format string, args ...any) {
		c.t.Helper()
		c.fail(s, "%s: "+format, append([]any{l.tag}, args...)...)
	}
	j.places = slices.Clone(l.places)
	for i := range s.towns {
		j.edges = append(j.edges, s.towns[i].since, s.towns[i].from)
		for _, b := range s.towns[i].is.blocks {
			j.edges = append(j.edges, b.expires)
		}
	}
	for i := range c.leaf {
		j.edges = append(j.edges, c.leaf[i].since, c.leaf[i].from)
	}
	j.edges = slices.DeleteFunc(j.edges, func(t time.Time) bool { return t.Before(l.accepted) })
	slices.SortFunc(j.edges, time.Time.Compare)

	whole, wholeAt := j.sent(fail)
	if v.Stage != queue.Ended {
		fail("is still %v, %v until %v", v.Stage, v.Why, v.Until.Time())
		return
	}
	end := v.Ended.Time()
	j.until(end.Add(time.Microsecond - 1))
	switch v.State {
	case pdu.StateDelivered:
		if whole == nil {
			fail("DELIVRD, and not all of it was taken")
		}
	case pdu.StateRejected:
		if !wholeAt.IsZero() {
			fail("REJECTD after it was taken at %s", c.since(wholeAt))
		}
		if !j.mayEnd(v.Err, end) {
			fail("REJECTD %s at %s, which it was not then", v.Err, c.since(end))
		}
	case pdu.StateExpired:
		if !wholeAt.IsZero() {
			fail("EXPIRED after it was taken at %s", c.since(wholeAt))
		}
		if until := l.expires(c); end.Before(until) {
			fail("EXPIRED at %s, valid until %s at least", c.since(end), c.since(until))
		}
	default:
		fail("ended %v %s", v.State, v.Err)
	}
	told := c.told[l.shown]
	if want := v.State.Receipt(); len(told) == 0 || slices.ContainsFunc(told, func(s string) bool { return s != want }) || len(told) > 1+len(c.starts) {
		fail("ended %v, receipts %v", want, told)
	}
}

// expires is when its validity ends at the earliest.
func (l *letter) expires(c *chronicle) time.Time {
	switch {
	case l.validity > 0 && !l.notice:
		return l.accepted.Add(l.validity)
	case l.validity > 0:
		return l.leaves.Add(l.validity)
	case l.plain:
		return l.leaves.Add(100 * time.Hour)
	}
	return l.leaves.Add(c.leaves[0].svc[l.svc].validity)
}

// sent judges each submit_sm of the letter. whole is an attempt of which all parts were
// taken; wholeAt when the gateway knew that of one for sure, zero: never.
func (j *trial) sent(fail func(string, ...any)) (whole *call, wholeAt time.Time) {
	c, l := j.c, j.l
	type attempt struct {
		carrier string
		ref     uint16
	}
	taken, sure := map[attempt][]bool{}, map[attempt][]bool{}
	dests := map[attempt]string{}
	for i := range l.calls {
		k := &l.calls[i]
		key := attempt{k.carrier, k.ref}
		if taken[key] == nil {
			taken[key], sure[key] = make([]bool, k.of+1), make([]bool, k.of+1)
		}
		j.until(k.at)
		// What is half sent goes on in quiet hours and over its sender's end.
		first := !slices.ContainsFunc(l.calls[:i], func(b call) bool {
			return b.carrier == k.carrier && b.ref == k.ref && b.part != k.part &&
				(b.status == pdu.ESME_ROK || b.answered.IsZero() || !b.answered.Before(k.at))
		})
		if first {
			dests[key] = k.dest
		}
		switch {
		case !wholeAt.IsZero() && k.at.After(wholeAt):
			fail("call %d: sent again, the whole of it was taken at %s", i, c.since(wholeAt))
		case sure[key][k.part]:
			fail("call %d: part %d again", i, k.part)
		case dests[key] != k.dest:
			fail("call %d: part %d to %s, others to %s", i, k.part, k.dest, dests[key])
		case k.source != l.source:
			fail("call %d: from %q, want %q", i, k.source, l.source)
		case k.at.Before(l.accepted.Add(l.delay)):
			fail("call %d: before its schedule", i)
		case l.validity > 0 && !l.notice && !k.at.Before(l.accepted.Add(l.validity)):
			fail("call %d: after its validity", i)
		}
		if why := j.may(k, first); why != "" {
			fail("call %d to %s over %s at %s: %s", i, k.dest, k.carrier, c.since(k.at), why)
			return whole, wholeAt
		}
		if k.status != pdu.ESME_ROK {
			continue
		}
		taken[key][k.part] = true
		if whole == nil && !slices.Contains(taken[key][1:], false) {
			whole = k
		}
		if c.posts[k.carrier].heard(k) {
			sure[key][k.part] = true
			if wholeAt.IsZero() && !slices.Contains(sure[key][1:], false) {
				wholeAt = k.answered
			}
		}
	}
	return whole, wholeAt
}

// heard tells whether the gateway has an answer for sure.
func (p *post) heard(k *call) bool {
	if k.answered.IsZero() {
		return false
	}
	for _, cut := range p.cuts {
		if !cut[1].Before(k.at) && !cut[0].After(k.answered) {
			return false
		}
	}
	return true
}

// may tells why a submit_sm should not have been sent; empty: it may.
func (j *trial) may(k *call, first bool) string {
	whys := map[string]bool{}
	ok := false
	j.each(k.at, k.at, func(t *town, lf *leaflet) {
		for _, p := range j.places {
			may, moved, why := j.l.ask(p, t, lf, k.at)
			switch {
			case numberOf(j.s.n, p.at).String() != k.dest:
				whys[fmt.Sprintf("%v is elsewhere", p)] = true
			case moved != nil:
				whys[fmt.Sprintf("%v has moved to %v", p, *moved)] = true
			case len(may) == 0:
				whys[fmt.Sprintf("%v: %v", p, why)] = true
			case !slices.Contains(routeOf[p.at], k.carrier):
				whys["its route does not lead there"] = true
			case first && !j.l.plain && !lf.knows(k.source, k.carrier, k.at):
				whys["the sender is not active there"] = true
			case first && !j.l.plain && lf.opens(j.l.svc, k.at).After(k.at):
				whys["in quiet hours"] = true
			default:
				ok = true
			}
		}
	})
	if ok {
		return ""
	}
	var list []string
	for why := range whys {
		list = append(list, why)
	}
	slices.Sort(list)
	return strings.Join(list, "; ")
}

// mayEnd tells whether a letter may be ended for a reason at a moment, which is known to the
// microsecond.
func (j *trial) mayEnd(reason string, now time.Time) (yes bool) {
	begun := slices.ContainsFunc(j.l.calls, func(k call) bool { return k.of > 1 && k.status == pdu.ESME_ROK })
	j.each(now, now.Add(time.Microsecond-1), func(t *town, lf *leaflet) {
		for _, p := range j.places {
			_, moved, why := j.l.ask(p, t, lf, now)
			switch {
			case reason == SenderInactive.String(): // asked by its route alone
				yes = yes || !j.l.plain && !lf.reaches(j.l.source, p.at, now)
			case moved != nil:
				yes = yes || begun && reason == numberChanged.String()
			case why != Accepted:
				yes = yes || reason == why.String()
			}
		}
	})
	return yes
}
