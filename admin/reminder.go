package admin

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"masar/gateway"
	"masar/number"
	"masar/queue"
	"masar/service"
	"masar/service/reminder"
)

// Reminders is how the API keeps reminders; *jobs.Reminders does it.
type Reminders interface {
	Put(ctx context.Context, r reminder.Reminder) (reminder.PutResult, error)
	Delete(ctx context.Context, account, key, by string) (reminder.DeleteResult, error)
	Get(ctx context.Context, account, key string) (reminder.View, error)
	Due(ctx context.Context, q reminder.Query) (rows []reminder.DueRow, next string, err error)
	Unreached(ctx context.Context, q reminder.UnreachedQuery) (rows []reminder.Unreached, next string, err error)
	Move(ctx context.Context, account, service string, days int, by string) (reminder.MoveResult, error)
	MoveDry(ctx context.Context, account, service string, days int) (reminder.MoveResult, error)
	Import(ctx context.Context, im reminder.Import, src io.ReadSeeker, bad service.BadRows) (service.Bookmark, error)
	BookmarkOf(ctx context.Context, job string) (service.Bookmark, error)
}

// ReminderRequest asks to remind somebody before a date.
type ReminderRequest struct {
	Person   string            `json:"person,omitempty" maxLength:"64" doc:"the agency's reference: it goes to his number of the day"`
	Number   string            `json:"number,omitempty" maxLength:"64" doc:"exactly one of person and number"`
	Service  string            `json:"service" minLength:"1" maxLength:"5" doc:"code of the catalogue"`
	Expires  string            `json:"expires" minLength:"1" maxLength:"40" doc:"the date that is reminded of: 2027-02-11, or with calendar hijri 1448-09-04"`
	Calendar string            `json:"calendar,omitempty" enum:"gregorian,hijri" default:"gregorian" doc:"of expires; hijri is Umm al-Qura's"`
	Lead     []int             `json:"lead_days,omitempty" maxItems:"32" doc:"how many days before; absent: the service's"`
	Params   map[string]string `json:"params,omitempty" doc:"what the service's template needs; expiry_date and days are filled in when it leaves"`
	Account  string            `json:"account,omitempty" maxLength:"15" doc:"system_id it is sent under; absent: the key's"`
	By       string            `json:"by,omitempty" maxLength:"64" doc:"which clerk or user of the channel"`
}

// ReminderView is a reminder and how far it has come.
type ReminderView struct {
	Key       string            `json:"key"`
	Account   string            `json:"account"`
	PersonID  string            `json:"person_id,omitempty" doc:"what is kept instead of the person's reference: 32 hex digits"`
	Number    string            `json:"number,omitempty"`
	Service   string            `json:"service"`
	Expires   string            `json:"expires" doc:"in calendar"`
	Calendar  string            `json:"calendar" enum:"gregorian,hijri"`
	Gregorian string            `json:"expires_gregorian"`
	Lead      []int             `json:"lead_days,omitempty" doc:"absent: the service's"`
	Params    map[string]string `json:"params,omitempty"`
	State     string            `json:"state" enum:"pending,done,withdrawn,expired"`
	Next      *time.Time        `json:"next,omitempty" doc:"when its next message is due"`
	Steps     []ReminderStep    `json:"steps"`
	Channel   string            `json:"channel" doc:"who asked last"`
	By        string            `json:"by,omitempty"`
	Created   time.Time         `json:"created"`
	Changed   time.Time         `json:"changed"`
}

// ReminderStep is the message so many days before the date.
type ReminderStep struct {
	Lead      int        `json:"lead_days"`
	Due       time.Time  `json:"due"`
	Tries     int        `json:"tries" doc:"messages sent for it so far"`
	State     string     `json:"state" enum:"coming,out,delivered,failed,past,superseded,recalled,missed,already"`
	MessageID string     `json:"message_id,omitempty" doc:"of the last try: GET /v1/notices/{id}"`
	Error     string     `json:"error,omitempty" doc:"why the last try failed"`
	At        *time.Time `json:"at,omitempty" doc:"since when it is in this state"`
}

// ReminderAnswer is what became of a PUT.
type ReminderAnswer struct {
	Status    string       `json:"status" enum:"created,moved,changed,unchanged" doc:"moved: it has other days"`
	Withdrawn bool         `json:"withdrawn" doc:"a message that waited was taken back"`
	Leaving   bool         `json:"leaving" doc:"a message for the old date is leaving or has left: it could not be taken back"`
	Reminder  ReminderView `json:"reminder"`
}

