package main

import (
	"context"
	"errors"
	"strings"

	"masar/admin"
	"masar/config"
	"masar/gateway"
	"masar/number"
	"masar/service"
)

// prepared is a configuration turned into what the rooms take, nothing of it in force yet.
type prepared struct {
	setup gateway.Setup
	face  *face
	files map[string]string // TLS: what the files of each place hold
	test  func()            // puts the test numbers into force
}

// face is what the HTTP API asks for at each request.
type face struct {
	keys      *admin.Keys
	catalogue *service.Catalogue
	codes     admin.Codes
}

// prepare builds everything of a configuration that a reload swaps, but for the tables of
// numbers and the certificates.
func (d *daemon) prepare(cfg *config.Config) (*prepared, error) {
	s, err := setup(cfg)
	if err != nil {
		return nil, err
	}
	p := &prepared{setup: s, face: &face{catalogue: s.Catalogue, codes: verification(cfg)}}
	if p.face.keys, err = apiKeys(cfg); err != nil {
		return nil, err
	}
	// The key is read when the registry is opened, which is after this and before any message.
	if p.setup.Keywords, err = keywords(cfg, s.Catalogue, func(n number.E164) service.Person { return d.personKey.OfNumber(n) }); err != nil {
		return nil, err
	}
	if p.test, err = d.test.into(&p.setup, testRanges(cfg)); err != nil {
		return nil, err
	}
	if p.files, err = tlsFiles(cfg); err != nil {
		return nil, err
	}
	p.setup.Ported = d.por.lookup(cfg)
	return p, nil
}

// reload applies the file as it is now: all of it or nothing.
func (d *daemon) reload(ctx context.Context) ([]string, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	cfg, warnings, err := loadConfig(d.path)
	if err != nil {
		return nil, err
	}
	if d.people == nil && wantsRegistry(cfg) {
		return nil, errors.New("catalogue, subscribers, blocklist: the gateway was started without any, and opens its registry of subscribers at its next start")
	}
	if d.jobs != nil && !wantsJobs(cfg) {
		return nil, errors.New("catalogue: reminders and campaigns are of its services: without one the gateway runs from its next start on")
	}
	next, err := d.prepare(cfg)
	if err != nil {
		return nil, err
	}
	table, err := d.por.prepare(cfg)
	if err != nil {
		return nil, err
	}
	certs, err := d.certs.prepare(cfg)
	if err != nil {
		return nil, err
	}
	// The blocklist file is the one thing that cannot be built and kept: millions of rows
	// stand on the disk. A gateway that then refuses the rest has it already, which blocks
	// and lifts what its operator said.
	if err := d.blocked.refresh(ctx, cfg); err != nil {
		return nil, err
	}
	if err := d.gw.Reload(ctx, next.setup); err != nil {
		return nil, err
	}
	// From here on nothing fails.
	next.test()
	d.inForce.Store(next.face)
	d.por.swap(table)
	d.certs.swap(certs)
	d.level.Set(logLevel(&cfg.Log))
	d.boundOutboxes(cfg)
	changes := d.changes(cfg, next.files)
	for _, w := range warnings {
		changes = append(changes, warningPrefix+w.String())
	}
	d.cfg, d.files = cfg, next.files
	select {
	case d.rearmed <- struct{}{}:
	default: // one waits already, and will see this one's configuration
	}
	return changes, nil
}

// warningPrefix marks, among the lines a reload prints, those that are no change.
const warningPrefix = "warning: "

// changes tells what is different in next, and of what needs a restart that it does.
func (d *daemon) changes(next *config.Config, files map[string]string) []string {
	lines := []string{}
	for _, c := range config.Diff(d.cfg, next) {
		lines = append(lines, c.String()+d.remark(c))
	}
	for _, l := range next.Listen {
		at := "listen[" + l.Addr + "].tls"
		if d.certs[l.Addr] != nil && files[at] != d.files[at] && d.files[at] != "" {
			lines = append(lines, "~ "+at+": its files, for the next connections")
		}
	}
	for _, k := range next.Carriers {
		at := "carriers[" + k.Name + "].tls"
		if now, before := files[at], d.files[at]; now != before && now != "" && before != "" {
			lines = append(lines, "~ "+at+": its files, the carrier is bound anew")
		}
	}
	return lines
}

const nextStart = " (takes effect at the next start)"

// startOnly are the keys of which a reload applies nothing, or not all.
var startOnly = []struct{ key, remark string }{
	{"node", nextStart},
	{"node_id", nextStart},
	{"data", nextStart},
	{"drain", nextStart},
	{"log.format", nextStart},
	{"log.show_text", nextStart},
	{"log.show_numbers", nextStart},
	{"listen", nextStart},
	{"admin", nextStart},
	{"max_pdu", nextStart},
	{"timers.session_init", " (for carriers; for clients at the next start)"},
	{"store.room", " (for accounts without a room of their own; in all at the next start)"},
	{"store.outbox_ttl", " (but for accounts that are gone: at the next start)"},
	{"store.outbox_max", ""},
	{"country", " (for accounts; for the HTTP API at the next start)"},
	{"time_zone", " (but for days in files of the HTTP API: at the next start)"},
	{"subscribers.code.tries", nextStart},
	{"subscribers.code", ""},
	{"subscribers.account", ""},
	{"subscribers", nextStart},
	{"reminders", nextStart},
	{"campaigns", nextStart},
	{"api.bulk", nextStart},
	{"store", nextStart},
}

// remark is what is to be said beside a change; empty: it is applied.
func (d *daemon) remark(c config.Change) string {
	// The files of a listener that speaks TLS, and goes on to, are read again.
	if addr, key, ok := strings.Cut(strings.TrimPrefix(c.Path, "listen["), "].tls."); ok && key != "" && d.certs[addr] != nil {
		return ""
	}
	if c.Path == "catalogue" && d.jobs == nil && d.cfg.Catalogue == nil {
		return " (reminders and campaigns at the next start)"
	}
	for _, k := range startOnly {
		if rest, ok := strings.CutPrefix(c.Path, k.key); ok && (rest == "" || rest[0] == '.' || rest[0] == '[') {
			return k.remark
		}
	}
	return ""
}

// boundOutboxes puts the accounts' bounds into force.
func (d *daemon) boundOutboxes(c *config.Config) {
	most := map[string]int64{"": c.Store.OutboxMax}
	for i := range c.Accounts {
		most[c.Accounts[i].SystemID] = c.Accounts[i].OutboxMax
	}
	d.outboxMax.Store(&most)
}

// outboxMaxOf is the bound of an account's outbox.
func (d *daemon) outboxMaxOf(account string) int64 {
	most := *d.outboxMax.Load()
	if n, ok := most[account]; ok {
		return n
	}
	return most[""]
}
