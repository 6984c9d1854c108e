package main

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestSegmentPrintsWhatTheDesignSays(t *testing.T) {
	for _, row := range []struct {
		name string
		args []string
		in   string
		want string
	}{
		{"gsm", []string{"hi €"}, "", `{"encoding":"gsm7","units":5,"parts":[{"text":"hi €","units":5}]}`},
		{"empty", []string{""}, "", `{"encoding":"gsm7","units":0,"parts":[{"text":"","units":0}]}`},
		{"no HTML escapes", []string{"<&>"}, "", `{"encoding":"gsm7","units":3,"parts":[{"text":"<&>","units":3}]}`},
		{"standard input", nil, "مرحبا\n", `{"encoding":"ucs2","units":5,"parts":[{"text":"مرحبا","units":5}]}`},
		{"standard input by name", []string{"-"}, "a\n\n", `{"encoding":"gsm7","units":2,"parts":[{"text":"a\n","units":2}]}`},
		{"fold", []string{"--fold", "ﻻ"}, "", `{"encoding":"ucs2","units":2,"parts":[{"text":"لا","units":2}]}`},
		{"not folded unless asked", []string{"ﻻ"}, "", `{"encoding":"ucs2","units":1,"parts":[{"text":"ﻻ","units":1}]}`},
		{"harakat", []string{"--harakat", "strip", "سُجل"}, "", `{"encoding":"ucs2","units":3,"parts":[{"text":"سجل","units":3}]}`},
		{"tatweel", []string{"--tatweel", "strip", "عـام"}, "", `{"encoding":"ucs2","units":3,"parts":[{"text":"عام","units":3}]}`},
		{"European digits", []string{"--digits", "european", "٣٠"}, "", `{"encoding":"gsm7","units":2,"parts":[{"text":"30","units":2}]}`},
		{"Arabic-Indic digits", []string{"--digits", "arabic-indic", "في 3"}, "", `{"encoding":"ucs2","units":4,"parts":[{"text":"في ٣","units":4}]}`},
		{"isolate", []string{"--isolate", "في C++"}, "", `{"encoding":"ucs2","units":8,"parts":[{"text":"في ` + "\u200e" + `C++` + "\u200e" + `","units":8}]}`},
		{"punctuation", []string{"--punctuation", "gsm", "it’s"}, "", `{"encoding":"gsm7","units":4,"parts":[{"text":"it's","units":4}]}`},
		{"keep is the default", []string{"--harakat", "keep", "--tatweel", "keep", "--digits", "keep", "--punctuation", "keep", "سُ"}, "", `{"encoding":"ucs2","units":2,"parts":[{"text":"سُ","units":2}]}`},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := masar(t, row.in, append([]string{"segment", "--json"}, row.args...)...)
			// The keys of the design come first and are whole; what the options would do follows.
			seg, options, _ := strings.Cut(r.out, `,"options":`)
			if r.code != exitDone || seg+"}" != row.want {
				t.Errorf("%+v\nwant %s", r, row.want)
			}
			if !strings.HasPrefix(options, `[{"option":"none","encoding":"`) || !strings.HasSuffix(options, "}]}\n") {
				t.Errorf("options: %s", options)
			}
		})
	}
	for style, parts := range map[string]int{"udh8": 5, "udh16": 5, "sar": 5, "payload": 1} {
		r := masar(t, "", "segment", "--json", "--style", style, strings.Repeat(notice, 7))
		var seg segmentation
		if err := json.Unmarshal([]byte(r.out), &seg); err != nil || len(seg.Parts) != parts {
			t.Errorf("%s: %d parts, %v", style, len(seg.Parts), err)
		}
		whole := ""
		for _, p := range seg.Parts {
			whole += p.Text
		}
		if whole != strings.Repeat(notice, 7) {
			t.Errorf("%s: the parts make %q", style, whole)
		}
	}
	if r := masar(t, "\xff\xfe", "segment"); r.code != exitFailed || !strings.Contains(r.errs, "not UTF-8") {
		t.Errorf("%+v", r)
	}
	if r := masar(t, strings.Repeat("x", 153*255+1), "segment"); r.code != exitFailed || !strings.Contains(r.errs, "more than 255 parts") {
		t.Errorf("%+v", r)
	}
}

func TestSegmentTablesAreAsTheyWere(t *testing.T) {
	for name, s := range map[string]string{
		"arabic":  strings.Repeat(notice, 3),
		"english": "Your national ID expires in 30 days {1}",
		"hidden":  "مرحبا\u200f \"1\"\nوداعا",
		"options": "سُجِّلت مخالفة برقم ٩٣٥٥ على لوحة ABJ-1234 بمبلغ ٥٠٠ ر.س. نأمل السداد قبل ٣٠ يومًا",
		"quotes":  strings.Repeat("It’s due. ", 12),
	} {
		golden(t, "segment-"+name+".txt", masar(t, "", "segment", s).out)
	}
}

func TestSegmentRefusesAChoiceThatIsNone(t *testing.T) {
	for flag, says := range map[string]string{
		"--harakat":     `--harakat "x": keep or strip`,
		"--tatweel":     `--tatweel "x": keep or strip`,
		"--punctuation": `--punctuation "x": keep or gsm`,
		"--digits":      `--digits "x": keep, european or arabic-indic`,
	} {
		if r := masar(t, "", "segment", flag, "x", "text"); r.code != exitUsage || !strings.Contains(r.errs, says) {
			t.Errorf("%s: %+v", flag, r)
		}
	}
}
