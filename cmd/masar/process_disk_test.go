package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"masar/smpp/pdu"
	"masar/smpp/smppload"
	"masar/smpp/smpptest"
)

// filler is the other process that fills a disk.
type filler struct {
	t    testing.TB
	path string
	dir  string
}

// leave makes the disk have so many octets free.
func (f *filler) leave(octets int64) {
	f.t.Helper()
	var st syscall.Statfs_t
	if err := syscall.Statfs(f.dir, &st); err != nil {
		f.t.Fatal(err)
	}
	file, err := os.OpenFile(f.path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		f.t.Fatal(err)
	}
	defer file.Close()
	has, err := file.Seek(0, 2)
	if err != nil {
		f.t.Fatal(err)
	}
	grow := int64(st.Bavail)*st.Bsize - octets
	if grow <= 0 {
		if err := file.Truncate(max(0, has+grow)); err != nil {
			f.t.Fatal(err)
		}
		return
	}
	// In pieces: the gateway writes meanwhile, and may be quicker.
	for n := int64(1 << 20); grow > 0 && n >= 4096; {
		n = min(n, grow)
		if err := syscall.Fallocate(int(file.Fd()), 0, has, n); err == nil {
			has, grow = has+n, grow-n
		} else if errors.Is(err, syscall.ENOSPC) {
			n /= 2
		} else {
			f.t.Fatal(err)
		}
	}
}

func (f *filler) free() {
	f.t.Helper()
	if err := os.Remove(f.path); err != nil {
		f.t.Fatal(err)
	}
}

const (
	diskSize    = 192 << 20 // the write-ahead log takes some 70 MiB ahead of its use
	diskMinFree = 24 << 20
)

// received is what a carrier has taken, by destination.
type received struct {
	mu    sync.Mutex
	count map[string]int
	ended []string
}

func (r *received) submitted(s *smpptest.Submit) {
	if s.Status == pdu.ESME_ROK {
		r.mu.Lock()
		r.count[string(s.Body.(*pdu.SubmitSM).Dest.Addr)]++
		r.mu.Unlock()
	}
}

// books are copies, for while the carrier still runs.
func (r *received) books() (count map[string]int, ended []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.count), slices.Clone(r.ended)
}

func (r *received) end(systemID, _ string, err error) {
	r.mu.Lock()
	r.ended = append(r.ended, fmt.Sprintf("%s: %v", systemID, err))
	r.mu.Unlock()
}

// diskSite is a gateway whose data folder is on a small disk of its own.
func diskSite(t *testing.T, size int64, o smpptest.SMSCOptions) (*site, *filler, *received, *smpptest.SMSC) {
	disk := tmpfs(t, size, 0)
	got := &received{count: map[string]int{}}
	o.OnSubmit, o.OnEnd = got.submitted, got.end
	carrier, addr := smsc(t, o)
	s := newSite(t, addr)
	s.data = filepath.Join(disk, "data")
	s.store = fmt.Sprintf("  min_free: %dMiB\n  ballast: 4MiB\n", diskMinFree>>20)
	s.account = "    window: 100\n"
	return s, &filler{t, filepath.Join(disk, "somebody-elses"), disk}, got, carrier
}

