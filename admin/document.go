package admin

import (
	"encoding/json"
	"net/http"
	"reflect"
	"strconv"

	"github.com/danielgtaylor/huma/v2"
)

// document serves the API's description, written once when the listener begins. There is
// no page that shows it: those load their scripts from elsewhere.
func (f *face) document(mux *recordingMux) {
	asJSON, err := json.MarshalIndent(f.OpenAPI(), "", "  ")
	if err != nil {
		panic(err) // our own types
	}
	asYAML, err := f.OpenAPI().YAML()
	if err != nil {
		panic(err) // what was JSON a moment ago
	}
	mux.Handle("GET /openapi.json", static("application/json", asJSON))
	mux.Handle("GET /openapi.yaml", static("application/yaml", asYAML))
}

func static(contentType string, b []byte) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", contentType)
		w.Write(b)
	})
}

// withProblem adds the answers that are no success to documented responses.
func (f *face) withProblem(r map[string]*huma.Response, statuses ...int) map[string]*huma.Response {
	schema := f.OpenAPI().Components.Schemas.Schema(reflect.TypeFor[Problem](), true, "Problem")
	for _, status := range statuses {
		r[strconv.Itoa(status)] = &huma.Response{Description: http.StatusText(status), Content: map[string]*huma.MediaType{
			"application/problem+json": {Schema: schema},
		}}
	}
	return r
}
