package jobs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"unicode/utf8"

	"masar/gateway"
	"masar/service"
	"masar/service/campaign"
)

func (c *Campaigns) changed(id uint64, f func(*campaign.Campaign) error) (campaign.View, error) {
	k, err := c.store.Change(id, f)
	if err != nil {
		return campaign.View{}, err
	}
	return c.view(k), nil
}

// maxText is how many characters a campaign's own text may have.
const maxText = 20000

// Create makes a campaign of k's Name, Account, Service, Text, By and Pace. A service with a
// template takes its parameters from the rows; one without takes Text, or a text from each
// row where Text is empty. Service may be empty for a plain account. Errors:
// *campaign.FieldError.
func (c *Campaigns) Create(ctx context.Context, k campaign.Campaign) (campaign.View, error) {
	k.Name = strings.TrimSpace(k.Name)
	cat, s, err := c.serviceOf(&k)
	if err != nil {
		return campaign.View{}, err
	}
	switch {
	case s != nil && len(s.Versions) > 0 && k.Text != "":
		return campaign.View{}, &campaign.FieldError{Field: "text", Rule: "service " + s.Code + " has a template: rows carry its parameters"}
	case !utf8.ValidString(k.Text):
		return campaign.View{}, &campaign.FieldError{Field: "text", Rule: "is not UTF-8"}
	case utf8.RuneCountInString(k.Text) > maxText:
		return campaign.View{}, &campaign.FieldError{Field: "text", Rule: fmt.Sprintf("has %d characters, at most %d are allowed", utf8.RuneCountInString(k.Text), maxText)}
	}
	if s != nil && k.Text != "" {
		if link, ok := cat.Links(k.Text, s); !ok {
			return campaign.View{}, &campaign.FieldError{Field: "text", Rule: fmt.Sprintf("%q leads to a domain that the service has not registered", link)}
		}
	}
	k.Params = s != nil && len(s.Params) > 0 && len(s.Versions) > 0
	made, err := c.store.Create(k)
	if err != nil {
		return campaign.View{}, err
	}
	return c.view(made), nil
}

// serviceOf is a campaign's service in the catalogue in force; nil without an error: it has
// none.
func (c *Campaigns) serviceOf(k *campaign.Campaign) (*service.Catalogue, *service.Service, error) {
	cat := c.o.Catalogue()
	if k.Service == "" {
		return cat, nil, nil
	}
	if cat == nil {
		return nil, nil, &campaign.FieldError{Field: "service", Rule: "this gateway has no catalogue of services"}
	}
	s := cat.Service(k.Service)
	if s == nil {
		return nil, nil, &campaign.FieldError{Field: "service", Rule: fmt.Sprintf("%q is no service of the catalogue", k.Service)}
	}
	return cat, s, nil
}

// Upload gives a campaign its file, in place of the one it had: see campaign.Store.Load. A
// check, a release and what was counted are of the old file, and gone with it.
func (c *Campaigns) Upload(ctx context.Context, id uint64, file io.Reader, f campaign.Format) (campaign.View, error) {
	k, err := c.store.Load(ctx, id, file, f, c.o.Max, c.schema)
	if err != nil {
		return campaign.View{}, err
	}
	c.log.Info("a campaign has its file", slog.Uint64("campaign", id), slog.String("by", f.By),
		slog.Int64("rows", k.Counts.Rows), slog.Int64("bad", k.Counts.Bad), slog.Int64("duplicate", k.Counts.Duplicate))
	return c.view(k), nil
}

// Check begins a dry run of a campaign's file, which goes on by itself, begins anew after a
// restart, and can be ended with Stop. Its Check tells what would become of the rows now, and
// that by asked for it.
func (c *Campaigns) Check(ctx context.Context, id uint64, by string) (campaign.View, error) {
	done, err := c.order(ctx, id)
	if err != nil {
		return campaign.View{}, err
	}
	defer done()
	if _, err := c.gateway(); err != nil {
		return campaign.View{}, err
	}
	v, err := c.changed(id, func(k *campaign.Campaign) error {
		if err := k.May(campaign.CheckingIt); err != nil {
			return err
		}
		if !k.HasFile() {
			return campaign.ErrNoFile
		}
		k.State, k.Why, k.Check, k.Released, k.Checker = campaign.Checking, "", nil, "", by
		return nil
	})
	if err == nil {
		c.goOn(&v.Campaign)
	}
	return v, err
}

// Release is a second person's word for a checked campaign: campaign.ErrSamePerson for who
// made it or brought its file, campaign.ErrNameless and ErrMadeNameless where either side is
// the operator without a name.
func (c *Campaigns) Release(ctx context.Context, id uint64, by string) (campaign.View, error) {
	done, err := c.order(ctx, id)
	if err != nil {
		return campaign.View{}, err
	}
	defer done()
	v, err := c.changed(id, func(k *campaign.Campaign) error { return k.Release(by) })
	if err == nil {
		c.log.Info("campaign released", slog.Uint64("campaign", id), slog.String("by", by), slog.Int64("recipients", v.Counts.Recipients()))
	}
	return v, err
}

