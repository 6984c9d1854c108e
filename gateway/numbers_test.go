package gateway

import (
	"testing"

	"masar/number"
)

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
		{"known: letters", NumbersKnown, "966", "AHWAL", "", number.ErrCharacter},
		{"known: empty", NumbersKnown, "966", "", "", number.ErrEmpty},
		{"known: a country code of zeros", NumbersKnown, "966", "+0501234567", "", number.ErrCountry},
		{"known: 21 digits", NumbersKnown, "966", "123456789012345678901", "", number.ErrLong},
		{"strict: a short code", NumbersStrict, "966", "9090", "", number.ErrShortCode},
		{"strict: another country's mobile number", NumbersStrict, "971", "0501234567", "971501234567", nil},
		{"keep: as written", NumbersKeep, "966", "0501234567", "0501234567", nil},
		{"keep: a plus is no digit", NumbersKeep, "966", "+966501234567", "966501234567", nil},
		{"keep: two are not", NumbersKeep, "966", "++966501234567", "", number.ErrCharacter},
		{"keep: Arabic digits", NumbersKeep, "966", "٠٥٠", "", number.ErrCharacter},
		{"keep: a blank", NumbersKeep, "966", "966 50", "", number.ErrCharacter},
		{"keep: nothing", NumbersKeep, "966", "+", "", number.ErrEmpty},
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
