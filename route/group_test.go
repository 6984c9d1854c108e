package route

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

var epoch = time.Date(2026, 3, 1, 8, 0, 0, 0, time.UTC)

func healthy(n int) []Health {
	h := make([]Health, n)
	for i := range h {
		h[i] = Health{Bound: true, Able: true}
	}
	return h
}

func TestAvailable(t *testing.T) {
	for _, row := range []struct {
		name string
		h    Health
		want bool
	}{
		{"bound", Health{Bound: true}, true},
		{"bound and paused", Health{Bound: true, Paused: true}, false},
		{"down for 4s", Health{DownSince: epoch.Add(-4 * time.Second)}, true},
		{"down for 5s", Health{DownSince: epoch.Add(-5 * time.Second)}, false},
		{"down for 4s and paused", Health{DownSince: epoch.Add(-4 * time.Second), Paused: true}, false},
		{"never bound", Health{}, false},
		{"bound, no slot", Health{Bound: true, Able: false}, true},
	} {
		g := NewGroup([]Member{{Carrier: 1}}, GroupOptions{})
		if got := g.Available(0, []Health{row.h}, epoch); got != row.want {
			t.Errorf("%s: available %v, want %v", row.name, got, row.want)
		}
	}
}

func TestWhoMayPullInOrder(t *testing.T) {
	const s = time.Second
	up := Health{Bound: true, Able: true}
	busy := Health{Bound: true}
	paused := Health{Bound: true, Able: true, Paused: true}
	down := func(ago time.Duration) Health { return Health{DownSince: epoch.Add(-ago)} }
	abc := []Member{{1, 0, 1}, {2, 1, 1}, {3, 2, 1}}
	for _, row := range []struct {
		name    string
		members []Member
		o       GroupOptions
		health  []Health
		age     time.Duration // of the lane's head; negative: the lane is empty
		avoid   uint16
		may     string // a letter for each who may
		again   []time.Duration
	}{
		{"all up: the first", abc, GroupOptions{}, []Health{up, up, up}, 0, 0, "a", []time.Duration{0, 30 * s, 30 * s}},
		{"the first without a slot keeps its lane", abc, GroupOptions{}, []Health{busy, up, up}, 0, 0, "a", nil},
		{"an empty lane is nobody's", abc, GroupOptions{}, []Health{up, up, up}, -1, 0, "", []time.Duration{0, 0, 0}},
		{"the first down for 2s is waited for", abc, GroupOptions{}, []Health{down(2 * s), up, up}, 0, 0, "", []time.Duration{0, 3 * s, 30 * s}},
		{"the first down for 5s: the second", abc, GroupOptions{}, []Health{down(5 * s), up, up}, 0, 0, "b", nil},
		{"the first paused: the second at once", abc, GroupOptions{}, []Health{paused, up, up}, 0, 0, "b", nil},
		{"the first never bound: the second at once", abc, GroupOptions{}, []Health{{}, up, up}, 0, 0, "b", nil},
		{"two gone: the third", abc, GroupOptions{}, []Health{down(6 * s), paused, up}, 0, 0, "c", nil},
		{"two going: the later of the two", abc, GroupOptions{}, []Health{down(4 * s), down(1 * s), up}, 0, 0, "", []time.Duration{0, 0, 4 * s}},
		{"own failover_after", abc, GroupOptions{FailoverAfter: 20 * s}, []Health{down(12 * s), up, up}, 0, 0, "", []time.Duration{0, 8 * s, 30 * s}},
		{"failover at once", abc, GroupOptions{FailoverAfter: -1}, []Health{down(0), up, up}, 0, 0, "b", nil},
		{"a lane of 29s is the first's", abc, GroupOptions{}, []Health{up, up, up}, 29 * s, 0, "a", []time.Duration{0, 1 * s, 1 * s}},
		{"a lane over 30s opens the next", abc, GroupOptions{}, []Health{up, up, up}, 31 * s, 0, "abc", nil},
		{"unless max_wait is off", abc, GroupOptions{MaxWait: -1}, []Health{up, up, up}, 3600 * s, 0, "a", []time.Duration{0, 0, 0}},
		{"own max_wait", abc, GroupOptions{MaxWait: 5 * s}, []Health{up, up, up}, 6 * s, 0, "abc", nil},
		{"max_wait opens before failover_after", abc, GroupOptions{}, []Health{down(1 * s), up, up}, 29 * s, 0, "", []time.Duration{0, 1 * s, 1 * s}},
		{"avoid the first: the second, at once", abc, GroupOptions{}, []Health{up, up, up}, 0, 0b001, "b", []time.Duration{0, 0, 30 * s}},
		{"avoid the first, the others down for long", abc, GroupOptions{}, []Health{up, down(6 * s), down(9 * s)}, 0, 0b001, "a", nil},
		{"avoid the first, the second down for 2s", abc, GroupOptions{}, []Health{up, down(2 * s), paused}, 0, 0b001, "", []time.Duration{3 * s, 0, 0}},
		{"avoid the first, an age does not open it", abc, GroupOptions{}, []Health{up, up, up}, 60 * s, 0b001, "bc", nil},
		{"avoid all but the third: a partly sent message", abc, GroupOptions{}, []Health{up, up, up}, 0, 0b011, "c", nil},
		{"its carrier is gone: as if nothing were avoided among the rest", abc, GroupOptions{}, []Health{up, up, down(6 * s)}, 0, 0b011, "a", nil},
		{"its carrier is gone and so is the first", abc, GroupOptions{}, []Health{paused, up, down(6 * s)}, 0, 0b011, "b", nil},
		{"all avoided is none avoided", abc, GroupOptions{}, []Health{up, up, up}, 0, 0b111, "a", nil},
		{"bits of nobody are ignored", abc, GroupOptions{}, []Health{up, up, up}, 0, 0xfff0, "a", nil},
		{"one carrier that is avoided", abc[:1], GroupOptions{}, []Health{up}, 0, 1, "a", nil},
		{"shares, then one in reserve", []Member{{1, 0, 1}, {2, 0, 1}, {3, 1, 1}}, GroupOptions{}, []Health{up, up, up}, 0, 0, "ab", nil},
		{"one of the shares down for long", []Member{{1, 0, 1}, {2, 0, 1}, {3, 1, 1}}, GroupOptions{}, []Health{down(9 * s), up, up}, 0, 0, "b", nil},
		{"all shares down for long", []Member{{1, 0, 1}, {2, 0, 1}, {3, 1, 1}}, GroupOptions{}, []Health{down(9 * s), paused, up}, 0, 0, "c", nil},
		{"not bound may not pull", abc, GroupOptions{}, []Health{down(1 * s), down(9 * s), down(9 * s)}, 60 * s, 0, "", []time.Duration{0, 0, 0}},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := NewGroup(row.members, row.o)
			oldest := epoch.Add(-row.age)
			if row.age < 0 {
				oldest = time.Time{}
			}
			may := ""
			for i := range row.members {
				yes, again := g.MayPull(i, row.health, oldest, row.avoid, epoch)
				if yes {
					may += string(rune('a' + i))
				}
				if row.again == nil {
					continue
				}
				want := time.Time{}
				if row.again[i] != 0 {
					want = epoch.Add(row.again[i])
				}
				if d := again.Sub(want); yes && !again.IsZero() || d < 0 || d > time.Microsecond {
					t.Errorf("carrier %d is told to ask again at %v, want %v", i, again.Sub(epoch), row.again[i])
				}
				if !yes && !again.IsZero() && i > 0 {
					if now, _ := g.MayPull(i, row.health, oldest, row.avoid, again); !now {
						if _, later := g.MayPull(i, row.health, oldest, row.avoid, again); later.IsZero() || !later.After(again) {
							t.Errorf("carrier %d asks again at %v and still may not, with nothing to wait for", i, again.Sub(epoch))
						}
					}
				}
			}
			if may != row.may {
				t.Errorf("may pull: %q, want %q", may, row.may)
			}
		})
	}
}

