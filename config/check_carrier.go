package config

import (
	"fmt"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
)

var nameForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)

func (d *decoder) name(at, s string) {
	if s != "" && !nameForm.MatchString(s) {
		d.bad(at, s, "is not a name", "write up to 64 letters, digits, dots, dashes and underscores, beginning with a letter or digit")
	}
}

func (d *decoder) checkCarrier(at string, c *Carrier, all *Config) {
	d.name(at+".name", c.Name)
	d.addresses(at, "addr", c.Addr, "addrs", c.Addrs)
	d.addresses(at, "receiver_addr", c.ReceiverAddr, "receiver_addrs", c.ReceiverAddrs)
	if c.Addr == "" && len(c.Addrs) == 0 && !d.failed[at+".addr"] && !d.failed[at+".addrs"] {
		d.bad(at+".addr", "", "is missing", "write addr: HOST:PORT")
	}
	for i, l := range all.Listen {
		if (slices.Contains(c.Addrs, l.Addr) || c.Addr == l.Addr) && l.Addr != "" {
			d.warn(at+".addr", l.Addr, fmt.Sprintf("is our own listener, listen[%d]: messages would come back to us", i), "write the carrier's address")
		}
	}
	if c.LocalAddr != "" {
		host := c.LocalAddr
		if h, _, err := net.SplitHostPort(host); err == nil {
			host = h
		}
		if _, err := netip.ParseAddr(host); err != nil {
			d.bad(at+".local_addr", c.LocalAddr, "is not an IP address of this machine", "write it as 192.0.2.10 or 192.0.2.10:0")
		}
	}
	d.octetString(at+".system_id", c.SystemID, 15)
	if c.Password.IsZero() && !d.failed[at+".password"] && !d.failed[at+".password_file"] && !d.given(at+".password_file") {
		d.bad(at+".password", "", "is missing", "write password_file: FILE, or password: ${NAME}")
	}
	d.octetString(at+".system_type", c.SystemType, 12)
	d.octetString(at+".address_range", c.AddressRange, 40)
	if c.ServiceType != "" {
		d.octetString(at+".service_type", c.ServiceType, 5)
	}
	d.binds(at, c)
	if c.Burst > 0 && c.Throughput == 0 && !d.failed[at+".throughput"] {
		d.bad(at+".burst", strconv.Itoa(c.Burst), "stands without a throughput", "write throughput: 400/s, or remove burst")
	}
	d.timers(at+".timers", c.Timers)
	if c.Reconnect.Min > c.Reconnect.Max {
		d.bad(at+".reconnect", "", fmt.Sprintf("has a min of %s above its max of %s", formatDuration(c.Reconnect.Min), formatDuration(c.Reconnect.Max)), "let max be at least min")
	}
	d.fixed(at+".source", c.Source.Rule)
	d.fixed(at+".destination", c.Destination.Rule)
	d.stripPrefix(at+".destination.strip", c.Destination.Strip)
	d.stripPrefix(at+".destination.prefix", c.Destination.Prefix)
	if (c.Alphanumeric.Rule == "replace") != (c.Alphanumeric.Sender != "") {
		if c.Alphanumeric.Sender == "" {
			d.bad(at+".alphanumeric.sender", "", "is missing", "write the sender that goes instead")
		} else {
			d.bad(at+".alphanumeric.sender", c.Alphanumeric.Sender, "has no effect with the rule "+c.Alphanumeric.Rule, "write rule: replace, or remove sender")
		}
	} else if c.Alphanumeric.Sender != "" {
		d.senderAddress(at+".alphanumeric.sender", c.Alphanumeric.Sender)
	}
	if c.Packed && c.DefaultAlphabet != "gsm" {
		d.bad(at+".packed", "", "is about GSM septets, but default_alphabet is "+c.DefaultAlphabet, "remove packed, or write default_alphabet: gsm")
	}
	if (c.Segmentation == "payload" || c.Segmentation == "sar") && c.InterfaceVersion < 0x34 {
		d.bad(at+".segmentation", c.Segmentation, "needs TLVs, which interface_version 3.3 has not", "write udh8 or udh16, or interface_version: 3.4")
	}
	if id := c.Receipts.ID; id.Resp == "raw" && id.Receipt == "decimal" || id.Resp == "decimal" && id.Receipt == "raw" {
		// A raw id is compared as it is and a decimal one by its value: 12 and 12 would differ.
		d.bad(at+".receipts.id", "", "compare the "+id.Resp+" id of a response with the "+id.Receipt+" one of a receipt: they never meet",
			"write the same form twice where the two are alike, hex beside decimal where they are not, or auto")
	}
	if c.Receipts.Ask == "never" && d.given(at+".receipts.wait") {
		d.bad(at+".receipts.wait", "", "is how long a receipt is awaited, but ask is never", "remove one of the two")
	}
	if h := c.Hours; h != nil {
		if h.From == h.To && d.given(at+".hours.from") && d.given(at+".hours.to") {
			d.bad(at+".hours.to", h.To.String(), "is the same as from", "write two different times, or remove hours")
		}
		if len(h.Days) == 0 {
			d.bad(at+".hours.days", "", "is empty: it would never open", "write at least one day, or remove the key")
		}
		d.distinct(at+".hours.days", h.Days)
	}
	if c.Recovery.HoldBulk && c.Recovery.After == 0 {
		d.bad(at+".recovery.hold_bulk", "true", "has no effect with after: 0", "write after: 1m, or remove hold_bulk")
	}
	d.statuses(at, c)
	d.tlvs(at, c)
	d.free(at+".free", c)
	for i, e := range c.UnknownSubscriber.Errors {
		if !errForm.MatchString(e) {
			d.bad(fmt.Sprintf("%s.unknown_subscriber.errors[%d]", at, i), e, "is no err of a receipt", "write its digits or letters as the receipt has them, such as \"001\"")
		}
	}
	d.distinct(at+".unknown_subscriber.errors", c.UnknownSubscriber.Errors)
}

