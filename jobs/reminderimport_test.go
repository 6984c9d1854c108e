package jobs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"masar/service"
	"masar/service/reminder"
)

// reminderFile is rows of PLN, each seventh of them wrong: alternately in the row itself and in
// what its template takes.
func reminderFile(rows int) (file string, wrong int) {
	var b strings.Builder
	b.WriteString("key,number,service,expires,document\n")
	for i := range rows {
		expires, document := "2000-05-20", fmt.Sprint(i)
		switch {
		case i%14 == 13:
			expires = "2000-02-30"
		case i%14 == 6:
			document = ""
		}
		if i%7 == 6 {
			wrong++
		}
		fmt.Fprintf(&b, "K%05d,0500%06d,PLN,%s,%s\n", i, i, expires, document)
	}
	return b.String(), wrong
}

func badFile(t *testing.T) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "bad.csv"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

func importOf(job string) reminder.Import {
	return reminder.Import{Rows: reminder.Rows{Account: "civil", Channel: "portal", Country: "966"}, Job: job, BatchRows: 100}
}

func TestAFileOfRemindersThatIsInterruptedGoesOnAndCountsEachRowOnce(t *testing.T) {
	inScene(t, nil, func(t *testing.T, s *scene) {
		file, wrong := reminderFile(1000)
		bad := badFile(t)
		ctx, cancel := context.WithCancel(t.Context())
		im := importOf("one")
		batches := 0
		im.Progress = func(m service.Bookmark) {
			if batches++; batches == 4 {
				if m.Rows != 400 || m.Line != 401 {
					t.Errorf("%+v", m)
				}
				cancel()
			}
		}
		if m, err := s.r.Import(ctx, im, strings.NewReader(file), bad); !errors.Is(err, context.Canceled) || m.Rows != 400 || m.Done {
			t.Fatalf("%+v %v", m, err)
		}
		s.crash(s.powerCut())
		im.Progress = nil
		m, err := s.r.Import(t.Context(), im, strings.NewReader(file), bad)
		want := int64(1000 - wrong)
		if err != nil || !m.Done || m.Rows != 1000 || m.Good != want || m.Bad != int64(wrong) || m.Changed != want || m.Nothing != 0 {
			t.Fatalf("%+v %v, want %d good", m, err, want)
		}
		if got, err := s.r.BookmarkOf(t.Context(), "one"); err != nil || got.Rows != 1000 || !got.Done {
			t.Errorf("%+v %v", got, err)
		}
		if got := s.store.Pending(); got != want {
			t.Errorf("%d pending", got)
		}
		written, err := os.ReadFile(bad.Name())
		if err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(strings.TrimSpace(string(written)), "\n")
		if len(lines) != wrong+1 || lines[0] != "line,column,rule,key,number,service,expires,document" ||
			lines[1] != "8,params.document,refused: is missing,K00006,0500000006,PLN,2000-05-20," ||
			lines[2] != "15,expires,bad_date: 2000-02-30: February 2000 has 29 days,K00013,0500000013,PLN,2000-02-30,13" {
			t.Errorf("%d lines: %q", len(lines), lines[:3])
		}
		// The same file under another name changes nothing; under the same one it is done.
		m, err = s.r.Import(t.Context(), importOf("two"), strings.NewReader(file), badFile(t))
		if err != nil || m.Nothing != want || m.Changed != 0 || m.Bad != int64(wrong) {
			t.Errorf("%+v %v", m, err)
		}
		if m, err = s.r.Import(t.Context(), im, strings.NewReader("x"), bad); err != nil || m.Rows != 1000 {
			t.Errorf("%+v %v", m, err)
		}
		// Mended where it lies, the file of bad rows is taken as it is.
		mended := strings.ReplaceAll(string(written), "2000-02-30", "2000-02-28")
		m, err = s.r.Import(t.Context(), importOf("three"), strings.NewReader(mended), badFile(t))
		if err != nil || m.Changed != int64(wrong)/2 {
			t.Errorf("%+v %v", m, err)
		}
	})
}

func TestAFileThatCannotBeWhatWasMeantPutsNothing(t *testing.T) {
	inScene(t, nil, func(t *testing.T, s *scene) {
		for name, file := range map[string]string{
			"another encoding further down": "key,number,service,expires,document\nA,0500000001,PLN,2000-05-20,1\nB,0500000001,PLN,2000-05-20,\xe4\n",
			"a column missing":              "key,number,service,document\nA,0500000001,PLN,1\n",
		} {
			m, err := s.r.Import(t.Context(), importOf(name), strings.NewReader(file), badFile(t))
			var wrong *service.FileError
			if !errors.As(err, &wrong) || m.Rows != 0 {
				t.Errorf("%s: %+v %v", name, m, err)
			}
		}
		if got := s.store.Pending(); got != 0 {
			t.Errorf("%d pending", got)
		}
		if _, err := s.r.Import(t.Context(), importOf(""), strings.NewReader("x"), badFile(t)); err == nil {
			t.Error("a job without a name")
		}
	})
}

// What is no fault of the row's is not counted against it.
func TestAnImportThatMeetsTroubleIsGoneOnWithAndBlamesNoRow(t *testing.T) {
	inScene(t, nil, func(t *testing.T, s *scene) {
		s.put(of("K00003", "2000-01-08"))
		s.until("2000-01-01 09:00")
		s.r.Close() // no gateway: what waits cannot be taken back
		file, wrong := reminderFile(10)
		if m, err := s.r.Import(t.Context(), importOf("one"), strings.NewReader(file), badFile(t)); !errors.Is(err, errNotStarted) || m.Rows != 0 {
			t.Fatalf("%+v %v", m, err)
		}
		s.crash(s.powerCut())
		m, err := s.r.Import(t.Context(), importOf("one"), strings.NewReader(file), badFile(t))
		if err != nil || m.Rows != 10 || m.Bad != int64(wrong) || m.Changed != 10-int64(wrong) {
			t.Errorf("%+v %v", m, err)
		}
		s.wantSteps("K00003", "pending 7:coming")
	})
}
