package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"masar/config"
)

func identities(t *testing.T, c *config.Config) []string {
	t.Helper()
	var all []string
	for i := range c.Carriers {
		id, err := identity(&c.Carriers[i], c)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, id)
	}
	return all
}

// keySite is a folder with the files that everyBlock and keyValues name.
type keySite struct{ dir string }

const (
	keyHash1 = "$2a$10$f2kG.ZqfudWfdWRYsvjH/eLh6hWLgObGkRy1u2nIw46r7QzIA.iVK"
	keyHash2 = "$2a$10$lvAlOA/QRH1deZP8h5QvKe7.TgmpQKhhv5cCkW2rh/rDYZtLm/Sd2"
)

// keyCatalogue has what keys of everyBlock name.
const keyCatalogue = `
languages: [en]
agencies: [{code: civil-affairs, name: {en: Civil Affairs}, sender: AHWAL}]
senders: [{name: AHWAL, agency: civil-affairs, any_carrier: true}]
services:
  - code: IDREN
    agency: civil-affairs
    name: {en: ID card expiry}
    kind: expiry
    category: warning
    validity: 72h
    template: {en: "Your card {document} expires."}
    params: [{name: document, max: 20}]
  - {code: IDNEW, agency: civil-affairs, name: {en: ID card issued}, kind: record, category: service, validity: 24h}
  - code: OTPEN
    agency: civil-affairs
    name: {en: Code}
    kind: otp
    class: urgent
    category: personal
    mode: mandatory
    validity: 10m
    template: {en: "Your code is {code}."}
    params: [{name: code, max: 10}]
  - code: SUBAD
    agency: civil-affairs
    name: {en: Enrolled}
    kind: record
    category: service
    mode: mandatory
    validity: 24h
    template: {en: "You enrolled in {service} ({code}) on {date}."}
    params: [{name: service, max: 40}, {name: code, max: 8}, {name: date, max: 12}]
  - code: SUBRM
    agency: civil-affairs
    name: {en: Withdrawn}
    kind: record
    category: service
    mode: mandatory
    validity: 24h
    template: {en: "You left {service} ({code}) on {date}."}
    params: [{name: service, max: 40}, {name: code, max: 8}, {name: date, max: 12}]
`

