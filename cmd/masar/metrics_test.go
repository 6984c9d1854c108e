package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

// registered are the names of every metric a running gateway has registered, those
// without a value yet included.
func registered(t *testing.T) map[string]string {
	t.Helper()
	path, _, _ := newDemoConfig(t)
	more, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	services := filepath.Join(t.TempDir(), "catalogue.yaml")
	if err := os.WriteFile(services, []byte(keyCatalogue), 0o600); err != nil {
		t.Fatal(err)
	}
	// A plain gateway has no registry, and without a catalogue no reminders and no campaigns.
	fmt.Fprintf(more, "\nsubscribers: {dir: %q}\ncatalogue: %q\n", filepath.Join(t.TempDir(), "people"), services)
	if err := more.Close(); err != nil {
		t.Fatal(err)
	}
	d, _, err := newDaemon(path, t.Output())
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]string{}
	ctx, cancel := context.WithCancel(t.Context())
	d.started = func() {
		defer cancel()
		descs := make(chan *prometheus.Desc)
		go func() { d.registry.Describe(descs); close(descs) }()
		said := regexp.MustCompile(`fqName: "([^"]+)", help: "([^"]*)"`)
		for desc := range descs {
			m := said.FindStringSubmatch(desc.String())
			if m == nil {
				t.Errorf("a metric that does not tell its name: %s", desc)
				continue
			}
			names[m[1]] = m[2]
		}
	}
	if err := d.run(ctx); err != nil {
		t.Fatal(err)
	}
	return names
}

var metricName = regexp.MustCompile(`\bmasar_[A-Za-z0-9_]*[a-z0-9]`)

func TestEveryMetricIsDocumentedAndEveryDocumentedOneExists(t *testing.T) {
	have := registered(t)
	ours := 0
	wellMade := regexp.MustCompile(`^(masar(_[a-z0-9]+)+|(go|process)_.*)$`)
	for name, help := range have {
		if !wellMade.MatchString(name) || help == "" {
			t.Errorf("metric %q, help %q: lower-case words, and a help text", name, help)
		}
		if metricName.MatchString(name) {
			ours++
		}
	}
	if ours < 30 {
		t.Fatalf("only %d metrics of ours are registered: %v", ours, have)
	}
	operations, err := os.ReadFile("../../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `(masar_[a-z0-9_]+)").FindAllSubmatch(operations, -1) {
		rows[string(m[1])] = true
	}
	for name := range have {
		if metricName.MatchString(name) && !rows[name] {
			t.Errorf("docs/operations.md has no row for %s (%s)", name, have[name])
		}
	}
	documents, err := filepath.Glob("../../docs/*.md")
	if err != nil || len(documents) < 4 {
		t.Fatal(documents, err)
	}
	for _, path := range append(documents, "../../README.md") {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		named := metricName.FindAllString(string(text), -1)
		slices.Sort(named)
		for _, name := range slices.Compact(named) {
			base := regexp.MustCompile(`_(bucket|sum|count)$`).ReplaceAllString(name, "")
			if have[name] == "" && have[base] == "" {
				t.Errorf("%s names %s, which is not registered", filepath.Base(path), name)
			}
		}
	}
}
