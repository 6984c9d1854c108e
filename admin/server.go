package admin

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
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
	Gateway  *gateway.Gateway
	Gatherer prometheus.Gatherer
	Reload   func(ctx context.Context) (changes []string, err error)
	Log      *slog.Logger
}

// Server answers HTTP until Close.
type Server struct {
	opt   Options
	addr  net.Addr
	https []*http.Server
}

// SocketName is the socket file in the data folder.
const SocketName = "admin.sock"

// Start listens and answers. A port in use is an error that names it.
func Start(o Options) (*Server, error) {
	s := &Server{opt: o}
	if o.Listen != "" {
		ln, err := net.Listen("tcp", o.Listen)
		if err != nil {
			return nil, fmt.Errorf("admin.listen: %w", err)
		}
		s.addr = ln.Addr()
		s.serve(ln, false)
	}
	if o.Socket != "" {
		ln, err := listenSocket(o.Socket)
		if err != nil {
			s.Close(context.Background())
			return nil, err
		}
		s.serve(ln, true)
	}
	return s, nil
}

// Addr is where TCP is answered; nil when it is off.
func (s *Server) Addr() net.Addr { return s.addr }

// listenSocket takes over a socket file that a killed process left behind; one that still
// answers is somebody else's.
func listenSocket(path string) (net.Listener, error) {
	if c, err := net.DialTimeout("unix", path, time.Second); err == nil {
		c.Close()
		return nil, fmt.Errorf("%s: another gateway answers there", path)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	// A socket's path has a short limit in the kernel: bind relative to its folder where
	// the whole path is too long.
	if len(path) > 100 {
		return nil, fmt.Errorf("%s: the path is too long for a socket, choose a shorter data folder than %s", path, filepath.Dir(path))
	}
	ln, err := net.Listen("unix", path)
	if err != nil {
		return nil, err
	}
	return ln, os.Chmod(path, 0o600)
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
