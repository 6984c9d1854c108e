package config

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// derive fills the fields that stand for several keys or for a file, and reads those files.
func (d *decoder) derive(c *Config, mode fs.FileMode) {
	if c.Admin.Listen == "off" {
		c.Admin.Listen = ""
	}
	c.Admin.Token = d.secretFile("admin.token_file", c.Admin.TokenFile)
	for i := range c.Listen {
		if t := c.Listen[i].TLS; t != nil {
			at := fmt.Sprintf("listen[%d].tls", i)
			d.keyPair(at, t.Cert, t.Key)
			d.authorities(at+".client_ca", t.ClientCA)
		}
	}
	for i := range c.Accounts {
		a, at := &c.Accounts[i], fmt.Sprintf("accounts[%d]", i)
		if a.Numbers.TONNPI == "auto" && !d.given(at+".numbers.ton_npi") && (d.given(at+".numbers.ton") || d.given(at+".numbers.npi")) {
			a.Numbers.TONNPI = "override"
		}
		if a.Agency == "none" {
			a.Agency = ""
			if len(a.Services) > 0 && c.CatalogueFile != "" {
				d.bad(at+".agency", "none", "stands beside services, which govern the account", "remove one of the two")
			}
		}
	}
	for i := range c.Carriers {
		d.deriveCarrier(fmt.Sprintf("carriers[%d]", i), &c.Carriers[i], mode)
	}
	for i := range c.Routes {
		tier := 0
		for j := range c.Routes[i].Carriers {
			if m := &c.Routes[i].Carriers[j]; m.Failover != "" {
				tier++
				m.Tier = tier
			}
		}
	}
	if d.given("ported.file") {
		d.exists("ported.file", c.Ported.File)
	}
	for i, f := range c.Ported.Deltas {
		d.exists(fmt.Sprintf("ported.deltas[%d]", i), f)
	}
	d.deriveKey(c)
	if c.Blocklist.File != "" {
		d.exists("blocklist.file", c.Blocklist.File)
	}
}

// deriveKey reads the registry's key where a file is named. The one that the gateway makes
// itself is only looked at.
func (d *decoder) deriveKey(c *Config) {
	const at = "subscribers.key_file"
	if c.Subscribers.KeyFile == "" {
		path := c.SubscribersKeyFile()
		if _, mode, err := d.opts.ReadFile(path); err == nil && mode&0o077 != 0 {
			d.warn("subscribers", d.shownPath(path), fmt.Sprintf("can be read by others (mode %04o)", mode.Perm()), "chmod 600 "+path)
		}
		return
	}
	c.Subscribers.Key = d.secretFile(at, c.Subscribers.KeyFile)
	if k := c.Subscribers.Key; !k.IsZero() && !keyForm.MatchString(k.Reveal()) {
		d.bad(at, d.shownPath(c.Subscribers.KeyFile), "is not a key of 64 hex digits", "give the file back, or make one for an empty registry with openssl rand -hex 32")
	}
}

var keyForm = regexp.MustCompile(`^[0-9a-fA-F]{64}$`)

// deriveCatalogue fills what a service's quiet_hours leave open, and templates from their
// short form.
func (d *decoder) deriveCatalogue(c *Catalogue) {
	for i := range c.Services {
		s, at := &c.Services[i], fmt.Sprintf("services[%d].quiet_hours", i)
		q := &s.QuietHours
		if d.given(at+".days") || d.given(at+".weekend") {
			q.Own = &q.Windows
		}
		if q.Rule == "" {
			q.Rule = "hold"
			if (s.Class == "urgent" || s.Kind == "otp") && q.Own == nil {
				q.Rule = "allow"
			}
		}
		if len(s.Template) > 0 && len(s.Templates) == 0 {
			s.Templates = []Template{{Version: 1, Text: s.Template}}
		}
	}
}

func (d *decoder) deriveCarrier(at string, c *Carrier, mode fs.FileMode) {
	if c.PasswordFile != "" {
		switch s := d.secretFile(at+".password_file", c.PasswordFile); {
		case d.given(at + ".password"):
			d.bad(at+".password_file", "", "stands beside password", "keep one of the two")
		default:
			c.Password = s
		}
	} else if n := d.places[at+".password"]; n != nil && mode&0o077 != 0 && !variable.MatchString(n.Value) {
		d.warn(at+".password", "", fmt.Sprintf("stands in a file that others can read (mode %04o)", mode.Perm()),
			"chmod 600 "+d.file+", or use password_file or ${NAME}")
	}
	if t := c.TLS; t != nil {
		if t.Enabled {
			if t.Cert != "" || t.Key != "" {
				d.keyPair(at+".tls", t.Cert, t.Key)
			}
			d.authorities(at+".tls.ca", t.CA)
			if t.InsecureSkipVerify {
				d.warn(at+".tls.insecure_skip_verify", "", "lets anyone on the way pose as the carrier", "name its authority in ca")
			}
		} else {
			c.TLS = nil
		}
	}
	for _, r := range []struct {
		path string
		rule *string
	}{{at + ".source", &c.Source.Rule}, {at + ".destination", &c.Destination.Rule}} {
		if (d.given(r.path+".ton") || d.given(r.path+".npi")) && !d.given(r.path+".rule") {
			*r.rule = "fixed"
		}
	}
	for i := range c.TLVs {
		d.octets(fmt.Sprintf("%s.tlvs[%d]", at, i), &c.TLVs[i])
	}
	for i := range c.Free.Markers {
		m, path := &c.Free.Markers[i], fmt.Sprintf("%s.free.markers[%d]", at, i)
		if m.BillingIdentification != "" {
			m.TLVs = append(m.TLVs, TLV{Tag: 0x060B, Octets: d.hexOctets(path+".billing_identification", m.BillingIdentification)})
		}
		if m.TLV != nil {
			d.octets(path+".tlv", m.TLV)
			m.TLVs = append(m.TLVs, *m.TLV)
		}
	}
}

