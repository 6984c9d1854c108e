package jobs

import (
	"context"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"masar/gateway"
	"masar/number"
	"masar/queue"
	"masar/service/campaign"
	"masar/smpp/pdu"
)

func TestACampaignGoesFromItsFileToItsReport(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := newPlace(t, nil)
		p.g.refuses = func(n *gateway.Notice) error {
			if n.Number == 966500000003 {
				return refusal(gateway.Blocked)
			}
			return nil
		}
		id := p.draft(file(900)+"966500000000,again\nnobody,x\n", nil)
		v := p.checked(id)
		if v.State != campaign.Checked || v.NeedsRelease || v.Check == nil {
			t.Fatalf("%+v", v)
		}
		if k := v.Check; k.Rows != 902 || k.Good != 899 || k.Bad != 1 || k.Duplicate != 1 || k.Refused["blocked"] != 1 || k.Segments != 899 ||
			k.Parts["default"] != 899 || k.Takes != 899*time.Second || len(k.Errors) != 1 || k.Errors[0].Row != 903 || k.Errors[0].Field != "number" {
			t.Fatalf("%+v", k)
		}
		if _, err := p.c.Start(t.Context(), id, "huda"); err != nil {
			t.Fatal(err)
		}
		v = p.finish(id)
		if v.State != campaign.Done || v.Progress != 1 || v.Counts.Ended["DELIVRD"] != 899 || v.Counts.Refusals["blocked"] != 1 || v.Ended.IsZero() {
			t.Fatalf("%+v", v)
		}
		p.exact(id)
		m := p.g.sent[0].n
		if m.Account != "nic" || m.Service != "NEWS" || m.Number != 966500000000 || m.Text != "مرحبا name 0" || m.Template != "NEWS/1/ar" || m.System ||
			m.Job != (queue.Job{Kind: queue.CampaignJob, Number: id, Item: 2}) {
			t.Errorf("%+v", m)
		}
	})
}

