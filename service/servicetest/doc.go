// Package servicetest tests that a service.Registry keeps every promise of its interface.
//
//	servicetest.go  Run, Env, the rig
//	enrol.go        consent and its withdrawal
//	number.go       number changes, suspension, verification, blocking, erasure
//	batch.go        atomicity, Once, Bookmark, Stats, Each, History
//	crowd.go        many callers at once; versions
//	model.go        random changes against a naive model, restarts in between
package servicetest
