package main

import (
	"strings"
	"testing"
	"time"

	"masar/admin"
)

func TestWhatIsStoppedIsCountedAndTold(t *testing.T) {
	since := time.Date(2026, 11, 24, 6, 10, 0, 0, time.UTC)
	counts := &admin.HaltCounts{Waiting: 4213, Aside: 120, OnWire: 50, Sent: 275, Ended: 512, Delivered: 500, Since: since}
	halt := &admin.HaltRow{ID: "H7Q2", Scope: admin.HaltScope{Service: "IDREN", Carrier: "stc"}, By: "cli:sara", Reason: "wrong date", Since: since, Cancelled: 0}
	cancelled := int64(4333)
	s := newStandIn(t, map[string][]any{
		"POST /v1/halts":             {admin.HaltAnswer{Counts: counts, DryRun: true}, admin.HaltAnswer{Halt: halt, Counts: counts}, admin.HaltAnswer{Halt: halt}, refusedAs{422, `service: "NOPE" is no service of the catalogue`}},
		"GET /v1/halts":              {map[string]any{"halts": []*admin.HaltRow{halt, {ID: "H8", Scope: admin.HaltScope{All: true}, By: "admin", Since: since}}}, map[string]any{"halts": []*admin.HaltRow{}}},
		"POST /v1/halts/H7Q2/resume": {admin.HaltAnswer{Halt: halt, Counts: counts, DryRun: true}, admin.HaltAnswer{Halt: halt}},
		"POST /v1/halts/H7Q2/cancel": {admin.HaltAnswer{Halt: halt, Counts: counts, DryRun: true}, admin.HaltAnswer{Halt: halt, Cancelled: &cancelled}},
	})
	var all strings.Builder
	for _, row := range []struct {
		args string
		code int
		says string // in the errors
	}{
		{`stop --service IDREN --carrier stc --dry-run`, exitDone, ""},
		{`stop --service IDREN --carrier stc --reason "wrong date" --as sara`, exitDone, ""},
		{`stop --campaign 7`, exitDone, ""}, // too much to count
		{`stop --service NOPE`, exitFailed, `"NOPE" is no service`},
		{`stop list`, exitDone, ""},
		{`stop list`, exitDone, ""},
		{`stop resume H7Q2 --dry-run`, exitDone, ""},
		{`stop resume H7Q2`, exitDone, ""},
		{`stop cancel H7Q2 --dry-run`, exitDone, ""},
		{`stop cancel H7Q2`, exitDone, ""},
		{`stop cancel H7Q2 --json`, exitDone, ""},
		{`stop`, exitUsage, "say what to hold"},
		{`stop everything`, exitUsage, `no command "everything"`},
		{`stop --all --service IDREN`, exitUsage, "--all stands alone"},
		{`stop resume`, exitUsage, "masar stop resume ID"},
		{`stop cancel a b`, exitUsage, "name one stop"},
	} {
		r := s.run(t, row.args)
		if r.code != row.code || !strings.Contains(r.errs, row.says) || row.says == "" && r.errs != "" {
			t.Errorf("masar %s: %+v", row.args, r)
		}
		if row.code != exitUsage {
			all.WriteString("$ masar " + row.args + "\n" + r.out + indented(s.told()) + "\n")
		}
	}
	golden(t, "stop.txt", all.String())
}

// indented is what was asked, below what was answered.
func indented(s string) string {
	if s == "" {
		return ""
	}
	return "    <- " + strings.ReplaceAll(s, "\n", "\n    <- ") + "\n"
}

func TestAsIsOfTheSocketFileAlone(t *testing.T) {
	r := masar(t, "", "stop", "--all", "--as", "sara", "--api", "127.0.0.1:1")
	if r.code != exitUsage || !strings.Contains(r.errs, "the key says who you are") {
		t.Errorf("%+v", r)
	}
}

func TestTheQueueTellsWhenItIsEmpty(t *testing.T) {
	takes := func(s float64) *float64 { return &s }
	waiting := []admin.QueueRow{
		{Carrier: "stc", Class: "urgent", Messages: 3, OldestSeconds: 0.12}, {Carrier: "stc", Class: "normal"}, {Carrier: "stc", Class: "bulk", Messages: 120_000, OldestSeconds: 3671},
		{Carrier: "zain", Class: "bulk", Messages: 70, OldestSeconds: 10}, {Carrier: "mobily", Class: "bulk", Messages: 9, OldestSeconds: 10}, {Carrier: "(aside)", Class: "normal", Messages: 5, OldestSeconds: 2},
	}
	drain := []admin.DrainRow{
		{Carrier: "stc", Class: "urgent", Messages: 3, PerSecond: 40, Takes: takes(0.1)}, {Carrier: "stc", Class: "bulk", Messages: 120_000, PerSecond: 40, Takes: takes(3000)},
		{Carrier: "zain", Class: "bulk", Messages: 70}, {Carrier: "mobily", Class: "bulk", Messages: 9, PerSecond: 30, Takes: takes(1), HeldBulk: true},
	}
	s := newStandIn(t, map[string][]any{
		"GET /v1/halts": {map[string]any{"halts": []*admin.HaltRow{{ID: "h7", Scope: admin.HaltScope{Service: "IDREN", Class: "bulk"}}}}, map[string]any{"halts": []*admin.HaltRow{}}},
		"GET /v1/queue": {waiting},
		"GET /v1/drain": {drain, drain, refusedAs{404, "no such path"}},
		"POST /v1/carriers/mobily/release": {map[string]any{"carrier": "mobily", "drain": []admin.DrainRow{{Carrier: "mobily", Class: "bulk", Messages: 9, Takes: takes(75)}}},
			refusedAs{409, "carrier mobily holds no bulk back: GET /v1/drain"}},
	})
	var all strings.Builder
	for _, args := range []string{"queue", "queue --json", "queue" /* of an older gateway */, "queue release mobily --as sara"} {
		r := s.run(t, args)
		if r.code != exitDone || r.errs != "" {
			t.Errorf("masar %s: %+v", args, r)
		}
		all.WriteString("$ masar " + args + "\n" + r.out + indented(s.told()) + "\n")
	}
	golden(t, "queue.txt", all.String())
	for args, says := range map[string]string{"queue release": "name one carrier", "queue drain": `no command "drain"`} {
		if r := s.run(t, args); r.code != exitUsage || !strings.Contains(r.errs, says) {
			t.Errorf("masar %s: %+v", args, r)
		}
	}
	if r := s.run(t, "queue release mobily"); r.code != exitFailed || r.errs != "masar: carrier mobily holds no bulk back\n" {
		t.Errorf("%+v", r)
	}
}

func TestHowLongSomethingTakesIsSaidAsPeopleSayIt(t *testing.T) {
	for d, want := range map[time.Duration]string{
		0: "0 s", 400 * time.Millisecond: "0 s", 12 * time.Second: "12 s", 59600 * time.Millisecond: "1 min", 200 * time.Second: "3 min 20 s",
		time.Hour: "1 h", 65 * time.Minute: "1 h 5 min", 26 * time.Hour: "26 h", 53 * time.Hour: "2 days 5 h",
	} {
		if got := lasting(d); got != want {
			t.Errorf("%v is %q, want %q", d, got, want)
		}
	}
}
