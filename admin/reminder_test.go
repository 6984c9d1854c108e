package admin

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"masar/gateway"
	"masar/queue"
	"masar/smpp/pdu"
)

// renewal is a reminder that is well.
func renewal(change ...func(*ReminderRequest)) ReminderRequest {
	q := ReminderRequest{Number: number1, Service: "IDREN", Expires: "2027-02-11", Params: map[string]string{"document": "ID"}}
	for _, f := range change {
		f(&q)
	}
	return q
}

func TestAReminderIsKeptMovedAndEnded(t *testing.T) {
	s := newSite(t)
	got := answered[ReminderAnswer](s.as("agency", "PUT", "/v1/reminders/doc%2F7", renewal(func(q *ReminderRequest) { q.By = "clerk 7" })).want(200))
	r := got.Reminder
	if got.Status != "created" || got.Withdrawn || got.Leaving || r.Key != "doc/7" || r.Account != "civil-affairs" || r.Number != number1 || r.Expires != "2027-02-11" ||
		r.Calendar != "gregorian" || r.State != "pending" || r.Channel != "agency" || r.By != "clerk 7" || r.Params["document"] != "ID" {
		t.Errorf("%+v", got)
	}
	// 30 and 7 days before, at nine in Riyadh.
	if len(r.Steps) != 2 || r.Steps[0].Lead != 30 || r.Steps[0].State != "coming" || !r.Steps[0].Due.Equal(time.Date(2027, 1, 12, 6, 0, 0, 0, time.UTC)) || r.Next == nil || !r.Next.Equal(r.Steps[0].Due) {
		t.Errorf("%+v, next %v", r.Steps, r.Next)
	}
	if again := answered[ReminderAnswer](s.as("agency", "PUT", "/v1/reminders/doc%2F7", renewal(func(q *ReminderRequest) { q.By = "clerk 7" })).want(200)); again.Status != "unchanged" {
		t.Errorf("the same again: %+v", again)
	}
	// The same date in the other calendar, then another date.
	hijri := renewal(func(q *ReminderRequest) { q.Expires, q.Calendar, q.Lead = "1448-09-29", "hijri", []int{10} })
	moved := answered[ReminderAnswer](s.as("agency", "PUT", "/v1/reminders/doc%2F7", hijri).want(200))
	if moved.Status != "moved" || moved.Reminder.Expires != "1448-09-29" || moved.Reminder.Calendar != "hijri" || moved.Reminder.Gregorian != "2027-03-08" || len(moved.Reminder.Steps) != 1 {
		t.Errorf("%+v", moved)
	}
	if told := answered[ReminderView](s.as("agency", "GET", "/v1/reminders/doc%2F7", nil).want(200)); told.Gregorian != "2027-03-08" || told.Lead[0] != 10 {
		t.Errorf("%+v", told)
	}
	// By person: only the hash is told.
	person := answered[ReminderAnswer](s.as("agency", "PUT", "/v1/reminders/p", renewal(func(q *ReminderRequest) { q.Number, q.Person = "", saad })).want(200)).Reminder
	if person.Number != "" || person.PersonID != s.o.PersonKey.Person(saad).String() {
		t.Errorf("%+v", person)
	}
	gone := answered[ReminderGone](s.as("agency", "DELETE", "/v1/reminders/doc%2F7?by=clerk+8", nil).want(200))
	if gone.Withdrawn || gone.Leaving {
		t.Errorf("%+v", gone)
	}
	if told := answered[ReminderView](s.as("agency", "GET", "/v1/reminders/doc%2F7", nil).want(200)); told.State != "withdrawn" || told.By != "clerk 8" || told.Next != nil {
		t.Errorf("%+v", told)
	}
	s.as("agency", "DELETE", "/v1/reminders/never", nil).wantProblem(404, "no reminder with this key")
}

