package gateway

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"masar/queue"
)

var defaultShares = [queue.Classes]int{queue.Normal: 10, queue.Bulk: 5}

func anyLane(queue.Lane) bool { return true }

func laneOf(account uint32, class queue.Class, group uint16) queue.Lane {
	return queue.Lane{Target: queue.Target(group, 0), Class: class, Account: account}
}

// sendOne takes one turn: the lane named, and that many parts out of it.
func sendOne(t testing.TB, c *chooser, may func(queue.Lane) bool, parts func(queue.Lane) int) queue.Lane {
	t.Helper()
	l, ok := c.next(may)
	if !ok {
		t.Fatal("nothing to send")
	}
	c.sent(l, parts(l))
	return l
}

func one(queue.Lane) int { return 1 }

func TestUrgentGoesFirst(t *testing.T) {
	c := newChooser([queue.Classes]int{})
	for class := queue.Bulk; class < queue.Classes; class-- { // down to 0, then it wraps
		c.ready(laneOf(1, class, 1), 5)
	}
	for _, want := range []queue.Class{queue.Urgent, queue.Normal, queue.Bulk} {
		for range 200 {
			if l := sendOne(t, c, anyLane, one); l.Class != want {
				t.Fatalf("%v goes while %v waits", l.Class, want)
			}
		}
		c.drained(laneOf(1, want, 1))
	}
	if l, ok := c.next(anyLane); ok {
		t.Errorf("%v named, all are drained", l)
	}
}

// window keeps the classes of the last 100 parts, as a carrier would see them.
type window struct {
	parts []queue.Class
}

func (w *window) add(class queue.Class, n int) {
	for range n {
		w.parts = append(w.parts, class)
	}
	if len(w.parts) > shareWindow {
		w.parts = w.parts[len(w.parts)-shareWindow:]
	}
}

func (w *window) count(class queue.Class) (n int) {
	for _, c := range w.parts {
		if c == class {
			n++
		}
	}
	return n
}

func TestLowerClassesGetTheirShareOfTheLastHundredParts(t *testing.T) {
	for _, row := range []struct {
		name  string
		parts func(r *rand.Rand, class queue.Class) int
		most  int // of the guaranteed, on average: urgent has the rest
		apart bool
	}{
		{"one part each", func(*rand.Rand, queue.Class) int { return 1 }, 18, false},
		{"urgent of ten parts", func(_ *rand.Rand, class queue.Class) int { return []int{10, 1, 1}[class] }, 40, false},
		{"bulk of ten parts", func(_ *rand.Rand, class queue.Class) int { return []int{1, 1, 10}[class] }, 45, false},
		{"one to ten parts", func(r *rand.Rand, _ queue.Class) int { return 1 + r.IntN(10) }, 50, false},
		{"one or ten parts", func(r *rand.Rand, _ queue.Class) int { return 1 + 9*r.IntN(2) }, 50, false},
		{"one or ten parts, told of one by one", func(r *rand.Rand, _ queue.Class) int { return 1 + 9*r.IntN(2) }, 50, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			lower, total := 0, 0
			for seed := range uint64(20) {
				r := rand.New(rand.NewPCG(seed, 2))
				c, w := newChooser(defaultShares), window{}
				for class := range queue.Class(queue.Classes) {
					c.ready(laneOf(1, class, 1), 1)
				}
				for i := range 2000 {
					n := 0
					l := sendOne(t, c, anyLane, func(l queue.Lane) int {
						if n = row.parts(r, l.Class); row.apart {
							for range n - 1 {
								c.sent(l, 1)
							}
							return 1
						}
						return n
					})
					w.add(l.Class, n)
					total += n
					if l.Class != queue.Urgent {
						lower += n
					}
					if i < 200 {
						continue
					}
					if normal, bulk := w.count(queue.Normal), w.count(queue.Bulk); normal < 10 || bulk < 5 {
						t.Fatalf("seed %d message %d: of the last 100 parts %d normal and %d bulk, want 10 and 5", seed, i, normal, bulk)
					}
				}
			}
			if lower*100 > row.most*total {
				t.Errorf("%d of %d parts are not urgent, at most %d%% wanted", lower, total, row.most)
			}
		})
	}
}