// world is a group under load in virtual time: each carrier has tokens at its rate and a
// lane is fed; whoever has a token asks.
type world struct {
	g      *Group
	health []Health
	rate   []float64 // what each can really take a second
	tokens []float64
	got    []int       // parts pulled
	lane   []time.Time // when each message entered
	now    time.Time
	r      *rand.Rand
	parts  func() int
	refuse int // answers no although a token was there and the lane was not empty
}

func newWorld(members []Member, rates []float64) *world {
	w := &world{g: NewGroup(members, GroupOptions{}), health: healthy(len(members)), rate: rates, now: epoch,
		tokens: make([]float64, len(members)), got: make([]int, len(members)), r: rand.New(rand.NewPCG(1, 9)), parts: func() int { return 1 }}
	for i, rate := range rates {
		w.health[i].PerSecond = rate
	}
	return w
}

const turn = 500 * time.Microsecond

// run goes on for d with arrivals a second (negative: the lane is never empty).
func (w *world) run(d time.Duration, arrivals float64) {
	due := 0.0
	for end := w.now.Add(d); w.now.Before(end); w.now = w.now.Add(turn) {
		due += arrivals * turn.Seconds()
		for ; due >= 1; due-- {
			w.lane = append(w.lane, w.now)
		}
		for arrivals < 0 && len(w.lane) < 1000 {
			w.lane = append(w.lane, epoch)
		}
		for i, rate := range w.rate {
			// A burst of 20 ms, as a pace has.
			w.tokens[i] = min(w.tokens[i]+rate*turn.Seconds(), 1+rate/50)
			w.health[i].Able = rate > 0 && w.tokens[i]+rate*0.05 >= 1
		}
		for progress := true; progress; {
			progress = false
			for _, i := range w.r.Perm(len(w.rate)) {
				h := &w.health[i]
				if len(w.lane) == 0 || w.tokens[i] < 1 || !h.Bound || h.Paused {
					continue
				}
				if yes, again := w.g.MayPull(i, w.health, w.lane[0], 0, w.now); yes {
					n := w.parts()
					w.tokens[i] -= float64(n)
					w.got[i] += n
					w.lane = w.lane[1:]
					w.g.Pulled(i, n, w.health)
					progress = true
				} else if w.refuse++; again.IsZero() || !again.After(w.now) || again.Sub(w.now) > patience {
					panic(fmt.Sprintf("refused without a time to ask again: %v", again))
				}
			}
		}
	}
}

