package admin

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"masar/gateway"
	"masar/queue"
)

// QueueRow is one row of GET /v1/queue: what waits in one class for one carrier.
type QueueRow struct {
	Carrier       string  `json:"carrier"`
	Class         string  `json:"class" enum:"urgent,normal,bulk"`
	Messages      int64   `json:"messages"`
	OldestSeconds float64 `json:"oldest_s" doc:"age of the oldest, in seconds"`
}

// CarrierRow is one row of GET /v1/carriers.
type CarrierRow struct {
	Name        string  `json:"carrier"`
	Binds       int     `json:"binds"`
	Outstanding int64   `json:"outstanding" doc:"submit_sm without an answer"`
	Window      int64   `json:"window"`
	Pace        float64 `json:"pace" doc:"submit_sm per second it is given now"`
	DownSeconds float64 `json:"down_s" doc:"how long it has had no bind, in seconds"`
}

// UncertainRow is one row of GET /v1/uncertain: a submit_sm that had no answer. The carrier
// may have taken it or not; policy is what its route says to do.
type UncertainRow struct {
	MessageID string    `json:"message_id" doc:"16 hex digits"`
	Carrier   string    `json:"carrier"`
	Cause     string    `json:"cause" doc:"timeout, session_ended, restart"`
	Policy    string    `json:"policy" doc:"resend, fail, hold"`
	At        time.Time `json:"at"`
}

// UnmatchedRow is one row of GET /v1/unmatched?carrier=NAME: a receipt that belongs to no
// message. from=ID begins at a carrier's id.
type UnmatchedRow struct {
	Carrier   string    `json:"carrier"`
	CarrierID string    `json:"carrier_id"`
	Why       string    `json:"why"`
	At        time.Time `json:"at"`
	DeliverSM string    `json:"deliver_sm" doc:"the body, in hex"`
}

type none struct{}

type textOutput struct {
	Body func(huma.Context)
}

// plain is the documented answer of operations that write text.
func plain(contentType, description string) map[string]*huma.Response {
	return map[string]*huma.Response{"200": {Description: description, Content: map[string]*huma.MediaType{
		contentType: {Schema: &huma.Schema{Type: "string"}},
	}}}
}

func writeText(contentType string, write func(w io.Writer) error) *textOutput {
	return &textOutput{Body: func(ctx huma.Context) {
		ctx.SetHeader("Content-Type", contentType)
		ctx.SetStatus(http.StatusOK)
		write(ctx.BodyWriter())
	}}
}

const plainText = "text/plain; charset=utf-8"

// operations registers the gateway's own on f and, beside them, what is no operation of
// the API: the index and the profiles.
func (s *Server) operations(f *face, mux *recordingMux) {
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.opt.Gatherer, promhttp.HandlerOpts{}))
	f.OpenAPI().AddOperation(&huma.Operation{
		OperationID: "metrics", Method: http.MethodGet, Path: "/metrics", Tags: []string{"gateway"},
		Summary: "Metrics in Prometheus's text format", Security: []map[string][]string{{}},
		Responses: f.withProblem(plain("text/plain", "every metric"), http.StatusInternalServerError),
	})
	open(f, huma.Operation{OperationID: "health", Method: http.MethodGet, Path: "/healthz", Tags: []string{"gateway"},
		Summary: "Whether the process runs", Responses: plain("text/plain", "it runs")},
		func(context.Context, *none) (*textOutput, error) {
			return writeText(plainText, func(w io.Writer) error { _, err := io.WriteString(w, "ok\n"); return err }), nil
		})
	open(f, huma.Operation{OperationID: "ready", Method: http.MethodGet, Path: "/readyz", Tags: []string{"gateway"},
		Summary: "Whether submits are taken", Responses: plain("text/plain", "they are")}, s.ready)
	open(f, huma.Operation{OperationID: "queue", Method: http.MethodGet, Path: "/v1/queue", Tags: []string{"gateway"},
		Summary: "What waits, by carrier and class"}, s.queue)
	open(f, huma.Operation{OperationID: "carriers", Method: http.MethodGet, Path: "/v1/carriers", Tags: []string{"gateway"},
		Summary: "The carriers' binds, windows and pace"}, s.carriers)
	open(f, huma.Operation{OperationID: "uncertain", Method: http.MethodGet, Path: "/v1/uncertain", Tags: []string{"gateway"},
		Summary: "Latest submits that had no answer, newest first"}, s.uncertain)
	operation(f, scopeOperator, huma.Operation{OperationID: "unmatched", Method: http.MethodGet, Path: "/v1/unmatched", Tags: []string{"gateway"},
		Summary: "Receipts that belong to no message", Errors: []int{http.StatusNotFound}}, s.unmatched)
	operation(f, scopeOperator, huma.Operation{OperationID: "held", Method: http.MethodPost, Path: "/v1/held/{id}/{do}", Tags: []string{"gateway"},
		Summary: "Decide about a message that `uncertain: hold` keeps", Errors: []int{http.StatusBadRequest, http.StatusConflict}}, s.held)
	operation(f, scopeOperator, huma.Operation{OperationID: "reload", Method: http.MethodPost, Path: "/v1/reload", Tags: []string{"gateway"},
		Summary: "Apply the changed configuration, all of it or nothing", Errors: []int{http.StatusUnprocessableEntity}}, s.reload)
	mux.HandleFunc("GET /{$}", s.index)
	if f.local {
		// Profiles show what the process is doing, message texts in memory included: for
		// its own user only.
		mux.Handle("GET /debug/pprof/", http.HandlerFunc(pprof.Index))
		mux.Handle("GET /debug/pprof/profile", http.HandlerFunc(pprof.Profile))
		mux.Handle("GET /debug/pprof/trace", http.HandlerFunc(pprof.Trace))
	}
}

