package admin

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"masar/gateway"
)

// Options is what a Server is made of.
type Options struct {
	Listen   string // host:port; "": no TCP
	Socket   string // path of the socket file; "": none
	Token    string // asked for over TCP by what changes something; "": nothing may be changed over TCP
	Gatherer prometheus.Gatherer
	Reload   func(ctx context.Context) (changes []string, err error)
	Log      *slog.Logger
}

// Server answers HTTP from Serve until Close.
type Server struct {
	opt struct {
		Options
		Gateway *gateway.Gateway
	}
	tcp, unix net.Listener // nil where there is none
	https     []*http.Server
}

// SocketName is the socket file in the data folder.
const SocketName = "admin.sock"

// Listen opens the addresses; whoever connects waits for Serve. A port in use is an error
// that names it, and comes before anything has been done.
func Listen(o Options) (*Server, error) {
	s := new(Server)
	s.opt.Options = o
	var err error
	if o.Listen != "" {
		if s.tcp, err = net.Listen("tcp", o.Listen); err != nil {
			return nil, fmt.Errorf("admin.listen: %w", err)
		}
	}
	if o.Socket != "" {
		if s.unix, err = listenSocket(o.Socket); err != nil {
			s.Close(context.Background())
			return nil, err
		}
	}
	return s, nil
}

// Serve begins to answer, for g.
func (s *Server) Serve(g *gateway.Gateway) {
	s.opt.Gateway = g
	if s.tcp != nil {
		s.serve(s.tcp, false)
	}
	if s.unix != nil {
		s.serve(s.unix, true)
	}
}

// Addr is where TCP is answered; nil when it is off.
func (s *Server) Addr() net.Addr {
	if s.tcp == nil {
		return nil
	}
	return s.tcp.Addr()
}

func (s *Server) serve(ln net.Listener, local bool) {
	h := &http.Server{
		Handler: s.routes(local), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second,
		WriteTimeout: time.Minute, IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(s.opt.Log.Handler(), slog.LevelDebug),
	}
	s.https = append(s.https, h)
	go func() {
		if err := h.Serve(ln); err != nil && !errors.Is(err, http.ErrServerClosed) {
			s.opt.Log.Error("admin listener ended", slog.Any("err", err))
		}
	}()
}

// Close stops answering; requests under way may finish until ctx ends.
func (s *Server) Close(ctx context.Context) error {
	var errs []error
	for _, h := range s.https {
		if err := h.Shutdown(ctx); err != nil {
			errs = append(errs, err, h.Close())
		}
	}
	for _, ln := range []net.Listener{s.tcp, s.unix} {
		if ln != nil {
			ln.Close() // again, where it has been served
		}
	}
	return errors.Join(errs...)
}

// allowed tells whether a request may change something.
func (s *Server) allowed(r *http.Request, local bool) bool {
	if local {
		return true
	}
	given, ok := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return ok && s.opt.Token != "" && subtle.ConstantTimeCompare([]byte(given), []byte(s.opt.Token)) == 1
}
