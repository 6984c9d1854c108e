package jobs

import (
	"bytes"
	"fmt"
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

	"masar/number"
	"masar/queue"
	"masar/service"
	"masar/service/reminder"
	"masar/smpp/smpptest"

	// As in the daemon: it sets how many heaps the engines' memory has.
	_ "masar/service/pebble"
)

// Bars of reminders. From remindersMost on they are asserted, beneath only printed.
const (
	remindersMost     = 10_000_000
	remindersResident = 400 << 20
	remindersReady    = 5 * time.Second
	remindersRate     = 20_000 // puts a second
	remindersLate     = 2 * time.Second
	remindersMove     = 60 * time.Second // for a tenth of them

	remindersEach = 5000 // due in each second
	remindersFor  = 60   // seconds
)

// benchCatalogue has ten services, S0 to S9, of equal parts of all reminders.
func benchCatalogue(t testing.TB) *service.Catalogue {
	t.Helper()
	o := service.Options{
		Languages: []string{"en"}, Zone: time.UTC, Categories: []service.Category{{Name: "service"}},
		Agencies: []service.Agency{{Code: "one", Name: service.Texts{"en": "One"}, Sender: "ONE"}},
		Senders:  []service.Sender{{Name: "ONE", Agency: "one", AnyCarrier: true}},
	}
	for i := range 10 {
		o.Services = append(o.Services, service.Service{
			Code: "S" + strconv.Itoa(i), Agency: "one", Name: service.Texts{"en": "S" + strconv.Itoa(i)}, Kind: service.ExpiryReminder, Class: 1, Category: "service", Mode: service.Mandatory,
			Validity: 72 * time.Hour, LeadDays: []int{60, 30, 7, 1}, Params: []service.Param{{Name: "document", Max: 20}, {Name: "expiry_date", Max: 12}, {Name: "days", Max: 4}},
			Versions: []service.Version{{Number: 1, Text: service.Texts{"en": "{document} expires on {expiry_date}, {days} days are left."}}},
		})
	}
	cat, err := service.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return cat
}

func benchReminder(i int, expires service.Day) reminder.Reminder {
	return reminder.Reminder{
		Account: "civil", Key: "DOC-" + strconv.Itoa(int(uint64(i)*61803399%1_000_000_000)), Number: 966500000000 + number.E164(uint64(i)*61803399%100_000_000),
		Service: "S" + strconv.Itoa(i%10), Expires: expires, Params: map[string]string{"document": "****" + strconv.Itoa(i)}, Channel: "portal",
	}
}

// putBench puts reminders from..to, some batches on their way at a time.
func putBench(t *testing.T, r *Reminders, from, to int, expires func(i int) service.Day, change func(*reminder.Reminder)) {
	t.Helper()
	var next atomic.Int64
	next.Store(int64(from))
	var wg sync.WaitGroup
	for range 2 {
		wg.Go(func() {
			list := make([]reminder.Reminder, 0, importRows)
			for {
				begin := int(next.Add(importRows)) - importRows
				if begin >= to {
					return
				}
				list = list[:0]
				for i := begin; i < min(to, begin+importRows); i++ {
					m := benchReminder(i, expires(i))
					if change != nil {
						change(&m)
					}
					list = append(list, m)
				}
				out, err := r.PutMany(t.Context(), list)
				if err != nil {
					t.Error(err)
					return
				}
				for i := range out {
					if out[i].Err != nil || out[i].Status != reminder.PutCreated {
						t.Errorf("%+v", out[i])
						return
					}
				}
			}
		})
	}
	wg.Wait()
}

// loadReminders is the first process: n reminders for the coming five years.
func loadReminders(t *testing.T, n int) {
	x := startReal(t, realOptions{dir: os.Getenv("REMINDERS_DIR") + "/", catalogue: benchCatalogue(t), addr: os.Getenv("REMINDERS_SMSC"), window: 500, at: 9 * time.Hour})
	began := time.Now()
	today := reminder.DayOf(began.UTC())
	putBench(t, x.reminders, 0, n, func(i int) service.Day { return reminder.AddDays(today, 70+i*7919%1800) }, nil)
	took := time.Since(began)
	if got := x.kept.Pending(); got != int64(n) {
		t.Errorf("%d pending", got)
	}
	x.stop(t)
	resident := residentMost(t)
	fmt.Printf("put: %d reminders in %.1f s: %.0f/s, %.1f µs of CPU each; %d MiB on disk; %d MiB resident at most\n",
		n, took.Seconds(), float64(n)/took.Seconds(), processTime(t).Seconds()*1e6/float64(n), folder(t)>>20, resident>>20)
	if n >= remindersMost {
		if rate := float64(n) / took.Seconds(); rate < remindersRate {
			t.Errorf("%.0f puts/s, at least %d", rate, remindersRate)
		}
		if resident > remindersResident {
			t.Errorf("%d MiB resident, at most %d", resident>>20, remindersResident>>20)
		}
	}
}

