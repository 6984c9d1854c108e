package route

import (
	"bufio"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"
)

func write(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

func load(t testing.TB, full string, deltas ...string) *Overrides {
	t.Helper()
	var paths []string
	for i, d := range deltas {
		paths = append(paths, write(t, fmt.Sprintf("delta%d.csv", i), d))
	}
	o, err := LoadOverrides(write(t, "ported.csv", full), paths, nil, OverrideOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestLookup(t *testing.T) {
	o := load(t, "\ufeffnumber,route\r\n# ported in 2026\r\n966501234567,zain\r\n \"966551234567\" , \"stc\" \r\n\r\n999999999999999,mobily\r\n1,stc\r\n966501234567,zain\r\n966501234568,stc")
	for _, row := range []struct {
		number, route string
	}{
		{"966501234567", "zain"},
		{"966551234567", "stc"},
		{"966501234568", "stc"},
		{"999999999999999", "mobily"},
		{"1", "stc"},
		{"966501234566", ""},
		{"96650123456", ""},
		{"9665012345670", ""},
		{"0966501234567", ""},
		{"+966501234567", ""},
		{"", ""},
		{"9999999999999999", ""},
		{"18446744073709551617", ""}, // 1, were it to wrap
		{"STC", ""},
		{"96650123456x", ""},
	} {
		for _, when := range []string{"first", "second", "from the cache"} {
			if got, ok := o.Lookup(row.number); got != row.route || ok != (row.route != "") {
				t.Errorf("%q %s: %q, %v; want %q", row.number, when, got, ok, row.route)
			}
		}
	}
	if o.Len() != 5 {
		t.Errorf("%d numbers, want 5", o.Len())
	}
	var none *Overrides
	if _, ok := none.Lookup("1"); ok || none.Len() != 0 || none.Age(epoch) != 0 {
		t.Error("none loaded, yet something is there")
	}
}

func TestDeltasApplyInOrder(t *testing.T) {
	o := load(t, "30,a\n10,a\n20,a\n40,a\n",
		"number,route\n+25,b\n-10\n+20,b\n-99\n+50,c\n+5,b\n",
		"# second day\n-50\n+10,c\n+25,c\n-40,a\n+60,a\n-60\n")
	want := map[string]string{"5": "b", "10": "c", "20": "b", "25": "c", "30": "a"}
	if o.Len() != len(want) {
		t.Errorf("%d numbers, want %d", o.Len(), len(want))
	}
	for i := range 100 {
		n := strconv.Itoa(i)
		if got, ok := o.Lookup(n); got != want[n] || ok != (want[n] != "") {
			t.Errorf("%s goes to %q, want %q", n, got, want[n])
		}
	}
}

func TestDeltasAgreeWithAMap(t *testing.T) {
	r := rand.New(rand.NewPCG(41, 42))
	routes := []string{"a", "b", "c"}
	for round := range 200 {
		want := map[int]string{}
		var full, delta strings.Builder
		for range r.IntN(2000) {
			n := 1 + r.IntN(3000)
			if _, there := want[n]; !there {
				want[n] = routes[r.IntN(3)]
				fmt.Fprintf(&full, "%d,%s\n", n, want[n])
			}
		}
		for range r.IntN(500) {
			n := 1 + r.IntN(3000)
			if r.IntN(2) == 0 {
				fmt.Fprintf(&delta, "-%d\n", n)
				delete(want, n)
			} else {
				want[n] = routes[r.IntN(3)]
				fmt.Fprintf(&delta, "+%d,%s\n", n, want[n])
			}
		}
		o := load(t, full.String(), delta.String())
		got := map[int]string{}
		for n := range 3002 {
			if name, ok := o.Lookup(strconv.Itoa(n)); ok {
				got[n] = name
			}
		}
		if o.Len() != len(want) || !maps.Equal(got, want) {
			t.Fatalf("round %d: %d numbers, want %d, or some differ", round, o.Len(), len(want))
		}
	}
}

func TestLookupFindsNumbersHoweverTheyLie(t *testing.T) {
	r := rand.New(rand.NewPCG(61, 62))
	for name, number := range map[string]func(i int) uint64{
		"one block":    func(i int) uint64 { return uint64(966500000000 + i) },
		"any length":   func(int) uint64 { return 1 + r.Uint64N(999_999_999_999_999>>r.IntN(50)) },
		"two clusters": func(i int) uint64 { return uint64(1+i%2*966_500_000_000) + uint64(i) },
		"growing gaps": func(i int) uint64 { return 1 + uint64(i)*uint64(i)*uint64(i)/3 },
	} {
		t.Run(name, func(t *testing.T) {
			want := map[uint64]bool{}
			var full strings.Builder
			for i := range 100_000 {
				if n := number(i); n <= 999_999_999_999_999 && !want[n] {
					want[n] = true
					fmt.Fprintf(&full, "%d,a\n", n)
				}
			}
			o := load(t, full.String())
			if o.Len() != len(want) {
				t.Fatalf("%d numbers, want %d", o.Len(), len(want))
			}
			for n := range want {
				for _, m := range []uint64{n - 1, n, n + 1} {
					if _, ok := o.Lookup(strconv.FormatUint(m, 10)); ok != want[m] {
						t.Fatalf("%d: found %v, want %v", m, ok, want[m])
					}
				}
			}
		})
	}
}

func TestALineThatDoesNotParseRefusesTheFileWithItsLine(t *testing.T) {
	for _, row := range []struct {
		name, text string
		delta      bool
		line       int
		what       string
	}{
		{"no route", "number,route\n966501234567,stc\n966501234568\n", false, 3, "no route; write number,route"},
		{"empty route", "1,\n", false, 1, "no route; write number,route"},
		{"cut in the middle of a number", "966501234567,stc\n9665", false, 2, "no route; write number,route"},
		{"no number", ",stc\n", false, 1, "no number; write number,route"},
		{"letters in a number", "1,a\n96650O234567,stc\n", false, 2, "the number has 'O' in it; only digits are allowed"},
		{"two headers", "number,route\nnumber,route\n", false, 2, "the number has 'n' in it; only digits are allowed"},
		{"16 digits", "9665012345678901,stc\n", false, 1, "the number has 16 characters, at most 15 digits allowed"},
		{"00 in front", "# c\n\n00966501234567,stc\n", false, 3, "the number begins with 0; write country code and number, without 00"},
		{"three fields", "1,stc,x\n", false, 1, "more than number,route"},
		{"a delta given as a full file", "number,route\n+1,stc\n", false, 2, "a full file's line begins with the number; is this a delta?"},
		{"a full file given as a delta", "number,route\n1,stc\n", true, 2, "a delta's line begins with + or -; write +number,route or -number"},
		{"a delta without a route", "-1\n+2\n", true, 2, "no route; write number,route"},
		{"a delta without a number", "+\n", true, 1, "no number; write number,route"},
		{"two signs", "++1,stc\n", true, 1, "the number has '+' in it; only digits are allowed"},
		{"a binary file", "1,a\n" + strings.Repeat("\x00", 5000), false, 2, "the line has more than 4096 octets; is this a file of numbers?"},
		{"a very long line", strings.Repeat("1", 200_000) + "\n", false, 1, "the line has more than 4096 octets; is this a file of numbers?"},
		{"a long name", "1," + strings.Repeat("x", 65) + "\n", false, 1, "the route's name has 65 octets, at most 64 allowed"},
		{"an unknown route", "1,stc\n2,sct\n", false, 2, `no route is named "sct"`},
		{"an unknown route in a delta", "-1\n+2,sct\n", true, 2, `no route is named "sct"`},
		{"two routes for one number", "1,stc\n2,stc\n3,stc\n2,zain\n", false, 4, `the number has another route on line 2: "stc" there, "zain" here`},
	} {
		t.Run(row.name, func(t *testing.T) {
			full, deltas := write(t, "ported.csv", row.text), []string(nil)
			file := full
			if row.delta {
				file = full
				full, deltas = write(t, "full.csv", "7,stc\n"), []string{file}
			}
			o := OverrideOptions{Known: func(name string) bool { return name != "sct" }}
			got, err := LoadOverrides(full, deltas, nil, o)
			var wrong *ParseError
			if got != nil || !errors.As(err, &wrong) {
				t.Fatalf("loaded %v, error %v", got, err)
			}
			if want := fmt.Sprintf("%s:%d: %s", file, row.line, row.what); err.Error() != want {
				t.Errorf("got  %s\nwant %s", err, want)
			}
		})
	}
}

func TestAFileThatIsNotThereIsAnError(t *testing.T) {
	full := write(t, "ported.csv", "1,a\n")
	if _, err := LoadOverrides(full+".gone", nil, nil, OverrideOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("full file: %v", err)
	}
	if _, err := LoadOverrides(full, []string{full + ".delta"}, nil, OverrideOptions{}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("delta: %v", err)
	}
	if _, err := LoadOverrides(t.TempDir(), nil, nil, OverrideOptions{}); err == nil {
		t.Error("a folder was loaded")
	}
}

func TestAFileThatShrinksIsRefused(t *testing.T) {
	rows := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, "%d,a\n", i+1)
		}
		return b.String()
	}
	prev := load(t, rows(1000))
	for _, row := range []struct {
		name   string
		n      int
		delta  string
		max    float64
		refuse bool
	}{
		{"the same", 1000, "", 0, false},
		{"more", 2000, "", 0, false},
		{"exactly 5% fewer", 950, "", 0, false},
		{"one more than that", 949, "", 0, true},
		{"empty", 0, "", 0, true},
		{"a delta makes up for it", 949, "+5000,a\n", 0, false},
		{"a delta takes too many", 950, "-1\n", 0, true},
		{"own limit", 700, "", 0.3, false},
		{"own limit passed", 699, "", 0.3, true},
		{"any", 0, "", 1, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			var deltas []string
			if row.delta != "" {
				deltas = []string{write(t, "delta.csv", row.delta)}
			}
			got, err := LoadOverrides(write(t, "ported.csv", rows(row.n)), deltas, prev, OverrideOptions{MaxShrink: row.max})
			var shrunk *ShrinkError
			if refused := errors.As(err, &shrunk); refused != row.refuse || refused != (got == nil) {
				t.Errorf("refused %v (%v), want %v", refused, err, row.refuse)
			}
		})
	}
	if route, ok := prev.Lookup("1000"); !ok || route != "a" || prev.Len() != 1000 {
		t.Error("the old ones did not stay")
	}
	_, err := LoadOverrides(write(t, "ported.csv", rows(900)), nil, prev, OverrideOptions{})
	if err == nil || !strings.HasSuffix(err.Error(), "ported.csv: 900 rows where there were 1000: 10.0% fewer, at most 5.0% allowed; the old ones stay") {
		t.Errorf("said %v", err)
	}
}

