package engine

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
)

// ErrFailed is wrapped by what a store answers once a write may have been lost.
var ErrFailed = errors.New("the store has failed")

// logger is Pebble's logger. What Pebble says per file is debug to us.
type logger struct {
	log   *slog.Logger
	name  string
	fatal func(error)
	once  sync.Once
	dead  chan struct{} // closed by the first Fatalf
	err   error         // why; read only after dead is closed
}

func newLogger(o *Options) *logger {
	l := &logger{log: o.Log, name: o.Name, fatal: o.Fatal, dead: make(chan struct{})}
	if l.fatal == nil {
		l.fatal = func(err error) {
			l.log.Error("a store cannot go on, the process ends", slog.String("store", l.name), slog.Any("err", err))
			os.Exit(1)
		}
	}
	return l
}

func (l *logger) Infof(format string, args ...any) {
	if l.log.Enabled(context.Background(), slog.LevelDebug) {
		l.log.Debug("pebble", slog.String("store", l.name), slog.String("says", fmt.Sprintf(format, args...)))
	}
}

func (l *logger) Errorf(format string, args ...any) {
	l.log.Error("a store's engine", slog.String("store", l.name), slog.String("says", fmt.Sprintf(format, args...)))
}

// Fatalf never returns: Pebble v2.1.7 would take a return as leave to go on, and would
// answer nil to the Apply whose fsync has just been lost.
func (l *logger) Fatalf(format string, args ...any) {
	err := fmt.Errorf(format, args...)
	l.once.Do(func() {
		l.err = fmt.Errorf("%s: %w: %w", l.name, ErrFailed, err)
		close(l.dead)
		l.fatal(err)
	})
	select {}
}
