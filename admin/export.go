package admin

import (
	"bufio"
	"context"
	"encoding/csv"
	"io"
	"log/slog"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"masar/number"
	"masar/service"
)

const csvText = "text/csv; charset=utf-8"

func (f *face) exportOperations() {
	operation(f, ScopeExport, huma.Operation{OperationID: "export-subscribers", Method: http.MethodGet, Path: "/v1/export/subscribers", Tags: []string{tagSubscribers},
		Summary: "Every enrolment as CSV", Description: "A row an enrolment, streamed; the connection is broken off where it cannot be whole. References are not in it: they are kept nowhere.",
		Responses: plain("text/csv", "columns: person_hash, number, language, state, service, enrolment, channel, consent_at, by_person, since"),
		Errors:    []int{http.StatusUnprocessableEntity, http.StatusNotImplemented}, Middlewares: huma.Middlewares{streamed}}, f.exportSubscribers)
	operation(f, ScopeExport|ScopeBlocklist, huma.Operation{OperationID: "export-blocklist", Method: http.MethodGet, Path: "/v1/export/blocklist", Tags: []string{"blocklist"},
		Summary: "Every blocked number as CSV", Description: "As POST /v1/bulk/blocklist takes it.",
		Responses: plain("text/csv", "columns: number, scope, reason, expires"),
		Errors:    []int{http.StatusNotImplemented}, Middlewares: huma.Middlewares{streamed}}, f.exportBlocklist)
}

func (f *face) exportSubscribers(ctx context.Context, in *struct {
	Service string `query:"service" maxLength:"5" doc:"only this one"`
	State   string `query:"state" enum:"enrolled,pending,withdrawn" doc:"only enrolments in this state"`
}) (*textOutput, error) {
	r, err := f.registry()
	if err != nil {
		return nil, err
	}
	c := from(ctx)
	filter := service.Filter{Channel: c.only(), Services: c.services, State: in.State}
	if in.Service != "" {
		var m mistakes
		codes, err := f.services(&m, c, []string{in.Service})
		if err != nil {
			return nil, err
		}
		if len(m) > 0 {
			m[0].Location = "query.service"
			return nil, m.err()
		}
		filter.Services = codes
	}
	return f.stream(ctx, func(w io.Writer) error {
		_, err := service.Export(ctx, r, w, filter)
		return err
	}), nil
}

func (f *face) exportBlocklist(ctx context.Context, _ *none) (*textOutput, error) {
	r, err := f.registry()
	if err != nil {
		return nil, err
	}
	c, now := from(ctx), f.opt.Now()
	return f.stream(ctx, func(w io.Writer) error {
		out := csv.NewWriter(w)
		rec := []string{"number", "scope", "reason", "expires"}
		if err := out.Write(rec); err != nil {
			return err
		}
		err := r.EachBlocked(ctx, func(n number.E164, b service.Block) error {
			if b.In(now) == service.BlockNone || !c.sees(b.Channel) {
				return nil
			}
			rec = append(rec[:0], n.String(), b.Scope.String(), b.Reason, "")
			if !b.Expires.IsZero() {
				rec[3] = b.Expires.UTC().Format(time.RFC3339)
			}
			return out.Write(rec)
		})
		if err != nil {
			return err
		}
		out.Flush()
		return out.Error()
	}), nil
}

// stream is an answer that is written as it is made. One that cannot be whole breaks the
// connection off, so that nobody takes half of it for all.
func (f *face) stream(ctx context.Context, write func(w io.Writer) error) *textOutput {
	up := ctx.Value(uploadKey{}).(upload)
	return writeText(csvText, func(w io.Writer) error {
		// net/http reads on to notice that the caller has gone: not only for as long as a
		// request may take.
		http.NewResponseController(up.w).SetReadDeadline(time.Time{})
		out := bufio.NewWriterSize(&slowWriter{w: w, rc: http.NewResponseController(up.w)}, bulkBlock)
		err := write(out)
		if err == nil {
			err = out.Flush()
		}
		if err != nil {
			if ctx.Err() == nil {
				f.opt.Log.Warn("an export broke off", slog.Any("err", err))
			}
			panic(http.ErrAbortHandler)
		}
		return nil
	})
}
