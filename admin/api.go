package admin

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"masar/service"
)

// api is what the operations work with: one for all listeners.
type api struct {
	opt   *Options
	door  *doorman
	met   *metrics
	sent  *codeLimit
	begun *begun
	bulk  *bulk // nil: no files are taken
}

func newAPI(o *Options) *api {
	met := newMetrics(o.Registerer)
	return &api{opt: o, met: met, door: newDoorman(o, met), sent: newCodeLimit(), begun: newBegun()}
}

// face is the API as one listener shows it: over the socket file a caller may do
// everything, over TCP what its key says.
type face struct {
	*api
	huma.API
	local bool
}

// recordingMux keeps its patterns, so that a test can compare what is served with what is
// documented.
type recordingMux struct {
	*http.ServeMux
	patterns []string
}

// HandleFunc is http.ServeMux's.
func (m *recordingMux) HandleFunc(pattern string, handler func(http.ResponseWriter, *http.Request)) {
	m.Handle(pattern, http.HandlerFunc(handler))
}

// Handle is http.ServeMux's.
func (m *recordingMux) Handle(pattern string, handler http.Handler) {
	m.patterns = append(m.patterns, pattern)
	m.ServeMux.Handle(pattern, handler)
}

const (
	schemaPrefix = "#/components/schemas/"
	security     = "key"

	describes = `Enrolments, consent, blocklist, notices, reminders and campaigns of a Masar gateway. ` +
		`Errors are application/problem+json (RFC 9457): detail says what is wrong, errors names each field, its value and its rule. ` +
		`Numbers may be written as people write them (05..., 5..., +966..., 00966..., Arabic digits) and are answered in E.164 without plus. ` +
		`A channel sees only what it enrolled itself, unless its key has the scope all-channels. ` +
		`Reminders and campaigns are their account's: a key sees those of its own account, and of these the services it may name.`
)

func humaConfig() huma.Config {
	schemas := huma.NewMapRegistry(schemaPrefix, huma.DefaultSchemaNamer)
	// What is sent is a Problem: see asProblem.
	schemas.RegisterTypeAlias(reflect.TypeFor[huma.ErrorModel](), reflect.TypeFor[Problem]())
	return huma.Config{
		OpenAPI: &huma.OpenAPI{
			OpenAPI: "3.1.0",
			Info:    &huma.Info{Title: "Masar", Version: "1", Description: describes},
			Components: &huma.Components{
				Schemas: schemas,
				SecuritySchemes: map[string]*huma.SecurityScheme{security: {
					Type: "http", Scheme: "bearer",
					Description: "An API key (api.keys) or the token of admin.token_file. What an operation lists beside it are the scopes it needs. Over the gateway's socket file none is asked for.",
				}},
			},
			Tags: []*huma.Tag{
				{Name: "subscribers", Description: "people, their numbers and what they are enrolled in"},
				{Name: "codes", Description: "codes that verify a number"},
				{Name: "bulk", Description: "files with many rows"},
				{Name: "blocklist", Description: "numbers that get nothing, or nothing opt-in"},
				{Name: "notices", Description: "sending"},
				{Name: tagReminders, Description: "told in time before something expires"},
				{Name: tagCampaigns, Description: "one text to the many recipients of a file"},
				{Name: tagHalts, Description: "holding messages back, and letting them go"},
				{Name: "gateway", Description: "its state and its operation"},
			},
		},
		Formats: map[string]huma.Format{
			"application/json": jsonFormat,
			"json":             jsonFormat,
		},
		DefaultFormat:                "application/json",
		RejectUnknownQueryParameters: true, // a filter that is spelled wrong would be none
		Transformers:                 []huma.Transformer{asProblem},
	}
}

var jsonFormat = huma.Format{
	Marshal: func(w io.Writer, v any) error {
		enc := json.NewEncoder(w)
		enc.SetEscapeHTML(false)
		enc.SetIndent("", "  ")
		return enc.Encode(v)
	},
	Unmarshal: json.Unmarshal,
}