var errForm = regexp.MustCompile(`^[0-9A-Za-z]{1,8}$`)

// free checks what one carrier says of its markers; which services lack one is asked with
// the catalogue.
func (d *decoder) free(at string, c *Carrier) {
	if c.Free.Required && len(c.Free.Markers) == 0 && !d.failed[at+".markers"] {
		d.bad(at+".markers", "", "is missing: required lets nothing over this carrier that has no marker", "write a marker, or remove required")
	}
	names, marked := map[string]int{}, map[string]string{}
	for i, m := range c.Free.Markers {
		path := fmt.Sprintf("%s.markers[%d]", at, i)
		d.double(names, m.Name, i, at+".markers", "name")
		if m.ServiceType == "" && m.Source == "" && len(m.TLVs) == 0 && !d.failedUnder(path) {
			d.bad(path, "", "changes nothing", "write service_type, source, billing_identification or tlv")
		}
		d.octetString(path+".service_type", m.ServiceType, 5)
		if m.Source != "" {
			d.senderAddress(path+".source", m.Source)
		}
		d.markerTLVs(path, &m, c)
		if len(m.Services) == 0 && i < len(c.Free.Markers)-1 && !d.given(path+".services") {
			d.bad(path, "", "takes every service and stands before others", "put it last, or name its services")
		}
		for j, s := range m.Services {
			here := fmt.Sprintf("%s.services[%d]", path, j)
			if first := marked[s]; first != "" {
				d.bad(here, s, "has the marker "+first+" already", "keep one")
			}
			marked[s] = m.Name
			d.serviceType(here, s)
		}
	}
}

func (d *decoder) markerTLVs(at string, m *Marker, c *Carrier) {
	if c.InterfaceVersion < 0x34 && len(m.TLVs) > 0 {
		d.bad(at, "", "sets a TLV, which interface_version 3.3 has not", "mark by service_type or source, or write interface_version: 3.4")
	}
	if len(m.BillingIdentification) > 0 && m.TLV != nil && m.TLV.Tag == 0x060B {
		d.bad(at+".tlv.tag", "0x060B", "is set by billing_identification already", "keep one")
	}
	if t := m.TLV; t != nil {
		if t.Value != "" && t.Hex != "" {
			d.bad(at+".tlv.hex", t.Hex, "stands beside value", "keep one of the two")
		}
		for i, other := range c.TLVs {
			if other.Tag == t.Tag && t.Tag != 0 {
				d.bad(at+".tlv.tag", fmt.Sprintf("%#04x", t.Tag), fmt.Sprintf("is set by tlvs[%d] already", i), "keep one")
			}
		}
	}
	for _, t := range m.TLVs {
		if len(t.Octets) > 254 {
			d.bad(at, "", fmt.Sprintf("has a TLV of %d octets, at most 254 are sent", len(t.Octets)), "shorten it")
		}
	}
}

func (d *decoder) addresses(at, one, addr, many string, addrs []string) {
	if addr != "" && d.given(at+"."+many) {
		d.bad(at+"."+many, "", "stand beside "+one, "write all of them in "+many)
	}
	if d.given(at + "." + one) {
		d.hostPort(at+"."+one, addr, false)
	}
	if d.given(at + "." + many) {
		for i, a := range addrs {
			path := fmt.Sprintf("%s.%s[%d]", at, many, i)
			if a == "" {
				d.bad(path, "", "is empty", "write host:port")
			}
			d.hostPort(path, a, false)
		}
		d.distinct(at+"."+many, addrs)
	}
}

