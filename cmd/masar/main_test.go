package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"golang.org/x/crypto/bcrypt"

	"masar/smpp/smpptest"
)

var update = flag.Bool("update", false, "rewrite the golden files in testdata")

// result is what one run of the binary came to.
type result struct {
	code      int
	out, errs string
}

func masar(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 60*time.Second)
	defer cancel()
	var out, errs bytes.Buffer
	code := run(ctx, args, strings.NewReader(stdin), &out, &errs)
	return result{code, out.String(), errs.String()}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("%s differs (go test ./cmd/masar -update rewrites it)\ngot:\n%s\nwant:\n%s", path, got, want)
	}
}

func TestHelpIsAsItWas(t *testing.T) {
	for _, name := range []string{"passwd", "segment", "send", "sim", "load"} {
		t.Run(name, func(t *testing.T) {
			r := masar(t, "", name, "--help")
			if r.code != exitDone || r.errs != "" {
				t.Fatalf("%+v", r)
			}
			golden(t, "help-"+name+".txt", r.out)
		})
	}
}

func TestEveryCommandShowsAnExampleBeforeItsFlags(t *testing.T) {
	var visit func(c *cobra.Command, path []string)
	visit = func(c *cobra.Command, path []string) {
		for _, sub := range c.Commands() {
			if sub.Name() != "help" && sub.Name() != "completion" && !sub.Hidden {
				visit(sub, append(path[:len(path):len(path)], sub.Name()))
			}
		}
		help := masar(t, "", append(path, "--help")...).out
		example, flags := strings.Index(help, "Examples:"), strings.Index(help, "Flags:")
		if example < 0 || flags < example || !strings.Contains(help[example:flags], "masar ") {
			t.Errorf("masar %s --help:\n%s", strings.Join(path, " "), help)
		}
		if c.HasParent() && c.Parent() == c.Root() && c.GroupID == "" {
			t.Errorf("%s stands in no group of the root's help", c.Name())
		}
	}
	visit(newRoot(), nil)
}

func TestExitCodesAndTheirReasons(t *testing.T) {
	for _, row := range []struct {
		name string
		args string
		code int
		says string
	}{
		{"nothing", "", exitDone, ""},
		{"help", "--help", exitDone, ""},
		{"version", "version", exitDone, ""},
		{"unknown command", "frobnicate", exitUsage, `unknown command "frobnicate"`},
		{"unknown flag", "segment --colour", exitUsage, "unknown flag: --colour\nsee: masar segment --help"},
		{"too many arguments", "segment a b", exitUsage, "accepts at most 1 arg"},
		{"not a number", "sim --count x", exitUsage, "invalid argument"},
		{"wrong style", "segment --style morse x", exitUsage, `--style "morse": one of udh8`},
		{"no destination", "send --text x", exitUsage, "--to is missing"},
		{"no text", "send --to 1", exitUsage, "--text is missing"},
		{"two passwords", "send --to 1 --text x --password a --password-file b", exitUsage, "give one of them"},
		{"no password file", "send --to 1 --text x --password-file /does/not/exist", exitUsage, "no such file"},
		{"nobody listens", "send --to 1 --text x --addr 127.0.0.1:1", exitFailed, "make run starts one"},
		{"nobody to load", "load --addr 127.0.0.1:1 --count 1", exitFailed, "make run starts one"},
		{"window too large", "load --window 70000", exitUsage, "window 70000"},
		{"no such process", "load --cpu-of x", exitUsage, "write NAME=PID"},
		{"bad user", "sim --user nocolon", exitUsage, "system_id:password"},
		{"bad state", "sim --receipt-states GONE=1", exitUsage, "DELIVRD"},
		{"bad status", "sim --error-status ESME_RNOTHING", exitUsage, "--error-status"},
		{"bad share", "sim --error-rate 2", exitUsage, "from 0 to 1"},
		{"bad id form", "sim --id-resp octal", exitUsage, "one of dec, hex"},
		{"two ways to say how many", "sim --listen :0 --listen :0 --count 2", exitUsage, "--listen"},
		{"address in use", "sim --listen 192.0.2.1:1", exitFailed, "192.0.2.1:1"},
		{"no bind to load with", "load --binds 0", exitUsage, "--binds 0"},
		{"no window to load with", "load --window 0", exitUsage, "--window 0"},
		{"nowhere to load", "load --addr nohost", exitUsage, `--addr "nohost": write host:port`},
		{"nowhere to listen", "sim --listen foo", exitUsage, `--listen "foo": write host:port`},
		{"nowhere to send to", "send --to 1 --text x --addr nohostport", exitUsage, `--addr "nohostport": write host:port`},
		{"help of a command", "help send", exitDone, ""},
		{"help of a command below another", "help completion bash", exitDone, ""},
		{"help of nothing there is", "help nonsense", exitUsage, `no command is called "nonsense"`},
		{"help of something below a command that has nothing there", "help send nonsense", exitUsage, `"send nonsense"`},
		{"bcrypt cost", "passwd --cost 99", exitUsage, "bcrypt knows"},
	} {
		t.Run(row.name, func(t *testing.T) {
			if r := masar(t, "", strings.Fields(row.args)...); r.code != row.code || !strings.Contains(r.errs, row.says) {
				t.Errorf("code %d, want %d; says %q, want %q", r.code, row.code, r.errs, row.says)
			}
		})
	}
}