func TestWhatACampaignsStateDoesNotAllowIsRefused(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := newPlace(t, func(o *CampaignsOptions) { o.ReleaseAbove = 10 })
		is := func(what string, err, want error) {
			t.Helper()
			if !errors.Is(err, want) {
				t.Errorf("%s: %v, want %v", what, err, want)
			}
		}
		state := func(what string, err error) {
			t.Helper()
			var e *campaign.StateError
			if !errors.As(err, &e) {
				t.Errorf("%s: %v", what, err)
			}
		}
		field := func(what, name string, err error) {
			t.Helper()
			var e *campaign.FieldError
			if !errors.As(err, &e) || e.Field != name {
				t.Errorf("%s: %v, want the field %s", what, err, name)
			}
		}
		ctx := t.Context()
		one := func(_ campaign.View, err error) error { return err }
		for name, k := range map[string]campaign.Campaign{
			"name":    {Account: "nic", Service: "NEWS", By: "huda"},
			"account": {Name: "x", Service: "NEWS", By: "huda"},
			"service": {Name: "x", Account: "nic", Service: "NONE", By: "huda"},
			"text":    {Name: "x", Account: "nic", Service: "NEWS", Text: "hi", By: "huda"},
			"pace":    {Name: "x", Account: "nic", Service: "NEWS", By: "huda", Pace: -1},
			"by":      {Name: "x", Account: "nic", Service: "NEWS"},
		} {
			field("create without "+name, name, one(p.c.Create(ctx, k)))
		}
		field("a foreign link", "text", one(p.c.Create(ctx, campaign.Campaign{Name: "x", Account: "nic", Service: "TEXT", By: "huda", Text: "see evil.example/x"})))

		v, err := p.c.Create(ctx, campaign.Campaign{Name: "x", Account: "nic", Service: "NEWS", By: "huda"})
		if err != nil {
			t.Fatal(err)
		}
		id := v.ID
		is("check without a file", one(p.c.Check(ctx, id, "huda")), campaign.ErrNoFile)
		is("start without a file", one(p.c.Start(ctx, id, "x")), campaign.ErrNoFile)
		is("release without a file", one(p.c.Release(ctx, id, "x")), campaign.ErrNoFile)
		_, err = p.c.Test(ctx, id, nil)
		is("test without a file", err, campaign.ErrNoFile)
		state("pause a draft", one(p.c.Pause(ctx, id, "x")))
		state("resume a draft", one(p.c.Resume(ctx, id, "x")))
		state("stop a draft", one(p.c.Stop(ctx, id, "x")))

		up := func(s string) error {
			return one(p.c.Upload(ctx, id, strings.NewReader(s), campaign.Format{By: "ali"}))
		}
		if err := up(file(11)); err != nil {
			t.Fatal(err)
		}
		is("start unchecked", one(p.c.Start(ctx, id, "x")), campaign.ErrNotChecked)
		is("release unchecked", one(p.c.Release(ctx, id, "x")), campaign.ErrNotChecked)
		if v := p.checked(id); !v.NeedsRelease {
			t.Errorf("%+v", v)
		}
		is("start unreleased", one(p.c.Start(ctx, id, "x")), campaign.ErrNotReleased)
		is("release by who made it", one(p.c.Release(ctx, id, "huda")), campaign.ErrSamePerson)
		is("release by who brought the file", one(p.c.Release(ctx, id, "ali")), campaign.ErrSamePerson)
		field("release by nobody", "by", one(p.c.Release(ctx, id, "")))
		if err := one(p.c.Release(ctx, id, "sara")); err != nil {
			t.Fatal(err)
		}
		// Another file takes the check and the release away.
		if err := up(file(12)); err != nil {
			t.Fatal(err)
		}
		is("start after a change of file", one(p.c.Start(ctx, id, "x")), campaign.ErrNotChecked)
		if v := p.checked(id); v.Released != "" || !v.NeedsRelease {
			t.Errorf("%+v", v)
		}
		// A file that is refused leaves what there is.
		if err := up("number\n966500000000\n"); err == nil || !strings.Contains(err.Error(), "name: is missing") {
			t.Errorf("a file without a parameter: %v", err)
		}
		if v := p.get(id); v.State != campaign.Checked || v.Counts.Rows != 12 {
			t.Errorf("a refused file changed %+v", v)
		}
		if err := one(p.c.Release(ctx, id, "sara")); err != nil {
			t.Fatal(err)
		}
		if err := one(p.c.Start(ctx, id, "huda")); err != nil {
			t.Fatal(err)
		}
		state("a file while it runs", up(file(1)))
		state("start twice", one(p.c.Start(ctx, id, "huda")))
		state("delete while it runs", p.c.Delete(ctx, id))
		p.finish(id)
		state("stop what is done", one(p.c.Stop(ctx, id, "x")))
		if err := p.c.Delete(ctx, id); err != nil {
			t.Error(err)
		}
		is("get", one(p.c.Get(ctx, 99)), campaign.ErrUnknown)
		is("check unknown", one(p.c.Check(ctx, 99, "huda")), campaign.ErrUnknown)
		is("start unknown", one(p.c.Start(ctx, 99, "x")), campaign.ErrUnknown)
		is("stop unknown", one(p.c.Stop(ctx, 99, "x")), campaign.ErrUnknown)
		is("delete unknown", p.c.Delete(ctx, 99), campaign.ErrUnknown)
		is("report unknown", p.c.Report(ctx, 99, nil), campaign.ErrUnknown)

		none := p.draft("number,name\nnobody,x\n", nil)
		p.checked(none)
		is("nobody to send to", one(p.c.Start(ctx, none, "huda")), campaign.ErrNobody)
		p.g.refuses = func(*gateway.Notice) error { return refusal(gateway.NotEnrolled) }
		all := p.draft(file(3), nil)
		p.checked(all)
		is("nobody is enrolled", one(p.c.Start(ctx, all, "huda")), campaign.ErrNobody)
	})
}

func TestAFullQueueIsWaitedFor(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := newPlace(t, nil)
		p.g.room = 100
		id := p.started(1000, func(k *campaign.Campaign) {})
		time.Sleep(10 * time.Second)
		if n := p.get(id).Counts; n.Accepted != 100 || n.Refused != 0 || p.g.count() != 100 {
			t.Fatalf("%+v", n)
		}
		v := p.finish(id)
		if v.State != campaign.Done || v.Counts.Ended["DELIVRD"] != 1000 {
			t.Fatalf("%+v", v.Counts)
		}
		p.exact(id)
	})
}

func TestARowThatWasRefusedStaysSoThoughOthersBeforeItHaveToWait(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := newPlace(t, nil)
		p.g.room = 3
		p.g.refuses = func(n *gateway.Notice) error {
			if n.Number%2 == 1 && n.Job.Kind != queue.NoJob { // not of the check
				return refusal(gateway.Blocked)
			}
			return nil
		}
		id := p.started(20, nil)
		p.until("half is refused, three wait", func() bool { n := p.get(id).Counts; return n.Refused == 10 && n.Accepted == 3 })
		if _, err := p.c.Pause(t.Context(), id, "sara"); err != nil {
			t.Fatal(err)
		}
		p.g.mu.Lock()
		p.g.room, p.g.refuses = 0, nil
		p.g.mu.Unlock()
		p.restart()
		if _, err := p.c.Resume(t.Context(), id, "sara"); err != nil {
			t.Fatal(err)
		}
		v := p.finish(id)
		if v.State != campaign.Done || v.Counts.Refusals["blocked"] != 10 || v.Counts.Ended["DELIVRD"] != 10 || p.g.count() != 10 {
			t.Errorf("%d were handed over: %+v", p.g.count(), v.Counts)
		}
		p.exact(id)
	})
}

