package admin

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"masar/gateway"
	"masar/service"
	"masar/smpp/pdu"
)

func order(to Addressee) NoticeRequest {
	return NoticeRequest{Service: "IDREN", To: to, Params: map[string]string{"document": "ID", "days": "30"}}
}

func TestANoticeIsWrittenInThePersonsLanguage(t *testing.T) {
	s := newSite(t)
	s.as("portal", "POST", "/v1/enrolments", EnrolRequest{Person: saad, Number: number1, Services: []string{"IDREN"}, Language: "en", Verified: true}).want(200)
	for _, row := range []struct {
		name     string
		to       Addressee
		language string
		template string
	}{
		{"to him", Addressee{Person: saad}, "", "IDREN/2/en"},
		{"to his number", Addressee{Number: "0500000001"}, "", "IDREN/2/en"},
		{"to nobody we know", Addressee{Number: number2}, "", "IDREN/2/ar"},
		{"as the caller says", Addressee{Person: saad}, "ar", "IDREN/2/ar"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s.t = t
			ask := order(row.to)
			ask.Language, ask.Receipt = row.language, true
			got := answered[NoticeAnswer](s.as("portal", "POST", "/v1/notices", ask).want(202))
			if got.Template != row.template || got.Service != "IDREN" || got.Trial != nil {
				t.Errorf("answered %+v", got)
			}
			all := s.notices.all()
			n := all[len(all)-1]
			if n.Account != "civil-affairs" || n.Template != row.template || !n.Receipt || n.System || !strings.Contains(n.Text, "30") {
				t.Errorf("sent %+v", n)
			}
			if toPerson := n.Person != (service.Person{}); toPerson != (row.to.Person != "") {
				t.Errorf("sent %+v", n)
			}
			state := answered[NoticeState](s.as("portal", "GET", "/v1/notices/"+got.MessageID, nil).want(200))
			if state.State != "ENROUTE" || state.Stage != "sent" || state.Template != row.template || len(state.Parts) != 1 {
				t.Errorf("%+v", state)
			}
		})
	}
}

func TestADryRunSendsNothing(t *testing.T) {
	s := newSite(t)
	ask := order(Addressee{Number: number1})
	ask.DryRun = true
	got := answered[NoticeAnswer](s.as("portal", "POST", "/v1/notices", ask, "Idempotency-Key", "k").want(200))
	d := got.Trial
	if got.MessageID != "" || d == nil || d.Number != number1 || d.Encoding != "ucs2" || len(d.Parts) != 1 || d.Units != d.Parts[0].Units || d.Units == 0 || d.Route != "default" || d.Text == "" {
		t.Fatalf("%+v %+v", got, d)
	}
	if len(d.Options) < 5 || d.Options[0].Option != "none" || d.Options[0].Parts != 1 {
		t.Errorf("options %+v", d.Options)
	}
	if len(s.notices.all()) != 0 {
		t.Error("it was sent")
	}
	s.as("portal", "POST", "/v1/notices", order(Addressee{Number: number2}), "Idempotency-Key", "k").want(202) // the key is still free
}

func TestANoticeWithAKeyIsSentOnce(t *testing.T) {
	s := newSite(t)
	first := s.as("portal", "POST", "/v1/notices", order(Addressee{Number: number1}), "Idempotency-Key", "k").want(202)
	second := s.as("portal", "POST", "/v1/notices", order(Addressee{Number: number1}), "Idempotency-Key", "k").want(202)
	if !bytes.Equal(first.body, second.body) || second.header.Get("Idempotency-Replayed") != "true" || len(s.notices.all()) != 1 {
		t.Errorf("%s\n%s\n%d sent", first.body, second.body, len(s.notices.all()))
	}
	s.as("portal", "POST", "/v1/notices", order(Addressee{Number: number2}), "Idempotency-Key", "k").wantProblem(409, "Idempotency-Key")
	// One that the gateway refused is not sent, may be tried again, and not with another body.
	s.notices.fail = &gateway.SubmitError{Refusal: gateway.NoRoute, Status: pdu.ESME_RINVDSTADR}
	s.as("portal", "POST", "/v1/notices", order(Addressee{Number: number1}), "Idempotency-Key", "k2").wantProblem(422, "no_route", "ESME_RINVDSTADR")
	s.as("portal", "POST", "/v1/notices", order(Addressee{Number: number2}), "Idempotency-Key", "k2").wantProblem(409)
	s.notices.fail = nil
	s.as("portal", "POST", "/v1/notices", order(Addressee{Number: number1}), "Idempotency-Key", "k2").want(202)
	if n := len(s.notices.all()); n != 2 {
		t.Errorf("%d sent", n)
	}
}

