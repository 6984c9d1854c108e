package service_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the tests' zones, whatever the machine has

	"gopkg.in/yaml.v3"

	"masar/number"
	"masar/service"
	"masar/smpp/text"
)

// exampleFile is examples/catalogue.yaml as far as this test needs it; what it does not
// name it refuses. The loader that users get is config's.
type exampleFile struct {
	Languages  []string
	TimeZone   string                           `yaml:"time_zone"`
	QuietHours struct{ Days, Weekend []string } `yaml:"quiet_hours"`
	Weekend    []string
	Holidays   []exampleDates
	Overrides  []struct {
		exampleDates `yaml:",inline"`
		QuietHours   string `yaml:"quiet_hours"`
		Permitted    map[string]string
	}
	Categories map[string]struct {
		Permitted    string
		SenderSuffix string `yaml:"sender_suffix"`
	}
	Agencies []struct {
		Code, Sender string
		Name         service.Texts
		Calendar     string
		TestNumbers  []number.E164 `yaml:"test_numbers"`
	}
	Senders []struct {
		Name, Agency string
		Carriers     map[string]struct{ State string }
		AnyCarrier   bool `yaml:"any_carrier"`
	}
	Services []struct {
		Code, Agency, Kind, Class, Category, Mode, Validity string
		Name                                                service.Texts
		QuietHours                                          string `yaml:"quiet_hours"`
		LeadDays                                            []int  `yaml:"lead_days"`
		Pilot, Merge                                        bool
		Domains                                             []string
		Params                                              []service.Param
		Template                                            service.Texts
	}
}

type exampleDates struct{ Name, From, To string }