func TestBadRemindersAreNamed(t *testing.T) {
	s := newSite(t)
	with := func(f func(*ReminderRequest)) ReminderRequest { return renewal(f) }
	for _, row := range []struct {
		name, partner, key string
		body               any
		fail               error
		status             int
		says               []string
	}{
		{"a date that has passed", "agency", "k", with(func(q *ReminderRequest) { q.Expires = "2026-11-23" }), nil, 422, []string{"body.expires", "has passed"}},
		{"no such day", "agency", "k", with(func(q *ReminderRequest) { q.Expires = "2027-02-29" }), nil, 422, []string{"body.expires", "28 days"}},
		{"no such Hijri day", "agency", "k", with(func(q *ReminderRequest) { q.Expires, q.Calendar = "1448-09-31", "hijri" }), nil, 422, []string{"body.expires", "Ramadan 1448 has 29 days"}},
		{"a Hijri date not said to be one", "agency", "k", with(func(q *ReminderRequest) { q.Expires = "1448-09-04" }), nil, 422, []string{"body.expires", "say calendar hijri"}},
		{"another calendar", "agency", "k", with(func(q *ReminderRequest) { q.Calendar = "julian" }), nil, 422, []string{"body.calendar", "hijri"}},
		{"far ahead", "agency", "k", with(func(q *ReminderRequest) { q.Expires = "2150-01-01" }), nil, 422, []string{"body.expires", "ahead"}},
		{"nobody", "agency", "k", with(func(q *ReminderRequest) { q.Number = "" }), nil, 422, []string{"exactly one of person and number"}},
		{"two", "agency", "k", with(func(q *ReminderRequest) { q.Person = saad }), nil, 422, []string{"exactly one of person and number"}},
		{"no number", "agency", "k", with(func(q *ReminderRequest) { q.Number = "12" }), nil, 422, []string{"body.number", "too_short"}},
		{"unknown service", "agency", "k", with(func(q *ReminderRequest) { q.Service = "NOPE" }), nil, 422, []string{"body.service", "no service of the catalogue"}},
		{"of another kind", "agency", "k", with(func(q *ReminderRequest) { q.Service = "OTPEN" }), nil, 422, []string{"body.service", "OTPEN"}},
		{"several mistakes", "agency", "k", with(func(q *ReminderRequest) { q.Number, q.Expires, q.Service = "12", "soon", "NOPE" }), nil, 422, []string{"body.number", "body.expires", "body.service"}},
		{"a parameter lacks", "agency", "k", with(func(q *ReminderRequest) { q.Params = nil }), nil, 422, []string{"body.params.document"}},
		{"a parameter that is filled in", "agency", "k", with(func(q *ReminderRequest) { q.Params["days"] = "3" }), nil, 422, []string{"body.params.days", "filled in"}},
		{"lead days", "agency", "k", with(func(q *ReminderRequest) { q.Lead = []int{-1} }), nil, 422, []string{"body.lead_days"}},
		{"a long key", "agency", strings.Repeat("k", 65), renewal(), nil, 422, []string{"path.key"}},
		{"a key with a line end", "agency", "a%0Ab", renewal(), nil, 422, []string{"path.key", "cannot be printed"}},
		{"an unknown field", "agency", "k", `{"number":"0500000001","service":"IDREN","expires":"2027-02-11","lead":[3]}`, nil, 422, []string{"body.lead"}},
		{"a service that the key may not name", "desk", "k", with(func(q *ReminderRequest) { q.Service = "PASSP" }), nil, 403, []string{"desk", "PASSP"}},
		{"another account", "agency", "k", with(func(q *ReminderRequest) { q.Account = "nic" }), nil, 403, []string{"civil-affairs"}},
		{"a key without account", "watch", "k", renewal(), nil, 403, []string{"no account"}},
		{"no account", "admin", "k", renewal(), nil, 422, []string{"body.account"}},
		{"an unknown account", "admin", "k", with(func(q *ReminderRequest) { q.Account = "x" }), gateway.ErrNoAccount, 422, []string{"body.account"}},
		{"a service that the account is not granted", "agency", "k", renewal(), &gateway.SubmitError{Refusal: gateway.ForeignService, Status: pdu.ESME_RINVSERTYP}, 403, []string{"foreign_service"}},
		{"without the scope", "portal", "k", renewal(), nil, 403, []string{"reminders"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s.t = t
			s.notices.fail = row.fail
			s.as(row.partner, "PUT", "/v1/reminders/"+row.key, row.body).wantProblem(row.status, row.says...)
		})
	}
	s.t, s.notices.fail = t, nil
	if r := s.as("admin", "GET", "/v1/reminders?account=civil-affairs", nil).want(200); strings.Contains(string(r.body), `"key"`) {
		t.Errorf("something was kept: %s", r.body)
	}
	if strings.Contains(s.logged.String(), saad) || strings.Contains(s.logged.String(), number1) {
		t.Errorf("the log tells too much:\n%s", s.logged)
	}
}

