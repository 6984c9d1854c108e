package admin

import (
	"bytes"
	"net/http"
	"strings"
	"testing"
	"time"

	"masar/gateway"
)

const (
	saad    = "1012345678" // the reference of a person
	number1 = "966500000001"
	number2 = "966500000002"
)

// enrolled is a person whom a partner has enrolled, verified.
func (s *site) enrolled(partner, person, number string, services ...string) {
	s.t.Helper()
	s.as(partner, "POST", "/v1/enrolments", EnrolRequest{Person: person, Number: number, Services: services, Verified: true}).want(200)
}

func TestAnEnrolmentIsKeptAndFound(t *testing.T) {
	s := newSite(t)
	got := answered[Consent](s.as("bank-a", "POST", "/v1/enrolments", `{"person":"1012345678","number":"٠٥٠ ٠٠٠ ٠٠٠١","services":["IDREN"],"language":"en","verified":true,"by":"clerk 7","at":"2026-11-01T09:00:00+03:00"}`).want(200))
	if !got.Changed || got.Number != number1 || len(got.Moved) != 1 || got.People != 1 {
		t.Errorf("answered %+v", got)
	}
	for _, who := range []string{"person=" + saad, "number=0500000001"} {
		subs := answered[Subscribers](s.as("bank-a", "GET", "/v1/subscribers?"+who, nil).want(200))
		if len(subs.Subscribers) != 1 {
			t.Fatalf("%s: %+v", who, subs)
		}
		sub := subs.Subscribers[0]
		if sub.Number != number1 || sub.Language != "en" || sub.State != "active" || len(sub.Enrolments) != 1 {
			t.Errorf("%s: %+v", who, sub)
		}
		e := sub.Enrolments[0]
		if e.Service != "IDREN" || e.State != "enrolled" || e.Channel != "bank-a" || !e.At.Equal(time.Date(2026, 11, 1, 6, 0, 0, 0, time.UTC)) {
			t.Errorf("%s: %+v", who, e)
		}
		s.as("bank-a", "GET", "/v1/subscribers?id="+sub.ID, nil).want(200)
	}
	if len(s.notices.all()) != 0 {
		t.Error("a code was sent for a verified number")
	}
	history := answered[struct{ History []HistoryRow }](s.as("bank-a", "GET", "/v1/subscribers/history?person="+saad, nil).want(200))
	if len(history.History) != 1 || history.History[0].Kind != "enrol" || history.History[0].By != "clerk 7" {
		t.Errorf("history %+v", history)
	}
}

func TestAnUnverifiedEnrolmentWaitsForItsCode(t *testing.T) {
	s := newSite(t)
	got := answered[Consent](s.as("bank-a", "POST", "/v1/enrolments", EnrolRequest{Person: saad, Number: number1, Services: []string{"IDREN", "IDNEW"}, Language: "en"}).want(200))
	if len(got.Pending) != 2 || got.CodeNotSent != "" {
		t.Fatalf("answered %+v", got)
	}
	all := s.notices.all()
	if len(all) != 1 {
		t.Fatalf("sent %+v", all)
	}
	n := all[0]
	if n.Account != "nic" || n.Service != "OTPEN" || n.Number.String() != number1 || !n.System || n.Template != "OTPEN/2/en" || n.Validity != 10*time.Minute {
		t.Errorf("sent %+v", n)
	}
	code := s.code(number1)
	if len(code) != 6 || strings.Trim(code, "0123456789") != "" {
		t.Fatalf("code %q", code)
	}
	s.as("bank-a", "POST", "/v1/codes/verify", VerifyRequest{Number: number1, Code: wrongCode(code)}).wantProblem(422, "body.code")
	got = answered[Consent](s.as("bank-a", "POST", "/v1/codes/verify", VerifyRequest{Person: saad, Code: code}).want(200))
	if len(got.Moved) != 2 {
		t.Errorf("answered %+v", got)
	}
	sub := answered[Subscribers](s.as("bank-a", "GET", "/v1/subscribers?person="+saad, nil).want(200))
	for _, e := range sub.Subscribers[0].Enrolments {
		if e.State != "enrolled" {
			t.Errorf("%+v", e)
		}
	}
	if strings.Contains(s.logged.String(), code) || strings.Contains(s.logged.String(), number1) || strings.Contains(s.logged.String(), saad) {
		t.Errorf("the log tells too much:\n%s", s.logged)
	}
}

