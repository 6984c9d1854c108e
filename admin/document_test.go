package admin

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

var update = flag.Bool("update", false, "rewrite testdata/paths.txt")

type anything = map[string]any

// served is the document that a listener serves.
func served(t *testing.T, s *site) anything {
	t.Helper()
	r := s.request(s.tcp, "GET", "/openapi.json", "", nil).want(200)
	if ct := r.header.Get("Content-Type"); ct != "application/json" {
		t.Errorf("Content-Type %q", ct)
	}
	var doc anything
	if err := json.Unmarshal(r.body, &doc); err != nil {
		t.Fatal(err)
	}
	return doc
}

var methods = []string{"get", "put", "post", "delete", "patch", "head", "options", "trace"}

// eachOperation calls f with each operation of a document.
func eachOperation(doc anything, f func(method, path string, op anything)) {
	paths := doc["paths"].(anything)
	for _, path := range slices.Sorted(maps.Keys(paths)) {
		item := paths[path].(anything)
		for _, method := range slices.Sorted(maps.Keys(item)) {
			if slices.Contains(methods, method) {
				f(method, path, item[method].(anything))
			}
		}
	}
}

// flaws is what is wrong with a document: the rules of OpenAPI 3.1 that a document made
// from code can break, and the house's own (a summary, a security, told errors).
func flaws(doc anything) []string {
	var all []string
	say := func(format string, args ...any) { all = append(all, fmt.Sprintf(format, args...)) }
	if v, _ := doc["openapi"].(string); !regexp.MustCompile(`^3\.1\.\d+$`).MatchString(v) {
		say("openapi is %q", v)
	}
	if info, _ := doc["info"].(anything); info["title"] == "" || info["version"] == "" || info == nil {
		say("info %v", doc["info"])
	}
	components, _ := doc["components"].(anything)
	schemes, _ := components["securitySchemes"].(anything)
	var walk func(at string, v any)
	walk = func(at string, v any) {
		switch v := v.(type) {
		case anything:
			if ref, is := v["$ref"].(string); is {
				if len(v) > 1 && !strings.Contains(at, "properties") {
					say("%s: $ref with siblings", at)
				}
				if resolve(doc, ref) == nil {
					say("%s: %s leads nowhere", at, ref)
				}
			}
			if _, is := v["nullable"]; is {
				say("%s: nullable is of 3.0", at)
			}
			for _, key := range slices.Sorted(maps.Keys(v)) {
				walk(at+"/"+key, v[key])
			}
		case []any:
			for i := range v {
				walk(fmt.Sprintf("%s/%d", at, i), v[i])
			}
		}
	}
	walk("#", doc)
	ids := map[string]bool{}
	tags := map[string]bool{}
	declared, _ := doc["tags"].([]any)
	for _, tag := range declared {
		tags[tag.(anything)["name"].(string)] = true
	}
	eachOperation(doc, func(method, path string, op anything) {
		at := method + " " + path
		id, _ := op["operationId"].(string)
		if id == "" || ids[id] {
			say("%s: operationId %q is empty or there twice", at, id)
		}
		ids[id] = true
		if s, _ := op["summary"].(string); s == "" {
			say("%s has no summary", at)
		}
		if named, _ := op["tags"].([]any); len(named) != 1 || !tags[named[0].(string)] {
			say("%s: tags %v", at, op["tags"])
		}
		security, _ := op["security"].([]any)
		if len(security) == 0 {
			say("%s has no security", at)
		}
		for _, one := range security {
			for name := range one.(anything) {
				if schemes[name] == nil {
					say("%s: no security scheme %q", at, name)
				}
			}
		}
		params := map[string]bool{}
		list, _ := op["parameters"].([]any)
		for _, p := range list {
			p := p.(anything)
			in, name := p["in"].(string), p["name"].(string)
			if params[in+" "+name] || p["schema"] == nil || !slices.Contains([]string{"path", "query", "header", "cookie"}, in) {
				say("%s: parameter %v", at, p)
			}
			params[in+" "+name] = true
			if in == "path" && p["required"] != true {
				say("%s: path parameter %s is not required", at, name)
			}
		}
		for _, m := range regexp.MustCompile(`\{([^}]+)\}`).FindAllStringSubmatch(path, -1) {
			if !params["path "+m[1]] {
				say("%s: {%s} is not described", at, m[1])
			}
		}
		if body, is := op["requestBody"].(anything); is {
			if len(body["content"].(anything)) == 0 {
				say("%s: its body has no content", at)
			}
			if r, _ := op["responses"].(anything); r["400"] == nil || r["413"] == nil {
				say("%s: a broken or too large body is not among its answers", at)
			}
		}
		good, bad := false, false
		responses, _ := op["responses"].(anything)
		for status, r := range responses {
			r := r.(anything)
			if d, _ := r["description"].(string); d == "" {
				say("%s: answer %s has no description", at, status)
			}
			switch status[0] {
			case '2':
				good = true
			case '4', '5':
				bad = true
				content, _ := r["content"].(anything)
				media, _ := content["application/problem+json"].(anything)
				schema, _ := media["schema"].(anything)
				if schema["$ref"] != schemaPrefix+"Problem" {
					say("%s: answer %s is no problem: %v", at, status, r)
				}
			default:
				say("%s: status %q", at, status)
			}
		}
		if !good || !bad {
			say("%s tells no success or no error", at)
		}
	})
	return all
}

