package smpp_test

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"masar/smpp"
	"masar/smpp/smpptest"
)

// TestDialogues plays testdata/dialogues/*.txt: the script is the peer, and the session
// under test an SMSC's, or an ESME's where ": role esme" says so.
func TestDialogues(t *testing.T) {
	files, err := filepath.Glob("testdata/dialogues/*.txt")
	if err != nil || len(files) < 20 {
		t.Fatalf("%d dialogues, %v", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			d, err := smpptest.ParseDialogue(string(text))
			if err != nil {
				t.Fatal(err)
			}
			synctest.Test(t, func(t *testing.T) { play(t, d) })
		})
	}
}

func play(t *testing.T, d *smpptest.Dialogue) {
	o := newOwner()
	timers := testTimers
	var limits smpp.Limits
	role, first := smpp.SMSC, uint32(1)
	for _, set := range d.Settings {
		switch set.Name {
		case "role":
			if set.Fields[0].Key == "esme" {
				role = smpp.ESME
			}
		case "handler":
			o.hold = set.Fields[0].Key == "hold"
			o.check = set.Fields[0].Key == "check"
			o.panicOn = set.Get("panic")
		case "timers":
			timers = smpp.Timers{
				SessionInit: span(t, set, "session_init"), EnquireLink: span(t, set, "enquire_link"),
				Inactivity: span(t, set, "inactivity"), Response: span(t, set, "response"),
			}
		case "limits":
			limits = smpp.Limits{
				MaxPDU: number(t, set, "max_pdu"), Window: number(t, set, "window"), Park: number(t, set, "park"),
				Send: number(t, set, "send"), OutBytes: number(t, set, "out_bytes"), Unread: span(t, set, "unread"),
			}
		case "first":
			n, err := strconv.ParseUint(set.Fields[0].Key, 0, 32)
			if err != nil {
				t.Fatal(err)
			}
			first = uint32(n)
		default:
			t.Fatalf("line %d: unknown setting %s", set.Number, set.Name)
		}
	}

	var script net.Conn
	if role == smpp.SMSC {
		client, server := smpptest.Pipe(64<<10, testAddr)
		srv := smpp.NewServer(smpp.ServerOptions{
			SystemID: "masar", Timers: timers, MaxPDU: limits.MaxPDU, Bind: o.bind(limits), Observe: o,
			FirstSequence: first, Log: slog.New(slog.DiscardHandler),
		})
		srv.ServeConn(server)
		script = client
		defer srv.Close()
	} else {
		p := newPipes()
		c := smpp.NewClient(smpp.ClientOptions{
			Addrs: []string{"smsc:2775"}, SystemID: "masar", Password: "secret", Timers: timers, Limits: limits, Handler: o,
			Observe: o, FirstSequence: first, Dial: p.dial, Bound: func(s *smpp.Session) {
				o.mu.Lock()
				defer o.mu.Unlock()
				o.session = s
			},
			Down: func(error, time.Duration) {}, Backoff: smpp.Backoff{Min: time.Hour, Max: time.Hour},
		})
		go c.Run(context.Background())
		script = <-p.server
		defer c.Close()
	}
	defer script.Close()
	d.Play(t, script, func(l smpptest.Line) error {
		synctest.Wait()
		err := o.do(l)
		synctest.Wait()
		return err
	})
}

func span(t *testing.T, l smpptest.Line, key string) time.Duration {
	v := l.Get(key)
	if v == "" {
		return 0
	}
	d, err := time.ParseDuration(v)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func number(t *testing.T, l smpptest.Line, key string) int {
	v := l.Get(key)
	if v == "" {
		return 0
	}
	n, err := strconv.Atoi(v)
	if err != nil {
		t.Fatal(fmt.Errorf("line %d: %w", l.Number, err))
	}
	return n
}
