package jobs

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"time"

	"masar/gateway"
	"masar/queue"
	"masar/ratelimit"
	"masar/service/campaign"
)

const (
	feedRows  = 512                    // handed over at a time
	fullWait  = 250 * time.Millisecond // until the queue is asked again for room
	againWait = time.Second            // until a store or a registry in trouble is asked again
)

// passing are refusals that go away by themselves: the row is handed over again.
var passing = []gateway.Refusal{
	gateway.OverWindow, gateway.OverRate, gateway.QueueFull, gateway.DiskFull, gateway.StoreBusy,
	gateway.StoreFailed, gateway.RegistryFailed, gateway.ShuttingDown,
}

// general are refusals that every row would meet: the campaign is paused, its rows stay.
var general = []gateway.Refusal{
	gateway.UnknownService, gateway.ForeignService, gateway.ServiceNotAllowed, gateway.SenderNotAllowed, gateway.SenderUnknown,
}

// A feeder hands the rows of one campaign to the gateway. It belongs to one goroutine.
type feeder struct {
	c    *Campaigns
	g    CampaignGateway
	life context.Context // of all hands
	id   uint64
	k    campaign.Campaign
	w    *wording
	pace ratelimit.Bucket

	account uint32 // of the queue; 0: not asked yet
	rows    []campaign.Row
	upto    uint64 // the last row of the batch, whether it is handed over or was before
	notices []gateway.Notice
	out     []gateway.Submitted
	open    []int // of rows: those not settled
	handed  []campaign.Handed
}

// errPaused ends a feeder whose campaign is not running any more.
var errPaused = errors.New("the campaign is not running")

// feed is a hand: it hands rows over until there are none, the campaign is not running, or
// ctx ends.
func (c *Campaigns) feed(ctx context.Context, g CampaignGateway, id uint64, h *hand) {
	f := &feeder{c: c, g: g, life: h.life, id: id}
	first := true
	for ctx.Err() == nil {
		err := f.turn(ctx, first)
		switch {
		case err == nil:
			first = false
			continue
		case errors.Is(err, errPaused), errors.Is(err, campaign.ErrUnknown), ctx.Err() != nil:
			return
		case errors.Is(err, campaign.ErrDamaged):
			c.log.Error("a campaign's rows cannot be read, it has failed", slog.Uint64("campaign", id), slog.Any("err", err))
			if _, err := c.store.Change(id, func(k *campaign.Campaign) error {
				k.State, k.Why = campaign.Failed, err.Error()
				return nil
			}); err != nil {
				c.log.Error("a campaign's state could not be stored", slog.Uint64("campaign", id), slog.Any("err", err))
			}
			return
		}
		// What was handed over may be on disk: the next turn asks.
		first = true
		c.log.Warn("a campaign waits for a store or the gateway", slog.Uint64("campaign", id), slog.Duration("retry_in", againWait), slog.Any("err", err))
		if !sleep(ctx, againWait) {
			return
		}
	}
}

func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// running reads the campaign anew.
func (f *feeder) running() error {
	k, err := f.c.store.Campaign(f.id)
	if err != nil {
		return err
	}
	if k.State != campaign.Running || k.Counts.Left == 0 {
		return errPaused
	}
	if f.k.Pace != k.Pace || f.k.ID == 0 {
		f.pace = ratelimit.NewBucket(k.Pace, max(1, k.Pace/10))
	}
	f.k = k
	return nil
}

