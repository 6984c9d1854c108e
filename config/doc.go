// Package config reads Masar's YAML file, and the catalogue file that it names, into typed,
// defaulted, checked values.
//
//	config.go    the top of the file and its small sections
//	account.go   who may bind to us and what it may do
//	carrier.go   whom we bind to and how it likes its PDUs
//	route.go     which destination goes over which carriers
//	jobs.go      reminders, campaigns, a carrier's return
//	subscribers.go  people, blocklist, keywords, API keys, test numbers
//	catalogue.go the catalogue file: agencies, senders, services and their templates
//	calendar.go  its hours, weekends, holidays and overrides
//	defaults.go  every default, in one literal
//	hours.go     when a carrier may be sent to
//	values.go    durations, rates, sizes, percentages, zones, statuses as people write them
//	secret.go    a value that cannot be printed
//	load.go      Load and Parse: the file, its secrets and certificates
//	decode.go    YAML nodes -> blocks and lists, with the place of every value kept
//	walk.go      blocks inside blocks, lists and maps; maps by the operator's names
//	scalar.go    one word -> one field, and its bounds
//	inherit.go   what is not said in a block is taken from the one above it
//	derive.go    fields that stand for several keys; secrets and certificates from files
//	check.go     what one value cannot tell: references, contradictions,
//	             doubles (check_account.go, check_carrier.go, check_route.go,
//	             check_subscribers.go, check_catalogue.go; what the two files
//	             say of each other: check_links.go)
//	diff.go      what a reload changes
//	mistake.go   how a mistake is told: file:line:column, key path, value, rule, cure
//
// The field comments of the structs are the meanings in docs/config.md; a test keeps
// the two alike, and the documented defaults equal to the literal.
//
// The package is a leaf: it imports nothing of ours, and only cmd imports it and hands
// each room plain values. It opens the files that the configuration names (secrets,
// certificates) but no socket and no store, and it starts no goroutine.
package config
