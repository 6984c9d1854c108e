package main

import (
	"crypto/tls"
	"fmt"
	"io"
	"log/slog"
	"reflect"
	"slices"
	"strings"
	"testing"

	"masar/config"
	"masar/gateway"
)

// everyBlock is a configuration with each block once, its keys at their defaults where they
// may be, so that the example of each key is a change.
const everyBlock = `
data: DIR/data
listen: [{addr: 127.0.0.1:2775, tls: {cert: server.pem, key: server.key}}]
admin: {listen: 127.0.0.1:8774}
accounts:
  - {system_id: acme, password_hash: "HASH1"}
  - {system_id: other, password_hash: "HASH1"}
carriers:
  - name: a
    addr: 127.0.0.1:1
    tls: {server_name: a.example.com, cert: server.pem, key: server.key}
    system_id: masar
    password: secret
    binds: {transceiver: 1, receiver: 1}
    throughput: 100/s
    source: {rule: fixed}
    destination: {rule: fixed}
    alphanumeric: {rule: replace, sender: "1234"}
    statuses: {temporary: [ESME_RSYSERR]}
    retry: [{statuses: [ESME_RMSGQFUL], delays: [1m], tries: 9}]
    hours: {from: 08:00, to: 20:00}
    tlvs: [{tag: 0x1500, value: x}]
    free: {markers: [{name: m, services: [IDREN], tlv: {tag: 0x1401, value: x}}, {name: rest, service_type: X}]}
  - {name: b, addr: 127.0.0.1:2, system_id: masar, password: secret}
routes:
  - {name: first, prefix: [96650], carriers: [{carrier: a}, {carrier: b}, {failover: c}]}
  - {name: rest, carriers: [b, {failover: a}]}
ported: {file: ported.csv}
mobile_originated: [{account: acme}]
catalogue: catalogue.yaml
subscribers: {account: other}
blocklist: {file: blocklist.csv}
keywords: [{numbers: ["1090"], words: {withdraw: [QUIT]}}]
api: {keys: [{name: bank, key_hash: "KEY1", scopes: [read], account: other}]}
test_numbers: [{range: 966500000000-966500000099}]
`

