package config

import (
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// load reads texts as two files that lie beside each other.
func load(t *testing.T, o ParseOptions, main, catalogue string) (*Config, []Warning, error) {
	t.Helper()
	o.StatusName = statusNames
	o.ReadFile = files(map[string]string{"catalogue.yaml": catalogue})
	if o.Now == nil {
		o.Now = func() time.Time { return time.Date(2027, 1, 1, 0, 0, 0, 0, time.UTC) }
	}
	return o.Parse("masar.yaml", []byte(main))
}

func smallCatalogue(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("testdata/bad/catalogue/small.yaml")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

func governedBy(swaps ...string) string {
	return strings.NewReplacer(append(swaps, "CATALOGUE", "catalogue.yaml")...).Replace(governed)
}

func TestTheCatalogueOfTheProductLoadsWhole(t *testing.T) {
	data, err := os.ReadFile("../examples/catalogue.yaml")
	if err != nil {
		t.Fatal(err)
	}
	main := governedBy("routes:", `  - {name: mobily, addr: "h:1", system_id: m, password: p}
  - {name: zain, addr: "h:2", system_id: m, password: p}
routes:`, "carriers: [{", "carriers:\n  - {", `secret}]`, `secret}`, "agency: civil-affairs", "services: [OTPEN, SUBAD]")
	c, _, err := load(t, ParseOptions{}, main, string(data))
	if err != nil {
		t.Fatal(err)
	}
	pilot := 0
	for _, s := range c.Catalogue.Services {
		if s.Pilot {
			pilot++
		}
		if len(s.Templates) == 0 || s.Template != nil {
			t.Errorf("%s: templates %v", s.Code, s.Templates)
		}
	}
	if len(c.Catalogue.Services) != 113 || len(c.Catalogue.Agencies) != 13 || pilot != 8 {
		t.Errorf("%d services, %d of them pilot, %d agencies; there were 113, 8, 13", len(c.Catalogue.Services), pilot, len(c.Catalogue.Agencies))
	}
}

func TestACatalogueReadsInEveryForm(t *testing.T) {
	c, warnings, err := ParseOptions{StatusName: statusNames, Env: env(map[string]string{"STC_PASSWORD": "x"})}.Load("testdata/good/governed.yaml")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range warnings {
		if strings.Contains(w.String(), "catalogue.yaml") {
			t.Errorf("warning: %v", w)
		}
	}
	k := c.Catalogue
	if got := hours(k.QuietHours); got != "22:00-08:00 | 22:00-10:00 13:00-15:00" {
		t.Errorf("quiet hours %s", got)
	}
	if h := k.Holidays[0]; h.To != h.From || h.To != (Day{2027, time.September, 23}) {
		t.Errorf("a holiday of one day: %+v", h)
	}
	o := k.Overrides[0]
	if hours(*o.QuietHours) != "03:00-11:00 | 03:00-11:00" || hours(*o.Permitted["awareness"]) != "11:00-02:00 | 11:00-02:00" || len(o.Permitted) != 1 {
		t.Errorf("override %+v", o)
	}
	if k.Categories["warning"] == nil || k.Categories["warning"].Permitted != nil || k.Categories["personal"] != nil {
		t.Errorf("categories %v: the file's replace the default ones", k.Categories)
	}
	if p := k.Categories["promotional"]; p.SenderSuffix != "-AD" || len(p.Permitted.Days) != 1 || p.Permitted.Weekend == nil || len(p.Permitted.Weekend) != 0 {
		t.Errorf("promotional %+v: no hours on weekends are no hours, not those of the days", p.Permitted)
	}
	if a := k.Agencies[0]; a.QuietHours == nil || len(a.QuietHours.Days) != 0 || a.TimeZone.String() != "Asia/Riyadh" {
		t.Errorf("agency %+v", a)
	}
	if a := k.Agencies[1]; a.TimeZone.String() != "UTC" || hours(*a.QuietHours) != "23:00-06:00 | 23:00-06:00" {
		t.Errorf("agency %+v", a)
	}
	if s := k.Senders[0]; *s.Carriers["stc"] != (SenderAt{State: "active"}) || *s.Carriers["zain.sa"] != (SenderAt{"active", Day{2099, time.December, 31}}) {
		t.Errorf("sender %+v", s.Carriers)
	}
	var holds []bool
	for _, s := range k.Services {
		holds = append(holds, s.QuietHours.Hold())
	}
	if !slices.Equal(holds, []bool{true, false, true, false}) {
		t.Errorf("hold %v: own hours and hold do, allow and a one-time code do not", holds)
	}
	s := k.Services[0]
	if s.QuietHours.Own == nil || hours(*s.QuietHours.Own) != "23:00-07:00 | 23:00-07:00" || k.Services[2].QuietHours.Own != nil {
		t.Errorf("own hours %+v", s.QuietHours)
	}
	if len(s.Templates) != 2 || s.Templates[1].ValidFrom != (Day{2027, time.January, 1}) || s.Text != (TextOptions{false, "strip", "strip", "european", true, "gsm"}) {
		t.Errorf("service %+v", s)
	}
	if a := k.Services[1]; len(a.Templates) != 1 || a.Templates[0].Version != 1 || a.Template != nil || !a.Text.Fold || a.Unenrolled != "refuse" {
		t.Errorf("the short form of a template: %+v", a)
	}
	// The configuration beside it.
	if m := c.Carriers[0].Free.Markers[0]; len(m.TLVs) != 2 || m.TLVs[0].Tag != 0x060B || string(m.TLVs[0].Octets) != "\x00\x30" || string(m.TLVs[1].Octets) != "free" {
		t.Errorf("marker %+v", m)
	}
	if r := c.TestNumbers[1]; r.Outcomes["4"] != "EXPIRED" || r.Outcomes["5"] != "never" || r.Outcomes["8"] != "unknown-subscriber" || len(r.Outcomes) != 10 {
		t.Errorf("outcomes %v: a digit that is left out keeps its default", r.Outcomes)
	}
	if r := c.TestNumbers[0]; !r.Range.Contains("966500000100") || r.Range.Contains("966500000101") || r.Delay != 2*time.Second {
		t.Errorf("one number: %+v", r)
	}
	if a := k.Agencies[0]; a.Calendar != "hijri" || !slices.Equal(a.TestNumbers, []string{"966501234567", "966559876543"}) || k.Agencies[1].Calendar != "gregorian" || k.Agencies[1].TestNumbers != nil {
		t.Errorf("calendars and test numbers: %+v", k.Agencies)
	}
	if !k.Services[0].Merge || k.Services[1].Merge {
		t.Error("merge is what the file says, and not by default")
	}
	if r := c.Reminders; r.At.String() != "10:30" || r.Pace != 0 || r.Tries != 5 || c.RemindersDir() != filepath.Join("testdata/good/files/reminders") {
		t.Errorf("reminders %+v", r)
	}
	if want := (Campaigns{Ahead: 100, Keep: 30 * 24 * time.Hour, Max: 100 << 20}); c.Campaigns != want || c.CampaignsDir() != filepath.Join("var", "masar", "campaigns") {
		t.Errorf("campaigns %+v", c.Campaigns)
	}
	if c.API.Keys[1].Channel != "bank-a" || c.API.Keys[2].Channel != "ministry" || c.Subscribers.Key.Reveal() != strings.Repeat("0", 63)+"7" {
		t.Errorf("keys %+v", c.API.Keys)
	}
	if c.SubscribersDir() != filepath.Join("var", "masar", "subscribers") || c.SubscribersKeyFile() != filepath.Join("testdata/good/files/subscribers-key") || c.BulkDir() != filepath.Join("var", "masar", "bulk") {
		t.Errorf("%s, %s, %s", c.SubscribersDir(), c.SubscribersKeyFile(), c.BulkDir())
	}
}

func hours(w Windows) string {
	var parts []string
	for _, s := range w.Days {
		parts = append(parts, s.String())
	}
	parts = append(parts, "|")
	for _, s := range w.Weekend {
		parts = append(parts, s.String())
	}
	return strings.Join(parts, " ")
}

// What the room of the catalogue finds stands at its line, among the other mistakes, and
// is left out where the same value was told already.
func TestWhatTheCataloguesRoomFindsIsToldAtItsLine(t *testing.T) {
	bad := strings.Replace(smallCatalogue(t), "72h", "72", 1)
	o := ParseOptions{Catalogue: func(c *Catalogue) (bad, warn []Finding) {
		if c.Services[0].Templates[0].Version != 1 {
			t.Errorf("the short form is not filled: %+v", c.Services[0].Templates)
		}
		return []Finding{
			{"services[0].template.en", "", "lacks {name}", "add it"},
			{"services[0].validity", "0s", "is outside 1m to 720h", ""},
			{"services[3].templates[0].text.ar", "", "is empty", ""},
			{"quiet_hours.days[0]", "22:00-08:00", "is long", "shorten it"},
		}, []Finding{{"agencies[0].name", "", "has no text in ur", "write one"}}
	}}
	_, warnings, err := load(t, o, governedBy(), bad)
	want := `catalogue.yaml:2:14: quiet_hours.days[0]: "22:00-08:00" is long; shorten it
catalogue.yaml:15:15: services[0].validity: "72" has no unit; write 72s
catalogue.yaml:17:51: services[0].template.en: lacks {name}; add it
catalogue.yaml:37:5: services[3].templates[0].text.ar: is empty`
	if err == nil || err.Error() != want {
		t.Errorf("got\n%v\nwant\n%s", err, want)
	}
	if !slices.ContainsFunc(warnings, func(w Warning) bool {
		return w.String() == "catalogue.yaml:4:33: agencies[0].name: has no text in ur; write one"
	}) {
		t.Errorf("warnings %v", warnings)
	}
}

func TestOneVersionMayStandInEitherForm(t *testing.T) {
	text := strings.Replace(smallCatalogue(t), `template: {ar: "رمزكم {code}.", en: "Your code is {code}."}`, `templates: [{version: 1, text: {en: "Your code is {code}."}}]`, 1)
	o := ParseOptions{Catalogue: func(*Catalogue) ([]Finding, []Finding) {
		return []Finding{{"services[2].template.en", "", "is wrong", ""}}, nil
	}}
	_, _, err := load(t, o, governedBy(), text)
	if want := `catalogue.yaml:36:41: services[2].templates[0].text.en: is wrong`; err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestWhatWillNotGoOnIsWarnedAbout(t *testing.T) {
	small := smallCatalogue(t)
	keys := "api: {keys: [{name: old, key_hash: \"sha256:" + strings.Repeat("0", 64) + "\", scopes: [read], expires: 2026-12-30}]}\n"
	for _, tc := range []struct {
		name, main, catalogue string
		want                  []string
	}{
		{"nothing", governedBy(), small, nil},
		{"a plain account", governedBy("system_id: acme", "system_id: plain, password_hash: \"$2a$10$...\"}\n  - {system_id: acme"), small,
			[]string{`accounts[0]: "plain" has no agency and no services: a plain gateway, no consent is asked; write agency: and its code, or agency: none if that is meant`}},
		{"a plain account on purpose", governedBy("system_id: acme", "system_id: plain, agency: none, password_hash: \"$2a$10$...\"}\n  - {system_id: acme"), small, nil},
		{"no subscribers", governedBy("subscribers: {account: acme, code: {service: OTPEN}}\n", ""), small,
			[]string{`catalogue: has 1 opt-in services, but subscribers is left out: no codes are sent and no keyword is answered; write subscribers: with an account and a code service`}},
		{"a registration that ends soon", governedBy(), strings.Replace(small, "2037-12-31", "2027-01-30", 1),
			[]string{`senders[0].carriers.stc.expires: "2027-01-30" is 29 days off: stc will not take AHWAL then; renew the registration`}},
		{"one that ends later", governedBy(), strings.Replace(small, "2037-12-31", "2027-01-31", 1), nil},
		{"a registration that has ended", governedBy(), strings.Replace(small, "2037-12-31", "2026-12-31", 1),
			[]string{`senders[0].carriers.stc.expires: "2026-12-31" is past: stc does not take AHWAL any more; renew the registration`}},
		{"a sender that nobody takes yet", governedBy(), strings.Replace(small, "state: active", "state: pending", 1),
			[]string{`senders[0].carriers: AHWAL is active with none of them: nothing can leave under it; register it`}},
		{"a key that has ended", governedBy() + keys, small,
			[]string{`api.keys[0].expires: "2026-12-30" is past: the key is refused; remove it, or make a new one with masar key old`}},
		{"a route for plain accounts", governedBy("system_id: acme", "system_id: plain, password_hash: \"$2a$10$...\"}\n  - {system_id: acme", "carriers: [stc]}", "services: [XX], carriers: [stc]}"), small,
			[]string{
				`accounts[0]: "plain" has no agency and no services: a plain gateway, no consent is asked; write agency: and its code, or agency: none if that is meant`,
				`routes[0].services[0]: "XX" is no service of the catalogue: only plain accounts can send it; check the code`,
			}},
		{"a trial that reaches nobody", governedBy("agency: civil-affairs", "agency: civil-affairs, trial: true"), small,
			[]string{`accounts[0].trial: is set, but there are no trial_numbers and no test_numbers: it reaches nobody; write trial_numbers`}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, warnings, err := load(t, ParseOptions{}, tc.main, tc.catalogue)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, w := range warnings {
				if !strings.HasSuffix(w.Path, "password_hash") {
					_, text, _ := strings.Cut(w.String(), ": ")
					got = append(got, text)
				}
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
		})
	}
}

func TestTheRegistrysKeyIsNotForOthers(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{"named": strings.Repeat("a1", 32), "data/subscribers/key": strings.Repeat("b2", 32)} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text+"\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, 0o640); err != nil {
			t.Fatal(err)
		}
	}
	for at, extra := range map[string]string{"subscribers.key_file": "subscribers: {key_file: named}\n", "subscribers": ""} {
		main := strings.Replace(smallest, "./var/masar", filepath.Join(dir, "data"), 1) + extra
		c, warnings, err := Parse(filepath.Join(dir, "masar.yaml"), []byte(main), env(nil))
		if err != nil {
			t.Fatal(err)
		}
		if !slices.ContainsFunc(warnings, func(w Warning) bool { return w.Path == at && strings.Contains(w.Rule, "mode 0640") }) {
			t.Errorf("%s: warnings %v", at, warnings)
		}
		if extra != "" && c.Subscribers.Key.Reveal() != strings.Repeat("a1", 32) {
			t.Error("the key is not read")
		}
	}
}

// Only what a route can lead to a carrier needs a marker there.
func TestAMarkerIsAskedForWhereARouteLeads(t *testing.T) {
	for _, tc := range []struct {
		name, account, route, markers string
		lacking                       string // empty: it loads
	}{
		{"every route", "agency: civil-affairs", "carriers: [stc]", "services: [IDNEW]", "SUBAD, OTPEN"},
		{"by service", "agency: civil-affairs", "services: [IDNEW], carriers: [stc]", "services: [IDNEW]", ""},
		{"by class", "agency: civil-affairs", "classes: [urgent], carriers: [stc]", "services: [IDNEW]", "OTPEN"},
		{"by another account", "agency: civil-affairs", "accounts: [plain], carriers: [stc]", "services: [IDNEW]", ""},
		{"by grant", "services: [IDNEW, OTPEN]", "carriers: [stc]", "services: [IDNEW]", "OTPEN"},
		{"a marker for the rest", "agency: civil-affairs", "carriers: [stc]", "name: rest", ""},
		{"as a failover", "services: [OTPEN]", "carriers: [b, {failover: stc}]", "services: [IDNEW]", "OTPEN"},
		{"not at all", "agency: civil-affairs", "carriers: [b]", "services: [IDNEW]", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			marker := "{name: m, service_type: F, " + tc.markers + "}"
			if tc.markers == "name: rest" {
				marker = "{name: rest, service_type: F}"
			}
			main := governedBy("agency: civil-affairs", tc.account, "carriers: [stc]", tc.route,
				"password: secret}]", "password: secret, free: {required: true, markers: ["+marker+"]}}, {name: b, addr: \"h:1\", system_id: m, password: p}]",
				"accounts:\n", "accounts:\n  - {system_id: plain, password_hash: \"$2a$10$...\"}\n")
			_, _, err := load(t, ParseOptions{}, main, smallCatalogue(t))
			switch {
			case tc.lacking == "" && err != nil:
				t.Error(err)
			case tc.lacking != "" && (err == nil || !strings.Contains(err.Error(), "carriers[0].free.markers: have none for "+tc.lacking+", and")):
				t.Errorf("got %v, want %s", err, tc.lacking)
			}
		})
	}
}

