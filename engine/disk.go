package engine

import (
	"errors"
	"fmt"
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// ErrFull is wrapped by what a store answers while its disk has no room.
var ErrFull = errors.New("the disk is nearly full")

// disk knows how much room the folder's disk has left. Pebble is not to meet a full one:
// a log that cannot be written ends the process.
type disk struct {
	free atomic.Int64 // octets at the last look; -1: unknown
	full atomic.Bool  // below MinFree
}

// Full says that less than MinFree is left: what would grow the store must be refused.
func (d *DB) Full() bool { return d.disk.full.Load() }

// Room is ErrFull, with the store's name and folder, while Full; else nil.
func (d *DB) Room() error {
	if !d.Full() {
		return nil
	}
	return fmt.Errorf("%s: %w: %d MiB are free where %s is, %d MiB must stay", d.o.Name, ErrFull, d.disk.free.Load()>>20, d.o.Dir, d.o.MinFree>>20)
}

func (d *DB) freeBytes() (int64, error) {
	u, err := d.o.FS.GetDiskUsage(d.o.Dir)
	if err != nil {
		return 0, err
	}
	return int64(u.AvailBytes), nil
}

// checkRoom refuses a start below a quarter of MinFree.
func (d *DB) checkRoom() error {
	d.disk.free.Store(-1)
	if d.o.MinFree < 0 {
		return nil
	}
	free, err := d.freeBytes()
	switch {
	case errors.Is(err, vfs.ErrUnsupported):
		return nil
	case err != nil:
		return fmt.Errorf("%s: asking for free space in %s: %w", d.o.Name, d.o.Dir, err)
	case free < d.o.MinFree/4:
		return fmt.Errorf("%s: %s has %d MiB free, a start wants %d MiB (a quarter of min_free): free some or lower min_free", d.o.Name, d.o.Dir, free>>20, d.o.MinFree>>22)
	}
	d.judge(free)
	return nil
}

func (d *DB) judge(free int64) {
	full := free < d.o.MinFree
	d.disk.free.Store(free)
	if d.disk.full.Swap(full) == full {
		return
	}
	at := []any{slog.String("store", d.o.Name), slog.String("folder", d.o.Dir), slog.Int64("free_bytes", free)}
	if full {
		d.o.Log.Error("disk is nearly full: the store takes nothing new until there is room", append(at, slog.Int64("min_free_bytes", d.o.MinFree))...)
	} else {
		d.o.Log.Info("disk has room again", at...)
	}
}

// watchDisk is a goroutine: it looks every second.
func (d *DB) watchDisk() {
	t := time.NewTicker(time.Second)
	defer t.Stop()
	for {
		select {
		case <-t.C:
		case <-d.quit:
			return
		}
		free, err := d.freeBytes()
		if errors.Is(err, vfs.ErrUnsupported) {
			return
		}
		if err != nil {
			d.o.Log.Warn("free space of a store is unknown", slog.String("store", d.o.Name), slog.String("folder", d.o.Dir), slog.Any("err", err))
			continue
		}
		d.judge(free)
	}
}
