// Package queuetest is the suite that every queue.Store passes.
//
// It knows the interface and nothing else: no key, no file, no engine. An engine's own
// test hands Run a way to open it and says nothing more:
//
//	func TestStoreKeepsItsPromises(t *testing.T) {
//		queuetest.Run(t, func(t *testing.T, e queuetest.Env) queue.Store { ... })
//	}
//
//	queuetest.go   Env, Media, Run and the table of tests
//	message.go     what the tests accept, send and compare
//	rig.go         one opened store with its clock, its feed and the way to restart it
//	accept.go      new messages: durable, visible, numbered, once
//	job.go         messages of jobs, their ends, ByOnce
//	lane.go        order, backlog, Watch
//	claim.go       who owns a message
//	side.go        what waits for a moment or an operator
//	halted.go      what a halt has set aside
//	part.go        answers of the carrier, attempts
//	final.go       the end of a message
//	correlate.go   receipts and what they refer to
//	outbox.go      towards the client
//	sweep.go       Overdue, Expired, Orphaned
//	find.go        Find, ByShown, Matching
//	survey.go      Survey
//	mobile.go      mobile-originated parts, unmatched receipts
//	name.go        numbers of names
//	room.go        depths and room
//	close.go       a full inbox, Close
//	cut.go         power cuts
//	crowd.go       many goroutines at once and the law of conservation
//	reader.go      readers, a lane at the edge of the read-ahead, and a clockwork, each beside a busy carrier
//	model.go       a model beside the store, thousands of random moves (moves*.go)
//	bench.go       BenchStraight, BenchWholeLife
//
// Nothing here sleeps: what takes time is awaited by Done or Watch, with a deadline that
// only a broken store reaches. What the interface leaves open is not tested; where a
// sentence of it had to be read one way, the test's comment says which.
package queuetest