func TestWhatIsWrongTodayMayBeRightOnTheDay(t *testing.T) {
	s := newSite(t)
	s.notices.fail = &gateway.SubmitError{Refusal: gateway.OverRate}
	s.as("agency", "PUT", "/v1/reminders/k", renewal()).want(200)
}

func TestARenewalTakesBackWhatWaits(t *testing.T) {
	s := newSite(t)
	s.as("agency", "PUT", "/v1/reminders/k", renewal(func(q *ReminderRequest) { q.Expires, q.Lead = "2026-11-27", []int{3} })).want(200)
	sent := func() gateway.Notice {
		t.Helper()
		for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(2 * time.Millisecond) { // another goroutine's work, seen through the gateway
			if all := s.notices.all(); len(all) > 0 {
				return all[len(all)-1]
			}
			if time.Now().After(deadline) {
				t.Fatal("nothing was sent")
			}
		}
	}
	if n := sent(); n.Account != "civil-affairs" || n.Job.Kind != queue.ReminderJob || !strings.Contains(n.Text, "3") {
		t.Errorf("%+v", n)
	}
	v := s.reminder("agency", "k", func(v *ReminderView) bool { return v.Steps[0].State == "out" })
	if v.Steps[0].Tries != 1 || len(v.Steps[0].MessageID) != 16 {
		t.Errorf("%+v", v)
	}
	renewed := answered[ReminderAnswer](s.as("agency", "PUT", "/v1/reminders/k", renewal()).want(200))
	if renewed.Status != "moved" || !renewed.Withdrawn || renewed.Leaving {
		t.Errorf("%+v", renewed)
	}
	// One that is leaving already cannot be taken back, and that is said.
	s.as("agency", "PUT", "/v1/reminders/l", renewal(func(q *ReminderRequest) { q.Expires, q.Lead = "2026-11-28", []int{4} })).want(200)
	v = s.reminder("agency", "l", func(v *ReminderView) bool { return v.Steps[0].State == "out" })
	id, err := messageID(v.Steps[0].MessageID)
	if err != nil {
		t.Fatal(err)
	}
	s.gateway.mu.Lock()
	s.gateway.gone = map[queue.ID]bool{id: true}
	s.gateway.mu.Unlock()
	if gone := answered[ReminderGone](s.as("agency", "DELETE", "/v1/reminders/l", nil).want(200)); gone.Withdrawn || !gone.Leaving {
		t.Errorf("%+v", gone)
	}
}

// reminder waits until one is as it should be.
func (s *site) reminder(name, key string, is func(*ReminderView) bool) ReminderView {
	s.t.Helper()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(2 * time.Millisecond) { // another goroutine's work, seen over HTTP alone
		v := answered[ReminderView](s.as(name, "GET", "/v1/reminders/"+key, nil).want(200))
		if is(&v) {
			return v
		}
		if time.Now().After(deadline) {
			s.t.Fatalf("still %+v", v)
		}
	}
}

func TestAKeySeesItsAccountsRemindersAlone(t *testing.T) {
	s := newSite(t)
	s.as("agency", "PUT", "/v1/reminders/id", renewal()).want(200)
	s.as("agency", "PUT", "/v1/reminders/pass", ReminderRequest{Number: number2, Service: "PASSP", Expires: "2027-05-01"}).want(200)
	for _, row := range []struct {
		name, partner, key string
		status             int
	}{
		{"its own", "agency", "id", 200},
		{"its service", "desk", "id", 200},
		{"a service it may not name", "desk", "pass", 404},
		{"another account, with all channels", "rival", "id", 404},
	} {
		t.Run(row.name, func(t *testing.T) {
			s.t = t
			s.as(row.partner, "GET", "/v1/reminders/"+row.key, nil).want(row.status)
			if row.status == 404 {
				s.as(row.partner, "DELETE", "/v1/reminders/"+row.key, nil).wantProblem(404)
			}
		})
	}
	s.t = t
	// The key of a service that a caller may not name is nobody's to take.
	s.as("desk", "PUT", "/v1/reminders/pass", renewal()).wantProblem(404)
	s.as("rival", "GET", "/v1/reminders/id?account=civil-affairs", nil).wantProblem(403, "nic alone")
	s.as("admin", "GET", "/v1/reminders/id", nil).wantProblem(422, "query.account")
	s.as("admin", "GET", "/v1/reminders/id?account=civil-affairs", nil).want(200)
	s.local("GET", "/v1/reminders/id?account=civil-affairs", nil).want(200)
	// The same key in another account is another reminder.
	s.as("rival", "PUT", "/v1/reminders/id", renewal()).want(200)
	s.as("rival", "DELETE", "/v1/reminders/id", nil).want(200)
	if v := answered[ReminderView](s.as("agency", "GET", "/v1/reminders/id", nil).want(200)); v.State != "pending" {
		t.Errorf("%+v", v)
	}
	type page struct {
		Due  []DueRow
		Next string
	}
	if p := answered[page](s.as("desk", "GET", "/v1/reminders", nil).want(200)); len(p.Due) != 1 || p.Due[0].Key != "id" {
		t.Errorf("desk sees %+v", p)
	}
	if p := answered[page](s.as("rival", "GET", "/v1/reminders", nil).want(200)); len(p.Due) != 0 {
		t.Errorf("rival sees %+v", p)
	}
}

