package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
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
}

func (f *apiFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.data, "data", "./var/masar", "the gateway's data folder, for its admin.sock")
	cmd.Flags().StringVar(&f.url, "api", "", "http://HOST:PORT of a gateway elsewhere")
	// The environment is read where the token is used: as the flag's default it would be
	// printed by --help.
	cmd.Flags().StringVar(&f.token, "token", "", "token of --api (or MASAR_TOKEN)")
}

// call asks the running gateway and reads its answer into out.
func (f *apiFlags) call(ctx context.Context, method, path string, out any) error {
	base, client := strings.TrimSuffix(f.url, "/"), &http.Client{Timeout: time.Minute}
	if base != "" && !strings.Contains(base, "://") {
		base = "http://" + base
	}
	if base == "" {
		base = "http://gateway"
		socket := filepath.Join(f.data, admin.SocketName)
		client.Transport = &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return admin.DialSocket(ctx, socket)
		}}
	}
	req, err := http.NewRequestWithContext(ctx, method, base+path, nil)
	if err != nil {
		return usagef("--api %s: %v", f.url, err)
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
		return f.unreachable(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		var p admin.Problem
		if json.NewDecoder(io.LimitReader(resp.Body, 1<<20)).Decode(&p) != nil || p.Error == "" {
			p.Error = resp.Status
		}
		if resp.StatusCode == http.StatusUnauthorized {
			return fmt.Errorf("%s refuses this without its token: give the first line of its admin.token_file with --token or MASAR_TOKEN; "+
				"without a token_file this can be done on its own machine alone, with --data", f.url)
		}
		return refusedError(p.Error)
	}
	return json.NewDecoder(resp.Body).Decode(out)
}

// refusedError is what the gateway answers to what it will not do.
type refusedError string

func (e refusedError) Error() string { return string(e) }

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
