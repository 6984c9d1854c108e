package pebble

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	pdb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"
)

// Options says where the store is and how much it may hold. Only Dir has no default.
type Options struct {
	Dir  string
	FS   vfs.FS // nil: the disk
	Node uint16 // 0..1023, the lowest 10 bits of every id; unique in a cluster

	Log        *slog.Logger          // nil: slog.Default
	Registerer prometheus.Registerer // nil: no metrics

	MinFree int64 // octets free on disk below which submits are refused; 0: 1GiB, negative: not watched
	Ballast int64 // octets kept in a file that is given up when the disk is full; 0: 64MiB, negative: none

	Room        int64 // messages waiting in all; 0: 20,000,000
	AccountRoom int64 // messages waiting of one account and class; 0: Room
	OutboxMax   int64 // deliveries waiting of one account; 0: 1,000,000

	// OutboxMaxOf gives accounts, by name, a bound of their own; nil or 0: OutboxMax. It is
	// asked by the committer, each second of each outbox, so it neither blocks nor calls the
	// Store; what it says may change.
	OutboxMaxOf func(account string) int64

	UnmatchedMax int           // receipts kept of one carrier that matched nothing; 0: 10,000
	UnmatchedTTL time.Duration // and how long; 0: 72h

	History time.Duration // how long the facts of an ended message are kept; 0: 7 days

	InboxSteps     int   // steps that may wait for the committer; 0: 16,384
	ReadAhead      int   // messages of one lane read into memory at first, up to 16 times that where it drains fast; 0: 256
	ReadAheadBytes int64 // and of all lanes and outboxes, beyond which each gets but a few; 0: 32MiB

	CacheBytes int64 // Pebble's block cache; 0: 64MiB

	Now   func() time.Time // nil: time.Now
	Fatal func(error)      // called when a write may be lost; should end the process. nil: log and exit 1

	memTable uint64 // tests only: octets; 0: 64MiB
	misuse   func(pdb.PossibleAPIMisuseInfo)
	observe  func(*pdb.DB, *pdb.Batch) // tests only: sees each batch before it is applied
}

func (o *Options) fill() error {
	if o.Dir == "" {
		return errors.New("store: no folder given")
	}
	if o.Node > 1023 {
		return fmt.Errorf("store: node %d: ids have 10 bits for it, 0 to 1023", o.Node)
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
		o.memTable = 64 << 20
	}
	or(&o.MinFree, 1<<30)
	or(&o.Ballast, 64<<20)
	or(&o.Room, 20_000_000)
	or(&o.AccountRoom, o.Room)
	or(&o.OutboxMax, 1_000_000)
	or(&o.UnmatchedMax, 10_000)
	or(&o.UnmatchedTTL, 72*time.Hour)
	or(&o.History, 7*24*time.Hour)
	or(&o.InboxSteps, 16384)
	or(&o.ReadAhead, 256)
	or(&o.ReadAheadBytes, 32<<20)
	or(&o.CacheBytes, 64<<20)
	return nil
}

// or sets v to its default where it has none.
func or[T int | int64 | time.Duration](v *T, otherwise T) {
	if *v == 0 {
		*v = otherwise
	}
}
