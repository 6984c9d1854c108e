package config

import (
	"errors"
	"flag"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write what is printed into the .want files and docs/config.md; read the difference before it is committed")

// Each broken configuration lies beside the whole of what masar check says about it.
func TestEveryBrokenConfigSaysWhatIsWrong(t *testing.T) {
	bad, err := filepath.Glob("testdata/bad/*.yaml")
	if err != nil || len(bad) < 140 {
		t.Fatalf("%d broken configs, %v; there were 140 and more", len(bad), err)
	}
	o := ParseOptions{StatusName: statusNames, Env: env(nil)}
	line := regexp.MustCompile(`^(catalogue/)?[a-z0-9.-]+\.yaml:\d+:\d+: `)
	for _, path := range bad {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(name, func(t *testing.T) {
			data, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			// The folder is testdata/bad, and the messages begin with the bare name.
			t.Chdir("testdata/bad")
			c, _, err := o.Parse(name+".yaml", data)
			if err == nil || c != nil {
				t.Fatal("it loads")
			}
			var list Errors
			if !errors.As(err, &list) || len(list) == 0 {
				t.Fatalf("not a list of mistakes: %v", err)
			}
			got := err.Error() + "\n"
			for _, l := range strings.Split(err.Error(), "\n") {
				if !line.MatchString(l) {
					t.Errorf("no place in front: %s", l)
				}
			}
			if strings.Contains(got, "hunter2") {
				t.Errorf("the message shows the secret:\n%s", got)
			}
			if *update {
				if err := os.WriteFile(name+".want", []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(name + ".want")
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("it says\n%sand should say\n%s", got, want)
			}
		})
	}
}

// governed is a configuration that is right, around a catalogue of the name that stands for
// CATALOGUE.
const governed = `listen: [{addr: "127.0.0.1:2775"}]
catalogue: CATALOGUE
accounts:
  - {system_id: acme, password_hash: "$2a$10$...", agency: civil-affairs}
carriers: [{name: stc, addr: "127.0.0.1:2801", system_id: masar, password: secret}]
routes: [{carriers: [stc]}]
subscribers: {account: acme, code: {service: OTPEN}}
`

// Each broken catalogue lies beside the whole of what masar check says about it, below a
// configuration that has no mistake of its own.
func TestEveryBrokenCatalogueSaysWhatIsWrong(t *testing.T) {
	bad, err := filepath.Glob("testdata/bad-catalogue/*.yaml")
	if err != nil || len(bad) < 25 {
		t.Fatalf("%d broken catalogues, %v; there were 25 and more", len(bad), err)
	}
	for _, path := range bad {
		name := strings.TrimSuffix(filepath.Base(path), ".yaml")
		t.Run(name, func(t *testing.T) {
			t.Chdir("testdata/bad-catalogue")
			c, _, err := ParseOptions{}.Parse("masar.yaml", []byte(strings.Replace(governed, "CATALOGUE", name+".yaml", 1)))
			if err == nil || c != nil {
				t.Fatal("it loads")
			}
			for _, l := range strings.Split(err.Error(), "\n") {
				if !strings.HasPrefix(l, name+".yaml:") && !strings.HasPrefix(l, "masar.yaml:") {
					t.Errorf("no place in front: %s", l)
				}
			}
			got := err.Error() + "\n"
			if *update {
				if err := os.WriteFile(name+".want", []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(name + ".want")
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("it says\n%sand should say\n%s", got, want)
			}
		})
	}
}

func TestNoExpectedMessageIsLeftWithoutItsConfig(t *testing.T) {
	wants, err := filepath.Glob("testdata/bad*/*.want")
	if err != nil {
		t.Fatal(err)
	}
	for _, w := range wants {
		if _, err := os.Stat(strings.TrimSuffix(w, ".want") + ".yaml"); err != nil {
			t.Error(err)
		}
	}
}