func TestWhatIsDueIsListedPageByPage(t *testing.T) {
	s := newSite(t)
	for i := range 5 {
		s.as("agency", "PUT", fmt.Sprintf("/v1/reminders/k%d", i), renewal(func(q *ReminderRequest) { q.Expires, q.Lead = fmt.Sprintf("2027-02-%02d", 10+i), []int{10} })).want(200)
	}
	s.as("agency", "PUT", "/v1/reminders/pass", ReminderRequest{Number: number2, Service: "PASSP", Expires: "2027-05-01"}).want(200)
	type page struct {
		Due  []DueRow
		Next string
	}
	var keys []string
	after, pages := "", 0
	for {
		p := answered[page](s.as("agency", "GET", "/v1/reminders?service=IDREN&max=2&after="+after, nil).want(200))
		for _, d := range p.Due {
			keys = append(keys, d.Key)
		}
		if pages++; p.Next == "" || pages > 10 {
			break
		}
		after = p.Next
	}
	if strings.Join(keys, " ") != "k0 k1 k2 k3 k4" {
		t.Errorf("%q in %d pages", keys, pages)
	}
	for _, row := range []struct {
		name, query, want string
	}{
		{"a day is included", "from=2027-02-01&to=2027-02-02", "k1 k2"},
		{"moments", "from=2027-02-01T06:00:00Z&to=2027-02-02T06:00:00Z", "k1"},
		{"from", "from=2027-02-04", "k4 pass"},
		{"a service", "service=PASSP", "pass"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s.t = t
			var keys []string
			for _, d := range answered[page](s.as("agency", "GET", "/v1/reminders?"+row.query, nil).want(200)).Due {
				keys = append(keys, d.Key)
			}
			if got := strings.Join(keys, " "); got != row.want {
				t.Errorf("%q, want %q", got, row.want)
			}
		})
	}
	s.t = t
	s.as("agency", "GET", "/v1/reminders?from=soon", nil).wantProblem(422, "query.from", "2026-11-24")
	s.as("agency", "GET", "/v1/reminders?service=NOPE", nil).wantProblem(422, "query.service")
	s.as("agency", "GET", "/v1/reminders?max=0", nil).wantProblem(422, "query.max")
	s.as("agency", "GET", "/v1/reminders?servise=IDREN", nil).wantProblem(422, "query.servise")
}

