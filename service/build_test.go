package service_test

import (
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"masar/number"
	"masar/service"
)

// small is a sound catalogue of two services, AAA opt-in and BBB mandatory, for tests that
// change one thing of it.
func small() service.Options {
	return service.Options{
		Languages: []string{"ar", "en"},
		Zone:      time.UTC,
		Calendar:  service.Calendar{Quiet: service.Windows{Days: []service.Span{{From: 22 * 60, To: 8 * 60}}}},
		Categories: []service.Category{
			{Name: "service"},
			{Name: "awareness", Permitted: &service.Windows{Days: []service.Span{{From: 9 * 60, To: 22 * 60}}}},
			{Name: "promotional", SenderSuffix: "-AD"},
		},
		Agencies: []service.Agency{
			{Code: "one", Name: service.Texts{"en": "One"}, Sender: "ONE"},
			{Code: "two", Name: service.Texts{"en": "Two"}, Sender: "TWO"},
		},
		Senders: []service.Sender{
			{Name: "ONE", Agency: "one", AnyCarrier: true},
			{Name: "TWO", Agency: "two", AnyCarrier: true},
			{Name: "ONE-AD", Agency: "one", Categories: []string{"promotional"}, AnyCarrier: true},
		},
		Services: []service.Service{
			{
				Code: "AAA", Agency: "one", Name: service.Texts{"ar": "أ", "en": "A"}, Kind: service.RecordChange,
				Class: 1, Category: "service", Mode: service.OptIn, Validity: 72 * time.Hour, Hold: true,
				Params:   []service.Param{{Name: "name", Max: 10}, {Name: "date", Max: 12}},
				Versions: []service.Version{{Number: 1, Text: service.Texts{"ar": "{name} في {date}.", "en": "{name} on {date}."}}},
			},
			{
				Code: "BBB", Agency: "two", Name: service.Texts{"ar": "ب", "en": "B"}, Kind: service.Violation,
				Class: 1, Category: "service", Mode: service.Mandatory, Validity: 72 * time.Hour,
			},
		},
	}
}