// ReminderGone is what became of a DELETE.
type ReminderGone struct {
	Withdrawn bool `json:"withdrawn" doc:"a message that waited was taken back"`
	Leaving   bool `json:"leaving" doc:"a message is leaving or has left: it could not be taken back"`
}

const tagReminders = "reminders"

func (f *face) reminderOperations() {
	found := []int{http.StatusNotFound, http.StatusNotImplemented}
	operation(f, ScopeReminders, huma.Operation{OperationID: "remind", Method: http.MethodPut, Path: "/v1/reminders/{key}", Tags: []string{tagReminders},
		Summary: "Remind somebody before a date", Description: "The key is the agency's own: a second PUT changes the reminder, and takes back what waits to be sent for the old date. What leaves is written then: days left, language, number and template are those of the day.",
		Errors: []int{http.StatusNotFound, http.StatusNotImplemented, http.StatusInsufficientStorage}}, f.putReminder)
	operation(f, ScopeReminders, huma.Operation{OperationID: "reminder", Method: http.MethodGet, Path: "/v1/reminders/{key}", Tags: []string{tagReminders},
		Summary: "How a reminder stands", Errors: found}, f.getReminder)
	operation(f, ScopeReminders, huma.Operation{OperationID: "forget-reminder", Method: http.MethodDelete, Path: "/v1/reminders/{key}", Tags: []string{tagReminders},
		Summary: "End a reminder", Description: "What waits to be sent for it is taken back.", Errors: found}, f.deleteReminder)
	operation(f, ScopeReminders, huma.Operation{OperationID: "due-reminders", Method: http.MethodGet, Path: "/v1/reminders", Tags: []string{tagReminders},
		Summary: "What is due when, the next first", Errors: []int{http.StatusNotImplemented}}, f.listDue)
	operation(f, ScopeReminders, huma.Operation{OperationID: "move-reminders", Method: http.MethodPost, Path: "/v1/reminders-move", Tags: []string{tagReminders},
		Summary: "Move the dates of all reminders of a service", Description: "As when a decree extends what they are about. What waits to be sent for an old date is taken back. It goes on where the caller goes away, so send an Idempotency-Key: without one, asking again moves again.",
		Errors: []int{http.StatusConflict, http.StatusNotImplemented, http.StatusInsufficientStorage}, Middlewares: huma.Middlewares{patient}}, f.moveReminders)
	f.unreachedOperation()
}

func (a *api) reminders() (Reminders, error) {
	if a.opt.Reminders == nil {
		return nil, problem(http.StatusNotImplemented, "this gateway keeps no reminders (catalogue: FILE)")
	}
	return a.opt.Reminders, nil
}

var errNoReminder = problem(http.StatusNotFound, "the account has no reminder with this key")

// reminderProblem is the answer where package jobs did not do it.
func reminderProblem(err error) error {
	var wrong *reminder.FieldError
	switch {
	case errors.Is(err, reminder.ErrUnknown):
		return errNoReminder
	case errors.Is(err, reminder.ErrFull):
		return problem(http.StatusInsufficientStorage, "there is no room on the disk of the reminders: nothing was changed")
	case !errors.As(err, &wrong):
		return err
	}
	var m mistakes
	for _, e := range unjoin(err) {
		if !errors.As(e, &wrong) {
			return err
		}
		m.add(reminderField(wrong.Field), nil, wrong.Rule)
	}
	return m.err()
}

func reminderField(field string) string {
	if field == "key" {
		return "path.key"
	}
	return strings.TrimSuffix("body."+field, ".")
}

// account is c.system for a request that has it in its query.
func (c *caller) queried(asked string) (string, error) {
	account, err := c.system(asked)
	var e *huma.ErrorModel
	if errors.As(err, &e) && len(e.Errors) == 1 {
		e.Errors[0].Location = "query.account"
	}
	return account, err
}

// grants refuses, before anything is kept, an account that there is not, and a service
// that the account may not name: a reminder of it would fail in some months.
func (a *api) grants(ctx context.Context, account, code string) error {
	if a.opt.Notices == nil {
		return nil
	}
	// Any number does: the service is asked about before the number.
	n, err := number.Parse(a.opt.Country+"500000000", a.opt.Country)
	if err != nil {
		return nil
	}
	_, err = a.opt.Notices.Try(ctx, gateway.Notice{Account: account, Service: code, Number: n, Text: "."})
	var e *gateway.SubmitError
	if errors.Is(err, gateway.ErrNoAccount) || errors.As(err, &e) && (e.Refusal == gateway.ForeignService || e.Refusal == gateway.UnknownService) {
		return submitProblem(err)
	}
	return nil // what else is wrong today may be right on the day
}

