package pebble

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"

	pdb "github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/sstable"
)

// engineOptions are Pebble's. The figures were measured with BenchmarkWholeLife: most
// rows die within seconds, so a large memtable that drops a row together with its
// SingleDelete before either reaches a file is worth more than anything below it.
func engineOptions(o *Options, lock *pdb.Lock, logger *logger, flushed func()) *pdb.Options {
	opts := &pdb.Options{
		FS:                          o.FS,
		Lock:                        lock,
		Logger:                      logger,
		FormatMajorVersion:          pdb.FormatNewest,
		CacheSize:                   o.CacheBytes,
		MemTableSize:                o.memTable,
		MemTableStopWritesThreshold: 3, // what a start after a crash reads again: at most as many memtables
		L0CompactionThreshold:       4,
		L0StopWritesThreshold:       40,
		LBaseMaxBytes:               256 << 20,
		MaxOpenFiles:                1000,
		CompactionConcurrencyRange:  func() (lower, upper int) { return 1, 2 },
		EventListener: &pdb.EventListener{
			FlushEnd: func(pdb.FlushInfo) { flushed() },
			PossibleAPIMisuse: func(i pdb.PossibleAPIMisuseInfo) {
				if o.misuse != nil {
					o.misuse(i)
				}
			},
			BackgroundError: func(err error) { logger.log.Error("store's background work", slog.Any("err", err)) },
		},
	}
	for i := range opts.Levels {
		opts.Levels[i] = pdb.LevelOptions{
			BlockSize:    32 << 10,
			FilterPolicy: bloom.FilterPolicy(10),
			Compression:  func() *sstable.CompressionProfile { return sstable.FastestCompression },
		}
	}
	opts.TargetFileSizes[0] = 16 << 20
	return opts
}

// logger is Pebble's logger. What Pebble says per file is debug to us.
type logger struct {
	log   *slog.Logger
	fatal func(error)
	once  sync.Once
	dead  chan struct{} // closed by the first Fatalf
	err   error         // why; read only after dead is closed
}

func newLogger(log *slog.Logger, fatal func(error)) *logger {
	l := &logger{log: log, fatal: fatal, dead: make(chan struct{})}
	if fatal == nil {
		l.fatal = func(err error) {
			log.Error("the store cannot go on, the process ends", slog.Any("err", err))
			os.Exit(1)
		}
	}
	return l
}

func (l *logger) Infof(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("pebble", slog.String("says", fmt.Sprintf(format, args...)))
	}
}

func (l *logger) Errorf(format string, args ...any) {
	l.log.Error("pebble", slog.String("says", fmt.Sprintf(format, args...)))
}

// Fatalf never returns: Pebble v2.1.7 would take a return as leave to go on, and would
// answer nil to the Apply whose fsync has just been lost.
func (l *logger) Fatalf(format string, args ...any) { l.die(fmt.Errorf(format, args...)) }

var errFatal = errors.New("the store has failed")

// die says why once, then holds the calling goroutine for ever.
func (l *logger) die(err error) {
	l.once.Do(func() {
		l.err = fmt.Errorf("%w: %w", errFatal, err)
		close(l.dead)
		l.fatal(err)
	})
	select {}
}
