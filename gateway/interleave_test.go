package gateway

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/queue"
	"masar/queue/pebble"
	"masar/service"
	registry "masar/service/pebble"
	"masar/smpp/pdu"
	"masar/smpp/text"
)

var (
	interleaveSeed = flag.Uint64("interleave.seed", 0, "play the one rig of this seed again")
	interleaveMany = flag.Int("interleave.stories", 0, "how many stories are told; 0: 10,000, fewer with -short or -race")
	interleaveTell = flag.Int("interleave.tell", -1, "print all that happened in this story")
)

// interleavings are how many stories TestNobodyGetsWhatHeMayNotAndNothingIsLost tells, and
// storiesOfARig how many of them share one gateway, two carriers and one clock.
const (
	interleavings = 10_000
	storiesOfARig = 625
)

// TestNobodyGetsWhatHeMayNotAndNothingIsLost plays stories, many at once in each rig: a few
// people enrol, withdraw, change and share numbers, are blocked and reported recycled, while
// messages to them are submitted, scheduled, held, throttled and retried, carriers fail,
// catalogues are reloaded and the gateway restarts. A model that knows nothing of the
// gateway judges each submit, each part that reaches a carrier, and how each message ended.
func TestNobodyGetsWhatHeMayNotAndNothingIsLost(t *testing.T) {
	many := interleavings
	switch {
	case *interleaveMany > 0:
		many = *interleaveMany
	case raceEnabled:
		many = interleavings / 40
	case testing.Short():
		many = interleavings / 20
	}
	seed := rand.Uint64()
	if *interleaveSeed != 0 {
		seed, many = *interleaveSeed, min(many, storiesOfARig)
	}
	for n := 0; many > 0; n++ {
		seed, stories := seed+uint64(n), min(many, storiesOfARig)
		many -= stories
		t.Run(fmt.Sprintf("-interleave.seed=%d", seed), func(t *testing.T) {
			t.Parallel()
			bubble(t, func(t *testing.T) { tell(t, seed, stories) })
		})
	}
}

// chronicle is one rig with its stories.
type chronicle struct {
	t       *testing.T
	rig     *rig
	rng     *rand.Rand
	began   time.Time
	disk    vfs.FS // the registry's
	reg     *registry.Registry
	posts   map[string]*post
	bureaus map[string]*bureau // by account
	stories []*story
	leaves  []*leaflet
	leaf    []version[int] // which of leaves holds
	changed int            // how often carrier b was replaced
	starts  []time.Time
	stops   map[string]float64 // masar_stopped_total by reason, of gateways that have ended
	failed  int

	mu   sync.Mutex
	told map[string][]string // by the id that the account sees: what receipts said
}

// A version holds from a moment on; since is when it may have begun to be seen, from when
// nothing else is.
type version[T any] struct {
	since, from time.Time
	is          T
}

// within are the versions that may be seen at some moment between two, both included.
func within[T any](all []version[T], from, to time.Time) []version[T] {
	first, end := 0, len(all)
	for i := range all {
		if all[i].from.Before(from) {
			first = i
		}
		if all[i].since.After(to) {
			end = i
			break
		}
	}
	return all[first:max(end, first+1)]
}

// A story is a few people, their numbers and the messages to them.
type story struct {
	n       int
	people  []service.Person
	town    town
	towns   []version[town]
	letters []*letter
	log     []string
}

// A letter is one message of a story.
type letter struct {
	draft

	shown    string
	id       queue.ID
	accepted time.Time
	leaves   time.Time
	places   []place
	calls    []call // guarded by chronicle.mu
}

// A draft is what of a letter is chosen before it is submitted.
type draft struct {
	tag      string
	plain    bool // of an account without agency
	notice   bool // not over SMPP
	personal bool
	who, to  int
	svc      int
	source   string
	named    bool // the source is the client's choice
	delay    time.Duration
	validity time.Duration // 0: the service's
	long     bool
}

// A call is one submit_sm of a letter at a carrier.
type call struct {
	at       time.Time
	carrier  string
	dest     string
	source   string
	ref      uint16
	part, of uint8
	status   pdu.Status
	answered time.Time // zero: never
}

func (c *chronicle) since(at time.Time) string { return at.Sub(c.began).String() }

func (s *story) note(c *chronicle, format string, args ...any) {
	s.log = append(s.log, fmt.Sprintf("%-14s ", c.since(time.Now()))+fmt.Sprintf(format, args...))
}

// fail tells what went wrong and, for the first few, all of the story.
func (c *chronicle) fail(s *story, format string, args ...any) {
	c.t.Helper()
	c.failed++
	if c.failed > 3 {
		c.t.Errorf("story %d: %s", s.n, fmt.Sprintf(format, args...))
		return
	}
	for _, l := range s.letters {
		for i, k := range l.calls {
			s.log = append(s.log, fmt.Sprintf("%-14s %s, call %d: %+v", c.since(k.at), l.tag, i, k))
		}
	}
	c.t.Errorf("story %d: %s\n%s", s.n, fmt.Sprintf(format, args...), strings.Join(s.log, "\n"))
}

