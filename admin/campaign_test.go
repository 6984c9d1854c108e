package admin

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"masar/gateway"
	"masar/queue"
	"masar/smpp/pdu"
)

// drafted makes a campaign and gives it a file.
func (s *site) drafted(name, file string) CampaignView {
	s.t.Helper()
	k := answered[CampaignView](s.as(name, "POST", "/v1/campaigns", CampaignRequest{Name: "renewal 7", Service: "IDREN"}).want(201))
	return answered[CampaignView](s.file(name, k.ID, "text/csv", file).want(200))
}

// file gives a campaign a file.
func (s *site) file(name string, id uint64, contentType, file string) *reply {
	s.t.Helper()
	return s.as(name, "PUT", fmt.Sprintf("/v1/campaigns/%d/file", id), file, csvHeader, contentType)
}

// act asks something of a campaign.
func (s *site) act(name string, id uint64, do string, headers ...string) *reply {
	s.t.Helper()
	return s.as(name, "POST", fmt.Sprintf("/v1/campaigns/%d/%s", id, do), nil, headers...)
}

// campaign waits until one is as it should be.
func (s *site) campaign(name string, id uint64, is func(*CampaignView) bool) CampaignView {
	s.t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(2 * time.Millisecond) { // another goroutine's work, seen over HTTP alone
		v := answered[CampaignView](s.as(name, "GET", fmt.Sprintf("/v1/campaigns/%d", id), nil).want(200))
		if is(&v) {
			return v
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("still %+v", v)
		}
	}
}

// checked makes a campaign that may start, or be released.
func (s *site) checked(name, file string) CampaignView {
	s.t.Helper()
	k := s.drafted(name, file)
	s.act(name, k.ID, "check").want(200)
	return s.campaign(name, k.ID, func(v *CampaignView) bool { return v.State == "checked" })
}

const campaignHeader = "number,document,days\n"

// recipients is a file of n rows.
func recipients(n int) string {
	var b strings.Builder
	b.WriteString(campaignHeader)
	for i := range n {
		fmt.Fprintf(&b, "05%08d,ID,30\n", i+1)
	}
	return b.String()
}

func TestACampaignGoesFromItsFileToItsReport(t *testing.T) {
	s := newSite(t)
	r := s.as("agency", "POST", "/v1/campaigns", CampaignRequest{Name: "renewal 7", Service: "IDREN"}).want(201)
	k := answered[CampaignView](r)
	if r.header.Get("Location") != fmt.Sprintf("/v1/campaigns/%d", k.ID) || k.State != "draft" || k.By != "agency" || k.Account != "civil-affairs" || k.Service != "IDREN" || k.Rows != "params" || k.Check != nil {
		t.Errorf("%+v %v", k, r.header)
	}
	s.act("agency", k.ID, "start").wantProblem(409, "no file yet")
	k = answered[CampaignView](s.file("agency", k.ID, "text/csv", campaignHeader+"0500000001,ID,30\n0500000002,ID,30\n12,ID,30\n0500000001,ID,7\n").want(200))
	if n := k.Counts; n.Rows != 4 || n.Bad != 1 || n.Duplicate != 1 || n.Left != 2 || k.Uploaded != "agency" || k.Changed == nil {
		t.Errorf("%+v", k)
	}
	bad := s.as("agency", "GET", fmt.Sprintf("/v1/campaigns/%d/bad", k.ID), nil).want(200)
	if rows, err := csv.NewReader(bytes.NewReader(bad.body)).ReadAll(); err != nil || bad.header.Get("Content-Type") != csvText || !strings.Contains(string(bad.body), "number") || len(rows) < 2 || rows[1][0] != "4" {
		t.Errorf("%q %v", rows, err)
	}
	s.act("agency", k.ID, "start").wantProblem(409, "check it first")
	s.act("agency", k.ID, "check").want(200)
	k = s.campaign("agency", k.ID, func(v *CampaignView) bool { return v.State == "checked" })
	if c := k.Check; c == nil || c.Good != 2 || c.Segments != 2 || c.Parts["default"] != 2 || c.Takes == nil || *c.Takes != 90 || len(c.Errors) == 0 || c.Errors[0].Row != 4 || c.Errors[0].Field != "number" || c.Errors[0].Rule == "" {
		t.Errorf("%+v", k.Check)
	}
	if len(s.notices.all()) != 0 {
		t.Fatal("a check has sent something")
	}
	s.act("agency", k.ID, "start").want(200)
	k = s.campaign("agency", k.ID, func(v *CampaignView) bool { return v.Counts.Accepted == 2 })
	if k.State != "running" || k.Started == nil || k.Counts.Left != 0 || k.Counts.Waiting != 2 {
		t.Errorf("%+v", k)
	}
	sent := s.notices.all()
	if len(sent) != 2 || sent[0].Account != "civil-affairs" || sent[0].Job.Kind != queue.CampaignJob || sent[0].Job.Number != k.ID || !strings.Contains(sent[0].Text, "30") {
		t.Errorf("%+v", sent)
	}
	report := s.as("agency", "GET", fmt.Sprintf("/v1/campaigns/%d/report", k.ID), nil).want(200)
	rows, err := csv.NewReader(bytes.NewReader(report.body)).ReadAll()
	if err != nil || len(rows) != 5 || rows[1][1] != "966500000001" || rows[1][3] != "accepted" || rows[3][3] != "bad" || rows[4][3] != "duplicate" {
		t.Errorf("%q %v", rows, err)
	}
	s.as("agency", "DELETE", fmt.Sprintf("/v1/campaigns/%d", k.ID), nil).wantProblem(409, "running")
}