// Start begins a campaign: its rows are handed to the queue from now on. Errors:
// campaign.ErrNotChecked, ErrNotReleased, ErrNobody, *campaign.StateError.
func (c *Campaigns) Start(ctx context.Context, id uint64, by string) (campaign.View, error) {
	done, err := c.order(ctx, id)
	if err != nil {
		return campaign.View{}, err
	}
	defer done()
	if _, err := c.gateway(); err != nil {
		return campaign.View{}, err
	}
	v, err := c.changed(id, func(k *campaign.Campaign) error {
		if err := k.MayStart(c.o.ReleaseAbove); err != nil {
			return err
		}
		k.State, k.Why, k.Started = campaign.Running, "", c.o.Now().UTC()
		return nil
	})
	if err != nil {
		return v, err
	}
	c.log.Info("campaign started", slog.Uint64("campaign", id), slog.String("by", by), slog.Int64("recipients", v.Counts.Recipients()))
	c.goOn(&v.Campaign)
	return v, nil
}

// Pause holds a campaign: within a second after the answer nothing of it leaves any more.
// Its rows that are in the queue wait there.
func (c *Campaigns) Pause(ctx context.Context, id uint64, by string) (campaign.View, error) {
	return c.pause(ctx, id, by, "paused by "+by, false)
}

// pause is Pause for a reason. own: the campaign's own hand asks, and ends by itself.
func (c *Campaigns) pause(ctx context.Context, id uint64, by, why string, own bool) (campaign.View, error) {
	done, err := c.order(ctx, id)
	if err != nil {
		return campaign.View{}, err
	}
	defer done()
	g, err := c.gateway()
	if err != nil {
		return campaign.View{}, err
	}
	v, err := c.changed(id, func(k *campaign.Campaign) error {
		if err := k.May(campaign.Pausing); err != nil {
			return err
		}
		if k.State == campaign.Running {
			k.State, k.Why = campaign.Paused, why
		}
		return nil
	})
	if err != nil {
		return v, err
	}
	if v, err = c.hold(ctx, g, &v.Campaign, campaign.Paused, by); err == nil {
		c.log.Info("campaign paused", slog.Uint64("campaign", id), slog.String("by", by), slog.String("reason", v.Why))
	}
	if !own {
		err = errors.Join(err, c.end(ctx, id))
	}
	return v, err
}

// hold has the gateway hold a campaign that is, or is about to be, in a state, where it does
// not do so for that yet. A halt of ours that is in force and was not noted in the campaign,
// as when the process died in between, is taken over. Those that hold it for another state
// are lifted when the new one is noted: there is no moment without any.
func (c *Campaigns) hold(ctx context.Context, g CampaignGateway, k *campaign.Campaign, state campaign.State, by string) (campaign.View, error) {
	own, reason := ownHalts(g, k.ID), ownReason(k.ID)+state.String()
	i := slices.IndexFunc(own, func(h gateway.Halt) bool { return h.Reason == reason })
	if i < 0 {
		h, err := g.Halt(ctx, gateway.Scope{Campaign: k.ID}, by, reason)
		if err != nil {
			return c.view(*k), err
		}
		own, i = append(own, h), len(own)
	}
	v, err := c.view(*k), error(nil)
	if k.Halt != own[i].ID {
		v, err = c.changed(k.ID, func(k *campaign.Campaign) error {
			k.Halt = own[i].ID
			return nil
		})
	}
	if err != nil {
		return v, err
	}
	for j := range own {
		if j == i {
			continue
		}
		if _, err := g.Resume(ctx, own[j].ID, by); err != nil && !errors.Is(err, gateway.ErrNoHalt) {
			return v, err
		}
	}
	return v, nil
}

// ownReason is how our halts are told from an operator's: the name of a state follows.
func ownReason(id uint64) string { return fmt.Sprintf("campaign %d is ", id) }

// ownHalts are the halts in force that a campaign's orders have made, the oldest first. The
// campaign notes its halt after the gateway has stored it, so there may be one that no
// campaign names.
func ownHalts(g CampaignGateway, id uint64) (own []gateway.Halt) {
	for _, h := range g.Halts() {
		if h.Scope != (gateway.Scope{Campaign: id}) {
			continue
		}
		if state, ours := strings.CutPrefix(h.Reason, ownReason(id)); ours {
			if _, known := campaign.StateOf(state); known {
				own = append(own, h)
			}
		}
	}
	return own
}

// rightlyHeld says that the halt that a campaign names, and no other of ours, holds it for
// the state that it is in.
func rightlyHeld(g CampaignGateway, k *campaign.Campaign) bool {
	own := ownHalts(g, k.ID)
	return len(own) == 1 && own[0].ID == k.Halt && own[0].Reason == ownReason(k.ID)+k.State.String()
}

