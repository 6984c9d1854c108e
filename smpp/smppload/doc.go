// Package smppload is a client that loads an SMPP server and keeps the books: what was
// submitted, what was answered and how fast, and which receipts came, came twice, or
// never came.
//
//	options.go    Options and their defaults
//	run.go        Run: binds, waits, settles, sums up
//	bind.go       one connection: fill the window, write once, read once
//	received.go   what came: answers, receipts
//	message.go    submit_sm encoded ahead, number by number; the numbering
//	ledger.go     what is known of each message, 12 octets each
//	histogram.go  latencies
//	result.go     Result, as `masar load --json` prints it
//
// Every message has a number. It stands in the destination and in the text, so a receipt
// finds its message by the address it names, and the message_id in it is checked against
// the one of the response: a receipt for the right number with the wrong id is counted
// as strange, not as arrived.
//
// One goroutine a connection does everything, many PDUs a turn, so that the client costs
// little beside the server it measures on the same machine. It writes its submit_sm from
// templates and does not use smpp's sessions.
package smppload