// turn hands one batch over and records what became of it. doubt: rows behind the last
// recorded one may have been handed over.
func (f *feeder) turn(ctx context.Context, doubt bool) error {
	if err := f.running(); err != nil {
		return err
	}
	if doubt {
		if err := f.c.resolve(ctx, f.g, &f.k); err != nil {
			return err
		}
		if err := f.running(); err != nil {
			return err
		}
	}
	n := f.room(ctx)
	for n == 0 {
		if !sleep(ctx, fullWait) {
			return ctx.Err()
		}
		if err := f.running(); err != nil {
			return err
		}
		n = f.room(ctx)
	}
	if f.k.Pace > 0 {
		n = min(n, max(1, int(f.k.Pace/10)))
		for {
			wait := f.pace.Take(f.c.o.Now(), n)
			if wait <= 0 {
				break
			}
			if !sleep(ctx, min(wait, againWait)) {
				return ctx.Err()
			}
		}
		if err := f.running(); err != nil {
			return err
		}
	}
	var err error
	if f.rows, err = f.c.store.Rows(f.id, f.k.Generation(), f.k.Fed(), n, f.rows); err != nil {
		return err
	}
	if len(f.rows) == 0 {
		return errors.New("fewer rows are stored than counted")
	}
	if err := f.passKnown(); err != nil || len(f.rows) == 0 {
		return err
	}
	if f.w, err = f.c.wording(&f.k); err != nil {
		return f.stuck(ctx, err.Error())
	}
	return f.batch(ctx)
}

// passKnown takes the rows out of the batch that are recorded: behind one that had to wait
// others were accepted, or refused, before the hand was ended.
func (f *feeder) passKnown() error {
	f.upto = f.rows[len(f.rows)-1].Row
	known, err := f.c.store.Known(f.id, f.rows[0].Row, f.upto)
	if err != nil || known == nil {
		return err
	}
	left := 0
	for i := range f.rows {
		if !known[f.rows[i].Row] {
			f.rows[left], f.rows[i] = f.rows[i], f.rows[left]
			left++
		}
	}
	f.rows = f.rows[:left]
	if left == 0 {
		f.k, err = f.c.store.Handed(f.id, nil, f.upto, f.c.o.Now().UTC())
	}
	return err
}

// room is how many rows the queue may take now, at most feedRows.
func (f *feeder) room(ctx context.Context) int {
	ahead := int64(f.c.o.Ahead)
	waiting := f.k.Counts.Waiting
	if waiting >= ahead {
		// Some of them await their receipts only, and that may take days.
		if n, ok := f.waiting(ctx); ok {
			waiting = min(waiting, n)
		}
	}
	return int(max(0, min(ahead-waiting, feedRows)))
}

// waiting is what waits in the queue of the campaign's account, in its class.
func (f *feeder) waiting(ctx context.Context) (n int64, ok bool) {
	q := f.c.o.Queue
	if q == nil {
		return 0, false
	}
	if f.account == 0 {
		number, err := q.Number(ctx, queue.AccountName, f.k.Account)
		if err != nil {
			return 0, false
		}
		f.account = number
	}
	w, err := f.c.wording(&f.k)
	if err != nil {
		return 0, true // the next turn tells why
	}
	// Of no service its account's options say which class it is in, and they are not ours.
	class, any := w.class(), w.s == nil
	q.Depths(func(l queue.Lane, d queue.Depth) {
		if l.Account == f.account && (any || l.Class == class) {
			n += d.Messages
		}
	})
	return n, true
}

// batch hands f.rows over.
func (f *feeder) batch(ctx context.Context) error {
	f.notices, f.open = f.notices[:0], f.open[:0]
	f.handed = slices.Grow(f.handed[:0], len(f.rows))[:len(f.rows)]
	for i := range f.rows {
		r := &f.rows[i]
		n, no, err := f.w.notice(ctx, r)
		if err != nil {
			return err
		}
		f.handed[i] = campaign.Handed{Row: r.Row}
		if no != nil {
			f.handed[i].Reason = no.reason
			continue
		}
		n.Once = once(&f.k, r.Row)
		n.Job = queue.Job{Kind: queue.CampaignJob, Number: f.id, Item: r.Row}
		f.handed[i].Parts = partsOf(n.Text)
		f.notices = append(f.notices, n)
		f.open = append(f.open, i)
	}
	for len(f.open) > 0 {
		f.out = slices.Grow(f.out[:0], len(f.notices))[:len(f.notices)]
		// Not with ctx: an order that ends the hand waits for what is under way, and knows then
		// which messages there are.
		if err := f.g.SubmitMany(f.life, f.notices, f.out); err != nil {
			return err
		}
		why, stuck := f.settle()
		switch {
		case stuck:
			if err := f.record(); err != nil {
				return err
			}
			return f.stuck(ctx, why)
		case len(f.open) == 0:
			return f.record()
		}
		// ErrFull and its like: those that were taken are recorded while the rest waits.
		if err := f.record(); err != nil {
			return err
		}
		if !sleep(ctx, fullWait) {
			return ctx.Err()
		}
		if err := f.running(); err != nil {
			return err
		}
	}
	return f.record()
}