func TestAgeIsOfTheNewestFile(t *testing.T) {
	full, delta := write(t, "ported.csv", "1,a\n"), write(t, "delta.csv", "+2,a\n")
	for path, ago := range map[string]time.Duration{full: 30 * time.Hour, delta: 6 * time.Hour} {
		if err := os.Chtimes(path, epoch.Add(-ago), epoch.Add(-ago)); err != nil {
			t.Fatal(err)
		}
	}
	o, err := LoadOverrides(full, []string{delta}, nil, OverrideOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if o.Age(epoch) != 6*time.Hour || !o.ModTime().Equal(epoch.Add(-6*time.Hour)) {
		t.Errorf("age %v of %v, want 6h", o.Age(epoch), o.ModTime())
	}
	if o, _ = LoadOverrides(full, nil, nil, OverrideOptions{}); o.Age(epoch) != 30*time.Hour {
		t.Errorf("age %v without the delta, want 30h", o.Age(epoch))
	}
}

const fiveMillion = 5_000_000

// manyRows writes n rows in no order: every seventh number of a range, permuted.
func manyRows(t testing.TB, n int) string {
	path := filepath.Join(t.TempDir(), "ported.csv")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	var line []byte
	for i := range n {
		line = strconv.AppendInt(line[:0], nthNumber((i*7919)%n), 10)
		line = append(line, ",route-"...)
		line = strconv.AppendInt(line, int64(i%5), 10)
		w.Write(append(line, '\n'))
	}
	if err := errors.Join(w.Flush(), f.Close()); err != nil {
		t.Fatal(err)
	}
	return path
}

func nthNumber(i int) int64 { return 966500000000 + int64(i)*7 }

func heap() uint64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

func TestFiveMillionNumbersFitInto64MiB(t *testing.T) {
	if testing.Short() {
		t.Skip("loads 110 MB")
	}
	path := manyRows(t, fiveMillion)
	delta := write(t, "delta.csv", "+1,route-0\n-966500000000\n+966500000008,route-1\n")
	before := heap()
	began := time.Now()
	o, err := LoadOverrides(path, []string{delta}, nil, OverrideOptions{})
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(began)
	for i := range 200_000 { // fill the cache
		o.Lookup(strconv.FormatInt(966500000000+int64(i/2), 10))
	}
	if o.cache.Len() != defaultCache {
		t.Errorf("%d in the cache, want it full", o.cache.Len())
	}
	used := heap() - before
	t.Logf("%d rows in %v, %.1f MiB with a full cache", o.Len(), took.Round(time.Millisecond), float64(used)/(1<<20))
	if used > 64<<20 {
		t.Errorf("%.1f MiB, at most 64 allowed", float64(used)/(1<<20))
	}
	if o.Len() != fiveMillion+1 {
		t.Errorf("%d rows", o.Len())
	}
	for i := 0; i < fiveMillion; i += 9973 {
		n := nthNumber(i)
		if _, ok := o.Lookup(strconv.FormatInt(n, 10)); ok != (i > 0) {
			t.Fatalf("number %d of the file: found %v", i, ok)
		}
		if _, ok := o.Lookup(strconv.FormatInt(n+3, 10)); ok {
			t.Fatalf("a number beside number %d was found", i)
		}
	}
	runtime.KeepAlive(o)
}

func BenchmarkLookup(b *testing.B) {
	path := manyRows(b, fiveMillion)
	for _, row := range []struct {
		name    string
		cache   int
		numbers uint64
	}{
		{"without cache", -1, 7 * fiveMillion},
		{"without cache, one of a thousand", -1, 1000},
		{"with cache, hardly ever the same", 0, 7 * fiveMillion},
		{"with cache, one of a thousand", 0, 1000},
	} {
		o, err := LoadOverrides(path, nil, nil, OverrideOptions{Cache: row.cache})
		if err != nil {
			b.Fatal(err)
		}
		b.Run(row.name, func(b *testing.B) {
			var buf [16]byte
			r := rand.NewPCG(51, 52)
			b.ReportAllocs()
			for b.Loop() { // includes about 40 ns for writing the number
				o.Lookup(string(strconv.AppendUint(buf[:0], 966500000000+r.Uint64()%row.numbers, 10)))
			}
		})
	}
}

func BenchmarkLoadMillion(b *testing.B) {
	path := manyRows(b, 1_000_000)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := LoadOverrides(path, nil, nil, OverrideOptions{}); err != nil {
			b.Fatal(err)
		}
	}
}