// newFace registers every operation on a mux.
func (a *api) newFace(mux *recordingMux, s *Server, local bool) *face {
	f := &face{api: a, API: humago.New(mux, humaConfig()), local: local}
	s.operations(f, mux)
	f.subscriberOperations()
	f.codeOperations()
	f.blocklistOperations()
	f.catalogueOperations()
	f.noticeOperations()
	f.bulkOperations()
	f.exportOperations()
	f.reminderOperations()
	f.campaignOperations()
	f.haltOperations()
	f.drainOperations()
	f.document(mux)
	return f
}

// operation registers one that asks for a caller with these scopes.
func operation[I, O any](f *face, need Scopes, op huma.Operation, do func(context.Context, *I) (*O, error)) {
	op.Security = []map[string][]string{{security: need.names()}}
	op.Errors = append(op.Errors, http.StatusUnauthorized, http.StatusForbidden, http.StatusTooManyRequests, http.StatusServiceUnavailable)
	register(f, op, f.door.guard(f.API, f.local, need), do)
}

// open registers one that anybody may ask for.
func open[I, O any](f *face, op huma.Operation, do func(context.Context, *I) (*O, error)) {
	op.Security = []map[string][]string{{}} // said aloud: none
	op.Errors = append(op.Errors, http.StatusServiceUnavailable)
	register(f, op, nil, do)
}

func register[I, O any](f *face, op huma.Operation, guard func(huma.Context, func(huma.Context)), do func(context.Context, *I) (*O, error)) {
	if op.Method == http.MethodPost || op.Method == http.MethodPut {
		op.Errors = append(op.Errors, http.StatusBadRequest, http.StatusRequestTimeout, http.StatusRequestEntityTooLarge)
	}
	slices.Sort(op.Errors)
	op.Errors = slices.Compact(op.Errors)
	op.Middlewares = append(op.Middlewares, f.count(op.OperationID))
	if guard != nil {
		op.Middlewares = append(op.Middlewares, guard)
	}
	huma.Register(f.API, op, func(ctx context.Context, in *I) (*O, error) {
		out, err := do(ctx, in)
		return out, f.told(ctx, op.OperationID, err)
	})
}

// count is the middleware that counts an operation's answers.
func (f *face) count(id string) func(huma.Context, func(huma.Context)) {
	return func(ctx huma.Context, next func(huma.Context)) {
		began := time.Now()
		next(ctx)
		f.met.seconds.WithLabelValues(id).Observe(time.Since(began).Seconds())
		f.met.requests.WithLabelValues(id, strconv.Itoa(ctx.Status())).Inc()
	}
}

// told turns an error of a room below into the answer: what a caller can do something
// about says so itself, anything else is ours and goes into the log.
func (f *face) told(ctx context.Context, operation string, err error) error {
	if err == nil {
		return nil
	}
	if told, ok := asTold(err); ok {
		return told
	}
	if ctx.Err() != nil {
		return problem(http.StatusServiceUnavailable, "the request was given up before it was answered")
	}
	f.opt.Log.Error("API request not answered", slog.String("operation", operation), slog.Any("err", err))
	return problem(http.StatusServiceUnavailable, "the gateway could not do it: its log says why")
}

// catalogue is the one in force.
func (a *api) catalogue() (*service.Catalogue, error) {
	if a.opt.Catalogue != nil {
		if c := a.opt.Catalogue(); c != nil {
			return c, nil
		}
	}
	return nil, problem(http.StatusNotImplemented, "this gateway has no catalogue of services (catalogue: FILE)")
}

// registry is the subscribers.
func (a *api) registry() (service.Registry, error) {
	if a.opt.Registry == nil {
		return nil, problem(http.StatusNotImplemented, "this gateway keeps no subscribers (catalogue: FILE)")
	}
	return a.opt.Registry, nil
}