func TestAClassThatComesBackIsOwedOnlyForWhatItWaited(t *testing.T) {
	c := newChooser(defaultShares)
	urgent, bulk := laneOf(1, queue.Urgent, 1), laneOf(1, queue.Bulk, 1)
	c.ready(urgent, 1)
	for range 1000 {
		sendOne(t, c, anyLane, one)
	}
	c.ready(bulk, 1)
	got := 0
	for i := 1; i <= 100; i++ {
		if sendOne(t, c, anyLane, one) == bulk {
			got++
		}
		if most := 1 + i/20; got > most {
			t.Fatalf("%d bulk of the first %d parts since it waits", got, i)
		}
	}
	if got < 5 {
		t.Errorf("%d bulk of the first 100 parts since it waits, want 5", got)
	}
}

func TestAShortGapDoesNotCostAClassItsShare(t *testing.T) {
	c, w := newChooser(defaultShares), window{}
	urgent, normal := laneOf(1, queue.Urgent, 1), laneOf(1, queue.Normal, 1)
	c.ready(urgent, 1)
	c.ready(normal, 1)
	for i := range 5000 {
		l := sendOne(t, c, anyLane, one)
		w.add(l.Class, 1)
		if l == normal { // its read-ahead is empty until one more part went
			c.drained(normal)
		} else {
			c.ready(normal, 1)
		}
		if i > 300 && w.count(queue.Normal) < 8 {
			t.Fatalf("part %d: %d normal of the last 100", i, w.count(queue.Normal))
		}
	}
}

func TestAClassThatMayNotGoLeavesItsShareToTheOthers(t *testing.T) {
	c := newChooser(defaultShares)
	for class := range queue.Class(queue.Classes) {
		c.ready(laneOf(1, class, uint16(class)), 1)
	}
	noBulk := func(l queue.Lane) bool { return l.Class != queue.Bulk }
	counts := [queue.Classes]int{}
	for range 1000 {
		counts[sendOne(t, c, noBulk, one).Class]++
	}
	if counts[queue.Bulk] != 0 || counts[queue.Normal] < 100 || counts[queue.Urgent] < 850 {
		t.Errorf("%v", counts)
	}
	if _, ok := c.next(func(queue.Lane) bool { return false }); ok {
		t.Error("a lane that may not was named")
	}
}

func TestAccountsShareByWeightWithinFivePercent(t *testing.T) {
	for _, row := range []struct {
		name    string
		weights []int
		parts   func(r *rand.Rand, account uint32) int
	}{
		{"equal", []int{1, 1, 1}, func(*rand.Rand, uint32) int { return 1 }},
		{"one part against ten", []int{1, 1}, func(_ *rand.Rand, a uint32) int { return []int{1, 10}[a] }},
		{"ten parts and three times the weight", []int{1, 3}, func(_ *rand.Rand, a uint32) int { return []int{1, 10}[a] }},
		{"one part and three times the weight", []int{3, 1}, func(_ *rand.Rand, a uint32) int { return []int{1, 10}[a] }},
		{"1 to 100", []int{1, 10, 100}, func(*rand.Rand, uint32) int { return 1 }},
		{"mixed", []int{2, 3, 5, 7}, func(r *rand.Rand, _ uint32) int { return 1 + r.IntN(10) }},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := rand.New(rand.NewPCG(3, 4))
			c := newChooser(defaultShares)
			sum := 0
			for a, weight := range row.weights {
				if a%2 == 0 {
					c.weight(uint32(a), weight)
				}
				for group := range uint16(1 + a) { // more lanes are no more share
					c.ready(laneOf(uint32(a), queue.Normal, group), queue.Time(group))
				}
				c.weight(uint32(a), weight)
				sum += weight
			}
			got, total := make([]int, len(row.weights)), 0
			for total < 50_000 {
				n := 0
				l := sendOne(t, c, anyLane, func(l queue.Lane) int { n = row.parts(r, l.Account); return n })
				got[l.Account] += n
				total += n
			}
			for a, weight := range row.weights {
				want := float64(total) * float64(weight) / float64(sum)
				if math.Abs(float64(got[a])-want) > 0.05*want {
					t.Errorf("weight %d sent %d parts, want %.0f: %v", weight, got[a], want, got)
				}
			}
		})
	}
}

