package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"masar/admin"
)

func TestRemindersAreKeptByHand(t *testing.T) {
	day := func(month time.Month, d int) time.Time { return time.Date(2027, month, d, 6, 0, 0, 0, time.UTC) }
	moment := func(m time.Time) *time.Time { return &m }
	view := admin.ReminderView{Key: "ID-1", Account: "pilot", Number: "966501234567", Service: "IDREN", Expires: "1449-10-22", Calendar: "hijri", Gregorian: "2028-03-18",
		Params: map[string]string{"document": "1234"}, State: "pending", Next: moment(day(12, 19)), Channel: "cli", By: "root", Changed: day(1, 5),
		Steps: []admin.ReminderStep{
			{Lead: 60, Due: day(1, 19), Tries: 3, State: "failed", MessageID: "1983f5a673790400", Error: "006", At: moment(day(1, 21))},
			{Lead: 30, Due: day(2, 17), State: "coming"},
		}}
	person := view
	person.PersonID, person.Number, person.Calendar, person.Expires, person.By, person.State, person.Next, person.Steps = "1f3870be274f6c49b3e31a0c6728957f", "", "gregorian", "2028-03-18", "", "withdrawn", nil, nil
	date := admin.ExpiryDate{Expires: "1449-10-22", Calendar: "hijri", Gregorian: "2028-03-18"}
	due := admin.DueRow{Key: "ID-1", Number: "966501234567", Service: "IDREN", ExpiryDate: date, Lead: 60, Due: day(1, 19)}
	unreached := admin.UnreachedRow{Key: "ID-1", PersonID: "1f3870be274f6c49b3e31a0c6728957f", Service: "IDREN", ExpiryDate: date, Lead: 60, Reason: "unknown subscriber", Tries: 3, At: day(1, 21)}
	page := func(n int, next string) map[string]any {
		rows := make([]admin.DueRow, n)
		for i := range rows {
			rows[i] = due
			rows[i].Key = fmt.Sprint("ID-", i)
		}
		return map[string]any{"due": rows, "next": next}
	}
	job := admin.BulkJob{ID: "0f3c", Kind: "reminders", State: admin.JobRunning, Progress: 0.5}
	over := admin.BulkJob{ID: "0f3c", Kind: "reminders", State: admin.JobDone, Rows: 3, Good: 2, Bad: 1, Changed: 1, Nothing: 1, Rate: 3, Progress: 1}
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, "r.jsonl"), []byte("{}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	s := newStandIn(t, map[string][]any{
		"PUT /v1/reminders/ID-1": {admin.ReminderAnswer{Status: "created", Reminder: view}, admin.ReminderAnswer{Status: "moved", Withdrawn: true, Leaving: true, Reminder: view},
			refusedAs{422, "expires: 1448-09-31: Ramadan 1448 has 29 days"}},
		"PUT /v1/reminders/a/b":        {admin.ReminderAnswer{Status: "unchanged", Reminder: person}},
		"GET /v1/reminders/ID-1":       {view, person, refusedAs{404, "the account has no reminder with this key"}},
		"DELETE /v1/reminders/ID-1":    {admin.ReminderGone{Withdrawn: true}, admin.ReminderGone{Leaving: true}, admin.ReminderGone{}},
		"GET /v1/reminders":            {page(2, ""), page(1, "x1"), page(1, "x2"), page(0, "")},
		"GET /v1/reminders-unreached":  {map[string]any{"unreached": []admin.UnreachedRow{unreached}}, map[string]any{}, "key,person_hash\nID-1,1f38\n"},
		"POST /v1/reminders-move":      {admin.Moved{Moved: 1234567}, admin.Moved{Moved: 1030, Past: 12}},
		"POST /v1/bulk/reminders":      {job, job, over},
		"GET /v1/bulk/0f3c":            {over},
		"GET /v1/bulk/0f3c/bad":        {"line,column,rule\n3,expires,has passed\n"},
		"POST /v1/reminders-unreached": {},
	})
	var all strings.Builder
	for _, row := range []struct {
		args string
		code int
		says string // in the errors
	}{
		{`reminders put ID-1 --to 0501234567 --service IDREN --expires 1449-10-22 --calendar hijri --param document=1234`, exitDone, ""},
		{`reminders put ID-1 --to 0501234567 --service IDREN --expires 1449-10-22 --lead 30,7 --account civil-affairs`, exitDone, ""},
		{`reminders put ID-1 --to 0501234567 --service IDREN --expires 1448-09-31 --calendar hijri`, exitFailed, "Ramadan 1448 has 29 days"},
		{`reminders put a/b --person 1012345678 --service IDREN --expires 2028-03-18`, exitDone, ""},
		{`reminders show ID-1`, exitDone, ""},
		{`reminders show ID-1`, exitDone, ""},
		{`reminders show ID-1`, exitFailed, "no reminder with this key: ID-1 under pilot (--account)"},
		{`reminders remove ID-1`, exitDone, ""},
		{`reminders remove ID-1`, exitDone, ""},
		{`reminders remove ID-1 --account civil-affairs`, exitDone, ""},
		{`reminders due --service IDREN --from 2027-01-01 --to 2027-01-31`, exitDone, ""},
		{`reminders due --max 2`, exitDone, ""}, // two pages, and there is more
		{`reminders due`, exitDone, ""},
		{`reminders unreached --day 2027-01-21`, exitDone, ""},
		{`reminders unreached --day 2027-01-22 --service IDREN`, exitDone, ""},
		{`reminders unreached --day 2027-01-21 --csv -`, exitDone, ""},
		{`reminders move --service IDREN --days -90`, exitDone, ""},
		{`reminders move --service IDREN --days -90 --dry-run`, exitDone, ""},
		{`reminders move --service IDREN --days -90 --account civil-affairs`, exitDone, ""},
		{`reminders import FOLDER/r.jsonl --wait=false`, exitDone, ""},
		{`reminders import FOLDER/r.jsonl --account civil-affairs`, exitDone, ""},
		{`reminders import FOLDER/r.jsonl --json`, exitDone, ""},
		{`reminders`, exitDone, ""},
		{`reminders fly`, exitUsage, `no command "fly"`},
		{`reminders put`, exitUsage, "name the reminder by its key"},
		{`reminders show ""`, exitUsage, "name the reminder by its key"},
		{`reminders put a b`, exitUsage, `takes one key, not "b" as well`},
		{`reminders put a --service IDREN --expires 2028-03-18`, exitUsage, "--to NUMBER or --person REF"},
		{`reminders put a --to 1 --expires 2028-03-18`, exitUsage, "--service is missing"},
		{`reminders put a --to 1 --service IDREN`, exitUsage, "--expires is missing"},
		{`reminders put a --to 1 --service IDREN --expires 2028-03-18 --param x`, exitUsage, "NAME=VALUE"},
		{`reminders due --max 0`, exitUsage, "--max 0"},
		{`reminders move --service IDREN`, exitUsage, "--service CODE and --days N"},
		{`reminders import`, exitUsage, "name the file"},
		{`reminders import /does/not/exist`, exitUsage, "no such file"},
		{`reminders import FOLDER/r.jsonl --format xml`, exitUsage, "one of csv, jsonl"},
	} {
		r := s.run(t, strings.ReplaceAll(row.args, "FOLDER", folder))
		if !strings.Contains(strings.TrimPrefix(row.args, "reminders "), " ") && strings.Contains(r.errs, "unknown flag: --data") {
			r = masar(t, "", words(row.args)...) // the bare command takes no flags
		}
		if r.code != row.code || !strings.Contains(r.errs, row.says) || row.says == "" && r.errs != "" {
			t.Errorf("masar %s: %+v", row.args, r)
		}
		if row.args != "reminders" && row.code != exitUsage {
			all.WriteString("$ masar " + row.args + "\n" + r.out + indented(s.told()) + "\n")
		}
	}
	golden(t, "reminders.txt", strings.ReplaceAll(all.String(), folder, "FOLDER"))
	if b, err := os.ReadFile(filepath.Join(folder, "r.jsonl.bad.csv")); err != nil || !strings.Contains(string(b), "has passed") {
		t.Errorf("the bad rows: %q, %v", b, err)
	}
}
