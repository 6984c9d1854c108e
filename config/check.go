package config

import (
	"fmt"
	"net"
	"net/netip"
	"reflect"
	"regexp"
	"strconv"
	"strings"
)

// check finds what no single value can tell: missing keys, doubles, references to what
// does not exist, values that contradict each other.
func (d *decoder) check(c *Config) {
	d.needed("", reflect.ValueOf(c).Elem())
	d.checkTop(c)
	accounts, carriers := map[string]int{}, map[string]int{}
	for i := range c.Accounts {
		at := fmt.Sprintf("accounts[%d]", i)
		d.double(accounts, c.Accounts[i].SystemID, i, "accounts", "system_id")
		d.checkAccount(at, &c.Accounts[i])
	}
	for i := range c.Carriers {
		at := fmt.Sprintf("carriers[%d]", i)
		d.double(carriers, c.Carriers[i].Name, i, "carriers", "name")
		d.checkCarrier(at, &c.Carriers[i], c)
	}
	d.checkRoutes(c, accounts, carriers)
	d.checkMO(c, accounts)
	d.checkTestNumbers(c)
	d.checkKeywords(c)
	d.checkAPI(c, accounts)
	if c.Subscribers.Account != "" {
		d.reference("subscribers.account", c.Subscribers.Account, accounts, "account")
	}
}

// double records the second use of a name.
func (d *decoder) double(seen map[string]int, name string, i int, list, key string) {
	if name == "" {
		return
	}
	if first, ok := seen[name]; ok {
		line := 0
		if n := d.place(fmt.Sprintf("%s[%d].%s", list, first, key)); n != nil {
			line = n.Line
		}
		d.bad(fmt.Sprintf("%s[%d].%s", list, i, key), name, fmt.Sprintf("is taken by %s[%d] on line %d", list, first, line), "give each its own "+key)
		return
	}
	seen[name] = i
}

// needed records keys that have no default and are not given.
func (d *decoder) needed(path string, v reflect.Value) {
	for _, f := range fieldsOf(v.Type()) {
		at, fv := join(path, f.key), v.FieldByIndex(f.index)
		// 00:00 is a value like any other: some keys only have to be given.
		if need := f.tag.Get("need"); need != "" && nothing(fv) && !d.failed[at] && (need != "given" || !d.given(at)) {
			rule := "is missing"
			if d.given(at) {
				rule = "is empty"
			}
			cure := "write it"
			if eg := f.tag.Get("eg"); eg != "" {
				cure = "write it, such as " + f.key + ": " + eg
			} else if d.places[at] == nil {
				cure = "write " + f.key + ": with at least one entry"
			} else if fv.Kind() == reflect.Slice {
				cure = "write at least one entry, each with a dash"
			}
			d.bad(at, "", rule, cure)
		}
		blocksIn(at, fv, d.needed)
	}
}

// nothing reports whether v is as good as left out.
func nothing(v reflect.Value) bool {
	return v.IsZero() || v.Kind() == reflect.Map && v.Len() == 0
}

