package config

import (
	"cmp"
	"path/filepath"
	"time"
)

// Reminders is notices that are due before a date, kept until then.
type Reminders struct {
	// Folder of the reminders. Empty: reminders in the data folder.
	Dir string `yaml:"dir" path:"yes" eg:"/var/lib/masar/reminders"`
	// Time of day from which a day's reminders leave, by the clock of the service's agency; a service that must wait then waits for its hours.
	At Clock `yaml:"at" eg:"10:30"`
	// Most that are taken up in all, so that the hour in at is no wall. 0: no limit.
	Pace Rate `yaml:"pace" eg:"2000/s"`
	// How often one reminder is tried, on one permitted day after the other and always before the date; who was not reached then is listed for the agency.
	Tries int `yaml:"tries" min:"1" max:"30" eg:"5"`
}

// Campaigns is bulk jobs of the API and the command line.
type Campaigns struct {
	// Folder of campaigns and their files. Empty: campaigns in the data folder.
	Dir string `yaml:"dir" path:"yes" eg:"/var/lib/masar/campaigns"`
	// Recipients above which somebody else than who made the campaign has to release it. 0: always.
	ReleaseAbove int64 `yaml:"release_above" min:"0" max:"1000000000" eg:"500"`
	// Messages of one campaign that wait in the queue; the rest stays in its file until there is room.
	Ahead int `yaml:"ahead" min:"100" max:"1000000" eg:"50000"`
	// How long a campaign that ended is kept, its report with it.
	Keep time.Duration `yaml:"keep" min:"1h" max:"3660d" eg:"365d"`
	// Largest file of recipients.
	Max Size `yaml:"max" min:"1KiB" max:"1TiB" eg:"1GiB"`
}

// RemindersDir is the folder of the reminders.
func (c *Config) RemindersDir() string {
	return cmp.Or(c.Reminders.Dir, filepath.Join(c.Data, "reminders"))
}

// CampaignsDir is the folder of the campaigns.
func (c *Config) CampaignsDir() string {
	return cmp.Or(c.Campaigns.Dir, filepath.Join(c.Data, "campaigns"))
}

// Recovery is how a carrier is used again after it was down.
type Recovery struct {
	// Outage from which on it is spared: with a backlog it begins slowly. 0: never.
	After time.Duration `yaml:"after" max:"24h" eg:"5m"`
	// Part of its throughput that it begins with. Where it has none, of the rate before the outage.
	From Percent `yaml:"from" min:"1%" eg:"5%"`
	// What is added each time.
	Step Percent `yaml:"step" min:"1%" eg:"20%"`
	// Between two steps.
	Every time.Duration `yaml:"every" min:"100ms" max:"1h" eg:"10s"`
	// Whether messages of class bulk wait until masar queue release; urgent and normal ones go.
	HoldBulk bool `yaml:"hold_bulk" eg:"true"`
}