func sum(v []int) (n int) {
	for _, x := range v {
		n += x
	}
	return n
}

func TestWeightedSharesHoldWithinFivePercent(t *testing.T) {
	tenth := func(r *rand.Rand) func() int {
		return func() int {
			if r.IntN(4) == 0 {
				return 10
			}
			return 1
		}
	}
	for _, row := range []struct {
		name     string
		weights  []int
		rate     float64 // of each
		arrivals float64 // parts a second, well below what they can take together
		mixed    bool
	}{
		{"equal", []int{1, 1}, 1000, 500, false},
		{"three to one", []int{3, 1}, 1000, 500, false},
		{"five, three, two", []int{5, 3, 2}, 1000, 900, false},
		{"hundred to one", []int{100, 1}, 2000, 900, false},
		{"equal, slow", []int{1, 1, 1}, 20, 15, false},
		{"with messages of ten parts", []int{5, 3, 2}, 2000, 100, true},
		{"sixteen carriers", []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}, 400, 1000, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			var members []Member
			var rates []float64
			total := 0
			for i, weight := range row.weights {
				members = append(members, Member{Carrier: uint32(i + 1), Weight: weight})
				rates = append(rates, row.rate)
				total += weight
			}
			w := newWorld(members, rates)
			if row.mixed {
				w.parts = tenth(w.r)
			}
			w.run(60*time.Second, row.arrivals)
			if float64(sum(w.got)) < 0.99*60*row.arrivals-1000/row.rate {
				t.Errorf("%d parts of %.0f went", sum(w.got), 60*row.arrivals)
			}
			for i, weight := range row.weights {
				want := float64(sum(w.got)) * float64(weight) / float64(total)
				// The slack of 4 parts or 50 ms is what a share may be off in the short run.
				if off := math.Abs(float64(w.got[i]) - want); off > 0.05*want+max(4, row.rate*0.05) {
					t.Errorf("weight %d got %d, want %.0f: %v", weight, w.got[i], want, w.got)
				}
			}
		})
	}
}

