package admin

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/pprof"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"

	"masar/gateway"
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
	mux.HandleFunc("POST /v1/reload", func(w http.ResponseWriter, r *http.Request) {
		if !s.allowed(r, local) {
			answer(w, http.StatusUnauthorized, Problem{"a token is needed: Authorization: Bearer (admin.token_file)"})
			return
		}
		s.reload(w, r)
	})
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
	io.WriteString(w, "masar: an SMPP gateway\n\n/metrics      Prometheus\n/healthz      the process runs\n/readyz       submits are taken\n/v1/queue     what waits, by carrier and class\n/v1/carriers  the carriers' binds, windows and pace\n/v1/uncertain submits that had no answer\n")
}

func answer(w http.ResponseWriter, status int, v any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	enc := json.NewEncoder(w)
	enc.SetIndent("", "  ")
	enc.Encode(v)
}