func resolve(doc anything, ref string) any {
	path, local := strings.CutPrefix(ref, "#/")
	if !local {
		return nil
	}
	var v any = doc
	for step := range strings.SplitSeq(path, "/") {
		m, is := v.(anything)
		if !is {
			return nil
		}
		v = m[step]
	}
	return v
}

func TestTheDocumentIsSound(t *testing.T) {
	doc := served(t, newSite(t))
	for _, flaw := range flaws(doc) {
		t.Error(flaw)
	}
	n := 0
	eachOperation(doc, func(string, string, anything) { n++ })
	if n < 30 {
		t.Errorf("only %d operations", n)
	}
}

func TestFlawsOfADocumentAreFound(t *testing.T) {
	doc := served(t, newSite(t))
	paths := doc["paths"].(anything)
	enrol := paths["/v1/enrolments"].(anything)["post"].(anything)
	delete(enrol, "summary")
	enrol["security"] = []any{anything{"other": []any{}}}
	enrol["responses"] = anything{"200": anything{"description": "OK"}}
	paths["/v1/subscribers/{x}"] = anything{"get": anything{"operationId": "enrol", "summary": "s", "responses": anything{"404": anything{"description": "d"}}, "requestBody": anything{"content": anything{"a/b": anything{"schema": anything{"$ref": "#/components/schemas/Nowhere"}}}}}}
	doc["openapi"] = "3.0.3"
	found := strings.Join(flaws(doc), "\n")
	for _, want := range []string{"no summary", `no security scheme "other"`, "tells no success or no error", "there twice", "{x} is not described", "leads nowhere", "is no problem", "3.0.3", "has no security", "broken or too large body"} {
		if !strings.Contains(found, want) {
			t.Errorf("%q was not found in:\n%s", want, found)
		}
	}
}

// undocumented is what a listener serves and the API is not.
var undocumented = []string{"GET /openapi.json", "GET /openapi.yaml", "GET /{$}"}

func TestEveryRouteIsInTheDocument(t *testing.T) {
	s := newSite(t)
	mux := &recordingMux{ServeMux: http.NewServeMux()}
	s.server.api.newFace(mux, s.server, false)
	var want, got []string
	for _, p := range mux.patterns {
		if !slices.Contains(undocumented, p) {
			want = append(want, p)
		}
	}
	var golden strings.Builder
	eachOperation(served(t, s), func(method, path string, op anything) {
		got = append(got, strings.ToUpper(method)+" "+path)
		scopes := []string{}
		for _, one := range op["security"].([]any) {
			list, _ := one.(anything)[security].([]any)
			for _, scope := range list {
				scopes = append(scopes, scope.(string))
			}
			if one.(anything)[security] == nil {
				scopes = append(scopes, "(open)")
			}
		}
		fmt.Fprintf(&golden, "%-6s %-32s %-20s %s\n", strings.ToUpper(method), path, op["operationId"], strings.Join(scopes, " "))
	})
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(want, got) {
		t.Errorf("served     %q\ndocumented %q", want, got)
	}
	file := filepath.Join("testdata", "paths.txt")
	if *update {
		if err := os.WriteFile(file, []byte(golden.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	kept, err := os.ReadFile(file)
	if err != nil || string(kept) != golden.String() {
		t.Errorf("%s (go test ./admin -update writes it anew): %v\n%s", file, err, golden.String())
	}
}

func TestTheDocumentIsTheSameInYAML(t *testing.T) {
	s := newSite(t)
	r := s.request(s.tcp, "GET", "/openapi.yaml", "", nil).want(200)
	var fromYAML any
	if err := yaml.Unmarshal(r.body, &fromYAML); err != nil {
		t.Fatal(err)
	}
	b, err := json.Marshal(fromYAML)
	if err != nil {
		t.Fatal(err)
	}
	var again, want any
	if json.Unmarshal(b, &again) != nil || json.Unmarshal(s.request(s.tcp, "GET", "/openapi.json", "", nil).body, &want) != nil {
		t.Fatal("no JSON")
	}
	if fmt.Sprint(again) != fmt.Sprint(want) {
		t.Error("the YAML tells something else than the JSON")
	}
}

func TestNoPageLoadsScripts(t *testing.T) {
	s := newSite(t)
	for _, path := range []string{"/", "/docs", "/schemas/Problem.json"} {
		r := s.request(s.tcp, "GET", path, "", nil)
		if strings.Contains(string(r.body), "<script") || path != "/" && r.status != 404 {
			t.Errorf("%s: %d %s", path, r.status, r.body)
		}
	}
}