// keyValues are what a key is set to where its example is its default, fits no other key
// of everyBlock, or names what does not exist. Further keys that must go with it follow.
var keyValues = map[string]map[string]string{
	"store.room":                         {"": "1000000"},
	"store.ballast":                      {"": "128MiB"},
	"store.outbox_ttl":                   {"": "5h"},
	"store.outbox_max":                   {"": "12345"},
	"store.read_ahead":                   {"": "512"},
	"store.read_ahead_bytes":             {"": "64MiB"},
	"store.inbox":                        {"": "1024"},
	"max_pdu":                            {"": "32KiB"},
	"timers.session_init":                {"": "7s"},
	"timers.enquire_link":                {"": "12s"},
	"timers.inactivity":                  {"": "9m"},
	"timers.response":                    {"": "12s"},
	"time_zone":                          {"": "UTC"},
	"country":                            {"": "971"},
	"shares.bulk":                        {"": "7"},
	"admin.listen":                       {"": "off"},
	"admin.token_file":                   {"": "secret"},
	"data":                               {"": "DIR/elsewhere"},
	"listen[].addr":                      {"": "127.0.0.1:2776"},
	"listen[].tls.cert":                  {"": "other.pem", "listen[].tls.key": "other.key"},
	"listen[].tls.key":                   {"": "other.key", "listen[].tls.cert": "other.pem"},
	"listen[].tls.client_ca":             {"": "other.pem"},
	"carriers[].tls.cert":                {"": "other.pem", "carriers[].tls.key": "other.key"},
	"carriers[].tls.key":                 {"": "other.key", "carriers[].tls.cert": "other.pem"},
	"carriers[].tls.ca":                  {"": "other.pem"},
	"accounts[].system_id":               {"": "renamed", "mobile_originated[].account": "renamed"},
	"accounts[].password_hash":           {"": "HASH2"},
	"accounts[].password_hashes":         {"": "[HASH2]"},
	"accounts[].burst":                   {"": "50", "accounts[].throughput": "500/s"},
	"accounts[].default_sender":          {"": "AHWAL"},
	"accounts[].class":                   {"": "bulk"},
	"accounts[].numbers.ton":             {"": "1", "accounts[].numbers.ton_npi": "override"},
	"accounts[].numbers.npi":             {"": "8", "accounts[].numbers.ton_npi": "override"},
	"accounts[].receipts.date_digits":    {"": "12"},
	"carriers[].name":                    {"": "renamed", "routes[].carriers[].carrier": "renamed", "routes[]1.carriers[]1.failover": "renamed"},
	"carriers[].addr":                    {"": "127.0.0.1:9"},
	"carriers[].addrs":                   {"": "[127.0.0.1:9]", "carriers[].addr": "-"},
	"carriers[].receiver_addrs":          {"": "[127.0.0.1:9]"},
	"carriers[].password":                {"": "changed"},
	"carriers[].password_file":           {"": "secret", "carriers[].password": "-"},
	"carriers[].interface_version":       {"": "5.0"},
	"carriers[].system_id":               {"": "changed"},
	"carriers[].burst":                   {"": "10"},
	"carriers[].window":                  {"": "33"},
	"carriers[].timers.response":         {"": "9s"},
	"carriers[].timers.enquire_link":     {"": "11s"},
	"carriers[].timers.inactivity":       {"": "4m"},
	"carriers[].reconnect.already_bound": {"": "50s"},
	"carriers[].source.ton":              {"": "2"},
	"carriers[].source.npi":              {"": "3"},
	"carriers[].source.rule":             {"": "keep"},
	"carriers[].destination.rule":        {"": "keep"},
	"carriers[].alphanumeric.rule":       {"": "keep", "carriers[].alphanumeric.sender": "-"},
	"carriers[].alphanumeric.sender":     {"": "4321"},
	"carriers[].data_coding.gsm7":        {"": "5"},
	"carriers[].data_coding.ascii":       {"": "6"},
	"carriers[].data_coding.latin1":      {"": "7"},
	"carriers[].data_coding.binary":      {"": "9"},
	"carriers[].data_coding.ucs2":        {"": "10"},
	"carriers[].receipts.id.resp":        {"": "hex"},
	"carriers[].receipts.id.receipt":     {"": "decimal"},
	"carriers[].receipts.zone":           {"": "UTC"},
	"carriers[].statuses.temporary":      {"": "[0x401]"},
	"carriers[].statuses.throttle":       {"": "[0x402]"},
	"carriers[].retry[].statuses":        {"": "[ESME_RSYSERR]"},
	"carriers[].retry[].delays":          {"": "[7m]"},
	"carriers[].hours.from":              {"": "09:00"},
	"carriers[].hours.to":                {"": "21:00"},
	"carriers[].hours.zone":              {"": "UTC"},
	"carriers[].tlvs[].tag":              {"": "0x1501"},
	"carriers[].tlvs[].hex":              {"": "\"31 32\"", "carriers[].tlvs[].value": "-"},
	"carriers[].protocol_id":             {"": "3"},
	"carriers[].validity":                {"": "none"},
	"routes[].name":                      {"": "renamed", "ported.file": "renamed.csv"},
	"routes[].accounts":                  {"": "[acme]"},
	"routes[].carriers[].carrier":        {"": "c", "routes[].carriers[]2.failover": "a"},
	"routes[].carriers[].failover":       {"at": "routes[].carriers[]2.failover", "": "b", "routes[].carriers[]1.carrier": "c"},
	"routes[].receipt_wait":              {"": "25h"},
	"ported.file":                        {"": "renamed.csv", "routes[].name": "renamed"},
	"ported.deltas":                      {"": "[delta.csv]"},
	"mobile_originated[].account":        {"": "other"},
	"mobile_originated[].whole":          {"": "true"},
	"mo.ttl":                             {"": "25h"},
	"carriers[].binds.transceiver":       {"": "3"},
	"carriers[].binds.receiver":          {"": "4"},
	"accounts[].validity.default":        {"": "25h"},
	"accounts[].outbox_ttl":              {"": "25h"},
	"accounts[].timers.enquire_link":     {"": "13s"},
	"accounts[].timers.inactivity":       {"": "7m"},
	"accounts[].timers.response":         {"": "13s"},
	"accounts[].time_zone":               {"": "UTC"},
	"carriers[].reconnect.min":           {"": "500ms"},
	"carriers[].segmentation":            {"": "udh16"},
	"carriers[].local_addr":              {"": "127.0.0.9"},
	"accounts[].trial_numbers":           {"": "[\"966501234567\"]", "accounts[].trial": "true"},
	"accounts[].trial":                   {"": "true", "accounts[].trial_numbers": "[\"966501234567\"]"},
	"carriers[].free.required":           {"": "true"},
	"carriers[].free.markers[].name":     {"": "n"},
	"carriers[].free.markers[].services": {"": "[IDNEW]"},
	"carriers[].free.markers[].tlv.tag":  {"": "0x1402"},
	"carriers[].free.markers[].tlv.hex":  {"": "\"31 32\"", "carriers[].free.markers[].tlv.value": "-"},
	"subscribers.code.service":           {"": "OTPEN"},
	"subscribers.account":                {"": "acme"},
	"keywords[].numbers":                 {"": "[\"1091\"]"},
	"api.keys[].account":                 {"": "acme"},
	"api.keys[].expires":                 {"": "\"2037-12-31\""},
	"test_numbers[].range":               {"": "966500000100-966500000199"},
	"catalogue":                          {"": "other.yaml"},
	"blocklist.file":                     {"": "renamed.csv"},
	"blocklist.reload":                   {"": "3h"},
	"subscribers.dir":                    {"": "DIR/people"},
	"subscribers.key_file":               {"": "key"},
	"api.keys[].name":                    {"": "bank-b", "api.keys[].channel": "bank"},
	"api.keys[].key_hash":                {"": "KEY2"},
}

