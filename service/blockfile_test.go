package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"masar/number"
)

func testBlockFile() BlockFile {
	return BlockFile{Country: "966", MaxBad: 0.5, MaxShrink: 1, Now: func() time.Time { return testNow }}
}

func TestABlocklistFileIsLaidOverWhatIsThere(t *testing.T) {
	const n1, n2, n3 = number.E164(966501234561), number.E164(966501234562), number.E164(966501234563)
	file := func(scope BlockScope, reason string, expires time.Time) Block {
		return Block{Scope: scope, Reason: reason, Expires: expires, Channel: "file", At: testNow}
	}
	byHand := func(scope BlockScope, reason string, expires time.Time) Block {
		return Block{Scope: scope, Reason: reason, Expires: expires, Channel: "cli", At: testNow}
	}
	never := time.Time{}
	type blocks = map[number.E164]Block
	for _, x := range []struct {
		name      string
		was       blocks
		file      string
		want      blocks
		wantCount BlockReport
	}{
		{"a new number", nil, "number,scope,reason,expires\n0501234561,all,fraud,\n", blocks{n1: file(BlockAll, "fraud", never)},
			BlockReport{Rows: 1, Good: 1, Added: 1}},
		{"no header, a number alone", nil, "0501234561\n+966501234562\n", blocks{n1: file(BlockAll, "", never), n2: file(BlockAll, "", never)},
			BlockReport{Rows: 2, Good: 2, Added: 2}},
		{"no header, all columns, a comment", nil, "# of Monday\n0501234561,opt-in,\"a, b\",2027-01-31\n", blocks{n1: file(BlockOptIn, "a, b", day(2027, 2, 1))},
			BlockReport{Rows: 1, Good: 1, Added: 1}},
		{"another order, Arabic, semicolons", nil, "السبب;رقم الجوال\nشكوى;٠٥٠١٢٣٤٥٦١\n", blocks{n1: file(BlockAll, "شكوى", never)},
			BlockReport{Rows: 1, Good: 1, Added: 1}},
		{"the same again", blocks{n1: file(BlockAll, "fraud", never)}, "0501234561,all,fraud\n", blocks{n1: file(BlockAll, "fraud", never)},
			BlockReport{Rows: 1, Good: 1, Same: 1}},
		{"changed", blocks{n1: file(BlockAll, "fraud", never)}, "0501234561,opt-in,fraud\n", blocks{n1: file(BlockOptIn, "fraud", never)},
			BlockReport{Rows: 1, Good: 1, Changed: 1}},
		{"no longer in it", blocks{n1: file(BlockAll, "", never), n2: file(BlockAll, "", never)}, "0501234561\n", blocks{n1: file(BlockAll, "", never)},
			BlockReport{Rows: 1, Good: 1, Same: 1, Removed: 1}},
		{"blocked by hand, and not in it", blocks{n1: byHand(BlockAll, "x", never)}, "0501234562\n", blocks{n1: byHand(BlockAll, "x", never), n2: file(BlockAll, "", never)},
			BlockReport{Rows: 1, Good: 1, Added: 1}},
		{"blocked by hand as strictly", blocks{n1: byHand(BlockAll, "x", never)}, "0501234561,all,y,2027-01-31\n", blocks{n1: byHand(BlockAll, "x", never)},
			BlockReport{Rows: 1, Good: 1, Kept: 1}},
		{"blocked by hand less strictly", blocks{n1: byHand(BlockOptIn, "x", never), n3: byHand(BlockAll, "", day(2026, 12, 1))}, "0501234563\n0501234561,all,y,2027-01-31\n",
			blocks{n1: byHand(BlockAll, "x", never), n3: byHand(BlockAll, "", never)}, BlockReport{Rows: 2, Good: 2, Changed: 2}},
		{"a block by hand that is over", blocks{n1: byHand(BlockAll, "x", day(2026, 1, 1))}, "0501234561\n", blocks{n1: file(BlockAll, "", never)},
			BlockReport{Rows: 1, Good: 1, Added: 1}},
		{"twice, the later counts", nil, "0501234561,all\n0501234562\n966501234561,opt-in\n", blocks{n1: file(BlockOptIn, "", never), n2: file(BlockAll, "", never)},
			BlockReport{Rows: 3, Good: 3, Twice: 1, Added: 2}},
		{"over already", blocks{n1: file(BlockAll, "", never)}, "0501234561,all,,2026-11-23\n0501234562,all,,2026-11-24\n", blocks{n2: file(BlockAll, "", day(2026, 11, 25))},
			BlockReport{Rows: 2, Good: 2, Expired: 1, Added: 1, Removed: 1}},
		{"a bad row", nil, "0501234561\n05\n", blocks{n1: file(BlockAll, "", never)},
			BlockReport{Rows: 2, Good: 1, Bad: 1, Added: 1, BadRows: []BlockBadRow{{2, "number", `too_short: "05"`, "05"}}}},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := newFake()
			for n, b := range x.was {
				r.blocks[n] = b
			}
			report, err := testBlockFile().Sync(t.Context(), r, strings.NewReader(x.file))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(r.blocks, map[number.E164]Block(x.want)) {
				t.Errorf("%+v\nwant %+v", r.blocks, x.want)
			}
			if !reflect.DeepEqual(report, x.wantCount) {
				t.Errorf("%+v\nwant %+v", report, x.wantCount)
			}
			again, err := testBlockFile().Sync(t.Context(), r, strings.NewReader(x.file))
			if err != nil || again.Added+again.Changed+again.Removed != 0 {
				t.Errorf("once more: %+v, %v", again, err)
			}
		})
	}
}

