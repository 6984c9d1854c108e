package service_test

import (
	"time"

	"masar/service"
)

// small is a sound catalogue of two services, AAA opt-in and BBB mandatory, for tests that
// change one thing of it.
func small() service.Options {
	return service.Options{
		Languages: []string{"ar", "en"},
		Zone:      time.UTC,
		Calendar:  service.Calendar{Quiet: service.Windows{Days: []service.Span{{From: 22 * 60, To: 8 * 60}}}},
		Categories: []service.Category{
			{Name: "service"},
			{Name: "awareness", Permitted: &service.Windows{Days: []service.Span{{From: 9 * 60, To: 22 * 60}}}},
			{Name: "promotional", SenderSuffix: "-AD"},
		},
		Agencies: []service.Agency{
			{Code: "one", Name: service.Texts{"en": "One"}, Sender: "ONE"},
			{Code: "two", Name: service.Texts{"en": "Two"}, Sender: "TWO"},
		},
		Senders: []service.Sender{
			{Name: "ONE", Agency: "one", AnyCarrier: true},
			{Name: "TWO", Agency: "two", AnyCarrier: true},
			{Name: "ONE-AD", Agency: "one", Categories: []string{"promotional"}, AnyCarrier: true},
		},
		Services: []service.Service{
			{
				Code: "AAA", Agency: "one", Name: service.Texts{"ar": "أ", "en": "A"}, Kind: service.RecordChange,
				Class: 1, Category: "service", Mode: service.OptIn, Validity: 72 * time.Hour, Hold: true,
				Params:   []service.Param{{Name: "name", Max: 10}, {Name: "date", Max: 12}},
				Versions: []service.Version{{Number: 1, Text: service.Texts{"ar": "{name} في {date}.", "en": "{name} on {date}."}}},
			},
			{
				Code: "BBB", Agency: "two", Name: service.Texts{"ar": "ب", "en": "B"}, Kind: service.Violation,
				Class: 1, Category: "service", Mode: service.Mandatory, Validity: 72 * time.Hour,
			},
		},
	}
}