// code checks a service against the catalogue and the caller's key.
func (a *api) code(m *mistakes, c *caller, field, code string) (*service.Service, error) {
	cat, err := a.catalogue()
	if err != nil {
		return nil, err
	}
	s := cat.Service(code)
	switch {
	case s == nil:
		m.add(field, code, "is no service of the catalogue")
	case !c.may(code):
		return nil, problem(http.StatusForbidden, fmt.Sprintf("key %s may not name the service %s", c.name, code))
	}
	return s, nil
}

func (f *face) putReminder(ctx context.Context, in *struct {
	Key  string `path:"key" maxLength:"64" doc:"the agency's own: a reference of the document"`
	Body ReminderRequest
}) (*struct{ Body ReminderAnswer }, error) {
	r, err := f.reminders()
	if err != nil {
		return nil, err
	}
	c, q := from(ctx), &in.Body
	account, err := c.system(q.Account)
	if err != nil {
		return nil, err
	}
	var m mistakes
	ask := reminder.Reminder{Account: account, Key: in.Key, Service: q.Service, Lead: q.Lead, Params: q.Params, Channel: c.channel, By: clerk(&m, q.By)}
	s, err := f.code(&m, c, "body.service", q.Service)
	if err != nil {
		return nil, err
	}
	f.remindWhom(&m, "body.", &ask, q.Person, q.Number)
	ask.Calendar, _ = reminder.CalendarOf(q.Calendar) // its enum was checked
	if ask.Expires, err = reminder.ParseDay(q.Expires, ask.Calendar); err != nil {
		m.add("body.expires", q.Expires, err.Error())
	}
	if err := m.err(); err != nil {
		return nil, err
	}
	if err := f.grants(ctx, account, s.Code); err != nil {
		return nil, err
	}
	if c.services != nil {
		switch was, err := r.Get(ctx, account, in.Key); {
		case err == nil && !c.may(was.Service):
			return nil, errNoReminder // it is another key's
		case err != nil && !errors.Is(err, reminder.ErrUnknown):
			return nil, err
		}
	}
	done, err := r.Put(ctx, ask)
	if err != nil {
		return nil, reminderProblem(err)
	}
	return &struct{ Body ReminderAnswer }{ReminderAnswer{Status: string(done.Status), Withdrawn: done.Withdrawn, Leaving: done.Leaving, Reminder: reminderView(&done.View)}}, nil
}

// remindWhom names a person or a number, exactly one of them.
func (f *face) remindWhom(m *mistakes, at string, r *reminder.Reminder, person, number string) {
	switch {
	case (person == "") == (number == ""):
		m.add(strings.TrimSuffix(at, "."), nil, "exactly one of person and number is needed")
	case person == "":
		r.Number = f.number(m, at+"number", number)
	case f.opt.PersonKey == nil:
		m.add(at+"person", nil, "this gateway keeps no subscribers: give a number")
	default:
		r.Person = f.person(m, at+"person", person)
	}
}

func reminderView(v *reminder.View) ReminderView {
	out := ReminderView{Key: v.Key, Account: v.Account, Service: v.Service, Expires: reminder.FormatDay(v.Expires, v.Calendar), Calendar: v.Calendar.String(),
		Gregorian: v.Expires.String(), Lead: v.Lead, Params: v.Params, State: v.State.String(), Next: dated(v.Next), Steps: []ReminderStep{},
		Channel: v.Channel, By: v.By, Created: v.Created.UTC(), Changed: v.Changed.UTC()}
	out.PersonID, out.Number = whom(v.Person, v.Number)
	for _, s := range v.Steps {
		step := ReminderStep{Lead: s.Lead, Due: s.Due.UTC(), Tries: s.Try, State: s.State, Error: s.Err, At: dated(s.At)}
		if s.Message != 0 {
			step.MessageID = queue.ID(s.Message).String()
		}
		out.Steps = append(out.Steps, step)
	}
	return out
}

// whom is a person or a number for an answer.
func whom(p service.Person, n number.E164) (id, to string) {
	if p != (service.Person{}) {
		id = p.String()
	}
	if n != 0 {
		to = n.String()
	}
	return id, to
}

