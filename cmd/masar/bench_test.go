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
