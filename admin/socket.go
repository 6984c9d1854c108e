package admin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"sync"
	"time"
)

// pathMost is how long the path of a socket may be: 108 octets with the NUL at its end on
// Linux, and less elsewhere.
const pathMost = 100

// socketPath is a path that the kernel takes for a socket file: the file's own, or, where
// that is too long, one through an open folder. release is called when nothing is done
// with it any more.
func socketPath(path string) (short string, release func(), err error) {
	if len(path) <= pathMost {
		return path, func() {}, nil
	}
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return "", nil, err
	}
	short = fmt.Sprintf("/proc/self/fd/%d/%s", dir.Fd(), filepath.Base(path))
	if _, err := os.Stat(filepath.Dir(short)); err != nil {
		dir.Close()
		return "", nil, fmt.Errorf("%s: the path is too long for a socket, choose a shorter data folder than %s", path, filepath.Dir(path))
	}
	return short, func() { dir.Close() }, nil
}

// DialSocket connects to a socket file, however long its path.
func DialSocket(ctx context.Context, path string) (net.Conn, error) {
	short, release, err := socketPath(path)
	if err != nil {
		return nil, err
	}
	defer release()
	return new(net.Dialer).DialContext(ctx, "unix", short)
}

// socketListener takes its file away when it is closed.
type socketListener struct {
	*net.UnixListener
	path string
	once sync.Once
}

func (l *socketListener) Close() error {
	l.once.Do(func() { os.Remove(l.path) })
	return l.UnixListener.Close()
}

// listenSocket takes over a socket file that a killed process left behind; one that still
// answers is somebody else's.
//
// The socket is made in a folder of its own that nobody else may enter, and moved to its
// place once its mode is 0600: between bind and chmod it has the mode of the process's
// umask, and the data folder may be open to others.
func listenSocket(path string) (_ net.Listener, err error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	if c, err := DialSocket(ctx, path); err == nil {
		c.Close()
		return nil, fmt.Errorf("%s: another gateway answers there", path)
	}
	dir, err := os.MkdirTemp(filepath.Dir(path), ".admin-") // mode 0700
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	made := filepath.Join(dir, filepath.Base(path))
	short, release, err := socketPath(made)
	if err != nil {
		return nil, err
	}
	defer release()
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: short, Net: "unix"})
	if err != nil {
		return nil, err
	}
	ln.SetUnlinkOnClose(false) // that would be its first path
	if err := errors.Join(os.Chmod(made, 0o600), os.Rename(made, path)); err != nil {
		return nil, errors.Join(err, ln.Close())
	}
	return &socketListener{UnixListener: ln, path: path}, nil
}
