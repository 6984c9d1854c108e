package pebble

import (
	"encoding/json"
	"log/slog"
	"time"

	pdb "github.com/cockroachdb/pebble/v2"

	"masar/number"
	"masar/service"
)

const (
	tickEvery  = time.Minute
	sweepEvery = time.Hour
	sweepMost  = 10_000 // blocks that have expired, in one sweep
)

// expiry is the channel that takes off a block whose time is over.
const expiry = "expiry"

// tick is the writer's work of each minute.
func (w *writer) tick(now time.Time) {
	w.forgetFilter(now)
	if now.Sub(w.swept) >= sweepEvery {
		w.sweep()
	}
}

// sweep removes what has grown old: codes that ended, keys and bookmarks past their
// keeping, blocks that expired. It is the writer's own work, so that nothing of it changes
// between the look and the removal.
func (w *writer) sweep() {
	w.swept = time.Now()
	now := w.r.o.Now()
	w.batch.Reset()
	n := 0
	remove := func(k []byte) error {
		n++
		return w.batch.Delete(k, nil)
	}
	err := scan(w.r.db, []byte{kindCode}, func(k, v []byte) error {
		if c, err := decodeCode(v); err == nil && c.until < now.UnixMilli() {
			return remove(k)
		}
		return nil
	})
	if err == nil {
		err = scan(w.r.db, []byte{kindOnce}, func(k, v []byte) error {
			if o, err := decodeOnce(v); err == nil && w.r.old(o.At) {
				return remove(k)
			}
			return nil
		})
	}
	if err == nil {
		err = scan(w.r.db, []byte{kindBookmark}, func(k, v []byte) error {
			var m service.Bookmark
			if json.Unmarshal(v, &m) == nil && w.r.old(m.At) {
				return remove(k)
			}
			return nil
		})
	}
	var expired []service.Change
	if err == nil {
		err = scan(w.r.db, []byte{kindBlocked}, func(k, v []byte) error {
			l, err := decodeBlocked(v)
			if err != nil || len(k) != numberKeyLen || l.expires == 0 || now.Unix() < l.expires || len(expired) == sweepMost {
				return nil
			}
			expired = append(expired, service.Change{
				Kind: service.UnblockNumber, Number: number.E164(be.Uint64(k[1:])), Channel: expiry, Now: now,
			})
			return nil
		})
	}
	if err != nil {
		w.r.o.Log.Error("registry could not look for what is old", slog.Any("err", err))
		return
	}
	if n > 0 {
		if err := w.r.db.Apply(w.batch, pdb.Sync); err != nil {
			w.r.logger.die(err)
		}
	}
	if len(expired) > 0 {
		q := &request{batch: service.Batch{Changes: expired}}
		w.commit([]*request{q})
		if q.err != nil {
			w.r.o.Log.Error("registry could not take off blocks that expired", slog.Any("err", q.err))
			return
		}
		n += len(expired)
	}
	if n > 0 {
		w.r.o.Log.Debug("registry removed what is old", slog.Int("rows", n))
	}
}
