package campaign_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/service/campaign"
	"masar/smpp/pdu"
)

// What was answered before a power cut is there after it, what was not is there or not, and
// the counts are the sum of the rows either way.
func TestWhatWasAnsweredOutlivesPowerCuts(t *testing.T) {
	const rows = 400
	for seed := range uint64(20) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			chance := rand.New(rand.NewPCG(seed, 1))
			fs := vfs.NewCrashableMem()
			s := open(t, fs)
			id := made(t, s).ID
			var b strings.Builder
			b.WriteString("number\n")
			for i := range rows {
				fmt.Fprintf(&b, "9665%08d\n", i)
			}
			load(t, s, id, b.String())
			run(t, s, id)

			var mu sync.Mutex
			handed, ended := uint64(0), map[uint64]bool{} // as answered
			after, cut := fs, make(chan struct{})
			at := chance.IntN(60)
			step := func() bool { // takes the picture once
				mu.Lock()
				defer mu.Unlock()
				select {
				case <-cut:
					return false
				default:
				}
				if at--; at < 0 {
					after = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: chance.IntN(101), RNG: chance})
					close(cut)
					return false
				}
				return true
			}
			var wg sync.WaitGroup
			told := make(chan uint64, rows)
			wg.Go(func() {
				defer close(told)
				for row := uint64(2); row < rows+2 && step(); row += 10 {
					var list []campaign.Handed
					for i := range uint64(10) {
						list = append(list, campaign.Handed{Row: row + i, Message: 1000 + row + i, Parts: 1})
						if i%3 == 0 {
							told <- row + i // its end may come before, or after
						}
					}
					if _, err := s.Handed(id, list, row+9, began); err != nil {
						t.Error(err)
						return
					}
					mu.Lock()
					select {
					case <-cut:
					default:
						handed = row + 9
					}
					mu.Unlock()
				}
			})
			wg.Go(func() {
				for row := range told {
					if !step() {
						continue
					}
					if n, err := s.Ends([]campaign.End{{Campaign: id, Row: row, Message: 1000 + row, State: pdu.StateDelivered, At: began}}); n != 0 || err != nil {
						t.Error(n, err)
						return
					}
					mu.Lock()
					select {
					case <-cut:
					default:
						ended[row] = true
					}
					mu.Unlock()
				}
			})
			wg.Wait()
			s.Close()
			s = open(t, after)
			c, err := s.Campaign(id)
			if err != nil {
				t.Fatal(err)
			}
			holds(t, &c)
			if c.Fed() < handed {
				t.Errorf("row %d was recorded as handed over, the store says %d", handed, c.Fed())
			}
			states := map[string]int64{}
			for row, r := range report(t, s, id) {
				states[r[3]]++
				var n uint64
				fmt.Sscan(row, &n)
				if ended[n] && r[3] != "DELIVRD" || n <= handed && r[3] == "left" || r[2] != "" && r[2] != fmt.Sprintf("%016x", 1000+n) {
					t.Errorf("row %d: %v", n, r)
				}
			}
			if states["DELIVRD"] != c.Counts.Ended["DELIVRD"] || states["accepted"] != c.Counts.Waiting || states["left"] != c.Counts.Left {
				t.Errorf("the report has %v, the counts %+v", states, c.Counts)
			}
		})
	}
}

// slowFile breaks off behind some of its rows.
type slowFile struct {
	r    io.Reader
	left int
	then func() error
}

func (f *slowFile) Read(p []byte) (int, error) {
	if f.left <= 0 {
		return 0, f.then()
	}
	n, err := f.r.Read(p[:min(len(p), f.left, 1000)])
	f.left -= n
	return n, err
}

func TestAnUploadThatBreaksOffLeavesNothing(t *testing.T) {
	fs := vfs.NewCrashableMem()
	s := open(t, fs)
	id := load(t, s, made(t, s).ID, "number\n966501234567\n").ID
	text := "number\n" + strings.Repeat("966501234568\n", 100_000)
	broken := errors.New("connection reset")
	var during *vfs.MemFS
	_, err := s.Load(t.Context(), id, &slowFile{strings.NewReader(text), len(text) / 2, func() error {
		// Somebody else, and a power cut, while it comes.
		if _, err := s.Load(t.Context(), id, strings.NewReader(text), campaign.Format{}, 0, schemaOf()); !errors.Is(err, campaign.ErrBusy) {
			t.Errorf("a second file at the same time: %v", err)
		}
		if err := s.Delete(id); !errors.Is(err, campaign.ErrBusy) {
			t.Errorf("deleted while a file comes: %v", err)
		}
		during = fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: 100, RNG: rand.New(rand.NewPCG(1, 1))})
		return broken
	}}, campaign.Format{}, 0, schemaOf())
	if !errors.Is(err, broken) {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	_, err = s.Load(ctx, id, &slowFile{strings.NewReader(text), len(text) / 2, func() error { cancel(); return ctx.Err() }}, campaign.Format{}, 0, schemaOf())
	if !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	s.Close()
	for _, disk := range []*vfs.MemFS{fs, during} {
		s := open(t, disk)
		if c, err := s.Campaign(id); err != nil || c.Counts.Rows != 1 {
			t.Errorf("%+v %v", c, err)
		}
		if left, err := disk.List("campaigns/files"); err == nil && len(left) > 0 {
			t.Errorf("left behind: %v", left)
		}
		if got := report(t, s, id); len(got) != 1 {
			t.Errorf("%d rows", len(got))
		}
		// The next one is taken.
		if c := load(t, s, id, text); c.Counts.Rows != 100_000 || c.Counts.Duplicate != 99_999 {
			t.Errorf("%+v", c.Counts)
		}
		s.Close()
	}
}

func TestRowsOfAFileThatWasReplacedAreNotRead(t *testing.T) {
	s := open(t, vfs.NewMem())
	c := load(t, s, made(t, s).ID, "number\n966501234567\n966501234568\n966501234569\n")
	old := c.Generation()
	c = load(t, s, c.ID, "number\n966501234561\n")
	if rows, err := s.Rows(c.ID, old, 0, 10, nil); err != nil || len(rows) != 0 {
		t.Errorf("%+v %v", rows, err)
	}
	if rows, err := s.Rows(c.ID, c.Generation(), 0, 10, nil); err != nil || len(rows) != 1 || rows[0].Number != 966501234561 {
		t.Errorf("%+v %v", rows, err)
	}
	if c.Counts.Rows != 1 || c.Changed != began || c.Tested != (time.Time{}) {
		t.Errorf("%+v", c)
	}
}
