// Package receipt reads the delivery receipts that carriers send and writes those that
// clients get.
//
//	parse.go   Parse, ParseData: is it a receipt, and what does it say
//	fields.go  the fields of an appendix B text, in any order and dress
//	date.go    submit date and done date
//	octets.go  the text's octets: UCS-2, and characters that GSM has elsewhere
//	id.go      message ids in hex, decimal or as they are: forms, keys, candidates
//	write.go   appendix B text and TLVs for a client
//
// Everything is a function of its arguments: no clock, no lock, no memory. Which part a
// receipt belongs to, whether it came twice and what becomes of the message is the
// gateway's to know.
package receipt
