package gateway

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
)

// haltFormat is the version of the halts' file. A later one is refused: to run without
// halts that somebody relies on is worse than not to start.
const haltFormat = 1

// haltRecord is what the halts' file holds.
type haltRecord struct {
	Format int    `json:"format"`
	Given  uint64 `json:"given"` // the number of the latest halt
	Halts  []Halt `json:"halts"`
}

// load reads the halts of before a restart. No file: there are none.
func (k *halts) load() ([]Halt, uint64, error) {
	if k.file == "" {
		return nil, 0, nil
	}
	octets, err := os.ReadFile(k.file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, 0, nil
	}
	if err != nil {
		return nil, 0, fmt.Errorf("halts: %w", err)
	}
	var r haltRecord
	if err := json.Unmarshal(octets, &r); err != nil {
		return nil, 0, fmt.Errorf("halts: %s cannot be read: %w", k.file, err)
	}
	if r.Format != haltFormat {
		return nil, 0, fmt.Errorf("halts: %s has format %d, not %d", k.file, r.Format, haltFormat)
	}
	return r.Halts, r.Given, nil
}

// store writes a set of halts so that a crash leaves either this or what was before.
// REQUIRES: k.mu.
func (k *halts) store(s *haltSet, given uint64) error {
	if k.file == "" {
		return nil
	}
	r := haltRecord{Format: haltFormat, Given: given, Halts: make([]Halt, 0, s.len())}
	for _, h := range s.all() {
		r.Halts = append(r.Halts, h.Halt)
	}
	octets, err := json.MarshalIndent(&r, "", "\t")
	if err != nil {
		return err
	}
	if err := replaceFile(k.file, append(octets, '\n')); err != nil {
		return fmt.Errorf("%w: %w", errNotStored, err)
	}
	return nil
}

// replaceFile puts a file in another's place, durably.
func replaceFile(path string, octets []byte) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, filepath.Base(path)+".*")
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(f.Name())
		}
	}()
	_, err = f.Write(octets)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