// Each row breaks one rule of a sound catalogue; the mistake names the place in the file's
// keys, the value and the rule.
func TestEveryMistakeIsNamed(t *testing.T) {
	type options = service.Options
	text := func(s string) service.Texts { return service.Texts{"en": s} }
	template := func(s string) func(*options) {
		return func(o *options) { o.Services[0].Versions = []service.Version{{Number: 1, Text: text(s)}} }
	}
	for _, row := range []struct {
		name   string
		change func(*options)
		want   []string // beginnings of the mistakes, in order; none: sound
	}{
		{"nothing", func(*options) {}, nil},
		{"no language", func(o *options) { *o = options{} }, []string{"languages: is empty"}},
		{"a language twice", func(o *options) { o.Languages = []string{"ar", "en", "ar"} }, []string{`languages[2]: "ar" stands twice`}},
		{"a language that is none", func(o *options) { o.Languages = []string{"ar", "en", "a/b"} }, []string{`languages[2]: "a/b" is no language`}},
		{"a third language is just one more", func(o *options) { o.Languages = []string{"ar", "en", "zh-hans"} }, nil},

		// Calendar.
		{"hours outside the day", func(o *options) { o.Calendar.Quiet.Days = []service.Span{{From: 1440, To: 60}} }, []string{`quiet_hours.days[0]: "24:00-01:00" lies outside the day`}},
		{"hours to midnight", func(o *options) { o.Calendar.Quiet.Days = []service.Span{{From: 1320, To: 1440}} }, nil},
		{"empty hours", func(o *options) { o.Calendar.Quiet.Weekend = []service.Span{{From: 60, To: 60}} }, []string{`quiet_hours.weekend[0]: "01:00-01:00" is empty; the whole day is 00:00-24:00`}},
		{"a day of the week that is none", func(o *options) { o.Calendar.Weekend = []time.Weekday{7} }, []string{`weekend[0]: "7" is no day`}},
		{"a date that is none", func(o *options) {
			o.Calendar.Holidays = []service.Dates{dates(t, "", "2027-02-28", "2027-02-28")}
			o.Calendar.Holidays[0].To.Day = 30
		}, []string{"holidays[0].to: is no date"}},
		{"dates the wrong way round", func(o *options) { o.Calendar.Holidays = []service.Dates{dates(t, "", "2027-02-28", "2027-02-27")} }, []string{`holidays[0].to: "2027-02-27" is before from, 2027-02-28`}},
		{"an override of an unknown category", func(o *options) {
			o.Calendar.Overrides = []service.Override{{Dates: dates(t, "", "2027-02-28", "2027-02-28"), Permitted: map[string]*service.Windows{"awarness": nil}}}
		}, []string{"overrides[0].permitted.awarness: is no category"}},
		{"bad hours of an override, an agency, a category and a service", func(o *options) {
			bad := &service.Windows{Days: []service.Span{{From: -1, To: 5}}}
			o.Calendar.Overrides = []service.Override{{Dates: dates(t, "", "2027-02-28", "2027-02-28"), Quiet: bad, Permitted: map[string]*service.Windows{"service": bad}}}
			o.Categories[1].Permitted, o.Agencies[1].Quiet, o.Services[0].Quiet = bad, bad, bad
		}, []string{"overrides[0].quiet_hours.days[0]: ", "overrides[0].permitted.service.days[0]: ", "categories.awareness.permitted.days[0]: ", "agencies[1].quiet_hours.days[0]: ", "services[0].quiet_hours.days[0]: "}},

		// Categories and agencies.
		{"a category without a name", func(o *options) { o.Categories[1].Name = "" }, []string{"categories: has one without a name"}},
		{"a category twice", func(o *options) { o.Categories[1].Name = "service" }, []string{"categories.service: stands twice"}},
		{"a suffix that is no part of a name", func(o *options) { o.Categories[1].SenderSuffix = "-اد" }, []string{`categories.awareness.sender_suffix: "-اد" is no end`}},
		{"an agency's code", func(o *options) { o.Agencies[0].Code = "One" }, []string{`agencies[0].code: "One" is no agency's code`, `senders[0].agency: "one" is no agency`, `senders[2].agency: "one"`, `agencies[0].sender: "ONE" is no sender of One`, `services[0].agency: "one" is no agency`}},
		{"an agency twice", func(o *options) {
			o.Agencies = append(o.Agencies, service.Agency{Code: "one", Name: text("Three"), Sender: "ONE"})
		}, []string{`agencies[2].code: "one" stands twice`}},
		{"an agency's calendar that is none", func(o *options) { o.Agencies[1].Calendar = 2 }, []string{"agencies[1].calendar: is no calendar; write gregorian or hijri"}},
		{"a test number twice, and none", func(o *options) { o.Agencies[1].TestNumbers = []number.E164{966501234567, 0, 966501234567} },
			[]string{"agencies[1].test_numbers[1]: is no number", `agencies[1].test_numbers[2]: "966501234567" stands twice`}},
		{"101 test numbers", func(o *options) {
			for n := range number.E164(101) {
				o.Agencies[1].TestNumbers = append(o.Agencies[1].TestNumbers, 966501234000+n)
			}
		}, []string{`agencies[1].test_numbers: "101" are more than the 100`}},
		{"100 test numbers", func(o *options) {
			for n := range number.E164(100) {
				o.Agencies[1].TestNumbers = append(o.Agencies[1].TestNumbers, 966501234000+n)
			}
		}, nil},
		{"one-time codes that are merged", func(o *options) {
			o.Services[0].Kind, o.Services[0].Class, o.Services[0].Hold, o.Services[0].Merge = service.OneTimeCode, 0, false, true
		}, []string{`services[0].merge: "true" is not for one-time codes: each is awaited`}},
		{"urgent notices that are merged", func(o *options) { o.Services[0].Class, o.Services[0].Hold, o.Services[0].Merge = 0, false, true }, []string{`services[0].merge: "true" is not for urgent services`}},
		{"bulk notices that are merged", func(o *options) { o.Services[0].Class, o.Services[0].Merge = 2, true }, nil},
		{"an agency's name twice", func(o *options) { o.Agencies[1].Name = text("One") }, []string{`agencies[1].name.en: "One" is the name of agencies[0] too`}},
		{"an agency without name", func(o *options) { o.Agencies[1].Name = nil }, []string{"agencies[1].name: is missing; write it in ar or en"}},
		{"an agency's name in no language", func(o *options) { o.Agencies[1].Name = service.Texts{"en": "Two", "fr": "Deux"} }, []string{"agencies[1].name.fr: is in a language that languages does not list; add fr there"}},
		{"an agency's sender is another's", func(o *options) { o.Agencies[0].Sender = "TWO" }, []string{`agencies[0].sender: "TWO" is no sender of one; add it to senders, or take one that it has: ONE, ONE-AD`, `services[0].sender: "TWO" is no sender of one`}},
		{"an agency without sender, its services without too", func(o *options) { o.Agencies[0].Sender = "" }, []string{"services[0].sender: is missing, and agency one has none"}},
		{"an agency without sender, its services with", func(o *options) { o.Agencies[0].Sender, o.Services[0].Sender = "", "ONE" }, nil},
		{"an agency without services", func(o *options) { o.Services = o.Services[:1] }, nil},

		// Senders.
		{"no senders are registered", func(o *options) { o.Senders = nil }, nil},
		{"a sender of 12 characters", func(o *options) { o.Senders[1].Name = "TWOTWOTWOTWO"; o.Agencies[1].Sender = "TWOTWOTWOTWO" }, []string{`senders[1].name: "TWOTWOTWOTWO" has 12 characters, at most 11`, `agencies[1].sender: "TWOTWOTWOTWO" has 12`}},
		{"a sender of 11", func(o *options) { o.Senders[1].Name = "TWOTWOTWOTW"; o.Agencies[1].Sender = "TWOTWOTWOTW" }, nil},
		{"a short code", func(o *options) { o.Senders[1].Name = "1090"; o.Agencies[1].Sender = "1090" }, nil},
		{"a number of 12 digits", func(o *options) { o.Senders[1].Name = "966500000000"; o.Agencies[1].Sender = "966500000000" }, nil},
		{"a number of 16", func(o *options) {
			o.Senders = append(o.Senders, service.Sender{Name: "1234567890123456", Agency: "two", AnyCarrier: true})
		}, []string{`senders[3].name: "1234567890123456" has more than 15 digits`}},
		{"an Arabic sender", func(o *options) {
			o.Senders = append(o.Senders, service.Sender{Name: "مرور", Agency: "two", AnyCarrier: true})
		}, []string{`senders[3].name: "مرور" is no sender name`}},
		{"a sender with a blank in front", func(o *options) {
			o.Senders = append(o.Senders, service.Sender{Name: " X", Agency: "two", AnyCarrier: true})
		}, []string{`senders[3].name: " X" is no sender name`}},
		{"a sender without name", func(o *options) { o.Senders = append(o.Senders, service.Sender{Agency: "two", AnyCarrier: true}) }, []string{"senders[3].name: is missing"}},
		{"a sender twice", func(o *options) { o.Senders = append(o.Senders, o.Senders[0]) }, []string{`senders[3].name: "ONE" stands twice`}},
		{"a sender in another case is another", func(o *options) {
			o.Senders = append(o.Senders, service.Sender{Name: "One", Agency: "one", AnyCarrier: true})
		}, nil},
		{"a sender of no agency", func(o *options) { o.Senders[2].Agency = "" }, []string{`senders[2].agency: is no agency`}},
		{"a sender of no category", func(o *options) { o.Senders[0].Categories = []string{"service", "x"} }, []string{`senders[0].categories[1]: "x" is no category`}},
		{"a promotional sender without suffix", func(o *options) { o.Senders[2].Name = "ONEAD" }, []string{`senders[2].name: "ONEAD" does not end in -AD, as senders of category promotional do`}},
		{"the suffix without the category", func(o *options) { o.Senders[2].Categories = nil }, []string{`senders[2].name: "ONE-AD" ends in -AD, which only senders of category promotional do; add categories: [promotional]`}},
		{"the suffix and another category", func(o *options) { o.Senders[2].Categories = []string{"promotional", "service"} }, []string{`senders[2].categories: mixes promotional`}},
		{"a state that is none", func(o *options) { o.Senders[0].Carriers = map[string]service.SenderAt{"stc": {State: 3}} }, []string{"senders[0].carriers.stc.state: is no state"}},

		// Services.
		{"a code of one", func(o *options) { o.Services[0].Code = "A" }, []string{`services[0].code: "A" is no service's code`}},
		{"a code of six", func(o *options) { o.Services[0].Code = "ABCDEF" }, []string{`services[0].code: "ABCDEF" is no`}},
		{"a code in small letters", func(o *options) { o.Services[0].Code = "aaa" }, []string{`services[0].code: "aaa" is no`}},
		{"a code twice", func(o *options) { o.Services[0].Code = "BBB" }, []string{`services[1].code: "BBB" stands twice`}},
		{"a name twice", func(o *options) { o.Services[1].Name = service.Texts{"ar": "ب", "en": "A"} }, []string{`services[1].name.en: "A" is the name of services[0] too`}},
		{"a name twice in different languages", func(o *options) { o.Services[1].Name = service.Texts{"ar": "A", "en": "B"} }, nil},
		{"an agency's name for a service", func(o *options) { o.Services[1].Name = text("One") }, nil},
		{"a name of two lines", func(o *options) { o.Services[1].Name = text("B\nC") }, []string{`services[1].name.en: "B\nC" is not one line`}},
		{"an unknown agency", func(o *options) { o.Services[0].Agency = "three" }, []string{`services[0].agency: "three" is no agency`}},
		{"an unknown category", func(o *options) { o.Services[0].Category = "x" }, []string{`services[0].category: "x" is no category; name one of awareness, promotional, service`}},
		{"an unknown kind, class and mode", func(o *options) { o.Services[0].Kind, o.Services[0].Class, o.Services[0].Mode = 6, 3, 2 }, []string{"services[0].kind: is no kind", "services[0].mode: is no mode", `services[0].class: "3" is no class`}},
		{"no validity", func(o *options) { o.Services[0].Validity = 0 }, []string{`services[0].validity: "0s" is outside 1m to 720h`}},
		{"a validity of two months", func(o *options) { o.Services[0].Validity = 60 * 24 * time.Hour }, []string{`services[0].validity: "1440h" is outside`}},
		{"a code that is not urgent", func(o *options) { o.Services[1].Kind = service.OneTimeCode }, []string{"services[1].class: is not urgent, as one-time codes are"}},
		{"a code that holds", func(o *options) { o.Services[0].Kind, o.Services[0].Class = service.OneTimeCode, 0 }, []string{`services[0].quiet_hours: "hold" is not for one-time codes`}},
		{"an urgent one that holds", func(o *options) { o.Services[0].Class = 0 }, []string{`services[0].quiet_hours: "hold" is not for urgent services`}},
		{"hours that do not hold", func(o *options) { o.Services[1].Quiet = &o.Calendar.Quiet }, []string{"services[1].quiet_hours: has hours and does not hold"}},
		{"lead days of another kind", func(o *options) { o.Services[0].LeadDays = []int{7} }, []string{"services[0].lead_days: is for kind expiry alone"}},
		{"lead days rising", func(o *options) {
			o.Services[0].Kind, o.Services[0].LeadDays = service.ExpiryReminder, []int{30, 7, 7, 14}
		}, []string{`services[0].lead_days[2]: "7" is not below`, `services[0].lead_days[3]: "14" is not below`}},
		{"lead days below none", func(o *options) { o.Services[0].Kind, o.Services[0].LeadDays = service.ExpiryReminder, []int{1, -1} }, []string{`services[0].lead_days[1]: "-1" is outside`}},
		{"another agency's sender", func(o *options) { o.Services[0].Sender = "TWO" }, []string{`services[0].sender: "TWO" is no sender of one; add it to senders, or take one that it has: ONE, ONE-AD`}},
		{"a sender that nobody registered", func(o *options) { o.Services[0].Sender = "XXX" }, []string{`services[0].sender: "XXX" is no sender of one`}},
		{"a sender of another category", func(o *options) { o.Senders[0].Categories = []string{"awareness"} }, []string{`services[0].sender: "ONE" is not registered for category service`}},
		{"promotional from an ordinary sender", func(o *options) { o.Services[0].Category = "promotional" }, []string{`services[0].sender: "ONE" does not end in -AD, as senders of category promotional do; register one that does`}},
		{"promotional without a registry", func(o *options) { o.Senders, o.Services[0].Category = nil, "promotional" }, []string{`services[0].sender: "ONE" does not end in -AD`}},
		{"promotional from its own", func(o *options) { o.Services[0].Category, o.Services[0].Sender = "promotional", "ONE-AD" }, nil},
		{"domains that are none", func(o *options) {
			o.Services[1].Domains = []string{"https://moi.gov.sa", "moi.gov.sa/x", "sa", "moi.gov.sa", "MOI.gov.sa.", "", "a b.sa"}
		},
			[]string{`services[1].domains[0]: "https://moi.gov.sa" is no domain`, `services[1].domains[1]: "moi.gov.sa/x" is no domain`, `services[1].domains[2]: "sa" is no domain that can be registered`, `services[1].domains[4]: "MOI.gov.sa." stands twice`, `services[1].domains[5]: is no domain`, `services[1].domains[6]: "a b.sa" is no domain`}},
		{"digits of no form", func(o *options) { o.Services[0].Text.Digits = "roman" }, []string{`services[0].text.digits: "roman" is no form of digits`}},

		// Parameters and templates.
		{"a parameter without length", func(o *options) { o.Services[0].Params[0].Max = 0 }, []string{`services[0].params[0].max: "0" is outside 1 to 1000`}},
		{"a parameter's name", func(o *options) { o.Services[1].Params = []service.Param{{Name: "Na me", Max: 1}} }, []string{`services[1].params[0].name: "Na me" is no parameter's name`}},
		{"a parameter twice", func(o *options) {
			o.Services[0].Params = append(o.Services[0].Params, service.Param{Name: "name", Max: 2})
		}, []string{`services[0].params[2].name: "name" stands twice`}},
		{"a placeholder that is no parameter", template("{name} {date} {day} {day}"), []string{`services[0].template.en: "{day}" is no parameter of the service; add it to params, or write one of name, date`}},
		{"a parameter that a text lacks", template("{name}"), []string{"services[0].template.en: lacks {date}"}},
		{"one language lacks it", func(o *options) {
			o.Services[0].Versions[0].Text = service.Texts{"ar": "{name}", "en": "{name} {date}"}
		}, []string{"services[0].template.ar: lacks {date}"}},
		{"a placeholder twice", template("{name} {date} {name}"), nil},
		{"a brace not closed", template("{name} {date} {na"), []string{`services[0].template.en: has a { that is not closed: "na"`}},
		{"a brace in a brace", template("{name} {date{x}}"), []string{`services[0].template.en: has a { that is not closed`}},
		{"a brace not opened", template("{name} {date} }"), []string{`services[0].template.en: has a } without {`}},
		{"doubled braces", template("{{name}} {date}"), []string{`services[0].template.en: has a { that is not closed`}},
		{"an empty placeholder", template("{name} {date} {}"), []string{"services[0].template.en: has a placeholder {}, which is no name"}},
		{"a placeholder in capitals", template("{Name} {date}"), []string{"services[0].template.en: has a placeholder {Name}"}},
		{"an empty template", template("  "), []string{"services[0].template.en: is empty"}},
		{"a template with a NUL", template("{name} {date}\x00"), []string{"services[0].template.en: holds control characters"}},
		{"a template of two lines", template("{name}\n{date}"), nil},
		{"a template in no language", func(o *options) { o.Services[0].Versions[0].Text["fr"] = "{name} {date}" }, []string{"services[0].template.fr: is in a language that languages does not list"}},
		{"a template without text", func(o *options) { o.Services[0].Versions[0].Text = nil }, []string{"services[0].template: has no text"}},
		{"a foreign link in a template", template("{name} {date} https://moi.gov.sa/x"), []string{`services[0].template.en: "https://moi.gov.sa/x" is a link to a domain that is not the service's`}},
		{"a host that a parameter would lengthen", func(o *options) {
			o.Services[0].Domains = []string{"moi.gov.sa"}
			o.Services[0].Versions[0].Text = text("https://moi.gov.sa{name} {date}")
		}, []string{`services[0].template.en: "https://moi.gov.sax" is a link to a domain`}},
		{"a path of parameters", func(o *options) {
			o.Services[0].Domains = []string{"moi.gov.sa"}
			o.Services[0].Versions[0].Text = text("https://moi.gov.sa/{name}?{date}")
		}, nil},
		{"a link without domains", func(o *options) {
			o.Services[0].Params = []service.Param{{Name: "link", Max: 40}}
			o.Services[0].Versions[0].Text = text("See {link}")
		}, []string{`services[0].template.en: "{link}" can lead nowhere`}},
		{"versions that are one", func(o *options) {
			v := o.Services[0].Versions[0]
			o.Services[0].Versions = []service.Version{v, v}
		}, []string{`services[0].templates[1].version: "1" stands twice`, "services[0].templates[1].valid_from: is that of version 1 too"}},
		{"a version 0", func(o *options) { o.Services[0].Versions[0].Number = 0 }, []string{`services[0].templates[0].version: "0" is no version`}},
		{"a mistake in a later version", func(o *options) {
			v := o.Services[0].Versions[0]
			v.Number, v.ValidFrom, v.Text = 2, noon, text("{name}")
			o.Services[0].Versions = append(o.Services[0].Versions, v)
		}, []string{"services[0].templates[1].text.en: lacks {date}"}},
	} {
		o := small()
		row.change(&o)
		got := mistakes(t, o)
		same := len(got) == len(row.want)
		for i := 0; same && i < len(got); i++ {
			same = strings.HasPrefix(got[i].Error(), row.want[i])
		}
		if !same {
			t.Errorf("%s:", row.name)
			for _, m := range got {
				t.Errorf("\tgot  %s", m)
			}
			for _, w := range row.want {
				t.Errorf("\twant %s", w)
			}
		}
	}
}

