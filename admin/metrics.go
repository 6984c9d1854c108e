package admin

import "github.com/prometheus/client_golang/prometheus"

// metrics are the API's own. Labels come from the table of operations and the statuses that
// they answer.
type metrics struct {
	requests  *prometheus.CounterVec   // operation, status
	seconds   *prometheus.HistogramVec // operation
	refused   prometheus.Counter
	forbidden prometheus.Counter
	codes     *prometheus.CounterVec // result
	bulkRows  *prometheus.CounterVec // kind, result
	bulkJobs  *prometheus.GaugeVec   // state
}

func newMetrics(r prometheus.Registerer) *metrics {
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "masar_api_requests_total", Help: "API requests by operation and HTTP status.",
		}, []string{"operation", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "masar_api_request_seconds", Help: "From an API request to the end of its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 5, 30},
		}, []string{"operation"}),
		refused: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "masar_api_keys_refused_total", Help: "API requests with a key that is unknown, revoked, expired or missing.",
		}),
		forbidden: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "masar_api_scope_refused_total", Help: "API requests with a key that lacks the scope.",
		}),
		codes: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "masar_api_codes_total", Help: "Codes that verify a number, by what became of them: sent, not_sent, verified, wrong.",
		}, []string{"result"}),
		bulkRows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "masar_bulk_rows_total", Help: "Rows of bulk files that are done, good or bad.",
		}, []string{"kind", "result"}),
		bulkJobs: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "masar_bulk_jobs", Help: "Bulk jobs by state.",
		}, []string{"state"}),
	}
	if r != nil {
		r.MustRegister(m.requests, m.seconds, m.refused, m.forbidden, m.codes, m.bulkRows, m.bulkJobs)
	}
	return m
}