func TestOneWhoWasIdleStartsAtTheMinimum(t *testing.T) {
	c := newChooser(defaultShares)
	for a := range uint32(3) {
		c.ready(laneOf(a, queue.Normal, 1), 1)
	}
	for range 30 {
		sendOne(t, c, anyLane, one)
	}
	c.drained(laneOf(2, queue.Normal, 1))
	for range 10_000 {
		sendOne(t, c, anyLane, one)
	}
	c.ready(laneOf(2, queue.Normal, 1), 1)
	c.ready(laneOf(3, queue.Normal, 1), 1) // never seen before
	got := map[uint32]int{}
	for range 400 {
		got[sendOne(t, c, anyLane, one).Account]++
	}
	for a := range uint32(4) {
		if got[a] < 95 || got[a] > 105 {
			t.Errorf("account %d sent %d of 400, want a quarter: %v", a, got[a], got)
		}
	}
}

func TestGoingIdleForAMomentGainsNothing(t *testing.T) {
	c := newChooser(defaultShares)
	steady, clever := laneOf(1, queue.Normal, 1), laneOf(2, queue.Normal, 1)
	c.ready(steady, 1)
	c.ready(clever, 1)
	got := 0
	for range 1000 {
		if sendOne(t, c, anyLane, func(queue.Lane) int { return 3 }) == clever {
			got++
			c.drained(clever)
			c.ready(clever, 1)
		}
	}
	if got > 505 {
		t.Errorf("%d of 1000 messages by being idle after each", got)
	}
}

func TestLanesOfAnAccountGoByTheAgeOfTheirHeads(t *testing.T) {
	c := newChooser(defaultShares)
	heads := map[queue.Lane]queue.Time{}
	r := rand.New(rand.NewPCG(5, 6))
	for group := range uint16(6) {
		l := laneOf(1, queue.Normal, group)
		heads[l] = queue.Time(10 + r.IntN(1000))
		c.ready(l, heads[l])
	}
	for range 2000 {
		l := sendOne(t, c, anyLane, one)
		for other, oldest := range heads {
			if oldest < heads[l] {
				t.Fatalf("lane %v of %d before %v of %d", l, heads[l], other, oldest)
			}
		}
		heads[l] += queue.Time(1 + r.IntN(500))
		c.ready(l, heads[l])
		if c.oldest(l) != heads[l] {
			t.Fatalf("oldest is %d, want %d", c.oldest(l), heads[l])
		}
	}
}

func TestLanesOfEqualAgeGoInTurn(t *testing.T) {
	c := newChooser(defaultShares)
	for group := range uint16(4) {
		c.ready(laneOf(1, queue.Normal, group), 7)
	}
	got := map[uint16]int{}
	for range 400 {
		got[sendOne(t, c, anyLane, one).Group()]++
	}
	for group := range uint16(4) {
		if got[group] != 100 {
			t.Errorf("%v, want 100 each", got)
		}
	}
}

func TestALaneThatMayNotGoHoldsUpNobody(t *testing.T) {
	c := newChooser(defaultShares)
	for a := range uint32(50) {
		for group := range uint16(3) {
			c.ready(laneOf(a, queue.Bulk, group), queue.Time(group))
		}
	}
	want := laneOf(37, queue.Bulk, 2)
	asked := map[queue.Lane]int{}
	l, ok := c.next(func(l queue.Lane) bool { asked[l]++; return l == want })
	if !ok || l != want {
		t.Fatalf("named %v (%v), want %v", l, ok, want)
	}
	if _, ok = c.next(func(l queue.Lane) bool { asked[l]++; return false }); ok || len(asked) != 150 {
		t.Errorf("asked for %d lanes of 150", len(asked))
	}
	for l, n := range asked {
		if n > 2 {
			t.Errorf("asked %d times in two turns for %v", n, l)
		}
	}
}