// wrongCode is another code of as many digits.
func wrongCode(code string) string {
	b := []byte(code)
	b[0] = '0' + (b[0]-'0'+1)%10
	return string(b)
}

func TestACodeThatIsNotSentIsTold(t *testing.T) {
	s := newSite(t)
	s.notices.fail = &gateway.SubmitError{Refusal: gateway.NoRoute}
	got := answered[Consent](s.as("bank-a", "POST", "/v1/enrolments", EnrolRequest{Person: saad, Number: number1, Services: []string{"IDREN"}}).want(200))
	if len(got.Pending) != 1 || !strings.Contains(got.CodeNotSent, "no_route") {
		t.Errorf("answered %+v", got)
	}
}

func TestCodesAreSentAgainSoOften(t *testing.T) {
	s := newSite(t)
	s.as("bank-a", "POST", "/v1/codes", CodeRequest{Number: number1}).wantProblem(404)
	s.as("bank-a", "POST", "/v1/enrolments", EnrolRequest{Person: saad, Number: number1, Services: []string{"IDREN"}}).want(200)
	first := s.code(number1)
	again := answered[CodeSent](s.as("bank-a", "POST", "/v1/codes", CodeRequest{Number: number1}, "Idempotency-Key", "k1").want(202))
	if again.Number != number1 || !again.Expires.Equal(s.clock().Add(10*time.Minute)) {
		t.Errorf("answered %+v", again)
	}
	if r := s.as("bank-a", "POST", "/v1/codes", CodeRequest{Number: number1}, "Idempotency-Key", "k1").want(202); r.header.Get("Idempotency-Replayed") != "true" {
		t.Error("a repeated request was not told from a new one")
	}
	if sent := s.notices.all(); len(sent) != 2 {
		t.Errorf("%d codes were sent", len(sent))
	}
	s.as("bank-a", "POST", "/v1/codes", CodeRequest{Person: saad}).want(202)
	r := s.as("bank-a", "POST", "/v1/codes", CodeRequest{Number: number1})
	r.wantProblem(429, "3 codes")
	if r.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	if last := s.code(number1); first == last {
		t.Error("the same code was sent twice")
	}
	s.as("bank-a", "POST", "/v1/codes/verify", VerifyRequest{Number: number1, Code: first}).wantProblem(422, "code")
	s.as("bank-b", "POST", "/v1/codes", CodeRequest{Number: number1}).wantProblem(404)
	s.as("bank-a", "POST", "/v1/codes/verify", VerifyRequest{Number: number1, Code: s.code(number1)}).want(200)
	s.pass(time.Hour)
	s.as("bank-a", "POST", "/v1/codes", CodeRequest{Number: number1}).wantProblem(409, "nothing waits")
}

func TestAPersonsOwnWithdrawalOutlivesAnOlderConsent(t *testing.T) {
	s := newSite(t)
	s.enrolled("bank-a", saad, number1, "IDREN")
	s.pass(time.Hour)
	got := answered[Consent](s.as("bank-a", "POST", "/v1/withdrawals", WithdrawRequest{Person: saad, ByPerson: true}).want(200))
	if len(got.Moved) != 1 {
		t.Fatalf("answered %+v", got)
	}
	s.pass(time.Hour)
	old := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	got = answered[Consent](s.as("bank-a", "POST", "/v1/enrolments", EnrolRequest{Person: saad, Services: []string{"IDREN"}, Verified: true, At: &old}).want(200))
	if len(got.Moved) != 0 || len(got.Kept) != 1 {
		t.Errorf("answered %+v", got)
	}
}

