package engine

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// ErrHeld says that another process has the folder open.
var ErrHeld = errors.New("the folder is in use")

// Prepare makes a store's folder and proves that files can be made in it. name is what
// errors call the store.
func Prepare(fs vfs.FS, name, dir string) error {
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("%s: making folder %s: %w", name, dir, err)
	}
	probe := fs.PathJoin(dir, "probe")
	f, err := fs.Create(probe, vfs.WriteCategoryUnspecified)
	if err == nil {
		err = errors.Join(f.Close(), fs.Remove(probe))
	}
	if err != nil {
		return fmt.Errorf("%s: cannot write in folder %s (is it this user's?): %w", name, dir, err)
	}
	return nil
}

// ownerFile names the process that has the folder open, for the error of the next one.
const ownerFile = "owner"

// Lock makes the folder this process's own until the lock is closed, and writes down since
// when. ErrHeld, with who has it: another process got there first.
func Lock(fs vfs.FS, name, dir string, now time.Time) (*pebble.Lock, error) {
	file := fs.PathJoin(dir, ownerFile)
	lock, err := pebble.LockDirectory(dir, fs)
	if err != nil {
		holder := "another process"
		if f, err := fs.Open(file); err == nil {
			if b, err := io.ReadAll(io.LimitReader(f, 200)); err == nil && len(b) > 0 {
				holder = strings.TrimSpace(string(b))
			}
			f.Close()
		}
		return nil, fmt.Errorf("%s: %w: %s is held by %s: %w", name, ErrHeld, dir, holder, err)
	}
	host, _ := os.Hostname()
	owner := fmt.Sprintf("process %d on %s, since %s\n", os.Getpid(), host, now.UTC().Format(time.RFC3339))
	if f, err := fs.Create(file, vfs.WriteCategoryUnspecified); err == nil {
		io.WriteString(f, owner) // only for a message: its loss costs nothing
		f.Close()
	}
	return lock, nil
}
