package config

import (
	"errors"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The three texts that docs and habits rely on: they must load as written.
const (
	smallest = `data: ./var/masar
listen: [{addr: 127.0.0.1:2775}]
admin: {listen: 127.0.0.1:8775}
accounts: [{system_id: load, password_hash: "$2a$10$..."}]
carriers: [{name: a, addr: 127.0.0.1:2801, system_id: masar, password: secret, binds: {transceiver: 2}, window: 100}]
routes: [{carriers: [a]}]
`
	sketch = `node: riyadh-1
data: ./var/masar
listen:
  - addr: 127.0.0.1:2775
accounts:
  - system_id: civil-affairs
    password_hash: "$2a$10$..."
    throughput: 500/s
    window: 100
    binds: 4
    senders: [AHWAL]
    services: [IDNEW, IDREN]
carriers:
  - name: stc
    addr: 127.0.0.1:2801
    system_id: masar
    password_file: secrets/stc
    binds: {transceiver: 2}
    window: 50
    throughput: 400/s
    receipts: {id: {resp: hex, receipt: decimal}}
`
	sketchRoutes = `routes:
  - prefix: [96650, 96653, 96655]
    carriers: [stc, {failover: zain}]
`
	sketchZain = `  - {name: zain, addr: 127.0.0.1:2803, system_id: masar, password: x}
`
)

// statusNames is what cmd hands in, in small.
func statusNames(s string) (uint32, bool) {
	n, ok := map[string]uint32{
		"ROK": 0, "RSYSERR": 0x08, "RINVSRCADR": 0x0A, "RINVDSTADR": 0x0B, "RMSGQFUL": 0x14, "RTHROTTLED": 0x58, "RX_T_APPN": 0x64,
	}[strings.TrimPrefix(s, "ESME_")]
	return n, ok
}

func env(vars map[string]string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		v, ok := vars[name]
		return v, ok
	}
}

// files stands in for the disk.
func files(list map[string]string) func(string) ([]byte, fs.FileMode, error) {
	return func(path string) ([]byte, fs.FileMode, error) {
		if text, ok := list[filepath.ToSlash(path)]; ok {
			return []byte(text), 0o600, nil
		}
		return nil, 0, &fs.PathError{Op: "open", Path: path, Err: fs.ErrNotExist}
	}
}

func mustParse(t *testing.T, o ParseOptions, text string) (*Config, []Warning) {
	t.Helper()
	if o.StatusName == nil {
		o.StatusName = statusNames
	}
	c, w, err := o.Parse("masar.yaml", []byte(text))
	if err != nil {
		t.Fatalf("must load:\n%v", err)
	}
	return c, w
}

func TestTheSmallestConfigLoadsAsWritten(t *testing.T) {
	c, w := mustParse(t, ParseOptions{}, smallest)
	k := c.Carriers[0]
	if k.Password.Reveal() != "secret" || k.Binds != (Binds{Transceiver: 2}) || k.Window != 100 || !slices.Equal(k.Addrs, []string{"127.0.0.1:2801"}) {
		t.Errorf("carrier: %+v", k)
	}
	a := c.Accounts[0]
	if a.Throughput != 0 || len(a.Senders) != 0 || len(a.Services) != 0 || a.Window != 1000 || a.Park != 1000 {
		t.Errorf("account: %+v", a)
	}
	if len(a.PasswordHashes) != 1 || a.PasswordHashes[0].Reveal() != "$2a$10$..." {
		t.Errorf("hashes: %v", a.PasswordHashes)
	}
	if r := c.Routes[0]; len(r.Prefix) != 0 || r.Carriers[0].Name() != "a" || r.Carriers[0].Weight != 1 || r.FailoverAfter != 5*time.Second {
		t.Errorf("route: %+v", r)
	}
	if len(w) != 1 || w[0].Path != "accounts[0].password_hash" {
		t.Errorf("warnings %v, want one about the placeholder", w)
	}
}

