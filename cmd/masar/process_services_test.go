package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"gopkg.in/yaml.v3"

	"masar/admin"
	"masar/gateway"
	"masar/smpp/pdu"
	"masar/smpp/smpptest"
	"masar/smpp/text"
)

const partnerKey = "masar_partner-of-the-process-tests"

// newServiceSite is a site with the product's catalogue, less its hours: a test runs at any
// time. The account all may send every service; the API key partnerKey sends under it.
func newServiceSite(t testing.TB, carrierAddr string) (s *site, codes []string) {
	t.Helper()
	s = newSite(t, carrierAddr)
	product, err := os.ReadFile("../../examples/catalogue.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var tree map[string]any
	if err := yaml.Unmarshal(product, &tree); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"quiet_hours", "overrides", "holidays"} {
		delete(tree, key)
	}
	tree["categories"] = map[string]any{"warning": map[string]any{}, "service": map[string]any{}, "personal": map[string]any{}, "awareness": map[string]any{}}
	for _, one := range tree["senders"].([]any) {
		sender := one.(map[string]any)
		delete(sender, "carriers")
		sender["any_carrier"] = true
	}
	for _, one := range tree["services"].([]any) {
		service := one.(map[string]any)
		codes = append(codes, service["code"].(string))
		service["domains"] = []string{"example.test"} // where the links of the corpus lead
	}
	b, err := yaml.Marshal(tree)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "catalogue.yaml"), b, 0o600); err != nil {
		t.Fatal(err)
	}
	s.account = "    max_parts: 255\n" + fmt.Sprintf("  - {system_id: all, password_hash: %q, services: [%s], max_parts: 255}\n", demoHash(), strings.Join(codes, ", "))
	s.top = fmt.Sprintf(`catalogue: catalogue.yaml
subscribers: {account: all, cache: 10000, code: {service: OTPEN}}
keywords:
  - {numbers: ["1090"], words: {enrol: [اشتراك, START], withdraw: [إلغاء, STOP], all: [ALL, الكل], help: [HELP]}, enrolled: SUBAD, withdrawn: SUBRM, replies: {help: {ar: "أرسلوا: إلغاء ثم الرمز", en: "Send STOP and the code"}}}
api: {keys: [{name: partner, key_hash: %q, scopes: [enrol, read, notices], account: all}]}
`, admin.HashKey(partnerKey))
	return s, codes
}

// post asks the API with the partner's key and reads its answer.
func (s *site) post(path string, in, out any) (status int, says string) {
	s.t.Helper()
	b, err := json.Marshal(in)
	if err != nil {
		s.t.Fatal(err)
	}
	req, err := http.NewRequest(http.MethodPost, "http://"+s.admin+path, bytes.NewReader(b))
	if err != nil {
		s.t.Fatal(err)
	}
	req.Header.Set("Authorization", "Bearer "+partnerKey)
	req.Header.Set("Content-Type", "application/json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	if resp.StatusCode < 300 && out != nil {
		if err := json.Unmarshal(answer, out); err != nil {
			s.t.Fatalf("%s: %v: %s", path, err, answer)
		}
	}
	return resp.StatusCode, string(answer)
}

// arrived is a carrier's messages, whole.
type arrived chan *smpptest.Message

func (a arrived) next(t testing.TB) *smpptest.Message {
	t.Helper()
	select {
	case m := <-a:
		return m
	case <-time.After(startLimit):
		t.Fatal("nothing reached the carrier")
		return nil
	}
}

// serviceSMSC is a carrier whose messages are told, and that delivers what handsets write.
func serviceSMSC(t testing.TB) (*smpptest.SMSC, string, arrived) {
	t.Helper()
	got := make(arrived, 1000)
	c, addr := smsc(t, smpptest.SMSCOptions{OnMessage: func(m *smpptest.Message) { got <- m }})
	return c, addr, got
}

// bindAs binds as an account of the site.
func bindAs(t testing.TB, addr, systemID string) *plainClient {
	t.Helper()
	c := dialClient(t, addr)
	h, _ := c.ask(pdu.CmdBindTransceiver, &pdu.Bind{SystemID: []byte(systemID), Password: []byte("demo"), InterfaceVersion: 0x34})
	if h.Status != pdu.ESME_ROK {
		t.Fatalf("bind: %s", h.Status)
	}
	return c
}

// textTo is a submit_sm of a text, whole: in message_payload where one part is too small.
func textTo(t testing.TB, to, service, s string) *pdu.SubmitSM {
	t.Helper()
	sm := submitTo(to, "", false)
	sm.ServiceType = []byte(service)
	if service != "" {
		sm.Source = pdu.Address{}
	}
	e := text.Choose(s)
	b, err := text.Encode(nil, s, e)
	if err != nil {
		t.Fatal(err)
	}
	if e == text.UCS2 {
		sm.DataCoding = uint8(text.CodingUCS2)
	}
	if sm.ShortMessage = b; !text.FitsOne(b, e) {
		sm.ShortMessage = nil
		sm.TLVs = sm.TLVs.Append(pdu.TagMessagePayload, b)
	}
	return sm
}