func TestARepeatedRequestIsAnsweredAsBefore(t *testing.T) {
	s := newSite(t)
	ask := EnrolRequest{Person: saad, Number: number1, Services: []string{"IDREN"}, Verified: true}
	first := s.as("bank-a", "POST", "/v1/enrolments", ask, "Idempotency-Key", "k").want(200)
	s.as("bank-a", "POST", "/v1/withdrawals", WithdrawRequest{Person: saad}).want(200)
	second := s.as("bank-a", "POST", "/v1/enrolments", ask, "Idempotency-Key", "k").want(200)
	if !bytes.Equal(first.body, second.body) || first.header.Get("Idempotency-Replayed") != "" || second.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("first %s %v\nsecond %s %v", first.body, first.header, second.body, second.header)
	}
	sub := answered[Subscribers](s.as("bank-a", "GET", "/v1/subscribers?person="+saad, nil).want(200))
	if sub.Subscribers[0].Enrolments[0].State != "withdrawn" {
		t.Error("the repeated request was done again")
	}
	ask.Services = []string{"IDNEW"}
	s.as("bank-a", "POST", "/v1/enrolments", ask, "Idempotency-Key", "k").wantProblem(409, "Idempotency-Key")
	s.as("bank-a", "POST", "/v1/withdrawals", WithdrawRequest{Person: saad}, "Idempotency-Key", "k").wantProblem(409)
	// Another channel's key of the same name is another key.
	s.as("bank-b", "POST", "/v1/enrolments", ask, "Idempotency-Key", "k").want(200)
	// What the registry refused is answered again too.
	bad := EnrolRequest{Person: "2099999999", Services: []string{"IDREN"}, Verified: true}
	s.as("bank-a", "POST", "/v1/enrolments", bad, "Idempotency-Key", "k2").wantProblem(422, "body.number")
	r := s.as("bank-a", "POST", "/v1/enrolments", bad, "Idempotency-Key", "k2")
	r.wantProblem(422, "body.number")
	if r.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%v", r.header)
	}
}

