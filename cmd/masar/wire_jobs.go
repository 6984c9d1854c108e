package main

import (
	"errors"
	"fmt"
	"time"

	"masar/config"
	"masar/gateway"
	"masar/jobs"
	"masar/queue"
	"masar/service"
	"masar/service/campaign"
	"masar/service/reminder"
)

// ownJobs are what the gateway sends by itself, and where that is kept. There are none
// without a catalogue: they are of its services.
type ownJobs struct {
	reminderStore *reminder.Store
	campaignStore *campaign.Store
	reminders     *jobs.Reminders
	campaigns     *jobs.Campaigns
}

// wantsJobs reports whether a configuration has reminders and campaigns.
func wantsJobs(c *config.Config) bool { return c.Catalogue != nil }

// jobsOctets is what reminders and campaigns have under way at a time; their engines keep
// their caches beside the heap.
const jobsOctets = 32 << 20

// reminderStoreOptions are where reminders are kept.
func reminderStoreOptions(c *config.Config) reminder.Options {
	return reminder.Options{Dir: c.RemindersDir(), MinFree: given(int64(c.Store.MinFree))}
}

// campaignStoreOptions are where campaigns are kept.
func campaignStoreOptions(c *config.Config) campaign.Options {
	return campaign.Options{Dir: c.CampaignsDir(), MinFree: given(int64(c.Store.MinFree))}
}

// reminderOptions are what a configuration says about reminders.
func reminderOptions(c *config.Config) jobs.RemindersOptions {
	r := &c.Reminders
	return jobs.RemindersOptions{At: time.Duration(r.At) * time.Minute, Pace: r.Pace.PerSecond(), Tries: r.Tries}
}

// campaignOptions are what a configuration says about campaigns.
func campaignOptions(c *config.Config) jobs.CampaignsOptions {
	k := &c.Campaigns
	return jobs.CampaignsOptions{Country: c.Country, ReleaseAbove: k.ReleaseAbove, Ahead: k.Ahead, Keep: k.Keep, Max: int64(k.Max)}
}

// openJobs opens what reminders and campaigns are kept in. Nothing of them leaves before
// startJobs.
func (d *daemon) openJobs(cfg *config.Config, store queue.Store) error {
	if !wantsJobs(cfg) {
		return nil
	}
	catalogue := func() *service.Catalogue { return d.inForce.Load().catalogue }
	var j ownJobs
	var err error
	ro := reminderStoreOptions(cfg)
	ro.Log = d.log
	if j.reminderStore, err = reminder.Open(ro); err != nil {
		return fmt.Errorf("reminders: %w", err)
	}
	co := campaignStoreOptions(cfg)
	co.Log = d.log
	if j.campaignStore, err = campaign.Open(co); err != nil {
		return errors.Join(fmt.Errorf("campaigns: %w", err), j.reminderStore.Close())
	}
	r := reminderOptions(cfg)
	r.Store, r.Catalogue, r.Registry, r.Log, r.Registerer = j.reminderStore, catalogue, d.people, d.log, d.registry
	j.reminders = jobs.NewReminders(r)
	c := campaignOptions(cfg)
	c.Store, c.Catalogue, c.Registry, c.Key, c.Queue, c.Log, c.Registerer = j.campaignStore, catalogue, d.people, d.personKey, store, d.log, d.registry
	j.campaigns = jobs.NewCampaigns(c)
	d.jobs = &j
	return nil
}

// forGateway is who hears the ends of messages that are nobody's but the gateway's own.
func (j *ownJobs) forGateway(d *daemon) gateway.Jobs {
	if j == nil {
		return nil
	}
	return &jobs.Jobs{Reminders: j.reminders, Campaigns: j.campaigns, Log: d.log}
}

// start lets reminders and campaigns leave.
func (j *ownJobs) start(g *gateway.Gateway) error {
	if j == nil {
		return nil
	}
	if err := j.reminders.Start(g); err != nil {
		return fmt.Errorf("reminders: %w", err)
	}
	j.campaigns.Begin(g)
	return nil
}

// stop ends their hands: nothing more is handed to the gateway. Their stores stay open for
// the ends that it still tells.
func (j *ownJobs) stop() error {
	if j == nil {
		return nil
	}
	return errors.Join(j.reminders.Close(), j.campaigns.Close())
}

// steps close the stores, once the gateway has ended.
func (j *ownJobs) steps() shutdown {
	if j == nil {
		return nil
	}
	return shutdown{{"the reminders", j.reminderStore.Close}, {"the campaigns", j.campaignStore.Close}}
}