// Without time passing between pulls no pace plays a part: what is measured is the brain.
func TestWeightedSharesHoldForCarriersWithoutLimit(t *testing.T) {
	weights := []int{5, 3, 2}
	g := NewGroup([]Member{{1, 0, 5}, {2, 0, 3}, {3, 0, 2}}, GroupOptions{})
	h, got := healthy(3), make([]int, 3)
	r := rand.New(rand.NewPCG(5, 6))
	for n := 0; n < 10_000; {
		i := r.IntN(3)
		if yes, _ := g.MayPull(i, h, epoch, 0, epoch); yes {
			parts := 1 + 9*r.IntN(2)
			g.Pulled(i, parts, h)
			got[i] += parts
			n += parts
		}
	}
	for i, weight := range weights {
		want := float64(sum(got)) * float64(weight) / 10
		if math.Abs(float64(got[i])-want) > 0.05*want {
			t.Errorf("shares %v, want 5:3:2", got)
		}
	}
}

func TestIdleCapacityIsNeverWasted(t *testing.T) {
	for _, row := range []struct {
		name    string
		weights []int
		rates   []float64
	}{
		{"equal weights, one slow", []int{1, 1}, []float64{400, 100}},
		{"the heavy one is the slow one", []int{10, 1}, []float64{50, 1000}},
		{"two slow, one fast", []int{1, 1, 1}, []float64{21, 500, 20}},
		{"nearly equal", []int{1, 1}, []float64{1000, 900}},
		{"fast", []int{1, 1}, []float64{4000, 1000}},
		{"one cannot at all", []int{1, 1}, []float64{400, 0}},
	} {
		t.Run(row.name, func(t *testing.T) {
			var members []Member
			for i, weight := range row.weights {
				members = append(members, Member{Carrier: uint32(i + 1), Weight: weight})
			}
			w := newWorld(members, row.rates)
			w.run(30*time.Second, -1)
			for i, rate := range row.rates {
				if want := rate * 30; float64(w.got[i]) < 0.98*want {
					t.Errorf("carrier %d took %d of the %.0f it could: %v", i, w.got[i], want, w.got)
				}
			}
		})
	}
}

func TestAFastCarrierWithoutLimitDoesNotIdleAtASlowOnesPace(t *testing.T) {
	w := newWorld([]Member{{1, 0, 1}, {2, 0, 1}}, []float64{3000, 100})
	w.health[0].PerSecond = 0 // its limit is its window, the brain does not know it
	w.run(30*time.Second, -1)
	if w.got[0] < 0.95*90_000 || w.got[1] < 0.98*3000 {
		t.Errorf("took %v, could 90000 and 3000", w.got)
	}
}

func TestSharesHoldAgainAfterOneWasTooSlowForItsShare(t *testing.T) {
	w := newWorld([]Member{{1, 0, 1}, {2, 0, 1}}, []float64{1000, 100})
	w.run(20*time.Second, 800)
	if w.got[1] < 1950 {
		t.Errorf("the slow one took %d, could 2000", w.got[1])
	}
	w.rate[1] = 1000
	w.health[1].PerSecond = 1000
	w.run(5*time.Second, 800)
	before := append([]int(nil), w.got...)
	w.run(20*time.Second, 800)
	a, b := w.got[0]-before[0], w.got[1]-before[1]
	if math.Abs(float64(a-b)) > 0.05*float64(a+b) {
		t.Errorf("%d and %d parts after both are fast, want halves", a, b)
	}
}

func TestOneWhoComesBackStartsAtTheLowestCounter(t *testing.T) {
	for _, row := range []struct {
		name string
		off  func(*Health)
	}{
		{"unbound", func(h *Health) { h.Bound, h.DownSince = false, epoch }},
		{"paused", func(h *Health) { h.Paused = true }},
		{"without slot or token", func(h *Health) { h.Able = false }},
	} {
		t.Run(row.name, func(t *testing.T) {
			g := NewGroup([]Member{{1, 0, 1}, {2, 0, 1}, {3, 0, 1}}, GroupOptions{})
			h, got := healthy(3), make([]int, 3)
			pull := func(n int) {
				for i := 0; n > 0; i = (i + 1) % 3 {
					if able(&h[i]) {
						if yes, _ := g.MayPull(i, h, epoch, 0, epoch); yes {
							g.Pulled(i, 1, h)
							got[i]++
							n--
						}
					}
				}
			}
			pull(300)
			row.off(&h[1])
			pull(10_000)
			if got[1] > 105 {
				t.Fatalf("pulled while off: %v", got)
			}
			h[1] = healthy(1)[0]
			before := got[1]
			pull(300)
			if n := got[1] - before; n < 90 || n > 115 {
				t.Errorf("took %d of the 300 after its return, want its third and no more", n)
			}
		})
	}
}

