package admin

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"masar/gateway"
)

func TestAHaltIsSetResumedAndWhatItHoldsCancelled(t *testing.T) {
	s := newSite(t)
	r := s.as("agency", "POST", "/v1/halts", HaltRequest{HaltScope: HaltScope{Service: "IDREN"}, Reason: "a wrong text"}).want(200)
	got := answered[HaltAnswer](r)
	if h := got.Halt; h == nil || h.Scope != (HaltScope{Service: "IDREN", Account: "civil-affairs"}) || h.By != "agency" || h.Reason != "a wrong text" || !h.Since.Equal(s.clock()) || got.DryRun {
		t.Fatalf("%+v", got)
	}
	if n := got.Counts; n == nil || n.Waiting != 5 || n.Aside != 4 || n.OnWire != 3 || n.Sent != 2 || n.Ended != 10 || n.Delivered != 9 || !n.Since.Equal(s.clock().Add(-24*time.Hour)) {
		t.Errorf("%+v", got.Counts)
	}
	id := got.Halt.ID
	type list struct{ Halts []HaltRow }
	if l := answered[list](s.as("agency", "GET", "/v1/halts", nil).want(200)); len(l.Halts) != 1 || l.Halts[0].ID != id {
		t.Errorf("%+v", l)
	}
	s.pass(time.Hour)
	// Dry runs count from when the halt began, and do nothing.
	for _, do := range []string{"resume", "cancel"} {
		dry := answered[HaltAnswer](s.as("agency", "POST", "/v1/halts/"+id+"/"+do, HaltDo{DryRun: true}).want(200))
		if !dry.DryRun || dry.Counts == nil || dry.Counts.Waiting != 5 || !dry.Counts.Since.Equal(s.clock().Add(-time.Hour)) || dry.Halt == nil || dry.Cancelled != nil {
			t.Errorf("%s: %+v", do, dry)
		}
	}
	if h := s.gateway.Halts(); len(h) != 1 || h[0].Cancelled != 0 {
		t.Fatalf("a dry run has changed %+v", h)
	}
	ended := answered[HaltAnswer](s.as("agency", "POST", "/v1/halts/"+id+"/cancel", nil).want(200))
	if ended.Cancelled == nil || *ended.Cancelled != 5 || ended.Halt == nil || ended.Halt.Cancelled != 5 {
		t.Errorf("%+v", ended)
	}
	if done := answered[HaltAnswer](s.as("agency", "POST", "/v1/halts/"+id+"/resume", nil, "Idempotency-Key", "r").want(200)); done.Halt == nil || done.Halt.ID != id || len(s.gateway.Halts()) != 0 {
		t.Errorf("%+v", done)
	}
	s.as("agency", "POST", "/v1/halts/"+id+"/resume", nil).wantProblem(404, "no such halt")
	if again := s.as("agency", "POST", "/v1/halts/"+id+"/resume", nil, "Idempotency-Key", "r").want(200); again.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%v", again.header)
	}
	s.as("agency", "POST", "/v1/halts/"+id+"/cancel", nil).wantProblem(404)
}

func TestADryRunHaltsNothing(t *testing.T) {
	s := newSite(t)
	since := s.clock().Add(-30 * time.Minute)
	got := answered[HaltAnswer](s.as("admin", "POST", "/v1/halts", HaltRequest{HaltScope: HaltScope{All: true}, DryRun: true, Since: &since}, "Idempotency-Key", "k").want(200))
	if !got.DryRun || got.Halt != nil || got.Counts == nil || got.Counts.Waiting != 5 || !got.Counts.Since.Equal(since) || len(s.gateway.Halts()) != 0 {
		t.Errorf("%+v", got)
	}
	if s.gateway.counted != (gateway.Scope{All: true}) {
		t.Errorf("counted %+v", s.gateway.counted)
	}
	s.as("admin", "POST", "/v1/halts", HaltRequest{HaltScope: HaltScope{All: true}}, "Idempotency-Key", "k").want(200) // the key is still free
}