// tell plays the stories of one seed and judges them.
func tell(t *testing.T, seed uint64, stories int) {
	c := &chronicle{
		t: t, rng: rand.New(rand.NewPCG(seed, 0)), began: time.Now(), disk: vfs.NewMem(),
		posts: map[string]*post{}, bureaus: map[string]*bureau{}, stops: map[string]float64{},
		told: map[string][]string{},
	}
	// Quiet from one to half past two; in one rig of 16 as long as people sleep.
	span, quiet := 4*time.Hour, [2]time.Duration{time.Hour, 5 * time.Hour / 2}
	switch {
	case raceEnabled: // each virtual second has its price
		span, quiet = time.Hour, [2]time.Duration{20 * time.Minute, 40 * time.Minute}
	case seed%16 == 15:
		span, quiet = 20*time.Hour, [2]time.Duration{2 * time.Hour, 11 * time.Hour}
	}
	c.leaves = leaflets(quiet, c.began.Add(span/3))
	for _, l := range c.leaves {
		var err error
		if l.built, err = service.New(l.options()); err != nil {
			t.Fatal(err)
		}
	}
	c.leaf = []version[int]{{c.began, c.began, 0}}
	c.openRegistry()
	t.Cleanup(func() { c.reg.Close() })
	byAddr := map[string]*fakeSMSC{}
	for _, name := range []string{"a", "b"} {
		p := newPost(c, name)
		c.posts[name], byAddr[name+":1"] = p, p.fake
	}
	c.rig = newRig(t, rigOptions{
		Setup:   func(s *Setup) { *s = c.nextSetup() },
		Options: fakes(byAddr, func(o *Options) { o.Registry = c.reg }),
		// With no room beside its memtable the store would read, from what a restart leaves in
		// files, a block anew five times in each virtual second.
		Store: func(o *pebble.Options) { o.CacheBytes = 256 << 20 },
	})
	c.rig.carrierUp("a", "b")
	c.bind()

	for n := range stories {
		c.stories = append(c.stories, newStory(c, n))
	}
	deeds := c.events(span)
	for _, s := range c.stories {
		deeds = append(deeds, s.plan(c, rand.New(rand.NewPCG(seed, uint64(s.n)+1)), span)...)
	}
	slices.SortStableFunc(deeds, func(a, b deed) int { return int(a.at - b.at) })
	for _, d := range deeds {
		if wait := d.at - time.Since(c.began); wait > 0 {
			time.Sleep(wait)
		}
		d.do()
	}

	// All calms down.
	for _, p := range c.posts {
		p.mode(allGood)
		p.refuse(false)
	}
	most := quiet[1] - quiet[0] + 2*time.Hour // a schedule, then quiet hours, then a few tries
	for wait := time.Duration(0); wait == 0 || wait < most && c.waiting() > 0; wait += time.Minute {
		time.Sleep(time.Minute)
	}
	for _, p := range c.posts {
		p.close()
	}
	synctest.Wait()
	c.judge()
}

