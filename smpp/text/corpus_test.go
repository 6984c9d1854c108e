package text

import (
	"bufio"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

// readLines hands each line of a JSON Lines file to f. The longest is about 120 KB.
func readLines(t testing.TB, path string, f func(line []byte)) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	sc := bufio.NewScanner(file)
	sc.Buffer(nil, 1<<20)
	for sc.Scan() {
		f(sc.Bytes())
	}
	if err := sc.Err(); err != nil {
		t.Fatal(err)
	}
}

type corpusRow struct {
	ID, Category, Note, Text, Encoding string
	Units                              int
	PartsUDH8                          []string `json:"parts_udh8"`
	PartsUDH16                         []string `json:"parts_udh16"`
	ErrorUDH8                          string   `json:"error_udh8"`
	ErrorUDH16                         string   `json:"error_udh16"`
	Folded                             *string
	FoldedEncoding                     string   `json:"folded_encoding"`
	FoldedUnits                        int      `json:"folded_units"`
	FoldedPartsUDH8                    []string `json:"folded_parts_udh8"`
	FoldedPartsUDH16                   []string `json:"folded_parts_udh16"`
}

func corpus(t testing.TB) (rows []corpusRow) {
	readLines(t, "testdata/corpus.jsonl", func(line []byte) {
		var r corpusRow
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		rows = append(rows, r)
	})
	if len(rows) != 714 {
		t.Fatalf("corpus has %d rows, want 714", len(rows))
	}
	return rows
}

// checkText compares everything the corpus says of one text: encoding, units, the
// parts under every style, and that each part survives the wire.
func checkText(t *testing.T, s, encoding string, units int, udh8, udh16 []string, err8, err16 string) {
	t.Helper()
	e := Choose(s)
	if e.String() != encoding {
		t.Errorf("Choose = %v, want %s", e, encoding)
	}
	if got := Units(s, e); got != units {
		t.Errorf("Units = %d, want %d", got, units)
	}
	octets, err := Encode(nil, s, e)
	if err != nil {
		t.Fatalf("Encode: %v", err)
	}
	if single, _ := Limits(e, UDH8); FitsOne(octets, e) != (units <= single) {
		t.Errorf("FitsOne = %t for %d units", FitsOne(octets, e), units)
	}
	for _, x := range []struct {
		style Style
		want  []string
		err   string
	}{{UDH8, udh8, err8}, {UDH16, udh16, err16}, {SAR, udh8, err8}} {
		parts, err := Split(s, e, x.style)
		n, countErr := Count(s, e, x.style)
		if x.err != "" {
			if x.err != "too_many_parts" || !errors.Is(err, ErrTooManyParts) || !errors.Is(countErr, ErrTooManyParts) {
				t.Errorf("%v: Split error %v, Count error %v, want %s", x.style, err, countErr, x.err)
			}
			continue
		}
		if err != nil || !slices.Equal(parts, x.want) {
			t.Errorf("%v: Split = %q, %v\nwant %q", x.style, parts, err, x.want)
			continue
		}
		if n != len(parts) || countErr != nil {
			t.Errorf("%v: Count = %d, %v, want %d", x.style, n, countErr, len(parts))
		}
		var joined []byte
		for i, p := range parts {
			if joined, err = Encode(joined, p, e); err != nil {
				t.Errorf("%v: part %d: %v", x.style, i, err)
			}
		}
		// A leading U+FEFF is the one thing that does not come back.
		if back, err := Decode(joined, e); err != nil || back != strings.TrimPrefix(s, "\ufeff") {
			t.Errorf("%v: the parts' octets read %q, %v", x.style, back, err)
		}
		pieces, err := SplitOctets(nil, octets, e, x.style)
		if err != nil || len(pieces) != len(parts) {
			t.Errorf("%v: SplitOctets = %d parts, %v, want %d", x.style, len(pieces), err, len(parts))
			continue
		}
		for i, p := range parts {
			if want, _ := Encode(nil, p, e); string(want) != string(pieces[i]) {
				t.Errorf("%v: SplitOctets part %d is %x, want %x", x.style, i, pieces[i], want)
			}
		}
	}
}

func TestEveryTextOfTheCorpusIsEncodedSizedAndCutAsExpected(t *testing.T) {
	refused, folded := 0, 0
	for _, r := range corpus(t) {
		t.Run(r.ID, func(t *testing.T) {
			checkText(t, r.Text, r.Encoding, r.Units, r.PartsUDH8, r.PartsUDH16, r.ErrorUDH8, r.ErrorUDH16)
			got := FoldPresentation(r.Text)
			if r.Folded == nil {
				if got != r.Text {
					t.Errorf("FoldPresentation changed it to %q", got)
				}
				return
			}
			folded++
			if got != *r.Folded {
				t.Fatalf("FoldPresentation = %q, want %q", got, *r.Folded)
			}
			checkText(t, got, r.FoldedEncoding, r.FoldedUnits, r.FoldedPartsUDH8, r.FoldedPartsUDH16, "", "")
		})
		if r.ErrorUDH8 != "" || r.ErrorUDH16 != "" {
			refused++
		}
	}
	if refused != 7 || folded != 20 {
		t.Errorf("%d refused and %d folded rows were seen, want 7 and 20", refused, folded)
	}
}

func TestOctetsOfClientsDecodeOrAreRefused(t *testing.T) {
	n := 0
	readLines(t, "testdata/decode.jsonl", func(line []byte) {
		var r struct {
			ID, Hex, Error, Note string
			Text                 *string
			DataCoding           uint8 `json:"data_coding"`
		}
		if err := json.Unmarshal(line, &r); err != nil {
			t.Fatal(err)
		}
		n++
		t.Run(r.ID, func(t *testing.T) {
			octets, err := hex.DecodeString(r.Hex)
			if err != nil {
				t.Fatal(err)
			}
			e, _ := Codings{Default: GSM7, One: ASCII}.Encoding(r.DataCoding)
			got, err := Decode(octets, e)
			if e == UCS2 && (ValidUCS2(octets) != nil) != (r.Error != "") {
				t.Errorf("ValidUCS2 = %v, want %q", ValidUCS2(octets), r.Error)
			}
			switch {
			case r.Error != "":
				if r.Error != "bad_text" || !errors.Is(err, ErrBadText) {
					t.Errorf("%s: error %v, want %s", r.Note, err, r.Error)
				}
			case r.Text == nil:
				t.Fatal("row without text or error")
			case err != nil || got != *r.Text:
				t.Errorf("%s: %q, %v, want %q", r.Note, got, err, *r.Text)
			}
		})
	})
	if n != 30 {
		t.Fatalf("%d rows, want 30", n)
	}
}
