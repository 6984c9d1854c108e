package queuetest

import (
	"context"
	"errors"
	"reflect"
	"sync"
	"sync/atomic"

	"masar/queue"
	"masar/smpp/pdu"
)

var closeTests = []test{
	{name: "AFullInboxIsBusyToWhoCannotWait", env: Env{InboxSteps: 64}, run: busy},
	{name: "AContextThatEndedIsNoHindranceWhileThereIsPlace", run: endedContext},
	{name: "CloseCommitsWhatTheInboxHolds", run: closeCommits},
	{name: "CloseAmongManyCommitsLosesNothing", run: closeRace},
	{name: "AClosedStoreSaysSo", run: closed},
}

// busy holds the committer up inside a Done, which nobody else may do, until the inbox is full.
func busy(r *rig) {
	l := lane(1, queue.Normal)
	ended, end := context.WithCancel(r.ctx)
	end()
	held, free := make(chan struct{}), make(chan struct{})
	release := sync.OnceFunc(func() { close(free) })
	defer release()
	if err := r.s.Commit(r.ctx, queue.DoneFunc(func(error) { close(held); <-free }), &queue.Delivered{Account: 1, Seq: 1}); err != nil {
		r.Fatal(err)
	}
	<-held
	var in []*ticket
	for {
		k := newTicket()
		err := r.s.Commit(ended, k, r.into(l)())
		if errors.Is(err, queue.ErrBusy) {
			break
		}
		if err != nil {
			r.Fatalf("Commit with an ended context: %v, want nil or ErrBusy", err)
		}
		if in = append(in, k); len(in) > 1_000_000 {
			r.Fatal("a million steps and the inbox is not full")
		}
	}
	if len(in) == 0 {
		r.Fatal("the inbox was full from the start")
	}
	ctx, cancel := context.WithCancel(r.ctx)
	var wg sync.WaitGroup
	gaveUp := r.into(l)()
	wg.Go(func() {
		err := r.s.Commit(ctx, queue.DoneFunc(func(error) { r.Error("Done of a Commit that gave up") }), gaveUp)
		if !errors.Is(err, queue.ErrBusy) && !errors.Is(err, context.Canceled) {
			r.Errorf("a Commit whose context ended while the inbox was full: %v, want ErrBusy", err)
		}
	})
	cancel()
	wg.Wait()
	waits := newTicket()
	patient := r.into(l)()
	wg.Go(func() {
		if err := r.s.Commit(r.ctx, waits, patient); err != nil {
			r.Errorf("a Commit that waited for place: %v", err)
		}
	})
	release()
	wg.Wait()
	for _, k := range append(in, waits) {
		if err := k.wait(); err != nil {
			r.Errorf("Done: %v", err)
		}
	}
	r.wantDepths("of what went in", map[any]int64{l: int64(len(in)) + 1})
	r.take(l, len(in)+1)
}

func endedContext(r *rig) {
	l := lane(1, queue.Normal)
	ctx, end := context.WithCancel(r.ctx)
	end()
	for range 10 {
		k := newTicket()
		if err := r.s.Commit(ctx, k, r.into(l)()); err != nil {
			r.Fatalf("Commit into an empty inbox with an ended context: %v", err)
		}
		if err := k.wait(); err != nil {
			r.Fatalf("Done: %v", err)
		}
	}
	r.take(l, 10)
}

func closeCommits(r *rig) {
	l := lane(1, queue.Normal)
	var in []*ticket
	for range 500 {
		in = append(in, r.send(r.into(l)()))
	}
	r.restart()
	for i, k := range in {
		select {
		case <-k.ended:
		default:
			r.Fatalf("Close returned before Done of Commit %d", i)
		}
		if k.err != nil {
			r.Errorf("Done of Commit %d: %v", i, k.err)
		}
	}
	r.wantDepths("after Close", map[any]int64{l: 500})
	r.take(l, 500)
}

