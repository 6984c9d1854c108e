package service_test

import (
	"strings"
	"testing"

	"masar/service"
)

// linkCatalogue has one service with domains and one without.
func linkCatalogue(t testing.TB) (c *service.Catalogue, with, without *service.Service) {
	t.Helper()
	o := small()
	o.Services[0].Domains = []string{"moi.gov.sa", "Absher.sa", "وزارة.السعودية"}
	c, err := service.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c, c.Service("AAA"), c.Service("BBB")
}

func TestLinksLeadToTheServicesDomainsAlone(t *testing.T) {
	c, s, _ := linkCatalogue(t)
	for _, row := range []struct{ name, text, foreign string }{
		// What may be sent.
		{"the domain with a scheme", "Details: https://moi.gov.sa/x?y=1#z.", ""},
		{"the domain alone", "Details: moi.gov.sa.", ""},
		{"below the domain", "https://portal.sub.moi.gov.sa/a", ""},
		{"in capitals", "HTTPS://MOI.GOV.SA/A and Www.Moi.Gov.Sa", ""},
		{"registered in capitals", "absher.sa", ""},
		{"with www", "www.moi.gov.sa", ""},
		{"with a port", "https://moi.gov.sa:443/a moi.gov.sa:8443", ""},
		{"with user information", "https://user:pw@moi.gov.sa/", ""},
		{"root dot", "https://moi.gov.sa./x and moi.gov.sa./x", ""},
		{"a mailbox there", "first.last@moi.gov.sa", ""},
		{"a mailbox whose name could be a host", "call.me@moi.gov.sa", ""},
		{"direction marks at both ends", "\u200Ehttps://moi.gov.sa\u200E. \u2066moi.gov.sa\u2069. للتفاصيل\u200Emoi.gov.sa\u200Fللتفاصيل", ""},
		{"in brackets", "(https://moi.gov.sa), [moi.gov.sa]; <https://moi.gov.sa/x>", ""},
		{"before an Arabic comma", "https://moi.gov.sa، ثم moi.gov.sa؛ ثم moi.gov.sa؟", ""},
		{"glued to Arabic behind", "https://moi.gov.saللتفاصيل moi.gov.saللتفاصيل", ""},
		{"glued to Arabic in front", "للتفاصيلmoi.gov.sa", ""},
		{"a sentence glued behind", "visit moi.gov.sa.Please bring it. زوروا moi.gov.sa.شكرًا لكم", ""},
		{"between direction marks", "\u2068https://moi.gov.sa\u2069 و\u200Emoi.gov.sa\u200F", ""},
		{"another host in the path", "https://moi.gov.sa/go?to=http://evil.com", ""},
		{"IDN as people write it", "https://وزارة.السعودية/x", ""},
		{"IDN in punycode", "https://xn--mgbexc3i.xn--mgberp4a5d4ar/", ""},
		{"IDN with another dot", "https://moi。gov．sa/", ""},

		// What may not.
		{"another domain", "see https://evil.com/x now", "https://evil.com/x"},
		{"without scheme", "see evil.com now", "evil.com"},
		{"at the end of a sentence", "see evil.com.", "evil.com"},
		{"with www alone", "www.evil", "www.evil"},
		{"the domain as a label of another", "moi.gov.sa.evil.com", "moi.gov.sa.evil.com"},
		{"the domain as the end of a label", "https://fakemoi.gov.sa", "https://fakemoi.gov.sa"},
		{"with a hyphen", "login-moi.gov.sa", "login-moi.gov.sa"},
		{"above the domain", "https://gov.sa/", "https://gov.sa/"},
		{"user information that looks like the host", "http://moi.gov.sa@evil.com/", "http://moi.gov.sa@evil.com/"},
		{"user information with password", "http://moi.gov.sa:443@evil.com", "http://moi.gov.sa:443@evil.com"},
		{"two at signs", "http://moi.gov.sa@x@evil.com", "http://moi.gov.sa@x@evil.com"},
		{"user information without scheme", "moi.gov.sa@evil.com", "evil.com"},
		{"the last of two at signs leads there", "http://evil.com@x@moi.gov.sa", "http://evil.com@x@moi.gov.sa"},
		{"a zero-width space in a registered name", "mo\u200Bi.gov.sa", "mo\u200Bi.gov.sa"},
		{"a zero-width space before a registered name", "x\u200Bmoi.gov.sa", "x\u200Bmoi.gov.sa"},
		{"the same behind a scheme", "https://mo\u200Bi.gov.sa/x", "https://mo\u200Bi.gov.sa/x"},
		{"the same behind www", "www.mo\u200Bi.gov.sa", "www.mo\u200Bi.gov.sa"},
		{"a backslash", `http://moi.gov.sa\@evil.com`, `http://moi.gov.sa\@evil.com`},
		{"a backslash the other way", `http://evil.com\@moi.gov.sa`, `http://evil.com\@moi.gov.sa`},
		{"a percent sign in the host", "http://moi.gov.sa%2eevil.com", "http://moi.gov.sa%2eevil.com"},
		{"a comma in the host", "http://moi.gov.sa,evil.com", "http://moi.gov.sa,evil.com"},
		{"a full-width at sign", "http://moi.gov.sa＠evil.com", "evil.com"},
		{"a full-width slash", "http://moi.gov.sa／x.evil.com", "x.evil.com"},
		{"full-width letters", "ｅｖｉｌ．ｃｏｍ", "ｅｖｉｌ．ｃｏｍ"},
		{"an ideographic full stop", "evil。com", "evil。com"},
		{"a zero-width space inside", "http://moi.gov.sa\u200B.evil.com", "http://moi.gov.sa\u200B.evil.com"},
		{"a zero-width joiner in a bare name", "ev\u200Dil.com", "ev\u200Dil.com"},
		{"a soft hyphen before the end", "moi.gov.sa\u00AD.evil.com", "moi.gov.sa\u00AD.evil.com"},
		{"look-alike Cyrillic letters", "https://mоi.gov.sa", "https://mоi.gov.sa"},
		{"a Latin letter with an accent in front", "émoi.gov.sa", "émoi.gov.sa"},
		{"punycode", "xn--80ak6aa92e.com", "xn--80ak6aa92e.com"},
		{"an address", "http://10.0.0.1/login", "http://10.0.0.1/login"},
		{"an address and port alone", "10.0.0.1:8080", "10.0.0.1:8080"},
		{"an address as one number", "http://167772161/", "http://167772161/"},
		{"an IPv6 address", "http://[2001:db8::1]/", "http://[2001:db8::1]/"},
		{"a host without dot", "http://intranet/x", "http://intranet/x"},
		{"another scheme", "whatsapp://send", "whatsapp://send"},
		{"one slash", "http:/evil.com", "evil.com"},
		{"glued to Arabic", "زورواevil.comالآن", "زورواevil.comالآن"},
		{"glued to a full stop before", "wait..evil.com", "evil.com"},
		{"a sentence glued behind", "evil.com.Please pay", "evil.com.Please"},
		{"after one that may", "https://moi.gov.sa, evil.com", "evil.com"},
		{"behind an Arabic comma", "https://moi.gov.sa/x،http://evil.com", "http://evil.com"},
		{"a short link", "t.co/abc", "t.co/abc"},
		{"a capital on a common ending", "Evil.Com", "Evil.Com"},
		{"a path after a capital", "pay.To/me", "pay.To/me"},
		{"a mailbox elsewhere", "write to moi@evil.com", "evil.com"},
		{"a mailbox that hides a host", "evil.com@x", "evil.com"},
		{"IDN elsewhere", "https://مثال.السعودية", "https://مثال.السعودية"},
		{"IDN without scheme", "مثال.السعودية", "مثال.السعودية"},
		{"a name that is set aside", "example.test/a1b2", "example.test/a1b2"},
		{"a wildcard top-level domain", "shop.ck", "shop.ck"},
		{"a new top-level domain", "free-gift.click", "free-gift.click"},
		{"in the middle of octets that are no UTF-8", "\xff\xfeevil.com\xff", "evil.com"},
	} {
		foreign, ok := c.Links(row.text, s)
		if foreign != row.foreign || ok != (row.foreign == "") {
			t.Errorf("%s: %q has the foreign link %q, want %q", row.name, row.text, foreign, row.foreign)
		}
	}
}