func TestADecreeMovesAllDatesOfAServiceOnce(t *testing.T) {
	s := newSite(t)
	for i := range 3 {
		s.as("agency", "PUT", fmt.Sprintf("/v1/reminders/k%d", i), renewal()).want(200)
	}
	s.as("rival", "PUT", "/v1/reminders/k0", renewal()).want(200)
	s.pass(time.Second) // what is asked for after the decree has its date already
	move := func(headers ...string) *reply {
		return s.as("agency", "POST", "/v1/reminders-move", MoveRequest{Service: "IDREN", Days: 30}, headers...)
	}
	for days, want := range map[int]Moved{30: {Moved: 3}, -3650: {Past: 3}} {
		dry := MoveRequest{Service: "IDREN", Days: days, DryRun: true}
		if m := answered[Moved](s.as("agency", "POST", "/v1/reminders-move", dry).want(200)); m != want {
			t.Errorf("a dry run by %d days: %+v, want %+v", days, m, want)
		}
	}
	if v := answered[ReminderView](s.as("agency", "GET", "/v1/reminders/k1", nil).want(200)); v.Gregorian != "2027-02-11" {
		t.Errorf("a dry run has moved it: %+v", v)
	}
	if m := answered[Moved](s.as("agency", "POST", "/v1/reminders-move", MoveRequest{Service: "IDREN", Days: -3650}).want(200)); m != (Moved{Past: 3}) {
		t.Errorf("into the past: %+v", m)
	}
	if m := answered[Moved](move("Idempotency-Key", "decree 7").want(200)); m.Moved != 3 {
		t.Errorf("%+v", m)
	}
	r := move("Idempotency-Key", "decree 7").want(200)
	if m := answered[Moved](r); m.Moved != 3 || r.header.Get("Idempotency-Replayed") != "true" {
		t.Errorf("%+v %v", m, r.header)
	}
	s.as("agency", "POST", "/v1/reminders-move", MoveRequest{Service: "IDREN", Days: 31}, "Idempotency-Key", "decree 7").wantProblem(409, "another body")
	if v := answered[ReminderView](s.as("agency", "GET", "/v1/reminders/k1", nil).want(200)); v.Gregorian != "2027-03-13" {
		t.Errorf("%+v", v)
	}
	if v := answered[ReminderView](s.as("rival", "GET", "/v1/reminders/k0", nil).want(200)); v.Gregorian != "2027-02-11" {
		t.Errorf("another account's was moved: %+v", v)
	}
	for _, row := range []struct {
		name, partner, body string
		status              int
		says                string
	}{
		{"nothing", "agency", `{"service":"IDREN","days":0}`, 422, "body.days"},
		{"too far", "agency", `{"service":"IDREN","days":100000}`, 422, "body.days"},
		{"unknown service", "agency", `{"service":"NOPE","days":1}`, 422, "body.service"},
		{"another's service", "desk", `{"service":"PASSP","days":1}`, 403, "PASSP"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s.t = t
			s.as(row.partner, "POST", "/v1/reminders-move", row.body).wantProblem(row.status, row.says)
		})
	}
}

