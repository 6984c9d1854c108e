// Package pebble is the embedded service.Registry: one folder, one process, on Pebble.
//
// All that decides whether a number may be sent to stands in one row under that number,
// so a Lookup is one read. One goroutine, the writer, changes anything: it takes the
// batches that have gathered, decides each change over the rows it touches, writes one
// Pebble batch, waits for its fsync, brings memory up to date, raises the versions, and
// only then answers.
//
//	open.go     Open and Close: the folder, its lock, its format
//	options.go  Options
//	engine.go   how Pebble is set up, and the Logger whose Fatalf never returns
//	arena_cgo.go  one heap for the engine's blocks
//	keys.go     the keys, one octet of kind each
//	row.go      what a row says of a number and of a person
//	record.go   rows as octets
//	names.go    services, channels and languages as small numbers
//	decide.go   what a change does to the rows it touches (a brain): enrol, withdraw
//	moves.go    the same: number changes, suspension, erasure
//	guard.go    the same: codes, the blocklist
//	writer.go   the inbox, group commit, Apply
//	change.go   what a change may say, and the rows it may touch
//	overlay.go  rows as the batches of one group see and leave them
//	filter.go   what is certainly not there, while a bulk load runs
//	cache.go    standings in memory, and versions
//	lookup.go   Lookup, Find, History, Each
//	once.go     Once and Bookmark
//	totals.go   running totals
//	sweep.go    what has grown old
//	disk.go     free space
//	metrics.go  what Prometheus sees
//
// Goroutines, waited for by Close: the writer and the disk watcher, and for some seconds,
// when a bulk load begins, one that reads which rows there are (filter.go).
//
// Why a Standing holds as long as its Version stays: a change is first visible to reads of
// the disk, then in the cache, then in the version. Who read the version after it was
// raised finds the change in the cache or on the disk; who read it before sees it rise. A
// reader that missed the cache puts what it read there only if no writer has been at that
// shard since it missed (shard.epoch), so an older row never lands on a newer one.
//
// History has no end here: it is the record of who consented to what, and goes only with
// its person (Erase).
package pebble
