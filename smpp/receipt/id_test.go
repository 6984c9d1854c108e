package receipt

import (
	"slices"
	"strings"
	"testing"
)

func TestIdsMeetUnderOneKeyWhateverTheirForm(t *testing.T) {
	for _, x := range []struct {
		name, id string
		f        Form
		key      string
		ok       bool
	}{
		{"raw, case", "AbC-1", Raw, "abc-1", true},
		{"raw, zeros", "000123", Raw, "123", true},
		{"raw, zero", "0", Raw, "0", true},
		{"raw, zeros alone", "000", Raw, "0", true},
		{"raw, nothing", "", Raw, "", true},
		{"hex, case and zeros", "000004D2", Hex, "4d2", true},
		{"hex with 0x", "0x04D2", Hex, "4d2", true},
		{"hex of 80 bits", "FFFFFFFFFFFFFFFFFFFF", Hex, "ffffffffffffffffffff", true},
		{"decimal", "0000001234", Dec, "4d2", true},
		{"decimal zero", "0", Dec, "0", true},
		{"greatest of 64 bits", "18446744073709551615", Dec, "ffffffffffffffff", true},
		{"beyond 64 bits", "18446744073709551616", Dec, "10000000000000000", true},
		{"a UUID where hex was said", "6F9619FF-8B86", Hex, "6f9619ff-8b86", false},
		{"letters where decimal was said", "12AB", Dec, "12ab", false},
		{"a sign", "-1234567", Dec, "-1234567", false},
		{"0x alone", "0x", Hex, "x", false},
		{"nothing where decimal was said", "", Dec, "", false},
		{"too long a number", strings.Repeat("9", 129), Dec, strings.Repeat("9", 129), false},
	} {
		t.Run(x.name, func(t *testing.T) {
			if key, ok := Convert(x.id, x.f); key != x.key || ok != x.ok {
				t.Errorf("Convert: %q, %t, want %q, %t", key, ok, x.key, x.ok)
			}
			if key, ok := AppendKey([]byte("k:"), x.id, x.f); string(key) != "k:"+x.key || ok != x.ok {
				t.Errorf("AppendKey: %q, %t", key, ok)
			}
		})
	}
}

func TestCandidatesAreWhatTheResponseMayHaveSaid(t *testing.T) {
	for id, want := range map[string][]Candidate{
		"0000001234": {{"1234", Raw, Raw}, {"4d2", Hex, Dec}, {"4660", Dec, Hex}},
		"4D2":        {{"4d2", Raw, Raw}, {"1234", Dec, Hex}},
		"7":          {{"7", Raw, Raw}}, // the same in every form
		"A-1":        {{"a-1", Raw, Raw}},
		"FFFFFFFFFFFFFFFFFFFF": {{"ffffffffffffffffffff", Raw, Raw},
			{"1208925819614629174706175", Dec, Hex}},
		"": {{"", Raw, Raw}},
	} {
		if got := Candidates(id); !slices.Equal(got, want) {
			t.Errorf("%q: %v, want %v", id, got, want)
		}
	}
}

func TestOurIdsInTheFormAClientWants(t *testing.T) {
	for _, x := range []struct {
		id     string
		f      Form
		digits int
		want   string
	}{
		{"4d2", Raw, 10, "4d2"}, {"4d2", Hex, 10, "4d2"}, {"4d2", Dec, 0, "1234"},
		{"4d2", Dec, 10, "0000001234"}, {"4d2", Dec, 4, "1234"}, {"4d2", Dec, 2, "1234"},
		{"ffffffffffffffff", Dec, 10, "18446744073709551615"},
		{"ffffffffffffffffffff", Dec, 26, "01208925819614629174706175"},
		{"A-1", Dec, 10, "A-1"}, {"", Dec, 10, ""},
	} {
		if got := string(AppendID([]byte("id:"), x.id, x.f, x.digits)); got != "id:"+x.want {
			t.Errorf("%q as %v of %d: %q, want %q", x.id, x.f, x.digits, got, x.want)
		}
	}
}
