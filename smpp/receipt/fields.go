package receipt

import (
	"bytes"

	"masar/smpp/pdu"
)

type field uint8

const (
	fieldID field = iota
	fieldSub
	fieldDlvrd
	fieldSubmit
	fieldDone
	fieldStat
	fieldErr
	fieldText
	fieldCount
)

type fieldName struct {
	name string // lower case: carriers write it in any
	f    field
}

// fieldNames by the low five bits of their last letter, which is the same in both cases.
var fieldNames = [32][]fieldName{
	'd' & 31: {{"id", fieldID}, {"dlvrd", fieldDlvrd}},
	'b' & 31: {{"sub", fieldSub}},
	'e' & 31: {
		{"submit date", fieldSubmit}, {"done date", fieldDone},
		{"submit_date", fieldSubmit}, {"done_date", fieldDone},
		{"submitdate", fieldSubmit}, {"donedate", fieldDone},
	},
	't' & 31: {{"stat", fieldStat}, {"text", fieldText}},
	'r' & 31: {{"err", fieldErr}},
}

// nameBefore says which field's name b[from:colon] ends with, as a whole word, and where
// it starts.
func nameBefore(b []byte, from, colon int) (f field, start int, ok bool) {
	if colon == from {
		return 0, 0, false
	}
	names := fieldNames[b[colon-1]&31]
	for i := range names {
		name := names[i].name
		start = colon - len(name)
		if start >= from && hasName(b[start:colon], name) && (start == 0 || !inWord[b[start-1]]) {
			return names[i].f, start, true
		}
	}
	return 0, 0, false
}

// leadsWithName says whether b begins, white space aside, with a field's name.
func leadsWithName(b []byte) bool {
	b = bytes.TrimLeft(b, white)
	colon := bytes.IndexByte(b, ':')
	if colon < 0 {
		return false
	}
	_, start, ok := nameBefore(b, 0, colon)
	return ok && start == 0
}

// hasName compares without regard to ASCII case.
func hasName(b []byte, name string) bool {
	if string(b) == name {
		return true
	}
	for i := 0; i < len(name) && i < len(b); i++ {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != name[i] {
			return false
		}
	}
	return len(b) == len(name)
}

// span is a field's value: b[from:to]. Zero for an absent one: no value can stand at 0.
type span struct{ from, to int32 }

func (s span) of(b []byte) []byte { return b[s.from:s.to] }

// fields are what scan found.
type fields struct {
	at [fieldCount]span
	// leads says that the text begins with a field's name, white space aside.
	leads bool
}

// scan finds the fields of a receipt's text. A value ends where the next known name
// begins, trimmed; id, sub, dlvrd, stat and err are its first word only, since a vendor's
// own fields may follow. Of a field that is there twice the first counts. What follows
// text: belongs to it, whatever it looks like.
//
// It goes from colon to colon: there are few, and an ordinary message has none.
func scan(b []byte) (f fields) {
	open, from := fieldCount, 0 // the field whose value begins at from
	for at := 0; at < len(b); {
		next := bytes.IndexByte(b[at:], ':')
		if next < 0 {
			break
		}
		colon := at + next
		at = colon + 1
		name, start, ok := nameBefore(b, from, colon)
		if !ok {
			continue
		}
		if open == fieldCount {
			f.leads = len(bytes.TrimLeft(b[:start], white)) == 0
		}
		f.close(b, open, from, start)
		open, from = name, at
		if name == fieldText {
			break
		}
	}
	f.close(b, open, from, len(b))
	return f
}

// close notes b[from:to] as the value of the field open.
func (f *fields) close(b []byte, open field, from, to int) {
	if open == fieldCount || f.at[open].to > f.at[open].from {
		return
	}
	for from < to && isWhite(b[from]) {
		from++
	}
	switch open {
	case fieldText, fieldSubmit, fieldDone:
		for to > from && isWhite(b[to-1]) {
			to--
		}
	default:
		end := from
		for end < to && !isWhite(b[end]) {
			end++
		}
		// "id:55, stat:DELIVRD;": a list's punctuation is no part of a value.
		for end > from && (b[end-1] == ',' || b[end-1] == ';' || b[end-1] == '|') {
			end--
		}
		to = end
	}
	f.at[open] = span{int32(from), int32(to)}
}

const white = " \t\r\n\x00"

// isWhite counts NUL in: carriers pad with it.
func isWhite(c byte) bool {
	return c <= ' ' && (c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == 0)
}

// inWord are the octets that make "paid:" and "message-id:" other names than "id:".
// Octets above 7F are letters of some alphabet.
var inWord = func() (t [256]bool) {
	for c := range t {
		t[c] = 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
			c == '_' || c == '-' || c >= 0x80
	}
	return t
}()

// stateOf reads a stat word: the seven letters of appendix B or the full word, in any
// case. known is false for any other word.
func stateOf(word []byte) (s pdu.State, known bool) {
	var upper [16]byte
	if len(word) > len(upper) {
		return pdu.StateUnknown, false
	}
	for i, c := range word {
		if 'a' <= c && c <= 'z' {
			c -= 'a' - 'A'
		}
		upper[i] = c
	}
	switch string(upper[:len(word)]) {
	case "DELIVRD", "DELIVERED":
		return pdu.StateDelivered, true
	case "UNDELIV", "UNDELIVERABLE", "UNDELIVERED":
		return pdu.StateUndeliverable, true
	case "EXPIRED":
		return pdu.StateExpired, true
	case "REJECTD", "REJECTED":
		return pdu.StateRejected, true
	case "ACCEPTD", "ACCEPTED":
		return pdu.StateAccepted, true
	case "ENROUTE":
		return pdu.StateEnroute, true
	case "DELETED":
		return pdu.StateDeleted, true
	case "UNKNOWN":
		return pdu.StateUnknown, true
	case "SCHEDLD", "SCHEDULED":
		return pdu.StateScheduled, true
	case "SKIPPED":
		return pdu.StateSkipped, true
	}
	return pdu.StateUnknown, false
}