func TestAReloadTellsWhatIsDifferentInTheCatalogue(t *testing.T) {
	small := smallCatalogue(t)
	swap := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(small) }
	old, _, err := load(t, ParseOptions{}, governedBy(), small)
	if err != nil {
		t.Fatal(err)
	}
	key := func(hash string) string {
		return "api: {keys: [{name: bank-a, scopes: [read], key_hash: \"sha256:" + strings.Repeat(hash, 64) + "\"}]}\n"
	}
	for _, tc := range []struct {
		name, main, catalogue string
		want                  []string
	}{
		{"nothing", governedBy(), small, nil},
		{"a service's validity", governedBy(), swap("72h", "48h"), []string{"~ catalogue.services[IDNEW].validity: 72h -> 48h"}},
		{"a service comes, another goes", governedBy(), swap("code: TVREC", "code: TVNEW"), []string{"- catalogue.services[TVREC]", "+ catalogue.services[TVNEW]"}},
		{"a text", governedBy(), swap("is ready.", "waits."), []string{"~ catalogue.services[IDNEW].templates[1].text.en: Your ID {document} is ready. -> Your ID {document} waits."}},
		{"a name in one language more", governedBy(), swap("[ar, en]", "[ar, en, ur]", "en: Traffic}", "en: Traffic, ur: ٹریفک}"),
			[]string{"~ catalogue.languages: [ar, en] -> [ar, en, ur]", "+ catalogue.agencies[traffic].name.ur"}},
		{"a registration", governedBy(), swap("state: active", "state: suspended"), []string{"~ catalogue.senders[AHWAL].carriers.stc.state: active -> suspended"}},
		{"quiet hours", governedBy(), swap(`quiet_hours: "22:00-08:00"`, `quiet_hours: {days: "22:00-08:00", weekend: []}`), []string{"~ catalogue.quiet_hours.weekend: [22:00-08:00] -> (none)"}},
		{"the zone that agencies follow", governedBy(), "time_zone: UTC\n" + small, []string{"~ catalogue.time_zone: Asia/Riyadh -> UTC"}},
		{"an override", governedBy(), small + "overrides: [{name: ramadan, from: 2027-02-08}]\n", []string{"+ catalogue.overrides[ramadan]"}},
		{"a parameter's length", governedBy(), swap("max: 20", "max: 30"), []string{"~ catalogue.services[IDNEW].params[document].max: 20 -> 30"}},
		{"the catalogue goes", strings.Replace(governedBy("catalogue: CATALOGUE\n", "", "subscribers: {account: acme, code: {service: OTPEN}}\n", ""), ", agency: civil-affairs", "", 1), small,
			[]string{"~ accounts[acme].agency: civil-affairs -> (none)", "~ catalogue: catalogue.yaml -> (none)", "~ subscribers.code.service: OTPEN -> (none)", "~ subscribers.account: acme -> (none)"}},
		{"a key of the API", governedBy() + key("1"), small, []string{"+ api.keys[bank-a]"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			now, _, err := load(t, ParseOptions{}, tc.main, tc.catalogue)
			if err != nil {
				t.Fatal(err)
			}
			wantChanges(t, Diff(old, now), tc.want)
		})
	}
	a, _, errA := load(t, ParseOptions{}, governedBy()+key("1"), small)
	b, _, errB := load(t, ParseOptions{}, governedBy()+key("2"), small)
	if errA != nil || errB != nil {
		t.Fatal(errA, errB)
	}
	wantChanges(t, Diff(a, b), []string{"~ api.keys[bank-a].key_hash: *** -> ***"})
}

