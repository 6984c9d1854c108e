package route

import (
	"fmt"
	"sync/atomic"
	"time"

	lru "github.com/hashicorp/golang-lru/v2"
)

// OverrideOptions guard a load.
type OverrideOptions struct {
	MaxShrink float64           // fraction of the rows that may be gone; default 0.05; 1: any; negative: none
	Known     func(string) bool // whether a route of that name exists; nil: any name will do
	Cache     int               // numbers in the LRU; default 16,384, negative: none
}

// Overrides are the ported numbers: an exact number goes to a named route, whatever its
// prefix says. They never change once loaded and any number of goroutines may ask them.
//
// A row is one uint64: the number, then routeBits of its route's index. Five million
// rows are 40 MB; the levels above them are small enough to stay in the processor's
// cache, so that a lookup waits for memory once. A plain binary search of the rows waits
// five times.
type Overrides struct {
	rows     []uint64   // sorted, one a number
	greatest uint64     // the last row
	levels   [][]uint64 // 0: every rowBlock-th row; n+1: every fanout-th of n, up to one block
	routes   []string
	cache    *lru.Cache[uint64, int32] // number -> index in routes, or notPorted

	// seen has numbers asked for lately, each in the one place it may stand. Only a number
	// asked for a second time enters the cache: putting one in costs 300 ns, as much as
	// finding it, and most numbers get one message a day.
	seen []atomic.Uint64
	mod  time.Time
}

const (
	rowBlock     = 256
	fanout       = 32
	notPorted    = int32(-1)
	defaultCache = 16 << 10
)

// ShrinkError refuses a set of files that has lost too many rows.
type ShrinkError struct {
	File    string
	Was, Is int     // rows
	Max     float64 // fraction allowed
}

func (e *ShrinkError) Error() string {
	return fmt.Sprintf("%s: %d rows where there were %d: %.1f%% fewer, at most %.1f%% allowed; the old ones stay",
		e.File, e.Is, e.Was, 100*float64(e.Was-e.Is)/float64(e.Was), 100*e.Max)
}

// LoadOverrides reads a full file and the deltas in their order; scan has their form. It
// refuses all of it for one line that does not parse (*ParseError, file and line), for a
// number that the full file gives to two routes, and for fewer rows than prev had, less
// MaxShrink (*ShrinkError). prev may be nil and is not changed: who called keeps it.
func LoadOverrides(path string, deltas []string, prev *Overrides, o OverrideOptions) (*Overrides, error) {
	if o.MaxShrink == 0 {
		o.MaxShrink = 0.05
	}
	o.MaxShrink = max(o.MaxShrink, 0)
	l := loader{known: o.Known, numbers: map[string]uint64{}}
	if err := l.full(path); err != nil {
		return nil, err
	}
	var changes []change
	for _, d := range deltas {
		var err error
		if changes, err = l.delta(d, changes); err != nil {
			return nil, err
		}
	}
	rows := apply(l.rows, changes)
	if was := prev.Len(); float64(len(rows)) < float64(was)*(1-o.MaxShrink) {
		return nil, &ShrinkError{File: path, Was: was, Is: len(rows), Max: o.MaxShrink}
	}
	ov := &Overrides{rows: rows, routes: l.routes, mod: l.mod}
	for level := everyNth(rows, rowBlock); ; level = everyNth(level, fanout) {
		ov.levels = append(ov.levels, level)
		if len(level) <= fanout {
			break
		}
	}
	if len(rows) > 0 {
		ov.greatest = rows[len(rows)-1]
	}
	if o.Cache == 0 {
		o.Cache = defaultCache
	}
	if o.Cache > 0 && len(rows) > 0 {
		var err error
		if ov.cache, err = lru.New[uint64, int32](o.Cache); err != nil {
			return nil, err
		}
		ov.seen = make([]atomic.Uint64, 2*o.Cache)
	}
	return ov, nil
}

func everyNth(rows []uint64, n int) []uint64 {
	out := make([]uint64, 0, (len(rows)+n-1)/n)
	for i := 0; i < len(rows); i += n {
		out = append(out, rows[i])
	}
	return out
}

