package admin

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"masar/queue"
	"masar/service"
)

// ServiceRow is one service of the catalogue.
type ServiceRow struct {
	Code      string            `json:"code" doc:"travels in service_type"`
	Agency    string            `json:"agency"`
	Name      map[string]string `json:"name" doc:"by language"`
	Kind      string            `json:"kind" enum:"expiry,record,violation,appointment,security,otp"`
	Class     string            `json:"class" enum:"urgent,normal,bulk"`
	Category  string            `json:"category" doc:"the regulator's"`
	Mode      string            `json:"mode" enum:"opt-in,mandatory"`
	Validity  string            `json:"validity,omitempty" doc:"how long a notice is tried by default"`
	Sender    string            `json:"sender,omitempty"`
	Pilot     bool              `json:"pilot,omitempty"`
	Holds     bool              `json:"holds" doc:"its notices wait for the end of quiet hours"`
	Open      bool              `json:"open" doc:"it may be sent now"`
	OpensAt   *time.Time        `json:"opens_at,omitempty" doc:"when it may, where that is not now"`
	Languages []string          `json:"languages,omitempty" doc:"of the template in force"`
	Version   int               `json:"version,omitempty" doc:"of the template in force"`
	Params    []ParamRow        `json:"params,omitempty" doc:"what its template needs"`
}

// ParamRow is one placeholder of a template.
type ParamRow struct {
	Name string `json:"name"`
	Max  int    `json:"max" doc:"characters"`
}

// Stats counts subscribers.
type Stats struct {
	Subscribers int64                   `json:"subscribers"`
	Numbers     int64                   `json:"numbers"`
	Suspended   int64                   `json:"suspended"`
	Blocked     int64                   `json:"blocked"`
	Services    map[string]ServiceStats `json:"services" doc:"by code"`
}

// ServiceStats counts the subscribers of one service.
type ServiceStats struct {
	Enrolled int64 `json:"enrolled"`
	Pending  int64 `json:"pending"`
}

func (f *face) catalogueOperations() {
	operation(f, ScopeCatalogue, huma.Operation{OperationID: "services", Method: http.MethodGet, Path: "/v1/services", Tags: []string{"notices"},
		Summary: "The catalogue of services", Description: "With their names in every language, and whether they may be sent now.",
		Errors: []int{http.StatusNotImplemented}}, f.listServices)
	operation(f, ScopeRead|ScopeAllChannels, huma.Operation{OperationID: "stats", Method: http.MethodGet, Path: "/v1/stats/subscribers", Tags: []string{tagSubscribers},
		Summary: "How many subscribers there are", Description: "Over all channels, so it needs all-channels.",
		Errors: []int{http.StatusNotImplemented}}, f.stats)
}

func (f *face) listServices(ctx context.Context, _ *none) (*struct {
	Body struct {
		Languages []string     `json:"languages" doc:"in the order of fallback"`
		Services  []ServiceRow `json:"services"`
	}
}, error) {
	cat, err := f.catalogue()
	if err != nil {
		return nil, err
	}
	c, now := from(ctx), f.opt.Now()
	out := new(struct {
		Body struct {
			Languages []string     `json:"languages" doc:"in the order of fallback"`
			Services  []ServiceRow `json:"services"`
		}
	})
	out.Body.Languages, out.Body.Services = cat.Languages(), []ServiceRow{}
	for _, s := range cat.Services() {
		if c.may(s.Code) {
			out.Body.Services = append(out.Body.Services, serviceRow(cat, s, now))
		}
	}
	return out, nil
}

func serviceRow(cat *service.Catalogue, s *service.Service, now time.Time) ServiceRow {
	row := ServiceRow{Code: s.Code, Agency: s.Agency, Name: s.Name, Kind: s.Kind.String(), Class: queue.Class(s.Class).String(),
		Category: s.Category, Mode: s.Mode.String(), Sender: cat.SenderOf(s), Pilot: s.Pilot, Holds: s.Hold}
	if s.Validity > 0 {
		row.Validity = s.Validity.String()
	}
	opens := cat.OpensAt(s, now)
	row.Open, row.OpensAt = opens.IsZero(), dated(opens)
	if v := cat.InForce(s, now); v != nil {
		row.Version = v.Number
		for _, l := range cat.Languages() {
			if v.Text[l] != "" {
				row.Languages = append(row.Languages, l)
			}
		}
		for _, p := range s.Params {
			row.Params = append(row.Params, ParamRow{p.Name, p.Max})
		}
	}
	return row
}

func (f *face) stats(ctx context.Context, _ *none) (*struct{ Body Stats }, error) {
	r, err := f.registry()
	if err != nil {
		return nil, err
	}
	st, err := r.Stats(ctx)
	if err != nil {
		return nil, err
	}
	c := from(ctx)
	out := &struct{ Body Stats }{Stats{Subscribers: st.Subscribers, Numbers: st.Numbers, Suspended: st.Suspended, Blocked: st.Blocked, Services: map[string]ServiceStats{}}}
	for code, n := range st.Enrolled {
		if c.may(code) {
			out.Body.Services[code] = ServiceStats{Enrolled: n, Pending: st.Pending[code]}
		}
	}
	for code, n := range st.Pending {
		if _, counted := out.Body.Services[code]; !counted && c.may(code) {
			out.Body.Services[code] = ServiceStats{Pending: n}
		}
	}
	return out, nil
}
