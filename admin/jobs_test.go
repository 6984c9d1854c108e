package admin

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"sync"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/gateway"
	"masar/jobs"
	"masar/queue"
	"masar/service"
	"masar/service/campaign"
	"masar/service/reminder"
)

// openJobs gives a site reminders and campaigns as the program has them, over a gateway
// that keeps what it is given.
func (s *site) openJobs() {
	s.t.Helper()
	quiet := slog.New(slog.DiscardHandler)
	s.gateway = &fakeGateway{fakeNotices: s.notices, now: s.clock}
	reminders, err := reminder.Open(reminder.Options{Dir: "reminders", FS: vfs.NewMem(), MinFree: -1, Now: s.clock, Log: quiet})
	if err != nil {
		s.t.Fatal(err)
	}
	campaigns, err := campaign.Open(campaign.Options{Dir: "campaigns", FS: vfs.NewMem(), MinFree: -1, Now: s.clock, Log: quiet})
	if err != nil {
		s.t.Fatal(err)
	}
	r := jobs.NewReminders(jobs.RemindersOptions{Store: reminders, Catalogue: s.o.Catalogue, Registry: s.reg, Log: quiet, Now: s.clock, At: 9 * time.Hour, Tries: 2})
	if err := r.Start(s.gateway); err != nil {
		s.t.Fatal(err)
	}
	c := jobs.NewCampaigns(jobs.CampaignsOptions{Store: campaigns, Catalogue: s.o.Catalogue, Registry: s.reg, Key: s.o.PersonKey, Country: "966", ReleaseAbove: 3, Max: 1 << 16, Log: quiet, Now: s.clock})
	c.Begin(s.gateway)
	s.t.Cleanup(func() {
		c.Close()
		r.Close()
		campaigns.Close()
		reminders.Close()
	})
	s.o.Reminders, s.o.Campaigns, s.o.Halts, s.o.Drains = r, c, s.gateway, s.gateway
}

// fakeGateway stands for the gateway where jobs, halts and drains ask it.
type fakeGateway struct {
	*fakeNotices
	now func() time.Time

	mu       sync.Mutex
	halts    []gateway.Halt
	given    int
	counted  gateway.Scope
	since    time.Time
	count    func(context.Context) (gateway.HaltCount, error)
	haltFail error
	released []string
	gone     map[queue.ID]bool
}

func (g *fakeGateway) SubmitMany(ctx context.Context, n []gateway.Notice, out []gateway.Submitted) error {
	for i := range n {
		out[i].ID, out[i].Err = g.Submit(ctx, n[i])
	}
	return nil
}

func (g *fakeGateway) SubmittedAs(_ context.Context, _ string, once []byte) (queue.ID, bool, error) {
	g.fakeNotices.mu.Lock()
	defer g.fakeNotices.mu.Unlock()
	id, known := g.ids[string(once)]
	return id, known, nil
}

func (g *fakeGateway) Withdraw(_ context.Context, _ string, id queue.ID) (bool, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return !g.gone[id], nil
}

func (g *fakeGateway) TimeFor(map[string]int64, queue.Class) time.Duration { return 90 * time.Second }

func (g *fakeGateway) Halt(_ context.Context, s gateway.Scope, by, reason string) (gateway.Halt, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch {
	case g.haltFail != nil:
		return gateway.Halt{}, g.haltFail
	case s.Sender == "NOBODY":
		return gateway.Halt{}, &gateway.ScopeError{Field: "sender", Rule: `nobody may send as "NOBODY"`}
	}
	g.given++
	h := gateway.Halt{ID: fmt.Sprintf("h%d", g.given), Scope: s, By: by, Reason: reason, Since: g.now()}
	g.halts = append(g.halts, h)
	return h, nil
}

func (g *fakeGateway) Halts() []gateway.Halt {
	g.mu.Lock()
	defer g.mu.Unlock()
	return append([]gateway.Halt(nil), g.halts...)
}