// ReminderPath names a reminder.
type ReminderPath struct {
	Key     string `path:"key" maxLength:"64" doc:"the agency's own"`
	Account string `query:"account" maxLength:"15" doc:"system_id it is sent under; absent: the key's"`
}

// ownReminder is a reminder that the caller may see; one of a service that its key may not
// name is as good as none.
func (f *face) ownReminder(ctx context.Context, r Reminders, c *caller, account, key string) (*reminder.View, error) {
	v, err := r.Get(ctx, account, key)
	switch {
	case err != nil:
		return nil, reminderProblem(err)
	case !c.may(v.Service):
		return nil, errNoReminder
	}
	return &v, nil
}

func (f *face) getReminder(ctx context.Context, in *ReminderPath) (*struct{ Body ReminderView }, error) {
	r, err := f.reminders()
	if err != nil {
		return nil, err
	}
	c := from(ctx)
	account, err := c.queried(in.Account)
	if err != nil {
		return nil, err
	}
	v, err := f.ownReminder(ctx, r, c, account, in.Key)
	if err != nil {
		return nil, err
	}
	return &struct{ Body ReminderView }{reminderView(v)}, nil
}

func (f *face) deleteReminder(ctx context.Context, in *struct {
	ReminderPath
	By string `query:"by" maxLength:"64" doc:"which clerk or user of the channel"`
}) (*struct{ Body ReminderGone }, error) {
	r, err := f.reminders()
	if err != nil {
		return nil, err
	}
	c := from(ctx)
	account, err := c.queried(in.Account)
	if err != nil {
		return nil, err
	}
	var m mistakes
	by := f.asks(&m, c, in.By)
	if err := m.err(); err != nil {
		return nil, err
	}
	if _, err := f.ownReminder(ctx, r, c, account, in.Key); err != nil {
		return nil, err
	}
	done, err := r.Delete(ctx, account, in.Key, by)
	if err != nil {
		return nil, reminderProblem(err)
	}
	return &struct{ Body ReminderGone }{ReminderGone{Withdrawn: done.Withdrawn, Leaving: done.Leaving}}, nil
}

// asks is who asked for something: the clerk that the channel names, else the caller.
func (f *face) asks(m *mistakes, c *caller, by string) string {
	if by = clerk(m, by); by == "" {
		return c.user
	}
	return by
}

// DueRow is one message that is to come.
type DueRow struct {
	Key      string `json:"key"`
	PersonID string `json:"person_id,omitempty"`
	Number   string `json:"number,omitempty"`
	Service  string `json:"service"`
	ExpiryDate
	Lead  int       `json:"lead_days"`
	Tries int       `json:"tries" doc:"that were in vain before"`
	Due   time.Time `json:"due"`
}

// ExpiryDate is a date as the service's agency writes it, and as everybody does.
type ExpiryDate struct {
	Expires   string `json:"expires" doc:"in the agency's calendar"`
	Calendar  string `json:"calendar" enum:"gregorian,hijri"`
	Gregorian string `json:"expires_gregorian"`
}

// expiryDate is a date in the calendar of a service's agency; of a service that is gone,
// Gregorian.
func (a *api) expiryDate(code string, day service.Day) ExpiryDate {
	c := reminder.Gregorian
	if cat, err := a.catalogue(); err == nil {
		if s := cat.Service(code); s != nil {
			c = s.Owner().Calendar
		}
	}
	return ExpiryDate{Expires: reminder.FormatDay(day, c), Calendar: c.String(), Gregorian: day.String()}
}

