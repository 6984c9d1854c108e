package pebble

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"testing"

	"masar/service"
)

func fullNumber() *numberRow {
	return &numberRow{
		number: 966500000001,
		block:  block{scope: service.BlockOptIn, reason: "complaint", expires: 1_800_000_000, channel: 3, at: 1_773_000_000},
		people: []resident{
			{person: service.Person{1, 2, 3}, language: 1, state: service.Recycled, since: 1_773_000_000, enrolments: []enrolment{
				{service: 1, channel: 2, at: 1_772_900_000, state: service.Enrolled},
				{service: 2, channel: 2, at: 1_772_900_000, state: service.Withdrawn, byPerson: true},
				{service: 300, channel: 1, state: service.Pending},
			}},
			{person: service.Person{15: 9}, verified: true, since: 1_700_000_000},
		},
		notes: []int64{1_772_000_000, 1_772_000_100},
		stop:  barrier{at: 1_771_000_000, byPerson: true},
		marks: []enrolment{{service: 4, channel: 1, at: 1_770_000_000, state: service.Withdrawn}},
	}
}

func fullPerson() *personRow {
	p := &personRow{
		person: service.Person{1, 2, 3}, number: 966500000001, stop: barrier{at: 1_771_000_000},
		marks:  []enrolment{{service: 4, at: 1_770_000_000, state: service.Withdrawn, byPerson: true}},
		chunks: 2,
	}
	p.note(&event{kind: service.SetNumber, at: 1_773_000_000_123, number: 966500000001, was: 966500000002, channel: 1, by: "clerk", consent: 1_700_000_000, verified: true, byPerson: true, services: []uint32{1, 300}})
	p.note(&event{kind: service.MarkRecycled, at: 1_773_000_000_124, number: 966500000001})
	p.dirty = false
	return p
}

// Rows of version 1 as they lie in folders: a change here makes folders unreadable.
const (
	goldenNumber = "01000f02090102030000000000000000000000000080d5ee9a0d0103080102bf9a0c0e02020001ac020104000000000000000000000000000000" +
		"0980c49fd50c000109636f6d706c61696e7480c8ceb40d0380d5ee9a0d0280ccf4990dc8cdf4990d80c3fa980d01010a040180ba80980d"
	goldenPerson = "01000781c28ebf901c80c3fa980d00010e040080ba80980d0202021ff689c8f0996781c28ebf901c0182c28ebf901c05636c65726bff90cf45" +
		"0201ac020400f889c8f0996781c28ebf901c0000"
)

func TestRowsOfVersionOneStayReadable(t *testing.T) {
	for _, row := range []struct {
		name, golden string
		now          []byte
	}{
		{"number", goldenNumber, appendNumber(nil, fullNumber())},
		{"person", goldenPerson, appendPerson(nil, fullPerson())},
	} {
		if got := hex.EncodeToString(row.now); got != row.golden {
			t.Errorf("%s is written as\n%s\nwas\n%s", row.name, got, row.golden)
		}
	}
	b, _ := hex.DecodeString(goldenNumber)
	n, want := new(numberRow), fullNumber()
	want.stored, want.blocked, want.people[1].enrolments = true, true, nil
	if err := decodeNumber(b, want.number, n); err != nil || !reflect.DeepEqual(n, want) {
		t.Errorf("%v\n got %+v\nwant %+v", err, n, want)
	}
	b, _ = hex.DecodeString(goldenPerson)
	p, wantP := new(personRow), fullPerson()
	wantP.stored = true
	if err := decodePerson(b, wantP.person, p); err != nil || !reflect.DeepEqual(p, wantP) {
		t.Errorf("%v\n got %+v\nwant %+v", err, p, wantP)
	}
	var kinds []service.ChangeKind
	if err := decodeEvents(p.log, func(e *event) error { kinds = append(kinds, e.kind); return nil }); err != nil || len(kinds) != 2 {
		t.Errorf("%v %v", kinds, err)
	}
}