// nobodyReads are keys that change nothing that a room is given, and why that is right.
var nobodyReads = map[string]string{
	"ported.max_shrink": "it is asked while the table is read: TestAPortedTableThatShrinksIsRefused",
}

// given of a configuration: what a reload applies, and what only a start does.
type wired struct{ reloaded, started string }

func wire(t *testing.T, cfg *config.Config) wired {
	t.Helper()
	s, err := setup(cfg)
	if err != nil {
		t.Fatal(err)
	}
	for i := range s.Carriers {
		s.Carriers[i].Identity = "" // it is of all keys: it would hide the one that nobody reads
	}
	ls, _, err := listeners(cfg)
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{cfg: cfg}
	d.boundOutboxes(cfg)
	table, err := (&ported{}).prepare(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.Catalogue, s.Keywords = nil, nil // what they are made of is told below
	swap, err := new(testNumbers).into(&s, testRanges(cfg))
	if err != nil || swap == nil {
		t.Fatal(err)
	}
	keys, err := apiKeys(cfg)
	if err != nil {
		t.Fatal(err)
	}
	d.inForce.Store(&face{keys: keys, codes: verification(cfg)})
	var words []string
	for _, k := range cfg.Keywords {
		code, w := shortCode(&k)
		words = append(words, dump(code)+dump(w))
	}
	key, err := registryKey(cfg)
	if err != nil {
		t.Fatal(err)
	}
	rows := []string{fmt.Sprint(table.Len())}
	for _, number := range []string{"966501111111", "966502222222"} {
		name, _ := table.Lookup(number)
		rows = append(rows, name)
	}
	var certs []string
	for i := range ls {
		if ls[i].TLS != nil {
			certs = append(certs, dump(ls[i].TLS))
			ls[i].TLS = &tls.Config{}
		}
	}
	g := gatewayOptions(cfg, gateway.Setup{}, ls)
	g.Timers.EnquireLink, g.Timers.Inactivity, g.Timers.Response = 0, 0, 0 // an account's own, from its bind on
	level := new(slog.LevelVar)
	log := newLogger(&cfg.Log, level, io.Discard)
	return wired{
		reloaded: dump(s) + dump(*d.outboxMax.Load()) + dump(rows) + level.String() + dump(certs) +
			fmt.Sprint(d.rhythms()) + dump(testRanges(cfg)) + dump(d.inForce.Load()) + dump(words) +
			dump(catalogueOptions(cfg.Catalogue)) + cfg.Blocklist.File,
		started: dump(g) + dump(storeOptions(cfg)) + dump(d.adminOptions(cfg)) + dump(registryOptions(cfg)) + dump(key) +
			dump(reminderStoreOptions(cfg)) + dump(reminderOptions(cfg)) + dump(campaignStoreOptions(cfg)) + dump(campaignOptions(cfg)) +
			fmt.Sprintf("%T", log.Handler()),
	}
}

// Every key of the configuration reaches a room: set to another value, by itself, what
// the rooms are given is different. And what a reload says of the change is true.
func TestEveryConfigurationKeyReachesARoom(t *testing.T) {
	site := newKeySite(t)
	base := site.load(t, site.tree(t))
	before := wire(t, base)
	identity := identities(t, base)
	d := &daemon{cfg: base}
	if _, certs, err := listeners(base); err != nil {
		t.Fatal(err)
	} else {
		d.certs = certs
	}
	seen := map[string]bool{}
	keysOf(reflect.TypeFor[config.Config](), "", func(key, example string) {
		seen[key] = true
		t.Run(key, func(t *testing.T) {
			tree := site.tree(t)
			values := keyValues[key]
			if values == nil {
				values = map[string]string{"": example}
			}
			for at, v := range values {
				switch {
				case at == "at":
					continue
				case at == "" && values["at"] != "":
					at = values["at"]
				case at == "":
					at = key
				}
				site.set(t, tree, at, v)
			}
			next := site.load(t, tree)
			diff := config.Diff(base, next)
			if len(diff) == 0 {
				t.Fatalf("set to %v nothing is different: choose another value in keyValues", values)
			}
			after := wire(t, next)
			reloaded, started := after.reloaded != before.reloaded, after.started != before.started
			if why := nobodyReads[key]; why != "" {
				if reloaded || started {
					t.Errorf("a room is given it: take it off nobodyReads")
				}
				return
			}
			if !reloaded && !started {
				t.Fatalf("no room is given it: %v", diff)
			}
			if strings.HasPrefix(key, "carriers[].") && slices.Equal(identities(t, next), identity) {
				t.Error("the carrier's identity stays: a reload would not apply it")
			}
			for _, c := range diff {
				switch r := d.remark(c); {
				case reloaded && started && (r == "" || r == nextStart):
					t.Errorf("%s%s: it takes effect in part", c, r)
				case reloaded && !started && r != "":
					t.Errorf("%s%s: it takes effect at once", c, r)
				case !reloaded && r != nextStart:
					t.Errorf("%s%s: it takes no effect", c, r)
				}
			}
		})
	})
	for key := range keyValues {
		if !seen[key] {
			t.Errorf("keyValues has %s, which is no key", key)
		}
	}
	for key := range nobodyReads {
		if !seen[key] {
			t.Errorf("nobodyReads has %s, which is no key", key)
		}
	}
	if len(seen) < 150 {
		t.Errorf("only %d keys were found", len(seen))
	}
}

// keysOf calls each for every key below a block, with its example.
func keysOf(block reflect.Type, path string, each func(key, example string)) {
	for f := range block.Fields() {
		key, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		if key == "-" {
			continue
		}
		at := strings.TrimPrefix(path+"."+key, ".")
		inner := f.Type
		if inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
			if inner.Kind() == reflect.Slice && isBlockType(inner.Elem()) {
				at += "[]"
			}
			if isBlockType(inner.Elem()) {
				inner = inner.Elem()
			}
		}
		switch {
		case key == "": // inline
			keysOf(inner, path, each)
		case isBlockType(inner):
			keysOf(inner, at, each)
		default:
			each(at, f.Tag.Get("eg"))
		}
	}
}

// isBlockType tells a block of keys from a value.
func isBlockType(t reflect.Type) bool {
	if t.Kind() != reflect.Struct {
		return false
	}
	for f := range t.Fields() {
		if f.Tag.Get("yaml") != "" {
			return true
		}
	}
	return false
}
