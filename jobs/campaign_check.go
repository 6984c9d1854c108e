package jobs

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"

	"masar/gateway"
	"masar/service/campaign"
)

// checkRows is how many rows a worker of a check takes at a time.
const checkRows = 1024

// findings are what one worker found. Each worker has its own, and they add up.
type findings struct {
	good, held, segments int64
	refused              map[string]int64
	parts                map[string]int64
	errors               []campaign.RowError // its first ones, in the order of rows
}

// check is a hand: it asks of every row what would become of it now, and leaves the
// campaign checked. One check runs at a time; it stores nothing until its end.
func (c *Campaigns) check(ctx context.Context, g CampaignGateway, id uint64, h *hand) {
	select {
	case c.checks <- struct{}{}:
		defer func() { <-c.checks }()
	case <-ctx.Done():
		return
	}
	for {
		err := c.checkOnce(ctx, g, id, h)
		var wrong *campaign.FieldError
		switch {
		case err == nil, errors.Is(err, campaign.ErrUnknown), ctx.Err() != nil:
			return
		case errors.As(err, &wrong), errors.Is(err, gateway.ErrNoAccount), errors.Is(err, campaign.ErrDamaged), errors.Is(err, errGeneral):
			why := err.Error()
			c.log.Warn("a campaign cannot be checked", slog.Uint64("campaign", id), slog.Any("err", err))
			_, err := c.store.Change(id, func(k *campaign.Campaign) error {
				if k.State == campaign.Checking {
					k.State, k.Why = campaign.Draft, why
				}
				return nil
			})
			if err == nil {
				return
			}
		}
		c.log.Warn("a campaign's check was interrupted and begins again", slog.Uint64("campaign", id), slog.Duration("retry_in", againWait), slog.Any("err", err))
		if !sleep(ctx, againWait) {
			return
		}
	}
}

// errGeneral is a refusal that every row meets.
var errGeneral = errors.New("every row would be refused")

func (c *Campaigns) checkOnce(ctx context.Context, g CampaignGateway, id uint64, h *hand) error {
	k, err := c.store.Campaign(id)
	if err != nil || k.State != campaign.Checking {
		return err
	}
	began := c.o.Now()
	w, err := c.wording(&k)
	if err != nil {
		return err
	}
	all := findings{}
	if k.Counts.Bad > 0 {
		if all.errors, err = c.store.BadRows(ctx, id, campaign.MaxErrors); err != nil {
			return err
		}
	}
	if err := c.ask(ctx, g, &k, &all, h); err != nil {
		return err
	}
	found := &campaign.Check{
		Rows: k.Counts.Rows, Good: all.good, Bad: k.Counts.Bad, Duplicate: k.Counts.Duplicate,
		Refused: all.refused, Held: all.held, Segments: all.segments, Parts: all.parts,
		Takes: g.TimeFor(all.parts, w.class()), Errors: all.errors, At: c.o.Now().UTC(), By: k.Checker,
	}
	if k.Pace > 0 && found.Takes >= 0 {
		found.Takes = max(found.Takes, time.Duration(float64(all.good)/k.Pace*float64(time.Second)))
	}
	_, err = c.store.Change(id, func(now *campaign.Campaign) error {
		if now.State == campaign.Checking && now.Generation() == k.Generation() {
			now.State, now.Why, now.Check = campaign.Checked, "", found
		}
		return nil
	})
	if err == nil {
		c.log.Info("campaign checked", slog.Uint64("campaign", id), slog.Int64("rows", found.Rows), slog.Int64("good", found.Good),
			slog.Int64("bad", found.Bad), slog.Int64("duplicate", found.Duplicate), slog.Duration("took", c.o.Now().Sub(began)))
	}
	return err
}

