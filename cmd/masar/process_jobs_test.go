package main

import (
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"masar/admin"
	"masar/smpp/pdu"
	"masar/smpp/smpptest"
)

// jobSite is a service site whose reminders leave from midnight on.
func jobSite(t *testing.T, o smpptest.SMSCOptions) (*site, arrived) {
	t.Helper()
	got := make(arrived, 10_000)
	o.OnMessage = func(m *smpptest.Message) { got <- m }
	_, addr := smsc(t, o)
	s, _ := newServiceSite(t, addr)
	s.top += "reminders: {at: \"00:00\", tries: 1}\ncampaigns: {release_above: 100}\n"
	return s, got
}

// cli is masar on the site's socket file, which must do what it is asked.
func (s *site) cli(args ...string) string {
	s.t.Helper()
	r := masar(s.t.(*testing.T), "", append(args, "--data", s.data)...)
	if r.code != exitDone {
		s.t.Fatalf("masar %s: %+v", strings.Join(args, " "), r)
	}
	return r.out
}

// inDays is a date so many days from today, by the clock of the example's agencies.
func inDays(n int) string {
	zone := time.FixedZone("AST", 3*60*60)
	return time.Now().In(zone).AddDate(0, 0, n).Format(time.DateOnly)
}

// nothing fails where something arrives within a while.
func (a arrived) nothing(t *testing.T, within time.Duration) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	select {
	case m := <-a:
		t.Fatalf("a message to %s arrived: %s", m.Dest, m.Text)
	case <-ctx.Done():
	}
}

// What a newcomer reads in the README, process by process: a reminder of today is written
// for its reader and leaves; one that is taken back never does; what is stopped waits over
// a restart and leaves when it is resumed.
func TestAReminderLeavesOnItsDayAndAStopHoldsIt(t *testing.T) {
	s, got := jobSite(t, smpptest.SMSCOptions{ReceiptDelay: 10 * time.Millisecond})
	gw := s.start()
	s.cli("subs", "add", "966501234567", "--service", "IDREN", "--verified", "--language", "en")
	put := func(key, expires string) admin.ReminderAnswer {
		t.Helper()
		var a admin.ReminderAnswer
		out := s.cli("reminders", "put", key, "--account", "all", "--to", "0501234567", "--service", "IDREN", "--expires", expires, "--param", "document=1234", "--json")
		if err := json.Unmarshal([]byte(out), &a); err != nil {
			t.Fatal(err)
		}
		return a
	}
	show := func(key string) admin.ReminderView {
		t.Helper()
		var v admin.ReminderView
		if err := json.Unmarshal([]byte(s.cli("reminders", "show", key, "--account", "all", "--json")), &v); err != nil {
			t.Fatal(err)
		}
		return v
	}
	a := put("ID-1", inDays(30))
	if a.Status != "created" || len(a.Reminder.Steps) != 4 || a.Reminder.Steps[0].State != "past" {
		t.Fatalf("60, 30, 7 and 1 days before: %+v", a)
	}
	m := got.next(t)
	if want := "Civil Affairs: Your national ID card 1234 expires on "; !strings.HasPrefix(m.Text, want) || !strings.Contains(m.Text, "(days left: 30)") || !strings.Contains(m.Text, "on 14") {
		t.Errorf("%q: not in his language, or not with the date of an agency that writes Hijri ones", m.Text)
	}
	until(t, startLimit, "its end is known", func() bool { return show("ID-1").Steps[1].State == "delivered" })

	// Another date, and gone: nothing is due today.
	put("ID-2", inDays(200))
	if out := s.cli("reminders", "due", "--account", "all"); !strings.Contains(out, "ID-2") || !strings.Contains(out, "ID-1") {
		t.Errorf("due:\n%s", out)
	}
	if out := s.cli("reminders", "remove", "ID-2", "--account", "all"); !strings.Contains(out, "removed") {
		t.Error(out)
	}
	if out := s.cli("reminders", "due", "--account", "all"); strings.Contains(out, "ID-2") {
		t.Errorf("due after it was removed:\n%s", out)
	}

	// Held, over a restart.
	var held admin.HaltAnswer
	if err := json.Unmarshal([]byte(s.cli("stop", "--service", "IDREN", "--reason", "wrong date", "--as", "sara", "--json")), &held); err != nil || held.Halt == nil {
		t.Fatalf("%+v, %v", held, err)
	}
	put("ID-3", inDays(7))
	until(t, startLimit, "it waits in the queue", func() bool { return show("ID-3").Steps[2].State == "out" })
	gw.signal(syscall.SIGTERM)
	if code := gw.ends(startLimit); code != exitDone {
		t.Fatalf("exit code %d:\n%s", code, gw.output())
	}
	gw = s.start()
	got.nothing(t, time.Second)
	if out := s.cli("stop", "list"); !strings.Contains(out, "service IDREN") || !strings.Contains(out, "cli:sara") || !strings.Contains(out, "wrong date") {
		t.Errorf("after the restart:\n%s", out)
	}
	if out := s.cli("stop", "resume", held.Halt.ID, "--dry-run"); !strings.Contains(out, "leaves  1: ") {
		t.Errorf("it counts\n%s", out)
	}
	s.cli("stop", "resume", held.Halt.ID)
	if m := got.next(t); !strings.Contains(m.Text, "(days left: 7)") {
		t.Errorf("resumed: %q", m.Text)
	}
	gw.signal(syscall.SIGTERM)
	if code := gw.ends(startLimit); code != exitDone || strings.Contains(gw.output(), "level=ERROR") {
		t.Errorf("exit code %d:\n%s", code, gw.output())
	}
}

