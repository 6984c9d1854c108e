package jobs

import (
	"context"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"masar/gateway"
	"masar/number"
	"masar/queue"
	"masar/service"
	"masar/service/campaign"
	"masar/smpp/pdu"
)

// CampaignGateway is what campaigns need of a *gateway.Gateway.
type CampaignGateway interface {
	Try(ctx context.Context, n gateway.Notice) (gateway.Trial, error)
	Submit(ctx context.Context, n gateway.Notice) (queue.ID, error)
	SubmitMany(ctx context.Context, n []gateway.Notice, out []gateway.Submitted) error
	SubmittedAs(ctx context.Context, account string, once []byte) (queue.ID, bool, error)
	TimeFor(parts map[string]int64, class queue.Class) time.Duration
	Halt(ctx context.Context, s gateway.Scope, by, reason string) (gateway.Halt, error)
	Halts() []gateway.Halt
	Resume(ctx context.Context, id, by string) (gateway.Halt, error)
	CancelHalted(ctx context.Context, id, by string) (cancelled int64, err error)
}

// CampaignQueue tells what waits; a queue.Store is one.
type CampaignQueue interface {
	Number(ctx context.Context, kind queue.NameKind, name string) (uint32, error)
	Depths(each func(queue.Lane, queue.Depth))
}

// CampaignsOptions says what campaigns are made with. Only Store has no default.
type CampaignsOptions struct {
	Store     *campaign.Store
	Catalogue func() *service.Catalogue // the one in force; nil, or nil of it: there is none
	Registry  service.Registry          // nil: nobody is known
	Key       *service.Key              // nil: files name no persons
	Country   string                    // country code of numbers in national form
	Queue     CampaignQueue             // nil: what has left and awaits its receipt counts as waiting

	ReleaseAbove int64         // recipients above which a second person has to release; 0: always
	Ahead        int           // messages of a campaign that may wait in the queue; 0: 20000
	Keep         time.Duration // of campaigns whose last end is known; 0: 90 days
	Max          int64         // octets of a file; 0: 4GiB
	Workers      int           // of a check; 0: half the processors

	Log        *slog.Logger          // nil: slog.Default
	Registerer prometheus.Registerer // nil: no metrics
	Now        func() time.Time      // nil: time.Now
}

// Campaigns drives campaigns: it checks files, hands rows to the gateway as fast as the
// queue takes them, and keeps what became of each. All methods may be called from any
// goroutine. Before Begin files are taken and campaigns told of; what needs the gateway is
// campaign.ErrNotYet.
type Campaigns struct {
	o     CampaignsOptions
	store *campaign.Store
	log   *slog.Logger
	met   *campaignMetrics

	mu     sync.Mutex
	g      CampaignGateway // nil: before Begin, and after Close
	ctx    context.Context // of the hands; ends with Close
	hands  map[uint64]*hand
	orders map[uint64]chan struct{} // of campaigns that somebody gives an order; closed when it is done
	rates  map[uint64]*rate
	checks chan struct{} // one check at a time: two would only fight for the processors
	sweeps chan struct{} // one cancel of what came back to a stopped campaign at a time
	cancel context.CancelFunc
	wg     sync.WaitGroup
}

// hand is a goroutine that works on one campaign: a check or a feeder.
type hand struct {
	life    context.Context // of all hands: what must not be cut short has it
	cancel  context.CancelFunc
	done    chan struct{} // closed when it has ended
	checked int64         // rows that a check has done; guarded by Campaigns.mu
}

// NewCampaigns makes Campaigns over a store, which stays its opener's.
func NewCampaigns(o CampaignsOptions) *Campaigns {
	if o.Catalogue == nil {
		o.Catalogue = func() *service.Catalogue { return nil }
	}
	if o.Ahead <= 0 {
		o.Ahead = 20000
	}
	if o.Keep <= 0 {
		o.Keep = 90 * 24 * time.Hour
	}
	if o.Max <= 0 {
		o.Max = 4 << 30
	}
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	c := &Campaigns{o: o, store: o.Store, log: o.Log, hands: map[uint64]*hand{}, orders: map[uint64]chan struct{}{}, rates: map[uint64]*rate{}, checks: make(chan struct{}, 1), sweeps: make(chan struct{}, 1)}
	c.met = newCampaignMetrics(o.Registerer, c)
	return c
}

// Begin gives campaigns their gateway: what was running or being checked when the process
// ended goes on.
func (c *Campaigns) Begin(g CampaignGateway) {
	ctx, cancel := context.WithCancel(context.Background())
	c.mu.Lock()
	c.g, c.ctx, c.cancel = g, ctx, cancel
	c.mu.Unlock()
	for _, k := range c.store.All() {
		c.goOn(&k)
	}
	c.wg.Go(func() { c.watch(ctx) })
}

// Close ends the hands and returns when they have ended. The store stays open, and ends are
// still taken. Idempotent.
func (c *Campaigns) Close() error {
	c.mu.Lock()
	cancel := c.cancel
	c.g = nil
	c.mu.Unlock()
	if cancel != nil {
		cancel()
	}
	c.wg.Wait()
	c.met.unregister()
	return nil
}

// gateway is the gateway, between Begin and Close.
func (c *Campaigns) gateway() (CampaignGateway, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.g == nil {
		return nil, campaign.ErrNotYet
	}
	return c.g, nil
}

