package admin

import (
	"context"
	"encoding/csv"
	"fmt"
	"io"
	"net/http"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"masar/service/reminder"
)

// UnreachedRow is somebody whom no try of a reminder has reached.
type UnreachedRow struct {
	Key      string `json:"key"`
	PersonID string `json:"person_id,omitempty"`
	Number   string `json:"number,omitempty"`
	Service  string `json:"service"`
	ExpiryDate
	Lead   int       `json:"lead_days"`
	Reason string    `json:"reason" doc:"of the last try: the carrier's error, or why the gateway refused it"`
	Tries  int       `json:"tries"`
	At     time.Time `json:"at"`
}

// UnreachedPage is a page of the people who were not reached on a day.
type UnreachedPage struct {
	Day       string         `json:"day"`
	Unreached []UnreachedRow `json:"unreached"`
	Next      string         `json:"next,omitempty" doc:"after of the next page; absent: this was the last"`
}

func (a *api) unreachedRow(u *reminder.Unreached) UnreachedRow {
	row := UnreachedRow{Key: u.Key, Service: u.Service, ExpiryDate: a.expiryDate(u.Service, u.Expires), Lead: u.Lead, Reason: u.Reason, Tries: u.Tries, At: u.At.UTC()}
	row.PersonID, row.Number = whom(u.Person, u.Number)
	return row
}

var unreachedColumns = []string{"key", "person_hash", "number", "service", "expires", "calendar", "expires_gregorian", "lead_days", "reason", "tries", "at"}

func (f *face) unreachedOperation() {
	page := f.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[UnreachedPage](), true, "UnreachedPage")
	operation(f, ScopeReminders, huma.Operation{OperationID: "unreached", Method: http.MethodGet, Path: "/v1/reminders-unreached", Tags: []string{tagReminders},
		Summary: "Who was not reached on a day, and why", Description: "As JSON page by page; as CSV (format=csv, or Accept: text/csv) the whole day, streamed.",
		Responses: map[string]*huma.Response{"200": {Description: "JSON: a page; CSV: columns " + strings.Join(unreachedColumns, ", "), Content: map[string]*huma.MediaType{
			"application/json": {Schema: page},
			"text/csv":         {Schema: &huma.Schema{Type: "string"}},
		}}},
		Errors: []int{http.StatusNotImplemented}, Middlewares: huma.Middlewares{streamed}}, f.listUnreached)
}

const csvPage = 1000 // rows that are read at a time for CSV

func (f *face) listUnreached(ctx context.Context, in *struct {
	Day     string `query:"day" required:"true" maxLength:"10" doc:"2026-11-24, by the clock of the service's agency"`
	Service string `query:"service" maxLength:"5" doc:"only of this one"`
	After   string `query:"after" maxLength:"512" doc:"next of the page before; JSON alone"`
	Max     int    `query:"max" minimum:"1" maximum:"10000" default:"100" doc:"rows of a page; JSON alone"`
	Account string `query:"account" maxLength:"15" doc:"system_id they were sent under; absent: the key's"`
	Format  string `query:"format" enum:"json,csv" doc:"absent: what Accept asks for, else JSON"`
	Accept  string `header:"Accept" doc:"text/csv: as CSV"`
}) (*textOutput, error) {
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
	day, err := reminder.ParseDay(in.Day, reminder.Gregorian)
	if err != nil {
		m.add("query.day", in.Day, err.Error())
	}
	if in.Service != "" {
		if _, err := f.code(&m, c, "query.service", in.Service); err != nil {
			return nil, err
		}
	}
	if err := m.err(); err != nil {
		return nil, err
	}
	q := reminder.UnreachedQuery{Account: account, Service: in.Service, Day: day}
	if in.Format == "csv" || in.Format == "" && strings.Contains(in.Accept, "text/csv") {
		return f.stream(ctx, func(w io.Writer) error { return f.unreachedCSV(ctx, r, c, q, w) }), nil
	}
	q.After, q.Max = in.After, in.Max
	rows, next, err := r.Unreached(ctx, q)
	if err != nil {
		return nil, pageProblem(err)
	}
	page := UnreachedPage{Day: day.String(), Unreached: []UnreachedRow{}, Next: next}
	for i := range rows {
		if c.may(rows[i].Service) {
			page.Unreached = append(page.Unreached, f.unreachedRow(&rows[i]))
		}
	}
	return writeText("application/json", func(w io.Writer) error { return jsonFormat.Marshal(w, &page) }), nil
}

// unreachedCSV writes a day, page by page: the list may be long.
func (a *api) unreachedCSV(ctx context.Context, r Reminders, c *caller, q reminder.UnreachedQuery, w io.Writer) error {
	out := csv.NewWriter(w)
	if err := out.Write(unreachedColumns); err != nil {
		return err
	}
	q.Max = csvPage
	for {
		rows, next, err := r.Unreached(ctx, q)
		if err != nil {
			return err
		}
		for i := range rows {
			if !c.may(rows[i].Service) {
				continue
			}
			u := a.unreachedRow(&rows[i])
			if err := out.Write([]string{u.Key, u.PersonID, u.Number, u.Service, u.Expires, u.Calendar, u.Gregorian, strconv.Itoa(u.Lead), u.Reason, strconv.Itoa(u.Tries), u.At.Format(time.RFC3339)}); err != nil {
				return err
			}
		}
		out.Flush()
		if err := out.Error(); err != nil {
			return err
		}
		if next == "" {
			return nil
		}
		if next == q.After {
			return fmt.Errorf("the list of %s does not go on behind %q", q.Day, next)
		}
		q.After = next
	}
}
