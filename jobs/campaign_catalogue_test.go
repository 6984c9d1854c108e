package jobs

import (
	"testing"
	"time"

	"masar/number"
	"masar/queue"
	"masar/service"
)

// campaignCatalogue has NEWS with a template, TEXT without one, both mandatory.
func campaignCatalogue(t testing.TB) *service.Catalogue { t.Helper(); return catalogueWith(t, nil) }

// quietCatalogue is one whose NEWS waits for 8 in the morning.
func quietCatalogue(t testing.TB) *service.Catalogue {
	t.Helper()
	return catalogueWith(t, func(o *service.Options) {
		o.Calendar.Quiet = service.Windows{Days: []service.Span{{From: 22 * 60, To: 8 * 60}}}
		o.Services[0].Hold = true
	})
}

func catalogueWith(t testing.TB, change func(*service.Options)) *service.Catalogue {
	t.Helper()
	names := func(s string) service.Texts { return service.Texts{"ar": "خدمة " + s, "en": "Service " + s} }
	o := service.Options{
		Languages: []string{"ar", "en"}, Zone: time.UTC,
		Categories: []service.Category{{Name: "service"}},
		Agencies: []service.Agency{
			{Code: "nic", Name: names("1"), Sender: "MOI", TestNumbers: []number.E164{966500000001, 966500000002}},
			{Code: "other", Name: names("2"), Sender: "OTHER"},
		},
		Senders: []service.Sender{{Name: "MOI", Agency: "nic", AnyCarrier: true}, {Name: "OTHER", Agency: "other", AnyCarrier: true}},
		Services: []service.Service{
			{Code: "NEWS", Agency: "nic", Name: names("3"), Class: uint8(queue.Bulk), Category: "service", Mode: service.Mandatory, Validity: 72 * time.Hour,
				Params:   []service.Param{{Name: "name", Max: 20}},
				Versions: []service.Version{{Number: 1, Text: service.Texts{"ar": "مرحبا {name}", "en": "Hello {name}"}}}},
			{Code: "TEXT", Agency: "nic", Name: names("4"), Class: uint8(queue.Bulk), Category: "service", Mode: service.Mandatory, Validity: 72 * time.Hour, Domains: []string{"moi.gov.sa"}},
			{Code: "BARE", Agency: "other", Name: names("5"), Class: uint8(queue.Bulk), Category: "service", Mode: service.Mandatory, Validity: 72 * time.Hour},
		},
	}
	if change != nil {
		change(&o)
	}
	c, err := service.New(o)
	if err != nil {
		t.Fatal(err)
	}
	return c
}