// A false link refuses a notice that somebody waits for: these have none, even for a service
// without any domain.
func TestOrdinaryTextsHaveNoLinks(t *testing.T) {
	c, _, s := linkCatalogue(t)
	for _, text := range []string{
		"",
		".", "...", "a.", ".a", "-.-", "://", "http://", "https:// للتفاصيل",
		"1449/11/21", "1449.11.21", "21.11.1449هـ", "2027-03-09", "09.03.2027", "09.03.27.",
		"10:30", "10.30", "10.30am", "8 a.m. to 5 p.m.", "09:00.", "09.00-22.00",
		"SAR 1.500", "SAR1.500.000", "1.500 ر.س", "(150.00 ر.س)", "1.5km", "3.5%", "1.100.200.250", "v1.2.3",
		"١٬٥٠٠٫٠٠ ر.س", "١.٥٠٠ ريال",
		"ر.س.", "ص.ب 1234", "أ.د. محمد", "د.أحمد", "م.ب", "ش.م.م", "هـ.ق",
		"ABC 1234", "أ ب ج ١٢٣٤", "A.B.C.1234", "****9355", "#1234", "K.S.A.", "U.S.", "e.g. this", "i.e. that",
		"No.5", "Ref.No.123", "Ref.No: 123", "ref.no.123", "tel.no 920000000", "St.12", "P.O.Box 12", "Ph.D", "B.Sc",
		"report.pdf", "photo.jpg", "list.xlsx", "notice.txt",
		"was issued.Please collect it", "It was issued.To collect it, come.", "is valid.No visit is needed",
		"انتهت المهلة.نأمل المراجعة", "تم.شكرا", "و/أو", "24/7", "@moi", "a@b", "user@host",
		"C.R.1010101010", "1.2.3.4", "192.168.1.1", "Art. 5.2.1", "KSA.", "المادة 5.2/3",
		strings.Repeat("a.", 2000), strings.Repeat("ا.", 2000), strings.Repeat("@.", 100),
	} {
		if foreign, ok := c.Links(text, s); !ok {
			t.Errorf("%.60q has a link, %q", text, foreign)
		}
	}
}