// queueOf says what waits.
type queueOf struct{ waits *atomic.Int64 }

func (q queueOf) Number(context.Context, queue.NameKind, string) (uint32, error) { return 7, nil }
func (q queueOf) Depths(each func(queue.Lane, queue.Depth)) {
	each(queue.Lane{Account: 7, Class: queue.Bulk, Target: 1}, queue.Depth{Messages: q.waits.Load()})
	each(queue.Lane{Account: 7, Class: queue.Urgent}, queue.Depth{Messages: 1 << 40})
	each(queue.Lane{Account: 8, Class: queue.Bulk}, queue.Depth{Messages: 1 << 40})
}

func TestOnlySoManyRowsWaitInTheQueueAndThoseThatAwaitReceiptsDoNotCount(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		waits := new(atomic.Int64)
		waits.Store(1 << 40) // as much as there is
		p := newPlace(t, func(o *CampaignsOptions) { o.Ahead, o.Queue, o.ReleaseAbove = 700, queueOf{waits}, 1<<40 })
		id := p.started(3000, nil)
		time.Sleep(time.Minute)
		if n := p.g.count(); n != 700 {
			t.Fatalf("%d rows wait in the queue, 700 may", n)
		}
		p.g.deliver(50, pdu.StateDelivered)
		p.g.tell(t, p.c)
		time.Sleep(time.Second)
		if n := p.g.count(); n != 750 {
			t.Fatalf("%d rows were handed over, want 750", n)
		}
		// All have left and nobody's receipt comes: the queue is empty.
		waits.Store(0)
		time.Sleep(time.Minute)
		if n := p.g.count(); n != 3000 {
			t.Fatalf("%d rows were handed over, want all 3000", n)
		}
		p.finish(id)
		p.exact(id)
	})
}

func TestPaceIsKept(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := newPlace(t, nil)
		id := p.started(900, func(k *campaign.Campaign) { k.Pace = 100 })
		time.Sleep(4 * time.Second)
		if n := p.g.count(); n < 350 || n > 430 {
			t.Errorf("%d in 4 s at 100 a second", n)
		}
		p.finish(id)
		p.exact(id)
	})
}

func TestPauseHoldsAndResumeGoesOn(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := newPlace(t, func(o *CampaignsOptions) { o.Ahead = 200 })
		id := p.started(900, nil)
		time.Sleep(time.Second)
		v, err := p.c.Pause(t.Context(), id, "sara")
		if err != nil || v.State != campaign.Paused || v.Why != "paused by sara" || v.Halt != "h1" || p.g.halts[0].Scope.Campaign != id {
			t.Fatalf("%+v %v", v, err)
		}
		if _, err := p.c.Pause(t.Context(), id, "sara"); err != nil { // again
			t.Fatal(err)
		}
		if n := len(p.g.halts); n != 1 {
			t.Errorf("%d halts", n)
		}
		was := p.g.count()
		if n := p.g.deliver(1000, pdu.StateDelivered); n != 0 {
			t.Errorf("%d left while it is paused", n)
		}
		time.Sleep(time.Minute)
		p.restart()
		time.Sleep(time.Minute)
		if v := p.get(id); v.State != campaign.Paused || p.g.count() != was {
			t.Errorf("paused, %d rows went on: %+v", p.g.count()-was, v)
		}
		// Whoever lifts the halt itself has not resumed the campaign.
		if _, err := p.g.Resume(t.Context(), "h1", "x"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * time.Second)
		synctest.Wait()
		if v := p.get(id); v.Halt != "h2" || len(p.g.Halts()) != 1 {
			t.Errorf("it is not held again: %+v", v)
		}
		if v, err = p.c.Resume(t.Context(), id, "sara"); err != nil || v.State != campaign.Running || v.Halt != "" || len(p.g.Halts()) != 0 {
			t.Fatalf("%+v %v", v, err)
		}
		if v := p.finish(id); v.State != campaign.Done {
			t.Errorf("%+v", v)
		}
		p.exact(id)
	})
}