func TestAHaltDoesNotWaitForItsCount(t *testing.T) {
	s := newSite(t)
	s.gateway.count = func(context.Context) (gateway.HaltCount, error) { return gateway.HaltCount{}, context.DeadlineExceeded }
	got := answered[HaltAnswer](s.as("admin", "POST", "/v1/halts", HaltRequest{HaltScope: HaltScope{Class: "bulk"}}).want(200))
	if got.Halt == nil || got.Counts != nil {
		t.Errorf("%+v", got)
	}
}

func TestAKeyHaltsWhatIsItsOwn(t *testing.T) {
	s := newSite(t)
	for _, row := range []struct {
		name, partner string
		asked         HaltScope
		want          gateway.Scope
		status        int
		says          string
	}{
		{"all of its account", "agency", HaltScope{All: true}, gateway.Scope{Account: "civil-affairs"}, 200, ""},
		{"its account by name", "agency", HaltScope{Account: "civil-affairs", Class: "bulk"}, gateway.Scope{Account: "civil-affairs", Class: "bulk"}, 200, ""},
		{"another account", "agency", HaltScope{Account: "nic"}, gateway.Scope{}, 403, "civil-affairs alone"},
		{"its service", "desk", HaltScope{Service: "IDREN"}, gateway.Scope{Service: "IDREN", Account: "civil-affairs"}, 200, ""},
		{"another service", "desk", HaltScope{Service: "PASSP"}, gateway.Scope{}, 403, "IDREN"},
		{"no service", "desk", HaltScope{All: true}, gateway.Scope{}, 403, "has to name one: IDREN"},
		{"a key without account", "watch", HaltScope{All: true}, gateway.Scope{All: true}, 200, ""},
		{"a carrier", "watch", HaltScope{Carrier: "a", Agency: "nic", Sender: "MOI"}, gateway.Scope{Carrier: "a", Agency: "nic", Sender: "MOI"}, 200, ""},
		{"a campaign that there is not", "watch", HaltScope{Campaign: 7}, gateway.Scope{}, 422, "is the id of no campaign"},
		{"without the scope", "portal", HaltScope{All: true}, gateway.Scope{}, 403, "halt"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s.t = t
			before := len(s.gateway.Halts())
			r := s.as(row.partner, "POST", "/v1/halts", HaltRequest{HaltScope: row.asked})
			if row.status != 200 {
				r.wantProblem(row.status, row.says)
				if len(s.gateway.Halts()) != before {
					t.Error("something was halted")
				}
				return
			}
			r.want(200)
			if h := s.gateway.Halts(); h[len(h)-1].Scope != row.want {
				t.Errorf("%+v, want %+v", h[len(h)-1].Scope, row.want)
			}
		})
	}
}

func TestAKeySeesAndEndsItsOwnHaltsAlone(t *testing.T) {
	s := newSite(t)
	halt := func(partner string, scope HaltScope) string {
		t.Helper()
		return answered[HaltAnswer](s.as(partner, "POST", "/v1/halts", HaltRequest{HaltScope: scope}).want(200)).Halt.ID
	}
	service := halt("agency", HaltScope{Service: "IDREN"})
	account := halt("agency", HaltScope{All: true})
	everything := halt("watch", HaltScope{All: true})
	operators := halt("admin", HaltScope{Account: "civil-affairs"})
	seen := func(partner string) string {
		t.Helper()
		type list struct{ Halts []HaltRow }
		var ids []string
		for _, h := range answered[list](s.as(partner, "GET", "/v1/halts", nil).want(200)).Halts {
			ids = append(ids, h.ID)
		}
		return strings.Join(ids, " ")
	}
	for partner, want := range map[string]string{
		"agency": strings.Join([]string{service, account, operators}, " "),
		"desk":   service,
		"rival":  "",
		"watch":  strings.Join([]string{service, account, everything, operators}, " "),
		"admin":  strings.Join([]string{service, account, everything, operators}, " "),
	} {
		if got := seen(partner); got != want {
			t.Errorf("%s sees %q, want %q", partner, got, want)
		}
	}
	for _, do := range []string{"resume", "cancel"} {
		s.as("rival", "POST", "/v1/halts/"+service+"/"+do, nil).wantProblem(404)
		s.as("desk", "POST", "/v1/halts/"+account+"/"+do, nil).wantProblem(404)
		s.as("agency", "POST", "/v1/halts/"+everything+"/"+do, nil).wantProblem(404)
		s.as("agency", "POST", "/v1/halts/"+everything+"/"+do, HaltDo{DryRun: true}).wantProblem(404)
		s.as("agency", "POST", "/v1/halts/"+operators+"/"+do, nil).wantProblem(403, "operator")
	}
	s.as("desk", "POST", "/v1/halts/"+service+"/resume", nil).want(200)
	s.as("admin", "POST", "/v1/halts/"+account+"/resume", nil).want(200)
}

