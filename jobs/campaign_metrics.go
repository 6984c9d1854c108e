package jobs

import (
	"github.com/prometheus/client_golang/prometheus"

	"masar/service/campaign"
)

// campaignMetrics count what campaigns do. What is a state's is asked when the metrics are
// read.
type campaignMetrics struct {
	rows                              *prometheus.CounterVec
	accepted, refused, ended, checked prometheus.Counter
	campaigns, messages               *prometheus.GaugeVec
	registerer                        prometheus.Registerer
	state                             stateCollector
}

// stateCollector sets the gauges before they are read.
type stateCollector struct {
	c *Campaigns
	m *campaignMetrics
}

func newCampaignMetrics(r prometheus.Registerer, c *Campaigns) *campaignMetrics {
	m := &campaignMetrics{
		rows: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "masar_campaign_rows_total", Help: "Rows of campaigns by what became of them: checked, accepted, refused, ended.",
		}, []string{"result"}),
		campaigns: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "masar_campaigns", Help: "Campaigns by state.",
		}, []string{"state"}),
		messages: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "masar_campaign_rows", Help: "Rows of running and paused campaigns: left (not handed over yet), waiting (accepted and not ended).",
		}, []string{"where"}),
		registerer: r,
	}
	m.accepted, m.refused = m.rows.WithLabelValues("accepted"), m.rows.WithLabelValues("refused")
	m.ended, m.checked = m.rows.WithLabelValues("ended"), m.rows.WithLabelValues("checked")
	m.state = stateCollector{c, m}
	if r != nil {
		r.MustRegister(m.rows, m.state)
	}
	return m
}

func (m *campaignMetrics) unregister() {
	if m.registerer != nil {
		m.registerer.Unregister(m.rows)
		m.registerer.Unregister(m.state)
	}
}

// handed counts what a batch has added.
func (m *campaignMetrics) handed(was, now *campaign.Counts) {
	m.accepted.Add(float64(max(0, now.Accepted-was.Accepted)))
	m.refused.Add(float64(max(0, now.Refused-was.Refused)))
}

func (s stateCollector) Describe(ch chan<- *prometheus.Desc) {
	s.m.campaigns.Describe(ch)
	s.m.messages.Describe(ch)
}

func (s stateCollector) Collect(ch chan<- prometheus.Metric) {
	n := make([]int, len(campaign.States()))
	left, waiting := int64(0), int64(0)
	for _, k := range s.c.store.All() {
		n[k.State]++
		if k.State == campaign.Running || k.State == campaign.Paused {
			left += k.Counts.Left
			waiting += k.Counts.Waiting
		}
	}
	for state, name := range campaign.States() {
		s.m.campaigns.WithLabelValues(name).Set(float64(n[state]))
	}
	s.m.messages.WithLabelValues("left").Set(float64(left))
	s.m.messages.WithLabelValues("waiting").Set(float64(waiting))
	s.m.campaigns.Collect(ch)
	s.m.messages.Collect(ch)
}
