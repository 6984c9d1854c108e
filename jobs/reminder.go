package jobs

import (
	"cmp"
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"masar/gateway"
	"masar/queue"
	"masar/ratelimit"
	"masar/service"
	"masar/service/reminder"
)

// RemindersOptions says how reminders are kept and sent. Store and Catalogue have no default.
type RemindersOptions struct {
	Store      *reminder.Store
	Catalogue  func() *service.Catalogue // of now
	Registry   service.Registry          // nil: nobody's language is known
	Log        *slog.Logger              // nil: slog.Default
	Registerer prometheus.Registerer     // nil: not collected
	Now        func() time.Time          // nil: time.Now

	At    time.Duration // time of day from which a day's reminders leave; 0: midnight
	Pace  float64       // most that are handed over a second; 0: no limit
	Tries int           // most messages of one step; 0: 3
	Keep  time.Duration // how long one that is over, and the lists of who was not reached, are kept; 0: 90 days
}

// Carrying is what reminders need of the gateway; a *gateway.Gateway does it.
type Carrying interface {
	SubmitMany(ctx context.Context, n []gateway.Notice, out []gateway.Submitted) error
	Withdraw(ctx context.Context, account string, id queue.ID) (withdrawn bool, err error)
	SubmittedAs(ctx context.Context, account string, once []byte) (queue.ID, bool, error)
}

// Reminders keeps the reminders of all agencies and hands each step to the gateway when it
// is due. One goroutine, from Start to Close, sends; another moves dates. All methods may
// be called from any goroutine.
type Reminders struct {
	o       RemindersOptions
	store   *reminder.Store
	log     *slog.Logger
	met     *reminderMetrics
	holding holding
	at      atomic.Int64 // o.At: benchmarks change it

	mu      sync.Mutex
	gateway Carrying
	cancel  context.CancelFunc
	moving  map[uint64]*moving // by the id of the move
	moveNew chan struct{}      // buffer 1
	closed  bool
	wg      sync.WaitGroup

	// The sending goroutine's own.
	pace ratelimit.Bucket
	work sending
}

// errNotStarted is what is answered while there is no gateway to take anything back from.
var errNotStarted = errors.New("the gateway is starting or closing")

// NewReminders makes reminders over an open store, which its caller closes after Close.
// Nothing is sent before Start.
func NewReminders(o RemindersOptions) *Reminders {
	if o.Log == nil {
		o.Log = slog.Default()
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	o.Tries = cmp.Or(o.Tries, 3)
	o.Keep = cmp.Or(o.Keep, 90*24*time.Hour)
	r := &Reminders{o: o, store: o.Store, log: o.Log, moving: map[uint64]*moving{}, moveNew: make(chan struct{}, 1)}
	r.holding.init()
	r.at.Store(int64(o.At))
	r.pace = ratelimit.NewBucket(o.Pace, ratelimit.DefaultBurst(o.Pace))
	r.met = newReminderMetrics(o.Registerer, r)
	return r
}

// Start begins to send. Moves that a process before has begun go on.
func (r *Reminders) Start(g Carrying) error {
	moves, err := r.store.Moves()
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.gateway != nil {
		return errNotStarted
	}
	ctx, cancel := context.WithCancel(context.Background())
	r.gateway, r.cancel = g, cancel
	for i := range moves {
		r.moving[moves[i].ID] = &moving{m: moves[i], done: make(chan struct{})}
	}
	r.wg.Go(func() { r.send(ctx) })
	r.wg.Go(func() { r.moveAll(ctx) })
	return nil
}

// Close stops sending and returns when nothing of it runs any more. What is in the
// gateway's queue stays there. Idempotent.
func (r *Reminders) Close() error {
	r.mu.Lock()
	r.closed = true
	if r.cancel != nil {
		r.cancel()
	}
	r.mu.Unlock()
	r.wg.Wait()
	r.met.unregister()
	return nil
}

func (r *Reminders) carrying() (Carrying, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.gateway == nil || r.closed {
		return nil, errNotStarted
	}
	return r.gateway, nil
}

// clock is that of a service. One that left the catalogue keeps days of UTC, and no hours.
func (r *Reminders) clock(cat *service.Catalogue, code string) *reminder.Clock {
	c := &reminder.Clock{Zone: time.UTC, At: time.Duration(r.at.Load()), Tries: r.o.Tries, Keep: r.o.Keep}
	if s := cat.Service(code); s != nil {
		c.Zone = s.Zone()
		c.Opens = func(t time.Time) time.Time { return cat.OpensAt(s, t) }
	}
	return c
}

// Get tells of one reminder; reminder.ErrUnknown.
func (r *Reminders) Get(_ context.Context, account, key string) (reminder.View, error) {
	s, err := r.store.Find(account, key)
	if err != nil {
		return reminder.View{}, err
	}
	return s.View(r.clock(r.o.Catalogue(), s.Service)), nil
}

// Due lists what is to come when, a page at a time; next is Query.After of the page behind
// it, empty on the last. A page may be empty and have a next.
func (r *Reminders) Due(_ context.Context, q reminder.Query) (rows []reminder.DueRow, next string, err error) {
	return r.store.Coming(q)
}

// Unreached lists who was not reached on a day, a page at a time.
func (r *Reminders) Unreached(_ context.Context, q reminder.UnreachedQuery) (rows []reminder.Unreached, next string, err error) {
	return r.store.Unreached(q)
}
