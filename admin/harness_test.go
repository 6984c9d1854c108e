package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"
	_ "time/tzdata" // the tests' zones, whatever the machine has

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/prometheus/client_golang/prometheus"

	"masar/gateway"
	"masar/number"
	"masar/queue"
	"masar/service"
	"masar/service/pebble"
	"masar/smpp/pdu"
	"masar/smpp/text"
)

const adminToken = "the-admin-token"

// The partners of the tests, by the name of their key.
var partners = []struct {
	name, channel, scopes, account string
	services                       []string
}{
	{"bank-a", "bank-a", "enrol withdraw read number bulk export blocklist", "", nil},
	{"bank-b", "bank-b", "enrol withdraw read number bulk export blocklist", "", nil},
	{"portal", "portal", "enrol withdraw read number bulk export blocklist notices catalogue all-channels", "civil-affairs", nil},
	{"office", "office", "enrol withdraw read bulk notices catalogue", "civil-affairs", []string{"IDREN"}},
	{"reader", "bank-a", "read", "", nil},
	{"sender", "sender", "notices", "", nil},
	{"blocker", "blocker", "blocklist bulk", "", nil},
	{"agency", "agency", "reminders campaigns halt bulk", "civil-affairs", nil},
	{"desk", "desk", "reminders campaigns halt bulk", "civil-affairs", []string{"IDREN"}},
	{"chief", "chief", "release", "civil-affairs", nil},
	{"rival", "rival", "reminders campaigns release halt bulk all-channels", "nic", nil},
	{"watch", "watch", "reminders campaigns release halt bulk", "", nil},
}

// key is the key of a partner.
func key(name string) string {
	if name == "admin" {
		return adminToken
	}
	return "key-of-" + name
}

// site is an API over a registry of its own.
type site struct {
	t       testing.TB
	o       Options
	server  *Server
	reg     *pebble.Registry
	tcp     http.Handler
	unix    http.Handler // made when it is asked for
	notices *fakeNotices
	gateway *fakeGateway
	logged  *lockedBuffer
	metrics *prometheus.Registry

	mu  sync.Mutex
	now time.Time
}

type siteOption func(*Options)

func newSite(t testing.TB, options ...siteOption) *site {
	t.Helper()
	s := &site{t: t, now: time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC), notices: new(fakeNotices), logged: new(lockedBuffer), metrics: prometheus.NewRegistry()}
	reg, err := pebble.Open(t.Context(), pebble.Options{Dir: "registry", FS: vfs.NewMem(), MinFree: -1, Now: s.clock, Log: slog.New(slog.DiscardHandler), Limits: service.Limits{CodeTries: 3}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { reg.Close() })
	s.reg = reg
	var keys []APIKey
	for _, p := range partners {
		scopes, err := ParseScopes(strings.Fields(p.scopes))
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, APIKey{Name: p.name, Hash: HashKey(key(p.name)), Channel: p.channel, Scopes: scopes, Account: p.account, Services: p.services})
	}
	keys = append(keys, APIKey{Name: "old", Hash: HashKey(key("old")), Channel: "old", Scopes: ScopeRead, Expires: s.now.Add(-time.Hour)})
	inForce, err := NewKeys(keys)
	if err != nil {
		t.Fatal(err)
	}
	catalogue := testCatalogue(t)
	s.o = Options{
		Token: adminToken, Registerer: s.metrics, Gatherer: s.metrics, Now: s.clock, Log: slog.New(slog.NewTextHandler(s.logged, nil)),
		Keys: func() *Keys { return inForce }, Registry: reg, PersonKey: &service.Key{1, 2, 3},
		Catalogue: func() *service.Catalogue { return catalogue },
		Codes: func() Codes {
			return Codes{Service: "OTPEN", Account: "nic", TTL: 10 * time.Minute, Digits: 6, PerHour: 3}
		},
		Notices: s.notices,
		Bulk:    Bulk{Dir: t.TempDir(), Max: 1 << 20, MinFree: -1},
		Files:   CampaignFiles{Max: 1 << 16},
	}
	s.openJobs()
	for _, f := range options {
		f(&s.o)
	}
	s.open()
	return s
}