func TestBadNoticesAreNamed(t *testing.T) {
	s := newSite(t)
	for _, row := range []struct {
		name, partner, body string
		fail                error
		status              int
		says                []string
	}{
		{"unknown service", "portal", `{"service":"NOPE","to":{"number":"0500000001"}}`, nil, 422, []string{"body.service", "NOPE"}},
		{"missing parameter", "portal", `{"service":"IDREN","to":{"number":"0500000001"},"params":{"document":"ID"}}`, nil, 422, []string{"body.params.days"}},
		{"long parameter", "portal", `{"service":"IDREN","to":{"number":"0500000001"},"params":{"document":"ID","days":"30000"}}`, nil, 422, []string{"body.params.days", "3"}},
		{"unknown parameter", "portal", `{"service":"IDREN","to":{"number":"0500000001"},"params":{"document":"ID","days":"3","x":"y"}}`, nil, 422, []string{"body.params.x"}},
		{"several", "portal", `{"service":"IDREN","to":{"number":"0500000001"},"params":{}}`, nil, 422, []string{"body.params.days", "body.params.document"}},
		{"bad number", "portal", `{"service":"IDREN","to":{"number":"12"}}`, nil, 422, []string{"body.to.number", "too_short"}},
		{"nobody", "portal", `{"service":"IDREN","to":{}}`, nil, 422, []string{"body.to"}},
		{"person and number", "portal", `{"service":"IDREN","to":{"number":"0500000001","person":"1"}}`, nil, 422, []string{"exactly one"}},
		{"unknown person", "portal", `{"service":"IDREN","to":{"person":"1"},"params":{"document":"ID","days":"3"}}`, nil, 422, []string{"body.to.person", "unknown_person"}},
		{"text beside a template", "portal", `{"service":"IDREN","to":{"number":"0500000001"},"text":"x"}`, nil, 422, []string{"body.text", "template"}},
		{"no text", "portal", `{"service":"IDNEW","to":{"number":"0500000001"}}`, nil, 422, []string{"body.text"}},
		{"foreign link", "portal", `{"service":"IDNEW","to":{"number":"0500000001"},"text":"see https://evil.example/x"}`, nil, 422, []string{"body.text", "evil.example"}},
		{"language", "portal", `{"service":"IDREN","to":{"number":"0500000001"},"language":"fr"}`, nil, 422, []string{"body.language", "ar, en"}},
		{"a service the key may not name", "office", `{"service":"IDNEW","to":{"number":"0500000001"},"text":"x"}`, nil, 403, []string{"office", "IDNEW"}},
		{"another account", "portal", `{"service":"IDNEW","to":{"number":"0500000001"},"text":"x","account":"nic"}`, nil, 403, []string{"civil-affairs"}},
		{"a key without account", "sender", `{"service":"IDNEW","to":{"number":"0500000001"},"text":"x"}`, nil, 403, []string{"no account"}},
		{"no account", "admin", `{"service":"IDNEW","to":{"number":"0500000001"},"text":"x"}`, nil, 422, []string{"body.account"}},
		{"unknown account", "admin", `{"service":"IDNEW","to":{"number":"0500000001"},"text":"x","account":"x"}`, gateway.ErrNoAccount, 422, []string{"body.account"}},
		{"too fast", "portal", `{"service":"IDNEW","to":{"number":"0500000001"},"text":"x"}`, &gateway.SubmitError{Refusal: gateway.OverRate}, 429, []string{"over_rate"}},
		{"not the account's service", "portal", `{"service":"IDNEW","to":{"number":"0500000001"},"text":"x"}`, &gateway.SubmitError{Refusal: gateway.ForeignService}, 403, []string{"foreign_service"}},
		{"registry failed", "portal", `{"service":"IDNEW","to":{"number":"0500000001"},"text":"x"}`, &gateway.SubmitError{Refusal: gateway.RegistryFailed}, 503, []string{"registry_failed"}},
		{"disk full", "portal", `{"service":"IDNEW","to":{"number":"0500000001"},"text":"x"}`, &gateway.SubmitError{Refusal: gateway.DiskFull}, 503, []string{"disk_full"}},
		{"broken", "portal", `{"service":"IDNEW","to":{"number":"0500000001"},"text":"x"}`, errBroken, 503, []string{"its log says why"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s.t = t
			s.notices.fail = row.fail
			s.as(row.partner, "POST", "/v1/notices", row.body).wantProblem(row.status, row.says...)
		})
	}
	s.t, s.notices.fail = t, nil
	if len(s.notices.all()) != 0 {
		t.Error("something was sent")
	}
	s.as("portal", "GET", "/v1/notices/zz", nil).wantProblem(400, "16 hex digits")
	s.as("portal", "GET", "/v1/notices/0123456789abcdef", nil).wantProblem(404)
	s.as("admin", "GET", "/v1/notices/0123456789abcdef", nil).wantProblem(422, "account")
	if !strings.Contains(s.logged.String(), "broken") {
		t.Error("what the gateway could not do is not logged")
	}
	if strings.Contains(s.logged.String(), "0500000001") || strings.Contains(s.logged.String(), number1) {
		t.Errorf("the log tells too much:\n%s", s.logged)
	}
}

