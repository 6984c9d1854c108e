package pebble

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/number"
	"masar/service"
)

// Bars of the registry. From subscribersMost on they are asserted, beneath it only printed.
const (
	subscribersMost     = 30_000_000
	subscribersRate     = 100_000 // rows a second, a row being a person with 5 services
	subscribersLookup   = time.Millisecond
	subscribersResident = 600 << 20
	subscribersReady    = 5 * time.Second

	subscribersBatch = 4000
	subscribersEach  = 5
	subscribersAsked = 300_000 // lookups of each sort, at most
)

var subscribersKey = service.Key{1, 2, 3}

// subscriberNumber gives each i below 100,000,000 a number of its own, neighbours far apart:
// files do not come sorted.
func subscriberNumber(i int) number.E164 {
	return 966500000000 + number.E164(uint64(i)*61803399%100_000_000)
}

func subscriberPerson(i int) service.Person {
	return subscribersKey.Person(strconv.Itoa(1_000_000_000 + i))
}

func subscriberServices(i int) []string {
	list := make([]string, subscribersEach)
	for j := range list {
		list[j] = "SV" + strconv.Itoa((i+j*17)%113)
	}
	return list
}

var subscribersSince = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// importSubscribers is the first process: n generated rows through Apply, two batches on
// their way at a time, as a bulk file comes.
func importSubscribers(t *testing.T, dir string, n int) {
	r, err := Open(t.Context(), Options{Dir: dir, Log: discard})
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	var next atomic.Int64
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			changes := make([]service.Change, 0, subscribersBatch)
			for {
				from := int(next.Add(subscribersBatch)) - subscribersBatch
				if from >= n {
					return
				}
				changes = changes[:0]
				for i := from; i < min(n, from+subscribersBatch); i++ {
					changes = append(changes, service.Change{
						Kind: service.Enrol, Person: subscriberPerson(i), Number: subscriberNumber(i), Services: subscriberServices(i),
						Language: []string{"ar", "ar", "ar", "en", "ur"}[i%5], Verified: true, Channel: "bank-a", By: "clerk",
						At: subscribersSince.Add(time.Duration(i%100_000) * time.Minute), Now: began,
					})
				}
				out, err := r.Apply(t.Context(), service.Batch{Changes: changes, Bookmark: &service.Bookmark{Job: "file", Line: int64(from), At: began}})
				if err != nil {
					t.Error(err)
					return
				}
				for i := range out {
					if out[i].Effect != service.Changed || len(out[i].Moved) != subscribersEach {
						t.Errorf("row %d: %+v", from+i, out[i])
						return
					}
				}
			}
		})
	}
	wg.Wait()
	took := time.Since(began)
	st, err := r.Stats(t.Context())
	if err != nil || st.Subscribers != int64(n) {
		t.Errorf("%d subscribers: %v", st.Subscribers, err)
	}
	if os.Getenv("SUBSCRIBERS_METRICS") != "" {
		fmt.Println(r.db.Metrics())
	}
	if err := r.Close(); err != nil {
		t.Fatal(err)
	}
	resident, disk := vmHWM(t), folderSize(t, dir)
	fmt.Printf("import: %d rows in %.1f s: %.0f rows/s, %.1f µs of CPU a row; closed after %.1f s; %d MiB on disk, %.0f octets a row; %d MiB resident at most\n",
		n, took.Seconds(), float64(n)/took.Seconds(), cpuTime(t).Seconds()*1e6/float64(n), time.Since(began).Seconds(), disk>>20, float64(disk)/float64(n), resident>>20)
	if n >= subscribersMost {
		if rate := float64(n) / took.Seconds(); rate < subscribersRate {
			t.Errorf("%.0f rows/s, at least %d", rate, subscribersRate)
		}
		if resident > subscribersResident {
			t.Errorf("%d MiB resident, at most %d", resident>>20, subscribersResident>>20)
		}
	}
}