func TestALargeCampaignIsReleasedByASecondPerson(t *testing.T) {
	s := newSite(t)
	k := s.checked("agency", recipients(4)) // 3 need no release
	if !k.Needs {
		t.Errorf("%+v", k)
	}
	s.act("agency", k.ID, "start").wantProblem(409, "second person")
	s.act("agency", k.ID, "release").wantProblem(403, "agency", "lacks the scope release")
	s.act("rival", k.ID, "release").wantProblem(404)
	done := answered[CampaignView](s.act("chief", k.ID, "release").want(200))
	if done.State != "released" || done.Released != "chief" || done.Needs {
		t.Errorf("%+v", done)
	}
	s.act("agency", k.ID, "start").want(200)
	// A new file is another campaign to release.
	k = s.checked("agency", recipients(4))
	s.act("chief", k.ID, "release").want(200)
	if again := answered[CampaignView](s.file("agency", k.ID, "text/csv", recipients(5)).want(200)); again.Released != "" || again.Check != nil || again.State != "draft" {
		t.Errorf("%+v", again)
	}
	small := s.checked("agency", recipients(3))
	s.act("agency", small.ID, "start").want(200)
}

func TestOverTheSocketTheSecondPersonIsNamed(t *testing.T) {
	s := newSite(t)
	s.unix = s.server.routes(true)
	ask := func(user, method, path string, body any, headers ...string) *reply {
		t.Helper()
		if user != "" {
			headers = append(headers, UserHeader, user)
		}
		return s.request(s.unix, method, path, "", body, headers...)
	}
	k := answered[CampaignView](ask("ali", "POST", "/v1/campaigns", CampaignRequest{Name: "n", Service: "IDREN", Account: "civil-affairs"}).want(201))
	if k.By != "cli:ali" {
		t.Errorf("%+v", k)
	}
	path := fmt.Sprintf("/v1/campaigns/%d", k.ID)
	ask("huda", "PUT", path+"/file", recipients(4), csvHeader, "text/csv").want(200)
	ask("ali", "POST", path+"/check", nil).want(200)
	s.campaign("agency", k.ID, func(v *CampaignView) bool { return v.State == "checked" })
	for _, user := range []string{"ali", "huda"} {
		ask(user, "POST", path+"/release", nil).wantProblem(403, "second person")
	}
	ask(strings.Repeat("x", 65), "POST", path+"/release", nil).wantProblem(422, "header.Masar-User", "64")
	ask("a\tb", "POST", path+"/release", nil).wantProblem(422, "header.Masar-User")
	// Over TCP the header says nothing: the key is who asks.
	s.as("agency", "POST", path+"/release", nil, UserHeader, "noura").wantProblem(403, "scope")
	if done := answered[CampaignView](ask("noura", "POST", path+"/release", nil).want(200)); done.Released != "cli:noura" {
		t.Errorf("%+v", done)
	}
}