func (d *decoder) checkTop(c *Config) {
	d.octetString("node", c.Node, 15)
	if c.Data == "" {
		d.bad("data", "", "is empty", "write a folder, such as data: ./var/masar")
	}
	d.countryCode("country", c.Country)
	listeners := map[string]int{}
	for i, l := range c.Listen {
		at := fmt.Sprintf("listen[%d].addr", i)
		d.hostPort(at, l.Addr, true)
		d.double(listeners, l.Addr, i, "listen", "addr")
	}
	if c.Admin.Listen != "" {
		d.hostPort("admin.listen", c.Admin.Listen, true)
		if i, ok := listeners[c.Admin.Listen]; ok {
			d.bad("admin.listen", c.Admin.Listen, fmt.Sprintf("is taken by listen[%d]", i), "give HTTP a port of its own, such as 127.0.0.1:8775")
		} else if c.Admin.TokenFile == "" && !loopback(c.Admin.Listen) {
			d.bad("admin.listen", c.Admin.Listen, "opens the API to the network without a token", "name a token_file, or listen on 127.0.0.1")
		}
	}
	d.timers("timers", c.Timers.BindTimers)
	d.validity("validity", c.Validity)
	if len(c.Retry.Default) == 0 {
		d.bad("retry.default", "", "is empty", "write at least one delay, such as [10s, 30s, 2m]")
	}
	if c.Shares.Normal+c.Shares.Bulk > 90 && !d.failedUnder("shares") {
		d.bad("shares", "", fmt.Sprintf("give %d of 100 parts to normal and bulk", c.Shares.Normal+c.Shares.Bulk), "leave at least 10 for urgent")
	}
	if c.MO.TTL > 0 && c.MO.TTL < c.MO.Expiry {
		d.bad("mo.expiry", formatDuration(c.MO.Expiry), "is longer than mo.ttl, "+formatDuration(c.MO.TTL), "let parts wait for less time than the whole message")
	}
	if c.Reminders.At == 24*60 {
		d.bad("reminders.at", c.Reminders.At.String(), "is the end of the day", "write 00:00 for its beginning")
	}
	if len(c.Ported.Deltas) > 0 && c.Ported.File == "" {
		d.bad("ported.deltas", "", "are laid over no table", "name the table in ported.file")
	}
	if len(c.Accounts) == 0 && !d.failed["accounts"] {
		d.warn("accounts", "", "there is none: nobody can bind", "add one; masar passwd prints its password_hash")
	}
}

// timers holds for every block of session timers.
func (d *decoder) timers(at string, t BindTimers) {
	if t.Inactivity != 0 && t.EnquireLink >= t.Inactivity {
		path := at + ".inactivity"
		if !d.given(path) {
			path = at + ".enquire_link"
		}
		if d.given(path) || at == "timers" {
			d.bad(path, "", fmt.Sprintf("makes an inactivity of %s end idle sessions before an enquire_link of %s can keep them", formatDuration(t.Inactivity), formatDuration(t.EnquireLink)),
				"let inactivity be longer, or 0 for none")
		}
	}
}

func (d *decoder) validity(at string, v Validity) {
	if v.Default <= v.Max {
		return
	}
	path := at + ".default"
	if !d.given(path) {
		path = at + ".max"
	}
	if d.given(path) {
		d.bad(path, "", fmt.Sprintf("makes the default of %s longer than the max of %s", formatDuration(v.Default), formatDuration(v.Max)), "let max be at least default")
	}
}

// octetString is a C-octet string of the specification: its length without the NUL.
func (d *decoder) octetString(at, s string, most int) {
	if len(s) > most {
		d.bad(at, s, fmt.Sprintf("has %d characters, at most %d go into the PDU", len(s), most), "shorten it")
		return
	}
	for _, r := range s {
		if r < 0x20 || r > 0x7E {
			d.bad(at, s, fmt.Sprintf("holds %q, which is not ASCII", r), "write letters, digits and signs of ASCII")
			return
		}
	}
}

var digits = regexp.MustCompile(`^[0-9]+$`)

func (d *decoder) countryCode(at, s string) {
	if !digits.MatchString(s) || len(s) > 3 || s[0] == '0' {
		d.bad(at, s, "is not a country code", "write 1 to 3 digits without plus, such as 966")
	}
}

// hostPort checks host:port; a listener may leave the host out.
func (d *decoder) hostPort(at, s string, listener bool) {
	if s == "" {
		return // missing is told by needed
	}
	cure := "write host:port, such as 127.0.0.1:2775"
	host, port, err := net.SplitHostPort(s)
	if err != nil {
		if digits.MatchString(s) {
			d.bad(at, s, "has no host", "write 127.0.0.1:"+s)
			return
		}
		if !strings.Contains(s, ":") {
			d.bad(at, s, "has no port", "write "+s+":2775")
			return
		}
		d.bad(at, s, "is not host:port", cure)
		return
	}
	n, err := strconv.ParseUint(port, 10, 16)
	if err != nil || n == 0 && !listener {
		d.bad(at, s, "has a port outside 1 to 65535", cure)
		return
	}
	if host == "" && !listener {
		d.bad(at, s, "has no host", cure)
		return
	}
	if strings.ContainsAny(host, " /@") || len(host) > 253 {
		d.bad(at, s, "has a host that is no name and no address", cure)
	}
}

func loopback(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		return true // told already
	}
	a, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && a.IsLoopback()
}