func TestTheUnreachedOfADayAreAListForTheAgency(t *testing.T) {
	s := newSite(t)
	// Two tries are made; a number that the gateway refuses is tried the next day again.
	s.notices.fail = &gateway.SubmitError{Refusal: gateway.NoRoute, Status: pdu.ESME_RINVDSTADR}
	s.as("agency", "PUT", "/v1/reminders/a", renewal(func(q *ReminderRequest) { q.Expires, q.Lead = "2026-12-04", []int{10} })).want(200)
	s.as("agency", "PUT", "/v1/reminders/b", ReminderRequest{Person: saad, Service: "PASSP", Expires: "2026-12-04", Lead: []int{10}}).want(200)
	s.reminder("agency", "a", func(v *ReminderView) bool { return v.Steps[0].Tries == 1 || v.Steps[0].Error != "" })
	s.reminder("agency", "b", func(v *ReminderView) bool { return v.Steps[0].Error != "" })
	s.pass(24 * time.Hour)
	s.as("agency", "PUT", "/v1/reminders/wake", renewal(func(q *ReminderRequest) { q.Expires, q.Lead = "2026-12-05", []int{10} })).want(200)
	s.reminder("agency", "a", func(v *ReminderView) bool { return v.Steps[0].State == "failed" })
	s.reminder("agency", "b", func(v *ReminderView) bool { return v.Steps[0].State == "failed" })
	p := answered[UnreachedPage](s.as("agency", "GET", "/v1/reminders-unreached?day=2026-11-25", nil).want(200))
	if p.Day != "2026-11-25" || len(p.Unreached) != 2 || p.Next != "" {
		t.Fatalf("%+v", p)
	}
	for _, u := range p.Unreached {
		if u.Tries != 2 || u.Expires != "2026-12-04" || u.Lead != 10 || !strings.Contains(u.Reason, "no_route") && u.Key == "a" || u.Reason == "" || u.At.IsZero() {
			t.Errorf("%+v", u)
		}
	}
	if p := answered[UnreachedPage](s.as("desk", "GET", "/v1/reminders-unreached?day=2026-11-25", nil).want(200)); len(p.Unreached) != 1 || p.Unreached[0].Key != "a" {
		t.Errorf("desk sees %+v", p)
	}
	if p := answered[UnreachedPage](s.as("rival", "GET", "/v1/reminders-unreached?day=2026-11-25", nil).want(200)); len(p.Unreached) != 0 {
		t.Errorf("rival sees %+v", p)
	}
	if p := answered[UnreachedPage](s.as("agency", "GET", "/v1/reminders-unreached?day=2026-11-25&max=1", nil).want(200)); len(p.Unreached) != 1 || p.Next == "" {
		t.Errorf("%+v", p)
	}
	for _, ask := range []struct {
		name, query string
		headers     []string
	}{{"by format", "&format=csv", nil}, {"by Accept", "", []string{"Accept", "text/csv"}}} {
		t.Run(ask.name, func(t *testing.T) {
			s.t = t
			r := s.as("agency", "GET", "/v1/reminders-unreached?day=2026-11-25"+ask.query, nil, ask.headers...).want(200)
			rows, err := csv.NewReader(bytes.NewReader(r.body)).ReadAll()
			if err != nil || r.header.Get("Content-Type") != csvText || len(rows) != 3 || strings.Join(rows[0], ",") != strings.Join(unreachedColumns, ",") {
				t.Fatalf("%q %v %v", rows, err, r.header)
			}
			byKey := map[string][]string{rows[1][0]: rows[1], rows[2][0]: rows[2]}
			if a := byKey["a"]; a[2] != number1 || a[3] != "IDREN" || a[4] != "2026-12-04" || a[5] != "gregorian" || a[6] != "2026-12-04" || a[9] != "2" {
				t.Errorf("%q", a)
			}
			if b := byKey["b"]; b[1] != s.o.PersonKey.Person(saad).String() || b[2] != "" {
				t.Errorf("%q", b)
			}
		})
	}
	s.t = t
	s.as("agency", "GET", "/v1/reminders-unreached", nil).wantProblem(422, "query.day")
	s.as("agency", "GET", "/v1/reminders-unreached?day=2026-02-30", nil).wantProblem(422, "query.day", "28 days")
	s.as("agency", "GET", "/v1/reminders-unreached?day=1448-06-04", nil).wantProblem(422, "query.day", "hijri")
}

// jsonl uploads a file of JSON Lines.
func (s *site) jsonl(name, path, file string, headers ...string) *reply {
	s.t.Helper()
	return s.as(name, "POST", path, file, append([]string{csvHeader, "application/jsonl"}, headers...)...)
}

const reminderHeader = "key,number,service,expires,calendar,lead_days,document\n"

