package admin

import (
	"bytes"
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/text/encoding/charmap"

	"masar/service"
)

const csvHeader = "Content-Type"

// uploads sends a file.
func (s *site) uploads(name, path, file string, headers ...string) *reply {
	s.t.Helper()
	return s.as(name, "POST", path, file, append([]string{csvHeader, "text/csv"}, headers...)...)
}

// over waits until a job is over.
func (s *site) over(name, id string) BulkJob {
	s.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; {
		j := answered[BulkJob](s.as(name, "GET", "/v1/bulk/"+id, nil).want(200))
		if j.State == JobDone || j.State == JobFailed {
			return j
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("still %+v", j)
		}
		time.Sleep(2 * time.Millisecond) // another goroutine's work, seen over HTTP alone
	}
}

const header = "person,number,services,language\n"

func TestAFileEnrolsItsGoodRowsAndTellsTheBad(t *testing.T) {
	s := newSite(t)
	r := s.uploads("bank-a", "/v1/bulk/enrolments?verified=true&by=night+run", "\ufeff"+header+
		"1000000001,0500000001,IDREN IDNEW,ar\n"+
		"1000000002,12,IDREN,ar\n"+
		"1000000003,0500000003,NOPE,ar\n"+
		"1000000004,+966500000004,IDREN,en\n").want(202)
	j := answered[BulkJob](r)
	if r.header.Get("Location") != "/v1/bulk/"+j.ID || j.Kind != BulkEnrolments || j.Channel != "bank-a" {
		t.Errorf("%+v %v", j, r.header)
	}
	j = s.over("bank-a", j.ID)
	if j.State != JobDone || j.Rows != 4 || j.Good != 2 || j.Bad != 2 || j.Changed != 2 || j.Progress != 1 || j.Finished == nil || j.Error != "" {
		t.Errorf("%+v", j)
	}
	bad := s.as("bank-a", "GET", "/v1/bulk/"+j.ID+"/bad", nil).want(200)
	rows, err := csv.NewReader(bytes.NewReader(bad.body)).ReadAll()
	if err != nil || len(rows) != 3 || rows[1][0] != "3" || rows[1][1] != "number" || rows[2][0] != "4" || rows[2][1] != "services" {
		t.Errorf("bad rows %q %v", rows, err)
	}
	sub := answered[Subscribers](s.as("bank-a", "GET", "/v1/subscribers?person=1000000001", nil).want(200))
	if len(sub.Subscribers[0].Enrolments) != 2 || sub.Subscribers[0].Enrolments[0].State != "enrolled" {
		t.Errorf("%+v", sub)
	}
	// References are on no disk any more, and only its channel sees the job.
	if _, err := os.Stat(filepath.Join(s.o.Bulk.Dir, j.ID+".csv")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the file is still there: %v", err)
	}
	s.as("bank-b", "GET", "/v1/bulk/"+j.ID, nil).wantProblem(404)
	s.as("bank-b", "GET", "/v1/bulk/"+j.ID+"/bad", nil).wantProblem(404)
	type list struct{ Jobs []BulkJob }
	if l := answered[list](s.as("bank-b", "GET", "/v1/bulk", nil).want(200)); len(l.Jobs) != 0 {
		t.Errorf("bank-b sees %+v", l)
	}
	if l := answered[list](s.as("portal", "GET", "/v1/bulk", nil).want(200)); len(l.Jobs) != 1 || l.Jobs[0].ID != j.ID {
		t.Errorf("the portal sees %+v", l)
	}
	for _, want := range []string{`masar_bulk_rows_total{kind="enrolments",result="good"} 2`, `masar_bulk_rows_total{kind="enrolments",result="bad"} 2`, `masar_bulk_jobs{state="done"} 1`} {
		if got := s.request(s.tcp, "GET", "/metrics", "", nil).body; !strings.Contains(string(got), want) {
			t.Errorf("no %s", want)
		}
	}
	// It goes when it has been kept long enough.
	s.pass(8 * 24 * time.Hour)
	s.server.api.bulk.sweep()
	s.as("bank-a", "GET", "/v1/bulk/"+j.ID, nil).wantProblem(404)
	if left, err := os.ReadDir(s.o.Bulk.Dir); err != nil || len(left) != 0 {
		t.Errorf("left: %v %v", left, err)
	}
}

