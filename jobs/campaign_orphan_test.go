package jobs

import (
	"testing"
	"testing/synctest"
	"time"

	"masar/gateway"
	"masar/service/campaign"
)

// TestAHaltThatWasNotNotedDoesNotOutliveThePause: the process died when the gateway had
// stored a campaign's halt and the campaign had not noted it yet.
func TestAHaltThatWasNotNotedDoesNotOutliveThePause(t *testing.T) {
	for _, row := range []struct {
		name   string
		state  campaign.State // that the campaign was left in
		resume bool
	}{
		{"paused, and resumed", campaign.Paused, true},
		{"still running", campaign.Running, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				p := newPlace(t, func(o *CampaignsOptions) { o.Ahead = 200 })
				id := p.started(900, nil)
				time.Sleep(time.Second)
				p.close()
				if _, err := p.g.Halt(t.Context(), gateway.Scope{Campaign: id}, "sara", "campaign 1 is paused"); err != nil {
					t.Fatal(err)
				}
				st := openCampaigns(t, p.fs)
				if _, err := st.Change(id, func(k *campaign.Campaign) error { k.State = row.state; return nil }); err != nil {
					t.Fatal(err)
				}
				st.Close()
				p.open()
				time.Sleep(5 * time.Second)
				synctest.Wait()
				if row.resume {
					if h := p.g.Halts(); len(h) != 1 || p.get(id).Halt != h[0].ID {
						t.Errorf("the campaign names halt %q, in force are %+v", p.get(id).Halt, h)
					}
					if _, err := p.c.Resume(t.Context(), id, "sara"); err != nil {
						t.Fatal(err)
					}
				}
				if h := p.g.Halts(); len(h) != 0 {
					t.Fatalf("it runs, and is held: %+v", h)
				}
				if v := p.finish(id); v.State != campaign.Done {
					t.Errorf("%+v", v)
				}
				p.exact(id)
			})
		})
	}
}

// TestSeveralOwnHaltsEndWithOneResume, as an earlier release may have left them.
func TestSeveralOwnHaltsEndWithOneResume(t *testing.T) {
	inBubble(t, func(t *testing.T) {
		p := newPlace(t, func(o *CampaignsOptions) { o.Ahead = 200 })
		id := p.started(900, nil)
		time.Sleep(time.Second)
		if _, err := p.c.Pause(t.Context(), id, "sara"); err != nil {
			t.Fatal(err)
		}
		for _, h := range []struct {
			scope  gateway.Scope
			reason string
		}{
			{gateway.Scope{Campaign: id}, "campaign 1 is running"},
			{gateway.Scope{Campaign: id}, "a wrong date"},             // an operator's
			{gateway.Scope{Campaign: id}, "campaign 1 is nonsense"},   // an operator's
			{gateway.Scope{Campaign: id + 1}, "campaign 1 is paused"}, // another campaign's
		} {
			if _, err := p.g.Halt(t.Context(), h.scope, "ali", h.reason); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := p.c.Resume(t.Context(), id, "sara"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Second)
		synctest.Wait()
		if h := p.g.Halts(); len(h) != 3 || h[0].ID != "h3" || h[1].ID != "h4" || h[2].ID != "h5" {
			t.Errorf("left in force: %+v", h)
		}
	})
}