func TestATextIsSegmented(t *testing.T) {
	s := newSite(t)
	got := answered[Segmentation](s.as("reader", "POST", "/v1/segment", SegmentRequest{Text: strings.Repeat("ع", 71)}).want(200))
	if got.Encoding != "ucs2" || got.Units != 71 || len(got.Parts) != 2 || got.Parts[0].Units != 67 || got.Options[0].Parts != 2 {
		t.Errorf("%+v", got)
	}
	got = answered[Segmentation](s.as("reader", "POST", "/v1/segment", SegmentRequest{Text: "“x”", Style: "sar"}).want(200))
	saved := false
	for _, o := range got.Options {
		saved = saved || o.Encoding == "gsm7"
	}
	if got.Encoding != "ucs2" || !saved {
		t.Errorf("%+v", got)
	}
	s.as("reader", "POST", "/v1/segment", `{"text":"x","style":"morse"}`).wantProblem(422, "body.style")
	s.as("reader", "POST", "/v1/segment", `{"text":"`+strings.Repeat("x", 20001)+`"}`).wantProblem(422, "body.text")
}

func TestTheCatalogueIsTold(t *testing.T) {
	s := newSite(t)
	type list struct {
		Languages []string
		Services  []ServiceRow
	}
	got := answered[list](s.as("portal", "GET", "/v1/services", nil).want(200))
	if len(got.Services) != 4 || strings.Join(got.Languages, " ") != "ar en" {
		t.Fatalf("%+v", got)
	}
	row := got.Services[0]
	if row.Code != "IDREN" || row.Agency != "civil-affairs" || row.Name["en"] != "Service IDREN" || row.Name["ar"] == "" || row.Kind != "expiry" || row.Class != "normal" ||
		row.Mode != "opt-in" || row.Sender != "AHWAL" || row.Version != 2 || len(row.Params) != 2 || !row.Open || row.OpensAt != nil || !row.Holds {
		t.Errorf("%+v", row)
	}
	s.pass(8 * time.Hour) // 23:00 in Riyadh
	got = answered[list](s.as("office", "GET", "/v1/services", nil).want(200))
	if len(got.Services) != 1 || got.Services[0].Open || got.Services[0].OpensAt == nil || got.Services[0].OpensAt.Hour() != 5 {
		t.Errorf("%+v", got)
	}
}

func TestBlocksAreKeptByChannel(t *testing.T) {
	s := newSite(t)
	end := s.clock().Add(time.Hour)
	s.as("bank-a", "GET", "/v1/blocklist/0500000001", nil).wantProblem(404, "not blocked")
	b := answered[Block](s.as("bank-a", "PUT", "/v1/blocklist/0500000001", BlockRequest{Reason: "asked", Expires: &end}).want(200))
	if b.Number != number1 || b.Scope != "all" || b.Reason != "asked" || b.Channel != "bank-a" || !b.Expires.Equal(end) {
		t.Errorf("%+v", b)
	}
	s.as("bank-b", "GET", "/v1/blocklist/0500000001", nil).wantProblem(404)
	s.as("bank-b", "PUT", "/v1/blocklist/0500000001", BlockRequest{Scope: "opt-in"}).wantProblem(409, "another channel")
	s.as("bank-b", "DELETE", "/v1/blocklist/0500000001", nil).wantProblem(404)
	s.as("bank-a", "PUT", "/v1/blocklist/0500000001", BlockRequest{Scope: "opt-in"}).want(200)
	if b := answered[Block](s.as("portal", "GET", "/v1/blocklist/0500000001", nil).want(200)); b.Scope != "opt-in" || b.Expires != nil {
		t.Errorf("%+v", b)
	}
	s.enrolled("bank-a", saad, number1, "IDREN")
	s.enrolled("bank-b", saad, number1, "IDREN")
	if subs := answered[Subscribers](s.as("bank-a", "GET", "/v1/subscribers?person="+saad, nil).want(200)); subs.Block == nil {
		t.Error("the block is not told")
	}
	s.as("portal", "DELETE", "/v1/blocklist/0500000001", nil).want(204)
	s.as("bank-a", "GET", "/v1/blocklist/0500000001", nil).wantProblem(404)
	past := s.clock().Add(-time.Second)
	for _, row := range []struct {
		path string
		body any
		says string
	}{
		{"/v1/blocklist/12", BlockRequest{}, "path.number"},
		{"/v1/blocklist/0500000001", `{"scope":"some"}`, "body.scope"},
		{"/v1/blocklist/0500000001", BlockRequest{Expires: &past}, "body.expires"},
		{"/v1/blocklist/0500000001", BlockRequest{Reason: strings.Repeat("ع", 60)}, "body.reason"},
	} {
		s.as("bank-a", "PUT", row.path, row.body).wantProblem(422, row.says)
	}
	s.as("bank-a", "GET", "/v1/blocklist/x", nil).wantProblem(422, "path.number")
}

