package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"masar/service/reminder"
)

const withCatalogue = "catalogue: catalogue.yaml\nsubscribers: {account: nic, cache: 1000, code: {service: OTPEN}}\n"

// governedOne is oneCarrier with an account that the catalogue governs.
var governedOne = plainListen + strings.Replace(oneCarrier, "accounts: [", `accounts: [{system_id: nic, password_hash: "$2a$10$...", agency: civil-affairs}, `, 1)

// startGoverned starts a gateway with keyCatalogue beside its file.
func startGoverned(t *testing.T, text string) *running {
	t.Helper()
	return startDaemonIn(t, text, func(dir string) {
		for name, text := range map[string]string{"catalogue.yaml": keyCatalogue, "blocked.csv": "966503333333\n"} {
			if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}, nil)
}

func TestRemindersAndCampaignsComeWithACatalogueAndStayWithIt(t *testing.T) {
	r := startGoverned(t, governedOne+withCatalogue)
	for _, name := range []string{"reminders", "campaigns"} {
		if _, err := os.Stat(r.path("data/" + name)); err != nil {
			t.Error(err)
		}
	}
	r.write("masar.yaml", governedOne+withCatalogue+"reminders: {pace: 7/s}\ncampaigns: {ahead: 100}\n")
	r.reloads("~ reminders.pace: 500/s -> 7/s (takes effect at the next start)", "~ campaigns.ahead: 20000 -> 100 (takes effect at the next start)")

	// The catalogue in force is what a reminder is asked about.
	r.write("catalogue.yaml", strings.Replace(keyCatalogue, "code: IDREN", "code: IDEXP", 1))
	if _, err := r.reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	_, err := r.jobs.reminders.Put(t.Context(), reminder.Reminder{Account: "nic", Key: "A", Number: 966501234567, Service: "IDREN", Expires: reminder.AddDays(reminder.DayOf(time.Now()), 90)})
	if wrong := (*reminder.FieldError)(nil); !errors.As(err, &wrong) || wrong.Field != "service" {
		t.Errorf("a service that the reload took away: %v", err)
	}

	r.write("masar.yaml", plainListen+oneCarrier+"blocklist: {file: \"%D/blocked.csv\"}\n")
	if _, err := r.reload(t.Context()); err == nil || !strings.Contains(err.Error(), "catalogue: reminders and campaigns are of its services") {
		t.Errorf("without a catalogue they would have no services: %v", err)
	}
}

func TestACatalogueThatComesWithAReloadHasItsRemindersAtTheNextStart(t *testing.T) {
	empty := governedOne
	empty = strings.Replace(empty, ", agency: civil-affairs", "", 1)
	r := startGoverned(t, empty+"blocklist: {file: \"%D/blocked.csv\"}\n")
	if r.jobs != nil {
		t.Fatal("a gateway without catalogue keeps reminders")
	}
	r.write("masar.yaml", empty+"blocklist: {file: \"%D/blocked.csv\"}\ncatalogue: catalogue.yaml\n")
	got, err := r.reload(t.Context())
	if err != nil || !strings.Contains(strings.Join(got, "\n"), "catalogue.yaml (reminders and campaigns at the next start)") {
		t.Errorf("%v: %q", err, got)
	}
}

func TestHowFarSomethingIsIsALineNowAndThenWhereThereIsNoTerminal(t *testing.T) {
	var b bytes.Buffer
	p := newProgress(&b)
	p.at(0.1, "first")
	p.say("second")
	if b.Len() > 0 {
		t.Errorf("at once it says %q", b.String())
	}
	p.last = time.Now().Add(-p.every)
	p.at(0.417, "%s of %s", "15", "36")
	p.last = time.Now().Add(-p.every)
	p.say("sending %d", 7)
	p.end()
	if got := b.String(); got != "42%, 15 of 36\nsending 7\n" {
		t.Errorf("%q", got)
	}
	if got := cut("رسالة طويلة", 6); got != "رسالة…" {
		t.Errorf("%q", got)
	}
}
