package main

import (
	"strings"
	"testing"

	"masar/smpp/smppload"
)

func TestBenchMarksWhatMissesItsBar(t *testing.T) {
	good := benchResult{Case: "without receipts", Accepted: 500000, PerS: 50000, CPUUs: 30, RespMs: smppload.Percentiles{P50: 1, P99: 400}}
	slow := benchResult{Case: "with receipts", Accepted: 100000, PerS: 24999, CPUUs: 55.1}
	late := benchResult{Case: "5,000/s with receipts", Accepted: 50000, PerS: 5000, CPUUs: 500, RespMs: smppload.Percentiles{P99: 20.1}}
	var b strings.Builder
	if err := printBench(&b, []benchResult{good, slow, late}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSpace(b.String()), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d lines:\n%s", len(lines), b.String())
	}
	for i, want := range []int{0, 0, 2, 1} {
		if got := strings.Count(lines[i], "MISSED"); got != want {
			t.Errorf("%d bars missed, want %d: %s", got, want, lines[i])
		}
	}
}

func TestBenchRefusesToMeasureNothing(t *testing.T) {
	if r := masar(t, "", "bench", "--seconds", "0"); r.code != exitUsage || !strings.Contains(r.errs, "at least 1") {
		t.Errorf("%+v", r)
	}
}

func TestBenchComparesWhatIsAskedWithAPlainMessage(t *testing.T) {
	for _, row := range []struct {
		asked float64
		want  string
	}{{13, "1.30 times"}, {13.2, "1.32 times the gateway CPU of a plain message, bar <= 1.3 MISSED"}} {
		var b strings.Builder
		if err := printPolicy(&b, []benchResult{{Case: plainCase, CPUUs: 10}, {Case: policyCase, CPUUs: row.asked}}); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(b.String(), row.want) || strings.Contains(b.String(), "MISSED") != (row.asked > 13) {
			t.Errorf("%v: %s", row.asked, b.String())
		}
	}
}

func TestTheBenchCatalogueIsAConfiguration(t *testing.T) {
	path, _, _, err := benchConfig(t.TempDir(), "127.0.0.1:1", true)
	if err != nil {
		t.Fatal(err)
	}
	if err := enrolBench(t.Context(), path, 10); err != nil {
		t.Fatal(err)
	}
}