// ask has workers ask of every good row.
func (c *Campaigns) ask(ctx context.Context, g CampaignGateway, k *campaign.Campaign, all *findings, h *hand) error {
	workers := c.o.Workers
	if workers <= 0 {
		workers = max(1, runtime.GOMAXPROCS(0)/2)
	}
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	ready, free := make(chan []campaign.Row, workers), make(chan []campaign.Row, 2*workers)
	for range cap(free) {
		free <- nil
	}
	found := make([]findings, workers)
	var wg sync.WaitGroup
	for i := range found {
		wg.Go(func() { // ends when ready is closed or ctx ends
			w, err := c.wording(k)
			if err != nil {
				cancel(err)
				return
			}
			for rows := range ready {
				if err := found[i].rows(ctx, g, w, rows); err != nil {
					cancel(err)
					return
				}
				c.mu.Lock()
				h.checked += int64(len(rows))
				c.mu.Unlock()
				c.met.checked.Add(float64(len(rows)))
				free <- rows
			}
		})
	}
	c.mu.Lock()
	h.checked = 0
	c.mu.Unlock()
	err := c.deal(ctx, k, free, ready)
	close(ready)
	wg.Wait()
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if err != nil {
		return err
	}
	for i := range found {
		all.add(&found[i])
	}
	return nil
}

// deal reads the good rows in batches for the workers.
func (c *Campaigns) deal(ctx context.Context, k *campaign.Campaign, free, ready chan []campaign.Row) error {
	for after := uint64(0); ; {
		var rows []campaign.Row
		select {
		case rows = <-free:
		case <-ctx.Done():
			return ctx.Err()
		}
		rows, err := c.store.Rows(k.ID, k.Generation(), after, checkRows, rows)
		if err != nil || len(rows) == 0 {
			return err
		}
		after = rows[len(rows)-1].Row
		select {
		case ready <- rows:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// rows asks of each of them.
func (f *findings) rows(ctx context.Context, g CampaignGateway, w *wording, rows []campaign.Row) error {
	for i := range rows {
		r := &rows[i]
		n, no, err := w.notice(ctx, r)
		if err != nil {
			return err
		}
		if no != nil {
			f.refuse(no.reason)
			if no.reason != unknownPerson {
				f.wrong(campaign.RowError{Row: r.Row, Field: no.field, Rule: no.rule})
			}
			continue
		}
		t, err := g.Try(ctx, n)
		var refusal *gateway.SubmitError
		switch {
		case errors.As(err, &refusal) && slices.Contains(passing, refusal.Refusal):
			return err
		case errors.As(err, &refusal) && slices.Contains(general, refusal.Refusal):
			return errors.Join(errGeneral, err)
		case refusal != nil:
			f.refuse(refusal.Refusal.String())
		case err != nil:
			return err
		case t.Dropped:
			// It would be taken, and end REJECTD: nobody there is enrolled.
			f.refuse(gateway.NotEnrolled.String())
		default:
			f.good++
			f.segments += int64(len(t.Parts))
			if f.parts == nil {
				f.parts = map[string]int64{}
			}
			f.parts[t.Route] += int64(len(t.Parts))
			if !t.HoldUntil.IsZero() {
				f.held++
			}
		}
	}
	return nil
}

func (f *findings) refuse(reason string) {
	if f.refused == nil {
		f.refused = map[string]int64{}
	}
	f.refused[reason]++
}

func (f *findings) wrong(e campaign.RowError) {
	if len(f.errors) < campaign.MaxErrors {
		f.errors = append(f.errors, e)
	}
}

// add puts another's findings to these.
func (f *findings) add(o *findings) {
	f.good, f.held, f.segments = f.good+o.good, f.held+o.held, f.segments+o.segments
	f.refused, f.parts = sum(f.refused, o.refused), sum(f.parts, o.parts)
	f.errors = append(f.errors, o.errors...)
	slices.SortFunc(f.errors, func(a, b campaign.RowError) int { return cmp.Compare(a.Row, b.Row) })
	f.errors = f.errors[:min(len(f.errors), campaign.MaxErrors)]
}

func sum(a, b map[string]int64) map[string]int64 {
	if a == nil {
		return maps.Clone(b)
	}
	for name, n := range b {
		a[name] += n
	}
	return a
}