func TestBadEnrolmentsAreNamed(t *testing.T) {
	s := newSite(t)
	for _, row := range []struct {
		name, partner, path, body string
		status                    int
		says                      []string
	}{
		{"unknown service", "bank-a", "/v1/enrolments", `{"person":"1","number":"0500000001","services":["IDREN","NOPE"]}`, 422, []string{"body.services[1]", "NOPE", "no service of the catalogue"}},
		{"several mistakes at once", "bank-a", "/v1/enrolments", `{"person":"-","number":"12","services":["NOPE"],"language":"fr","at":"2030-01-01T00:00:00Z"}`, 422,
			[]string{"body.services[0]", "body.number", "too_short", "body.person", "body.language", "body.at", "in the future"}},
		{"malformed number", "bank-a", "/v1/enrolments", `{"number":"05000x0001","services":["IDREN"]}`, 422, []string{"body.number", "05000x0001", "bad_character"}},
		{"landline", "bank-a", "/v1/enrolments", `{"number":"0112345678","services":["IDREN"]}`, 422, []string{"body.number", "not_mobile"}},
		{"nobody", "bank-a", "/v1/enrolments", `{"services":["IDREN"]}`, 422, []string{"person or number"}},
		{"no service", "bank-a", "/v1/enrolments", `{"person":"1","services":[]}`, 422, []string{"body.services"}},
		{"no services at all", "bank-a", "/v1/enrolments", `{"person":"1"}`, 422, []string{"services"}},
		{"unknown field", "bank-a", "/v1/enrolments", `{"person":"1","services":["IDREN"],"verifed":true}`, 422, []string{"verifed"}},
		{"wrong type", "bank-a", "/v1/enrolments", `{"person":1,"services":["IDREN"]}`, 422, []string{"body.person", "string"}},
		{"broken JSON", "bank-a", "/v1/enrolments", `{"person":`, 400, []string{"body"}},
		{"no body", "bank-a", "/v1/enrolments", ``, 400, []string{"body"}},
		{"not JSON", "bank-a", "/v1/enrolments", `person=1`, 400, nil},
		{"long clerk", "bank-a", "/v1/enrolments", `{"person":"1","services":["IDREN"],"by":"` + strings.Repeat("ع", 40) + `"}`, 422, []string{"body.by", "octets"}},
		{"unknown person without number", "bank-a", "/v1/enrolments", `{"person":"1","services":["IDREN"]}`, 422, []string{"body.number"}},
		{"a service the key may not name", "office", "/v1/enrolments", `{"person":"1","number":"0500000001","services":["IDREN","IDNEW"],"verified":true}`, 403, []string{"office", "IDNEW"}},
		{"another's channel", "bank-a", "/v1/enrolments", `{"person":"1","number":"0500000001","services":["IDREN"],"channel":"portal"}`, 422, []string{"body.channel", "all-channels"}},
		{"withdraw unknown service", "bank-a", "/v1/withdrawals", `{"person":"1","services":["NOPE"]}`, 422, []string{"body.services[0]"}},
		{"withdraw nobody", "bank-a", "/v1/withdrawals", `{}`, 422, []string{"person or number"}},
		{"code without number", "bank-a", "/v1/codes", `{}`, 422, []string{"person or number"}},
		{"code that is none", "bank-a", "/v1/codes/verify", `{"number":"0500000001","code":"12a4"}`, 422, []string{"body.code", "4 to 10 digits"}},
		{"number change of nobody", "bank-a", "/v1/subscribers/number", `{"person":"1","number":"0500000001"}`, 404, nil},
		{"number change without number", "bank-a", "/v1/subscribers/number", `{"person":"1"}`, 422, []string{"number"}},
		{"recycled nobody", "bank-a", "/v1/subscribers/recycled", `{"number":"0500000001"}`, 404, nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			s.t = t
			s.as(row.partner, "POST", row.path, row.body).wantProblem(row.status, row.says...)
		})
	}
	s.t = t
	if st, err := s.reg.Stats(t.Context()); err != nil || st.Subscribers != 0 {
		t.Errorf("something was applied: %+v %v", st, err)
	}
	if len(s.notices.all()) != 0 {
		t.Error("a code was sent")
	}
}

func TestAChannelSeesOnlyWhatItEnrolled(t *testing.T) {
	s := newSite(t)
	s.enrolled("bank-a", saad, number1, "IDREN")
	s.enrolled("portal", saad, "", "IDNEW")
	// bank-b knows him not.
	for _, path := range []string{"/v1/subscribers?person=" + saad, "/v1/subscribers?number=" + number1, "/v1/subscribers/history?person=" + saad} {
		s.as("bank-b", "GET", path, nil).wantProblem(404)
	}
	s.as("bank-b", "POST", "/v1/subscribers/number", NumberRequest{Person: saad, Number: number2}).wantProblem(404)
	s.as("bank-b", "POST", "/v1/subscribers/recycled", RecycledRequest{Number: number1}).wantProblem(404)
	s.as("bank-b", "DELETE", "/v1/subscribers?person="+saad, nil).wantProblem(403, "all-channels")
	// What it withdraws is not there to withdraw, and tells nothing of him.
	got := answered[Consent](s.as("bank-b", "POST", "/v1/withdrawals", WithdrawRequest{Person: saad}).want(200))
	if len(got.Moved) != 0 || got.Number != "" || got.People != 0 {
		t.Errorf("answered %+v", got)
	}
	// bank-a sees its own alone, the portal both.
	sub := answered[Subscribers](s.as("bank-a", "GET", "/v1/subscribers?person="+saad, nil).want(200))
	if e := sub.Subscribers[0].Enrolments; len(e) != 1 || e[0].Service != "IDREN" || e[0].State != "enrolled" {
		t.Errorf("bank-a sees %+v", e)
	}
	sub = answered[Subscribers](s.as("portal", "GET", "/v1/subscribers?person="+saad, nil).want(200))
	if e := sub.Subscribers[0].Enrolments; len(e) != 2 {
		t.Errorf("the portal sees %+v", e)
	}
	// A key that may name only IDREN sees that alone; another key of the channel all.
	history := answered[struct{ History []HistoryRow }](s.as("reader", "GET", "/v1/subscribers/history?person="+saad, nil).want(200))
	if len(history.History) != 1 || history.History[0].Channel != "bank-a" {
		t.Errorf("history %+v", history)
	}
}

