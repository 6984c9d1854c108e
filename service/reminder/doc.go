// Package reminder keeps warnings that are due before a date: of whom, by which service,
// how many days before, and how far each has come.
//
//	reminder.go  Reminder, View, State: what is asked for and what is told; result.go: what an order did
//	calendar.go  a date as people write it, Gregorian or Umm al-Qura, and back
//	series.go    Series: a Reminder with its steps and how far they are (a brain)
//	told.go      which steps were handed over, of any date, and what their ends mean later
//	clock.go     the hours in which a step may leave (a brain)
//	check.go     what of a Reminder is refused, and why
//	row.go       rows of a CSV or JSON Lines file -> Reminders
//	store.go     Store: series on disk; entry.go: the rows that one batch writes
//	due.go       what is to be done next, without looking through all
//	list.go      what is due when, who was not reached
//	move.go      all dates of a service
//	record.go    a Series as octets; keys.go, names.go: the rows they stand in
//
// A Series is a plain value: every rule (which step is next, when, what an end means) is a
// method that takes now. A Store has no goroutine: it is read and written by its user,
// package jobs, which also hands steps to the gateway.
//
// It sends nothing, and knows neither queue nor gateway.
package reminder