func wantChanges(t *testing.T, changes []Change, want []string) {
	t.Helper()
	var got []string
	for _, c := range changes {
		got = append(got, c.String())
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestACatalogueThatCannotBeReadIsAMistakeOfTheConfiguration(t *testing.T) {
	o := ParseOptions{ReadFile: func(string) ([]byte, fs.FileMode, error) { return nil, 0, fs.ErrPermission }}
	_, _, err := o.Parse("masar.yaml", []byte(governedBy()))
	want := `masar.yaml:2:12: catalogue: "catalogue.yaml" cannot be read: permission denied; check the name (it is relative to masar.yaml) and its owner`
	if err == nil || err.Error() != want {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}

// Whatever the catalogue file holds, there is an answer with places in it.
func FuzzCatalogue(f *testing.F) {
	for _, pattern := range []string{"testdata/bad-catalogue/*.yaml", "testdata/bad/catalogue/*.yaml", "testdata/good/files/catalogue.yaml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil || len(paths) == 0 {
			f.Fatal(pattern, err)
		}
		for _, p := range paths {
			data, err := os.ReadFile(p)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		start := time.Now()
		c, warnings, err := load(t, ParseOptions{}, governedBy(), string(data))
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%d octets took %v", len(data), took)
		}
		for _, w := range warnings {
			if strings.Contains(w.String(), "\n") {
				t.Errorf("a warning of two lines: %q", w)
			}
		}
		if err == nil {
			if got := Diff(c, c); len(got) != 0 {
				t.Errorf("differs from itself: %v", got)
			}
			return
		}
		list, ok := err.(Errors)
		if !ok || c != nil || len(list) == 0 {
			t.Fatalf("config %v, error %v", c, err)
		}
		for _, m := range list {
			if m.Line < 1 || m.Column < 1 || m.Rule == "" || strings.Contains(m.String(), "\n") {
				t.Errorf("%#v", m)
			}
		}
	})
}
