package admin

import (
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/danielgtaylor/huma/v2"

	"masar/gateway"
)

// Drains is how the API tells how long a backlog takes, and lets it go; *gateway.Gateway
// does it.
type Drains interface {
	Drain() []gateway.Drain
	Release(carrier string) error
}

// DrainRow is one row of GET /v1/drain: how long what waits in one class for one carrier
// takes to leave.
type DrainRow struct {
	Carrier   string   `json:"carrier"`
	Class     string   `json:"class" enum:"urgent,normal,bulk"`
	Messages  int64    `json:"messages"`
	PerSecond float64  `json:"per_s" doc:"messages a second that the carrier takes now"`
	Takes     *float64 `json:"takes_s,omitempty" doc:"seconds until the last of them has left, those of the classes before counted in; absent: the carrier is down"`
	HeldBulk  bool     `json:"held_bulk" doc:"bulk waits until the carrier is released: POST /v1/carriers/{name}/release"`
}

func (f *face) drainOperations() {
	open(f, huma.Operation{OperationID: "drain", Method: http.MethodGet, Path: "/v1/drain", Tags: []string{"gateway"},
		Summary: "How long what waits takes to leave, by carrier and class", Errors: []int{http.StatusNotImplemented}}, f.getDrain)
	operation(f, scopeOperator, huma.Operation{OperationID: "release-carrier", Method: http.MethodPost, Path: "/v1/carriers/{name}/release", Tags: []string{"gateway"},
		Summary: "Let a carrier take bulk again that came back after an outage", Description: "For a carrier with recovery.hold_bulk. Look at GET /v1/drain before.",
		Errors: []int{http.StatusNotFound, http.StatusConflict, http.StatusNotImplemented}}, f.releaseCarrier)
}

func (a *api) drains() (Drains, error) {
	if a.opt.Drains == nil {
		return nil, problem(http.StatusNotImplemented, "this gateway does not tell how long its queues take")
	}
	return a.opt.Drains, nil
}

func drainRow(d *gateway.Drain) DrainRow {
	row := DrainRow{Carrier: d.Carrier, Class: d.Class, Messages: d.Messages, PerSecond: d.PerSecond, HeldBulk: d.HeldBulk}
	if d.Takes >= 0 {
		takes := d.Takes.Seconds()
		row.Takes = &takes
	}
	return row
}

func (f *face) getDrain(context.Context, *none) (*struct{ Body []DrainRow }, error) {
	d, err := f.drains()
	if err != nil {
		return nil, err
	}
	rows := []DrainRow{}
	all := d.Drain()
	for i := range all {
		rows = append(rows, drainRow(&all[i]))
	}
	return &struct{ Body []DrainRow }{rows}, nil
}

func (f *face) releaseCarrier(_ context.Context, in *struct {
	Name string `path:"name" maxLength:"64" doc:"the carrier's"`
}) (*struct {
	Body struct {
		Carrier string     `json:"carrier"`
		Drain   []DrainRow `json:"drain" doc:"what waits for it"`
	}
}, error) {
	d, err := f.drains()
	if err != nil {
		return nil, err
	}
	if err := d.Release(in.Name); err != nil {
		if errors.Is(err, gateway.ErrNoCarrier) {
			return nil, problem(http.StatusNotFound, fmt.Sprintf("no carrier is called %q: GET /v1/carriers", in.Name))
		}
		if errors.Is(err, gateway.ErrNoBulkHeld) {
			return nil, problem(http.StatusConflict, fmt.Sprintf("carrier %s holds no bulk back: GET /v1/drain", in.Name))
		}
		return nil, err
	}
	out := new(struct {
		Body struct {
			Carrier string     `json:"carrier"`
			Drain   []DrainRow `json:"drain" doc:"what waits for it"`
		}
	})
	out.Body.Carrier, out.Body.Drain = in.Name, []DrainRow{}
	all := d.Drain()
	for i := range all {
		if all[i].Carrier == in.Name {
			out.Body.Drain = append(out.Body.Drain, drainRow(&all[i]))
		}
	}
	return out, nil
}
