package pebble

import (
	"bytes"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"masar/queue"
)

// Start must not read what waits. The bound is for 5 million messages on a disk; the
// usual run has fewer, MASAR_RESTART_MESSAGES sets how many.
const (
	restartTime     = 5 * time.Second
	restartResident = 400 << 20
)

// fill is the other process: it accepts n messages over some lanes and dies without Close.
func fill(t *testing.T, dir string, n int) {
	s, err := Open(t.Context(), Options{Dir: dir, MinFree: -1, Log: slog.New(slog.NewTextHandler(io.Discard, nil))})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range n {
		wg.Add(1)
		l := queue.Lane{Target: queue.Target(uint16(i%4+1), 0), Class: queue.Class(i % 3), Account: uint32(i%50 + 1)}
		a := &queue.Accept{M: newMessage(i), Lane: l}
		a.M.Account, a.M.Class = l.Account, l.Class
		if i%5 == 4 {
			a.Due = a.M.Accepted + 3600*1e6
		}
		if err := s.Commit(t.Context(), queue.DoneFunc(func(error) { wg.Done() }), a); err != nil {
			t.Fatal(err)
		}
	}
	wg.Wait()
	os.Exit(0)
}

func TestAStartDoesNotReadWhatWaits(t *testing.T) {
	if testing.Short() {
		t.Skip("starts a process")
	}
	n := 200_000
	if raceEnabled {
		n = 20_000
	}
	if v, err := strconv.Atoi(os.Getenv("MASAR_RESTART_MESSAGES")); err == nil {
		n = v
	}
	if dir := os.Getenv("MASAR_RESTART_FILL"); dir != "" {
		fill(t, dir, n)
	}
	dir := t.TempDir()
	child := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$", "-test.timeout", "30m")
	child.Env = append(os.Environ(), "MASAR_RESTART_FILL="+dir, "MASAR_RESTART_MESSAGES="+strconv.Itoa(n))
	if out, err := child.CombinedOutput(); err != nil {
		t.Fatalf("the filling process: %v\n%s", err, out)
	}
	began := time.Now()
	s, err := Open(t.Context(), Options{Dir: dir, MinFree: -1, Log: slog.New(slog.NewTextHandler(t.Output(), nil))})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	took := time.Since(began)
	var waits int64
	lanes := make(chan queue.Lane, 1000)
	s.Depths(func(_ queue.Lane, d queue.Depth) { waits += d.Messages })
	s.Watch(func(l queue.Lane) {
		select {
		case lanes <- l:
		default:
		}
	}, func(uint32) {})
	got := 0
	for got < 1000 {
		c, _ := s.Take(<-lanes, 100, nil)
		got += len(c)
	}
	first := time.Since(began)
	resident := rss(t)
	t.Logf("%d messages wait, %d counted; open took %v, the first 1000 were taken after %v, %d MiB resident", n, waits, took, first, resident>>20)
	if took > restartTime && !raceEnabled {
		t.Errorf("open took %v, at most %v", took, restartTime)
	}
	if resident > restartResident && !raceEnabled {
		t.Errorf("%d MiB resident, at most %d", resident>>20, restartResident>>20)
	}
	// Nothing has left, so the count is exact although most rows were not counted.
	if waits != int64(n) {
		t.Errorf("%d messages are counted", waits)
	}
}

// rss is what the process has in memory.
func rss(t *testing.T) int64 {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Skip("no /proc")
	}
	_, b, _ = bytes.Cut(b, []byte("VmRSS:"))
	line, _, _ := strings.Cut(string(b), "kB")
	kib, err := strconv.ParseInt(strings.TrimSpace(line), 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	return kib << 10
}