func (f *face) listDue(ctx context.Context, in *struct {
	Service string `query:"service" maxLength:"5" doc:"only of this one"`
	From    string `query:"from" maxLength:"40" doc:"a day, or a moment as RFC 3339; absent: from the first on"`
	To      string `query:"to" maxLength:"40" doc:"a day, which is included, or a moment; absent: to the last"`
	After   string `query:"after" maxLength:"512" doc:"next of the page before"`
	Max     int    `query:"max" minimum:"1" maximum:"10000" default:"100" doc:"rows of a page"`
	Account string `query:"account" maxLength:"15" doc:"system_id they are sent under; absent: the key's"`
}) (*struct {
	Body struct {
		Due  []DueRow `json:"due"`
		Next string   `json:"next,omitempty" doc:"after of the next page; absent: this was the last"`
	}
}, error) {
	r, err := f.reminders()
	if err != nil {
		return nil, err
	}
	c := from(ctx)
	account, err := c.queried(in.Account)
	if err != nil {
		return nil, err
	}
	var m mistakes
	q := reminder.Query{Account: account, Service: in.Service, From: f.moment(&m, "query.from", in.From, false), To: f.moment(&m, "query.to", in.To, true), After: in.After, Max: in.Max}
	if in.Service != "" {
		if _, err := f.code(&m, c, "query.service", in.Service); err != nil {
			return nil, err
		}
	}
	if err := m.err(); err != nil {
		return nil, err
	}
	rows, next, err := r.Due(ctx, q)
	if err != nil {
		return nil, pageProblem(err)
	}
	out := new(struct {
		Body struct {
			Due  []DueRow `json:"due"`
			Next string   `json:"next,omitempty" doc:"after of the next page; absent: this was the last"`
		}
	})
	out.Body.Due, out.Body.Next = []DueRow{}, next
	for i := range rows {
		d := &rows[i]
		if !c.may(d.Service) {
			continue
		}
		row := DueRow{Key: d.Key, Service: d.Service, ExpiryDate: f.expiryDate(d.Service, d.Expires), Lead: d.Lead, Tries: d.Try, Due: d.Due.UTC()}
		row.PersonID, row.Number = whom(d.Person, d.Number)
		out.Body.Due = append(out.Body.Due, row)
	}
	return out, nil
}

// pageProblem is reminderProblem for a list: its fields stand in the query.
func pageProblem(err error) error {
	err = reminderProblem(err)
	var e *huma.ErrorModel
	if errors.As(err, &e) {
		for _, d := range e.Errors {
			d.Location = strings.Replace(d.Location, "body.", "query.", 1)
		}
	}
	return err
}

// moment reads a day or a moment; last: the end of the day.
func (f *face) moment(m *mistakes, field, written string, last bool) time.Time {
	if written == "" {
		return time.Time{}
	}
	zone := f.opt.Bulk.Zone
	if zone == nil {
		zone = time.UTC
	}
	if day, err := time.ParseInLocation(time.DateOnly, written, zone); err == nil {
		if last {
			day = day.AddDate(0, 0, 1)
		}
		return day
	}
	t, err := time.Parse(time.RFC3339, written)
	if err != nil {
		m.add(field, written, "is neither a day (2026-11-24) nor a moment (2026-11-24T09:00:00+03:00)")
	}
	return t
}

// MoveRequest moves the dates of a service's reminders.
type MoveRequest struct {
	Service string `json:"service" minLength:"1" maxLength:"5" doc:"code of the catalogue"`
	Days    int    `json:"days" minimum:"-3650" maximum:"3650" doc:"how many days later; below 0: earlier"`
	Account string `json:"account,omitempty" maxLength:"15" doc:"system_id they are sent under; absent: the key's"`
	By      string `json:"by,omitempty" maxLength:"64" doc:"which clerk or user of the channel"`
	DryRun  bool   `json:"dry_run,omitempty" doc:"say what would be moved, and change nothing"`
}

// Moved is what became of a move.
type Moved struct {
	Moved int64 `json:"moved" doc:"reminders that have another date now; with dry_run: that would have"`
	Past  int64 `json:"past" doc:"those whose new date would be past: they stay as they were"`
}

func (f *face) moveReminders(ctx context.Context, in *struct {
	Idempotent
	Body MoveRequest
}) (*answer[Moved], error) {
	r, err := f.reminders()
	if err != nil {
		return nil, err
	}
	c, q := from(ctx), &in.Body
	account, err := c.system(q.Account)
	if err != nil {
		return nil, err
	}
	var m mistakes
	by := f.asks(&m, c, q.By)
	s, err := f.code(&m, c, "body.service", q.Service)
	if err != nil {
		return nil, err
	}
	if q.Days == 0 {
		m.add("body.days", 0, "moves nothing")
	}
	if err := m.err(); err != nil {
		return nil, err
	}
	if q.DryRun {
		n, err := r.MoveDry(ctx, account, s.Code, q.Days)
		if err != nil {
			return nil, reminderProblem(err)
		}
		return &answer[Moved]{Body: Moved(n)}, nil
	}
	ask := repeatable{key: in.Key, operation: "move-reminders", asked: q, look: "GET /v1/reminders/{key} of one of them"}
	return repeat(ctx, f.api, c, ask, func(ctx context.Context) (Moved, error) {
		n, err := r.Move(ctx, account, s.Code, q.Days, by)
		return Moved(n), reminderProblem(err)
	}, func(_ context.Context, m Moved) (Moved, error) { return m, nil })
}