func TestAFileOfRemindersKeepsItsGoodRowsAndTellsTheBad(t *testing.T) {
	s := newSite(t)
	for _, form := range []struct {
		name, path, file string
		send             func(name, path, file string, headers ...string) *reply
	}{
		{"CSV", "/v1/bulk/reminders", "\ufeff" + reminderHeader +
			"a,0500000001,IDREN,2027-02-11,,30 7,ID\n" +
			"b,12,IDREN,2027-02-11,,,ID\n" +
			"c,0500000003,IDREN,1448-09-31,hijri,,ID\n" +
			"d,0500000004,NOPE,2027-02-11,,,ID\n" +
			"e,0500000005,IDREN,2026-11-01,,,ID\n" +
			"f,0500000006,IDREN,1448-09-04,hijri,,ID\n", s.uploads},
		{"JSON Lines", "/v1/bulk/reminders?by=night+run", "\n" +
			`{"key":"a2","number":"0500000001","service":"IDREN","expires":"2027-02-11","lead_days":[30,7],"params":{"document":"ID"}}` + "\n" +
			`{"key":"b2","number":"12","service":"IDREN","expires":"2027-02-11","params":{"document":"ID"}}` + "\n" +
			`{"key":"c2","number":"0500000003","service":"IDREN","expires":"1448-09-31","calendar":"hijri","params":{"document":"ID"}}` + "\n" +
			`{"key":"d2","number":"0500000004","service":"NOPE","expires":"2027-02-11","params":{"document":"ID"}}` + "\n" +
			`{"key":"e2","number":"0500000005","service":"IDREN","expires":"2026-11-01","params":{"document":"ID"}}` + "\n" +
			`{"key":"f2","number":"0500000006","service":"IDREN","expires":"1448-09-04","calendar":"hijri","params":{"document":"ID"}}` + "\n", s.jsonl},
	} {
		t.Run(form.name, func(t *testing.T) {
			s.t = t
			j := answered[BulkJob](form.send("agency", form.path, form.file).want(202))
			if j.Kind != BulkReminders || j.Account != "civil-affairs" || j.Channel != "agency" {
				t.Errorf("%+v", j)
			}
			j = s.over("agency", j.ID)
			if j.State != JobDone || j.Rows != 6 || j.Good != 2 || j.Bad != 4 || j.Changed != 2 || j.Progress != 1 {
				t.Errorf("%+v", j)
			}
			rows, err := csv.NewReader(bytes.NewReader(s.as("agency", "GET", "/v1/bulk/"+j.ID+"/bad", nil).want(200).body)).ReadAll()
			if err != nil || len(rows) != 5 {
				t.Fatalf("%q %v", rows, err)
			}
			for i, want := range [][2]string{{"3", "number"}, {"4", "expires"}, {"5", "service"}, {"6", "expires"}} {
				if got := rows[i+1]; got[0] != want[0] || got[1] != want[1] || got[2] == "" {
					t.Errorf("bad row %d: %q, want line %s, column %s", i, got, want[0], want[1])
				}
			}
			if left, err := filepath.Glob(filepath.Join(s.o.Bulk.Dir, j.ID+"*")); err != nil || len(left) != 2 {
				t.Errorf("left: %q %v", left, err) // the job and its bad rows
			}
			s.as("rival", "GET", "/v1/bulk/"+j.ID, nil).wantProblem(404)
			s.as("rival", "GET", "/v1/bulk/"+j.ID+"/bad", nil).wantProblem(404)
			s.as("admin", "GET", "/v1/bulk/"+j.ID, nil).want(200)
		})
	}
	s.t = t
	v := answered[ReminderView](s.as("agency", "GET", "/v1/reminders/f2", nil).want(200))
	if v.Calendar != "hijri" || v.Expires != "1448-09-04" || v.Gregorian != "2027-02-11" || v.By != "night run" || v.Channel != "agency" {
		t.Errorf("%+v", v)
	}
	if got := s.request(s.tcp, "GET", "/metrics", "", nil).body; !strings.Contains(string(got), `masar_bulk_rows_total{kind="reminders",result="good"} 4`) {
		t.Error("rows are not counted")
	}
}

func TestAFileOfRemindersThatCannotBeReadAppliesNothing(t *testing.T) {
	s := newSite(t)
	s.as("agency", "PUT", "/v1/reminders/pass", ReminderRequest{Number: number2, Service: "PASSP", Expires: "2027-05-01"}).want(200)
	for _, row := range []struct {
		name, partner, query, file string
		says                       []string
	}{
		{"a column lacks", "agency", "", "key,number,service,document\na,0500000001,IDREN,ID\n", []string{"line 1", "expires"}},
		{"an unknown column", "agency", "", "key,number,service,expires,colour\na,0500000001,IDREN,2027-02-11,red\n", []string{"line 1", "colour"}},
		{"no service and none said", "agency", "", "key,number,expires,document\na,0500000001,2027-02-11,ID\n", []string{"service"}},
		{"mixed encodings", "agency", "", reminderHeader + "a,0500000001,IDREN,2027-02-11,,,\xc7\n", []string{"line 2", "UTF-8"}},
		{"a key of a service that may not be named", "desk", "", "key,number,service,expires,document\npass,0500000001,IDREN,2027-02-11,ID\n", nil},
		{"a service the key may not name", "desk", "", "key,number,service,expires\na,0500000001,PASSP,2027-02-11\n", nil},
	} {
		t.Run(row.name, func(t *testing.T) {
			s.t = t
			j := s.over(row.partner, answered[BulkJob](s.uploads(row.partner, "/v1/bulk/reminders"+row.query, row.file).want(202)).ID)
			if j.Good != 0 || row.says != nil && j.State != JobFailed || row.says == nil && j.Bad != 1 {
				t.Errorf("%+v", j)
			}
			for _, want := range row.says {
				if !strings.Contains(j.Error, want) {
					t.Errorf("%q does not say %q", j.Error, want)
				}
			}
		})
	}
	s.t = t
	s.as("agency", "GET", "/v1/reminders/a", nil).wantProblem(404)
	if v := answered[ReminderView](s.as("agency", "GET", "/v1/reminders/pass", nil).want(200)); v.Service != "PASSP" {
		t.Errorf("%+v", v)
	}
	s.as("agency", "POST", "/v1/bulk/reminders", "{}", csvHeader, "application/json").wantProblem(415, "application/jsonl")
	s.uploads("agency", "/v1/bulk/reminders?service=NOPE", "x").wantProblem(422, "query.service")
	s.uploads("desk", "/v1/bulk/reminders?service=PASSP", "x").wantProblem(403, "PASSP")
	s.uploads("agency", "/v1/bulk/reminders?calendar=julian", "x").wantProblem(422, "query.calendar")
	s.uploads("admin", "/v1/bulk/reminders", "x").wantProblem(422, "query.account")
	s.uploads("bank-a", "/v1/bulk/reminders", "x").wantProblem(403, "reminders")
	// A file whose service and calendar are said beside it.
	j := s.over("agency", answered[BulkJob](s.uploads("agency", "/v1/bulk/reminders?service=IDREN&calendar=hijri", "key;number;expires;document\nz;0500000001;1448-09-04;ID\n").want(202)).ID)
	if j.Good != 1 {
		t.Errorf("%+v", j)
	}
}

