package gateway

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
	strict := NumberRule{Mode: NumbersStrict, Country: "966"}
	for _, row := range rows[1:] {
		input, want, wantErr := row[0], row[1], row[2]
		got, err := strict.read(nil, []byte(input))
		switch {
		case wantErr != "":
			if err == nil || err.Error() != wantErr {
				t.Errorf("%q (%s): %q, %v; want error %s", input, row[3], got, err, wantErr)
			}
		case err != nil || string(got) != want:
			t.Errorf("%q (%s): %q, %v; want %q", input, row[3], got, err, want)
		}
	}
}

func TestNumberModes(t *testing.T) {
	for _, row := range []struct {
		name    string
		mode    NumberMode
		country string
		written string
		want    string
		err     error
	}{
		{"known: a mobile number", NumbersKnown, "966", "0501234567", "966501234567", nil},
		{"known: a landline stays", NumbersKnown, "966", "0112345678", "0112345678", nil},
		{"known: a short code stays", NumbersKnown, "966", "9090", "9090", nil},
		{"known: too short for a mobile number stays", NumbersKnown, "966", "05012", "05012", nil},
		{"known: a foreign number", NumbersKnown, "966", "+4915112345678", "4915112345678", nil},
		{"known: letters", NumbersKnown, "966", "AHWAL", "", errNumberCharacter},
		{"known: empty", NumbersKnown, "966", "", "", errNumberEmpty},
		{"known: a country code of zeros", NumbersKnown, "966", "+0501234567", "", errNumberCountry},
		{"known: 21 digits", NumbersKnown, "966", "123456789012345678901", "", errNumberLong},
		{"strict: a short code", NumbersStrict, "966", "9090", "", errNumberShortCode},
		{"strict: another country's mobile number", NumbersStrict, "971", "0501234567", "971501234567", nil},
		{"keep: as written", NumbersKeep, "966", "0501234567", "0501234567", nil},
		{"keep: a plus is no digit", NumbersKeep, "966", "+966501234567", "966501234567", nil},
		{"keep: two are not", NumbersKeep, "966", "++966501234567", "", errNumberCharacter},
		{"keep: Arabic digits", NumbersKeep, "966", "٠٥٠", "", errNumberCharacter},
		{"keep: a blank", NumbersKeep, "966", "966 50", "", errNumberCharacter},
		{"keep: nothing", NumbersKeep, "966", "+", "", errNumberEmpty},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := NumberRule{Mode: row.mode, Country: row.country}
			got, err := r.read(nil, []byte(row.written))
			if err != row.err || err == nil && string(got) != row.want {
				t.Errorf("%q, %v; want %q, %v", got, err, row.want, row.err)
			}
		})
	}
}

func FuzzNumbers(f *testing.F) {
	for _, s := range []string{"0501234567", "+966 (50) 123-4567", "٠٥٠١٢٣٤٥٦٧", "00", "+", "\x80\xff", "966\u200f501234567"} {
		f.Add([]byte(s), uint8(0))
	}
	f.Fuzz(func(t *testing.T, written []byte, mode uint8) {
		r := NumberRule{Mode: NumberMode(mode % 3), Country: "966"}
		prefix := []byte("x")
		got, err := r.read(prefix, written)
		if err != nil {
			return
		}
		if len(got) < 2 || len(got) > 1+maxAddress || got[0] != 'x' || !isDigits(string(got[1:])) {
			t.Fatalf("%q became %q", written, got)
		}
		// With its plus, since a bare foreign number of seven to ten digits is none.
		again, err := r.read(nil, append([]byte{'+'}, got[1:]...))
		if r.Mode == NumbersStrict && (err != nil || string(again) != string(got[1:])) {
			t.Fatalf("%q became %q, and that %q, %v", written, got[1:], again, err)
		}
	})
}
