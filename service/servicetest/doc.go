// Package servicetest tests that a service.Registry keeps every promise of its interface.
//
//	servicetest.go  Run, Env, the rig
//	enrol.go        consent and its withdrawal
//	number.go       number changes, suspension
//	guard.go        verification, blocking, erasure
//	batch.go        atomicity, Once, Bookmark, Stats, Each, History
//	crowd.go        many callers at once; versions; power cuts
//	model.go        a registry as one would first write it
//	random.go       random changes against the model, restarts in between
package servicetest
