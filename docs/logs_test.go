package docs

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

// alarms are the constant messages that a source logs at warn or error, or at a level it
// chooses as it goes.
func alarms(source string) ([]string, error) {
	file, err := parser.ParseFile(token.NewFileSet(), "source.go", source, 0)
	if err != nil {
		return nil, err
	}
	var all []string
	ast.Inspect(file, func(n ast.Node) bool {
		call, ok := n.(*ast.CallExpr)
		if !ok {
			return true
		}
		method, ok := call.Fun.(*ast.SelectorExpr)
		if !ok {
			return true
		}
		at := -1
		switch method.Sel.Name {
		case "Warn", "Error":
			at = 0
		case "Log", "LogAttrs":
			if len(call.Args) >= 3 && !isLevel(call.Args[1], "LevelInfo") && !isLevel(call.Args[1], "LevelDebug") {
				at = 2
			}
		}
		if at < 0 || len(call.Args) <= at {
			return true
		}
		if said, ok := call.Args[at].(*ast.BasicLit); ok && said.Kind == token.STRING {
			if text, err := strconv.Unquote(said.Value); err == nil {
				all = append(all, text)
			}
		}
		return true
	})
	return all, nil
}

func isLevel(e ast.Expr, name string) bool {
	s, ok := e.(*ast.SelectorExpr)
	return ok && s.Sel.Name == name
}

func TestEveryAlarmingLogLineIsExplained(t *testing.T) {
	operations, err := os.ReadFile("operations.md")
	if err != nil {
		t.Fatal(err)
	}
	explained := map[string]bool{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([^`]+)` \\| (?:warn|error|both) ").FindAllSubmatch(operations, -1) {
		explained[string(m[1])] = true
	}
	logged := map[string]bool{}
	for _, room := range []string{"cmd", "admin", "engine", "gateway", "jobs", "queue", "route", "service", "smpp"} {
		err := filepath.WalkDir(filepath.Join("..", room), func(path string, d fs.DirEntry, err error) error {
			if err == nil && d.IsDir() && (d.Name() == "queuetest" || d.Name() == "servicetest") {
				return fs.SkipDir // tests, told by testing.T
			}
			if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
				return err
			}
			source, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			said, err := alarms(string(source))
			for _, text := range said {
				logged[text] = true
				if !explained[text] {
					t.Errorf("%s logs %q, which docs/operations.md does not explain", path, text)
				}
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if len(logged) < 20 {
		t.Fatalf("only %d messages were found: %v", len(logged), logged)
	}
	for text := range explained {
		if !logged[text] {
			t.Errorf("docs/operations.md explains %q, which nothing logs", text)
		}
	}
}

func TestAlarmsAreFoundInASource(t *testing.T) {
	got, err := alarms(`package p
func f() {
	log.Warn("one", "a", 1)
	s.g.log.Error("two")
	log.Info("not this")
	log.LogAttrs(ctx, slog.LevelWarn, "three")
	log.LogAttrs(ctx, slog.LevelInfo, "nor this")
	log.Log(ctx, level, "four")
	log.Warn(text)
	err.Error()
}`)
	if want := []string{"one", "two", "three", "four"}; err != nil || !slices.Equal(got, want) {
		t.Errorf("%q %v, want %q", got, err, want)
	}
}
