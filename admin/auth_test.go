package admin

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

func TestWhoMayAsk(t *testing.T) {
	s := newSite(t)
	for _, row := range []struct {
		name, authorization, path string
		status                    int
		says                      []string
	}{
		{"no key", "", "/v1/subscribers?person=1", 401, []string{"a key is needed"}},
		{"another scheme", "Basic YTpi", "/v1/subscribers?person=1", 401, []string{"a key is needed"}},
		{"an unknown key", "Bearer nonsense", "/v1/subscribers?person=1", 401, []string{"unknown or has been revoked"}},
		{"a hash is no key", "Bearer " + HashKey(key("bank-a")).String(), "/v1/subscribers?person=1", 401, []string{"unknown"}},
		{"an expired key", "Bearer " + key("old"), "/v1/subscribers?person=1", 401, []string{"old", "expired", "2026-11-24"}},
		{"a key without the scope", "Bearer " + key("sender"), "/v1/subscribers?person=1", 403, []string{"sender", "lacks the scope read"}},
		{"a key", "Bearer " + key("bank-a"), "/v1/subscribers?person=1", 404, nil},
		{"the admin token", "Bearer " + adminToken, "/v1/subscribers?person=1", 404, nil},
		{"the operator's own is no key's", "Bearer " + key("portal"), "/v1/unmatched", 403, []string{"portal", "operator"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			s.t = t
			r := s.request(s.tcp, "GET", row.path, row.authorization, nil)
			r.wantProblem(row.status, row.says...)
			if row.status == 401 && r.header.Get("WWW-Authenticate") == "" {
				t.Error("no WWW-Authenticate")
			}
		})
	}
	s.t = t
	s.local("GET", "/v1/subscribers?person=1", nil).wantProblem(404)
	if strings.Contains(s.logged.String(), "nonsense") || !strings.Contains(s.logged.String(), "API key refused") {
		t.Errorf("logged:\n%s", s.logged)
	}
}

func TestEveryOperationNeedsItsScopes(t *testing.T) {
	s := newSite(t)
	// A key for each scope alone: it may only what asks for no other.
	var keys []APIKey
	for i, name := range scopeNames[:len(scopeNames)-1] {
		keys = append(keys, APIKey{Name: name, Hash: HashKey("only-" + name), Channel: "c", Scopes: 1 << i})
	}
	inForce, err := NewKeys(keys)
	if err != nil {
		t.Fatal(err)
	}
	s.o.Keys = func() *Keys { return inForce }
	s.o.Registerer = nil
	s.open()
	asked := 0
	eachOperation(served(t, s), func(method, path string, op anything) {
		var need []string
		open := true
		for _, one := range op["security"].([]any) {
			list, is := one.(anything)[security].([]any)
			open = open && !is
			for _, scope := range list {
				need = append(need, scope.(string))
			}
		}
		if open {
			return
		}
		path = strings.NewReplacer("{number}", number1, "{id}", strings.Repeat("0", 32), "{do}", "end", "{key}", "k", "{name}", "x").Replace(path)
		for _, k := range keys {
			r := s.request(s.tcp, strings.ToUpper(method), path, "Bearer only-"+k.Name, nil)
			enough := len(need) == 0 || len(need) == 1 && need[0] == k.Name
			if asked++; (r.status == http.StatusForbidden) == enough && !strings.Contains(string(r.body), "no account") {
				t.Errorf("%s %s needs %q: key %s was answered %d", method, path, need, k.Name, r.status)
			}
		}
	})
	if asked < 200 {
		t.Errorf("only %d questions", asked)
	}
}

func TestAReloadRevokesAKey(t *testing.T) {
	s := newSite(t)
	s.as("bank-a", "GET", "/v1/subscribers?person=1", nil).wantProblem(404)
	none, err := NewKeys(nil)
	if err != nil {
		t.Fatal(err)
	}
	s.server.api.door.keys = func() *Keys { return none }
	s.as("bank-a", "GET", "/v1/subscribers?person=1", nil).wantProblem(401, "revoked")
}

func TestWrongKeysAreLimitedAndRightOnesLetIn(t *testing.T) {
	s := newSite(t)
	for range wrongBurst {
		s.request(s.tcp, "GET", "/v1/services", "Bearer guess", nil).wantProblem(401)
	}
	r := s.request(s.tcp, "GET", "/v1/services", "Bearer guess", nil)
	r.wantProblem(429, "too many wrong keys")
	if r.header.Get("Retry-After") != "5" {
		t.Errorf("Retry-After %q", r.header.Get("Retry-After"))
	}
	s.as("portal", "GET", "/v1/services", nil).want(200)
	if n := strings.Count(s.logged.String(), "API key refused"); n != wrongBurst {
		t.Errorf("%d lines logged", n)
	}
	s.pass(5 * time.Second)
	s.request(s.tcp, "GET", "/v1/services", "Bearer guess", nil).wantProblem(401)
	if got := s.request(s.tcp, "GET", "/metrics", "", nil).body; !strings.Contains(string(got), fmt.Sprintf("masar_api_keys_refused_total %d", wrongBurst+2)) {
		t.Error("not counted")
	}
}

func TestKeysAreMadeAndRead(t *testing.T) {
	k, h := NewKey()
	other, _ := NewKey()
	if k == other || len(k) < 43 || HashKey(k) != h {
		t.Errorf("%q %q %v", k, other, h)
	}
	if again, err := ParseKeyHash(h.String()); err != nil || again != h {
		t.Errorf("%v %v", again, err)
	}
	for _, bad := range []string{"", "sha256:", "sha256:12", h.String()[7:], "md5:" + h.String()[7:], "sha256:" + strings.Repeat("g", 64)} {
		if _, err := ParseKeyHash(bad); err == nil {
			t.Errorf("%q was read", bad)
		}
	}
	if _, err := ParseScopes([]string{"enrol", "operator"}); err == nil || !strings.Contains(err.Error(), `"operator"`) {
		t.Errorf("a key may get the operator's scope: %v", err)
	}
	if sc, err := ParseScopes([]string{"enrol", "all-channels"}); err != nil || sc.String() != "enrol, all-channels" {
		t.Errorf("%v %v", sc, err)
	}
	for name, keys := range map[string][]APIKey{
		"no name":    {{Channel: "c"}},
		"no channel": {{Name: "n"}},
		"same name":  {{Name: "n", Channel: "c"}, {Name: "n", Channel: "d", Hash: h}},
		"same hash":  {{Name: "n", Channel: "c", Hash: h}, {Name: "m", Channel: "c", Hash: h}},
	} {
		if _, err := NewKeys(keys); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestTheOperatorsNamesAreNoKeys(t *testing.T) {
	for _, name := range []string{"admin", "cli", "cli:ali"} {
		if _, err := NewKeys([]APIKey{{Name: name, Channel: "c"}}); err == nil || !strings.Contains(err.Error(), "operator") {
			t.Errorf("a key may be called %s: %v", name, err)
		}
	}
	if sc, err := ParseScopes([]string{"reminders", "campaigns", "release", "halt"}); err != nil || sc.String() != "reminders, campaigns, release, halt" {
		t.Errorf("%v %v", sc, err)
	}
}