// settle reads what SubmitMany said and keeps open what has to be handed over again. stuck:
// every row would be refused so.
func (f *feeder) settle() (why string, stuck bool) {
	left := 0
	for j, i := range f.open {
		h, said := &f.handed[i], &f.out[j]
		var no *gateway.SubmitError
		switch {
		case said.Err == nil:
			h.Message = uint64(said.ID)
			continue
		case errors.Is(said.Err, gateway.ErrNoAccount):
			why, stuck = "account "+f.k.Account+" is not in the configuration any more", true
		case !errors.As(said.Err, &no), slices.Contains(passing, no.Refusal):
		case slices.Contains(general, no.Refusal):
			why, stuck = no.Error(), true
		default:
			h.Reason = no.Refusal.String()
			continue
		}
		f.open[left], f.notices[left] = i, f.notices[j]
		left++
	}
	f.open, f.notices = f.open[:left], f.notices[:left]
	return why, stuck
}

// record stores what is settled of the batch. The campaign goes on behind the last row
// before which all are.
func (f *feeder) record() error {
	upto, settled := f.upto, f.handed
	if len(f.open) > 0 {
		upto = f.rows[f.open[0]].Row - 1
		settled = nil
		for i := range f.handed {
			if !slices.Contains(f.open, i) {
				settled = append(settled, f.handed[i])
			}
		}
	}
	was := f.k.Counts
	k, err := f.c.store.Handed(f.id, settled, upto, f.c.o.Now().UTC())
	if err != nil {
		return err
	}
	f.c.met.handed(&was, &k.Counts)
	f.k = k
	return nil
}

// stuck pauses a campaign that cannot go on by itself.
func (f *feeder) stuck(ctx context.Context, why string) error {
	f.c.log.Warn("a campaign cannot go on and is paused", slog.Uint64("campaign", f.id), slog.String("reason", why))
	// An order that waits for this hand to end has the campaign: it decides, and the watch
	// holds what has to be held.
	if _, err := f.c.pause(ctx, f.id, "masar", why, true); err != nil {
		return err
	}
	return errPaused
}

// resolve records what of the next rows was handed over without being recorded: when the
// process died, or a hand was ended, between the gateway's answer and ours.
func (c *Campaigns) resolve(ctx context.Context, g CampaignGateway, k *campaign.Campaign) error {
	rows, err := c.store.Rows(k.ID, k.Generation(), k.Fed(), feedRows, nil)
	if err != nil {
		return err
	}
	w, _ := c.wording(k) // only for the parts
	var found []campaign.Handed
	for i := range rows {
		id, has, err := g.SubmittedAs(ctx, k.Account, once(k, rows[i].Row))
		if errors.Is(err, gateway.ErrNoAccount) {
			return nil // the next hand-over tells
		}
		if err != nil {
			return err
		}
		if !has {
			continue
		}
		h := campaign.Handed{Row: rows[i].Row, Message: uint64(id)}
		if w != nil {
			if n, no, err := w.notice(ctx, &rows[i]); err == nil && no == nil {
				h.Parts = partsOf(n.Text)
			}
		}
		found = append(found, h)
	}
	if len(found) == 0 {
		return nil
	}
	c.log.Info("rows of a campaign were handed over before the process ended, and are recorded", slog.Uint64("campaign", k.ID), slog.Int("rows", len(found)))
	_, err = c.store.Handed(k.ID, found, k.Fed(), c.o.Now().UTC())
	return err
}