// Nobody is reached by a number that fails; who that was is told to the agency, and a
// bulk file of reminders tells its bad rows.
func TestWhoWasNotReachedIsListed(t *testing.T) {
	s, got := jobSite(t, smpptest.SMSCOptions{ReceiptDelay: 10 * time.Millisecond, ReceiptStates: smpptest.StateMix{{State: pdu.StateUndeliverable, Weight: 1}}})
	s.start()
	s.cli("subs", "add", "966501234567", "--service", "IDREN", "--verified")
	file := filepath.Join(s.dir, "r.csv")
	rows := fmt.Sprintf("key,number,service,expires,document\nID-1,0501234567,IDREN,%s,1234\nID-2,0501234567,IDREN,1448-09-31,1234\n", inDays(30))
	if err := os.WriteFile(file, []byte(rows), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := s.cli("reminders", "import", file, "--account", "all"); !strings.Contains(out, "good  1: 1 changed something") || !strings.Contains(out, "bad   1") {
		t.Errorf("it says\n%s", out)
	}
	if bad, err := os.ReadFile(file + ".bad.csv"); err != nil || !strings.Contains(string(bad), "a year below 1700 is Hijri") {
		t.Errorf("bad rows %q, %v", bad, err)
	}
	got.next(t)
	until(t, startLimit, "the end is known", func() bool {
		return strings.Contains(s.cli("reminders", "unreached", "--account", "all", "--day", inDays(0)), "ID-1")
	})
	out := s.cli("reminders", "unreached", "--account", "all", "--day", inDays(0), "--csv", "-")
	list, err := csv.NewReader(strings.NewReader(out)).ReadAll()
	if err != nil || len(list) != 2 || list[1][0] != "ID-1" || list[1][6] == "" {
		t.Errorf("%v: %q", err, list)
	}
}

// A campaign by hand from its file to its report, with the release of a second person.
func TestACampaignGoesFromItsFileToItsReport(t *testing.T) {
	s, got := jobSite(t, smpptest.SMSCOptions{ReceiptDelay: 10 * time.Millisecond})
	s.start()
	file := filepath.Join(s.dir, "people.csv")
	var b strings.Builder
	b.WriteString("number,reason,place,time,date\n")
	const people = 200
	for i := range people {
		fmt.Fprintf(&b, "9665012%05d,dust,Riyadh,18:00,2026-11-24\n", i)
	}
	b.WriteString("05,dust,Riyadh,18:00,2026-11-24\n")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	s.cli("campaign", "create", "--name", "storm", "--service", "WEATH", "--account", "all")
	if out := s.cli("campaign", "upload", "1", file); !strings.Contains(out, "recipients  200 of 201 rows") {
		t.Error(out)
	}
	if out := s.cli("campaign", "check", "1"); !strings.Contains(out, "200 of 201 rows would be sent") || !strings.Contains(out, "row 202, number") || !strings.Contains(out, "release 1 --as NAME") {
		t.Error(out)
	}
	if out := s.cli("campaign", "test", "1", "966501234567"); !strings.Contains(out, "966501234567  19") {
		t.Error(out)
	}
	if m := got.next(t); m.Dest != "966501234567" {
		t.Errorf("the test went to %s", m.Dest)
	}
	if r := masar(t, "", "campaign", "release", "1", "--data", s.data); r.code != exitFailed || !strings.Contains(r.errs, "a second person has to") {
		t.Errorf("%+v", r)
	}
	s.cli("campaign", "release", "1", "--as", "sara")
	s.cli("campaign", "start", "1")
	var c admin.CampaignView
	if err := json.Unmarshal([]byte(s.cli("campaign", "status", "1", "--follow", "--json")), &c); err != nil || c.State != "done" || c.Counts.Ended["DELIVRD"] != people {
		t.Errorf("%v: %+v", err, c)
	}
	seen := map[string]bool{}
	for range people {
		m := got.next(t)
		if seen[m.Dest] || !strings.Contains(m.Text, "Riyadh") {
			t.Errorf("%s: %s", m.Dest, m.Text)
		}
		seen[m.Dest] = true
	}
	got.nothing(t, 200*time.Millisecond)
	list, err := csv.NewReader(strings.NewReader(s.cli("campaign", "report", "1"))).ReadAll()
	if err != nil || len(list) != people+2 {
		t.Errorf("%v: a report of %d lines", err, len(list))
	}
	if out := s.cli("campaign", "bad", "1"); !strings.Contains(out, "202,number,") {
		t.Error(out)
	}
}