func (g *fakeGateway) HaltsOver(account, service string, job queue.Job) []gateway.Halt {
	var over []gateway.Halt
	for _, h := range g.Halts() {
		if s := h.Scope; s.All || s.Account == account || s.Service == service || s.Campaign == job.Number {
			over = append(over, h)
		}
	}
	return over
}

func (g *fakeGateway) Resume(_ context.Context, id, _ string) (gateway.Halt, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i, h := range g.halts {
		if h.ID == id {
			g.halts = append(g.halts[:i:i], g.halts[i+1:]...)
			return h, nil
		}
	}
	return gateway.Halt{}, gateway.ErrNoHalt
}

func (g *fakeGateway) CancelHalted(_ context.Context, id, _ string) (int64, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for i := range g.halts {
		if g.halts[i].ID == id {
			g.halts[i].Cancelled += 5
			return 5, nil
		}
	}
	return 0, gateway.ErrNoHalt
}

func (g *fakeGateway) CountScope(ctx context.Context, s gateway.Scope, since time.Time) (gateway.HaltCount, error) {
	g.mu.Lock()
	g.counted, g.since = s, since
	count := g.count
	g.mu.Unlock()
	if count != nil {
		return count(ctx)
	}
	return gateway.HaltCount{Waiting: 5, Aside: 4, OnWire: 3, Sent: 2, Ended: 10, Delivered: 9}, nil
}

func (g *fakeGateway) Drain() []gateway.Drain {
	return []gateway.Drain{
		{Carrier: "a", Class: "urgent", Messages: 10, PerSecond: 100, Takes: 100 * time.Millisecond},
		{Carrier: "a", Class: "bulk", Messages: 1000, PerSecond: 100, Takes: 10 * time.Second, HeldBulk: true},
		{Carrier: "b", Class: "normal", Messages: 1, PerSecond: 50, Takes: -1},
	}
}

func (g *fakeGateway) Release(carrier string) error {
	g.mu.Lock()
	defer g.mu.Unlock()
	switch carrier {
	case "a":
		g.released = append(g.released, carrier)
		return nil
	case "b":
		return gateway.ErrNoBulkHeld
	}
	return gateway.ErrNoCarrier
}

// steppedReminders lets an import put one batch for each step, so that a test may look
// between.
type steppedReminders struct {
	Reminders
	step, done chan struct{}
}

func (r *steppedReminders) Import(ctx context.Context, im reminder.Import, src io.ReadSeeker, bad service.BadRows) (service.Bookmark, error) {
	im.BatchRows = 500
	progress := im.Progress
	im.Progress = func(at service.Bookmark) {
		progress(at)
		select {
		case <-r.step:
			r.done <- struct{}{}
		case <-ctx.Done():
		}
	}
	return r.Reminders.Import(ctx, im, src, bad)
}

// slowReport takes longer for a report than a server gives a request.
type slowReport struct {
	Campaigns
	broken bool
}

func (r *slowReport) Report(ctx context.Context, _ uint64, w io.Writer) error {
	io.WriteString(w, "row\n")
	select {
	case <-time.After(250 * time.Millisecond):
	case <-ctx.Done():
		return ctx.Err()
	}
	io.WriteString(w, "1\n")
	if r.broken {
		return errBroken
	}
	return nil
}

// failingHalts cannot resume.
type failingHalts struct{ *fakeGateway }

func (h *failingHalts) Resume(context.Context, string, string) (gateway.Halt, error) {
	return gateway.Halt{}, errBroken
}

// waitingHalts waits in Halt.
type waitingHalts struct {
	*fakeGateway
	entered, leave chan struct{}
}

func (h *waitingHalts) Halt(ctx context.Context, s gateway.Scope, by, reason string) (gateway.Halt, error) {
	h.entered <- struct{}{}
	<-h.leave
	return h.fakeGateway.Halt(ctx, s, by, reason)
}
