package admin

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/pprof"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"masar/gateway"
	"masar/queue"
)

// QueueRow is one row of GET /v1/queue: what waits in one class for one carrier.
type QueueRow struct {
	Carrier       string  `json:"carrier"`
	Class         string  `json:"class"`
	Messages      int64   `json:"messages"`
	OldestSeconds float64 `json:"oldest_s"`
}

// CarrierRow is one row of GET /v1/carriers.
type CarrierRow struct {
	Name        string  `json:"carrier"`
	Binds       int     `json:"binds"`
	Outstanding int64   `json:"outstanding"`
	Window      int64   `json:"window"`
	Pace        float64 `json:"pace"`
	DownSeconds float64 `json:"down_s"`
}

// UncertainRow is one row of GET /v1/uncertain: a submit_sm that had no answer. The carrier
// may have taken it or not; policy is what its route says to do.
type UncertainRow struct {
	MessageID string    `json:"message_id"` // 16 hex digits
	Carrier   string    `json:"carrier"`
	Cause     string    `json:"cause"`  // timeout, session_ended, restart
	Policy    string    `json:"policy"` // resend, fail, hold
	At        time.Time `json:"at"`
}

// UnmatchedRow is one row of GET /v1/unmatched?carrier=NAME: a receipt that belongs to no
// message. from=ID begins at a carrier's id.
type UnmatchedRow struct {
	Carrier   string    `json:"carrier"`
	CarrierID string    `json:"carrier_id"`
	Why       string    `json:"why"`
	At        time.Time `json:"at"`
	DeliverSM string    `json:"deliver_sm"` // the body, in hex
}

// Problem is an error as the API tells it.
type Problem struct {
	Error string `json:"error"`
}

func (s *Server) routes(local bool) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.opt.Gatherer, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", s.ready)
	mux.HandleFunc("GET /v1/queue", s.queue)
	mux.HandleFunc("GET /v1/carriers", s.carriers)
	mux.HandleFunc("GET /v1/uncertain", s.uncertain)
	guarded := func(do http.HandlerFunc) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if !s.allowed(r, local) {
				answer(w, http.StatusUnauthorized, Problem{"a token is needed: Authorization: Bearer (admin.token_file)"})
				return
			}
			do(w, r)
		}
	}
	mux.HandleFunc("GET /v1/unmatched", guarded(s.unmatched)) // it shows numbers
	mux.HandleFunc("POST /v1/held/{id}/{do}", guarded(s.held))
	mux.HandleFunc("POST /v1/reload", guarded(s.reload))
	mux.HandleFunc("GET /{$}", s.index)
	if local {
		// Profiles show what the process is doing, message texts in memory included: for
		// its own user only.
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	return mux
}

func (s *Server) ready(w http.ResponseWriter, _ *http.Request) {
	if err := s.opt.Gateway.Ready(); err != nil {
		http.Error(w, err.Error(), http.StatusServiceUnavailable)
		return
	}
	io.WriteString(w, "ready\n")
}

func (s *Server) queue(w http.ResponseWriter, _ *http.Request) {
	now := time.Now()
	rows := []QueueRow{}
	for _, q := range s.opt.Gateway.Waiting() {
		row := QueueRow{Carrier: q.Carrier, Class: q.Class.String(), Messages: q.Messages}
		if !q.Oldest.IsZero() {
			row.OldestSeconds = max(0, now.Sub(q.Oldest).Seconds())
		}
		rows = append(rows, row)
	}
	answer(w, http.StatusOK, rows)
}

func (s *Server) carriers(w http.ResponseWriter, _ *http.Request) {
	rows := []CarrierRow{}
	for _, c := range s.opt.Gateway.Carriers() {
		rows = append(rows, carrierRow(c))
	}
	answer(w, http.StatusOK, rows)
}

// uncertain lists the latest, newest first; masar_uncertain_total counts all.
func (s *Server) uncertain(w http.ResponseWriter, _ *http.Request) {
	rows := []UncertainRow{}
	for _, u := range s.opt.Gateway.Uncertain() {
		rows = append(rows, UncertainRow{u.Message.String(), u.Carrier, u.Cause.String(), u.Policy.String(), u.At.UTC()})
	}
	answer(w, http.StatusOK, rows)
}

const unmatchedMost = 1000

func (s *Server) unmatched(w http.ResponseWriter, r *http.Request) {
	name := r.URL.Query().Get("carrier")
	list, err := s.opt.Gateway.Unmatched(r.Context(), name, r.URL.Query().Get("from"), unmatchedMost)
	switch {
	case errors.Is(err, gateway.ErrNoCarrier):
		answer(w, http.StatusNotFound, Problem{fmt.Sprintf("no carrier is called %q: GET /v1/unmatched?carrier=NAME", name)})
		return
	case err != nil:
		answer(w, http.StatusInternalServerError, Problem{err.Error()})
		return
	}
	rows := []UnmatchedRow{}
	for _, u := range list {
		rows = append(rows, UnmatchedRow{name, u.CarrierID, u.Why, u.At.Time(), hex.EncodeToString(u.Raw)})
	}
	answer(w, http.StatusOK, rows)
}

// held lets an operator decide about a message that `uncertain: hold` keeps: POST
// /v1/held/ID/resend sends it again, /v1/held/ID/end ends it as UNKNOWN.
func (s *Server) held(w http.ResponseWriter, r *http.Request) {
	n, err := strconv.ParseUint(r.PathValue("id"), 16, 63)
	if err != nil {
		answer(w, http.StatusBadRequest, Problem{"a message_id has 16 hex digits, as GET /v1/uncertain shows it"})
		return
	}
	switch r.PathValue("do") {
	case "resend":
		err = s.opt.Gateway.ResendHeld(r.Context(), queue.ID(n))
	case "end":
		err = s.opt.Gateway.EndHeld(r.Context(), queue.ID(n))
	default:
		answer(w, http.StatusNotFound, Problem{"resend or end"})
		return
	}
	switch {
	case errors.Is(err, gateway.ErrNotHeld):
		answer(w, http.StatusConflict, Problem{"the message is not held"})
	case err != nil:
		answer(w, http.StatusInternalServerError, Problem{err.Error()})
	default:
		answer(w, http.StatusOK, map[string]string{"message_id": queue.ID(n).String(), "done": r.PathValue("do")})
	}
}

func carrierRow(c gateway.CarrierView) CarrierRow {
	row := CarrierRow{Name: c.Name, Binds: c.Binds, Outstanding: c.Outstanding, Window: c.Window, Pace: c.Pace}
	if !c.DownSince.IsZero() {
		row.DownSeconds = time.Since(c.DownSince).Seconds()
	}
	return row
}

func (s *Server) reload(w http.ResponseWriter, r *http.Request) {
	changes, err := s.opt.Reload(r.Context())
	if err != nil {
		answer(w, http.StatusUnprocessableEntity, Problem{err.Error()})
		return
	}
	answer(w, http.StatusOK, map[string]any{"changes": changes})
}

func (s *Server) index(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	io.WriteString(w, "masar: an SMPP gateway\n\n/metrics      Prometheus\n/healthz      the process runs\n/readyz       submits are taken\n/v1/queue     what waits, by carrier and class\n/v1/carriers  the carriers' binds, windows and pace\n/v1/uncertain submits that had no answer\n/v1/unmatched receipts that belong to no message\n")
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.Encode(v)
}
