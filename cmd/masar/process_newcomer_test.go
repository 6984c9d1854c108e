package main

import (
	"bufio"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// The newcomer's path, process by process: the gateway on the example configuration,
// three simulated carriers, masar send with nothing but --to and --text.
func TestANewcomersFirstMessagesAreDeliveredWhole(t *testing.T) {
	example, err := os.ReadFile("../../examples/masar.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	client, carriers := freePort(t), [3]string{}
	catalogue, err := filepath.Abs("../../examples/catalogue.yaml")
	if err != nil {
		t.Fatal(err)
	}
	replace := []string{"catalogue: catalogue.yaml", "catalogue: " + catalogue, "127.0.0.1:2775", client, "http://127.0.0.1:8775", "http://admin", "127.0.0.1:8775", freePort(t), "./var/masar", filepath.Join(dir, "var")}
	for i, old := range []string{"127.0.0.1:2801", "127.0.0.1:2802", "127.0.0.1:2803"} {
		carriers[i] = freePort(t)
		replace = append(replace, old, carriers[i])
		if !strings.Contains(string(example), old) {
			t.Fatalf("examples/masar.yaml has no carrier at %s any more", old)
		}
	}
	path := filepath.Join(dir, "masar.yaml")
	if err := os.WriteFile(path, []byte(strings.NewReplacer(replace...).Replace(string(example))), 0o600); err != nil {
		t.Fatal(err)
	}
	// The example says hex in the response and decimal in the receipt of the first one.
	sims := []*process{
		launch(t, "stc", "sim", "--json", "--user", "masar:sim", "--id-resp", "hex", "--id-receipt", "dec", "--listen", carriers[0]),
		launch(t, "mobily", "sim", "--json", "--user", "masar:sim", "--listen", carriers[1]),
		launch(t, "zain", "sim", "--json", "--user", "masar:sim", "--listen", carriers[2]),
	}
	for _, s := range sims {
		s.see(`listening on`, startLimit)
	}
	gateway := launch(t, "gateway", "serve", "--config", path)
	gateway.see(`msg=ready`, startLimit)
	for _, name := range []string{"stc", "mobily", "zain"} {
		gateway.see(`msg="bound to the carrier" carrier=`+name, startLimit)
	}

	const sentence = "تنتهي صلاحية هويتكم الوطنية خلال ٣٠ يوما" // 40 UTF-16 units
	for _, row := range []struct {
		name, to string
		sim      *process
		text     string
		parts    int
	}{
		{"one part", "966501234567", sims[0], sentence, 1},
		{"two parts", "966541234567", sims[1], sentence + "، " + sentence + "، " + sentence, 2},
		{"five parts", "966591234567", sims[2], strings.Repeat(sentence+"، ", 7) + "شكرا", 5},
	} {
		t.Run(row.name, func(t *testing.T) {
			send := launch(t, "send", "send", "--addr", client, "--to", row.to, "--text", row.text)
			if code := send.ends(startLimit); code != exitDone || !strings.Contains(send.output(), "DELIVRD") {
				t.Fatalf("exit code %d: %s", code, send.output())
			}
			row.sim.see(`"event":"message"`, 10*time.Second)
			var got simEvent
			lines := bufio.NewScanner(strings.NewReader(row.sim.output()))
			for lines.Scan() {
				if strings.Contains(lines.Text(), `"event":"message"`) {
					if err := json.Unmarshal(lines.Bytes(), &got); err != nil {
						t.Fatalf("%s: %v", lines.Text(), err)
					}
				}
			}
			if got.Text == nil || *got.Text != row.text || got.Parts != row.parts || got.To != row.to {
				t.Errorf("the carrier has %d parts for %s:\n%s\nwant %d for %s: %q", got.Parts, got.To, tail(row.sim.output(), 500), row.parts, row.to, row.text)
			}
		})
	}
}

// The README's third step, in the demonstration: refused, enrolled, delivered; and the same
// from the person's handset.
func TestANewcomerEnrolsSomebodyAndSendsHimANotice(t *testing.T) {
	example, err := os.ReadFile("../../examples/masar.yaml")
	if err != nil {
		t.Fatal(err)
	}
	catalogue, err := filepath.Abs("../../examples/catalogue.yaml")
	if err != nil {
		t.Fatal(err)
	}
	dir, err := os.MkdirTemp("", "masar-") // short: a socket's path has a limit
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	client, data := freePort(t), filepath.Join(dir, "var")
	path := filepath.Join(dir, "masar.yaml")
	text := strings.NewReplacer("127.0.0.1:2775", client, "http://127.0.0.1:8775", "http://admin", "127.0.0.1:8775", freePort(t), "./var/masar", data,
		"catalogue: catalogue.yaml", "catalogue: "+catalogue,
		"127.0.0.1:2801", freePort(t), "127.0.0.1:2802", freePort(t), "127.0.0.1:2803", freePort(t)).Replace(string(example))
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	demo := launch(t, "demo", "demo", "--config", path)
	demo.see(`subs add 966501234567 --service LOGIN --verified`, startLimit)
	send := func(args ...string) result {
		return masar(t, "", append([]string{"send", "--addr", client, "--to", "966501234567", "--text", "دخول جديد إلى حسابكم"}, args...)...)
	}
	if r := send(); r.code != exitDone || !strings.Contains(r.out, "DELIVRD") {
		t.Errorf("the plain account: %+v", r)
	}
	refused := func() {
		t.Helper()
		if r := send("--service", "LOGIN"); r.code != exitFailed || !strings.Contains(r.errs, "not_enrolled") || !strings.Contains(r.errs, "masar subs add 966501234567 --service LOGIN") {
			t.Errorf("nobody is enrolled: %+v", r)
		}
	}
	refused()
	if r := masar(t, "", "subs", "add", "966501234567", "--service", "LOGIN", "--verified", "--data", data); r.code != exitDone {
		t.Fatalf("%+v", r)
	}
	if r := send("--service", "LOGIN"); r.code != exitDone || !strings.Contains(r.out, "DELIVRD") {
		t.Errorf("enrolled: %+v", r)
	}
	_, from := demo.seeFrom(0, `message MOI -> 966501234567, .* text "دخول جديد إلى حسابكم"`, startLimit)
	if r := masar(t, "", "mo", "--data", data, "--from", "966501234567", "إلغاء LOGIN"); r.code != exitDone {
		t.Fatalf("%+v", r)
	}
	_, from = demo.seeFrom(from, `message 1090 -> 966501234567, .* text .*LOGIN`, startLimit)
	refused()
	if r := masar(t, "", "mo", "--data", data, "--from", "966501234567", "START LOGIN"); r.code != exitDone {
		t.Fatalf("%+v", r)
	}
	demo.seeFrom(from, `message 1090 -> 966501234567, .* text .*LOGIN`, startLimit)
	if r := send("--service", "LOGIN"); r.code != exitDone {
		t.Errorf("enrolled by keyword: %+v", r)
	}
	if r := masar(t, "", "mo", "--data", dir, "--from", "966501234567", "STOP"); r.code != exitFailed || !strings.Contains(r.errs, "make run starts one") {
		t.Errorf("no demonstration: %+v", r)
	}
}
