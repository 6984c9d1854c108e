package jobs

import (
	"context"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"masar/service/campaign"
	"masar/smpp/pdu"
)

func TestACheckSaysWhoAskedForItAlsoAfterARestart(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := newPlace(t, nil)
		id := p.draft(file(10), nil)
		if _, err := p.c.Check(t.Context(), id, "cli:sara"); err != nil {
			t.Fatal(err)
		}
		p.restart()
		p.until("checked", func() bool { return p.get(id).State == campaign.Checked })
		if v := p.get(id); v.Check.By != "cli:sara" {
			t.Errorf("the check is by %q", v.Check.By)
		}
	})
}

func TestAFailedCampaignEndsWithTheLastOfItsMessages(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := newPlace(t, func(o *CampaignsOptions) { o.Ahead, o.Keep = 3, time.Hour })
		id := p.started(10, nil)
		p.until("some are out", func() bool { return p.get(id).Counts.Waiting == 3 })
		if _, err := p.st.Change(id, func(k *campaign.Campaign) error { k.State = campaign.Failed; return nil }); err != nil {
			t.Fatal(err)
		}
		if v := p.get(id); !v.Ended.IsZero() {
			t.Errorf("it ended at %v with %d under way", v.Ended, v.Counts.Waiting)
		}
		p.g.deliver(3, pdu.StateDelivered)
		p.g.tell(t, p.c)
		if v := p.get(id); v.Ended.IsZero() || !v.Over() {
			t.Errorf("its last message has ended, and it has not: %+v", v.Campaign)
		}
		time.Sleep(2 * time.Hour)
		if _, err := p.c.Get(t.Context(), id); err == nil {
			t.Error("it is kept for ever")
		}
	})
}

func TestNothingIsKeptOfADeletedCampaign(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := newPlace(t, nil)
		id, other := p.draft(file(1), nil), p.draft(file(1), nil)
		time.Sleep(2 * watchEvery)
		if err := p.c.Delete(t.Context(), id); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * watchEvery)
		synctest.Wait()
		p.c.mu.Lock()
		defer p.c.mu.Unlock()
		if len(p.c.rates) != 1 || p.c.rates[other] == nil {
			t.Errorf("rates of %d campaigns are kept, there is one", len(p.c.rates))
		}
	})
}

// TestACancelThatReadsALongQueueHoldsNoOtherCampaignUp: two stopped campaigns have messages
// on the wire, and to read the queue takes a minute. A third one's halt, which somebody has
// lifted, is put back within a second or two all the same.
func TestACancelThatReadsALongQueueHoldsNoOtherCampaignUp(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := newPlace(t, func(o *CampaignsOptions) { o.Ahead = 100 })
		paused, stopped := p.started(900, nil), []uint64{p.started(900, nil), p.started(900, nil)}
		time.Sleep(time.Second)
		if _, err := p.c.Pause(t.Context(), paused, "sara"); err != nil {
			t.Fatal(err)
		}
		p.g.deliver(1<<30, pdu.StateEnroute) // on the wire: no cancel reaches it
		for _, id := range stopped {
			if _, err := p.c.Stop(t.Context(), id, "sara"); err != nil {
				t.Fatal(err)
			}
		}
		var under, most, all atomic.Int32
		p.g.mu.Lock()
		p.g.survey = func(ctx context.Context) error {
			all.Add(1)
			most.Store(max(most.Load(), under.Add(1)))
			defer under.Add(-1)
			if !sleep(ctx, time.Minute) {
				return ctx.Err()
			}
			return nil
		}
		p.g.mu.Unlock()
		p.until("the queue is read", func() bool { return under.Load() > 0 })
		if _, err := p.g.Resume(t.Context(), p.get(paused).Halt, "ali"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(3 * time.Second)
		if under.Load() == 0 {
			t.Fatal("the queue is not read any more")
		}
		if h := ownHalts(p.g, paused); len(h) != 1 || h[0].ID != p.get(paused).Halt {
			t.Errorf("the paused campaign is not held again: %+v", h)
		}
		time.Sleep(30 * time.Minute)
		if most.Load() != 1 || all.Load() < 4 {
			t.Errorf("%d cancels, %d at a time", all.Load(), most.Load())
		}
	})
}
