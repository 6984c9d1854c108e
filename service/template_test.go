package service_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"masar/service"
)

func TestRenderFillsInTheLanguageAsked(t *testing.T) {
	o := small()
	o.Languages = []string{"ur", "en", "ar"}
	c, err := service.New(o)
	if err != nil {
		t.Fatal(err)
	}
	params := map[string]string{"name": "نورة {x}", "date": "1449/11/21"}
	for _, row := range []struct{ asked, language, text string }{
		{"ar", "ar", "نورة {x} في 1449/11/21."},
		{"en", "en", "نورة {x} on 1449/11/21."},
		{"ur", "en", "نورة {x} on 1449/11/21."}, // the next in order
		{"", "en", "نورة {x} on 1449/11/21."},
		{"tl", "en", "نورة {x} on 1449/11/21."},
	} {
		r, err := c.Render(c.Service("AAA"), row.asked, params, noon)
		if err != nil {
			t.Fatal(err)
		}
		if want := (service.Rendered{Text: row.text, Language: row.language, Version: 1}); r != want {
			t.Errorf("asked for %q: %+v, want %+v", row.asked, r, want)
		}
		if got, want := r.Template("AAA"), "AAA/1/"+row.language; got != want {
			t.Errorf("made from %q, want %q", got, want)
		}
	}
}

func TestEveryWrongParameterIsNamed(t *testing.T) {
	c, err := service.New(small())
	if err != nil {
		t.Fatal(err)
	}
	type params = map[string]string
	for _, row := range []struct {
		name   string
		params params
		want   []string // ParamError.Error, by their beginnings
	}{
		{"all right", params{"name": "نورة", "date": "1449"}, nil},
		{"exactly at its length, in code points", params{"name": strings.Repeat("ش", 10), "date": "x"}, nil},
		{"none", nil, []string{"name: is missing", "date: is missing"}},
		{"one too many", params{"name": "a", "date": "b", "amount": "1", "zone": "2"}, []string{"amount: is no parameter of AAA; it takes name, date", "zone: is no parameter"}},
		{"too long", params{"name": strings.Repeat("ش", 11), "date": "b"}, []string{"name: has 11 characters, at most 10 are allowed"}},
		{"empty", params{"name": "", "date": " \u00A0"}, []string{"name: is empty", "date: is empty"}},
		{"not UTF-8", params{"name": "a\xff", "date": "b"}, []string{"name: is not UTF-8"}},
		{"a line end", params{"name": "a\nb", "date": "b\u2028"}, []string{"name: holds U+000A", "date: holds U+2028"}},
		{"a NUL", params{"name": "a\x00", "date": "b"}, []string{"name: holds U+0000"}},
		{"a C1 control", params{"name": "a\u0085", "date": "b"}, []string{"name: holds U+0085"}},
		{"everything at once", params{"name": strings.Repeat("a", 99), "day": "1"}, []string{"name: has 99", "date: is missing", "day: is no parameter"}},
		{"a link where none may be", params{"name": "evil.com", "date": "b"}, []string{"name: has the link evil.com, and the service has no domains"}},
		{"a link put together from both sides", params{"name": "evil.", "date": "b"}, nil},
	} {
		r, err := c.Render(c.Service("AAA"), "en", row.params, noon)
		got := paramErrors(t, err)
		if len(got) != len(row.want) {
			t.Errorf("%s: %q, want %q", row.name, got, row.want)
			continue
		}
		for i := range got {
			if !strings.HasPrefix(got[i].Error(), row.want[i]) {
				t.Errorf("%s: %q, want %q", row.name, got[i], row.want[i])
			}
		}
		if err != nil && r != (service.Rendered{}) {
			t.Errorf("%s: rendered beside an error: %+v", row.name, r)
		}
	}
}

func paramErrors(t *testing.T, err error) (all []*service.ParamError) {
	t.Helper()
	if err == nil {
		return nil
	}
	list := []error{err}
	if joined, ok := err.(interface{ Unwrap() []error }); ok {
		list = joined.Unwrap()
	}
	for _, e := range list {
		var p *service.ParamError
		if !errors.As(e, &p) {
			t.Fatalf("%T is no *ParamError: %v", e, e)
		}
		all = append(all, p)
	}
	return all
}

