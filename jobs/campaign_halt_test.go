package jobs

import (
	"testing"
	"time"

	"masar/service/campaign"
)

// TestACampaignsHaltSaysWhatIsTrue: paused while it is paused, stopped once it is stopped,
// and at no moment two.
func TestACampaignsHaltSaysWhatIsTrue(t *testing.T) {
	for _, paused := range []bool{false, true} {
		name := "stopped while it runs"
		if paused {
			name = "stopped while it is paused"
		}
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T) {
				p := newPlace(t, func(o *CampaignsOptions) { o.Ahead = 100 })
				id := p.started(900, nil)
				time.Sleep(time.Second)
				says := func(want string) {
					t.Helper()
					h := p.g.Halts()
					if len(h) != 1 || h[0].Reason != want || p.get(id).Halt != h[0].ID {
						t.Errorf("halts %+v, the campaign names %q; want %q", h, p.get(id).Halt, want)
					}
				}
				if paused {
					if _, err := p.c.Pause(t.Context(), id, "sara"); err != nil {
						t.Fatal(err)
					}
					says("campaign 1 is paused")
				}
				p.g.keepOne = true // on the wire: it waits when the others have been cancelled
				if _, err := p.c.Stop(t.Context(), id, "sara"); err != nil {
					t.Fatal(err)
				}
				says("campaign 1 is stopped")
				time.Sleep(time.Minute)
				says("campaign 1 is stopped")
				p.g.keepOne = false
				if v := p.finish(id); v.State != campaign.Stopped {
					t.Errorf("%+v", v)
				}
				time.Sleep(5 * time.Second)
				if h := p.g.Halts(); len(h) != 0 {
					t.Errorf("it is over, and held: %+v", h)
				}
			})
		})
	}
}
