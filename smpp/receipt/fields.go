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

// fieldNames in the order they are tried; the first that matches is it. All lower case:
// carriers write them in any case.
var fieldNames = [...]struct {
	name string // with its colon
	f    field
}{
	{"id:", fieldID}, {"sub:", fieldSub}, {"submit date:", fieldSubmit}, {"stat:", fieldStat},
	{"dlvrd:", fieldDlvrd}, {"done date:", fieldDone}, {"err:", fieldErr}, {"text:", fieldText},
	{"submit_date:", fieldSubmit}, {"submitdate:", fieldSubmit},
	{"done_date:", fieldDone}, {"donedate:", fieldDone},
}

// matchField says which field's name b begins with, and how long it is with its colon;
// 0 for none.
func matchField(b []byte) (field, int) {
	if len(b) < len("id:") {
		return 0, 0
	}
	// Nearly every word is no field: one look at its first letter tells.
	switch b[0] | 0x20 {
	case 'i', 's', 'd', 'e', 't':
	default:
		return 0, 0
	}
	for i := range fieldNames {
		if name := fieldNames[i].name; hasName(b, name) {
			return fieldNames[i].f, len(name)
		}
	}
	return 0, 0
}

// hasName compares without regard to ASCII case.
func hasName(b []byte, name string) bool {
	if len(b) < len(name) {
		return false
	}
	for i := 0; i < len(name); i++ {
		c := b[i]
		if 'A' <= c && c <= 'Z' {
			c |= 0x20
		}
		if c != name[i] {
			return false
		}
	}
	return true
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
func scan(b []byte) (f fields) {
	open := fieldCount // the field whose value is being passed
	from := 0
	start := len(b) - len(bytes.TrimLeft(b, white))
	for i := start; i < len(b); {
		name, n := matchField(b[i:])
		if n > 0 {
			f.close(b, open, from, i)
			if i == start {
				f.leads = true
			}
			open, from = name, i+n
			i = from
			if name == fieldText {
				break
			}
			continue // the next name may stand right behind the colon: an empty value
		}
		// To the next start of a word.
		for i < len(b) && inWord[b[i]] {
			i++
		}
		for i < len(b) && !inWord[b[i]] {
			i++
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
	return c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == 0
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
