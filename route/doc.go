// Package route says which carriers a message may go to, and which of them next.
//
//	table.go      Table: destination, account, sender, service_type, class -> a rule
//	overrides.go  Overrides: the ported numbers, an exact number -> a rule's name
//	load.go       its files and daily deltas, put together
//	parse.go      the lines of the overrides' files, with their mistakes
//	group.go      Group: which carrier of a rule's group may pull a lane
//
// Table and Group are brains: plain values in, plain values out. A Table never changes
// and is read by everyone; a Group remembers who pulled how much and is kept under its
// owner's lock. Only LoadOverrides reads files. Numbers are E.164 digits without plus,
// normalised before they come here; whether a carrier is healthy is told, not found out.
package route