// openRegistry opens the registry as the disk has it.
func (c *chronicle) openRegistry() {
	r, err := registry.Open(context.Background(), registry.Options{
		Dir: "people", FS: c.disk, Log: slog.New(slog.DiscardHandler), MinFree: -1, CacheBytes: 1 << 20, Cache: 2000,
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.reg = r
}

// nextSetup is the Setup as it stands: a copy, since a gateway keeps what it was given.
func (c *chronicle) nextSetup() Setup {
	retry := RetrySchedule{Delays: []time.Duration{time.Second, 5 * time.Second, 20 * time.Second}, Jitter: .1}
	carrier := func(name string, window int, f func(o *Carrier)) Carrier {
		o := carrierAt(name, name+":1")
		o.Window, o.Retry = window, retry
		if f != nil {
			f(&o)
		}
		return o
	}
	return Setup{
		Accounts: []Account{
			likeAcme("civil", func(a *Account) { a.Agency, a.ValidityMax = "moi", 200*time.Hour }),
			likeAcme("plain", func(a *Account) { a.ValidityDefault, a.ValidityMax = 100*time.Hour, 200*time.Hour }),
		},
		Carriers: []Carrier{
			carrier("a", 20, nil),
			carrier("b", 3, func(o *Carrier) {
				o.Style, o.Throughput, o.Burst = text.UDH16, 50, 10
				o.Identity = fmt.Sprintf("b %d", c.changed)
			}),
		},
		Routes: []Route{
			{Name: "one", Prefixes: []string{"96650"}, Carriers: []RouteCarrier{{Name: "a"}, {Name: "b", Failover: true}}},
			{Name: "two", Prefixes: []string{"96655"}, Carriers: []RouteCarrier{{Name: "b"}, {Name: "a"}}},
			{Name: "three", Prefixes: []string{"96656"}, Carriers: []RouteCarrier{{Name: "b"}}},
		},
		Catalogue:    c.leaves[c.leaf[len(c.leaf)-1].is].built,
		RefusalDelay: time.Millisecond,
	}
}

func (c *chronicle) now() *leaflet { return c.leaves[c.leaf[len(c.leaf)-1].is] }

func (c *chronicle) bind() {
	for _, account := range []string{"civil", "plain"} {
		c.bureaus[account] = openBureau(c, c.rig.bind(pdu.CmdBindTransceiver, account).conn)
	}
}

// waiting counts what waits, or awaits its receipt.
func (c *chronicle) waiting() (n int) {
	c.rig.store.Depths(func(_ queue.Lane, d queue.Depth) { n += int(d.Messages) })
	for _, p := range c.posts {
		n += p.owes()
	}
	return n
}

// A deed is done at its time.
type deed struct {
	at time.Duration
	do func()
}

// events are what happens to all stories of the rig.
func (c *chronicle) events(span time.Duration) (all []deed) {
	at := func(t time.Duration, do func()) { all = append(all, deed{t, do}) }
	for _, name := range []string{"a", "b"} {
		p := c.posts[name]
		for t := time.Duration(0); t < span; {
			t += c.upTo(3 * time.Minute)
			bad := c.upTo(10 * time.Minute)
			if c.rng.IntN(2) == 0 {
				at(t, func() { p.refuse(true) })
				at(t+bad, func() { p.refuse(false) })
			} else {
				m := mood(1 + c.rng.IntN(int(moods)-1))
				at(t, func() { p.mode(m) })
				at(t+bad, func() { p.mode(allGood) })
			}
			t += bad
		}
	}
	// What changes for all is met by messages that are half sent.
	meet := func(t time.Duration) {
		for _, name := range []string{"a", "b"} {
			if p, m := c.posts[name], halfway; c.rng.IntN(3) > 0 {
				if c.rng.IntN(2) == 0 {
					m = throttles
				}
				at(t-c.upTo(3*time.Minute), func() { p.refuse(false); p.mode(m) })
				at(t+c.upTo(3*time.Minute), func() { p.mode(allGood) })
			}
		}
	}
	meet(c.leaves[0].quiet[0])
	meet(span / 3)
	for range 4 + c.rng.IntN(8) {
		leaf, replace := c.rng.IntN(len(c.leaves)), c.rng.IntN(4) == 0
		t := c.upTo(span)
		meet(t)
		at(t, func() { c.reload(leaf, replace) })
		if c.rng.IntN(2) == 0 {
			at(t+c.upTo(20*time.Minute), func() { c.reload(0, false) })
		}
	}
	for range 1 + c.rng.IntN(3) {
		again := c.rng.IntN(2) == 0
		at(c.upTo(span), func() { c.restart(again) })
	}
	return all
}

// upTo is a time of at most d, short ones as likely as long ones.
func (c *chronicle) upTo(d time.Duration) time.Duration { return time.Duration(c.rng.Int64N(int64(d))) }

func (c *chronicle) reload(leaf int, replace bool) {
	if replace {
		c.changed++
		c.posts["b"].cut(time.Now(), time.Now().Add(4*time.Second))
	}
	began := time.Now()
	was := c.leaf
	c.leaf = append(c.leaf, version[int]{since: began, is: leaf})
	if err := c.rig.gw.Reload(context.Background(), c.nextSetup()); err != nil {
		c.t.Fatal(err)
	}
	c.leaf[len(was)].from = time.Now()
	for _, s := range c.stories {
		s.note(c, "reload: catalogue %d, carrier b replaced: %v", leaf, replace)
	}
}

func (c *chronicle) restart(registryToo bool) {
	began := time.Now()
	for _, s := range c.stories {
		s.note(c, "the gateway stops")
	}
	c.rig.stop()
	c.countStops()
	if registryToo {
		if err := c.reg.Close(); err != nil {
			c.t.Fatal(err)
		}
		c.openRegistry()
	}
	for _, p := range c.posts {
		p.cut(began, time.Now())
	}
	c.rig.start()
	c.starts = append(c.starts, time.Now())
	c.bind()
	for _, s := range c.stories {
		s.note(c, "the gateway has started")
	}
}

// countStops adds what the gateway of now has counted.
func (c *chronicle) countStops() {
	for _, r := range stopReasons {
		c.stops[r.String()] += c.rig.metric("masar_stopped_total", "reason="+r.String())
	}
}
