package pebble

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// With min_free off nothing watches the disk until a write meets a full one. From then on
// submits are refused, and taken again when there is room: not only after a restart.
func TestAFullDiskThatNothingWatchesIsLeftWhenThereIsRoom(t *testing.T) {
	for _, ballast := range []int64{-1, 1 << 20} {
		dir := filepath.Join(t.TempDir(), "queue")
		s, err := Open(context.Background(), Options{Dir: dir, Log: slog.New(slog.DiscardHandler), MinFree: -1, Ballast: ballast})
		if err != nil {
			t.Fatal(err)
		}
		s.giveUpBallast() // as a write does that has met ENOSPC
		s.judge(roomAgain / 2)
		if submits, receipts := s.Full(); !submits || !receipts {
			t.Errorf("ballast %d: a full disk is not full: %v %v", ballast, submits, receipts)
		}
		s.diskSoon()
		tick := time.NewTicker(5 * time.Millisecond)
		for end := time.Now().Add(10 * time.Second); ; <-tick.C {
			submits, receipts := s.Full()
			_, err := os.Stat(filepath.Join(dir, ballastFile))
			if !submits && !receipts && (err == nil) == (ballast > 0) {
				break
			}
			if time.Now().After(end) {
				t.Fatalf("ballast %d: full %v %v, ballast file %v", ballast, submits, receipts, err)
			}
		}
		tick.Stop()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}
}