func TestAWrongFileAppliesNothing(t *testing.T) {
	s := newSite(t)
	arabic, err := charmap.Windows1256.NewEncoder().String("رقم الهوية,الجوال,الخدمات,by\n1000000001,0500000001,IDREN,موظف\n")
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, query, file string
		says              []string
	}{
		{"no header", "", "1000000001,0500000001,IDREN,ar\n", []string{"line 1", "header"}},
		{"unknown column", "", "person,number,services,colour\n1,2,3,4\n", []string{"line 1", "colour"}},
		{"Windows-1256 taken for UTF-8", "", arabic, []string{"windows-1256"}},
		{"UTF-16", "", "\xff\xfep\x00e\x00r\x00", []string{"UTF-16"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s.t = t
			j := s.over("bank-a", answered[BulkJob](s.uploads("bank-a", "/v1/bulk/enrolments?verified=true"+row.query, row.file).want(202)).ID)
			if j.State != JobFailed || j.Good != 0 || j.Finished == nil {
				t.Errorf("%+v", j)
			}
			for _, want := range row.says {
				if !strings.Contains(strings.ToLower(j.Error), strings.ToLower(want)) {
					t.Errorf("%q does not say %q", j.Error, want)
				}
			}
		})
	}
	s.t = t
	if st, err := s.reg.Stats(t.Context()); err != nil || st.Subscribers != 0 {
		t.Errorf("something was applied: %+v %v", st, err)
	}
	j := s.over("bank-a", answered[BulkJob](s.uploads("bank-a", "/v1/bulk/enrolments?verified=true&encoding=windows-1256", arabic).want(202)).ID)
	if j.State != JobDone || j.Good != 1 {
		t.Errorf("%+v", j)
	}
	history := answered[struct{ History []HistoryRow }](s.as("bank-a", "GET", "/v1/subscribers/history?person=1000000001", nil).want(200))
	if history.History[0].By != "موظف" {
		t.Errorf("%+v", history)
	}
}

func TestTheSameFileWithTheSameKeyIsOneJob(t *testing.T) {
	s := newSite(t)
	file := header + "1000000001,0500000001,IDREN,ar\n"
	first := answered[BulkJob](s.uploads("bank-a", "/v1/bulk/enrolments", file, "Idempotency-Key", "night-1").want(202))
	s.over("bank-a", first.ID)
	r := s.uploads("bank-a", "/v1/bulk/enrolments", file, "Idempotency-Key", "night-1").want(202)
	if again := answered[BulkJob](r); again.ID != first.ID || again.State != JobDone || r.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%+v %v", again, r.header)
	}
	s.uploads("bank-a", "/v1/bulk/enrolments", file+"1000000002,0500000002,IDREN,ar\n", "Idempotency-Key", "night-1").wantProblem(409, "another body")
	s.uploads("bank-a", "/v1/bulk/enrolments?verified=true", file, "Idempotency-Key", "night-1").wantProblem(409)
	if other := answered[BulkJob](s.uploads("bank-b", "/v1/bulk/enrolments", file, "Idempotency-Key", "night-1").want(202)); other.ID == first.ID {
		t.Error("two channels share a job")
	} else {
		s.over("bank-b", other.ID)
	}
	a, b := answered[BulkJob](s.uploads("bank-a", "/v1/bulk/enrolments", file).want(202)), answered[BulkJob](s.uploads("bank-a", "/v1/bulk/enrolments", file).want(202))
	if a.ID == b.ID {
		t.Error("two uploads without a key are one job")
	}
	s.over("bank-a", a.ID)
	s.over("bank-a", b.ID)
	parts, err := filepath.Glob(filepath.Join(s.o.Bulk.Dir, "*"+partSuffix))
	if err != nil || len(parts) != 0 {
		t.Errorf("left: %q %v", parts, err)
	}
}

