package pebble

import (
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/service"
)

// ErrFull is wrapped by what Apply answers while the disk has no room.
var ErrFull = errors.New("the disk of the registry is nearly full")

// disk knows how much room the folder's disk has left. Pebble is not to meet a full one:
// a log that cannot be written ends the process.
type disk struct {
	free  atomic.Int64 // octets at the last look; -1: unknown
	level atomic.Int32 // 1: below MinFree, 2: below a quarter of it
}

// refuses says why changes find no room. Below MinFree what protects people is still
// taken; below a quarter of it nothing is.
func (d *disk) refuses(list []service.Change) error {
	switch d.level.Load() {
	case 0:
		return nil
	case 1:
		for i := range list {
			if !protects[list[i].Kind&15] {
				return fmt.Errorf("registry: %w", ErrFull)
			}
		}
		return nil
	}
	return fmt.Errorf("registry: %w", ErrFull)
}

// protects are the changes after which fewer messages leave.
var protects = [16]bool{
	service.Withdraw: true, service.MarkRecycled: true, service.NoteUnknown: true, service.BlockNumber: true, service.Erase: true,
}

func (r *Registry) free() (int64, error) {
	u, err := r.o.FS.GetDiskUsage(r.o.Dir)
	if err != nil {
		return 0, err
	}
	return int64(u.AvailBytes), nil
}

// checkRoom refuses a start below a quarter of MinFree.
func (r *Registry) checkRoom() error {
	r.disk.free.Store(-1)
	if r.o.MinFree <= 0 {
		return nil
	}
	free, err := r.free()
	if errors.Is(err, vfs.ErrUnsupported) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("registry: asking for free space in %s: %w", r.o.Dir, err)
	}
	if free < r.o.MinFree/4 {
		return fmt.Errorf("registry: %s has %d MiB free, a start wants %d MiB (a quarter of min_free): free some or lower min_free", r.o.Dir, free>>20, r.o.MinFree>>22)
	}
	r.judge(free)
	return nil
}

func (r *Registry) judge(free int64) {
	level := int32(0)
	switch {
	case free < r.o.MinFree/4:
		level = 2
	case free < r.o.MinFree:
		level = 1
	}
	r.disk.free.Store(free)
	if was := r.disk.level.Swap(level); (was > 0) != (level > 0) {
		if level > 0 {
			r.o.Log.Error("disk is nearly full: enrolments are refused until there is room",
				slog.String("folder", r.o.Dir), slog.Int64("free_bytes", free), slog.Int64("min_free_bytes", r.o.MinFree))
		} else {
			r.o.Log.Info("disk has room again", slog.String("folder", r.o.Dir), slog.Int64("free_bytes", free))
		}
	}
}

// watchDisk is a goroutine: it looks every second.
func (r *Registry) watchDisk() {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-r.quit:
			return
		}
		free, err := r.free()
		if err != nil {
			if !errors.Is(err, vfs.ErrUnsupported) {
				r.o.Log.Warn("free space of the registry is unknown", slog.String("folder", r.o.Dir), slog.Any("err", err))
				continue
			}
			return
		}
		r.judge(free)
	}
}
