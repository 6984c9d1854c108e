// Package service knows what is sent to whom: the catalogue of agencies, services and
// senders, the people enrolled in them, and whether one notice may leave now.
//
//	catalogue.go  agencies, services, senders, languages: what the configuration says
//	build.go      Options -> Catalogue, every mistake named; build_service.go: those of services
//	hours.go      quiet hours, permitted hours, weekends, holidays, dated overrides (a brain)
//	judge.go      may this notice leave now, and if not, why or when (a brain)
//	template.go   placeholders, versions, languages and their fallback
//	link.go       links in a text and the domains a service registered
//	keyword.go    what a person wrote to the short code
//	person.go     an agency's reference -> the keyed hash that is stored
//	registry.go   Registry: subscribers, consent, blocklist; one in service/pebble
//	csv.go        Import: bulk files -> changes, in batches that can be gone on with
//	csvline.go    a file's lines, encodings and delimiters; csvrow.go: a row -> a Change
//	table.go      the same for rows that are kept elsewhere, CSV or JSON Lines
//	csvexport.go  enrolments -> CSV
//	blockfile.go  a blocklist file laid over the registry's
//
// Catalogue and Judge are plain values without clock, lock or store; a Catalogue never
// changes once made. A Registry keeps its own goroutines and is closed by who opened it.
//
// It does not send: gateway asks here at admission and again when a message leaves.
package service
