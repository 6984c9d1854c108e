package config

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// Whatever a file holds, Parse answers: a configuration or mistakes with a place, one a
// line, and never a panic. A reload must not take a running gateway down.
func FuzzParse(f *testing.F) {
	for _, pattern := range []string{"testdata/bad/*.yaml", "testdata/good/*.yaml", "../examples/*.yaml"} {
		paths, err := filepath.Glob(pattern)
		if err != nil {
			f.Fatal(err)
		}
		for _, p := range paths {
			data, err := os.ReadFile(p)
			if err != nil {
				f.Fatal(err)
			}
			f.Add(data)
		}
	}
	o := ParseOptions{StatusName: statusNames, Env: env(map[string]string{"A": "a"}),
		ReadFile: func(path string) ([]byte, fs.FileMode, error) {
			if strings.HasSuffix(path, "missing") {
				return nil, 0, fs.ErrNotExist
			}
			return []byte("secret\n"), 0o600, nil
		}}
	f.Fuzz(func(t *testing.T, data []byte) {
		start := time.Now()
		c, warnings, err := o.Parse("masar.yaml", data)
		if took := time.Since(start); took > 5*time.Second {
			t.Errorf("%d octets took %v", len(data), took)
		}
		for _, w := range warnings {
			if strings.ContainsAny(w.String(), "\n") {
				t.Errorf("a warning of two lines: %q", w)
			}
		}
		if err == nil {
			if got := Diff(c, c); len(got) != 0 {
				t.Errorf("differs from itself: %v", got)
			}
			return
		}
		var list Errors
		if c != nil || !errors.As(err, &list) || len(list) == 0 {
			t.Fatalf("config %v, error %v", c, err)
		}
		for _, m := range list {
			if m.Line < 1 || m.Column < 1 || m.Rule == "" || strings.ContainsAny(m.String(), "\n") {
				t.Errorf("%#v", m)
			}
		}
	})
}
