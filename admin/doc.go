// Package admin is the gateway's HTTP side: metrics, health, and the API that the command
// line speaks.
//
//	server.go  the listeners: TCP for people and Prometheus, a socket file for commands
//	api.go     /metrics, /healthz, /readyz, /v1/...
//
// Over the socket file (mode 0600) a caller has full rights; over TCP what changes
// something asks for the token. It decides nothing: the gateway answers.
package admin