func TestOneWhoComesBackWhileNobodyElseIsAbleStartsLevel(t *testing.T) {
	g := NewGroup([]Member{{1, 0, 1}, {2, 0, 1}}, GroupOptions{})
	h := healthy(2)
	h[1] = Health{DownSince: epoch}
	for range 100_000 {
		g.Pulled(0, 1, h)
	}
	h[0].Able, h[1] = false, Health{Bound: true, Able: true}
	g.MayPull(1, h, epoch, 0, epoch)
	h[0].Able = true
	n := 0
	for ; ; n++ {
		if yes, _ := g.MayPull(1, h, epoch, 0, epoch); !yes {
			break
		}
		if g.Pulled(1, 1, h); n > 100 {
			t.Fatal("makes up for what it missed")
		}
	}
	if yes, _ := g.MayPull(0, h, epoch, 0, epoch); !yes {
		t.Error("the one that worked alone is refused")
	}
}

// Whatever the health and the avoid bits: when somebody bound and not paused is there,
// then somebody may pull, at once or after the time that is told.
func TestALaneIsNeverStuck(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 12))
	for round := range 20_000 {
		n := 1 + r.IntN(5)
		members, h := make([]Member, n), make([]Health, n)
		up := false
		for i := range members {
			members[i] = Member{Carrier: uint32(i), Tier: r.IntN(3), Weight: 1 + r.IntN(5)}
			h[i] = Health{Bound: r.IntN(2) == 0, Paused: r.IntN(4) == 0, Able: r.IntN(3) > 0, PerSecond: float64(r.IntN(2000))}
			if !h[i].Bound && r.IntN(3) > 0 {
				h[i].DownSince = epoch.Add(-time.Duration(r.IntN(8000)) * time.Millisecond)
			}
			up = up || h[i].Bound && !h[i].Paused
		}
		g := NewGroup(members, GroupOptions{})
		for range r.IntN(50) {
			g.Pulled(r.IntN(n), 1+r.IntN(10), h)
		}
		avoid := uint16(r.IntN(1 << n))
		now, stuck := epoch, up
		for range 20 {
			var next time.Time
			for i := range members {
				yes, again := g.MayPull(i, h, epoch, avoid, now)
				if yes && (!h[i].Bound || h[i].Paused) {
					t.Fatalf("round %d: %d may pull and is %+v", round, i, h[i])
				}
				if yes {
					stuck = false
				}
				if !again.IsZero() {
					if yes || !again.After(now) {
						t.Fatalf("round %d: again %v, now %v, yes %v", round, again.Sub(epoch), now.Sub(epoch), yes)
					}
					if next.IsZero() || again.Before(next) {
						next = again
					}
				}
			}
			if !stuck || next.IsZero() {
				break
			}
			now = next
		}
		if stuck {
			t.Fatalf("round %d: nobody ever may: avoid %b members %+v health %+v", round, avoid, members, h)
		}
	}
}

func BenchmarkMayPullAndPulled(b *testing.B) {
	for _, n := range []int{1, 3, 16} {
		b.Run(fmt.Sprintf("%d carriers", n), func(b *testing.B) {
			members := make([]Member, n)
			for i := range members {
				members[i] = Member{Carrier: uint32(i), Weight: 1 + i%3}
			}
			g, h := NewGroup(members, GroupOptions{}), healthy(n)
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if yes, _ := g.MayPull(i%n, h, epoch, 0, epoch); yes {
					g.Pulled(i%n, 1, h)
				}
			}
		})
	}
}
