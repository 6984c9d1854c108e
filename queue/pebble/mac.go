package pebble

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"os"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// keyFile holds the key of every keyed hash in the folder. Without it nobody can test
// whether a number or a text was in a message; with another one nothing is found again.
const (
	keyFile   = "hash.key"
	keyOctets = 32
	keyID     = 1
)

var errNoKey = errors.New("store: the folder has data but no hash.key; put the file back from your backup")

// macs makes keyed hashes (HMAC-SHA256, 64 bits of it).
type macs struct{ pool sync.Pool }

type mac struct {
	h    hash.Hash
	sum  [sha256.Size]byte
	sep  [2]byte
	pair []byte
}

func newMACs(key []byte) *macs {
	m := &macs{}
	m.pool.New = func() any { return &mac{h: hmac.New(sha256.New, key)} }
	return m
}

func (m *macs) get() *mac  { return m.pool.Get().(*mac) }
func (m *macs) put(x *mac) { m.pool.Put(x) }

// of hashes octets of one domain, so that equal octets in two domains look different.
func (x *mac) of(domain byte, b []byte) uint64 {
	x.h.Reset()
	x.sep[0] = domain
	x.h.Write(x.sep[:1])
	x.h.Write(b)
	return be.Uint64(x.h.Sum(x.sum[:0]))
}

// Domains of keyed hashes.
const (
	macText  = 't'
	macPair  = 'p'
	macOnce  = 'o'
	macMOSet = 'm'
)

// loadKey reads the folder's key, or makes one in a folder that has no data yet.
func loadKey(fs vfs.FS, dir string, fresh bool) ([]byte, error) {
	name := fs.PathJoin(dir, keyFile)
	f, err := fs.Open(name)
	switch {
	case err == nil:
		defer f.Close()
		key, err := io.ReadAll(f)
		if err != nil {
			return nil, fmt.Errorf("store: reading %s: %w", name, err)
		}
		if len(key) == keyOctets {
			return key, nil
		}
		if !fresh {
			return nil, fmt.Errorf("store: %s is %d octets, not %d; put the file back from your backup", name, len(key), keyOctets)
		}
	case !errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("store: reading %s: %w", name, err)
	case !fresh:
		return nil, fmt.Errorf("%w (%s)", errNoKey, name)
	}
	key := make([]byte, keyOctets)
	rand.Read(key)
	if err := writeFile(fs, dir, name, key); err != nil {
		return nil, fmt.Errorf("store: writing %s: %w", name, err)
	}
	return key, nil
}

// writeFile writes a small file that others may not read, and its folder's entry, durably.
func writeFile(fs vfs.FS, dir, name string, b []byte) error {
	f, err := fs.Create(name, vfs.WriteCategoryUnspecified)
	if err != nil {
		return err
	}
	if fs == vfs.Default {
		if err := os.Chmod(name, 0o600); err != nil {
			f.Close()
			return err
		}
	}
	if _, err := f.Write(bytes.Clone(b)); err != nil { // a vfs.File may scribble over what it is given
		f.Close()
		return err
	}
	if err := errors.Join(f.Sync(), f.Close()); err != nil {
		return err
	}
	d, err := fs.OpenDir(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
