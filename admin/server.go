package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"masar/gateway"
	"masar/queue"
	"masar/service"
)

// Options is what a Server is made of. What a reload changes comes from functions, which
// are called for each request.
type Options struct {
	Listen     string // host:port; "": no TCP
	Socket     string // path of the socket file; "": none
	Token      string // over TCP it may do everything; "": nobody may over TCP, but API keys what their scopes say
	Gatherer   prometheus.Gatherer
	Registerer prometheus.Registerer // nil: the API's own metrics are unregistered
	Reload     func(ctx context.Context) (changes []string, err error)
	Log        *slog.Logger
	Now        func() time.Time // nil: time.Now

	Keys func() *Keys // API keys in force; nil: none

	// Registry is the subscribers and the blocklist; nil: there are none, and what needs
	// them answers 501. The caller closes it after Close.
	Registry  service.Registry
	PersonKey *service.Key              // required with Registry: turns references into Persons
	Catalogue func() *service.Catalogue // nil, or a nil answer: none, and what needs it answers 501
	Country   string                    // country code for numbers in national form; default "966"
	Codes     func() Codes              // codes that verify numbers; nil: none are sent
	Notices   Notices                   // nil: the gateway given to Serve
	Halts     Halts                     // nil: the gateway given to Serve
	Drains    Drains                    // nil: the gateway given to Serve
	Reminders Reminders                 // nil: there are none, and what needs them answers 501
	Campaigns Campaigns                 // nil: there are none, and what needs them answers 501
	Files     CampaignFiles
	Bulk      Bulk
}

// Codes says how a number is verified.
type Codes struct {
	Service string        // code of the service whose template carries the code (its placeholder {code}); "": none are sent
	Account string        // system_id the code is sent under
	TTL     time.Duration // how long a code holds; default 10m
	Digits  int           // 4..10; default 6
	PerHour int           // codes for one number in an hour; default 5
}

// Bulk says where uploaded files are kept until they are done with.
type Bulk struct {
	Dir  string        // made where it is missing; "": no files are taken
	Max  int64         // octets of one file; default 4 GiB
	Keep time.Duration // how long a finished job can be asked for; default 7 days

	Zone *time.Location // of days without a time in files; nil: UTC

	MinFree int64 // octets that stay free on its disk: no file is taken beyond; default 1 GiB, negative: not watched
}

// CampaignFiles bounds what is uploaded for campaigns.
type CampaignFiles struct {
	Dir     string // where they are kept: its disk is watched; "": not watched
	Max     int64  // octets of one file; default 4 GiB
	MinFree int64  // octets that stay free on the disk; default 1 GiB, negative: not watched
}

// Notices is how the API sends; *gateway.Gateway does it.
type Notices interface {
	Submit(ctx context.Context, n gateway.Notice) (queue.ID, error)
	Try(ctx context.Context, n gateway.Notice) (gateway.Trial, error)
	Message(ctx context.Context, account string, id queue.ID) (queue.View, error)
}

func (o *Options) setDefaults() {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Now == nil {
		o.Now = time.Now
	}
	if o.Country == "" {
		o.Country = "966"
	}
	if o.Bulk.Max <= 0 {
		o.Bulk.Max = 4 << 30
	}
	if o.Bulk.MinFree == 0 {
		o.Bulk.MinFree = 1 << 30
	}
	if o.Files.Max <= 0 {
		o.Files.Max = 4 << 30
	}
	if o.Files.MinFree == 0 {
		o.Files.MinFree = 1 << 30
	}
	if o.Bulk.Keep <= 0 {
		o.Bulk.Keep = 7 * 24 * time.Hour
	}
}

// Server answers HTTP from Serve until Close.
type Server struct {
	opt struct {
		Options
		Gateway *gateway.Gateway
	}
	api       *api
	tcp, unix net.Listener // nil where there is none
	https     []*http.Server
}

// SocketName is the socket file in the data folder.
const SocketName = "admin.sock"

// Listen opens the addresses; whoever connects waits for Serve. A port in use is an error
// that names it, and comes before anything has been done.
func Listen(o Options) (*Server, error) {
	s := new(Server)
	o.setDefaults()
	if o.Registry != nil && o.PersonKey == nil {
		return nil, errors.New("admin: a registry needs its key")
	}
	s.opt.Options = o
	s.api = newAPI(&s.opt.Options)
	var err error
	if o.Bulk.Dir != "" && o.Registry != nil {
		if s.api.bulk, err = openBulk(s.api); err != nil {
			return nil, err
		}
	}
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
	if s.opt.Notices == nil {
		s.opt.Notices = g
	}
	if s.opt.Halts == nil {
		s.opt.Halts = g
	}
	if s.opt.Drains == nil {
		s.opt.Drains = g
	}
	if s.api.bulk != nil {
		s.api.bulk.start()
	}
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
	if s.api.bulk != nil {
		defer s.api.bulk.close()
	}
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

// routes is everything that one kind of listener answers.
func (s *Server) routes(local bool) http.Handler {
	mux := &recordingMux{ServeMux: http.NewServeMux()}
	s.api.newFace(mux, s, local)
	return mux.ServeMux
}
