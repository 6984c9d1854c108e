package main

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"masar/config"
	"masar/number"
	"masar/service"
	subscribers "masar/service/pebble"
)

func TestTheRegistrysKeyIsMadeOnceAndNeverBesidePeople(t *testing.T) {
	c := &config.Config{Data: t.TempDir()}
	first, err := registryKey(c)
	if err != nil {
		t.Fatal(err)
	}
	info, err := os.Stat(c.SubscribersKeyFile())
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v; want mode 0600", info.Mode(), err)
	}
	if again, err := registryKey(c); err != nil || *again != *first {
		t.Errorf("another key the second time: %v", err)
	}
	if err := os.WriteFile(filepath.Join(c.SubscribersDir(), "000001.log"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Remove(c.SubscribersKeyFile()); err != nil {
		t.Fatal(err)
	}
	if _, err := registryKey(c); err == nil || !strings.Contains(err.Error(), "bring the file back") {
		t.Errorf("a key beside a registry that lost its own: %v", err)
	}
	if err := os.WriteFile(c.SubscribersKeyFile(), []byte("short\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := registryKey(c); err == nil || !strings.Contains(err.Error(), "64 hex digits") {
		t.Errorf("a damaged key: %v", err)
	}
}

func TestTheRegistryIsNotOpenedWithAnotherKey(t *testing.T) {
	c := &config.Config{Data: t.TempDir()}
	open := func() error {
		t.Helper()
		r, _, err := openRegistry(t.Context(), c, registryOptions(c))
		if err == nil {
			err = r.Close()
		}
		return err
	}
	if err := open(); err != nil {
		t.Fatal(err)
	}
	own, err := os.ReadFile(c.SubscribersKeyFile())
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name, key, says string
	}{
		{"the same", string(own), ""},
		{"another", strings.Repeat("ab", 32) + "\n", "not the key that the people of"},
		{"its own again", string(own), ""},
	} {
		if err := os.WriteFile(c.SubscribersKeyFile(), []byte(row.key), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := open(); (err == nil) != (row.says == "") || err != nil && !strings.Contains(err.Error(), row.says) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
	// One of before the mark was kept takes that of the key it is opened with.
	if err := os.Remove(filepath.Join(c.SubscribersDir(), keyMark)); err != nil {
		t.Fatal(err)
	}
	if err := open(); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat(filepath.Join(c.SubscribersDir(), keyMark)); err != nil {
		t.Error(err)
	}
}

func TestTheBlocklistFileIsLaidOverTheRegistryAsItChanges(t *testing.T) {
	dir := t.TempDir()
	reg, err := subscribers.Open(t.Context(), subscribers.Options{Dir: filepath.Join(dir, "subscribers"), Cache: 100, MinFree: -1})
	if err != nil {
		t.Fatal(err)
	}
	defer reg.Close()
	c := config.Default()
	c.Blocklist.File = filepath.Join(dir, "blocked.csv")
	b := blocked{log: slog.New(slog.DiscardHandler), registry: reg}
	step := 0
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(c.Blocklist.File, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		// A clock of its own for each version: two writes may fall into one tick of the disk's.
		step++
		at := time.Now().Add(time.Duration(step) * time.Second)
		if err := os.Chtimes(c.Blocklist.File, at, at); err != nil {
			t.Fatal(err)
		}
	}
	want := func(n number.E164, scope service.BlockScope) {
		t.Helper()
		st, err := reg.Lookup(context.Background(), n)
		if err != nil {
			t.Fatal(err)
		}
		got := service.BlockNone
		if st != nil {
			got = st.Block.In(time.Now())
		}
		if got != scope {
			t.Errorf("%s is blocked for %s, want %s", n, got, scope)
		}
	}
	refresh := func(says string) {
		t.Helper()
		if err := b.refresh(t.Context(), c); (err == nil) != (says == "") || err != nil && !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want %q", err, says)
		}
	}

	refresh("no such file")
	write("0501111111,all\n0502222222,opt-in\n0503333333\n")
	refresh("")
	want(966501111111, service.BlockAll)
	want(966502222222, service.BlockOptIn)
	seen := b.seen
	refresh("") // nothing has changed
	if &seen[0] != &b.seen[0] {
		t.Error("a file that has not changed is read again")
	}
	write("0501111111,all\n0502222222,all\n")
	refresh("")
	want(966502222222, service.BlockAll)
	want(966503333333, service.BlockNone)
	write("")
	refresh("refused")
	want(966501111111, service.BlockAll)
	c.Blocklist.File = ""
	refresh("")
	want(966501111111, service.BlockNone)
}

// A reload brings services, keys and the words of a short code at once, and a mistake in
// the catalogue keeps all of it away, named with its line there.
func TestAReloadBringsTheCatalogueAndTheKeys(t *testing.T) {
	_, addr, _ := serviceSMSC(t)
	s, _ := newServiceSite(t, addr)
	gw := s.start()
	gw.see(`msg="bound to the carrier"`, startLimit)
	reload := func(want int, says ...string) {
		t.Helper()
		r := masar(t, "", "reload", "--data", s.data)
		if r.code != want {
			t.Fatalf("%+v", r)
		}
		for _, one := range says {
			if !strings.Contains(r.out+r.errs, one) {
				t.Errorf("it does not say %q: %s%s", one, r.out, r.errs)
			}
		}
	}
	services := func() int {
		_, page := s.local("/v1/services")
		return strings.Count(page, `"agency":`)
	}
	if n := services(); n != 113 {
		t.Fatalf("%d services", n)
	}
	path := filepath.Join(s.dir, "catalogue.yaml")
	old, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	change := func(text string) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	with := func(more string) string {
		return strings.Replace(string(old), "\nservices:\n", "\nservices:\n    - {code: FRESH, agency: nic, name: {ar: جديد, en: Fresh}, kind: record, category: service, validity: 1h"+more+"}\n", 1)
	}
	change(with(", template: {en: 'Hello {who}'}"))
	reload(exitFailed, "catalogue.yaml:", "who", "nothing was applied")
	if n := services(); n != 113 {
		t.Errorf("%d services after a refused reload", n)
	}
	change(with(""))
	s.top = strings.Replace(s.top, "name: partner, ", "name: partner, expires: 2020-01-01, ", 1)
	s.write()
	reload(exitDone, "FRESH", "expires")
	if n := services(); n != 114 {
		t.Errorf("%d services after the reload", n)
	}
	if status, says := s.post("/v1/enrolments", map[string]any{"number": "0501234567", "services": []string{"FRESH"}}, nil); status != 401 || !strings.Contains(says, "expired") {
		t.Errorf("a key whose end has come: %d %s", status, says)
	}
}
