package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"testing"

	"masar/smpp/pdu"
)

// corpusRow is what this test needs of a row of the corpus.
type corpusRow struct {
	ID, Category, Text string
	Parts              []string `json:"parts_udh8"`
	Error              string   `json:"error_udh8"`
	Folded             *string
	FoldedParts        []string `json:"folded_parts_udh8"`
}

func readCorpus(t testing.TB) (rows []corpusRow) {
	t.Helper()
	f, err := os.Open("../../smpp/text/testdata/corpus.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var r corpusRow
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, r)
	}
	if err := lines.Err(); err != nil || len(rows) != 714 {
		t.Fatalf("the corpus has %d rows, want 714: %v", len(rows), err)
	}
	return rows
}

// Every text of the corpus: submitted by a client to a real process, cut for the carrier,
// and put together again there. A plain account's as it was written; a service's with its
// presentation forms folded, which is the one text option that is on by itself.
func TestEveryTextOfTheCorpusArrivesEqual(t *testing.T) {
	_, addr, got := serviceSMSC(t)
	s, _ := newServiceSite(t, addr)
	s.carrierMore += "    segmentation: udh8\n    max_parts: 255\n"
	gw := s.start()
	gw.see(`msg="bound to the carrier"`, startLimit)
	rows := readCorpus(t)
	for _, row := range []struct{ account, service string }{{"load", ""}, {"all", "IDLST"}} {
		t.Run(row.account, func(t *testing.T) {
			c := bindAs(t, s.smpp, row.account)
			sent, refused := 0, 0
			for i, r := range rows {
				text, parts := r.Text, r.Parts
				if row.service != "" && r.Folded != nil {
					text, parts = *r.Folded, r.FoldedParts
				}
				h, _ := c.ask(pdu.CmdSubmitSM, textTo(t, fmt.Sprintf("9665%08d", i), row.service, r.Text))
				if r.Error != "" {
					if refused++; h.Status != pdu.ESME_RINVMSGLEN {
						t.Errorf("%s (%s): %s, want ESME_RINVMSGLEN", r.ID, r.Error, h.Status)
					}
					continue
				}
				if h.Status != pdu.ESME_ROK {
					t.Errorf("%s: %s", r.ID, h.Status)
					continue
				}
				sent++
				if m := got.next(t); m.Text != text || m.Parts != len(parts) || m.Err != nil {
					t.Errorf("%s: the carrier has %d parts, %v: %q\nwant %d: %q", r.ID, m.Parts, m.Err, m.Text, len(parts), text)
				}
			}
			t.Logf("%d texts arrived equal, %d are refused for their length", sent, refused)
		})
	}
}
