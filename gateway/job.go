package gateway

import (
	"context"
	"log/slog"
	"time"

	"masar/queue"
	"masar/smpp/pdu"
)

// A message with a Job was made inside the process, for a series of reminders or for a
// campaign: no client waits for its receipt. Its end, however it came about, is a row of
// the jobs' own outbox, written in the same batch as the end itself; one goroutine takes
// the rows and tells Jobs, which answers for what it has heard.

// Jobs hears of messages with a Job. The caller keeps it until Close has returned.
type Jobs interface {
	// Ended tells ends in the order in which they came about, at most endsMost at a time. What
	// it says must be durable when it returns: it is not told again, but for the last ones
	// after a crash. After an error the same ends are told again, later; those behind them wait.
	Ended(ctx context.Context, ends []End) error

	// Fresh tells what m says now. It is asked when m is about to leave and something has
	// changed since its text was made: the day at its service, what the registry knows of its
	// number, the configuration, or the process. It runs on a dispatcher: one read of a local
	// store at most. After an error m waits a moment and is asked about again.
	Fresh(m *queue.Message, now time.Time) (Fresh, error)
}

// An End is how a message with a Job ended.
type End struct {
	Job     queue.Job
	Account string // system_id it was sent under
	Message queue.ID
	State   pdu.State // final; ACCEPTED where the carrier gives no receipts
	Err     string    // the carrier's error code, a status's name, or our reason: "not_enrolled", "withdrawn"
	At      time.Time
}

// Fresh is what a message with a Job says when it leaves.
type Fresh struct {
	Keep           bool      // as it is
	Text, Template string    // else this
	Over           pdu.State // non-zero: it does not leave, and ends so: REJECTD, DELETED or EXPIRED
	Why            string    // the end's Err, with Over
}

const (
	endsMost    = 512 // ends told at a time
	endsAgain   = time.Second
	endsLongest = time.Minute
)

// teller takes the outbox of the jobs and tells Jobs. One goroutine, run; the fields but
// for wake are its own.
type teller struct {
	g      *Gateway
	number uint32        // of queue.JobsAccount
	wake   chan struct{} // buffer 1
	taken  []*queue.Delivery
	ends   []End
}

func newTeller(ctx context.Context, g *Gateway) (*teller, error) {
	n, err := g.store.Number(ctx, queue.AccountName, queue.JobsAccount)
	return &teller{g: g, number: n, wake: make(chan struct{}, 1)}, err
}

func (t *teller) wakeUp() {
	select {
	case t.wake <- struct{}{}:
	default:
	}
}

// run tells until the gateway ends. Without Jobs the rows stay for a process that has one.
func (t *teller) run() {
	ctx := t.g.ctx
	for t.g.opt.Jobs != nil {
		for t.turn(ctx) {
		}
		select {
		case <-ctx.Done():
			return
		case <-t.wake:
		}
	}
}

// turn tells one batch; false: nothing is there, or the gateway ends.
func (t *teller) turn(ctx context.Context) bool {
	t.taken, _ = t.g.store.TakeOutbox(t.number, endsMost, t.taken[:0])
	if len(t.taken) == 0 || ctx.Err() != nil {
		return false
	}
	t.ends = t.ends[:0]
	for _, d := range t.taken {
		t.ends = append(t.ends, End{
			Job: d.Job, Account: d.Dest.Addr, Message: d.Message, State: d.State, Err: d.Err, At: d.Created.Time(),
		})
	}
	for wait := endsAgain; ; wait = min(2*wait, endsLongest) {
		err := t.g.opt.Jobs.Ended(ctx, t.ends)
		if err == nil {
			break
		}
		if ctx.Err() != nil {
			return false // told again by the next process
		}
		t.g.log.Error("the ends of jobs were not taken, they are told again", slog.Int("ends", len(t.ends)), slog.Duration("retry_in", wait), slog.Any("err", err))
		if !pause(ctx, wait) {
			return false
		}
	}
	steps := make([]queue.Step, len(t.taken))
	for i, d := range t.taken {
		t.g.met.told(d.Job.Kind, d.State)
		steps[i] = &queue.Delivered{Account: d.Account, Seq: d.Seq, Verdict: queue.Acknowledged}
	}
	if err := t.g.store.Commit(ctx, quiet, steps...); err != nil && ctx.Err() == nil {
		t.g.log.Error("ends of jobs that were taken stay in the outbox, they are told again", slog.Int("ends", len(steps)), slog.Any("err", err))
	}
	clear(t.taken)
	return true
}

// pause waits; false: ctx has ended.
func pause(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-timer.C:
		return true
	}
}

// jobEnd is the row of a job's outbox that tells of a message's end.
func (g *Gateway) jobEnd(m *queue.Message, st pdu.State, err string, at time.Time) *queue.Delivery {
	return &queue.Delivery{
		Account: g.teller.number, Kind: queue.JobEnd, Message: m.ID, Created: queue.At(at),
		Dest: queue.Address{Addr: g.store.Name(queue.AccountName, m.Account)},
		Job:  m.Job, State: st, Err: err,
	}
}

// ofJob tells whether a message was made for a job.
func ofJob(m *queue.Message) bool { return m.Job != queue.Job{} }