func TestDamagedRowsAreRefused(t *testing.T) {
	whole := appendNumber(nil, fullNumber())
	row := new(numberRow)
	for n := range len(whole) {
		if err := decodeNumber(whole[:n], 1, row); !errors.Is(err, errRow) {
			t.Errorf("%d of %d octets: %v", n, len(whole), err)
		}
	}
	whole = appendPerson(nil, fullPerson())
	person := new(personRow)
	headOnly := len(whole) - len(fullPerson().log)
	for n := range headOnly {
		if err := decodePerson(whole[:n], service.Person{}, person); !errors.Is(err, errRow) {
			t.Errorf("%d of %d octets: %v", n, len(whole), err)
		}
	}
	log := fullPerson().log
	for n := 1; n < len(log); n++ {
		count := 0
		err := decodeEvents(log[:n], func(*event) error { count++; return nil })
		if !errors.Is(err, errRow) && count != 1 {
			t.Errorf("%d of %d octets of a history: %v, %d events", n, len(log), err, count)
		}
	}
	for _, row := range []struct {
		name string
		b    []byte
	}{
		{"a newer version", append([]byte{recordVersion + 1}, whole[1:]...)},
		{"unknown flags", append([]byte{recordVersion, 0xFF}, whole[2:]...)},
		{"too many entries", []byte{recordVersion, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 0x0F}},
	} {
		if err := decodeNumber(row.b, 1, new(numberRow)); !errors.Is(err, errRow) {
			t.Errorf("%s: %v", row.name, err)
		}
	}
}

// again says that what a decoder takes is written and read back the same.
func again(t *testing.T, b []byte, through func([]byte) ([]byte, error)) {
	once, err := through(b)
	if err != nil {
		if !errors.Is(err, errRow) {
			t.Errorf("%v is not errRow", err)
		}
		return
	}
	twice, err := through(once)
	if err != nil || !bytes.Equal(once, twice) {
		t.Errorf("%x\nwritten %x\n  again %x %v", b, once, twice, err)
	}
}

func FuzzNumberRow(f *testing.F) {
	f.Add(appendNumber(nil, fullNumber()))
	f.Add(appendNumber(nil, &numberRow{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		again(t, b, func(b []byte) ([]byte, error) {
			r := new(numberRow)
			err := decodeNumber(b, 1, r)
			return appendNumber(nil, r), err
		})
	})
}

func FuzzPersonRow(f *testing.F) {
	f.Add(appendPerson(nil, fullPerson()))
	f.Add(appendPerson(nil, &personRow{}))
	f.Fuzz(func(t *testing.T, b []byte) {
		again(t, b, func(b []byte) ([]byte, error) {
			p := new(personRow)
			err := decodePerson(b, service.Person{}, p)
			return appendPerson(nil, p), err
		})
	})
}

func FuzzHistory(f *testing.F) {
	f.Add(fullPerson().log)
	f.Fuzz(func(t *testing.T, b []byte) {
		again(t, b, func(b []byte) (out []byte, err error) {
			err = decodeEvents(b, func(e *event) error { out = appendEvent(out, e); return nil })
			return out, err
		})
	})
}

// FuzzSmallRows reads an octet string as each of the rows that hold little.
func FuzzSmallRows(f *testing.F) {
	f.Add(appendCode(nil, &code{hash: [16]byte{1}, until: 2, tries: 3}))
	f.Add(appendBlocked(nil, &fullNumber().block))
	f.Add(appendOnce(nil, &service.Once{Body: [32]byte{7}, Answer: []byte("ok")}, momentMillis(5)))
	total := totals{subscribers: 1, numbers: 2, suspended: 3, blocked: 4}
	f.Add(total.row(nil, 0))
	f.Fuzz(func(t *testing.T, b []byte) {
		again(t, b, func(b []byte) ([]byte, error) {
			c, err := decodeCode(b)
			return appendCode(nil, &c), err
		})
		again(t, b, func(b []byte) ([]byte, error) {
			l, err := decodeBlocked(b)
			return appendBlocked(nil, &l), err
		})
		again(t, b, func(b []byte) ([]byte, error) {
			o, err := decodeOnce(b)
			return appendOnce(nil, &o, o.At), err
		})
		for id := range uint32(2) {
			again(t, b, func(b []byte) ([]byte, error) {
				var total totals
				total.grow(id)
				err := total.decode(id, b)
				return total.row(nil, id), err
			})
		}
	})
}