func TestStopIsExact(t *testing.T) {
	for _, c := range []struct {
		name  string
		pause bool
	}{{"running", false}, {"paused", true}} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				p := newPlace(t, func(o *CampaignsOptions) { o.Ahead = 300 })
				id := p.started(900, nil)
				time.Sleep(time.Second)
				p.g.deliver(100, pdu.StateDelivered)
				p.g.tell(t, p.c)
				time.Sleep(time.Second)
				// Some are on the wire when the stop comes, and come back to their lane.
				p.g.deliver(20, pdu.StateEnroute)
				if c.pause {
					if _, err := p.c.Pause(t.Context(), id, "sara"); err != nil {
						t.Fatal(err)
					}
				}
				v, err := p.c.Stop(t.Context(), id, "sara")
				if err != nil || v.State != campaign.Stopped || v.Stopper != "sara" {
					t.Fatalf("%+v %v", v, err)
				}
				was := p.g.count()
				p.g.mu.Lock()
				wire := 0
				for i := range p.g.sent {
					if m := &p.g.sent[i]; m.state == pdu.StateEnroute {
						if wire++; wire%2 == 0 {
							m.state = 0
						} else {
							m.state = pdu.StateDelivered
						}
					}
				}
				p.g.mu.Unlock()
				time.Sleep(time.Minute) // the watch cancels what came back
				p.g.tell(t, p.c)
				time.Sleep(2 * time.Second)
				v = p.get(id)
				if !v.Over() || v.Counts.Left != 0 || v.Counts.Waiting != 0 || v.Counts.Ended["DELIVRD"] != 110 || v.Counts.Stopped != 900-int64(was) || p.g.count() != was {
					t.Errorf("%d were handed over: %+v", was, v.Counts)
				}
				if len(p.g.Halts()) != 0 || v.Halt != "" {
					t.Errorf("over and still held: %v", p.g.Halts())
				}
				p.exact(id)
				if _, err := p.c.Stop(t.Context(), id, "sara"); err != nil { // again
					t.Error(err)
				}
				f, err := p.c.Fresh(&queue.Message{Job: queue.Job{Kind: queue.CampaignJob, Number: id, Item: 2}}, time.Now())
				if err != nil || f.Over != pdu.StateDeleted {
					t.Errorf("%+v %v", f, err)
				}
			})
		})
	}
}

func TestWhatEveryRowWouldMeetPausesTheCampaign(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		says string
	}{
		{"account gone", gateway.ErrNoAccount, "account nic is not in the configuration any more"},
		{"service not granted", refusal(gateway.ForeignService), "not granted"},
	} {
		t.Run(c.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				p := newPlace(t, func(o *CampaignsOptions) { o.Ahead = 100 })
				id := p.started(900, nil)
				time.Sleep(time.Second)
				p.g.mu.Lock()
				p.g.refuses = func(*gateway.Notice) error { return c.err }
				p.g.mu.Unlock()
				p.g.deliver(50, pdu.StateDelivered)
				p.g.tell(t, p.c)
				p.until("paused", func() bool { v := p.get(id); return v.State == campaign.Paused && v.Halt != "" })
				if v := p.get(id); !strings.Contains(v.Why, c.says) || v.Counts.Refused != 0 || v.Counts.Left != 800 {
					t.Errorf("%+v", v)
				}
				p.g.mu.Lock()
				p.g.refuses = nil
				p.g.mu.Unlock()
				if _, err := p.c.Resume(t.Context(), id, "sara"); err != nil {
					t.Fatal(err)
				}
				p.finish(id)
				p.exact(id)
			})
		})
	}
}

func TestACheckBeginsAgainAfterARestartAndStopEndsIt(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := newPlace(t, nil)
		id := p.draft(file(5000), nil)
		p.g.wait = func(context.Context) error {
			time.Sleep(10 * time.Millisecond)
			return nil
		}
		if _, err := p.c.Check(t.Context(), id, "huda"); err != nil {
			t.Fatal(err)
		}
		p.until("some progress", func() bool { v := p.get(id); return v.Progress > 0.1 && v.Progress < 1 })
		p.restart()
		p.until("some progress again", func() bool { v := p.get(id); return v.Progress > 0.1 && v.Progress < 1 })
		v, err := p.c.Stop(t.Context(), id, "sara")
		if err != nil || v.State != campaign.Draft || v.Check != nil || v.Why != "the check was ended by sara" {
			t.Fatalf("%+v %v", v, err)
		}
		p.g.wait = nil
		if v := p.checked(id); v.State != campaign.Checked || v.Check.Good != 5000 {
			t.Errorf("%+v", v)
		}
	})
}

