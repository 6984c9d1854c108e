package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"masar/admin"
)

// standIn answers the API's requests on a socket file with what a test says, and keeps what
// it was asked.
type standIn struct {
	data string // the folder its socket file is in

	mu      sync.Mutex
	answers map[string][]any // by "METHOD /path"; of several each once, the last for ever
	asked   []string
}

// refusedAs is an answer that is a refusal.
type refusedAs struct {
	status int
	detail string
}

func newStandIn(t *testing.T, answers map[string][]any) *standIn {
	t.Helper()
	// As of a reader in Riyadh: what is printed has moments in it.
	zone := here
	here = time.FixedZone("AST", 3*60*60)
	t.Cleanup(func() { here = zone })
	dir, err := os.MkdirTemp("", "masar-") // short: a socket's path has a limit
	if err != nil {
		t.Fatal(err)
	}
	s := &standIn{data: dir, answers: answers}
	l, err := net.Listen("unix", filepath.Join(dir, admin.SocketName))
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: s}
	go srv.Serve(l)
	t.Cleanup(func() {
		srv.Close()
		os.RemoveAll(dir)
	})
	return s
}

func (s *standIn) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	says := r.Method + " " + r.URL.RequestURI()
	if u := r.Header.Get(admin.UserHeader); u != operator() {
		says += " as " + u
	}
	if len(body) > 0 && string(body) != "null" {
		says += " " + strings.ReplaceAll(strings.TrimSpace(string(body)), fmt.Sprintf("%q", operator()), `"ME"`)
	}
	s.asked = append(s.asked, strings.ReplaceAll(says, "by="+operator(), "by=ME"))
	key := r.Method + " " + r.URL.Path
	list := s.answers[key]
	if len(list) == 0 {
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintf(w, `{"detail": "the test has no answer to %s"}`, key)
		return
	}
	if len(list) > 1 {
		s.answers[key] = list[1:]
	}
	switch a := list[0].(type) {
	case refusedAs:
		w.Header().Set("Content-Type", "application/problem+json")
		w.WriteHeader(a.status)
		json.NewEncoder(w).Encode(map[string]string{"detail": a.detail})
	case string:
		io.WriteString(w, a)
	case nil:
		w.WriteHeader(http.StatusNoContent)
	default:
		json.NewEncoder(w).Encode(a)
	}
}

// told is what it was asked so far, one request a line.
func (s *standIn) told() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	out := strings.Join(s.asked, "\n")
	s.asked = nil
	return out
}

// run is masar with these arguments on the socket file.
func (s *standIn) run(t *testing.T, args string) result {
	t.Helper()
	return masar(t, "", append(words(args), "--data", s.data)...)
}

// words cuts a command line at its blanks, but for those in quotes.
func words(line string) []string {
	var out []string
	for i, part := range strings.Split(line, `"`) {
		if i%2 == 1 {
			out = append(out, part)
		} else {
			out = append(out, strings.Fields(part)...)
		}
	}
	return out
}
