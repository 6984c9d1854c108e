package jobs

import (
	"context"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/gateway"
	"masar/queue"
	"masar/queue/pebble"
	"masar/service"
	"masar/service/campaign"
	"masar/smpp"
	"masar/smpp/pdu"
	"masar/smpp/smpptest"
	"masar/smpp/text"
)

// A world is campaigns, a real gateway and its queue over one disk, and a carrier that
// outlives them.
type world struct {
	t    *testing.T
	fs   *vfs.MemFS
	cat  *service.Catalogue
	smsc *smpptest.SMSC

	st    *campaign.Store
	c     *Campaigns
	store *pebble.Store
	g     *gateway.Gateway
	pace  float64 // of the carrier; 0: any
	setup gateway.Setup
}

func newWorld(t *testing.T, o smpptest.SMSCOptions, pace float64) *world {
	t.Helper()
	smsc, err := smpptest.NewSMSC(o)
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, fs: vfs.NewCrashableMem(), cat: campaignCatalogue(t), smsc: smsc, pace: pace}
	w.open()
	t.Cleanup(func() {
		w.close()
		smsc.Close()
	})
	return w
}

func (w *world) open() {
	w.t.Helper()
	w.st = openCampaigns(w.t, w.fs)
	o := CampaignsOptions{Store: w.st, Catalogue: func() *service.Catalogue { return w.cat }, Country: "966", ReleaseAbove: 1 << 40, Ahead: 300, Log: slog.New(slog.DiscardHandler)}
	w.c = NewCampaigns(o)
	w.g, w.store = realGateway(w.t, w.fs, w.cat, nil, &Jobs{Campaigns: w.c}, func(o *gateway.Options) {
		o.HaltFile = "" // Pause and Stop are another test's
		o.Timers = smpp.Timers{SessionInit: 10 * time.Second, Response: 10 * time.Second}
		o.Dial = func(context.Context, string, string) (net.Conn, error) {
			ours, theirs := smpptest.Pipe(256<<10, netip.MustParseAddrPort("10.9.0.1:40000"))
			w.smsc.ServeConn(theirs)
			return ours, nil
		}
		c := &o.Setup.Carriers[0]
		c.Timers, c.Codings, c.Identity = o.Timers, text.Codings{One: text.ASCII}, "a"
		c.Throughput = w.pace
		w.setup = o.Setup
		c.Backoff = smpp.Backoff{Min: 10 * time.Millisecond, Max: 100 * time.Millisecond, Factor: 2, Refused: time.Second, AlreadyBound: time.Second}
	})
	w.c.o.Queue = w.store
	w.c.Begin(w.g)
}

func (w *world) close() {
	w.c.Close()
	if err := w.g.Close(context.Background()); err != nil {
		w.t.Errorf("gateway.Close: %v", err)
	}
	if err := w.store.Close(); err != nil {
		w.t.Errorf("store.Close: %v", err)
	}
	w.st.Close()
}

// crash cuts the power: what was not synced is there or not, as chance has it.
func (w *world) crash(chance *rand.Rand) {
	w.t.Helper()
	w.smsc.DropConnections() // the dead answer nobody
	after := w.fs.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: chance.IntN(101), RNG: chance})
	w.close() // of the old disk, which nobody reads again
	w.fs = after
	w.open()
}

// messages are what the queue has of a campaign, by message id.
func (w *world) messages(id uint64) map[string]pdu.State {
	w.t.Helper()
	ids, rows := map[string]pdu.State{}, map[uint64]queue.ID{}
	err := w.store.Survey(w.t.Context(), queue.Survey{Sent: true, Since: time.Unix(1, 0)}, func(v *queue.View) bool {
		if v.M.Job.Kind != queue.CampaignJob || v.M.Job.Number != id {
			return true
		}
		if was, twice := rows[v.M.Job.Item]; twice {
			w.t.Errorf("row %d has the messages %s and %s", v.M.Job.Item, was, v.M.ID)
		}
		rows[v.M.Job.Item] = v.M.ID
		ids[v.M.ID.String()] = 0
		if v.Stage == queue.Ended {
			ids[v.M.ID.String()] = v.State
		}
		return true
	})
	if err != nil {
		w.t.Fatal(err)
	}
	return ids
}

// begin makes and starts a campaign.
func (w *world) begin(rows int) uint64 {
	w.t.Helper()
	ctx := w.t.Context()
	v, err := w.c.Create(ctx, campaign.Campaign{Name: "news", Account: "nic", Service: "NEWS", By: "huda"})
	if err != nil {
		w.t.Fatal(err)
	}
	if _, err := w.c.Upload(ctx, v.ID, strings.NewReader(file(rows)), campaign.Format{By: "ali"}); err != nil {
		w.t.Fatal(err)
	}
	until(w.t, "the carrier is up", func() bool { return w.g.TimeFor(map[string]int64{"=a": 1}, queue.Bulk) >= 0 })
	if _, err := w.c.Check(ctx, v.ID, "huda"); err != nil {
		w.t.Fatal(err)
	}
	until(w.t, "checked", func() bool { v, _ = w.c.Get(ctx, v.ID); return v.State == campaign.Checked })
	if v.Check.Good != int64(rows) || v.Check.Takes < 0 {
		w.t.Fatalf("%+v", v.Check)
	}
	if _, err := w.c.Start(ctx, v.ID, "huda"); err != nil {
		w.t.Fatal(err)
	}
	return v.ID
}

