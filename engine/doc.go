// Package engine opens a Pebble store by the rules that every store of ours keeps: one
// process a folder, rows of a version this program reads, a write that is answered is on
// disk, and a full disk is met before Pebble meets it.
//
//	folder.go  the folder and its lock, for stores that open Pebble themselves, too
//	open.go    Open and Close: format; who reads while it closes
//	logger.go  Pebble's log lines as ours, and a Fatalf that never returns
//	disk.go    how much room is left
//
// It knows no rows: service/reminder and service/campaign lay out their own.
package engine