func TestAKeysNameIsWhoReleases(t *testing.T) {
	s := newSite(t)
	k := answered[CampaignView](s.as("rival", "POST", "/v1/campaigns", CampaignRequest{Name: "n", Service: "OTPEN"}).want(201))
	var file strings.Builder
	file.WriteString("number,code\n")
	for i := range 4 {
		fmt.Fprintf(&file, "05%08d,1234\n", i+1)
	}
	s.file("rival", k.ID, "text/csv", file.String()).want(200)
	s.act("rival", k.ID, "check").want(200)
	s.campaign("rival", k.ID, func(v *CampaignView) bool { return v.State == "checked" })
	s.act("rival", k.ID, "release", UserHeader, "somebody").wantProblem(403, "second person")
	// The token is nobody's in particular: it may be the same person's.
	s.act("admin", k.ID, "release").wantProblem(403, "say who releases: --as NAME, or use a key of your own")
	s.unix = s.server.routes(true)
	path := fmt.Sprintf("/v1/campaigns/%d/release", k.ID)
	s.request(s.unix, "POST", path, "", nil).wantProblem(403, "say who releases")
	s.request(s.unix, "POST", path, "", nil, UserHeader, "sara").want(200)
}

// TestWhatANamelessOperatorMadeIsNotReleased: he may be whoever releases it.
func TestWhatANamelessOperatorMadeIsNotReleased(t *testing.T) {
	for _, row := range []struct{ name, made, brought string }{
		{"made over the socket", "cli", "agency"},
		{"file over the socket", "agency", "cli"},
		{"made with the token", "admin", "agency"},
		{"file with the token", "agency", "admin"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := newSite(t)
			s.unix = s.server.routes(true)
			as := func(who, method, path string, body any, headers ...string) *reply {
				if who == "cli" {
					return s.request(s.unix, method, path, "", body, headers...)
				}
				return s.as(who, method, path, body, headers...)
			}
			k := answered[CampaignView](as(row.made, "POST", "/v1/campaigns", CampaignRequest{Name: "n", Service: "IDREN", Account: "civil-affairs"}).want(201))
			path := fmt.Sprintf("/v1/campaigns/%d", k.ID)
			as(row.brought, "PUT", path+"/file", recipients(4), csvHeader, "text/csv").want(200)
			s.act("agency", k.ID, "check").want(200)
			s.campaign("agency", k.ID, func(v *CampaignView) bool { return v.State == "checked" })
			s.request(s.unix, "POST", path+"/release", "", nil, UserHeader, "sara").wantProblem(403, "nobody can release it", "--as NAME")
			s.act("chief", k.ID, "release").wantProblem(403, "nobody can release it")
			s.act("agency", k.ID, "start").wantProblem(409, "second person")
		})
	}
}

