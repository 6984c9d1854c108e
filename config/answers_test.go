package config

import (
	"slices"
	"strings"
	"testing"
)

// asking is a catalogue whose SUBAD confirms with these texts, and whose IDNEW says these.
func asking(t *testing.T, subad, idnew string) string {
	return strings.NewReplacer(
		"{name: code, max: 5}", "{name: code, max: 5}, {name: number, max: 15}",
		`{ar: "اشتركتم في {service}، {code}.", en: "You enrolled in {service}, {code}."}`, subad,
		`{ar: "صدرت هويتكم {document}.", en: "Your ID {document} is ready."}`, idnew,
	).Replace(smallCatalogue(t))
}

func TestATextThatAsksForAnAnswerNamesTheShortCode(t *testing.T) {
	const (
		keywords = `keywords: [{numbers: ["1090", "7001"], words: {enrol: [اشتراك, START], withdraw: [إلغاء, STOP], all: [الكل, ALL]}, enrolled: SUBAD, withdrawn: SUBAD%s}]` + "\n"
		subad    = `{ar: "{service}. لتركها أرسلوا إلى {number}: إلغاء {code}", en: "{service}: send STOP {code} to {number}."}`
		idnew    = `{ar: "صدرت هويتكم {document}.", en: "Your ID {document} is ready."}`
	)
	for _, tc := range []struct {
		name, subad, idnew, replies string
		want                        []string
	}{
		{"all do", subad, `{ar: "{document}، أرسلوا إلغاء IDNEW إلى 7001", en: "{document}. Send STOP to 1090."}`, `, replies: {help: {en: "START and a code, to {number}."}}`, nil},
		{"they only speak of it", subad, `{ar: "تم إلغاء الطلب {document}.", en: "Stop at the office for {document}; the STOPS are marked."}`, `, replies: {withdrawn_all: {ar: "تم إلغاء اشتراككم."}}`, nil},
		{"the number stands anywhere", `{ar: "{service} {number} {code}", en: "{service}: {number}, STOP {code}."}`, idnew, "", nil},
		{"a notice does not", subad, `{ar: "{document} أرسلوا إلغاء IDNEW", en: "{document}. Reply STOP to end."}`, "", []string{
			`services[0]: "IDNEW" asks in ar, en for an answer and does not name the short code: a sender's name cannot be answered; write 1090 or 7001 into it`,
		}},
		{"a reply does not", subad, idnew, `, replies: {help: {ar: "إلغاء الكل", en: "START and a code."}}`, []string{
			`keywords[0].replies.help.ar: asks for an answer and does not name the short code; write {number} into it`,
			`keywords[0].replies.help.en: asks for an answer and does not name the short code; write {number} into it`,
		}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			_, warnings, err := load(t, ParseOptions{}, governedBy()+strings.Replace(keywords, "%s", tc.replies, 1), asking(t, tc.subad, tc.idnew))
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, w := range warnings {
				if strings.Contains(w.Rule, "answer") {
					_, text, _ := strings.Cut(w.String(), ": ")
					got = append(got, text)
				}
			}
			if !slices.Equal(got, tc.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(tc.want, "\n"))
			}
		})
	}
	// Without a {number} among its params a confirmation cannot know it.
	_, warnings, err := load(t, ParseOptions{}, governedBy()+strings.Replace(keywords, "%s", "", 1),
		strings.Replace(smallCatalogue(t), `en: "You enrolled in {service}, {code}."`, `en: "{service}: STOP {code}."`, 1))
	const want = `keywords[0].enrolled: "SUBAD" asks in en for an answer and does not name the short code; write {number} into it`
	if err != nil || !slices.ContainsFunc(warnings, func(w Warning) bool { return strings.HasSuffix(w.String(), want) }) {
		t.Errorf("%v, %v; want %s", warnings, err, want)
	}
}

// The account that the gateway itself sends under needs no grants, and what it sends has to
// be free like all else.
func TestAMarkerIsAskedForWhatTheGatewayItselfSends(t *testing.T) {
	for _, tc := range []struct {
		name, keywords, markers, route string
		want                           string // empty: it loads
	}{
		{"a confirmation", "enrolled: SUBAD, withdrawn: SUBAD", "services: [OTPEN]", "carriers: [stc]", "carriers[0].free.markers: have none for SUBAD, and"},
		{"a code", "enrolled: SUBAD, withdrawn: SUBAD", "services: [SUBAD]", "carriers: [stc]", "carriers[0].free.markers: have none for OTPEN, and"},
		{"both are marked", "enrolled: SUBAD, withdrawn: SUBAD", "services: [SUBAD, OTPEN]", "carriers: [stc]", ""},
		{"elsewhere", "enrolled: SUBAD, withdrawn: SUBAD", "services: [IDNEW]", "accounts: [other], carriers: [stc]", ""},
		{"an answer of no service", "enrolled: SUBAD, replies: {withdrawn_all: {en: You left.}}", "services: [SUBAD, OTPEN]", "carriers: [stc]", "keywords[0].withdrawn: is missing: these answers would be of no service, and stc requires a marker"},
		{"no answer of no service", "enrolled: SUBAD", "services: [SUBAD, OTPEN]", "carriers: [stc]", ""},
		{"an answer of no service elsewhere", "enrolled: SUBAD, replies: {withdrawn_all: {en: You left.}}", "services: [SUBAD, OTPEN]", "services: [SUBAD], carriers: [stc]", ""},
	} {
		t.Run(tc.name, func(t *testing.T) {
			main := governedBy("agency: civil-affairs", "agency: none", "carriers: [stc]", tc.route,
				"accounts:\n", "accounts:\n  - {system_id: other, agency: none, password_hash: \"$2a$10$...\"}\n",
				"password: secret}", "password: secret, free: {required: true, markers: [{name: m, service_type: F, "+tc.markers+"}]}}") +
				"keywords: [{numbers: [\"1090\"], words: {withdraw: [STOP]}, " + tc.keywords + "}]\n"
			_, _, err := load(t, ParseOptions{}, main, smallCatalogue(t))
			switch {
			case tc.want == "" && err != nil:
				t.Error(err)
			case tc.want != "" && (err == nil || !strings.Contains(err.Error(), tc.want)):
				t.Errorf("got %v, want %s", err, tc.want)
			}
		})
	}
}
