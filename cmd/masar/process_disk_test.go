package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
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

func (r *received) end(systemID, _ string, err error) {
	r.mu.Lock()
	r.ended = append(r.ended, fmt.Sprintf("%s: %v", systemID, err))
	r.mu.Unlock()
}

// diskSite is a gateway whose data folder is on a small disk of its own.
func diskSite(t *testing.T, o smpptest.SMSCOptions) (*site, *filler, *received, *smpptest.SMSC) {
	disk := tmpfs(t, diskSize, 0)
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
	s, other, got, carrier := diskSite(t, smpptest.SMSCOptions{
		Latency: 5 * time.Millisecond, ReceiptDelay: 1500 * time.Millisecond, ReceiptJitter: 1500 * time.Millisecond, ReceiptRetry: 100 * time.Millisecond,
	})
	gateway := s.start()
	// No Reconnect: a bind that ends ends the run.
	load := s.load(smppload.Options{Binds: 2, Window: 20, Rate: 400, Duration: 7 * time.Second, Receipts: true})
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
	if res.Missing > 0 || res.Dup > 0 || len(got.count) != int(res.Accepted) {
		t.Errorf("%d messages accepted, the carrier has %d; %d receipts missing, %d twice", res.Accepted, len(got.count), res.Missing, res.Dup)
	}
	if len(got.ended) > 0 {
		t.Errorf("carrier binds did not stay: %v", got.ended)
	}
	gateway.signal(syscall.SIGTERM)
	if code := gateway.ends(30 * time.Second); code != exitDone {
		t.Errorf("exit code %d", code)
	}
}

// A disk that is filled to its last octet in one go, faster than anybody looks: the
// gateway lives on its ballast, or ends with exit code 1 and says why; with room again
// and a start, nothing that was accepted is lost.
func TestADiskFilledToTheLastOctetCostsNothingAccepted(t *testing.T) {
	t.Parallel()
	s, other, got, _ := diskSite(t, smpptest.SMSCOptions{Latency: 5 * time.Millisecond, ReceiptDelay: 200 * time.Millisecond, ReceiptRetry: 100 * time.Millisecond})
	gateway := s.start()
	load := s.load(smppload.Options{Binds: 2, Window: 50, Rate: 2000, Duration: 8 * time.Second, Receipts: true, Reconnect: true, Linger: 500 * time.Millisecond})
	load.more(500, 20*time.Second)
	other.leave(0)
	met, _ := gateway.seeFrom(0, `disk is full|disk is nearly full|(?i)no space left`, 20*time.Second)
	t.Logf("it said: %s", met[0])
	at := *load.now.Load()
	// It may write on for a while, into the ballast and into what its log had allocated.
	ended := false
	load.until("submits are refused, or the process has ended", 20*time.Second, func(p smppload.Progress) bool {
		select {
		case <-gateway.done:
			ended = true
		default:
		}
		return ended || p.Refused > at.Refused+20
	})
	other.free()
	if ended {
		if code := gateway.cmd.ProcessState.ExitCode(); code != exitFailed {
			t.Errorf("exit code %d, want %d", code, exitFailed)
		}
		if !strings.Contains(gateway.output(), "no space left") || strings.Contains(gateway.output(), "goroutine ") {
			t.Error("it does not say why it ended, or by a panic")
		}
		gateway = s.start()
	} else {
		gateway.see(`disk has room again`, 10*time.Second)
	}
	load.more(100, 20*time.Second)
	res := load.result(90 * time.Second)
	t.Logf("ended: %v; %d accepted, %d uncertain, %v, %d receipts, %d twice", ended, res.Accepted, res.Uncertain, res.Statuses, res.Receipts, res.Dup)
	for n, o := range res.Ledger.All {
		if o.Has(smppload.Accepted) && !o.Has(smppload.Receipted) {
			t.Errorf("message %d was accepted and its receipt never came", n)
			break
		}
	}
	if res.Missing > 0 || len(got.count) < int(res.Accepted) {
		t.Errorf("%d messages accepted, the carrier has %d; %d receipts missing", res.Accepted, len(got.count), res.Missing)
	}
}
