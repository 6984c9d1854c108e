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

// engineOptions are Pebble's, measured with make subscribers. Blocks are small because
// what is asked for is one row of some hundred octets; every level has a filter because
// a bulk load asks for millions of persons that are not there yet.
func engineOptions(o *Options, lock *pdb.Lock, logger *logger) *pdb.Options {
	opts := &pdb.Options{
		FS:                 o.FS,
		Lock:               lock,
		Logger:             logger,
		FormatMajorVersion: pdb.FormatNewest,
		// The engine takes its memtables out of its cache: with too little for both, every read
		// would read its filter from the file.
		CacheSize:                   o.CacheBytes + 2*int64(o.memTable),
		MemTableSize:                o.memTable,
		MemTableStopWritesThreshold: 3,
		L0CompactionThreshold:       8,
		L0StopWritesThreshold:       24,
		LBaseMaxBytes:               512 << 20,
		MaxOpenFiles:                1000,
		CompactionConcurrencyRange:  func() (lower, upper int) { return 1, 2 },
		EventListener: &pdb.EventListener{
			BackgroundError: func(err error) { logger.log.Error("registry's background work", slog.Any("err", err)) },
		},
	}
	for i := range opts.Levels {
		opts.Levels[i] = pdb.LevelOptions{
			BlockSize:    8 << 10,
			FilterPolicy: bloom.FilterPolicy(10),
			Compression:  func() *sstable.CompressionProfile { return sstable.FastestCompression },
		}
	}
	opts.TargetFileSizes[0] = 8 << 20
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
			log.Error("the registry cannot go on, the process ends", slog.Any("err", err))
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
	l.log.Error("registry's engine", slog.String("says", fmt.Sprintf(format, args...)))
}

// Fatalf never returns: Pebble v2.1.7 would take a return as leave to go on, and would
// answer nil to the Apply whose fsync has just been lost.
func (l *logger) Fatalf(format string, args ...any) { l.die(fmt.Errorf(format, args...)) }

var errFatal = errors.New("the registry has failed")

// die says why once, then holds the calling goroutine for ever.
func (l *logger) die(err error) {
	l.once.Do(func() {
		l.err = fmt.Errorf("%w: %w", errFatal, err)
		close(l.dead)
		l.fatal(err)
	})
	select {}
}
