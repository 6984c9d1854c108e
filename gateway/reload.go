package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"masar/queue"
	"masar/smpp/text"
)

// Reload gives the running gateway a new Setup: accounts, carriers, routes and rules for
// mobile-originated messages. It builds the whole new world first; an error leaves
// everything as it was. Binds of unchanged carriers, and sessions of accounts that stay,
// are not touched.
func (g *Gateway) Reload(ctx context.Context, s Setup) error {
	g.reloading.Lock()
	defer g.reloading.Unlock()
	if g.closing.Load() {
		return fmt.Errorf("the gateway is shutting down")
	}
	s.setDefaults(g.opt.OutboxTTL)
	before := g.world.Load()
	after, err := g.build(ctx, s, before)
	if err != nil {
		return err
	}
	// From here on nothing fails.
	for name, a := range after.accounts {
		if before.accounts[name] == nil {
			a.start()
			continue
		}
		for i := range after.setup.Accounts {
			if after.setup.Accounts[i].SystemID == name {
				a.configure(&after.setup.Accounts[i])
			}
		}
	}
	g.world.Store(after)
	g.halts.stir() // agencies may have other services
	g.retire(ctx, before, after)
	for _, c := range after.carriers {
		c.wakeUp() // weights and shares may be new
	}
	g.tellLanes()
	return nil
}

// retire lets go of what the new world does not have.
func (g *Gateway) retire(ctx context.Context, before, after *world) {
	for name, a := range before.accounts {
		if after.accounts[name] == nil {
			g.log.Info("account removed", slog.String("account", name))
			a.unbind(ctx)
		}
	}
	for name, next := range after.carriers {
		if before.carriers[name] == nil {
			next.start()
		}
	}
	for name, c := range before.carriers {
		next := after.carriers[name]
		if next == c {
			continue
		}
		g.log.Info("carrier removed or changed", slog.String("carrier", name))
		g.leaving.add(c)
		g.wg.Go(func() { g.replace(c, next) })
	}
}

// replace ends a carrier and, when it is not nil, begins the one that takes its place: one
// after the other, since many carriers refuse a bind while the one before is there, and
// since the parts of one message have one correlator.
func (g *Gateway) replace(c, next *carrier) {
	if err := c.stop(g.ctx, g.opt.Drain); err != nil {
		g.log.Warn("carrier did not stop in time", slog.String("carrier", c.name), slog.Any("err", err))
	}
	g.leaving.remove(c)
	if next != nil {
		next.corr.inherit(c.corr)
		next.recoverAs(c)
		next.start()
		g.tellLanes()
	}
}

// leaving are the carriers that are on their way out: a shutdown waits for their windows
// as for any other.
type leaving struct {
	wg  sync.WaitGroup
	mu  sync.Mutex
	all []*carrier
}

func (l *leaving) add(c *carrier) {
	l.wg.Add(1)
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all = append(l.all, c)
}

func (l *leaving) remove(c *carrier) {
	l.mu.Lock()
	l.all = slices.DeleteFunc(l.all, func(other *carrier) bool { return other == c })
	l.mu.Unlock()
	l.wg.Done()
}

// each calls f with every one of them.
func (l *leaving) each(f func(*carrier)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, c := range l.all {
		f(c)
	}
}

// open counts what is on the wire or half sent.
func (l *leaving) open() int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := int64(0)
	for _, c := range l.all {
		n += c.outstanding.Load() + c.begun.Load()
	}
	return n
}

// tellLanes tells every carrier which lanes have something: a new one has not heard.
func (g *Gateway) tellLanes() {
	g.store.Depths(func(l queue.Lane, d queue.Depth) {
		if d.Messages > 0 {
			g.laneHas(l)
		}
	})
}

// unbind says unbind to every session of the account.
func (a *account) unbind(ctx context.Context) {
	a.mu.Lock()
	sessions := append([]*client(nil), a.sessions...)
	a.mu.Unlock()
	for _, c := range sessions {
		a.g.wg.Go(func() {
			uctx, cancel := context.WithTimeout(a.g.ctx, 2*time.Second)
			defer cancel()
			c.session.Unbind(uctx)
		})
	}
}

// goneAccount is how receipts are written for an account that is no longer configured.
func goneAccount(o *Options) *Account {
	return &Account{
		SystemID: "(gone)", OutboxTTL: o.OutboxTTL, Zone: o.Setup.Zone,
		Codings:  text.Codings{One: text.ASCII},
		Receipts: AccountReceipts{DateDigits: 10},
	}
}