func closeRace(r *rig) {
	l := lane(1, queue.Normal)
	var stored atomic.Int64
	var wg sync.WaitGroup
	steps := make(chan queue.Step)
	for range 6 {
		wg.Go(func() {
			for s := range steps {
				k := newTicket()
				if err := r.s.Commit(r.ctx, k, s); err != nil {
					if !errors.Is(err, queue.ErrClosed) {
						r.Errorf("Commit while closing: %v, want ErrClosed", err)
					}
					continue
				}
				if k.wait() == nil {
					stored.Add(1)
				}
				for _, c := range must(r.s.Take(l, 1, nil)) {
					r.s.Release(c)
				}
			}
		})
	}
	for range 400 {
		steps <- r.into(l)()
	}
	store := r.s
	wg.Go(func() {
		if err := store.Close(); err != nil {
			r.Errorf("Close: %v", err)
		}
	})
	for range 100 {
		steps <- r.into(l)()
	}
	close(steps)
	wg.Wait()
	r.start()
	r.wantDepths("after Close among Commits", map[any]int64{l: stored.Load()})
	r.take(l, int(stored.Load()))
}

func must(c []queue.Claim, _ bool) []queue.Claim { return c }

func closed(r *rig) {
	l := lane(1, queue.Normal)
	m := r.accept(l, 2)[0]
	c := r.takeOne(l)
	d := r.deliver(1, 2)
	r.takeOutbox(1, 1)
	s := r.s
	if err := s.Close(); err != nil {
		r.Fatalf("Close: %v", err)
	}
	if err := s.Close(); err != nil {
		r.Errorf("a second Close: %v", err)
	}
	ctx := r.ctx
	for _, row := range []struct {
		name string
		call func() error
	}{
		{"Commit", func() error { return s.Commit(ctx, newTicket(), r.into(l)()) }},
		{"Commit of a Final", func() error { return s.Commit(ctx, newTicket(), r.final(c, pdu.StateDelivered)) }},
		{"ClaimID", func() error { _, err := s.ClaimID(ctx, 1, m.ID); return err }},
		{"Due", func() error { _, err := s.Due(ctx, queue.Scheduled, r.clock.Now(), 1, nil); return err }},
		{"Due of Overdue", func() error { _, err := s.Due(ctx, queue.Overdue, r.clock.Now(), 1, nil); return err }},
		{"Due of Expired", func() error { _, err := s.Due(ctx, queue.Expired, r.clock.Now(), 1, nil); return err }},
		{"Find", func() error { _, err := s.Find(ctx, 0, m.ID); return err }},
		{"ByShown", func() error { _, err := s.ByShown(ctx, 1, "0000000001"); return err }},
		{"Matching", func() error { _, err := s.Matching(ctx, pattern(m), 1); return err }},
		{"Correlate", func() error { return s.Correlate(ctx, 7, []queue.Lookup{{IDs: []string{"x"}}}) }},
		{"MOSets", func() error { _, err := s.MOSets(ctx, r.clock.Now(), 1); return err }},
		{"Number of a new name", func() error { _, err := s.Number(ctx, queue.AccountName, "new"); return err }},
	} {
		if err := row.call(); !errors.Is(err, queue.ErrClosed) {
			r.Errorf("%s on a closed store: %v, want ErrClosed", row.name, err)
		}
	}
	s.Release(c)
	s.ReleaseOutbox(d[0])
	if got, _ := s.Take(l, 1, nil); len(got) > 0 {
		r.Error("Take on a closed store gives a message")
	}
	if got, _ := s.TakeOutbox(1, 1, nil); len(got) > 0 {
		r.Error("TakeOutbox on a closed store gives a delivery")
	}
	s.Name(queue.AccountName, 1)
	s.Depths(func(queue.Lane, queue.Depth) {})
	s.OutboxDepths(func(uint32, queue.Depth) {})
	r.start()
	if got := r.depths(); !reflect.DeepEqual(got, map[any]int64{l: 2, uint32(1): 2}) {
		r.Errorf("opened again it has %v", got)
	}
}