func (w *world) over(id uint64) campaign.View {
	w.t.Helper()
	var v campaign.View
	until(w.t, "over", func() bool {
		var err error
		if v, err = w.c.Get(w.t.Context(), id); err != nil {
			w.t.Fatal(err)
		}
		return v.Over()
	})
	return v
}

// The power is cut again and again, at any moment and with what was not synced in any
// state: each recipient has one accepted message, and the report says what the queue says.
func TestAfterPowerCutsEveryRecipientHasOneMessageAndTheReportIsExact(t *testing.T) {
	const rows, cuts = 1500, 12
	for seed := range uint64(3) {
		inBubble(t, func(t *testing.T) {
			chance := rand.New(rand.NewPCG(seed, 7))
			w := newWorld(t, smpptest.SMSCOptions{Latency: 5 * time.Millisecond, ReceiptDelay: 20 * time.Millisecond, ReceiptRetry: 20 * time.Millisecond, Seed: seed}, 0)
			id := w.begin(rows)
			for range cuts {
				time.Sleep(time.Duration(chance.Int64N(int64(40 * time.Millisecond))))
				w.crash(chance)
			}
			v := w.over(id)
			n := v.Counts
			if v.State != campaign.Done || n.Accepted != rows || n.Waiting != 0 || n.Refused != 0 {
				t.Errorf("seed %d: %+v", seed, n)
			}
			exactReport(t, w.c, id, w.messages(id))
		})
	}
}

func TestAPausedCampaignLeavesNothingAndAStoppedOneEnds(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, smpptest.SMSCOptions{Latency: 50 * time.Millisecond, ReceiptDelay: 20 * time.Millisecond}, 300)
		id := w.begin(3000)
		time.Sleep(500 * time.Millisecond)
		if _, err := w.c.Pause(t.Context(), id, "sara"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Second)
		was := w.smsc.Stats().Accepted
		time.Sleep(time.Minute)
		if now := w.smsc.Stats().Accepted; now != was || was == 0 {
			t.Errorf("%d left before, %d later than a second after the pause", was, now-was)
		}
		if _, err := w.c.Resume(t.Context(), id, "sara"); err != nil {
			t.Fatal(err)
		}
		until(t, "more leave", func() bool { return w.smsc.Stats().Accepted > was+200 })
		v, err := w.c.Stop(t.Context(), id, "sara")
		if err != nil || v.State != campaign.Stopped {
			t.Fatalf("%+v %v", v, err)
		}
		v = w.over(id)
		synctest.Wait()
		if n := v.Counts; n.Ended["DELETED"] == 0 || n.Ended["DELIVRD"] == 0 || n.Stopped == 0 || n.Left != 0 || n.Waiting != 0 {
			t.Errorf("%+v", n)
		}
		time.Sleep(5 * time.Second)
		if len(w.g.Halts()) != 0 {
			t.Errorf("still held: %+v", w.g.Halts())
		}
		exactReport(t, w.c, id, w.messages(id))
	})
}

func TestInQuietHoursRowsWaitInTheQueue(t *testing.T) {
	inBubble(t, func(t *testing.T) { // the bubble's clock begins at midnight
		time.Sleep(7 * time.Hour)
		w := newWorld(t, smpptest.SMSCOptions{}, 0)
		w.close()
		w.cat = quietCatalogue(t)
		w.open()
		id := w.begin(1000)
		if v, err := w.c.Get(t.Context(), id); err != nil || v.Check.Held != 1000 || v.Check.Good != 1000 {
			t.Fatalf("%+v %v", v.Check, err)
		}
		time.Sleep(30 * time.Minute)
		v, err := w.c.Get(t.Context(), id)
		if err != nil || v.Counts.Accepted != 300 || v.Counts.Waiting != 300 || w.smsc.Stats().Accepted != 0 {
			t.Fatalf("at half past seven: %+v, %d have left", v.Counts, w.smsc.Stats().Accepted)
		}
		time.Sleep(30 * time.Minute)
		if v := w.over(id); v.State != campaign.Done || v.Counts.Ended["DELIVRD"] != 1000 || v.Ended.Hour() != 8 {
			t.Errorf("%+v at %s", v.Counts, v.Ended)
		}
		exactReport(t, w.c, id, w.messages(id))
	})
}

func TestACampaignWhoseAccountLeavesWithAReloadIsPausedAndGoesOn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		w := newWorld(t, smpptest.SMSCOptions{Latency: 5 * time.Millisecond}, 200)
		id := w.begin(1500)
		time.Sleep(2 * time.Second)
		// Each has carriers of its own: a reload writes defaults into what it is given.
		with, without := w.setup, w.setup
		with.Carriers, without.Carriers = slices.Clone(w.setup.Carriers), slices.Clone(w.setup.Carriers)
		without.Accounts = nil
		if err := w.g.Reload(t.Context(), without); err != nil {
			t.Fatal(err)
		}
		var v campaign.View
		until(t, "paused", func() bool { v, _ = w.c.Get(t.Context(), id); return v.State == campaign.Paused && v.Halt != "" })
		if !strings.Contains(v.Why, "account nic is not in the configuration any more") || v.Counts.Refused != 0 || v.Counts.Left == 0 {
			t.Errorf("%+v", v)
		}
		if err := w.g.Reload(t.Context(), with); err != nil {
			t.Fatal(err)
		}
		if _, err := w.c.Resume(t.Context(), id, "sara"); err != nil {
			t.Fatal(err)
		}
		if v := w.over(id); v.State != campaign.Done || v.Counts.Accepted != 1500 || v.Counts.Refused != 0 {
			t.Errorf("%+v", v.Counts)
		}
		exactReport(t, w.c, id, w.messages(id))
	})
}
