package pebble

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	pdb "github.com/cockroachdb/pebble/v2"

	"masar/service"
)

// maxAnswer is how long the answer kept with an idempotency key may be, in octets.
const maxAnswer = 4 << 10

// appendOnce appends a once row: body, when (milliseconds), answer.
func appendOnce(b []byte, o *service.Once, at time.Time) []byte {
	b = append(appendHeader(b, 0), o.Body[:]...)
	b = be.AppendUint64(b, uint64(millis(at)))
	return append(b, o.Answer...)
}

func decodeOnce(b []byte) (o service.Once, err error) {
	d, _ := open(b, 0)
	copy(o.Body[:], d.take(len(o.Body)))
	if at := d.take(8); at != nil {
		o.At = momentMillis(int64(be.Uint64(at)))
	}
	if rest := d.take(len(b) - d.at); len(rest) > 0 {
		o.Answer = append([]byte(nil), rest...)
	}
	return o, d.end("once")
}

// begun says whether a batch with this key was applied before.
func (w *writer) begun(o *service.Once) error {
	before, ok := w.once[o.Key]
	if !ok {
		var err error
		before = new(service.Once)
		ok = w.rows.get(onceKey(w.k, o.Key), func(b []byte) error {
			*before, err = decodeOnce(b)
			return err
		})
		ok = ok && !w.r.old(before.At)
	}
	switch {
	case !ok:
		return nil
	case before.Body != o.Body:
		return service.ErrKeyReused
	}
	return service.ErrOnceKnown
}

// old says whether what was kept at a moment is kept no longer.
func (r *Registry) old(at time.Time) bool { return r.o.Now().Sub(at) > r.o.Limits.Keep }

// since is from when a row's keeping counts, also where its maker did not say.
func (r *Registry) since(at time.Time) time.Time {
	if at.IsZero() {
		return r.o.Now()
	}
	return at
}

// Once is service.Registry's.
func (r *Registry) Once(ctx context.Context, key string) (service.Once, error) {
	if err := r.begin(); err != nil {
		return service.Once{}, err
	}
	defer r.end()
	v, closer, err := r.db.Get(onceKey(nil, key))
	if err == pdb.ErrNotFound {
		return service.Once{}, service.ErrNobody
	}
	if err != nil {
		return service.Once{}, fmt.Errorf("registry: reading a key: %w", err)
	}
	o, err := decodeOnce(v)
	closer.Close()
	switch {
	case err != nil:
		return service.Once{}, fmt.Errorf("registry: %w", err)
	case r.old(o.At):
		return service.Once{}, service.ErrNobody
	}
	o.Key = key
	return o, nil
}

// A bookmark's row is JSON: there is one in thousands of changes, and it keeps whatever
// fields service.Bookmark has.
func (w *writer) putBookmark(m *service.Bookmark) error {
	kept := *m
	kept.At = w.r.since(m.At)
	v, err := json.Marshal(kept)
	if err != nil {
		return err
	}
	return w.batch.Set(bookmarkKey(w.k, m.Job), v, nil)
}

// Bookmark is service.Registry's.
func (r *Registry) Bookmark(ctx context.Context, job string) (m service.Bookmark, err error) {
	if err := r.begin(); err != nil {
		return m, err
	}
	defer r.end()
	v, closer, err := r.db.Get(bookmarkKey(nil, job))
	if err == pdb.ErrNotFound {
		return m, nil
	}
	if err != nil {
		return m, fmt.Errorf("registry: reading a bookmark: %w", err)
	}
	defer closer.Close()
	if err := json.Unmarshal(v, &m); err != nil {
		return service.Bookmark{}, fmt.Errorf("registry: %w: bookmark: %w", errRow, err)
	}
	if r.old(m.At) {
		return service.Bookmark{}, nil
	}
	return m, nil
}