func TestWarningsNameWhatShouldNotStay(t *testing.T) {
	o := small()
	o.Senders[0].AnyCarrier = false
	o.Services[0].Versions[0].Text = service.Texts{"ar": "{name} {date}"}
	o.Services[1].Name = service.Texts{"en": "B"}
	o.Services[1].Class, o.Services[1].Category = 0, "awareness"
	c, err := service.New(o)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"agencies[0].name: has no text in ar; people who read ar get it in en",
		"agencies[1].name: has no text in ar",
		`senders[0]: "ONE" is registered with no carrier`,
		"services[0].template: has no text in en; people who read en get it in ar",
		"services[1].name: has no text in ar",
		`services[1].class: "urgent" leaves at any hour, also outside those permitted to awareness`,
		`services[1]: "BBB" has no template`,
	}
	got := c.Warnings()
	if len(got) != len(want) {
		t.Fatalf("warnings %+v", got)
	}
	for i := range got {
		if !strings.HasPrefix(got[i].Error(), want[i]) {
			t.Errorf("warning %d: %s, want %s", i, got[i].Error(), want[i])
		}
	}
}

func TestNewLeavesItsOptionsAsTheyAre(t *testing.T) {
	o, untouched := small(), small()
	o.Services[0].Versions = append(o.Services[0].Versions, service.Version{Number: 2, ValidFrom: noon.Add(-time.Hour), Text: o.Services[0].Versions[0].Text})
	untouched.Services[0].Versions = slices.Clone(o.Services[0].Versions)
	if _, err := service.New(o); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(o, untouched) {
		t.Errorf("Options were changed:\n%+v\n%+v", o, untouched)
	}
	// And twice of the same are two catalogues.
	a, _ := service.New(o)
	b, _ := service.New(o)
	if a.Service("AAA") == b.Service("AAA") {
		t.Error("two catalogues share a service")
	}
}

func TestTheDefaultZoneIsRiyadh(t *testing.T) {
	o := small()
	o.Zone = nil
	o.Agencies[1].Zone = time.UTC
	c, err := service.New(o)
	if err != nil {
		t.Fatal(err)
	}
	if got := c.Service("AAA").Zone().String(); got != "Asia/Riyadh" {
		t.Errorf("the zone is %s", got)
	}
	if got := c.Service("BBB").Zone(); got != time.UTC {
		t.Errorf("an agency's own zone is %s", got)
	}
	at := time.Date(2027, 6, 2, 4, 30, 0, 0, time.UTC) // 07:30 in Riyadh
	if got, want := c.OpensAt(c.Service("AAA"), at), at.Add(30*time.Minute); !got.Equal(want) {
		t.Errorf("opens at %s, want %s", got, want)
	}
}
