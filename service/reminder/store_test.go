package reminder

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	pdb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/engine"
	"masar/service"
)

var discard = slog.New(slog.NewTextHandler(io.Discard, nil))

func open(t testing.TB, fs vfs.FS) *Store {
	t.Helper()
	st, err := Open(Options{Dir: "reminders", FS: fs, Log: discard, MinFree: -1, Fatal: func(err error) { panic(err) }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	return st
}

// dueAt is a series whose only step is due at a moment.
func dueAt(account, code, key string, due time.Time) *Series {
	s := &Series{Reminder: Reminder{Account: account, Key: key, Number: 966500000001, Service: code, Expires: dayOf(due.AddDate(0, 0, 7)), Created: milli(1), Changed: milli(1)}}
	s.Steps = []Step{{Lead: 7, Due: due.Truncate(time.Second)}}
	s.Next = due.Truncate(time.Second)
	s.Run = 1
	return s
}

func apply(t testing.TB, st *Store, b Batch) {
	t.Helper()
	if err := st.Apply(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
}

var noon = time.Date(2027, 6, 2, 12, 0, 0, 0, time.UTC)

func TestAStoreFindsWhatItWasGivenAfterARestartToo(t *testing.T) {
	fs := vfs.NewMem()
	st := open(t, fs)
	a, b, other := dueAt("civil", "IDR", "A-1", noon), dueAt("civil", "PLN", "B-1", noon.Add(time.Hour)), dueAt("traffic", "IDR", "A-1", noon)
	apply(t, st, Batch{Series: []*Series{a, b, other}})
	if a.ID == b.ID || a.ID == other.ID || a.ID == 0 || st.Pending() != 3 {
		t.Fatalf("%d %d %d, %d pending", a.ID, b.ID, other.ID, st.Pending())
	}
	b.Delete(false, &Clock{Zone: time.UTC, Keep: time.Hour}, noon)
	apply(t, st, Batch{Series: []*Series{b}, Discard: []*Series{other}})
	look := func() {
		t.Helper()
		got, err := st.Find("civil", "A-1")
		if err != nil || got.ID != a.ID || got.Service != "IDR" || got.Account != "civil" || !got.Next.Equal(noon) {
			t.Fatalf("%+v %v", got, err)
		}
		if got, err = st.Read(b.ID); err != nil || got.State != Withdrawn || got.Service != "PLN" {
			t.Fatalf("%+v %v", got, err)
		}
		for _, key := range [][2]string{{"traffic", "A-1"}, {"civil", "A-2"}, {"nobody", "A-1"}} {
			if _, err := st.Find(key[0], key[1]); !errors.Is(err, ErrUnknown) {
				t.Errorf("%v: %v", key, err)
			}
		}
		if _, err := st.Read(other.ID); !errors.Is(err, ErrUnknown) {
			t.Error(err)
		}
		if st.Pending() != 1 {
			t.Errorf("%d pending", st.Pending())
		}
	}
	look()
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	st = open(t, fs)
	look()
	c := dueAt("civil", "IDR", "C-1", noon)
	apply(t, st, Batch{Series: []*Series{c}})
	if c.ID <= other.ID {
		t.Errorf("id %d is given again", c.ID)
	}
}

func never(uint64) bool { return false }

func takeDue(t testing.TB, st *Store, now time.Time, most int, skip func(uint64) bool) (keys []string, skipped bool, next time.Time) {
	t.Helper()
	due, skipped, next, err := st.TakeDue(now, most, skip, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range due {
		s, err := st.Read(d.ID)
		if err != nil || Hash(s.Account, s.Key) != d.Hash || !s.Next.Equal(d.At) {
			t.Fatalf("%+v: %+v %v", d, s, err)
		}
		keys = append(keys, s.Key)
	}
	return keys, skipped, next
}

func TestWhatIsDueIsTakenOnceInOrder(t *testing.T) {
	st := open(t, vfs.NewMem())
	var all []*Series
	for i := range 10 {
		all = append(all, dueAt("civil", "IDR", fmt.Sprint(i), noon.Add(time.Duration(i/2)*time.Second)))
	}
	apply(t, st, Batch{Series: all})
	want := func(now time.Duration, most int, keys []string, next int) {
		t.Helper()
		got, _, when := takeDue(t, st, noon.Add(now), most, never)
		if !slices.Equal(got, keys) || next >= 0 && !when.Equal(noon.Add(time.Duration(next)*time.Second)) || next < 0 && !when.IsZero() {
			t.Errorf("%v, next %v; want %v", got, when, keys)
		}
	}
	want(-time.Second, 100, nil, 0)
	want(0, 100, []string{"0", "1"}, 1)
	want(0, 100, nil, 1)
	want(1500*time.Millisecond, 1, []string{"2"}, -1)
	want(1500*time.Millisecond, 1, []string{"3"}, 2)
	// One comes in before what was passed, another is put back.
	apply(t, st, Batch{Series: []*Series{dueAt("civil", "IDR", "early", noon.Add(-time.Hour))}})
	st.Again(&Due{ID: all[1].ID, At: all[1].Next})
	got, _, _ := takeDue(t, st, noon, 100, never)
	if !slices.Equal(got, []string{"early", "0", "1"}) { // 0 has not been changed since: it is told again
		t.Errorf("%v", got)
	}
	// Those that somebody holds come as soon as he lets go.
	hold := Hash("civil", "5")
	got, skipped, _ := takeDue(t, st, noon.Add(2*time.Second), 100, func(h uint64) bool { return h == hold })
	if !slices.Equal(got, []string{"2", "3", "4"}) || !skipped {
		t.Errorf("%v %v", got, skipped)
	}
	if got, _, _ := takeDue(t, st, noon.Add(2*time.Second), 100, never); !slices.Equal(got, []string{"5"}) {
		t.Errorf("%v", got)
	}
	want(time.Hour, 100, []string{"6", "7", "8", "9"}, -1)
}

func TestAChangeWakesWhoeverWaits(t *testing.T) {
	st := open(t, vfs.NewMem())
	s := dueAt("civil", "IDR", "1", noon)
	apply(t, st, Batch{Series: []*Series{s}})
	select {
	case <-st.Wake():
	default:
		t.Fatal("a new series wakes nobody")
	}
	s.By = "another"
	apply(t, st, Batch{Series: []*Series{s}})
	select {
	case <-st.Wake():
		t.Fatal("a change of something else wakes")
	default:
	}
}

func TestWhatIsToComeIsListedByDayAndService(t *testing.T) {
	st := open(t, vfs.NewMem())
	var all []*Series
	for i := range 250 {
		code := "IDR"
		if i%5 == 0 {
			code = "PLN"
		}
		all = append(all, dueAt("civil", code, fmt.Sprintf("%03d", i), noon.Add(time.Duration(i)*time.Minute)))
	}
	all = append(all, dueAt("traffic", "IDR", "other", noon))
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	apply(t, st, Batch{Series: all})
	list := func(q Query) (keys []string, pages int) {
		t.Helper()
		for pages < 100 {
			rows, next, err := st.Coming(q)
			if err != nil {
				t.Fatal(err)
			}
			pages++
			for _, r := range rows {
				if r.Lead != 7 || r.Number != 966500000001 || r.Expires != day("2027-06-09") {
					t.Fatalf("%+v", r)
				}
				keys = append(keys, r.Key)
			}
			if next == "" {
				break
			}
			q.After = next
		}
		return keys, pages
	}
	if keys, pages := list(Query{Account: "civil"}); len(keys) != 250 || !slices.IsSorted(keys) || pages != 3 {
		t.Errorf("%d keys on %d pages", len(keys), pages)
	}
	if keys, _ := list(Query{Account: "civil", Service: "PLN", Max: 7}); len(keys) != 50 || keys[1] != "005" {
		t.Errorf("%d keys", len(keys))
	}
	if keys, _ := list(Query{Account: "civil", From: noon.Add(10 * time.Minute), To: noon.Add(12 * time.Minute)}); !slices.Equal(keys, []string{"010", "011"}) {
		t.Errorf("%v", keys)
	}
	for _, q := range []Query{{Account: "nobody"}, {Account: "civil", Service: "XYZ"}, {Account: "civil", From: noon.AddDate(1, 0, 0)}} {
		if keys, _ := list(q); len(keys) != 0 {
			t.Errorf("%+v: %v", q, keys)
		}
	}
	var wrong *FieldError
	if _, _, err := st.Coming(Query{Account: "civil", After: "x"}); !errors.As(err, &wrong) || wrong.Field != "after" {
		t.Error(err)
	}
	// A step that is out, and a series that is over, are not to come.
	c := &Clock{Zone: time.UTC, Keep: time.Hour}
	s, err := st.Find("civil", "010")
	if err != nil {
		t.Fatal(err)
	}
	s.Submitted(7, c, noon)
	s2, err := st.Find("civil", "011")
	if err != nil {
		t.Fatal(err)
	}
	s2.Delete(false, c, noon)
	apply(t, st, Batch{Series: []*Series{s, s2}})
	if keys, _ := list(Query{Account: "civil", From: noon.Add(10 * time.Minute), To: noon.Add(13 * time.Minute)}); !slices.Equal(keys, []string{"012"}) {
		t.Errorf("%v", keys)
	}
}

func TestWhoWasNotReachedIsListedByDay(t *testing.T) {
	fs := vfs.NewMem()
	st := open(t, fs)
	c := &Clock{Zone: riyadh, Tries: 1}
	var b Batch
	for i := range 120 {
		code := []string{"IDR", "PLN"}[i%2]
		s := dueAt("civil", code, fmt.Sprintf("%03d", i), noon)
		s.Refused("blocked", c, noon)
		b.Series = append(b.Series, s)
	}
	apply(t, st, b)
	b2 := Batch{}
	for i, s := range b.Series {
		// 21:30 of Riyadh's 2 June is another day than in UTC two hours later.
		b2.Unreached = append(b2.Unreached, s.Missing(0, c, noon.Add(time.Duration(i%2)*10*time.Hour)))
	}
	apply(t, st, b2)
	count := func(q UnreachedQuery) (n int) {
		t.Helper()
		for {
			rows, next, err := st.Unreached(q)
			if err != nil {
				t.Fatal(err)
			}
			for _, r := range rows {
				if r.Reason != "blocked" || r.Tries != 1 || r.Lead != 7 || r.Key == "" || r.Service == "" {
					t.Fatalf("%+v", r)
				}
			}
			n += len(rows)
			if next == "" {
				return n
			}
			q.After = next
		}
	}
	look := func(first, second int) {
		t.Helper()
		if n := count(UnreachedQuery{Account: "civil", Day: day("2027-06-02"), Max: 7}); n != first {
			t.Errorf("%d on the first day, want %d", n, first)
		}
		if n := count(UnreachedQuery{Account: "civil", Day: day("2027-06-03"), Service: "PLN"}); n != second {
			t.Errorf("%d on the second day, want %d", n, second)
		}
		if n := count(UnreachedQuery{Account: "civil", Day: day("2027-06-03"), Service: "IDR"}); n != 0 {
			t.Errorf("%d of another service", n)
		}
	}
	look(60, 60)
	st.Close()
	st = open(t, fs)
	look(60, 60)
	if err := st.ForgetUnreached(day("2027-06-03")); err != nil {
		t.Fatal(err)
	}
	look(0, 60)
}

func TestBookmarksAreWrittenWithWhatTheyTell(t *testing.T) {
	st := open(t, vfs.NewMem())
	if m, err := st.Bookmark("file"); err != nil || m != (service.Bookmark{}) {
		t.Fatal(m, err)
	}
	want := service.Bookmark{Job: "file", Line: 1, Offset: 2, BadOffset: 3, Rows: 4, Good: 5, Bad: 6, Changed: 7, Nothing: 8, Done: true, At: milli(1790000000456)}
	apply(t, st, Batch{Bookmark: &want})
	if m, err := st.Bookmark("file"); err != nil || m != want {
		t.Fatalf("%+v %v", m, err)
	}
	if err := st.ForgetBookmarks(want.At); err != nil {
		t.Fatal(err)
	}
	if m, _ := st.Bookmark("file"); m != want {
		t.Error("it went early")
	}
	if err := st.ForgetBookmarks(want.At.Add(time.Second)); err != nil {
		t.Fatal(err)
	}
	if m, _ := st.Bookmark("file"); m != (service.Bookmark{}) {
		t.Error("it stays")
	}
}

func TestAMoveIsGoneOnWithWhereItWas(t *testing.T) {
	fs := vfs.NewMem()
	st := open(t, fs)
	var all []*Series
	for i := range 500 {
		all = append(all, dueAt("civil", []string{"IDR", "PLN"}[i%2], fmt.Sprint(i), noon))
	}
	all[3].Changed = milli(10) // since the move began
	apply(t, st, Batch{Series: all})
	m := Move{Account: "civil", Service: "PLN", Days: 30, By: "clerk", Began: milli(5)}
	apply(t, st, Batch{Move: &m})
	seen := 0
	for round := 0; ; round++ {
		if round == 2 {
			st.Close()
			st = open(t, fs)
			left, err := st.Moves()
			if err != nil || len(left) != 1 || left[0] != m {
				t.Fatalf("%+v %v", left, err)
			}
		}
		list, next, err := st.ToMove(&m, 50)
		if err != nil {
			t.Fatal(err)
		}
		for _, s := range list {
			if s.Service != "PLN" || s.Key == "3" {
				t.Fatalf("%+v", s)
			}
		}
		seen += len(list)
		m.Moved += int64(len(list))
		m.Next, m.Over = next, next == 0
		apply(t, st, Batch{Move: &m})
		if m.Over {
			break
		}
	}
	if left, err := st.Moves(); seen != 249 || len(left) != 0 || err != nil {
		t.Errorf("%d seen, %v %v", seen, left, err)
	}
}

func TestAClosedStoreSaysSo(t *testing.T) {
	st := open(t, vfs.NewMem())
	st.Close()
	if _, err := st.Find("civil", "A"); err == nil {
		t.Error("Find works")
	}
	if err := st.Apply(t.Context(), &Batch{Series: []*Series{dueAt("civil", "IDR", "1", noon)}}); err == nil {
		t.Error("Apply works")
	}
	if _, _, _, err := st.TakeDue(noon, 1, never, nil); err == nil {
		t.Error("TakeDue works")
	}
	if st.Ready() || st.DiskBytes() != 0 {
		t.Error("it seems open")
	}
}

func TestAFolderOfTheFormatBeforeIsReadAndIsOfThisOneThen(t *testing.T) {
	fs := vfs.NewMem()
	st := open(t, fs)
	s := dueAt("civil", "IDR", "A-1", noon)
	apply(t, st, Batch{Series: []*Series{s}})
	format := func(want uint32, set uint32) {
		t.Helper()
		v, closer, err := st.db.Get(engine.FormatKey)
		if err != nil || be.Uint32(v) != want {
			t.Errorf("format %x, want %d: %v", v, want, err)
		}
		if err := errors.Join(closer.Close(), st.db.Set(engine.FormatKey, be.AppendUint32(nil, set), pdb.Sync), st.Close()); err != nil {
			t.Fatal(err)
		}
	}
	format(Format, Format-1)
	st = open(t, fs)
	if got, err := st.Find("civil", "A-1"); err != nil || got.ID != s.ID {
		t.Errorf("%+v %v", got, err)
	}
	format(Format, Format+1)
	if _, err := Open(Options{Dir: "reminders", FS: fs, Log: discard, MinFree: -1}); err == nil {
		t.Error("a folder of a newer program is opened")
	}
}