func TestTheLinkOfANoticeIsChecked(t *testing.T) {
	c := example(t)
	s := c.Service("AWARE")
	for link, want := range map[string]string{
		"https://www.moi.gov.sa/a1b2": "",
		"example.test/a1b2":           "",
		"https://moi.gov.sa.evil.com": "link: has the link https://moi.gov.sa.evil.com, which is not below moi.gov.sa, example.test",
	} {
		_, err := c.Render(s, "ar", map[string]string{"service": "تجديد الإقامة", "link": link}, noon)
		if got := paramErrors(t, err); want == "" && err != nil || want != "" && (len(got) != 1 || got[0].Error() != want) {
			t.Errorf("%s: %v, want %q", link, err, want)
		}
	}
	// A link that no parameter has alone.
	o := small()
	o.Services[0].Domains = []string{"moi.gov.sa"}
	o.Services[0].Versions[0].Text = service.Texts{"en": "{name}{date} moi.gov.sa/{name}"}
	c, err := service.New(o)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.Render(c.Service("AAA"), "en", map[string]string{"name": "evil.", "date": "com"}, noon)
	if got := paramErrors(t, err); len(got) != 1 || got[0].Error() != "has the link evil.com, which is not below moi.gov.sa" {
		t.Errorf("a link made of two parameters: %v", err)
	}
	if r, err := c.Render(c.Service("AAA"), "en", map[string]string{"name": "moi.", "date": "gov.sa"}, noon); err != nil || r.Text != "moi.gov.sa moi.gov.sa/moi." {
		t.Errorf("a good link made of two: %+v, %v", r, err)
	}
}

func TestTheVersionInForceIsRendered(t *testing.T) {
	o := small()
	march, june := time.Date(2027, 3, 1, 0, 0, 0, 0, time.UTC), time.Date(2027, 6, 2, 0, 0, 0, 0, time.UTC)
	wording := func(n int, from time.Time) service.Version {
		word := map[int]string{1: "one", 2: "two", 3: "three"}[n]
		return service.Version{Number: n, ValidFrom: from, Author: "a", Text: service.Texts{"en": word + " {name} {date}"}}
	}
	// As written, not in order of time; and the numbers do not follow it either.
	o.Services[0].Versions = []service.Version{wording(2, june), wording(1, march), wording(3, june.AddDate(1, 0, 0))}
	c, err := service.New(o)
	if err != nil {
		t.Fatal(err)
	}
	s := c.Service("AAA")
	params := map[string]string{"name": "a", "date": "b"}
	for _, row := range []struct {
		at   time.Time
		want int // 0: none
	}{
		{march.Add(-1), 0}, {march, 1}, {june.Add(-1), 1}, {june, 2}, {june.AddDate(1, 0, 0), 3}, {june.AddDate(9, 0, 0), 3},
	} {
		r, err := c.Render(s, "en", params, row.at)
		v := c.InForce(s, row.at)
		if row.want == 0 {
			if !errors.Is(err, service.ErrNoTemplate) || v != nil {
				t.Errorf("at %s: %v, version %v, want ErrNoTemplate", row.at, err, v)
			}
			continue
		}
		if err != nil || r.Version != row.want || v == nil || v.Number != row.want || !strings.HasPrefix(r.Text, map[int]string{1: "one", 2: "two", 3: "three"}[row.want]) {
			t.Errorf("at %s: %+v, %v, %v, want version %d", row.at, r, err, v, row.want)
		}
	}
	if s.Versions[0].Number != 2 {
		t.Error("the versions do not stand as written any more")
	}
	if _, err := c.Render(c.Service("BBB"), "en", nil, noon); !errors.Is(err, service.ErrNoTemplate) {
		t.Errorf("a service without template: %v", err)
	}
}

func FuzzRender(f *testing.F) {
	o := small()
	o.Services[0].Domains = []string{"moi.gov.sa"}
	c, err := service.New(o)
	if err != nil {
		f.Fatal(err)
	}
	s := c.Service("AAA")
	f.Add("نورة", "1449/11/21")
	f.Add("{date}", "moi.gov.sa")
	f.Add("a\x00", "\xff")
	f.Fuzz(func(t *testing.T, name, date string) {
		r, err := c.Render(s, "en", map[string]string{"name": name, "date": date}, noon)
		if err != nil {
			paramErrors(t, err)
			return
		}
		if r.Text != name+" on "+date+"." {
			t.Fatalf("%q and %q give %q", name, date, r.Text)
		}
		if strings.ContainsAny(r.Text, "\x00\n\r") || len([]rune(name)) > 10 {
			t.Fatalf("rendered %q", r.Text)
		}
		if foreign, ok := c.Links(r.Text, s); !ok {
			t.Fatalf("rendered with the foreign link %q", foreign)
		}
	})
}

func FuzzTemplate(f *testing.F) {
	for _, seed := range []string{"{name} {date}", "{name}{date", "}{name}{date}", "{{name}} {date}", "{Name}{date}{name}"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		o := small()
		o.Services[0].Versions[0].Text = service.Texts{"en": text}
		c, err := service.New(o)
		if err != nil {
			mistakes(t, o)
			return
		}
		// What New takes has both parameters and no other brace, so that this is what it means.
		r, err := c.Render(c.Service("AAA"), "en", map[string]string{"name": "N", "date": "D"}, noon)
		if err != nil {
			return // a link that the parameters completed
		}
		if want := strings.NewReplacer("{name}", "N", "{date}", "D").Replace(text); r.Text != want {
			t.Fatalf("%q gives %q, want %q", text, r.Text, want)
		}
	})
}