func TestBadHaltsAreNamed(t *testing.T) {
	s := newSite(t)
	future := s.clock().Add(time.Hour)
	for _, row := range []struct {
		name string
		body any
		fail error
		code int
		says []string
	}{
		{"nothing", HaltRequest{}, nil, 422, []string{"at least one of service"}},
		{"all beside something", HaltRequest{HaltScope: HaltScope{All: true, Service: "IDREN"}}, nil, 422, []string{"body.all", "stands alone"}},
		{"a class", `{"class":"slow"}`, nil, 422, []string{"body.class"}},
		{"an unknown field", `{"servise":"IDREN"}`, nil, 422, []string{"body.servise"}},
		{"a name that is none", HaltRequest{HaltScope: HaltScope{Sender: "NOBODY"}}, nil, 422, []string{"body.sender", "NOBODY"}},
		{"counted from the future", HaltRequest{HaltScope: HaltScope{All: true}, Since: &future}, nil, 422, []string{"body.since"}},
		{"too many", HaltRequest{HaltScope: HaltScope{All: true}}, gateway.ErrTooManyHalts, 409, []string{"resume some"}},
		{"not stored", HaltRequest{HaltScope: HaltScope{All: true}}, errBroken, 503, []string{"its log says why"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s.t, s.gateway.haltFail = t, row.fail
			s.as("admin", "POST", "/v1/halts", row.body).wantProblem(row.code, row.says...)
		})
	}
	s.t, s.gateway.haltFail = t, nil
	if h := s.gateway.Halts(); len(h) != 0 {
		t.Errorf("%+v", h)
	}
	none := newSite(t, func(o *Options) { o.Halts, o.Drains = nil, nil })
	for _, ask := range []struct{ method, path, body string }{
		{"POST", "/v1/halts", `{"all":true}`}, {"GET", "/v1/halts", ""}, {"POST", "/v1/halts/h1/resume", ""}, {"POST", "/v1/halts/h1/cancel", ""},
		{"GET", "/v1/drain", ""}, {"POST", "/v1/carriers/a/release", ""},
	} {
		none.as("admin", ask.method, ask.path, ask.body).wantProblem(501)
	}
}

