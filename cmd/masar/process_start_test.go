package main

import (
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// tmpfs mounts an own small disk of so many octets for the test and returns its folder.
func tmpfs(t testing.TB, octets int64, flags uintptr) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "masar-disk-")
	if err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", flags, fmt.Sprintf("size=%d,mode=755", octets)); err != nil {
		os.Remove(dir)
		// CI runs as root, where it must work: a skip there would hide the test for good.
		if os.Getenv("MASAR_CI") == "" {
			t.Skipf("mounting a tmpfs: %v: this test needs root", err)
		}
		t.Fatalf("mounting a tmpfs: %v, and MASAR_CI is set", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Errorf("unmounting %s: %v", dir, err)
		}
		os.Remove(dir)
	})
	return dir
}

// occupy listens on an address, so that nobody else can.
func occupy(t testing.TB, addr string) {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
}

// A gateway that cannot start says which thing is in the way, and its exit code tells a
// mistake in the file (2) from a state of the machine (1).
func TestAGatewayThatCannotStartNamesTheThing(t *testing.T) {
	for _, row := range []struct {
		name string
		way  func(t *testing.T, s *site) // what is put in the way
		code int
		says []string // %D the data folder, %S the SMPP address, %A the admin address, %F the file
	}{
		{"SMPP port in use", func(t *testing.T, s *site) { occupy(t, s.smpp) }, exitFailed, []string{"masar: listen[0].addr: %S: address already in use; is another gateway running?"}},
		{"admin port in use", func(t *testing.T, s *site) { occupy(t, s.admin) }, exitFailed, []string{"admin.listen", "%A", "address already in use"}},
		{"no such local address", func(_ *testing.T, s *site) { s.smpp = "192.0.2.1:2775" }, exitFailed, []string{"listen[0].addr: 192.0.2.1:2775: cannot assign"}},
		{"data folder on a read-only disk", func(t *testing.T, s *site) {
			s.data = filepath.Join(tmpfs(t, 1<<20, syscall.MS_RDONLY), "data")
		}, exitFailed, []string{"%D", "read-only file system"}},
		{"a file in the data folder's place", func(t *testing.T, s *site) {
			if err := os.WriteFile(s.data, []byte("mine"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, exitFailed, []string{"%D", "not a directory"}},
		{"a file in the queue folder's place", func(t *testing.T, s *site) {
			if err := os.Mkdir(s.data, 0o700); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(s.data, "queue"), []byte("mine"), 0o600); err != nil {
				t.Fatal(err)
			}
		}, exitFailed, []string{"%D/queue"}},
		{"data folder held by another gateway", func(t *testing.T, s *site) {
			other := *s
			other.path += ".other"
			other.smpp, other.admin = freePort(t), freePort(t)
			other.start()
		}, exitFailed, []string{"%D", "held by process", "on "}},
		{"no room on the disk", func(t *testing.T, s *site) {
			s.data = filepath.Join(tmpfs(t, 8<<20, 0), "data")
			s.store = "  min_free: 64MiB\n"
		}, exitFailed, []string{"%D", "8 MiB free", "16 MiB (a quarter of min_free)"}},
		{"a broken file", func(_ *testing.T, s *site) { s.more = "accounts2: []\n" }, exitUsage, []string{"%F:", "accounts2", "accounts"}},
		{"no YAML at all", func(_ *testing.T, s *site) { s.more = "\t- {" }, exitUsage, []string{"%F:"}},
		{"a route to nobody", func(_ *testing.T, s *site) { s.more = "  - carriers: [b]\n" }, exitUsage, []string{"%F:", `"b"`}},
		{"an API open to the network without a token", func(_ *testing.T, s *site) { s.admin = "0.0.0.0:0" }, exitUsage, []string{"%F:5:", "admin.listen", "token_file"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newSite(t, "127.0.0.1:1")
			row.way(t, s)
			p := s.launch()
			code := p.ends(startLimit)
			for _, want := range row.says {
				want = strings.NewReplacer("%D", s.data, "%S", s.smpp, "%A", s.admin, "%F", s.path).Replace(want)
				if !strings.Contains(p.output(), want) {
					t.Errorf("it does not say %q", want)
				}
			}
			if code != row.code {
				t.Errorf("exit code %d, want %d", code, row.code)
			}
			if strings.Contains(p.output(), "panic") || strings.Contains(p.output(), "goroutine ") {
				t.Error("it ended by a panic")
			}
			last := strings.TrimRight(p.output(), "\n")
			t.Log(last[strings.LastIndexByte(last, '\n')+1:])
		})
	}
}

func TestAFileThatIsNotThereIsNamed(t *testing.T) {
	p := launch(t, "gateway", "serve", "--config", "/does/not/exist.yaml")
	if code := p.ends(startLimit); code != exitUsage || !strings.Contains(p.output(), "/does/not/exist.yaml") {
		t.Errorf("exit code %d: %s", code, p.output())
	}
}

// A start that fails leaves the data folder as it found it for the next one.
func TestAStartThatFailedDoesNotHinderTheNext(t *testing.T) {
	s := newSite(t, "127.0.0.1:1")
	l, err := net.Listen("tcp", s.admin)
	if err != nil {
		t.Fatal(err)
	}
	if code := s.launch().ends(startLimit); code != exitFailed {
		t.Fatalf("exit code %d with the admin port in use", code)
	}
	l.Close()
	p := s.start()
	p.signal(syscall.SIGTERM)
	if code := p.ends(20 * time.Second); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}
