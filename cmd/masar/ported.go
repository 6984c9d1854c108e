package main

import (
	"fmt"
	"log/slog"
	"os"
	"slices"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"masar/config"
	"masar/route"
)

// fileState is what tells a file that was changed from one that was not.
type fileState struct {
	name string
	size int64
	mod  time.Time
}

// ported holds the table of ported numbers that is in use, and is its Collector.
type ported struct {
	log   *slog.Logger
	table atomic.Pointer[route.Overrides]
	seen  []fileState // the files as they were when refresh last read them; its caller's lock
}

var (
	portedAge  = prometheus.NewDesc("masar_ported_age_seconds", "age of the ported-number file in use", nil, nil)
	portedRows = prometheus.NewDesc("masar_ported_numbers", "numbers in the ported-number table", nil, nil)
)

// prepare reads the files into a new table; nil where none is configured. A row may only
// name a route of the same configuration: at run time a name that leads nowhere would let
// the number go by its prefix, to the operator it has left.
func (p *ported) prepare(c *config.Config) (*route.Overrides, error) {
	if c.Ported.File == "" {
		return nil, nil
	}
	names := map[string]bool{}
	for i := range c.Routes {
		names[c.Routes[i].Name] = true
	}
	t, err := route.LoadOverrides(c.Ported.File, c.Ported.Deltas, p.table.Load(), route.OverrideOptions{
		MaxShrink: float64(given(c.Ported.MaxShrink)),
		Known:     func(name string) bool { return name != "" && names[name] },
	})
	if err != nil {
		return nil, fmt.Errorf("ported: %w", err)
	}
	return t, nil
}

func (p *ported) swap(t *route.Overrides) { p.table.Store(t) }

func (p *ported) load(c *config.Config) error {
	t, err := p.prepare(c)
	if err != nil {
		return err
	}
	p.swap(t)
	if t != nil {
		p.log.Info("ported numbers loaded", slog.Int("numbers", t.Len()), slog.String("file", c.Ported.File))
	}
	return nil
}

// refresh reads the files again if they are not what it last read, mended or not: millions
// of rows are not parsed, and a mistake is not told, each time the clock strikes.
func (p *ported) refresh(c *config.Config) error {
	now := portedFiles(c)
	if slices.Equal(now, p.seen) {
		return nil
	}
	p.seen = now // taken before they are read: a later change is seen the next time
	return p.load(c)
}

// portedFiles is the state of each file.
func portedFiles(c *config.Config) []fileState {
	var out []fileState
	for _, name := range append([]string{c.Ported.File}, c.Ported.Deltas...) {
		out = append(out, stateOf(name))
	}
	return out
}

// stateOf is a file's state now; a file that cannot be looked at has size -1.
func stateOf(name string) fileState {
	f := fileState{name: name, size: -1}
	if info, err := os.Stat(name); err == nil {
		f.size, f.mod = info.Size(), info.ModTime()
	}
	return f
}

// lookup is the gateway's question; nil where no file is configured, which costs nothing.
func (p *ported) lookup(c *config.Config) func(string) (string, bool) {
	if c.Ported.File == "" {
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
