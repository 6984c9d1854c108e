// Package jobs is the hands of what the gateway sends by itself: reminders before a date,
// and campaigns. What is to be sent, and when, lies in service/reminder and
// service/campaign; here it is handed to the gateway, and its ends come back.
//
//	jobs.go            Jobs: ends and questions of the gateway go to whose they are
//	reminder.go        Reminders: what an agency may ask of them
//	reminderput.go     PUT and DELETE; what waits is taken back first
//	reminderrecall.go  taking back from the queue what is out of many
//	remindersend.go    what is due -> the gateway            one goroutine
//	reminderend.go     how messages ended, what they say when they have waited
//	remindermove.go    all dates of a service                one goroutine
//	reminderimport.go  a file of reminders, in batches that can be gone on with
//	reminderhold.go    who is changing which series
//	campaign.go        Campaigns: their hands, and what is told of them
//	campaign_orders.go create, upload, release, start, pause, resume, stop
//	campaign_check.go  the dry run of a file                one goroutine a check, and its workers
//	campaign_feed.go   rows -> the gateway                  one goroutine a running campaign
//	campaign_watch.go  what stopped, ended and grew old     one goroutine
//	campaign_text.go   a row -> its notice (a brain)
//	campaign_metrics.go what is counted
//
// The gateway is made with Jobs as its Options.Jobs, then Jobs is started with the gateway.
// Close ends the hands and leaves the stores open: ends are told until the gateway is closed.
package jobs
