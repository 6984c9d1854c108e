package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"masar/admin"
)

func TestACampaignIsRunByHand(t *testing.T) {
	at := func(minute int) time.Time { return time.Date(2026, 11, 24, 6, minute, 0, 0, time.UTC) }
	moment := func(minute int) *time.Time { m := at(minute); return &m }
	seconds := func(s float64) *float64 { return &s }
	draft := admin.CampaignView{ID: 7, Name: "storm warning", Account: "civil-defence", Service: "WEATH", Rows: "params", State: "draft", By: "cli:root", Created: at(0)}
	loaded := draft
	loaded.Uploaded, loaded.Changed, loaded.Counts = "cli:ali", moment(1), admin.CampaignCounts{Rows: 5003, Bad: 2, Duplicate: 1, Left: 5000}
	checking := loaded
	checking.State, checking.Checked, checking.Progress = "checking", 2000, 0.4
	checked := loaded
	checked.State, checked.Needs, checked.Check = "checked", true, &admin.CampaignCheck{Rows: 5003, Good: 4900, Bad: 2, Duplicate: 1, Refused: map[string]int64{"blocked": 99, "not_enrolled": 1}, Held: 12,
		Segments: 9800, Parts: map[string]int64{"stc=stc,zain": 9000, "mobily=mobily": 800}, Takes: seconds(25), Errors: []admin.CampaignError{{Row: 5002, Field: "number", Rule: `"05" has too few digits`}, {Row: 5004, Rule: "has 3 fields, the header 5"}}, At: at(2), By: "cli:root"}
	nobody := checked
	nobody.Needs, nobody.Check = false, &admin.CampaignCheck{Rows: 1, Refused: map[string]int64{"blocked": 1}, At: at(2)}
	released := checked
	released.State, released.Needs, released.Released = "released", false, "cli:sara"
	running := released
	running.State, running.Started, running.Rate, running.Left, running.Progress = "running", moment(5), 393.4, seconds(9.2), 0.25
	running.Counts = admin.CampaignCounts{Rows: 5003, Bad: 2, Duplicate: 1, Left: 3500, Refused: 100, Accepted: 1400, Waiting: 250, Parts: 2800, Refusals: map[string]int64{"blocked": 99, "not_enrolled": 1}, Ended: map[string]int64{"DELIVRD": 1130, "UNDELIV": 20}}
	running.HeldBy = []admin.CampaignHeld{{ID: "h1", Scope: admin.HaltScope{Agency: "civil-defence"}, Since: at(5), By: "cli:ali", Reason: "a wrong text"}}
	paused := running
	paused.State, paused.Why, paused.Halt, paused.Left = "paused", "paused by cli:sara", "h2", nil
	paused.HeldBy = []admin.CampaignHeld{{ID: "h1", Scope: admin.HaltScope{All: true}, Since: at(5)}, {ID: "h2", Scope: admin.HaltScope{Campaign: 7}, Since: at(5), By: "cli:sara", Reason: "campaign 7 is paused"}}
	done := running
	done.HeldBy = nil
	done.State, done.Ended, done.Left, done.Progress = "done", moment(6), nil, 1
	done.Counts = admin.CampaignCounts{Rows: 5003, Bad: 2, Duplicate: 1, Refused: 100, Accepted: 4900, Parts: 9800, Refusals: running.Counts.Refusals, Ended: map[string]int64{"DELIVRD": 4880, "UNDELIV": 20}}
	stopped := paused
	stopped.State, stopped.Why, stopped.Stopper, stopped.Ended, stopped.Counts.Left, stopped.Counts.Stopped = "stopped", "", "cli:sara", moment(7), 0, 3500
	stopped.HeldBy = nil
	stopped.Counts.Waiting, stopped.Counts.Ended = 0, map[string]int64{"DELETED": 250, "DELIVRD": 1130, "UNDELIV": 20}
	broken := checking
	broken.State, broken.Why = "failed", "the rows of the file cannot be read"

	folder := t.TempDir()
	file, lines := filepath.Join(folder, "people.csv"), filepath.Join(folder, "people.jsonl")
	for name, text := range map[string]string{file: "number,reason\n966501234567,dust\n", lines: "{}\n"} {
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	const report = "row,recipient,message_id,state,err,reason,accepted,ended,parts\n2,966501234567,1983f5cb48e44000,DELIVRD,000,,,,2\n"
	samePerson := refusedAs{403, "who made a campaign, or brought its file, cannot release it: a second person has to"}
	s := newStandIn(t, map[string][]any{
		"POST /v1/campaigns":           {draft},
		"GET /v1/campaigns":            {map[string]any{"campaigns": []admin.CampaignView{running, done}}, map[string]any{"campaigns": []admin.CampaignView{}}},
		"PUT /v1/campaigns/7/file":     {loaded},
		"POST /v1/campaigns/7/check":   {checking, nobody, broken},
		"POST /v1/campaigns/7/test":    {admin.Tests{Sent: []admin.TestSent{{Number: "966500000000", MessageID: "1983f5a673790400"}, {Number: "966500000001", Error: "blocked"}}}},
		"POST /v1/campaigns/7/release": {samePerson, released},
		"POST /v1/campaigns/7/start":   {refusedAs{409, "so many recipients need a second person's release first"}, running},
		"POST /v1/campaigns/7/pause":   {paused},
		"POST /v1/campaigns/7/resume":  {running},
		"POST /v1/campaigns/7/stop":    {stopped},
		"GET /v1/campaigns/7":          {checked /* of check */, loaded, checked, running, paused, stopped, running, running, paused, done},
		"GET /v1/campaigns/7/report":   {report},
		"GET /v1/campaigns/7/bad":      {"line,column,rule,number,reason\n"},
		"DELETE /v1/campaigns/7":       {nil},
	})
	var all strings.Builder
	for _, row := range []struct {
		args string
		code int
		says string // in the errors
	}{
		{`campaign create --name "storm warning" --service WEATH --account civil-defence`, exitDone, ""},
		{`campaign upload 7 FOLDER/people.csv --as ali`, exitDone, ""},
		{`campaign upload 7 FOLDER/people.jsonl --encoding utf-8`, exitDone, ""},
		{`campaign check 7`, exitDone, ""},
		{`campaign check 7`, exitDone, ""}, // nobody can be sent anything
		{`campaign check 7`, exitFailed, "the rows of the file cannot be read"},
		{`campaign test 7 966500000000 966500000001`, exitFailed, "1 of 2 were not sent"},
		{`campaign start 7`, exitFailed, "release first; masar campaign release 7 --as NAME"},
		{`campaign release 7`, exitFailed, "a second person has to; where several use this login: masar campaign release 7 --as NAME"},
		{`campaign release 7 --as sara`, exitDone, ""},
		{`campaign start 7`, exitDone, ""},
		{`campaign status 7`, exitDone, ""}, // has its file
		{`campaign status 7`, exitDone, ""}, // is checked
		{`campaign status 7`, exitDone, ""}, // runs
		{`campaign status 7`, exitDone, ""}, // is paused
		{`campaign status 7`, exitDone, ""}, // is stopped
		{`campaign status 7 --follow`, exitDone, ""},
		{`campaign pause 7 --as sara`, exitDone, ""},
		{`campaign resume 7`, exitDone, ""},
		{`campaign stop 7`, exitDone, ""},
		{`campaign list`, exitDone, ""},
		{`campaign list --state paused`, exitDone, ""},
		{`campaign report 7`, exitDone, ""},
		{`campaign bad 7 --output FOLDER/bad.csv`, exitDone, ""},
		{`campaign remove 7 --yes`, exitDone, ""},
		{`campaign status 7 --json`, exitDone, ""},
		{`campaign`, exitDone, ""},
		{`campaign fly`, exitUsage, `no command "fly"`},
		{`campaign create --service WEATH`, exitUsage, "--name NAME and --service CODE"},
		{`campaign upload 7`, exitUsage, "masar campaign upload 7 people.csv"},
		{`campaign upload 7 /does/not/exist`, exitUsage, "no such file"},
		{`campaign upload 7 FOLDER/people.csv --format xlsx`, exitUsage, "one of csv, jsonl"},
		{`campaign start`, exitUsage, "name the campaign by its number"},
		{`campaign start seven`, exitUsage, `"seven" is no campaign's number`},
		{`campaign start 7 8`, exitUsage, `takes one campaign, not "8" as well`},
		{`campaign remove 7`, exitUsage, "add --yes"},
	} {
		r := s.run(t, strings.ReplaceAll(row.args, "FOLDER", folder))
		if !strings.Contains(strings.TrimPrefix(row.args, "campaign "), " ") && strings.Contains(r.errs, "unknown flag: --data") {
			r = masar(t, "", words(row.args)...) // the bare command takes no flags
		}
		if r.code != row.code || !strings.Contains(r.errs, row.says) || row.says == "" && r.errs != "" {
			t.Errorf("masar %s: %+v", row.args, r)
		}
		if row.args != "campaign" && row.code != exitUsage {
			all.WriteString("$ masar " + row.args + "\n" + r.out + indented(s.told()) + "\n")
		}
	}
	golden(t, "campaign.txt", all.String())
	if b, err := os.ReadFile(filepath.Join(folder, "bad.csv")); err != nil || !strings.HasPrefix(string(b), "line,column,rule") {
		t.Errorf("the bad rows: %q, %v", b, err)
	}
}
