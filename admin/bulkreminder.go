package admin

import (
	"context"
	"errors"
	"io"

	"masar/gateway"
	"masar/service"
	"masar/service/reminder"
)

func (f *face) uploadReminders(ctx context.Context, in *struct {
	FileQuery
	Account  string `query:"account" maxLength:"15" doc:"system_id they are sent under; absent: the key's"`
	Service  string `query:"service" maxLength:"5" doc:"of a file without a column service"`
	Calendar string `query:"calendar" enum:"gregorian,hijri" default:"gregorian" doc:"of the dates of rows that do not say"`
}) (*jobOutput, error) {
	if _, err := f.reminders(); err != nil {
		return nil, err
	}
	c := from(ctx)
	account, err := c.queried(in.Account)
	if err != nil {
		return nil, err
	}
	var m mistakes
	if in.Service != "" {
		if _, err := f.code(&m, c, "query.service", in.Service); err != nil {
			return nil, err
		}
	}
	if f.opt.Notices != nil {
		if _, err := f.opt.Notices.Message(ctx, account, 0); errors.Is(err, gateway.ErrNoAccount) {
			m.add("query.account", account, "is no system_id of the configuration")
		}
	}
	return f.take(ctx, &m, &jobFile{BulkJob: BulkJob{Kind: BulkReminders, Account: account}, Params: bulkQuery{Service: in.Service, Calendar: in.Calendar}}, &in.FileQuery)
}

func (b *bulk) loadReminders(ctx context.Context, j *jobFile, file io.ReadSeeker, bad service.BadRows, progress func(service.Bookmark)) error {
	r, err := b.a.reminders()
	if err != nil {
		return err
	}
	cat, err := b.a.catalogue()
	if err != nil {
		return err
	}
	c, granted := &caller{channel: j.Channel, services: j.Services}, map[string]bool{}
	calendar, _ := reminder.CalendarOf(j.Params.Calendar) // its enum was checked
	_, err = r.Import(ctx, reminder.Import{
		Rows: reminder.Rows{
			Account: j.Account, Channel: j.Channel, By: j.Params.By, Service: j.Params.Service, Calendar: calendar, Key: b.a.opt.PersonKey, Country: b.a.opt.Country,
			Services: func(code string) bool {
				if cat.Service(code) == nil {
					return false
				}
				may, known := granted[code]
				if !known {
					may = c.may(code) && b.a.grants(ctx, j.Account, code) == nil
					granted[code] = may
				}
				return may
			},
		},
		JSONLines: j.Params.JSONLines, Encoding: j.Params.Encoding, Job: bookmarkOf(j.ID), Progress: progress,
	}, file, bad)
	return err
}