// exampleOptions reads the catalogue that the product ships with.
func exampleOptions(t testing.TB) service.Options {
	t.Helper()
	data, err := os.ReadFile("../examples/catalogue.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var f exampleFile
	d := yaml.NewDecoder(bytes.NewReader(data))
	d.KnownFields(true)
	if err := d.Decode(&f); err != nil {
		t.Fatal(err)
	}
	zone, err := time.LoadLocation(f.TimeZone)
	if err != nil {
		t.Fatal(err)
	}
	o := service.Options{Languages: f.Languages, Zone: zone}
	o.Calendar.Quiet = service.Windows{Days: spans(t, f.QuietHours.Days...), Weekend: spans(t, f.QuietHours.Weekend...)}
	weekdays := map[string]time.Weekday{"sun": 0, "mon": 1, "tue": 2, "wed": 3, "thu": 4, "fri": 5, "sat": 6}
	for _, d := range f.Weekend {
		o.Calendar.Weekend = append(o.Calendar.Weekend, known(t, weekdays, d))
	}
	for _, d := range f.Holidays {
		o.Calendar.Holidays = append(o.Calendar.Holidays, dates(t, d.Name, d.From, d.To))
	}
	for _, v := range f.Overrides {
		override := service.Override{Dates: dates(t, v.Name, v.From, v.To), Quiet: windows(t, v.QuietHours), Permitted: map[string]*service.Windows{}}
		for name, hours := range v.Permitted {
			override.Permitted[name] = windows(t, hours)
		}
		o.Calendar.Overrides = append(o.Calendar.Overrides, override)
	}
	for _, name := range slices.Sorted(maps.Keys(f.Categories)) {
		c := f.Categories[name]
		o.Categories = append(o.Categories, service.Category{Name: name, Permitted: windows(t, c.Permitted), SenderSuffix: c.SenderSuffix})
	}
	for _, a := range f.Agencies {
		style, _ := service.DateStyleOf(a.Calendar)
		o.Agencies = append(o.Agencies, service.Agency{Code: a.Code, Name: a.Name, Sender: a.Sender, Calendar: style, TestNumbers: a.TestNumbers})
	}
	for _, s := range f.Senders {
		sender := service.Sender{Name: s.Name, Agency: s.Agency, AnyCarrier: s.AnyCarrier, Carriers: map[string]service.SenderAt{}}
		for carrier, at := range s.Carriers {
			state, ok := service.SenderStateOf(at.State)
			if !ok {
				t.Fatalf("%s: no state %q", s.Name, at.State)
			}
			sender.Carriers[carrier] = service.SenderAt{State: state}
		}
		o.Senders = append(o.Senders, sender)
	}
	for _, s := range f.Services {
		kind, okKind := service.KindOf(s.Kind)
		mode, okMode := service.ModeOf(s.Mode)
		validity, err := time.ParseDuration(s.Validity)
		if !okKind || !okMode || err != nil {
			t.Fatalf("%s: kind %q, mode %q, validity %q", s.Code, s.Kind, s.Mode, s.Validity)
		}
		o.Services = append(o.Services, service.Service{
			Code: s.Code, Agency: s.Agency, Name: s.Name, Kind: kind, Mode: mode, Category: s.Category,
			Class:    known(t, map[string]uint8{"urgent": 0, "normal": 1, "bulk": 2}, s.Class),
			Validity: validity,
			Hold:     known(t, map[string]bool{"hold": true, "allow": false}, s.QuietHours),
			Domains:  s.Domains, LeadDays: s.LeadDays, Pilot: s.Pilot, Merge: s.Merge, Params: s.Params,
			Text:     service.TextOptions{FoldPresentation: true},
			Versions: []service.Version{{Number: 1, Text: s.Template}},
		})
	}
	return o
}

func known[K comparable, V any](t testing.TB, table map[K]V, key K) V {
	t.Helper()
	v, ok := table[key]
	if !ok {
		t.Fatalf("unknown value %v", key)
	}
	return v
}

func windows(t testing.TB, hours string) *service.Windows {
	t.Helper()
	if hours == "" {
		return nil
	}
	return &service.Windows{Days: spans(t, hours)}
}

func spans(t testing.TB, hours ...string) []service.Span {
	t.Helper()
	out := []service.Span{}
	for _, s := range hours {
		var a, b, c, d int
		if _, err := fmt.Sscanf(s, "%d:%d-%d:%d", &a, &b, &c, &d); err != nil {
			t.Fatalf("hours %q: %v", s, err)
		}
		out = append(out, service.Span{From: a*60 + b, To: c*60 + d})
	}
	return out
}

func day(t testing.TB, s string) service.Day {
	t.Helper()
	d, err := time.Parse(time.DateOnly, s)
	if err != nil {
		t.Fatal(err)
	}
	return service.Day{Year: d.Year(), Month: d.Month(), Day: d.Day()}
}

func dates(t testing.TB, name, from, to string) service.Dates {
	t.Helper()
	return service.Dates{Name: name, From: day(t, from), To: day(t, to)}
}

func example(t testing.TB) *service.Catalogue {
	t.Helper()
	c, err := service.New(exampleOptions(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

var someday = time.Date(2027, 6, 2, 9, 0, 0, 0, time.UTC)

func TestTheShippedCatalogueIsWholeAndSound(t *testing.T) {
	o := exampleOptions(t)
	c := example(t)
	if n, m := len(c.Services()), len(o.Agencies); n != 113 || m != 13 {
		t.Errorf("%d services over %d agencies, want 113 over 13", n, m)
	}
	for _, w := range c.Warnings() {
		t.Error("warning:", w.Error())
	}
	if !c.Service("IDRDY").Merge || c.Agency("civil-affairs").Calendar != service.Hijri || len(c.Service("WEATH").Owner().TestNumbers) == 0 {
		t.Error("the example shows no merge, no Hijri dates or no test numbers")
	}
	pilot := 0
	for i, s := range c.Services() {
		if s.Code != o.Services[i].Code {
			t.Errorf("service %d is %s, want %s: the order of the file", i, s.Code, o.Services[i].Code)
		}
		if c.Service(s.Code) != s || c.ServiceBytes([]byte(s.Code)) != s {
			t.Errorf("%s is not found by its code", s.Code)
		}
		if s.Pilot {
			pilot++
		}
		if s.Kind == service.ExpiryReminder && len(s.LeadDays) == 0 {
			t.Errorf("%s has no lead_days: a reminder of it would be due on no day", s.Code)
		}
		for _, l := range c.Languages() {
			if s.Name[l] == "" || c.Agency(s.Agency).Name[l] == "" {
				t.Errorf("%s or its agency has no name in %s", s.Code, l)
			}
		}
		if got := c.MaySend(c.SenderOf(s), s); got != service.Allowed {
			t.Errorf("%s may not use its own sender %s: %s", s.Code, c.SenderOf(s), got)
		}
		if !c.ActiveAt(c.SenderOf(s), "stc", someday) {
			t.Errorf("%s's sender is not active at stc", s.Code)
		}
		if urgent := s.Class == 0; urgent && s.Hold {
			t.Errorf("%s is urgent and holds", s.Code)
		}
	}
	if pilot != 8 {
		t.Errorf("%d pilot services, want 8", pilot)
	}
}

// The longest possible notice still has a sane number of parts: 3 with every parameter at
// its full length in Arabic. The agency pays for each.
func TestEveryTemplateRendersInEveryLanguageAtFullLength(t *testing.T) {
	const most = 3
	c := example(t)
	longest := 0
	for _, s := range c.Services() {
		for _, l := range c.Languages() {
			fill := map[string]string{"ar": "ش", "en": "W"}[l]
			params := map[string]string{}
			for _, p := range s.Params {
				params[p.Name] = strings.Repeat(fill, p.Max)
			}
			if _, ok := params["link"]; ok {
				params["link"] = "https://moi.gov.sa/" + strings.Repeat("w", 40-len("https://moi.gov.sa/"))
			}
			r, err := c.Render(s, l, params, someday)
			if err != nil {
				t.Errorf("%s in %s: %v", s.Code, l, err)
				continue
			}
			if r.Language != l || r.Version != 1 || r.Template(s.Code) != s.Code+"/1/"+l {
				t.Errorf("%s in %s: rendered as %s", s.Code, l, r.Template(s.Code))
			}
			for name, value := range params {
				if !strings.Contains(r.Text, value) || strings.Contains(r.Text, "{"+name+"}") {
					t.Errorf("%s in %s: {%s} is not filled in: %s", s.Code, l, name, r.Text)
				}
			}
			n := parts(t, r.Text)
			longest = max(longest, n)
			if n > most {
				t.Errorf("%s in %s has %d parts at full length, want at most %d", s.Code, l, n, most)
			}
		}
	}
	t.Logf("the longest notice has %d parts", longest)
}

// notices are the corpus's texts of every service, filled in as agencies would.
func notices(t testing.TB) (all []struct{ Note, Text string }) {
	t.Helper()
	f, err := os.Open("testdata/notices.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var n struct{ Note, Text string }
		if err := json.Unmarshal(lines.Bytes(), &n); err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	if len(all) != 183 {
		t.Fatalf("%d notices, want 183", len(all))
	}
	return all
}

func TestLookupsDoNotAllocate(t *testing.T) {
	c := example(t)
	code, s := []byte("IDREN"), c.Service("IDREN")
	standing := &service.Standing{People: []service.Subscriber{{Person: service.Person{1}, Enrolments: []service.Enrolment{{Service: "IDREN"}}}}}
	for name, f := range map[string]func(){
		"ServiceBytes": func() { c.ServiceBytes(code) },
		"Judge":        func() { c.Judge(service.Question{Service: s, Standing: standing, Now: someday}) },
		"MaySend":      func() { c.MaySend("AHWAL", s) },
		"ActiveAt":     func() { c.ActiveAt("AHWAL", "stc", someday) },
		"SenderOf":     func() { c.SenderOf(s) },
		"OpensAt":      func() { c.OpensAt(s, someday) },
		"Links": func() {
			c.Links("المرور: سُددت المخالفة 12345 (1.500 ر.س) في 1449/11/21. شكرًا لكم.", s)
		},
	} {
		if n := testing.AllocsPerRun(100, f); n > 0 {
			t.Errorf("%s allocates %v times", name, n)
		}
	}
}

func TestTextsFallBack(t *testing.T) {
	texts := service.Texts{"ar": "اسم", "en": "name", "fr": ""}
	for _, row := range []struct {
		name           string
		texts          service.Texts
		asked          []string
		text, language string
	}{
		{"the first asked for", texts, []string{"en", "ar"}, "name", "en"},
		{"the next where one is missing", texts, []string{"ur", "ar", "en"}, "اسم", "ar"},
		{"an empty one is missing", texts, []string{"fr", "en"}, "name", "en"},
		{"any where none is there", texts, []string{"ur"}, "اسم", "ar"},
		{"nothing where nothing is", nil, []string{"ar"}, "", ""},
	} {
		if text, language := row.texts.In(row.asked...); text != row.text || language != row.language {
			t.Errorf("%s: %q in %q, want %q in %q", row.name, text, language, row.text, row.language)
		}
	}
}

// mistakes are what New says against Options.
func mistakes(t testing.TB, o service.Options) (all []*service.Mistake) {
	t.Helper()
	_, err := service.New(o)
	if err == nil {
		return nil
	}
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		t.Fatalf("%T is not joined", err)
	}
	for _, e := range joined.Unwrap() {
		var m *service.Mistake
		if !errors.As(e, &m) {
			t.Fatalf("%T is no *Mistake: %v", e, e)
		}
		all = append(all, m)
	}
	return all
}

// parts is how many a text goes out in, with 16-bit references: the smaller parts.
func parts(t testing.TB, s string) int {
	t.Helper()
	n, err := text.Count(s, text.Choose(s), text.UDH16)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// A reload builds the whole catalogue: the longest waits of every service included.
func BenchmarkNew(b *testing.B) {
	o := exampleOptions(b)
	for b.Loop() {
		if _, err := service.New(o); err != nil {
			b.Fatal(err)
		}
	}
}