// open begins to answer; close ends it, as a restart does.
func (s *site) open() {
	s.t.Helper()
	var err error
	if s.server, err = Listen(s.o); err != nil {
		s.t.Fatal(err)
	}
	if s.server.api.bulk != nil {
		s.server.api.bulk.start()
	}
	s.tcp, s.unix = s.server.routes(false), nil
	s.t.Cleanup(func() { s.server.Close(context.Background()) })
}

func (s *site) clock() time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now
}

func (s *site) pass(d time.Duration) {
	s.mu.Lock()
	s.now = s.now.Add(d)
	s.mu.Unlock()
}

// reply is an answer.
type reply struct {
	t      testing.TB
	status int
	header http.Header
	body   []byte
}

// request is what a test asks; body may be a string, or anything that becomes JSON.
func (s *site) request(h http.Handler, method, path, authorization string, body any, headers ...string) *reply {
	s.t.Helper()
	var in io.Reader
	switch b := body.(type) {
	case nil:
	case string:
		in = strings.NewReader(b)
	case io.Reader:
		in = b
	default:
		text, err := json.Marshal(b)
		if err != nil {
			s.t.Fatal(err)
		}
		in = bytes.NewReader(text)
	}
	r := httptest.NewRequest(method, path, in)
	r.Header.Set("Content-Type", "application/json")
	if authorization != "" {
		r.Header.Set("Authorization", authorization)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return &reply{s.t, w.Code, w.Header(), w.Body.Bytes()}
}

// local asks over the socket file.
func (s *site) local(method, path string, body any) *reply {
	s.t.Helper()
	if s.unix == nil {
		s.unix = s.server.routes(true)
	}
	return s.request(s.unix, method, path, "", body)
}

// as asks over TCP with the key of a partner.
func (s *site) as(name, method, path string, body any, headers ...string) *reply {
	s.t.Helper()
	return s.request(s.tcp, method, path, "Bearer "+key(name), body, headers...)
}

// want checks the status and returns the reply.
func (r *reply) want(status int) *reply {
	r.t.Helper()
	if r.status != status {
		r.t.Fatalf("answered %d, want %d: %s", r.status, status, r.body)
	}
	return r
}

// into reads the body.
func (r *reply) into(v any) {
	r.t.Helper()
	d := json.NewDecoder(bytes.NewReader(r.body))
	d.DisallowUnknownFields()
	if err := d.Decode(v); err != nil {
		r.t.Fatalf("%v in %s", err, r.body)
	}
}

// wantProblem checks an error: its status, and words that it has to say.
func (r *reply) wantProblem(status int, says ...string) {
	r.t.Helper()
	r.want(status)
	if ct := r.header.Get("Content-Type"); ct != "application/problem+json" {
		r.t.Errorf("Content-Type %q", ct)
	}
	var p Problem
	r.into(&p)
	if p.Status != status || p.Title != http.StatusText(status) || p.Error == "" {
		r.t.Errorf("problem %+v", p)
	}
	for _, want := range says {
		if !strings.Contains(string(r.body), want) {
			r.t.Errorf("%q is not said in %s", want, r.body)
		}
	}
}

func answered[T any](r *reply) T {
	r.t.Helper()
	var v T
	r.into(&v)
	return v
}

// testCatalogue has what the tests need of the product's.
func testCatalogue(t testing.TB) *service.Catalogue {
	t.Helper()
	zone, err := time.LoadLocation("Asia/Riyadh")
	if err != nil {
		t.Fatal(err)
	}
	names := func(s string) service.Texts { return service.Texts{"ar": "خدمة " + s, "en": "Service " + s} }
	version := func(ar, en string) []service.Version {
		return []service.Version{{Number: 2, Text: service.Texts{"ar": ar, "en": en}}}
	}
	c, err := service.New(service.Options{
		Languages: []string{"ar", "en"}, Zone: zone,
		Calendar:   service.Calendar{Quiet: service.Windows{Days: []service.Span{{From: 22 * 60, To: 8 * 60}}}},
		Categories: []service.Category{{Name: "service"}},
		Agencies: []service.Agency{
			{Code: "civil-affairs", Name: service.Texts{"ar": "الأحوال المدنية", "en": "Civil Affairs"}, Sender: "AHWAL", TestNumbers: []number.E164{966500000071, 966500000072}},
			{Code: "nic", Name: service.Texts{"ar": "مركز المعلومات", "en": "National Information Center"}, Sender: "MOI"},
		},
		Senders: []service.Sender{{Name: "AHWAL", Agency: "civil-affairs", AnyCarrier: true}, {Name: "MOI", Agency: "nic", AnyCarrier: true}},
		Services: []service.Service{
			{Code: "IDREN", Agency: "civil-affairs", Name: names("IDREN"), Class: uint8(queue.Normal), Category: "service", Validity: 72 * time.Hour, Hold: true, LeadDays: []int{30, 7},
				Params:   []service.Param{{Name: "document", Max: 20}, {Name: "days", Max: 3}},
				Versions: version("الأحوال: تنتهي {document} خلال {days} يوما", "Civil Affairs: {document} ends in {days} days")},
			{Code: "IDNEW", Agency: "civil-affairs", Name: names("IDNEW"), Class: uint8(queue.Normal), Category: "service", Validity: 72 * time.Hour, Hold: true},
			{Code: "PASSP", Agency: "civil-affairs", Name: names("PASSP"), Class: uint8(queue.Normal), Category: "service", Validity: 72 * time.Hour, LeadDays: []int{60},
				Params:   []service.Param{{Name: "expiry_date", Max: 10}},
				Versions: version("ينتهي الجواز في {expiry_date}", "The passport ends on {expiry_date}")},
			{Code: "OTPEN", Agency: "nic", Name: names("OTPEN"), Kind: service.OneTimeCode, Class: uint8(queue.Urgent), Category: "service", Mode: service.Mandatory, Validity: 10 * time.Minute,
				Params: []service.Param{{Name: "code", Max: 10}}, Versions: version("رمز تفعيل {code}", "Your code is {code}")},
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// fakeNotices stands for the gateway: it keeps what it is given.
type fakeNotices struct {
	mu   sync.Mutex
	sent []gateway.Notice
	ids  map[string]queue.ID
	fail error
}

func (f *fakeNotices) Submit(_ context.Context, n gateway.Notice) (queue.ID, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return 0, f.fail
	}
	if id, known := f.ids[string(n.Once)]; known {
		return id, nil
	}
	f.sent = append(f.sent, n)
	id := queue.ID(0x0123456789abcd00 + len(f.sent))
	if len(n.Once) > 0 {
		if f.ids == nil {
			f.ids = map[string]queue.ID{}
		}
		f.ids[string(n.Once)] = id
	}
	return id, nil
}

func (f *fakeNotices) Try(_ context.Context, n gateway.Notice) (gateway.Trial, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fail != nil {
		return gateway.Trial{}, f.fail
	}
	e := text.Choose(n.Text)
	parts, err := text.Split(n.Text, e, text.UDH8)
	t := gateway.Trial{Encoding: e.String(), Parts: parts, Route: "default", Number: n.Number}
	for _, p := range parts {
		t.Units = append(t.Units, text.Units(p, e))
	}
	return t, err
}

func (f *fakeNotices) Message(_ context.Context, account string, id queue.ID) (queue.View, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	i := int(id) - 0x0123456789abcd00 - 1
	if i < 0 || i >= len(f.sent) || f.sent[i].Account != account {
		return queue.View{}, queue.ErrUnknown
	}
	n := f.sent[i]
	return queue.View{State: pdu.StateEnroute, Stage: queue.Sent, M: &queue.Message{ID: id, ServiceType: n.Service, Template: n.Template,
		Dest: queue.Address{Addr: n.Number.String()}, Accepted: queue.At(time.Unix(1, 0)), Expires: queue.At(time.Unix(2, 0))},
		Parts: []queue.PartInfo{{Part: 1, Of: 1, CarrierID: "c1", Sent: queue.At(time.Unix(1, 0))}}}, nil
}

// all are the notices so far.
func (f *fakeNotices) all() []gateway.Notice {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]gateway.Notice(nil), f.sent...)
}

// code is the code that was sent last to a number.
func (s *site) code(n string) string {
	s.t.Helper()
	all := s.notices.all()
	for i := len(all) - 1; i >= 0; i-- {
		if all[i].Number.String() == n && all[i].Service == "OTPEN" {
			words := strings.Fields(all[i].Text)
			return words[len(words)-1]
		}
	}
	s.t.Fatalf("no code was sent to %s", n)
	return ""
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

var errBroken = errors.New("broken")