func TestANumberChangeMovesAPersonAndIsVerified(t *testing.T) {
	s := newSite(t)
	s.enrolled("bank-a", saad, number1, "IDREN")
	got := answered[Consent](s.as("bank-a", "POST", "/v1/subscribers/number", NumberRequest{Person: saad, Number: number2}).want(200))
	if got.Number != number2 || len(got.Pending) != 1 {
		t.Errorf("answered %+v", got)
	}
	s.as("bank-a", "POST", "/v1/codes/verify", VerifyRequest{Person: saad, Code: s.code(number2)}).want(200)
	s.as("bank-a", "GET", "/v1/subscribers?number="+number1, nil).wantProblem(404)
	s.as("bank-a", "POST", "/v1/subscribers/recycled", RecycledRequest{Number: number2, By: "carrier"}).want(200)
	sub := answered[Subscribers](s.as("bank-a", "GET", "/v1/subscribers?number="+number2, nil).want(200))
	if sub.Subscribers[0].State != "recycled" {
		t.Errorf("%+v", sub)
	}
	s.as("bank-a", "POST", "/v1/codes", CodeRequest{Number: number2}).want(202)
	s.as("bank-a", "POST", "/v1/codes/verify", VerifyRequest{Number: number2, Code: s.code(number2)}).want(200)
	sub = answered[Subscribers](s.as("bank-a", "GET", "/v1/subscribers?number="+number2, nil).want(200))
	if sub.Subscribers[0].State != "active" {
		t.Errorf("%+v", sub)
	}
	s.as("portal", "DELETE", "/v1/subscribers?person="+saad+"&by=dpo", nil).want(http.StatusNoContent)
	s.as("portal", "GET", "/v1/subscribers?person="+saad, nil).wantProblem(404)
}

func TestWhoEnrolsByNumberAloneIsTheNumbersPerson(t *testing.T) {
	s := newSite(t)
	s.as("bank-a", "POST", "/v1/enrolments", EnrolRequest{Number: number1, Services: []string{"IDREN"}, Verified: true}).want(200)
	s.as("bank-a", "POST", "/v1/enrolments", EnrolRequest{Number: number1, Services: []string{"IDNEW"}, Verified: true}).want(200)
	sub := answered[Subscribers](s.as("bank-a", "GET", "/v1/subscribers?number="+number1, nil).want(200))
	if len(sub.Subscribers) != 1 || len(sub.Subscribers[0].Enrolments) != 2 {
		t.Errorf("%+v", sub)
	}
	// Over the socket the command line may speak for any channel.
	s.local("POST", "/v1/enrolments", EnrolRequest{Number: number2, Services: []string{"IDREN"}, Verified: true, Channel: "office-3", By: "root"}).want(200)
	sub = answered[Subscribers](s.local("GET", "/v1/subscribers?number="+number2, nil).want(200))
	if sub.Subscribers[0].Enrolments[0].Channel != "office-3" {
		t.Errorf("%+v", sub)
	}
}