// goOn starts the hand that a campaign's state asks for, unless it has one.
func (c *Campaigns) goOn(k *campaign.Campaign) {
	switch k.State {
	case campaign.Checking:
		c.start(k.ID, c.check)
	case campaign.Running:
		if k.Counts.Left > 0 {
			c.start(k.ID, c.feed)
		}
	}
}

// start starts a hand for a campaign.
func (c *Campaigns) start(id uint64, work func(ctx context.Context, g CampaignGateway, id uint64, h *hand)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.g == nil || c.hands[id] != nil {
		return
	}
	ctx, cancel := context.WithCancel(c.ctx)
	h, g := &hand{life: c.ctx, cancel: cancel, done: make(chan struct{})}, c.g
	c.hands[id] = h
	c.wg.Go(func() {
		defer cancel()
		work(ctx, g, id, h)
		c.mu.Lock()
		delete(c.hands, id)
		c.mu.Unlock()
		close(h.done)
		// What was asked while this hand ended found it there still.
		if k, err := c.store.Campaign(id); err == nil && ctx.Err() == nil {
			c.goOn(&k)
		}
	})
}

// end ends a campaign's hand and waits for it.
func (c *Campaigns) end(ctx context.Context, id uint64) error {
	c.mu.Lock()
	h := c.hands[id]
	c.mu.Unlock()
	if h == nil {
		return nil
	}
	h.cancel()
	select {
	case <-h.done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// order lets one order at a time be carried out on a campaign, so that none of its steps
// (state, halt, hand) meets another's. done must be called.
func (c *Campaigns) order(ctx context.Context, id uint64) (done func(), err error) {
	for {
		c.mu.Lock()
		under := c.orders[id]
		if under == nil {
			mine := make(chan struct{})
			c.orders[id] = mine
			c.mu.Unlock()
			return func() {
				c.mu.Lock()
				delete(c.orders, id)
				c.mu.Unlock()
				close(mine)
			}, nil
		}
		c.mu.Unlock()
		select {
		case <-under:
		case <-ctx.Done():
			return nil, ctx.Err()
		}
	}
}

func (c *Campaigns) view(k campaign.Campaign) campaign.View {
	v := campaign.View{Campaign: k, NeedsRelease: k.NeedsRelease(c.o.ReleaseAbove), Takes: -1}
	n := &k.Counts
	c.mu.Lock()
	if h := c.hands[k.ID]; h != nil {
		v.Checked = h.checked
	}
	if r := c.rates[k.ID]; r != nil {
		v.PerSecond = r.perSecond
	}
	c.mu.Unlock()
	switch {
	case k.State == campaign.Checking && n.Recipients() > 0:
		v.Progress = float64(v.Checked) / float64(n.Recipients())
	case n.Rows > 0 && !k.Started.IsZero():
		v.Progress = 1 - float64(n.Left+n.Waiting)/float64(n.Rows)
	}
	if left := n.Left + n.Waiting; left > 0 && v.PerSecond > 0 && k.State == campaign.Running {
		v.Takes = time.Duration(float64(left) / v.PerSecond * float64(time.Second))
	}
	return v
}

// Get tells of a campaign: campaign.ErrUnknown.
func (c *Campaigns) Get(ctx context.Context, id uint64) (campaign.View, error) {
	k, err := c.store.Campaign(id)
	if err != nil {
		return campaign.View{}, err
	}
	return c.view(k), nil
}

// List tells of every campaign, the latest first.
func (c *Campaigns) List(ctx context.Context) ([]campaign.View, error) {
	all := c.store.All()
	out := make([]campaign.View, len(all))
	for i := range all {
		out[i] = c.view(all[i])
	}
	return out, nil
}

// Report writes every row and what became of it: see campaign.Store.Report.
func (c *Campaigns) Report(ctx context.Context, id uint64, w io.Writer) error {
	return c.store.Report(ctx, id, w)
}

// Bad writes the rows that cannot be sent, and why.
func (c *Campaigns) Bad(ctx context.Context, id uint64, w io.Writer) error {
	return c.store.Bad(ctx, id, w)
}

// Test sends what the first row that can be sent says to numbers of the agency's own list,
// or to all of them where none is named. Such messages are none of the campaign's. Errors:
// *campaign.FieldError for a number that is not on the list.
func (c *Campaigns) Test(ctx context.Context, id uint64, numbers []number.E164) ([]campaign.Tested, error) {
	return c.test(ctx, id, numbers)
}

// Ended is gateway.Jobs': it returns when the ends are on disk.
func (c *Campaigns) Ended(ctx context.Context, ends []gateway.End) error {
	list := make([]campaign.End, len(ends))
	for i := range ends {
		e := &ends[i]
		list[i] = campaign.End{Campaign: e.Job.Number, Row: e.Job.Item, Message: uint64(e.Message), State: e.State, Err: e.Err, At: e.At}
	}
	strange, err := c.store.Ends(list)
	if err != nil {
		return err
	}
	c.met.ended.Add(float64(len(ends) - strange))
	if strange > 0 {
		c.log.Warn("ends of messages that no campaign knows are dropped", slog.Int("ends", strange))
	}
	return nil
}

// Fresh is gateway.Jobs'. A campaign says what was checked and released, whenever it leaves;
// of a stopped one nothing leaves.
func (c *Campaigns) Fresh(m *queue.Message, now time.Time) (gateway.Fresh, error) {
	k, err := c.store.Campaign(m.Job.Number)
	if err == nil && k.State == campaign.Stopped {
		return gateway.Fresh{Over: pdu.StateDeleted, Why: "stopped"}, nil
	}
	return gateway.Fresh{Keep: true}, nil
}
