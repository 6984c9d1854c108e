package main

import (
	"context"
	"encoding/csv"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"masar/admin"
	"masar/queue"
	"masar/queue/pebble"
	"masar/smpp/smpptest"
)

// campaignPace is how fast rows are handed over, so that the campaign lasts as long as the
// kills do.
const campaignPace = 600

// A gateway that is killed again and again in the middle of a campaign goes on with it by
// itself: each recipient has exactly one accepted message, the report has each row once
// with the end of its message, and over a route that fails what is uncertain no recipient
// is reached twice.
//
// CAMPAIGN says how often it is killed (default 4), SEED repeats the moments of a run.
func TestACampaignThatIsKilledAgainAndAgainSendsEachRecipientOneMessage(t *testing.T) {
	kills := envInt(t, "CAMPAIGN", 4)
	if raceEnabled || testing.Short() {
		kills = min(kills, 2)
	}
	seed := uint64(envInt(t, "SEED", int(time.Now().UnixNano()%1e9)))
	rows := campaignPace * (kills + 2)
	t.Logf("SEED=%d CAMPAIGN=%d: %d recipients", seed, kills, rows)
	chance := rand.New(rand.NewPCG(seed, seed))

	arrived := newArrivals()
	_, addr := smsc(t, smpptest.SMSCOptions{
		Latency: 8 * time.Millisecond, Jitter: 8 * time.Millisecond,
		ReceiptDelay: 30 * time.Millisecond, ReceiptJitter: 30 * time.Millisecond, ReceiptRetry: 20 * time.Millisecond,
		Seed: seed, OnBind: arrived.bound, OnSubmit: arrived.submitted,
	})
	s, _ := newServiceSite(t, addr)
	s.carrierMore = fmt.Sprintf("    window: %d\n    segmentation: udh16\n", killCarrierWindow)
	s.route = "    uncertain: fail\n"
	s.top += "campaigns: {release_above: 100, ahead: 500}\n"
	gw := s.start()

	file := filepath.Join(s.dir, "people.csv")
	var b strings.Builder
	b.WriteString("number,reference,date,place\n")
	for i := range rows {
		fmt.Fprintf(&b, "9665%08d,R%d,2026-11-24,الرياض\n", i, i)
	}
	b.WriteString("nobody,R,2026-11-24,x\n966500000000,R,2026-11-24,again\n")
	if err := os.WriteFile(file, []byte(b.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	c := campaignOf{s: s}
	c.ask("huda", "create", "--name", "reports", "--service", "RPTOP", "--account", "all", "--pace", strconv.Itoa(campaignPace))
	c.ask("huda", "upload", c.id(), file)
	c.ask("huda", "check", c.id(), "--wait=false")
	until(t, startLimit, "checked", func() bool { return c.look().State == "checked" })
	if k := c.view.Check; k == nil || k.Good != int64(rows) || k.Bad != 1 || k.Duplicate != 1 || !c.view.Needs {
		t.Fatalf("%+v", c.view)
	}
	if code, says := c.try("huda", "release", c.id()); code == exitDone {
		t.Fatalf("who made a campaign released it: %s", says)
	}
	c.ask("sara", "release", c.id())
	c.ask("huda", "start", c.id())

	for i := range kills {
		alive := time.Duration(chance.Int64N(int64(1500 * time.Millisecond)))
		paused := i%4 == 3
		if paused {
			gw.see(`msg=ready`, startLimit)
			c.ask("huda", "pause", c.id())
		}
		timer := time.NewTimer(alive)
		select {
		case <-timer.C:
		case <-gw.done:
			t.Fatalf("life %d ended by itself: %s\n%s", i, gw.cmd.ProcessState, tail(gw.output(), 4000))
		}
		gw.kill()
		arrived.mu.Lock()
		arrived.life = i + 1
		arrived.mu.Unlock()
		gw = s.launch()
		if paused {
			gw.see(`msg=ready`, startLimit)
			if c.look().State != "paused" {
				t.Errorf("it was paused when the gateway was killed, and is %s", c.view.State)
			}
			c.ask("huda", "resume", c.id())
		}
	}
	gw.see(`msg=ready`, startLimit)
	if c.look().State != "running" || c.view.Counts.Left == 0 {
		t.Errorf("it was over before the last kill: %+v", c.view.Counts)
	}
	until(t, 5*time.Minute, "the campaign is done", func() bool { return c.look().State == "done" })
	n := c.view.Counts
	if n.Rows != int64(rows)+2 || n.Bad != 1 || n.Duplicate != 1 || n.Accepted != int64(rows) || n.Left != 0 || n.Waiting != 0 || n.Refused != 0 {
		t.Errorf("%+v", n)
	}
	out := filepath.Join(s.dir, "report.csv")
	c.ask("huda", "report", c.id(), "--output", out)
	gw.signal(syscall.SIGTERM)
	if code := gw.ends(30 * time.Second); code != exitDone {
		t.Errorf("exit code %d", code)
	}
	report := readReport(t, out, rows+2)

	// What the gateway accepted, by its own store.
	store, err := pebble.Open(t.Context(), pebble.Options{Dir: filepath.Join(s.data, "queue"), MinFree: -1, Ballast: -1, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	accepted := 0
	perRow := map[uint64]string{}
	err = store.Survey(t.Context(), queue.Survey{Sent: true, Since: time.Now().Add(-time.Hour)}, func(v *queue.View) bool {
		if v.M.Job.Kind != queue.CampaignJob {
			return true
		}
		accepted++
		if was, twice := perRow[v.M.Job.Item]; twice {
			t.Errorf("row %d has the messages %s and %s", v.M.Job.Item, was, v.M.ID)
		}
		perRow[v.M.Job.Item] = v.M.ID.String()
		if v.Stage != queue.Ended || v.State.Receipt() != report[v.M.Job.Item].state || report[v.M.Job.Item].message != v.M.ID.String() {
			t.Errorf("row %d: the store has %s %s, the report %+v", v.M.Job.Item, v.M.ID, v.State, report[v.M.Job.Item])
		}
		return true
	})
	if err != nil {
		t.Fatal(err)
	}
	if accepted != rows {
		t.Errorf("%d messages were accepted for %d recipients", accepted, rows)
	}

	arrived.mu.Lock()
	defer arrived.mu.Unlock()
	for life, doubles := range arrived.double {
		t.Errorf("life %d: %d recipients were reached twice, as %+v", life, len(doubles), doubles[0])
	}
	uncertain := 0
	for row, r := range report {
		if r.message == "" {
			continue
		}
		_, came := arrived.first[partKey{to: r.recipient, part: 1}]
		switch {
		case r.state == "DELIVRD" && !came:
			t.Errorf("row %d is DELIVRD, and its carrier never had it", row)
		case r.state != "DELIVRD":
			uncertain++
		}
	}
	if bound := kills * (killCarrierBinds*killCarrierWindow + killUnrecorded); uncertain > bound {
		t.Errorf("%d recipients' ends are uncertain, at most %d may be", uncertain, bound)
	}
	t.Logf("%d recipients, %d kills: %d messages accepted, %d uncertain; ends %v", rows, kills, accepted, uncertain, n.Ended)
}

// campaignOf asks for the site's first campaign by the command line.
type campaignOf struct {
	s    *site
	view admin.CampaignView
}

func (c *campaignOf) id() string { return "1" }

// try runs masar campaign as somebody.
func (c *campaignOf) try(as string, args ...string) (code int, says string) {
	c.s.t.Helper()
	args = append(append([]string{"campaign"}, args...), "--data", c.s.data)
	if args[1] != "report" {
		args = append(args, "--as", as)
	}
	p := launch(c.s.t, "", args...)
	return p.ends(startLimit), p.output()
}

func (c *campaignOf) ask(as string, args ...string) {
	c.s.t.Helper()
	if code, says := c.try(as, args...); code != exitDone {
		c.s.t.Fatalf("masar campaign %s: exit code %d: %s", strings.Join(args, " "), code, says)
	}
}

// look asks the API; a gateway that is starting is waited for.
func (c *campaignOf) look() *admin.CampaignView {
	c.s.t.Helper()
	f := apiFlags{data: c.s.data}
	ctx, cancel := context.WithTimeout(c.s.t.Context(), startLimit)
	defer cancel()
	for {
		c.view = admin.CampaignView{}
		err := f.call(ctx, http.MethodGet, "/v1/campaigns/"+c.id(), &c.view)
		switch {
		case err == nil:
			return &c.view
		case ctx.Err() != nil, !errors.Is(err, syscall.ECONNREFUSED) && !errors.Is(err, os.ErrNotExist):
			c.s.t.Fatal(err)
		}
	}
}

type reportRow struct{ recipient, message, state string }

// readReport reads a report, each row of which has to stand in it once.
func readReport(t testing.TB, path string, rows int) map[uint64]reportRow {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	all, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	got, messages := map[uint64]reportRow{}, map[string]bool{}
	for _, r := range all[1:] {
		n, err := strconv.ParseUint(r[0], 10, 64)
		if err != nil {
			t.Fatalf("%q", r)
		}
		if _, twice := got[n]; twice || r[2] != "" && messages[r[2]] {
			t.Errorf("row %d, or its message %s, stands in the report twice", n, r[2])
		}
		messages[r[2]] = true
		got[n] = reportRow{r[1], r[2], r[3]}
	}
	if len(got) != rows {
		t.Errorf("the report has %d rows, want %d", len(got), rows)
	}
	return got
}