func TestAJobOfRemindersGoesOnAfterARestart(t *testing.T) {
	steps := &steppedReminders{step: make(chan struct{}), done: make(chan struct{}, 1)}
	s := newSite(t, func(o *Options) {
		o.Bulk.Max = 64 << 20
		steps.Reminders, o.Reminders = o.Reminders, steps
	})
	var file strings.Builder
	file.WriteString(reminderHeader)
	const rows, badEvery = 9_000, 100
	for i := range rows {
		expires := "2027-02-11"
		if i%badEvery == 0 {
			expires = "2027-02-30"
		}
		fmt.Fprintf(&file, "k%d,05%08d,IDREN,%s,,,ID\n", i, i, expires)
	}
	j := answered[BulkJob](s.uploads("agency", "/v1/bulk/reminders", file.String()).want(202))
	restarts := 0
	for {
		at, err := s.o.Reminders.BookmarkOf(t.Context(), bookmarkOf(j.ID))
		if err != nil {
			t.Fatal(err)
		}
		if at.Done {
			break
		}
		if restarts < 2 && at.Rows > int64(restarts)*3000 {
			restarts++
			s.server.api.bulk.close()
			s.o.Registerer, s.o.Gatherer = nil, s.metrics
			s.open()
		}
		select {
		case steps.step <- struct{}{}:
			<-steps.done
		case <-time.After(time.Minute):
			t.Fatalf("the job stands still: %+v", at)
		}
	}
	close(steps.step)
	j = s.over("agency", j.ID)
	if restarts < 2 {
		t.Fatalf("only %d restarts", restarts)
	}
	if j.State != JobDone || j.Rows != rows || j.Bad != rows/badEvery || j.Good != rows-rows/badEvery || j.Changed != j.Good {
		t.Errorf("%+v", j)
	}
	got, err := csv.NewReader(bytes.NewReader(s.as("agency", "GET", "/v1/bulk/"+j.ID+"/bad", nil).want(200).body)).ReadAll()
	if err != nil || len(got) != rows/badEvery+1 {
		t.Errorf("%d bad rows, %v", len(got), err)
	}
	if _, err := os.Stat(filepath.Join(s.o.Bulk.Dir, j.ID+".csv")); !os.IsNotExist(err) {
		t.Errorf("the file is still there: %v", err)
	}
}

func TestTheSameFileOfRemindersInAnotherAccountIsAnotherRequest(t *testing.T) {
	s := newSite(t)
	file := reminderHeader + "a,0500000001,IDREN,2027-02-11,,,ID\n"
	first := answered[BulkJob](s.uploads("admin", "/v1/bulk/reminders?account=civil-affairs", file, "Idempotency-Key", "n").want(202))
	if again := answered[BulkJob](s.uploads("admin", "/v1/bulk/reminders?account=civil-affairs", file, "Idempotency-Key", "n").want(202)); again.ID != first.ID {
		t.Errorf("%+v", again)
	}
	s.uploads("admin", "/v1/bulk/reminders?account=nic", file, "Idempotency-Key", "n").wantProblem(http.StatusConflict, "another body")
	s.over("admin", first.ID)
}