func TestNoNoticeOfTheCorpusHasAForeignLink(t *testing.T) {
	c := example(t)
	aware := 0
	for _, n := range notices(t) {
		code, _, _ := strings.Cut(n.Note, " ")
		s := c.Service(code)
		if s == nil {
			t.Fatalf("note %q names no service", n.Note)
		}
		if foreign, ok := c.Links(n.Text, s); !ok {
			t.Errorf("%s: %q is taken for a foreign link in %s", n.Note, foreign, n.Text)
		}
		// And what is no link for it is none for a service without domains.
		if _, ok := c.Links(n.Text, c.Service("IDNEW")); !ok {
			if code != "AWARE" {
				t.Errorf("%s: has a link: %s", n.Note, n.Text)
			}
			aware++
		}
	}
	if aware == 0 {
		t.Error("the link of AWARE was not seen")
	}
}

func TestAPlainAccountsLinksAreItsOwn(t *testing.T) {
	c, _, _ := linkCatalogue(t)
	if foreign, ok := c.Links("evil.com", nil); !ok || foreign != "" {
		t.Errorf("without a service %q is foreign", foreign)
	}
}

func FuzzLinks(f *testing.F) {
	c, s, _ := linkCatalogue(f)
	for _, seed := range []string{"http://moi.gov.sa@evil.com", "زورواmoi.gov.sa،", "a..b.c@d.com/x?y#z", "\u200Ehttps://xn--x.\u3002sa:80\\@", "1.2.3.4:5/", "Ref.No.123"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		foreign, ok := c.Links(text, s)
		if ok != (foreign == "") || !strings.Contains(text, foreign) {
			t.Fatalf("%q: foreign %q, ok %v", text, foreign, ok)
		}
		// What a text lets through, it lets through beside a link that may be there; and
		// nothing in front of a foreign link hides it.
		if _, and := c.Links(text+" https://moi.gov.sa/", s); and != ok {
			t.Fatalf("%q: ok %v, with a good link behind %v", text, ok, and)
		}
		for _, bad := range []string{" https://evil.com/", " evil.com", "\nwww.evil.com", "،evil.com"} {
			if _, and := c.Links(text+bad, s); and {
				t.Fatalf("%q hides %q", text, bad)
			}
		}
		// A foreign link stays one in capitals, but for a capital that ends a sentence.
		if up := strings.ToUpper(text); ok && len(up) == len(text) && !strings.ContainsAny(text, "Nn") {
			lower := strings.ToLower(text)
			if _, a := c.Links(lower, s); a {
				if _, b := c.Links(up, s); !b && strings.ToLower(up) == lower {
					t.Fatalf("%q may be sent in small letters and not in capitals", text)
				}
			}
		}
	})
}

func BenchmarkLinks(b *testing.B) {
	c, s, _ := linkCatalogue(b)
	for name, text := range map[string]string{
		"notice":  "المرور: سُجلت المخالفة 123456 (تجاوز السرعة) للمركبة أ ب ج 1234 في طريق الملك فهد يوم 1449/11/21 بغرامة 1.500 ر.س.",
		"english": "Traffic: Your driving licence ****9355 expires on 1449/11/21 (days left: 30). Please renew it in time to avoid a fine.",
		"link":    "Ministry of Interior: the service is now available online with no office visit. Details: https://moi.gov.sa/a1b2",
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				c.Links(text, s)
			}
		})
	}
}
