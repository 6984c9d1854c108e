package route

import "time"

// A Member is one carrier of a group. Plain members share tier 0 by weight; each
// {failover: x} of the config is a tier of its own, the next.
type Member struct {
	Carrier uint32
	Tier    int
	Weight  int // at least 1
}

// MaxMembers is how many carriers a group may have: a bit for each in a lane's target.
const MaxMembers = 16

// GroupOptions say when the next tier opens. Zero takes the default.
type GroupOptions struct {
	FailoverAfter time.Duration // without a bind for as long a carrier is unavailable; default 5s, negative: at once
	MaxWait       time.Duration // a lane whose oldest waits longer is open to all tiers; default 30s, negative: never
}

// Health is what a carrier's owner knows of it.
type Health struct {
	Bound     bool
	DownSince time.Time // when the last bind was lost, or the process began; zero and not Bound: never to be waited for
	Paused    bool      // by an operator, or closed by its hours
	Able      bool      // a window slot and a pace token now, or within 50 ms
	PerSecond float64   // its pace; 0: no limit
}

const (
	slackParts = 4                     // a carrier may always be so many parts ahead, or
	slackTime  = 50 * time.Millisecond // as much as it sends in that time

	// patience is how long a carrier that is too far ahead waits for one that could pull
	// and does not; see MayPull.
	patience = 5 * time.Millisecond
	// A carrier asks again when its wait is over. One that has not asked for longer did
	// not wait: there was nothing to pull.
	stale = 10 * patience
	// After as many waits in vain the slack has doubled as often. It is small again when
	// a wait was of use, or after vainFor without one.
	maxVain = 8
	vainFor = 2 * time.Second
	// The slack never doubles beyond this, or a second of the carrier's pace.
	maxSlackParts = 1024
)

// A Group decides which of its carriers may pull from a lane. Members are named by their
// index, as in a lane's avoid bits and in the []Health, which has one entry a member. It
// is to be kept under its owner's lock.
type Group struct {
	o       GroupOptions
	members []Member
	state   []memberState
	floor   []float64 // by tier: where one who comes back starts
}

// memberState is what a group remembers of a member.
type memberState struct {
	counter float64 // parts/weight pulled, comparable within a tier
	able    bool    // at the last look

	edge  time.Time // since when it is refused for being ahead; zero: it is not
	asked time.Time // when it was last refused so
	vain  uint8     // such waits in succession that nobody used to catch up
	last  time.Time // the latest of them
}

// NewGroup keeps the first MaxMembers members.
func NewGroup(members []Member, o GroupOptions) *Group {
	if o.FailoverAfter == 0 {
		o.FailoverAfter = 5 * time.Second
	}
	if o.MaxWait == 0 {
		o.MaxWait = 30 * time.Second
	}
	members = members[:min(len(members), MaxMembers)]
	g := &Group{o: o, members: make([]Member, len(members)), state: make([]memberState, len(members))}
	tiers := 0
	for i, m := range members {
		m.Weight = max(1, m.Weight)
		m.Tier = max(0, m.Tier)
		g.members[i] = m
		tiers = max(tiers, m.Tier+1)
	}
	g.floor = make([]float64, tiers)
	return g
}

// Members are the group's carriers in order.
func (g *Group) Members() []Member { return g.members }

// Available is whether messages should wait for that carrier: it is not paused, and
// bound or without a bind for less than FailoverAfter.
func (g *Group) Available(member int, health []Health, now time.Time) bool {
	h := &health[member]
	if h.Paused {
		return false
	}
	return h.Bound || !h.DownSince.IsZero() && now.Before(h.DownSince.Add(g.o.FailoverAfter))
}

// MayPull is whether that carrier may pull now from a lane whose head entered at oldest
// (zero: the lane is empty) and whose target avoids those carriers. If not, again is when
// to ask once more though nothing changed; zero: only a change can help.
//
// A carrier that the lane avoids may pull only when no other is available. Of those left,
// a tier may pull when every carrier of the tiers before it is unavailable, or the lane
// has waited longer than MaxWait. Within a tier a carrier may be max(4 parts, 50 ms of
// its pace)/weight ahead of the lowest one that is able.
//
// A carrier within 50 ms of its next token counts as able, yet may be too slow for its
// share: the others would idle at its pace. So whoever is refused for being ahead waits
// until the lane's head has lain there for 5 ms of it; if the lag is not half made up by
// then, it is forgiven, and the slack doubles for as long as that goes on. Shares hold
// among those who can keep them, and nothing idles.
func (g *Group) MayPull(member int, health []Health, oldest time.Time, avoid uint16, now time.Time) (yes bool, again time.Time) {
	g.look(health)
	h := &health[member]
	if oldest.IsZero() || !h.Bound || h.Paused {
		return false, time.Time{}
	}
	all := uint16(1<<len(g.members) - 1)
	if avoid &= all; avoid == all {
		avoid = 0
	}
	candidates := all &^ avoid
	if avoid>>member&1 == 1 {
		if blocked, until := g.blocked(candidates, health, now); blocked {
			return false, until
		}
		candidates = avoid
	}
	return g.inTurn(member, candidates, health, oldest, now)
}