func TestTheSketchOfTheDesignLoadsAsWritten(t *testing.T) {
	o := ParseOptions{ReadFile: files(map[string]string{"secrets/stc": "s3cret\n"})}
	c, _ := mustParse(t, o, sketch+sketchZain+sketchRoutes)
	if c.Node != "riyadh-1" || c.Accounts[0].Throughput != 500 || c.Carriers[0].Password.Reveal() != "s3cret" ||
		c.Carriers[0].Receipts.ID != (IDForms{"hex", "decimal"}) || c.Routes[0].Carriers[1] != (Member{Failover: "zain", Weight: 1, Tier: 1}) {
		t.Errorf("%+v", c)
	}
	// Without the carrier that the sketch leaves to the reader, that is its one mistake.
	_, _, err := o.Parse("masar.yaml", []byte(sketch+sketchRoutes))
	want := `masar.yaml:24:32: routes[0].carriers[1].failover: "zain" is no carrier; there is stc`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

func TestTheExampleOfMakeRunLoads(t *testing.T) {
	data, err := os.ReadFile("../examples/masar.yaml")
	if err != nil {
		t.Fatal(err)
	}
	// Statuses by number alone: the file must load wherever it is read.
	c, w, err := Parse("../examples/masar.yaml", data, env(nil))
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range w {
		if !strings.Contains(x.Rule, "a plain gateway") { // some of its accounts are, beside governed ones
			t.Errorf("warning: %v", x)
		}
	}
	if len(c.Accounts) < 4 || len(c.Carriers) != 3 || len(c.Routes) != 5 {
		t.Errorf("%d accounts, %d carriers, %d routes", len(c.Accounts), len(c.Carriers), len(c.Routes))
	}
}

func TestEveryGoodConfigLoads(t *testing.T) {
	good, err := filepath.Glob("testdata/good/*.yaml")
	if err != nil || len(good) < 3 {
		t.Fatalf("%d good configs, %v", len(good), err)
	}
	o := ParseOptions{StatusName: statusNames, Env: env(map[string]string{"STC_PASSWORD": "from-env"})}
	for _, path := range good {
		t.Run(filepath.Base(path), func(t *testing.T) {
			_, _, err := o.Load(path)
			if err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAnAccountTakesFromTheTopWhatItDoesNotSay(t *testing.T) {
	c, _ := mustParse(t, ParseOptions{}, `
listen: [{addr: ":2775"}]
time_zone: UTC
country: "971"
timers: {enquire_link: 20s, response: 3s}
store: {room: 5000, outbox_ttl: 1h}
validity: {default: 1h, max: 2h}
accounts:
  - system_id: a
    password_hash: "$2a$10$..."
    window: 7
    validity: {max: 4h}
    timers: {response: 4s, inactivity: 0}
carriers: [{name: a, addr: "h:1", system_id: m, password: p}]
routes: [{carriers: a}]
`)
	a := c.Accounts[0]
	if a.Validity != (Validity{time.Hour, 4 * time.Hour}) {
		t.Errorf("validity %+v", a.Validity)
	}
	if a.Timers != (BindTimers{EnquireLink: 20 * time.Second, Inactivity: 0, Response: 4 * time.Second}) {
		t.Errorf("timers %+v: a given 0 must stay", a.Timers)
	}
	if a.Park != 7 || a.Room != 5000 || a.OutboxTTL != time.Hour || a.OutboxMax != 1_000_000 || a.TimeZone.String() != "UTC" || a.Numbers.Country != "971" {
		t.Errorf("account %+v", a)
	}
	if k := c.Carriers[0]; k.Timers.Response != 3*time.Second || k.Receipts.Zone.String() != "UTC" || k.Binds != (Binds{Transceiver: 1}) {
		t.Errorf("carrier %+v", k)
	}
}

func TestBlocksMayBeSharedByAnchors(t *testing.T) {
	c, _ := mustParse(t, ParseOptions{}, `
listen: [{addr: ":2775"}]
carriers:
  - &base {name: a, addr: "h:1", system_id: m, password: p, window: 33}
  - {<<: *base, name: b, addr: "h:2"}
routes: [{carriers: [a, b]}]
`)
	if b := c.Carriers[1]; b.Name != "b" || b.Window != 33 || b.Addrs[0] != "h:2" {
		t.Errorf("%+v", b)
	}
}

func TestAliasesCannotBlowAFileUp(t *testing.T) {
	var b strings.Builder
	b.WriteString("x: &x [" + strings.TrimSuffix(strings.Repeat("A,", 3000), ",") + "]\n")
	b.WriteString("accounts:\n  - &a {system_id: a, password_hash: \"$2a$10$...\", senders: *x}\n")
	b.WriteString(strings.Repeat("  - *a\n", 3000))
	start := time.Now()
	_, _, err := Parse("masar.yaml", []byte(b.String()), env(nil))
	if err == nil || !strings.Contains(err.Error(), "once its aliases are followed") {
		t.Errorf("got %.300v", err)
	}
	t.Log(time.Since(start))
}

func TestASecretComesFromTheEnvironment(t *testing.T) {
	text := strings.Replace(smallest, "password: secret", "password: '${A}-$${B}-${C}'", 1)
	c, _ := mustParse(t, ParseOptions{Env: env(map[string]string{"A": "one", "C": "two"})}, text)
	if got := c.Carriers[0].Password.Reveal(); got != "one-${B}-two" {
		t.Errorf("password %q", got)
	}
}

func TestWhatOthersCanReadIsWarnedAbout(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string, mode fs.FileMode) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil { // whatever the umask
			t.Fatal(err)
		}
		return path
	}
	write("stc", "s3cret\n", 0o644)
	inFile := strings.Replace(smallest, "password: secret", "password_file: stc", 1)
	fromEnv := strings.Replace(smallest, "password: secret", "password: '${P}'", 1)
	for _, tc := range []struct {
		name, text string
		mode       fs.FileMode
		want       []string
	}{
		{"password in a readable file", smallest, 0o644, []string{"carriers[0].password"}},
		{"password in a closed file", smallest, 0o600, nil},
		{"password from the environment", fromEnv, 0o644, nil},
		{"readable password_file", inFile, 0o644, []string{"carriers[0].password_file"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := write("masar.yaml", tc.text, tc.mode)
			_, w, err := ParseOptions{Env: env(map[string]string{"P": "x"})}.Load(path)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, x := range w {
				if x.Path != "accounts[0].password_hash" {
					got = append(got, x.Path)
				}
				if strings.Contains(x.String(), "s3cret") {
					t.Errorf("the warning shows the secret: %v", x)
				}
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("warnings at %v, want %v", got, tc.want)
			}
		})
	}
}

func TestWarningsKeepNothingFromLoading(t *testing.T) {
	_, w := mustParse(t, ParseOptions{}, `
listen: [{addr: 127.0.0.1:2775}]
carriers:
  - {name: a, addr: 127.0.0.1:2775, system_id: m, password: p, tls: {insecure_skip_verify: true}}
  - {name: b, addr: "h:1", system_id: m, password: p, binds: {transmitter: 1}}
  - {name: c, addr: "h:1", system_id: m, password: p, binds: {transmitter: 1}, receipts: never}
routes: [{carriers: [a, b]}]
`)
	got := map[string]string{}
	for _, x := range w {
		got[x.Path] = x.Rule
	}
	want := map[string]string{
		"accounts":                             "there is none: nobody can bind",
		"carriers[0].addr":                     "is our own listener, listen[0]: messages would come back to us",
		"carriers[0].tls.insecure_skip_verify": "lets anyone on the way pose as the carrier",
		"carriers[1].binds":                    "hold none that can receive: no receipt will come",
		"carriers[2].name":                     "is in no route: nothing will be sent over it",
	}
	if !maps.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestAFileThatIsMissingIsNoMistakeOfItsContents(t *testing.T) {
	_, _, err := Load(filepath.Join(t.TempDir(), "masar.yaml"))
	var list Errors
	if !errors.Is(err, fs.ErrNotExist) || errors.As(err, &list) {
		t.Errorf("got %v", err)
	}
	_, _, err = Load(t.TempDir())
	if err == nil || !strings.Contains(err.Error(), "is not a plain file") {
		t.Errorf("a folder: %v", err)
	}
}

func TestDefaultIsWhatAFileThatSaysLittleMeans(t *testing.T) {
	c, _ := mustParse(t, ParseOptions{}, smallest)
	d := Default()
	for _, ch := range Diff(d, c) {
		if ch.Kind == Added || ch.Path == "routes" || ch.Path == "mobile_originated" {
			continue
		}
		t.Errorf("differs without being said: %v", ch)
	}
	if d.Timers.Response != 10*time.Second || d.TimeZone.String() != "Asia/Riyadh" {
		t.Errorf("%+v", d)
	}
}

func TestAnAliasInsideItsOwnBlockIsRefusedAtOnce(t *testing.T) {
	// Merged eight deep, a hundred ways each, this would be 10^16 blocks.
	text := "listen: &a {<<: [" + strings.TrimSuffix(strings.Repeat("*a, ", 100), ", ") + "]}\n"
	_, _, err := Parse("masar.yaml", []byte(text), env(nil))
	if want := "masar.yaml:1:18: an alias (*NAME) stands inside the block that it names; write its keys out"; err == nil || err.Error() != want {
		t.Errorf("got %v", err)
	}
}
