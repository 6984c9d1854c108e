package pebble

import (
	"context"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"masar/number"
	"masar/service"
)

// What a reader read before a change must not land in the cache after it.
func TestARowReadBeforeAChangeIsNotCachedAfterIt(t *testing.T) {
	c, err := newCache(cacheShards * hotShare * 4)
	if err != nil {
		t.Fatal(err)
	}
	const n = 966500000001
	sh := c.shard(n)
	old, row := &service.Standing{}, []byte("old")
	_, _, _, epoch := sh.get(n)
	sh.replace(n, func() []byte { t.Error("a number nobody has asked for is taken in"); return nil })
	sh.put(n, old, &row, epoch)
	if _, _, where, _ := sh.get(n); where != notCached {
		t.Error("an older row was cached")
	}
	_, _, _, epoch = sh.get(n)
	sh.put(n, old, &row, epoch)
	if st, _, where, _ := sh.get(n); where != asStanding || st != old {
		t.Error("a row was not cached")
	}
	// The same for a standing made of a cached row while it is replaced.
	sh.hot.Remove(n)
	_, _, where, epoch := sh.get(n)
	if where != asRow {
		t.Fatalf("found %d", where)
	}
	sh.replace(n, func() []byte { return []byte("new") })
	sh.put(n, old, nil, epoch)
	if _, b, where, _ := sh.get(n); where != asRow || string(b) != "new" {
		t.Errorf("%q, found %d", b, where)
	}
}

func TestTheCacheIsBounded(t *testing.T) {
	o := small(vfs.NewMem())
	o.Cache = 1280
	r := start(t, o)
	for n := range number.E164(20_000) {
		if _, err := r.Lookup(t.Context(), n); err != nil {
			t.Fatal(err)
		}
	}
	rows, hot := 0, 0
	for i := range r.cache.shards {
		rows += r.cache.shards[i].rows.Len()
		hot += r.cache.shards[i].hot.Len()
	}
	if rows > o.Cache || hot > o.Cache/10 || rows < o.Cache/2 {
		t.Errorf("%d rows and %d standings for a cache of %d", rows, hot, o.Cache)
	}
}

func TestALookupFromMemoryAllocatesNothing(t *testing.T) {
	r := start(t, small(vfs.NewMem()))
	apply(t, r, enrol(1))
	ctx := context.Background()
	for _, row := range []struct {
		name string
		n    number.E164
	}{{"a subscriber", enrol(1).Number}, {"nobody", 5}} {
		r.Lookup(ctx, row.n)
		if n := testing.AllocsPerRun(100, func() { r.Lookup(ctx, row.n); r.Version(row.n) }); n != 0 {
			t.Errorf("%s: %v allocations", row.name, n)
		}
	}
}

func TestMetricsTellWhatHappens(t *testing.T) {
	o := small(vfs.NewMem())
	reg := prometheus.NewRegistry()
	o.Registerer = reg
	r := start(t, o)
	apply(t, r, enrol(1), enrol(1), service.Change{Kind: service.SetLanguage, Person: service.Person{9}, Language: "ar", Now: testEpoch})
	for _, n := range []number.E164{enrol(1).Number, enrol(1).Number, 5, 5} {
		r.Lookup(t.Context(), n)
	}
	list, err := reg.Gather()
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	for _, family := range list {
		for _, m := range family.GetMetric() {
			name := family.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetValue()
			}
			got[name] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	for name, want := range map[string]float64{
		"masar_registry_lookups_total memory":            2,
		"masar_registry_lookups_total disk":              1,
		"masar_registry_lookups_total none":              1,
		"masar_registry_changes_total changed enrol":     1,
		"masar_registry_changes_total nothing_new enrol": 1,
		"masar_registry_changes_total refused language":  1,
		"masar_registry_subscribers":                     1,
		"masar_registry_suspended":                       0,
		"masar_registry_blocked":                         0,
		"masar_registry_full":                            0,
	} {
		if n, ok := got[name]; !ok || n != want {
			t.Errorf("%s: %v %v, want %v", name, n, ok, want)
		}
	}
	r.Close()
	if list, err := reg.Gather(); err != nil || len(list) != 0 {
		t.Errorf("%d metrics stay after Close: %v", len(list), err)
	}
}

func TestASieveNeverDeniesWhatIsInIt(t *testing.T) {
	var s sieve
	s.grow(1000)
	rng := rand.New(rand.NewPCG(1, 2))
	const n = 3 << 20 // several layers
	draw := func(rng *rand.Rand) uint64 { return numberHash(966500000000 + number.E164(rng.IntN(1<<40))) }
	for range n {
		s.add(draw(rng))
	}
	rng = rand.New(rand.NewPCG(1, 2))
	for range n {
		if !s.has(draw(rng)) {
			t.Fatal("what was added is denied")
		}
	}
	wrong := 0
	for range 100_000 {
		if s.has(draw(rng)) {
			wrong++
		}
	}
	if wrong > 15_000 || len(s.layers) < 3 {
		t.Errorf("%d of 100,000 that are not there are taken for there, with %d layers", wrong, len(s.layers))
	}
}

// A bulk load into a folder with people finds all of them, while the filter is read, with
// it, and after it has gone.
func TestABulkLoadFindsWhoIsThere(t *testing.T) {
	fs := vfs.NewMem()
	r := start(t, small(fs))
	const n = 3000
	load := func(from, to int, want service.Effect) {
		t.Helper()
		var list []service.Change
		for i := from; i < to; i++ {
			list = append(list, enrol(i))
		}
		for i, o := range apply(t, r, list...) {
			if o.Effect != want {
				t.Fatalf("%d: %+v %v, want %d", from+i, o, o.Err, want)
			}
		}
	}
	onWriter := func(f func(*writer)) {
		t.Helper()
		if err := r.hand(t.Context(), &request{done: make(chan struct{}), run: f}); err != nil {
			t.Fatal(err)
		}
	}
	ready := func() {
		t.Helper()
		for ok := false; !ok; {
			onWriter(func(w *writer) {
				w.look(0)
				ok = w.rows.filter.on && w.rows.filter.coming == nil
			})
			time.Sleep(time.Millisecond)
		}
	}
	load(0, n, service.Changed)
	r.Close()
	r = start(t, small(fs))
	load(0, 300, service.NothingNew) // begins the filter
	load(n, 2*n, service.Changed)    // written while it may be being read
	load(0, 2*n, service.NothingNew)
	ready()
	load(0, 2*n, service.NothingNew)
	load(2*n, 3*n, service.Changed)
	load(0, 3*n, service.NothingNew)
	onWriter(func(w *writer) {
		if !w.rows.filter.absent(numberHash(1)) || w.rows.filter.absent(numberHash(enrol(1).Number)) || w.rows.filter.absent(personHash(enrol(2*n).Person)) {
			t.Error("the filter says wrong")
		}
		w.forgetFilter(time.Now().Add(filterIdle / 2))
		if !w.rows.filter.on {
			t.Error("the filter went too early")
		}
		w.forgetFilter(time.Now().Add(2 * filterIdle))
		if w.rows.filter.on {
			t.Error("the filter stays")
		}
	})
	load(0, 100, service.NothingNew)
	load(0, 3*n, service.NothingNew)
	ready()
	load(0, 3*n, service.NothingNew)
	st, err := r.Stats(t.Context())
	if err != nil || st.Subscribers != 3*n {
		t.Errorf("%+v %v", st, err)
	}
}