// Lookup returns the route of a ported number, E.164 digits without plus. A nil
// Overrides has none.
func (o *Overrides) Lookup(number string) (route string, ok bool) {
	if o.Len() == 0 || len(number) == 0 || len(number) > maxE164 || number[0] == '0' {
		return "", false
	}
	var n uint64
	for i := range len(number) {
		d := number[i] - '0'
		if d > 9 {
			return "", false
		}
		n = n*10 + uint64(d)
	}
	i, cached := notPorted, false
	if o.cache != nil {
		i, cached = o.cache.Get(n)
	}
	if !cached {
		i = o.find(n)
		if o.cache != nil && o.again(n) {
			o.cache.Add(n, i)
		}
	}
	if i == notPorted {
		return "", false
	}
	return o.routes[i], true
}

// again is whether the number was asked for lately; it takes note of it.
func (o *Overrides) again(n uint64) bool {
	// The multiplier is 2^64 over the golden ratio: neighbours land far apart.
	place := &o.seen[(n*0x9e3779b97f4a7c15>>32)%uint64(len(o.seen))]
	if place.Load() == n {
		return true
	}
	place.Store(n)
	return false
}

// find goes down the levels to the block of rows that may have the number.
func (o *Overrides) find(n uint64) int32 {
	last := n<<routeBits | (maxRoutes - 1) // the number's greatest row
	at := 0
	for l := len(o.levels) - 1; l >= 0; l-- {
		level := o.levels[l]
		block := level[at*fanout : min(at*fanout+fanout, len(level))]
		low := 0
		for size := len(block); size > 1; { // halving without a branch that could be guessed wrong
			half := size >> 1
			next := low + half
			if block[next] <= last {
				low = next
			}
			size -= half
		}
		at = at*fanout + low // of what comes before all, the first: it is not found below
	}
	// What the block begins with, and what the next one does, is in the level above:
	// reading it in the rows would wait for memory twice more.
	first, next, block := o.levels[0][at], o.greatest, o.rows[at*rowBlock:]
	if at+1 < len(o.levels[0]) {
		next, block = o.levels[0][at+1], block[:rowBlock]
	}
	if row := block[near(block, first, next, last)]; row>>routeBits == n {
		return int32(row & (maxRoutes - 1))
	}
	return notPorted
}

// near is the index of the last row of a block that is not past last, 0 when all are. It
// looks first where the row would be if numbers were spread evenly between the block's
// first row and the next block's, as those of one operator are, and widens from there:
// one or two cache lines, and never more than 16 steps.
func near(block []uint64, first, next, last uint64) int {
	if last < first || len(block) == 1 {
		return 0
	}
	guess := len(block) - 1
	if last < next {
		guess = min(int(float64(last-first)/float64(next-first)*float64(len(block))), guess)
	}
	// Invariant: block[low] <= last, and high is past it.
	low, high := 0, len(block)
	if block[guess] <= last {
		low = guess
		for step := 1; low+step < high; step *= 2 {
			if block[low+step] > last {
				high = low + step
				break
			}
			low += step
		}
	} else {
		high = guess
		for step := 1; high-step > low; step *= 2 {
			if block[high-step] <= last {
				low = high - step
				break
			}
			high -= step
		}
	}
	for high-low > 1 {
		if mid := int(uint(low+high) >> 1); block[mid] <= last {
			low = mid
		} else {
			high = mid
		}
	}
	return low
}

// Len is how many numbers there are.
func (o *Overrides) Len() int {
	if o == nil {
		return 0
	}
	return len(o.rows)
}

// Routes are the names the files use, in order of their appearance.
func (o *Overrides) Routes() []string {
	if o == nil {
		return nil
	}
	return o.routes
}

// ModTime is when the newest of the files was changed.
func (o *Overrides) ModTime() time.Time {
	if o == nil {
		return time.Time{}
	}
	return o.mod
}

// Age is how long ago that was; zero when nothing is loaded.
func (o *Overrides) Age(now time.Time) time.Duration {
	if o == nil || o.mod.IsZero() {
		return 0
	}
	return now.Sub(o.mod)
}
