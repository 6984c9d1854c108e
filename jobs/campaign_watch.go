package jobs

import (
	"context"
	"log/slog"
	"maps"
	"time"

	"masar/service/campaign"
)

const (
	watchEvery   = time.Second
	rateOver     = 10 * time.Second // PerSecond is an average over about so long
	cancelAgain  = 5 * time.Second  // until what came back to a stopped campaign is cancelled, at first
	cancelRarely = 10 * time.Minute
)

// rate is how fast a campaign's rows end.
type rate struct {
	perSecond float64
	done      int64
	at        time.Time

	cancelWait time.Duration // of a stopped one
	cancelNext time.Time
}

// watch looks at every campaign once a second: what its state asks for and a crash or an
// error kept from being done is done, what is over is let go.
func (c *Campaigns) watch(ctx context.Context) {
	t := time.NewTicker(watchEvery)
	defer t.Stop()
	for {
		all := c.store.All()
		for i := range all {
			if ctx.Err() != nil {
				return
			}
			c.look(ctx, &all[i])
		}
		c.forget(all)
		select {
		case <-ctx.Done():
			return
		case <-t.C:
		}
	}
}

// forget lets go what is kept of campaigns that are not there any more, whoever deleted them.
func (c *Campaigns) forget(all []campaign.Campaign) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.rates) <= len(all) { // each of all has one by now
		return
	}
	there := make(map[uint64]bool, len(all))
	for i := range all {
		there[all[i].ID] = true
	}
	maps.DeleteFunc(c.rates, func(id uint64, _ *rate) bool { return !there[id] })
}

// look sets right what is not as the state says. An order that is under way does so itself.
func (c *Campaigns) look(ctx context.Context, k *campaign.Campaign) {
	now := c.o.Now()
	r := c.tally(k, now)
	if !c.needsLook(k, now, r) {
		c.goOn(k)
		return
	}
	under, cancel := context.WithCancel(ctx)
	cancel() // only a try
	done, err := c.order(under, k.ID)
	if err != nil {
		return
	}
	if k.State != campaign.Stopped || k.Halt == "" || k.Counts.Waiting == 0 {
		c.mendOrTell(ctx, k, now)
		done()
		return
	}
	// What was on the wire may have come back to its lane. To cancel it the whole queue is
	// read, which may take minutes: not here, where every other campaign waits for its look,
	// and for one campaign at a time.
	select {
	case c.sweeps <- struct{}{}:
	default:
		done()
		return
	}
	r.cancelWait = min(max(2*r.cancelWait, cancelAgain), cancelRarely)
	r.cancelNext = now.Add(r.cancelWait)
	stopped := *k
	c.wg.Go(func() {
		defer func() { <-c.sweeps }()
		defer done()
		c.mendOrTell(ctx, &stopped, now)
	})
}

func (c *Campaigns) mendOrTell(ctx context.Context, k *campaign.Campaign, now time.Time) {
	if err := c.mend(ctx, k.ID, now); err != nil && ctx.Err() == nil {
		c.log.Warn("a campaign's state could not be carried out yet", slog.Uint64("campaign", k.ID), slog.String("state", k.State.String()), slog.Any("err", err))
	}
}

// tally measures how fast rows end.
func (c *Campaigns) tally(k *campaign.Campaign, now time.Time) *rate {
	done := k.Counts.Rows - k.Counts.Left - k.Counts.Waiting
	c.mu.Lock()
	defer c.mu.Unlock()
	r := c.rates[k.ID]
	if r == nil {
		r = &rate{done: done, at: now}
		c.rates[k.ID] = r
		return r
	}
	span := now.Sub(r.at)
	if span <= 0 {
		return r
	}
	part := min(1, float64(span)/float64(rateOver))
	r.perSecond += (float64(done-r.done)/span.Seconds() - r.perSecond) * part
	if r.perSecond < 0.01 {
		r.perSecond = 0
	}
	r.done, r.at = done, now
	return r
}

func (c *Campaigns) needsLook(k *campaign.Campaign, now time.Time, r *rate) bool {
	switch k.State {
	case campaign.Paused:
		g, err := c.gateway()
		return err == nil && !rightlyHeld(g, k)
	case campaign.Stopped, campaign.Failed:
		return k.Halt != "" && (k.Counts.Waiting == 0 || !now.Before(r.cancelNext)) || c.old(k, now)
	case campaign.Done:
		return c.held(k) || c.old(k, now)
	case campaign.Running:
		return c.held(k)
	}
	return false
}

// held says that a halt of its own may be in force, noted in the campaign or not.
func (c *Campaigns) held(k *campaign.Campaign) bool {
	if k.Halt != "" {
		return true
	}
	g, err := c.gateway()
	return err == nil && len(ownHalts(g, k.ID)) > 0
}

// old says that a campaign has been over for longer than it is kept.
func (c *Campaigns) old(k *campaign.Campaign, now time.Time) bool {
	return k.Over() && !k.Ended.IsZero() && now.Sub(k.Ended) > c.o.Keep
}

// mend does what a campaign's state asks for. REQUIRES: its order.
func (c *Campaigns) mend(ctx context.Context, id uint64, now time.Time) error {
	g, err := c.gateway()
	if err != nil {
		return nil
	}
	k, err := c.store.Campaign(id)
	if err != nil {
		return nil // deleted
	}
	switch k.State {
	case campaign.Paused:
		_, err = c.hold(ctx, g, &k, k.State, "masar")
		return err
	case campaign.Stopped:
		if k.Halt != "" && k.Counts.Waiting > 0 {
			if !halted(g, k.Halt) {
				_, err = c.hold(ctx, g, &k, k.State, "masar")
				return err
			}
			_, err = g.CancelHalted(ctx, k.Halt, "masar")
			return err
		}
	}
	if err := c.free(ctx, g, &k, "masar"); err != nil {
		return err
	}
	if k.Halt != "" {
		if _, err := c.store.Change(id, func(k *campaign.Campaign) error {
			k.Halt = ""
			return nil
		}); err != nil {
			return err
		}
	}
	if c.old(&k, now) {
		if err := c.store.Delete(id); err != nil {
			return err
		}
		c.log.Info("a campaign that was over is not kept any longer", slog.Uint64("campaign", id))
	}
	return nil
}
