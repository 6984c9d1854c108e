package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"

	"masar/admin"
	"masar/smpp/smpptest"
)

// startRegistry runs a daemon with the product's catalogue, and returns its data folder.
func startRegistry(t *testing.T) string {
	t.Helper()
	_, addr := smsc(t, smpptest.SMSCOptions{})
	s, _ := newServiceSite(t, addr)
	s.start().see(`msg="bound to the carrier"`, startLimit)
	return s.data
}

func TestSubscribersAreChangedAndShownByHand(t *testing.T) {
	data := startRegistry(t)
	blocklist := filepath.Join(t.TempDir(), "blocked.csv")
	if err := os.WriteFile(blocklist, []byte("number,scope,reason\n0502222222,all,letter 4711\n05,all,\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	arabic := filepath.Join(t.TempDir(), "people.csv")
	// In Windows-1256 the header names the number in Arabic: "رقم الجوال".
	if err := os.WriteFile(arabic, []byte("\xd1\xde\xe3 \xc7\xe1\xcc\xe6\xc7\xe1,services\n0503333333,LOGIN\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, row := range []struct {
		name string
		args string
		code int
		says []string // in the output and the errors
		not  string
	}{
		{"nobody yet", "show 966501234567", exitFailed, []string{"no such subscriber", "masar subs add 966501234567"}, ""},
		{"an unknown service", "add 966501234567 --service NOPE", exitFailed, []string{"services[0]", "NOPE", "no service of the catalogue"}, ""},
		{"a malformed number", "add 05 --service LOGIN", exitFailed, []string{"number", "too_short"}, ""},
		{"without a code no enrolment", "add 0501234567 --service LOGIN", exitDone, []string{"966501234567 waits for the code that is on its way: LOGIN", "masar subs verify 966501234567 CODE"}, ""},
		{"a wrong code", "verify 966501234567 0000", exitFailed, []string{"code"}, ""},
		{"verified by hand", "add ٠٥٠١٢٣٤٥٦٧ --service LOGIN,IDREN --verified", exitDone, []string{"966501234567 enrolled in LOGIN, IDREN"}, ""},
		{"again", "add 966501234567 --service LOGIN --verified", exitDone, []string{"966501234567: it was so already"}, ""},
		{"shown whole", "show 966501234567", exitDone, []string{"number", "966501234567", "LOGIN", "enrolled", "by cli"}, "***"},
		{"history", "history 966501234567", exitDone, []string{"enrol", "LOGIN", "cli"}, ""},
		{"off one", "remove 966501234567 --service IDREN --by-person", exitDone, []string{"966501234567 taken off IDREN"}, ""},
		{"an older consent does not come back", "add 966501234567 --service IDREN --verified --at 2020-01-01", exitDone, []string{"withdrew himself and stays off: IDREN", "--by-person"}, ""},
		{"nobody to take off", "remove 966509999999 --service LOGIN", exitDone, []string{"966509999999: nobody is known there"}, "taken off LOGIN"},
		{"nobody to take off everything", "remove 966509999998 --all --by-person", exitDone, []string{"nobody is known there", "the withdrawal is kept"}, "so already"},
		{"recycled", "recycled 966501234567", exitDone, []string{"966501234567", "suspended until it is verified again"}, ""},
		{"blocked", "block 966501234567 --scope opt-in --until 2090-01-01", exitDone, []string{"mandatory services alone until 2090-01-01", "masar subs unblock"}, ""},
		{"trusted again by hand", "add 0505555555 --service LOGIN --verified", exitDone, []string{"966505555555 enrolled in LOGIN"}, ""},
		{"its number changed hands", "recycled 0505555555", exitDone, []string{"suspended until"}, ""},
		{"and back", "add 0505555555 --service LOGIN --verified", exitDone, []string{"966505555555: changed; the services are what they were"}, "so already"},
		{"block is shown", "show 966501234567", exitDone, []string{"recycled", "blocked", "opt-in"}, ""},
		{"unblocked", "unblock 966501234567", exitDone, []string{"966501234567 is not blocked"}, ""},
		{"unblocked twice", "unblock 966501234567", exitFailed, []string{"the number is not blocked"}, ""},
		{"a file of blocks", "import --blocklist " + blocklist, exitDone, []string{"rows", "good", "bad", blocklist + ".bad.csv"}, ""},
		{"its block", "show 966502222222", exitDone, []string{"blocked", "all: letter 4711"}, ""},
		{"another encoding than said", "import " + arabic, exitFailed, []string{"windows-1256"}, ""},
		{"the encoding said", "import --encoding windows-1256 --verified " + arabic, exitDone, []string{"good", "1: 1 changed something"}, ""},
		{"export", "export", exitDone, []string{"966501234567", "966503333333"}, ""},
		{"stats", "stats", exitDone, []string{"subscribers  3", "blocked      1", "LOGIN"}, ""},
		{"jobs", "jobs", exitDone, []string{"enrolments", "blocklist", "done", "failed"}, ""},
		{"erased", "erase --person 1012345678 --yes", exitFailed, []string{"no such subscriber"}, ""},
		{"wrong scope", "block 966501234567 --scope some", exitUsage, []string{"one of all, opt-in"}, ""},
		{"nobody named", "show", exitUsage, []string{"name a number"}, ""},
		{"no file", "import /does/not/exist", exitUsage, []string{"no such file"}, ""},
		{"an unknown encoding", "import --encoding latin1 x", exitUsage, []string{"utf-8, windows-1256"}, ""},
	} {
		t.Run(row.name, func(t *testing.T) {
			r := masar(t, "", append(append([]string{"subs"}, strings.Fields(row.args)...), "--data", data)...)
			if r.code != row.code {
				t.Fatalf("code %d, want %d: %s%s", r.code, row.code, r.out, r.errs)
			}
			for _, want := range row.says {
				if !strings.Contains(r.out+r.errs, want) {
					t.Errorf("it does not say %q:\n%s%s", want, r.out, r.errs)
				}
			}
			if row.not != "" && strings.Contains(r.out, row.not) {
				t.Errorf("it says %q:\n%s", row.not, r.out)
			}
		})
	}
}

func TestANoticeIsShownBeforeItIsSent(t *testing.T) {
	data := startRegistry(t)
	notice := func(args ...string) result {
		t.Helper()
		return masar(t, "", append(append([]string{"notice"}, args...), "--data", data, "--account", "all")...)
	}
	params := []string{"--to", "0501234567", "--param", "document=1234", "--param", "expiry_date=1449/10/22"}
	if r := notice(append(params, "IDREN")...); r.code != exitFailed || !strings.Contains(r.errs, "days") || !strings.Contains(r.errs, "missing") {
		t.Errorf("a parameter is missing: %+v", r)
	}
	params = append(params, "--param", "days=60")
	if r := notice(append(params, "IDREN")...); r.code != exitFailed || !strings.Contains(r.errs, "nobody at the number is enrolled in the service: not_enrolled") {
		t.Errorf("nobody is enrolled: %+v", r)
	}
	masar(t, "", "subs", "add", "0501234567", "--service", "IDREN", "--verified", "--language", "en", "--data", data)
	if r := notice(append(params, "IDREN", "--dry-run")...); r.code != exitDone || !strings.Contains(r.out, "IDREN/1/en") || !strings.Contains(r.out, "Your national ID card 1234 expires") ||
		!strings.Contains(r.out, "gsm7, ") || strings.Contains(r.out, "message_id") {
		t.Errorf("dry run: %+v", r)
	}
	r := notice(append(params, "IDREN", "--json")...)
	var sent admin.NoticeAnswer
	if err := json.Unmarshal([]byte(r.out), &sent); err != nil || r.code != exitDone || len(sent.MessageID) != 16 {
		t.Errorf("%v: %+v", err, r)
	}
	if r := notice("--list"); r.code != exitDone || strings.Count(r.out, "\n") != 114 {
		t.Errorf("the list has %d lines: %s", strings.Count(r.out, "\n"), r.out)
	}
	if r := notice("IDREN", "--to", "1", "--param", "x"); r.code != exitUsage || !strings.Contains(r.errs, "NAME=VALUE") {
		t.Errorf("%+v", r)
	}
}

// What --help shows is what people type first.
func TestTheExampleOfANoticeHasTheParametersOfItsTemplate(t *testing.T) {
	data := startRegistry(t)
	examples := strings.Split(newNotice().Example, "\n")
	for _, line := range examples {
		args := append(strings.Fields(line)[1:], "--data", data, "--account", "all")
		if r := masar(t, "", args...); strings.Contains(r.errs, "params.") || r.code == exitUsage {
			t.Errorf("%s: %+v", line, r)
		}
	}
	if len(examples) < 2 {
		t.Errorf("%d examples", len(examples))
	}
}

func TestTheEntryOfAKeyCanBePastedWhateverItsName(t *testing.T) {
	for _, name := range []string{"bank-a", "a: b", "null", "0555", `say "x" #1`, "بنك أ"} {
		r := masar(t, "", "key", name)
		_, entry, _ := strings.Cut(r.out, "masar reload:\n")
		var read struct {
			API struct {
				Keys []struct{ Name, Channel string }
			} `yaml:"api"`
		}
		if err := yaml.Unmarshal([]byte(entry), &read); err != nil || len(read.API.Keys) != 1 ||
			read.API.Keys[0].Name != name || read.API.Keys[0].Channel != name {
			t.Errorf("%q: %v, %+v:\n%s", name, err, read, entry)
		}
	}
}

func TestAKeyIsPrintedWithTheEntryThatHasItsHash(t *testing.T) {
	r := masar(t, "", "key", "bank-a", "--scopes", "enrol,notices", "--account", "pilot", "--json")
	var made struct {
		Key     string `json:"key"`
		KeyHash string `json:"key_hash"`
		Channel string `json:"channel"`
	}
	if err := json.Unmarshal([]byte(r.out), &made); err != nil || made.KeyHash != admin.HashKey(made.Key).String() || made.Channel != "bank-a" {
		t.Errorf("%v: %+v", err, r)
	}
	if r := masar(t, "", "key", "bank-a"); r.code != exitDone || !strings.Contains(r.out, "key    masar_") || !strings.Contains(r.out, "scopes: [enrol, withdraw, read]") {
		t.Errorf("%+v", r)
	}
	for args, says := range map[string]string{
		"key": "name whom", "key a --scopes fly": `"fly" is no scope`, "key a --scopes notices": "--account",
	} {
		if r := masar(t, "", strings.Fields(args)...); r.code != exitUsage || !strings.Contains(r.errs, says) {
			t.Errorf("masar %s: %+v", args, r)
		}
	}
	for _, s := range keyScopes {
		if _, err := admin.ParseScopes([]string{s.name}); err != nil {
			t.Error(err)
		}
	}
	if all, err := admin.ParseScopes([]string{"nothing"}); err == nil || strings.Count(err.Error(), ",") != len(keyScopes)-1 {
		t.Errorf("the help of masar key has %d scopes, the API %v %v", len(keyScopes), all, err)
	}
}