func TestACampaignIsPausedResumedAndStopped(t *testing.T) {
	s := newSite(t)
	k := s.checked("agency", recipients(3))
	s.act("agency", k.ID, "pause").wantProblem(409, "checked", "paused")
	s.act("agency", k.ID, "start").want(200)
	s.campaign("agency", k.ID, func(v *CampaignView) bool { return v.Counts.Accepted == 3 })
	paused := answered[CampaignView](s.act("agency", k.ID, "pause").want(200))
	if paused.State != "paused" || paused.Halt == "" {
		t.Errorf("%+v", paused)
	}
	if h := s.gateway.Halts(); len(h) != 1 || h[0].Scope != (gateway.Scope{Campaign: k.ID}) || h[0].By != "agency" {
		t.Errorf("%+v", h)
	}
	if resumed := answered[CampaignView](s.act("agency", k.ID, "resume").want(200)); resumed.State != "running" || len(s.gateway.Halts()) != 0 {
		t.Errorf("%+v", resumed)
	}
	stopped := answered[CampaignView](s.act("agency", k.ID, "stop").want(200))
	if stopped.State != "stopped" || stopped.Stopper != "agency" {
		t.Errorf("%+v", stopped)
	}
	s.act("agency", k.ID, "start").wantProblem(409, "stopped")
	type list struct{ Campaigns []CampaignView }
	for query, want := range map[string]int{"": 1, "?state=stopped": 1, "?state=running": 0, "?service=IDREN": 1, "?service=PASSP": 0} {
		if l := answered[list](s.as("agency", "GET", "/v1/campaigns"+query, nil).want(200)); len(l.Campaigns) != want {
			t.Errorf("%q: %+v", query, l)
		}
	}
	s.as("agency", "GET", "/v1/campaigns?state=resting", nil).wantProblem(422, "query.state")
}

func TestAKeySeesItsAccountsCampaignsAlone(t *testing.T) {
	s := newSite(t)
	k := answered[CampaignView](s.as("agency", "POST", "/v1/campaigns", CampaignRequest{Name: "n", Service: "PASSP"}).want(201))
	path := fmt.Sprintf("/v1/campaigns/%d", k.ID)
	for _, partner := range []string{"desk", "rival"} { // another service, another account
		for _, ask := range []struct{ method, path string }{
			{"GET", path}, {"DELETE", path}, {"PUT", path + "/file"}, {"POST", path + "/check"}, {"POST", path + "/test"}, {"POST", path + "/start"},
			{"POST", path + "/pause"}, {"POST", path + "/resume"}, {"POST", path + "/stop"}, {"GET", path + "/report"}, {"GET", path + "/bad"},
		} {
			s.as(partner, ask.method, ask.path, nil, csvHeader, "text/csv").wantProblem(404, "no such campaign")
		}
		if r := s.as(partner, "GET", "/v1/campaigns", nil).want(200); strings.Contains(string(r.body), "PASSP") {
			t.Errorf("%s sees %s", partner, r.body)
		}
	}
	s.as("rival", "GET", "/v1/campaigns?account=civil-affairs", nil).wantProblem(403, "nic alone")
	s.as("watch", "GET", path, nil).wantProblem(403, "no account")
	s.as("watch", "GET", "/v1/campaigns", nil).wantProblem(403, "no account")
	s.as("admin", "GET", path, nil).want(200)
	s.as("agency", "GET", "/v1/campaigns/99", nil).wantProblem(404)
	s.as("agency", "GET", "/v1/campaigns/0", nil).wantProblem(422, "path.id")
	s.as("agency", "GET", "/v1/campaigns/x", nil).wantProblem(422, "path.id")
	s.as("agency", "DELETE", path, nil).want(204)
	s.as("agency", "GET", path, nil).wantProblem(404)
}