// Another process fills the disk and frees it again: binds stay, submits are refused with
// a status that every client repeats, then receipts are too, and all of it resumes by
// itself; nothing that was accepted is lost.
func TestADiskThatAnotherFillsAndFreesCostsNothingAccepted(t *testing.T) {
	t.Parallel()
	s, other, got, carrier := diskSite(t, diskSize, smpptest.SMSCOptions{
		Latency: 5 * time.Millisecond, ReceiptDelay: 1500 * time.Millisecond, ReceiptJitter: 1500 * time.Millisecond, ReceiptRetry: 100 * time.Millisecond,
	})
	gateway := s.start()
	// No Reconnect: a bind that ends ends the run.
	load := s.load(smppload.Options{Binds: 2, Window: 20, Rate: 400, Receipts: true})
	load.more(300, 20*time.Second)

	other.leave(diskMinFree / 2)
	gateway.see(`disk is nearly full: submits are refused`, 10*time.Second)
	at := load.until("submits are refused", 10*time.Second, func(p smppload.Progress) bool { return p.Refused > 20 })
	if code, why := s.get("/readyz"); code != 503 || !strings.Contains(why, "disk is full") {
		t.Errorf("readyz: %d %s", code, why)
	}
	if full := s.metric("masar_store_full"); full != 1 {
		t.Errorf("masar_store_full is %v", full)
	}
	// What was accepted goes on: it is sent, and its receipts come.
	load.until("receipts go on coming", 10*time.Second, func(p smppload.Progress) bool { return p.Receipts > at.Receipts+20 })

	retried := carrier.Stats().Retried
	other.leave(diskMinFree / 8)
	until(t, 10*time.Second, "the carrier is told to send receipts again", func() bool { return carrier.Stats().Retried > retried })
	if now := *load.now.Load(); now.Bound != 2 || now.Accepted > at.Accepted {
		t.Errorf("%d binds, want 2; %d messages accepted on a full disk", now.Bound, now.Accepted-at.Accepted)
	}

	other.free()
	gateway.see(`disk has room again`, 10*time.Second)
	load.more(100, 20*time.Second)
	until(t, 10*time.Second, "ready again", func() bool { code, _ := s.get("/readyz"); return code == 200 })

	load.enough()
	res := load.result(60 * time.Second)
	t.Logf("%d accepted, %v, %d receipts, carrier sent %d again", res.Accepted, res.Statuses, res.Receipts, carrier.Stats().Retried)
	if load.err != nil || len(res.Errors) > 0 || res.Uncertain > 0 {
		t.Errorf("binds did not stay: %v %v, %d uncertain", load.err, res.Errors, res.Uncertain)
	}
	for st := range res.Statuses {
		if st != "ESME_ROK" && st != "ESME_RMSGQFUL" {
			t.Errorf("%d submits were answered %s", res.Statuses[st], st)
		}
	}
	count, ended := got.books()
	if res.Missing > 0 || res.Dup > 0 || len(count) != int(res.Accepted) {
		t.Errorf("%d messages accepted, the carrier has %d; %d receipts missing, %d twice", res.Accepted, len(count), res.Missing, res.Dup)
	}
	if len(ended) > 0 {
		t.Errorf("carrier binds did not stay: %v", ended)
	}
	gateway.signal(syscall.SIGTERM)
	if code := gateway.ends(30 * time.Second); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// supervised runs a site's gateway again whenever it has ended, as systemd would.
type supervised struct {
	mu    sync.Mutex
	runs  []*process
	ended int
	stop  bool
	over  chan struct{}
}

func (s *site) supervise() *supervised {
	u := &supervised{runs: []*process{s.start()}, over: make(chan struct{})}
	go func() {
		defer close(u.over)
		for {
			<-u.last().done
			u.mu.Lock()
			if u.stop {
				u.mu.Unlock()
				return
			}
			u.ended++
			u.mu.Unlock()
			pause := time.NewTimer(100 * time.Millisecond) // RestartSec
			<-pause.C
			p := s.launch()
			u.mu.Lock()
			u.runs = append(u.runs, p)
			u.mu.Unlock()
		}
	}()
	s.t.Cleanup(func() { u.end() })
	return u
}

func (u *supervised) last() *process {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.runs[len(u.runs)-1]
}

// end stops the last run in an orderly way and returns its exit code.
func (u *supervised) end() int {
	u.mu.Lock()
	u.stop = true
	p := u.runs[len(u.runs)-1]
	u.mu.Unlock()
	p.cmd.Process.Signal(syscall.SIGTERM)
	<-u.over
	return p.cmd.ProcessState.ExitCode()
}

// A disk that is filled to its last octet in one go, faster than anybody looks, while as
// much comes in as can: the gateway lives on its ballast, or ends with exit code 1 and
// says why, and is started again; with room again nothing accepted is lost.
func TestADiskFilledToTheLastOctetCostsNothingAccepted(t *testing.T) {
	for _, row := range []struct{ name, store string }{
		{"min_free watched", fmt.Sprintf("  min_free: %dMiB\n  ballast: 4MiB\n", diskMinFree>>20)},
		{"min_free off, on ballast alone", "  min_free: 0\n  ballast: 4MiB\n"},
		{"neither min_free nor ballast", "  min_free: 0\n  ballast: 0\n"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s, other, got, _ := diskSite(t, 768<<20, smpptest.SMSCOptions{ReceiptRetry: 100 * time.Millisecond})
			s.store = row.store
			gateway := s.supervise()
			load := s.load(smppload.Options{Binds: 2, Window: 100, Rate: 20_000, Receipts: true, Reconnect: true, Linger: 500 * time.Millisecond})
			load.more(500, 20*time.Second)
			other.leave(0)
			// What its log has allocated ahead it still fills, so this takes a moment.
			at := *load.now.Load()
			load.until("submits are refused, or the process has ended", 20*time.Second, func(p smppload.Progress) bool {
				gateway.mu.Lock()
				defer gateway.mu.Unlock()
				return gateway.ended > 0 || p.Refused > at.Refused+20
			})
			other.free()
			load.more(100, 20*time.Second)
			load.enough()
			res := load.result(2 * time.Minute)
			t.Logf("ended %d times; %d accepted, %d uncertain, %v, %d receipts, %d twice", gateway.ended, res.Accepted, res.Uncertain, res.Statuses, res.Receipts, res.Dup)
			if count, _ := got.books(); res.Missing > 0 || len(count) < int(res.Accepted) {
				t.Errorf("%d messages accepted, the carrier has %d; %d receipts missing", res.Accepted, len(count), res.Missing)
			}
			if code := gateway.end(); code != exitDone {
				t.Errorf("exit code %d at the end", code)
			}
			for _, p := range gateway.runs[:gateway.ended] {
				if code := p.cmd.ProcessState.ExitCode(); code != exitFailed {
					t.Errorf("it ended with exit code %d, want %d", code, exitFailed)
				}
				if !strings.Contains(p.output(), "no space left") && !strings.Contains(p.output(), "a start wants") || strings.Contains(p.output(), "goroutine ") {
					t.Errorf("it does not say why it ended, or by a panic: %s", tail(p.output(), 1000))
				}
			}
		})
	}
}
