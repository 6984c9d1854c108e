package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"masar/admin"
	"masar/smpp/smpptest"
)

// demoSocket is where masar demo is told what its simulated handsets write, in the data
// folder.
const demoSocket = "demo.sock"

// written is one message that a handset sends.
type written struct {
	From    string `json:"from"`
	To      string `json:"to"`
	Text    string `json:"text"`
	Carrier string `json:"carrier,omitempty"` // empty: the first
}

func newMO() *cobra.Command {
	var m written
	var data string
	cmd := &cobra.Command{
		Use:   "mo --from NUMBER TEXT",
		Short: "Write to the gateway's short code from a handset of the demonstration",
		Long: `Makes a simulated carrier of masar demo (make run) deliver what somebody wrote on his
handset to a short code: a keyword to enrol or withdraw, or an answer for an account. What
the gateway answers is a line in the demonstration's terminal.`,
		Example: `  masar mo --from 966501234567 "اشتراك LOGIN"
  masar mo --from 966501234567 STOP`,
		GroupID: groupPeers,
		RunE: func(cmd *cobra.Command, args []string) error {
			if len(args) != 1 {
				return usagef("write one text, in quotes where it has blanks: masar mo --from 966501234567 \"اشتراك LOGIN\"")
			}
			if m.From == "" {
				return usagef("--from is missing: the handset's number, as 966501234567")
			}
			m.Text = args[0]
			if err := tellDemo(cmd.Context(), data, m); err != nil {
				return err
			}
			_, err := fmt.Fprintf(cmd.OutOrStdout(), "the gateway has %s from %s to %s\n", quoteText(m.Text), m.From, m.To)
			return err
		},
	}
	f := cmd.Flags()
	f.SortFlags = false
	f.StringVar(&m.From, "from", "", "the handset's number")
	f.StringVar(&m.To, "to", "1090", "the short code")
	f.StringVar(&m.Carrier, "carrier", "", "through this carrier (default the first)")
	f.StringVar(&data, "data", "./var/masar", "the demonstration's data folder, for its "+demoSocket)
	return cmd
}

func tellDemo(ctx context.Context, data string, m written) error {
	socket := filepath.Join(data, demoSocket)
	client := &http.Client{Timeout: 30 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return admin.DialSocket(ctx, socket)
		}}}
	b, err := json.Marshal(m)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://demo/mo", bytes.NewReader(b))
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	switch {
	case errors.Is(err, os.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no demonstration runs on the data folder %s: make run starts one; elsewhere masar sim --mo-text writes to a gateway", data)
	case err != nil:
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent {
		return nil
	}
	why, _ := io.ReadAll(io.LimitReader(resp.Body, 1<<10))
	return errors.New(string(bytes.TrimSpace(why)))
}

// playedCarrier is one simulated carrier of the demonstration.
type playedCarrier struct {
	name, systemID string
	smsc           *smpptest.SMSC
}

// handsets takes what masar mo says until the returned function is called. Without it the
// demonstration goes on.
func handsets(data string, carriers []playedCarrier, log *slog.Logger) (stop func()) {
	// The queue's lock on the data folder is ours by now: what lies there was left behind.
	path := filepath.Join(data, demoSocket)
	os.Remove(path)
	ln, err := net.Listen("unix", path)
	if err == nil {
		err = os.Chmod(path, 0o600)
	}
	if err != nil {
		log.Warn("masar mo cannot reach this demonstration", slog.Any("err", err))
		if ln != nil {
			ln.Close()
		}
		return func() {}
	}
	server := &http.Server{Handler: handsetHandler(carriers), ReadHeaderTimeout: 5 * time.Second}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(ln)
	}()
	return func() {
		server.Close()
		<-done
	}
}

func handsetHandler(carriers []playedCarrier) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST /mo", func(w http.ResponseWriter, r *http.Request) {
		var m written
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 64<<10)).Decode(&m); err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		for _, c := range carriers {
			if m.Carrier != "" && m.Carrier != c.name {
				continue
			}
			ctx, cancel := context.WithTimeout(r.Context(), 20*time.Second)
			defer cancel()
			if err := c.smsc.Deliver(ctx, smpptest.MO{SystemID: c.systemID, From: m.From, To: m.To, Text: m.Text}); err != nil {
				http.Error(w, fmt.Sprintf("carrier %s: %v", c.name, err), http.StatusBadGateway)
				return
			}
			w.WriteHeader(http.StatusNoContent)
			return
		}
		http.Error(w, fmt.Sprintf("no carrier is called %q", m.Carrier), http.StatusNotFound)
	})
	return mux
}
