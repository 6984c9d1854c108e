// Command masar is the gateway and everything one needs around it, in one binary.
//
//	main.go     the root command, exit codes, version
//	passwd.go   a password -> its bcrypt hash for the configuration
//	segment.go  how a text is encoded and cut
//	send.go     one message through a gateway, by an SMPP client that is not ours
//	sim.go      an SMSC simulator
//	load.go     a load client
//	serve.go    the gateway; wire.go turns its configuration into the rooms' options
//	check.go    a configuration's mistakes
//	reload.go   the running gateway takes a changed configuration
//	queue.go    what waits; stop.go holds it back; api.go is how these two speak to the running gateway
//	ported.go   the table of ported numbers; blocked.go  the blocklist file
//	subscribers.go  the registry and its key, API keys, verification; wire_catalogue.go the catalogue
//	wire_jobs.go  reminders and campaigns: opened, started and stopped around the gateway
//	subs.go     subscribers by hand: subs_show.go, subs_change.go, subs_files.go
//	reminders.go    reminders before a date: reminders_list.go, reminders_import.go
//	campaign.go     bulk jobs: campaign_show.go; progress.go draws how far one is
//	notice.go   a notice of a service, by HTTP as partners do; key.go makes their keys
//	mo.go       what a handset of masar demo writes to a short code
//	testnumbers.go  the carrier of test numbers, played in this process
//
// A command is a constructor in a file of its own, listed in newRoot. Flags and
// configuration become plain values here; the rooms below never see either.
package main
