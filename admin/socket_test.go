package admin

import (
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
)

func TestTheSocketIsNeverOpenToOthers(t *testing.T) {
	old := syscall.Umask(0) // a process without one: a socket is made with mode 0777
	defer syscall.Umask(old)
	path := filepath.Join(t.TempDir(), SocketName)
	var stop atomic.Bool
	watched := make(chan int)
	go func() {
		seen := 0
		for !stop.Load() {
			// Under every name it has in its folder, but not in folders nobody else may enter.
			st, err := os.Lstat(path)
			if err == nil {
				seen++
				if st.Mode().Perm() != 0o600 {
					t.Errorf("mode %v", st.Mode())
					break
				}
			}
		}
		watched <- seen
	}()
	for range 300 {
		ln, err := listenSocket(path)
		if err != nil {
			t.Fatal(err)
		}
		st, err := os.Stat(path)
		if err != nil || st.Mode().Perm() != 0o600 || st.Mode().Type() != os.ModeSocket {
			t.Fatalf("%v, %v", st.Mode(), err)
		}
		ln.Close()
	}
	stop.Store(true)
	if <-watched == 0 {
		t.Error("the socket was never seen")
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 0 {
		t.Errorf("left in the folder: %v, %v", left, err)
	}
}

func TestASocketsPathMayBeLong(t *testing.T) {
	dir := filepath.Join(t.TempDir(), strings.Repeat("long/", 40))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, SocketName)
	ln, err := listenSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	defer ln.Close()
	heard := make(chan string, 1)
	go func() {
		c, err := ln.Accept()
		if err != nil {
			heard <- err.Error()
			return
		}
		defer c.Close()
		b := make([]byte, 5)
		n, _ := c.Read(b)
		heard <- string(b[:n])
	}()
	c, err := DialSocket(t.Context(), path)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	if s := <-heard; s != "hello" {
		t.Errorf("heard %q", s)
	}
	if _, err := listenSocket(path); err == nil || !strings.Contains(err.Error(), "another gateway answers") {
		t.Errorf("a second one: %v", err)
	}
}

func TestASocketThatWasLeftBehindIsTakenOver(t *testing.T) {
	path := filepath.Join(t.TempDir(), SocketName)
	dead, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	dead.SetUnlinkOnClose(false)
	dead.Close() // as kill -9 leaves it
	ln, err := listenSocket(path)
	if err != nil {
		t.Fatal(err)
	}
	ln.Close()
	ln.Close()
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it is still there: %v", err)
	}
}
