// Package pebble is the embedded queue.Store: one folder, one process, on Pebble.
//
// One goroutine, the committer, writes. It takes what has gathered in the inbox, writes
// it as one batch, waits for the fsync, answers every Done in order and only then hands
// the new rows to whoever pulls: nobody learns of a row that a power cut could take back.
//
//	open.go      Open and Close: the folder, its lock, its key, its format
//	start.go     what a start reads
//	options.go   Options
//	engine.go    how Pebble is set up, and the Logger whose Fatalf never returns
//	compact.go   when Pebble compacts: not before the store is open
//	keys.go      the keys, one octet of kind each
//	mac.go       keyed hashes and their key
//	rows.go      the values that are more than a record of package queue
//	committer.go the inbox, the committer, group commit
//	steps.go     what each Step writes
//	accept.go    a new message: its id, Once, its short id
//	final.go     what the end of a message writes
//	lanes.go     lanes and claims in memory: Take, Release
//	outboxes.go  deliveries in memory: TakeOutbox, ReleaseOutbox
//	refill.go    from disk into memory, where more waits than memory may hold
//	lookup.go    Find, ClaimID, ByShown, ByOnce
//	matching.go  Matching
//	correlate.go Correlate: receipts to sent parts
//	due.go       Due: overdue, expired, orphaned
//	scheduled.go Due: scheduled, and the bounds from which it looks
//	halted.go    Due: halted
//	aside.go     what both read of the side way, many messages at once
//	survey.go    Survey: what waits, was sent and has ended, row by row
//	mobile.go    mobile-originated parts, unmatched receipts
//	names.go     Number and Name
//	room.go      how much may wait, by account and class
//	disk.go      free space, the ballast file
//	tick.go      once a second: state rows; now and then: retention
//	metrics.go   what Prometheus sees
//
// Goroutines, all started by Open and waited for by Close: the committer, the refillers
// (refill.go) and the disk watcher (disk.go). Pebble's own come and go with its DB.
//
// A refill reads no snapshot: stamps of a lane only rise and the committer tells, after
// each fsync, the last one that is durable, so a reader that stops there sees durable
// rows only. What is deleted behind its back was claimed first, and claims are in memory.
package pebble
