package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"masar/admin"
)

// apiFlags say how a command reaches the running gateway.
type apiFlags struct {
	data  string
	url   string
	token string
	as    string // who asks, of the commands that a second person has to confirm
}

func (f *apiFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.data, "data", "./var/masar", "the gateway's data folder, for its admin.sock")
	cmd.Flags().StringVar(&f.url, "api", "", "http://HOST:PORT of a gateway elsewhere")
	// The environment is read where the token is used: as the flag's default it would be
	// printed by --help.
	cmd.Flags().StringVar(&f.token, "token", "", "token or key of --api (or MASAR_TOKEN)")
}

// registerAs is register for commands whose deeds are somebody's.
func (f *apiFlags) registerAs(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.as, "as", "", "your name, where several use one login (default the login's)")
	f.register(cmd)
}

// user is who asks over the socket file; over HTTP the key says it.
func (f *apiFlags) user() (string, error) {
	switch {
	case f.as != "" && f.url != "":
		return "", usagef("--as is of the socket file alone: over --api the key says who you are")
	case f.url != "":
		return "", nil
	case f.as != "":
		return f.as, nil
	}
	return operator(), nil
}

// apiRequest is one call of the API.
type apiRequest struct {
	method, path string
	body         io.Reader // nil: none
	contentType  string    // of body
	unbounded    bool      // no limit on how long it may take: files
}

// call asks the running gateway and reads its answer into out.
func (f *apiFlags) call(ctx context.Context, method, path string, out any) error {
	return f.do(ctx, apiRequest{method: method, path: path}, out)
}

// send is call with a body, in JSON; out may be nil.
func (f *apiFlags) send(ctx context.Context, method, path string, in, out any) error {
	b, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return f.do(ctx, apiRequest{method: method, path: path, body: bytes.NewReader(b), contentType: "application/json"}, out)
}

// sendSlowly is send without a limit on how long the answer takes: the gateway may have to
// look through its whole queue.
func (f *apiFlags) sendSlowly(ctx context.Context, method, path string, in, out any) error {
	b, err := json.Marshal(in)
	if err != nil {
		return err
	}
	return f.do(ctx, apiRequest{method: method, path: path, body: bytes.NewReader(b), contentType: "application/json", unbounded: true}, out)
}

func (f *apiFlags) do(ctx context.Context, r apiRequest, out any) error {
	resp, err := f.open(ctx, r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if out == nil || resp.StatusCode == http.StatusNoContent {
		_, err = io.Copy(io.Discard, resp.Body)
		return err
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

// open makes the request and returns the answer, whose body the caller closes. What the
// gateway refuses is an *apiError.
func (f *apiFlags) open(ctx context.Context, r apiRequest) (*http.Response, error) {
	base, client := strings.TrimSuffix(f.url, "/"), &http.Client{Timeout: time.Minute}
	if r.unbounded {
		client.Timeout = 0
	}
	if base != "" && !strings.Contains(base, "://") {
		base = "http://" + base
	}
	if base == "" {
		base = "http://gateway"
		socket := filepath.Join(f.data, admin.SocketName)
		client.Transport = &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return admin.DialSocket(ctx, socket)
		}}
	}
	req, err := http.NewRequestWithContext(ctx, r.method, base+r.path, r.body)
	if err != nil {
		return nil, usagef("--api %s: %v", f.url, err)
	}
	if r.body != nil {
		req.Header.Set("Content-Type", r.contentType)
	}
	if r.method == http.MethodPost {
		// The transport may send a request again whose connection broke before its answer.
		req.Header.Set("Idempotency-Key", rand.Text())
	}
	user, err := f.user()
	if err != nil {
		return nil, err
	}
	if user != "" {
		req.Header.Set(admin.UserHeader, user)
	}
	token := f.token
	if token == "" {
		token = os.Getenv("MASAR_TOKEN")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	resp, err := client.Do(req)
	if err != nil {
		return nil, f.unreachable(err)
	}
	if resp.StatusCode < 300 {
		return resp, nil
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusUnauthorized {
		return nil, fmt.Errorf("%s refuses this without its token: give the first line of its admin.token_file, or an API key, with --token or MASAR_TOKEN; "+
			"without a token_file this can be done on its own machine alone, with --data", f.url)
	}
	return nil, refusal(resp)
}

// apiError is what the gateway answers to what it will not do.
type apiError struct {
	Status int // of HTTP
	says   string
}

func (e *apiError) Error() string { return e.says }

// refusal reads the answer, which is problem+json or, of the older paths, {"error": ...}.
func refusal(resp *http.Response) *apiError {
	var p struct {
		Error  string `json:"error"`
		Title  string `json:"title"`
		Detail string `json:"detail"`
		Errors []struct {
			Message  string `json:"message"`
			Location string `json:"location"`
			Value    any    `json:"value"`
		} `json:"errors"`
	}
	json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&p)
	e := &apiError{Status: resp.StatusCode}
	var says []string
	for _, one := range p.Errors {
		rule, at := one.Message, strings.TrimPrefix(strings.TrimPrefix(one.Location, "body."), "query.")
		if v, is := one.Value.(string); is && v != "" && !strings.Contains(rule, v) {
			rule = strconv.Quote(v) + " " + rule
		}
		if at != "" && at != "body" && !strings.Contains(rule, at) {
			rule = at + ": " + rule
		}
		says = append(says, rule)
	}
	switch {
	case len(says) > 0:
		e.says = strings.Join(says, "; ")
		if p.Detail != "" && p.Detail != "validation failed" {
			e.says = p.Detail + ": " + e.says // the rule alone may be a bare status
		}
	case p.Error != "":
		e.says = p.Error
	case p.Detail != "":
		e.says = p.Detail
	case p.Title != "":
		e.says = p.Title
	default:
		e.says = resp.Status
	}
	e.says = whereItIs.ReplaceAllString(e.says, "")
	return e
}

// whereItIs is what an answer says to a program; who types commands looks with those.
var whereItIs = regexp.MustCompile(`: GET /v1/[a-z/{}]+$`)

// unreachable says what runs and what does not, and the next command.
func (f *apiFlags) unreachable(err error) error {
	switch {
	case f.url != "":
		return fmt.Errorf("no gateway answers at %s: %w", f.url, err)
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no gateway runs on the data folder %s; start one with: masar serve --config FILE, or name its folder with --data", f.data)
	case errors.Is(err, os.ErrPermission):
		return fmt.Errorf("%s may only be used by the user the gateway runs as: %w", filepath.Join(f.data, admin.SocketName), err)
	}
	return err
}