func TestReadyAndDrainedAreIdempotent(t *testing.T) {
	c := newChooser(defaultShares)
	l := laneOf(1, queue.Normal, 1)
	c.drained(l)
	c.sent(l, 5)
	for range 3 {
		c.ready(l, 4)
	}
	c.drained(l)
	if got, ok := c.next(anyLane); ok {
		t.Errorf("%v named after it was drained", got)
	}
	c.drained(l)
	c.sent(l, 1) // its last message, sent after the lane was seen empty
	bad := queue.Lane{Class: queue.Classes, Account: 1}
	c.ready(bad, 1)
	c.sent(bad, 1)
	c.drained(bad)
	if _, ok := c.next(anyLane); ok {
		t.Error("a lane of no class was named")
	}
}

// Whatever is said in whatever order, next names a lane that has something and may, if
// and only if there is one.
func TestNextAgreesWithWhatIsReady(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 8))
		c := newChooser([queue.Classes]int{r.IntN(20), r.IntN(20), r.IntN(20)})
		has := map[queue.Lane]queue.Time{}
		for step := range 1000 {
			l := laneOf(uint32(r.IntN(6)), queue.Class(r.IntN(queue.Classes)), uint16(r.IntN(3)))
			switch r.IntN(6) {
			case 0, 1:
				has[l] = queue.Time(1 + r.IntN(50))
				c.ready(l, has[l])
			case 2:
				delete(has, l)
				c.drained(l)
			case 3:
				c.weight(l.Account, r.IntN(120))
			case 4:
				c.sent(l, r.IntN(12)) // also for lanes that have nothing any more
			default:
				mask := r.IntN(8)
				may := func(l queue.Lane) bool { return mask>>l.Group()&1 == 1 }
				there := false
				for l := range has {
					there = there || may(l)
				}
				got, ok := c.next(may)
				if ok != there || ok && (has[got] == 0 || !may(got)) {
					t.Fatalf("seed %d step %d: named %v (%v) while ready is %v", seed, step, got, ok, has)
				}
				if ok {
					c.sent(got, 1+r.IntN(10))
				}
			}
			for l, oldest := range has {
				if c.oldest(l) != oldest {
					t.Fatalf("seed %d step %d: oldest of %v is %d, want %d", seed, step, l, c.oldest(l), oldest)
				}
			}
			total := 0
			for _, n := range c.count {
				total += n
			}
			if total != shareWindow {
				t.Fatalf("seed %d step %d: the ring counts %v", seed, step, c.count)
			}
		}
	}
}

// hundredLanes: 25 accounts, 4 lanes each, two of them in other classes.
func hundredLanes(accounts, groups int) (*chooser, int) {
	c, n := newChooser(defaultShares), 0
	for a := range uint32(accounts) {
		for g := range uint16(groups) {
			c.ready(laneOf(a, queue.Class(g%queue.Classes), g), queue.Time(100+g))
			n++
		}
		c.weight(a, 1+int(a%7))
	}
	return c, n
}

func TestChoosingDoesNotAllocate(t *testing.T) {
	c, _ := hundredLanes(25, 4)
	head := queue.Time(1000)
	may := anyLane
	if n := testing.AllocsPerRun(10_000, func() {
		l, _ := c.next(may)
		c.sent(l, 1+int(head%3))
		head++
		c.ready(l, head)
	}); n != 0 {
		t.Errorf("%g allocations a turn", n)
	}
}

func BenchmarkChoose(b *testing.B) {
	for _, row := range []struct{ accounts, groups int }{{25, 4}, {100, 1}, {1000, 3}} {
		for _, parts := range []int{1, 10} {
			c, n := hundredLanes(row.accounts, row.groups)
			may := anyLane
			turn := func() queue.Lane {
				l, _ := c.next(may)
				c.sent(l, parts)
				return l
			}
			for range 10_000 {
				turn()
			}
			b.Run(fmt.Sprintf("next, %d lanes, %d parts", n, parts), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					c.next(may)
				}
			})
			b.Run(fmt.Sprintf("turn, %d lanes, %d parts", n, parts), func(b *testing.B) {
				b.ReportAllocs()
				head := queue.Time(1000)
				for b.Loop() {
					l := turn()
					head++
					c.ready(l, head)
				}
			})
		}
	}
	c, n := hundredLanes(25, 4)
	b.Run(fmt.Sprintf("none of %d may", n), func(b *testing.B) {
		b.ReportAllocs()
		no := func(queue.Lane) bool { return false }
		for b.Loop() {
			c.next(no)
		}
	})
}
