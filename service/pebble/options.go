package pebble

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"masar/service"
)

// Options says where the registry is. Only Dir has no default.
type Options struct {
	Dir string
	FS  vfs.FS // nil: the disk

	Log        *slog.Logger          // nil: slog.Default
	Registerer prometheus.Registerer // nil: no metrics

	Cache      int            // numbers whose standing is kept in memory; 0: 250,000
	Limits     service.Limits // zero fields: their defaults
	MinFree    int64          // octets free on disk below which changes are refused; 0: 1GiB, negative: not watched
	CacheBytes int64          // Pebble's block cache, filters included; 0: 128MiB

	Now   func() time.Time // nil: time.Now; only what grows old is measured with it
	Fatal func(error)      // called when a write may be lost; should end the process. nil: log and exit 1

	memTable uint64 // octets; 0: 64MiB
}

// maxUnknownTimes is how many failures as unknown subscriber a number's row has room for.
const maxUnknownTimes = 8

func (o *Options) fill() error {
	if o.Dir == "" {
		return errors.New("registry: no folder given")
	}
	if o.FS == nil {
		o.FS = vfs.Default
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.memTable == 0 {
		o.memTable = 32 << 20
	}
	or(&o.Cache, 250_000)
	or(&o.MinFree, 1<<30)
	or(&o.CacheBytes, 128<<20)
	l := &o.Limits
	or(&l.UnknownTimes, 3)
	or(&l.UnknownDays, 30)
	or(&l.CodeTries, 5)
	or(&l.People, 20)
	or(&l.Keep, 7*24*time.Hour)
	switch {
	case l.UnknownTimes < 1 || l.UnknownTimes > maxUnknownTimes:
		return fmt.Errorf("registry: limit of %d failures as unknown subscriber: 1 to %d", l.UnknownTimes, maxUnknownTimes)
	case l.UnknownDays < 1 || l.CodeTries < 1 || l.People < 1 || l.Keep < 0:
		return fmt.Errorf("registry: limits below 1: %+v", *l)
	case l.CodeTries > 255:
		return fmt.Errorf("registry: limit of %d tries of a code: at most 255", l.CodeTries)
	case o.Cache < 0:
		return fmt.Errorf("registry: a cache of %d numbers", o.Cache)
	}
	return nil
}

// or sets v to its default where it has none.
func or[T int | int64 | time.Duration](v *T, otherwise T) {
	if *v == 0 {
		*v = otherwise
	}
}
