package main

import (
	"bytes"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"masar/config"
)

func TestPortedNumbersAreReadAgainOnlyWhenTheirFileHasChanged(t *testing.T) {
	file := filepath.Join(t.TempDir(), "ported.csv")
	write := func(rows string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(rows), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var said bytes.Buffer
	p := &ported{log: slog.New(slog.NewTextHandler(&said, nil))}
	c := &config.Config{Routes: []config.Route{{Name: "zain"}}}
	c.Ported.File = file

	for _, step := range []struct {
		name   string
		rows   string // empty: the file stays
		fails  bool
		loads  int // in all, as logged
		number string
	}{
		{"the first time", "966501000001,zain\n", false, 1, "966501000001"},
		{"unchanged", "", false, 1, "966501000001"},
		{"a row more", "966501000001,zain\n966501000002,zain\n", false, 2, "966501000002"},
		{"damaged", "966501000001,zain\n966501000002,zain\nx\n", true, 2, "966501000002"},
		{"still damaged, told once", "", false, 2, "966501000002"},
		{"mended", "966501000001,zain\n966501000002,zain\n966501000003,zain\n", false, 3, "966501000003"},
	} {
		if step.rows != "" {
			write(step.rows)
		}
		if err := p.refresh(c); (err != nil) != step.fails {
			t.Errorf("%s: refresh says %v", step.name, err)
		}
		if n := strings.Count(said.String(), "ported numbers loaded"); n != step.loads {
			t.Errorf("%s: read %d times in all, want %d", step.name, n, step.loads)
		}
		if _, ok := p.table.Load().Lookup(step.number); !ok {
			t.Errorf("%s: %s is not in the table", step.name, step.number)
		}
	}
}
