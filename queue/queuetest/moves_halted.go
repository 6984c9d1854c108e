package queuetest

import (
	"slices"

	"masar/queue"
)

// haltedRound goes one round over what is halted: each of it comes once, in order of id. Some
// of it is let go, the rest stays claimed.
func (g *model) haltedRound() {
	g.Helper()
	var want []queue.ID
	for _, f := range g.all { // in order of id
		if f.stage == queue.Aside && f.why == queue.WaitHalted && !f.held {
			want = append(want, f.m.ID)
		}
	}
	got := g.haltedAll(g.rng.IntN(12) + 1)
	if !slices.Equal(ids(got), want) {
		g.bad("a round of Halted gave %v, want %v", ids(got), want)
	}
	for _, c := range got {
		f := g.byID[c.M.ID]
		g.checkClaim(f, c)
		if c.Lane != f.lane {
			g.bad("Halted gave %v for lane %v, want %v", c.M.ID, c.Lane, f.lane)
		}
		if g.rng.IntN(4) > 0 {
			g.s.Release(c)
			continue
		}
		g.hold(f, c)
	}
}

// byOnceOne asks for a key that may be known.
func (g *model) byOnceOne() {
	if len(g.once) == 0 {
		return
	}
	l := g.someLane()
	for key, m := range g.once {
		if m.Account != l.Account {
			continue
		}
		if id, err := g.s.ByOnce(g.ctx, m.Account, []byte(key)); err != nil || id != m.ID {
			g.bad("ByOnce(%d, %q) = %v, %v, want %v", m.Account, key, id, err, m.ID)
		}
		return
	}
}

// surveyAll holds a survey of everything against the model.
func (g *model) surveyAll() {
	g.Helper()
	got := g.survey(queue.Survey{Sent: true, Since: epoch.AddDate(-1, 0, 0)})
	for _, f := range g.all {
		v, told := got[f.m.ID]
		if !told || v.Stage != f.stage || v.M.Job != f.m.Job || v.M.Account != f.m.Account {
			g.bad("Survey tells of %v at stage %d: %v, %+v", f.m.ID, f.stage, told, v)
		}
		if f.stage == queue.Aside && (v.Why != f.why || v.Until != f.until) || f.stage == queue.Ended && (v.State != f.state || v.Err != f.err) {
			g.bad("Survey tells of %v: %+v", f.m.ID, v)
		}
	}
	if len(got) != len(g.all) {
		g.bad("Survey tells of %d messages, want %d", len(got), len(g.all))
	}
}