func (d *decoder) binds(at string, c *Carrier) {
	b := c.Binds
	for _, k := range []string{"transceiver", "transmitter", "receiver"} {
		if d.failed[at+".binds."+k] {
			return // its number is unknown
		}
	}
	switch {
	case d.failed[at+".binds"]:
	case b.Transceiver+b.Transmitter == 0:
		d.bad(at+".binds", "", "hold none that can send", "write {transceiver: 1}, or {transmitter: 1, receiver: 1}")
	case b.Transceiver+b.Receiver == 0 && c.Receipts.Ask != "never":
		d.warn(at+".binds", "", "hold none that can receive: no receipt will come", "add receiver: 1, or write receipts: never")
	case (c.ReceiverAddr != "" || len(c.ReceiverAddrs) > 0) && b.Receiver == 0:
		d.bad(at+".binds", "", "hold no receiver for receiver_addr", "add receiver: 1, or remove receiver_addr")
	}
}

func (d *decoder) fixed(at, rule string) {
	if rule != "fixed" && (d.given(at+".ton") || d.given(at+".npi")) {
		d.bad(at+".rule", rule, "leaves ton and npi without effect", "write rule: fixed, or remove ton and npi")
	}
}

func (d *decoder) stripPrefix(at, s string) {
	if s != "" && s != "+" && !digits.MatchString(s) || len(s) > 20 {
		d.bad(at, s, "is not the beginning of a number", "write digits or +")
	}
}

// statuses finds one status in two classes, and retry rules that can never be asked.
func (d *decoder) statuses(at string, c *Carrier) {
	classOf := map[Status]string{}
	for _, l := range []struct {
		key  string
		list []Status
	}{
		{"throttle", c.Statuses.Throttle}, {"temporary", c.Statuses.Temporary},
		{"elsewhere", c.Statuses.Elsewhere}, {"permanent", c.Statuses.Permanent},
	} {
		for i, s := range l.list {
			path := fmt.Sprintf("%s.statuses.%s[%d]", at, l.key, i)
			if s == 0 {
				continue // told already
			}
			if first := classOf[s]; first == l.key {
				d.bad(path, s.String(), "stands in the list twice", "remove one")
			} else if first != "" {
				d.bad(path, s.String(), "is also in statuses."+first, "keep it in one of the two")
			} else {
				classOf[s] = l.key
			}
		}
	}
	ruled := map[Status]int{}
	for i, r := range c.Retry {
		path := fmt.Sprintf("%s.retry[%d]", at, i)
		if len(r.Delays) == 0 && r.Tries == 0 && !d.failed[path+".delays"] && !d.failed[path+".tries"] && !d.failed[path] {
			d.bad(path, "", "changes nothing", "write delays, tries, or both")
		}
		for j, s := range r.Statuses {
			here := fmt.Sprintf("%s.statuses[%d]", path, j)
			if s == 0 {
				continue
			}
			if first, ok := ruled[s]; ok {
				d.bad(here, s.String(), fmt.Sprintf("already has a schedule in retry[%d]", first), "keep one")
			} else if k := classOf[s]; k != "" && k != "temporary" {
				d.bad(here, s.String(), "is in statuses."+k+", so it is not tried again here", "move it to statuses.temporary, or remove the schedule")
			}
			ruled[s] = i
		}
	}
}

func (d *decoder) tlvs(at string, c *Carrier) {
	tags := map[int]int{}
	for i, t := range c.TLVs {
		path := fmt.Sprintf("%s.tlvs[%d]", at, i)
		if t.Value != "" && t.Hex != "" {
			d.bad(path+".hex", t.Hex, "stands beside value", "keep one of the two")
		}
		if len(t.Octets) > 254 {
			d.bad(path, "", fmt.Sprintf("has %d octets, at most 254 are sent", len(t.Octets)), "shorten it")
		}
		if t.Tag == 0 {
			continue
		}
		if first, ok := tags[t.Tag]; ok {
			d.bad(path+".tag", fmt.Sprintf("%#04x", t.Tag), fmt.Sprintf("is set by tlvs[%d] already", first), "keep one")
		}
		tags[t.Tag] = i
		if c.InterfaceVersion < 0x34 {
			d.bad(path, "", "is a TLV, which interface_version 3.3 has not", "remove it, or write interface_version: 3.4")
		}
	}
}