func TestBadCampaignsAreNamed(t *testing.T) {
	s := newSite(t)
	for _, row := range []struct {
		name, partner, body string
		fail                error
		status              int
		says                []string
	}{
		{"no name", "agency", `{"service":"IDREN"}`, nil, 422, []string{"name"}},
		{"blank name", "agency", `{"name":"  ","service":"IDREN"}`, nil, 422, []string{"body.name"}},
		{"unknown service", "agency", `{"name":"n","service":"NOPE"}`, nil, 422, []string{"body.service", "NOPE"}},
		{"text beside a template", "agency", `{"name":"n","service":"IDREN","text":"x"}`, nil, 422, []string{"body.text", "template"}},
		{"foreign link", "agency", `{"name":"n","service":"IDNEW","text":"see https://evil.example/x"}`, nil, 422, []string{"body.text", "evil.example"}},
		{"pace", "agency", `{"name":"n","service":"IDREN","pace":-1}`, nil, 422, []string{"body.pace"}},
		{"a service the key may not name", "desk", `{"name":"n","service":"PASSP"}`, nil, 403, []string{"PASSP"}},
		{"a key with services names one", "desk", `{"name":"n"}`, nil, 403, []string{"IDREN"}},
		{"another account", "agency", `{"name":"n","service":"IDREN","account":"nic"}`, nil, 403, []string{"civil-affairs alone"}},
		{"no account", "admin", `{"name":"n","service":"IDREN"}`, nil, 422, []string{"body.account"}},
		{"a key without account", "watch", `{"name":"n","service":"IDREN"}`, nil, 403, []string{"no account"}},
		{"unknown account", "admin", `{"name":"n","service":"IDREN","account":"x"}`, gateway.ErrNoAccount, 422, []string{"body.account"}},
		{"not the account's service", "agency", `{"name":"n","service":"IDREN"}`, &gateway.SubmitError{Refusal: gateway.ForeignService, Status: pdu.ESME_RINVSERTYP}, 403, []string{"foreign_service"}},
		{"without the scope", "portal", `{"name":"n","service":"IDREN"}`, nil, 403, []string{"campaigns"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s.t = t
			s.notices.fail = row.fail
			s.as(row.partner, "POST", "/v1/campaigns", row.body).wantProblem(row.status, row.says...)
		})
	}
	s.t, s.notices.fail = t, nil
	if r := s.as("admin", "GET", "/v1/campaigns", nil).want(200); strings.Contains(string(r.body), `"id"`) {
		t.Errorf("something was made: %s", r.body)
	}
}

func TestAFileThatIsRefusedChangesNothing(t *testing.T) {
	s := newSite(t)
	k := s.checked("agency", recipients(2))
	for _, row := range []struct {
		name, contentType, file string
		status                  int
		says                    []string
	}{
		{"a column lacks", "text/csv", "number,document\n0500000001,ID\n", 422, []string{"row 1", "days", "is missing", "nothing of it was kept"}},
		{"no recipients", "text/csv", "document,days\nID,30\n", 422, []string{"row 1", "number"}},
		{"an unknown column", "text/csv", "number,document,days,colour\n", 422, []string{"row 1, field colour", "is not known"}},
		{"mixed encodings", "text/csv", campaignHeader + "0500000001,ID,30\n0500000002,\xc7,30\n", 422, []string{"row 3, field document", "UTF-8"}},
		{"empty", "text/csv", "", 422, []string{"empty"}},
		{"JSON", "application/json", "{}", 415, []string{"text/csv or application/jsonl"}},
		{"too large", "text/csv", strings.Repeat("x", 1<<16+1), 413, []string{"65536 octets", "campaigns.max"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s.t = t
			s.file("agency", k.ID, row.contentType, row.file).wantProblem(row.status, row.says...)
			if v := answered[CampaignView](s.as("agency", "GET", fmt.Sprintf("/v1/campaigns/%d", k.ID), nil).want(200)); v.Counts.Rows != 2 || v.State != "checked" || v.Check == nil {
				t.Errorf("%+v", v)
			}
		})
	}
	s.t = t
	s.as("agency", "PUT", fmt.Sprintf("/v1/campaigns/%d/file?encoding=latin1", k.ID), "x", csvHeader, "text/csv").wantProblem(422, "query.encoding")
	// Declared or not, a file may not be larger than it is allowed to be.
	s.as("agency", "PUT", fmt.Sprintf("/v1/campaigns/%d/file", k.ID), io.MultiReader(strings.NewReader(recipients(5000))), csvHeader, "text/csv").wantProblem(413, "campaigns.max")
	// A file in the other form takes its place.
	lines := `{"number":"0500000009","params":{"document":"ID","days":"3"}}` + "\n"
	if v := answered[CampaignView](s.file("agency", k.ID, "application/jsonl", lines).want(200)); v.Counts.Rows != 1 || v.Counts.Bad != 0 || v.State != "draft" {
		t.Errorf("%+v", v)
	}
	full := newSite(t, func(o *Options) { o.Files.Dir, o.Files.MinFree = o.Bulk.Dir, 1<<62 })
	k = answered[CampaignView](full.as("agency", "POST", "/v1/campaigns", CampaignRequest{Name: "n", Service: "IDREN"}).want(201))
	full.file("agency", k.ID, "text/csv", recipients(1)).wantProblem(507, "no room")
}

