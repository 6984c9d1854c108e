package campaign_test

import (
	"bytes"
	"encoding/csv"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"

	"masar/service"
	"masar/service/campaign"
	"masar/smpp/pdu"
)

var began = time.Date(2026, 11, 24, 9, 0, 0, 0, time.UTC)

func open(t testing.TB, fs vfs.FS) *campaign.Store {
	t.Helper()
	s, err := campaign.Open(campaign.Options{
		Dir: "campaigns", FS: fs, MinFree: -1, Log: slog.New(slog.DiscardHandler), Now: func() time.Time { return began },
		Fatal: func(err error) { panic(err) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func made(t testing.TB, s *campaign.Store) campaign.Campaign {
	t.Helper()
	c, err := s.Create(campaign.Campaign{Name: "renewals", Account: "moi", Service: "IDREN", By: "huda"})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var testKey = service.Key{1, 2, 3}

// schemaOf takes these parameters.
func schemaOf(params ...string) func(*campaign.Campaign) (*campaign.Schema, error) {
	return func(*campaign.Campaign) (*campaign.Schema, error) {
		return &campaign.Schema{Params: params, Country: "966", Key: &testKey, Languages: func(tag string) bool { return tag == "ar" || tag == "en" }}, nil
	}
}

func load(t testing.TB, s *campaign.Store, id uint64, file string, params ...string) campaign.Campaign {
	t.Helper()
	c, err := s.Load(t.Context(), id, strings.NewReader(file), campaign.Format{By: "ali"}, 0, schemaOf(params...))
	if err != nil {
		t.Fatal(err)
	}
	holds(t, &c)
	return c
}

func holds(t testing.TB, c *campaign.Campaign) {
	t.Helper()
	if wrong := c.Counts.Wrong(); wrong != "" {
		t.Fatal(wrong)
	}
}

// report reads a report: row -> its line.
func report(t testing.TB, s *campaign.Store, id uint64) map[string][]string {
	t.Helper()
	var b bytes.Buffer
	if err := s.Report(t.Context(), id, &b); err != nil {
		t.Fatal(err)
	}
	all, err := csv.NewReader(&b).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Join(all[0], ",") != "row,recipient,message_id,state,err,reason,accepted,ended,parts" {
		t.Fatal(all[0])
	}
	rows := map[string][]string{}
	for _, r := range all[1:] {
		if _, twice := rows[r[0]]; twice {
			t.Fatalf("row %s has two lines", r[0])
		}
		rows[r[0]] = r
	}
	return rows
}

func TestAFileBecomesRowsAndEachHasItsEnd(t *testing.T) {
	fs := vfs.NewMem()
	s := open(t, fs)
	c := made(t, s)
	c = load(t, s, c.ID, "number,name,language\n0501234567,Huda,ar\n+966501234567,again,\nnonsense,x,\n966551112223,Ali,en\n966551112224,Sami,\n966551112225,Noor,\n966551112226,Rana,\n", "name")
	n := c.Counts
	if n.Rows != 7 || n.Bad != 1 || n.Duplicate != 1 || n.Left != 5 || c.State != campaign.Draft || c.Uploaded != "ali" {
		t.Fatalf("%+v", c)
	}
	rows, err := s.Rows(c.ID, c.Generation(), 0, 10, nil)
	if err != nil || len(rows) != 5 || rows[0].Row != 2 || rows[0].Number != 966501234567 || rows[0].Language != "ar" || rows[0].Values[0] != "Huda" || rows[1].Row != 5 {
		t.Fatalf("%+v, %v", rows, err)
	}
	run(t, s, c.ID)
	// The end of row 5 comes before it is recorded as handed over.
	end := campaign.End{Campaign: c.ID, Row: 5, Message: 0xab5, State: pdu.StateDelivered, At: began.Add(time.Minute)}
	ends(t, s, 0, end)
	c, err = s.Handed(c.ID, []campaign.Handed{{Row: 2, Message: 0xab2, Parts: 2}, {Row: 5, Message: 0xab5, Parts: 1}, {Row: 6, Reason: "not_enrolled"}}, 6, began)
	if err != nil {
		t.Fatal(err)
	}
	holds(t, &c)
	ends(t, s, 0, campaign.End{Campaign: c.ID, Row: 2, Message: 0xab2, State: pdu.StateUndeliverable, Err: "027", At: began.Add(time.Hour)})
	ends(t, s, 0, end) // told again
	ends(t, s, 2, campaign.End{Campaign: c.ID, Row: 2, Message: 0xfff, State: pdu.StateDelivered}, campaign.End{Campaign: 77, Row: 1, Message: 1})
	s.Close()

	s = open(t, fs)
	c, err = s.Campaign(c.ID)
	if err != nil || c.State != campaign.Running || c.Counts.Left != 2 || c.Counts.Accepted != 2 || c.Counts.Ended["DELIVRD"] != 1 || c.Counts.Refusals["not_enrolled"] != 1 || c.Counts.Parts != 3 {
		t.Fatalf("%+v %v", c, err)
	}
	holds(t, &c)
	if c, err = s.Change(c.ID, func(c *campaign.Campaign) error { c.State = campaign.Stopped; return nil }); err != nil {
		t.Fatal(err)
	}
	if !c.Over() || c.Counts.Stopped != 2 || c.Ended.IsZero() {
		t.Fatalf("%+v", c)
	}
	holds(t, &c)
	want := map[string]string{
		"2": "2,966501234567,0000000000000ab2,UNDELIV,027,,2026-11-24T09:00:00Z,2026-11-24T10:00:00Z,2",
		"3": "3,966501234567,,duplicate,,of row 2,,,",
		"4": `4,,,bad,,number: bad_character: "nonsense" is no number that a message can go to,,,`,
		"5": "5,966551112223,0000000000000ab5,DELIVRD,,,2026-11-24T09:00:00Z,2026-11-24T09:01:00Z,1",
		"6": "6,966551112224,,refused,,not_enrolled,2026-11-24T09:00:00Z,,",
		"7": "7,966551112225,,stopped,,,,,",
		"8": "8,966551112226,,stopped,,,,,",
	}
	got := report(t, s, c.ID)
	for row, line := range want {
		if strings.Join(got[row], ",") != line {
			t.Errorf("row %s:\n got %s\nwant %s", row, strings.Join(got[row], ","), line)
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d lines, want %d", len(got), len(want))
	}
	if err := s.Delete(c.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Campaign(c.ID); err != campaign.ErrUnknown {
		t.Fatal(err)
	}
	if next := made(t, s); next.ID != c.ID+1 {
		t.Errorf("the number %d was given again", next.ID)
	}
}

func run(t testing.TB, s *campaign.Store, id uint64) {
	t.Helper()
	if _, err := s.Change(id, func(c *campaign.Campaign) error { c.State = campaign.Running; return nil }); err != nil {
		t.Fatal(err)
	}
}

func ends(t testing.TB, s *campaign.Store, strange int, list ...campaign.End) {
	t.Helper()
	n, err := s.Ends(list)
	if err != nil || n != strange {
		t.Fatalf("%d strange, want %d: %v", n, strange, err)
	}
}