// driveReminders is the second process: restart, the day's due ones, a move.
func driveReminders(t *testing.T, n, each, seconds int) {
	began := time.Now()
	x := startReal(t, realOptions{dir: os.Getenv("REMINDERS_DIR") + "/", catalogue: benchCatalogue(t), addr: os.Getenv("REMINDERS_SMSC"), window: 500, pace: 4 * float64(each)})
	ready := time.Since(began)
	fmt.Printf("restart: ready after %v, %d MiB resident\n", ready.Round(time.Millisecond), residentMost(t)>>20)

	// Each second of the clock gets its own: a time of day that its reminders leave at.
	lead := time.Duration(5+each*seconds/10_000) * time.Second
	first := time.Now().UTC().Add(lead).Truncate(time.Second)
	for second := range seconds {
		due := first.Add(time.Duration(second) * time.Second)
		y, m, d := due.Date()
		x.reminders.at.Store(int64(due.Sub(time.Date(y, m, d, 0, 0, 0, 0, time.UTC))))
		from := n + second*each
		putBench(t, x.reminders, from, from+each, func(int) service.Day { return reminder.AddDays(reminder.DayOf(due), 7) }, func(m *reminder.Reminder) {
			m.Lead, m.Params = []int{7}, map[string]string{"document": strconv.FormatInt(due.Unix(), 10)}
		})
	}
	if late := time.Since(first); late > 0 {
		fmt.Printf("the puts of the day's took %v longer than thought: the first ones are late by it\n", late.Round(time.Millisecond))
	}
	time.Sleep(time.Until(first.Add(time.Duration(seconds) * time.Second)))
	for empty := 0; empty < 10; time.Sleep(50 * time.Millisecond) {
		waits := int64(0)
		x.queue.Depths(func(_ queue.Lane, d queue.Depth) { waits += d.Messages })
		if empty++; waits > 0 {
			empty = 0
		}
	}
	fmt.Printf("the day's: %d in each of %d s, %d MiB resident at most\n", each, seconds, residentMost(t)>>20)
	began, spent := time.Now(), processTime(t)
	res, err := x.reminders.Move(t.Context(), "civil", "S3", 30, "bench")
	moved := res.Moved
	took := time.Since(began)
	if err != nil || moved < int64(n/10) {
		t.Errorf("%d moved: %v", moved, err)
	}
	x.stop(t)
	resident := residentMost(t)
	fmt.Printf("move: %d dates in %.1f s, %.1f µs of CPU each; %d MiB resident at most\n", moved, took.Seconds(), (processTime(t)-spent).Seconds()*1e6/float64(moved), resident>>20)
	if n >= remindersMost {
		if ready > remindersReady {
			t.Errorf("ready after %v, at most %v", ready, remindersReady)
		}
		if took > remindersMove {
			t.Errorf("the move took %v, at most %v", took, remindersMove)
		}
		if resident > remindersResident {
			t.Errorf("%d MiB resident, at most %d", resident>>20, remindersResident>>20)
		}
	}
}

// REMINDERS says how many; make reminders takes 10,000,000 and holds them to their bars. A
// smaller number proves that the measurement works.
func TestMillionsOfRemindersWaitInBoundedMemoryAndLeaveOnTime(t *testing.T) {
	n, each, seconds := 20_000, 500, 2
	if v, err := strconv.Atoi(os.Getenv("REMINDERS")); err == nil {
		n, each, seconds = v, remindersEach, remindersFor
	}
	for name, into := range map[string]*int{"REMINDERS_FOR": &seconds, "REMINDERS_EACH": &each} {
		if v, err := strconv.Atoi(os.Getenv(name)); err == nil {
			*into = v
		}
	}
	switch os.Getenv("REMINDERS_DO") {
	case "load":
		loadReminders(t, n)
		return
	case "drive":
		driveReminders(t, n, each, seconds)
		return
	}
	if testing.Short() {
		t.Skip("starts processes")
	}
	var mu sync.Mutex
	var late []time.Duration
	seen := map[string]int{}
	smsc, err := smpptest.NewSMSC(smpptest.SMSCOptions{OnMessage: func(m *smpptest.Message) {
		now := time.Now()
		due, _, _ := strings.Cut(m.Text, " ")
		sec, err := strconv.ParseInt(due, 10, 64)
		mu.Lock()
		defer mu.Unlock()
		seen[m.Dest+" "+due]++
		if err == nil {
			late = append(late, now.Sub(time.Unix(sec, 0)))
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer smsc.Close()
	addr, err := smsc.Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	for _, do := range []string{"load", "drive"} {
		child := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.timeout", "2h")
		// The collector as masar serve sets it where there are jobs.
		child.Env = append(os.Environ(), "GOGC=300", "GOMEMLIMIT=256MiB", "REMINDERS_DO="+do, "REMINDERS_DIR="+dir, "REMINDERS_SMSC="+addr,
			"REMINDERS="+strconv.Itoa(n), "REMINDERS_EACH="+strconv.Itoa(each), "REMINDERS_FOR="+strconv.Itoa(seconds))
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
	mu.Lock()
	defer mu.Unlock()
	slices.Sort(late)
	if len(late) != each*seconds {
		t.Fatalf("the carrier got %d, want %d", len(late), each*seconds)
	}
	for what, times := range seen {
		if times > 1 {
			t.Errorf("%s came %d times", what, times)
		}
	}
	p99 := late[len(late)*99/100]
	t.Logf("at the carrier: %d, each once; late p50 %v, p99 %v, max %v", len(late), late[len(late)/2].Round(time.Millisecond), p99.Round(time.Millisecond), late[len(late)-1].Round(time.Millisecond))
	if n >= remindersMost && p99 > remindersLate {
		t.Errorf("p99 is %v late, at most %v", p99, remindersLate)
	}
}

// residentMost is the most the process has had in memory.
func residentMost(t *testing.T) int64 {
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

// processTime is what the process has used of all cores.
func processTime(t *testing.T) time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// folder is what the reminders take on disk.
func folder(t *testing.T) (size int64) {
	list, err := os.ReadDir(os.Getenv("REMINDERS_DIR") + "/reminders")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range list {
		if st, err := e.Info(); err == nil {
			size += st.Size()
		}
	}
	return size
}
