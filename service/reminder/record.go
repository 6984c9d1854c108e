package reminder

import (
	"encoding/binary"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"unicode/utf8"

	"masar/number"
	"masar/service"
)

// errRow says that a row is not what this program writes.
var errRow = errors.New("a row is damaged")

// recordVersion is the first octet of a record. Fields are only added at its end; what
// stands behind those that are known is a newer program's, and is dropped by the next write.
const recordVersion = 1

// seriesVersion is that of a Series: of those told, the first did not keep the message.
const seriesVersion = 2

// flags of a record.
const (
	toPerson = 1 << iota // else to a number
	inHijri
)

// appendSeries writes s but for its ID, which stands in its key.
func appendSeries(b []byte, s *Series, account, code uint32) []byte {
	b = append(b, seriesVersion)
	b = binary.AppendUvarint(b, uint64(account))
	b = binary.AppendUvarint(b, uint64(code))
	b = appendString(b, s.Key)
	flags := byte(0)
	if s.Person != (service.Person{}) {
		flags |= toPerson
	}
	if s.Calendar == UmmAlQura {
		flags |= inHijri
	}
	b = append(b, flags)
	if flags&toPerson != 0 {
		b = append(b, s.Person[:]...)
	} else {
		b = binary.AppendUvarint(b, uint64(s.Reminder.Number))
	}
	b = binary.AppendVarint(b, int64(dayNumber(s.Expires)))
	b = binary.AppendUvarint(b, uint64(len(s.Lead)))
	for _, days := range s.Lead {
		b = binary.AppendUvarint(b, uint64(days))
	}
	b = binary.AppendUvarint(b, uint64(len(s.Params)))
	for _, name := range slices.Sorted(maps.Keys(s.Params)) {
		b = appendString(appendString(b, name), s.Params[name])
	}
	b = appendString(appendString(b, s.Channel), s.By)
	b = binary.AppendVarint(b, s.Created.UnixMilli())
	b = binary.AppendVarint(b, s.Changed.UnixMilli())

	b = append(b, byte(s.State))
	b = binary.AppendUvarint(b, uint64(s.Run))
	b = binary.AppendUvarint(b, uint64(s.Step))
	b = binary.AppendVarint(b, unix(s.Next))
	b = binary.AppendUvarint(b, uint64(len(s.Steps)))
	for i := range s.Steps {
		st := &s.Steps[i]
		b = binary.AppendUvarint(b, uint64(st.Lead))
		b = append(b, byte(st.State), st.Try)
		b = binary.AppendVarint(b, unix(st.Due))
		b = binary.AppendUvarint(b, st.Message)
		b = appendString(b, st.Err)
		b = binary.AppendVarint(b, unix(st.At))
	}
	b = binary.AppendUvarint(b, uint64(len(s.Told)))
	for _, t := range s.Told {
		b = binary.AppendVarint(b, int64(dayNumber(t.Expires)))
		b = binary.AppendUvarint(b, uint64(t.Lead))
		b = binary.AppendUvarint(b, t.Message)
	}
	return b
}

// lastOf is the message of a step as far as the first version kept it: with the steps of
// the present date.
func (s *Series) lastOf(t Told) uint64 {
	for i := range s.Steps {
		if st := &s.Steps[i]; t.Expires == s.Expires && st.Lead == t.Lead {
			return st.Message
		}
	}
	return 0
}