func (s *Server) ready(context.Context, *none) (*textOutput, error) {
	if err := s.opt.Gateway.Ready(); err != nil {
		return &textOutput{Body: func(ctx huma.Context) {
			ctx.SetHeader("Content-Type", plainText)
			ctx.SetStatus(http.StatusServiceUnavailable)
			fmt.Fprintln(ctx.BodyWriter(), err)
		}}, nil
	}
	return writeText(plainText, func(w io.Writer) error { _, err := io.WriteString(w, "ready\n"); return err }), nil
}

type queueOutput struct{ Body []QueueRow }

func (s *Server) queue(context.Context, *none) (*queueOutput, error) {
	now := time.Now()
	rows := []QueueRow{}
	for _, q := range s.opt.Gateway.Waiting() {
		row := QueueRow{Carrier: q.Carrier, Class: q.Class.String(), Messages: q.Messages}
		if !q.Oldest.IsZero() {
			row.OldestSeconds = max(0, now.Sub(q.Oldest).Seconds())
		}
		rows = append(rows, row)
	}
	return &queueOutput{rows}, nil
}

type carriersOutput struct{ Body []CarrierRow }

func (s *Server) carriers(context.Context, *none) (*carriersOutput, error) {
	rows := []CarrierRow{}
	for _, c := range s.opt.Gateway.Carriers() {
		rows = append(rows, carrierRow(c))
	}
	return &carriersOutput{rows}, nil
}

type uncertainOutput struct{ Body []UncertainRow }

// uncertain lists the latest, newest first; masar_uncertain_total counts all.
func (s *Server) uncertain(context.Context, *none) (*uncertainOutput, error) {
	rows := []UncertainRow{}
	for _, u := range s.opt.Gateway.Uncertain() {
		rows = append(rows, UncertainRow{u.Message.String(), u.Carrier, u.Cause.String(), u.Policy.String(), u.At.UTC()})
	}
	return &uncertainOutput{rows}, nil
}

const unmatchedMost = 1000

type unmatchedInput struct {
	Carrier string `query:"carrier" doc:"its name"`
	From    string `query:"from" doc:"begin at this carrier's id"`
}

type unmatchedOutput struct{ Body []UnmatchedRow }

func (s *Server) unmatched(ctx context.Context, in *unmatchedInput) (*unmatchedOutput, error) {
	list, err := s.opt.Gateway.Unmatched(ctx, in.Carrier, in.From, unmatchedMost)
	switch {
	case errors.Is(err, gateway.ErrNoCarrier):
		return nil, problem(http.StatusNotFound, fmt.Sprintf("no carrier is called %q: GET /v1/unmatched?carrier=NAME", in.Carrier))
	case err != nil:
		return nil, err
	}
	rows := []UnmatchedRow{}
	for _, u := range list {
		rows = append(rows, UnmatchedRow{in.Carrier, u.CarrierID, u.Why, u.At.Time(), hex.EncodeToString(u.Raw)})
	}
	return &unmatchedOutput{rows}, nil
}

type heldInput struct {
	ID string `path:"id" doc:"message_id, 16 hex digits, as GET /v1/uncertain shows it"`
	Do string `path:"do" enum:"resend,end" doc:"resend: send it again; end: it ends as UNKNOWN"`
}

type heldOutput struct {
	Body struct {
		MessageID string `json:"message_id"`
		Done      string `json:"done"`
	}
}

func (s *Server) held(ctx context.Context, in *heldInput) (*heldOutput, error) {
	id, err := messageID(in.ID)
	if err != nil {
		return nil, err
	}
	if in.Do == "resend" {
		err = s.opt.Gateway.ResendHeld(ctx, id)
	} else {
		err = s.opt.Gateway.EndHeld(ctx, id)
	}
	switch {
	case errors.Is(err, gateway.ErrNotHeld):
		return nil, problem(http.StatusConflict, "the message is not held")
	case err != nil:
		return nil, err
	}
	out := new(heldOutput)
	out.Body.MessageID, out.Body.Done = id.String(), in.Do
	return out, nil
}

// messageID reads a message_id as the API writes it.
func messageID(s string) (queue.ID, error) {
	n, err := strconv.ParseUint(s, 16, 63)
	if err != nil {
		return 0, problem(http.StatusBadRequest, "a message_id has 16 hex digits", mistake("path.id", s, "is not 16 hex digits"))
	}
	return queue.ID(n), nil
}

func carrierRow(c gateway.CarrierView) CarrierRow {
	row := CarrierRow{Name: c.Name, Binds: c.Binds, Outstanding: c.Outstanding, Window: c.Window, Pace: c.Pace}
	if !c.DownSince.IsZero() {
		row.DownSeconds = time.Since(c.DownSince).Seconds()
	}
	return row
}

type reloadOutput struct {
	Body struct {
		Changes []string `json:"changes"`
	}
}

func (s *Server) reload(ctx context.Context, _ *none) (*reloadOutput, error) {
	changes, err := s.opt.Reload(ctx)
	if err != nil {
		return nil, problem(http.StatusUnprocessableEntity, err.Error())
	}
	out := new(reloadOutput)
	out.Body.Changes = changes
	return out, nil
}

func (s *Server) index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", plainText)
	io.WriteString(w, "masar: an SMPP gateway\n\n/metrics      Prometheus\n/healthz      the process runs\n/readyz       submits are taken\n/v1/queue     what waits, by carrier and class\n/v1/carriers  the carriers' binds, windows and pace\n/v1/drain     how long what waits takes to leave\n/v1/uncertain submits that had no answer\n/v1/unmatched receipts that belong to no message\n/openapi.json the whole API (/openapi.yaml)\n")
}