func TestATestSendGoesToTheAgencysOwnNumbers(t *testing.T) {
	s := newSite(t)
	k := s.drafted("agency", recipients(2))
	path := fmt.Sprintf("/v1/campaigns/%d/test", k.ID)
	s.as("agency", "POST", path, TestRequest{Numbers: []string{"0500000099"}}).wantProblem(422, "numbers")
	s.as("agency", "POST", path, TestRequest{Numbers: []string{"12"}}).wantProblem(422, "body.numbers[0]", "too_short")
	if len(s.notices.all()) != 0 {
		t.Fatal("it was sent to somebody else")
	}
	r := s.as("agency", "POST", path, nil, "Idempotency-Key", "test 1").want(200)
	got := answered[Tests](r)
	if len(got.Sent) != 2 || got.Sent[0].Number != "966500000071" || len(got.Sent[0].MessageID) != 16 || got.Sent[0].Error != "" || got.Parts != 1 || !strings.Contains(got.Text, "30") {
		t.Errorf("%+v", got)
	}
	again := s.as("agency", "POST", path, nil, "Idempotency-Key", "test 1").want(200)
	if a := answered[Tests](again); len(a.Sent) != 2 || a.Sent[1] != got.Sent[1] || again.header.Get("Idempotency-Replayed") != "true" || len(s.notices.all()) != 2 {
		t.Errorf("%+v %v, %d sent", a, again.header, len(s.notices.all()))
	}
	one := answered[Tests](s.as("agency", "POST", path, TestRequest{Numbers: []string{"0500000072"}}).want(200))
	if len(one.Sent) != 1 || one.Sent[0].Number != "966500000072" {
		t.Errorf("%+v", one)
	}
	if v := answered[CampaignView](s.as("agency", "GET", fmt.Sprintf("/v1/campaigns/%d", k.ID), nil).want(200)); v.Tested == nil || v.Counts.Accepted != 0 {
		t.Errorf("%+v", v)
	}
	s.notices.fail = &gateway.SubmitError{Refusal: gateway.NoRoute, Status: pdu.ESME_RINVDSTADR}
	if got := answered[Tests](s.as("agency", "POST", path, nil).want(200)); len(got.Sent) != 2 || got.Sent[0].MessageID != "" || !strings.Contains(got.Sent[0].Error, "no route") {
		t.Errorf("%+v", got)
	}
}

func TestACampaignWithAKeyIsMadeOnce(t *testing.T) {
	s := newSite(t)
	ask := CampaignRequest{Name: "n", Service: "IDREN"}
	first := s.as("agency", "POST", "/v1/campaigns", ask, "Idempotency-Key", "k").want(201)
	again := s.as("agency", "POST", "/v1/campaigns", ask, "Idempotency-Key", "k").want(201)
	if !bytes.Equal(first.body, again.body) || again.header.Get("Idempotency-Replayed") != "true" || again.header.Get("Location") != first.header.Get("Location") {
		t.Errorf("%s\n%s\n%v", first.body, again.body, again.header)
	}
	s.as("agency", "POST", "/v1/campaigns", CampaignRequest{Name: "m", Service: "IDREN"}, "Idempotency-Key", "k").wantProblem(409, "another body")
	if other := answered[CampaignView](s.as("desk", "POST", "/v1/campaigns", ask, "Idempotency-Key", "k").want(201)); other.ID == answered[CampaignView](first).ID {
		t.Error("two channels share a campaign")
	}
	// To start twice with a key is to start once, whatever the campaign has become.
	k := s.checked("agency", recipients(2))
	s.act("agency", k.ID, "start", "Idempotency-Key", "go").want(200)
	s.act("agency", k.ID, "start").wantProblem(409)
	r := s.act("agency", k.ID, "start", "Idempotency-Key", "go").want(200)
	if r.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%v", r.header)
	}
}

