package main

import (
	"log/slog"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"masar/config"
	"masar/route"
)

// ported holds the table of ported numbers that is in use, and is its Collector.
type ported struct {
	log   *slog.Logger
	table atomic.Pointer[route.Overrides]
}

var (
	portedAge  = prometheus.NewDesc("masar_ported_age_seconds", "age of the ported-number file in use", nil, nil)
	portedRows = prometheus.NewDesc("masar_ported_numbers", "numbers in the ported-number table", nil, nil)
)

// prepare reads the files into a new table; nil where none is configured.
func (p *ported) prepare(c *config.Ported) (*route.Overrides, error) {
	if c.File == "" {
		return nil, nil
	}
	return route.LoadOverrides(c.File, c.Deltas, p.table.Load(), route.OverrideOptions{MaxShrink: float64(c.MaxShrink)})
}

func (p *ported) swap(t *route.Overrides) { p.table.Store(t) }

func (p *ported) load(c *config.Ported) error {
	t, err := p.prepare(c)
	if err != nil {
		return err
	}
	p.swap(t)
	if t != nil {
		p.log.Info("ported numbers loaded", slog.Int("numbers", t.Len()), slog.String("file", c.File))
	}
	return nil
}

// lookup is the gateway's question; nil where no file is configured, which costs nothing.
func (p *ported) lookup(c *config.Ported) func(string) (string, bool) {
	if c.File == "" {
		return nil
	}
	return func(number string) (string, bool) {
		t := p.table.Load()
		if t == nil {
			return "", false
		}
		return t.Lookup(number)
	}
}

// Describe implements prometheus.Collector.
func (p *ported) Describe(ch chan<- *prometheus.Desc) { ch <- portedAge; ch <- portedRows }

// Collect implements prometheus.Collector.
func (p *ported) Collect(ch chan<- prometheus.Metric) {
	t := p.table.Load()
	if t == nil {
		return
	}
	ch <- prometheus.MustNewConstMetric(portedAge, prometheus.GaugeValue, t.Age(time.Now()).Seconds())
	ch <- prometheus.MustNewConstMetric(portedRows, prometheus.GaugeValue, float64(t.Len()))
}
