package main

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"masar/smpp/smppload"
)

// loading is a load client that runs beside a test.
type loading struct {
	t      testing.TB
	now    atomic.Pointer[smppload.Progress]
	enough func() // no more submits: a test that has seen all it waited for says so, however long it took
	stop   context.CancelFunc
	done   chan struct{}
	res    *smppload.Result
	err    error
}

// load starts a client of the site's gateway.
func (s *site) load(o smppload.Options) *loading {
	l := &loading{t: s.t, done: make(chan struct{})}
	l.now.Store(new(smppload.Progress))
	o.Addr, o.SystemID, o.Password = s.smpp, "load", "demo"
	o.Every, o.Progress = 20*time.Millisecond, func(p smppload.Progress) { l.now.Store(&p) }
	enough := make(chan struct{})
	l.enough, o.Enough = sync.OnceFunc(func() { close(enough) }), enough
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	l.stop = cancel
	go func() {
		defer close(l.done)
		l.res, l.err = smppload.Run(ctx, o)
	}()
	s.t.Cleanup(func() {
		cancel()
		<-l.done
	})
	return l
}

// until waits until the client's figures say so.
func (l *loading) until(what string, limit time.Duration, ok func(p smppload.Progress) bool) smppload.Progress {
	l.t.Helper()
	until(l.t, limit, what, func() bool {
		select {
		case <-l.done:
			l.t.Fatalf("the load has ended before: %s (%v, %+v)", what, l.err, l.res)
		default:
		}
		return ok(*l.now.Load())
	})
	return *l.now.Load()
}

// more waits until n more messages are accepted than now.
func (l *loading) more(n uint64, limit time.Duration) {
	l.t.Helper()
	from := l.now.Load().Accepted
	l.until("more messages accepted", limit, func(p smppload.Progress) bool { return p.Accepted >= from+n })
}

// result waits for the end of the run.
func (l *loading) result(limit time.Duration) *smppload.Result {
	l.t.Helper()
	select {
	case <-l.done:
	case <-time.After(limit):
		l.t.Fatalf("the load has not ended within %s: %+v", limit, *l.now.Load())
	}
	if l.res == nil {
		l.t.Fatalf("load: %v", l.err)
	}
	return l.res
}