func halted(g CampaignGateway, id string) bool {
	for _, h := range g.Halts() {
		if h.ID == id {
			return true
		}
	}
	return false
}

// free lifts the campaign's own halts: the one it names, and those that it has no note of.
func (c *Campaigns) free(ctx context.Context, g CampaignGateway, k *campaign.Campaign, by string) error {
	var ids []string
	for _, h := range ownHalts(g, k.ID) {
		ids = append(ids, h.ID)
	}
	if k.Halt != "" && !slices.Contains(ids, k.Halt) {
		ids = append(ids, k.Halt)
	}
	for _, id := range ids {
		if _, err := g.Resume(ctx, id, by); err != nil && !errors.Is(err, gateway.ErrNoHalt) {
			return err
		}
	}
	return nil
}

// Resume goes on with a paused campaign.
func (c *Campaigns) Resume(ctx context.Context, id uint64, by string) (campaign.View, error) {
	done, err := c.order(ctx, id)
	if err != nil {
		return campaign.View{}, err
	}
	defer done()
	g, err := c.gateway()
	if err != nil {
		return campaign.View{}, err
	}
	k, err := c.store.Campaign(id)
	if err == nil {
		err = k.May(campaign.Resuming)
	}
	if err != nil {
		return campaign.View{}, err
	}
	if k.State == campaign.Running {
		return c.view(k), nil
	}
	if err := c.free(ctx, g, &k, by); err != nil {
		return c.view(k), err
	}
	v, err := c.changed(id, func(k *campaign.Campaign) error {
		if k.State != campaign.Paused {
			return &campaign.StateError{Action: campaign.Resuming, State: k.State}
		}
		k.State, k.Why, k.Halt = campaign.Running, "", ""
		return nil
	})
	if err != nil {
		return v, err
	}
	c.log.Info("campaign resumed", slog.Uint64("campaign", id), slog.String("by", by))
	c.goOn(&v.Campaign)
	return v, nil
}

// Stop ends a campaign for good: nothing of it leaves within a second after the answer, what
// waits in the queue has ended DELETED, rows that were not handed over are stopped. What had
// left keeps the end that its carrier tells. A check under way is ended, and the campaign is
// a draft again.
func (c *Campaigns) Stop(ctx context.Context, id uint64, by string) (campaign.View, error) {
	done, err := c.order(ctx, id)
	if err != nil {
		return campaign.View{}, err
	}
	defer done()
	g, err := c.gateway()
	if err != nil {
		return campaign.View{}, err
	}
	k, err := c.store.Campaign(id)
	if err == nil {
		err = k.May(campaign.Stopping)
	}
	if err != nil {
		return campaign.View{}, err
	}
	if k.State == campaign.Checking {
		if err := c.end(ctx, id); err != nil {
			return c.view(k), err
		}
		return c.changed(id, func(k *campaign.Campaign) error {
			if k.State == campaign.Checking {
				k.State, k.Why = campaign.Draft, "the check was ended by "+by
			}
			return nil
		})
	}
	if k.State == campaign.Running || k.State == campaign.Paused {
		if _, err := c.hold(ctx, g, &k, campaign.Stopped, by); err != nil {
			return c.view(k), err
		}
	}
	if err := c.end(ctx, id); err != nil {
		return c.view(k), err
	}
	if k, err = c.store.Campaign(id); err != nil {
		return campaign.View{}, err
	}
	if k.State == campaign.Running || k.State == campaign.Paused {
		// What was handed over and not recorded, when the hand was ended or the process died.
		if err := c.resolve(ctx, g, &k); err != nil {
			return c.view(k), err
		}
	}
	v, err := c.changed(id, func(k *campaign.Campaign) error {
		if err := k.May(campaign.Stopping); err != nil {
			return err
		}
		if k.State != campaign.Stopped {
			k.State, k.Why, k.Stopper = campaign.Stopped, "stopped by "+by, by
		}
		return nil
	})
	if err != nil || v.Halt == "" {
		return v, err
	}
	cancelled, err := g.CancelHalted(ctx, v.Halt, by)
	if err != nil {
		return v, err // the watch goes on with it
	}
	c.log.Info("campaign stopped", slog.Uint64("campaign", id), slog.String("by", by), slog.Int64("cancelled", cancelled), slog.Int64("not_handed_over", v.Counts.Stopped))
	return c.Get(ctx, id)
}

// Delete removes a campaign of which nothing is under way.
func (c *Campaigns) Delete(ctx context.Context, id uint64) error {
	done, err := c.order(ctx, id)
	if err != nil {
		return err
	}
	defer done()
	k, err := c.store.Campaign(id)
	if err != nil {
		return err
	}
	if g, gerr := c.gateway(); gerr == nil && k.Over() {
		if err := c.free(ctx, g, &k, "masar"); err != nil {
			return err
		}
	}
	return c.store.Delete(id)
}
