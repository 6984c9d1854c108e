// Package text turns texts into the octets of short messages and back: alphabets,
// budgets, where a text may be cut, the headers that say which part is which, and
// the putting together of parts that arrive.
//
//	encoding.go    Encoding; Choose, Units, Encode, Decode
//	gsm.go         the GSM 03.38 tables, unpacked and packed
//	ucs2.go        UTF-16BE: UCS-2 as SMPP means it
//	datacoding.go  data_coding <-> Encoding and message class
//	fold.go        presentation forms, harakat, tatweel
//	digits.go      European and Arabic-Indic digits
//	punctuation.go typographic punctuation -> GSM 03.38
//	isolate.go     direction marks around what is read from the left
//	options.go     Options: all of these by choice, and what each saves
//	budget.go      Style, Limits, FitsOne
//	split.go       Split: greedy, at grapheme clusters
//	octets.go      SplitOctets: the same for octets already on the wire
//	udh.go         the user data header's concatenation elements
//	reassemble.go  Reassembler: parts -> the whole message, bounded and expiring
//
// Everything here is a brain: plain values in, plain values out, no clock, no lock,
// no goroutine. A Reassembler belongs to one goroutine.
//
// It does not know PDUs, carriers or what a text says, and it never trims, composes
// or replaces a character unless the caller asks for a fold by name.
package text