func TestBadRowsOfABlocklistAreNamed(t *testing.T) {
	for row, want := range map[string]BlockBadRow{
		"0501234561,some":                            {2, "scope", `bad_value: "some" is neither all nor opt-in`, ""},
		"0501234561,all,x,31/01/2027":                {2, "expires", `bad_date: "31/01/2027"; write 2026-11-23 or 2026-11-23T10:00:00+03:00`, ""},
		"0501234561,all," + strings.Repeat("x", 101): {2, "reason", "too_long: 101 octets, at most 100", ""},
		"0501234561,all,x,,":                         {2, "", "wrong_columns: has 5, at most 4", ""},
		",all":                                       {2, "number", `empty: ""`, ""},
		`"0501234561`:                                {2, "", "bad_quotes: a quote stands within a field or is not closed; a quoted field has its own quotes doubled, and no line end", ""},
		"0501234561,all,x,2027-01-31T10:00:00+03:00,y": {2, "", "wrong_columns: has 5, at most 4", ""},
	} {
		want.Row = row
		report, err := testBlockFile().Sync(t.Context(), newFake(), strings.NewReader("number,scope,reason,expires\n"+row+"\n0501234562,all,,\n"))
		if err != nil || report.Bad != 1 || report.Good != 1 || report.BadRows[0] != want {
			t.Errorf("%s: %+v, %v", row, report, err)
		}
	}
}

