package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/crypto/bcrypt"
)

// freeAddr is an address on loopback that nobody listens on now.
func freeAddr(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// newDemoConfig writes a configuration of two carriers on free ports.
func newDemoConfig(t *testing.T) (path, clients string, carriers [2]string) {
	t.Helper()
	hash, err := bcrypt.GenerateFromPassword([]byte(runPassword), bcrypt.MinCost)
	if err != nil {
		t.Fatal(err)
	}
	clients, carriers = freeAddr(t), [2]string{freeAddr(t), freeAddr(t)}
	path = filepath.Join(t.TempDir(), "masar.yaml")
	text := fmt.Sprintf(`
data: %s
store: {min_free: 0MiB, ballast: 0MiB}
listen: [{addr: %q}]
admin: {listen: %q}
accounts: [{system_id: civil-affairs, password_hash: %q}]
carriers:
  - {name: stc, addr: %q, system_id: masar, password: sim, receipts: {id: {resp: hex, receipt: decimal}}}
  - {name: mobily, addr: %q, system_id: masar, password: sim, segmentation: udh16}
routes:
  - {prefix: "96654", carriers: [mobily]}
  - {carriers: [stc]}
`, filepath.Join(t.TempDir(), "data"), clients, freeAddr(t), hash, carriers[0], carriers[1])
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path, clients, carriers
}

// all is what was written so far.
func (s *syncBuffer) all() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// startDemo runs masar demo until the test ends; it returns once the banner is out.
func startDemo(t *testing.T, path string) (out, errs *syncBuffer) {
	t.Helper()
	out, errs = &syncBuffer{}, &syncBuffer{}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- demo(ctx, path, out, errs) }()
	t.Cleanup(func() {
		cancel()
		select {
		case err := <-ended:
			if err != nil {
				t.Errorf("demo ended with %v\n%s", err, errs.all())
			}
		case <-time.After(30 * time.Second):
			t.Errorf("demo did not end\n%s", errs.all())
		}
	})
	deadline := time.Now().Add(20 * time.Second)
	for !strings.Contains(out.all(), "Ctrl-C stops everything") {
		select {
		case err := <-ended:
			ended <- err
			t.Fatalf("demo ended: %v\n%s", err, errs.all())
		case <-time.After(5 * time.Millisecond):
		}
		if time.Now().After(deadline) {
			t.Fatalf("no banner\n%s\n%s", out.all(), errs.all())
		}
	}
	return out, errs
}

func TestDemoDeliversArabicOfOneTwoAndFivePartsWhole(t *testing.T) {
	path, addr, _ := newDemoConfig(t)
	out, errs := startDemo(t, path)
	const sentence = "تنتهي صلاحية هويتكم الوطنية خلال ٣٠ يوما" // 40 UTF-16 units
	for _, row := range []struct {
		name, to, carrier string
		text              string
		parts             int
	}{
		{"one part", "966501234567", "stc", sentence, 1},
		{"two parts", "966501234568", "stc", sentence + "، " + sentence + "، " + sentence, 2},
		{"five parts", "966541234567", "mobily", strings.Repeat(sentence+"، ", 7) + "شكرا", 5},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := masar(t, "", "send", "--addr", addr, "--to", row.to, "--text", row.text, "--json")
			var got sendResult
			if err := json.Unmarshal([]byte(r.out), &got); err != nil || r.code != exitDone || got.State != "DELIVRD" {
				t.Fatalf("%+v %v\n%s\n%s", r, err, out.all(), errs.all())
			}
			want := fmt.Sprintf("%s message AHWAL -> %s, ucs2, parts %d,", row.carrier, row.to, row.parts)
			whole := "text " + quoteText(row.text)
			for line := range strings.Lines(out.all()) {
				if strings.Contains(line, want) && strings.Contains(line, whole) {
					return
				}
			}
			t.Errorf("no line with %q and %q in\n%s", want, whole, out.all())
		})
	}
}

func TestDemoNamesEveryPortThatIsInUse(t *testing.T) {
	path, clients, carriers := newDemoConfig(t)
	for _, addr := range []string{clients, carriers[1]} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
	}
	r := masar(t, "", "demo", "--config", path)
	if r.code != exitFailed || !strings.Contains(r.errs, clients+" (clients) is in use") ||
		!strings.Contains(r.errs, carriers[1]+" (carrier mobily) is in use") || strings.Contains(r.errs, carriers[0]) {
		t.Errorf("%+v", r)
	}
}

func TestDemoPlaysOnlyCarriersOfThisMachine(t *testing.T) {
	for name, row := range map[string]struct{ carrier, says string }{
		"far away": {`addr: "smsc.example.com:2775"`, "carrier a is at smsc.example.com:2775, not on this machine"},
		"TLS":      {`addr: "127.0.0.1:3550", tls: {enabled: true}`, "carrier a speaks TLS"},
	} {
		t.Run(name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "masar.yaml")
			text := `
data: ` + filepath.Join(t.TempDir(), "data") + `
listen: [{addr: "127.0.0.1:2775"}]
accounts: [{system_id: a, password_hash: "$2a$10$f2kG.ZqfudWfdWRYsvjH/eLh6hWLgObGkRy1u2nIw46r7QzIA.iVK"}]
carriers: [{name: a, system_id: masar, password: sim, ` + row.carrier + `}]
routes: [{carriers: [a]}]
`
			if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if r := masar(t, "", "demo", "--config", path); r.code != exitUsage || !strings.Contains(r.errs, row.says) {
				t.Errorf("%+v", r)
			}
		})
	}
}