func TestAPersonEnrolsGetsNoticesAndLeavesByKeyword(t *testing.T) {
	carrier, addr, got := serviceSMSC(t)
	s, _ := newServiceSite(t, addr)
	gw := s.start()
	gw.see(`msg="bound to the carrier"`, startLimit)
	c := bindAs(t, s.smpp, "all")
	const number = "966501234567"
	submit := func(want pdu.Status) {
		t.Helper()
		if h, _ := c.ask(pdu.CmdSubmitSM, textTo(t, number, "LOGIN", "دخول جديد إلى حسابكم")); h.Status != want {
			t.Fatalf("submit: %s, want %s", h.Status, want)
		}
	}

	submit(gateway.StatusNotEnrolled)
	var done admin.Consent
	if status, says := s.post("/v1/enrolments", admin.EnrolRequest{Number: "٠٥٠١٢٣٤٥٦٧", Services: []string{"LOGIN"}, Verified: true}, &done); status != http.StatusOK || !slices.Equal(done.Moved, []string{"LOGIN"}) {
		t.Fatalf("enrolment: %d %s", status, says)
	}
	submit(pdu.ESME_ROK)
	if m := got.next(t); m.Dest != number || m.Source != "MOI" || m.Text != "دخول جديد إلى حسابكم" {
		t.Errorf("the carrier has %+v", m)
	}

	if err := carrier.Deliver(t.Context(), smpptest.MO{SystemID: "masar", From: number, To: "1090", Text: "ستوب stop login"}); err != nil {
		t.Fatal(err)
	}
	if m := got.next(t); m.Dest != number || m.Source != "1090" || !strings.Contains(m.Text, "أرسلوا") {
		t.Errorf("what is no keyword was answered with %+v", m) // and changes nothing
	}
	submit(pdu.ESME_ROK)
	got.next(t)
	if err := carrier.Deliver(t.Context(), smpptest.MO{SystemID: "masar", From: number, To: "1090", Text: "الغـاءُ login"}); err != nil {
		t.Fatal(err)
	}
	if m := got.next(t); m.Dest != number || m.Source != "1090" || !strings.Contains(m.Text, "LOGIN") {
		t.Errorf("the withdrawal was answered with %+v", m)
	}
	submit(gateway.StatusNotEnrolled)
	if n := s.metric("masar_submits_total", `not_enrolled`); n != 2 {
		t.Errorf("%v submits are counted not_enrolled, want 2", n)
	}
	if status, says := s.post("/v1/enrolments", admin.EnrolRequest{Number: number, Services: []string{"LOGIN"}, Verified: true}, &done); status != http.StatusOK || !slices.Equal(done.Kept, []string{"LOGIN"}) {
		t.Errorf("an undated consent over his own withdrawal: %d %s", status, says)
	}
	submit(gateway.StatusNotEnrolled)
}

func TestEveryServiceOfTheProductIsRenderedSentAndReassembled(t *testing.T) {
	_, addr, got := serviceSMSC(t)
	s, codes := newServiceSite(t, addr)
	if len(codes) != 113 {
		t.Errorf("the product's catalogue has %d services", len(codes))
	}
	gw := s.start()
	gw.see(`msg="bound to the carrier"`, startLimit)
	const number = "966501234567"
	var optIn []string
	services := struct{ Services []admin.ServiceRow }{}
	_, page := s.local("/v1/services")
	if err := json.Unmarshal([]byte(page), &services); err != nil {
		t.Fatalf("%v: %s", err, page)
	}
	for _, row := range services.Services {
		if row.Mode == "opt-in" {
			optIn = append(optIn, row.Code)
		}
	}
	if status, says := s.post("/v1/enrolments", admin.EnrolRequest{Number: number, Services: optIn, Verified: true}, nil); status != http.StatusOK {
		t.Fatalf("%d %s", status, says)
	}
	for _, row := range services.Services {
		for _, language := range []string{"ar", "en"} {
			ask := admin.NoticeRequest{Service: row.Code, To: admin.Addressee{Number: number}, Language: language, Params: map[string]string{}}
			for _, p := range row.Params { // as long as they may be
				ask.Params[p.Name] = strings.Repeat("٣", p.Max)
			}
			trial := ask
			trial.DryRun = true
			var would, sent admin.NoticeAnswer
			if status, says := s.post("/v1/notices", trial, &would); status != http.StatusOK || would.Trial == nil {
				t.Fatalf("%s in %s: %d %s", row.Code, language, status, says)
			}
			if status, says := s.post("/v1/notices", ask, &sent); status != http.StatusAccepted {
				t.Fatalf("%s in %s: %d %s", row.Code, language, status, says)
			}
			m := got.next(t)
			if m.Text != would.Trial.Text || m.Parts != len(would.Trial.Parts) || m.Source != row.Sender || strings.Contains(m.Text, "{") ||
				sent.Template != fmt.Sprintf("%s/1/%s", row.Code, language) {
				t.Errorf("%s in %s, %s: the carrier has %d parts from %s: %q; the dry run said %d: %q", row.Code, language, sent.Template,
					m.Parts, m.Source, m.Text, len(would.Trial.Parts), would.Trial.Text)
			}
		}
	}
	t.Logf("%d services, in two languages", len(services.Services))
}

// local is get over the gateway's socket, where everything is allowed.
func (s *site) local(path string) (int, string) {
	s.t.Helper()
	f := apiFlags{data: s.data}
	resp, err := f.open(s.t.Context(), apiRequest{method: http.MethodGet, path: path})
	if err != nil {
		s.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		s.t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}
