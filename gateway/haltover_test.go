package gateway

import (
	"testing"

	"masar/queue"
)

func TestTheHaltsOverAJobAreThoseOfEveryScopeThatItsMessagesAreIn(t *testing.T) {
	bubble(t, func(t *testing.T) {
		r, _ := haltRig(t, rigOptions{})
		class := queue.Class(r.gw.world.Load().catalogue().Service("IDREN").Class)
		sender := r.gw.world.Load().services[r.gw.world.Load().catalogue().Service("IDREN")].sender.Addr
		other := queue.Bulk
		if class == other {
			other = queue.Normal
		}
		for _, row := range []struct {
			scope Scope
			over  bool
		}{
			{Scope{All: true}, true},
			{Scope{Service: "IDREN"}, true},
			{Scope{Service: "TRAFF"}, false},
			{Scope{Agency: "civil-affairs"}, true},
			{Scope{Agency: "traffic"}, false},
			{Scope{Account: "acme"}, true},
			{Scope{Account: "muroor"}, false},
			{Scope{Class: class.String()}, true},
			{Scope{Class: other.String()}, false},
			{Scope{Sender: sender}, sender != ""},
			{Scope{Campaign: 7}, true},
			{Scope{Campaign: 8}, false},
			{Scope{Account: "acme", Service: "IDREN", Class: class.String()}, true},
			{Scope{Account: "acme", Service: "IDREN", Class: other.String()}, false},
			{Scope{Carrier: "a"}, false},
		} {
			if row.scope == (Scope{}) {
				continue
			}
			h := r.halt(row.scope)
			got := r.gw.HaltsOver("acme", "IDREN", queue.Job{Kind: queue.CampaignJob, Number: 7})
			if has := len(got) == 1 && got[0].ID == h.ID; has != row.over || len(got) > 1 {
				t.Errorf("%s: %+v", row.scope, got)
			}
			r.resume(h.ID)
		}
		if got := r.gw.HaltsOver("acme", "IDREN", queue.Job{Kind: queue.CampaignJob, Number: 7}); len(got) != 0 {
			t.Errorf("none is in force: %+v", got)
		}
	})
}
