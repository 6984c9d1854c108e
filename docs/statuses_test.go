package docs

import (
	"flag"
	"fmt"
	"os"
	"regexp"
	"strings"
	"testing"

	"masar/gateway"
	"masar/smpp/pdu"
)

var update = flag.Bool("update", false, "rewrite the tables of statuses.md")

// statusTables are the tables as the program has them, by their mark in statuses.md.
func statusTables() map[string]string {
	var refusals, answers, all strings.Builder
	refusals.WriteString("| result | status | when |\n|---|---|---|\n")
	gateway.Refusals(func(_ gateway.Refusal, st pdu.Status, label, rule string) {
		fmt.Fprintf(&refusals, "| `%s` | %s | %s |\n", label, st, rule)
	})
	answers.WriteString("| status | class |\n|---|---|\n")
	gateway.BuiltinAnswers(func(st pdu.Status, class gateway.AnswerClass) {
		fmt.Fprintf(&answers, "| %s | %s |\n", st, class)
	})
	all.WriteString("| number | status | meaning |\n|---|---|---|\n")
	for st, text := range pdu.Statuses() {
		fmt.Fprintf(&all, "| 0x%08x | %s | %s |\n", uint32(st), st, text)
	}
	return map[string]string{"refusals": refusals.String(), "answers": answers.String(), "statuses": all.String()}
}

var markedTable = regexp.MustCompile(`(?s)<!-- table: ([a-z]+) -->\n(.*?)<!-- end -->\n`)

// outdated are the marks whose table in the document is not the program's, and those that
// one of the two lacks.
func outdated(document string, tables map[string]string) []string {
	var all []string
	found := map[string]bool{}
	for _, m := range markedTable.FindAllStringSubmatch(document, -1) {
		found[m[1]] = true
		if want, known := tables[m[1]]; !known || want != m[2] {
			all = append(all, m[1])
		}
	}
	for name := range tables {
		if !found[name] {
			all = append(all, name+" is missing")
		}
	}
	return all
}

func TestStatusesAreDocumentedAsTheyAre(t *testing.T) {
	b, err := os.ReadFile("statuses.md")
	if err != nil {
		t.Fatal(err)
	}
	document, tables := string(b), statusTables()
	if *update {
		document = markedTable.ReplaceAllStringFunc(document, func(old string) string {
			name := markedTable.FindStringSubmatch(old)[1]
			return "<!-- table: " + name + " -->\n" + tables[name] + "<!-- end -->\n"
		})
		if err := os.WriteFile("statuses.md", []byte(document), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range outdated(document, tables) {
		t.Errorf("statuses.md: table %s (go test ./docs -update writes it anew)", name)
	}
	// What is written by hand names statuses that exist.
	for _, name := range regexp.MustCompile(`ESME_R[A-Z_]+`).FindAllString(document, -1) {
		if _, err := pdu.ParseStatus(name); err != nil {
			t.Errorf("statuses.md: %v", err)
		}
	}
}

func TestAnOutdatedTableIsNoticed(t *testing.T) {
	tables := map[string]string{"a": "| 1 |\n", "b": "| 2 |\n"}
	const right = "<!-- table: a -->\n| 1 |\n<!-- end -->\n<!-- table: b -->\n| 2 |\n<!-- end -->\n"
	if got := outdated(right, tables); len(got) > 0 {
		t.Errorf("right: %q", got)
	}
	for name, document := range map[string]string{
		"a row changed": strings.Replace(right, "| 1 |", "| 3 |", 1),
		"a row lost":    strings.Replace(right, "| 1 |\n", "", 1),
		"a table lost":  right[:strings.Index(right, "<!-- table: b")],
		"one too many":  right + "<!-- table: c -->\n<!-- end -->\n",
	} {
		if got := outdated(document, tables); len(got) != 1 {
			t.Errorf("%s: %q", name, got)
		}
	}
}