func TestACheckThatEveryRowFailsSaysWhy(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := newPlace(t, nil)
		id := p.draft(file(10), nil)
		p.g.refuses = func(*gateway.Notice) error { return gateway.ErrNoAccount }
		if v := p.checked(id); v.State != campaign.Draft || v.Check != nil || !strings.Contains(v.Why, "no such account") {
			t.Errorf("%+v", v)
		}
		// A registry in trouble is waited for.
		calls := 0
		p.g.refuses = func(*gateway.Notice) error {
			if calls++; calls == 3 {
				return refusal(gateway.RegistryFailed)
			}
			return nil
		}
		if v := p.checked(id); v.State != campaign.Checked || v.Check.Good != 10 {
			t.Errorf("%+v", v)
		}
	})
}

func TestATestGoesToTheAgencysOwnNumbersOnly(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := newPlace(t, nil)
		id := p.draft("number,name,language\n966500000009,Huda,en\n", nil)
		for _, c := range []struct {
			name    string
			numbers []number.E164
			want    int
		}{{"all of them", nil, 2}, {"one", []number.E164{966500000002}, 1}} {
			out, err := p.c.Test(t.Context(), id, c.numbers)
			if err != nil || len(out) != c.want || out[0].Text != "Hello Huda" || out[0].Err != nil || out[0].Message == 0 || out[0].Parts != 1 {
				t.Errorf("%s: %+v %v", c.name, out, err)
			}
		}
		for _, m := range p.g.sent {
			if !m.n.System || m.n.Job.Kind != queue.NoJob || len(m.n.Once) != 0 {
				t.Errorf("%+v", m.n)
			}
		}
		var wrong *campaign.FieldError
		if _, err := p.c.Test(t.Context(), id, []number.E164{966500000002, 966500000009}); !errors.As(err, &wrong) || wrong.Field != "numbers" || p.g.count() != 3 {
			t.Errorf("a recipient of the file was sent a test: %v", err)
		}
		if v := p.get(id); v.Tested.IsZero() || v.Counts.Left != 1 {
			t.Errorf("%+v", v)
		}
		bare := p.draft("number,text\n966500000009,hi\n", func(k *campaign.Campaign) { k.Service = "BARE" })
		if _, err := p.c.Test(t.Context(), bare, nil); !errors.As(err, &wrong) {
			t.Errorf("an agency without test numbers: %v", err)
		}
	})
}

func TestTextsAreTheCampaignsOrTheRows(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := newPlace(t, nil)
		same := p.draft("number\n966500000001\n", func(k *campaign.Campaign) { k.Service, k.Text = "TEXT", "the same" })
		each := p.draft("number,text\n966500000001,one\n966500000002,see evil.example/x\n966500000003,see moi.gov.sa/x\n", func(k *campaign.Campaign) { k.Service = "TEXT" })
		for _, id := range []uint64{same, each} {
			p.checked(id)
			if _, err := p.c.Start(t.Context(), id, "huda"); err != nil {
				t.Fatal(err)
			}
			p.finish(id)
			p.exact(id)
		}
		if p.get(each).Counts.Bad != 1 || len(p.g.sent) != 3 || p.g.sent[0].n.Text != "the same" || p.g.sent[1].n.Text != "one" || p.g.sent[2].n.Text != "see moi.gov.sa/x" {
			t.Errorf("%+v", p.g.sent)
		}
	})
}

func TestCampaignsThatAreOverAreForgottenInTheEnd(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := newPlace(t, func(o *CampaignsOptions) { o.Keep = time.Hour })
		id := p.started(3, nil)
		p.finish(id)
		time.Sleep(59 * time.Minute)
		p.get(id)
		time.Sleep(2 * time.Minute)
		if _, err := p.c.Get(t.Context(), id); !errors.Is(err, campaign.ErrUnknown) {
			t.Errorf("it is still there: %v", err)
		}
	})
}

func TestWithoutAGatewayOrdersAreRefusedAndEndsAreTaken(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := newPlace(t, nil)
		id := p.started(10, nil)
		p.until("handed over", func() bool { return p.get(id).Counts.Left == 0 })
		p.c.Close()
		if _, err := p.c.Pause(t.Context(), id, "x"); !errors.Is(err, campaign.ErrNotYet) {
			t.Error(err)
		}
		p.g.deliver(10, pdu.StateDelivered)
		p.g.tell(t, p.c)
		if v := p.get(id); v.State != campaign.Done {
			t.Errorf("%+v", v)
		}
		p.c.Close() // again
	})
}