func newKeySite(t *testing.T) *keySite {
	t.Helper()
	s := &keySite{t.TempDir()}
	for name, content := range map[string]string{
		"ported.csv": "966501111111,first\n", "renamed.csv": "966501111111,renamed\n",
		"delta.csv": "+966502222222,rest\n", "secret": "from-a-file\n",
		"blocklist.csv": "966503333333\n", "key": strings.Repeat("3c", 32) + "\n",
		"catalogue.yaml": keyCatalogue, "other.yaml": strings.Replace(keyCatalogue, "72h", "24h", 1),
	} {
		if err := os.WriteFile(filepath.Join(s.dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	writeCertificate(t, s.dir, "server", 1)
	writeCertificate(t, s.dir, "other", 2)
	return s
}

func (s *keySite) text(v string) string {
	return strings.NewReplacer("DIR", s.dir, "HASH1", keyHash1, "HASH2", keyHash2,
		"KEY1", "sha256:"+strings.Repeat("1a", 32), "KEY2", "sha256:"+strings.Repeat("2b", 32)).Replace(v)
}

// tree is everyBlock as plain maps and lists.
func (s *keySite) tree(t *testing.T) map[string]any {
	t.Helper()
	tree := map[string]any{}
	if err := yaml.Unmarshal([]byte(s.text(everyBlock)), &tree); err != nil {
		t.Fatal(err)
	}
	carriers := tree["carriers"].([]any)
	third := map[string]any{}
	for k, v := range carriers[1].(map[string]any) {
		third[k] = v
	}
	third["name"] = "c"
	tree["carriers"] = append(carriers, third)
	return tree
}

var keyStep = regexp.MustCompile(`^([a-z_0-9]+?)(\[\](\d*))?$`)

// set puts a value in its place, in the first block of a list or the one whose number
// follows the brackets; "-" takes the key away.
func (s *keySite) set(t *testing.T, tree map[string]any, path, value string) {
	t.Helper()
	steps := strings.Split(path, ".")
	at := tree
	for _, step := range steps[:len(steps)-1] {
		m := keyStep.FindStringSubmatch(step)
		if m == nil {
			t.Fatalf("no path: %s", path)
		}
		if m[2] == "" {
			next, ok := at[m[1]].(map[string]any)
			if !ok {
				next = map[string]any{}
				at[m[1]] = next
			}
			at = next
			continue
		}
		n := 0
		fmt.Sscan(m[3], &n)
		list, _ := at[m[1]].([]any)
		if n >= len(list) {
			t.Fatalf("%s: everyBlock has no such entry", path)
		}
		next, ok := list[n].(map[string]any)
		if !ok {
			t.Fatalf("%s: the entry is no block", path)
		}
		at = next
	}
	key := steps[len(steps)-1]
	if value == "-" {
		delete(at, key)
		return
	}
	var v any
	if err := yaml.Unmarshal([]byte(s.text(value)), &v); err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	at[key] = v
}

func (s *keySite) load(t *testing.T, tree map[string]any) *config.Config {
	t.Helper()
	b, err := yaml.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(s.dir, "masar.yaml")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("STC_PASSWORD", "from the environment")
	cfg, _, err := loadConfig(path)
	if err != nil {
		t.Fatalf("%v\n%s", err, b)
	}
	return cfg
}

// writeCertificate writes NAME.pem and NAME.key, self-signed for 127.0.0.1.
func writeCertificate(t testing.TB, dir, name string, serial int64) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), Subject: pkix.Name{CommonName: name}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for suffix, block := range map[string]*pem.Block{
		".pem": {Type: "CERTIFICATE", Bytes: der}, ".key": {Type: "PRIVATE KEY", Bytes: secret},
	} {
		if err := os.WriteFile(filepath.Join(dir, name+suffix), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// dump writes a value with everything that it points to. Functions are there or not.
func dump(v any) string {
	var b strings.Builder
	dumpInto(&b, reflect.ValueOf(v))
	return b.String()
}

func dumpInto(b *strings.Builder, v reflect.Value) {
	if !v.IsValid() {
		b.WriteString("nil;")
		return
	}
	if v.CanInterface() {
		switch x := v.Interface().(type) {
		case *tls.Config:
			if x == nil {
				break
			}
			if x.GetConfigForClient != nil {
				x, _ = x.GetConfigForClient(nil)
			}
			fmt.Fprintf(b, "tls %s %t %v %v %v;", x.ServerName, x.InsecureSkipVerify, x.RootCAs != nil, x.ClientCAs != nil, x.ClientAuth)
			for _, c := range x.Certificates {
				fmt.Fprintf(b, "%x;", c.Certificate)
			}
			return
		case *slog.Logger, context.Context:
			return
		case *config.Hours: // a room is given it as it is, behind an interface
			fmt.Fprintf(b, "%+v %s;", *x, x.Zone)
			return
		case fmt.Stringer:
			if v.Kind() != reflect.Pointer || !v.IsNil() {
				fmt.Fprintf(b, "%s;", x)
				return
			}
		}
	}
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if v.IsNil() {
			b.WriteString("nil;")
			return
		}
		dumpInto(b, v.Elem())
	case reflect.Struct:
		b.WriteString("{")
		for f, x := range v.Fields() {
			b.WriteString(f.Name + ":")
			dumpInto(b, x)
		}
		b.WriteString("}")
	case reflect.Slice, reflect.Array:
		b.WriteString("[")
		for i := range v.Len() {
			dumpInto(b, v.Index(i))
		}
		b.WriteString("]")
	case reflect.Map:
		var lines []string
		for _, k := range v.MapKeys() {
			var line strings.Builder
			dumpInto(&line, k)
			dumpInto(&line, v.MapIndex(k))
			lines = append(lines, line.String())
		}
		slices.Sort(lines)
		fmt.Fprintf(b, "%v;", lines)
	case reflect.Func, reflect.Chan:
		fmt.Fprintf(b, "%t;", !v.IsNil())
	default:
		fmt.Fprintf(b, "%v;", v)
	}
}