func TestTotalsAreForWhoSeesAllChannels(t *testing.T) {
	s := newSite(t)
	s.enrolled("bank-a", saad, number1, "IDREN")
	s.as("bank-b", "POST", "/v1/enrolments", EnrolRequest{Person: "2", Number: number2, Services: []string{"IDREN"}}).want(200)
	s.as("bank-a", "GET", "/v1/stats/subscribers", nil).wantProblem(403, "all-channels")
	got := answered[Stats](s.as("portal", "GET", "/v1/stats/subscribers", nil).want(200))
	if got.Subscribers != 2 || got.Numbers != 2 || got.Services["IDREN"] != (ServiceStats{1, 1}) {
		t.Errorf("%+v", got)
	}
}

func TestAGatewayWithoutCatalogueSaysSo(t *testing.T) {
	s := newSite(t, func(o *Options) {
		o.Catalogue, o.Registry, o.PersonKey, o.Reminders, o.Campaigns = nil, nil, nil, nil, nil
	})
	for _, row := range []struct{ method, path, body string }{
		{"POST", "/v1/enrolments", `{"person":"1","services":["IDREN"]}`},
		{"POST", "/v1/withdrawals", `{"person":"1"}`},
		{"GET", "/v1/subscribers?person=1", ""},
		{"GET", "/v1/subscribers/history?person=1", ""},
		{"DELETE", "/v1/subscribers?person=1", ""},
		{"POST", "/v1/subscribers/number", `{"person":"1","number":"0500000001"}`},
		{"POST", "/v1/subscribers/recycled", `{"number":"0500000001"}`},
		{"POST", "/v1/codes", `{"number":"0500000001"}`},
		{"POST", "/v1/codes/verify", `{"number":"0500000001","code":"1234"}`},
		{"GET", "/v1/blocklist/0500000001", ""},
		{"PUT", "/v1/blocklist/0500000001", `{}`},
		{"DELETE", "/v1/blocklist/0500000001", ""},
		{"GET", "/v1/services", ""},
		{"GET", "/v1/stats/subscribers", ""},
		{"GET", "/v1/export/subscribers", ""},
		{"GET", "/v1/bulk", ""},
		{"POST", "/v1/bulk/enrolments", "x"},
		{"PUT", "/v1/reminders/k", `{"number":"0500000001","service":"IDREN","expires":"2027-02-11"}`},
		{"GET", "/v1/reminders/k", ""},
		{"DELETE", "/v1/reminders/k", ""},
		{"GET", "/v1/reminders", ""},
		{"GET", "/v1/reminders-unreached?day=2026-11-24", ""},
		{"POST", "/v1/reminders-move", `{"service":"IDREN","days":1}`},
		{"POST", "/v1/bulk/reminders", "x"},
		{"POST", "/v1/campaigns", `{"name":"n","service":"IDREN"}`},
		{"GET", "/v1/campaigns", ""},
		{"GET", "/v1/campaigns/1", ""},
		{"DELETE", "/v1/campaigns/1", ""},
		{"PUT", "/v1/campaigns/1/file", "x"},
		{"POST", "/v1/campaigns/1/check", ""},
		{"POST", "/v1/campaigns/1/test", ""},
		{"POST", "/v1/campaigns/1/release", ""},
		{"POST", "/v1/campaigns/1/start", ""},
		{"POST", "/v1/campaigns/1/pause", ""},
		{"POST", "/v1/campaigns/1/resume", ""},
		{"POST", "/v1/campaigns/1/stop", ""},
		{"GET", "/v1/campaigns/1/report", ""},
		{"GET", "/v1/campaigns/1/bad", ""},
	} {
		s.as("admin", row.method, row.path, row.body).wantProblem(501, "catalogue: FILE")
	}
	s.as("admin", "POST", "/v1/notices", `{"service":"IDNEW","to":{"number":"0500000001"},"text":"x","account":"a"}`).wantProblem(501)
	s.as("admin", "POST", "/v1/segment", SegmentRequest{Text: "x"}).want(200)
}
