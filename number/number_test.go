package number

import (
	"encoding/csv"
	"os"
	"testing"
)

func TestNumbersAreReadAsPeopleWriteThem(t *testing.T) {
	f, err := os.Open("testdata/normalise.csv")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) < 200 {
		t.Fatalf("%d rows", len(rows))
	}
	for _, row := range rows[1:] {
		input, want, wantErr := row[0], row[1], row[2]
		got, err := Append(nil, []byte(input), "966")
		switch {
		case wantErr != "":
			if err == nil || err.Error() != wantErr {
				t.Errorf("%q (%s): %q, %v; want error %s", input, row[3], got, err, wantErr)
			}
		case err != nil || string(got) != want:
			t.Errorf("%q (%s): %q, %v; want %q", input, row[3], got, err, want)
		}
		n, err := Parse(input, "966")
		if (err != nil) != (wantErr != "") || n.String() != want {
			t.Errorf("Parse(%q) = %v, %v; want %q", input, n, err, want)
		}
	}
}

func TestOfTakesDigitsOfANumberAlone(t *testing.T) {
	for _, row := range []struct {
		digits string
		want   E164
		ok     bool
	}{
		{"966501234567", 966501234567, true},
		{"123456789012345", 123456789012345, true},
		{"1234567890123456", 0, false},
		{"0501234567", 0, false},
		{"", 0, false},
		{"96650123456x", 0, false},
		{"+966501234567", 0, false},
	} {
		got, ok := Of(row.digits)
		if got != row.want || ok != row.ok {
			t.Errorf("Of(%q) = %d, %t; want %d, %t", row.digits, got, ok, row.want, row.ok)
		}
		if ok && got.String() != row.digits {
			t.Errorf("Of(%q).String() = %q", row.digits, got)
		}
	}
}