// blocked is whether any of the carriers in set is available, and until when if time
// alone can end that.
func (g *Group) blocked(set uint16, health []Health, now time.Time) (yes bool, until time.Time) {
	forever := false
	for i := range g.members {
		if set>>i&1 == 0 || !g.Available(i, health, now) {
			continue
		}
		yes = true
		if health[i].Bound {
			forever = true
		} else if end := health[i].DownSince.Add(g.o.FailoverAfter); end.After(until) {
			until = end
		}
	}
	if forever {
		until = time.Time{}
	}
	return yes, until
}

// inTurn decides among the candidates, by tier and within a tier by share.
func (g *Group) inTurn(member int, candidates uint16, health []Health, oldest, now time.Time) (yes bool, again time.Time) {
	tier := g.members[member].Tier
	var before, same uint16
	for i := range g.members {
		switch {
		case i == member || candidates>>i&1 == 0:
		case g.members[i].Tier < tier:
			before |= 1 << i
		case g.members[i].Tier == tier:
			same |= 1 << i
		}
	}
	if before != 0 {
		opens := oldest.Add(g.o.MaxWait)
		if waits := g.o.MaxWait < 0 || !now.After(opens); waits {
			if blocked, free := g.blocked(before, health, now); blocked {
				if g.o.MaxWait >= 0 && (free.IsZero() || opens.Before(free)) {
					free = opens.Add(time.Nanosecond)
				}
				return false, free
			}
		}
	}
	return g.inShare(member, same, health, oldest, now)
}

// inShare decides among carriers of one tier.
func (g *Group) inShare(member int, others uint16, health []Health, oldest, now time.Time) (yes bool, again time.Time) {
	s := &g.state[member]
	lowest := s.counter
	for i := range g.members {
		if others>>i&1 == 1 && able(&health[i]) {
			lowest = min(lowest, g.state[i].counter)
		}
	}
	if s.vain > 0 && now.Sub(s.last) > vainFor {
		s.vain = 0
	}
	slack := g.slack(member, health[member].PerSecond)
	ahead := s.counter - lowest
	if !s.edge.IsZero() && ahead <= slack/2 {
		s.edge, s.vain = time.Time{}, 0 // they caught up
	}
	if ahead <= slack {
		return true, time.Time{}
	}
	if s.edge.IsZero() || now.Sub(s.asked) > stale {
		s.edge = now
	}
	s.asked = now
	// What has only just come in nobody has left lying yet.
	since := s.edge
	if oldest.After(since) {
		since = oldest
	}
	if now.Sub(since) < patience {
		return false, since.Add(patience)
	}
	for i := range g.members {
		if others>>i&1 == 1 && able(&health[i]) {
			g.state[i].counter = max(g.state[i].counter, s.counter)
		}
	}
	s.edge, s.last = time.Time{}, now
	s.vain = min(s.vain+1, maxVain)
	return true, time.Time{}
}

// slack is how far ahead of the lowest a carrier may be.
func (g *Group) slack(member int, perSecond float64) float64 {
	parts := max(slackParts, perSecond*slackTime.Seconds())
	if vain := g.state[member].vain; vain > 0 {
		parts = max(parts, min(parts*float64(int(1)<<vain), max(maxSlackParts, perSecond)))
	}
	return parts / float64(g.members[member].Weight)
}

// Pulled counts parts that a carrier took after MayPull had said yes.
func (g *Group) Pulled(member, parts int, health []Health) {
	g.look(health)
	g.state[member].counter += float64(parts) / float64(g.members[member].Weight)
	tier := g.members[member].Tier
	lowest := g.state[member].counter
	for i := range g.members {
		if g.members[i].Tier == tier && able(&health[i]) {
			lowest = min(lowest, g.state[i].counter)
		}
	}
	g.floor[tier] = max(g.floor[tier], lowest)
}

// look lets whoever has become able again start at the lowest counter: what it missed
// while it could not is not made up, or it would get everything until it had.
func (g *Group) look(health []Health) {
	for i := range g.members {
		s := &g.state[i]
		is := able(&health[i])
		if is && !s.able {
			s.counter = max(s.counter, g.floor[g.members[i].Tier])
		}
		s.able = is
	}
}

func able(h *Health) bool { return h.Bound && !h.Paused && h.Able }