// askSubscribers is the second process: it opens what the first left and asks at random.
func askSubscribers(t *testing.T, dir string, n int) {
	began := time.Now()
	r, err := Open(t.Context(), Options{Dir: dir, Log: discard})
	if err != nil {
		t.Fatal(err)
	}
	ready := time.Since(began)
	rng := rand.New(rand.NewPCG(1, 2))
	ask := func(what string, number func() number.E164, wants bool) {
		took := make([]time.Duration, min(n, subscribersAsked))
		for i := range took {
			num := number()
			at := time.Now()
			st, err := r.Lookup(t.Context(), num)
			took[i] = time.Since(at)
			if err != nil || (st != nil) != wants || wants && len(st.People[0].Enrolments) != subscribersEach {
				t.Fatalf("%d: %+v %v", num, st, err)
			}
		}
		slices.Sort(took)
		p99 := took[len(took)*99/100]
		fmt.Printf("lookup, %s: p50 %v, p99 %v, p99.9 %v, max %v\n", what, took[len(took)/2], p99, took[len(took)*999/1000], took[len(took)-1])
		if n >= subscribersMost && p99 > subscribersLookup {
			t.Errorf("p99 is %v, at most %v", p99, subscribersLookup)
		}
	}
	ask("random subscribers", func() number.E164 { return subscriberNumber(rng.IntN(n)) }, true)
	ask("numbers that nobody has", func() number.E164 { return subscriberNumber(n + rng.IntN(100_000_000-n)) }, false)
	few := min(n, 1000)
	for i := range few {
		r.Lookup(t.Context(), subscriberNumber(i))
	}
	ask("1000 subscribers again and again", func() number.E164 { return subscriberNumber(rng.IntN(few)) }, true)
	resident := vmHWM(t)
	fmt.Printf("open after %v; %d MiB resident at most; cached are %d numbers, %d MiB of the engine's blocks, and what the system keeps of the files\n",
		ready.Round(time.Millisecond), resident>>20, r.o.Cache, r.o.CacheBytes>>20)
	if n >= subscribersMost {
		if resident > subscribersResident {
			t.Errorf("%d MiB resident, at most %d", resident>>20, subscribersResident>>20)
		}
		if ready > subscribersReady {
			t.Errorf("open took %v, at most %v", ready, subscribersReady)
		}
	}
	if err := r.Close(); err != nil {
		t.Error(err)
	}
}

// SUBSCRIBERS says how many; make subscribers takes 30,000,000 and holds the registry to
// its bars. A smaller number proves that the measurement works.
func TestMillionsOfSubscribersAreImportedAndFoundInBoundedMemory(t *testing.T) {
	n := 20_000
	if v, err := strconv.Atoi(os.Getenv("SUBSCRIBERS")); err == nil {
		n = v
	}
	switch dir := os.Getenv("SUBSCRIBERS_DIR"); os.Getenv("SUBSCRIBERS_DO") {
	case "import":
		importSubscribers(t, dir, n)
		return
	case "ask":
		askSubscribers(t, dir, n)
		return
	}
	if testing.Short() {
		t.Skip("starts processes")
	}
	dir := t.TempDir()
	for _, do := range []string{"import", "ask"} {
		child := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.timeout", "2h")
		child.Env = append(os.Environ(), "SUBSCRIBERS_DO="+do, "SUBSCRIBERS_DIR="+dir, "SUBSCRIBERS="+strconv.Itoa(n))
		out, err := child.CombinedOutput()
		for line := range strings.Lines(string(out)) {
			if line = strings.TrimSpace(line); line != "" && line != "PASS" {
				t.Log(line)
			}
		}
		if err != nil {
			t.Fatalf("%s: %v", do, err)
		}
	}
}

var discard = slog.New(slog.NewTextHandler(io.Discard, nil))

// vmHWM is the most the process has had in memory.
func vmHWM(t *testing.T) int64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("no /proc")
	}
	_, b, _ = bytes.Cut(b, []byte("VmHWM:"))
	line, _, _ := strings.Cut(string(b), "kB")
	kib, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}

// cpuTime is what the process has used of all cores.
func cpuTime(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func folderSize(t *testing.T, dir string) (size int64) {
	list, err := vfs.Default.List(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range list {
		if st, err := vfs.Default.Stat(vfs.Default.PathJoin(dir, name)); err == nil {
			size += st.Size()
		}
	}
	return size
}