func (d *decoder) octets(at string, t *TLV) {
	t.Octets = []byte(t.Value)
	if t.Hex != "" {
		t.Octets = d.hexOctets(at+".hex", t.Hex)
	}
}

func (d *decoder) hexOctets(at, s string) []byte {
	octets, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		d.bad(at, s, "is not octets in hex", "write two hex digits for each octet")
	}
	return octets
}

// settle leaves one field for what two keys may say, once both have been checked.
func settle(c *Config) {
	for i := range c.Accounts {
		if a := &c.Accounts[i]; !a.PasswordHash.IsZero() {
			a.PasswordHashes = append([]Secret{a.PasswordHash}, a.PasswordHashes...)
			a.PasswordHash = Secret{}
		}
	}
	for i := range c.Carriers {
		k := &c.Carriers[i]
		if k.Addr != "" {
			k.Addrs, k.Addr = []string{k.Addr}, ""
		}
		if k.ReceiverAddr != "" {
			k.ReceiverAddrs, k.ReceiverAddr = []string{k.ReceiverAddr}, ""
		}
	}
	if c.Catalogue == nil {
		return
	}
	for i := range c.Catalogue.Services {
		c.Catalogue.Services[i].Template = nil // it stands in Templates
	}
}

// shownPath is a file as an operator would type it: as short as it can be.
func (d *decoder) shownPath(path string) string {
	if rel, err := filepath.Rel(d.dir, path); err == nil && !strings.HasPrefix(rel, "..") {
		return rel
	}
	return path
}

// read returns nil where the file is not named or cannot be read, and records the latter.
func (d *decoder) read(at, path string) ([]byte, fs.FileMode) {
	if path == "" {
		return nil, 0
	}
	data, mode, err := d.opts.ReadFile(path)
	if err != nil {
		d.bad(at, d.shownPath(path), "cannot be read: "+reason(err), "check the name (it is relative to "+filepath.Base(d.file)+") and its owner")
		return nil, 0
	}
	return data, mode
}

// exists is read for files that may be large: it only looks.
func (d *decoder) exists(at, path string) {
	st, err := os.Stat(path)
	if err == nil && !st.Mode().IsRegular() {
		err = errors.New("it is not a plain file")
	}
	if err != nil {
		d.bad(at, d.shownPath(path), "cannot be read: "+reason(err), "check the name (it is relative to "+filepath.Base(d.file)+") and its owner")
	}
}

func reason(err error) string {
	var pe *fs.PathError
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "there is no such file"
	case errors.Is(err, fs.ErrPermission):
		return "permission denied"
	case errors.As(err, &pe):
		return pe.Err.Error()
	}
	return err.Error()
}

func (d *decoder) secretFile(at, path string) Secret {
	data, mode := d.read(at, path)
	if data == nil {
		return Secret{}
	}
	line, _, _ := bytes.Cut(data, []byte("\n"))
	line = bytes.TrimSuffix(line, []byte("\r"))
	if len(line) == 0 {
		d.bad(at, d.shownPath(path), "has an empty first line", "write the secret on the first line")
	}
	if mode&0o077 != 0 {
		d.warn(at, d.shownPath(path), fmt.Sprintf("can be read by others (mode %04o)", mode.Perm()), "chmod 600 "+path)
	}
	return NewSecret(string(line))
}

func (d *decoder) keyPair(at, cert, key string) {
	switch {
	case cert == "" && !d.given(at+".cert"):
		d.bad(at+".cert", "", "is missing", "write cert: FILE beside key")
	case key == "" && !d.given(at+".key"):
		d.bad(at+".key", "", "is missing", "write key: FILE beside cert")
	}
	c, _ := d.read(at+".cert", cert)
	k, _ := d.read(at+".key", key)
	if c == nil || k == nil {
		return
	}
	pair, err := tls.X509KeyPair(c, k)
	if err != nil {
		d.bad(at+".cert", d.shownPath(cert), "is no pair with "+d.shownPath(key)+": "+strings.TrimPrefix(err.Error(), "tls: "), "give a PEM certificate and the private key that belongs to it")
		return
	}
	if leaf := pair.Leaf; leaf != nil && d.opts.Now().After(leaf.NotAfter) {
		d.warn(at+".cert", d.shownPath(cert), "ran out on "+leaf.NotAfter.UTC().Format(time.DateOnly), "renew it")
	}
}

func (d *decoder) authorities(at, path string) {
	if data, _ := d.read(at, path); data != nil && !x509.NewCertPool().AppendCertsFromPEM(data) {
		d.bad(at, d.shownPath(path), "holds no PEM certificate", "give the authority's certificate")
	}
}