func TestARequestThatBrokeOffIsNotDoneAgain(t *testing.T) {
	s := newSite(t)
	ask := HaltRequest{HaltScope: HaltScope{All: true}}
	try := func() *reply { return s.as("admin", "POST", "/v1/halts", ask, "Idempotency-Key", "k") }
	// What was refused may be tried again with the same key.
	s.gateway.haltFail = gateway.ErrTooManyHalts
	try().wantProblem(409, "resume some")
	s.gateway.haltFail = errors.New("the disk")
	try().wantProblem(503)
	// Now nobody knows whether it was done.
	s.gateway.haltFail = nil
	try().wantProblem(409, "broken off", "GET /v1/halts", "new key")
	if len(s.gateway.Halts()) != 0 {
		t.Error("it was done")
	}
	s.as("admin", "POST", "/v1/halts", HaltRequest{HaltScope: HaltScope{Class: "bulk"}}, "Idempotency-Key", "k").wantProblem(409, "another body")
	s.as("admin", "POST", "/v1/halts", ask, "Idempotency-Key", "k2").want(200)
	// As a process that was killed after it had answered leaves it.
	s.server.Close(context.Background())
	s.o.Registerer = nil
	s.open()
	r := s.as("admin", "POST", "/v1/halts", ask, "Idempotency-Key", "k2").want(200)
	if r.header.Get("Idempotency-Replayed") != "true" || len(s.gateway.Halts()) != 1 {
		t.Errorf("%v %+v", r.header, s.gateway.Halts())
	}
	try().wantProblem(409, "broken off")
	// One that does no harm a second time is done again.
	id := s.gateway.Halts()[0].ID
	broken := &failingHalts{s.gateway}
	s.server.opt.Halts = broken
	s.as("admin", "POST", "/v1/halts/"+id+"/resume", nil, "Idempotency-Key", "k3").wantProblem(503)
	s.server.opt.Halts = s.gateway
	s.as("admin", "POST", "/v1/halts/"+id+"/resume", nil, "Idempotency-Key", "k3").want(200)
	unkept := newSite(t, func(o *Options) { o.Registry, o.PersonKey = nil, nil })
	unkept.as("admin", "POST", "/v1/halts", ask, "Idempotency-Key", "k").wantProblem(501, "leave the key out")
	unkept.as("admin", "POST", "/v1/halts", ask).want(200)
}

func TestTwoAtATimeWithOneKeyAreOne(t *testing.T) {
	s := newSite(t)
	entered, leave := make(chan struct{}), make(chan struct{})
	s.server.opt.Halts = &waitingHalts{fakeGateway: s.gateway, entered: entered, leave: leave}
	ask := HaltRequest{HaltScope: HaltScope{All: true}}
	first := make(chan *reply)
	go func() { first <- s.as("admin", "POST", "/v1/halts", ask, "Idempotency-Key", "k") }()
	<-entered
	r := s.as("admin", "POST", "/v1/halts", ask, "Idempotency-Key", "k")
	r.wantProblem(409, "being worked on")
	if r.header.Get("Retry-After") == "" {
		t.Error("no Retry-After")
	}
	close(leave)
	(<-first).want(200)
	if again := s.as("admin", "POST", "/v1/halts", ask, "Idempotency-Key", "k").want(200); again.header.Get("Idempotency-Replayed") != "true" || len(s.gateway.Halts()) != 1 {
		t.Errorf("%v", again.header)
	}
}

func TestTheDrainIsToldAndBulkReleased(t *testing.T) {
	s := newSite(t)
	rows := answered[[]DrainRow](s.request(s.tcp, "GET", "/v1/drain", "", nil).want(200))
	if len(rows) != 3 || rows[0].Takes == nil || *rows[0].Takes != 0.1 || rows[0].PerSecond != 100 || !rows[1].HeldBulk || rows[1].Messages != 1000 || rows[2].Takes != nil {
		t.Errorf("%+v", rows)
	}
	type released struct {
		Carrier string
		Drain   []DrainRow
	}
	if got := answered[released](s.as("admin", "POST", "/v1/carriers/a/release", nil).want(200)); got.Carrier != "a" || len(got.Drain) != 2 {
		t.Errorf("%+v", got)
	}
	s.local("POST", "/v1/carriers/a/release", nil).want(200)
	if len(s.gateway.released) != 2 {
		t.Errorf("%q", s.gateway.released)
	}
	s.as("admin", "POST", "/v1/carriers/b/release", nil).wantProblem(409, "holds no bulk back")
	s.as("admin", "POST", "/v1/carriers/c/release", nil).wantProblem(404, "no carrier is called", "GET /v1/carriers")
	s.as("watch", "POST", "/v1/carriers/a/release", nil).wantProblem(403, "operator")
}
