package pebble

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/queue"
)

// disk knows how much room the folder's disk has left.
type disk struct {
	level    atomic.Int32 // how many classes find no room, from the lowest up
	receipts atomic.Bool  // not even receipts and mobile-originated messages fit
	free     atomic.Int64 // octets at the last look; -1: the file system does not say
	soon     chan struct{}

	mu      sync.Mutex // of the ballast file
	ballast bool       // it is there
}

const ballastFile = "ballast"

// free is how many octets are left for us.
func (s *Store) free() (int64, error) {
	u, err := s.o.FS.GetDiskUsage(s.o.Dir)
	if err != nil {
		return 0, err
	}
	return int64(u.AvailBytes), nil
}

// checkRoom refuses a start below a quarter of MinFree: what is left is for ending well.
func (s *Store) checkRoom() error {
	s.disk.free.Store(-1)
	if s.o.MinFree <= 0 {
		return nil
	}
	free, err := s.free()
	if errors.Is(err, vfs.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("store: asking for free space in %s: %w", s.o.Dir, err)
	}
	if free < s.o.MinFree/4 {
		return fmt.Errorf("store: %s has %d MiB free, a start wants %d MiB (a quarter of min_free): free some or lower min_free", s.o.Dir, free>>20, s.o.MinFree>>22)
	}
	s.judge(free)
	return nil
}

// fullFrom gives how many classes find no room with free octets left, and whether even
// receipts find none. Bulk is refused when min_free is 80% of what is free, normal at
// 90%, urgent when less than min_free is left.
func fullFrom(free, minFree int64) (classes int32, receipts bool) {
	switch {
	case free < minFree:
		classes = queue.Classes
	case free < minFree*10/9:
		classes = 2
	case free < minFree*10/8:
		classes = 1
	}
	return classes, free < minFree/4
}

// roomAgain is how much has to be free, in octets, after a full disk that min_free does not
// watch over.
const roomAgain = 8 << 20

func (s *Store) judge(free int64) {
	classes, receipts := fullFrom(free, s.o.MinFree)
	if s.o.MinFree <= 0 && s.disk.level.Load() == queue.Classes && free < max(2*s.o.Ballast, roomAgain) {
		// Unwatched, and a write has met a full disk: the ballast that it was given is not
		// for submits.
		classes, receipts = queue.Classes, true
	}
	s.disk.free.Store(free)
	s.disk.receipts.Store(receipts)
	if was := s.disk.level.Swap(classes); (was == queue.Classes) != (classes == queue.Classes) {
		if classes == queue.Classes {
			s.o.Log.Error("disk is nearly full: submits are refused until there is room",
				slog.String("folder", s.o.Dir), slog.Int64("free_bytes", free), slog.Int64("min_free_bytes", s.o.MinFree))
		} else {
			s.o.Log.Info("disk has room again", slog.String("folder", s.o.Dir), slog.Int64("free_bytes", free))
		}
	}
}

// Full says what the disk has no room for: any submit, and even carriers' deliver_sm.
func (s *Store) Full() (submits, receipts bool) {
	return s.disk.level.Load() == queue.Classes, s.disk.receipts.Load()
}

// watchDisk is a goroutine: it looks every second, and after each flush.
func (s *Store) watchDisk() {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-s.disk.soon:
		case <-s.quit:
			return
		}
		free, err := s.free()
		if err != nil {
			if !errors.Is(err, vfs.ErrUnsupported) {
				s.o.Log.Warn("free space is unknown", slog.String("folder", s.o.Dir), slog.Any("err", err))
				continue
			}
			return
		}
		s.judge(free)
		if free > max(s.o.MinFree, 0)+2*max(s.o.Ballast, 0) {
			s.makeBallast()
		}
	}
}

// diskSoon asks for a look at the disk. Pebble calls it after a flush.
func (s *Store) diskSoon() {
	select {
	case s.disk.soon <- struct{}{}:
	default:
	}
}

// makeBallast makes the file that is given up when the disk is full.
func (s *Store) makeBallast() {
	if s.o.Ballast <= 0 {
		return
	}
	if s.o.MinFree > 0 && s.disk.free.Load() >= 0 && s.disk.free.Load() < s.o.MinFree {
		return
	}
	s.disk.mu.Lock()
	defer s.disk.mu.Unlock()
	if s.disk.ballast {
		return
	}
	fs := s.o.FS
	name := fs.PathJoin(s.o.Dir, ballastFile)
	// One from the last run is made anew: its size does not tell whether its octets are there.
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err == nil {
		err = errors.Join(f.Preallocate(0, s.o.Ballast), f.Close())
	}
	if err != nil {
		fs.Remove(name)
		s.o.Log.Warn("no ballast against a full disk", slog.String("folder", s.o.Dir), slog.Any("err", err))
		return
	}
	s.disk.ballast = true
}

// giveUpBallast runs when a write has met a full disk, which is then tried once more.
func (s *Store) giveUpBallast() {
	s.disk.mu.Lock()
	had := s.disk.ballast
	s.disk.ballast = false
	err := s.o.FS.Remove(s.o.FS.PathJoin(s.o.Dir, ballastFile))
	s.disk.mu.Unlock()
	s.disk.level.Store(queue.Classes)
	s.disk.receipts.Store(true)
	s.o.Log.Error("disk is full", slog.String("folder", s.o.Dir), slog.Bool("ballast_freed", had && err == nil))
	s.diskSoon()
}