func TestPasswdHashesWhatItReads(t *testing.T) {
	for in, password := range map[string]string{"s3cret": "s3cret", "s3cret\n": "s3cret", "s3cret\r\n": "s3cret", " a b \n": " a b "} {
		r := masar(t, in, "passwd", "--cost", "4")
		if r.code != exitDone || bcrypt.CompareHashAndPassword([]byte(strings.TrimSpace(r.out)), []byte(password)) != nil {
			t.Errorf("%q: %+v", in, r)
		}
	}
	if r := masar(t, "masar-demo", "passwd", "--cost", "4"); r.code != exitDone || !strings.Contains(r.errs, "10 octets") {
		t.Errorf("a password some clients cannot send: %+v", r)
	}
	for name, in := range map[string]string{"empty": "", "a line end": "\n", "two lines": "a\nb\n", "too long": strings.Repeat("x", 73)} {
		if r := masar(t, in, "passwd"); r.code != exitFailed || r.out != "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

const notice = "تنتهي صلاحية هويتكم الوطنية خلال ٣٠ يوما. "

// startCarrier starts a simulator and returns its address and what it heard.
func startCarrier(t *testing.T, o smpptest.SMSCOptions) (addr string, heard chan smpptest.Message) {
	t.Helper()
	heard = make(chan smpptest.Message, 100)
	o.OnMessage = func(m *smpptest.Message) { heard <- *m }
	c, err := smpptest.NewSMSC(o)
	if err != nil {
		t.Fatal(err)
	}
	if addr, err = c.Listen("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if st := c.Stats(); st.Violations > 0 {
			t.Errorf("the simulator saw %d PDUs that break the protocol", st.Violations)
		}
		c.Close()
	})
	return addr, heard
}

func TestSendDeliversTextsOfAnyLengthAndPrintsTheirReceipt(t *testing.T) {
	t.Setenv("MASAR_PASSWORD", "")
	for _, row := range []struct{ name, text string }{
		{"one part", notice},
		{"two parts", strings.Repeat(notice, 3)},
		{"five parts", strings.Repeat(notice, 7)},
		{"gsm beyond ASCII", "Prix: [10 €] à é ñ Ω"},
		{"gsm, long", strings.Repeat("Grüße ", 60)},
	} {
		t.Run(row.name, func(t *testing.T) {
			addr, heard := startCarrier(t, smpptest.SMSCOptions{
				Credentials: map[string]string{runSystemID: runPassword}, FirstID: 77, Latency: time.Millisecond, ReceiptDelay: 5 * time.Millisecond,
			})
			r := masar(t, "", "send", "--addr", addr, "--to", "966501234567", "--text", row.text)
			if r.code != exitDone {
				t.Fatalf("%+v", r)
			}
			if want := regexp.MustCompile(`^message_id  77\nreceipt     id:77 .* stat:DELIVRD err:000 .*\nstate       DELIVRD after \d+\.\d s\n$`); !want.MatchString(r.out) {
				t.Errorf("%s", r.out)
			}
			if m := <-heard; m.Text != row.text || m.Source != runSender || m.Dest != "966501234567" || m.SystemID != runSystemID {
				t.Errorf("%+v", m)
			}
		})
	}
}

