// Package campaign keeps bulk runs: a file of recipients, what a dry run said of it, and
// what became of every row.
//
//	campaign.go  Campaign, its states and who may do what when (a brain)
//	file.go      a file -> rows: columns, encodings, JSON Lines (a brain)
//	row.go       rows and their statuses as they are stored
//	store.go     Open: campaigns in memory, their rows on disk
//	load.go      a file into the store, duplicates found by sorting
//	feed.go      rows on their way: handed over, ended, stopped
//	view.go      View, Tested: what is told of a campaign
//	report.go    every row and its end as CSV
//
// A row is known by the line of the file it stands in. Rows are written once; beside them
// lies one status a row, written when it was handed to the queue and when it ended, in one
// write with the counts.
//
// It sends nothing: jobs.Campaigns does, through the gateway.
package campaign