func appendString(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// readSeries reads what appendSeries wrote. The names of account and service are numbers
// until the Store fills them in.
func readSeries(b []byte) (s *Series, account, code uint32, err error) {
	r := reader{b: b}
	version := r.octet()
	if (version < 1 || version > seriesVersion) && r.err == nil {
		return nil, 0, 0, fmt.Errorf("%w: a series of version %d", errRow, version)
	}
	s = new(Series)
	account, code = r.u32(), r.u32()
	s.Key = r.str()
	flags := r.octet()
	if flags&inHijri != 0 {
		s.Calendar = UmmAlQura
	}
	if flags&toPerson != 0 {
		copy(s.Person[:], r.take(len(s.Person)))
	} else {
		s.Reminder.Number = number.E164(r.uvarint())
	}
	s.Expires = r.day()
	if n := r.count(maxLeads); n > 0 {
		s.Lead = make([]int, n)
		for i := range s.Lead {
			s.Lead[i] = r.lead()
		}
	}
	if n := r.count(maxParams); n > 0 {
		s.Params = make(map[string]string, n)
		for range n {
			name := r.str()
			s.Params[name] = r.str()
		}
	}
	s.Channel, s.By = r.str(), r.str()
	s.Created, s.Changed = milli(r.varint()), milli(r.varint())

	s.State = State(r.octet())
	run, step := r.u32(), r.uvarint()
	s.Run = run
	s.Next = moment(r.varint())
	s.Steps = make([]Step, r.count(maxLeads))
	for i := range s.Steps {
		st := &s.Steps[i]
		st.Lead = r.lead()
		st.State, st.Try = StepState(r.octet()), r.octet()
		st.Due = moment(r.varint())
		st.Message = r.uvarint()
		st.Err = r.str()
		st.At = moment(r.varint())
		if int(st.State) >= len(stepNames) {
			r.damaged("state of a step")
		}
	}
	if n := r.count(maxTold); n > 0 {
		s.Told = make([]Told, n)
		for i := range s.Told {
			t := Told{Expires: r.day(), Lead: r.lead()}
			if version == 1 {
				t.Message = s.lastOf(t)
			} else {
				t.Message = r.uvarint()
			}
			s.Told[i] = t
		}
	}
	if s.Step = int(min(step, math.MaxInt32)); s.Step > len(s.Steps) {
		r.damaged("step at hand")
	}
	if int(s.State) >= len(stateNames) {
		r.damaged("state")
	}
	return s, account, code, r.err
}

// reader reads fields one after the other. After an error all are zero.
type reader struct {
	b   []byte
	err error
}

func (r *reader) damaged(what string) {
	if r.err == nil {
		r.err = fmt.Errorf("%w: %s", errRow, what)
	}
	r.b = nil
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.damaged("it is too short")
		return nil
	}
	b := r.b[:n]
	r.b = r.b[n:]
	return b
}

func (r *reader) octet() byte {
	if b := r.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.damaged("it is too short")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.damaged("it is too short")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) u32() uint32 {
	v := r.uvarint()
	if v > math.MaxUint32 {
		r.damaged("a number is too large")
		return 0
	}
	return uint32(v)
}

func (r *reader) count(most int) int {
	v := r.uvarint()
	if v > uint64(most) {
		r.damaged("a list is too long")
		return 0
	}
	return int(v)
}

func (r *reader) lead() int {
	v := r.uvarint()
	if v > MaxLead {
		r.damaged("a lead is too long")
		return 0
	}
	return int(v)
}

func (r *reader) day() service.Day {
	v := r.varint()
	if v < math.MinInt32 || v > math.MaxInt32 {
		r.damaged("a day is too far")
		v = 0
	}
	return dayNumbered(int(v))
}

func (r *reader) str() string {
	n := r.uvarint()
	if n > uint64(len(r.b)) {
		r.damaged("it is too short")
		return ""
	}
	return string(r.take(int(n)))
}

// appendUnreached writes u but for what stands in its key.
func appendUnreached(b []byte, u *Unreached, code uint32) []byte {
	b = append(b, recordVersion)
	b = binary.AppendUvarint(b, uint64(code))
	b = appendString(b, u.Key)
	b = append(b, u.Person[:]...)
	b = binary.AppendUvarint(b, uint64(u.Number))
	b = binary.AppendVarint(b, int64(dayNumber(u.Expires)))
	b = binary.AppendUvarint(b, uint64(u.Lead))
	b = appendString(b, u.Reason)
	b = binary.AppendUvarint(b, uint64(u.Tries))
	return binary.AppendVarint(b, unix(u.At))
}

func readUnreached(b []byte) (u Unreached, code uint32, err error) {
	r := reader{b: b}
	if v := r.octet(); v != recordVersion && r.err == nil {
		return u, 0, fmt.Errorf("%w: an unreached one of version %d", errRow, v)
	}
	code = r.u32()
	u.Key = r.str()
	copy(u.Person[:], r.take(len(u.Person)))
	u.Number = number.E164(r.uvarint())
	u.Expires, u.Lead = r.day(), r.lead()
	u.Reason = r.str()
	u.Tries = r.count(math.MaxUint8)
	u.At = moment(r.varint())
	return u, code, r.err
}

// bounded keeps what a carrier or another room says to a length worth keeping.
func bounded(reason string) string {
	const most = 100
	if len(reason) <= most {
		return reason
	}
	cut := most
	for cut > 0 && !utf8.RuneStart(reason[cut]) {
		cut--
	}
	return strings.Clone(reason[:cut])
}