// stepwise lets a bulk job apply one batch for each step, so that a test may look between.
type stepwise struct {
	service.Registry
	step, applied chan struct{}
}

func (r *stepwise) Apply(ctx context.Context, b service.Batch) ([]service.Outcome, error) {
	if b.Bookmark == nil {
		return r.Registry.Apply(ctx, b)
	}
	select {
	case <-r.step:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	out, err := r.Registry.Apply(ctx, b)
	r.applied <- struct{}{}
	return out, err
}

func TestAJobGoesOnAfterARestart(t *testing.T) {
	people := &stepwise{step: make(chan struct{}), applied: make(chan struct{}, 1)}
	s := newSite(t, func(o *Options) {
		o.Bulk.Max = 64 << 20
		people.Registry, o.Registry = o.Registry, people
	})
	var file strings.Builder
	file.WriteString(header)
	const rows, badEvery = 12_000, 100
	for i := range rows {
		services := "IDREN"
		if i%badEvery == 0 {
			services = "NOPE"
		}
		fmt.Fprintf(&file, "%d,05%08d,%s,ar\n", 1_000_000_000+i, i, services)
	}
	j := answered[BulkJob](s.uploads("portal", "/v1/bulk/enrolments?verified=true", file.String()).want(202))
	restarts := 0
	for {
		at, err := s.reg.Bookmark(t.Context(), bookmarkOf(j.ID))
		if err != nil {
			t.Fatal(at, err)
		}
		if at.Done {
			break
		}
		if restarts < 3 && at.Rows > int64(restarts)*3000 {
			// As a killed process leaves it: nothing is written that a kill -9 would not have left.
			restarts++
			s.server.api.bulk.close()
			s.o.Registerer, s.o.Gatherer = nil, s.metrics
			s.open()
		}
		select {
		case people.step <- struct{}{}:
			<-people.applied
		case <-time.After(time.Minute):
			t.Fatalf("the job stands still: %+v", at)
		}
	}
	j = s.over("portal", j.ID)
	if restarts < 2 {
		t.Fatalf("only %d restarts", restarts)
	}
	if j.State != JobDone || j.Rows != rows || j.Bad != rows/badEvery || j.Good != rows-rows/badEvery || j.Changed != j.Good {
		t.Errorf("%+v", j)
	}
	got, err := csv.NewReader(bytes.NewReader(s.as("portal", "GET", "/v1/bulk/"+j.ID+"/bad", nil).want(200).body)).ReadAll()
	if err != nil || len(got) != rows/badEvery+1 {
		t.Errorf("%d bad rows, %v", len(got), err)
	}
	if st, err := s.reg.Stats(t.Context()); err != nil || st.Subscribers != rows-rows/badEvery {
		t.Errorf("%+v %v", st, err)
	}
}

func TestWhatWasNotWhollyUploadedIsSweptAway(t *testing.T) {
	s := newSite(t)
	id := strings.Repeat("ab", 16)
	for _, name := range []string{id + ".123" + partSuffix, id + ".csv", id + ".jsonl", "README", id + ".json" + partSuffix} {
		if err := os.WriteFile(filepath.Join(s.o.Bulk.Dir, name), []byte("x"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	damaged := strings.Repeat("cd", 16)
	for _, ext := range []string{".json", ".csv"} {
		if err := os.WriteFile(filepath.Join(s.o.Bulk.Dir, damaged+ext), []byte("{"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	s.server.Close(context.Background())
	s.o.Registerer = nil
	s.open()
	var left []string
	entries, _ := os.ReadDir(s.o.Bulk.Dir)
	for _, e := range entries {
		left = append(left, e.Name())
	}
	if fmt.Sprint(left) != fmt.Sprint([]string{"README", damaged + ".csv", damaged + ".json"}) {
		t.Errorf("left %q", left)
	}
	if !strings.Contains(s.logged.String(), "a bulk job cannot be read") {
		t.Errorf("not told:\n%s", s.logged)
	}
}

func TestUploadsThatAreRefused(t *testing.T) {
	s := newSite(t, func(o *Options) { o.Bulk.Max = 100 })
	small := header + "1,0500000001,IDREN,ar\n"
	for _, row := range []struct {
		name, partner, path, file string
		headers                   []string
		status                    int
		says                      []string
	}{
		{"too large, told before", "bank-a", "/v1/bulk/enrolments", strings.Repeat("x", 101), nil, 413, []string{"100 octets"}},
		{"empty", "bank-a", "/v1/bulk/enrolments", "", nil, 422, []string{"empty"}},
		{"JSON", "bank-a", "/v1/bulk/enrolments", "{}", []string{csvHeader, "application/json"}, 415, []string{"text/csv"}},
		{"unknown encoding", "bank-a", "/v1/bulk/enrolments?encoding=latin1", small, nil, 422, []string{"query.encoding", "utf-8"}},
		{"unknown parameter", "bank-a", "/v1/bulk/enrolments?verifed=true", small, nil, 422, []string{"query.verifed"}},
		{"no boolean", "bank-a", "/v1/bulk/enrolments?verified=perhaps", small, nil, 422, []string{"query.verified"}},
		{"another's channel", "bank-a", "/v1/bulk/enrolments?channel=portal", small, nil, 422, []string{"all-channels"}},
		{"scope enrol", "blocker", "/v1/bulk/enrolments", small, nil, 403, []string{"blocker", "enrol"}},
		{"scope blocklist", "office", "/v1/bulk/blocklist", small, nil, 403, []string{"office", "blocklist"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s.t = t
			s.uploads(row.partner, row.path, row.file, row.headers...).wantProblem(row.status, row.says...)
		})
	}
	s.t = t
	s.as("bank-a", "GET", "/v1/bulk/nonsense", nil).wantProblem(422, "path.id")
	s.as("bank-a", "GET", "/v1/bulk/"+strings.Repeat("0", 32), nil).wantProblem(404)
	if left, err := os.ReadDir(s.o.Bulk.Dir); err != nil || len(left) != 0 {
		t.Errorf("left: %v %v", left, err)
	}
	none := newSite(t, func(o *Options) { o.Bulk.Dir = "" })
	none.uploads("bank-a", "/v1/bulk/enrolments", small).wantProblem(501, "api.bulk.dir")
	full := newSite(t, func(o *Options) { o.Bulk.MinFree = 1 << 62 })
	full.uploads("bank-a", "/v1/bulk/enrolments", small).wantProblem(507, "no room")
	var told *Problem
	if p, ok := asTold(diskProblem(fmt.Errorf("write: %w", syscall.ENOSPC))); !ok || !strings.Contains(p.Error(), "no room") {
		t.Errorf("%v %v", p, told)
	}
}

func TestAFileMayBlockNumbers(t *testing.T) {
	s := newSite(t)
	j := s.over("blocker", answered[BulkJob](s.uploads("blocker", "/v1/bulk/blocklist", "number,scope,reason,expires\n0500000001,all,complaint,\n0500000002,opt-in,,2027-01-31\nx,all,,\n").want(202)).ID)
	if j.State != JobDone || j.Rows != 3 || j.Good != 2 || j.Bad != 1 || j.Changed != 2 {
		t.Errorf("%+v", j)
	}
	b := answered[Block](s.as("blocker", "GET", "/v1/blocklist/0500000001", nil).want(200))
	if b.Scope != "all" || b.Reason != "complaint" || b.Channel != "blocker" {
		t.Errorf("%+v", b)
	}
	if bad := s.as("blocker", "GET", "/v1/bulk/"+j.ID+"/bad", nil).want(200); !strings.Contains(string(bad.body), "4,number,") {
		t.Errorf("%s", bad.body)
	}
	export := s.as("portal", "GET", "/v1/export/blocklist", nil).want(200)
	if want := "number,scope,reason,expires\n966500000001,all,complaint,\n966500000002,opt-in,,2027-02-01T00:00:00Z\n"; string(export.body) != want {
		t.Errorf("exported %q", export.body)
	}
	if other := s.as("bank-a", "GET", "/v1/export/blocklist", nil).want(200); strings.Count(string(other.body), "\n") != 1 {
		t.Errorf("bank-a exports %q", other.body)
	}
}

// A real connection: what is slow is broken off, what is large is not.
func TestAnUploadThatStopsIsBrokenOff(t *testing.T) {
	old := readWait
	readWait = 50 * time.Millisecond
	defer func() { readWait = old }()
	s := newSite(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &http.Server{Handler: s.tcp, ReadTimeout: time.Minute, WriteTimeout: time.Minute}
	go h.Serve(ln)
	defer h.Close()
	body, stop := io.Pipe()
	defer stop.Close()
	req, err := http.NewRequest("POST", "http://"+ln.Addr().String()+"/v1/bulk/enrolments", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key("bank-a"))
	req.Header.Set(csvHeader, "text/csv")
	go io.WriteString(stop, header)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusRequestTimeout || !strings.Contains(string(b), "too slowly") {
		t.Errorf("%d %s", resp.StatusCode, b)
	}
	if left, err := os.ReadDir(s.o.Bulk.Dir); err != nil || len(left) != 0 {
		t.Errorf("left: %v %v", left, err)
	}
}

func TestAnUploadMayTakeLongerThanTheServersOwnTime(t *testing.T) {
	s := newSite(t)
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &http.Server{Handler: s.tcp, ReadTimeout: 100 * time.Millisecond, WriteTimeout: 100 * time.Millisecond}
	go h.Serve(ln)
	defer h.Close()
	body, file := io.Pipe()
	go func() {
		io.WriteString(file, header)
		time.Sleep(250 * time.Millisecond) // longer than the server gives a request
		io.WriteString(file, "1000000001,0500000001,IDREN,ar\n")
		file.Close()
	}()
	req, err := http.NewRequest("POST", "http://"+ln.Addr().String()+"/v1/bulk/enrolments", body)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key("bank-a"))
	req.Header.Set(csvHeader, "text/csv")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != http.StatusAccepted {
		t.Errorf("%d %s", resp.StatusCode, b)
	}
}

func TestExportsAreWhatTheChannelEnrolled(t *testing.T) {
	s := newSite(t)
	s.enrolled("bank-a", saad, number1, "IDREN")
	s.enrolled("portal", saad, "", "IDNEW")
	rows := func(name, query string) int {
		r := s.as(name, "GET", "/v1/export/subscribers"+query, nil).want(200)
		all, err := csv.NewReader(bytes.NewReader(r.body)).ReadAll()
		if err != nil || r.header.Get("Content-Type") != csvText {
			t.Fatal(err, r.header)
		}
		return len(all) - 1
	}
	for _, row := range []struct {
		name, query string
		want        int
	}{{"bank-a", "", 1}, {"bank-b", "", 0}, {"portal", "", 2}, {"portal", "?service=IDNEW", 1}, {"portal", "?state=pending", 0}, {"portal", "?state=enrolled", 2}} {
		if got := rows(row.name, row.query); got != row.want {
			t.Errorf("%s%s: %d rows, want %d", row.name, row.query, got, row.want)
		}
	}
	s.as("portal", "GET", "/v1/export/subscribers?service=NOPE", nil).wantProblem(422, "query.service", "NOPE")
	s.as("portal", "GET", "/v1/export/subscribers?state=gone", nil).wantProblem(422, "query.state")
	s.as("reader", "GET", "/v1/export/subscribers", nil).wantProblem(403, "export")
}

var _ service.BadRows = (*os.File)(nil)
