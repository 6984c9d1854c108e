package main

import (
	"maps"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"masar/config"
)

// everyService is a catalogue with each of its blocks once.
const everyService = `
languages: [en, ar]
time_zone: Asia/Riyadh
quiet_hours: {days: ["23:00-06:00"]}
weekend: [fri]
holidays: [{name: h, from: "2027-03-10"}]
overrides: [{name: o, from: "2027-02-09", to: "2027-03-01", quiet_hours: {days: ["03:00-04:00"]}}]
agencies: [{code: nic, name: {en: Center}, sender: MOI, quiet_hours: {days: ["21:00-05:00"]}}, {code: traffic, name: {en: Traffic}, sender: MOI}]
senders: [{name: MOI, agency: nic, any_carrier: true}, {name: X, agency: nic, any_carrier: true}, {name: Y-AD, agency: nic, categories: [promotional], any_carrier: true}]
services:
  - code: IDREN
    agency: nic
    name: {en: Card expiry}
    kind: expiry
    category: warning
    validity: 30h
    lead_days: [9]
    params: [{name: document, max: 19}]
    templates: [{version: 1, text: {en: "Card {document}"}}]
`

// catalogueValues are what a key of the catalogue is set to where its example fits no other
// key of everyService, or is what it has already.
var catalogueValues = map[string]string{
	"languages": "[ar, en]", "time_zone": "UTC", "quiet_hours.weekend": "[]", "weekend": "[sat]",
	"holidays[].to": "\"2027-03-11\"", "holidays[].from": "\"2027-03-08\"", "overrides[].to": "\"2027-03-05\"", "overrides[].from": "\"2027-02-01\"",
	"categories": "{warning: {}, service: {}, promotional: {sender_suffix: -AD}}", "agencies[].code": "-", "senders[].agency": "-",
	"senders[].carriers": "{stc: pending}", "services[].agency": "-", "services[].code": "IDNEW", "services[].kind": "-",
	"services[].category": "service", "services[].sender": "X", "services[].params[].name": "-", "services[].template": "-",
	"senders[].name": "-", "senders[].any_carrier": "false", "agencies[].sender": "X", "services[].templates[].valid_from": "\"2027-01-01\"",
	"services[].templates[].text": "{en: \"New {document}\"}", "services[].templates[].version": "3",
	"senders[].categories": "[warning, service]", "overrides[].permitted": "{warning: {days: [\"08:00-20:00\"]}}",
}

// Every key of the catalogue file reaches the room that knows catalogues.
func TestEveryKeyOfTheCatalogueReachesItsRoom(t *testing.T) {
	dir := t.TempDir()
	load := func(tree map[string]any) string {
		t.Helper()
		b, err := yaml.Marshal(tree)
		if err != nil {
			t.Fatal(err)
		}
		main := everyBlockLess(t, dir)
		if err := os.WriteFile(filepath.Join(dir, "catalogue.yaml"), b, 0o600); err != nil {
			t.Fatal(err)
		}
		// What is given is looked at, not whether it makes sense: some values break a rule.
		cfg, _, err := config.Load(main)
		if err != nil {
			t.Fatalf("%v\n%s", err, b)
		}
		return dump(catalogueOptions(cfg.Catalogue))
	}
	tree := func() map[string]any {
		out := map[string]any{}
		if err := yaml.Unmarshal([]byte(everyService), &out); err != nil {
			t.Fatal(err)
		}
		return out
	}
	site := &keySite{dir}
	before := load(tree())
	seen := 0
	keysOf(reflect.TypeFor[config.Catalogue](), "", func(key, example string) {
		value, own := catalogueValues[key]
		if !own {
			value = example
		}
		seen++
		if value == "-" || value == "" {
			return // many others name it: these are in the product's catalogue
		}
		t.Run(key, func(t *testing.T) {
			next := tree()
			site.set(t, next, key, value)
			if load(next) == before {
				t.Errorf("set to %s the room is given the same", value)
			}
		})
	})
	if seen < 40 {
		t.Errorf("only %d keys: %v", seen, slices.Sorted(maps.Keys(catalogueValues)))
	}
}

// everyBlockLess is the smallest configuration that names the catalogue.
func everyBlockLess(t *testing.T, dir string) string {
	t.Helper()
	path := filepath.Join(dir, "masar.yaml")
	text := strings.NewReplacer("DIR", dir, "HASH", keyHash1).Replace(`
data: DIR/data
catalogue: catalogue.yaml
listen: [{addr: 127.0.0.1:2775}]
accounts: [{system_id: a, password_hash: "HASH"}]
carriers: [{name: stc, addr: 127.0.0.1:1, system_id: masar, password: secret}]
routes: [{carriers: [stc]}]
`)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}