// A real connection: a report that takes longer than the server gives a request is whole.
func TestALongReportOutlivesTheServersOwnTime(t *testing.T) {
	slow := new(slowReport)
	s := newSite(t, func(o *Options) { slow.Campaigns, o.Campaigns = o.Campaigns, slow })
	k := s.drafted("agency", recipients(1))
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h := &http.Server{Handler: s.tcp, ReadTimeout: 100 * time.Millisecond, WriteTimeout: 100 * time.Millisecond}
	go h.Serve(ln)
	defer h.Close()
	req, err := http.NewRequest("GET", fmt.Sprintf("http://%s/v1/campaigns/%d/report", ln.Addr(), k.ID), nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+key("agency"))
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, err := io.ReadAll(resp.Body); err != nil || string(b) != "row\n1\n" {
		t.Errorf("%q %v", b, err)
	}
	slow.broken = true
	resp, err = http.DefaultClient.Do(req)
	if err == nil {
		defer resp.Body.Close()
		if b, err := io.ReadAll(resp.Body); err == nil {
			t.Errorf("half a report was taken for all: %q", b)
		}
	}
}

// TestAKeySeesTheHaltsOfItsCampaignsAndWhatElseHoldsThem: by whom and why only of halts that
// it may see.
func TestAKeySeesTheHaltsOfItsCampaignsAndWhatElseHoldsThem(t *testing.T) {
	s := newSite(t)
	k := s.checked("agency", campaignHeader+"0501111111,a,5\n")
	path := fmt.Sprintf("/v1/campaigns/%d", k.ID)
	if got := answered[CampaignView](s.as("agency", "GET", path, nil).want(200)); got.HeldBy != nil {
		t.Errorf("nothing holds it: %+v", got.HeldBy)
	}
	s.act("agency", k.ID, "start").want(200)
	s.act("agency", k.ID, "pause").want(200)
	all := answered[HaltAnswer](s.as("watch", "POST", "/v1/halts", HaltRequest{HaltScope: HaltScope{All: true}, Reason: "a secret"}).want(200)).Halt.ID
	own := answered[CampaignView](s.as("agency", "GET", path, nil).want(200))
	if len(own.HeldBy) != 2 || own.HeldBy[0].ID != own.Halt || own.HeldBy[0].Reason != fmt.Sprintf("campaign %d is paused", k.ID) || own.HeldBy[0].Scope != (HaltScope{Campaign: k.ID}) {
		t.Fatalf("%+v", own.HeldBy)
	}
	if h := own.HeldBy[1]; h.ID != all || !h.Scope.All || h.Since.IsZero() || h.By != "" || h.Reason != "" {
		t.Errorf("%+v", h)
	}
	if h := answered[CampaignView](s.as("admin", "GET", path, nil).want(200)).HeldBy; len(h) != 2 || h[1].By != "watch" || h[1].Reason != "a secret" {
		t.Errorf("the operator sees %+v", h)
	}
	type list struct{ Halts []HaltRow }
	for partner, want := range map[string]int{"agency": 1, "rival": 0, "watch": 2} {
		if got := answered[list](s.as(partner, "GET", "/v1/halts", nil).want(200)); len(got.Halts) != want || want == 1 && got.Halts[0].ID != own.Halt {
			t.Errorf("%s sees %+v", partner, got.Halts)
		}
	}
	s.as("rival", "POST", "/v1/halts/"+own.Halt+"/resume", nil).wantProblem(404)
}