func TestABlocklistThatCannotBeMeantIsRefusedWhole(t *testing.T) {
	was := func() *fakeRegistry {
		r := newFake()
		for i := range 10 {
			r.blocks[966501234500+number.E164(i)] = Block{Scope: BlockAll, Channel: "file"}
		}
		r.blocks[966501234510] = Block{Scope: BlockAll, Channel: "cli"}
		return r
	}
	for _, x := range []struct {
		name, file, want string
	}{
		{"empty", "", "it would take back 10 of the 10 blocks of the last one"},
		{"a header alone", "number\n", "it would take back 10 of the 10 blocks of the last one"},
		{"cut off", "0501234500\n0501234501\n0501234502\n0501234503\n", "it would take back 6 of the 10 blocks of the last one"},
		{"mostly bad", "0501234500\nx\ny\n", "2 of 3 rows are bad, the first in line 2: bad_character: \"x\""},
		{"an unknown column", "number,colour\n0501234500,red\n", "line 1, column colour: is not known; the columns are number, scope, reason, expires"},
	} {
		t.Run(x.name, func(t *testing.T) {
			r := was()
			f := BlockFile{Country: "966", Now: func() time.Time { return testNow }}
			_, err := f.Sync(t.Context(), r, strings.NewReader(x.file))
			if !errors.Is(err, ErrBlockFile) || !strings.HasSuffix(err.Error(), x.want) {
				t.Errorf("%v\nwant %s", err, x.want)
			}
			if r.batches != 0 || len(r.blocks) != 11 {
				t.Errorf("%d batches, %d blocks", r.batches, len(r.blocks))
			}
		})
	}
	r := was()
	f := BlockFile{Country: "966", Now: func() time.Time { return testNow }}
	if report, err := f.Sync(t.Context(), r, strings.NewReader("0501234500\n0501234501\n0501234502\n0501234503\n0501234504\n")); err != nil || report.Removed != 5 {
		t.Errorf("half of it: %+v, %v", report, err)
	}
	if _, err := f.Sync(t.Context(), r, &failingReader{strings.NewReader(""), 0}); !errors.Is(err, errCrash) || !errors.Is(err, ErrBlockFile) {
		t.Errorf("a file that cannot be read: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := f.Sync(ctx, r, strings.NewReader("0501234500\n")); !errors.Is(err, context.Canceled) {
		t.Errorf("%v", err)
	}
}

func TestAnAdditionToTheBlocklistTakesNothingBack(t *testing.T) {
	r := newFake()
	r.blocks[966501234500] = Block{Scope: BlockAll, Channel: "file"}
	f := testBlockFile()
	f.AddOnly, f.MaxShrink = true, 0.01
	var bad []BlockBadRow
	f.BadRow = func(b BlockBadRow) { bad = append(bad, b) }
	report, err := f.Sync(t.Context(), r, strings.NewReader("0501234501\nx\n"))
	if err != nil || report.Added != 1 || report.Removed != 0 || len(r.blocks) != 2 {
		t.Errorf("%+v, %v, %+v", report, err, r.blocks)
	}
	if len(bad) != 1 || bad[0] != report.BadRows[0] || bad[0].Line != 2 || bad[0].Row != "x" {
		t.Errorf("%+v", bad)
	}
}

func TestABlocklistThatFailsHalfWayIsMendedByTheNextRun(t *testing.T) {
	var file bytes.Buffer
	for i := range 5000 {
		fmt.Fprintf(&file, "05%08d\n", i)
	}
	r := newFake()
	r.blocks[966511111111] = Block{Scope: BlockAll, Channel: "file"}
	r.failAt = 2
	if _, err := testBlockFile().Sync(t.Context(), r, bytes.NewReader(file.Bytes())); !errors.Is(err, errCrash) {
		t.Fatal(err)
	}
	if _, has := r.blocks[966511111111]; !has || len(r.blocks) != 2001 {
		t.Errorf("%d blocks; something was lifted before all was blocked", len(r.blocks))
	}
	report, err := testBlockFile().Sync(t.Context(), r, bytes.NewReader(file.Bytes()))
	if err != nil || len(r.blocks) != 5000 || report.Same != 2000 || report.Added != 3000 || report.Removed != 1 {
		t.Errorf("%+v, %v, %d blocks", report, err, len(r.blocks))
	}
}

// FuzzBlockFile: no file panics; rows are good or bad; a second run has nothing to do.
func FuzzBlockFile(f *testing.F) {
	f.Add([]byte("number,scope\n0501234561,all\n"))
	f.Add([]byte("# x\n0501234561;opt-in;\"a\"\"b\";2027-01-31\n05\n\"\n"))
	f.Fuzz(func(t *testing.T, file []byte) {
		r := newFake()
		b := testBlockFile()
		b.MaxBad = 1
		first, err := b.Sync(t.Context(), r, bytes.NewReader(file))
		if err != nil {
			if !errors.Is(err, ErrBlockFile) || len(r.blocks) > 0 {
				t.Fatal(err)
			}
			return
		}
		if first.Rows != first.Good+first.Bad || first.Added != int64(len(r.blocks)) {
			t.Fatalf("%+v, %d blocks", first, len(r.blocks))
		}
		again, err := b.Sync(t.Context(), r, bytes.NewReader(file))
		if err != nil || again.Same != first.Added || again.Added+again.Changed+again.Removed != 0 {
			t.Fatalf("%+v, %v", again, err)
		}
	})
}

func BenchmarkBlockFile(b *testing.B) {
	var file bytes.Buffer
	const rows = 200_000
	for i := range rows {
		fmt.Fprintf(&file, "9665%08d,all,complaint,2027-01-31\n", (i*7919)%100_000_000)
	}
	r := newFake()
	r.discards = true
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		if report, err := testBlockFile().Sync(b.Context(), r, bytes.NewReader(file.Bytes())); err != nil || report.Added != rows {
			b.Fatalf("%+v, %v", report, err)
		}
		n += rows
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(n), "ns/row")
}
