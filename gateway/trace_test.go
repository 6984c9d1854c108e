package gateway

import (
	"strings"
	"testing"
	"time"

	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

// Message text and whole numbers stand in the log only where the operator asked for them.
func TestTextsAndNumbersAreLoggedOnlyWhenAskedFor(t *testing.T) {
	const said, number = "your code is 4711", "966501234567"
	for _, row := range []struct {
		name          string
		text, numbers bool
	}{
		{"neither", false, false}, {"the text", true, false}, {"the number", false, true}, {"both", true, true},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, rigOptions{Options: func(o *Options) { o.ShowText, o.ShowNumbers = row.text, row.numbers }})
				p := r.transceiver()
				id := p.submit(func(s *pdu.SubmitSM) {
					s.Dest.Addr = []byte(number)
					s.ShortMessage = []byte(said)
				})
				lines := r.log.find("submit accepted", "account=acme", "message_id="+id)
				if len(lines) != 1 {
					t.Fatalf("%d lines tell of the message", len(lines))
				}
				var all strings.Builder
				for _, l := range r.log.all() {
					all.WriteString(l.msg)
					for _, v := range l.attrs {
						all.WriteString(" " + v)
					}
				}
				if strings.Contains(all.String(), said) != row.text || (lines[0].attrs["text"] == said) != row.text {
					t.Errorf("text: %v", lines[0].attrs)
				}
				if strings.Contains(all.String(), number) != row.numbers || (lines[0].attrs["to"] == number) != row.numbers {
					t.Errorf("number: %v", lines[0].attrs)
				}
			})
		})
	}
}

// mo.ttl rules how long a message from a handset waits; without it the account's own time.
func TestAMobileOriginatedMessageWaitsForItsOwnTime(t *testing.T) {
	for _, row := range []struct {
		name string
		ttl  time.Duration
		want time.Duration
	}{
		{"the account's", 0, 3 * time.Hour}, {"its own, shorter", time.Hour, time.Hour}, {"its own, longer", 9 * time.Hour, 9 * time.Hour},
	} {
		t.Run(row.name, func(t *testing.T) {
			bubble(t, func(t *testing.T) {
				r := newRig(t, rigOptions{Setup: func(s *Setup) {
					s.Accounts[0].OutboxTTL, s.MobileTTL = 3*time.Hour, row.ttl
					s.Mobile = []MobileRule{{Account: "acme"}}
				}})
				r.carrierUp("a")
				if err := r.fromHandset(smpptest.MO{From: "966501234567", To: "9090", Text: "hello"}); err != nil {
					t.Fatal(err)
				}
				waiting, _ := r.store.TakeOutbox(r.gw.world.Load().accounts["acme"].number, 2, nil)
				if len(waiting) != 1 {
					t.Fatalf("%d messages wait", len(waiting))
				}
				d := waiting[0]
				if ttl := d.Expires.Time().Sub(d.Created.Time()); ttl != row.want {
					t.Errorf("it waits for %s, want %s", ttl, row.want)
				}
				r.store.ReleaseOutbox(d)
			})
		})
	}
}
