// Package admin is the gateway's HTTP side: metrics, health, and the API that partners and
// the command line speak.
//
//	server.go      the listeners: TCP for people, partners and Prometheus, a socket file for commands
//	socket.go      that file
//	api.go         how an operation is registered, guarded, counted, and its errors are told
//	document.go    the API's description, OpenAPI 3.1, made from the code
//	key.go         API keys, their scopes and channels
//	auth.go        who asks, and whether he may
//	problem.go     errors as they are answered
//	once.go        Idempotency-Key, for what the registry does itself
//	repeat.go      the same for what others do: reminders, campaigns, halts
//	operator.go    /metrics, /healthz, /readyz, the gateway's own /v1/...
//	subscriber.go  looking people up, new numbers, erasure
//	enrol.go       enrolments and withdrawals
//	code.go        codes that verify a number
//	blocklist.go   one number of the blocklist
//	services.go    the catalogue, totals
//	notice.go      sending, dry runs, segmentation
//	bulk.go        the folder of bulk jobs
//	bulkupload.go  a file -> a job
//	bulkrun.go     a job -> the registry, one goroutine for all of them
//	bulkreminder.go  a job of reminders
//	export.go      everything as CSV
//	reminder.go    series of reminders; unreached.go: who was not reached
//	campaign.go    campaigns; campaignfile.go: their files
//	halt.go        holding messages back
//	drain.go       how long a backlog takes, and letting bulk go after an outage
//
// Over the socket file (mode 0600) a caller has full rights; over TCP the token has them,
// and an API key those of its scopes, for what its channel made. It decides nothing about
// messages, reminders, campaigns or consent: gateway, jobs and service do.
//
// Nothing here keeps a person's reference: it becomes a service.Person at the door. The one
// exception are uploaded files, which are removed as soon as they have been read.
package admin
