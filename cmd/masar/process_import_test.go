package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"masar/admin"
)

// importRows is how many rows the import test has: IMPORT, else what is quick.
func importRows(t testing.TB) int {
	t.Helper()
	if s := os.Getenv("IMPORT"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 10_000 {
			t.Fatalf("IMPORT=%s: a number from 10000", s)
		}
		return n
	}
	if raceEnabled {
		return 20_000
	}
	return 200_000
}

// badEvery makes one row of a hundred a bad one.
const badEvery = 100

// writePeople writes a file of so many rows, each a person of his own with two services.
func writePeople(t testing.TB, path string, rows int) (bad int) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	w := bufio.NewWriterSize(f, 1<<20)
	fmt.Fprintln(w, "person,number,services,language,consent_at,verified")
	for i := range rows {
		number := fmt.Sprintf("05%08d", i)
		if i%badEvery == badEvery-1 {
			number, bad = "0512", bad+1
		}
		fmt.Fprintf(w, "%010d,%s,LOGIN IDREN,ar,2026-11-01,true\n", 1_000_000_000+i, number)
	}
	if err := w.Flush(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	return bad
}

// A gateway that is killed in the middle of a large import goes on with it by itself, and
// every row is counted once: the good ones in the registry, the bad ones in their file.
func TestAnImportThatIsKilledGoesOnAndCountsEveryRowOnce(t *testing.T) {
	rows := importRows(t)
	s, _ := newServiceSite(t, "127.0.0.1:1")
	s.top = strings.Replace(s.top, "cache: 10000", "cache: 250000", 1)
	file := filepath.Join(s.dir, "people.csv")
	bad := writePeople(t, file, rows)
	gw := s.start()

	began := time.Now()
	up := launch(t, "import", "subs", "import", file, "--data", s.data, "--wait=false", "--json")
	if code := up.ends(30 * time.Minute); code != exitDone {
		t.Fatalf("exit code %d: %s", code, up.output())
	}
	var job admin.BulkJob
	if err := json.Unmarshal([]byte(up.output()), &job); err != nil {
		t.Fatalf("%v: %s", err, up.output())
	}
	t.Logf("%d rows sent in %.1f s", rows, time.Since(began).Seconds())
	look := func() *admin.BulkJob {
		f := apiFlags{data: s.data}
		if err := f.call(t.Context(), http.MethodGet, "/v1/bulk/"+job.ID, &job); err != nil {
			t.Fatal(err)
		}
		return &job
	}
	until(t, 30*time.Minute, "a third of the rows is done", func() bool { return look().Rows >= int64(rows/3) })
	if jobOver(&job) {
		t.Fatalf("it was over before it could be killed: %+v", job)
	}
	before := job.Rows
	gw.kill()

	gw = s.start()
	began = time.Now()
	var resident int64
	until(t, 30*time.Minute, "the import is over", func() bool {
		resident = max(resident, gw.resident())
		return jobOver(look())
	})
	took := time.Since(began)
	if want := int64(rows - bad); job.State != admin.JobDone || job.Rows != int64(rows) || job.Good != want || job.Bad != int64(bad) || job.Changed != want || job.Nothing != 0 {
		t.Errorf("%+v; want %d rows, %d good, all of them new, %d bad", job, rows, want, bad)
	}
	t.Logf("killed after %d rows; the other %d took %.1f s: %.0f rows/s; resident at most %d MiB",
		before, int64(rows)-before, took.Seconds(), float64(int64(rows)-before)/took.Seconds(), resident>>20)

	var stats admin.Stats
	_, page := s.local("/v1/stats/subscribers")
	if err := json.Unmarshal([]byte(page), &stats); err != nil {
		t.Fatal(err)
	}
	if n := int64(rows - bad); stats.Subscribers != n || stats.Numbers != n || stats.Services["LOGIN"].Enrolled != n || stats.Services["IDREN"].Enrolled != n {
		t.Errorf("the registry has %+v, want %d of each", stats, n)
	}
	_, list := s.local("/v1/bulk/" + job.ID + "/bad")
	lines := strings.Split(strings.TrimSpace(list), "\n")
	if len(lines) != bad+1 {
		t.Fatalf("the file of bad rows has %d lines, want a header and %d", len(lines), bad)
	}
	for i, line := range lines[1:] {
		want := strconv.Itoa((i+1)*badEvery + 1) // the header is line 1
		if !strings.HasPrefix(line, want+",") || !strings.Contains(line, "too_short") {
			t.Fatalf("bad row %d: %q, want line %s and too_short", i, line, want)
		}
	}

	// The same file again: nothing new, for the rows are what they were.
	again := launch(t, "import again", "subs", "import", file, "--data", s.data, "--json")
	if code := again.ends(30 * time.Minute); code != exitDone {
		t.Fatalf("exit code %d: %s", code, again.output())
	}
	out := again.output()
	if err := json.Unmarshal([]byte(out[strings.Index(out, "{"):]), &job); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	if job.State != admin.JobDone || job.Bad != int64(bad) {
		t.Errorf("the same file again: %+v", job)
	}
	if _, err := os.Stat(file + ".bad.csv"); err != nil {
		t.Errorf("the command keeps the bad rows beside the file: %v", err)
	}
}