func TestSendSaysWhatWentWrong(t *testing.T) {
	known := map[string]string{"ministry": "right"}
	for _, row := range []struct {
		name string
		o    smpptest.SMSCOptions
		args string
		code int
		says string
	}{
		{"wrong password", smpptest.SMSCOptions{Credentials: known}, "--system-id ministry --password wrong", exitFailed, "refused the bind of ministry"},
		{"right password", smpptest.SMSCOptions{Credentials: known}, "--system-id ministry --password right", exitDone, ""},
		{"refused", smpptest.SMSCOptions{ErrorRate: 1}, "", exitFailed, "refused the message"},
		{"undelivered", smpptest.SMSCOptions{ReceiptStates: smpptest.StateMix{{State: 5, Err: "045", Weight: 1}}}, "", exitFailed, "ended as UNDELIV, err 045"},
		{"no receipt comes", smpptest.SMSCOptions{NoReceipt: 1}, "--wait 200ms", exitFailed, "no receipt of"},
		{"no receipt asked for", smpptest.SMSCOptions{NoReceipt: 1}, "--no-receipt", exitDone, ""},
		{"no answer", smpptest.SMSCOptions{Silent: 1}, "--wait 200ms", exitFailed, "timeout"},
	} {
		t.Run(row.name, func(t *testing.T) {
			addr, _ := startCarrier(t, row.o)
			args := append([]string{"send", "--addr", addr, "--to", "966501234567", "--text", "x"}, strings.Fields(row.args)...)
			if r := masar(t, "", args...); r.code != row.code || !strings.Contains(r.errs, row.says) {
				t.Errorf("%+v", r)
			}
		})
	}
}

func TestSendTakesItsPasswordFromAFileOrTheEnvironment(t *testing.T) {
	addr, _ := startCarrier(t, smpptest.SMSCOptions{Credentials: map[string]string{runSystemID: "from-env", "filed": "from file"}})
	t.Setenv("MASAR_PASSWORD", "from-env")
	base := []string{"send", "--addr", addr, "--to", "966501234567", "--text", "x", "--no-receipt"}
	if r := masar(t, "", base...); r.code != exitDone {
		t.Errorf("%+v", r)
	}
	file := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(file, []byte("from file\nand more\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := masar(t, "", append(base, "--system-id", "filed", "--password-file", file)...); r.code != exitDone {
		t.Errorf("%+v", r)
	}
}

func TestSendPrintsOneJSONObject(t *testing.T) {
	addr, _ := startCarrier(t, smpptest.SMSCOptions{FirstID: 5})
	r := masar(t, "", "send", "--addr", addr, "--to", "966501234567", "--text", notice, "--json")
	var got sendResult
	if err := json.Unmarshal([]byte(r.out), &got); err != nil || r.code != exitDone {
		t.Fatalf("%v: %+v", err, r)
	}
	if got.MessageID != "5" || got.State != "DELIVRD" || got.Status != "ESME_ROK" || !strings.HasPrefix(got.Receipt, "id:5 ") || got.ReceiptMs <= 0 {
		t.Errorf("%+v", got)
	}
}

func TestLoadReportsWhatTheSimulatorDid(t *testing.T) {
	addr, _ := startCarrier(t, smpptest.SMSCOptions{})
	r := masar(t, "", "load", "--addr", addr, "--count", "60", "--binds", "2", "--window", "5", "--receipts", "--json", "--cpu-of", "self="+strconv.Itoa(os.Getpid()))
	if r.code != exitDone {
		t.Fatalf("%+v", r)
	}
	var got map[string]any
	if err := json.Unmarshal([]byte(r.out), &got); err != nil {
		t.Fatal(err)
	}
	for key, want := range map[string]float64{"sent": 60, "accepted": 60, "receipts": 60, "missing": 0, "dup": 0} {
		if got[key] != want {
			t.Errorf("%s is %v, want %v", key, got[key], want)
		}
	}
	for _, key := range []string{"statuses", "accepted_per_s", "resp_ms", "cpu", "cpu_of"} {
		if got[key] == nil {
			t.Errorf("no %s in %s", key, r.out)
		}
	}
	for _, p := range []string{"p50", "p90", "p99", "max"} {
		if v, _ := got["resp_ms"].(map[string]any)[p].(float64); v <= 0 {
			t.Errorf("resp_ms.%s is %v", p, v)
		}
	}
}

func TestLoadTablesAreAsTheyWere(t *testing.T) {
	addr, _ := startCarrier(t, smpptest.SMSCOptions{NoReceipt: 0.5, ErrorRate: 0.2, Seed: 4})
	r := masar(t, "", "load", "--addr", addr, "--count", "40", "--receipts", "--settle", "100ms")
	if r.code != exitFailed || !strings.Contains(r.errs, "receipts missing") || !strings.Contains(r.errs, "refused") {
		t.Errorf("%+v", r)
	}
	// Figures that chance and the machine decide are not part of the table's form.
	golden(t, "load.txt", regexp.MustCompile(`\d+(\.\d+)?`).ReplaceAllString(r.out, "N"))
}

// syncBuffer is written by the simulator's sessions while the test reads.
type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
	on chan struct{} // holds one: something was written
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	select {
	case s.on <- struct{}{}:
	default:
	}
	return s.b.Write(p)
}

// await returns what the first match of re says.
func (s *syncBuffer) await(t *testing.T, re string) []string {
	t.Helper()
	timeout := time.After(20 * time.Second)
	for {
		s.mu.Lock()
		found := regexp.MustCompile(re).FindStringSubmatch(s.b.String())
		s.mu.Unlock()
		if found != nil {
			return found
		}
		select {
		case <-s.on:
		case <-timeout:
			t.Fatalf("never said %s; said:\n%s", re, s.b.String())
		}
	}
}

func TestSimLogsWholeTextsAndStopsWhenTold(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		ctx, stop := context.WithCancel(t.Context())
		out, errs := &syncBuffer{on: make(chan struct{}, 1)}, &syncBuffer{on: make(chan struct{}, 1)}
		args := []string{"sim", "--listen", "127.0.0.1:0", "--count", "2", "--mo-text", "STOP", "--mo-to", "7001", "--id-resp", "hex:8"}
		if asJSON {
			args = append(args, "--json")
		}
		ended := make(chan int, 1)
		go func() { ended <- run(ctx, args, strings.NewReader(""), out, errs) }()
		addr := errs.await(t, `listening on (\S+)\nmasar sim: listening on`)[1]
		long := strings.Repeat(notice, 7)
		if r := masar(t, "", "send", "--addr", addr, "--to", "966501234567", "--text", long); r.code != exitDone {
			t.Fatalf("%+v", r)
		}
		if asJSON {
			var e simEvent
			if err := json.Unmarshal([]byte(out.await(t, `(?m)^(.*"event":"message".*)$`)[1]), &e); err != nil || *e.Text != long || e.From != runSender {
				t.Errorf("%v: %+v", err, e)
			}
		} else {
			if got := out.await(t, `message AHWAL -> 966501234567, ucs2, parts 1, id [0-9a-f]{8,}, text "(.*)"\n`)[1]; got != long {
				t.Errorf("%q", got)
			}
			out.await(t, `bind_transceiver of civil-affairs from \S+: ESME_ROK\n`)
			out.await(t, `session of civil-affairs from \S+ ended: unbound\n`)
		}
		stop()
		select {
		case code := <-ended:
			if code != exitDone {
				t.Errorf("exit code %d: %s", code, errs.b.String())
			}
		case <-time.After(20 * time.Second):
			t.Fatal("it did not stop")
		}
		if asJSON {
			out.await(t, `"event":"stats","connections":1,"binds":1`)
		} else {
			out.await(t, `submits 1 in all: accepted 1,`)
		}
	}
}
